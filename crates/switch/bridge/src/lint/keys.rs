//! Settings that nobody reads: those that are not supported yet, and keys that nobody knows.

use replica::Tables;
use schema::{interface, open_vswitch};

use super::{Findings, Subject, is_tunnel, kind};
use crate::columns::Columns;
use crate::settings::{self, KEYS};

/// `ovn-controller` keeps notes of its own in `Open_vSwitch.other_config`, whose keys begin so.
const OF_OVN: &str = "ovn-";

/// What is not supported yet.
pub(super) fn check_support(rows: &Tables, findings: &mut Findings) {
    for of_row in settings::unread(rows, &mut settings::Known::default()) {
        for one in of_row.iter().filter(|one| !one.is_tuning()) {
            let Some(row) = rows.row(one.table, &one.uuid) else { continue };
            let subject = Subject { table: one.table, row };
            let mend = match one.setting.split_once(':') {
                Some((column, key)) => subject.remove(column, key),
                None => subject.clear(&one.setting),
            };
            let what = one.what();
            findings.add(subject, what, mend);
        }
    }
}

/// Options that only ports of the types `afxdp` and `afxdp-nonpmd` have.
const OF_AFXDP: [&str; 2] = ["xdp-mode", "use-need-wakeup"];

/// Keys that are unknown, or of no use where they are.
pub(super) fn check(rows: &Tables, findings: &mut Findings) {
    for (table, row) in settings::configuring(rows) {
        if table == interface::NAME_OF_TABLE && !kind(row).starts_with("afxdp") {
            let subject = Subject { table, row };
            let options = row.map(interface::OPTIONS);
            for option in OF_AFXDP.into_iter().filter(|option| options.contains_key(*option)) {
                let what = format!("options:{option} has no effect on a port of type {}", kind(row));
                findings.add(subject, what, subject.remove(interface::OPTIONS, option));
            }
        }
        for column in settings::maps_of(table) {
            check_map(Subject { table, row }, column, findings);
        }
    }
}

fn check_map(subject: Subject<'_>, column: &str, findings: &mut Findings) {
    // Tunnels have options of their own, which they look at themselves; those of dummies are for tests.
    let has_own = |row| is_tunnel(row) || row.string(interface::TYPE).starts_with("dummy");
    if subject.table == interface::NAME_OF_TABLE && column == interface::OPTIONS && has_own(subject.row) {
        return;
    }
    let known = || {
        let keys = KEYS.iter().filter(|(table, map, ..)| *table == subject.table && *map == column);
        keys.map(|(.., key, _)| *key)
    };
    for (key, value) in subject.row.map(column) {
        let is_of_ovn = subject.table == open_vswitch::NAME_OF_TABLE && key.starts_with(OF_OVN);
        if is_of_ovn || known().any(|name| name == key) {
            continue;
        }
        let remove = subject.remove(column, &key);
        let (meant, mend) = match base::hint::nearest(&key, known()) {
            Some(meant) => {
                let set = base::shell::quoted(&format!("{column}:{meant}={}", text_of(&value)));
                let (table, id) = (subject.table, subject.id());
                (format!("; {meant} may be meant"), format!("{remove} -- set {table} {id} {set}"))
            }
            None => (String::new(), remove),
        };
        findings.add(subject, format!("{column}:{key} is unknown and has no effect{meant}"), mend);
    }
}

/// A value as commands take it: anything but a plain word is quoted.
fn text_of(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) { value.to_owned() } else { format!("{value:?}") }
}
