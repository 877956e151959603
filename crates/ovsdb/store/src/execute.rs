//! The operations of a transaction (RFC 7047 §5.2), from JSON to a [`Transaction`] and its results.

use crate::database::Database;
use crate::query::matching;
use crate::rbac::{Access, Deed};
use crate::row::Row;
use crate::transaction::Transaction;
use model::members::Kinds;
use model::{Atom, Condition, Datum, Error, Json, Members, Mutation, Symbols, TableSchema, Uuid};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::fmt::Display;
use std::sync::Arc;

/// What is to be executed, and on whose behalf.
pub struct Request<'a> {
    /// The parameters of "transact": the database's name and the operations.
    pub params: &'a [Json],
    pub read_only: bool,
    /// The server itself asks: it may change databases whose names are reserved.
    pub privileged: bool,
    /// The client's role, where it has one; see [`crate::rbac`].
    pub role: Option<&'a str>,
    /// Who the client is, by its certificate.
    pub client: Option<&'a str>,
    /// Since the request was first tried.
    pub elapsed_ms: u64,
    /// Whether the session holds a lock, by name.
    pub holds_lock: &'a dyn Fn(&str) -> bool,
}

impl<'a> Request<'a> {
    /// A first try, on behalf of nobody in particular, who holds no locks.
    pub fn of(params: &'a [Json]) -> Request<'a> {
        Request {
            params,
            read_only: false,
            privileged: false,
            role: None,
            client: None,
            elapsed_ms: 0,
            holds_lock: &|_| false,
        }
    }
}

/// How far it went.
#[derive(Debug)]
pub enum Executed {
    /// A "wait" does not hold yet. Try again when the database has changed, or when the time is over.
    Blocked { timeout_ms: Option<u64> },
    /// An operation failed; the last result that is not null is its error.
    Failed(Vec<Json>),
    /// All is well so far; the commit comes next.
    Ready {
        transaction: Transaction,
        results: Vec<Json>,
        durable: bool,
        /// There are operations that may change rows.
        changes_rows: bool,
    },
}

/// Executes all operations; the database stays as it is.
pub fn execute(database: &Database, request: &Request<'_>) -> Executed {
    let Some((first, operations)) = request.params.split_first() else {
        return Executed::Failed(vec![bad_name(request).to_json()]);
    };
    if first.as_str() != Some(database.name()) {
        return Executed::Failed(vec![bad_name(request).to_json()]);
    }
    let mut execution = Execution {
        database,
        request,
        transaction: Transaction::new(),
        symbols: Symbols::new(),
        durable: false,
        changes_rows: false,
        timeout_ms: None,
        blocked: false,
    };
    let mut results = Vec::with_capacity(operations.len());
    for (i, operation) in operations.iter().enumerate() {
        let title = format_args!("ovsdb operation {} of {}", i + 1, operations.len());
        match execution.operation(operation, &title) {
            Ok(result) => results.push(Value::Object(result)),
            Err(_) if execution.blocked => {
                return Executed::Blocked { timeout_ms: execution.timeout_ms };
            }
            Err(error) => {
                results.push(error.to_json());
                results.resize(operations.len(), Value::Null);
                return Executed::Failed(results);
            }
        }
    }
    let Execution { transaction, durable, changes_rows, .. } = execution;
    Executed::Ready { transaction, results, durable, changes_rows }
}

fn bad_name(request: &Request<'_>) -> Error {
    let params = Value::Array(request.params.to_vec());
    Error::syntax(&params, "database name expected as first parameter")
}

struct Execution<'a> {
    database: &'a Database,
    request: &'a Request<'a>,
    transaction: Transaction,
    symbols: Symbols,
    durable: bool,
    changes_rows: bool,
    /// The least timeout of the "wait" operations.
    timeout_ms: Option<u64>,
    blocked: bool,
}

type Operation<'a, 'p> =
    fn(&mut Execution<'a>, &mut Members<'p>, &mut Map<String, Json>) -> Result<(), Error>;

/// An operation by name, and whether it leaves the database as it is.
fn lookup<'a, 'p>(name: &str) -> Option<(Operation<'a, 'p>, bool)> {
    Some(match name {
        "insert" => (Execution::insert, false),
        "select" => (Execution::select, true),
        "update" => (Execution::update, false),
        "mutate" => (Execution::mutate, false),
        "delete" => (Execution::delete, false),
        "wait" => (Execution::wait, true),
        "commit" => (Execution::commit, false),
        "abort" => (Execution::abort, true),
        "comment" => (Execution::comment, true),
        "assert" => (Execution::assert, true),
        _ => return None,
    })
}

impl<'a> Execution<'a> {
    fn access(&self) -> Access<'a> {
        Access { database: self.database, role: self.request.role, client: self.request.client }
    }

    fn operation(&mut self, json: &Json, title: &dyn Display) -> Result<Map<String, Json>, Error> {
        let mut members = Members::new(json, title);
        let mut result = Map::new();
        let mut outcome = Ok(());
        let mut read_only = false;
        let name = members.required("op", Kinds::ID).and_then(Value::as_str).unwrap_or("");
        if !members.has_error() {
            match lookup(name) {
                None => members.fail(&format!("No operation \"{name}\"")),
                Some((operation, reads)) => {
                    read_only = reads;
                    outcome = operation(self, &mut members, &mut result);
                }
            }
        }
        // What is wrong with the members comes first, then what went wrong.
        if let Err(e) = members.finish() {
            self.blocked = false;
            return Err(e);
        }
        outcome?;
        if !read_only {
            self.check_writable(name)?;
            self.changes_rows = true;
        }
        Ok(result)
    }

    fn check_writable(&self, operation: &str) -> Result<(), Error> {
        let name = self.database.name();
        if self.request.read_only {
            return Err(Error::new(
                "not allowed",
                format!("{operation} operation not allowed when database server is in read only mode"),
            ));
        }
        if name.starts_with('_') && !self.request.privileged {
            return Err(Error::new(
                "not allowed",
                format!("{operation} operation not allowed on table in reserved database {name}"),
            ));
        }
        Ok(())
    }

    fn table(&self, members: &mut Members<'_>) -> Option<(usize, Arc<TableSchema>)> {
        let name = members.required("table", Kinds::ID)?.as_str()?;
        let index = self.database.table_index(name);
        let table = index.and_then(|i| Some((i, self.database.tables.get(i)?.schema.clone())));
        if table.is_none() {
            members.fail(&format!("No table named {name}."));
        }
        table
    }

    fn condition(&mut self, json: Option<&Json>, table: &TableSchema) -> Result<Condition, Error> {
        let clauses = json.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        Condition::from_json(clauses, table, Some(&mut self.symbols))
    }

    /// The values of a row in JSON, by column.
    fn row(&mut self, json: &Json, table: &TableSchema) -> Result<Vec<(usize, Datum)>, Error> {
        let Some(object) = json.as_object() else {
            return Err(Error::syntax(json, "row must be JSON object"));
        };
        let mut values = Vec::with_capacity(object.len());
        for (name, value) in object {
            let column = table.column(name).ok_or_else(|| {
                let message = format!("No column {name} in table {}.", table.name);
                Error::new("unknown column", message).about(json)
            })?;
            values.push((column.index, Datum::from_json(value, &column.r#type, Some(&mut self.symbols))?));
        }
        Ok(values)
    }

    fn insert(&mut self, members: &mut Members<'_>, result: &mut Map<String, Json>) -> Result<(), Error> {
        let table = self.table(members);
        let uuid_json = members.optional("uuid", Kinds::STRING);
        let name_json = members.optional("uuid-name", Kinds::ID);
        let row_json = members.required("row", Kinds::OBJECT);
        let (Some((index, table)), Some(row_json), false) = (table, row_json, members.has_error()) else {
            return Ok(());
        };
        let given = uuid_json.map(|json| self.given_uuid(json, index, &table)).transpose()?;
        let uuid = self.row_uuid(given, name_json)?;
        let mut row = Row::new(&table, uuid);
        for (column, value) in self.row(row_json, &table)? {
            row.set(column, value);
        }
        // What was given meets the constraints.
        for column in &table.unfit_defaults {
            if let (Some(value), Some(schema)) = (row.column(*column), table.columns.get(*column)) {
                value.check(&schema.r#type)?;
            }
        }
        self.access().check(&table.name, Deed::Insert, [&row])?;
        row.set(model::schema::UUID_COLUMN, Datum::One(Atom::Uuid(uuid)));
        self.transaction.insert(index, row);
        result.insert("uuid".to_owned(), Atom::Uuid(uuid).to_json());
        Ok(())
    }

    fn given_uuid(&self, json: &Json, index: usize, table: &TableSchema) -> Result<Uuid, Error> {
        let uuid = json.as_str().and_then(model::parse_uuid);
        let uuid = uuid.ok_or_else(|| Error::syntax(json, "bad uuid"))?;
        if self.transaction.may_insert(self.database, index, &uuid) {
            return Ok(uuid);
        }
        Err(Error::new(
            "duplicate uuid",
            format!(
                "This UUID would duplicate a UUID already present within the \"{}\" table or deleted from this \
                 table within the same transaction.",
                table.name
            ),
        )
        .about(json))
    }

    fn row_uuid(&mut self, given: Option<Uuid>, name: Option<&Json>) -> Result<Uuid, Error> {
        let Some((json, name)) = name.and_then(|json| Some((json, json.as_str()?))) else {
            return Ok(given.unwrap_or_else(model::fresh_uuid));
        };
        let symbol = self.symbols.insert(name);
        if symbol.created {
            let message = "This \"uuid-name\" appeared on an earlier \"insert\" operation.";
            return Err(Error::new("duplicate uuid-name", message).about(json));
        }
        symbol.created = true;
        symbol.uuid = given.unwrap_or(symbol.uuid);
        Ok(symbol.uuid)
    }

    fn select(&mut self, members: &mut Members<'_>, result: &mut Map<String, Json>) -> Result<(), Error> {
        let table = self.table(members);
        let condition = members.required("where", Kinds::ARRAY);
        let columns = members.optional("columns", Kinds::ARRAY);
        let sort = members.optional("sort", Kinds::ARRAY);
        let (Some((index, table)), false) = (table, members.has_error()) else { return Ok(()) };
        let condition = self.condition(condition, &table)?;
        let columns = column_set(columns, &table)?;
        let sort = column_set(sort, &table)?;
        let mut rows = matching(self.database, &self.transaction, index, &condition);
        make_distinct(&mut rows, &columns);
        rows.sort_by(|a, b| compare_columns(a, b, &sort));
        let rows = rows.into_iter().map(|row| row_json(row, &columns, &table)).collect();
        result.insert("rows".to_owned(), Value::Array(rows));
        Ok(())
    }

    fn update(&mut self, members: &mut Members<'_>, result: &mut Map<String, Json>) -> Result<(), Error> {
        let table = self.table(members);
        let condition = members.required("where", Kinds::ARRAY);
        let row_json = members.required("row", Kinds::OBJECT);
        let (Some((index, table)), Some(row_json), false) = (table, row_json, members.has_error()) else {
            return Ok(());
        };
        let values = self.row(row_json, &table)?;
        for (column, _) in &values {
            if let Some(column) = table.columns.get(*column).filter(|c| !c.mutable) {
                let (column, table) = (&column.name, &table.name);
                return Err(Error::constraint(format!(
                    "Cannot update immutable column {column} in table {table}."
                ))
                .about(members.json()));
            }
        }
        let condition = self.condition(condition, &table)?;
        let mut differing = Vec::new();
        let mut count = 0;
        let rows = matching(self.database, &self.transaction, index, &condition);
        if self.request.role.is_some() {
            let names = names_of(values.iter().map(|(column, _)| *column), &table);
            self.access().check(&table.name, Deed::Update(&names), rows.iter().map(|row| &***row))?;
        }
        for row in rows {
            count += 1;
            if values.iter().any(|(column, value)| row.column(*column) != Some(value)) {
                differing.push(row.uuid());
            }
        }
        for uuid in differing {
            let Some(row) = self.transaction.modify(self.database, index, uuid) else { continue };
            for (column, value) in &values {
                row.set(*column, value.clone());
            }
        }
        result.insert("count".to_owned(), Value::from(count));
        Ok(())
    }

    fn mutate(&mut self, members: &mut Members<'_>, result: &mut Map<String, Json>) -> Result<(), Error> {
        let table = self.table(members);
        let condition = members.required("where", Kinds::ARRAY);
        let mutations_json = members.required("mutations", Kinds::ARRAY).and_then(Value::as_array);
        let (Some((index, table)), Some(mutations_json), false) =
            (table, mutations_json, members.has_error())
        else {
            return Ok(());
        };
        let mut mutations = Vec::with_capacity(mutations_json.len());
        for json in mutations_json {
            mutations.push(Mutation::from_json(json, &table, Some(&mut self.symbols))?);
        }
        let condition = self.condition(condition, &table)?;
        let rows = matching(self.database, &self.transaction, index, &condition);
        if self.request.role.is_some() && !mutations.is_empty() {
            let names = names_of(mutations.iter().map(|mutation| mutation.column), &table);
            self.access().check(&table.name, Deed::Mutate(&names), rows.iter().map(|row| &***row))?;
        }
        let uuids: Vec<Uuid> = rows.into_iter().map(|row| row.uuid()).collect();
        result.insert("count".to_owned(), Value::from(uuids.len()));
        if mutations.is_empty() {
            return Ok(());
        }
        for uuid in uuids {
            let Some(row) = self.transaction.modify(self.database, index, uuid) else { continue };
            for mutation in &mutations {
                let column = table.columns.get(mutation.column);
                if let (Some(value), Some(column)) = (row.column_mut(mutation.column), column) {
                    mutation.apply(value, &column.r#type)?;
                }
            }
        }
        Ok(())
    }

    fn delete(&mut self, members: &mut Members<'_>, result: &mut Map<String, Json>) -> Result<(), Error> {
        let condition = members.required("where", Kinds::ARRAY);
        let table = self.table(members);
        let (Some((index, table)), false) = (table, members.has_error()) else { return Ok(()) };
        let condition = self.condition(condition, &table)?;
        let rows = matching(self.database, &self.transaction, index, &condition);
        self.access().check(&table.name, Deed::Delete, rows.iter().map(|row| &***row))?;
        let uuids: Vec<Uuid> = rows.into_iter().map(|row| row.uuid()).collect();
        result.insert("count".to_owned(), Value::from(uuids.len()));
        for uuid in uuids {
            self.transaction.delete(self.database, index, uuid);
        }
        Ok(())
    }

    fn wait(&mut self, members: &mut Members<'_>, _: &mut Map<String, Json>) -> Result<(), Error> {
        let timeout = members.optional("timeout", Kinds::INTEGER);
        let condition = members.required("where", Kinds::ARRAY);
        let columns = members.optional("columns", Kinds::ARRAY);
        let until = members.required("until", Kinds::STRING);
        let rows = members.required("rows", Kinds::ARRAY).and_then(Value::as_array);
        let table = self.table(members);
        let (Some((index, table)), Some(until), Some(rows), false) =
            (table, until, rows, members.has_error())
        else {
            return Ok(());
        };
        let condition = self.condition(condition, &table)?;
        let columns = column_set(columns, &table)?;
        let limit = timeout.map(|json| self.wait_limit(json)).transpose()?;
        let wanted = match until.as_str() {
            Some("==") => true,
            Some("!=") => false,
            _ => return Err(Error::syntax(until, "\"until\" must be \"==\" or \"!=\"")),
        };
        let mut expected = Vec::with_capacity(rows.len());
        for json in rows {
            let mut row = Row::new(&table, Uuid::nil());
            for (column, value) in self.row(json, &table)? {
                row.set(column, value);
            }
            expected.push(Arc::new(row));
        }
        let mut expected: Vec<&Arc<Row>> = expected.iter().collect();
        make_distinct(&mut expected, &columns);
        let mut actual = matching(self.database, &self.transaction, index, &condition);
        make_distinct(&mut actual, &columns);
        let same = |row: &Arc<Row>| expected.iter().any(|e| compare_columns(e, row, &columns).is_eq());
        let equal = actual.len() == expected.len() && actual.iter().all(|row| same(row));
        if equal == wanted { Ok(()) } else { Err(self.wait_failed(limit)) }
    }

    fn wait_limit(&mut self, json: &Json) -> Result<u64, Error> {
        let limit = model::number::integer(json).and_then(|ms| u64::try_from(ms).ok());
        let limit = limit.ok_or_else(|| Error::syntax(json, "timeout must be nonnegative"))?;
        self.timeout_ms = Some(self.timeout_ms.map_or(limit, |least| least.min(limit)));
        Ok(limit)
    }

    fn wait_failed(&mut self, limit: Option<u64>) -> Error {
        let elapsed = self.request.elapsed_ms;
        match limit {
            Some(limit) if elapsed >= limit && elapsed > 0 => {
                Error::new("timed out", format!("\"wait\" timed out after {elapsed} ms"))
            }
            Some(limit) if elapsed >= limit => Error::new("timed out", "\"where\" clause test failed"),
            _ => {
                self.blocked = true;
                Error::new("not supported", "triggers not supported")
            }
        }
    }

    fn commit(&mut self, members: &mut Members<'_>, _: &mut Map<String, Json>) -> Result<(), Error> {
        let durable = members.required("durable", Kinds::BOOLEAN);
        self.durable |= durable.and_then(Value::as_bool) == Some(true);
        Ok(())
    }

    fn abort(&mut self, _: &mut Members<'_>, _: &mut Map<String, Json>) -> Result<(), Error> {
        Err(Error::new("aborted", "aborted by request"))
    }

    fn comment(&mut self, members: &mut Members<'_>, _: &mut Map<String, Json>) -> Result<(), Error> {
        if let Some(comment) = members.required("comment", Kinds::STRING).and_then(Value::as_str) {
            self.transaction.add_comment(comment);
        }
        Ok(())
    }

    fn assert(&mut self, members: &mut Members<'_>, _: &mut Map<String, Json>) -> Result<(), Error> {
        match members.required("lock", Kinds::ID).and_then(Value::as_str) {
            Some(lock) if !(self.request.holds_lock)(lock) => {
                Err(Error::new("not owner", format!("Asserted lock {lock} not held.")))
            }
            _ => Ok(()),
        }
    }
}

fn names_of(columns: impl Iterator<Item = usize>, table: &TableSchema) -> Vec<&str> {
    columns.filter_map(|column| table.columns.get(column)).map(|column| column.name.as_str()).collect()
}

/// Columns by name; all of them where none are named.
fn column_set(json: Option<&Json>, table: &TableSchema) -> Result<Vec<usize>, Error> {
    match json {
        Some(json) => table.column_set(json),
        None => Ok((0..table.columns.len()).collect()),
    }
}

fn compare_columns(a: &Row, b: &Row, columns: &[usize]) -> Ordering {
    for column in columns {
        if let (Some(a), Some(b)) = (a.column(*column), b.column(*column)) {
            let order = a.compare(b);
            if order.is_ne() {
                return order;
            }
        }
    }
    Ordering::Equal
}

/// Keeps one of the rows that are equal in these columns.
fn make_distinct(rows: &mut Vec<&Arc<Row>>, columns: &[usize]) {
    if columns.contains(&model::schema::UUID_COLUMN) {
        return;
    }
    let mut seen = hashbrown::HashSet::new();
    rows.retain(|row| seen.insert(row.key(columns)));
}

fn row_json(row: &Row, columns: &[usize], table: &TableSchema) -> Json {
    let mut object = Map::with_capacity(columns.len());
    for column in columns {
        if let (Some(value), Some(schema)) = (row.column(*column), table.columns.get(*column)) {
            object.insert(schema.name.clone(), value.to_json(schema.r#type.is_map()));
        }
    }
    Value::Object(object)
}
