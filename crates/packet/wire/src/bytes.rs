//! Reading and writing numbers at an offset: zero, or nothing, beyond the end.

/// The big-endian number at `at`, or 0 when it does not lie inside.
#[inline]
pub fn be16(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(b) => u16::from_be_bytes(*b),
        None => 0,
    }
}

/// As [`be16`], of four bytes.
#[inline]
pub fn be32(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(b) => u32::from_be_bytes(*b),
        None => 0,
    }
}

/// As [`be16`], of eight bytes.
#[inline]
pub fn be64(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(b) => u64::from_be_bytes(*b),
        None => 0,
    }
}

/// As [`be16`], of sixteen bytes.
#[inline]
pub fn be128(bytes: &[u8], at: usize) -> u128 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(b) => u128::from_be_bytes(*b),
        None => 0,
    }
}

/// The six bytes at `at` as the low 48 bits.
#[inline]
pub fn be48(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk::<6>()) {
        Some(b) => u64::from_be_bytes([0, 0, b[0], b[1], b[2], b[3], b[4], b[5]]),
        None => 0,
    }
}

/// The byte at `at`, or 0.
#[inline]
pub fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// Writes `value` at `at`; does nothing when it does not fit there.
#[inline]
pub fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
        *place = value;
    }
}

/// Writes a byte as [`put`] does.
#[inline]
pub fn put8(bytes: &mut [u8], at: usize, value: u8) {
    put(bytes, at, [value]);
}

/// Writes an Ethernet address as [`put`] does.
#[inline]
pub fn put_mac(bytes: &mut [u8], at: usize, value: base::MacAddr) {
    put(bytes, at, value.0);
}

/// Writes a big-endian number as [`put`] does.
#[inline]
pub fn put16(bytes: &mut [u8], at: usize, value: u16) {
    put(bytes, at, value.to_be_bytes());
}

/// Writes a big-endian number as [`put`] does.
#[inline]
pub fn put32(bytes: &mut [u8], at: usize, value: u32) {
    put(bytes, at, value.to_be_bytes());
}

/// Writes a big-endian number as [`put`] does.
#[inline]
pub fn put128(bytes: &mut [u8], at: usize, value: u128) {
    put(bytes, at, value.to_be_bytes());
}
