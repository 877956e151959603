//! `COLUMN[:KEY]=VALUE`: setting columns, and asking about them.

use crate::context::{Context, Result, fatal};
use crate::names;
use model::{Atom, ColumnSchema, Datum, Symbols, TableSchema, Uuid, next_token};
use replica::Row;

/// `COLUMN[:KEY][OPERATOR VALUE]`, taken apart.
pub(crate) struct Argument<'t> {
    pub(crate) column: &'t ColumnSchema,
    pub(crate) key: Option<String>,
    pub(crate) operator: &'static str,
    pub(crate) value: String,
}

const RELATIONS: &[&str] =
    &["=", "!=", "<", ">", "<=", ">=", "{=}", "{!=}", "{<}", "{>}", "{<=}", "{>=}", "{in}", "{not-in}"];

fn column_and_key<'t, 'a>(
    table: &'t TableSchema,
    argument: &'a str,
) -> Result<(&'t ColumnSchema, Option<String>, &'a str)> {
    let (name, rest) = next_token(argument)?;
    if name.is_empty() {
        fatal!("{argument}: missing column name");
    }
    let column = names::column(table, &name)?;
    match rest.strip_prefix(':') {
        None => Ok((column, None, rest)),
        Some(rest) => {
            let (key, rest) = next_token(rest)?;
            Ok((column, Some(key), rest))
        }
    }
}

fn missing_operator(argument: &str, operators: &[&str]) -> String {
    let quoted: Vec<String> = operators.iter().map(|o| format!("\"{o}\"")).collect();
    let list = match quoted.as_slice() {
        [only] => only.clone(),
        [a, b] => format!("{a} or {b}"),
        [all @ .., last] => format!("{}, or {last}", all.join(", ")),
        [] => String::new(),
    };
    format!("{argument}: argument does not end in {list} followed by a value.")
}

/// With a value after one of the operators.
fn parse<'t>(table: &'t TableSchema, argument: &str, operators: &[&'static str]) -> Result<Argument<'t>> {
    let (column, key, rest) = column_and_key(table, argument)?;
    let fits = operators.iter().filter(|o| rest.len() > o.len() && rest.starts_with(**o));
    let Some(operator) = fits.max_by_key(|o| o.len()) else {
        return Err(missing_operator(argument, operators).into());
    };
    let value = rest.get(operator.len()..).unwrap_or_default().to_owned();
    Ok(Argument { column, key, operator, value })
}

/// `COLUMN[:KEY]` and nothing else.
pub(crate) fn parse_place<'t>(
    table: &'t TableSchema,
    argument: &str,
) -> Result<(&'t ColumnSchema, Option<String>)> {
    let (column, key, rest) = column_and_key(table, argument)?;
    if !rest.is_empty() {
        fatal!("{argument}: trailing garbage \"{rest}\" in argument");
    }
    Ok((column, key))
}

/// A row that exists already cannot change columns that are fixed at its creation.
pub(crate) fn check_mutable(
    context: &Context,
    table: &TableSchema,
    uuid: &Uuid,
    column: &ColumnSchema,
) -> Result<()> {
    if !column.mutable && !context.transaction.is_inserted(uuid) {
        fatal!("cannot modify read-only column {} in table {}", column.name, table.name);
    }
    Ok(())
}

/// `set`: gives a column, or a key of one, a value.
pub(crate) fn set(context: &mut Context, table: &TableSchema, uuid: &Uuid, argument: &str) -> Result<()> {
    let argument = parse(table, argument, &["="])?;
    let column = argument.column;
    check_mutable(context, table, uuid, column)?;
    let symbols = &mut context.symbols;
    let value = match (&argument.key, &column.r#type.value) {
        (None, _) => Datum::from_text(&argument.value, &column.r#type, Some(symbols))?,
        (Some(_), None) => fatal!("cannot specify key to set for non-map column {}", column.name),
        (Some(key), Some(value_type)) => {
            let key = Atom::from_text(key, &column.r#type.key, Some(symbols))?;
            let value = Atom::from_text(&argument.value, value_type, Some(symbols))?;
            let mut map = Datum::map([(key, value)]);
            if let Some(row) = context.row(&table.name, uuid) {
                map.insert_all(row.get(&column.name));
            }
            // Others may set other keys at the same time.
            context.transaction.merge(&table.name, uuid, &column.name, map);
            return Ok(());
        }
    };
    context.set(&table.name, uuid, &column.name, value);
    Ok(())
}

fn holds(operator: &str, have: &Datum, want: &Datum) -> bool {
    match operator {
        "=" | "{=}" => have.compare(want).is_eq(),
        "!=" | "{!=}" => have.compare(want).is_ne(),
        "<" => have.compare(want).is_lt(),
        ">" => have.compare(want).is_gt(),
        "<=" => have.compare(want).is_le(),
        ">=" => have.compare(want).is_ge(),
        "{<}" => have.len() < want.len() && have.is_subset_of(want),
        "{>}" => have.len() > want.len() && want.is_subset_of(have),
        "{<=}" | "{in}" => have.is_subset_of(want),
        "{>=}" => want.is_subset_of(have),
        _ => have.is_disjoint_from(want),
    }
}

/// Whether a row is as the argument says.
pub(crate) fn check(symbols: &mut Symbols, table: &TableSchema, row: &Row, argument: &str) -> Result<bool> {
    let argument = parse(table, argument, RELATIONS)?;
    let column = argument.column;
    let have = row.get(&column.name);
    let Some(key) = &argument.key else {
        let want = Datum::from_text(&argument.value, &column.r#type, Some(symbols))?;
        return Ok(holds(argument.operator, have, &want));
    };
    let Some(value_type) = &column.r#type.value else {
        fatal!("cannot specify key to check for non-map column {}", column.name);
    };
    let key = Atom::from_text(key, &column.r#type.key, Some(symbols))?;
    let mut set = column.r#type.clone();
    set.key = value_type.clone();
    set.value = None;
    set.max = u32::MAX;
    let want = Datum::from_text(&argument.value, &set, Some(symbols))?;
    match have.value_of(&key) {
        None if !argument.operator.starts_with('{') => Ok(false),
        None => Ok(holds(argument.operator, &Datum::Empty, &want)),
        Some(value) => Ok(holds(argument.operator, &Datum::One(value.clone()), &want)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Failure;
    use crate::switch::OVS_VSCTL;

    fn set_of(numbers: &[i64]) -> Datum {
        Datum::set(numbers.iter().map(|number| Atom::from(*number)))
    }

    #[test]
    fn relations_compare_whole_values_and_sets() {
        let (one, two, three) = (set_of(&[1]), set_of(&[1, 2]), set_of(&[2, 3]));
        for (operator, pairs) in [
            ("=", [(&two, &two, true), (&one, &two, false)]),
            ("{=}", [(&two, &two, true), (&two, &three, false)]),
            ("!=", [(&one, &two, true), (&two, &two, false)]),
            ("<", [(&one, &set_of(&[2]), true), (&two, &two, false)]),
            (">=", [(&two, &two, true), (&one, &set_of(&[2]), false)]),
            ("{<}", [(&one, &two, true), (&two, &two, false)]),
            ("{<=}", [(&two, &two, true), (&two, &three, false)]),
            ("{in}", [(&one, &two, true), (&three, &two, false)]),
            ("{>}", [(&two, &one, true), (&one, &two, false)]),
            ("{>=}", [(&two, &one, true), (&one, &three, false)]),
            ("{not-in}", [(&one, &three, true), (&two, &three, false)]),
        ] {
            for (have, want, expected) in pairs {
                assert_eq!(holds(operator, have, want), expected, "{have:?} {operator} {want:?}");
            }
        }
    }

    #[test]
    fn an_argument_is_taken_apart_at_its_longest_operator() {
        let table = names::table(&OVS_VSCTL, "Interface").expect("a table");
        for (argument, column, key, operator, value) in [
            ("ofport=5", "ofport", None, "=", "5"),
            ("ofport<=5", "ofport", None, "<=", "5"),
            ("ofport{<=}5", "ofport", None, "{<=}", "5"),
            ("external_ids:a=b=c", "external_ids", Some("a"), "=", "b=c"),
            // Quotes stay until the type of the key is known.
            ("external-ids:\"a b\"!=c", "external_ids", Some("\"a b\""), "!=", "c"),
        ] {
            let parsed = parse(table, argument, RELATIONS).expect("an argument");
            assert_eq!(
                (parsed.column.name.as_str(), parsed.key.as_deref(), parsed.operator, parsed.value.as_str()),
                (column, key, operator, value),
                "{argument}"
            );
        }
    }

    #[test]
    fn what_is_no_argument_is_refused_with_what_is_missing() {
        let table = names::table(&OVS_VSCTL, "Interface").expect("a table");
        for (argument, operators, refused) in [
            ("ofport", &["="][..], "ofport: argument does not end in \"=\" followed by a value."),
            ("ofport=", &["="], "ofport=: argument does not end in \"=\" followed by a value."),
            ("ofport", &["=", "<"], "ofport: argument does not end in \"=\" or \"<\" followed by a value."),
            (
                "ofport",
                &["=", "<", ">"],
                "ofport: argument does not end in \"=\", \"<\", or \">\" followed by a value.",
            ),
            ("=5", &["="], "=5: missing column name"),
        ] {
            let failed = parse(table, argument, operators).err();
            assert!(
                matches!(&failed, Some(Failure::Fatal(text)) if text == refused),
                "{argument}: {failed:?}"
            );
        }
        let failed = parse_place(table, "ofport=5").err();
        assert!(
            matches!(&failed, Some(Failure::Fatal(text)) if text == "ofport=5: trailing garbage \"=5\" in argument"),
            "{failed:?}"
        );
    }
}
