//! Bonds, and ports that are set up like one.

use schema::{interface, port};

use super::{Findings, PortRows, Subject};
use crate::columns::Columns;

/// Keys of bonds that other ports have no use for.
const KEYS: [&str; 6] = [
    "bond-primary",
    "bond-hash-basis",
    "bond-rebalance-interval",
    "bond-detect-mode",
    "bond-miimon-interval",
    "lb-output-action",
];

pub(super) fn check(ported: &PortRows<'_>, findings: &mut Findings) {
    if ported.is_bond() {
        check_bond(ported, findings);
        return;
    }
    let (row, subject) = (ported.row, ported.subject());
    let why = "the port has one interface, so it is no bond";
    if !row.get(port::BOND_MODE).is_empty() {
        findings.add(subject, format!("bond_mode has no effect: {why}"), subject.clear(port::BOND_MODE));
    }
    for column in [port::BOND_UPDELAY, port::BOND_DOWNDELAY] {
        if row.integer(column).is_some_and(|delay| delay != 0) {
            findings.add(subject, format!("{column} has no effect: {why}"), subject.set(column, 0));
        }
    }
    if row.is_true(port::BOND_FAKE_IFACE) {
        let column = port::BOND_FAKE_IFACE;
        findings.add(subject, format!("{column} has no effect: {why}"), subject.set(column, false));
    }
    findings.add_idle_keys(subject, port::OTHER_CONFIG, |key| KEYS.contains(&key), why);
}

fn check_bond(ported: &PortRows<'_>, findings: &mut Findings) {
    let (row, subject) = (ported.row, ported.subject());
    let mode = row.text(port::BOND_MODE).unwrap_or("active-backup");
    let speaks = |side: Option<&str>| matches!(side, Some("active" | "passive"));
    let has_lacp = speaks(row.text(port::LACP));
    let falls_back = row.map_boolean(port::OTHER_CONFIG, "lacp-fallback-ab") == Some(true);
    if mode == "balance-tcp" && !has_lacp && !falls_back {
        findings.add(
            subject,
            "bond_mode is balance-tcp without LACP: nothing is sent before the neighbour agrees by LACP",
            subject.set(port::LACP, "active"),
        );
    }
    if mode != "balance-tcp" {
        let why = "bond_mode is not balance-tcp";
        findings.add_idle_keys(subject, port::OTHER_CONFIG, |key| key == "lb-output-action", why);
    }
    if mode == "active-backup" {
        let is_idle = |key: &str| matches!(key, "bond-rebalance-interval" | "bond-hash-basis");
        findings.add_idle_keys(subject, port::OTHER_CONFIG, is_idle, "bond_mode is active-backup");
    }
    check_primary(ported, mode, subject, findings);
}

fn check_primary(ported: &PortRows<'_>, mode: &str, subject: Subject<'_>, findings: &mut Findings) {
    const KEY: &str = "bond-primary";
    let Some(primary) = ported.row.map_text(port::OTHER_CONFIG, KEY) else { return };
    let is_member = ported.interfaces.iter().any(|row| row.string(interface::NAME) == primary);
    let why = match (mode, is_member) {
        ("active-backup", true) => return,
        ("active-backup", false) => format!("{primary} is not one of its interfaces"),
        (_, _) => "bond_mode is not active-backup".to_owned(),
    };
    let mend = subject.remove(port::OTHER_CONFIG, KEY);
    findings.add(subject, format!("{}:{KEY} has no effect: {why}", port::OTHER_CONFIG), mend);
}
