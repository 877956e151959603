//! The commands that work on any table.

use crate::columns::{check, check_mutable, parse_place, set};
use crate::context::{Context, Result, fatal};
use crate::names;
use model::listing::{Cell, Listing};
use model::{Atom, ColumnSchema, Datum, TableSchema, Type, Uuid};

pub(crate) fn comment(_: &mut Context) -> Result<()> {
    Ok(())
}

fn is_uuid_column(name: &str) -> bool {
    name.eq_ignore_ascii_case("_uuid") || name.eq_ignore_ascii_case("-uuid")
}

/// The name that `--id` gives to a row; whether it is a new name.
fn symbol(context: &mut Context, id: &str) -> Result<(Uuid, bool)> {
    if !id.starts_with('@') {
        fatal!("row id \"{id}\" does not begin with \"@\"");
    }
    let is_new = context.symbols.get(id).is_none();
    let symbol = context.symbols.insert(id);
    if symbol.created {
        fatal!("row id \"{id}\" may only be specified on one --id option");
    }
    symbol.created = true;
    Ok((symbol.uuid, is_new))
}

pub(crate) fn get(context: &mut Context) -> Result<()> {
    let id = context.option("--id").map(str::to_owned);
    let must_exist = !context.has("--if-exists");
    if id.is_some() && !must_exist {
        fatal!("--if-exists and --id may not be specified together");
    }
    let table = names::table(context.profile, context.arg(1))?;
    let record = context.arg(2).to_owned();
    let Some(uuid) = names::row(context, &table.name, &record, must_exist)? else { return Ok(()) };
    if let Some(id) = id {
        let (_, is_new) = symbol(context, &id)?;
        if !is_new {
            fatal!("row id \"{id}\" specified on \"get\" command was used before it was defined");
        }
        let symbol = context.symbols.insert(&id);
        symbol.uuid = uuid;
        // The row exists already, so nobody needs to refer to it.
        symbol.strong_ref = true;
    }
    for argument in context.args(3) {
        if is_uuid_column(&argument) {
            context.print(&uuid.to_string());
            continue;
        }
        let (column, key) = parse_place(table, &argument)?;
        context.transaction.verify(&table.name, &uuid, &column.name);
        let value = context.row(&table.name, &uuid).map(|row| row.get(&column.name).clone());
        let value = value.unwrap_or_default();
        let text = match key {
            None => value.to_text(&column.r#type),
            Some(_) if !column.r#type.is_map() => {
                fatal!("cannot specify key to get for non-map column {}", column.name)
            }
            Some(key) => {
                let atom = Atom::from_text(&key, &column.r#type.key, Some(&mut context.symbols))?;
                match value.value_of(&atom) {
                    Some(value) => value.to_string(),
                    None if must_exist => fatal!(
                        "no key \"{key}\" in {} record \"{record}\" column {}",
                        table.name,
                        column.name
                    ),
                    None => String::new(),
                }
            }
        };
        context.print(&text);
    }
    Ok(())
}

/// The columns to list; `None` is `_uuid`.
fn listed_columns<'t>(context: &Context, table: &'t TableSchema) -> Result<Vec<Option<&'t ColumnSchema>>> {
    let Some(names) = context.option("--columns") else {
        let mut columns: Vec<&ColumnSchema> = table.declared_columns().collect();
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        return Ok(std::iter::once(None).chain(columns.into_iter().map(Some)).collect());
    };
    let mut columns = Vec::new();
    for name in names.split([',', ' ']).filter(|name| !name.is_empty()) {
        columns.push(if name.eq_ignore_ascii_case("_uuid") {
            None
        } else {
            Some(names::column(table, name)?)
        });
    }
    if columns.is_empty() {
        fatal!("must specify at least one column name");
    }
    Ok(columns)
}

fn listing(
    context: &Context,
    table: &TableSchema,
    columns: &[Option<&ColumnSchema>],
    uuids: &[Uuid],
) -> Listing {
    let headings = columns.iter().map(|c| c.map_or("_uuid", |c| c.name.as_str()).to_owned());
    let mut listing = Listing { headings: headings.collect(), ..Listing::default() };
    for row in uuids.iter().filter_map(|uuid| context.row(&table.name, uuid)) {
        let cell = |column: &Option<&ColumnSchema>| match column {
            None => Cell::Datum(Datum::from(row.uuid), Type::scalar(model::AtomType::Uuid)),
            Some(column) => Cell::Datum(row.get(&column.name).clone(), column.r#type.clone()),
        };
        listing.rows.push(columns.iter().map(cell).collect());
    }
    listing
}

fn all_rows(context: &Context, table: &TableSchema) -> Vec<Uuid> {
    context.transaction.rows(&table.name).map(|row| row.uuid).collect()
}

pub(crate) fn list(context: &mut Context) -> Result<()> {
    let table = names::table(context.profile, context.arg(1))?;
    let columns = listed_columns(context, table)?;
    let must_exist = !context.has("--if-exists");
    let mut uuids = Vec::new();
    if context.count() > 2 {
        for record in context.args(2) {
            uuids.extend(names::row(context, &table.name, &record, must_exist)?);
        }
    } else {
        uuids = all_rows(context, table);
    }
    context.listing = Some(listing(context, table, &columns, &uuids));
    Ok(())
}

pub(crate) fn find(context: &mut Context) -> Result<()> {
    let table = names::table(context.profile, context.arg(1))?;
    let columns = listed_columns(context, table)?;
    let mut uuids = Vec::new();
    let conditions = context.args(2);
    let Context { transaction, symbols, .. } = context;
    'rows: for row in transaction.rows(&table.name) {
        for condition in &conditions {
            if !check(symbols, table, row, condition)? {
                continue 'rows;
            }
        }
        uuids.push(row.uuid);
    }
    context.listing = Some(listing(context, table, &columns, &uuids));
    Ok(())
}

/// The table and the row that the first two arguments name.
fn record(context: &mut Context) -> Result<Option<(&'static TableSchema, Uuid)>> {
    let must_exist = !context.has("--if-exists");
    let table = names::table(context.profile, context.arg(1))?;
    let record = context.arg(2).to_owned();
    Ok(names::row(context, &table.name, &record, must_exist)?.map(|uuid| (&**table, uuid)))
}

pub(crate) fn set_columns(context: &mut Context) -> Result<()> {
    let Some((table, uuid)) = record(context)? else { return Ok(()) };
    for argument in context.args(3) {
        set(context, table, &uuid, &argument)?;
    }
    context.forget_cache();
    Ok(())
}

/// What "add" and "remove" have in common: a column, its value, and what is to be added or removed.
fn change(context: &mut Context, operation: &str) -> Result<()> {
    let table = names::table(context.profile, context.arg(1))?;
    let column = names::column(table, context.arg(3))?;
    let Some((_, uuid)) = record(context)? else { return Ok(()) };
    check_mutable(context, table, &uuid, column)?;
    let mut value =
        context.row(&table.name, &uuid).map(|row| row.get(&column.name).clone()).unwrap_or_default();
    let mut r#type = column.r#type.clone();
    r#type.min = 1;
    r#type.max = u32::MAX;
    for argument in context.args(4) {
        let symbols = &mut context.symbols;
        if operation == "add" {
            value.insert_all(&Datum::from_text(&argument, &r#type, Some(symbols))?);
            continue;
        }
        let mut gone = Datum::from_text(&argument, &r#type, Some(symbols));
        if gone.is_err() && r#type.is_map() {
            let mut keys = r#type.clone();
            keys.value = None;
            gone = Datum::from_text(&argument, &keys, Some(symbols));
        }
        value.remove_all(&gone?);
    }
    let n = value.len();
    let what = if column.r#type.is_map() { "pairs" } else { "values" };
    let put = format!(
        "\"{operation}\" operation would put {n} {what} in column {} of table {} but the",
        column.name, table.name
    );
    if operation == "add" && n > column.r#type.max as usize {
        fatal!("{put} maximum number is {}", column.r#type.max);
    }
    if operation == "remove" && n < column.r#type.min as usize {
        fatal!("{put} minimum number is {}", column.r#type.min);
    }
    context.transaction.verify(&table.name, &uuid, &column.name);
    context.set(&table.name, &uuid, &column.name, value);
    context.forget_cache();
    Ok(())
}

pub(crate) fn add(context: &mut Context) -> Result<()> {
    change(context, "add")
}

pub(crate) fn remove(context: &mut Context) -> Result<()> {
    change(context, "remove")
}

pub(crate) fn clear(context: &mut Context) -> Result<()> {
    let Some((table, uuid)) = record(context)? else { return Ok(()) };
    for name in context.args(3) {
        let column = names::column(table, &name)?;
        check_mutable(context, table, &uuid, column)?;
        if column.r#type.min > 0 {
            fatal!(
                "\"clear\" operation cannot be applied to column {} of table {}, which is not allowed to be empty",
                column.name,
                table.name
            );
        }
        context.set(&table.name, &uuid, &column.name, Datum::Empty);
    }
    context.forget_cache();
    Ok(())
}

pub(crate) fn create(context: &mut Context) -> Result<()> {
    let table = names::table(context.profile, context.arg(1))?;
    let id = context.option("--id").map(str::to_owned);
    if id.is_none() && !table.is_root {
        log::warn!(target: "db_ctl_base",
            "applying \"create\" command to table {} without --id option will have no effect", table.name);
    }
    let uuid = match id {
        None => context.transaction.insert(&table.name),
        Some(id) => match model::parse_uuid(&id) {
            Some(uuid) => context.transaction.insert_with_uuid(&table.name, uuid),
            None => {
                let (uuid, _) = symbol(context, &id)?;
                if table.is_root {
                    // Rows of the root set stay without being referred to.
                    context.symbols.insert(&id).strong_ref = true;
                }
                context.transaction.insert_as(&table.name, uuid)
            }
        },
    };
    for argument in context.args(2) {
        set(context, table, &uuid, &argument)?;
    }
    context.created = Some(uuid);
    Ok(())
}

pub(crate) fn destroy(context: &mut Context) -> Result<()> {
    let must_exist = !context.has("--if-exists");
    let all = context.has("--all");
    let table = names::table(context.profile, context.arg(1))?;
    if all && context.count() > 2 {
        fatal!("--all and records argument should not be specified together");
    }
    if all && !must_exist {
        fatal!("--all and --if-exists should not be specified together");
    }
    if all {
        for uuid in all_rows(context, table) {
            context.transaction.delete(&table.name, &uuid);
        }
    } else if context.count() == 2 {
        log::warn!(target: "db_ctl_base", "either --all or records argument should be specified");
        return Ok(());
    } else {
        for record in context.args(2) {
            if let Some(uuid) = names::row(context, &table.name, &record, must_exist)? {
                context.transaction.delete(&table.name, &uuid);
            }
        }
    }
    context.forget_cache();
    Ok(())
}

pub(crate) fn wait_until(context: &mut Context) -> Result<()> {
    let table = names::table(context.profile, context.arg(1))?;
    let record = context.arg(2).to_owned();
    let Some(uuid) = names::row(context, &table.name, &record, false)? else {
        context.try_again = true;
        return Ok(());
    };
    for argument in context.args(3) {
        let Context { transaction, symbols, .. } = context;
        let Some(row) = transaction.row(&table.name, &uuid) else { continue };
        if !check(symbols, table, row, &argument)? {
            context.try_again = true;
            return Ok(());
        }
    }
    Ok(())
}
