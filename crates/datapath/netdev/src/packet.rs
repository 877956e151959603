//! Network devices of the machine, over packet(7).
//!
//! Receiving: from a queue, or from a ring while many frames come
//! ([`crate::receiving`]). What enters is the switch's alone: the host's own
//! stack does not see it ([`netlink::IngressGuard`]).
//!
//! Sending: batches, with sendmmsg(2), through the kernel's queueing layer. It
//! does in software what the device cannot (cutting, checksums), shapes as
//! `tc` says, and shows the frames to whoever captures them. A device that has
//! much to send may be lent a shorter way ([`crate::lease`]), for frames of
//! which nothing is left to be done.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use dp::{DropReason, Packet};
use netlink::IngressGuard;

use crate::lease::Lease;
use crate::losses::Losses;
use crate::merging::Merging;
use crate::prioritized::Prioritized;
use crate::qos::priority_of;
use crate::receiving::Receiving;
use crate::ring::Ring;
use crate::xdp::{Wish, Xdp};
use crate::{BATCH, Pool, Shortcuts, socket, vnet};

const PACKET_STATISTICS: i32 = 6;

/// A device of the machine, opened for receiving and sending.
#[derive(Debug)]
pub struct PacketDevice {
    name: String,
    ifindex: u32,
    /// The first queue, whose socket also sends.
    receiving: Receiving,
    /// The others.
    others: Vec<Receiving>,
    /// The way past the queueing layer.
    pub lease: Lease,
    /// Whether it merges what it receives.
    pub merging: Merging,
    /// The sockets of a port of the type `afxdp`.
    xdp: Option<Xdp>,
    /// Where frames of queues go that have a class of their own.
    prioritized: Prioritized,
    losses: Arc<Losses>,
    ingress: Option<IngressGuard>,
}

impl PacketDevice {
    /// Opens the device, sets it promiscuous, and keeps its frames from the host's own stack. `sequence` differs between
    /// all devices that are open. `is_deaf`: it receives nothing until [`PacketDevice::hear`]. What arrives is shared by
    /// `queues` queues, all frames of a flow in the same one. Those of flows that the kernel forwards are not received.
    pub fn open(
        name: &str,
        ifindex: u32,
        sequence: u32,
        is_deaf: bool,
        queues: usize,
        shortcuts: &Arc<Shortcuts>,
    ) -> io::Result<PacketDevice> {
        let (receiving, others) = open_queues(ifindex, is_deaf, queues, shortcuts)?;
        Ok(PacketDevice {
            name: name.to_owned(),
            ifindex,
            receiving,
            others,
            lease: Lease::new(ifindex),
            merging: Merging::default(),
            xdp: None,
            prioritized: Prioritized::default(),
            losses: Arc::default(),
            ingress: close_ingress(name, ifindex, sequence, shortcuts),
        })
    }

    /// The same for a port of the type `afxdp`: its queues are those of the device.
    pub(crate) fn open_xdp(
        name: &str,
        ifindex: u32,
        sequence: u32,
        is_deaf: bool,
        wish: Wish,
    ) -> io::Result<PacketDevice> {
        let xdp = Xdp::new(name, ifindex, wish, !is_deaf);
        if !is_deaf {
            // What fails here has changed nothing at the device of which the kernel would tell.
            xdp.open_now()?;
        }
        let mut device =
            PacketDevice::open(name, ifindex, sequence, is_deaf, 1, &Arc::new(Shortcuts::none()))?;
        (device.lease, device.xdp) = (Lease::barred(ifindex), Some(xdp));
        Ok(device)
    }

    /// Whether the kernel may forward what it receives: nobody else decides about it before.
    fn can_have_shortcuts(&self) -> bool {
        matches!(self.ingress.as_ref().map(IngressGuard::decides), Some(Ok(true)))
    }

    /// Has the kernel look for flows that it forwards among what the device receives; whether it does.
    pub fn begin_lookups(&self) -> bool {
        self.queues().all(Receiving::is_filtered)
            || self.can_have_shortcuts() && self.queues().all(|queue| self.filter(queue, true))
    }

    /// Ends that, where the kernel has no flows of this device any more.
    pub fn end_lookups(&self) {
        self.queues().filter(|queue| queue.is_filtered()).for_each(|queue| _ = self.filter(queue, false));
    }

    /// Whether the kernel does.
    pub fn is_filtered(&self) -> bool {
        self.queues().any(Receiving::is_filtered)
    }

    fn filter(&self, queue: &Receiving, is_filtered: bool) -> bool {
        let result = queue.filter(is_filtered);
        if let Err(error) = &result {
            let why = base::error_text(error);
            log::debug!(target: "netdev_linux", "{}: what the kernel forwards is not changed ({why})", self.name);
        }
        result.is_ok()
    }

    /// Its sockets, if it is of the type `afxdp`.
    pub(crate) fn xdp(&self) -> Option<&Xdp> {
        self.xdp.as_ref()
    }

    /// Opens the sockets of the type `afxdp` where they could not be had before; whether it has, which whoever waits for
    /// frames has to know.
    pub fn review_sockets(&self) -> bool {
        self.xdp.as_ref().is_some_and(Xdp::review)
    }

    /// Whether there is something for [`PacketDevice::review_sockets`] to do.
    pub fn waits_for_sockets(&self) -> bool {
        self.xdp.as_ref().is_some_and(Xdp::is_waiting)
    }

    /// Has all frames pass by packet sockets, which another process may have, too, until [`PacketDevice::hear`].
    pub fn end_directness(&self) {
        self.lease.end();
        if let Some(xdp) = &self.xdp {
            xdp.forbid();
        }
    }

    /// Counts losses on from those of the one that it takes the place of.
    pub(crate) fn count_on_from(&mut self, before: &PacketDevice) {
        self.losses = Arc::clone(&before.losses);
    }

    fn queues(&self) -> impl Iterator<Item = &Receiving> {
        std::iter::once(&self.receiving).chain(&self.others)
    }

    #[inline]
    fn queue(&self, index: usize) -> Option<&Receiving> {
        if index == 0 { Some(&self.receiving) } else { self.others.get(index - 1) }
    }

    /// How many queues what arrives is shared by.
    pub fn queue_count(&self) -> usize {
        self.xdp.as_ref().map_or(1 + self.others.len(), Xdp::queue_count)
    }

    fn sockets(&self, mut act: impl FnMut(&OwnedFd)) {
        self.queues().for_each(|queue| queue.sockets(&mut act));
    }

    /// Whether frames that it has received wait.
    pub fn has_frames(&self) -> bool {
        let mut has_some = false;
        self.sockets(|fd| has_some |= socket::is_readable(fd));
        has_some
    }

    /// Begins to receive, in place of sockets that another process has: what they have received it takes, and nothing more.
    /// A frame that comes between the two calls for this is lost.
    pub fn hear(&self, others: &[OwnedFd]) {
        let deaf = others.iter().try_for_each(socket::turn_deaf);
        if let Err(error) = deaf.and_then(|()| self.queues().try_for_each(Receiving::hear)) {
            log::warn!(target: "netdev_linux", "{}: it receives nothing ({})", self.name, base::error_text(&error));
        }
        if let Some(xdp) = &self.xdp {
            xdp.allow();
        }
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

    /// Descriptors of its sockets for another process.
    pub(crate) fn share(&self) -> io::Result<Vec<OwnedFd>> {
        let mut shared = Vec::new();
        self.sockets(|fd| shared.push(fd.try_clone()));
        shared.into_iter().collect()
    }

    /// What captures of this namespace are distinguished by: the numbers of the sockets that frames come from.
    pub fn own_sockets(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        self.sockets(|fd| numbers.push(socket::inode(fd)));
        numbers.into_iter().collect()
    }

    /// Gives `watch` the socket that has come for the queue, of a ring or of the type `afxdp`, unless `seen` remembers that it
    /// did: readable when there are frames, as the one that this is as a descriptor.
    pub fn watch_ring(&self, queue: usize, seen: &mut u32, watch: impl FnOnce(BorrowedFd<'_>)) {
        if let Some(xdp) = &self.xdp {
            xdp.watch(queue, seen, watch);
        } else if let Some(queue) = self.queue(queue) {
            queue.watch_ring(seen, watch);
        }
    }

    /// Readable when there are frames in the queue.
    pub fn fd(&self, queue: usize) -> Option<BorrowedFd<'_>> {
        self.queue(queue).map(|queue| queue.plain().as_fd())
    }

    /// Calls `act` with each descriptor that is waited for when the queue is.
    pub fn each_fd(&self, queue: usize, mut act: impl FnMut(BorrowedFd<'_>)) {
        if let Some(queue) = self.queue(queue) {
            queue.sockets(|fd| act(fd.as_fd()));
        }
        if let Some(xdp) = &self.xdp {
            xdp.with_fd(queue, act);
        }
    }

    /// Gives the device a ring when it receives much, takes it away when it no longer does; whether one has come, which
    /// whoever waits for frames has to know. May wait for the kernel. `is_due`: some time has passed since the last call.
    pub fn review_ring(&self, now: Instant, is_due: bool) -> bool {
        if self.xdp.is_some() {
            return false;
        }
        match self.receiving.review(now, is_due) {
            Ok(has_come) => has_come,
            Err(error) => {
                log::debug!(
                    target: "netdev_linux",
                    "{}: no ring for received frames ({})",
                    self.name,
                    base::error_text(&error)
                );
                false
            }
        }
    }

    /// Whether it has a ring, of which to ask again whether it needs it.
    pub fn has_ring(&self) -> bool {
        self.receiving.has_ring()
    }

    /// Whether the device, having received `count` frames just now, has begun to ask for help with them.
    #[inline]
    pub fn begins_to_ask(&self, count: usize) -> bool {
        if self.xdp.is_some() {
            return false;
        }
        // Both have to know.
        self.merging.begins_to_ask() | self.receiving.begins_to_ask(count)
    }

    /// Whether the device, having sent just now, has begun to ask for a lease, or has lost its sockets.
    #[inline]
    pub fn needs_help_sending(&self) -> bool {
        match &self.xdp {
            Some(xdp) => xdp.has_failed(),
            None => self.lease.begins_to_ask(),
        }
    }

    /// Reads the socket's error away, without which it would count as ready for ever.
    pub fn clear_error(&self) {
        // Reading it is what clears it.
        self.sockets(|fd| _ = socket::option::<i32>(fd, libc::SOL_SOCKET, libc::SO_ERROR));
    }

    /// Takes up to `limit` frames of a queue; how many.
    #[inline]
    pub fn receive(
        &self,
        queue: usize,
        pool: &mut Pool,
        out: &mut Vec<Packet>,
        limit: usize,
    ) -> io::Result<usize> {
        let mut count = 0;
        if let Some(xdp) = &self.xdp {
            let before = out.len();
            xdp.receive(queue, pool, out, limit, &self.losses);
            count = out.len() - before;
            if !xdp.looks_aside() {
                return Ok(count);
            }
        }
        let Some(receiving) = self.queue(queue) else { return Ok(count) };
        Ok(count + receiving.receive(pool, out, limit - count, &self.merging, &self.losses)?)
    }

    /// Drops a batch of frames of a queue, as if there had been no room for them; how many there were.
    pub fn discard(&self, queue: usize, pool: &mut Pool) -> usize {
        let mut frames = Vec::with_capacity(BATCH);
        // An error is the next one's who receives.
        let _ = self.receive(queue, pool, &mut frames, BATCH);
        let count = frames.len();
        frames.into_iter().for_each(|frame| pool.give_back(frame));
        self.losses.count(DropReason::RxQueueFull, count as u64);
        count
    }

    /// Counts the frames that the kernel has dropped because there was no room for them; reading their number sets it back.
    pub(crate) fn count_overflow(&self) {
        self.sockets(|fd| self.losses.count_overflow(fd));
        if let Some(xdp) = &self.xdp {
            xdp.count_overflow(&self.losses);
        }
    }

    /// Frames that came and found no room, as far as they are counted by now.
    pub fn overflowed(&self) -> u64 {
        self.losses.of(DropReason::RxQueueFull)
    }

    /// Frames that were lost, by reason.
    pub(crate) fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Sends the packets and gives their buffers back.
    pub fn send(&self, packets: &mut Vec<Packet>, pool: &mut Pool) {
        for chunk in packets.chunks_mut(BATCH) {
            if let Some(xdp) = self.xdp.as_ref().filter(|xdp| xdp.is_sending()) {
                // Of all but trains, which the kernel cuts, nothing is left to it.
                let left = |packet: &&mut Packet| packet.offload.segmentation.is_none();
                chunk.iter_mut().filter(left).for_each(dp::offload::complete_checksum);
                for run in chunk.chunk_by(|a, b| Xdp::takes(a) == Xdp::takes(b)) {
                    let is_direct = run.first().is_some_and(Xdp::takes);
                    let sent = if is_direct { xdp.send(run, &self.losses) } else { 0 };
                    self.send_queued(run.get(sent..).unwrap_or(&[]));
                }
            } else if self.lease.is_granted() {
                for run in chunk.chunk_by(|a, b| Lease::takes(a) == Lease::takes(b)) {
                    let sent = self.lease.send(run, &self.losses);
                    self.send_queued(run.get(sent..).unwrap_or(&[]));
                }
            } else {
                self.lease.count(chunk.len());
                self.send_queued(chunk);
            }
        }
        for packet in packets.drain(..) {
            pool.give_back(packet);
        }
    }

    /// Sends them through the queueing layer, those of each queue by its class.
    fn send_queued(&self, packets: &[Packet]) {
        for run in packets.chunk_by(|a, b| a.metadata.skb_priority == b.metadata.skb_priority) {
            let queue = run.first().map_or(0, |packet| packet.metadata.skb_priority);
            match priority_of(queue) {
                0 => self.send_chunk(self.receiving.plain(), run),
                priority => self.prioritized.with(priority, |fd| {
                    self.send_chunk(fd.unwrap_or(self.receiving.plain()), run);
                }),
            }
        }
    }

    fn send_chunk(&self, fd: &OwnedFd, packets: &[Packet]) {
        // The socket's own protocol says what it hears.
        let mut address = socket::address(self.ifindex, 0);
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
            message.msg_hdr.msg_name = (&raw mut address).cast();
            message.msg_hdr.msg_namelen = std::mem::size_of_val(&address) as libc::socklen_t;
            message.msg_hdr.msg_iov = part.as_mut_ptr();
            message.msg_hdr.msg_iovlen = 2;
        }
        let mut done = 0;
        while done < count {
            let rest = messages.get_mut(done..count).unwrap_or(&mut []);
            // SAFETY: each message points to `address` and to its part of `parts`, and that to `headers` and to the packets' bytes,
            // all of which live until the call returns and are only read.
            let sent = unsafe {
                libc::sendmmsg(fd.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, libc::MSG_DONTWAIT)
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
                        let finished = socket::in_place_of_refused(packet, &error, &self.losses);
                        finished.chunks(BATCH).for_each(|chunk| self.send_chunk(fd, chunk));
                    }
                    1
                }
            };
        }
    }
}

/// The first queue, and the others.
fn open_queues(
    ifindex: u32,
    is_deaf: bool,
    count: usize,
    shortcuts: &Arc<Shortcuts>,
) -> io::Result<(Receiving, Vec<Receiving>)> {
    let plain = open_plain(ifindex, is_deaf || count > 1)?;
    let now = Instant::now();
    if count <= 1 {
        return Ok((Receiving::new(ifindex, plain, shortcuts, now), Vec::new()));
    }
    // It sends only: no frame shall cost a look at its filter.
    socket::bind(&plain, ifindex, socket::NO_PROTOCOL)?;
    let rings: Vec<Ring> = (0..count).map(|_| Ring::open(ifindex)).collect::<io::Result<_>>()?;
    socket::share_frames(rings.iter().map(|ring| &ring.fd))?;
    let of = |plain: OwnedFd, ring| Receiving::one_of_several(ifindex, plain, ring, shortcuts, now);
    let queues: io::Result<Vec<Receiving>> =
        rings.into_iter().map(|ring| Ok(of(plain.try_clone()?, ring))).collect();
    let mut queues = queues?;
    if !is_deaf {
        queues.iter().try_for_each(Receiving::hear)?;
    }
    let first = queues.remove(0);
    Ok((first, queues))
}

/// A socket that receives and sends, with the device promiscuous as long as it is open.
pub(crate) fn open_plain(ifindex: u32, is_deaf: bool) -> io::Result<OwnedFd> {
    let fd = socket::packet_socket()?;
    socket::spare(&fd)?;
    if is_deaf {
        socket::turn_deaf(&fd)?;
    }
    for option in [socket::PACKET_VNET_HDR, socket::PACKET_AUXDATA, socket::PACKET_IGNORE_OUTGOING] {
        socket::set_option(&fd, libc::SOL_PACKET, option, 1i32)?;
    }
    for option in [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE] {
        // Without the right to force it, the default has to do.
        let _ = socket::set_option(&fd, libc::SOL_SOCKET, option, socket::BUFFER);
    }
    socket::bind(&fd, ifindex, libc::ETH_P_ALL as u16)?;
    let promiscuous = libc::packet_mreq {
        mr_ifindex: ifindex as i32,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    socket::set_option(&fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, promiscuous)?;
    Ok(fd)
}

impl Losses {
    /// Counts what the kernel has dropped because a socket had no room for it; reading their number sets it back.
    pub(crate) fn count_overflow(&self, fd: &OwnedFd) {
        /// struct tpacket_stats.
        #[repr(C)]
        #[derive(Clone, Copy, Default)]
        struct Statistics {
            packets: u32,
            drops: u32,
        }
        // SAFETY: two numbers.
        unsafe impl socket::Plain for Statistics {}
        if let Ok(statistics) = socket::option::<Statistics>(fd, libc::SOL_PACKET, PACKET_STATISTICS) {
            self.count(DropReason::RxQueueFull, statistics.drops.into());
        }
    }
}

/// Keeps what the device receives from the host's own stack; says what that means for addresses that it has.
fn close_ingress(name: &str, ifindex: u32, sequence: u32, shortcuts: &Shortcuts) -> Option<IngressGuard> {
    match IngressGuard::close(ifindex, sequence.wrapping_add(1).max(1), shortcuts.ingress()) {
        Ok(guard) => {
            let addresses = netlink::addresses_of(ifindex).unwrap_or_default();
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

impl Drop for PacketDevice {
    fn drop(&mut self) {
        if self.merging.is_on() {
            self.end_merging();
        }
    }
}

#[cfg(test)]
mod tests;
