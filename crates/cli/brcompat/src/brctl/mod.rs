//! `brctl`: the commands of bridge-utils.

mod change;
mod kernel;
mod show;
mod switch;

use std::process::ExitCode;

use base::getopt::{Opt, Order, Parser, Takes};

const PROGRAM: &str = "brctl";

/// A refusal: one line for stderr.
type Result = std::result::Result<(), String>;

struct Command {
    name: &'static str,
    /// With the tab that brings short ones in line.
    arguments: &'static str,
    help: &'static str,
    /// How many words it must have. Only some take more.
    count: usize,
    takes_more: bool,
    run: fn(&[String]) -> Result,
}

const fn command(
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
    count: usize,
    run: fn(&[String]) -> Result,
) -> Command {
    Command { name, arguments, help, count, takes_more: false, run }
}

const COMMANDS: &[Command] = &[
    Command { takes_more: true, ..command("addbr", "<bridge>\t", "add bridge", 1, change::add_bridge) },
    Command { takes_more: true, ..command("delbr", "<bridge>\t", "delete bridge", 1, change::delete_bridge) },
    Command {
        takes_more: true,
        ..command("addif", "<bridge> <device>", "add interface to bridge", 2, change::add_interface)
    },
    Command {
        takes_more: true,
        ..command("delif", "<bridge> <device>", "delete interface from bridge", 2, change::delete_interface)
    },
    command("hairpin", "<bridge> <port> {on|off}", "turn hairpin on/off", 3, change::hairpin),
    command("setageing", "<bridge> <time>\t", "set ageing time", 2, |args| {
        change::set(&change::AGEING, args)
    }),
    command("setbridgeprio", "<bridge> <prio>\t", "set bridge priority", 2, |args| {
        change::set(&change::PRIORITY, args)
    }),
    command("setfd", "<bridge> <time>\t", "set bridge forward delay", 2, |args| {
        change::set(&change::FORWARD_DELAY, args)
    }),
    command("sethello", "<bridge> <time>\t", "set hello time", 2, |args| change::set(&change::HELLO, args)),
    command("setmaxage", "<bridge> <time>\t", "set max message age", 2, |args| {
        change::set(&change::MAX_AGE, args)
    }),
    command("setpathcost", "<bridge> <port> <cost>", "set path cost", 3, |args| {
        change::set_port(&change::PATH_COST, args)
    }),
    command("setportprio", "<bridge> <port> <prio>", "set port priority", 3, |args| {
        change::set_port(&change::PORT_PRIORITY, args)
    }),
    Command {
        takes_more: true,
        ..command("show", "[ <bridge> ]\t", "show a list of bridges", 0, show::show)
    },
    command("showmacs", "<bridge>\t", "show a list of mac addrs", 1, show::macs),
    command("showstp", "<bridge>\t", "show bridge stp info", 1, show::stp),
    command("stp", "<bridge> {on|off}", "turn stp on/off", 2, change::stp),
];

/// The program. `args` are the words after its name.
pub fn brctl(args: Vec<String>) -> ExitCode {
    const OPTIONS: &[Opt<bool>] =
        &[Opt::both('h', "help", Takes::Nothing, false), Opt::both('V', "version", Takes::Nothing, true)];
    base::vlog::init(PROGRAM);
    base::vlog::set_all_levels(None, base::vlog::Level::Error);
    let mut parser = Parser::new(PROGRAM, OPTIONS, Order::StopAtWord, args);
    match parser.next() {
        Some(Ok(item)) if item.id => {
            println!("bridge-utils, 1.7");
            return ExitCode::SUCCESS;
        }
        Some(Ok(_)) => {
            print!("{}", usage());
            return ExitCode::SUCCESS;
        }
        Some(Err(e)) => {
            eprintln!("{e}\nUnknown option '?'");
            print!("{}", usage());
            return ExitCode::FAILURE;
        }
        None => {}
    }
    let words = parser.rest();
    let Some((name, arguments)) = words.split_first() else {
        print!("{}", usage());
        return ExitCode::FAILURE;
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        let hint = base::hint::did_you_mean(name, COMMANDS.iter().map(|command| command.name));
        eprintln!("never heard of command [{name}]{hint}");
        print!("{}", usage());
        return ExitCode::FAILURE;
    };
    let enough = arguments.len() >= command.count && (command.takes_more || arguments.len() == command.count);
    if !enough {
        println!("Incorrect number of arguments for command");
        println!("Usage: {PROGRAM} {} {}\t{}", command.name, command.arguments, command.help);
        return ExitCode::FAILURE;
    }
    match (command.run)(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let mut text = String::from("Usage: brctl [commands]\ncommands:\n");
    for command in COMMANDS {
        text.push_str(&format!("\t{:<10}\t{}\t{}\n", command.name, command.arguments, command.help));
    }
    text
}
