//! Messages as text for people.
//!
//! Enters: the bytes of one message. Leaves: what `ovs-ofctl` shows of it.
//! What cannot be decoded is shown as an error and a dump.

mod connection;
mod flow;
mod group;
mod ipfix;
mod match10;
mod packet;
mod switch;
mod table;

use std::fmt::Write;

use crate::codec::raw::{self, Header};
use crate::*;

pub use flow::{put_flow_flags, put_flow_stats};
pub use group::{put_group_desc, put_group_properties, put_meter_config, put_meter_id};
pub use packet::{packet_key_to_text, packet_to_text};
pub use switch::{put_port_config, put_port_desc, put_port_state, put_port_stats};
pub use table::table_features_to_text;

/// What all the writers need.
#[derive(Clone, Copy)]
pub(crate) struct Printer<'a> {
    pub(crate) names: Names<'a>,
    pub(crate) verbosity: i32,
    pub(crate) version: Version,
    /// The whole message.
    pub(crate) bytes: &'a [u8],
}

/// One message as text, ending in a newline. More `verbosity`, more detail.
pub fn message_to_text(bytes: &[u8], names: Names<'_>, verbosity: i32) -> String {
    let mut out = String::new();
    let Some(header) = Header::read(bytes) else {
        if bytes.is_empty() {
            out.push_str("OpenFlow message is empty\n");
        } else {
            let _ = writeln!(out, "OpenFlow packet too short (only {} bytes):", bytes.len());
        }
        put_hex_dump(&mut out, bytes, 0, true);
        return out;
    };
    let length = usize::from(header.length);
    if length != bytes.len() {
        if length > bytes.len() {
            if let Some(raw) = raw::identify_partial(bytes, &header) {
                put_header(&mut out, raw, &header);
                out.push('\n');
            }
            let _ = writeln!(out, "(***truncated to {} bytes from {length}***)", bytes.len());
        } else {
            let _ = writeln!(out, "(***only uses {length} bytes out of {}***)", bytes.len());
        }
        put_hex_dump(&mut out, bytes, 0, true);
        return out;
    }
    let identified = if header.kind == 0 {
        Ok((raw::Raw::OfptHello, 8))
    } else {
        raw::identify(bytes, &header).map(|(raw, _, body)| (raw, body))
    };
    let mut failed = false;
    match identified {
        Ok((raw, _)) => {
            put_header(&mut out, raw, &header);
            let header_len = out.len();
            if let Err(error) = put_body(&mut out, bytes, &header, names, verbosity) {
                if out.len() > header_len {
                    if out.ends_with(' ') {
                        out.pop();
                    }
                    end_line(&mut out);
                } else {
                    out.push(' ');
                }
                let _ = writeln!(out, "***decode error: {}***", error.name());
                failed = true;
            } else if out.ends_with(' ') {
                out.pop();
            }
        }
        Err(error) => {
            let _ = writeln!(out, "***decode error: {}***", error.name());
            failed = true;
        }
    }
    if verbosity >= 5 || failed {
        end_line(&mut out);
        put_hex_dump(&mut out, bytes, 0, true);
    }
    end_line(&mut out);
    out
}

fn end_line(out: &mut String) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

fn put_header(out: &mut String, raw: raw::Raw, header: &Header) {
    let name = raw::wire_name(raw);
    let multipart = name.starts_with("OFPST_") || name.starts_with("NXST_") || name.starts_with("ONFST_");
    let (stem, direction) = [("_REQUEST", " request"), ("_REPLY", " reply")]
        .iter()
        .find_map(|(long, short)| Some((name.strip_suffix(long).filter(|_| multipart)?, *short)))
        .unwrap_or((&name, ""));
    let _ = write!(out, "{stem}{direction}");
    match Version::from_byte(header.version) {
        Some(Version::Of10) => {}
        Some(version) => {
            let _ = write!(out, " ({})", version.short());
        }
        None => {
            let _ = write!(out, " (OF 0x{:02x})", header.version);
        }
    }
    let _ = write!(out, " (xid=0x{:x}):", header.xid);
}

/// Names for the bits of a set, `separator` between them.
pub(crate) fn put_bits(
    out: &mut String,
    bits: u32,
    name: impl Fn(u32) -> Option<&'static str>,
    separator: char,
) {
    if bits == 0 {
        out.push('0');
        return;
    }
    let (mut rest, mut any) = (bits, false);
    for bit in (0..32).map(|i| 1u32 << i) {
        if let Some(name) = name(bit).filter(|_| bits & bit != 0) {
            if any {
                out.push(separator);
            }
            any = true;
            out.push_str(name);
            rest &= !bit;
        }
    }
    if rest != 0 {
        if any {
            out.push(separator);
        }
        let _ = write!(out, "0x{rest:x}");
    }
}

/// The name of a bit in a table of names in the order of bits.
pub(crate) fn bit_name(names: &'static [&'static str]) -> impl Fn(u32) -> Option<&'static str> {
    move |bit| names.get(bit.trailing_zeros() as usize).copied().filter(|n| !n.is_empty())
}

pub(crate) fn put_duration(out: &mut String, sec: u32, nsec: u32) {
    let _ = write!(out, "{sec}");
    if nsec > 0 {
        if nsec.is_multiple_of(1_000_000) {
            let _ = write!(out, ".{:03}", nsec / 1_000_000);
        } else {
            let _ = write!(out, ".{nsec:09}");
            out.truncate(out.trim_end_matches('0').len());
        }
    }
    out.push('s');
}

fn put_multipart_flags(out: &mut String, bytes: &[u8], header: &Header) {
    let (request, reply) = if header.version == 1 { (16, 17) } else { (18, 19) };
    if header.kind != request && header.kind != reply {
        return;
    }
    let Some(flags) = bytes.get(10..12) else { return };
    let mut flags = u16::from(flags[0]) << 8 | u16::from(flags[1]);
    if flags != 0 {
        out.push_str(" flags=");
        if flags & 1 != 0 && (header.kind == reply || header.version >= 4) {
            out.push_str("[more]");
            flags &= !1;
        }
        if flags != 0 {
            let _ = write!(out, "[***unknown flags 0x{flags:04x}***]");
        }
    }
}

fn put_body(
    out: &mut String,
    bytes: &[u8],
    header: &Header,
    names: Names<'_>,
    verbosity: i32,
) -> Result<(), OfError> {
    put_multipart_flags(out, bytes, header);
    let decoded = decode(bytes, &Context::default())?;
    let printer = Printer { names, verbosity, version: decoded.version, bytes };
    printer.message(out, &decoded.message);
    Ok(())
}

impl Printer<'_> {
    fn port(&self, out: &mut String, port: base::OfPort) {
        fields::format_port(out, port, self.names.ports);
    }

    fn table(&self, out: &mut String, table: u8) {
        fields::format_table(out, table, self.names.tables);
    }

    /// Whether a table is worth naming.
    fn names_table(&self, table: u8) -> bool {
        table != 0 || self.names.tables.is_some_and(|t| t.name(u32::from(table)).is_some())
    }

    fn matched(&self, out: &mut String, m: &fields::Match, priority: i32) {
        m.format(out, self.names.ports, priority);
    }

    // house: long because it is the one list of messages; each arm is a call or a line.
    fn message(&self, out: &mut String, message: &Message) {
        match message {
            Message::Hello { versions } => {
                out.push_str("\n version bitmap: ");
                put_version_bitmap(out, *versions);
                if !crate::codec::hello_is_plain(self.bytes) {
                    out.push_str("\n unknown data in hello:\n");
                    put_hex_dump(out, self.bytes, 0, true);
                }
            }
            Message::Error { error, payload } => {
                let _ = writeln!(out, " {}", error.name());
                if matches!(error, OfError::OfphfcIncompatible | OfError::OfphfcEperm) {
                    put_printable(out, payload);
                } else {
                    out.push_str(&message_to_text(payload, self.names, 1));
                }
            }
            Message::EchoRequest(payload) | Message::EchoReply(payload) => {
                let _ = writeln!(out, " {} bytes of payload", payload.len());
                if self.verbosity > 1 {
                    put_hex_dump(out, payload, 0, true);
                }
            }
            Message::PacketIn(packet) | Message::Resume(packet) => self.packet_in(out, packet),
            Message::PacketOut(packet) => self.packet_out(out, packet),
            Message::FlowMod(fm) => self.flow_mod(out, fm),
            Message::FlowRemoved(removed) => self.flow_removed(out, removed),
            Message::FlowStatsRequest(request) | Message::AggregateRequest(request) => {
                self.flow_request(out, request)
            }
            Message::FlowStatsReply(all) => {
                for stats in all {
                    out.push_str("\n ");
                    put_flow_stats(out, stats, self.names, true);
                }
            }
            Message::AggregateReply(sum) => {
                let _ = write!(
                    out,
                    " packet_count={} byte_count={} flow_count={}",
                    sum.packet_count, sum.byte_count, sum.flow_count
                );
            }
            Message::FlowMonitorRequest(requests) => {
                requests.iter().for_each(|r| self.monitor_request(out, r))
            }
            Message::FlowMonitorReply(updates) => updates.iter().for_each(|u| self.monitor_update(out, u)),
            Message::FeaturesReply(_)
            | Message::GetConfigReply(_)
            | Message::SetConfig(_)
            | Message::PortStatus(_)
            | Message::PortMod(_)
            | Message::TableMod(_)
            | Message::TableStatus(_)
            | Message::RequestForward(_)
            | Message::DescReply(_)
            | Message::TableStatsReply(_)
            | Message::PortStatsRequest(_)
            | Message::PortStatsReply(_)
            | Message::QueueStatsRequest { .. }
            | Message::QueueStatsReply(_)
            | Message::PortDescRequest(_)
            | Message::PortDescReply(_)
            | Message::QueueDescRequest { .. }
            | Message::QueueDescReply { .. }
            | Message::TableFeaturesRequest(_)
            | Message::TableFeaturesReply(_)
            | Message::TableDescReply(_) => self.message_of_switch(out, message),
            Message::GroupMod(_)
            | Message::MeterMod(_)
            | Message::GroupStatsRequest(_)
            | Message::GroupStatsReply(_)
            | Message::GroupDescRequest(_)
            | Message::GroupDescReply(_)
            | Message::GroupFeaturesReply(_)
            | Message::MeterStatsRequest(_)
            | Message::MeterStatsReply(_)
            | Message::MeterConfigRequest(_)
            | Message::MeterConfigReply(_)
            | Message::MeterFeaturesReply(_) => self.group_or_meter(out, message),
            Message::RoleRequest(_)
            | Message::RoleReply(_)
            | Message::RoleStatus(_)
            | Message::GetAsyncReply(_)
            | Message::SetAsync(_)
            | Message::BundleControl(_)
            | Message::BundleAdd(_)
            | Message::FlowMonitorCancel(_)
            | Message::SetFlowFormat { .. }
            | Message::FlowModTableId(_)
            | Message::SetPacketInFormat(_)
            | Message::SetControllerId(_)
            | Message::TlvTableMod(_)
            | Message::TlvTableReply(_)
            | Message::CtFlushZone(_)
            | Message::CtFlush(_) => self.connection(out, message),
            Message::IpfixBridgeStatsReply(stats) => self.ipfix_bridge(out, stats),
            Message::IpfixFlowStatsReply(all) => self.ipfix_sets(out, all),
            // All is said by the name.
            Message::FeaturesRequest
            | Message::GetConfigRequest
            | Message::BarrierRequest
            | Message::BarrierReply
            | Message::GetAsyncRequest
            | Message::DescRequest
            | Message::TableStatsRequest
            | Message::GroupFeaturesRequest
            | Message::MeterFeaturesRequest
            | Message::TableDescRequest
            | Message::FlowMonitorPaused
            | Message::FlowMonitorResumed
            | Message::FlowAge
            | Message::TlvTableRequest
            | Message::IpfixBridgeStatsRequest
            | Message::IpfixFlowStatsRequest => {}
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "called by a list of all; another one is reported")]
    fn message_of_switch(&self, out: &mut String, message: &Message) {
        match message {
            Message::FeaturesReply(features) => self.features(out, features),
            Message::GetConfigReply(config) | Message::SetConfig(config) => self.config(out, config),
            Message::PortStatus(status) => self.port_status(out, status),
            Message::PortMod(change) => self.port_mod(out, change),
            Message::PortDescRequest(port) => {
                out.push_str(" port=");
                self.port(out, *port);
            }
            Message::PortDescReply(ports) => {
                out.push('\n');
                self.ports(out, ports);
            }
            Message::PortStatsRequest(port) => {
                out.push_str(" port_no=");
                self.port(out, *port);
            }
            Message::PortStatsReply(all) => {
                let _ = writeln!(out, " {} ports", all.len());
                if self.verbosity >= 1 {
                    all.iter().for_each(|stats| put_port_stats(out, stats, self.names.ports));
                }
            }
            Message::QueueStatsRequest { port, queue } => self.queue_request(out, *port, *queue),
            Message::QueueStatsReply(all) => self.queues(out, all),
            Message::QueueDescRequest { port, queue } => {
                out.push_str(" port=");
                self.port(out, *port);
                if *queue != QUEUE_ALL {
                    let _ = write!(out, " queue={queue}");
                }
            }
            Message::QueueDescReply { queues, .. } => self.queue_configs(out, queues),
            Message::RequestForward(inner) => {
                let is_group = matches!(inner.message, Message::GroupMod(_));
                out.push_str(if is_group { " reason=group_mod" } else { " reason=meter_mod" });
                self.group_or_meter(out, &inner.message);
            }
            Message::DescReply(desc) => self.desc(out, desc),
            Message::TableMod(change) => self.table_mod(out, change),
            Message::TableStatsReply(all) => self.table_stats(out, all),
            Message::TableFeaturesReply(all) | Message::TableFeaturesRequest(all) => {
                self.table_features(out, all)
            }
            Message::TableDescReply(all) => all.iter().for_each(|desc| self.table_desc(out, desc)),
            Message::TableStatus(status) => self.table_status(out, status),
            _ => base::broken!("{message:?} is not shown among messages of the switch"),
        }
    }
}

fn put_printable(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        if (32..127).contains(&byte) && byte != b'\\' {
            out.push(byte as char);
        } else {
            let _ = write!(out, "\\{byte:03o}");
        }
    }
}
