//! Mirroring: copies of what certain ports receive or send.

use std::sync::Arc;

use base::OfPort;
use flow::slot;

use crate::actions::mask_tags;
use crate::context::Context;
use crate::effects::Effect;
use crate::mirror::{Mirror, MirrorOutput};
use crate::state::{Bundle, BundleId, Port};
use crate::view::BridgeView;
use crate::vlan::Tags;

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
            mask_tags(&mut self.out.mask);
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
                        mask_tags(&mut self.out.mask);
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
                        mask_tags(&mut self.out.mask);
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
