//! Running actions on a packet.
//!
//! [`execute`] does all that needs the packet alone: rewriting, pushing,
//! popping, sampling, truncating. What needs the datapath (output,
//! recirculation, connection tracking, meters, tunnels, upcalls) it asks of
//! an [`Executor`], which `dp-user` implements for its workers.

use std::sync::Arc;

use base::DpPort;

use crate::{Action, Conntrack, DropReason, HashAlgorithm, Packet, PushTunnel, Userspace};

mod hash;
mod rewrite;
mod tags;

pub use tags::l3;

/// The datapath's part in executing actions.
pub trait Executor {
    /// Sends the packet. `packet.trunc` has been applied.
    fn output(&mut self, port: DpPort, packet: Packet);
    /// Sends the packet to the member of bond `bond` that `hash`, that of its flow, chooses.
    fn lb_output(&mut self, bond: u32, hash: u32, packet: Packet);
    /// Hands a copy up. Returns the steps to run on it, if any.
    fn userspace(
        &mut self,
        packet: &mut Packet,
        action: &Userspace,
        rest: &[Action],
    ) -> Option<Arc<[Action]>>;
    /// Looks the packet up anew, `packet.metadata.recirc_id` being set.
    fn recirculate(&mut self, packet: Packet);
    /// Tracks the packet's connection.
    fn conntrack(&mut self, packet: Packet, action: &Conntrack) -> Tracked;
    /// Whether the meter lets the packet pass.
    fn meter(&mut self, packet: &Packet, meter: u32) -> bool;
    /// Puts the tunnel's headers before the packet; `None`: it failed.
    fn tunnel_push(&mut self, packet: Packet, push: &PushTunnel) -> Option<Packet>;
    /// Takes the tunnel's headers off and processes the packet as one that came in at `port`.
    fn tunnel_pop(&mut self, packet: Packet, port: DpPort);
    /// A number of 32 random bits.
    fn random(&mut self) -> u32;
    /// The packet ends here.
    fn dropped(&mut self, packet: Packet, reason: DropReason);
    /// A copy of a packet, from a pool if there is one.
    fn duplicate(&mut self, packet: &Packet) -> Packet {
        packet.clone()
    }
    /// Takes a packet that is not needed any more.
    fn recycle(&mut self, packet: Packet) {
        drop(packet);
    }
}

/// What becomes of a packet that is tracked.
#[derive(Debug)]
pub enum Tracked {
    /// It goes on.
    Packet(Packet),
    /// It waits for others, as a fragment does.
    Held,
    /// It goes on with those that waited for it.
    Packets(Vec<Packet>),
}

/// How deep lists in steps may stand in each other.
const MAX_DEPTH: u32 = 32;

/// Runs `actions` on `packet` and consumes it.
pub fn execute<E: Executor + ?Sized>(executor: &mut E, packet: Packet, actions: &[Action]) {
    run(executor, packet, actions, Nesting { depth: 0, is_copy: false });
}

/// Where a list of actions stands.
#[derive(Clone, Copy)]
struct Nesting {
    depth: u32,
    /// The packet itself goes on elsewhere: that a list does nothing with its copy loses nothing.
    is_copy: bool,
}

impl Nesting {
    fn inner(self, is_copy: bool) -> Nesting {
        Nesting { depth: self.depth + 1, is_copy: self.is_copy || is_copy }
    }
}

fn run<E: Executor + ?Sized>(executor: &mut E, mut packet: Packet, actions: &[Action], nesting: Nesting) {
    for (index, action) in actions.iter().enumerate() {
        let rest = actions.get(index + 1..).unwrap_or(&[]);
        if covers(action) && packet.offload.segmentation.is_some() {
            // A train goes under other headers segment by segment.
            truncate(&mut packet);
            let mut segments = Vec::new();
            if let Err(packet) = crate::offload::segment(packet, &mut segments) {
                return executor.dropped(packet, DropReason::TunnelPush);
            }
            for segment in segments {
                run(executor, segment, actions.get(index..).unwrap_or(&[]), nesting);
            }
            return;
        }
        if let Action::Ct(ct) = action {
            match executor.conntrack(packet, ct) {
                Tracked::Packet(one) => packet = one,
                Tracked::Held => return,
                Tracked::Packets(all) => {
                    let done = actions.get(..index).unwrap_or(&[]);
                    let is_copy = nesting.is_copy || done.iter().any(delivers);
                    return all
                        .into_iter()
                        .for_each(|one| run(executor, one, rest, Nesting { is_copy, ..nesting }));
                }
            }
            continue;
        }
        match step(executor, packet, action, rest, nesting) {
            Some(left) => packet = left,
            None => return,
        }
    }
    if nesting.is_copy || actions.iter().any(delivers) {
        executor.recycle(packet);
    } else {
        executor.dropped(packet, DropReason::Pipeline);
    }
}

/// Whether the step puts headers before the packet under which nobody looks for a train.
fn covers(action: &Action) -> bool {
    matches!(action, Action::TunnelPush(_) | Action::PushNsh { .. } | Action::AddMpls { is_l3: false, .. })
}

/// Whether the step brings the packet, or a copy of it, to somebody.
fn delivers(action: &Action) -> bool {
    match action {
        Action::Output(_)
        | Action::LbOutput(_)
        | Action::Userspace(_)
        | Action::Recirc(_)
        | Action::TunnelPop(_)
        | Action::Psample { .. } => true,
        Action::Sample { actions, .. } | Action::Clone(actions) => actions.iter().any(delivers),
        Action::CheckPktLen { greater, less_equal, .. } => greater.iter().chain(&**less_equal).any(delivers),
        Action::Trunc(_)
        | Action::Set(_)
        | Action::PushVlan { .. }
        | Action::PopVlan
        | Action::PushMpls { .. }
        | Action::PopMpls { .. }
        | Action::AddMpls { .. }
        | Action::PushEth { .. }
        | Action::PopEth
        | Action::PushNsh { .. }
        | Action::PopNsh
        | Action::Hash { .. }
        | Action::Ct(_)
        | Action::CtClear
        | Action::Meter(_)
        | Action::TunnelPush(_)
        | Action::DecTtl(_)
        | Action::Drop(_) => false,
    }
}

/// One step; the packet as it is for the next one, or `None` when it is gone.
// house: long because it is the one list of steps; each arm is a call or a line.
fn step<E: Executor + ?Sized>(
    executor: &mut E,
    mut packet: Packet,
    action: &Action,
    rest: &[Action],
    nesting: Nesting,
) -> Option<Packet> {
    let is_last = rest.is_empty();
    match action {
        Action::Output(port) => return hand_over(executor, packet, is_last, |e, p| e.output(*port, p)),
        Action::LbOutput(bond) => {
            let hash = hash::hash(&packet, HashAlgorithm::L4, 0);
            return hand_over(executor, packet, is_last, |e, p| e.lb_output(*bond, hash, p));
        }
        Action::Recirc(id) => {
            return hand_over(executor, packet, is_last, |e, mut p| {
                p.metadata.recirc_id = *id;
                e.recirculate(p);
            });
        }
        Action::TunnelPop(port) => {
            return hand_over(executor, packet, is_last, |e, p| e.tunnel_pop(p, *port));
        }
        Action::Userspace(up) => {
            let mut copy = executor.duplicate(&packet);
            truncate(&mut copy);
            packet.trunc = None;
            match executor.userspace(&mut copy, up, if up.include_actions { rest } else { &[] }) {
                Some(actions) => run_bounded(executor, copy, &actions, nesting.inner(!is_last)),
                None => executor.recycle(copy),
            }
        }
        Action::Sample { probability, actions } => {
            let is_taken = *probability == u32::MAX || executor.random() < *probability;
            if is_taken {
                return nested(executor, packet, actions, is_last, nesting);
            }
            if is_last && !nesting.is_copy {
                executor.dropped(packet, DropReason::Sample);
                return None;
            }
        }
        Action::Clone(actions) => return nested(executor, packet, actions, is_last, nesting),
        Action::CheckPktLen { size, greater, less_equal } => {
            let chosen = if wire_len(&packet) > usize::from(*size) { greater } else { less_equal };
            return nested(executor, packet, chosen, is_last, nesting);
        }
        Action::DecTtl(at_end) => {
            if !rewrite::decrement_ttl(&mut packet) {
                if at_end.is_empty() {
                    executor.dropped(packet, DropReason::DatapathTtl);
                } else {
                    run_bounded(executor, packet, at_end, nesting.inner(false));
                }
                return None;
            }
        }
        // More than one packet may come of it: whoever runs the list does it.
        Action::Ct(_) => base::broken!("ct is executed as a step"),
        Action::CtClear => packet.metadata.ct = None,
        Action::Meter(meter) => {
            if !executor.meter(&packet, *meter) {
                executor.dropped(packet, DropReason::Meter);
                return None;
            }
        }
        Action::TunnelPush(push) => {
            truncate(&mut packet);
            return executor.tunnel_push(packet, push);
        }
        Action::Trunc(max) => packet.trunc = Some(*max),
        Action::Set(set) => rewrite::set(&mut packet, set),
        Action::PushVlan { tpid, tci } => tags::push_vlan(&mut packet, *tpid, *tci),
        Action::PopVlan => tags::pop_vlan(&mut packet),
        Action::PushMpls { entry, ether_type } => tags::push_mpls(&mut packet, *entry, *ether_type),
        Action::PopMpls { ether_type } => tags::pop_mpls(&mut packet, *ether_type),
        Action::AddMpls { entry, ether_type, is_l3 } => {
            tags::add_mpls(&mut packet, *entry, *ether_type, *is_l3)
        }
        Action::PushEth { src, dst } => tags::push_eth(&mut packet, *src, *dst),
        Action::PopEth => tags::pop_eth(&mut packet),
        Action::PushNsh { key, metadata } => tags::push_nsh(&mut packet, key, metadata),
        Action::PopNsh => {
            if !tags::pop_nsh(&mut packet) {
                executor.dropped(packet, DropReason::NshDecap);
                return None;
            }
        }
        Action::Hash { algorithm, basis } => {
            packet.metadata.dp_hash = hash::hash(&packet, *algorithm, *basis)
        }
        // No psample group in userspace.
        Action::Psample { .. } => {}
        Action::Drop(reason) => {
            executor.dropped(packet, *reason);
            return None;
        }
    }
    Some(packet)
}

/// Gives the packet, or a copy when it is still needed, to `take`.
fn hand_over<E: Executor + ?Sized>(
    executor: &mut E,
    mut packet: Packet,
    is_last: bool,
    take: impl FnOnce(&mut E, Packet),
) -> Option<Packet> {
    if is_last {
        truncate(&mut packet);
        take(executor, packet);
        return None;
    }
    let mut copy = executor.duplicate(&packet);
    truncate(&mut copy);
    packet.trunc = None;
    take(executor, copy);
    Some(packet)
}

fn nested<E: Executor + ?Sized>(
    executor: &mut E,
    packet: Packet,
    actions: &[Action],
    is_last: bool,
    nesting: Nesting,
) -> Option<Packet> {
    if is_last {
        run_bounded(executor, packet, actions, nesting.inner(false));
        return None;
    }
    let copy = executor.duplicate(&packet);
    run_bounded(executor, copy, actions, nesting.inner(true));
    Some(packet)
}

/// Runs an inner list, unless it stands too deep.
fn run_bounded<E: Executor + ?Sized>(executor: &mut E, packet: Packet, actions: &[Action], nesting: Nesting) {
    if nesting.depth > MAX_DEPTH {
        executor.dropped(packet, DropReason::ActionDepth);
    } else {
        run(executor, packet, actions, nesting);
    }
}

fn truncate(packet: &mut Packet) {
    if let Some(max) = packet.trunc.take()
        && packet.len() > max as usize
    {
        packet.set_len(max as usize);
        // What was to be completed over the whole packet cannot be any more.
        packet.offload = crate::Offload::default();
        packet.sums = None;
    }
}

/// The length a packet of the train has on the wire.
fn wire_len(packet: &Packet) -> usize {
    match packet.offload.segmentation {
        Some(seg) => packet.len().min(usize::from(seg.header_len) + usize::from(seg.size)),
        None => packet.len(),
    }
}

#[cfg(test)]
mod tests;
