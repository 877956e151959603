//! The NORMAL action: a learning switch with VLANs.

use std::sync::Arc;

use base::{MacAddr, OfPort};
use dp::{DropReason, HashAlgorithm};
use flow::{VLAN_CFI, slot};

use crate::actions::mask_tags;
use crate::bond::{Bond, Verdict};
use crate::commit::commit;
use crate::context::Context;
use crate::effects::Effect;
use crate::frozen::Frozen;
use crate::state::{Bundle, BundleId, Port};
use crate::tunnel_config::PacketTypes;
use crate::vlan::{PriorityTags, Tags, is_vlan};
use crate::way::Output;

/// By what a packet leaves through a port in the sense of the database.
enum Way {
    Port(OfPort),
    /// The member that the packet's hash chooses.
    Hash(Arc<Bond>),
    /// The same, chosen by the datapath, which knows the bond by this number; and one of the members.
    Balancer(OfPort, u32),
}

const ARP: u16 = 0x0806;
const ARP_REQUEST: u8 = 1;
const ARP_REPLY: u8 = 2;

impl Context<'_> {
    pub(crate) fn normal(&mut self, is_last: bool) {
        self.out.mask.add_all(slot::DL_SRC);
        self.out.mask.add_all(slot::DL_DST);
        self.read_vlan();

        let bridge = self.walk.bridge;
        let in_number = OfPort(self.packet.key.in_port());
        let in_bundle = bridge.port(in_number).and_then(|port| bridge.bundle(port.bundle?));
        // A packet-out may say that it comes from no port; it is then not learned from.
        if in_bundle.is_none() && in_number != OfPort::NONE {
            return self.lost(DropReason::NoBundle).warning(|| "no input bundle, dropping".to_owned());
        }
        if is_vlan(self.packet.key.dl_type()) && self.packet.key.vlan_tci(0) & VLAN_CFI == 0 {
            return self.lost(DropReason::PartialTag).warning(|| "partial VLAN tag, dropping".to_owned());
        }
        if in_bundle.is_some_and(|bundle| self.takes_mirrors(bridge, bundle.id)) {
            return self
                .lost(DropReason::MirrorOnly)
                .warning(|| "input port is mirror output port, dropping".to_owned());
        }
        let wire_tags = Tags::of(&self.packet.key);
        let tags = match in_bundle {
            None => wire_tags,
            Some(bundle) => {
                if let Err(why) = bundle.vlan.check_input(wire_tags.0[0].vid, &bundle.name) {
                    self.fault(|| why);
                    return self
                        .lost(DropReason::VlanNotAllowed)
                        .warning(|| "disallowed VLAN VID for this input port, dropping".to_owned());
                }
                if bundle.vlan.replaces_tags() && self.packet.key.vlan_count() > 0 {
                    // What was inside goes, so it matters whether there was anything, and what.
                    mask_tags(&mut self.out.mask);
                }
                bundle.vlan.input(wire_tags)
            }
        };
        if !bridge.forwards_bpdus() && self.packet.key.dl_dst().is_reserved() {
            return self
                .lost(DropReason::ReservedMac)
                .detail(|| "packet has reserved destination MAC, dropping".to_owned());
        }
        let vlan = tags.0[0].vid;
        if let Some(bundle) = in_bundle
            && !self.is_admitted(bundle, in_number, vlan)
        {
            return;
        }
        if let Some(bundle) = in_bundle
            && bridge.learns_in(vlan)
            && !self.comes_from_l3(in_number)
        {
            let gratuitous_arp_on_bond = bundle.bond.is_some() && self.is_gratuitous_arp();
            self.explain_learning(bundle, vlan);
            self.out.effects.push(Effect::LearnMac {
                bridge: bridge.id(),
                vlan,
                mac: self.packet.key.dl_src(),
                port: bundle.id,
                gratuitous_arp_on_bond,
            });
        }
        if self.is_for_listeners() {
            self.forward_to_listeners(in_bundle, vlan, tags, is_last);
        } else {
            self.forward(in_bundle, vlan, tags, is_last);
        }
    }

    /// Whether packets of the port have no Ethernet addresses of their own.
    fn comes_from_l3(&self, in_port: OfPort) -> bool {
        let port = self.walk.bridge.port(in_port);
        port.is_some_and(|port| port.packet_types() == PacketTypes::LegacyL3)
    }

    /// Says in the trace of a packet what is learned from its source.
    fn explain_learning(&mut self, bundle: &Bundle, vlan: u16) {
        let mac = self.packet.key.dl_src();
        if self.out.record.is_on()
            && self.request.packet.is_some()
            && !mac.is_multicast()
            && self.walk.bridge.learned(vlan, mac) != Some(bundle.id)
        {
            self.detail(|| format!("learned that {mac} is on port {} in VLAN {vlan}", bundle.name));
        }
    }

    /// Whether a bond takes a packet from this member.
    fn is_admitted(&mut self, bundle: &Bundle, member: OfPort, vlan: u16) -> bool {
        let Some(bond) = &bundle.bond else { return true };
        let why = match bond.state().admit(member, self.packet.key.dl_dst()) {
            Verdict::Accept => return true,
            Verdict::Drop => "bonding refused admissibility, dropping",
            Verdict::DropIfMoved => {
                let is_moved = self.source_of(vlan).is_some_and(|known| known != bundle.id);
                // Its sender has moved to another switch, which says so.
                if !is_moved || self.is_gratuitous_arp() {
                    return true;
                }
                "SLB bond thinks this packet looped back, dropping"
            }
        };
        self.lost(DropReason::BondRefused).detail(|| why.to_owned());
        false
    }

    /// Whether the packet only says where its sender is.
    fn is_gratuitous_arp(&mut self) -> bool {
        let key = &self.packet.key;
        if key.dl_type() != ARP {
            return false;
        }
        for place in [slot::DL_DST, slot::NW_PROTO, slot::NW_SRC, slot::NW_DST] {
            self.out.mask.add_all(place);
        }
        let is_said_to_all = key.dl_dst() == MacAddr::BROADCAST;
        match key.nw_proto() {
            ARP_REPLY => is_said_to_all,
            ARP_REQUEST => is_said_to_all && key.nw_src() == key.nw_dst(),
            _ => false,
        }
    }

    /// By what a packet leaves through a bond, in `vlan` on the wire.
    fn choose_way(&mut self, bond: &Arc<Bond>, vlan: u16) -> Option<Way> {
        let state = bond.state();
        let can = self.walk.bridge.capabilities();
        let is_patch =
            |member: &OfPort| self.walk.bridge.port(*member).is_some_and(|port| port.peer.is_some());
        if can.recirc && state.is_chosen_by_hash() && !state.enabled.iter().any(is_patch) {
            return match state.balancer.filter(|_| can.lb_output) {
                Some(balancer) => state.enabled.first().map(|member| Way::Balancer(*member, balancer)),
                None => Some(Way::Hash(Arc::clone(bond))),
            };
        }
        let (member, bucket) = state.choose(&self.packet.key, vlan, &mut self.out.mask)?;
        if let Some(bucket) = bucket {
            self.out.effects.push(Effect::CountBond { bond: Arc::clone(bond), bucket });
        }
        Some(Way::Port(member))
    }

    /// Has the datapath compute the packet's hash and look it up again: so one flow serves all connections.
    fn send_around(&mut self, bundle: BundleId, bond: &Bond) {
        commit(&mut self.packet, &mut self.out);
        let state = self.view.freeze(Frozen {
            bridge: self.walk.bridge.id(),
            table: self.walk.table,
            lookup: None,
            metadata: flow::SparseKey::default(),
            stack: Vec::new(),
            action_set: Vec::new(),
            frames: Vec::new(),
            conntracked: false,
            has_hash: true,
            // Mirrors have had it, or get it when it leaves.
            mirrors: self.out.mirrored,
            userdata: Vec::new(),
            bond: Some(bundle),
        });
        bond.set_recirc_id(state.id);
        self.out.actions.push(dp::Action::Hash { algorithm: HashAlgorithm::L4, basis: bond.state().basis });
        self.out.actions.push(dp::Action::Recirc(state.id));
        self.out.frozen.push(state);
    }

    /// What [`Context::send_around`] left: the datapath knows the packet's hash now.
    pub(crate) fn output_by_hash(&mut self, bundle: BundleId) {
        let bridge = self.walk.bridge;
        let Some(bond) = bridge.bundle(bundle).and_then(|bundle| bundle.bond.as_ref()) else {
            self.lost(DropReason::NoBundle);
            return;
        };
        let state = bond.state();
        if !state.is_chosen_by_hash() {
            self.lost(DropReason::NoOutputPort);
            return;
        }
        self.out.mask.add(slot::DP_HASH, 0xff);
        let bucket = self.packet.key.dp_hash() as u8;
        let Some(member) = state.buckets.get(usize::from(bucket)).copied().flatten() else {
            self.lost(DropReason::NoOutputPort);
            return;
        };
        self.out.effects.push(Effect::CountBond { bond: Arc::clone(bond), bucket });
        self.output_to(member, true);
    }

    /// Where the source is known to be, by what was learned before or earlier in this translation, which may have come
    /// here again through patch ports.
    fn source_of(&self, vlan: u16) -> Option<BundleId> {
        let (here, source) = (self.walk.bridge.id(), self.packet.key.dl_src());
        let just_learned = self.out.effects.iter().find_map(|effect| {
            let Effect::LearnMac { bridge, vlan: of, mac, port, .. } = effect else { return None };
            ((*bridge, *of, *mac) == (here, vlan, source)).then_some(*port)
        });
        just_learned.or_else(|| self.walk.bridge.learned(vlan, source))
    }

    /// To where the destination was learned, else to all.
    fn forward(&mut self, in_bundle: Option<&Bundle>, vlan: u16, tags: Tags, is_last: bool) {
        let bridge = self.walk.bridge;
        let in_id = in_bundle.map(|bundle| bundle.id);
        match bridge.learned(vlan, self.packet.key.dl_dst()) {
            None => {
                self.detail(|| "no learned MAC for destination, flooding".to_owned());
                self.flood_bundles(in_id, tags, is_last);
            }
            Some(id) if self.takes_mirrors(bridge, id) => {
                self.lost(DropReason::MirrorOnly)
                    .warning(|| "learned port is a mirror port, dropping".to_owned());
            }
            Some(id) if Some(id) == in_id => {
                self.lost(DropReason::SamePort).detail(|| "learned port is input port, dropping".to_owned());
            }
            Some(id) => match bridge.bundle(id) {
                Some(bundle) => {
                    self.detail(|| "forwarding to learned port".to_owned());
                    self.output_to_bundle(bundle, tags, is_last);
                }
                None => {
                    self.lost(DropReason::NoBundle)
                        .warning(|| "learned port is unknown, dropping".to_owned());
                }
            },
        }
    }

    /// Makes what follows depend on the VLAN, and in VLAN 0 on whether the tag says anything at all.
    pub(crate) fn read_vlan(&mut self) {
        self.out.mask.add(slot::VLAN0_TCI, u128::from(0x0fff | VLAN_CFI));
        if self.packet.key.vlan_tci(0) & 0x0fff == 0 && self.packet.key.vlan_count() > 0 {
            self.out.mask.add_all(slot::VLAN0_TCI);
        }
    }

    pub(crate) fn flood_bundles(&mut self, in_id: Option<BundleId>, tags: Tags, is_last: bool) {
        let bridge = self.walk.bridge;
        let has_tree = bridge.spanning_tree().is_some();
        let forwards = |number: &OfPort| bridge.port(*number).is_none_or(Port::forwards);
        let candidates: Vec<&Bundle> = bridge
            .bundles()
            .filter(|bundle| Some(bundle.id) != in_id && bundle.floodable)
            .filter(|bundle| !has_tree || bundle.ports.iter().all(forwards))
            .filter(|bundle| !bridge.mirrors().iter().any(|mirror| mirror.outputs_to(bundle.id)))
            .collect();
        if candidates.iter().any(|bundle| bundle.vlan.looks_at_inner_tag(tags)) {
            self.out.mask.add_all(slot::VLAN1_TCI);
        }
        let mut targets = candidates.into_iter().filter(|bundle| bundle.vlan.includes(tags)).peekable();
        while let Some(bundle) = targets.next() {
            self.output_to_bundle(bundle, tags, is_last && targets.peek().is_none());
        }
        self.out.output = Output::Flood;
    }

    pub(crate) fn output_to_bundle(&mut self, bundle: &Bundle, tags: Tags, is_last: bool) {
        let has_tags = self.packet.key.vlan_count() > 0;
        let mut out = bundle.vlan.output(tags);
        if bundle.vlan.priority_tags != PriorityTags::Never {
            out.0[0].pcp = self.packet.key.vlan_tci(0) & 0xe000;
        }
        let way = match &bundle.bond {
            None => bundle.ports.first().copied().map(Way::Port),
            Some(bond) => self.choose_way(bond, out.0[0].vid),
        };
        let Some(way) = way else {
            self.lost(DropReason::NoOutputPort);
            return;
        };
        let kept: [(u16, u16); flow::MAX_VLANS] =
            std::array::from_fn(|i| (self.packet.key.vlan_tpid(i), self.packet.key.vlan_tci(i)));
        out.put(&mut self.packet.key, bundle.vlan.priority_tags);
        // Where the outer tag goes, it matters whether there is one inside: that of a VLAN, or one of VLAN 0.
        if has_tags && (bundle.vlan.pops(tags) || self.packet.key.vlan_tci(0) & VLAN_CFI == 0) {
            self.out.mask.add_all(slot::VLAN1_TCI);
        }
        match way {
            Way::Port(number) => self.output_to(number, is_last),
            Way::Hash(bond) => self.send_around(bundle.id, &bond),
            Way::Balancer(member, balancer) => self.output_balanced(member, balancer, is_last),
        }
        for (index, (tpid, tci)) in kept.into_iter().enumerate() {
            self.packet.key.set_vlan(index, tpid, tci);
        }
    }
}
