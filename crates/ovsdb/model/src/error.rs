//! The `<error>` of RFC 7047 §3.1: a tag that programs look at, details that people read.

use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// An error as OVSDB reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of error it is, in words that clients know (RFC 7047 §3.1, §5.2).
    pub tag: Cow<'static, str>,
    /// What was wrong, for people.
    pub details: Option<String>,
    /// The JSON that is to blame.
    pub syntax: Option<String>,
    /// The operating system's words.
    pub io: Option<String>,
}

impl Error {
    /// An error with this tag.
    pub fn new(tag: &'static str, details: impl Into<String>) -> Error {
        Error { tag: Cow::Borrowed(tag), details: Some(details.into()), syntax: None, io: None }
    }

    /// "ovsdb error": one without a better name.
    pub fn general(details: impl Into<String>) -> Error {
        Error::new("ovsdb error", details)
    }

    /// "constraint violation": a rule of the schema would be broken.
    pub fn constraint(details: impl Into<String>) -> Error {
        Error::new("constraint violation", details)
    }

    /// "syntax error": `json` is not what it should be.
    pub fn syntax(json: &Value, details: impl Into<String>) -> Error {
        Error::new("syntax error", details).about(json)
    }

    /// "I/O error": with the operating system's words.
    pub fn io(error: &str, details: impl Into<String>) -> Error {
        let mut e = Error::new("I/O error", details);
        e.io = Some(error.to_owned());
        e
    }

    /// With the JSON that is to blame.
    pub fn about(mut self, json: &Value) -> Error {
        self.syntax = Some(crate::json::sorted(json));
        self
    }

    /// With `context` before the details.
    pub fn wrap(mut self, context: &str) -> Error {
        self.details = Some(match self.details {
            Some(details) => format!("{context}: {details}"),
            None => context.to_owned(),
        });
        self
    }

    /// As `<error>` (RFC 7047 §3.1).
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("error".to_owned(), Value::from(self.tag.as_ref()));
        for (name, member) in [("details", &self.details), ("syntax", &self.syntax), ("io-error", &self.io)] {
            if let Some(text) = member {
                object.insert(name.to_owned(), Value::from(text.as_str()));
            }
        }
        object.into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(syntax) = &self.syntax {
            write!(f, "syntax \"{syntax}\": ")?;
        }
        f.write_str(&self.tag)?;
        if let Some(details) = &self.details {
            write!(f, ": {details}")?;
        }
        if let Some(io) = &self.io {
            write!(f, " ({io})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
