//! From a packet's bytes and metadata to its key.
//!
//! Never fails: what is cut off or malformed is absent from the key, from the
//! first wrong header on. The datapath's workers call [`PacketKey::refill`]
//! per packet; everybody else calls [`extract`].
//!
//! What each header gives follows the reference (`ovs-fields(7)`): a frame
//! with a length has [`crate::DL_TYPE_NONE`] unless SNAP gives a type;
//! fragments but the first have no L4; padding behind IP is no L4 payload.

use wire::bytes::{be16, be32, be48, be64, byte};
use wire::{ethernet, icmp, ipv4, ipv6, mpls, nsh, protocol, sctp, tcp, udp};

use crate::metadata::TUNNEL_RANGE;
use crate::{DL_TYPE_NONE, FlowKey, Metadata, Slot, VLAN_CFI, WORDS, frag, slot};

/// Where a packet's layers begin, as far as it has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Layers {
    /// Behind the Ethernet header and its tags: MPLS, or L3 when there is none.
    pub l2_5: u16,
    /// Where IPv4, IPv6, ARP, NSH or whatever follows L2 begins, in bytes from the start of the packet.
    pub l3: u16,
    /// Zero when there is no L4.
    pub l4: u16,
}

/// The key of a packet; `max_vlans` tags are read, at most [`crate::MAX_VLANS`].
pub fn extract(metadata: &Metadata, bytes: &[u8], max_vlans: usize) -> FlowKey {
    let mut key = PacketKey::new();
    key.refill(metadata, bytes, max_vlans);
    key.key
}

/// A key that knows which of its words are not zero, to be filled again and again.
///
/// The words of the extension are known by being there.
#[derive(Clone, Debug)]
pub struct PacketKey {
    key: FlowKey,
    map: u64,
    layers: Layers,
}

impl Default for PacketKey {
    fn default() -> Self {
        PacketKey::new()
    }
}

impl PacketKey {
    /// The key of nothing.
    pub fn new() -> PacketKey {
        PacketKey { key: FlowKey::new(), map: 0, layers: Layers::default() }
    }

    /// The key of the packet that it was last filled from.
    pub fn key(&self) -> &FlowKey {
        &self.key
    }

    /// Bit `i` is set when word `i` is not zero, for the words that every key has.
    #[inline]
    pub fn map(&self) -> u64 {
        self.map
    }

    /// Where the layers of that packet begin.
    pub fn layers(&self) -> Layers {
        self.layers
    }

    /// A hash of the whole key.
    #[inline]
    pub fn hash(&self) -> u64 {
        let words = self.key.core();
        let mut map = self.map;
        let mut hash = map;
        while map != 0 {
            let word = words[map.trailing_zeros() as usize % WORDS];
            hash = mix(hash, word);
            map &= map - 1;
        }
        if self.key.has_extension() {
            hash = self.far_hash(hash);
        }
        hash ^ hash >> 32
    }

    /// Adds the words of the extension to a hash.
    #[cold]
    fn far_hash(&self, hash: u64) -> u64 {
        let far = self.key.present().take_while(|&(index, _)| index >= WORDS);
        far.fold(hash, |hash, (index, word)| mix(mix(hash, index as u64), word))
    }

    /// Replaces the key by that of another packet.
    #[inline]
    pub fn refill(&mut self, metadata: &Metadata, bytes: &[u8], max_vlans: usize) {
        self.key.words.clear_extension();
        let words = self.key.core_mut();
        let mut old = self.map;
        while old != 0 {
            words[old.trailing_zeros() as usize % WORDS] = 0;
            old &= old - 1;
        }
        self.map = 0;
        self.layers = Layers::default();
        self.metadata(metadata);
        if metadata.packet_type == 0 {
            self.ethernet(bytes, max_vlans, metadata);
        } else {
            // The low half is the EtherType when the name space is 1.
            self.after_l2(bytes, 0, metadata.packet_type as u16, metadata);
        }
    }

    #[inline]
    fn put(&mut self, word: u8, value: u64) {
        let index = usize::from(word) % WORDS;
        self.key.core_mut()[index] = value;
        self.map |= u64::from(value != 0) << index;
    }

    #[inline]
    fn metadata(&mut self, md: &Metadata) {
        self.put(slot::RECIRC_ID.word, u64::from(md.recirc_id) << 32 | u64::from(md.dp_hash));
        self.put(slot::IN_PORT.word, u64::from(md.in_port.0) << 32 | u64::from(md.skb_priority));
        self.put(slot::PKT_MARK.word, u64::from(md.pkt_mark) << 32 | u64::from(md.packet_type));
        if let Some(tunnel) = &md.tunnel {
            tunnel.write_to(&mut self.key);
            self.map_words(TUNNEL_RANGE);
            self.map_slots(&[slot::TUN_PRESENT_HIGH]);
        }
        if let Some(ct) = &md.ct {
            self.conntrack(ct);
        }
    }

    /// State, zone, mark and label; the original tuple follows with the headers that it goes with.
    fn conntrack(&mut self, ct: &crate::CtKey) {
        let ct = ct.to_key();
        self.key.set_ct_state(ct.ct_state());
        self.key.set_ct_zone(ct.ct_zone());
        self.key.set_ct_mark(ct.ct_mark());
        self.key.set_ct_label(ct.ct_label());
        self.map_slots(&[slot::CT_STATE, slot::CT_LABEL]);
    }

    fn map_words(&mut self, range: std::ops::Range<usize>) {
        for index in range {
            self.map |= u64::from(self.key.core()[index] != 0) << index;
        }
    }

    /// Notes which words of these slots are not zero.
    fn map_slots(&mut self, slots: &[Slot]) {
        for place in slots {
            let first = usize::from(place.word);
            self.map_words(first..first + if place.bits == 128 { 2 } else { 1 });
        }
    }

    #[inline]
    fn ethernet(&mut self, bytes: &[u8], max_vlans: usize, md: &Metadata) {
        if bytes.len() < ethernet::HEADER_LEN {
            return;
        }
        let mut at = 12;
        let mut dl_type = be16(bytes, at);
        if ethernet::is_vlan(dl_type) {
            let mut tags = 0u64;
            for index in 0..max_vlans.min(crate::MAX_VLANS) {
                // A tag and the type behind it, or it is no tag.
                if !ethernet::is_vlan(dl_type) || bytes.len() < at + 6 {
                    break;
                }
                let tci = be16(bytes, at + 2) | VLAN_CFI;
                tags |= (u64::from(dl_type) << 16 | u64::from(tci)) << (32 * (1 - index));
                at += 4;
                dl_type = be16(bytes, at);
            }
            self.put(slot::VLAN0_TCI.word, tags);
        }
        at += 2;
        if dl_type < ethernet::TYPE_MIN {
            dl_type = match ethernet::snap_type(bytes.get(at..).unwrap_or(&[])) {
                Some(snap) => {
                    at += ethernet::LLC_SNAP_LEN;
                    if snap >= ethernet::TYPE_MIN { snap } else { DL_TYPE_NONE }
                }
                None => DL_TYPE_NONE,
            };
        }
        self.put(slot::DL_DST.word, be48(bytes, 0) << 16);
        self.put(slot::DL_SRC.word, be48(bytes, 6) << 16);
        self.after_l2(bytes, at, dl_type, md);
    }

    #[inline]
    fn after_l2(&mut self, bytes: &[u8], at: usize, dl_type: u16, md: &Metadata) {
        let word = self.key.core()[usize::from(slot::DL_TYPE.word)] | u64::from(dl_type);
        self.put(slot::DL_TYPE.word, word);
        self.layers = Layers { l2_5: at as u16, l3: at as u16, l4: 0 };
        let rest = bytes.get(at..).unwrap_or(&[]);
        match dl_type {
            ethernet::TYPE_IPV4 => self.ipv4(rest, md),
            ethernet::TYPE_IPV6 => self.ipv6(rest, md),
            ethernet::TYPE_ARP | ethernet::TYPE_RARP => self.arp(rest),
            ethernet::TYPE_MPLS | ethernet::TYPE_MPLS_MULTICAST => self.mpls(rest, at),
            ethernet::TYPE_NSH => self.nsh(rest),
            _ => {}
        }
    }

    #[inline]
    fn ipv4(&mut self, bytes: &[u8], md: &Metadata) {
        let Some(ip) = ipv4::Ipv4::parse(bytes) else { return };
        self.put(slot::NW_SRC.word, be64(bytes, 12));
        let fragment = ip.fragment_word();
        let mut nw_frag = 0;
        if fragment & (ipv4::MORE_FRAGMENTS | ipv4::FRAGMENT_OFFSET) != 0 {
            nw_frag = frag::ANY | if fragment & ipv4::FRAGMENT_OFFSET != 0 { frag::LATER } else { 0 };
        }
        let ct =
            md.ct.as_ref().map(|ct| ct.to_key()).filter(|ct| ct.ct_ipv6_src() == 0 && ct.ct_ipv6_dst() == 0);
        if let Some(ct) = &ct
            && ct.ct_nw_proto() != 0
        {
            self.key.set_ct_nw_proto(ct.ct_nw_proto());
            self.key.set_ct_nw_src(ct.ct_nw_src());
            self.key.set_ct_nw_dst(ct.ct_nw_dst());
            self.map_slots(&[slot::CT_NW_PROTO, slot::CT_NW_SRC]);
        }
        self.network(0, nw_frag, ip.tos(), ip.ttl(), ip.protocol());
        self.layers.l4 = self.layers.l3 + ip.header_len() as u16;
        self.transport(ip.protocol(), nw_frag, ip.payload(), ct.as_ref());
    }

    fn ipv6(&mut self, bytes: &[u8], md: &Metadata) {
        let Some(ip) = ipv6::Ipv6::parse(bytes) else { return };
        self.key.set_ipv6_src(ip.src());
        self.key.set_ipv6_dst(ip.dst());
        let base = usize::from(slot::IPV6_SRC.word);
        self.map_words(base..base + 4);
        let ct = md.ct.as_ref().map(|ct| ct.to_key()).filter(|ct| ct.ct_nw_src() == 0 && ct.ct_nw_dst() == 0);
        if let Some(ct) = &ct
            && ct.ct_nw_proto() != 0
        {
            self.key.set_ct_nw_proto(ct.ct_nw_proto());
            self.key.set_ct_ipv6_src(ct.ct_ipv6_src());
            self.key.set_ct_ipv6_dst(ct.ct_ipv6_dst());
            self.map_slots(&[slot::CT_NW_PROTO, slot::CT_IPV6_SRC, slot::CT_IPV6_DST]);
        }
        let Some(upper) = ipv6::upper(ip.next_header(), ip.payload()) else { return };
        let nw_frag = if upper.is_later_fragment {
            frag::ANY | frag::LATER
        } else if upper.is_fragment {
            frag::ANY
        } else {
            0
        };
        self.network(ip.label(), nw_frag, ip.traffic_class(), ip.hop_limit(), upper.protocol);
        let passed = ip.payload().len() - upper.payload.len();
        self.layers.l4 = self.layers.l3 + (ipv6::LEN + passed) as u16;
        self.transport(upper.protocol, nw_frag, upper.payload, ct.as_ref());
    }

    #[inline]
    fn network(&mut self, label: u32, nw_frag: u8, tos: u8, ttl: u8, proto: u8) {
        let low = u32::from_be_bytes([nw_frag, tos, ttl, proto]);
        self.put(slot::IPV6_LABEL.word, u64::from(label) << 32 | u64::from(low));
    }

    #[inline]
    fn transport(&mut self, proto: u8, nw_frag: u8, bytes: &[u8], ct: Option<&FlowKey>) {
        if nw_frag & frag::LATER != 0 {
            if let Some(ct) = ct
                && matches!(
                    ct.ct_nw_proto(),
                    protocol::TCP | protocol::UDP | protocol::SCTP | protocol::ICMP | protocol::ICMPV6
                )
            {
                self.ct_ports(ct);
            }
            return;
        }
        let mut has_ct_ports = true;
        match proto {
            protocol::TCP => {
                let Some(header) = tcp::Tcp::parse(bytes) else { return };
                self.ports(be32(bytes, 0), header.flags());
            }
            protocol::UDP if bytes.len() >= udp::LEN => self.ports(be32(bytes, 0), 0),
            protocol::SCTP if bytes.len() >= sctp::LEN => self.ports(be32(bytes, 0), 0),
            // The reference reads ICMP and IGMP by number under either version of IP.
            protocol::ICMP if bytes.len() >= icmp::LEN => self.kind_and_code(bytes, 0),
            protocol::IGMP if bytes.len() >= icmp::IGMP_LEN => {
                self.kind_and_code(bytes, 0);
                self.put(slot::IGMP_GROUP.word, u64::from(be32(bytes, 4)));
                has_ct_ports = false;
            }
            protocol::ICMPV6 if bytes.len() >= icmp::LEN => {
                let is_nd = byte(bytes, 1) == 0
                    && matches!(
                        byte(bytes, 0),
                        icmp::V6_NEIGHBOR_SOLICITATION | icmp::V6_NEIGHBOR_ADVERTISEMENT
                    );
                self.kind_and_code(bytes, 0);
                if is_nd {
                    self.neighbor_discovery(bytes);
                    has_ct_ports = false;
                }
            }
            _ => return,
        }
        if has_ct_ports && let Some(ct) = ct {
            self.ct_ports(ct);
        }
    }

    fn ct_ports(&mut self, ct: &FlowKey) {
        if ct.ct_nw_proto() != 0 {
            self.key.set_ct_tp_src(ct.ct_tp_src());
            self.key.set_ct_tp_dst(ct.ct_tp_dst());
            self.map_slots(&[slot::CT_TP_SRC]);
        }
    }

    #[inline]
    fn ports(&mut self, ports: u32, tcp_flags: u16) {
        self.put(slot::TP_SRC.word, u64::from(ports) << 32 | u64::from(tcp_flags) << 16);
    }

    fn kind_and_code(&mut self, bytes: &[u8], tcp_flags: u16) {
        self.ports(u32::from(byte(bytes, 0)) << 16 | u32::from(byte(bytes, 1)), tcp_flags);
    }

    fn neighbor_discovery(&mut self, bytes: &[u8]) {
        let Some(message) = icmp::Icmp::parse(bytes) else { return };
        let nd = icmp::NeighborDiscovery::parse(&message);
        self.key.set_nd_target(nd.target);
        self.key.set_arp_sha(nd.source_mac);
        self.key.set_arp_tha(nd.target_mac);
        self.key.set_nd_options_type(nd.option_type);
        self.key.set_nd_reserved(nd.reserved);
        let base = usize::from(slot::ND_TARGET.word);
        self.map_words(base..base + 4);
        self.map_words(usize::from(slot::ND_RESERVED.word)..usize::from(slot::ND_RESERVED.word) + 1);
    }

    fn arp(&mut self, bytes: &[u8]) {
        let Some(arp) = wire::arp::Arp::parse(bytes) else { return };
        self.put(slot::NW_SRC.word, u64::from(arp.sender_ip()) << 32 | u64::from(arp.target_ip()));
        if arp.op() <= 0xff {
            self.network(0, 0, 0, 0, arp.op() as u8);
        }
        self.put(slot::ARP_SHA.word, arp.sender_mac().to_u64() << 16);
        self.put(slot::ARP_THA.word, arp.target_mac().to_u64() << 16);
    }

    fn mpls(&mut self, bytes: &[u8], at: usize) {
        let mut count = 0;
        while bytes.len() >= (count + 1) * mpls::LEN {
            let entry = be32(bytes, count * mpls::LEN);
            if count < crate::MAX_MPLS {
                self.key.write(crate::Slot::mpls(count), u128::from(entry));
            }
            count += 1;
            if mpls::is_bottom(entry) {
                break;
            }
        }
        let base = usize::from(slot::MPLS0.word);
        self.map_words(base..base + 2);
        self.layers.l3 = (at + count * mpls::LEN) as u16;
    }

    fn nsh(&mut self, bytes: &[u8]) {
        let Some(header) = nsh::Nsh::parse(bytes) else { return };
        self.key.set_nsh_flags(header.flags());
        self.key.set_nsh_ttl(header.ttl());
        self.key.set_nsh_mdtype(header.md_type());
        self.key.set_nsh_np(header.next());
        self.key.set_nsh_spi(header.service_path());
        self.key.set_nsh_si(header.service_index());
        self.key.set_nsh_c1(header.context(0));
        self.key.set_nsh_c2(header.context(1));
        self.key.set_nsh_c3(header.context(2));
        self.key.set_nsh_c4(header.context(3));
        let base = usize::from(slot::NSH_FLAGS.word);
        self.map_words(base..base + 3);
    }
}

/// One step of a word hash: multiply, then bring the high bits down.
#[inline]
pub fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * 0x9e37_79b9_7f4a_7c15_u128;
    (product as u64) ^ (product >> 64) as u64 ^ hash.rotate_left(29)
}

#[cfg(test)]
mod tests;
