//! JSON as text: sorted members for comparison, indentation for people.

use crate::number::{self, Num};
use serde_json::Value;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Members of objects by name.
    pub sort: bool,
    /// Two blanks per level.
    pub pretty: bool,
}

/// Compact, with members sorted.
pub fn sorted(json: &Value) -> String {
    text(json, Style { sort: true, pretty: false })
}

/// The text of a value.
pub fn text(json: &Value, style: Style) -> String {
    let mut out = String::new();
    write(&mut out, json, style, 0);
    out
}

/// A JSON string with its quotes and escapes.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    if !text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        out.push_str(text);
        out.push('"');
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The 36 characters of a UUID.
pub fn write_uuid(out: &mut String, uuid: &uuid::Uuid) {
    out.push_str(uuid.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()));
}

fn indent(out: &mut String, style: Style, depth: usize) {
    if style.pretty {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', 2 * depth));
    }
}

fn write(out: &mut String, json: &Value, style: Style, depth: usize) {
    match json {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => match number::classify(n) {
            Some(Num::Integer(i)) => out.push_str(&i.to_string()),
            Some(Num::Real(r)) => out.push_str(&number::real_text(r)),
            None => out.push_str(n.as_str()),
        },
        Value::String(s) => write_string(out, s),
        Value::Array(items) => {
            out.push('[');
            if !items.is_empty() {
                indent(out, style, depth + 1);
            }
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                    indent(out, style, depth + 1);
                }
                write(out, item, style, depth + 1);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            indent(out, style, depth + 1);
            let mut members: Vec<_> = members.iter().collect();
            if style.sort {
                members.sort_by(|a, b| a.0.cmp(b.0));
            }
            for (i, (name, member)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                    indent(out, style, depth + 1);
                }
                write_string(out, name);
                out.push_str(if style.pretty { ": " } else { ":" });
                write(out, member, style, depth + 1);
            }
            out.push('}');
        }
    }
}

/// The kind of a JSON value, in the words of error messages.
pub fn kind(json: &Value) -> &'static str {
    match json {
        Value::Null => "null",
        Value::Bool(false) => "false",
        Value::Bool(true) => "true",
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::Number(_) if number::integer(json).is_some() => "integer",
        Value::Number(_) => "real",
        Value::String(_) => "string",
    }
}
