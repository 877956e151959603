//! What interfaces' rows say of link aggregation.

use replica::Row;
use schema::interface;

use crate::columns::Columns;

/// What an interface's row says of link aggregation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredLacpMember {
    pub port_id: Option<u16>,
    pub priority: Option<u16>,
    pub key: Option<u16>,
}

pub(super) fn desire(row: &Row) -> DesiredLacpMember {
    let number = |key| number(row, interface::OTHER_CONFIG, key);
    DesiredLacpMember {
        port_id: number("lacp-port-id"),
        priority: number("lacp-port-priority"),
        key: number("lacp-aggregation-key"),
    }
}

/// A value of a map of strings, if it is a number of 16 bits that is not zero.
pub(crate) fn number(row: &Row, column: &str, key: &str) -> Option<u16> {
    row.map_number(column, key).and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0)
}
