//! `ovs-ctl`: starts and stops the daemons, as init scripts and operators ask
//! for it.
//!
//! A command line enters; daemons run or end, and progress lines leave. The
//! daemons and the programs that configure them are this same executable under
//! other names. [`options`] reads the command line, [`daemon`] knows pid files
//! and processes, [`launch`] starts and [`stop`] ends a daemon, [`database`]
//! makes the file ready, [`identity`] says who the system is, and [`carried`]
//! has what a restart carries over. What a daemon does is not here.

mod carried;
mod console;
mod daemon;
mod database;
mod firewall;
mod identity;
mod launch;
mod options;
mod ours;
mod start;
mod stop;

use std::process::ExitCode;

use options::{Request, Settings};
use rpc::program;

pub(crate) const PROGRAM: &str = "ovs-ctl";

/// The program. `args` are the words after its name.
pub fn ovs_ctl(args: Vec<String>) -> ExitCode {
    program::start(options::parse(args), |request| match run(&request) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

const COMMANDS: [&str; 10] = [
    "start",
    "stop",
    "restart",
    "status",
    "version",
    "load-kmod",
    "force-reload-kmod",
    "enable-protocol",
    "delete-transient-ports",
    "record-hostname-if-not-set",
];

/// Whether the command did what it was asked for; what went wrong has been told.
fn run(request: &Request) -> bool {
    let settings = &request.settings;
    match request.command.as_str() {
        "start" => start::start(settings),
        "stop" => stop::stop(settings),
        "restart" => start::restart(settings),
        "status" => status(settings),
        "version" => {
            for name in daemons(settings) {
                println!("{}", rpc::version_text(name));
            }
            true
        }
        "load-kmod" => {
            console::success("No kernel module is needed");
            true
        }
        "force-reload-kmod" => {
            console::warning("There is no kernel module to reload, restarting the daemons");
            start::restart(settings)
        }
        "enable-protocol" => firewall::enable_protocol(settings),
        "delete-transient-ports" => start::delete_transient_ports(),
        "record-hostname-if-not-set" => identity::record_hostname(settings),
        "start-ovs-ipsec" | "stop-ovs-ipsec" => {
            eprintln!("{PROGRAM}: {}: ovs-monitor-ipsec is not part of this switch", request.command);
            false
        }
        other => {
            let hint = base::hint::did_you_mean(other, COMMANDS);
            eprintln!("{PROGRAM}: unknown command \"{other}\" (use --help for help){hint}");
            false
        }
    }
}

/// The daemons that "status" and "version" tell of.
fn daemons(settings: &Settings) -> Vec<&'static str> {
    let mut names = vec!["ovsdb-server", "ovs-vswitchd"];
    if settings.brcompat {
        names.push("ovs-brcompatd");
    }
    names
}

fn status(settings: &Settings) -> bool {
    let mut all_run = true;
    for name in daemons(settings) {
        let (text, runs) = daemon::status(name);
        println!("{text}");
        all_run &= runs;
    }
    all_run
}
