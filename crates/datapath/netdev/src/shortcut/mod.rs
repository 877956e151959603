//! Flows whose packets the kernel forwards itself, with no way through this process: the short cut of those that are hot.
//!
//! A worker that has many packets of a flow may hand it over ([`Shortcuts::add`]), where programs in the kernel can tell its
//! frames ([`key`]) and do what it says: put on or take off a tag, and send by one device. Until the flow ends
//! ([`Shortcuts::remove`], [`Shortcuts::end_device`]), the kernel counts its packets; all others, and those of flows older than
//! the fence, come to the worker as ever. So do the first ones until the worker has sent them ([`Shortcuts::sent`]), so that their
//! order is kept.
//!
//! Who captures at a device sees its frames, what shapes and filters there does so, and cutting and checksums are left to
//! devices as between other devices of the kernel.

mod board;
mod key;
mod program;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flow::{FlowKey, FlowMask};
use netlink::bpf::{self, Table};

use board::{Board, Layout, MASKS};
use key::{LEN, Pattern};
use program::{Parts, Programs};

use crate::mapping::Mapping;
use crate::socket;

/// How long the place of a flow, or of a mask, stays empty: until no program can be at the one that had it.
const REST: Duration = Duration::from_secs(1);

/// Packets a second of one device, shorter than [`SHORT`] on average, that are better shared between the processor that
/// receives and the worker's.
const MANY: f64 = 50_000.0;
const SHORT: u64 = 300;

/// Whether so many packets, with so many bytes, that came by one device within this time are better forwarded by a worker.
pub fn is_flood(packets: u64, bytes: u64, within: Duration) -> bool {
    packets as f64 > MANY * within.as_secs_f64() && bytes < packets * SHORT
}

/// After how many reviews without packets a flow is the worker's again: each costs all frames of its device a lookup.
const IDLE_REVIEWS: u32 = 10;

/// Packets a second, longer than [`LONG`] on average, that are better merged where they can be; where they are longer than
/// [`MERGED`], they are.
const SEGMENTS: f64 = 2_000.0;
const LONG: u64 = 1000;
const MERGED: u64 = 3000;

/// Where a flow's packets come in and what is done with them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// The number of the device that they come in by.
    pub from: u32,
    /// The number of the one that they leave by.
    pub to: u32,
    /// What is done to the tag before.
    pub tag: Tagging,
    /// The greatest length that may leave, in bytes from the Ethernet header on, a tag not counted.
    pub max_len: u32,
}

/// What is done to the tag of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tagging {
    /// Nothing.
    Keep,
    /// It is taken off.
    Pop,
    /// One of 802.1Q is put on.
    Push {
        /// Priority and VLAN.
        tci: u16,
    },
}

/// What the kernel has counted of a flow since it was asked last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their TCP flags, or-ed.
    pub tcp_flags: u16,
}

/// A flow that was handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shortcut {
    place: u32,
    generation: u32,
}

/// The devices by which many segments come that the kernel forwards.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Segments {
    /// One by one: they are better merged.
    pub single: HashSet<u32>,
    /// As trains.
    pub merged: HashSet<u32>,
}

/// What becomes of a flow that is to be handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handing {
    /// The kernel forwards it from here on.
    Done(Shortcut),
    /// It may be tried again later.
    NotNow,
    /// The kernel cannot.
    Never,
}

/// How a flow ended that was handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It may be handed over again.
    Again,
    /// Its packets are many and short: not before some time.
    Later,
}

/// The kernel's part of a datapath, where the process has the right to it.
#[derive(Debug)]
pub struct Shortcuts(Option<Kernel>);

#[derive(Debug)]
struct Kernel {
    board: Board,
    table: Table<LEN>,
    programs: Programs,
    state: Mutex<State>,
    /// Held while one socket takes over from another.
    change: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The masks.
    masks: [Mask; MASKS],
    flows: HashMap<u32, Handed>,
    free: Vec<u32>,
    /// Places of flows that ended, and since when.
    resting: VecDeque<(u32, Instant)>,
    is_closed: bool,
    is_forbidden: bool,
    /// When all flows were reviewed last.
    reviewed: Option<Instant>,
}

/// A mask, and how many flows have it by their device's gate.
#[derive(Debug)]
struct Mask {
    bits: [u8; LEN],
    users: HashMap<u32, usize>,
    /// Since when it has none.
    unused: Option<Instant>,
}

impl Default for Mask {
    fn default() -> Mask {
        Mask { bits: [0; LEN], users: HashMap::new(), unused: None }
    }
}

/// A flow that was handed over, or has ended since and was not taken back.
#[derive(Debug)]
struct Handed {
    key: [u8; LEN],
    mask: usize,
    from: u32,
    to: u32,
    /// Reviews without a packet.
    idle: u32,
    /// What the place had counted when the flow's owner asked last.
    packets: u64,
    bytes: u64,
    /// The same when all were reviewed last.
    reviewed: (u64, u64),
    ended: Option<Ending>,
}

impl Shortcuts {
    /// None: all flows stay with the workers.
    pub fn none() -> Shortcuts {
        Shortcuts(None)
    }

    /// Loads the programs. Errors are the kernel's: this process may not, or the kernel is older than 5.5.
    pub fn open() -> io::Result<Shortcuts> {
        let layout = Layout::new(processors());
        let memory = bpf::make_shared_memory(layout.size() as u32)?;
        let mapping = Mapping::shared(&memory, layout.size(), 0)?;
        let board = Board::new(mapping, layout)?;
        let table = Table::new(layout.flows)?;
        let process = RandomState::new().build_hasher().finish() as i32 & i32::MAX;
        let parts = Parts { board: memory.as_fd(), layout, table: table.as_fd(), process };
        let programs = Programs::load(&parts)?;
        let state = State { free: (0..layout.flows).rev().collect(), ..State::default() };
        Ok(Shortcuts(Some(Kernel {
            board,
            table,
            programs,
            state: Mutex::new(state),
            change: Mutex::default(),
        })))
    }

    /// The filter for packet sockets.
    pub(crate) fn filter(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|kernel| kernel.programs.filter.as_fd())
    }

    /// The classifier for what their devices receive.
    pub(crate) fn ingress(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|kernel| kernel.programs.ingress.as_fd())
    }

    /// The frames of a device that one socket has taken until now the other takes from here on, or the part of them that `filter`
    /// lets it. No frame is lost or taken twice; without the right to load programs, those that come between two calls are lost.
    /// `newer` is deaf, and was bound to the device after `older`, which is deaf in the end.
    pub(crate) fn hand_over(
        &self,
        older: &OwnedFd,
        newer: &OwnedFd,
        filter: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let Some(kernel) = &self.0 else {
            socket::turn_deaf(older)?;
            return socket::hear(newer, filter);
        };
        let programs = &kernel.programs;
        let _one_at_a_time = kernel.change.lock().unwrap_or_else(PoisonError::into_inner);
        kernel.board.clear_words();
        socket::hear(newer, Some(programs.waiting.as_fd()))?;
        socket::hear(older, Some(programs.yielding.as_fd()))?;
        socket::hear(newer, Some(programs.taking.as_fd()))?;
        socket::turn_deaf(older)?;
        socket::hear(newer, filter)
    }

    /// Packets of flows with a lesser version come to the workers from here on.
    pub fn raise_fence(&self, version: u64) {
        if let Some(kernel) = &self.0 {
            kernel.board.raise_fence(version);
        }
    }

    /// Hands over a flow, if it is one that the kernel can forward. Its packets are counted until it is removed.
    pub fn add(&self, key: &FlowKey, mask: &FlowMask, way: &Way, version: u64) -> Handing {
        let Some(kernel) = &self.0 else { return Handing::Never };
        let Some(pattern) = Pattern::new(key, mask, way.from) else { return Handing::Never };
        let mut state = kernel.state();
        if state.is_closed || state.is_forbidden {
            return Handing::NotNow;
        }
        state.add(kernel, pattern, way, version).map_or(Handing::NotNow, Handing::Done)
    }

    /// The flow is known to be right by newer rules.
    pub fn confirm(&self, shortcut: Shortcut, version: u64) {
        if let Some(kernel) = &self.0
            && let Some(Handed { ended: None, .. }) = kernel.state().flows.get(&shortcut.place)
        {
            kernel.board.set_version(shortcut.place, version);
        }
    }

    /// How many packets of the flow have come to the worker, and were not forwarded by the kernel, since it was handed over.
    pub fn received(&self, shortcut: Shortcut) -> Option<u64> {
        self.board_of(shortcut).map(|board| board.received(shortcut.place))
    }

    /// The worker has sent so many of these: if no others have come meanwhile, the kernel forwards from here on.
    pub fn sent(&self, shortcut: Shortcut, packets: u64) {
        if let Some(board) = self.board_of(shortcut) {
            board.set_sent(shortcut.place, packets);
        }
    }

    /// Where the flow is, unless it has ended.
    fn board_of(&self, shortcut: Shortcut) -> Option<&Board> {
        let board = &self.0.as_ref()?.board;
        (board.generation(shortcut.place) == shortcut.generation).then_some(board)
    }

    /// What was counted of the flow, and how it has ended, if it has: it is to be removed then.
    pub fn take(&self, shortcut: Shortcut) -> (Counted, Option<Ending>) {
        let Some(kernel) = &self.0 else { return (Counted::default(), Some(Ending::Again)) };
        kernel.state().take(kernel, shortcut.place)
    }

    /// Ends a flow; what was counted of it since it was asked last.
    pub fn remove(&self, shortcut: Shortcut) -> Counted {
        let Some(kernel) = &self.0 else { return Counted::default() };
        let mut state = kernel.state();
        state.end(kernel, shortcut.place, Ending::Again);
        let (counted, _) = state.take(kernel, shortcut.place);
        state.flows.remove(&shortcut.place);
        state.resting.push_back((shortcut.place, Instant::now()));
        counted
    }

    /// Ends all flows from and to a device.
    pub fn end_device(&self, ifindex: u32) {
        self.end_where(|flow| flow.from == ifindex || flow.to == ifindex);
    }

    /// Ends one flow; its owner removes it later.
    pub fn end(&self, shortcut: Shortcut) {
        if let Some(kernel) = &self.0 {
            kernel.state().end(kernel, shortcut.place, Ending::Again);
        }
    }

    /// Takes flows, or takes none for a while.
    pub fn allow(&self, is_allowed: bool) {
        let Some(kernel) = &self.0 else { return };
        let was_forbidden = std::mem::replace(&mut kernel.state().is_forbidden, !is_allowed);
        if !is_allowed && !was_forbidden {
            self.end_all();
        }
    }

    /// Ends all flows; they may be handed over again.
    pub fn end_all(&self) {
        self.end_where(|_| true);
    }

    /// Ends all flows and takes no more.
    pub fn close(&self) {
        if let Some(kernel) = &self.0 {
            kernel.state().is_closed = true;
        }
        self.end_all();
    }

    fn end_where(&self, is_meant: impl Fn(&Handed) -> bool) {
        if let Some(kernel) = &self.0 {
            kernel.state().end_where(kernel, Ending::Again, is_meant);
        }
    }

    /// The devices that flows come from.
    pub fn sources(&self) -> HashSet<u32> {
        let Some(kernel) = &self.0 else { return HashSet::new() };
        let state = kernel.state();
        state.flows.values().filter(|flow| flow.ended.is_none()).map(|flow| flow.from).collect()
    }

    /// Whether there is nothing to be reviewed.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|kernel| kernel.state().flows.values().all(|flow| flow.ended.is_some()))
    }

    /// Ends flows that a worker serves better, which floods are not where the kernel `takes_floods`. To be called again and again
    /// while there are some.
    pub fn review(&self, now: Instant, takes_floods: bool) -> Segments {
        self.0.as_ref().map(|kernel| kernel.state().review(kernel, now, takes_floods)).unwrap_or_default()
    }
}

impl Kernel {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, kernel: &Kernel, pattern: Pattern, way: &Way, version: u64) -> Option<Shortcut> {
        let place = self.free_place(&kernel.board)?;
        let mask = self.mask(kernel, &pattern.mask)?;
        let mut key = pattern.key;
        key.get_mut(key::MASK_NUMBER..)?.copy_from_slice(&(mask as u32).to_ne_bytes());
        kernel.board.put_flow(place, way);
        kernel.board.set_version(place, version);
        let (packets, bytes) = kernel.board.counted(place);
        let generation = kernel.board.generation(place);
        let number = program::number(place, generation);
        if let Err(error) = kernel.table.insert(&key, number) {
            log::debug!(target: "netdev_linux", "a flow is not forwarded by the kernel ({})", base::error_text(&error));
            kernel.board.set_version(place, 0);
            return None;
        }
        self.free.pop();
        self.use_mask(kernel, mask, way.from);
        let (from, to) = (way.from, way.to);
        let reviewed = (packets, bytes);
        self.flows
            .insert(place, Handed { key, mask, from, to, idle: 0, packets, bytes, reviewed, ended: None });
        Some(Shortcut { place, generation })
    }

    /// The last of the free places.
    fn free_place(&mut self, board: &Board) -> Option<u32> {
        while let Some(&(place, since)) = self.resting.front()
            && since.elapsed() >= REST
        {
            self.resting.pop_front();
            board.next_generation(place);
            self.free.push(place);
        }
        self.free.last().copied()
    }

    /// The number of a mask.
    fn mask(&mut self, kernel: &Kernel, bits: &[u8; LEN]) -> Option<usize> {
        if let Some(known) = self.masks.iter().position(|mask| mask.bits == *bits) {
            return Some(known);
        }
        let has_rested = |mask: &Mask| mask.unused.is_none_or(|since| since.elapsed() >= REST);
        let unused = self.masks.iter().position(|mask| mask.users.is_empty() && has_rested(mask))?;
        self.masks.get_mut(unused)?.bits = *bits;
        kernel.board.put_mask(unused, bits);
        Some(unused)
    }

    /// Frames of the device are looked up under the mask from here on.
    fn use_mask(&mut self, kernel: &Kernel, mask: usize, ifindex: u32) {
        let gate = gate_of(ifindex);
        if let Some(mask) = self.masks.get_mut(mask) {
            *mask.users.entry(gate).or_default() += 1;
        }
        self.set_gate(kernel, gate);
    }

    fn set_gate(&self, kernel: &Kernel, gate: u32) {
        let bit = |(index, mask): (usize, &Mask)| if mask.users.contains_key(&gate) { 1 << index } else { 0 };
        kernel.board.set_gate(gate, self.masks.iter().enumerate().map(bit).fold(0, |bits, bit| bits | bit));
    }

    /// Packets of the flow come to its worker from here on.
    fn end(&mut self, kernel: &Kernel, place: u32, ending: Ending) {
        let Some(flow) = self.flows.get_mut(&place).filter(|flow| flow.ended.is_none()) else { return };
        flow.ended = Some(ending);
        kernel.board.set_version(place, 0);
        kernel.board.next_generation(place);
        let _ = kernel.table.remove(&flow.key);
        let (mask, gate) = (flow.mask, gate_of(flow.from));
        if let Some(mask) = self.masks.get_mut(mask)
            && let Some(users) = mask.users.get_mut(&gate)
        {
            *users -= 1;
            if *users == 0 {
                mask.users.remove(&gate);
                mask.unused = Some(Instant::now());
                self.set_gate(kernel, gate);
            }
        }
    }

    fn end_where(&mut self, kernel: &Kernel, ending: Ending, is_meant: impl Fn(&Handed) -> bool) {
        let meant = |(place, flow): (&u32, &Handed)| is_meant(flow).then_some(*place);
        for place in self.flows.iter().filter_map(meant).collect::<Vec<_>>() {
            self.end(kernel, place, ending);
        }
    }

    fn take(&mut self, kernel: &Kernel, place: u32) -> (Counted, Option<Ending>) {
        let Some(flow) = self.flows.get_mut(&place) else { return (Counted::default(), Some(Ending::Again)) };
        let (packets, bytes) = kernel.board.counted(place);
        let counted = Counted {
            packets: packets.wrapping_sub(flow.packets),
            bytes: bytes.wrapping_sub(flow.bytes),
            tcp_flags: kernel.board.take_tcp_flags(place),
        };
        (flow.packets, flow.bytes) = (packets, bytes);
        (counted, flow.ended)
    }

    fn review(&mut self, kernel: &Kernel, now: Instant, takes_floods: bool) -> Segments {
        let elapsed = self.reviewed.replace(now).map(|before| now.saturating_duration_since(before));
        let mut sources: HashMap<u32, (u64, u64)> = HashMap::new();
        let mut segments = Segments::default();
        let elapsed = elapsed.filter(|elapsed| *elapsed < REST);
        for (&place, flow) in &mut self.flows {
            let (packets, bytes) = kernel.board.counted(place);
            let before = std::mem::replace(&mut flow.reviewed, (packets, bytes));
            let (packets, bytes) = (packets.wrapping_sub(before.0), bytes.wrapping_sub(before.1));
            flow.idle = if packets > 0 { 0 } else { flow.idle + 1 };
            let Some(elapsed) = elapsed else { continue };
            let sum = sources.entry(flow.from).or_default();
            *sum = (sum.0 + packets, sum.1 + bytes);
            if packets as f64 > SEGMENTS * elapsed.as_secs_f64() && bytes > packets * LONG {
                let known =
                    if bytes > packets * MERGED { &mut segments.merged } else { &mut segments.single };
                known.insert(flow.from);
            }
        }
        self.end_where(kernel, Ending::Again, |flow| flow.idle >= IDLE_REVIEWS);
        for (source, (packets, bytes)) in sources {
            if !takes_floods && elapsed.is_some_and(|elapsed| is_flood(packets, bytes, elapsed)) {
                self.end_where(kernel, Ending::Later, |flow| flow.from == source);
            }
        }
        segments
    }
}

/// The gate of a device.
fn gate_of(ifindex: u32) -> u32 {
    ifindex & (board::GATES - 1)
}

/// How many processors there may be.
fn processors() -> u32 {
    // "0-7", or a list of such ranges.
    let possible = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = possible.trim().rsplit([',', '-']).next().and_then(|last| last.parse::<u32>().ok());
    last.map_or_else(
        || std::thread::available_parallelism().map_or(1, |count| count.get() as u32),
        |last| last + 1,
    )
}

#[cfg(test)]
mod tests;
