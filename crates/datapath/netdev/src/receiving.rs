//! Where a device's frames come from: the queue of its socket while few come, a ring while many do.
//!
//! A ring costs half a megabyte or more and waits of the kernel's, and saves a system call for each frame. So a device gets
//! one when it receives [`MANY`] frames a second and gives it back when few have come for a while. Whoever decides that
//! ([`Receiving::review`]) may wait for the kernel, and is not the thread that takes frames.
//!
//! Two sockets stand side by side while one takes over from the other ([`Shortcuts::hand_over`]). Frames that the old one has left
//! are taken first, so their order is kept.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dp::Packet;

use crate::frame::{self, Frame};
use crate::losses::Losses;
use crate::merging::Merging;
use crate::ring::Ring;
use crate::{Pool, Shortcuts, socket};

/// After how many frames it is asked how fast they came.
const WORTH: u32 = 1024;
/// Frames a second that are worth a ring.
const MANY: u32 = 2000;
/// Frames a second that are not.
const FEW: u32 = 200;
/// How long few frames come before the ring is given back.
const PATIENCE: Duration = Duration::from_secs(10);

/// One queue's frames on their way in.
#[derive(Debug)]
pub(crate) struct Receiving {
    ifindex: u32,
    /// It is one of several queues of its device, which have rings all the time.
    is_one_of_several: bool,
    /// The socket with the queue, which also sends.
    plain: OwnedFd,
    state: Mutex<State>,
    /// Who forwards some frames, and whether these do not come here.
    shortcuts: Arc<Shortcuts>,
    is_filtered: AtomicBool,
    /// Frames since the last review.
    frames: AtomicU32,
    /// Moves when a ring comes.
    rings: AtomicU32,
}

#[derive(Debug)]
struct State {
    ring: Option<Ring>,
    hearing: Hearing,
    /// The other of the two may have frames from before.
    has_rest: bool,
    /// A ring has come, and the kernel still shows each frame to the other socket, too.
    is_shown_twice: bool,
    reviewed: Instant,
    /// Since when there was no need of a ring.
    idle_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    Plain,
    Ring,
}

impl State {
    fn new(ring: Option<Ring>, hearing: Hearing, now: Instant) -> State {
        State { ring, hearing, has_rest: false, is_shown_twice: false, reviewed: now, idle_since: None }
    }
}

impl Receiving {
    /// `plain` is bound to the device.
    pub(crate) fn new(ifindex: u32, plain: OwnedFd, shortcuts: &Arc<Shortcuts>, now: Instant) -> Receiving {
        let state = State::new(None, Hearing::Plain, now);
        Receiving {
            ifindex,
            is_one_of_several: false,
            plain,
            state: Mutex::new(state),
            shortcuts: Arc::clone(shortcuts),
            is_filtered: AtomicBool::new(false),
            frames: AtomicU32::new(0),
            rings: AtomicU32::new(0),
        }
    }

    /// One of several queues of the device, with `ring` for it; `plain` only sends.
    pub(crate) fn one_of_several(
        ifindex: u32,
        plain: OwnedFd,
        ring: Ring,
        shortcuts: &Arc<Shortcuts>,
        now: Instant,
    ) -> Receiving {
        let state = State::new(Some(ring), Hearing::Ring, now);
        Receiving {
            ifindex,
            is_one_of_several: true,
            plain,
            state: Mutex::new(state),
            shortcuts: Arc::clone(shortcuts),
            is_filtered: AtomicBool::new(false),
            frames: AtomicU32::new(0),
            rings: AtomicU32::new(1),
        }
    }

    /// Begins to receive, where it was opened deaf.
    pub(crate) fn hear(&self) -> io::Result<()> {
        self.hear_by(&self.lock())
    }

    /// The socket that hears takes the frames that are meant for it.
    fn hear_by(&self, state: &State) -> io::Result<()> {
        let filter = self.chosen_filter();
        match (&state.ring, state.hearing) {
            (Some(ring), Hearing::Ring) if self.is_one_of_several && filter.is_none() => {
                socket::hear_arriving(&ring.fd)
            }
            (Some(ring), Hearing::Ring) => socket::hear(&ring.fd, filter),
            (Some(_) | None, _) => socket::hear(&self.plain, filter),
        }
    }

    fn chosen_filter(&self) -> Option<BorrowedFd<'_>> {
        if self.is_filtered() { self.shortcuts.filter() } else { None }
    }

    /// Whether frames that the kernel forwards do not come here.
    pub(crate) fn is_filtered(&self) -> bool {
        self.is_filtered.load(Ordering::Acquire)
    }

    /// Keeps frames that the kernel forwards from coming here, or looks at none for that, which costs each a little.
    pub(crate) fn filter(&self, is_filtered: bool) -> io::Result<()> {
        let state = self.lock();
        self.is_filtered.store(is_filtered, Ordering::Release);
        self.hear_by(&state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The socket that is always there.
    pub(crate) fn plain(&self) -> &OwnedFd {
        &self.plain
    }

    /// Gives `watch` the ring's socket, unless the caller has seen it, which `seen` remembers.
    pub(crate) fn watch_ring(&self, seen: &mut u32, watch: impl FnOnce(BorrowedFd<'_>)) {
        let rings = self.rings.load(Ordering::Acquire);
        if *seen != rings {
            *seen = rings;
            if let Some(ring) = &self.lock().ring {
                watch(ring.fd.as_fd());
            }
        }
    }

    /// Calls `act` with each socket that there is.
    pub(crate) fn sockets(&self, mut act: impl FnMut(&OwnedFd)) {
        act(&self.plain);
        if let Some(ring) = &self.lock().ring {
            act(&ring.fd);
        }
    }

    /// Takes up to `limit` frames; how many.
    pub(crate) fn receive(
        &self,
        pool: &mut Pool,
        out: &mut Vec<Packet>,
        limit: usize,
        merging: &Merging,
        losses: &Losses,
    ) -> io::Result<usize> {
        let mut state = self.lock();
        let mut count = 0;
        while count < limit {
            let from = if state.has_rest { state.hearing.other() } else { state.hearing };
            let frame = match (from, &mut state.ring) {
                (Hearing::Ring, Some(ring)) => ring.next(pool)?,
                (Hearing::Ring, None) => Frame::None,
                (Hearing::Plain, _) => frame::next(&self.plain, pool)?,
            };
            match frame {
                Frame::None if state.has_rest => state.has_rest = false,
                Frame::None => break,
                Frame::Packet(packet) => {
                    merging.received(&packet);
                    out.push(packet);
                    count += 1;
                }
                Frame::Lost(reason) => losses.count(reason, 1),
            }
        }
        if count > 0 {
            self.frames.fetch_add(count as u32, Ordering::Relaxed);
        }
        if let Some(ring) = state.ring.as_mut().filter(|ring| ring.is_losing) {
            ring.is_losing = false;
            losses.count_overflow(&ring.fd);
        }
        if count == limit && (state.hearing == Hearing::Plain || state.has_rest) {
            // The queue tells only who asks; one that overflows has more than is taken at once.
            losses.count_overflow(&self.plain);
        }
        Ok(count)
    }

    /// Whether so many frames came since the last review that one is worth it, and it is the first time to say so.
    #[inline]
    pub(crate) fn begins_to_ask(&self, received: usize) -> bool {
        let frames = self.frames.load(Ordering::Relaxed);
        !self.is_one_of_several && frames >= WORTH && frames.wrapping_sub(received as u32) < WORTH
    }

    /// Whether there are reviews to come: a ring to be given back.
    pub(crate) fn has_ring(&self) -> bool {
        !self.is_one_of_several && self.rings.load(Ordering::Acquire) > 0 && self.lock().ring.is_some()
    }

    /// Gives the device a ring, or takes it away; whether a ring has come. `is_due`: some time has passed since the last
    /// review.
    pub(crate) fn review(&self, now: Instant, is_due: bool) -> io::Result<bool> {
        if self.is_one_of_several {
            return Ok(false);
        }
        let is_asking = self.frames.load(Ordering::Relaxed) >= WORTH;
        let has_ring = self.has_ring();
        if !(is_asking && !has_ring || is_due && has_ring) {
            return Ok(false);
        }
        self.end_showing()?;
        let frames = self.frames.swap(0, Ordering::Relaxed);
        let mut state = self.lock();
        let elapsed = now.saturating_duration_since(state.reviewed).as_secs_f64();
        state.reviewed = now;
        let rate = |per_second: u32| f64::from(per_second) * elapsed;
        if !has_ring {
            drop(state);
            return if f64::from(frames) >= rate(MANY) { self.take_ring().map(|()| true) } else { Ok(false) };
        }
        if state.hearing == Hearing::Plain {
            // The ring was taken out of use before; frames that it has left are taken first.
            let empty = state.ring.take_if(|ring| ring.is_empty());
            state.has_rest = state.ring.is_some();
            drop(state);
            // Closing it waits for the kernel.
            drop(empty);
            return Ok(false);
        }
        if f64::from(frames) >= rate(FEW) {
            state.idle_since = None;
        } else if now.saturating_duration_since(*state.idle_since.get_or_insert(now)) >= PATIENCE {
            drop(state);
            self.leave_ring()?;
        }
        Ok(false)
    }

    /// From here on frames come by a ring, which who waits for them has to know at once: [`Receiving::end_showing`] is left to
    /// be done.
    fn take_ring(&self) -> io::Result<()> {
        let ring = Ring::open(self.ifindex)?;
        let mut state = self.lock();
        self.hand_over(&state, &self.plain, &ring.fd)?;
        (state.ring, state.hearing) = (Some(ring), Hearing::Ring);
        (state.has_rest, state.is_shown_twice, state.idle_since) = (true, true, None);
        drop(state);
        self.rings.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// One socket takes over from the other; after an error the one hears that has heard before.
    fn hand_over(&self, state: &State, older: &OwnedFd, newer: &OwnedFd) -> io::Result<()> {
        let handed = self.shortcuts.hand_over(older, newer, self.chosen_filter());
        handed.inspect_err(|_| _ = self.hear_by(state))
    }

    /// The socket that sends only is shown no frames any more, of which each would cost a look at its filter. Waits for the kernel.
    fn end_showing(&self) -> io::Result<()> {
        if !self.lock().is_shown_twice {
            return Ok(());
        }
        socket::bind(&self.plain, self.ifindex, socket::NO_PROTOCOL)?;
        let mut state = self.lock();
        // One may have been on its way into the queue when that was found empty.
        (state.has_rest, state.is_shown_twice) = (true, false);
        Ok(())
    }

    /// From here on frames come by the queue.
    fn leave_ring(&self) -> io::Result<()> {
        self.end_showing()?;
        socket::bind(&self.plain, self.ifindex, libc::ETH_P_ALL as u16)?;
        let mut state = self.lock();
        if let Some(ring) = &state.ring {
            self.hand_over(&state, &ring.fd, &self.plain)?;
            (state.hearing, state.has_rest) = (Hearing::Plain, true);
        }
        Ok(())
    }
}

impl Hearing {
    fn other(self) -> Hearing {
        match self {
            Hearing::Plain => Hearing::Ring,
            Hearing::Ring => Hearing::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Wire, frame, has_pair, ip, open_shortcuts, receive_all};
    use dp::Packet;

    struct Port {
        receiving: Receiving,
        wire: Wire,
        now: Instant,
        received: Vec<Packet>,
    }

    impl Port {
        fn open() -> Option<Port> {
            Port::with(&Arc::new(Shortcuts::none()))
        }

        fn with(shortcuts: &Arc<Shortcuts>) -> Option<Port> {
            if !has_pair("p", "w") {
                return None;
            }
            let index = netlink::link("p").unwrap().unwrap().index;
            let plain = crate::packet::open_plain(index, false).unwrap();
            let now = Instant::now();
            let receiving = Receiving::new(index, plain, shortcuts, now);
            Some(Port { receiving, wire: Wire::open("w"), now, received: Vec::new() })
        }

        fn take(&mut self, count: usize) {
            let (merging, losses) = (Merging::default(), Losses::default());
            let taken = receive_all(count, |pool, out| {
                self.receiving.receive(pool, out, crate::BATCH, &merging, &losses)
            });
            self.received.extend(taken);
        }

        /// Sends frames with numbers, and takes them.
        fn pass(&mut self, count: usize) {
            for _ in 0..count {
                self.wire.send(&frame(60));
                self.take(1);
            }
        }

        fn review(&mut self, later: Duration) -> bool {
            self.now += later;
            self.receiving.review(self.now, true).unwrap()
        }
    }

    #[test]
    fn who_receives_much_gets_a_ring_and_gives_it_back_when_it_is_quiet() {
        let Some(mut port) = Port::open() else { return };
        port.pass(WORTH as usize);
        // They came slowly.
        assert!(!port.review(Duration::from_secs(10)) && !port.receiving.has_ring());
        port.pass(WORTH as usize);
        assert!(port.review(Duration::from_millis(100)) && port.receiving.has_ring());
        port.pass(100);
        assert!(port.receiving.has_ring());
        assert!(!port.review(PATIENCE), "it begins to wait");
        assert!(!port.review(PATIENCE), "it leaves the ring");
        port.pass(1);
        port.review(PATIENCE);
        assert!(!port.receiving.has_ring());
        port.pass(10);
        port.pass(WORTH as usize);
        assert!(port.review(Duration::from_millis(1)));
        port.pass(10);
    }

    /// Each socket that hears a device costs whoever sends to it.
    #[test]
    fn one_socket_hears_the_device() {
        let Some(port) = Port::open() else { return };
        let hearing = || {
            let table = std::fs::read_to_string("/proc/thread-self/net/packet").unwrap();
            let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let device = port.receiving.ifindex.to_string();
            rows.filter(|row| row.get(3..5) == Some(&["0003", &device])).count()
        };
        assert_eq!(hearing(), 1);
        port.receiving.take_ring().unwrap();
        port.receiving.review(port.now, true).unwrap();
        assert_eq!(hearing(), 1);
        port.receiving.leave_ring().unwrap();
        port.receiving.review(port.now, true).unwrap();
        assert_eq!(hearing(), 1);
    }

    #[test]
    fn frames_that_wait_while_the_way_changes_are_taken_in_order() {
        let Some(mut port) = Port::open() else { return };
        let lens = |range: std::ops::Range<usize>| range.map(|len| Packet::from_bytes(&frame(len)));
        let mut next = 60;
        let mut send = |port: &Port, count: usize| {
            (next..next + count).for_each(|len| port.wire.send(&frame(len)));
            next += count;
        };
        send(&port, 50);
        port.receiving.take_ring().unwrap();
        send(&port, 50);
        port.take(100);
        send(&port, 50);
        port.receiving.leave_ring().unwrap();
        send(&port, 50);
        port.take(100);
        port.review(Duration::from_millis(100));
        assert!(!port.receiving.has_ring());
        let expected: Vec<Packet> = lens(60..260).collect();
        assert!(port.received.iter().map(Packet::bytes).eq(expected.iter().map(Packet::bytes)));
    }

    #[test]
    fn none_is_lost_or_comes_twice_while_the_way_changes() {
        const CHANGES: usize = 30;
        let Some(shortcuts) = open_shortcuts() else { return };
        let Some(port) = Port::with(&shortcuts) else { return };
        let (merging, losses, mut pool) = (Merging::default(), Losses::default(), Pool::new());
        let is_ending = AtomicBool::new(false);
        let Port { receiving, wire, .. } = &port;
        // The length of a frame follows that of the one before.
        let len = |number: usize| 60 + number % 1000;
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let is_needed = |_: &usize| !is_ending.load(Ordering::Relaxed);
                (0..).take_while(is_needed).map(|number| wire.send(&frame(len(number)))).count()
            });
            let changer = scope.spawn(|| {
                for _ in 0..CHANGES {
                    receiving.take_ring().unwrap();
                    receiving.leave_ring().unwrap();
                    while receiving.has_ring() {
                        receiving.review(Instant::now(), true).unwrap();
                    }
                }
                is_ending.store(true, Ordering::Relaxed);
            });
            let (mut taken, mut lens) = (Vec::new(), Vec::new());
            let mut take = || {
                receiving.receive(&mut pool, &mut taken, crate::BATCH, &merging, &losses).unwrap();
                lens.extend(taken.drain(..).map(|packet| packet.len()));
                lens.len()
            };
            while !sender.is_finished() {
                take();
            }
            changer.join().unwrap();
            let sent = sender.join().unwrap();
            while take() < sent && socket::is_readable(receiving.plain()) {}
            assert_eq!(take(), sent);
            assert!(lens.into_iter().eq((0..sent).map(len)));
        });
    }

    #[test]
    fn what_finds_no_room_in_the_queue_is_counted() {
        let Some(port) = Port::open() else { return };
        (0..100_000).for_each(|_| port.wire.send(&frame(60)));
        let (merging, losses, mut pool) = (Merging::default(), Losses::default(), Pool::new());
        let mut taken = Vec::new();
        while port.receiving.receive(&mut pool, &mut taken, crate::BATCH, &merging, &losses).unwrap() > 0 {}
        let lost = 100_000 - taken.len() as u64;
        assert!(lost > 0);
        assert_eq!(losses.received(), lost);
    }

    /// Frames that a small buffer cannot hold are whole, and no buffer grows by them.
    #[test]
    fn large_frames_are_whole_and_cost_no_memory() {
        let Some(port) = Port::open() else { return };
        ip("link set p mtu 60000");
        ip("link set w mtu 60000");
        let (merging, losses, mut pool) = (Merging::default(), Losses::default(), Pool::new());
        for len in [2000, 2048, 2049, 3000, 40_000, 60_000].repeat(20) {
            let sent: Vec<u8> =
                frame(len).into_iter().enumerate().map(|(at, byte)| byte ^ (at / 100) as u8).collect();
            let sent = [&frame(60)[..14], &sent[14..]].concat();
            port.wire.send(&sent);
            let mut taken = Vec::new();
            while taken.is_empty() {
                port.receiving.receive(&mut pool, &mut taken, 1, &merging, &losses).unwrap();
            }
            let packet = taken.remove(0);
            assert!(packet.bytes() == sent, "{len}");
            let room = packet.headroom() + packet.len() + packet.tailroom();
            assert!(room <= crate::pool::LARGE + 1024, "{room}");
            pool.give_back(packet);
        }
    }

    #[test]
    fn a_ring_is_seen_once_by_who_watches() {
        let Some(port) = Port::open() else { return };
        let (mut seen, mut calls) = (0, 0);
        port.receiving.watch_ring(&mut seen, |_| calls += 1);
        port.receiving.take_ring().unwrap();
        (0..2).for_each(|_| port.receiving.watch_ring(&mut seen, |_| calls += 1));
        assert_eq!(calls, 1);
    }
}
