//! Packets of tunnels that arrive, and what passes of neighbours on the way.

use base::{DpPort, MacAddr};
use flow::{Slot, slot, tunnel_flags};
use wire::{arp, ethernet, icmp, protocol};

use super::native::arp_sender;
use crate::context::Context;
use crate::effects::Effect;
use crate::state::Port;
use crate::tunnel_config::mapped_v4;

const ECN: u8 = 0x03;

/// What says which tunnel a packet came out of.
const IDENTITY: [Slot; 6] =
    [slot::TUN_ID, slot::TUN_SRC, slot::TUN_DST, slot::TUN_IPV6_SRC, slot::TUN_IPV6_DST, slot::TUN_TOS];

impl Context<'_> {
    /// Whether the packet came out of a tunnel.
    fn is_of_tunnel(&self) -> bool {
        let key = self.request.key;
        key.tun_dst() != 0 || key.tun_ipv6_dst() != 0
    }

    /// The bits that translation of a packet out of a tunnel depends on.
    pub(crate) fn examine_tunnel(&mut self) {
        if !self.is_of_tunnel() {
            return;
        }
        let is_v4 = self.request.key.tun_dst() != 0;
        for place in IDENTITY {
            let is_of_v4 = place == slot::TUN_SRC || place == slot::TUN_DST;
            let is_of_v6 = place == slot::TUN_IPV6_SRC || place == slot::TUN_IPV6_DST;
            if is_v4 && !is_of_v6 || !is_v4 && !is_of_v4 {
                self.out.mask.add_all(place);
            }
        }
        self.out.mask.add(slot::TUN_FLAGS, tunnel_flags::KEY.into());
        if self.packet.key.is_ip() && self.request.key.tun_tos() & ECN == ECN {
            self.out.mask.add(slot::NW_TOS, ECN.into());
        }
    }

    /// Has the packet tell of the congestion that its outer header met (RFC 6040); whether it may go on.
    pub(crate) fn take_congestion(&mut self) -> bool {
        let key = &mut self.packet.key;
        if !self.request.key.is_ip() || self.request.key.tun_tos() & ECN != ECN {
            return true;
        }
        if (self.request.key.tun_dst(), self.request.key.tun_ipv6_dst()) == (0, 0) {
            return true;
        }
        if key.nw_tos() & ECN == 0 {
            self.lost(dp::DropReason::TunnelCongestion)
                .warning(|| "dropping tunnel packet marked ECN CE but is not ECN capable".to_owned());
            return false;
        }
        key.set_nw_tos(key.nw_tos() | ECN);
        true
    }

    /// The tunnels' datapath port, if the packet that is about to leave by `port`, the machine's own, is for one of them.
    /// What passes of neighbours is learned.
    pub(crate) fn terminates(&mut self, port: &Port) -> Option<DpPort> {
        let underlay = self.view.underlay();
        if !self.puts_on_headers() || !underlay.has_addresses(&port.name) {
            return None;
        }
        let found = self.listener_for(port);
        let key = &self.packet.key;
        if found.is_some() {
            let address =
                if key.dl_type() == ethernet::TYPE_IPV4 { mapped_v4(key.nw_src()) } else { key.ipv6_src() };
            let mac = key.dl_src();
            self.learn_neighbour(address, mac, true);
        } else if key.dl_type() == ethernet::TYPE_ARP {
            self.learn_from_arp(port);
        } else if key.dl_type() == ethernet::TYPE_IPV6 {
            self.learn_from_advertisement(port);
        }
        found
    }

    /// Looks at the headers one after the other, and no further than is needed to see that nobody listens.
    fn listener_for(&mut self, port: &Port) -> Option<DpPort> {
        let underlay = self.view.underlay();
        let datapath = self.walk.bridge.datapath();
        let (key, mask) = (&self.packet.key, &mut self.out.mask);
        mask.add_all(slot::DL_DST);
        mask.add_all(slot::VLAN0_TCI);
        if key.dl_dst() != port.mac || key.vlan0_tci() != 0 {
            return None;
        }
        let (place, address) = match key.dl_type() {
            ethernet::TYPE_IPV4 => (slot::NW_DST, mapped_v4(key.nw_dst())),
            ethernet::TYPE_IPV6 => (slot::IPV6_DST, key.ipv6_dst()),
            _ => return None,
        };
        mask.add_all(place);
        mask.add_all(slot::NW_PROTO);
        mask.add(slot::NW_FRAG, (flow::frag::ANY | flow::frag::LATER).into());
        if key.nw_frag() != 0 || !underlay.is_own(&port.name, address) {
            return None;
        }
        let has_port = underlay.listens(datapath, key.nw_proto())?;
        if has_port {
            mask.add_all(slot::TP_DST);
        }
        underlay.listener(datapath, key.nw_proto(), key.tp_dst())
    }

    /// Takes in a reply, or what somebody says of itself unasked, to one of the port's addresses.
    fn learn_from_arp(&mut self, port: &Port) {
        let (key, mask) = (&self.packet.key, &mut self.out.mask);
        mask.add_all(slot::NW_PROTO);
        mask.add_all(slot::NW_SRC);
        mask.add_all(slot::NW_DST);
        mask.add_all(slot::ARP_SHA);
        let is_unasked = key.nw_src() == key.nw_dst() && key.dl_dst() == MacAddr::BROADCAST;
        let is_reply = key.nw_proto() == arp::OP_REPLY as u8
            && self.view.underlay().is_own(&port.name, mapped_v4(key.nw_dst()));
        if (is_reply || is_unasked) && !key.arp_sha().is_zero() {
            let (address, mac) = (arp_sender(key), key.arp_sha());
            self.learn_neighbour(address, mac, false);
        }
    }

    fn learn_from_advertisement(&mut self, port: &Port) {
        let (key, mask) = (&self.packet.key, &mut self.out.mask);
        mask.add_all(slot::NW_PROTO);
        if key.nw_proto() != protocol::ICMPV6 {
            return;
        }
        mask.add_all(slot::TP_SRC);
        if key.tp_src() != u16::from(icmp::V6_NEIGHBOR_ADVERTISEMENT) {
            return;
        }
        for place in [slot::TP_DST, slot::ARP_THA, slot::IPV6_DST, slot::ND_TARGET] {
            mask.add_all(place);
        }
        let is_ours = self.view.underlay().is_addressed(&port.name, key.ipv6_dst());
        if key.tp_dst() == 0 && is_ours && !key.arp_tha().is_zero() {
            let (address, mac) = (key.nd_target(), key.arp_tha());
            self.learn_neighbour(address, mac, false);
        }
    }

    /// `is_of_packet`: it is said by this packet alone, not by all that the mask admits.
    fn learn_neighbour(&mut self, address: u128, mac: MacAddr, is_of_packet: bool) {
        let bridge = self.walk.bridge.id();
        self.out.effects.push(Effect::LearnNeighbour { bridge, address, mac, is_of_packet });
    }
}
