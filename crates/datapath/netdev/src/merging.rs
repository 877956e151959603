//! Merging of received TCP segments into trains, on devices where it is off
//! and whose other end cuts its own segments: a virtual machine or a container
//! without segmentation offload. Each frame costs the same way through the
//! switch, whether it is one segment or a train of forty.
//!
//! It is off by default on veth, and costs small packets a little, so it is
//! turned on while a device receives many segments, and off again after.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use dp::Packet;

/// After how many segments a device asks for merging.
const WORTH: u32 = 4096;
/// Reviews without a train after which merging ends.
const IDLE_REVIEWS: u8 = 5;
/// Frames shorter than this are not worth merging.
const LONG: usize = 1000;

const OFF: u8 = 0;
const ASKING: u8 = 1;
const ON: u8 = 2;
/// It cannot be turned on, is not ours to turn on, or is of no use.
const BARRED: u8 = 3;

/// What one device receives, and whether it merges for our sake.
#[derive(Debug, Default)]
pub struct Merging {
    state: AtomicU8,
    segments: AtomicU32,
    trains: AtomicU32,
    idle: AtomicU8,
}

impl Merging {
    /// Takes note of a frame that was received.
    #[inline]
    pub(crate) fn received(&self, packet: &Packet) {
        if packet.offload.segmentation.is_some() {
            self.trains.fetch_add(1, Ordering::Relaxed);
        } else if packet.len() >= LONG && is_tcp(packet.bytes()) {
            self.segments.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the device has begun to ask just now.
    #[inline]
    pub fn begins_to_ask(&self) -> bool {
        self.segments.load(Ordering::Relaxed) >= WORTH && self.ask()
    }

    /// Asks for the device, also for segments that do not come this way; whether it has begun to ask just now.
    pub fn ask(&self) -> bool {
        self.state.compare_exchange(OFF, ASKING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether the device receives many segments, and waits for a decision.
    pub fn is_asking(&self) -> bool {
        self.state.load(Ordering::Acquire) == ASKING
    }

    /// Whether it merges for our sake.
    pub fn is_on(&self) -> bool {
        self.state.load(Ordering::Acquire) == ON
    }

    /// Turns merging on for a device that asks; whether that could be done.
    pub(crate) fn begin(&self, name: &str) -> bool {
        let is_veth = netlink::link(name).is_ok_and(|link| link.is_some_and(|link| link.kind == "veth"));
        let is_begun =
            is_veth && netlink::is_merging(name) == Some(false) && netlink::set_merging(name, true);
        self.restart(if is_begun { ON } else { BARRED });
        is_begun
    }

    /// Called between equal times while merging is on: whether it is to end.
    pub fn is_idle(&self) -> bool {
        if self.trains.swap(0, Ordering::Relaxed) > 0 {
            self.segments.store(0, Ordering::Relaxed);
            self.idle.store(0, Ordering::Relaxed);
            return false;
        }
        self.idle.fetch_add(1, Ordering::Relaxed) + 1 >= IDLE_REVIEWS
    }

    /// Turns merging off; for good where segments came one by one all the same, as on kernels whose veth does not merge.
    pub(crate) fn end(&self, name: &str) {
        // Where the device is gone, so is what it was set to.
        netlink::set_merging(name, false);
        let is_useless = self.segments.load(Ordering::Relaxed) >= WORTH;
        self.restart(if is_useless { BARRED } else { OFF });
    }

    fn restart(&self, state: u8) {
        for counter in [&self.segments, &self.trains] {
            counter.store(0, Ordering::Relaxed);
        }
        self.idle.store(0, Ordering::Relaxed);
        self.state.store(state, Ordering::Release);
    }
}

/// Whether an untagged frame is TCP over IPv4 or IPv6 without extensions.
fn is_tcp(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(23) == Some(&6),
        Some([0x86, 0xdd]) => frame.get(20) == Some(&6),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> Packet {
        let mut frame = vec![0; 1514];
        frame[12] = 8;
        frame[23] = 6;
        let mut packet = Packet::with_capacity(2048);
        packet.append(&frame);
        packet
    }

    #[test]
    fn who_receives_many_segments_asks_once() {
        let merging = Merging::default();
        for _ in 1..WORTH {
            merging.received(&segment());
        }
        assert!(!merging.begins_to_ask());
        merging.received(&segment());
        assert!(merging.begins_to_ask() && merging.is_asking());
        assert!(!merging.begins_to_ask());
        // No such device: nothing is turned on, and nobody asks again.
        assert!(!merging.begin("no-such-link"));
        for _ in 0..=WORTH {
            merging.received(&segment());
        }
        assert!(!merging.begins_to_ask());
    }

    #[test]
    fn merging_ends_when_no_trains_come() {
        let merging = Merging::default();
        merging.restart(ON);
        let mut train = segment();
        train.offload.segmentation = Some(dp::Segmentation { kind: 1, header_len: 54, size: 1460 });
        for _ in 0..20 {
            merging.received(&train);
            assert!(!merging.is_idle());
        }
        for review in 1..=IDLE_REVIEWS {
            assert_eq!(merging.is_idle(), review == IDLE_REVIEWS);
        }
        merging.end("no-such-link");
        assert!(!merging.is_on());
    }

    #[test]
    fn a_pair_merges_while_it_is_asked_to() {
        use crate::testing::has_pair;
        if !has_pair("p", "w") {
            return;
        }
        let is_merging = || netlink::is_merging("p").unwrap();
        let merging = Merging::default();
        (0..WORTH).for_each(|_| merging.received(&segment()));
        assert!(merging.begins_to_ask() && !is_merging());
        assert!(merging.begin("p") && merging.is_on() && is_merging());
        merging.end("p");
        assert!(!merging.is_on() && !is_merging());
        // It merges already, and not for our sake: it is left alone.
        assert!(netlink::set_merging("p", true));
        assert!(!merging.begin("p") && is_merging());
    }

    #[test]
    fn merging_that_is_of_no_use_is_not_asked_for_again() {
        let merging = Merging::default();
        merging.restart(ON);
        (0..WORTH).for_each(|_| merging.received(&segment()));
        merging.end("no-such-link");
        (0..WORTH).for_each(|_| merging.received(&segment()));
        assert!(!merging.begins_to_ask());
    }

    #[test]
    fn only_long_tcp_segments_count() {
        let merging = Merging::default();
        let mut other = segment();
        other.bytes_mut()[23] = 17;
        for packet in
            [other, Packet::from_bytes(&segment().bytes()[..LONG - 1]), Packet::from_bytes(&[0; 10])]
        {
            (0..WORTH).for_each(|_| merging.received(&packet));
        }
        assert!(!merging.begins_to_ask());
        let mut ipv6 = segment();
        ipv6.bytes_mut()[12..14].copy_from_slice(&[0x86, 0xdd]);
        ipv6.bytes_mut()[20] = 6;
        (0..WORTH).for_each(|_| merging.received(&ipv6));
        assert!(merging.begins_to_ask());
    }
}
