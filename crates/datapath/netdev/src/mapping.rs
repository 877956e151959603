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
// SAFETY: it is changed by nobody, and gives out places of the memory only, as above.
unsafe impl Sync for Mapping {}

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

#[cfg(test)]
mod tests {
    use std::os::fd::FromRawFd;

    use super::*;

    fn read(mapping: &Mapping, offset: usize) -> u8 {
        // SAFETY: the place lies in the mapping, which nobody else uses.
        unsafe { mapping.at::<u8>(offset).unwrap().read() }
    }

    #[test]
    fn private_memory_begins_as_zeros() {
        let mapping = Mapping::private(8192).unwrap();
        assert_eq!((read(&mapping, 0), read(&mapping, 8191)), (0, 0));
        assert_eq!(mapping.at::<u8>(0), Some(mapping.start()));
    }

    #[test]
    fn a_place_lies_inside_and_is_aligned() {
        let mapping = Mapping::private(4096).unwrap();
        assert!(mapping.at::<u64>(4088).is_some());
        assert!(mapping.at::<u64>(4096).is_none(), "behind the end");
        assert!(mapping.at::<u32>(4094).is_none(), "half of it behind the end");
        assert!(mapping.at::<u64>(4).is_none(), "not aligned");
        assert!(mapping.at::<u64>(usize::MAX - 3).is_none(), "the end overflows");
    }

    #[test]
    fn who_maps_the_same_file_sees_the_same_bytes() {
        // SAFETY: the name is a string with its end, which is only read.
        let fd = unsafe { libc::memfd_create(c"mapping".as_ptr(), libc::MFD_CLOEXEC) };
        assert!(fd >= 0);
        // SAFETY: a fresh descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        std::fs::File::from(fd.try_clone().unwrap()).set_len(8192).unwrap();
        let whole = Mapping::shared(&fd, 8192, 0).unwrap();
        let second_page = Mapping::shared(&fd, 4096, 4096).unwrap();
        // SAFETY: the place lies in the mapping; nobody else uses it meanwhile.
        unsafe { whole.at::<u8>(4100).unwrap().write(7) };
        assert_eq!(read(&second_page, 4), 7);
    }

    #[test]
    fn nothing_cannot_be_mapped() {
        assert_eq!(Mapping::private(0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
