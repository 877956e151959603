//! The few commands of bpf(2) that are needed here, and writing programs.

mod assembler;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use assembler::Instruction;
pub use assembler::{Assembler, Condition, Label, Operation, Size};

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_MAP_DELETE_ELEM: libc::c_long = 3;
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

/// What a program is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProgramKind {
    /// Says how much of a frame a socket takes.
    SocketFilter,
    /// Says what becomes of a frame at a hook of traffic control.
    Classifier,
    /// Says what becomes of a frame in the driver.
    Xdp,
}

impl ProgramKind {
    /// `BPF_PROG_TYPE_*`.
    fn number(self) -> u32 {
        match self {
            ProgramKind::SocketFilter => 1,
            ProgramKind::Classifier => 3,
            ProgramKind::Xdp => 6,
        }
    }
}

/// Loads a classifier that gives every frame the same verdict.
pub(crate) fn load_classifier(verdict: i32) -> io::Result<OwnedFd> {
    let mut code = Assembler::new();
    code.set(0, verdict).exit();
    load(ProgramKind::Classifier, code)
}

/// Loads an XDP program that gives a frame to the socket that `sockets` has for its receive queue, and lets it pass where
/// there is none: `return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS)`.
pub(crate) fn load_redirector(sockets: &OwnedFd) -> io::Result<OwnedFd> {
    const BPF_FUNC_REDIRECT_MAP: i32 = 51;
    const XDP_PASS: i32 = 2;
    /// Of `rx_queue_index` in `struct xdp_md`.
    const QUEUE: i16 = 16;
    let context = 1;
    let mut code = Assembler::new();
    code.load(Size::Word, 2, context, QUEUE);
    code.load_map(1, sockets.as_fd());
    code.set(3, XDP_PASS).call(BPF_FUNC_REDIRECT_MAP).exit();
    load(ProgramKind::Xdp, code)
}

/// Loads a program. An error of the kernel's verifier comes with what the verifier says.
pub fn load(kind: ProgramKind, code: Assembler) -> io::Result<OwnedFd> {
    let instructions =
        code.finish().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a jump leads nowhere"))?;
    match load_silently(kind, &instructions, &mut []) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EINVAL)) => {
            let mut said = vec![0; 1 << 16];
            let again = load_silently(kind, &instructions, &mut said);
            let end = said.iter().position(|byte| *byte == 0).unwrap_or(said.len());
            let text = String::from_utf8_lossy(said.get(..end).unwrap_or(&[]));
            let lines: Vec<&str> = text.lines().collect();
            let last = lines.get(lines.len().saturating_sub(6)..).unwrap_or(&[]).join("; ");
            again.map_err(|error| io::Error::new(error.kind(), format!("{error}: {last}")))
        }
        result => result,
    }
}

fn load_silently(kind: ProgramKind, instructions: &[Instruction], log: &mut [u8]) -> io::Result<OwnedFd> {
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
    let has_log = !log.is_empty();
    let mut load = Load {
        kind: kind.number(),
        instruction_count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        licence: licence.as_ptr() as u64,
        log_level: u32::from(has_log),
        log_size: log.len() as u32,
        log: if has_log { log.as_mut_ptr() as u64 } else { 0 },
    };
    // SAFETY: `load` is what the command takes, and its pointers describe `instructions` and `licence`, which are only read, and
    // `log`; all live until the call returns.
    unsafe { bpf_fd(BPF_PROG_LOAD, &mut load) }
}

/// What a map is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum MapKind {
    Hash,
    Array,
    Sockets,
}

impl MapKind {
    /// `BPF_MAP_TYPE_*`.
    fn number(self) -> u32 {
        match self {
            MapKind::Hash => 1,
            MapKind::Array => 2,
            MapKind::Sockets => 17,
        }
    }
}

fn make_map(
    kind: MapKind,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    /// The first members of `union bpf_attr` as this command has them.
    #[repr(C)]
    struct Make {
        kind: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        flags: u32,
    }
    let mut make = Make { kind: kind.number(), key_size, value_size, max_entries, flags };
    // SAFETY: `make` is what the command takes; it has no pointers.
    let mut create = || unsafe { bpf_fd(BPF_MAP_CREATE, &mut make) };
    match create() {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) && allow_locked_memory() => create(),
        result => result,
    }
}

/// Lifts this process's limit of locked memory, as which kernels before 5.11 count that of maps; whether that could be done.
fn allow_locked_memory() -> bool {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the pointer is to a live rlimit, which is only read.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) == 0 }
}

/// A map from receive queues, of which it has room for `queues`, to AF_XDP sockets.
pub(crate) fn make_socket_map(queues: u32) -> io::Result<OwnedFd> {
    make_map(MapKind::Sockets, 4, 4, queues, 0)
}

/// `size` bytes, all zero, that programs share with those who map the descriptor (mmap(2)).
pub fn make_shared_memory(size: u32) -> io::Result<OwnedFd> {
    const BPF_F_MMAPABLE: u32 = 1 << 10;
    make_map(MapKind::Array, 4, size, 1, BPF_F_MMAPABLE)
}

/// A table from keys of `SIZE` bytes to numbers.
#[derive(Debug)]
pub struct Table<const SIZE: usize>(OwnedFd);

impl<const SIZE: usize> Table<SIZE> {
    /// One with room for `entries`.
    pub fn new(entries: u32) -> io::Result<Table<SIZE>> {
        make_map(MapKind::Hash, SIZE as u32, 4, entries, 0).map(Table)
    }

    /// Sets the number of a key that has none.
    pub fn insert(&self, key: &[u8; SIZE], number: u32) -> io::Result<()> {
        const BPF_NOEXIST: u64 = 1;
        update(&self.0, key, &number, BPF_NOEXIST)
    }

    /// Takes a key out.
    pub fn remove(&self, key: &[u8; SIZE]) -> io::Result<()> {
        let mut command =
            Element { map: self.0.as_raw_fd().cast_unsigned(), key: address(key), ..Element::default() };
        // SAFETY: `command` is what the command takes, and its pointer describes the key, which lives until the call returns and
        // is only read.
        unsafe { bpf(BPF_MAP_DELETE_ELEM, &mut command) }.map(|_| ())
    }
}

impl<const SIZE: usize> AsFd for Table<SIZE> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The members of `union bpf_attr` that commands about one element of a map have.
#[repr(C)]
#[derive(Default)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

fn address<T>(value: &T) -> u64 {
    std::ptr::from_ref(value) as u64
}

/// Sets an element. `K` and `V` are as large as the map's keys and values, which only their callers here know.
fn update<K, V>(map: &OwnedFd, key: &K, value: &V, flags: u64) -> io::Result<()> {
    let mut command = Element {
        map: map.as_raw_fd().cast_unsigned(),
        padding: 0,
        key: address(key),
        value: address(value),
        flags,
    };
    // SAFETY: `command` is what the command takes, and its pointers describe key and value, which live until the call returns
    // and are only read.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut command) }.map(|_| ())
}

/// Puts a socket into such a map. It leaves it by itself when it is closed.
pub(crate) fn put_socket(map: &OwnedFd, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
    update(map, &queue, &socket.as_raw_fd(), 0)
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

/// Where programs are attached outside of traffic control (tcx, since Linux 6.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hook {
    /// What the link receives.
    Ingress,
    /// What it sends.
    Egress,
}

impl Hook {
    /// `BPF_TCX_*`.
    fn number(self) -> u32 {
        match self {
            Hook::Ingress => 46,
            Hook::Egress => 47,
        }
    }
}

/// Whether programs are attached to the link there.
pub(crate) fn has_programs(ifindex: u32, hook: Hook) -> io::Result<bool> {
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
    let mut query = Query { ifindex, attach_type: hook.number(), ..Query::default() };
    // SAFETY: `query` is what the command takes; it has no pointers, and only their number is asked for.
    match unsafe { bpf(BPF_PROG_QUERY, &mut query) } {
        Ok(_) => Ok(query.count > 0),
        // The kernel does not know of such programs.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => Ok(false),
        Err(error) => Err(error),
    }
}
