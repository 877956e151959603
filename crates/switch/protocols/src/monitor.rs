//! The thread that runs the protocols of all ports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use base::{Clock, MacAddr, OfPort};
use pipeline::{BridgeId, Protocol, Watched};

use crate::bfd;

/// How many frames may wait for the thread; what comes beyond that is dropped and counted.
const WAITING: usize = 4096;
/// How often at most one run takes what its own frames have caused.
const ROUNDS: usize = 16;
/// The thread looks at the time at least this often: the clock may have been set.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// The ports from which packets of sessions come (RFC 5881, section 4).
const SOURCE_PORTS: std::ops::Range<u16> = 49_152..65_535;

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
    /// Sends a frame out of a port.
    fn send(&self, port: PortId, frame: Vec<u8>);
    /// How many packets a port has received. Called with the monitor locked: it must not call the monitor.
    fn received(&self, port: PortId) -> u64;
    /// A port may, or may not, be forwarded through any more ([`Watched::is_up`]).
    fn changed(&self);
}

/// What the protocols are to do at a port.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The interface's name.
    pub name: String,
    /// Its address, from which frames are sent.
    pub mac: MacAddr,
    /// `None`: no such session.
    pub bfd: Option<bfd::Settings>,
}

/// The protocols of all ports.
pub struct Monitor {
    clock: Clock,
    link: OnceLock<Arc<dyn Link>>,
    inbox: Mutex<Inbox>,
    wake: Condvar,
    ports: Mutex<Ports>,
    has_news: AtomicBool,
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

/// A port with its protocols.
#[derive(Debug)]
struct Port {
    name: String,
    mac: MacAddr,
    watched: Arc<Watched>,
    bfd: bfd::Session,
    /// As it is in [`Ports::wakes`].
    wakes_at: i64,
}

#[derive(Debug, Default)]
struct Ports {
    by_id: BTreeMap<PortId, Port>,
    /// When each is to be run.
    wakes: BTreeSet<(i64, PortId)>,
    /// How many sessions there ever were.
    sessions: u16,
}

/// What came of a look at the ports.
#[derive(Default)]
struct Step {
    frames: Vec<(PortId, Vec<u8>)>,
    /// A port may, or may not, be forwarded through any more.
    has_changed: bool,
    has_news: bool,
}

impl Monitor {
    /// Without ports; nothing happens before [`Monitor::start`].
    pub fn new(clock: Clock) -> Arc<Monitor> {
        Arc::new(Monitor {
            clock,
            link: OnceLock::new(),
            inbox: Mutex::default(),
            wake: Condvar::new(),
            ports: Mutex::default(),
            has_news: AtomicBool::new(false),
            thread: Mutex::default(),
        })
    }

    /// Starts the thread. To be called once.
    pub fn start(self: &Arc<Monitor>, link: Arc<dyn Link>) -> std::io::Result<()> {
        if self.link.set(link).is_err() {
            base::broken!("the protocols were started twice");
            return Ok(());
        }
        let monitor = Arc::clone(self);
        let thread = std::thread::Builder::new().name("protocols".into()).spawn(move || monitor.serve())?;
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// Ends the thread.
    pub fn end(&self) {
        lock(&self.inbox).is_ending = true;
        self.wake.notify_all();
        if let Some(thread) = lock(&self.thread).take()
            && thread.join().is_err()
        {
            base::broken!("the thread of the protocols has panicked");
        }
    }

    /// Has the protocols do at a port what `watch` says, from now on. Returns what translation needs to know of it; `None`
    /// where nothing is watched.
    pub fn watch(&self, id: PortId, watch: Watch) -> Option<Arc<Watched>> {
        let Some(settings) = watch.bfd else {
            self.forget(id);
            return None;
        };
        let received = self.link.get().map_or(0, |link| link.received(id));
        let now = self.now();
        let mut ports = lock(&self.ports);
        let frames = settings.frames();
        if let Some(port) = ports.by_id.get_mut(&id) {
            port.name = watch.name;
            port.mac = watch.mac;
            port.bfd.configure(settings, received, now);
            if port.watched.bfd != frames {
                port.watched = Arc::new(Watched::new(frames, port.watched.is_up()));
            }
        } else {
            let identity = ports.identity();
            let bfd = bfd::Session::new(&watch.name, settings, identity, received, now);
            let watched = Arc::new(Watched::new(frames, false));
            let port = Port { name: watch.name, mac: watch.mac, watched, bfd, wakes_at: now };
            ports.by_id.insert(id, port);
            ports.wakes.insert((now, id));
        }
        ports.reschedule(id);
        let watched = ports.by_id.get(&id).map(|port| Arc::clone(&port.watched));
        drop(ports);
        self.poke();
        watched
    }

    /// Ends what is done at a port.
    pub fn forget(&self, id: PortId) {
        let mut ports = lock(&self.ports);
        if let Some(port) = ports.by_id.remove(&id) {
            ports.wakes.remove(&(port.wakes_at, id));
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

    /// What `Interface.bfd_status` shows; empty where there is no session.
    pub fn bfd_status(&self, id: PortId) -> Vec<(String, String)> {
        let now = self.now();
        let mut ports = lock(&self.ports);
        ports.by_id.get_mut(&id).map(|port| port.bfd.status(now)).unwrap_or_default()
    }

    /// The text of `bfd/show`; `None` where the interface has no session.
    pub fn show_bfd(&self, name: Option<&str>) -> Option<String> {
        let now = self.now();
        let mut ports = lock(&self.ports);
        let Some(name) = name else {
            let shown = ports.by_id.values_mut();
            return Some(
                shown.map(|port| format!("---- {} ----\n{}", port.name, port.bfd.details(now))).collect(),
            );
        };
        ports.by_id.values_mut().find(|port| port.name == name).map(|port| port.bfd.details(now))
    }

    /// Has a session, or all, forward whatever its state is, or follow its state. False where the interface has none.
    pub fn force_bfd(&self, name: Option<&str>, forwarding: Option<bool>) -> bool {
        let now = self.now();
        let mut ports = lock(&self.ports);
        let mut is_found = name.is_none();
        let mut step = Step::default();
        for port in ports.by_id.values_mut().filter(|port| name.is_none_or(|name| port.name == name)) {
            is_found = true;
            port.bfd.force(forwarding);
            step.judge(port, now);
        }
        drop(ports);
        self.tell(&step);
        is_found
    }

    /// Does what is to be done now.
    pub fn run(&self) {
        let Some(link) = self.link.get() else { return };
        for _ in 0..ROUNDS {
            let frames = std::mem::take(&mut lock(&self.inbox).frames);
            let step = lock(&self.ports).step(frames, &**link, self.now());
            self.tell(&step);
            let is_done = step.frames.is_empty();
            for (port, frame) in step.frames {
                link.send(port, frame);
            }
            // What was sent through a patch port has arrived by now.
            if is_done && lock(&self.inbox).frames.is_empty() {
                break;
            }
        }
    }

    fn tell(&self, step: &Step) {
        if step.has_changed
            && let Some(link) = self.link.get()
        {
            link.changed();
        }
        if step.has_changed || step.has_news {
            self.has_news.store(true, Ordering::Release);
        }
    }

    fn serve(&self) {
        loop {
            self.run();
            let next = lock(&self.ports).wakes.first().map(|(at, _)| *at);
            let mut inbox = lock(&self.inbox);
            let sleep = next.map_or(LONGEST_SLEEP, |at| {
                let ms = at.saturating_sub(self.now()).max(0);
                Duration::from_millis(ms.unsigned_abs()).min(LONGEST_SLEEP)
            });
            if inbox.frames.is_empty() && !inbox.is_poked && !inbox.is_ending && !sleep.is_zero() {
                let waited = self.wake.wait_timeout(inbox, sleep);
                inbox = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            inbox.is_poked = false;
            if inbox.is_ending {
                return;
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

impl Ports {
    /// Who a new session is.
    fn identity(&mut self) -> bfd::Identity {
        let is_taken = |number: u32| self.by_id.values().any(|port| port.bfd.discriminator() == number);
        let mut discriminator = random();
        while discriminator == 0 || is_taken(discriminator) {
            discriminator = random();
        }
        let source_port = SOURCE_PORTS.start + self.sessions % (SOURCE_PORTS.end - SOURCE_PORTS.start);
        self.sessions = self.sessions.wrapping_add(1);
        bfd::Identity { discriminator, source_port }
    }

    /// Takes frames, and runs the ports whose time has come.
    fn step(&mut self, frames: VecDeque<(PortId, Protocol, Vec<u8>)>, link: &dyn Link, now: i64) -> Step {
        let mut step = Step::default();
        for (id, protocol, frame) in frames {
            let Some(port) = self.by_id.get_mut(&id) else { continue };
            match protocol {
                Protocol::Bfd => port.bfd.receive(&frame, || link.received(id), now),
            }
            step.judge(port, now);
            self.reschedule(id);
        }
        while let Some(&(at, id)) = self.wakes.first() {
            if at > now {
                break;
            }
            let Some(port) = self.by_id.get_mut(&id) else {
                base::broken!("a port that is not watched is woken");
                self.wakes.pop_first();
                continue;
            };
            port.bfd.run(|| link.received(id), now);
            if let Some(frame) = port.bfd.frame(port.mac, now) {
                step.frames.push((id, frame));
            }
            step.judge(port, now);
            self.reschedule_after(id, now);
        }
        step
    }

    fn reschedule(&mut self, id: PortId) {
        self.reschedule_after(id, i64::MIN);
    }

    /// Has the port woken when it asks for that, and later than `now`.
    fn reschedule_after(&mut self, id: PortId, now: i64) {
        let Some(port) = self.by_id.get_mut(&id) else { return };
        let at = port.bfd.wakes_at().max(now.saturating_add(1));
        self.wakes.remove(&(port.wakes_at, id));
        port.wakes_at = at;
        self.wakes.insert((at, id));
    }
}

impl Step {
    /// Notes what has changed at a port, and lets translation know.
    fn judge(&mut self, port: &mut Port, now: i64) {
        self.has_changed |= port.watched.set_up(port.bfd.is_forwarding(now));
        self.has_news |= port.bfd.take_news();
    }
}

/// A number that nobody can guess easily.
fn random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8) as u32
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
