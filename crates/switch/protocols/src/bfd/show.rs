//! A session as operators see it.

use wire::bfd::flag;

use super::Session;

const FLAG_NAMES: [(u8, &str); 6] = [
    (flag::MULTIPOINT, "multipoint"),
    (flag::DEMAND, "demand"),
    (flag::AUTHENTICATED, "auth"),
    (flag::CONTROL_INDEPENDENT, "ctl"),
    (flag::FINAL, "final"),
    (flag::POLL, "poll"),
];

pub(super) fn flag_names(flags: u8) -> String {
    let names = FLAG_NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name);
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}

impl Session {
    /// The text of `bfd/show` at `now`, in milliseconds.
    pub(crate) fn details(&mut self, now: i64) -> String {
        let mut out = String::new();
        put!(out, "  Forwarding: {}", self.is_forwarding(now));
        put!(out, "  Detect Multiplier: {}", self.settings.multiplier);
        put!(out, "  Concatenated Path Down: {}", self.settings.concatenated_path_down);
        put!(out, "  TX Interval: Approx {}ms", self.tx_interval());
        put!(out, "  RX Interval: Approx {}ms", self.rx_interval());
        put!(out, "  Detect Time: now {:+}ms", self.times.detect - now);
        put!(out, "  Next TX Time: now {:+}ms", self.times.next_tx - now);
        put!(out, "  Last TX Time: now {:+}ms", self.times.last_tx - now);
        put!(out, "\n  Local Flags: {}", flag_names(self.local.flags));
        put!(out, "  Local Session State: {}", self.local.state.name());
        put!(out, "  Local Diagnostic: {}", self.local.diagnostic.text());
        put!(out, "  Local Discriminator: {:#x}", self.local.discriminator);
        put!(out, "  Local Minimum TX Interval: {}ms", self.min_tx());
        put!(out, "  Local Minimum RX Interval: {}ms", self.local.min_rx);
        put!(out, "\n  Remote Flags: {}", flag_names(self.remote.flags));
        put!(out, "  Remote Session State: {}", self.remote.state.name());
        put!(out, "  Remote Diagnostic: {}", self.remote.diagnostic.text());
        put!(out, "  Remote Discriminator: {:#x}", self.remote.discriminator);
        put!(out, "  Remote Minimum TX Interval: {}ms", self.remote.min_tx);
        put!(out, "  Remote Minimum RX Interval: {}ms", self.remote.min_rx);
        put!(out, "  Remote Detect Multiplier: {}", self.remote.multiplier);
        out
    }

    /// What `Interface.bfd_status` shows at `now`, in milliseconds.
    pub(crate) fn status(&mut self, now: i64) -> Vec<(String, String)> {
        let pairs = [
            ("diagnostic", self.local.diagnostic.text().to_owned()),
            ("flap_count", self.forwarding.flaps.to_string()),
            ("forwarding", self.is_forwarding(now).to_string()),
            ("remote_diagnostic", self.remote.diagnostic.text().to_owned()),
            ("remote_state", self.remote.state.name().to_owned()),
            ("state", self.local.state.name().to_owned()),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value)).into()
    }
}
