//! Ports of the types `afxdp` and `afxdp-nonpmd`: a program at a device of the machine gives its frames to sockets
//! ([`crate::xsk`]), before the kernel has made anything of them.
//!
//! Without the sockets, because another process has them still or the device failed, frames come by the device's packet
//! socket, which hears what the program lets pass: what arrives at queues that have no socket, too. So no frame is lost
//! when sockets come and go.
//!
//! The device does not say what it knows of a frame: whether a checksum is left to it ([`dp::sums::find_partial`] finds
//! that out), and a tag that its sender left to it, which cannot be found.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dp::{DpError, DropReason, Errno, Packet, PortSpec};
use netlink::{XdpHook, XdpRedirect};

use crate::losses::Losses;
use crate::xsk::{self, Receiver, Sender, Setup};
use crate::{Pool, socket};

/// Sockets that a port can have at most.
const MAX_QUEUES: i64 = 16;
/// Room for a frame: a page, of which the kernel keeps 256 bytes to itself.
pub(crate) const ROOM: usize = 4096;
/// What the room is enough for, with an Ethernet header and a tag.
pub(crate) const MAX_MTU: u32 = ROOM as u32 - 256 - 18;
/// Frames that wait to be taken, and that are on their way, at most.
const RECEIVED: usize = 2048;
const SENT: usize = 1024;

/// The packet socket is looked at after so many looks at a queue.
const ASIDE: u32 = 256;

/// How often a device is tried whose sockets were closed just now.
const TRIES: u32 = 101;

/// `XDP_USE_NEED_WAKEUP` of bind(2).
const USE_NEED_WAKEUP: u16 = 1 << 3;

/// How the kernel and a socket share frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// The device's driver reads and writes the socket's memory.
    NativeZeroCopy,
    /// The driver runs the program, and frames are copied.
    Native,
    /// The network stack runs the program.
    Generic,
}

impl Mode {
    /// From the best on.
    const ALL: [Mode; 3] = [Mode::NativeZeroCopy, Mode::Native, Mode::Generic];

    fn name(self) -> &'static str {
        match self {
            Mode::NativeZeroCopy => "native-with-zerocopy",
            Mode::Native => "native",
            Mode::Generic => "generic",
        }
    }
}

/// What the options of a port ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// `None`: the best that the device can do.
    mode: Option<Mode>,
    queues: u32,
    uses_wakeup: bool,
}

impl Wish {
    /// Reads `xdp-mode`, `n_rxq` and `use-need-wakeup`.
    pub(crate) fn of(spec: &PortSpec) -> Result<Wish, DpError> {
        let name = &spec.name;
        let queues = spec.option("n_rxq").and_then(|text| text.parse().ok()).unwrap_or(1).max(1);
        if queues > MAX_QUEUES {
            log::error!(target: base::bounded!("netdev_afxdp"), "{name}: Too big 'n_rxq' ({queues} > {MAX_QUEUES}).");
            return Err(not_configured(spec));
        }
        let mode = match spec.option("xdp-mode") {
            None => None,
            Some(text) if text.eq_ignore_ascii_case(BEST_EFFORT) => None,
            Some(text) => match Mode::ALL.into_iter().find(|mode| text.eq_ignore_ascii_case(mode.name())) {
                None => {
                    log::error!(target: base::bounded!("netdev_afxdp"), "{name}: Incorrect xdp-mode ({text}).");
                    return Err(not_configured(spec));
                }
                mode => mode,
            },
        };
        let uses_wakeup =
            !spec.option("use-need-wakeup").is_some_and(|text| text.eq_ignore_ascii_case("false"));
        Ok(Wish { mode, queues: queues as u32, uses_wakeup })
    }
}

const BEST_EFFORT: &str = "best-effort";

fn not_configured(spec: &PortSpec) -> DpError {
    let reason = format!("could not set configuration ({})", base::error_text(&Errno::INVAL.into()));
    DpError::Device { what: spec.name.clone(), reason, errno: Errno::INVAL }
}

/// The sockets of a device, while there are any.
#[derive(Debug)]
pub(crate) struct Xdp {
    name: String,
    ifindex: u32,
    wish: Wish,
    /// Its index among all modes when there are sockets, [`CLOSED`] otherwise.
    mode: AtomicU8,
    /// They are lost, and nobody has been told.
    has_failed: AtomicBool,
    /// They may be opened: no other process forwards by the device.
    is_allowed: AtomicBool,
    /// The kernel is to queue what is sent.
    is_shaped: AtomicBool,
    program: Mutex<Option<XdpRedirect>>,
    queues: Vec<Queue>,
    /// How often they were opened.
    openings: AtomicU32,
    /// Looks at the first queue.
    looks: AtomicU32,
}

const CLOSED: u8 = u8::MAX;

#[derive(Debug, Default)]
struct Queue {
    receiver: Mutex<Option<Receiver>>,
    sender: Mutex<Option<Sender>>,
    /// Losses of its socket that are counted.
    overflowed: AtomicU64,
}

impl Xdp {
    /// The sockets are opened by [`Xdp::open`].
    pub(crate) fn new(name: &str, ifindex: u32, wish: Wish, is_allowed: bool) -> Xdp {
        Xdp {
            name: name.to_owned(),
            ifindex,
            wish,
            mode: AtomicU8::new(CLOSED),
            has_failed: AtomicBool::new(false),
            is_allowed: AtomicBool::new(is_allowed),
            is_shaped: AtomicBool::new(false),
            program: Mutex::default(),
            queues: (0..wish.queues).map(|_| Queue::default()).collect(),
            openings: AtomicU32::new(0),
            looks: AtomicU32::new(0),
        }
    }

    /// Opens the sockets, and waits where those of a port that has been removed are still being closed.
    pub(crate) fn open_now(&self) -> io::Result<()> {
        socket::when_free(TRIES, || self.open())
    }

    /// Opens the sockets. Nothing of which the kernel would tell has been done to the device where that fails.
    fn open(&self) -> io::Result<()> {
        let (sockets, is_zero_copy) = self.open_sockets()?;
        let (program, mode) = self.attach(is_zero_copy)?;
        for (number, (receiver, _)) in (0..).zip(&sockets) {
            program.give_to(number, receiver.fd())?;
        }
        for (queue, (receiver, sender)) in self.queues.iter().zip(sockets) {
            queue.overflowed.store(0, Ordering::Relaxed);
            *lock(&queue.receiver) = Some(receiver);
            *lock(&queue.sender) = Some(sender);
        }
        *lock(&self.program) = Some(program);
        self.mode.store(mode as u8, Ordering::Release);
        self.openings.fetch_add(1, Ordering::AcqRel);
        if self.wish.mode.is_none() {
            log::info!(target: "netdev_afxdp", "{}: {} XDP mode will be in use.", self.name, mode.name());
        }
        Ok(())
    }

    /// A socket for each queue, and whether the driver uses their memory.
    fn open_sockets(&self) -> io::Result<(Vec<(Receiver, Sender)>, bool)> {
        let open = |queue: u32, sharing: u16| {
            let wakeup = if self.wish.uses_wakeup { USE_NEED_WAKEUP } else { 0 };
            Setup {
                ifindex: self.ifindex,
                queue,
                flags: sharing | wakeup,
                room: ROOM,
                received: RECEIVED,
                sent: SENT,
            }
            .open()
        };
        let (first, sharing) = match self.wish.mode {
            Some(Mode::NativeZeroCopy) => (open(0, libc::XDP_ZEROCOPY)?, libc::XDP_ZEROCOPY),
            Some(Mode::Native | Mode::Generic) => (open(0, libc::XDP_COPY)?, libc::XDP_COPY),
            None => match open(0, libc::XDP_ZEROCOPY) {
                Ok(first) => (first, libc::XDP_ZEROCOPY),
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => return Err(error),
                Err(_) => (open(0, libc::XDP_COPY)?, libc::XDP_COPY),
            },
        };
        let mut sockets = vec![first];
        for queue in 1..self.wish.queues {
            sockets.push(open(queue, sharing)?);
        }
        Ok((sockets, sharing == libc::XDP_ZEROCOPY))
    }

    /// Attaches the program where it is wanted, or can run.
    fn attach(&self, is_zero_copy: bool) -> io::Result<(XdpRedirect, Mode)> {
        let mode = match self.wish.mode {
            Some(mode) => mode,
            None if is_zero_copy => Mode::NativeZeroCopy,
            None => match XdpRedirect::attach(self.ifindex, XdpHook::Driver) {
                Ok(program) => return Ok((program, Mode::Native)),
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => return Err(error),
                Err(_) => Mode::Generic,
            },
        };
        let hook = match mode {
            Mode::NativeZeroCopy | Mode::Native => XdpHook::Driver,
            Mode::Generic => XdpHook::Stack,
        };
        XdpRedirect::attach(self.ifindex, hook).map(|program| (program, mode))
    }

    /// Closes the sockets. Frames come by the packet socket from here on.
    fn close(&self) {
        self.mode.store(CLOSED, Ordering::Release);
        *lock(&self.program) = None;
        for queue in &self.queues {
            *lock(&queue.sender) = None;
            *lock(&queue.receiver) = None;
        }
    }

    /// From here on the sockets may be opened.
    pub(crate) fn allow(&self) {
        self.is_allowed.store(true, Ordering::Release);
    }

    /// Closes them, and they are not to be opened.
    pub(crate) fn forbid(&self) {
        self.is_allowed.store(false, Ordering::Release);
        self.close();
    }

    /// Whether there are no sockets and there should be.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_allowed.load(Ordering::Acquire) && !self.is_open()
    }

    /// Opens the sockets where there should be some; whether it has.
    pub(crate) fn review(&self) -> bool {
        if !self.is_waiting() {
            return false;
        }
        // What is left of them after a failure.
        self.close();
        let opened = self.open();
        if let Err(error) = &opened {
            log::debug!(target: "netdev_afxdp", "{}: no sockets ({})", self.name, base::error_text(error));
        }
        opened.is_ok()
    }

    /// Whether the sockets were lost just now; says so once.
    #[inline]
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire) && self.has_failed.swap(false, Ordering::AcqRel)
    }

    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.mode.load(Ordering::Acquire) != CLOSED
    }

    /// From here on all that is sent passes the kernel's queueing layer, or no longer does.
    pub(crate) fn set_shaped(&self, is_shaped: bool) {
        self.is_shaped.store(is_shaped, Ordering::Release);
    }

    /// Whether frames are sent by the sockets.
    #[inline]
    pub(crate) fn is_sending(&self) -> bool {
        self.is_open() && !self.is_shaped.load(Ordering::Acquire)
    }

    fn mode(&self) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| *mode as u8 == self.mode.load(Ordering::Acquire))
    }

    pub(crate) fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// Gives `watch` the socket of a queue, unless the caller has seen it, which `seen` remembers.
    pub(crate) fn watch(&self, queue: usize, seen: &mut u32, watch: impl FnOnce(BorrowedFd<'_>)) {
        let openings = self.openings.load(Ordering::Acquire);
        if *seen != openings {
            *seen = openings;
            self.with_fd(queue, watch);
        }
    }

    /// Calls `act` with the socket of a queue, if there is one.
    pub(crate) fn with_fd(&self, queue: usize, act: impl FnOnce(BorrowedFd<'_>)) {
        if let Some(queue) = self.queues.get(queue)
            && let Some(receiver) = lock(&queue.receiver).as_ref()
        {
            act(receiver.fd());
        }
    }

    /// Takes up to `limit` frames of a queue.
    #[inline]
    pub(crate) fn receive(
        &self,
        queue: usize,
        pool: &mut Pool,
        out: &mut Vec<Packet>,
        limit: usize,
        losses: &Losses,
    ) {
        if let Some(queue) = self.queues.get(queue)
            && let Some(receiver) = lock(&queue.receiver).as_mut()
        {
            receiver.receive(pool, out, limit, losses);
        }
    }

    /// Whether it is time to look at the packet socket, too.
    #[inline]
    pub(crate) fn looks_aside(&self) -> bool {
        !self.is_open() || self.looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(ASIDE)
    }

    /// Whether such a frame is sent by a socket: no more is to be done with it, and it has no queue of its own.
    #[inline]
    pub(crate) fn takes(packet: &Packet) -> bool {
        xsk::takes(packet, ROOM) && packet.metadata.skb_priority == 0
    }

    /// Sends packets from the front on; how many are done with.
    pub(crate) fn send(&self, packets: &[Packet], losses: &Losses) -> usize {
        // Who finds another thread sending takes another queue, and at last another way.
        for queue in &self.queues {
            let Ok(mut sender) = queue.sender.try_lock() else { continue };
            let Some(socket) = sender.as_mut() else { return 0 };
            return socket.send(packets, losses).unwrap_or_else(|(done, error)| {
                log::debug!(
                    target: "netdev_afxdp",
                    "{}: error sending AF_XDP packet: {}.",
                    self.name,
                    base::error_text(&error)
                );
                // The device is down or gone. What was lost is not to be sent when it comes up again.
                *sender = None;
                self.mode.store(CLOSED, Ordering::Release);
                self.has_failed.store(true, Ordering::Release);
                done
            });
        }
        0
    }

    /// Counts the frames that found no room.
    pub(crate) fn count_overflow(&self, losses: &Losses) {
        for queue in &self.queues {
            let Some(statistics) = queue.statistics() else { continue };
            let overflowed = statistics.rx_dropped + statistics.rx_ring_full;
            let before = queue.overflowed.swap(overflowed, Ordering::Relaxed);
            losses.count(DropReason::RxQueueFull, overflowed.saturating_sub(before));
        }
    }

    /// Counters of the sockets, by name.
    pub(crate) fn counters(&self) -> impl Iterator<Item = (String, u64)> {
        (0..).zip(&self.queues).flat_map(|(number, queue): (u32, &Queue)| {
            let of = queue.statistics().unwrap_or_default();
            [
                ("rx_dropped", of.rx_dropped),
                ("rx_invalid_descs", of.rx_invalid_descs),
                ("tx_invalid_descs", of.tx_invalid_descs),
            ]
            .map(|(name, count)| (format!("xsk_queue_{number}_{name}"), count))
        })
    }

    /// What it was set up as.
    pub(crate) fn config(&self) -> BTreeMap<String, String> {
        let mode = self.wish.mode.map_or(BEST_EFFORT, Mode::name);
        let in_use = self.mode().map_or("unspecified", Mode::name);
        let config = [
            ("n_rxq", self.wish.queues.to_string()),
            ("use-need-wakeup", self.wish.uses_wakeup.to_string()),
            ("xdp-mode", mode.to_owned()),
            ("xdp-mode-in-use", in_use.to_owned()),
        ];
        config.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// What is in use.
    pub(crate) fn status(&self) -> Option<(String, String)> {
        self.mode().map(|mode| ("xdp-mode".to_owned(), mode.name().to_owned()))
    }
}

impl Queue {
    fn statistics(&self) -> Option<xsk::Statistics> {
        lock(&self.receiver).as_ref()?.statistics().ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
