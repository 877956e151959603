//! Spanning trees in the rows of bridges and ports: what is asked for (`desire.rs`) and shown (`status.rs`). What is done about
//! it is in `spanning.rs`.

mod desire;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use desire::{DesiredTree, DesiredTreePort, desire, desire_port};
pub(crate) use status::{PortColumns, bridge_columns, port_columns, write_counters};
