//! From the running switch to status columns. Writes only what differs.
//!
//! A column that a client clears stays so until the switch has something new to say, as in the reference: what follows
//! from the configuration and from links is written after every pass over the configuration, which a change of status
//! columns does not cause; counters are written in rounds, and at once for an interface that is new; what a datapath
//! can do is written once for each of its rows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base::{DpPort, PortStats};
use dp::DpId;
use flowsync::Below;
use model::Datum;
use replica::{Row, Tables, Transaction};
use schema::open_vswitch;
use uuid::Uuid;

use crate::concerns::discovery::Attached;
use crate::concerns::{CONCERNS, bundles, interfaces};
use crate::desired::root;
use crate::extent::Extent;
use crate::running::Running;
use crate::writer::Writer;

/// What was reported of a row, with the row as it was then: a row of which nothing has changed, nor of what it shows, shows
/// it already.
pub(crate) type Reported<T> = Arc<HashMap<Uuid, (Arc<Row>, T)>>;

/// Whether the row shows this already.
pub(crate) fn is_shown<T: PartialEq>(told: &Reported<T>, row: &Arc<Row>, now: &T) -> bool {
    told.get(&row.uuid).is_some_and(|(then, what)| Arc::ptr_eq(then, row) && what == now)
}

/// What the database knows.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The first counters of these interfaces, by serial number.
    pub(crate) interfaces: HashSet<u64>,
    pub(crate) states: Reported<interfaces::State>,
    pub(crate) ports: Reported<bundles::State>,
    /// The VLANs of ports that auto-attach asked for.
    pub(crate) attached: Attached,
    /// The capabilities of these datapaths, by type and row.
    pub(crate) datapaths: HashSet<(String, Uuid)>,
    /// Which of the machine's statistics.
    pub(crate) machine: u64,
}

/// What there is to report.
pub struct Report<'a> {
    pub rows: &'a Tables,
    pub running: &'a Running,
    /// The `next_cfg` that is in force.
    pub applied: i64,
    pub extent: Extent,
    pub told: &'a Told,
}

/// The transaction in the making, and what the database knows when it succeeds.
pub(crate) struct Reporting {
    pub writer: Writer,
    pub told: Told,
    pub(crate) counters: Counters,
}

/// Counters of ports: of few each is asked for, of many all at once.
#[derive(Default)]
pub(crate) struct Counters {
    asked: HashMap<DpId, usize>,
    known: HashMap<DpId, HashMap<DpPort, PortStats>>,
}

/// So many ports of a datapath are asked for each.
const FEW: usize = 8;

impl Counters {
    pub(crate) fn of(&mut self, below: &Below, port: DpPort) -> Option<PortStats> {
        let asked = self.asked.entry(below.id).or_default();
        *asked += 1;
        if *asked <= FEW {
            return below.datapath.port_stats(port).ok();
        }
        self.known.entry(below.id).or_insert_with(|| below.datapath.all_port_stats()).get(&port).copied()
    }
}

/// The transaction that brings the status columns up to date, and what the database knows when it succeeds.
pub fn status(report: &Report<'_>) -> (Transaction, Told) {
    let rows = report.rows;
    let writer = Writer { transaction: Transaction::new(rows) };
    let mut out = Reporting { writer, told: Told::default(), counters: Counters::default() };
    for bridge in report.running.bridges().values() {
        CONCERNS.iter().for_each(|concern| concern.report(&mut out, report, bridge));
    }
    if let Some(root) = root(rows) {
        CONCERNS.iter().for_each(|concern| concern.report_switch(&mut out, report, root));
        if report.extent.state {
            write_root(&mut out, report, root);
        }
    }
    (out.writer.transaction, out.told)
}

/// What is the same for every program of this kind, and last of all which configuration is in force.
fn write_root(out: &mut Reporting, report: &Report<'_>, root: &Row) {
    let columns = vec![
        (open_vswitch::DPDK_INITIALIZED, Datum::from(false)),
        (open_vswitch::DPDK_VERSION, Datum::from("none")),
        (open_vswitch::CUR_CFG, Datum::from(report.applied)),
    ];
    out.writer.write(open_vswitch::NAME_OF_TABLE, root, columns);
}
