//! The datapaths that bridges are on, as commands name them.

use flowsync::{Below, Datapaths};
use ofproto::SharedSwitch;

/// Those that have bridges, by name.
pub(super) fn datapaths_in_use(datapaths: &Datapaths, switch: &SharedSwitch) -> Vec<Below> {
    let mut ids: Vec<dp::DpId> = switch.read().bridges().map(ofproto::Bridge::datapath).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut found: Vec<Below> = ids.into_iter().filter_map(|id| datapaths.get(id)).collect();
    found.sort_by_key(Below::full_name);
    found
}

/// Whether `word` names the datapath: its name, with or without its kind, or its kind.
pub(super) fn is_named(below: &Below, word: &str) -> bool {
    let (kind, name) = (below.datapath.kind(), below.datapath.name());
    word == kind || word == name || word == below.full_name()
}
