//! Which bridge is the root, which port leads there, and which ports forward (8.6.8 to 8.6.15).

use pipeline::SpanningState;

use super::Bridge;
use super::port::Port;
use crate::tree::Vector;

impl Bridge {
    pub(super) fn recompute(&mut self) {
        self.select_root();
        self.select_designated();
        self.select_states();
    }

    fn select_root(&mut self) {
        let own = self.id;
        let candidates = self.enabled().filter(|port| !port.is_designated(own) && port.best.root < own);
        let path = |port: &&Port| (port.path(), port.id);
        let root = candidates.min_by_key(path).map(|port| (port.number(), port.path()));
        self.root_port = root.map(|(number, _)| number);
        (self.root, self.cost) = root.map_or((own, 0), |(_, path)| (path.root, path.cost));
    }

    fn select_designated(&mut self) {
        let (own, root, cost) = (self.id, self.root, self.cost);
        for port in self.ports.values_mut().filter(|port| !port.is_disabled()) {
            let offered = Vector { root, cost, bridge: own, port: port.id };
            let is_best = port.is_designated(own) || port.best.root != root || offered <= port.best;
            if is_best {
                port.best = offered;
            }
        }
    }

    pub(super) fn select_states(&mut self) {
        let (own, root_port) = (self.id, self.root_port);
        let numbers: Vec<u16> = self.enabled().map(Port::number).collect();
        for number in numbers {
            let Some(port) = self.ports.get_mut(&number) else { continue };
            if root_port == Some(number) {
                (port.is_config_pending, port.acknowledges) = (false, false);
                port.make_forwarding(self.now, self.now_ms);
            } else if port.is_designated(own) {
                port.message_age = None;
                port.make_forwarding(self.now, self.now_ms);
            } else {
                (port.is_config_pending, port.acknowledges) = (false, false);
                self.make_blocking(number);
            }
        }
    }

    fn make_blocking(&mut self, number: u16) {
        let now = self.now_ms;
        let Some(port) = self.ports.get_mut(&number) else { return };
        if port.state == SpanningState::Blocking {
            return;
        }
        let had_learned = port.state.learns();
        port.set_state(SpanningState::Blocking, now);
        port.forward_delay = None;
        if had_learned {
            self.detect_change();
        }
    }
}
