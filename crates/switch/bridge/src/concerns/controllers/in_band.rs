//! In-band control: rules of a bridge's own, above all that controllers can give, by which its connections to controllers,
//! and the database server's to its managers, pass through it whatever its other rules are. Controllers do not see them;
//! `bridge/dump-flows` does.
//!
//! There are rules for remotes that have an address of IPv4. Those elsewhere are reached as usual. Who asks for a lease by DHCP
//! on the bridge's own port is let out; the answer goes there, whatever else becomes of it (`ofproto::Settings::is_in_band`).

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use base::{MacAddr, OfPort};
use flow::{FlowKey, FlowMask, SparseMatch, slot};
use ofp::{Action, Output};
use pipeline::tunnel::Underlay;
use replica::{Row, Tables};
use schema::{bridge, manager, open_vswitch};

use crate::columns::Columns;
use crate::running::{Running, RunningBridge};

/// The priorities of the rules, by what they let pass.
const DHCP_FROM_LOCAL: i32 = 180_000;
const ARP_TO_LOCAL: i32 = 180_001;
const ARP_FROM_LOCAL: i32 = 180_002;
const ARP_TO_NEXT_HOP: i32 = 180_003;
const ARP_FROM_NEXT_HOP: i32 = 180_004;
const ARP_TO_REMOTE: i32 = 180_005;
const ARP_FROM_REMOTE: i32 = 180_006;
const TCP_TO_REMOTE: i32 = 180_007;
const TCP_FROM_REMOTE: i32 = 180_008;

const ARP_REQUEST: u8 = 1;
const ARP_REPLY: u8 = 2;

/// How a bridge treats connections to controllers and managers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DesiredInBand {
    /// They pass like other traffic.
    pub is_disabled: bool,
    /// Where the database server connects to.
    pub managers: Vec<SocketAddrV4>,
    /// The queue by which they leave.
    pub queue: Option<u32>,
}

/// What a bridge has such rules for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct InBand {
    rules: Vec<(i32, SparseMatch)>,
    queue: Option<u32>,
}

/// What the database says of it; managers are the same for all bridges.
pub(crate) fn desire_in_band(rows: &Tables, root: Option<&Row>, row: &Row) -> DesiredInBand {
    let other = |key| row.map_text(bridge::OTHER_CONFIG, key);
    let managers = root.into_iter().flat_map(|root| root.references(open_vswitch::MANAGER_OPTIONS));
    let managers = managers.filter_map(|uuid| rows.row(manager::NAME_OF_TABLE, &uuid));
    let in_band = managers.filter(|row| row.text(manager::CONNECTION_MODE) != Some("out-of-band"));
    DesiredInBand {
        is_disabled: other("disable-in-band") == Some("true"),
        managers: in_band
            .filter_map(|row| remote(row.string(manager::TARGET), rpc::OVSDB_PORT))
            // Such a one is reached through no bridge.
            .filter(|remote| *remote.ip() != Ipv4Addr::LOCALHOST)
            .collect(),
        queue: other("in-band-queue").and_then(|text| text.parse().ok()),
    }
}

/// The address of a remote, if it is one of IPv4: `tcp:1.2.3.4`, `ssl:1.2.3.4:6653`; where it names no port, it has this one.
pub(super) fn remote(target: &str, default_port: u16) -> Option<SocketAddrV4> {
    let (kind, place) = target.split_once(':')?;
    if !matches!(kind, "tcp" | "ssl") {
        return None;
    }
    match place.split_once(':') {
        None => Some(SocketAddrV4::new(place.parse().ok()?, default_port)),
        Some((address, port)) => Some(SocketAddrV4::new(address.parse().ok()?, port.parse().ok()?)),
    }
}

/// A match in the making.
#[derive(Default)]
struct Matching {
    key: FlowKey,
    mask: FlowMask,
}

impl Matching {
    fn with(mut self, place: flow::Slot, value: impl Into<u128>) -> Matching {
        self.key.write(place, value.into());
        self.mask.add_all(place);
        self
    }

    fn arp(operation: u8) -> Matching {
        Matching::default().with(slot::DL_TYPE, wire::ethernet::TYPE_ARP).with(slot::NW_PROTO, operation)
    }

    fn ip(protocol: u8) -> Matching {
        Matching::default().with(slot::DL_TYPE, wire::ethernet::TYPE_IPV4).with(slot::NW_PROTO, protocol)
    }

    fn done(self) -> SparseMatch {
        SparseMatch::new(&self.key, &self.mask)
    }
}

/// The rules of a bridge whose own port has the address `local`, for `remotes` that are reached through
/// `next_hops`.
fn wanted(local: MacAddr, remotes: &[SocketAddrV4], next_hops: &[MacAddr]) -> Vec<(i32, SparseMatch)> {
    if remotes.is_empty() {
        return Vec::new();
    }
    let mac = |mac: MacAddr| u128::from(mac.to_u64());
    let mut rules = vec![
        (
            DHCP_FROM_LOCAL,
            Matching::ip(wire::protocol::UDP)
                .with(slot::IN_PORT, OfPort::LOCAL.0)
                .with(slot::DL_SRC, mac(local))
                .with(slot::TP_SRC, 68u16)
                .with(slot::TP_DST, 67u16),
        ),
        (ARP_TO_LOCAL, Matching::arp(ARP_REPLY).with(slot::DL_DST, mac(local))),
        (ARP_FROM_LOCAL, Matching::arp(ARP_REQUEST).with(slot::DL_SRC, mac(local))),
    ];
    for &hop in next_hops {
        rules.push((ARP_TO_NEXT_HOP, Matching::arp(ARP_REPLY).with(slot::DL_DST, mac(hop))));
        rules.push((ARP_FROM_NEXT_HOP, Matching::arp(ARP_REQUEST).with(slot::DL_SRC, mac(hop))));
    }
    let addresses: BTreeSet<u32> = remotes.iter().map(|remote| u32::from(*remote.ip())).collect();
    for address in addresses {
        rules.push((ARP_TO_REMOTE, Matching::arp(ARP_REPLY).with(slot::NW_DST, address)));
        rules.push((ARP_FROM_REMOTE, Matching::arp(ARP_REQUEST).with(slot::NW_SRC, address)));
    }
    for remote in remotes {
        let (address, port) = (u32::from(*remote.ip()), remote.port());
        let tcp = || Matching::ip(wire::protocol::TCP);
        rules.push((TCP_TO_REMOTE, tcp().with(slot::NW_DST, address).with(slot::TP_DST, port)));
        rules.push((TCP_FROM_REMOTE, tcp().with(slot::NW_SRC, address).with(slot::TP_SRC, port)));
    }
    rules.into_iter().map(|(priority, matching)| (priority, matching.done())).collect()
}

/// The address of a neighbour in the kernel's table, which is text: `ADDRESS TYPE FLAGS MAC MASK DEVICE`.
fn neighbour(table: &str, address: Ipv4Addr) -> Option<MacAddr> {
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = lines.filter(|words| words.first().is_some_and(|word| word.parse() == Ok(address)));
    found.filter_map(|words| words.get(3)?.parse::<MacAddr>().ok()).find(|mac| !mac.is_zero())
}

/// Whom connections through the bridge are to reach.
fn remotes_of(bridge: &RunningBridge) -> BTreeSet<SocketAddrV4> {
    let controllers = bridge.config.controllers.iter().filter(|one| one.is_in_band);
    let controllers = controllers.filter_map(|one| remote(&one.target, rpc::OPENFLOW_PORT));
    controllers.chain(bridge.config.in_band.managers.iter().copied()).collect()
}

impl Running {
    /// Gives each bridge the rules that it is to have now.
    pub(super) fn keep_in_band(&mut self) {
        let mut bridges = std::mem::take(&mut self.bridges);
        let mut known = None;
        for bridge in bridges.values_mut() {
            self.keep_in_band_of(bridge, &mut known);
        }
        self.bridges = bridges;
    }

    fn keep_in_band_of(&self, bridge: &mut RunningBridge, known: &mut Option<String>) {
        let remotes = if bridge.config.in_band.is_disabled { BTreeSet::new() } else { remotes_of(bridge) };
        let queue = bridge.config.in_band.queue;
        if remotes.is_empty() && bridge.in_band.rules.is_empty() {
            return;
        }
        let remotes: Vec<SocketAddrV4> = remotes.into_iter().collect();
        let hops = if self.below_tunnels.ignores_machine {
            Vec::new()
        } else {
            let table =
                known.get_or_insert_with(|| std::fs::read_to_string("/proc/net/arp").unwrap_or_default());
            self.next_hops(&remotes, table)
        };
        let wanted = InBand { rules: wanted(bridge.mac, &remotes, &hops), queue };
        let table = base::TableId(0);
        // Mostly all is as it was, and packets need not wait for that.
        if wanted == bridge.in_band && self.has_own_rules(bridge, table) {
            return;
        }
        let mut switch = self.switch.write();
        let Some(state) = switch.get_mut(bridge.id) else { return };
        let has_other_queue = bridge.in_band.queue != queue;
        for rule @ (priority, matching) in &bridge.in_band.rules {
            if has_other_queue || !wanted.rules.contains(rule) {
                state.remove_own_rule(table, matching, *priority);
            }
        }
        let to_queue = queue.map(Action::SetQueue);
        let normal = Action::Output(Output { port: OfPort::NORMAL, max_len: 0 });
        let actions: Vec<Action> = to_queue.into_iter().chain([normal]).collect();
        for (priority, matching) in &wanted.rules {
            // A restart or a change of the fail mode may have taken all rules.
            if state.table(table).is_none_or(|table| table.find(matching, *priority).is_none()) {
                controller::add_own_rule(state, matching.clone(), *priority, &actions, self.clock.now());
            }
        }
        state.set_settings(ofproto::Settings { is_in_band: !remotes.is_empty(), ..state.settings().clone() });
        drop(switch);
        bridge.in_band = wanted;
    }

    /// Whether the bridge has the rules that it was given.
    fn has_own_rules(&self, bridge: &RunningBridge, table: base::TableId) -> bool {
        let switch = self.switch.read();
        let table = switch.get(bridge.id).and_then(|state| state.table(table));
        let has = |table: &ofproto::Table| {
            let mut rules = bridge.in_band.rules.iter();
            rules.all(|(priority, matching)| table.find(matching, *priority).is_some())
        };
        table.is_some_and(has)
    }

    /// The link addresses of who is next on the way to each remote, as far as the kernel knows them.
    fn next_hops(&self, remotes: &[SocketAddrV4], table: &str) -> Vec<MacAddr> {
        let network = &self.below_tunnels.network;
        let hop = |remote: &SocketAddrV4| {
            let way = network.way(0, remote.ip().to_ipv6_mapped().into(), 0)?;
            let next = way.gateway.and_then(|gateway| std::net::Ipv6Addr::from(gateway).to_ipv4_mapped());
            neighbour(table, next.unwrap_or(*remote.ip()))
        };
        let hops: BTreeSet<MacAddr> = remotes.iter().filter_map(hop).collect();
        hops.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_ipv4_are_remotes() {
        let at = |text: &str| Some(text.parse().unwrap());
        assert_eq!(remote("tcp:10.0.0.1:6633", 6653), at("10.0.0.1:6633"));
        assert_eq!(remote("ssl:10.0.0.1", 6653), at("10.0.0.1:6653"));
        assert_eq!(remote("ssl:10.0.0.1", 6640), at("10.0.0.1:6640"));
        for other in ["ptcp:6653", "tcp:[fd00::1]:6653", "unix:/run/x", "tcp:"] {
            assert_eq!(remote(other, 6653), None, "{other}");
        }
    }

    #[test]
    fn what_a_controller_needs_passes() {
        let local = MacAddr([2, 0, 0, 0, 0, 1]);
        let remotes: Vec<SocketAddrV4> =
            ["10.0.0.1:6653", "10.0.0.1:6654"].map(|text| text.parse().unwrap()).to_vec();
        let rules = wanted(local, &remotes, &[MacAddr([2, 0, 0, 0, 0, 9])]);
        assert_eq!(rules.len(), 3 + 2 + 2 + 4, "addresses once, ports each");
        let passes = |key: &FlowKey| rules.iter().any(|(_, matching)| matching.matches(key));
        let mut key = FlowKey::new();
        key.set_dl_type(wire::ethernet::TYPE_IPV4);
        key.set_nw_proto(wire::protocol::TCP);
        key.set_nw_dst(0x0a00_0001);
        key.set_tp_dst(6654);
        assert!(passes(&key));
        key.set_tp_dst(80);
        assert!(!passes(&key));
        let mut key = FlowKey::new();
        key.set_dl_type(wire::ethernet::TYPE_ARP);
        key.set_nw_proto(ARP_REQUEST);
        key.set_dl_src(local);
        assert!(passes(&key));
        key.set_dl_src(MacAddr([2, 0, 0, 0, 0, 7]));
        assert!(!passes(&key));
        assert!(wanted(local, &[], &[]).is_empty());
    }

    #[test]
    fn a_neighbour_is_found_in_the_kernels_table() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
            10.0.0.1         0x1         0x0         00:00:00:00:00:00     *        eth0\n\
            10.0.0.2         0x1         0x2         02:00:00:00:00:07     *        eth0\n";
        assert_eq!(neighbour(table, Ipv4Addr::new(10, 0, 0, 2)), Some(MacAddr([2, 0, 0, 0, 0, 7])));
        assert_eq!(neighbour(table, Ipv4Addr::new(10, 0, 0, 1)), None);
        assert_eq!(neighbour("nonsense", Ipv4Addr::new(10, 0, 0, 1)), None);
    }
}
