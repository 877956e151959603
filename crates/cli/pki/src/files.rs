//! Files: reading, writing with the right permissions, and the log.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use rcgen::{CertificateSigningRequestParams, KeyPair};

use crate::Result;
use crate::options::Options;

/// Names the file in an error.
pub(crate) fn named<'a>(path: &'a Path) -> impl Fn(std::io::Error) -> String + 'a {
    move |e| format!("{}: {}", path.display(), rpc::error_text(&e))
}

pub(crate) fn must_exist(path: &Path) -> Result<()> {
    if path.exists() { Ok(()) } else { Err(format!("{} does not exist", path.display())) }
}

pub(crate) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(named(path))
}

/// The private key in a file. The library's own words for what is wrong tell nobody what to do.
pub(crate) fn read_key(path: &Path) -> Result<KeyPair> {
    let missing = "there is no private key in it that can be used (PEM, not encrypted)";
    KeyPair::from_pem(&read(path)?).map_err(|_| format!("{}: {missing}", path.display()))
}

/// The request for a certificate in a file.
pub(crate) fn read_request(path: &Path) -> Result<CertificateSigningRequestParams> {
    let missing = "there is no certificate request in it that can be read (PEM)";
    CertificateSigningRequestParams::from_pem(&read(path)?)
        .map_err(|_| format!("{}: {missing}", path.display()))
}

pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(named(path))
}

/// Writes what nobody else may read: the file is never there with other permissions.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(named(path)(e)),
        _ => {}
    }
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(named(path))
}

pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(named(path))
}

/// Notes in the log what is being done; only a place for it must be there.
pub(crate) fn log(options: &Options, now: SystemTime) -> Result<()> {
    let Some(dir) = options.log.parent().filter(|dir| !dir.as_os_str().is_empty()) else { return Ok(()) };
    if make_dir(dir, 0o750).is_err() {
        return Err(format!("log directory {} does not exist and cannot be created", dir.display()));
    }
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let line = format!("{seconds}: {} {}\n", options.command, options.arguments.join(" "));
    let file = std::fs::OpenOptions::new().append(true).create(true).open(&options.log);
    // Whoever may not write the log may still make keys.
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    Ok(())
}
