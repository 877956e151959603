//! Asking the kernel: requests, and the answers.
//!
//! A thread keeps the sockets on which it asks, and memory for answers: to make a socket costs as much as what most
//! requests ask for. A thread must not move to another network namespace after it has asked.

use std::cell::RefCell;
use std::io;

use netlink_bindings::traits::{NetlinkRequest, Protocol};

use crate::message::{frame, messages, u32_at};
use crate::socket::Socket;

/// How often a dump is begun again because something changed meanwhile. After that it is taken as it is: where something
/// changes all the time there is no better one.
const ATTEMPTS: usize = 3;
/// `NLM_F_DUMP_INTR`: what is dumped has changed, and may be there twice or not at all.
const INTERRUPTED: u16 = 0x10;
/// The longest datagram of answers.
const BUFFER_LEN: usize = 64 * 1024;

thread_local! {
    static IDLE: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// What the kernel does with a request on a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reading {
    /// It ignores some of what a request for a dump says.
    Usual,
    /// It filters a dump by all that the request says; before Linux 4.20 as usual.
    Strict,
}

/// What a thread asks on, with all answers read.
struct Kept {
    family: i32,
    reading: Reading,
    /// A copy of the process has the same socket, and would read the other one's answers.
    process: u32,
    socket: Socket,
    buffer: Vec<u8>,
}

impl Kept {
    fn take(family: i32, reading: Reading) -> io::Result<Kept> {
        let process = std::process::id();
        let is_right = |kept: &Kept| (kept.family, kept.reading) == (family, reading);
        let found = IDLE.with_borrow_mut(|idle| {
            idle.retain(|kept| kept.process == process);
            idle.iter().position(is_right).map(|at| idle.swap_remove(at))
        });
        if let Some(kept) = found {
            return Ok(kept);
        }
        let socket = Socket::for_asking(family)?;
        if reading == Reading::Strict {
            socket.be_strict();
        }
        Ok(Kept { family, reading, process, socket, buffer: vec![0; BUFFER_LEN] })
    }

    fn put_back(self) {
        IDLE.with_borrow_mut(|idle| idle.push(self));
    }
}

/// Why there is no answer.
enum Failure {
    /// The kernel refused. Nothing else is to be read.
    Refused(io::Error),
    /// The answers have not been read, or not all of them.
    Broken(io::Error),
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        match failure {
            Failure::Refused(error) | Failure::Broken(error) => error,
        }
    }
}

/// Sends a request; what `pick` makes of the answers, each with its kind. Those to a request for a change are none.
pub(crate) fn ask<R: NetlinkRequest, T>(
    request: &R,
    pick: impl FnMut(u16, R::ReplyType<'_>) -> Option<T>,
) -> io::Result<Vec<T>> {
    ask_as(Reading::Usual, request, pick)
}

/// The same, saying how the request is to be read.
pub(crate) fn ask_as<R: NetlinkRequest, T>(
    reading: Reading,
    request: &R,
    pick: impl FnMut(u16, R::ReplyType<'_>) -> Option<T>,
) -> io::Result<Vec<T>> {
    let mut kept = Kept::take(protocol(request)?.0, reading)?;
    let found = converse(&kept.socket, &mut kept.buffer, request, pick);
    if !matches!(found, Err(Failure::Broken(_))) {
        kept.put_back();
    }
    Ok(found?)
}

/// Gives `work` a socket whose kind does not matter, as for ioctl(2).
pub(crate) fn with_any_socket<T>(work: impl FnOnce(&Socket) -> T) -> io::Result<T> {
    let kept = Kept::take(libc::NETLINK_ROUTE, Reading::Usual)?;
    let made = work(&kept.socket);
    kept.put_back();
    Ok(made)
}

fn converse<R: NetlinkRequest, T>(
    socket: &Socket,
    buffer: &mut [u8],
    request: &R,
    mut pick: impl FnMut(u16, R::ReplyType<'_>) -> Option<T>,
) -> Result<Vec<T>, Failure> {
    let message = frame(protocol(request).map_err(Failure::Broken)?.1, request);
    let mut answers = Vec::new();
    for _ in 0..ATTEMPTS {
        answers.clear();
        socket.send(&message).map_err(Failure::Broken)?;
        let is_whole = receive(socket, buffer, |kind, payload| {
            answers.extend(pick(kind, R::decode_reply(payload)));
        })?;
        if is_whole {
            break;
        }
    }
    Ok(answers)
}

/// Asks for a change.
pub(crate) fn change(request: &impl NetlinkRequest) -> io::Result<()> {
    ask(request, |_, _| None::<()>).map(drop)
}

/// The family that the request belongs to, and its kind there.
fn protocol(request: &impl NetlinkRequest) -> io::Result<(i32, u16)> {
    match request.protocol() {
        Protocol::Raw { protonum, request_type } => Ok((protonum.into(), request_type)),
        Protocol::Generic(_) => {
            base::broken!("a request of generic netlink, whose families have no numbers here");
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}

/// Gives the answers to `visit` until the last one; whether nothing changed meanwhile.
fn receive(socket: &Socket, buffer: &mut [u8], mut visit: impl FnMut(u16, &[u8])) -> Result<bool, Failure> {
    let mut is_whole = true;
    loop {
        let len = socket.receive(buffer).map_err(Failure::Broken)?;
        for message in messages(buffer.get(..len).unwrap_or(&[])) {
            is_whole &= message.flags & INTERRUPTED == 0;
            match i32::from(message.kind) {
                // Both begin with the number of an error, negative, or 0.
                libc::NLMSG_DONE | libc::NLMSG_ERROR => {
                    let error = u32_at(message.payload, 0) as i32;
                    let refused = || Failure::Refused(io::Error::from_raw_os_error(-error));
                    return if error == 0 { Ok(is_whole) } else { Err(refused()) };
                }
                libc::NLMSG_NOOP => {}
                _ => visit(message.kind, message.payload),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_thread_asks_on_one_socket_and_a_refusal_does_not_disturb_the_next_answer() {
        for _ in 0..3 {
            assert_eq!(crate::link("no-such-link").unwrap(), None);
            assert_eq!(crate::link("lo").unwrap().unwrap().index, 1);
            assert!(crate::links().unwrap().iter().any(|link| link.name == "lo"));
        }
        let descriptor = || with_any_socket(|socket| socket.fd().as_raw_fd()).unwrap();
        let first = descriptor();
        crate::link("lo").unwrap();
        assert_eq!(descriptor(), first);
        // A copy of the process does not use it.
        IDLE.with_borrow_mut(|idle| idle.iter_mut().for_each(|kept| kept.process += 1));
        assert_eq!(crate::link("lo").unwrap().unwrap().index, 1);
        assert_eq!(IDLE.with_borrow(Vec::len), 1);
    }
}
