#![no_main]
//! Any bytes are parsed as each kind of header; what is parsed is emitted, and reads back as the same header.

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use wire::TypedForm;

fn check<H: TypedForm + PartialEq + Debug>(bytes: &[u8]) {
    let Some(header) = H::parse(bytes) else { return };
    let len = header.header_len();
    let emitted = header.to_bytes();
    assert_eq!(emitted.len(), len);
    assert_eq!(H::parse(&emitted).as_ref(), Some(&header));
    let mut short = vec![0; len.saturating_sub(1)];
    assert!(header.emit(&mut short).is_err() || len == 0);
}

fuzz_target!(|bytes: &[u8]| {
    check::<wire::ethernet::Header>(bytes);
    check::<wire::ethernet::Tag>(bytes);
    check::<wire::ethernet::Snap>(bytes);
    check::<wire::mpls::Entry>(bytes);
    check::<wire::arp::Packet>(bytes);
    check::<wire::ipv4::Header>(bytes);
    check::<wire::ipv6::Header>(bytes);
    check::<wire::extension::Extension>(bytes);
    check::<wire::extension::Fragment>(bytes);
    check::<wire::extension::Authentication>(bytes);
    check::<wire::extension::SegmentRouting>(bytes);
    check::<wire::tcp::Header>(bytes);
    check::<wire::udp::Header>(bytes);
    check::<wire::sctp::Header>(bytes);
    check::<wire::icmp::Header>(bytes);
    check::<wire::nd::NdOption>(bytes);
    check::<wire::nd::Message>(bytes);
    check::<wire::nsh::Header>(bytes);
    check::<wire::vxlan::Header>(bytes);
    check::<wire::geneve::GeneveOption>(bytes);
    check::<wire::geneve::Header>(bytes);
    check::<wire::gre::Header>(bytes);
    check::<wire::erspan::Header>(bytes);
    check::<wire::bfd::Header>(bytes);
    check::<wire::lacp::Header>(bytes);
    check::<wire::cfm::Header>(bytes);
    check::<wire::stp::Bpdu>(bytes);
    check::<wire::lldp::Unit>(bytes);
    if let Some(unit) = wire::stp::payload(bytes) {
        check::<wire::stp::Bpdu>(unit);
    }
    check::<wire::membership::GroupRecord<u32>>(bytes);
    check::<wire::membership::GroupRecord<u128>>(bytes);
    check::<wire::gtpu::Base>(bytes);
    check::<wire::gtpu::Header>(bytes);
    set(bytes);
    membership(bytes);
});

/// A frame says about so many groups at most as it has room for, also one whose checksum is made right.
fn membership(bytes: &[u8]) {
    let read = |frame: &[u8]| {
        if let Ok(wire::membership::Message::Report(report)) = wire::membership::read(frame) {
            assert!(report.count() <= frame.len());
        }
    };
    read(bytes);
    let mut frame = bytes.to_vec();
    if frame.len() >= 14 + 20 + 8 {
        frame[36..38].fill(0);
        let check = wire::checksum(&frame[34..]);
        frame[36..38].copy_from_slice(&check.to_be_bytes());
        read(&frame);
    }
}

/// No setter fails on any bytes.
fn set(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    if let Some(mut ip) = wire::ipv4::Ipv4Mut::parse(&mut bytes) {
        ip.set_tos(1);
        ip.set_total_len(2);
        ip.set_ttl(3);
        ip.set_src(4);
        ip.set_dst(5);
    }
    if let Some(mut nsh) = wire::nsh::NshMut::parse(&mut bytes) {
        nsh.set_ttl(1);
        nsh.set_service_path(2);
        nsh.set_context(3, 4);
    }
    if let Some(mut message) = wire::nd::MessageMut::parse(&mut bytes) {
        message.set_flags(1);
        message.set_target(2);
        message.change_addresses(|kind, _| *kind = 3);
    }
    wire::ipv4::write_checksum(&mut bytes);
    wire::sctp::write_checksum(&mut bytes);
}
