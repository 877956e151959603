//! Multipart replies that are written entry by entry, so that a long one is never in memory as a whole.

use super::{Encoder, flow_stats, raw, table_features};
use crate::wire::Put;
use crate::{FlowStats, Message, TableFeatures, Version};

/// The flag of a message that more messages of the same reply follow (OpenFlow 1.5.1 §7.3.5).
const REPLY_MORE: u16 = 1;
/// Where a multipart message has its flags, in every version.
const FLAGS: usize = 10;
const MAX_LENGTH: usize = u16::MAX as usize;

/// A multipart reply in the making. Its messages are the same as those of [`Message::encode`] with all entries at once.
///
/// At most one message is kept here: the one that the next entry may still go into.
#[derive(Debug)]
pub struct ReplyParts {
    encoder: Encoder,
    /// The header with which each of its messages begins.
    header: Vec<u8>,
    message: Vec<u8>,
    done: Vec<u8>,
    has_entries: bool,
    /// What entries about tables have in common.
    fields: table_features::FieldLists,
}

impl ReplyParts {
    /// `empty` is the reply without any entry.
    pub fn new(encoder: Encoder, empty: &Message) -> ReplyParts {
        let header = empty.to_bytes(&encoder);
        ReplyParts {
            encoder,
            message: header.clone(),
            header,
            done: Vec::new(),
            has_entries: false,
            fields: table_features::FieldLists::default(),
        }
    }

    /// Appends the entries of `part`, which is a reply of the same kind. Short entries are cheapest one by one.
    pub fn add(&mut self, part: &Message) {
        let bytes = part.to_bytes(&self.encoder);
        // What does not fit into any message was left out, and said so.
        let Some(entry) = bytes.get(self.header.len()..).filter(|entry| !entry.is_empty()) else { return };
        if self.message.len() + entry.len() > MAX_LENGTH {
            self.begin_message();
        }
        self.message.extend_from_slice(entry);
        self.has_entries = true;
    }

    fn begin_message(&mut self) {
        let message = std::mem::replace(&mut self.message, self.header.clone());
        self.close(message, REPLY_MORE);
    }

    /// Appends the entry of one table to a reply of what tables can do; as [`ReplyParts::add`], without a message in
    /// between, and without making anew what tables have in common. It takes some kilobytes.
    pub fn add_features(&mut self, table: &TableFeatures) {
        let version = self.encoder.version;
        if version < Version::Of13 {
            // These have no such reply.
            return self.add(&Message::TableFeaturesReply(vec![table.clone()]));
        }
        let before = self.message.len();
        table_features::put_one(table, &mut self.fields, version, &mut self.message);
        if self.message.len() > MAX_LENGTH {
            let entry = self.message.split_off(before);
            self.begin_message();
            self.message.extend(entry);
        }
        self.has_entries = true;
    }

    /// Appends the entry of one rule to a reply of flows; as [`ReplyParts::add`], without a message in between.
    pub fn add_flow(&mut self, flow: &FlowStats) {
        let before = self.message.len();
        flow_stats::put_entry(flow, &self.encoder, &mut self.message);
        if self.message.len() > MAX_LENGTH {
            self.message.truncate(before);
            return self.add(&Message::FlowStatsReply(vec![flow.clone()]));
        }
        self.has_entries = true;
    }

    /// Whether it has no entry so far.
    pub fn is_empty(&self) -> bool {
        !self.has_entries
    }

    /// The messages that are complete, and that more messages follow.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.done)
    }

    /// The rest: the complete messages and the last one.
    pub fn finish(mut self) -> Vec<u8> {
        let message = std::mem::take(&mut self.message);
        self.close(message, 0);
        self.done
    }

    fn close(&mut self, mut message: Vec<u8>, flags: u16) {
        // A version that has no such reply has no header for it either.
        if message.len() >= FLAGS + 2 {
            message.patch_u16(FLAGS, flags);
            raw::finish(&mut message, 0);
            self.done.append(&mut message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        FlowFlags, FlowUpdate, FlowUpdateFull, GroupDesc, GroupStats, MeterConfig, MeterStats, PortDesc,
        PortStats, Version,
    };
    use fields::Protocols;

    const VERSIONS: [Version; 6] =
        [Version::Of10, Version::Of11, Version::Of12, Version::Of13, Version::Of14, Version::Of15];

    /// The reply to all of `entries`, made by `reply` at once and entry by entry.
    fn both<T: Clone>(version: Version, entries: &[T], reply: fn(Vec<T>) -> Message) -> [Vec<u8>; 2] {
        let encoder = Encoder::new(Protocols::initial(version.byte()), 0x1234);
        let mut parts = ReplyParts::new(encoder, &reply(Vec::new()));
        let mut bytes = Vec::new();
        for entry in entries {
            parts.add(&reply(vec![entry.clone()]));
            bytes.append(&mut parts.take());
        }
        bytes.append(&mut parts.finish());
        [reply(entries.to_vec()).to_bytes(&encoder), bytes]
    }

    #[track_caller]
    fn agrees<T: Clone>(entries: &[T], reply: fn(Vec<T>) -> Message) {
        for version in VERSIONS {
            for count in [0, 1, entries.len()] {
                let [at_once, in_parts] = both(version, &entries[..count], reply);
                assert!(at_once == in_parts, "{version:?}, {count} entries");
            }
        }
    }

    fn flow(cookie: u64) -> FlowStats {
        FlowStats {
            m: fields::Match::default(),
            cookie,
            table: 3,
            priority: 1,
            idle_timeout: 2,
            hard_timeout: 3,
            duration_sec: 4,
            duration_nsec: 5,
            idle_age: None,
            hard_age: None,
            packet_count: 6,
            byte_count: 7,
            flags: FlowFlags::default(),
            importance: 0,
            actions: Vec::new(),
        }
    }

    fn update(cookie: u64) -> FlowUpdate {
        let m = fields::Match::default();
        let (idle_timeout, hard_timeout, table, priority) = (1, 2, 3, 4);
        let actions = Vec::new();
        FlowUpdate::Initial(Box::new(FlowUpdateFull {
            idle_timeout,
            hard_timeout,
            table,
            priority,
            cookie,
            m,
            actions,
        }))
    }

    fn group(group: u32) -> GroupStats {
        let (packet_count, byte_count, duration_sec, duration_nsec) = (1, 2, 3, 4);
        let buckets = vec![(5, 6); 3];
        GroupStats { group, ref_count: 0, packet_count, byte_count, duration_sec, duration_nsec, buckets }
    }

    fn meter(meter: u32) -> MeterStats {
        let (packet_in_count, byte_in_count, duration_sec, duration_nsec) = (1, 2, 3, 4);
        let bands = vec![(5, 6); 2];
        MeterStats {
            meter,
            flow_count: 0,
            packet_in_count,
            byte_in_count,
            duration_sec,
            duration_nsec,
            bands,
        }
    }

    #[test]
    fn replies_in_parts_have_the_bytes_of_whole_ones() {
        agrees(&(0..3000).map(flow).collect::<Vec<_>>(), Message::FlowStatsReply);
        agrees(&(0..3000).map(update).collect::<Vec<_>>(), Message::FlowMonitorReply);
        agrees(&vec![PortStats::default(); 2000], Message::PortStatsReply);
        agrees(&vec![PortDesc::default(); 2000], Message::PortDescReply);
        agrees(&(0..3000).map(group).collect::<Vec<_>>(), Message::GroupStatsReply);
        let desc = |group| GroupDesc {
            kind: crate::GroupType::All,
            group,
            buckets: Vec::new(),
            properties: crate::GroupProperties::default(),
        };
        agrees(&(0..9000).map(desc).collect::<Vec<_>>(), Message::GroupDescReply);
        let config = |meter| MeterConfig { meter, flags: 0, bands: Vec::new() };
        agrees(&(0..9000).map(config).collect::<Vec<_>>(), Message::MeterConfigReply);
        agrees(&(0..3000).map(meter).collect::<Vec<_>>(), Message::MeterStatsReply);
    }

    #[test]
    fn rules_may_be_given_without_a_message() {
        for version in VERSIONS {
            let encoder = Encoder::new(Protocols::initial(version.byte()), 7);
            let new = || ReplyParts::new(encoder, &Message::FlowStatsReply(Vec::new()));
            let (mut by_message, mut directly) = (new(), new());
            for cookie in 0..3000 {
                by_message.add(&Message::FlowStatsReply(vec![flow(cookie)]));
                directly.add_flow(&flow(cookie));
            }
            assert!(by_message.finish() == directly.finish(), "{version:?}");
        }
    }

    #[test]
    fn features_of_tables_may_be_given_without_a_message() {
        let table = |number: u8| {
            let mut features = TableFeatures::unknown(number);
            features.any_properties = true;
            features.name = format!("table{number}");
            features.nonmiss.next = [u64::MAX << (number % 64); 4];
            features.match_fields = fields::Field::all().take(usize::from(number)).collect();
            features.mask_fields = fields::Field::all().take(usize::from(number / 2)).collect();
            features.nonmiss.apply.set_fields = fields::Field::all().skip(usize::from(number)).collect();
            features
        };
        let tables: Vec<TableFeatures> = (0..254).map(table).collect();
        for version in VERSIONS {
            let encoder = Encoder::new(Protocols::initial(version.byte()), 7);
            let mut parts = ReplyParts::new(encoder, &Message::TableFeaturesReply(Vec::new()));
            tables.iter().for_each(|table| parts.add_features(table));
            let at_once = Message::TableFeaturesReply(tables.clone()).to_bytes(&encoder);
            assert!(parts.finish() == at_once, "{version:?}");
        }
    }

    #[test]
    fn a_reply_of_many_messages_is_not_kept() {
        let encoder = Encoder::new(Protocols::initial(Version::Of13.byte()), 1);
        let mut parts = ReplyParts::new(encoder, &Message::FlowStatsReply(Vec::new()));
        let mut taken = 0;
        for cookie in 0..10_000 {
            parts.add(&Message::FlowStatsReply(vec![flow(cookie)]));
            let bytes = parts.take();
            assert!(bytes.is_empty() || bytes.len() > MAX_LENGTH / 2);
            taken += bytes.len();
        }
        assert!(taken > 7 * MAX_LENGTH && parts.finish().len() <= MAX_LENGTH);
    }
}
