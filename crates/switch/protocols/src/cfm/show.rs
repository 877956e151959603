//! A session as operators see it.

use super::{Health, Session};

impl Session {
    /// The text of `cfm/show` at `now`, in milliseconds.
    pub(crate) fn details(&self, now: i64) -> String {
        let mut out = String::new();
        let up = |is_up| if is_up { "up" } else { "down" };
        let extended = if self.settings.is_extended { " extended" } else { "" };
        let forced = if self.forced.is_some() { " fault_override" } else { "" };
        put!(out, "---- {} ----", self.name);
        put!(out, "MPID {}:{extended}{forced}", self.settings.mpid);
        if !self.faults().is_none() {
            put!(out, "  fault: {}", self.faults().names().collect::<Vec<_>>().join(" "));
        }
        match self.health {
            Health::Undefined => put!(out, "  average health: undefined"),
            Health::Percent(percent) => put!(out, "  average health: {percent}"),
        }
        put!(out, "  opstate: {}", up(self.settings.is_up));
        put!(out, "  remote_opstate: {}", up(self.is_remote_up));
        put!(out, "  interval: {}ms", self.interval_ms);
        put!(out, "  next CCM tx: {}ms", self.next_tx - now);
        put!(out, "  next fault check: {}ms", self.next_look - now);
        for (mpid, remote) in &self.remotes {
            put!(out, "Remote MPID {mpid}");
            put!(out, "  recv since check: {}", remote.is_heard);
            put!(out, "  opstate: {}", up(remote.is_up));
        }
        out
    }
}
