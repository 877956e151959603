//! The counters of a port or a link, as the kernel keeps them and as OpenFlow and the database show them.

/// What [`PortStats`] say of a counter that the device does not keep.
pub const UNCOUNTED: u64 = u64::MAX;

/// The counters of a port; [`UNCOUNTED`] where the device has no such counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortStats {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Received packets that were dropped, for want of room or because nobody takes them.
    pub rx_dropped: u64,
    /// Packets that were to be sent and were dropped.
    pub tx_dropped: u64,
    /// Packets that arrived damaged; the last six counters say how.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Multicast packets received.
    pub multicast: u64,
    /// Collisions while sending.
    pub collisions: u64,
    /// Received packets of a wrong length.
    pub rx_length_errors: u64,
    /// Received packets that overran a ring.
    pub rx_over_errors: u64,
    /// Received packets with a wrong checksum of the frame.
    pub rx_crc_errors: u64,
    /// Received packets whose frame was not aligned.
    pub rx_frame_errors: u64,
    /// Received packets that overran the device's queue.
    pub rx_fifo_errors: u64,
    /// Packets that the device missed while its host was too slow.
    pub rx_missed_errors: u64,
}

impl PortStats {
    /// Of a device that counts nothing.
    pub const UNCOUNTED: PortStats = PortStats {
        rx_packets: UNCOUNTED,
        tx_packets: UNCOUNTED,
        rx_bytes: UNCOUNTED,
        tx_bytes: UNCOUNTED,
        rx_dropped: UNCOUNTED,
        tx_dropped: UNCOUNTED,
        rx_errors: UNCOUNTED,
        tx_errors: UNCOUNTED,
        multicast: UNCOUNTED,
        collisions: UNCOUNTED,
        rx_length_errors: UNCOUNTED,
        rx_over_errors: UNCOUNTED,
        rx_crc_errors: UNCOUNTED,
        rx_frame_errors: UNCOUNTED,
        rx_fifo_errors: UNCOUNTED,
        rx_missed_errors: UNCOUNTED,
    };

    /// The same traffic as the other end counts it: what one end sends, the other one receives. How received packets
    /// were damaged is known only where they were received, so these counters are 0.
    pub fn of_other_end(&self) -> PortStats {
        PortStats {
            rx_packets: self.tx_packets,
            tx_packets: self.rx_packets,
            rx_bytes: self.tx_bytes,
            tx_bytes: self.rx_bytes,
            rx_dropped: self.tx_dropped,
            tx_dropped: self.rx_dropped,
            rx_errors: self.tx_errors,
            tx_errors: self.rx_errors,
            multicast: self.multicast,
            collisions: self.collisions,
            ..PortStats::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_counts_each_direction_as_the_other() {
        let stats = PortStats {
            rx_packets: 1,
            tx_packets: 2,
            rx_bytes: 3,
            tx_bytes: 4,
            rx_dropped: 5,
            tx_dropped: 6,
            rx_errors: 7,
            tx_errors: 8,
            multicast: 9,
            collisions: 10,
            ..PortStats::default()
        };
        let other = stats.of_other_end();
        assert_eq!((other.rx_packets, other.rx_bytes, other.rx_dropped, other.rx_errors), (2, 4, 6, 8));
        assert_eq!((other.tx_packets, other.tx_bytes, other.tx_dropped, other.tx_errors), (1, 3, 5, 7));
        assert_eq!(other.of_other_end(), stats);
        let damaged = PortStats { rx_crc_errors: 1, ..PortStats::default() };
        assert_eq!(damaged.of_other_end(), PortStats::default());
    }
}
