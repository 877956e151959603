//! Interfaces, and what they are connected to.

use replica::Row;
use schema::interface;

use super::{BridgeRows, Configured, Findings, PortRows, Subject, is_tunnel, kind};
use crate::columns::Columns;

/// What tunnels put before a packet of IPv4: the outer headers, and the frame's own.
const OVERHEAD_V4: i64 = 50;
/// The same over IPv6.
const OVERHEAD_V6: i64 = 70;

pub(super) fn check(
    configured: &Configured<'_>,
    of: &BridgeRows<'_>,
    ported: &PortRows<'_>,
    findings: &mut Findings,
) {
    for row in &ported.interfaces {
        match kind(row) {
            "patch" => check_patch(configured, row, findings),
            _ if is_tunnel(row) => check_tunnel(configured, of, row, findings),
            _ => {}
        }
    }
}

fn peer(row: &Row) -> Option<&str> {
    row.map_text(interface::OPTIONS, "peer")
}

fn check_patch(configured: &Configured<'_>, row: &Row, findings: &mut Findings) {
    let subject = Subject::interface(row);
    if !row.get(interface::MTU_REQUEST).is_empty() {
        let what = "mtu_request has no effect: a patch port has no device";
        findings.add(subject, what, subject.clear(interface::MTU_REQUEST));
    }
    let name = row.string(interface::NAME);
    let remove = format!("ovs-vsctl del-port {}", subject.id());
    let Some(other) = peer(row) else {
        return findings.add(subject, "a patch port without options:peer leads nowhere", remove);
    };
    if other == name {
        return findings.add(subject, "options:peer is the port itself", remove);
    }
    let Some(&found) = configured.interfaces.get(other) else {
        return findings.add(subject, format!("options:peer is {other}, which is no port"), remove);
    };
    let subject_of_peer = Subject::interface(found);
    if kind(found) != "patch" {
        let what = format!("options:peer is {other}, which is of type {}", kind(found));
        let mend = subject_of_peer.set(interface::TYPE, "patch");
        findings.add(subject, what, format!("{mend} options:peer={}", subject.id()));
    } else if peer(found) != Some(name) {
        let of_peer = peer(found).unwrap_or("nobody");
        let what = format!("options:peer is {other}, but the peer of {other} is {of_peer}");
        findings.add(subject, what, subject_of_peer.set("options:peer", subject.id()));
    }
}

/// Whether what the bridge's ports send fits with a tunnel's headers into what leaves by the device below.
fn check_tunnel(configured: &Configured<'_>, of: &BridgeRows<'_>, row: &Row, findings: &mut Findings) {
    let Some(below) = row.map_text(interface::STATUS, "tunnel_egress_iface") else { return };
    let lower = configured.interfaces.get(below);
    let Some(room) = lower.and_then(|lower| lower.integer(interface::MTU)) else { return };
    let is_v6 = row.map_text(interface::OPTIONS, "remote_ip").is_some_and(|address| address.contains(':'));
    let overhead = if is_v6 { OVERHEAD_V6 } else { OVERHEAD_V4 };
    for sender in of.interfaces() {
        let Some(mtu) = sender.integer(interface::MTU) else { continue };
        if is_tunnel(sender) || mtu + overhead <= room {
            continue;
        }
        let subject = Subject::interface(sender);
        let tunnel = row.string(interface::NAME);
        let what = format!(
            "packets of {mtu} bytes do not fit into tunnel {tunnel}: with its headers they have {}, and {below} carries {room}",
            mtu + overhead
        );
        findings.add(subject, what, subject.set(interface::MTU_REQUEST, room - overhead));
    }
}
