//! Messages about the switch as a whole.

/// Capabilities (`OFPUTIL_C_*`).
pub mod capability {
    /// Counters of rules.
    pub const FLOW_STATS: u32 = 1;
    /// Counters of tables.
    pub const TABLE_STATS: u32 = 1 << 1;
    /// Counters of ports.
    pub const PORT_STATS: u32 = 1 << 2;
    /// 802.1D (OpenFlow 1.0).
    pub const STP: u32 = 1 << 3;
    /// Counters of groups (OpenFlow 1.1+, where the wire has bit 3).
    pub const GROUP_STATS: u32 = 1 << 4;
    /// Can reassemble IP fragments.
    pub const IP_REASM: u32 = 1 << 5;
    /// Counters of queues.
    pub const QUEUE_STATS: u32 = 1 << 6;
    /// Matches addresses in ARP packets (OpenFlow 1.0 and 1.1).
    pub const ARP_MATCH_IP: u32 = 1 << 7;
    /// Blocks ports that would form loops (OpenFlow 1.2+).
    pub const PORT_BLOCKED: u32 = 1 << 8;
    /// Supports bundles (OpenFlow 1.4+).
    pub const BUNDLES: u32 = 1 << 9;
    /// Supports flow monitors (OpenFlow 1.4+).
    pub const FLOW_MONITORING: u32 = 1 << 10;
}

/// `OFPT_FEATURES_REPLY`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SwitchFeatures {
    /// Identifies the switch: by default 16 bits of 0, then the bridge's Ethernet address.
    pub datapath_id: u64,
    /// The most packets that are buffered at once; 0: none.
    pub n_buffers: u32,
    /// How many tables there are, 1 to 255.
    pub n_tables: u8,
    /// 0 on the main connection (OpenFlow 1.3+; 0 elsewhere).
    pub auxiliary_id: u8,
    /// [`capability`] bits.
    pub capabilities: u32,
    /// Bits by [`crate::ActionKind`]; OpenFlow 1.0 only.
    pub actions: u64,
    /// OpenFlow 1.0 to 1.2 only.
    pub ports: Vec<super::PortDesc>,
}

/// What is done with IP fragments (`OFPC_FRAG_*`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum FragHandling {
    /// They pass like other packets; ports of L4 count as 0.
    #[default]
    Normal = 0,
    /// They are dropped.
    Drop = 1,
    /// They are reassembled, where `IP_REASM` is supported.
    Reassemble = 2,
    /// Nicira extension: first fragments match with their L4 ports, and rules can match on `ip_frag`.
    NxMatch = 3,
}

/// `OFPT_SET_CONFIG` and `OFPT_GET_CONFIG_REPLY`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SwitchConfig {
    /// What is done with fragments.
    pub frag: FragHandling,
    /// OpenFlow 1.1 and 1.2, and the extension to 1.0; `None`: not said.
    pub invalid_ttl_to_controller: Option<bool>,
    /// Most bytes of a packet in a packet-in; 0xffff: the whole packet.
    pub miss_send_len: u16,
}

/// `OFPMP_DESC` reply: texts for people, of at most 255 bytes but where noted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SwitchDesc {
    /// Who made it.
    pub manufacturer: String,
    /// Which hardware it is.
    pub hardware: String,
    /// Which version of the software it runs.
    pub software: String,
    /// The serial number, at most 31 bytes; "None" when there is none.
    pub serial: String,
    /// A description of this datapath.
    pub datapath: String,
}
