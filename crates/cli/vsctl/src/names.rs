//! Finding tables, columns and rows by what people call them: prefixes, names, parts of UUIDs.

use crate::context::{Context, Failure, Result, fatal};
use crate::profile::{KnownTable, Profile, RowName};
use model::{ColumnSchema, Schema, TableSchema, Uuid};
use replica::Row;
use std::sync::{Arc, OnceLock};

impl KnownTable {
    fn schema(&self) -> Result<&Arc<TableSchema>> {
        let made = self.schema.get_or_init(|| {
            let table = TableSchema::from_json(&self.declared.to_json(), self.declared.name);
            table.map(Arc::new).map_err(|e| e.to_string())
        });
        made.as_ref().map_err(|e| Failure::Fatal(e.clone()))
    }
}

/// All tables by name.
fn known(profile: &'static Profile) -> &'static [KnownTable] {
    profile.known.get_or_init(|| {
        let mut tables: Vec<&schema::Table> = profile.declared.tables.iter().collect();
        tables.sort_by_key(|table| table.name);
        tables.into_iter().map(|declared| KnownTable { declared, schema: OnceLock::new() }).collect()
    })
}

/// The names of all tables.
pub(crate) fn table_names(profile: &'static Profile) -> impl Iterator<Item = &'static str> {
    known(profile).iter().map(|table| table.declared.name)
}

/// The schema, as far as these tables go.
pub(crate) fn schema_of(profile: &'static Profile, names: &[&str]) -> Result<Schema> {
    let tables = known(profile).iter().filter(|table| names.contains(&table.declared.name));
    let declared = profile.declared;
    Ok(Schema {
        name: declared.name.to_owned(),
        version: declared.version.to_owned(),
        cksum: declared.cksum.to_owned(),
        tables: tables
            .map(|table| Ok((table.declared.name.to_owned(), table.schema()?.clone())))
            .collect::<Result<_>>()?,
    })
}

/// How well a name fits what was typed: case and the kind of dash do not count, and the end may lack.
fn score(name: &str, typed: &str) -> usize {
    if name == typed {
        return usize::MAX;
    }
    let fold = |c: char| if c == '-' { '_' } else { c.to_ascii_lowercase() };
    let same = name.chars().zip(typed.chars()).take_while(|(a, b)| fold(*a) == fold(*b)).count();
    let typed_length = typed.chars().count();
    if same == typed_length && same == name.chars().count() {
        usize::MAX - 1
    } else if same == typed_length {
        same
    } else {
        0
    }
}

/// The best among the names; an error names the rivals or is `None`.
fn best<'n>(names: impl Iterator<Item = &'n str>, typed: &str) -> std::result::Result<&'n str, Vec<&'n str>> {
    let mut found: Vec<&str> = Vec::new();
    let mut highest = 1;
    for name in names {
        let score = score(name, typed);
        if score > highest {
            found.clear();
            highest = score;
        }
        if score >= highest {
            found.push(name);
        }
    }
    match found.as_slice() {
        [name] => Ok(name),
        _ => Err(found),
    }
}

pub(crate) fn table(profile: &'static Profile, typed: &str) -> Result<&'static Arc<TableSchema>> {
    match best(table_names(profile), typed) {
        Ok(name) => {
            let found = known(profile).iter().find(|table| table.declared.name == name);
            found.ok_or_else(|| Failure::Fatal(format!("unknown table \"{typed}\"")))?.schema()
        }
        Err(names) if names.is_empty() => fatal!("unknown table \"{typed}\""),
        Err(names) => fatal!("\"{typed}\" matches multiple table names: {}", names.join(", ")),
    }
}

/// [`table`], for a command whose first argument it is: an unknown one is answered with the one that was meant.
pub(crate) fn table_argument(profile: &'static Profile, typed: &str) -> Result<&'static Arc<TableSchema>> {
    table(profile, typed).map_err(|failure| match failure {
        Failure::Fatal(text) if text.starts_with("unknown table") => {
            Failure::Fatal(text + &base::hint::did_you_mean(typed, table_names(profile)))
        }
        other => other,
    })
}

pub(crate) fn column<'t>(table: &'t TableSchema, typed: &str) -> Result<&'t ColumnSchema> {
    let names: Vec<&str> = table.declared_columns().map(|c| c.name.as_str()).collect();
    let unknown = || {
        let hint = base::hint::did_you_mean(typed, names.iter().copied());
        format!("{} does not contain a column whose name matches \"{typed}\"{hint}", table.name)
    };
    match best(names.iter().copied(), typed) {
        Ok(name) => Ok(table.column(name).ok_or_else(unknown)?),
        Err(names) if names.is_empty() => Err(unknown().into()),
        Err(mut names) => {
            names.sort_unstable();
            let names = names.join(", ");
            fatal!("{} contains more than one column whose name matches \"{typed}\": {names}", table.name)
        }
    }
}

impl std::fmt::Display for RowName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reference {
            None => write!(f, "{:<26}  by its {}", self.table, self.name_column),
            Some(_) => write!(
                f,
                "{:<26}  by the {} of the {} that has it",
                self.table, self.name_column, self.name_table
            ),
        }
    }
}

pub(crate) const fn by(table: &'static str, name_column: &'static str) -> RowName {
    RowName { table, name_table: table, name_column, reference: None }
}

const fn via(table: &'static str, name_table: &'static str, reference: &'static str) -> RowName {
    RowName { table, name_table, name_column: "name", reference: Some(reference) }
}

pub(crate) const SWITCH: &[RowName] = &[
    by("Bridge", "name"),
    via("Controller", "Bridge", "controller"),
    by("Interface", "name"),
    by("Mirror", "name"),
    by("Manager", "target"),
    via("NetFlow", "Bridge", "netflow"),
    by("Port", "name"),
    via("QoS", "Port", "qos"),
    via("sFlow", "Bridge", "sflow"),
    by("Flow_Table", "name"),
    via("IPFIX", "Bridge", "ipfix"),
    via("AutoAttach", "Bridge", "auto_attach"),
    by("Flow_Sample_Collector_Set", "id"),
];

/// Tables whose names of rows are in another table, for subscriptions.
pub(crate) fn naming_table(profile: &Profile, table: &str) -> Option<(&'static str, Vec<&'static str>)> {
    let name = profile.row_names.iter().find(|name| name.table == table)?;
    let mut columns = vec![name.name_column];
    columns.extend(name.reference);
    Some((name.name_table, columns))
}

fn names(row: &Row, name: &RowName, record: &str) -> bool {
    match row.get(name.name_column).one() {
        Some(model::Atom::String(text)) => {
            **text == *record
                || (record.len() >= 4 && model::parse_uuid(text).is_some() && text.starts_with(record))
        }
        Some(model::Atom::Integer(i)) => {
            record.bytes().all(|c| c.is_ascii_digit()) && record.parse() == Ok(*i)
        }
        _ => false,
    }
}

fn by_name(context: &mut Context, table: &str, record: &str) -> Result<Option<Uuid>> {
    let Some(name) = context.profile.row_names.iter().find(|name| name.table == table) else {
        return Ok(None);
    };
    let mut found = context.transaction.rows(name.name_table).filter(|row| names(row, name, record));
    let Some(row) = found.next().cloned() else { return Ok(None) };
    let is_ambiguous = found.next().is_some();
    drop(found);
    if is_ambiguous {
        fatal!("multiple rows in {} match \"{record}\"", name.name_table);
    }
    let Some(reference) = name.reference else { return Ok(Some(row.uuid)) };
    context.transaction.verify(name.name_table, &row.uuid, reference);
    let mut targets = row.references(reference);
    let only = targets.next().filter(|_| row.get(reference).len() == 1);
    Ok(only.filter(|uuid| context.row(table, uuid).is_some()))
}

/// At least four characters of the start of a UUID.
fn is_partial_uuid(text: &str) -> bool {
    let dash = |i: usize| matches!(i, 8 | 13 | 18 | 23);
    text.len() >= 4
        && text.len() <= 36
        && text.bytes().enumerate().all(|(i, c)| if dash(i) { c == b'-' } else { c.is_ascii_hexdigit() })
}

/// The row that `record` names; without `must_exist` there may be none.
pub(crate) fn row(
    context: &mut Context,
    table: &str,
    record: &str,
    must_exist: bool,
) -> Result<Option<Uuid>> {
    if let Some(uuid) = model::parse_uuid(record).filter(|uuid| context.row(table, uuid).is_some()) {
        return Ok(Some(uuid));
    }
    if record == "." {
        let mut rows = context.transaction.rows(table);
        if let (Some(row), None) = (rows.next(), rows.next()) {
            return Ok(Some(row.uuid));
        }
    }
    if let Some(uuid) = by_name(context, table, record)? {
        return Ok(Some(uuid));
    }
    if is_partial_uuid(record) {
        let start = record.to_ascii_lowercase();
        let uuids = context.transaction.rows(table).map(|row| row.uuid);
        let found: Vec<Uuid> = uuids.filter(|uuid| uuid.to_string().starts_with(&start)).collect();
        match found.as_slice() {
            [] => {}
            [uuid] => return Ok(Some(*uuid)),
            [a, b, ..] => fatal!(
                "{table} contains 2 or more rows whose UUIDs begin with {record}: at least {a} and {b}"
            ),
        }
    }
    if must_exist {
        fatal!("no row \"{record}\" in table {table}");
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::OVS_VSCTL;

    #[test]
    fn names_may_be_cut_short_and_written_with_other_dashes() {
        for (typed, name) in [
            ("Bridge", "Bridge"),
            ("bridge", "Bridge"),
            ("br", "Bridge"),
            ("open-vswitch", "Open_vSwitch"),
            ("flow_sample", "Flow_Sample_Collector_Set"),
        ] {
            assert_eq!(table(&OVS_VSCTL, typed).map(|table| table.name.as_str()).ok(), Some(name), "{typed}");
        }
    }

    #[test]
    fn a_name_that_fits_several_or_none_is_refused() {
        for (typed, refused) in [
            ("x", "unknown table \"x\""),
            ("", "unknown table \"\""),
            ("Bridges", "unknown table \"Bridges\""),
            ("Flow", "\"Flow\" matches multiple table names: Flow_Sample_Collector_Set, Flow_Table"),
        ] {
            let failed = table(&OVS_VSCTL, typed).err();
            assert!(matches!(&failed, Some(Failure::Fatal(text)) if text == refused), "{typed}: {failed:?}");
        }
    }

    #[test]
    fn a_whole_name_wins_over_longer_ones() {
        let names = ["tag", "tagged", "TAG", "vlan_mode"];
        assert_eq!(best(names.into_iter(), "tag"), Ok("tag"));
        assert_eq!(best(names.into_iter(), "Tagg"), Ok("tagged"));
        assert_eq!(best(names.into_iter(), "ta"), Err(vec!["tag", "tagged", "TAG"]));
        assert_eq!(best(names.into_iter(), "vlan-mode"), Ok("vlan_mode"));
    }

    #[test]
    fn the_start_of_a_uuid_has_at_least_four_digits() {
        for (text, is_start) in [
            ("abc", false),
            ("abcd", true),
            ("01234567", true),
            ("01234567-89AB", true),
            ("012345678", false),
            ("br0a", false),
            ("01234567-89ab-cdef-0123-456789abcdef", true),
            ("01234567-89ab-cdef-0123-456789abcdef0", false),
        ] {
            assert_eq!(is_partial_uuid(text), is_start, "{text}");
        }
    }
}
