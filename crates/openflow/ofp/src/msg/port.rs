//! Messages about ports and queues.

use base::{MacAddr, OfPort};

/// Bits of a port's configuration (`OFPUTIL_PC_*`).
pub mod port_config {
    /// Administratively down.
    pub const PORT_DOWN: u32 = 1;
    /// 802.1D is disabled (OpenFlow 1.0).
    pub const NO_STP: u32 = 1 << 1;
    /// Received packets are dropped, except 802.1D's.
    pub const NO_RECV: u32 = 1 << 2;
    /// Received 802.1D packets are dropped (OpenFlow 1.0).
    pub const NO_RECV_STP: u32 = 1 << 3;
    /// Left out of flooding (OpenFlow 1.0).
    pub const NO_FLOOD: u32 = 1 << 4;
    /// Packets to be sent there are dropped.
    pub const NO_FWD: u32 = 1 << 5;
    /// Packets received there cause no packet-ins.
    pub const NO_PACKET_IN: u32 = 1 << 6;
}

/// Bits of a port's state (`OFPUTIL_PS_*`).
pub mod port_state {
    /// No physical link.
    pub const LINK_DOWN: u32 = 1;
    /// Blocked by a protocol below OpenFlow (OpenFlow 1.1+).
    pub const BLOCKED: u32 = 1 << 1;
    /// Alive for fast failover groups (OpenFlow 1.1+).
    pub const LIVE: u32 = 1 << 2;
    /// 802.1D: neither learns nor relays (OpenFlow 1.0).
    pub const STP_LISTEN: u32 = 0;
    /// 802.1D: learns but does not relay (OpenFlow 1.0).
    pub const STP_LEARN: u32 = 1 << 8;
    /// 802.1D: learns and relays (OpenFlow 1.0).
    pub const STP_FORWARD: u32 = 2 << 8;
    /// 802.1D: not part of the tree (OpenFlow 1.0).
    pub const STP_BLOCK: u32 = 3 << 8;
    /// The two bits that hold the 802.1D state.
    pub const STP_MASK: u32 = 3 << 8;

    /// `state` of a port through which packets can pass from now on, or cannot.
    pub fn with_link(state: u32, is_running: bool) -> u32 {
        state & !(LINK_DOWN | LIVE) | if is_running { LIVE } else { LINK_DOWN }
    }
}

/// A port.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortDesc {
    /// Its number; `OfPort::LOCAL` for the bridge's own.
    pub port: OfPort,
    /// Its Ethernet address.
    pub hw_addr: MacAddr,
    /// At most 15 bytes on the wire; empty when not known.
    pub name: String,
    /// [`port_config`] bits.
    pub config: u32,
    /// [`port_state`] bits.
    pub state: u32,
    /// [`base::link_feature`] bits.
    pub current: u32,
    /// [`base::link_feature`] bits that the port advertises.
    pub advertised: u32,
    /// [`base::link_feature`] bits that the port can do.
    pub supported: u32,
    /// [`base::link_feature`] bits that the peer advertises; 0 when not known.
    pub peer: u32,
    /// In kbit/s.
    pub current_speed: u32,
    /// In kbit/s.
    pub max_speed: u32,
}

/// Why a port status is sent; the numbers are those of `OFPPR_*`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum PortReason {
    /// The port is new.
    Add = 0,
    /// The port is gone.
    Delete = 1,
    /// Configuration, state or features changed.
    Modify = 2,
}

/// `OFPT_PORT_STATUS`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortStatus {
    /// What happened.
    pub reason: PortReason,
    /// The port as it is now, or was last.
    pub desc: PortDesc,
}

/// `OFPT_PORT_MOD`: changes a port's configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortMod {
    /// A single port; the special ones except `OfPort::LOCAL` do not exist.
    pub port: OfPort,
    /// Must be the port's own Ethernet address, as a safeguard; otherwise `OFPPMFC_BAD_HW_ADDR`.
    pub hw_addr: MacAddr,
    /// [`port_config`] bits, of which those in `mask` count.
    pub config: u32,
    /// [`port_config`] bits to change.
    pub mask: u32,
    /// [`base::link_feature`] bits to advertise; 0 changes nothing.
    pub advertise: u32,
}

/// Counters of a port; `u64::MAX` when unknown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortStats {
    /// Which port the counters are of.
    pub port: OfPort,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets dropped on receipt.
    pub rx_dropped: u64,
    /// Packets dropped when sending.
    pub tx_dropped: u64,
    /// Errors on receipt, those counted below included.
    pub rx_errors: u64,
    /// Errors when sending.
    pub tx_errors: u64,
    /// Frame alignment errors.
    pub rx_frame_errors: u64,
    /// Packets lost to receive overruns.
    pub rx_over_errors: u64,
    /// CRC errors.
    pub rx_crc_errors: u64,
    /// Ethernet collisions.
    pub collisions: u64,
    /// RFC 2819 counters in [`RFC2819`]'s order.
    pub rfc2819: [u64; 21],
    /// Names and values of others.
    pub custom: Vec<(String, u64)>,
    /// `u32::MAX` when unknown.
    pub duration_sec: u32,
    /// Nanoseconds beyond `duration_sec` (OpenFlow 1.3+); `u32::MAX` when unknown.
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

/// Counters of a queue (`OFPMP_QUEUE`, `OFPMP_QUEUE_STATS` in OpenFlow 1.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueStats {
    /// The port of the queue.
    pub port: OfPort,
    /// Its id, unique within the port.
    pub queue: u32,
    /// `u64::MAX` when unknown.
    pub tx_bytes: u64,
    /// `u64::MAX` when unknown.
    pub tx_packets: u64,
    /// Packets dropped by overruns; `u64::MAX` when unknown.
    pub tx_errors: u64,
    /// Whole seconds since it was created (OpenFlow 1.3+); `u32::MAX` when unknown.
    pub duration_sec: u32,
    /// Nanoseconds beyond `duration_sec`; `u32::MAX` when unknown.
    pub duration_nsec: u32,
}

/// A queue's configuration; rates in tenths of a percent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueConfig {
    /// The port of the queue.
    pub port: OfPort,
    /// Its id, unique within the port.
    pub queue: u32,
    /// More than 1000: disabled. `u16::MAX`: not said.
    pub min_rate: u16,
    /// Like `min_rate` (OpenFlow 1.2+).
    pub max_rate: u16,
}
