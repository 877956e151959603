//! Devices that the switch makes itself: internal ports, over /dev/net/tun.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use dp::{DropReason, Packet};
use wire::ethernet;

use crate::losses::Losses;
use crate::{Pool, socket};

const TUNSETIFF: u64 = 0x4004_54ca;
const TUNSETOFFLOAD: u64 = 0x4004_54d0;
const TUNSETPERSIST: u64 = 0x4004_54cb;
const TUNGETIFF: u64 = 0x8004_54d2;
const IFF_PERSIST: i32 = 0x0800;
/// Checksums, TCP over IPv4 and IPv6 with ECN.
const OFFLOADS: u64 = 0x01 | 0x02 | 0x04 | 0x08;
/// UDP segments too, since Linux 6.2.
const UDP_OFFLOADS: u64 = 0x20 | 0x40;

/// A tap device, which vanishes when this is dropped.
#[derive(Debug)]
pub struct Tap {
    name: String,
    fd: OwnedFd,
    losses: Losses,
}

impl Tap {
    /// Makes the device, or opens a persistent one of this name.
    pub fn open(name: &str) -> io::Result<Tap> {
        let fd: OwnedFd = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")
            .map_err(crate::rights::tun_failed)?
            .into();
        socket::spare(&fd)?;
        // SAFETY: all-zero bytes are a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        if name.is_empty() || name.len() >= request.ifr_name.len() {
            let errno = if name.is_empty() { libc::EINVAL } else { libc::ENAMETOOLONG };
            return Err(io::Error::from_raw_os_error(errno));
        }
        for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *place = byte as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as i16;
        attach(&fd, &mut request)?;
        for offloads in [OFFLOADS | UDP_OFFLOADS, OFFLOADS] {
            // SAFETY: TUNSETOFFLOAD takes a number and no pointer.
            let rc = unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETOFFLOAD as _, offloads) };
            if rc == 0 {
                break;
            }
        }
        Ok(Tap::of_other_process(name, fd))
    }

    /// The device `name` by a descriptor of another process.
    pub(crate) fn of_other_process(name: &str, fd: OwnedFd) -> Tap {
        Tap { name: name.to_owned(), fd, losses: Losses::default() }
    }

    /// A descriptor for another process.
    pub fn share(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the device stays when this is dropped.
    pub fn is_persistent(&self) -> io::Result<bool> {
        // SAFETY: all-zero bytes are a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // SAFETY: TUNGETIFF writes the ifreq, which lives until the call returns.
        let rc = unsafe { libc::ioctl(self.fd.as_raw_fd(), TUNGETIFF as _, &raw mut request) };
        if rc < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: TUNGETIFF has filled in the flags.
        let flags = i32::from(unsafe { request.ifr_ifru.ifru_flags });
        Ok(flags & IFF_PERSIST != 0)
    }

    /// Lets the device stay, with its addresses and routes, when this is dropped, or go.
    pub fn set_persistent(&self, stays: bool) -> io::Result<()> {
        // SAFETY: TUNSETPERSIST takes a number and no pointer.
        let rc = unsafe { libc::ioctl(self.fd.as_raw_fd(), TUNSETPERSIST as _, libc::c_ulong::from(stays)) };
        if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Takes up to `limit` frames; how many.
    pub fn receive(&self, pool: &mut Pool, out: &mut Vec<Packet>, limit: usize) -> io::Result<usize> {
        let mut count = 0;
        while count < limit {
            let mut packet = pool.large();
            match socket::read_frame(&self.fd, &mut packet) {
                Ok(true) if packet.len() < ethernet::HEADER_LEN => {
                    self.losses.count(DropReason::RxInvalid, 1);
                    pool.give_back(packet);
                }
                Ok(true) => {
                    out.push(packet);
                    count += 1;
                }
                Ok(false) => {
                    pool.give_back(packet);
                    break;
                }
                Err(error) => {
                    pool.give_back(packet);
                    return Err(error);
                }
            }
        }
        Ok(count)
    }

    /// Frames that were lost, by reason.
    pub(crate) fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Sends the packets and gives their buffers back.
    pub fn send(&self, packets: &mut Vec<Packet>, pool: &mut Pool) {
        for packet in packets.drain(..) {
            if let Err(error) = socket::write_frame(&self.fd, &packet) {
                for finished in socket::in_place_of_refused(&packet, &error, &self.losses) {
                    if let Err(error) = socket::write_frame(&self.fd, &finished) {
                        self.losses.refused_one(&finished, &error);
                    }
                }
            }
            pool.give_back(packet);
        }
    }
}

/// How often a device is tried for that a process that was killed has not let go of yet.
const TRIES: u32 = 50;

/// Makes the descriptor that of the device that `request` names.
fn attach(fd: &OwnedFd, request: &mut libc::ifreq) -> io::Result<()> {
    socket::when_free(TRIES, || {
        // SAFETY: TUNSETIFF reads and writes the ifreq, which lives until the call returns.
        let rc = unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETIFF as _, &raw mut *request) };
        if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    })
}

impl AsFd for Tap {
    /// Readable when there are frames.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Wire, frame, in_own_namespace, ip, receive_all};

    fn open(name: &str) -> Option<Tap> {
        in_own_namespace().then(|| Tap::open(name).unwrap())
    }

    #[test]
    fn frames_pass_between_the_switch_and_the_host() {
        let Some(tap) = open("t0") else { return };
        ip("link set t0 up");
        let host = Wire::open("t0");
        let mut packets = vec![Packet::from_bytes(&frame(60)), Packet::from_bytes(&frame(1514))];
        tap.send(&mut packets, &mut Pool::new());
        assert!(packets.is_empty());
        assert_eq!(host.receive(), frame(60));
        assert_eq!(host.receive(), frame(1514));
        host.send(&frame(100));
        let received = receive_all(1, |pool, out| tap.receive(pool, out, 32));
        assert_eq!(received[0].bytes(), frame(100));
    }

    #[test]
    fn no_more_frames_are_taken_than_there_is_room_for() {
        let Some(tap) = open("t0") else { return };
        ip("link set t0 up");
        let host = Wire::open("t0");
        (0..3).for_each(|_| host.send(&frame(60)));
        receive_all(3, |pool, out| {
            let count = tap.receive(pool, out, 1)?;
            assert!(count <= 1);
            Ok(count)
        });
    }

    #[test]
    fn a_frame_that_the_host_does_not_take_is_lost_with_a_reason() {
        let Some(tap) = open("t0") else { return };
        // The device is down.
        tap.send(&mut vec![Packet::from_bytes(&frame(60))], &mut Pool::new());
        assert_eq!(tap.losses().counters(), [("ovs_tx_failure_drops".to_owned(), 1)]);
    }

    #[test]
    fn a_device_goes_with_its_owner_unless_it_is_to_stay() {
        let is_there = || netlink::link("t0").unwrap().is_some();
        let Some(tap) = open("t0") else { return };
        assert!(is_there() && !tap.is_persistent().unwrap());
        drop(tap);
        assert!(!is_there());
        let tap = Tap::open("t0").unwrap();
        tap.set_persistent(true).unwrap();
        assert!(tap.is_persistent().unwrap());
        drop(tap);
        assert!(is_there());
        let tap = Tap::open("t0").unwrap();
        assert!(tap.is_persistent().unwrap());
        tap.set_persistent(false).unwrap();
        drop(tap);
        assert!(!is_there());
    }

    #[test]
    fn a_name_that_cannot_be_one_is_refused() {
        if !in_own_namespace() {
            return;
        }
        for (name, errno) in [("", libc::EINVAL), ("a-name-that-is-too-long", libc::ENAMETOOLONG)] {
            assert_eq!(Tap::open(name).unwrap_err().raw_os_error(), Some(errno), "{name}");
        }
    }
}
