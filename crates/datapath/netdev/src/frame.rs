//! What is taken from a packet socket.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use dp::{DropReason, Packet};
use wire::ethernet;

use crate::pool::{LARGE, SMALL};
use crate::{Pool, socket, vnet};

const STATUS_VLAN_VALID: u32 = 1 << 4;
const STATUS_VLAN_TPID_VALID: u32 = 1 << 6;

pub(crate) enum Frame {
    None,
    Packet(Packet),
    /// One was there and is not usable.
    Lost(DropReason),
}

impl Frame {
    /// A frame with all its bytes, but for a tag that the kernel keeps beside it, as `status` says.
    #[inline]
    pub(crate) fn whole(mut packet: Packet, status: u32, tci: u16, tpid: u16, pool: &mut Pool) -> Frame {
        if packet.len() < ethernet::HEADER_LEN {
            pool.give_back(packet);
            return Frame::Lost(DropReason::RxInvalid);
        }
        if status & STATUS_VLAN_VALID != 0 {
            let tpid = if status & STATUS_VLAN_TPID_VALID != 0 { tpid } else { 0x8100 };
            packet.insert_header(ethernet::TAG_OFFSET, &ethernet::Tag { tpid, tci });
        }
        Frame::Packet(packet)
    }
}

/// struct tpacket_auxdata.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Aside {
    status: u32,
    len: u32,
    captured: u32,
    mac: u16,
    net: u16,
    tci: u16,
    tpid: u16,
}

/// Room for a control message with an [`Aside`], aligned as such messages are.
type Control = [u64; 8];

/// The next frame from the queue of a packet socket that gives its frames virtio-net headers and `PACKET_AUXDATA`.
pub(crate) fn next(fd: &OwnedFd, pool: &mut Pool) -> io::Result<Frame> {
    let mut header: vnet::Header = [0; vnet::LEN];
    let mut control: Control = [0; 8];
    let mut packet = pool.small();
    let mut overflow = pool.large();
    let (space, more) = (packet.space_mut(), overflow.space_mut());
    let room = space.len().min(SMALL);
    // What does not fit goes to where it stands when the beginning is copied in front of it.
    let end = more.len().min(LARGE);
    let beyond = more.get_mut(room..end).unwrap_or_default();
    let mut parts = [
        libc::iovec { iov_base: header.as_mut_ptr().cast(), iov_len: vnet::LEN },
        libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: room },
        libc::iovec { iov_base: beyond.as_mut_ptr().cast(), iov_len: beyond.len() },
    ];
    // SAFETY: all-zero bytes are a valid msghdr: null pointers with zero lengths.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = parts.len() as _;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = std::mem::size_of::<Control>() as _;
    // SAFETY: the message points to `parts` and `control`, and the parts to memory that is writable and lives until the call
    // returns.
    let len = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    if len < 0 {
        let error = io::Error::last_os_error();
        pool.give_back(packet);
        pool.give_back(overflow);
        let is_none = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
        return if is_none { Ok(Frame::None) } else { Err(error) };
    }
    let aside = aside(&message);
    let len = (len as usize).saturating_sub(vnet::LEN);
    packet.set_len(len.min(room));
    if len > room {
        overflow.set_len(len.min(end));
        if let Some(place) = overflow.bytes_mut().get_mut(..room) {
            place.copy_from_slice(packet.bytes());
        }
        std::mem::swap(&mut packet, &mut overflow);
    }
    pool.give_back(overflow);
    packet.offload = vnet::parse(&header);
    if message.msg_flags & libc::MSG_TRUNC != 0 {
        pool.give_back(packet);
        return Ok(Frame::Lost(DropReason::RxInvalid));
    }
    Ok(Frame::whole(packet, aside.status, aside.tci, aside.tpid, pool))
}

/// What the kernel says of a frame beside it.
fn aside(message: &libc::msghdr) -> Aside {
    // SAFETY: the message is as recvmsg(2) has left it, its control part alive.
    let first = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: null, or a header within the control part.
    let Some(head) = (unsafe { first.as_ref() }) else { return Aside::default() };
    if (head.cmsg_level, head.cmsg_type) != (libc::SOL_PACKET, socket::PACKET_AUXDATA) {
        return Aside::default();
    }
    // SAFETY: the control part has room for an `Aside` behind the header, zeroed before where the kernel wrote less; it
    // consists of numbers.
    unsafe { libc::CMSG_DATA(first).cast::<Aside>().read_unaligned() }
}
