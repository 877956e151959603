//! When a device may be sent to directly ([`crate::xsk`]): for as long as
//! somebody ([`Lease::grant`], [`Lease::end`]) has seen that the kernel's
//! queueing layer would do nothing with its frames, and that nobody captures
//! them.
//!
//! A device that sends [`WORTH`] frames would like a lease; one that sends
//! little needs none, and whoever grants leases can sleep.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dp::Packet;

use crate::losses::Losses;
use crate::xsk::{self, Sender, Setup};

/// After how many frames a device asks.
const WORTH: u32 = 256;
/// A device that sends fewer frames between two reviews does not need its lease.
const LITTLE: u32 = 64;

/// Where a device stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum LeaseState {
    /// It sends little, or has not asked yet.
    Quiet,
    /// It sends much, and waits for a decision.
    Asking,
    /// Its frames go directly.
    Granted,
    /// It asked, and may ask again when it is called [`LeaseState::Quiet`].
    Refused,
    /// The kernel cannot send directly to this device.
    Barred,
}

/// The state of one device, and the socket while it has a lease.
#[derive(Debug)]
pub struct Lease {
    ifindex: u32,
    state: AtomicU8,
    /// Frames sent since it was asked last.
    frames: AtomicU32,
    sender: Mutex<Option<Sender>>,
}

impl Lease {
    pub(crate) fn new(ifindex: u32) -> Lease {
        Lease {
            ifindex,
            state: AtomicU8::new(LeaseState::Quiet as u8),
            frames: AtomicU32::new(0),
            sender: Mutex::new(None),
        }
    }

    /// Where the device stands now.
    pub fn state(&self) -> LeaseState {
        match self.state.load(Ordering::Acquire) {
            1 => LeaseState::Asking,
            2 => LeaseState::Granted,
            3 => LeaseState::Refused,
            4 => LeaseState::Barred,
            _ => LeaseState::Quiet,
        }
    }

    /// Whether the device has begun to ask just now.
    #[inline]
    pub fn begins_to_ask(&self) -> bool {
        self.frames.load(Ordering::Relaxed) >= WORTH
            && self.change(LeaseState::Quiet, LeaseState::Asking)
            && {
                self.frames.store(0, Ordering::Relaxed);
                true
            }
    }

    /// From here on frames go directly. An error refuses the lease, most errors for good.
    pub fn grant(&self) -> io::Result<()> {
        let opened = Setup::sender(self.ifindex).open();
        let mut sender = self.sender();
        self.frames.store(0, Ordering::Relaxed);
        self.set(match &opened {
            Ok(_) => LeaseState::Granted,
            // The kernel has not done with the socket before, or another program has one.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => LeaseState::Refused,
            Err(_) => LeaseState::Barred,
        });
        *sender = Some(opened?.1);
        Ok(())
    }

    /// Refuses a device that asks.
    pub fn refuse(&self) {
        self.change(LeaseState::Asking, LeaseState::Refused);
    }

    /// From here on frames are queued, and the device may ask again.
    pub fn end(&self) {
        let mut sender = self.sender();
        if self.state() != LeaseState::Barred {
            self.set(LeaseState::Quiet);
        }
        *sender = None;
    }

    /// Whether the device sends so little, since this was asked last, that it needs no lease.
    pub fn is_idle(&self) -> bool {
        self.frames.swap(0, Ordering::Relaxed) < LITTLE
    }

    /// That of a device that needs none: it has sockets of its own.
    pub(crate) fn barred(ifindex: u32) -> Lease {
        let lease = Lease::new(ifindex);
        lease.set(LeaseState::Barred);
        lease
    }

    /// Whether such a frame is sent directly where there is a lease.
    #[inline]
    pub(crate) fn takes(packet: &Packet) -> bool {
        xsk::takes(packet, xsk::SENDER_ROOM)
    }

    #[inline]
    pub(crate) fn is_granted(&self) -> bool {
        self.state() == LeaseState::Granted
    }

    #[inline]
    pub(crate) fn count(&self, frames: usize) {
        self.frames.fetch_add(frames as u32, Ordering::Relaxed);
    }

    /// Sends packets from the front on; how many are done with.
    pub(crate) fn send(&self, packets: &[Packet], losses: &Losses) -> usize {
        // Who finds another thread sending takes the other way.
        let Ok(mut sender) = self.sender.try_lock() else { return 0 };
        let Some(direct) = sender.as_mut() else { return 0 };
        let sent = direct.send(packets, losses).unwrap_or_else(|(done, error)| {
            // The device is down or gone, or its queue is full, which the queueing layer knows to handle.
            log::debug!(target: "netdev_linux", "link {}: sending directly ends ({})", self.ifindex, base::error_text(&error));
            self.set(LeaseState::Refused);
            *sender = None;
            done
        });
        self.count(sent);
        sent
    }

    fn sender(&self) -> MutexGuard<'_, Option<Sender>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: LeaseState) {
        self.state.store(state as u8, Ordering::Release);
    }

    fn change(&self, from: LeaseState, to: LeaseState) -> bool {
        self.state.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_much_asks_once() {
        let lease = Lease::new(0x7fff_fff0);
        lease.count(WORTH as usize - 1);
        assert!(!lease.begins_to_ask());
        lease.count(1);
        assert!(lease.begins_to_ask());
        lease.count(1000);
        assert!(!lease.begins_to_ask(), "it is asking");
        lease.refuse();
        assert!(!lease.begins_to_ask(), "it was refused");
        lease.end();
        assert!(lease.begins_to_ask());
        lease.count(LITTLE as usize);
        assert!(!lease.is_idle());
        assert!(lease.is_idle());
    }

    #[test]
    fn a_device_that_is_not_there_is_barred() {
        let lease = Lease::new(0x7fff_fff0);
        assert!(lease.grant().is_err());
        lease.end();
        assert_eq!(lease.state(), LeaseState::Barred);
    }

    #[test]
    fn a_device_with_a_lease_sends_directly_until_it_fails() {
        use crate::testing::{Wire, frame, has_pair, ip};
        if !has_pair("p", "w") {
            return;
        }
        let lease = Lease::new(netlink::link("p").unwrap().unwrap().index);
        let (wire, losses) = (Wire::open("w"), Losses::default());
        let packets = vec![Packet::from_bytes(&frame(60)); 2];
        assert_eq!(lease.send(&packets, &losses), 0, "it has no lease");
        lease.grant().unwrap();
        assert!(lease.is_granted());
        assert_eq!(lease.send(&packets, &losses), 2);
        assert_eq!((wire.receive(), wire.receive()), (frame(60), frame(60)));
        ip("link set p down");
        assert_eq!(lease.send(&packets, &losses), 2, "they are lost, and nobody shall send them again");
        assert_eq!(lease.state(), LeaseState::Refused);
        assert_eq!(lease.send(&packets, &losses), 0);
        lease.end();
        assert_eq!(lease.state(), LeaseState::Quiet);
    }
}
