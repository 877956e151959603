//! Messages about ports and queues.

use base::{MacAddr, OfPort};

/// Bits of a port's configuration (`OFPUTIL_PC_*`).
pub mod port_config {
    pub const PORT_DOWN: u32 = 1;
    pub const NO_STP: u32 = 1 << 1;
    pub const NO_RECV: u32 = 1 << 2;
    pub const NO_RECV_STP: u32 = 1 << 3;
    pub const NO_FLOOD: u32 = 1 << 4;
    pub const NO_FWD: u32 = 1 << 5;
    pub const NO_PACKET_IN: u32 = 1 << 6;
}

/// Bits of a port's state (`OFPUTIL_PS_*`).
pub mod port_state {
    pub const LINK_DOWN: u32 = 1;
    pub const BLOCKED: u32 = 1 << 1;
    pub const LIVE: u32 = 1 << 2;
    pub const STP_LISTEN: u32 = 0;
    pub const STP_LEARN: u32 = 1 << 8;
    pub const STP_FORWARD: u32 = 2 << 8;
    pub const STP_BLOCK: u32 = 3 << 8;
    pub const STP_MASK: u32 = 3 << 8;

    /// `state` of a port through which packets can pass from now on, or cannot.
    pub fn with_link(state: u32, is_running: bool) -> u32 {
        state & !(LINK_DOWN | LIVE) | if is_running { LIVE } else { LINK_DOWN }
    }
}

/// A port.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortDesc {
    pub port: OfPort,
    pub hw_addr: MacAddr,
    pub name: String,
    /// [`port_config`] bits.
    pub config: u32,
    /// [`port_state`] bits.
    pub state: u32,
    /// [`base::link_feature`] bits.
    pub current: u32,
    pub advertised: u32,
    pub supported: u32,
    pub peer: u32,
    /// In kbit/s.
    pub current_speed: u32,
    pub max_speed: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum PortReason {
    Add = 0,
    Delete = 1,
    Modify = 2,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortStatus {
    pub reason: PortReason,
    pub desc: PortDesc,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortMod {
    pub port: OfPort,
    pub hw_addr: MacAddr,
    pub config: u32,
    pub mask: u32,
    /// [`base::link_feature`] bits to advertise; 0 changes nothing.
    pub advertise: u32,
}

/// Counters of a port; `u64::MAX` when unknown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortStats {
    pub port: OfPort,
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_frame_errors: u64,
    pub rx_over_errors: u64,
    pub rx_crc_errors: u64,
    pub collisions: u64,
    /// RFC 2819 counters in [`RFC2819`]'s order.
    pub rfc2819: [u64; 21],
    /// Names and values of others.
    pub custom: Vec<(String, u64)>,
    /// `u32::MAX` when unknown.
    pub duration_sec: u32,
    pub duration_nsec: u32,
}

/// The order of [`PortStats::rfc2819`], as on the wire.
pub const RFC2819: [&str; 21] = [
    "rx_1_to_64_packets",
    "rx_65_to_127_packets",
    "rx_128_to_255_packets",
    "rx_256_to_511_packets",
    "rx_512_to_1023_packets",
    "rx_1024_to_1522_packets",
    "rx_1523_to_max_packets",
    "tx_1_to_64_packets",
    "tx_65_to_127_packets",
    "tx_128_to_255_packets",
    "tx_256_to_511_packets",
    "tx_512_to_1023_packets",
    "tx_1024_to_1522_packets",
    "tx_1523_to_max_packets",
    "tx_multicast_packets",
    "rx_broadcast_packets",
    "tx_broadcast_packets",
    "rx_undersized_errors",
    "rx_oversize_errors",
    "rx_fragmented_errors",
    "rx_jabber_errors",
];

impl Default for PortStats {
    fn default() -> Self {
        let unknown = u64::MAX;
        PortStats {
            port: OfPort::default(),
            rx_packets: unknown,
            tx_packets: unknown,
            rx_bytes: unknown,
            tx_bytes: unknown,
            rx_dropped: unknown,
            tx_dropped: unknown,
            rx_errors: unknown,
            tx_errors: unknown,
            rx_frame_errors: unknown,
            rx_over_errors: unknown,
            rx_crc_errors: unknown,
            collisions: unknown,
            rfc2819: [unknown; 21],
            custom: Vec::new(),
            duration_sec: u32::MAX,
            duration_nsec: u32::MAX,
        }
    }
}

/// "All queues".
pub const QUEUE_ALL: u32 = 0xffff_ffff;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueStats {
    pub port: OfPort,
    pub queue: u32,
    /// `u64::MAX` when unknown.
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub duration_sec: u32,
    pub duration_nsec: u32,
}

/// A queue's configuration; rates in tenths of a percent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueConfig {
    pub port: OfPort,
    pub queue: u32,
    /// More than 1000: disabled. `u16::MAX`: not said.
    pub min_rate: u16,
    pub max_rate: u16,
}
