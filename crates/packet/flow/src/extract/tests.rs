use base::{DpPort, MacAddr};
use proptest::prelude::*;
use wire::{ethernet, ipv4, udp};

use super::*;

fn udp_frame(tag: Option<u16>) -> Vec<u8> {
    let dst: MacAddr = "00:00:00:00:00:02".parse().unwrap();
    let src: MacAddr = "00:00:00:00:00:01".parse().unwrap();
    let mut frame = match tag {
        None => ethernet::header(dst, src, ethernet::TYPE_IPV4).to_vec(),
        Some(tci) => {
            let mut f = ethernet::header(dst, src, ethernet::TYPE_VLAN).to_vec();
            f.extend(tci.to_be_bytes());
            f.extend(ethernet::TYPE_IPV4.to_be_bytes());
            f
        }
    };
    frame.extend(ipv4::header(0x0a000001, 0x0a000002, 17, 0x10, 63, 0, 8 + 4));
    frame.extend(udp::header(1234, 53, 4));
    frame.extend([1, 2, 3, 4, 0, 0, 0]);
    frame
}

#[test]
fn a_udp_packet_gives_its_five_tuple() {
    let md = Metadata::new(DpPort(7));
    let mut packet_key = PacketKey::new();
    packet_key.refill(&md, &udp_frame(Some(0x2005)), 1);
    let key = packet_key.key();
    assert_eq!(key.in_port(), 7);
    assert_eq!((key.vlan0_tpid(), key.vlan0_tci()), (0x8100, 0x3005));
    assert_eq!(key.dl_type(), 0x0800);
    assert_eq!((key.nw_src(), key.nw_dst()), (0x0a000001, 0x0a000002));
    assert_eq!((key.nw_proto(), key.nw_tos(), key.nw_ttl(), key.nw_frag()), (17, 0x10, 63, 0));
    assert_eq!((key.tp_src(), key.tp_dst()), (1234, 53));
    assert_eq!(packet_key.layers(), Layers { l2_5: 18, l3: 18, l4: 38 });
}

#[test]
fn a_second_tag_is_read_only_when_asked_for() {
    let mut frame = udp_frame(Some(5));
    frame.splice(12..12, [0x88, 0xa8, 0, 9]);
    let one = extract(&Metadata::default(), &frame, 1);
    assert_eq!((one.vlan_count(), one.dl_type()), (1, 0x8100));
    let two = extract(&Metadata::default(), &frame, 2);
    assert_eq!((two.vlan_count(), two.vlan_tpid(0), two.vlan_tci(1)), (2, 0x88a8, 0x1005));
    assert_eq!(two.nw_proto(), 17);
}

#[test]
fn frames_with_a_length_have_no_type_but_by_snap() {
    let mut frame = vec![0u8; 12];
    frame.extend([0, 8, 0x42, 0x42, 3, 0, 0, 0, 0, 0]);
    assert_eq!(extract(&Metadata::default(), &frame, 1).dl_type(), DL_TYPE_NONE);
    let mut frame = vec![0u8; 12];
    frame.extend([0, 8, 0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x06]);
    assert_eq!(extract(&Metadata::default(), &frame, 1).dl_type(), 0x0806);
}

#[test]
fn later_fragments_have_no_ports() {
    let mut frame = udp_frame(None);
    frame[20] = 0x00;
    frame[21] = 0x05;
    let key = extract(&Metadata::default(), &frame, 1);
    assert_eq!((key.nw_frag(), key.tp_src(), key.nw_proto()), (frag::ANY | frag::LATER, 0, 17));
    frame[20] = 0x20;
    frame[21] = 0;
    let key = extract(&Metadata::default(), &frame, 1);
    assert_eq!((key.nw_frag(), key.tp_src()), (frag::ANY, 1234));
}

#[test]
fn metadata_survives_the_way_through_a_key() {
    let mut key = FlowKey::new();
    key.set_in_port(3);
    key.set_pkt_mark(9);
    key.set_tun_dst(0x01020304);
    key.set_tun_id(77);
    key.set_tun_metadata(5, 0x0102_0304_0506_0708);
    key.set_tun_metadata(63, 9);
    key.set_ct_state(crate::ct_state::TRACKED | crate::ct_state::NEW);
    key.set_ct_zone(4);
    let md = Metadata::from_key(&key);
    assert_eq!(extract(&md, &[], 1), key);
}

/// Metadata of any kind, with a tunnel, options and a connection, or without.
fn any_metadata() -> impl Strategy<Value = Metadata> {
    let word = prop_oneof![Just(0), any::<u64>()];
    (prop::collection::vec(word, WORDS + crate::EXTENSION_WORDS), any::<u8>()).prop_map(|(words, kinds)| {
        let mut key = FlowKey::new();
        for (index, word) in words.into_iter().enumerate() {
            key.set_word(index, word);
        }
        key.set_packet_type(0);
        let mut md = Metadata::from_key(&key);
        md.tunnel = md.tunnel.filter(|_| kinds & 1 != 0);
        md.ct = md.ct.filter(|_| kinds & 2 != 0);
        md
    })
}

proptest! {
    /// No bytes panic, and a used key gives what a fresh one gives.
    #[test]
    fn any_bytes_are_harmless(
        a in prop::collection::vec(any::<u8>(), 0..120),
        b in prop::collection::vec(any::<u8>(), 0..120),
        kind in prop::sample::select(vec![0x0800u16, 0x86dd, 0x0806, 0x8100, 0x8847, 0x894f, 5]),
        first in any::<u8>(),
        mds in [any_metadata(), any_metadata()],
    ) {
        let mut reused = PacketKey::new();
        for (mut bytes, md) in [a, b].into_iter().zip(mds) {
            if bytes.len() > 16 {
                bytes[12..14].copy_from_slice(&kind.to_be_bytes());
                bytes[14] = first;
            }
            reused.refill(&md, &bytes, 2);
            prop_assert_eq!(reused.key(), &extract(&md, &bytes, 2));
            prop_assert!(md.tunnel.is_none() || Metadata::from_key(reused.key()).tunnel == md.tunnel);
            for (index, &word) in reused.key().core().iter().enumerate() {
                prop_assert_eq!(reused.map() >> index & 1 == 1, word != 0, "word {}", index);
            }
        }
    }

    /// The same with headers whose lengths fit, so that the deep layers are reached.
    #[test]
    fn any_upper_layer_is_harmless(payload in prop::collection::vec(any::<u8>(), 0..80), proto: u8, is_v6: bool) {
        let mut bytes = vec![0u8; 12];
        if is_v6 {
            bytes.extend([0x86, 0xdd]);
            bytes.extend(wire::ipv6::header(1, 2, proto, 3, 4, 5, payload.len()));
        } else {
            bytes.extend([0x08, 0x00]);
            bytes.extend(ipv4::header(1, 2, proto, 3, 4, 0, payload.len()));
        }
        bytes.extend(payload);
        let key = extract(&Metadata::default(), &bytes, 1);
        prop_assert_eq!(key.nw_tos(), if key.nw_proto() == 0 && is_v6 { key.nw_tos() } else { 3 });
    }
}

#[test]
fn a_packet_after_one_of_a_tunnel_and_a_connection_has_nothing_of_them() {
    let mut of = FlowKey::new();
    of.set_tun_dst(1);
    of.set_tun_erspan_idx(2);
    of.set_ct_label(3);
    of.set_ct_nw_proto(17);
    of.set_ct_nw_src(4);
    of.set_ct_tp_src(5);
    let mut reused = PacketKey::new();
    reused.refill(&Metadata::from_key(&of), &udp_frame(None), 1);
    let key = reused.key();
    assert_eq!((key.tun_erspan_idx(), key.ct_label(), key.ct_nw_src(), key.ct_tp_src()), (2, 3, 4, 5));
    let plain = Metadata::new(DpPort(7));
    reused.refill(&plain, &udp_frame(None), 1);
    assert_eq!(reused.key(), &extract(&plain, &udp_frame(None), 1));
    let mut fresh = PacketKey::new();
    fresh.refill(&plain, &udp_frame(None), 1);
    assert_eq!((reused.map(), reused.hash()), (fresh.map(), fresh.hash()));
}

#[test]
fn limiting_the_tags_of_a_key_is_reading_fewer() {
    let mut bytes = ethernet::header(MacAddr([2; 6]), MacAddr([4; 6]), 0x88a8).to_vec();
    bytes.extend([0, 16, 0x81, 0, 0, 17, 0x08, 0]);
    bytes.extend(ipv4::header(1, 2, 17, 0, 64, 0, 12));
    bytes.extend(udp::header(1, 2, 4));
    bytes.extend([0; 4]);
    let read = |max| extract(&Metadata::new(DpPort(1)), &bytes, max);
    for max in 0..=2 {
        let mut key = read(2);
        key.limit_vlans(max);
        assert_eq!(key, read(max), "{max} tags");
    }
}
