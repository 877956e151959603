//! Messages about the connection as text.

use std::fmt::Write;

use super::{Printer, bit_name, put_bits};
use crate::text::Hex;
use crate::*;

fn put_role(out: &mut String, role: ControllerRole, generation_id: Option<u64>) {
    let name = ["nochange", "equal", "primary", "secondary"][role as usize];
    let _ = write!(out, " role={name}");
    if let Some(id) = generation_id.filter(|id| *id != u64::MAX) {
        let _ = write!(out, " generation_id={id}");
    }
}

const ROLE_REASONS: [&str; 3] = ["primary_request", "configuration_changed", "experimenter_data_changed"];

fn async_reason(kind: usize, reason: u8) -> String {
    let named =
        |names: &[&str]| names.get(usize::from(reason)).map_or_else(|| reason.to_string(), |n| n.to_string());
    match kind {
        0 => PacketInReason::from_number(reason).to_string(),
        1 => named(&["add", "delete", "modify"]),
        2 => super::flow::removed_reason(reason),
        3 => named(&ROLE_REASONS),
        4 => match reason {
            3 => "vacancy_down".to_string(),
            4 => "vacancy_up".to_string(),
            _ => reason.to_string(),
        },
        _ => named(&["group_mod_request", "meter_mod_request"]),
    }
}

fn put_async(out: &mut String, primary: &[u32; 6], secondary: &[u32; 6]) {
    for (role, reasons) in [("primary", primary), ("secondary", secondary)] {
        let _ = writeln!(out, "\n {role}:");
        for (kind, name) in ASYNC_KINDS.iter().enumerate() {
            let _ = write!(out, "{name:>16}:");
            for reason in (0..32u8).filter(|n| reasons[kind] >> n & 1 != 0) {
                let text = async_reason(kind, reason);
                if !text.is_empty() {
                    let _ = write!(out, " {text}");
                }
            }
            if reasons[kind] == 0 {
                out.push_str(" (off)");
            }
            out.push('\n');
        }
    }
}

const BUNDLE_KINDS: [&str; 8] = [
    "OPEN_REQUEST",
    "OPEN_REPLY",
    "CLOSE_REQUEST",
    "CLOSE_REPLY",
    "COMMIT_REQUEST",
    "COMMIT_REPLY",
    "DISCARD_REQUEST",
    "DISCARD_REPLY",
];

fn put_tlv_maps(out: &mut String, maps: &[TlvMap]) {
    out.push_str("\n  class  type  length  match field\n ------  ----  ------  --------------");
    let hex = |number: u16| if number == 0 { "0".to_owned() } else { format!("{number:#x}") };
    for map in maps {
        let _ = write!(
            out,
            "\n {:>6}  {:>4}  {:>6}  tun_metadata{}",
            hex(map.class),
            hex(map.kind.into()),
            map.length,
            map.index
        );
    }
}

impl Printer<'_> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "called by a list of all; another one is reported")]
    pub(super) fn connection(&self, out: &mut String, message: &Message) {
        match message {
            Message::RoleRequest(role) | Message::RoleReply(role) => {
                put_role(out, role.role, role.generation_id)
            }
            Message::RoleStatus(status) => {
                put_role(out, status.role, Some(status.generation_id));
                let _ = write!(
                    out,
                    " reason={}",
                    ROLE_REASONS.get(usize::from(status.reason)).unwrap_or(&"(unknown)")
                );
            }
            Message::GetAsyncReply(config) => put_async(out, &config.primary, &config.secondary),
            Message::SetAsync(update) => {
                put_async(
                    out,
                    &update.primary.map(|v| v.unwrap_or(0)),
                    &update.secondary.map(|v| v.unwrap_or(0)),
                );
            }
            Message::BundleControl(control) => {
                let _ = write!(
                    out,
                    "\n bundle_id={} type={} flags=",
                    Hex(u64::from(control.bundle)),
                    BUNDLE_KINDS.get(usize::from(control.kind)).unwrap_or(&"")
                );
                put_bits(out, u32::from(control.flags), bit_name(&["atomic", "ordered"]), ' ');
            }
            Message::BundleAdd(add) => {
                let _ = write!(out, "\n bundle_id={} flags=", Hex(u64::from(add.bundle)));
                put_bits(out, u32::from(add.flags), bit_name(&["atomic", "ordered"]), ' ');
                out.push('\n');
                out.push_str(&super::message_to_text(&add.raw, self.names, self.verbosity));
            }
            Message::SetFlowFormat { nxm } => {
                let _ = write!(out, " format={}", if *nxm { "nxm" } else { "openflow10" });
            }
            Message::FlowModTableId(on) => out.push_str(if *on { " enable" } else { " disable" }),
            Message::SetPacketInFormat(format) => {
                let _ = write!(out, " format={}", format.name());
            }
            Message::SetControllerId(id) => {
                let _ = write!(out, " id={id}");
            }
            Message::FlowMonitorCancel(id) => {
                let _ = write!(out, " id={id}");
            }
            Message::TlvTableMod(change) => {
                out.push_str("\n ");
                out.push_str(match change.command {
                    0 => "ADD",
                    1 => "DEL",
                    _ => "CLEAR",
                });
                if change.command != 2 {
                    out.push_str(" mapping table:");
                    put_tlv_maps(out, &change.mappings);
                }
            }
            Message::TlvTableReply(table) => {
                let _ = write!(
                    out,
                    "\n max option space={} max fields={}\n allocated option space={}\n\n mapping table:",
                    table.max_space,
                    table.max_fields,
                    table.mappings.iter().map(|map| u32::from(map.length)).sum::<u32>()
                );
                put_tlv_maps(out, &table.mappings);
            }
            Message::CtFlushZone(zone) => {
                let _ = write!(out, " zone_id={zone}");
            }
            Message::CtFlush(flush) => {
                let _ = write!(out, " zone={} ", flush.zone.unwrap_or_default());
                conntrack::format_filter(out, &flush.filter);
            }
            _ => base::broken!("{message:?} is not shown among messages of the connection"),
        }
    }
}

impl PacketInFormat {
    /// As in logs: `standard`, `nxt_packet_in`, `nxt_packet_in2`.
    pub const fn name(self) -> &'static str {
        match self {
            PacketInFormat::Standard => "standard",
            PacketInFormat::Nxt => "nxt_packet_in",
            PacketInFormat::Nxt2 => "nxt_packet_in2",
        }
    }

    /// The format called `name`.
    pub fn from_name(name: &str) -> Option<PacketInFormat> {
        match name {
            "standard" | "openflow10" => Some(PacketInFormat::Standard),
            "nxt_packet_in" | "nxm" => Some(PacketInFormat::Nxt),
            "nxt_packet_in2" => Some(PacketInFormat::Nxt2),
            _ => None,
        }
    }
}
