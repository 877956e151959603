//! Brings quality of service into force: queues, shapers and policers of devices, and the DSCPs of queues.

use std::collections::HashMap;
use std::sync::Arc;

use base::OfPort;
use dp::{DpError, Policing, Settings};
use log::Level;
use pipeline::{BridgeId, QueueDscp};
use uuid::Uuid;

use super::{Concern, Pass};
use crate::concerns::bundles::DesiredPort;
use crate::concerns::interfaces::DesiredInterface;
use crate::concerns::qos::Asked;
use crate::running::{Running, RunningBridge};

/// What could not be done for ports, by their rows. It is tried again at every pass.
pub(crate) type QosTroubles = HashMap<Uuid, String>;

pub(crate) struct Shaping;

impl Concern for Shaping {
    fn settle(&self, running: &mut Running, pass: &Pass<'_>) {
        let is_changed =
            |port: &Arc<DesiredPort>| pass.changed.iter().any(|changed| Arc::ptr_eq(changed, port));
        let failed =
            |port: &&Arc<DesiredPort>| running.qos_troubles.contains_key(&port.uuid) && !is_changed(port);
        let failed: Vec<Arc<DesiredPort>> = if running.qos_troubles.is_empty() {
            Vec::new()
        } else {
            pass.config.ports.iter().filter(failed).cloned().collect()
        };
        for port in pass.changed.iter().copied().chain(&failed) {
            running.settle_qos(&pass.config.name, port);
        }
        if pass.has_fewer_ports {
            let uuids: Vec<Uuid> = running
                .bridges
                .values()
                .flat_map(|bridge| &bridge.config.ports)
                .map(|port| port.uuid)
                .collect();
            running.qos_troubles.retain(|uuid, _| uuids.contains(uuid));
        }
    }
}

impl Running {
    fn settle_qos(&mut self, bridge: &str, port: &DesiredPort) {
        let Some(bridge) = self.bridges.get(bridge) else { return };
        let mut found = Vec::new();
        for interface in &port.interfaces {
            let working = bridge.interface(&interface.name).and_then(|known| known.result.as_ref().ok());
            if let Some(&number) = working {
                self.mark_queues(bridge.id, number, &port.qos.dscp);
                found.extend(self.settle_interface(bridge, port, interface, number));
            }
        }
        // What somebody has to look at, as the port cannot do it or the kernel does not.
        let troubles: Vec<&str> =
            found.iter().filter(|(level, _)| *level < Level::Info).map(|(_, text)| &**text).collect();
        if troubles.is_empty() {
            self.qos_troubles.remove(&port.uuid);
        } else {
            self.qos_troubles.insert(port.uuid, troubles.join("; "));
        }
        for (level, text) in found {
            self.complaints.say(level, text);
        }
        for text in doubts(port) {
            self.complaints.say(Level::Warn, text);
        }
    }

    fn mark_queues(&self, bridge: BridgeId, number: OfPort, dscp: &QueueDscp) {
        let is_known = self.switch.read().get(bridge).is_some_and(|state| {
            let entry = state.port_entry(number);
            entry.is_none_or(|entry| match &entry.port.queue_dscp {
                Some(known) => **known == *dscp,
                None => dscp.is_empty(),
            })
        });
        if !is_known && let Some(state) = self.switch.write().get_mut(bridge) {
            state.set_queue_dscp(number, dscp);
        }
    }

    /// Sets up the interface's device. Returns what could not be done.
    fn settle_interface(
        &self,
        bridge: &RunningBridge,
        port: &DesiredPort,
        interface: &DesiredInterface,
        number: OfPort,
    ) -> Vec<(Level, String)> {
        let name = &interface.name;
        let datapath = &bridge.below.datapath;
        let device = {
            let switch = self.switch.read();
            switch.get(bridge.id).and_then(|state| state.port_entry(number)?.port.datapath)
        };
        let able = device.zip(datapath.quality_of_service());
        let able = able.filter(|(device, able)| able.qos_kinds(*device).is_ok_and(|kinds| !kinds.is_empty()));
        let Some((device, able)) = able else {
            // Those without a device of the machine: the reference says nothing of it.
            let asks = port.qos.asked != Asked::Nothing || interface.policing != Policing::default();
            let text =
                || format!("interface {name}: QoS and policing have no effect on an interface of this type");
            return asks.then(|| (Level::Info, text())).into_iter().collect();
        };
        let mut found = Vec::new();
        let result = match &port.qos.asked {
            Asked::Nothing => able.set_qos(device, None),
            Asked::Known(wanted) => able.set_qos(device, Some(wanted)),
            Asked::Unknown(kind) => Err(vec![format!("{name}: QoS of type \"{kind}\" is not supported")]),
        };
        let troubles = result.err().into_iter().flatten();
        found.extend(troubles.map(|text| (Level::Warn, text)));
        let policing: Result<(), DpError> = able.set_policing(device, interface.policing);
        found.extend(policing.err().map(|error| (Level::Warn, error.to_string())));
        found
    }
}

/// What the rows of a port's QoS say to no effect.
fn doubts(port: &DesiredPort) -> Vec<String> {
    let Asked::Known(wanted) = &port.qos.asked else { return Vec::new() };
    let (name, kind) = (&port.name, wanted.kind.name());
    let mut doubts = unread(&format!("port {name}"), kind, &wanted.settings, wanted.kind.keys());
    let limit = wanted.kind.queue_limit();
    let beyond: Vec<u32> = wanted.queues.keys().copied().filter(|&queue| limit == 0 && queue != 0).collect();
    if !beyond.is_empty() {
        doubts.push(format!(
            "port {name}: QoS of type {kind} has no queues, so that {beyond:?} have no effect"
        ));
    }
    for (number, settings) in wanted.queues.iter().filter(|_| limit != 0) {
        doubts.extend(unread(
            &format!("port {name}, queue {number}"),
            kind,
            settings,
            wanted.kind.queue_keys(),
        ));
    }
    doubts
}

fn unread(what: &str, kind: &str, settings: &Settings, known: &[&str]) -> Vec<String> {
    let doubt = |(key, value): (&String, &String)| {
        if !known.contains(&&**key) {
            return Some(format!("{what}: other_config:{key} has no effect with QoS of type {kind}"));
        }
        let is_number = value.trim().parse::<u64>().is_ok();
        (!is_number)
            .then(|| format!("{what}: other_config:{key} is no number (\"{value}\") and has no effect"))
    };
    settings.iter().filter_map(doubt).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dp::{Qos, QosKind};

    use super::*;
    use crate::desired::tests::port;

    fn settings(words: &[(&str, &str)]) -> Settings {
        words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_has_no_effect_is_named() {
        let mut port = port("p0");
        let mut doubts_of = |kind, words: &[(&str, &str)], queues: BTreeMap<u32, Settings>| {
            port.qos.asked = Asked::Known(Qos { kind, settings: settings(words), queues });
            doubts(&port)
        };
        assert!(
            doubts_of(QosKind::Htb, &[("max-rate", "5")], BTreeMap::from([(1, Settings::new())])).is_empty()
        );
        let queue = settings(&[("min-rate", "1"), ("weight", "2"), ("burst", "x")]);
        assert_eq!(
            doubts_of(QosKind::Htb, &[("latency", "5")], BTreeMap::from([(1, queue.clone())])),
            [
                "port p0: other_config:latency has no effect with QoS of type linux-htb",
                "port p0, queue 1: other_config:burst is no number (\"x\") and has no effect",
                "port p0, queue 1: other_config:weight has no effect with QoS of type linux-htb",
            ]
        );
        assert_eq!(
            doubts_of(QosKind::Codel, &[("target", "5")], BTreeMap::from([(0, queue.clone()), (1, queue)])),
            ["port p0: QoS of type linux-codel has no queues, so that [1] have no effect"]
        );
    }
}
