//! Asking the kernel: a request on a socket of its own, and the answers.

use std::io;

use netlink_bindings::traits::{NetlinkRequest, Protocol};

use crate::message::{frame, messages, u32_at};
use crate::socket::Socket;

/// How often a dump is begun again because something changed meanwhile. After that it is taken as it is: where something
/// changes all the time there is no better one.
const ATTEMPTS: usize = 3;
/// `NLM_F_DUMP_INTR`: what is dumped has changed, and may be there twice or not at all.
const INTERRUPTED: u16 = 0x10;

/// Sends a request; what `pick` makes of the answers, each with its kind. Those to a request for a change are none.
pub(crate) fn ask<R: NetlinkRequest, T>(
    request: &R,
    pick: impl FnMut(u16, R::ReplyType<'_>) -> Option<T>,
) -> io::Result<Vec<T>> {
    ask_at(&Socket::for_asking(protocol(request)?.0)?, request, pick)
}

/// The same on a socket of the request's family that nobody else uses.
pub(crate) fn ask_at<R: NetlinkRequest, T>(
    socket: &Socket,
    request: &R,
    mut pick: impl FnMut(u16, R::ReplyType<'_>) -> Option<T>,
) -> io::Result<Vec<T>> {
    let message = frame(protocol(request)?.1, request);
    let mut answers = Vec::new();
    for _ in 0..ATTEMPTS {
        answers.clear();
        socket.send(&message)?;
        let is_whole = receive(socket, |kind, payload| {
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
fn receive(socket: &Socket, mut visit: impl FnMut(u16, &[u8])) -> io::Result<bool> {
    let mut buffer = vec![0; 64 * 1024];
    let mut is_whole = true;
    loop {
        let len = socket.receive(&mut buffer)?;
        for message in messages(buffer.get(..len).unwrap_or(&[])) {
            is_whole &= message.flags & INTERRUPTED == 0;
            match i32::from(message.kind) {
                // Both begin with the number of an error, negative, or 0.
                libc::NLMSG_DONE | libc::NLMSG_ERROR => {
                    let error = u32_at(message.payload, 0) as i32;
                    return if error == 0 { Ok(is_whole) } else { Err(io::Error::from_raw_os_error(-error)) };
                }
                libc::NLMSG_NOOP => {}
                _ => visit(message.kind, message.payload),
            }
        }
    }
}
