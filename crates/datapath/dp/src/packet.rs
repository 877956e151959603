//! A packet: bytes with room before and behind them, metadata, and what is still to be done by whoever sends it.

use std::ops::Range;

use flow::{FlowKey, Metadata};
use wire::TypedForm;

use crate::sums::Sums;

/// Room that a fresh packet has before its first byte, for tags and tunnel headers.
pub const HEADROOM: usize = 256;

/// What the sender left to the device, as in a virtio-net header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offload {
    /// The checksum is to be completed: over all bytes from `.0` on, to be
    /// written at `.0 + .1`, where the pseudo header's sum stands now.
    pub checksum: Option<(u16, u16)>,
    /// The packet is a train of segments to be cut.
    pub segmentation: Option<Segmentation>,
    /// The device has found the L4 checksum right.
    pub is_checksum_good: bool,
}

impl Offload {
    /// Whether nothing is left to be done.
    pub fn is_none(&self) -> bool {
        self.checksum.is_none() && self.segmentation.is_none()
    }
}

/// How a large packet is to be cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segmentation {
    /// `VIRTIO_NET_HDR_GSO_*`: 1 TCP over IPv4, 3 UDP fragments, 4 TCP over IPv6, 5 UDP segments; 0x80: with ECN.
    pub kind: u8,
    /// Payload bytes per segment.
    pub size: u16,
    /// Length of all headers before the payload.
    pub header_len: u16,
}

impl Segmentation {
    /// Segments of TCP over IPv4.
    pub const TCP_V4: u8 = 1;
    /// Fragments of a UDP datagram.
    pub const UDP: u8 = 3;
    /// Segments of TCP over IPv6.
    pub const TCP_V6: u8 = 4;
    /// Datagrams of UDP.
    pub const UDP_L4: u8 = 5;
    /// Flag: CWR stands in the first segment only.
    pub const ECN: u8 = 0x80;

    /// The kind without the ECN flag.
    pub const fn base_kind(&self) -> u8 {
        self.kind & !Segmentation::ECN
    }
}

/// A packet in a buffer of its own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Packet {
    buffer: Vec<u8>,
    /// Where the data begin and end, which are far below 4 GiB: packets are moved often, and are better small.
    start: u32,
    end: u32,
    /// What it carries beside its bytes.
    pub metadata: Metadata,
    /// What is left to whoever sends it.
    pub offload: Offload,
    /// What a device that computes checksums itself has said of those of the packet, and what is left to such a one.
    pub sums: Option<Box<Sums>>,
    /// Which segment of a train it was, so that what is put around them is numbered as they are.
    pub segment: u16,
    /// The next output sends at most this many bytes.
    pub trunc: Option<u32>,
}

impl Packet {
    /// An empty packet with `room` bytes for data behind the headroom.
    pub fn with_capacity(room: usize) -> Packet {
        Packet {
            buffer: vec![0; HEADROOM + room],
            start: HEADROOM as u32,
            end: HEADROOM as u32,
            ..Packet::default()
        }
    }

    /// A packet of these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Packet {
        let mut packet = Packet::with_capacity(bytes.len() + 64);
        packet.append(bytes);
        packet
    }

    /// A packet of these bytes with the metadata in `key`.
    pub fn with_key(bytes: &[u8], key: &FlowKey) -> Packet {
        let mut packet = Packet::from_bytes(bytes);
        packet.metadata = Metadata::from_key(key);
        packet
    }

    #[inline]
    fn start(&self) -> usize {
        self.start as usize
    }

    #[inline]
    fn end(&self) -> usize {
        self.end as usize
    }

    #[inline]
    fn range(&self) -> Range<usize> {
        self.start()..self.end()
    }

    /// Bytes of data.
    #[inline]
    pub fn len(&self) -> usize {
        self.end() - self.start()
    }

    /// Whether there are no data.
    pub fn is_empty(&self) -> bool {
        self.start() == self.end()
    }

    /// The data.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.range()).unwrap_or(&[])
    }

    /// The data, to be changed.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let range = self.range();
        self.buffer.get_mut(range).unwrap_or(&mut [])
    }

    /// Room before the data.
    pub fn headroom(&self) -> usize {
        self.start()
    }

    /// Room behind the data.
    pub fn tailroom(&self) -> usize {
        self.buffer.len() - self.end()
    }

    /// Empties the packet for reuse; the data shall begin behind `headroom` bytes.
    pub fn reset(&mut self, headroom: usize) {
        self.start = headroom.min(self.buffer.len()) as u32;
        self.end = self.start;
        self.metadata = Metadata::default();
        self.offload = Offload::default();
        self.sums = None;
        self.segment = 0;
        self.trunc = None;
    }

    /// All the room behind the start, to be filled by a device; then [`Packet::set_len`].
    pub fn space_mut(&mut self) -> &mut [u8] {
        let start = self.start();
        self.buffer.get_mut(start..).unwrap_or(&mut [])
    }

    /// Sets the length, at most what the buffer holds.
    pub fn set_len(&mut self, len: usize) {
        self.end = (self.start() + len).min(self.buffer.len()) as u32;
    }

    /// Adds bytes behind the data.
    pub fn append(&mut self, bytes: &[u8]) {
        let begin = self.end();
        let end = begin + bytes.len();
        if end > self.buffer.len() {
            self.buffer.resize(end, 0);
        }
        if let Some(place) = self.buffer.get_mut(begin..end) {
            place.copy_from_slice(bytes);
        }
        self.end = end as u32;
    }

    /// Makes room for `count` bytes at offset `at`, zeroed, by moving what is before it.
    pub fn insert(&mut self, at: usize, count: usize) {
        if self.start() < count {
            let more = count - self.start() + HEADROOM;
            let mut grown = vec![0; self.buffer.len() + more];
            if let Some(place) = grown.get_mut(more..) {
                place.copy_from_slice(&self.buffer);
            }
            self.buffer = grown;
            self.start += more as u32;
            self.end += more as u32;
        }
        let at = at.min(self.len());
        let old = self.start();
        let start = old - count;
        self.start = start as u32;
        self.buffer.copy_within(old..old + at, start);
        if let Some(gap) = self.buffer.get_mut(start + at..start + at + count) {
            gap.fill(0);
        }
        self.shift_checksum(count as i32);
    }

    /// Puts `header` before the byte at offset `at`.
    #[inline]
    pub fn insert_header(&mut self, at: usize, header: &impl TypedForm) {
        self.insert(at, header.header_len());
        self.replace_header(at, header);
    }

    /// Writes `header` over the bytes from offset `at` on, which are a header of this length.
    #[inline]
    pub fn replace_header(&mut self, at: usize, header: &impl TypedForm) {
        if let Err(e) = header.emit(self.bytes_mut().get_mut(at..).unwrap_or(&mut [])) {
            base::broken!("a header was to be written over the end of a packet: {e}");
        }
    }

    /// Takes away `count` bytes at offset `at`, by moving what is before them.
    pub fn remove(&mut self, at: usize, count: usize) {
        let at = at.min(self.len());
        let count = count.min(self.len() - at);
        let start = self.start();
        self.buffer.copy_within(start..start + at, start + count);
        self.start += count as u32;
        self.shift_checksum(-(count as i32));
    }

    fn shift_checksum(&mut self, by: i32) {
        if let Some((start, _)) = &mut self.offload.checksum {
            *start = (i32::from(*start) + by).clamp(0, i32::from(u16::MAX)) as u16;
        }
        if let Some(seg) = &mut self.offload.segmentation {
            seg.header_len = (i32::from(seg.header_len) + by).clamp(0, i32::from(u16::MAX)) as u16;
        }
        if let Some(inner) = self.sums.as_mut().and_then(|sums| sums.inner.as_mut()) {
            inner.at = inner.at.saturating_add_signed(by as isize);
        }
    }

    /// The packet's key.
    pub fn key(&self, max_vlans: usize) -> FlowKey {
        flow::extract::extract(&self.metadata, self.bytes(), max_vlans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserting_and_removing_move_the_front() {
        let mut packet = Packet::from_bytes(&[1, 2, 3, 4, 5]);
        packet.offload.checksum = Some((3, 1));
        packet.insert(2, 3);
        assert_eq!(packet.bytes(), [1, 2, 0, 0, 0, 3, 4, 5]);
        assert_eq!(packet.offload.checksum, Some((6, 1)));
        packet.remove(2, 3);
        assert_eq!(packet.bytes(), [1, 2, 3, 4, 5]);
        packet.remove(1, 100);
        assert_eq!(packet.bytes(), [1]);
    }

    #[test]
    fn a_packet_without_headroom_grows() {
        let mut packet = Packet::from_bytes(&[7; 10]);
        packet.insert(10, 1000);
        assert_eq!(packet.len(), 1010);
        assert_eq!(&packet.bytes()[..10], [7; 10]);
        packet.append(&[8; 3000]);
        assert_eq!(packet.bytes().last(), Some(&8));
    }
}
