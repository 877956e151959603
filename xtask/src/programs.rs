//! Building the one executable and giving it its names.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

/// The names by which people call `ovs`.
const NAMES: &[&str] = &[
    "ovsdb-server",
    "ovsdb-client",
    "ovsdb-tool",
    "ovs-vswitchd",
    "ovs-vsctl",
    "vtep-ctl",
    "ovs-ofctl",
    "ovs-appctl",
    "ovs-ctl",
    "ovs-pki",
    "ovs-dpctl",
    "ovs-testcontroller",
    "ovs-controller",
    "ovs-brcompatd",
    "brctl",
    "sflowtool",
];

/// A release build with its links; returns target/bin.
pub(crate) fn build() -> Result<PathBuf, String> {
    crate::run(crate::cargo().args(["build", "--release", "--package", "ovs"]))?;
    link_all("release")
}

/// Links every name to the executable of `profile`; returns the directory of the links.
pub(crate) fn link_all(profile: &str) -> Result<PathBuf, String> {
    let target = target_dir()?;
    let executable = target.join(profile).join("ovs");
    let bin = target.join(if profile == "release" { "bin" } else { "bin-debug" });
    let failed = |e: std::io::Error| format!("{}: {e}", bin.display());
    std::fs::create_dir_all(&bin).map_err(failed)?;
    for name in NAMES.iter().chain(&["ovs"]) {
        let link = bin.join(name);
        if std::fs::read_link(&link).is_ok_and(|to| to == executable) {
            continue;
        }
        match std::fs::remove_file(&link) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
            _ => symlink(&executable, &link).map_err(failed)?,
        }
    }
    let schema = Command::new(bin.join("ovs")).args(["schema", "Open_vSwitch"]).output().map_err(failed)?;
    if !schema.status.success() {
        return Err(format!("ovs schema: {}", String::from_utf8_lossy(&schema.stderr)));
    }
    std::fs::write(bin.join("vswitch.ovsschema"), schema.stdout).map_err(failed)?;
    Ok(bin)
}

/// Where cargo puts what it builds, which users may have configured.
pub(crate) fn target_dir() -> Result<PathBuf, String> {
    let metadata = metadata()?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .ok_or_else(|| "cargo metadata has no target_directory".into())
}

/// `cargo metadata` of the workspace alone.
pub(crate) fn metadata() -> Result<serde_json::Value, String> {
    let output = crate::cargo()
        .args(["metadata", "--format-version=1", "--no-deps"])
        .output()
        .map_err(|e| format!("cargo metadata: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))
}
