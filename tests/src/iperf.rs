//! iperf3 between two hosts.

use std::process::{Child, Stdio};

use crate::{Host, Output, until};

/// An iperf3 server, which ends when it is dropped.
pub struct Iperf(Child);

impl Iperf {
    /// Serves on `host`.
    #[track_caller]
    pub fn serve(host: &Host) -> Iperf {
        let child = host.command("iperf3").arg("-s").stdout(Stdio::null()).spawn().expect("iperf3");
        until("iperf3 listens", || host.ok("ss -ltnH").contains(":5201 "));
        Iperf(child)
    }

    /// Runs a client, whose arguments are split at blanks, for at most a minute. The server may still be at the end of
    /// the client before, whose program has gone: then it is asked again.
    #[track_caller]
    pub fn client(&self, from: &Host, arguments: &str) -> Output {
        let line = format!("timeout 60 iperf3 {arguments}");
        let mut done = None;
        until("iperf3's server is free", || {
            let output = from.run(&line);
            // Between two clients it listens anew, and rejects who comes then.
            let is_rejected = ["connect to server", "send cookie to server"].iter().any(|what| {
                ["Connection reset by peer", "Connection refused"]
                    .iter()
                    .any(|why| output.err.contains(&format!("unable to {what}: {why}")))
            });
            let is_busy = is_rejected || output.err.contains("the server is busy");
            done = Some(output);
            !is_busy
        });
        done.expect("iperf3 was run")
    }

    /// Sends `bytes` over TCP to the server's `address`, and back; `what` says of a failure what was tried.
    #[track_caller]
    pub fn both_ways(&self, from: &Host, address: &str, bytes: &str, what: &str) {
        for direction in ["", "-R"] {
            let done = self.client(from, &format!("-c {address} -n {bytes} {direction}"));
            assert_eq!(done.status, 0, "{what}: {address} {direction}: {}{}", done.out, done.err);
        }
    }
}

impl Drop for Iperf {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
