//! The words in which columns are declared.

use serde_json::{Map, Value, json};

/// What one element of a column is.
#[derive(Clone, Copy, Debug)]
pub enum Base {
    /// A string.
    Text,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// An integer within bounds, which it may reach.
    Integer {
        /// The least one; `None` is without limit.
        min: Option<i64>,
        /// The greatest one; `None` is without limit.
        max: Option<i64>,
    },
    /// A floating-point number.
    #[allow(dead_code, reason = "RFC 7047 has it; no column of ours does so far")]
    Real,
    /// True or false.
    Boolean,
    /// A reference to a row of the named table that keeps it alive.
    Strong(&'static str),
    /// A reference that vanishes with the row.
    Weak(&'static str),
}

/// How many elements, of what, and how they may change.
#[derive(Clone, Copy, Debug)]
pub struct Type {
    key: Base,
    value: Option<Base>,
    min: u32,
    /// `None` is without limit.
    max: Option<u32>,
    mutable: bool,
    ephemeral: bool,
}

pub(crate) const TEXT: Base = Base::Text;
pub(crate) const INTEGER: Base = Base::Integer { min: None, max: None };
pub(crate) const BOOLEAN: Base = Base::Boolean;

pub(crate) const fn one_of(values: &'static [&'static str]) -> Base {
    Base::OneOf(values)
}

pub(crate) const fn at_least(min: i64) -> Base {
    Base::Integer { min: Some(min), max: None }
}

pub(crate) const fn between(min: i64, max: i64) -> Base {
    Base::Integer { min: Some(min), max: Some(max) }
}

pub(crate) const fn strong(table: &'static str) -> Base {
    Base::Strong(table)
}

pub(crate) const fn weak(table: &'static str) -> Base {
    Base::Weak(table)
}

/// Between `min` and `max` elements.
pub(crate) const fn sized(min: u32, max: u32, key: Base) -> Type {
    Type { key, value: None, min, max: Some(max), mutable: true, ephemeral: false }
}

pub(crate) const fn one(key: Base) -> Type {
    sized(1, 1, key)
}

pub(crate) const fn optional(key: Base) -> Type {
    sized(0, 1, key)
}

pub(crate) const fn at_least_of(min: u32, key: Base) -> Type {
    Type { max: None, ..sized(min, min, key) }
}

pub(crate) const fn set(key: Base) -> Type {
    at_least_of(0, key)
}

pub(crate) const fn map(key: Base, value: Base) -> Type {
    Type { value: Some(value), ..set(key) }
}

impl Type {
    /// Set when the row is made, never again.
    pub const fn immutable(self) -> Type {
        Type { mutable: false, ..self }
    }

    /// Not written to disk.
    pub const fn ephemeral(self) -> Type {
        Type { ephemeral: true, ..self }
    }

    /// The key, and the value of a map.
    pub fn elements(&self) -> impl Iterator<Item = &Base> {
        std::iter::once(&self.key).chain(&self.value)
    }

    /// RFC 7047 §3.2 `<column-schema>`.
    pub(crate) fn to_json(self) -> Value {
        let mut column = Map::new();
        let plain = self.value.is_none() && self.min == 1 && self.max == Some(1);
        let kind = if plain {
            self.key.to_json()
        } else {
            let mut kind = Map::new();
            kind.insert("key".into(), self.key.to_json());
            if let Some(value) = self.value {
                kind.insert("value".into(), value.to_json());
            }
            if self.min != 1 {
                kind.insert("min".into(), json!(self.min));
            }
            match self.max {
                None => kind.insert("max".into(), json!("unlimited")),
                Some(1) => None,
                Some(max) => kind.insert("max".into(), json!(max)),
            };
            Value::Object(kind)
        };
        // An element with a constraint of its own needs the long form: {"key": {...}}.
        let kind = if plain && kind.is_object() { json!({ "key": kind }) } else { kind };
        column.insert("type".into(), kind);
        if self.ephemeral {
            column.insert("ephemeral".into(), json!(true));
        }
        if !self.mutable {
            column.insert("mutable".into(), json!(false));
        }
        Value::Object(column)
    }
}

impl Base {
    /// RFC 7047 §3.2 `<base-type>`.
    fn to_json(self) -> Value {
        match self {
            Base::Text => json!("string"),
            Base::Real => json!("real"),
            Base::Boolean => json!("boolean"),
            Base::Integer { min: None, max: None } => json!("integer"),
            Base::Integer { min, max } => {
                let mut base = Map::new();
                base.insert("type".into(), json!("integer"));
                if let Some(min) = min {
                    base.insert("minInteger".into(), json!(min));
                }
                if let Some(max) = max {
                    base.insert("maxInteger".into(), json!(max));
                }
                Value::Object(base)
            }
            Base::OneOf(values) => json!({ "type": "string", "enum": ["set", values] }),
            Base::Strong(table) => json!({ "type": "uuid", "refTable": table }),
            Base::Weak(table) => json!({ "type": "uuid", "refTable": table, "refType": "weak" }),
        }
    }
}
