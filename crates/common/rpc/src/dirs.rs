//! Where files live: built-in places, and the environment variables that move them.

use std::path::{Path, PathBuf};

fn from_environment(variable: &str, otherwise: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(value) if !value.is_empty() => PathBuf::from(value),
        _ => PathBuf::from(otherwise),
    }
}

/// Sockets and pidfiles (`OVS_RUNDIR`).
pub fn rundir() -> PathBuf {
    from_environment("OVS_RUNDIR", "/var/run/openvswitch")
}

/// Logs (`OVS_LOGDIR`).
pub fn logdir() -> PathBuf {
    from_environment("OVS_LOGDIR", "/var/log/openvswitch")
}

/// Configuration (`OVS_SYSCONFDIR`).
pub fn sysconfdir() -> PathBuf {
    from_environment("OVS_SYSCONFDIR", "/etc")
}

/// The database (`OVS_DBDIR`, else `openvswitch` in [`sysconfdir`]).
pub fn dbdir() -> PathBuf {
    match std::env::var_os("OVS_DBDIR") {
        Some(value) if !value.is_empty() => PathBuf::from(value),
        _ => sysconfdir().join("openvswitch"),
    }
}

/// Read-only data such as schemas (`OVS_PKGDATADIR`).
pub fn pkgdatadir() -> PathBuf {
    from_environment("OVS_PKGDATADIR", "/usr/share/openvswitch")
}

/// Programs (`OVS_BINDIR`).
pub fn bindir() -> PathBuf {
    from_environment("OVS_BINDIR", "/usr/bin")
}

/// `name`, in `directory` unless it says where it is itself.
pub fn absolute(directory: &Path, name: &str) -> PathBuf {
    directory.join(name)
}
