//! Random transactions and monitors: the server and the naive model must agree on every result, and every
//! client's copy, made of what its monitors were told, must be what the model holds.

use super::naive::{Atom, Column, Database, Kind, Row, Table, value_from_json};
use super::{ask, outbox, result};
use crate::{Identity, Server, SessionId};
use base::Clock;
use proptest::prelude::*;
use rpc::Message;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use store::DatabaseFile;

fn world() -> Database {
    let column = |name, key, min, max| Column { name, key, value: None, min, max };
    let small = Kind::Integer { min: 0, max: 9 };
    Database {
        tables: vec![
            Table {
                name: "R",
                is_root: true,
                max_rows: 5,
                index: Some("name"),
                columns: vec![
                    column("name", Kind::Text, 1, 1),
                    column("number", small, 1, 1),
                    column("tags", small, 0, 3),
                    column("kids", Kind::Strong("K"), 0, usize::MAX),
                    column("friends", Kind::Weak("K"), 0, usize::MAX),
                    Column { name: "map", key: Kind::Text, value: Some(small), min: 0, max: 4 },
                ],
            },
            Table {
                name: "K",
                is_root: false,
                max_rows: usize::MAX,
                index: None,
                columns: vec![
                    column("name", Kind::Text, 1, 1),
                    column("number", small, 1, 1),
                    column("next", Kind::Strong("K"), 0, 1),
                    column("home", Kind::Weak("R"), 0, 1),
                ],
            },
        ],
        rows: BTreeMap::new(),
    }
}

/// Choices, one byte each; when they are used up, zeros.
struct Tape<'b> {
    bytes: &'b [u8],
    at: usize,
    uuids: u32,
    names: Vec<(&'static str, String)>,
}

impl Tape<'_> {
    fn below(&mut self, n: usize) -> usize {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(byte) % n
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }

    fn is_over(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn text(&mut self) -> String {
        self.pick(&["", "a", "b", "c", "d"]).to_owned()
    }

    /// Mostly within the range that columns allow.
    fn number(&mut self) -> i64 {
        [0, 1, 2, 3, 4, 5, 8, 9, 10][self.below(9)]
    }

    /// A row that is there, one of this transaction, or none at all.
    fn reference(&mut self, world: &Database, table: &'static str) -> Json {
        let mut choices: Vec<Json> =
            self.names.iter().filter(|(t, _)| *t == table).map(|(_, n)| json!(["named-uuid", n])).collect();
        choices.extend(self.stored(world, table));
        if choices.is_empty() || self.below(16) == 15 {
            return json!(["uuid", "ffffffff-ffff-4fff-bfff-ffffffffffff"]);
        }
        self.pick(&choices)
    }

    fn stored(&self, world: &Database, table: &str) -> Vec<Json> {
        world.rows.keys().filter(|key| key.0 == table).map(|key| json!(["uuid", key.1])).collect()
    }

    fn atom(&mut self, kind: Kind, world: &Database) -> Json {
        match kind {
            Kind::Integer { .. } => json!(self.number()),
            Kind::Text => json!(self.text()),
            Kind::Strong(table) | Kind::Weak(table) => self.reference(world, table),
        }
    }

    /// A value of up to `max` entries, all different.
    fn value(&mut self, column: &Column, world: &Database, max: usize) -> Json {
        if column.min == 1 && column.max == 1 {
            return self.atom(column.key, world);
        }
        let mut entries: BTreeMap<String, Json> = BTreeMap::new();
        for _ in 0..self.below(max + 1) {
            let key = self.atom(column.key, world);
            let text = key.to_string();
            let entry = match column.value {
                None => key,
                Some(kind) => json!([key, self.atom(kind, world)]),
            };
            entries.insert(text, entry);
        }
        let tag = if column.value.is_some() { "map" } else { "set" };
        json!([tag, entries.into_values().collect::<Vec<_>>()])
    }

    fn row(&mut self, table: &Table, world: &Database) -> Json {
        let mut row = serde_json::Map::new();
        for column in &table.columns {
            if self.below(3) > 0 {
                // One more than allowed, now and then.
                let most = column.max.min(3) + usize::from(self.below(16) == 15);
                row.insert(column.name.to_owned(), self.value(column, world, most));
            }
        }
        row.into()
    }

    fn clause(&mut self, table: &Table, world: &Database) -> Json {
        if self.below(8) == 7 {
            let stored = self.stored(world, table.name);
            return match stored.is_empty() {
                true => json!(self.below(2) == 0),
                false => json!(["_uuid", self.pick(&["==", "!="]), self.pick(&stored)]),
            };
        }
        let column = self.pick(&table.columns);
        // Names of this transaction mean nothing to the model's conditions.
        let names = std::mem::take(&mut self.names);
        let scalar = column.min == 1 && column.max == 1;
        let is_number = scalar && matches!(column.key, Kind::Integer { .. });
        let function = match (is_number, scalar) {
            (true, _) => self.pick(&["==", "!=", "<", "<=", ">", ">="]),
            (false, true) => self.pick(&["==", "!="]),
            (false, false) => self.pick(&["==", "!=", "includes", "excludes"]),
        };
        let mut argument = self.value(&column, world, column.max.min(2));
        if argument.as_i64() == Some(10) {
            argument = json!(9);
        }
        if let Some(list) = argument.get_mut(1).and_then(Json::as_array_mut) {
            list.retain(|entry| *entry != 10 && entry[1] != 10);
        }
        self.names = names;
        json!([column.name, function, argument])
    }

    fn clauses(&mut self, table: &Table, world: &Database, max: usize) -> Json {
        (0..self.below(max + 1)).map(|_| self.clause(table, world)).collect()
    }

    fn mutation(&mut self, table: &Table, world: &Database) -> Json {
        let column = self.pick(&table.columns);
        if column.min == 1 && column.max == 1 {
            let operator = self.pick(&["+=", "-=", "*=", "/=", "%="]);
            return json!(["number", operator, self.below(4)]);
        }
        let operator = self.pick(&["insert", "delete"]);
        let mut argument = self.value(&column, world, column.max.min(3));
        if let Some(list) = argument.get_mut(1).and_then(Json::as_array_mut) {
            list.retain(|entry| *entry != 10 && entry[1] != 10);
        }
        if column.value.is_some() && operator == "delete" && self.below(2) == 1 {
            let keys: Vec<Json> =
                argument[1].as_array().unwrap().iter().map(|pair| pair[0].clone()).collect();
            argument = json!(["set", keys]);
        }
        json!([column.name, operator, argument])
    }

    fn operation(&mut self, world: &Database) -> Json {
        let table = self.pick(&world.tables);
        let name = table.name;
        match self.below(9) {
            0..=2 => {
                self.uuids += 1;
                let uuid = format!("{:08x}-0000-4000-8000-000000000000", self.uuids);
                let row = self.row(&table, world);
                let symbol = format!("row{}", self.uuids);
                self.names.push((name, symbol.clone()));
                json!({"op": "insert", "table": name, "uuid": uuid, "uuid-name": symbol, "row": row})
            }
            3 | 4 => {
                let clauses = self.clauses(&table, world, 2);
                json!({"op": "update", "table": name, "where": clauses, "row": self.row(&table, world)})
            }
            5 | 6 => {
                let clauses = self.clauses(&table, world, 2);
                let mutations: Json = (0..=self.below(2)).map(|_| self.mutation(&table, world)).collect();
                json!({"op": "mutate", "table": name, "where": clauses, "mutations": mutations})
            }
            7 => {
                let clauses = [self.clause(&table, world), self.clause(&table, world)];
                json!({"op": "delete", "table": name, "where": clauses})
            }
            _ if self.below(8) == 7 => json!({"op": "abort"}),
            _ => {
                let columns: Vec<&str> =
                    table.columns.iter().map(|c| c.name).filter(|_| self.below(2) == 0).collect();
                let clauses = self.clauses(&table, world, 2);
                json!({"op": "select", "table": name, "where": clauses, "columns": columns})
            }
        }
    }
}

/// Results with errors cut down to their tags, and selected rows as a sorted list of texts.
fn simplified(results: &Json) -> Vec<Json> {
    let one = |result: &Json| {
        if let Some(tag) = result.get("error") {
            return json!({ "error": tag });
        }
        if let Some(rows) = result.get("rows").and_then(Json::as_array) {
            let mut rows: Vec<String> = rows.iter().map(model::json::sorted).collect();
            rows.sort();
            return json!({ "rows": rows });
        }
        result.clone()
    };
    results.as_array().unwrap().iter().map(one).collect()
}

/// The same for the model, whose rows are texts in the order of the request.
fn sorted_rows(results: Vec<Json>) -> Vec<Json> {
    let one = |result: Json| match result.get("rows").and_then(Json::as_array) {
        Some(rows) => {
            let parse = |row: &Json| serde_json::from_str::<Json>(row.as_str().unwrap()).unwrap();
            let mut rows: Vec<String> = rows.iter().map(|row| model::json::sorted(&parse(row))).collect();
            rows.sort();
            json!({ "rows": rows })
        }
        None => result,
    };
    results.into_iter().map(one).collect()
}

/// A client with one monitor, and the copy that it makes of what it is told.
struct Watcher {
    session: SessionId,
    method: &'static str,
    /// Table, columns and the clauses of which any must hold; none is all rows.
    wanted: Vec<(&'static str, Vec<&'static str>, Json)>,
    copy: BTreeMap<(&'static str, String), Row>,
}

impl Watcher {
    fn request(&self) -> Json {
        let table = |(name, columns, clauses): &(&'static str, Vec<&'static str>, Json)| {
            let mut request = json!({ "columns": columns });
            if self.method != "monitor" && clauses.as_array().is_some_and(|c| !c.is_empty()) {
                request["where"] = clauses.clone();
            }
            ((*name).to_owned(), json!([request]))
        };
        Json::Object(self.wanted.iter().map(table).collect())
    }

    fn start(&mut self, server: &mut Server, world: &Database) {
        let mut params = json!(["D", "m", self.request()]);
        if self.method == "monitor_cond_since" {
            params.as_array_mut().unwrap().push(json!("00000000-0000-0000-0000-000000000000"));
        }
        let messages = ask(server, self.session, self.method, params);
        let reply = result(&messages).clone();
        let updates = if self.method == "monitor_cond_since" { &reply[2] } else { &reply };
        self.apply(updates, world);
    }

    fn receive(&mut self, messages: &[Message], world: &Database) {
        for message in messages {
            if let Message::Notify { method, params } = message {
                let expected = match self.method {
                    "monitor" => "update",
                    "monitor_cond" => "update2",
                    _ => "update3",
                };
                assert_eq!(method, expected);
                self.apply(params.last().unwrap(), world);
            }
        }
    }

    fn apply(&mut self, updates: &Json, world: &Database) {
        for (name, rows) in updates.as_object().unwrap() {
            let table = world.table(name);
            let columns = &self.wanted.iter().find(|(t, ..)| t == name).unwrap().1;
            for (uuid, update) in rows.as_object().unwrap() {
                let key = (table.name, uuid.clone());
                let whole = |json: &Json| -> Row {
                    let value = |column: &&str| {
                        let column = Database::column(table, column);
                        let given = json.get(column.name).map(|v| value_from_json(v, &BTreeMap::new()));
                        (column.name.to_owned(), given.unwrap_or_else(|| column.default()))
                    };
                    columns.iter().map(value).collect()
                };
                if let Some(new) = update.get("initial").or(update.get("insert")) {
                    assert!(self.copy.insert(key, whole(new)).is_none(), "inserted twice: {update}");
                } else if let Some(diff) = update.get("modify") {
                    let row = self.copy.get_mut(&key).expect("modified without being there");
                    for (name, value) in diff.as_object().unwrap() {
                        let column = Database::column(table, name);
                        let old = &row[column.name];
                        let new = column.apply_diff(old, &value_from_json(value, &BTreeMap::new()));
                        assert_ne!(*old, new, "reported without having changed");
                        row.insert(column.name.to_owned(), new);
                    }
                } else if let Some(new) = update.get("new") {
                    let old = self.copy.insert(key, whole(new));
                    assert_eq!(old.is_some(), update.get("old").is_some(), "{update}");
                    for (name, value) in update.get("old").and_then(Json::as_object).into_iter().flatten() {
                        let value = value_from_json(value, &BTreeMap::new());
                        assert_eq!(old.as_ref().unwrap()[name], value, "{update}");
                    }
                } else {
                    assert!(self.copy.remove(&key).is_some(), "deleted without being there");
                }
            }
        }
    }

    /// The copy as it should be.
    fn expected(&self, world: &Database) -> BTreeMap<(&'static str, String), Row> {
        let mut expected = BTreeMap::new();
        for (name, columns, clauses) in &self.wanted {
            for (key, row) in world.rows.iter().filter(|(key, _)| key.0 == *name) {
                let any = clauses.as_array().unwrap();
                let wanted = self.method == "monitor"
                    || any.is_empty()
                    || any.iter().any(|clause| world.holds(name, &json!([clause]), &key.1, row));
                if wanted {
                    let row = columns.iter().map(|c| ((*c).to_owned(), row[*c].clone())).collect();
                    expected.insert(key.clone(), row);
                }
            }
        }
        expected
    }
}

fn watchers(server: &mut Server, world: &Database, tape: &mut Tape<'_>) -> Vec<Watcher> {
    let methods = ["monitor", "monitor_cond", "monitor_cond_since", "monitor_cond"];
    let make = |method: &&'static str| {
        let mut wanted = Vec::new();
        for table in &world.tables {
            let columns: Vec<&'static str> =
                table.columns.iter().map(|c| c.name).filter(|_| tape.below(3) > 0).collect();
            wanted.push((table.name, columns, tape.clauses(table, world, 2)));
        }
        let session = server.open_session("test", Identity::default());
        Watcher { session, method, wanted, copy: BTreeMap::new() }
    };
    methods.iter().map(make).collect()
}

fn change_conditions(server: &mut Server, world: &Database, watcher: &mut Watcher, tape: &mut Tape<'_>) {
    let mut changes = serde_json::Map::new();
    for (name, _, clauses) in &mut watcher.wanted {
        if tape.below(2) == 0 {
            *clauses = tape.clauses(world.table(name), world, 2);
            changes.insert((*name).to_owned(), json!([{ "where": clauses }]));
        }
    }
    let messages = ask(server, watcher.session, "monitor_cond_change", json!(["m", "m", changes]));
    assert_eq!(*result(&messages), json!({}));
    watcher.receive(&messages, world);
}

/// Returns the results' tags and the most rows that there ever were, to see that it was not about nothing.
fn run(bytes: &[u8]) -> (BTreeSet<String>, usize) {
    let (mut tags, mut most_rows) = (BTreeSet::new(), 0);
    let mut tape = Tape { bytes, at: 0, uuids: 0, names: Vec::new() };
    let mut world = world();
    let clock = Clock::new();
    clock.stop();
    let mut server = Server::new(clock).unwrap();
    let schema = model::Schema::from_json(&world.schema()).unwrap();
    server.add_database(DatabaseFile::in_memory(schema)).unwrap();
    let writer = server.open_session("test", Identity::default());
    let mut watchers = watchers(&mut server, &world, &mut tape);
    watchers.iter_mut().for_each(|watcher| watcher.start(&mut server, &world));
    while !tape.is_over() {
        tape.names.clear();
        let operations: Vec<Json> = (0..=tape.below(4)).map(|_| tape.operation(&world)).collect();
        let mut params = vec![json!("D")];
        params.extend(operations.iter().cloned());
        let messages = ask(&mut server, writer, "transact", params.into());
        let given = simplified(result(&messages));
        let expected = sorted_rows(world.transact(&operations));
        assert_eq!(given, expected, "{}", Json::Array(operations));
        tags.extend(given.iter().filter_map(|result| Some(result.get("error")?.as_str()?.to_owned())));
        most_rows = most_rows.max(world.rows.len());
        for watcher in &mut watchers {
            // Some clients are slow, and get several transactions as one update.
            if tape.below(3) > 0 {
                let messages = outbox(&mut server, watcher.session);
                watcher.receive(&messages, &world);
                assert_eq!(watcher.copy, watcher.expected(&world), "{}", watcher.method);
            }
            if watcher.method != "monitor" && tape.below(8) == 7 {
                change_conditions(&mut server, &world, watcher, &mut tape);
                assert_eq!(watcher.copy, watcher.expected(&world), "{}", watcher.method);
            }
        }
    }
    for watcher in &mut watchers {
        let messages = outbox(&mut server, watcher.session);
        watcher.receive(&messages, &world);
        assert_eq!(watcher.copy, watcher.expected(&world), "{}", watcher.method);
    }
    (tags, most_rows)
}

#[test]
fn long_runs_meet_every_kind_of_result() {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let bytes: Vec<u8> = (0..60_000).map(|_| next()).collect();
    let (tags, most_rows) = run(&bytes);
    let expected = [
        "aborted",
        "constraint violation",
        "domain error",
        "referential integrity violation",
        "syntax error",
    ];
    assert_eq!(tags.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert!(most_rows >= 6, "{most_rows}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_server_does_what_the_naive_model_does(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        run(&bytes);
    }
}

/// The model's own arithmetic, so that agreement is not that of two empty databases.
#[test]
fn the_naive_model_collects_and_refuses() {
    let mut world = world();
    let kid = json!({"op": "insert", "table": "K", "uuid": "00000001-0000-4000-8000-000000000000",
                     "uuid-name": "k", "row": {"name": "k"}});
    assert_eq!(world.transact(std::slice::from_ref(&kid)).len(), 1);
    assert!(world.rows.is_empty());
    let root = json!({"op": "insert", "table": "R", "uuid": "00000002-0000-4000-8000-000000000000",
                      "row": {"name": "a", "kids": ["named-uuid", "k"]}});
    world.transact(&[kid, root.clone()]);
    assert_eq!(world.rows.len(), 2);
    let mut twin = root;
    twin["uuid"] = json!("00000003-0000-4000-8000-000000000000");
    twin["row"] = json!({"name": "a"});
    assert_eq!(world.transact(&[twin])[1], json!({"error": "constraint violation"}));
    let gone = json!([{"op": "mutate", "table": "R", "where": [], "mutations": [["kids", "delete",
        ["uuid", "00000001-0000-4000-8000-000000000000"]]]}]);
    world.transact(gone.as_array().unwrap());
    assert_eq!(world.rows.len(), 1);
    assert_eq!(Atom::Integer(1), Atom::Integer(1));
}
