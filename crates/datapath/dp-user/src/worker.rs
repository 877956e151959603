//! A worker: the thread that takes packets from ports.
//!
//! Ports have their turns in a round, each as much time as any other
//! ([`Share`]), so a port that floods, be it with packets that all miss, takes
//! its own time only. Ports that were quiet are asked after for new packets
//! every [`ASK_INTERVAL`], however busy the others are. What a packet waits
//! for its turn is thereby bounded: one round, and that interval.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::{DpPort, Timestamp};
use dp::{DropReason, Packet};
use netlink::Monitor;
use rustix::event::{Timespec, epoll};

use crate::context::Context;
use crate::ports::Port;
use crate::process::Run;
use crate::share::Share;
use crate::shared::{Part, Shared};

/// How long a port is polled after its last packet.
const LINGER: Duration = Duration::from_micros(20);
/// While some ports have packets, the others are asked after this often.
const ASK_INTERVAL: Duration = Duration::from_micros(100);

/// Epoll data that is no index of a port.
const WAKE: u64 = u64::MAX;
const LINKS: u64 = u64::MAX - 1;

struct Source {
    port: Arc<Port>,
    is_active: bool,
    used: Timestamp,
    share: Share,
    /// Which of its rings is being waited for.
    ring: u32,
}

/// Keeps this thread on one processor, of those it may use.
///
/// A worker that wanders leaves packets in the queues of the processor that it
/// left, and those behind them overtake: TCP then takes them for lost.
fn pin(index: usize) {
    let Ok(allowed) = rustix::thread::sched_getaffinity(None) else { return };
    let processors: Vec<usize> =
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect();
    if processors.len() < 2 {
        return;
    }
    if let Some(&cpu) = processors.get(index % processors.len()) {
        let mut one = rustix::thread::CpuSet::new();
        one.set(cpu);
        if let Err(error) = rustix::thread::sched_setaffinity(None, &one) {
            log::debug!(target: "dpif_netdev", "worker {index}: could not stay on processor {cpu}: {}", base::error_text(&error.into()));
        }
    }
}

/// The thread's whole life.
pub(crate) fn run(shared: &Shared, index: usize) {
    let Some(part) = shared.workers.get(index) else {
        return base::broken!("worker {index} was started and has no part");
    };
    pin(index);
    // One worker listens for changes of links, for all.
    let monitor = (index == 0).then(Monitor::open).and_then(|opened| match opened {
        Ok(monitor) => Some(monitor),
        Err(error) => {
            log::error!(target: "dpif_netdev", "changes of links will not be noticed: {}", base::error_text(&error));
            None
        }
    });
    let mut worker = Worker {
        shared,
        part,
        index,
        monitor,
        context: Context::new(0x9e37_79b9_7f4a_7c15 ^ index as u64),
        sources: Vec::new(),
        served: HashSet::new(),
        active: Vec::new(),
        epoch: u64::MAX,
        poll: None,
        asked: Timestamp::ZERO,
        batch: Vec::new(),
    };
    while !shared.is_stopping.load(Ordering::Acquire) {
        // A mistake costs the batch at hand, not the switch.
        let turn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.turn()));
        if turn.is_err() {
            log::error!(target: "dpif_netdev", "worker {index}: internal error, packets were lost");
            // The packet at hand is in neither.
            let lost = worker.batch.len() + worker.context.pending() + 1;
            DropReason::Internal.count(lost as u64);
            worker.batch.clear();
            worker.context = Context::new(index as u64);
        }
    }
}

struct Worker<'a> {
    shared: &'a Shared,
    part: &'a Arc<Part>,
    index: usize,
    monitor: Option<Monitor>,
    context: Context,
    /// By the number that epoll knows them by.
    sources: Vec<Option<Source>>,
    /// The numbers of the ports among them.
    served: HashSet<DpPort>,
    /// Those that had packets lately.
    active: Vec<usize>,
    epoch: u64,
    poll: Option<OwnedFd>,
    /// When all ports were asked after last.
    asked: Timestamp,
    batch: Vec<Packet>,
}

impl Worker<'_> {
    fn turn(&mut self) {
        let epoch = self.part.receiving.count();
        if self.epoch != epoch {
            self.epoch = epoch;
            if let Err(error) = self.take_ports() {
                log::error!(target: "dpif_netdev", "worker {}: could not set up polling: {}", self.index, base::error_text(&error));
            }
        }
        let now = self.receive();
        if self.active.is_empty() {
            self.wait(None);
        } else if now.since(self.asked) >= ASK_INTERVAL {
            self.asked = now;
            self.wait(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        }
    }

    /// Takes over the ports that have come, and lets go of those that have gone. The others are not disturbed.
    fn take_ports(&mut self) -> io::Result<()> {
        let ports = self.shared.ports.load_full();
        let poll = match &self.poll {
            Some(poll) => poll,
            None => self.poll.insert(self.new_poll()?),
        };
        let is_there = |source: &Source| {
            ports.get(source.port.number).is_some_and(|port| Arc::ptr_eq(port, &source.port))
        };
        for place in &mut self.sources {
            let Some(source) = place.take_if(|source| !is_there(source)) else { continue };
            self.served.remove(&source.port.number);
            if let Some(fd) = source.port.device.fd() {
                // It is not there any more when the device has failed.
                let _ = epoll::delete(poll, fd);
            }
        }
        self.active.retain(|&index| matches!(self.sources.get(index), Some(Some(_))));
        let mut free: Vec<usize> =
            (0..self.sources.len()).filter(|&index| matches!(self.sources.get(index), Some(None))).collect();
        let count = self.shared.workers.len().max(1);
        for port in ports.iter().filter(|port| port.number.0 as usize % count == self.index) {
            // What an internal port has received another process takes, while one forwards.
            let waits = port.device.as_tap().is_some() && self.shared.is_deaf();
            let is_new = !waits && !self.served.contains(&port.number);
            let Some(fd) = port.device.fd().filter(|_| is_new) else { continue };
            let index = free.pop().unwrap_or_else(|| {
                self.sources.push(None);
                self.sources.len() - 1
            });
            epoll::add(poll, fd, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN)?;
            let source = Source {
                port: port.clone(),
                is_active: true,
                used: Timestamp::ZERO,
                share: Share::default(),
                ring: 0,
            };
            if let Some(place) = self.sources.get_mut(index) {
                *place = Some(source);
            }
            self.served.insert(port.number);
            self.active.push(index);
        }
        self.watch_rings();
        Ok(())
    }

    /// Waits for the rings that have come, too. Those that went took their place among what is waited for along.
    fn watch_rings(&mut self) {
        let Some(poll) = &self.poll else { return };
        for (index, source) in self.sources.iter_mut().enumerate() {
            let Some(source) = source else { continue };
            let Some(device) = source.port.device.as_packet() else { continue };
            device.watch_ring(&mut source.ring, |fd| {
                let data = epoll::EventData::new_u64(index as u64);
                if let Err(error) = epoll::add(poll, fd, data, epoll::EventFlags::IN) {
                    log::error!(target: "dpif_netdev", "{}: no wait for its ring: {}", device.name(), base::error_text(&error.into()));
                }
            });
        }
    }

    fn new_poll(&self) -> io::Result<OwnedFd> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&poll, &self.part.waker.0, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        if let Some(monitor) = &self.monitor {
            epoll::add(&poll, monitor.as_fd(), epoll::EventData::new_u64(LINKS), epoll::EventFlags::IN)?;
        }
        Ok(poll)
    }

    /// A turn for each active port; the time when the last one ended.
    fn receive(&mut self) -> Timestamp {
        let active = self.active.len();
        let mut now = self.shared.clock.now();
        for &index in &self.active {
            let Some(Some(source)) = self.sources.get_mut(index) else { continue };
            let limit = source.share.packets(active);
            let received = source.port.device.receive(&mut self.context.pool, &mut self.batch, limit);
            match received {
                Ok(0) => {
                    // A stopped clock must not keep the worker from sleep.
                    source.is_active = now.since(source.used) < LINGER && !self.shared.clock.is_stopped();
                }
                Ok(count) => {
                    let began = now;
                    source.used = now;
                    if source.port.device.as_packet().is_some_and(|device| device.begins_to_ask(count)) {
                        self.shared.tuning.wake();
                    }
                    for packet in &mut self.batch {
                        packet.metadata.in_port = source.port.number;
                    }
                    let mut run = Run::new(self.shared, self.part, &mut self.context);
                    run.batch(&mut self.batch);
                    run.flush();
                    now = self.shared.clock.now();
                    source.share.used(count, now.since(began));
                }
                Err(error) => {
                    log::debug!(target: "dpif_netdev", "error receiving data from {}: {}", source.port.device.name(), base::error_text(&error));
                    source.is_active = false;
                }
            }
        }
        let sources = &self.sources;
        self.active.retain(|&index| matches!(sources.get(index), Some(Some(source)) if source.is_active));
        now
    }

    /// Waits for packets or a call, at most for `limit`, and marks the ports that have packets.
    fn wait(&mut self, limit: Option<&Timespec>) {
        let Some(poll) = &self.poll else { return };
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 64];
        let Ok(count) = epoll::wait(poll, &mut events[..], limit) else { return };
        let now = self.shared.clock.now();
        for event in events.iter().take(count) {
            match event.data.u64() {
                WAKE => self.part.waker.clear(),
                LINKS => {
                    if let Some(monitor) = &mut self.monitor {
                        self.shared.links_changed(&monitor.changes());
                    }
                }
                index => {
                    let flags = event.flags;
                    if let Some(Some(source)) = self.sources.get_mut(index as usize) {
                        let has_failed = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
                        if has_failed
                            && !source.port.device.clear_error()
                            && let Some(fd) = source.port.device.fd()
                        {
                            // Gone: it would be ready for ever.
                            let _ = epoll::delete(poll, fd);
                            continue;
                        }
                        if !std::mem::replace(&mut source.is_active, true) {
                            self.active.push(index as usize);
                        }
                        source.used = now;
                    }
                }
            }
        }
    }
}
