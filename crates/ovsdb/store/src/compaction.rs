//! Compacting a log while it is written to.
//!
//! A thread writes the rows of a snapshot into a file beside the log. Records
//! that are committed meanwhile go to the log as ever, and are kept to follow
//! the snapshot. When little is left to follow, records go to both files until
//! the thread has synced the new one and renamed it over the log. At every
//! moment the file under the log's name holds all that was acknowledged.

use crate::database::Snapshot;
use crate::disk::Notify;
use crate::log_file::{LogFile, rename, sync_parent, write_in_pieces};
use crate::record::{self, Style};
use model::Error;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// Records of this many bytes are appended by the server's thread itself.
const FEW_BYTES: usize = 1 << 16;

enum Command {
    /// Append these records.
    Append(Box<LogFile>, Vec<u8>),
    /// Sync the file and put it in the log's place.
    Finish(Arc<File>),
}

enum Event {
    /// All that was handed over is written.
    Copied(Box<LogFile>),
    Renamed,
    Failed(Error),
}

/// A compaction under way. Dropping it gives it up, unless the new file is in place already.
#[derive(Debug)]
pub(crate) struct Compaction {
    commands: Option<Sender<Command>>,
    events: Receiver<Event>,
    stage: Stage,
    /// How much of the new file is the snapshot.
    base: u64,
    given_up: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Stage {
    /// The thread writes; these records are to follow.
    Copying(Vec<u8>),
    /// Records go to this file as well.
    Both(Box<LogFile>),
}

/// What became of it.
pub(crate) enum Outcome {
    Going,
    /// The new file is in the log's place; so many bytes of it are compacted.
    Done(Box<LogFile>, u64),
    Failed(Error),
}

impl Compaction {
    /// Begins; `notify` is called when [`Compaction::poll`] has something to do.
    pub(crate) fn start(
        log: &LogFile,
        snapshot: Snapshot,
        comment: &str,
        style: Style,
        notify: Notify,
    ) -> Result<Compaction, Error> {
        let (new, temporary, target) = log.beside()?;
        let (commands, their_commands) = channel();
        let (their_events, events) = channel();
        let comment = comment.to_owned();
        let given_up = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            temporary: temporary.clone(),
            target,
            commands: their_commands,
            events: their_events,
            notify,
            given_up: given_up.clone(),
        };
        let spawned = std::thread::Builder::new()
            .name("compaction".to_owned())
            .spawn(move || worker.run(new, snapshot, &comment, style));
        let thread = spawned.map_err(|e| {
            // The error at hand is the one to tell.
            let _ = std::fs::remove_file(&temporary);
            crate::log_file::io_failed(&e, "failed to start a thread".to_owned())
        })?;
        let stage = Stage::Copying(Vec::new());
        Ok(Compaction { commands: Some(commands), events, stage, base: 0, given_up, thread: Some(thread) })
    }

    /// Takes note of a record that is about to be written to the log. After an error it must not be.
    pub(crate) fn follow(&mut self, record: &[u8]) -> Result<(), Error> {
        match &mut self.stage {
            Stage::Copying(rest) => {
                rest.extend_from_slice(record);
                Ok(())
            }
            Stage::Both(new) => new.write_record(record),
        }
    }

    /// The record that was followed last did not come to be.
    pub(crate) fn unfollow(&mut self, record: &[u8]) {
        match &mut self.stage {
            Stage::Copying(rest) => rest.truncate(rest.len().saturating_sub(record.len())),
            Stage::Both(new) => new.unwrite(),
        }
    }

    /// The file that must be synced beside the log for a commit to be durable.
    pub(crate) fn second_file(&self) -> Option<Arc<File>> {
        match &self.stage {
            Stage::Copying(_) => None,
            Stage::Both(new) => Some(new.handle()),
        }
    }

    /// Goes on as far as it can without waiting.
    pub(crate) fn poll(&mut self) -> Outcome {
        loop {
            let event = match self.events.try_recv() {
                Ok(event) => event,
                Err(std::sync::mpsc::TryRecvError::Empty) => return Outcome::Going,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                    return Outcome::Failed(Error::general("the thread that compacts is gone"));
                }
            };
            match event {
                Event::Failed(e) => return Outcome::Failed(e),
                Event::Renamed => {
                    let stage = std::mem::replace(&mut self.stage, Stage::Copying(Vec::new()));
                    if let Stage::Both(new) = stage {
                        return Outcome::Done(new, self.base);
                    }
                }
                Event::Copied(new) => {
                    if let Err(e) = self.copied(new) {
                        return Outcome::Failed(e);
                    }
                }
            }
        }
    }

    fn copied(&mut self, mut new: Box<LogFile>) -> Result<(), Error> {
        if self.base == 0 {
            self.base = new.offset();
        }
        let Stage::Copying(rest) = &mut self.stage else { return Ok(()) };
        let rest = std::mem::take(rest);
        let command = if rest.len() > FEW_BYTES {
            Command::Append(new, rest)
        } else {
            new.write_record(&rest)?;
            let handle = new.handle();
            self.stage = Stage::Both(new);
            Command::Finish(handle)
        };
        // A thread that is gone is noticed by the next poll.
        let _ = self.commands.as_ref().map(|commands| commands.send(command));
        Ok(())
    }
}

impl Drop for Compaction {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing more to tell.
            let _ = thread.join();
        }
    }
}

struct Worker {
    temporary: PathBuf,
    target: PathBuf,
    commands: Receiver<Command>,
    events: Sender<Event>,
    notify: Notify,
    given_up: Arc<AtomicBool>,
}

impl Worker {
    fn run(self, new: LogFile, snapshot: Snapshot, comment: &str, style: Style) {
        if let Err(e) = self.compact(new, snapshot, comment, style) {
            // The error at hand is the one to tell.
            let _ = std::fs::remove_file(&self.temporary);
            self.send(Event::Failed(e));
        }
    }

    fn send(&self, event: Event) {
        // An owner that is gone does not want to know.
        let _ = self.events.send(event);
        (self.notify)();
    }

    fn compact(
        &self,
        mut new: LogFile,
        snapshot: Snapshot,
        comment: &str,
        style: Style,
    ) -> Result<(), Error> {
        new.write(&snapshot.schema.to_json().to_string())?;
        write_in_pieces(&mut new, |write| {
            record::encode_snapshot(&snapshot, Some(comment), style, &mut |piece| {
                if self.given_up.load(Ordering::Relaxed) {
                    return Err(Error::general("the compaction was given up"));
                }
                write(piece)
            })
        })?;
        drop(snapshot);
        // Most of the waiting is done here, while the log is written to as ever.
        new.sync()?;
        self.send(Event::Copied(Box::new(new)));
        loop {
            match self.commands.recv() {
                Err(_) => {
                    // The owner gave up.
                    let _ = std::fs::remove_file(&self.temporary);
                    return Ok(());
                }
                Ok(Command::Append(mut new, records)) => {
                    new.write_record(&records)?;
                    self.send(Event::Copied(new));
                }
                Ok(Command::Finish(file)) => {
                    file.sync_data().map_err(|e| {
                        crate::log_file::io_failed(&e, format!("{}: fsync failed", self.temporary.display()))
                    })?;
                    rename(&self.temporary, &self.target)?;
                    sync_parent(&self.target);
                    self.send(Event::Renamed);
                    return Ok(());
                }
            }
        }
    }
}
