//! Requests, and the transactions that they are.

use std::fmt;

use model::{Atom, Datum, Uuid};
use replica::Transaction;
use schema::{bridge, interface, open_vswitch, port};

use super::view::{Place, members, places, root};
use crate::protocol::Errno;

/// The key of `external_ids` by which it is known whether a device of the same name is the same device.
const DEVICE: &str = "brcompat-ifindex";

/// What `brctl` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    AddBridge {
        bridge: String,
    },
    DeleteBridge {
        bridge: String,
    },
    /// `index` is the kernel's number of the device.
    AddPort {
        bridge: String,
        device: String,
        index: u32,
    },
    DeletePort {
        bridge: String,
        device: String,
    },
    SetBridge {
        bridge: String,
        key: String,
        value: String,
    },
    SetPort {
        bridge: String,
        device: String,
        key: String,
        value: String,
    },
}

/// As `brctl` has it on its command line.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::AddBridge { bridge } => write!(f, "addbr {bridge}"),
            Request::DeleteBridge { bridge } => write!(f, "delbr {bridge}"),
            Request::AddPort { bridge, device, .. } => write!(f, "addif {bridge} {device}"),
            Request::DeletePort { bridge, device } => write!(f, "delif {bridge} {device}"),
            Request::SetBridge { bridge, key, value } => write!(f, "set{key} {bridge} {value}"),
            Request::SetPort { bridge, device, key, value } => {
                write!(f, "set{key} {bridge} {device} {value}")
            }
        }
    }
}

impl Request {
    /// Puts the request into a transaction, or refuses it as the kernel would.
    pub(crate) fn apply(&self, transaction: &mut Transaction) -> Result<(), Errno> {
        match self {
            Request::AddBridge { bridge } => add_bridge(transaction, bridge)?,
            Request::DeleteBridge { bridge } => {
                let place = find(transaction, bridge).ok_or(Errno(libc::ENXIO))?;
                delete_bridge(transaction, &place);
            }
            Request::AddPort { bridge, device, index } => add_port(transaction, bridge, device, *index)?,
            Request::DeletePort { bridge, device } => {
                let place = find(transaction, bridge).ok_or(Errno(libc::ENODEV))?;
                delete_port(transaction, &place, device)?;
            }
            Request::SetBridge { bridge, key, value } => {
                let place = find(transaction, bridge).ok_or(Errno(libc::ENODEV))?;
                match key.as_str() {
                    "stp" => {
                        transaction.set(
                            bridge::NAME_OF_TABLE,
                            &place.bridge,
                            bridge::STP_ENABLE,
                            value == "true",
                        );
                    }
                    key => {
                        let column = bridge::OTHER_CONFIG;
                        transaction.set_key(bridge::NAME_OF_TABLE, &place.bridge, column, key, Some(value));
                    }
                }
            }
            Request::SetPort { bridge, device, key, value } => {
                let place = find(transaction, bridge).ok_or(Errno(libc::ENODEV))?;
                let uuid = member(transaction, &place, device).ok_or(Errno(libc::ENODEV))?.port;
                transaction.set_key(port::NAME_OF_TABLE, &uuid, port::OTHER_CONFIG, key, Some(value));
            }
        }
        if let Some(root) = root(transaction.tables()) {
            transaction.increment(open_vswitch::NAME_OF_TABLE, &root, open_vswitch::NEXT_CFG);
        }
        Ok(())
    }
}

/// The rows of a port that has one interface of this name.
struct Member {
    port: Uuid,
    interface: Uuid,
    /// The device that `brctl` added under this name.
    index: Option<u32>,
    is_alone: bool,
}

fn find(transaction: &Transaction, bridge: &str) -> Option<Place> {
    places(transaction.tables()).into_iter().find(|place| place.name == bridge)
}

fn member(transaction: &Transaction, place: &Place, device: &str) -> Option<Member> {
    let members = members(transaction.tables(), place);
    let found = members.iter().find(|member| member.name() == device)?;
    Some(Member {
        port: found.port.uuid,
        interface: found.interface.uuid,
        index: found.interface.map_text(interface::EXTERNAL_IDS, DEVICE).and_then(|text| text.parse().ok()),
        is_alone: found.port.references(port::INTERFACES).count() == 1,
    })
}

fn add_reference(transaction: &mut Transaction, table: &str, row: &Uuid, column: &str, to: Uuid) {
    let Some(old) = transaction.row(table, row) else { return };
    let mut value = old.get(column).clone();
    value.insert_all(&Datum::from(to));
    transaction.verify(table, row, column);
    transaction.set(table, row, column, value);
}

fn remove_reference(transaction: &mut Transaction, table: &str, row: &Uuid, column: &str, to: Uuid) {
    let Some(old) = transaction.row(table, row) else { return };
    let mut value = old.get(column).clone();
    value.retain(|atom, _| atom.as_uuid() != Some(to));
    transaction.verify(table, row, column);
    transaction.set(table, row, column, value);
}

/// Inserts a port with one interface of the same name; both rows.
fn insert_port(transaction: &mut Transaction, name: &str, kind: &str) -> (Uuid, Uuid) {
    let interface_row = transaction.insert(interface::NAME_OF_TABLE);
    transaction.set(interface::NAME_OF_TABLE, &interface_row, interface::NAME, Atom::from(name));
    transaction.set(interface::NAME_OF_TABLE, &interface_row, interface::TYPE, Atom::from(kind));
    let port_row = transaction.insert(port::NAME_OF_TABLE);
    transaction.set(port::NAME_OF_TABLE, &port_row, port::NAME, Atom::from(name));
    transaction.set(port::NAME_OF_TABLE, &port_row, port::INTERFACES, interface_row);
    (port_row, interface_row)
}

fn is_taken(transaction: &Transaction, name: &str) -> bool {
    let mut interfaces = transaction.rows(interface::NAME_OF_TABLE);
    interfaces.any(|row| row.text(interface::NAME) == Some(name)) || find(transaction, name).is_some()
}

fn add_bridge(transaction: &mut Transaction, name: &str) -> Result<(), Errno> {
    if name.is_empty() || name.contains('/') {
        return Err(Errno(libc::EINVAL));
    }
    if is_taken(transaction, name) {
        return Err(Errno(libc::EEXIST));
    }
    let root = match root(transaction.tables()) {
        Some(root) => root,
        None => transaction.insert(open_vswitch::NAME_OF_TABLE),
    };
    let (port_row, _) = insert_port(transaction, name, "internal");
    let row = transaction.insert(bridge::NAME_OF_TABLE);
    transaction.set(bridge::NAME_OF_TABLE, &row, bridge::NAME, Atom::from(name));
    transaction.set(bridge::NAME_OF_TABLE, &row, bridge::PORTS, port_row);
    add_reference(transaction, open_vswitch::NAME_OF_TABLE, &root, open_vswitch::BRIDGES, row);
    Ok(())
}

/// A real bridge goes with everything in it; of a fake one, its ports and itself go.
fn delete_bridge(transaction: &mut Transaction, place: &Place) {
    let Some(own_port) = place.own_port else {
        if let Some(root) = root(transaction.tables()) {
            let column = open_vswitch::BRIDGES;
            remove_reference(transaction, open_vswitch::NAME_OF_TABLE, &root, column, place.bridge);
        }
        return;
    };
    let mut ports: Vec<Uuid> =
        members(transaction.tables(), place).iter().map(|member| member.port.uuid).collect();
    ports.push(own_port);
    for uuid in ports {
        remove_reference(transaction, bridge::NAME_OF_TABLE, &place.bridge, bridge::PORTS, uuid);
    }
}

/// A device that vanished left the kernel's bridge; here its port stays and waits. So a new device of an
/// old name takes the place of the old one, in that bridge or another.
fn add_port(transaction: &mut Transaction, bridge: &str, device: &str, index: u32) -> Result<(), Errno> {
    let place = find(transaction, bridge).ok_or(Errno(libc::ENODEV))?;
    if find(transaction, device).is_some() {
        return Err(Errno(libc::ELOOP));
    }
    let all = places(transaction.tables());
    let before = all.iter().find_map(|place| Some((place, member(transaction, place, device)?)));
    if let Some((old_place, old)) = before {
        if old.index.is_none_or(|old| old == index) {
            return Err(Errno(libc::EBUSY));
        }
        if *old_place == place {
            mark(transaction, &old.interface, index);
            return Ok(());
        }
        remove_reference(transaction, bridge::NAME_OF_TABLE, &old_place.bridge, bridge::PORTS, old.port);
    } else if is_taken(transaction, device) {
        return Err(Errno(libc::EBUSY));
    }
    let (port_row, interface_row) = insert_port(transaction, device, "");
    mark(transaction, &interface_row, index);
    if let Some(vlan) = place.vlan {
        transaction.set(port::NAME_OF_TABLE, &port_row, port::TAG, Atom::from(vlan));
    }
    add_reference(transaction, bridge::NAME_OF_TABLE, &place.bridge, bridge::PORTS, port_row);
    Ok(())
}

fn mark(transaction: &mut Transaction, row: &Uuid, index: u32) {
    let (table, column) = (interface::NAME_OF_TABLE, interface::EXTERNAL_IDS);
    transaction.set_key(table, row, column, DEVICE, Some(&index.to_string()));
}

/// Of a bond no single interface can be taken.
fn delete_port(transaction: &mut Transaction, place: &Place, device: &str) -> Result<(), Errno> {
    let found = member(transaction, place, device).filter(|member| member.is_alone);
    let found = found.ok_or(Errno(libc::EINVAL))?;
    remove_reference(transaction, bridge::NAME_OF_TABLE, &place.bridge, bridge::PORTS, found.port);
    Ok(())
}
