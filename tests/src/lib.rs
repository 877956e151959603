//! A world for end-to-end tests: hosts in network namespaces, switches with
//! run directories of their own, programs of ours or of the reference, and
//! guests with other kernels.
//!
//! Everything that a [`World`] makes goes when it is dropped. Nothing here
//! sleeps for luck: [`until`] waits for a condition, with a limit.

mod guest;
mod iperf;
mod programs;
mod switch;
mod world;

pub use guest::{Guest, Image, Kernel};
pub use iperf::Iperf;
pub use programs::{Output, Programs, python_packages, run};
pub use switch::Switch;
pub use world::{Host, World};

use std::time::{Duration, Instant};

/// How long a condition may take before the test fails: longer than a busy machine makes anybody wait, as only a test that
/// fails waits for so long.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Waits until `condition` holds; fails the test when it does not in time.
#[track_caller]
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(LIMIT, condition), "in {LIMIT:?} it did not happen that {what}");
}

/// Whether `condition` comes to hold within `limit`.
pub fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether these tests can run: they make network namespaces, which takes
/// root, at least of a user namespace, in which `cargo xtask test` runs them.
/// Says so when they cannot.
pub fn can_run() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: network namespaces take root, or 'cargo xtask test'");
    }
    root
}

/// The same for tests that watch traffic: tcpdump gives up root, which it
/// cannot where groups cannot be changed.
pub fn can_watch() -> bool {
    let groups = std::fs::read_to_string("/proc/self/setgroups").unwrap_or_default();
    let is_denied = groups.trim_end() == "deny";
    if is_denied {
        eprintln!("skipped: tcpdump cannot give up root in this user namespace");
    }
    can_run() && !is_denied
}
