//! Whether a link merges TCP segments that it receives into trains (generic receive offload), as `ethtool -k` shows it.

use crate::ethtool::{Request, ask};

/// `ETHTOOL_GGRO` and `ETHTOOL_SGRO`.
const GET: u32 = 0x2b;
const SET: u32 = 0x2c;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

// SAFETY: both commands read or fill in a `struct ethtool_value`, which this is.
unsafe impl Request for Value {}

/// Whether the link of this name merges; none when there is no such link.
pub fn is_merging(name: &str) -> Option<bool> {
    let mut value = Value { command: GET, data: 0 };
    ask(name, &mut value).then_some(value.data != 0)
}

/// Lets the link merge, or not; false when it refuses.
pub fn set_merging(name: &str, is_on: bool) -> bool {
    ask(name, &mut Value { command: SET, data: u32::from(is_on) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_there_does_not_merge() {
        assert_eq!(is_merging("no-such-link"), None);
        assert!(!set_merging("no-such-link", true));
    }
}
