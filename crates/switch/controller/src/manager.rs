//! All OpenFlow connections of all bridges.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::{Clock, Timestamp};
use flowsync::{Below, Datapaths};
use ofp::{IpfixStats, Message, Version};
use ofproto::SharedSwitch;
use pipeline::BridgeId;
use rpc::{Listener, Tls};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::bundles::DEFAULT_BUNDLE_IDLE;
use crate::channel::{Event, HANDSHAKE, PeerId, Setup, Target, keep_connected, serve};
use crate::fail_mode::{FailOpen, add_default_rule};
use crate::memory::RuleMemory;
use crate::peer::{Kind, Peer};
use crate::schedule::RateLimit;
use crate::snoop::Said;

/// Whoever has connected to a bridge's own socket and says nothing is probed after this time.
const SERVICE_PROBE: Duration = Duration::from_secs(60);

/// The DSCP of OpenFlow's packets where nobody says another: CS6, of network control.
pub const DEFAULT_DSCP: u8 = 48;

/// A controller or a listening socket, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerSpec {
    /// `tcp:…`, `ssl:…`, `unix:…`, `ptcp:…`, `pssl:…`, `punix:…`.
    pub target: String,
    pub max_backoff: Duration,
    /// Zero: never probed.
    pub probe: Duration,
    /// How many packets it is sent at most.
    pub rate_limit: Option<RateLimit>,
    /// Where the target is over TLS: our keys, and whose word we take.
    pub tls: Option<Tls>,
    /// It has no part in whether the bridge has controllers, and is told of nothing that it did not ask for.
    pub is_service: bool,
    /// Whether it is sent anything that it did not ask for, as long as it does not say so itself.
    pub has_async_messages: bool,
    /// The DSCP of its packets.
    pub dscp: u8,
}

impl ControllerSpec {
    /// A socket that each bridge has.
    fn own_socket(path: &Path) -> ControllerSpec {
        ControllerSpec {
            target: format!("punix:{}", path.display()),
            max_backoff: Duration::from_secs(8),
            probe: SERVICE_PROBE,
            rate_limit: None,
            is_service: true,
            has_async_messages: true,
            dscp: DEFAULT_DSCP,
            tls: None,
        }
    }
}

/// How a bridge is controlled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeSettings {
    pub name: String,
    pub datapath_id: u64,
    pub dp_desc: Option<String>,
    pub serial: Option<String>,
    pub versions: Vec<Version>,
    /// Without a controller it forwards nothing but by its rules.
    pub is_secure: bool,
    pub controllers: Vec<ControllerSpec>,
    /// The rules are about to be restored: controllers come after that, so that neither disturbs the other.
    pub awaits_rules: bool,
}

/// What the database shows of a controller.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ControllerStatus {
    pub is_connected: bool,
    pub role: Option<ofp::ControllerRole>,
    pub last_error: Option<String>,
    /// When it was connected and disconnected last, if ever.
    pub connected_at: Option<Timestamp>,
    pub disconnected_at: Option<Timestamp>,
}

/// The connections of one bridge.
#[derive(Debug)]
pub(crate) struct BridgeControl {
    pub datapath_id: u64,
    pub dp_desc: Option<String>,
    pub serial: Option<String>,
    versions: Vec<Version>,
    is_secure: bool,
    endpoints: BTreeMap<String, Endpoint>,
    fail_open: FailOpen,
    /// Generation of the role requests (OpenFlow 1.2 §6.3.4).
    pub generation: Option<u64>,
    has_controllers: bool,
    /// [`BridgeControl::is_secure`] when the default rule was settled.
    was_secure: bool,
    said: Said,
}

/// A target and the task that serves it.
#[derive(Debug)]
struct Endpoint {
    id: Target,
    spec: ControllerSpec,
    kind: Kind,
    task: JoinHandle<()>,
    status: ControllerStatus,
}

/// The owner of all connections. Lives on the control thread.
pub struct Manager {
    pub(crate) switch: Arc<SharedSwitch>,
    pub(crate) datapaths: Arc<Datapaths>,
    pub(crate) clock: Clock,
    pub(crate) bridges: HashMap<BridgeId, BridgeControl>,
    pub(crate) peers: BTreeMap<PeerId, Peer>,
    targets: HashMap<Target, (BridgeId, String)>,
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
    next_target: u64,
    next_peer: Arc<AtomicU64>,
    pub(crate) bundle_idle: Duration,
    /// What is to be brought into force.
    wanted: Vec<(BridgeId, BridgeSettings)>,
    /// Peers that wait for another turn, in the order in which they get it.
    pub(crate) ready: VecDeque<PeerId>,
    /// Whether the next turn goes before what has happened meanwhile.
    ready_first: bool,
    pub(crate) rule_memory: RuleMemory,
    pub(crate) ipfix: HashMap<BridgeId, IpfixCounters>,
}

/// What the exporters of IPFIX of a bridge have counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IpfixCounters {
    /// Of the bridge's own samples, if they are exported.
    pub bridge: Option<IpfixStats>,
    /// Of each set of collectors that rules sample for.
    pub sets: Vec<IpfixStats>,
}

/// How many events may wait before connections are made to.
const EVENTS: usize = 64;

impl Manager {
    /// What controllers are told of IPFIX from now on; nothing of bridges that are not there.
    pub fn set_ipfix(&mut self, counters: HashMap<BridgeId, IpfixCounters>) {
        self.ipfix = counters;
    }

    pub fn new(switch: Arc<SharedSwitch>, datapaths: Arc<Datapaths>, clock: Clock) -> Manager {
        let (sender, events) = mpsc::channel(EVENTS);
        Manager {
            switch,
            datapaths,
            clock,
            bridges: HashMap::new(),
            peers: BTreeMap::new(),
            targets: HashMap::new(),
            events,
            sender,
            next_target: 0,
            next_peer: Arc::default(),
            bundle_idle: DEFAULT_BUNDLE_IDLE,
            wanted: Vec::new(),
            ready: VecDeque::new(),
            ready_first: false,
            rule_memory: RuleMemory::default(),
            ipfix: HashMap::new(),
        }
    }

    /// The datapath of a bridge, and who keeps its flows; `None` when the bridge is gone.
    pub(crate) fn below(&self, bridge: BridgeId) -> Option<Below> {
        let id = self.switch.read().get(bridge)?.datapath();
        self.datapaths.get(id)
    }

    /// Brings the counters of a bridge's rules up to date.
    pub(crate) fn credit(&self, bridge: BridgeId) {
        if let Some(below) = self.below(bridge) {
            below.flows.credit();
        }
    }

    /// How long a bundle may wait for its next message.
    pub fn set_bundle_idle(&mut self, idle: Duration) {
        self.bundle_idle = idle;
    }

    /// The next thing to [`Manager::handle`]. Dropping the future loses nothing.
    pub async fn next_event(&mut self) -> Event {
        if let Some(&peer) = self.ready.front() {
            // Connections move on only when this thread lets them.
            tokio::task::consume_budget().await;
            self.ready_first = !self.ready_first;
            let event = if self.ready_first { None } else { self.events.try_recv().ok() };
            return event.unwrap_or(Event::Turn { peer });
        }
        match self.events.recv().await {
            Some(event) => event,
            // The manager holds a sender itself, so the channel does not end.
            None => std::future::pending().await,
        }
    }

    /// Sets how a bridge is to be controlled, which [`Manager::settle`] brings into force.
    pub fn want(&mut self, bridge: BridgeId, settings: BridgeSettings) {
        self.wanted.push((bridge, settings));
    }

    /// Brings connections and listening sockets in line. Sockets that cannot be opened are logged, and tried again when
    /// their bridge is wanted again.
    pub async fn settle(&mut self) {
        for (bridge, settings) in std::mem::take(&mut self.wanted) {
            self.configure(bridge, settings).await;
        }
    }

    async fn configure(&mut self, bridge: BridgeId, settings: BridgeSettings) {
        let BridgeSettings {
            name,
            datapath_id,
            dp_desc,
            serial,
            versions,
            is_secure,
            controllers,
            awaits_rules,
        } = settings;
        let control = self.bridges.entry(bridge).or_insert_with(|| BridgeControl {
            datapath_id,
            dp_desc: None,
            serial: None,
            versions: Vec::new(),
            is_secure,
            endpoints: BTreeMap::new(),
            fail_open: FailOpen::default(),
            generation: None,
            has_controllers: false,
            was_secure: true,
            said: crate::snoop::new(),
        });
        control.datapath_id = datapath_id;
        control.dp_desc = dp_desc;
        control.serial = serial;
        control.is_secure = is_secure;
        let versions_changed = control.versions != versions;
        control.versions = versions;

        let mut wanted: BTreeMap<String, (ControllerSpec, Kind)> = BTreeMap::new();
        let rundir = rpc::dirs::rundir();
        for (suffix, kind) in [("mgmt", Kind::Service), ("snoop", Kind::Watcher)] {
            let socket = rundir.join(format!("{name}.{suffix}"));
            let spec = ControllerSpec::own_socket(&socket);
            wanted.insert(spec.target.clone(), (spec, kind));
        }
        let is_primary =
            |spec: &ControllerSpec| !spec.is_service && !rpc::stream::is_passive_name(&spec.target);
        let has_controllers = controllers.iter().any(is_primary);
        for spec in controllers.iter().filter(|_| !awaits_rules) {
            let kind = if is_primary(spec) { Kind::Primary } else { Kind::Service };
            wanted.insert(spec.target.clone(), (spec.clone(), kind));
        }
        let mut gone = Vec::new();
        for (target, have) in &control.endpoints {
            match wanted.get(target) {
                None => {
                    if let Some(kind) = have.kind.text() {
                        log::info!(target: "connmgr", "{name}: removed {kind} controller \"{target}\"");
                    }
                }
                Some((spec, _)) if versions_changed || *spec != have.spec => log::info!(
                    target: "connmgr",
                    "{name}: Changes to controller \"{target}\" expects re-initialization: Re-initializing now."
                ),
                Some(_) => continue,
            }
            gone.push(target.clone());
        }
        for target in gone {
            self.close_endpoint(bridge, &target).await;
        }
        for (target, (spec, kind)) in wanted {
            let missing =
                self.bridges.get(&bridge).is_some_and(|control| !control.endpoints.contains_key(&target));
            if missing {
                self.open_endpoint(bridge, spec, kind).await;
            }
        }
        self.settle_default_rule(bridge, has_controllers);
        self.run_fail_open();
    }

    /// A bridge without controllers switches as usual unless it is secure;
    /// when it gets its first controller, or loses its last, it starts empty,
    /// and so it does when it is to do otherwise without controllers.
    fn settle_default_rule(&mut self, bridge: BridgeId, has_controllers: bool) {
        let Some(control) = self.bridges.get_mut(&bridge) else { return };
        let had_controllers = std::mem::replace(&mut control.has_controllers, has_controllers);
        let was_secure = std::mem::replace(&mut control.was_secure, control.is_secure);
        if has_controllers == had_controllers && (has_controllers || control.is_secure == was_secure) {
            return;
        }
        let wants_rule = !has_controllers && !control.is_secure;
        let mut switch = self.switch.write();
        let Some(state) = switch.get_mut(bridge) else { return };
        let meters = state.flush();
        if wants_rule {
            add_default_rule(state, self.clock.now());
        }
        drop(switch);
        self.forget_meters(bridge, &meters);
    }

    async fn open_endpoint(&mut self, bridge: BridgeId, spec: ControllerSpec, kind: Kind) {
        let Some(control) = self.bridges.get_mut(&bridge) else { return };
        self.next_target += 1;
        let id = Target(self.next_target);
        let name = self.switch.read().get(bridge).map(|state| state.name().to_owned());
        let bridge_name = name.unwrap_or_default();
        let setup = Setup {
            bridge: bridge_name.clone(),
            target: id,
            versions: control.versions.clone(),
            events: self.sender.clone(),
            dscp: spec.dscp,
            probe: Some(spec.probe).filter(|probe| !probe.is_zero() && kind != Kind::Watcher),
            snoop: (kind == Kind::Primary).then(|| control.said.clone()),
        };
        let tls = spec.tls.clone().unwrap_or_default();
        let counter = Arc::clone(&self.next_peer);
        let new_peer = move || PeerId(counter.fetch_add(1, Ordering::Relaxed));
        let task = if rpc::stream::is_passive_name(&spec.target) {
            match Listener::bind(&spec.target, rpc::OPENFLOW_PORT, &tls).await {
                Ok(listener) if kind == Kind::Watcher => {
                    tokio::task::spawn_local(crate::snoop::listen(setup, listener, control.said.clone()))
                }
                Ok(listener) => tokio::task::spawn_local(listen(setup, listener, new_peer)),
                Err(e) => {
                    log::error!(target: base::bounded!("connmgr"), "failed to listen on {}: {}", spec.target, rpc::error_text(&e));
                    return;
                }
            }
        } else {
            let (target, backoff) = (spec.target.clone(), spec.max_backoff);
            tokio::task::spawn_local(keep_connected(setup, target, tls, backoff, new_peer))
        };
        if let Some(kind) = kind.text() {
            log::info!(target: "connmgr", "{bridge_name}: added {kind} controller \"{}\"", spec.target);
        }
        self.targets.insert(id, (bridge, spec.target.clone()));
        let status = ControllerStatus::default();
        control.endpoints.insert(spec.target.clone(), Endpoint { id, spec, kind, task, status });
    }

    async fn close_endpoint(&mut self, bridge: BridgeId, target: &str) {
        let Some(endpoint) = self.bridges.get_mut(&bridge).and_then(|c| c.endpoints.remove(target)) else {
            return;
        };
        endpoint.task.abort();
        // A listening socket's file must be gone before another one of its name is made.
        let _ = endpoint.task.await;
        self.targets.remove(&endpoint.id);
        // Letting go of the links ends the connections.
        let id = endpoint.id;
        self.peers.retain(|_, peer| peer.target != id);
    }

    /// Ends all connections of a bridge that is gone.
    pub async fn remove_bridge(&mut self, bridge: BridgeId) {
        let targets: Vec<String> =
            self.bridges.get(&bridge).map(|c| c.endpoints.keys().cloned().collect()).unwrap_or_default();
        for target in targets {
            self.close_endpoint(bridge, &target).await;
        }
        self.bridges.remove(&bridge);
    }

    /// Ends the connections of a bridge, or of all; those that the switch makes are made anew.
    pub fn reconnect(&mut self, bridge: Option<BridgeId>) {
        for peer in self.peers.values_mut().filter(|peer| bridge.is_none_or(|bridge| peer.bridge == bridge)) {
            peer.link.close();
        }
    }

    /// What the database shows of the controllers of a bridge, by target.
    pub fn statuses(&self, bridge: BridgeId) -> Vec<(String, ControllerStatus)> {
        let endpoints = self.bridges.get(&bridge).map(|c| &c.endpoints);
        endpoints
            .into_iter()
            .flatten()
            .filter(|(_, endpoint)| endpoint.kind == Kind::Primary)
            .map(|(target, endpoint)| (target.clone(), endpoint.status.clone()))
            .collect()
    }

    pub fn handle(&mut self, event: Event) {
        match event {
            Event::Connected { peer, target, version, link } => {
                let Some((bridge, name)) = self.targets.get(&target).cloned() else { return };
                let now = self.clock.now();
                let Some(endpoint) = self.bridges.get_mut(&bridge).and_then(|c| c.endpoints.get_mut(&name))
                else {
                    return;
                };
                endpoint.status = ControllerStatus {
                    is_connected: true,
                    role: Some(ofp::ControllerRole::Equal),
                    last_error: None,
                    connected_at: Some(now),
                    ..endpoint.status
                };
                let mut new = Peer::new(bridge, endpoint.kind, version, target, link);
                new.packet_ins.set_limit(endpoint.spec.rate_limit);
                if !endpoint.spec.has_async_messages {
                    new.async_config = ofp::AsyncConfig::default();
                }
                self.peers.insert(peer, new);
                self.update_misses(bridge);
                self.run_fail_open();
            }
            Event::Received { peer: id, messages } => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.inbox.extend(messages);
                }
                self.take_turn(id);
            }
            Event::Taken { peer } => self.take_turn(peer),
            Event::Turn { peer } => {
                self.ready.retain(|other| *other != peer);
                self.take_turn(peer);
            }
            Event::Disconnected { peer, target, reason } => {
                let mut known = self.peers.remove(&peer);
                let now = self.clock.now();
                if let Some(peer) = &mut known
                    && let Some(text) = peer.rule_log.take(now)
                {
                    Manager::log_rules(peer, &text);
                }
                if let Some((bridge, name)) = self.targets.get(&target).cloned()
                    && let Some(endpoint) =
                        self.bridges.get_mut(&bridge).and_then(|c| c.endpoints.get_mut(&name))
                    && endpoint.kind == Kind::Primary
                {
                    endpoint.status = ControllerStatus {
                        is_connected: false,
                        role: None,
                        last_error: Some(reason).filter(|reason| !reason.is_empty()),
                        disconnected_at: if known.is_some() {
                            Some(now)
                        } else {
                            endpoint.status.disconnected_at
                        },
                        ..endpoint.status
                    };
                }
                if let Some(peer) = known {
                    self.update_misses(peer.bridge);
                }
                self.run_fail_open();
            }
        }
    }

    fn log_rules(peer: &Peer, text: &str) {
        log::info!(target: "connmgr", "{}: {text}", peer.link.name);
    }

    /// Tells of the rules that peers changed a while ago.
    pub fn log_changed_rules(&mut self) {
        let now = self.clock.now();
        let told: Vec<(PeerId, String)> = self
            .peers
            .iter_mut()
            .filter_map(|(id, peer)| Some((*id, peer.rule_log.take_due(now)?)))
            .collect();
        for (id, text) in told {
            if let Some(peer) = self.peers.get(&id) {
                Manager::log_rules(peer, &text);
            }
        }
    }

    /// Controllers of OpenFlow 1.0 to 1.2 get packets without a rule; later ones say so by a rule.
    pub(crate) fn update_misses(&mut self, bridge: BridgeId) {
        let wants = self.peers.values().any(|peer| {
            peer.bridge == bridge
                && peer.controller_id == 0
                && peer.version < Version::Of13
                && (peer.kind == Kind::Primary || peer.miss_send_len != 0)
        });
        if let Some(state) = self.switch.write().get_mut(bridge) {
            let has_controller =
                self.peers.values().any(|peer| peer.bridge == bridge && peer.kind == Kind::Primary);
            let settings =
                ofproto::Settings { misses_to_controller: wants, has_controller, ..state.settings().clone() };
            state.set_settings(settings);
        }
    }

    /// Lets bridges without a controller fail open, and those that have one again close.
    pub fn run_fail_open(&mut self) {
        let now = self.clock.now();
        for (&id, control) in &mut self.bridges {
            let mut primaries = control.endpoints.values().filter(|e| e.kind == Kind::Primary).peekable();
            let enabled = primaries.peek().is_some() && !control.is_secure;
            let probe = primaries.peek().map_or(Duration::ZERO, |e| e.spec.probe.max(Duration::from_secs(1)));
            let connected = primaries.any(|e| e.status.is_connected);
            if control.fail_open.is_due(connected, enabled, probe, now)
                && let Some(state) = self.switch.write().get_mut(id)
            {
                control.fail_open.run(state, now);
            }
        }
    }

    /// The time leaps forward, for tests: peers that have been idle for long then are probed.
    pub fn leap(&self, by: Duration) {
        self.peers.values().for_each(|peer| peer.link.leap(by));
    }

    /// When [`Manager::run_fail_open`] has something to do.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.bridges
            .values()
            .filter_map(|control| {
                let probe = control
                    .endpoints
                    .values()
                    .find(|e| e.kind == Kind::Primary)
                    .map_or(Duration::ZERO, |e| e.spec.probe.max(Duration::from_secs(1)));
                control.fail_open.deadline(probe)
            })
            .min()
    }

    /// Sends a message to a peer.
    pub(crate) fn send(&self, peer: PeerId, xid: u32, message: &Message) {
        if let Some(peer) = self.peers.get(&peer) {
            peer.send(xid, message);
        }
    }
}

/// Accepts connections on a listening socket and serves each in a task of its own.
async fn listen(setup: Setup, listener: Listener, new_peer: impl Fn() -> PeerId) {
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(incoming) => {
                    let (setup, peer) = (setup.clone(), new_peer());
                    tasks.spawn_local(async move {
                        match incoming.finish().await {
                            Ok(stream) => {
                                let name = format!("{}<->{}", setup.bridge, stream.name());
                                let end = serve(&setup, peer, &name, stream, HANDSHAKE, || {}).await;
                                end.log(&name, log::Level::Debug);
                            }
                            Err(e) => refused(&e),
                        }
                    });
                }
                Err(e) => {
                    refused(&e);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

fn refused(error: &std::io::Error) {
    log::warn!(target: base::bounded!("connmgr"), "accept failed ({})", rpc::error_text(error));
}
