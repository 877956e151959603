//! The three destinations: stderr, the system log, a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::Destination;

/// A log destination could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("failed to open {path} for logging: {}", crate::error_text(source))]
pub struct OpenLogError {
    path: String,
    /// The system's error.
    pub source: io::Error,
}

#[derive(Default)]
pub(super) struct Outputs {
    file: Mutex<Option<LogFile>>,
    syslog: Mutex<Syslog>,
    /// Where messages for the system log go too, in the form of RFC 5424.
    collector: Mutex<Option<UdpSocket>>,
}

struct LogFile {
    path: PathBuf,
    file: File,
}

#[derive(Default)]
enum Syslog {
    /// Nothing was sent so far.
    #[default]
    Unopened,
    Local(UnixDatagram),
    Remote(UdpSocket),
    /// There is no system log on this machine.
    Absent,
}

impl Outputs {
    /// Whether a message for `destination` would go anywhere.
    pub(super) fn wants(&self, destination: Destination) -> bool {
        destination != Destination::File || self.file.lock().is_ok_and(|f| f.is_some())
    }

    /// Writes one line. A log that cannot be written must not stop the switch, so failures end here.
    pub(super) fn write(&self, destination: Destination, priority: u8, line: &str) {
        match destination {
            Destination::Console => {
                let _ = writeln!(io::stderr().lock(), "{line}");
            }
            Destination::File => {
                if let Ok(mut guard) = self.file.lock()
                    && let Some(log) = guard.as_mut()
                {
                    let _ = log.file.write_all(format!("{line}\n").as_bytes());
                }
            }
            Destination::Syslog => {
                if let Ok(mut syslog) = self.syslog.lock() {
                    syslog.send(priority, line);
                }
            }
        }
    }

    pub(super) fn open_file(&self, path: &Path) -> Result<(), OpenLogError> {
        let file = open(path)?;
        if let Ok(mut guard) = self.file.lock() {
            *guard = Some(LogFile { path: path.to_owned(), file });
        }
        log::info!(target: "vlog", "opened log file {}", path.display());
        Ok(())
    }

    /// Opens the file anew under its name, after somebody moved it away. `None` when there is no log file.
    pub(super) fn reopen_file(&self) -> Option<Result<(), OpenLogError>> {
        let path = self.file.lock().ok()?.as_ref()?.path.clone();
        let file = match open(&path) {
            Ok(file) => file,
            Err(e) => return Some(Err(e)),
        };
        if self.is_open(&file) {
            return Some(Ok(()));
        }
        log::info!(target: "vlog", "closing log file");
        let shown = path.display().to_string();
        *self.file.lock().ok()? = Some(LogFile { path, file });
        log::info!(target: "vlog", "opened log file {shown}");
        Some(Ok(()))
    }

    /// Whether the log file is this very file.
    fn is_open(&self, other: &File) -> bool {
        use std::os::unix::fs::MetadataExt;
        let place = |file: &File| file.metadata().map(|data| (data.dev(), data.ino())).ok();
        let Ok(guard) = self.file.lock() else { return false };
        guard.as_ref().is_some_and(|log| place(&log.file).is_some() && place(&log.file) == place(other))
    }

    /// Gives the log file to a user, who may then open it anew.
    pub(super) fn give_file(&self, user: u32, group: u32) -> Result<(), OpenLogError> {
        let Ok(guard) = self.file.lock() else { return Ok(()) };
        let Some(log) = guard.as_ref() else { return Ok(()) };
        std::os::unix::fs::fchown(&log.file, Some(user), Some(group))
            .map_err(|source| OpenLogError { path: log.path.display().to_string(), source })
    }

    pub(super) fn close_file(&self) {
        if let Ok(mut guard) = self.file.lock() {
            *guard = None;
        }
    }

    /// How the system log is reached: "libc", "null", "unix:PATH" or "udp:HOST:PORT".
    pub(super) fn set_syslog_method(&self, method: &str) -> Result<(), String> {
        let named = |path: &str, source| OpenLogError { path: path.to_owned(), source }.to_string();
        let new = if method == "null" {
            Syslog::Absent
        } else if method == "libc" {
            Syslog::Unopened
        } else if let Some(path) = method.strip_prefix("unix:") {
            Syslog::Local(connect_local(path).map_err(|e| named(path, e))?)
        } else if let Some(address) = method.strip_prefix("udp:") {
            Syslog::Remote(connect_remote(address).map_err(|e| named(address, e))?)
        } else {
            return Err(format!("unsupported syslog method '{method}'"));
        };
        if let Ok(mut guard) = self.syslog.lock() {
            *guard = new;
        }
        Ok(())
    }

    pub(super) fn set_syslog_target(&self, address: &str) -> Result<(), OpenLogError> {
        let socket =
            connect_remote(address).map_err(|source| OpenLogError { path: address.to_owned(), source })?;
        if let Ok(mut guard) = self.collector.lock() {
            *guard = Some(socket);
        }
        Ok(())
    }

    /// Hands the line that `format` makes to the collector, if there is one.
    pub(super) fn collect(&self, format: impl FnOnce() -> String) {
        if let Ok(guard) = self.collector.lock()
            && let Some(socket) = guard.as_ref()
        {
            let _ = socket.send(format().as_bytes());
        }
    }
}

fn open(path: &Path) -> Result<File, OpenLogError> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
        .map_err(|source| OpenLogError { path: path.display().to_string(), source })
}

fn connect_local(path: &str) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn connect_remote(address: &str) -> io::Result<UdpSocket> {
    let unspecified = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(unspecified)?;
    socket.connect(address)?;
    Ok(socket)
}

impl Syslog {
    fn send(&mut self, priority: u8, line: &str) {
        if matches!(self, Syslog::Unopened) {
            *self = connect_local("/dev/log").map_or(Syslog::Absent, Syslog::Local);
        }
        let message = format!("<{priority}>{line}");
        let _ = match self {
            Syslog::Local(socket) => socket.send(message.as_bytes()),
            Syslog::Remote(socket) => socket.send(message.as_bytes()),
            Syslog::Unopened | Syslog::Absent => Ok(0),
        };
    }
}
