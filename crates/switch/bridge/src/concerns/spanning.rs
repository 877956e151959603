//! Spanning tree: handing over to the protocols what rows ask for (`trees.rs`), and reporting what these find.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base::{MacAddr, OfPort};
use log::Level;
use pipeline::{BridgeId, BundleId, MirrorOutput, SpanningTree};
use protocols::spanning::Settings;
use protocols::{PortId, rstp, stp};

use super::Concern;
use crate::concerns::bundles::DesiredPort;
use crate::concerns::interfaces::DesiredInterface;
use crate::concerns::monitoring::Learned;
use crate::concerns::trees::{self, DesiredTree};
use crate::desired::{Desired, DesiredBridge};
use crate::running::{Notice, Running, RunningBridge};
use crate::status::{Report, Reporting};

/// The speed of a device that reports none, in Mb/s.
const DEFAULT_SPEED: u32 = 10_000;

pub(crate) struct Spanning;

impl Concern for Spanning {
    /// From now on ports that come forward nothing before [`Spanning::finish`] has them take part.
    fn prepare(&self, running: &mut Running, desired: &Desired) {
        for config in &desired.bridges {
            let kind = config.tree_kind();
            let is_new = |bridge: &RunningBridge| bridge.config.tree_kind() != kind;
            if kind.is_some() && running.bridges.get(&config.name).is_some_and(is_new) {
                running.set_tree_kind(&config.name, kind);
            }
        }
    }

    /// A bridge's address, which is part of its identifier, is known after all bridges were settled.
    fn finish(&self, running: &mut Running, _desired: &Desired) {
        let names: Vec<String> = running.bridges.keys().cloned().collect();
        names.iter().for_each(|name| running.settle_tree(name));
    }

    fn follow(&self, running: &mut Running) -> bool {
        let spanned = running.bridges.values().filter(|bridge| bridge.config.spanning.is_some());
        spanned.for_each(|bridge| running.follow_tree_links(bridge.id));
        false
    }

    fn report(&self, out: &mut Reporting, report: &Report<'_>, bridge: &RunningBridge) {
        if report.extent.counters {
            trees::write_counters(out, report, bridge);
        }
    }
}

/// A port that takes part, with what is known of it.
struct Candidate<'a> {
    number: OfPort,
    port: &'a DesiredPort,
    interface: &'a DesiredInterface,
    mac: MacAddr,
    speed_mbps: u32,
}

impl Running {
    /// By which protocol a bridge keeps loops out.
    pub(crate) fn set_tree_kind(&self, name: &str, kind: Option<SpanningTree>) {
        let Some(bridge) = self.bridges.get(name) else { return };
        let mut switch = self.switch.write();
        let Some(state) = switch.get_mut(bridge.id) else { return };
        state.set_settings(ofproto::Settings { spanning_tree: kind, ..state.settings().clone() });
    }

    /// Has a bridge take part as its rows ask for, or not any more.
    fn settle_tree(&mut self, name: &str) {
        let Some(bridge) = self.bridges.get(name) else { return };
        let (id, config) = (bridge.id, std::sync::Arc::clone(&bridge.config));
        let had_tree = self.monitor.spanning_status(id).is_some();
        if config.spanning.is_none() && !had_tree {
            return;
        }
        let mut complaints = Vec::new();
        let settings = config
            .spanning
            .as_ref()
            .and_then(|tree| self.tree_settings(name, &config, tree, &mut complaints));
        for (level, text) in complaints {
            self.complaints.say(level, text);
        }
        self.set_tree_kind(name, settings.as_ref().map(Settings::kind));
        self.set_tree_routes(name, settings.as_ref());
        let ports = self.monitor.span(id, name, settings.as_ref());
        let mut switch = self.switch.write();
        let Some(state) = switch.get_mut(id) else { return };
        let numbers: Vec<OfPort> = state.port_entries().map(|entry| entry.port.number).collect();
        for number in numbers {
            let news = state.span_port(number, ports.get(&number).cloned());
            self.notices.extend(news.map(|news| Notice::Port { bridge: id, news }));
        }
        drop(switch);
        self.follow_tree_links(id);
    }

    /// What the protocol is to do; `None` where the rows ask for nothing that can be.
    fn tree_settings(
        &mut self,
        name: &str,
        config: &DesiredBridge,
        tree: &DesiredTree,
        complaints: &mut Vec<(Level, String)>,
    ) -> Option<Settings> {
        let mac = self.bridges.get(name)?.mac;
        match tree {
            DesiredTree::Stp(wanted) => {
                let settings =
                    stp::Settings { system: wanted.system(name, mac, complaints), ..wanted.settings.clone() };
                let ports = self.stp_ports(name, config, complaints)?;
                Some(Settings::Stp(settings, ports))
            }
            DesiredTree::Rstp(wanted) => {
                let settings = rstp::Settings {
                    address: wanted.system(name, mac, complaints),
                    ..wanted.settings.clone()
                };
                let ports = self.rstp_ports(name, config, complaints)?;
                Some(Settings::Rstp(settings, ports))
            }
        }
    }

    fn stp_ports(
        &mut self,
        name: &str,
        config: &DesiredBridge,
        complaints: &mut Vec<(Level, String)>,
    ) -> Option<BTreeMap<OfPort, stp::PortSettings>> {
        let candidates = self.candidates(name, config, SpanningTree::Stp, complaints)?;
        let mut given = BTreeSet::new();
        let mut asked = Vec::new();
        let mut unasked = Vec::new();
        for candidate in &candidates {
            let port = candidate.port;
            match port.spanning.stp.number {
                None => unasked.push(candidate),
                Some(number) if number < 1 || number > u64::from(stp::MAX_PORTS) => {
                    complaints.push((Level::Error, format!("port {}: invalid stp-port-num", port.name)));
                }
                Some(number) if !given.insert(number as u16) => {
                    let text = format!("port {}: duplicate stp-port-num {number}, disabling", port.name);
                    complaints.push((Level::Error, text));
                }
                Some(number) => asked.push((candidate, number as u16)),
            }
        }
        if !asked.is_empty() && !unasked.is_empty() {
            let text = format!("bridge {name}: must manually configure all STP port IDs or none, disabling");
            complaints.push((Level::Error, text));
            return None;
        }
        let known: BTreeMap<String, u16> = {
            let is_there = |name: &String| unasked.iter().any(|one| one.interface.name == *name);
            let known = &self.bridges.get(name)?.tree_numbers;
            known
                .iter()
                .filter(|(name, _)| is_there(name))
                .map(|(name, number)| (name.clone(), *number))
                .collect()
        };
        given.extend(known.values().copied());
        let mut numbers = known;
        for candidate in unasked {
            let name = &candidate.interface.name;
            let number = match numbers.get(name) {
                Some(number) => *number,
                None => {
                    let Some(free) = (1..=stp::MAX_PORTS).find(|number| !given.contains(number)) else {
                        let text = format!("port {}: too many STP ports, disabling", candidate.port.name);
                        complaints.push((Level::Error, text));
                        continue;
                    };
                    given.insert(free);
                    numbers.insert(name.clone(), free);
                    free
                }
            };
            asked.push((candidate, number));
        }
        let ports = asked.into_iter().map(|(candidate, number)| {
            let wanted = &candidate.port.spanning.stp;
            let settings = stp::PortSettings {
                name: candidate.interface.name.clone(),
                mac: candidate.mac,
                number,
                priority: wanted.priority,
                cost: wanted.cost.unwrap_or_else(|| stp::cost_of_speed(candidate.speed_mbps)),
            };
            (candidate.number, settings)
        });
        let ports = ports.collect();
        self.bridges.get_mut(name)?.tree_numbers = numbers;
        Some(ports)
    }

    fn rstp_ports(
        &self,
        name: &str,
        config: &DesiredBridge,
        complaints: &mut Vec<(Level, String)>,
    ) -> Option<BTreeMap<OfPort, rstp::PortSettings>> {
        let mut ports = BTreeMap::new();
        for candidate in self.candidates(name, config, SpanningTree::Rstp, complaints)? {
            let (wanted, port) = (&candidate.port.spanning.rstp, &candidate.port.name);
            if ports.len() >= usize::from(rstp::MAX_PORTS) {
                complaints.push((Level::Error, format!("port {port}: too many RSTP ports, disabling")));
                continue;
            }
            let number = match wanted.number {
                None => None,
                Some(number) if number >= 1 && number <= u64::from(rstp::MAX_PORTS) => Some(number as u16),
                Some(_) => {
                    complaints.push((Level::Error, format!("port {port}: invalid rstp-port-num")));
                    continue;
                }
            };
            let cost = wanted.cost.unwrap_or_else(|| rstp::cost_of_speed(candidate.speed_mbps));
            let settings = rstp::PortSettings {
                name: candidate.interface.name.clone(),
                mac: candidate.mac,
                number,
                priority: wanted.priority,
                cost,
                is_edge: wanted.is_edge,
                finds_edge: wanted.finds_edge,
                point_to_point: wanted.point_to_point,
                is_enabled: wanted.is_enabled,
                checks_migration: wanted.checks_migration,
            };
            ports.insert(candidate.number, settings);
        }
        Some(ports)
    }

    /// The ports that can take part, in the order of their numbers.
    fn candidates<'a>(
        &self,
        name: &str,
        config: &'a DesiredBridge,
        kind: SpanningTree,
        complaints: &mut Vec<(Level, String)>,
    ) -> Option<Vec<Candidate<'a>>> {
        let bridge = self.bridges.get(name)?;
        let switch = self.switch.read();
        let state = switch.get(bridge.id)?;
        let outputs = state.mirrors().iter().filter_map(|mirror| match mirror.output {
            MirrorOutput::Port(bundle) => Some(bundle),
            MirrorOutput::Vlan(_) => None,
        });
        let mirrored: BTreeSet<BundleId> = outputs.collect();
        let kind_name = kind.name();
        let mut candidates = Vec::new();
        for port in config.ports.iter().filter(|port| port.spanning.takes_part(kind)) {
            let [interface] = port.interfaces.as_slice() else {
                let text = format!("port {}: cannot enable {kind_name} on bonds, disabling", port.name);
                complaints.push((Level::Error, text));
                continue;
            };
            let Some(Ok(number)) = bridge.interfaces.get(&interface.name).map(|known| &known.result) else {
                continue;
            };
            let Some(entry) = state.port_entry(*number) else { continue };
            let is_mirror = entry.port.bundle.is_some_and(|bundle| mirrored.contains(&bundle));
            if interface.is_internal() || *number == OfPort::LOCAL || is_mirror {
                continue;
            }
            let speed_mbps = match entry.desc.current_speed / 1000 {
                0 => DEFAULT_SPEED,
                speed => speed,
            };
            let mac = entry.desc.hw_addr;
            candidates.push(Candidate { number: *number, port, interface, mac, speed_mbps });
        }
        candidates.sort_by_key(|candidate| candidate.number);
        Some(candidates)
    }

    /// What the protocol sends by, and has forgotten.
    fn set_tree_routes(&self, name: &str, settings: Option<&Settings>) {
        let Some(bridge) = self.bridges.get(name) else { return };
        let Some(settings) = settings else { return self.routes.set_learned(bridge.id, None) };
        let switch = self.switch.read();
        let Some(state) = switch.get(bridge.id) else { return };
        let mut bundles = HashMap::new();
        for port in settings.ports() {
            let Some(entry) = state.port_entry(port) else { continue };
            self.routes.set(PortId { bridge: bridge.id, port }, bridge, entry.port.datapath);
            bundles.extend(entry.port.bundle.map(|bundle| (port, bundle)));
        }
        let (macs, multicast) = (state.shared_macs(), state.shared_multicast());
        self.routes.set_learned(bridge.id, Some(Learned { macs, multicast, bundles }));
    }

    /// Has the protocols know which links of a bridge are up.
    fn follow_tree_links(&self, bridge: BridgeId) {
        let links: Vec<(OfPort, bool)> = {
            let switch = self.switch.read();
            let Some(state) = switch.get(bridge) else { return };
            let spanned = state.port_entries().filter(|entry| entry.port.spanning.is_some());
            spanned.map(|entry| (entry.port.number, entry.port.has_link)).collect()
        };
        for (port, has_link) in links {
            self.monitor.set_spanning_link(PortId { bridge, port }, has_link);
        }
    }
}
