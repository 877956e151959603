//! The fixed match of OpenFlow 1.0 field by field, as its bytes have it: what
//! `ovs-ofctl -mmm` shows, wildcards as `*`.

use std::fmt::{self, Write};
use std::net::Ipv4Addr;

use base::{MacAddr, OfPort};
use fields::PortNames;

use crate::OfError;
use crate::codec::legacy::w10;
use crate::wire::Reader;

struct Fields<'a> {
    out: &'a mut String,
    wildcards: u32,
}

impl Fields<'_> {
    /// `name=value,`, or `name=*,` when `bit` is among the wildcards.
    fn put(&mut self, name: &str, bit: u32, value: fmt::Arguments<'_>) {
        let _ = match self.wildcards & bit {
            0 => write!(self.out, "{name}={value},"),
            _ => write!(self.out, "{name}=*,"),
        };
    }

    fn put_address(&mut self, name: &str, shift: u32, address: u32) {
        let address = Ipv4Addr::from(address);
        let _ = match self.wildcards >> shift & 0x3f {
            0 => write!(self.out, "{name}={address},"),
            wild @ 1..32 => write!(self.out, "{name}={address}/{},", 32 - wild),
            _ => write!(self.out, "{name}=*,"),
        };
    }
}

/// The word that stands for a type and protocol, and whether it says the protocol too.
fn short_form(dl_type: u16, protocol: Option<u8>) -> Option<(&'static str, bool)> {
    Some(match (dl_type, protocol) {
        (0x0800, Some(1)) => ("icmp", true),
        (0x0800, Some(6)) => ("tcp", true),
        (0x0800, Some(17)) => ("udp", true),
        (0x0800, Some(132)) => ("sctp", true),
        (0x0800, _) => ("ip", false),
        (0x0806, _) => ("arp", false),
        (0x8035, _) => ("rarp", false),
        (0x8847, _) => ("mpls", false),
        (0x8848, _) => ("mplsm", false),
        _ => return None,
    })
}

/// Appends the match that `bytes` begin with.
pub(super) fn put_match10(out: &mut String, bytes: &[u8], ports: Option<&PortNames>) -> Result<(), OfError> {
    let mut r = Reader::new(bytes);
    let wildcards = r.u32()?;
    let in_port = OfPort::from_u16(r.u16()?);
    let (dl_src, dl_dst) = (MacAddr(r.array()?), MacAddr(r.array()?));
    let (dl_vlan, pcp, _) = (r.u16()?, r.u8()?, r.u8()?);
    let (dl_type, tos, proto, _) = (r.u16()?, r.u8()?, r.u8()?, r.u16()?);
    let (nw_src, nw_dst, tp_src, tp_dst) = (r.u32()?, r.u32()?, r.u16()?, r.u16()?);

    let has = |bit: u32| wildcards & bit == 0;
    let short = short_form(dl_type, has(w10::NW_PROTO).then_some(proto)).filter(|_| has(w10::DL_TYPE));
    if let Some((word, _)) = short {
        let _ = write!(out, "{word},");
    }
    let mut port = String::new();
    fields::format_port(&mut port, in_port, ports);
    let mut all = Fields { out, wildcards };
    all.put("in_port", w10::IN_PORT, format_args!("{port}"));
    all.put("dl_vlan", w10::DL_VLAN, format_args!("{dl_vlan}"));
    all.put("dl_vlan_pcp", w10::DL_VLAN_PCP, format_args!("{pcp}"));
    all.put("dl_src", w10::DL_SRC, format_args!("{dl_src}"));
    all.put("dl_dst", w10::DL_DST, format_args!("{dl_dst}"));
    if short.is_none() {
        all.put("dl_type", w10::DL_TYPE, format_args!("0x{dl_type:04x}"));
    }
    all.put_address("nw_src", w10::NW_SRC_SHIFT, nw_src);
    all.put_address("nw_dst", w10::NW_DST_SHIFT, nw_dst);
    if !short.is_some_and(|(_, with_protocol)| with_protocol) {
        let name = if matches!(dl_type, 0x0806 | 0x8035) { "arp_op" } else { "nw_proto" };
        all.put(name, w10::NW_PROTO, format_args!("{proto}"));
    }
    all.put("nw_tos", w10::NW_TOS, format_args!("{tos}"));
    let (source, destination) = if proto == 1 { ("icmp_type", "icmp_code") } else { ("tp_src", "tp_dst") };
    all.put(source, w10::TP_SRC, format_args!("{tp_src}"));
    all.put(destination, w10::TP_DST, format_args!("{tp_dst}"));
    if all.out.ends_with(',') {
        all.out.pop();
    }
    Ok(())
}
