//! What a packet carries of its connection.

use flow::ct_state::{INVALID, TRACKED};
use flow::{CtKey, slot};

use crate::key::{Address, Endpoint, Key, answering_type};

/// What is known of a packet's connection: the packet's `ct` fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Metadata {
    /// Bits of [`flow::ct_state`].
    pub state: u32,
    /// The zone that it was tracked in.
    pub zone: u16,
    /// The connection's mark.
    pub mark: u32,
    /// The connection's label.
    pub label: u128,
    /// As the connection's first packet named it, or the connection's that announced this one.
    pub original: Option<Key>,
}

impl From<&CtKey> for Metadata {
    fn from(ct: &CtKey) -> Metadata {
        let (v6_src, v6_dst) = (ct.read(slot::CT_IPV6_SRC), ct.read(slot::CT_IPV6_DST));
        let is_v6 = v6_src != 0 || v6_dst != 0;
        let protocol = ct.read(slot::CT_NW_PROTO) as u8;
        let zone = ct.read(slot::CT_ZONE) as u16;
        let (src, dst) = if is_v6 {
            (Address::v6(v6_src), Address::v6(v6_dst))
        } else {
            (Address::v4(ct.read(slot::CT_NW_SRC) as u32), Address::v4(ct.read(slot::CT_NW_DST) as u32))
        };
        let end = |address| Endpoint { address, ..Endpoint::default() };
        let mut key = Key { src: end(src), dst: end(dst), zone, protocol, is_v6 };
        let (low, high) = (ct.read(slot::CT_TP_SRC) as u16, ct.read(slot::CT_TP_DST) as u16);
        if key.is_icmp() {
            key.src.icmp_type = low as u8;
            key.dst.icmp_type = answering_type(is_v6, low as u8).unwrap_or_default();
        } else {
            (key.src.port, key.dst.port) = (low, high);
        }
        Metadata {
            state: ct.read(slot::CT_STATE) as u32,
            zone,
            mark: ct.read(slot::CT_MARK) as u32,
            label: ct.read(slot::CT_LABEL),
            original: (protocol != 0).then_some(key),
        }
    }
}

impl Metadata {
    /// Of a packet that belongs to no connection.
    pub fn invalid(zone: u16) -> Metadata {
        Metadata { state: TRACKED | INVALID, zone, ..Metadata::default() }
    }

    /// Writes all of it.
    pub fn write_to(&self, ct: &mut CtKey) {
        *ct = CtKey::default();
        ct.write(slot::CT_STATE, self.state.into());
        ct.write(slot::CT_ZONE, self.zone.into());
        ct.write(slot::CT_MARK, self.mark.into());
        ct.write(slot::CT_LABEL, self.label);
        let Some(key) = &self.original else { return };
        ct.write(slot::CT_NW_PROTO, key.protocol.into());
        let (src, dst) = (key.src.address.number(), key.dst.address.number());
        if key.is_v6 {
            ct.write(slot::CT_IPV6_SRC, src);
            ct.write(slot::CT_IPV6_DST, dst);
        } else {
            ct.write(slot::CT_NW_SRC, src);
            ct.write(slot::CT_NW_DST, dst);
        }
        let (low, high) =
            if key.is_icmp() { (u16::from(key.src.icmp_type), 0) } else { (key.src.port, key.dst.port) };
        ct.write(slot::CT_TP_SRC, low.into());
        ct.write(slot::CT_TP_DST, high.into());
    }
}
