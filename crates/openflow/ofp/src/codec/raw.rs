//! The numbers of messages: which message has which numbers in which version,
//! and how long its body may be.
//!
//! Each row: the message, the place of its number, the first and last
//! version byte that has it, the number, the least length of its body, and of
//! what its length may grow (0 nothing, 1 anything, n multiples of n).

use std::sync::LazyLock;

use crate::text::upper_snake;
use crate::wire::{Put, Reader};
use crate::{NX_VENDOR, ONF_VENDOR, OfError};

/// Where a message's number stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// In the header.
    Ofpt,
    /// A vendor message of Nicira, of the ONF.
    Nxt,
    Onft,
    /// A multipart type; vendor multiparts.
    Ofpst,
    Nxst,
    Onfst,
}

struct Row {
    raw: Raw,
    place: Place,
    from: u8,
    to: u8,
    number: u32,
    min: u16,
    step: u16,
    request: bool,
    name: &'static str,
}

macro_rules! messages {
    ($($raw:ident $place:ident $from:literal $to:literal $number:literal $min:literal $step:literal;)*) => {
        /// A message as some version writes it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[allow(clippy::enum_variant_names)]
        pub(crate) enum Raw { $($raw),* }

        static ROWS: &[Row] = &[$(Row {
            raw: Raw::$raw, place: Place::$place, from: $from, to: $to, number: $number, min: $min, step: $step,
            request: is_request(stringify!($raw)), name: stringify!($raw),
        }),*];
    };
}

/// Whether the name ends in "Request", which is what tells the two apart.
const fn is_request(name: &str) -> bool {
    let (name, suffix) = (name.as_bytes(), b"Request");
    if name.len() < suffix.len() {
        return false;
    }
    let mut i = 0;
    while i < suffix.len() {
        if name[name.len() - suffix.len() + i] != suffix[i] {
            return false;
        }
        i += 1;
    }
    true
}

messages! {
    OfptHello Ofpt 1 6 0 0 1;
    OfptError Ofpt 1 6 1 4 1;
    OfptEchoRequest Ofpt 1 6 2 0 1;
    OfptEchoReply Ofpt 1 6 3 0 1;
    OfptFeaturesRequest Ofpt 1 6 5 0 0;
    Ofpt10FeaturesReply Ofpt 1 1 6 24 48;
    Ofpt11FeaturesReply Ofpt 2 3 6 24 64;
    Ofpt13FeaturesReply Ofpt 4 6 6 24 0;
    OfptGetConfigRequest Ofpt 1 6 7 0 0;
    OfptGetConfigReply Ofpt 1 6 8 4 0;
    OfptSetConfig Ofpt 1 6 9 4 0;
    Ofpt10PacketIn Ofpt 1 1 10 10 1;
    Ofpt11PacketIn Ofpt 2 2 10 16 1;
    Ofpt12PacketIn Ofpt 3 3 10 8 1;
    Ofpt13PacketIn Ofpt 4 6 10 16 1;
    NxtPacketIn Nxt 1 6 17 24 1;
    NxtPacketIn2 Nxt 1 6 30 0 8;
    Ofpt10FlowRemoved Ofpt 1 1 11 80 0;
    Ofpt11FlowRemoved Ofpt 2 5 11 40 8;
    Ofpt15FlowRemoved Ofpt 6 6 11 16 8;
    NxtFlowRemoved Nxt 1 6 14 40 8;
    Ofpt10PortStatus Ofpt 1 1 12 56 0;
    Ofpt11PortStatus Ofpt 2 4 12 72 0;
    Ofpt14PortStatus Ofpt 5 6 12 48 8;
    Ofpt10PacketOut Ofpt 1 1 13 8 1;
    Ofpt11PacketOut Ofpt 2 5 13 16 1;
    Ofpt15PacketOut Ofpt 6 6 13 8 1;
    Ofpt10FlowMod Ofpt 1 1 14 64 8;
    Ofpt11FlowMod Ofpt 2 6 14 40 8;
    NxtFlowMod Nxt 1 6 13 32 8;
    NxtGroupMod Nxt 1 1 31 16 8;
    Ofpt11GroupMod Ofpt 2 5 15 8 8;
    Ofpt15GroupMod Ofpt 6 6 15 16 8;
    Ofpt10PortMod Ofpt 1 1 15 24 0;
    Ofpt11PortMod Ofpt 2 4 16 32 0;
    Ofpt14PortMod Ofpt 5 6 16 24 8;
    Ofpt11TableMod Ofpt 2 4 17 8 0;
    Ofpt14TableMod Ofpt 5 6 17 8 8;
    Ofpt10BarrierRequest Ofpt 1 1 18 0 0;
    Ofpt11BarrierRequest Ofpt 2 6 20 0 0;
    Ofpt10BarrierReply Ofpt 1 1 19 0 0;
    Ofpt11BarrierReply Ofpt 2 6 21 0 0;
    Ofpt10QueueGetConfigRequest Ofpt 1 1 20 4 0;
    Ofpt11QueueGetConfigRequest Ofpt 2 4 22 8 0;
    Ofpt10QueueGetConfigReply Ofpt 1 1 21 8 8;
    Ofpt11QueueGetConfigReply Ofpt 2 4 23 8 8;
    Ofpt12RoleRequest Ofpt 3 6 24 16 0;
    NxtRoleRequest Nxt 1 6 10 4 0;
    Ofpt12RoleReply Ofpt 3 6 25 16 0;
    NxtRoleReply Nxt 1 6 11 4 0;
    Ofpt13GetAsyncRequest Ofpt 4 4 26 0 0;
    Ofpt14GetAsyncRequest Ofpt 5 6 26 0 0;
    Ofpt13GetAsyncReply Ofpt 4 4 27 24 0;
    Ofpt14GetAsyncReply Ofpt 5 6 27 0 8;
    Ofpt13SetAsync Ofpt 4 4 28 24 0;
    NxtSetAsyncConfig Nxt 1 6 19 24 0;
    NxtSetAsyncConfig2 Nxt 1 4 27 0 8;
    Ofpt14SetAsync Ofpt 5 6 28 0 8;
    Ofpt13MeterMod Ofpt 4 6 29 8 8;
    Onft13RoleStatus Onft 4 4 1911 16 8;
    Ofpt14RoleStatus Ofpt 5 6 30 16 8;
    Ofpt14TableStatus Ofpt 5 6 31 8 8;
    NxtRequestforward Nxt 1 3 132 8 8;
    Onft13Requestforward Onft 4 4 2350 8 8;
    Ofpt14Requestforward Ofpt 5 6 32 8 8;
    Ofpt14BundleControl Ofpt 5 6 33 8 8;
    Onft13BundleControl Onft 4 4 2300 8 8;
    Ofpt14BundleAddMessage Ofpt 5 6 34 8 1;
    Onft13BundleAddMessage Onft 4 4 2301 8 1;
    OfpstDescRequest Ofpst 1 6 0 0 0;
    OfpstDescReply Ofpst 1 6 0 1056 0;
    Ofpst10FlowRequest Ofpst 1 1 1 44 0;
    Ofpst11FlowRequest Ofpst 2 6 1 32 8;
    NxstFlowRequest Nxst 1 1 0 8 8;
    Ofpst10FlowReply Ofpst 1 1 1 0 1;
    Ofpst11FlowReply Ofpst 2 3 1 0 1;
    Ofpst13FlowReply Ofpst 4 5 1 0 1;
    Ofpst15FlowReply Ofpst 6 6 1 0 1;
    NxstFlowReply Nxst 1 1 0 0 1;
    Ofpst10AggregateRequest Ofpst 1 1 2 44 0;
    Ofpst11AggregateRequest Ofpst 2 5 2 32 8;
    Ofpst15AggregateRequest Ofpst 6 6 2 32 8;
    NxstAggregateRequest Nxst 1 1 1 8 8;
    OfpstAggregateReply Ofpst 1 5 2 24 0;
    Ofpst15AggregateReply Ofpst 6 6 2 0 1;
    NxstAggregateReply Nxst 1 1 1 24 0;
    OfpstTableRequest Ofpst 1 6 3 0 0;
    Ofpst10TableReply Ofpst 1 1 3 0 64;
    Ofpst11TableReply Ofpst 2 2 3 0 88;
    Ofpst12TableReply Ofpst 3 3 3 0 128;
    Ofpst13TableReply Ofpst 4 6 3 0 24;
    Ofpst10PortRequest Ofpst 1 1 4 8 0;
    Ofpst11PortRequest Ofpst 2 6 4 8 0;
    Ofpst10PortReply Ofpst 1 1 4 0 104;
    Ofpst11PortReply Ofpst 2 3 4 0 104;
    Ofpst13PortReply Ofpst 4 4 4 0 112;
    Ofpst14PortReply Ofpst 5 6 4 0 8;
    Ofpst10QueueRequest Ofpst 1 1 5 8 0;
    Ofpst11QueueRequest Ofpst 2 6 5 8 0;
    Ofpst10QueueReply Ofpst 1 1 5 0 32;
    Ofpst11QueueReply Ofpst 2 3 5 0 32;
    Ofpst13QueueReply Ofpst 4 4 5 0 40;
    Ofpst14QueueReply Ofpst 5 6 5 0 8;
    NxstGroupRequest Nxst 1 1 7 8 0;
    Ofpst11GroupRequest Ofpst 2 6 6 8 0;
    NxstGroupReply Nxst 1 1 7 0 8;
    Ofpst11GroupReply Ofpst 2 3 6 0 8;
    Ofpst13GroupReply Ofpst 4 6 6 0 8;
    NxstGroupDescRequest Nxst 1 1 8 8 0;
    Ofpst11GroupDescRequest Ofpst 2 5 7 0 0;
    Ofpst15GroupDescRequest Ofpst 6 6 7 8 0;
    NxstGroupDescReply Nxst 1 1 8 0 8;
    Ofpst11GroupDescReply Ofpst 2 6 7 0 8;
    NxstGroupFeaturesRequest Nxst 1 2 9 0 0;
    Ofpst12GroupFeaturesRequest Ofpst 3 6 8 0 0;
    NxstGroupFeaturesReply Nxst 1 2 9 40 0;
    Ofpst12GroupFeaturesReply Ofpst 3 6 8 40 0;
    Ofpst13MeterRequest Ofpst 4 6 9 8 0;
    Ofpst13MeterReply Ofpst 4 6 9 0 8;
    Ofpst13MeterConfigRequest Ofpst 4 6 10 8 0;
    Ofpst13MeterConfigReply Ofpst 4 6 10 0 8;
    Ofpst13MeterFeaturesRequest Ofpst 4 6 11 0 0;
    Ofpst13MeterFeaturesReply Ofpst 4 6 11 16 0;
    Ofpst13TableFeaturesRequest Ofpst 4 6 12 0 8;
    Ofpst13TableFeaturesReply Ofpst 4 6 12 0 8;
    Ofpst14TableDescRequest Ofpst 5 6 14 0 0;
    Ofpst14TableDescReply Ofpst 5 6 14 8 8;
    Ofpst10PortDescRequest Ofpst 1 5 13 0 0;
    Ofpst15PortDescRequest Ofpst 6 6 13 8 0;
    Ofpst10PortDescReply Ofpst 1 1 13 0 48;
    Ofpst11PortDescReply Ofpst 2 4 13 0 64;
    Ofpst14PortDescReply Ofpst 5 6 13 0 8;
    Ofpst14QueueDescRequest Ofpst 5 6 15 8 0;
    Ofpst14QueueDescReply Ofpst 5 6 15 0 8;
    Ofpst14FlowMonitorRequest Ofpst 5 6 16 0 8;
    Onfst13FlowMonitorRequest Onfst 4 4 1870 0 8;
    NxstFlowMonitorRequest Nxst 1 3 2 0 8;
    Ofpst14FlowMonitorReply Ofpst 5 6 16 0 8;
    Onfst13FlowMonitorReply Onfst 4 4 1870 0 8;
    NxstFlowMonitorReply Nxst 1 3 2 0 8;
    Onft13FlowMonitorCancel Onft 4 4 1870 4 0;
    NxtFlowMonitorCancel Nxt 1 3 21 4 0;
    Onft13FlowMonitorPaused Onft 4 4 1871 0 0;
    NxtFlowMonitorPaused Nxt 1 3 22 0 0;
    Onft13FlowMonitorResumed Onft 4 4 1872 0 0;
    NxtFlowMonitorResumed Nxt 1 3 23 0 0;
    NxtSetFlowFormat Nxt 1 1 12 4 0;
    NxtFlowModTableId Nxt 1 6 15 8 0;
    NxtSetPacketInFormat Nxt 1 6 16 4 0;
    NxtFlowAge Nxt 1 6 18 0 0;
    NxtSetControllerId Nxt 1 6 20 8 0;
    NxtTlvTableMod Nxt 1 6 24 8 8;
    NxtTlvTableRequest Nxt 1 6 25 0 0;
    NxtTlvTableReply Nxt 1 6 26 16 8;
    NxtResume Nxt 1 6 28 0 8;
    NxtCtFlushZone Nxt 1 6 29 8 0;
    NxtCtFlush Nxt 1 6 32 8 8;
    NxstIpfixBridgeRequest Nxst 1 6 3 0 0;
    NxstIpfixBridgeReply Nxst 1 6 3 88 0;
    NxstIpfixFlowRequest Nxst 1 6 4 0 0;
    NxstIpfixFlowReply Nxst 1 6 4 0 88;
}

/// The rows of the messages whose number stands in the header, by that number: nearly all messages are of these.
static IN_HEADER: LazyLock<Vec<Vec<&'static Row>>> = LazyLock::new(|| {
    let rows = |number: u32| ROWS.iter().filter(move |row| row.place == Place::Ofpt && row.number == number);
    (0..=u8::MAX).map(|number| rows(number.into()).collect()).collect()
});

/// What a header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) version: u8,
    pub(crate) kind: u8,
    pub(crate) length: u16,
    pub(crate) xid: u32,
}

impl Header {
    pub(crate) fn read(bytes: &[u8]) -> Option<Header> {
        let &[version, kind, l0, l1, x0, x1, x2, x3, ..] = bytes else { return None };
        let (length, xid) = (u16::from_be_bytes([l0, l1]), u32::from_be_bytes([x0, x1, x2, x3]));
        Some(Header { version, kind, length, xid })
    }
}

/// The message's name in the protocol: `NxtPacketIn2` as `NXT_PACKET_IN2`, `Ofpst13FlowReply` as `OFPST_FLOW_REPLY`.
pub(crate) fn wire_name(raw: Raw) -> String {
    let name = row_of(raw).map_or("", |row| row.name);
    // The first word may end in the version that the message is of.
    let first =
        name.char_indices().skip(1).find(|(_, c)| c.is_ascii_uppercase()).map_or(name.len(), |(at, _)| at);
    let (place, rest) = name.split_at(first);
    upper_snake(&format!("{}{rest}", place.trim_end_matches(|c: char| c.is_ascii_digit())))
}

/// The row of a message: they are declared in one order.
fn row_of(raw: Raw) -> Option<&'static Row> {
    ROWS.get(raw as usize)
}

/// Which message the beginning of one is, whatever its length.
pub(crate) fn identify_partial(bytes: &[u8], header: &Header) -> Option<Raw> {
    lookup(bytes, header).ok().map(|(row, _, _)| row.raw)
}

/// The wire name of the message that the bytes begin, whatever its length; "invalid" when it is none.
pub(crate) fn name_of(bytes: &[u8]) -> String {
    let raw = Header::read(bytes).and_then(|header| identify_partial(bytes, &header));
    raw.map_or_else(|| "invalid".to_owned(), wire_name)
}

/// Which message the bytes are, whether more parts follow, and its body.
pub(crate) fn identify(bytes: &[u8], header: &Header) -> Result<(Raw, bool, usize), OfError> {
    let (row, more, body) = lookup(bytes, header)?;
    let (len, min, step) = (bytes.len() - body, usize::from(row.min), usize::from(row.step));
    let fits = match step {
        0 => len == min,
        _ => len >= min && (len - min) % step == 0,
    };
    if !fits {
        let (full, least) = (bytes.len(), body + min);
        let expected = match step {
            0 => format!("expected length {least}"),
            1 => format!("expected length at least {least} bytes"),
            _ => format!("must be exactly {least} bytes or longer by an integer multiple of {step} bytes"),
        };
        let name = wire_name(row.raw);
        log::warn!(target: "ofp_msgs", "received {name} with incorrect length {full} ({expected})");
        return Err(OfError::OfpbrcBadLen);
    }
    Ok((row.raw, more, body))
}

fn lookup(bytes: &[u8], header: &Header) -> Result<(&'static Row, bool, usize), OfError> {
    let mut r = Reader::new(bytes.get(8..).ok_or(OfError::OfpbrcBadLen)?);
    let of10 = header.version == 1;
    let (request, reply) = if of10 { (16, 17) } else { (18, 19) };
    let (mut stat, mut vendor, mut subtype, mut more) = (0, 0, 0, false);
    let is_stat = header.kind == request || header.kind == reply;
    if header.kind == 4 {
        vendor = r.u32()?;
        if vendor != NX_VENDOR && vendor != ONF_VENDOR {
            return Err(bad_vendor(vendor));
        }
        subtype = r.u32()?;
    } else if is_stat {
        stat = r.u16()?;
        more = r.u16()? & 1 != 0;
        if !of10 {
            r.skip(4)?;
        }
        if stat == 0xffff {
            vendor = r.u32()?;
            if vendor != NX_VENDOR && (of10 || vendor != ONF_VENDOR) {
                return Err(bad_vendor(vendor));
            }
            subtype = r.u32()?;
            if of10 {
                r.skip(4)?;
            }
        }
    }
    let place = match (is_stat, vendor) {
        (false, 0) => Place::Ofpt,
        (false, NX_VENDOR) => Place::Nxt,
        (false, _) => Place::Onft,
        (true, 0) => Place::Ofpst,
        (true, NX_VENDOR) => Place::Nxst,
        (true, _) => Place::Onfst,
    };
    let number = match place {
        Place::Ofpt => u32::from(header.kind),
        Place::Ofpst => u32::from(stat),
        Place::Nxt | Place::Onft | Place::Nxst | Place::Onfst => subtype,
    };
    let is_it = |row: &&Row| {
        let any_version = row.place == Place::Ofpt && row.number < 4;
        row.place == place
            && row.number == number
            && (any_version || (row.from..=row.to).contains(&header.version))
            && (!is_stat || row.request == (header.kind == request))
    };
    let found = match place {
        Place::Ofpt => IN_HEADER.get(number as usize).into_iter().flatten().copied().find(is_it),
        Place::Nxt | Place::Onft | Place::Ofpst | Place::Nxst | Place::Onfst => ROWS.iter().find(is_it),
    };
    let Some(row) = found else {
        let stat = if is_stat { format!(", stat {stat}") } else { String::new() };
        let vendor_part =
            if vendor != 0 { format!(", vendor {vendor:#x}, subtype {subtype}") } else { String::new() };
        log::warn!(target: "ofp_msgs", "unknown OpenFlow message (version {}, type {}{stat}{vendor_part})", header.version, header.kind);
        return Err(if vendor != 0 {
            OfError::OfpbrcBadSubtype
        } else if is_stat {
            OfError::OfpbrcBadStat
        } else {
            OfError::OfpbrcBadType
        });
    };
    Ok((row, more, bytes.len() - r.len()))
}

fn bad_vendor(vendor: u32) -> OfError {
    log::warn!(target: "ofp_msgs", "OpenFlow message has unknown vendor {vendor:#x}");
    OfError::OfpbrcBadVendor
}

/// Begins a message and returns its place, for [`finish`].
pub(crate) fn start(out: &mut Vec<u8>, raw: Raw, version: u8, xid: u32) -> usize {
    let start = out.len();
    let Some(row) = row_of(raw) else { return start };
    let stats_kind = match (version, row.request) {
        (1, true) => 16,
        (1, false) => 17,
        (_, true) => 18,
        (_, false) => 19,
    };
    let kind = match row.place {
        Place::Ofpt => row.number as u8,
        Place::Nxt | Place::Onft => 4,
        Place::Ofpst | Place::Nxst | Place::Onfst => stats_kind,
    };
    out.put_u8(version);
    out.put_u8(kind);
    out.put_u16(0);
    out.put_u32(xid);
    let vendor = |out: &mut Vec<u8>| {
        out.put_u32(if matches!(row.place, Place::Nxt | Place::Nxst) { NX_VENDOR } else { ONF_VENDOR });
        out.put_u32(row.number);
    };
    match row.place {
        Place::Ofpt => {}
        Place::Nxt | Place::Onft => vendor(out),
        Place::Ofpst | Place::Nxst | Place::Onfst => {
            out.put_u16(if row.place == Place::Ofpst { row.number as u16 } else { 0xffff });
            out.put_u16(0);
            if version != 1 {
                out.put_zeros(4);
            }
            if row.place != Place::Ofpst {
                vendor(out);
                if version == 1 {
                    out.put_zeros(4);
                }
            }
        }
    }
    start
}

/// The length of a message that cannot be sent: shorter than any header.
const UNSENDABLE: u16 = 0;

/// Writes the length of the message that began at `start`.
///
/// A message longer than a length can say is marked, and [`Message::encode`]
/// takes it back. Lengths inside of it need no check of their own: what is too
/// long for them is too long for the message.
///
/// [`Message::encode`]: crate::Message::encode
pub(crate) fn finish(out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start;
    out.patch_u16(start + 2, u16::try_from(len).unwrap_or(UNSENDABLE));
}

/// Marks the message that began at `start` as one that cannot be sent.
pub(crate) fn abandon(out: &mut Vec<u8>, start: usize) {
    out.patch_u16(start + 2, UNSENDABLE);
}

/// A multipart message that is cut into as many messages as it takes.
pub(crate) struct Multipart<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    raw: Raw,
    version: u8,
    xid: u32,
    start: usize,
    body: usize,
}

impl<'a> Multipart<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, raw: Raw, version: u8, xid: u32) -> Multipart<'a> {
        let begin = start(out, raw, version, xid);
        let body = out.len();
        Multipart { out, raw, version, xid, start: begin, body }
    }

    /// Appends an entry, in a new message when it does not fit.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only entries of flows are named otherwise")]
    pub(crate) fn entry(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let entry = self.out.len();
        write(self.out);
        if self.out.len() - self.start <= usize::from(u16::MAX) {
            return;
        }
        let bytes = self.out.split_off(entry);
        if bytes.len() > usize::from(u16::MAX) - (self.body - self.start) {
            super::UNSENDABLE_ENTRIES.count();
            let text =
                "exceeded the maximum flow statistics reply size and was excluded from the response set";
            match self.raw {
                Raw::Ofpst10FlowReply
                | Raw::Ofpst11FlowReply
                | Raw::Ofpst13FlowReply
                | Raw::Ofpst15FlowReply
                | Raw::NxstFlowReply => log::warn!(target: "ofp_flow", "Flow {text}"),
                _ => log::warn!(target: "ofp_msgs", "Entry {text}"),
            }
            return;
        }
        self.out.patch_u16(self.start + 10, 1);
        finish(self.out, self.start);
        self.start = start(self.out, self.raw, self.version, self.xid);
        self.body = self.out.len();
        self.out.extend_from_slice(&bytes);
    }

    pub(crate) fn end(self) {
        finish(self.out, self.start);
    }
}
