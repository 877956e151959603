#![no_main]
//! Any bytes are packets of connections, tracked one after the other with translation, helpers and fragments: nothing panics,
//! translated packets keep their checksums, and no more is kept than may be.

use base::Timestamp;
use conntrack::{
    Action, Address, Datagram, Fragments, Helper, KnownChecksum, Metadata, Nat, NatAction, Taken, Tracker, Translated,
};
use libfuzzer_sys::fuzz_target;

struct Bytes(Vec<u8>);

impl Datagram for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn is_v6(&self) -> bool {
        self.0.first().is_some_and(|first| first >> 4 == 6)
    }

    fn link_len(&self) -> usize {
        14
    }

    fn checksum(&self) -> KnownChecksum {
        KnownChecksum::Good
    }

    fn splice(&mut self, at: usize, count: usize, with: &[u8]) {
        let end = (at + count).min(self.0.len());
        self.0.splice(at.min(end)..end, with.iter().copied());
    }
}

/// What a byte asks for.
fn action(byte: u8) -> Action<'static> {
    let translated = if byte & 1 == 0 { Translated::Source } else { Translated::Destination };
    let nat = Nat {
        translated,
        addresses: (Address::v4(1), Address::v4(3)),
        ports: (byte & 2 != 0).then_some((20, 25)),
        is_persistent: byte & 4 != 0,
        is_random: byte & 8 != 0,
    };
    Action {
        commit: byte & 16 != 0,
        force: byte & 32 != 0,
        zone: u16::from(byte & 3),
        helper: (byte & 64 != 0).then_some(Helper::Ftp),
        nat: (byte & 128 != 0).then_some(if byte & 16 != 0 { NatAction::New(nat) } else { NatAction::Existing }),
        ..Action::default()
    }
}

fuzz_target!(|bytes: &[u8]| {
    let tracker = Tracker::new(1);
    tracker.set_max(64);
    tracker.fragments.set_max(8);
    let fragments = Fragments::default();
    let mut rest = bytes;
    let mut now = 0;
    // An action, a length, and so many bytes.
    while let [wanted, len, tail @ ..] = rest {
        let (packet, behind) = tail.split_at(usize::from(*len).min(tail.len()));
        rest = behind;
        let (mut packet, mut ct, action) = (Bytes(packet.to_vec()), Metadata::default(), action(*wanted));
        if !packet.is_v6() && packet.0.len() >= 20 {
            // Sums that are wrong end most ways at once.
            wire::ipv4::write_checksum(&mut packet.0);
        }
        now += u64::from(*len);
        let at = Timestamp::from_millis(now * 100);
        if conntrack::is_fragment(&packet) {
            match fragments.take(packet, action.zone, 0, &tracker.fragments, at) {
                Taken::Held | Taken::Invalid(_) => {}
                Taken::Alone(mut alone) => tracker.track(&mut alone, &mut ct, &action, at),
                Taken::Complete(mut whole) => {
                    tracker.track(&mut whole, &mut ct, &action, at);
                    assert!(!whole.into_parts().is_empty());
                }
            }
        } else {
            let len = packet.0.len();
            tracker.track(&mut packet, &mut ct, &action, at);
            assert!(ct.state != 0);
            assert!(tracker.expectations(None).is_empty() || packet.0.len() + 128 > len);
        }
        assert!(tracker.count() <= 64);
        if tracker.sweep(at) {
            tracker.visit(None, at, |_| ());
        }
    }
});
