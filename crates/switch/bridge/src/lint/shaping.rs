//! What is shaped and policed.

use std::collections::HashSet;

use replica::{Row, Tables};
use schema::{interface, port, qos, queue};
use uuid::Uuid;

use super::{Configured, Findings, PortRows, Subject, is_tunnel, kind};
use crate::columns::Columns;

/// The kinds that have no queues of their own.
const CLASSLESS: [&str; 5] = ["linux-sfq", "linux-codel", "linux-fq_codel", "linux-netem", "linux-noop"];

pub(super) fn check_port(configured: &Configured<'_>, ported: &PortRows<'_>, findings: &mut Findings) {
    let subject = ported.subject();
    if ported.row.reference(port::QOS).is_some()
        && let Some(row) = ported.interfaces.iter().find(|row| !can_shape(row))
    {
        let (name, kind) = (row.string(interface::NAME), kind(row));
        let what = format!("qos has no effect on interface {name}: a port of type {kind} cannot shape");
        findings.add(subject, what, subject.clear(port::QOS));
    }
    if let Some(row) = ported.row.reference(port::QOS)
        && let Some(row) = configured.rows.row(qos::NAME_OF_TABLE, &row)
        && CLASSLESS.contains(&row.string(qos::TYPE))
        && !row.get(qos::QUEUES).is_empty()
    {
        let subject = Subject { table: qos::NAME_OF_TABLE, row };
        let what = format!("queues have no effect: {} has none", row.string(qos::TYPE));
        findings.add(subject, what, subject.clear(qos::QUEUES));
    }
    for row in &ported.interfaces {
        check_policing(row, findings);
    }
}

fn can_shape(interface: &Row) -> bool {
    kind(interface) != "patch" && !is_tunnel(interface)
}

fn check_policing(row: &Row, findings: &mut Findings) {
    let subject = Subject::interface(row);
    let pairs = [
        (interface::INGRESS_POLICING_RATE, interface::INGRESS_POLICING_BURST),
        (interface::INGRESS_POLICING_KPKTS_RATE, interface::INGRESS_POLICING_KPKTS_BURST),
    ];
    let is_set = |column| row.integer(column).is_some_and(|value| value != 0);
    for (rate, burst) in pairs {
        if is_set(burst) && !is_set(rate) {
            findings.add(subject, format!("{burst} has no effect: {rate} is 0"), subject.set(burst, 0));
        }
        if is_set(rate) && !can_shape(row) {
            let what = format!("{rate} has no effect on a port of type {}", kind(row));
            findings.add(subject, what, subject.set(rate, 0));
        }
    }
}

/// Rows that live without being used.
pub(super) fn check_rows(rows: &Tables, findings: &mut Findings) {
    for (table, of, column) in [
        (qos::NAME_OF_TABLE, port::NAME_OF_TABLE, port::QOS),
        (queue::NAME_OF_TABLE, qos::NAME_OF_TABLE, qos::QUEUES),
    ] {
        let used = rows.rows(of).flat_map(|row| row.get(column).entries());
        let used: HashSet<Uuid> = used.filter_map(|(key, value)| value.unwrap_or(key).as_uuid()).collect();
        for row in rows.rows(table).filter(|row| !used.contains(&row.uuid)) {
            let by = if of == port::NAME_OF_TABLE { "port" } else { of };
            let mend = format!("ovs-vsctl destroy {table} {}", row.uuid);
            findings.add(Subject { table, row }, format!("no {by} uses it"), mend);
        }
    }
}
