//! Packets on their way up.

use std::sync::Arc;
use std::time::Duration;

use base::{DpPort, OfPort, Timestamp};
use dp::{Action, Cookie, DpId, DropReason, Upcall, UpcallOutcome, UpcallPacket, Userspace};
use fields::Field;
use flow::{FlowKey, FlowMask, slot};
use pipeline::tunnel::Asking;
use pipeline::{BridgeId, Credit, Effect, Network, Purpose, Request, Start, Trace, Translation};

use super::slow::{self, Addressee};
use super::{FlowSync, PacketIn, Paused, SAMPLE_OVERFLOW, Sample};
use crate::sync::Ordering;

base::coverage!(static UPCALLS = "upcall_miss");
base::coverage!(static FLOW_LIMIT_HIT = "upcall_flow_limit_hit");
base::coverage!(static CHECKED = "upcall_flow_checked");
base::coverage!(static NO_BRIDGE = "upcall_no_bridge");

/// Translates a key of a datapath, and its packet if there is one, with the trace of its way where that is the question.
/// `None` when no bridge has its port.
pub(crate) fn translate(
    network: &dyn Network,
    datapath: DpId,
    key: &FlowKey,
    packet: Option<&[u8]>,
    purpose: Purpose,
) -> Option<(BridgeId, Translation)> {
    // A packet that a controller sent may have no port; when it comes back, its state knows where it was.
    let came_back = || {
        let state = network.thaw(key.recirc_id()).filter(|_| key.recirc_id() != 0)?;
        Some((state.frozen.bridge, OfPort(state.frozen.metadata.read(slot::IN_PORT) as u32)))
    };
    let (bridge, port) = network.arrival(datapath, key).or_else(came_back)?;
    let options =
        network.bridge(bridge).filter(|_| key.has_tun_options()).map(|bridge| bridge.option_places());
    let mut seen = options.map_or_else(|| key.clone(), |places| places.to_bridge(key));
    seen.set_in_port(port.0);
    let request = Request {
        bridge,
        key: &seen,
        start: Start::Lookup,
        purpose,
        trace: if purpose == Purpose::Question { Trace::Numbers } else { Trace::Off },
        packet,
    };
    let mut translation = pipeline::translate(network, &request);
    let with_places = |mask: &FlowMask| match network.bridge(bridge) {
        Some(bridge) => bridge.option_places().mask_to_datapath(mask),
        None => mask.clone(),
    };
    if translation.mask.has_tun_options() {
        translation.mask = with_places(&translation.mask);
        translation.matched = translation.matched.map(|mask| Box::new(with_places(&mask)));
    }
    translation.mask = pipeline::installable(&translation.mask, key);
    Some((bridge, translation))
}

/// All that the packet has.
fn exact_mask(key: &FlowKey) -> FlowMask {
    let mut mask = FlowMask::new();
    let is_of_datapath = |field: &Field| {
        !field.is_register() && !matches!(field, Field::Metadata | Field::ActsetOutput | Field::ConjId)
    };
    for field in Field::all().filter(is_of_datapath) {
        if field.info().prereq.met_by(key, None) {
            field.add_to_mask(&mut mask);
        }
    }
    pipeline::installable(&mask, key)
}

/// One packet that is on its way up.
fn credit_of(upcall: &UpcallPacket<'_>) -> Credit {
    let key = upcall.key;
    let tcp_flags = if key.is_ip() && key.nw_proto() == TCP { key.tcp_flags() } else { 0 };
    Credit { packets: 1, bytes: upcall.packet.len() as u64, tcp_flags, used: upcall.now }
}

const TCP: u8 = 6;

impl Upcall for FlowSync {
    fn fence(&self) -> dp::Fence {
        self.network.fence()
    }

    fn check(&self, flow: &dp::Flow) {
        CHECKED.count();
        self.recheck(flow);
    }

    fn miss(&self, upcall: &mut UpcallPacket<'_>) -> UpcallOutcome {
        UPCALLS.count();
        // Read before translating: a change that comes in between makes the flow stale, not fresh.
        let epoch = self.network.epoch();
        let mut made = None;
        self.network.read(&mut |network| {
            let packet = Some(upcall.packet.bytes());
            let made_now = translate(network, self.id, upcall.key, packet, Purpose::Packet);
            if let Some((bridge, translation)) = made_now {
                warn_of(&translation.faults);
                self.explain(network, upcall, translation.error);
                network.apply(&translation.effects, credit_of(upcall));
                made = Some((bridge, translation));
            }
        });
        let Some((_, translation)) = made else {
            NO_BRIDGE.count();
            return UpcallOutcome::drop_packet(DropReason::Upcall);
        };
        self.hand_over(&translation.effects, upcall.packet, upcall.now);
        let install_actions = (!translation.slow.is_empty()).then(|| Arc::from([slow::action(&translation)]));
        let actions: Arc<[Action]> = translation.actions.into();
        let install = translation.error.is_none_or(pipeline::Error::may_be_cached)
            && self.track(upcall, translation.effects, translation.frozen);
        if self.network.epoch() != epoch {
            self.poke();
        }
        let is_exact = self.limits.exact.load(Ordering::Relaxed);
        let mask = if is_exact { exact_mask(upcall.key) } else { translation.mask };
        UpcallOutcome { actions, mask, install, install_actions, version: epoch }
    }

    fn has_room(&self, action: &Userspace) -> bool {
        let is_sample =
            matches!(action.cookie, Cookie::Sflow { .. } | Cookie::FlowSample { .. } | Cookie::Ipfix { .. });
        let has_room = !is_sample || self.sink.has_room_for_samples();
        if !has_room {
            self.lose_sample();
        }
        has_room
    }

    fn userspace(
        &self,
        upcall: &mut UpcallPacket<'_>,
        action: &Userspace,
        rest: &[Action],
    ) -> Option<Arc<[Action]>> {
        let taken = match &action.cookie {
            &Cookie::SlowPath(reason) => {
                if let Some(Addressee { bridge, port, protocol }) = slow::addressee(action, reason) {
                    self.sink.take(bridge, port, protocol, upcall.packet.bytes());
                    return None;
                }
                return Some(self.slow_path(upcall));
            }
            &Cookie::Controller { dont_send: true, .. } => Ok(()),
            &Cookie::Controller {
                dont_send: false,
                reason,
                continuation,
                recirc_id,
                rule_cookie,
                controller_id,
                ..
            } => {
                // How many bytes the rule asks for does not count: there are no buffers in which the rest could wait.
                self.send_up(upcall, recirc_id, |state| PacketIn {
                    bridge: state.frozen.bridge,
                    controller_id,
                    reason: ofp::PacketInReason::from_number(reason as u8),
                    table: state.frozen.table.0,
                    cookie: rule_cookie,
                    userdata: state.frozen.userdata.clone(),
                    metadata: metadata_for_controller(upcall.key, &state.frozen),
                    packet: Vec::new(),
                    paused: continuation
                        .then(|| Paused { state: Arc::clone(state), port: DpPort(upcall.key.in_port()) }),
                })
            }
            Cookie::Sflow { .. } | Cookie::FlowSample { .. } | Cookie::Ipfix { .. } => {
                self.sample(upcall, action, rest)
            }
            // Nobody is there who takes these.
            Cookie::None | Cookie::Raw(_) => Err(DropReason::UserspaceAction),
        };
        taken.err().map(|reason| Arc::from([Action::Drop(reason)]))
    }
}

/// Tells the log what is wrong with the rules.
pub(crate) fn warn_of(faults: &[String]) {
    for fault in faults {
        log::warn!(target: base::bounded!("ofproto_dpif_xlate"), "{fault}");
    }
}

/// How often at most the whole way of a packet is written to the log.
const EXPLAIN_INTERVAL: Duration = Duration::from_secs(60);

impl FlowSync {
    /// Writes the way of a packet that was dropped because of a loop of rules to the log: nothing else shows which.
    fn explain(&self, network: &dyn Network, upcall: &UpcallPacket<'_>, error: Option<pipeline::Error>) {
        let is_loop =
            matches!(error, Some(pipeline::Error::RecursionTooDeep | pipeline::Error::TooManyResubmits));
        if !is_loop || !self.explained.admits(upcall.now, EXPLAIN_INTERVAL) {
            return;
        }
        let Some((_, port)) = network.arrival(self.id, upcall.key) else { return };
        if let Some((_, translation)) = translate(network, self.id, upcall.key, None, Purpose::Question) {
            let mut key = upcall.key.clone();
            key.set_in_port(port.0);
            log::warn!(
                target: "ofproto_dpif_upcall",
                "{}",
                pipeline::report(&key, &translation, None, None)
            );
        }
    }

    /// Remembers a flow that is to be installed; false when there are too many.
    fn track(
        &self,
        upcall: &UpcallPacket<'_>,
        effects: Vec<pipeline::Effect>,
        frozen: Vec<Arc<pipeline::FrozenId>>,
    ) -> bool {
        let id = (upcall.worker, upcall.ufid);
        let is_remembered = self.flows.insert(id, effects, frozen, upcall.now, self.flow_limit());
        if !is_remembered {
            FLOW_LIMIT_HIT.count();
        }
        is_remembered
    }

    /// A packet of a flow whose actions cannot be cached: it is translated each time.
    ///
    /// The flow in the datapath counts it; here is learned only what it teaches.
    fn slow_path(&self, upcall: &UpcallPacket<'_>) -> Arc<[Action]> {
        let mut actions = None;
        let mut effects = Vec::new();
        self.network.read(&mut |network| {
            let packet = Some(upcall.packet.bytes());
            let made = translate(network, self.id, upcall.key, packet, Purpose::Packet);
            if let Some((_, translation)) = made {
                warn_of(&translation.faults);
                let taught: Vec<Effect> =
                    translation.effects.iter().filter(|effect| effect.teaches()).cloned().collect();
                network.apply(&taught, Credit { packets: 0, bytes: 0, ..credit_of(upcall) });
                actions = Some(translation.actions.into());
                effects = translation.effects;
            }
        });
        self.hand_over(&effects, upcall.packet, upcall.now);
        actions.unwrap_or_else(|| {
            NO_BRIDGE.count();
            Arc::from([Action::Drop(DropReason::UserspaceAction)])
        })
    }

    /// Hands a packet over to the protocols that its translation says it is for, and to the bridges that look into it.
    pub(crate) fn hand_over(&self, effects: &[Effect], packet: &dp::Packet, now: Timestamp) {
        for effect in effects {
            if let &Effect::Take { bridge, port, protocol } = effect {
                self.sink.take(bridge, port, protocol, packet.bytes());
            } else if let Effect::AskNeighbour(asking) = effect {
                self.ask_neighbour(asking, now);
            } else if let &Effect::Snoop(snooped) = effect {
                let mut packet = packet.clone();
                dp::offload::complete_checksum(&mut packet);
                self.network.read(&mut |network| network.snoop(snooped, packet.bytes(), now));
            }
        }
    }

    /// A sample found no room.
    fn lose_sample(&self) {
        self.lost_samples.fetch_add(1, Ordering::Relaxed);
        SAMPLE_OVERFLOW.count();
    }

    /// Sends the frame that asks for a neighbour, unless that was sent a moment ago.
    pub(crate) fn ask_neighbour(&self, asking: &Asking, now: Timestamp) {
        let mut is_new = false;
        self.network.read(&mut |network| is_new = network.ask_neighbour(asking, now));
        if is_new {
            self.sink.ask(asking.clone());
        }
    }

    /// Hands a packet over to whoever exports what `action` sampled.
    fn sample(
        &self,
        upcall: &UpcallPacket<'_>,
        action: &Userspace,
        rest: &[Action],
    ) -> Result<(), DropReason> {
        let bridge = u32::try_from(action.bridge).map(BridgeId).map_err(|_| DropReason::UserspaceAction)?;
        let is_taken = self.sink.sample(Sample {
            bridge,
            key: upcall.key.clone(),
            packet: upcall.packet.bytes().to_vec(),
            cookie: action.cookie.clone(),
            egress_tunnel: action.egress_tunnel.clone(),
            actions: rest.to_vec(),
            lost: self.lost_samples.load(Ordering::Relaxed) as u32,
        });
        if !is_taken {
            self.lose_sample();
        }
        Ok(())
    }

    /// Hands a packet over for the controllers, as `packet_in` makes it of the state that the packet was sent up with.
    fn send_up(
        &self,
        upcall: &UpcallPacket<'_>,
        recirc_id: u32,
        packet_in: impl Fn(&Arc<pipeline::FrozenId>) -> PacketIn,
    ) -> Result<(), DropReason> {
        let mut state = None;
        self.network.read(&mut |network| state = network.thaw(recirc_id));
        let state = state.ok_or(DropReason::NoRecirculationContext)?;
        // A controller gets frames as they are on a wire: what it sends back goes to any port.
        let mut frames = Vec::new();
        if dp::offload::segment(upcall.packet.clone(), &mut frames).is_err() {
            return Err(DropReason::UserspaceAction);
        }
        for frame in frames {
            self.sink.packet_in(PacketIn { packet: frame.bytes().to_vec(), ..packet_in(&state) });
        }
        Ok(())
    }
}

/// What a packet has with it now, and what only rules know of it.
fn metadata_for_controller(key: &FlowKey, frozen: &pipeline::Frozen) -> FlowKey {
    let mut metadata = key.clone();
    for word in &mut metadata.core_mut()[flow::STAGES[1]..] {
        *word = 0;
    }
    metadata.set_recirc_id(0);
    pipeline::restore_metadata(&mut metadata, &frozen.metadata);
    if !frozen.conntracked {
        metadata.set_ct_state(0);
        metadata.set_ct_zone(0);
        metadata.set_ct_mark(0);
        metadata.set_ct_label(0);
    }
    if metadata.ct_state() != 0 {
        // Who reads the original direction has to know of which protocol it is.
        metadata.set_dl_type(key.dl_type());
    }
    metadata
}
