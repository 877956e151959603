//! The daemon that has the datapath.

use rpc::{dirs, unixctl};

use crate::options::Request;

pub(crate) enum Answer {
    Done(String),
    Refused(String),
    NoDaemon,
}

/// Has the daemon run the command, if it runs.
pub(crate) fn ask(request: &Request) -> Answer {
    // Looked for first, because reading a missing pidfile is logged as a mistake.
    if !dirs::rundir().join("ovs-vswitchd.pid").exists() {
        return Answer::NoDaemon;
    }
    let Ok(socket) = unixctl::socket_of("ovs-vswitchd") else { return Answer::NoDaemon };
    let command = format!("dpctl/{}", request.command);
    let mut words = request.switches.clone();
    words.extend_from_slice(&request.arguments);
    match unixctl::transact(&socket, &command, &words) {
        Ok(Ok(text)) => Answer::Done(text.as_str().unwrap_or_default().to_owned()),
        Ok(Err(refusal)) => {
            let refusal = refusal.as_str().unwrap_or_default().to_owned();
            if refusal.contains("is not a valid command") {
                Answer::Refused(format!("'{}' is not something that this datapath does", request.command))
            } else {
                // What the daemon says under its own name is said here under ours.
                Answer::Refused(refusal.lines().map(own).collect::<Vec<&str>>().join("\n"))
            }
        }
        // Its pidfile is left over, or it ends just now.
        Err(_) => Answer::NoDaemon,
    }
}

fn own(line: &str) -> &str {
    line.strip_prefix("ovs-vswitchd: ").unwrap_or(line)
}
