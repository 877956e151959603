//! Packets that wait for a controller: what it is sent of their state, and letting them go on.

use base::{DpPort, TableId};
use flow::SparseKey;
use flowsync::{InjectError, Paused};
use ofp::{Continuation, ContinuationFrame, OfError, PacketIn};
use pipeline::{BridgeId, Frame, Frozen};

use crate::handle::not_sent;
use crate::manager::Manager;

/// The state of a paused packet as a controller keeps it. Nothing of it stays
/// here: a controller that never answers costs nothing.
pub(crate) fn continuation(paused: &Paused) -> Continuation {
    let frozen = &paused.state.frozen;
    let mut bridge = [0; 16];
    bridge[12..].copy_from_slice(&frozen.bridge.0.to_be_bytes());
    let frames = frozen.frames.iter().map(|frame| ContinuationFrame {
        rule: Some((frame.table.0, frame.cookie)),
        actions: frame.actions.clone(),
    });
    Continuation {
        raw: Vec::new(),
        bridge: Some(bridge),
        stack: unpack_stack(&frozen.stack),
        mirrors: frozen.mirrors,
        conntracked: frozen.conntracked,
        frames: frames.collect(),
        action_set: frozen.action_set.clone(),
        odp_port: Some(paused.port.0),
    }
}

impl Manager {
    /// Lets a packet go on. The controller may have changed the packet and its metadata.
    pub(crate) fn resume(&mut self, packet: PacketIn) -> Result<(), OfError> {
        let Some(state) = &packet.continuation else { return Err(OfError::NxrStale) };
        let number = state.bridge.map(|id| u32::from_be_bytes([id[12], id[13], id[14], id[15]]));
        let bridge = BridgeId(number.ok_or(OfError::NxrStale)?);
        {
            let switch = self.switch.read();
            let known = switch.get(bridge).ok_or(OfError::NxrStale)?;
            for frame in &state.frames {
                known.check_references(&frame.actions)?;
            }
            known.check_references(&state.action_set)?;
        }
        let metadata = &packet.metadata.key;
        let frames = state.frames.iter().map(|frame| {
            let (table, cookie) = frame.rule.unwrap_or((0, u64::MAX));
            Frame { table: TableId(table), cookie, actions: frame.actions.clone() }
        });
        let frozen = Frozen {
            bridge,
            table: TableId(0),
            lookup: None,
            metadata: SparseKey::from(metadata),
            stack: pack_stack(&state.stack),
            action_set: state.action_set.clone(),
            frames: frames.collect(),
            conntracked: state.conntracked,
            has_hash: false,
            bond: None,
            mirrors: state.mirrors,
            userdata: Vec::new(),
        };
        let port = state.odp_port.map_or(DpPort::NONE, DpPort);
        let bytes = dp::Packet::from_bytes(&packet.packet);
        let below = self.below(bridge).ok_or(OfError::NxrStale)?;
        below.flows.resume(bridge, bytes, metadata, port, &frozen).map_err(|error| match error {
            InjectError::Translation(pipeline::Error::BridgeNotFound) => OfError::NxrStale,
            other @ (InjectError::Translation(_) | InjectError::Datapath(_)) => not_sent(&other),
        })
    }
}

/// Translation keeps a stack as bytes, each value followed by its width.
fn unpack_stack(mut packed: &[u8]) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    while let Some((&width, rest)) = packed.split_last() {
        let start = rest.len().saturating_sub(usize::from(width));
        values.push(rest[start..].to_vec());
        packed = &rest[..start];
    }
    values.reverse();
    values
}

fn pack_stack(values: &[Vec<u8>]) -> Vec<u8> {
    let mut packed = Vec::new();
    for value in values {
        // A subfield is never wider than sixteen bytes.
        let value = &value[..value.len().min(16)];
        packed.extend_from_slice(value);
        packed.push(value.len() as u8);
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stack_survives_the_controller(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=16), 0..8)) {
            prop_assert_eq!(unpack_stack(&pack_stack(&values)), values);
        }
    }
}
