//! Mirrors: copies of what certain ports receive or send.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::OfPort;
use fields::Match;
use flow::{Slot, slot};

use crate::context::Context;
use crate::effects::Effect;
use crate::state::{BridgeView, Bundle, BundleId, Counters, Port};
use crate::vlan::{Tags, VlanSet};

/// How many mirrors a bridge may have: each is a bit of a word.
pub const MAX_MIRRORS: usize = 32;

/// Where a mirror sends to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MirrorOutput {
    Port(BundleId),
    Vlan(u16),
}

/// A mirror.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// What it is known by where it is configured.
    pub id: u128,
    /// The ports of which it wants what they receive, and what they send.
    pub sources: BTreeSet<BundleId>,
    pub destinations: BTreeSet<BundleId>,
    /// Only these VLANs, if any are named.
    pub vlans: Option<VlanSet>,
    /// Only packets that match, if anything is asked.
    pub filter: Option<Match>,
    pub output: MirrorOutput,
    /// Bytes of each packet, if it does not get all.
    pub snaplen: Option<u16>,
    /// The mirrors, by bit, that send to the same place, itself among them: a packet is sent there once.
    pub duplicates: u32,
    pub counters: Arc<Counters>,
}

impl Mirror {
    /// Whether it does the same as `other`.
    pub fn is_same(&self, other: &Mirror) -> bool {
        let ports = |mirror: &Mirror| (mirror.id, mirror.output, mirror.snaplen);
        ports(self) == ports(other)
            && self.sources == other.sources
            && self.destinations == other.destinations
            && self.vlans == other.vlans
            && self.filter == other.filter
    }

    pub(crate) fn outputs_to(&self, bundle: BundleId) -> bool {
        self.output == MirrorOutput::Port(bundle)
    }
}

/// Fills in which mirrors send to the same place.
pub fn settle_duplicates(mirrors: &mut [Mirror]) {
    let outputs: Vec<MirrorOutput> = mirrors.iter().map(|mirror| mirror.output).collect();
    for mirror in mirrors {
        let same = outputs.iter().enumerate().filter(|(_, output)| **output == mirror.output);
        mirror.duplicates = same.fold(0, |bits, (index, _)| bits | 1 << index);
    }
}

impl Context<'_> {
    /// Copies a packet that came in to whom wants what its port receives.
    pub(crate) fn mirror_ingress(&mut self) {
        let bridge = self.walk.bridge;
        if bridge.mirrors().is_empty() {
            return;
        }
        let number = OfPort(self.packet.key.in_port());
        if let Some(bundle) = bridge.port(number).and_then(|port| bridge.bundle(port.bundle?)) {
            let wanted = wanted(bridge, |mirror| mirror.sources.contains(&bundle.id));
            self.mirror(bundle, wanted);
        } else if !matches!(number, OfPort::CONTROLLER | OfPort::NONE) {
            let number = number.0;
            self.fault(|| format!("received packet on unknown port {number}"));
        }
    }

    /// Copies a packet that goes out to whom wants what its port sends.
    pub(crate) fn mirror_egress(&mut self, port: &Port) {
        let bridge = self.walk.bridge;
        if bridge.mirrors().is_empty() {
            return;
        }
        if let Some(bundle) = port.bundle.and_then(|id| bridge.bundle(id)) {
            let wanted = wanted(bridge, |mirror| mirror.destinations.contains(&bundle.id));
            self.mirror(bundle, wanted);
        }
    }

    /// Whether a port is reserved for what mirrors send.
    pub(crate) fn is_mirror_output(&self, bridge: &dyn BridgeView, port: &Port) -> bool {
        port.bundle.is_some_and(|id| self.takes_mirrors(bridge, id))
    }

    pub(crate) fn takes_mirrors(&self, bridge: &dyn BridgeView, bundle: BundleId) -> bool {
        bridge.mirrors().iter().any(|mirror| mirror.outputs_to(bundle))
    }

    fn mirror(&mut self, bundle: &Bundle, wanted: u32) {
        let wire = Tags::of(&self.packet.key);
        self.read_vlan();
        if bundle.vlan.heeds_tags() {
            self.read_tags();
        }
        if let Err(why) = bundle.vlan.check_input(wire.0[0].vid, &bundle.name) {
            return self.fault(|| why);
        }
        let tags = bundle.vlan.input(wire);
        let bridge = self.walk.bridge;
        for (index, mirror) in bridge.mirrors().iter().enumerate() {
            // What the one before sent may have been mirrored itself.
            if wanted >> index & 1 == 0 || self.out.mirrored >> index & 1 != 0 {
                continue;
            }
            if !self.is_selected(mirror, tags) {
                continue;
            }
            self.out.mirrored |= mirror.duplicates;
            self.walk.snaplen = mirror.snaplen;
            self.send_to_mirror(mirror, tags);
            self.walk.snaplen = None;
            self.out.effects.push(Effect::CountMirror(Arc::clone(&mirror.counters)));
        }
    }

    /// Makes what is done depend on the packet's tags.
    fn read_tags(&mut self) {
        for index in 0..flow::MAX_VLANS {
            self.out.mask.add_all(Slot::vlan_tci(index));
            self.out.mask.add_all(Slot::vlan_tpid(index));
        }
    }

    fn is_selected(&mut self, mirror: &Mirror, tags: Tags) -> bool {
        if mirror.vlans.as_ref().is_some_and(|vlans| !vlans.contains(tags.0[0].vid)) {
            return false;
        }
        mirror.filter.as_ref().is_none_or(|filter| {
            self.out.mask.unite(&filter.mask);
            filter.matches(&self.packet.key)
        })
    }

    fn send_to_mirror(&mut self, mirror: &Mirror, tags: Tags) {
        let bridge = self.walk.bridge;
        match mirror.output {
            MirrorOutput::Port(id) => {
                if let Some(bundle) = bridge.bundle(id) {
                    if bundle.vlan.heeds_tags() {
                        self.read_tags();
                    }
                    self.output_to_bundle(bundle, tags, false);
                }
            }
            MirrorOutput::Vlan(vid) => {
                self.out.mask.add_all(slot::DL_DST);
                if tags.0[0].vid == vid || self.packet.key.dl_dst().is_reserved() {
                    return;
                }
                let mut moved = tags;
                moved.0[0].vid = vid;
                for bundle in bridge.bundles() {
                    if bundle.vlan.looks_at_inner_tag(moved) {
                        self.read_tags();
                    }
                    if bundle.vlan.includes(moved) && !self.takes_mirrors(bridge, bundle.id) {
                        self.output_to_bundle(bundle, moved, false);
                    }
                }
            }
        }
    }
}

fn wanted(bridge: &dyn BridgeView, wants: impl Fn(&Mirror) -> bool) -> u32 {
    let all = bridge.mirrors().iter().enumerate().filter(|(_, mirror)| wants(mirror));
    all.fold(0, |bits, (index, _)| bits | 1 << index)
}
