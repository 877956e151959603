//! OVSDB's log file: records of JSON, each with its length and SHA-1 hash.
//!
//! ```text
//! OVSDB JSON 123 da39a3ee5e6b4b0d3255bfef95601890afd80709
//! {...}
//! ```
//!
//! A record that was cut short by a crash ends the reading, and is cut off by
//! the next write. Who writes holds the lock of `.NAME.~lock~` beside the file.

use model::{Error, Json};
use rpc::error_text;
use rustix::fs::FlockOperation;
use serde_json::Value;
use sha1::{Digest, Sha1};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a log is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    ReadOnly,
    ReadWrite,
    /// The file must not exist.
    Create,
}

/// An open log. Reading comes first; the first write ends it.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    /// As named by the user.
    display: String,
    file: BufReader<Arc<File>>,
    /// Where the next record begins.
    offset: u64,
    previous: u64,
    state: State,
    _lock: Option<File>,
    /// The size after the last compaction.
    base: u64,
}

#[derive(Clone, Debug)]
enum State {
    Reading,
    ReadError(Error),
    Writing,
    /// The next write begins with cutting off what is behind the last good record.
    WriteError(Error),
    /// What is on disk is not known any more.
    Broken(Error),
}

pub(crate) fn io_failed(error: &io::Error, what: String) -> Error {
    Error::io(&error_text(error), what)
}

/// Takes the lock of the file beside `path`.
fn lock(path: &Path, display: &str) -> Result<File, Error> {
    let failed = |e: io::Error| io_failed(&e, format!("{display}: failed to lock lockfile"));
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let lock_path = target.with_file_name(format!(".{name}.~lock~"));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(failed)?;
    rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|e| {
        let name = lock_path.display();
        match rpc::daemon::lock_holder(&file) {
            Ok(Some(pid)) => log::warn!(target: "lockfile",
                "{name}: cannot lock file because it is already locked by pid {pid}"),
            // It was given up meanwhile, or the file system does not tell.
            _ => log::warn!(target: "lockfile", "{name}: failed to lock file: {}", error_text(&e.into())),
        }
        let e = if e == rustix::io::Errno::ACCESS { rustix::io::Errno::AGAIN } else { e };
        failed(e.into())
    })?;
    Ok(file)
}

pub(crate) fn sync_parent(path: &Path) {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Some file systems cannot sync directories; the file itself is synced anyhow.
    if let Ok(directory) = File::open(parent) {
        let _ = directory.sync_all();
    }
}

impl LogFile {
    /// Opens the log at `path`; who may write takes the lock.
    pub fn open(path: &str, mode: Mode) -> Result<LogFile, Error> {
        let lock = if mode == Mode::ReadOnly { None } else { Some(lock(Path::new(path), path)?) };
        LogFile::open_locked(path, mode, lock)
    }

    fn open_locked(path: &str, mode: Mode, lock: Option<File>) -> Result<LogFile, Error> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = OpenOptions::new();
        options.read(true).write(mode != Mode::ReadOnly).mode(0o660);
        // A dangling symbolic link is created through, which O_EXCL forbids.
        let dangling = Path::new(path).is_symlink() && !Path::new(path).exists();
        options.create(mode == Mode::Create && dangling).create_new(mode == Mode::Create && !dangling);
        let action = if mode == Mode::Create { "create" } else { "open" };
        let file = options.open(path).map_err(|e| io_failed(&e, format!("{path}: {action} failed")))?;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
        let mut log = LogFile {
            path: absolute,
            display: path.to_owned(),
            file: BufReader::with_capacity(1 << 16, Arc::new(file)),
            offset: 0,
            previous: 0,
            state: State::Reading,
            _lock: lock,
            base: 0,
        };
        log.check_magic(mode)?;
        Ok(log)
    }

    fn check_magic(&mut self, mode: Mode) -> Result<(), Error> {
        let path = self.display.clone();
        let header = self.header().map_err(|e| io_failed(&e, format!("{path}: read error")))?;
        match header {
            None if mode == Mode::Create => sync_parent(&self.path),
            None => return Err(Error::general(format!("{path}: cannot identify file type"))),
            Some(line) => match parse_header(&line) {
                None => return Err(Error::general(format!("{path}: unexpected file format"))),
                Some(("JSON", ..)) => {}
                Some(("CLUSTER", ..)) => {
                    let refusal = "cannot apply this operation to clustered database file";
                    return Err(Error::general(format!("{path}: {refusal}")));
                }
                Some(_) => return Err(Error::general(format!("{path}: cannot identify file type"))),
            },
        }
        self.file
            .seek(SeekFrom::Start(0))
            .map(drop)
            .map_err(|e| io_failed(&e, format!("{path}: seek failed")))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn display(&self) -> &str {
        &self.display
    }

    /// Where the next record begins: the size of what was read or written.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// One line, or what is left of one; `None` at the end.
    fn header(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        (&mut self.file).take(128).read_until(b'\n', &mut line)?;
        Ok((!line.is_empty()).then_some(line))
    }

    /// The next record; `None` at the end.
    pub fn read(&mut self) -> Result<Option<Json>, Error> {
        let Some(bytes) = self.read_bytes()? else { return Ok(None) };
        self.parse(&bytes).map(Some)
    }

    /// The next record as JSON text; `None` at the end.
    pub fn read_bytes(&mut self) -> Result<Option<Vec<u8>>, Error> {
        match &self.state {
            State::Reading => {}
            State::ReadError(e) | State::WriteError(e) | State::Broken(e) => return Err(e.clone()),
            State::Writing => return Ok(None),
        }
        let result = self.read_record();
        if let Err(e) = &result {
            self.state = State::ReadError(e.clone());
        }
        result
    }

    /// The text of the record just read as JSON. When it is none, it does not count as read.
    pub fn parse(&mut self, bytes: &[u8]) -> Result<Json, Error> {
        let length = bytes.len() as u64;
        let start = self.offset - length;
        let what = format!("{}: {length} bytes starting at offset {start}", self.display);
        let parsed = base::json::parse(bytes)
            .map_err(|e| Error::new("syntax error", format!("{what} are not valid JSON ({e})")))
            .and_then(|json: Json| {
                let not_object = || Error::new("syntax error", format!("{what} are not a JSON object"));
                if json.is_object() { Ok(json) } else { Err(not_object()) }
            });
        if let Err(e) = &parsed {
            self.unread();
            self.state = State::ReadError(e.clone());
        }
        parsed
    }

    fn read_record(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let display = self.display.clone();
        let header = self.header().map_err(|e| io_failed(&e, format!("{display}: read failed")))?;
        let Some(header) = header else { return Ok(None) };
        let at = self.offset;
        let Some(("JSON", length, expected)) = parse_header(&header) else {
            let line = String::from_utf8_lossy(&header);
            let line = line.split('\n').next().unwrap_or("");
            let message = format!("{display}: parse error at offset {at} in header line \"{line}\"");
            return Err(Error::new("syntax error", message));
        };
        let start = at + header.len() as u64;
        let mut data = Vec::with_capacity(usize::try_from(length).map_or(0, |n| n.min(1 << 20)));
        let got = (&mut self.file).take(length).read_to_end(&mut data);
        let what = format!("{display}: error reading {length} bytes starting at offset {start}");
        match got {
            Err(e) => return Err(io_failed(&e, what)),
            Ok(n) if (n as u64) < length => return Err(Error::io("End of file", what)),
            Ok(_) => {}
        }
        let actual = hex(&Sha1::digest(&data));
        let bytes = format!("{display}: {length} bytes starting at offset {start}");
        if actual != expected {
            let message = format!("{bytes} have SHA-1 hash {actual} but should have hash {expected}");
            return Err(Error::new("syntax error", message));
        }
        self.previous = at;
        self.offset = start + length;
        Ok(Some(data))
    }

    /// The record just read does not count: the next write replaces it.
    pub fn unread(&mut self) {
        self.offset = self.previous;
    }

    /// Appends a record, given as JSON text. What was not read is cut off first.
    pub fn write(&mut self, json: &str) -> Result<(), Error> {
        self.write_record(&compose(json))
    }

    /// Appends the bytes that [`compose`] made.
    pub fn write_record(&mut self, record: &[u8]) -> Result<(), Error> {
        if let State::Broken(e) = &self.state {
            return Err(e.clone());
        }
        if !matches!(self.state, State::Writing) {
            let result = self.truncate();
            self.state = match &result {
                Ok(()) => State::Writing,
                Err(e) => State::WriteError(e.clone()),
            };
            result?;
        }
        let file = self.file.get_ref();
        if let Err(e) = file.write_all_at(record, self.offset) {
            log::warn!(target: "ovsdb_log",
                "{}: write failed ({})", self.path.display(), error_text(&e));
            // What was written in part is of no use; if it stays, the next start cuts it off.
            let _ = file.set_len(self.offset);
            let error = io_failed(&e, format!("{}: write failed", self.display));
            self.state = State::WriteError(error.clone());
            return Err(error);
        }
        self.previous = self.offset;
        self.offset += record.len() as u64;
        Ok(())
    }

    /// Takes back the record that was written last.
    pub(crate) fn unwrite(&mut self) {
        self.offset = self.previous;
        // If it stays it is overwritten by the next record, or cut off as damaged.
        let _ = self.file.get_ref().set_len(self.offset);
    }

    fn truncate(&mut self) -> Result<(), Error> {
        let (at, display) = (self.offset, self.display.clone());
        self.file
            .seek(SeekFrom::Start(at))
            .map_err(|e| io_failed(&e, format!("{display}: cannot seek to offset {at}")))?;
        self.file
            .get_ref()
            .set_len(at)
            .map_err(|e| io_failed(&e, format!("{display}: cannot truncate to length {at}")))
    }

    /// Waits until all that was written is on disk.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.get_ref().sync_data().map_err(|e| io_failed(&e, format!("{}: fsync failed", self.display)))
    }

    /// The open file, for threads that sync it or write to it.
    pub(crate) fn handle(&self) -> Arc<File> {
        self.file.get_ref().clone()
    }

    /// The size at hand is that of a fresh compaction.
    pub fn mark_base(&mut self) {
        self.base = self.offset;
    }

    /// Whether the log has grown enough to be worth a compaction.
    pub fn grew_lots(&self) -> bool {
        self.offset > 10 * 1024 * 1024 && self.offset / 2 > self.base
    }

    /// Replaces the contents in one step: a new file beside it, synced, then renamed over it. After an
    /// error the old contents stand.
    pub fn replace(&mut self, records: &[String]) -> Result<(), Error> {
        let (mut new, temporary, target) = self.beside()?;
        let written = (|| {
            for record in records {
                new.write(record)?;
            }
            new.sync()?;
            rename(&temporary, &target)
        })();
        if let Err(e) = written {
            // The error at hand is the one to tell.
            let _ = std::fs::remove_file(&temporary);
            return Err(e);
        }
        sync_parent(&target);
        let base = new.offset;
        self.adopt(new, base);
        Ok(())
    }

    /// An empty log in a file beside this one; with its path, and the path that it is to be renamed to.
    pub(crate) fn beside(&self) -> Result<(LogFile, PathBuf, PathBuf), Error> {
        let target = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let mut temporary = target.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let text = temporary.display().to_string();
        match std::fs::remove_file(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(io_failed(&e, format!("failed to remove {text}")));
            }
            _ => {}
        }
        let mut new = LogFile::open_locked(&text, Mode::Create, None)?;
        new.state = State::Writing;
        Ok((new, temporary, target))
    }

    /// Goes on with the file of `new`, which was renamed over this one's; `base` of it is compacted.
    pub(crate) fn adopt(&mut self, new: LogFile, base: u64) {
        self.file = new.file;
        self.offset = new.offset;
        self.previous = new.previous;
        self.state = State::Writing;
        self.base = base;
    }

    /// From now on every write fails with this error, until the log is replaced.
    pub(crate) fn fail(&mut self, error: Error) {
        self.state = State::Broken(error);
    }

    /// Whether only a new file can be written to.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.state, State::Broken(_))
    }

    /// Why nothing can be written, if so.
    pub fn failure(&self) -> Option<&Error> {
        match &self.state {
            State::WriteError(e) | State::Broken(e) => Some(e),
            State::Reading | State::ReadError(_) | State::Writing => None,
        }
    }
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::rename(from, to).map_err(|e| {
        io_failed(&e, format!("failed to rename \"{}\" to \"{}\"", from.display(), to.display()))
    })
}

/// Writes one record piece by piece: `pieces` is called twice and must give the same both times, first to
/// learn length and hash, then to write.
pub(crate) fn write_in_pieces(
    log: &mut LogFile,
    pieces: impl Fn(&mut dyn FnMut(&str) -> Result<(), Error>) -> Result<(), Error>,
) -> Result<(), Error> {
    let (mut hasher, mut length) = (Sha1::new(), 1);
    pieces(&mut |piece| {
        hasher.update(piece);
        length += piece.len();
        Ok(())
    })?;
    hasher.update(b"\n");
    let header = format!("OVSDB JSON {length} {}\n", hex(&hasher.finalize()));
    let start = log.offset;
    log.write_record(header.as_bytes())?;
    pieces(&mut |piece| log.write_record(piece.as_bytes()))?;
    log.write_record(b"\n")?;
    log.previous = start;
    Ok(())
}

/// The bytes of a record: header line, JSON, line end.
pub fn compose(json: &str) -> Vec<u8> {
    let mut record = Vec::new();
    compose_into(&mut record, json);
    record
}

/// Like [`compose`], over what `record` has.
pub(crate) fn compose_into(record: &mut Vec<u8>, json: &str) {
    let mut hasher = Sha1::new();
    hasher.update(json);
    hasher.update(b"\n");
    let header = format!("OVSDB JSON {} {}\n", json.len() + 1, hex(&hasher.finalize()));
    record.clear();
    record.reserve(header.len() + json.len() + 1);
    record.extend_from_slice(header.as_bytes());
    record.extend_from_slice(json.as_bytes());
    record.push(b'\n');
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |d| *d as char);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

/// The magic, the length and the hash in lower case.
fn parse_header(line: &[u8]) -> Option<(&str, u64, String)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let mut words = line.strip_prefix("OVSDB ")?.split(' ');
    let (magic, length, hash) = (words.next()?, words.next()?, words.next()?);
    let length: u64 = length.parse().ok().filter(|n| *n > 0)?;
    let is_hash = hash.len() == 40 && hash.bytes().all(|c| c.is_ascii_hexdigit());
    (is_hash && words.next().is_none()).then(|| (magic, length, hash.to_ascii_lowercase()))
}

/// What kind of database a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Standalone,
    /// The log of one member of a cluster.
    Clustered,
}

/// The kind of the database at `path`, by its first line.
pub fn kind_of(path: &str) -> Result<Kind, Error> {
    let file = File::open(path).map_err(|e| io_failed(&e, format!("{path}: open failed")))?;
    let mut line = Vec::new();
    let read = BufReader::new(file).take(128).read_until(b'\n', &mut line);
    read.map_err(|e| io_failed(&e, format!("{path}: read error")))?;
    let failed = |what: &str| Err(Error::general(format!("{path}: {what}")));
    match parse_header(&line) {
        Some(("JSON", ..)) => Ok(Kind::Standalone),
        Some(("CLUSTER", ..)) => Ok(Kind::Clustered),
        None if !line.is_empty() => failed("unexpected file format"),
        _ => failed("cannot identify file type"),
    }
}

/// The first record of a clustered database: names, addresses and identifiers, and a snapshot.
pub fn read_cluster_header(path: &str) -> Result<Json, Error> {
    let broken = |what: &str| Error::general(format!("{path}: {what}"));
    let bytes = std::fs::read(path).map_err(|e| io_failed(&e, format!("{path}: open failed")))?;
    let end = bytes.iter().position(|c| *c == b'\n').map_or(bytes.len(), |at| at + 1);
    let (line, rest) = bytes.split_at(end);
    let Some(("CLUSTER", length, expected)) = parse_header(line) else {
        return Err(broken("not a clustered database"));
    };
    let record = usize::try_from(length).ok().and_then(|length| rest.get(..length));
    let record = record.ok_or_else(|| broken("end of file in the first record"))?;
    if hex(&Sha1::digest(record)) != expected {
        return Err(broken("the first record does not have the hash that it should have"));
    }
    base::json::parse(record).map_err(|e| broken(&e.to_string()))
}

/// The first record of a log, which is the schema.
pub fn read_schema(log: &mut LogFile) -> Result<model::Schema, Error> {
    match log.read()? {
        Some(json @ Value::Object(_)) => model::Schema::from_json(&json)
            .map_err(|e| e.wrap(&format!("failed to parse \"{}\" as ovsdb schema", log.display()))),
        _ => {
            let display = log.display();
            Err(Error::io("End of file", format!("{display}: database file contains no schema")))
        }
    }
}
