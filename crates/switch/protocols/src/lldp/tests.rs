use proptest::prelude::*;

use super::*;

const OURS: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const THEIRS: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn session() -> Session {
    let settings = Settings {
        system_name: "here".into(),
        system_description: "a switch".into(),
        mappings: BTreeMap::from([(10, 100), (20, 200)]),
    };
    Session::new("eth0", settings, 0)
}

/// What a neighbour with a port of this name says.
fn unit(port: &str) -> Unit {
    Unit { system_name: b"there".to_vec(), ..Session::new(port, Settings::default(), 0).unit(THEIRS) }
}

fn hear(session: &mut Session, unit: &Unit, now: i64) {
    session.receive(&unit.frame(THEIRS), now);
}

fn counters(sent: u64, received: u64) -> Counters {
    Counters { sent, received, ..Counters::default() }
}

#[test]
fn a_unit_is_sent_at_once_every_five_seconds_and_when_something_changes() {
    let mut session = session();
    let frame = session.frame(OURS, 0).unwrap();
    let (sent, unrecognized) = Unit::read(content(&frame).unwrap()).unwrap();
    assert_eq!((sent.ttl, &sent.system_name[..], unrecognized), (120, &b"here"[..], 0));
    assert_eq!(sent.port.bytes, b"eth0");
    assert_eq!(sent.assignments[1], Assignment { status: 0, vlan: 200, isid: 20 });
    assert_eq!((session.frame(OURS, 4999), session.wakes_at()), (None, 5000));
    assert!(session.frame(OURS, 5000).is_some());
    session.configure(session.settings.clone(), 5500);
    assert_eq!(session.frame(OURS, 5500), None, "nothing has changed");
    session.configure(Settings::default(), 6000);
    assert_eq!(session.frame(OURS, 6000).unwrap().len(), 14 + 9 + 7 + 4 + 6 + 52 + 2);
    assert_eq!(session.counters, counters(3, 0));
}

#[test]
fn a_neighbour_is_known_until_its_time_is_over_or_it_says_that_it_goes() {
    let mut session = session();
    hear(&mut session, &unit("p1"), 1000);
    hear(&mut session, &unit("p2"), 2000);
    hear(&mut session, &unit("p1"), 100_000);
    assert_eq!(session.neighbours.len(), 2);
    session.frame(OURS, 121_000);
    session.run(121_999);
    assert_eq!((session.neighbours.len(), session.wakes_at()), (2, 122_000));
    session.run(122_000);
    assert_eq!(session.neighbours.len(), 1);
    hear(&mut session, &Unit { ttl: 0, ..unit("p1") }, 123_000);
    hear(&mut session, &Unit { ttl: 0, ..unit("p1") }, 123_000);
    assert!(session.neighbours.is_empty());
    let expected = Counters { aged: 1, inserted: 2, deleted: 2, ..counters(1, 5) };
    assert_eq!(session.counters, expected);
}

#[test]
fn what_is_no_unit_is_counted_and_what_goes_elsewhere_is_not_read() {
    let mut session = session();
    let frame = unit("p1").frame(THEIRS);
    session.receive(&frame[..frame.len() - 2], 0);
    session.receive(&frame[..10], 0);
    let mut elsewhere = frame.clone();
    elsewhere[5] = 3;
    session.receive(&elsewhere, 0);
    assert_eq!(session.counters, Counters { discarded: 2, ..counters(0, 3) });
    let tagged = wire::ethernet::tagged_header(DESTINATION, THEIRS, 5, ETHER_TYPE);
    session.receive(&[&tagged, &frame[14..]].concat(), 0);
    assert_eq!(session.neighbours.len(), 1, "tags do not matter");
}

#[test]
fn neighbours_beyond_what_there_is_room_for_are_dropped() {
    let mut session = session();
    for number in 0..MOST_NEIGHBOURS + 2 {
        hear(&mut session, &unit(&format!("p{number}")), 0);
    }
    assert_eq!(session.neighbours.len(), MOST_NEIGHBOURS);
    assert_eq!((session.counters.dropped, session.counters.inserted), (2, MOST_NEIGHBOURS as u64));
    hear(&mut session, &Unit { system_name: b"other".to_vec(), ..unit("p0") }, 0);
    assert_eq!(session.counters.dropped, 2, "it is known, and there is room for what it says");
    assert_eq!(session.neighbours.last().unwrap().unit.system_name, b"other");
}

#[test]
fn operators_see_servers_services_and_counters() {
    let mut session = session();
    let mut server = unit("p1");
    server.assignments = vec![
        Assignment { status: 2, vlan: 100, isid: 10 },
        Assignment { status: 9, vlan: 200, isid: 20 },
        Assignment { status: 2, vlan: 300, isid: 30 },
    ];
    server.element = Some(Element {
        kind: 2,
        system: SystemId { mac: THEIRS, connection: 1, reserved: 0x203, rest: [4, 5] },
        ..Element::default()
    });
    hear(&mut session, &server, 0);
    assert_eq!(
        session.servers(),
        "LLDP: eth0\n  \
         Auto Attach Primary Server Id: 02:00:00:00:00:02\n  \
         Auto Attach Primary Server Descr: <None>\n  \
         Auto Attach Primary Server System Id: 02:00:00:00:00:02:01:00:03:02:04:05\n"
    );
    let table = |first: &str, second: &str| {
        format!(
            "LLDP: eth0\nI-SID    VLAN Source      Status  \n-------- ---- ----------- --------\n\
             10       100  Switch      {first:<11}\n20       200  Switch      {second:<11}\n"
        )
    };
    assert_eq!(session.services(), table("Active", "Reject (Application interaction issue)"));
    session.run(120_000);
    assert_eq!(session.services(), table("Pending", "Pending"));
    assert_eq!(session.servers(), "LLDP: eth0\n");
    assert_eq!(
        session.statistics(),
        "Statistics: eth0\n  tx cnt: 0\n  rx cnt: 1\n  rx discarded cnt: 0\n  rx unrecognized cnt: 0\n  \
         ageout cnt: 1\n  insert cnt: 1\n  delete cnt: 1\n  drop cnt: 0\n"
    );
}

proptest! {
    #[test]
    fn any_bytes_leave_a_session_that_works(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
    ) {
        let mut session = session();
        for bytes in &frames {
            session.receive(bytes, 0);
            let whole = [&unit("p").frame(THEIRS)[..14], bytes].concat();
            session.receive(&whole, 0);
        }
        prop_assert_eq!(session.counters.received, 2 * frames.len() as u64);
        prop_assert!(session.frame(OURS, 0).is_some());
        prop_assert!(!session.servers().is_empty() && !session.services().is_empty());
    }
}
