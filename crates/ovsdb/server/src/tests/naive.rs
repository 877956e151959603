//! RFC 7047 as plainly as it can be said: rows in a map, every transaction on a copy, every constraint
//! checked on all rows. Slow, and shares no code with what it is to check.

use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Atom {
    Integer(i64),
    Text(String),
    Uuid(String),
}

/// Sets have keys only.
pub(super) type Value = BTreeMap<Atom, Option<Atom>>;
pub(super) type Row = BTreeMap<String, Value>;
/// Why a transaction failed: the tag of RFC 7047 §3.1.
type Failure = &'static str;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Integer { min: i64, max: i64 },
    Text,
    Strong(&'static str),
    Weak(&'static str),
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) key: Kind,
    pub(super) value: Option<Kind>,
    pub(super) min: usize,
    pub(super) max: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) is_root: bool,
    pub(super) max_rows: usize,
    pub(super) index: Option<&'static str>,
    pub(super) columns: Vec<Column>,
}

#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) tables: Vec<Table>,
    /// By table and UUID.
    pub(super) rows: BTreeMap<(&'static str, String), Row>,
}

impl Kind {
    fn to_json(self) -> Json {
        match self {
            Kind::Integer { min, max } => {
                json!({"type": "integer", "minInteger": min, "maxInteger": max})
            }
            Kind::Text => json!({"type": "string"}),
            Kind::Strong(table) => json!({"type": "uuid", "refTable": table}),
            Kind::Weak(table) => json!({"type": "uuid", "refTable": table, "refType": "weak"}),
        }
    }

    fn default(self) -> Atom {
        match self {
            Kind::Integer { .. } => Atom::Integer(0),
            Kind::Text => Atom::Text(String::new()),
            Kind::Strong(_) | Kind::Weak(_) => Atom::Uuid("00000000-0000-0000-0000-000000000000".to_owned()),
        }
    }

    fn check(self, atom: &Atom) -> Result<(), Failure> {
        match (self, atom) {
            (Kind::Integer { min, max }, Atom::Integer(i)) if *i < min || *i > max => {
                Err("constraint violation")
            }
            _ => Ok(()),
        }
    }
}

fn atom_to_json(atom: &Atom) -> Json {
    match atom {
        Atom::Integer(i) => json!(i),
        Atom::Text(s) => json!(s),
        Atom::Uuid(u) => json!(["uuid", u]),
    }
}

fn atom_from_json(json: &Json, names: &BTreeMap<String, String>) -> Atom {
    match json {
        Json::Number(n) => Atom::Integer(n.as_i64().unwrap()),
        Json::String(s) => Atom::Text(s.clone()),
        other if other[0] == "uuid" => Atom::Uuid(other[1].as_str().unwrap().to_owned()),
        other => Atom::Uuid(names[other[1].as_str().unwrap()].clone()),
    }
}

/// A value of any number of entries.
pub(super) fn value_from_json(json: &Json, names: &BTreeMap<String, String>) -> Value {
    let tag = json[0].as_str().filter(|_| json.is_array()).unwrap_or("");
    match tag {
        "set" => json[1].as_array().unwrap().iter().map(|a| (atom_from_json(a, names), None)).collect(),
        "map" => json[1]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (atom_from_json(&pair[0], names), Some(atom_from_json(&pair[1], names))))
            .collect(),
        _ => Value::from([(atom_from_json(json, names), None)]),
    }
}

impl Column {
    pub(super) fn to_json(&self) -> Json {
        let mut r#type = json!({"key": self.key.to_json(), "min": self.min});
        r#type["max"] = if self.max == usize::MAX { json!("unlimited") } else { json!(self.max) };
        if let Some(value) = self.value {
            r#type["value"] = value.to_json();
        }
        json!({ "type": r#type })
    }

    pub(super) fn default(&self) -> Value {
        if self.min == 0 {
            return Value::new();
        }
        Value::from([(self.key.default(), self.value.map(Kind::default))])
    }

    fn parse(&self, json: &Json, names: &BTreeMap<String, String>) -> Result<Value, Failure> {
        let value = value_from_json(json, names);
        if value.len() < self.min || value.len() > self.max {
            return Err("syntax error");
        }
        self.check(&value)?;
        Ok(value)
    }

    fn check(&self, value: &Value) -> Result<(), Failure> {
        for (key, value) in value {
            self.key.check(key)?;
            if let (Some(kind), Some(value)) = (self.value, value) {
                kind.check(value)?;
            }
        }
        Ok(())
    }

    pub(super) fn value_to_json(&self, value: &Value) -> Json {
        if self.value.is_some() {
            let pairs =
                value.iter().map(|(k, v)| json!([atom_to_json(k), atom_to_json(v.as_ref().unwrap())]));
            return json!(["map", pairs.collect::<Vec<_>>()]);
        }
        match value.keys().collect::<Vec<_>>().as_slice() {
            [only] => atom_to_json(only),
            atoms => json!(["set", atoms.iter().map(|a| atom_to_json(a)).collect::<Vec<_>>()]),
        }
    }

    /// What ovsdb-server(7) calls the difference: the new value where there is one at most, else what is in
    /// one only.
    pub(super) fn apply_diff(&self, old: &Value, diff: &Value) -> Value {
        if self.max == 1 {
            return diff.clone();
        }
        let mut new = old.clone();
        for (key, value) in diff {
            if old.get(key) == Some(value) {
                new.remove(key);
            } else {
                new.insert(key.clone(), value.clone());
            }
        }
        new
    }
}

fn clause_holds(clause: &Json, column: &Column, row: &Row, uuid: &str) -> bool {
    let argument = value_from_json(&clause[2], &BTreeMap::new());
    let own = Value::from([(Atom::Uuid(uuid.to_owned()), None)]);
    let value = if clause[0] == "_uuid" { &own } else { &row[column.name] };
    let includes = || argument.iter().all(|(k, v)| value.get(k) == Some(v));
    match clause[1].as_str().unwrap() {
        "==" => *value == argument,
        "!=" => *value != argument,
        "<" => value < &argument,
        "<=" => value <= &argument,
        ">" => value > &argument,
        ">=" => value >= &argument,
        "includes" => includes(),
        "excludes" => argument.iter().all(|(k, v)| value.get(k) != Some(v)),
        other => panic!("{other}"),
    }
}

impl Database {
    pub(super) fn schema(&self) -> Json {
        let mut tables = Map::new();
        for table in &self.tables {
            let columns: Map<String, Json> =
                table.columns.iter().map(|c| (c.name.to_owned(), c.to_json())).collect();
            let mut json = json!({"columns": columns, "isRoot": table.is_root});
            if table.max_rows < usize::MAX {
                json["maxRows"] = json!(table.max_rows);
            }
            if let Some(index) = table.index {
                json["indexes"] = json!([[index]]);
            }
            tables.insert(table.name.to_owned(), json);
        }
        json!({"name": "D", "version": "1.0.0", "tables": tables})
    }

    pub(super) fn table(&self, name: &str) -> &Table {
        self.tables.iter().find(|table| table.name == name).unwrap()
    }

    pub(super) fn column<'t>(table: &'t Table, name: &str) -> &'t Column {
        // The type of `_uuid` is looked at by nobody.
        table.columns.iter().find(|c| c.name == name).unwrap_or(&table.columns[0])
    }

    /// Whether all clauses hold.
    pub(super) fn holds(&self, table: &str, clauses: &Json, uuid: &str, row: &Row) -> bool {
        let table = self.table(table);
        let one = |clause: &Json| match clause {
            Json::Bool(truth) => *truth,
            clause => clause_holds(clause, Self::column(table, clause[0].as_str().unwrap()), row, uuid),
        };
        clauses.as_array().unwrap().iter().all(one)
    }

    fn matching(&self, operation: &Json) -> Vec<(&'static str, String)> {
        let name = operation["table"].as_str().unwrap();
        let rows = self.rows.iter().filter(|((table, _), _)| *table == name);
        rows.filter(|((_, uuid), row)| self.holds(name, &operation["where"], uuid, row))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// The results of all operations, where errors are their tags alone.
    pub(super) fn transact(&mut self, operations: &[Json]) -> Vec<Json> {
        let mut copy = self.clone();
        let mut names = BTreeMap::new();
        let mut results = Vec::new();
        for operation in operations {
            match copy.operation(operation, &mut names) {
                Ok(result) => results.push(result),
                Err(tag) => {
                    results.push(json!({ "error": tag }));
                    results.resize(operations.len(), Json::Null);
                    return results;
                }
            }
        }
        match copy.commit() {
            Ok(()) => *self = copy,
            Err(tag) => results.push(json!({ "error": tag })),
        }
        results
    }

    fn operation(&mut self, json: &Json, names: &mut BTreeMap<String, String>) -> Result<Json, Failure> {
        let table = json["table"].as_str().map(|name| self.table(name).clone());
        match (json["op"].as_str().unwrap(), table) {
            ("insert", Some(table)) => {
                let uuid = json["uuid"].as_str().unwrap().to_owned();
                if let Some(name) = json["uuid-name"].as_str() {
                    names.insert(name.to_owned(), uuid.clone());
                }
                let mut row: Row = table.columns.iter().map(|c| (c.name.to_owned(), c.default())).collect();
                row.extend(parse_row(&table, &json["row"], names)?);
                self.rows.insert((table.name, uuid.clone()), row);
                Ok(json!({"uuid": ["uuid", uuid]}))
            }
            ("update", Some(table)) => {
                let values = parse_row(&table, &json["row"], names)?;
                let keys = self.matching(json);
                for key in &keys {
                    self.rows.get_mut(key).unwrap().extend(values.clone());
                }
                Ok(json!({"count": keys.len()}))
            }
            ("mutate", Some(table)) => {
                let keys = self.matching(json);
                for key in &keys {
                    let row = self.rows.get_mut(key).unwrap();
                    for mutation in json["mutations"].as_array().unwrap() {
                        let column = Self::column(&table, mutation[0].as_str().unwrap());
                        mutate(column, row.get_mut(column.name).unwrap(), mutation, names)?;
                    }
                }
                Ok(json!({"count": keys.len()}))
            }
            ("delete", _) => {
                let keys = self.matching(json);
                keys.iter().for_each(|key| drop(self.rows.remove(key)));
                Ok(json!({"count": keys.len()}))
            }
            ("select", Some(table)) => {
                let columns: Vec<&str> =
                    json["columns"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
                let project = |key: &(&'static str, String)| {
                    let row = &self.rows[key];
                    let one = |name: &&str| {
                        (name.to_string(), Self::column(&table, name).value_to_json(&row[*name]))
                    };
                    Json::Object(columns.iter().map(one).collect()).to_string()
                };
                let rows: BTreeSet<String> = self.matching(json).iter().map(project).collect();
                Ok(json!({ "rows": rows }))
            }
            ("abort", _) => Err("aborted"),
            (other, _) => panic!("{other}"),
        }
    }

    fn referrers<'d>(&'d self, target: &'d (&'static str, String)) -> usize {
        let refers = |((table, uuid), row): (&(&'static str, String), &Row)| {
            let itself = *table == target.0 && *uuid == target.1;
            let columns = self.table(table).columns.iter();
            let mut strong = columns.filter(|c| c.key == Kind::Strong(target.0));
            !itself && strong.any(|c| row[c.name].contains_key(&Atom::Uuid(target.1.clone())))
        };
        self.rows.iter().filter(|entry| refers(*entry)).count()
    }

    fn commit(&mut self) -> Result<(), Failure> {
        for ((table, _), row) in &self.rows {
            for column in &self.table(table).columns {
                let Kind::Strong(target) = column.key else { continue };
                for atom in row[column.name].keys() {
                    let Atom::Uuid(uuid) = atom else { continue };
                    if !self.rows.contains_key(&(target, uuid.clone())) {
                        return Err("referential integrity violation");
                    }
                }
            }
        }
        loop {
            let garbage =
                |key: &&(&'static str, String)| !self.table(key.0).is_root && self.referrers(key) == 0;
            let Some(key) = self.rows.keys().find(garbage).cloned() else { break };
            self.rows.remove(&key);
        }
        for table in &self.tables {
            if self.rows.keys().filter(|key| key.0 == table.name).count() > table.max_rows {
                return Err("constraint violation");
            }
        }
        let keys: BTreeSet<(&'static str, String)> = self.rows.keys().cloned().collect();
        let tables = self.tables.clone();
        for ((table, _), row) in &mut self.rows {
            for column in &tables.iter().find(|t| t.name == *table).unwrap().columns {
                let Kind::Weak(target) = column.key else { continue };
                let value = row.get_mut(column.name).unwrap();
                value.retain(|atom, _| matches!(atom, Atom::Uuid(u) if keys.contains(&(target, u.clone()))));
                if value.len() < column.min {
                    return Err("constraint violation");
                }
            }
        }
        for table in &self.tables {
            let Some(index) = table.index else { continue };
            let mut seen = BTreeSet::new();
            let rows = self.rows.iter().filter(|(key, _)| key.0 == table.name);
            for (_, row) in rows {
                if !seen.insert(&row[index]) {
                    return Err("constraint violation");
                }
            }
        }
        Ok(())
    }
}

fn parse_row(table: &Table, json: &Json, names: &BTreeMap<String, String>) -> Result<Row, Failure> {
    let mut row = Row::new();
    for (name, value) in json.as_object().unwrap() {
        let column = Database::column(table, name);
        row.insert(column.name.to_owned(), column.parse(value, names)?);
    }
    Ok(row)
}

fn mutate(
    column: &Column,
    value: &mut Value,
    mutation: &Json,
    names: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    let argument = value_from_json(&mutation[2], names);
    match mutation[1].as_str().unwrap() {
        "insert" => {
            for (key, entry) in argument {
                value.entry(key).or_insert(entry);
            }
        }
        "delete" => value.retain(|key, entry| match argument.get(key) {
            None => true,
            Some(None) => false,
            Some(other) => other != entry,
        }),
        operator => {
            let (Some(Atom::Integer(a)), Some(Atom::Integer(b))) =
                (value.keys().next().cloned(), argument.keys().next())
            else {
                panic!("{mutation}")
            };
            let result = match operator {
                "+=" => a + b,
                "-=" => a - b,
                "*=" => a * b,
                "/=" | "%=" if *b == 0 => return Err("domain error"),
                "/=" => a / b,
                "%=" => a % b,
                other => panic!("{other}"),
            };
            *value = Value::from([(Atom::Integer(result), None)]);
        }
    }
    column.check(value)?;
    if value.len() < column.min || value.len() > column.max {
        return Err("constraint violation");
    }
    Ok(())
}
