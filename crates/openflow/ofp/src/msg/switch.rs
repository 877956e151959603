//! Messages about the switch as a whole.

/// Capabilities (`OFPUTIL_C_*`).
pub mod capability {
    pub const FLOW_STATS: u32 = 1;
    pub const TABLE_STATS: u32 = 1 << 1;
    pub const PORT_STATS: u32 = 1 << 2;
    pub const STP: u32 = 1 << 3;
    pub const GROUP_STATS: u32 = 1 << 4;
    pub const IP_REASM: u32 = 1 << 5;
    pub const QUEUE_STATS: u32 = 1 << 6;
    pub const ARP_MATCH_IP: u32 = 1 << 7;
    pub const PORT_BLOCKED: u32 = 1 << 8;
    pub const BUNDLES: u32 = 1 << 9;
    pub const FLOW_MONITORING: u32 = 1 << 10;
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SwitchFeatures {
    pub datapath_id: u64,
    pub n_buffers: u32,
    pub n_tables: u8,
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
    #[default]
    Normal = 0,
    Drop = 1,
    Reassemble = 2,
    NxMatch = 3,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SwitchConfig {
    pub frag: FragHandling,
    /// OpenFlow 1.1 and 1.2, and the extension to 1.0; `None`: not said.
    pub invalid_ttl_to_controller: Option<bool>,
    pub miss_send_len: u16,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SwitchDesc {
    pub manufacturer: String,
    pub hardware: String,
    pub software: String,
    pub serial: String,
    pub datapath: String,
}
