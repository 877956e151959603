//! One value of an atomic type (RFC 7047 §3.1 `<atom>`).

use crate::error::Error;
use crate::number::{self, Num};
use crate::symbols::Symbols;
use crate::types::{AtomType, BaseType, Bounds};
use serde_json::Value;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use uuid::Uuid;

/// Copies are cheap: strings are shared.
#[derive(Clone, Debug)]
pub enum Atom {
    /// A 64-bit integer.
    Integer(i64),
    /// Always finite, and never the negative zero.
    Real(f64),
    /// True or false.
    Boolean(bool),
    /// Text in UTF-8.
    String(Arc<str>),
    /// A UUID; where the type says so, that of a row.
    Uuid(Uuid),
}

impl Atom {
    /// 0, "", false, and the UUID of zeros.
    pub fn default_of(kind: AtomType) -> Atom {
        match kind {
            AtomType::Integer => Atom::Integer(0),
            AtomType::Real => Atom::Real(0.0),
            AtomType::Boolean => Atom::Boolean(false),
            AtomType::String => Atom::String(Arc::from("")),
            AtomType::Uuid => Atom::Uuid(Uuid::nil()),
        }
    }

    /// Which of these it is.
    pub fn kind(&self) -> AtomType {
        match self {
            Atom::Integer(_) => AtomType::Integer,
            Atom::Real(_) => AtomType::Real,
            Atom::Boolean(_) => AtomType::Boolean,
            Atom::String(_) => AtomType::String,
            Atom::Uuid(_) => AtomType::Uuid,
        }
    }

    /// Whether it is what a column of its type holds that was never set: zero, false, or empty.
    pub fn is_default(&self) -> bool {
        match self {
            Atom::Integer(i) => *i == 0,
            Atom::Real(r) => *r == 0.0,
            Atom::Boolean(b) => !b,
            Atom::String(s) => s.is_empty(),
            Atom::Uuid(u) => u.is_nil(),
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Atom::String(s) => Some(s),
            _ => None,
        }
    }

    /// The number of an integer.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Atom::Integer(i) => Some(*i),
            _ => None,
        }
    }

    /// The number of a real.
    pub fn as_real(&self) -> Option<f64> {
        match self {
            Atom::Real(r) => Some(*r),
            _ => None,
        }
    }

    /// The value of a boolean.
    pub fn as_boolean(&self) -> Option<bool> {
        match self {
            Atom::Boolean(b) => Some(*b),
            _ => None,
        }
    }

    /// The UUID, of an atom that is one.
    pub fn as_uuid(&self) -> Option<Uuid> {
        match self {
            Atom::Uuid(u) => Some(*u),
            _ => None,
        }
    }

    /// As `<atom>` (RFC 7047 §5.1).
    pub fn to_json(&self) -> Value {
        match self {
            Atom::Integer(i) => Value::from(*i),
            Atom::Real(r) => number::real_json(*r),
            Atom::Boolean(b) => Value::from(*b),
            Atom::String(s) => Value::from(&**s),
            Atom::Uuid(u) => Value::Array(vec![Value::from("uuid"), Value::from(u.to_string())]),
        }
    }

    /// Appends the same JSON as text.
    pub fn write_json(&self, out: &mut String) {
        use std::fmt::Write;
        // Writing to a string cannot fail.
        let _ = match self {
            Atom::Integer(i) => write!(out, "{i}"),
            Atom::Real(r) => out.write_str(&number::real_text(*r)),
            Atom::Boolean(b) => write!(out, "{b}"),
            Atom::String(s) => {
                crate::json::write_string(out, s);
                Ok(())
            }
            Atom::Uuid(u) => {
                out.push_str("[\"uuid\",\"");
                crate::json::write_uuid(out, u);
                out.write_str("\"]")
            }
        };
    }

    /// From JSON, which must meet the constraints of `base`. Names are looked up in `symbols`, where given.
    pub fn from_json(json: &Value, base: &BaseType, symbols: Option<&mut Symbols>) -> Result<Atom, Error> {
        let atom = match (base.kind, json) {
            (AtomType::Integer, Value::Number(n)) => match number::classify(n) {
                Some(Num::Integer(i)) => Some(Atom::Integer(i)),
                _ => None,
            },
            (AtomType::Real, Value::Number(n)) => match number::classify(n) {
                Some(Num::Integer(i)) => Some(Atom::Real(i as f64)),
                Some(Num::Real(r)) => Some(Atom::Real(r + 0.0)),
                None => None,
            },
            (AtomType::Boolean, Value::Bool(b)) => Some(Atom::Boolean(*b)),
            (AtomType::String, Value::String(s)) => Some(Atom::String(Arc::from(s.as_str()))),
            (AtomType::Uuid, _) => return uuid_from_json(json, base, symbols).map(Atom::Uuid),
            _ => None,
        };
        let atom = atom.ok_or_else(|| Error::syntax(json, format!("expected {}", base.kind)))?;
        atom.check(base)?;
        Ok(atom)
    }

    /// Whether the atom meets the constraints of `base`. References are checked at commit, not here.
    pub fn check(&self, base: &BaseType) -> Result<(), Error> {
        if let Some(allowed) = &base.allowed {
            if allowed.find(self).is_none() {
                return Err(Error::constraint(format!(
                    "{self} is not one of the allowed values ({})",
                    allowed.to_text(&Type::set_of(base.kind))
                )));
            }
            return Ok(());
        }
        match (self, &base.bounds) {
            (Atom::Integer(i), Bounds::Integer { min, max }) => {
                let (least, greatest) = (*min != i64::MIN, *max != i64::MAX);
                out_of_range(i >= min && i <= max, i, (min, least), (max, greatest))
            }
            (Atom::Real(r), Bounds::Real { min, max }) => {
                let (least, greatest) = (*min != -f64::MAX, *max != f64::MAX);
                let text = number::real_text;
                out_of_range(r >= min && r <= max, &text(*r), (&text(*min), least), (&text(*max), greatest))
            }
            (Atom::String(s), Bounds::Length { min, max }) => check_length(s, *min, *max),
            _ => Ok(()),
        }
    }

    /// The text without any quotes, for shell scripts.
    pub fn to_bare(&self) -> String {
        match self {
            Atom::String(s) => s.to_string(),
            other => other.to_string(),
        }
    }
}

use crate::types::Type;

fn out_of_range<T: std::fmt::Display + ?Sized>(
    fits: bool,
    value: &T,
    (min, has_min): (&T, bool),
    (max, has_max): (&T, bool),
) -> Result<(), Error> {
    if fits {
        return Ok(());
    }
    Err(Error::constraint(match (has_min, has_max) {
        (true, true) => format!("{value} is not in the valid range {min} to {max} (inclusive)"),
        (true, false) => format!("{value} is less than minimum allowed value {min}"),
        _ => format!("{value} is greater than maximum allowed value {max}"),
    }))
}

fn check_length(text: &str, min: u32, max: u32) -> Result<(), Error> {
    if min == 0 && max == u32::MAX {
        return Ok(());
    }
    let length = text.chars().count();
    if length < min as usize {
        return Err(Error::constraint(format!(
            "\"{text}\" length {length} is less than minimum allowed length {min}"
        )));
    }
    if length > max as usize {
        return Err(Error::constraint(format!(
            "\"{text}\" length {length} is greater than maximum allowed length {max}"
        )));
    }
    Ok(())
}

/// `["name", X]` with X a string.
fn unwrap_text<'a>(json: &'a Value, name: &str) -> Option<&'a str> {
    match json.as_array().map(Vec::as_slice) {
        Some([Value::String(tag), Value::String(text)]) if tag == name => Some(text),
        _ => None,
    }
}

fn uuid_from_json(json: &Value, base: &BaseType, symbols: Option<&mut Symbols>) -> Result<Uuid, Error> {
    if let Some(text) = unwrap_text(json, "uuid") {
        return crate::parse_uuid(text)
            .ok_or_else(|| Error::syntax(json, format!("\"{text}\" is not a valid UUID")));
    }
    match symbols.zip(unwrap_text(json, "named-uuid")) {
        Some((symbols, name)) if crate::is_id(name) => Ok(symbols.refer(name, base)),
        Some(_) => Err(Error::syntax(json, "named-uuid string is not a valid <id>")),
        None => Err(Error::syntax(json, "expected [\"uuid\", <string>]")),
    }
}

impl PartialEq for Atom {
    #[inline]
    fn eq(&self, other: &Atom) -> bool {
        match (self, other) {
            (Atom::Uuid(a), Atom::Uuid(b)) => a == b,
            (Atom::String(a), Atom::String(b)) => Arc::ptr_eq(a, b) || a == b,
            _ => self.cmp(other) == Ordering::Equal,
        }
    }
}

impl Eq for Atom {}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Atom) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Atom {
    #[inline]
    fn cmp(&self, other: &Atom) -> Ordering {
        match (self, other) {
            (Atom::Uuid(a), Atom::Uuid(b)) => a.as_u128().cmp(&b.as_u128()),
            (Atom::Integer(a), Atom::Integer(b)) => a.cmp(b),
            (Atom::Real(a), Atom::Real(b)) => a.total_cmp(b),
            (Atom::Boolean(a), Atom::Boolean(b)) => a.cmp(b),
            (Atom::String(a), Atom::String(b)) => a.cmp(b),
            _ => self.kind().cmp(&other.kind()),
        }
    }
}

impl Hash for Atom {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Atom::Integer(i) => i.hash(state),
            Atom::Real(r) => r.to_bits().hash(state),
            Atom::Boolean(b) => b.hash(state),
            Atom::String(s) => s.hash(state),
            Atom::Uuid(u) => u.hash(state),
        }
    }
}

/// Whether a string must be quoted to differ from values of other types.
fn needs_quotes(text: &str) -> bool {
    let mut bytes = text.bytes();
    let plain = bytes.next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_')
        && bytes.all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.'));
    !plain || text == "true" || text == "false" || crate::parse_uuid(text).is_some()
}

/// The text that [`Atom::from_text`] reads back.
impl std::fmt::Display for Atom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Atom::Integer(i) => write!(f, "{i}"),
            Atom::Real(r) => f.write_str(&number::real_text(*r)),
            Atom::Boolean(b) => write!(f, "{b}"),
            Atom::String(s) if needs_quotes(s) => {
                let mut quoted = String::new();
                crate::json::write_string(&mut quoted, s);
                f.write_str(&quoted)
            }
            Atom::String(s) => f.write_str(s),
            Atom::Uuid(u) => write!(f, "{u}"),
        }
    }
}

impl From<i64> for Atom {
    fn from(i: i64) -> Atom {
        Atom::Integer(i)
    }
}

impl From<bool> for Atom {
    fn from(b: bool) -> Atom {
        Atom::Boolean(b)
    }
}

impl From<f64> for Atom {
    fn from(r: f64) -> Atom {
        Atom::Real(r + 0.0)
    }
}

impl From<&str> for Atom {
    fn from(s: &str) -> Atom {
        Atom::String(Arc::from(s))
    }
}

impl From<String> for Atom {
    fn from(s: String) -> Atom {
        Atom::String(Arc::from(s))
    }
}

impl From<Uuid> for Atom {
    fn from(u: Uuid) -> Atom {
        Atom::Uuid(u)
    }
}
