//! Two systems whose links a test can cut.

use super::*;

const PORTS: [OfPort; 2] = [OfPort(1), OfPort(2)];

fn settings(system: u8) -> Settings {
    Settings {
        is_active: true,
        is_fast: false,
        falls_back: false,
        system: MacAddr([2, 0, 0, 0, 0, system]),
        system_priority: 65_534,
    }
}

fn member(port: OfPort) -> MemberSettings {
    MemberSettings { name: format!("p{}", port.0), port_id: port.0 as u16, port_priority: 65_535, key: 0 }
}

/// Two systems, joined by two links, and the time.
struct Pair {
    systems: [Lacp; 2],
    cut: [bool; 2],
    now: i64,
    sent: usize,
}

impl Pair {
    fn new(settings: [Settings; 2]) -> Pair {
        let systems = settings.map(|settings| {
            let mut lacp = Lacp::new("bond", settings);
            lacp.set_members(&PORTS.map(|port| (port, member(port))).into(), 0);
            PORTS.into_iter().for_each(|port| lacp.set_link(port, true, 0));
            lacp
        });
        Pair { systems, cut: [false; 2], now: 0, sent: 0 }
    }

    fn run(&mut self, ms: i64) {
        let end = self.now + ms;
        while self.now < end {
            for side in 0..2 {
                if self.systems[side].wakes_at() > self.now {
                    continue;
                }
                for (port, message) in self.systems[side].run(self.now) {
                    self.sent += 1;
                    if !self.cut[port.0 as usize - 1] {
                        let frame = frame(&message, MacAddr::ZERO);
                        self.systems[1 - side].receive(port, &frame, self.now);
                    }
                }
            }
            self.now += 1;
        }
    }

    fn enabled(&self) -> [[bool; 2]; 2] {
        [0, 1].map(|side| PORTS.map(|port| self.systems[side].may_enable(port)))
    }
}

#[test]
fn two_systems_join_both_links_and_then_are_quiet() {
    let mut pair = Pair::new([settings(1), settings(2)]);
    assert_eq!(pair.enabled(), [[false; 2]; 2]);
    pair.run(100);
    assert_eq!(pair.enabled(), [[true; 2]; 2]);
    assert!(pair.systems.iter().all(Lacp::is_negotiated));
    // Until each has heard that the other is not in doubt any more, they ask each second.
    pair.run(5000);
    pair.sent = 0;
    pair.run(60_000);
    assert_eq!(pair.sent, 8, "two links, both ways, each half minute");
}

#[test]
fn one_that_is_passive_answers_and_two_such_stay_apart() {
    let passive = |system| Settings { is_active: false, ..settings(system) };
    let mut pair = Pair::new([settings(1), passive(2)]);
    pair.run(100);
    assert_eq!(pair.enabled(), [[true; 2]; 2]);
    let mut pair = Pair::new([passive(1), passive(2)]);
    pair.run(10_000);
    assert_eq!((pair.enabled(), pair.sent), ([[false; 2]; 2], 0));
    assert!(!pair.systems[0].is_negotiated());
}

#[test]
fn a_link_that_is_silent_is_left_after_three_intervals() {
    let fast = |system| Settings { is_fast: true, ..settings(system) };
    let mut pair = Pair::new([fast(1), fast(2)]);
    pair.run(5000);
    pair.cut[1] = true;
    pair.run(1500);
    assert_eq!(pair.enabled(), [[true; 2]; 2]);
    pair.run(2500);
    assert_eq!(pair.enabled(), [[true, false]; 2]);
    pair.run(4000);
    assert_eq!(
        pair.systems[0].is_current(PORTS[1]),
        Some(false),
        "nothing is known of the neighbour any more"
    );
    pair.cut[1] = false;
    pair.run(31_000);
    assert_eq!(pair.enabled(), [[true; 2]; 2]);
}

#[test]
fn a_link_that_is_down_is_left_at_once() {
    let mut pair = Pair::new([settings(1), settings(2)]);
    pair.run(100);
    let now = pair.now;
    pair.systems[0].set_link(PORTS[0], false, now);
    pair.run(10);
    assert!(!pair.systems[0].may_enable(PORTS[0]) && pair.systems[0].may_enable(PORTS[1]));
    // What comes over a link that is said to be down is not believed.
    assert!(pair.systems[0].details().contains("member: p1: expired"));
}

#[test]
fn links_to_two_neighbours_are_not_joined() {
    let mut one = Pair::new([settings(1), settings(2)]);
    one.cut[1] = true;
    one.run(100);
    let mut stranger = Lacp::new("bond", settings(3));
    stranger.set_members(&[(PORTS[1], member(PORTS[1]))].into(), 0);
    stranger.set_link(PORTS[1], true, 0);
    for (port, message) in stranger.run(100) {
        one.systems[0].receive(port, &frame(&message, MacAddr::ZERO), 100);
    }
    one.run(100);
    assert_eq!(one.enabled()[0], [true, false]);
    assert!(one.systems[0].details().contains("member: p2: current detached"));
}

#[test]
fn a_link_to_itself_is_not_used() {
    let mut pair = Pair::new([settings(1), settings(1)]);
    pair.run(100);
    assert_eq!(pair.enabled(), [[false; 2]; 2]);
}

#[test]
fn without_a_neighbour_a_port_that_falls_back_works() {
    let mut pair = Pair::new([Settings { falls_back: true, ..settings(1) }, settings(2)]);
    pair.cut = [true; 2];
    pair.run(10_000);
    assert_eq!(pair.enabled(), [[true; 2], [false; 2]]);
    assert!(!pair.systems[0].is_negotiated());
    pair.cut = [false; 2];
    // Nobody asks who knows of nobody to ask often.
    pair.run(31_000);
    assert_eq!(pair.enabled(), [[true; 2]; 2]);
    assert!(pair.systems[0].is_negotiated());
}

#[test]
fn what_is_no_message_is_counted_and_changes_nothing() {
    let mut pair = Pair::new([settings(1), settings(2)]);
    pair.run(100);
    let now = pair.now;
    let before = pair.systems[0].details();
    let marker =
        [&DESTINATION.0[..], &[2, 0, 0, 0, 0, 2], &[0x88, 0x09, SUBTYPE_MARKER, 1], &[0; 60]].concat();
    let cut = frame(&Header::default(), MacAddr::ZERO)[..100].to_vec();
    for bytes in [&marker[..], &cut, &[], &[0xff; 124]] {
        pair.systems[0].receive(PORTS[0], bytes, now);
    }
    assert_eq!(pair.systems[0].details(), before);
    let shown = pair.systems[0].statistics();
    assert!(shown.contains("  RX Bad PDUs: 3\n  RX Marker Request PDUs: 1\n"), "{shown}");
}

#[test]
fn what_is_shown_is_worded_as_operators_know_it() {
    let mut lacp = Lacp::new("bond", settings(1));
    lacp.set_members(&[(PORTS[0], member(PORTS[0]))].into(), 0);
    let expected = "---- bond ----\n  status: active\n  sys_id: 02:00:00:00:00:01\n  sys_priority: 65534\n  \
                    aggregation key: 1\n  lacp_time: slow\n\nmember: p1: expired detached\n  port_id: 1\n  \
                    port_priority: 65535\n  may_enable: false\n\n  actor sys_id: 02:00:00:00:00:01\n  \
                    actor sys_priority: 65534\n  actor port_id: 1\n  actor port_priority: 65535\n  actor key: 1\n  \
                    actor state: activity collecting distributing expired\n\n  \
                    partner sys_id: 00:00:00:00:00:00\n  partner sys_priority: 0\n  partner port_id: 0\n  \
                    partner port_priority: 0\n  partner key: 0\n  partner state: timeout\n";
    assert_eq!(lacp.details(), expected);
}
