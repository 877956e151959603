//! The kernel's bridges: reading and changing them in sysfs.

use std::io;
use std::path::{Path, PathBuf};

/// Everything that has a name in the kernel.
pub(crate) fn device(name: &str) -> PathBuf {
    Path::new("/sys/class/net").join(name)
}

pub(crate) fn exists(name: &str) -> bool {
    // A name with a slash would lead elsewhere.
    !name.is_empty() && !name.contains('/') && device(name).exists()
}

pub(crate) fn is_bridge(name: &str) -> bool {
    exists(name) && device(name).join("bridge").is_dir()
}

/// The names of all bridges, in order.
pub(crate) fn bridges() -> io::Result<Vec<String>> {
    let links = netlink::links()?;
    let mut names: Vec<String> =
        links.into_iter().filter(|link| link.kind == "bridge").map(|link| link.name).collect();
    names.sort();
    Ok(names)
}

/// The names of what is in a bridge, in order.
pub(crate) fn interfaces(bridge: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(device(bridge).join("brif")) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// An attribute as text; empty where there is none.
pub(crate) fn text(dir: &Path, attribute: &str) -> String {
    std::fs::read_to_string(dir.join(attribute)).unwrap_or_default().trim().to_owned()
}

/// An attribute that is a number, perhaps in hexadecimal.
pub(crate) fn number(dir: &Path, attribute: &str) -> u64 {
    let text = text(dir, attribute);
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).unwrap_or(0),
        None => text.parse().unwrap_or(0),
    }
}

/// Sets an attribute of a bridge.
pub(crate) fn set_bridge(bridge: &str, attribute: &str, value: u64) -> io::Result<()> {
    if !is_bridge(bridge) {
        let errno = if exists(bridge) { libc::EOPNOTSUPP } else { libc::ENODEV };
        return Err(io::Error::from_raw_os_error(errno));
    }
    std::fs::write(device(bridge).join("bridge").join(attribute), value.to_string())
}

/// Sets an attribute of a port.
pub(crate) fn set_port(port: &str, attribute: &str, value: u64) -> io::Result<()> {
    if !exists(port) {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    std::fs::write(device(port).join("brport").join(attribute), value.to_string())
}

/// An address that a bridge knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub mac: [u8; 6],
    pub port: u32,
    pub is_local: bool,
    /// Hundredths of a second since it was last seen.
    pub age: u32,
}

/// What a bridge has learned (`struct __fdb_entry` of linux/if_bridge.h, one after the other).
pub(crate) fn known(bridge: &str) -> io::Result<Vec<Known>> {
    if !is_bridge(bridge) {
        let errno = if exists(bridge) { libc::EOPNOTSUPP } else { libc::ENODEV };
        return Err(io::Error::from_raw_os_error(errno));
    }
    let bytes = std::fs::read(device(bridge).join("brforward"))?;
    Ok(bytes.as_chunks::<16>().0.iter().map(entry).collect())
}

fn entry(bytes: &[u8; 16]) -> Known {
    let [m0, m1, m2, m3, m4, m5, port, is_local, a0, a1, a2, a3, port_high, ..] = *bytes;
    Known {
        mac: [m0, m1, m2, m3, m4, m5],
        port: u32::from(port) | u32::from(port_high) << 8,
        is_local: is_local != 0,
        age: u32::from_ne_bytes([a0, a1, a2, a3]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_forwarding_table_is_read() {
        let mut bytes = [2, 0, 0, 0, 0, 7, 5, 1, 0, 0, 0, 0, 1, 0, 0, 0];
        bytes[8..12].copy_from_slice(&1234u32.to_ne_bytes());
        let known = entry(&bytes);
        assert_eq!(known, Known { mac: [2, 0, 0, 0, 0, 7], port: 261, is_local: true, age: 1234 });
    }

    #[test]
    fn names_stay_in_their_directory() {
        assert!(exists("lo") && !is_bridge("lo"));
        assert!(!exists("../net/lo") && !exists("") && !exists("no-such-device"));
    }
}
