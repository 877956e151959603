//! A bridge as its exporters see it: its ports, the time, what the process uses.

use std::sync::Arc;
use std::time::Duration;

use base::{DpPort, OfPort};
use dp::{Datapath, DpStats, PortInfo, PortStats};
use pipeline::{BridgeId, Network};
use protocols::PortId;
use telemetry::{AppResources, ExportedBridge, ExportedPort, LagCounters, UNKNOWN};

use crate::running::Running;

/// A bridge as its exporters see it.
pub(super) struct Observed<'a> {
    pub(super) running: &'a Running,
    pub(super) bridge: BridgeId,
    pub(super) datapath_id: u64,
    /// What concerns the whole switch is reported by one bridge for all.
    pub(super) tells_switch: bool,
}

impl Observed<'_> {
    /// The datapath that the bridge's ports are in.
    fn datapath(&self) -> Option<&dyn Datapath> {
        self.running.datapath_of(self.bridge)
    }
}

impl ExportedBridge for Observed<'_> {
    fn datapath_id(&self) -> u64 {
        self.datapath_id
    }

    fn ifindex(&self, port: DpPort) -> Option<u32> {
        let switch = self.running.switch.read();
        let sampling = switch.get(self.bridge)?.settings().exports.sflow.as_ref()?;
        sampling.ifindexes.get(&port).copied()
    }

    fn ports(&self) -> Vec<ExportedPort> {
        let numbers: Vec<_> = {
            let switch = self.running.switch.read();
            let entries = switch.get(self.bridge).into_iter().flat_map(|bridge| bridge.port_entries());
            entries.filter_map(|entry| Some((entry.port.number, entry.port.datapath?))).collect()
        };
        let with_index = numbers.into_iter().filter_map(|(number, datapath)| {
            let ifindex = self.port(datapath)?.ifindex?;
            Some(ExportedPort { ifindex, number, datapath })
        });
        with_index.collect()
    }

    fn port(&self, port: DpPort) -> Option<Arc<PortInfo>> {
        let owner = self.running.bridges().values().find(|bridge| bridge.id == self.bridge)?.below.id;
        let is_own = {
            let switch = self.running.switch.read();
            match switch.ingress(owner, port) {
                Some((bridge, _)) => bridge == self.bridge,
                // Packets of a tunnel's port may come to any of several bridges.
                None => {
                    let mut entries = switch.get(self.bridge)?.port_entries();
                    entries.any(|entry| entry.port.datapath == Some(port))
                }
            }
        };
        if is_own { self.datapath()?.port(port) } else { None }
    }

    fn port_stats(&self, port: DpPort) -> Option<PortStats> {
        self.datapath()?.port_stats(port).ok()
    }

    fn lag(&self, port: OfPort) -> Option<LagCounters> {
        let member = self.running.monitor.lacp_member(PortId { bridge: self.bridge, port })?;
        Some(LagCounters {
            actor_system: member.actor.system,
            partner_system: member.partner.system,
            aggregate: member.actor.key.into(),
            // What the partner was configured to be, its frames do not say.
            states: [member.configured, member.actor.state, 0, member.partner.state],
            received: member.received,
            markers_received: UNKNOWN,
            marker_responses_received: UNKNOWN,
            unknown_received: UNKNOWN,
            illegal_received: member.bad,
            sent: member.sent,
            markers_sent: UNKNOWN,
            marker_responses_sent: UNKNOWN,
        })
    }

    fn datapath_stats(&self) -> DpStats {
        self.datapath().map(|datapath| datapath.stats()).unwrap_or_default()
    }

    fn wall_clock(&self) -> Duration {
        wall_clock()
    }

    fn resources(&self) -> Option<AppResources> {
        self.tells_switch.then(resources)
    }
}

/// The time since 1970.
pub(super) fn wall_clock() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

/// What this process uses, as far as the kernel tells.
fn resources() -> AppResources {
    /// Milliseconds of the ticks in `/proc`, of which Linux has 100 a second.
    const TICK_MS: u32 = 10;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name in parentheses, which may hold blanks; utime and stime are fields 14 and 15.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut times = after_name.split_whitespace().skip(11).map(|word| word.parse().unwrap_or(0u32));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak_kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    AppResources {
        user_time_ms: times.next().unwrap_or(0).wrapping_mul(TICK_MS),
        system_time_ms: times.next().unwrap_or(0).wrapping_mul(TICK_MS),
        memory_used: peak_kib.unwrap_or(0) * 1024,
        ..AppResources::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_uses_memory() {
        assert!(resources().memory_used > 0);
    }
}
