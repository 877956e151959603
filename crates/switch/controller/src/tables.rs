//! Requests about tables and queues.

use base::{DpPort, OfPort, TableId};
use dp::QueueStats;
use ofp::{OfError, QUEUE_ALL, TableFeatures, TableMod};
use pipeline::BridgeId;

use crate::channel::PeerId;
use crate::handle::Answer;
use crate::listings::FeatureRows;
use crate::manager::Manager;
use crate::statistics;

/// The commands of a request about table features (OpenFlow 1.5.1 §7.3.5.18).
const REPLACE: u8 = 0;
const MODIFY: u8 = 1;
/// Tables of one request.
const MAX_FEATURES: usize = 256;

impl Manager {
    pub(crate) fn table_mod(&mut self, id: PeerId, request: &TableMod) -> Answer {
        let Some(bridge) = self.peers.get(&id).map(|peer| peer.bridge) else { return Ok(Vec::new()) };
        match self.switch.write().get_mut(bridge) {
            Some(state) => state.table_mod(request).map(|()| Vec::new()),
            None => Ok(Vec::new()),
        }
    }

    /// Tells what tables can do, after changing what can be changed of them: their names.
    pub(crate) fn table_features(&mut self, id: PeerId, xid: u32, last: Vec<TableFeatures>) -> Answer {
        let before = self.peers.get_mut(&id).map(|peer| std::mem::take(&mut peer.features));
        let mut changes = before.filter(|(of, _)| *of == xid).map(|(_, changes)| changes).unwrap_or_default();
        changes.extend(last);
        self.change_features(id, &changes)?;
        self.begin_listing(id, xid, Box::new(FeatureRows::default()));
        Ok(Vec::new())
    }

    /// Keeps a part of a long request until the last one is there. The error: there are more parts than it takes for all tables.
    pub(crate) fn collect_features(
        &mut self,
        id: PeerId,
        xid: u32,
        part: Vec<TableFeatures>,
    ) -> Result<(), OfError> {
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(()) };
        let (of, changes) = &mut peer.features;
        if *of != xid {
            *of = xid;
            changes.clear();
        }
        if changes.len() + part.len() > MAX_FEATURES {
            changes.clear();
            return Err(OfError::OfpbrcMultipartBufferOverflow);
        }
        changes.extend(part);
        Ok(())
    }

    /// Changes what can be changed of tables: their names.
    fn change_features(&mut self, id: PeerId, changes: &[TableFeatures]) -> Result<(), OfError> {
        let Some(bridge) = self.peers.get(&id).map(|peer| peer.bridge) else { return Ok(()) };
        if let Some(state) = self.switch.write().get_mut(bridge) {
            let known: Vec<TableFeatures> = statistics::table_features(state, 0..crate::TABLES).collect();
            for change in changes {
                check_change(change, &known)?;
            }
            let named = |change: &&TableFeatures| state_name(&known, change.table) != change.name;
            let renamed: Vec<&TableFeatures> = changes.iter().filter(named).collect();
            for change in renamed {
                state.name_table(TableId(change.table), &change.name)?;
            }
        }
        Ok(())
    }

    /// The queues of a port, or of all, with what they have counted. `absent` is the error about a queue that the port could
    /// have, and does not.
    pub(crate) fn queues(
        &self,
        bridge: BridgeId,
        which: OfPort,
        queue: u32,
        absent: OfError,
    ) -> Result<Vec<(OfPort, u32, QueueStats)>, OfError> {
        let ports: Vec<(OfPort, Option<DpPort>)> = {
            let switch = self.switch.read();
            let Some(state) = switch.get(bridge) else { return Ok(Vec::new()) };
            if which != OfPort::ANY && state.port_entry(which).is_none() {
                return Err(OfError::OfpqofcBadPort);
            }
            let asked = state.port_entries().map(|entry| (entry.port.number, entry.port.datapath));
            asked.filter(|(number, _)| which == OfPort::ANY || *number == which).collect()
        };
        let below = self.below(bridge);
        let able = below.as_ref().and_then(|below| below.datapath.quality_of_service());
        let mut could_have = false;
        let mut found = Vec::new();
        for (number, port) in ports {
            let Some((port, able)) = port.zip(able) else { continue };
            could_have |= which != OfPort::ANY && able.qos_kinds(port).is_ok_and(|kinds| !kinds.is_empty());
            let queues = able.queue_stats(port).unwrap_or_default();
            let asked = queues.into_iter().filter(|(known, _)| queue == QUEUE_ALL || queue == *known);
            found.extend(asked.map(|(queue, stats)| (number, queue, stats)));
        }
        if found.is_empty() && queue != QUEUE_ALL {
            return Err(if could_have { absent } else { OfError::OfpqofcBadQueue });
        }
        Ok(found)
    }
}

fn state_name(known: &[TableFeatures], table: u8) -> &str {
    known.get(usize::from(table)).map_or("", |features| features.name.as_str())
}

/// Whether nothing but the name would change.
fn check_change(change: &TableFeatures, known: &[TableFeatures]) -> Result<(), OfError> {
    let Some(now) = known.get(usize::from(change.table)) else { return Err(OfError::OfptffcBadTable) };
    if !matches!(change.command, REPLACE | MODIFY) {
        return Err(OfError::OfptffcBadCommand);
    }
    if change.metadata_match & !now.metadata_match != 0 || change.metadata_write & !now.metadata_write != 0 {
        return Err(OfError::OfptffcBadMetadata);
    }
    if change.any_properties && change.max_entries > now.max_entries {
        return Err(OfError::OfptffcBadMaxEnt);
    }
    Ok(())
}
