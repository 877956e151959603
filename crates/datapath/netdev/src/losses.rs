//! Frames that the kernel did not take.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many frames the kernel refused, by whether it may have counted them at the device too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Refused {
    /// Refused before the device knew of them.
    pub uncounted: u64,
    /// Refused by the device or its queue, which may keep a count.
    pub perhaps_counted: u64,
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

/// The counters behind [`Refused`].
#[derive(Debug, Default)]
pub(crate) struct RefusedCounters {
    uncounted: AtomicU64,
    perhaps_counted: AtomicU64,
}

impl RefusedCounters {
    /// Takes note that sending `frames` failed with `error`.
    pub(crate) fn add(&self, frames: u64, error: &io::Error) {
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
    }

    pub(crate) fn get(&self) -> Refused {
        Refused {
            uncounted: self.uncounted.load(Ordering::Relaxed),
            perhaps_counted: self.perhaps_counted.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_the_device_counted_too_is_one_frame() {
        let counters = RefusedCounters::default();
        counters.add(10, &io::Error::from_raw_os_error(libc::ENOBUFS));
        assert_eq!(counters.get().total(7, 17), 17, "the device counted them");
        assert_eq!(counters.get().total(7, 7), 17, "its queue dropped them and told nobody");
        counters.add(3, &io::Error::from_raw_os_error(libc::ENETDOWN));
        assert_eq!(counters.get().total(7, 17), 20, "these never reached the device");
        assert_eq!(Refused::default().total(7, 9), 9, "the device drops without a word");
        assert_eq!(Refused::default().total(7, 0), 0, "another device of this name");
    }
}
