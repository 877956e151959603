//! Lookups in the megaflow table: extraction, signature cache, subtables.

use std::hint::black_box;

use base::{DpPort, MacAddr};
use classifier::Megaflows;
use criterion::{Criterion, criterion_group, criterion_main};
use flow::{FlowMask, Metadata, PacketKey, slot};

fn frame(flow: u32) -> Vec<u8> {
    let mut bytes = wire_header();
    bytes[26..30].copy_from_slice(&flow.to_be_bytes());
    bytes
}

/// Ethernet, IPv4, UDP.
fn wire_header() -> Vec<u8> {
    let mut bytes = MacAddr([2; 6]).0.to_vec();
    bytes.extend(MacAddr([4; 6]).0);
    bytes.extend([8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    bytes.extend([1, 2, 3, 4, 0, 26, 0, 0]);
    bytes.resize(60, 0);
    bytes
}

fn benches(c: &mut Criterion) {
    let md = Metadata::new(DpPort(1));
    let mut key = PacketKey::new();
    let bytes = frame(7);
    c.bench_function("extract udp", |b| b.iter(|| key.refill(black_box(&md), black_box(&bytes), 1)));
    c.bench_function("hash", |b| b.iter(|| black_box(&key).hash()));

    let mut table = Megaflows::new();
    let mut mask = FlowMask::new();
    for place in
        [slot::IN_PORT, slot::DL_DST, slot::DL_SRC, slot::NW_SRC, slot::NW_DST, slot::NW_PROTO, slot::TP_SRC]
    {
        mask.add_all(place);
    }
    for flow in 0..10_000 {
        key.refill(&md, &frame(flow), 1);
        table.insert(key.key(), &mask, flow);
    }
    let mut flow = 0;
    c.bench_function("cache hit, 10,000 flows", |b| {
        b.iter(|| {
            flow = (flow + 1) % 10_000;
            key.refill(&md, &frame(flow), 1);
            table.lookup(&key, key.hash())
        });
    });
    c.bench_function("table hit, one mask", |b| b.iter(|| table.lookup_table(black_box(key.key()))));
}

criterion_group!(group, benches);
criterion_main!(group);
