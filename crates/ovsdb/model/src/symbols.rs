//! Names that stand for rows which a transaction inserts (`named-uuid`, `@name`).

use crate::types::{BaseType, RefKind};
use indexmap::IndexMap;
use uuid::Uuid;

/// One name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Of the row that has the name, or will have it.
    pub uuid: Uuid,
    /// A row of that name was inserted.
    pub created: bool,
    /// A column refers to it that keeps the row alive.
    pub strong_ref: bool,
    /// A column refers to it that does not keep the row alive.
    pub weak_ref: bool,
}

/// The names of one transaction, in the order of their appearance.
#[derive(Clone, Debug, Default)]
pub struct Symbols(IndexMap<String, Symbol>);

impl Symbols {
    /// No names.
    pub fn new() -> Symbols {
        Symbols::default()
    }

    /// The symbol of that name, if the name was used.
    pub fn get(&self, name: &str) -> Option<&Symbol> {
        self.0.get(name)
    }

    /// The symbol of that name, with a new random UUID when it is a new one.
    pub fn insert(&mut self, name: &str) -> &mut Symbol {
        self.0.entry(name.to_owned()).or_insert_with(|| Symbol {
            uuid: crate::fresh_uuid(),
            created: false,
            strong_ref: false,
            weak_ref: false,
        })
    }

    /// The UUID of a name that a column of type `base` refers to.
    pub fn refer(&mut self, name: &str, base: &BaseType) -> Uuid {
        let symbol = self.insert(name);
        match base.reference() {
            Some((_, RefKind::Strong)) => symbol.strong_ref = true,
            Some((_, RefKind::Weak)) => symbol.weak_ref = true,
            None => {}
        }
        symbol.uuid
    }

    /// All names with their symbols.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Symbol)> {
        self.0.iter().map(|(name, symbol)| (name.as_str(), symbol))
    }
}
