//! Ports for tests: frames come by calls and go into capture files or to a peer.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use base::MacAddr;
use dp::{DropReason, Packet, PortSpec, PortStats};
use wire::ethernet;

use crate::Pool;
use crate::losses::Losses;
use crate::pcap::PcapWriter;

/// A dummy port.
#[derive(Debug)]
pub struct Dummy {
    name: String,
    mac: Mutex<MacAddr>,
    mtu: AtomicU32,
    ifindex: AtomicU32,
    is_up: AtomicBool,
    has_link: AtomicBool,
    counters: Counters,
    losses: Losses,
    io: Mutex<Io>,
}

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
    pcap: Option<PcapWriter>,
    rx_pcap: Option<PcapWriter>,
    tx_pcap: Option<PcapWriter>,
    listener: Option<UnixListener>,
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
            counters: Counters::default(),
            losses: Losses::default(),
            io: Mutex::new(Io::default()),
        };
        dummy.configure(spec);
        dummy
    }

    /// Takes over `ifindex`, and opens what the options name: `pcap`, `rxq_pcap`, `tx_pcap`, `stream`, `pstream`.
    pub fn configure(&self, spec: &PortSpec) {
        let ifindex = spec.option("ifindex").and_then(|text| text.parse().ok());
        self.ifindex.store(ifindex.unwrap_or(0), Ordering::Relaxed);
        let create = |name: &str| {
            let path = spec.option(name)?;
            PcapWriter::create(Path::new(path))
                .inspect_err(
                    |e| log::warn!(target: "netdev_dummy", "{}: failed to open {path} ({})", self.name, base::error_text(e)),
                )
                .ok()
        };
        let mut io = self.io();
        io.pcap = create("pcap");
        if io.pcap.is_none() {
            io.rx_pcap = create("rxq_pcap");
            io.tx_pcap = create("tx_pcap");
        }
        io.streams.clear();
        if let Some(path) = spec.option("stream").and_then(|s| s.strip_prefix("unix:"))
            && let Ok(socket) = UnixStream::connect(path)
            && socket.set_nonblocking(true).is_ok()
        {
            io.streams.push(Stream { socket, received: Vec::new() });
        }
        if let Some(path) = spec.option("pstream").and_then(|s| s.strip_prefix("punix:")) {
            let _ = std::fs::remove_file(path);
            io.listener = UnixListener::bind(path).ok().filter(|l| l.set_nonblocking(true).is_ok());
        }
    }

    fn io(&self) -> std::sync::MutexGuard<'_, Io> {
        self.io.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn mac(&self) -> MacAddr {
        *self.mac.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_mac(&self, mac: MacAddr) {
        *self.mac.lock().unwrap_or_else(PoisonError::into_inner) = mac;
    }

    pub fn mtu(&self) -> u32 {
        self.mtu.load(Ordering::Relaxed)
    }

    pub fn set_mtu(&self, mtu: u32) {
        self.mtu.store(mtu, Ordering::Relaxed);
    }

    /// The index that the options give it; 0 for none.
    pub fn ifindex(&self) -> u32 {
        self.ifindex.load(Ordering::Relaxed)
    }

    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    pub fn set_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
    }

    pub fn has_link(&self) -> bool {
        self.has_link.load(Ordering::Relaxed)
    }

    /// `netdev-dummy/set-admin-state`'s counterpart for the carrier.
    pub fn set_link(&self, has_link: bool) {
        self.has_link.store(has_link, Ordering::Relaxed);
    }

    pub fn stats(&self) -> PortStats {
        PortStats {
            rx_packets: self.counters.rx_packets.load(Ordering::Relaxed),
            rx_bytes: self.counters.rx_bytes.load(Ordering::Relaxed),
            tx_packets: self.counters.tx_packets.load(Ordering::Relaxed),
            tx_bytes: self.counters.tx_bytes.load(Ordering::Relaxed),
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
        let counters = counters.map(|(name, value)| (name.to_owned(), value));
        counters.into_iter().chain(self.losses.counters()).collect()
    }

    /// From here on the port answers ARP requests for this address (`netdev-dummy/ip4addr`).
    pub fn add_address(&self, ip: u32) {
        self.io().addresses.push(ip);
    }

    /// Counts a frame that a call hands in; false when it is too short to be one, and is dropped.
    pub fn accept(&self, packet: &Packet) -> bool {
        self.counters.rx_packets.fetch_add(1, Ordering::Relaxed);
        self.counters.rx_bytes.fetch_add(packet.len() as u64, Ordering::Relaxed);
        let io = &mut *self.io();
        for pcap in io.pcap.iter_mut().chain(&mut io.rx_pcap) {
            let _ = pcap.write(now(), packet.bytes());
        }
        let is_frame = packet.len() >= ethernet::HEADER_LEN;
        self.losses.count(DropReason::RxInvalid, u64::from(!is_frame));
        is_frame
    }

    /// Frames that peers have sent, and answers to ARP requests.
    pub fn receive(&self, out: &mut Vec<Packet>) -> usize {
        let mut io = self.io();
        if let Some(listener) = &io.listener
            && let Ok((socket, _)) = listener.accept()
            && socket.set_nonblocking(true).is_ok()
        {
            io.streams.push(Stream { socket, received: Vec::new() });
        }
        let before = out.len();
        let mut received = std::mem::take(&mut io.answers);
        io.streams.retain_mut(|stream| stream.read(&mut received));
        drop(io);
        out.extend(received.into_iter().filter(|packet| self.accept(packet)));
        out.len() - before
    }

    /// Sends the packets.
    pub fn send(&self, packets: &mut Vec<Packet>, pool: &mut Pool) {
        let mut ready = Vec::new();
        for packet in packets.drain(..) {
            if let Err(packet) = dp::offload::segment(packet, &mut ready) {
                self.losses.count(DropReason::TxInvalidOffload, 1);
                pool.give_back(packet);
            }
        }
        let (mac, mtu) = (self.mac(), self.mtu() as usize);
        let mut io = self.io();
        for packet in ready {
            let is_tagged = packet.bytes().get(12..14) == Some(&[0x81, 0]);
            let most = mtu + ethernet::HEADER_LEN + if is_tagged { ethernet::VLAN_HEADER_LEN } else { 0 };
            if !(ethernet::HEADER_LEN..=most).contains(&packet.len()) {
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
