use base::MacAddr;
use flow::{FlowKey, FlowMask, slot};
use proptest::prelude::*;
use wire::checksum::{pseudo_ipv4, pseudo_ipv6};
use wire::{Checksum, ethernet, ipv4, ipv6, protocol};

use super::*;
use crate::Attr;

/// Keeps what was sent.
#[derive(Default)]
struct Sink {
    sent: Vec<(DpPort, Packet)>,
    dropped: Vec<DropReason>,
    /// What comes of packets that are sent up.
    answer: Option<Arc<[Action]>>,
    refuses: bool,
}

impl Executor for Sink {
    fn output(&mut self, port: DpPort, packet: Packet) {
        self.sent.push((port, packet));
    }
    fn lb_output(&mut self, _: u32, _: u32, _: Packet) {}
    fn userspace(&mut self, _: &mut Packet, _: &Userspace, _: &[Action]) -> Option<Arc<[Action]>> {
        self.answer.clone()
    }
    fn recirculate(&mut self, _: Packet) {}
    fn conntrack(&mut self, packet: Packet, _: &Conntrack) -> Tracked {
        Tracked::Packet(packet)
    }
    fn meter(&mut self, _: &Packet, _: u32) -> bool {
        !self.refuses
    }
    fn tunnel_push(&mut self, packet: Packet, _: &PushTunnel) -> Option<Packet> {
        Some(packet)
    }
    fn tunnel_pop(&mut self, _: Packet, _: DpPort) {}
    fn random(&mut self) -> u32 {
        7
    }
    fn dropped(&mut self, _: Packet, reason: DropReason) {
        self.dropped.push(reason);
    }
}

fn run_on(packet: Packet, actions: &[Action]) -> Sink {
    let mut sink = Sink::default();
    execute(&mut sink, packet, actions);
    sink
}

/// A frame with a right checksum, or one to be completed.
fn frame(is_v6: bool, proto: u8, payload: &[u8], is_partial: bool) -> Packet {
    let mut l4 = match proto {
        protocol::TCP => {
            let mut header = vec![0; 20];
            header[12] = 0x50;
            header[..4].copy_from_slice(&[1, 2, 3, 4]);
            header
        }
        _ => wire::udp::header(5, 6, payload.len()).to_vec(),
    };
    let check_at = if proto == protocol::TCP { 16 } else { 6 };
    l4.extend(payload);
    let (src, dst) =
        (0x2001_0db8_0000_0001_0000_0000_0000_0007u128, 0xfd00_0000_0000_0000_0000_0000_0000_0009u128);
    let pseudo = if is_v6 {
        pseudo_ipv6(src, dst, proto, l4.len())
    } else {
        pseudo_ipv4(0x0a000001, 0x0a000002, proto, l4.len())
    };
    let check = if is_partial { pseudo.sum() } else { Checksum::bytes(pseudo, &l4).finish() };
    l4[check_at..check_at + 2].copy_from_slice(&check.to_be_bytes());
    let mut bytes =
        ethernet::header(MacAddr([2; 6]), MacAddr([4; 6]), if is_v6 { 0x86dd } else { 0x0800 }).to_vec();
    if is_v6 {
        bytes.extend(ipv6::header(src, dst, proto, 0, 0, 64, l4.len()));
    } else {
        bytes.extend(ipv4::header(0x0a000001, 0x0a000002, proto, 0, 64, 0, l4.len()));
    }
    let l4_at = bytes.len();
    bytes.extend(l4);
    let mut packet = Packet::from_bytes(&bytes);
    if is_partial {
        packet.offload.checksum = Some((l4_at as u16, check_at as u16));
    }
    packet
}

/// The sum over the pseudo header and L4 as a receiver makes it: 0xffff when right.
fn receiver_sum(packet: &Packet) -> u16 {
    let mut bytes = packet.bytes().to_vec();
    if let Some((start, at)) = packet.offload.checksum {
        let start = usize::from(start);
        let sum = Checksum::new().bytes(&bytes[start..]).finish();
        wire::bytes::put16(&mut bytes, start + usize::from(at), sum);
    }
    let l3 = &bytes[14..];
    if bytes[12] == 8 {
        let ip = ipv4::Ipv4::parse(l3).unwrap();
        assert_eq!(wire::checksum(&l3[..ip.header_len()]), 0, "IPv4 header checksum");
        pseudo_ipv4(ip.src(), ip.dst(), ip.protocol(), ip.payload().len()).bytes(ip.payload()).sum()
    } else {
        let ip = ipv6::Ipv6::parse(l3).unwrap();
        pseudo_ipv6(ip.src(), ip.dst(), ip.next_header(), ip.payload().len()).bytes(ip.payload()).sum()
    }
}

proptest! {
    #[test]
    fn checksums_stay_right(
        is_v6: bool, is_tcp: bool, is_partial: bool,
        payload in prop::collection::vec(any::<u8>(), 0..50),
        src: u128, dst: u128, ports: u32, tos: u8, ttl: u8, mask: u128,
    ) {
        let proto = if is_tcp { protocol::TCP } else { protocol::UDP };
        let packet = frame(is_v6, proto, &payload, is_partial);
        let mut key = FlowKey::new();
        key.set_nw_src(src as u32);
        key.set_nw_dst(dst as u32);
        key.set_ipv6_src(src);
        key.set_ipv6_dst(dst);
        key.set_nw_tos(tos);
        key.set_nw_ttl(ttl);
        key.set_tp_src((ports >> 16) as u16);
        key.set_tp_dst(ports as u16);
        let mut bits = FlowMask::new();
        for place in [slot::NW_SRC, slot::NW_DST, slot::IPV6_SRC, slot::IPV6_DST] {
            bits.set_bits(place, mask);
        }
        for place in [slot::NW_TOS, slot::NW_TTL, slot::TP_SRC, slot::TP_DST] {
            bits.add_all(place);
        }
        let mut service = FlowKey::new();
        service.set_nsh_mdtype(1);
        let actions = [
            Action::set(if is_v6 { Attr::Ipv6 } else { Attr::Ipv4 }, &key, &bits),
            Action::set(if is_tcp { Attr::Tcp } else { Attr::Udp }, &key, &bits),
            Action::PushVlan { tpid: 0x8100, tci: 0x1005 },
            Action::PushNsh { key: Box::new(flow::SparseKey::from(&service)), metadata: Box::new([]) },
            Action::PopNsh,
            Action::PopVlan,
            Action::Output(DpPort(1)),
        ];
        let sink = run_on(packet, &actions);
        let out = &sink.sent[0].1;
        prop_assert_eq!(receiver_sum(out), 0xffff);
        let after = out.key(1);
        prop_assert_eq!((after.nw_tos(), after.nw_ttl()), (tos, ttl));
        prop_assert_eq!((after.tp_src(), after.tp_dst()), ((ports >> 16) as u16, ports as u16));
    }

    /// Any step on any bytes is harmless.
    #[test]
    fn no_step_panics(bytes in prop::collection::vec(any::<u8>(), 0..90), ty in prop::sample::select(vec![0x800u16, 0x86dd, 0x8100, 0x8847, 0x894f, 0x806])) {
        let mut bytes = bytes;
        if bytes.len() > 14 {
            bytes[12..14].copy_from_slice(&ty.to_be_bytes());
        }
        let key = FlowKey::from_words([0x0123_4567_89ab_cdef; flow::WORDS]);
        let mut actions: Vec<Action> = [
            Attr::Ethernet, Attr::Ipv4, Attr::Ipv6, Attr::Tcp, Attr::Udp, Attr::Sctp, Attr::Icmp, Attr::Icmpv6,
            Attr::Arp, Attr::Nd, Attr::NdExt, Attr::Mpls, Attr::Nsh, Attr::Vlan, Attr::Tunnel, Attr::CtState,
        ].into_iter().map(|attr| Action::set(attr, &key, &FlowMask::exact())).collect();
        actions.extend([
            Action::PopMpls { ether_type: 0x800 },
            Action::PopEth,
            Action::PushMpls { entry: 0x100, ether_type: 0x8847 },
            Action::PushEth { src: MacAddr([1; 6]), dst: MacAddr([2; 6]) },
            Action::PopVlan,
            Action::DecTtl(Arc::new([])),
            Action::Trunc(20),
            Action::Output(DpPort(1)),
            Action::PopNsh,
            Action::Output(DpPort(2)),
        ]);
        run_on(Packet::from_bytes(&bytes), &actions);
    }
}

#[test]
fn lists_inside_steps_leave_the_packet_as_it_was() {
    let packet = frame(false, protocol::UDP, b"abc", false);
    let before = packet.bytes().to_vec();
    let inner: Arc<[Action]> =
        Arc::new([Action::PushVlan { tpid: 0x8100, tci: 0x1001 }, Action::Output(DpPort(1))]);
    let actions = [
        Action::Clone(inner.clone()),
        Action::Sample { probability: u32::MAX, actions: inner.clone() },
        Action::Sample { probability: 1, actions: inner },
        Action::Trunc(20),
        Action::Output(DpPort(2)),
        Action::Output(DpPort(3)),
    ];
    let sink = run_on(packet, &actions);
    let lens: Vec<_> = sink.sent.iter().map(|(port, p)| (port.0, p.len())).collect();
    assert_eq!(lens, [(1, before.len() + 4), (1, before.len() + 4), (2, 20), (3, before.len())]);
    assert_eq!(sink.sent[3].1.bytes(), before);
}

#[test]
fn mpls_is_pushed_between_the_tag_and_ip() {
    let packet = frame(false, protocol::UDP, b"abc", false);
    let before = packet.bytes().to_vec();
    let actions = [
        Action::PushVlan { tpid: 0x8100, tci: 0x1001 },
        Action::PushMpls { entry: wire::mpls::entry(16, 0, true, 64), ether_type: 0x8847 },
        Action::Output(DpPort(1)),
        Action::PopMpls { ether_type: 0x0800 },
        Action::PopVlan,
        Action::Output(DpPort(2)),
    ];
    let sink = run_on(packet, &actions);
    let key = sink.sent[0].1.key(1);
    assert_eq!((key.vlan_tci(0), key.dl_type(), key.mpls0()), (0x1001, 0x8847, 0x10140));
    assert_eq!(sink.sent[1].1.bytes(), before);
}

#[test]
fn a_train_goes_into_a_tunnel_in_segments() {
    let mut packet = frame(false, protocol::TCP, &[7; 3000], true);
    packet.offload.segmentation = Some(crate::Segmentation { kind: 1, size: 1000, header_len: 54 });
    let push = PushTunnel { tunnel_port: DpPort(2), out_port: DpPort(1), kind: 4, header: Box::new([]) };
    let sink = run_on(packet, &[Action::TunnelPush(Box::new(push)), Action::Output(DpPort(1))]);
    let lens: Vec<_> = sink.sent.iter().map(|(_, packet)| packet.len()).collect();
    assert_eq!(lens, [1054, 1054, 1054]);
    assert!(sink.sent.iter().all(|(_, packet)| packet.offload.is_none() && receiver_sum(packet) == 0xffff));
}

/// Why the packet is dropped by `actions`, as text; the sampler's random number is 7.
fn reasons(sink: Sink, packet: &Packet, actions: &str) -> Vec<DropReason> {
    let mut sink = sink;
    execute(&mut sink, packet.clone(), &crate::text::parse_actions(actions, None).unwrap());
    sink.dropped
}

#[test]
fn a_packet_that_no_step_delivers_is_dropped_for_a_reason() {
    let udp = frame(false, protocol::UDP, b"x", false);
    let of = |actions: &str| reasons(Sink::default(), &udp, actions);
    assert_eq!(run_on(udp.clone(), &[]).dropped, [DropReason::Pipeline]);
    assert_eq!(of("drop"), [DropReason::Pipeline]);
    assert_eq!(of("push_vlan(vid=1,pcp=0)"), [DropReason::Pipeline], "rewritten for nobody");
    assert_eq!(of("meter(1)"), [DropReason::Pipeline], "metered for nobody");
    assert_eq!(of("clone(push_vlan(vid=1,pcp=0))"), [DropReason::Pipeline]);
    assert_eq!(of("check_pkt_len(size=9000,gt(1),le(drop))"), [DropReason::Pipeline]);
    assert_eq!(of("sample(sample=0.0%,actions(1))"), [DropReason::Sample]);
    assert_eq!(of("pop_nsh()"), [DropReason::NshDecap]);
    let metered = Sink { refuses: true, ..Sink::default() };
    assert_eq!(reasons(metered, &udp, "meter(1),2"), [DropReason::Meter]);
    for delivered in
        ["1", "sample(sample=0.0%,actions(1)),2", "clone(2),pop_vlan", "userspace(pid=0,slow_path())"]
    {
        assert_eq!(of(delivered), [], "{delivered}");
    }
}

#[test]
fn a_copy_that_goes_nowhere_is_no_drop() {
    let udp = frame(false, protocol::UDP, b"x", false);
    let of = |actions: &str| reasons(Sink::default(), &udp, actions);
    assert_eq!(of("clone(push_vlan(vid=1,pcp=0)),1"), []);
    assert_eq!(of("clone(sample(sample=0.0%,actions(1))),1"), []);
    let explicit = Action::Clone(Arc::new([Action::Drop(DropReason::Pipeline)]));
    assert_eq!(run_on(udp.clone(), &[explicit, Action::Output(DpPort(1))]).dropped, [DropReason::Pipeline]);
    let answered = Sink { answer: Some(Arc::new([])), ..Sink::default() };
    assert_eq!(reasons(answered, &udp, "userspace(pid=0,slow_path()),1"), []);
    let answered = Sink { answer: Some(Arc::new([])), ..Sink::default() };
    assert_eq!(reasons(answered, &udp, "userspace(pid=0,slow_path())"), [DropReason::Pipeline]);
}

#[test]
fn lists_that_nest_too_deep_drop_the_packet() {
    let mut actions: Arc<[Action]> = Arc::new([Action::Output(DpPort(1))]);
    for _ in 0..MAX_DEPTH {
        actions = Arc::new([Action::Clone(actions)]);
    }
    let udp = frame(false, protocol::UDP, b"x", false);
    assert_eq!(run_on(udp.clone(), &actions).sent.len(), 1);
    let deeper = run_on(udp, &[Action::Clone(actions)]);
    assert_eq!((deeper.sent.len(), deeper.dropped), (0, vec![DropReason::ActionDepth]));
}

#[test]
fn a_packet_whose_time_is_over_takes_the_other_way_or_is_dropped() {
    let mut udp = frame(false, protocol::UDP, b"x", false);
    udp.bytes_mut()[22] = 1;
    let decrement = |at_end: &[Action]| [Action::DecTtl(at_end.into()), Action::Output(DpPort(1))];
    let dropped = run_on(udp.clone(), &decrement(&[]));
    assert_eq!((dropped.sent.len(), dropped.dropped), (0, vec![DropReason::DatapathTtl]));
    let elsewhere = run_on(udp, &decrement(&[Action::Output(DpPort(2))]));
    assert_eq!((elsewhere.sent[0].0, elsewhere.dropped.len()), (DpPort(2), 0));
}

#[test]
fn a_train_that_cannot_be_cut_does_not_get_into_a_tunnel() {
    let mut train = Packet::from_bytes(&[0; 60]);
    train.offload.segmentation = Some(crate::Segmentation { kind: 1, size: 10, header_len: 0 });
    let push = PushTunnel { tunnel_port: DpPort(4), out_port: DpPort(1), kind: 4, header: Box::new([0; 50]) };
    let done = run_on(train, &[Action::TunnelPush(Box::new(push)), Action::Output(DpPort(1))]);
    assert_eq!((done.sent.len(), done.dropped), (0, vec![DropReason::TunnelPush]));
}
