//! What differs between the programs that this engine serves: `ovs-vsctl` and
//! `vtep-ctl`.

use crate::context::ROOT;
use crate::names::{KnownTable, RowName};
use crate::show::Shown;
use crate::syntax::{self, Syntax};
use crate::{names, show, usage};
use std::sync::OnceLock;

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

pub(crate) static OVS_VSCTL: Profile = Profile {
    program: "ovs-vsctl",
    purpose: "ovs-vswitchd management utility",
    declared: &schema::OPEN_VSWITCH,
    known: OnceLock::new(),
    root: ROOT,
    managers: "manager_options",
    always: &[(ROOT, Some(&["cur_cfg", "next_cfg", "bridges", "manager_options", "ssl", "datapaths"]))],
    things: &[
        ("Bridge", Some(&["name", "controller", "fail_mode", "ports", "external_ids", "auto_attach"])),
        ("Port", Some(&["name", "fake_bridge", "tag", "interfaces", "external_ids"])),
        ("Interface", Some(&["name", "ofport", "error"])),
    ],
    row_names: names::SWITCH,
    shown: show::SWITCH,
    commands: &[syntax::SWITCH, syntax::DATABASE, syntax::SHOW],
    help: usage::SWITCH,
    has_daemon: true,
};
