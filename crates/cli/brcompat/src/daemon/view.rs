//! The rows of the database as bridges with ports, as `brctl` sees them.
//!
//! A fake bridge, a port of another bridge with a VLAN of its own, is a bridge
//! here as well.

use model::Uuid;
use replica::{Row, Tables};
use schema::{bridge, interface, open_vswitch, port};

use crate::protocol::{Bridge, Port};

/// Where a bridge is in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub name: String,
    /// The row of the bridge, or of the real bridge that a fake one is in.
    pub bridge: Uuid,
    /// The fake bridge's VLAN.
    pub vlan: Option<i64>,
    /// The row of the fake bridge's own port.
    pub own_port: Option<Uuid>,
}

/// The only row of Open_vSwitch.
pub(crate) fn root(tables: &Tables) -> Option<Uuid> {
    tables.rows(open_vswitch::NAME_OF_TABLE).next().map(|row| row.uuid)
}

/// All bridges, real and fake.
pub(crate) fn places(tables: &Tables) -> Vec<Place> {
    let mut places = Vec::new();
    let root = root(tables).and_then(|uuid| tables.row(open_vswitch::NAME_OF_TABLE, &uuid));
    for uuid in root.iter().flat_map(|row| row.references(open_vswitch::BRIDGES)) {
        let Some(row) = tables.row(bridge::NAME_OF_TABLE, &uuid) else { continue };
        let name = row.text(bridge::NAME).unwrap_or_default().to_owned();
        places.push(Place { name, bridge: uuid, vlan: None, own_port: None });
        for row in rows_of_ports(tables, row) {
            if row.boolean(port::FAKE_BRIDGE) == Some(true)
                && let Some(vlan) = row.integer(port::TAG)
            {
                let name = row.text(port::NAME).unwrap_or_default().to_owned();
                places.push(Place { name, bridge: uuid, vlan: Some(vlan), own_port: Some(row.uuid) });
            }
        }
    }
    places
}

fn rows_of_ports<'t>(tables: &'t Tables, bridge: &'t Row) -> impl Iterator<Item = &'t Row> {
    bridge
        .references(bridge::PORTS)
        .filter_map(|uuid| tables.row(port::NAME_OF_TABLE, &uuid).map(|row| &**row))
}

/// A port's row with one of its interfaces' rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'t> {
    pub port: &'t Row,
    pub interface: &'t Row,
}

impl Member<'_> {
    pub(crate) fn name(&self) -> &str {
        self.interface.text(interface::NAME).unwrap_or_default()
    }
}

/// What is in a bridge beside its own port.
pub(crate) fn members<'t>(tables: &'t Tables, place: &Place) -> Vec<Member<'t>> {
    let Some(bridge) = tables.row(bridge::NAME_OF_TABLE, &place.bridge) else { return Vec::new() };
    let fake_vlans: Vec<i64> = rows_of_ports(tables, bridge)
        .filter(|row| row.boolean(port::FAKE_BRIDGE) == Some(true))
        .filter_map(|row| row.integer(port::TAG))
        .collect();
    let is_inside = |row: &&Row| {
        let tag = row.integer(port::TAG);
        let is_own =
            row.text(port::NAME) == Some(&place.name) || row.boolean(port::FAKE_BRIDGE) == Some(true);
        !is_own
            && match place.vlan {
                Some(vlan) => tag == Some(vlan),
                None => tag.is_none_or(|tag| !fake_vlans.contains(&tag)),
            }
    };
    let mut members = Vec::new();
    for port in rows_of_ports(tables, bridge).filter(is_inside) {
        for uuid in port.references(port::INTERFACES) {
            if let Some(interface) = tables.row(interface::NAME_OF_TABLE, &uuid) {
                members.push(Member { port, interface });
            }
        }
    }
    members
}

/// The bridge as `brctl` shows it.
pub(crate) fn shown(tables: &Tables, place: &Place) -> Bridge {
    let row = tables.row(bridge::NAME_OF_TABLE, &place.bridge);
    let own =
        tables.rows(interface::NAME_OF_TABLE).find(|row| row.text(interface::NAME) == Some(&place.name));
    let mac = own.and_then(|row| row.text(interface::MAC_IN_USE)).unwrap_or("00:00:00:00:00:00");
    let priority = row.and_then(|row| row.map_text(bridge::OTHER_CONFIG, "stp-priority"));
    let port = |member: &Member<'_>| Port {
        name: member.name().to_owned(),
        number: member.interface.integer(interface::OFPORT).and_then(|n| n.try_into().ok()).unwrap_or(0),
        mac: member.interface.text(interface::MAC_IN_USE).unwrap_or_default().to_owned(),
    };
    Bridge {
        name: place.name.clone(),
        mac: mac.replace(':', ""),
        priority: priority.and_then(|text| text.parse().ok()).unwrap_or(0x8000),
        stp: row.and_then(|row| row.boolean(bridge::STP_ENABLE)).unwrap_or(false),
        ports: members(tables, place).iter().map(port).collect(),
    }
}
