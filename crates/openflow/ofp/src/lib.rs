//! OpenFlow: messages and actions of versions 1.0 to 1.5, with the Nicira
//! extensions, as types, as bytes and as text.
//!
//! Enters: bytes from a connection, text from a user. Leaves: [`Message`]s
//! and [`Action`]s that say the same whatever the version, or an
//! [`OfError`] that says precisely what was wrong. Called by the switch's
//! controller side, by translation (which reads actions) and by `ovs-ofctl`.
//!
//! Not here: connections (`rpc`), tables (`ofproto`), fields (`fields`).
//!
//! house: circle codec::decode <-> codec::notice because a message that reports another one holds it whole

// An enum that grows is to be answered for in every place that looks at it.
#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]
// What others build on says its shapes, units and sources.
#![warn(missing_docs)]

mod action;
mod codec;
mod error;
mod flow_text;
mod group_text;
mod match_text;
mod meter_text;
mod msg;
mod oxm;
mod print;
mod prop;
mod text;
mod version;
mod wire;

pub use action::*;
pub use codec::{
    Context, Encoder, ReplyParts, Unsendable, decode, message_len, message_name, message_xid, split_messages,
};
pub use error::{ErrorCode, NX_VENDOR, ONF_VENDOR, OfError};
pub use flow_text::{
    FlowTextKind, parse_flow_mod, parse_flow_monitor_request, parse_flow_stats_request, parse_flow_text,
    parse_group, parse_packet_out,
};
pub use group_text::parse_group_mod;
pub use match_text::{
    MatchForm, RawMatch, match_from_bytes, match_to_bytes, nx_match_from_text, nx_match_round_trip,
};
pub use meter_text::{parse_meter_config, parse_meter_id, parse_meter_mod};
pub use msg::*;
pub use oxm::nx_match_to_text;
pub use print::{
    message_to_text, packet_key_to_text, packet_to_text, put_flow_flags, put_flow_stats, put_group_desc,
    put_group_properties, put_meter_config, put_meter_id, put_port_config, put_port_desc, put_port_state,
    put_port_stats, table_features_to_text,
};
pub use text::{hex_bytes, put_hex_dump};
pub use version::{Version, put_version_bitmap, version_names, versions_to_text};
