//! Fragments: put together before they are tracked, and sent on as they came.
//!
//! What is held is bounded in number and in time. A fragment that overlaps another one, or that is too short, is invalid; one that
//! comes when too many are held is tracked by itself, and mostly invalid as well.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::Timestamp;
use wire::bytes::{be16, byte, put16};
use wire::extension::{FRAGMENT_LEN, Fragment};
use wire::ipv4::{self, Ipv4, Ipv4Mut};
use wire::ipv6::{self, Ipv6, Ipv6Mut};
use wire::{TypedForm, protocol};

use crate::datagram::{Datagram, KnownChecksum};
use crate::key::Address;

/// How long fragments wait for the others.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest frame, and the longest packet.
const MAX_LEN: usize = u16::MAX as usize;

/// What operators may not set: less for the least size, more for the number of fragments.
const LEAST_MIN_SIZE: u32 = 400;
const MOST_FRAGMENTS: u32 = 5000;

/// How fragments of one version of IP are treated, and what became of them.
#[derive(Debug)]
struct OfVersion {
    is_enabled: AtomicBool,
    min_size: AtomicU32,
    counters: [AtomicU64; Counter::ALL],
}

#[derive(Clone, Copy)]
enum Counter {
    Accepted,
    Completed,
    Expired,
    TooSmall,
    Overlapped,
}

impl Counter {
    const ALL: usize = 5;
}

impl OfVersion {
    fn new(min_size: u32) -> OfVersion {
        OfVersion {
            is_enabled: AtomicBool::new(true),
            min_size: AtomicU32::new(min_size),
            counters: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    fn count(&self, counter: Counter, by: usize) {
        if let Some(place) = self.counters.get(counter as usize) {
            place.fetch_add(by as u64, Ordering::Relaxed);
        }
    }

    fn counter(&self, counter: Counter) -> u64 {
        self.counters.get(counter as usize).map_or(0, |place| place.load(Ordering::Relaxed))
    }
}

/// How fragments are treated.
#[derive(Debug)]
pub struct FragmentSettings {
    v4: OfVersion,
    v6: OfVersion,
    max: AtomicU32,
    held: AtomicU32,
}

impl Default for FragmentSettings {
    fn default() -> Self {
        FragmentSettings {
            v4: OfVersion::new(1200),
            v6: OfVersion::new(1280),
            max: AtomicU32::new(1000),
            held: AtomicU32::new(0),
        }
    }
}

impl FragmentSettings {
    fn of(&self, is_v6: bool) -> &OfVersion {
        if is_v6 { &self.v6 } else { &self.v4 }
    }

    /// Whether fragments are put together.
    pub fn set_enabled(&self, is_v6: bool, is_enabled: bool) {
        self.of(is_v6).is_enabled.store(is_enabled, Ordering::Relaxed);
    }

    /// The least size of fragments other than the last; false when it is less than may be set.
    pub fn set_min_size(&self, is_v6: bool, bytes: u32) -> bool {
        if bytes >= LEAST_MIN_SIZE {
            self.of(is_v6).min_size.store(bytes, Ordering::Relaxed);
        }
        bytes >= LEAST_MIN_SIZE
    }

    /// How many fragments may be held; false when it is more than may be set.
    pub fn set_max(&self, fragments: u32) -> bool {
        if fragments <= MOST_FRAGMENTS {
            self.max.store(fragments, Ordering::Relaxed);
        }
        fragments <= MOST_FRAGMENTS
    }

    /// All of it, and what was counted, as operators read it.
    pub fn show(&self) -> String {
        let enabled = |of: &OfVersion| u8::from(of.is_enabled.load(Ordering::Relaxed));
        let mut out = format!(
            "        Fragmentation Module Status\n        ---------------------------\n        v4 enabled: {}\n        \
             v6 enabled: {}\n        max num frags (v4/v6): {}\n        num frag: {}\n",
            enabled(&self.v4),
            enabled(&self.v6),
            self.max.load(Ordering::Relaxed),
            self.held.load(Ordering::Relaxed)
        );
        for (name, of) in [("v4", &self.v4), ("v6", &self.v6)] {
            // Writing to a String cannot fail. Nothing is purged here: what expires goes at once.
            let _ = write!(
                out,
                "        min {name} frag size: {}\n        {name} frags accepted: {}\n        {name} frags completed: {}\n        \
                 {name} frags expired: {}\n        {name} frags too small: {}\n        {name} frags overlapped: {}\n        \
                 {name} frags purged: 0\n",
                of.min_size.load(Ordering::Relaxed),
                of.counter(Counter::Accepted),
                of.counter(Counter::Completed),
                of.counter(Counter::Expired),
                of.counter(Counter::TooSmall),
                of.counter(Counter::Overlapped)
            );
        }
        out
    }
}

/// Which fragments belong together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct ListKey {
    src: Address,
    dst: Address,
    id: u32,
    protocol: u8,
    is_v6: bool,
    zone: u16,
    recirc_id: u32,
}

impl ListKey {
    fn complain_of_length(&self) {
        let version = if self.is_v6 { "v6" } else { "v4" };
        let (src, dst) = (self.src.text(self.is_v6), self.dst.text(self.is_v6));
        log::warn!(
            target: base::bounded!("ipf"),
            "Unsupported big reassembled {version} packet; {version} hdr: src={src},dst={dst},ip_id={}",
            self.id
        );
    }
}

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug)]
struct Place {
    key: ListKey,
    /// The bytes of the whole packet's payload that it holds, where its headers end, and where it ends itself.
    first: usize,
    header: usize,
    end: usize,
    is_last: bool,
}

impl Place {
    fn len(&self) -> usize {
        self.end - self.header
    }

    fn behind(&self) -> usize {
        self.first + self.len()
    }

    /// Of a packet; `None` when it is no fragment, or one that makes no sense.
    fn read(datagram: &impl Datagram, zone: u16, recirc_id: u32) -> Option<Place> {
        let bytes = datagram.bytes();
        let (place, is_fragment) = if datagram.is_v6() {
            let (at, fragment) = fragment_header(bytes)?;
            let ip = Ipv6::parse(bytes)?;
            let key = ListKey {
                src: Address::v6(ip.src()),
                dst: Address::v6(ip.dst()),
                id: fragment.id,
                protocol: 0,
                is_v6: true,
                zone,
                recirc_id,
            };
            let first = usize::from(fragment.offset) * 8;
            let (header, end) = (at + FRAGMENT_LEN, ipv6::LEN + ip.payload_len());
            let is_fragment = fragment.offset != 0 || fragment.has_more;
            (Place { key, first, header, end, is_last: !fragment.has_more }, is_fragment)
        } else {
            let ip = Ipv4::parse(bytes)?;
            let word = ip.fragment_word();
            let key = ListKey {
                src: Address::v4(ip.src()),
                dst: Address::v4(ip.dst()),
                id: ip.id().into(),
                protocol: ip.protocol(),
                is_v6: false,
                zone,
                recirc_id,
            };
            let first = usize::from(word & ipv4::FRAGMENT_OFFSET) * 8;
            let is_last = word & ipv4::MORE_FRAGMENTS == 0;
            let place = Place { key, first, header: ip.header_len(), end: ip.total_len(), is_last };
            let is_right = wire::checksum(bytes.get(..place.header)?) == 0;
            (place, ip.is_fragment() && is_right)
        };
        let fits = place.end > place.header && place.behind() <= MAX_LEN;
        (is_fragment && fits).then_some(place)
    }
}

/// Whether a packet is a fragment.
pub fn is_fragment(datagram: &impl Datagram) -> bool {
    let bytes = datagram.bytes();
    if datagram.is_v6() {
        fragment_header(bytes).is_some_and(|(_, fragment)| fragment.offset != 0 || fragment.has_more)
    } else {
        be16(bytes, 6) & (ipv4::MORE_FRAGMENTS | ipv4::FRAGMENT_OFFSET) != 0
    }
}

/// The fragment header of IPv6, and where it begins.
fn fragment_header(bytes: &[u8]) -> Option<(usize, Fragment)> {
    let ip = Ipv6::parse(bytes)?;
    let (mut next, mut at) = (ip.next_header(), ipv6::LEN);
    loop {
        let rest = bytes.get(at..)?;
        match next {
            protocol::FRAGMENT => return Some((at, Fragment::parse(rest)?)),
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DEST_OPTIONS => {
                next = byte(rest, 0);
                at += (usize::from(byte(rest, 1)) + 1) * 8;
            }
            _ => return None,
        }
    }
}

/// A packet that waits.
#[derive(Debug)]
struct Held<P> {
    packet: P,
    place: Place,
}

#[derive(Debug)]
struct List<P> {
    /// In the order of what they hold.
    parts: Vec<Held<P>>,
    since: Timestamp,
}

/// The fragments of a datapath that wait for others.
#[derive(Debug)]
pub struct Fragments<P> {
    waiting: Mutex<Waiting<P>>,
}

#[derive(Debug)]
struct Waiting<P> {
    lists: HashMap<ListKey, List<P>>,
    /// The lists in the order in which they began; some may be complete already.
    begun: VecDeque<(Timestamp, ListKey)>,
}

/// What becomes of a fragment.
#[derive(Debug)]
pub enum Taken<P> {
    /// It waits for others.
    Held,
    /// It is not put together with others, and tracked by itself.
    Alone(P),
    /// It cannot be put together with others, so it belongs to no connection.
    Invalid(P),
    /// All parts are there.
    Complete(Whole<P>),
}

impl<P> Default for Fragments<P> {
    fn default() -> Self {
        Fragments { waiting: Mutex::new(Waiting { lists: HashMap::new(), begun: VecDeque::new() }) }
    }
}

impl<P: Datagram> Fragments<P> {
    fn lock(&self) -> MutexGuard<'_, Waiting<P>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a fragment that is to be tracked in `zone`.
    pub fn take(
        &self,
        packet: P,
        zone: u16,
        recirc_id: u32,
        settings: &FragmentSettings,
        now: Timestamp,
    ) -> Taken<P> {
        let of = settings.of(packet.is_v6());
        if !of.is_enabled.load(Ordering::Relaxed) {
            return Taken::Alone(packet);
        }
        let Some(place) = Place::read(&packet, zone, recirc_id) else { return Taken::Invalid(packet) };
        if !place.is_last && place.end < of.min_size.load(Ordering::Relaxed) as usize {
            of.count(Counter::TooSmall, 1);
            return Taken::Invalid(packet);
        }
        let mut waiting = self.lock();
        waiting.expire(settings, now);
        if settings.held.load(Ordering::Relaxed) >= settings.max.load(Ordering::Relaxed) {
            return Taken::Alone(packet);
        }
        let waiting = &mut *waiting;
        let list = waiting.lists.entry(place.key).or_insert_with(|| {
            waiting.begun.push_back((now, place.key));
            List { parts: Vec::new(), since: now }
        });
        let index = list.parts.partition_point(|part| part.place.first < place.first);
        let before = index.checked_sub(1).and_then(|index| list.parts.get(index));
        let overlaps = before.is_some_and(|part| part.place.behind() > place.first)
            || list.parts.get(index).is_some_and(|part| part.place.first < place.behind());
        if overlaps {
            of.count(Counter::Overlapped, 1);
            return Taken::Invalid(packet);
        }
        of.count(Counter::Accepted, 1);
        settings.held.fetch_add(1, Ordering::Relaxed);
        list.parts.insert(index, Held { packet, place });
        if !list.is_complete() {
            return Taken::Held;
        }
        if list.frame_len() > MAX_LEN {
            // It is given up when its time is over, as the reference does.
            place.key.complain_of_length();
            return Taken::Held;
        }
        let Some(list) = waiting.lists.remove(&place.key) else { return Taken::Held };
        settings.held.fetch_sub(list.parts.len() as u32, Ordering::Relaxed);
        of.count(Counter::Completed, list.parts.len());
        Taken::Complete(Whole::new(list.parts))
    }

    /// Gives those up that have waited too long.
    pub fn expire(&self, settings: &FragmentSettings, now: Timestamp) {
        self.lock().expire(settings, now);
    }

    /// Those that wait, a line for each packet.
    pub fn show(&self) -> String {
        let mut out = String::new();
        for (key, list) in &self.lock().lists {
            let (src, dst) = (key.src.text(key.is_v6), key.dst.text(key.is_v6));
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "(src={src},dst={dst},recirc_id={},ip_id={},dl_type={:#x},zone={},nw_proto={},num_fragments={},state={})",
                key.recirc_id,
                key.id,
                if key.is_v6 { wire::ethernet::TYPE_IPV6 } else { wire::ethernet::TYPE_IPV4 },
                key.zone,
                key.protocol,
                list.parts.len(),
                list.state()
            );
        }
        out
    }
}

impl<P> Waiting<P> {
    fn expire(&mut self, settings: &FragmentSettings, now: Timestamp) {
        while let Some((since, key)) = self.begun.front().copied() {
            if now.since(since) < PATIENCE {
                return;
            }
            self.begun.pop_front();
            // Another packet may have the same key meanwhile.
            if self.lists.get(&key).is_some_and(|list| list.since == since)
                && let Some(list) = self.lists.remove(&key)
            {
                settings.held.fetch_sub(list.parts.len() as u32, Ordering::Relaxed);
                settings.of(key.is_v6).count(Counter::Expired, list.parts.len());
            }
        }
    }
}

impl<P> List<P> {
    fn has_first(&self) -> bool {
        self.parts.first().is_some_and(|part| part.place.first == 0)
    }

    /// Bytes of the frame that all parts are together.
    fn frame_len(&self) -> usize
    where
        P: Datagram,
    {
        let front = self.parts.first().map_or(0, |first| first.packet.link_len() + first.place.header);
        front + self.parts.last().map_or(0, |last| last.place.behind())
    }

    fn has_last(&self) -> bool {
        self.parts.last().is_some_and(|part| part.place.is_last)
    }

    fn is_complete(&self) -> bool {
        let gapless = |pair: &[Held<P>]| matches!(pair, [a, b] if a.place.behind() == b.place.first);
        self.has_first() && self.has_last() && self.parts.windows(2).all(gapless)
    }

    fn state(&self) -> &'static str {
        match (self.has_first(), self.has_last()) {
            (true, true) => "first/last frag",
            (true, false) => "first frag",
            (false, true) => "last frag",
            (false, false) => "other frag",
        }
    }
}

/// A packet of which all fragments are there.
#[derive(Debug)]
pub struct Whole<P> {
    bytes: Vec<u8>,
    parts: Vec<Held<P>>,
    is_v6: bool,
    header: usize,
}

impl<P: Datagram> Whole<P> {
    fn new(parts: Vec<Held<P>>) -> Whole<P> {
        let mut bytes = Vec::new();
        let (mut is_v6, mut header) = (false, 0);
        if let Some(first) = parts.first() {
            (is_v6, header) = (first.place.key.is_v6, first.place.header);
            bytes.extend(first.packet.bytes().get(..header).unwrap_or(&[]));
        }
        for part in &parts {
            let place = part.place;
            bytes.extend(part.packet.bytes().get(place.header..place.end).unwrap_or(&[]));
        }
        let len = bytes.len();
        if is_v6 {
            if let Some(mut ip) = Ipv6Mut::parse_header(&mut bytes) {
                ip.set_payload_len((len - ipv6::LEN.min(len)) as u16);
            }
            put16(&mut bytes, header - FRAGMENT_LEN.min(header) + 2, 0);
        } else {
            put16(&mut bytes, 2, len as u16);
            put16(&mut bytes, 6, 0);
            ipv4::write_checksum(bytes.get_mut(..header).unwrap_or(&mut []));
        }
        Whole { bytes, parts, is_v6, header }
    }

    /// The first fragment.
    pub fn first(&self) -> Option<&P> {
        self.parts.first().map(|part| &part.packet)
    }

    /// The fragments, with the addresses and the payload that the whole has now. A payload that has become longer stays as it
    /// was.
    pub fn into_parts(self) -> Vec<P> {
        let Whole { bytes, parts, is_v6, header } = self;
        let is_as_long = parts.last().is_some_and(|last| header + last.place.behind() == bytes.len());
        parts
            .into_iter()
            .map(|Held { mut packet, place }| {
                let target = packet.bytes_mut();
                if is_v6 {
                    if let (Some(mut to), Some(from)) =
                        (Ipv6Mut::parse_header(target), Ipv6::parse_header(&bytes))
                    {
                        to.set_src(from.src());
                        to.set_dst(from.dst());
                    }
                } else if let (Some(mut to), Some(from)) =
                    (Ipv4Mut::parse_header(target), Ipv4::parse_header(&bytes))
                {
                    to.set_src(from.src());
                    to.set_dst(from.dst());
                }
                let from = bytes.get(header + place.first..header + place.behind());
                if let (true, Some(to), Some(from)) =
                    (is_as_long, target.get_mut(place.header..place.end), from)
                {
                    to.copy_from_slice(from);
                }
                packet
            })
            .collect()
    }
}

impl<P: Datagram> Datagram for Whole<P> {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    fn is_v6(&self) -> bool {
        self.is_v6
    }

    fn link_len(&self) -> usize {
        self.parts.first().map_or(0, |first| first.packet.link_len())
    }

    fn checksum(&self) -> KnownChecksum {
        KnownChecksum::Unknown
    }

    fn splice(&mut self, at: usize, count: usize, with: &[u8]) {
        let end = (at + count).min(self.bytes.len());
        self.bytes.splice(at.min(end)..end, with.iter().copied());
    }
}
