//! What a restart carries over: read from the old daemon, given to the new one.
//!
//! Each bridge is a file in the run directory, in the form that `bridge/save`
//! of `ovs-vswitchd` gives and `bridge/restore` takes. A daemon that does not
//! know these commands is read with `ovs-ofctl` ([`foreign`]). The files are
//! there before anything is stopped, and stay when restoring fails.

mod foreign;

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rpc::dirs;

use crate::console;
use crate::launch::Owner;
use crate::options::Settings;
use crate::ours::{self, succeeds, vsctl};

/// How long a daemon may take to read or write the rules of a bridge: a million of them takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

const SWITCH: &str = "ovs-vswitchd";

/// The files of the bridges.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    bridges: Vec<Bridge>,
    /// Devices of internal ports that were made to outlive the old daemon.
    devices: Vec<String>,
}

#[derive(Debug)]
struct Bridge {
    name: String,
    path: PathBuf,
}

/// What became of restoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restored {
    All,
    /// The bridges that could not be restored forward nothing.
    Some,
    /// Nothing may be forwarded at all, since a bridge could not be closed.
    Unknown,
}

/// Reads all bridges. `None`, with the reason on the terminal, when one cannot be read: then nothing may be stopped,
/// since the bridge would come back without its rules.
pub(crate) fn save(settings: &Settings) -> Option<Saved> {
    let saved = save_all(settings);
    if let Err(why) = &saved {
        console::failure("Saving flows");
        eprintln!(
            "{}: {why}; ovs-vswitchd was not restarted, since its rules would be lost ('{} stop' and '{} start' restart without them)",
            crate::PROGRAM,
            crate::PROGRAM,
            crate::PROGRAM
        );
        return None;
    }
    console::success("Saving flows");
    saved.ok()
}

fn save_all(settings: &Settings) -> Result<Saved, String> {
    let owner = Owner::of(settings)?;
    let list = ask("ofproto/list", &[])?;
    // A bridge of the database that the daemon could not make has no rules to lose.
    let mut saved = Saved::default();
    for name in list.lines() {
        let text = match ask("bridge/save", &[name]) {
            Err(why) if why.contains("is not a valid command") => foreign::save(name),
            other => other,
        };
        let text = text.map_err(|why| format!("the rules of {name} cannot be read: {why}"))?;
        let path = dirs::rundir().join(format!("{name}.saved"));
        write(&path, &text, &owner).map_err(|e| format!("{}: {}", path.display(), rpc::error_text(&e)))?;
        saved.bridges.push(Bridge { name: name.to_owned(), path });
    }
    Ok(saved)
}

fn write(path: &Path, text: &str, owner: &Owner) -> std::io::Result<()> {
    // An older one may belong to another user.
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    match owner.ids {
        Some((user, group)) => chown(path, Some(user), Some(group)),
        None => Ok(()),
    }
}

/// A command of the switch daemon.
fn ask(command: &str, args: &[&str]) -> Result<String, String> {
    let pid = crate::daemon::running(SWITCH).ok_or_else(|| format!("{SWITCH} is not running"))?;
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    match crate::stop::ask(SWITCH, pid, command, &args, PATIENCE) {
        Some(Ok(text)) => Ok(text),
        Some(Err(why)) => Err(why.trim_end().to_owned()),
        None => Err(format!("{SWITCH} does not answer")),
    }
}

impl Saved {
    /// Takes what was added since, now that the daemon is about to end, and makes its devices stay. What was read
    /// before counts where that does not work any more.
    pub(crate) fn refresh(&mut self, settings: &Settings) {
        if self.bridges.is_empty() {
            return;
        }
        if let Ok(newer) = save_all(settings) {
            self.bridges = newer.bridges;
        }
        // A daemon that does not know the command takes its devices along.
        let kept = ask("netdev/keep", &[]).unwrap_or_default();
        self.devices = kept.lines().map(str::to_owned).collect();
    }

    /// The new daemon has the devices: they go with their ports again.
    fn release(&self) {
        let names: Vec<&str> = self.devices.iter().map(String::as_str).collect();
        if !names.is_empty()
            && let Err(why) = ask("netdev/release", &names)
        {
            eprintln!("{}: {why}", crate::PROGRAM);
        }
    }

    /// Gives each bridge back what it had.
    pub(crate) fn restore(self) -> Restored {
        if self.bridges.is_empty() {
            return Restored::All;
        }
        self.release();
        // Every bridge gets its turn, whatever became of those before.
        let mut all = Restored::All;
        let mut reasons = Vec::new();
        for bridge in &self.bridges {
            let Err(why) = bridge.restore() else { continue };
            let is_closed = bridge.close();
            all = if is_closed && all != Restored::Unknown { Restored::Some } else { Restored::Unknown };
            reasons.push((bridge, why));
        }
        console::step("Restoring saved flows", all == Restored::All);
        for (Bridge { name, path }, why) in reasons {
            let path = path.display();
            eprintln!(
                "{}: {name} forwards nothing until it has rules, and its fail_mode is secure now: {why}",
                crate::PROGRAM
            );
            eprintln!(
                "{}: what it had is in {path}; to try again: ovs-appctl bridge/restore {name} {path}",
                crate::PROGRAM
            );
        }
        all
    }
}

impl Bridge {
    fn restore(&self) -> Result<(), String> {
        ask("bridge/restore", &[&self.name, &self.path.display().to_string()])?;
        // What is restored is of no use any more; a file that stays does no harm.
        let _ = std::fs::remove_file(&self.path);
        Ok(())
    }

    /// Makes sure that the bridge does not forward by itself; whether it is sure. The daemon has removed its rules.
    fn close(&self) -> bool {
        let is_there = ask("ofproto/list", &[]).map(|list| list.lines().any(|name| name == self.name));
        let secured = succeeds(&mut vsctl(&["set-fail-mode", &self.name, "secure"]));
        match is_there {
            Ok(true) => secured && succeeds(&mut emptied(&self.name)),
            Ok(false) => true,
            Err(_) => false,
        }
    }
}

/// Whatever went wrong, no rule of a standalone bridge stays.
fn emptied(name: &str) -> std::process::Command {
    let mut command = ours::program("ovs-appctl");
    command.args(["-t", SWITCH, "bridge/clear", name]);
    command
}
