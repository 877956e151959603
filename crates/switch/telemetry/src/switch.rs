//! What the switch knows, as records: packets and ports in sFlow's terms.

use std::net::Ipv4Addr;

use base::DpPort;
use dp::{Action, Attr, DpStats, PortInfo, PortStats, TunnelKind};
use flow::{FlowKey, MAX_MPLS, slot};
use wire::{ethernet, protocol};

use crate::agent::Agent;
use crate::datagram::{
    AppResources, CounterRecord, DatapathCounters, FlowRecord, InterfaceCounters, Ipv4Tunnel, LagCounters,
    MplsStacks, PortRef, SwitchTags, UNKNOWN,
};

/// The frame check sequence, which is gone before a packet is sampled.
const FCS_LEN: u32 = 4;

/// `header_protocol` of Ethernet.
const ETHERNET: u32 = 1;

/// A sampled packet in sFlow's terms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampled<'a> {
    /// As it came in.
    pub key: &'a FlowKey,
    pub packet: &'a [u8],
    /// Bytes of it that are sent, at most.
    pub header_len: usize,
    /// The ingress interface's index, 0 where it has none.
    pub ifindex: u32,
    /// What carried it, where the ingress port is a tunnel.
    pub tunnel: Option<TunnelKind>,
    /// What carries it away, where the datapath leaves that to the egress port.
    pub out_tunnel: Option<TunnelKind>,
    /// The tag with which it left, and where it left.
    pub vlan_tci: u16,
    pub output: u32,
    /// What was done to it.
    pub actions: &'a [Action],
}

impl Agent {
    /// Takes a sampled packet. Returns a datagram that became full by it.
    pub(crate) fn sample_packet(&mut self, sampled: &Sampled<'_>) -> Option<Vec<u8>> {
        let input = PortRef { format: 0, value: sampled.ifindex };
        self.sample(input, PortRef::from_word(sampled.output), flow_records(sampled))
    }
}

fn flow_records(sampled: &Sampled<'_>) -> Vec<FlowRecord> {
    let header = sampled.packet.get(..sampled.header_len).unwrap_or(sampled.packet);
    let (came, left) = (sampled.key.vlan_tci(0), sampled.vlan_tci);
    let mut records = vec![
        FlowRecord::Switch(SwitchTags {
            in_vlan: vid(came),
            in_priority: priority(came),
            out_vlan: vid(left),
            out_priority: priority(left),
        }),
        FlowRecord::Header {
            protocol: ETHERNET,
            frame_length: sampled.packet.len() as u32 + FCS_LEN,
            stripped: FCS_LEN,
            bytes: header.to_vec(),
        },
    ];
    if PortRef::from_word(sampled.output).is_one_interface() {
        egress_tunnel(sampled, &mut records);
        egress_labels(sampled.key, sampled.actions, &mut records);
    }
    let key = sampled.key;
    if key.tun_dst() != 0 {
        if key.tun_id() != 0 {
            records.push(FlowRecord::VniIngress(key.tun_id() as u32));
        }
        records.push(FlowRecord::TunnelIngress(tunnel_of(key, sampled.tunnel)));
    }
    records
}

/// The tunnel that a key's fields are of, over IPv4.
fn tunnel_of(key: &FlowKey, kind: Option<TunnelKind>) -> Ipv4Tunnel {
    let carrier = match kind {
        Some(TunnelKind::Gre) => protocol::GRE,
        Some(TunnelKind::Vxlan | TunnelKind::Geneve) => protocol::UDP,
        Some(
            TunnelKind::Erspan
            | TunnelKind::Ip6Erspan
            | TunnelKind::Ip6Gre
            | TunnelKind::Gtpu
            | TunnelKind::Bareudp
            | TunnelKind::Srv6
            | TunnelKind::Lisp
            | TunnelKind::Stt,
        )
        | None => 0,
    };
    Ipv4Tunnel {
        protocol: carrier.into(),
        src: key.tun_src(),
        dst: key.tun_dst(),
        src_port: key.tun_tp_src().into(),
        dst_port: key.tun_tp_dst().into(),
        tos: key.tun_tos().into(),
        ..Ipv4Tunnel::default()
    }
}

impl PortRef {
    /// Whether it names exactly one port, by index or as "one port".
    fn is_one_interface(self) -> bool {
        match self.format {
            0 => self.value != 0,
            2 => self.value == 1,
            _ => false,
        }
    }
}

/// The fields of the tunnel into which the egress port puts a packet; none if there are several.
fn addressed(actions: &[Action]) -> Option<FlowKey> {
    let mut keys = actions.iter().filter_map(|action| match action {
        Action::Set(set) if set.attr == Attr::Tunnel => Some(FlowKey::from(&set.key)),
        _ => None,
    });
    keys.next().filter(|_| keys.next().is_none())
}

/// The port that puts a packet into a tunnel, if one does.
pub(crate) fn tunnel_port(actions: &[Action]) -> Option<DpPort> {
    let mut addressed =
        actions.iter().skip_while(|action| !matches!(action, Action::Set(set) if set.attr == Attr::Tunnel));
    addressed.find_map(|action| if let Action::Output(port) = action { Some(*port) } else { None })
}

/// The tunnel into which a packet went, if it was one over IPv4.
fn egress_tunnel(sampled: &Sampled<'_>, records: &mut Vec<FlowRecord>) {
    let actions = sampled.actions;
    if let Some(key) = addressed(actions) {
        if key.tun_id() != 0 {
            records.push(FlowRecord::VniEgress(key.tun_id() as u32));
        }
        records.push(FlowRecord::TunnelEgress(tunnel_of(&key, sampled.out_tunnel)));
        return;
    }
    let mut pushes = actions.iter().filter_map(|action| {
        let Action::TunnelPush(push) = action else { return None };
        Some(push)
    });
    let (Some(push), None) = (pushes.next(), pushes.next()) else { return };
    let Some(outer) = wire::ethernet::Ethernet::parse(&push.header) else { return };
    // Lengths in the prepared header are still zero, so it cannot be parsed as a packet.
    let ip = outer.payload();
    if outer.ether_type() != wire::ethernet::TYPE_IPV4 || ip.len() < wire::ipv4::MIN_LEN {
        return;
    }
    use wire::bytes::{be16, be32, byte};
    let carrier = byte(ip, 9);
    let upper = ip.get(wire::ipv4::MIN_LEN..).unwrap_or(&[]);
    let mut tunnel = Ipv4Tunnel {
        protocol: carrier.into(),
        src: be32(ip, 12),
        dst: be32(ip, 16),
        tos: byte(ip, 1).into(),
        ..Ipv4Tunnel::default()
    };
    let mut vni = 0;
    if carrier == protocol::UDP && upper.len() >= 16 {
        tunnel.src_port = be16(upper, 0).into();
        tunnel.dst_port = be16(upper, 2).into();
        vni = be32(upper, 12) >> 8;
    }
    if vni != 0 {
        records.push(FlowRecord::VniEgress(vni));
    }
    records.push(FlowRecord::TunnelEgress(tunnel));
}

/// The bit of a label stack's last entry.
const BOTTOM: u32 = 1 << 8;

/// The label stack with which a packet left, if it had one that is known whole.
fn egress_labels(key: &FlowKey, actions: &[Action], records: &mut Vec<FlowRecord>) {
    let Some(mut left) = labels_after(key, actions).filter(|left| !left.is_empty()) else { return };
    left.iter_mut().for_each(|entry| *entry &= !BOTTOM);
    left.last_mut().into_iter().for_each(|entry| *entry |= BOTTOM);
    let next_hop = Ipv4Addr::UNSPECIFIED.into();
    records.push(FlowRecord::Mpls(MplsStacks { next_hop, came: Vec::new(), left }));
}

/// The stack that `actions` make of the packet's, the outer entry first; none if it is deeper than keys are.
fn labels_after(key: &FlowKey, actions: &[Action]) -> Option<Vec<u32>> {
    let mut stack = Vec::new();
    if matches!(key.dl_type(), ethernet::TYPE_MPLS | ethernet::TYPE_MPLS_MULTICAST) {
        for entry in [key.mpls0(), key.mpls1(), key.mpls2()] {
            stack.push(entry);
            if entry & BOTTOM != 0 {
                break;
            }
        }
    }
    for action in actions {
        match action {
            Action::PushMpls { entry, .. } if stack.len() < MAX_MPLS => stack.insert(0, *entry),
            Action::PushMpls { .. } => return None,
            Action::PopMpls { .. } if stack.is_empty() => return None,
            Action::PopMpls { .. } => drop(stack.remove(0)),
            Action::Set(set) if set.attr == Attr::Mpls => {
                let [value, mask] = [&set.key, &set.mask].map(|words| words.read(slot::MPLS0) as u32);
                let outer = stack.first_mut()?;
                *outer = *outer & !mask | value & mask;
            }
            // It may put its label before the Ethernet header, where it is none of this stack.
            Action::AddMpls { .. } => return None,
            Action::Set(_)
            | Action::Output(_)
            | Action::LbOutput(_)
            | Action::Trunc(_)
            | Action::Userspace(_)
            | Action::PushVlan { .. }
            | Action::PopVlan
            | Action::PushEth { .. }
            | Action::PopEth
            | Action::PushNsh { .. }
            | Action::PopNsh
            | Action::Recirc(_)
            | Action::Hash { .. }
            | Action::Sample { .. }
            | Action::Clone(_)
            | Action::CheckPktLen { .. }
            | Action::Ct(_)
            | Action::CtClear
            | Action::Meter(_)
            | Action::TunnelPush(_)
            | Action::TunnelPop(_)
            | Action::DecTtl(_)
            | Action::Psample { .. }
            | Action::Drop(_) => {}
        }
    }
    Some(stack)
}

fn vid(tci: u16) -> u32 {
    u32::from(tci & 0xfff)
}

fn priority(tci: u16) -> u32 {
    u32::from(tci >> 13)
}

/// The speed reported of ports that do not know theirs, in bits per second.
const DEFAULT_SPEED: u64 = 100_000_000;

/// The low half of a counter; all ones where it is not kept.
fn low(counter: Option<u64>) -> u32 {
    counter.map_or(UNKNOWN, |count| count as u32)
}

/// A counter; all ones where it is not kept.
fn whole(counter: Option<u64>) -> u64 {
    counter.unwrap_or(u64::MAX)
}

/// A port's counters. 64-bit counters are cut to 32 bits where sFlow has no more.
pub(crate) fn port_records(
    info: &PortInfo,
    stats: &PortStats,
    datapath_id: u64,
    of_port: u32,
    lag: Option<LagCounters>,
) -> Vec<CounterRecord> {
    let speed = info.speed_mbps.map_or(DEFAULT_SPEED, |mbps| u64::from(mbps) * 1_000_000);
    let direction = match (info.speed_mbps, info.is_full_duplex) {
        (None, false) => 0,
        (_, true) => 1,
        (_, false) => 2,
    };
    let status = u32::from(info.is_up) | u32::from(info.is_running()) << 1;
    let mut ethernet = [UNKNOWN; 13];
    ethernet[0] = low(stats.rx_frame_errors);
    ethernet[1] = low(stats.rx_crc_errors);
    let mut records = vec![
        CounterRecord::Ethernet(ethernet),
        CounterRecord::OpenFlowPort { datapath_id, port: of_port },
        CounterRecord::PortName(info.name.clone()),
    ];
    records.extend(lag.map(CounterRecord::Lag));
    records.push(CounterRecord::Interface(InterfaceCounters {
        index: info.ifindex.unwrap_or(0),
        kind: 6,
        speed,
        direction,
        status,
        in_octets: whole(stats.rx_bytes),
        in_unicast: low(stats.rx_packets),
        in_multicast: low(stats.multicast),
        in_broadcast: UNKNOWN,
        in_discards: low(stats.rx_dropped),
        in_errors: low(stats.rx_errors),
        in_unknown_protocols: UNKNOWN,
        out_octets: whole(stats.tx_bytes),
        out_unicast: low(stats.tx_packets),
        out_multicast: UNKNOWN,
        out_broadcast: UNKNOWN,
        out_discards: low(stats.tx_dropped),
        out_errors: low(stats.tx_errors),
        promiscuous: 0,
    }));
    records
}

/// The counters of the switch as a whole, which one bridge sends for all.
pub(crate) fn bridge_records(stats: &DpStats, resources: AppResources) -> Vec<CounterRecord> {
    vec![
        CounterRecord::AppResources(resources),
        CounterRecord::Datapath(DatapathCounters {
            hits: stats.hits as u32,
            misses: stats.missed as u32,
            lost: stats.lost as u32,
            // A userspace datapath does not look masks up one by one.
            mask_hits: UNKNOWN,
            flows: stats.flows as u32,
            masks: UNKNOWN,
        }),
    ]
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use base::Timestamp;

    use super::*;
    use crate::{Config, Datagram, Sample};

    #[test]
    fn a_packet_tells_tags_length_and_first_bytes() {
        let mut key = FlowKey::new();
        key.set_vlan(0, 0x8100, 0x1000 | 5 << 13 | 10);
        let packet: Vec<u8> = (0..200).collect();
        let sampled = Sampled {
            key: &key,
            packet: &packet,
            header_len: 128,
            ifindex: 4,
            tunnel: None,
            out_tunnel: None,
            vlan_tci: 0x1000 | 20,
            output: 0x8000_0003,
            actions: &[],
        };
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let config = Config { address, sub_agent: 0, rate: 1, polling_s: 0 };
        let mut agent = Agent::new(config, Timestamp::ZERO);
        assert_eq!(agent.sample_packet(&sampled), None);
        let sent = agent.tick(Timestamp::ZERO, &[], |_| Vec::new());
        let datagram = Datagram::decode(&sent[0]).unwrap();
        let Sample::Flow(flow) = &datagram.samples[0] else { panic!("{datagram:?}") };
        assert_eq!(flow.input, PortRef { format: 0, value: 4 });
        assert_eq!(flow.output, PortRef { format: 2, value: 3 });
        let tags = SwitchTags { in_vlan: 10, in_priority: 5, out_vlan: 20, out_priority: 0 };
        let bytes = packet[..128].to_vec();
        let header = FlowRecord::Header { protocol: 1, frame_length: 204, stripped: 4, bytes };
        assert_eq!(flow.records, [FlowRecord::Switch(tags), header]);
    }

    #[test]
    fn a_tunnel_is_told_when_there_is_one_way_out() {
        let mut header = wire::ethernet::header(Default::default(), Default::default(), 0x0800).to_vec();
        header.extend(wire::ipv4::header(0x0a00_0001, 0x0a00_0002, 17, 8, 64, 0, 0));
        header.extend([0x12, 0x34, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 42, 0]);
        let push = dp::PushTunnel {
            tunnel_port: base::DpPort(1),
            out_port: base::DpPort(2),
            kind: 4,
            header: header.into(),
        };
        let records = egress_of(&[Action::TunnelPush(Box::new(push))]);
        let FlowRecord::TunnelEgress(tunnel) = records[1] else { panic!("{records:?}") };
        assert_eq!(records[0], FlowRecord::VniEgress(42));
        assert_eq!((tunnel.src, tunnel.dst_port, tunnel.tos), (0x0a00_0001, 4789, 8));
    }

    fn egress_of(actions: &[Action]) -> Vec<FlowRecord> {
        let mut records = Vec::new();
        let sampled = Sampled {
            key: &FlowKey::new(),
            packet: &[],
            header_len: 0,
            ifindex: 0,
            tunnel: None,
            out_tunnel: Some(TunnelKind::Gre),
            vlan_tci: 0,
            output: 0,
            actions,
        };
        egress_tunnel(&sampled, &mut records);
        records
    }

    #[test]
    fn a_tunnel_whose_headers_the_port_puts_on_is_told_by_its_fields() {
        let mut key = FlowKey::new();
        key.set_tun_dst(0x0101_0101);
        key.set_tun_id(456);
        let set = Action::set(Attr::Tunnel, &key, &flow::FlowMask::new());
        let records = egress_of(&[set.clone(), Action::Output(DpPort(1))]);
        let FlowRecord::TunnelEgress(tunnel) = records[1] else { panic!("{records:?}") };
        assert_eq!(records[0], FlowRecord::VniEgress(456));
        assert_eq!((tunnel.dst, tunnel.protocol), (0x0101_0101, 47));
        assert_eq!(tunnel_port(&[set.clone(), Action::Output(DpPort(7))]), Some(DpPort(7)));
        assert!(egress_of(&[set.clone(), set]).is_empty(), "of two tunnels, neither is the packet's");
    }

    #[test]
    fn labels_are_told_as_the_packet_leaves() {
        let mut key = FlowKey::new();
        key.set_dl_type(0x8847);
        key.set_mpls0(11 << 12 | 3 << 9 | BOTTOM | 64);
        let push = Action::PushMpls { entry: 789 << 12 | 4 << 9 | 32, ether_type: 0x8847 };
        let told = |actions: &[Action]| {
            let mut records = Vec::new();
            egress_labels(&key, actions, &mut records);
            match records.pop() {
                Some(FlowRecord::Mpls(stacks)) => stacks.left,
                _ => Vec::new(),
            }
        };
        let inner = key.mpls0();
        assert_eq!(told(&[]), [inner]);
        assert_eq!(told(std::slice::from_ref(&push)), [789 << 12 | 4 << 9 | 32, inner]);
        assert_eq!(told(&vec![push.clone(); 3]), [0; 0], "deeper than is known");
        let pop = Action::PopMpls { ether_type: 0x0800 };
        assert_eq!(told(std::slice::from_ref(&pop)), [0; 0]);
        assert_eq!(told(&[pop, push]), [789 << 12 | 4 << 9 | BOTTOM | 32]);
        let (mut value, mut mask) = (FlowKey::new(), flow::FlowMask::new());
        value.set_mpls0(9);
        mask.set_bits(slot::MPLS0, 0xff);
        assert_eq!(
            told(&[Action::Set(Box::new(dp::Set::new(Attr::Mpls, &value, &mask)))]),
            [inner & !0xff | 9]
        );
    }

    #[test]
    fn a_port_is_told_as_interfaces_are() {
        let info = PortInfo { ifindex: Some(9), is_up: true, has_link: true, ..PortInfo::default() };
        let stats =
            PortStats { rx_packets: Some(1 << 33 | 7), rx_bytes: Some(1 << 33), ..PortStats::default() };
        let records = port_records(&info, &stats, 1, 2, None);
        let Some(CounterRecord::Interface(counters)) = records.last() else { panic!("{records:?}") };
        assert_eq!((counters.in_unicast, counters.in_octets), (7, 1 << 33));
        assert_eq!((counters.status, counters.speed), (3, 100_000_000));
    }
}
