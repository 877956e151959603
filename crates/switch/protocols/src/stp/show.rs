//! A bridge as operators see it.

use super::{Bridge, SECOND, Times};
use crate::tree::{address, priority, put_times, state_name};
use pipeline::SpanningTree;

impl Bridge {
    /// The text of `stp/show`.
    pub(crate) fn details(&self) -> String {
        let mut out = String::new();
        put!(out, "---- {} ----\nRoot ID:", self.name);
        put_bridge(&mut out, self.root, self.own);
        match self.root_port.and_then(|root| self.ports.get(&root)) {
            None => put!(out, "  This bridge is the root"),
            Some(port) => {
                put!(out, "  root-port       {}\n  root-path-cost  {}", port.settings.name, self.cost);
            }
        }
        put!(out, "\nBridge ID:");
        put_bridge(&mut out, self.id, self.times);
        put!(
            out,
            "\n  {:<11.10}{:<11.10}{:<11.10}{:<6.5}{:<8.7}",
            "Interface",
            "Role",
            "State",
            "Cost",
            "Pri.Nbr"
        );
        put!(out, "  ---------- ---------- ---------- ----- -------");
        for port in self.enabled() {
            let (role, state) = (self.role(port).name(), state_name(SpanningTree::Stp, port.state));
            let (settings, id) = (&port.settings, port.id);
            put!(
                out,
                "  {:<11.10}{role:<11.10}{state:<11.10}{:<6}{}.{}",
                settings.name,
                settings.cost,
                id >> 8,
                id & 0xff
            );
        }
        put!(out, "");
        out
    }
}

fn put_bridge(out: &mut String, id: u64, times: Times) {
    put!(out, "  stp-priority  {}\n  stp-system-id   {}", priority(id), address(id));
    put_times(out, [times.hello, times.max_age, times.forward_delay].map(|units| units / SECOND));
}
