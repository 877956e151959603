//! AF_XDP sockets (Documentation/networking/af_xdp.rst): frames in memory that the kernel shares, and rings of where they lie.
//!
//! A [`Sender`] gives frames straight to a device's driver, past the kernel's queueing layer: one call hands a batch over, and
//! the kernel has sent it when the call returns, unless it sends from this memory itself. A frame costs less than with
//! sendmmsg(2) on a packet socket: docs/PERFORMANCE.md has figures. Not done for these frames: all that the queueing layer
//! does, which is why [`crate::lease`] says when this may be used, and sums and cuts.
//!
//! A [`Receiver`] takes what a program at the device gives to the socket ([`netlink::XdpRedirect`]), before the kernel has made
//! anything of it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use dp::{DropReason, Packet};

use crate::losses::Losses;
use crate::mapping::Mapping;
use crate::pool::SMALL;
use crate::sync::AtomicU32;
use crate::turns::Indices;
use crate::{BATCH, Pool, socket};

/// The ring's other side wants to be called (`XDP_RING_NEED_WAKEUP`).
const NEEDS_WAKEUP: u32 = 1;

/// What a socket is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) ifindex: u32,
    /// The device's queue, for both directions.
    pub(crate) queue: u32,
    /// `XDP_COPY` or `XDP_ZEROCOPY`, and others that bind(2) takes.
    pub(crate) flags: u16,
    /// Room for one frame, with what the kernel keeps before it.
    pub(crate) room: usize,
    /// How many frames can be received until they are taken, a power of two; 0: the socket only sends.
    pub(crate) received: usize,
    /// How many frames can be on their way, a power of two.
    pub(crate) sent: usize,
}

/// Room for a frame of a socket that only sends: the least that the kernel takes.
pub(crate) const SENDER_ROOM: usize = 2048;

impl Setup {
    /// A socket that only sends: what is handed over at once fits twice, so that one batch may be under way while the next
    /// is written.
    pub(crate) fn sender(ifindex: u32) -> Setup {
        Setup { ifindex, queue: 0, flags: libc::XDP_COPY, room: SENDER_ROOM, received: 0, sent: 2 * BATCH }
    }

    /// Opens the socket; the receiver's frames come when its descriptor is where a program looks for it.
    pub(crate) fn open(self) -> io::Result<(Receiver, Sender)> {
        // SAFETY: socket(2) takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let len = (self.received + self.sent) * self.room;
        let frames = Mapping::private(len)?;
        let memory = libc::xdp_umem_reg_v1 {
            addr: frames.start() as u64,
            len: len as u64,
            chunk_size: self.room as u32,
            headroom: 0,
        };
        // SAFETY: nobody else has the pages of `frames`, which the kernel holds by itself until the socket is closed.
        unsafe { socket::set_option_with_addresses(&fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &memory) }?;
        // The kernel asks for a ring of places to fill whether it is used or not.
        let places = self.received.max(1);
        socket::set_option(&fd, libc::SOL_XDP, libc::XDP_UMEM_FILL_RING, places as u32)?;
        for ring in [libc::XDP_UMEM_COMPLETION_RING, libc::XDP_TX_RING] {
            socket::set_option(&fd, libc::SOL_XDP, ring, self.sent as u32)?;
        }
        if self.received > 0 {
            socket::set_option(&fd, libc::SOL_XDP, libc::XDP_RX_RING, self.received as u32)?;
        }
        let offsets = ring_offsets(&fd)?;
        // SAFETY: the rings have as many entries as was asked for: descriptions of frames, and places of frames, which are
        // plain numbers.
        let (arrived, filling, sending, done) = unsafe {
            let arrived = (self.received > 0)
                .then(|| Ring::map(&fd, libc::XDP_PGOFF_RX_RING, &offsets.rx, self.received))
                .transpose()?;
            let filling = Ring::map(&fd, libc::XDP_UMEM_PGOFF_FILL_RING as i64, &offsets.fr, places)?;
            let sending = Ring::map(&fd, libc::XDP_PGOFF_TX_RING, &offsets.tx, self.sent)?;
            let done = Ring::map(&fd, libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64, &offsets.cr, self.sent)?;
            (arrived, filling, sending, done)
        };
        self.bind(&fd)?;
        let memory = Arc::new(Memory { fd, frames, room: self.room });
        let place = |index: usize| (index * self.room) as u64;
        let mut receiver = Receiver { memory: Arc::clone(&memory), arrived, filling };
        (0..self.received).for_each(|index| receiver.filling.put(place(index)));
        receiver.filling.publish();
        let free = (self.received..self.received + self.sent).map(place).collect();
        let is_asynchronous = self.flags & libc::XDP_ZEROCOPY != 0;
        Ok((receiver, Sender { memory, sending, done, free, is_asynchronous }))
    }

    fn bind(&self, fd: &OwnedFd) -> io::Result<()> {
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: self.flags,
            sxdp_ifindex: self.ifindex,
            sxdp_queue_id: self.queue,
            sxdp_shared_umem_fd: 0,
        };
        // SAFETY: pointer and length describe `address`.
        let rc = unsafe {
            libc::bind(
                fd.as_raw_fd(),
                std::ptr::from_ref(&address).cast(),
                std::mem::size_of::<libc::sockaddr_xdp>() as libc::socklen_t,
            )
        };
        if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// What both sides of a socket have.
#[derive(Debug)]
struct Memory {
    fd: OwnedFd,
    frames: Mapping,
    /// Of each frame, in bytes.
    room: usize,
}

impl Memory {
    /// The bytes that the kernel says are there.
    ///
    /// # Safety
    ///
    /// The frame is this side's, and is not given back while the bytes are in use.
    unsafe fn bytes(&self, place: u64, len: u32) -> Option<&[u8]> {
        let (start, len) = (usize::try_from(place).ok()?, len as usize);
        let frame = start / self.room * self.room;
        if len == 0 || start + len > frame + self.room {
            return None;
        }
        self.frames.at::<u8>(start + len - 1)?;
        let start = self.frames.at::<u8>(start)?;
        // SAFETY: first and last byte lie in the mapping, and the kernel does not write to the frame while it is this
        // side's, which the caller promises.
        Some(unsafe { std::slice::from_raw_parts(start, len) })
    }
}

/// The side of a socket that frames come from.
#[derive(Debug)]
pub(crate) struct Receiver {
    memory: Arc<Memory>,
    arrived: Option<Ring<libc::xdp_desc>>,
    filling: Ring<u64>,
}

impl Receiver {
    /// Readable when there are frames.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.memory.fd.as_fd()
    }

    /// What the socket has counted since it was opened.
    pub(crate) fn statistics(&self) -> io::Result<Statistics> {
        socket::option(&self.memory.fd, libc::SOL_XDP, libc::XDP_STATISTICS)
    }

    /// Takes up to `limit` frames.
    pub(crate) fn receive(&mut self, pool: &mut Pool, out: &mut Vec<Packet>, limit: usize, losses: &Losses) {
        let Some(arrived) = &mut self.arrived else { return };
        let count = (arrived.written() as usize).min(limit);
        for _ in 0..count {
            let Some(frame) = arrived.read() else { break };
            // SAFETY: the kernel has written the frame, and gets it back only after this.
            match unsafe { self.memory.bytes(frame.addr, frame.len) } {
                Some(bytes) if bytes.len() >= wire::ethernet::HEADER_LEN => {
                    let mut packet = if bytes.len() <= SMALL { pool.small() } else { pool.large() };
                    packet.append(bytes);
                    dp::sums::find_partial(&mut packet);
                    out.push(packet);
                }
                Some(_) | None => losses.count(DropReason::RxInvalid, 1),
            }
            self.filling.put(frame.addr / self.memory.room as u64 * self.memory.room as u64);
        }
        if count > 0 {
            arrived.release();
            self.filling.publish();
        }
        if self.filling.needs_wakeup() {
            socket::is_readable(&self.memory.fd);
        }
    }
}

/// struct xdp_statistics. Kernels before 5.9 have the first three, and count what the ring has no room for as dropped.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Statistics {
    pub(crate) rx_dropped: u64,
    pub(crate) rx_invalid_descs: u64,
    pub(crate) tx_invalid_descs: u64,
    pub(crate) rx_ring_full: u64,
    rx_fill_ring_empty_descs: u64,
    tx_ring_empty_descs: u64,
}
// SAFETY: six numbers.
unsafe impl socket::Plain for Statistics {}

/// The side of a socket that sends.
#[derive(Debug)]
pub(crate) struct Sender {
    memory: Arc<Memory>,
    sending: Ring<libc::xdp_desc>,
    done: Ring<u64>,
    /// Places of frames that are not under way.
    free: Vec<u64>,
    /// The device sends from the memory of the frames, and is not done with them when a call returns.
    is_asynchronous: bool,
}

impl Sender {
    /// Sends packets from the front on, as many as there is room for; how many it is done with, of which `losses`
    /// counts those that were lost. After an error the socket is of no more use.
    pub(crate) fn send(&mut self, packets: &[Packet], losses: &Losses) -> Result<usize, (usize, io::Error)> {
        let done = self.done.written();
        (0..done).for_each(|_| self.free.extend(self.done.read()));
        if done > 0 {
            self.done.release();
        }
        let mut count = 0;
        for packet in packets.iter().take_while(|packet| takes(packet, self.memory.room)) {
            let Some(place) = self.free.pop() else { break };
            // The whole room is there where its last byte is.
            let end = place as usize + self.memory.room - 1;
            let room = self.memory.frames.at::<u8>(end).and(self.memory.frames.at::<u8>(place as usize));
            let Some(room) = room else {
                base::broken!("the place {place} of a frame lies beyond all frames");
                break;
            };
            let len = packet.len();
            // SAFETY: `room` lies in the mapping and has as many bytes as the packet, which is taken, and the kernel does
            // not look at a frame that is not under way.
            unsafe { std::ptr::copy_nonoverlapping(packet.bytes().as_ptr(), room, len) };
            self.sending.put(libc::xdp_desc { addr: place, len: len as u32, options: 0 });
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        self.sending.publish();
        self.kick(count, losses).map(|()| count).map_err(|error| (count, error))
    }

    /// Has the kernel look at what is written.
    fn kick(&self, count: usize, losses: &Losses) -> io::Result<()> {
        if self.is_asynchronous && !self.sending.needs_wakeup() {
            return Ok(());
        }
        // A call ends with the frame that the driver refuses; the next goes on behind it.
        for _ in 0..=count {
            // SAFETY: no memory is passed.
            let rc = unsafe {
                libc::sendto(
                    self.memory.fd.as_raw_fd(),
                    std::ptr::null(),
                    0,
                    libc::MSG_DONTWAIT,
                    std::ptr::null(),
                    0,
                )
            };
            if rc >= 0 {
                break;
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                // The device is at it.
                Some(libc::EBUSY | libc::EAGAIN) if self.is_asynchronous => break,
                Some(libc::EBUSY) => losses.refused_frames(1, DropReason::TxFailure, &error),
                _ => {
                    let waiting = u64::from(self.sending.waiting());
                    losses.refused_frames(waiting, DropReason::TxFailure, &error);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// Whether such a frame can be sent where there are so many bytes of room: nothing is left for the kernel to do.
#[inline]
pub(crate) fn takes(packet: &Packet, room: usize) -> bool {
    packet.offload.is_none() && packet.len() <= room
}

fn ring_offsets(fd: &OwnedFd) -> io::Result<libc::xdp_mmap_offsets> {
    // SAFETY: all-zero bytes are a valid xdp_mmap_offsets.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
    let mut len = std::mem::size_of::<libc::xdp_mmap_offsets>() as libc::socklen_t;
    // SAFETY: pointer and length describe `offsets`; the kernel writes no more.
    let rc = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_MMAP_OFFSETS,
            (&raw mut offsets).cast(),
            &raw mut len,
        )
    };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(offsets) }
}

/// A ring of entries between this process and the kernel: one writes them, the other takes them.
#[derive(Debug)]
struct Ring<T> {
    memory: Mapping,
    producer: usize,
    consumer: usize,
    flags: usize,
    entries: usize,
    size: usize,
    /// How far this side has come.
    position: u32,
    entry: std::marker::PhantomData<T>,
}

impl<T: Copy> Ring<T> {
    /// # Safety
    ///
    /// The ring has `size` entries of the type `T`, of which any bytes are a valid value.
    unsafe fn map(
        fd: &OwnedFd,
        which: i64,
        offsets: &libc::xdp_ring_offset,
        size: usize,
    ) -> io::Result<Ring<T>> {
        let entries = offsets.desc as usize;
        let memory = Mapping::shared(fd, entries + size * std::mem::size_of::<T>(), which)?;
        Ok(Ring {
            memory,
            producer: offsets.producer as usize,
            consumer: offsets.consumer as usize,
            flags: offsets.flags as usize,
            entries,
            size,
            position: 0,
            entry: std::marker::PhantomData,
        })
    }

    fn word(&self, offset: usize) -> Option<&AtomicU32> {
        // SAFETY: the place lies within the mapping and is aligned; both sides use it by atomic accesses only.
        self.memory.at::<AtomicU32>(offset).map(|place| unsafe { &*place })
    }

    fn indices(&self) -> Option<Indices<'_>> {
        Some(Indices { producer: self.word(self.producer)?, consumer: self.word(self.consumer)? })
    }

    fn place(&self) -> Option<*mut T> {
        self.memory.at(self.entries + self.position as usize % self.size * std::mem::size_of::<T>())
    }

    /// Whether the kernel sleeps and is to be called when there is something new.
    fn needs_wakeup(&self) -> bool {
        self.word(self.flags)
            .is_some_and(|flags| flags.load(crate::sync::Ordering::Relaxed) & NEEDS_WAKEUP != 0)
    }

    /// Writes the next entry, which the kernel sees after [`Ring::publish`].
    fn put(&mut self, entry: T) {
        if let Some(place) = self.place() {
            // SAFETY: the place lies within the mapping; the kernel has taken what stood there, since no more frames
            // are under way than the ring has entries.
            unsafe { place.write(entry) };
            self.position = self.position.wrapping_add(1);
        } else {
            base::broken!("entry {} lies beyond the ring", self.position);
        }
    }

    fn publish(&self) {
        if let Some(indices) = self.indices() {
            indices.publish(self.position);
        }
    }

    /// How many entries the kernel has not taken.
    fn waiting(&self) -> u32 {
        self.indices().map_or(0, |indices| indices.waiting(self.position))
    }

    /// How many entries the kernel has written that were not read.
    fn written(&self) -> u32 {
        self.indices().map_or(0, |indices| indices.written(self.position))
    }

    /// The next one of the entries that are known to be written.
    fn read(&mut self) -> Option<T> {
        // SAFETY: the place lies within the mapping, and the kernel has written it before it moved the producer's index.
        let entry = unsafe { self.place()?.read() };
        self.position = self.position.wrapping_add(1);
        Some(entry)
    }

    /// Gives back the places of all entries that were read.
    fn release(&self) {
        if let Some(indices) = self.indices() {
            indices.release(self.position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Wire, frame, has_pair, ip};

    #[test]
    fn only_frames_that_are_ready_and_fit_are_taken() {
        let takes = |packet: &Packet| takes(packet, SENDER_ROOM);
        assert!(takes(&Packet::from_bytes(&frame(SENDER_ROOM))));
        assert!(!takes(&Packet::from_bytes(&frame(SENDER_ROOM + 1))));
        let mut packet = Packet::from_bytes(&frame(60));
        packet.offload.checksum = Some((34, 16));
        assert!(!takes(&packet));
    }

    #[test]
    fn frames_go_out_in_their_order_however_many() {
        if !has_pair("p", "w") {
            return;
        }
        let index = netlink::link("p").unwrap().unwrap().index;
        let wire = Wire::open("w");
        let (_, mut sender) = Setup::sender(index).open().unwrap();
        let losses = Losses::default();
        // More than there are places for, so that each is used again.
        for round in 0..5 {
            let packets: Vec<Packet> =
                (0..BATCH).map(|n| Packet::from_bytes(&frame(60 + round + n))).collect();
            assert_eq!(sender.send(&packets, &losses).unwrap(), BATCH);
            for n in 0..BATCH {
                assert_eq!(wire.receive(), frame(60 + round + n));
            }
        }
        assert_eq!(losses.counters(), []);
    }

    #[test]
    fn it_stops_at_the_first_packet_that_it_cannot_send() {
        if !has_pair("p", "w") {
            return;
        }
        let index = netlink::link("p").unwrap().unwrap().index;
        let (_, mut sender) = Setup::sender(index).open().unwrap();
        let mut packets = vec![Packet::from_bytes(&frame(60)); 3];
        packets[1].offload.checksum = Some((34, 16));
        assert_eq!(sender.send(&packets, &Losses::default()).unwrap(), 1);
        assert_eq!(sender.send(&packets[1..], &Losses::default()).unwrap(), 0);
    }

    #[test]
    fn what_is_lost_with_its_device_is_counted() {
        if !has_pair("p", "w") {
            return;
        }
        let index = netlink::link("p").unwrap().unwrap().index;
        let (_, mut sender) = Setup::sender(index).open().unwrap();
        ip("link set p down");
        let losses = Losses::default();
        let packets = vec![Packet::from_bytes(&frame(60)); 3];
        let (done, _) = sender.send(&packets, &losses).unwrap_err();
        assert_eq!(done, 3);
        assert_eq!(losses.counters(), [("ovs_tx_failure_drops".to_owned(), 3)]);
    }
}
