//! The door to connection tracking: packets as the tracker wants them.

use base::Timestamp;
use conntrack::{Action, Address, Datagram, Helper, KnownChecksum, Metadata, Nat, NatAction, Translated};
use dp::{Conntrack, NatKind, NatRange, Packet};
use wire::ethernet;

/// Tracks a packet; what is no IP is invalid to the tracker.
pub(crate) fn track(tracker: &conntrack::Tracker, packet: &mut Packet, wanted: &Conntrack, now: Timestamp) {
    let (at, ether_type) = dp::execute::l3(packet);
    let is_v6 = match ether_type {
        ethernet::TYPE_IPV4 => false,
        ethernet::TYPE_IPV6 => true,
        _ => return,
    };
    let mut ct = packet.metadata.ct.take().unwrap_or_default();
    let mut known = Metadata::from(&*ct);
    tracker.track(&mut Seen { packet, at, is_v6 }, &mut known, &action(wanted), now);
    known.write_to(&mut ct);
    packet.metadata.ct = Some(ct);
}

/// A packet from its IP header on.
struct Seen<'a> {
    packet: &'a mut Packet,
    at: usize,
    is_v6: bool,
}

impl Datagram for Seen<'_> {
    fn bytes(&self) -> &[u8] {
        self.packet.bytes().get(self.at..).unwrap_or(&[])
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.packet.bytes_mut().get_mut(self.at..).unwrap_or(&mut [])
    }

    fn is_v6(&self) -> bool {
        self.is_v6
    }

    fn checksum(&self) -> KnownChecksum {
        if self.packet.offload.checksum.is_some() {
            KnownChecksum::Partial
        } else if self.packet.offload.is_checksum_good || self.packet.offload.segmentation.is_some() {
            KnownChecksum::Good
        } else {
            KnownChecksum::Unknown
        }
    }

    fn splice(&mut self, at: usize, count: usize, with: &[u8]) {
        let (begin, end) = (self.at + at, self.at + at + count);
        let rest = self.packet.bytes().get(end..).unwrap_or(&[]).to_vec();
        self.packet.set_len(begin);
        self.packet.append(with);
        self.packet.append(&rest);
    }
}

fn action(wanted: &Conntrack) -> Action<'_> {
    let named = |helper: &Helper| wanted.helper.as_deref().is_some_and(|name| name.starts_with(helper.name()));
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
