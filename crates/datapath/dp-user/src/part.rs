//! What belongs to one thread that forwards, and may be looked at by others.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use base::{Clock, Timestamp};
use dp::{DpStats, Performance, WorkerId};
use netdev::Shortcuts;

use crate::counters::Tally;
use crate::flows::Flows;
use crate::known::Moves;
use crate::load::History;
use crate::processors::Processor;
use crate::seat::Core;
use crate::table::Table;
use crate::waker::Waker;

/// No processor, thread or limit.
const NONE: u32 = u32::MAX;

pub(crate) struct Part {
    pub(crate) id: WorkerId,
    pub(crate) flows: Flows,
    pub(crate) counters: Counters,
    pub(crate) waker: Waker,
    /// The ports to receive on changed.
    pub(crate) receiving: Moves,
    /// Of the processor that it was made for.
    pub(crate) numa: u32,
    /// Set while its thread is to run.
    is_active: AtomicBool,
    /// The thread may change its processor.
    wanders: AtomicBool,
    /// The processor that the thread is on, or is to go to.
    place: AtomicU32,
    /// The kernel's number of the thread.
    thread_id: AtomicU32,
    /// How many microseconds it may sleep; `u64::MAX`: as long as nothing comes.
    max_sleep_us: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// What it was busy with in the last intervals.
    history: Mutex<History>,
    /// What it had done when that was to be forgotten, and when that was.
    forgotten: Mutex<(Performance, Timestamp)>,
}

impl Part {
    fn new(
        id: WorkerId,
        place: u32,
        numa: u32,
        shortcuts: &Arc<Shortcuts>,
        clock: &Clock,
    ) -> std::io::Result<Part> {
        Ok(Part {
            id,
            flows: Flows::new(id, shortcuts, clock),
            counters: Counters::default(),
            waker: Waker::new()?,
            receiving: Moves::default(),
            numa,
            is_active: AtomicBool::new(true),
            wanders: AtomicBool::new(false),
            place: AtomicU32::new(place),
            thread_id: AtomicU32::new(NONE),
            max_sleep_us: AtomicU64::new(u64::MAX),
            thread: Mutex::default(),
            history: Mutex::default(),
            forgotten: Mutex::new((Performance::default(), clock.now())),
        })
    }

    /// That of threads which are no workers.
    pub(crate) fn main(shortcuts: &Arc<Shortcuts>, clock: &Clock) -> std::io::Result<Part> {
        Part::new(WorkerId::Main, NONE, 0, shortcuts, clock)
    }

    /// That of the worker that is made for this processor.
    pub(crate) fn worker(
        processor: Processor,
        shortcuts: &Arc<Shortcuts>,
        clock: &Clock,
    ) -> std::io::Result<Part> {
        Part::new(WorkerId::Worker(processor.core), processor.core, processor.numa, shortcuts, clock)
    }

    /// The processor that it was made for, with its node.
    pub(crate) fn processor(&self) -> Processor {
        Processor { core: self.core(), numa: self.numa }
    }

    /// The processor that it was made for.
    pub(crate) fn core(&self) -> Core {
        match self.id {
            WorkerId::Worker(core) => core,
            WorkerId::Main => NONE,
        }
    }

    /// Whether it has a thread, and that one shall go on. The main part has those of others.
    pub(crate) fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Acquire)
    }

    pub(crate) fn set_active(&self, is_active: bool) {
        self.is_active.store(is_active, Ordering::Release);
        if !is_active {
            // Nobody looks after its flows.
            self.flows.end_shortcuts();
        }
    }

    /// Makes its thread look at which ports there are to receive on, and where it is to be.
    pub(crate) fn call(&self) {
        self.receiving.note();
        self.waker.wake();
    }

    /// The processor that the thread is on, or is to go to.
    pub(crate) fn place(&self) -> Core {
        self.place.load(Ordering::Acquire)
    }

    /// Sends the thread to another processor.
    pub(crate) fn go_to(&self, core: Core) {
        self.place.store(core, Ordering::Release);
        self.call();
    }

    pub(crate) fn may_wander(&self) -> bool {
        self.is_active() && self.wanders.load(Ordering::Acquire)
    }

    /// Says whether the thread may change its processor. One that may not is where it was made for.
    pub(crate) fn set_wanders(&self, wanders: bool) {
        if self.wanders.swap(wanders, Ordering::AcqRel) && !wanders {
            self.go_to(self.core());
        }
    }

    pub(crate) fn thread_id(&self) -> Option<u32> {
        Some(self.thread_id.load(Ordering::Acquire)).filter(|id| *id != NONE)
    }

    /// This thread is the part's.
    pub(crate) fn take_thread(&self) {
        let id = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        self.thread_id.store(id, Ordering::Release);
    }

    /// The limit of its sleep, where somebody has set one.
    pub(crate) fn max_sleep_us(&self) -> Option<u64> {
        Some(self.max_sleep_us.load(Ordering::Relaxed)).filter(|limit| *limit != u64::MAX)
    }

    pub(crate) fn set_max_sleep_us(&self, limit: Option<u64>) {
        self.max_sleep_us.store(limit.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn thread(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its thread to end, which it was told to.
    pub(crate) fn join(&self) {
        let thread = self.thread().take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        self.thread_id.store(NONE, Ordering::Release);
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forgotten(&self) -> MutexGuard<'_, (Performance, Timestamp)> {
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it has done since it was to forget what it had done.
    pub(crate) fn performance(&self, now: Timestamp) -> Performance {
        let (before, since) = *self.forgotten();
        self.counters.performance().since(&before, now.since(since))
    }

    /// Forgets what it has done.
    pub(crate) fn forget(&self, now: Timestamp) {
        *self.forgotten() = (self.counters.performance(), now);
    }
}

/// Counters of one thread, written by it alone.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) cache_hits: Tally,
    pub(crate) table_hits: Tally,
    pub(crate) subtables: Tally,
    pub(crate) missed: Tally,
    pub(crate) miss_ns: Tally,
    pub(crate) lost: Tally,
    pub(crate) recirculated: Tally,
    pub(crate) received: Tally,
    pub(crate) sent: Tally,
    pub(crate) batches: Tally,
    pub(crate) busy_iterations: Tally,
    pub(crate) idle_iterations: Tally,
    pub(crate) busy_ns: Tally,
    pub(crate) idle_ns: Tally,
    pub(crate) sleeps: Tally,
    pub(crate) sleep_ns: Tally,
}

impl Counters {
    pub(crate) fn stats(&self, table: &Table) -> DpStats {
        let (cache, megaflow) = (self.cache_hits.get(), self.table_hits.get());
        let (missed, lost) = (self.missed.get(), self.lost.get());
        DpStats {
            hits: cache + megaflow + table.forwarded(),
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

    fn performance(&self) -> Performance {
        Performance {
            duration: Duration::ZERO,
            idle_iterations: self.idle_iterations.get(),
            busy_iterations: self.busy_iterations.get(),
            idle_ns: self.idle_ns.get(),
            busy_ns: self.busy_ns.get(),
            sleeps: self.sleeps.get(),
            sleep_ns: self.sleep_ns.get(),
            received: self.received.get(),
            recirculated: self.recirculated.get(),
            cache_hits: self.cache_hits.get(),
            table_hits: self.table_hits.get(),
            subtables: self.subtables.get(),
            missed: self.missed.get(),
            miss_ns: self.miss_ns.get(),
            lost: self.lost.get(),
            sent: self.sent.get(),
            batches: self.batches.get(),
        }
    }
}
