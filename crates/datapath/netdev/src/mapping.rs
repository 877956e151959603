//! Memory that is mapped from the kernel.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;

/// Pages that are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    memory: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is plain memory; who reads and writes it is up to those who hold its owner.
unsafe impl Send for Mapping {}

impl Mapping {
    /// `len` bytes that a descriptor shares, from `offset` on.
    pub(crate) fn shared(fd: &OwnedFd, len: usize, offset: i64) -> io::Result<Mapping> {
        Mapping::map(len, libc::MAP_SHARED, fd.as_raw_fd(), offset)
    }

    /// `len` bytes of nobody else, all zero.
    pub(crate) fn private(len: usize) -> io::Result<Mapping> {
        Mapping::map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }

    fn map(len: usize, flags: i32, fd: i32, offset: i64) -> io::Result<Mapping> {
        // SAFETY: a fresh mapping, the kernel chooses the place.
        let memory = unsafe {
            libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, fd, offset)
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(memory.cast())
            .map(|memory| Mapping { memory, len })
            .ok_or(io::ErrorKind::OutOfMemory.into())
    }

    /// Where it begins; good as long as this lives.
    pub(crate) fn start(&self) -> *mut u8 {
        self.memory.as_ptr()
    }

    /// The place of a `T` at `offset`, where it lies within the mapping and is aligned.
    pub(crate) fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let end = offset.checked_add(std::mem::size_of::<T>())?;
        let is_inside = end <= self.len && offset.is_multiple_of(std::mem::align_of::<T>());
        // SAFETY: `offset` is within the mapping.
        is_inside.then(|| unsafe { self.memory.as_ptr().add(offset) }.cast())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped with this length; nothing refers to it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.len) };
    }
}
