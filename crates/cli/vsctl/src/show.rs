//! `show`: an overview of the configuration, as a tree.

use crate::cache::ROOT;
use crate::context::{Context, Result, fatal};
use crate::names;
use crate::profile::{Profile, Shown};
use model::{ColumnSchema, Datum};
use replica::Row;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) const SWITCH: &[Shown] = &[
    Shown { table: ROOT, name: None, columns: &["manager_options", "bridges", "ovs_version"] },
    Shown {
        table: "Bridge",
        name: Some("name"),
        columns: &["controller", "fail_mode", "datapath_type", "ports"],
    },
    Shown { table: "Port", name: Some("name"), columns: &["tag", "trunks", "interfaces"] },
    Shown { table: "Interface", name: Some("name"), columns: &["type", "options", "error", "bfd_status"] },
    Shown { table: "Controller", name: Some("target"), columns: &["is_connected"] },
    Shown { table: "Manager", name: Some("target"), columns: &["is_connected"] },
];

/// The tables and columns that the command reads.
pub(crate) fn prerequisites(
    profile: &Profile,
) -> impl Iterator<Item = (&'static str, Vec<&'static str>)> + use<> {
    profile
        .shown
        .iter()
        .map(|shown| (shown.table, shown.name.into_iter().chain(shown.columns.iter().copied()).collect()))
}

/// By table: a row is shown only when its text has one of the words.
type Filters = HashMap<String, Vec<String>>;

fn parse_filters(profile: &'static Profile, text: &str) -> Result<Filters> {
    let mut filters = Filters::new();
    for item in text.split(',').filter(|item| !item.is_empty()) {
        let (table, words) = match item.split_once('(') {
            None => (profile.root, item),
            Some((table, rest)) => match rest.strip_suffix(')') {
                Some(words) => (names::table(profile, table)?.name.as_str(), words),
                None => fatal!("Malformed filter: missing closing ')'"),
            },
        };
        let words = words.split('|').filter(|word| !word.is_empty()).map(str::to_lowercase);
        filters.entry(table.to_owned()).or_default().extend(words);
    }
    Ok(filters)
}

pub(crate) fn show(context: &mut Context) -> Result<()> {
    let filters = parse_filters(context.profile, context.option("--filter").unwrap_or_default())?;
    let mut text = String::new();
    // With a word, that bridge only: the form of old scripts.
    if let Some(name) = context.args(1).first().cloned() {
        let bridge = context.transaction.rows("Bridge").find(|row| row.text("name") == Some(name.as_str()));
        let Some(bridge) = bridge.cloned() else { fatal!("no bridge named {name}") };
        show_row(context, "Bridge", &bridge, 0, &mut Vec::new(), &filters, &mut text);
        context.output.push_str(&text);
        return Ok(());
    }
    let rows: Vec<Arc<Row>> = context.transaction.rows(context.profile.root).cloned().collect();
    for row in rows {
        show_row(context, context.profile.root, &row, 0, &mut Vec::new(), &filters, &mut text);
    }
    context.output.push_str(&text);
    Ok(())
}

fn indent(out: &mut String, level: usize) {
    out.extend(std::iter::repeat_n(' ', 4 * level));
}

fn show_row(
    context: &Context,
    table: &'static str,
    row: &Row,
    level: usize,
    above: &mut Vec<&'static str>,
    filters: &Filters,
    out: &mut String,
) {
    let start = out.len();
    let Some(shown) = context.profile.shown.iter().find(|shown| shown.table == table) else { return };
    let text = |column: &str| {
        let schema = row.schema.column(column)?;
        Some((row.get(column), schema))
    };
    indent(out, level);
    match shown.name.and_then(text) {
        Some((name, schema)) => out.push_str(&format!("{table} {}", name.to_text(&schema.r#type))),
        None => out.push_str(&row.uuid.to_string()),
    }
    out.push('\n');
    if above.contains(&table) {
        return;
    }
    above.push(table);
    for column in shown.columns {
        let Some((value, schema)) = text(column) else { continue };
        let target = schema.r#type.key.reference().map(|(target, _)| target);
        if let Some(target) =
            target.and_then(|target| context.profile.shown.iter().find(|shown| shown.table == target))
        {
            for uuid in row.references(column) {
                if let Some(row) = context.row(target.table, &uuid) {
                    show_row(context, target.table, row, level + 1, above, filters, out);
                }
            }
        } else if let Some(target) = value_target(context.profile, schema) {
            show_map(context, target, column, value, level + 1, out);
        } else if !value.is_default(&schema.r#type) {
            indent(out, level + 1);
            out.push_str(&format!("{column}: {}\n", value.to_text(&schema.r#type)));
        }
    }
    above.pop();
    if let Some(words) = filters.get(table) {
        let text = out.get(start..).unwrap_or_default().to_lowercase();
        if !words.iter().any(|word| text.contains(word)) {
            out.truncate(start);
        }
    }
}

/// What the values of a map refer to, where their rows are shown by name.
fn value_target(profile: &Profile, column: &ColumnSchema) -> Option<&'static Shown> {
    let (target, _) = column.r#type.value.as_ref()?.reference()?;
    profile.shown.iter().find(|shown| shown.table == target && shown.name.is_some())
}

/// A map to rows: its keys, each with the name of its row.
fn show_map(context: &Context, target: &Shown, column: &str, map: &Datum, level: usize, out: &mut String) {
    indent(out, level);
    out.push_str(&format!("{column}:\n"));
    for (key, value) in map.pairs() {
        let row = value.as_uuid().and_then(|uuid| context.row(target.table, &uuid));
        let name = row.zip(target.name).and_then(|(row, name)| {
            let schema = row.schema.column(name)?;
            Some(row.get(name).to_text(&schema.r#type))
        });
        indent(out, level + 1);
        out.push_str(&format!("{key}={}\n", name.as_deref().unwrap_or("\"<null>\"")));
    }
}
