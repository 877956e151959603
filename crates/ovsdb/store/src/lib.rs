//! A database: rows in memory, transactions on them, and the log file that keeps them.
//!
//! Operations as JSON enter [`execute`]; a [`Transaction`] leaves, which
//! [`Database::commit`] checks whole and then applies, leaving the [`Changes`]
//! that monitors and the [`file::DatabaseFile`] want. Nothing here waits, and
//! nothing here knows of sessions.

pub mod changes;
mod column_refs;
mod columns;
mod commit;
mod compaction;
mod convert;
pub mod database;
mod disk;
mod execute;
pub mod file;
mod large_record;
pub mod log_file;
mod query;
mod rbac;
pub mod record;
mod references;
mod row;
mod transaction;

pub use changes::{Change, Changes};
pub use columns::Columns;
pub use database::{Database, Table};
pub use disk::{Notify, Ticket};
pub use execute::{Executed, Request, execute};
pub use file::{DatabaseFile, DiskProgress};
pub use row::Row;
pub use transaction::{IndexMap, Transaction};

#[cfg(test)]
mod tests;
