//! A second process with the same open files, so that the daemon is gone at once when it is killed.
//!
//! The kernel closes what a dead process had open, one file after the other, before anybody learns that it is dead; closing
//! a packet socket takes it some ten milliseconds, a switch with hundreds of ports seconds. The holder shares the daemon's
//! table of files, so that nothing is closed while it lives, and sleeps until the daemon is dead. Then it closes everything:
//! first what others may want at once, such as sockets that listen, then what takes time, all at the same time.

use std::io;
use std::os::fd::RawFd;
use std::sync::{Mutex, PoisonError};

use crate::sys;

/// How many files are closed at once.
const THREADS: usize = 64;

/// Starts the holder. The process must have one thread, which lives as long as the process does.
///
/// # Errors
/// The system refuses another process. The daemon does without.
pub fn start() -> io::Result<()> {
    let daemon = std::process::id();
    if sys::fork_with_same_files()? {
        sys::wait_for_end_of_parent(daemon, c"ovs-holder");
        leave();
    }
    Ok(())
}

/// Makes a copy of this process that talks to nobody: of the sockets by which processes talk to each other it has those in
/// `kept`. True in the copy, which is to end by [`leave`].
///
/// The copy has this thread alone. The caller has ended all others that may be in the middle of something that the copy uses.
///
/// # Errors
/// The system refuses another process.
pub fn split(kept: &[RawFd]) -> io::Result<bool> {
    if sys::fork()?.is_some() {
        return Ok(false);
    }
    sys::ignore_ends(c"ovs-keeper");
    let open = open_files();
    open.into_iter().filter(|fd| !kept.contains(fd) && sys::is_stream(*fd)).for_each(sys::close);
    Ok(true)
}

/// Ends the process, without anything else being done, once its files are closed.
pub fn leave() -> ! {
    close_all();
    sys::leave()
}

/// Closes all files of this process, those last that take time.
///
/// Whoever calls this uses none of them any more.
fn close_all() {
    let open = open_files();
    let (slow, quick): (Vec<RawFd>, Vec<RawFd>) = open.into_iter().partition(|fd| sys::closes_slowly(*fd));
    quick.into_iter().for_each(sys::close);
    let queue = Mutex::new(slow);
    let work = || {
        while let Some(fd) = { queue.lock().unwrap_or_else(PoisonError::into_inner).pop() } {
            sys::close(fd);
        }
    };
    std::thread::scope(|scope| {
        let count = queue.lock().unwrap_or_else(PoisonError::into_inner).len();
        for _ in 1..count.min(THREADS) {
            // Without another thread this one does it all.
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
}

/// The numbers of this process's files.
fn open_files() -> Vec<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
