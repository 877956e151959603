//! Links: network devices as rtnetlink(7) reports them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use base::MacAddr;

use crate::message::{Builder, attributes, messages, u32_at, u64_at};
use crate::socket::Socket;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_QDISC: u16 = 6;
const IFLA_STATS64: u16 = 23;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFINFO_LEN: usize = 16;

/// A network device.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub mac: MacAddr,
    pub mtu: u32,
    /// `IFF_*`.
    pub flags: u32,
    /// "veth", "tun", "bridge"; empty for hardware.
    pub kind: String,
    /// The queueing discipline of what is sent: "noqueue", "mq", "fq_codel".
    pub discipline: String,
    /// The index of the link that this one is on, or of the other end of a pair; 0 for none.
    pub lower: u32,
    pub counters: LinkCounters,
}

impl Link {
    pub fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }

    /// Whether the device has a carrier.
    pub fn has_carrier(&self) -> bool {
        self.flags & libc::IFF_RUNNING as u32 != 0
    }
}

/// `struct rtnl_link_stats64`, as far as ports show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkCounters {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
    pub multicast: u64,
    pub collisions: u64,
    pub rx_length_errors: u64,
    pub rx_over_errors: u64,
    pub rx_crc_errors: u64,
    pub rx_frame_errors: u64,
    pub rx_fifo_errors: u64,
    pub rx_missed_errors: u64,
}

impl LinkCounters {
    fn parse(bytes: &[u8]) -> LinkCounters {
        let n = |index: usize| u64_at(bytes, index * 8);
        LinkCounters {
            rx_packets: n(0),
            tx_packets: n(1),
            rx_bytes: n(2),
            tx_bytes: n(3),
            rx_errors: n(4),
            tx_errors: n(5),
            rx_dropped: n(6),
            tx_dropped: n(7),
            multicast: n(8),
            collisions: n(9),
            rx_length_errors: n(10),
            rx_over_errors: n(11),
            rx_crc_errors: n(12),
            rx_frame_errors: n(13),
            rx_fifo_errors: n(14),
            rx_missed_errors: n(15),
        }
    }
}

/// What happened to a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkChange {
    /// It appeared, or something of it changed.
    Present(Link),
    Gone(Link),
    /// The kernel could not tell everything: ask for all links again.
    Lost,
}

fn parse(payload: &[u8]) -> Link {
    let mut link = Link { index: u32_at(payload, 4), flags: u32_at(payload, 8), ..Link::default() };
    for (kind, value) in attributes(payload.get(IFINFO_LEN..).unwrap_or(&[])) {
        match kind {
            IFLA_ADDRESS => {
                if let Ok(bytes) = <[u8; 6]>::try_from(value) {
                    link.mac = MacAddr(bytes);
                }
            }
            IFLA_IFNAME => link.name = text(value),
            IFLA_LINK => link.lower = u32_at(value, 0),
            IFLA_QDISC => link.discipline = text(value),
            IFLA_MTU => link.mtu = u32_at(value, 0),
            IFLA_STATS64 => link.counters = LinkCounters::parse(value),
            IFLA_LINKINFO => {
                for (kind, value) in attributes(value) {
                    if kind == IFLA_INFO_KIND {
                        link.kind = text(value);
                    }
                }
            }
            _ => {}
        }
    }
    link
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or(&[])).into_owned()
}

/// Sends a request and gives each answer to `visit` until the last one.
pub(crate) fn ask(request: Vec<u8>, is_dump: bool, visit: impl FnMut(u16, &[u8])) -> io::Result<()> {
    ask_at(&Socket::open(0, false)?, request, is_dump, visit)
}

/// The same, of the family that the socket belongs to.
pub(crate) fn ask_at(
    socket: &Socket,
    request: Vec<u8>,
    is_dump: bool,
    mut visit: impl FnMut(u16, &[u8]),
) -> io::Result<()> {
    socket.send(&request)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let len = socket.receive(&mut buffer)?;
        for (kind, payload) in messages(buffer.get(..len).unwrap_or(&[])) {
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(()),
                libc::NLMSG_ERROR => {
                    let error = u32_at(payload, 0) as i32;
                    return if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-error)) };
                }
                _ => {
                    visit(kind, payload);
                    if !is_dump {
                        return Ok(());
                    }
                }
            }
        }
    }
}

fn query(index: u32, name: Option<&str>) -> io::Result<Option<Link>> {
    let mut info = [0; IFINFO_LEN];
    info[4..8].copy_from_slice(&index.to_ne_bytes());
    let mut request = Builder::new(libc::RTM_GETLINK, libc::NLM_F_REQUEST as u16).raw(&info);
    if let Some(name) = name {
        let mut bytes = name.as_bytes().to_vec();
        bytes.push(0);
        if bytes.len() > libc::IFNAMSIZ {
            return Ok(None);
        }
        request = request.attribute(IFLA_IFNAME, &bytes);
    }
    let mut found = None;
    match ask(request.finish(), false, |kind, payload| {
        if kind == libc::RTM_NEWLINK {
            found = Some(parse(payload));
        }
    }) {
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(e) => Err(e),
        Ok(()) => Ok(found),
    }
}

/// The link of this name, in this thread's network namespace.
pub fn link(name: &str) -> io::Result<Option<Link>> {
    query(0, Some(name))
}

pub fn link_by_index(index: u32) -> io::Result<Option<Link>> {
    query(index, None)
}

/// All links.
pub fn links() -> io::Result<Vec<Link>> {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let request = Builder::new(libc::RTM_GETLINK, flags).raw(&[0; IFINFO_LEN]).finish();
    let mut out = Vec::new();
    ask(request, true, |kind, payload| {
        if kind == libc::RTM_NEWLINK {
            out.push(parse(payload));
        }
    })?;
    Ok(out)
}

/// Changes what is `Some`.
pub fn set_link(index: u32, mtu: Option<u32>, mac: Option<MacAddr>, up: Option<bool>) -> io::Result<()> {
    let mut info = [0; IFINFO_LEN];
    info[4..8].copy_from_slice(&index.to_ne_bytes());
    if let Some(up) = up {
        let bit = libc::IFF_UP as u32;
        info[8..12].copy_from_slice(&(if up { bit } else { 0 }).to_ne_bytes());
        info[12..16].copy_from_slice(&bit.to_ne_bytes());
    }
    let mut request =
        Builder::new(libc::RTM_NEWLINK, (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16).raw(&info);
    if let Some(mtu) = mtu {
        request = request.attribute(IFLA_MTU, &mtu.to_ne_bytes());
    }
    if let Some(mac) = mac {
        request = request.attribute(IFLA_ADDRESS, &mac.0);
    }
    ask(request.finish(), false, |_, _| {})
}

/// A listener for changes of links.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Monitor {
    /// Starts to listen in this thread's network namespace.
    pub fn open() -> io::Result<Monitor> {
        let socket = Socket::open(libc::RTMGRP_LINK as u32, true)?;
        Ok(Monitor { socket, buffer: vec![0; 64 * 1024] })
    }

    /// All changes since the last call; never blocks.
    pub fn changes(&mut self) -> Vec<LinkChange> {
        let mut out = Vec::new();
        self.socket.drain(&mut self.buffer, |message| match message {
            Some((libc::RTM_NEWLINK, payload)) => out.push(LinkChange::Present(parse(payload))),
            Some((libc::RTM_DELLINK, payload)) => out.push(LinkChange::Gone(parse(payload))),
            Some(_) => {}
            None => out.push(LinkChange::Lost),
        });
        out
    }
}

impl AsFd for Monitor {
    /// Readable when there are changes.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.fd().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_link_is_known() {
        let lo = link("lo").unwrap().unwrap();
        assert_eq!((lo.name.as_str(), lo.index), ("lo", 1));
        assert!(links().unwrap().iter().any(|link| link.name == "lo"));
        assert_eq!(link_by_index(1).unwrap().unwrap().name, "lo");
        assert_eq!(link("no-such-link").unwrap(), None);
        assert_eq!(link("a-name-that-is-too-long").unwrap(), None);
        assert!(Monitor::open().unwrap().changes().is_empty());
    }
}
