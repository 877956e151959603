//! Capture files (libpcap's format, version 2.4): packets into them, datagrams out of them.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wire::ethernet::{Ethernet, TYPE_IPV4, TYPE_IPV6, is_vlan};
use wire::ipv4::Ipv4;
use wire::ipv6::{self, Ipv6};
use wire::udp::Udp;

use crate::packet::Packet;

const MAGIC: u32 = 0xa1b2_c3d4;
/// The same with nanoseconds where microseconds are.
const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
const ETHERNET: u32 = 1;
const SNAP_LEN: u32 = 65536;
const FILE_HEADER_LEN: usize = 24;
const RECORD_HEADER_LEN: usize = 16;

pub(crate) fn file_header() -> Vec<u8> {
    let mut out = MAGIC.to_ne_bytes().to_vec();
    out.extend(2u16.to_ne_bytes());
    out.extend(4u16.to_ne_bytes());
    for word in [0, 0, SNAP_LEN, ETHERNET] {
        out.extend(word.to_ne_bytes());
    }
    out
}

/// A sampled packet as a record.
pub(crate) fn record(packet: &Packet, time: SystemTime) -> Vec<u8> {
    frame_record(&packet.header, packet.len, time)
}

/// A datagram that `from` sent to `port`, as a record: what is not known of the headers around it is left empty.
pub(crate) fn datagram_record(payload: &[u8], from: IpAddr, port: u16, time: SystemTime) -> Vec<u8> {
    let udp = wire::udp::header(0, port, payload.len());
    let len = udp.len() + payload.len();
    let (kind, ip) = match from {
        IpAddr::V4(from) => {
            (TYPE_IPV4, wire::ipv4::header(from.into(), 0, wire::protocol::UDP, 0, 64, 0, len).to_vec())
        }
        IpAddr::V6(from) => {
            (TYPE_IPV6, wire::ipv6::header(from.into(), 0, wire::protocol::UDP, 0, 0, 64, len).to_vec())
        }
    };
    let ethernet = wire::ethernet::header(Default::default(), Default::default(), kind);
    let frame = [&ethernet[..], &ip, &udp, payload].concat();
    frame_record(&frame, frame.len() as u32, time)
}

/// The first bytes of a frame that had `len`, as a record.
fn frame_record(frame: &[u8], len: u32, time: SystemTime) -> Vec<u8> {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let words = [since.as_secs() as u32, since.subsec_micros(), frame.len() as u32, len];
    let mut out: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    out.extend(frame);
    out
}

/// A datagram found in a capture.
#[derive(Debug, PartialEq)]
pub(crate) struct Captured<'a> {
    pub time: SystemTime,
    pub from: IpAddr,
    pub payload: &'a [u8],
}

/// The UDP datagrams to one of `ports` in a capture.
pub(crate) fn datagrams<'a>(bytes: &'a [u8], ports: &[u16]) -> Result<Vec<Captured<'a>>, String> {
    let file = File::new(bytes)?;
    let mut out = Vec::new();
    let mut at = FILE_HEADER_LEN;
    while let (Some(seconds), Some(fraction), Some(len)) =
        (file.word(at), file.word(at + 4), file.word(at + 8))
    {
        at += RECORD_HEADER_LEN;
        let end = at.saturating_add(len as usize);
        // The last packet may have been cut when the capture was stopped.
        let Some(frame) = bytes.get(at..end) else { break };
        at = end;
        let nanos = if file.has_nanos { fraction } else { fraction.saturating_mul(1000) };
        let time = UNIX_EPOCH + Duration::new(seconds.into(), nanos.min(999_999_999));
        if let Some((from, payload)) = udp_to(frame, ports) {
            out.push(Captured { time, from, payload });
        }
    }
    Ok(out)
}

struct File<'a> {
    bytes: &'a [u8],
    is_swapped: bool,
    has_nanos: bool,
}

impl<'a> File<'a> {
    fn new(bytes: &'a [u8]) -> Result<File<'a>, String> {
        let mut file = File { bytes, is_swapped: false, has_nanos: false };
        let magic = file.word(0).ok_or("the file is too short for a pcap file")?;
        file.is_swapped = [MAGIC, MAGIC_NANOS].contains(&magic.swap_bytes());
        file.has_nanos = [MAGIC_NANOS, MAGIC_NANOS.swap_bytes()].contains(&magic);
        if !file.is_swapped && ![MAGIC, MAGIC_NANOS].contains(&magic) {
            return Err("not a pcap file".to_owned());
        }
        match file.word(20) {
            Some(ETHERNET) => Ok(file),
            other => Err(format!("link type {}, where 1 (Ethernet) was expected", other.unwrap_or(0))),
        }
    }

    fn word(&self, at: usize) -> Option<u32> {
        let word = u32::from_ne_bytes(*self.bytes.get(at..)?.first_chunk()?);
        Some(if self.is_swapped { word.swap_bytes() } else { word })
    }
}

fn udp_to<'a>(frame: &'a [u8], ports: &[u16]) -> Option<(IpAddr, &'a [u8])> {
    let ethernet = Ethernet::parse(frame)?;
    let (mut kind, mut rest) = (ethernet.ether_type(), ethernet.payload());
    while is_vlan(kind) {
        kind = u16::from_be_bytes(*rest.get(2..)?.first_chunk()?);
        rest = rest.get(4..)?;
    }
    let (from, udp) = match kind {
        TYPE_IPV4 => {
            let ip = Ipv4::parse(rest)?;
            let is_udp = ip.protocol() == wire::protocol::UDP && !ip.is_fragment();
            is_udp.then(|| (std::net::Ipv4Addr::from(ip.src()).into(), ip.payload()))?
        }
        TYPE_IPV6 => {
            let ip = Ipv6::parse(rest)?;
            let is_udp = ip.next_header() == wire::protocol::UDP && rest.len() > ipv6::LEN;
            is_udp.then(|| (std::net::Ipv6Addr::from(ip.src()).into(), ip.payload()))?
        }
        _ => return None,
    };
    let udp = Udp::parse(udp)?;
    ports.contains(&udp.dst()).then(|| (from, udp.payload()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_found_in_a_capture() {
        let mut frame = wire::ethernet::header(Default::default(), Default::default(), TYPE_IPV4).to_vec();
        frame.extend(wire::ipv4::header(0x0a00_0001, 0x0a00_0002, 17, 0, 64, 0, 12));
        frame.extend(wire::udp::header(4000, 6343, 4));
        frame.extend(b"sflo");
        let packet = Packet { len: frame.len() as u32, header: frame, ..Packet::default() };
        let time = UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001);
        let mut file = file_header();
        file.extend(record(&packet, time));
        let found = datagrams(&file, &[6343]).unwrap();
        let from = [10, 0, 0, 1].into();
        assert_eq!(found, [Captured { time, from, payload: b"sflo" }]);
        assert!(datagrams(&file, &[6344]).unwrap().is_empty());
        for len in 0..file.len() {
            // Cut anywhere it is refused, or has no whole packet.
            assert!(datagrams(&file[..len], &[6343]).unwrap_or_default().is_empty());
        }
    }
}
