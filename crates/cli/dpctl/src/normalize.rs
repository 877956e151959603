//! Actions in a form that tells what happens on each VLAN, whatever the order in which they do it
//! (`normalize-actions`): two lists that do the same have the same text.

use std::collections::BTreeMap;
use std::fmt::Write;

use base::DpPort;
use dp::Action;
use dp::text::{PortNames, format_actions, format_key, parse_actions, parse_key};
use flow::{FlowKey, MAX_VLANS, VLAN_CFI};

const TYPE_VLAN: u16 = 0x8100;

/// The tags of a packet: type and control information of each.
type Tags = [(u16, u16); MAX_VLANS];

/// Why there is no text, and the text up to there.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub so_far: String,
    pub why: String,
}

impl From<String> for Refusal {
    fn from(why: String) -> Refusal {
        Refusal { so_far: String::new(), why }
    }
}

/// The text for a flow and its actions. `ports` are `NAME=NUMBER`.
pub(crate) fn normalize(
    flow: &str,
    actions: &str,
    ports: &[String],
    verbose: bool,
) -> Result<String, Refusal> {
    let mut names = PortNames::new();
    for port in ports {
        let (name, number) = port
            .split_once('=')
            .and_then(|(name, number)| Some((name, number.parse().ok()?)))
            .ok_or_else(|| format!("{port}: expected NAME=NUMBER"))?;
        names.insert(DpPort(number), name);
    }
    let (key, given) = parse_key(flow, Some(&names))
        .map_err(|error| format!("odp_flow_key_from_string ({error}) (Invalid argument)"))?;
    let mut out = format!("input flow: {}\n", format_key(&key, Some(&given), false, None));
    let Ok(actions) = parse_actions(actions, Some(&names)) else {
        return Err(Refusal { so_far: out, why: "odp_actions_from_string (Invalid argument)".to_owned() });
    };
    if verbose {
        out.push_str(&format!("input actions: {}\n", format_actions(&actions, None)));
    }
    for (tags, mut list) in by_tags(&key, actions) {
        sort_outputs(&mut list);
        show_tags(&mut out, &tags);
        show_label(&mut out, &key);
        // The reference ends no line here.
        out.push_str(&format_actions(&list, None));
    }
    Ok(out)
}

/// The actions apart by the tags that the packet has when they are run.
fn by_tags(key: &FlowKey, actions: Vec<Action>) -> BTreeMap<Tags, Vec<Action>> {
    let mut tags: Tags = std::array::from_fn(|index| (key.vlan_tpid(index), key.vlan_tci(index)));
    let mut all: BTreeMap<Tags, Vec<Action>> = BTreeMap::new();
    if actions.is_empty() {
        // Dropping is something, too.
        all.insert(tags, Vec::new());
    }
    for action in actions {
        match action {
            Action::PopVlan => {
                tags.rotate_left(1);
                tags[MAX_VLANS - 1] = (0, 0);
            }
            Action::PushVlan { tpid, tci } => {
                tags.rotate_right(1);
                tags[0] = (tpid, tci);
            }
            other => all.entry(tags).or_default().push(other),
        }
    }
    all
}

/// Puts outputs that follow each other in the order of their ports.
fn sort_outputs(list: &mut [Action]) {
    let port = |action: &Action| if let Action::Output(port) = action { Some(port.0) } else { None };
    for run in list.chunk_by_mut(|a, b| port(a).is_some() && port(b).is_some()) {
        run.sort_by_key(port);
    }
}

fn show_tags(out: &mut String, tags: &Tags) {
    let present = tags.iter().take_while(|(_, tci)| *tci != 0);
    let mut count = 0;
    // Writing to a String cannot fail.
    for (tpid, tci) in present {
        count += 1;
        out.push_str("vlan(");
        if *tpid != TYPE_VLAN {
            // Its bytes the other way round, as the reference shows them.
            let _ = write!(out, "tpid=0x{:04x},", tpid.swap_bytes());
        }
        let _ = write!(out, "vid={},pcp={}): ", tci & (VLAN_CFI - 1), tci >> 13);
    }
    if count == 0 {
        out.push_str("no vlan: ");
    }
}

fn show_label(out: &mut String, key: &FlowKey) {
    if !matches!(key.dl_type(), 0x8847 | 0x8848) {
        out.push_str("no mpls: ");
        return;
    }
    let entry = key.read(flow::Slot::mpls(0)) as u32;
    let _ = write!(out, "mpls(label={},tc={},ttl={}): ", entry >> 12, entry >> 9 & 7, entry & 0xff);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: &str = "in_port(1),eth(src=50:54:00:00:00:01,dst=ff:ff:ff:ff:ff:ff),eth_type(0x8100),\
        vlan(vid=12,pcp=2),encap(eth_type(0xabcd))";

    fn normal(actions: &str) -> String {
        normalize(FLOW, actions, &[], false).unwrap()
    }

    #[test]
    fn lists_that_do_the_same_have_the_same_text() {
        let text = normal("8,1,pop_vlan,3,push_vlan(vid=9,pcp=1),7,2,pop_vlan,4,1");
        assert_eq!(text, normal("1,8,pop_vlan,3,1,4,push_vlan(vid=9,pcp=1),2,7"));
        let expected =
            "no vlan: no mpls: 1,3,4vlan(vid=9,pcp=1): no mpls: 2,7vlan(vid=12,pcp=2): no mpls: 1,8";
        assert_eq!(text, format!("input flow: {FLOW}\n{expected}"));
        assert_ne!(text, normal("1,8"));
        assert!(normal("drop").ends_with("\nvlan(vid=12,pcp=2): no mpls: drop"));
    }

    #[test]
    fn other_actions_keep_their_places() {
        let text = normal("2,1,set(eth(dst=00:00:00:00:00:01)),2,1");
        assert!(text.ends_with("no mpls: 1,2,set(eth(dst=00:00:00:00:00:01)),1,2"), "{text}");
    }

    #[test]
    fn names_of_ports_are_given_with_their_numbers() {
        let named = normalize(FLOW, "p7", &["p7=7".to_owned()], false).unwrap();
        assert!(named.ends_with(": 7"), "{named}");
        let refusal = normalize(FLOW, "1", &["p7".to_owned()], false).unwrap_err();
        assert_eq!(refusal.why, "p7: expected NAME=NUMBER");
    }
}
