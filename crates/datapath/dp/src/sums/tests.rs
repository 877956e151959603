use flow::FlowKey;
use proptest::prelude::*;
use wire::checksum::replace16;

use super::*;

/// A packet with right checksums.
fn packet(is_v6: bool, protocol: u8, port: u16, payload: &[u8]) -> Packet {
    let mut key = FlowKey::new();
    key.set_dl_type(if is_v6 { ethernet::TYPE_IPV6 } else { ethernet::TYPE_IPV4 });
    key.set_nw_src(0x0a00_0001);
    key.set_nw_dst(0x0a00_0002);
    key.set_ipv6_src(1);
    key.set_ipv6_dst(2);
    key.set_nw_ttl(64);
    key.set_nw_proto(protocol);
    key.set_tp_src(7);
    key.set_tp_dst(port);
    Packet::from_bytes(&flow::compose(&key, Some(payload)))
}

fn transport_at(packet: &Packet) -> (usize, usize, u8) {
    let transport = Places::of(packet, 0, true).and_then(|places| places.transport).unwrap();
    (transport.at, transport.end, transport.protocol)
}

/// Changes the port as rewriting does.
fn set_port(packet: &mut Packet, port: u16) {
    let (at, end, protocol) = transport_at(packet);
    let bytes = &mut packet.bytes_mut()[at..end];
    let check = replace16(transport::check(protocol, bytes).unwrap(), be16(bytes, 2), port);
    put16(bytes, 2, port);
    transport::set_check(protocol, bytes, transport::usable(protocol, check));
}

/// A packet of which this is known, though its checksums are wrong.
fn damaged(right: &Packet, layers: Layers) -> Packet {
    let mut packet = right.clone();
    let (at, end, protocol) = transport_at(&packet);
    transport::set_check(protocol, &mut packet.bytes_mut()[at..end], 0xdead);
    packet.sums = Some(Box::new(Sums { outer: layers, inner: None }));
    packet
}

fn known() -> impl Strategy<Value = Known> {
    prop_oneof![Just(Known::Nothing), Just(Known::Good), Just(Known::Bad), Just(Known::Due)]
}

fn abilities() -> impl Strategy<Value = Abilities> {
    any::<[bool; 4]>().prop_map(|[network, transport, tunnel_network, tunnel_transport]| Abilities {
        network,
        transport,
        tunnel_network,
        tunnel_transport,
    })
}

fn protocols() -> impl Strategy<Value = u8> {
    prop_oneof![Just(protocol::TCP), Just(protocol::UDP)]
}

#[test]
fn what_is_known_to_be_right_is_left_as_it_stands_and_computed_at_last() {
    let right = packet(false, protocol::TCP, 9, &[1, 2, 3]);
    let (at, ..) = transport_at(&right);
    for known in [Known::Good, Known::Due] {
        let mut changed = damaged(&right, Layers { transport: known, ..Layers::default() });
        leave_to_sender(&mut changed, |packet| set_port(packet, 2222));
        assert_eq!(be16(changed.bytes(), at + 16), 0xdead);
        complete(&mut changed, Abilities { transport: true, ..Abilities::default() });
        assert_eq!(be16(changed.bytes(), at + 16), 0xdead, "the device is to do it");
        complete(&mut changed, Abilities::default());
        assert_eq!(changed.bytes(), packet(false, protocol::TCP, 2222, &[1, 2, 3]).bytes());
    }
}

#[test]
fn what_is_not_known_is_corrected_by_the_difference() {
    let right = packet(false, protocol::TCP, 9, &[1, 2, 3]);
    for known in [Known::Nothing, Known::Bad] {
        let mut changed = damaged(&right, Layers { transport: known, ..Layers::default() });
        let mut expected = changed.clone();
        set_port(&mut expected, 2222);
        leave_to_sender(&mut changed, |packet| set_port(packet, 2222));
        complete(&mut changed, Abilities::default());
        assert_eq!(changed, expected);
    }
}

#[test]
fn a_packet_that_is_not_changed_is_left_alone() {
    let mut packet = damaged(
        &packet(true, protocol::UDP, 9, &[]),
        Layers { network: Known::Good, transport: Known::Good },
    );
    let before = packet.clone();
    leave_to_sender(&mut packet, |packet| set_port(packet, 9));
    complete(&mut packet, Abilities::default());
    assert_eq!(packet, before);
}

#[test]
fn udp_without_a_checksum_gets_none() {
    let mut packet = packet(false, protocol::UDP, 9, &[1]);
    let (at, ..) = transport_at(&packet);
    put16(packet.bytes_mut(), at + 6, 0);
    let layers = Layers { transport: Known::Due, ..Layers::default() };
    packet.sums = Some(Box::new(Sums { outer: layers, inner: None }));
    complete(&mut packet, Abilities::default());
    assert_eq!(be16(packet.bytes(), at + 6), 0);
}

proptest! {
    /// Whatever the device does of what is due, and whatever was known: what is sent is right at last.
    #[test]
    fn a_packet_in_a_tunnel_is_right_when_it_is_sent(
        (is_v6, is_outer_v6) in any::<(bool, bool)>(),
        protocol in protocols(),
        payload in prop::collection::vec(any::<u8>(), 0..200),
        (network, device) in (prop_oneof![Just(Known::Nothing), Just(Known::Good), Just(Known::Due)], abilities()),
        is_due in any::<bool>(),
    ) {
        let inside = packet(is_v6, protocol, 9, &payload);
        let header = [8, 0, 0, 0, 0, 0, 123, 0];
        let right = packet(is_outer_v6, protocol::UDP, 4789, &[&header, inside.bytes()].concat());
        let at = right.len() - inside.len();
        let mut packet = right.clone();
        let (outer_at, ..) = transport_at(&packet);
        let (inner_at, ..) = transport_at(&inside);
        put16(packet.bytes_mut(), outer_at + 6, 0xffff);
        if is_due {
            let place = if protocol == protocol::TCP { 16 } else { 6 };
            put16(packet.bytes_mut(), at + inner_at + place, 0xdead);
        }
        if !is_outer_v6 {
            put16(packet.bytes_mut(), 14 + ipv4::CHECK_OFFSET, 0);
        }
        let outer = Layers { network: Known::Due, transport: Known::Due };
        let layers = Layers { network, transport: if is_due { Known::Due } else { Known::Good } };
        let inner = Some(Inner { at, is_ethernet: true, layers });
        packet.sums = Some(Box::new(Sums { outer, inner }));
        complete(&mut packet, device);
        complete(&mut packet, Abilities::default());
        prop_assert_eq!(packet.bytes(), right.bytes());
    }

    #[test]
    fn any_bytes_are_harmless(
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        (network, transport) in (known(), known()),
        inner in prop::option::of((0usize..200, any::<bool>())),
        device in abilities(),
    ) {
        let mut packet = Packet::from_bytes(&bytes);
        let layers = Layers { network, transport };
        let inner = inner.map(|(at, is_ethernet)| Inner { at, is_ethernet, layers });
        packet.sums = Some(Box::new(Sums { outer: layers, inner }));
        leave_to_sender(&mut packet, |packet| packet.bytes_mut().fill(7));
        complete(&mut packet, device);
        prop_assert_eq!(packet.len(), bytes.len());
    }
}

proptest! {
    /// A checksum that was left to the device is found and completed to what it was; of whole packets none is changed.
    #[test]
    fn a_partial_checksum_is_found(is_v6: bool, protocol in protocols(), payload in prop::collection::vec(any::<u8>(), 0..100), tag: bool) {
        let mut whole = packet(is_v6, protocol, 9, &payload);
        if tag {
            whole.insert_header(ethernet::TAG_OFFSET, &ethernet::Tag { tpid: 0x8100, tci: 5 });
        }
        let (at, end, _) = transport_at(&whole);
        let mut partial = whole.clone();
        let pseudo = Places::of(&whole, 0, true).and_then(|places| places.transport).unwrap().pseudo;
        transport::set_check(protocol, &mut partial.bytes_mut()[at..end], pseudo.sum());
        for (mut packet, is_partial) in [(whole.clone(), false), (partial, true)] {
            find_partial(&mut packet);
            prop_assert!(packet.offload.checksum.is_some() || !is_partial);
            crate::offload::complete_checksum(&mut packet);
            prop_assert_eq!(packet.bytes(), whole.bytes());
        }
    }

    #[test]
    fn of_any_bytes_no_harm_comes(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut packet = Packet::from_bytes(&bytes);
        find_partial(&mut packet);
        crate::offload::complete_checksum(&mut packet);
        prop_assert_eq!(packet.len(), bytes.len());
    }
}
