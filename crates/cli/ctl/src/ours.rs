//! Running other programs of the house: this executable under another name.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// A command of ours: `ovs-vsctl`, `ovsdb-server` and their like.
pub(crate) fn program(name: &str) -> Command {
    // Without /proc the name is looked up as a shell would.
    let mut command = match std::env::current_exe() {
        Ok(path) => Command::new(path),
        Err(_) => Command::new(name),
    };
    command.arg0(name);
    command
}

/// Runs a command, its messages going to the terminal; whether it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    match command.stdin(Stdio::null()).status() {
        Ok(status) => status.success(),
        Err(e) => {
            let name = command.get_program().display();
            eprintln!("{}: {name}: {}", crate::PROGRAM, rpc::error_text(&e));
            false
        }
    }
}

/// Runs a command; what it printed, when it succeeded.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let done = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}

/// `ovs-vsctl` that does not wait for the switch.
pub(crate) fn vsctl(words: &[&str]) -> Command {
    let mut command = program("ovs-vsctl");
    command.arg("--no-wait").args(words);
    command
}
