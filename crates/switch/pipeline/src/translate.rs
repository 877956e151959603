//! One translation: what is known so far, and how it begins and ends.

use std::fmt;
use std::sync::Arc;

use base::{DpPort, OfPort, TableId};
use dp::{DropReason, SlowPath};
use flow::{FlowKey, FlowMask, slot};
use ofp::Action;

use crate::effects::{Effect, Output};
use crate::freeze::{Freeze, Frozen, FrozenId, drop_internal};
use crate::request::{Error, Request, Start, Trace, Translation};
use crate::state::{BridgeView, Fragments, Miss, Port, Rule, View};
use crate::trace::{Kind, Recorder};

/// How deep resubmits to the same or an earlier table may nest.
const MAX_DEPTH: u32 = 64;
/// How many lookups one packet may cause.
const MAX_RESUBMITS: u32 = 64 * 64;
/// How many datapath actions and how many bytes of stack one packet may cause.
const MAX_ACTIONS: usize = 4096;
const MAX_STACK: usize = 65_536;

/// So many faults of one packet are told.
const MAX_FAULTS: usize = 4;

/// Translates one packet. Pure but for the numbers of frozen states.
pub fn translate(view: &dyn View, request: &Request<'_>) -> Translation {
    let Some(bridge) = view.bridge(request.bridge) else {
        return Translation::failed(request.key, Error::BridgeNotFound);
    };
    let mut context = Context::new(view, bridge, request);
    context.run(request.start);
    context.finish(request.key)
}

/// The state of one translation. Each module of this crate adds the part of
/// its `impl` that it is about.
pub(crate) struct Context<'a> {
    pub view: &'a dyn View,
    pub bridge: &'a dyn BridgeView,
    /// The packet as rules see it now.
    pub key: FlowKey,
    /// The packet as the datapath has it after `actions`.
    pub base: FlowKey,
    pub mask: FlowMask,
    pub actions: Vec<dp::Action>,
    pub effects: Vec<Effect>,
    pub frozen: Vec<Arc<FrozenId>>,
    pub record: Recorder,
    pub table: TableId,
    /// The cookie of the rule at hand, all ones where there is none.
    pub cookie: u64,
    pub depth: u32,
    pub resubmits: u32,
    pub stack: Vec<u8>,
    pub action_set: Vec<Action>,
    pub in_action_set: bool,
    pub in_packet_out: bool,
    pub is_dry: bool,
    /// No further action of the lists at hand.
    pub exit: bool,
    pub slow: SlowPath,
    pub output: Output,
    pub conntracked: bool,
    pub sflow: SflowOutput,
    /// The rule at hand.
    pub rule: Option<Arc<Rule>>,
    /// Lists of actions are being left, to go on later.
    pub freeze: Option<Freeze>,
    /// The last label was popped: what is under it is not in the key.
    pub was_mpls: bool,
    /// The mirrors that have had the packet as it is, by bit.
    pub mirrors: u32,
    /// Bytes of what is sent to a mirror, or 0 for all.
    pub mirror_snaplen: u16,
    /// The packet has just come in: nothing was looked up, and mirrors have not had it.
    pub wants_ingress_mirror: bool,
    /// The actions at hand are those of a group's bucket.
    pub in_group: bool,
    pub original_priority: u32,
    /// The key as it came, for its tunnel.
    pub original_tunnel: FlowKey,
    pub error: Option<Error>,
    /// Why the packet, or a copy of it, last went nowhere: the reason for which it is dropped if nothing is done with it.
    lost: DropReason,
    /// The trace shows ports by name.
    names_ports: bool,
    has_packet: bool,
    faults: Vec<String>,
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

/// What sFlow wants to know about where the packet went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SflowOutput {
    pub outputs: u32,
    pub last: Option<DpPort>,
    /// The place of the sampling action in the list.
    pub position: Option<usize>,
}

impl<'a> Context<'a> {
    fn new(view: &'a dyn View, bridge: &'a dyn BridgeView, request: &Request<'_>) -> Context<'a> {
        let original = request.key.clone();
        let mut key = original.clone();
        key.set_actset_output(OfPort::UNSET.0);
        Context {
            view,
            bridge,
            base: key.clone(),
            key,
            mask: FlowMask::new(),
            actions: Vec::new(),
            effects: Vec::new(),
            frozen: Vec::new(),
            record: Recorder::new(request.trace != Trace::Off),
            names_ports: request.trace == Trace::Names,
            table: TableId(0),
            cookie: u64::MAX,
            depth: 0,
            resubmits: 0,
            stack: Vec::new(),
            action_set: Vec::new(),
            in_action_set: false,
            in_packet_out: request.is_packet_out,
            is_dry: request.dry,
            exit: false,
            slow: SlowPath::default(),
            output: Output::Drop,
            conntracked: false,
            sflow: SflowOutput::default(),
            rule: None,
            freeze: None,
            was_mpls: false,
            mirrors: 0,
            mirror_snaplen: 0,
            wants_ingress_mirror: false,
            in_group: false,
            original_priority: original.skb_priority(),
            original_tunnel: original,
            error: None,
            lost: DropReason::Pipeline,
            has_packet: request.has_packet,
            faults: Vec::new(),
        }
    }

    fn run(&mut self, start: Start<'_>) {
        self.always_examined();
        let name = self.bridge.name().to_owned();
        self.record.open(Kind::Bridge, || format!("bridge(\"{name}\")"));
        let thawed = match start {
            Start::Resume(frozen) => Some(Thawed::Given(frozen)),
            Start::Lookup | Start::Actions(_) if self.key.recirc_id() == 0 => None,
            Start::Lookup | Start::Actions(_) => match self.view.thaw(self.key.recirc_id()) {
                Some(state) => Some(Thawed::Found(state)),
                None => {
                    let id = self.key.recirc_id();
                    self.fault(|| format!("Recirculation context not found for ID {id:x}"));
                    self.error = Some(Error::NoRecirculationContext);
                    return;
                }
            },
        };
        let bridge = self.bridge;
        let in_port = bridge.port(OfPort(self.key.in_port()));
        if let Some(thawed) = &thawed {
            self.thaw(thawed.state());
            if self.error.is_some() {
                return;
            }
        }
        if in_port.is_some_and(|port| self.is_mirror_output(bridge, port)) {
            let name = in_port.and_then(|port| bridge.bundle(port.bundle?)).map(|b| b.name.to_string());
            return self.lost(DropReason::MirrorOnly).fault(|| {
                format!(
                    "dropping packet received on port {}, which is reserved exclusively for mirroring",
                    name.unwrap_or_default()
                )
            });
        }
        if thawed.is_none() {
            self.add_sflow_sample();
        }
        if in_port.is_none_or(|port| self.may_receive(port)) {
            match (&thawed, start) {
                (Some(thawed), _) => {
                    self.mirror_ingress();
                    self.run_frames(&thawed.state().frames);
                }
                (None, Start::Actions(list)) => {
                    self.mirror_ingress();
                    self.run_actions(list, true);
                }
                (None, _) => self.lookup_first(),
            }
            if self.error.is_none() && self.freeze.is_none() {
                self.run_action_set();
            }
            if self.error.is_none() {
                self.finish_freezing();
            }
        } else {
            self.lost(DropReason::PortNoReceive);
        }
        self.finish_sflow_sample();
    }

    /// The first lookup of a bridge: the packet is mirrored between finding the rule and running it.
    pub(crate) fn lookup_first(&mut self) {
        self.wants_ingress_mirror = true;
        let in_port = OfPort(self.key.in_port());
        self.lookup_and_run(TableId(0), in_port, true, true, true);
    }

    /// The bits that every translation depends on.
    fn always_examined(&mut self) {
        for always in [slot::PACKET_TYPE, slot::IN_PORT, slot::RECIRC_ID, slot::DL_TYPE] {
            self.mask.add_all(always);
        }
        if self.key.is_ip() {
            self.mask.add_all(slot::NW_FRAG);
        }
    }

    fn finish(mut self, original: &FlowKey) -> Translation {
        if let Some(error) = self.error {
            self.actions = vec![dp::Action::Drop(error.drop_reason())];
            self.slow = SlowPath::default();
        } else if self.actions.is_empty() {
            self.actions.push(dp::Action::Drop(self.lost));
        } else if self.actions.len() > MAX_ACTIONS {
            self.slow = self.slow.with(SlowPath::ACTION);
        }
        finish_mask(&mut self.mask, original);
        Translation {
            actions: self.actions,
            mask: self.mask,
            effects: self.effects,
            slow: self.slow,
            output: self.output,
            frozen: self.frozen,
            trace: self.record.finish(),
            final_key: self.key,
            error: self.error,
            faults: self.faults,
        }
    }

    /// Whether the port's configuration lets packets in; STP's own frames have a flag of their own.
    pub(crate) fn may_receive(&self, port: &Port) -> bool {
        !port.flags.no_receive || self.key.dl_dst().is_reserved()
    }

    /// Looks the packet up in `table` and runs what it finds.
    ///
    /// `in_port` is what the rule shall see as port; `misses_count` says
    /// whether a packet without a rule may go to a controller, and goes on to
    /// the next table where the table is configured so.
    pub(crate) fn lookup_and_run(
        &mut self,
        table: TableId,
        in_port: OfPort,
        may_packet_in: bool,
        heeds_miss: bool,
        is_last: bool,
    ) {
        if !self.may_resubmit() {
            return;
        }
        // After the first lookup of all, the packet stays with the rule that it found.
        let is_first = std::mem::take(&mut self.wants_ingress_mirror);
        let came_from = self.table;
        let mut found_in = table;
        let rule = self.find_rule(&mut found_in, in_port, may_packet_in, heeds_miss);
        self.table = found_in;
        if let Some(rule) = rule {
            self.effects.push(Effect::CountRule(Arc::clone(&rule)));
            let opened = self.record.is_on();
            self.record_rule(&rule, table);
            let old_cookie = std::mem::replace(&mut self.cookie, rule.cookie);
            let old_rule = self.rule.replace(Arc::clone(&rule));
            let deepens = u32::from(!is_first && table <= came_from);
            self.resubmits += 1;
            self.depth += deepens;
            if is_first {
                self.mirror_ingress();
            }
            let in_group = std::mem::take(&mut self.in_group);
            self.run_actions(&rule.actions, is_last);
            self.in_group = in_group;
            self.depth -= deepens;
            if !is_first {
                self.cookie = old_cookie;
                self.rule = old_rule;
            }
            if opened {
                self.record.close();
            }
        }
        if !is_first {
            self.table = came_from;
        }
    }

    /// Whether the bounds on work admit another lookup; notes the fault if not.
    pub(crate) fn may_resubmit(&mut self) -> bool {
        let (error, text) = if self.depth >= MAX_DEPTH {
            (Error::RecursionTooDeep, format!("over max translation depth {MAX_DEPTH}"))
        } else if self.resubmits >= MAX_RESUBMITS {
            (Error::TooManyResubmits, format!("over {MAX_RESUBMITS} resubmit actions"))
        } else if self.actions.len() > 2 * MAX_ACTIONS {
            // The datapath cannot take so many, but a longer list ends no sooner.
            self.exit = true;
            return self.refuse("resubmits yielded over 64 kB of actions");
        } else if self.stack.len() >= MAX_STACK {
            (Error::StackTooDeep, "resubmits yielded over 64 kB of stack".to_owned())
        } else {
            return true;
        };
        self.error = Some(error);
        self.exit = true;
        self.refuse(&text)
    }

    fn refuse(&mut self, text: &str) -> bool {
        self.fault(|| text.to_owned());
        false
    }

    fn find_rule(
        &mut self,
        table: &mut TableId,
        in_port: OfPort,
        may_packet_in: bool,
        heeds_miss: bool,
    ) -> Option<Arc<Rule>> {
        let bridge = self.bridge;
        let fragment = self.key.nw_frag() & flow::frag::ANY != 0;
        let mut seen;
        let key = if fragment || OfPort(self.key.in_port()) != in_port {
            seen = self.key.clone();
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
            &self.key
        };
        loop {
            let found = bridge.lookup(*table, key, &mut self.mask);
            if let Some(traffic) = bridge.table_traffic(*table) {
                let matched = found.is_some();
                self.effects.push(Effect::CountTable { traffic: Arc::clone(traffic), matched });
            }
            if let Some(rule) = found {
                self.lost = DropReason::Pipeline;
                return Some(Arc::clone(rule));
            }
            self.lost = DropReason::TableMiss;
            if !heeds_miss {
                return None;
            }
            match bridge.miss(*table) {
                Miss::Continue if usize::from(table.0) + 1 < usize::from(TableId::INTERNAL.0) => table.0 += 1,
                // Off the end of the tables, the controllers are the last resort.
                Miss::Controller | Miss::Continue if may_packet_in => {
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
        if !self.record.is_on() {
            return;
        }
        let misses = self.bridge.miss_rules();
        let names = self.names_ports.then(|| self.port_names());
        self.record.open(Kind::Table, || {
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
        if rule.matching.mask.bits(slot::CONJ_ID) != 0 {
            for part in self.bridge.conjunction(table, &self.key) {
                let mut text = String::from("conj. ");
                part.matching.format(&mut text, names.as_ref(), part.priority);
                self.detail(|| text);
            }
        }
    }

    fn port_names(&self) -> fields::PortNames {
        let mut names = fields::PortNames::new();
        for port in self.bridge.ports() {
            names.insert(port.number.0, &port.name);
        }
        names
    }

    pub(crate) fn detail(&mut self, text: impl FnOnce() -> String) {
        self.record.line(Kind::Detail, text);
    }

    /// Something is wrong with the rules: told in the trace, or else to whoever keeps the log.
    pub(crate) fn fault(&mut self, text: impl FnOnce() -> String) {
        if self.record.is_on() {
            self.record.line(Kind::Error, text);
        } else if self.has_packet && self.faults.len() < MAX_FAULTS {
            let packet = crate::report::describe(&self.base, None);
            self.faults.push(format!(
                "{} on bridge {} while processing {packet}",
                text(),
                self.bridge.name()
            ));
        }
    }

    /// Notes why the packet, or a copy of it, goes nowhere here.
    pub(crate) fn lost(&mut self, reason: DropReason) -> &mut Self {
        self.lost = reason;
        self
    }

    pub(crate) fn warning(&mut self, text: impl FnOnce() -> String) {
        self.record.line(Kind::Warning, text);
    }
}

/// Actions as the trace shows them.
pub(crate) fn action_text(actions: &[Action]) -> String {
    let mut text = String::new();
    ofp::format_actions(actions, &mut text, ofp::Names::default());
    text
}

/// A rule as the trace shows it.
fn describe(rule: &Rule, names: Option<&fields::PortNames>) -> String {
    let mut text = String::new();
    rule.matching.format(&mut text, names, 0x8000);
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

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("table", &self.table).field("key", &self.key).finish_non_exhaustive()
    }
}
