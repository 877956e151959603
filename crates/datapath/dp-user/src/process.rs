//! A batch of packets: looked up, sent up where unknown, acted upon.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::{DpPort, Timestamp};
use classifier::Found;
use dp::{
    Action, Conntrack, DpError, DropReason, Executor, Flow, Packet, PushTunnel, Ufid, UpcallOutcome,
    UpcallPacket, Userspace,
};
use flow::{FlowKey, FlowMask, slot};
use netdev::BATCH;
use smallvec::SmallVec;

use crate::context::Context;
use crate::ports::Ports;
use crate::shared::{Counters, Part, Shared};
use crate::tunnel;

/// What every packet that comes from a wire begins with.
const ETHERNET_HEADER: usize = wire::ethernet::HEADER_LEN;

/// Recirculations of one packet, as many as the reference allows.
const MAX_ROUNDS: u32 = 8;

/// One run over a batch, by the thread that owns `context`.
pub(crate) struct Run<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) part: &'a Part,
    pub(crate) context: &'a mut Context,
    pub(crate) ports: Arc<Ports>,
    pub(crate) now: Timestamp,
}

/// The flows that the packets of a batch matched: the place of each, and its actions.
type Groups = SmallVec<[(u32, Arc<[Action]>); BATCH]>;

/// What a packet that was not in the first pass over its batch finds in the table.
enum Again {
    Unknown,
    /// A flow older than the fence.
    Stale(Box<Flow>),
    Valid(Arc<[Action]>),
}

/// No flow: the group of a packet that missed.
const MISS: u8 = u8::MAX;

impl<'a> Run<'a> {
    pub(crate) fn new(shared: &'a Shared, part: &'a Part, context: &'a mut Context) -> Run<'a> {
        Run { shared, part, context, ports: shared.ports.load_full(), now: shared.clock.now() }
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
            Counters::add(&self.part.counters.recirculated, packets.len() as u64);
        }
    }

    /// Executes actions on one packet, and what recirculates of it; then sends.
    pub(crate) fn execute(&mut self, packet: Packet, actions: &[Action]) {
        dp::execute(self, packet, actions);
        let mut again = std::mem::take(&mut self.context.again);
        self.batch(&mut again);
    }

    pub(crate) fn flush(&mut self) {
        if self.context.flush(&self.ports) {
            self.shared.tuning.wake();
        }
    }

    /// Up to a batch: one lookup each.
    fn round(&mut self, packets: &mut Vec<Packet>) {
        let mut groups = Groups::new();
        let mut group_of = [MISS; BATCH];
        self.classify(packets, &mut groups, &mut group_of);
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
            let Some(place) = self.context.keys.get_mut(index) else {
                base::broken!("a batch is longer than {BATCH}");
                self.dropped(packet, DropReason::Internal);
                continue;
            };
            let key = std::mem::take(place);
            self.miss(packet, &key);
            if let Some(place) = self.context.keys.get_mut(index) {
                *place = key;
            }
        }
    }

    /// Looks the packets up under the table's lock. Those whose place in `group_of` is left alone missed.
    fn classify(&mut self, packets: &[Packet], groups: &mut Groups, group_of: &mut [u8; BATCH]) {
        let max_vlans = self.shared.max_vlans.load(Ordering::Relaxed);
        let mut hashes = [0u64; BATCH];
        for ((packet, key), hash) in packets.iter().zip(&mut self.context.keys).zip(&mut hashes) {
            key.refill(&packet.metadata, packet.bytes(), max_vlans);
            *hash = key.hash();
        }
        let (mut cache_hits, mut table_hits, mut subtables) = (0, 0, 0);
        let fence = self.fence();
        let mut table = self.part.table();
        let lookups = packets.iter().zip(&self.context.keys).zip(hashes).zip(group_of.iter_mut());
        for (((packet, key), hash), group) in lookups {
            let Some((place, found)) = table.lookup(key, hash) else { continue };
            let Some(entry) = table.entry_mut(place) else {
                base::broken!("a lookup found a place without a flow");
                continue;
            };
            if entry.version < fence {
                // It may do what rules that are gone say: looked at when the lock is free.
                continue;
            }
            match found {
                Found::Cache => cache_hits += 1,
                Found::Table(asked) => {
                    table_hits += 1;
                    subtables += u64::from(asked);
                }
            }
            entry.count(packet.len(), tcp_flags(key.key()), self.now);
            let known = groups.iter().position(|(known, _)| *known == place);
            let at = known.unwrap_or_else(|| {
                groups.push((place, entry.actions.clone()));
                groups.len() - 1
            });
            *group = at as u8;
        }
        drop(table);
        Counters::add(&self.part.counters.cache_hits, cache_hits);
        Counters::add(&self.part.counters.table_hits, table_hits);
        Counters::add(&self.part.counters.subtables, subtables);
    }

    /// A packet that no flow matched: asked for, then acted upon.
    fn miss(&mut self, mut packet: Packet, key: &flow::PacketKey) {
        // A packet before it in the batch may have installed what it needs.
        let mut found = self.look_again(&packet, key);
        let door = self.shared.upcall.load_full();
        if let (Again::Stale(flow), Some(door)) = (&found, &door) {
            door.0.check(flow);
            found = self.look_again(&packet, key);
        }
        if let Again::Valid(actions) = found {
            Counters::add(&self.part.counters.cache_hits, 1);
            dp::execute(self, packet, &actions);
            return;
        }
        Counters::add(&self.part.counters.missed, 1);
        let Some(door) = door else {
            Counters::add(&self.part.counters.lost, 1);
            self.dropped(packet, DropReason::Upcall);
            return;
        };
        let ufid = Ufid::of(key.key());
        let worker = self.part.id;
        let mut upcall = UpcallPacket { packet: &mut packet, key: key.key(), ufid, worker, now: self.now };
        let outcome = door.0.miss(&mut upcall);
        if outcome.install {
            self.install(ufid, key.key(), &outcome);
        }
        dp::execute(self, packet, &outcome.actions);
    }

    /// The version that flows must have at least ([`dp::Upcall::fence`]).
    fn fence(&self) -> u64 {
        self.shared.upcall.load().as_ref().map_or(0, |door| door.0.fence())
    }

    /// Looks one packet up, and counts it where the flow may be used.
    fn look_again(&self, packet: &Packet, key: &flow::PacketKey) -> Again {
        let fence = self.fence();
        let mut table = self.part.table();
        let Some((place, _)) = table.lookup(key, key.hash()) else { return Again::Unknown };
        let Some(entry) = table.entry_mut(place) else {
            base::broken!("a lookup found a place without a flow");
            return Again::Unknown;
        };
        if entry.version < fence {
            return Again::Stale(Box::new(entry.to_flow(self.part.id)));
        }
        entry.count(packet.len(), tcp_flags(key.key()), self.now);
        Again::Valid(entry.actions.clone())
    }

    /// Installs the megaflow. Its counters begin at zero: the packet that made it is counted by whoever translated.
    fn install(&mut self, ufid: Ufid, key: &FlowKey, outcome: &UpcallOutcome) {
        let mask = installable(&outcome.mask);
        let actions = outcome.install_actions.as_ref().unwrap_or(&outcome.actions).clone();
        match self.part.table().insert(ufid, key, &mask, actions, outcome.version) {
            Ok(_) | Err(DpError::FlowExists) => {}
            Err(error) => log::debug!(target: "dpif_netdev", "failed to install a flow: {error}"),
        }
    }
}

/// The mask of a flow that a packet made, as the text and netlink forms can express it.
fn installable(mask: &FlowMask) -> FlowMask {
    let mut mask = putable(mask);
    mask.add_all(slot::PACKET_TYPE);
    mask
}

/// The same for a flow that somebody put, who may leave the packet's type open.
pub(crate) fn putable(mask: &FlowMask) -> FlowMask {
    let mut mask = mask.clone();
    for place in [slot::RECIRC_ID, slot::IN_PORT, slot::DL_TYPE] {
        mask.add_all(place);
    }
    // That there is no tag cannot be left open.
    if mask.bits(slot::VLAN0_TCI) == 0 {
        mask.add_all(slot::VLAN0_TCI);
    }
    mask
}

#[inline]
fn tcp_flags(key: &FlowKey) -> u16 {
    if key.nw_proto() == 6 && key.is_ip() { key.tcp_flags() } else { 0 }
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

    fn lb_output(&mut self, bond: u32, packet: Packet) {
        let bonds = self.shared.bonds.load();
        let hash = packet.metadata.dp_hash as usize;
        let port = bonds.get(&bond).filter(|buckets| !buckets.is_empty()).and_then(|b| b.get(hash % b.len()));
        match port {
            Some(&port) => self.output(port, packet),
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
        let key = packet.key(self.shared.max_vlans.load(Ordering::Relaxed));
        let (ufid, worker) = (Ufid::of(&key), self.part.id);
        let mut upcall = UpcallPacket { packet, key: &key, ufid, worker, now: self.now };
        door.0.userspace(&mut upcall, action, rest)
    }

    fn recirculate(&mut self, packet: Packet) {
        self.context.again.push(packet);
    }

    fn conntrack(&mut self, mut packet: Packet, action: &Conntrack) -> Option<Packet> {
        let tracker = self.shared.tracker.load_full();
        let is_kept = tracker.is_none_or(|tracker| tracker.0.track(&mut packet, action, self.now));
        if is_kept {
            Some(packet)
        } else {
            self.dropped(packet, DropReason::Conntrack);
            None
        }
    }

    fn meter(&mut self, packet: &Packet, meter: u32) -> bool {
        self.shared.meters.admit(meter, packet.len(), self.now)
    }

    fn tunnel_push(&mut self, packet: Packet, push: &PushTunnel) -> Option<Packet> {
        match tunnel::push(packet, push) {
            Ok(packet) => Some(packet),
            Err(packet) => {
                self.dropped(packet, DropReason::TunnelPush);
                None
            }
        }
    }

    fn tunnel_pop(&mut self, packet: Packet, port: DpPort) {
        let ports = Arc::clone(&self.ports);
        let Some(kind) = ports.get(port).map(|port| port.device.spec().kind.as_str()) else {
            return self.dropped(packet, DropReason::InvalidTunnelPort);
        };
        match tunnel::pop(packet, kind) {
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
