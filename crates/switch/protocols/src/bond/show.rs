//! A bond as operators see it.

use pipeline::BondMode;

use super::{Bond, Member};

impl Bond {
    fn by_name(&self) -> Vec<(&base::OfPort, &Member)> {
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_by(|a, b| a.1.settings.name.cmp(&b.1.settings.name));
        members
    }

    /// A line of `bond/list`.
    pub(crate) fn line(&self) -> String {
        let members: Vec<&str> =
            self.by_name().into_iter().map(|(_, member)| &*member.settings.name).collect();
        let id = self.shared.recirc_id();
        format!("{}\t{}\t{id}\t{}\n", self.name, self.settings.mode.name(), members.join(", "))
    }

    /// The text of `bond/show` at `now`, in milliseconds.
    pub(crate) fn details(&self, now: i64) -> String {
        let mut out = String::new();
        let settings = &self.settings;
        let is_balanced_by_mode = self.state_is_balanced();
        let is_balanced = is_balanced_by_mode && settings.rebalance_interval > 0;
        put!(out, "---- {} ----", self.name);
        put!(out, "bond_mode: {}", settings.mode.name());
        let id =
            (settings.mode == BondMode::BalanceTcp && is_balanced_by_mode).then(|| self.shared.recirc_id());
        let recirculation = id.map_or("no, Recirc-ID : -1".to_owned(), |id| format!("yes, Recirc-ID : {id}"));
        put!(out, "bond may use recirculation: {recirculation}");
        put!(out, "bond-hash-basis: {}", settings.basis);
        match self.shared.state().balancer {
            Some(id) => put!(out, "lb_output action: enabled, bond-id: {id}"),
            None => put!(out, "lb_output action: disabled, bond-id: -1"),
        }
        if settings.mode == BondMode::BalanceSlb {
            put!(out, "all members active: {}", settings.all_members_active);
        }
        put!(out, "updelay: {} ms", settings.up_delay);
        put!(out, "downdelay: {} ms", settings.down_delay);
        if is_balanced {
            put!(out, "next rebalance: {} ms", self.balance.next() - now);
        }
        put!(out, "lacp_status: {}", self.lacp.name());
        put!(out, "lacp_fallback_ab: {}", settings.falls_back);
        let has_primary = self.members.values().any(|member| self.is_primary(member));
        let missing = if settings.primary.is_some() && !has_primary { " (no such member)" } else { "" };
        put!(out, "active-backup primary: {}{missing}", settings.primary.as_deref().unwrap_or("<none>"));
        let of_mac = self.members.values().find(|member| member.settings.mac == self.active_mac);
        let of_mac = of_mac.map_or("none", |member| &member.settings.name);
        put!(out, "active member mac: {}({of_mac})", self.active_mac);
        for (port, member) in self.by_name() {
            let what = if member.is_enabled { "enabled" } else { "disabled" };
            put!(out, "\nmember {}: {what}", member.settings.name);
            if self.active == Some(*port) {
                put!(out, "  active member");
            }
            if let Some(at) = member.changes_at {
                let delay = if member.is_enabled { "downdelay" } else { "updelay" };
                put!(out, "  {delay} expires in {} ms", at - now);
            }
            put!(out, "  may_enable: {}", member.may_enable);
            if is_balanced {
                for (bucket, bytes) in self.balance.of(*port).filter(|(_, bytes)| *bytes >= 1024) {
                    put!(out, "  hash {bucket}: {} kB load", bytes / 1024);
                }
            }
        }
        out.push('\n');
        out
    }
}
