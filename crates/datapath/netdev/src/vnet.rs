//! The virtio-net header (virtio 1.2 §5.1.6), as packet(7) sockets and taps use it.

use dp::{Offload, Packet, Segmentation};

/// Length of the header, in bytes.
pub const LEN: usize = 10;

const NEEDS_CHECKSUM: u8 = 1;
const DATA_VALID: u8 = 2;

/// The header's bytes, numbers in the machine's order.
pub type Header = [u8; LEN];

fn u16_at(header: &[u8], at: usize) -> u16 {
    header.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_ne_bytes(*b))
}

/// What the header says of the packet behind it.
#[inline]
pub fn parse(header: &[u8]) -> Offload {
    let flags = header.first().copied().unwrap_or(0);
    let kind = header.get(1).copied().unwrap_or(0);
    if flags == 0 && kind == 0 {
        return Offload::default();
    }
    Offload {
        checksum: (flags & NEEDS_CHECKSUM != 0).then(|| (u16_at(header, 6), u16_at(header, 8))),
        segmentation: (kind != 0).then(|| Segmentation {
            kind,
            header_len: u16_at(header, 2),
            size: u16_at(header, 4),
        }),
        is_checksum_good: flags & DATA_VALID != 0,
    }
}

/// The header to put before `packet`.
#[inline]
pub fn build(packet: &Packet) -> Header {
    let mut header = [0; LEN];
    if packet.offload.is_none() {
        return header;
    }
    let mut put = |at: usize, value: u16| {
        if let Some(place) = header.get_mut(at..at + 2) {
            place.copy_from_slice(&value.to_ne_bytes());
        }
    };
    if let Some((start, offset)) = packet.offload.checksum {
        put(6, start);
        put(8, offset);
    }
    if let Some(seg) = packet.offload.segmentation {
        put(2, seg.header_len);
        put(4, seg.size);
        header[1] = seg.kind;
    }
    if packet.offload.checksum.is_some() {
        header[0] = NEEDS_CHECKSUM;
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(offload: Offload) -> Packet {
        let mut packet = Packet::from_bytes(&[0; 60]);
        packet.offload = offload;
        packet
    }

    #[test]
    fn what_is_built_is_parsed_again() {
        let train = Segmentation { kind: 1, header_len: 54, size: 1460 };
        for offload in [
            Offload::default(),
            Offload { checksum: Some((34, 16)), ..Offload::default() },
            Offload { checksum: Some((34, 16)), segmentation: Some(train), ..Offload::default() },
            Offload { segmentation: Some(Segmentation { kind: 4 | 0x80, ..train }), ..Offload::default() },
        ] {
            assert_eq!(parse(&build(&packet(offload))), offload);
        }
    }

    #[test]
    fn a_checksum_that_the_kernel_found_good_is_not_passed_on() {
        let offload = parse(&[DATA_VALID, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(offload, Offload { is_checksum_good: true, ..Offload::default() });
        assert_eq!(build(&packet(offload)), [0; LEN]);
    }

    #[test]
    fn a_header_that_is_too_short_says_nothing_of_what_it_lacks() {
        assert_eq!(parse(&[]), Offload::default());
        assert_eq!(parse(&[NEEDS_CHECKSUM]).checksum, Some((0, 0)));
        assert_eq!(parse(&[0, 1, 54]).segmentation, Some(Segmentation { kind: 1, header_len: 0, size: 0 }));
    }
}
