//! From what is to what should be: ordered steps. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Desired, DesiredBridge, DesiredInterface};

/// What exists now, as far as the plan depends on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Actual {
    pub bridges: BTreeMap<String, ActualBridge>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ActualBridge {
    pub datapath_type: String,
    /// The interfaces that work, by name.
    pub interfaces: BTreeMap<String, ActualInterface>,
    pub bundles: BTreeSet<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ActualInterface {
    pub kind: String,
    pub options: BTreeMap<String, String>,
    pub number: Option<base::OfPort>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    RemoveBridge(String),
    RemoveInterface {
        bridge: String,
        interface: String,
    },
    RemoveBundle {
        bridge: String,
        bundle: String,
    },
    AddBridge {
        bridge: String,
    },
    /// May fail: the error then stands at the interface, and the rest goes on.
    AddInterface {
        bridge: String,
        interface: Box<DesiredInterface>,
    },
    /// Everything of the bridge that can be set again without harm: bundles, settings, controllers.
    Settle {
        bridge: String,
    },
}

/// The steps that make `desired` of `actual`: first what goes away, so that
/// names and numbers are free, then what comes.
pub(crate) fn plan(desired: &Desired, actual: &Actual) -> Vec<Step> {
    let mut steps = Vec::new();
    for (name, bridge) in &actual.bridges {
        match wanted(desired, name) {
            Some(want) if want.datapath_type == bridge.datapath_type => leave(want, bridge, &mut steps),
            _ => steps.push(Step::RemoveBridge(name.clone())),
        }
    }
    for want in &desired.bridges {
        let have = actual.bridges.get(&want.name).filter(|have| have.datapath_type == want.datapath_type);
        if have.is_none() {
            steps.push(Step::AddBridge { bridge: want.name.clone() });
        }
        let fits = |interface: &DesiredInterface| {
            have.and_then(|have| have.interfaces.get(&interface.name))
                .is_some_and(|have| is_same(interface, have))
        };
        for interface in interfaces(want).filter(|interface| !fits(interface)) {
            steps.push(Step::AddInterface {
                bridge: want.name.clone(),
                interface: Box::new(interface.clone()),
            });
        }
    }
    steps.extend(desired.bridges.iter().map(|want| Step::Settle { bridge: want.name.clone() }));
    steps
}

fn wanted<'a>(desired: &'a Desired, name: &str) -> Option<&'a DesiredBridge> {
    desired.bridges.iter().find(|bridge| bridge.name == name)
}

fn interfaces(bridge: &DesiredBridge) -> impl Iterator<Item = &DesiredInterface> {
    bridge.ports.iter().flat_map(|port| &port.interfaces)
}

/// What has to go from a bridge that stays.
fn leave(want: &DesiredBridge, have: &ActualBridge, steps: &mut Vec<Step>) {
    for (name, interface) in &have.interfaces {
        let stays = interfaces(want).any(|i| i.name == *name && is_same(i, interface));
        if !stays {
            steps.push(Step::RemoveInterface { bridge: want.name.clone(), interface: name.clone() });
        }
    }
    for bundle in &have.bundles {
        if !want.ports.iter().any(|port| port.name == *bundle) {
            steps.push(Step::RemoveBundle { bridge: want.name.clone(), bundle: bundle.clone() });
        }
    }
}

/// Whether an interface can stay as it is. Another kind, peer or number asked for makes it a new one.
fn is_same(want: &DesiredInterface, have: &ActualInterface) -> bool {
    want.kind == have.kind
        && want.options == have.options
        && (want.number.is_none() || want.number == have.number || have.number == Some(base::OfPort::LOCAL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::tests::{bridge, interface, port};

    fn actual_of(desired: &Desired) -> Actual {
        let bridges = desired.bridges.iter().map(|b| {
            let interfaces = interfaces(b)
                .map(|i| {
                    let have = ActualInterface {
                        kind: i.kind.clone(),
                        options: i.options.clone(),
                        number: i.number,
                    };
                    (i.name.clone(), have)
                })
                .collect();
            let bundles = b.ports.iter().map(|p| p.name.clone()).collect();
            (b.name.clone(), ActualBridge { datapath_type: b.datapath_type.clone(), interfaces, bundles })
        });
        Actual { bridges: bridges.collect() }
    }

    #[test]
    fn nothing_to_do_only_settles() {
        let desired = Desired { bridges: vec![bridge("br0", vec![port("p1")])], ..Desired::default() };
        assert_eq!(plan(&desired, &actual_of(&desired)), [Step::Settle { bridge: "br0".into() }]);
    }

    #[test]
    fn what_goes_comes_before_what_comes() {
        let before = Desired {
            bridges: vec![bridge("br0", vec![port("p1"), port("p2")]), bridge("br1", vec![])],
            ..Desired::default()
        };
        let mut moved = port("p2");
        moved.interfaces = vec![interface("p2", "internal")];
        let after = Desired { bridges: vec![bridge("br0", vec![moved, port("p3")])], ..Desired::default() };
        let steps = plan(&after, &actual_of(&before));
        let br0 = || "br0".to_owned();
        assert_eq!(
            steps,
            [
                Step::RemoveInterface { bridge: br0(), interface: "p1".into() },
                Step::RemoveInterface { bridge: br0(), interface: "p2".into() },
                Step::RemoveBundle { bridge: br0(), bundle: "p1".into() },
                Step::RemoveBridge("br1".into()),
                Step::AddInterface { bridge: br0(), interface: Box::new(interface("p2", "internal")) },
                Step::AddInterface { bridge: br0(), interface: Box::new(interface("p3", "")) },
                Step::Settle { bridge: br0() },
            ]
        );
    }

    #[test]
    fn another_datapath_type_makes_the_bridge_anew() {
        let before = Desired { bridges: vec![bridge("br0", vec![])], ..Desired::default() };
        let mut after = before.clone();
        after.bridges[0].datapath_type = "netdev".into();
        let steps = plan(&after, &actual_of(&before));
        assert_eq!(steps[..2], [Step::RemoveBridge("br0".into()), Step::AddBridge { bridge: "br0".into() }]);
    }
}
