//! The multicast table: behind which ports hosts listen to which groups, and behind which there are routers, per VLAN.
//!
//! Enters: what frames say ([`wire::membership`]), by port and VLAN. Leaves: whom a packet is for ([`Receivers`]). Times are
//! given, so that a listing and an expiry are what the caller's clock says.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base::{OfPort, Timestamp};
use pipeline::{BundleId, Receivers};
use wire::membership::{Membership, Message, Version};

base::coverage!(static LEARNED = "mcast_snooping_learned");
base::coverage!(static EXPIRED = "mcast_snooping_expired");

/// Most groups that a bridge remembers unless configured otherwise (`other_config:mcast-snooping-table-size`).
pub const DEFAULT_GROUPS: usize = 2048;

/// How long a host counts as listening that does not say so again, unless configured otherwise
/// (`other_config:mcast-snooping-aging-time`).
pub const DEFAULT_MEMBERSHIP: Duration = Duration::from_secs(300);

/// How long a port counts as leading to a router that does not ask again.
const ROUTER_IDLE: Duration = Duration::from_secs(180);

/// How a bridge treats multicast that it looks into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snooping {
    /// Most groups; kept within 10 and 1,000,000.
    pub capacity: usize,
    /// How long a membership lasts; kept within 15 and 3600 seconds.
    pub idle: Duration,
    /// Whether packets to groups that nobody is known to listen to go to all ports.
    pub floods_unregistered: bool,
}

impl Default for Snooping {
    fn default() -> Snooping {
        Snooping { capacity: DEFAULT_GROUPS, idle: DEFAULT_MEMBERSHIP, floods_unregistered: true }
    }
}

/// What a port gets whoever listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortFlooding {
    /// All multicast but reports.
    pub multicast: bool,
    /// What hosts say of themselves.
    pub reports: bool,
}

/// A VLAN and a group in it, mapped if it is of IPv4.
type Address = (u16, u128);

/// The groups of one bridge.
///
/// Invariants: a group is there as long as somebody is in it; `by_use` holds exactly the groups of `groups`, `by_age`
/// exactly their members, each by its sequence, which grows with each report; there are never more than `capacity` groups.
/// A member is in a group once, a port a router once per VLAN, so what traffic makes is bounded.
#[derive(Debug, Default)]
pub struct MulticastTable {
    groups: HashMap<Address, Group>,
    by_use: BTreeMap<u64, Address>,
    by_age: BTreeMap<u64, (Address, BundleId)>,
    /// The one that asked longest ago first.
    routers: Vec<Router>,
    /// In the order in which they were configured, as those of `report_ports`.
    flood_ports: Vec<BundleId>,
    report_ports: Vec<BundleId>,
    /// The OpenFlow ports that ports in the sense of the database are.
    numbers: HashMap<BundleId, Vec<OfPort>>,
    sequence: u64,
    snooping: Snooping,
}

#[derive(Debug)]
struct Group {
    /// Of the last report.
    version: Version,
    /// Its key in `by_use`.
    sequence: u64,
    /// Who reported longest ago first.
    members: Vec<Member>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    port: BundleId,
    used: Timestamp,
    /// Its key in `by_age`.
    sequence: u64,
}

#[derive(Clone, Copy, Debug)]
struct Router {
    vlan: u16,
    port: BundleId,
    used: Timestamp,
}

/// One line of `mdb/show`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listener {
    pub port: BundleId,
    pub vlan: u16,
    /// The group and the protocol by which it was joined; `None` for a router.
    pub group: Option<(u128, Version)>,
    pub age: Duration,
}

impl MulticastTable {
    /// Sets the bounds. Shrinking forgets the groups that were reported longest ago. Returns whether packets may be
    /// forwarded otherwise.
    pub fn configure(&mut self, snooping: Snooping) -> bool {
        let snooping = Snooping {
            capacity: snooping.capacity.clamp(10, 1_000_000),
            idle: snooping.idle.clamp(Duration::from_secs(15), Duration::from_secs(3600)),
            ..snooping
        };
        let mut is_changed = self.snooping.floods_unregistered != snooping.floods_unregistered;
        self.snooping = snooping;
        while self.groups.len() > snooping.capacity {
            self.evict();
            is_changed = true;
        }
        is_changed
    }

    /// Sets what ports get whoever listens. Returns whether any gets something else than before.
    pub fn set_port(&mut self, port: BundleId, flooding: PortFlooding) -> bool {
        let set = |ports: &mut Vec<BundleId>, is_in: bool| {
            let was_in = ports.contains(&port);
            match (was_in, is_in) {
                (false, true) => ports.push(port),
                (true, false) => ports.retain(|other| *other != port),
                (true, true) | (false, false) => {}
            }
            was_in != is_in
        };
        set(&mut self.flood_ports, flooding.multicast) | set(&mut self.report_ports, flooding.reports)
    }

    /// Notes which OpenFlow ports a port is. When it is others than before, what was known is of something else.
    pub fn set_numbers(&mut self, port: BundleId, numbers: &[OfPort]) {
        if numbers.is_empty() {
            return;
        }
        let before = self.numbers.insert(port, numbers.to_vec());
        if before.is_some_and(|before| !before.iter().any(|number| numbers.contains(number))) {
            self.forget_port(port);
        }
    }

    /// Whom a packet to `group` in `vlan` is for.
    pub fn receivers(&self, vlan: u16, group: u128) -> Receivers {
        let members = self.groups.get(&(vlan, group));
        let routers = self.routers.iter().filter(|router| router.vlan == vlan);
        let routers_elsewhere = self.routers.len() - routers.clone().count();
        Receivers {
            members: members.map(|group| group.members.iter().map(|member| member.port).collect()),
            routers: routers.map(|router| router.port).collect(),
            routers_elsewhere,
            flood_ports: self.flood_ports.clone(),
            report_ports: self.report_ports.clone(),
            floods_unregistered: self.snooping.floods_unregistered,
        }
    }

    /// Takes in what a frame says that came in by `port`. Returns whether packets may be forwarded otherwise.
    pub fn take(&mut self, vlan: u16, port: BundleId, message: Message<'_>, now: Timestamp) -> bool {
        // Such a port gets everything already.
        if self.flood_ports.contains(&port) {
            return false;
        }
        match message {
            Message::Query { has_source } => has_source && self.hear_router(vlan, port, now),
            Message::Report(report) => {
                let version = report.version;
                report.fold(false, |news, Membership { group, listens }| {
                    let address = (vlan, group);
                    news | if listens {
                        self.join(address, port, version, now)
                    } else {
                        self.leave(address, port)
                    }
                })
            }
        }
    }

    fn hear_router(&mut self, vlan: u16, port: BundleId, now: Timestamp) -> bool {
        let known = self.routers.len();
        self.routers.retain(|router| (router.vlan, router.port) != (vlan, port));
        let is_new = self.routers.len() == known;
        self.routers.push(Router { vlan, port, used: now });
        if is_new {
            LEARNED.count();
        }
        is_new
    }

    fn join(&mut self, address: Address, port: BundleId, version: Version, now: Timestamp) -> bool {
        // It gets everything already.
        if self.routers.iter().any(|router| (router.vlan, router.port) == (address.0, port)) {
            return false;
        }
        if !self.groups.contains_key(&address) && self.groups.len() >= self.snooping.capacity {
            self.evict();
        }
        let is_member = self.drop_member(address, port);
        self.sequence += 1;
        let sequence = self.sequence;
        let group = self.groups.entry(address).or_insert_with(|| {
            LEARNED.count();
            Group { version, sequence, members: Vec::new() }
        });
        self.by_use.remove(&group.sequence);
        group.version = version;
        group.sequence = sequence;
        group.members.push(Member { port, used: now, sequence });
        self.by_use.insert(sequence, address);
        self.by_age.insert(sequence, (address, port));
        !is_member
    }

    fn leave(&mut self, address: Address, port: BundleId) -> bool {
        // Behind a port to which reports are forwarded there may be more hosts than the one that leaves.
        if self.report_ports.contains(&port) {
            return false;
        }
        let has_left = self.drop_member(address, port);
        self.drop_if_empty(address);
        has_left
    }

    /// Takes a port out of a group, which may have nobody in it then.
    fn drop_member(&mut self, address: Address, port: BundleId) -> bool {
        let Some(group) = self.groups.get_mut(&address) else { return false };
        let place = group.members.iter().position(|member| member.port == port);
        let member = place.map(|place| group.members.remove(place));
        if let Some(member) = member {
            self.by_age.remove(&member.sequence);
        }
        member.is_some()
    }

    fn drop_if_empty(&mut self, address: Address) {
        if self.groups.get(&address).is_some_and(|group| group.members.is_empty()) {
            self.forget(address);
        }
    }

    fn forget(&mut self, address: Address) {
        let Some(group) = self.groups.remove(&address) else { return };
        self.by_use.remove(&group.sequence);
        for member in group.members {
            self.by_age.remove(&member.sequence);
        }
    }

    /// Makes room: the group that was reported longest ago goes.
    fn evict(&mut self) {
        if let Some((_, &address)) = self.by_use.first_key_value() {
            self.forget(address);
        }
    }

    /// Forgets who has not been heard of for too long. Returns whether there was anybody.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let mut gone = 0;
        while let Some((_, &(address, port))) = self.by_age.first_key_value() {
            let members = self.groups.get(&address).map(|group| &*group.members).unwrap_or_default();
            let used = members.iter().find(|member| member.port == port).map(|member| member.used);
            if used.is_some_and(|used| now - used < self.snooping.idle) || !self.drop_member(address, port) {
                break;
            }
            self.drop_if_empty(address);
            gone += 1;
        }
        let routers = self.routers.len();
        self.routers.retain(|router| now - router.used < ROUTER_IDLE);
        gone += routers - self.routers.len();
        EXPIRED.add(gone as u64);
        gone > 0
    }

    /// Forgets all that was learned and configured.
    pub fn reset(&mut self) {
        let numbers = std::mem::take(&mut self.numbers);
        *self = MulticastTable { numbers, ..MulticastTable::default() };
    }

    /// Forgets who listens and where routers are. Returns whether anything was known.
    pub fn flush(&mut self) -> bool {
        let is_known = !self.groups.is_empty() || !self.routers.is_empty();
        self.groups.clear();
        self.by_use.clear();
        self.by_age.clear();
        self.routers.clear();
        is_known
    }

    /// Forgets all about a port that goes.
    pub fn remove_port(&mut self, port: BundleId) {
        self.forget_port(port);
        self.numbers.remove(&port);
    }

    /// Forgets who listens behind a port, and how it is configured.
    pub fn forget_port(&mut self, port: BundleId) {
        let groups: Vec<Address> = self.groups.keys().copied().collect();
        for address in groups {
            self.drop_member(address, port);
            self.drop_if_empty(address);
        }
        self.routers.retain(|router| router.port != port);
        self.set_port(port, PortFlooding::default());
    }

    /// Who listens, the group reported longest ago first; then the routers.
    pub fn listeners(&self, now: Timestamp) -> Vec<Listener> {
        let mut listeners = Vec::new();
        for (&(vlan, group), known) in
            self.by_use.values().filter_map(|address| self.groups.get_key_value(address))
        {
            let group = Some((group, known.version));
            let members = known.members.iter();
            listeners.extend(members.map(|&Member { port, used, .. }| Listener {
                port,
                vlan,
                group,
                age: now - used,
            }));
        }
        let routers = self.routers.iter();
        listeners.extend(routers.map(|&Router { vlan, port, used }| Listener {
            port,
            vlan,
            group: None,
            age: now - used,
        }));
        listeners
    }
}

#[cfg(test)]
mod tests;
