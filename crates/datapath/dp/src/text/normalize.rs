//! Lists of actions in a form in which they can be compared.
//!
//! For each set of VLAN tags under which the actions work on the packet, those actions, with outputs that follow each other
//! in the order of their ports. Lists that send the same packets to the same ports are then the same text.

use std::collections::BTreeMap;

use base::DpPort;
use flow::{FlowKey, MAX_VLANS, VLAN_CFI};

use super::{PortNames, format_actions, format_key, parse_actions, parse_key};
use crate::Action;

/// A request that could not be carried out: what has been found until then, and why not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotNormal {
    /// What is printed before.
    pub out: String,
    /// What the reference says of it.
    pub why: String,
}

/// What `dpctl normalize-actions` prints for a flow and the actions on it; `names` are of the form NAME=NUMBER.
///
/// # Errors
/// The flow, the actions or a name cannot be read.
pub fn normalize_actions(
    flow: &str,
    actions: &str,
    names: &[impl AsRef<str>],
    is_verbose: bool,
) -> Result<String, NotNormal> {
    let refused = |out: &str, why: String| NotNormal { out: out.to_owned(), why };
    let ports = names.iter().map(|text| port_name(text.as_ref()));
    let ports = ports.collect::<Result<PortNames, String>>().map_err(|why| refused("", why))?;
    let (mut key, mask) = parse_key(flow, Some(&ports))
        .map_err(|error| refused("", format!("odp_flow_key_from_string ({error}) (Invalid argument)")))?;
    let mut out = format!("input flow: {}\n", format_key(&key, Some(&mask), is_verbose, None));
    let Ok(actions) = parse_actions(actions, Some(&ports)) else {
        return Err(refused(&out, "odp_actions_from_string (Invalid argument)".to_owned()));
    };
    if is_verbose {
        out.push_str(&format!("input actions: {}\n", format_actions(&actions, None)));
    }
    for (tags, mut actions) in by_tags(&mut key, actions) {
        sort_outputs(&mut actions);
        out.push_str(&headers(&tags, &key));
        out.push_str(&format_actions(&actions, None));
    }
    Ok(out)
}

fn port_name(text: &str) -> Result<(DpPort, String), String> {
    let named = text.split_once('=').and_then(|(name, number)| Some((name, number.parse().ok()?)));
    match named {
        Some((name, number)) if !name.is_empty() => Ok((DpPort(number), name.to_owned())),
        _ => Err(format!("{text}: expected NAME=NUMBER")),
    }
}

/// (TPID, TCI) of each tag, the outer one first.
type Tags = Vec<(u16, u16)>;

fn tags_of(key: &FlowKey) -> Tags {
    (0..key.vlan_count()).map(|index| (key.vlan_tpid(index), key.vlan_tci(index))).collect()
}

/// The actions by the tags that the packet has when they are reached; tags are changed by no other action.
#[expect(clippy::wildcard_enum_match_arm, reason = "only these change tags")]
fn by_tags(key: &mut FlowKey, actions: Vec<Action>) -> BTreeMap<Tags, Vec<Action>> {
    let mut groups: BTreeMap<Tags, Vec<Action>> = BTreeMap::new();
    let mut tags = tags_of(key);
    if actions.is_empty() {
        // To drop is something, too.
        groups.insert(tags.clone(), Vec::new());
    }
    for action in actions {
        match action {
            Action::PopVlan if !tags.is_empty() => drop(tags.remove(0)),
            Action::PopVlan => {}
            Action::PushVlan { tpid, tci } => {
                tags.insert(0, (tpid, tci));
                tags.truncate(MAX_VLANS);
            }
            other => groups.entry(tags.clone()).or_default().push(other),
        }
    }
    groups
}

#[expect(clippy::wildcard_enum_match_arm, reason = "it is about outputs")]
fn sort_outputs(actions: &mut [Action]) {
    let port = |action: &Action| match action {
        Action::Output(port) => Some(*port),
        _ => None,
    };
    for outputs in actions.chunk_by_mut(|a, b| port(a).is_some() && port(b).is_some()) {
        outputs.sort_by_key(port);
    }
}

fn headers(tags: &Tags, key: &FlowKey) -> String {
    let mut out = String::new();
    for (tpid, tci) in tags {
        out.push_str("vlan(");
        if *tpid != 0x8100 {
            // Its bytes the other way round, as the reference shows them.
            out.push_str(&format!("tpid=0x{:04x},", tpid.swap_bytes()));
        }
        out.push_str(&format!("vid={},pcp={}): ", tci & 0xfff, (tci & !VLAN_CFI) >> 13));
    }
    if tags.is_empty() {
        out.push_str("no vlan: ");
    }
    if matches!(key.dl_type(), 0x8847 | 0x8848) {
        let entry = key.mpls0();
        let (label, class, ttl) = (entry >> 12, entry >> 9 & 7, entry & 0xff);
        out.push_str(&format!("mpls(label={label},tc={class},ttl={ttl}): "));
    } else {
        out.push_str("no mpls: ");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: &str = "in_port(1),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:05),eth_type(0x0806),\
                        arp(sip=10.0.0.1,tip=10.0.0.2,op=1,sha=50:54:00:00:00:01,tha=00:00:00:00:00:00)";

    fn told(arguments: &[&str]) -> String {
        let [flow, actions, names @ ..] = arguments else { return String::new() };
        normalize_actions(flow, actions, names, false).unwrap_or_else(|refusal| refusal.why)
    }

    fn normal(actions: &str) -> String {
        told(&[FLOW, actions]).lines().last().unwrap_or_default().to_owned()
    }

    #[test]
    fn outputs_that_follow_each_other_have_an_order() {
        assert_eq!(normal("100,2,3"), "no vlan: no mpls: 2,3,100");
        assert_eq!(
            normal("3,2,set(eth(src=00:00:00:00:00:01)),5,4"),
            "no vlan: no mpls: 2,3,set(eth(src=00:00:00:00:00:01)),4,5"
        );
        assert_eq!(normal("drop"), "no vlan: no mpls: drop");
        assert_eq!(
            normal("push_vlan(tpid=0x88a8,vid=5,pcp=0),2"),
            "vlan(tpid=0xa888,vid=5,pcp=0): no mpls: 2"
        );
        assert_eq!(told(&[FLOW, "2"]).lines().next(), Some(format!("input flow: {FLOW}").as_str()));
    }

    #[test]
    fn actions_stand_together_by_the_tags_under_which_they_work() {
        let expected = "no vlan: no mpls: 1,4vlan(vid=5,pcp=1): no mpls: 2,3";
        assert_eq!(normal("1,push_vlan(vid=5,pcp=1),3,2,pop_vlan,4"), expected);
        assert_eq!(normal("push_vlan(vid=5,pcp=1),2,pop_vlan,4,1,push_vlan(vid=5,pcp=1),3"), expected);
    }

    #[test]
    fn mistakes_are_told() {
        assert_eq!(
            told(&["in_port(1),e", "2"]),
            "odp_flow_key_from_string (syntax error at e) (Invalid argument)"
        );
        assert_eq!(told(&[FLOW, "zz"]), "odp_actions_from_string (Invalid argument)");
        assert_eq!(told(&[FLOW, "2", "x"]), "x: expected NAME=NUMBER");
        assert!(told(&["in_port(p1)", "p1,2", "p1=4"]).ends_with("no vlan: no mpls: 2,4"));
    }
}
