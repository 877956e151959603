//! A lock that must not be held while the kernel is asked.
//!
//! Packets wait while the lock over the bridges is held, and a system call may take as long as the kernel likes. Whoever
//! takes that lock keeps a [`Held`] beside the guard; whoever is about to ask the kernel says so by [`about_to_wait`].
//! Builds with debug assertions, which all tests are, find those that do both at once; in others nothing is done.

use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

/// Says that this thread holds the lock, as long as it exists.
#[derive(Debug)]
pub struct Held {
    /// It belongs to the thread that made it.
    _here: std::marker::PhantomData<*const ()>,
}

impl Held {
    /// Nothing is held yet.
    #[inline]
    pub fn new() -> Held {
        if cfg!(debug_assertions) {
            COUNT.with(|count| count.set(count.get() + 1));
        }
        Held { _here: std::marker::PhantomData }
    }
}

impl Default for Held {
    fn default() -> Held {
        Held::new()
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        if cfg!(debug_assertions) {
            COUNT.with(|count| count.set(count.get().saturating_sub(1)));
        }
    }
}

/// Asserts, in debug builds, that nobody waits for this thread while it does `what`.
#[inline]
#[track_caller]
pub fn about_to_wait(what: &str) {
    debug_assert_eq!(COUNT.with(Cell::get), 0, "{what} while the bridges are locked");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "asking a device while the bridges are locked")]
    fn waiting_with_the_lock_is_found() {
        let _held = Held::new();
        about_to_wait("asking a device");
    }

    #[test]
    fn waiting_after_it_or_on_another_thread_is_right() {
        drop(Held::new());
        about_to_wait("asking a device");
        let _held = Held::new();
        std::thread::spawn(|| about_to_wait("asking a device")).join().unwrap();
    }
}
