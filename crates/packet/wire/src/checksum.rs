//! The Internet checksum: computing it, and correcting it after a change (RFC 1071, RFC 1624).

/// The checksum over `bytes`, as it stands in a header.
pub fn checksum(bytes: &[u8]) -> u16 {
    Checksum::new().bytes(bytes).finish()
}

/// A sum in progress. The parts must have even length, all but the last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum(u64);

impl Checksum {
    /// The sum of nothing.
    pub const fn new() -> Checksum {
        Checksum(0)
    }

    /// Adds bytes, as 16-bit words in network order; an odd one at the end is a high byte.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Checksum {
        // 32-bit words keep the sum right modulo 0xffff, and a u64 takes 2^32 of them.
        let mut sum = 0u64;
        let mut blocks = bytes.chunks_exact(16);
        for block in &mut blocks {
            let mut part = 0u64;
            for word in block.chunks_exact(4) {
                part += u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
            }
            sum += part;
        }
        let mut pairs = blocks.remainder().chunks_exact(2);
        for pair in &mut pairs {
            sum += u64::from(u16::from_be_bytes([pair[0], pair[1]]));
        }
        if let [last] = pairs.remainder() {
            sum += u64::from(*last) << 8;
        }
        Checksum(fold64(self.0).wrapping_add(sum))
    }

    /// Adds a 16-bit word.
    #[must_use]
    pub const fn word(self, value: u16) -> Checksum {
        Checksum(self.0 + value as u64)
    }

    /// Adds two 16-bit words.
    #[must_use]
    pub const fn dword(self, value: u32) -> Checksum {
        Checksum(self.0 + value as u64)
    }

    /// Adds the eight 16-bit words of an IPv6 address.
    #[must_use]
    pub const fn address(self, value: u128) -> Checksum {
        self.dword((value >> 96) as u32)
            .dword((value >> 64) as u32)
            .dword((value >> 32) as u32)
            .dword(value as u32)
    }

    /// The folded sum, not inverted: what a header holds whose checksum the hardware shall complete.
    pub const fn sum(self) -> u16 {
        let mut sum = fold64(self.0);
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    /// The checksum as it stands in a header.
    pub const fn finish(self) -> u16 {
        !self.sum()
    }
}

const fn fold64(sum: u64) -> u64 {
    (sum & 0xffff_ffff) + (sum >> 32)
}

/// `check` after a 16-bit word that it covers changed from `old` to `new` (RFC 1624 eqn. 3).
#[must_use]
pub const fn replace16(check: u16, old: u16, new: u16) -> u16 {
    Checksum::new().word(!check).word(!old).word(new).finish()
}

/// `check` after a 32-bit value that it covers changed.
#[must_use]
pub const fn replace32(check: u16, old: u32, new: u32) -> u16 {
    Checksum::new().word(!check).dword(!old).dword(new).finish()
}

/// `check` after a 128-bit value that it covers changed.
#[must_use]
pub const fn replace128(check: u16, old: u128, new: u128) -> u16 {
    Checksum::new().word(!check).address(!old).address(new).finish()
}

/// The sum of the pseudo header that TCP and UDP over IPv4 cover.
pub const fn pseudo_ipv4(src: u32, dst: u32, protocol: u8, length: usize) -> Checksum {
    Checksum::new().dword(src).dword(dst).word(protocol as u16).dword(length as u32)
}

/// The sum of the pseudo header that TCP, UDP and ICMPv6 over IPv6 cover.
pub const fn pseudo_ipv6(src: u128, dst: u128, protocol: u8, length: usize) -> Checksum {
    Checksum::new().address(src).address(dst).word(protocol as u16).dword(length as u32)
}

/// CRC-32C (Castagnoli) as SCTP uses it, byte by byte from a small table.
pub fn crc32c(bytes: &[u8]) -> u32 {
    Crc32c::new().bytes(bytes).finish()
}

/// A CRC-32C in progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc32c(u32);

impl Crc32c {
    pub(crate) const fn new() -> Crc32c {
        Crc32c(!0)
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Crc32c {
        const TABLE: [u32; 256] = crc32c_table();
        Crc32c(bytes.iter().fold(self.0, |crc, &b| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ b)]))
    }

    pub(crate) const fn finish(self) -> u32 {
        !self.0
    }
}

const fn crc32c_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    proptest! {
        #[test]
        fn the_fast_sum_is_the_plain_sum(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(checksum(&bytes), naive(&bytes));
        }

        #[test]
        fn correcting_is_computing_anew(mut bytes in prop::collection::vec(any::<u8>(), 40..41), new: u32, addr: u128) {
            let before = checksum(&bytes);
            let old = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            bytes[4..8].copy_from_slice(&new.to_be_bytes());
            let mid = replace32(before, old, new);
            prop_assert_eq!(Checksum::new().word(!mid).sum() % 0xffff, !checksum(&bytes) % 0xffff);
            let old = crate::bytes::be128(&bytes, 8);
            bytes[8..24].copy_from_slice(&addr.to_be_bytes());
            let after = replace128(mid, old, addr);
            prop_assert_eq!(!after % 0xffff, !checksum(&bytes) % 0xffff);
        }
    }

    #[test]
    fn crc32c_of_the_check_string() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
