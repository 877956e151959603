//! Files of `dp-user`.

#[path = "../../../../crates/datapath/dp-user/src/counters.rs"]
pub(crate) mod counters;
#[path = "../../../../crates/datapath/dp-user/src/flows.rs"]
pub(crate) mod flows;
#[path = "../../../../crates/datapath/dp-user/src/heat.rs"]
pub(crate) mod heat;
#[path = "../../../../crates/datapath/dp-user/src/known.rs"]
pub(crate) mod known;
#[path = "../../../../crates/datapath/dp-user/src/seat.rs"]
pub(crate) mod seat;
#[path = "../../../../crates/datapath/dp-user/src/table.rs"]
pub(crate) mod table;
