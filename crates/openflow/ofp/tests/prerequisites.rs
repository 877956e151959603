//! What a match that names an upper layer without its lower one is on the
//! wire: refused where fields are named one by one; ignored by the fixed
//! structures of OpenFlow 1.0 and 1.1, whose specifications say so.
//!
//! The bytes are made here: our encoder does not write such matches.

#![allow(clippy::panic, clippy::unwrap_used)] // A test ends that way.

use fields::{Field, Match, Protocols};
use ofp::*;

fn read(bytes: &[u8], protocol: Protocols) -> Result<Match, OfError> {
    let context = Context { protocol, n_tables: 255, flow_age: true, loose: false };
    match decode(bytes, &context)?.message {
        Message::FlowMod(request) => Ok(request.m),
        other => panic!("{other:?}"),
    }
}

/// A message of `kind` with its length.
fn message(version: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (8 + body.len()) as u16;
    let mut bytes = vec![version, kind];
    bytes.extend(len.to_be_bytes());
    bytes.extend([0, 0, 0, 1]);
    bytes.extend(body);
    bytes
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().div_ceil(8) * 8, 0);
    bytes
}

/// A rule of OpenFlow 1.1 and later to be added; the match is the last of it.
fn flow_mod(version: u8, matching: &[u8]) -> Vec<u8> {
    let mut body = vec![0; 16];
    // Table, command, timeouts, priority; no buffer; any port and group; flags.
    body.extend([0, 0, 0, 0, 0, 0, 0, 7]);
    body.extend([0xff; 12]);
    body.extend([0; 4]);
    body.extend(matching);
    message(version, 14, &body)
}

/// The same as a vendor message of OpenFlow 1.0.
fn nx_flow_mod(entries: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0, 0x23, 0x20, 0, 0, 0, 13];
    body.extend([0; 8]);
    body.extend([0, 0, 0, 0, 0, 0, 0, 7]);
    body.extend([0xff; 6]);
    body.extend([0; 2]);
    body.extend((entries.len() as u16).to_be_bytes());
    body.extend([0; 6]);
    body.extend(padded(entries.to_vec()));
    message(1, 4, &body)
}

/// Class, number and bytes of a field alone.
fn entry((class, number, len): (u16, u8, u8)) -> Vec<u8> {
    let mut bytes = class.to_be_bytes().to_vec();
    bytes.extend([number << 1, len]);
    bytes.extend((1..=len).map(|at| u8::from(at == len)));
    bytes
}

const TYPE: (u16, u8, u8) = (0x8000, 5, 2);
const TCP_DST: (u16, u8, u8) = (0x8000, 14, 2);

#[test]
fn a_field_without_what_it_needs_is_refused_where_fields_are_named() {
    // Ports, the protocol, addresses, ICMP, ARP, MPLS.
    let oxm =
        [(13, 2), (14, 2), (15, 2), (18, 2), (10, 1), (8, 1), (11, 4), (12, 4), (26, 16), (19, 1), (29, 1)];
    let more = [(21, 2), (22, 4), (34, 4), (35, 1), (31, 16)];
    for (number, len) in oxm.into_iter().chain(more) {
        let entry = entry((0x8000, number, len));
        let mut matching = vec![0, 1];
        matching.extend((4 + entry.len() as u16).to_be_bytes());
        matching.extend(&entry);
        for (version, protocol) in [
            (3, Protocols::OF12_OXM),
            (4, Protocols::OF13_OXM),
            (5, Protocols::OF14_OXM),
            (6, Protocols::OF15_OXM),
        ] {
            let answer = read(&flow_mod(version, &padded(matching.clone())), protocol);
            assert_eq!(answer, Err(OfError::OfpbmcBadPrereq), "{protocol}: OXM {number}");
        }
    }
    let nxm = [(0, 9, 2), (0, 10, 2), (0, 11, 2), (0, 6, 1), (0, 7, 4), (0, 13, 1), (0, 15, 2), (1, 19, 16)];
    for field in nxm {
        let answer = read(&nx_flow_mod(&entry(field)), Protocols::OF10_NXM);
        assert_eq!(answer, Err(OfError::OfpbmcBadPrereq), "NXM {field:?}");
    }
}

#[test]
fn a_field_with_what_it_needs_is_taken_whatever_the_form() {
    let mut entries = entry(TYPE);
    entries[4..].copy_from_slice(&[8, 0]);
    entries.extend(entry((0x8000, 10, 1)));
    let last = entries.len() - 1;
    entries[last] = 6;
    entries.extend(entry(TCP_DST));
    let m = read(&nx_flow_mod(&entries), Protocols::OF10_NXM).unwrap();
    assert_eq!((m.key.nw_proto(), m.key.tp_dst()), (6, 1));
}

#[test]
fn a_fixed_structure_ignores_it_and_keeps_its_rule() {
    // OpenFlow 1.0: all but in_port (bit 0) and tp_dst (bit 7) is wild.
    let mut old = (0x003f_ffff_u32 & !(1 << 0 | 1 << 7)).to_be_bytes().to_vec();
    old.extend([0, 3]);
    old.resize(38, 0);
    old.extend([0, 22]);
    old.extend([0; 8]);
    old.extend([0, 0, 0, 0, 0, 0, 0, 7]);
    old.extend([0xff; 6]);
    old.extend([0; 2]);
    // OpenFlow 1.1: the same, of ten wildcards; addresses are wild by their masks.
    let mut newer = vec![0, 0, 0, 88, 0, 0, 0, 3];
    newer.extend((0x3ff_u32 & !(1 << 0 | 1 << 7)).to_be_bytes());
    for _ in 0..2 {
        newer.extend([0; 6]);
        newer.extend([0xff; 6]);
    }
    newer.extend([0; 8]);
    for _ in 0..2 {
        newer.extend([0; 4]);
        newer.extend([0xff; 4]);
    }
    newer.extend([0, 0, 0, 22]);
    newer.extend([0; 16]);
    newer.extend([0xff; 8]);
    let rules = [(message(1, 14, &old), Protocols::OF10_STD), (flow_mod(2, &newer), Protocols::OF11_STD)];
    for (bytes, protocol) in rules {
        let m = read(&bytes, protocol).unwrap_or_else(|e| panic!("{protocol}: {e}"));
        assert_eq!(m.key.in_port(), 3, "{protocol}");
        assert!(Field::TcpDst.is_wild(&m.mask) && !Field::InPort.is_wild(&m.mask), "{protocol}");
    }
}
