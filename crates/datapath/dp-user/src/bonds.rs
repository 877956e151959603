//! Bonds whose packets the datapath shares among members itself (`lb_output`).
//!
//! Written by the threads that change bonds, read by workers without a lock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use base::DpPort;

/// All bonds of a datapath, by number.
#[derive(Debug, Default)]
pub(crate) struct Bonds(ArcSwap<BTreeMap<u32, Bond>>);

#[derive(Clone, Debug)]
struct Bond {
    /// The member of each bucket.
    members: Arc<[DpPort]>,
    /// The bytes that left by each bucket, whatever its member was.
    bytes: Arc<[AtomicU64]>,
}

impl Bonds {
    /// See [`dp::Datapath::set_bond`]. What was counted stays, as long as the number of buckets does.
    pub(crate) fn set(&self, bond: u32, members: &[DpPort]) {
        self.0.rcu(|bonds| {
            let mut bonds = BTreeMap::clone(bonds);
            if members.is_empty() {
                bonds.remove(&bond);
                return bonds;
            }
            let bytes = bonds.get(&bond).map(|known| Arc::clone(&known.bytes));
            let bytes = bytes.filter(|bytes| bytes.len() == members.len());
            let bytes = bytes.unwrap_or_else(|| members.iter().map(|_| AtomicU64::new(0)).collect());
            bonds.insert(bond, Bond { members: members.into(), bytes });
            bonds
        });
    }

    /// The member that a packet of this hash and length leaves by, which is counted; `None` where there is no such bond.
    pub(crate) fn choose(&self, bond: u32, hash: u32, len: usize) -> Option<DpPort> {
        let bonds = self.0.load();
        let bond = bonds.get(&bond)?;
        let bucket = (hash as usize).checked_rem(bond.members.len())?;
        let member = *bond.members.get(bucket)?;
        if member != DpPort::NONE {
            bond.bytes.get(bucket)?.fetch_add(len as u64, Ordering::Relaxed);
        }
        Some(member)
    }

    pub(crate) fn all(&self) -> Vec<(u32, Vec<DpPort>)> {
        self.0.load().iter().map(|(number, bond)| (*number, bond.members.to_vec())).collect()
    }

    pub(crate) fn take_bytes(&self, bond: u32) -> Vec<u64> {
        let bonds = self.0.load();
        let bytes = bonds.get(&bond).into_iter().flat_map(|bond| bond.bytes.iter());
        bytes.map(|bytes| bytes.swap(0, Ordering::Relaxed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_leave_by_the_member_of_their_bucket_and_are_counted_there() {
        let (a, b) = (DpPort(1), DpPort(2));
        let bonds = Bonds::default();
        assert_eq!(bonds.choose(7, 0, 100), None);
        bonds.set(7, &[a, b]);
        assert_eq!(
            (bonds.choose(7, 4, 100), bonds.choose(7, 5, 60), bonds.choose(8, 5, 60)),
            (Some(a), Some(b), None)
        );
        bonds.set(7, &[b, DpPort::NONE]);
        assert_eq!((bonds.choose(7, 4, 1), bonds.choose(7, 5, 1)), (Some(b), Some(DpPort::NONE)));
        assert_eq!(
            bonds.take_bytes(7),
            [101, 60],
            "what was counted before stays, and what is dropped is not"
        );
        assert_eq!((bonds.take_bytes(7), bonds.take_bytes(8)), (vec![0, 0], Vec::new()));
        assert_eq!(bonds.all(), [(7, vec![b, DpPort::NONE])]);
        bonds.set(7, &[]);
        assert_eq!((bonds.all(), bonds.choose(7, 4, 1)), (Vec::new(), None));
    }
}
