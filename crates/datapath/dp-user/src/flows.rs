//! The flow table of one thread, as others use it too: its thread looks packets up, those who keep flows true (behind
//! [`Upcall`]) change them, the control thread installs, shows and removes them.
//!
//! The lock is held for single steps, never during an upcall. So a flow may be changed or removed between any two of
//! them; what has to hold all the same is written at [`Flows::serve`].

use std::sync::Arc;

use base::{Clock, Timestamp};
use dp::{
    Action, DpError, Fence, Flow, FlowGlance, FlowPut, FlowStats, Packet, PutMode, Ufid, Upcall,
    UpcallOutcome, UpcallPacket, WorkerId,
};
use flow::{FlowKey, FlowMask, PacketKey, slot};

use netdev::Shortcuts;
use netdev::shortcut::{Ending, Handing, Shortcut, Way};

use super::heat::Heat;
use super::table::{Moment, Table};
use crate::sync::{Mutex, MutexGuard};

/// Flows copied under one hold of the lock.
const DUMP_CHUNK: u32 = 64;
/// The same where little is copied of each.
const GLANCE_CHUNK: u32 = 512;

/// The flows of one thread.
pub(crate) struct Flows {
    worker: WorkerId,
    table: Mutex<Table>,
    shortcuts: Arc<Shortcuts>,
    clock: Clock,
}

/// What a packet is to do.
pub(crate) enum Served {
    /// A flow says it.
    Cached(Arc<[Action]>),
    /// It was asked for.
    Translated(Arc<[Action]>),
    /// Nobody is there to be asked.
    Unserved,
}

/// What a packet finds in the table.
enum Found {
    Unknown,
    /// A flow older than the fence.
    Stale(Box<Flow>),
    Valid(Arc<[Action]>),
}

impl Flows {
    pub(crate) fn new(worker: WorkerId, shortcuts: &Arc<Shortcuts>, clock: &Clock) -> Flows {
        let table = Mutex::new(Table::new(Arc::clone(shortcuts)));
        Flows { worker, table, shortcuts: Arc::clone(shortcuts), clock: clock.clone() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Serves a packet that no valid flow matched when its batch was looked up.
    ///
    /// Its actions follow from rules at least as new as the fence was when this was called: a flow that is older is
    /// checked first. A flow is installed with the version that its translation began with, so that whoever looks for
    /// stale flows finds it where the rules have changed meanwhile.
    ///
    /// `missed` is a moment at which no flow matched the packet, if there was one.
    pub(crate) fn serve(
        &self,
        door: Option<&dyn Upcall>,
        packet: &mut Packet,
        key: &PacketKey,
        missed: Option<Moment>,
        now: Timestamp,
    ) -> Served {
        let find = |packet: &Packet, missed| {
            self.find(packet, key, missed, door.map(|door| door.fence()).unwrap_or_default(), now)
        };
        // A packet before it in the batch may have installed what it needs.
        let mut found = find(packet, missed);
        if let (Found::Stale(flow), Some(door)) = (&found, door) {
            door.check(flow);
            found = find(packet, None);
        }
        if let Found::Valid(actions) = found {
            return Served::Cached(actions);
        }
        let Some(door) = door else { return Served::Unserved };
        let ufid = Ufid::of(key.key());
        let mut upcall = UpcallPacket { packet, key: key.key(), ufid, worker: self.worker, now };
        let mut outcome = door.miss(&mut upcall);
        if outcome.install {
            self.install(ufid, key.key(), &mut outcome);
        }
        Served::Translated(outcome.actions)
    }

    /// Looks one packet up, and counts it where the flow may be used.
    fn find(
        &self,
        packet: &Packet,
        key: &PacketKey,
        missed: Option<Moment>,
        fence: Fence,
        now: Timestamp,
    ) -> Found {
        let mut table = self.lock();
        let place = match missed {
            Some(moment) => table.lookup_since(moment, key),
            None => table.lookup(key, key.hash()).map(|(place, _)| place),
        };
        let Some(place) = place else { return Found::Unknown };
        let Some(entry) = table.entry_mut(place) else {
            base::broken!("a lookup found a place without a flow");
            return Found::Unknown;
        };
        if entry.is_older_than(fence) {
            let flow = table.flow_at(place, self.worker);
            return flow.map_or(Found::Unknown, |flow| Found::Stale(Box::new(flow)));
        }
        entry.count(packet.len(), tcp_flags(key.key()), now);
        Found::Valid(entry.actions.clone())
    }

    /// Installs the megaflow. Its counters begin at zero: the packet that made it is counted by whoever translated.
    fn install(&self, ufid: Ufid, key: &FlowKey, outcome: &mut UpcallOutcome) {
        make_installable(key, &mut outcome.mask);
        let actions = outcome.install_actions.as_ref().unwrap_or(&outcome.actions).clone();
        match self.lock().install(ufid, key, &mut outcome.mask, actions, outcome.version) {
            Ok(()) | Err(DpError::FlowExists) => {}
            Err(error) => log::debug!(target: "dpif_netdev", "failed to install a flow: {error}"),
        }
    }

    pub(crate) fn put(&self, ufid: Ufid, put: &FlowPut, may_create: bool) -> Result<(), DpError> {
        let mut mask = put.mask.clone();
        make_putable(&put.key, &mut mask);
        let mut table = self.lock();
        if put.mode != PutMode::Create
            && table.modify(ufid, put.actions.clone(), put.version, put.zero_stats, self.clock.now())
        {
            return Ok(());
        }
        if put.mode == PutMode::Modify || !may_create {
            return Err(DpError::NoFlow);
        }
        table.insert(ufid, &put.key, &mask, put.actions.clone(), put.version)
    }

    pub(crate) fn confirm(&self, flow: &Flow, version: u64) {
        self.lock().confirm(flow, version);
    }

    pub(crate) fn remove(&self, ufid: Ufid) -> Option<FlowStats> {
        self.lock().remove(ufid, self.clock.now())
    }

    pub(crate) fn get(&self, ufid: Ufid) -> Option<Flow> {
        self.lock().get(ufid, self.worker, self.clock.now())
    }

    /// Calls `visit` with every flow; the lock is not held during the call.
    pub(crate) fn dump(&self, visit: &mut dyn FnMut(Flow)) {
        self.walk(DUMP_CHUNK, |table, place| table.flow_at(place, self.worker), visit);
    }

    /// The same with what is seen at a glance.
    pub(crate) fn glance(&self, visit: &mut dyn FnMut(FlowGlance)) {
        self.walk(GLANCE_CHUNK, |table, place| table.glance_at(place, self.worker), visit);
    }

    fn walk<F>(&self, chunk: u32, copy: impl Fn(&Table, u32) -> Option<F>, visit: &mut dyn FnMut(F)) {
        drop(self.counted());
        let mut flows = Vec::new();
        let mut at = Some(0);
        while let Some(place) = at {
            at = self.lock().chunk(place, chunk, &mut flows, &copy);
            flows.drain(..).for_each(&mut *visit);
        }
    }

    /// The table, with what the kernel has forwarded counted.
    pub(crate) fn counted(&self) -> MutexGuard<'_, Table> {
        let mut table = self.lock();
        table.absorb(self.clock.now());
        table
    }

    /// Has the kernel forward none of the flows any more.
    pub(crate) fn end_shortcuts(&self) {
        self.lock().end_shortcuts(self.clock.now());
    }

    /// Has the kernel forward the flow at `place`, if `way_of` says how, and says so again afterwards; one that is the worker's
    /// for a while if `takes_paused`. The flow's way by the kernel, if it has one then.
    pub(crate) fn hand_over(
        &self,
        place: u32,
        takes_paused: bool,
        way_of: impl Fn(&Flow) -> Option<Way>,
    ) -> Option<Shortcut> {
        let flow = {
            let mut table = self.lock();
            if let Some(shortcut) = table.shortcut(place, self.clock.now()) {
                return Some(shortcut);
            }
            if table.is_paused(place) && !takes_paused {
                return None;
            }
            table.flow_at(place, self.worker)?
        };
        let way = way_of(&flow);
        let version = flow.version.unwrap_or(u64::MAX);
        let handing = way.as_ref().map(|way| self.shortcuts.add(&flow.key, &flow.mask, way, version));
        let heat = match handing {
            Some(Handing::Done(shortcut)) => Heat::Handed(shortcut),
            Some(Handing::Never) => Heat::Refused,
            Some(Handing::NotNow) => return None,
            // Ports change.
            None => Heat::after(Ending::Later, self.clock.now()),
        };
        let is_it = self.lock().hand_over(place, &flow, heat);
        let Heat::Handed(shortcut) = heat else { return None };
        // A port may have gone, or be policed, since it was asked for.
        if !is_it {
            self.shortcuts.remove(shortcut);
        } else if way_of(&flow) != way {
            self.shortcuts.end(shortcut);
        }
        is_it.then_some(shortcut)
    }

    /// Removes all flows.
    pub(crate) fn clear(&self) {
        self.end_shortcuts();
        // Many flows take long to drop, and packets wait for the lock.
        let flows = std::mem::replace(&mut *self.lock(), Table::new(Arc::clone(&self.shortcuts)));
        drop(flows);
    }
}

/// Makes it the mask of a flow that a packet made, as the text and netlink forms can express it.
fn make_installable(key: &FlowKey, mask: &mut FlowMask) {
    make_putable(key, mask);
    mask.add_all(slot::PACKET_TYPE);
}

/// The same for a flow that somebody put, who may leave the packet's type open.
fn make_putable(key: &FlowKey, mask: &mut FlowMask) {
    for place in [slot::RECIRC_ID, slot::IN_PORT, slot::DL_TYPE] {
        mask.add_all(place);
    }
    // Whether there is a tag cannot be left open, nor of which VLAN.
    if mask.bits(slot::VLAN0_TCI) == 0 {
        let is_tagged = key.vlan0_tci() != 0;
        mask.add(slot::VLAN0_TCI, if is_tagged { u128::from(flow::VLAN_CFI | 0x0fff) } else { 0xffff });
    }
}

/// The TCP flags that a packet of this key adds to those of its flow.
#[inline]
pub(crate) fn tcp_flags(key: &FlowKey) -> u16 {
    if key.nw_proto() == 6 && key.is_ip() { key.tcp_flags() } else { 0 }
}
