//! `encap` and `decap`: what a packet begins with changes, and with it the packet's type.
//!
//! Here only the key changes; the header is put on, or taken off, with the next commit ([`Pending`]), when it is known what
//! rules wrote into it.

use flow::slot;
use ofp::{Encap, EncapProperty, PacketInReason};
use wire::{ethernet, nsh};

use super::Next;
use crate::commit::{ETHER_TYPES, TYPE_MPLS, TYPE_MPLS_MULTICAST, TYPE_NSH, commit, is_mpls};
use crate::context::{Context, PacketState, Pending};
use crate::request::Error;

/// The packet type of IPv4 and of IPv6 without an Ethernet header.
const TYPE_IPV4: u32 = ETHER_TYPES | ethernet::TYPE_IPV4 as u32;
const TYPE_IPV6: u32 = ETHER_TYPES | ethernet::TYPE_IPV6 as u32;
/// The TTL and the service index of a new network service header.
const NSH_TTL: u8 = 63;
const NSH_INDEX: u8 = 255;

impl Context<'_> {
    pub(super) fn encap(&mut self, encap: &Encap) {
        commit(&mut self.packet, &mut self.out);
        match encap.packet_type {
            TYPE_NSH => self.encap_nsh(encap),
            TYPE_MPLS | TYPE_MPLS_MULTICAST => self.encap_mpls(encap.packet_type),
            _ => self.encap_ethernet(),
        }
    }

    fn encap_ethernet(&mut self) {
        let packet_type = self.packet.key.packet_type();
        if packet_type & !0xffff != ETHER_TYPES {
            let text = "Dropping packet as encap(ethernet) is not supported for packet type ethernet.";
            return self.unsupported(|| text.to_owned());
        }
        self.packet.begin_with_ethernet();
    }

    fn encap_nsh(&mut self, encap: &Encap) {
        let packet_type = self.packet.key.packet_type();
        let next = match packet_type {
            0 => nsh::NEXT_ETHERNET,
            TYPE_IPV4 => nsh::NEXT_IPV4,
            TYPE_IPV6 => nsh::NEXT_IPV6,
            TYPE_NSH => nsh::NEXT_NSH,
            _ => {
                return self.unsupported(|| {
                    let (space, kind) = (packet_type >> 16, packet_type & 0xffff);
                    format!(
                        "Dropping packet as encap(nsh) is not supported for packet type ({space},{kind:#x})"
                    )
                });
            }
        };
        let (md_type, metadata) = metadata(&encap.properties);
        let key = &mut self.packet.key;
        for word in &mut key.core_mut()[flow::STAGES[1]..] {
            *word = 0;
        }
        key.set_packet_type(TYPE_NSH);
        key.set_dl_type(ethernet::TYPE_NSH);
        key.set_nsh_ttl(NSH_TTL);
        key.set_nsh_np(next);
        key.set_nsh_si(NSH_INDEX);
        key.set_nsh_mdtype(md_type);
        self.packet.was_mpls = false;
        self.packet.pending = Some(Pending::Nsh(metadata));
    }

    fn encap_mpls(&mut self, packet_type: u32) {
        let most = self.walk.max_mpls();
        let mut count = self.packet.mpls_count(&mut self.out.mask, most);
        if count >= most {
            return self.too_many_labels("an encap MPLS action", "would have");
        }
        if self.packet.key.packet_type() == 0 {
            // Labels under an Ethernet header are the payload's own.
            count = 0;
        }
        if count == 0 {
            let entry = self.packet.outer_label();
            self.packet.begin_stack(entry);
            for index in 1..flow::MAX_MPLS {
                self.packet.key.write(flow::Slot::mpls(index), 0);
            }
            self.packet.key.set_dl_type(packet_type as u16);
        } else {
            self.push_label(count, packet_type as u16);
        }
        let key = &mut self.packet.key;
        key.set_packet_type(packet_type);
        key.set_dl_src(base::MacAddr::ZERO);
        key.set_dl_dst(base::MacAddr::ZERO);
        self.packet.pending = Some(Pending::Mpls { below: count });
    }

    /// `new_type` is what the packet begins with then, where its header does not say it.
    pub(super) fn decap(&mut self, new_type: u32) -> Next {
        commit(&mut self.packet, &mut self.out);
        match self.packet.key.packet_type() {
            0 => self.decap_ethernet(),
            TYPE_NSH => return self.decap_nsh(),
            TYPE_MPLS | TYPE_MPLS_MULTICAST => return self.decap_mpls(new_type),
            other => self.unsupported(|| {
                let (space, kind) = (other >> 16, other & 0xffff);
                format!("Dropping packet as the decap() does not support packet type ({space},{kind:#x})")
            }),
        }
        Next::Go
    }

    fn decap_ethernet(&mut self) {
        self.out.mask.add(slot::VLAN0_TCI, flow::VLAN_CFI.into());
        self.out.mask.add_all(slot::DL_TYPE);
        if self.packet.key.vlan_count() > 0 {
            let text = "Dropping packet, cannot decap Ethernet if VLAN is present.";
            return self.unsupported(|| text.to_owned());
        }
        let key = &mut self.packet.key;
        key.set_packet_type(ETHER_TYPES | u32::from(key.dl_type()));
        key.set_dl_src(base::MacAddr::ZERO);
        key.set_dl_dst(base::MacAddr::ZERO);
    }

    fn decap_nsh(&mut self) -> Next {
        self.out.mask.add_all(slot::NSH_NP);
        let inner = match self.packet.key.nsh_np() {
            nsh::NEXT_ETHERNET => 0,
            nsh::NEXT_IPV4 => TYPE_IPV4,
            nsh::NEXT_IPV6 => TYPE_IPV6,
            nsh::NEXT_NSH => TYPE_NSH,
            other => {
                self.unsupported(|| format!("Dropping packet as NSH next protocol {other} is not supported"));
                return Next::Go;
            }
        };
        self.packet.key.set_packet_type(inner);
        self.packet.pending = Some(Pending::Decap);
        // What is inside is known when the packet comes back.
        self.begin_freezing();
        Next::Behind
    }

    fn decap_mpls(&mut self, new_type: u32) -> Next {
        let count = self.packet.mpls_count(&mut self.out.mask, self.walk.max_mpls());
        let ether_type = match new_type as u16 {
            0 => ethernet::TYPE_TEB,
            ether_type => ether_type,
        };
        self.pop_label(ether_type, "an MPLS decap");
        if self.out.error.is_some() {
            return Next::Go;
        }
        self.packet.key.set_packet_type(new_type);
        self.packet.pending = Some(Pending::Decap);
        if count != 1 && is_mpls(ether_type) {
            return Next::Go;
        }
        self.begin_freezing();
        Next::Behind
    }

    pub(super) fn decrement_nsh_ttl(&mut self) -> Next {
        if self.packet.key.dl_type() == ethernet::TYPE_NSH {
            self.out.mask.add_all(slot::NSH_TTL);
            let ttl = self.packet.key.nsh_ttl();
            if ttl > 1 {
                self.packet.key.set_nsh_ttl(ttl - 1);
                return Next::Go;
            }
            self.send_to_controller(u16::MAX, PacketInReason::InvalidTtl, 0, &[], 0);
        }
        self.warning(|| "NSH decrement TTL exception".to_owned());
        Next::Leave
    }

    fn unsupported(&mut self, text: impl FnOnce() -> String) {
        self.detail(text);
        self.out.error = Some(Error::UnsupportedPacketType);
    }
}

impl PacketState {
    /// A packet without an Ethernet header is one with one of zeros, which is still to be put on.
    pub(crate) fn begin_with_ethernet(&mut self) {
        let ether_type = self.key.packet_type() as u16;
        self.key.set_packet_type(0);
        self.key.set_dl_src(base::MacAddr::ZERO);
        self.key.set_dl_dst(base::MacAddr::ZERO);
        self.key.set_dl_type(ether_type);
        self.pending = Some(Pending::Ethernet);
    }
}

/// The type of the metadata that a header gets, and the metadata if it is of variable length (RFC 8300 §2.5.1).
fn metadata(properties: &[EncapProperty]) -> (u8, Box<[u8]>) {
    let (mut md_type, mut bytes) = (nsh::MD_TYPE_1, Vec::new());
    for property in properties {
        match property {
            EncapProperty::NshMdType(asked) => md_type = *asked,
            EncapProperty::NshTlv { class, kind, data } => {
                bytes.extend(class.to_be_bytes());
                bytes.extend([*kind, data.len() as u8]);
                bytes.extend(data);
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
        }
    }
    if md_type == nsh::MD_TYPE_1 || bytes.len() > nsh::MAX_METADATA_LEN {
        bytes.clear();
    }
    (md_type, bytes.into())
}
