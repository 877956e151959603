//! Reading the parameters of "monitor", "monitor_cond", "monitor_cond_since" and "monitor_cond_change".

use crate::monitor::{MonitoredTable, Select, Version};
use model::members::Kinds;
use model::{Condition, Error, Json, Members, Uuid};
use serde_json::Value;
use store::{Database, Table};

/// A monitor as requested.
pub(crate) struct Wanted {
    pub(crate) tables: Vec<MonitoredTable>,
    /// The last transaction that the client knows; nil for none.
    pub(crate) last_id: Uuid,
}

/// Reads a monitor's parameters. The first two name the database and the monitor, and were looked at already.
pub(crate) fn parse(params: &[Json], version: Version, database: &Database) -> Result<Wanted, Error> {
    let expected = match version {
        Version::One => None,
        Version::Two => Some(3),
        Version::Three => Some(4),
    };
    let all = || Value::Array(params.to_vec());
    if expected.is_some_and(|n| params.len() != n) {
        return Err(Error::syntax(&all(), "invalid parameters"));
    }
    let requests = params.get(2).unwrap_or(&Value::Null);
    let Some(requests) = requests.as_object() else {
        return Err(Error::syntax(requests, "monitor-requests must be object"));
    };
    let mut tables = Vec::with_capacity(requests.len());
    for (name, request) in requests {
        let Some((index, table)) = lookup(database, name) else {
            return Err(Error::new("syntax error", format!("no table named {name}")));
        };
        let mut monitored = MonitoredTable {
            table: index,
            schema: table.schema.clone(),
            columns: Vec::new(),
            select: Select::NONE,
            condition: Condition::default(),
        };
        match request {
            Value::Array(parts) => {
                for part in parts {
                    parse_table(&mut monitored, table, part, version)?;
                }
            }
            part => parse_table(&mut monitored, table, part, version)?,
        }
        tables.push(monitored);
    }
    let mut last_id = Uuid::nil();
    if version == Version::Three {
        let json = params.get(3).unwrap_or(&Value::Null);
        let Some(text) = json.as_str() else {
            return Err(Error::syntax(json, "last-txn-id must be string"));
        };
        let not_uuid = || Error::syntax(json, "last-txn-id must be UUID format.");
        last_id = model::parse_uuid(text).ok_or_else(not_uuid)?;
    }
    Ok(Wanted { tables, last_id })
}

fn lookup<'d>(database: &'d Database, name: &str) -> Option<(usize, &'d Table)> {
    let index = database.table_index(name)?;
    Some((index, database.tables.get(index)?))
}

fn parse_table(
    monitored: &mut MonitoredTable,
    table: &Table,
    json: &Json,
    version: Version,
) -> Result<(), Error> {
    let name = &table.schema.name;
    let title = format!("table {name}");
    let mut members = Members::new(json, &title);
    let condition = match version {
        Version::One => None,
        _ => members.optional("where", Kinds::ARRAY),
    };
    let columns = members.optional("columns", Kinds::ARRAY);
    let select = members.optional("select", Kinds::OBJECT);
    members.finish()?;
    let select = match select {
        None => Select::ALL,
        Some(json) => parse_select(json, name)?,
    };
    monitored.select = monitored.select.with(select);
    match columns {
        None => {
            for column in 1..table.schema.columns.len() {
                add_column(monitored, column, select, json)?;
            }
        }
        Some(columns) => {
            for element in columns.as_array().into_iter().flatten() {
                let Some(text) = element.as_str() else {
                    return Err(Error::syntax(columns, "array of column names expected"));
                };
                let Some(column) = table.schema.column(text) else {
                    return Err(Error::syntax(columns, format!("{text} is not a valid column name")));
                };
                add_column(monitored, column.index, select, columns)?;
            }
        }
    }
    if let Some(clauses) = condition.and_then(Value::as_array) {
        monitored.condition = Condition::from_json(clauses, &table.schema, None)?;
    }
    Ok(())
}

fn add_column(
    monitored: &mut MonitoredTable,
    column: usize,
    select: Select,
    json: &Json,
) -> Result<(), Error> {
    if monitored.columns.iter().any(|(c, _)| *c == column) {
        let name = monitored.schema.columns.get(column).map_or("", |c| c.name.as_str());
        return Err(Error::syntax(json, format!("column {name} mentioned more than once")));
    }
    monitored.columns.push((column, select));
    Ok(())
}

fn parse_select(json: &Json, table: &str) -> Result<Select, Error> {
    let title = format!("table {table} select");
    let mut members = Members::new(json, &title);
    let mut select = Select::NONE;
    for (name, kind) in [
        ("initial", Select::INITIAL),
        ("insert", Select::INSERT),
        ("delete", Select::DELETE),
        ("modify", Select::MODIFY),
    ] {
        if members.boolean(name).unwrap_or(true) {
            select = select.with(kind);
        }
    }
    members.finish()?;
    Ok(select)
}

/// The new conditions of "monitor_cond_change", by table.
pub(crate) fn parse_change(
    requests: &Json,
    monitored: &[MonitoredTable],
    database: &Database,
) -> Result<Vec<(usize, Condition)>, Error> {
    let plain = |message: String| Error::new("syntax error", message);
    let Some(requests) = requests.as_object() else {
        return Err(plain("monitor-cond-change-requests must be object".to_owned()));
    };
    let mut conditions = Vec::new();
    for (name, request) in requests {
        let Some((index, table)) = lookup(database, name) else {
            return Err(plain(format!("no table named {name}")));
        };
        if !monitored.iter().any(|t| t.table == index) {
            return Err(plain(format!("no table named {name} in monitor session")));
        }
        let Some(parts) = request.as_array() else {
            return Err(plain(format!("table {name} no monitor-cond-change JSON array")));
        };
        let title = format!("table {name}");
        for part in parts {
            let mut members = Members::new(part, &title);
            let columns = members.optional("columns", Kinds::ARRAY);
            let condition = members.optional("where", Kinds::ARRAY);
            members.finish()?;
            if columns.is_some() {
                return Err(Error::syntax(part, "changing columns is unsupported"));
            }
            let clauses = condition.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            conditions.push((index, Condition::from_json(clauses, &table.schema, None)?));
        }
    }
    Ok(conditions)
}
