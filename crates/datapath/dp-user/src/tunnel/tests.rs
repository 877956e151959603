use dp::Action;
use proptest::prelude::*;

use super::*;

#[test]
fn what_is_pushed_can_be_popped() {
    let text = "tnl_push(tnl_port(4),header(size=50,type=4,eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0,dl_type=0x0800),\
                ipv4(src=1.1.2.88,dst=1.1.2.92,proto=17,tos=0,ttl=64,frag=0x4000),udp(src=0,dst=4789,csum=0x0),\
                vxlan(flags=0x8000000,vni=0x1c7)),out_port(1))";
    let actions = dp::text::parse_actions(text, None).unwrap();
    let [Action::TunnelPush(header)] = &actions[..] else { panic!("one push") };
    let inner = [7u8; 60];
    let packet = push(Packet::from_bytes(&inner), header, &TunnelSettings::default(), || 1).unwrap();
    assert_eq!(packet.len(), 110);
    assert_eq!(wire::checksum(&packet.bytes()[14..34]), 0);
    let back = pop(packet, TunnelKind::Vxlan, &TunnelSettings::default()).unwrap();
    assert_eq!(back.bytes(), inner);
    let key = back.metadata.tunnel.unwrap().to_key();
    assert_eq!((key.tun_id(), key.tun_dst(), key.tun_flags()), (0x1c7, 0x0101_025c, tunnel_flags::KEY));
}

const KINDS: [TunnelKind; 6] = [
    TunnelKind::Vxlan,
    TunnelKind::Geneve,
    TunnelKind::Gre,
    TunnelKind::Erspan,
    TunnelKind::Gtpu,
    TunnelKind::Srv6,
];

proptest! {
    /// What anybody may send: nothing panics, and what is refused is left as it was.
    #[test]
    fn any_bytes_are_taken_off_or_left_alone(
        protocol in prop::sample::select(vec![17u8, 47]),
        is_whole: bool,
        payload in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut bytes = ethernet::header(base::MacAddr::ZERO, base::MacAddr::ZERO, 0x800).to_vec();
        let len = if is_whole { payload.len() } else { payload.len() / 2 };
        bytes.extend(ipv4::header(1, 2, protocol, 0, 64, 0, len));
        bytes.extend(&payload);
        let option = dp::TunnelOption { class: 0, kind: 0, len: 4, field: 3 };
        let settings = TunnelSettings { options: vec![option], ..TunnelSettings::default() };
        for kind in KINDS {
            match pop(Packet::from_bytes(&bytes), kind, &settings) {
                Ok(packet) => prop_assert!(bytes.windows(packet.len()).any(|w| w == packet.bytes())),
                Err(packet) => prop_assert_eq!(packet.bytes(), &bytes[..]),
            }
        }
    }
}

#[test]
fn options_are_read_and_critical_ones_must_be_known() {
    let option = |class, kind| GeneveOption { class, kind, data: vec![0, 5, 0, 6] };
    let pushed = |options: Vec<GeneveOption>| {
        let mut bytes = ethernet::header(base::MacAddr::ZERO, base::MacAddr::ZERO, 0x800).to_vec();
        let protocol = ethernet::TYPE_TEB;
        let header = geneve::Header { protocol, vni: 7, options, ..geneve::Header::default() };
        let len = udp::LEN + header.header_len() + 60;
        bytes.extend(ipv4::header(1, 2, protocol::UDP, 0, 64, 0, len));
        bytes.extend(udp::header(1, 6081, len - udp::LEN));
        header.append(&mut bytes);
        bytes.extend([7; 60]);
        Packet::from_bytes(&bytes)
    };
    let known = dp::TunnelOption { class: 0x102, kind: 0x80, len: 4, field: 0 };
    let settings = TunnelSettings { options: vec![known], ..TunnelSettings::default() };
    let read = |options| {
        let packet = pop(pushed(options), TunnelKind::Geneve, &settings).ok()?;
        Some(packet.metadata.tunnel?.to_key().read(flow::Slot::tun_metadata_value(0)))
    };
    assert_eq!(read(vec![option(1, 1), option(0x102, 0x80)]), Some(0x5_0006));
    assert_eq!(read(vec![option(1, 1)]), Some(0), "one that nobody asked for is left out");
    assert_eq!(read(vec![option(1, 0x81)]), None, "a critical one must not be");
}

#[test]
fn damaged_packets_are_refused_and_what_fills_up_a_frame_is_cut() {
    let text = "tnl_push(tnl_port(4),header(size=70,type=5,eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0,\
                dl_type=0x86dd),ipv6(src=fc00::1,dst=fc00::2,label=0,proto=17,tclass=0x0,hlimit=64),\
                udp(src=0,dst=6081,csum=0xffff),geneve(vni=0x7)),out_port(1))";
    let actions = dp::text::parse_actions(text, None).unwrap();
    let [Action::TunnelPush(header)] = &actions[..] else { panic!("one push") };
    let settings = TunnelSettings { udp_ports: (7, 7), ..TunnelSettings::default() };
    let mut pushed = push(Packet::from_bytes(&[7u8; 60]), header, &settings, || 1).unwrap();
    assert_eq!(pushed.bytes()[54..56], [0, 7], "the source port");
    pushed.bytes_mut()[100] ^= 1;
    assert!(pop(pushed, TunnelKind::Geneve, &settings).is_err());
    let mut short = ethernet::header(base::MacAddr::ZERO, base::MacAddr::ZERO, 0x800).to_vec();
    short.extend(ipv4::header(1, 2, protocol::GRE, 0, 64, 0, 22));
    short.extend([0, 0, 0x65, 0x58]);
    short.extend([7; 18]);
    short.resize(FILLED_UP_TO, 0);
    let popped = pop(Packet::from_bytes(&short), TunnelKind::Gre, &settings).unwrap();
    assert_eq!(popped.bytes(), [7; 18]);
}

#[test]
fn gre_has_checksums_and_numbers() {
    let text = "tnl_push(tnl_port(4),header(size=50,type=3,eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0,\
                dl_type=0x0800),ipv4(src=1.1.2.88,dst=1.1.2.92,proto=47,tos=0,ttl=64,frag=0x4000),\
                gre((flags=0xb000,proto=0x6558),csum=0x0,key=0x7,seq=0x0)),out_port(1))";
    let actions = dp::text::parse_actions(text, None).unwrap();
    let [Action::TunnelPush(header)] = &actions[..] else { panic!("one push") };
    let settings = TunnelSettings::default();
    let mut pushed = push(Packet::from_bytes(&[7u8; 61]), header, &settings, || 5).unwrap();
    let gre = gre::Header::parse(&pushed.bytes()[34..]).unwrap();
    assert_eq!((gre.sequence, wire::checksum(&pushed.bytes()[34..])), (Some(5), 0));
    let popped = pop(pushed.clone(), TunnelKind::Gre, &settings).unwrap();
    assert_eq!(popped.bytes(), [7u8; 61]);
    assert_eq!(popped.metadata.tunnel.unwrap().to_key().tun_flags(), tunnel_flags::KEY | tunnel_flags::CSUM);
    pushed.bytes_mut()[60] ^= 1;
    assert!(pop(pushed, TunnelKind::Gre, &settings).is_err());
}

/// The tunnel that is popped behind the header of `text`, pushed on a packet.
fn through(kind: TunnelKind, header: &str) -> (Packet, FlowKey) {
    let text = format!("tnl_push(tnl_port(4),header({header}),out_port(1))");
    let actions = dp::text::parse_actions(&text, None).unwrap();
    let [Action::TunnelPush(header)] = &actions[..] else { panic!("one push") };
    let settings = TunnelSettings::default();
    let pushed = push(Packet::from_bytes(&[7u8; 60]), header, &settings, || 1).unwrap();
    let back = pop(pushed.clone(), kind, &settings).unwrap();
    assert_eq!(back.bytes(), [7u8; 60], "{kind}");
    (pushed, back.metadata.tunnel.unwrap().to_key())
}

#[test]
fn each_kind_of_header_is_completed_and_read() {
    let eth = "eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0";
    let v6 =
        "dl_type=0x86dd),ipv6(src=2001:cafe::88,dst=2001:cafe::92,label=0,proto=17,tclass=0x0,hlimit=64)";
    let (pushed, key) = through(
        TunnelKind::Geneve,
        &format!(
            "size=78,type=5,{eth},{v6},udp(src=0,dst=6081,csum=0xffff),\
             geneve(oam,vni=0x7,options({{class=0xffff,type=0,len=4,0xa}}))"
        ),
    );
    let flags = tunnel_flags::KEY | tunnel_flags::OAM | tunnel_flags::CSUM;
    assert_eq!((key.tun_id(), key.tun_tp_dst(), key.tun_flags()), (7, 6081, flags));
    let ip = wire::ipv6::Ipv6::parse(&pushed.bytes()[14..]).unwrap();
    let sum = pseudo_ipv6(ip.src(), ip.dst(), protocol::UDP, ip.payload().len()).bytes(ip.payload());
    assert_eq!(sum.sum(), 0xffff);
    let v4 = "dl_type=0x0800),ipv4(src=1.1.2.88,dst=1.1.2.92,proto=47,tos=0,ttl=64,frag=0x4000)";
    let (pushed, key) = through(
        TunnelKind::Gre,
        &format!("size=42,type=3,{eth},{v4},gre((flags=0x2000,proto=0x6558),key=0x1e241)"),
    );
    assert_eq!((key.tun_id(), key.tun_flags()), (0x1e241, tunnel_flags::KEY));
    assert_eq!(wire::checksum(&pushed.bytes()[14..34]), 0);
}

/// A packet of IPv6 without an Ethernet header, with a flow label.
fn packet_inside() -> Packet {
    let mut bytes = Vec::new();
    ipv6::Header {
        label: 0x77,
        payload_len: 4,
        next_header: protocol::NONE,
        hop_limit: 9,
        src: 1,
        dst: 2,
        ..ipv6::Header::default()
    }
    .append(&mut bytes);
    bytes.extend([1, 2, 3, 4]);
    let mut packet = Packet::from_bytes(&bytes);
    packet.metadata.packet_type = 0x1_86dd;
    packet
}

fn prepared(text: &str) -> Box<PushTunnel> {
    let text = format!("tnl_push(tnl_port(4),header({text}),out_port(1))");
    let mut actions = dp::text::parse_actions(&text, None).unwrap();
    let Action::TunnelPush(push) = actions.remove(0) else { panic!("{text} pushes no tunnel header") };
    push
}

#[test]
fn packets_without_ethernet_headers_go_through_gtpu_and_srv6() {
    let eth = "eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0,dl_type=0x86dd)";
    let ip = |protocol: u8, label: u32| {
        format!("ipv6(src=fc00::1,dst=fc00::2,label={label},proto={protocol},tclass=0x0,hlimit=64)")
    };
    let settings = TunnelSettings::default();
    let gtpu = format!(
        "size=70,type=110,{eth},{},udp(src=0,dst=2152,csum=0xffff),gtpu(flags=48,msgtype=255,teid=0x7b)",
        ip(17, 0)
    );
    let pushed = push(packet_inside(), &prepared(&gtpu), &settings, || 1).unwrap();
    let base = gtpu::Base::parse(&pushed.bytes()[62..]).unwrap();
    assert_eq!((usize::from(base.len), base.endpoint), (packet_inside().len(), 0x7b));
    // The checksum covers the length, or it would not be taken.
    let back = pop(pushed, TunnelKind::Gtpu, &settings).unwrap();
    assert_eq!((back.bytes(), back.metadata.packet_type), (packet_inside().bytes(), 0x1_86dd));
    assert_eq!(back.metadata.tunnel.unwrap().to_key().tun_gtpu_msgtype(), gtpu::MESSAGE_PACKET);

    for (label, expected) in [(0, 0x77), (1, 0)] {
        let mut srv6 = prepared(&format!(
            "size=78,type=112,{eth},{},srv6(segments_left=0,segs(fc00::2))",
            ip(43, label)
        ));
        srv6.header[54] = protocol::IPV6;
        let pushed = push(packet_inside(), &srv6, &settings, || 1).unwrap();
        assert_eq!(ipv6::Header::parse(&pushed.bytes()[14..]).unwrap().label, expected);
        let back = pop(pushed, TunnelKind::Srv6, &settings).unwrap();
        assert_eq!((back.bytes(), back.metadata.packet_type), (packet_inside().bytes(), 0x1_86dd));
        // Who is not the last one on the way does not take it.
        srv6.header[57] = 1;
        let under_way = push(packet_inside(), &srv6, &settings, || 1).unwrap();
        assert!(pop(under_way, TunnelKind::Srv6, &settings).is_err());
    }
}

#[test]
fn messages_about_a_gtpu_tunnel_stay_whole() {
    let eth = "eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0,dl_type=0x0800)";
    let text = format!(
        "size=50,type=110,{eth},ipv4(src=1.1.2.88,dst=1.1.2.92,proto=17,tos=0,ttl=64,frag=0x4000),\
         udp(src=0,dst=2152,csum=0x0),gtpu(flags=48,msgtype=1,teid=0x7b)"
    );
    let settings = TunnelSettings::default();
    let mut inside = Packet::from_bytes(&[0; 40]);
    inside.metadata.packet_type = 0x1_0800;
    let pushed = push(inside, &prepared(&text), &settings, || 1).unwrap();
    let whole = pushed.bytes().to_vec();
    let back = pop(pushed, TunnelKind::Gtpu, &settings).unwrap();
    assert_eq!((back.bytes(), back.metadata.packet_type), (&whole[..], 0));
    assert_eq!(back.metadata.tunnel.unwrap().to_key().tun_gtpu_msgtype(), 1);
}

#[test]
fn a_gre_header_with_bits_that_mean_nothing_is_not_popped() {
    let mut bytes = wire::ethernet::header(base::MacAddr::ZERO, base::MacAddr::ZERO, 0x800).to_vec();
    bytes.extend(wire::ipv4::header(1, 2, protocol::GRE, 0, 64, 0, 20));
    let at = bytes.len();
    bytes.extend([0, 0, 0x65, 0x58]);
    bytes.extend([0; 16]);
    let settings = TunnelSettings::default();
    assert!(pop(Packet::from_bytes(&bytes), TunnelKind::Gre, &settings).is_ok());
    bytes[at + 1] = 1;
    assert!(pop(Packet::from_bytes(&bytes), TunnelKind::Gre, &settings).is_err(), "version 1");
}
