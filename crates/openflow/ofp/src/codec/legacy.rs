//! The fixed match structures of OpenFlow 1.0 and 1.1.

use base::{MacAddr, OfPort};
use fields::{Match, effective_dl_type};
use flow::{VLAN_CFI, slot};

use crate::oxm::{self, Rules};
use crate::wire::{Put, Reader};
use crate::{OfError, Version};

pub(crate) mod w10 {
    pub(crate) const IN_PORT: u32 = 1;
    pub(crate) const DL_VLAN: u32 = 1 << 1;
    pub(crate) const DL_SRC: u32 = 1 << 2;
    pub(crate) const DL_DST: u32 = 1 << 3;
    pub(crate) const DL_TYPE: u32 = 1 << 4;
    pub(crate) const NW_PROTO: u32 = 1 << 5;
    pub(crate) const TP_SRC: u32 = 1 << 6;
    pub(crate) const TP_DST: u32 = 1 << 7;
    pub(crate) const NW_SRC_SHIFT: u32 = 8;
    pub(crate) const NW_DST_SHIFT: u32 = 14;
    pub(crate) const DL_VLAN_PCP: u32 = 1 << 20;
    pub(crate) const NW_TOS: u32 = 1 << 21;
    pub(crate) const ALL: u32 = (1 << 22) - 1;
}

fn prefix_mask(wildcard_bits: u32) -> u32 {
    match wildcard_bits & 0x3f {
        bits @ 0..32 => u32::MAX << bits,
        _ => 0,
    }
}

/// Reads an OpenFlow 1.0 match. The second value says whether it wildcards anything.
pub(crate) fn pull10(r: &mut Reader<'_>) -> Result<(Match, bool), OfError> {
    let wildcards = r.u32()? & w10::ALL;
    let in_port = r.u16()?;
    let dl_src: [u8; 6] = r.array()?;
    let dl_dst: [u8; 6] = r.array()?;
    let (dl_vlan, pcp, _) = (r.u16()?, r.u8()?, r.u8()?);
    let (dl_type, tos, proto, _) = (r.u16()?, r.u8()?, r.u8()?, r.u16()?);
    let (nw_src, nw_dst, tp_src, tp_dst) = (r.u32()?, r.u32()?, r.u16()?, r.u16()?);
    let has = |bit: u32| wildcards & bit == 0;
    let mut m = Match::default();
    let (src_mask, dst_mask) =
        (prefix_mask(wildcards >> w10::NW_SRC_SHIFT), prefix_mask(wildcards >> w10::NW_DST_SHIFT));
    const DATA: u32 = w10::NW_TOS
        | w10::NW_PROTO
        | w10::TP_SRC
        | w10::TP_DST
        | w10::DL_SRC
        | w10::DL_DST
        | w10::DL_TYPE
        | w10::DL_VLAN
        | w10::DL_VLAN_PCP;
    if wildcards & DATA != DATA || src_mask != 0 || dst_mask != 0 {
        m.set_packet_type(0);
    }
    let mut set = |on: bool, place: flow::Slot, value: u128, mask: u128| {
        if on && mask != 0 {
            m.key.write(place, value & mask);
            m.mask.set_bits(place, mask);
        }
    };
    set(has(w10::IN_PORT), slot::IN_PORT, u128::from(OfPort::from_u16(in_port).0), slot::IN_PORT.ones());
    set(has(w10::DL_SRC), slot::DL_SRC, u128::from(MacAddr(dl_src).to_u64()), slot::DL_SRC.ones());
    set(has(w10::DL_DST), slot::DL_DST, u128::from(MacAddr(dl_dst).to_u64()), slot::DL_DST.ones());
    set(has(w10::DL_TYPE), slot::DL_TYPE, u128::from(dl_type), 0xffff);
    set(has(w10::NW_TOS), slot::NW_TOS, u128::from(tos), 0xfc);
    set(has(w10::NW_PROTO), slot::NW_PROTO, u128::from(proto), 0xff);
    set(true, slot::NW_SRC, u128::from(nw_src), u128::from(src_mask));
    set(true, slot::NW_DST, u128::from(nw_dst), u128::from(dst_mask));
    set(has(w10::TP_SRC), slot::TP_SRC, u128::from(tp_src), 0xffff);
    set(has(w10::TP_DST), slot::TP_DST, u128::from(tp_dst), 0xffff);
    let mut tci_mask = 0;
    if has(w10::DL_VLAN_PCP) {
        tci_mask |= 0xe000 | VLAN_CFI;
    }
    if has(w10::DL_VLAN) {
        tci_mask |= 0xfff | VLAN_CFI;
    }
    let tci = dl_vlan & 0xfff | u16::from(pcp & 7) << 13 | VLAN_CFI;
    if has(w10::DL_VLAN) && dl_vlan == 0xffff {
        set(true, slot::VLAN0_TCI, 0, 0xffff);
    } else {
        set(true, slot::VLAN0_TCI, u128::from(tci), u128::from(tci_mask));
    }
    Ok((m, wildcards != 0))
}

/// Appends an OpenFlow 1.0 match.
pub(crate) fn put10(out: &mut Vec<u8>, m: &Match) {
    let (key, mask) = (&m.key, &m.mask);
    let none = |place: flow::Slot| mask.bits(place) == 0;
    let mut wildcards = 0;
    let bits = [
        (slot::IN_PORT, w10::IN_PORT),
        (slot::DL_TYPE, w10::DL_TYPE),
        (slot::NW_PROTO, w10::NW_PROTO),
        (slot::TP_SRC, w10::TP_SRC),
        (slot::TP_DST, w10::TP_DST),
        (slot::DL_SRC, w10::DL_SRC),
        (slot::DL_DST, w10::DL_DST),
    ];
    for (place, bit) in bits {
        if none(place) {
            wildcards |= bit;
        }
    }
    if mask.bits(slot::NW_TOS) & 0xfc == 0 {
        wildcards |= w10::NW_TOS;
    }
    let wild_bits = |place| 32 - (mask.bits(place) as u32).leading_ones();
    wildcards |= wild_bits(slot::NW_SRC) << w10::NW_SRC_SHIFT | wild_bits(slot::NW_DST) << w10::NW_DST_SHIFT;
    let (tci, tci_mask) = (key.vlan0_tci(), mask.bits(slot::VLAN0_TCI) as u16);
    let (mut vlan, mut pcp) = (0, 0);
    if tci_mask == 0 {
        wildcards |= w10::DL_VLAN | w10::DL_VLAN_PCP;
    } else if tci_mask & VLAN_CFI != 0 && tci & VLAN_CFI == 0 {
        vlan = 0xffff;
    } else {
        if tci_mask & 0xfff == 0 {
            wildcards |= w10::DL_VLAN
        } else {
            vlan = tci & 0xfff
        }
        if tci_mask & 0xe000 == 0 { wildcards |= w10::DL_VLAN_PCP } else { pcp = (tci >> 13) as u8 }
    }
    out.put_u32(wildcards);
    out.put_u16(key.in_port() as u16);
    out.extend_from_slice(&key.dl_src().0);
    out.extend_from_slice(&key.dl_dst().0);
    out.put_u16(vlan);
    out.put_u8(pcp);
    out.put_u8(0);
    out.put_u16(key.dl_type());
    out.put_u8(key.nw_tos() & 0xfc);
    out.put_u8(key.nw_proto());
    out.put_u16(0);
    out.put_u32(key.nw_src());
    out.put_u32(key.nw_dst());
    out.put_u16(key.tp_src());
    out.put_u16(key.tp_dst());
}

mod w11 {
    pub(super) const IN_PORT: u32 = 1;
    pub(super) const DL_VLAN: u32 = 1 << 1;
    pub(super) const DL_VLAN_PCP: u32 = 1 << 2;
    pub(super) const DL_TYPE: u32 = 1 << 3;
    pub(super) const NW_TOS: u32 = 1 << 4;
    pub(super) const NW_PROTO: u32 = 1 << 5;
    pub(super) const TP_SRC: u32 = 1 << 6;
    pub(super) const TP_DST: u32 = 1 << 7;
    pub(super) const MPLS_LABEL: u32 = 1 << 8;
    pub(super) const MPLS_TC: u32 = 1 << 9;
}

/// Reads an OpenFlow 1.1 match, standard or OXM.
pub(crate) fn pull11(r: &mut Reader<'_>, rules: Rules) -> Result<Match, OfError> {
    let mut m = Match::default();
    pull11_into(r, rules, &mut m)?;
    Ok(m)
}

/// The same into a match of all packets, which is long to be moved.
pub(crate) fn pull11_into(r: &mut Reader<'_>, rules: Rules, m: &mut Match) -> Result<(), OfError> {
    let mut head = Reader::new(r.rest());
    let (Ok(kind), Ok(len)) = (head.u16(), head.u16()) else { return Err(OfError::OfpbmcBadLen) };
    match kind {
        0 if len == 88 => {
            let mut body = Reader::new(r.take(88).map_err(|_| OfError::OfpbmcBadLen)?);
            body.skip(4)?;
            *m = from11(&mut body)?;
            Ok(())
        }
        0 => Err(OfError::OfpbmcBadLen),
        1 => oxm::pull_oxm_match_into(r, rules, m),
        _ => Err(OfError::OfpbmcBadType),
    }
}

// house: long because it follows one fixed structure field by field, and what later fields mean hangs on earlier ones.
fn from11(r: &mut Reader<'_>) -> Result<Match, OfError> {
    let bad = |_| OfError::OfpbmcBadValue;
    let (in_port, wildcards) = (r.u32()?, r.u32()?);
    let mac = |r: &mut Reader<'_>| r.array().map(|b| u128::from(MacAddr(b).to_u64()));
    let (src, src_wild, dst, dst_wild) = (mac(r)?, mac(r)?, mac(r)?, mac(r)?);
    let (vlan, pcp, _) = (r.u16()?, r.u8()?, r.u8()?);
    let (dl_type, tos, proto) = (r.u16()?, r.u8()?, r.u8()?);
    let (nw_src, nw_src_wild, nw_dst, nw_dst_wild) = (r.u32()?, r.u32()?, r.u32()?, r.u32()?);
    let (tp_src, tp_dst) = (r.u16()?, r.u16()?);
    let (label, tc) = (r.u32()?, r.u8()?);
    r.skip(3)?;
    let (metadata, metadata_wild) = (r.u64()?, r.u64()?);
    let has = |bit: u32| wildcards & bit == 0;
    let mut m = Match::default();
    let set = |m: &mut Match, place: flow::Slot, value: u128, mask: u128| {
        m.key.write(place, value & mask);
        m.mask.set_bits(place, mask);
    };
    if has(w11::IN_PORT) {
        m.set_in_port(crate::action::port_from_of11(in_port).map_err(bad)?);
    }
    let mac_ones = slot::DL_SRC.ones();
    if src_wild != mac_ones || dst_wild != mac_ones {
        set(&mut m, slot::DL_SRC, src, !src_wild & mac_ones);
        set(&mut m, slot::DL_DST, dst, !dst_wild & mac_ones);
        m.set_default_packet_type();
    }
    if has(w11::DL_VLAN) {
        match vlan {
            0xffff => set(&mut m, slot::VLAN0_TCI, 0, 0xffff),
            _ => {
                match vlan {
                    0xfffe => set(&mut m, slot::VLAN0_TCI, u128::from(VLAN_CFI), u128::from(VLAN_CFI)),
                    0..4096 => set(&mut m, slot::VLAN0_TCI, u128::from(VLAN_CFI | vlan), 0x1fff),
                    _ => return Err(OfError::OfpbmcBadValue),
                }
                if has(w11::DL_VLAN_PCP) {
                    if pcp > 7 {
                        return Err(OfError::OfpbmcBadValue);
                    }
                    m.set_dl_vlan_pcp(0, pcp);
                }
            }
        }
        m.set_default_packet_type();
    }
    if has(w11::DL_TYPE) {
        m.set_dl_type(dl_type);
        m.set_default_packet_type();
    }
    let ipv4 = m.key.dl_type() == 0x0800;
    let arp = matches!(m.key.dl_type(), 0x0806 | 0x8035);
    if ipv4 && has(w11::NW_TOS) {
        if tos & 3 != 0 {
            return Err(OfError::OfpbmcBadValue);
        }
        set(&mut m, slot::NW_TOS, u128::from(tos), 0xfc);
    }
    if ipv4 || arp {
        if has(w11::NW_PROTO) {
            m.set_nw_proto(proto);
        }
        set(&mut m, slot::NW_SRC, u128::from(nw_src), u128::from(!nw_src_wild));
        set(&mut m, slot::NW_DST, u128::from(nw_dst), u128::from(!nw_dst_wild));
    }
    if ipv4 && (has(w11::TP_SRC) || has(w11::TP_DST)) {
        match m.key.nw_proto() {
            1 | 6 | 17 | 132 => {
                let icmp = m.key.nw_proto() == 1;
                for (on, place, value) in
                    [(has(w11::TP_SRC), slot::TP_SRC, tp_src), (has(w11::TP_DST), slot::TP_DST, tp_dst)]
                {
                    if on {
                        if icmp && value > 0xff {
                            return Err(OfError::OfpbmcBadField);
                        }
                        set(&mut m, place, u128::from(value), 0xffff);
                    }
                }
            }
            // Ports of a protocol without ports are ignored (OpenFlow 1.1, A.2.3).
            _ => {}
        }
    }
    if matches!(m.key.dl_type(), 0x8847 | 0x8848) {
        let mut lse = |on: bool, value: u32, mask: u32| {
            if on {
                m.key.write_masked(slot::MPLS0, u128::from(value), u128::from(mask));
                m.mask.add(slot::MPLS0, u128::from(mask));
            }
        };
        lse(has(w11::MPLS_LABEL), label << 12, 0xffff_f000);
        lse(has(w11::MPLS_TC), u32::from(tc & 7) << 9, 0xe00);
    }
    set(&mut m, slot::METADATA, u128::from(metadata), u128::from(!metadata_wild));
    Ok(m)
}

/// Appends an OpenFlow 1.1 standard match.
fn put11(out: &mut Vec<u8>, m: &Match) {
    let (key, mask) = (&m.key, &m.mask);
    let mut wildcards = 0;
    let mut has = |on: bool, bit: u32| {
        if !on {
            wildcards |= bit;
        }
        on
    };
    let in_port = if has(mask.bits(slot::IN_PORT) != 0, w11::IN_PORT) { key.in_port() } else { 0 };
    let (tci, tci_mask) = (key.vlan0_tci(), mask.bits(slot::VLAN0_TCI) as u16);
    let (mut vlan, mut pcp) = (0, 0);
    if tci_mask == 0 {
        has(false, w11::DL_VLAN | w11::DL_VLAN_PCP);
    } else if tci_mask & VLAN_CFI != 0 && tci & VLAN_CFI == 0 {
        vlan = 0xffff;
        has(false, w11::DL_VLAN_PCP);
    } else {
        vlan = if tci_mask & 0xfff == 0 { 0xfffe } else { tci & 0xfff };
        if has(tci_mask & 0xe000 != 0, w11::DL_VLAN_PCP) {
            pcp = (tci >> 13) as u8;
        }
    }
    let dl_type = if has(mask.bits(slot::DL_TYPE) != 0, w11::DL_TYPE) { key.dl_type() } else { 0 };
    let tos = if has(mask.bits(slot::NW_TOS) & 0xfc != 0, w11::NW_TOS) { key.nw_tos() & 0xfc } else { 0 };
    let proto = if has(mask.bits(slot::NW_PROTO) != 0, w11::NW_PROTO) { key.nw_proto() } else { 0 };
    let tp_src = if has(mask.bits(slot::TP_SRC) != 0, w11::TP_SRC) { key.tp_src() } else { 0 };
    let tp_dst = if has(mask.bits(slot::TP_DST) != 0, w11::TP_DST) { key.tp_dst() } else { 0 };
    let (lse, lse_mask) = (key.mpls0(), mask.bits(slot::MPLS0) as u32);
    let label = if has(lse_mask & 0xffff_f000 != 0, w11::MPLS_LABEL) { lse >> 12 } else { 0 };
    let tc = if has(lse_mask & 0xe00 != 0, w11::MPLS_TC) { (lse >> 9 & 7) as u8 } else { 0 };
    out.put_u16(0);
    out.put_u16(88);
    out.put_u32(in_port);
    out.put_u32(wildcards);
    for place in [slot::DL_SRC, slot::DL_DST] {
        out.put_wide(key.read(place), 6);
        out.put_wide(!mask.bits(place), 6);
    }
    out.put_u16(vlan);
    out.put_u8(pcp);
    out.put_u8(0);
    out.put_u16(dl_type);
    out.put_u8(tos);
    out.put_u8(proto);
    for place in [slot::NW_SRC, slot::NW_DST] {
        out.put_u32(key.read(place) as u32);
        out.put_u32(!(mask.bits(place) as u32));
    }
    out.put_u16(tp_src);
    out.put_u16(tp_dst);
    out.put_u32(label);
    out.put_u8(tc);
    out.put_zeros(3);
    out.put_u64(key.metadata());
    out.put_u64(!(mask.bits(slot::METADATA) as u64));
}

/// Appends the match as OpenFlow 1.1 and later have it.
pub(crate) fn put_match(out: &mut Vec<u8>, m: &Match, version: Version) {
    if version == Version::Of11 {
        put11(out, m);
    } else {
        oxm::put_oxm_match(out, m, version);
    }
}

/// Whether the match asks for conntrack addresses of another IP version than its own.
pub(crate) fn has_ct_mismatch(m: &Match) -> bool {
    let asks = |place| m.mask.bits(place) != 0;
    let dl_type = effective_dl_type(&m.key);
    ((asks(slot::CT_NW_SRC) || asks(slot::CT_NW_DST)) && dl_type != 0x0800)
        || ((asks(slot::CT_IPV6_SRC) || asks(slot::CT_IPV6_DST)) && dl_type != 0x86dd)
}
