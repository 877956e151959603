//! A batch of packets: looked up, sent up where unknown, acted upon.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::Guard;
use base::{DpPort, Timestamp};
use classifier::Found;
use dp::{
    Action, Conntrack, DropReason, Executor, Fence, Packet, PushTunnel, Tracked, Ufid, UpcallPacket,
    Userspace,
};
use netdev::BATCH;
use smallvec::SmallVec;

use crate::context::Context;
use crate::flows::{Served, tcp_flags};
use crate::part::Part;
use crate::ports::Ports;
use crate::shared::Shared;
use crate::table::Moment;
use crate::{shortcuts, tracking, tunnel};

/// What every packet that comes from a wire begins with.
const ETHERNET_HEADER: usize = wire::ethernet::HEADER_LEN;

/// Recirculations of one packet, as many as the reference allows.
const MAX_ROUNDS: u32 = 8;

/// One run over a batch, by the thread that owns `context`.
pub(crate) struct Run<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) part: &'a Part,
    pub(crate) context: &'a mut Context,
    pub(crate) ports: Guard<Arc<Ports>>,
    pub(crate) now: Timestamp,
}

/// The flows that the packets of a batch matched: the place of each, and its actions.
type Groups = SmallVec<[(u32, Arc<[Action]>); BATCH]>;

/// No flow: the group of a packet that missed.
const MISS: u8 = u8::MAX;
/// Nor of one whose flow is older than the fence.
const STALE: u8 = MISS - 1;

impl<'a> Run<'a> {
    pub(crate) fn new(shared: &'a Shared, part: &'a Part, context: &'a mut Context) -> Run<'a> {
        Run { shared, part, context, ports: shared.ports.load(), now: shared.clock.now() }
    }

    /// Processes the packets and sends what came of them; `packets` is empty then.
    pub(crate) fn batch(&mut self, packets: &mut Vec<Packet>) {
        for round in 0..=MAX_ROUNDS {
            if round == MAX_ROUNDS {
                log::warn!(
                    target: base::bounded!("dpif_netdev"),
                    "Packet dropped. Max recirculation depth exceeded."
                );
                for packet in packets.drain(..) {
                    self.dropped(packet, DropReason::Recirculation);
                }
                break;
            }
            let mut rest = std::mem::take(packets);
            while rest.len() > BATCH {
                let tail = rest.split_off(BATCH);
                self.round(&mut rest);
                rest = tail;
            }
            self.round(&mut rest);
            // The emptied vector goes back to the caller, or takes the next round.
            *packets = std::mem::replace(&mut self.context.again, rest);
            if packets.is_empty() {
                break;
            }
            self.part.counters.recirculated.add(packets.len() as u64);
        }
    }

    /// Executes actions on one packet, and what recirculates of it; then sends.
    pub(crate) fn execute(&mut self, packet: Packet, actions: &[Action]) {
        dp::execute(self, packet, actions);
        let mut again = std::mem::take(&mut self.context.again);
        self.batch(&mut again);
    }

    pub(crate) fn flush(&mut self) {
        if self.context.flush(&self.ports, &self.part.counters, self.now) {
            self.shared.tuning.wake();
        }
    }

    /// Has the kernel forward the flow that is hot, if it can, and has come by this queue, whose number the worker knows; floods,
    /// too, if it `takes_floods`.
    pub(crate) fn hand_over(&mut self, source: usize, takes_floods: bool) {
        let Some(place) = self.context.hot.take() else { return };
        let way = |flow: &dp::Flow| shortcuts::way(&self.shared.ports.load(), flow);
        if let Some(shortcut) = self.part.flows.hand_over(place, takes_floods, way) {
            let now = self.shared.clock.now();
            self.context.settling.begin(shortcut, source, now, &self.shared.shortcuts);
            self.shared.tuning.wake();
        }
    }

    /// Up to a batch: one lookup each.
    fn round(&mut self, packets: &mut Vec<Packet>) {
        let mut groups = Groups::new();
        let mut group_of = [MISS; BATCH];
        let looked_up = self.classify(packets, &mut groups, &mut group_of);
        let mut missed = Vec::new();
        for (index, packet) in packets.drain(..).enumerate() {
            let group = group_of.get(index).and_then(|&group| groups.get(usize::from(group)));
            match group {
                Some((_, actions)) => {
                    if let [Action::Output(port)] = &actions[..]
                        && packet.trunc.is_none()
                    {
                        self.output(*port, packet);
                    } else {
                        dp::execute(self, packet, actions);
                    }
                }
                None => missed.push((index, packet)),
            }
        }
        for (index, packet) in missed {
            let is_stale = group_of.get(index) == Some(&STALE);
            let moment = (!is_stale).then_some(looked_up);
            let Some(place) = self.context.keys.get_mut(index) else {
                base::broken!("a batch is longer than {BATCH}");
                self.dropped(packet, DropReason::Internal);
                continue;
            };
            let key = std::mem::take(place);
            self.miss(packet, &key, moment);
            if let Some(place) = self.context.keys.get_mut(index) {
                *place = key;
            }
        }
    }

    /// Looks the packets up under the table's lock; when that was. Those whose place in `group_of` is left alone missed.
    fn classify(&mut self, packets: &[Packet], groups: &mut Groups, group_of: &mut [u8; BATCH]) -> Moment {
        let max_vlans = self.shared.max_vlans.load(Ordering::Relaxed);
        let mut hashes = [0u64; BATCH];
        for ((packet, key), hash) in packets.iter().zip(&mut self.context.keys).zip(&mut hashes) {
            key.refill(&packet.metadata, packet.bytes(), max_vlans);
            *hash = key.hash();
        }
        let (mut cache_hits, mut table_hits, mut subtables) = (0, 0, 0);
        let fence = self.fence();
        let mut hot = None;
        let mut table = self.part.flows.lock();
        let lookups = packets.iter().zip(&self.context.keys).zip(hashes).zip(group_of.iter_mut());
        for (((packet, key), hash), group) in lookups {
            let Some((place, found)) = table.lookup(key, hash) else { continue };
            let Some(entry) = table.entry_mut(place) else {
                base::broken!("a lookup found a place without a flow");
                continue;
            };
            if entry.is_older_than(fence) {
                // It may do what rules that are gone say: looked at when the lock is free.
                *group = STALE;
                continue;
            }
            match found {
                Found::Cache => cache_hits += 1,
                Found::Table(asked) => {
                    table_hits += 1;
                    subtables += u64::from(asked);
                }
            }
            if entry.count(packet.len(), tcp_flags(key.key()), self.now) {
                hot = Some(place);
            }
            let known = groups.iter().position(|(known, _)| *known == place);
            let at = known.unwrap_or_else(|| {
                groups.push((place, entry.actions.clone()));
                groups.len() - 1
            });
            *group = at as u8;
        }
        let looked_up = table.moment();
        drop(table);
        if hot.is_some() {
            self.context.hot = hot;
        }
        let counters = &self.part.counters;
        counters.cache_hits.add(cache_hits);
        counters.table_hits.add(table_hits);
        counters.subtables.add(subtables);
        looked_up
    }

    /// A packet that no flow matched: asked for, then acted upon.
    fn miss(&mut self, mut packet: Packet, key: &flow::PacketKey, missed: Option<Moment>) {
        let door = self.shared.upcall.load();
        let door: Option<&dyn dp::Upcall> = door.as_deref().map(|door| &*door.0);
        let counters = &self.part.counters;
        let began = self.shared.clock.now();
        if log::log_enabled!(target: "dpif_netdev", log::Level::Debug) {
            let name = &self.shared.config.name;
            let text = dp::text::format_key(key.key(), None, true, None);
            log::debug!(target: "dpif_netdev", "{name}: miss upcall:\n{text}");
        }
        match self.part.flows.serve(door, &mut packet, key, missed, self.now) {
            Served::Cached(actions) => {
                counters.cache_hits.add(1);
                dp::execute(self, packet, &actions);
            }
            Served::Translated(actions) => {
                counters.missed.add(1);
                counters.miss_ns.add(self.shared.clock.now().since(began).as_nanos() as u64);
                dp::execute(self, packet, &actions);
            }
            Served::Unserved => {
                counters.missed.add(1);
                counters.lost.add(1);
                self.dropped(packet, DropReason::Upcall);
            }
        }
    }

    /// The versions that flows must have at least ([`dp::Upcall::fence`]).
    fn fence(&self) -> Fence {
        self.shared.upcall.load().as_ref().map(|door| door.0.fence()).unwrap_or_default()
    }
}

impl Executor for Run<'_> {
    #[inline]
    fn output(&mut self, port: DpPort, packet: Packet) {
        if self.ports.get(port).is_some() {
            self.context.queue(port, packet);
        } else {
            self.dropped(packet, DropReason::InvalidPort);
        }
    }

    fn lb_output(&mut self, bond: u32, hash: u32, packet: Packet) {
        match self.shared.bonds.choose(bond, hash, packet.len()) {
            Some(port) => self.output(port, packet),
            None => self.dropped(packet, DropReason::InvalidBond),
        }
    }

    fn userspace(
        &mut self,
        packet: &mut Packet,
        action: &Userspace,
        rest: &[Action],
    ) -> Option<Arc<[Action]>> {
        let Some(door) = self.shared.upcall.load_full() else {
            self.context.count_drop(DropReason::UserspaceAction);
            return None;
        };
        if !door.0.has_room(action) {
            return None;
        }
        let key = packet.key(self.shared.max_vlans.load(Ordering::Relaxed));
        let (ufid, worker) = (Ufid::of(&key), self.part.id);
        let mut upcall = UpcallPacket { packet, key: &key, ufid, worker, now: self.now };
        door.0.userspace(&mut upcall, action, rest)
    }

    fn recirculate(&mut self, packet: Packet) {
        self.context.again.push(packet);
    }

    fn conntrack(&mut self, packet: Packet, action: &Conntrack) -> Tracked {
        let (connections, fragments) = (&self.shared.connections, &self.shared.fragments);
        tracking::track(connections, fragments, packet, action, self.now, &mut self.context.verified)
    }

    fn meter(&mut self, packet: &Packet, meter: u32) -> bool {
        self.shared.meters.admit(meter, packet.len(), self.now)
    }

    fn tunnel_push(&mut self, packet: Packet, push: &PushTunnel) -> Option<Packet> {
        let sequence = || self.shared.tunnel_sequence.fetch_add(1, Ordering::Relaxed);
        match tunnel::push(packet, push, &self.shared.tunnels.load(), sequence) {
            Ok(packet) => Some(packet),
            Err(packet) => {
                self.dropped(packet, DropReason::TunnelPush);
                None
            }
        }
    }

    fn tunnel_pop(&mut self, packet: Packet, port: DpPort) {
        let Some(kind) = self.ports.get(port).map(|port| port.device.spec().kind) else {
            return self.dropped(packet, DropReason::InvalidTunnelPort);
        };
        let popped = match kind.tunnel() {
            Some(tunnel) => tunnel::pop(packet, tunnel, &self.shared.tunnels.load()),
            None => Err(packet),
        };
        match popped {
            Ok(packet) if packet.metadata.packet_type == 0 && packet.len() < ETHERNET_HEADER => {
                self.dropped(packet, DropReason::RxInvalid);
            }
            Ok(mut packet) => {
                packet.metadata.in_port = port;
                packet.metadata.recirc_id = 0;
                self.context.again.push(packet);
            }
            Err(packet) => self.dropped(packet, DropReason::TunnelPop),
        }
    }

    fn random(&mut self) -> u32 {
        self.context.random()
    }

    #[inline]
    fn dropped(&mut self, packet: Packet, reason: DropReason) {
        self.context.drop_packet(packet, reason);
    }

    fn duplicate(&mut self, packet: &Packet) -> Packet {
        self.context.pool.copy(packet)
    }

    fn recycle(&mut self, packet: Packet) {
        self.context.pool.give_back(packet);
    }
}
