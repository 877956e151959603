//! Which changes a monitor reports, and their text.
//!
//! Rows before and after enter, `<table-updates>` leave, in the form of each of
//! the three protocols. When something is to be reported, and to whom, is
//! [`crate::watch`]'s.

use model::json::write_string;
use model::{Condition, Datum, TableSchema, Uuid};
use std::borrow::Cow;
use std::sync::Arc;
use store::{Change, Columns, Database, Row};

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

    pub(crate) fn includes(self, kind: Select) -> bool {
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
    /// Columns, each with the kinds of change that it is sent for.
    pub(crate) columns: Vec<(usize, Select)>,
    pub(crate) select: Select,
    /// An empty condition is met by all rows, otherwise any clause will do.
    pub(crate) condition: Condition,
}

/// One monitor of one session.
#[derive(Debug)]
pub(crate) struct Monitor {
    pub(crate) id: model::Json,
    pub(crate) database: String,
    /// What it watches, and how far it has been told.
    pub(crate) place: crate::watch::Place,
    /// What comes before the `<table-updates>` in a notification of versions 1 and 2.
    pub(crate) head: Arc<Vec<u8>>,
}

impl Monitor {
    pub(crate) fn new(
        id: model::Json,
        database: &str,
        version: Version,
        place: crate::watch::Place,
    ) -> Monitor {
        let head = Arc::new(notification_head(version, &id, Uuid::nil()));
        Monitor { id, database: database.to_owned(), place, head }
    }
}

/// The notification up to its `<table-updates>`, which `]}` is to follow.
pub(crate) fn notification_head(version: Version, id: &model::Json, last_id: Uuid) -> Vec<u8> {
    let (method, last_id) = match version {
        Version::One => ("update", String::new()),
        Version::Two => ("update2", String::new()),
        Version::Three => ("update3", format!("\"{last_id}\",")),
    };
    format!(r#"{{"id":null,"method":"{method}","params":[{id},{last_id}"#).into_bytes()
}

/// The `<table-updates>` of all rows as they are.
pub(crate) fn initial(tables: &[MonitoredTable], version: Version, database: &Database) -> String {
    let mut out = TableUpdates::new();
    for monitored in tables {
        if !monitored.select.includes(Select::INITIAL) {
            continue;
        }
        let Some(table) = database.tables.get(monitored.table) else { continue };
        for row in table.rows() {
            if monitored.matches(row) {
                out.row(monitored, row.uuid(), version, None, Some(row), Select::INITIAL);
            }
        }
    }
    out.finish().unwrap_or_else(|| "{}".to_owned())
}

/// The `<table-updates>` of rows that come and go when conditions change from `old` to `new`.
pub(crate) fn condition_updates(
    old: &[MonitoredTable],
    new: &[MonitoredTable],
    version: Version,
    database: &Database,
) -> Option<String> {
    let mut out = TableUpdates::new();
    for (old, new) in old.iter().zip(new).filter(|(old, new)| old.condition != new.condition) {
        let Some(table) = database.tables.get(new.table) else { continue };
        for row in table.rows() {
            match (old.matches(row), new.matches(row)) {
                (false, true) => out.row(new, row.uuid(), version, None, Some(row), Select::INSERT),
                (true, false) => out.row(new, row.uuid(), version, Some(row), None, Select::DELETE),
                _ => {}
            }
        }
    }
    out.finish()
}

/// Whether two monitors would always be told the same.
pub(crate) fn are_alike(a: &[MonitoredTable], b: &[MonitoredTable]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_like(b))
}

fn matches(condition: &Condition, row: &Row) -> bool {
    condition.clauses.is_empty() || condition.matches_any(|column| row.column(column))
}

impl MonitoredTable {
    /// Whether two monitors would always be told the same of this table.
    fn is_like(&self, other: &MonitoredTable) -> bool {
        self.table == other.table
            && self.columns == other.columns
            && self.select == other.select
            && self.condition == other.condition
    }

    fn matches(&self, row: &Row) -> bool {
        matches(&self.condition, row)
    }

    /// Whether a change is about a column that is monitored or asked for by the condition.
    pub(crate) fn is_affected(&self, change: &Change) -> bool {
        change.old.is_none()
            || change.new.is_none()
            || self.columns.iter().any(|(column, _)| change.changed.contains(*column))
            || self.condition.clauses.iter().any(|clause| change.changed.contains(clause.column))
    }

    /// What happened to a row as the client sees it through the condition.
    pub(crate) fn kind_of(&self, old: Option<&Row>, new: Option<&Row>) -> Select {
        match (old.is_some_and(|r| self.matches(r)), new.is_some_and(|r| self.matches(r))) {
            (false, false) => Select::NONE,
            (false, true) => Select::INSERT,
            (true, false) => Select::DELETE,
            (true, true) => Select::MODIFY,
        }
    }

    /// Appends the update of one row; false, and nothing appended, when it is not to be sent.
    fn write_update(
        &self,
        out: &mut String,
        version: Version,
        old: Option<&Row>,
        new: Option<&Row>,
        kind: Select,
    ) -> bool {
        if !self.select.includes(kind) {
            return false;
        }
        let mut changed = Columns::default();
        if kind == Select::MODIFY {
            let (Some(old), Some(new)) = (old, new) else { return false };
            for (column, _) in &self.columns {
                if old.column(*column) != new.column(*column) {
                    changed.insert(*column);
                }
            }
            if changed.is_empty() {
                return false;
            }
        }
        match version {
            Version::One => self.write_update_1(out, old, new, kind, &changed),
            Version::Two | Version::Three => self.write_update_2(out, old, new, kind, &changed),
        }
        true
    }

    fn selected(&self, kind: Select) -> impl Iterator<Item = usize> {
        self.columns.iter().filter(move |(_, select)| select.includes(kind)).map(|(column, _)| *column)
    }

    /// RFC 7047's `<row-update>`.
    fn write_update_1(
        &self,
        out: &mut String,
        old: Option<&Row>,
        new: Option<&Row>,
        kind: Select,
        changed: &Columns,
    ) {
        out.push('{');
        if kind == Select::DELETE || kind == Select::MODIFY {
            out.push_str("\"old\":{");
            let columns = self.selected(kind).filter(|c| kind == Select::DELETE || changed.contains(*c));
            self.write_columns(out, old, columns, true, |value, _| Some(Cow::Borrowed(value)));
            out.push('}');
        }
        if kind != Select::DELETE {
            out.push_str(if kind == Select::MODIFY { ",\"new\":{" } else { "\"new\":{" });
            self.write_columns(out, new, self.selected(kind), true, |value, _| Some(Cow::Borrowed(value)));
            out.push('}');
        }
        out.push('}');
    }

    /// The `<row-update2>` of ovsdb-server(7).
    fn write_update_2(
        &self,
        out: &mut String,
        old: Option<&Row>,
        new: Option<&Row>,
        kind: Select,
        changed: &Columns,
    ) {
        out.push_str(match kind {
            Select::DELETE => {
                out.push_str("{\"delete\":null}");
                return;
            }
            Select::INITIAL => "{\"initial\":{",
            Select::MODIFY => "{\"modify\":{",
            _ => "{\"insert\":{",
        });
        if kind == Select::MODIFY {
            let columns = self.selected(kind).filter(|c| changed.contains(*c));
            self.write_columns(out, new, columns, true, |value, column| {
                let r#type = &self.schema.columns.get(column)?.r#type;
                Some(Cow::Owned(old?.column(column)?.diff(value, r#type)))
            });
        } else {
            self.write_columns(out, new, self.selected(kind), false, |value, column| {
                let r#type = &self.schema.columns.get(column)?.r#type;
                (!value.is_default(r#type)).then_some(Cow::Borrowed(value))
            });
        }
        out.push_str("}}");
    }

    /// Without `defaults`, columns that surely hold theirs are passed over.
    fn write_columns<'r>(
        &self,
        out: &mut String,
        row: Option<&'r Row>,
        columns: impl Iterator<Item = usize>,
        defaults: bool,
        form: impl Fn(&'r Datum, usize) -> Option<Cow<'r, Datum>>,
    ) {
        let mut first = true;
        for column in columns {
            let Some(schema) = self.schema.columns.get(column) else { continue };
            let value = row.and_then(|r| if defaults { r.column(column) } else { r.kept_column(column) });
            let Some(value) = value.and_then(|v| form(v, column)) else { continue };
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
pub(crate) struct TableUpdates {
    text: String,
    table: usize,
}

impl TableUpdates {
    pub(crate) fn new() -> TableUpdates {
        TableUpdates { text: String::new(), table: usize::MAX }
    }

    /// Appends what is to be sent of a row.
    pub(crate) fn row(
        &mut self,
        monitored: &MonitoredTable,
        uuid: Uuid,
        version: Version,
        old: Option<&Row>,
        new: Option<&Row>,
        kind: Select,
    ) {
        let before = self.text.len();
        let same_table = self.table == monitored.table;
        if same_table {
            self.text.push(',');
        } else {
            self.text.push_str(if self.text.is_empty() { "{" } else { "}," });
            write_string(&mut self.text, &monitored.schema.name);
            self.text.push_str(":{");
        }
        self.text.push('"');
        model::json::write_uuid(&mut self.text, &uuid);
        self.text.push_str("\":");
        if monitored.write_update(&mut self.text, version, old, new, kind) {
            self.table = monitored.table;
        } else {
            self.text.truncate(before);
        }
    }

    pub(crate) fn finish(mut self) -> Option<String> {
        if self.text.is_empty() {
            return None;
        }
        self.text.push_str("}}");
        Some(self.text)
    }
}
