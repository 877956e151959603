//! The spanning trees of bridges.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::OfPort;
use pipeline::{BridgeId, SpanningPort, SpanningTree};

use super::{Port, PortId, Ports, Step, Wake};
use crate::spanning::{Outcome, Settings, Tree};

/// A bridge's spanning tree.
#[derive(Debug)]
pub(in crate::monitor) struct Spanned {
    pub tree: Tree,
    /// Whether the links of its ports are up.
    links: BTreeMap<OfPort, bool>,
    /// As it is in [`Ports::wakes`].
    pub wakes_at: i64,
}

impl Ports {
    /// Returns what the ports do, and what is to be done.
    pub(in crate::monitor) fn span(
        &mut self,
        bridge: BridgeId,
        name: &str,
        settings: Option<&Settings>,
        now: i64,
    ) -> (BTreeMap<OfPort, Arc<SpanningPort>>, Step) {
        let mut step = Step::default();
        if self
            .trees
            .get(&bridge)
            .is_some_and(|spanned| Some(spanned.tree.kind()) != settings.map(Settings::kind))
        {
            self.end_tree(bridge, &mut step);
        }
        let Some(settings) = settings else { return (BTreeMap::new(), step) };
        let fresh =
            || Spanned { tree: Tree::new(name, settings, now), links: BTreeMap::new(), wakes_at: i64::MAX };
        let spanned = self.trees.entry(bridge).or_insert_with(fresh);
        spanned.tree.configure(settings, now);
        let ports = spanned.tree.ports();
        spanned.links.retain(|port, _| ports.contains_key(port));
        self.wake_tree_now(bridge);
        (ports, step)
    }

    pub(super) fn end_tree(&mut self, bridge: BridgeId, step: &mut Step) {
        let Some(mut spanned) = self.trees.remove(&bridge) else { return };
        self.wakes.remove(&(spanned.wakes_at, Wake::Tree(bridge)));
        step.add(bridge, spanned.tree.end());
        step.has_news = true;
    }

    /// Returns whether somebody wants to know.
    pub(in crate::monitor) fn set_spanning_link(&mut self, id: PortId, has_link: bool, now: i64) -> bool {
        let Some(spanned) = self.trees.get_mut(&id.bridge) else { return false };
        if spanned.links.insert(id.port, has_link) == Some(has_link) {
            return false;
        }
        let is_heard = is_heard(&self.by_id, spanned.tree.kind(), id);
        spanned.tree.set_link(id.port, has_link && is_heard, now);
        self.wake_tree_now(id.bridge);
        true
    }

    pub(in crate::monitor) fn wake_tree_now(&mut self, bridge: BridgeId) {
        if let Some(spanned) = self.trees.get_mut(&bridge) {
            self.wakes.remove(&(spanned.wakes_at, Wake::Tree(bridge)));
            spanned.wakes_at = i64::MIN;
            self.wakes.insert((i64::MIN, Wake::Tree(bridge)));
        }
    }

    pub(super) fn run_tree(&mut self, bridge: BridgeId, now: i64, step: &mut Step) {
        let Some(spanned) = self.trees.get_mut(&bridge) else { return };
        let kind = spanned.tree.kind();
        for (port, has_link) in &spanned.links {
            let is_heard = is_heard(&self.by_id, kind, PortId { bridge, port: *port });
            spanned.tree.set_link(*port, *has_link && is_heard, now);
        }
        step.add(bridge, spanned.tree.run(now));
    }
}

impl Step {
    /// Adds what is to be done for the tree of a bridge.
    fn add(&mut self, bridge: BridgeId, out: Outcome) {
        self.frames
            .extend(out.frames.into_iter().map(|(port, frame)| (PortId { bridge, port }, frame, false)));
        self.flushes.extend(out.flushes.into_iter().map(|flush| (bridge, flush)));
        self.notes.extend(out.notes);
        self.has_changed |= out.has_changed;
        self.has_news |= out.has_news;
    }
}

/// Whether those that watch a port let a spanning tree use it: the older protocol looks at links alone, as in the reference.
fn is_heard(ports: &BTreeMap<PortId, Port>, kind: SpanningTree, id: PortId) -> bool {
    let watched = ports.get(&id).and_then(|port| port.watched.as_ref());
    kind == SpanningTree::Stp || watched.is_none_or(|watched| watched.is_up())
}
