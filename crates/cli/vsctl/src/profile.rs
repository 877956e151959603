//! What differs between the programs that this engine serves: `ovs-vsctl` and
//! `vtep-ctl`.

use crate::syntax::Syntax;
use model::TableSchema;
use std::sync::{Arc, OnceLock};

/// A table that the program is built with: its names are known before there is a connection.
pub(crate) struct KnownTable {
    pub(crate) declared: &'static schema::Table,
    /// Made of what is declared when it is first used, as most tables are not.
    pub(crate) schema: OnceLock<Result<Arc<TableSchema>, String>>,
}

/// How rows of a table may be named: by a column, perhaps of a row of another table that refers to them.
pub(crate) struct RowName {
    pub(crate) table: &'static str,
    pub(crate) name_table: &'static str,
    pub(crate) name_column: &'static str,
    pub(crate) reference: Option<&'static str>,
}

/// What is shown of a table's rows.
pub(crate) struct Shown {
    pub(crate) table: &'static str,
    pub(crate) name: Option<&'static str>,
    pub(crate) columns: &'static [&'static str],
}

/// Tables with the columns that are wanted of each, or all.
pub(crate) type Reading = &'static [(&'static str, Option<&'static [&'static str]>)];

pub(crate) struct Profile {
    pub(crate) program: &'static str,
    /// What it manages, for `--help`.
    pub(crate) purpose: &'static str,
    pub(crate) declared: &'static schema::Schema,
    /// Its tables; see [`names`].
    pub(crate) known: OnceLock<Vec<KnownTable>>,
    /// The table with the one row that holds everything together.
    pub(crate) root: &'static str,
    /// The column of that row with the managers.
    pub(crate) managers: &'static str,
    /// What is read for every command.
    pub(crate) always: Reading,
    /// What is read for commands about the things that the program manages.
    pub(crate) things: Reading,
    pub(crate) row_names: &'static [RowName],
    pub(crate) shown: &'static [Shown],
    pub(crate) commands: &'static [&'static [Syntax]],
    /// Its own commands, for `--help`.
    pub(crate) help: &'static str,
    /// A daemon is expected to do what the database says, and may be waited for.
    pub(crate) has_daemon: bool,
}

impl Profile {
    /// All commands.
    pub(crate) fn syntaxes(&self) -> impl Iterator<Item = &'static Syntax> + use<> {
        self.commands.iter().flat_map(|commands| commands.iter())
    }
}
