//! The ports with their protocols, and when each is to be run.

mod trees;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use base::{MacAddr, OfPort};
use pipeline::{BridgeId, LacpStatus, OwnFrames, Protocol, Watched};

use super::{Joined, Link, PortId, Watch};
use crate::bfd;
use crate::bond::Bond;
use crate::cfm;
use crate::lacp::{self, Lacp};
use crate::lldp;
use crate::spanning::Flush;
use trees::Spanned;

/// The ports from which packets of sessions come (RFC 5881, section 4).
const SOURCE_PORTS: std::ops::Range<u16> = 49_152..65_535;

/// A port with its protocols.
#[derive(Debug)]
pub(super) struct Port {
    pub name: String,
    mac: MacAddr,
    pub bfd: Option<bfd::Session>,
    pub cfm: Option<cfm::Session>,
    pub lldp: Option<lldp::Session>,
    /// The frames of these.
    bfd_frames: Option<pipeline::BfdFrames>,
    cfm_frames: Option<pipeline::CfmFrames>,
    /// The aggregate that it is a member of.
    aggregate: Option<u32>,
    pub watched: Option<Arc<Watched>>,
    /// As it is in [`Ports::wakes`].
    wakes_at: i64,
}

/// A port in the sense of the database, whose members are joined.
#[derive(Debug)]
pub(super) struct Aggregate {
    bridge: BridgeId,
    pub name: String,
    pub lacp: Option<Lacp>,
    pub bond: Option<Bond>,
    members: BTreeMap<OfPort, MacAddr>,
    /// As it is in [`Ports::wakes`].
    wakes_at: i64,
}

/// What is to be run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Wake {
    Port(PortId),
    Aggregate(u32),
    Tree(BridgeId),
}

#[derive(Debug, Default)]
pub(super) struct Ports {
    pub by_id: BTreeMap<PortId, Port>,
    pub aggregates: BTreeMap<u32, Aggregate>,
    pub trees: BTreeMap<BridgeId, Spanned>,
    /// When each is to be run.
    wakes: BTreeSet<(i64, Wake)>,
    /// How many sessions, and how many aggregates, there ever were.
    sessions: u16,
    joined: u32,
}

/// What came of a look at the ports.
#[derive(Default)]
pub(super) struct Step {
    /// The frames to send, each with its port, and whether it is of a tunnel's own operation.
    pub frames: Vec<(PortId, Vec<u8>, bool)>,
    pub announcements: Vec<(BridgeId, String, Arc<pipeline::Bond>)>,
    /// The members of parts that datapaths are to know, by the number of the bond.
    pub balancers: Vec<(BridgeId, u32, Vec<Option<OfPort>>)>,
    /// Learned addresses to be forgotten.
    pub flushes: Vec<(BridgeId, Flush)>,
    /// What is to be logged.
    pub notes: Vec<String>,
    /// Packets are forwarded otherwise.
    pub has_changed: bool,
    /// What operators see has changed.
    pub has_news: bool,
}

impl Ports {
    /// When something is to be done next.
    pub(super) fn wakes_at(&self) -> Option<i64> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// The thread that serves them stood still for so many milliseconds.
    pub(super) fn stood_still(&mut self, late: i64) {
        let sessions = self.by_id.values_mut().filter_map(|port| port.bfd.as_mut());
        sessions.for_each(|session| session.stood_still(late));
    }

    pub(super) fn watch(&mut self, id: PortId, watch: Watch, received: u64, now: i64) {
        let is_wanted = watch.bfd.is_some()
            || watch.cfm.is_some()
            || watch.lldp.is_some()
            || self.by_id.get(&id).is_some_and(|port| port.aggregate.is_some());
        if !is_wanted {
            self.forget(id);
            return;
        }
        let is_new = watch.bfd.is_some() && self.by_id.get(&id).is_none_or(|port| port.bfd.is_none());
        let identity = is_new.then(|| self.identity());
        let aggregate = self.aggregate_of(id);
        let port = self.by_id.entry(id).or_insert_with(|| Port::new(&watch.name, watch.mac));
        port.aggregate = aggregate;
        port.name = watch.name;
        port.mac = watch.mac;
        port.bfd_frames = watch.bfd.as_ref().map(bfd::Settings::frames);
        port.cfm_frames = watch.cfm.as_ref().map(cfm::Settings::frames);
        match (&mut port.cfm, watch.cfm) {
            (Some(session), Some(settings)) => session.configure(settings, received, now),
            (session, settings) => {
                *session = settings.map(|settings| cfm::Session::new(&port.name, settings, received, now));
            }
        }
        match (&mut port.lldp, watch.lldp) {
            (Some(session), Some(settings)) => session.configure(settings, now),
            (session, settings) => {
                *session = settings.map(|settings| lldp::Session::new(&port.name, settings, now));
            }
        }
        match (&mut port.bfd, watch.bfd, identity) {
            (Some(session), Some(settings), _) => session.configure(settings, received, now),
            (session @ None, Some(settings), Some(identity)) => {
                *session = Some(bfd::Session::new(&port.name, settings, identity, received, now));
            }
            (session, _, _) => *session = None,
        }
        self.refresh(id, now);
        self.wake(Wake::Port(id), i64::MIN);
    }

    /// Returns whether there was something at the port.
    pub(super) fn forget(&mut self, id: PortId) -> bool {
        let Some(port) = self.by_id.remove(&id) else { return false };
        self.wakes.remove(&(port.wakes_at, Wake::Port(id)));
        true
    }

    /// Returns how packets are shared, whether that is otherwise than before, and what [`Ports::part`] does.
    pub(super) fn join(
        &mut self,
        bridge: BridgeId,
        joined: Joined,
        now: i64,
    ) -> (Option<Arc<pipeline::Bond>>, bool, Option<u32>) {
        let number = self.number_of(bridge, &joined.name).unwrap_or_else(|| {
            self.joined += 1;
            self.joined
        });
        let mut aggregate = self.aggregates.remove(&number).unwrap_or_else(|| Aggregate {
            bridge,
            name: joined.name.clone(),
            lacp: None,
            bond: None,
            members: BTreeMap::new(),
            wakes_at: 0,
        });
        let before: Vec<OfPort> = aggregate.members.keys().copied().collect();
        let balancer = aggregate.bond.as_ref().and_then(Bond::known_as).filter(|_| joined.bond.is_none());
        aggregate.configure(joined, number, now);
        for port in before.iter().filter(|port| !aggregate.members.contains_key(port)) {
            self.leave(PortId { bridge, port: *port });
        }
        let watches = aggregate.lacp.is_some();
        for (port, mac) in &aggregate.members {
            let id = PortId { bridge, port: *port };
            if watches {
                let name = aggregate.name_of(*port);
                self.by_id.entry(id).or_insert_with(|| Port::new(&name, *mac)).aggregate = Some(number);
            } else if let Some(port) = self.by_id.get_mut(&id) {
                port.aggregate = Some(number);
            }
        }
        let has_changed = aggregate.run_bond(&self.by_id, now);
        let bond = aggregate.bond.as_ref().map(|bond| Arc::clone(bond.shared()));
        let members: Vec<OfPort> = aggregate.members.keys().copied().collect();
        let is_left_below = aggregate.bond.as_ref().is_some_and(Bond::is_left_below);
        self.aggregates.insert(number, aggregate);
        for port in members {
            self.refresh(PortId { bridge, port }, now);
        }
        self.wake(Wake::Aggregate(number), i64::MIN);
        if is_left_below {
            self.wake_now(number);
        }
        (bond, has_changed, balancer)
    }

    /// Returns the number by which the datapath knows the bond, which it is to forget.
    pub(super) fn part(&mut self, bridge: BridgeId, name: &str) -> Option<u32> {
        let number = self.number_of(bridge, name)?;
        let aggregate = self.aggregates.remove(&number)?;
        self.wakes.remove(&(aggregate.wakes_at, Wake::Aggregate(number)));
        for port in aggregate.members.keys() {
            self.leave(PortId { bridge, port: *port });
        }
        aggregate.bond.as_ref().and_then(Bond::known_as)
    }

    /// Returns what [`Ports::part`] does, of all bonds.
    pub(super) fn leave_bridge(&mut self, bridge: BridgeId) -> Vec<u32> {
        let of_bridge = self.aggregates.values().filter(|one| one.bridge == bridge);
        let names: Vec<String> = of_bridge.map(|one| one.name.clone()).collect();
        let balancers = names.iter().filter_map(|name| self.part(bridge, name)).collect();
        self.end_tree(bridge, &mut Step::default());
        let ports: Vec<PortId> = self.by_id.keys().filter(|id| id.bridge == bridge).copied().collect();
        for id in ports {
            self.forget(id);
        }
        balancers
    }

    /// A port is no member of an aggregate any more.
    fn leave(&mut self, id: PortId) {
        let Some(port) = self.by_id.get_mut(&id) else { return };
        port.aggregate = None;
        if port.bfd.is_none() && port.cfm.is_none() && port.lldp.is_none() {
            self.forget(id);
        } else {
            self.refresh(id, 0);
        }
    }

    fn number_of(&self, bridge: BridgeId, name: &str) -> Option<u32> {
        let mut aggregates = self.aggregates.iter();
        aggregates.find(|(_, one)| one.bridge == bridge && one.name == name).map(|(number, _)| *number)
    }

    /// The aggregate that a port is a member of.
    fn aggregate_of(&self, id: PortId) -> Option<u32> {
        let mut aggregates = self.aggregates.iter();
        let has = |one: &Aggregate| one.bridge == id.bridge && one.members.contains_key(&id.port);
        aggregates.find(|(_, one)| has(one)).map(|(number, _)| *number)
    }

    /// Returns whether somebody wants to know.
    pub(super) fn set_link(&mut self, id: PortId, has_link: bool, now: i64) -> bool {
        let Some(number) = self.aggregate_of(id) else { return false };
        let Some(aggregate) = self.aggregates.get_mut(&number) else { return false };
        if let Some(lacp) = &mut aggregate.lacp {
            lacp.set_link(id.port, has_link, now);
        }
        if let Some(bond) = &mut aggregate.bond {
            bond.set_link(id.port, has_link);
        }
        self.wake_now(number);
        true
    }

    /// Who a new session is.
    fn identity(&mut self) -> bfd::Identity {
        let sessions = || self.by_id.values().filter_map(|port| port.bfd.as_ref());
        let is_taken = |number: u32| sessions().any(|session| session.discriminator() == number);
        let mut discriminator = random();
        while discriminator == 0 || is_taken(discriminator) {
            discriminator = random();
        }
        let source_port = SOURCE_PORTS.start + self.sessions % (SOURCE_PORTS.end - SOURCE_PORTS.start);
        self.sessions = self.sessions.wrapping_add(1);
        bfd::Identity { discriminator, source_port }
    }

    /// Takes frames, and runs what it is time for.
    pub(super) fn step(
        &mut self,
        frames: VecDeque<(PortId, Protocol, Vec<u8>)>,
        link: &dyn Link,
        now: i64,
    ) -> Step {
        let mut step = Step::default();
        for (id, protocol, frame) in frames {
            self.receive(id, protocol, &frame, link, now);
        }
        while let Some(&(at, wake)) = self.wakes.first() {
            if at > now {
                break;
            }
            match wake {
                Wake::Port(id) => self.run_port(id, link, now, &mut step),
                Wake::Aggregate(number) => self.run_aggregate(number, link, now, &mut step),
                Wake::Tree(bridge) => self.run_tree(bridge, now, &mut step),
            }
            self.wake(wake, now);
        }
        step
    }

    fn receive(&mut self, id: PortId, protocol: Protocol, frame: &[u8], link: &dyn Link, now: i64) {
        if protocol == Protocol::SpanningTree {
            if let Some(spanned) = self.trees.get_mut(&id.bridge) {
                spanned.tree.receive(id.port, frame, now);
                self.wake_tree_now(id.bridge);
            }
            return;
        }
        let Some(port) = self.by_id.get_mut(&id) else { return };
        match protocol {
            Protocol::Bfd => {
                if let Some(session) = &mut port.bfd {
                    session.receive(frame, || link.received(id), now);
                }
                self.wake_port_now(id);
            }
            Protocol::Cfm => {
                if let Some(session) = &mut port.cfm {
                    session.receive(frame, now);
                }
            }
            Protocol::Lacp => {
                let Some(number) = port.aggregate else { return };
                let aggregate = self.aggregates.get_mut(&number);
                if let Some(lacp) = aggregate.and_then(|aggregate| aggregate.lacp.as_mut()) {
                    lacp.receive(id.port, frame, now);
                }
                self.wake_now(number);
            }
            Protocol::Lldp => {
                if let Some(session) = &mut port.lldp {
                    session.receive(frame, now);
                }
                self.wake_port_now(id);
            }
            Protocol::SpanningTree => {}
        }
    }

    fn run_port(&mut self, id: PortId, link: &dyn Link, now: i64, step: &mut Step) {
        let Some(port) = self.by_id.get_mut(&id) else { return };
        let mac = port.mac;
        if let Some(session) = &mut port.bfd {
            session.run(|| link.received(id), now);
            let is_oam = session.is_oam();
            step.frames.extend(session.frame(mac, now).map(|frame| (id, frame, is_oam)));
            step.has_news |= session.take_news();
        }
        if let Some(session) = &mut port.cfm {
            session.run(|| link.received(id), now);
            step.frames.extend(session.frame(mac, now).map(|frame| (id, frame, false)));
            step.has_news |= session.take_news();
        }
        if let Some(session) = &mut port.lldp {
            session.run(now);
            step.frames.extend(session.frame(mac, now).map(|frame| (id, frame, false)));
        }
        step.has_changed |= self.refresh(id, now);
    }

    fn run_aggregate(&mut self, number: u32, link: &dyn Link, now: i64, step: &mut Step) {
        let Some(mut aggregate) = self.aggregates.remove(&number) else { return };
        let bridge = aggregate.bridge;
        if let Some(lacp) = &mut aggregate.lacp {
            for (port, message) in lacp.run(now) {
                let mac = aggregate.members.get(&port).copied().unwrap_or(MacAddr::ZERO);
                step.frames.push((PortId { bridge, port }, lacp::frame(&message, mac), false));
            }
            step.has_news |= lacp.take_news();
        }
        if let Some((bond, id)) = aggregate.bond.as_ref().and_then(|bond| Some((bond, bond.known_as()?))) {
            bond.count(&link.balanced(id));
        }
        step.has_changed |= aggregate.run_bond(&self.by_id, now);
        if let Some(bond) = &mut aggregate.bond {
            if let Some((id, parts)) = bond.take_parts() {
                step.balancers.push((bridge, id, parts));
            }
            step.has_news |= bond.take_news();
            if bond.take_announcement() {
                step.announcements.push((bridge, aggregate.name.clone(), Arc::clone(bond.shared())));
            }
        }
        let members: Vec<OfPort> = aggregate.members.keys().copied().collect();
        self.aggregates.insert(number, aggregate);
        for port in members {
            step.has_changed |= self.refresh(PortId { bridge, port }, now);
        }
    }

    /// Brings up to date what translation, and the port's bond, see of a port. Returns whether it may, or may not, be forwarded through any more.
    pub(super) fn refresh(&mut self, id: PortId, now: i64) -> bool {
        let Some(port) = self.by_id.get_mut(&id) else { return false };
        let lacp = port.aggregate.and_then(|number| self.aggregates.get(&number)?.lacp.as_ref());
        let is_joined = lacp.is_none_or(|lacp| lacp.may_enable(id.port));
        let forwards = port.bfd.as_mut().map(|session| session.is_forwarding(now));
        let is_up = is_joined && port.is_heard(forwards);
        let wanted = OwnFrames {
            bfd: port.bfd_frames.clone(),
            cfm: port.cfm_frames.clone(),
            lacp: lacp.is_some(),
            lldp: port.lldp.is_some(),
        };
        let has_changed = match &port.watched {
            Some(watched) if watched.own == wanted => watched.set_up(is_up),
            _ if wanted == OwnFrames::default() => port.watched.take().is_some(),
            _ => {
                port.watched = Some(Arc::new(Watched::new(wanted, is_up)));
                true
            }
        };
        if let Some(number) = port.aggregate.filter(|_| has_changed) {
            self.wake_now(number);
        }
        if has_changed {
            self.wake_tree_now(id.bridge);
        }
        has_changed
    }

    pub(super) fn wake_now(&mut self, number: u32) {
        if let Some(aggregate) = self.aggregates.get_mut(&number) {
            self.wakes.remove(&(aggregate.wakes_at, Wake::Aggregate(number)));
            aggregate.wakes_at = i64::MIN;
            self.wakes.insert((i64::MIN, Wake::Aggregate(number)));
        }
    }

    pub(super) fn wake_port_now(&mut self, id: PortId) {
        if let Some(port) = self.by_id.get_mut(&id) {
            self.wakes.remove(&(port.wakes_at, Wake::Port(id)));
            port.wakes_at = i64::MIN;
            self.wakes.insert((i64::MIN, Wake::Port(id)));
        }
    }

    /// Has it run when it asks for that, and later than `now`.
    fn wake(&mut self, wake: Wake, now: i64) {
        let (place, at) = match wake {
            Wake::Port(id) => {
                let Some(port) = self.by_id.get_mut(&id) else {
                    self.wakes.retain(|(_, other)| *other != wake);
                    return;
                };
                let bfd = port.bfd.as_ref().map_or(i64::MAX, bfd::Session::wakes_at);
                let at = bfd.min(port.cfm.as_ref().map_or(i64::MAX, cfm::Session::wakes_at));
                let at = at.min(port.lldp.as_ref().map_or(i64::MAX, lldp::Session::wakes_at));
                (&mut port.wakes_at, at)
            }
            Wake::Aggregate(number) => {
                let Some(aggregate) = self.aggregates.get_mut(&number) else {
                    self.wakes.retain(|(_, other)| *other != wake);
                    return;
                };
                let at = aggregate.next();
                (&mut aggregate.wakes_at, at)
            }
            Wake::Tree(bridge) => {
                let Some(spanned) = self.trees.get_mut(&bridge) else {
                    self.wakes.retain(|(_, other)| *other != wake);
                    return;
                };
                let at = spanned.tree.wakes_at();
                (&mut spanned.wakes_at, at)
            }
        };
        let at = at.max(now.saturating_add(1));
        self.wakes.remove(&(*place, wake));
        *place = at;
        self.wakes.insert((at, wake));
    }
}

impl Port {
    fn new(name: &str, mac: MacAddr) -> Port {
        Port {
            name: name.to_owned(),
            mac,
            bfd: None,
            cfm: None,
            lldp: None,
            bfd_frames: None,
            cfm_frames: None,
            aggregate: None,
            watched: None,
            wakes_at: i64::MAX,
        }
    }
}

impl Port {
    /// Whether one of those that watch the port, if any does, hears its neighbour. `forwards` is what BFD says.
    fn is_heard(&self, forwards: Option<bool>) -> bool {
        match (forwards, self.cfm.as_ref().map(cfm::Session::is_up)) {
            (None, None) => true,
            (bfd, cfm) => bfd == Some(true) || cfm == Some(true),
        }
    }
}

impl Aggregate {
    /// `number` is its own.
    fn configure(&mut self, joined: Joined, number: u32, now: i64) {
        let Joined { name, lacp, bond, members } = joined;
        self.members = members.iter().map(|(port, member)| (*port, member.interface.mac)).collect();
        match (&mut self.lacp, lacp) {
            (Some(old), Some(settings)) => old.configure(settings),
            (old, settings) => *old = settings.map(|settings| Lacp::new(&name, settings)),
        }
        match (&mut self.bond, bond) {
            (Some(old), Some(settings)) => old.configure(settings, now),
            (old, settings) => *old = settings.map(|settings| Bond::new(&name, number, settings, now)),
        }
        if let Some(lacp) = &mut self.lacp {
            let settings = members.iter().map(|(port, member)| (*port, member.lacp.clone())).collect();
            lacp.set_members(&settings, now);
            for (port, member) in &members {
                lacp.set_link(*port, member.interface.has_link, now);
            }
        }
        if let Some(bond) = &mut self.bond {
            let settings = members.iter().map(|(port, member)| (*port, member.interface.clone())).collect();
            bond.set_members(&settings);
        }
    }

    pub(super) fn bridge(&self) -> BridgeId {
        self.bridge
    }

    fn name_of(&self, port: OfPort) -> String {
        self.bond.as_ref().and_then(|bond| bond.member_name(port)).unwrap_or(&self.name).to_owned()
    }

    fn lacp_status(&self) -> LacpStatus {
        match &self.lacp {
            None => LacpStatus::Off,
            Some(lacp) if lacp.is_negotiated() => LacpStatus::Negotiated,
            Some(_) => LacpStatus::Configured,
        }
    }

    /// Returns whether packets are forwarded otherwise.
    fn run_bond(&mut self, ports: &BTreeMap<PortId, Port>, now: i64) -> bool {
        let (status, bridge) = (self.lacp_status(), self.bridge);
        let Some(bond) = &mut self.bond else { return false };
        let lacp = self.lacp.as_ref();
        let may_enable = |port| {
            let watched = ports.get(&PortId { bridge, port });
            let is_heard = |port: &Port| port.is_heard(port.bfd.as_ref().map(bfd::Session::forwards));
            watched.is_none_or(is_heard) && lacp.is_none_or(|lacp| lacp.may_enable(port))
        };
        bond.run(status, may_enable, now)
    }

    /// When it is to be run.
    fn next(&self) -> i64 {
        let lacp = self.lacp.as_ref().map_or(i64::MAX, Lacp::wakes_at);
        lacp.min(self.bond.as_ref().map_or(i64::MAX, Bond::wakes_at))
    }
}

/// A number that nobody can guess easily.
fn random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8) as u32
}
