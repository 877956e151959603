//! What the programs in the kernel and this process share: one piece of memory.
//!
//! | bytes from | what |
//! |---|---|
//! | 0 | the fence: flows of a lesser version are not used |
//! | 64 | masks, of 64 bytes each |
//! | 1024 | gates, of a byte each: which masks the flows have that come from devices of one gate |
//! | 2048 | flows, of 64 bytes each |
//! | behind | counters, of 32 bytes for each flow and processor |
//! | behind | words that filters of two sockets leave for each other, of 64 bytes for each processor |

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::key::LEN;
use super::{Tagging, Way};
use crate::mapping::Mapping;

/// Masks at most, a bit of a gate for each: what is not forwarded by the kernel is looked up under all of its gate.
pub(super) const MASKS: usize = 8;

/// Gates; a device has that of its number's low bits.
pub(super) const GATES: u32 = 1024;

pub(super) const FENCE: usize = 0;
pub(super) const MASK_PLACE: usize = 64;
pub(super) const GATE_PLACE: usize = 1024;
pub(super) const FLOW_PLACE: usize = GATE_PLACE + GATES as usize;
/// log2 of the bytes of a flow, and of one processor's counters of it.
pub(super) const FLOW_SHIFT: i32 = 6;
pub(super) const COUNTER_SHIFT: i32 = 5;

/// log2 of the bytes of a processor's word.
pub(super) const WORD_SHIFT: i32 = 6;
/// The word of the newer of two sockets: the frame is the older one's.
pub(super) const LEFT: i32 = 0;
/// It is the newer one's.
pub(super) const TAKEN: i32 = 1;
/// The newer one's filter has stamped it, with what stands behind.
pub(super) const WITH_STAMP: i32 = 2;
pub(super) const WORD_FLOW: i16 = 4;
pub(super) const WORD_FLAGS: i16 = 8;

/// Where a flow's parts are.
pub(super) const VERSION: i16 = 0;
pub(super) const IFINDEX: i16 = 8;
pub(super) const STEPS: i16 = 12;
pub(super) const GENERATION: i16 = 16;
pub(super) const MAX_LEN: i16 = 20;
pub(super) const TCI: i16 = 24;
/// How many packets that the flow matches the socket has got since the flow was handed over, and of how many of these the worker
/// knows that they have been sent. While the two differ, more go that way.
pub(super) const RECEIVED: i16 = 32;
pub(super) const SENT: i16 = 40;

/// The bit of [`GENERATION`] that says that the flow has ended, and its place is no other's yet.
pub(super) const ENDED: i32 = 1;

/// Where a processor's counters are.
pub(super) const PACKETS: i16 = 0;
pub(super) const BYTES: i16 = 8;
pub(super) const TCP_FLAGS: i16 = 16;

/// [`STEPS`]: the tag is taken off before.
pub(super) const POP: u32 = 1;
/// A tag is put on before.
pub(super) const PUSH: u32 = 2;

/// How much there is of what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    /// A power of two.
    pub(super) flows: u32,
    /// Processors that count; a power of two.
    pub(super) processors: u32,
}

impl Layout {
    /// For processors with numbers below this.
    pub(super) fn new(processors: u32) -> Layout {
        /// Of counters.
        const MOST: u32 = 1 << 16;
        let processors = processors.max(1).next_power_of_two();
        Layout { flows: (MOST / processors).clamp(16, 1024), processors }
    }

    pub(super) fn counter_place(self) -> usize {
        FLOW_PLACE + ((self.flows as usize) << FLOW_SHIFT)
    }

    pub(super) fn word_place(self) -> usize {
        self.counter_place() + (((self.flows * self.processors) as usize) << COUNTER_SHIFT)
    }

    pub(super) fn size(self) -> usize {
        self.word_place() + ((self.processors as usize) << WORD_SHIFT)
    }
}

/// The memory.
#[derive(Debug)]
pub(super) struct Board {
    mapping: Mapping,
    pub(super) layout: Layout,
}

impl Board {
    pub(super) fn new(mapping: Mapping, layout: Layout) -> io::Result<Board> {
        // Then all places below are in it, too.
        mapping.at::<u64>(layout.size() - 8).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Board { mapping, layout })
    }

    fn double(&self, offset: usize) -> Option<&AtomicU64> {
        // SAFETY: the place lies in the mapping, which lives as long as this; all sides use it as atomic numbers alone.
        self.mapping.at::<u64>(offset).map(|place| unsafe { AtomicU64::from_ptr(place) })
    }

    fn word(&self, offset: usize) -> Option<&AtomicU32> {
        // SAFETY: as above.
        self.mapping.at::<u32>(offset).map(|place| unsafe { AtomicU32::from_ptr(place) })
    }

    fn put(&self, offset: usize, value: u32) {
        if let Some(place) = self.word(offset) {
            place.store(value, Ordering::Relaxed);
        }
    }

    /// Flows of a lesser version are not used from here on.
    pub(super) fn raise_fence(&self, version: u64) {
        if let Some(fence) = self.double(FENCE) {
            fence.fetch_max(version, Ordering::AcqRel);
        }
    }

    /// Writes a mask, before a gate has it.
    pub(super) fn put_mask(&self, index: usize, mask: &[u8; LEN]) {
        for (at, word) in mask.chunks_exact(8).enumerate() {
            if let (Some(place), Ok(word)) = (self.double(MASK_PLACE + index * LEN + at * 8), word.try_into())
            {
                place.store(u64::from_ne_bytes(word), Ordering::Relaxed);
            }
        }
    }

    /// The masks, a bit for each, under which frames of this gate are looked up from here on.
    pub(super) fn set_gate(&self, gate: u32, masks: u8) {
        if let Some(place) = self.mapping.at::<u8>(GATE_PLACE + gate as usize) {
            // SAFETY: as above.
            unsafe { AtomicU8::from_ptr(place) }.store(masks, Ordering::Release);
        }
    }

    /// No filter has a word for another one.
    pub(super) fn clear_words(&self) {
        for processor in 0..self.layout.processors as usize {
            self.put(self.layout.word_place() + (processor << WORD_SHIFT), LEFT as u32);
        }
    }

    fn flow(&self, flow: u32) -> usize {
        FLOW_PLACE + ((flow as usize) << FLOW_SHIFT)
    }

    /// Writes a flow, which nobody uses before its version is set. Its packets come to the worker before [`Board::set_sent`].
    pub(super) fn put_flow(&self, flow: u32, way: &Way) {
        let begin = self.flow(flow);
        let (steps, tci) = match way.tag {
            Tagging::Keep => (0, 0),
            Tagging::Pop => (POP, 0),
            Tagging::Push { tci } => (PUSH, tci),
        };
        self.put_double(begin + RECEIVED as usize, 0);
        self.set_sent(flow, u64::MAX);
        self.put(begin + IFINDEX as usize, way.to);
        self.put(begin + STEPS as usize, steps);
        self.put(begin + MAX_LEN as usize, way.max_len);
        self.put(begin + TCI as usize, u32::from(tci));
    }

    fn put_double(&self, offset: usize, value: u64) {
        if let Some(place) = self.double(offset) {
            place.store(value, Ordering::Release);
        }
    }

    /// The version of a flow; with 0 it is used no more.
    pub(super) fn set_version(&self, flow: u32, version: u64) {
        self.put_double(self.flow(flow) + VERSION as usize, version);
    }

    /// How many packets of the flow have come to the worker.
    pub(super) fn received(&self, flow: u32) -> u64 {
        self.double(self.flow(flow) + RECEIVED as usize).map_or(0, |place| place.load(Ordering::Acquire))
    }

    /// How many of these are known to have been sent.
    pub(super) fn set_sent(&self, flow: u32, packets: u64) {
        self.put_double(self.flow(flow) + SENT as usize, packets);
    }

    /// What tells this flow from those that have had its place, with [`ENDED`].
    pub(super) fn generation(&self, flow: u32) -> u32 {
        self.word(self.flow(flow) + GENERATION as usize).map_or(0, |place| place.load(Ordering::Relaxed))
    }

    /// The flow has ended: frames on their way by it are its last. Once more, and the place is another flow's: none are forwarded.
    pub(super) fn next_generation(&self, flow: u32) {
        if let Some(place) = self.word(self.flow(flow) + GENERATION as usize) {
            place.store((place.load(Ordering::Relaxed) + 1) & 0x7fff, Ordering::Release);
        }
    }

    /// All packets and bytes that were ever counted at the flow's place.
    pub(super) fn counted(&self, flow: u32) -> (u64, u64) {
        let sum = |at: i16| {
            let counts = self.counters(flow).filter_map(|begin| self.double(begin + at as usize));
            counts.fold(0u64, |sum, place| sum.wrapping_add(place.load(Ordering::Relaxed)))
        };
        (sum(PACKETS), sum(BYTES))
    }

    /// The TCP flags since this was asked last.
    pub(super) fn take_tcp_flags(&self, flow: u32) -> u16 {
        let places = self.counters(flow).filter_map(|begin| self.word(begin + TCP_FLAGS as usize));
        places.fold(0, |flags, place| flags | place.swap(0, Ordering::Relaxed)) as u16
    }

    /// Where each processor's counters of the flow are.
    fn counters(&self, flow: u32) -> impl Iterator<Item = usize> {
        let layout = self.layout;
        let first = flow * layout.processors;
        (first..first + layout.processors)
            .map(move |number| layout.counter_place() + ((number as usize) << COUNTER_SHIFT))
    }
}
