//! The port role selection machine (clause 17.28): which port is for what.

use super::port::{Info, Port};
use super::{Bridge, Role};
use crate::tree::{Flush, Vector, address};

impl Bridge {
    /// updtRolesTree (clause 17.21.25).
    pub(super) fn select_roles(&mut self) {
        let (own, own_address) = (self.id, address(self.id));
        let heard = self.ports.values().filter(|port| port.info == Info::Received);
        let elsewhere = heard.filter(|port| address(port.port_priority.bridge) != own_address);
        let mine = Vector { root: own, cost: 0, bridge: own, port: 0 };
        let best = elsewhere.min_by_key(|port| (port.path(), port.id)).filter(|port| port.path() < mine);
        let bridge_times = self.settings.times();
        let before = self.root_port;
        let way_before = (self.root.root, self.root.cost);
        (self.root, self.root_port, self.root_times) = match best {
            None => (mine, None, bridge_times),
            Some(port) => {
                let mut times = port.port_times;
                times.message_age = times.message_age.saturating_add(1);
                (port.path(), Some(port.number), times)
            }
        };
        let was_alternate = best.is_some_and(|port| port.role == Role::Alternate);
        if was_alternate
            && let (Some(old), Some(new)) = (before, self.root_port)
            && let (Some(old), Some(new)) = (self.ports.get(&old), self.ports.get(&new))
            && old.number != new.number
        {
            // What was reached by way of the old root port is reached by way of the new one.
            self.out.flush(Flush::Move { from: old.of, to: new.of });
        }
        let (root, root_port) = (self.root, self.root_port);
        let is_worse = self.settings.is_rapid && (root.root, root.cost) > way_before;
        let designated_times = super::Times { hello: bridge_times.hello, ..self.root_times };
        for port in self.ports.values_mut() {
            port.designated_priority =
                Vector { root: root.root, cost: root.cost, bridge: own, port: port.id };
            port.designated_times = designated_times;
            port.select_role(root_port, own_address);
            // Who agreed to a better way may lie on the way that is taken now.
            port.sync |= is_worse;
        }
    }
}

impl Port {
    /// What a path through it leads to.
    fn path(&self) -> Vector {
        Vector { cost: self.port_priority.cost.saturating_add(self.settings.cost), ..self.port_priority }
    }

    fn select_role(&mut self, root_port: Option<u16>, own: base::MacAddr) {
        let is_better = self.designated_priority < self.port_priority;
        (self.selected_role, self.updt_info) = match self.info {
            Info::Disabled => (Role::Disabled, self.updt_info),
            Info::Aged => (Role::Designated, true),
            Info::Mine => {
                let is_right = self.port_priority == self.designated_priority
                    && self.port_times == self.designated_times;
                (Role::Designated, self.updt_info || !is_right)
            }
            Info::Received if root_port == Some(self.number) => (Role::Root, false),
            Info::Received if is_better => (Role::Designated, true),
            Info::Received if address(self.port_priority.bridge) == own => (Role::Backup, false),
            Info::Received => (Role::Alternate, false),
        };
    }
}
