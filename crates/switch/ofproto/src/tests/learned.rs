//! Rules that packets teach: whose they are, and when it is not known who teaches them.

use super::*;
use crate::Table;

const TEACHING: &str = "learn(table=1,priority=7,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])";
const FEW: &str = "learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],limit=1)";

fn teach(switch: &mut Switch, bridge: BridgeId, key: &FlowKey, used_ms: u64) {
    for effect in run(switch, bridge, key).effects {
        if let pipeline::Effect::LearnRule { rule, limit, .. } = effect {
            switch.get_mut(bridge).unwrap().learn(&rule, limit, Timestamp::from_millis(used_ms));
        }
    }
}

fn learned(switch: &Switch, bridge: BridgeId) -> Vec<String> {
    let entries = switch.get(bridge).unwrap().table(TableId(1)).into_iter().flat_map(Table::entries);
    let text = |entry: &Arc<crate::Entry>| {
        let mut text = String::new();
        ofp::format_actions(&entry.rule.actions, &mut text, ofp::Names::default());
        text
    };
    entries.map(text).collect()
}

#[test]
fn the_last_packet_is_believed_whichever_is_counted_last() {
    let (mut switch, id) = switch_with(&[VlanConfig::default(), VlanConfig::default()]);
    add_flow(&mut switch, id, 1, "", TEACHING);
    for (first, second, expected) in [(5, 9, "output:2"), (12, 11, "output:1")] {
        teach(&mut switch, id, &frame(1, 8, 9, None), first);
        teach(&mut switch, id, &frame(2, 8, 9, None), second);
        assert_eq!(learned(&switch, id), [expected]);
    }
}

#[test]
fn who_teaches_a_rule_of_which_there_may_be_few_is_not_known_before_a_packet_comes() {
    let (mut switch, id) = switch_with(&[VlanConfig::default()]);
    add_flow(&mut switch, id, 1, "", FEW);
    let key = frame(1, 8, 9, None);
    assert!(run(&switch, id, &key).competes);
    teach(&mut switch, id, &key, 1);
    assert!(!run(&switch, id, &key).competes, "it is there");
    assert!(run(&switch, id, &frame(1, 7, 9, None)).competes, "this one is not");
}

#[test]
fn answers_of_dhcp_go_to_the_port_of_a_bridge_that_is_controlled_through_itself() {
    let (mut switch, id) = switch_with(&[VlanConfig::default()]);
    let state = switch.get_mut(id).unwrap();
    let local = crate::NewPort {
        name: "br0".to_owned(),
        wanted: Some(base::OfPort::LOCAL),
        datapath: Some(DpPort(100)),
        ..NewPort::default()
    };
    state.add_port(local, Timestamp::ZERO).unwrap();
    add_flow(&mut switch, id, 1, "", "drop");
    let mut key = frame(1, 8, 9, None);
    key.set_dl_type(0x0800);
    key.set_nw_proto(17);
    key.set_tp_src(67);
    key.set_tp_dst(68);
    assert_eq!(text(&run(&switch, id, &key)), "drop");
    let state = switch.get_mut(id).unwrap();
    state.set_settings(crate::Settings { is_in_band: true, ..state.settings().clone() });
    assert_eq!(text(&run(&switch, id, &key)), "100");
    // What is matched tells other packets apart, and little of them.
    for (source, target) in [(68, 68), (67, 67), (0, 68), (65_535, 68), (67, 69), (67, 1068)] {
        let mut other = key.clone();
        other.set_tp_src(source);
        other.set_tp_dst(target);
        let made = run(&switch, id, &other);
        assert_eq!(text(&made), "drop", "{source} {target}");
        assert!(!key.equal_under(&other, &made.mask), "{source} {target}");
    }
    key.set_tp_src(50_000);
    assert_eq!(run(&switch, id, &key).mask.bits(slot::TP_SRC), 0x8000);
}
