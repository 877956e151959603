//! The rules over a restart: read from the old daemon, given to the new one.

use std::process::Stdio;

use crate::console;
use crate::ours;

/// The rules of the bridges, as text that `ovs-ofctl` reads.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    bridges: Vec<Bridge>,
}

#[derive(Debug)]
struct Bridge {
    name: String,
    /// The version to speak: the last of those that the bridge allows.
    version: String,
    groups: Option<String>,
    flows: String,
}

/// Reads the rules of all bridges.
pub(crate) fn save() -> Saved {
    let mut saved = Saved::default();
    let mut is_whole = true;
    let listed = ours::output(&mut ours::vsctl(&["--", "--real", "list-br"])).unwrap_or_default();
    for name in listed.lines() {
        let protocols =
            ours::output(&mut ours::vsctl(&["get", "bridge", name, "protocols"])).unwrap_or_default();
        let version = highest(&protocols);
        let dump = |words: &[&str]| {
            let mut command = ours::program("ovs-ofctl");
            command.args(["-O", &version]).args(words).arg(name).stderr(Stdio::null());
            let done = command.stdin(Stdio::null()).output().ok().filter(|done| done.status.success())?;
            Some(rules(&String::from_utf8_lossy(&done.stdout)))
        };
        let groups = dump(&["dump-groups"]).filter(|text| !text.is_empty());
        match dump(&["dump-flows", "--no-names", "--no-stats"]) {
            Some(flows) => {
                saved.bridges.push(Bridge { name: name.to_owned(), version: version.clone(), groups, flows })
            }
            None => is_whole = false,
        }
    }
    console::step("Saving flows", is_whole);
    saved
}

/// "[OpenFlow10, OpenFlow13]" has OpenFlow13 as its last; without any it is OpenFlow14.
fn highest(protocols: &str) -> String {
    let names = protocols.trim().trim_matches(['[', ']']);
    match names.rsplit(',').next().map(str::trim) {
        Some(name) if !name.is_empty() => name.trim_matches('"').to_owned(),
        _ => "OpenFlow14".to_owned(),
    }
}

/// A listing without its heading.
fn rules(listing: &str) -> String {
    let is_heading = |line: &str| line.starts_with("NXST_") || line.starts_with("OFPST_");
    listing.lines().filter(|line| !is_heading(line.trim_start())).map(|line| format!("{line}\n")).collect()
}

impl Saved {
    /// Gives each bridge its rules back; whether all got theirs.
    pub(crate) fn restore(self) -> bool {
        if self.bridges.is_empty() {
            return true;
        }
        // Every bridge gets its turn, whatever became of those before.
        let restored = self.bridges.iter().filter(|bridge| !bridge.restore()).count() == 0;
        console::step("Restoring saved flows", restored)
    }
}

impl Bridge {
    fn restore(&self) -> bool {
        let groups = self.groups.as_ref().is_none_or(|text| self.load("add-groups", text));
        groups && self.load("replace-flows", &self.flows)
    }

    fn load(&self, command: &str, text: &str) -> bool {
        use std::io::Write;
        let mut ofctl = ours::program("ovs-ofctl");
        ofctl.args(["-O", &self.version, command, &self.name, "-"]);
        if ["OpenFlow14", "OpenFlow15"].contains(&self.version.as_str()) {
            ofctl.arg("--bundle");
        }
        let Ok(mut child) = ofctl.stdin(Stdio::piped()).spawn() else { return false };
        // A child that ends early says why by its status.
        let written = child.stdin.take().is_some_and(|mut pipe| pipe.write_all(text.as_bytes()).is_ok());
        child.wait().is_ok_and(|status| status.success()) && written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_protocol_counts() {
        assert_eq!(highest("[]\n"), "OpenFlow14");
        assert_eq!(highest("[OpenFlow10, OpenFlow13]\n"), "OpenFlow13");
        assert_eq!(highest("[\"OpenFlow15\"]"), "OpenFlow15");
    }

    #[test]
    fn headings_are_no_rules() {
        let text = "OFPST_FLOW reply (OF1.4) (xid=0x2):\n priority=1 actions=NORMAL\n";
        assert_eq!(rules(text), " priority=1 actions=NORMAL\n");
    }
}
