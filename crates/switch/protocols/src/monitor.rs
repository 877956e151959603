//! The thread that runs the protocols of all ports.

mod ports;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base::{Clock, MacAddr, OfPort};
use pipeline::{BridgeId, Protocol, SpanningPort, Watched};

use crate::spanning::{self, Flush};
use crate::{bfd, bond, cfm, lacp, lldp};
use ports::{Ports, Step};

/// How many frames may wait for the thread; what comes beyond that is dropped and counted.
const WAITING: usize = 4096;
/// How often at most one run takes what its own frames have caused.
const ROUNDS: usize = 16;
/// The thread looks at the time at least this often: the clock may have been set.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

base::coverage!(static OVERFLOW = "protocol_overflow");

/// A port of a bridge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortId {
    /// The bridge.
    pub bridge: BridgeId,
    /// Its port.
    pub port: OfPort,
}

/// What the protocols need from the switch. Called by the monitor's thread, without any of its locks where not said
/// otherwise.
pub trait Link: Send + Sync {
    /// Sends a frame out of a port; of a tunnel that can say so, as one of its own operation (OAM) where `is_oam`.
    fn send(&self, port: PortId, frame: Vec<u8>, is_oam: bool);
    /// How many packets a port has received. Called with the monitor locked: it must not call the monitor.
    fn received(&self, port: PortId) -> u64;
    /// Packets are forwarded otherwise from now on: by ports ([`Watched::is_up`]) or bonds ([`pipeline::Bond::state`]).
    fn changed(&self);
    /// What operators see has changed ([`Monitor::take_news`]).
    fn news(&self);
    /// A bridge's spanning tree has learned addresses forgotten.
    fn flush(&self, bridge: BridgeId, flush: Flush);
    /// The datapath of a bridge is to know the member of each part of a bond by this number, or to forget the bond where there
    /// are none.
    fn balance(&self, bridge: BridgeId, bond: u32, parts: &[Option<OfPort>]);
    /// The bytes that left by each part of such a bond since this was asked last. Called with the monitor locked: it must not
    /// call the monitor.
    fn balanced(&self, bond: u32) -> Vec<u64>;
    /// Addresses behind other ports of the bridge are reached by another member of a bond: other switches are to learn it.
    fn announce(&self, bridge: BridgeId, port: &str, bond: &pipeline::Bond);
}

/// What is watched at a port by itself.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The interface's name.
    pub name: String,
    /// Its address, from which frames are sent.
    pub mac: MacAddr,
    /// `None`: no such session.
    pub bfd: Option<bfd::Settings>,
    /// The same.
    pub cfm: Option<cfm::Settings>,
    /// The same.
    pub lldp: Option<lldp::Settings>,
}

/// A port in the sense of the database, whose members are joined.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Its name.
    pub name: String,
    /// `None`: members are joined without asking the neighbour.
    pub lacp: Option<lacp::Settings>,
    /// `None`: there is one member only.
    pub bond: Option<bond::Settings>,
    /// The members.
    pub members: BTreeMap<OfPort, JoinedMember>,
}

/// A member of [`Joined`].
#[derive(Clone, Debug)]
pub struct JoinedMember {
    /// The interface.
    pub interface: bond::MemberSettings,
    /// What link aggregation knows of it.
    pub lacp: lacp::MemberSettings,
}

/// The protocols of all ports.
pub struct Monitor {
    clock: Clock,
    /// None before the start, and again after the end: who is behind it holds the monitor, too.
    link: Mutex<Option<Arc<dyn Link>>>,
    inbox: Mutex<Inbox>,
    wake: Condvar,
    ports: Mutex<Ports>,
    has_news: AtomicBool,
    notes: Mutex<Vec<String>>,
    /// Held by who runs, so that frames are sent in order.
    turn: Mutex<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

/// What waits for the thread.
#[derive(Debug, Default)]
struct Inbox {
    frames: VecDeque<(PortId, Protocol, Vec<u8>)>,
    /// A port was changed: when to wake up is to be found out again.
    is_poked: bool,
    is_ending: bool,
}

/// Who is woken so much later than asked for stood still, or the whole machine did: nobody could be heard meanwhile.
const STILL: Duration = Duration::from_millis(20);

/// Has the calling thread run before others that want the processor, of this process and of others: it needs little of it,
/// and neighbours take what comes late for a failure.
fn go_first() {
    const GREATEST: i32 = -20;
    if let Err(error) = rustix::process::setpriority_process(None, GREATEST) {
        // Without the right, frames may be late when the machine is overloaded.
        log::debug!(target: "monitor", "no greater priority for the protocols ({})", base::error_text(&error.into()));
    }
}

impl Monitor {
    /// Without ports; nothing happens before [`Monitor::start`].
    pub fn new(clock: Clock) -> Arc<Monitor> {
        Arc::new(Monitor {
            clock,
            link: Mutex::default(),
            inbox: Mutex::default(),
            wake: Condvar::new(),
            ports: Mutex::default(),
            has_news: AtomicBool::new(false),
            notes: Mutex::default(),
            turn: Mutex::default(),
            thread: Mutex::default(),
        })
    }

    /// Starts the thread. To be called once.
    pub fn start(self: &Arc<Monitor>, link: Arc<dyn Link>) -> std::io::Result<()> {
        *lock(&self.link) = Some(link);
        let monitor = Arc::clone(self);
        let thread = std::thread::Builder::new().name("protocols".into()).spawn(move || {
            go_first();
            monitor.serve();
        })?;
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// Ends the thread; nothing happens afterwards.
    pub fn end(&self) {
        lock(&self.inbox).is_ending = true;
        self.wake.notify_all();
        if let Some(thread) = lock(&self.thread).take()
            && thread.join().is_err()
        {
            base::broken!("the thread of the protocols has panicked");
        }
        *lock(&self.link) = None;
    }

    fn link(&self) -> Option<Arc<dyn Link>> {
        lock(&self.link).clone()
    }

    /// Watches a port as `watch` says, from now on.
    pub fn watch(&self, id: PortId, watch: Watch) {
        let received = self.link().map_or(0, |link| link.received(id));
        let now = self.now();
        lock(&self.ports).watch(id, watch, received, now);
        self.poke();
    }

    /// Joins the members of a port of `bridge` as `joined` says, from now on. Returns how packets are shared where there are
    /// several.
    pub fn join(&self, bridge: BridgeId, joined: Joined) -> Option<Arc<pipeline::Bond>> {
        let now = self.now();
        let mut ports = lock(&self.ports);
        let (bond, has_changed, balancer) = ports.join(bridge, joined, now);
        drop(ports);
        self.tell(&Step { has_changed, ..Step::default() });
        self.forget_balancers(bridge, balancer);
        self.poke();
        bond
    }

    /// The members of a port of `bridge` are not joined any more.
    pub fn part(&self, bridge: BridgeId, name: &str) {
        let balancer = lock(&self.ports).part(bridge, name);
        self.forget_balancers(bridge, balancer);
        self.has_news.store(true, Ordering::Release);
    }

    /// Has a bridge, of this name, take part in a spanning tree as `settings` say, or not any more. Returns what its ports
    /// do.
    pub fn span(
        &self,
        bridge: BridgeId,
        name: &str,
        settings: Option<&spanning::Settings>,
    ) -> BTreeMap<OfPort, Arc<SpanningPort>> {
        let now = self.now();
        let (ports, step) = lock(&self.ports).span(bridge, name, settings, now);
        self.tell(&step);
        self.poke();
        ports
    }

    /// The link of a port that takes part in a spanning tree has come up or gone down.
    pub fn set_spanning_link(&self, id: PortId, has_link: bool) {
        let now = self.now();
        if lock(&self.ports).set_spanning_link(id, has_link, now) {
            self.poke();
        }
    }

    /// A bridge goes, with all its ports.
    pub fn leave(&self, bridge: BridgeId) {
        let balancers = lock(&self.ports).leave_bridge(bridge);
        self.forget_balancers(bridge, balancers);
        self.has_news.store(true, Ordering::Release);
    }

    fn forget_balancers(&self, bridge: BridgeId, balancers: impl IntoIterator<Item = u32>) {
        let Some(link) = self.link() else { return };
        balancers.into_iter().for_each(|bond| link.balance(bridge, bond, &[]));
    }

    /// A port's link has come up or gone down.
    pub fn set_link(&self, id: PortId, has_link: bool) {
        let now = self.now();
        if lock(&self.ports).set_link(id, has_link, now) {
            self.poke();
        }
    }

    /// What translation needs to know of a port; `None` where nothing is watched.
    pub fn watched(&self, id: PortId) -> Option<Arc<Watched>> {
        lock(&self.ports).by_id.get(&id).and_then(|port| port.watched.clone())
    }

    /// A port goes.
    pub fn forget(&self, id: PortId) {
        if lock(&self.ports).forget(id) {
            self.has_news.store(true, Ordering::Release);
        }
    }

    /// Takes a frame that a port received. Does not block; called by workers.
    pub fn take(&self, id: PortId, protocol: Protocol, frame: &[u8]) {
        let mut inbox = lock(&self.inbox);
        if inbox.frames.len() >= WAITING {
            OVERFLOW.count();
            return;
        }
        inbox.frames.push_back((id, protocol, frame.to_vec()));
        drop(inbox);
        self.wake.notify_one();
    }

    /// Whether what operators see has changed since this was asked last.
    pub fn take_news(&self) -> bool {
        self.has_news.swap(false, Ordering::AcqRel)
    }

    /// What is to be logged since this was asked last.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.notes))
    }

    /// Does what is to be done now.
    pub fn run(&self) {
        let Some(link) = self.link() else { return };
        let _turn = lock(&self.turn);
        for _ in 0..ROUNDS {
            let frames = std::mem::take(&mut lock(&self.inbox).frames);
            let mut step = lock(&self.ports).step(frames, &*link, self.now());
            self.tell(&step);
            let is_done = step.frames.is_empty() && step.balancers.is_empty();
            for (bridge, bond, parts) in step.balancers.drain(..) {
                link.balance(bridge, bond, &parts);
                // From now on packets may be left to it.
                lock(&self.ports).wake_now(bond);
            }
            for (port, frame, is_oam) in step.frames.drain(..) {
                link.send(port, frame, is_oam);
            }
            for (bridge, port, bond) in step.announcements.drain(..) {
                link.announce(bridge, &port, &bond);
            }
            // What was sent through a patch port has arrived by now.
            if is_done && lock(&self.inbox).frames.is_empty() {
                break;
            }
        }
    }

    fn tell(&self, step: &Step) {
        if let Some(link) = self.link() {
            step.flushes.iter().for_each(|(bridge, flush)| link.flush(*bridge, *flush));
            if step.has_changed || !step.flushes.is_empty() {
                link.changed();
            }
        }
        lock(&self.notes).extend_from_slice(&step.notes);
        if step.has_changed || step.has_news {
            self.has_news.store(true, Ordering::Release);
            if let Some(link) = self.link() {
                link.news();
            }
        }
    }

    fn serve(&self) {
        loop {
            self.run();
            let next = lock(&self.ports).wakes_at();
            let mut inbox = lock(&self.inbox);
            let sleep = next.map_or(LONGEST_SLEEP, |at| {
                let ms = at.saturating_sub(self.now()).max(0);
                Duration::from_millis(ms.unsigned_abs()).min(LONGEST_SLEEP)
            });
            let begun = Instant::now();
            if inbox.frames.is_empty() && !inbox.is_poked && !inbox.is_ending && !sleep.is_zero() {
                let waited = self.wake.wait_timeout(inbox, sleep);
                inbox = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            inbox.is_poked = false;
            if inbox.is_ending {
                return;
            }
            drop(inbox);
            let late = begun.elapsed().saturating_sub(sleep);
            if late >= STILL {
                lock(&self.ports).stood_still(i64::try_from(late.as_millis()).unwrap_or(i64::MAX));
            }
        }
    }

    fn poke(&self) {
        lock(&self.inbox).is_poked = true;
        self.wake.notify_one();
    }

    /// The time, in milliseconds.
    fn now(&self) -> i64 {
        i64::try_from(self.clock.now().as_millis()).unwrap_or(i64::MAX)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
