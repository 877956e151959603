//! Reading and writing big-endian bytes. Nothing here panics on short input.

use crate::OfError;

/// A cursor over received bytes. A read beyond the end is `OFPBRC_BAD_LEN`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What is left, without taking it.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], OfError> {
        let (head, tail) = self.bytes.split_at_checked(n).ok_or(OfError::OfpbrcBadLen)?;
        self.bytes = tail;
        Ok(head)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], OfError> {
        let (head, tail) = self.bytes.split_first_chunk().ok_or(OfError::OfpbrcBadLen)?;
        self.bytes = tail;
        Ok(*head)
    }

    #[inline]
    pub(crate) fn skip(&mut self, n: usize) -> Result<(), OfError> {
        self.take(n).map(|_| ())
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, OfError> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, OfError> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, OfError> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, OfError> {
        self.array().map(u64::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u128(&mut self) -> Result<u128, OfError> {
        self.array().map(u128::from_be_bytes)
    }

    /// A big-endian number of `n` bytes; of longer ones the low 16 count.
    pub(crate) fn wide(&mut self, n: usize) -> Result<u128, OfError> {
        Ok(self.take(n)?.iter().fold(0u128, |v, &b| v << 8 | u128::from(b)))
    }

    /// Bytes of a fixed text field, up to its first zero.
    pub(crate) fn text(&mut self, n: usize) -> Result<String, OfError> {
        let bytes = self.take(n)?;
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(n);
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
}

pub(crate) fn all_zeros(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| b == 0)
}

/// `n` rounded up to a multiple of eight.
pub(crate) const fn round8(n: usize) -> usize {
    n.div_ceil(8) * 8
}

/// Writing to the end of a buffer.
pub(crate) trait Put {
    fn put_u8(&mut self, v: u8);
    fn put_u16(&mut self, v: u16);
    fn put_u32(&mut self, v: u32);
    fn put_u64(&mut self, v: u64);
    fn put_u128(&mut self, v: u128);
    fn put_zeros(&mut self, n: usize);
    /// The low `n` bytes of `v`.
    fn put_wide(&mut self, v: u128, n: usize);
    /// `text` cut or padded with zeros to `n` bytes, the last one zero.
    fn put_text(&mut self, text: &str, n: usize);
    /// Overwrites two bytes at `at`.
    fn patch_u16(&mut self, at: usize, v: u16);
    /// Zeros until what begins at `start` is a multiple of eight long.
    fn pad8_from(&mut self, start: usize);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, v: u8) {
        self.push(v);
    }
    fn put_u16(&mut self, v: u16) {
        self.extend_from_slice(&v.to_be_bytes());
    }
    fn put_u32(&mut self, v: u32) {
        self.extend_from_slice(&v.to_be_bytes());
    }
    fn put_u64(&mut self, v: u64) {
        self.extend_from_slice(&v.to_be_bytes());
    }
    fn put_u128(&mut self, v: u128) {
        self.extend_from_slice(&v.to_be_bytes());
    }
    fn put_zeros(&mut self, n: usize) {
        self.resize(self.len() + n, 0);
    }
    fn put_wide(&mut self, v: u128, n: usize) {
        let bytes = v.to_be_bytes();
        self.put_zeros(n.saturating_sub(16));
        self.extend_from_slice(&bytes[16 - n.min(16)..]);
    }
    fn put_text(&mut self, text: &str, n: usize) {
        let len = text.len().min(n.saturating_sub(1));
        self.extend_from_slice(&text.as_bytes()[..len]);
        self.put_zeros(n - len);
    }
    fn patch_u16(&mut self, at: usize, v: u16) {
        if let Some(place) = self.get_mut(at..at + 2) {
            place.copy_from_slice(&v.to_be_bytes());
        }
    }
    fn pad8_from(&mut self, start: usize) {
        let len = self.len() - start;
        self.put_zeros(round8(len) - len);
    }
}
