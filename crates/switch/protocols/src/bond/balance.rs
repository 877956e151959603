//! Which part of the packets each member of a bond has, and moving load from one to the other.

use std::collections::BTreeMap;

use base::OfPort;
use pipeline::BUCKETS;

/// With less than this more, in bytes per interval, a member is not relieved.
const LEAST_OVERLOAD: u64 = 100_000;

/// A part of the packets.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    member: Option<OfPort>,
    /// Bytes, the older the less they count.
    bytes: u64,
}

/// All parts.
#[derive(Debug)]
pub(super) struct Balance {
    buckets: Vec<Bucket>,
    /// Whose turn it is to get a part.
    turn: usize,
    next: i64,
    /// Whoever sets another interval sees what comes of it first.
    not_before: i64,
    is_assigned: bool,
}

impl Balance {
    /// No part has a member yet; load is first moved at `next`.
    pub(super) fn new(next: i64) -> Balance {
        Balance {
            buckets: vec![Bucket::default(); BUCKETS],
            turn: 0,
            next,
            not_before: 0,
            is_assigned: false,
        }
    }

    /// When load is moved next.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// Whether parts were given to members.
    pub(super) fn is_assigned(&self) -> bool {
        self.is_assigned
    }

    /// When there is something to do next.
    pub(super) fn wakes_at(&self) -> i64 {
        self.next.max(self.not_before)
    }

    pub(super) fn set_next(&mut self, next: i64) {
        self.next = next;
    }

    pub(super) fn move_next(&mut self, by: i64, now: i64) {
        if by != 0 {
            self.next = self.next.saturating_add(by);
            self.not_before = now + 1;
        }
    }

    /// Bytes of a part have left.
    pub(super) fn add(&mut self, bucket: u8, bytes: u64) {
        self.buckets[usize::from(bucket)].bytes += bytes;
    }

    pub(super) fn move_to(&mut self, bucket: u8, member: OfPort) {
        self.buckets[usize::from(bucket)].member = Some(member);
    }

    pub(super) fn members(&self) -> Vec<Option<OfPort>> {
        self.buckets.iter().map(|bucket| bucket.member).collect()
    }

    /// The parts of a member, each with its bytes.
    pub(super) fn of(&self, member: OfPort) -> impl Iterator<Item = (usize, u64)> {
        let buckets = self.buckets.iter().enumerate();
        buckets
            .filter(move |(_, bucket)| bucket.member == Some(member))
            .map(|(at, bucket)| (at, bucket.bytes))
    }

    /// Gives parts whose member does not work, and those without packets, to those that work, in turn.
    pub(super) fn assign(&mut self, enabled: &[OfPort]) {
        self.is_assigned = true;
        for bucket in &mut self.buckets {
            if bucket.bytes > 0 && bucket.member.is_some_and(|member| enabled.contains(&member)) {
                continue;
            }
            bucket.member = enabled.get(self.turn % enabled.len().max(1)).copied();
            self.turn = self.turn.wrapping_add(1);
        }
    }

    /// Moves parts from members with much load to those with little. Returns the load of each, if a part was moved.
    pub(super) fn rebalance(&mut self, enabled: &[OfPort]) -> Option<Vec<(OfPort, u64)>> {
        let mut loads: BTreeMap<OfPort, u64> = enabled.iter().map(|port| (*port, 0)).collect();
        for bucket in &self.buckets {
            if let Some(load) = bucket.member.and_then(|member| loads.get_mut(&member)) {
                *load += bucket.bytes;
            }
        }
        let mut has_moved = false;
        let mut candidates = enabled.to_vec();
        while candidates.len() > 1 {
            let load = |port: &OfPort| loads.get(port).copied().unwrap_or(0);
            let Some(from) = candidates.iter().copied().max_by_key(load) else { break };
            let Some(to) = candidates.iter().copied().min_by_key(load) else { break };
            let (high, low) = (load(&from), load(&to));
            if high - low < (low >> 5).max(LEAST_OVERLOAD) {
                break;
            }
            let moved = self.to_move(from, high, low);
            if moved.is_empty() {
                candidates.retain(|port| *port != from);
                continue;
            }
            let bytes: u64 = moved.iter().map(|bucket| self.buckets[*bucket].bytes).sum();
            moved.into_iter().for_each(|bucket| self.buckets[bucket].member = Some(to));
            loads.insert(from, high - bytes);
            loads.insert(to, low + bytes);
            has_moved = true;
        }
        for bucket in &mut self.buckets {
            bucket.bytes /= 2;
        }
        has_moved.then(|| loads.into_iter().collect())
    }

    /// The parts that a member with the load `high` gives to one with the load `low`, so that both come closer to the
    /// middle; none where that would not be much.
    fn to_move(&self, from: OfPort, high: u64, low: u64) -> Vec<usize> {
        let mut parts: Vec<(usize, u64)> = self.of(from).filter(|(_, bytes)| *bytes > 0).collect();
        if parts.len() < 2 {
            return Vec::new();
        }
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let ideal = u64::midpoint(high, low) - low;
        let threshold = ideal / 10;
        let mut moved = Vec::new();
        let mut sum = 0;
        for (at, bytes) in &parts {
            if sum + bytes <= ideal {
                moved.push(*at);
                sum += bytes;
            }
            if ideal - sum < threshold {
                break;
            }
        }
        if moved.is_empty() {
            // All are too large; the smallest comes closest.
            let (at, bytes) = parts[parts.len() - 1];
            moved.push(at);
            sum = bytes;
        }
        let lower = (high - sum).min(low + sum);
        if lower > low && lower - low >= threshold { moved } else { Vec::new() }
    }
}
