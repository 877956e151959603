//! `ovs-dpctl`: datapaths and their flows.
//!
//! The reference's program works on the kernel's datapaths. Here the datapath
//! is the daemon's own, so a command is the daemon's `dpctl/COMMAND`, asked over
//! its control socket ([`daemon`]). Where no daemon runs there is no datapath,
//! and [`absent`] says so in the reference's words. What needs no datapath is
//! done in place. [`commands`] is the table of it all.

mod absent;
mod commands;
mod daemon;
mod options;

use std::process::ExitCode;

use commands::{COMMANDS, Command};
use options::Request;
use rpc::program;

pub(crate) const PROGRAM: &str = "ovs-dpctl";

/// The program. `args` are the words after its name.
pub fn ovs_dpctl(args: Vec<String>) -> ExitCode {
    base::vlog::init(PROGRAM);
    program::start(options::parse(args), |request| match run(&request) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(Failure::Said(text)) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
        Err(Failure::Silent) => ExitCode::FAILURE,
    })
}

/// Why a command was not done.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// Sentences for stderr.
    Said(String),
    /// The log has told why.
    Silent,
}

fn fail<T>(text: &str) -> Result<T, Failure> {
    Err(Failure::Said(format!("{PROGRAM}: {text}")))
}

fn run(request: &Request) -> Result<String, Failure> {
    let name = request.command.as_str();
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        let hint = base::hint::did_you_mean(name, COMMANDS.iter().map(|command| command.name));
        return fail(&format!("unknown command '{name}'; use --help for help{hint}"));
    };
    let count = request.arguments.len();
    if count < command.min {
        return fail(&format!("'{name}' command requires at least {} arguments", command.min));
    }
    if count > command.max {
        return fail(&format!("'{name}' command takes at most {} arguments", command.max));
    }
    if command.writes && request.read_only {
        return fail(&format!("'{name}' command does not work in read only mode"));
    }
    match command.name {
        "help" => Ok(options::usage()),
        "list-commands" => Ok(commands::list()),
        "parse-actions" => parse_actions(request),
        "normalize-actions" => normalize_actions(request),
        _ => ask(request, command),
    }
}

fn ask(request: &Request, command: &Command) -> Result<String, Failure> {
    request.run_time.waits_for(format!("the answer of ovs-vswitchd to \"dpctl/{}\"", request.command));
    match daemon::ask(request) {
        daemon::Answer::Done(text) => Ok(text),
        daemon::Answer::Refused(text) => {
            let lines = text.lines().map(|line| format!("{PROGRAM}: {line}"));
            Err(Failure::Said(lines.collect::<Vec<String>>().join("\n")))
        }
        daemon::Answer::NoDaemon => match (absent::refuse(request, command), command.without) {
            // The log has told it in words about a kernel module, which nobody needs here.
            (Failure::Silent, without) if without != commands::Without::Works => {
                Err(Failure::Said(rpc::hint::not_running("ovs-vswitchd").trim_start().to_owned()))
            }
            (Failure::Silent, _) => Err(Failure::Silent),
            (Failure::Said(text), _) => Err(Failure::Said(text + &rpc::hint::not_running("ovs-vswitchd"))),
        },
    }
}

/// Actions in a form in which they can be compared.
fn normalize_actions(request: &Request) -> Result<String, Failure> {
    let [flow, actions, names @ ..] = request.arguments.as_slice() else {
        return fail("'normalize-actions' command requires at least 2 arguments");
    };
    let is_verbose = request.switches.iter().any(|switch| switch == "-m");
    dp::text::normalize_actions(flow, actions, names, is_verbose).or_else(|refusal| {
        print!("{}", refusal.out);
        fail(&refusal.why)
    })
}

/// Actions as the datapath writes them, or the refusal.
fn parse_actions(request: &Request) -> Result<String, Failure> {
    let mut out = String::new();
    for text in &request.arguments {
        match dp::text::parse_actions(text, None) {
            Ok(actions) => out.push_str(&format!("{}\n", dp::text::format_actions(&actions, None))),
            Err(_) => {
                print!("{out}");
                return fail("odp_actions_from_string (Invalid argument)");
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use rpc::program::Stop;

    use super::*;

    fn told(line: &str) -> String {
        let words = line.split_whitespace().map(str::to_owned).collect();
        let request = match options::parse(words) {
            Ok(request) => request,
            Err(Stop::Print(text) | Stop::Fail(text)) => return text,
        };
        match run(&request) {
            Ok(text) | Err(Failure::Said(text)) => text,
            Err(Failure::Silent) => String::new(),
        }
    }

    #[test]
    fn mistakes_are_one_line_each() {
        assert_eq!(told(""), "ovs-dpctl: missing command name; use --help for help");
        assert_eq!(told("foo"), "ovs-dpctl: unknown command 'foo'; use --help for help");
        assert_eq!(
            told("dump-flow"),
            "ovs-dpctl: unknown command 'dump-flow'; use --help for help\nDid you mean 'dump-flows'?"
        );
        assert_eq!(told("add-if x"), "ovs-dpctl: 'add-if' command requires at least 2 arguments");
        assert_eq!(told("dump-dps x"), "ovs-dpctl: 'dump-dps' command takes at most 0 arguments");
        assert_eq!(
            told("--read-only del-dp x"),
            "ovs-dpctl: 'del-dp' command does not work in read only mode"
        );
        assert_eq!(told("-t 0 show"), "ovs-dpctl: value 0 on -t or --timeout is invalid");
    }

    #[test]
    fn actions_are_read_without_a_datapath() {
        assert_eq!(told("parse-actions 1,2"), "1,2\n");
        assert_eq!(told("parse-actions zz"), "ovs-dpctl: odp_actions_from_string (Invalid argument)");
    }
}
