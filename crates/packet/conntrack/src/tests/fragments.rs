//! Fragments, put together and taken apart.

use flow::ct_state::{NEW, SRC_NAT, TRACKED};
use proptest::prelude::*;
use wire::bytes::{be16, put16};
use wire::extension::{FRAGMENT_LEN, Fragment};
use wire::{TypedForm, ipv4, ipv6, protocol, transport};

use super::packets::{A, B, Bytes, udp};
use super::*;
use crate::{Fragments, Taken, is_fragment};

/// A packet in parts of at most `size` bytes of payload, which is a multiple of eight.
fn cut(packet: &Bytes, size: usize) -> Vec<Bytes> {
    let (header, payload) = packet.0.split_at(ipv4::MIN_LEN);
    let count = payload.len().div_ceil(size);
    let part = |(index, part): (usize, &[u8])| {
        let mut bytes = [header, part].concat();
        let more = if index + 1 < count { ipv4::MORE_FRAGMENTS } else { 0 };
        let len = bytes.len() as u16;
        put16(&mut bytes, 2, len);
        put16(&mut bytes, 6, (index * size / 8) as u16 | more);
        ipv4::write_checksum(&mut bytes);
        Bytes(bytes)
    };
    payload.chunks(size).enumerate().map(part).collect()
}

/// Addresses of IPv6 that stand for those of IPv4.
fn long(address: u32) -> u128 {
    0xfc00 << 112 | u128::from(address)
}

/// A datagram of `len` bytes from `src`, in parts of at most `size` bytes of payload.
fn parts_of(is_v6: bool, src: u32, len: usize, size: usize) -> Vec<Bytes> {
    let packet = udp(src, B, 1000, 53, &vec![7; len]);
    if !is_v6 {
        return cut(&packet, size);
    }
    let mut payload = packet.0[ipv4::MIN_LEN..].to_vec();
    let pseudo = wire::checksum::pseudo_ipv6(long(src), long(B), protocol::UDP, payload.len());
    transport::write_checksum(protocol::UDP, &mut payload, pseudo);
    let count = payload.len().div_ceil(size);
    let part = |(index, part): (usize, &[u8])| {
        let mut bytes = Vec::new();
        ipv6::Header {
            payload_len: (FRAGMENT_LEN + part.len()) as u16,
            next_header: protocol::FRAGMENT,
            hop_limit: 64,
            src: long(src),
            dst: long(B),
            ..ipv6::Header::default()
        }
        .append(&mut bytes);
        let (offset, has_more) = ((index * size / 8) as u16, index + 1 < count);
        Fragment { next_header: protocol::UDP, offset, has_more, id: 77 }.append(&mut bytes);
        bytes.extend(part);
        Bytes(bytes)
    };
    payload.chunks(size).enumerate().map(part).collect()
}

proptest! {
    #[test]
    fn fragments_in_any_order_are_tracked_as_the_packet_and_go_on_as_they_came(len in 1usize..6000, size in 50usize..150, order: u64, is_v6: bool) {
        let (tracker, fragments) = (tracker(), Fragments::default());
        prop_assert!(tracker.fragments.set_min_size(is_v6, 400));
        let mut parts = parts_of(is_v6, A, len, size * 8);
        let mut seed = order;
        for last in (1..parts.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            parts.swap(last, (seed >> 33) as usize % (last + 1));
        }
        prop_assume!(parts.len() > 1);
        let outside = 0x0a01_01f0;
        let address = if is_v6 { Address::v6(long(outside)) } else { Address::v4(outside) };
        let nat = Nat { addresses: (address, address), ..source_nat(0, 0, None) };
        let nat = Action { nat: Some(NatAction::New(nat)), ..COMMIT };
        let count = parts.len();
        let mut out = Vec::new();
        for (index, part) in parts.into_iter().enumerate() {
            prop_assert!(is_fragment(&part));
            match fragments.take(part, 1, 0, &tracker.fragments, at(0)) {
                Taken::Held => prop_assert!(index + 1 < count),
                Taken::Complete(mut all) => {
                    prop_assert_eq!(index + 1, count);
                    let mut ct = Metadata::default();
                    tracker.track(&mut all, &mut ct, &nat, at(0));
                    prop_assert_eq!(ct.state, TRACKED | NEW | SRC_NAT);
                    out = all.into_parts();
                }
                Taken::Alone(_) | Taken::Invalid(_) => prop_assert!(false, "fragment {} is refused", index),
            }
        }
        prop_assert_eq!(out, parts_of(is_v6, outside, len, size * 8));
        prop_assert!(tracker.fragments.show().contains("num frag: 0\n"));
    }
}

#[test]
fn what_overlaps_or_is_too_short_is_invalid_and_what_waits_too_long_is_given_up() {
    let (tracker, fragments) = (tracker(), Fragments::default());
    let parts = cut(&udp(A, B, 1, 2, &[0; 3000]), 1400);
    let take = |part: &Bytes, now| fragments.take(part.clone(), 1, 0, &tracker.fragments, at(now));
    assert!(matches!(take(&parts[0], 0), Taken::Held));
    assert!(matches!(take(&parts[0], 0), Taken::Invalid(_)), "it is there already");
    let short = &cut(&udp(A, B, 1, 2, &[0; 3000]), 800)[0];
    assert!(matches!(take(short, 0), Taken::Invalid(_)));
    let shown = tracker.fragments.show();
    assert!(shown.contains("v4 frags too small: 1\n") && shown.contains("v4 frags overlapped: 1\n"));
    assert!(fragments.show().contains("num_fragments=1,state=first frag)"));
    // The first one has been given up when the others come.
    assert!(matches!(take(&parts[1], 15), Taken::Held));
    assert!(matches!(take(&parts[2], 15), Taken::Held));
    assert!(tracker.fragments.show().contains("v4 frags expired: 1\n"));
    assert!(tracker.fragments.set_max(2));
    assert!(matches!(take(&parts[0], 15), Taken::Alone(_)), "too many are held");
    assert!(!tracker.fragments.set_max(5001) && !tracker.fragments.set_min_size(true, 399));
    assert_eq!(be16(&parts[1].0, 6) & ipv4::FRAGMENT_OFFSET, 175);
}

#[test]
fn what_would_be_longer_than_a_frame_may_be_is_not_put_together() {
    let (tracker, fragments) = (tracker(), Fragments::default());
    let take = |part: Bytes| fragments.take(part, 1, 0, &tracker.fragments, at(0));
    // With their headers, packets of IPv4 and UDP and Ethernet have 42 bytes more.
    for (len, is_taken) in [(65535 - 42, true), (65535 - 41, false)] {
        let parts = cut(&udp(A, B, 1, 2, &vec![0; len]), 60_000);
        let [first, last] = <[Bytes; 2]>::try_from(parts).unwrap();
        assert!(matches!(take(first), Taken::Held));
        assert_eq!(matches!(take(last), Taken::Complete(_)), is_taken, "{len}");
    }
    assert!(tracker.fragments.show().contains("num frag: 2\n"), "they wait until their time is over");
    fragments.expire(&tracker.fragments, at(15));
    assert!(tracker.fragments.show().contains("v4 frags expired: 2\n"));
}

/// Parts that are packets themselves, of a whole whose length no header of IP can say.
#[test]
fn a_ping_of_death_is_not_put_together() {
    let (tracker, fragments) = (tracker(), Fragments::default());
    let [first, mut last] = <[Bytes; 2]>::try_from(cut(&udp(A, B, 1, 2, &vec![0; 61_000]), 60_000)).unwrap();
    last.0.resize(ipv4::MIN_LEN + 5530, 0);
    put16(&mut last.0, 2, (ipv4::MIN_LEN + 5530) as u16);
    ipv4::write_checksum(&mut last.0[..ipv4::MIN_LEN]);
    for part in [first, last] {
        assert!(matches!(fragments.take(part, 1, 0, &tracker.fragments, at(0)), Taken::Held));
    }
}
