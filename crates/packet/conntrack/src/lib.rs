//! Connection tracking: to which connection a packet belongs, and the translation of its addresses.
//!
//! Enters: packets from their IP header on ([`Datagram`]), what a rule asks for ([`Action`]), and the time. Leaves: what is
//! known of the packet's connection ([`Metadata`]), and the packet, its addresses and ports translated. `dp-user` calls
//! [`Tracker::track`] for each packet of a `ct` action, from many threads at once.
//!
//! ```text
//! Seen::read ── Table::with ─┬ found ── State::update ── rewrite ── helper
//! (headers)     (a shard)    └ none ─── State::begin ─── nat::choose ── Table::insert
//! ```
//!
//! A connection is in one of 256 shards, and a packet takes the lock of its connection's shard only; where addresses are
//! translated, before it that of the shard which knows the translated key. Connections that are over are not found, and removed
//! by [`Tracker::sweep`] a few at a time.
//!
//! Fragments are put together before they are tracked ([`Fragments`]).
//!
//! Not here: the clock, threads, commands (`vswitchd`), and what rules say (`pipeline`).

// An enum that grows is to be answered for in every place that looks at it.
#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]
#![warn(missing_docs)]

mod connection;
mod control;
mod datagram;
mod expectations;
mod filter;
mod filter_text;
mod fragments;
mod ftp;
mod helper;
mod key;
mod metadata;
mod nat;
mod policy;
mod rewrite;
mod stage;
mod state;
mod sweep;
mod table;
mod tcp;
mod text;
mod tracker;
mod zones;

pub use connection::{Helper, Translated};
pub use control::{Entry, ExpectationEntry};
pub use datagram::{Datagram, KnownChecksum};
pub use filter::{Ends, Filter};
pub use filter_text::{format_filter, parse_filter};
pub use fragments::{FragmentSettings, Fragments, Taken, Whole, is_fragment};
pub use key::{Address, Endpoint, Key};
pub use metadata::Metadata;
pub use nat::Nat;
pub use stage::Stage;
pub use state::State;
pub use tcp::{Peer, Tcp, TcpState};
pub use text::{Detail, format_entry, format_expectation, format_limits, protocol_name, shown_tcp_state};
pub use tracker::{Action, NatAction, Tracker};
pub use zones::ZoneLimit;

#[cfg(test)]
mod tests;
