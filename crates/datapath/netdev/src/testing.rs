//! What tests of devices need: a network namespace, and the other end of a device.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dp::Packet;

use crate::{Pool, Shortcuts, socket};

/// How long a condition may take before the test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// The kernel's part, where the process has the right to it; otherwise the test is to be skipped.
pub(crate) fn open_shortcuts() -> Option<Arc<Shortcuts>> {
    match Shortcuts::open() {
        Ok(shortcuts) => Some(Arc::new(shortcuts)),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            eprintln!("skipped: no right to load programs");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Moves this thread to a network namespace of its own; false where it has no right to, and the test is to be skipped.
pub(crate) fn in_own_namespace() -> bool {
    // SAFETY: no memory is passed; only the calling thread moves.
    let is_moved = unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0;
    if !is_moved {
        eprintln!("skipped: no right to make network namespaces");
    }
    is_moved
}

/// Runs `ip` with these words.
#[track_caller]
pub(crate) fn ip(words: &str) {
    let status = Command::new("ip").args(words.split(' ')).status().unwrap();
    assert!(status.success(), "ip {words}");
}

/// A pair of links that are up; false where the test is to be skipped.
pub(crate) fn has_pair(one: &str, other: &str) -> bool {
    let is_here = in_own_namespace();
    if is_here {
        add_pair(one, other);
    }
    is_here
}

/// One more pair.
pub(crate) fn add_pair(one: &str, other: &str) {
    ip(&format!("link add {one} type veth peer name {other}"));
    for name in [one, other] {
        // Nothing but what the test sends shall pass.
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1").ok();
        ip(&format!("link set {name} up"));
    }
}

/// The other end of a link, by itself.
pub(crate) struct Wire(OwnedFd);

impl Wire {
    pub(crate) fn open(name: &str) -> Wire {
        let fd = socket::packet_socket().unwrap();
        socket::set_option(&fd, libc::SOL_PACKET, 15, 1i32).unwrap();
        let index = netlink::link(name).unwrap().unwrap().index;
        socket::bind(&fd, index, libc::ETH_P_ALL as u16).unwrap();
        Wire(fd)
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        self.send_packet(&Packet::from_bytes(frame));
    }

    pub(crate) fn send_packet(&self, packet: &Packet) {
        socket::write_frame(&self.0, packet).unwrap();
    }

    /// Whether there was a frame, whoever sent it.
    pub(crate) fn receive_into(&self, packet: &mut Packet) -> bool {
        socket::read_frame(&self.0, packet).unwrap()
    }

    /// The next frame that is one of the test's.
    #[track_caller]
    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut packet = Pool::new().large();
        until("a frame arrives", || self.receive_into(&mut packet) && is_of_test(packet.bytes()));
        packet.bytes().to_vec()
    }
}

const TYPE: [u8; 2] = [0x88, 0xb5];

/// A frame of the type that is free for experiments, whose bytes show when something is missing.
pub(crate) fn frame(len: usize) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, TYPE[0], TYPE[1]];
    bytes.extend((0..).map(|index: u32| (index * 7) as u8).take(len - bytes.len()));
    bytes
}

/// Whether a frame is one of [`frame`]'s, with a tag or without.
pub(crate) fn is_of_test(bytes: &[u8]) -> bool {
    [12, 16].iter().any(|&at| bytes.get(at..at + 2) == Some(&TYPE))
}

/// Waits until `condition` holds; fails the test when it does not in time.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < LIMIT, "in {LIMIT:?} it did not happen that {what}");
        std::thread::yield_now();
    }
}

/// Takes frames of the test until there are `count`.
#[track_caller]
pub(crate) fn receive_all(
    count: usize,
    mut receive: impl FnMut(&mut Pool, &mut Vec<Packet>) -> io::Result<usize>,
) -> Vec<Packet> {
    let (mut pool, mut all) = (Pool::new(), Vec::new());
    until("all frames arrive", || {
        let mut some = Vec::new();
        receive(&mut pool, &mut some).unwrap();
        all.extend(some.into_iter().filter(|packet| is_of_test(packet.bytes())));
        all.len() >= count
    });
    all
}
