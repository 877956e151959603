//! From what is to what should be: ordered steps. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use base::OfPort;

use crate::concerns::interfaces::{DesiredInterface, InterfaceKind};
use crate::desired::{Desired, DesiredBridge};

/// What exists now, as far as the plan depends on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Actual<'a> {
    pub bridges: BTreeMap<&'a str, ActualBridge<'a>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ActualBridge<'a> {
    /// By its full name.
    pub datapath_type: &'a str,
    /// The interfaces that work, by name.
    pub interfaces: HashMap<&'a str, ActualInterface<'a>>,
    pub bundles: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ActualInterface<'a> {
    pub kind: &'a InterfaceKind,
    pub options: &'a BTreeMap<String, String>,
    pub number: Option<OfPort>,
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
pub(crate) fn plan(desired: &Desired, actual: &Actual<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    let wanted: HashMap<&str, Wanted<'_>> =
        desired.bridges.iter().map(|bridge| (&*bridge.name, Wanted::new(bridge))).collect();
    for (name, have) in &actual.bridges {
        match wanted.get(name) {
            Some(want) if want.bridge.datapath_kind() == have.datapath_type => want.leave(have, &mut steps),
            _ => steps.push(Step::RemoveBridge((*name).to_owned())),
        }
    }
    let stays_there = |want: &DesiredBridge| {
        actual.bridges.get(&*want.name).filter(|have| have.datapath_type == want.datapath_kind())
    };
    let new = desired.bridges.iter().filter(|want| stays_there(want).is_none());
    steps.extend(new.map(|want| Step::AddBridge { bridge: want.name.clone() }));
    for bridge in &desired.bridges {
        let Some(want) = wanted.get(&*bridge.name) else { continue };
        let have = stays_there(bridge);
        let stays =
            |interface: &&DesiredInterface| have.is_some_and(|have| want.keeps(have, &interface.name));
        let mut coming: Vec<_> = bridge.interfaces().filter(|interface| !stays(interface)).collect();
        // Numbers that were asked for are given out before others can happen to take them.
        coming.sort_by_key(|interface| !interface.is_number_asked);
        for interface in coming {
            steps.push(Step::AddInterface {
                bridge: bridge.name.clone(),
                interface: Box::new(interface.clone()),
            });
        }
    }
    steps.extend(desired.bridges.iter().map(|want| Step::Settle { bridge: want.name.clone() }));
    steps
}

/// A bridge that is wanted.
struct Wanted<'a> {
    bridge: &'a DesiredBridge,
    ports: HashSet<&'a str>,
    interfaces: HashMap<&'a str, &'a DesiredInterface>,
    /// The interfaces that asked for a number, by that.
    by_number: HashMap<OfPort, Vec<&'a DesiredInterface>>,
}

impl<'a> Wanted<'a> {
    fn new(bridge: &'a DesiredBridge) -> Wanted<'a> {
        let mut by_number: HashMap<OfPort, Vec<&DesiredInterface>> = HashMap::new();
        for interface in bridge.interfaces().filter(|interface| interface.is_number_asked) {
            if let Some(number) = interface.number {
                by_number.entry(number).or_default().push(interface);
            }
        }
        Wanted {
            bridge,
            ports: bridge.ports.iter().map(|port| &*port.name).collect(),
            interfaces: bridge.interfaces().map(|interface| (&*interface.name, interface)).collect(),
            by_number,
        }
    }

    /// What has to go from a bridge that stays.
    fn leave(&self, have: &ActualBridge<'_>, steps: &mut Vec<Step>) {
        let name = || self.bridge.name.clone();
        let mut going: Vec<&str> =
            have.interfaces.keys().copied().filter(|one| !self.keeps(have, one)).collect();
        going.sort_unstable();
        let going = going.into_iter().map(str::to_owned);
        steps.extend(going.map(|interface| Step::RemoveInterface { bridge: name(), interface }));
        let unwanted = have.bundles.iter().filter(|bundle| !self.ports.contains(&***bundle));
        steps.extend(unwanted.map(|bundle| Step::RemoveBundle { bridge: name(), bundle: bundle.clone() }));
    }

    /// Whether the interface of this name can stay as it is. Another kind, other options or another number make it a new
    /// one; some kinds take over other options.
    fn keeps(&self, have: &ActualBridge<'_>, name: &str) -> bool {
        let (Some(wanted), Some(running)) = (self.interfaces.get(name), have.interfaces.get(name)) else {
            return false;
        };
        wanted.kind == *running.kind
            && (wanted.options == *running.options || wanted.takes_other_options())
            && self.keeps_number(have, wanted, running)
    }

    fn keeps_number(
        &self,
        have: &ActualBridge<'_>,
        wanted: &DesiredInterface,
        running: &ActualInterface<'_>,
    ) -> bool {
        let Some(number) = running.number.filter(|number| *number != OfPort::LOCAL) else { return true };
        // Another interface that is there, and wants the number now. One that comes does not drive others away.
        let asked_by_other = |number: OfPort| {
            let is_other = |other: &&&DesiredInterface| {
                other.name != wanted.name && have.interfaces.contains_key(&*other.name)
            };
            self.by_number.get(&number)?.iter().find(is_other)
        };
        if !wanted.is_number_asked {
            return asked_by_other(number).is_none();
        }
        let Some(asked) = wanted.number.filter(|asked| *asked != number) else { return true };
        // It cannot have what another one has, who asked for it too.
        asked_by_other(asked).is_some_and(|other| {
            have.interfaces.get(&*other.name).is_some_and(|other| other.number == Some(asked))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dp::PortKind;

    use super::*;
    use crate::desired::tests::{bridge, interface, port};

    fn actual_of(desired: &Desired) -> Actual<'_> {
        let bridges = desired.bridges.iter().map(|b| {
            let interfaces = b.interfaces().map(|i| {
                (&*i.name, ActualInterface { kind: &i.kind, options: &i.options, number: i.number })
            });
            let bundles = b.ports.iter().map(|p| p.name.clone()).collect();
            let datapath_type = b.datapath_kind();
            (&*b.name, ActualBridge { datapath_type, interfaces: interfaces.collect(), bundles })
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
        moved.interfaces = vec![interface("p2", PortKind::Internal)];
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
                Step::AddInterface {
                    bridge: br0(),
                    interface: Box::new(interface("p2", PortKind::Internal))
                },
                Step::AddInterface { bridge: br0(), interface: Box::new(interface("p3", PortKind::System)) },
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
    fn an_interface_that_comes_does_not_drive_one_away_that_is_there() {
        let before = numbered(&[("a", 1, false)]);
        let after = numbered(&[("a", 1, false), ("b", 1, true)]);
        assert_eq!(changed(&before, &after), ["+b"]);
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
        Arc::make_mut(&mut after.bridges[0]).datapath_type = "system".into();
        assert_eq!(plan(&after, &actual_of(&before)), [Step::Settle { bridge: "br0".into() }]);
    }

    #[test]
    fn another_datapath_type_makes_the_bridge_anew() {
        let before = Desired { bridges: vec![bridge("br0", vec![])], ..Desired::default() };
        let mut after = before.clone();
        Arc::make_mut(&mut after.bridges[0]).datapath_type = "netdev".into();
        let steps = plan(&after, &actual_of(&before));
        assert_eq!(steps[..2], [Step::RemoveBridge("br0".into()), Step::AddBridge { bridge: "br0".into() }]);
    }
}
