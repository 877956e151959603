//! The programs around the database: `ovsdb-server` serves it, `ovsdb-client`
//! talks to a server, `ovsdb-tool` works on files.
//!
//! Each takes the words after its name and gives back its exit status.

mod ovsdb_client;
mod ovsdb_server;
mod ovsdb_tool;
mod shared;

pub use ovsdb_client::ovsdb_client;
pub use ovsdb_server::ovsdb_server;
pub use ovsdb_tool::ovsdb_tool;
