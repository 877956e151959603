//! What interfaces' rows say of connectivity fault management, and what they show of it.

use model::{Atom, Datum};
use protocols::cfm::{Health, Settings, Status, Vlan};
use replica::Row;
use schema::interface as table;

use crate::columns::Columns;

/// The interval unless the row says otherwise, in milliseconds.
const INTERVAL: i64 = 1000;

/// `None` where nothing is asked for, or with a number that no maintenance point can have.
pub(super) fn desire(row: &Row) -> Option<Settings> {
    let mpid = row.integer(table::CFM_MPID)?;
    let text = |key| row.map_text(table::OTHER_CONFIG, key);
    let number = |key| text(key).and_then(|text| text.trim().parse::<i64>().ok());
    let flag = |key| row.map_boolean(table::OTHER_CONFIG, key).unwrap_or(false);
    let vlan = match text("cfm_ccm_vlan") {
        Some(text) if text.eq_ignore_ascii_case("random") => Vlan::Random,
        Some(text) => Vlan::Id(text.trim().parse().unwrap_or(0)),
        None => Vlan::Id(0),
    };
    let settings = Settings {
        mpid: u64::try_from(mpid).ok()?,
        interval_ms: number("cfm_interval").filter(|ms| *ms > 0).unwrap_or(INTERVAL),
        is_extended: flag("cfm_extended"),
        demand: flag("cfm_demand"),
        is_up: text("cfm_opstate").is_none_or(|text| text.eq_ignore_ascii_case("up")),
        vlan,
        pcp: number("cfm_ccm_pcp").unwrap_or(0) as u8 & 7,
        check_tunnel_key: false,
    };
    settings.is_valid().then_some(settings)
}

/// The columns of a session; empty ones where there is none.
pub(super) fn columns(status: Option<&Status>) -> Vec<(&'static str, Datum)> {
    let Some(status) = status else { return COLUMNS.map(|column| (column, Datum::Empty)).into() };
    let integer = |number: u64| Datum::from(i64::try_from(number).unwrap_or(i64::MAX));
    let remote_up = status.is_remote_up.map(|is_up| Datum::from(if is_up { "up" } else { "down" }));
    let remotes = status.remotes.iter().filter_map(|mpid| i64::try_from(*mpid).ok());
    vec![
        (table::CFM_FAULT, Datum::from(!status.faults.is_none())),
        (table::CFM_FAULT_STATUS, Datum::set(status.faults.names().map(Atom::from))),
        (table::CFM_FLAP_COUNT, integer(status.flaps)),
        (
            table::CFM_HEALTH,
            match status.health {
                Health::Percent(percent) => Datum::from(percent),
                Health::Undefined => Datum::Empty,
            },
        ),
        (table::CFM_REMOTE_MPIDS, Datum::set(remotes.map(Atom::from))),
        (table::CFM_REMOTE_OPSTATE, remote_up.unwrap_or(Datum::Empty)),
    ]
}

const COLUMNS: [&str; 6] = [
    table::CFM_FAULT,
    table::CFM_FAULT_STATUS,
    table::CFM_FLAP_COUNT,
    table::CFM_HEALTH,
    table::CFM_REMOTE_MPIDS,
    table::CFM_REMOTE_OPSTATE,
];
