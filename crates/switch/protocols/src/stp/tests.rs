//! One bridge and what it does with units; networks of them are in `spanning/tests.rs`.

use super::*;
use crate::spanning::tests::{self as spanning, better_root as better};
use crate::tree::priority;

const P1: OfPort = OfPort(1);

fn settings() -> Settings {
    Settings {
        system: MacAddr([2, 0, 0, 0, 0, 9]),
        priority: 0x8000,
        hello_ms: 2000,
        max_age_ms: 20_000,
        forward_delay_ms: 15_000,
    }
}

fn port(number: u16) -> PortSettings {
    PortSettings {
        name: format!("p{number}"),
        mac: MacAddr([2, 0, 0, 0, 1, 1]),
        number,
        priority: 128,
        cost: 19,
    }
}

fn bridge(ports: &[u16]) -> Bridge {
    let mut bridge = Bridge::new("br0", &settings(), 0);
    let ports = ports.iter().map(|number| (OfPort((*number).into()), port(*number))).collect();
    bridge.set_ports(&ports, 0);
    for of in ports.keys() {
        bridge.set_link(*of, true, 0);
    }
    bridge
}

fn units_of(bridge: &mut Bridge) -> Vec<(OfPort, Bpdu)> {
    spanning::units_of(bridge.take_outcome())
}

#[test]
fn times_are_moved_into_the_standards_limits() {
    let seconds = |hello: i64, age: i64, delay: i64| {
        let wanted = Settings {
            hello_ms: hello * 1000,
            max_age_ms: age * 1000,
            forward_delay_ms: delay * 1000,
            ..settings()
        };
        let times = wanted.times();
        (times.hello / SECOND, times.max_age / SECOND, times.forward_delay / SECOND)
    };
    assert_eq!(seconds(2, 20, 15), (2, 20, 15));
    assert_eq!(seconds(0, 1, 1), (1, 6, 4));
    assert_eq!(seconds(99, 99, 99), (10, 40, 30));
    assert_eq!(seconds(10, 6, 4), (10, 22, 12), "each fits the one before");
}

#[test]
fn a_root_says_so_at_once_and_every_hello_time() {
    let mut bridge = bridge(&[1]);
    bridge.run(0);
    let sent = units_of(&mut bridge);
    assert!(
        matches!(sent[..], [(P1, Bpdu::Config(config))] if config.root == bridge.id && config.cost == 0),
        "{sent:?}"
    );
    assert_eq!(bridge.wakes_at(), 2000);
    bridge.run(1999);
    assert_eq!(units_of(&mut bridge), []);
    bridge.run(2000);
    assert_eq!(units_of(&mut bridge).len(), 1);
}

#[test]
fn two_configurations_are_a_second_apart() {
    let mut bridge = bridge(&[1]);
    bridge.run(0);
    units_of(&mut bridge);
    // A worse bridge is answered, but not sooner.
    let worse = Config { root: u64::MAX, bridge: u64::MAX, ..better() };
    bridge.receive(P1, &wire::TypedForm::to_bytes(&Bpdu::Config(worse)), 100);
    assert_eq!(units_of(&mut bridge), []);
    assert_eq!(bridge.wakes_at(), 1000);
    bridge.run(1000);
    assert_eq!(units_of(&mut bridge).len(), 1);
}

#[test]
fn what_a_better_bridge_says_is_handed_on_with_its_age_and_becomes_void() {
    let mut bridge = bridge(&[1, 2]);
    bridge.run(0);
    units_of(&mut bridge);
    bridge.receive(P1, &wire::TypedForm::to_bytes(&Bpdu::Config(better())), 5000);
    let (status, _) = bridge.port_status(P1).unwrap();
    assert_eq!((status.role, bridge.status().cost), (Role::Root, 19));
    bridge.run(6000);
    let sent = units_of(&mut bridge);
    let second = sent.iter().find(|(port, _)| *port == OfPort(2));
    let Some((_, Bpdu::Config(handed_on))) = second else { panic!("{second:?} is no configuration") };
    assert_eq!((handed_on.root, handed_on.cost, handed_on.bridge), (better().root, 19, bridge.id));
    assert!(handed_on.message_age >= 1);
    bridge.run(25_001);
    assert_eq!(bridge.status().root, bridge.id, "nothing was heard for twenty seconds");
    // What is as old when it comes says nothing.
    let old = Config { message_age: 20 << 8, ..better() };
    bridge.receive(P1, &wire::TypedForm::to_bytes(&Bpdu::Config(old)), 26_000);
    assert_eq!(bridge.status().root, bridge.id);
}

#[test]
fn units_are_counted_and_those_of_others_are_errors() {
    let mut bridge = bridge(&[1]);
    bridge.run(0);
    for bytes in [&[0, 0, 0][..], &[0, 9, 0, 0], &[0, 0, 0, 7], &[0, 0, 0, 0, 1]] {
        bridge.receive(P1, bytes, 10);
    }
    bridge.receive(P1, &wire::TypedForm::to_bytes(&Bpdu::Rapid(better())), 10);
    bridge.receive(P1, &wire::TypedForm::to_bytes(&Bpdu::Notification), 10);
    bridge.receive(OfPort(7), &[], 10);
    let (_, counts) = bridge.port_status(P1).unwrap();
    assert_eq!(counts, Counts { sent: 1, received: 1, errors: 5 });
}

#[test]
fn a_notification_is_acknowledged_and_addresses_are_forgotten() {
    let mut bridge = bridge(&[1]);
    bridge.run(0);
    bridge.run(40_000);
    bridge.take_outcome();
    bridge.receive(P1, &wire::TypedForm::to_bytes(&Bpdu::Notification), 41_500);
    let out = bridge.take_outcome();
    assert_eq!(out.flushes, [Flush::All]);
    let unit = Bpdu::read(wire::stp::payload(&out.frames[0].1).unwrap());
    let flags = flag::ACKNOWLEDGEMENT | flag::TOPOLOGY_CHANGE;
    assert!(matches!(unit, Ok(Bpdu::Config(config)) if config.flags == flags), "{unit:?}");
}

#[test]
fn a_port_that_stops_forwarding_is_a_change_of_the_topology() {
    for is_removed in [false, true] {
        let mut bridge = bridge(&[1, 2]);
        bridge.run(0);
        bridge.set_link(OfPort(2), false, 1000);
        assert_eq!(bridge.take_outcome().flushes, [], "nobody was behind a port that listened");
        bridge.set_link(OfPort(2), true, 1000);
        // Twice the forward delay, and then until the change is over.
        for seconds in [16, 31, 47, 100] {
            bridge.run(seconds * 1000);
        }
        bridge.take_outcome();
        if is_removed {
            bridge.remove_port(OfPort(2));
        } else {
            bridge.set_link(OfPort(2), false, 101_000);
        }
        assert_eq!(bridge.take_outcome().flushes, [Flush::All]);
        bridge.run(102_000);
        let sent = units_of(&mut bridge);
        let is_told =
            |unit: &Bpdu| matches!(unit, Bpdu::Config(config) if config.flags == flag::TOPOLOGY_CHANGE);
        assert!(sent.iter().any(|(port, unit)| *port == P1 && is_told(unit)), "{sent:?}");
    }
}

#[test]
fn another_priority_and_other_numbers_take_effect() {
    let mut bridge = bridge(&[1, 2]);
    bridge.run(0);
    bridge.configure(&Settings { priority: 0x1234, ..settings() }, 10);
    assert_eq!((priority(bridge.status().bridge), bridge.status().root), (0x1234, bridge.id));
    let wanted = [(P1, PortSettings { number: 9, priority: 16, ..port(1) })].into();
    bridge.set_ports(&wanted, 20);
    assert_eq!(bridge.port_status(P1).unwrap().0.id, 0x1009);
    assert_eq!(bridge.port_status(P1).unwrap().0.state, SpanningState::Disabled, "its link is to be told");
    assert!(bridge.port_status(OfPort(2)).is_none());
}

#[test]
fn it_is_shown_as_the_reference_shows_it() {
    let mut bridge = bridge(&[1, 2]);
    bridge.run(0);
    bridge.receive(P1, &wire::TypedForm::to_bytes(&Bpdu::Config(better())), 5000);
    let text = "\
---- br0 ----
Root ID:
  stp-priority  4096
  stp-system-id   02:00:00:00:00:01
  stp-hello-time  2s
  stp-max-age     20s
  stp-fwd-delay   15s
  root-port       p1
  root-path-cost  19

Bridge ID:
  stp-priority  32768
  stp-system-id   02:00:00:00:00:09
  stp-hello-time  2s
  stp-max-age     20s
  stp-fwd-delay   15s

  Interface  Role       State      Cost  Pri.Nbr 
  ---------- ---------- ---------- ----- -------
  p1         root       listening  19    128.1
  p2         designated listening  19    128.2

";
    assert_eq!(bridge.details(), text);
}
