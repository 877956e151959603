//! What this datapath can do.

use dp::Capabilities;

/// With keys of `max_vlans` tags, and with or without a connection tracker.
pub(crate) fn of(max_vlans: usize, has_tracker: bool) -> Capabilities {
    Capabilities {
        max_vlans,
        conntrack: has_tracker,
        // Nothing above asks for samples for psample groups yet.
        psample: false,
        ..Capabilities::ALL
    }
}
