//! `monitor`, `monitor-cond`, `monitor-cond-since`: printing changes as they come.

use super::PROGRAM;
use super::connect::{fetch_schema, send_change_aware};
use super::options::Options;
use crate::shared::{Result, now_text, parse_json};
use model::listing::{Cell, Listing};
use model::{ColumnSchema, Condition, Json, Schema, TableSchema, Uuid};
use rpc::unixctl::{Registry, Server};
use rpc::{Connection, Message, error_text};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
    Three,
}

struct Monitored {
    table: Arc<TableSchema>,
    columns: Vec<ColumnSchema>,
}

/// What control commands change.
#[derive(Default)]
struct State {
    exiting: bool,
    blocked: bool,
    conditions: Vec<(String, Json)>,
}

/// Prints updates in the form of their version.
struct Printer<'o> {
    monitored: Vec<Monitored>,
    version: Version,
    options: &'o Options,
    first: bool,
}

pub(crate) async fn run(
    mut connection: Connection,
    database: &str,
    command: &str,
    words: Vec<String>,
    options: &Options,
    mut daemon: rpc::daemon::Daemon,
) -> Result<()> {
    let version = match command {
        "monitor" => Version::One,
        "monitor-cond" => Version::Two,
        _ => Version::Three,
    };
    let mut unixctl = control_socket(options).await?;
    let registry = registry();
    let mut state = State::default();
    let schema = fetch_schema(&mut connection, database).await?;
    let server = connection.name().to_owned();
    let mut words = std::collections::VecDeque::from(words);
    let mut last_id = Uuid::nil();
    if version == Version::Three
        && let Some(id) = words.front().and_then(|word| model::parse_uuid(word))
    {
        last_id = id;
        words.pop_front();
    }
    let condition = match version {
        Version::One => None,
        _ => words.pop_front().map(|text| parse_json(&text)).transpose()?,
    };
    let words: Vec<String> = words.into();
    let (monitored, requests) = plan(&schema, &words, condition, &server, database)?;
    send_change_aware(&mut connection, options.change_aware).await?;
    let mut params = vec![Json::from(database), Json::Null, requests];
    let method = match version {
        Version::One => "monitor",
        Version::Two => "monitor_cond",
        Version::Three => {
            params.push(Json::from(last_id.to_string()));
            "monitor_cond_since"
        }
    };
    connection.send(&Message::request(method, params, "monitor"));
    let mut printer = Printer { monitored, version, options, first: true };
    while !state.exiting {
        for (table, condition) in state.conditions.drain(..) {
            let changes = json!({ table: [{"where": condition}] });
            let params = vec![Json::Null, Json::Null, changes];
            connection.send(&Message::request("monitor_cond_change", params, "change"));
        }
        tokio::select! {
            request = unixctl.next() => registry.dispatch(&mut state, request),
            message = connection.receive(), if !state.blocked => {
                let message = message.map_err(|e| format!("{server}: receive failed ({})", error_text(&e)))?;
                if let Message::Notify { method, .. } = &message && method == "monitor_canceled" {
                    return Err(format!("{server}: {database} database was removed").into());
                }
                if printer.take(message, &mut connection)? {
                    daemon.complete().map_err(|e| e.to_string())?;
                }
                // Who reads the output wants it now.
                let _ = std::io::stdout().flush();
            }
        }
    }
    unixctl.flush().await;
    Ok(())
}

async fn control_socket(options: &Options) -> Result<Server> {
    let path = if options.daemon.detach { None } else { Some("none") };
    let server = Server::new(path, PROGRAM).await;
    Ok(server.map_err(|e| format!("failed to create unixctl server ({})", error_text(&e)))?)
}

fn registry() -> Registry<State> {
    let mut registry = Registry::new(&rpc::version_text(PROGRAM));
    registry.add_log_commands();
    registry.add("exit", "", 0, 0, |state: &mut State, _| {
        state.exiting = true;
        Ok(String::new())
    });
    registry.add("ovsdb-client/block", "", 0, 0, |state, _| {
        let before = std::mem::replace(&mut state.blocked, true);
        Ok(if before { "already blocking".to_owned() } else { String::new() })
    });
    registry.add("ovsdb-client/unblock", "", 0, 0, |state, _| {
        let before = std::mem::replace(&mut state.blocked, false);
        Ok(if before { String::new() } else { "already unblocked".to_owned() })
    });
    registry.add("ovsdb-client/cond_change", "TABLE COND", 2, 2, |state, args| {
        if let [table, text] = args {
            let condition = base::json::parse(text.as_bytes()).map_err(|e| e.to_string())?;
            state.conditions.push((table.clone(), condition));
        }
        Ok("condition changed".to_owned())
    });
    registry
}

/// What to monitor and how to ask for it.
fn plan(
    schema: &Schema,
    words: &[String],
    condition: Option<Json>,
    server: &str,
    database: &str,
) -> Result<(Vec<Monitored>, Json)> {
    let name = words.first().map_or("", String::as_str);
    let mut requests = Map::new();
    let mut monitored = Vec::new();
    if name == "ALL" {
        if condition.is_some() {
            return Err("ALL tables are not allowed with condition".to_owned().into());
        }
        let mut tables: Vec<_> = schema.tables.values().collect();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        for table in tables {
            let (columns, request) = parse_columns("", table, server, database, &[])?;
            requests.insert(table.name.clone(), Value::Array(vec![request]));
            monitored.push(Monitored { table: table.clone(), columns });
        }
        return Ok((monitored, requests.into()));
    }
    let table = schema
        .table(name)
        .ok_or_else(|| format!("{server}: {database} does not have a table named \"{name}\""))?;
    if let Some(condition) = &condition {
        Condition::from_json(condition.as_array().map_or(&[][..], Vec::as_slice), table, None)?;
    }
    let mut lists: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    if lists.is_empty() {
        lists.push("");
    }
    let (mut columns, mut parts) = (Vec::new(), Vec::new());
    for (i, list) in lists.into_iter().enumerate() {
        let (more, mut request) = parse_columns(list, table, server, database, &columns)?;
        if let (0, Some(condition), Some(object)) = (i, &condition, request.as_object_mut()) {
            object.insert("where".to_owned(), condition.clone());
        }
        columns.extend(more);
        parts.push(request);
    }
    requests.insert(table.name.clone(), Value::Array(parts));
    monitored.push(Monitored { table: table.clone(), columns });
    Ok((monitored, requests.into()))
}

/// `COLUMN,...,!initial,...`: the columns, and the request for them.
fn parse_columns(
    list: &str,
    table: &TableSchema,
    server: &str,
    database: &str,
    before: &[ColumnSchema],
) -> Result<(Vec<ColumnSchema>, Json)> {
    let mut columns: Vec<ColumnSchema> = Vec::new();
    let mut select = Map::new();
    for word in list.split(',').filter(|word| !word.is_empty()) {
        if let Some(kind) =
            word.strip_prefix('!').filter(|k| matches!(*k, "initial" | "insert" | "delete" | "modify"))
        {
            select.insert(kind.to_owned(), Value::Bool(false));
            continue;
        }
        let name = &table.name;
        let column = table.column(word).ok_or_else(|| {
            format!("{server}: table \"{name}\" in {database} does not have a column named \"{word}\"")
        })?;
        if columns.iter().chain(before).any(|c| c.index == column.index) {
            return Err(format!("{server}: column \"{word}\" mentioned multiple times").into());
        }
        columns.push(column.clone());
    }
    if columns.is_empty() {
        columns = table.declared_columns().cloned().collect();
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        columns.extend(table.column("_version").cloned());
    }
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let mut request = json!({ "columns": names });
    if let Some(object) = request.as_object_mut().filter(|_| !select.is_empty()) {
        object.insert("select".to_owned(), select.into());
    }
    Ok((columns, request))
}

impl Printer<'_> {
    /// Prints what a message tells; true when it is the first, from which on the monitor is at work.
    fn take(&mut self, message: Message, connection: &mut Connection) -> Result<bool> {
        match message {
            Message::Request { method, params, id } if method == "echo" => {
                connection.send(&Message::Reply { result: params.into(), id });
            }
            Message::Reply { result, id } if id == "monitor" => {
                match (self.version, result.as_array().map(Vec::as_slice)) {
                    (Version::Three, Some([found, last_id, updates])) => {
                        println!("found: {found}, last_id: {}", last_id.as_str().unwrap_or_default());
                        self.print(updates, true);
                    }
                    _ => self.print(&result, true),
                }
                return Ok(true);
            }
            Message::Error { error, id } if id == "monitor" => {
                return Err(format!("monitor failed: {}", model::json::sorted(&error)).into());
            }
            Message::Notify { method, params } => match (method.as_str(), params.as_slice()) {
                ("update" | "update2", [Value::Null, updates]) => self.print(updates, false),
                ("update3", [Value::Null, last_id, updates]) => {
                    print!("\nlast_id: {}", last_id.as_str().unwrap_or_default());
                    self.print(updates, false);
                }
                _ => {}
            },
            _ => {}
        }
        Ok(false)
    }

    fn print(&mut self, updates: &Json, initial: bool) {
        let many = self.monitored.len() > 1;
        let mut out = String::new();
        for monitored in &self.monitored {
            let Some(rows) = updates.get(&monitored.table.name).and_then(Value::as_object) else { continue };
            let mut listing = Listing {
                caption: many.then(|| monitored.table.name.clone()),
                timestamp: self.options.timestamp.then(now_text),
                headings: vec!["row".to_owned(), "action".to_owned()],
                ..Listing::default()
            };
            listing.headings.extend(monitored.columns.iter().map(|c| c.name.clone()));
            for (uuid, update) in rows {
                match self.version {
                    Version::One => monitored.add_1(&mut listing, uuid, update, initial),
                    _ => monitored.add_2(&mut listing, uuid, update),
                }
            }
            out.push_str(&listing.print(&self.options.style, std::mem::replace(&mut self.first, false)));
        }
        print!("{out}");
    }
}

impl Monitored {
    fn add_1(&self, listing: &mut Listing, uuid: &str, update: &Json, initial: bool) {
        match (update.get("old"), update.get("new")) {
            (_, Some(new)) if initial => self.add(listing, uuid, "initial", new),
            (None, Some(new)) => self.add(listing, uuid, "insert", new),
            (Some(old), None) => self.add(listing, uuid, "delete", old),
            (Some(old), Some(new)) => {
                self.add(listing, uuid, "old", old);
                self.add(listing, "", "new", new);
            }
            (None, None) => {}
        }
    }

    fn add_2(&self, listing: &mut Listing, uuid: &str, update: &Json) {
        for action in ["delete", "initial", "modify", "insert"] {
            if let Some(row) = update.get(action) {
                self.add(listing, uuid, action, row);
                return;
            }
        }
    }

    fn add(&self, listing: &mut Listing, uuid: &str, action: &str, row: &Json) {
        let mut cells = vec![Cell::Text(uuid.to_owned()), Cell::Text(action.to_owned())];
        for column in &self.columns {
            cells.push(match row.get(&column.name) {
                None => Cell::Empty,
                // A difference may break the limits of the type; then it is shown as it came.
                Some(json) => match model::Datum::from_json(json, &column.r#type, None) {
                    Ok(datum) => Cell::Datum(datum, column.r#type.clone()),
                    Err(_) => Cell::Json(json.clone()),
                },
            });
        }
        listing.rows.push(cells);
    }
}
