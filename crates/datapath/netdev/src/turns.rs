//! Whose turn it is: memory that is shared with the kernel belongs to one side at a time, and goes over to the other one
//! with a number that is stored with release ordering and loaded with acquire ordering.

use crate::sync::{AtomicU32, Ordering};

/// The two indices of a ring of entries that one side writes and the other one takes (AF_XDP). They only grow, and wrap.
pub(crate) struct Indices<'a> {
    /// How many entries were written.
    pub(crate) producer: &'a AtomicU32,
    /// How many of them were taken.
    pub(crate) consumer: &'a AtomicU32,
}

impl Indices<'_> {
    /// For who writes: all entries before `position` are written and go over to the other side.
    pub(crate) fn publish(&self, position: u32) {
        self.producer.store(position, Ordering::Release);
    }

    /// For who writes: how many entries before `position` the other side has not taken. Places of the others may be
    /// written again.
    pub(crate) fn waiting(&self, position: u32) -> u32 {
        position.wrapping_sub(self.consumer.load(Ordering::Acquire))
    }

    /// For who takes: how many entries from `position` on, where the taker stands, are written and may be read.
    pub(crate) fn written(&self, position: u32) -> u32 {
        self.producer.load(Ordering::Acquire).wrapping_sub(position)
    }

    /// For who takes: all entries before `position` are read, and their places go back.
    pub(crate) fn release(&self, position: u32) {
        self.consumer.store(position, Ordering::Release);
    }
}

/// The status of a slot that the kernel fills and this side empties (packet(7)).
pub(crate) struct Slot<'a>(pub(crate) &'a AtomicU32);

/// The slot is the kernel's.
const STATUS_KERNEL: u32 = 0;
/// The slot is this side's; other bits say more.
pub(crate) const STATUS_USER: u32 = 1;

impl Slot<'_> {
    /// The status where the slot is filled: its bytes may be read until it is given back.
    pub(crate) fn filled(&self) -> Option<u32> {
        let status = self.0.load(Ordering::Acquire);
        (status & STATUS_USER != 0).then_some(status)
    }

    /// The slot is the kernel's from here on.
    pub(crate) fn give_back(&self) {
        self.0.store(STATUS_KERNEL, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_wrap() {
        let (producer, consumer) = (AtomicU32::new(u32::MAX), AtomicU32::new(u32::MAX));
        let ring = Indices { producer: &producer, consumer: &consumer };
        assert_eq!(ring.written(u32::MAX), 0);
        ring.publish(1);
        assert_eq!([u32::MAX, 0, 1].map(|position| ring.written(position)), [2, 1, 0]);
        assert_eq!(ring.waiting(1), 2);
        ring.release(0);
        assert_eq!(ring.waiting(1), 1);
    }

    #[test]
    fn a_slot_is_read_while_it_is_filled() {
        const LOSING: u32 = 1 << 2;
        let status = AtomicU32::new(STATUS_KERNEL);
        let slot = Slot(&status);
        assert_eq!(slot.filled(), None);
        status.store(STATUS_USER | LOSING, Ordering::Relaxed);
        assert_eq!(slot.filled(), Some(STATUS_USER | LOSING));
        slot.give_back();
        assert_eq!(slot.filled(), None);
    }
}
