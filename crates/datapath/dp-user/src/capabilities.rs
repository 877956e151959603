//! What this datapath can do.

use dp::Capabilities;

/// With keys of `max_vlans` tags.
pub(crate) fn of(max_vlans: usize) -> Capabilities {
    Capabilities {
        max_vlans,
        // Nothing above asks for samples for psample groups yet.
        psample: false,
        ..Capabilities::ALL
    }
}
