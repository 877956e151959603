//! Settling tables and mirrors.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::TableId;
use ofproto::TableSettings;
use pipeline::{BundleId, Mirror, MirrorOutput};
use uuid::Uuid;

use super::Running;
use crate::desired::{DesiredBridge, MirrorTarget};

impl Running {
    /// Tables that are not said anything of are as they were made.
    pub(super) fn settle_tables(&self, config: &DesiredBridge) {
        let Some(bridge) = self.bridges.get(&config.name) else { return };
        let now = self.clock.now();
        let mut switch = self.switch.write();
        let Some(state) = switch.get_mut(bridge.id) else { return };
        let known: Vec<TableId> = state.tables().map(ofproto::Table::id).collect();
        let mut changes = Vec::new();
        for id in known {
            if !config.tables.iter().any(|(said, _)| *said == id) {
                changes.extend(state.configure_table(id, TableSettings::default(), now));
            }
        }
        for (id, settings) in &config.tables {
            changes.extend(state.configure_table(*id, settings.clone(), now));
        }
        switch.leave_untold(bridge.id, changes);
    }

    pub(super) fn settle_mirrors(&self, config: &DesiredBridge) {
        let Some(bridge) = self.bridges.get(&config.name) else { return };
        let mut switch = self.switch.write();
        let Some(state) = switch.get_mut(bridge.id) else { return };
        let bundle_of = |uuid: &Uuid| {
            let port = config.ports.iter().find(|port| port.uuid == *uuid)?;
            Some(state.bundle_named(&port.name)?.id)
        };
        let all: BTreeSet<BundleId> =
            config.ports.iter().filter_map(|port| Some(state.bundle_named(&port.name)?.id)).collect();
        let mut mirrors: Vec<Mirror> = Vec::new();
        for wanted in &config.mirrors {
            let output = match wanted.output {
                MirrorTarget::Vlan(vid) => MirrorOutput::Vlan(vid),
                MirrorTarget::Port(uuid) => match bundle_of(&uuid) {
                    Some(id) => MirrorOutput::Port(id),
                    None => {
                        log::error!(
                            target: "bridge",
                            "bridge {}: mirror {}: output port does not exist", config.name, wanted.name
                        );
                        continue;
                    }
                },
            };
            let chosen = |ports: &BTreeSet<Uuid>| -> BTreeSet<BundleId> {
                if wanted.select_all { all.clone() } else { ports.iter().filter_map(bundle_of).collect() }
            };
            let known = state.mirrors().iter().find(|mirror| mirror.id == wanted.uuid.as_u128());
            mirrors.push(Mirror {
                id: wanted.uuid.as_u128(),
                sources: chosen(&wanted.sources),
                destinations: chosen(&wanted.destinations),
                vlans: wanted.vlans.clone(),
                filter: wanted.filter.clone(),
                output,
                snaplen: wanted.snaplen,
                duplicates: 0,
                counters: known.map(|mirror| Arc::clone(&mirror.counters)).unwrap_or_default(),
            });
        }
        state.set_mirrors(mirrors);
    }
}
