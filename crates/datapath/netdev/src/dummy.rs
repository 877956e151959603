//! Ports for tests: frames come by calls and go into capture files or to a peer.

use std::io::{Read, Write};
use std::num::NonZeroU32;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use base::MacAddr;
use dp::{DropReason, Packet, PortKind, PortSpec, PortStats};
use std::collections::BTreeMap;
use wire::ethernet;

use crate::Pool;
use crate::dummy_checks::Checks;
use crate::dummy_queue::Queue;
use crate::losses::Losses;
use crate::pcap::PcapWriter;

/// A dummy port.
#[derive(Debug)]
pub struct Dummy {
    name: String,
    mac: Mutex<MacAddr>,
    mtu: AtomicU32,
    /// Indices begin with 1.
    ifindex: AtomicU32,
    is_up: AtomicBool,
    has_link: AtomicBool,
    /// What its options are, and what it says of the checksums of what it receives.
    settings: Mutex<(PortSpec, Checks)>,
    counters: Counters,
    losses: Losses,
    io: Mutex<Io>,
    /// Those that workers serve; others than `dummy-pmd` have none. The first [`Dummy::queue_count`] are in use.
    queues: Box<[OnceLock<Queue>]>,
    queue_count: AtomicUsize,
}

/// The options that name files and peers.
const NAMING: [&str; 5] = ["pcap", "rxq_pcap", "tx_pcap", "stream", "pstream"];

/// The most queues that one port has.
pub const MAX_QUEUES: usize = 64;

#[derive(Debug, Default)]
struct Counters {
    rx_packets: AtomicU64,
    rx_bytes: AtomicU64,
    tx_packets: AtomicU64,
    tx_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Io {
    /// What is received and what is sent, in one file.
    /// Of the options that name files and peers, those that are in force.
    options: BTreeMap<&'static str, String>,
    pcap: Option<PcapWriter>,
    rx_pcap: Option<PcapWriter>,
    tx_pcap: Option<PcapWriter>,
    listener: Option<UnixListener>,
    /// Where its peer listens, which may be there later than the port.
    peer: Option<String>,
    streams: Vec<Stream>,
    /// Addresses whose ARP requests the port answers itself.
    addresses: Vec<u32>,
    /// Its answers, to be received.
    answers: Vec<Packet>,
}

/// A peer: frames with their length, 16 bits, big-endian, before each.
#[derive(Debug)]
struct Stream {
    socket: UnixStream,
    received: Vec<u8>,
    /// It goes to [`Io::peer`].
    is_outgoing: bool,
}

impl Dummy {
    /// `sequence` makes the MAC address when the options give none.
    pub fn open(spec: &PortSpec, sequence: u32) -> Dummy {
        let [a, b, c, d] = sequence.wrapping_add(0xaa55_0000).to_be_bytes();
        let mac = spec.option("hwaddr").and_then(|text| text.parse().ok());
        let dummy = Dummy {
            name: spec.name.clone(),
            mac: Mutex::new(mac.unwrap_or(MacAddr([0xaa, 0x55, a, b, c, d]))),
            mtu: AtomicU32::new(1500),
            ifindex: AtomicU32::new(0),
            is_up: AtomicBool::new(true),
            has_link: AtomicBool::new(true),
            settings: Mutex::default(),
            counters: Counters::default(),
            losses: Losses::default(),
            io: Mutex::new(Io::default()),
            queues: (0..most_queues(spec)).map(|_| OnceLock::new()).collect(),
            queue_count: AtomicUsize::new(0),
        };
        dummy.configure(spec);
        dummy
    }

    /// Takes over `ifindex`, what is said of checksums, and `n_rxq`, and opens what the options name, where they name something new:
    /// `pcap`, `rxq_pcap`, `tx_pcap`, `stream`, `pstream`.
    pub fn configure(&self, spec: &PortSpec) {
        let ifindex = spec.option("ifindex").and_then(|text| text.parse().ok());
        self.ifindex.store(ifindex.unwrap_or(0), Ordering::Relaxed);
        if let Some(mac) = spec.option("hwaddr").and_then(|text| text.parse().ok()) {
            self.set_mac(mac);
        }
        *self.settings() = (spec.clone(), Checks::of(spec));
        self.set_queues(wanted_queues(spec).min(self.queues.len()));
        let named: BTreeMap<&'static str, String> =
            NAMING.into_iter().filter_map(|name| Some((name, spec.option(name)?.to_owned()))).collect();
        let mut io = self.io();
        if io.options == named {
            return;
        }
        let create = |name: &str| {
            let path = spec.option(name)?;
            PcapWriter::open(Path::new(path))
                .inspect_err(
                    |e| log::warn!(target: "netdev_dummy", "{}: failed to open {path} ({})", self.name, base::error_text(e)),
                )
                .ok()
        };
        io.options = named;
        io.pcap = create("pcap");
        io.rx_pcap = if io.pcap.is_none() { create("rxq_pcap") } else { None };
        io.tx_pcap = if io.pcap.is_none() { create("tx_pcap") } else { None };
        io.streams.clear();
        io.listener = None;
        io.peer = spec.option("stream").and_then(|s| s.strip_prefix("unix:")).map(str::to_owned);
        io.connect();
        if let Some(path) = spec.option("pstream").and_then(|s| s.strip_prefix("punix:")) {
            let _ = std::fs::remove_file(path);
            io.listener = UnixListener::bind(path).ok().filter(|l| l.set_nonblocking(true).is_ok());
        }
    }

    /// How many queues workers serve.
    pub fn queue_count(&self) -> usize {
        self.queue_count.load(Ordering::Acquire)
    }

    /// Makes so many queues ready. What waits in those that are in use no more is lost.
    fn set_queues(&self, count: usize) {
        for place in self.queues.iter().take(count).filter(|place| place.get().is_none()) {
            match Queue::new() {
                Ok(queue) => _ = place.set(queue),
                Err(error) => {
                    let reason = base::error_text(&error);
                    return log::warn!(target: "netdev_dummy", "{}: no queues ({reason})", self.name);
                }
            }
        }
        self.queue_count.store(count, Ordering::Release);
    }

    pub(crate) fn queue(&self, queue: usize) -> Option<&Queue> {
        self.queues.get(..self.queue_count())?.get(queue)?.get()
    }

    /// Puts a packet into a queue; false when there is none of this number.
    pub fn enqueue(&self, queue: usize, packet: Packet) -> bool {
        let found = self.queue(queue);
        found.map(|queue| queue.put(packet)).is_some()
    }

    /// Waits until the packets of a queue are done with; false when that takes longer than `limit`.
    pub fn wait(&self, queue: usize, limit: std::time::Duration) -> bool {
        self.queue(queue).is_none_or(|queue| queue.wait(limit))
    }

    /// So many packets that were taken from a queue are done with.
    pub fn finish(&self, queue: usize, count: usize) {
        if let Some(queue) = self.queue(queue) {
            queue.finish(count);
        }
    }

    fn settings(&self) -> MutexGuard<'_, (PortSpec, Checks)> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it was configured by last.
    pub(crate) fn spec(&self) -> PortSpec {
        self.settings().0.clone()
    }

    fn io(&self) -> MutexGuard<'_, Io> {
        self.io.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn mac(&self) -> MacAddr {
        *self.mac.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes its address.
    pub fn set_mac(&self, mac: MacAddr) {
        *self.mac.lock().unwrap_or_else(PoisonError::into_inner) = mac;
    }

    /// Its MTU, in bytes.
    pub fn mtu(&self) -> u32 {
        self.mtu.load(Ordering::Relaxed)
    }

    /// Changes its MTU, in bytes; longer frames are dropped.
    pub fn set_mtu(&self, mtu: u32) {
        self.mtu.store(mtu, Ordering::Relaxed);
    }

    /// The index that the options give it; 0 for none.
    pub fn ifindex(&self) -> Option<u32> {
        NonZeroU32::new(self.ifindex.load(Ordering::Relaxed)).map(NonZeroU32::get)
    }

    /// Whether it is administratively up.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// Changes whether it is administratively up.
    pub fn set_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
    }

    /// Whether it has a carrier.
    pub fn has_link(&self) -> bool {
        self.has_link.load(Ordering::Relaxed)
    }

    /// `netdev-dummy/set-admin-state`'s counterpart for the carrier.
    pub fn set_link(&self, has_link: bool) {
        self.has_link.store(has_link, Ordering::Relaxed);
    }

    /// Its counters: packets and bytes; it keeps no others.
    pub fn stats(&self) -> PortStats {
        PortStats {
            rx_packets: Some(self.counters.rx_packets.load(Ordering::Relaxed)),
            rx_bytes: Some(self.counters.rx_bytes.load(Ordering::Relaxed)),
            tx_packets: Some(self.counters.tx_packets.load(Ordering::Relaxed)),
            tx_bytes: Some(self.counters.tx_bytes.load(Ordering::Relaxed)),
            ..PortStats::UNCOUNTED
        }
    }

    /// Counters of its only queue, two by which custom counters are tested, and those of frames that were lost.
    pub fn custom_stats(&self) -> Vec<(String, u64)> {
        let stats = self.stats();
        let counters = [
            ("rx_custom_packets_1", stats.rx_packets),
            ("rx_custom_packets_2", stats.rx_packets),
            ("rx_q0_bytes", stats.rx_bytes),
            ("rx_q0_packets", stats.rx_packets),
            ("tx_q0_bytes", stats.tx_bytes),
            ("tx_q0_packets", stats.tx_packets),
        ];
        let counters = counters.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        counters.chain(self.losses.counters()).collect()
    }

    /// From here on the port answers ARP requests for this address (`netdev-dummy/ip4addr`).
    pub fn add_address(&self, ip: u32) {
        self.io().addresses.push(ip);
    }

    /// Counts a frame that a call hands in, and says of its checksums what the options tell; false when it is too short to
    /// be one, and is dropped.
    pub fn accept(&self, packet: &mut Packet) -> bool {
        self.counters.rx_packets.fetch_add(1, Ordering::Relaxed);
        self.counters.rx_bytes.fetch_add(packet.len() as u64, Ordering::Relaxed);
        let io = &mut *self.io();
        for pcap in io.pcap.iter_mut().chain(&mut io.rx_pcap) {
            let _ = pcap.write(now(), packet.bytes());
        }
        let is_frame = packet.len() >= ethernet::HEADER_LEN;
        self.losses.count(DropReason::RxInvalid, u64::from(!is_frame));
        let checks = self.settings().1;
        checks.receive(packet);
        is_frame
    }

    /// Frames that peers have sent, and answers to ARP requests.
    pub fn receive(&self, out: &mut Vec<Packet>) -> usize {
        let mut io = self.io();
        if let Some(listener) = &io.listener
            && let Ok((socket, _)) = listener.accept()
            && socket.set_nonblocking(true).is_ok()
        {
            io.streams.push(Stream { socket, received: Vec::new(), is_outgoing: false });
        }
        io.connect();
        let before = out.len();
        let mut received = std::mem::take(&mut io.answers);
        io.streams.retain_mut(|stream| stream.read(&mut received));
        drop(io);
        out.extend(received.into_iter().filter_map(|mut packet| self.accept(&mut packet).then_some(packet)));
        out.len() - before
    }

    /// Sends the packets.
    pub fn send(&self, packets: &mut Vec<Packet>, pool: &mut Pool) {
        let mut ready = Vec::new();
        let checks = self.settings().1;
        for mut packet in packets.drain(..) {
            checks.send(&mut packet);
            if checks.takes_whole(&packet) {
                dp::offload::complete_checksum(&mut packet);
                ready.push(packet);
            } else if let Err(packet) = dp::offload::segment(packet, &mut ready) {
                self.losses.count(DropReason::TxInvalidOffload, 1);
                pool.give_back(packet);
            }
        }
        let (mac, mtu) = (self.mac(), self.mtu() as usize);
        let mut io = self.io();
        for packet in ready {
            let is_tagged = packet.bytes().get(12..14) == Some(&[0x81, 0]);
            let most = mtu + ethernet::HEADER_LEN + if is_tagged { ethernet::VLAN_HEADER_LEN } else { 0 };
            let is_too_long = packet.len() > most && packet.offload.segmentation.is_none();
            if packet.len() < ethernet::HEADER_LEN || is_too_long {
                self.losses.count(DropReason::TxMtuExceeded, 1);
                pool.give_back(packet);
                continue;
            }
            self.counters.tx_packets.fetch_add(1, Ordering::Relaxed);
            self.counters.tx_bytes.fetch_add(packet.len() as u64, Ordering::Relaxed);
            let Io { pcap, tx_pcap, .. } = &mut *io;
            for pcap in pcap.iter_mut().chain(tx_pcap) {
                let _ = pcap.write(now(), packet.bytes());
            }
            let bytes = packet.bytes();
            io.streams.retain_mut(|stream| {
                let written = stream.write(bytes);
                self.losses.count(DropReason::TxFailure, u64::from(written.is_err()));
                // A peer that is slow stays; one that is gone goes.
                written.map_or_else(|e| e.kind() == std::io::ErrorKind::WouldBlock, |()| true)
            });
            let answer = io.addresses.iter().find_map(|&ip| flow::compose::arp_reply(bytes, mac, ip));
            io.answers.extend(answer.map(|bytes| Packet::from_bytes(&bytes)));
            pool.give_back(packet);
        }
    }
}

impl Io {
    /// Connects to the peer, if it has one and is not connected.
    fn connect(&mut self) {
        if let Some(path) = &self.peer
            && !self.streams.iter().any(|stream| stream.is_outgoing)
            && let Ok(socket) = UnixStream::connect(path)
            && socket.set_nonblocking(true).is_ok()
        {
            self.streams.push(Stream { socket, received: Vec::new(), is_outgoing: true });
        }
    }
}

/// How many queues workers may have to serve.
fn most_queues(spec: &PortSpec) -> usize {
    if spec.kind == PortKind::DummyPmd { MAX_QUEUES } else { 0 }
}

/// How many queues the options ask for (`n_rxq`).
pub(crate) fn wanted_queues(spec: &PortSpec) -> usize {
    let wanted = spec.option("n_rxq").and_then(|text| text.parse::<usize>().ok()).unwrap_or(1);
    wanted.clamp(1, MAX_QUEUES)
}

impl Stream {
    /// False when the peer is gone.
    fn read(&mut self, out: &mut Vec<Packet>) -> bool {
        let mut chunk = [0; 4096];
        let is_open = loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => break false,
                Ok(len) => self.received.extend(chunk.iter().take(len)),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break true,
                Err(_) => break false,
            }
        };
        while let [a, b, rest @ ..] = &self.received[..] {
            let len = usize::from(u16::from_be_bytes([*a, *b]));
            let Some(frame) = rest.get(..len) else { break };
            out.push(Packet::from_bytes(frame));
            self.received.drain(..len + 2);
        }
        is_open
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut frame = (bytes.len() as u16).to_be_bytes().to_vec();
        frame.extend(bytes);
        self.socket.write_all(&frame)
    }
}

/// Capture files carry the time of day.
fn now() -> std::time::Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{frame, until};

    fn open(options: &[(&str, &str)]) -> Dummy {
        let mut spec = PortSpec::new("d0", dp::PortKind::Dummy);
        spec.options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Dummy::open(&spec, 5)
    }

    #[test]
    fn options_give_address_and_index() {
        let plain = open(&[]);
        assert_eq!((plain.mac(), plain.ifindex()), (MacAddr([0xaa, 0x55, 0xaa, 0x55, 0, 5]), None));
        let set = open(&[("hwaddr", "02:00:00:00:00:07"), ("ifindex", "12")]);
        assert_eq!((set.mac(), set.ifindex()), (MacAddr([2, 0, 0, 0, 0, 7]), Some(12)));
        set.configure(&PortSpec::new("d0", dp::PortKind::Dummy));
        assert_eq!(set.ifindex(), None, "the option is gone");
    }

    #[test]
    fn a_frame_that_is_too_short_is_counted_and_dropped() {
        let dummy = open(&[]);
        assert!(dummy.accept(&mut Packet::from_bytes(&frame(60))));
        assert!(!dummy.accept(&mut Packet::from_bytes(&[0; 13])));
        let stats = dummy.stats();
        assert_eq!((stats.rx_packets, stats.rx_bytes, stats.rx_dropped), (Some(2), Some(73), None));
    }

    #[test]
    fn a_frame_that_is_too_long_is_not_sent_but_a_tag_is_allowed() {
        let dummy = open(&[]);
        dummy.set_mtu(100);
        let mut tagged = frame(118);
        tagged[12..14].copy_from_slice(&[0x81, 0]);
        let mut packets = [frame(114), frame(115), tagged].map(|bytes| Packet::from_bytes(&bytes)).to_vec();
        dummy.send(&mut packets, &mut Pool::new());
        assert_eq!((dummy.stats().tx_packets, dummy.stats().tx_bytes), (Some(2), Some(232)));
        let counters = dummy.custom_stats();
        assert!(counters.contains(&("ovs_tx_mtu_exceeded_drops".to_owned(), 1)), "{counters:?}");
    }

    #[test]
    fn peers_exchange_frames() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("peer").to_str().unwrap().to_owned();
        let passive = open(&[("pstream", &format!("punix:{path}"))]);
        let active = open(&[("stream", &format!("unix:{path}"))]);
        let pass = |from: &Dummy, to: &Dummy, len: usize| {
            from.send(&mut vec![Packet::from_bytes(&frame(len))], &mut Pool::new());
            let mut received = Vec::new();
            until("the frame arrives", || to.receive(&mut received) > 0);
            assert_eq!(received[0].bytes(), frame(len));
        };
        pass(&active, &passive, 60);
        pass(&passive, &active, 1514);
    }

    #[test]
    fn a_peer_may_come_later_than_the_port_and_go_and_come_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("peer").to_str().unwrap().to_owned();
        let active = open(&[("stream", &format!("unix:{path}"))]);
        for _ in 0..2 {
            let passive = open(&[("pstream", &format!("punix:{path}"))]);
            let mut received = Vec::new();
            until("the frame arrives", || {
                active.receive(&mut Vec::new());
                active.send(&mut vec![Packet::from_bytes(&frame(60))], &mut Pool::new());
                passive.receive(&mut received) > 0
            });
        }
    }

    #[test]
    fn a_frame_may_arrive_in_pieces_and_several_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("peer");
        let dummy = open(&[("pstream", &format!("punix:{}", path.display()))]);
        let mut peer = UnixStream::connect(&path).unwrap();
        let mut bytes = Vec::new();
        for len in [60u16, 64] {
            bytes.extend(len.to_be_bytes());
            bytes.extend(frame(len.into()));
        }
        let mut received = Vec::new();
        peer.write_all(&bytes[..30]).unwrap();
        assert_eq!(dummy.receive(&mut received), 0);
        peer.write_all(&bytes[30..]).unwrap();
        until("both arrive", || {
            dummy.receive(&mut received);
            received.len() == 2
        });
        assert_eq!(received.iter().map(Packet::len).collect::<Vec<_>>(), [60, 64]);
        // A peer that is gone is forgotten.
        drop(peer);
        until("it is gone", || {
            dummy.receive(&mut received);
            dummy.io().streams.is_empty()
        });
    }

    #[test]
    fn it_answers_for_its_addresses() {
        let dummy = open(&[]);
        dummy.add_address(0x0a00_0001);
        let ask = |target: [u8; 4]| {
            let mut bytes = vec![0xff; 6];
            bytes.extend([2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 10, 0, 0, 9]);
            bytes.extend([0; 6]);
            bytes.extend(target);
            dummy.send(&mut vec![Packet::from_bytes(&bytes)], &mut Pool::new());
            let mut answers = Vec::new();
            dummy.receive(&mut answers);
            answers
        };
        assert_eq!(ask([10, 0, 0, 2]).len(), 0);
        let answers = ask([10, 0, 0, 1]);
        assert_eq!(answers[0].bytes()[..12], [&[2, 0, 0, 0, 0, 9], &dummy.mac().0[..]].concat());
        assert_eq!(answers[0].bytes()[20..22], [0, 2], "a reply");
    }

    #[test]
    fn captures_hold_what_is_received_and_what_is_sent() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let (received, sent, both) = (path("r"), path("s"), path("b"));
        let pass = |options: &[(&str, &str)]| {
            let dummy = open(options);
            dummy.accept(&mut Packet::from_bytes(&frame(60)));
            dummy.send(&mut vec![Packet::from_bytes(&frame(64))], &mut Pool::new());
        };
        pass(&[("rxq_pcap", &received), ("tx_pcap", &sent)]);
        pass(&[("pcap", &both)]);
        let length = |path: &str| std::fs::metadata(path).unwrap().len();
        assert_eq!((length(&received), length(&sent), length(&both)), (24 + 76, 24 + 80, 24 + 76 + 80));
    }
}
