//! OVSDB's server: what clients request of databases, and what they receive.
//!
//! [`Server`] is the whole of it without I/O: messages enter with the session
//! they came on, and leave into the sessions' outboxes. [`Listeners`] carry
//! them: they accept, connect, and run one task per connection on the caller's
//! runtime. Rows and files are `store`'s; command lines are not here.
//!
//! house: circle broadcast <-> server because the server's state has one place, and its methods a file for each task
//! house: circle server <-> server_database because the server's state has one place, and its methods a file for each task
//! house: circle server <-> table_log because the server's state has one place, and its methods a file for each task
//! house: circle hosted <-> relay because a relay's copy is a hosted database, which holds the state of its relay
//! house: circle monitor <-> watch because a monitor keeps its place in a watch, which encodes what its monitors see

mod broadcast;
mod disk;
mod history;
mod hosted;
mod listeners;
mod locks;
mod mirror;
mod monitor;
mod monitor_request;
mod relay;
mod remotes;
mod replication;
mod requests;
mod rhythm;
mod server;
mod server_database;
mod session;
mod table_log;
mod transact;
mod watch;

pub use listeners::Listeners;
pub use relay::run_relay;
pub use remotes::{DEFAULT_DSCP, Remote, RemoteStatus, database_remotes, write_status};
pub use replication::{Progress, Source, run_replication};
pub use server::{Server, SharedServer};
pub use server_database::SERVER_DATABASE;
pub use session::{Identity, SessionId};

#[cfg(test)]
mod tests;
