//! A bridge as operators see it.

use pipeline::SpanningTree;

use super::{Bridge, Times};
use crate::tree::{address, priority, put_times, state_name};

impl Bridge {
    /// The text of `rstp/show`.
    pub(crate) fn details(&self) -> String {
        let mut out = String::new();
        let own = self.settings.times();
        put!(out, "---- {} ----\nRoot ID:", self.name);
        match self.root_port.and_then(|root| self.ports.get(&root)) {
            _ if self.is_root() => {
                put_bridge(&mut out, self.id, own);
                put!(out, "  This bridge is the root");
            }
            None => {
                put!(out, "unknown root port");
                return out;
            }
            Some(port) => {
                put_bridge(&mut out, self.root.root, port.designated_times);
                put!(out, "  root-port       {}\n  root-path-cost  {}", port.settings.name, self.root.cost);
            }
        }
        put!(out, "\nBridge ID:");
        put_bridge(&mut out, self.id, own);
        put!(
            out,
            "\n  {:<11.10}{:<11.10}{:<11.10}{:<9.8}{:<8.7}",
            "Interface",
            "Role",
            "State",
            "Cost",
            "Pri.Nbr"
        );
        put!(out, "  ---------- ---------- ---------- -------- -------");
        for port in self.ports.values() {
            let (role, state) = (port.role.name(), state_name(SpanningTree::Rstp, port.state()));
            let settings = &port.settings;
            put!(
                out,
                "  {:<11.10}{role:<11.10}{state:<11.10}{:<9}{}.{}",
                settings.name,
                settings.cost,
                settings.priority,
                port.number
            );
        }
        put!(out, "");
        out
    }
}

fn put_bridge(out: &mut String, id: u64, times: Times) {
    put!(out, "  stp-priority    {}\n  stp-system-id   {}", priority(id), address(id));
    put_times(out, [times.hello, times.max_age, times.forward_delay].map(i64::from));
}
