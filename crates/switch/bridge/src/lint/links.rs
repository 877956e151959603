//! Interfaces, and what they are connected to.

use replica::Row;
use schema::interface;

use super::{BridgeRows, Configured, Findings, PortRows, Subject, is_tunnel, kind};
use crate::columns::Columns;

/// What tunnels put before a packet of IPv4: the outer headers, and the frame's own.
const OVERHEAD_V4: i64 = 50;
/// The same over IPv6.
const OVERHEAD_V6: i64 = 70;

pub(super) fn check(configured: &Configured<'_>, ported: &PortRows<'_>, findings: &mut Findings) {
    for row in ported.interfaces.iter().filter(|row| kind(row) == "patch") {
        check_patch(configured, row, findings);
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

/// A tunnel, and what its packets may have.
struct Narrow<'a> {
    tunnel: &'a Row,
    below: &'a str,
    /// The MTU of the device below.
    room: i64,
    overhead: i64,
}

impl<'a> Narrow<'a> {
    /// `None` while it is not known where its packets leave.
    fn of(configured: &Configured<'a>, tunnel: &'a Row) -> Option<Narrow<'a>> {
        let below = tunnel.map_text(interface::STATUS, "tunnel_egress_iface")?;
        let room = configured.interfaces.get(below)?.integer(interface::MTU)?;
        let is_v6 =
            tunnel.map_text(interface::OPTIONS, "remote_ip").is_some_and(|address| address.contains(':'));
        Some(Narrow { tunnel, below, room, overhead: if is_v6 { OVERHEAD_V6 } else { OVERHEAD_V4 } })
    }
}

/// Whether what the bridge's ports send fits with a tunnel's headers into what leaves by the device below. Each port is
/// compared with the narrowest tunnel alone, as there may be many of both.
pub(super) fn check_tunnels(configured: &Configured<'_>, of: &BridgeRows<'_>, findings: &mut Findings) {
    let tunnels = of.interfaces().filter(|row| is_tunnel(row));
    let tunnels = tunnels.filter_map(|row| Narrow::of(configured, row));
    let Some(Narrow { tunnel, below, room, overhead }) = tunnels.min_by_key(|one| one.room - one.overhead)
    else {
        return;
    };
    let is_down = |row: &Row| row.text(interface::ADMIN_STATE) == Some("down");
    for sender in of.interfaces().filter(|row| !is_tunnel(row) && !is_down(row)) {
        let Some(mtu) = sender.integer(interface::MTU).filter(|mtu| mtu + overhead > room) else { continue };
        let subject = Subject::interface(sender);
        let name = tunnel.string(interface::NAME);
        let what = format!(
            "packets of {mtu} bytes do not fit into tunnel {name}: with its headers they have {}, and {below} carries {room}",
            mtu + overhead
        );
        findings.add(subject, what, subject.set(interface::MTU_REQUEST, room - overhead));
    }
}
