//! Stopping a daemon by its pidfile: by its control socket first, then by SIGTERM, then by SIGKILL.

use std::time::{Duration, Instant};

use rpc::dirs;
use rustix::process::{Pid, Signal, kill_process};

use crate::console;
use crate::daemon::{self, exists, pidfile, recorded_pid};
use crate::options::Settings;

/// How often a process is looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// How long a control socket may take to answer.
const ANSWER: Duration = Duration::from_secs(1);
/// The first release whose daemons end well when they are asked to.
const ENDS_WHEN_ASKED: [u32; 3] = [2, 5, 90];

/// Daemons that go silently where they do not run; users of the database first.
const COMPANIONS: [&str; 4] = ["ovs-brcompatd", "ovs-controller", "ovs-testcontroller", "ovs-monitor-ipsec"];

/// "stop": everything that has a pid file, the database last.
pub(crate) fn stop(settings: &Settings) -> bool {
    let mut all_ended = true;
    for name in COMPANIONS {
        if recorded_pid(name).is_some() {
            all_ended &= stop_daemon(name);
        }
    }
    if settings.ovs_vswitchd {
        all_ended &= stop_daemon("ovs-vswitchd");
    }
    if settings.ovsdb_server {
        all_ended &= stop_daemon("ovsdb-server");
    }
    all_ended
}

/// Ends one daemon; whether it is gone.
pub(crate) fn stop_daemon(name: &str) -> bool {
    let Some(pid) = recorded_pid(name) else {
        console::success(&format!("{name} is not running"));
        return true;
    };
    if !exists(pid) {
        remove_traces(name, pid);
        return true;
    }
    let mut pid = pid;
    if asks_well(name, pid) {
        let asked = matches!(ask(name, pid, "exit", &[], ANSWER), Some(Ok(_)));
        console::step(&format!("Exiting {name} ({pid})"), asked);
        if ended_within(pid, Duration::from_secs(2)) {
            match restarted(name, pid) {
                // Its monitor has started another one, which is to go as well.
                Some(other) => pid = other,
                None => return true,
            }
        }
    }
    for (signal, text, limit) in
        [(Signal::TERM, "", Duration::from_secs(5)), (Signal::KILL, " with SIGKILL", Duration::from_secs(60))]
    {
        let sent = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .is_some_and(|target| kill_process(target, signal).is_ok());
        console::step(&format!("Killing {name} ({pid}){text}"), sent);
        if ended_within(pid, limit) {
            remove_traces(name, pid);
            return true;
        }
    }
    console::failure(&format!("Killing {name} ({pid}) failed"));
    false
}

/// A daemon that died leaves its control socket, and a killed one its pid file.
fn remove_traces(name: &str, pid: u32) {
    // What is not there need not be removed.
    let _ = std::fs::remove_file(control_socket(name, pid));
    if recorded_pid(name) == Some(pid) {
        let _ = std::fs::remove_file(pidfile(name));
    }
}

fn control_socket(name: &str, pid: u32) -> std::path::PathBuf {
    dirs::rundir().join(format!("{name}.{pid}.ctl"))
}

fn ended_within(pid: u32, limit: Duration) -> bool {
    let start = Instant::now();
    while exists(pid) {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(GLANCE);
    }
    true
}

/// The pid of the process that took the place of `pid`, if one did.
fn restarted(name: &str, pid: u32) -> Option<u32> {
    let start = Instant::now();
    while pidfile(name).exists() {
        if let Some(other) = daemon::running(name).filter(|other| *other != pid) {
            return Some(other);
        }
        if start.elapsed() > Duration::from_secs(2) {
            remove_traces(name, pid);
            return None;
        }
        std::thread::sleep(GLANCE);
    }
    None
}

/// Whether the daemon is of a release that `exit` ends well.
fn asks_well(name: &str, pid: u32) -> bool {
    match ask(name, pid, "version", &[], ANSWER) {
        Some(Ok(text)) => release(&text).is_some_and(|release| release >= ENDS_WHEN_ASKED),
        _ => false,
    }
}

/// The release at the end of the first line of "ovsdb-server (Open vSwitch) 4.0.0".
fn release(text: &str) -> Option<[u32; 3]> {
    let last = text.lines().next()?.split_whitespace().next_back()?;
    let mut parts = last.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    Some(std::array::from_fn(|_| parts.next().unwrap_or(0))).filter(|release| *release != [0; 3])
}

/// A daemon's answer to a command; `None` when it gave none in time.
pub(crate) fn ask(
    name: &str,
    pid: u32,
    command: &str,
    args: &[String],
    limit: Duration,
) -> Option<Result<String, String>> {
    let socket = control_socket(name, pid).display().to_string();
    let runtime = rpc::runtime().ok()?;
    let answer = runtime.block_on(async {
        tokio::time::timeout(limit, async {
            let mut client = rpc::unixctl::Client::connect(&socket).await?;
            client.transact(command, args).await
        })
        .await
    });
    let text = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Some(answer.ok()?.ok()?.map(text).map_err(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_from_versions() {
        assert_eq!(release("ovsdb-server (Open vSwitch) 3.1.0\n"), Some([3, 1, 0]));
        assert_eq!(release("ovs-vswitchd (Open vSwitch) 2.17\nDPDK 21\n"), Some([2, 17, 0]));
        assert_eq!(release("ovs-vswitchd (Open vSwitch) 4.0.0-dev"), Some([4, 0, 0]));
        assert_eq!(release("something else"), None);
        assert_eq!(release(""), None);
    }
}
