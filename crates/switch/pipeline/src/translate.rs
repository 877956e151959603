//! How a translation begins and ends, and its walk from table to table.

use std::sync::Arc;

use base::{OfPort, TableId};
use dp::{DropReason, SlowPath};
use flow::{FlowKey, FlowMask, slot};
use wire::{ethernet, protocol};

use crate::context::{Context, Course};
use crate::effects::Effect;
use crate::exports::Export;
use crate::freeze::drop_internal;
use crate::frozen::{Frozen, FrozenId};
use crate::request::{Error, Request, Start, Trace, Translation};
use crate::sampling::{is_sample, note_forwarding};
use crate::state::{Fragments, Miss, Port, Rule};
use crate::trace::Kind;
use crate::tunnel_config::PacketTypes;
use crate::view::{BridgeView, View};

/// How deep resubmits to the same or an earlier table may nest.
const MAX_DEPTH: u32 = 64;
/// How many lookups one packet may cause.
const MAX_RESUBMITS: u32 = 64 * 64;
/// How many datapath actions and how many bytes of stack one packet may cause.
const MAX_ACTIONS: usize = 4096;
const MAX_STACK: usize = 65_536;

/// The ports of DHCP (RFC 2131 §4.1).
const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;

/// The bits by which a value that is this one, or is another one than `known`, is seen to be that.
fn told_apart(value: u16, known: u16) -> u16 {
    match value ^ known {
        0 => u16::MAX,
        difference => !(u16::MAX >> 1 >> difference.leading_zeros()),
    }
}

/// Translates one packet. Pure but for the numbers of frozen states.
pub fn translate(view: &dyn View, request: &Request<'_>) -> Translation {
    let Some(bridge) = view.bridge(request.bridge) else {
        return Translation::failed(request.key, Error::BridgeNotFound);
    };
    let mut context = Context::new(view, bridge, request);
    context.run(request.start);
    context.finish(request.key)
}

/// A lookup that the walk makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup {
    pub table: TableId,
    /// What the rule shall see as port.
    pub in_port: OfPort,
    pub on_miss: OnMiss,
    /// Nothing happens to the packet afterwards.
    pub is_last: bool,
}

impl Lookup {
    /// That of a packet that has come in by `in_port`.
    pub(crate) fn first(in_port: OfPort) -> Lookup {
        Lookup { table: TableId(0), in_port, on_miss: OnMiss::AsConfigured, is_last: true }
    }
}

/// What becomes of a packet without a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnMiss {
    /// The walk comes back with nothing done.
    Return,
    /// What the table is configured to do.
    AsConfigured,
    /// The same, but it does not go to the controllers.
    AsConfiguredButController,
}

/// Where the state to go on with comes from.
enum Thawed<'a> {
    Given(&'a Frozen),
    Found(Arc<FrozenId>),
}

impl Thawed<'_> {
    fn state(&self) -> &Frozen {
        match self {
            Thawed::Given(state) => state,
            Thawed::Found(state) => &state.frozen,
        }
    }
}

impl Context<'_> {
    fn run(&mut self, start: Start<'_>) {
        self.always_examined();
        let bridge = self.walk.bridge;
        self.out.record.open(Kind::Bridge, || format!("bridge(\"{}\")", bridge.name()));
        let thawed = match start {
            Start::Resume(frozen) => Some(Thawed::Given(frozen)),
            Start::Lookup | Start::Actions(_) if self.packet.key.recirc_id() == 0 => None,
            Start::Lookup | Start::Actions(_) => match self.view.thaw(self.packet.key.recirc_id()) {
                Some(state) => Some(Thawed::Found(state)),
                None => {
                    let id = self.packet.key.recirc_id();
                    self.fault(|| format!("Recirculation context not found for ID {id:x}"));
                    self.out.error = Some(Error::NoRecirculationContext);
                    return;
                }
            },
        };
        let in_port = bridge.port(OfPort(self.packet.key.in_port()));
        if let Some(thawed) = &thawed {
            self.thaw(thawed.state());
            if self.out.error.is_some() {
                return;
            }
        }
        if thawed.is_none() && in_port.is_some_and(|port| self.goes_to_protocol(bridge, port, start)) {
            return;
        }
        if in_port.is_some_and(|port| self.is_mirror_output(bridge, port)) {
            let bundle = in_port.and_then(|port| bridge.bundle(port.bundle?));
            return self.lost(DropReason::MirrorOnly).fault(|| {
                format!(
                    "dropping packet received on port {}, which is reserved exclusively for mirroring",
                    bundle.map_or("", |bundle| &bundle.name)
                )
            });
        }
        if thawed.is_none() {
            if let Some(port) = in_port.filter(|port| port.tunnel.is_some()) {
                let traffic = Arc::clone(&port.traffic);
                self.out.effects.push(Effect::CountTunnel { traffic, is_sent: false });
            }
            if !self.take_congestion() {
                return;
            }
            self.sample_input();
            self.see_ethernet(in_port);
        }
        let sampled = self.out.actions.len();
        if in_port.is_none_or(|port| self.may_receive(port)) {
            match (&thawed, start) {
                (Some(thawed), _) => match thawed.state() {
                    Frozen { bond: Some(bond), .. } => self.output_by_hash(*bond),
                    Frozen { lookup: Some(table), .. } => self.lookup_first(*table),
                    Frozen { frames, .. } => {
                        self.mirror_ingress();
                        self.run_frames(frames);
                    }
                },
                (None, Start::Actions(list)) => {
                    self.mirror_ingress();
                    self.run_actions(list, true);
                }
                (None, _) => self.lookup_first(TableId(0)),
            }
            if in_port.is_some_and(|port| !port.forwards()) {
                self.take_back(sampled);
                self.out.slow = SlowPath::default();
            }
            self.finish_lists();
            self.let_leases_in();
        }
        let vlan_tci = self.out.base.vlan_tci(0);
        self.out.export.finish(self.walk.bridge.exports(), vlan_tci, &mut self.out.actions);
        if thawed.is_none() {
            // What goes on from here later is of the flow, too, but was counted.
            let (key, mask, output) = (self.request.key, &mut self.out.mask, self.out.output);
            self.out.effects.extend(Export::record(bridge.exports(), key, mask, output));
        }
    }

    /// An answer of DHCP also goes to the port of a bridge that is controlled through itself, whose address it may tell.
    fn let_leases_in(&mut self) {
        let bridge = self.walk.bridge;
        if !bridge.is_in_band() || self.out.error.is_some() || self.course.freeze().is_some() {
            return;
        }
        let key = &self.packet.key;
        let (source, target) = (key.tp_src(), key.tp_dst());
        if key.dl_type() != ethernet::TYPE_IPV4 {
            return;
        }
        self.out.mask.add_all(slot::NW_PROTO);
        if key.nw_proto() != protocol::UDP {
            return;
        }
        self.out.mask.add(slot::TP_SRC, told_apart(source, DHCP_SERVER).into());
        if source != DHCP_SERVER {
            return;
        }
        self.out.mask.add(slot::TP_DST, told_apart(target, DHCP_CLIENT).into());
        let local = bridge.port(OfPort::LOCAL).and_then(|port| port.datapath);
        let has_it = |action: &dp::Action| matches!(action, dp::Action::Output(port) if Some(*port) == local);
        if target == DHCP_CLIENT && !self.out.actions.iter().any(has_it) {
            self.detail(|| "outputting DHCP packet to local port for in-band control".to_owned());
            self.output_to(OfPort::LOCAL, true);
        }
    }

    /// Rules see an Ethernet header before what comes in by a port that has none.
    fn see_ethernet(&mut self, in_port: Option<&Port>) {
        let is_l3 = in_port.is_some_and(|port| port.packet_types() == PacketTypes::LegacyL3);
        if is_l3 && self.packet.key.packet_type() != 0 {
            self.packet.begin_with_ethernet();
        }
    }

    /// Whether the packet that came in by `port` is a protocol's. The rule that it would have met counts it nevertheless.
    fn goes_to_protocol(&mut self, bridge: &dyn BridgeView, port: &Port, start: Start<'_>) -> bool {
        if !self.is_taken(bridge.id(), port) {
            return false;
        }
        if matches!(start, Start::Lookup) {
            self.look_up(&Lookup::first(port.number));
        }
        true
    }

    /// The bits that every translation depends on.
    fn always_examined(&mut self) {
        for always in [slot::PACKET_TYPE, slot::IN_PORT, slot::RECIRC_ID, slot::DL_TYPE] {
            self.out.mask.add_all(always);
        }
        if self.packet.key.is_ip() {
            self.out.mask.add_all(slot::NW_FRAG);
        }
        self.examine_tunnel();
    }

    /// The lists of actions are at their end: the action set is run, or what is left of the lists is kept.
    pub(crate) fn finish_lists(&mut self) {
        if self.out.error.is_none() && self.course.freeze().is_none() {
            self.run_action_set();
        }
        if self.out.error.is_none() {
            self.finish_freezing();
        }
    }

    fn finish(self, original: &FlowKey) -> Translation {
        let mut out = self.out;
        if let Some(error) = out.error {
            out.actions = vec![dp::Action::Drop(error.drop_reason())];
            out.slow = SlowPath::default();
        } else if out.actions.is_empty() && !out.is_taken {
            out.actions.push(dp::Action::Drop(out.lost));
        } else if out.actions.len() > MAX_ACTIONS {
            out.slow = out.slow.with(SlowPath::ACTION);
        }
        // Nobody needs what the last copy was made of.
        if matches!(out.actions.last(), Some(dp::Action::Clone(_)))
            && let Some(dp::Action::Clone(inner)) = out.actions.pop()
        {
            out.actions.extend(inner.iter().cloned());
        }
        if out.has_samples {
            let bridge = self.walk.bridge;
            let drops = bridge.exports().explicit_drops && bridge.capabilities().explicit_drop;
            if drops && out.actions.last().is_some_and(is_sample) {
                out.actions.push(dp::Action::Drop(out.lost));
            }
            note_forwarding(&mut out.actions);
        }
        // Whoever asks why the translation failed sees the registers that it looked at.
        if out.error.is_none() || !self.request.purpose.is_question() {
            finish_mask(&mut out.mask, original);
        }
        let matched = out.carries_options.then(|| Box::new(out.mask.clone()));
        if out.carries_options {
            out.mask.add_tun_options(original);
        }
        Translation {
            actions: out.actions,
            mask: out.mask,
            matched,
            effects: out.effects,
            slow: out.slow,
            competes: out.competes,
            output: out.output,
            frozen: out.frozen,
            forks: out.forks,
            trace: out.record.finish(),
            final_key: self.packet.key,
            error: out.error,
            faults: out.faults,
        }
    }

    /// Whether the port's configuration lets packets in, and spanning tree has addresses learned from them. Units of
    /// spanning tree have a flag of their own.
    pub(crate) fn may_receive(&mut self, port: &Port) -> bool {
        let flags = &port.flags;
        let is_barred = if flags.no_receive == flags.no_receive_stp {
            flags.no_receive
        } else if self.is_bpdu() {
            flags.no_receive_stp
        } else {
            flags.no_receive
        };
        if is_barred {
            self.lost(DropReason::PortNoReceive);
        } else if !port.learns() {
            self.lost(DropReason::SpanningTree);
        }
        !is_barred && port.learns()
    }

    /// The first lookup of all, or that of a packet that comes back from connection tracking: the packet is mirrored
    /// between finding the rule and running it, and stays with the rule.
    fn lookup_first(&mut self, table: TableId) {
        let lookup = Lookup { table, ..Lookup::first(OfPort(self.packet.key.in_port())) };
        let Some(rule) = self.look_up(&lookup) else { return };
        self.mirror_ingress();
        self.run_rule(&rule, true);
    }

    /// Looks the packet up, runs what it finds, and comes back to where it was.
    pub(crate) fn lookup_and_run(&mut self, lookup: &Lookup) {
        self.run_found(lookup, Self::look_up);
    }

    /// Runs what `find` finds, and comes back to where it was.
    pub(crate) fn run_found(
        &mut self,
        lookup: &Lookup,
        find: impl FnOnce(&mut Self, &Lookup) -> Option<Arc<Rule>>,
    ) {
        let kept = self.walk.clone();
        if let Some(rule) = find(self, lookup) {
            self.walk.depth += u32::from(lookup.table <= kept.table);
            self.walk.list = kept.list.outside_buckets();
            self.run_rule(&rule, lookup.is_last);
        }
        self.walk = kept;
    }

    /// The rule for the packet, at which the walk is from here on.
    pub(crate) fn look_up(&mut self, lookup: &Lookup) -> Option<Arc<Rule>> {
        if !self.may_resubmit() {
            return None;
        }
        let rule = self.find_rule(lookup)?;
        self.out.effects.push(Effect::CountRule(Arc::clone(&rule)));
        self.record_rule(&rule, lookup.table);
        self.walk.cookie = rule.cookie;
        self.walk.rule = Some(Arc::clone(&rule));
        self.out.resubmits += 1;
        Some(rule)
    }

    /// Runs the rule that [`Context::look_up`] found.
    fn run_rule(&mut self, rule: &Rule, is_last: bool) {
        let is_open = self.out.record.is_on();
        self.run_actions(&rule.actions, is_last);
        if is_open {
            self.out.record.close();
        }
    }

    /// Whether the bounds on work admit another lookup; notes the fault if not.
    pub(crate) fn may_resubmit(&mut self) -> bool {
        let (error, text) = if self.walk.depth >= MAX_DEPTH {
            (Error::RecursionTooDeep, format!("over max translation depth {MAX_DEPTH}"))
        } else if self.out.resubmits >= MAX_RESUBMITS {
            (Error::TooManyResubmits, format!("over {MAX_RESUBMITS} resubmit actions"))
        } else if self.out.actions.len() > 2 * MAX_ACTIONS {
            // The datapath cannot take so many, but a longer list ends no sooner.
            self.course = Course::Exit;
            return self.refuse("resubmits yielded over 64 kB of actions");
        } else if self.packet.stack.len() >= MAX_STACK {
            (Error::StackTooDeep, "resubmits yielded over 64 kB of stack".to_owned())
        } else {
            return true;
        };
        self.out.error = Some(error);
        self.course = Course::Exit;
        self.refuse(&text)
    }

    fn refuse(&mut self, text: &str) -> bool {
        self.fault(|| text.to_owned());
        false
    }

    /// The rule, or that which accounts for packets without one; the walk is in its table then.
    fn find_rule(&mut self, lookup: &Lookup) -> Option<Arc<Rule>> {
        let bridge = self.walk.bridge;
        let in_port = lookup.in_port;
        self.walk.table = lookup.table;
        let fragment = self.packet.key.nw_frag() & flow::frag::ANY != 0;
        let mut seen;
        let key = if fragment || OfPort(self.packet.key.in_port()) != in_port {
            seen = self.packet.key.clone();
            seen.set_in_port(in_port.0);
            if fragment {
                match bridge.fragments() {
                    Fragments::Drop => {
                        self.lost(DropReason::Fragment);
                        return Some(Arc::clone(&bridge.miss_rules().drop_fragments));
                    }
                    Fragments::Normal => {
                        seen.set_tp_src(0);
                        seen.set_tp_dst(0);
                    }
                    Fragments::NxMatch => {}
                }
            }
            &seen
        } else {
            &self.packet.key
        };
        loop {
            let table = self.walk.table;
            let found = bridge.lookup(table, key, &mut self.out.mask);
            if let Some(traffic) = bridge.table_traffic(table) {
                let matched = found.is_some();
                self.out.effects.push(Effect::CountTable { traffic: Arc::clone(traffic), matched });
            }
            if let Some(rule) = found {
                self.out.lost = DropReason::Pipeline;
                return Some(Arc::clone(rule));
            }
            self.out.lost = DropReason::TableMiss;
            if lookup.on_miss == OnMiss::Return {
                return None;
            }
            match bridge.miss(table) {
                Miss::Continue if usize::from(table.0) + 1 < usize::from(TableId::INTERNAL.0) => {
                    self.walk.table.0 += 1;
                }
                // Off the end of the tables, the controllers are the last resort.
                Miss::Controller | Miss::Continue if lookup.on_miss == OnMiss::AsConfigured => {
                    let quiet = bridge.port(OfPort(key.in_port())).is_some_and(|p| p.flags.no_packet_in);
                    let rules = bridge.miss_rules();
                    return Some(Arc::clone(if quiet { &rules.drop } else { &rules.controller }));
                }
                Miss::Controller | Miss::Continue | Miss::Drop | Miss::Default => {
                    return Some(Arc::clone(&bridge.miss_rules().drop));
                }
            }
        }
    }

    fn record_rule(&mut self, rule: &Arc<Rule>, table: TableId) {
        if !self.out.record.is_on() {
            return;
        }
        let misses = self.walk.bridge.miss_rules();
        let names = (self.request.trace == Trace::Names).then(|| self.port_names());
        self.out.record.open(Kind::Table, || {
            let text = if Arc::ptr_eq(rule, &misses.controller) {
                "No match, and a \"packet-in\" is called for.".to_owned()
            } else if Arc::ptr_eq(rule, &misses.drop) {
                "No match.".to_owned()
            } else if Arc::ptr_eq(rule, &misses.drop_fragments) {
                "Packets are IP fragments and the fragment handling mode is \"drop\".".to_owned()
            } else {
                describe(rule, names.as_ref())
            };
            format!("{:2}. {text}", table.0)
        });
        if rule.matching.mask().read(slot::CONJ_ID) != 0 {
            for part in self.walk.bridge.conjunction(table, &self.packet.key) {
                let mut text = String::from("conj. ");
                fields::Match::from(&part.matching).format(&mut text, names.as_ref(), part.priority);
                self.detail(|| text);
            }
        }
    }

    fn port_names(&self) -> fields::PortNames {
        let mut names = fields::PortNames::new();
        for port in self.walk.bridge.ports() {
            names.insert(port.number.0, &port.name);
        }
        names
    }
}

/// A rule as the trace shows it.
fn describe(rule: &Rule, names: Option<&fields::PortNames>) -> String {
    let mut text = String::new();
    fields::Match::from(&rule.matching).format(&mut text, names, 0x8000);
    if !text.is_empty() && !text.ends_with(' ') {
        text.push_str(", ");
    }
    text.push_str(&format!("priority {}", rule.priority));
    if rule.cookie != 0 {
        text.push_str(&format!(", cookie {:#x}", rule.cookie));
    }
    text
}

/// The mask with which a megaflow for `key` is to be installed: `mask`, and
/// that a packet without a VLAN tag matches only packets without one.
pub fn installable(mask: &FlowMask, key: &FlowKey) -> FlowMask {
    let mut mask = mask.clone();
    mask.add_all(slot::IN_PORT);
    if key.vlan0_tci() == 0 {
        mask.add_all(slot::VLAN0_TCI);
    }
    mask
}

/// Removes from the mask what cannot matter, so that the megaflow can be compared and printed.
fn finish_mask(mask: &mut FlowMask, key: &FlowKey) {
    // ICMP types and codes are eight bits wide.
    if matches!((key.dl_type(), key.nw_proto()), (0x0800, 1) | (0x86dd, 58)) {
        for place in [slot::TP_SRC, slot::TP_DST] {
            mask.set_bits(place, mask.bits(place) & 0xff);
        }
    }
    // A tag's bits say nothing unless it is known that the tag is there.
    for index in 0..flow::MAX_VLANS {
        let tci = flow::Slot::vlan_tci(index);
        if mask.bits(tci) != 0 {
            mask.add(tci, u128::from(flow::VLAN_CFI));
        }
    }
    drop_internal(mask);
}
