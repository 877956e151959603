//! What waits to be sent to one peer, and how the task of its connection and the manager keep each other from
//! filling memory.
//!
//! ```text
//!   manager ─ Link ─▶ Outbox ─▶ task ─▶ peer
//! ```
//! Both sides run on the control thread; the lock is never held while somebody waits. The rules:
//!
//! - While more than [`HIGH`] bytes of replies wait, the manager does not answer requests of the peer; when the peer has
//!   taken enough of them the task reports it.
//! - The task hands over one batch of messages at a time, and reads no more than the next one meanwhile. So a peer that
//!   does not read its replies is soon not read from either, and costs no more than a few hundred kilobytes.
//! - What the peer did not ask for is limited by whoever sends it, by [`Link::waiting`] and [`Link::is_stuck`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base::Timestamp;
use tokio::sync::Notify;

/// Bytes of replies that may wait before requests are left unanswered for now.
pub(crate) const HIGH: usize = 1 << 18;
/// Requests are answered again when no more than this waits.
const LOW: usize = HIGH / 2;
/// Messages are kept together up to this many bytes.
const CHUNK: usize = 1 << 16;

/// Bytes that may wait for a peer that takes none of them for [`PATIENCE`], and for any peer.
const STUCK: usize = 16 << 20;
const MOST: usize = 256 << 20;
const PATIENCE: Duration = Duration::from_secs(1);

/// What a message is to its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// An answer, or the end of a rule: who does not take these has no further requests answered.
    Reply,
    Packet,
    /// What flow monitors report.
    Monitor,
    /// Other messages that nobody asked for.
    Notice,
}

const CLASSES: usize = 4;

/// See the module's text. This is the side of the connection's task.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<(Class, Vec<u8>)>,
    /// Bytes that are queued or about to be written, by class.
    waiting: [usize; CLASSES],
    taken: u64,
    /// The manager waits until fewer replies wait.
    is_stalled: bool,
    /// The manager waits until no message of a monitor waits.
    is_paused: bool,
    /// The manager has messages of the peer that it has not answered.
    has_batch: bool,
    /// The task has more of them.
    is_awaited: bool,
    is_closed: bool,
    is_cut: bool,
    /// By so much the time has leapt forward, for tests.
    leapt: Duration,
}

impl State {
    fn is_full(&self) -> bool {
        self.waiting[Class::Reply as usize] > HIGH
    }

    fn waiting(&self) -> usize {
        self.waiting.iter().sum()
    }

    fn append(&mut self, class: Class, mut bytes: Vec<u8>) {
        match self.queue.back_mut() {
            Some((last, chunk)) if *last == class && chunk.len() + bytes.len() <= CHUNK => {
                chunk.append(&mut bytes);
            }
            _ => self.queue.push_back((class, bytes)),
        }
    }
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Queues whole messages.
    pub(crate) fn push(&self, class: Class, bytes: Vec<u8>) {
        let mut state = self.state();
        if state.is_closed {
            return;
        }
        state.waiting[class as usize] += bytes.len();
        if bytes.len() <= CHUNK {
            state.append(class, bytes);
        } else {
            for message in ofp::split_messages(&bytes) {
                state.append(class, message.to_vec());
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// By how much the time has leapt forward since this was asked last.
    pub(crate) fn take_leap(&self) -> Duration {
        std::mem::take(&mut self.state().leapt)
    }

    /// The next messages to write.
    pub(crate) fn pop(&self) -> Option<(Class, Vec<u8>)> {
        self.state().queue.pop_front()
    }

    /// Notes that so many bytes of what was popped are written.
    pub(crate) fn wrote(&self, class: Class, count: usize) {
        let mut state = self.state();
        let waiting = &mut state.waiting[class as usize];
        *waiting = waiting.saturating_sub(count);
        state.taken += count as u64;
    }

    /// Whether so little waits now that the manager can go on with what it had to put off; said once.
    pub(crate) fn take_room(&self) -> bool {
        let mut state = self.state();
        let has_room = state.is_stalled && state.waiting[Class::Reply as usize] <= LOW;
        let is_caught_up = state.is_paused && state.waiting[Class::Monitor as usize] == 0;
        state.is_stalled &= !has_room;
        state.is_paused &= !is_caught_up;
        has_room || is_caught_up
    }

    /// Whether the manager takes messages. While it does not, a task that `has_input` is woken when it does.
    pub(crate) fn takes_batch(&self, has_input: bool) -> bool {
        let mut state = self.state();
        let takes = !state.has_batch && !state.is_full();
        state.is_awaited = has_input && !takes;
        takes
    }

    /// Whether the manager has answered all that it was given.
    pub(crate) fn is_answered(&self) -> bool {
        !self.state().has_batch
    }

    pub(crate) fn begin_batch(&self) {
        self.state().has_batch = true;
    }

    /// Whether nothing more is to be sent.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Whether the connection is to end at once.
    pub(crate) fn is_cut(&self) -> bool {
        self.state().is_cut
    }

    /// Waits until the manager has sent or changed something.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// The manager's side. Letting go of it ends the connection, after what is queued is sent.
#[derive(Debug)]
pub struct Link {
    outbox: Arc<Outbox>,
    /// What the log calls the connection.
    pub name: String,
    /// How much the peer had taken when it was last seen to take something, and when that was.
    progress: Option<(u64, Timestamp)>,
}

impl Link {
    pub(crate) fn new(outbox: Arc<Outbox>, name: &str) -> Link {
        Link { outbox, name: name.to_owned(), progress: None }
    }

    /// Queues whole messages. A peer that is gone gets nothing.
    pub(crate) fn send(&self, class: Class, bytes: Vec<u8>) {
        self.outbox.push(class, bytes);
    }

    /// Bytes of a class that the peer has not taken so far.
    pub(crate) fn waiting(&self, class: Class) -> usize {
        self.outbox.state().waiting[class as usize]
    }

    /// Whether so many replies wait that further requests have to. Their turn comes with an event of the connection.
    pub(crate) fn stalls(&self) -> bool {
        let mut state = self.outbox.state();
        let is_full = state.is_full();
        state.is_stalled |= is_full;
        is_full
    }

    /// The time leaps forward.
    pub(crate) fn leap(&self, by: Duration) {
        self.outbox.state().leapt += by;
        self.outbox.changed.notify_one();
    }

    /// Asks for an event of the connection when the peer has taken all messages of its monitors.
    pub(crate) fn pause(&self) {
        self.outbox.state().is_paused = true;
        self.outbox.changed.notify_one();
    }

    /// Asks for the next messages: those of the last batch are answered.
    pub(crate) fn end_batch(&self) {
        let is_awaited = {
            let mut state = self.outbox.state();
            state.has_batch = false;
            state.is_awaited
        };
        if is_awaited {
            self.outbox.changed.notify_one();
        }
    }

    /// Whether the peer takes so little of so much that it must not be sent more.
    pub(crate) fn is_stuck(&mut self, now: Timestamp) -> bool {
        let (waiting, taken) = {
            let state = self.outbox.state();
            (state.waiting(), state.taken)
        };
        if waiting <= STUCK {
            self.progress = None;
            return false;
        }
        let (last, since) = *self.progress.get_or_insert((taken, now));
        if last != taken {
            self.progress = Some((taken, now));
        }
        waiting > MOST || last == taken && now - since >= PATIENCE
    }

    /// Ends the connection. What is queued is still sent.
    pub(crate) fn close(&mut self) {
        self.outbox.state().is_closed = true;
        self.outbox.changed.notify_one();
    }

    /// Ends the connection at once; returns how many bytes its peer did not take.
    pub(crate) fn cut(&mut self) -> usize {
        let mut state = self.outbox.state();
        let waiting = state.waiting();
        (state.is_closed, state.is_cut) = (true, true);
        state.queue = VecDeque::new();
        drop(state);
        self.outbox.changed.notify_one();
        waiting
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Arc<Outbox>, Link) {
        let outbox = Arc::new(Outbox::default());
        (Arc::clone(&outbox), Link::new(outbox, "test"))
    }

    /// As many messages as fill so many bytes, each of at most 32 kB.
    fn messages(mut length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while length > 0 {
            let one = length.min(1 << 15);
            bytes.extend([4, 21]);
            bytes.extend((one as u16).to_be_bytes());
            bytes.resize(bytes.len() + one - 4, 0);
            length -= one;
        }
        bytes
    }

    /// Takes all that waits.
    fn take_all(outbox: &Outbox) -> usize {
        std::iter::from_fn(|| take(outbox)).sum()
    }

    fn take(outbox: &Outbox) -> Option<usize> {
        let (class, bytes) = outbox.pop()?;
        outbox.wrote(class, bytes.len());
        Some(bytes.len())
    }

    #[test]
    fn requests_wait_while_replies_do() {
        let (outbox, link) = pair();
        link.send(Class::Packet, messages(2 * HIGH));
        assert!(outbox.takes_batch(true) && !link.stalls(), "packets are no replies");
        take_all(&outbox);
        link.send(Class::Reply, messages(HIGH));
        assert!(outbox.takes_batch(true) && !link.stalls());
        link.send(Class::Reply, messages(8));
        assert!(!outbox.takes_batch(true) && link.stalls());
        assert_eq!(take(&outbox), Some(CHUNK));
        assert!(!outbox.take_room());
        take_all(&outbox);
        assert!(outbox.take_room());
        assert!(!outbox.take_room(), "it is said once");
        assert!(outbox.takes_batch(true) && !link.stalls());
    }

    #[test]
    fn one_batch_is_handed_over_at_a_time() {
        let (outbox, link) = pair();
        outbox.begin_batch();
        assert!(!outbox.takes_batch(true));
        link.end_batch();
        assert!(outbox.takes_batch(true));
    }

    #[test]
    fn short_messages_are_kept_together() {
        let (outbox, link) = pair();
        for class in [Class::Reply, Class::Reply, Class::Monitor, Class::Reply] {
            link.send(class, messages(10));
        }
        assert_eq!([take(&outbox), take(&outbox), take(&outbox)], [Some(20), Some(10), Some(10)]);
        assert_eq!(link.waiting(Class::Reply), 0);
    }

    #[test]
    fn a_peer_is_stuck_that_takes_nothing_of_much() {
        let (outbox, mut link) = pair();
        let at = Timestamp::from_millis;
        for _ in 0..=STUCK / CHUNK {
            link.send(Class::Notice, messages(CHUNK));
        }
        assert!(!link.is_stuck(at(0)) && !link.is_stuck(at(900)));
        take(&outbox);
        link.send(Class::Notice, messages(CHUNK));
        assert!(!link.is_stuck(at(1500)), "it has taken something meanwhile");
        assert!(!link.is_stuck(at(2400)));
        assert!(link.is_stuck(at(2500)));
        assert!(link.cut() > STUCK);
        assert!(outbox.is_cut() && outbox.pop().is_none());
    }

    #[test]
    fn letting_go_of_the_link_closes_the_connection() {
        let (outbox, link) = pair();
        link.send(Class::Reply, messages(10));
        drop(link);
        assert!(outbox.is_closed() && !outbox.is_cut());
        assert_eq!(take(&outbox), Some(10));
    }
}
