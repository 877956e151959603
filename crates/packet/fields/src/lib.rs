//! The fields of packets and metadata that rules match and actions change.
//!
//! Enters: text (`tcp,nw_dst=10.0.0.0/8`), numbers from OXM headers, flow
//! keys. Leaves: [`Field`]s with all that is known of them, [`Match`]es,
//! [`Subfield`]s and their text. The wire codecs, the text parsers of
//! OpenFlow, translation and the `ovs-ofctl` listings all read the one table
//! in [`registry`]; a new field is one row there.
//!
//! Not here: reading fields from packets (`wire`, `flow`), OpenFlow messages
//! and actions (`ofp`).
//!
//! house: circle matching <-> subfield because a match may be written as a subfield, and a subfield writes into a match

#![warn(missing_docs)]

mod access;
mod matching;
mod names;
mod normalize;
pub mod oxm;
mod prereqs;
mod protocol;
pub mod registry;
mod subfield;
pub mod text;
pub mod text_pairs;

pub use matching::format::{DEFAULT_PRIORITY, format_frag};
pub use matching::{Match, did_you_mean, parse_field, protocol_shorthand};
pub use names::{
    NameMap, PortNames, TableNames, format_port, format_port_plain, format_table, parse_port, parse_table,
    reserved_port_name,
};
pub use prereqs::{Prereq, effective_dl_type, is_nd, other_prereqs};
pub use protocol::Protocols;
pub use registry::{Field, Info, Legacy, Maskable, TUNNEL_OPTIONS, TextForm};
pub use subfield::{Subfield, SubfieldError};
pub use text::format_packet_type;

/// A text was refused. The message is worded for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TextError(pub String);

impl TextError {
    /// With this message.
    pub fn new(message: impl Into<String>) -> TextError {
        TextError(message.into())
    }
}

impl From<String> for TextError {
    fn from(message: String) -> TextError {
        TextError(message)
    }
}

/// `Err(TextError)` with a formatted message.
#[macro_export]
macro_rules! refuse {
    ($($arg:tt)*) => { Err($crate::TextError(format!($($arg)*))) };
}
