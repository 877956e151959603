//! `encap` and `decap`.

/// Adds a header of the packet type `packet_type`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Encap {
    pub packet_type: u32,
    pub header_size: u16,
    pub properties: Vec<EncapProperty>,
}

/// What the new header contains.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum EncapProperty {
    NshMdType(u8),
    NshTlv { class: u16, kind: u8, data: Vec<u8> },
}
