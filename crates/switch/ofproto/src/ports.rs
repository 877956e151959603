//! Ports and bundles coming, changing and going.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use base::{DpPort, MacAddr, OfPort, Timestamp};
use ofp::{PortReason, PortStatus, port_config};
use pipeline::tunnel::TunnelConfig;
use pipeline::{
    Bond, Bundle, BundleId, Port, PortFlags, QueueDscp, SpanningPort, SpanningState, VlanConfig, Watched,
};

use crate::bridge::{Bridge, PortEntry};

/// A change of a port that controllers are notified of.
#[derive(Clone, Debug)]
pub struct PortNews {
    pub status: PortStatus,
    /// What it was like before, so that whoever sees no difference is not notified.
    pub old: Option<ofp::PortDesc>,
}

/// How long the number of a port that is gone is not given to another one:
/// rules that name it may still be there.
const NUMBER_REST: Duration = Duration::from_secs(60 * 60);

/// Numbers that are given out unasked; higher ones are for controllers to ask for.
const GIVEN_NUMBERS: u32 = 32_768;

/// A port to be added.
#[derive(Clone, Debug, Default)]
pub struct NewPort {
    pub name: String,
    /// The number that it shall have, if that is free.
    pub wanted: Option<OfPort>,
    /// `None` for a patch port.
    pub datapath: Option<DpPort>,
    pub peer_name: Option<String>,
    /// What it is, if it is a tunnel.
    pub tunnel: Option<Arc<TunnelConfig>>,
    /// Name and number are filled in.
    pub desc: ofp::PortDesc,
}

/// A bundle as the database describes it.
#[derive(Clone, Debug)]
pub struct BundleConfig {
    pub name: String,
    pub ports: Vec<OfPort>,
    /// How several share the packets.
    pub bond: Option<Arc<Bond>>,
    pub vlan: VlanConfig,
    pub protected: bool,
}

impl Bridge {
    pub fn port_entries(&self) -> impl Iterator<Item = &PortEntry> {
        self.ports.values()
    }

    /// The ports behind the one of this number, in the order of their numbers.
    pub fn port_entries_after(&self, after: Option<OfPort>) -> impl Iterator<Item = &PortEntry> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.ports.range((from, Bound::Unbounded)).map(|(_, entry)| entry)
    }

    pub fn port_entry(&self, number: OfPort) -> Option<&PortEntry> {
        self.ports.get(&number)
    }

    pub fn port_named(&self, name: &str) -> Option<&PortEntry> {
        self.ports.values().find(|entry| &*entry.port.name == name)
    }

    pub fn bundle_named(&self, name: &str) -> Option<&Bundle> {
        self.bundles.get(self.bundle_names.get(name)?)
    }

    /// The numbers and names of the ports, for texts that name ports.
    pub fn port_names(&self) -> fields::PortNames {
        let mut names = fields::PortNames::new();
        for entry in self.ports.values() {
            names.insert(entry.port.number.0, &entry.port.name);
        }
        names
    }

    /// Adds a port; the status message tells its number. `None` when no number is free.
    pub fn add_port(&mut self, new: NewPort, now: Timestamp) -> Option<PortNews> {
        let number = self.free_number(new.wanted, &new.name, now)?;
        let desc = ofp::PortDesc { port: number, name: new.name.clone(), ..new.desc };
        let port = Port {
            number,
            name: new.name.into(),
            datapath: new.datapath,
            bundle: None,
            mac: desc.hw_addr,
            tunnel: new.tunnel,
            peer: None,
            flags: flags(desc.config),
            has_link: has_link(new.datapath, &desc),
            watched: None,
            // Before spanning tree has it, it forwards nothing: it may close a loop.
            spanning: self
                .settings()
                .spanning_tree
                .filter(|_| number != OfPort::LOCAL)
                .map(|_| Arc::default()),
            queue_dscp: None,
            traffic: Arc::default(),
        };
        let entry = PortEntry { port, desc: desc.clone(), peer_name: new.peer_name, created: now };
        self.ports.insert(number, entry);
        self.changed();
        Some(PortNews { status: PortStatus { reason: PortReason::Add, desc }, old: None })
    }

    fn free_number(&mut self, wanted: Option<OfPort>, name: &str, now: Timestamp) -> Option<OfPort> {
        if name == self.name {
            return Some(OfPort::LOCAL);
        }
        let free = |number: &OfPort| !self.ports.contains_key(number);
        let valid = |number: &OfPort| number.0 > 0 && *number < OfPort::MAX;
        if let Some(number) = wanted.filter(valid).filter(free) {
            return Some(number);
        }
        let mut rested_longest: Option<(Timestamp, OfPort)> = None;
        for step in 1..=GIVEN_NUMBERS {
            let number = OfPort((self.last_number + step - 1) % (GIVEN_NUMBERS - 1) + 1);
            if self.ports.contains_key(&number) {
                continue;
            }
            match self.retired.get(&number) {
                Some(&since) if now - since < NUMBER_REST => {
                    if rested_longest.is_none_or(|(oldest, _)| since < oldest) {
                        rested_longest = Some((since, number));
                    }
                }
                _ => {
                    self.last_number = number.0;
                    return Some(number);
                }
            }
        }
        rested_longest.map(|(_, number)| number)
    }

    /// Removes a port and what was learned of it.
    pub fn remove_port(&mut self, number: OfPort, now: Timestamp) -> Option<PortNews> {
        let entry = self.ports.remove(&number)?;
        self.retired.retain(|_, since| now - *since < NUMBER_REST);
        self.retired.insert(number, now);
        if let Some(bundle) = entry.port.bundle.and_then(|id| self.bundles.get_mut(&id)) {
            bundle.ports.retain(|&port| port != number);
        }
        self.changed();
        Some(PortNews { status: PortStatus { reason: PortReason::Delete, desc: entry.desc }, old: None })
    }

    /// Takes in what a device reports of itself. Returns a message if controllers should know.
    pub fn update_port(&mut self, number: OfPort, change: impl FnOnce(&mut PortEntry)) -> Option<PortNews> {
        self.keep_port(number);
        let entry = self.ports.get_mut(&number)?;
        let forwarding = |port: &Port| (port.flags, port.datapath, port.mac, port.is_live());
        let (desc, before) = (entry.desc.clone(), forwarding(&entry.port));
        change(entry);
        entry.port.mac = entry.desc.hw_addr;
        entry.port.flags = flags(entry.desc.config);
        entry.port.has_link = has_link(entry.port.datapath, &entry.desc);
        entry.show_liveness();
        entry.show_spanning();
        let told = entry.desc.clone();
        if before != forwarding(&entry.port) {
            if let Some(bundle) = entry.port.bundle {
                self.refresh_floodable(bundle);
            }
            self.changed();
        }
        (told != desc).then_some(PortNews {
            status: PortStatus { reason: PortReason::Modify, desc: told },
            old: Some(desc),
        })
    }

    /// Has a patch port face another one, from the next [`crate::Switch::reconnect`] on.
    pub fn set_peer(&mut self, number: OfPort, peer: &str) {
        if let Some(entry) = self.ports.get_mut(&number) {
            entry.peer_name = Some(peer.to_owned());
        }
    }

    /// Has packets of these queues leave a port with these DSCPs.
    pub fn set_queue_dscp(&mut self, number: OfPort, dscp: &QueueDscp) {
        let Some(entry) = self.ports.get_mut(&number) else { return };
        if entry.port.queue_dscp.as_deref().unwrap_or(&QueueDscp::new()) != dscp {
            entry.port.queue_dscp = (!dscp.is_empty()).then(|| Arc::new(dscp.clone()));
            self.changed();
        }
    }

    /// Has protocols watch a port, or not any more. Returns a message if controllers should know.
    pub fn watch_port(&mut self, number: OfPort, watched: Option<Arc<Watched>>) -> Option<PortNews> {
        let entry = self.ports.get_mut(&number)?;
        if is_same_arc(entry.port.watched.as_ref(), watched.as_ref()) {
            return None;
        }
        let is_left = watched.is_none();
        entry.port.watched = watched;
        self.changed();
        self.update_port(number, |entry| {
            if is_left && entry.port.has_link && entry.desc.config & port_config::PORT_DOWN == 0 {
                entry.desc.state |= ofp::port_state::LIVE;
            }
        })
    }

    /// Has spanning tree say what a port does, or not any more. Returns a message if controllers should know.
    pub fn span_port(&mut self, number: OfPort, spanning: Option<Arc<SpanningPort>>) -> Option<PortNews> {
        let entry = self.ports.get_mut(&number)?;
        if is_same_arc(entry.port.spanning.as_ref(), spanning.as_ref()) {
            return None;
        }
        entry.port.spanning = spanning;
        self.changed();
        self.update_port(number, |_| ())
    }

    /// Whether spanning tree has addresses learned behind a bundle.
    pub(crate) fn learns_at(&self, id: BundleId) -> bool {
        let learns = |number: &OfPort| self.ports.get(number).is_none_or(|entry| entry.port.learns());
        self.settings().spanning_tree.is_none()
            || self.bundles.get(&id).is_none_or(|bundle| bundle.ports.iter().all(learns))
    }

    /// Makes or changes a bundle; saying again what it is moves nothing.
    pub fn set_bundle(&mut self, config: BundleConfig, new_id: impl FnOnce() -> BundleId) -> BundleId {
        if let Some(same) = self.bundle_named(&config.name).filter(|bundle| self.is_same(bundle, &config)) {
            return same.id;
        }
        let id = self.bundle_named(&config.name).map_or_else(new_id, |bundle| bundle.id);
        self.disband(id);
        for number in &config.ports {
            if let Some(entry) = self.ports.get_mut(number) {
                entry.port.bundle = Some(id);
            }
        }
        let bundle = Bundle {
            id,
            name: config.name.into(),
            ports: config.ports,
            bond: config.bond,
            vlan: config.vlan,
            floodable: true,
            protected: config.protected,
        };
        let old = self.bundles.get(&id);
        let vlan_moved = old.is_some_and(|old| old.vlan != bundle.vlan);
        let listeners_moved = vlan_moved || old.is_some_and(|old| old.protected != bundle.protected);
        self.multicast().set_numbers(id, &bundle.ports);
        self.bundle_names.insert(Arc::clone(&bundle.name), id);
        self.bundles.insert(id, bundle);
        if vlan_moved {
            // What was learned through it is of VLANs that it may not be in any more.
            self.macs().flush_port(id);
        }
        if listeners_moved {
            self.multicast().forget_port(id);
        }
        self.refresh_floodable(id);
        self.changed();
        id
    }

    /// Whether the bundle, and its ports, are as `config` has them.
    fn is_same(&self, bundle: &Bundle, config: &BundleConfig) -> bool {
        let is_member =
            |number: &OfPort| self.ports.get(number).is_none_or(|e| e.port.bundle == Some(bundle.id));
        let is_same = bundle.vlan == config.vlan && bundle.protected == config.protected;
        is_same
            && is_same_arc(bundle.bond.as_ref(), config.bond.as_ref())
            && bundle.ports == config.ports
            && config.ports.iter().all(is_member)
    }

    /// Returns the addresses that were known to be behind the bundle; see [`crate::Switch::remove_bundle`].
    pub(crate) fn remove_bundle(&mut self, id: BundleId) -> Vec<(u16, MacAddr)> {
        self.disband(id);
        if let Some(bundle) = self.bundles.remove(&id) {
            self.bundle_names.remove(&bundle.name);
        }
        let gone = self.macs().flush_port(id);
        self.multicast().remove_port(id);
        self.changed();
        gone
    }

    /// Takes a bundle's ports out of it.
    fn disband(&mut self, id: BundleId) {
        let members = self.bundles.get(&id).map(|bundle| &*bundle.ports).unwrap_or_default();
        for number in members {
            if let Some(entry) = self.ports.get_mut(number).filter(|entry| entry.port.bundle == Some(id)) {
                entry.port.bundle = None;
            }
        }
    }

    /// Flooding reaches a bundle unless a port of it says no-flood.
    fn refresh_floodable(&mut self, id: BundleId) {
        let Some(bundle) = self.bundles.get_mut(&id) else { return };
        let ports = &self.ports;
        let is_open = |number: &OfPort| ports.get(number).is_none_or(|entry| !entry.port.flags.no_flood);
        bundle.floodable = bundle.ports.iter().all(is_open);
    }
}

/// Whether both are the same, or neither is there.
fn is_same_arc<T>(old: Option<&Arc<T>>, new: Option<&Arc<T>>) -> bool {
    old.map(Arc::as_ptr) == new.map(Arc::as_ptr)
}

impl PortEntry {
    /// What spanning tree says of the port, as OpenFlow 1.0 shows it.
    fn show_spanning(&mut self) {
        use ofp::port_state::{STP_BLOCK, STP_FORWARD, STP_LEARN, STP_LISTEN, STP_MASK};
        let shown = match self.port.spanning.as_ref().map(|port| port.state()) {
            None | Some(SpanningState::Disabled) => 0,
            Some(SpanningState::Listening | SpanningState::Discarding) => STP_LISTEN,
            Some(SpanningState::Blocking) => STP_BLOCK,
            Some(SpanningState::Learning) => STP_LEARN,
            Some(SpanningState::Forwarding) => STP_FORWARD,
        };
        self.desc.state = self.desc.state & !STP_MASK | shown;
    }

    /// A port whose neighbour is not heard is not live, whatever its link is.
    fn show_liveness(&mut self) {
        let Some(watched) = &self.port.watched else { return };
        let is_down = self.desc.config & port_config::PORT_DOWN != 0;
        if watched.is_up() && self.port.has_link && !is_down {
            self.desc.state |= ofp::port_state::LIVE;
        } else {
            self.desc.state &= !ofp::port_state::LIVE;
        }
    }
}

/// A port without a device, a patch port, is always up.
fn has_link(datapath: Option<DpPort>, desc: &ofp::PortDesc) -> bool {
    datapath.is_none() || desc.state & ofp::port_state::LINK_DOWN == 0
}

/// The flags that affect forwarding, of a port's configuration bits.
pub(crate) fn flags(config: u32) -> PortFlags {
    PortFlags {
        down: config & port_config::PORT_DOWN != 0,
        no_receive: config & port_config::NO_RECV != 0,
        no_flood: config & port_config::NO_FLOOD != 0,
        no_forward: config & port_config::NO_FWD != 0,
        no_packet_in: config & port_config::NO_PACKET_IN != 0,
        no_receive_stp: config & port_config::NO_RECV_STP != 0,
    }
}
