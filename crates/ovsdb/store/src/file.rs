//! A database together with its log file.

use crate::changes::Changes;
use crate::database::{Database, Snapshot};
use crate::log_file::{LogFile, Mode, read_schema};
use crate::record::{self, Style};
use crate::transaction::Transaction;
use model::{Error, Schema};
use std::sync::Arc;
use std::time::SystemTime;

/// Rows in memory, and the log that makes them last. Without a log they are gone with the process.
#[derive(Debug)]
pub struct DatabaseFile {
    pub database: Database,
    log: Option<LogFile>,
    /// Records hold differences of columns.
    pub column_diff: bool,
}

/// Milliseconds since 1970, for the dates in records.
fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl DatabaseFile {
    /// Without a file.
    pub fn in_memory(schema: Schema) -> DatabaseFile {
        DatabaseFile { database: Database::new(Arc::new(schema)), log: None, column_diff: true }
    }

    /// Opens and replays a log. A damaged tail is reported and will be cut off.
    pub fn open(path: &str, mode: Mode) -> Result<DatabaseFile, Error> {
        let mut log = LogFile::open(path, mode)?;
        let schema = read_schema(&mut log)?;
        let mut file =
            DatabaseFile { database: Database::new(Arc::new(schema)), log: None, column_diff: true };
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
        while let Some(json) = log.read()? {
            let applied = record::decode(&self.database, &json, converting)
                .and_then(|transaction| self.database.commit(transaction));
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
        if let Some(log) = &mut self.log {
            let style = Style { column_diff: self.column_diff, date_ms: wall_clock_ms() };
            if let Some(record) = record::encode(&self.database, &prepared.changes, style) {
                log.write(&record)?;
                if durable {
                    log.sync()?;
                }
            }
        }
        Ok(self.database.complete(prepared))
    }

    /// Replaces the log by one record of all rows.
    pub fn compact(&mut self, comment: &str) -> Result<(), Error> {
        let records = self.snapshot_records(comment);
        match &mut self.log {
            Some(log) => log.replace(&records),
            None => Ok(()),
        }
    }

    fn snapshot_records(&self, comment: &str) -> [String; 2] {
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
        for record in self.snapshot_records(comment) {
            log.write(&record)?;
        }
        log.sync()
    }

    /// Converts to another schema, in memory and on disk.
    pub fn convert(&mut self, schema: Schema, comment: &str) -> Result<(), Error> {
        let database = self.database.convert(Arc::new(schema))?;
        if let Some(log) = &mut self.log {
            let style = Style { column_diff: self.column_diff, date_ms: wall_clock_ms() };
            log.replace(&records_of(&database.snapshot(), comment, style))?;
        }
        self.database = database;
        Ok(())
    }

    /// The log's size, and whether it has grown enough to be worth a compaction.
    pub fn log_size(&self) -> Option<(u64, bool)> {
        self.log.as_ref().map(|log| (log.offset(), log.grew_lots()))
    }

    pub fn path(&self) -> Option<&std::path::Path> {
        self.log.as_ref().map(LogFile::path)
    }
}

fn schema_record(schema: &Schema) -> String {
    schema.to_json().to_string()
}

/// The two records of a compacted log: the schema, and all rows.
pub fn records_of(snapshot: &Snapshot, comment: &str, style: Style) -> [String; 2] {
    [schema_record(&snapshot.schema), record::encode_snapshot(snapshot, Some(comment), style)]
}
