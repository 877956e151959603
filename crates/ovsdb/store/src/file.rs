//! A database together with its log file.

use crate::changes::Changes;
use crate::compaction::{Compaction, Outcome};
use crate::database::{Database, Snapshot};
use crate::disk::{Notify, Syncer, Ticket};
use crate::log_file::{LogFile, Mode, compose_into, read_schema, write_in_pieces};
use crate::record::{self, Style};
use crate::transaction::Transaction;
use model::{Error, Schema};
use std::sync::Arc;
use std::time::SystemTime;

/// Rows in memory, and the log that makes them last. Without a log they are gone with the process.
///
/// Two ways of use: programs that run once wait for the disk in [`DatabaseFile::commit`] and
/// [`DatabaseFile::compact`]; a server calls [`DatabaseFile::serve`] first, never waits, and fetches what the
/// disk's threads have done by [`DatabaseFile::poll_disk`].
pub struct DatabaseFile {
    pub database: Database,
    log: Option<LogFile>,
    /// Records hold differences of columns.
    pub column_diff: bool,
    compaction: Option<Compaction>,
    syncer: Option<Syncer>,
    notify: Option<Notify>,
    /// How many records were written since the last compaction.
    records: u64,
    scratch: Scratch,
}

/// Space for the record of one commit, used again by the next.
#[derive(Default)]
struct Scratch {
    json: String,
    record: Vec<u8>,
}

impl Scratch {
    /// What stays allocated between commits.
    const BYTES: usize = 1 << 16;

    fn trim(&mut self) {
        self.json.clear();
        self.record.clear();
        self.json.shrink_to(Self::BYTES);
        self.record.shrink_to(Self::BYTES);
    }
}

impl std::fmt::Debug for DatabaseFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseFile").field("name", &self.database.name()).finish_non_exhaustive()
    }
}

/// What the disk's threads have done.
#[derive(Debug, Default)]
pub struct DiskProgress {
    /// All up to this ticket is on disk.
    pub synced: Ticket,
    /// Later tickets will never be.
    pub failure: Option<Error>,
    /// How a compaction ended, if one just did.
    pub compacted: Option<Result<(), Error>>,
}

/// Milliseconds since 1970, for the dates in records.
fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl DatabaseFile {
    /// Without a file.
    pub fn in_memory(schema: Schema) -> DatabaseFile {
        DatabaseFile {
            database: Database::new(Arc::new(schema)),
            log: None,
            column_diff: true,
            compaction: None,
            syncer: None,
            notify: None,
            records: 0,
            scratch: Scratch::default(),
        }
    }

    /// Opens and replays a log. A damaged tail is reported and will be cut off.
    pub fn open(path: &str, mode: Mode) -> Result<DatabaseFile, Error> {
        let mut log = LogFile::open(path, mode)?;
        let schema = read_schema(&mut log)?;
        let mut file = DatabaseFile::in_memory(schema);
        let replayed = file.replay(&mut log, false);
        if let Err(e) = replayed {
            log::error!(target: "ovsdb_server", "{e}");
        }
        log.mark_base();
        file.log = Some(log);
        Ok(file)
    }

    /// Like [`DatabaseFile::open`], but any damage is an error, and perhaps under another schema.
    pub fn read_strictly(path: &str, mode: Mode, schema: Option<Schema>) -> Result<DatabaseFile, Error> {
        let mut log = LogFile::open(path, mode)?;
        let own = read_schema(&mut log)?;
        let converting = schema.is_some();
        let mut file = DatabaseFile::in_memory(schema.unwrap_or(own));
        file.replay(&mut log, converting)?;
        log.mark_base();
        file.log = Some(log);
        Ok(file)
    }

    fn replay(&mut self, log: &mut LogFile, converting: bool) -> Result<(), Error> {
        while let Some(bytes) = log.read_bytes()? {
            let transaction = match record::decode_large(&self.database, &bytes, converting) {
                Some(transaction) => Ok(transaction),
                None => {
                    let json = log.parse(&bytes)?;
                    record::decode(&self.database, &json, converting)
                }
            };
            drop(bytes);
            let applied = transaction.and_then(|transaction| self.database.commit(transaction));
            if let Err(e) = applied {
                log.unread();
                return Err(e);
            }
        }
        Ok(())
    }

    /// Makes a new log that holds a schema and, where given, rows.
    pub fn create(path: &str, schema: &Schema) -> Result<(), Error> {
        let mut log = LogFile::open(path, Mode::Create)?;
        log.write(&schema_record(schema))?;
        log.sync()
    }

    /// Checks a transaction, writes its record, and only then applies it. With `durable` it is on disk
    /// when this returns.
    pub fn commit(&mut self, transaction: Transaction, durable: bool) -> Result<Changes, Error> {
        let prepared = self.database.prepare(transaction)?;
        if self.append(&prepared.changes)?
            && durable
            && let Some(log) = &mut self.log
        {
            log.sync().inspect_err(|_| log.unwrite())?;
        }
        Ok(self.database.complete(prepared))
    }

    /// Like [`DatabaseFile::commit`], but does not wait for the disk: what is to be `durable` is so when the
    /// ticket is.
    pub fn commit_unsynced(
        &mut self,
        transaction: Transaction,
        durable: bool,
    ) -> Result<(Changes, Option<Ticket>), Error> {
        if self.syncer.is_none() {
            return self.commit(transaction, durable).map(|changes| (changes, None));
        }
        let prepared = self.database.prepare(transaction)?;
        let written = self.append(&prepared.changes)?;
        let ticket = if written && durable { self.ask_sync() } else { None };
        Ok((self.database.complete(prepared), ticket))
    }

    /// Writes the record of changes; false when there is nothing to write.
    fn append(&mut self, changes: &Changes) -> Result<bool, Error> {
        if self.log.as_ref().is_some_and(LogFile::is_broken) {
            self.mend();
        }
        let Some(log) = &mut self.log else { return Ok(false) };
        let style = Style { column_diff: self.column_diff, date_ms: wall_clock_ms() };
        let Scratch { json, record } = &mut self.scratch;
        if !record::encode(json, &self.database, changes, style) {
            return Ok(false);
        }
        compose_into(record, json);
        let written = write_record(log, self.compaction.as_mut(), record);
        self.scratch.trim();
        written?;
        self.records += 1;
        Ok(true)
    }

    fn ask_sync(&mut self) -> Option<Ticket> {
        let log = self.log.as_ref()?;
        let mut files = vec![log.handle()];
        files.extend(self.compaction.as_ref().and_then(Compaction::second_file));
        self.syncer.as_ref().map(|syncer| syncer.ask(files))
    }

    /// Begins to serve: from now on the disk is waited for by threads of its own, which call `notify`.
    pub fn serve(&mut self, notify: Notify) -> Result<(), Error> {
        if let Some(log) = &self.log {
            self.syncer = Some(Syncer::start(log.display(), 0, notify.clone())?);
        }
        self.notify = Some(notify);
        Ok(())
    }

    /// Goes on with what the disk's threads have done; never waits.
    pub fn poll_disk(&mut self) -> DiskProgress {
        let mut progress = DiskProgress::default();
        match self.compaction.as_mut().map(Compaction::poll) {
            None | Some(Outcome::Going) => {}
            Some(Outcome::Failed(e)) => {
                self.compaction = None;
                progress.compacted = Some(Err(e));
            }
            Some(Outcome::Done(new, base)) => {
                self.compaction = None;
                if let Some(log) = &mut self.log {
                    log.adopt(*new, base);
                }
                self.records = 0;
                progress.compacted = Some(Ok(()));
            }
        }
        if let Some((synced, failure)) = self.syncer.as_ref().map(Syncer::progress) {
            progress.synced = synced;
            progress.failure = failure;
        }
        if let Some(e) = &progress.failure {
            self.sync_failed(e.clone());
        }
        progress
    }

    /// After a failed sync nobody knows what is on disk: nothing is written until a new file has all rows.
    fn sync_failed(&mut self, error: Error) {
        let Some(log) = &mut self.log else { return };
        log::error!(target: "ovsdb_server", "{error}");
        log.fail(error);
        self.compaction = None;
        let last = self.syncer.take().map_or(0, |syncer| syncer.last());
        if let Some(notify) = &self.notify {
            self.syncer = Syncer::start(log.display(), last, notify.clone()).ok();
        }
        self.mend();
    }

    /// Tries to replace a log that cannot be written to.
    fn mend(&mut self) {
        if self.notify.is_some()
            && self.compaction.is_none()
            && let Err(e) = self.start_compaction("compacting database after an error")
        {
            log::warn!(target: "ovsdb_server", "{}: {e}", self.database.name());
        }
    }

    /// Replaces the log by one record of all rows.
    pub fn compact(&mut self, comment: &str) -> Result<(), Error> {
        self.compaction = None;
        let records = self.snapshot_records(comment)?;
        match &mut self.log {
            Some(log) => log.replace(&records),
            None => Ok(()),
        }
    }

    /// Begins to compact; [`DatabaseFile::poll_disk`] tells the end. False where there is no file.
    pub fn start_compaction(&mut self, comment: &str) -> Result<bool, Error> {
        let (Some(log), Some(notify)) = (&self.log, &self.notify) else { return Ok(false) };
        if self.compaction.is_none() {
            let style = Style { column_diff: self.column_diff, date_ms: wall_clock_ms() };
            let snapshot = self.database.snapshot();
            self.compaction = Some(Compaction::start(log, snapshot, comment, style, notify.clone())?);
        }
        Ok(true)
    }

    pub fn is_compacting(&self) -> bool {
        self.compaction.is_some()
    }

    /// Why nothing can be written, if so.
    pub fn write_failure(&self) -> Option<&Error> {
        self.log.as_ref().and_then(LogFile::failure)
    }

    fn snapshot_records(&self, comment: &str) -> Result<[String; 2], Error> {
        let style = Style { column_diff: self.column_diff, date_ms: wall_clock_ms() };
        records_of(&self.database.snapshot(), comment, style)
    }

    /// Writes a compacted copy to another file, which is replaced if it exists.
    pub fn write_copy(&self, path: &str, comment: &str) -> Result<(), Error> {
        let unlink = std::fs::remove_file(path);
        if let Err(e) =
            unlink.or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
        {
            return Err(Error::io(&rpc::error_text(&e), format!("{path}: create failed")));
        }
        let mut log = LogFile::open(path, Mode::Create)?;
        let style = Style { column_diff: self.column_diff, date_ms: wall_clock_ms() };
        let snapshot = self.database.snapshot();
        log.write(&schema_record(&snapshot.schema))?;
        write_in_pieces(&mut log, |write| record::encode_snapshot(&snapshot, Some(comment), style, write))?;
        log.sync()
    }

    /// Converts to another schema, in memory and on disk.
    pub fn convert(&mut self, schema: Schema, comment: &str) -> Result<(), Error> {
        let database = self.database.convert(Arc::new(schema))?;
        self.compaction = None;
        if let Some(log) = &mut self.log {
            let style = Style { column_diff: self.column_diff, date_ms: wall_clock_ms() };
            log.replace(&records_of(&database.snapshot(), comment, style)?)?;
        }
        self.database = database;
        Ok(())
    }

    /// How many records were written since the last compaction, and whether the log has grown enough to be
    /// worth another.
    pub fn growth(&self) -> (u64, bool) {
        (self.records, self.log.as_ref().is_some_and(LogFile::grew_lots))
    }

    pub fn path(&self) -> Option<&std::path::Path> {
        self.log.as_ref().map(LogFile::path)
    }
}

/// Writes to the log, and to the one that a compaction is making.
fn write_record(
    log: &mut LogFile,
    mut compaction: Option<&mut Compaction>,
    record: &[u8],
) -> Result<(), Error> {
    if let Some(compaction) = &mut compaction {
        compaction.follow(record)?;
    }
    log.write_record(record).inspect_err(|_| {
        if let Some(compaction) = &mut compaction {
            compaction.unfollow(record);
        }
    })
}

fn schema_record(schema: &Schema) -> String {
    schema.to_json().to_string()
}

/// The two records of a compacted log: the schema, and all rows.
pub fn records_of(snapshot: &Snapshot, comment: &str, style: Style) -> Result<[String; 2], Error> {
    let mut rows = String::new();
    record::encode_snapshot(snapshot, Some(comment), style, &mut |piece| {
        rows.push_str(piece);
        Ok(())
    })?;
    Ok([schema_record(&snapshot.schema), rows])
}
