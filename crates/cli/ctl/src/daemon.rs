//! Pid files, and the processes that they name.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rpc::dirs;

/// Where a daemon keeps its pid.
pub(crate) fn pidfile(name: &str) -> PathBuf {
    dirs::rundir().join(format!("{name}.pid"))
}

/// The pid in a daemon's pid file, whether or not there is such a process.
pub(crate) fn recorded_pid(name: &str) -> Option<u32> {
    read_pid(&pidfile(name))
}

fn read_pid(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// How long a process that was killed may take to close what it had open.
const ENDING: Duration = Duration::from_secs(5);

/// Whether there is such a process. One that has ended and waits for its parent's look is gone.
pub(crate) fn exists(pid: u32) -> bool {
    stat_of(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// Whether such a process is gone but for threads that have yet to end: until then its sockets are open.
fn is_ending(pid: u32) -> bool {
    stat_of(pid).is_some_and(|(state, threads)| matches!(state, 'Z' | 'X') && threads > 1)
}

/// A process's state and how many threads it has, from `/proc/PID/stat`.
fn stat_of(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the state may hold anything, so the last parenthesis counts. The state is field 3, the number of
    // threads field 20.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.nth(16)?.parse().ok()?))
}

/// Waits until a daemon that was killed has closed its sockets.
pub(crate) fn wait_for_end(name: &str) {
    let Some(pid) = recorded_pid(name) else { return };
    let start = Instant::now();
    while is_ending(pid) && start.elapsed() < ENDING {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What the kernel keeps of a program's name.
fn short_name(name: &str) -> &str {
    name.get(..15).unwrap_or(name)
}

/// The pid of a daemon that runs: a live process of the right name, or one that keeps the pid file locked,
/// as a process does that is two daemons in one.
pub(crate) fn running(name: &str) -> Option<u32> {
    let pid = recorded_pid(name).filter(|pid| exists(*pid))?;
    let called = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let is_it = called.trim_end() == short_name(name);
    (is_it || rpc::daemon::read_pidfile(&pidfile(name)).is_ok_and(|holder| holder == pid)).then_some(pid)
}

/// One line on a daemon, and whether it runs.
pub(crate) fn status(name: &str) -> (String, bool) {
    let path = pidfile(name);
    if !path.exists() {
        return (format!("{name} is not running"), false);
    }
    let shown = path.display();
    match read_pid(&path) {
        Some(pid) if exists(pid) => (format!("{name} is running with pid {pid}"), true),
        Some(_) => (format!("Pidfile for {name} ({shown}) is stale"), false),
        None => (format!("Pidfile for {name} ({shown}) exists but cannot be read"), false),
    }
}

/// Removes the sockets in the run directory that nobody listens on any more.
pub(crate) fn remove_stale_sockets(rundir: &Path) {
    use std::os::unix::fs::FileTypeExt;
    let Ok(entries) = std::fs::read_dir(rundir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_ours = name == "db.sock" || [".ctl", ".mgmt", ".snoop"].iter().any(|end| name.ends_with(end));
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_socket()) {
            continue;
        }
        let refused = std::os::unix::net::UnixStream::connect(&path)
            .is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused);
        if refused && let Err(e) = std::fs::remove_file(&path) {
            eprintln!("{}: {}: {}", crate::PROGRAM, path.display(), rpc::error_text(&e));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_process_exists_until_it_has_ended() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(exists(child.id()));
        child.kill().unwrap();
        // Ended but not waited for counts as gone, at the latest when the kernel has seen to it.
        let start = std::time::Instant::now();
        while exists(child.id()) {
            assert!(start.elapsed().as_secs() < 60);
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!exists(child.id()) && !is_ending(child.id()));
    }

    #[test]
    fn the_state_and_the_threads_of_a_process_are_read() {
        let (state, threads) = stat_of(std::process::id()).unwrap();
        assert!(
            matches!(state, 'R' | 'S') && threads >= 2,
            "a test has a thread of its own: {state} {threads}"
        );
        assert!(!is_ending(std::process::id()));
    }

    #[test]
    fn only_sockets_without_a_listener_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        drop(UnixListener::bind(path("db.sock")).unwrap());
        drop(UnixListener::bind(path("ovsdb-server.7.ctl")).unwrap());
        drop(UnixListener::bind(path("theirs.sock")).unwrap());
        let _listening = UnixListener::bind(path("br0.mgmt")).unwrap();
        std::fs::write(path("file.ctl"), "").unwrap();
        remove_stale_sockets(dir.path());
        let mut left: Vec<String> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, ["br0.mgmt", "file.ctl", "theirs.sock"]);
    }
}
