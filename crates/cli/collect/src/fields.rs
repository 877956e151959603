//! Named values: what all texts are made of.

use std::borrow::Cow;
use std::fmt::Display;

/// Names and values in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fields(pub Vec<(Cow<'static, str>, String)>);

impl Fields {
    pub(crate) fn put(&mut self, name: impl Into<Cow<'static, str>>, value: impl Display) {
        self.0.push((name.into(), value.to_string()));
    }

    /// The value of the last field of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}
