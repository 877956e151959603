//! The project's own commands, run as `cargo xtask COMMAND`.

mod check;
mod programs;
mod setup;

use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  build           release build; every program as a link in target/bin/
  up [OPTION...]  build, then start database and switch
  down            stop them
  demo            build, then two hosts with four VMs in namespaces, and clean up
  test [ARG...]   install what is missing, run every test (ARGs go to nextest)
  check           the house rules: floors, unsafe, sizes, format, lints, licences
  bench [ARG...]  the benchmarks of the crates
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let result = match command.as_str() {
        "build" => programs::build().map(drop),
        "up" | "down" | "demo" => {
            programs::build().and_then(|bin| run(Command::new(bin.join("ovs")).arg(&command).args(rest)))
        }
        "test" => setup::install().and_then(|()| test(&rest)),
        "check" => check::all(),
        "bench" => run(cargo().arg("bench").args(rest)),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// Builds the programs once in the tests' own profile, then runs the tests on them.
fn test(args: &[String]) -> Result<(), String> {
    run(cargo().args(["build", "--package", "ovs"]))?;
    let programs = programs::link_all("debug")?;
    run(cargo()
        .args(["nextest", "run", "--workspace", "--no-fail-fast"])
        .args(args)
        .env("IRONBRIDGE_PROGRAMS", &programs))?;
    run(cargo().args(["test", "--workspace", "--doc", "--quiet"]))
}

/// The cargo that runs us.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The root of the checkout.
fn root() -> std::path::PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Runs `command` to its end; a failure names it.
fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}").replace('"', "");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown}: {status}")),
        Err(e) => Err(format!("{shown}: {e}")),
    }
}
