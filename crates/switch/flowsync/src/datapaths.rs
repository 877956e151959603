//! The datapaths of the process: which kinds there are, which are open, and who keeps the flows of each.
//!
//! Bridges of one kind share a datapath, which is opened with the first of them and closed after the last; it has a
//! [`FlowSync`] and that one's revalidator thread. Others are opened by hand (`dpctl/add-dp`): no bridge knows them, and nobody serves their
//! misses.
//!
//! The program hands over the table of kinds; nobody else knows what implements a datapath.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use base::Clock;
use dp::{Datapath, DpId, PortWatcher, WorkerSettings};
use pipeline::SharedNetwork;

use super::{Bounds, FlowSync, Sink};

/// A kind of datapath that can be opened.
pub struct Kind {
    /// As `Bridge.datapath_type` and `dpctl/add-dp` name it.
    pub name: &'static str,
    /// What else bridges may call it.
    pub aliases: &'static [&'static str],
    /// The name of the one that its bridges share.
    pub shared: &'static str,
    /// Opens one of this name.
    pub open: Box<dyn Fn(&str, Purpose) -> io::Result<Arc<dyn Datapath>> + Send + Sync>,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kind").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a datapath is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Bridges share it.
    Bridges,
    /// Somebody gives it ports and flows by hand.
    Hand,
}

/// Why a datapath was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("unknown datapath_type \"{0}\"")]
    UnknownKind(String),
    #[error("a datapath of this name exists")]
    Exists,
    #[error("{0}")]
    System(#[from] io::Error),
}

/// What is below bridges: a datapath, and who keeps its flows.
#[derive(Clone)]
pub struct Below {
    pub id: DpId,
    pub datapath: Arc<dyn Datapath>,
    pub flows: Arc<FlowSync>,
}

impl Below {
    /// As operators name the datapath: kind and name.
    pub fn full_name(&self) -> String {
        full_name(&*self.datapath)
    }
}

impl std::fmt::Debug for Below {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Below")
            .field("id", &self.id)
            .field("datapath", &self.datapath.name())
            .finish_non_exhaustive()
    }
}

fn full_name(datapath: &dyn Datapath) -> String {
    format!("{}@{}", datapath.kind(), datapath.name())
}

/// All datapaths of the process.
pub struct Datapaths {
    kinds: Vec<Kind>,
    network: Arc<dyn SharedNetwork>,
    sink: Arc<dyn Sink>,
    watcher: PortWatcher,
    clock: Clock,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    last: u32,
    shared: BTreeMap<DpId, Shared>,
    by_hand: BTreeMap<DpId, Arc<dyn Datapath>>,
    settings: Settings,
    /// The sum of the port epochs of those that were closed.
    epochs_before: u64,
}

/// One that bridges share.
struct Shared {
    kind: &'static str,
    below: Below,
    revalidator: Option<JoinHandle<()>>,
}

/// What holds for all that bridges share, those that are yet to be opened too.
#[derive(Clone, Debug)]
struct Settings {
    bounds: Bounds,
    max_vlans: usize,
    may_offload: bool,
    has_megaflows: bool,
    is_serving: bool,
    workers: WorkerSettings,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            bounds: Bounds::default(),
            max_vlans: 1,
            may_offload: true,
            has_megaflows: true,
            is_serving: true,
            workers: WorkerSettings::default(),
        }
    }
}

impl Open {
    fn new_id(&mut self) -> DpId {
        self.last += 1;
        DpId(self.last)
    }
}

impl std::fmt::Debug for Datapaths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Datapaths").field("kinds", &self.kinds).finish_non_exhaustive()
    }
}

impl Datapaths {
    /// None is open yet. `watcher` is called when ports of those that bridges share came, changed or went.
    pub fn new(
        kinds: Vec<Kind>,
        network: Arc<dyn SharedNetwork>,
        sink: Arc<dyn Sink>,
        watcher: PortWatcher,
        clock: Clock,
    ) -> Datapaths {
        Datapaths { kinds, network, sink, watcher, clock, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `datapath_type` may be.
    pub fn types(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.iter().flat_map(|kind| std::iter::once(kind.name).chain(kind.aliases.iter().copied()))
    }

    /// What is below bridges of this type; it is opened if it is not yet.
    ///
    /// # Errors
    /// There is no such type, or the system refuses what the datapath needs.
    pub fn below(&self, datapath_type: &str) -> Result<Below, OpenError> {
        let is_it = |kind: &&Kind| kind.name == datapath_type || kind.aliases.contains(&datapath_type);
        let kind = self.kinds.iter().find(is_it);
        let kind = kind.ok_or_else(|| OpenError::UnknownKind(datapath_type.to_owned()))?;
        let mut open = self.open();
        if let Some(known) = open.shared.values().find(|shared| shared.kind == kind.name) {
            return Ok(known.below.clone());
        }
        let datapath = (kind.open)(kind.shared, Purpose::Bridges)?;
        datapath.watch_ports(Arc::clone(&self.watcher));
        let settings = open.settings.clone();
        datapath.set_max_vlans(settings.max_vlans);
        datapath.set_offload(settings.may_offload);
        if let Some(workers) = datapath.workers() {
            workers.set_up(&settings.workers);
        }
        let id = open.new_id();
        let (network, sink) = (Arc::clone(&self.network), Arc::clone(&self.sink));
        let flows = FlowSync::new(network, id, Arc::clone(&datapath), sink, self.clock.clone());
        flows.set_limits(settings.bounds);
        flows.set_megaflows(settings.has_megaflows);
        flows.serve(settings.is_serving);
        let revalidator = {
            let flows = Arc::clone(&flows);
            std::thread::Builder::new().name("revalidator".to_owned()).spawn(move || flows.run())?
        };
        let below = Below { id, datapath, flows };
        let shared = Shared { kind: kind.name, below: below.clone(), revalidator: Some(revalidator) };
        open.shared.insert(id, shared);
        Ok(below)
    }

    /// One that bridges share.
    pub fn get(&self, id: DpId) -> Option<Below> {
        self.open().shared.get(&id).map(|shared| shared.below.clone())
    }

    /// Those that bridges share, in the order in which they were opened.
    pub fn shared(&self) -> Vec<Below> {
        self.open().shared.values().map(|shared| shared.below.clone()).collect()
    }

    /// Closes those that bridges shared and no bridge is on any more, once the devices of their ports are closed.
    pub fn close_unused(&self, is_used: impl Fn(DpId) -> bool) {
        let is_over = |id: &DpId, shared: &mut Shared| !is_used(*id) && shared.below.datapath.is_settled();
        let mut open = self.open();
        let closed: Vec<(DpId, Shared)> = open.shared.extract_if(.., is_over).collect();
        for (_, Shared { below, .. }) in &closed {
            // Another number than before, whatever is opened next.
            open.epochs_before = open.epochs_before.wrapping_add(below.datapath.port_epoch()).wrapping_add(1);
        }
        drop(open);
        // Their threads are waited for when nobody else is kept from the others.
        for (_, Shared { below, revalidator, .. }) in closed {
            below.flows.end();
            // One that panicked has been reported where it did.
            revalidator.map(JoinHandle::join);
        }
    }

    /// Opens one by hand.
    ///
    /// # Errors
    /// There is one of this kind and name, no such kind, or the system refuses what it needs.
    pub fn add(&self, kind: &str, name: &str) -> Result<(DpId, Arc<dyn Datapath>), OpenError> {
        if self.named(&format!("{kind}@{name}")).is_some() {
            return Err(OpenError::Exists);
        }
        let known = self.kinds.iter().find(|known| known.name == kind);
        let known = known.ok_or_else(|| OpenError::UnknownKind(kind.to_owned()))?;
        let mut open = self.open();
        let datapath = (known.open)(name, Purpose::Hand)?;
        datapath.set_max_vlans(open.settings.max_vlans);
        let id = open.new_id();
        open.by_hand.insert(id, Arc::clone(&datapath));
        Ok((id, datapath))
    }

    /// Closes one that was opened by hand.
    pub fn remove(&self, id: DpId) {
        let gone = self.open().by_hand.remove(&id);
        // Its threads are waited for when nobody else is kept from the others.
        drop(gone);
    }

    /// Those that were opened by hand.
    pub fn by_hand(&self) -> Vec<(DpId, Arc<dyn Datapath>)> {
        self.open().by_hand.iter().map(|(id, datapath)| (*id, Arc::clone(datapath))).collect()
    }

    /// The one of this kind and name ("netdev@ovs-netdev").
    pub fn named(&self, name: &str) -> Option<(DpId, Arc<dyn Datapath>)> {
        let open = self.open();
        let shared = open.shared.iter().map(|(id, shared)| (*id, &shared.below.datapath));
        let mut all = shared.chain(open.by_hand.iter().map(|(id, datapath)| (*id, datapath)));
        let (id, found) = all.find(|(_, datapath)| full_name(&***datapath) == name)?;
        Some((id, Arc::clone(found)))
    }

    /// How many megaflows each may have, how long one without packets stays, and how often they are looked through.
    pub fn set_limits(&self, bounds: Bounds) {
        self.change(|settings| settings.bounds = bounds);
        self.shared().iter().for_each(|below| below.flows.set_limits(bounds));
    }

    /// How many VLAN tags of a packet are looked at.
    pub fn set_max_vlans(&self, max_vlans: usize) {
        self.change(|settings| settings.max_vlans = max_vlans);
        for below in self.shared() {
            let before = below.datapath.max_vlans();
            below.datapath.set_max_vlans(max_vlans);
            if below.datapath.max_vlans() != before {
                // The keys of installed flows are of another shape.
                below.flows.purge();
            }
        }
    }

    /// Whether the kernel may forward packets of some flows itself.
    pub fn set_offload(&self, is_allowed: bool) {
        self.change(|settings| settings.may_offload = is_allowed);
        self.shared().iter().for_each(|below| below.datapath.set_offload(is_allowed));
    }

    /// What holds for the threads that forward.
    pub fn set_workers(&self, workers: &WorkerSettings) {
        self.change(|settings| settings.workers = workers.clone());
        for below in self.shared() {
            if let Some(known) = below.datapath.workers() {
                known.set_up(workers);
            }
        }
    }

    /// Whether flows match as widely as translation allows, or exactly.
    pub fn set_megaflows(&self, enabled: bool) {
        self.change(|settings| settings.has_megaflows = enabled);
        self.shared().iter().for_each(|below| below.flows.set_megaflows(enabled));
    }

    /// Whether packets without a megaflow are translated. While they are not, they are dropped.
    pub fn serve(&self, is_serving: bool) {
        self.change(|settings| settings.is_serving = is_serving);
        self.shared().iter().for_each(|below| below.flows.serve(is_serving));
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.open().settings);
    }

    /// A number that changes whenever a port came, went or changed its state.
    pub fn port_epoch(&self) -> u64 {
        let open = self.open();
        let epochs = open.shared.values().map(|shared| shared.below.datapath.port_epoch());
        epochs.fold(open.epochs_before, u64::wrapping_add)
    }

    /// Whether the devices of all ports that were deleted are closed.
    pub fn is_settled(&self) -> bool {
        self.shared().iter().all(|below| below.datapath.is_settled())
    }

    /// Takes packets from the peers of all dummy ports.
    pub fn poll_dummies(&self) {
        for below in self.shared() {
            if let Some(dummies) = below.datapath.dummies() {
                dummies.poll();
            }
        }
    }

    /// [`FlowSync::tick`] of all, and [`dp::Workers::tick`].
    pub fn tick(&self) {
        let shared = self.shared();
        shared.iter().for_each(|below| below.flows.tick());
        let by_hand = self.by_hand();
        let all =
            shared.iter().map(|below| &below.datapath).chain(by_hand.iter().map(|(_, datapath)| datapath));
        all.filter_map(|datapath| datapath.workers()).for_each(dp::Workers::tick);
    }

    /// [`FlowSync::credit`] of all.
    pub fn credit(&self) {
        self.shared().iter().for_each(|below| below.flows.credit());
    }

    /// Stops serving misses, and waits for the revalidators.
    pub fn end(&self) {
        self.shared().iter().for_each(|below| below.flows.end());
        self.wait_for_revalidators();
    }

    /// Ends all threads. Misses are served again when the datapaths are resumed ([`dp::Succession`]), in this process or in a
    /// copy of it; flows are not looked through again.
    pub fn pause(&self) {
        self.shared().iter().for_each(|below| below.flows.pause());
        self.wait_for_revalidators();
        self.each_succession(|datapath| datapath.pause());
    }

    /// Calls `act` with each that another process may go on with.
    pub fn each_succession(&self, act: impl FnMut(&dyn dp::Succession)) {
        let shared = self.shared();
        shared.iter().filter_map(|below| below.datapath.succession()).for_each(act);
    }

    fn wait_for_revalidators(&self) {
        let revalidators: Vec<JoinHandle<()>> =
            self.open().shared.values_mut().filter_map(|shared| shared.revalidator.take()).collect();
        for revalidator in revalidators {
            // One that panicked has been reported where it did.
            let _ = revalidator.join();
        }
    }
}
