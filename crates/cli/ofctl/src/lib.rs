//! `ovs-ofctl`: one OpenFlow request to a switch, what it answers to the terminal.
//!
//! Enters: the words of the command line. Leaves: text on standard output,
//! exit status 0, or a sentence on standard error and 1. Messages and their
//! text come from `ofp`; here are only the commands.

/// `print!` that does not mind when nobody reads any more.
macro_rules! show {
    ($($arg:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!($($arg)*));
    }};
}

/// [`show`] with a newline.
macro_rules! show_line {
    () => { show!("\n") };
    ($($arg:tt)*) => { show!("{}\n", format_args!($($arg)*)) };
}

mod flows;
mod groups;
mod matches;
mod meters;
mod monitor;
mod options;
mod packets;
mod switch;
mod tables;
mod testing;
mod tlv;
mod usage;
mod vconn;

use std::process::ExitCode;

use options::{Options, Parsed};

/// What ends the program early: a sentence, or nothing when it has been said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fatal {
    #[error("{0}")]
    Said(String),
    /// The reason is on standard error already.
    #[error("")]
    Silent,
}

impl From<fields::TextError> for Fatal {
    fn from(error: fields::TextError) -> Fatal {
        Fatal::Said(error.0)
    }
}

/// `Err(Fatal)` with a formatted sentence.
macro_rules! fatal {
    ($($arg:tt)*) => { Err($crate::Fatal::Said(format!($($arg)*))) };
}
pub(crate) use fatal;

pub(crate) type Done = Result<(), Fatal>;

/// What a command gets: its words, itself the first, and the options.
pub(crate) struct Context {
    pub(crate) args: Vec<String>,
    pub(crate) options: Options,
}

impl Context {
    /// The argument `index`, or nothing.
    pub(crate) fn arg(&self, index: usize) -> &str {
        self.args.get(index).map_or("", String::as_str)
    }
}

struct Command {
    name: &'static str,
    least: usize,
    most: usize,
    run: fn(&Context) -> Done,
    writes: bool,
}

const fn command(
    name: &'static str,
    least: usize,
    most: usize,
    run: fn(&Context) -> Done,
    writes: bool,
) -> Command {
    Command { name, least, most, run, writes }
}

const ANY: usize = usize::MAX;

const COMMANDS: &[Command] = &[
    command("show", 1, 1, switch::show, false),
    command("monitor", 1, 3, monitor::monitor, false),
    command("snoop", 1, 1, monitor::snoop, false),
    command("dump-desc", 1, 1, switch::dump_desc, false),
    command("dump-tables", 1, 1, switch::dump_tables, false),
    command("dump-table-features", 1, 1, switch::dump_table_features, false),
    command("dump-table-desc", 1, 1, switch::dump_table_desc, false),
    command("dump-flows", 1, 2, flows::dump_flows, false),
    command("dump-aggregate", 1, 2, flows::dump_aggregate, false),
    command("queue-stats", 1, 3, switch::queue_stats, false),
    command("queue-get-config", 1, 3, tables::queue_get_config, false),
    command("mod-table", 3, 3, tables::mod_table, true),
    command("add-flow", 2, 2, flows::add_flow, true),
    command("add-flows", 2, 2, flows::add_flows, true),
    command("mod-flows", 2, 2, flows::mod_flows, true),
    command("del-flows", 1, 2, flows::del_flows, true),
    command("replace-flows", 2, 2, flows::replace_flows, true),
    command("diff-flows", 2, 2, flows::diff_flows, true),
    command("add-meter", 2, 2, meters::add_meter, true),
    command("mod-meter", 2, 2, meters::mod_meter, true),
    command("dump-meter", 1, 2, meters::dump_meters, false),
    command("dump-meters", 1, 2, meters::dump_meters, false),
    command("meter-stats", 1, 2, meters::meter_stats, false),
    command("meter-features", 1, 1, meters::meter_features, false),
    command("del-meter", 1, 2, meters::del_meters, true),
    command("del-meters", 1, 2, meters::del_meters, true),
    command("packet-out", 2, ANY, switch::packet_out, true),
    command("dump-ports", 1, 2, switch::dump_ports, false),
    command("dump-ports-desc", 1, 2, switch::dump_ports_desc, false),
    command("mod-port", 3, 3, switch::mod_port, true),
    command("get-frags", 1, 1, switch::get_frags, false),
    command("set-frags", 2, 2, switch::set_frags, true),
    command("probe", 1, 1, switch::probe, false),
    command("ping", 1, 2, switch::ping, false),
    command("add-group", 1, 2, groups::add_group, true),
    command("add-groups", 1, 2, groups::add_groups, true),
    command("mod-group", 1, 2, groups::mod_group, true),
    command("insert-buckets", 1, 2, groups::insert_buckets, true),
    command("remove-buckets", 1, 2, groups::remove_buckets, true),
    command("bundle", 2, 2, groups::bundle, true),
    command("dump-groups", 1, 2, groups::dump_groups, false),
    command("dump-group-stats", 1, 2, groups::dump_group_stats, false),
    command("dump-group-features", 1, 1, groups::dump_group_features, false),
    command("del-groups", 1, 2, groups::del_groups, true),
    command("add-tlv-map", 2, 2, tlv::add, true),
    command("del-tlv-map", 1, 2, tlv::delete, true),
    command("dump-tlv-map", 1, 1, switch::dump_tlv_map, false),
    command("dump-ipfix-bridge", 1, 1, switch::dump_ipfix_bridge, false),
    command("dump-ipfix-flow", 1, 1, switch::dump_ipfix_flow, false),
    command("ct-flush-zone", 2, 2, switch::ct_flush_zone, true),
    command("ct-flush", 1, 6, switch::ct_flush, true),
    command("ofp-parse", 1, 1, testing::ofp_parse, true),
    command("list-commands", 0, ANY, list_commands, false),
    command("parse-flow", 1, 1, testing::parse_flow, true),
    command("parse-flows", 1, 1, testing::parse_flows, true),
    command("parse-group", 1, 1, testing::parse_group, true),
    command("parse-nx-match", 0, 0, matches::parse_nxm, true),
    command("parse-nxm", 0, 0, matches::parse_nxm, true),
    command("parse-oxm", 1, 1, matches::parse_oxm, true),
    command("parse-ofp10-match", 0, 0, matches::parse_ofp10_match, true),
    command("parse-ofp11-match", 0, 0, matches::parse_ofp11_match, true),
    command("check-vlan", 2, 2, matches::check_vlan, true),
    command("parse-actions", 1, 1, testing::parse_actions, true),
    command("parse-instructions", 1, 1, testing::parse_instructions, true),
    command("print-error", 1, 1, testing::print_error, true),
    command("encode-error-reply", 2, 2, testing::encode_error_reply, true),
    command("ofp-print", 1, 2, testing::ofp_print, true),
    command("encode-hello", 1, 1, testing::encode_hello, true),
    command("parse-key-value", 1, ANY, testing::parse_key_value, true),
    command("parse-pcap", 1, ANY, packets::parse_pcap, false),
    command("compose-packet", 1, 2, packets::compose_packet, true),
    command("parse-packet", 0, 0, testing::parse_packet, false),
];

fn list_commands(_: &Context) -> Done {
    show_line!("The available commands are:");
    for command in COMMANDS {
        show_line!("  {}", command.name);
    }
    Ok(())
}

fn run(context: &Context) -> Done {
    let name = context.arg(0);
    let Some(command) = COMMANDS.iter().find(|c| c.name == name) else {
        if name.is_empty() {
            return fatal!("missing command name; use --help for help");
        }
        let hint = base::hint::did_you_mean(name, COMMANDS.iter().map(|command| command.name));
        return fatal!("unknown command '{name}'; use --help for help{hint}");
    };
    let n = context.args.len() - 1;
    if n < command.least {
        return fatal!("'{name}' command requires at least {} arguments", command.least);
    }
    if n > command.most {
        return fatal!("'{name}' command takes at most {} arguments", command.most);
    }
    if command.writes && context.options.read_only {
        return fatal!("'{name}' command does not work in read only mode");
    }
    (command.run)(context)
}

/// The program. `args` are the words after its name.
pub fn ovs_ofctl(args: Vec<String>) -> ExitCode {
    const PROGRAM: &str = "ovs-ofctl";
    base::vlog::init(PROGRAM);
    let ended = match options::parse(PROGRAM, args) {
        Ok(Parsed::Print(text)) => {
            show!("{text}");
            return ExitCode::SUCCESS;
        }
        Ok(Parsed::Run(options, args)) => run(&Context { args, options: *options }),
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::FAILURE;
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fatal::Silent) => ExitCode::FAILURE,
        Err(Fatal::Said(text)) => {
            eprintln!("{PROGRAM}: {text}");
            ExitCode::FAILURE
        }
    }
}
