//! A queue of a dummy port that a worker serves, as it serves those of devices.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dp::Packet;
use rustix::event::{EventfdFlags, eventfd};

/// Packets that wait for the worker.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Readable while there are some.
    ready: OwnedFd,
    state: Mutex<State>,
    finished: Condvar,
}

#[derive(Debug, Default)]
struct State {
    packets: VecDeque<Packet>,
    /// How many ever came, and how many of these are done with.
    came: u64,
    done: u64,
}

impl Queue {
    pub(crate) fn new() -> io::Result<Queue> {
        let ready = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Queue { ready, state: Mutex::default(), finished: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    pub(crate) fn put(&self, packet: Packet) {
        let mut state = self.lock();
        state.packets.push_back(packet);
        state.came += 1;
        // It cannot fail but when the counter is full, and then it is readable.
        let _ = rustix::io::write(&self.ready, &1u64.to_ne_bytes());
    }

    /// Takes up to `limit` packets; how many.
    pub(crate) fn take(&self, out: &mut Vec<Packet>, limit: usize) -> usize {
        let mut state = self.lock();
        let count = limit.min(state.packets.len());
        out.extend(state.packets.drain(..count));
        if state.packets.is_empty() {
            let _ = rustix::io::read(&self.ready, &mut [0u8; 8]);
        }
        count
    }

    /// So many packets that were taken are done with.
    pub(crate) fn finish(&self, count: usize) {
        self.lock().done += count as u64;
        self.finished.notify_all();
    }

    /// Waits until all packets that came until now are done with; false when that takes longer than `limit`.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let state = self.lock();
        let came = state.came;
        let waited = self.finished.wait_timeout_while(state, limit, |state| state.done < came);
        waited.map_or_else(|poisoned| poisoned.into_inner().1, |(_, result)| result).timed_out().eq(&false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket;
    use crate::testing::frame;

    #[test]
    fn packets_are_taken_in_order_and_waited_for() {
        let queue = Queue::new().unwrap();
        let is_ready = || socket::is_readable(&queue.ready);
        assert!(!is_ready() && queue.wait(Duration::ZERO));
        (60..63).for_each(|len| queue.put(Packet::from_bytes(&frame(len))));
        assert!(is_ready() && !queue.wait(Duration::ZERO));
        let mut taken = Vec::new();
        assert_eq!((queue.take(&mut taken, 2), is_ready()), (2, true));
        queue.finish(2);
        assert!(!queue.wait(Duration::ZERO));
        assert_eq!((queue.take(&mut taken, 2), is_ready()), (1, false));
        queue.finish(1);
        assert!(queue.wait(Duration::ZERO));
        assert_eq!(taken.iter().map(Packet::len).collect::<Vec<_>>(), [60, 61, 62]);
    }
}
