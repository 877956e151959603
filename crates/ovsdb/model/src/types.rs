//! What a column may hold (RFC 7047 §3.2 `<type>`, `<base-type>`).

use crate::datum::Datum;
use crate::error::Error;
use crate::members::{Kinds, Members};
use crate::number;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

/// The types of atoms (RFC 7047 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AtomType {
    /// A 64-bit integer.
    Integer,
    /// A floating-point number.
    Real,
    /// True or false.
    Boolean,
    /// Text.
    String,
    /// A UUID, or a reference to a row.
    Uuid,
}

impl fmt::Display for AtomType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AtomType::Integer => "integer",
            AtomType::Real => "real",
            AtomType::Boolean => "boolean",
            AtomType::String => "string",
            AtomType::Uuid => "uuid",
        })
    }
}

impl AtomType {
    fn from_json(json: &Value) -> Result<AtomType, Error> {
        let Value::String(name) = json else {
            return Err(Error::syntax(json, "atomic-type expected"));
        };
        match name.as_str() {
            "integer" => Ok(AtomType::Integer),
            "real" => Ok(AtomType::Real),
            "boolean" => Ok(AtomType::Boolean),
            "string" => Ok(AtomType::String),
            "uuid" => Ok(AtomType::Uuid),
            _ => Err(Error::syntax(json, format!("\"{name}\" is not an atomic-type"))),
        }
    }
}

/// Whether a reference keeps its row alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefKind {
    /// It does: the row lives while it is referred to.
    Strong,
    /// It does not: the reference vanishes with the row.
    Weak,
}

/// What bounds the values of a base type.
#[derive(Clone, Debug, PartialEq)]
pub enum Bounds {
    /// Nothing does.
    None,
    /// Between these, which it may reach.
    Integer {
        /// The least one.
        min: i64,
        /// The greatest one.
        max: i64,
    },
    /// Between these, which it may reach.
    Real {
        /// The least one.
        min: f64,
        /// The greatest one.
        max: f64,
    },
    /// In characters.
    Length {
        /// The least length.
        min: u32,
        /// The greatest length.
        max: u32,
    },
    /// A row of a table.
    Reference {
        /// The name of the table.
        table: Arc<str>,
        /// Whether the reference keeps the row alive.
        kind: RefKind,
    },
}

/// An atomic type with its constraints.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseType {
    /// The type of the atoms.
    pub kind: AtomType,
    /// The only values, where they are listed (`enum`).
    pub allowed: Option<Arc<Datum>>,
    /// What bounds them.
    pub bounds: Bounds,
}

impl BaseType {
    /// Without any constraint.
    pub fn plain(kind: AtomType) -> BaseType {
        BaseType { kind, allowed: None, bounds: Bounds::None }
    }

    /// The table that values refer to, and how.
    pub fn reference(&self) -> Option<(&str, RefKind)> {
        match &self.bounds {
            Bounds::Reference { table, kind } => Some((table, *kind)),
            _ => None,
        }
    }

    /// Whether it refers to rows without keeping them alive.
    pub fn is_weak_ref(&self) -> bool {
        matches!(self.reference(), Some((_, RefKind::Weak)))
    }

    /// Whether it refers to rows and keeps them alive.
    pub fn is_strong_ref(&self) -> bool {
        matches!(self.reference(), Some((_, RefKind::Strong)))
    }

    fn has_constraints(&self) -> bool {
        self.allowed.is_some() || self.bounds != Bounds::None
    }

    /// Reads a `<base-type>` (RFC 7047 §3.2).
    pub fn from_json(json: &Value) -> Result<BaseType, Error> {
        if json.is_string() {
            return AtomType::from_json(json).map(BaseType::plain);
        }
        let mut members = Members::new(json, &"ovsdb type");
        let kind = members.required("type", Kinds::STRING);
        let Some(kind) = kind else {
            members.finish()?;
            return Err(Error::syntax(json, "ovsdb type expected"));
        };
        let mut base = BaseType::plain(AtomType::from_json(kind)?);
        if let Some(values) = members.optional("enum", Kinds::ANY) {
            base.allowed = Some(Arc::new(Datum::from_json(values, &Type::set_of(base.kind), None)?));
        } else {
            base.bounds = bounds(&mut members, base.kind, json)?;
        }
        members.finish()?;
        Ok(base)
    }

    /// As it is read.
    pub fn to_json(&self) -> Value {
        let name = Value::from(self.kind.to_string());
        if !self.has_constraints() {
            return name;
        }
        let mut object = Map::new();
        object.insert("type".to_owned(), name);
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        if let Some(allowed) = &self.allowed {
            put("enum", allowed.to_json(false));
        }
        match &self.bounds {
            Bounds::None => {}
            Bounds::Integer { min, max } => {
                if *min != i64::MIN {
                    put("minInteger", Value::from(*min));
                }
                if *max != i64::MAX {
                    put("maxInteger", Value::from(*max));
                }
            }
            Bounds::Real { min, max } => {
                if *min != -f64::MAX {
                    put("minReal", number::real_json(*min));
                }
                if *max != f64::MAX {
                    put("maxReal", number::real_json(*max));
                }
            }
            Bounds::Length { min, max } => {
                if *min != 0 {
                    put("minLength", Value::from(*min));
                }
                if *max != u32::MAX {
                    put("maxLength", Value::from(*max));
                }
            }
            Bounds::Reference { table, kind } => {
                put("refTable", Value::from(&**table));
                if *kind == RefKind::Weak {
                    put("refType", Value::from("weak"));
                }
            }
        }
        object.into()
    }
}

fn bounds(members: &mut Members<'_>, kind: AtomType, json: &Value) -> Result<Bounds, Error> {
    let bounds = match kind {
        AtomType::Boolean => Bounds::None,
        AtomType::Integer => {
            let min = members.integer("minInteger").unwrap_or(i64::MIN);
            let max = members.integer("maxInteger").unwrap_or(i64::MAX);
            if min > max {
                return Err(Error::syntax(json, "minInteger exceeds maxInteger"));
            }
            if min == i64::MIN && max == i64::MAX { Bounds::None } else { Bounds::Integer { min, max } }
        }
        AtomType::Real => {
            let real = |v: Option<&Value>| match number::classify(v?.as_number()?)? {
                number::Num::Integer(i) => Some(i as f64),
                number::Num::Real(r) => Some(r),
            };
            let min = real(members.optional("minReal", Kinds::NUMBER)).unwrap_or(-f64::MAX);
            let max = real(members.optional("maxReal", Kinds::NUMBER)).unwrap_or(f64::MAX);
            if min > max {
                return Err(Error::syntax(json, "minReal exceeds maxReal"));
            }
            if min == -f64::MAX && max == f64::MAX { Bounds::None } else { Bounds::Real { min, max } }
        }
        AtomType::String => {
            let min = length(members, "minLength")?.unwrap_or(0);
            let max = length(members, "maxLength")?.unwrap_or(u32::MAX);
            if min > max {
                return Err(Error::syntax(json, "minLength exceeds maxLength"));
            }
            if min == 0 && max == u32::MAX { Bounds::None } else { Bounds::Length { min, max } }
        }
        AtomType::Uuid => match members.optional("refTable", Kinds::ID).and_then(Value::as_str) {
            None => Bounds::None,
            Some(table) => {
                let kind = match members.optional("refType", Kinds::ID).and_then(Value::as_str) {
                    None | Some("strong") => RefKind::Strong,
                    Some("weak") => RefKind::Weak,
                    Some(other) => {
                        let message = format!("refType must be \"strong\" or \"weak\" (not \"{other}\")");
                        return Err(Error::syntax(json, message));
                    }
                };
                Bounds::Reference { table: Arc::from(table), kind }
            }
        },
    };
    Ok(bounds)
}

fn length(members: &mut Members<'_>, name: &str) -> Result<Option<u32>, Error> {
    let Some(json) = members.optional(name, Kinds::INTEGER) else { return Ok(None) };
    match number::integer(json).and_then(|i| u32::try_from(i).ok()) {
        Some(length) => Ok(Some(length)),
        None => Err(Error::syntax(json, format!("{name} out of valid range 0 to {}", u32::MAX))),
    }
}

/// The type of a column: how many atoms, or pairs of atoms, of what base types.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// The type of a set's atoms, or of a map's keys.
    pub key: BaseType,
    /// Present for maps.
    pub value: Option<BaseType>,
    /// 0 or 1.
    pub min: u32,
    /// `u32::MAX` is "unlimited".
    pub max: u32,
}

impl Type {
    /// Exactly one atom.
    pub fn scalar(kind: AtomType) -> Type {
        Type { key: BaseType::plain(kind), value: None, min: 1, max: 1 }
    }

    /// At least one atom, without end: the type of an `enum`.
    pub fn set_of(kind: AtomType) -> Type {
        Type { key: BaseType::plain(kind), value: None, min: 1, max: u32::MAX }
    }

    /// Whether it has keys and values.
    pub fn is_map(&self) -> bool {
        self.value.is_some()
    }

    /// Whether it holds exactly one atom.
    pub fn is_scalar(&self) -> bool {
        self.value.is_none() && self.min == 1 && self.max == 1
    }

    /// Whether it holds one atom or none.
    pub fn is_optional_scalar(&self) -> bool {
        self.value.is_none() && self.min == 0 && self.max == 1
    }

    /// More than one atom is possible.
    pub fn is_composite(&self) -> bool {
        self.max > 1
    }

    /// Neither a map nor exactly one atom.
    pub fn is_set(&self) -> bool {
        self.value.is_none() && (self.min != 1 || self.max != 1)
    }

    /// The same without any constraint on values or their number.
    pub fn unconstrained(&self) -> Type {
        Type {
            key: BaseType::plain(self.key.kind),
            value: self.value.as_ref().map(|v| BaseType::plain(v.kind)),
            min: 0,
            max: u32::MAX,
        }
    }

    /// "set of up to 5 integers", "map of (string, string) pairs".
    pub fn to_english(&self) -> String {
        if self.is_scalar() {
            return self.key.kind.to_string();
        }
        let what = if self.is_map() { "map" } else { "set" };
        let count = match (self.min, self.max) {
            (0, u32::MAX) => " of".to_owned(),
            (min, u32::MAX) => format!(" of {min} or more"),
            (0, max) => format!(" of up to {max}"),
            (min, max) => format!(" of {min} to {max}"),
        };
        match &self.value {
            None => format!("{what}{count} {}s", self.key.kind),
            Some(value) => format!("{what}{count} ({}, {}) pairs", self.key.kind, value.kind),
        }
    }

    /// Reads a `<type>` (RFC 7047 §3.2).
    pub fn from_json(json: &Value) -> Result<Type, Error> {
        if json.is_string() {
            return Ok(Type { key: BaseType::from_json(json)?, value: None, min: 1, max: 1 });
        }
        if !json.is_object() {
            return Err(Error::syntax(json, "ovsdb type expected"));
        }
        let mut members = Members::new(json, &"ovsdb type");
        let key = members.required("key", Kinds::STRING | Kinds::OBJECT);
        let value = members.optional("value", Kinds::STRING | Kinds::OBJECT);
        let min = members.optional("min", Kinds::INTEGER);
        let max = members.optional("max", Kinds::INTEGER | Kinds::STRING);
        members.finish()?;
        let Some(key) = key else {
            return Err(Error::syntax(json, "ovsdb type expected"));
        };
        let r#type = Type {
            key: BaseType::from_json(key)?,
            value: value.map(BaseType::from_json).transpose()?,
            min: count(min)?,
            max: if max.and_then(Value::as_str) == Some("unlimited") { u32::MAX } else { count(max)? },
        };
        if r#type.min > 1 || r#type.max < 1 {
            return Err(Error::syntax(json, "ovsdb type fails constraint checks"));
        }
        Ok(r#type)
    }

    /// As it is read.
    pub fn to_json(&self) -> Value {
        if self.is_scalar() && !self.key.has_constraints() {
            return self.key.to_json();
        }
        let mut object = Map::new();
        object.insert("key".to_owned(), self.key.to_json());
        if let Some(value) = &self.value {
            object.insert("value".to_owned(), value.to_json());
        }
        if self.min != 1 {
            object.insert("min".to_owned(), Value::from(self.min));
        }
        if self.max == u32::MAX {
            object.insert("max".to_owned(), Value::from("unlimited"));
        } else if self.max != 1 {
            object.insert("max".to_owned(), Value::from(self.max));
        }
        object.into()
    }
}

fn count(json: Option<&Value>) -> Result<u32, Error> {
    let Some(json) = json else { return Ok(1) };
    match number::integer(json).and_then(|i| u32::try_from(i).ok()) {
        Some(n) if n < u32::MAX => Ok(n),
        _ => Err(Error::syntax(json, "bad min or max value")),
    }
}
