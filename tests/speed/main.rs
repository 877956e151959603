//! Connections and tunnels, measured beside the reference's in one run; and what a switch costs whatever offloads
//! devices lack, measured beside a wire.
//!
//! `speed [--connections] [--tunnels] [--offloads] [--runs N] [--seconds N]`, run by `cargo xtask speed`; without a
//! choice connections and tunnels. Every figure is of a fresh world, those of offloads of one for each offload. The runs of
//! both alternate; the tables show the median and the extremes of each, and the median of the ratios of runs that follow
//! one another.

mod connections;
mod generator;
mod offloads;
mod table;
mod tunnels;

use std::process::ExitCode;

use crate::table::Table;

/// What is measured, and how long.
pub(crate) struct Wanted {
    connections: bool,
    tunnels: bool,
    offloads: bool,
    runs: usize,
    /// Of traffic, for each figure.
    pub(crate) seconds: u64,
}

const USAGE: &str = "usage: speed [--connections] [--tunnels] [--offloads] [--runs N] [--seconds N]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((role, rest)) = words.split_first()
        && let Some(role) = generator::Role::named(role)
    {
        return generator::run(role, rest);
    }
    let wanted = match wanted(words.into_iter()) {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    if !end_to_end::can_run() {
        return ExitCode::FAILURE;
    }
    let mut table = Table::new("reference");
    let mut of_offloads = Table::new("wire");
    for run in 1..=wanted.runs {
        eprintln!("run {run} of {}", wanted.runs);
        if wanted.connections {
            connections::measure(&wanted, &mut table);
        }
        if wanted.tunnels {
            tunnels::measure(&wanted, &mut table);
        }
        if wanted.offloads {
            offloads::measure(&wanted, &mut of_offloads);
        }
    }
    print!("{table}{of_offloads}");
    ExitCode::SUCCESS
}

fn wanted(mut words: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut wanted = Wanted { connections: false, tunnels: false, offloads: false, runs: 3, seconds: 4 };
    while let Some(word) = words.next() {
        let mut number = || {
            let given = words.next().and_then(|value| value.parse().ok());
            given.filter(|&number: &u64| number > 0).ok_or_else(|| format!("{word} wants a number above 0"))
        };
        match word.as_str() {
            "--connections" => wanted.connections = true,
            "--tunnels" => wanted.tunnels = true,
            "--offloads" => wanted.offloads = true,
            "--runs" => wanted.runs = number()? as usize,
            "--seconds" => wanted.seconds = number()?,
            _ => return Err(format!("{word}: no such option")),
        }
    }
    if !wanted.connections && !wanted.tunnels && !wanted.offloads {
        (wanted.connections, wanted.tunnels) = (true, true);
    }
    Ok(wanted)
}
