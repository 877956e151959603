//! What tests of links need.

use std::process::Command;

/// Moves this thread to a network namespace of its own; false where it has no right to, and the test is to be skipped.
pub(crate) fn in_own_namespace() -> bool {
    // SAFETY: no memory is passed; only the calling thread moves.
    let is_moved = unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0;
    if !is_moved {
        eprintln!("skipped: no right to make network namespaces");
    }
    is_moved
}

/// Runs `ip` with these words.
#[track_caller]
pub(crate) fn ip(words: &str) {
    run("ip", words);
}

/// Runs a program with these words.
#[track_caller]
pub(crate) fn run(program: &str, words: &str) {
    let status = Command::new(program).args(words.split(' ')).status().unwrap();
    assert!(status.success(), "{program} {words}");
}
