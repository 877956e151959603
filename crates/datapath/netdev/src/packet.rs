//! Network devices of the machine, over packet(7).
//!
//! Receiving: the kernel copies frames into a ring that is mapped here
//! (TPACKET_V2: frames are visible at once, where V3 waits for a block to
//! fill). Slots are small; of a larger frame the kernel also queues the whole,
//! which is read with one call. What enters is the switch's alone: the host's
//! own stack does not see it ([`netlink::IngressGuard`]).
//!
//! Sending: batches, with sendmmsg(2), through the kernel's queueing layer. It
//! does in software what the device cannot (cutting, checksums), shapes as
//! `tc` says, and shows the frames to whoever captures them. A device that has
//! much to send may be lent a shorter way ([`crate::lease`]), for frames of
//! which nothing is left to be done.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use dp::{DropReason, Packet};
use netlink::IngressGuard;
use wire::ethernet;

use crate::lease::Lease;
use crate::losses::Losses;
use crate::mapping::Mapping;
use crate::merging::Merging;
use crate::sync::AtomicU32;
use crate::turns::Slot;
use crate::{BATCH, Pool, direct, socket, vnet};

const SLOT: usize = 2048;
const BLOCK: usize = 64 * 1024;

/// Slots of the ring of the device number `sequence`: deep rings for the first
/// ones (4 MiB each, never swapped), shallow ones where there are hundreds.
pub(crate) fn slots_for(sequence: u32) -> usize {
    match sequence {
        0..16 => 2048,
        16..64 => 512,
        _ => 256,
    }
}

const PACKET_RX_RING: i32 = 5;
const PACKET_STATISTICS: i32 = 6;
const PACKET_COPY_THRESH: i32 = 7;
const PACKET_VERSION: i32 = 10;
const PACKET_VNET_HDR: i32 = 15;
const PACKET_IGNORE_OUTGOING: i32 = 23;
const TPACKET_V2: i32 = 1;

const STATUS_COPY: u32 = 2;
/// Frames were dropped since the socket's statistics were last read.
const STATUS_LOSING: u32 = 1 << 2;
const STATUS_VLAN_VALID: u32 = 1 << 4;
const STATUS_VLAN_TPID_VALID: u32 = 1 << 6;

/// Room for frames on their way, beyond what the kernel grants by default.
const SOCKET_BUFFER: i32 = 8 << 20;

/// A device of the machine, opened for receiving and sending.
#[derive(Debug)]
pub struct PacketDevice {
    name: String,
    ifindex: u32,
    receive: OwnedFd,
    send: OwnedFd,
    ring: Mutex<Ring>,
    /// The way past the queueing layer.
    pub lease: Lease,
    /// Whether it merges what it receives.
    pub merging: Merging,
    losses: Losses,
    _ingress: Option<IngressGuard>,
}

impl PacketDevice {
    /// Opens the device with a ring of `slots`, sets it promiscuous, and keeps its frames from the host's own stack.
    /// `sequence` differs between all devices that are open.
    pub fn open(name: &str, ifindex: u32, slots: usize, sequence: u32) -> io::Result<PacketDevice> {
        let receive = socket::packet_socket()?;
        socket::set_option(&receive, libc::SOL_PACKET, PACKET_VERSION, TPACKET_V2)?;
        socket::set_option(&receive, libc::SOL_PACKET, PACKET_VNET_HDR, 1i32)?;
        socket::set_option(&receive, libc::SOL_PACKET, PACKET_COPY_THRESH, 1i32)?;
        socket::set_option(&receive, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1i32)?;
        // Without the right to force it, the default has to do.
        let _ = socket::set_option(&receive, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, SOCKET_BUFFER);
        let ring = Ring::map(&receive, slots)?;
        socket::bind(&receive, ifindex, libc::ETH_P_ALL as u16)?;
        let promiscuous = libc::packet_mreq {
            mr_ifindex: ifindex as i32,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        socket::set_option(&receive, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, promiscuous)?;

        let send = socket::packet_socket()?;
        socket::set_option(&send, libc::SOL_PACKET, PACKET_VNET_HDR, 1i32)?;
        let _ = socket::set_option(&send, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SOCKET_BUFFER);
        socket::bind(&send, ifindex, 0)?;
        Ok(PacketDevice {
            name: name.to_owned(),
            ifindex,
            receive,
            send,
            ring: Mutex::new(ring),
            lease: Lease::new(ifindex),
            merging: Merging::default(),
            losses: Losses::default(),
            _ingress: close_ingress(name, ifindex, sequence),
        })
    }

    /// Its name when it was opened.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number to the kernel.
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Lets the device merge segments that it receives, if it asks and can; whether it does.
    pub fn begin_merging(&self) -> bool {
        self.merging.begin(&self.name)
    }

    /// The device is as it was before.
    pub fn end_merging(&self) {
        self.merging.end(&self.name);
    }

    /// What captures of this namespace are distinguished by: the number of the socket that frames come from.
    pub fn receiving_socket(&self) -> io::Result<u64> {
        socket::inode(&self.receive)
    }

    /// Reads the socket's error away, without which it would count as ready for ever.
    pub fn clear_error(&self) {
        // Reading it is what clears it.
        let _ = socket::option::<i32>(&self.receive, libc::SOL_SOCKET, libc::SO_ERROR);
    }

    /// Takes up to `limit` frames; how many.
    pub fn receive(&self, pool: &mut Pool, out: &mut Vec<Packet>, limit: usize) -> io::Result<usize> {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        while count < limit {
            match ring.next(&self.receive, pool)? {
                Frame::None => break,
                Frame::Packet(packet) => {
                    self.merging.received(&packet);
                    out.push(packet);
                    count += 1;
                }
                Frame::Lost(reason) => self.losses.count(reason, 1),
            }
        }
        if ring.is_losing {
            ring.is_losing = false;
            self.count_overflow();
        }
        Ok(count)
    }

    /// Counts the frames that the kernel has dropped because the ring was full; reading their number sets it back.
    pub(crate) fn count_overflow(&self) {
        /// struct tpacket_stats.
        #[repr(C)]
        #[derive(Clone, Copy, Default)]
        struct Statistics {
            packets: u32,
            drops: u32,
        }
        // SAFETY: two numbers.
        unsafe impl socket::Plain for Statistics {}
        if let Ok(statistics) =
            socket::option::<Statistics>(&self.receive, libc::SOL_PACKET, PACKET_STATISTICS)
        {
            self.losses.count(DropReason::RxQueueFull, statistics.drops.into());
        }
    }

    /// Frames that were lost, by reason.
    pub(crate) fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Sends the packets and gives their buffers back.
    pub fn send(&self, packets: &mut Vec<Packet>, pool: &mut Pool) {
        for chunk in packets.chunks(BATCH) {
            if !self.lease.is_granted() {
                self.lease.count(chunk.len());
                self.send_chunk(chunk);
                continue;
            }
            for run in chunk.chunk_by(|a, b| direct::takes(a) == direct::takes(b)) {
                let sent = self.lease.send(run, &self.losses);
                self.send_chunk(run.get(sent..).unwrap_or(&[]));
            }
        }
        for packet in packets.drain(..) {
            pool.give_back(packet);
        }
    }

    fn send_chunk(&self, packets: &[Packet]) {
        let mut headers = [[0u8; vnet::LEN]; BATCH];
        let mut parts = [[libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; 2]; BATCH];
        // SAFETY: all-zero bytes are a valid mmsghdr: null pointers with zero lengths.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        let count = packets.len().min(BATCH);
        if count < packets.len() {
            base::broken!("{} packets are sent at once", packets.len());
        }
        for (((packet, header), part), message) in
            packets.iter().zip(&mut headers).zip(&mut parts).zip(&mut messages)
        {
            *header = vnet::build(packet);
            let bytes = packet.bytes();
            *part = [
                libc::iovec { iov_base: header.as_mut_ptr().cast(), iov_len: vnet::LEN },
                libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() },
            ];
            message.msg_hdr.msg_iov = part.as_mut_ptr();
            message.msg_hdr.msg_iovlen = 2;
        }
        let mut done = 0;
        while done < count {
            let rest = messages.get_mut(done..count).unwrap_or(&mut []);
            // SAFETY: each message points to its part of `parts`, and that to `headers` and to the packets' bytes,
            // all of which live until the call returns and are only read.
            let sent = unsafe {
                libc::sendmmsg(
                    self.send.as_raw_fd(),
                    rest.as_mut_ptr(),
                    rest.len() as u32,
                    libc::MSG_DONTWAIT,
                )
            };
            if sent > 0 {
                done += sent as usize;
                continue;
            }
            let error = io::Error::last_os_error();
            done += match error.raw_os_error() {
                Some(libc::EINTR) => continue,
                // The socket's buffer is full, or the device is down or gone: it takes nothing more now.
                Some(libc::EAGAIN | libc::ENETDOWN | libc::ENXIO | libc::ENODEV) => {
                    self.losses.refused(packets.get(done..count).unwrap_or(&[]), &error);
                    count - done
                }
                // Any other error is about one packet.
                _ => {
                    if let Some(packet) = packets.get(done) {
                        socket::send_refused(&self.send, packet, &error, &self.losses);
                    }
                    1
                }
            };
        }
    }
}

/// Keeps what the device receives from the host's own stack; says what that means for addresses that it has.
fn close_ingress(name: &str, ifindex: u32, sequence: u32) -> Option<IngressGuard> {
    match IngressGuard::close(ifindex, sequence.wrapping_add(1).max(1)) {
        Ok(guard) => {
            let addresses = netlink::addresses(name).unwrap_or_default();
            for address in addresses.iter().filter(|address| !is_link_local(address)) {
                log::warn!(
                    target: "netdev_linux",
                    "{name}: its address {address} cannot be reached while it is a port of a bridge; \
                     move the address to the bridge's own port"
                );
            }
            Some(guard)
        }
        Err(error) => {
            log::warn!(
                target: "netdev_linux",
                "{name}: the host's own network stack also receives what enters this port: \
                 the filter against that was refused ({})",
                base::error_text(&error)
            );
            None
        }
    }
}

/// Whether the kernel has given the address to the device by itself.
fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

impl AsFd for PacketDevice {
    /// Readable when there are frames.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receive.as_fd()
    }
}

impl Drop for PacketDevice {
    fn drop(&mut self) {
        if self.merging.is_on() {
            self.end_merging();
        }
    }
}

enum Frame {
    None,
    Packet(Packet),
    /// One was there and is not usable.
    Lost(DropReason),
}

/// The mapped ring of received frames.
#[derive(Debug)]
struct Ring {
    memory: Mapping,
    slots: usize,
    next: usize,
    /// The kernel has said that it dropped frames.
    is_losing: bool,
}

impl Ring {
    fn map(fd: &OwnedFd, slots: usize) -> io::Result<Ring> {
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
            block_count: (SLOT * slots / BLOCK) as u32,
            frame_size: SLOT as u32,
            frame_count: slots as u32,
        };
        socket::set_option(fd, libc::SOL_PACKET, PACKET_RX_RING, request)?;
        let memory = Mapping::shared(fd, SLOT * slots, 0)?;
        Ok(Ring { memory, slots, next: 0, is_losing: false })
    }

    /// The status word of the next slot.
    fn status(&self) -> Slot<'_> {
        // SAFETY: `next` is below `slots`, so the slot lies in the mapping; its first word is aligned and is shared with
        // the kernel by atomic accesses only.
        Slot(unsafe { &*self.memory.start().add(self.next * SLOT).cast::<AtomicU32>() })
    }

    /// The next slot's bytes.
    ///
    /// # Safety
    ///
    /// The slot is this side's, by [`Slot::filled`], and is not given back while the bytes are in use.
    unsafe fn slot(&self) -> &[u8] {
        // SAFETY: the slot lies in the mapping, and the kernel does not write to it while it is this side's, which the
        // caller promises.
        unsafe { std::slice::from_raw_parts(self.memory.start().add(self.next * SLOT), SLOT) }
    }

    fn next(&mut self, fd: &OwnedFd, pool: &mut Pool) -> io::Result<Frame> {
        let Some(status) = self.status().filled() else { return Ok(Frame::None) };
        self.is_losing |= status & STATUS_LOSING != 0;
        // SAFETY: the slot is filled, and is given back only after this.
        let frame = take(unsafe { self.slot() }, status, fd, pool);
        self.status().give_back();
        self.next = (self.next + 1) % self.slots;
        frame
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
    if packet.len() < ethernet::HEADER_LEN {
        pool.give_back(packet);
        return Ok(Frame::Lost(DropReason::RxInvalid));
    }
    if status & STATUS_VLAN_VALID != 0 {
        let tpid = if status & STATUS_VLAN_TPID_VALID != 0 { half(26) } else { 0x8100 };
        insert_tag(&mut packet, tpid, half(24));
    }
    Ok(Frame::Packet(packet))
}

/// Puts a tag that the kernel keeps beside the frame back into it, which has an Ethernet header.
fn insert_tag(packet: &mut Packet, tpid: u16, tci: u16) {
    packet.insert_header(ethernet::TAG_OFFSET, &ethernet::Tag { tpid, tci });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Wire, frame, has_pair, ip, receive_all, until};

    /// Port `p`, of which `w` is the other end.
    fn pair(slots: usize) -> Option<(PacketDevice, Wire)> {
        if !has_pair("p", "w") {
            return None;
        }
        let index = netlink::link("p").unwrap().unwrap().index;
        Some((PacketDevice::open("p", index, slots, 0).unwrap(), Wire::open("w")))
    }

    fn tagged(len: usize) -> Vec<u8> {
        let mut bytes = frame(len);
        bytes.splice(12..12, [0x81, 0, 0x60, 7]);
        bytes
    }

    #[test]
    fn rings_are_deep_for_the_first_devices() {
        assert_eq!([0, 15, 16, 63, 64, 1000].map(slots_for), [2048, 2048, 512, 512, 256, 256]);
    }

    #[test]
    fn frames_pass_in_both_directions() {
        let Some((device, wire)) = pair(256) else { return };
        let mut packets: Vec<Packet> = (0..40).map(|n| Packet::from_bytes(&frame(60 + n))).collect();
        device.send(&mut packets, &mut Pool::new());
        assert!(packets.is_empty());
        for n in 0..40 {
            assert_eq!(wire.receive(), frame(60 + n));
        }
        (0..40).for_each(|n| wire.send(&frame(100 + n)));
        let received = receive_all(40, |pool, out| device.receive(pool, out, BATCH));
        for (n, packet) in received.iter().enumerate() {
            assert_eq!(packet.bytes(), frame(100 + n));
        }
    }

    #[test]
    fn tags_stand_in_the_frame() {
        let Some((device, wire)) = pair(256) else { return };
        wire.send(&tagged(60));
        let received = receive_all(1, |pool, out| device.receive(pool, out, BATCH));
        assert_eq!(received[0].bytes(), tagged(60));
        device.send(&mut vec![Packet::from_bytes(&tagged(64))], &mut Pool::new());
        let sent = wire.receive();
        // The kernel may keep the tag beside the frame, where this end does not look.
        assert!(sent == tagged(64) || sent == frame(64), "{sent:x?}");
    }

    #[test]
    fn a_frame_that_is_longer_than_a_slot_is_whole() {
        let Some((device, wire)) = pair(256) else { return };
        ip("link set p mtu 9000");
        ip("link set w mtu 9000");
        wire.send(&frame(9000));
        let received = receive_all(1, |pool, out| device.receive(pool, out, BATCH));
        assert_eq!(received[0].bytes(), frame(9000));
    }

    #[test]
    fn the_ring_goes_round_and_what_it_has_no_room_for_is_counted() {
        let Some((device, wire)) = pair(32) else { return };
        for _ in 0..3 {
            (0..20).for_each(|n| wire.send(&frame(60 + n)));
            receive_all(20, |pool, out| device.receive(pool, out, BATCH));
        }
        assert_eq!(device.losses().received(), 0);
        (0..50).for_each(|_| wire.send(&frame(60)));
        device.count_overflow();
        until("the overflow is counted", || {
            device.count_overflow();
            device.losses().received() >= 18
        });
        receive_all(32, |pool, out| device.receive(pool, out, BATCH));
    }

    #[test]
    fn a_device_that_is_down_takes_nothing_and_serves_again() {
        let Some((device, wire)) = pair(256) else { return };
        ip("link set p down");
        device.send(&mut vec![Packet::from_bytes(&frame(60)); 3], &mut Pool::new());
        assert_eq!(device.losses().counters(), [("ovs_tx_failure_drops".to_owned(), 3)]);
        // The socket reports once that the device went down.
        device.clear_error();
        ip("link set p up");
        device.send(&mut vec![Packet::from_bytes(&frame(60))], &mut Pool::new());
        assert_eq!(wire.receive(), frame(60));
    }

    #[test]
    fn the_hosts_stack_is_kept_out_while_the_device_is_open() {
        let Some((device, _)) = pair(256) else { return };
        let filters = || {
            let shown =
                std::process::Command::new("tc").args(["filter", "show", "dev", "p", "ingress"]).output();
            String::from_utf8(shown.unwrap().stdout).unwrap()
        };
        assert!(!filters().is_empty());
        drop(device);
        assert!(filters().is_empty());
    }

    #[test]
    fn two_sockets_have_different_numbers() {
        let Some((device, _)) = pair(256) else { return };
        let number = device.receiving_socket().unwrap();
        assert!(
            std::fs::read_to_string("/proc/thread-self/net/packet").unwrap().contains(&format!(" {number}"))
        );
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
