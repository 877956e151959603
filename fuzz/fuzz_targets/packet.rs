#![no_main]
//! Any bytes are a packet: extraction gives a key, and a composed packet of that key gives it again where it can.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let key = flow::extract(&flow::Metadata::default(), bytes, flow::MAX_VLANS);
    let again = flow::extract(&flow::Metadata::default(), bytes, flow::MAX_VLANS);
    assert_eq!(key, again);
    let _ = flow::compose(&key, None);
});
