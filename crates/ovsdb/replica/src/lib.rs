//! A client's copy of a database (what the reference calls the IDL).
//!
//! [`Replica`] connects, fetches the schema, monitors what it was asked to, and
//! keeps [`Tables`] up to date over lost connections; [`Replica::next`] tells
//! when something has changed. A [`Transaction`] is a copy of the tables to
//! change at will; [`Replica::commit`] sends the difference. [`Protocol`] is the
//! same without I/O.

#![warn(missing_docs)]

mod protocol;
mod replica;
mod tables;
mod transaction;

pub use protocol::{Action, Protocol, Subscription};
pub use replica::{Event, Replica, TransactionId};
pub use tables::{Change, Row, Table, Tables};
pub use transaction::{Outcome, Transaction};

#[cfg(test)]
mod tests;
