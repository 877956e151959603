//! `qos/*`: how interfaces queue, shape and police what they send.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use base::DpPort;
use dp::{Detail, QosKind, QosState, QualityOfService, QueueStats};
use flowsync::{Below, Datapaths};
use ofproto::SharedSwitch;
use rpc::unixctl::Registry;

/// What the commands use.
pub(super) struct Devices {
    pub(super) switch: Arc<SharedSwitch>,
    pub(super) datapaths: Arc<Datapaths>,
}

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, devices: Devices) {
    let mut group = registry.group(devices);
    group.add("qos/show-types", "interface", 1, 1, |devices, args| {
        let name = &args[0];
        let kinds = devices.of_interface(name, |able, port| able.qos_kinds(port).unwrap_or_default())?;
        Ok(show_kinds(name, &kinds.unwrap_or_default()))
    });
    group.add("qos/show", "interface", 1, 1, |devices, args| {
        let name = &args[0];
        let found = devices.of_interface(name, |able, port| {
            let state = able.qos(port).ok().flatten();
            state.map(|state| (state, able.queue_stats(port).unwrap_or_default()))
        })?;
        Ok(match found.flatten() {
            Some((state, stats)) => show(name, &state, &stats),
            None => format!("QoS not configured on {name}\n"),
        })
    });
}

impl Devices {
    /// What `ask` finds out of the interface's port; `None` of an interface without a port that can be asked.
    fn of_interface<T>(
        &self,
        name: &str,
        ask: impl FnOnce(&dyn QualityOfService, DpPort) -> T,
    ) -> Result<Option<T>, String> {
        let port = {
            let switch = self.switch.read();
            let mut entries = switch.bridges().flat_map(|bridge| {
                let datapath = bridge.datapath();
                bridge.port_entries().map(move |entry| (datapath, entry))
            });
            let found = entries.find(|(_, entry)| &*entry.port.name == name);
            found.map(|(datapath, entry)| (datapath, entry.port.datapath)).ok_or("no such interface")?
        };
        let (datapath, Some(port)) = port else { return Ok(None) };
        let below: Option<Below> = self.datapaths.get(datapath);
        Ok(below.as_ref().and_then(|below| below.datapath.quality_of_service()).map(|able| ask(able, port)))
    }
}

fn show_kinds(name: &str, kinds: &[QosKind]) -> String {
    if kinds.is_empty() {
        return format!("No QoS types supported for interface: {name}\n");
    }
    kinds.iter().map(|kind| format!("QoS type: {}\n", kind.name())).collect()
}

fn show(name: &str, state: &QosState, stats: &BTreeMap<u32, QueueStats>) -> String {
    let mut out = format!("QoS: {name} {}\n", state.kind.name());
    let put = |out: &mut String, indent: &str, details: &[Detail]| {
        for (key, value) in details {
            let _ = writeln!(out, "{indent}{key}: {value}");
        }
    };
    put(&mut out, "", &state.details);
    for (queue, details) in &state.queues {
        out.push('\n');
        match queue {
            0 => out.push_str("Default:\n"),
            queue => _ = writeln!(out, "Queue {queue}:"),
        }
        put(&mut out, "  ", details);
        let Some(stats) = stats.get(queue) else { continue };
        let counted = [("tx_packets", stats.packets), ("tx_bytes", stats.bytes), ("tx_errors", stats.errors)];
        for (key, count) in counted {
            if let Some(count) = count {
                let _ = writeln!(out, "  {key}: {count}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_shown_with_what_they_counted() {
        let detail = |key, value: &str| (key, value.to_owned());
        let state = QosState {
            kind: QosKind::Htb,
            details: vec![detail("max-rate", "1000")],
            queues: [(0, vec![detail("min-rate", "10")]), (5, Vec::new())].into(),
        };
        let stats = QueueStats { packets: Some(1), bytes: Some(2), errors: Some(3), created: None };
        let shown = show("p0", &state, &[(0, stats), (5, QueueStats::default())].into());
        assert_eq!(
            shown,
            "QoS: p0 linux-htb\nmax-rate: 1000\n\nDefault:\n  min-rate: 10\n  tx_packets: 1\n  tx_bytes: 2\n  \
             tx_errors: 3\n\nQueue 5:\n"
        );
        assert_eq!(show_kinds("d", &[]), "No QoS types supported for interface: d\n");
        assert_eq!(show_kinds("p0", &[QosKind::Htb]), "QoS type: linux-htb\n");
    }
}
