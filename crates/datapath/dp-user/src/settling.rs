//! Flows that are being handed over to the kernel: their packets that have come to the worker must leave before the kernel forwards
//! those behind them ([`netdev::Shortcuts::sent`]).
//!
//! How many have come is read first; when the port then has none left, so many at least have been sent.
//!
//! A port with more packets than its worker can take always has some left, or more before it is known that it had none. There
//! the kernel would never come in, which would take them all: what stands in such a queue, and would have been lost a moment
//! earlier or later, is dropped then ([`Settling::is_stuck`]).

use std::time::Duration;

use base::Timestamp;
use netdev::Shortcuts;
use netdev::shortcut::Shortcut;
use smallvec::SmallVec;

use crate::softirq;

/// How long it is waited for a moment in which a queue is empty.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often at most one is emptied.
const PAUSE: Duration = Duration::from_millis(100);

/// The flows of one worker that are about to be forwarded by the kernel.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    flows: SmallVec<[Flow; 4]>,
    /// When a queue was emptied last.
    emptied: Option<Timestamp>,
}

#[derive(Debug)]
struct Flow {
    shortcut: Shortcut,
    /// The number of the queue, for the worker, that its packets come by.
    source: usize,
    /// How many had come before the queue was looked at.
    received: u64,
    /// When it began to wait.
    since: Timestamp,
}

impl Settling {
    /// From here on, packets of a flow are waited for to be sent.
    pub(crate) fn begin(&mut self, shortcut: Shortcut, source: usize, now: Timestamp, shortcuts: &Shortcuts) {
        if !self.flows.iter().any(|flow| flow.shortcut == shortcut)
            && let Some(received) = shortcuts.received(shortcut)
        {
            self.flows.push(Flow { shortcut, source, received, since: now });
        }
    }

    /// Forgets the flows that do not come by queues of which `is_kept` says so.
    pub(crate) fn keep(&mut self, is_kept: impl Fn(usize) -> bool) {
        self.flows.retain(|flow| is_kept(flow.source));
    }

    /// Whether packets of flows have come by the queue that are not known to have been sent.
    fn waits_for(&self, source: usize) -> bool {
        self.flows.iter().any(|flow| flow.source == source && flow.received > 0)
    }

    /// Whether flows have waited for long that the queue is empty.
    pub(crate) fn is_stuck(&self, source: usize, now: Timestamp) -> bool {
        let is_late = |flow: &Flow| flow.source == source && now.since(flow.since) >= PATIENCE;
        self.flows.iter().any(is_late) && self.emptied.is_none_or(|emptied| now.since(emptied) >= PAUSE)
    }

    /// Empties the queue, of which `drop_some` drops a batch and says how many packets that were, when what was sent before has
    /// arrived.
    pub(crate) fn empty(
        &mut self,
        source: usize,
        now: Timestamp,
        shortcuts: &Shortcuts,
        mut drop_some: impl FnMut() -> usize,
    ) {
        /// Batches; a queue that fills faster than they are dropped stays as it is.
        const MOST: usize = 1000;
        self.emptied = Some(now);
        if !softirq::wait_for_sent() {
            return;
        }
        for _ in 0..MOST {
            if drop_some() == 0 {
                self.settle(source, shortcuts);
                if !self.waits_for(source) {
                    return;
                }
            }
        }
    }

    /// The queue was empty just now, and all that it had has been sent.
    #[inline]
    pub(crate) fn drained(&mut self, source: usize, shortcuts: &Shortcuts) {
        if !self.flows.is_empty() {
            self.sent_all(source, shortcuts);
        }
    }

    #[cold]
    fn sent_all(&mut self, source: usize, shortcuts: &Shortcuts) {
        // They may wait in the kernel's queue of this processor.
        if !(self.waits_for(source) && softirq::has_queued()) {
            self.settle(source, shortcuts);
        }
    }

    fn settle(&mut self, source: usize, shortcuts: &Shortcuts) {
        self.flows.retain(|flow| {
            if flow.source != source {
                return true;
            }
            if flow.received > 0 {
                shortcuts.sent(flow.shortcut, flow.received);
            }
            match shortcuts.received(flow.shortcut) {
                None => false,
                Some(received) if received == flow.received && received > 0 => false,
                Some(received) => {
                    flow.received = received;
                    true
                }
            }
        });
    }
}
