//! Rules as text.

use std::fmt::Write;

use fields::DEFAULT_PRIORITY;

use super::{Printer, bit_name, put_bits, put_duration};
use crate::*;

/// The flags, each followed by a blank.
pub fn put_flow_flags(out: &mut String, flags: FlowFlags) {
    let names = [
        (FlowFlags::SEND_FLOW_REM, "send_flow_rem "),
        (FlowFlags::CHECK_OVERLAP, "check_overlap "),
        (FlowFlags::RESET_COUNTS, "reset_counts "),
        (FlowFlags::NO_PACKET_COUNTS, "no_packet_counts "),
        (FlowFlags::NO_BYTE_COUNTS, "no_byte_counts "),
    ];
    for (flag, name) in names {
        if flags.contains(flag) {
            out.push_str(name);
        }
    }
}

fn put_count(out: &mut String, name: &str, count: u64) {
    let _ = match count {
        u64::MAX => write!(out, "{name}=?, "),
        _ => write!(out, "{name}={count}, "),
    };
}

/// One rule as `dump-flows` shows it; counters only if asked.
pub fn put_flow_stats(out: &mut String, fs: &FlowStats, names: Names<'_>, show_stats: bool) {
    if show_stats || fs.cookie != 0 {
        let _ = write!(out, "cookie=0x{:x}, ", fs.cookie);
    }
    if show_stats {
        out.push_str("duration=");
        put_duration(out, fs.duration_sec, fs.duration_nsec);
        out.push_str(", ");
    }
    if show_stats || fs.table != 0 || names.tables.is_some_and(|t| t.name(u32::from(fs.table)).is_some()) {
        out.push_str("table=");
        fields::format_table(out, fs.table, names.tables);
        out.push_str(", ");
    }
    if show_stats {
        put_count(out, "n_packets", fs.packet_count);
        put_count(out, "n_bytes", fs.byte_count);
    }
    for (name, value) in [("idle_timeout", fs.idle_timeout), ("hard_timeout", fs.hard_timeout)] {
        if value != 0 {
            let _ = write!(out, "{name}={value}, ");
        }
    }
    put_flow_flags(out, fs.flags);
    if fs.importance != 0 {
        let _ = write!(out, "importance={}, ", fs.importance);
    }
    if let Some(age) = fs.idle_age.filter(|_| show_stats) {
        let _ = write!(out, "idle_age={age}, ");
    }
    if let Some(age) = fs.hard_age.filter(|age| show_stats && u32::from(*age) != fs.duration_sec) {
        let _ = write!(out, "hard_age={age}, ");
    }
    let before = out.len();
    fs.m.format(out, names.ports, i32::from(fs.priority));
    if out.len() != before {
        out.push(' ');
    }
    out.push_str("actions=");
    format_actions(&fs.actions, out, names);
}

fn put_removed_reason(out: &mut String, reason: u8) {
    let name = match FlowRemovedReason::from_number(reason) {
        Some(FlowRemovedReason::IdleTimeout) => "idle",
        Some(FlowRemovedReason::HardTimeout) => "hard",
        Some(FlowRemovedReason::Delete) => "delete",
        Some(FlowRemovedReason::GroupDelete) => "group_delete",
        Some(FlowRemovedReason::MeterDelete) => "meter_delete",
        Some(FlowRemovedReason::Eviction) => "eviction",
        None => {
            let _ = write!(out, "{reason}");
            return;
        }
    };
    out.push_str(name);
}

pub(super) fn removed_reason(reason: u8) -> String {
    let mut out = String::new();
    put_removed_reason(&mut out, reason);
    out
}

const MONITOR_FLAGS: &[&str] = &["initial", "add", "delete", "modify", "actions", "no-abbrev", "own"];

impl Printer<'_> {
    pub(super) fn flow_mod(&self, out: &mut String, fm: &FlowMod) {
        out.push_str(match fm.command {
            FlowModCommand::Add => " ADD",
            FlowModCommand::Modify => " MOD",
            FlowModCommand::ModifyStrict => " MOD_STRICT",
            FlowModCommand::Delete => " DEL",
            FlowModCommand::DeleteStrict => " DEL_STRICT",
        });
        if self.names_table(fm.table) {
            out.push_str(" table:");
            self.table(out, fm.table);
        }
        out.push(' ');
        let needs_priority = self.raw_match(out, &fm.m);
        if !needs_priority {
            self.matched(out, &fm.m, i32::from(fm.priority));
        }
        if !out.ends_with(' ') {
            out.push(' ');
        }
        if fm.new_cookie != 0 && fm.new_cookie != u64::MAX {
            let _ = write!(out, "cookie:0x{:x} ", fm.new_cookie);
        }
        if fm.cookie_mask != 0 {
            let _ = write!(out, "cookie:0x{:x}/0x{:x} ", fm.cookie, fm.cookie_mask);
        }
        for (name, value) in
            [("idle", fm.idle_timeout), ("hard", fm.hard_timeout), ("importance", fm.importance)]
        {
            if value != 0 {
                let _ = write!(out, "{name}:{value} ");
            }
        }
        if needs_priority && i32::from(fm.priority) != DEFAULT_PRIORITY {
            let _ = write!(out, "pri:{} ", fm.priority);
        }
        if fm.buffer_id != NO_BUFFER {
            let _ = write!(out, "buf:0x{:x} ", fm.buffer_id);
        }
        if fm.out_port != base::OfPort::ANY {
            out.push_str("out_port:");
            self.port(out, fm.out_port);
            out.push(' ');
        }
        let mut flags = fm.flags;
        if self.version <= Version::Of11 {
            flags.0 &= !FlowFlags::RESET_COUNTS.0;
        }
        put_flow_flags(out, flags);
        out.push_str("actions=");
        format_actions(&fm.actions, out, self.names);
    }

    /// The match as the message writes it, when so much detail was asked for.
    fn raw_match(&self, out: &mut String, m: &fields::Match) -> bool {
        match self.bytes {
            _ if self.verbosity < 3 => false,
            [1, 14, _, _, _, _, _, _, body @ ..] => {
                super::match10::put_match10(out, body, self.names.ports).is_ok()
            }
            [_, 4, ..] => {
                let entries = match_to_bytes(m, MatchForm::Nxm);
                out.push_str(&nx_match_to_text(&entries));
                true
            }
            _ => false,
        }
    }

    pub(super) fn flow_removed(&self, out: &mut String, removed: &FlowRemoved) {
        out.push(' ');
        self.matched(out, &removed.m, i32::from(removed.priority));
        out.push_str(" reason=");
        put_removed_reason(out, removed.reason);
        if removed.table != 255 {
            out.push_str(" table_id=");
            self.table(out, removed.table);
        }
        if removed.cookie != 0 {
            let _ = write!(out, " cookie:0x{:x}", removed.cookie);
        }
        out.push_str(" duration");
        put_duration(out, removed.duration_sec, removed.duration_nsec);
        let _ = write!(out, " idle{}", removed.idle_timeout);
        if removed.hard_timeout != 0 {
            let _ = write!(out, " hard{}", removed.hard_timeout);
        }
        let _ = writeln!(out, " pkts{} bytes{}", removed.packet_count, removed.byte_count);
    }

    pub(super) fn flow_request(&self, out: &mut String, request: &FlowStatsRequest) {
        if request.table != 0xff {
            out.push_str(" table=");
            self.table(out, request.table);
        }
        if request.out_port != base::OfPort::ANY {
            out.push_str(" out_port=");
            self.port(out, request.out_port);
        }
        out.push(' ');
        self.matched(out, &request.m, DEFAULT_PRIORITY);
    }

    pub(super) fn monitor_request(&self, out: &mut String, request: &FlowMonitorRequest) {
        if request.command == 2 {
            let _ = write!(out, "\n id={} command=delete", request.id);
            return;
        }
        let _ = write!(out, "\n id={} flags=", request.id);
        put_bits(out, u32::from(request.flags), bit_name(MONITOR_FLAGS), ',');
        if request.out_port != base::OfPort::NONE {
            out.push_str(" out_port=");
            self.port(out, request.out_port);
        }
        if request.out_group != 0 && request.out_group != GROUP_ANY {
            let _ = write!(out, " out_group={}", request.out_group as i32);
        }
        if request.table != 0xff {
            out.push_str(" table=");
            self.table(out, request.table);
        }
        out.push(' ');
        self.matched(out, &request.m, DEFAULT_PRIORITY);
        if out.ends_with(' ') {
            out.pop();
        }
    }

    pub(super) fn monitor_update(&self, out: &mut String, update: &FlowUpdate) {
        out.push_str("\n event=");
        let full = match update {
            FlowUpdate::Abbreviated { xid } => {
                let _ = write!(out, "ABBREV xid=0x{xid:x}");
                return;
            }
            FlowUpdate::Paused => return out.push_str("PAUSED"),
            FlowUpdate::Resumed => return out.push_str("RESUMED"),
            FlowUpdate::Initial(full) => {
                out.push_str("INITIAL");
                full
            }
            FlowUpdate::Added(full) => {
                out.push_str("ADDED");
                full
            }
            FlowUpdate::Modified(full) => {
                out.push_str("MODIFIED");
                full
            }
            FlowUpdate::Removed { reason, update } => {
                out.push_str("DELETED reason=");
                put_removed_reason(out, *reason);
                update
            }
        };
        out.push_str(" table=");
        self.table(out, full.table);
        for (name, value) in [("idle_timeout", full.idle_timeout), ("hard_timeout", full.hard_timeout)] {
            if value != 0 {
                let _ = write!(out, " {name}={value}");
            }
        }
        let _ = write!(out, " cookie={} ", crate::text::Hex(full.cookie));
        self.matched(out, &full.m, DEFAULT_PRIORITY);
        if !full.actions.is_empty() {
            if !out.ends_with(' ') {
                out.push(' ');
            }
            out.push_str("actions=");
            format_actions(&full.actions, out, self.names);
        }
    }
}
