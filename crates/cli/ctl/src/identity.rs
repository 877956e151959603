//! Who the system is: its id, type, version and name, as the database has them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rpc::dirs;

use crate::console;
use crate::options::Settings;
use crate::ours;

/// The directory with the files that keep the id.
fn directory() -> PathBuf {
    dirs::sysconfdir().join("openvswitch")
}

/// A value between quotes, as `ovs-vsctl` reads it back whatever is in it.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Writes all of it to the database; whether that worked.
pub(crate) fn configure(settings: &Settings) -> bool {
    let id = system_id(settings);
    let (kind, version) = system_type(settings);
    let mut words = vec![
        "set".to_owned(),
        "Open_vSwitch".to_owned(),
        ".".to_owned(),
        format!("ovs-version={}", rpc::REFERENCE_VERSION),
        format!("external-ids:system-id={}", quoted(&id)),
        format!("external-ids:rundir={}", quoted(&dirs::rundir().display().to_string())),
        format!("system-type={}", quoted(&kind)),
        format!("system-version={}", quoted(&version)),
    ];
    words.extend(settings.external_ids.iter().map(|pair| format!("external-ids:{pair}")));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = ours::succeeds(&mut ours::vsctl(&words));
    console::step("Configuring Open vSwitch system IDs", done)
}

fn system_id(settings: &Settings) -> String {
    match settings.system_id.as_deref() {
        None | Some("") => {
            console::failure("system ID not configured, please use --system-id");
            String::new()
        }
        Some("random") => match random_id(&directory()) {
            Ok(id) => id,
            Err(text) => {
                console::failure(&format!("{text}, could not keep the system ID"));
                String::new()
            }
        },
        Some(id) => id.to_owned(),
    }
}

/// The id that was drawn once for this system, from its file, or from the one that old versions had.
fn random_id(directory: &Path) -> Result<String, String> {
    let path = directory.join("system-id.conf");
    if let Ok(text) = std::fs::read_to_string(&path) {
        return Ok(text.trim().to_owned());
    }
    let old = std::fs::read_to_string(directory.join("install_uuid.conf")).ok();
    let old = old.and_then(|text| {
        let value = text.lines().find_map(|line| line.trim().strip_prefix("INSTALLATION_UUID="))?;
        Some(value.trim_matches(['"', '\'']).to_owned())
    });
    let id = old.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(&path, format!("{id}\n")))
        .map_err(|e| format!("{}: {}", path.display(), rpc::error_text(&e)))?;
    Ok(id)
}

/// The system's type and version: as told, else from the files of this switch, else from the system's own.
fn system_type(settings: &Settings) -> (String, String) {
    let read = |name: &str| {
        std::fs::read_to_string(directory().join(name)).ok().map(|text| text.trim_end().to_owned())
    };
    let (kind, version) = match read("system-type.conf") {
        Some(kind) => (kind, read("system-version.conf").unwrap_or_default()),
        None => match std::fs::read_to_string("/etc/os-release") {
            Ok(text) => (release_value(&text, "ID"), release_value(&text, "VERSION_ID")),
            Err(_) => ("unknown".to_owned(), "unknown".to_owned()),
        },
    };
    (settings.system_type.clone().unwrap_or(kind), settings.system_version.clone().unwrap_or(version))
}

/// A value of os-release(5).
fn release_value(text: &str, key: &str) -> String {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
}

/// Records the system's name where the database has none.
pub(crate) fn record_hostname(settings: &Settings) -> bool {
    let full = settings
        .full_hostname
        .then(|| ours::output(Command::new("hostname").arg("-f").stderr(Stdio::null())));
    let name = match full.flatten() {
        Some(name) => name.trim().to_owned(),
        None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    let pair = format!("hostname={}", quoted(&name));
    ours::succeeds(&mut ours::vsctl(&["add", "Open_vSwitch", ".", "external-ids", &pair]))
}

/// The same from a process of its own: a full name may take the network's time.
pub(crate) fn record_hostname_later(settings: &Settings) {
    let mut command = ours::program(crate::PROGRAM);
    command.arg("record-hostname-if-not-set");
    if !settings.full_hostname {
        command.arg("--no-full-hostname");
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(e) = command.spawn() {
        console::warning(&format!("the hostname is not recorded: {}", rpc::error_text(&e)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_id_is_drawn_once() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("openvswitch");
        let first = random_id(&place).unwrap();
        assert_eq!(first.len(), 36);
        assert_eq!(random_id(&place).unwrap(), first);
        let old = dir.path().join("old");
        std::fs::create_dir(&old).unwrap();
        std::fs::write(old.join("install_uuid.conf"), "INSTALLATION_UUID='abc'\n").unwrap();
        assert_eq!(random_id(&old).unwrap(), "abc");
        assert_eq!(std::fs::read_to_string(old.join("system-id.conf")).unwrap(), "abc\n");
    }

    #[test]
    fn os_release_is_read_by_key() {
        let text = "PRETTY_NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert_eq!(release_value(text, "ID"), "debian");
        assert_eq!(release_value(text, "VERSION_ID"), "12");
        assert_eq!(release_value(text, "NONE"), "");
    }

    #[test]
    fn values_keep_what_is_in_them() {
        assert_eq!(quoted(r#"a "b" \"#), r#""a \"b\" \\""#);
    }
}
