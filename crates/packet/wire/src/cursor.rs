//! Reading and writing values one behind the other, as headers hold them.

use base::MacAddr;

/// Reads values from the front of bytes; `None` from the value on that is cut off.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads `bytes` from their start.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (value, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*value)
    }

    /// A byte.
    #[inline]
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A big-endian number of two bytes.
    #[inline]
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A big-endian number of four bytes.
    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A big-endian number of sixteen bytes.
    #[inline]
    pub fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_be_bytes)
    }

    /// An Ethernet address.
    #[inline]
    pub fn mac(&mut self) -> Option<MacAddr> {
        self.array().map(MacAddr)
    }

    /// The next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// What was not read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }
}

/// Writes values one behind the other; what does not fit is not written.
#[derive(Debug)]
pub struct Writer<'a>(&'a mut [u8]);

impl<'a> Writer<'a> {
    /// Writes into `place` from its start.
    #[inline]
    pub fn new(place: &'a mut [u8]) -> Writer<'a> {
        Writer(place)
    }

    /// Bytes for which there is room.
    #[inline]
    pub fn room(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn array<const N: usize>(&mut self, value: [u8; N]) {
        self.bytes(&value);
    }

    /// A byte.
    #[inline]
    pub fn u8(&mut self, value: u8) {
        self.array([value]);
    }

    /// A big-endian number of two bytes.
    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.array(value.to_be_bytes());
    }

    /// A big-endian number of four bytes.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.array(value.to_be_bytes());
    }

    /// A big-endian number of sixteen bytes.
    #[inline]
    pub fn u128(&mut self, value: u128) {
        self.array(value.to_be_bytes());
    }

    /// An Ethernet address.
    #[inline]
    pub fn mac(&mut self, value: MacAddr) {
        self.array(value.0);
    }

    /// Bytes as they are.
    #[inline]
    pub fn bytes(&mut self, value: &[u8]) {
        if let Some((place, rest)) = std::mem::take(&mut self.0).split_at_mut_checked(value.len()) {
            place.copy_from_slice(value);
            self.0 = rest;
        }
    }

    /// `value` in `len` bytes: what is too long is cut, what is missing is zero.
    pub fn padded(&mut self, value: &[u8], len: usize) {
        let value = value.get(..len).unwrap_or(value);
        self.bytes(value);
        if let Some((place, rest)) = std::mem::take(&mut self.0).split_at_mut_checked(len - value.len()) {
            place.fill(0);
            self.0 = rest;
        }
    }
}
