//! Connections a second, and packets of connections that are there.

use std::hint::black_box;

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
}

criterion_group!(group, benches);
criterion_main!(group);
