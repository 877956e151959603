//! Broken internal invariants: what cannot be, unless the code itself is wrong.
//!
//! A place that would have to give up silently says [`broken!`](crate::broken)
//! first: the event is counted (`invariant_broken` in `coverage/show`), logged
//! once per place, and fails an assertion in debug builds. The program then
//! goes on as well as it can.

use std::fmt::Arguments;
use std::sync::atomic::{AtomicBool, Ordering};

crate::coverage!(static BROKEN = "invariant_broken");

/// Reports a broken invariant; the arguments are those of `format!`.
///
/// ```no_run
/// let Some(first) = [1, 2].first() else { return base::broken!("an array of two is empty") };
/// # let _ = first;
/// ```
#[macro_export]
macro_rules! broken {
    ($($what:tt)+) => {{
        static IS_LOGGED: ::std::sync::atomic::AtomicBool = ::std::sync::atomic::AtomicBool::new(false);
        $crate::invariant::report(&IS_LOGGED, ::std::format_args!($($what)+));
        ::std::debug_assert!(false, $($what)+);
    }};
}

/// Counts, and logs the first time. `is_logged` belongs to the place; called by [`broken!`](crate::broken).
#[cold]
#[track_caller]
pub fn report(is_logged: &'static AtomicBool, what: Arguments<'_>) {
    BROKEN.count();
    if !is_logged.swap(true, Ordering::Relaxed) {
        let place = std::panic::Location::caller();
        log::error!(target: "util", "internal error at {}:{}: {what}", place.file(), place.line());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_invariant_is_counted_each_time_and_logged_once() {
        static IS_LOGGED: AtomicBool = AtomicBool::new(false);
        let before = BROKEN.total();
        for _ in 0..3 {
            report(&IS_LOGGED, format_args!("two and two are five"));
        }
        assert!(BROKEN.total() >= before + 3);
        assert!(IS_LOGGED.load(Ordering::Relaxed));
        assert!(crate::coverage::read("invariant_broken").is_ok());
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "3 is not 4")]
    fn a_broken_invariant_fails_an_assertion_in_debug_builds() {
        crate::broken!("{} is not {}", 3, 4);
    }
}
