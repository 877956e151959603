//! Who of the controllers is in charge (OpenFlow 1.2 §6.3.4).

use base::Timestamp;
use ofp::{ControllerRole, Message, OfError, Role, RoleStatus, Version};

use crate::channel::PeerId;
use crate::handle::Answer;
use crate::manager::Manager;
use crate::outbox::Class;
use crate::peer::Peer;

/// "Another controller became the primary."
const PRIMARY_REQUEST: u8 = 0;

impl Manager {
    pub(crate) fn role(&mut self, id: PeerId, request: Role) -> Answer {
        let Some(peer) = self.peers.get(&id) else { return Ok(Vec::new()) };
        let bridge = peer.bridge;
        let Some(control) = self.bridges.get_mut(&bridge) else { return Ok(Vec::new()) };
        let now = self.clock.now();
        if request.role != ControllerRole::NoChange {
            if let Some(generation) = request.generation_id
                && matches!(request.role, ControllerRole::Primary | ControllerRole::Secondary)
            {
                // Generations go round; an older one is a controller that does not know that it was replaced.
                let stale =
                    control.generation.is_some_and(|known| (generation.wrapping_sub(known) as i64) < 0);
                if stale {
                    return Err(OfError::OfprrfcStale);
                }
                control.generation = Some(generation);
            }
            if request.role == ControllerRole::Primary {
                let generation_id = control.generation.unwrap_or(u64::MAX);
                for (other, peer) in &mut self.peers {
                    if *other != id && peer.bridge == bridge && peer.role == ControllerRole::Primary {
                        peer.role = ControllerRole::Secondary;
                        tell_demoted(peer, generation_id, now);
                    }
                }
            }
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.role = request.role;
            }
        }
        let role = self.peers.get(&id).map_or(ControllerRole::Equal, |peer| peer.role);
        let generation_id = self.bridges.get(&bridge).and_then(|control| control.generation);
        Ok(vec![Message::RoleReply(Role { role, generation_id })])
    }
}

/// Older versions have no message for it.
fn tell_demoted(peer: &mut Peer, generation_id: u64, now: Timestamp) {
    if peer.version >= Version::Of13 {
        let role = ControllerRole::Secondary;
        let status = RoleStatus { role, reason: PRIMARY_REQUEST, generation_id };
        peer.tell(Class::Notice, &Message::RoleStatus(status), now);
    }
}
