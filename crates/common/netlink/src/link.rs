//! Links: network devices as rtnetlink(7) reports them.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use base::{MacAddr, PortStats};
use netlink_bindings::rt_link::{
    Ifinfomsg, IterableLinkAttrs, LinkAttrs, OpGetlinkDo, Request, RtnlLinkStats64,
};
use netlink_bindings::traits::NetlinkRequest;

use crate::ask::{ask, change};
use crate::socket::Socket;

/// A network device.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Link {
    /// The number by which the kernel knows it; never 0.
    pub index: u32,
    /// Up to 15 bytes.
    pub name: String,
    /// All zero where the link has none, or one of another length.
    pub mac: MacAddr,
    /// In bytes.
    pub mtu: u32,
    /// `IFF_*`.
    pub flags: u32,
    /// "veth", "tun", "bridge"; empty for hardware.
    pub kind: String,
    /// The queueing discipline of what is sent: "noqueue", "mq", "fq_codel".
    pub discipline: String,
    /// The index of the link that this one is on, or of the other end of a pair; 0 for none.
    pub lower: u32,
    /// As the host counts.
    pub counters: PortStats,
}

impl Link {
    /// Whether it is administratively up.
    pub fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }

    /// Whether the device has a carrier.
    pub fn has_carrier(&self) -> bool {
        self.flags & libc::IFF_RUNNING as u32 != 0
    }
}

/// What happened to a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkChange {
    /// It appeared, or something of it changed.
    Present(Link),
    /// It is no more, or not in this network namespace.
    Gone(Link),
    /// The kernel could not report everything: all links have to be read again.
    Lost,
}

fn counters(stats: &RtnlLinkStats64) -> PortStats {
    PortStats {
        rx_packets: Some(stats.rx_packets),
        tx_packets: Some(stats.tx_packets),
        rx_bytes: Some(stats.rx_bytes),
        tx_bytes: Some(stats.tx_bytes),
        rx_errors: Some(stats.rx_errors),
        tx_errors: Some(stats.tx_errors),
        rx_dropped: Some(stats.rx_dropped),
        tx_dropped: Some(stats.tx_dropped),
        multicast: Some(stats.multicast),
        collisions: Some(stats.collisions),
        rx_length_errors: Some(stats.rx_length_errors),
        rx_over_errors: Some(stats.rx_over_errors),
        rx_crc_errors: Some(stats.rx_crc_errors),
        rx_frame_errors: Some(stats.rx_frame_errors),
        rx_fifo_errors: Some(stats.rx_fifo_errors),
        rx_missed_errors: Some(stats.rx_missed_errors),
    }
}

/// A link of a message's payload; what cannot be decoded is left out.
fn parse((header, attributes): (Ifinfomsg, IterableLinkAttrs<'_>)) -> Link {
    let mut link =
        Link { index: header.ifi_index.cast_unsigned(), flags: header.ifi_flags, ..Link::default() };
    for attribute in attributes.flatten() {
        match attribute {
            LinkAttrs::Address(bytes) => {
                if let Ok(bytes) = <[u8; 6]>::try_from(bytes) {
                    link.mac = MacAddr(bytes);
                }
            }
            LinkAttrs::Ifname(name) => link.name = text(name),
            LinkAttrs::Link(lower) => link.lower = lower,
            LinkAttrs::Qdisc(discipline) => link.discipline = text(discipline),
            LinkAttrs::Mtu(mtu) => link.mtu = mtu,
            LinkAttrs::Stats64(stats) => link.counters = counters(&stats),
            LinkAttrs::Linkinfo(info) => link.kind = info.get_kind().map(text).unwrap_or_default(),
            _ => {}
        }
    }
    link
}

fn text(text: &CStr) -> String {
    text.to_string_lossy().into_owned()
}

fn query(index: u32, name: Option<&str>) -> io::Result<Option<Link>> {
    let header = Ifinfomsg { ifi_index: index.cast_signed(), ..Ifinfomsg::default() };
    let mut request = Request::new().op_getlink_do(&header);
    if let Some(name) = name {
        if name.len() >= libc::IFNAMSIZ {
            return Ok(None);
        }
        request.encode().push_ifname_bytes(name.as_bytes());
    }
    let found = ask(&request, |kind, reply| (kind == libc::RTM_NEWLINK).then(|| parse(reply)));
    match found {
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(e) => Err(e),
        Ok(found) => Ok(found.into_iter().next()),
    }
}

/// The link of this name, in this thread's network namespace; none when there is no such link. Errors are the kernel's.
pub fn link(name: &str) -> io::Result<Option<Link>> {
    query(0, Some(name))
}

/// The same by its index.
pub fn link_by_index(index: u32) -> io::Result<Option<Link>> {
    query(index, None)
}

/// All links of this thread's network namespace. Errors are the kernel's.
pub fn links() -> io::Result<Vec<Link>> {
    let request = Request::new().op_getlink_dump(&Ifinfomsg::default());
    ask(&request, |kind, reply| (kind == libc::RTM_NEWLINK).then(|| parse(reply)))
}

/// Changes what is `Some`: the MTU in bytes, the address, whether the link is up. Errors are the kernel's.
pub fn set_link(index: u32, mtu: Option<u32>, mac: Option<MacAddr>, up: Option<bool>) -> io::Result<()> {
    let mut header = Ifinfomsg { ifi_index: index.cast_signed(), ..Ifinfomsg::default() };
    if let Some(up) = up {
        header.ifi_change = libc::IFF_UP as u32;
        header.ifi_flags = if up { header.ifi_change } else { 0 };
    }
    let mut request = Request::new().op_newlink_do(&header);
    let mut attributes = request.encode();
    if let Some(mtu) = mtu {
        attributes = attributes.push_mtu(mtu);
    }
    if let Some(mac) = mac {
        attributes = attributes.push_address(&mac.0);
    }
    drop(attributes);
    change(&request)
}

/// A listener for changes of links.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Monitor {
    /// Starts to listen in this thread's network namespace. Errors are the system's.
    pub fn open() -> io::Result<Monitor> {
        let socket = Socket::for_listening(libc::RTMGRP_LINK as u32)?;
        Ok(Monitor { socket, buffer: vec![0; 64 * 1024] })
    }

    /// All changes since the last call; never blocks.
    pub fn changes(&mut self) -> Vec<LinkChange> {
        let mut out = Vec::new();
        self.socket.drain(&mut self.buffer, |message| {
            let Some(message) = message else { return out.push(LinkChange::Lost) };
            let link = || parse(OpGetlinkDo::decode_reply(message.payload));
            match message.kind {
                libc::RTM_NEWLINK => out.push(LinkChange::Present(link())),
                libc::RTM_DELLINK => out.push(LinkChange::Gone(link())),
                _ => {}
            }
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
    use crate::testing::{in_own_namespace, ip};

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

    #[test]
    fn a_link_is_what_it_was_made_to_be() {
        if !in_own_namespace() {
            return;
        }
        ip("link add one address 02:00:00:00:00:01 mtu 1400 type veth peer name other");
        ip("link set other up");
        let (one, other) = (link("one").unwrap().unwrap(), link("other").unwrap().unwrap());
        assert_eq!((one.mac, one.mtu, one.kind.as_str()), (MacAddr([2, 0, 0, 0, 0, 1]), 1400, "veth"));
        assert_eq!((one.lower, other.lower), (other.index, one.index));
        assert_eq!((one.is_up(), other.is_up(), other.has_carrier()), (false, true, false));
        set_link(one.index, Some(1300), Some(MacAddr([2, 0, 0, 0, 0, 9])), Some(true)).unwrap();
        let one = link_by_index(one.index).unwrap().unwrap();
        assert_eq!(
            (one.mac, one.mtu, one.discipline.as_str()),
            (MacAddr([2, 0, 0, 0, 0, 9]), 1300, "noqueue")
        );
        assert!(one.is_up() && one.has_carrier());
        set_link(one.index, None, None, Some(false)).unwrap();
        let down = link("one").unwrap().unwrap();
        assert_eq!((down.mac, down.mtu, down.is_up()), (one.mac, one.mtu, false));
        assert_eq!(
            set_link(0x7fff_fff0, Some(1300), None, None).unwrap_err().raw_os_error(),
            Some(libc::ENODEV)
        );
    }

    #[test]
    fn changes_are_reported() {
        if !in_own_namespace() {
            return;
        }
        let mut monitor = Monitor::open().unwrap();
        ip("link add one type veth peer name two");
        let changes = monitor.changes();
        assert!(
            changes.iter().any(|change| matches!(change, LinkChange::Present(link) if link.name == "one")),
            "{changes:?}"
        );
        ip("link del one");
        let changes = monitor.changes();
        assert!(
            changes.iter().any(|change| matches!(change, LinkChange::Gone(link) if link.name == "one")),
            "{changes:?}"
        );
    }

    #[test]
    fn thousands_of_links_are_all_found() {
        if !in_own_namespace() {
            return;
        }
        let batch: String =
            (0..1000).map(|n| format!("link add d{n} type veth peer name d{}\n", n + 1000)).collect();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("links");
        std::fs::write(&file, batch).unwrap();
        ip(&format!("-batch {}", file.display()));
        let mut names: Vec<String> = links().unwrap().into_iter().map(|link| link.name).collect();
        names.retain(|name| name.starts_with('d'));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 2000);
    }

    #[test]
    fn counters_of_older_and_newer_kernels_are_read() {
        // IFLA_STATS64 of 23, 25 and 30 numbers, and an attribute behind it.
        for count in [23u64, 25, 30] {
            let mut payload = vec![0; 16];
            payload.extend((4 + count as u16 * 8).to_ne_bytes());
            payload.extend(23u16.to_ne_bytes());
            (1..=count).for_each(|number| payload.extend(number.to_ne_bytes()));
            payload.extend([8, 0, 4, 0, 0xdc, 5, 0, 0]);
            let link = parse(OpGetlinkDo::decode_reply(&payload));
            let c = link.counters;
            let some = [c.rx_packets, c.tx_bytes, c.multicast, c.rx_missed_errors];
            assert_eq!(some, [1, 4, 9, 16].map(Some));
            assert_eq!(link.mtu, u32::from_ne_bytes([0xdc, 5, 0, 0]));
        }
    }

    #[test]
    fn what_is_broken_is_left_out() {
        let mut payload = vec![0; 16];
        // A name without its end, an MTU of two bytes, then a sound MTU, then an attribute that is cut off.
        payload.extend([5, 0, 3, 0, b'x', 0, 0, 0]);
        payload.extend([6, 0, 4, 0, 1, 0, 0, 0]);
        payload.extend([8, 0, 4, 0, 7, 0, 0, 0]);
        payload.extend([200, 0, 6, 0]);
        let link = parse(OpGetlinkDo::decode_reply(&payload));
        assert_eq!(link, Link { mtu: 7u32.to_le(), ..Link::default() });
        assert_eq!(parse(OpGetlinkDo::decode_reply(&[])), Link::default());
    }
}
