//! Protocols that watch over links: what interfaces ask for, and what follows when a neighbour is not heard any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base::{Clock, DpPort, MacAddr, OfPort, Timestamp};
use dp::Datapath;
use flow::FlowKey;
use flowsync::{Below, Datapaths};
use ofproto::{MacTable, MulticastTable, SharedSwitch};
use pipeline::{BridgeId, BundleId};
use protocols::spanning::Flush;
use protocols::{Link, PortId, Watch};
use wire::TypedForm;

use super::{Concern, Pass};
use crate::extent::Extent;
use crate::running::{Notice, Running, RunningBridge};

pub(crate) struct Monitoring;

impl Concern for Monitoring {
    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        let Some(bridge) = running.bridges.get(&pass.config.name) else { return };
        let mut complaints = Vec::new();
        let mut notices = Vec::new();
        for interface in pass.changed.iter().flat_map(|port| port.devices()) {
            let Some(Ok(number)) = bridge.interfaces.get(&interface.name).map(|known| &known.result) else {
                continue;
            };
            let bfd = protocols::bfd::Settings::read(&interface.name, &interface.bfd, &mut complaints);
            let asked = Watch {
                name: interface.name.clone(),
                mac: MacAddr::ZERO,
                bfd,
                cfm: interface.cfm.clone(),
                lldp: interface.lldp.then(|| pass.config.discovery.clone()),
            };
            notices.extend(running.watch(bridge, *number, asked));
            notices.extend(running.enliven(bridge, *number));
        }
        running.notices.extend(notices);
        for (level, complaint) in complaints {
            running.complaints.say(level, complaint);
        }
    }

    fn tick(&self, running: &mut Running, _now: Timestamp) -> Extent {
        running.follow_protocols()
    }
}

impl Running {
    /// Tells controllers what the protocols have found. Returns what is to be reported.
    pub fn follow_protocols(&mut self) -> Extent {
        if !self.monitor.take_news() {
            return Extent::default();
        }
        for note in self.monitor.take_notes() {
            log::debug!(target: "ofproto_dpif", "{note}");
        }
        for bridge in self.bridges.values() {
            let mut switch = self.switch.write();
            let Some(state) = switch.get_mut(bridge.id) else { continue };
            let has_protocol = |port: &pipeline::Port| port.watched.is_some() || port.spanning.is_some();
            let watched = state.port_entries().filter(|entry| has_protocol(&entry.port));
            let watched: Vec<OfPort> = watched.map(|entry| entry.port.number).collect();
            for number in watched {
                // What the protocol says is in the port already; controllers are to know, too.
                let news = state.update_port(number, |_| ());
                self.notices.extend(news.map(|news| Notice::Port { bridge: bridge.id, news }));
            }
        }
        Extent::STATE
    }

    /// Has the protocols watch a port as its interface asks for.
    fn watch(&self, bridge: &RunningBridge, number: OfPort, mut asked: Watch) -> Option<Notice> {
        let port = {
            let switch = self.switch.read();
            let entry = switch.get(bridge.id)?.port_entry(number)?;
            let is_asked = asked.bfd.is_some() || asked.cfm.is_some() || asked.lldp.is_some();
            if !is_asked && entry.port.watched.is_none() {
                return None;
            }
            // All tunnels of a kind have one port of the datapath: which tunnel it is, and where it leads, is for translation to say.
            (entry.desc.hw_addr, entry.port.datapath.filter(|_| entry.port.tunnel.is_none()))
        };
        let (mac, datapath_port) = port;
        let id = PortId { bridge: bridge.id, port: number };
        self.routes.set(id, bridge, datapath_port);
        asked.mac = mac;
        self.monitor.watch(id, asked);
        let watched = self.monitor.watched(id);
        let news = self.switch.write().get_mut(bridge.id)?.watch_port(number, watched)?;
        Some(Notice::Port { bridge: bridge.id, news })
    }

    /// Whether the link of a port that is new is up is reported after the port itself, and after what watches it is known.
    fn enliven(&self, bridge: &RunningBridge, number: OfPort) -> Option<Notice> {
        let mut switch = self.switch.write();
        let news = switch.get_mut(bridge.id)?.update_port(number, |entry| {
            if entry.port.has_link && entry.desc.config & ofp::port_config::PORT_DOWN == 0 {
                entry.desc.state |= ofp::port_state::LIVE;
            }
        })?;
        Some(Notice::Port { bridge: bridge.id, news })
    }

    /// Ends what the protocols do at a port that is to go.
    pub(crate) fn unwatch(&self, id: PortId) {
        self.monitor.forget(id);
        self.routes.forget(id);
    }
}

/// What the protocols send by.
pub(crate) struct Routes {
    switch: Arc<SharedSwitch>,
    datapaths: Arc<Datapaths>,
    clock: Clock,
    by_port: Mutex<HashMap<PortId, Route>>,
    /// The datapaths that balance bonds, by the bonds' numbers there.
    balancers: Mutex<HashMap<u32, Arc<dyn Datapath>>>,
    /// The addresses that a bridge with a spanning tree has learned, reached without a lock over bridges.
    learned: Mutex<HashMap<BridgeId, Learned>>,
    /// Called when there is something to tell the database and controllers.
    notify: OnceLock<Arc<dyn Fn() + Send + Sync>>,
}

/// The addresses that a bridge has learned.
pub(crate) struct Learned {
    pub macs: Arc<Mutex<MacTable>>,
    pub multicast: Arc<Mutex<MulticastTable>>,
    /// The ports in the sense of the database, behind which they are.
    pub bundles: HashMap<OfPort, BundleId>,
}

/// How a port is reached.
#[derive(Clone)]
struct Route {
    below: Below,
    /// A patch port and a tunnel have none of their own: what leaves by them is translated.
    port: Option<DpPort>,
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routes").finish_non_exhaustive()
    }
}

impl Routes {
    pub(crate) fn new(switch: Arc<SharedSwitch>, datapaths: Arc<Datapaths>, clock: Clock) -> Arc<Routes> {
        Arc::new(Routes {
            switch,
            datapaths,
            clock,
            by_port: Mutex::default(),
            balancers: Mutex::default(),
            learned: Mutex::default(),
            notify: OnceLock::new(),
        })
    }

    pub(crate) fn set_notify(&self, notify: Arc<dyn Fn() + Send + Sync>) {
        if self.notify.set(notify).is_err() {
            base::broken!("the protocols were started twice");
        }
    }

    fn by_port(&self) -> MutexGuard<'_, HashMap<PortId, Route>> {
        self.by_port.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, id: PortId, bridge: &RunningBridge, port: Option<DpPort>) {
        self.by_port().insert(id, Route { below: bridge.below.clone(), port });
    }

    /// Where the addresses are that a bridge has learned; `None` when nobody has them forgotten any more.
    pub(crate) fn set_learned(&self, bridge: BridgeId, learned: Option<Learned>) {
        let mut by_bridge = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        match learned {
            Some(learned) => drop(by_bridge.insert(bridge, learned)),
            None => drop(by_bridge.remove(&bridge)),
        }
    }

    fn forget(&self, id: PortId) {
        self.by_port().remove(&id);
    }

    fn balancers(&self) -> MutexGuard<'_, HashMap<u32, Arc<dyn Datapath>>> {
        self.balancers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, id: PortId) -> Option<Route> {
        self.by_port().get(&id).cloned()
    }
}

impl Link for Routes {
    /// A port of a datapath is sent to directly: a change of the bridges, however long it takes, delays nothing.
    fn send(&self, id: PortId, frame: Vec<u8>, is_oam: bool) {
        let Some(route) = self.of(id) else { return };
        let mut packet = dp::Packet::from_bytes(&frame);
        let sent = match route.port {
            Some(port) => {
                let mut key = FlowKey::new();
                key.set_in_port(DpPort::NONE.0);
                packet.metadata = flow::Metadata::from_key(&key);
                let actions = &[dp::Action::Output(port)];
                let now = self.clock.now();
                route.below.datapath.execute(dp::Execute { packet, actions, now }).map_err(|e| e.to_string())
            }
            None => {
                let mut key = FlowKey::new();
                key.set_in_port(OfPort::NONE.0);
                if is_oam {
                    key.set_tun_flags(flow::tunnel_flags::OAM);
                }
                let actions = [ofp::Action::Output(ofp::Output { port: id.port, max_len: 0 })];
                route.below.flows.packet_out(id.bridge, packet, &key, &actions).map_err(|e| e.to_string())
            }
        };
        if let Err(error) = sent {
            log::warn!(target: base::bounded!("ofproto_dpif"), "port {}: cannot send a packet of a protocol ({error})", fields::format_port_plain(id.port));
        }
    }

    fn received(&self, id: PortId) -> u64 {
        match self.of(id) {
            Some(Route { below, port: Some(port) }) => {
                below.datapath.port_stats(port).ok().and_then(|stats| stats.rx_packets).unwrap_or(0)
            }
            Some(Route { port: None, .. }) => {
                self.datapaths.credit();
                let switch = self.switch.read();
                let entry = switch.get(id.bridge).and_then(|bridge| bridge.port_entry(id.port));
                entry.map_or(0, |entry| entry.port.traffic.received.packets())
            }
            None => 0,
        }
    }

    fn changed(&self) {
        self.switch.liveness_changed();
    }

    fn news(&self) {
        if let Some(notify) = self.notify.get() {
            notify();
        }
    }

    fn flush(&self, bridge: BridgeId, flush: Flush) {
        let by_bridge = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(learned) = by_bridge.get(&bridge) else { return };
        // Who listens is now reached another way: until it is known which, multicast goes to all.
        learned.multicast.lock().unwrap_or_else(PoisonError::into_inner).flush();
        let mut macs = learned.macs.lock().unwrap_or_else(PoisonError::into_inner);
        let bundle = |port: &OfPort| learned.bundles.get(port).copied();
        match flush {
            Flush::All => macs.flush(),
            Flush::Port(port) => {
                bundle(&port).into_iter().for_each(|bundle| macs.flush_learned(bundle));
            }
            Flush::Move { from, to } => {
                if let (Some(from), Some(to)) = (bundle(&from), bundle(&to)) {
                    macs.move_port(from, to);
                }
            }
        }
    }

    fn balance(&self, bridge: BridgeId, bond: u32, parts: &[Option<OfPort>]) {
        let ports: Vec<DpPort> = {
            let by_port = self.by_port();
            let route = |port: &OfPort| by_port.get(&PortId { bridge, port: *port });
            if let Some(route) = parts.iter().flatten().find_map(route) {
                self.balancers().insert(bond, Arc::clone(&route.below.datapath));
            }
            let below = |part: &Option<OfPort>| part.as_ref().and_then(route).and_then(|route| route.port);
            parts.iter().map(|part| below(part).unwrap_or(DpPort::NONE)).collect()
        };
        let mut balancers = self.balancers();
        let datapath = if parts.is_empty() { balancers.remove(&bond) } else { balancers.get(&bond).cloned() };
        drop(balancers);
        if let Some(datapath) = datapath {
            datapath.set_bond(bond, ports);
        }
    }

    fn balanced(&self, bond: u32) -> Vec<u64> {
        let datapath = self.balancers().get(&bond).cloned();
        datapath.map(|datapath| datapath.take_bond_bytes(bond)).unwrap_or_default()
    }

    fn announce(&self, bridge: BridgeId, port: &str, bond: &pipeline::Bond) {
        let now = self.clock.now();
        let known: Vec<(u16, MacAddr)> = {
            let switch = self.switch.read();
            let Some(state) = switch.get(bridge) else { return };
            let own = state.bundle_named(port).map(|bundle| bundle.id);
            let known = state.macs().entries(now).into_iter().filter(|known| Some(known.port) != own);
            known.map(|known| (known.vlan, known.mac)).collect()
        };
        let state = bond.state();
        for (vlan, mac) in known {
            if let Some(port) = state.member_for(mac, vlan) {
                self.send(PortId { bridge, port }, learning_frame(mac, vlan), false);
            }
        }
    }
}

const RARP: u16 = 0x8035;
/// The operation that asks for an address.
const RARP_REQUEST: u16 = 3;

/// A frame by which other switches learn where `mac` is: a reverse ARP request that nobody answers.
fn learning_frame(mac: MacAddr, vlan: u16) -> Vec<u8> {
    let mut frame = wire::ethernet::tagged_header(MacAddr::BROADCAST, mac, vlan, RARP);
    let request =
        wire::arp::Packet { op: RARP_REQUEST, sender_mac: mac, target_mac: mac, ..Default::default() };
    request.append(&mut frame);
    frame
}
