//! Messages about meters.

/// Flags of a meter (`OFPMF13_*`).
pub mod meter_flag {
    pub const KBPS: u16 = 1;
    pub const PKTPS: u16 = 2;
    pub const BURST: u16 = 4;
    pub const STATS: u16 = 8;
}

/// Special meter ids.
pub mod meter_id {
    pub const MAX: u32 = 0xffff_0000;
    pub const SLOWPATH: u32 = 0xffff_fffd;
    pub const CONTROLLER: u32 = 0xffff_fffe;
    pub const ALL: u32 = 0xffff_ffff;
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum MeterCommand {
    Add = 0,
    Modify = 1,
    Delete = 2,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MeterBand {
    /// 1 drop, 2 DSCP remark.
    pub kind: u16,
    pub rate: u32,
    pub burst_size: u32,
    pub prec_level: u8,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeterConfig {
    pub meter: u32,
    /// [`meter_flag`] bits.
    pub flags: u16,
    pub bands: Vec<MeterBand>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeterMod {
    pub command: MeterCommand,
    pub config: MeterConfig,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeterStats {
    pub meter: u32,
    pub flow_count: u32,
    pub packet_in_count: u64,
    pub byte_in_count: u64,
    pub duration_sec: u32,
    pub duration_nsec: u32,
    /// Packets and bytes of each band.
    pub bands: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MeterFeatures {
    pub max_meters: u32,
    /// Bit `n` for band type `n`.
    pub band_types: u32,
    pub capabilities: u32,
    pub max_bands: u8,
    pub max_color: u8,
}
