//! Connections as operators read them.

use std::fmt::Write;

use wire::protocol;

use crate::control::{Entry, ExpectationEntry};
use crate::key::Key;
use crate::state::State;
use crate::tcp::{Peer, Scale, Tcp, TcpState};
use crate::zones::ZoneLimit;

/// How much is shown of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Detail {
    /// Ids, status, both states of TCP, and the connection that announced it.
    pub verbose: bool,
    /// When it will be over.
    pub statistics: bool,
}

/// The name of a protocol, or its number.
pub fn protocol_name(number: u8) -> String {
    let name = match number {
        protocol::ICMP => "icmp",
        protocol::ICMPV6 => "icmpv6",
        protocol::TCP => "tcp",
        protocol::UDP => "udp",
        protocol::SCTP => "sctp",
        136 => "udplite",
        33 => "dccp",
        protocol::IGMP => "igmp",
        _ => return number.to_string(),
    };
    name.to_owned()
}

/// The state of a TCP connection that is shown where one stands for both: those that kernels tell apart differently are one.
pub fn shown_tcp_state(tcp: &Tcp) -> TcpState {
    let state = tcp.original.state.max(tcp.reply.state);
    if state == TcpState::FinWait2 {
        TcpState::TimeWait
    } else if state == TcpState::SynRecv {
        TcpState::Established
    } else {
        state
    }
}

/// A connection, without the end of the line.
pub fn format_entry(out: &mut String, entry: &Entry, detail: Detail) {
    let zone = entry.original.zone;
    // Writing to a String cannot fail.
    let _ = write!(out, "{},orig=(", protocol_name(entry.original.protocol));
    format_tuple(out, &entry.original);
    out.push_str("),reply=(");
    format_tuple(out, &entry.reply);
    out.push(')');
    if detail.verbose {
        out.push_str(",id=0");
    }
    if zone != 0 {
        let _ = write!(out, ",zone={zone}");
    }
    if detail.verbose {
        out.push_str(",status=0");
    }
    if detail.statistics {
        let _ = write!(out, ",timeout={}", entry.timeout);
    }
    format_values(out, entry.mark, entry.label);
    if let State::Tcp(tcp) = &entry.state {
        format_tcp(out, tcp, detail.verbose);
    }
    if let Some(helper) = entry.helper {
        let _ = write!(out, ",helper={}", helper.name());
    }
    if detail.verbose
        && let Some(parent) = &entry.parent
    {
        out.push_str(",parent=(");
        format_tuple(out, parent);
        out.push(')');
    }
}

/// An announced connection, without the end of the line.
pub fn format_expectation(out: &mut String, entry: &ExpectationEntry) {
    let _ = write!(out, "{},orig=(", protocol_name(entry.key.protocol));
    format_tuple(out, &entry.key);
    out.push(')');
    if entry.key.zone != 0 {
        let _ = write!(out, ",zone={}", entry.key.zone);
    }
    format_values(out, entry.mark, entry.label);
    out.push_str(",parent=(");
    format_tuple(out, &entry.parent);
    out.push(')');
}

fn format_values(out: &mut String, mark: u32, label: u128) {
    if mark != 0 {
        let _ = write!(out, ",mark={mark}");
    }
    if label != 0 {
        let _ = write!(out, ",labels={label:#x}");
    }
}

fn format_tuple(out: &mut String, key: &Key) {
    let (src, dst) = (key.src.address.text(key.is_v6), key.dst.address.text(key.is_v6));
    let _ = write!(out, "src={src},dst={dst}");
    let _ = if matches!(key.protocol, protocol::ICMP | protocol::ICMPV6) {
        write!(out, ",id={},type={},code=0", key.src.port, key.src.icmp_type)
    } else {
        write!(out, ",sport={},dport={}", key.src.port, key.dst.port)
    };
}

fn format_tcp(out: &mut String, tcp: &Tcp, verbose: bool) {
    if !verbose {
        let _ = write!(out, ",protoinfo=(state={})", shown_tcp_state(tcp).name());
        return;
    }
    let (original, reply) = (tcp.original, tcp.reply);
    let states = (original.state.name(), reply.state.name());
    let _ = write!(out, ",protoinfo=(state_orig={},state_reply={}", states.0, states.1);
    let shifts = (original.scale.shift(), reply.scale.shift());
    if shifts != (0, 0) {
        let _ = write!(out, ",wscale_orig={},wscale_reply={}", shifts.0, shifts.1);
    }
    let _ = write!(out, ",flags_orig={},flags_reply={})", flags(&original), flags(&reply));
}

fn flags(peer: &Peer) -> &'static str {
    match peer.scale {
        Scale::Absent => "0",
        Scale::By(_) => "WINDOW_SCALE",
        Scale::Unknown => "BE_LIBERAL",
    }
}

/// Limits, the default first.
pub fn format_limits(limits: &[ZoneLimit]) -> String {
    let mut out = String::new();
    for limit in limits.iter().filter(|limit| limit.zone.is_none()) {
        let _ = write!(out, "default limit={}", limit.limit);
    }
    for limit in limits {
        if let Some(zone) = limit.zone {
            let _ = write!(out, "\nzone={zone},limit={},count={}", limit.limit, limit.count);
        }
    }
    out
}
