//! Many waits for the kernel as one.
//!
//! The kernel makes whoever closes a packet socket wait until no processor looks at what was there before: some ten
//! milliseconds each. Devices that are closed together wait together.

use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many threads wait at once, the caller's among them.
const THREADS: usize = 64;
/// How many open devices at once. The kernel does most of that under one lock; more threads than these wait for it only.
const OPENERS: usize = 4;

/// Runs `act` on every item; the results are in the order of `items`, `None` where `act` panicked.
///
/// Each thread takes the next item from a queue, so one that waits long delays no other. Where no thread can be made, the
/// caller does the work itself.
pub(crate) fn for_each<T: Send, R: Send>(items: Vec<T>, act: impl Fn(T) -> R + Sync) -> Vec<Option<R>> {
    by_threads(THREADS, items, act)
}

/// The same for what waits for the kernel's lock of network devices, and for little else.
pub(crate) fn open_each<T: Send, R: Send>(items: Vec<T>, act: impl Fn(T) -> R + Sync) -> Vec<Option<R>> {
    by_threads(OPENERS, items, act)
}

fn by_threads<T: Send, R: Send>(
    threads: usize,
    items: Vec<T>,
    act: impl Fn(T) -> R + Sync,
) -> Vec<Option<R>> {
    let count = items.len();
    let queue = Mutex::new(items.into_iter().enumerate());
    let work = || {
        let mut done = Vec::new();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, item)) = next else { return done };
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| act(item)));
            done.push((index, result.ok()));
        }
    };
    let mut results: Vec<Option<R>> = Vec::new();
    results.resize_with(count, || None);
    thread::scope(|scope| {
        let helpers: Vec<_> = (1..count.min(threads))
            .map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let own = work();
        let others = helpers.into_iter().filter_map(|helper| helper.join().ok()).flatten();
        for (index, result) in own.into_iter().chain(others) {
            if let Some(place) = results.get_mut(index) {
                *place = result;
            }
        }
    });
    results
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let squares = for_each((0..1000u64).collect(), |n| n * n);
        assert_eq!(squares, (0..1000).map(|n| Some(n * n)).collect::<Vec<_>>());
        assert_eq!(for_each(Vec::<u8>::new(), |n| n), []);
    }

    #[test]
    fn all_wait_at_once() {
        // Whoever waited alone would wait for ever.
        let barrier = Barrier::new(THREADS);
        for_each(vec![(); THREADS], |()| barrier.wait());
    }

    #[test]
    fn a_panic_costs_its_own_item_alone() {
        let calls = AtomicUsize::new(0);
        let results = for_each((0..100).collect(), |n| {
            calls.fetch_add(1, Ordering::Relaxed);
            assert_ne!(n, 7, "this one fails");
            n
        });
        assert_eq!(calls.load(Ordering::Relaxed), 100);
        let failed: Vec<usize> = (0..100).filter(|&n| results[n].is_none()).collect();
        assert_eq!(failed, [7]);
        assert_eq!(results[99], Some(99));
    }
}
