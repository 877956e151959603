//! `ovs-vsctl`: bridges, ports and everything else that the configuration
//! database holds, changed by one transaction per command line; and `vtep-ctl`,
//! which does the same with the database of a VXLAN gateway.
//!
//! The words after the program's name enter; text and an exit status leave.
//! [`options`] and [`syntax`] read the command line; [`run`] connects, executes
//! the commands on a transaction of a `replica`, and waits for the switch; each
//! family of commands has its file. What differs between the two programs is in
//! their [`profile`]; [`vtep`] has the commands of the second, and [`complete`]
//! is for shells.
//!
//! house: circle context <-> syntax because a command's syntax names the function that runs it, on a context that holds it
//! house: circle profile <-> syntax because a profile lists the commands by which its command lines are parsed

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
mod profile;
mod reset;
mod run;
mod show;
mod switch;
mod syntax;
mod usage;
mod vtep;
mod zones;

use profile::Profile;
use std::process::ExitCode;

/// The program. `args` are the words after its name.
pub fn ovs_vsctl(args: Vec<String>) -> ExitCode {
    match complete::run(&args) {
        None => called(&switch::OVS_VSCTL, args),
        Some(Ok(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Some(Err(why)) => {
            eprintln!("{}: {why}", switch::OVS_VSCTL.program);
            ExitCode::FAILURE
        }
    }
}

/// The program for VXLAN gateways.
pub fn vtep_ctl(args: Vec<String>) -> ExitCode {
    called(&vtep::VTEP_CTL, args)
}

fn called(profile: &'static Profile, args: Vec<String>) -> ExitCode {
    let program = profile.program;
    base::vlog::init(program);
    base::vlog::set_all_levels(Some(base::vlog::Destination::Console), base::vlog::Level::Warning);
    let command_line = escape(program, &args);
    let result = options::parse(profile, args)
        .and_then(|(options, commands)| run::run(options, commands, &command_line));
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
            eprintln!("{program}: {text}");
            ExitCode::FAILURE
        }
    }
}

/// The command line as one could type it, for the log.
fn escape(program: &str, args: &[String]) -> String {
    let mut text = program.to_owned();
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
