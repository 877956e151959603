//! MPLS label stack entries (RFC 3032), kept as their 32-bit word.

use crate::cursor::{Reader, Writer};
use crate::form::TypedForm;

/// Bytes of an entry.
pub const LEN: usize = 4;
/// The bit that marks the last entry.
pub const BOTTOM_OF_STACK: u32 = 0x100;

/// The label, 20 bits.
pub const fn label(entry: u32) -> u32 {
    entry >> 12
}

/// The traffic class, 3 bits (RFC 5462).
pub const fn traffic_class(entry: u32) -> u8 {
    (entry >> 9 & 7) as u8
}

/// Whether it is the last entry of the stack.
pub const fn is_bottom(entry: u32) -> bool {
    entry & BOTTOM_OF_STACK != 0
}

/// Time to live, in hops.
pub const fn ttl(entry: u32) -> u8 {
    entry as u8
}

/// An entry of these; bits that do not fit a field are dropped.
pub const fn entry(label: u32, traffic_class: u8, is_bottom: bool, ttl: u8) -> u32 {
    (label & 0xfffff) << 12 | (traffic_class as u32 & 7) << 9 | (is_bottom as u32) << 8 | ttl as u32
}

/// An entry of the label stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// The label, 20 bits.
    pub label: u32,
    /// The traffic class, 3 bits (RFC 5462).
    pub traffic_class: u8,
    /// Whether it is the last entry of the stack.
    pub is_bottom: bool,
    /// Time to live, in hops.
    pub ttl: u8,
}

impl From<u32> for Entry {
    fn from(word: u32) -> Entry {
        Entry {
            label: label(word),
            traffic_class: traffic_class(word),
            is_bottom: is_bottom(word),
            ttl: ttl(word),
        }
    }
}

impl From<Entry> for u32 {
    fn from(of: Entry) -> u32 {
        entry(of.label, of.traffic_class, of.is_bottom, of.ttl)
    }
}

impl TypedForm for Entry {
    fn parse(bytes: &[u8]) -> Option<Entry> {
        Reader::new(bytes).u32().map(Entry::from)
    }

    fn header_len(&self) -> usize {
        LEN
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u32((*self).into());
    }
}
