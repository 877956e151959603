//! An aggregate as operators see it.

use wire::lacp::{Info, state};

use super::{Lacp, Member, Status};

const STATE_NAMES: [(u8, &str); 8] = [
    (state::ACTIVITY, "activity"),
    (state::TIMEOUT, "timeout"),
    (state::AGGREGATION, "aggregation"),
    (state::SYNCHRONIZED, "synchronized"),
    (state::COLLECTING, "collecting"),
    (state::DISTRIBUTING, "distributing"),
    (state::DEFAULTED, "defaulted"),
    (state::EXPIRED, "expired"),
];

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Current => "current",
            Status::Expired => "expired",
            Status::Defaulted => "defaulted",
        }
    }
}

fn put_end(out: &mut String, end: &str, info: &Info) {
    put!(out, "  {end} sys_id: {}", info.system);
    put!(out, "  {end} sys_priority: {}", info.system_priority);
    put!(out, "  {end} port_id: {}", info.port);
    put!(out, "  {end} port_priority: {}", info.port_priority);
    put!(out, "  {end} key: {}", info.key);
    let names =
        STATE_NAMES.iter().filter(|(bit, _)| info.state & bit != 0).map(|(_, name)| format!(" {name}"));
    put!(out, "  {end} state:{}", names.collect::<String>());
}

impl Lacp {
    fn by_name(&self) -> Vec<&Member> {
        let mut members: Vec<&Member> = self.members.values().collect();
        members.sort_by(|a, b| a.settings.name.cmp(&b.settings.name));
        members
    }

    /// The text of `lacp/show`.
    pub(crate) fn details(&self) -> String {
        let mut out = String::new();
        let settings = &self.settings;
        let kind = if settings.is_active { "active" } else { "passive" };
        let negotiated = if self.is_negotiated { " negotiated" } else { "" };
        put!(out, "---- {} ----", self.name);
        put!(out, "  status: {kind}{negotiated}");
        put!(out, "  sys_id: {}", settings.system);
        put!(out, "  sys_priority: {}", settings.system_priority);
        put!(out, "  aggregation key: {}", self.key().map_or("none".to_owned(), |key| key.to_string()));
        put!(out, "  lacp_time: {}", if settings.is_fast { "fast" } else { "slow" });
        for member in self.by_name() {
            let attached = if member.is_attached { "attached" } else { "detached" };
            put!(out, "\nmember: {}: {} {attached}", member.settings.name, member.status.name());
            put!(out, "  port_id: {}", member.settings.port_id);
            put!(out, "  port_priority: {}", member.settings.port_priority);
            put!(out, "  may_enable: {}\n", member.may_enable(settings.falls_back));
            put_end(&mut out, "actor", &self.actor_of(member));
            out.push('\n');
            put_end(&mut out, "partner", &member.partner);
        }
        out
    }

    /// The text of `lacp/show-stats`.
    pub(crate) fn statistics(&self) -> String {
        let mut out = String::new();
        put!(out, "---- {} statistics ----", self.name);
        for member in self.by_name() {
            let counts = &member.counts;
            put!(out, "\nmember: {}:", member.settings.name);
            put!(out, "  TX PDUs: {}", counts.sent);
            put!(out, "  RX PDUs: {}", counts.received);
            put!(out, "  RX Bad PDUs: {}", counts.bad);
            put!(out, "  RX Marker Request PDUs: {}", counts.markers);
            put!(out, "  Link Expired: {}", counts.expired);
            put!(out, "  Link Defaulted: {}", counts.defaulted);
            put!(out, "  Carrier Status Changed: {}", counts.link_changes);
        }
        out
    }
}
