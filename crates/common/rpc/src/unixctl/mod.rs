//! Control sockets: the door through which `ovs-appctl` reaches a running
//! program. One JSON-RPC request is one command with words as arguments.
//!
//! The program's own loop drives it: [`Server::next`] yields a [`Request`],
//! and [`Registry::dispatch`] hands it to the command with the loop's state.

mod client;
mod registry;
mod server;

pub use client::{Client, socket_of, transact};
pub use registry::{Group, Registry};
pub use server::{Format, Reply, Request, Responder, Server, not_listening};

#[cfg(test)]
mod tests;
