//! The view of the switch that translation reads.
//!
//! Translation holds the switch's read lock through the view; it never
//! changes anything but the counters behind an [`Arc`], and those only
//! through the effects it returns.

use std::sync::Arc;

use base::{DpPort, MacAddr, OfPort, TableId, Timestamp};
use dp::{Capabilities, DpId};
use flow::{FlowKey, FlowMask};
use wire::geneve::GeneveOption;

use crate::effects::Effect;
use crate::exports::Exports;
use crate::frozen::{Frozen, FrozenId};
use crate::group::Group;
use crate::mirror::Mirror;
use crate::option_places::{NO_OPTIONS, OptionPlaces};
use crate::receivers::{Receivers, Snooped};
use crate::spanning::SpanningTree;
use crate::state::{
    BridgeId, Bundle, BundleId, Credit, Fragments, Miss, MissRules, Port, Rule, TableTraffic,
};
use crate::underlay::{Asking, NoUnderlay, Underlay};

/// All bridges of a switch.
pub trait View {
    fn bridge(&self, id: BridgeId) -> Option<&dyn BridgeView>;
    /// A number that stands for `frozen`: the same one for equal states, as long as somebody holds the returned handle.
    fn freeze(&self, frozen: Frozen) -> Arc<FrozenId>;
    /// The network that tunnels go through.
    fn underlay(&self) -> &dyn Underlay {
        &NoUnderlay
    }
    /// The port that is the device of this name in a bridge of this datapath, by which tunnels leave.
    fn port_of_device(&self, _datapath: DpId, _device: &str) -> Option<(BridgeId, OfPort)> {
        None
    }
    /// What [`View::freeze`] was given for this number.
    fn thaw(&self, id: u32) -> Option<Arc<FrozenId>>;
}

/// The bridges with what stands around a translation: where packets come in, and what becomes of effects.
pub trait Network: View {
    /// The bridge and OpenFlow port that a port of a datapath is; none of one that several tunnels have in common.
    fn ingress(&self, datapath: DpId, port: DpPort) -> Option<(BridgeId, OfPort)>;
    /// The bridge and OpenFlow port by which a packet of a datapath came in.
    fn arrival(&self, datapath: DpId, key: &FlowKey) -> Option<(BridgeId, OfPort)> {
        self.ingress(datapath, DpPort(key.in_port()))
    }
    /// Takes note that a neighbour is to be asked for: what [`Effect::AskNeighbour`] asks for; whether it was not before.
    fn ask_neighbour(&self, _asking: &Asking, _now: Timestamp) -> bool {
        false
    }
    /// Applies effects on behalf of the packets of `credit`.
    fn apply(&self, effects: &[Effect], credit: Credit);
    /// Takes in what a packet says that came in by `port`, of who listens to which group: what [`Effect::Snoop`] asks for.
    /// `packet` has its checksums.
    fn snoop(&self, snooped: Snooped, packet: &[u8], now: Timestamp);
}

/// The bridges as threads share them.
pub trait SharedNetwork: Send + Sync {
    /// Calls `look` with the bridges as they are; they do not change
    /// meanwhile. Afterwards rules that were learned are in force.
    fn read(&self, look: &mut dyn FnMut(&dyn Network));
    /// A number that moves whenever packets may be translated otherwise.
    fn epoch(&self) -> u64;
    /// The epoch of the last change that somebody made on purpose and may count on being in force: rules, groups, ports; and
    /// of the last one that was not of rules alone. What packets taught, and what timed out, moves the epoch alone.
    fn fence(&self) -> dp::Fence;
    /// Has `watcher` called with where the fence is now, and whenever it has moved, before anybody is told that it has.
    fn watch_fence(&self, _watcher: dp::FenceWatcher) {}
}

/// One bridge.
pub trait BridgeView {
    fn id(&self) -> BridgeId;
    fn name(&self) -> &str;
    /// The datapath below it.
    fn datapath(&self) -> DpId;
    /// The options that a tunnel of Geneve is to carry for the packet: its fields of tunnel metadata.
    fn tunnel_options(&self, _key: &FlowKey) -> Vec<GeneveOption> {
        Vec::new()
    }
    /// Where the datapath has the options that the bridge has as fields of tunnel metadata.
    fn option_places(&self) -> &OptionPlaces {
        &NO_OPTIONS
    }
    /// What the datapath below it can do.
    fn capabilities(&self) -> &Capabilities;
    fn group(&self, id: u32) -> Option<&Arc<Group>>;
    /// The number by which the datapath knows a meter.
    fn meter(&self, id: u32) -> Option<u32>;
    /// The meter for packets to controllers, by the datapath's number.
    fn controller_meter(&self) -> Option<u32>;
    /// The meter for what goes up for other reasons, by the datapath's number.
    fn slow_path_meter(&self) -> Option<u32>;
    /// At most 32.
    fn mirrors(&self) -> &[Mirror];
    /// Whether answers of DHCP go to the bridge's own port, whatever else becomes of them.
    fn is_in_band(&self) -> bool {
        false
    }
    /// Whether a controller is connected.
    fn has_controller(&self) -> bool;
    /// Whether `rule` may be learned where at most `limit` rules of its table and cookie may be.
    fn may_learn(&self, rule: &ofp::FlowMod, limit: u32) -> bool;
    /// Whether `rule` is there as it would be learned.
    fn has_learned(&self, rule: &ofp::FlowMod) -> bool;
    /// The best rule for `key` in `table`; adds to `mask` what the choice depended on.
    fn lookup(&self, table: TableId, key: &FlowKey, mask: &mut FlowMask) -> Option<&Arc<Rule>>;
    /// The rules that are the parts of the conjunction by which `key` has its rule, to explain it; often none.
    fn conjunction(&self, table: TableId, key: &FlowKey) -> Vec<Arc<Rule>>;
    fn miss(&self, table: TableId) -> Miss;
    fn table_traffic(&self, table: TableId) -> Option<&Arc<TableTraffic>>;
    /// The rules that account for packets without a rule: dropped, sent to the controllers.
    fn miss_rules(&self) -> &MissRules;
    fn fragments(&self) -> Fragments;
    fn port(&self, number: OfPort) -> Option<&Port>;
    /// In the order of their numbers.
    fn ports(&self) -> Box<dyn Iterator<Item = &Port> + '_>;
    fn bundle(&self, id: BundleId) -> Option<&Bundle>;
    /// In the order in which flooding serves them.
    fn bundles(&self) -> Box<dyn Iterator<Item = &Bundle> + '_>;
    /// Whether addresses are learned in this VLAN; otherwise its packets are flooded.
    fn learns_in(&self, _vlan: u16) -> bool {
        true
    }
    /// Where `mac` was learned in VLAN `vlan`.
    fn learned(&self, vlan: u16, mac: MacAddr) -> Option<BundleId>;
    /// Whether multicast goes only to those who are known to listen.
    fn snoops_multicast(&self) -> bool {
        false
    }
    /// Whom a packet to `group` in VLAN `vlan` is for where the bridge snoops; a group of IPv4 is given mapped
    /// ([`wire::membership::mapped`]).
    fn receivers(&self, _vlan: u16, _group: u128) -> Receivers {
        Receivers::default()
    }
    /// Whether frames to 01:80:c2:00:00:0x are forwarded like others.
    fn forwards_bpdus(&self) -> bool;
    /// By which protocol the bridge keeps loops out, if by any: its units are its own, and ports do what it says.
    fn spanning_tree(&self) -> Option<SpanningTree> {
        None
    }
    /// The name that the datapath has for the timeouts of connections in `zone`, if the database sets some.
    fn timeout_policy(&self, _zone: u16) -> Option<&str> {
        None
    }
    /// What samples its packets.
    fn exports(&self) -> &Exports;
}
