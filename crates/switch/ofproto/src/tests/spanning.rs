//! What a spanning tree lets ports do.

use base::OfPort;
use dp::{Action, DropReason};
use pipeline::{SpanningPort, SpanningState, SpanningTree};

use super::*;

/// A bridge with a tree and three ports that forward, and what holds them.
fn bridge(kind: SpanningTree) -> (Switch, BridgeId, Vec<Arc<SpanningPort>>) {
    let (mut switch, id) =
        switch_with(&[VlanConfig::default(), VlanConfig::default(), VlanConfig::default()]);
    let state = switch.get_mut(id).unwrap();
    state.set_settings(crate::Settings { spanning_tree: Some(kind), ..state.settings().clone() });
    let ports: Vec<Arc<SpanningPort>> = (1..4)
        .map(|number| {
            let port = Arc::new(SpanningPort::default());
            port.set_state(SpanningState::Forwarding);
            state.span_port(OfPort(number), Some(Arc::clone(&port)));
            port
        })
        .collect();
    (switch, id, ports)
}

fn bpdu(in_port: u32) -> FlowKey {
    let mut key = frame(in_port, 0xa, 0x0180_c200_0000, None);
    key.set_dl_type(flow::DL_TYPE_NONE);
    key
}

const HELD: [Action; 1] = [Action::Drop(DropReason::SpanningTree)];

#[test]
fn a_port_learns_before_it_forwards() {
    let (mut switch, id, ports) = bridge(SpanningTree::Stp);
    add_flow(&mut switch, id, 0, "", "NORMAL");
    for state in [SpanningState::Disabled, SpanningState::Blocking, SpanningState::Listening] {
        ports[0].set_state(state);
        let translation = run(&switch, id, &frame(1, 0xa, 0xb, None));
        assert_eq!((&translation.actions[..], translation.effects.len()), (&HELD[..], 0), "{state:?}");
    }
    ports[0].set_state(SpanningState::Learning);
    assert_eq!(forward(&switch, id, &frame(1, 0xa, 0xb, None)), "drop");
    assert_eq!(switch.get(id).unwrap().macs().len(), 1);
    assert_eq!(run(&switch, id, &frame(2, 0xb, 0xa, None)).actions, HELD, "it does not send yet");
    ports[0].set_state(SpanningState::Forwarding);
    assert_eq!(forward(&switch, id, &frame(1, 0xa, 0xb, None)), "12,13");
    assert_eq!(forward(&switch, id, &frame(2, 0xb, 0xa, None)), "11");
}

#[test]
fn what_came_before_a_port_was_closed_teaches_nothing_after() {
    let (mut switch, id, ports) = bridge(SpanningTree::Rstp);
    add_flow(&mut switch, id, 0, "", "NORMAL");
    let translation = run(&switch, id, &frame(1, 0xa, 0xb, None));
    ports[0].set_state(SpanningState::Discarding);
    let credit = pipeline::Credit { packets: 1, bytes: 64, tcp_flags: 0, used: Timestamp::from_millis(1) };
    switch.apply(&translation.effects, credit);
    assert_eq!(switch.get(id).unwrap().macs().len(), 0);
    ports[0].set_state(SpanningState::Learning);
    switch.apply(&translation.effects, credit);
    assert_eq!(switch.get(id).unwrap().macs().len(), 1);
}

#[test]
fn flooding_passes_by_ports_that_do_not_forward_and_all_means_all() {
    for kind in [SpanningTree::Stp, SpanningTree::Rstp] {
        let (mut switch, id, ports) = bridge(kind);
        ports[1].set_state(SpanningState::Learning);
        for (actions, expected) in
            [("NORMAL", "13"), ("FLOOD", "13"), ("ALL", "12,13"), ("output:2,output:3", "13")]
        {
            add_flow(&mut switch, id, 0, "", actions);
            assert_eq!(forward(&switch, id, &frame(1, 0xa, 0xb, None)), expected, "{kind:?} {actions}");
        }
    }
}

#[test]
fn units_go_to_the_protocol_whatever_rules_say_and_from_ports_outside_the_tree_too() {
    let (mut switch, id, ports) = bridge(SpanningTree::Rstp);
    add_flow(&mut switch, id, 9, "", "output:3");
    ports[0].set_state(SpanningState::Discarding);
    switch.get_mut(id).unwrap().span_port(OfPort(2), None);
    for port in [1, 2] {
        let translation = run(&switch, id, &bpdu(port));
        assert_eq!(translation.actions, []);
        assert!(!translation.slow.is_empty());
        assert_eq!(translation.mask.bits(slot::DL_DST), (1 << 48) - 1);
    }
    // Without a tree they are frames to an address that bridges do not forward.
    let state = switch.get_mut(id).unwrap();
    state.set_settings(crate::Settings { spanning_tree: None, ..state.settings().clone() });
    assert_eq!(text(&run(&switch, id, &bpdu(2))), "13");
}

#[test]
fn a_port_that_is_new_in_a_tree_forwards_nothing_and_the_bridges_own_does() {
    let (mut switch, id, _) = bridge(SpanningTree::Rstp);
    let state = switch.get_mut(id).unwrap();
    let new = |name: &str| NewPort { name: name.into(), datapath: Some(DpPort(20)), ..NewPort::default() };
    let number = state.add_port(new("p9"), Timestamp::ZERO).unwrap().status.desc.port;
    assert!(!state.port(number).unwrap().forwards());
    let own = state.add_port(new("br0"), Timestamp::ZERO).unwrap().status.desc.port;
    assert!(own == OfPort::LOCAL && state.port(own).unwrap().forwards());
}

#[test]
fn controllers_see_what_a_port_does() {
    use ofp::port_state::{STP_BLOCK, STP_FORWARD, STP_LEARN, STP_LISTEN, STP_MASK};
    let (mut switch, id, ports) = bridge(SpanningTree::Stp);
    let state = switch.get_mut(id).unwrap();
    for (does, shown) in [
        (SpanningState::Disabled, 0),
        (SpanningState::Listening, STP_LISTEN),
        (SpanningState::Learning, STP_LEARN),
        (SpanningState::Forwarding, STP_FORWARD),
        (SpanningState::Blocking, STP_BLOCK),
        (SpanningState::Discarding, STP_LISTEN),
    ] {
        ports[0].set_state(does);
        state.update_port(OfPort(1), |_| ());
        assert_eq!(state.port_entry(OfPort(1)).unwrap().desc.state & STP_MASK, shown, "{does:?}");
    }
    ports[0].set_state(SpanningState::Forwarding);
    state.update_port(OfPort(1), |_| ());
    assert!(state.span_port(OfPort(1), None).is_some(), "that it takes no part any more is news");
}
