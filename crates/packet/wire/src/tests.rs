use base::MacAddr;
use proptest::prelude::*;

use crate::*;

const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xa]);
const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xb]);

/// `len` zero bytes with some of them set.
fn bytes(len: usize, set: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for &(at, value) in set {
        bytes[at] = value;
    }
    bytes
}

#[test]
fn numbers_beyond_the_end_are_zero_and_are_not_written() {
    let mut place = [1, 2, 3];
    assert_eq!(bytes::be16(&place, 1), 0x0203);
    for at in [2, 3, usize::MAX] {
        assert_eq!((bytes::be16(&place, at), bytes::be32(&place, at), bytes::be48(&place, at)), (0, 0, 0));
        assert_eq!((bytes::be64(&place, at), bytes::be128(&place, at)), (0, 0));
        bytes::put16(&mut place, at, 0xffff);
        bytes::put128(&mut place, at, u128::MAX);
    }
    assert_eq!((place, bytes::byte(&place, 3)), ([1, 2, 3], 0));
    bytes::put16(&mut place, 1, 0x0405);
    assert_eq!(place, [1, 4, 5]);
}

#[test]
fn an_ethernet_header_reads_back() {
    let frame = [&ethernet::header(A, B, ethernet::TYPE_ARP)[..], &[7]].concat();
    let view = ethernet::Ethernet::parse(&frame).expect("a header");
    assert_eq!((view.dst(), view.src(), view.ether_type()), (A, B, 0x0806));
    assert_eq!(view.payload(), [7]);
    assert!(ethernet::Ethernet::parse(&frame[..13]).is_none());
}

#[test]
fn a_snap_header_holds_a_type_only_for_organisation_zero() {
    for (bytes, kind) in [
        (&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], Some(0x0800)),
        (&[0xaa, 0xaa, 3, 0, 0, 0, 8], None),
        (&[0xaa, 0xaa, 3, 0, 0, 1, 8, 0], None),
        (&[0x42, 0x42, 3, 0, 0, 0, 8, 0], None),
    ] {
        assert_eq!(ethernet::snap_type(bytes), kind, "{bytes:x?}");
    }
}

#[test]
fn arp_is_read_for_ipv4_over_ethernet_alone() {
    let packet = arp::build(arp::OP_REPLY, (A, 0x0a00_0001), (B, 0x0a00_0002));
    let view = arp::Arp::parse(&packet).expect("ARP");
    assert_eq!((view.op(), view.sender_mac(), view.sender_ip()), (2, A, 0x0a00_0001));
    assert_eq!((view.target_mac(), view.target_ip()), (B, 0x0a00_0002));
    assert!(arp::Arp::parse(&packet[..27]).is_none());
    for (at, what) in [(1, "hardware"), (2, "protocol"), (4, "hardware length"), (5, "protocol length")] {
        let mut other = packet;
        other[at] ^= 6;
        assert!(arp::Arp::parse(&other).is_none(), "another {what}");
    }
}

#[test]
fn an_ipv4_header_whose_lengths_do_not_fit_is_refused() {
    for (name, set, fits) in [
        ("no options", &[(0, 0x45), (3, 20)][..], true),
        ("options to the end", &[(0, 0x46), (3, 24)], true),
        ("a header shorter than its fixed part", &[(0, 0x44), (3, 20)], false),
        ("a header beyond the end", &[(0, 0x47), (3, 24)], false),
        ("a packet beyond the end", &[(0, 0x45), (3, 25)], false),
        ("a packet shorter than its header", &[(0, 0x46), (3, 20)], false),
    ] {
        assert_eq!(ipv4::Ipv4::parse(&bytes(24, set)).is_some(), fits, "{name}");
    }
    assert!(ipv4::Ipv4::parse(&bytes(19, &[(0, 0x45), (3, 20)])).is_none());
}

#[test]
fn padding_of_a_frame_is_no_payload() {
    let mut packet = ipv4::header(1, 2, protocol::UDP, 0, 64, 0, 3).to_vec();
    packet.extend([9, 9, 9, 0, 0]);
    assert_eq!(ipv4::Ipv4::parse(&packet).map(|view| view.payload().to_vec()), Some(vec![9, 9, 9]));
    let mut packet = ipv6::header(1, 2, protocol::UDP, 0, 0, 64, 3).to_vec();
    packet.extend([9, 9, 9, 0, 0]);
    assert_eq!(ipv6::Ipv6::parse(&packet).map(|view| view.payload().to_vec()), Some(vec![9, 9, 9]));
    assert!(ipv6::Ipv6::parse(&packet[..42]).is_none(), "the payload is cut off");
}

#[test]
fn a_header_is_read_though_its_packet_is_cut_off() {
    let packet = ipv4::header(1, 2, protocol::TCP, 0, 64, 0, 1000);
    assert!(ipv4::Ipv4::parse(&packet).is_none());
    let view = ipv4::Ipv4::parse_header(&packet).expect("a header");
    assert_eq!((view.total_len(), view.src(), view.payload()), (1020, 1, &[][..]));
    assert!(ipv4::Ipv4::parse_header(&packet[..19]).is_none());
    let packet = ipv6::header(1, 2, protocol::TCP, 0, 7, 64, 1000);
    assert!(ipv6::Ipv6::parse(&packet).is_none());
    let view = ipv6::Ipv6::parse_header(&packet).expect("a header");
    assert_eq!((view.payload_len(), view.label(), view.payload()), (1000, 7, &[][..]));
    assert!(ipv6::Ipv6::parse_header(&packet[..39]).is_none());
}

#[test]
fn fragments_differ_by_their_offset_and_what_follows() {
    for (word, is_fragment, is_later) in [
        (0, false, false),
        (ipv4::DONT_FRAGMENT, false, false),
        (ipv4::MORE_FRAGMENTS, true, false),
        (ipv4::MORE_FRAGMENTS | 5, true, true),
        (5, true, true),
    ] {
        let header = ipv4::header(1, 2, 6, 0, 64, word, 0);
        let view = ipv4::Ipv4::parse(&header).expect("a header");
        assert_eq!((view.is_fragment(), view.is_later_fragment()), (is_fragment, is_later), "{word:#x}");
    }
}

/// What stands behind the extension headers: protocol, bytes of payload, whether fragment, later one, and routed.
fn behind(first: u8, chain: &[u8]) -> Option<(u8, usize, bool, bool, bool)> {
    ipv6::upper(first, chain)
        .map(|up| (up.protocol, up.payload.len(), up.is_fragment, up.is_later_fragment, up.has_routing))
}

#[test]
fn extension_headers_are_walked() {
    use protocol::{AUTH, DEST_OPTIONS, FRAGMENT, HOP_BY_HOP, NONE, ROUTING, TCP};
    for (name, first, chain, expected) in [
        ("none", TCP, bytes(20, &[]), Some((TCP, 20, false, false, false))),
        ("nothing follows", NONE, bytes(0, &[]), Some((NONE, 0, false, false, false))),
        ("hop by hop", HOP_BY_HOP, bytes(28, &[(0, TCP)]), Some((TCP, 20, false, false, false))),
        ("a longer one", DEST_OPTIONS, bytes(36, &[(0, TCP), (1, 1)]), Some((TCP, 20, false, false, false))),
        ("two", HOP_BY_HOP, bytes(36, &[(0, DEST_OPTIONS), (8, TCP)]), Some((TCP, 20, false, false, false))),
        ("routing, at its end", ROUTING, bytes(28, &[(0, TCP)]), Some((TCP, 20, false, false, false))),
        (
            "routing, segments left",
            ROUTING,
            bytes(28, &[(0, TCP), (3, 1)]),
            Some((TCP, 20, false, false, true)),
        ),
        (
            "authentication counts words",
            AUTH,
            bytes(32, &[(0, TCP), (1, 1)]),
            Some((TCP, 20, false, false, false)),
        ),
        ("a whole packet", FRAGMENT, bytes(28, &[(0, TCP)]), Some((TCP, 20, false, false, false))),
        ("the first fragment", FRAGMENT, bytes(28, &[(0, TCP), (3, 1)]), Some((TCP, 20, true, false, false))),
        (
            "a later fragment",
            FRAGMENT,
            bytes(28, &[(0, TCP), (3, 8)]),
            Some((FRAGMENT, 20, true, true, false)),
        ),
        ("cut in its first bytes", HOP_BY_HOP, bytes(7, &[(0, TCP)]), None),
        ("longer than the packet", HOP_BY_HOP, bytes(15, &[(0, TCP), (1, 1)]), None),
        ("a cut fragment header", FRAGMENT, bytes(7, &[(0, TCP)]), None),
    ] {
        assert_eq!(behind(first, &chain), expected, "{name}");
    }
}

#[test]
fn tcp_options_end_where_the_header_does() {
    let segment = bytes(26, &[(1, 80), (3, 22), (12, 0x60), (13, 0x12), (20, 2), (25, 7)]);
    let view = tcp::Tcp::parse(&segment).expect("a header");
    assert_eq!((view.src(), view.dst(), view.flags()), (80, 22, tcp::SYN | tcp::ACK));
    assert_eq!((view.options(), view.payload()), (&[2, 0, 0, 0][..], &[0, 7][..]));
    for (name, offset) in [("shorter than the fixed part", 0x40), ("beyond the end", 0x70)] {
        assert!(tcp::Tcp::parse(&bytes(26, &[(12, offset)])).is_none(), "{name}");
    }
}

#[test]
fn neighbour_discovery_reads_addresses_as_far_as_they_are_sound() {
    let icmp = |kind: u8, body: &[u8]| [&bytes(8, &[(0, kind), (4, 0x60)])[..], body].concat();
    let target = [&[0xfe, 0x80][..], &[0; 13], &[1]].concat();
    let option = |kind: u8, mac: MacAddr| [&[kind, 1][..], &mac.0].concat();
    let read = |body: &[&[u8]]| {
        let message = icmp(icmp::V6_NEIGHBOR_SOLICITATION, &body.concat());
        let nd = icmp::NeighborDiscovery::parse(&icmp::Icmp::parse(&message).expect("eight bytes"));
        assert_eq!(nd.reserved, 0x6000_0000);
        (nd.target != 0, nd.source_mac, nd.target_mac, nd.option_type)
    };
    let zero = MacAddr::ZERO;
    assert_eq!(read(&[&target]), (true, zero, zero, 0));
    assert_eq!(read(&[&target, &option(1, A)]), (true, A, zero, 1));
    assert_eq!(read(&[&target, &option(2, B), &option(1, A)]), (true, A, B, 2));
    assert_eq!(read(&[&target, &option(14, B), &option(1, A)]), (true, A, zero, 1), "others are passed");
    assert_eq!(read(&[&target[..15]]), (false, zero, zero, 0), "the target is cut off");
    assert_eq!(read(&[&target, &option(1, A), &option(1, B)]), (false, zero, zero, 1), "a doubled option");
    assert_eq!(
        read(&[&target, &[1, 0, 0, 0, 0, 0, 0, 0], &option(1, A)]),
        (true, zero, zero, 0),
        "length zero"
    );
    assert_eq!(read(&[&target, &[2, 2, 0, 0, 0, 0, 0, 0]]), (true, zero, zero, 0), "beyond the end");
}

#[test]
fn nsh_lengths_must_fit_the_metadata() {
    let header = |md_type: u8, len: usize| {
        let first = [0x0f, 0xc0 | (len / 4) as u8];
        bytes(32, &[(0, first[0]), (1, first[1]), (2, md_type), (3, nsh::NEXT_ETHERNET), (7, 255), (11, 9)])
    };
    let one = header(nsh::MD_TYPE_1, nsh::MD1_LEN);
    let view = nsh::Nsh::parse(&one).expect("a header");
    assert_eq!((view.ttl(), view.header_len(), view.next(), view.service_index()), (63, 24, 3, 255));
    assert_eq!((view.context(0), view.context(4), view.payload().len()), (9, 0, 8));
    for (name, bytes) in [
        ("type 1 of another length", header(nsh::MD_TYPE_1, 20)),
        ("type 2 without a whole base", header(nsh::MD_TYPE_2, 4)),
        ("longer than the bytes", header(nsh::MD_TYPE_2, 36)),
        ("another version", [&[one[0] | 0x40], &one[1..]].concat()),
        ("cut off", one[..7].to_vec()),
    ] {
        assert!(nsh::Nsh::parse(&bytes).is_none(), "{name}");
    }
    assert_eq!(nsh::Nsh::parse(&header(nsh::MD_TYPE_2, 12)).map(|view| view.metadata().len()), Some(4));
}

#[test]
fn an_sctp_checksum_does_not_depend_on_what_stood_there() {
    let mut packet = bytes(20, &[(1, 7), (3, 9), (12, 1)]);
    sctp::write_checksum(&mut packet);
    let written = packet.clone();
    assert_ne!(packet[sctp::CHECK_OFFSET..sctp::LEN], [0; 4]);
    sctp::write_checksum(&mut packet);
    assert_eq!(packet, written);
    let view = sctp::Sctp::parse(&packet).expect("a header");
    assert_eq!((view.src(), view.dst(), view.verification_tag()), (7, 9, 0));
}

#[test]
fn a_length_that_does_not_fit_its_field_is_the_greatest() {
    let length = |header: &[u8], at: usize| bytes::be16(header, at);
    assert_eq!(length(&udp::header(1, 2, 70_000), 4), u16::MAX);
    assert_eq!(length(&ipv4::header(1, 2, 17, 0, 64, 0, 65_516), 2), u16::MAX);
    assert_eq!(length(&ipv6::header(1, 2, 17, 0, 0, 64, 65_536), 4), u16::MAX);
}

proptest! {
    #[test]
    fn an_ipv4_header_reads_back(src: u32, dst: u32, number: u8, tos: u8, ttl: u8, word: u16, len in 0usize..200) {
        let header = ipv4::header(src, dst, number, tos, ttl, word, len);
        prop_assert_eq!(checksum(&header), 0);
        let packet = [&header[..], &vec![0; len]].concat();
        let view = ipv4::Ipv4::parse(&packet).expect("a header");
        prop_assert_eq!((view.src(), view.dst(), view.protocol()), (src, dst, number));
        prop_assert_eq!((view.tos(), view.ttl(), view.fragment_word()), (tos, ttl, word));
        prop_assert_eq!((view.header_len(), view.payload().len()), (20, len));
    }

    #[test]
    fn an_ipv6_header_reads_back(src: u128, dst: u128, next: u8, class: u8, label: u32, hops: u8, len in 0usize..200) {
        let packet = [&ipv6::header(src, dst, next, class, label, hops, len)[..], &vec![0; len]].concat();
        let view = ipv6::Ipv6::parse(&packet).expect("a header");
        prop_assert_eq!((view.src(), view.dst(), view.next_header()), (src, dst, next));
        prop_assert_eq!((view.traffic_class(), view.label()), (class, label & ipv6::LABEL_MASK));
        prop_assert_eq!((view.hop_limit(), view.payload().len()), (hops, len));
    }

    #[test]
    fn an_mpls_entry_reads_back(label: u32, class: u8, is_bottom: bool, ttl: u8) {
        let entry = mpls::entry(label, class, is_bottom, ttl);
        prop_assert_eq!((mpls::label(entry), mpls::traffic_class(entry)), (label & 0xf_ffff, class & 7));
        prop_assert_eq!((mpls::is_bottom(entry), mpls::ttl(entry)), (is_bottom, ttl));
    }

    #[test]
    fn no_accessor_fails_on_any_bytes(data in prop::collection::vec(any::<u8>(), 0..80), first: u8) {
        if let Some(view) = ethernet::Ethernet::parse(&data) {
            prop_assert_eq!(view.payload().len(), data.len() - ethernet::HEADER_LEN);
        }
        if let Some(view) = ipv4::Ipv4::parse(&data) {
            prop_assert_eq!(view.payload().len(), view.total_len() - view.header_len());
        }
        if let Some(view) = ipv6::Ipv6::parse(&data) {
            prop_assert_eq!(view.payload().len(), view.payload_len());
        }
        if let Some(up) = ipv6::upper(first, &data) {
            prop_assert!(up.payload.len() <= data.len() && (up.is_fragment || !up.is_later_fragment));
        }
        if let Some(view) = tcp::Tcp::parse(&data) {
            prop_assert_eq!(view.options().len() + view.payload().len(), data.len() - tcp::MIN_LEN);
        }
        if let Some(view) = udp::Udp::parse(&data) {
            prop_assert_eq!(view.payload().len(), data.len() - udp::LEN);
        }
        if let Some(view) = nsh::Nsh::parse(&data) {
            prop_assert!(view.metadata().len() + view.payload().len() <= data.len());
        }
        if let Some(view) = icmp::Icmp::parse(&data) {
            let nd = icmp::NeighborDiscovery::parse(&view);
            prop_assert!(nd.option_type <= 2 && nd.reserved == view.rest());
        }
    }
}
