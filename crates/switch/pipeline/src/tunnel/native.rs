//! Output to a tunnel port: the way to the other end, the headers, and the outer packet's own way.

use std::sync::Arc;

use base::MacAddr;
use dp::{Action, Attr, DropReason, PushTunnel, TunnelKind};
use flow::{FlowKey, FlowMask, Slot, slot};
use wire::{TypedForm, arp, ethernet, icmp, ipv6, nd, protocol, transport};

use super::header::{Headers, Outer, build};
use crate::commit::{ETHER_TYPES, commit};
use crate::context::{Context, Course, Pending};
use crate::effects::Effect;
use crate::freeze::TUNNEL;
use crate::request::Error;
use crate::state::Port;
use crate::tunnel_config::either;
use crate::tunnel_config::{TunnelConfig, mapped_v4, shown, unmapped};
use crate::underlay::{Asking, Neighbour};
use crate::view::BridgeView;

/// What the outer packet has in common with the one inside, so that its way depends on the same.
const KEPT: [Slot; 3] = [slot::PKT_MARK, slot::SKB_PRIORITY, slot::DP_HASH];

/// Where an outer packet leaves, and to whom.
struct Exit<'a> {
    bridge: &'a dyn BridgeView,
    port: &'a Port,
    outer: Outer,
}

impl<'a> Context<'a> {
    /// Sends the packet as it is now into the tunnel of `port`; whether it is on its way.
    pub(crate) fn output_to_tunnel(
        &mut self,
        port: &'a Port,
        config: &'a TunnelConfig,
        is_last: bool,
    ) -> bool {
        let kept = self.packet.key.clone();
        config.address(&mut self.packet.key, &mut self.out.mask);
        if config.kind != TunnelKind::Geneve {
            self.packet.key.clear_tun_options();
        }
        let is_sent = self.send_addressed(port, config, is_last);
        // What the port made of the tunnel's fields is not seen behind it; what rules did is.
        self.packet.key = kept;
        is_sent
    }

    /// Output to a tunnel that carries packets without Ethernet headers; behind it the packet has its own again.
    pub(crate) fn output_to_l3(&mut self, port: &'a Port, tunnel: &'a TunnelConfig, is_last: bool) -> bool {
        if self.packet.key.packet_type() != 0 {
            return self.output_to_tunnel(port, tunnel, is_last);
        }
        let kept = self.keep_state();
        let outer = std::mem::take(&mut self.out.actions);
        let key = &mut self.packet.key;
        key.set_packet_type(ETHER_TYPES | u32::from(key.dl_type()));
        key.set_dl_src(MacAddr::ZERO);
        key.set_dl_dst(MacAddr::ZERO);
        // One that is not on the packet yet need not be taken off.
        self.packet.pending = self.packet.pending.take().filter(|pending| *pending != Pending::Ethernet);
        let is_sent = self.output_to_tunnel(port, tunnel, is_last);
        let inner = std::mem::replace(&mut self.out.actions, outer);
        self.restore_state(kept);
        if !inner.is_empty() {
            self.append_inner(inner, is_last);
        }
        is_sent
    }

    fn send_addressed(&mut self, port: &'a Port, config: &'a TunnelConfig, is_last: bool) -> bool {
        let key = &self.packet.key;
        let came_to = either(self.request.key.tun_dst(), self.request.key.tun_ipv6_dst());
        if came_to != 0 && came_to == either(key.tun_dst(), key.tun_ipv6_dst()) {
            self.lost(DropReason::TunnelRouting).warning(|| "Not tunneling to our own address".to_owned());
            return false;
        }
        if config.kind == TunnelKind::Geneve && came_to != 0 {
            self.out.carries_options = true;
            // Whether it is one of the tunnel's own operation, it says on.
            self.out.mask.add(slot::TUN_FLAGS, flow::tunnel_flags::OAM.into());
        }
        let bridge = self.walk.bridge;
        if !self.puts_on_headers() {
            self.output_addressed(port);
            return true;
        }
        self.detail(|| "output to native tunnel".to_owned());
        self.out.effects.push(Effect::CountTunnel { traffic: Arc::clone(&port.traffic), is_sent: true });
        commit(&mut self.packet, &mut self.out);
        let Some(exit) = self.find_exit() else { return self.explain_loss(is_last) };
        let options = bridge.tunnel_options(&self.packet.key);
        let Some(headers) = build(config, &self.packet.key, exit.outer, options) else {
            self.lost(DropReason::TunnelHeader).warning(|| "native tunnel header build failed".to_owned());
            return self.explain_loss(is_last);
        };
        let (Some(tunnel_port), Some(out_port)) = (port.datapath, exit.port.datapath) else { return false };
        let push = PushTunnel {
            tunnel_port,
            out_port,
            kind: headers.kind,
            header: headers.bytes.clone().into_boxed_slice(),
        };
        if self.walk.shortens {
            self.send_outer_around(push, is_last);
        } else {
            self.follow_outer(&exit, &headers, push, is_last);
        }
        true
    }

    /// Whether the datapath puts headers of tunnels on and takes them off, and there are tunnels.
    pub(crate) fn puts_on_headers(&self) -> bool {
        let bridge = self.walk.bridge;
        bridge.capabilities().tunnels && self.view.underlay().has_tunnels(bridge.datapath())
    }

    /// Leaves the headers to the port, which tells them from the tunnel's fields.
    fn output_addressed(&mut self, port: &Port) {
        self.detail(|| "output to kernel tunnel".to_owned());
        let traffic = Arc::clone(&port.traffic);
        self.out.effects.push(Effect::CountTunnel { traffic, is_sent: true });
        self.set_tunnel_fields();
        commit(&mut self.packet, &mut self.out);
        let Some(datapath_port) = port.datapath else { return };
        self.sample_output(datapath_port, true);
        self.out.actions.push(Action::Output(datapath_port));
        self.out.export.sent(datapath_port);
    }

    /// Has the packet carry the tunnel's fields of the key.
    pub(crate) fn set_tunnel_fields(&mut self) {
        let key = &self.packet.key;
        if TUNNEL.iter().any(|&place| key.read(place) != self.out.base.read(place)) {
            let below = self.walk.bridge.option_places().to_datapath(key);
            self.out.actions.push(Action::set(Attr::Tunnel, &below, &FlowMask::new()));
            TUNNEL.iter().for_each(|&place| self.out.base.write(place, key.read(place)));
            self.out.base.copy_tun_options(key);
        }
    }

    /// Has the datapath count the copy that goes nowhere; the packet is not on its way.
    fn explain_loss(&mut self, is_last: bool) -> bool {
        if self.walk.bridge.capabilities().explicit_drop {
            let drop = Action::Drop(self.out.lost);
            self.out.actions.push(if is_last { drop } else { Action::Clone([drop].into()) });
        }
        false
    }

    /// The way to the other end, and who is the next on it; asks for that one where it is not known.
    fn find_exit(&mut self) -> Option<Exit<'a>> {
        let underlay = self.view.underlay();
        let key = &self.packet.key;
        let mark = key.pkt_mark();
        let to = either(key.tun_dst(), key.tun_ipv6_dst());
        let from = either(key.tun_src(), key.tun_ipv6_src());
        if underlay.has_marks() {
            self.out.mask.add_all(slot::PKT_MARK);
        }
        let way = underlay.way(mark, to, from);
        let datapath = self.walk.bridge.datapath();
        let found = way.as_ref().and_then(|way| {
            let (bridge, number) = self.view.port_of_device(datapath, &way.device)?;
            let bridge = self.view.bridge(bridge)?;
            Some((bridge, bridge.port(number)?))
        });
        let (Some(way), Some((bridge, port))) = (way, found) else {
            self.lost(DropReason::TunnelRouting).warning(|| "native tunnel routing failed".to_owned());
            return None;
        };
        let next = way.gateway.unwrap_or(to);
        self.detail(|| format!("tunneling to {} via {}", shown(next), way.device));
        let dst_mac = match underlay.neighbour(bridge.name(), next) {
            Neighbour::Known(mac) => mac,
            unknown @ (Neighbour::Asked | Neighbour::Unknown) => {
                let is_asked = unknown == Neighbour::Asked;
                let source = underlay.source(&way.device, next).unwrap_or(way.source);
                self.ask_neighbour(bridge, port, is_asked, next, source);
                return None;
            }
        };
        let src_mac = port.mac;
        let (of, is_of_packet) = (bridge.id(), false);
        self.out.effects.push(Effect::LearnNeighbour {
            bridge: of,
            address: next,
            mac: dst_mac,
            is_of_packet,
        });
        self.detail(|| {
            format!("tunneling from {src_mac} {} to {dst_mac} {}", shown(way.source), shown(next))
        });
        Some(Exit { bridge, port, outer: Outer { src_mac, dst_mac, source: way.source } })
    }

    fn ask_neighbour(
        &mut self,
        bridge: &dyn BridgeView,
        port: &Port,
        is_asked: bool,
        address: u128,
        source: u128,
    ) {
        let protocol = if unmapped(address).is_some() { "ARP" } else { "ND" };
        let verb = if is_asked { "waiting on" } else { "sending" };
        self.lost(DropReason::TunnelNeighbour).detail(|| {
            let (address, name) = (shown(address), bridge.name());
            format!("neighbor cache miss for {address} on bridge {name}, {verb} {protocol} request")
        });
        if !is_asked {
            let frame = question(port.mac, source, address).into();
            let asking = Asking { bridge: bridge.id(), port: port.number, address, frame };
            self.out.effects.push(Effect::AskNeighbour(Arc::new(asking)));
        }
    }

    /// Has the outer packet come in by the device's port: how long it is, the bridge below is to see, and only the datapath knows.
    fn send_outer_around(&mut self, push: PushTunnel, is_last: bool) {
        let steps = [Action::TunnelPush(Box::new(push)), Action::Recirc(0)];
        if is_last {
            self.out.actions.extend(steps);
        } else {
            self.out.actions.push(Action::Clone(steps.into()));
        }
    }

    /// The outer packet goes on in the bridge by which it leaves, as one that came in by the device's port. What it looks
    /// like follows from the mask so far, so what is looked at of it adds nothing to that.
    fn follow_outer(&mut self, exit: &Exit<'a>, headers: &Headers, push: PushTunnel, is_last: bool) {
        if self.walk.depth >= 64 {
            self.out.error = Some(Error::RecursionTooDeep);
            return self.fault(|| "over max translation depth 64".to_owned());
        }
        let kept = (self.packet.clone(), self.walk.clone(), self.out.mirrored, self.out.base.clone());
        let inside = std::mem::replace(&mut self.out.mask, FlowMask::new());
        let before = std::mem::take(&mut self.out.actions);
        self.out.mirrored = 0;
        let counted = self.out.effects.len();
        self.packet.key = outer_key(&self.packet.key, exit.outer, headers);
        self.out.base = self.packet.key.clone();
        self.walk.bridge = exit.bridge;
        self.walk.table = base::TableId(0);
        self.walk.rule = None;
        self.walk.snaplen = None;
        self.packet.enter(exit.port.number);
        self.run_beyond(exit.bridge, exit.port, true);
        // A fault over there is not one here.
        self.out.error = None;
        self.course = Course::On;
        let beyond = std::mem::replace(&mut self.out.actions, before);
        self.lengthen(counted, headers.bytes.len());
        let outside = std::mem::replace(&mut self.out.mask, inside);
        for place in KEPT {
            self.out.mask.add(place, outside.bits(place));
        }
        (self.packet, self.walk, self.out.mirrored, self.out.base) = kept;
        if beyond.is_empty() {
            return;
        }
        let push = Action::TunnelPush(Box::new(push));
        if is_last {
            self.out.actions.push(push);
            self.out.actions.extend(beyond);
        } else {
            self.out.actions.push(Action::Clone(std::iter::once(push).chain(beyond).collect()));
        }
    }
}

impl Context<'_> {
    /// What counts packets among the effects from `first` on counts them with their headers.
    fn lengthen(&mut self, first: usize, header_len: usize) {
        let beyond = self.out.effects.split_off(first);
        let (counts, others): (Vec<_>, Vec<_>) = beyond.into_iter().partition(Effect::counts);
        self.out.effects.extend(others);
        if !counts.is_empty() {
            self.out.effects.push(Effect::Outer { header_len: header_len as u16, counts: counts.into() });
        }
    }
}

/// The key of the outer packet, as long as it has not been sent: its UDP source port is not known yet.
fn outer_key(inside: &FlowKey, outer: Outer, headers: &Headers) -> FlowKey {
    let mut key = FlowKey::new();
    for place in KEPT.into_iter().chain([slot::RECIRC_ID, slot::IN_PORT, slot::ACTSET_OUTPUT]) {
        key.write(place, inside.read(place));
    }
    key.set_dl_dst(outer.dst_mac);
    key.set_dl_src(outer.src_mac);
    if inside.tun_dst() != 0 {
        key.set_dl_type(ethernet::TYPE_IPV4);
        key.set_nw_src(unmapped(outer.source).unwrap_or(0));
        key.set_nw_dst(inside.tun_dst());
    } else {
        key.set_dl_type(ethernet::TYPE_IPV6);
        key.set_ipv6_src(outer.source);
        key.set_ipv6_dst(inside.tun_ipv6_dst());
    }
    key.set_nw_tos(inside.tun_tos());
    key.set_nw_ttl(inside.tun_ttl());
    key.set_nw_proto(headers.protocol);
    key.set_tp_dst(inside.tun_tp_dst());
    key
}

/// The frame that asks for the neighbour of `address`.
fn question(mac: MacAddr, source: u128, address: u128) -> Vec<u8> {
    let ether = |dst, ether_type| ethernet::Header { dst, src: mac, ether_type };
    if let Some(target) = unmapped(address) {
        let mut frame = ether(MacAddr::BROADCAST, ethernet::TYPE_ARP).to_bytes();
        let sender = unmapped(source).unwrap_or(0);
        frame.extend(arp::build(arp::OP_REQUEST, (mac, sender), (MacAddr::ZERO, target)));
        return frame;
    }
    // The group of all whose address ends alike (RFC 4291 §2.7.1).
    let group = 0xff02_0000_0000_0000_0000_0001_ff00_0000 | address & 0xff_ffff;
    let group_mac = MacAddr::from_u64(0x3333_0000_0000 | (group as u64 & 0xffff_ffff));
    let message = nd::Message {
        kind: icmp::V6_NEIGHBOR_SOLICITATION,
        target: address,
        options: vec![nd::NdOption::address(nd::SOURCE_ADDRESS, mac)],
        ..nd::Message::default()
    };
    let mut payload = message.to_bytes();
    let pseudo = wire::checksum::pseudo_ipv6(source, group, protocol::ICMPV6, payload.len());
    transport::write_checksum(protocol::ICMPV6, &mut payload, pseudo);
    let mut frame = ether(group_mac, ethernet::TYPE_IPV6).to_bytes();
    ipv6::Header {
        payload_len: payload.len() as u16,
        next_header: protocol::ICMPV6,
        hop_limit: 255,
        src: source,
        dst: group,
        ..ipv6::Header::default()
    }
    .append(&mut frame);
    frame.extend(payload);
    frame
}

/// What an ARP packet says of its sender.
pub(super) fn arp_sender(key: &FlowKey) -> u128 {
    mapped_v4(key.nw_src())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_asked_for_as_the_protocols_say() {
        let mac = MacAddr([0xaa, 0x55, 0xaa, 0x55, 0, 0]);
        let frame = question(mac, mapped_v4(0x0101_0258), mapped_v4(0x0101_025c));
        let key = flow::extract(&flow::Metadata::default(), &frame, 2);
        assert_eq!((key.dl_dst(), key.dl_type(), key.nw_proto()), (MacAddr::BROADCAST, 0x0806, 1));
        assert_eq!((key.nw_src(), key.nw_dst(), key.arp_sha()), (0x0101_0258, 0x0101_025c, mac));
        let (source, target) = (0x2001_cafe << 96 | 0x88, 0x2001_cafe << 96 | 0x92);
        let frame = question(mac, source, target);
        let key = flow::extract(&flow::Metadata::default(), &frame, 2);
        assert_eq!((key.nd_target(), key.ipv6_src(), key.arp_sha()), (target, source, mac));
        assert_eq!(key.dl_dst(), MacAddr([0x33, 0x33, 0xff, 0, 0, 0x92]));
        let payload = &frame[54..];
        let sum = wire::checksum::pseudo_ipv6(source, key.ipv6_dst(), protocol::ICMPV6, payload.len());
        assert_eq!(sum.bytes(payload).sum(), 0xffff);
    }
}
