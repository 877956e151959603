//! Starting one daemon: its command line and the surroundings that it inherits.

use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::Path;
use std::process::Command;

use rpc::dirs;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::console;
use crate::daemon;
use crate::options::Settings;
use crate::ours;

/// File descriptors that `ovs-vswitchd` may have: enough for a very large number of ports.
const DESCRIPTORS: u64 = 65_535;

/// Who is to own what is made.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    /// User and group by number; without them, who runs this.
    pub ids: Option<(u32, u32)>,
}

impl Owner {
    /// As `--ovs-user` says.
    pub(crate) fn of(settings: &Settings) -> Result<Owner, String> {
        let Some(spec) = &settings.ovs_user else { return Ok(Owner::default()) };
        let (user, group) = match spec.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (spec.as_str(), None),
        };
        let number = |text: Option<String>| text.and_then(|text| text.trim().parse().ok());
        let unknown = || format!("--ovs-user: there is no user or group '{spec}'");
        let id = |option: &str| number(ours::output(Command::new("id").args([option, user])));
        let uid = id("-u").ok_or_else(unknown)?;
        let gid = match group.filter(|group| !group.is_empty()) {
            None => id("-g"),
            Some(group) => number(
                ours::output(Command::new("getent").args(["group", group]))
                    .and_then(|line| line.split(':').nth(2).map(str::to_owned)),
            ),
        };
        Ok(Owner { ids: Some((uid, gid.ok_or_else(unknown)?)) })
    }
}

/// Makes a directory where there is none.
pub(crate) fn make_dir(dir: &Path, mode: u32, owner: &Owner) -> Result<(), String> {
    if dir.is_dir() || dir.as_os_str().is_empty() {
        return Ok(());
    }
    let told = |e: std::io::Error| format!("{}: {}", dir.display(), rpc::error_text(&e));
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(dir).map_err(told)?;
    match owner.ids {
        Some((user, group)) => chown(dir, Some(user), Some(group)).map_err(told),
        None => Ok(()),
    }
}

/// What differs between the daemons.
#[derive(Debug, Default)]
pub(crate) struct Launch<'a> {
    pub name: &'static str,
    /// The words that are its own.
    pub args: Vec<String>,
    pub priority: Option<i32>,
    pub wrapper: Option<&'a str>,
    pub umask: Option<u32>,
}

/// Starts a daemon; whether it runs.
pub(crate) fn start_daemon(settings: &Settings, launch: Launch<'_>) -> bool {
    let name = launch.name;
    if let Err(text) = prepare_dirs(settings) {
        eprintln!("{}: {text}", crate::PROGRAM);
        return console::step(&format!("Starting {name}"), false);
    }
    let mut args = launch.args;
    args.push("--no-chdir".to_owned());
    args.push(format!("--log-file={}", dirs::logdir().join(format!("{name}.log")).display()));
    args.push(format!("--pidfile={}", daemon::pidfile(name).display()));
    args.push("--detach".to_owned());
    if settings.monitor {
        args.push("--monitor".to_owned());
    }
    let mut command = wrapped(name, launch.wrapper);
    command.args(args).current_dir(&settings.daemon_cwd);
    limit_core(settings);
    let old_umask = launch.umask.map(|mask| rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask)));
    let old_priority = launch.priority.and_then(set_priority);
    let started = console::step(&format!("Starting {name}"), ours::succeeds(&mut command));
    if let Some(old) = old_priority {
        set_priority(old);
    }
    if let Some(old) = old_umask {
        rustix::process::umask(old);
    }
    if started && let (Some(score), Some(pid)) = (settings.oom_score, daemon::recorded_pid(name)) {
        // As a wish: an unprivileged user may only raise it.
        let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string());
    }
    started
}

fn prepare_dirs(settings: &Settings) -> Result<(), String> {
    let owner = Owner::of(settings)?;
    make_dir(&settings.daemon_cwd, 0o755, &Owner::default())?;
    make_dir(&dirs::logdir(), 0o750, &owner)?;
    make_dir(&dirs::rundir(), 0o755, &owner)
}

/// The daemon, or a tool for debugging that runs it.
fn wrapped(name: &str, wrapper: Option<&str>) -> Command {
    let logdir = dirs::logdir();
    let under = |tool: &str, words: Vec<String>| {
        let there = Command::new(tool)
            .arg("--version")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
        if !there.is_ok_and(|status| status.success()) {
            console::failure(&format!("{tool} not installed, running {name} without it"));
            return ours::program(name);
        }
        let mut command = Command::new(tool);
        command.args(words);
        // Under another program the name cannot be given, so it is the first word.
        match std::env::current_exe() {
            Ok(path) => command.arg(path).arg(name),
            Err(_) => command.arg(name),
        };
        command
    };
    match wrapper {
        None => ours::program(name),
        Some("valgrind") => {
            let log = logdir.join(format!("{name}.valgrind.log.%p"));
            let log = format!("--log-file={}", log.display());
            under(
                "valgrind",
                vec!["-q".to_owned(), "--leak-check=full".to_owned(), "--time-stamp=yes".to_owned(), log],
            )
        }
        Some("strace") => {
            let log = logdir.join(format!("{name}.strace.log")).display().to_string();
            let words = ["-tt", "-T", "-s", "256", "-ff", "-D", "-o", &log];
            under("strace", words.map(str::to_owned).to_vec())
        }
        Some(other) => {
            console::failure(&format!("unknown wrapper {other}, running {name} without it"));
            ours::program(name)
        }
    }
}

/// Sets this process's niceness, which children inherit; the one that it had.
fn set_priority(nice: i32) -> Option<i32> {
    let old = rustix::process::getpriority_process(None).ok()?;
    match rustix::process::setpriority_process(None, nice) {
        Ok(()) => Some(old),
        Err(e) => {
            eprintln!("{}: cannot set niceness: {}", crate::PROGRAM, rpc::error_text(&e.into()));
            None
        }
    }
}

/// Core dumps, as the settings ask for. A limit that cannot be raised is left as it is.
fn limit_core(settings: &Settings) {
    if settings.dump_hugepages {
        let _ = std::fs::write("/proc/self/coredump_filter", "0x7f");
    }
    if settings.force_corefiles {
        let limit =
            if settings.dump_hugepages { None } else { settings.ulimit_core.map(|blocks| blocks * 1024) };
        raise(Resource::Core, limit);
    }
}

/// Raises the limit on open files.
pub(crate) fn raise_descriptors() {
    if getrlimit(Resource::Nofile).current.is_some_and(|current| current < DESCRIPTORS) {
        raise(Resource::Nofile, Some(DESCRIPTORS));
    }
}

fn raise(resource: Resource, wanted: Option<u64>) {
    let wish = Rlimit { current: wanted, maximum: wanted };
    if setrlimit(resource, wish).is_err() {
        let maximum = getrlimit(resource).maximum;
        let _ = setrlimit(resource, Rlimit { current: maximum, maximum });
    }
}
