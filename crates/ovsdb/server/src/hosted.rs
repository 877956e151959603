//! One database as the server holds it: rows, what waits for them, who watches them.

use crate::history::History;
use crate::relay::RelayState;
use crate::session::SessionId;
use crate::watch::Watches;
use base::Timestamp;
use model::{Json, Schema, Uuid};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use store::{Changes, DatabaseFile};
use tokio::sync::oneshot;

/// A log is left alone for this long after a compaction.
const MIN_COMPACTION_INTERVAL: Duration = Duration::from_secs(600);
/// A log that was written to at all is compacted after this long.
const MAX_COMPACTION_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// A log with fewer records is not compacted however much it grew.
const FEW_RECORDS: u64 = 100;

/// A "transact" that waits for rows to be as it wants them.
#[derive(Debug)]
pub(crate) struct Trigger {
    pub(crate) session: SessionId,
    pub(crate) id: Json,
    pub(crate) params: Vec<Json>,
    pub(crate) created: Timestamp,
    pub(crate) timeout: Option<Duration>,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Hosted {
    pub(crate) file: DatabaseFile,
    pub(crate) triggers: Vec<Trigger>,
    /// The schema as JSON, once somebody asked for it.
    schema_text: Option<(Arc<Schema>, Arc<Vec<u8>>)>,
    /// `_Server` holds the schema as it is.
    pub(crate) is_schema_published: bool,
    /// How many commits there were.
    pub(crate) generation: u64,
    pub(crate) watches: Watches,
    /// The numbers of tables whose changes are logged.
    pub(crate) logged_tables: Vec<usize>,
    /// Another server's updates are the only changes.
    pub(crate) read_only: bool,
    /// Where the rows are another server's, to which changes are forwarded.
    pub(crate) relay: Option<RelayState>,
    /// The last transactions, where they have ids that clients can name.
    pub(crate) history: History,
    pub(crate) compaction_waiters: Vec<oneshot::Sender<Result<(), String>>>,
    next_compaction: Schedule,
}

#[derive(Clone, Copy, Debug)]
struct Schedule {
    min: Timestamp,
    max: Timestamp,
}

impl Schedule {
    /// Servers that were started together do not all compact together.
    fn after(now: Timestamp) -> Schedule {
        let random = u64::from(Uuid::new_v4().as_bytes().first().copied().unwrap_or(0));
        let min = MIN_COMPACTION_INTERVAL + Duration::from_secs(random * 600 / 256);
        Schedule { min: now + min, max: now + MAX_COMPACTION_INTERVAL }
    }
}

impl Hosted {
    pub(crate) fn new(file: DatabaseFile, now: Timestamp) -> Hosted {
        Hosted {
            file,
            triggers: Vec::new(),
            schema_text: None,
            is_schema_published: false,
            generation: 0,
            watches: Watches::default(),
            logged_tables: Vec::new(),
            read_only: false,
            relay: None,
            history: History::default(),
            compaction_waiters: Vec::new(),
            next_compaction: Schedule::after(now),
        }
    }

    /// Whether clients can be served: a relay knows no schema before it was connected.
    pub(crate) fn is_available(&self) -> bool {
        self.relay.as_ref().is_none_or(|relay| relay.has_schema)
    }

    pub(crate) fn schema_text(&mut self) -> Arc<Vec<u8>> {
        let schema = &self.file.database.schema;
        match &self.schema_text {
            Some((of, text)) if Arc::ptr_eq(of, schema) => text.clone(),
            _ => {
                let text = Arc::new(schema.to_json().to_string().into_bytes());
                self.schema_text = Some((schema.clone(), text.clone()));
                text
            }
        }
    }

    /// Whether it is time for a compaction, by growth and by age.
    pub(crate) fn wants_compaction(&self, now: Timestamp) -> bool {
        let (records, grew) = self.file.growth();
        now >= self.next_compaction.min
            && !self.file.is_compacting()
            && if now < self.next_compaction.max { records > FEW_RECORDS && grew } else { records > 0 }
    }

    pub(crate) fn compaction_ended(&mut self, result: Result<(), String>, now: Timestamp) {
        self.next_compaction = Schedule::after(now);
        for waiter in self.compaction_waiters.drain(..) {
            // Who went away does not want to know.
            let _ = waiter.send(result.clone());
        }
    }

    /// The id of the last transaction; nil where transactions have none.
    pub(crate) fn last_id(&self) -> Uuid {
        self.history.last_id()
    }

    pub(crate) fn remember(&mut self, id: Uuid, changes: &Rc<Changes>) {
        let rows = self.file.database.tables.iter().map(|table| table.len()).sum();
        self.history.push(id, changes.clone(), rows);
    }
}
