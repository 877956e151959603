//! What a daemon does with memory that it has freed.

/// Gives freed memory back to the system.
///
/// The allocator keeps what was freed below something that is still in use, be that a few bytes. It takes some
/// milliseconds for each hundred megabytes, during which other threads may have to wait for memory.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) may be called at any time by any thread, and touches no memory that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
