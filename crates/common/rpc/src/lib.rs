//! How the programs talk and live: byte streams, JSON-RPC over them, control
//! sockets, and the habits of a daemon.
//!
//! Bytes enter and messages leave, and the other way round. Everything runs on
//! one tokio current-thread runtime that the caller owns, except [`daemon`],
//! whose forks happen before any runtime exists. What messages mean (OVSDB,
//! control commands) is not here.
//!
//! house: circle hint <-> unixctl because a control socket that cannot be made is explained by a hint, and the hint about a daemon looks for its control socket

pub mod connection;
pub mod daemon;
pub mod dirs;
pub mod framing;
pub mod hint;
pub mod holder;
pub mod memory;
pub mod message;
pub mod options;
pub mod program;
pub mod reconnect;
pub mod session;
pub mod stream;
mod sys;
pub mod unixctl;

pub use base::error_text;
pub use connection::Connection;
pub use message::Message;
pub use session::{Event, Session};
pub use stream::{Listener, Stream, Tls};

/// The release of the reference whose behaviour the programs have; `--version` and `version` print it.
pub const REFERENCE_VERSION: &str = "4.0.0";

/// The port of OVSDB where a target names none (IANA).
pub const OVSDB_PORT: u16 = 6640;
/// The port of OpenFlow where a target names none (IANA).
pub const OPENFLOW_PORT: u16 = 6653;

/// What `--version` and the control command `version` print for `program`.
pub fn version_text(program: &str) -> String {
    format!("{program} (Open vSwitch) {REFERENCE_VERSION}")
}

/// What a program's one thread waits for events with.
pub fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|e| format!("cannot wait for events ({})", error_text(&e)))
}

/// The operating system's words for an error number.
pub fn errno_text(errno: i32) -> String {
    error_text(&std::io::Error::from_raw_os_error(errno))
}
