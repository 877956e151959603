//! A session as operators see it.

use std::fmt::Write;

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
        let mut line = |text: &str, value: &dyn std::fmt::Display| {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  {text}: {value}");
        };
        let ms = |interval: i64| format!("{interval}ms");
        let approximate = |interval: i64| format!("Approx {interval}ms");
        let from_now = |time: i64| format!("now {:+}ms", time - now);
        line("Forwarding", &self.is_forwarding(now));
        line("Detect Multiplier", &self.settings.multiplier);
        line("Concatenated Path Down", &self.settings.concatenated_path_down);
        line("TX Interval", &approximate(self.tx_interval()));
        line("RX Interval", &approximate(self.rx_interval()));
        line("Detect Time", &from_now(self.times.detect));
        line("Next TX Time", &from_now(self.times.next_tx));
        line("Last TX Time", &from_now(self.times.last_tx));
        out.push('\n');
        let mut line = |text: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(out, "  {text}: {value}");
        };
        line("Local Flags", &flag_names(self.local.flags));
        line("Local Session State", &self.local.state.name());
        line("Local Diagnostic", &self.local.diagnostic.text());
        line("Local Discriminator", &format!("{:#x}", self.local.discriminator));
        line("Local Minimum TX Interval", &ms(self.min_tx()));
        line("Local Minimum RX Interval", &ms(self.local.min_rx));
        out.push('\n');
        let mut line = |text: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(out, "  {text}: {value}");
        };
        line("Remote Flags", &flag_names(self.remote.flags));
        line("Remote Session State", &self.remote.state.name());
        line("Remote Diagnostic", &self.remote.diagnostic.text());
        line("Remote Discriminator", &format!("{:#x}", self.remote.discriminator));
        line("Remote Minimum TX Interval", &ms(self.remote.min_tx));
        line("Remote Minimum RX Interval", &ms(self.remote.min_rx));
        line("Remote Detect Multiplier", &self.remote.multiplier);
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
