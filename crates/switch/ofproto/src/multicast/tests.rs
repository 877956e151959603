use proptest::prelude::*;
use wire::membership::{GroupRecord, igmp, igmp_message, mapped, record};
use wire::{TypedForm, ethernet, ipv4, protocol};

use super::*;

const A: BundleId = BundleId(1);
const B: BundleId = BundleId(2);
const GROUP: u32 = 0xe001_0100;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// What an IGMP message from `src` says to the table.
fn say(
    table: &mut MulticastTable,
    vlan: u16,
    port: BundleId,
    src: u32,
    message: &[u8],
    now: Timestamp,
) -> bool {
    let mut frame = ethernet::header(base::MacAddr::ZERO, base::MacAddr::ZERO, ethernet::TYPE_IPV4).to_vec();
    frame.extend(ipv4::header(src, GROUP, protocol::IGMP, 0, 1, 0, message.len()));
    frame.extend_from_slice(message);
    table.take(vlan, port, wire::membership::read(&frame).unwrap(), now)
}

fn join(table: &mut MulticastTable, vlan: u16, port: BundleId, group: u32, now: Timestamp) -> bool {
    say(table, vlan, port, 1, &igmp_message(igmp::V2_REPORT, GROUP + group, &[]), now)
}

fn leave(table: &mut MulticastTable, vlan: u16, port: BundleId, group: u32) -> bool {
    say(table, vlan, port, 1, &igmp_message(igmp::LEAVE, GROUP + group, &[]), at(0))
}

fn query(table: &mut MulticastTable, vlan: u16, port: BundleId, src: u32, now: Timestamp) -> bool {
    say(table, vlan, port, src, &igmp_message(igmp::QUERY, 0, &[]), now)
}

fn members(table: &MulticastTable, vlan: u16, group: u32) -> Option<Vec<BundleId>> {
    table.receivers(vlan, mapped(GROUP + group)).members
}

#[test]
fn hosts_join_and_leave_in_their_vlan() {
    let mut table = MulticastTable::default();
    assert!(join(&mut table, 1, A, 7, at(0)));
    assert!(!join(&mut table, 1, A, 7, at(1)), "saying it again changes nothing");
    assert!(join(&mut table, 1, B, 7, at(2)));
    assert_eq!(members(&table, 1, 7), Some(vec![A, B]));
    assert!(!join(&mut table, 1, A, 7, at(3)));
    assert_eq!(members(&table, 1, 7), Some(vec![B, A]), "who reported last is last");
    assert_eq!((members(&table, 2, 7), members(&table, 1, 8)), (None, None));
    assert!(!leave(&mut table, 2, A, 7) && leave(&mut table, 1, A, 7) && !leave(&mut table, 1, A, 7));
    assert!(leave(&mut table, 1, B, 7));
    assert_eq!(members(&table, 1, 7), None, "with its last member the group goes");
    assert_eq!(table.listeners(at(3)), []);
}

#[test]
fn a_newer_report_joins_and_leaves_many_groups() {
    let mut table = MulticastTable::default();
    join(&mut table, 0, A, 1, at(0));
    let record =
        |kind, group: u32| GroupRecord { kind, group: GROUP + group, ..GroupRecord::default() }.to_bytes();
    let body = [record(record::TO_INCLUDE, 1), record(record::TO_EXCLUDE, 2), record(record::IS_EXCLUDE, 3)]
        .concat();
    assert!(say(&mut table, 0, A, 1, &igmp_message(igmp::V3_REPORT, 3, &body), at(4)));
    let known = table.listeners(at(5));
    let listener = |group: u32| Listener {
        port: A,
        vlan: 0,
        group: Some((mapped(GROUP + group), Version::Igmp3)),
        age: Duration::from_secs(1),
    };
    assert_eq!(known, [listener(2), listener(3)]);
}

#[test]
fn who_is_not_heard_of_is_forgotten() {
    let mut table = MulticastTable::default();
    table.configure(Snooping { idle: Duration::from_secs(100), ..Snooping::default() });
    join(&mut table, 0, A, 1, at(0));
    join(&mut table, 0, A, 2, at(20));
    join(&mut table, 0, B, 1, at(50));
    query(&mut table, 0, B, 1, at(50));
    assert!(!table.expire(at(99)) && table.expire(at(100)));
    assert_eq!((members(&table, 0, 1), members(&table, 0, 2)), (Some(vec![B]), Some(vec![A])));
    assert!(table.expire(at(120)));
    assert_eq!(members(&table, 0, 2), None);
    assert_eq!(table.receivers(0, 0).routers, [B]);
    assert!(table.expire(at(150)) && !table.expire(at(229)) && table.expire(at(230)));
    assert_eq!(table.listeners(at(230)), []);
    // Another time is in force for those who are known, too.
    join(&mut table, 0, A, 1, at(300));
    table.configure(Snooping { idle: Duration::from_secs(1), ..Snooping::default() });
    assert!(!table.expire(at(314)) && table.expire(at(315)), "at least 15 seconds");
}

#[test]
fn routers_are_who_asks_from_an_address() {
    let mut table = MulticastTable::default();
    assert!(!query(&mut table, 5, A, 0, at(0)), "a switch that asks in a router's place");
    assert!(query(&mut table, 5, A, 9, at(0)) && !query(&mut table, 5, A, 9, at(10)));
    let receivers = table.receivers(5, 0);
    assert_eq!((receivers.routers, receivers.routers_elsewhere), (vec![A], 0));
    let receivers = table.receivers(6, 0);
    assert_eq!((receivers.routers, receivers.routers_elsewhere), (vec![], 1));
    assert!(!join(&mut table, 5, A, 1, at(0)), "a router gets everything already");
    assert!(join(&mut table, 6, A, 1, at(0)));
    let listener = Listener { port: A, vlan: 5, group: None, age: Duration::from_secs(2) };
    assert_eq!(table.listeners(at(12)).last(), Some(&listener));
}

#[test]
fn ports_that_get_everything_learn_nothing_and_those_that_get_reports_never_leave() {
    let mut table = MulticastTable::default();
    let (multicast, reports) = (true, true);
    assert!(table.set_port(A, PortFlooding { multicast, reports: false }));
    assert!(!table.set_port(A, PortFlooding { multicast, reports: false }));
    assert!(!join(&mut table, 0, A, 1, at(0)) && !query(&mut table, 0, A, 1, at(0)));
    table.set_port(B, PortFlooding { multicast: false, reports });
    assert!(join(&mut table, 0, B, 1, at(0)) && !leave(&mut table, 0, B, 1));
    let receivers = table.receivers(0, 0);
    assert_eq!((receivers.flood_ports, receivers.report_ports), (vec![A], vec![B]));
    assert!(table.set_port(B, PortFlooding::default()) && leave(&mut table, 0, B, 1));
}

#[test]
fn a_full_table_forgets_the_group_that_was_reported_longest_ago() {
    let mut table = MulticastTable::default();
    table.configure(Snooping { capacity: 1, ..Snooping::default() });
    for group in 0..10 {
        join(&mut table, 0, A, group, at(group.into()));
    }
    join(&mut table, 0, B, 0, at(10));
    join(&mut table, 0, A, 10, at(11));
    assert_eq!((members(&table, 0, 0), members(&table, 0, 1)), (Some(vec![A, B]), None));
    assert_eq!(table.groups.len(), 10, "at least");
}

#[test]
fn a_port_that_is_another_device_is_forgotten() {
    let mut table = MulticastTable::default();
    let [one, two] = [[OfPort(1)], [OfPort(2)]];
    table.set_numbers(A, &one);
    for port in [A, B] {
        join(&mut table, 0, port, 1, at(0));
        query(&mut table, 1, port, 1, at(0));
        table.set_port(port, PortFlooding { multicast: true, reports: true });
    }
    table.set_numbers(A, &[]);
    table.set_numbers(A, &one);
    assert_eq!(members(&table, 0, 1), Some(vec![A, B]), "the device was away for a moment");
    table.set_numbers(A, &two);
    let receivers = table.receivers(1, 0);
    assert_eq!(members(&table, 0, 1), Some(vec![B]));
    assert_eq!(
        (receivers.routers, receivers.flood_ports, receivers.report_ports),
        (vec![B], vec![B], vec![B])
    );
    table.remove_port(B);
    assert_eq!((members(&table, 0, 1), table.numbers.len()), (None, 1));
    join(&mut table, 0, A, 1, at(0));
    assert!(table.flush() && !table.flush());
}

proptest! {
    /// Whatever happens, the lists by use and by age hold what the groups hold, and no more than there is room for.
    #[test]
    fn the_lists_agree(steps in prop::collection::vec((0u8..12, 0u16..2, 1u32..4, 0u32..14), 0..200)) {
        let mut table = MulticastTable::default();
        table.configure(Snooping { capacity: 10, ..Snooping::default() });
        for (number, (step, vlan, port, group)) in (0..).zip(steps) {
            let (port, now) = (BundleId(port), at(number * 9));
            match step {
                0..=5 => _ = join(&mut table, vlan, port, group, now),
                6..=7 => _ = leave(&mut table, vlan, port, group),
                8 => _ = query(&mut table, vlan, port, group, now),
                9 => _ = table.expire(now),
                10 => table.forget_port(port),
                _ => _ = table.set_port(port, PortFlooding { multicast: group == 1, reports: group == 2 }),
            }
            prop_assert!(table.groups.len() <= 10);
            prop_assert_eq!(table.groups.len(), table.by_use.len());
            prop_assert_eq!(table.groups.values().map(|group| group.members.len()).sum::<usize>(), table.by_age.len());
            for (address, group) in &table.groups {
                prop_assert_eq!(table.by_use.get(&group.sequence), Some(address));
                prop_assert!(!group.members.is_empty());
                for member in &group.members {
                    prop_assert_eq!(table.by_age.get(&member.sequence), Some(&(*address, member.port)));
                }
            }
        }
    }
}
