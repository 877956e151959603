//! A ring of frames that the kernel fills and that is mapped here (packet(7), TPACKET_V2: frames are visible at once, where
//! V3 waits for a block to fill).
//!
//! Slots are small; of a larger frame the kernel also queues the whole, which is read with one call.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use dp::DropReason;

use crate::frame::Frame;
use crate::mapping::Mapping;
use crate::sync::AtomicU32;
use crate::turns::Slot;
use crate::{Pool, socket, vnet};

/// A cache line more than a power of two, so that the beginnings of slots are spread over all sets of a cache. Small frames
/// of the whole ring fit one then.
const SLOT: usize = 2048 + 64;
const BLOCK: usize = 64 * 1024;
const SLOTS_PER_BLOCK: usize = BLOCK / SLOT;

/// Rings that are mapped now.
static RINGS: AtomicUsize = AtomicUsize::new(0);

/// Blocks of a ring where there are `rings` others: deep rings for the first ones (2,046 slots and 4 MiB each, never
/// swapped), shallow ones where there are hundreds.
fn blocks_beside(rings: usize) -> usize {
    match rings {
        0..16 => 66,
        16..64 => 16,
        _ => 8,
    }
}

/// Where a slot begins. None lies across the end of a block.
fn place(slot: usize) -> usize {
    slot / SLOTS_PER_BLOCK * BLOCK + slot % SLOTS_PER_BLOCK * SLOT
}

const PACKET_RX_RING: i32 = 5;
const PACKET_COPY_THRESH: i32 = 7;
const PACKET_VERSION: i32 = 10;
const TPACKET_V2: i32 = 1;

const STATUS_COPY: u32 = 2;
/// Frames were dropped since the socket's statistics were last read.
const STATUS_LOSING: u32 = 1 << 2;
/// A packet socket with a ring.
#[derive(Debug)]
pub(crate) struct Ring {
    pub(crate) fd: OwnedFd,
    memory: Mapping,
    slots: usize,
    next: usize,
    /// The kernel has said that it dropped frames.
    pub(crate) is_losing: bool,
}

impl Ring {
    /// One for a device, which hears nothing until it is let ([`socket::hear`]). Waits some ten milliseconds for the kernel.
    pub(crate) fn open(ifindex: u32) -> io::Result<Ring> {
        let fd = socket::packet_socket()?;
        socket::set_option(&fd, libc::SOL_PACKET, PACKET_VERSION, TPACKET_V2)?;
        socket::set_option(&fd, libc::SOL_PACKET, socket::PACKET_VNET_HDR, 1i32)?;
        socket::set_option(&fd, libc::SOL_PACKET, PACKET_COPY_THRESH, 1i32)?;
        socket::set_option(&fd, libc::SOL_PACKET, socket::PACKET_IGNORE_OUTGOING, 1i32)?;
        // Without the right to force it, the default has to do.
        let _ = socket::set_option(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, socket::BUFFER);
        socket::turn_deaf(&fd)?;
        let beside = RINGS.fetch_add(1, Ordering::Relaxed);
        let ring = Ring::map(fd, blocks_beside(beside))
            .inspect_err(|_| _ = RINGS.fetch_sub(1, Ordering::Relaxed))?;
        socket::bind(&ring.fd, ifindex, libc::ETH_P_ALL as u16)?;
        Ok(ring)
    }

    fn map(fd: OwnedFd, blocks: usize) -> io::Result<Ring> {
        #[repr(C)]
        #[derive(Clone, Copy)]
        struct Request {
            block_size: u32,
            block_count: u32,
            frame_size: u32,
            frame_count: u32,
        }
        // SAFETY: four numbers.
        unsafe impl socket::Plain for Request {}
        let request = Request {
            block_size: BLOCK as u32,
            block_count: blocks as u32,
            frame_size: SLOT as u32,
            frame_count: (blocks * SLOTS_PER_BLOCK) as u32,
        };
        socket::set_option(&fd, libc::SOL_PACKET, PACKET_RX_RING, request)?;
        let memory = Mapping::shared(&fd, BLOCK * blocks, 0)?;
        Ok(Ring { fd, memory, slots: blocks * SLOTS_PER_BLOCK, next: 0, is_losing: false })
    }

    /// The status word of the next slot.
    fn status(&self) -> Slot<'_> {
        // SAFETY: `next` is below `slots`, so the slot lies in the mapping; its first word is aligned and is shared with
        // the kernel by atomic accesses only.
        Slot(unsafe { &*self.memory.start().add(place(self.next)).cast::<AtomicU32>() })
    }

    /// The next slot's bytes.
    ///
    /// # Safety
    ///
    /// The slot is this side's, by [`Slot::filled`], and is not given back while the bytes are in use.
    unsafe fn slot(&self) -> &[u8] {
        // SAFETY: the slot lies in the mapping, and the kernel does not write to it while it is this side's, which the
        // caller promises.
        unsafe { std::slice::from_raw_parts(self.memory.start().add(place(self.next)), SLOT) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.status().filled().is_none()
    }

    /// The next frame.
    pub(crate) fn next(&mut self, pool: &mut Pool) -> io::Result<Frame> {
        let Some(status) = self.status().filled() else { return Ok(Frame::None) };
        self.is_losing |= status & STATUS_LOSING != 0;
        // SAFETY: the slot is filled, and is given back only after this.
        let frame = take(unsafe { self.slot() }, status, &self.fd, pool);
        self.status().give_back();
        self.next = (self.next + 1) % self.slots;
        frame
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        RINGS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The frame in a slot that the kernel has filled.
fn take(slot: &[u8], status: u32, fd: &OwnedFd, pool: &mut Pool) -> io::Result<Frame> {
    let word = |at: usize| {
        slot.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_ne_bytes(*b)) as usize
    };
    let half = |at: usize| slot.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_ne_bytes(*b));
    // struct tpacket2_hdr: status, len, snaplen, mac, net, sec, nsec, vlan_tci, vlan_tpid.
    let (len, captured, mac) = (word(4), word(8), usize::from(half(12)));
    let mut packet;
    if status & STATUS_COPY != 0 {
        packet = pool.large();
        if !socket::read_frame(fd, &mut packet)? {
            pool.give_back(packet);
            return Ok(Frame::Lost(DropReason::RxQueueFull));
        }
    } else {
        let header = slot.get(mac.wrapping_sub(vnet::LEN)..mac);
        let bytes = slot.get(mac..mac + captured);
        let (Some(header), Some(bytes)) = (header, bytes) else {
            base::broken!("the kernel has put a frame beside its slot");
            return Ok(Frame::Lost(DropReason::Internal));
        };
        if captured < len {
            // There was no room for the whole of it.
            return Ok(Frame::Lost(DropReason::RxQueueFull));
        }
        packet = pool.small();
        packet.append(bytes);
        packet.offload = vnet::parse(header);
    }
    Ok(Frame::whole(packet, status, half(24), half(26), pool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_deep_for_the_first_devices() {
        assert_eq!([0, 15, 16, 63, 64, 1000].map(blocks_beside), [66, 66, 16, 16, 8, 8]);
    }

    #[test]
    fn no_slot_lies_across_the_end_of_a_block() {
        let slots = 66 * SLOTS_PER_BLOCK;
        assert!((0..slots).all(|slot| place(slot) / BLOCK == (place(slot) + SLOT - 1) / BLOCK));
        assert!((1..slots).all(|slot| place(slot) >= place(slot - 1) + SLOT));
        assert!(place(slots - 1) + SLOT <= 66 * BLOCK);
    }

    #[test]
    fn a_frame_beside_its_slot_is_not_read() {
        let fd = socket::packet_socket();
        let Ok(fd) = fd else { return eprintln!("skipped: no right to open packet sockets") };
        let slot = |len: u32, captured: u32, mac: u16| {
            let mut slot = vec![0; SLOT];
            slot[4..8].copy_from_slice(&len.to_ne_bytes());
            slot[8..12].copy_from_slice(&captured.to_ne_bytes());
            slot[12..14].copy_from_slice(&mac.to_ne_bytes());
            slot
        };
        let taken = |slot: &[u8]| take(slot, 1, &fd, &mut Pool::new()).unwrap();
        assert!(matches!(taken(&slot(60, 60, 80)), Frame::Packet(packet) if packet.len() == 60));
        assert!(matches!(taken(&slot(100, 60, 80)), Frame::Lost(DropReason::RxQueueFull)));
        assert!(matches!(taken(&slot(10, 10, 80)), Frame::Lost(DropReason::RxInvalid)));
    }
}
