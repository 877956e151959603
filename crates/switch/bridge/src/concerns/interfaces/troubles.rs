//! Ports that exist and are of no use, and what their rows say of that.

use std::collections::BTreeMap;

use crate::running::{Running, RunningBridge};

impl Running {
    /// Finds what keeps ports that exist from being of use. Logs what is new. Returns whether anything changed.
    pub(crate) fn review(&mut self) -> bool {
        let mut has_changed = false;
        let found: BTreeMap<String, Vec<(String, Option<String>)>> =
            self.bridges.iter().map(|(name, bridge)| (name.clone(), self.troubles(bridge))).collect();
        for (name, troubles) in found {
            let Some(bridge) = self.bridges.get_mut(&name) else { continue };
            for (interface, trouble) in troubles {
                let Some(running) = bridge.interfaces.get_mut(&interface) else { continue };
                if running.trouble == trouble {
                    continue;
                }
                has_changed = true;
                match &trouble {
                    Some(why) => {
                        // It is usual while a configuration is being built.
                        log::info!(target: "bridge", "bridge {name}: interface {interface}: {why}");
                    }
                    None => {
                        log::info!(target: "bridge", "bridge {name}: interface {interface} is usable again")
                    }
                }
                running.trouble = trouble;
            }
        }
        has_changed
    }

    fn troubles(&self, bridge: &RunningBridge) -> Vec<(String, Option<String>)> {
        let switch = self.switch.read();
        let Some(state) = switch.get(bridge.id) else { return Vec::new() };
        let working = bridge.interfaces.iter().filter_map(|(name, running)| {
            let entry = state.port_entry(*running.result.as_ref().ok()?)?;
            // Both of a pair must name each other; whoever does not is no use to the other.
            let peer = entry.peer_name.as_deref().filter(|_| entry.port.peer.is_none());
            let trouble = peer.map(|peer| {
                let kind = bridge.config.datapath_kind();
                format!("No usable peer '{peer}' exists in '{kind}' datapath.")
            });
            Some((name.clone(), trouble))
        });
        working.collect()
    }
}
