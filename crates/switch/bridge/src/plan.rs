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
    /// By its full name.
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
            Some(want) if want.datapath_kind() == bridge.datapath_type => leave(want, bridge, &mut steps),
            _ => steps.push(Step::RemoveBridge(name.clone())),
        }
    }
    let stays_there = |want: &DesiredBridge| {
        actual.bridges.get(&want.name).filter(|have| have.datapath_type == want.datapath_kind())
    };
    let new = desired.bridges.iter().filter(|want| stays_there(want).is_none());
    steps.extend(new.map(|want| Step::AddBridge { bridge: want.name.clone() }));
    for want in &desired.bridges {
        let have = stays_there(want);
        let stays =
            |interface: &&DesiredInterface| have.is_some_and(|have| stays(want, have, &interface.name));
        let mut coming: Vec<_> = interfaces(want).filter(|interface| !stays(interface)).collect();
        // Numbers that were asked for are given out before others can happen to take them.
        coming.sort_by_key(|interface| !interface.is_number_asked);
        for interface in coming {
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
    for name in have.interfaces.keys() {
        if !stays(want, have, name) {
            steps.push(Step::RemoveInterface { bridge: want.name.clone(), interface: name.clone() });
        }
    }
    for bundle in &have.bundles {
        if !want.ports.iter().any(|port| port.name == *bundle) {
            steps.push(Step::RemoveBundle { bridge: want.name.clone(), bundle: bundle.clone() });
        }
    }
}

/// Whether the interface of this name can stay as it is. Another kind, other options or another number make it a new one.
fn stays(want: &DesiredBridge, have: &ActualBridge, name: &str) -> bool {
    let wanted = interfaces(want).find(|interface| interface.name == name);
    let (Some(wanted), Some(running)) = (wanted, have.interfaces.get(name)) else { return false };
    wanted.kind == running.kind
        && wanted.options == running.options
        && keeps_number(want, have, wanted, running)
}

fn keeps_number(
    want: &DesiredBridge,
    have: &ActualBridge,
    wanted: &DesiredInterface,
    running: &ActualInterface,
) -> bool {
    let Some(number) = running.number.filter(|number| *number != base::OfPort::LOCAL) else { return true };
    // Another interface that was given the number on request.
    let asked_by_other = |number: base::OfPort| {
        interfaces(want)
            .find(|other| other.name != wanted.name && other.is_number_asked && other.number == Some(number))
    };
    if !wanted.is_number_asked {
        return asked_by_other(number).is_none();
    }
    let Some(asked) = wanted.number.filter(|asked| *asked != number) else { return true };
    // It cannot have what another one has, who asked for it too.
    asked_by_other(asked).is_some_and(|other| {
        have.interfaces.get(&other.name).is_some_and(|other| other.number == Some(asked))
    })
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
            (
                b.name.clone(),
                ActualBridge { datapath_type: b.datapath_kind().to_owned(), interfaces, bundles },
            )
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

    /// A bridge with interfaces of these names, numbers, and whether the numbers were asked for.
    fn numbered(interfaces: &[(&str, u32, bool)]) -> Desired {
        let ports = interfaces.iter().map(|(name, number, is_asked)| {
            let mut port = port(name);
            port.interfaces[0].number = Some(base::OfPort(*number));
            port.interfaces[0].is_number_asked = *is_asked;
            port
        });
        Desired { bridges: vec![bridge("br0", ports.collect())], ..Desired::default() }
    }

    fn changed(before: &Desired, after: &Desired) -> Vec<String> {
        let steps = plan(after, &actual_of(before)).into_iter();
        let shown = steps.filter_map(|step| match step {
            Step::RemoveInterface { interface, .. } => Some(format!("-{interface}")),
            Step::AddInterface { interface, .. } => Some(format!("+{}", interface.name)),
            _ => None,
        });
        shown.collect()
    }

    #[test]
    fn a_number_that_was_asked_for_is_taken_from_who_happens_to_have_it() {
        let before = numbered(&[("a", 1, false), ("b", 2, false)]);
        let after = numbered(&[("a", 1, false), ("b", 1, true)]);
        assert_eq!(changed(&before, &after), ["-a", "-b", "+b", "+a"]);
    }

    #[test]
    fn a_number_that_cannot_be_had_is_not_asked_for_again_and_again() {
        let before = numbered(&[("a", 1, true), ("b", 2, false)]);
        let after = numbered(&[("a", 1, true), ("b", 1, true)]);
        assert!(changed(&before, &after).is_empty());
    }

    #[test]
    fn the_default_datapath_type_by_its_name_is_the_same() {
        let before = Desired { bridges: vec![bridge("br0", vec![])], ..Desired::default() };
        let mut after = before.clone();
        after.bridges[0].datapath_type = "system".into();
        assert_eq!(plan(&after, &actual_of(&before)), [Step::Settle { bridge: "br0".into() }]);
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
