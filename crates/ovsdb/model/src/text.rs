//! Values as people type them at `ovs-vsctl`, and as it prints them.

use crate::atom::Atom;
use crate::datum::Datum;
use crate::error::Error;
use crate::symbols::Symbols;
use crate::types::{AtomType, BaseType, Type};
use std::sync::Arc;

/// A range of integers such as `1-10` may have this many members.
const MAX_RANGE: u64 = 4096;

/// Whether a character ends a token.
pub fn is_delimiter(c: char) -> bool {
    matches!(c, ':' | '=' | ',' | ' ' | '[' | ']' | '{' | '}' | '!' | '<' | '>')
}

/// The token at the start of `text` and the rest. Quotes stay; a backslash takes the next character
/// literally.
pub fn next_token(text: &str) -> Result<(String, &str), String> {
    let mut token = String::new();
    let mut quoted = false;
    let mut chars = text.char_indices();
    let mut rest = "";
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            if quoted {
                token.push('\\');
            }
            match chars.next() {
                Some((_, next)) => token.push(next),
                None => return Err(format!("{text}: backslash at end of argument")),
            }
        } else if !quoted && is_delimiter(c) {
            rest = text.get(at..).unwrap_or("");
            break;
        } else {
            token.push(c);
            quoted ^= c == '"';
        }
    }
    if quoted {
        return Err(format!("{text}: quoted string extends past end of argument"));
    }
    Ok((token, rest))
}

impl Atom {
    /// From command-line text, which must meet the constraints of `base`. `@name` is looked up in `symbols`.
    pub fn from_text(text: &str, base: &BaseType, symbols: Option<&mut Symbols>) -> Result<Atom, String> {
        let atom = parse_atom(text, base, symbols)?;
        atom.check(base).map_err(|e| e.to_string())?;
        Ok(atom)
    }
}

impl Datum {
    /// From command-line text: `a, b`, `[a, b]`, `k=v, k=v`, `{k=v}`. `@name` is looked up in `symbols`.
    pub fn from_text(text: &str, r#type: &Type, symbols: Option<&mut Symbols>) -> Result<Datum, String> {
        parse_datum(text, r#type, symbols)
    }

    /// The text that [`Datum::from_text`] reads back.
    pub fn to_text(&self, r#type: &Type) -> String {
        format_datum(self, r#type)
    }
}

fn parse_atom(text: &str, base: &BaseType, symbols: Option<&mut Symbols>) -> Result<Atom, String> {
    match base.kind {
        AtomType::Integer => parse_integer(text)
            .map(Atom::Integer)
            .ok_or_else(|| format!("\"{text}\" is not a valid integer or range")),
        AtomType::Real => match text.parse::<f64>() {
            // Adding zero turns the negative zero into the positive one.
            Ok(real) if real.is_finite() => Ok(Atom::Real(real + 0.0)),
            _ => Err(format!("\"{text}\" is not a valid real number")),
        },
        AtomType::Boolean => match text {
            "true" | "yes" | "on" | "1" => Ok(Atom::Boolean(true)),
            "false" | "no" | "off" | "0" => Ok(Atom::Boolean(false)),
            _ => Err(format!("\"{text}\" is not a valid boolean (use \"true\" or \"false\")")),
        },
        AtomType::String => parse_string(text).map(Atom::from),
        AtomType::Uuid => match symbols {
            Some(symbols) if text.starts_with('@') => Ok(Atom::Uuid(symbols.refer(text, base))),
            _ => crate::parse_uuid(text)
                .map(Atom::Uuid)
                .ok_or_else(|| format!("\"{text}\" is not a valid UUID")),
        },
    }
}

fn parse_integer(text: &str) -> Option<i64> {
    text.trim_start().parse().ok()
}

fn parse_string(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err(
            "An empty string is not valid as input; use \"\" to represent the empty string".to_owned()
        );
    }
    if !text.starts_with('"') {
        return Ok(text.to_owned());
    }
    if text.len() < 2 || !text.ends_with('"') {
        return Err(format!("{text}: missing quote at end of quoted string"));
    }
    serde_json::from_str(text).map_err(|_| {
        let inside = text.get(1..text.len() - 1).unwrap_or("");
        if inside.ends_with('\\') {
            format!("{text}: quoted string may not end with backslash")
        } else {
            format!("{text}: bad escape in quoted string")
        }
    })
}

/// `A-B`, where both may have a sign.
fn parse_range(text: &str) -> Option<(i64, i64)> {
    let at = text.get(1..)?.find('-')? + 1;
    let (start, end) = (text.get(..at)?, text.get(at + 1..)?);
    Some((parse_integer(start)?, parse_integer(end)?))
}

/// The integers of a range, each checked against the constraints.
fn range_atoms(text: &str, base: &BaseType) -> Option<Result<Vec<Atom>, String>> {
    let (start, end) = parse_range(text)?;
    if end < start {
        return Some(Err(format!("\"{text}\" is not a valid range. Range end cannot be before start.")));
    }
    let checked = |i: i64| Atom::Integer(i).check(base).map_err(|e| e.to_string());
    if let Err(e) = checked(start).and_then(|()| checked(end)) {
        return Some(Err(e));
    }
    if end.abs_diff(start) >= MAX_RANGE {
        let message = format!("Range \"{start}-{end}\" is too big. Maximum allowed size is {MAX_RANGE}.");
        return Some(Err(Error::constraint(message).to_string()));
    }
    let atoms: Vec<Atom> = (start..=end).map(Atom::Integer).collect();
    let bad = atoms.iter().find_map(|atom| atom.check(base).err());
    Some(bad.map_or(Ok(atoms), |e| Err(e.to_string())))
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}'])
}

fn parse_datum(text: &str, r#type: &Type, mut symbols: Option<&mut Symbols>) -> Result<Datum, String> {
    let is_map = r#type.is_map();
    let (open, close) = if is_map { ('{', '}') } else { ('[', ']') };
    let mut rest = skip_blanks(text);
    if rest.is_empty() {
        let (what, form) = if is_map { ("map", "{}") } else { ("set", "[]") };
        return Err(format!("use \"{form}\" to specify the empty {what}"));
    }
    let enclosed = rest.starts_with(open);
    if enclosed {
        rest = skip_blanks(rest.get(1..).unwrap_or(""));
    }
    let (mut atoms, mut pairs) = (Vec::new(), Vec::new());
    while let Some(c) = rest.chars().next() {
        if enclosed && c == close {
            break;
        }
        if is_delimiter(c) {
            return Err(format!("{text}: unexpected \"{c}\" parsing {}", r#type.to_english()));
        }
        rest = parse_entry(rest, r#type, symbols.as_deref_mut(), &mut atoms, &mut pairs)?;
        rest = skip_blanks(rest);
        if let Some(after) = rest.strip_prefix(',') {
            rest = skip_blanks(after);
        }
    }
    if enclosed {
        let Some(after) = rest.strip_prefix(close) else {
            return Err(format!("{text}: missing \"{close}\" at end of data"));
        };
        if !skip_blanks(after).is_empty() {
            return Err(format!("{text}: trailing garbage after \"{close}\""));
        }
    }
    collect(text, r#type, atoms, pairs)
}

/// Parses one atom, range or pair; returns what is after it.
fn parse_entry<'t>(
    text: &'t str,
    r#type: &Type,
    mut symbols: Option<&mut Symbols>,
    atoms: &mut Vec<Atom>,
    pairs: &mut Vec<(Atom, Atom)>,
) -> Result<&'t str, String> {
    let (token, rest) = next_token(text)?;
    let Some(value_type) = &r#type.value else {
        if r#type.key.kind == AtomType::Integer
            && let Some(range) = range_atoms(&token, &r#type.key)
        {
            atoms.extend(range?);
        } else {
            atoms.push(Atom::from_text(&token, &r#type.key, symbols)?);
        }
        return Ok(rest);
    };
    let key = Atom::from_text(&token, &r#type.key, symbols.as_deref_mut())?;
    let rest = skip_blanks(rest);
    let Some(after) = rest.strip_prefix('=') else {
        let c = rest.chars().next().unwrap_or('\0');
        return Err(format!("{text}: syntax error at \"{c}\" expecting \"=\""));
    };
    let (token, rest) = next_token(skip_blanks(after))?;
    pairs.push((key, Atom::from_text(&token, value_type, symbols)?));
    Ok(rest)
}

fn collect(
    text: &str,
    r#type: &Type,
    mut atoms: Vec<Atom>,
    mut pairs: Vec<(Atom, Atom)>,
) -> Result<Datum, String> {
    let n = atoms.len() + pairs.len();
    let what = if r#type.is_map() { "pair(s)" } else { "value(s)" };
    if n < r#type.min as usize {
        return Err(format!("{text}: {n} {what} specified but the minimum number is {}", r#type.min));
    }
    if n > r#type.max as usize {
        return Err(format!("{text}: {n} {what} specified but the maximum number is {}", r#type.max));
    }
    atoms.sort();
    pairs.sort();
    if pairs.windows(2).any(|w| matches!(w, [a, b] if a.0 == b.0)) {
        return Err(format!("{text}: map contains duplicate key"));
    }
    if atoms.windows(2).any(|w| matches!(w, [a, b] if a == b)) {
        return Err(format!("{text}: set contains duplicate value"));
    }
    Ok(match r#type.is_map() {
        true if pairs.is_empty() => Datum::Empty,
        true => Datum::Map(Arc::new(pairs)),
        false => Datum::from_sorted(atoms),
    })
}

fn format_datum(datum: &Datum, r#type: &Type) -> String {
    let entry = |(key, value): (&Atom, Option<&Atom>)| match value {
        None => key.to_string(),
        Some(value) => format!("{key}={value}"),
    };
    let inside = datum.entries().map(entry).collect::<Vec<_>>().join(", ");
    if r#type.max == 1 && !datum.is_empty() {
        inside
    } else if r#type.is_map() {
        format!("{{{inside}}}")
    } else {
        format!("[{inside}]")
    }
}
