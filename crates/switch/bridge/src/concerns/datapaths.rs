//! The datapaths that bridges are on: which kinds there are, what bridges know of theirs, closing those without bridges, and
//! reporting what each can do.

mod features;

use std::collections::BTreeMap;

use model::{Atom, Datum};
use replica::Row;
use schema::{datapath, open_vswitch};

pub(crate) use self::features::{Overrides, log_all as log_features};
use super::{Concern, Pass};
use crate::columns::Columns;
use crate::desired::Desired;
use crate::running::Running;
use crate::status::{Report, Reporting};
use crate::writer::texts;

pub(crate) struct Datapaths;

impl Concern for Datapaths {
    /// What a datapath can do may follow from settings.
    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        let Some(bridge) = running.bridges().get(&pass.config.name) else { return };
        let capabilities = running.capabilities_of(bridge);
        if let Some(state) = running.switch.write().get_mut(bridge.id) {
            state.set_capabilities(capabilities);
        }
    }

    fn finish(&self, running: &mut Running, _desired: &Desired) {
        close_unused(running);
    }

    /// The devices of the last bridge's ports may be closed by now.
    fn follow(&self, running: &mut Running) -> bool {
        close_unused(running);
        false
    }

    /// Reports of each datapath that has a row what it can do. Clients may change it then: it is written once.
    fn report_switch(&self, out: &mut Reporting, report: &Report<'_>, root: &Row) {
        if !report.extent.state {
            out.told.datapaths.clone_from(&report.told.datapaths);
            return;
        }
        let types = report.running.datapaths.types().map(Atom::from);
        out.writer.write(
            open_vswitch::NAME_OF_TABLE,
            root,
            vec![(open_vswitch::DATAPATH_TYPES, Datum::set(types))],
        );
        for (kind, uuid) in root.get(open_vswitch::DATAPATHS).entries() {
            let (Some(kind), Some(uuid)) = (kind.as_str(), uuid.and_then(Atom::as_uuid)) else { continue };
            let Some(row) = report.rows.row(datapath::NAME_OF_TABLE, &uuid) else { continue };
            let key = (kind.to_owned(), uuid);
            if !report.told.datapaths.contains(&key) {
                let mut bridges = report.running.bridges().values();
                let Some(bridge) = bridges.find(|bridge| bridge.config.datapath_kind() == kind) else {
                    continue;
                };
                // What others have noted there stays.
                let mut all: BTreeMap<String, String> = Columns::map(&**row, datapath::CAPABILITIES);
                all.extend(features::named(&bridge.below.datapath.capabilities()));
                out.writer.write(datapath::NAME_OF_TABLE, row, vec![(datapath::CAPABILITIES, texts(all))]);
            }
            out.told.datapaths.insert(key);
        }
    }
}

fn close_unused(running: &Running) {
    running.datapaths.close_unused(|id| running.bridges().values().any(|bridge| bridge.below.id == id));
}
