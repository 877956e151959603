//! A client's copy of a database.
//!
//! Enters: what a server says (RFC 7047, and the `monitor_cond_since`
//! extension). Leaves: rows, what changed in them, and the outcome of
//! transactions. The daemons follow their configuration through it.
//!
//! [`Core`] is the protocol without I/O: messages in, messages out.
//! [`Replica`] joins it to a session that reconnects. After a reconnection a
//! server that keeps history sends only what was missed.
//!
//! Not here: what the tables mean (`schema`, `bridge`).

mod core;
mod driver;
mod row;
mod transaction;

pub use crate::core::{Core, Event, MonitorSpec, TransactionId};
pub use driver::Replica;
pub use model::Json;
pub use row::{Row, Table};
pub use transaction::{Transaction, named_uuid};

#[cfg(test)]
mod tests;
