//! Statistics of rules and tables, as OpenFlow tells them.

use base::{TableId, Timestamp};
use ofp::{FlowRemoved, FlowRemovedReason, FlowStats, FlowStatsRequest, TableStats};
use pipeline::{BridgeView, TableTraffic};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use crate::bridge::Bridge;
use crate::entry::{Criteria, Entry};
use crate::table::Table;

impl Entry {
    /// The rule with its counters at `now`.
    pub fn stats(&self, now: Timestamp) -> FlowStats {
        let mut stats = FlowStats::default();
        self.put_stats(now, &mut stats);
        stats
    }

    /// The same in the place of another rule's, whose memory is used again.
    pub fn put_stats(&self, now: Timestamp, stats: &mut FlowStats) {
        let rule = &self.rule;
        let age = now - self.created;
        let seconds = |since: Timestamp| Some(u16::try_from((now - since).as_secs()).unwrap_or(u16::MAX));
        let mut actions = std::mem::take(&mut stats.actions);
        actions.clear();
        actions.extend_from_slice(&rule.actions);
        *stats = FlowStats {
            m: (&rule.matching).into(),
            cookie: rule.cookie,
            table: rule.table.0,
            priority: rule.priority.clamp(0, i32::from(u16::MAX)) as u16,
            idle_timeout: self.idle_timeout,
            hard_timeout: self.hard_timeout,
            duration_sec: u32::try_from(age.as_secs()).unwrap_or(u32::MAX),
            duration_nsec: age.subsec_millis() * 1_000_000,
            idle_age: seconds(self.used()),
            hard_age: seconds(self.modified),
            packet_count: rule.counters.packets(),
            byte_count: rule.counters.bytes(),
            flags: self.flags,
            importance: self.importance,
            actions,
        };
    }

    /// The message about its end.
    pub fn removed(&self, reason: FlowRemovedReason, now: Timestamp) -> FlowRemoved {
        let stats = self.stats(now);
        FlowRemoved {
            m: stats.m,
            cookie: stats.cookie,
            priority: stats.priority,
            reason: reason as u8,
            table: stats.table,
            duration_sec: stats.duration_sec,
            duration_nsec: stats.duration_nsec,
            idle_timeout: stats.idle_timeout,
            hard_timeout: stats.hard_timeout,
            packet_count: stats.packet_count,
            byte_count: stats.byte_count,
        }
    }
}

impl Bridge {
    /// The table whose lookups are counted there.
    pub fn table_of(&self, traffic: &Arc<TableTraffic>) -> Option<TableId> {
        let of_made = self.tables().find(|table| Arc::ptr_eq(&table.traffic, traffic)).map(Table::id);
        of_made.or_else(|| {
            let is_it = |known: &OnceLock<_>| known.get().is_some_and(|known| Arc::ptr_eq(known, traffic));
            self.unmade.iter().position(is_it).and_then(|index| u8::try_from(index).ok()).map(TableId)
        })
    }

    /// One row for each table that controllers can use.
    pub fn table_stats(&self) -> Vec<TableStats> {
        (0..TableId::INTERNAL.0)
            .map(|number| {
                let table = self.table(TableId(number));
                let (matched, missed) = self.table_traffic(TableId(number)).map_or((0, 0), |traffic| {
                    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
                    (read(&traffic.matched), read(&traffic.missed))
                });
                TableStats {
                    table: number,
                    active_count: table
                        .map_or(0, |table| u32::try_from(table.visible_len()).unwrap_or(u32::MAX)),
                    lookup_count: matched + missed,
                    matched_count: matched,
                    features: None,
                }
            })
            .collect()
    }
}

impl From<FlowStatsRequest> for Criteria {
    fn from(request: FlowStatsRequest) -> Criteria {
        Criteria {
            table: TableId(request.table),
            matching: (&request.m).into(),
            cookie: request.cookie,
            cookie_mask: request.cookie_mask,
            out_port: request.out_port,
            out_group: request.out_group,
            ..Criteria::all()
        }
    }
}
