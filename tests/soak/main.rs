//! A soak: a switch under traffic, whose ports, rules, VLANs, devices, controllers and processes are churned at random.
//!
//! `soak [--minutes N] [--seed N]`, run by `cargo xtask soak`. Churn goes on in rounds of half a minute; after each round the
//! switch is left alone for a moment and looked at (`checks.rs`). The first thing that is wrong ends the run, with the seed
//! and the operations of the round, so that it can be run again.

mod checks;
mod churn;
mod random;

use std::process::{Child, ExitCode, Stdio};
use std::time::{Duration, Instant};

use end_to_end::{Host, Programs, Switch, World};

use crate::checks::Baseline;
use crate::random::Random;

/// How long is churned between checks.
const ROUND: Duration = Duration::from_secs(30);
/// Hosts beside the switch. The first two stay as they are: between them is the traffic.
pub(crate) const GUESTS: usize = 6;
/// The VLANs that the other guests' ports are moved between; zero is none.
pub(crate) const TAGS: [u16; 3] = [0, 10, 20];

fn main() -> ExitCode {
    let (minutes, seed) = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\nusage: soak [--minutes N] [--seed N]");
            return ExitCode::FAILURE;
        }
    };
    if !end_to_end::can_run() {
        return ExitCode::FAILURE;
    }
    println!("{minutes} minutes, seed {seed}");
    let mut soak = Soak::new(seed);
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let mut round = 0;
    while Instant::now() < end {
        round += 1;
        let until = Instant::now() + ROUND;
        soak.done.clear();
        let mut slowest = (Duration::ZERO, String::new());
        while Instant::now() < until {
            let begun = Instant::now();
            soak.churn();
            let took = begun.elapsed();
            if took > slowest.0 {
                slowest = (took, soak.done.last().cloned().unwrap_or_default());
            }
        }
        match soak.check() {
            Ok(found) => {
                let (took, what) = (slowest.0.as_millis(), slowest.1);
                println!(
                    "round {round}: {} operations, {found}; the slowest took {took} ms: {what}",
                    soak.done.len()
                );
            }
            Err(wrong) => {
                eprintln!("round {round}, seed {seed}: {wrong}\nThe operations of this round, in order:");
                soak.done.iter().for_each(|operation| eprintln!("  {operation}"));
                soak.keep_logs();
                return ExitCode::FAILURE;
            }
        }
    }
    println!("all right: {} operations, {} restarts, {} kills", soak.operations, soak.restarts, soak.kills);
    ExitCode::SUCCESS
}

/// The minutes and the seed.
fn arguments(mut words: impl Iterator<Item = String>) -> Result<(u64, u64), String> {
    let (mut minutes, mut seed) = (10, u64::from(std::process::id()));
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--minutes" => &mut minutes,
            "--seed" => &mut seed,
            other => return Err(format!("{other}: no such option")),
        };
        let value = words.next().ok_or_else(|| format!("{word} wants a number"))?;
        *place = value.parse().map_err(|_| format!("{word} wants a number, not {value}"))?;
    }
    Ok((minutes, seed))
}

/// The world, and what is known of it.
pub(crate) struct Soak {
    pub random: Random,
    pub host: Host,
    pub switch: Switch,
    pub guests: Vec<Host>,
    /// The VLAN of each guest's port.
    pub tags: [u16; GUESTS],
    /// Internal ports that come and go, by number.
    pub internals: Vec<u32>,
    /// Veths that come and go, with their devices, by number.
    pub veths: Vec<u32>,
    pub next_number: u32,
    pub controller: Option<Child>,
    traffic: Vec<Child>,
    pub baseline: Baseline,
    /// The operations of this round.
    pub done: Vec<String>,
    pub operations: u64,
    pub restarts: u64,
    pub kills: u64,
    _world: World,
}

impl Soak {
    fn new(seed: u64) -> Soak {
        let world = World::new();
        let host = world.host("sw");
        let switch = Switch::start(&world, &host, "sw", Programs::Ours);
        switch.vsctl("add-br br0 -- set bridge br0 fail-mode=standalone");
        let guests: Vec<Host> = (0..GUESTS)
            .map(|n| {
                let guest = world.host(&format!("g{n}"));
                world.wire(&host, &format!("g{n}"), &guest, "eth0");
                guest.address("eth0", &format!("10.9.0.{}/24", n + 1));
                switch.vsctl(&format!("add-port br0 g{n}"));
                guest
            })
            .collect();
        let mut soak = Soak {
            random: Random::new(seed),
            host,
            switch,
            guests,
            tags: [0; GUESTS],
            internals: Vec::new(),
            veths: Vec::new(),
            next_number: 0,
            controller: None,
            traffic: Vec::new(),
            baseline: Baseline::default(),
            done: Vec::new(),
            operations: 0,
            restarts: 0,
            kills: 0,
            _world: world,
        };
        soak.prepare_rules();
        for line in ["ping -q -f -s 1000 10.9.0.2", "ping -q -i 0.01 10.9.0.2"] {
            let mut words = line.split(' ');
            let mut command = soak.guests[0].command(words.next().unwrap_or_default());
            let quiet = command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            soak.traffic.push(quiet.spawn().expect("ping"));
        }
        soak
    }

    /// Copies the logs to where they stay.
    fn keep_logs(&self) {
        let kept = std::env::temp_dir().join(format!("soak-{}", std::process::id()));
        let copy = || -> std::io::Result<()> {
            std::fs::create_dir_all(&kept)?;
            for entry in std::fs::read_dir(&self.switch.dir)? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    std::fs::copy(entry.path(), kept.join(entry.file_name()))?;
                }
            }
            Ok(())
        };
        match copy() {
            Ok(()) => eprintln!("logs are kept in {}", kept.display()),
            Err(e) => eprintln!("logs cannot be kept in {}: {e}", kept.display()),
        }
    }
}

impl Drop for Soak {
    fn drop(&mut self) {
        for child in self.traffic.iter_mut().chain(&mut self.controller) {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
