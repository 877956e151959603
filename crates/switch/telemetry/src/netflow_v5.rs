//! Datagrams of NetFlow version 5 (Cisco's "NetFlow Export Datagram Formats").

use std::net::Ipv4Addr;

/// Records of one datagram, at most.
pub const MAX_RECORDS: usize = 30;
/// Bytes of a datagram's header, and of a record.
pub(crate) const HEADER_LEN: usize = 24;
pub(crate) const RECORD_LEN: usize = 48;
const VERSION: u16 = 5;

/// What a datagram says of its sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Milliseconds since the sender began.
    pub uptime_ms: u32,
    /// Seconds since 1970.
    pub seconds: u32,
    /// Nanoseconds beside these.
    pub nanoseconds: u32,
    /// Records that were sent before.
    pub sequence: u32,
    /// The kind of the engine.
    pub engine_type: u8,
    /// Which one of its kind.
    pub engine_id: u8,
    /// The mode of sampling, two bits, and one of how many packets was sampled.
    pub sampling: u16,
}

/// A flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// The source's address.
    pub src: Ipv4Addr,
    /// The destination's address.
    pub dst: Ipv4Addr,
    /// The port by which packets come in.
    pub input: u16,
    /// The port by which they leave.
    pub output: u16,
    /// How many there were.
    pub packets: u32,
    /// Their bytes.
    pub bytes: u32,
    /// When the first one was, by the sender's uptime in milliseconds.
    pub first_ms: u32,
    /// When the last one was.
    pub last_ms: u32,
    /// The source's port.
    pub src_port: u16,
    /// The destination's port.
    pub dst_port: u16,
    /// All TCP flags that were seen.
    pub tcp_flags: u8,
    /// The protocol over IP.
    pub protocol: u8,
    /// The type of service.
    pub tos: u8,
}

/// The bytes of a datagram of at most [`MAX_RECORDS`] records.
pub fn datagram(header: &Header, records: &[Record]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LEN + RECORD_LEN * records.len());
    [VERSION, records.len() as u16].iter().for_each(|half| out.extend(half.to_be_bytes()));
    let words = [header.uptime_ms, header.seconds, header.nanoseconds, header.sequence];
    words.iter().for_each(|word| out.extend(word.to_be_bytes()));
    out.extend([header.engine_type, header.engine_id]);
    out.extend(header.sampling.to_be_bytes());
    for record in records {
        out.extend(record.src.octets());
        out.extend(record.dst.octets());
        // The next hop, which a switch does not know.
        out.extend([0; 4]);
        [record.input, record.output].iter().for_each(|port| out.extend(port.to_be_bytes()));
        let words = [record.packets, record.bytes, record.first_ms, record.last_ms];
        words.iter().for_each(|word| out.extend(word.to_be_bytes()));
        [record.src_port, record.dst_port].iter().for_each(|port| out.extend(port.to_be_bytes()));
        out.extend([0, record.tcp_flags, record.protocol, record.tos]);
        // Autonomous systems and lengths of prefixes, which it does not know either; padding.
        out.extend([0; 8]);
    }
    out
}
