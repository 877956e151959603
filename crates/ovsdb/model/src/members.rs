//! Reading a JSON object whose members are known: each is taken once, by kind, and none may be left.

use crate::error::Error;
use crate::is_id;
use serde_json::{Map, Value};
use smallvec::SmallVec;
use std::fmt::Display;

/// What kinds of value a member may have; combine with `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    /// `null`.
    pub const NULL: Kinds = Kinds(1);
    /// `true` or `false`.
    pub const BOOLEAN: Kinds = Kinds(2);
    /// An object.
    pub const OBJECT: Kinds = Kinds(4);
    /// An array.
    pub const ARRAY: Kinds = Kinds(8);
    /// A number that is a 64-bit integer.
    pub const INTEGER: Kinds = Kinds(16);
    /// Any number.
    pub const NUMBER: Kinds = Kinds(16 | 32);
    /// A string.
    pub const STRING: Kinds = Kinds(64);
    /// A string that is an `<id>`.
    pub const ID: Kinds = Kinds(128);
    /// Anything.
    pub const ANY: Kinds = Kinds(127);

    fn admits(self, value: &Value) -> bool {
        let bit = match value {
            Value::Null => 1,
            Value::Bool(_) => 2,
            Value::Object(_) => 4,
            Value::Array(_) => 8,
            Value::Number(_) if crate::number::integer(value).is_some() => 16,
            Value::Number(_) => 32,
            Value::String(s) if is_id(s) => 64 | 128,
            Value::String(_) => 64,
        };
        self.0 & bit != 0
    }
}

impl std::ops::BitOr for Kinds {
    type Output = Kinds;
    fn bitor(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }
}

/// The reader of one object. The first mistake is kept until [`Members::finish`].
pub struct Members<'a> {
    name: &'a dyn Display,
    json: &'a Value,
    object: Option<&'a Map<String, Value>>,
    used: SmallVec<[&'a str; 8]>,
    error: Option<Error>,
}

impl<'a> Members<'a> {
    /// `name` says in messages what is being read.
    pub fn new(json: &'a Value, name: &'a dyn Display) -> Members<'a> {
        let mut members =
            Members { name, json, object: json.as_object(), used: SmallVec::new(), error: None };
        if members.object.is_none() {
            members.fail_plain("Object expected.");
        }
        members
    }

    /// A member that must be there; that it is not, or is of another kind, is the error.
    pub fn required(&mut self, name: &str, kinds: Kinds) -> Option<&'a Value> {
        let found = self.optional(name, kinds);
        if found.is_none() && self.object.is_some() && self.find(name).is_none() {
            self.fail(&format!("Required '{name}' member is missing."));
        }
        found
    }

    /// Objects of known members are small: looking through one is faster than hashing a name.
    fn find(&self, name: &str) -> Option<(&'a String, &'a Value)> {
        self.object?.iter().find(|(key, _)| *key == name)
    }

    /// A member that may lack; that it is of another kind is the error.
    pub fn optional(&mut self, name: &str, kinds: Kinds) -> Option<&'a Value> {
        let (key, value) = self.find(name)?;
        if !kinds.admits(value) {
            self.fail(&format!("Type mismatch for member '{name}'."));
            return None;
        }
        self.used.push(key);
        Some(value)
    }

    /// An optional member that is a string.
    pub fn text(&mut self, name: &str) -> Option<&'a str> {
        self.optional(name, Kinds::STRING)?.as_str()
    }

    /// An optional member that is true or false.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        self.optional(name, Kinds::BOOLEAN)?.as_bool()
    }

    /// An optional member that is an integer.
    pub fn integer(&mut self, name: &str) -> Option<i64> {
        crate::number::integer(self.optional(name, Kinds::INTEGER)?)
    }

    /// What is being read.
    pub fn json(&self) -> &'a Value {
        self.json
    }

    /// Whether a member was not as it should be.
    pub fn has_error(&self) -> bool {
        self.error.is_some()
    }

    fn fail_plain(&mut self, message: &str) {
        if self.error.is_none() {
            let name = &self.name;
            self.error = Some(Error::new("syntax error", format!("Parsing {name} failed: {message}")));
        }
    }

    /// Keeps a mistake about this object.
    pub fn fail(&mut self, message: &str) {
        if self.error.is_none() {
            self.fail_plain(message);
            self.error = self.error.take().map(|e| e.about(self.json));
        }
    }

    /// Keeps a mistake that was found elsewhere.
    pub fn put_error(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    /// Takes a value that may be a mistake, which is kept.
    pub fn keep<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|e| self.put_error(e)).ok()
    }

    /// The first mistake, or that a member is unknown.
    pub fn finish(mut self) -> Result<(), Error> {
        if let (None, Some(object)) = (&self.error, self.object) {
            let unused: Vec<&String> = object.keys().filter(|k| !self.used.contains(&k.as_str())).collect();
            match unused.as_slice() {
                [] => {}
                [name] => self.fail(&format!("Member '{name}' is present but not allowed here.")),
                [name, rest @ ..] => {
                    let (n, s) = (rest.len(), if rest.len() > 1 { "s" } else { "" });
                    self.fail(&format!(
                        "Member '{name}' and {n} other member{s} are present but not allowed here."
                    ));
                }
            }
        }
        self.error.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_member_taken_twice_hides_no_other() {
        let json = json!({"known": 1, "unknown": 2});
        let mut members = Members::new(&json, &"test");
        assert_eq!((members.integer("known"), members.integer("known")), (Some(1), Some(1)));
        let error = members.finish().unwrap_err().to_string();
        assert!(error.contains("Member 'unknown' is present but not allowed here."), "{error}");
    }
}
