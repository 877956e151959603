//! The few commands of bpf(2) that are needed here.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_QUERY: libc::c_long = 16;

/// # Safety
///
/// `attributes` begins with what the command takes, any further bytes of it are zero, and its pointers are good for
/// what the command does with them.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: pointer and size describe `attributes`; the rest is promised by the caller.
    let rc = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), std::mem::size_of::<T>())
    };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(rc as i32) }
}

/// Loads a classifier that gives every frame the same verdict: `r0 = verdict; exit`.
pub(crate) fn load_classifier(verdict: u32) -> io::Result<OwnedFd> {
    const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
    let instructions = [instruction(0xb7, verdict), instruction(0x95, 0)];
    let licence = b"Apache-2.0\0";
    /// The first members of `union bpf_attr` as this command has them.
    #[repr(C)]
    struct Load {
        kind: u32,
        instruction_count: u32,
        instructions: u64,
        licence: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
    }
    let mut load = Load {
        kind: BPF_PROG_TYPE_SCHED_CLS,
        instruction_count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        licence: licence.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
    };
    // SAFETY: `load` is what the command takes, and its pointers describe `instructions` and `licence`, which live until
    // the call returns and are only read.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &mut load) }?;
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `struct bpf_insn`: operation, registers, offset, immediate value.
fn instruction(operation: u8, immediate: u32) -> [u8; 8] {
    let [a, b, c, d] = immediate.to_ne_bytes();
    [operation, 0, 0, 0, a, b, c, d]
}

/// Whether programs are attached to what the link sends, outside of traffic control (tcx, since Linux 6.6).
pub(crate) fn has_egress_programs(ifindex: u32) -> io::Result<bool> {
    const BPF_TCX_EGRESS: u32 = 47;
    /// The members of `union bpf_attr` that this command has.
    #[repr(C)]
    #[derive(Default)]
    struct Query {
        ifindex: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        programs: u64,
        count: u32,
        reserved: u32,
        program_flags: u64,
        links: u64,
        link_flags: u64,
        revision: u64,
    }
    let mut query = Query { ifindex, attach_type: BPF_TCX_EGRESS, ..Query::default() };
    // SAFETY: `query` is what the command takes; it has no pointers, and only their number is asked for.
    match unsafe { bpf(BPF_PROG_QUERY, &mut query) } {
        Ok(_) => Ok(query.count > 0),
        // The kernel does not know of such programs.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => Ok(false),
        Err(error) => Err(error),
    }
}
