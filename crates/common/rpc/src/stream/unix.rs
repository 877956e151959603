//! Unix domain sockets, also where the path is longer than the kernel takes.

use super::socket::Socket;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net as std_net;
use std::path::Path;
use tokio::net::UnixListener;

/// A path that does not fit into `sun_path` is reached through its open directory.
fn address(path: &Path) -> io::Result<(SocketAddrUnix, Option<OwnedFd>)> {
    if let Ok(address) = SocketAddrUnix::new(path) {
        return Ok((address, None));
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty())?;
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    Ok((SocketAddrUnix::new(&short)?, Some(directory)))
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

pub(super) async fn connect(path: &Path) -> io::Result<Socket> {
    let socket = socket()?;
    let (address, _directory) = address(path)?;
    rustix::net::connect(&socket, &address)?;
    Socket::new(socket)
}

/// Listens at `path`, removing what was there. The file is for the user and the group.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Err(e) = std::fs::remove_file(path)
        && e.kind() != io::ErrorKind::NotFound
    {
        log::warn!(target: "socket_util_unix", "unlinking \"{}\": {}", path.display(), crate::error_text(&e));
    }
    let bind = || -> io::Result<OwnedFd> {
        let socket = socket()?;
        let (address, _directory) = address(path)?;
        // On Linux a socket's own mode becomes its file's, without a moment of laxer rights.
        rustix::fs::fchmod(&socket, Mode::RWXU | Mode::RWXG)?;
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, 64)?;
        Ok(socket)
    };
    let socket = bind().inspect_err(|e| {
        log::error!(target: "stream_unix",
            "{}: binding failed: {}", path.display(), crate::error_text(e));
    })?;
    UnixListener::from_std(std_net::UnixListener::from(socket))
}
