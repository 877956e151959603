//! Serving peers in turns: a part of what each has asked for, as long as it takes the answers.

use crate::channel::PeerId;
use crate::manager::Manager;

/// What a peer may ask of one turn, in messages; a part of a long reply counts as several.
const TURN: usize = 256;
const PART: usize = 16;

impl Manager {
    /// Goes on with what a peer has asked for. What is left waits for its next turn, or until the peer has taken some
    /// of its answers.
    pub(crate) fn take_turn(&mut self, id: PeerId) {
        let mut effort = 0;
        while effort < TURN {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            if peer.link.stalls() {
                return;
            }
            if peer.reply.is_none() && peer.may_resume_monitors() {
                self.resume_monitors(id);
            } else if peer.reply.is_some() {
                self.go_on_with_reply(id);
                effort += PART;
            } else if let Some(message) = peer.inbox.pop_front() {
                self.handle_message(id, message);
                effort += 1;
            } else {
                peer.link.end_batch();
                return;
            }
        }
        if !self.ready.contains(&id) {
            self.ready.push_back(id);
        }
    }
}
