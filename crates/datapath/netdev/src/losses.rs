//! Frames that a device lost: those that the kernel did not take, and those that came in and were of no use.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use dp::{DropReason, Packet};

/// How many frames the kernel refused, by whether it may have counted them at the device too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Refused {
    /// Refused before the device knew of them.
    uncounted: u64,
    /// Refused by the device or its queue, which may keep a count.
    perhaps_counted: u64,
}

impl Refused {
    /// Frames for a device that were dropped, each once. `before` and `counted` are what the device had counted when it
    /// was opened, and has now.
    ///
    /// Of a frame that was refused by the device or its queue nobody says whether the device has counted it: a veth whose
    /// peer is down does, a queueing discipline does not. A device that counts at all counts all of these.
    pub(crate) fn total(self, before: u64, counted: u64) -> u64 {
        let since_opened = counted.saturating_sub(before);
        before.min(counted) + since_opened.max(self.perhaps_counted) + self.uncounted
    }
}

/// What one device lost.
#[derive(Debug)]
pub(crate) struct Losses {
    uncounted: AtomicU64,
    perhaps_counted: AtomicU64,
    /// By the number of the reason.
    by_reason: [AtomicU64; DropReason::COUNT],
}

impl Default for Losses {
    fn default() -> Losses {
        Losses {
            uncounted: AtomicU64::new(0),
            perhaps_counted: AtomicU64::new(0),
            by_reason: [const { AtomicU64::new(0) }; DropReason::COUNT],
        }
    }
}

impl Losses {
    /// Takes note that sending `packets` failed with `error`.
    pub(crate) fn refused(&self, packets: &[Packet], error: &io::Error) {
        for packet in packets {
            self.refused_one(packet, error);
        }
    }

    pub(crate) fn refused_one(&self, packet: &Packet, error: &io::Error) {
        let reason = match error.raw_os_error() {
            Some(libc::EMSGSIZE) => DropReason::TxMtuExceeded,
            Some(libc::EINVAL) if packet.offload.is_none() => DropReason::TxMtuExceeded,
            Some(libc::EINVAL) => DropReason::TxInvalidOffload,
            _ => DropReason::TxFailure,
        };
        self.refused_frames(1, reason, error);
    }

    /// The same for frames that are not at hand any more.
    pub(crate) fn refused_frames(&self, frames: u64, reason: DropReason, error: &io::Error) {
        let counter = match error.raw_os_error() {
            Some(
                libc::EAGAIN
                | libc::ENETDOWN
                | libc::ENXIO
                | libc::ENODEV
                | libc::EMSGSIZE
                | libc::EINVAL
                | libc::ENOMEM,
            ) => &self.uncounted,
            _ => &self.perhaps_counted,
        };
        counter.fetch_add(frames, Ordering::Relaxed);
        self.count(reason, frames);
    }

    /// Counts `frames` for `reason`, here and for everybody to see.
    pub(crate) fn count(&self, reason: DropReason, frames: u64) {
        if frames != 0 {
            self.by_reason[reason as usize].fetch_add(frames, Ordering::Relaxed);
            reason.count(frames);
        }
    }

    /// Takes note that a policer let `frames` not out.
    pub(crate) fn policed(&self, frames: u64) {
        self.uncounted.fetch_add(frames, Ordering::Relaxed);
        self.count(DropReason::TxPolicing, frames);
    }

    pub(crate) fn get(&self) -> Refused {
        Refused {
            uncounted: self.uncounted.load(Ordering::Relaxed),
            perhaps_counted: self.perhaps_counted.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn of(&self, reason: DropReason) -> u64 {
        self.by_reason[reason as usize].load(Ordering::Relaxed)
    }

    /// Frames that came in and were lost here, of which the device knows nothing.
    pub(crate) fn received(&self) -> u64 {
        [DropReason::RxInvalid, DropReason::RxQueueFull, DropReason::RxPolicing]
            .into_iter()
            .map(|reason| self.of(reason))
            .sum()
    }

    /// The counters of reasons for which there was a loss, by their names in the statistics of ports.
    pub(crate) fn counters(&self) -> Vec<(String, u64)> {
        let named = |reason: &DropReason| Some((reason.port_counter()?.to_owned(), self.of(*reason)));
        DropReason::ALL.iter().filter_map(named).filter(|(_, count)| *count != 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_the_device_counted_too_is_one_frame() {
        let counters = Losses::default();
        let lose = |frames: usize, errno: i32| {
            counters.refused(&vec![Packet::default(); frames], &io::Error::from_raw_os_error(errno));
        };
        lose(10, libc::ENOBUFS);
        assert_eq!(counters.get().total(7, 17), 17, "the device counted them");
        assert_eq!(counters.get().total(7, 7), 17, "its queue dropped them and told nobody");
        lose(3, libc::ENETDOWN);
        assert_eq!(counters.get().total(7, 17), 20, "these never reached the device");
        assert_eq!(Refused::default().total(7, 9), 9, "the device drops without a word");
        assert_eq!(Refused::default().total(7, 0), 0, "another device of this name");
    }

    #[test]
    fn each_error_has_its_reason() {
        let losses = Losses::default();
        let plain = Packet::from_bytes(&[0; 60]);
        let mut offloaded = plain.clone();
        offloaded.offload.checksum = Some((14, 6));
        for (packet, errno) in [
            (&plain, libc::EMSGSIZE),
            (&plain, libc::EINVAL),
            (&offloaded, libc::EINVAL),
            (&plain, libc::ENOBUFS),
            (&plain, libc::EAGAIN),
            (&plain, libc::EIO),
        ] {
            losses.refused_one(packet, &io::Error::from_raw_os_error(errno));
        }
        let expected =
            [("ovs_tx_failure_drops", 3), ("ovs_tx_mtu_exceeded_drops", 2), ("ovs_tx_invalid_hwol_drops", 1)];
        assert_eq!(losses.counters(), expected.map(|(name, count)| (name.to_owned(), count)));
        assert!(DropReason::TxFailure.total() >= 3);
    }
}
