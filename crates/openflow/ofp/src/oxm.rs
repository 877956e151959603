//! OXM and NXM matches as bytes.

use base::OfPort;
use fields::oxm::{self, Header};
use fields::{Field, Match, effective_dl_type, is_nd};
use flow::slot;

use crate::wire::{Put, Reader, round8};
use crate::{OfError, Version};

/// An entry that was read.
struct Entry {
    header: Header,
    /// `None`: not known, or the cookie.
    field: Option<Field>,
    value: u128,
    mask: u128,
}

/// How strictly matches are read.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rules {
    /// Skip fields that are not known, and check no prerequisites.
    pub(crate) loose: bool,
    pub(crate) pipeline_only: bool,
    pub(crate) allow_cookie: bool,
}

/// Reads a header. With `action` set, errors are those of actions.
pub(crate) fn pull_header(
    r: &mut Reader<'_>,
    action: bool,
) -> Result<(Header, Result<Field, OfError>), OfError> {
    let header = Header::read(r.rest()).ok_or(OfError::OfpbmcBadLen)?;
    if header.payload_len().is_none() {
        log::warn!(target: "nx_match", "OXM header {header} has invalid length {} (minimum is {})", header.length, header.header_len());
        return Err(OfError::OfpbmcBadLen);
    }
    r.skip(header.header_len())?;
    let field = match oxm::by_header(&header) {
        Some((field, _)) => Ok(field),
        None if action && oxm::by_number(&header).is_some() && header.width() > 0 => {
            Err(OfError::OfpbacBadSetLen)
        }
        None if action => Err(OfError::OfpbacBadSetType),
        None => Err(OfError::OfpbmcBadField),
    };
    Ok((header, field))
}

/// Reads a header that must name a field and have no mask.
pub(crate) fn pull_field(r: &mut Reader<'_>) -> Result<Field, OfError> {
    let (header, field) = pull_header(r, false)?;
    let field = field?;
    if header.has_mask { Err(OfError::OfpbmcBadMask) } else { Ok(field) }
}

/// The field of a 32-bit header.
pub(crate) fn field_of_u32(number: u32) -> Result<Field, OfError> {
    let header = Header::read(&number.to_be_bytes()).ok_or(OfError::OfpbacBadSetType)?;
    oxm::by_header(&header).map(|(field, _)| field).ok_or(OfError::OfpbacBadSetType)
}

/// The 32-bit header of `field`, 0 when it has none.
pub(crate) fn header_u32(field: Field) -> u32 {
    match oxm::preferred(field, 0) {
        Some(id) if id.class != 0xffff => {
            u32::from(id.class) << 16 | u32::from(id.number) << 9 | field.n_bytes() as u32
        }
        _ => 0,
    }
}

/// Whether `field` has a 32-bit header.
pub(crate) fn has_u32_header(field: Field) -> bool {
    header_u32(field) != 0 || field == Field::InPort
}

/// Appends the header of `field` as `version` (0: NXM) prefers it.
pub(crate) fn put_header(out: &mut Vec<u8>, field: Field, version: u8, masked: bool) {
    put_header_of(out, field, version, field.n_bytes(), masked);
}

/// Appends the header of `field` for values of `width` bytes.
pub(crate) fn put_header_of(out: &mut Vec<u8>, field: Field, version: u8, width: usize, masked: bool) {
    if let Some(id) = oxm::preferred(field, version) {
        Header::of(id, width, masked).write(out);
    }
}

/// How many bytes a value takes: options of tunnels as many words of four bytes as there are bits that matter.
fn width_of(field: Field, value: u128, mask: u128) -> usize {
    if field.tunnel_option().is_none() {
        return field.n_bytes();
    }
    let bits = if mask == field.exact() { value } else { value | mask };
    ((u128::BITS - bits.leading_zeros()) as usize).div_ceil(32).max(1) * 4
}

/// Appends header, value and, unless exact, mask.
pub(crate) fn put_entry(out: &mut Vec<u8>, field: Field, version: u8, value: u128, mask: u128) {
    let masked = mask != field.exact();
    let width = width_of(field, value, mask);
    put_header_of(out, field, version, width, masked);
    out.put_wide(value, width);
    if masked {
        out.put_wide(mask, width);
    }
}

fn pull_entry(
    r: &mut Reader<'_>,
    rules: Rules,
    may_mask: bool,
    action: bool,
) -> Result<Result<Entry, OfError>, OfError> {
    let (header, field) = pull_header(r, action)?;
    let unknown = match field {
        Err(e) if e == OfError::OfpbmcBadField => Some(e),
        Err(e) => return Err(e),
        Ok(_) => None,
    };
    let payload_len = header.payload_len().unwrap_or(0);
    let Ok(payload) = r.take(payload_len) else {
        log::debug!(target: "nx_match", "OXM header {header} calls for {payload_len}-byte payload but only {} bytes follow OXM header", r.len());
        return Err(OfError::OfpbmcBadLen);
    };
    let width = header.width();
    let (value_bytes, mask_bytes) = payload.split_at(width.min(payload.len()));
    if header.has_mask && value_bytes.iter().zip(mask_bytes).any(|(v, m)| v & !m != 0) {
        log::warn!(target: "nx_match", "Rejecting NXM/OXM entry {header} with 1-bits in value for bits wildcarded by the mask.");
        return Err(OfError::OfpbmcBadWildcards);
    }
    if header.has_mask && !may_mask {
        log::debug!(target: "nx_match", "OXM header {header} includes mask but masked OXMs are not allowed here");
        return Err(OfError::OfpbmcBadMask);
    }
    let is_option = field.as_ref().is_ok_and(|field| field.tunnel_option().is_some());
    if is_option && value_bytes.iter().rev().skip(16).any(|&byte| byte != 0) {
        log::warn!(target: "nx_match", "Rejecting NXM/OXM entry {header} with a value of more than 16 bytes.");
        return Err(OfError::OfpbmcBadValue);
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0u128, |v, &b| v << 8 | u128::from(b));
    let exact = if is_option || width >= 16 { u128::MAX } else { (1u128 << (8 * width)) - 1 };
    let entry = Entry {
        header,
        field: field.ok(),
        value: number(value_bytes),
        mask: if header.has_mask { number(mask_bytes) } else { exact },
    };
    match unknown {
        Some(_) if rules.allow_cookie && header.is_cookie() => Ok(Ok(entry)),
        Some(e) => Ok(Err(e)),
        None => Ok(Ok(entry)),
    }
}

/// Reads one entry of an action: field, value and mask.
pub(crate) fn pull_action_entry(r: &mut Reader<'_>, may_mask: bool) -> Result<(Field, u128, u128), OfError> {
    let entry = pull_entry(r, Rules::default(), may_mask, true)??;
    let field = entry.field.ok_or(OfError::OfpbacBadSetType)?;
    Ok((field, entry.value, entry.mask))
}

/// Reads entries without masks as fields and masks of them.
pub(crate) fn pull_field_array(bytes: &[u8]) -> Result<Vec<(Field, u128)>, OfError> {
    let mut r = Reader::new(bytes);
    let mut out: Vec<(Field, u128)> = Vec::new();
    while !r.is_empty() {
        let entry = pull_entry(&mut r, Rules::default(), false, false)??;
        let field = entry.field.ok_or(OfError::OfpbmcBadField)?;
        if out.iter().any(|(f, _)| *f == field) {
            return Err(OfError::OfpbmcDupField);
        }
        if !field.is_mask_valid(entry.value) {
            return Err(OfError::OfpbmcBadMask);
        }
        out.push((field, entry.value));
    }
    out.sort_by_key(|(f, _)| *f);
    Ok(out)
}

/// Reads entries into a match. Returns also the cookie and its mask.
pub(crate) fn decode(bytes: &[u8], rules: Rules) -> Result<(Match, u64, u64), OfError> {
    let mut m = Match::default();
    let (cookie, cookie_mask) = decode_into(bytes, rules, &mut m)?;
    Ok((m, cookie, cookie_mask))
}

/// The same into a match of all packets, which is long to be moved.
fn decode_into(bytes: &[u8], rules: Rules, m: &mut Match) -> Result<(u64, u64), OfError> {
    let (mut cookie, mut cookie_mask) = (0, 0);
    let mut r = Reader::new(bytes);
    while !r.is_empty() {
        let offset = bytes.len() - r.len();
        let step = decode_one(&mut r, rules, m, &mut cookie, &mut cookie_mask);
        if let Err(error) = step {
            log::debug!(target: "nx_match", "error parsing OXM at offset {offset} within match ({error})");
            return Err(error);
        }
    }
    Ok((cookie, cookie_mask))
}

fn decode_one(
    r: &mut Reader<'_>,
    rules: Rules,
    m: &mut Match,
    cookie: &mut u64,
    cookie_mask: &mut u64,
) -> Result<(), OfError> {
    let entry = match pull_entry(r, rules, true, false)? {
        Ok(entry) => entry,
        Err(_) if rules.loose => return Ok(()),
        Err(e) => return Err(e),
    };
    let Some(field) = entry.field else {
        if *cookie_mask != 0 {
            return Err(OfError::OfpbmcDupField);
        }
        debug_assert!(entry.header.is_cookie());
        *cookie = entry.value as u64;
        *cookie_mask = entry.mask as u64;
        return Ok(());
    };
    if !field.is_mask_valid(entry.mask) {
        return Err(OfError::OfpbmcBadMask);
    }
    if !field.is_value_valid(entry.value) {
        return Err(OfError::OfpbmcBadValue);
    }
    if !rules.loose && !field.info().prereq.met_by_match(m) {
        return Err(OfError::OfpbmcBadPrereq);
    }
    if !is_all_wild(field, m) {
        return Err(OfError::OfpbmcDupField);
    }
    if rules.pipeline_only && !field.is_pipeline() {
        return Err(OfError::OfpbrcPipelineFieldsOnly);
    }
    m.set(field, entry.value, entry.mask);
    m.add_ethernet_prereq(field);
    Ok(())
}

fn is_all_wild(field: Field, m: &Match) -> bool {
    field.is_wild(&m.mask)
}

/// What [`put_match`] keeps while writing.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    version: u8,
    /// Whether some field implies Ethernet.
    ethernet: bool,
}

impl Writer<'_> {
    fn masked(&mut self, field: Field, value: u128, mask: u128) {
        if mask == 0 {
            return;
        }
        put_entry(self.out, field, self.version, value, mask);
        self.ethernet |= field.info().prereq != fields::Prereq::None;
    }

    fn exact(&mut self, field: Field, value: u128) {
        self.masked(field, value, field.exact());
    }

    /// The field as the match has it.
    fn field(&mut self, field: Field, m: &Match) {
        if field.is_wild(&m.mask) {
            return;
        }
        let (value, mask) = m.get(field);
        self.masked(field, value, mask);
    }

    /// An option of a tunnel, which may be asked for without its value.
    fn option(&mut self, field: Field, m: &Match) {
        match m.get(field) {
            _ if field.is_wild(&m.mask) => {}
            (_, 0) => put_entry(self.out, field, self.version, 0, 0),
            (value, mask) => self.masked(field, value, mask),
        }
    }

    /// The field, without mask, when the match says anything of it.
    fn whole(&mut self, field: Field, m: &Match) {
        if !field.is_wild(&m.mask) {
            self.exact(field, field.read(&m.key));
        }
    }
}

fn put_ip(w: &mut Writer<'_>, m: &Match, v4: bool) {
    let oxm = w.version != 0;
    if v4 {
        w.field(Field::Ipv4Src, m);
        w.field(Field::Ipv4Dst, m);
    } else {
        w.field(Field::Ipv6Src, m);
        w.field(Field::Ipv6Dst, m);
    }
    let frag_mask = m.mask.bits(slot::NW_FRAG) & 3;
    let frag = u128::from(m.key.nw_frag() & 3);
    w.masked(Field::IpFrag, frag, if frag_mask == 3 { 0xff } else { frag_mask });
    let tos_mask = m.mask.bits(slot::NW_TOS) as u8;
    if tos_mask & 0xfc != 0 {
        let tos = u128::from(m.key.nw_tos());
        if oxm { w.exact(Field::IpDscpShifted, tos >> 2) } else { w.exact(Field::IpDscp, tos & 0xfc) }
    }
    if tos_mask & 3 != 0 {
        w.exact(Field::IpEcn, u128::from(m.key.nw_tos() & 3));
    }
    w.whole(Field::IpTtl, m);
    w.field(Field::Ipv6Label, m);
    if m.mask.bits(slot::NW_PROTO) == 0 {
        return;
    }
    let protocol = m.key.nw_proto();
    w.exact(Field::IpProto, u128::from(protocol));
    match protocol {
        6 => [Field::TcpSrc, Field::TcpDst, Field::TcpFlags].into_iter().for_each(|f| w.field(f, m)),
        17 => [Field::UdpSrc, Field::UdpDst].into_iter().for_each(|f| w.field(f, m)),
        132 => [Field::SctpSrc, Field::SctpDst].into_iter().for_each(|f| w.field(f, m)),
        1 if v4 => [Field::Icmpv4Type, Field::Icmpv4Code].into_iter().for_each(|f| w.whole(f, m)),
        58 if !v4 => {
            w.whole(Field::Icmpv6Type, m);
            w.whole(Field::Icmpv6Code, m);
            if is_nd(&m.key, &mut None) {
                w.whole(Field::NdReserved, m);
                w.field(Field::NdTarget, m);
                w.whole(Field::NdOptionsType, m);
                match m.key.tp_src() {
                    135 => w.field(Field::NdSll, m),
                    _ => w.field(Field::NdTll, m),
                }
            }
        }
        _ => {}
    }
}

fn put_vlan(w: &mut Writer<'_>, m: &Match) {
    let mask = m.mask.bits(slot::VLAN0_TCI) as u16;
    let tci = m.key.vlan0_tci();
    if w.version == 0 {
        return w.masked(Field::VlanTci, u128::from(tci), u128::from(mask));
    }
    let (vid, vid_mask) = (tci & 0x1fff, mask & 0x1fff);
    if vid_mask == 0x1fff {
        w.exact(Field::VlanVid, u128::from(vid));
    } else {
        w.masked(Field::VlanVid, u128::from(vid), u128::from(vid_mask));
    }
    if vid != 0 && mask & 0xe000 != 0 {
        w.exact(Field::VlanPcp, u128::from(tci >> 13));
    }
}

fn put_l2(w: &mut Writer<'_>, m: &Match) {
    if m.mask.bits(slot::IN_PORT) != 0 {
        let port = OfPort(m.key.in_port());
        if w.version == 0 {
            w.exact(Field::InPort, u128::from(port.0 as u16));
        } else {
            w.exact(Field::InPortOxm, u128::from(port.0));
        }
    }
    w.whole(Field::ActsetOutput, m);
    w.field(Field::EthSrc, m);
    w.field(Field::EthDst, m);
    w.field(Field::EthType, m);
    put_vlan(w, m);
    let dl_type = effective_dl_type(&m.key);
    match dl_type {
        0x8847 | 0x8848 => {
            for field in [Field::MplsTc, Field::MplsBos, Field::MplsTtl, Field::MplsLabel] {
                w.whole(field, m);
            }
        }
        0x0800 | 0x86dd => put_ip(w, m, dl_type == 0x0800),
        0x0806 | 0x8035 => {
            if m.mask.bits(slot::NW_PROTO) != 0 {
                w.exact(Field::ArpOp, u128::from(m.key.nw_proto()));
            }
            for field in [Field::ArpSpa, Field::ArpTpa, Field::ArpSha, Field::ArpTha] {
                w.field(field, m);
            }
        }
        _ => {}
    }
}

fn put_metadata(w: &mut Writer<'_>, m: &Match) {
    use Field::*;
    // Most matches say nothing of any of a family.
    let says = |first: flow::Slot, last: flow::Slot| {
        let words = m.mask.core().get(usize::from(first.word)..=usize::from(last.word));
        words.is_none_or(|words| words.iter().any(|&word| word != 0))
    };
    let tunnel = [
        TunId,
        TunFlags,
        TunSrc,
        TunDst,
        TunIpv6Src,
        TunIpv6Dst,
        TunGbpId,
        TunGbpFlags,
        TunErspanIdx,
        TunErspanVer,
        TunErspanDir,
        TunErspanHwid,
        TunGtpuFlags,
        TunGtpuMsgtype,
    ];
    if says(slot::TUN_ID, slot::TUN_ERSPAN_IDX) {
        tunnel.into_iter().for_each(|field| w.field(field, m));
    }
    if m.mask.has_tun_options() {
        (0..fields::TUNNEL_OPTIONS).filter_map(Field::of_tunnel_option).for_each(|field| w.option(field, m));
    }
    if says(slot::NSH_FLAGS, slot::NSH_C4) {
        for field in [NshFlags, NshTtl, NshMdtype, NshNp, NshSpi, NshSi, NshC1, NshC2, NshC3, NshC4] {
            w.field(field, m);
        }
    }
    if says(slot::REG0, slot::REG31) {
        let (first, last) = if w.version < 6 { (Reg0, Xreg0) } else { (Xreg0, Xxreg0) };
        for field in (first as usize..last as usize).filter_map(Field::from_index) {
            w.field(field, m);
        }
    }
    for field in [PktMark, CtState, CtZone, CtMark, CtLabel, CtNwSrc, CtIpv6Src, CtNwDst, CtIpv6Dst] {
        w.field(field, m);
    }
    if m.key.ct_nw_proto() != 0 {
        for field in [CtNwProto, CtTpSrc, CtTpDst] {
            w.field(field, m);
        }
    }
    w.field(Metadata, m);
}

/// Appends the entries of `m`, and of the cookie when its mask is not 0.
/// `version` is 0 for NXM. Returns how many bytes that were.
pub(crate) fn put_match(out: &mut Vec<u8>, m: &Match, version: u8, cookie: u64, cookie_mask: u64) -> usize {
    let start = out.len();
    let mut w = Writer { out, version, ethernet: false };
    if m.mask.bits(slot::PACKET_TYPE) != 0 && !m.has_default_packet_type() {
        w.field(Field::PacketType, m);
    }
    w.field(Field::DpHash, m);
    w.whole(Field::RecircId, m);
    w.whole(Field::ConjId, m);
    put_l2(&mut w, m);
    put_metadata(&mut w, m);
    let ethernet = w.ethernet;
    if cookie_mask != 0 {
        let masked = cookie_mask != u64::MAX;
        let length = if masked { 16 } else { 8 };
        Header {
            class: oxm::COOKIE_CLASS,
            number: oxm::COOKIE_NUMBER,
            has_mask: masked,
            length,
            experimenter: 0,
        }
        .write(out);
        out.put_u64(cookie & cookie_mask);
        if masked {
            out.put_u64(cookie_mask);
        }
    }
    if m.has_default_packet_type() && !ethernet {
        let mut entry = Vec::with_capacity(8);
        put_entry(&mut entry, Field::PacketType, version, 0, Field::PacketType.exact());
        out.splice(start..start, entry);
    }
    out.len() - start
}

/// Appends an NXM match, padded to a multiple of eight. Returns its length without padding.
pub(crate) fn put_nx_match(out: &mut Vec<u8>, m: &Match, cookie: u64, cookie_mask: u64) -> usize {
    let start = out.len();
    let len = put_match(out, m, 0, cookie, cookie_mask);
    out.pad8_from(start);
    len
}

/// Appends an OXM match with its header, padded. Returns its length without padding.
pub(crate) fn put_oxm_match(out: &mut Vec<u8>, m: &Match, version: Version) -> usize {
    let start = out.len();
    out.put_u16(1);
    out.put_u16(0);
    let len = put_match(out, m, version.byte(), 0, 0) + 4;
    out.patch_u16(start + 2, len as u16);
    out.pad8_from(start);
    len
}

/// Reads a padded NXM match of `len` bytes.
pub(crate) fn pull_nx_match(
    r: &mut Reader<'_>,
    len: usize,
    rules: Rules,
) -> Result<(Match, u64, u64), OfError> {
    let padded = r.take(round8(len)).map_err(|_| {
        log::debug!(target: "nx_match", "nx_match length {len}, rounded up to a multiple of 8, is longer than space in message (max length {})", r.len());
        OfError::OfpbmcBadLen
    })?;
    decode(&padded[..len], rules)
}

/// Reads an OXM match with its header and padding.
pub(crate) fn pull_oxm_match(r: &mut Reader<'_>, rules: Rules) -> Result<Match, OfError> {
    let mut m = Match::default();
    pull_oxm_match_into(r, rules, &mut m)?;
    Ok(m)
}

/// The same into a match of all packets, which is long to be moved.
pub(crate) fn pull_oxm_match_into(r: &mut Reader<'_>, rules: Rules, m: &mut Match) -> Result<(), OfError> {
    let mut head = Reader::new(r.rest());
    let (kind, len) = (head.u16(), head.u16());
    let (Ok(kind), Ok(len)) = (kind, len) else { return Err(OfError::OfpbmcBadLen) };
    if len < 4 {
        return Err(OfError::OfpbmcBadLen);
    }
    if kind != 1 {
        return Err(OfError::OfpbmcBadType);
    }
    let bytes = r.take(round8(usize::from(len))).map_err(|_| OfError::OfpbmcBadLen)?;
    decode_into(&bytes[4..usize::from(len)], rules, m).map(|_| ())
}

/// The text form of raw entries: `NXM_OF_IN_PORT(fffe), …`.
pub fn nx_match_to_text(bytes: &[u8]) -> String {
    use std::fmt::Write;
    if bytes.is_empty() {
        return "<any>".into();
    }
    let mut out = String::new();
    let mut r = Reader::new(bytes);
    while !r.is_empty() {
        let before = r;
        let rules = Rules { allow_cookie: true, ..Rules::default() };
        let entry = match pull_entry(&mut r, rules, true, false) {
            Ok(_) => Header::read(before.rest()),
            Err(_) => None,
        };
        let Some(header) = entry else {
            r = before;
            break;
        };
        if !out.is_empty() {
            out.push_str(", ");
        }
        put_field_name(&mut out, &header);
        let payload = &before.rest()[header.header_len()..][..header.payload_len().unwrap_or(0)];
        let (value, mask) = payload.split_at(header.width());
        out.push('(');
        for byte in value.iter().take(128) {
            let _ = write!(out, "{byte:02x}");
        }
        if header.has_mask {
            out.push('/');
            for byte in mask.iter().take(header.width().min(128)) {
                let _ = write!(out, "{byte:02x}");
            }
        }
        out.push(')');
    }
    if !r.is_empty() {
        if !out.is_empty() {
            out.push_str(", ");
        }
        let _ = write!(out, "<{} invalid bytes>", r.len());
    }
    out
}

/// `NXM_OF_IN_PORT`, or numbers for what is not known.
pub(crate) fn put_field_name(out: &mut String, header: &Header) {
    use std::fmt::Write;
    if let Some((_, id)) = oxm::by_header(header) {
        out.push_str(id.name);
        if header.has_mask {
            out.push_str("_W");
        }
    } else if header.is_cookie() {
        out.push_str(if header.has_mask { "NXM_NX_COOKIE_W" } else { "NXM_NX_COOKIE" });
    } else {
        let _ = write!(out, "{}:{}", header.class, header.number);
    }
}
