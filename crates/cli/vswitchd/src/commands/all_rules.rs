//! All rules of a bridge, those too that controllers do not see: `bridge/dump-flows`.

use std::fmt::Write;

use base::{TableId, Timestamp};
use flow::{FlowKey, FlowMask, SparseMatch, slot};
use flowsync::Datapaths;
use ofproto::SharedSwitch;
use pipeline::{BUCKETS, Bond, BridgeView, Rule};

/// The priority of the rules that share packets among the members of a bond.
const SHARING: i32 = 20;

/// A rule as it is listed.
pub(super) struct Line<'a> {
    cookie: u64,
    table: TableId,
    created: Timestamp,
    packets: u64,
    bytes: u64,
    matching: &'a SparseMatch,
    priority: i32,
    actions: &'a [ofp::Action],
}

/// `bridge/dump-flows [--offload-stats] BRIDGE`.
pub(super) fn dump(
    datapaths: &Datapaths,
    switch: &SharedSwitch,
    now: Timestamp,
    args: &[String],
) -> Result<String, String> {
    let offload = args[0] == "--offload-stats";
    let name = args.last().filter(|_| !offload || args.len() == 2).ok_or("No bridge specified")?;
    datapaths.credit();
    let switch = switch.read();
    let bridge = switch.named(name).ok_or("Unknown bridge")?;
    let mut out = String::new();
    for entry in bridge.tables().flat_map(ofproto::Table::entries) {
        Line::of(&entry.rule, entry.created).write(now, offload, &mut out);
    }
    for bond in bridge.bundles().filter_map(|bundle| bundle.bond.as_deref()) {
        write_sharing(bond, now, offload, &mut out);
    }
    Ok(out)
}

/// The rules by which a bond shares packets whose hash the datapath computed. Translation does what they say without them.
fn write_sharing(bond: &Bond, now: Timestamp, offload: bool, out: &mut String) {
    let state = bond.state();
    if bond.recirc_id() == 0 || !state.is_chosen_by_hash() {
        return;
    }
    let (mut key, mut mask) = (FlowKey::new(), FlowMask::new());
    key.set_recirc_id(bond.recirc_id());
    mask.add_all(slot::RECIRC_ID);
    mask.add(slot::DP_HASH, BUCKETS as u128 - 1);
    for (bucket, member) in (0..=u8::MAX).zip(&state.buckets) {
        let Some(member) = *member else { continue };
        key.set_dp_hash(bucket.into());
        let (packets, bytes) = bond.counted(bucket);
        let line = Line {
            cookie: 0,
            table: TableId::INTERNAL,
            created: bond.created(),
            packets,
            bytes,
            matching: &SparseMatch::new(&key, &mask),
            priority: SHARING,
            actions: &[ofp::Action::Output(ofp::Output { port: member, max_len: 0 })],
        };
        line.write(now, offload, out);
    }
}

impl<'a> Line<'a> {
    pub(super) fn of(rule: &'a Rule, created: Timestamp) -> Line<'a> {
        Line {
            cookie: rule.cookie,
            table: rule.table,
            created,
            packets: rule.counters.packets(),
            bytes: rule.counters.bytes(),
            matching: &rule.matching,
            priority: rule.priority,
            actions: &rule.actions,
        }
    }

    pub(super) fn write(&self, now: Timestamp, offload: bool, out: &mut String) {
        // Writing to a String cannot fail.
        if self.cookie != 0 {
            let _ = write!(out, "cookie=0x{:x}, ", self.cookie);
        }
        if self.table.0 != 0 {
            let _ = write!(out, "table_id={}, ", self.table.0);
        }
        let _ = write!(out, "duration={}s, ", (now - self.created).as_secs());
        let _ = write!(out, "n_packets={}, n_bytes={}, ", self.packets, self.bytes);
        if offload {
            out.push_str("n_offload_packets=0, n_offload_bytes=0, ");
        }
        fields::Match::from(self.matching).format(out, None, self.priority);
        out.push_str(",actions=");
        ofp::format_actions(self.actions, out, ofp::Names::default());
        out.push('\n');
    }
}
