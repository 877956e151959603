//! Frames that are not forwarded: those of protocols that the switch itself speaks at a port.

use flow::slot;

use crate::context::Context;
use crate::effects::Effect;
use crate::state::{BridgeId, Port};
use crate::watched::{BfdFrames, CfmFrames, Protocol};

const IPV4: u16 = 0x0800;

impl Context<'_> {
    /// Whether the packet, as it comes in by `port` of a bridge, goes to a protocol and nowhere else.
    pub(crate) fn is_taken(&mut self, bridge: BridgeId, port: &Port) -> bool {
        let Some(watched) = &port.watched else { return false };
        let protocol = if watched.bfd.as_ref().is_some_and(|frames| self.is_bfd(frames)) {
            Protocol::Bfd
        } else if watched.cfm.as_ref().is_some_and(|frames| self.is_cfm(frames)) {
            Protocol::Cfm
        } else if watched.lacp && self.packet.key.dl_type() == wire::lacp::ETHER_TYPE {
            Protocol::Lacp
        } else {
            return false;
        };
        self.out.slow = self.out.slow.with(protocol.slow_path());
        self.out.effects.push(Effect::Take { bridge, port: port.number, protocol });
        self.out.is_taken = true;
        true
    }

    fn is_cfm(&mut self, frames: &CfmFrames) -> bool {
        let (key, mask) = (&self.packet.key, &mut self.out.mask);
        if key.dl_type() != wire::cfm::ETHER_TYPE {
            return false;
        }
        mask.add_all(slot::DL_DST);
        if key.dl_dst() != frames.destination {
            return false;
        }
        if frames.without_tunnel_key {
            mask.add_all(slot::TUN_ID);
            return key.tun_id() == 0;
        }
        true
    }

    fn is_bfd(&mut self, frames: &BfdFrames) -> bool {
        let (key, mask) = (&self.packet.key, &mut self.out.mask);
        if let Some(mac) = frames.destination_mac {
            mask.add_all(slot::DL_DST);
            if key.dl_dst() != mac {
                return false;
            }
        }
        if key.dl_type() != IPV4 {
            return false;
        }
        mask.add_all(slot::NW_PROTO);
        if key.nw_proto() != wire::protocol::UDP || key.nw_frag() & flow::frag::LATER != 0 {
            return false;
        }
        mask.add_all(slot::TP_DST);
        if key.tp_dst() != wire::bfd::PORT {
            return false;
        }
        if let Some(destination) = frames.destination {
            mask.add_all(slot::NW_DST);
            if key.nw_dst() != destination {
                return false;
            }
        }
        if frames.without_tunnel_key {
            mask.add_all(slot::TUN_ID);
            return key.tun_id() == 0;
        }
        true
    }
}
