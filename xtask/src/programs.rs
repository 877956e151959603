//! Building the one executable and giving it its names.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
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

/// A release build: the stripped executable, its symbols beside it, and its links; returns target/bin.
pub(crate) fn build() -> Result<PathBuf, String> {
    crate::run(crate::cargo().args(["build", "--release", "--package", "ovs"]))?;
    let target = target_dir()?;
    let bin = target.join("bin");
    std::fs::create_dir_all(&bin).map_err(|e| format!("{}: {e}", bin.display()))?;
    strip(&target.join("release/ovs"), &bin)?;
    link_all(&bin, Path::new("ovs"), NAMES)
}

/// The programs of the tests' own profile; returns the directory of the links.
pub(crate) fn link_debug() -> Result<PathBuf, String> {
    let target = target_dir()?;
    let names: Vec<&str> = NAMES.iter().copied().chain(["ovs"]).collect();
    link_all(&target.join("bin-debug"), &target.join("debug/ovs"), &names)
}

/// Parts `executable` into `ovs`, which people install, and `ovs.debug`, which debuggers and backtraces find by the
/// name that is noted in it.
fn strip(executable: &Path, bin: &Path) -> Result<(), String> {
    let age = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let (stripped, symbols) = (bin.join("ovs"), bin.join("ovs.debug"));
    let is_link = stripped.is_symlink();
    if !is_link && symbols.exists() && age(&stripped) > age(executable) {
        return Ok(());
    }
    let objcopy = || {
        let mut command = Command::new("objcopy");
        // The note of the symbols' file has no directory.
        command.current_dir(bin);
        command
    };
    // A program that runs cannot be written to; a file can take its name.
    crate::run(objcopy().args(["--only-keep-debug"]).arg(executable).arg("ovs.debug"))?;
    let new = bin.join("ovs.new");
    crate::run(objcopy().args(["--strip-all", "--add-gnu-debuglink=ovs.debug"]).arg(executable).arg(&new))?;
    std::fs::rename(&new, &stripped).map_err(|e| format!("{}: {e}", stripped.display()))
}

/// Links every name in `bin` to the executable; returns `bin`.
fn link_all(bin: &Path, executable: &Path, names: &[&str]) -> Result<PathBuf, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", bin.display());
    std::fs::create_dir_all(bin).map_err(failed)?;
    for name in names {
        let link = bin.join(name);
        if std::fs::read_link(&link).is_ok_and(|to| to == executable) {
            continue;
        }
        match std::fs::remove_file(&link) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
            _ => symlink(executable, &link).map_err(failed)?,
        }
    }
    let schema = Command::new(bin.join("ovs")).args(["schema", "Open_vSwitch"]).output().map_err(failed)?;
    if !schema.status.success() {
        return Err(format!("ovs schema: {}", String::from_utf8_lossy(&schema.stderr)));
    }
    std::fs::write(bin.join("vswitch.ovsschema"), schema.stdout).map_err(failed)?;
    Ok(bin.to_owned())
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
