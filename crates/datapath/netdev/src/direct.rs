//! Sending straight to a device's driver, past the kernel's queueing layer: an
//! AF_XDP socket that only transmits (Documentation/networking/af_xdp.rst).
//!
//! Frames are copied into memory that the kernel shares; one call hands a batch
//! over, and the kernel has sent it when the call returns. A frame costs less
//! than with sendmmsg(2) on a packet socket: docs/PERFORMANCE.md has figures.
//! Not done for these frames: all that the queueing layer does, which is why
//! [`crate::lease`] says when this may be used, and sums and cuts.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use dp::{DropReason, Packet};

use crate::BATCH;
use crate::losses::Losses;
use crate::mapping::Mapping;
use crate::socket;
use crate::sync::AtomicU32;
use crate::turns::Indices;

/// Room for one frame: the least that the kernel takes as a chunk.
const ROOM: usize = 2048;
/// Frames on their way: twice a batch, so that one may be under way while the next is written.
const FRAMES: usize = 2 * BATCH;

/// A socket that sends to one device.
#[derive(Debug)]
pub(crate) struct DirectSender {
    fd: OwnedFd,
    frames: Mapping,
    sending: Ring<libc::xdp_desc>,
    done: Ring<u64>,
    /// Places of frames that are not under way.
    free: Vec<u64>,
}

impl DirectSender {
    pub(crate) fn open(ifindex: u32) -> io::Result<DirectSender> {
        // SAFETY: socket(2) takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let frames = Mapping::private(FRAMES * ROOM)?;
        let memory = libc::xdp_umem_reg_v1 {
            addr: frames.start() as u64,
            len: (FRAMES * ROOM) as u64,
            chunk_size: ROOM as u32,
            headroom: 0,
        };
        // SAFETY: nobody else has the pages of `frames`, which the kernel holds by itself until the socket is closed.
        unsafe { socket::set_option_with_addresses(&fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &memory) }?;
        // A ring for receiving is asked for whether it is used or not.
        socket::set_option(&fd, libc::SOL_XDP, libc::XDP_UMEM_FILL_RING, 1u32)?;
        for ring in [libc::XDP_UMEM_COMPLETION_RING, libc::XDP_TX_RING] {
            socket::set_option(&fd, libc::SOL_XDP, ring, FRAMES as u32)?;
        }
        let offsets = ring_offsets(&fd)?;
        // SAFETY: the ring for sending has `FRAMES` entries, which are descriptions of frames: plain numbers.
        let sending = unsafe { Ring::map(&fd, libc::XDP_PGOFF_TX_RING, &offsets.tx) }?;
        // SAFETY: the ring of frames that were sent has `FRAMES` entries, which are places of frames: plain numbers.
        let done = unsafe { Ring::map(&fd, libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64, &offsets.cr) }?;
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: libc::XDP_COPY,
            sxdp_ifindex: ifindex,
            sxdp_queue_id: 0,
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
        if rc < 0 {
            return Err(io::Error::last_os_error());
        }
        let free = (0..FRAMES).map(|index| (index * ROOM) as u64).collect();
        Ok(DirectSender { fd, frames, sending, done, free })
    }

    /// Sends packets from the front on, as many as there is room for; how many it is done with, of which `losses`
    /// counts those that were lost. After an error the socket is of no more use.
    pub(crate) fn send(&mut self, packets: &[Packet], losses: &Losses) -> Result<usize, (usize, io::Error)> {
        while let Some(place) = self.done.take() {
            self.free.push(place);
        }
        let mut count = 0;
        for packet in packets.iter().take_while(|packet| takes(packet)) {
            let Some(place) = self.free.pop() else { break };
            let Some(room) = self.frames.at::<[u8; ROOM]>(place as usize) else {
                base::broken!("the place {place} of a frame lies beyond all frames");
                break;
            };
            let len = packet.len().min(ROOM);
            // SAFETY: `room` lies in the mapping, and the kernel does not look at a frame that is not under way.
            unsafe { std::ptr::copy_nonoverlapping(packet.bytes().as_ptr(), room.cast(), len) };
            self.sending.put(libc::xdp_desc { addr: place, len: len as u32, options: 0 });
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        self.sending.publish();
        // A call ends with the frame that the driver refuses; the next goes on behind it.
        for _ in 0..=count {
            // SAFETY: no memory is passed.
            let rc = unsafe {
                libc::sendto(
                    self.fd.as_raw_fd(),
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
                Some(libc::EBUSY) => losses.refused_frames(1, DropReason::TxFailure, &error),
                _ => {
                    let waiting = u64::from(self.sending.waiting());
                    losses.refused_frames(waiting, DropReason::TxFailure, &error);
                    return Err((count, error));
                }
            }
        }
        Ok(count)
    }
}

/// Whether such a frame can be sent directly: it fits, and nothing is left for the kernel to do.
pub(crate) fn takes(packet: &Packet) -> bool {
    packet.offload.is_none() && packet.len() <= ROOM
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

/// A ring of `FRAMES` entries between this process and the kernel: one writes them, the other takes them.
#[derive(Debug)]
struct Ring<T> {
    memory: Mapping,
    producer: usize,
    consumer: usize,
    entries: usize,
    /// How far this side has come.
    position: u32,
    entry: std::marker::PhantomData<T>,
}

impl<T: Copy> Ring<T> {
    /// # Safety
    ///
    /// The ring has `FRAMES` entries of the type `T`, of which any bytes are a valid value.
    unsafe fn map(fd: &OwnedFd, which: i64, offsets: &libc::xdp_ring_offset) -> io::Result<Ring<T>> {
        let entries = offsets.desc as usize;
        let memory = Mapping::shared(fd, entries + FRAMES * std::mem::size_of::<T>(), which)?;
        Ok(Ring {
            memory,
            producer: offsets.producer as usize,
            consumer: offsets.consumer as usize,
            entries,
            position: 0,
            entry: std::marker::PhantomData,
        })
    }

    fn indices(&self) -> Option<Indices<'_>> {
        let index = |offset: usize| {
            // SAFETY: the place lies within the mapping and is aligned; both sides use it by atomic accesses only.
            self.memory.at::<AtomicU32>(offset).map(|place| unsafe { &*place })
        };
        Some(Indices { producer: index(self.producer)?, consumer: index(self.consumer)? })
    }

    fn place(&self) -> Option<*mut T> {
        self.memory.at(self.entries + self.position as usize % FRAMES * std::mem::size_of::<T>())
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

    /// The next entry that the kernel has written.
    fn take(&mut self) -> Option<T> {
        if !self.indices()?.is_written(self.position) {
            return None;
        }
        // SAFETY: the place lies within the mapping, and the kernel has written it before it moved the producer's index.
        let entry = unsafe { self.place()?.read() };
        self.position = self.position.wrapping_add(1);
        self.indices()?.release(self.position);
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Wire, frame, has_pair, ip};

    #[test]
    fn only_frames_that_are_ready_and_fit_are_taken() {
        assert!(takes(&Packet::from_bytes(&frame(ROOM))));
        assert!(!takes(&Packet::from_bytes(&frame(ROOM + 1))));
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
        let mut sender = DirectSender::open(index).unwrap();
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
        let mut sender = DirectSender::open(index).unwrap();
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
        let mut sender = DirectSender::open(index).unwrap();
        ip("link set p down");
        let losses = Losses::default();
        let packets = vec![Packet::from_bytes(&frame(60)); 3];
        let (done, _) = sender.send(&packets, &losses).unwrap_err();
        assert_eq!(done, 3);
        assert_eq!(losses.counters(), [("ovs_tx_failure_drops".to_owned(), 3)]);
    }
}
