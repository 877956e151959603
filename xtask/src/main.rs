//! The project's own commands, run as `cargo xtask COMMAND`.

mod check;
mod circles;
mod fuzz;
mod kernels;
mod programs;
mod setup;
mod tokens;

use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  build           release build, stripped; every program as a link in target/bin/
  up [OPTION...]  build, then start database and switch
  down            stop them
  demo            build, then two hosts with four VMs in namespaces, and clean up
  test [ARG...]   install what is missing, run every test (ARGs go to nextest)
  check           the house rules: floors, unsafe, sizes, format, lints, licences
  fuzz [SECONDS] [TARGET...]
                  build the fuzz targets, run each for SECONDS (5)
  soak [--minutes N] [--seed N]
                  build, then a switch under traffic whose ports, rules, VLANs, devices and processes
                  are churned at random (10 minutes)
  speed [--connections] [--tunnels] [--offloads] [--runs N] [--seconds N]
                  build, then connections and tunnels measured beside the reference's
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
        "check" => setup::install_deny().and_then(|()| check::all()),
        "fuzz" => fuzz::run(&rest),
        "soak" => soak(&rest),
        "speed" => setup::install().and_then(|()| speed(&rest)),
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
    let programs = programs::link_debug()?;
    let nextest = ["nextest", "run", "--workspace", "--no-fail-fast"];
    let mut tests = match setup::is_root() {
        true => cargo(),
        false => {
            // What is to be fetched cannot be from a namespace without a network.
            run(cargo().args(nextest).arg("--no-run"))?;
            in_user_namespace(cargo())
        }
    };
    run(tests
        .args(nextest)
        .args(args)
        .env("IRONBRIDGE_PROGRAMS", &programs)
        .env("IRONBRIDGE_PYTHON", setup::python_packages()?))?;
    run(cargo().args(["test", "--workspace", "--doc", "--quiet"]))
}

/// The churn, on the programs that users get.
fn soak(args: &[String]) -> Result<(), String> {
    let programs = programs::build()?;
    run(cargo()
        .args(["run", "--quiet", "--package", "end-to-end", "--bin", "soak", "--"])
        .args(args)
        .env("IRONBRIDGE_PROGRAMS", &programs))
}

/// The comparison with the reference, on the programs that users get.
fn speed(args: &[String]) -> Result<(), String> {
    let programs = programs::build()?;
    run(cargo()
        .args(["run", "--quiet", "--release", "--package", "end-to-end", "--bin", "speed", "--"])
        .args(args)
        .env("IRONBRIDGE_PROGRAMS", &programs))
}

/// `command` as root of a user namespace, who may make network namespaces; as it is where that is not allowed.
fn in_user_namespace(command: Command) -> Command {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--mount"]);
        command
    };
    if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("users have no namespaces of their own here: the end-to-end tests will be skipped");
        return command;
    }
    let mut outer = unshare();
    // "ip netns" keeps its names in /run, where only root may write.
    let script = "mount -t tmpfs tests /run && exec \"$0\" \"$@\"";
    outer.args(["sh", "-c", script]).arg(command.get_program()).args(command.get_args());
    outer.current_dir(root());
    outer
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
