//! The door to connection tracking: packets as the tracker wants them.

use std::borrow::{Borrow, BorrowMut};

use base::Timestamp;
use conntrack::{
    Action, Address, Datagram, Fragments, Helper, KnownChecksum, Metadata, Nat, NatAction, Taken, Tracker,
    Translated,
};
use dp::sums::{self, Known};
use dp::{Conntrack, NatKind, NatRange, Packet, Tracked};
use wire::ethernet;

/// The fragments that wait for others.
pub(crate) type Waiting = Fragments<Whole>;

/// Tracks a packet. What is no IP goes on as it is. `verified` counts the checksums over IPv4 headers that are verified.
pub(crate) fn track(
    tracker: &Tracker,
    waiting: &Waiting,
    mut packet: Packet,
    wanted: &Conntrack,
    now: Timestamp,
    verified: &mut u64,
) -> Tracked {
    let (at, ether_type) = dp::execute::l3(&packet);
    let is_v6 = match ether_type {
        ethernet::TYPE_IPV4 => false,
        ethernet::TYPE_IPV6 => true,
        _ => return Tracked::Packet(packet),
    };
    *verified += u64::from(!is_v6 && network_checksum(&packet) == KnownChecksum::Unknown);
    let seen = Seen { packet: &mut packet, at, is_v6 };
    if conntrack::is_fragment(&seen) {
        return track_fragment(tracker, waiting, Whole { packet, at, is_v6 }, wanted, now);
    }
    let mut ct = packet.metadata.ct.take().unwrap_or_default();
    let mut known = Metadata::from(&*ct);
    sums::leave_to_sender(&mut packet, |packet| {
        tracker.track(&mut Seen { packet, at, is_v6 }, &mut known, &action(wanted), now);
    });
    known.write_to(&mut ct);
    packet.metadata.ct = Some(ct);
    Tracked::Packet(packet)
}

/// Tracks the whole packet when all of its fragments are there; each then goes on by itself.
#[cold]
fn track_fragment(
    tracker: &Tracker,
    waiting: &Waiting,
    fragment: Whole,
    wanted: &Conntrack,
    now: Timestamp,
) -> Tracked {
    let recirc_id = fragment.packet.metadata.recirc_id;
    let known = |packet: &Packet| packet.metadata.ct.as_deref().map(Metadata::from).unwrap_or_default();
    let tell = |packet: &mut Packet, known: &Metadata| {
        let mut ct = packet.metadata.ct.take().unwrap_or_default();
        known.write_to(&mut ct);
        packet.metadata.ct = Some(ct);
    };
    match waiting.take(fragment, wanted.zone, recirc_id, &tracker.fragments, now) {
        Taken::Held => Tracked::Held,
        Taken::Invalid(mut alone) => {
            tell(&mut alone.packet, &Metadata::invalid(wanted.zone));
            Tracked::Packet(alone.packet)
        }
        Taken::Alone(mut alone) => {
            let mut ct = known(&alone.packet);
            tracker.track(&mut alone, &mut ct, &action(wanted), now);
            tell(&mut alone.packet, &ct);
            Tracked::Packet(alone.packet)
        }
        Taken::Complete(mut whole) => {
            let mut ct = whole.first().map(|first| known(&first.packet)).unwrap_or_default();
            tracker.track(&mut whole, &mut ct, &action(wanted), now);
            let tell = |mut part: Whole| {
                tell(&mut part.packet, &ct);
                part.packet
            };
            Tracked::Packets(whole.into_parts().into_iter().map(tell).collect())
        }
    }
}

/// A packet from its IP header on, wherever it is kept.
pub(crate) struct Carried<P> {
    packet: P,
    at: usize,
    is_v6: bool,
}

/// One that is kept here.
pub(crate) type Whole = Carried<Packet>;
/// One that somebody else has.
type Seen<'a> = Carried<&'a mut Packet>;

impl<P: Borrow<Packet> + BorrowMut<Packet>> Datagram for Carried<P> {
    fn bytes(&self) -> &[u8] {
        self.packet.borrow().bytes().get(self.at..).unwrap_or(&[])
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.packet.borrow_mut().bytes_mut().get_mut(self.at..).unwrap_or(&mut [])
    }

    fn is_v6(&self) -> bool {
        self.is_v6
    }

    fn link_len(&self) -> usize {
        self.at
    }

    fn checksum(&self) -> KnownChecksum {
        let packet = self.packet.borrow();
        if packet.offload.checksum.is_some() {
            KnownChecksum::Partial
        } else if packet.offload.is_checksum_good || packet.offload.segmentation.is_some() {
            KnownChecksum::Good
        } else {
            packet.sums.as_ref().map_or(KnownChecksum::Unknown, |sums| known(sums.outer.transport))
        }
    }

    fn network_checksum(&self) -> KnownChecksum {
        network_checksum(self.packet.borrow())
    }

    fn splice(&mut self, at: usize, count: usize, with: &[u8]) {
        let (begin, end) = (self.at + at, self.at + at + count);
        let packet = self.packet.borrow_mut();
        let rest = packet.bytes().get(end..).unwrap_or(&[]).to_vec();
        packet.set_len(begin);
        packet.append(with);
        packet.append(&rest);
    }
}

/// What is known of the checksum over the packet's first network header.
fn network_checksum(packet: &Packet) -> KnownChecksum {
    packet.sums.as_ref().map_or(KnownChecksum::Unknown, |sums| known(sums.outer.network))
}

fn known(sum: Known) -> KnownChecksum {
    match sum {
        Known::Nothing => KnownChecksum::Unknown,
        Known::Bad => KnownChecksum::Bad,
        // What is due is right once it is computed, whatever stands there now.
        Known::Good | Known::Due => KnownChecksum::Good,
    }
}

fn action(wanted: &Conntrack) -> Action<'_> {
    let named =
        |helper: &Helper| wanted.helper.as_deref().is_some_and(|name| name.starts_with(helper.name()));
    Action {
        commit: wanted.commit || wanted.force,
        force: wanted.force,
        zone: wanted.zone,
        mark: wanted.mark,
        label: wanted.label,
        helper: [Helper::Ftp, Helper::Tftp].into_iter().find(named),
        policy: wanted.timeout.as_deref(),
        nat: wanted.nat.as_ref().map(nat),
    }
}

fn nat(wanted: &dp::Nat) -> NatAction {
    let translated = match wanted.kind {
        None => return NatAction::Existing,
        Some(NatKind::Source) => Translated::Source,
        Some(NatKind::Destination) => Translated::Destination,
    };
    let (first, last) = match wanted.range {
        None => (Address::default(), Address::default()),
        Some(NatRange::V4(first, last)) => (Address::v4(first), Address::v4(last)),
        Some(NatRange::V6(first, last)) => (Address::v6(first), Address::v6(last)),
    };
    let (low, high) = wanted.ports;
    NatAction::New(Nat {
        translated,
        addresses: (first, if last.is_zero() { first } else { last }),
        ports: (wanted.ports != (0, 0)).then_some((low, if high == 0 { low } else { high })),
        is_persistent: wanted.persistent,
        is_random: wanted.random,
    })
}
