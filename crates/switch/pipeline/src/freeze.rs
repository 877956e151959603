//! Interrupting a translation, and going on with it when the packet comes back.
//!
//! Some things are known only after the datapath, or a controller, has worked
//! on the packet: a hash, what is under an MPLS label, whether to go on at
//! all. Translation then stops ("freezes"): what is left to do is kept as a
//! [`Frozen`] state under a number, and the datapath is to look the packet
//! up again with that number in its key.

use base::{OfPort, TableId};
use dp::HashAlgorithm;
use fields::Field;
use flow::{FlowKey, FlowMask, Slot, slot, tunnel_flags};
use ofp::{Action, Resubmit, SetField};

use crate::commit::commit;
use crate::context::{Context, Course};
use crate::frozen::{Frame, Freeze, Frozen};
use crate::request::Error;
use crate::trace::{Kind, action_text};

/// An action as it is kept. Instructions become the actions that do the same,
/// as they could not stand anywhere in a list that a controller is shown; what
/// does nothing is left out.
#[expect(clippy::wildcard_enum_match_arm, reason = "all others are kept as they are")]
fn kept(action: &Action) -> Option<Action> {
    match action {
        Action::Note(_) | Action::Conjunction(_) => None,
        Action::GotoTable(table) => Some(Action::Resubmit(Resubmit {
            in_port: OfPort::IN_PORT,
            table: Some(*table),
            with_ct_orig: false,
            short: false,
        })),
        Action::WriteMetadata { metadata, mask } => {
            let (value, mask) = (u128::from(metadata & mask), u128::from(*mask));
            Some(Action::SetField(Box::new(SetField { mask, ..SetField::whole(Field::Metadata, value) })))
        }
        _ => Some(action.clone()),
    }
}

impl Context<'_> {
    /// Stops here: what follows is kept for later.
    pub(crate) fn begin_freezing(&mut self) {
        self.course = Course::Freeze(Freeze::default());
    }

    /// Whether the action at hand has begun a freeze of which nothing is kept yet.
    pub(crate) fn has_just_frozen(&self) -> bool {
        matches!(&self.course, Course::Freeze(freeze) if freeze.frames.is_empty())
    }

    /// Keeps the rest of a list.
    pub(crate) fn keep(&mut self, rest: &[Action]) {
        let (table, cookie) = (self.walk.table, self.walk.cookie);
        if let Some(freeze) = self.course.freeze() {
            freeze.frames.push(Frame { table, cookie, actions: rest.iter().filter_map(kept).collect() });
        }
    }

    /// Ends a freeze, if one is under way: the state gets its number and the packet is sent around.
    pub(crate) fn finish_freezing(&mut self) {
        let Some(freeze) = self.course.freeze() else { return };
        let mut freeze = std::mem::take(freeze);
        freeze.frames.retain(|frame| !frame.actions.is_empty());
        commit(&mut self.packet, &mut self.out);
        let state = self.state_now();
        let id = self.freeze_as(Frozen {
            frames: freeze.frames,
            has_hash: freeze.hash.is_some() || state.has_hash,
            userdata: freeze.pause.as_ref().map(|pause| pause.userdata.clone()).unwrap_or_default(),
            ..state
        });
        match freeze.pause {
            Some(_) if self.is_question() => {}
            Some(pause) => self.put_controller(id, &pause, true),
            None => {
                if let Some((algorithm, basis)) = freeze.hash {
                    let algorithm = self.known_algorithm(algorithm);
                    self.out.actions.push(dp::Action::Hash { algorithm, basis });
                }
                self.out.actions.push(dp::Action::Recirc(id));
            }
        }
        self.course = Course::On;
    }

    /// The algorithm, or the one that all datapaths know.
    fn known_algorithm(&self, algorithm: HashAlgorithm) -> HashAlgorithm {
        let most = self.walk.bridge.capabilities().max_hash_algorithm;
        if algorithm as usize > most { HashAlgorithm::L4 } else { algorithm }
    }

    /// The state of the packet, with nothing left to do.
    pub(crate) fn state_now(&mut self) -> Frozen {
        Frozen {
            bridge: self.walk.bridge.id(),
            table: self.walk.table,
            lookup: None,
            metadata: self.metadata(),
            stack: self.packet.stack.clone(),
            action_set: self.packet.action_set.clone(),
            frames: Vec::new(),
            conntracked: self.packet.conntracked,
            has_hash: self.packet.key.dp_hash() != 0,
            mirrors: self.out.mirrored,
            userdata: Vec::new(),
            bond: None,
        }
    }

    /// Keeps `state` for as long as the flow lives; its number.
    pub(crate) fn freeze_as(&mut self, state: Frozen) -> u32 {
        let state = self.view.freeze(state);
        let id = state.id;
        self.out.frozen.push(state);
        id
    }

    /// Goes on where `frozen` was interrupted.
    pub(crate) fn thaw(&mut self, frozen: &Frozen) {
        self.out.record.open(Kind::Thaw, || "thaw".to_owned());
        let Some(bridge) = self.view.bridge(frozen.bridge) else {
            self.fault(|| "Frozen bridge no longer exists.".to_owned());
            self.out.error = Some(Error::BridgeNotFound);
            return self.out.record.close();
        };
        self.walk.bridge = bridge;
        let table = frozen.lookup.unwrap_or(TableId(0));
        self.out.record.line(Kind::Thaw, || format!("Resuming from table {}", table.0));
        self.packet.conntracked = frozen.conntracked;
        if !frozen.conntracked {
            self.packet.clear_conntrack();
        }
        if frozen.bond.is_none() {
            restore_metadata(&mut self.packet.key, &frozen.metadata);
        }
        self.packet.stack = frozen.stack.clone();
        self.out.mirrored = frozen.mirrors;
        if !frozen.action_set.is_empty() {
            self.out
                .record
                .line(Kind::Thaw, || format!("Restoring action set: {}", action_text(&frozen.action_set)));
            self.packet.key.set_actset_output(OfPort::UNSET.0);
            self.packet.add_to_action_set(&frozen.action_set);
        }
        if !frozen.frames.is_empty() {
            self.out
                .record
                .line(Kind::Thaw, || format!("Restoring actions: {}", frames_text(&frozen.frames)));
        }
        self.out.record.close();
    }

    /// Runs what was left to do.
    pub(crate) fn run_frames(&mut self, frames: &[Frame]) {
        for (index, frame) in frames.iter().enumerate() {
            if self.out.error.is_some() || matches!(self.course, Course::Exit) {
                break;
            }
            self.walk.table = frame.table;
            self.walk.cookie = frame.cookie;
            if self.course.freeze().is_some() {
                self.keep(&frame.actions);
            } else {
                self.run_actions(&frame.actions, index + 1 == frames.len());
            }
        }
    }

    /// The part of the key that is not in the packet, as later translations and controllers see it.
    pub(crate) fn metadata(&mut self) -> flow::SparseKey {
        let seen = || TUNNEL.into_iter().filter(|place| !UNSEEN.contains(place));
        // Rules see one of the flags, and only packets of Geneve have it.
        let may_be_oam = self.may_be_oam();
        // A packet of a tunnel keeps its tunnel's values, so they must be those of this packet.
        if seen().any(|place| self.request.key.read(place) != 0) {
            seen().for_each(|place| self.out.mask.add_all(place));
            self.out.mask.add_tun_options(self.request.key);
        }
        let mut kept = FlowKey::new();
        for place in frozen_slots().filter(|place| !UNSEEN.contains(place)) {
            kept.write(place, self.packet.key.read(place));
        }
        if may_be_oam {
            self.out.mask.add(slot::TUN_FLAGS, tunnel_flags::OAM.into());
            kept.set_tun_flags(self.packet.key.tun_flags() & tunnel_flags::OAM);
        }
        kept.copy_tun_options(&self.packet.key);
        flow::SparseKey::from(&kept)
    }

    /// Whether the packet came out of a tunnel of a kind whose headers can say that it is about the tunnel itself.
    fn may_be_oam(&self) -> bool {
        let port = self.walk.bridge.port(OfPort(self.request.key.in_port()));
        let kind = port.and_then(|port| port.tunnel.as_ref().map(|tunnel| tunnel.kind));
        kind == Some(dp::TunnelKind::Geneve)
    }
}

/// Puts back what [`Context::metadata`] took.
pub fn restore_metadata(key: &mut FlowKey, metadata: &flow::SparseKey) {
    for place in frozen_slots() {
        key.write(place, metadata.read(place));
    }
    key.copy_tun_options(&FlowKey::from(metadata));
}

fn frozen_slots() -> impl Iterator<Item = Slot> {
    registers().chain(TUNNEL).chain([slot::IN_PORT, slot::METADATA])
}

/// All registers, four at a time.
pub(crate) fn registers() -> impl Iterator<Item = Slot> {
    (0..flow::REGISTERS / 4).map(Slot::xxregister)
}

/// Frames as the trace shows them: the table and cookie stand before what they make a difference to.
fn frames_text(frames: &[Frame]) -> String {
    let mut parts = Vec::new();
    for frame in frames {
        if frame.actions.iter().any(tells_its_table) {
            parts.push(format!("unroll_xlate(table={}, cookie={})", frame.table.0, frame.cookie));
        }
        parts.push(action_text(&frame.actions));
    }
    parts.join(",")
}

fn tells_its_table(action: &Action) -> bool {
    matches!(
        action,
        Action::OutputReg(_)
            | Action::OutputTrunc(_)
            | Action::Group(_)
            | Action::Output(_)
            | Action::Controller(_)
            | Action::DecMplsTtl
            | Action::DecNshTtl
            | Action::DecTtl(_)
    ) || matches!(action, Action::Resubmit(resubmit) if resubmit.table.is_none())
}

/// What a packet of a tunnel brings with it.
pub(crate) const TUNNEL: [Slot; 18] = [
    slot::TUN_ID,
    slot::TUN_SRC,
    slot::TUN_DST,
    slot::TUN_IPV6_SRC,
    slot::TUN_IPV6_DST,
    slot::TUN_FLAGS,
    slot::TUN_TOS,
    slot::TUN_TTL,
    slot::TUN_TP_SRC,
    slot::TUN_TP_DST,
    slot::TUN_GBP_ID,
    slot::TUN_GBP_FLAGS,
    slot::TUN_ERSPAN_VER,
    slot::TUN_ERSPAN_IDX,
    slot::TUN_ERSPAN_DIR,
    slot::TUN_ERSPAN_HWID,
    slot::TUN_GTPU_FLAGS,
    slot::TUN_GTPU_MSGTYPE,
];

/// What neither rules nor outer headers that are put on depend on: it is forgotten. The source port differs from connection to
/// connection inside, which would each have flows of its own.
const UNSEEN: [Slot; 4] = [slot::TUN_TTL, slot::TUN_TP_SRC, slot::TUN_TP_DST, slot::TUN_FLAGS];

/// What connection tracking says of a packet.
pub(crate) const CONNTRACK: [Slot; 11] = [
    slot::CT_STATE,
    slot::CT_ZONE,
    slot::CT_MARK,
    slot::CT_LABEL,
    slot::CT_NW_PROTO,
    slot::CT_NW_SRC,
    slot::CT_NW_DST,
    slot::CT_IPV6_SRC,
    slot::CT_IPV6_DST,
    slot::CT_TP_SRC,
    slot::CT_TP_DST,
];

/// Takes out of a mask what the datapath does not have: these exist for rules alone.
pub(crate) fn drop_internal(mask: &mut FlowMask) {
    for place in registers().chain([slot::METADATA, slot::ACTSET_OUTPUT, slot::CONJ_ID]) {
        mask.set_bits(place, 0);
    }
}
