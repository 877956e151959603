//! A match: the condition of a rule.

mod exact;
pub(crate) mod format;

use flow::{FlowKey, FlowMask, SparseMatch, slot};

use crate::prereqs::{ether, proto};
use crate::text::parse_wide_prefix;
use crate::{Field, PortNames, Prereq, Protocols, Subfield, TextError, refuse};

/// Which packets a rule is for: those that agree with `key` in the bits of `mask`.
///
/// Invariant: bits of `key` outside `mask` are zero; the setters keep it.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Match {
    /// The values of the bits that count.
    pub key: FlowKey,
    /// The bits that count.
    pub mask: FlowMask,
}

impl From<&SparseMatch> for Match {
    fn from(sparse: &SparseMatch) -> Match {
        Match { key: sparse.key(), mask: FlowMask::from(&**sparse.mask()) }
    }
}

impl From<&Match> for SparseMatch {
    fn from(dense: &Match) -> SparseMatch {
        SparseMatch::new(&dense.key, &dense.mask)
    }
}

impl Match {
    /// The match of every packet.
    pub fn catch_all() -> Match {
        Match::default()
    }

    /// From a key and mask; bits of `key` outside `mask` are dropped.
    pub fn new(key: &FlowKey, mask: FlowMask) -> Match {
        Match { key: key.masked(&mask), mask }
    }

    /// Whether every packet is of the match.
    pub fn is_catch_all(&self) -> bool {
        self.mask.is_empty()
    }

    /// Whether `key` is of the match.
    pub fn matches(&self, key: &FlowKey) -> bool {
        self.key.equal_under(key, &self.mask)
    }

    /// Restores the invariant after the mask was changed.
    pub fn drop_unmasked(&mut self) {
        self.key = self.key.masked(&self.mask);
    }

    /// Matches packets of this Ethernet type.
    pub fn set_dl_type(&mut self, dl_type: u16) {
        self.key.set_dl_type(dl_type);
        self.mask.add_all(slot::DL_TYPE);
    }

    /// Matches packets of this IP protocol, or ARP operation.
    pub fn set_nw_proto(&mut self, protocol: u8) {
        self.key.set_nw_proto(protocol);
        self.mask.add_all(slot::NW_PROTO);
    }

    /// Matches packets that came in by this port.
    pub fn set_in_port(&mut self, port: base::OfPort) {
        self.key.set_in_port(port.0);
        self.mask.add_all(slot::IN_PORT);
    }

    /// Matches packets of this type; see [`FlowKey::packet_type`].
    pub fn set_packet_type(&mut self, packet_type: u32) {
        self.key.set_packet_type(packet_type);
        self.mask.add_all(slot::PACKET_TYPE);
    }

    /// Asks for Ethernet unless another packet type is asked for.
    pub fn set_default_packet_type(&mut self) {
        if self.mask.bits(slot::PACKET_TYPE) == 0 {
            self.set_packet_type(0);
        }
    }

    /// Whether it asks for Ethernet packets.
    pub fn has_default_packet_type(&self) -> bool {
        self.key.packet_type() == 0 && self.mask.bits(slot::PACKET_TYPE) == u128::from(u32::MAX)
    }

    /// A match on a field of packets asks for Ethernet, if it names no packet type.
    pub fn add_ethernet_prereq(&mut self, field: Field) {
        if field.info().prereq != Prereq::None {
            self.set_default_packet_type();
        }
    }

    /// Whether the fields that controllers cannot set have the values that all rules have.
    pub fn has_default_hidden_fields(&self) -> bool {
        let mask = self.mask.bits(slot::RECIRC_ID);
        self.key.recirc_id() == 0
            && (mask == 0 || mask == u128::from(u32::MAX))
            && self.key.dp_hash() == 0
            && self.mask.bits(slot::DP_HASH) == 0
    }

    /// Reads `tcp,nw_dst=10.0.0.0/8,…`: shorthands and fields only.
    /// Returns the match and the protocols that can express it.
    pub fn parse(text: &str, names: Option<&PortNames>) -> Result<(Match, Protocols), TextError> {
        let mut m = Match::default();
        let mut usable = Protocols::ANY;
        let mut rest = text;
        while let Some((key, value, after)) = crate::text_pairs::next_pair(rest) {
            rest = after;
            if !parse_field(&mut m, key, value, names, &mut usable)? {
                return refuse!("{key}: unknown field{}", did_you_mean(key, &[]));
            }
        }
        Ok((m, usable))
    }
}

/// The line to follow an error about an unknown word of a match, when a field or a shorthand is near it, or one of
/// `others`.
pub fn did_you_mean(typed: &str, others: &[&'static str]) -> String {
    let known = others.iter().copied().chain(Field::names()).chain(SHORTHANDS.iter().copied());
    base::hint::did_you_mean(typed, known)
}

/// What [`protocol_shorthand`] knows.
const SHORTHANDS: &[&str] = &[
    "ip", "ipv4", "ip4", "arp", "icmp", "tcp", "udp", "sctp", "ipv6", "ip6", "icmp6", "tcp6", "udp6",
    "sctp6", "rarp", "mpls", "mplsm",
];

/// Ethernet type and IP protocol of shorthands such as `tcp6`.
pub fn protocol_shorthand(name: &str) -> Option<(u16, Option<u8>)> {
    Some(match name {
        "ip" | "ipv4" | "ip4" => (ether::IP, None),
        "arp" => (ether::ARP, None),
        "icmp" => (ether::IP, Some(proto::ICMP)),
        "tcp" => (ether::IP, Some(proto::TCP)),
        "udp" => (ether::IP, Some(proto::UDP)),
        "sctp" => (ether::IP, Some(proto::SCTP)),
        "ipv6" | "ip6" => (ether::IPV6, None),
        "icmp6" => (ether::IPV6, Some(proto::ICMPV6)),
        "tcp6" => (ether::IPV6, Some(proto::TCP)),
        "udp6" => (ether::IPV6, Some(proto::UDP)),
        "sctp6" => (ether::IPV6, Some(proto::SCTP)),
        "rarp" => (ether::RARP, None),
        "mpls" => (ether::MPLS, None),
        "mplsm" => (ether::MPLS_MCAST, None),
        _ => return None,
    })
}

/// Adds `name=value` to `m` when `name` is a shorthand, a field or a
/// subfield, and narrows `usable`. Returns false for other names.
pub fn parse_field(
    m: &mut Match,
    name: &str,
    value: &str,
    names: Option<&PortNames>,
    usable: &mut Protocols,
) -> Result<bool, TextError> {
    if let Some((dl_type, protocol)) = protocol_shorthand(name) {
        m.set_dl_type(dl_type);
        if let Some(protocol) = protocol {
            m.set_nw_proto(protocol);
        }
        m.set_default_packet_type();
    } else if name == "eth" {
        m.set_packet_type(0);
    } else if let Some(field) = Field::from_name(name) {
        let value = if value.is_empty() { "0/0" } else { value };
        let text = value;
        let (value, mask) = field.parse(text, names)?;
        field.check_fit(text, value, mask)?;
        *usable &= m.set(field, value, mask);
        m.add_ethernet_prereq(field);
    } else if name.contains('[') {
        parse_subfield(m, name, value, usable)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn parse_subfield(m: &mut Match, name: &str, text: &str, usable: &mut Protocols) -> Result<(), TextError> {
    let subfield = Subfield::parse(name)?;
    let field = subfield.field;
    let Ok((value, "")) = parse_wide_prefix(text, field.n_bytes()) else {
        return refuse!("{name}: cannot parse integer value: {text}");
    };
    if value & !subfield.ones() != 0 {
        let mut shown = String::new();
        field.format(&mut shown, value, field.exact(), None);
        return refuse!("{name}: value {shown} does not fit into {} bits", subfield.n_bits);
    }
    let (old_value, old_mask) = m.get(field);
    let bits = subfield.field_mask();
    *usable &= m.set(field, old_value & !bits | value << subfield.start, old_mask | bits);
    m.add_ethernet_prereq(field);
    Ok(())
}

impl Prereq {
    /// Whether every packet of the match meets the condition.
    pub fn met_by_match(self, m: &Match) -> bool {
        if self != Prereq::CtValid {
            return self.met_by(&m.key, None);
        }
        use flow::ct_state::{DST_NAT, ESTABLISHED, INVALID, NEW, RELATED, REPLY, SRC_NAT, TRACKED};
        let state = m.key.ct_state();
        let mask = m.mask.bits(slot::CT_STATE) as u32;
        state & (NEW | ESTABLISHED | RELATED | REPLY | SRC_NAT | DST_NAT) != 0
            || (state & TRACKED != 0 && mask & INVALID != 0 && state & INVALID == 0)
    }
}
