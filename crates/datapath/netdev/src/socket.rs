//! The few system calls that packet sockets and taps share.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use dp::Packet;

use crate::losses::Losses;
use crate::vnet;

pub(crate) const PACKET_AUXDATA: i32 = 8;
pub(crate) const PACKET_VNET_HDR: i32 = 15;
pub(crate) const PACKET_IGNORE_OUTGOING: i32 = 23;

/// Room for frames on their way, beyond what the kernel grants by default.
pub(crate) const BUFFER: i32 = 8 << 20;

/// Opens what others may not have let go of yet: tries so often, with ten milliseconds between, while it is busy.
pub(crate) fn when_free(tries: u32, mut open: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    for _ in 1..tries {
        match open() {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
    open()
}

/// A packet(7) socket that receives nothing yet.
pub(crate) fn packet_socket() -> io::Result<OwnedFd> {
    // SAFETY: socket(2) takes no pointers.
    let fd = unsafe {
        libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A value of a socket option.
///
/// # Safety
///
/// The type consists of plain numbers: any bytes are a valid value, and the kernel takes none of them for an address.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: a number.
unsafe impl Plain for i32 {}
// SAFETY: a number.
unsafe impl Plain for u32 {}
// SAFETY: numbers and an array of bytes, the address of a link and not of memory.
unsafe impl Plain for libc::packet_mreq {}

/// Sets a socket option to a plain value.
pub(crate) fn set_option<T: Plain>(fd: &OwnedFd, level: i32, name: i32, value: T) -> io::Result<()> {
    // SAFETY: a plain value has no addresses.
    unsafe { set_option_with_addresses(fd, level, name, &value) }
}

/// Sets a socket option to a value that may contain addresses of memory.
///
/// # Safety
///
/// The memory at these addresses is good for what the kernel does with it, for as long as the option says.
pub(crate) unsafe fn set_option_with_addresses<T>(
    fd: &OwnedFd,
    level: i32,
    name: i32,
    value: &T,
) -> io::Result<()> {
    // SAFETY: pointer and length describe `value`, which lives until the call returns and is only read; the caller promises
    // the rest.
    let rc = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            std::mem::size_of::<T>() as libc::socklen_t,
        )
    };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads a socket option that is a plain value.
pub(crate) fn option<T: Plain + Default>(fd: &OwnedFd, level: i32, name: i32) -> io::Result<T> {
    let mut value = T::default();
    let mut len = std::mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: pointer and length describe `value`, of which any bytes are valid; the kernel writes no more, and what it leaves
    // out stays initialised.
    let rc = unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, std::ptr::from_mut(&mut value).cast(), &raw mut len)
    };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// Whether something can be read from the socket now.
pub(crate) fn is_readable(fd: &OwnedFd) -> bool {
    let mut request = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the pointer is to one live pollfd.
    unsafe { libc::poll(&raw mut request, 1, 0) > 0 && request.revents & libc::POLLIN != 0 }
}

/// The number of the socket, by which /proc names it.
pub(crate) fn inode(fd: &OwnedFd) -> io::Result<u64> {
    // SAFETY: all-zero bytes are a valid stat.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer describes `stat`, which lives until the call returns.
    let rc = unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(stat.st_ino) }
}

/// A protocol that no frame has (IANA reserves the number): who listens to it hears nothing.
pub(crate) const NO_PROTOCOL: u16 = 0xffff;

/// A device's address for packet sockets. As where frames go, `protocol` is 0: the kernel reads it from the frames.
pub(crate) fn address(ifindex: u32, protocol: u16) -> libc::sockaddr_ll {
    // SAFETY: all-zero bytes are a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = ifindex as i32;
    address
}

/// Binds a packet socket to one device and to the frames of one protocol.
pub(crate) fn bind(fd: &OwnedFd, ifindex: u32, protocol: u16) -> io::Result<()> {
    let address = address(ifindex, protocol);
    // SAFETY: pointer and length describe `address`.
    let rc = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            std::ptr::from_ref(&address).cast(),
            std::mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// How many descriptors devices leave to all else that the process does.
const SPARE: u64 = 64;

/// Refuses a descriptor that was opened for a device where few are left: without some, the switch could not even find out what
/// became of the devices that it has.
pub(crate) fn spare(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid rlimit.
    let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live rlimit.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } < 0 {
        return Ok(());
    }
    // The kernel gives the lowest number that is free.
    match (fd.as_raw_fd() as u64).saturating_add(SPARE) < limit.rlim_cur {
        true => Ok(()),
        false => Err(io::Error::from_raw_os_error(libc::EMFILE)),
    }
}

/// From here on the socket takes no frame; what it has taken waits.
pub(crate) fn turn_deaf(fd: &OwnedFd) -> io::Result<()> {
    let mut nothing = [libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 }];
    let program = libc::sock_fprog { len: 1, filter: nothing.as_mut_ptr() };
    // SAFETY: the program points to its only instruction, which lives until the call returns; the kernel copies it.
    unsafe { set_option_with_addresses(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program) }
}

/// Ends [`turn_deaf`]: the socket takes what `filter`, a program, lets it, or all frames.
pub(crate) fn hear(fd: &OwnedFd, filter: Option<BorrowedFd<'_>>) -> io::Result<()> {
    match filter {
        Some(filter) => set_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_BPF, filter.as_raw_fd()),
        None => set_option(fd, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0i32),
    }
}

/// The same without a program, for a socket that shares its device's frames with others ([`share_frames`]): it takes none that is
/// sent, which kernels before 5.19 do not keep from it otherwise.
pub(crate) fn hear_arriving(fd: &OwnedFd) -> io::Result<()> {
    /// Where a filter finds who a frame is for, and the value for those that are sent.
    const FRAME_KIND: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
    const OUTGOING: u32 = libc::PACKET_OUTGOING as u32;
    let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, FRAME_KIND),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, OUTGOING),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the program points to its instructions, which live until the call returns; the kernel copies them.
    unsafe { set_option_with_addresses(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program) }
}

/// Lets sockets that are bound to the same device share its frames, all of a flow by the same one (packet(7),
/// PACKET_FANOUT).
pub(crate) fn share_frames<'a>(sockets: impl Iterator<Item = &'a OwnedFd>) -> io::Result<()> {
    const PACKET_FANOUT: i32 = 18;
    const BY_HASH: u32 = 0;
    const WITH_NEW_NUMBER: u32 = 0x2000;
    const WITHOUT_SENT: u32 = 0x4000;
    let mut number = None;
    for fd in sockets {
        match number {
            None => {
                let first = (BY_HASH | WITH_NEW_NUMBER | WITHOUT_SENT) << 16;
                set_option(fd, libc::SOL_PACKET, PACKET_FANOUT, first)?;
                number = Some(option::<u32>(fd, libc::SOL_PACKET, PACKET_FANOUT)? & 0xffff);
            }
            Some(number) => {
                let further = (BY_HASH | WITHOUT_SENT) << 16 | number;
                set_option(fd, libc::SOL_PACKET, PACKET_FANOUT, further)?;
            }
        }
    }
    Ok(())
}

/// Reads one frame with its virtio-net header; false when there is none.
pub(crate) fn read_frame(fd: &OwnedFd, packet: &mut Packet) -> io::Result<bool> {
    let mut header: vnet::Header = [0; vnet::LEN];
    let space = packet.space_mut();
    let room = space.len();
    let parts = [
        libc::iovec { iov_base: header.as_mut_ptr().cast(), iov_len: vnet::LEN },
        libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: room },
    ];
    // SAFETY: both parts describe writable memory that lives until the call returns.
    let len = unsafe { libc::readv(fd.as_raw_fd(), parts.as_ptr(), parts.len() as i32) };
    if len < 0 {
        let error = io::Error::last_os_error();
        let is_none = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
        return if is_none { Ok(false) } else { Err(error) };
    }
    packet.set_len((len as usize).saturating_sub(vnet::LEN));
    packet.offload = vnet::parse(&header);
    Ok(true)
}

/// Writes one frame with its virtio-net header.
pub(crate) fn write_frame(fd: &OwnedFd, packet: &Packet) -> io::Result<()> {
    let mut header = vnet::build(packet);
    let bytes = packet.bytes();
    let parts = [
        libc::iovec { iov_base: header.as_mut_ptr().cast(), iov_len: vnet::LEN },
        libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() },
    ];
    // SAFETY: both parts describe memory that lives until the call returns; writev only reads it.
    let len = unsafe { libc::writev(fd.as_raw_fd(), parts.as_ptr(), parts.len() as i32) };
    if len < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What to send in place of a packet that the kernel has refused with `error`: the packet cut and summed here, which kernels
/// before 6.2 do not do for UDP that is sent to a socket or a tap. Where that does not help, the packet is counted as lost.
pub(crate) fn in_place_of_refused(packet: &Packet, error: &io::Error, losses: &Losses) -> Vec<Packet> {
    let mut finished = Vec::new();
    let may_help = error.raw_os_error() == Some(libc::EINVAL) && !packet.offload.is_none();
    if !may_help || dp::offload::segment(packet.clone(), &mut finished).is_err() {
        losses.refused_one(packet, error);
        finished.clear();
    }
    finished
}
