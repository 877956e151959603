//! "enable-protocol": a rule of iptables that lets a tunnel's packets in.

use std::process::{Command, Stdio};

use crate::console;
use crate::options::Settings;
use crate::ours;

pub(crate) fn enable_protocol(settings: &Settings) -> bool {
    let protocol = settings.protocol.as_str();
    let Some(number) = protocol_number(protocol) else {
        console::failure(&format!("unknown protocol {protocol}"));
        return false;
    };
    let mut name = protocol.to_owned();
    let mut insert = vec!["-I".to_owned(), "INPUT".to_owned(), "-p".to_owned(), protocol.to_owned()];
    for (port, preposition, option) in
        [(&settings.dport, "to", "--dport"), (&settings.sport, "from", "--sport")]
    {
        if let Some(port) = port {
            name.push_str(&format!(" {preposition} port {port}"));
            insert.extend([option.to_owned(), port.clone()]);
        }
    }
    insert.extend(["-j".to_owned(), "ACCEPT".to_owned()]);
    let listing = Command::new("iptables").args(["-n", "-L", "INPUT"]).stderr(Stdio::null()).output();
    match listing {
        Err(_) => {
            console::success(&format!("iptables binary not installed, not adding a rule for {name}"));
            true
        }
        Ok(done) if !done.status.success() => {
            console::success(&format!("cannot list iptables rules, not adding a rule for {name}"));
            true
        }
        Ok(done) => {
            let listing = String::from_utf8_lossy(&done.stdout);
            if listing.lines().any(|line| is_about(line, settings, number)) {
                let text = format!("iptables already has a rule for {name}, not explicitly enabling");
                console::success(&text);
                return true;
            }
            let added = ours::succeeds(Command::new("iptables").args(insert));
            console::step(&format!("Enabling {name} with iptables"), added)
        }
    }
}

/// Whether a line of the listing is about the protocol, by name or number, and its ports.
fn is_about(line: &str, settings: &Settings, number: u32) -> bool {
    let Some(protocol) = line.split_whitespace().nth(1) else { return false };
    let has_port = |mark: &str, port: &Option<String>| {
        port.as_ref().is_none_or(|port| line.contains(&format!("{mark}:{port}")))
    };
    (protocol == settings.protocol || protocol == number.to_string())
        && has_port("dpt", &settings.dport)
        && has_port("spt", &settings.sport)
}

/// A protocol's number, of /etc/protocols or known by heart.
fn protocol_number(name: &str) -> Option<u32> {
    let file = std::fs::read_to_string("/etc/protocols").unwrap_or_default();
    let listed = file.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(name)).then(|| words.next()?.parse().ok()).flatten()
    });
    let known = [("icmp", 1), ("tcp", 6), ("udp", 17), ("gre", 47), ("esp", 50)];
    listed.or_else(|| known.iter().find(|(known, _)| *known == name).map(|(_, number)| *number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_known_by_protocol_and_ports() {
        let mut settings = Settings::default();
        assert!(is_about("ACCEPT  47 --  0.0.0.0/0  0.0.0.0/0", &settings, 47));
        assert!(is_about("ACCEPT  gre --  0.0.0.0/0  0.0.0.0/0", &settings, 47));
        settings.dport = Some("4789".to_owned());
        assert!(!is_about("ACCEPT  gre --  0.0.0.0/0  0.0.0.0/0", &settings, 47));
        assert_eq!(protocol_number("gre"), Some(47));
        assert_eq!(protocol_number("no-such-protocol"), None);
    }
}
