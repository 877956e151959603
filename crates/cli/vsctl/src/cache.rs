//! Bridges, ports and interfaces by name, as the transaction has them.
//!
//! A "fake" bridge is a port of a real one: with a VLAN, and with the ports of
//! that VLAN as its own.

use indexmap::IndexMap;
use model::Uuid;
use replica::{Row, Transaction};

#[derive(Clone, Debug)]
pub(crate) struct Bridge {
    pub(crate) name: String,
    /// The row of a real bridge.
    pub(crate) uuid: Option<Uuid>,
    /// The real bridge that a fake one is in.
    pub(crate) parent: Option<String>,
    pub(crate) vlan: i64,
    pub(crate) ports: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub(crate) uuid: Uuid,
    pub(crate) bridge: String,
    pub(crate) interfaces: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) uuid: Uuid,
    pub(crate) port: String,
}

#[derive(Debug, Default)]
pub(crate) struct Cache {
    pub(crate) bridges: IndexMap<String, Bridge>,
    pub(crate) ports: IndexMap<String, Port>,
    pub(crate) interfaces: IndexMap<String, Interface>,
    /// The columns that all this was read from are verified already.
    pub(crate) verified: bool,
}

fn vlan_of(row: &Row) -> Option<i64> {
    row.integer("tag").filter(|tag| (0..=4095).contains(tag))
}

/// The table of the switch's one row.
pub(crate) const ROOT: &str = "Open_vSwitch";

/// The VLAN of a port that is a fake bridge.
fn fake_vlan(row: &Row) -> Option<i64> {
    if row.boolean("fake_bridge") == Some(true) { vlan_of(row) } else { None }
}

impl Cache {
    pub(crate) fn new(transaction: &Transaction, root: &Uuid) -> Cache {
        let mut cache = Cache::default();
        let rows = |uuids: Vec<Uuid>, table: &str| -> Vec<_> {
            uuids.into_iter().filter_map(|uuid| transaction.row(table, &uuid).cloned()).collect()
        };
        let bridges: Vec<Uuid> =
            transaction.row(ROOT, root).map(|row| row.references("bridges").collect()).unwrap_or_default();
        let bridges = rows(bridges, "Bridge");
        for row in &bridges {
            let name = row.text("name").unwrap_or_default();
            if cache.bridges.contains_key(name) {
                log::warn!(target: "vsctl", "{name}: database contains duplicate bridge name");
                continue;
            }
            cache.add_bridge(name, Some(row.uuid), None, 0);
            for port in rows(row.references("ports").collect(), "Port") {
                let port_name = port.text("name").unwrap_or_default();
                if let Some(vlan) = fake_vlan(&port).filter(|_| !cache.bridges.contains_key(port_name)) {
                    cache.add_bridge(port_name, None, Some(name), vlan);
                }
            }
        }
        for row in &bridges {
            let name = row.text("name").unwrap_or_default();
            if cache.bridges.get(name).is_none_or(|bridge| bridge.uuid != Some(row.uuid)) {
                continue;
            }
            for port in rows(row.references("ports").collect(), "Port") {
                let port_name = port.text("name").unwrap_or_default();
                if cache.ports.contains_key(port_name) {
                    log::warn!(target: "vsctl", "{port_name}: database contains duplicate port name");
                    continue;
                }
                cache.add_port(port_name, &port, name);
                for interface in rows(port.references("interfaces").collect(), "Interface") {
                    let interface_name = interface.text("name").unwrap_or_default();
                    cache.add_interface(interface_name, interface.uuid, port_name);
                }
            }
        }
        cache
    }

    fn add_bridge(&mut self, name: &str, uuid: Option<Uuid>, parent: Option<&str>, vlan: i64) {
        let bridge = Bridge {
            name: name.to_owned(),
            uuid,
            parent: parent.map(str::to_owned),
            vlan,
            ports: Vec::new(),
        };
        self.bridges.insert(name.to_owned(), bridge);
    }

    /// Adds a port of a real bridge; its VLAN may make it one of a fake bridge.
    pub(crate) fn add_port(&mut self, name: &str, row: &Row, real_bridge: &str) {
        let fake = vlan_of(row).and_then(|vlan| self.vlan_bridge(real_bridge, vlan));
        let bridge = fake.map_or_else(|| real_bridge.to_owned(), |bridge| bridge.name.clone());
        if let Some(bridge) = self.bridges.get_mut(&bridge) {
            bridge.ports.push(name.to_owned());
        }
        let port = Port { uuid: row.uuid, bridge, interfaces: Vec::new() };
        self.ports.insert(name.to_owned(), port);
    }

    pub(crate) fn add_interface(&mut self, name: &str, uuid: Uuid, port: &str) {
        if self.interfaces.contains_key(name) {
            log::warn!(target: "vsctl", "{name}: database contains duplicate interface name");
            return;
        }
        if let Some(port) = self.ports.get_mut(port) {
            port.interfaces.push(name.to_owned());
        }
        self.interfaces.insert(name.to_owned(), Interface { uuid, port: port.to_owned() });
    }

    /// The fake bridge for a VLAN of a real one.
    pub(crate) fn vlan_bridge(&self, parent: &str, vlan: i64) -> Option<&Bridge> {
        self.bridges.values().find(|b| b.parent.as_deref() == Some(parent) && b.vlan == vlan)
    }

    /// The bridge that an interface is in.
    pub(crate) fn bridge_of(&self, interface: &Interface) -> Option<&str> {
        self.ports.get(&interface.port).map(|port| port.bridge.as_str())
    }
}
