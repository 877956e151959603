//! `ovs-vsctl`: bridges, ports and everything else that the configuration
//! database holds, changed by one transaction per command line.
//!
//! The words after the program's name enter; text and an exit status leave.
//! [`options`] and [`syntax`] read the command line; [`run`] connects, executes
//! the commands on a transaction of a `replica`, and waits for the switch; each
//! family of commands has its file. [`complete`] is for shells.

mod bridges;
mod cache;
mod columns;
mod complete;
mod context;
mod controllers;
mod database;
mod names;
mod options;
mod ports;
mod reset;
mod run;
mod show;
mod syntax;
mod usage;
mod zones;

use std::process::ExitCode;

pub(crate) const PROGRAM: &str = "ovs-vsctl";

/// The program. `args` are the words after its name.
pub fn ovs_vsctl(args: Vec<String>) -> ExitCode {
    base::vlog::init(PROGRAM);
    base::vlog::set_all_levels(Some(base::vlog::Destination::Console), base::vlog::Level::Warning);
    match complete::run(&args) {
        None => {}
        Some(Ok(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Some(Err(why)) => {
            eprintln!("{PROGRAM}: {why}");
            return ExitCode::FAILURE;
        }
    }
    let command_line = escape(&args);
    let result =
        options::parse(args).and_then(|(options, commands)| run::run(options, commands, &command_line));
    match result {
        Ok(code) => code,
        Err(context::Failure::Print(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(context::Failure::Exit(code)) => ExitCode::from(code),
        Err(context::Failure::Plain(text)) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
        Err(context::Failure::Fatal(text)) => {
            eprintln!("{PROGRAM}: {text}");
            ExitCode::FAILURE
        }
    }
}

/// The command line as one could type it, for the log.
fn escape(args: &[String]) -> String {
    let mut text = PROGRAM.to_owned();
    for arg in args {
        text.push(' ');
        if arg.contains([' ', '\t', '\r', '\n', '\u{b}', '\\', '\'', '"']) {
            text.push_str(&format!("\"{}\"", arg.replace('\\', "\\\\").replace('"', "\\\"")));
        } else {
            text.push_str(arg);
        }
    }
    text
}
