//! The switch's side: asking `ovs-brcompatd`, where it runs.

use rpc::{dirs, unixctl};
use serde_json::Value;

use crate::protocol::{self, Bridge, Errno};

/// The daemon, and the bridges that are its business.
#[derive(Debug)]
pub(crate) struct Switch {
    socket: String,
    pub bridges: Vec<Bridge>,
}

impl Switch {
    /// `None` where the daemon does not run, or does not answer.
    pub(crate) fn reach() -> Option<Switch> {
        // Looked for first, because reading a missing pidfile is logged as a mistake.
        if !dirs::rundir().join("ovs-brcompatd.pid").exists() {
            return None;
        }
        let socket = unixctl::socket_of("ovs-brcompatd").ok()?;
        let answer = unixctl::transact(&socket, protocol::SHOW, &[]).ok()?.ok()?;
        let bridges = serde_json::from_str(answer.as_str()?).ok()?;
        Some(Switch { socket, bridges: protocol::from_json(&bridges) })
    }

    pub(crate) fn bridge(&self, name: &str) -> Option<&Bridge> {
        self.bridges.iter().find(|bridge| bridge.name == name)
    }

    /// The daemon, when this bridge is its business.
    pub(crate) fn that_has(bridge: &str) -> Option<Switch> {
        Switch::reach().filter(|switch| switch.bridge(bridge).is_some())
    }

    /// Has the daemon do something.
    pub(crate) fn ask(&self, command: &str, arguments: &[&str]) -> Result<(), Errno> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        match unixctl::transact(&self.socket, command, &arguments) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(refusal)) => Err(Errno::from_text(refusal.as_str().unwrap_or_default())),
            Err(e) => Err(Errno(e.raw_os_error().unwrap_or(libc::EIO))),
        }
    }

    /// The addresses that a bridge has learned: port, address, age in seconds.
    pub(crate) fn learned(bridge: &str) -> Result<Vec<(u32, String, u64)>, String> {
        let socket = unixctl::socket_of("ovs-vswitchd")?;
        let answer = unixctl::transact(&socket, "fdb/show", &[bridge.to_owned()])
            .map_err(|e| format!("read of forward table failed: {}", rpc::error_text(&e)))?;
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let table = answer.map(text).map_err(|e| format!("read of forward table failed: {}", text(e)))?;
        Ok(table.lines().skip(1).filter_map(learned_line).collect())
    }
}

/// A line of "fdb/show": port, VLAN, address, age. What the bridge itself has is no number.
fn learned_line(line: &str) -> Option<(u32, String, u64)> {
    let mut words = line.split_whitespace();
    let port = words.next()?.parse().ok()?;
    let mac = words.nth(1)?.to_owned();
    Some((port, mac, words.next()?.parse().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learned_addresses_have_a_port_a_name_and_an_age() {
        let line = "    2     0  4a:fa:a2:b1:b2:6b    3";
        assert_eq!(learned_line(line), Some((2, "4a:fa:a2:b1:b2:6b".to_owned(), 3)));
        assert_eq!(learned_line("LOCAL     0  4a:fa:a2:b1:b2:6b    3"), None);
    }
}
