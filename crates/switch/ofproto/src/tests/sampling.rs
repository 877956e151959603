//! What samples packets, as datapath actions.

use dp::Cookie;
use pipeline::{BridgeSampling, Exports, IpfixSampling};

use super::*;
use crate::Settings;

fn set_exports(switch: &mut Switch, id: BridgeId, exports: Exports) {
    let bridge = switch.get_mut(id).unwrap();
    bridge.set_settings(Settings { exports, ..bridge.settings().clone() });
}

fn ipfix(probability: u32) -> Option<IpfixSampling> {
    Some(IpfixSampling {
        bridge: Some(BridgeSampling { probability, input: true, output: true, tunnels: true }),
    })
}

/// Samples all that comes in and leaves, and what rules sample for the sets of collectors 1 and 2.
pub(super) fn sample_all(switch: &mut Switch, id: BridgeId) {
    let groups = [(1, 42)].into();
    set_exports(switch, id, Exports { ipfix: ipfix(u32::MAX), groups, ..Exports::default() });
}

/// A bridge with three ports, on which packets of the first go by `actions`.
fn sampled(exports: Exports, actions: &str) -> (Switch, BridgeId) {
    let (mut switch, id) = switch_with(&vec![VlanConfig::default(); 3]);
    set_exports(&mut switch, id, exports);
    add_flow(&mut switch, id, 1, "in_port=1", actions);
    (switch, id)
}

fn translated(exports: Exports, actions: &str) -> String {
    let (switch, id) = sampled(exports, actions);
    text(&run(&switch, id, &frame(1, 2, 4, None)))
}

const FLOW_SAMPLE: &str = "flow_sample(probability=65535,collector_set_id=1,obs_domain_id=7,obs_point_id=8";

#[test]
fn a_bridge_samples_where_packets_come_in_and_leave() {
    let all = Exports { ipfix: ipfix(u32::MAX), ..Exports::default() };
    assert_eq!(
        translated(all, "output:2"),
        "userspace(pid=0,ipfix(output_port=4294967295)),userspace(pid=0,ipfix(output_port=12)),12"
    );
    let half = Exports { ipfix: ipfix(u32::MAX / 2), ..Exports::default() };
    assert_eq!(
        translated(half, "drop"),
        "sample(sample=50.0%,actions(userspace(pid=0,ipfix(output_port=4294967295))))"
    );
    let one_way = |input, output| {
        let bridge = Some(BridgeSampling { probability: u32::MAX, input, output, tunnels: true });
        Exports { ipfix: Some(IpfixSampling { bridge }), ..Exports::default() }
    };
    assert_eq!(translated(one_way(false, true), "output:2"), "userspace(pid=0,ipfix(output_port=12)),12");
    assert_eq!(
        translated(one_way(true, false), "output:2"),
        "userspace(pid=0,ipfix(output_port=4294967295)),12"
    );
    assert_eq!(translated(one_way(false, false), "output:2"), "12");
}

#[test]
fn a_rule_samples_only_where_somebody_collects() {
    let action = "sample(probability=65535,collector_set_id=1,obs_domain_id=7,obs_point_id=8),output:2";
    assert_eq!(translated(Exports::default(), action), "12");
    let sets = || Some(IpfixSampling { bridge: None });
    let some = Exports { ipfix: sets(), ..Exports::default() };
    assert_eq!(
        translated(some.clone(), action),
        format!("userspace(pid=0,{FLOW_SAMPLE},output_port=4294967295)),12")
    );
    let group = |set| Exports { groups: [(set, 42)].into(), ..Exports::default() };
    assert_eq!(translated(group(1), action), "psample(group=42,cookie=0x700000008),12");
    assert_eq!(translated(group(2), action), "12", "another set of collectors");
    let both = Exports { ipfix: sets(), ..group(1) };
    assert_eq!(
        translated(both, &action.replace("65535", "32767")),
        format!(
            "sample(sample=50.0%,actions(psample(group=42,cookie=0x700000008),userspace(pid=0,{},output_port=4294967295)))),12",
            FLOW_SAMPLE.replace("65535", "32767")
        )
    );
}

#[test]
fn a_rule_says_of_which_port_and_direction_a_sample_is() {
    let exports = || Exports { ipfix: Some(IpfixSampling { bridge: None }), ..Exports::default() };
    let of = |port: &str| {
        let action = format!(
            "sample(probability=65535,collector_set_id=1,obs_domain_id=7,obs_point_id=8,sampling_port={port}),output:2"
        );
        translated(exports(), &action)
    };
    assert_eq!(of("2,egress"), format!("userspace(pid=0,{FLOW_SAMPLE},output_port=12,egress)),12"));
    assert_eq!(of("1,ingress"), format!("userspace(pid=0,{FLOW_SAMPLE},output_port=4294967295,ingress)),12"));
    assert_eq!(of("9"), "12", "no such port");
}

#[test]
fn numbers_of_a_sample_are_read_from_the_packet() {
    let exports = Exports { ipfix: Some(IpfixSampling { bridge: None }), ..Exports::default() };
    let action = "sample(probability=65535,collector_set_id=1,obs_domain_id=NXM_OF_IN_PORT[],obs_point_id=NXM_OF_ETH_SRC[0..7]),output:2";
    let (switch, id) = sampled(exports, action);
    let translation = run(&switch, id, &frame(1, 0x1234, 4, None));
    assert!(text(&translation).contains("obs_domain_id=1,obs_point_id=52,"), "{}", text(&translation));
    assert_eq!(translation.mask.bits(slot::DL_SRC), 0xff);
}

#[test]
fn what_goes_to_userspace_passes_the_slow_paths_meter() {
    let exports = Exports { ipfix: ipfix(u32::MAX), ..Exports::default() };
    let (mut switch, id) = sampled(exports, "drop");
    let text_of_meter = "meter=slowpath pktps bands=type=drop rate=2";
    let meter = ofp::parse_meter_mod(text_of_meter, ofp::MeterCommand::Add).unwrap();
    let (bridge, numbers) = switch.get_with_meters(id).unwrap();
    bridge.meter_mod(&meter, numbers, Timestamp::ZERO).unwrap();
    assert_eq!(
        text(&run(&switch, id, &frame(1, 2, 4, None))),
        "sample(sample=100.0%,actions(meter(0),userspace(pid=0,ipfix(output_port=4294967295))))"
    );
}

#[test]
fn a_packet_that_is_only_sampled_is_dropped_where_that_is_asked_for() {
    let exports = || Exports { ipfix: ipfix(u32::MAX), explicit_drops: true, ..Exports::default() };
    let sample = "userspace(pid=0,ipfix(output_port=4294967295))";
    assert_eq!(translated(exports(), "drop"), format!("{sample},drop"));
    assert_eq!(translated(Exports { explicit_drops: false, ..exports() }, "drop"), sample);
    let clone = translated(exports(), "clone(sample(probability=1,collector_set_id=1))");
    assert!(clone.ends_with(")),drop") && !clone.contains("clone"), "{clone}");
    assert!(translated(exports(), "output:2").ends_with("),12"));
}

#[test]
fn a_sample_knows_whether_its_packet_is_forwarded() {
    let forwarded = |actions: &str| {
        let exports = Exports { ipfix: ipfix(1 << 31), ..Exports::default() };
        let (switch, id) = sampled(exports, actions);
        let translation = run(&switch, id, &frame(1, 2, 4, None));
        let dp::Action::Sample { actions, .. } = &translation.actions[0] else { panic!() };
        let dp::Action::Userspace(userspace) = &actions[0] else { panic!() };
        assert_eq!(userspace.bridge, id.0.into());
        let Cookie::Ipfix { is_forwarded, .. } = userspace.cookie else { panic!("{userspace:?}") };
        is_forwarded
    };
    assert!(forwarded("output:2"));
    assert!(forwarded("clone(output:2),output:9"));
    assert!(!forwarded("drop"));
}
