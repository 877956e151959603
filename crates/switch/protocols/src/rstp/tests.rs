//! One bridge and what it does with units; networks of them are in `spanning/tests.rs`.

use wire::TypedForm;
use wire::stp::Config;

use super::*;
use crate::spanning::tests as spanning;

const P1: OfPort = OfPort(1);

fn settings() -> Settings {
    Settings {
        address: MacAddr([2, 0, 0, 0, 0, 9]),
        priority: 0x8000,
        is_rapid: true,
        max_age: 20,
        forward_delay: 15,
        hold_count: 6,
    }
}

fn port(number: u16) -> PortSettings {
    PortSettings {
        name: format!("p{number}"),
        mac: MacAddr([2, 0, 0, 0, 1, 1]),
        number: None,
        priority: 128,
        cost: 2000,
        is_edge: false,
        finds_edge: true,
        point_to_point: PointToPoint::Yes,
        is_enabled: true,
        checks_migration: false,
    }
}

fn bridge_with(settings: &Settings, ports: &[PortSettings]) -> Bridge {
    let mut bridge = Bridge::new("br0", settings, 0);
    let ports: BTreeMap<OfPort, PortSettings> = (1..).map(OfPort).zip(ports.iter().cloned()).collect();
    bridge.set_ports(&ports);
    ports.keys().for_each(|of| bridge.set_link(*of, true));
    bridge
}

fn better() -> Config {
    Config { flags: flag::ROLE_DESIGNATED, ..spanning::better_root() }
}

fn units_of(bridge: &mut Bridge) -> Vec<Bpdu> {
    spanning::units_of(bridge.take_outcome()).into_iter().map(|(_, unit)| unit).collect()
}

/// Runs for some seconds.
fn run(bridge: &mut Bridge, seconds: i64) {
    for _ in 0..seconds {
        let at = bridge.wakes_at();
        bridge.run(at);
    }
}

fn state(bridge: &Bridge) -> SpanningState {
    bridge.port_status(P1).unwrap().0.state
}

#[test]
fn a_port_where_no_bridge_is_heard_becomes_an_edge_and_forwards() {
    let mut bridge = bridge_with(&settings(), &[port(1)]);
    assert_eq!(state(&bridge), SpanningState::Discarding);
    run(&mut bridge, 4);
    assert_eq!(state(&bridge), SpanningState::Forwarding);
    let mut slow = bridge_with(&settings(), &[PortSettings { finds_edge: false, ..port(1) }]);
    run(&mut slow, 19);
    assert_eq!(state(&slow), SpanningState::Discarding, "it waits whether a bridge objects");
    run(&mut slow, 4);
    assert_eq!(state(&slow), SpanningState::Forwarding);
    let quick = bridge_with(&settings(), &[PortSettings { is_edge: true, ..port(1) }]);
    assert_eq!(state(&quick), SpanningState::Forwarding, "it is said to lead to hosts");
}

#[test]
fn a_proposal_is_agreed_to_at_once_and_the_port_forwards() {
    let mut bridge = bridge_with(&settings(), &[port(1)]);
    units_of(&mut bridge);
    let proposal = Config { flags: flag::ROLE_DESIGNATED | flag::PROPOSAL, ..better() };
    bridge.receive(P1, &Bpdu::Rapid(proposal).to_bytes());
    let (status, counts) = bridge.port_status(P1).unwrap();
    assert_eq!((status.role, status.state, counts.received), (Role::Root, SpanningState::Forwarding, 1));
    let agreed = |unit: &Bpdu| matches!(unit, Bpdu::Rapid(config) if config.flags & flag::AGREEMENT != 0);
    assert!(units_of(&mut bridge).iter().any(agreed));
    assert_eq!((bridge.status().root, bridge.status().cost), (better().root, 2000));
    // Three units that do not come, and it is the root itself.
    run(&mut bridge, 7);
    assert_eq!(bridge.status().root, bridge.id);
}

#[test]
fn a_neighbour_of_the_old_protocol_is_spoken_to_in_it_until_one_of_the_rapid_is_heard() {
    let mut bridge = bridge_with(&settings(), &[port(1)]);
    run(&mut bridge, 4);
    let worse = Config { root: u64::MAX, bridge: u64::MAX, flags: 0, ..better() };
    bridge.receive(P1, &Bpdu::Config(worse).to_bytes());
    units_of(&mut bridge);
    run(&mut bridge, 4);
    let sent = units_of(&mut bridge);
    assert!(!sent.is_empty() && sent.iter().all(|unit| matches!(unit, Bpdu::Config(_))), "{sent:?}");
    let worse = Config { flags: flag::ROLE_DESIGNATED, ..worse };
    bridge.receive(P1, &Bpdu::Rapid(worse).to_bytes());
    units_of(&mut bridge);
    run(&mut bridge, 4);
    let sent = units_of(&mut bridge);
    assert!(!sent.is_empty() && sent.iter().all(|unit| matches!(unit, Bpdu::Rapid(_))), "{sent:?}");
}

#[test]
fn a_bridge_may_be_held_to_the_old_protocol() {
    let mut bridge = bridge_with(&Settings { is_rapid: false, ..settings() }, &[port(1)]);
    run(&mut bridge, 10);
    assert!(units_of(&mut bridge).iter().all(|unit| matches!(unit, Bpdu::Config(_))));
    assert_eq!(state(&bridge), SpanningState::Discarding, "fifteen seconds for each step");
    run(&mut bridge, 25);
    assert_eq!(state(&bridge), SpanningState::Forwarding);
    bridge.configure(&settings());
    units_of(&mut bridge);
    run(&mut bridge, 4);
    assert!(units_of(&mut bridge).iter().any(|unit| matches!(unit, Bpdu::Rapid(_))));
}

#[test]
fn no_more_than_the_hold_count_is_sent_in_a_second() {
    let mut bridge = bridge_with(&Settings { hold_count: 2, ..settings() }, &[port(1)]);
    run(&mut bridge, 10);
    units_of(&mut bridge);
    for cost in 0..20 {
        let proposal = Config { flags: flag::ROLE_DESIGNATED | flag::PROPOSAL, cost: 100 - cost, ..better() };
        bridge.receive(P1, &Bpdu::Rapid(proposal).to_bytes());
    }
    assert!(units_of(&mut bridge).len() <= 2);
}

#[test]
fn units_that_say_nothing_are_errors_and_its_own_are_ignored() {
    let mut bridge = bridge_with(&settings(), &[port(1)]);
    bridge.receive(P1, &[0, 0, 2, 2, 1]);
    let own = Config { flags: 0, root: bridge.id, bridge: bridge.id, port: 0x8001, ..better() };
    bridge.receive(P1, &Bpdu::Config(own).to_bytes());
    bridge.receive(P1, &Bpdu::Config(Config { flags: 0, message_age: 20 << 8, ..better() }).to_bytes());
    let (status, counts) = bridge.port_status(P1).unwrap();
    assert_eq!((counts.errors, counts.received, status.role), (3, 0, Role::Designated));
}

#[test]
fn numbers_that_are_asked_for_are_given_if_free_and_others_the_first_free_one() {
    let asked = |number| PortSettings { number: Some(number), ..port(number) };
    let bridge =
        bridge_with(&settings(), &[asked(2), port(1), asked(2), PortSettings { priority: 16, ..asked(9) }]);
    let ids: Vec<u16> = (1..5).map(|of| bridge.port_status(OfPort(of)).unwrap().0.id).collect();
    assert_eq!(ids, [0x8002, 0x8001, 0x8003, 0x1009]);
}

#[test]
fn a_port_that_may_not_be_used_discards() {
    let mut bridge = bridge_with(&settings(), &[PortSettings { is_enabled: false, ..port(1) }]);
    run(&mut bridge, 10);
    let (status, counts) = bridge.port_status(P1).unwrap();
    assert_eq!((status.role, status.state, counts.sent), (Role::Disabled, SpanningState::Discarding, 0));
}

#[test]
fn it_is_shown_as_the_reference_shows_it() {
    let mut bridge = bridge_with(&settings(), &[port(1), port(2)]);
    let proposal = Config { flags: flag::ROLE_DESIGNATED | flag::PROPOSAL, ..better() };
    bridge.receive(P1, &Bpdu::Rapid(proposal).to_bytes());
    let text = "\
---- br0 ----
Root ID:
  stp-priority    4096
  stp-system-id   02:00:00:00:00:01
  stp-hello-time  2s
  stp-max-age     20s
  stp-fwd-delay   15s
  root-port       p1
  root-path-cost  2000

Bridge ID:
  stp-priority    32768
  stp-system-id   02:00:00:00:00:09
  stp-hello-time  2s
  stp-max-age     20s
  stp-fwd-delay   15s

  Interface  Role       State      Cost     Pri.Nbr 
  ---------- ---------- ---------- -------- -------
  p1         Root       Forwarding 2000     128.1
  p2         Designated Discarding 2000     128.2

";
    assert_eq!(bridge.details(), text);
}
