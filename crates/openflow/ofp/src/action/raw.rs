//! The numbers of actions: which action has which vendor and type in which version.
//!
//! Facts from the OpenFlow specifications (`OFPAT_*`) and ovs-actions(7) (`NXAST_*`).

use crate::wire::{Put, Reader};
use crate::{NX_VENDOR, ONF_VENDOR, OfError, Version};

const OF: u32 = 0;
const NX: u32 = NX_VENDOR;
const ONF: u32 = ONF_VENDOR;

macro_rules! raws {
    ($($raw:ident $vendor:ident $from:literal $to:literal $number:literal $len:literal $kind:ident;)*) => {
        /// An action as some version writes it.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Raw { $($raw),* }

        static ROWS: &[Row] = &[$(Row {
            raw: Raw::$raw, vendor: $vendor, from: $from, to: $to, number: $number, len: $len, variable: raws!(@ $kind),
        }),*];
    };
    (@ fixed) => { false };
    (@ longer) => { true };
}

struct Row {
    raw: Raw,
    vendor: u32,
    from: u8,
    to: u8,
    number: u16,
    /// Its length, or its least one.
    len: u16,
    variable: bool,
}

impl Row {
    /// The action's name in its standard: `OFPAT_OUTPUT`, `NXAST_NOTE`.
    fn wire_name(&self) -> String {
        let camel = format!("{:?}", self.raw);
        let versions = ["10", "11", "12", "13", "15"];
        let stem = versions.iter().find_map(|version| camel.strip_suffix(version)).unwrap_or(&camel);
        let prefix = match self.vendor {
            OF => "OFPAT",
            NX => "NXAST",
            _ => "ONFACT",
        };
        format!("{prefix}_{}", crate::text::upper_snake(stem))
    }
}

raws! {
    Output10 OF 1 1 0 8 fixed;
    Output11 OF 2 6 0 16 fixed;
    SetVlanVid10 OF 1 1 1 8 fixed;
    SetVlanPcp10 OF 1 1 2 8 fixed;
    SetVlanVid11 OF 2 6 1 8 fixed;
    SetVlanPcp11 OF 2 6 2 8 fixed;
    PushVlan OF 2 6 17 8 fixed;
    StripVlan10 OF 1 1 3 8 fixed;
    PopVlan11 OF 2 6 18 8 fixed;
    SetDlSrc10 OF 1 1 4 16 fixed;
    SetDlSrc11 OF 2 6 3 16 fixed;
    SetDlDst10 OF 1 1 5 16 fixed;
    SetDlDst11 OF 2 6 4 16 fixed;
    SetNwSrc10 OF 1 1 6 8 fixed;
    SetNwSrc11 OF 2 6 5 8 fixed;
    SetNwDst10 OF 1 1 7 8 fixed;
    SetNwDst11 OF 2 6 6 8 fixed;
    SetNwTos10 OF 1 1 8 8 fixed;
    SetNwTos11 OF 2 6 7 8 fixed;
    SetNwEcn OF 2 6 8 8 fixed;
    SetTpSrc OF 1 6 9 8 fixed;
    SetTpDst OF 1 6 10 8 fixed;
    Enqueue OF 1 1 11 16 fixed;
    SetMplsLabel10 NX 1 1 30 16 fixed;
    SetMplsLabel11 OF 2 6 13 8 fixed;
    SetMplsTc10 NX 1 1 31 16 fixed;
    SetMplsTc11 OF 2 6 14 8 fixed;
    SetMplsTtl10 NX 1 1 25 16 fixed;
    SetMplsTtl11 OF 2 6 15 8 fixed;
    DecMplsTtl10 NX 1 1 26 16 fixed;
    DecMplsTtl11 OF 2 6 16 8 fixed;
    PushMpls10 NX 1 1 23 16 fixed;
    PushMpls11 OF 2 6 19 8 fixed;
    PopMpls10 NX 1 1 24 16 fixed;
    PopMpls11 OF 2 6 20 8 fixed;
    SetQueue10 NX 1 1 4 16 fixed;
    SetQueue11 OF 2 6 21 8 fixed;
    Group10 NX 1 1 40 16 fixed;
    Group11 OF 2 6 22 8 fixed;
    SetNwTtl OF 2 6 23 8 fixed;
    DecNwTtl10 NX 1 1 18 16 fixed;
    DecNwTtl11 OF 2 6 24 8 fixed;
    DecTtlCntIds NX 1 6 21 16 longer;
    SetField12 OF 3 5 25 8 longer;
    SetField15 OF 6 6 25 8 longer;
    RegLoad NX 1 5 7 24 fixed;
    RegLoad2 NX 1 5 33 16 longer;
    CopyField15 OF 6 6 28 16 longer;
    CopyField13 ONF 4 5 3200 24 longer;
    RegMove NX 1 5 6 16 longer;
    Meter15 OF 6 6 29 8 fixed;
    Resubmit NX 1 6 1 16 fixed;
    ResubmitTable NX 1 6 14 16 fixed;
    ResubmitTableCt NX 1 6 44 16 fixed;
    SetTunnel NX 1 6 2 16 fixed;
    SetTunnel64 NX 1 6 9 24 fixed;
    PopQueue NX 1 6 5 16 fixed;
    Note NX 1 6 8 16 longer;
    Multipath NX 1 6 10 32 fixed;
    Bundle NX 1 6 12 32 longer;
    BundleLoad NX 1 6 13 32 longer;
    OutputReg NX 1 6 15 24 fixed;
    OutputReg2 NX 1 6 32 24 fixed;
    Learn NX 1 6 16 32 longer;
    Learn2 NX 1 6 45 40 longer;
    Exit NX 1 6 17 16 fixed;
    FinTimeout NX 1 6 19 16 fixed;
    Controller NX 1 6 20 16 fixed;
    Controller2 NX 1 6 37 16 longer;
    WriteMetadata NX 1 6 22 32 fixed;
    StackPush NX 1 6 27 24 fixed;
    StackPop NX 1 6 28 24 fixed;
    Sample NX 1 6 29 24 fixed;
    Sample2 NX 1 6 38 32 fixed;
    Sample3 NX 1 6 41 32 fixed;
    Sample4 NX 1 6 51 40 fixed;
    Conjunction NX 1 6 34 16 fixed;
    Ct NX 1 6 35 24 longer;
    Nat NX 1 6 36 16 longer;
    OutputTrunc NX 1 6 39 16 fixed;
    Clone NX 1 6 42 16 longer;
    CtClear NX 1 6 43 16 fixed;
    Encap NX 4 6 46 16 longer;
    Decap NX 4 6 47 16 longer;
    DecNshTtl NX 4 6 48 16 fixed;
    CheckPktLarger NX 1 6 49 24 longer;
    DeleteField NX 1 6 50 24 fixed;
    DebugSlow NX 1 6 254 16 fixed;
    DebugRecirc NX 1 6 255 16 fixed;
}

/// Takes the next action off `r`: what it is, and all its bytes.
pub(super) fn pull<'a>(r: &mut Reader<'a>, version: Version) -> Result<(Raw, &'a [u8]), OfError> {
    let mut head = Reader::new(r.rest());
    let bad_len = |_| OfError::OfpbacBadLen;
    let kind = head.u16().map_err(bad_len)?;
    let len = usize::from(head.u16().map_err(bad_len)?);
    let vendor = head.u32().map_err(bad_len)?;
    let (vendor, number) = if kind != 0xffff {
        (OF, kind)
    } else if vendor == NX || vendor == ONF {
        (
            vendor,
            head.u16()
                .map_err(bad_len)
                .and_then(|n| if r.len() < 16 { Err(OfError::OfpbacBadLen) } else { Ok(n) })?,
        )
    } else {
        log::warn!(target: "ofp_actions", "OpenFlow action has unknown vendor {vendor:#x}");
        return Err(OfError::OfpbacBadVendor);
    };
    let row = ROWS.iter().find(|row| {
        row.vendor == vendor && row.number == number && (row.from..=row.to).contains(&version.byte())
    });
    let Some(row) = row else {
        log::warn!(target: "ofp_actions", "unknown {} action for vendor {} and type {number}", version.name(), c_hex(vendor));
        return Err(if vendor != 0 { OfError::OfpbacBadVendorType } else { OfError::OfpbacBadType });
    };
    let most = if row.variable { 65528 } else { usize::from(row.len) };
    let least = usize::from(row.len);
    let what = if len > r.len() {
        Some(format!("exceeds action buffer length {}", r.len()))
    } else if len < least || len > most {
        Some(format!("not in valid range [{least},{most}]"))
    } else if len % 8 != 0 {
        Some("is not a multiple of 8".to_owned())
    } else {
        None
    };
    if let Some(what) = what {
        log::warn!(target: "ofp_actions", "OpenFlow action {} length {len} {what}", row.wire_name());
        return Err(OfError::OfpbacBadLen);
    }
    Ok((row.raw, r.take(len)?))
}

fn c_hex(v: u32) -> String {
    if v == 0 { "0".into() } else { format!("{v:#x}") }
}

/// Appends the action's header and zeros up to its least length. Returns where it begins.
pub(super) fn put(out: &mut Vec<u8>, raw: Raw) -> usize {
    let start = out.len();
    let Some(row) = ROWS.iter().find(|row| row.raw == raw) else { return start };
    out.put_u16(if row.vendor == OF { row.number } else { 0xffff });
    out.put_u16(row.len);
    let mut used = 4;
    if row.vendor != OF {
        out.put_u32(row.vendor);
        out.put_u16(row.number);
        used = 10;
    }
    out.put_zeros(usize::from(row.len) - used);
    start
}

/// Cuts what [`put`] appended to `keep` bytes, so that more can be appended.
pub(super) fn put_head(out: &mut Vec<u8>, raw: Raw, keep: usize) -> usize {
    let start = put(out, raw);
    out.truncate(start + keep);
    start
}

/// Pads the action that begins at `start` and writes its length.
pub(super) fn finish(out: &mut Vec<u8>, start: usize) {
    out.pad8_from(start);
    let len = out.len() - start;
    out.patch_u16(start + 2, len as u16);
}

/// Appends an action with one number, which follows the header directly.
pub(super) fn put_number(out: &mut Vec<u8>, raw: Raw, value: u128, width: usize) {
    let start = put(out, raw);
    let offset: usize = if out[start] == 0xff && out[start + 1] == 0xff { 10 } else { 4 };
    // Numbers of eight bytes and of four after a vendor header are aligned.
    let at = start + if offset == 10 && width >= 4 { offset.next_multiple_of(width.min(8)) } else { offset };
    let bytes = value.to_be_bytes();
    if let Some(place) = out.get_mut(at..at + width) {
        place.copy_from_slice(&bytes[16 - width..]);
    }
}

/// Reads the number that [`put_number`] wrote.
pub(super) fn number(body: &[u8], width: usize) -> u64 {
    let offset: usize = if body.starts_with(&[0xff, 0xff]) { 10 } else { 4 };
    let at = if offset == 10 && width >= 4 { offset.next_multiple_of(width.min(8)) } else { offset };
    body.get(at..at + width).unwrap_or(&[]).iter().fold(0, |v, &b| v << 8 | u64::from(b))
}
