//! What operators see of the protocols, and what they do about them.

use base::MacAddr;
use pipeline::{BridgeId, SpanningTree};

use super::ports::{Aggregate, Port};
use super::{Monitor, PortId, Step, lock};
use crate::bond::Bond;
use crate::spanning::{self, Tree};
use crate::{cfm, lacp, lldp};

impl Monitor {
    /// What `Interface.bfd_status` shows; empty where there is no session.
    pub fn bfd_status(&self, id: PortId) -> Vec<(String, String)> {
        let now = self.now();
        let mut ports = lock(&self.ports);
        let session = ports.by_id.get_mut(&id).and_then(|port| port.bfd.as_mut());
        session.map(|session| session.status(now)).unwrap_or_default()
    }

    /// What the database shows of connectivity checks; `None` where there are none.
    pub fn cfm_status(&self, id: PortId) -> Option<cfm::Status> {
        Some(lock(&self.ports).by_id.get(&id)?.cfm.as_ref()?.status())
    }

    /// The text of `cfm/show`; `None` where the interface has no session.
    pub fn show_cfm(&self, name: Option<&str>) -> Option<String> {
        let now = self.now();
        let ports = lock(&self.ports);
        let mut sessions = ports.by_id.values().filter_map(|port| Some((&port.name, port.cfm.as_ref()?)));
        match name {
            None => Some(sessions.map(|(_, cfm)| cfm.details(now)).collect()),
            Some(name) => sessions.find(|(of, _)| *of == name).map(|(_, cfm)| cfm.details(now)),
        }
    }

    /// Has a session, or all, be at fault whatever it finds, or follow what it finds. False where the interface has none.
    pub fn force_cfm(&self, name: Option<&str>, is_faulty: Option<bool>) -> bool {
        self.force(name, |port| port.cfm.as_mut().map(|session| session.force(is_faulty)).is_some())
    }

    /// What `Interface.lacp_current` shows; `None` for who is no member.
    pub fn lacp_current(&self, id: PortId) -> Option<bool> {
        let ports = lock(&self.ports);
        let mut aggregates = ports.aggregates.values().filter(|one| one.bridge() == id.bridge);
        aggregates.find_map(|one| one.lacp.as_ref()?.is_current(id.port))
    }

    /// What LACP knows and has counted of a member; `None` for who is none.
    pub fn lacp_member(&self, id: PortId) -> Option<lacp::MemberStatus> {
        let ports = lock(&self.ports);
        let mut aggregates = ports.aggregates.values().filter(|one| one.bridge() == id.bridge);
        aggregates.find_map(|one| one.lacp.as_ref()?.member_status(id.port))
    }

    /// The address of the member that a bond prefers; the outer `None` where there is no bond.
    pub fn active_mac(&self, bridge: BridgeId, port: &str) -> Option<Option<MacAddr>> {
        let ports = lock(&self.ports);
        let mut aggregates = ports.aggregates.values();
        let aggregate = aggregates.find(|one| one.bridge() == bridge && one.name == port)?;
        Some(aggregate.bond.as_ref()?.active_mac())
    }

    /// What the database shows of a bridge's spanning tree; `None` where there is none.
    pub fn spanning_status(&self, bridge: BridgeId) -> Option<spanning::Status> {
        Some(lock(&self.ports).trees.get(&bridge)?.tree.status())
    }

    /// The same of a port that takes part in one.
    pub fn spanning_port_status(&self, id: PortId) -> Option<spanning::PortStatus> {
        lock(&self.ports).trees.get(&id.bridge)?.tree.port_status(id.port)
    }

    /// The text of `stp/show` or `rstp/show`, of the bridge of this name or of all; `None` where there is none.
    pub fn show_trees(&self, kind: SpanningTree, name: Option<&str>) -> Option<String> {
        let ports = lock(&self.ports);
        let mut trees = ports.trees.values().map(|spanned| &spanned.tree).filter(|tree| tree.kind() == kind);
        match name {
            None => Some(trees.map(Tree::details).collect()),
            Some(name) => trees.find(|tree| tree.name() == name).map(Tree::details),
        }
    }

    /// Has a bridge, or all, act as if the topology had changed. False where there is no such tree.
    pub fn notify_topology_change(&self, kind: SpanningTree, name: Option<&str>) -> bool {
        let now = self.now();
        let mut ports = lock(&self.ports);
        let trees = ports.trees.iter_mut().filter(|(_, spanned)| spanned.tree.kind() == kind);
        let trees = trees.filter(|(_, spanned)| name.is_none_or(|name| spanned.tree.name() == name));
        let mut changed = Vec::new();
        for (bridge, spanned) in trees {
            spanned.tree.notify_change(now);
            changed.push(*bridge);
        }
        changed.iter().for_each(|bridge| ports.wake_tree_now(*bridge));
        drop(ports);
        self.poke();
        name.is_none() || !changed.is_empty()
    }

    /// The text of `autoattach/status`, of a bridge's ports or of all.
    pub fn show_servers(&self, bridge: Option<BridgeId>) -> String {
        self.show_discovery(bridge, lldp::Session::servers)
    }

    /// The text of `autoattach/show-isid`.
    pub fn show_services(&self, bridge: Option<BridgeId>) -> String {
        self.show_discovery(bridge, lldp::Session::services)
    }

    /// The text of `autoattach/statistics`.
    pub fn show_discovery_statistics(&self, bridge: Option<BridgeId>) -> String {
        self.show_discovery(bridge, lldp::Session::statistics)
    }

    fn show_discovery(&self, bridge: Option<BridgeId>, text: impl Fn(&lldp::Session) -> String) -> String {
        let ports = lock(&self.ports);
        let of_bridge = ports.by_id.iter().filter(|(id, _)| bridge.is_none_or(|bridge| bridge == id.bridge));
        of_bridge.filter_map(|(_, port)| port.lldp.as_ref()).map(text).collect()
    }

    /// The text of `bfd/show`; `None` where the interface has no session.
    pub fn show_bfd(&self, name: Option<&str>) -> Option<String> {
        let now = self.now();
        let mut ports = lock(&self.ports);
        let mut sessions = ports.by_id.values_mut().filter_map(|port| Some((&port.name, port.bfd.as_mut()?)));
        match name {
            None => {
                Some(sessions.map(|(name, bfd)| format!("---- {name} ----\n{}", bfd.details(now))).collect())
            }
            Some(name) => sessions.find(|(of, _)| *of == name).map(|(_, bfd)| bfd.details(now)),
        }
    }

    /// Has a session, or all, forward whatever its state is, or follow its state. False where the interface has none.
    pub fn force_bfd(&self, name: Option<&str>, forwarding: Option<bool>) -> bool {
        self.force(name, |port| port.bfd.as_mut().map(|session| session.force(forwarding)).is_some())
    }

    /// Changes the port of this name, or all, as `change` does, which says whether there is something to change.
    fn force(&self, name: Option<&str>, change: impl Fn(&mut Port) -> bool) -> bool {
        let now = self.now();
        let mut ports = lock(&self.ports);
        let of_name = ports.by_id.iter_mut().filter(|(_, port)| name.is_none_or(|name| port.name == name));
        let forced: Vec<PortId> = of_name.filter_map(|(id, port)| change(port).then_some(*id)).collect();
        let mut step = Step { has_news: true, ..Step::default() };
        for id in &forced {
            step.has_changed |= ports.refresh(*id, now);
            ports.wake_port_now(*id);
        }
        drop(ports);
        self.tell(&step);
        self.poke();
        name.is_none() || !forced.is_empty()
    }

    /// What a text of each aggregate is, or of the one of this name; `None` where there is none.
    fn show(&self, name: Option<&str>, text: impl Fn(&Aggregate) -> Option<String>) -> Option<String> {
        let ports = lock(&self.ports);
        let mut of_name = ports.aggregates.values().filter(|one| name.is_none_or(|name| one.name == name));
        match name {
            None => Some(of_name.filter_map(text).collect()),
            Some(_) => of_name.find_map(text),
        }
    }

    /// The text of `lacp/show`.
    pub fn show_lacp(&self, name: Option<&str>) -> Option<String> {
        self.show(name, |one| Some(one.lacp.as_ref()?.details()))
    }

    /// The text of `lacp/show-stats`.
    pub fn show_lacp_statistics(&self, name: Option<&str>) -> Option<String> {
        self.show(name, |one| Some(one.lacp.as_ref()?.statistics()))
    }

    /// The text of `bond/show`.
    pub fn show_bond(&self, name: Option<&str>) -> Option<String> {
        let now = self.now();
        self.show(name, |one| Some(one.bond.as_ref()?.details(now)))
    }

    /// The lines of `bond/list`.
    pub fn list_bonds(&self) -> String {
        self.show(None, |one| Some(one.bond.as_ref()?.line())).unwrap_or_default()
    }

    /// Has a bond do what an operator asks for.
    pub fn with_bond(
        &self,
        name: &str,
        act: impl FnOnce(&mut Bond) -> Result<String, String>,
    ) -> Result<String, String> {
        let mut ports = lock(&self.ports);
        let mut of_name = ports.aggregates.iter_mut().filter(|(_, one)| one.name == name);
        let found = of_name.find_map(|(number, one)| Some((*number, one.bond.as_mut()?)));
        let (number, bond) = found.ok_or("no such bond")?;
        let said = act(bond)?;
        let has_changed = bond.publish();
        ports.wake_now(number);
        drop(ports);
        self.tell(&Step { has_changed, has_news: true, ..Step::default() });
        self.poke();
        Ok(said)
    }
}
