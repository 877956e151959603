//! How programs begin and end: what was asked for instead of a run, and what
//! went wrong, are reported in one place and one way.

use std::process::ExitCode;

/// What a command line asks for instead of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Text for stdout, as of `--help`.
    Print(String),
    /// Sentences for stderr: the command line is wrong.
    Fail(String),
}

/// Runs a program by its command line, or tells why not.
pub fn start<O>(parsed: Result<O, Stop>, run: impl FnOnce(O) -> ExitCode) -> ExitCode {
    match parsed {
        Ok(options) => run(options),
        Err(Stop::Print(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(Stop::Fail(text)) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

/// The exit status of a run; an error is printed after the program's name.
pub fn end(program: &str, done: Result<ExitCode, String>) -> ExitCode {
    done.unwrap_or_else(|text| {
        eprintln!("{program}: {text}");
        ExitCode::FAILURE
    })
}
