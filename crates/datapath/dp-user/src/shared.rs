//! What all threads of a datapath share.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use base::{Clock, DpPort, Timestamp};
use dp::{Conntrack, DpStats, Packet, PortKind, PortSpec, Upcall, WorkerId};
use netdev::Arrival;
use netlink::LinkChange;

use crate::closing::Closing;
use crate::context::Context;
use crate::counters::Tally;
use crate::flows::Flows;
use crate::known::Moves;
use crate::meters::Meters;
use crate::ports::{Port, PortChanges, Ports};
use crate::table::Table;
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
    /// Worker threads; none in tests that want no thread.
    pub workers: usize,
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
            workers: 1,
            max_vlans: 1,
            predecessor: None,
        }
    }
}

/// The connection tracker's door.
pub trait Tracker: Send + Sync {
    /// Tracks the packet, setting its metadata and, with NAT, its headers; false: drop it.
    fn track(&self, packet: &mut Packet, action: &Conntrack, now: Timestamp) -> bool;
}

pub(crate) struct UpcallDoor(pub(crate) Arc<dyn Upcall>);
pub(crate) struct TrackerDoor(pub(crate) Arc<dyn Tracker>);

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) max_vlans: AtomicUsize,
    pub(crate) ports: ArcSwap<Ports>,
    /// Held while ports change.
    pub(crate) port_changes: Mutex<()>,
    pub(crate) changes: Arc<PortChanges>,
    pub(crate) closing: Closing,
    pub(crate) devices_made: AtomicU32,
    pub(crate) upcall: ArcSwapOption<UpcallDoor>,
    pub(crate) tracker: ArcSwapOption<TrackerDoor>,
    pub(crate) bonds: ArcSwap<HashMap<u32, Vec<DpPort>>>,
    pub(crate) meters: Meters,
    /// The control thread's part, then one per worker.
    pub(crate) main: Arc<Part>,
    pub(crate) workers: Vec<Arc<Part>>,
    pub(crate) main_context: Mutex<Context>,
    /// Wakes the thread that helps busy devices.
    pub(crate) tuning: Waker,
    pub(crate) is_stopping: AtomicBool,
    /// Ports are another process's, and not closed here.
    pub(crate) is_forgotten: AtomicBool,
}

impl Shared {
    /// The main part and the workers'.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Arc<Part>> {
        std::iter::once(&self.main).chain(&self.workers)
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
        ports.iter().filter(changed).for_each(|port| port.changed());
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
        for worker in &self.workers {
            worker.receiving.note();
            worker.waker.wake();
        }
    }

    pub(crate) fn part(&self, id: WorkerId) -> Option<&Arc<Part>> {
        self.parts().find(|part| part.id == id)
    }
}

/// What belongs to one thread that forwards, and may be looked at by others.
pub(crate) struct Part {
    pub(crate) id: WorkerId,
    pub(crate) flows: Flows,
    pub(crate) counters: Counters,
    pub(crate) waker: Waker,
    /// The ports to receive on changed.
    pub(crate) receiving: Moves,
}

impl Part {
    pub(crate) fn new(id: WorkerId) -> std::io::Result<Part> {
        Ok(Part {
            id,
            flows: Flows::new(id),
            counters: Counters::default(),
            waker: Waker::new()?,
            receiving: Moves::default(),
        })
    }
}

/// Counters of one thread, written by it alone.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) cache_hits: Tally,
    pub(crate) table_hits: Tally,
    pub(crate) subtables: Tally,
    pub(crate) missed: Tally,
    pub(crate) lost: Tally,
    pub(crate) recirculated: Tally,
}

impl Counters {
    pub(crate) fn stats(&self, table: &Table) -> DpStats {
        let (cache, megaflow) = (self.cache_hits.get(), self.table_hits.get());
        let (missed, lost) = (self.missed.get(), self.lost.get());
        DpStats {
            hits: cache + megaflow,
            missed,
            lost,
            flows: table.len() as u64,
            masks: table.mask_count() as u64,
            exact_hits: 0,
            signature_hits: cache,
            megaflow_hits: megaflow,
            subtable_lookups: self.subtables.get(),
            recirculated: self.recirculated.get(),
            lost_upcalls: lost,
            successful_upcalls: missed.saturating_sub(lost),
        }
    }
}
