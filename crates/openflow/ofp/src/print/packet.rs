//! Packets in messages as text.

use std::fmt::Write;

use ::flow::{FlowKey, FlowMask, Metadata, PacketKey, slot};
use base::DpPort;
use fields::{DEFAULT_PRIORITY, Match};

use super::Printer;
use crate::*;

/// The labels down to the bottom one.
fn mpls_slots(key: &FlowKey) -> &'static [::flow::Slot] {
    const BOTTOM: u32 = 0x100;
    let labels: &[::flow::Slot] = &[slot::MPLS0, slot::MPLS1, slot::MPLS2];
    let count = labels.iter().position(|place| key.read(*place) as u32 & BOTTOM != 0);
    &labels[..count.map_or(labels.len(), |bottom| bottom + 1)]
}

/// The parts of a key that a packet of its kind has.
fn packet_mask(key: &FlowKey) -> FlowMask {
    let mut mask = FlowMask::new();
    let mut dl_type = key.dl_type();
    let packet_type = key.packet_type();
    if packet_type == 0 {
        for s in [slot::DL_SRC, slot::DL_DST, slot::DL_TYPE, slot::VLAN0_TPID, slot::VLAN0_TCI] {
            mask.add_all(s);
        }
        if key.vlan0_tci() != 0 {
            mask.add_all(slot::VLAN1_TPID);
            mask.add_all(slot::VLAN1_TCI);
        }
    } else {
        mask.add_all(slot::PACKET_TYPE);
        if packet_type >> 16 == 1 {
            dl_type = packet_type as u16;
        }
    }
    let own: &[::flow::Slot] = match dl_type {
        0x0800 => &[slot::NW_SRC, slot::NW_DST],
        0x86dd => &[slot::IPV6_SRC, slot::IPV6_DST, slot::IPV6_LABEL],
        0x0806 | 0x8035 => &[slot::NW_SRC, slot::NW_DST, slot::NW_PROTO, slot::ARP_SHA, slot::ARP_THA],
        0x8847 | 0x8848 => mpls_slots(key),
        0x894f => &[
            slot::NSH_FLAGS,
            slot::NSH_TTL,
            slot::NSH_MDTYPE,
            slot::NSH_NP,
            slot::NSH_SPI,
            slot::NSH_SI,
            slot::NSH_C1,
            slot::NSH_C2,
            slot::NSH_C3,
            slot::NSH_C4,
        ],
        _ => &[],
    };
    own.iter().for_each(|s| mask.add_all(*s));
    if !matches!(dl_type, 0x0800 | 0x86dd) {
        return mask;
    }
    for s in [slot::NW_FRAG, slot::NW_TOS, slot::NW_TTL, slot::NW_PROTO] {
        mask.add_all(s);
    }
    // Later fragments have no transport header.
    if key.nw_frag() & 2 != 0 {
        return mask;
    }
    let v6 = dl_type == 0x86dd;
    match key.nw_proto() {
        6 => [slot::TP_SRC, slot::TP_DST, slot::TCP_FLAGS].iter().for_each(|s| mask.add_all(*s)),
        17 | 132 | 2 => [slot::TP_SRC, slot::TP_DST].iter().for_each(|s| mask.add_all(*s)),
        1 if !v6 => [slot::TP_SRC, slot::TP_DST].iter().for_each(|s| mask.add_all(*s)),
        58 if v6 => {
            [slot::TP_SRC, slot::TP_DST].iter().for_each(|s| mask.add_all(*s));
            if matches!(key.tp_src(), 135 | 136) {
                [slot::ND_TARGET, slot::ARP_SHA, slot::ARP_THA].iter().for_each(|s| mask.add_all(*s));
            }
        }
        _ => {}
    }
    mask
}

/// All that a packet's key says: its headers, and of what came with it what is not 0.
pub fn packet_key_to_text(key: &FlowKey) -> String {
    let mut mask = packet_mask(key);
    let metadata = [slot::IN_PORT, slot::SKB_PRIORITY, slot::PKT_MARK, slot::RECIRC_ID, slot::METADATA];
    metadata.into_iter().filter(|place| key.read(*place) != 0).for_each(|place| mask.add_all(place));
    Match::new(key, mask).to_text()
}

/// A packet's headers and checksum, ending in a newline.
pub fn packet_to_text(bytes: &[u8], packet_type: u32) -> String {
    let mut out = String::new();
    let mut packet = PacketKey::new();
    packet.refill(&Metadata { packet_type, ..Metadata::new(DpPort(0)) }, bytes, ::flow::MAX_VLANS);
    let key = packet.key();
    Match::new(key, packet_mask(key)).format(&mut out, None, DEFAULT_PRIORITY);
    let l4 = usize::from(packet.layers().l4);
    let l4 = if l4 == 0 { &[][..] } else { bytes.get(l4..).unwrap_or(&[]) };
    let (name, at, least, wide) = match key.nw_proto() {
        6 => ("tcp_csum", 16, 20, false),
        17 => ("udp_csum", 6, 8, false),
        132 => ("sctp_csum", 8, 12, true),
        1 => ("icmp_csum", 2, 8, false),
        58 => ("icmp6_csum", 2, 4, false),
        _ => ("", 0, usize::MAX, false),
    };
    if l4.len() >= least {
        let n = if wide { 4 } else { 2 };
        let sum = l4[at..at + n].iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
        let _ = write!(out, " {name}:{sum:x}");
    }
    out.push('\n');
    out
}

impl Printer<'_> {
    pub(super) fn packet_in(&self, out: &mut String, packet: &PacketIn) {
        if self.names_table(packet.table) {
            out.push_str(" table_id=");
            self.table(out, packet.table);
        }
        if packet.cookie != u64::MAX {
            let _ = write!(out, " cookie=0x{:x}", packet.cookie);
        }
        let (total, len) = (packet.total_len, packet.packet.len());
        let _ = write!(out, " total_len={total} ");
        self.matched(out, &packet.metadata, DEFAULT_PRIORITY);
        let _ = write!(out, " (via {}) data_len={len}", packet.reason);
        if packet.buffer_id == NO_BUFFER {
            out.push_str(" (unbuffered)");
            if total != len {
                out.push_str(" (***total_len != data_len***)");
            }
        } else {
            let _ = write!(out, " buffer=0x{:08x}", packet.buffer_id);
            if total < len {
                out.push_str(" (***total_len < data_len***)");
            }
        }
        out.push('\n');
        if !packet.userdata.is_empty() {
            out.push_str(" userdata=");
            crate::text::put_hex_bytes(out, &packet.userdata, ".");
            out.push('\n');
        }
        if let Some(continuation) = &packet.continuation {
            self.continuation(out, continuation);
        }
        if self.verbosity > 0 {
            out.push_str(&packet_to_text(&packet.packet, packet.metadata.key.packet_type()));
        }
        if self.verbosity > 2 {
            put_hex_dump(out, &packet.packet, 0, false);
        }
    }

    fn continuation(&self, out: &mut String, c: &Continuation) {
        if let Some(bridge) = c.bridge {
            let hex: String = bridge.iter().map(|b| format!("{b:02x}")).collect();
            let _ = writeln!(
                out,
                " continuation.bridge={}-{}-{}-{}-{}",
                &hex[..8],
                &hex[8..12],
                &hex[12..16],
                &hex[16..20],
                &hex[20..]
            );
        }
        if !c.stack.is_empty() {
            out.push_str(" continuation.stack=(top)");
            for value in c.stack.iter().rev() {
                out.push(' ');
                let significant = value.iter().position(|b| *b != 0).map_or(&[][..], |at| &value[at..]);
                match significant.split_first() {
                    None => out.push('0'),
                    Some((first, rest)) => {
                        let _ = write!(out, "0x{first:x}");
                        crate::text::put_hex_bytes(out, rest, "");
                    }
                }
            }
            out.push_str(" (bottom)\n");
        }
        if c.mirrors != 0 {
            let _ = writeln!(out, " continuation.mirrors=0x{:x}", c.mirrors);
        }
        if c.conntracked {
            out.push_str(" continuation.conntracked=true\n");
        }
        if !c.frames.is_empty() {
            out.push_str(" continuation.actions=");
            for (index, frame) in c.frames.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                if let Some((table, cookie)) = frame.rule {
                    let _ = write!(out, "unroll_xlate(table={table}, cookie={cookie})");
                    if !frame.actions.is_empty() {
                        out.push(',');
                    }
                }
                if !frame.actions.is_empty() || frame.rule.is_none() {
                    format_actions(&frame.actions, out, self.names);
                }
            }
            out.push('\n');
        }
        if !c.action_set.is_empty() {
            out.push_str(" continuation.action_set=");
            format_actions(&c.action_set, out, self.names);
            out.push('\n');
        }
        if let Some(port) = c.odp_port.filter(|port| *port != 0) {
            let _ = writeln!(out, " continuation.odp_port={port}");
        }
    }

    pub(super) fn packet_out(&self, out: &mut String, packet: &PacketOut) {
        out.push(' ');
        self.matched(out, &packet.metadata, DEFAULT_PRIORITY);
        out.push_str(" actions=");
        format_actions(&packet.actions, out, self.names);
        if packet.buffer_id != NO_BUFFER {
            let _ = write!(out, " buffer=0x{:08x}", packet.buffer_id);
            return;
        }
        let _ = write!(out, " data_len={}", packet.packet.len());
        if self.verbosity > 0 && !packet.packet.is_empty() {
            out.push('\n');
            out.push_str(&packet_to_text(&packet.packet, packet.metadata.key.packet_type()));
        }
        if self.verbosity > 2 {
            put_hex_dump(out, &packet.packet, 0, false);
        }
    }
}
