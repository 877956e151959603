//! What to say where there is no datapath, as the reference says it where the
//! kernel has no module.

use crate::commands::{Command, Without};
use crate::options::Request;
use crate::{Failure, PROGRAM};

pub(crate) fn refuse(request: &Request, command: &Command) -> Failure {
    let named = request.arguments.first().map(String::as_str);
    match (command.without, named) {
        (Without::Works, _) => Failure::Silent,
        (Without::Lists, None) => {
            no_module();
            cannot_enumerate();
            Failure::Silent
        }
        (Without::Lists, Some(name)) => {
            let opening = if command.name == "show" { "opening" } else { "Opening" };
            failed(&format!("{opening} datapath {name} failed ({})", why(name)))
        }
        (Without::Creates, name) => failed(&format!("add_dp ({})", why(name.unwrap_or_default()))),
        (Without::Opens, name) => failed(&format!("opening datapath ({})", why(name.unwrap_or_default()))),
        (Without::Finds, name) => {
            no_module();
            cannot_enumerate();
            let mut lines = Vec::new();
            // The last words are the command's own; what comes before them can only be a datapath.
            if name.is_none() || request.arguments.len() <= command.min {
                lines.push("no datapaths exist");
            }
            lines.push("datapath not found (Invalid argument)");
            if command.name == "flush-conntrack" {
                lines.push("Cannot open dpif (Invalid argument)");
            }
            let lines: Vec<String> = lines.iter().map(|line| format!("{PROGRAM}: {line}")).collect();
            Failure::Said(lines.join("\n"))
        }
    }
}

fn failed(text: &str) -> Failure {
    no_module();
    Failure::Said(format!("{PROGRAM}: {text}"))
}

/// Why a datapath of this name, "[TYPE@]NAME", cannot be opened.
fn why(name: &str) -> &'static str {
    match name.split_once('@') {
        None | Some(("" | "system", _)) => "No such file or directory",
        Some(("netdev", _)) => "No such device",
        Some(_) => "Address family not supported by protocol",
    }
}

fn no_module() {
    log::info!(target: "dpif_netlink",
        "Generic Netlink family 'ovs_datapath' does not exist. The Open vSwitch kernel module is probably not loaded.");
}

fn cannot_enumerate() {
    log::warn!(target: "dpif", "failed to enumerate system datapaths: No such file or directory");
}
