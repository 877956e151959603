//! Messages as bytes.
//!
//! Enters: one message's bytes, whole. Leaves: [`Decoded`], or the error to
//! answer with. The other way round, [`Message::encode`] appends one message,
//! or as many as a multipart takes.

mod conntrack;
mod decode;
mod encode;
mod flow;
mod flow_removed;
mod flow_stats;
mod group;
mod ipfix;
pub(crate) mod legacy;
mod monitor;
mod notice;
mod packet;
mod parts;
mod port;
mod queue;
pub(crate) mod raw;
mod switch;
mod table;
mod table_features;
mod table_numbers;

use fields::Protocols;

use crate::*;

pub use decode::decode;
pub(crate) use decode::hello_is_plain;
pub use parts::ReplyParts;

base::coverage!(
    /// Messages that were longer than OpenFlow's 65,535 bytes.
    static UNSENDABLE_MESSAGES = "ofp_message_too_long"
);
base::coverage!(
    /// Entries of multipart replies that are longer than a whole message.
    static UNSENDABLE_ENTRIES = "ofp_multipart_entry_too_long"
);

/// A message that does not fit into what OpenFlow's lengths can say. It is counted and logged already.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message} message cannot be sent: {reason}")]
pub struct Unsendable {
    message: String,
    reason: String,
}

/// What decoding needs to know of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The protocol in effect.
    pub protocol: Protocols,
    /// How many tables there are; 255 when not known.
    pub n_tables: u8,
    /// Whether flow ages are to be read (NXT_FLOW_AGE).
    pub flow_age: bool,
    /// Skip what is not known where the standard lets one.
    pub loose: bool,
}

impl Default for Context {
    /// For showing messages: tolerant.
    fn default() -> Context {
        Context { protocol: Protocols::OF10_STD_TID, n_tables: 255, flow_age: true, loose: true }
    }
}

/// How messages are written.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    /// Of the headers.
    pub version: Version,
    /// Which forms to prefer, such as NXM; of the same version.
    pub protocol: Protocols,
    /// The form of packet-ins.
    pub packet_in_format: PacketInFormat,
    /// Of the headers; a reply repeats that of its request.
    pub xid: u32,
}

impl Encoder {
    /// In the version of `protocol`, with standard packet-ins.
    pub fn new(protocol: Protocols, xid: u32) -> Encoder {
        Encoder { version: Version::of(protocol), protocol, packet_in_format: PacketInFormat::Standard, xid }
    }
}

/// The length that a message's header gives, once the header is there.
pub fn message_len(bytes: &[u8]) -> Option<usize> {
    raw::Header::read(bytes).map(|h| usize::from(h.length))
}

/// The xid in a message's header.
pub fn message_xid(bytes: &[u8]) -> Option<u32> {
    raw::Header::read(bytes).map(|h| h.xid)
}

/// The name that the protocol gives the message that `bytes` begin, as in "OFPT_FLOW_MOD"; "invalid" when it is none.
pub fn message_name(bytes: &[u8]) -> String {
    raw::name_of(bytes)
}

/// Cuts bytes into messages; stops at what is not a whole one.
pub fn split_messages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = message_len(rest).filter(|len| (8..=rest.len()).contains(len))?;
        let (message, tail) = rest.split_at(len);
        rest = tail;
        Some(message)
    })
}
