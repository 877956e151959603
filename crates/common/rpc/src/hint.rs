//! What a newcomer needs to hear after an error: which directory is missing, which daemon is not running, and what to
//! type.
//!
//! A hint begins with a newline: it follows the error as a line of its own, so that programs that compare the error
//! find it as it was. It is empty where there is nothing to say.

use crate::{dirs, unixctl};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

/// For an error about a file: the nearest directory above it that is missing, and what makes it.
pub fn missing_directory(file: &Path) -> String {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !parent.exists() => {
            let parent = parent.display();
            format!("\nThe directory {parent} does not exist: 'mkdir -p {parent}' makes it.")
        }
        _ => String::new(),
    }
}

/// Whether a daemon has its pidfile in the run directory, and holds it.
pub fn is_running(daemon: &str) -> bool {
    let pidfile = dirs::rundir().join(format!("{daemon}.pid"));
    // Looked for first, because reading a missing one is logged as a mistake.
    pidfile.exists() && unixctl::socket_of(daemon).is_ok()
}

/// For an error about a daemon that may not be running: that it is not, and what starts it.
pub fn not_running(daemon: &str) -> String {
    if !matches!(daemon, "ovsdb-server" | "ovs-vswitchd") || is_running(daemon) {
        return String::new();
    }
    format!("\n{daemon} is not running in {}: '{}' starts it.", dirs::rundir().display(), start_command())
}

/// For an error of connecting to a remote of the database: when it is the socket that a server of this machine makes,
/// why nobody can be reached there.
pub fn no_database(remote: &str) -> String {
    match is_local_database(remote) {
        true => unreachable_socket(&dirs::rundir().join("db.sock"), "ovsdb-server"),
        false => String::new(),
    }
}

/// Whether a remote is the socket that a database server of this machine makes, in the run directory.
pub fn is_local_database(remote: &str) -> bool {
    remote.strip_prefix("unix:").is_some_and(|path| Path::new(path) == dirs::rundir().join("db.sock"))
}

/// Why nobody can be reached at the socket of a daemon.
pub fn unreachable_socket(socket: &Path, daemon: &str) -> String {
    match std::os::unix::net::UnixStream::connect(socket) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => not_permitted(&error),
        _ => not_running(daemon),
    }
}

/// For an error that root would not have had.
pub fn not_permitted(error: &Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied if !rustix::process::geteuid().is_root() => {
            "\nIt takes the rights of root: run it as root, or by 'sudo'.".to_owned()
        }
        _ => String::new(),
    }
}

/// The command that starts database and switch, as it can be typed here.
pub fn start_command() -> String {
    command("ovs-ctl", "start")
}

/// `program` with `words`, as it can be typed here: by its name where the shell finds it, else by this executable.
fn command(program: &str, words: &str) -> String {
    if on_path(program).is_some() {
        return format!("{program} {words}");
    }
    let short = program.strip_prefix("ovs-").unwrap_or(program);
    match std::env::current_exe() {
        Ok(executable) => format!("{} {short} {words}", executable.display()),
        Err(_) => format!("{program} {words}"),
    }
}

/// Where the shell finds a program.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_that_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(missing_directory(&dir.path().join("conf.db")), "");
        assert_eq!(missing_directory(Path::new("conf.db")), "");
        let missing = dir.path().join("etc").join("openvswitch");
        assert_eq!(
            missing_directory(&missing.join("conf.db")),
            format!("\nThe directory {0} does not exist: 'mkdir -p {0}' makes it.", missing.display())
        );
    }

    #[test]
    fn what_others_named_themselves_is_left_to_them() {
        assert_eq!(no_database("unix:foo"), "");
        assert_eq!(no_database("tcp:127.0.0.1:6640"), "");
        assert_eq!(not_running("somebody-elses-daemon"), "");
    }
}
