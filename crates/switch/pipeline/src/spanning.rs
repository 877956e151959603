//! What spanning tree lets a port do, as the protocol says it and translation reads it.

use std::sync::atomic::{AtomicU8, Ordering};

/// The protocol by which a bridge keeps loops out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanningTree {
    /// IEEE 802.1D-1998.
    Stp,
    /// IEEE 802.1D-2004.
    Rstp,
}

impl SpanningTree {
    /// Its name, as operators know it.
    pub fn name(self) -> &'static str {
        match self {
            SpanningTree::Stp => "STP",
            SpanningTree::Rstp => "RSTP",
        }
    }
}

/// What a port does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum SpanningState {
    /// Its link is down, or nothing is known of it yet.
    #[default]
    Disabled,
    /// It takes only units of the protocol.
    Blocking,
    /// It waits whether another bridge objects.
    Listening,
    /// It takes neither part, in the rapid protocol's words.
    Discarding,
    /// It learns addresses.
    Learning,
    /// It learns and forwards.
    Forwarding,
}

impl SpanningState {
    const ALL: [SpanningState; 6] = [
        SpanningState::Disabled,
        SpanningState::Blocking,
        SpanningState::Listening,
        SpanningState::Discarding,
        SpanningState::Learning,
        SpanningState::Forwarding,
    ];

    /// Whether frames may come in and leave.
    pub fn forwards(self) -> bool {
        self == SpanningState::Forwarding
    }

    /// Whether addresses are learned from frames.
    pub fn learns(self) -> bool {
        matches!(self, SpanningState::Learning | SpanningState::Forwarding)
    }
}

/// The state of a port, shared by translation and the protocol that decides.
#[derive(Debug, Default)]
pub struct SpanningPort(AtomicU8);

impl SpanningPort {
    /// What the port does now.
    pub fn state(&self) -> SpanningState {
        let state = usize::from(self.0.load(Ordering::Acquire));
        SpanningState::ALL.get(state).copied().unwrap_or_default()
    }

    /// From now on it does this. The bridges' epoch is to be moved afterwards.
    pub fn set_state(&self, state: SpanningState) {
        self.0.store(state as u8, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_shared_as_it_is() {
        let port = SpanningPort::default();
        assert_eq!(port.state(), SpanningState::Disabled);
        for state in SpanningState::ALL {
            port.set_state(state);
            assert_eq!(port.state(), state);
        }
        assert!(SpanningState::Learning.learns() && !SpanningState::Learning.forwards());
    }
}
