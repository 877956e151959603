use proptest::prelude::*;

use super::*;
use crate::ethernet::{TYPE_IPV4, TYPE_IPV6};

const GROUP: u32 = 0xe001_0101;
const GROUP6: u128 = 0xff1e << 112 | 7;
const HOST6: u128 = 0xfe80 << 112 | 1;
const ALL_ROUTERS6: u128 = 0xff02 << 112 | 0x16;

/// A frame around an IGMP message, in VLAN 5.
fn igmp_frame(src: u32, message: &[u8]) -> Vec<u8> {
    let mut frame = ethernet::tagged_header(base::MacAddr::ZERO, base::MacAddr::ZERO, 5, TYPE_IPV4);
    frame.extend(ipv4::header(src, GROUP, protocol::IGMP, 0, 1, 0, message.len()));
    frame.extend_from_slice(message);
    // Short frames are filled up; what fills them is not of the message.
    frame.extend([0xee; 8]);
    frame
}

/// A frame around an MLD message, behind a router alert as all have.
fn mld_frame(src: u128, message: &[u8]) -> Vec<u8> {
    let mut frame = ethernet::header(base::MacAddr::ZERO, base::MacAddr::ZERO, TYPE_IPV6).to_vec();
    frame.extend(ipv6::header(src, ALL_ROUTERS6, protocol::HOP_BY_HOP, 0, 0, 1, message.len() + 8));
    frame.extend([protocol::ICMPV6, 0, 5, 2, 0, 0, 1, 0]);
    frame.extend_from_slice(message);
    frame
}

fn memberships(frame: &[u8]) -> (Version, Vec<Membership>) {
    match read(frame) {
        Ok(Message::Report(report)) => (report.version, report.collect()),
        other => panic!("{other:?}"),
    }
}

fn membership(group: u128, listens: bool) -> Membership {
    Membership { group, listens }
}

#[test]
fn the_older_messages_of_igmp_name_one_group() {
    for (kind, version, listens) in [
        (igmp::V1_REPORT, Version::Igmp1, true),
        (igmp::V2_REPORT, Version::Igmp2, true),
        (igmp::LEAVE, Version::Igmp2, false),
    ] {
        let read = memberships(&igmp_frame(1, &igmp_message(kind, GROUP, &[])));
        assert_eq!(read, (version, vec![membership(mapped(GROUP), listens)]));
    }
    for (src, expected) in [(0, false), (1, true)] {
        let frame = igmp_frame(src, &igmp_message(igmp::QUERY, 0, &[]));
        assert!(matches!(read(&frame), Ok(Message::Query { has_source }) if has_source == expected));
    }
}

#[test]
fn the_older_messages_of_mld_name_one_group() {
    for (kind, listens) in [(mld::V1_REPORT, true), (mld::DONE, false)] {
        let message = mld_message(HOST6, ALL_ROUTERS6, kind, 0, &GROUP6.to_be_bytes());
        assert_eq!(
            memberships(&mld_frame(HOST6, &message)),
            (Version::Mld1, vec![membership(GROUP6, listens)])
        );
        let cut = mld_message(HOST6, ALL_ROUTERS6, kind, 0, &[1, 2]);
        assert_eq!(read(&mld_frame(HOST6, &cut)).unwrap_err(), Unreadable::Other);
    }
    for (src, expected) in [(0, false), (HOST6, true)] {
        let message = mld_message(src, ALL_ROUTERS6, mld::QUERY, 0, &[0; 16]);
        assert!(
            matches!(read(&mld_frame(src, &message)), Ok(Message::Query { has_source }) if has_source == expected)
        );
    }
}

/// Records of every kind, and whether who sends them listens to the group, whose last byte is the place.
fn records<A: Copy + Default>(group: impl Fn(u8) -> A) -> (Vec<GroupRecord<A>>, Vec<(u8, bool)>) {
    let kinds = [
        (record::IS_INCLUDE, 0, Some(false)),
        (record::IS_INCLUDE, 1, Some(true)),
        (record::IS_EXCLUDE, 0, Some(true)),
        (record::TO_INCLUDE, 0, Some(false)),
        (record::TO_INCLUDE, 2, Some(true)),
        (record::TO_EXCLUDE, 0, Some(true)),
        (77, 1, None),
        (0, 0, None),
        (record::ALLOW, 1, Some(true)),
        (record::BLOCK, 1, Some(true)),
    ];
    let mut all = Vec::new();
    let mut expected = Vec::new();
    for (place, (kind, sources, listens)) in (0..).zip(kinds) {
        let auxiliary = vec![9; usize::from(place % 3)];
        all.push(GroupRecord { kind, group: group(place), sources: vec![A::default(); sources], auxiliary });
        expected.extend(listens.map(|listens| (place, listens)));
    }
    (all, expected)
}

#[test]
fn the_newer_reports_name_a_group_in_each_record() {
    let of = |place: u8| GROUP + u32::from(place);
    let (all, expected) = records(of);
    let body: Vec<u8> = all.iter().flat_map(TypedForm::to_bytes).collect();
    let message = igmp_message(igmp::V3_REPORT, all.len() as u32, &body);
    let expected4 =
        expected.iter().map(|(place, listens)| membership(mapped(of(*place)), *listens)).collect();
    assert_eq!(memberships(&igmp_frame(1, &message)), (Version::Igmp3, expected4));

    let of = |place: u8| GROUP6 + u128::from(place);
    let (all, expected) = records(of);
    let body: Vec<u8> = all.iter().flat_map(TypedForm::to_bytes).collect();
    let message = mld_message(HOST6, ALL_ROUTERS6, mld::V2_REPORT, all.len() as u32, &body);
    let expected6 = expected.iter().map(|(place, listens)| membership(of(*place), *listens)).collect();
    assert_eq!(memberships(&mld_frame(HOST6, &message)), (Version::Mld2, expected6));
}

#[test]
fn a_report_ends_with_its_count_and_with_its_bytes() {
    let record = GroupRecord { kind: record::IS_EXCLUDE, group: GROUP, ..GroupRecord::default() }.to_bytes();
    for (count, there, read) in [(1, 2, 1), (2, 2, 2), (60_000, 2, 2), (0, 2, 0)] {
        let message = igmp_message(igmp::V3_REPORT, count, &record.repeat(there));
        assert_eq!(memberships(&igmp_frame(1, &message)).1.len(), read);
    }
}

#[test]
fn a_wrong_checksum_makes_a_message_unreadable() {
    let mut message = igmp_message(igmp::V2_REPORT, GROUP, &[]);
    message[7] ^= 1;
    assert_eq!(read(&igmp_frame(1, &message)).unwrap_err().to_string(), "bad IGMP checksum");
    let message = mld_message(HOST6, ALL_ROUTERS6, mld::V1_REPORT, 0, &GROUP6.to_be_bytes());
    assert_eq!(read(&mld_frame(HOST6 + 1, &message)).unwrap_err().to_string(), "bad MLD checksum");
}

#[test]
fn other_frames_say_nothing() {
    let other = igmp_frame(1, &igmp_message(0x13, GROUP, &[]));
    assert_eq!(read(&other).unwrap_err(), Unreadable::Other);
    let whole = igmp_frame(1, &igmp_message(igmp::V2_REPORT, GROUP, &[]));
    for len in 0..14 + 4 + 20 + 8 {
        assert_eq!(read(&whole[..len]).unwrap_err(), Unreadable::Other, "{len} bytes");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_reading_fail(mut frame in prop::collection::vec(any::<u8>(), 0..200), is_ipv6 in any::<bool>()) {
        // Such as get far into reading.
        if let Some(head) = frame.get_mut(12..24) {
            let (ether_type, version, protocol) = if is_ipv6 { (0x86dd_u16, 0x60, 6) } else { (0x0800, 0x45, 9) };
            head[..2].copy_from_slice(&ether_type.to_be_bytes());
            head[2] = version;
            head[4..6].fill(0);
            head[5] = 40;
            head[2 + protocol] = if is_ipv6 { 58 } else { 2 };
        }
        if let Ok(Message::Report(report)) = read(&frame) {
            prop_assert!(report.count() <= frame.len());
        }
    }

    #[test]
    fn what_is_written_reads_back(kind in any::<u8>(), group in any::<u128>(), sources in prop::collection::vec(any::<u128>(), 0..9), auxiliary in prop::collection::vec(any::<u32>(), 0..9)) {
        let record = GroupRecord { kind, group, sources, auxiliary };
        prop_assert_eq!(GroupRecord::parse(&record.to_bytes()), Some(record.clone()));
        prop_assert_eq!(record.to_bytes().len(), record.header_len());
        let narrow = |address: &u128| *address as u32;
        let record = GroupRecord { kind, group: narrow(&group), sources: record.sources.iter().map(narrow).collect(), auxiliary: record.auxiliary };
        prop_assert_eq!(GroupRecord::parse(&record.to_bytes()), Some(record));
    }
}
