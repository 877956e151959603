//! What all threads of a datapath share.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use base::Clock;
use dp::{PortKind, PortSpec, TunnelSettings, Upcall, WorkerId};
use netdev::{Arrival, Shortcuts};
use netlink::LinkChange;

use crate::bonds::Bonds;
use crate::closing::Closing;
use crate::context::Context;
use crate::meters::Meters;
use crate::part::Part;
use crate::ports::{Port, PortChanges, Ports};
use crate::processors::Processors;
use crate::seat::Core;
use crate::sweeping::Sweeping;
use crate::team::Team;
use crate::tracking::Waiting;
use crate::waker::Waker;

/// How a datapath is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// "ovs-netdev".
    pub name: String,
    /// "netdev", or "dummy" in tests.
    pub kind: String,
    /// System ports are dummies too.
    pub is_dummy: bool,
    /// Where workers are made; `None` in tests that want no thread.
    pub processors: Option<Processors>,
    /// VLAN tags that keys hold (`other_config:vlan-limit`).
    pub max_vlans: usize,
    /// Another process forwards by the devices until [`dp::Succession::hear`].
    pub predecessor: Option<Arc<Predecessor>>,
}

/// A process that forwards by devices that are opened here, too.
#[derive(Debug)]
pub struct Predecessor {
    /// Its devices: of an internal port the device itself, of others the sockets.
    devices: Mutex<HashMap<String, Vec<OwnedFd>>>,
    is_there: AtomicBool,
}

impl Predecessor {
    /// One that has these devices.
    pub fn new(devices: HashMap<String, Vec<OwnedFd>>) -> Predecessor {
        Predecessor { devices: Mutex::new(devices), is_there: AtomicBool::new(true) }
    }

    fn arrival(&self, spec: &PortSpec) -> Arrival {
        if !self.is_there.load(Ordering::Acquire) {
            return Arrival::Alone;
        }
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        let is_tap = matches!(spec.kind, PortKind::Internal | PortKind::Tap);
        let tap = if is_tap { devices.remove(&spec.name).and_then(|mut fds| fds.pop()) } else { None };
        Arrival::Beside { tap }
    }

    /// It goes. The sockets by which it has received until now.
    fn gone(&self) -> HashMap<String, Vec<OwnedFd>> {
        self.is_there.store(false, Ordering::Release);
        std::mem::take(&mut *self.devices.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            name: "ovs-netdev".into(),
            kind: "netdev".into(),
            is_dummy: false,
            processors: Some(Processors::of_machine()),
            max_vlans: 1,
            predecessor: None,
        }
    }
}

pub(crate) struct UpcallDoor(pub(crate) Arc<dyn Upcall>);

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) max_vlans: AtomicUsize,
    pub(crate) ports: ArcSwap<Ports>,
    /// Who works, and by which rules; held while ports change, too.
    pub(crate) team: Mutex<Team>,
    pub(crate) changes: Arc<PortChanges>,
    pub(crate) closing: Closing,
    pub(crate) devices_made: AtomicU32,
    pub(crate) upcall: ArcSwapOption<UpcallDoor>,
    pub(crate) connections: Arc<conntrack::Tracker>,
    pub(crate) fragments: Arc<Waiting>,
    pub(crate) sweeping: Sweeping,
    pub(crate) bonds: Bonds,
    /// Flows that the kernel forwards.
    pub(crate) shortcuts: Arc<Shortcuts>,
    pub(crate) tunnels: ArcSwap<TunnelSettings>,
    /// The number of the next packet of a tunnel that numbers them.
    pub(crate) tunnel_sequence: AtomicU32,
    pub(crate) meters: Meters,
    /// The control thread's part.
    pub(crate) main: Arc<Part>,
    /// The parts of all workers that there ever were, by the number of their processor: flows and counters of one that ended
    /// stay until they were looked at.
    pub(crate) workers: ArcSwap<Vec<Arc<Part>>>,
    pub(crate) main_context: Mutex<Context>,
    /// Wakes the thread that helps busy devices.
    pub(crate) tuning: Waker,
    /// Workers have to wait for processors: the kernel takes floods of short packets, too.
    pub(crate) are_crowded: AtomicBool,
    pub(crate) is_stopping: AtomicBool,
    /// Ports are another process's, and not closed here.
    pub(crate) is_forgotten: AtomicBool,
}

impl Shared {
    /// The main part and the workers'.
    pub(crate) fn parts(&self) -> Vec<Arc<Part>> {
        std::iter::once(&self.main).chain(self.workers.load().iter()).cloned().collect()
    }

    /// The same without the workers that ended.
    pub(crate) fn active_parts(&self) -> Vec<Arc<Part>> {
        let mut parts = self.parts();
        parts.retain(|part| part.is_active());
        parts
    }

    pub(crate) fn team(&self) -> MutexGuard<'_, Team> {
        self.team.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what the kernel says of links.
    pub(crate) fn links_changed(&self, changes: &[LinkChange]) {
        if changes.is_empty() {
            return;
        }
        let changed = |port: &&Arc<Port>| {
            changes.iter().any(|change| match change {
                LinkChange::Present(link) | LinkChange::Gone(link) => {
                    Some(link.index) == port.device.ifindex()
                }
                LinkChange::Lost => true,
            })
        };
        let ports = self.ports.load_full();
        for port in ports.iter().filter(changed) {
            port.changed();
            port.device.end_shortcuts();
        }
        self.changes.note();
    }

    /// Whether another process forwards by the devices.
    pub(crate) fn is_deaf(&self) -> bool {
        self.config.predecessor.as_ref().is_some_and(|other| other.is_there.load(Ordering::Acquire))
    }

    /// How a device is to be opened.
    pub(crate) fn arrival(&self, spec: &PortSpec) -> Arrival {
        self.config.predecessor.as_ref().map_or(Arrival::Alone, |other| other.arrival(spec))
    }

    /// The other process goes. The sockets by which it has received until now.
    pub(crate) fn is_alone(&self) -> HashMap<String, Vec<OwnedFd>> {
        self.config.predecessor.as_ref().map(|other| other.gone()).unwrap_or_default()
    }

    /// Makes workers look at which ports there are to receive on.
    pub(crate) fn call_workers(&self) {
        self.workers.load().iter().for_each(|worker| worker.call());
    }

    /// The same for the worker of one processor.
    pub(crate) fn call_worker(&self, core: Core) {
        if let Some(worker) = self.part(WorkerId::Worker(core)) {
            worker.call();
        }
    }

    pub(crate) fn part(&self, id: WorkerId) -> Option<Arc<Part>> {
        match id {
            WorkerId::Main => Some(Arc::clone(&self.main)),
            WorkerId::Worker(_) => self.workers.load().iter().find(|part| part.id == id).cloned(),
        }
    }
}
