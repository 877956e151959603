//! Groups: sets of buckets of actions, of which a packet gets all, one, or the first that is alive.
//!
//! `ofproto` keeps groups in these types; translation reads them. A group does
//! not change: modifying it puts another one in its place.

use base::Timestamp;
use dp::HashAlgorithm;
use ofp::{GroupProperties, GroupType};

use crate::state::Counters;

/// The most hash values over which the buckets of a group are spread.
const MAX_HASH_VALUES: u64 = 256;

/// A group.
#[derive(Debug)]
pub struct Group {
    pub id: u32,
    pub kind: GroupType,
    pub properties: GroupProperties,
    pub buckets: Vec<Bucket>,
    pub selection: Selection,
    pub counters: Counters,
    pub created: Timestamp,
}

/// A bucket with what it counted.
#[derive(Debug)]
pub struct Bucket {
    pub desc: ofp::Bucket,
    pub counters: Counters,
}

/// How a select group chooses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// By a hash of addresses and ports, the same in both directions, here in userspace.
    Flow,
    /// By a hash of the fields that the controller named.
    Fields,
    /// By a hash that the datapath computes: one megaflow serves all connections of a bucket.
    Datapath {
        algorithm: HashAlgorithm,
        basis: u32,
        /// The bucket of each hash value; the length is a power of two.
        buckets: Vec<u32>,
    },
}

/// The buckets of a request that changes a group.
#[derive(Debug)]
pub struct GroupBuckets<'a> {
    /// Those that stand in the request.
    pub given: &'a [ofp::Bucket],
    /// Those that the group has from then on.
    pub all: Vec<ofp::Bucket>,
}

impl Group {
    pub fn new(
        id: u32,
        kind: GroupType,
        properties: GroupProperties,
        buckets: Vec<ofp::Bucket>,
        created: Timestamp,
    ) -> Group {
        let selection = match kind {
            GroupType::Select => {
                log::debug!(target: LOG, "Constructing select group {id}");
                Selection::of(&properties, &buckets)
            }
            GroupType::All | GroupType::Indirect | GroupType::FastFailover => Selection::Flow,
        };
        Group::of(id, kind, properties, buckets, created, selection)
    }

    /// A group in the place of another. The log tells what the request brought, then the whole.
    pub fn replacing(
        old: &Group,
        kind: GroupType,
        properties: GroupProperties,
        change: GroupBuckets<'_>,
    ) -> Group {
        let id = old.id;
        let selection = match kind {
            GroupType::Select => {
                if log::log_enabled!(target: LOG, log::Level::Debug) {
                    log::debug!(target: LOG, "Constructing select group {id}");
                    Selection::of(&properties, change.given);
                }
                log::debug!(target: LOG, "Modifying select group {id}");
                Selection::of(&properties, &change.all)
            }
            GroupType::All | GroupType::Indirect | GroupType::FastFailover => Selection::Flow,
        };
        Group::of(id, kind, properties, change.all, old.created, selection)
    }

    fn of(
        id: u32,
        kind: GroupType,
        properties: GroupProperties,
        buckets: Vec<ofp::Bucket>,
        created: Timestamp,
        selection: Selection,
    ) -> Group {
        let buckets =
            buckets.into_iter().map(|desc| Bucket { desc, counters: Counters::default() }).collect();
        Group { id, kind, properties, buckets, selection, counters: Counters::default(), created }
    }
}

/// Where what select groups decide is logged.
const LOG: &str = "ofproto_dpif";

impl Selection {
    fn of(properties: &GroupProperties, buckets: &[ofp::Bucket]) -> Selection {
        match properties.selection_method.as_str() {
            "hash" => {
                log::debug!(target: LOG, "Selection method specified: hash.");
                if !properties.fields.is_empty() {
                    let names: Vec<&str> = properties.fields.iter().map(|(field, _)| field.name()).collect();
                    log::debug!(target: LOG, "Hash fields: {}", names.join(","));
                    return Selection::Fields;
                }
                log::debug!(target: LOG, "No hash fields. Falling back to default hash method.");
                Selection::Flow
            }
            "dp_hash" => {
                log::debug!(target: LOG, "Selection method specified: dp_hash.");
                let algorithm = match properties.selection_method_param >> 32 {
                    1 => HashAlgorithm::SymL4,
                    0 => HashAlgorithm::L4,
                    other => {
                        log::debug!(
                            target: LOG,
                            "Invalid dp_hash algorithm {other}. Defaulting to OVS_HASH_ALG_L4"
                        );
                        HashAlgorithm::L4
                    }
                };
                Selection::in_datapath(buckets, algorithm, properties.selection_method_param as u32)
            }
            _ => {
                log::debug!(target: LOG, "No selection method specified. Trying dp_hash.");
                Selection::in_datapath(buckets, HashAlgorithm::SymL4, 0)
            }
        }
    }

    /// By the datapath's hash, where the weights allow it.
    fn in_datapath(buckets: &[ofp::Bucket], algorithm: HashAlgorithm, basis: u32) -> Selection {
        let weights: Vec<u16> = buckets.iter().map(|bucket| bucket.weight).collect();
        let Some(seats) = spread(&weights) else {
            log::debug!(target: LOG, "Falling back to default hash method.");
            return Selection::Flow;
        };
        let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        for (index, bucket) in buckets.iter().enumerate() {
            let hits = seats.iter().filter(|&&seat| seat as usize == index).count();
            let target = seats.len() as f64 * f64::from(bucket.weight) / total as f64;
            log::debug!(
                target: LOG,
                "  Bucket {}: weight={}, target={target:.2} hits={hits}", bucket.id, bucket.weight
            );
        }
        log::debug!(
            target: LOG,
            "Use dp_hash with {} hash values using algorithm {}.", seats.len(), algorithm as u32
        );
        Selection::Datapath { algorithm, basis, buckets: seats }
    }
}

/// Deals hash values out to buckets in proportion to their weights, by
/// Webster's method, as seats are dealt out to parties. `None` when no bucket
/// has a weight, or when the weights are so far apart that the least one would
/// need more values than there may be.
fn spread(weights: &[u16]) -> Option<Vec<u32>> {
    if weights.is_empty() {
        log::debug!(target: LOG, "  Don't apply dp_hash method without buckets.");
        return None;
    }
    let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    let Some(least) = weights.iter().copied().filter(|&weight| weight > 0).min() else {
        log::debug!(target: LOG, "  Total weight is zero. No active buckets.");
        return None;
    };
    log::debug!(target: LOG, "  Minimum weight: {least}, total weight: {total}");
    let wanted = total.div_ceil(u64::from(least)).max((4 * weights.len() as u64).min(MAX_HASH_VALUES));
    let count = wanted.checked_next_power_of_two()?.max(16);
    if count > MAX_HASH_VALUES {
        log::debug!(target: LOG, "  Too many hash values required: {count}");
        return None;
    }
    log::debug!(target: LOG, "  Using {count} hash values:");
    let mut divisors = vec![1u64; weights.len()];
    let mut seats = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let mut winner = 0;
        for candidate in 1..weights.len() {
            // weight / divisor, compared without fractions.
            let ahead = u64::from(weights[candidate]) * divisors[winner];
            if ahead > u64::from(weights[winner]) * divisors[candidate] {
                winner = candidate;
            }
        }
        divisors[winner] += 2;
        seats.push(winner as u32);
    }
    Some(seats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seats(weights: &[u16]) -> Vec<usize> {
        let all = spread(weights).unwrap();
        (0..weights.len()).map(|i| all.iter().filter(|&&seat| seat as usize == i).count()).collect()
    }

    #[test]
    fn values_are_dealt_out_by_weight() {
        assert_eq!(seats(&[1]), [16]);
        assert_eq!(seats(&[1, 1]), [8, 8]);
        assert_eq!(seats(&[1, 1, 2]), [4, 4, 8]);
        assert_eq!(seats(&[0, 5]), [0, 16]);
    }

    #[test]
    fn weights_too_far_apart_are_not_spread() {
        assert_eq!(spread(&[1, 60_000]), None);
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[0, 0]), None);
    }

    proptest! {
        /// The number of values is a power of two, and no bucket is more than one value off its share by much.
        #[test]
        fn shares_are_fair(weights in prop::collection::vec(1u16..8, 1..12)) {
            let all = spread(&weights).unwrap();
            prop_assert!(all.len().is_power_of_two());
            let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
            for (index, count) in seats(&weights).into_iter().enumerate() {
                let share = all.len() as f64 * f64::from(weights[index]) / total;
                prop_assert!((count as f64 - share).abs() <= 2.0, "{} of {}", count, share);
            }
        }
    }
}
