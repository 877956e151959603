//! The flow key: all that the switch can know of a packet, as 64-bit words.
//!
//! Enters: header values and metadata. Leaves: [`FlowKey`] (dense, addressed
//! by [`Slot`]), [`FlowMask`] (which bits matter), [`SparseKey`] (a bitmap
//! and the words that are not zero) and [`SparseMatch`] (values under a shared mask). Everybody who classifies, translates or
//! installs flows works on these types; nobody else lays out a key.
//!
//! [`extract`] fills a key from a packet's bytes and [`Metadata`].
//!
//! Not here: the headers themselves (`wire`), the names, prerequisites
//! and text forms of fields (`fields`).
//!
//! ```text
//! word  0 ─ 38   metadata: recirculation, ports, registers, tunnel, conntrack
//! word 39 ─ 43   L2: addresses, type, VLANs, MPLS
//! word 44 ─ 56   L3: addresses, protocol, ARP/ND, NSH
//! word 57 ─ 58   L4: ports, TCP flags, IGMP
//! word 59 ─ 63   not in use
//! word 64 ─ 191  the extension: options of the tunnel (metadata), in memory that only keys with options have
//! ```
//! The layers begin at known words, so that masking, hashing and staged
//! lookup work on words and never on names.
//!
//! house: circle key <-> slots because the accessors of a key are made from the table of its slots

#![warn(missing_docs)]

pub mod compose;
pub mod extract;
mod key;
mod mask;
mod metadata;
mod slots;
mod sparse;
mod sparse_match;
mod tunnel_options;
mod words;

pub use compose::{compose, compose_sized};
pub use extract::{PacketKey, extract};
pub use key::FlowKey;
pub use mask::FlowMask;
pub use metadata::{CtKey, Metadata, TunnelKey};
pub use slots::{OPTION_WORDS, Slot, TUN_METADATA_FIELDS, slot};
pub use sparse::SparseKey;
pub use sparse_match::SparseMatch;
pub use tunnel_options::MAX_OPTION_LEN;
pub use words::{EXTENSION_WORDS, WORDS};

/// First word of each stage of a staged lookup, and the end: metadata, L2, L3, L4.
///
/// What only neighbour discovery, ARP and NSH have counts as L4: a packet that
/// is none of these is told apart by L3 already, and its answer then does not
/// depend on fields that it does not have.
///
/// Words of the extension count as metadata; see [`stage_word`].
pub const STAGES: [usize; 5] = [0, 39, 44, 50, WORDS];

/// The word in whose stage word `index` is looked at: itself, or for one of the extension the first.
pub const fn stage_word(index: usize) -> usize {
    if index < WORDS { index } else { STAGES[0] }
}

/// `dl_type` of frames that carry a length instead of a type (`OFP_DL_TYPE_NOT_ETH_TYPE`).
pub const DL_TYPE_NONE: u16 = 0x05ff;

/// Bit of a VLAN TCI that says "a tag is there"; on the wire it is the DEI/CFI bit.
pub const VLAN_CFI: u16 = 0x1000;

/// How many 32-bit registers the key holds.
pub const REGISTERS: usize = 32;

/// How many VLAN tags the key holds.
pub const MAX_VLANS: usize = 2;

/// How many MPLS labels the key holds.
pub const MAX_MPLS: usize = 3;

/// `nw_frag` bits (`FLOW_NW_FRAG_*`).
pub mod frag {
    /// The packet is a fragment.
    pub const ANY: u8 = 1;
    /// It is not the first one, so it has no L4 header.
    pub const LATER: u8 = 2;
}

/// `tun_flags` bits (`NX_TUN_FLAG_*`, `FLOW_TNL_F_*`).
pub mod tunnel_flags {
    /// The packet is of operations and maintenance.
    pub const OAM: u16 = 1;
    /// The outer header forbids fragmentation.
    pub const DONT_FRAGMENT: u16 = 2;
    /// The outer header has a checksum.
    pub const CSUM: u16 = 4;
    /// The tunnel has a key, also where it is zero.
    pub const KEY: u16 = 8;
    /// All of these.
    pub const ALL: u16 = 15;
}

/// `ct_state` bits (`CS_*`).
pub mod ct_state {
    /// The packet begins a connection.
    pub const NEW: u32 = 0x01;
    /// It belongs to a connection that both sides know.
    pub const ESTABLISHED: u32 = 0x02;
    /// It is related to a known connection.
    pub const RELATED: u32 = 0x04;
    /// It goes against the direction of the first packet.
    pub const REPLY: u32 = 0x08;
    /// It could not be tracked.
    pub const INVALID: u32 = 0x10;
    /// It went through the tracker.
    pub const TRACKED: u32 = 0x20;
    /// Its source was changed.
    pub const SRC_NAT: u32 = 0x40;
    /// Its destination was changed.
    pub const DST_NAT: u32 = 0x80;
}
