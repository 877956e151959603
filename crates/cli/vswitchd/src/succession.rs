//! From one process to the next without a gap.
//!
//! A process that ends by SIGTERM, or after `netdev/keep`, leaves a copy of itself behind, the keeper: it forwards on, by the
//! same devices, flows and rules, and talks to nobody but the next process, which finds it by a socket beside the pidfile. When
//! none comes at once, the keeper closes the devices as the process itself would have.
//!
//! ```text
//! next process                          keeper
//!   greeting                    ─────▶
//!                               ◀─────  the descriptors of its devices, then an empty name
//!   (opens its own, deaf, reads its configuration;
//!    hears, and turns the others deaf)
//!   ready                       ─────▶  (forwards what it has received, and ends)
//! ```
//!
//! A greeting that the keeper does not know is from a process of another version, which starts as if nobody was there.
//!
//! A switch with another pidfile that starts among the same devices may want some of them for itself. It finds the keeper by
//! an abstract socket, which is seen where the devices are, in the network namespace; a keeper that is called there closes
//! the devices at once.

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dp_user::Predecessor;
use flowsync::Datapaths;
use rpc::holder;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// The first bytes that the next process sends; the number is that of the protocol.
const GREETING: &[u8; 24] = b"ironbridge succession 1\n";
const READY: &[u8; 6] = b"ready\n";
/// Room for a device's name and a zero.
const NAME: usize = 16;

/// What the names of the abstract sockets begin with; the keeper's number follows.
const CALLED: &str = "ironbridge-keeper-";

/// How long the keeper waits for the next process where nobody has said that there will be one, and where somebody has.
const PATIENCE: Duration = Duration::from_millis(500);
const LONG_PATIENCE: Duration = Duration::from_secs(10);
/// How long the next process may take to be ready.
const START: Duration = Duration::from_secs(60);
/// How long the two wait for each other's words otherwise.
const ANSWER: Duration = Duration::from_secs(2);

/// Where the keeper is found.
pub(crate) fn socket_path(pidfile: &Path) -> PathBuf {
    let name = pidfile.file_stem().unwrap_or_default().to_string_lossy();
    pidfile.with_file_name(format!(".{name}.keeper"))
}

/// Leaves a keeper behind; whether there is one. `is_expected`: somebody has said that the next process will come.
pub(crate) fn leave_keeper(datapaths: &Datapaths, path: &Path, is_expected: bool) -> bool {
    let mut has_devices = false;
    datapaths.each_succession(|datapath| has_devices |= datapath.has_devices());
    if !has_devices {
        return false;
    }
    let doors = match Doors::open(path) {
        Ok(doors) => doors,
        Err(error) => {
            let why = rpc::error_text(&error);
            log::warn!(target: "vswitchd", "forwarding ends with this process: {}: {why}", path.display());
            return false;
        }
    };
    datapaths.pause();
    match holder::split(&[doors.heir.as_raw_fd(), doors.others.as_raw_fd()]) {
        Ok(true) => {
            keep(datapaths, doors, path, if is_expected { LONG_PATIENCE } else { PATIENCE });
            holder::leave();
        }
        Ok(false) => {
            datapaths.each_succession(|datapath| datapath.forget_ports());
            true
        }
        Err(error) => {
            log::warn!(target: "vswitchd", "forwarding ends with this process: {}", rpc::error_text(&error));
            resume(datapaths);
            false
        }
    }
}

/// Where the keeper is called.
struct Doors {
    /// By the process that goes on in its place.
    heir: UnixListener,
    /// By switches that want the devices for themselves.
    others: UnixListener,
}

impl Doors {
    fn open(path: &Path) -> io::Result<Doors> {
        let name = format!("{CALLED}{}", std::process::id());
        let others = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
        Ok(Doors { heir: listen(path)?, others })
    }

    /// Waits for the next process. An error when it does not come in time, or another switch wants the devices.
    fn meet(&self, patience: Duration) -> io::Result<UnixStream> {
        let limit = Timespec::try_from(patience).map_err(io::Error::other)?;
        let mut fds = [PollFd::new(&self.heir, PollFlags::IN), PollFd::new(&self.others, PollFlags::IN)];
        if poll(&mut fds, Some(&limit))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let [heir, _] = fds;
        if heir.revents().is_empty() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(self.heir.accept()?.0)
    }
}

/// Has the keepers of other switches close their devices, which this one may want.
pub(crate) fn send_others_away() {
    // Without the list, a device that is in use is an error of its port.
    let Ok(sockets) = std::fs::read_to_string("/proc/self/net/unix") else { return };
    let names = sockets.lines().filter_map(|line| line.split_whitespace().last()?.strip_prefix('@'));
    let mut calls: Vec<UnixStream> = names
        .filter(|name| name.starts_with(CALLED))
        .filter_map(|name| UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).ok()?).ok())
        .collect();
    for call in &mut calls {
        // It hangs up when the devices are closed, or is gone.
        let waits = call.set_read_timeout(Some(ANSWER)).and_then(|()| call.read(&mut [0]));
        if let Err(error) = waits {
            let why = rpc::error_text(&error);
            log::debug!(target: "vswitchd", "another switch that has ended: {why}");
        }
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // One that nobody listens to any more.
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn resume(datapaths: &Datapaths) {
    datapaths.each_succession(|datapath| {
        if let Err(error) = datapath.resume() {
            log::error!(target: "vswitchd", "forwarding does not go on: {}", rpc::error_text(&error));
        }
    });
}

/// The keeper's whole life.
fn keep(datapaths: &Datapaths, doors: Doors, path: &Path, patience: Duration) {
    resume(datapaths);
    let met = doors.meet(patience);
    // Whoever comes later starts as if nobody was here.
    let _ = std::fs::remove_file(path);
    let Ok(mut next) = met else {
        close_ports(datapaths);
        // Who called is told so by hanging up.
        drop(doors);
        return;
    };
    drop(doors);
    match serve(datapaths, &mut next) {
        Ok(()) => datapaths.each_succession(|datapath| datapath.hand_over()),
        // Whoever came is gone.
        Err(_) => close_ports(datapaths),
    }
}

/// Serves the next process until it is ready.
fn serve(datapaths: &Datapaths, next: &mut UnixStream) -> io::Result<()> {
    next.set_write_timeout(Some(ANSWER))?;
    next.set_read_timeout(Some(ANSWER))?;
    let mut greeting = [0; GREETING.len()];
    next.read_exact(&mut greeting)?;
    if greeting != *GREETING {
        log::warn!(target: "vswitchd", "the next process is of another version: it goes on with nothing of this one");
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut devices = Vec::new();
    datapaths.each_succession(|datapath| devices.extend(datapath.devices()));
    for (name, device) in &devices {
        send_device(next, name, device)?;
    }
    next.write_all(&[0; NAME])?;
    drop(devices);
    next.set_read_timeout(Some(START))?;
    let mut ready = [0; READY.len()];
    next.read_exact(&mut ready)?;
    if ready == *READY { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn send_device(next: &UnixStream, name: &str, device: &OwnedFd) -> io::Result<()> {
    let mut text = [0; NAME];
    for (place, byte) in text.iter_mut().zip(name.bytes().take(NAME - 1)) {
        *place = byte;
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [device.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let sent = sendmsg(next, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL)?;
    if sent == NAME { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Closes all ports, as the end of the process before would have.
fn close_ports(datapaths: &Datapaths) {
    for below in datapaths.shared() {
        for port in below.datapath.ports() {
            // One that went meanwhile is closed.
            let _ = below.datapath.del_port(port.number);
        }
        below.datapath.settle();
    }
}

/// The keeper of the process before, as the next one sees it.
pub(crate) struct Keeper {
    stream: UnixStream,
    pub(crate) predecessor: Arc<Predecessor>,
}

impl Keeper {
    /// The keeper, if there is one.
    pub(crate) fn find(path: &Path) -> Option<Keeper> {
        let stream = UnixStream::connect(path).ok()?;
        match Keeper::greet(stream) {
            Ok(keeper) => {
                log::info!(target: "vswitchd", "the process before forwards until this one is ready");
                Some(keeper)
            }
            Err(error) => {
                let why = rpc::error_text(&error);
                log::warn!(target: "vswitchd", "nothing of the process before can be used: {why}");
                None
            }
        }
    }

    fn greet(mut stream: UnixStream) -> io::Result<Keeper> {
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        stream.write_all(GREETING)?;
        let mut devices: HashMap<String, Vec<OwnedFd>> = HashMap::new();
        while let Some((name, device)) = receive_device(&mut stream)? {
            devices.entry(name).or_default().push(device);
        }
        Ok(Keeper { stream, predecessor: Arc::new(Predecessor::new(devices)) })
    }

    /// Lets this process forward in the keeper's place.
    pub(crate) fn take_over(mut self, datapaths: &Datapaths) {
        datapaths.each_succession(|datapath| datapath.hear());
        log::info!(target: "vswitchd", "this process forwards in place of the one before");
        if let Err(error) = self.stream.write_all(READY) {
            let why = rpc::error_text(&error);
            log::warn!(target: "vswitchd", "the process before did not forward to the end: {why}");
        }
    }
}

/// The next device of the keeper's.
fn receive_device(stream: &mut UnixStream) -> io::Result<Option<(String, OwnedFd)>> {
    let mut text = [0; NAME];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(&*stream, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let device = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    if received.bytes < NAME {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(NAME);
    let name = String::from_utf8_lossy(text.get(..end).unwrap_or(&[])).into_owned();
    match (name.is_empty(), device) {
        (true, None) => Ok(None),
        (false, Some(device)) => Ok(Some((name, device))),
        (true, Some(_)) | (false, None) => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_come_with_their_names() {
        let (one, mut other) = UnixStream::pair().unwrap();
        let mut ends = Vec::new();
        for name in ["br0", "a-name-of-15-xx"] {
            let (reader, writer) = io::pipe().unwrap();
            send_device(&one, name, &OwnedFd::from(writer)).unwrap();
            ends.push((name, reader));
        }
        (&one).write_all(&[0; NAME]).unwrap();
        for (name, mut end) in ends {
            let (received, device) = receive_device(&mut other).unwrap().unwrap();
            assert_eq!(received, name);
            let mut device = io::PipeWriter::from(device);
            device.write_all(name.as_bytes()).unwrap();
            drop(device);
            let mut text = String::new();
            end.read_to_string(&mut text).unwrap();
            assert_eq!(text, name);
        }
        assert!(receive_device(&mut other).unwrap().is_none());
        drop(one);
        assert!(receive_device(&mut other).is_err());
    }

    #[test]
    fn one_of_another_version_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.keeper");
        assert!(Keeper::find(&path).is_none());
        let listener = listen(&path).unwrap();
        let keeper = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut greeting = [0; GREETING.len()];
            stream.read_exact(&mut greeting).unwrap();
            greeting
        });
        assert!(Keeper::find(&path).is_none(), "the keeper has hung up");
        assert_eq!(keeper.join().unwrap(), *GREETING);
        assert!(Keeper::find(&path).is_none(), "nobody listens");
    }
}
