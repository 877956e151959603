//! Counters of IPFIX (`NXST_IPFIX_BRIDGE`, `NXST_IPFIX_FLOW`).

/// What was sampled and exported for a bridge, or for one set of collectors. `u64::MAX`: not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IpfixStats {
    /// Flows that were found so far.
    pub total_flows: u64,
    /// Flows that are not exported yet.
    pub current_flows: u64,
    /// Sampled packets.
    pub packets: u64,
    /// Sampled packets over IPv4 whose protocol was told apart.
    pub ipv4_packets: u64,
    /// Sampled packets over IPv6 whose protocol was told apart.
    pub ipv6_packets: u64,
    /// Sampled packets of which something was not told apart.
    pub error_packets: u64,
    /// Those of them over IPv4.
    pub ipv4_error_packets: u64,
    /// Those of them over IPv6.
    pub ipv6_error_packets: u64,
    /// Datagrams that were sent, counted for each collector.
    pub tx_packets: u64,
    /// Datagrams that could not be sent, counted likewise.
    pub tx_errors: u64,
    /// The id of the set of collectors; 0 for a bridge.
    pub collector_set: u32,
}
