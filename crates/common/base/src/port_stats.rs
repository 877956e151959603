//! The counters of a port or a link, as the kernel keeps them and as OpenFlow and the database show them.

/// The counters of a port; `None` where the device has no such counter. By default nothing has been counted yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortStats {
    /// Packets received.
    pub rx_packets: Option<u64>,
    /// Packets sent.
    pub tx_packets: Option<u64>,
    /// Bytes received.
    pub rx_bytes: Option<u64>,
    /// Bytes sent.
    pub tx_bytes: Option<u64>,
    /// Received packets that were dropped, for want of room or because nobody takes them.
    pub rx_dropped: Option<u64>,
    /// Packets that were to be sent and were dropped.
    pub tx_dropped: Option<u64>,
    /// Packets that arrived damaged; the last six counters say how.
    pub rx_errors: Option<u64>,
    /// Packets that could not be sent.
    pub tx_errors: Option<u64>,
    /// Multicast packets received.
    pub multicast: Option<u64>,
    /// Collisions while sending.
    pub collisions: Option<u64>,
    /// Received packets of a wrong length.
    pub rx_length_errors: Option<u64>,
    /// Received packets that overran a ring.
    pub rx_over_errors: Option<u64>,
    /// Received packets with a wrong checksum of the frame.
    pub rx_crc_errors: Option<u64>,
    /// Received packets whose frame was not aligned.
    pub rx_frame_errors: Option<u64>,
    /// Received packets that overran the device's queue.
    pub rx_fifo_errors: Option<u64>,
    /// Packets that the device missed while its host was too slow.
    pub rx_missed_errors: Option<u64>,
}

impl Default for PortStats {
    fn default() -> PortStats {
        PortStats::all(Some(0))
    }
}

impl PortStats {
    /// Of a device that counts nothing.
    pub const UNCOUNTED: PortStats = PortStats::all(None);

    const fn all(count: Option<u64>) -> PortStats {
        PortStats {
            rx_packets: count,
            tx_packets: count,
            rx_bytes: count,
            tx_bytes: count,
            rx_dropped: count,
            tx_dropped: count,
            rx_errors: count,
            tx_errors: count,
            multicast: count,
            collisions: count,
            rx_length_errors: count,
            rx_over_errors: count,
            rx_crc_errors: count,
            rx_frame_errors: count,
            rx_fifo_errors: count,
            rx_missed_errors: count,
        }
    }

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
            rx_packets: Some(1),
            tx_packets: Some(2),
            rx_bytes: Some(3),
            tx_bytes: Some(4),
            rx_dropped: Some(5),
            tx_dropped: Some(6),
            rx_errors: Some(7),
            tx_errors: Some(8),
            multicast: Some(9),
            collisions: Some(10),
            ..PortStats::default()
        };
        let other = stats.of_other_end();
        let received = [other.rx_packets, other.rx_bytes, other.rx_dropped, other.rx_errors];
        assert_eq!(received, [2, 4, 6, 8].map(Some));
        let sent = [other.tx_packets, other.tx_bytes, other.tx_dropped, other.tx_errors];
        assert_eq!(sent, [1, 3, 5, 7].map(Some));
        assert_eq!(other.of_other_end(), stats);
        let damaged = PortStats { rx_crc_errors: Some(1), ..PortStats::default() };
        assert_eq!(damaged.of_other_end(), PortStats::default());
    }
}
