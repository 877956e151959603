//! Monitors: what a client wants to know of changes, and the text that tells it.
//!
//! A commit is only noted, as the old and the new version of each row that the
//! monitor cares about; versions are shared, so that costs pointers. The text is
//! made when the client can take it, so a slow client gets many commits merged
//! into one update, and memory is bounded by the number of rows.

use indexmap::IndexMap;
use model::json::write_string;
use model::{Condition, Datum, TableSchema, Uuid};
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;
use store::{Change, Changes, Columns, Database, Row};

/// Kinds of change; the bits of a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Select(u8);

impl Select {
    pub(crate) const NONE: Select = Select(0);
    pub(crate) const INITIAL: Select = Select(1);
    pub(crate) const INSERT: Select = Select(2);
    pub(crate) const DELETE: Select = Select(4);
    pub(crate) const MODIFY: Select = Select(8);
    pub(crate) const ALL: Select = Select(15);

    pub(crate) fn with(self, other: Select) -> Select {
        Select(self.0 | other.0)
    }

    fn includes(self, kind: Select) -> bool {
        self.0 & kind.0 != 0
    }
}

/// Which of the three protocols a monitor speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// "monitor": old and new values.
    One,
    /// "monitor_cond": differences.
    Two,
    /// "monitor_cond_since": differences, with the last transaction's id.
    Three,
}

/// What a monitor wants of one table.
#[derive(Clone, Debug)]
pub(crate) struct MonitoredTable {
    pub(crate) table: usize,
    pub(crate) schema: Arc<TableSchema>,
    /// Columns, each with the kinds of change it is told for.
    pub(crate) columns: Vec<(usize, Select)>,
    pub(crate) select: Select,
    /// An empty condition is met by all rows, otherwise any clause will do.
    pub(crate) condition: Condition,
}

/// The versions of a row before and after what is still to be told.
#[derive(Clone, Debug)]
struct Pending {
    old: Option<Arc<Row>>,
    new: Option<Arc<Row>>,
}

/// One monitor of one session.
#[derive(Debug)]
pub(crate) struct Monitor {
    pub(crate) id: model::Json,
    pub(crate) database: String,
    pub(crate) version: Version,
    pub(crate) tables: Rc<Vec<MonitoredTable>>,
    /// What is to be told, by table as in `tables`.
    pending: Vec<IndexMap<Uuid, Pending>>,
}

impl Monitor {
    pub(crate) fn new(
        id: model::Json,
        database: &str,
        version: Version,
        tables: Vec<MonitoredTable>,
    ) -> Monitor {
        let pending = vec![IndexMap::new(); tables.len()];
        Monitor { id, database: database.to_owned(), version, tables: Rc::new(tables), pending }
    }

    /// Notes a commit; true when there is something to be told now.
    pub(crate) fn note(&mut self, changes: &Changes) -> bool {
        let mut any = false;
        for (monitored, pending) in self.tables.iter().zip(&mut self.pending) {
            for change in changes.of_table(monitored.table) {
                if monitored.is_affected(change) {
                    note_row(pending, change);
                    any = true;
                }
            }
        }
        any
    }

    pub(crate) fn has_pending(&self) -> bool {
        self.pending.iter().any(|rows| !rows.is_empty())
    }

    /// The `<table-updates>` of all rows as they are.
    pub(crate) fn initial(&self, database: &Database) -> String {
        let mut out = TableUpdates::new();
        for monitored in self.tables.iter() {
            if !monitored.select.includes(Select::INITIAL) {
                continue;
            }
            let Some(table) = database.tables.get(monitored.table) else { continue };
            for row in table.rows() {
                if monitored.matches(row)
                    && let Some(text) = monitored.row_update(self.version, None, Some(row), Select::INITIAL)
                {
                    out.row(&monitored.schema.name, row.uuid(), &text);
                }
            }
        }
        out.finish().unwrap_or_else(|| "{}".to_owned())
    }

    /// The `<table-updates>` of what is pending, which is pending no more; `None` when nothing is to be told.
    pub(crate) fn take_updates(&mut self) -> Option<String> {
        let mut out = TableUpdates::new();
        for (monitored, pending) in self.tables.iter().zip(&mut self.pending) {
            for (uuid, pending) in std::mem::take(pending) {
                let (old, new) = (pending.old.as_deref(), pending.new.as_deref());
                let kind = monitored.kind_of(old, new);
                if let Some(text) = monitored.row_update(self.version, old, new, kind) {
                    out.row(&monitored.schema.name, uuid, &text);
                }
            }
        }
        out.finish()
    }

    /// Takes up new conditions; returns the `<table-updates>` of rows that come and go by them.
    pub(crate) fn change_conditions(
        &mut self,
        conditions: Vec<(usize, Condition)>,
        database: &Database,
    ) -> Option<String> {
        let mut out = TableUpdates::new();
        let mut tables = (*self.tables).clone();
        for (index, condition) in conditions {
            let Some(monitored) = tables.iter_mut().find(|t| t.table == index) else { continue };
            let old = std::mem::replace(&mut monitored.condition, condition);
            if old == monitored.condition {
                continue;
            }
            let Some(table) = database.tables.get(index) else { continue };
            for row in table.rows() {
                let text = match (matches(&old, row), monitored.matches(row)) {
                    (false, true) => monitored.row_update(self.version, None, Some(row), Select::INSERT),
                    (true, false) => monitored.row_update(self.version, Some(row), None, Select::DELETE),
                    _ => None,
                };
                if let Some(text) = text {
                    out.row(&monitored.schema.name, row.uuid(), &text);
                }
            }
        }
        self.tables = Rc::new(tables);
        out.finish()
    }

    /// The notification that carries `<table-updates>`.
    pub(crate) fn notification(&self, updates: &str) -> Vec<u8> {
        let (method, last_id) = match self.version {
            Version::One => ("update", String::new()),
            Version::Two => ("update2", String::new()),
            Version::Three => ("update3", format!("\"{}\",", Uuid::nil())),
        };
        let id = &self.id;
        format!(r#"{{"id":null,"method":"{method}","params":[{id},{last_id}{updates}]}}"#).into_bytes()
    }
}

fn note_row(pending: &mut IndexMap<Uuid, Pending>, change: &Change) {
    match pending.entry(change.uuid) {
        indexmap::map::Entry::Vacant(slot) => {
            slot.insert(Pending { old: change.old.clone(), new: change.new.clone() });
        }
        indexmap::map::Entry::Occupied(mut slot) => {
            slot.get_mut().new = change.new.clone();
            if slot.get().old.is_none() && slot.get().new.is_none() {
                slot.shift_remove();
            }
        }
    }
}

fn matches(condition: &Condition, row: &Row) -> bool {
    condition.clauses.is_empty() || condition.matches_any(|column| row.column(column))
}

impl MonitoredTable {
    fn matches(&self, row: &Row) -> bool {
        matches(&self.condition, row)
    }

    /// Whether a change is about a column that is monitored or asked for by the condition.
    fn is_affected(&self, change: &Change) -> bool {
        change.old.is_none()
            || change.new.is_none()
            || self.columns.iter().any(|(column, _)| change.changed.contains(*column))
            || self.condition.clauses.iter().any(|clause| change.changed.contains(clause.column))
    }

    /// What happened to a row as the client sees it through the condition.
    fn kind_of(&self, old: Option<&Row>, new: Option<&Row>) -> Select {
        match (old.is_some_and(|r| self.matches(r)), new.is_some_and(|r| self.matches(r))) {
            (false, false) => Select::NONE,
            (false, true) => Select::INSERT,
            (true, false) => Select::DELETE,
            (true, true) => Select::MODIFY,
        }
    }

    fn row_update(
        &self,
        version: Version,
        old: Option<&Row>,
        new: Option<&Row>,
        kind: Select,
    ) -> Option<String> {
        if !self.select.includes(kind) {
            return None;
        }
        let mut changed = Columns::default();
        if kind == Select::MODIFY {
            let (old, new) = (old?, new?);
            for (column, _) in &self.columns {
                if old.column(*column) != new.column(*column) {
                    changed.insert(*column);
                }
            }
            if changed.is_empty() {
                return None;
            }
        }
        Some(match version {
            Version::One => self.row_update_1(old, new, kind, &changed),
            Version::Two | Version::Three => self.row_update_2(old, new, kind, &changed),
        })
    }

    fn told(&self, kind: Select) -> impl Iterator<Item = usize> {
        self.columns.iter().filter(move |(_, select)| select.includes(kind)).map(|(column, _)| *column)
    }

    /// RFC 7047's `<row-update>`.
    fn row_update_1(&self, old: Option<&Row>, new: Option<&Row>, kind: Select, changed: &Columns) -> String {
        let mut out = String::from("{");
        if kind == Select::DELETE || kind == Select::MODIFY {
            out.push_str("\"old\":{");
            let columns = self.told(kind).filter(|c| kind == Select::DELETE || changed.contains(*c));
            self.write_columns(&mut out, old, columns, |value, _| Some(value.clone()));
            out.push('}');
        }
        if kind != Select::DELETE {
            out.push_str(if out.len() > 1 { ",\"new\":{" } else { "\"new\":{" });
            self.write_columns(&mut out, new, self.told(kind), |value, _| Some(value.clone()));
            out.push('}');
        }
        out.push('}');
        out
    }

    /// The `<row-update2>` of ovsdb-server(7).
    fn row_update_2(&self, old: Option<&Row>, new: Option<&Row>, kind: Select, changed: &Columns) -> String {
        let name = match kind {
            Select::DELETE => return "{\"delete\":null}".to_owned(),
            Select::INITIAL => "initial",
            Select::MODIFY => "modify",
            _ => "insert",
        };
        let mut out = format!("{{\"{name}\":{{");
        if kind == Select::MODIFY {
            let columns = self.told(kind).filter(|c| changed.contains(*c));
            self.write_columns(&mut out, new, columns, |value, column| {
                let r#type = &self.schema.columns.get(column)?.r#type;
                Some(old?.column(column)?.diff(value, r#type))
            });
        } else {
            self.write_columns(&mut out, new, self.told(kind), |value, column| {
                let r#type = &self.schema.columns.get(column)?.r#type;
                (!value.is_default(r#type)).then(|| value.clone())
            });
        }
        out.push_str("}}");
        out
    }

    fn write_columns(
        &self,
        out: &mut String,
        row: Option<&Row>,
        columns: impl Iterator<Item = usize>,
        form: impl Fn(&Datum, usize) -> Option<Datum>,
    ) {
        let mut first = true;
        for column in columns {
            let Some(schema) = self.schema.columns.get(column) else { continue };
            let Some(value) = row.and_then(|r| r.column(column)).and_then(|v| form(v, column)) else {
                continue;
            };
            if !first {
                out.push(',');
            }
            first = false;
            write_string(out, &schema.name);
            out.push(':');
            value.write_json(out, schema.r#type.is_map());
        }
    }
}

/// Builds `{"table": {"uuid": row, ...}, ...}`; rows of a table come together.
struct TableUpdates {
    text: String,
    table: String,
}

impl TableUpdates {
    fn new() -> TableUpdates {
        TableUpdates { text: String::new(), table: String::new() }
    }

    fn row(&mut self, table: &str, uuid: Uuid, row: &str) {
        if self.table == table {
            self.text.push(',');
        } else {
            self.text.push_str(if self.text.is_empty() { "{" } else { "}," });
            write_string(&mut self.text, table);
            self.text.push_str(":{");
            table.clone_into(&mut self.table);
        }
        // Writing to a string cannot fail.
        let _ = write!(self.text, "\"{uuid}\":{row}");
    }

    fn finish(mut self) -> Option<String> {
        if self.text.is_empty() {
            return None;
        }
        self.text.push_str("}}");
        Some(self.text)
    }
}
