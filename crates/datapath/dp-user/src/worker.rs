//! A worker: the thread that takes packets from ports.
//!
//! Ports have their turns in a round, each as much time as any other
//! ([`Share`]), so a port that floods, be it with packets that all miss, takes
//! its own time only. Ports that were quiet are asked after for new packets
//! every [`ASK_INTERVAL`], however busy the others are. What a packet waits
//! for its turn is thereby bounded: one round, and that interval.
//!
//! A worker has the queues in whose seats it sits ([`crate::seat`]). It sits down and stands up between two rounds, when all
//! that it took has been sent.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::Timestamp;
use dp::{DropReason, Packet};
use rustix::event::{Timespec, epoll};

use crate::context::Context;
use crate::pace::Pace;
use crate::part::Part;
use crate::ports::{Port, Queue};
use crate::process::Run;
use crate::seat::Core;
use crate::share::Share;
use crate::shared::Shared;
use crate::{processors, softirq};

/// How long a port is polled after its last packet.
const LINGER: Duration = Duration::from_micros(20);
/// The same when the worker slept for less than this the last time: to wake it costs more than to poll.
const LONG_LINGER: Duration = Duration::from_micros(100);
/// While some ports have packets, the others are asked after this often.
const ASK_INTERVAL: Duration = Duration::from_micros(100);

/// After so many packets in a row nobody waits for more of a port, which costs whoever sends to it a wake for each.
const STREAM: usize = 256;

/// Epoll data that is no index of a queue.
const WAKE: u64 = u64::MAX;

/// A queue that the worker has.
struct Source {
    port: Arc<Port>,
    queue: usize,
    is_active: bool,
    used: Timestamp,
    share: Share,
    pace: Pace,
    /// Which of its rings is being waited for.
    ring: u32,
    /// Packets since it had none for a while.
    streak: usize,
    /// Whether it is waited for, too, not only asked for packets.
    is_watched: bool,
}

impl Source {
    fn seat(&self) -> Option<&Queue> {
        self.port.queues.get(self.queue)
    }

    /// Has the kernel forward its flows where that is better; `index` is the source's own.
    #[inline]
    fn hand_over(&self, index: usize, run: &mut Run<'_>, now: Timestamp) {
        let are_crowded = run.shared.are_crowded.load(Ordering::Relaxed);
        if self.pace.is_for_kernel(are_crowded) {
            run.hand_over(index, are_crowded);
        }
        if are_crowded && run.context.settling.is_stuck(index, now) {
            self.empty(index, run, now);
        }
    }

    /// Drops what it has, so that the kernel can take its flows over.
    #[cold]
    fn empty(&self, index: usize, run: &mut Run<'_>, now: Timestamp) {
        let Some(device) = self.port.device.as_packet() else { return };
        log::debug!(
            target: "dpif_netdev",
            "{}: its queue does not get empty, and is emptied: the kernel can forward what comes",
            device.name()
        );
        let Context { settling, pool, .. } = &mut *run.context;
        settling.empty(index, now, &run.shared.shortcuts, || device.discard(self.queue, pool));
    }

    /// Has `poll` no longer wait for it: it is asked again and again anyway, until it has been quiet for a while.
    fn unwatch(&mut self, poll: Option<&OwnedFd>) {
        self.is_watched = false;
        self.port.device.each_fd(self.queue, |fd| {
            // It is not there any more when the device has failed.
            let _ = poll.map(|poll| epoll::delete(poll, fd));
        });
    }

    /// Has `poll` wait for it again, from packets on that are there already.
    fn watch(&mut self, index: usize, poll: Option<&OwnedFd>) {
        self.is_watched = true;
        if let Some(poll) = poll {
            self.port.device.each_fd(self.queue, |fd| add(poll, fd, index, self.port.device.name()));
        }
    }
}

/// Has `poll` wait for a socket of the source of this number.
fn add(poll: &OwnedFd, fd: BorrowedFd<'_>, index: usize, name: &str) {
    match epoll::add(poll, fd, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN) {
        // One that came meanwhile is there already.
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => log::error!(
            target: "dpif_netdev",
            "{name}: nobody waits for its packets: {}",
            base::error_text(&error.into())
        ),
    }
}

/// The thread's whole life.
pub(crate) fn run(shared: &Shared, part: &Part) {
    part.take_thread();
    let core = part.core();
    let mut worker = Worker {
        shared,
        part,
        place: None,
        context: Context::new(0x9e37_79b9_7f4a_7c15 ^ u64::from(core)),
        sources: Vec::new(),
        active: Vec::new(),
        epoch: u64::MAX,
        has_polled: false,
        linger: LINGER,
        poll: None,
        asked: Timestamp::ZERO,
        began: shared.clock.now(),
        slept: Duration::ZERO,
        was_busy: false,
        batch: Vec::new(),
    };
    while part.is_active() && !shared.is_stopping.load(Ordering::Acquire) {
        // A mistake costs the batch at hand, not the switch.
        let turn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.turn()));
        if turn.is_err() {
            log::error!(target: "dpif_netdev", "worker {core}: internal error, packets were lost");
            // The packet at hand is in neither.
            let lost = worker.batch.len() + worker.context.pending() + 1;
            DropReason::Internal.count(lost as u64);
            worker.batch.clear();
            worker.context = Context::new(u64::from(core));
        }
    }
    worker.leave(|_| true);
}

struct Worker<'a> {
    shared: &'a Shared,
    part: &'a Part,
    /// The processor that it is kept on.
    place: Option<Core>,
    context: Context,
    /// By the number that epoll knows them by.
    sources: Vec<Option<Source>>,
    /// Those that had packets lately.
    active: Vec<usize>,
    epoch: u64,
    /// It has a port that is asked for packets all the time.
    has_polled: bool,
    /// How long it polls a port after its last packet.
    linger: Duration,
    poll: Option<OwnedFd>,
    /// When all ports were asked after last.
    asked: Timestamp,
    /// When the last turn began, how long it slept, and whether there were packets.
    began: Timestamp,
    slept: Duration,
    was_busy: bool,
    batch: Vec<Packet>,
}

impl Worker<'_> {
    fn turn(&mut self) {
        let epoch = self.part.receiving.count();
        if self.epoch != epoch {
            self.epoch = epoch;
            self.go();
            if let Err(error) = self.take_queues() {
                log::error!(target: "dpif_netdev", "worker {}: could not set up polling: {}", self.part.core(), base::error_text(&error));
            }
        }
        let now = self.receive();
        if self.active.is_empty() {
            if self.polls() {
                self.wait(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
                std::thread::yield_now();
            } else {
                self.slept = self.wait(None).since(now);
                self.linger = if self.slept < LONG_LINGER { LONG_LINGER } else { LINGER };
            }
        } else if now.since(self.asked) >= ASK_INTERVAL {
            self.asked = now;
            self.wait(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
            if !self.was_busy {
                // It polls in vain. Others that want this processor shall not wait for the end of its turn there.
                std::thread::yield_now();
            }
        }
    }

    /// Whether it never sleeps.
    fn polls(&self) -> bool {
        self.part.max_sleep_us().map_or(self.has_polled, |limit| limit == 0)
    }

    /// Goes to the processor where it is to be, and stays there.
    ///
    /// A worker that wandered by itself would leave frames in the queues of the processor that it left, and those behind them
    /// would overtake: TCP then takes them for lost.
    fn go(&mut self) {
        let place = self.part.place();
        let are_real = self.shared.config.processors.as_ref().is_some_and(|processors| processors.are_real());
        if self.place == Some(place) || !are_real {
            return;
        }
        if self.place.is_some() {
            softirq::wait_for_sent();
        }
        if let Err(error) = processors::stay_on(place) {
            log::debug!(target: "dpif_netdev", "worker {}: could not stay on processor {place}: {}", self.part.core(), base::error_text(&error));
        }
        self.place = Some(place);
    }

    /// Takes over the queues that it is wanted for and that are free, and lets go of the others. Those that stay are not
    /// disturbed.
    fn take_queues(&mut self) -> io::Result<()> {
        let core = self.part.core();
        let ports = self.shared.ports.load_full();
        self.leave(|source| {
            let is_there = ports.get(source.port.number).is_some_and(|port| Arc::ptr_eq(port, &source.port));
            !(is_there && source.seat().is_some_and(|queue| queue.seat.keeps(core)))
        });
        let poll = match &self.poll {
            Some(poll) => poll,
            None => self.poll.insert(self.new_poll()?),
        };
        let mut free: Vec<usize> =
            (0..self.sources.len()).filter(|&index| matches!(self.sources.get(index), Some(None))).collect();
        let mut result = Ok(());
        for port in ports.iter() {
            // What an internal port has received another process takes, while one forwards.
            if port.device.as_tap().is_some() && self.shared.is_deaf() {
                continue;
            }
            for (number, queue) in
                port.queues.iter().enumerate().filter(|(_, queue)| queue.seat.sit_down(core))
            {
                let index = free.pop().unwrap_or_else(|| {
                    self.sources.push(None);
                    self.sources.len() - 1
                });
                let data = epoll::EventData::new_u64(index as u64);
                let added =
                    port.device.fd(number).map(|fd| epoll::add(poll, fd, data, epoll::EventFlags::IN));
                if let Some(Err(error)) = added {
                    queue.seat.stand_up(core);
                    free.push(index);
                    result = Err(error.into());
                    continue;
                }
                let source = Source {
                    port: port.clone(),
                    queue: number,
                    is_active: true,
                    used: Timestamp::ZERO,
                    pace: Pace::default(),
                    share: Share::default(),
                    ring: 0,
                    streak: 0,
                    is_watched: true,
                };
                if let Some(place) = self.sources.get_mut(index) {
                    *place = Some(source);
                }
                self.active.push(index);
            }
        }
        self.has_polled = self.sources.iter().flatten().any(|source| source.port.device.is_polled());
        self.watch_rings();
        result
    }

    /// Lets go of queues, which others may have from then on.
    fn leave(&mut self, leaves: impl Fn(&Source) -> bool) {
        let left: Vec<Source> =
            self.sources.iter_mut().filter_map(|place| place.take_if(|source| leaves(source))).collect();
        if left.is_empty() {
            return;
        }
        self.active.retain(|&index| matches!(self.sources.get(index), Some(Some(_))));
        // Flows that come by these queues stay with workers until another one hands them over.
        self.context.settling.keep(|index| matches!(self.sources.get(index), Some(Some(_))));
        for source in &left {
            source.port.device.each_fd(source.queue, |fd| {
                // It is not there any more when the device has failed.
                let _ = self.poll.as_ref().map(|poll| epoll::delete(poll, fd));
            });
        }
        // What was sent is to arrive before what the next one sends, perhaps on another processor.
        let is_real = |source: &Source| source.port.device.as_dummy().is_none();
        let is_awaited = |source: &Source| {
            source.seat().and_then(|queue| queue.seat.wanted()).is_some_and(|core| core != self.part.core())
        };
        if left.iter().any(|source| is_real(source) && is_awaited(source)) {
            softirq::wait_for_sent();
        }
        for source in &left {
            let next = source.seat().and_then(|queue| queue.seat.stand_up(self.part.core()));
            if let Some(next) = next {
                self.shared.call_worker(next);
            }
        }
    }

    /// Waits for the rings that have come, too. Those that went took their place among what is waited for along.
    fn watch_rings(&mut self) {
        let Some(poll) = &self.poll else { return };
        for (index, source) in self.sources.iter_mut().enumerate() {
            let Some(source) = source.as_mut().filter(|source| source.is_watched) else { continue };
            let Some(device) = source.port.device.as_packet() else { continue };
            device.watch_ring(source.queue, &mut source.ring, |fd| add(poll, fd, index, device.name()));
        }
    }

    fn new_poll(&self) -> io::Result<OwnedFd> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&poll, &self.part.waker.0, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        Ok(poll)
    }

    /// Counts the turn that has ended, as the next one begins.
    fn account(&mut self, now: Timestamp) {
        let elapsed = now.since(self.began).saturating_sub(self.slept).as_nanos() as u64;
        let counters = &self.part.counters;
        let (iterations, time) = if self.was_busy {
            (&counters.busy_iterations, &counters.busy_ns)
        } else {
            (&counters.idle_iterations, &counters.idle_ns)
        };
        iterations.add(1);
        time.add(elapsed);
        if !self.slept.is_zero() {
            counters.sleeps.add(1);
            counters.sleep_ns.add(self.slept.as_nanos() as u64);
        }
        (self.began, self.slept, self.was_busy) = (now, Duration::ZERO, false);
    }

    /// A turn for each active port; the time when the last one ended.
    fn receive(&mut self) -> Timestamp {
        let active = self.active.len();
        let polls = self.polls();
        let mut now = self.shared.clock.now();
        self.account(now);
        for &index in &self.active {
            let Some(Some(source)) = self.sources.get_mut(index) else { continue };
            let limit = source.share.packets(active);
            let received =
                source.port.device.receive(source.queue, &mut self.context.pool, &mut self.batch, limit);
            match received {
                Ok(0) => {
                    self.context.settling.drained(index, &self.shared.shortcuts);
                    // A stopped clock must not keep the worker from sleep.
                    let lingers = now.since(source.used) < self.linger && !self.shared.clock.is_stopped();
                    let is_polled = polls && source.port.device.is_polled();
                    source.is_active = lingers || is_polled;
                    if is_polled && source.is_watched {
                        source.unwatch(self.poll.as_ref());
                    }
                }
                Ok(count) => {
                    let began = now;
                    source.used = now;
                    source.streak += count;
                    if source.is_watched && source.streak >= STREAM {
                        source.unwatch(self.poll.as_ref());
                    }
                    if source.port.device.as_packet().is_some_and(|device| device.begins_to_ask(count)) {
                        self.shared.tuning.wake();
                    }
                    let bytes = self.batch.iter().map(|packet| packet.len() as u64).sum();
                    source.pace.count(count as u64, bytes, count == limit, now);
                    source.port.device.police_received(&mut self.batch, &mut self.context.pool, now);
                    for packet in &mut self.batch {
                        packet.metadata.in_port = source.port.number;
                    }
                    let mut run = Run::new(self.shared, self.part, &mut self.context);
                    run.batch(&mut self.batch);
                    run.flush();
                    if count < limit {
                        run.context.settling.drained(index, &self.shared.shortcuts);
                    }
                    source.hand_over(index, &mut run, now);
                    now = self.shared.clock.now();
                    let elapsed = now.since(began);
                    source.share.used(count, elapsed);
                    self.was_busy = true;
                    self.part.counters.received.add(count as u64);
                    if let Some(queue) = source.seat() {
                        queue.busy.add(elapsed.as_nanos() as u64);
                    }
                    if let Some(dummy) = source.port.device.as_dummy() {
                        dummy.finish(source.queue, count);
                    }
                }
                Err(error) => {
                    log::debug!(target: "dpif_netdev", "error receiving data from {}: {}", source.port.device.name(), base::error_text(&error));
                    source.is_active = false;
                }
            }
        }
        let (sources, poll) = (&mut self.sources, self.poll.as_ref());
        self.active.retain(|&index| {
            let Some(Some(source)) = sources.get_mut(index) else { return false };
            if !source.is_active {
                source.streak = 0;
                if !source.is_watched {
                    source.watch(index, poll);
                }
            }
            source.is_active
        });
        now
    }

    /// Waits for packets or a call, at most for `limit`, and marks the ports that have packets; the time then.
    fn wait(&mut self, limit: Option<&Timespec>) -> Timestamp {
        let Some(poll) = &self.poll else { return self.shared.clock.now() };
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 64];
        let count = epoll::wait(poll, &mut events[..], limit).unwrap_or(0);
        let now = self.shared.clock.now();
        for event in events.iter().take(count) {
            match event.data.u64() {
                WAKE => self.part.waker.clear(),
                index => {
                    let flags = event.flags;
                    if let Some(Some(source)) = self.sources.get_mut(index as usize) {
                        let has_failed = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
                        if has_failed
                            && !source.port.device.clear_error()
                            && let Some(fd) = source.port.device.fd(source.queue)
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
        now
    }
}
