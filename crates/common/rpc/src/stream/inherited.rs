//! Listening sockets that the process was started with, as service managers hand them over.

use rustix::net::{AddressFamily, SocketType, sockopt};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use tokio::net::{TcpListener, UnixListener};

/// What such a socket listens for.
#[derive(Debug)]
pub(super) enum Inherited {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// Listens on what `fd` is open for. The descriptor stays open for a later call: the listener has its own.
pub(super) fn listener(name: &str, fd: RawFd) -> io::Result<Inherited> {
    let not_a_socket = |error: io::Error| {
        log::error!(target: "stream_unix", "{name}: not a socket ({})", crate::error_text(&error));
        error
    };
    let own = duplicate(fd).map_err(not_a_socket)?;
    let kind = sockopt::socket_type(&own).map_err(|error| not_a_socket(error.into()))?;
    if kind != SocketType::STREAM {
        log::error!(target: "stream_unix", "{name}: not a stream socket (type {})", kind.as_raw());
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    if !sockopt::socket_acceptconn(&own)? {
        log::error!(target: "stream_unix", "{name}: not a listening socket");
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    rustix::io::ioctl_fionbio(&own, true)?;
    match rustix::net::getsockname(&own)?.address_family() {
        AddressFamily::UNIX => Ok(Inherited::Unix(UnixListener::from_std(own.into())?)),
        AddressFamily::INET | AddressFamily::INET6 => Ok(Inherited::Tcp(TcpListener::from_std(own.into())?)),
        _ => Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
    }
}

fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the number is not negative, as a borrowed descriptor must be. It is used for one system call, which
    // fails when nothing is open under it, and which leaves whatever is open as it was; nothing closes descriptors
    // while it runs, since names are opened by the one thread that runs the program's sockets.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(rustix::io::fcntl_dupfd_cloexec(borrowed, 0)?)
}

#[cfg(test)]
mod tests {
    use super::super::{Listener, Stream, Tls};
    use std::os::fd::AsRawFd;

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn a_listening_socket_is_taken_over_and_left_open() {
        run(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("s");
            let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
            let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let tcp_name = format!("tcp:{}", tcp.local_addr().unwrap());
            let unix_name = format!("unix:{}", path.display());
            for (fd, name) in [(unix.as_raw_fd(), unix_name), (tcp.as_raw_fd(), tcp_name)] {
                for _ in 0..2 {
                    let tls = Tls::default();
                    let listener = Listener::bind(&format!("pfd:{fd}"), 0, &tls).await.unwrap();
                    let (client, incoming) = tokio::join!(Stream::connect(&name, 0, &tls), listener.accept());
                    client.unwrap();
                    incoming.unwrap().finish().await.unwrap();
                }
            }
            assert!(path.exists());
        });
    }

    #[test]
    fn what_does_not_listen_is_refused() {
        run(async {
            let file = std::fs::File::open("/dev/null").unwrap();
            let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
            for (fd, errno) in
                [(file.as_raw_fd(), libc::ENOTSOCK), (one.as_raw_fd(), libc::EINVAL), (i32::MAX, libc::EBADF)]
            {
                let error = Listener::bind(&format!("pfd:{fd}"), 0, &Tls::default()).await.unwrap_err();
                assert_eq!(error.raw_os_error(), Some(errno));
            }
        });
    }
}
