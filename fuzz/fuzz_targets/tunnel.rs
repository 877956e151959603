#![no_main]
//! Any bytes arrive for a tunnel of any kind: its headers are taken off, or the packet is left as it was.

use dp::{Packet, TunnelKind, TunnelOption, TunnelSettings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let option = TunnelOption { class: 0x102, kind: 0x80, len: 4, field: 0 };
    let settings = TunnelSettings { options: vec![option], ..TunnelSettings::default() };
    for kind in TunnelKind::ALL {
        match dp_user::take_off_tunnel_headers(Packet::from_bytes(bytes), kind, &settings) {
            Ok(packet) => _ = packet.key(flow::MAX_VLANS),
            Err(packet) => assert_eq!(packet.bytes(), bytes),
        }
    }
});
