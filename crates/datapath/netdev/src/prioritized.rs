//! Sending with a priority, by which the kernel's queueing discipline finds the class of a frame (socket(7), SO_PRIORITY).
//!
//! The priority is the socket's, and frames without one are most. So these have a socket of their own, which one thread has
//! at a time.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use crate::socket;

/// The socket for frames with a priority, from the first of these on.
#[derive(Debug, Default)]
pub(crate) struct Prioritized(Mutex<Option<Socket>>);

#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    priority: u32,
}

impl Prioritized {
    /// Lets `send` send with this priority; without a socket where the system refuses it, which is logged.
    pub(crate) fn with(&self, priority: u32, send: impl FnOnce(Option<&OwnedFd>)) {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match set(&mut place, priority) {
            Ok(fd) => send(Some(fd)),
            Err(error) => {
                log::warn!(
                    target: base::bounded!("netdev_linux"),
                    "frames of queues are sent to the default queue ({})",
                    base::error_text(&error)
                );
                send(None);
            }
        }
    }
}

fn set(place: &mut Option<Socket>, priority: u32) -> io::Result<&OwnedFd> {
    if place.is_none() {
        *place = Some(Socket { fd: open()?, priority: 0 });
    }
    let Some(socket) = place else { return Err(io::ErrorKind::NotFound.into()) };
    if socket.priority != priority {
        socket::set_option(&socket.fd, libc::SOL_SOCKET, libc::SO_PRIORITY, priority)?;
        socket.priority = priority;
    }
    Ok(&socket.fd)
}

/// It receives nothing.
fn open() -> io::Result<OwnedFd> {
    let fd = socket::packet_socket()?;
    socket::spare(&fd)?;
    socket::set_option(&fd, libc::SOL_PACKET, socket::PACKET_VNET_HDR, 1i32)?;
    // Without the right to as much, it is what the kernel grants.
    let _ = socket::set_option(&fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, socket::BUFFER);
    Ok(fd)
}
