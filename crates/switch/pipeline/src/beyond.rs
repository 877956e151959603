//! What rules want of the datapath that it cannot do: such rules are rejected when they come, not ignored.

use dp::{Capabilities, Tracking};
use flow::{Slot, SparseKey, slot};
use ofp::{Action, OfError};

/// What a datapath lacks for an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beyond {
    /// The action, by its name.
    pub action: &'static str,
    /// What of it the datapath does not do.
    pub what: &'static str,
    /// What the controller is answered.
    pub error: OfError,
}

impl Beyond {
    fn tracking(action: &'static str, what: &'static str) -> Beyond {
        Beyond { action, what, error: OfError::NxbacCtDatapathSupport }
    }
}

/// What the datapath lacks for the first action of `list` that it cannot do all of, wherever that stands.
pub fn beyond(list: &[Action], can: &Capabilities) -> Option<Beyond> {
    if can.nd_extensions && can.conntrack == Tracking::ALL {
        return None;
    }
    list.iter().find_map(|action| lacks(action, can).or_else(|| beyond(action.nested(), can)))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are done by all datapaths, or in another way")]
fn lacks(action: &Action, can: &Capabilities) -> Option<Beyond> {
    let tracking = can.conntrack;
    match action {
        Action::Ct(_) if !tracking.state => Some(Beyond::tracking("ct", "ct action")),
        Action::Ct(ct) if !tracking.zone && ct.zone != ofp::ZoneSource::Immediate(0) => {
            Some(Beyond::tracking("ct", "ct zones"))
        }
        Action::Ct(ct) if ct.force && !tracking.tuple => Some(Beyond::tracking("ct", "force commit")),
        Action::Nat(_) if !tracking.nat => Some(Beyond::tracking("ct", "nat")),
        Action::SetField(set) => lacks_field(set.field.slot(), can),
        Action::RegMove(copy) => lacks_field(copy.destination.field.slot(), can),
        Action::Resubmit(resubmit) if resubmit.with_ct_orig && !tracking.tuple => {
            Some(Beyond::tracking("resubmit", "ct original direction tuple"))
        }
        _ => None,
    }
}

/// For setting a field.
fn lacks_field(place: Slot, can: &Capabilities) -> Option<Beyond> {
    let marks =
        place == slot::CT_MARK && !can.conntrack.mark || place == slot::CT_LABEL && !can.conntrack.label;
    let extensions = [slot::ND_RESERVED, slot::ND_OPTIONS_TYPE].contains(&place) && !can.nd_extensions;
    if marks {
        Some(Beyond::tracking("ct", "setting mark and/or label"))
    } else if extensions {
        Some(Beyond {
            action: "set field",
            what: "setting IPv6 ND Extensions fields",
            error: OfError::OfpbacBadSetArgument,
        })
    } else {
        None
    }
}

/// Whether keys of the datapath have all that a match looks at.
pub fn has_keys_for(mask: &SparseKey, can: &Capabilities) -> bool {
    let tracking = can.conntrack;
    if tracking == Tracking::ALL {
        return true;
    }
    let read = |place: Slot| mask.read(place);
    let translated = u128::from(flow::ct_state::SRC_NAT | flow::ct_state::DST_NAT);
    let is_looked_at = |places: &[Slot]| places.iter().any(|&place| read(place) != 0);
    let lacks = |has: bool, places: &[Slot]| !has && is_looked_at(places);
    !(lacks(tracking.state, &[slot::CT_STATE])
        || lacks(tracking.zone, &[slot::CT_ZONE])
        || lacks(tracking.mark, &[slot::CT_MARK])
        || lacks(tracking.label, &[slot::CT_LABEL])
        || !tracking.nat && read(slot::CT_STATE) & translated != 0
        || lacks(tracking.tuple || tracking.tuple6, &[slot::CT_NW_PROTO, slot::CT_TP_SRC, slot::CT_TP_DST])
        || lacks(tracking.tuple, &[slot::CT_NW_SRC, slot::CT_NW_DST])
        || lacks(tracking.tuple6, &[slot::CT_IPV6_SRC, slot::CT_IPV6_DST]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(text: &str) -> Vec<Action> {
        ofp::parse_instructions(text, ofp::Names::default()).unwrap().0
    }

    fn without(change: impl FnOnce(&mut Capabilities)) -> Capabilities {
        let mut can = Capabilities::ALL;
        change(&mut can);
        can
    }

    #[test]
    fn what_a_datapath_lacks_is_found_wherever_it_stands() {
        let list = actions("clone(ct(commit,zone=3,nat(src=10.0.0.1),exec(set_field:1->ct_mark)))");
        assert_eq!(beyond(&list, &Capabilities::ALL), None);
        let what = |can: Capabilities| beyond(&list, &can).map(|beyond| beyond.what);
        assert_eq!(what(without(|can| can.conntrack.state = false)), Some("ct action"));
        assert_eq!(what(without(|can| can.conntrack.zone = false)), Some("ct zones"));
        assert_eq!(what(without(|can| can.conntrack.nat = false)), Some("nat"));
        assert_eq!(what(without(|can| can.conntrack.mark = false)), Some("setting mark and/or label"));
        assert_eq!(what(without(|can| can.conntrack.label = false)), None);
        assert_eq!(what(without(|can| can.nd_extensions = false)), None);
    }

    #[test]
    fn a_match_needs_keys_that_have_what_it_looks_at() {
        let mut mask = flow::FlowMask::new();
        mask.add_all(slot::NW_SRC);
        let none = without(|can| {
            can.conntrack.state = false;
            can.conntrack.tuple = false;
        });
        assert!(has_keys_for(&SparseKey::from(&mask), &none));
        mask.add_all(slot::CT_NW_SRC);
        assert!(!has_keys_for(&SparseKey::from(&mask), &none));
        assert!(has_keys_for(&SparseKey::from(&mask), &without(|can| can.conntrack.tuple6 = false)));
        mask.add(slot::CT_STATE, flow::ct_state::SRC_NAT.into());
        assert!(!has_keys_for(&SparseKey::from(&mask), &without(|can| can.conntrack.nat = false)));
    }
}
