//! A switch that begins with many ports: the first ones forward while the others are opened.
//!
//! Pure. What is left out of a beginning comes with the whole configuration, as if somebody had added it later.

use std::collections::HashSet;
use std::sync::Arc;

use base::OfPort;

use crate::concerns::bundles::DesiredPort;
use crate::concerns::interfaces::DesiredInterface;
use crate::desired::{Desired, DesiredBridge};

/// A beginning with more than this part of all ports is not worth a pass of its own.
const LEAST_SHARE: usize = 4;

impl Desired {
    /// The same with at most `count` ports beside the bridges' own: those of the lowest numbers that they had before, so
    /// that all keep theirs. Ports that depend on others (bonds, patch ports) and bridges whose ports do (mirrors, spanning
    /// trees) are left out. `None`: there are few ports, or none that can come first.
    pub fn beginning(&self, count: usize) -> Option<Desired> {
        let all: usize = self.bridges.iter().map(|bridge| bridge.ports.len()).sum();
        if all < count * LEAST_SHARE {
            return None;
        }
        let mut bridges: Vec<DesiredBridge> = self
            .bridges
            .iter()
            .filter(|bridge| bridge.mirrors.is_empty() && bridge.spanning.is_none())
            .map(|bridge| DesiredBridge::clone(bridge))
            .collect();
        let mut numbers = Vec::new();
        for bridge in &mut bridges {
            let asked = asked_numbers(bridge);
            let own = bridge.name.clone();
            bridge.ports.retain(|port| port.name == own || has_its_number(port, &asked));
            numbers
                .extend(bridge.ports.iter().filter(|port| port.name != own).filter_map(|port| number(port)));
        }
        let at = count.min(numbers.len()).checked_sub(1)?;
        let last = *numbers.select_nth_unstable(at).1;
        for bridge in &mut bridges {
            let own = bridge.name.clone();
            bridge.ports.retain(|port| port.name == own || number(port) <= Some(last));
        }
        let bridges = bridges.into_iter().map(Arc::new).collect();
        // What is wrong is said of the whole.
        Some(Desired { bridges, complaints: Vec::new(), unread: Vec::new(), ..self.clone() })
    }
}

fn number(port: &DesiredPort) -> Option<OfPort> {
    port.interfaces.first()?.number
}

fn asked_numbers(bridge: &DesiredBridge) -> HashSet<OfPort> {
    bridge.interfaces().filter(|one| one.is_number_asked).filter_map(|one| one.number).collect()
}

/// Whether it is a port with one device, and a number that no other one may get.
fn has_its_number(port: &DesiredPort, asked: &HashSet<OfPort>) -> bool {
    let is_sure = |one: &DesiredInterface, number| one.is_number_asked || !asked.contains(&number);
    match port.interfaces.as_slice() {
        [one] => !one.is_patch() && one.number.is_some_and(|number| is_sure(one, number)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::concerns::mirrors::{DesiredMirror, MirrorTarget};
    use crate::desired::tests::{bridge, port};

    /// A port of this name that had a number, or asks for it.
    fn numbered(name: &str, number: u32, is_asked: bool) -> DesiredPort {
        let mut port = port(name);
        port.interfaces[0].number = Some(OfPort(number));
        port.interfaces[0].is_number_asked = is_asked;
        port
    }

    fn names(desired: &Desired) -> Vec<&str> {
        desired.bridges[0].ports.iter().map(|port| &*port.name).collect()
    }

    #[test]
    fn ports_come_first_by_the_numbers_that_they_keep() {
        let mut ports: Vec<DesiredPort> =
            (1..=40).map(|n| numbered(&format!("p{n:02}"), 50 - n, false)).collect();
        ports.push(port("br0"));
        ports.push(port("new"));
        // Its number belongs to whoever asks for it.
        ports.push(numbered("late", 2, false));
        ports.push(numbered("asks", 2, true));
        let mut bond = numbered("bond", 1, false);
        bond.interfaces.push(bond.interfaces[0].clone());
        ports.push(bond);
        let desired = Desired { bridges: vec![bridge("br0", ports)], ..Desired::default() };
        let beginning = desired.beginning(3).unwrap();
        assert_eq!(names(&beginning), ["p39", "p40", "br0", "asks"]);
        // They are the same ones later: nothing is done to them again.
        let same =
            |port: &Arc<DesiredPort>| desired.bridges[0].ports.iter().any(|one| Arc::ptr_eq(one, port));
        assert!(beginning.bridges[0].ports.iter().all(same));
    }

    #[test]
    fn few_ports_come_together_and_so_do_those_that_depend_on_others() {
        let ports = |n| (1..=n).map(|n| numbered(&format!("p{n}"), n, false)).collect();
        let few = Desired { bridges: vec![bridge("br0", ports(11))], ..Desired::default() };
        assert_eq!(few.beginning(3), None);
        let unnumbered = Desired {
            bridges: vec![bridge("br0", (0..40).map(|n| port(&format!("p{n}"))).collect())],
            ..Desired::default()
        };
        assert_eq!(unnumbered.beginning(3), None);
        let mut mirrored = Desired { bridges: vec![bridge("br0", ports(40))], ..Desired::default() };
        assert!(mirrored.beginning(3).is_some());
        let mirror = DesiredMirror {
            uuid: uuid::Uuid::nil(),
            name: "m0".into(),
            select_all: true,
            sources: Default::default(),
            destinations: Default::default(),
            vlans: None,
            filter: None,
            output: MirrorTarget::Vlan(7),
            snaplen: None,
        };
        Arc::make_mut(&mut mirrored.bridges[0]).mirrors.push(mirror);
        assert_eq!(mirrored.beginning(3), None);
    }
}
