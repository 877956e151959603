#![no_main]
//! Any bytes are read as datagrams of NetFlow and IPFIX, one after the other, by the templates that earlier ones had: each
//! begins with its length in two bytes. What is read has no more values than bytes.

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use telemetry::flow_reader::FlowReader;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = FlowReader::default();
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (datagram, after) = after.split_at(length);
        rest = after;
        if let Ok(read) = reader.read(IpAddr::V4(Ipv4Addr::LOCALHOST), datagram) {
            let values: usize = read.records.iter().map(|record| record.values.len()).sum();
            assert!(values <= datagram.len());
        }
    }
});
