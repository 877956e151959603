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
        let Some(protocol) = self.protocol_at(bridge, port) else { return false };
        self.out.slow = self.out.slow.with(protocol.slow_path());
        self.out.effects.push(Effect::Take { bridge, port: port.number, protocol });
        self.out.is_taken = true;
        true
    }

    fn protocol_at(&mut self, bridge: BridgeId, port: &Port) -> Option<Protocol> {
        let own = port.watched.as_ref().map(|watched| &watched.own);
        if let Some(own) = own {
            if own.bfd.as_ref().is_some_and(|frames| self.is_bfd(frames)) {
                return Some(Protocol::Bfd);
            }
            if own.cfm.as_ref().is_some_and(|frames| self.is_cfm(frames)) {
                return Some(Protocol::Cfm);
            }
            if own.lacp && self.packet.key.dl_type() == wire::lacp::ETHER_TYPE {
                return Some(Protocol::Lacp);
            }
        }
        // A bridge with a spanning tree forwards none of its units, not even from ports that take no part.
        let has_tree = self.view.bridge(bridge).is_some_and(|bridge| bridge.spanning_tree().is_some());
        if has_tree && self.is_bpdu() {
            return Some(Protocol::SpanningTree);
        }
        let is_discovery =
            own.is_some_and(|own| own.lldp) && self.packet.key.dl_type() == wire::lldp::ETHER_TYPE;
        is_discovery.then_some(Protocol::Lldp)
    }

    /// Whether the packet is one by which `port` is watched.
    pub(crate) fn is_for_liveness(&mut self, port: &Port) -> bool {
        port.watched.as_ref().is_some_and(|watched| {
            watched.own.cfm.as_ref().is_some_and(|frames| self.is_cfm(frames))
                || watched.own.bfd.as_ref().is_some_and(|frames| self.is_bfd(frames))
        })
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
