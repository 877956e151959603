//! What a command works on.

use crate::cache::Cache;
use crate::profile::Profile;
use indexmap::IndexMap;
use model::listing::Listing;
use model::{Datum, Symbols, Uuid};
use replica::{Row, Transaction};
use std::sync::Arc;

/// Why a command, or the program, ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A message on stderr, after the program's name; exit status 1.
    Fatal(String),
    /// The same without the program's name.
    Plain(String),
    /// Text on stdout; exit status 0.
    Print(String),
    Exit(u8),
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::Fatal(text)
    }
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// `Err(Failure::Fatal(format!(...)))`.
macro_rules! fatal {
    ($($argument:tt)*) => {
        return Err(crate::context::Failure::Fatal(format!($($argument)*)))
    };
}
pub(crate) use fatal;

/// One command of the command line.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) syntax: &'static crate::syntax::Syntax,
    /// By name with its dashes; the value where it has one.
    pub(crate) options: IndexMap<String, Option<String>>,
    /// The command's name and its arguments.
    pub(crate) words: Vec<String>,
}

/// The state of all commands of one try, and of the one at hand.
pub(crate) struct Context {
    pub(crate) profile: &'static Profile,
    pub(crate) transaction: Transaction,
    pub(crate) symbols: Symbols,
    /// The one row of the table that holds everything together.
    pub(crate) root: Uuid,
    cache: Option<Cache>,
    /// Interfaces that the switch is expected to set up.
    pub(crate) new_interfaces: Vec<Uuid>,
    pub(crate) command: Command,
    pub(crate) output: String,
    pub(crate) listing: Option<Listing>,
    /// The UUID that a "create" prints, once it is known.
    pub(crate) created: Option<Uuid>,
    /// The database is not yet as the command wants it.
    pub(crate) try_again: bool,
}

impl Context {
    pub(crate) fn new(
        profile: &'static Profile,
        transaction: Transaction,
        root: Uuid,
        command: Command,
    ) -> Context {
        Context {
            profile,
            transaction,
            symbols: Symbols::new(),
            root,
            cache: None,
            new_interfaces: Vec::new(),
            command,
            output: String::new(),
            listing: None,
            created: None,
            try_again: false,
        }
    }

    /// The argument at a place; 0 is the command's name. Empty when it is not there.
    pub(crate) fn arg(&self, at: usize) -> &str {
        self.command.words.get(at).map_or("", String::as_str)
    }

    /// The arguments from a place on.
    pub(crate) fn args(&self, from: usize) -> Vec<String> {
        self.command.words.get(from..).unwrap_or_default().to_vec()
    }

    /// The number of words, the command's name among them.
    pub(crate) fn count(&self) -> usize {
        self.command.words.len()
    }

    pub(crate) fn has(&self, option: &str) -> bool {
        self.command.options.contains_key(option)
    }

    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.command.options.get(name)?.as_deref()
    }

    pub(crate) fn print(&mut self, line: &str) {
        self.output.push_str(line);
        self.output.push('\n');
    }

    /// One line each, sorted.
    pub(crate) fn print_sorted(&mut self, mut lines: Vec<String>) {
        lines.sort();
        lines.iter().for_each(|line| self.print(line));
    }

    /// The command as it was typed.
    pub(crate) fn command_text(&self) -> String {
        let option = |(name, value): (&String, &Option<String>)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        };
        let words = self.command.options.iter().map(option).chain(self.command.words.iter().cloned());
        words.collect::<Vec<_>>().join(" ")
    }

    /// Bridges, ports and interfaces by name.
    pub(crate) fn cache(&mut self) -> &mut Cache {
        let Context { cache, transaction, root, .. } = self;
        cache.get_or_insert_with(|| Cache::new(transaction, root))
    }

    /// Rows were changed in ways that the cache does not know of.
    pub(crate) fn forget_cache(&mut self) {
        self.cache = None;
    }

    pub(crate) fn row(&self, table: &str, uuid: &Uuid) -> Option<&Arc<Row>> {
        self.transaction.row(table, uuid)
    }

    pub(crate) fn root_row(&self) -> Option<&Arc<Row>> {
        self.row(self.profile.root, &self.root)
    }

    pub(crate) fn set(&mut self, table: &str, uuid: &Uuid, column: &str, value: impl Into<Datum>) {
        self.transaction.set(table, uuid, column, value);
    }

    /// The rows that a column refers to.
    pub(crate) fn references(&self, table: &str, uuid: &Uuid, column: &str) -> Vec<Uuid> {
        self.row(table, uuid).map(|row| row.references(column).collect()).unwrap_or_default()
    }

    /// Adds a reference to a column.
    pub(crate) fn add_reference(&mut self, table: &str, uuid: &Uuid, column: &str, to: Uuid) {
        let Some(row) = self.row(table, uuid) else { return };
        let mut value = row.get(column).clone();
        value.insert_all(&Datum::from(to));
        self.transaction.merge(table, uuid, column, value);
    }

    /// Takes a reference out of a column.
    pub(crate) fn remove_reference(&mut self, table: &str, uuid: &Uuid, column: &str, to: Uuid) {
        let Some(row) = self.row(table, uuid) else { return };
        let mut value = row.get(column).clone();
        value.remove_all(&Datum::from(to));
        self.transaction.merge(table, uuid, column, value);
    }

    pub(crate) fn text(&self, table: &str, uuid: &Uuid, column: &str) -> String {
        self.row(table, uuid).and_then(|row| row.text(column)).unwrap_or_default().to_owned()
    }
}
