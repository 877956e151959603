//! What must be true whenever the switch is left alone for a moment.

use std::time::Duration;

use end_to_end::holds_within;

use crate::{GUESTS, Soak};

/// How long the switch may take to come to rest.
const REST: Duration = Duration::from_secs(20);
/// How much of memory and of descriptors may be more than in the first rounds: caches fill, and ports differ in number.
const MORE_MEMORY: usize = 24 << 20;
const MORE_FILES: usize = 250;
/// The rounds that the later ones are compared with.
const FIRST_ROUNDS: usize = 3;
/// Packets whose counting is checked.
const COUNTED: u64 = 300;

/// What the first rounds took.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    rounds: usize,
    memory: usize,
    files: usize,
}

impl Soak {
    /// What was found, or what is wrong.
    pub(crate) fn check(&mut self) -> Result<String, String> {
        if !self.switch.is_alive() {
            return Err("a daemon has ended".to_owned());
        }
        let mut wrong = String::new();
        let is_right = holds_within(REST, || match self.ports_are_right() {
            Ok(()) => true,
            Err(why) => {
                wrong = why;
                false
            }
        });
        if !is_right {
            return Err(wrong);
        }
        self.guests_reach_whom_they_should()?;
        self.packets_are_counted()?;
        self.logs_are_clean()?;
        self.nothing_grows()
    }

    /// Every port that is to be there is, once, works, and has a number of its own; no other is.
    fn ports_are_right(&self) -> Result<(), String> {
        let mut wanted: Vec<String> = (0..GUESTS).map(|n| format!("g{n}")).collect();
        wanted.extend(self.internals.iter().map(|n| format!("i{n}")));
        wanted.extend(self.veths.iter().map(|n| format!("v{n}")));
        wanted.sort();
        let listed = self.switch.vsctl("list-ports br0");
        let mut listed: Vec<&str> = listed.lines().collect();
        listed.sort_unstable();
        if listed != wanted {
            return Err(format!("the database has the ports {listed:?}, and is to have {wanted:?}"));
        }
        let shown =
            self.switch.vsctl("--format=csv --no-headings --columns=name,ofport,error list interface");
        let mut numbers = Vec::new();
        for line in shown.lines().filter(|line| !line.starts_with("br0,")) {
            let mut cells = line.split(',');
            let (name, number) = (cells.next().unwrap_or(""), cells.next().unwrap_or(""));
            if number.parse::<u16>().is_err() || !line.ends_with(",[]") {
                return Err(format!("interface {name} does not work: {line}"));
            }
            numbers.push(number.to_owned());
        }
        numbers.sort();
        numbers.dedup();
        let shown = self.switch.ofctl("-O OpenFlow14 show br0");
        let ports = shown.lines().filter(|line| line.contains("): addr:")).count();
        if numbers.len() != wanted.len() || ports != wanted.len() + 1 {
            let (have, want) = (numbers.len(), wanted.len());
            return Err(format!(
                "{want} ports are to be there, {have} have a number, OpenFlow shows {ports}"
            ));
        }
        Ok(())
    }

    /// Guests of one VLAN reach each other, others do not.
    fn guests_reach_whom_they_should(&self) -> Result<(), String> {
        for from in 0..GUESTS {
            for to in from + 1..GUESTS {
                let should = self.tags[from] == self.tags[to];
                let address = format!("10.9.0.{}", to + 1);
                // An address may have to be learned again, and be asked for.
                let does = if should {
                    self.guests[from].reaches(&address)
                } else {
                    self.guests[from].is_answered(&address)
                };
                if does != should {
                    let (a, b) = (self.tags[from], self.tags[to]);
                    let verb = if should { "cannot reach" } else { "reaches" };
                    return Err(format!("guest {from} in VLAN {a} {verb} guest {to} in VLAN {b}"));
                }
            }
        }
        Ok(())
    }

    /// A rule counts each packet once.
    fn packets_are_counted(&self) -> Result<(), String> {
        let counted = || -> Result<u64, String> {
            let shown = self.switch.ofctl("dump-flows br0 icmp,icmp_type=8,nw_tos=16");
            let number = shown.split("n_packets=").nth(1).and_then(|rest| rest.split(',').next());
            number
                .and_then(|n| n.parse().ok())
                .ok_or_else(|| format!("the rule that counts is gone: {shown}"))
        };
        let before = counted()?;
        let sent = self.guests[0].run(&format!("ping -q -c {COUNTED} -i 0.002 -Q 16 10.9.0.2"));
        if !sent.out.contains(&format!("{COUNTED} packets transmitted")) {
            return Err(format!("ping: {}{}", sent.out, sent.err));
        }
        let mut found = 0;
        let is_exact = holds_within(Duration::from_secs(5), || {
            found = counted().map_or(0, |now| now - before);
            found == COUNTED
        });
        if is_exact { Ok(()) } else { Err(format!("of {COUNTED} packets {found} are counted")) }
    }

    /// Nothing that cannot be has been, and nothing failed that the churn does not explain.
    fn logs_are_clean(&self) -> Result<(), String> {
        // A counter that has never counted is not listed.
        let counters = self.switch.appctl("coverage/show");
        if let Some(broken) = counters.lines().find(|line| line.starts_with("invariant_broken")) {
            return Err(broken.to_owned());
        }
        for name in ["ovs-vswitchd", "ovsdb-server"] {
            for ending in ["log", "out"] {
                let path = self.switch.dir.join(format!("{name}.{ending}"));
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let bad = |line: &&str| {
                    line.contains("panicked") || line.contains("|EMER|") || line.contains("|ERR|")
                };
                if let Some(line) = text.lines().find(bad) {
                    return Err(format!("{name}.{ending}: {line}"));
                }
            }
        }
        Ok(())
    }

    /// Memory and descriptors of the daemon.
    fn nothing_grows(&mut self) -> Result<String, String> {
        let (memory, files) = (self.switch.memory(), self.switch.open_files());
        let found = format!(
            "{} ports, {} KiB, {files} files",
            GUESTS + self.internals.len() + self.veths.len(),
            memory >> 10
        );
        let first = &mut self.baseline;
        if first.rounds < FIRST_ROUNDS {
            first.rounds += 1;
            first.memory = first.memory.max(memory);
            first.files = first.files.max(files);
        } else if memory > first.memory + MORE_MEMORY || files > first.files + MORE_FILES {
            return Err(format!(
                "{found}; in the first rounds {} KiB, {} files",
                first.memory >> 10,
                first.files
            ));
        }
        Ok(found)
    }
}
