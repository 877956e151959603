//! Choosing the addresses and ports that a connection is translated to.

use base::Timestamp;
use flow::extract::mix;
use wire::protocol;

use crate::connection::Translated;
use crate::key::{Address, Key};
use crate::table::Table;

/// What a rule asks of a translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nat {
    /// Which address is translated.
    pub translated: Translated,
    /// First and last address; zero: the packet's own.
    pub addresses: (Address, Address),
    /// First and last port; `None`: any for the source, the packet's own for the destination.
    pub ports: Option<(u16, u16)>,
    /// The same address gets the same one again.
    pub is_persistent: bool,
    /// Ports are chosen at random.
    pub is_random: bool,
}

/// How many ports are tried in a row before another place is tried.
const MAX_TRIES: u32 = 128;
/// How few are worth another place.
const LEAST_TRIES: u32 = 16;

/// The key that replies will have, kept in the table under the number of its alias; `None` when all that may be chosen is
/// taken.
pub(crate) fn choose(
    table: &Table,
    original: &Key,
    nat: &Nat,
    random: u64,
    now: Timestamp,
) -> Option<(Key, u32)> {
    let secret = range_hash(original, table.basis(), nat);
    let (of_address, of_port) = if nat.is_persistent {
        (persistent_hash(original, nat), if nat.is_random { random } else { secret })
    } else {
        (secret, if nat.is_random { random } else { secret })
    };
    let address = address(original, nat, of_address as u32);
    let mut reply = original.reversed();
    match nat.translated {
        Translated::Source => reply.dst.address = address,
        Translated::Destination => reply.src.address = address,
    }
    if !has_ports(original) {
        return table.reserve(&reply, original, now).map(|alias| (reply, alias));
    }
    let mut search = Search { table, original, reply, random, now };
    if let (Translated::Destination, Some(range)) = (nat.translated, nat.ports)
        && let Some(found) = search.ports(Side::Destination, Range::at(range, of_port as u32))
    {
        return Some(found);
    }
    if let (Translated::Destination, Some(range)) = (nat.translated, nat.ports) {
        // The last one that was tried stands for the destination, and the source gives way.
        search.reply.src.port = Range::at(range, of_port as u32).first_tried;
    }
    let range = match (nat.translated, nat.ports) {
        (Translated::Source, Some(range)) => Range::at(range, of_port as u32),
        (Translated::Source, None) | (Translated::Destination, _) => Range::around(original.src.port),
    };
    search.ports(Side::Source, range)
}

/// Whether ports, or identifiers, can be chosen.
fn has_ports(key: &Key) -> bool {
    matches!(key.protocol, protocol::TCP | protocol::UDP | protocol::SCTP | protocol::ICMP)
}

fn range_hash(key: &Key, basis: u64, nat: &Nat) -> u64 {
    let hash = persistent_hash(key, nat);
    let far = key.dst.address.number();
    let ports = u64::from(key.src.port) << 16 | u64::from(key.dst.port);
    mix(mix(mix(mix(basis, hash), (far >> 64) as u64), far as u64), ports)
}

fn persistent_hash(key: &Key, nat: &Nat) -> u64 {
    let numbers = [key.src.address, nat.addresses.0, nat.addresses.1];
    let hash = numbers
        .iter()
        .fold(0, |hash, address| mix(mix(hash, (address.number() >> 64) as u64), address.number() as u64));
    let (first, last) = nat.ports.unwrap_or_default();
    let rest = u64::from(first) << 48 | u64::from(last) << 32 | u64::from(key.zone) << 16;
    mix(hash, rest | u64::from(key.protocol) << 8 | u64::from(key.is_v6))
}

fn address(original: &Key, nat: &Nat, hash: u32) -> Address {
    let (first, last) = nat.addresses;
    if first.is_zero() {
        return match nat.translated {
            Translated::Source => original.src.address,
            Translated::Destination => original.dst.address,
        };
    }
    let span = last.number().saturating_sub(first.number()).min(u128::from(u32::MAX) - 1) + 1;
    let chosen = first.number() + u128::from(hash) % span;
    if original.is_v6 { Address::v6(chosen) } else { Address::v4(chosen as u32) }
}

/// Whose port is chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
}

/// Ports, and with which one to begin; that need not be among them.
#[derive(Clone, Copy)]
struct Range {
    first: u16,
    last: u16,
    first_tried: u16,
}

impl Range {
    fn at((first, last): (u16, u16), hash: u32) -> Range {
        let last = last.max(first);
        let first_tried = first + (hash % (u32::from(last - first) + 1)) as u16;
        Range { first, last, first_tried }
    }

    /// The ports that stand for one that is not restricted: of the same kind.
    fn around(port: u16) -> Range {
        let (first, last) = match port {
            0..512 => (1, 511),
            512..1024 => (600, 1023),
            1024.. => (1024, u16::MAX),
        };
        Range { first, last, first_tried: port }
    }

    fn len(&self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    fn next(&self, port: u16) -> u16 {
        if (self.first..self.last).contains(&port) { port + 1 } else { self.first }
    }
}

struct Search<'a> {
    table: &'a Table,
    original: &'a Key,
    reply: Key,
    random: u64,
    now: Timestamp,
}

impl Search<'_> {
    fn ports(&mut self, side: Side, range: Range) -> Option<(Key, u32)> {
        let mut tries = range.len().min(MAX_TRIES);
        let mut port = range.first_tried;
        // One outside of the range is tried besides.
        let mut left = range.len() + u32::from(!(range.first..=range.last).contains(&port));
        loop {
            for _ in 0..tries.min(left) {
                let mut reply = self.reply;
                match side {
                    Side::Source => {
                        reply.dst.port = port;
                        if reply.is_icmp() {
                            reply.src.port = port;
                        }
                    }
                    Side::Destination => reply.src.port = port,
                }
                if let Some(alias) = self.table.reserve(&reply, self.original, self.now) {
                    return Some((reply, alias));
                }
                port = range.next(port);
            }
            left = range.len();
            if tries >= range.len() || tries < LEAST_TRIES {
                return None;
            }
            tries /= 2;
            self.random = mix(self.random, u64::from(tries));
            port = range.first + (self.random % u64::from(range.len())) as u16;
        }
    }
}
