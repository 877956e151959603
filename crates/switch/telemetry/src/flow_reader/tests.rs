//! Datagrams of each version, and any bytes.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::netflow_v5::{Header, Record, datagram};

const EXPORTER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn halves(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A set of this body.
fn set(id: u16, body: &[u8]) -> Vec<u8> {
    [&halves(&[id, 4 + body.len() as u16])[..], body].concat()
}

/// A message of IPFIX of domain 7.
fn ipfix(sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let mut message = halves(&[10, 16 + body.len() as u16]);
    [1u32, 2, 7].iter().for_each(|word| message.extend(word.to_be_bytes()));
    [message, body].concat()
}

fn iana(id: u16) -> Element {
    Element { enterprise: 0, id }
}

#[test]
fn netflow_5_is_read() {
    let record = Record {
        src: Ipv4Addr::new(10, 0, 0, 1),
        dst: Ipv4Addr::new(10, 0, 0, 2),
        input: 1,
        output: 2,
        packets: 3,
        bytes: 4,
        first_ms: 5,
        last_ms: 6,
        src_port: 7,
        dst_port: 8,
        tcp_flags: 9,
        protocol: 6,
        tos: 11,
    };
    let bytes = datagram(&Header { sequence: 5, engine_id: 3, ..Header::default() }, &[record, record]);
    let read = FlowReader::default().read(EXPORTER, &bytes).unwrap();
    assert_eq!((read.version, read.sequence, read.domain, read.records.len()), (5, 5, 3, 2));
    let values = &read.records[1].values;
    assert_eq!(values[0], (iana(8), &[10, 0, 0, 1][..]));
    assert_eq!(values[5], (iana(2), &[0, 0, 0, 3][..]));
    assert_eq!(values[13], (iana(4), &[6][..]));
    assert_eq!(FlowReader::default().read(EXPORTER, &bytes[..60]), Err(ReadError::Cut));
}

#[test]
fn netflow_9_is_read_by_its_templates() {
    let mut message = halves(&[9, 2]);
    [0u32, 1, 2, 7].iter().for_each(|word| message.extend(word.to_be_bytes()));
    message.extend(set(0, &halves(&[256, 2, 8, 4, 0x8001, 2])));
    message.extend(set(1, &halves(&[257, 4, 4, 1, 2, 2, 2])));
    message.extend(set(256, &[10, 0, 0, 1, 0, 9, 0, 0]));
    message.extend(set(257, &[0, 1, 0, 2]));
    let mut reader = FlowReader::default();
    let read = reader.read(EXPORTER, &message).unwrap();
    assert_eq!((read.version, read.time, read.sequence, read.domain), (9, 1, 2, 7));
    let values = [(iana(8), &[10, 0, 0, 1][..]), (iana(0x8001), &[0, 9])];
    assert_eq!(read.records[0], FlowRecord { template: 256, values: values.into() });
    assert_eq!(read.records[1].values, [(iana(1), &[0, 1][..]), (iana(2), &[0, 2])]);
}

#[test]
fn ipfix_is_read_by_the_templates_of_its_exporter_and_domain() {
    let template = set(2, &halves(&[256, 2, 4, 1, 0x8000 | 898, 0xffff, 0, 6876]));
    let data = set(256, &[6, 2, b'a', b'b', 17, 255, 0, 1, b'c']);
    let mut reader = FlowReader::default();
    assert_eq!(reader.read(EXPORTER, &ipfix(std::slice::from_ref(&data))).unwrap().unknown_sets, 1);
    let message = ipfix(&[template.clone(), data.clone()]);
    let read = reader.read(EXPORTER, &message).unwrap();
    let virtual_id = Element { enterprise: 6876, id: 898 };
    assert_eq!(read.records[0].values, [(iana(4), &[6][..]), (virtual_id, b"ab")]);
    assert_eq!(read.records[1].values, [(iana(4), &[17][..]), (virtual_id, b"c")]);
    let other = IpAddr::V4(Ipv4Addr::BROADCAST);
    assert_eq!(reader.read(other, &ipfix(std::slice::from_ref(&data))).unwrap().records, []);
    // A template without fields is taken back.
    reader.read(EXPORTER, &ipfix(&[set(2, &halves(&[256, 0]))])).unwrap();
    assert_eq!(reader.read(EXPORTER, &ipfix(&[data])).unwrap().unknown_sets, 1);
    assert_eq!((reader.templates.len(), reader.fields), (0, 0));
}

#[test]
fn templates_are_bounded() {
    let mut reader = FlowReader::default();
    for number in 0..MAX_TEMPLATES as u32 {
        let mut message = ipfix(&[set(2, &halves(&[256, 1, 4, 1]))]);
        message[12..16].copy_from_slice(&number.to_be_bytes());
        reader.read(EXPORTER, &message).unwrap();
    }
    let one_more = ipfix(&[set(2, &halves(&[300, 1, 4, 1]))]);
    assert_eq!(reader.read(EXPORTER, &one_more), Err(ReadError::TooManyTemplates));
    let known = ipfix(&[set(2, &halves(&[256, 1, 5, 1]))]);
    assert!(reader.read(EXPORTER, &known).is_ok(), "one that is known may change");
    let empty = ipfix(&[set(2, &halves(&[256, 1, 4, 0]))]);
    assert_eq!(reader.read(EXPORTER, &empty), Err(ReadError::EmptyField(256)));
}

proptest! {
    /// Any bytes, behind the header of each version, are read or rejected, and values are no more than bytes.
    #[test]
    fn any_bytes_are_harmless(
        version in prop::sample::select(vec![5u8, 9, 10]),
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..6),
        sets in prop::collection::vec((prop::sample::select(vec![0u16, 1, 2, 3, 256, 257]), prop::collection::vec(0u16..300, 0..40)), 0..8),
    ) {
        let mut reader = FlowReader::default();
        let mut all = datagrams.clone();
        let mut made = vec![0; if version == 9 { 20 } else { 16 }];
        sets.iter().for_each(|(id, body)| made.extend(set(*id, &halves(body))));
        all.extend([made.clone(), made]);
        for bytes in &mut all {
            if let Some(start) = bytes.get_mut(..2) {
                start.copy_from_slice(&[0, version]);
            }
            if let Ok(read) = reader.read(EXPORTER, bytes) {
                let values: usize = read.records.iter().map(|record| record.values.len()).sum();
                prop_assert!(values <= bytes.len());
            }
        }
    }
}
