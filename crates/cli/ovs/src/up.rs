//! `ovs up` and `ovs down`: database and switch in one process, with the same
//! files and sockets as two, so that every program works on it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rpc::dirs;

use crate::first_steps;

/// How long the switch may take to answer.
const LIMIT: Duration = Duration::from_secs(20);

/// The daemons in the order in which they are ended.
const DAEMONS: [&str; 2] = ["ovs-vswitchd", "ovsdb-server"];

const UP_USAGE: &str = "\
usage: ovs up [--foreground]
Starts database and switch in one process, in the background unless --foreground is given, and says what
to type next. OVS_RUNDIR, OVS_DBDIR and OVS_LOGDIR say where sockets, database and log are.
";

const DOWN_USAGE: &str = "\
usage: ovs down
Stops the switch and then the database that run in OVS_RUNDIR.
";

/// The word by which the process in the background knows that nobody reads its terminal.
const DETACHED: &str = "--detached";

/// Where both daemons log: people look where the switch logs.
fn log_file() -> PathBuf {
    dirs::logdir().join("ovs-vswitchd.log")
}

/// `ovs up`.
pub(crate) fn up(args: Vec<String>) -> ExitCode {
    let (mut foreground, mut has_terminal) = (false, true);
    for arg in &args {
        match arg.as_str() {
            "--foreground" => foreground = true,
            DETACHED => (foreground, has_terminal) = (true, false),
            "-h" | "--help" => {
                print!("{UP_USAGE}");
                return ExitCode::SUCCESS;
            }
            other => {
                let hint = base::hint::did_you_mean(other, ["--foreground", "--help"]);
                return fail(&format!("unknown option '{other}'{hint}\n{UP_USAGE}"));
            }
        }
    }
    match start(foreground, has_terminal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    }
}

fn fail(text: &str) -> ExitCode {
    eprintln!("ovs: up: {}", text.trim_end());
    ExitCode::FAILURE
}

fn start(foreground: bool, has_terminal: bool) -> Result<(), String> {
    let (rundir, dbdir, logdir) = (dirs::rundir(), dirs::dbdir(), dirs::logdir());
    for dir in [&rundir, &dbdir, &logdir] {
        std::fs::create_dir_all(dir).map_err(|e| {
            format!(
                "{}: {} (run it as root, or set OVS_RUNDIR, OVS_DBDIR and OVS_LOGDIR to directories of yours)",
                dir.display(),
                rpc::error_text(&e)
            )
        })?;
    }
    if control_socket("ovs-vswitchd").is_some() {
        return Err(format!("a switch is already running in {}; 'ovs down' stops it", rundir.display()));
    }
    let database = dbdir.join("conf.db");
    if !database.exists() {
        let done = ovsdb_tools::ovsdb_tool(vec!["create".to_owned(), database.display().to_string()]);
        if done != ExitCode::SUCCESS {
            return Err(format!("cannot create {}", database.display()));
        }
        println!("created {}", database.display());
    }
    if !foreground {
        let log_begins_at = std::fs::metadata(log_file()).map_or(0, |log| log.len());
        let child = spawn_detached()?;
        return wait_until_up(child).map_err(|text| text + &log_since(log_begins_at));
    }
    serve(&rundir, &database, has_terminal)
}

/// The same program again, in the background; its id.
fn spawn_detached() -> Result<std::process::Child, String> {
    use std::os::unix::process::CommandExt;
    let program = std::env::current_exe().map_err(|e| rpc::error_text(&e))?;
    let mut command = Command::new(program);
    command.arg0("ovs").args(["up", DETACHED]);
    let null = std::process::Stdio::null;
    // What is said before the log is open, or beside it, is in the log too.
    let path = log_file();
    let log = std::fs::OpenOptions::new().append(true).create(true).open(&path);
    let log = log.map_err(|e| format!("{}: {}", path.display(), rpc::error_text(&e)))?;
    command.stdin(null()).stdout(null()).stderr(log).process_group(0);
    command.spawn().map_err(|e| rpc::error_text(&e))
}

fn wait_until_up(mut child: std::process::Child) -> Result<(), String> {
    let start = Instant::now();
    loop {
        if answers("ovs-vswitchd") && answers("ovsdb-server") {
            let init = vsctl::ovs_vsctl(vec!["--no-wait".to_owned(), "init".to_owned()]);
            if init != ExitCode::SUCCESS {
                return Err("the database did not take its first row".to_owned());
            }
            print!("{}", first_steps::text(&log_file()));
            return Ok(());
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("the switch ended at once ({status})"));
        }
        if start.elapsed() > LIMIT {
            return Err(format!("no answer in {} seconds", LIMIT.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The warnings and errors that the log has had since it was so long; at least where it is.
fn log_since(length: u64) -> String {
    let path = log_file();
    let bytes = std::fs::read(&path).unwrap_or_default();
    let new = bytes.get(usize::try_from(length).unwrap_or(0)..).unwrap_or_default();
    let new = String::from_utf8_lossy(new);
    let matters = |line: &&str| !line.contains("|INFO|") && !line.contains("|DBG|");
    let lines: String = new.lines().filter(matters).map(|line| format!("\n  {line}")).collect();
    format!("; its log {} says:{lines}", path.display())
}

fn answers(target: &str) -> bool {
    control_socket(target)
        .is_some_and(|socket| matches!(rpc::unixctl::transact(&socket, "version", &[]), Ok(Ok(_))))
}

/// Where a running daemon takes commands; `None` when it does not run.
fn control_socket(target: &str) -> Option<String> {
    // Looked for first, because reading a missing one is logged as a mistake.
    let is_there = dirs::rundir().join(format!("{target}.pid")).exists();
    is_there.then(|| rpc::unixctl::socket_of(target).ok())?
}

/// Runs both daemons, each with its own thread and event loop, until both end.
fn serve(rundir: &Path, database: &Path, has_terminal: bool) -> Result<(), String> {
    let socket = rundir.join("db.sock").display().to_string();
    let mut server_args = vec![
        database.display().to_string(),
        format!("--remote=punix:{socket}"),
        "--remote=db:Open_vSwitch,Open_vSwitch,manager_options".to_owned(),
        "--pidfile".to_owned(),
        format!("--log-file={}", log_file().display()),
    ];
    if !has_terminal {
        server_args.push("-vconsole:off".to_owned());
    }
    let switch_args = vec![format!("unix:{socket}"), "--pidfile".to_owned()];
    let (sender, ended) = mpsc::channel();
    let spawn = |name: &'static str, run: fn(Vec<String>) -> ExitCode, args: Vec<String>| {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(args));
        let thread = thread.map_err(|e| rpc::error_text(&e))?;
        let sender = sender.clone();
        std::thread::spawn(move || {
            // Nobody waits for the second one when the process ends.
            let _ = sender.send((name, thread.join()));
        });
        Ok::<(), String>(())
    };
    spawn("database", ovsdb_tools::ovsdb_server, server_args)?;
    spawn("switch", vswitchd::ovs_vswitchd, switch_args)?;
    drop(sender);
    wait_for_both(&ended)
}

/// Waits until both daemons have ended. When one fails, the other is of no use, and is ended.
fn wait_for_both(
    ended: &mpsc::Receiver<(&'static str, std::thread::Result<ExitCode>)>,
) -> Result<(), String> {
    let mut failure = None;
    loop {
        let next = match &failure {
            None => ended.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
            Some(_) => ended.recv_timeout(Duration::from_millis(20)),
        };
        match next {
            Ok((_, Ok(status))) if status == ExitCode::SUCCESS => {}
            Ok((name, Ok(_))) => {
                failure.get_or_insert(format!("the {name} failed"));
            }
            Ok((name, Err(_))) => {
                failure.get_or_insert(format!("the {name} panicked"));
            }
            // The other one may have no socket yet.
            Err(mpsc::RecvTimeoutError::Timeout) => {
                for daemon in DAEMONS {
                    // Not by the pidfile: reading it here would give up its lock, which is this process's own.
                    let socket = dirs::rundir().join(format!("{daemon}.{}.ctl", std::process::id()));
                    // Who has ended meanwhile needs no asking.
                    let _ = rpc::unixctl::transact(&socket.display().to_string(), "exit", &[]);
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return failure.map_or(Ok(()), Err),
        }
    }
}

/// `ovs down`: ends the switch, then the database.
pub(crate) fn down(args: Vec<String>) -> ExitCode {
    if let Some(word) = args.first() {
        if matches!(word.as_str(), "-h" | "--help") {
            print!("{DOWN_USAGE}");
            return ExitCode::SUCCESS;
        }
        eprintln!("ovs: down: unknown option '{word}'");
        return ExitCode::FAILURE;
    }
    let rundir = dirs::rundir();
    let mut stopped = false;
    for target in DAEMONS {
        let Some(socket) = control_socket(target) else { continue };
        match rpc::unixctl::transact(&socket, "exit", &[]) {
            Ok(Ok(_)) => stopped = true,
            Ok(Err(refusal)) => {
                eprintln!("ovs: down: {target}: {refusal}");
                return ExitCode::FAILURE;
            }
            Err(e) => {
                eprintln!("ovs: down: {target}: {}", rpc::error_text(&e));
                return ExitCode::FAILURE;
            }
        }
        let start = Instant::now();
        while control_socket(target).is_some() && start.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    if stopped {
        println!("The switch is down.");
    } else {
        println!("No switch is running in {}.", rundir.display());
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of daemons that end like this, in this order.
    fn ended(ends: Vec<(&'static str, std::thread::Result<ExitCode>)>) -> Result<(), String> {
        let (sender, ended) = mpsc::channel();
        for end in ends {
            sender.send(end).expect("a receiver");
        }
        drop(sender);
        wait_for_both(&ended)
    }

    #[test]
    fn two_daemons_that_end_well_are_a_success() {
        assert_eq!(
            ended(vec![("switch", Ok(ExitCode::SUCCESS)), ("database", Ok(ExitCode::SUCCESS))]),
            Ok(())
        );
    }

    #[test]
    fn the_first_failure_is_reported_however_the_other_ends() {
        for (first, reported) in [
            (Ok(ExitCode::FAILURE), "the switch failed"),
            (Err(Box::new("a reason") as Box<dyn std::any::Any + Send>), "the switch panicked"),
        ] {
            let ends = vec![("switch", first), ("database", Ok(ExitCode::FAILURE))];
            assert_eq!(ended(ends), Err(reported.to_owned()));
        }
    }
}
