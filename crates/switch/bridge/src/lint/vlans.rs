//! Tags, trunks and how they go together.

use schema::port;

use super::{Findings, PortRows, kind};

pub(super) fn check(ported: &PortRows<'_>, findings: &mut Findings) {
    let (row, subject) = (ported.row, ported.subject());
    let mode = row.text(port::VLAN_MODE);
    let trunks = !row.get(port::TRUNKS).is_empty();
    match (row.integer(port::TAG), mode) {
        (Some(tag), None | Some("access")) if trunks => findings.add(
            subject,
            format!(
                "trunks has no effect beside tag {tag}: the port carries VLAN {tag} alone, without a tag"
            ),
            subject.clear(port::TRUNKS),
        ),
        (Some(tag), Some("trunk")) => findings.add(
            subject,
            format!("tag {tag} has no effect: vlan_mode is trunk"),
            subject.clear(port::TAG),
        ),
        (Some(tag), Some(mode @ ("native-tagged" | "native-untagged"))) if !trunks => findings.add(
            subject,
            format!("trunks is empty beside tag {tag}: with vlan_mode {mode} the port carries all VLANs"),
            subject.set(port::TRUNKS, tag),
        ),
        (None, Some(mode)) if mode != "trunk" => findings.add(
            subject,
            format!("vlan_mode is {mode}, but there is no tag: VLAN 0 is taken"),
            subject.clear(port::VLAN_MODE),
        ),
        _ => {}
    }
    if mode != Some("dot1q-tunnel") {
        let why = "vlan_mode is not dot1q-tunnel";
        if !row.get(port::CVLANS).is_empty() {
            findings.add(subject, format!("cvlans has no effect: {why}"), subject.clear(port::CVLANS));
        }
        findings.add_idle_keys(subject, port::OTHER_CONFIG, |key| key == "qinq-ethtype", why);
    }
    let is_patch = ported.interfaces.iter().any(|row| kind(row) == "patch");
    if is_patch && let Some(tag) = row.integer(port::TAG) {
        findings.add(
            subject,
            format!("tag {tag} on a patch port: the bridge behind it sees packets of VLAN {tag} alone, without a tag"),
            subject.clear(port::TAG),
        );
    }
}
