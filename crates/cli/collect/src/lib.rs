//! The collector's side: `ovs collect sflow …`, which is also called as `sflowtool`, `ovs collect flows …` for NetFlow
//! and IPFIX, and `ovs collect --top` for all of them.
//!
//! Enters: datagrams from a socket or a capture file. Leaves: text, lines,
//! JSON or pcap on standard output, NetFlow v5 or the datagrams themselves to
//! further collectors.
//!
//! Not here: what datagrams look like (`telemetry`).

mod fields;
mod flow;
mod flows;
mod input;
mod netflow;
mod options;
mod output;
mod packet;
mod pcap;
mod report;
mod run;
mod talkers;
mod target;
mod top;

use std::process::ExitCode;

use rpc::program;

const USAGE: &str = "\
usage: ovs collect sflow [OPTION...]   receive sFlow v5: samples and counters
       ovs collect flows [OPTION...]   receive NetFlow v5, NetFlow v9 and IPFIX: flows
       ovs collect --top [OPTION...]   show who talks most, as all of these tell
Each describes its options with --help.
";

/// `ovs collect KIND …`. `args` are the words after `collect`.
pub fn collect(mut args: Vec<String>) -> ExitCode {
    match args.first().map(String::as_str) {
        Some("sflow") => {
            args.remove(0);
            program("ovs collect sflow", args)
        }
        Some("flows") => {
            args.remove(0);
            flows::collect("ovs collect flows", args)
        }
        Some("--top" | "top") => {
            args.remove(0);
            top::top("ovs collect --top", args)
        }
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Some(other) => {
            eprintln!("ovs collect: cannot collect '{other}'; sflow, flows and --top are what there is");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("ovs collect: what shall be collected? sflow, flows and --top are what there is");
            ExitCode::FAILURE
        }
    }
}

/// The program `sflowtool`. `args` are the words after its name.
pub fn sflowtool(args: Vec<String>) -> ExitCode {
    program("sflowtool", args)
}

fn program(name: &str, args: Vec<String>) -> ExitCode {
    program::start(options::parse(name, args), |options| {
        let done = run::run(name, options);
        program::end(name, done.map(|()| ExitCode::SUCCESS))
    })
}
