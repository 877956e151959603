//! Who listens to which multicast group: IGMP (RFC 1112, 2236, 3376) over IPv4, MLD (RFC 2710, 3810) over IPv6.
//!
//! [`read`] finds what a frame says of it, and [`GroupRecord`] is the part of the newer reports that names one group. A
//! group of IPv4 is given as an address of IPv6 that maps it (`::ffff:224.1.1.1`), as one of either version.

use crate::bytes::{be16, be32, be128, byte, put16};
use crate::checksum::pseudo_ipv6;
use crate::cursor::{Reader, Writer};
use crate::form::TypedForm;
use crate::icmp::{self, Icmp};
use crate::{Checksum, ethernet, ipv4, ipv6, protocol};

/// Types of IGMP messages.
pub mod igmp {
    /// A router asks who listens.
    pub const QUERY: u8 = 0x11;
    /// A host of version 1 listens to a group.
    pub const V1_REPORT: u8 = 0x12;
    /// A host of version 2 listens to a group.
    pub const V2_REPORT: u8 = 0x16;
    /// A host does not listen to a group any more.
    pub const LEAVE: u8 = 0x17;
    /// What a host of version 3 listens to.
    pub const V3_REPORT: u8 = 0x22;

    /// Whether a host says by it what it listens to.
    pub const fn is_membership(kind: u8) -> bool {
        matches!(kind, V1_REPORT | V2_REPORT | LEAVE | V3_REPORT)
    }
}

/// Types of MLD messages, which are messages of ICMPv6.
pub mod mld {
    /// A router asks who listens.
    pub const QUERY: u8 = 130;
    /// A host of version 1 listens to a group.
    pub const V1_REPORT: u8 = 131;
    /// A host does not listen to a group any more.
    pub const DONE: u8 = 132;
    /// What a host of version 2 listens to.
    pub const V2_REPORT: u8 = 143;

    /// Whether it is a message of MLD.
    pub const fn is_mld(kind: u8) -> bool {
        matches!(kind, QUERY | V1_REPORT | DONE | V2_REPORT)
    }
}

/// Kinds of group records: those of [`GroupRecord::kind`] that are known.
pub mod record {
    /// The group is heard from the listed sources only.
    pub const IS_INCLUDE: u8 = 1;
    /// The group is heard from all but the listed sources.
    pub const IS_EXCLUDE: u8 = 2;
    /// From now on as [`IS_INCLUDE`].
    pub const TO_INCLUDE: u8 = 3;
    /// From now on as [`IS_EXCLUDE`].
    pub const TO_EXCLUDE: u8 = 4;
    /// The listed sources are heard, too.
    pub const ALLOW: u8 = 5;
    /// The listed sources are not heard any more.
    pub const BLOCK: u8 = 6;
}

/// The protocol, and its version, by which a host says what it listens to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// RFC 1112.
    Igmp1,
    /// RFC 2236.
    Igmp2,
    /// RFC 3376.
    Igmp3,
    /// RFC 2710.
    Mld1,
    /// RFC 3810.
    Mld2,
}

impl Version {
    /// Its name, as operators know it.
    pub const fn name(self) -> &'static str {
        match self {
            Version::Igmp1 => "IGMPv1",
            Version::Igmp2 => "IGMPv2",
            Version::Igmp3 => "IGMPv3",
            Version::Mld1 => "MLDv1",
            Version::Mld2 => "MLDv2",
        }
    }
}

/// What a frame says.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// Somebody asks who listens: a router, if it has an address to send from (RFC 4541 §2.1.1).
    Query {
        /// Whether it comes from an address.
        has_source: bool,
    },
    /// A host says what it listens to.
    Report(Report<'a>),
}

/// What a host says of one group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Membership {
    /// The group's address, mapped if it is of IPv4.
    pub group: u128,
    /// Whether it listens.
    pub listens: bool,
}

/// What a host says of some groups, one after the other: an iterator.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// By which protocol.
    pub version: Version,
    rest: Rest<'a>,
}

/// What was not read yet of a report.
#[derive(Clone, Copy, Debug)]
enum Rest<'a> {
    One(Option<Membership>),
    Records { count: u16, bytes: &'a [u8] },
}

/// Why a frame says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is no message of either protocol, or it is cut off.
    #[error("no message about multicast groups")]
    Other,
    /// Its checksum is wrong.
    #[error("bad {0} checksum")]
    Checksum(&'static str),
}

/// The address of IPv6 that stands for one of IPv4.
pub const fn mapped(address: u32) -> u128 {
    0xffff << 32 | address as u128
}

/// What an Ethernet frame, tagged or not, says about groups.
///
/// # Errors
/// When it is no such message, is cut off, or has a wrong checksum.
pub fn read(frame: &[u8]) -> Result<Message<'_>, Unreadable> {
    let (at, ether_type) = ethernet::type_behind_tags(frame).ok_or(Unreadable::Other)?;
    let packet = frame.get(at + 2..).unwrap_or(&[]);
    match ether_type {
        ethernet::TYPE_IPV4 => read_ipv4(packet),
        ethernet::TYPE_IPV6 => read_ipv6(packet),
        _ => Err(Unreadable::Other),
    }
}

fn read_ipv4(packet: &[u8]) -> Result<Message<'_>, Unreadable> {
    let ip = ipv4::Ipv4::parse(packet).ok_or(Unreadable::Other)?;
    if ip.protocol() != protocol::IGMP || ip.is_later_fragment() {
        return Err(Unreadable::Other);
    }
    let bytes = ip.payload();
    let message = Icmp::parse(bytes).ok_or(Unreadable::Other)?;
    if crate::checksum(bytes) != 0 {
        return Err(Unreadable::Checksum("IGMP"));
    }
    let one = |version, listens| Report::one(version, mapped(message.rest()), listens);
    let report = match message.kind() {
        igmp::QUERY => return Ok(Message::Query { has_source: ip.src() != 0 }),
        igmp::V1_REPORT => one(Version::Igmp1, true),
        igmp::V2_REPORT => one(Version::Igmp2, true),
        igmp::LEAVE => one(Version::Igmp2, false),
        igmp::V3_REPORT => Report::records(Version::Igmp3, &message),
        _ => return Err(Unreadable::Other),
    };
    Ok(Message::Report(report))
}

fn read_ipv6(packet: &[u8]) -> Result<Message<'_>, Unreadable> {
    let ip = ipv6::Ipv6::parse(packet).ok_or(Unreadable::Other)?;
    let upper = ipv6::upper(ip.next_header(), ip.payload()).ok_or(Unreadable::Other)?;
    if upper.protocol != protocol::ICMPV6 || upper.is_later_fragment {
        return Err(Unreadable::Other);
    }
    let bytes = upper.payload;
    let message =
        Icmp::parse(bytes).filter(|message| mld::is_mld(message.kind())).ok_or(Unreadable::Other)?;
    let pseudo = pseudo_ipv6(ip.src(), ip.dst(), protocol::ICMPV6, bytes.len());
    if pseudo.bytes(bytes).finish() != 0 {
        return Err(Unreadable::Checksum("MLD"));
    }
    let one = |listens| match message.payload().first_chunk() {
        Some(group) => Ok(Report::one(Version::Mld1, u128::from_be_bytes(*group), listens)),
        None => Err(Unreadable::Other),
    };
    Ok(match message.kind() {
        mld::QUERY => Message::Query { has_source: ip.src() != 0 },
        mld::V1_REPORT => Message::Report(one(true)?),
        mld::DONE => Message::Report(one(false)?),
        _ => Message::Report(Report::records(Version::Mld2, &message)),
    })
}

impl<'a> Report<'a> {
    fn one(version: Version, group: u128, listens: bool) -> Report<'a> {
        Report { version, rest: Rest::One(Some(Membership { group, listens })) }
    }

    /// The number of records stands in the last two of the eight bytes before them.
    fn records(version: Version, message: &Icmp<'a>) -> Report<'a> {
        let rest = Rest::Records { count: message.rest() as u16, bytes: message.payload() };
        Report { version, rest }
    }
}

impl Iterator for Report<'_> {
    type Item = Membership;

    fn next(&mut self) -> Option<Membership> {
        let address_len = if self.version == Version::Mld2 { 16 } else { 4 };
        match &mut self.rest {
            Rest::One(one) => one.take(),
            Rest::Records { count, bytes } => {
                while *count > 0 {
                    *count -= 1;
                    let view = RecordView::parse(bytes, address_len)?;
                    *bytes = bytes.get(view.len()..).unwrap_or(&[]);
                    // RFC 3376 §4.2.12: unknown kinds are ignored.
                    if (record::IS_INCLUDE..=record::BLOCK).contains(&view.kind()) {
                        return Some(Membership { group: view.group(), listens: view.listens() });
                    }
                }
                None
            }
        }
    }
}

/// Bytes of a record before the group's address.
const RECORD_LEN: usize = 4;

/// The part of a report that names one group; what follows the address may be cut off.
#[derive(Clone, Copy, Debug)]
struct RecordView<'a> {
    bytes: &'a [u8],
    address_len: usize,
}

impl<'a> RecordView<'a> {
    fn parse(bytes: &'a [u8], address_len: usize) -> Option<RecordView<'a>> {
        (bytes.len() >= RECORD_LEN + address_len).then_some(RecordView { bytes, address_len })
    }

    fn kind(self) -> u8 {
        byte(self.bytes, 0)
    }

    fn source_count(self) -> u16 {
        be16(self.bytes, 2)
    }

    fn group(self) -> u128 {
        match self.address_len {
            16 => be128(self.bytes, RECORD_LEN),
            _ => mapped(be32(self.bytes, RECORD_LEN)),
        }
    }

    /// Who hears a group from none of its sources does not listen.
    fn listens(self) -> bool {
        let includes = matches!(self.kind(), record::IS_INCLUDE | record::TO_INCLUDE);
        !(includes && self.source_count() == 0)
    }

    /// Bytes of the record, as it states them.
    fn len(self) -> usize {
        let auxiliary = usize::from(byte(self.bytes, 1)) * 4;
        RECORD_LEN + self.address_len * (1 + usize::from(self.source_count())) + auxiliary
    }
}

/// What a report of IGMPv3 or MLDv2 says of one group. `A` is the type of addresses.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupRecord<A> {
    /// See [`record`].
    pub kind: u8,
    /// The group.
    pub group: A,
    /// The sources that the kind is about; at most 65,535.
    pub sources: Vec<A>,
    /// Words behind the sources, which no version uses yet; at most 255.
    pub auxiliary: Vec<u32>,
}

/// An address as it stands in a [`GroupRecord`].
pub trait Address: Copy {
    /// Its bytes.
    const LEN: usize;
    /// Reads one.
    fn take(input: &mut Reader<'_>) -> Option<Self>;
    /// Writes it.
    fn put(self, out: &mut Writer<'_>);
}

impl Address for u32 {
    const LEN: usize = 4;

    fn take(input: &mut Reader<'_>) -> Option<u32> {
        input.u32()
    }

    fn put(self, out: &mut Writer<'_>) {
        out.u32(self);
    }
}

impl Address for u128 {
    const LEN: usize = 16;

    fn take(input: &mut Reader<'_>) -> Option<u128> {
        input.u128()
    }

    fn put(self, out: &mut Writer<'_>) {
        out.u128(self);
    }
}

impl<A: Address> TypedForm for GroupRecord<A> {
    fn parse(bytes: &[u8]) -> Option<GroupRecord<A>> {
        let mut input = Reader::new(bytes);
        let (kind, words, sources) = (input.u8()?, input.u8()?, input.u16()?);
        Some(GroupRecord {
            kind,
            group: A::take(&mut input)?,
            sources: (0..sources).map(|_| A::take(&mut input)).collect::<Option<_>>()?,
            auxiliary: (0..words).map(|_| input.u32()).collect::<Option<_>>()?,
        })
    }

    fn header_len(&self) -> usize {
        RECORD_LEN + A::LEN * (1 + self.sources.len()) + 4 * self.auxiliary.len()
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u8(self.kind);
        out.u8(self.auxiliary.len() as u8);
        out.u16(self.sources.len() as u16);
        self.group.put(out);
        self.sources.iter().for_each(|source| source.put(out));
        self.auxiliary.iter().for_each(|word| out.u32(*word));
    }
}

/// A message of IGMP, with a right checksum. `rest` stands before `body`: a group, or the number of records that follow.
pub fn igmp_message(kind: u8, rest: u32, body: &[u8]) -> Vec<u8> {
    message(kind, rest, body, Checksum::new())
}

/// The same of MLD, from one address to another; the group of version 1 is the body.
pub fn mld_message(src: u128, dst: u128, kind: u8, rest: u32, body: &[u8]) -> Vec<u8> {
    let pseudo = pseudo_ipv6(src, dst, protocol::ICMPV6, icmp::LEN + body.len());
    message(kind, rest, body, pseudo)
}

fn message(kind: u8, rest: u32, body: &[u8], pseudo: Checksum) -> Vec<u8> {
    let mut bytes = icmp::Header { kind, code: 0, check: 0, rest }.to_bytes();
    bytes.extend_from_slice(body);
    let check = pseudo.bytes(&bytes).finish();
    put16(&mut bytes, icmp::CHECK_OFFSET, check);
    bytes
}

#[cfg(test)]
mod tests;
