//! The commands: their names, arguments and options.

use crate::context::{Command, Context, Failure, Result, fatal};
use crate::profile::Profile;
use crate::{bridges, controllers, database, ports, reset, show, zones};
use indexmap::IndexMap;

/// What a command reads, beside the tables that its arguments name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Nothing,
    /// The things that the program manages, such as bridges, ports and interfaces.
    Things,
    /// The table that the first argument names.
    Table,
    Show,
    /// These tables, whole, and what [`Reads::Things`] reads.
    Tables(&'static [&'static str]),
}

pub(crate) struct Syntax {
    pub(crate) name: &'static str,
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) arguments: &'static str,
    /// By comma; with "=" when they take a value.
    pub(crate) options: &'static str,
    pub(crate) reads: Reads,
    pub(crate) writes: bool,
    pub(crate) run: fn(&mut Context) -> Result<()>,
}

impl std::fmt::Debug for Syntax {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

pub(crate) const MANY: usize = usize::MAX;
const ZONES: Reads = Reads::Tables(&["Datapath", "CT_Zone", "CT_Timeout_Policy"]);
const RESET: Reads = Reads::Tables(&[
    "Bridge",
    "Port",
    "Interface",
    "Mirror",
    "Controller",
    "Manager",
    "NetFlow",
    "SSL",
    "sFlow",
    "IPFIX",
    "Flow_Sample_Collector_Set",
]);

macro_rules! syntax {
    ($($name:literal $min:tt..$max:tt $arguments:literal $options:literal $reads:expr, $writes:ident $run:path;)*) => {
        &[$(crate::syntax::Syntax {
            name: $name, min: $min, max: $max, arguments: $arguments, options: $options,
            reads: $reads, writes: crate::syntax::syntax!(@ $writes), run: $run,
        }),*]
    };
    (@ rw) => { true };
    (@ ro) => { false };
}
pub(crate) use syntax;

/// The commands of `ovs-vsctl`.
pub(crate) const SWITCH: &[Syntax] = syntax![
    "init" 0..0 "" "" Reads::Nothing, rw bridges::init;
    "add-br" 1..3 "NEW-BRIDGE [PARENT] [NEW-VLAN]" "--may-exist" Reads::Things, rw bridges::add_br;
    "del-br" 1..1 "BRIDGE" "--if-exists" Reads::Tables(&["Flow_Sample_Collector_Set"]), rw bridges::del_br;
    "list-br" 0..0 "" "--real,--fake" Reads::Things, ro bridges::list_br;
    "br-exists" 1..1 "BRIDGE" "" Reads::Things, ro bridges::br_exists;
    "br-to-vlan" 1..1 "BRIDGE" "" Reads::Things, ro bridges::br_to_vlan;
    "br-to-parent" 1..1 "BRIDGE" "" Reads::Things, ro bridges::br_to_parent;
    "br-set-external-id" 2..3 "BRIDGE KEY [VALUE]" "" Reads::Things, rw bridges::br_set_external_id;
    "br-get-external-id" 1..2 "BRIDGE [KEY]" "" Reads::Things, ro bridges::br_get_external_id;
    "list-ports" 1..1 "BRIDGE" "" Reads::Things, ro ports::list_ports;
    "add-port" 2..MANY "BRIDGE NEW-PORT [COLUMN[:KEY]=VALUE]..." "--may-exist" Reads::Things, rw ports::add_port;
    "del-port" 1..2 "[BRIDGE] PORT|IFACE" "--if-exists,--with-iface" Reads::Things, rw ports::del_port;
    "port-to-br" 1..1 "PORT" "" Reads::Things, ro ports::port_to_br;
    "add-bond" 4..MANY "BRIDGE BOND IFACE... [COLUMN[:KEY]=VALUE]..." "--may-exist,--fake-iface" Reads::Things, rw ports::add_bond;
    "add-bond-iface" 2..2 "BOND IFACE" "--may-exist" Reads::Things, rw ports::add_bond_iface;
    "del-bond-iface" 1..2 "[BOND] IFACE" "--if-exists" Reads::Things, rw ports::del_bond_iface;
    "list-ifaces" 1..1 "BRIDGE" "" Reads::Things, ro ports::list_ifaces;
    "iface-to-br" 1..1 "IFACE" "" Reads::Things, ro ports::iface_to_br;
    "get-controller" 1..1 "BRIDGE" "" Reads::Tables(&["Controller"]), ro controllers::get_controller;
    "del-controller" 1..1 "BRIDGE" "" Reads::Tables(&["Controller"]), rw controllers::del_controller;
    "set-controller" 1..MANY "BRIDGE TARGET..." "--inactivity-probe=" Reads::Tables(&["Controller"]), rw controllers::set_controller;
    "get-fail-mode" 1..1 "BRIDGE" "" Reads::Things, ro controllers::get_fail_mode;
    "del-fail-mode" 1..1 "BRIDGE" "" Reads::Things, rw controllers::del_fail_mode;
    "set-fail-mode" 2..2 "BRIDGE MODE" "" Reads::Things, rw controllers::set_fail_mode;
    "get-manager" 0..0 "" "" Reads::Tables(&["Manager"]), ro controllers::get_manager;
    "del-manager" 0..0 "" "" Reads::Tables(&["Manager"]), rw controllers::del_manager;
    "set-manager" 1..MANY "TARGET..." "--inactivity-probe=" Reads::Tables(&["Manager"]), rw controllers::set_manager;
    "get-ssl" 0..0 "" "" Reads::Tables(&["SSL"]), ro controllers::get_ssl;
    "del-ssl" 0..0 "" "" Reads::Tables(&["SSL"]), rw controllers::del_ssl;
    "set-ssl" 3..3 "PRIVATE-KEY CERTIFICATE CA-CERT" "--bootstrap" Reads::Tables(&["SSL"]), rw controllers::set_ssl;
    "add-aa-mapping" 3..3 "BRIDGE ARG ARG" "" Reads::Tables(&["AutoAttach"]), rw bridges::add_aa_mapping;
    "del-aa-mapping" 3..3 "BRIDGE ARG ARG" "" Reads::Tables(&["AutoAttach"]), rw bridges::del_aa_mapping;
    "get-aa-mapping" 1..1 "BRIDGE" "" Reads::Tables(&["AutoAttach"]), ro bridges::get_aa_mapping;
    "emer-reset" 0..0 "" "" RESET, rw reset::emer_reset;
    "add-zone-tp" 3..MANY "" "--may-exist" ZONES, rw zones::add_zone_tp;
    "del-zone-tp" 2..2 "" "--if-exists" ZONES, rw zones::del_zone_tp;
    "list-zone-tp" 1..1 "" "" ZONES, ro zones::list_zone_tp;
    "list-dp-cap" 1..1 "" "" ZONES, ro zones::list_dp_cap;
    "set-zone-limit" 3..3 "ARG ARG ARG" "" ZONES, rw zones::set_zone_limit;
    "del-zone-limit" 2..2 "ARG ARG" "--if-exists" ZONES, rw zones::del_zone_limit;
    "list-zone-limits" 1..1 "ARG" "" ZONES, ro zones::list_zone_limits;
];

/// The commands about any table.
pub(crate) const DATABASE: &[Syntax] = syntax![
    "comment" 0..MANY "[ARG]..." "" Reads::Nothing, ro database::comment;
    "get" 2..MANY "TABLE RECORD [COLUMN[:KEY]]..." "--if-exists,--id=" Reads::Table, ro database::get;
    "list" 1..MANY "TABLE [RECORD]..." "--if-exists,--columns=" Reads::Table, ro database::list;
    "find" 1..MANY "TABLE [COLUMN[:KEY]=VALUE]..." "--columns=" Reads::Table, ro database::find;
    "set" 3..MANY "TABLE RECORD COLUMN[:KEY]=VALUE..." "--if-exists" Reads::Table, rw database::set_columns;
    "add" 4..MANY "TABLE RECORD COLUMN [KEY=]VALUE..." "--if-exists" Reads::Table, rw database::add;
    "remove" 4..MANY "TABLE RECORD COLUMN KEY|VALUE|KEY=VALUE..." "--if-exists" Reads::Table, rw database::remove;
    "clear" 3..MANY "TABLE RECORD COLUMN..." "--if-exists" Reads::Table, rw database::clear;
    "create" 2..MANY "TABLE COLUMN[:KEY]=VALUE..." "--id=" Reads::Table, rw database::create;
    "destroy" 1..MANY "TABLE [RECORD]..." "--if-exists,--all" Reads::Table, rw database::destroy;
    "wait-until" 2..MANY "TABLE RECORD [COLUMN[:KEY]=VALUE]..." "" Reads::Table, ro database::wait_until;
];

pub(crate) const SHOW: &[Syntax] = syntax![
    "show" 0..1 "[BRIDGE]" "--filter=" Reads::Show, ro show::show;
];

/// All options of commands: name without dashes, and whether it takes a value.
pub(crate) fn command_options(profile: &Profile) -> Vec<(&'static str, bool)> {
    let mut options: Vec<(&str, bool)> = Vec::new();
    for option in profile.syntaxes().flat_map(|syntax| syntax.options.split(',')).filter(|o| !o.is_empty()) {
        let name = option.trim_start_matches('-');
        let option = match name.strip_suffix('=') {
            Some(name) => (name, true),
            None => (name, false),
        };
        if !options.contains(&option) {
            options.push(option);
        }
    }
    options
}

/// Takes apart the commands, which "--" separates. `local` are options that came before the first.
pub(crate) fn parse(
    profile: &Profile,
    words: Vec<String>,
    mut local: IndexMap<String, Option<String>>,
) -> Result<Vec<Command>> {
    let missing = || Failure::Fatal("missing command name (use --help for help)".to_owned());
    let mut commands = Vec::new();
    for words in words.split(|word| word == "--") {
        if words.is_empty() {
            if !local.is_empty() {
                return Err(missing());
            }
            continue;
        }
        commands.push(parse_one(profile, words, std::mem::take(&mut local))?);
    }
    if commands.is_empty() { Err(missing()) } else { Ok(commands) }
}

fn parse_one(
    profile: &Profile,
    words: &[String],
    mut options: IndexMap<String, Option<String>>,
) -> Result<Command> {
    let n = words.iter().position(|word| !word.starts_with('-')).unwrap_or(words.len());
    let (typed, words) = words.split_at(n);
    for option in typed {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option.as_str(), None),
        };
        if options.insert(name.to_owned(), value).is_some() {
            fatal!("'{option}' option specified multiple times");
        }
    }
    let Some(name) = words.first() else { fatal!("missing command name (use --help for help)") };
    let Some(syntax) = profile.syntaxes().find(|syntax| syntax.name == name) else {
        let hint = base::hint::did_you_mean(name, profile.syntaxes().map(|syntax| syntax.name));
        fatal!("unknown command '{name}'; use --help for help{hint}");
    };
    for (option, value) in &options {
        let with_value = format!("{option}=");
        let takes_value = syntax.options.split(',').any(|o| o == with_value);
        if !takes_value && !syntax.options.split(',').any(|o| o == option) {
            let known = syntax.options.split(',').map(|option| option.trim_end_matches('='));
            let hint = base::hint::did_you_mean(option, known);
            fatal!("'{name}' command has no '{option}' option{hint}");
        }
        if takes_value && value.is_none() {
            fatal!("missing argument to '{option}' option on '{name}' command");
        }
        if !takes_value && value.is_some() {
            fatal!("'{option}' option on '{name}' does not accept an argument");
        }
    }
    let arguments = words.len() - 1;
    if arguments < syntax.min {
        fatal!("'{name}' command requires at least {} arguments", syntax.min);
    }
    if arguments > syntax.max {
        let note = if words.iter().skip(1).any(|word| word.starts_with('-')) {
            " (note that options must precede command names and follow a \"--\" argument)"
        } else {
            ""
        };
        fatal!("'{name}' command takes at most {} arguments{note}", syntax.max);
    }
    Ok(Command { syntax, options, words: words.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::OVS_VSCTL;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn refusal(line: &str) -> String {
        match parse(&OVS_VSCTL, words(line), IndexMap::new()) {
            Err(Failure::Fatal(text)) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn dashes_part_commands_and_options_belong_to_the_next_one() {
        let line = "--may-exist add-br br0 -- -- add-port br0 p1 tag=5 -- --id=@c create Controller target=x";
        let commands = parse(&OVS_VSCTL, words(line), IndexMap::new()).expect("commands");
        let parts: Vec<(String, Vec<(&str, Option<&str>)>)> = commands
            .iter()
            .map(|command| {
                let options = command.options.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
                (command.words.join(" "), options.collect())
            })
            .collect();
        assert_eq!(
            parts,
            [
                ("add-br br0".to_owned(), vec![("--may-exist", None)]),
                ("add-port br0 p1 tag=5".to_owned(), vec![]),
                ("create Controller target=x".to_owned(), vec![("--id", Some("@c"))]),
            ]
        );
    }

    #[test]
    fn options_before_the_first_command_are_its_own() {
        let local = IndexMap::from([("--if-exists".to_owned(), None)]);
        let commands = parse(&OVS_VSCTL, words("del-br br0 -- list-br"), local.clone()).expect("commands");
        assert!(commands[0].options.contains_key("--if-exists") && commands[1].options.is_empty());
        // They are lost on nothing.
        let failed = parse(&OVS_VSCTL, words("-- list-br"), local);
        assert!(matches!(failed, Err(Failure::Fatal(text)) if text.starts_with("missing command name")));
    }

    #[test]
    fn what_a_command_does_not_take_is_refused() {
        for (line, refused) in [
            ("", "missing command name (use --help for help)"),
            ("--may-exist", "missing command name (use --help for help)"),
            ("list-br x", "'list-br' command takes at most 0 arguments"),
            ("add-br", "'add-br' command requires at least 1 arguments"),
            (
                "list-br --real",
                "'list-br' command takes at most 0 arguments (note that options must precede command names and follow \
                 a \"--\" argument)",
            ),
            ("--may-exist --may-exist add-br b", "'--may-exist' option specified multiple times"),
            ("--may-exist=1 add-br b", "'--may-exist' option on 'add-br' does not accept an argument"),
            ("--id create Bridge name=b", "missing argument to '--id' option on 'create' command"),
            ("--id=@b list-br", "'list-br' command has no '--id' option"),
            ("list-br -- qwertyuiop", "unknown command 'qwertyuiop'; use --help for help"),
        ] {
            assert_eq!(refusal(line), refused, "{line}");
        }
    }

    #[test]
    fn each_option_is_listed_once_with_whether_it_takes_a_value() {
        let options = command_options(&OVS_VSCTL);
        for (name, takes_value) in
            [("may-exist", false), ("if-exists", false), ("id", true), ("columns", true)]
        {
            let found: Vec<_> = options.iter().filter(|(known, _)| *known == name).collect();
            assert_eq!(found, [&(name, takes_value)]);
        }
    }
}
