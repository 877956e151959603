//! Messages and attributes as bytes, in the machine's byte order.

/// Length of `struct nlmsghdr`.
pub(crate) const HEADER_LEN: usize = 16;

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_ne_bytes(*b))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_ne_bytes(*b))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_ne_bytes(*b))
}

/// The messages in a datagram: type and payload.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = u32_at(bytes, 0) as usize;
        let payload = bytes.get(HEADER_LEN..len)?;
        let kind = u16_at(bytes, 4);
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, payload))
    })
}

/// The attributes in a payload: type and value.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(bytes, 0));
        let value = bytes.get(4..len)?;
        let kind = u16_at(bytes, 2) & 0x3fff;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// A message being written.
pub(crate) struct Builder(Vec<u8>);

impl Builder {
    pub(crate) fn new(kind: u16, flags: u16) -> Builder {
        let mut bytes = vec![0; HEADER_LEN];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes[8..12].copy_from_slice(&1u32.to_ne_bytes());
        Builder(bytes)
    }

    /// What is to become the value of an attribute: attributes alone.
    pub(crate) fn nested() -> Builder {
        Builder(Vec::new())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Builder {
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(crate) fn attribute(self, kind: u16, value: &[u8]) -> Builder {
        let mut header = Vec::with_capacity(4 + value.len());
        header.extend(((4 + value.len()) as u16).to_ne_bytes());
        header.extend(kind.to_ne_bytes());
        header.extend(value);
        self.raw(&header)
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        let len = (self.0.len() as u32).to_ne_bytes();
        self.0[..4].copy_from_slice(&len);
        self.0
    }
}
