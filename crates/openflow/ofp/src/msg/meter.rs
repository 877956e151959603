//! Messages about meters.

/// Flags of a meter (`OFPMF13_*`).
pub mod meter_flag {
    /// Rates are in kbit/s, bursts in kbit.
    pub const KBPS: u16 = 1;
    /// Rates are in packets per second, bursts in packets.
    pub const PKTPS: u16 = 2;
    /// `burst_size` of the bands counts.
    pub const BURST: u16 = 4;
    /// Counters are kept.
    pub const STATS: u16 = 8;
}

/// Special meter ids.
pub mod meter_id {
    /// The greatest id of a real meter; the least is 1.
    pub const MAX: u32 = 0xffff_0000;
    /// Virtual: packets that the slow path handles.
    pub const SLOWPATH: u32 = 0xffff_fffd;
    /// Virtual: packets sent to controllers.
    pub const CONTROLLER: u32 = 0xffff_fffe;
    /// All meters, in requests and when deleting.
    pub const ALL: u32 = 0xffff_ffff;
}

/// What a meter mod does; the numbers are those of `OFPMC_*`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum MeterCommand {
    /// Adds a meter; fails when its id is in use.
    Add = 0,
    /// Replaces the configuration; fails when there is no such meter.
    Modify = 1,
    /// Deletes a meter, or with [`meter_id::ALL`] all of them, and the rules that use it.
    Delete = 2,
}

/// What is done to packets above a rate (OpenFlow 1.3+).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MeterBand {
    /// 1 drop, 2 DSCP remark.
    pub kind: u16,
    /// In kbit/s or packets per second, by [`meter_flag`]; of the bands exceeded the highest applies.
    pub rate: u32,
    /// In kbit or packets, by [`meter_flag`]; 0 without [`meter_flag::BURST`].
    pub burst_size: u32,
    /// By how much the drop precedence is raised; DSCP remark only.
    pub prec_level: u8,
}

/// A meter's configuration (`OFPMP_METER_CONFIG`, `OFPMP_METER_DESC` in OpenFlow 1.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeterConfig {
    /// 1 to [`meter_id::MAX`], or one of the special ids.
    pub meter: u32,
    /// [`meter_flag`] bits.
    pub flags: u16,
    /// Empty: no limit.
    pub bands: Vec<MeterBand>,
}

/// `OFPT_METER_MOD` (OpenFlow 1.3+).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeterMod {
    /// What to do with the meter.
    pub command: MeterCommand,
    /// Only the id counts when deleting.
    pub config: MeterConfig,
}

/// Counters of a meter (`OFPMP_METER`, `OFPMP_METER_STATS` in OpenFlow 1.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeterStats {
    /// The meter's id.
    pub meter: u32,
    /// How many rules use it.
    pub flow_count: u32,
    /// Packets that entered it.
    pub packet_in_count: u64,
    /// Bytes that entered it.
    pub byte_in_count: u64,
    /// Whole seconds since it was added.
    pub duration_sec: u32,
    /// Nanoseconds beyond `duration_sec`.
    pub duration_nsec: u32,
    /// Packets and bytes of each band.
    pub bands: Vec<(u64, u64)>,
}

/// What meters the switch supports (`OFPMP_METER_FEATURES`, OpenFlow 1.3+).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MeterFeatures {
    /// 0: meters are not supported.
    pub max_meters: u32,
    /// Bit `n` for band type `n`.
    pub band_types: u32,
    /// [`meter_flag`] bits.
    pub capabilities: u32,
    /// The most bands of one meter.
    pub max_bands: u8,
    /// The greatest color value; 0: colors are not supported.
    pub max_color: u8,
}
