//! Flows that are being handed over to the kernel: their packets that have come to the worker must leave before the kernel forwards
//! those behind them ([`netdev::Shortcuts::sent`]).
//!
//! How many have come is read first; when the port then has none left, so many at least have been sent.

use netdev::Shortcuts;
use netdev::shortcut::Shortcut;
use smallvec::SmallVec;

use crate::softirq;

/// The flows of one worker that are about to be forwarded by the kernel.
#[derive(Debug, Default)]
pub(crate) struct Settling(SmallVec<[Flow; 4]>);

#[derive(Debug)]
struct Flow {
    shortcut: Shortcut,
    /// The number of the queue, for the worker, that its packets come by.
    source: usize,
    /// How many had come before the queue was looked at.
    received: u64,
}

impl Settling {
    /// From here on, packets of a flow are waited for to be sent.
    pub(crate) fn begin(&mut self, shortcut: Shortcut, source: usize, shortcuts: &Shortcuts) {
        if !self.0.iter().any(|flow| flow.shortcut == shortcut)
            && let Some(received) = shortcuts.received(shortcut)
        {
            self.0.push(Flow { shortcut, source, received });
        }
    }

    /// Forgets the flows that do not come by queues of which `is_kept` says so.
    pub(crate) fn keep(&mut self, is_kept: impl Fn(usize) -> bool) {
        self.0.retain(|flow| is_kept(flow.source));
    }

    /// The queue was empty just now, and all that it had has been sent.
    #[inline]
    pub(crate) fn drained(&mut self, source: usize, shortcuts: &Shortcuts) {
        if !self.0.is_empty() {
            self.settle(source, shortcuts);
        }
    }

    #[cold]
    fn settle(&mut self, source: usize, shortcuts: &Shortcuts) {
        let is_meant = |flow: &Flow| flow.source == source && flow.received > 0;
        if self.0.iter().any(is_meant) && softirq::has_queued() {
            // They may wait in the kernel's queue of this processor.
            return;
        }
        self.0.retain(|flow| {
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
