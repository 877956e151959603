//! What tables count by number: sets of actions, and what becomes of a miss.

use crate::{ActionKind as K, OfError, TableMiss, Version};

const OF10: &[(K, u8)] = &[
    (K::Output, 0),
    (K::SetVlanVid, 1),
    (K::SetVlanPcp, 2),
    (K::StripVlan, 3),
    (K::SetEthSrc, 4),
    (K::SetEthDst, 5),
    (K::SetIpv4Src, 6),
    (K::SetIpv4Dst, 7),
    (K::SetIpDscp, 8),
    (K::SetL4Src, 9),
    (K::SetL4Dst, 10),
    (K::Enqueue, 11),
];
const OF11: &[(K, u8)] = &[
    (K::Output, 0),
    (K::SetVlanVid, 1),
    (K::SetVlanPcp, 2),
    (K::SetEthSrc, 3),
    (K::SetEthDst, 4),
    (K::SetIpv4Src, 5),
    (K::SetIpv4Dst, 6),
    (K::SetIpDscp, 7),
    (K::SetIpEcn, 8),
    (K::SetL4Src, 9),
    (K::SetL4Dst, 10),
    (K::SetMplsLabel, 13),
    (K::SetMplsTc, 14),
    (K::SetMplsTtl, 15),
    (K::DecMplsTtl, 16),
    (K::PushVlan, 17),
    (K::StripVlan, 18),
    (K::PushMpls, 19),
    (K::PopMpls, 20),
    (K::SetQueue, 21),
    (K::Group, 22),
    (K::SetIpTtl, 23),
    (K::DecTtl, 24),
];
const OF12: &[(K, u8)] = &[
    (K::Output, 0),
    (K::SetMplsTtl, 15),
    (K::DecMplsTtl, 16),
    (K::PushVlan, 17),
    (K::StripVlan, 18),
    (K::PushMpls, 19),
    (K::PopMpls, 20),
    (K::SetQueue, 21),
    (K::Group, 22),
    (K::SetIpTtl, 23),
    (K::DecTtl, 24),
    (K::SetField, 25),
];

fn numbers(version: Version) -> &'static [(K, u8)] {
    match version {
        Version::Of10 => OF10,
        Version::Of11 => OF11,
        Version::Of12 | Version::Of13 | Version::Of14 | Version::Of15 => OF12,
    }
}

/// A bitmap of action numbers as a set of kinds.
pub(super) fn kinds_from_bits(bits: u32, version: Version) -> u64 {
    numbers(version).iter().filter(|(_, n)| bits >> n & 1 != 0).fold(0, |set, (kind, _)| set | kind.bit())
}

/// A set of kinds as a bitmap of action numbers.
pub(super) fn kinds_to_bits(set: u64, version: Version) -> u32 {
    numbers(version).iter().filter(|(kind, _)| set & kind.bit() != 0).fold(0, |bits, (_, n)| bits | 1 << n)
}

pub(super) fn decode_miss(config: u32, version: Version) -> Result<TableMiss, OfError> {
    if version >= Version::Of13 {
        return Ok(TableMiss::Default);
    }
    match config & 3 {
        0 => Ok(TableMiss::Controller),
        1 => Ok(TableMiss::Continue),
        2 => Ok(TableMiss::Drop),
        _ => Err(OfError::OfptmfcBadConfig),
    }
}

/// The number of OpenFlow 1.1 and 1.2.
pub(super) fn miss_number(miss: TableMiss) -> u32 {
    match miss {
        TableMiss::Default | TableMiss::Controller => 0,
        TableMiss::Continue => 1,
        TableMiss::Drop => 2,
    }
}
