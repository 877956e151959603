//! What all threads of a datapath share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, ArcSwapOption};
use base::{Clock, DpPort, Timestamp};
use dp::{Conntrack, DpStats, Packet, Upcall, WorkerId};
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
}

impl Default for Config {
    fn default() -> Self {
        Config { name: "ovs-netdev".into(), kind: "netdev".into(), is_dummy: false, workers: 1, max_vlans: 1 }
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
