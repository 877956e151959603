//! Files of `netdev`.

#[path = "../../../../crates/datapath/netdev/src/turns.rs"]
pub(crate) mod turns;
