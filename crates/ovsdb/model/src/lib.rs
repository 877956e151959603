//! OVSDB's values (RFC 7047 §3, §5.1): what a schema says, what a column may
//! hold, and how clients name both.
//!
//! JSON and command-line text enter; [`Schema`], [`Datum`], [`Condition`] and
//! [`Mutation`] leave, and the other way round. Errors have the tags and words
//! of the reference, because clients show them. Rows and transactions are not
//! here.
//!
//! house: circle datum <-> types because a type may list the values that it allows (RFC 7047 §3.2), and a datum is read by its type

#![warn(missing_docs)]

pub mod atom;
pub mod condition;
pub mod datum;
pub mod error;
mod fresh;
pub mod json;
mod large_set;
pub mod listing;
pub mod members;
pub mod mutation;
pub mod number;
pub mod schema;
pub mod symbols;
mod text;
pub mod types;

pub use atom::Atom;
pub use condition::{Clause, Condition, Function};
pub use datum::Datum;
pub use error::Error;
pub use fresh::fresh_uuid;
pub use large_set::{Atoms, AtomsIter, LargeSet};
pub use members::Members;
pub use mutation::{Mutation, Mutator};
pub use schema::{ColumnSchema, Schema, TableSchema};
pub use symbols::{Symbol, Symbols};
pub use text::{is_delimiter, next_token};
pub use types::{AtomType, BaseType, RefKind, Type};

pub use serde_json::Value as Json;
pub use uuid::Uuid;

/// A result whose error is OVSDB's.
pub type Result<T> = std::result::Result<T, Error>;

/// Whether `text` is an `<id>` (RFC 7047 §3.1).
pub fn is_id(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_')
        && bytes.all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

/// The name that a transaction's JSON gives to the row `uuid`: `rowXXXXXXXX_XXXX_…`.
pub fn row_name(uuid: &Uuid) -> String {
    format!("row{}", uuid.hyphenated().to_string().replace('-', "_"))
}

/// A UUID in exactly the form that the reference takes: 36 characters with hyphens.
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

#[cfg(test)]
mod tests;
