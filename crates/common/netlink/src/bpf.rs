//! The few commands of bpf(2) that are needed here.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_QUERY: libc::c_long = 16;
const BPF_LINK_CREATE: libc::c_long = 28;

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

/// The same for a command that makes a descriptor.
///
/// # Safety
///
/// As for [`bpf`], and the command returns a descriptor.
unsafe fn bpf_fd<T>(command: libc::c_long, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: promised by the caller.
    let fd = unsafe { bpf(command, attributes) }?;
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Loads a classifier that gives every frame the same verdict: `r0 = verdict; exit`.
pub(crate) fn load_classifier(verdict: u32) -> io::Result<OwnedFd> {
    const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
    load(BPF_PROG_TYPE_SCHED_CLS, &[Instruction::new(MOVE).immediate(verdict), Instruction::new(EXIT)])
}

/// Loads an XDP program that gives a frame to the socket that `sockets` has for its receive queue, and lets it pass where
/// there is none: `return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS)`.
pub(crate) fn load_redirector(sockets: &OwnedFd) -> io::Result<OwnedFd> {
    const BPF_PROG_TYPE_XDP: u32 = 6;
    const BPF_PSEUDO_MAP_FD: u8 = 1;
    const BPF_FUNC_REDIRECT_MAP: u32 = 51;
    const XDP_PASS: u32 = 2;
    /// Of `rx_queue_index` in `struct xdp_md`.
    const QUEUE: i16 = 16;
    let context = 1;
    load(
        BPF_PROG_TYPE_XDP,
        &[
            Instruction::new(LOAD).registers(2, context).offset(QUEUE),
            Instruction::new(LOAD_WIDE)
                .registers(1, BPF_PSEUDO_MAP_FD)
                .immediate(sockets.as_raw_fd().cast_unsigned()),
            // The upper half of a wide immediate value.
            Instruction::new(0),
            Instruction::new(MOVE).registers(3, 0).immediate(XDP_PASS),
            Instruction::new(CALL).immediate(BPF_FUNC_REDIRECT_MAP),
            Instruction::new(EXIT),
        ],
    )
}

fn load(kind: u32, instructions: &[Instruction]) -> io::Result<OwnedFd> {
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
        kind,
        instruction_count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        licence: licence.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
    };
    // SAFETY: `load` is what the command takes, and its pointers describe `instructions` and `licence`, which live until
    // the call returns and are only read.
    unsafe { bpf_fd(BPF_PROG_LOAD, &mut load) }
}

/// A map from receive queues, of which it has room for `queues`, to AF_XDP sockets.
pub(crate) fn make_socket_map(queues: u32) -> io::Result<OwnedFd> {
    const BPF_MAP_TYPE_XSKMAP: u32 = 17;
    /// The first members of `union bpf_attr` as this command has them.
    #[repr(C)]
    struct Make {
        kind: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
    }
    let mut make = Make { kind: BPF_MAP_TYPE_XSKMAP, key_size: 4, value_size: 4, max_entries: queues };
    // SAFETY: `make` is what the command takes; it has no pointers.
    unsafe { bpf_fd(BPF_MAP_CREATE, &mut make) }
}

/// Puts a socket into such a map. It leaves it by itself when it is closed.
pub(crate) fn put_socket(map: &OwnedFd, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
    /// The members of `union bpf_attr` that this command has.
    #[repr(C)]
    struct Update {
        map: u32,
        padding: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let value = socket.as_raw_fd();
    let mut update = Update {
        map: map.as_raw_fd().cast_unsigned(),
        padding: 0,
        key: std::ptr::from_ref(&queue) as u64,
        value: std::ptr::from_ref(&value) as u64,
        flags: 0,
    };
    // SAFETY: `update` is what the command takes, and its pointers describe key and value of four bytes each, which live
    // until the call returns and are only read.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut update) }.map(|_| ())
}

/// Attaches an XDP program to a link for as long as the descriptor that is returned is open. `flags` are `XDP_FLAGS_*`.
pub(crate) fn attach_xdp(program: &OwnedFd, ifindex: u32, flags: u32) -> io::Result<OwnedFd> {
    const BPF_XDP: u32 = 37;
    /// The first members of `union bpf_attr` as this command has them.
    #[repr(C)]
    struct Attach {
        program: u32,
        ifindex: u32,
        attach_type: u32,
        flags: u32,
    }
    let program = program.as_raw_fd().cast_unsigned();
    let mut attach = Attach { program, ifindex, attach_type: BPF_XDP, flags };
    // SAFETY: `attach` is what the command takes; it has no pointers.
    unsafe { bpf_fd(BPF_LINK_CREATE, &mut attach) }
}

/// `r0 = immediate`, or another register.
const MOVE: u8 = 0xb7;
/// Loads 32 bits.
const LOAD: u8 = 0x61;
/// Loads an immediate value of 64 bits.
const LOAD_WIDE: u8 = 0x18;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    operation: u8,
    registers: u8,
    offset: i16,
    immediate: u32,
}

impl Instruction {
    fn new(operation: u8) -> Instruction {
        Instruction { operation, registers: 0, offset: 0, immediate: 0 }
    }

    /// Both are fields of four bits, whose order is that of the bytes of the machine.
    fn registers(self, destination: u8, source: u8) -> Instruction {
        let registers = if cfg!(target_endian = "little") {
            source << 4 | destination
        } else {
            destination << 4 | source
        };
        Instruction { registers, ..self }
    }

    fn offset(self, offset: i16) -> Instruction {
        Instruction { offset, ..self }
    }

    fn immediate(self, immediate: u32) -> Instruction {
        Instruction { immediate, ..self }
    }
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
