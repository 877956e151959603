//! Bonds: which members of a port work, and how they share its packets.
//!
//! Times are milliseconds on the switch's clock.

mod balance;
mod show;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{MacAddr, OfPort, Timestamp};
use pipeline::{BondMode, BondState, LacpStatus};

use balance::Balance;

/// What the port's row asks for. Times are in milliseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How packets are shared.
    pub mode: BondMode,
    /// How long a link is up before it is used.
    pub up_delay: i64,
    /// How long a link is down before it is not used any more.
    pub down_delay: i64,
    /// How often load is moved from member to member; zero: never.
    pub rebalance_interval: i64,
    /// What hashes begin with.
    pub basis: u32,
    /// The member that is preferred.
    pub primary: Option<String>,
    /// Flooded frames are taken from all members.
    pub all_members_active: bool,
    /// Without a neighbour that agrees to LACP, one member has all.
    pub falls_back: bool,
    /// The datapath chooses members itself, where packets are shared by addresses and ports.
    pub is_balanced_below: bool,
    /// The address of the member that was preferred when the program ran before.
    pub last_active: MacAddr,
}

/// A member as its interface is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberSettings {
    /// The interface's name.
    pub name: String,
    /// Its address.
    pub mac: MacAddr,
    /// Its link is up.
    pub has_link: bool,
}

#[derive(Debug)]
struct Member {
    settings: MemberSettings,
    /// It carries packets.
    is_enabled: bool,
    /// Protocols that watch it have nothing against it.
    may_enable: bool,
    /// When it is enabled, or disabled, unless its link changes again.
    changes_at: Option<i64>,
}

/// What the datapath that chooses members itself knows of a bond.
#[derive(Debug)]
struct Balancer {
    /// Its number there.
    id: u32,
    /// The member of each part, as it was told last; empty: it knows nothing.
    known: Vec<Option<OfPort>>,
    /// It is to be told again: ports may have other numbers in it.
    is_stale: bool,
}

/// A bond.
#[derive(Debug)]
pub struct Bond {
    name: String,
    settings: Settings,
    members: BTreeMap<OfPort, Member>,
    active: Option<OfPort>,
    /// The address of `active`, or of who was that last.
    active_mac: MacAddr,
    lacp: LacpStatus,
    balance: Balance,
    balancer: Balancer,
    shared: Arc<pipeline::Bond>,
    /// Other switches are to learn that addresses are behind another member.
    announces: bool,
    has_news: bool,
}

impl Bond {
    /// Without members. `id` is a number that no other bond has.
    pub fn new(name: &str, id: u32, settings: Settings, now: i64) -> Bond {
        let came = Timestamp::ZERO + Duration::from_millis(now.unsigned_abs());
        let mut bond = Bond {
            name: name.to_owned(),
            active_mac: settings.last_active,
            balance: Balance::new(now + settings.rebalance_interval),
            balancer: Balancer { id, known: Vec::new(), is_stale: false },
            settings,
            members: BTreeMap::new(),
            active: None,
            lacp: LacpStatus::Off,
            shared: Arc::new(pipeline::Bond::since(came)),
            announces: false,
            has_news: true,
        };
        bond.publish();
        bond
    }

    /// What translation sees of it.
    pub fn shared(&self) -> &Arc<pipeline::Bond> {
        &self.shared
    }

    /// Takes over other settings.
    pub fn configure(&mut self, settings: Settings, now: i64) {
        let shares =
            |s: &Settings| (s.mode, s.basis, s.falls_back, s.rebalance_interval == 0, s.primary.clone());
        if shares(&self.settings) != shares(&settings) {
            self.balance = Balance::new(now + settings.rebalance_interval);
        } else {
            self.balance.move_next(settings.rebalance_interval - self.settings.rebalance_interval, now);
        }
        self.settings = settings;
        self.balancer.is_stale = true;
    }

    /// Makes these the members. A new one is enabled at once if its link is up.
    pub fn set_members(&mut self, members: &BTreeMap<OfPort, MemberSettings>) {
        let gone: Vec<OfPort> =
            self.members.keys().filter(|port| !members.contains_key(port)).copied().collect();
        for port in gone {
            self.enable(port, false);
            self.members.remove(&port);
            self.announces |= self.active == Some(port);
            self.active = self.active.filter(|active| *active != port);
        }
        for (port, settings) in members {
            if let Some(member) = self.members.get_mut(port) {
                member.settings = settings.clone();
                continue;
            }
            let member =
                Member { settings: settings.clone(), is_enabled: false, may_enable: false, changes_at: None };
            self.members.insert(*port, member);
            self.enable(*port, settings.has_link);
        }
    }

    pub(crate) fn member_name(&self, port: OfPort) -> Option<&str> {
        self.members.get(&port).map(|member| &*member.settings.name)
    }

    /// A member's link has come up or gone down.
    pub fn set_link(&mut self, port: OfPort, has_link: bool) {
        if let Some(member) = self.members.get_mut(&port) {
            member.settings.has_link = has_link;
        }
    }

    /// When [`Bond::run`] has something to do next, if nothing changes before.
    pub fn wakes_at(&self) -> i64 {
        let changes = self.members.values().filter_map(|member| member.changes_at).min();
        let balances = self.state_is_balanced().then(|| self.balance.wakes_at());
        changes.into_iter().chain(balances).min().unwrap_or(i64::MAX)
    }

    /// Does what time, links and protocols ask for. Returns whether packets are forwarded otherwise from now on.
    pub fn run(&mut self, lacp: LacpStatus, may_enable: impl Fn(OfPort) -> bool, now: i64) -> bool {
        if self.lacp != lacp {
            self.lacp = lacp;
            self.balance = Balance::new(now + self.settings.rebalance_interval);
        }
        let ports: Vec<OfPort> = self.members.keys().copied().collect();
        for port in ports {
            if let Some(member) = self.members.get_mut(&port) {
                member.may_enable = may_enable(port);
            }
            self.follow_link(port, now);
        }
        self.choose_active(now);
        if self.state_is_balanced() {
            let enabled = self.enabled();
            if self.shared.state().enabled != enabled || !self.balance.is_assigned() {
                self.account();
                self.balance.assign(&enabled);
            }
            if now >= self.balance.wakes_at() {
                self.rebalance(now);
            }
        }
        self.publish()
    }

    fn follow_link(&mut self, port: OfPort, now: i64) {
        let (up_delay, down_delay) = (self.settings.up_delay, self.settings.down_delay);
        let Some(member) = self.members.get_mut(&port) else { return };
        let is_up = member.settings.has_link && member.may_enable;
        let name = &member.settings.name;
        let up = |is_up| if is_up { "up" } else { "down" };
        if is_up != member.is_enabled && member.changes_at.is_none() {
            log::info!(target: base::bounded!("bond", 20), "member {name}: link state {}", up(is_up));
            let delay = if is_up { up_delay } else { down_delay };
            member.changes_at = Some(now + delay);
            if delay > 0 {
                let what = if is_up { "enabled" } else { "disabled" };
                log::info!(
                    target: base::bounded!("bond", 20),
                    "member {name}: will be {what} if it stays {} for {delay} ms", up(is_up)
                );
            }
        } else if is_up == member.is_enabled && member.changes_at.take().is_some() {
            let what = if is_up { "disabled" } else { "enabled" };
            log::info!(target: base::bounded!("bond", 20), "member {name}: link state {}", up(is_up));
            log::info!(target: base::bounded!("bond", 20), "member {name}: will not be {what}");
        }
        if member.changes_at.is_some_and(|at| now >= at) {
            self.enable(port, is_up);
        }
    }

    /// Enables or disables a member, whatever its link says until that changes.
    fn enable(&mut self, port: OfPort, enables: bool) {
        let Some(member) = self.members.get_mut(&port) else { return };
        member.changes_at = None;
        if member.is_enabled != enables {
            member.is_enabled = enables;
            self.announces |= !enables;
            let what = if enables { "enabled" } else { "disabled" };
            log::info!(target: "bond", "member {}: {what}", member.settings.name);
        }
    }

    /// The members that carry packets.
    fn enabled(&self) -> Vec<OfPort> {
        self.members.iter().filter(|(_, member)| member.is_enabled).map(|(port, _)| *port).collect()
    }

    fn is_primary(&self, member: &Member) -> bool {
        self.settings.primary.as_ref() == Some(&member.settings.name)
    }

    fn choose_active(&mut self, now: i64) {
        let is_enabled = |port: &OfPort| self.members.get(port).is_some_and(|member| member.is_enabled);
        let mut enabled = self.members.iter().filter(|(_, member)| member.is_enabled);
        let primary = enabled.clone().find(|(_, member)| self.is_primary(member)).map(|(port, _)| *port);
        let takes_over = self.settings.mode == BondMode::ActiveBackup && primary.is_some();
        if self.active.as_ref().is_some_and(is_enabled) && !(takes_over && self.active != primary) {
            return;
        }
        let last = enabled.clone().find(|(_, member)| member.settings.mac == self.active_mac);
        let chosen =
            primary.or(last.map(|(port, _)| *port)).or_else(|| enabled.next().map(|(port, _)| *port));
        // None works: the one that will be enabled first.
        let coming = self.members.iter().filter(|(_, member)| member.may_enable);
        let coming = coming.filter_map(|(port, member)| Some((member.changes_at?, *port))).min();
        let chosen = chosen.or(coming.map(|(_, port)| port));
        let member = chosen.and_then(|port| self.members.get(&port));
        let delay =
            member.and_then(|member| member.changes_at).filter(|_| !chosen.as_ref().is_some_and(is_enabled));
        self.set_active(chosen, delay.map(|at| at - now));
        if let (Some(port), Some(_)) = (chosen, delay) {
            self.enable(port, true);
        }
    }

    /// `delay` is what is left of the time after which the member would have been enabled.
    fn set_active(&mut self, chosen: Option<OfPort>, delay: Option<i64>) {
        if chosen == self.active {
            return;
        }
        self.active = chosen;
        let what = match chosen.and_then(|port| self.members.get(&port)) {
            Some(member) => {
                self.active_mac = member.settings.mac;
                let name = &member.settings.name;
                let skipped = delay.map(|delay| {
                    format!(", skipping remaining {delay} ms updelay (since no member was enabled)")
                });
                format!("active member is now {name}{}", skipped.unwrap_or_default())
            }
            None => {
                self.active_mac = MacAddr::ZERO;
                "all members disabled".to_owned()
            }
        };
        log::info!(target: base::bounded!("bond", 20), "bond {}: {what}", self.name);
        self.announces = true;
        self.has_news = true;
    }

    fn state_is_balanced(&self) -> bool {
        self.settings.mode != BondMode::ActiveBackup
            && !(self.settings.falls_back && self.lacp == LacpStatus::Configured)
    }

    /// Takes in what has left since.
    fn account(&mut self) {
        for bucket in 0..=u8::MAX {
            self.balance.add(bucket, self.shared.take_sent(bucket));
        }
    }

    fn rebalance(&mut self, now: i64) {
        let interval = self.settings.rebalance_interval;
        self.account();
        let enabled = self.enabled();
        if interval == 0 {
            self.balance.set_next(i64::MAX);
            return;
        }
        self.balance.set_next(now + interval);
        let Some(loads) = self.balance.rebalance(&enabled) else { return };
        let name = |port: &OfPort| self.members.get(port).map_or("", |member| &member.settings.name);
        let loads = loads.iter().map(|(port, bytes)| format!("{}:{}kB", name(port), bytes / 1024));
        log::info!(
            target: "bond",
            "bond {}: rebalanced (now carrying: {})", self.name, loads.collect::<Vec<_>>().join(" and ")
        );
    }

    /// Shows translation what it has to know. Returns whether that is something else than before.
    pub(crate) fn publish(&mut self) -> bool {
        let state = BondState {
            mode: self.settings.mode,
            basis: self.settings.basis,
            enabled: self.enabled(),
            active: self.active,
            lacp: self.lacp,
            falls_back: self.settings.falls_back,
            all_members_active: self.settings.mode == BondMode::BalanceSlb
                && self.settings.all_members_active,
            buckets: if self.state_is_balanced() { self.balance.members() } else { Vec::new() },
            balancer: (self.wants_balancer() && !self.balancer.known.is_empty()).then_some(self.balancer.id),
        };
        let has_changed = *self.shared.state() != state;
        if has_changed {
            self.shared.set_state(state);
            self.has_news = true;
        }
        has_changed
    }

    fn wants_balancer(&self) -> bool {
        self.settings.is_balanced_below
            && self.settings.mode == BondMode::BalanceTcp
            && self.state_is_balanced()
    }

    /// The member of each part that the datapath is to be told, by the number of the bond there; none where it is to forget
    /// the bond. Packets are left to it when it has been told, at the next run, and not any more before it forgets.
    pub(crate) fn take_parts(&mut self) -> Option<(u32, Vec<Option<OfPort>>)> {
        let wanted = match self.wants_balancer() {
            true => self.shared.state().buckets.clone(),
            false => Vec::new(),
        };
        let balancer = &mut self.balancer;
        let is_stale = std::mem::take(&mut balancer.is_stale) && !wanted.is_empty();
        if balancer.known == wanted && !is_stale {
            return None;
        }
        balancer.known.clone_from(&wanted);
        Some((balancer.id, wanted))
    }

    /// Whether packets are to be left to the datapath, or were until now: then it is to be told, at the next run.
    pub(crate) fn is_left_below(&self) -> bool {
        self.wants_balancer() || self.known_as().is_some()
    }

    /// By which number the datapath knows the bond; `None` where it does not.
    pub(crate) fn known_as(&self) -> Option<u32> {
        (!self.balancer.known.is_empty()).then_some(self.balancer.id)
    }

    /// Packets have left by the datapath's choice.
    pub(crate) fn count(&self, bytes: &[u64]) {
        for (bucket, bytes) in (0..=u8::MAX).zip(bytes) {
            self.shared.count(bucket, 0, *bytes);
        }
    }

    /// Whether other switches are to learn at once by which member addresses are reached; asked once.
    pub fn take_announcement(&mut self) -> bool {
        let announces = std::mem::take(&mut self.announces);
        let learns = match self.lacp {
            LacpStatus::Off => self.settings.mode != BondMode::BalanceTcp,
            LacpStatus::Configured => self.settings.falls_back,
            LacpStatus::Negotiated => false,
        };
        announces && learns && self.active.is_some()
    }

    /// Whether what operators see has changed since this was asked last.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// The address of the preferred member.
    pub fn active_mac(&self) -> Option<MacAddr> {
        Some(self.members.get(&self.active?)?.settings.mac)
    }

    fn named(&self, member: &str) -> Result<OfPort, String> {
        let found = self.members.iter().find(|(_, one)| one.settings.name == member);
        found.map(|(port, _)| *port).ok_or_else(|| "no such member".to_owned())
    }

    /// An operator enables or disables a member.
    pub fn force(&mut self, member: &str, enables: bool) -> Result<String, String> {
        let port = self.named(member)?;
        self.enable(port, enables);
        Ok(if enables { "enabled" } else { "disabled" }.to_owned())
    }

    /// An operator prefers a member.
    pub fn prefer(&mut self, member: &str) -> Result<String, String> {
        let port = self.named(member)?;
        if !self.members.get(&port).is_some_and(|member| member.is_enabled) {
            return Err("cannot make disabled member active".to_owned());
        }
        if self.active == Some(port) {
            return Ok("no change".to_owned());
        }
        self.set_active(Some(port), None);
        Ok("done".to_owned())
    }

    /// An operator moves a part of the packets to a member.
    pub fn migrate(&mut self, hash: &str, member: &str) -> Result<String, String> {
        if self.settings.mode != BondMode::BalanceSlb {
            return Err("not an SLB bond".to_owned());
        }
        let hash: u64 = hash.parse().map_err(|_| "bad hash".to_owned())?;
        let port = self.named(member)?;
        if !self.members.get(&port).is_some_and(|member| member.is_enabled) {
            return Err("cannot migrate to disabled member".to_owned());
        }
        self.balance.move_to(hash as u8, port);
        Ok("migrated".to_owned())
    }
}

#[cfg(test)]
mod tests;
