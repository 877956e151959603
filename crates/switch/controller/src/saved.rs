//! What a restart carries over of a bridge beside the database: rules, groups, meters, settings of tables and ports,
//! addresses.
//!
//! A bridge leaves as lines of text, one thing each, and enters as such. The text is that of `ovs-ofctl`, read and
//! written without a version of OpenFlow in between: whatever version a rule came by, and whatever versions the bridge
//! allows, it comes back as the same rule. `ovs-ctl restart` is the caller, by way of the control socket.
//!
//! ```text
//! generation 7
//! fragments nx-match
//! table 2 drop evict vacancy:20,80
//! table-name 2 acl
//! port LOCAL NO_FLOOD PORT_DOWN
//! tlv-map 0x102 0x80 4 tun_metadata0                 (class, type and bytes of a tunnel's option, and its field)
//! meter meter=1 kbps bands=type=drop rate=1000
//! group group_id=1,type=all,bucket=bucket_id:0,actions=output:1
//! flow 12 priority=5,in_port=1 actions=drop          (its age in seconds)
//! address 1 0 50:54:00:00:00:05 static               (or its age in seconds)
//! ```
//!
//! A bridge that cannot be restored as a whole is left empty: it forwards nothing rather than too much.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use base::{MacAddr, OfPort, Timestamp};
use ofp::{
    FlowFlags, FlowMod, FlowModCommand, FlowStats, FlowTextKind, GroupCommand, GroupMod, MeterCommand,
    MeterConfig, MeterMod, Names, OfError, PortMod, TableMiss, TableMod, TlvMap, TlvTableMod, Vacancy,
    port_config,
};
use ofproto::Bridge;
use pipeline::{BridgeId, BridgeView, Fragments};

use crate::manager::Manager;

/// Why a bridge was not restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error("line {line}: {reason}: \"{text}\"")]
    Line { line: usize, text: String, reason: String },
    #[error("the bridge is not there")]
    NoBridge,
}

/// One line.
enum Item {
    Generation(u64),
    Fragments(Fragments),
    Table(TableMod),
    TableName(u8, String),
    Port(OfPort, u32),
    TunnelOption(TlvMap),
    Meter(MeterConfig),
    Group(Box<GroupMod>),
    Rule { age: Duration, request: Box<FlowMod> },
    Address { port: OfPort, vlan: u16, mac: MacAddr, age: Option<Duration> },
}

/// Commands about mappings of tunnels' options (`NXTTMC_*`).
const ADD_OPTIONS: u16 = 0;
const CLEAR_OPTIONS: u16 = 2;

/// The bits of a port's configuration, as `ovs-ofctl show` names them.
const PORT_CONFIG: [(&str, u32); 7] = [
    ("PORT_DOWN", port_config::PORT_DOWN),
    ("NO_STP", port_config::NO_STP),
    ("NO_RECV", port_config::NO_RECV),
    ("NO_RECV_STP", port_config::NO_RECV_STP),
    ("NO_FLOOD", port_config::NO_FLOOD),
    ("NO_FWD", port_config::NO_FWD),
    ("NO_PACKET_IN", port_config::NO_PACKET_IN),
];

const MISSES: [(&str, TableMiss); 3] =
    [("controller", TableMiss::Controller), ("continue", TableMiss::Continue), ("drop", TableMiss::Drop)];

const FRAGMENTS: [(&str, Fragments); 3] =
    [("normal", Fragments::Normal), ("drop", Fragments::Drop), ("nx-match", Fragments::NxMatch)];

impl Manager {
    /// The bridge as text; `None` when it is not there.
    pub fn save(&self, bridge: BridgeId) -> Option<String> {
        self.credit(bridge);
        let now = self.clock.now();
        let switch = self.switch.survey();
        let state = switch.get(bridge)?;
        let mut out = String::new();
        if let Some(generation) = self.bridges.get(&bridge).and_then(|control| control.generation) {
            let _ = writeln!(out, "generation {generation}");
        }
        put_settings(&mut out, state);
        put_rules(&mut out, state, now);
        for known in state.macs().entries(now) {
            let Some(port) = state.bundle(known.port).and_then(|bundle| bundle.ports.first()) else {
                continue;
            };
            let port = fields::format_port_plain(*port);
            let _ = write!(out, "address {port} {} {} ", known.vlan, known.mac);
            let _ = match known.is_static {
                true => writeln!(out, "static"),
                false => writeln!(out, "{}", known.age.as_secs()),
            };
        }
        Some(out)
    }

    /// Makes the bridge what `text` says. On an error it has no rules at all.
    pub fn restore(&mut self, bridge: BridgeId, text: &str) -> Result<(), RestoreError> {
        let name = match self.switch.read().get(bridge) {
            Some(state) => state.name().to_owned(),
            None => return Err(RestoreError::NoBridge),
        };
        self.clear(bridge);
        let is_cleared = self.map_options(bridge, CLEAR_OPTIONS, Vec::new());
        if let Err(error) = is_cleared {
            log::warn!(target: "ofproto", "{name}: tunnel options are mapped as before ({})", error.name());
        }
        let done = parse(text).and_then(|items| {
            items.into_iter().try_for_each(|(line, item)| {
                self.put(bridge, item).map_err(|error| RestoreError::Line {
                    line,
                    text: text.lines().nth(line - 1).unwrap_or_default().to_owned(),
                    reason: error.to_string(),
                })
            })
        });
        match &done {
            Ok(()) => log::info!(target: "ofproto", "{name}: restored what was saved before the restart"),
            Err(error) => {
                self.clear(bridge);
                log::error!(target: "ofproto",
                    "{name}: what was saved before the restart could not be restored, so nothing is forwarded: {error}");
            }
        }
        done
    }

    /// Removes all rules, groups and meters: nothing is forwarded.
    pub fn clear(&mut self, bridge: BridgeId) {
        let (meters, debris) = match self.switch.write().get_mut(bridge) {
            Some(state) => (state.flush(), state.take_debris()),
            None => return,
        };
        drop(debris);
        self.forget_meters(bridge, &meters);
    }

    fn put(&mut self, bridge: BridgeId, item: Item) -> Result<(), OfError> {
        let now = self.clock.now();
        let ago = |age: Duration| Timestamp::ZERO + now.since(Timestamp::ZERO + age);
        match item {
            Item::Generation(generation) => {
                if let Some(control) = self.bridges.get_mut(&bridge) {
                    control.generation = Some(generation);
                }
                return Ok(());
            }
            Item::Port(number, config) => return self.put_port(bridge, number, config),
            Item::TunnelOption(mapping) => return self.map_options(bridge, ADD_OPTIONS, vec![mapping]),
            Item::Meter(config) => {
                let request = MeterMod { command: MeterCommand::Add, config };
                let change = self.switch.meter_mod(bridge, &request, now)?;
                self.set_meters(bridge, &change);
                return Ok(());
            }
            Item::Fragments(_)
            | Item::Table(_)
            | Item::TableName(..)
            | Item::Group(_)
            | Item::Rule { .. }
            | Item::Address { .. } => {}
        }
        let mut switch = self.switch.write();
        let Some(state) = switch.get_mut(bridge) else { return Ok(()) };
        match item {
            Item::Fragments(fragments) => {
                let settings = ofproto::Settings { fragments, ..state.settings().clone() };
                state.set_settings(settings);
            }
            Item::Table(request) => state.table_mod(&request)?,
            Item::TableName(table, name) => state.name_table(base::TableId(table), &name)?,
            Item::Group(request) => {
                state.group_mod(&request, now)?;
            }
            Item::Rule { age, request } => {
                state.flow_mod(&request, ago(age))?;
            }
            Item::Address { port, vlan, mac, age } => {
                // What is behind a port that is gone is learned anew.
                let Some(bundle) = state.port_entry(port).and_then(|entry| entry.port.bundle) else {
                    return Ok(());
                };
                match age {
                    Some(age) => {
                        state.macs().learn(vlan, mac, bundle, false, ago(age));
                    }
                    None => {
                        state.macs().add_static(vlan, mac, bundle, now);
                    }
                }
            }
            Item::Generation(_) | Item::Port(..) | Item::TunnelOption(_) | Item::Meter(_) => {}
        }
        Ok(())
    }

    fn map_options(&mut self, bridge: BridgeId, command: u16, mappings: Vec<TlvMap>) -> Result<(), OfError> {
        self.change_tunnel_options(bridge, &TlvTableMod { command, mappings }).map(|_| ())
    }

    fn put_port(&mut self, bridge: BridgeId, number: OfPort, config: u32) -> Result<(), OfError> {
        let all = PORT_CONFIG.iter().fold(0, |all, (_, bit)| all | bit);
        let hw_addr = base::MacAddr::default();
        let request = PortMod { port: number, hw_addr, config, mask: all, advertise: 0 };
        match self.configure_port(bridge, &request, None) {
            // It went while the switch was away; there is nothing to configure.
            Err(OfError::OfppmfcBadPort) => Ok(()),
            other => other,
        }
    }
}

fn put_settings(out: &mut String, state: &Bridge) {
    let fragments = state.settings().fragments;
    if let Some((word, _)) = FRAGMENTS.iter().find(|(_, one)| *one == fragments) {
        let _ = writeln!(out, "fragments {word}");
    }
    for table in state.table_mods() {
        let _ = write!(out, "table {}", table.table);
        if let Some((word, _)) = MISSES.iter().find(|(_, miss)| *miss == table.miss) {
            let _ = write!(out, " {word}");
        }
        if table.eviction == Some(true) {
            out.push_str(" evict");
        }
        if table.vacancy_events == Some(true) {
            let _ = write!(out, " vacancy:{},{}", table.vacancy.down, table.vacancy.up);
        }
        out.push('\n');
    }
    for (table, name) in state.controller_table_names() {
        let _ = writeln!(out, "table-name {} {name}", table.0);
    }
    for entry in state.port_entries() {
        let _ = write!(out, "port {}", fields::format_port_plain(entry.port.number));
        for (word, _) in PORT_CONFIG.iter().filter(|(_, bit)| entry.desc.config & bit != 0) {
            let _ = write!(out, " {word}");
        }
        out.push('\n');
    }
}

/// Mappings of tunnels' options, meters, groups and rules, in an order in which nothing is named before it is there.
fn put_rules(out: &mut String, state: &Bridge, now: Timestamp) {
    for option in state.tunnel_options().iter() {
        let (class, kind, len, field) = (option.class, option.kind, option.len, option.field);
        let _ = writeln!(out, "tlv-map {class:#x} {kind:#x} {len} tun_metadata{field}");
    }
    for meter in state.meters_after(None) {
        let mut text = String::new();
        ofp::put_meter_config(&mut text, &meter.config);
        let _ = writeln!(out, "meter {}", text.trim_end().replace('\n', " "));
    }
    for group in state.groups_after(None) {
        out.push_str("group ");
        ofp::put_group_desc(out, &ofproto::group_desc(group), Names::default());
        out.push('\n');
    }
    let entries = state.tables().flat_map(ofproto::Table::entries).filter(|entry| !entry.is_hidden());
    let mut entries: Vec<&Arc<ofproto::Entry>> = entries.collect();
    // Among rules of one priority the order counts in which they were added.
    entries.sort_by_key(|entry| entry.sequence);
    for entry in entries {
        // The timeout that is to go on; the age otherwise.
        let since = match (entry.idle_timeout, entry.hard_timeout) {
            (0, 0) => entry.created,
            (0, _) => entry.modified,
            (..) => entry.used(),
        };
        let _ = write!(out, "flow {} ", now.since(since).as_secs());
        ofp::put_flow_stats(out, &stats(entry), Names::default(), false);
        out.push('\n');
    }
}

fn stats(entry: &ofproto::Entry) -> FlowStats {
    FlowStats {
        m: (&entry.rule.matching).into(),
        cookie: entry.rule.cookie,
        table: entry.rule.table.0,
        priority: u16::try_from(entry.rule.priority).unwrap_or(u16::MAX),
        idle_timeout: entry.idle_timeout,
        hard_timeout: entry.hard_timeout,
        duration_sec: 0,
        duration_nsec: 0,
        idle_age: None,
        hard_age: None,
        packet_count: 0,
        byte_count: 0,
        flags: FlowFlags(entry.flags.0 & FlowFlags::STATE.0),
        importance: entry.importance,
        actions: entry.rule.actions.to_vec(),
    }
}

/// All lines with their numbers.
fn parse(text: &str) -> Result<Vec<(usize, Item)>, RestoreError> {
    let items = text.lines().enumerate().map(|(index, line)| match parse_line(line) {
        Ok(item) => Ok((index + 1, item)),
        Err(reason) => Err(RestoreError::Line { line: index + 1, text: line.to_owned(), reason }),
    });
    items.collect()
}

fn parse_line(line: &str) -> Result<Item, String> {
    let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
    let mut words = rest.split_whitespace();
    let mut word = |what: &str| words.next().ok_or_else(|| format!("{what} is missing"));
    Ok(match keyword {
        "generation" => Item::Generation(number(word("the number")?)?),
        "fragments" => Item::Fragments(named(word("the treatment")?, &FRAGMENTS)?),
        "table" => Item::Table(table_mod(rest)?),
        "table-name" => {
            let (table, name) = rest.split_once(' ').ok_or("the name is missing")?;
            Item::TableName(number(table)?, name.to_owned())
        }
        "port" => {
            let port = port(word("the port")?)?;
            let bits = rest.split_whitespace().skip(1).filter(|word| *word != "0");
            let config = bits.map(|word| named(word, &PORT_CONFIG)).sum::<Result<u32, String>>()?;
            Item::Port(port, config)
        }
        "meter" => Item::Meter(ofp::parse_meter_config(rest).map_err(|e| e.0)?),
        "group" => {
            let parsed = ofp::parse_group_mod(rest, Some(GroupCommand::Add), Names::default());
            Item::Group(Box::new(parsed.map_err(|e| e.0)?.0))
        }
        "flow" => {
            let (age, text) = rest.split_once(' ').ok_or("the rule is missing")?;
            let kind = FlowTextKind::Mod(FlowModCommand::Add);
            let (request, _) = ofp::parse_flow_text(text, kind, Names::default()).map_err(|e| e.0)?;
            Item::Rule { age: Duration::from_secs(number(age)?), request: Box::new(request) }
        }
        "address" => Item::Address {
            port: port(word("the port")?)?,
            vlan: number(word("the VLAN")?)?,
            mac: word("the address")?.parse().map_err(|_| "this is no Ethernet address".to_owned())?,
            age: match word("the age")? {
                "static" => None,
                seconds => Some(Duration::from_secs(number(seconds)?)),
            },
        },
        "tlv-map" => Item::TunnelOption(TlvMap {
            class: hexadecimal(word("the class")?)?,
            kind: hexadecimal(word("the type")?)?,
            length: number(word("the length")?)?,
            index: number(word("the field")?.strip_prefix("tun_metadata").ok_or("this is no such field")?)?,
        }),
        _ => return Err("this is nothing that was saved of a bridge".to_owned()),
    })
}

fn table_mod(text: &str) -> Result<TableMod, String> {
    let mut words = text.split_whitespace();
    let mut request = TableMod {
        table: number(words.next().unwrap_or_default())?,
        miss: TableMiss::Default,
        eviction: None,
        eviction_flags: None,
        vacancy_events: None,
        vacancy: Vacancy::default(),
    };
    for word in words {
        if let Some((down, up)) = word.strip_prefix("vacancy:").and_then(|range| range.split_once(',')) {
            request.vacancy_events = Some(true);
            request.vacancy = Vacancy { down: number(down)?, up: number(up)?, current: 0 };
        } else if word == "evict" {
            request.eviction = Some(true);
        } else {
            request.miss = named(word, &MISSES)?;
        }
    }
    Ok(request)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no such number"))
}

/// Also a zero without a prefix, as listings have it.
fn hexadecimal<T: TryFrom<u32>>(text: &str) -> Result<T, String> {
    let value = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    value.and_then(|value| value.try_into().ok()).ok_or_else(|| format!("\"{text}\" is no such number"))
}

fn port(text: &str) -> Result<OfPort, String> {
    fields::parse_port(text, None).ok_or_else(|| format!("\"{text}\" is no port"))
}

fn named<T: Copy>(word: &str, all: &[(&str, T)]) -> Result<T, String> {
    let found = all.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| *value).ok_or_else(|| format!("\"{word}\" is unknown here"))
}
