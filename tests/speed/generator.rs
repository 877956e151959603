//! Who begins TCP connections, and who answers, without a TCP of their own: their cost is small beside a switch's.
//!
//! Both read and write frames of a device of their namespace. A connection has its number in its addresses and ports, so
//! that neither keeps a state of any.

use std::io::Read;
use std::process::{Child, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dp::Packet;
use netdev::{BATCH, Pool, packet::PacketDevice};
use rustix::event::{PollFd, PollFlags, Timespec};
use wire::Checksum;

/// What a generator does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// Begins connections and resets them, as many as it can.
    Open,
    /// Begins so many connections, then sends data on all of them.
    Flood,
    /// Begins so many connections, and leaves them.
    Hold,
    Answer,
}

const ROLES: [(Role, &str); 4] =
    [(Role::Open, "open"), (Role::Flood, "flood"), (Role::Hold, "hold"), (Role::Answer, "answer")];

/// How many connections may be unanswered.
const WINDOW: u32 = 512;
/// Who answers ends when nothing has come for so long.
const QUIET: Duration = Duration::from_secs(2);
/// What is not answered for so long is lost.
const PATIENCE: Duration = Duration::from_millis(20);

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 0xa], [2, 0, 0, 0, 0, 0xb]];
const HEADERS: usize = 54;
/// The least frame of Ethernet.
const LEN: usize = 60;
const SERVER: u32 = 0x0a00_0001;
/// A port for each client's address, above those that a translation would choose from.
const FIRST_PORT: u32 = 1024;
const PORTS: u32 = 60_000;

impl Role {
    pub(crate) fn named(name: &str) -> Option<Role> {
        ROLES.iter().find(|(_, known)| *known == name).map(|(role, _)| *role)
    }

    pub(crate) fn name(self) -> &'static str {
        ROLES.iter().find(|(role, _)| *role == self).map_or("", |(_, name)| name)
    }
}

/// What a generator tells at its end.
#[derive(Debug)]
pub(crate) struct Told {
    /// Connections that were answered; of who answers, packets with data.
    pub count: u64,
    pub seconds: f64,
}

impl Told {
    pub(crate) fn read(mut child: Child) -> Told {
        let mut said = String::new();
        if let Some(out) = &mut child.stdout {
            let _ = out.read_to_string(&mut said);
        }
        let _ = child.wait();
        let mut words = said.lines().last().unwrap_or_default().split_whitespace();
        let (Some(count), Some(seconds)) = (words.next(), words.next()) else {
            panic!("a generator said: {said}");
        };
        Told { count: count.parse().unwrap_or(0), seconds: seconds.parse().unwrap_or(f64::NAN) }
    }
}

/// The arguments are the device, seconds, and a number of connections.
pub(crate) fn run(role: Role, words: &[String]) -> ExitCode {
    let [device, seconds, count] = words else { return ExitCode::FAILURE };
    let (Ok(seconds), Ok(count)) = (seconds.parse(), count.parse()) else { return ExitCode::FAILURE };
    let mut station = match Station::open(device, role == Role::Answer) {
        Ok(station) => station,
        Err(error) => {
            eprintln!("{device}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let limit = Duration::from_secs(seconds);
    match role {
        Role::Answer => station.answer(),
        Role::Open => station.open_connections(limit, u32::MAX, true),
        Role::Hold => station.open_connections(limit, count, false),
        Role::Flood => {
            station.open_connections(Duration::from_secs(20), count, false);
            station.flood(limit, count);
        }
    }
    ExitCode::SUCCESS
}

/// A TCP segment without payload, or with some bytes of it.
#[derive(Clone, Copy)]
struct Segment {
    connection: u32,
    flags: u8,
}

impl Segment {
    /// `by_server`: from who answers.
    fn write(self, by_server: bool, packet: &mut Packet) {
        let mut frame = [0; LEN];
        let (from, to) = if by_server { (1, 0) } else { (0, 1) };
        frame[..6].copy_from_slice(&MACS[to]);
        frame[6..12].copy_from_slice(&MACS[from]);
        frame[12..14].copy_from_slice(&[8, 0]);
        let data = if self.flags & PSH != 0 { (LEN - HEADERS) as u8 } else { 0 };
        frame[14..24].copy_from_slice(&[0x45, 0, 0, 40 + data, 0, 0, 0x40, 0, 64, 6]);
        let client = (0x0b00_0000 + self.connection / PORTS, (FIRST_PORT + self.connection % PORTS) as u16);
        let ends = if by_server { [(SERVER, 80), client] } else { [client, (SERVER, 80)] };
        frame[26..30].copy_from_slice(&ends[0].0.to_be_bytes());
        frame[30..34].copy_from_slice(&ends[1].0.to_be_bytes());
        frame[34..36].copy_from_slice(&ends[0].1.to_be_bytes());
        frame[36..38].copy_from_slice(&ends[1].1.to_be_bytes());
        let is_first = self.flags & SYN != 0;
        let (seq, ack) = match (by_server, is_first) {
            (false, true) => (1000u32, 0u32),
            (true, true) => (2000, 1001),
            (false, false) => (1001, 2001),
            (true, false) => (2001, 1001),
        };
        frame[38..42].copy_from_slice(&seq.to_be_bytes());
        frame[42..46].copy_from_slice(&ack.to_be_bytes());
        frame[46..50].copy_from_slice(&[0x50, self.flags, 0xff, 0xff]);
        wire::ipv4::write_checksum(&mut frame[14..34]);
        let pseudo = Checksum::new().dword(ends[0].0).dword(ends[1].0).word(6).word(20 + u16::from(data));
        let end = HEADERS + usize::from(data);
        wire::transport::write_checksum(6, &mut frame[34..end], pseudo);
        packet.append(&frame);
    }

    fn read(frame: &[u8], by_server: bool) -> Option<Segment> {
        if frame.len() < HEADERS || frame[12..14] != [8, 0] || frame[23] != 6 {
            return None;
        }
        let (address, port) = if by_server { (30, 36) } else { (26, 34) };
        let address = u32::from_be_bytes(frame[address..address + 4].try_into().ok()?);
        let port = u32::from(u16::from_be_bytes(frame[port..port + 2].try_into().ok()?));
        let connection = address.checked_sub(0x0b00_0000)? * PORTS + port.checked_sub(FIRST_PORT)?;
        Some(Segment { connection, flags: frame[47] })
    }
}

/// A generator's device.
struct Station {
    device: PacketDevice,
    pool: Pool,
    is_server: bool,
    received: Vec<Packet>,
    sending: Vec<Packet>,
}

impl Station {
    fn open(name: &str, is_server: bool) -> std::io::Result<Station> {
        let index = std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex"))?;
        let index = index.trim().parse().map_err(std::io::Error::other)?;
        let device = PacketDevice::open(name, index, 0, false, 1, &Arc::new(netdev::Shortcuts::none()))?;
        let (received, sending) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        Ok(Station { device, pool: Pool::new(), is_server, received, sending })
    }

    fn send(&mut self, connection: u32, flags: u8) {
        let mut packet = self.pool.small();
        Segment { connection, flags }.write(self.is_server, &mut packet);
        self.sending.push(packet);
        if self.sending.len() == BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.device.send(&mut self.sending, &mut self.pool);
    }

    /// The segments that have come; waits a moment for some.
    fn receive(&mut self, segments: &mut Vec<Segment>) {
        segments.clear();
        let count = self.device.receive(0, &mut self.pool, &mut self.received, BATCH).unwrap_or(0);
        if count == 0
            && let Some(fd) = self.device.fd(0)
        {
            let moment = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            // Whether any came is seen by receiving.
            let _ = rustix::event::poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&moment));
        }
        for packet in self.received.drain(..) {
            segments.extend(Segment::read(packet.bytes(), !self.is_server));
            self.pool.give_back(packet);
        }
    }

    /// Begins connections until the time is over, or there are so many; tells how many were answered.
    fn open_connections(&mut self, limit: Duration, count: u32, resets: bool) {
        let begun = Instant::now();
        let mut segments = Vec::with_capacity(BATCH);
        let (mut next, mut waiting, mut answered) = (0, 0, 0u64);
        let mut progress = begun;
        while begun.elapsed() < limit && (next < count || waiting > 0) {
            while waiting < WINDOW && next < count {
                self.send(next, SYN);
                next += 1;
                waiting += 1;
            }
            self.flush();
            self.receive(&mut segments);
            for segment in segments.iter().filter(|segment| segment.flags == SYN | ACK) {
                self.send(segment.connection, ACK);
                if resets {
                    self.send(segment.connection, RST | ACK);
                }
                answered += 1;
                waiting = waiting.saturating_sub(1);
                progress = Instant::now();
            }
            if progress.elapsed() > PATIENCE {
                waiting = 0;
            }
            self.device.review_ring(Instant::now(), false);
        }
        self.flush();
        println!("{answered} {}", begun.elapsed().as_secs_f64());
    }

    /// Sends data on all connections in turn.
    fn flood(&mut self, limit: Duration, count: u32) {
        let begun = Instant::now();
        let mut sent = 0u64;
        while begun.elapsed() < limit {
            for _ in 0..BATCH {
                self.send((sent % u64::from(count)) as u32, PSH | ACK);
                sent += 1;
            }
        }
        println!("{sent} {}", begun.elapsed().as_secs_f64());
    }

    /// Answers until nothing has come for a while; tells how much data came.
    fn answer(&mut self) {
        let begun = Instant::now();
        let mut segments = Vec::with_capacity(BATCH);
        let mut data = 0u64;
        let mut progress = begun;
        while progress.elapsed() < QUIET {
            self.receive(&mut segments);
            for segment in &segments {
                if segment.flags == SYN {
                    self.send(segment.connection, SYN | ACK);
                }
                data += u64::from(segment.flags & PSH != 0);
                progress = Instant::now();
            }
            self.flush();
            self.device.review_ring(Instant::now(), false);
        }
        println!("{data} {}", begun.elapsed().as_secs_f64());
    }
}
