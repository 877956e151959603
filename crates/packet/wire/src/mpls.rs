//! MPLS label stack entries (RFC 3032), kept as their 32-bit word.

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
