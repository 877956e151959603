//! Packets as the tracker sees them: what it reads of their headers.

use wire::bytes::{be16, be32, byte};
use wire::checksum::{pseudo_ipv4, pseudo_ipv6};
use wire::ipv4::{self, Ipv4};
use wire::ipv6::{self, Ipv6};
use wire::{protocol, sctp, tcp, udp};

use crate::key::{Address, Endpoint, Key, answering_type};
use crate::state::Upper;
use crate::tcp::Segment;

base::coverage! {
    /// A packet has a wrong checksum over its IPv4 header.
    static WRONG_NETWORK = "conntrack_l3csum_err"
}
base::coverage! {
    /// A packet has a wrong checksum over its transport header.
    static WRONG_TRANSPORT = "conntrack_l4csum_err"
}

/// Makes the counters known before they have counted anything.
pub(crate) fn list_counters() {
    WRONG_NETWORK.list();
    WRONG_TRANSPORT.list();
}

/// A packet from its IP header on, wherever its bytes are.
pub trait Datagram {
    /// From the IP header on, with what may stand behind its end.
    fn bytes(&self) -> &[u8];
    /// The same, to be changed.
    fn bytes_mut(&mut self) -> &mut [u8];
    /// IPv6, else IPv4.
    fn is_v6(&self) -> bool;
    /// Bytes of the frame in front of it.
    fn link_len(&self) -> usize;
    /// What is known of the checksum over the transport header.
    fn checksum(&self) -> KnownChecksum;
    /// What is known of the checksum over IPv4's header.
    fn network_checksum(&self) -> KnownChecksum {
        KnownChecksum::Unknown
    }
    /// Replaces `count` bytes at offset `at`.
    fn splice(&mut self, at: usize, count: usize, with: &[u8]);
}

/// What is known of a packet's checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KnownChecksum {
    /// Nothing: it is to be verified.
    Unknown,
    /// It is right.
    Good,
    /// It is wrong.
    Bad,
    /// The device completes it; the sum of the pseudo header stands in its place.
    Partial,
}

/// What the tracker reads of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    /// The connection as this packet names it; of an error of ICMP, the connection that it is about, as if the packet
    /// belonged to it.
    pub(crate) key: Key,
    /// The packet is an error of ICMP about this connection.
    pub(crate) is_related: bool,
    pub(crate) upper: Upper,
    pub(crate) places: Places,
}

/// Where the parts of a packet are, in bytes from its IP header on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Places {
    /// The header behind IP.
    pub(crate) l4: usize,
    /// The end of the packet, without padding.
    pub(crate) end: usize,
    pub(crate) protocol: u8,
    /// The checksum covers the addresses that stand in the IP header.
    pub(crate) covers_addresses: bool,
}

/// Bytes of a transport header that errors of ICMP must bring along.
const QUOTED_LEN: usize = 8;

impl Places {
    /// Where the parts are; `None` when headers are cut off, and for fragments other than the first.
    fn find(bytes: &[u8], is_v6: bool, is_whole: bool) -> Option<(Places, Address, Address)> {
        if is_v6 {
            let ip = Ipv6::parse_header(bytes)?;
            let end = if is_whole { ipv6::LEN + ip.payload_len() } else { bytes.len() };
            let payload = bytes.get(ipv6::LEN..end)?;
            let upper = ipv6::upper(ip.next_header(), payload)?;
            let places = Places {
                l4: end - upper.payload.len(),
                end,
                protocol: upper.protocol,
                covers_addresses: !upper.has_routing,
            };
            (!upper.is_fragment).then_some((places, Address::v6(ip.src()), Address::v6(ip.dst())))
        } else {
            let ip = Ipv4::parse_header(bytes)?;
            let end = if is_whole { ip.total_len() } else { bytes.len() };
            let l4 = ip.header_len();
            let fits = l4 >= ipv4::MIN_LEN && l4 <= end && end <= bytes.len() && !ip.is_later_fragment();
            let places = Places { l4, end, protocol: ip.protocol(), covers_addresses: true };
            fits.then_some((places, Address::v4(ip.src()), Address::v4(ip.dst())))
        }
    }

    pub(crate) fn l4<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.l4..self.end).unwrap_or(&[])
    }
}

impl Seen {
    /// Reads a packet; `None` when it cannot belong to a connection: it is malformed, its checksums are wrong, or it is of a
    /// kind that belongs to none.
    pub(crate) fn read(datagram: &impl Datagram, zone: u16) -> Option<Seen> {
        let (bytes, is_v6) = (datagram.bytes(), datagram.is_v6());
        let (places, src, dst) = Places::find(bytes, is_v6, true)?;
        let is_right = || Some(wire::checksum(bytes.get(..places.l4)?) == 0);
        if !is_v6 && !is_known_right(datagram.network_checksum()).or_else(is_right)? {
            WRONG_NETWORK.count();
            return None;
        }
        let l4 = places.l4(bytes);
        let end = |address| Endpoint { address, ..Endpoint::default() };
        let key = Key { src: end(src), dst: end(dst), zone, protocol: places.protocol, is_v6 };
        if !is_well_formed(&key, l4) {
            return None;
        }
        if !is_known_right(datagram.checksum()).unwrap_or_else(|| has_right_checksum(&key, l4)) {
            WRONG_TRANSPORT.count();
            return None;
        }
        if key.is_icmp()
            && let Some(place) = quoted_at(is_v6, l4)
        {
            return Seen::error(key, l4.get(place..)?, places);
        }
        let key = with_ports(key, l4)?;
        Some(Seen { key, is_related: false, upper: upper(&key, l4), places })
    }

    /// Of an error of ICMP, from the packet that it quotes.
    fn error(outer: Key, quoted: &[u8], places: Places) -> Option<Seen> {
        let (inner, src, dst) = Places::find(quoted, outer.is_v6, false)?;
        // The error goes to who sent the packet that it is about.
        if src != outer.dst.address {
            return None;
        }
        let l4 = quoted.get(inner.l4..)?;
        if l4.len() < QUOTED_LEN && has_header(&Key { protocol: inner.protocol, ..outer }) {
            return None;
        }
        let end = |address| Endpoint { address, ..Endpoint::default() };
        let key = Key { src: end(src), dst: end(dst), protocol: inner.protocol, ..outer };
        if key.is_icmp() && quoted_at(key.is_v6, l4).is_some() {
            return None;
        }
        let key = with_ports(key, l4)?.reversed();
        Some(Seen { key, is_related: true, upper: Upper::Other, places })
    }
}

/// Whether the protocol has a header that is looked at.
fn has_header(key: &Key) -> bool {
    key.is_icmp() || matches!(key.protocol, protocol::TCP | protocol::UDP | protocol::SCTP)
}

/// Where the packet stands that an error is about; `None` for other messages.
fn quoted_at(is_v6: bool, l4: &[u8]) -> Option<usize> {
    let kind = byte(l4, 0);
    let is_error = if is_v6 { matches!(kind, 1..=4) } else { matches!(kind, 3 | 4 | 5 | 11 | 12) };
    is_error.then_some(wire::icmp::LEN)
}

/// The packet that an error of ICMP quotes: where it begins in the packet, and where its parts are from there on.
pub(crate) fn quoted(datagram: &impl Datagram, places: &Places) -> Option<(usize, Places)> {
    let bytes = datagram.bytes();
    let at = places.l4 + quoted_at(datagram.is_v6(), places.l4(bytes))?;
    let (inner, ..) = Places::find(bytes.get(at..places.end)?, datagram.is_v6(), false)?;
    Some((at, inner))
}

/// The key with ports or identifiers; `None` when these are none that a connection can have.
fn with_ports(mut key: Key, l4: &[u8]) -> Option<Key> {
    if key.is_icmp() {
        let kind = byte(l4, 0);
        let answer = answering_type(key.is_v6, kind)?;
        if byte(l4, 1) != 0 || l4.len() < wire::icmp::LEN {
            return None;
        }
        let port = be16(l4, 4);
        key.src = Endpoint { port, icmp_type: kind, ..key.src };
        key.dst = Endpoint { port, icmp_type: answer, ..key.dst };
    } else if has_header(&key) {
        key.src.port = be16(l4, 0);
        key.dst.port = be16(l4, 2);
        if key.src.port == 0 || key.dst.port == 0 {
            return None;
        }
    }
    Some(key)
}

fn upper(key: &Key, l4: &[u8]) -> Upper {
    if key.is_icmp() {
        return Upper::Icmp(byte(l4, 0));
    }
    if key.protocol != protocol::TCP {
        return Upper::Other;
    }
    let Some(header) = tcp::Tcp::parse(l4) else { return Upper::Other };
    Upper::Tcp(Segment {
        flags: header.flags(),
        sequence: header.sequence(),
        acknowledgment: header.acknowledgment(),
        window: header.window(),
        len: header.payload().len() as u32,
        scale: window_scale(header.options()),
    })
}

/// The option of window scaling (RFC 7323 §2.2).
fn window_scale(mut options: &[u8]) -> Option<u8> {
    const END: u8 = 0;
    const PADDING: u8 = 1;
    const WINDOW_SCALE: u8 = 3;
    let mut scale = None;
    while options.len() >= 3 {
        let skipped = match byte(options, 0) {
            END => return scale,
            PADDING => 1,
            kind => {
                if kind == WINDOW_SCALE {
                    scale = Some(byte(options, 2));
                }
                usize::from(byte(options, 1)).max(2)
            }
        };
        options = options.get(skipped..).unwrap_or(&[]);
    }
    scale
}

/// Whether the header is whole and the lengths that it states fit.
fn is_well_formed(key: &Key, l4: &[u8]) -> bool {
    match key.protocol {
        protocol::TCP => tcp::Tcp::parse(l4).is_some(),
        protocol::UDP => udp::Udp::parse(l4).is_some_and(|udp| (udp::LEN..=l4.len()).contains(&udp.len())),
        protocol::SCTP => has_whole_chunks(l4),
        _ => !key.is_icmp() || l4.len() >= wire::icmp::LEN,
    }
}

/// Whether chunks fill an SCTP packet (RFC 9260 §3.2).
fn has_whole_chunks(l4: &[u8]) -> bool {
    let mut at = sctp::LEN;
    while at < l4.len() {
        let len = usize::from(be16(l4, at + 2));
        if len < 4 {
            return false;
        }
        at += len.next_multiple_of(4);
    }
    at == l4.len()
}

/// Whether a checksum is right, where that is known.
fn is_known_right(known: KnownChecksum) -> Option<bool> {
    match known {
        KnownChecksum::Unknown => None,
        KnownChecksum::Good | KnownChecksum::Partial => Some(true),
        KnownChecksum::Bad => Some(false),
    }
}

fn has_right_checksum(key: &Key, l4: &[u8]) -> bool {
    let pseudo = || {
        let (src, dst) = (key.src.address.number(), key.dst.address.number());
        if key.is_v6 {
            pseudo_ipv6(src, dst, key.protocol, l4.len())
        } else {
            pseudo_ipv4(src as u32, dst as u32, key.protocol, l4.len())
        }
    };
    match key.protocol {
        // Over IPv4, the sender need not compute one.
        protocol::UDP if !key.is_v6 && be16(l4, udp::CHECK_OFFSET) == 0 => true,
        protocol::TCP | protocol::UDP => pseudo().bytes(l4).finish() == 0,
        protocol::ICMPV6 if key.is_v6 => pseudo().bytes(l4).finish() == 0,
        protocol::ICMP if !key.is_v6 => wire::checksum(l4) == 0,
        protocol::SCTP => be32(l4, sctp::CHECK_OFFSET).swap_bytes() == sctp::checksum_of(l4),
        _ => true,
    }
}
