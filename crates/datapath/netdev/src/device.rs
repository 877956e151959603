//! A device of any kind.

mod opening;
mod qos;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use base::{DpPort, MacAddr};
use dp::sums::Abilities;
use dp::{DpError, DropReason, Errno, Packet, PortInfo, PortKind, PortSpec, PortStats};

use crate::dummy::Dummy;
use crate::dummy_checks;
use crate::dummy_queue::Queue;
use crate::losses::Losses;
use crate::packet::PacketDevice;
use crate::qos::PortQos;
use crate::tap::Tap;
use crate::xdp::{self, Xdp};
use crate::{Pool, Shortcuts};

/// An open device.
#[derive(Debug)]
pub struct Device {
    /// What it is, with what belongs to its kind.
    pub kind: DeviceKind,
    spec: PortSpec,
    /// 0: the kernel has no such link.
    ifindex: Option<u32>,
    /// Frames that the kernel had dropped when sending to the device before it was opened here.
    dropped_before: u64,
    qos: Arc<PortQos>,
    shortcuts: Arc<Shortcuts>,
}

/// The kinds of devices.
#[derive(Debug)]
pub enum DeviceKind {
    /// A network device of the machine.
    Packet(PacketDevice),
    /// A device that the switch makes itself.
    Tap(Tap),
    /// A port for tests.
    Dummy(Box<Dummy>),
    /// A tunnel port: packets come out of and go into it by actions alone.
    Tunnel,
}

/// Whether another process forwards by the device.
#[derive(Debug)]
pub enum Arrival {
    /// None that matters here.
    Alone,
    /// The process before this one does, and the device is to receive nothing until [`PacketDevice::hear`].
    Beside {
        /// An internal port's, if the other process has it.
        tap: Option<OwnedFd>,
    },
}

impl Device {
    /// What it was opened as.
    pub fn spec(&self) -> &PortSpec {
        &self.spec
    }

    /// Its name, also the port's.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The number of the link that it is to the kernel; 0 for none.
    pub fn ifindex(&self) -> Option<u32> {
        self.ifindex
    }

    /// The device that the switch made itself, if it is one.
    pub fn as_tap(&self) -> Option<&Tap> {
        match &self.kind {
            DeviceKind::Tap(tap) => Some(tap),
            DeviceKind::Packet(_) | DeviceKind::Dummy(_) | DeviceKind::Tunnel => None,
        }
    }

    /// The device of the machine, if it is one.
    pub fn as_packet(&self) -> Option<&PacketDevice> {
        match &self.kind {
            DeviceKind::Packet(device) => Some(device),
            DeviceKind::Tap(_) | DeviceKind::Dummy(_) | DeviceKind::Tunnel => None,
        }
    }

    /// Its sockets, if it is of the type `afxdp`.
    fn xdp(&self) -> Option<&Xdp> {
        self.as_packet()?.xdp()
    }

    /// Whether a worker asks it for packets all the time, rather than wait to be told of them.
    pub fn is_polled(&self) -> bool {
        self.spec.kind == PortKind::Afxdp && self.as_packet().is_some()
    }

    /// How many queues there are from which a worker takes packets; none when they only come by calls.
    pub fn queue_count(&self) -> usize {
        match &self.kind {
            DeviceKind::Packet(device) => device.queue_count(),
            DeviceKind::Tap(_) => 1,
            DeviceKind::Dummy(dummy) => dummy.queue_count(),
            DeviceKind::Tunnel => 0,
        }
    }

    /// What to wait on for packets of a queue; `None` when there is no such queue.
    pub fn fd(&self, queue: usize) -> Option<BorrowedFd<'_>> {
        match &self.kind {
            DeviceKind::Packet(device) => device.fd(queue),
            DeviceKind::Tap(tap) => Some(tap.as_fd()),
            DeviceKind::Dummy(dummy) => dummy.queue(queue).map(Queue::fd),
            DeviceKind::Tunnel => None,
        }
    }

    /// Calls `act` with each descriptor that is waited for when the queue is.
    pub fn each_fd(&self, queue: usize, mut act: impl FnMut(BorrowedFd<'_>)) {
        match &self.kind {
            DeviceKind::Packet(device) => device.each_fd(queue, act),
            DeviceKind::Tap(_) | DeviceKind::Dummy(_) | DeviceKind::Tunnel => {
                if let Some(fd) = self.fd(queue) {
                    act(fd);
                }
            }
        }
    }

    /// The memory node that the device is next to, where that is known.
    pub fn numa(&self) -> Option<u32> {
        match &self.kind {
            DeviceKind::Packet(_) => {
                let path = format!("/sys/class/net/{}/device/numa_node", self.spec.name);
                std::fs::read_to_string(path).ok()?.trim().parse().ok()
            }
            DeviceKind::Dummy(dummy) if dummy.queue_count() > 0 => {
                Some(dummy.spec().option("numa_id").and_then(|text| text.parse().ok()).unwrap_or(0))
            }
            DeviceKind::Tap(_) | DeviceKind::Dummy(_) | DeviceKind::Tunnel => None,
        }
    }

    /// The number of the device, if the kernel can forward what comes in by it.
    pub fn shortcut_from(&self) -> Option<u32> {
        let device = self.as_packet()?;
        self.ifindex.filter(|_| device.xdp().is_none() && !self.qos.polices_received())
    }

    /// The number of the device, if the kernel can send by it and counts what it sends. Of what passes by a tap the kernel counts
    /// only what this process has read and written.
    pub fn shortcut_to(&self) -> Option<u32> {
        let device = self.as_packet()?;
        self.ifindex.filter(|_| device.xdp().is_none() && !self.qos.polices_sent())
    }

    /// Has all packets come by this process, at least until [`Device::shortcut_from`] and [`Device::shortcut_to`] are asked again.
    pub fn end_shortcuts(&self) {
        if let Some(ifindex) = self.ifindex {
            self.shortcuts.end_device(ifindex);
        }
    }

    /// The port for tests, if it is one.
    pub fn as_dummy(&self) -> Option<&Dummy> {
        match &self.kind {
            DeviceKind::Dummy(dummy) => Some(&**dummy),
            DeviceKind::Packet(_) | DeviceKind::Tap(_) | DeviceKind::Tunnel => None,
        }
    }

    /// Takes up to `limit` packets of a queue, at most a batch; how many.
    #[inline]
    pub fn receive(
        &self,
        queue: usize,
        pool: &mut Pool,
        out: &mut Vec<Packet>,
        limit: usize,
    ) -> io::Result<usize> {
        let limit = limit.min(crate::BATCH);
        match &self.kind {
            DeviceKind::Packet(device) => device.receive(queue, pool, out, limit),
            DeviceKind::Tap(tap) => tap.receive(pool, out, limit),
            DeviceKind::Dummy(dummy) => Ok(dummy.queue(queue).map_or(0, |queue| queue.take(out, limit))),
            DeviceKind::Tunnel => Ok(0),
        }
    }

    /// Sends the packets, leaving `packets` empty.
    #[inline]
    pub fn send(&self, packets: &mut Vec<Packet>, pool: &mut Pool) {
        match &self.kind {
            DeviceKind::Packet(device) => {
                compute_sums(packets);
                device.send(packets, pool);
            }
            DeviceKind::Tap(tap) => {
                compute_sums(packets);
                tap.send(packets, pool);
            }
            DeviceKind::Dummy(dummy) => dummy.send(packets, pool),
            DeviceKind::Tunnel => {
                // What goes into a tunnel gets its headers and goes out by another port.
                DropReason::InvalidPort.count(packets.len() as u64);
                packets.drain(..).for_each(|packet| pool.give_back(packet));
            }
        }
    }

    /// Takes note of an error that the device reported; false when it cannot be used any more.
    ///
    /// A packet socket reports that its device went down, once, and serves again when it comes up.
    pub fn clear_error(&self) -> bool {
        match &self.kind {
            DeviceKind::Packet(device) => {
                device.clear_error();
                true
            }
            DeviceKind::Tap(_) | DeviceKind::Dummy(_) | DeviceKind::Tunnel => false,
        }
    }

    /// Descriptors of its sockets for another process that is to take its place.
    pub fn share(&self) -> io::Result<Vec<OwnedFd>> {
        match &self.kind {
            DeviceKind::Packet(device) => device.share(),
            DeviceKind::Tap(tap) => Ok(vec![tap.share()?]),
            DeviceKind::Dummy(_) | DeviceKind::Tunnel => Ok(Vec::new()),
        }
    }

    /// Whether its state changes only when the kernel says so (`netlink::Monitor`), or by [`Device::configure`].
    pub fn is_watched_by_kernel(&self) -> bool {
        match &self.kind {
            DeviceKind::Packet(_) | DeviceKind::Tap(_) => true,
            DeviceKind::Dummy(_) | DeviceKind::Tunnel => false,
        }
    }

    /// Its state now.
    pub fn info(&self, number: DpPort) -> PortInfo {
        let mut info =
            PortInfo { number, name: self.spec.name.clone(), kind: self.spec.kind, ..PortInfo::default() };
        match &self.kind {
            DeviceKind::Dummy(dummy) => {
                info.mac = dummy.mac();
                info.mtu = dummy.mtu();
                info.ifindex = dummy.ifindex();
                info.is_up = dummy.is_up();
                info.has_link = dummy.has_link();
                info.is_present = true;
                info.config = dummy_config(&dummy.spec());
                info.status = dummy_status(&dummy.spec());
            }
            DeviceKind::Tunnel => {
                info.is_up = true;
                info.has_link = true;
                info.is_present = true;
            }
            DeviceKind::Packet(_) | DeviceKind::Tap(_) => {
                if let Some(link) = self.link() {
                    info.mac = link.mac;
                    info.mtu = link.mtu;
                    info.ifindex = Some(link.index);
                    info.is_up = link.is_up();
                    info.has_link = link.has_carrier();
                    info.is_present = true;
                    info.status = self.status(&link);
                    info.link_kind = link.kind;
                }
                if let Some(xdp) = self.xdp() {
                    info.config = xdp.config();
                    info.status.extend(xdp.status());
                }
                if let Some(mode) = netlink::link_mode(&self.spec.name).filter(|_| info.is_present) {
                    info.speed_mbps = mode.speed_mbps;
                    info.is_full_duplex = mode.is_full_duplex;
                    info.current_features = mode.current;
                    info.advertised_features = mode.advertised;
                    info.supported_features = mode.supported;
                }
            }
        }
        info
    }

    /// What the device's driver says of itself.
    fn status(&self, link: &netlink::Link) -> BTreeMap<String, String> {
        let mut status = BTreeMap::new();
        let Some(driver) = netlink::driver(&self.spec.name) else { return status };
        status.insert("driver_name".to_owned(), driver.name);
        status.insert("driver_version".to_owned(), driver.version);
        status.insert("firmware_version".to_owned(), driver.firmware);
        if link.kind == "veth" && link.lower != 0 {
            status.insert("peer_ifindex".to_owned(), link.lower.to_string());
        }
        status
    }

    /// The kernel's view of the device, if it is still the same one.
    fn link(&self) -> Option<netlink::Link> {
        let link = match &self.kind {
            DeviceKind::Packet(device) => netlink::link_by_index(device.ifindex()),
            DeviceKind::Tap(_) => netlink::link(&self.spec.name),
            DeviceKind::Dummy(_) | DeviceKind::Tunnel => return None,
        };
        link.ok().flatten().filter(|link| link.name == self.spec.name)
    }

    /// Its counters, as the switch sees them: what the device received went into the switch.
    pub fn stats(&self) -> PortStats {
        self.stats_by(|| self.link().map(|link| link.counters))
    }

    /// The same where the kernel has told of all links, which are known by their indices.
    pub fn stats_among(&self, links: &HashMap<u32, netlink::Link>) -> PortStats {
        self.stats_by(|| {
            let link = self.ifindex().and_then(|index| links.get(&index));
            link.filter(|link| link.name == self.spec.name).map(|link| link.counters)
        })
    }

    fn stats_by(&self, counters: impl FnOnce() -> Option<PortStats>) -> PortStats {
        match &self.kind {
            DeviceKind::Dummy(dummy) => dummy.stats(),
            DeviceKind::Tunnel => PortStats::default(),
            DeviceKind::Packet(device) => {
                let counters = counters().unwrap_or_default();
                device.count_overflow();
                let rx_dropped = counters.rx_dropped.map(|count| count + device.losses().received());
                let lost = device.losses().get();
                let tx_dropped = counters.tx_dropped.map(|count| lost.total(self.dropped_before, count));
                PortStats { rx_dropped, tx_dropped, ..counters }
            }
            DeviceKind::Tap(tap) => {
                // The host sends what the switch receives.
                let counters = counters().unwrap_or_default().of_other_end();
                let rx_dropped = counters.rx_dropped.map(|count| count + tap.losses().received());
                let lost = tap.losses().get();
                let tx_dropped = counters.tx_dropped.map(|count| lost.total(self.dropped_before, count));
                PortStats { rx_dropped, tx_dropped, ..counters }
            }
        }
    }

    /// Frames for the device that the kernel says it has dropped.
    fn dropped_by_kernel(&self, counters: &PortStats) -> u64 {
        let dropped = match &self.kind {
            DeviceKind::Tap(_) => counters.rx_dropped,
            DeviceKind::Packet(_) | DeviceKind::Dummy(_) | DeviceKind::Tunnel => counters.tx_dropped,
        };
        dropped.unwrap_or_default()
    }

    /// What it lost, where somebody counts that.
    fn losses(&self) -> Option<&Losses> {
        match &self.kind {
            DeviceKind::Packet(device) => Some(device.losses()),
            DeviceKind::Tap(tap) => Some(tap.losses()),
            DeviceKind::Dummy(_) | DeviceKind::Tunnel => None,
        }
    }

    /// Counters that only devices of its kind have, by their names, and of frames that were lost.
    pub fn custom_stats(&self) -> Vec<(String, u64)> {
        match &self.kind {
            DeviceKind::Dummy(dummy) => dummy.custom_stats(),
            DeviceKind::Packet(device) => {
                let mut counters = device.losses().counters();
                counters.extend(device.xdp().into_iter().flat_map(Xdp::counters));
                counters
            }
            DeviceKind::Tap(tap) => tap.losses().counters(),
            DeviceKind::Tunnel => Vec::new(),
        }
    }

    /// Changes what is `Some`.
    pub fn configure(&self, mtu: Option<u32>, mac: Option<MacAddr>, up: Option<bool>) -> Result<(), DpError> {
        match &self.kind {
            DeviceKind::Dummy(dummy) => {
                if let Some(mtu) = mtu {
                    dummy.set_mtu(mtu);
                }
                if let Some(mac) = mac {
                    dummy.set_mac(mac);
                }
                if let Some(up) = up {
                    dummy.set_up(up);
                }
                Ok(())
            }
            DeviceKind::Tunnel => Ok(()),
            DeviceKind::Packet(_) | DeviceKind::Tap(_) => {
                let Some(link) = self.link() else { return Err(DpError::NoPortName(self.spec.name.clone())) };
                let is_too_large = |mtu: u32| self.xdp().is_some() && mtu > xdp::MAX_MTU;
                let set = if mtu.is_some_and(is_too_large) {
                    Err(io::Error::from_raw_os_error(libc::EINVAL))
                } else {
                    netlink::set_link(link.index, mtu, mac, up)
                };
                set.map_err(|e| DpError::Device {
                    what: self.spec.name.clone(),
                    reason: base::error_text(&e),
                    errno: Errno::from_io_error(&e).unwrap_or(Errno::IO),
                })
            }
        }
    }
}

/// Computes the checksums that devices of other kinds have left to the one that sends.
#[inline]
fn compute_sums(packets: &mut [Packet]) {
    for packet in packets.iter_mut().filter(|packet| packet.sums.is_some()) {
        dp::sums::complete(packet, Abilities::default());
    }
}

/// The options of a dummy port that it shows.
const SHOWN: [&str; 3] = ["ifindex", "pstream", "stream"];

/// What a dummy port shows of its options: its index, where its peer is, and the queues of one that has a thread of its own.
fn dummy_config(spec: &PortSpec) -> BTreeMap<String, String> {
    let mut config = BTreeMap::new();
    let mut show = |name: &str, value: &str| config.insert(name.to_owned(), value.to_owned());
    for name in SHOWN {
        if let Some(value) = spec.option(name) {
            show(name, value);
        }
    }
    for (name, value) in dummy_checks::shown(spec) {
        show(name, &value);
    }
    if spec.kind == PortKind::DummyPmd {
        for (name, default) in [("n_rxq", "1"), ("n_txq", "1"), ("numa_id", "0")] {
            show(name, spec.option(name).unwrap_or(default));
        }
    }
    config
}

/// What a dummy port is said to do for the packets that it sends.
fn dummy_status(spec: &PortSpec) -> BTreeMap<String, String> {
    const OFFLOADS: [(&str, &str); 10] = [
        ("ip_csum", "ol_ip_tx_csum"),
        ("tcp_csum", "ol_l4_tx_csum"),
        ("udp_csum", "ol_l4_tx_csum"),
        ("sctp_csum", ""),
        ("tcp_seg", dummy_checks::SEGMENT_SIZE),
        ("vxlan_tso", ""),
        ("geneve_tso", ""),
        ("gre_tso", ""),
        ("out_ip_csum", "ol_out_ip_tx_csum"),
        ("out_udp_csum", "ol_out_udp_tx_csum"),
    ];
    let is_set = |option: &str| match option {
        dummy_checks::SEGMENT_SIZE => spec.option(option).is_some_and(|size| size != "0"),
        _ => spec.option(option) == Some("true"),
    };
    OFFLOADS.map(|(name, option)| (format!("tx_{name}_offload"), is_set(option).to_string())).into()
}

#[cfg(test)]
mod tests {
    use dp::TunnelKind;

    use super::*;
    use crate::testing::{Wire, frame, has_pair, in_own_namespace, ip, receive_all};

    fn open(name: &str, kind: PortKind) -> Result<Device, DpError> {
        Device::open(&PortSpec::new(name, kind), 0, false)
    }

    #[test]
    fn what_cannot_be_opened_is_refused_with_a_reason() {
        if !in_own_namespace() {
            return;
        }
        let error = open("no-such-link", PortKind::System).unwrap_err();
        assert_eq!(error.errno(), Errno::NODEV);
        assert_eq!(error.to_string(), "could not open network device no-such-link (No such device)");
        assert_eq!(open("x", TunnelKind::Stt.into()).unwrap_err().to_string(), "unknown port type stt");
    }

    #[test]
    fn in_a_datapath_for_tests_devices_of_the_system_are_dummies() {
        for kind in [PortKind::System, PortKind::Internal, PortKind::Tap, PortKind::Dummy] {
            let device = Device::open(&PortSpec::new("d0", kind), 0, true).unwrap();
            assert!(device.as_dummy().is_some() && device.fd(0).is_none(), "{kind}");
            assert_eq!((device.ifindex(), device.is_watched_by_kernel()), (None, false));
        }
    }

    #[test]
    fn a_device_says_what_the_kernel_knows_of_it() {
        if !has_pair("p", "w") {
            return;
        }
        let device = open("p", PortKind::System).unwrap();
        let info = device.info(DpPort(3));
        assert_eq!((info.number, info.name.as_str(), info.kind), (DpPort(3), "p", PortKind::System));
        assert!(info.is_present && info.is_running());
        assert_eq!((info.mtu, info.link_kind.as_str(), info.ifindex), (1500, "veth", device.ifindex()));
        assert_eq!(info.status.get("driver_name").map(String::as_str), Some("veth"));
        let peer = netlink::link("w").unwrap().unwrap().index.to_string();
        assert_eq!(info.status.get("peer_ifindex"), Some(&peer));
        ip("link set w down");
        assert!(device.info(DpPort(3)).is_up && !device.info(DpPort(3)).is_running());
        ip("link del p");
        assert!(!device.info(DpPort(3)).is_present);
    }

    #[test]
    fn a_device_is_set_up() {
        if !has_pair("p", "w") {
            return;
        }
        let device = open("p", PortKind::System).unwrap();
        let mac = MacAddr([2, 0, 0, 0, 0, 9]);
        device.configure(Some(1400), Some(mac), Some(false)).unwrap();
        let info = device.info(DpPort(1));
        assert_eq!((info.mtu, info.mac, info.is_up), (1400, mac, false));
        device.configure(None, None, Some(true)).unwrap();
        assert!(device.info(DpPort(1)).is_up);
        assert_eq!(device.configure(Some(1), None, None).unwrap_err().errno(), Errno::INVAL);
        ip("link del p");
        assert_eq!(device.configure(Some(1400), None, None), Err(DpError::NoPortName("p".into())));
    }

    #[test]
    fn counters_are_those_of_the_switch_whichever_end_counts() {
        if !has_pair("p", "w") {
            return;
        }
        let pass = |device: &Device, wire: &Wire| {
            device.send(&mut vec![Packet::from_bytes(&frame(60)); 3], &mut Pool::new());
            (0..3).for_each(|_| assert_eq!(wire.receive(), frame(60)));
            (0..2).for_each(|_| wire.send(&frame(100)));
            receive_all(2, |pool, out| device.receive(0, pool, out, crate::BATCH));
            let stats = device.stats();
            [stats.tx_packets, stats.tx_bytes, stats.rx_packets, stats.rx_bytes]
        };
        let packet = open("p", PortKind::System).unwrap();
        assert_eq!(pass(&packet, &Wire::open("w")), [3, 180, 2, 200].map(Some));
        let tap = open("t", PortKind::Internal).unwrap();
        std::fs::write("/proc/sys/net/ipv6/conf/t/disable_ipv6", "1").ok();
        tap.configure(None, None, Some(true)).unwrap();
        assert_eq!(pass(&tap, &Wire::open("t")), [3, 180, 2, 200].map(Some));
        assert!(tap.as_tap().is_some() && packet.as_packet().is_some() && packet.as_dummy().is_none());
    }

    #[test]
    fn what_is_sent_into_a_tunnel_port_is_dropped() {
        let tunnel = open("vx", TunnelKind::Vxlan.into()).unwrap();
        let before = DropReason::InvalidPort.total();
        let mut packets = vec![Packet::from_bytes(&frame(60))];
        tunnel.send(&mut packets, &mut Pool::new());
        assert!(packets.is_empty() && DropReason::InvalidPort.total() > before);
        assert_eq!(tunnel.receive(0, &mut Pool::new(), &mut packets, 32).unwrap(), 0);
        assert!(tunnel.info(DpPort(1)).is_running());
    }
}
