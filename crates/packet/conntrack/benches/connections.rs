//! Connections a second, packets of connections that are there, and how long others wait for a sweep at most.

use std::hint::black_box;
use std::time::Duration;

use base::Timestamp;
use conntrack::{Action, Datagram, KnownChecksum, Metadata, Tracker};
use criterion::{Criterion, criterion_group, criterion_main};

/// A packet whose checksum was found right.
struct Bytes([u8; 40]);

impl Datagram for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn is_v6(&self) -> bool {
        false
    }

    fn link_len(&self) -> usize {
        14
    }

    fn checksum(&self) -> KnownChecksum {
        KnownChecksum::Good
    }

    fn splice(&mut self, _: usize, _: usize, _: &[u8]) {}
}

/// A segment of connection `number`.
fn segment(number: u32, flags: u8) -> Bytes {
    let mut bytes = [0; 40];
    bytes[..20].copy_from_slice(&wire::ipv4::header(number, 0x0a00_0002, 6, 0, 64, 0, 20));
    bytes[20..24].copy_from_slice(&[1, 2, 3, 4]);
    (bytes[32], bytes[33]) = (0x50, flags);
    Bytes(bytes)
}

const SYN: u8 = 2;
const ACK: u8 = 16;

fn benches(c: &mut Criterion) {
    let commit = Action { commit: true, zone: 1, ..Action::default() };
    let look = Action { commit: false, ..commit };
    let now = Timestamp::ZERO;
    let tracker = Tracker::new(7);
    tracker.set_max(u32::MAX);
    let mut number = 0;
    c.bench_function("a new connection", |b| {
        b.iter(|| {
            number += 1;
            let mut ct = Metadata::default();
            tracker.track(&mut segment(number, SYN), &mut ct, &commit, now);
            black_box(ct)
        });
    });
    let tracker = Tracker::new(7);
    for number in 0..1_000_000 {
        tracker.track(&mut segment(number, SYN), &mut Metadata::default(), &commit, now);
    }
    let mut number = 0u32;
    c.bench_function("a packet, of a million connections", |b| {
        b.iter(|| {
            // Far from the one before.
            number = (number + 7919) % 1_000_000;
            let mut ct = Metadata::default();
            tracker.track(&mut segment(number, ACK), &mut ct, &look, now);
            black_box(ct)
        });
    });
    c.bench_function("a step of the sweep, of a million connections", |b| b.iter(|| tracker.sweep(now)));
    // Connections that nobody answered are over after half a minute.
    for (what, now) in [("keeps", now), ("removes", Timestamp::from_millis(1_000_000))] {
        let (longest, memory) = longest_step(&tracker, now);
        println!(
            "the longest step of a sweep that {what} a million connections: {longest:?} of processor time"
        );
        println!("and of the step that gives all memory back: {memory:?}");
        assert!(longest < MOST, "a step of a sweep must take less than {MOST:?}");
    }
    assert_eq!(tracker.count(), 0);
}

/// Packets of one shard wait no longer for a sweep.
const MOST: Duration = Duration::from_millis(1);

/// Of a whole sweep; of the step behind which no connection is left, apart: it gives memory back when nobody waits any more.
/// Other programs that use the processor do not count.
fn longest_step(tracker: &Tracker, now: Timestamp) -> (Duration, Duration) {
    // To the beginning of a round.
    while !tracker.sweep(Timestamp::ZERO) {}
    let (mut longest, mut memory) = (Duration::ZERO, Duration::ZERO);
    loop {
        let begun = processor_time();
        let is_last = tracker.sweep(now);
        let taken = processor_time() - begun;
        let place = if tracker.count() == 0 { &mut memory } else { &mut longest };
        *place = taken.max(*place);
        if is_last {
            return (longest, memory);
        }
    }
}

/// Of this thread.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

criterion_group!(group, benches);
criterion_main!(group);
