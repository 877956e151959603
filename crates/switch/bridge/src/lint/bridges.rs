//! Bridges as a whole.

use std::collections::HashMap;

use replica::Row;
use schema::{bridge, interface, open_vswitch, port};

use super::{BridgeRows, Configured, Findings, Subject};
use crate::columns::Columns;
use crate::desired::root;

pub(super) fn check(configured: &Configured<'_>, of: &BridgeRows<'_>, findings: &mut Findings) {
    let row = of.row;
    let subject = Subject { table: bridge::NAME_OF_TABLE, row };
    let has_controller = !row.get(bridge::CONTROLLER).is_empty();
    if row.text(bridge::FAIL_MODE) == Some("secure") && !has_controller && !is_of_ovn(configured, row) {
        findings.add(
            subject,
            "fail_mode is secure, but there is no controller: only rules that somebody adds forward packets",
            format!("ovs-vsctl del-fail-mode {}", subject.id()),
        );
    }
    let (has_stp, has_rstp) = (row.is_true(bridge::STP_ENABLE), row.is_true(bridge::RSTP_ENABLE));
    if has_stp && has_rstp {
        let what = "stp_enable and rstp_enable are both true: a bridge has one spanning tree";
        findings.add(subject, what, subject.set(bridge::STP_ENABLE, false));
    }
    let snoops = row.is_true(bridge::MCAST_SNOOPING_ENABLE);
    let idle = [
        ("stp-", has_stp, bridge::STP_ENABLE),
        ("rstp-", has_rstp, bridge::RSTP_ENABLE),
        ("mcast-snooping-", snoops, bridge::MCAST_SNOOPING_ENABLE),
    ];
    for (prefix, _, column) in idle.into_iter().filter(|(_, is_on, _)| !is_on) {
        let why = format!("{column} of bridge {} is false", row.string(bridge::NAME));
        findings.add_idle_keys(subject, bridge::OTHER_CONFIG, |key| key.starts_with(prefix), &why);
        for ported in &of.ports {
            // Whether a port takes part is said beforehand by some.
            let is_idle = |key: &str| key.starts_with(prefix) && !key.ends_with("-enable");
            findings.add_idle_keys(ported.subject(), port::OTHER_CONFIG, is_idle, &why);
        }
    }
    check_numbers(of, findings);
}

/// Two interfaces that ask for the same OpenFlow number.
fn check_numbers(of: &BridgeRows<'_>, findings: &mut Findings) {
    let mut owners = HashMap::new();
    for row in of.interfaces() {
        let Some(number) = row.integer(interface::OFPORT_REQUEST) else { continue };
        let name = row.string(interface::NAME);
        let mut pair = (name, row);
        if let Some(owner) = owners.get_mut(&number) {
            // The one that has the number keeps it.
            let has_it = row.integer(interface::OFPORT) == Some(number);
            if has_it {
                std::mem::swap(owner, &mut pair);
            }
            let subject = Subject::interface(pair.1);
            let what = format!("ofport_request {number} is also that of interface {}", owner.0);
            findings.add(subject, what, subject.clear(interface::OFPORT_REQUEST));
        } else {
            owners.insert(number, pair);
        }
    }
}

/// Whether the bridge has its rules from `ovn-controller`, which asks for `fail_mode` itself and connects to the bridge's own
/// socket.
fn is_of_ovn(configured: &Configured<'_>, row: &Row) -> bool {
    let setting = |key| root(configured.rows).and_then(|root| root.map_text(open_vswitch::EXTERNAL_IDS, key));
    setting("ovn-remote").is_some() && row.string(bridge::NAME) == setting("ovn-bridge").unwrap_or("br-int")
}
