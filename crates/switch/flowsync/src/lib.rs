//! Keeping the flow cache true.
//!
//! Enters: packets that no megaflow matches ([`dp::Upcall`]), packets that a
//! megaflow sends up, packets from controllers. Leaves: megaflows in the
//! datapath, effects applied to the bridges, packets and samples for the
//! control thread ([`Sink`]).
//!
//! The rule that it keeps: a megaflow does what a translation now would do.
//! When the bridges' epoch moves, [`FlowSync::revalidate`] translates every
//! installed key again, without effects, and keeps, changes or removes its
//! flow. In the same round it credits the packets that the flow forwarded to
//! the rules that they hit.
//!
//! Not here: what a packet's translation is (`pipeline`), the state that it
//! reads (`ofproto`), the cache itself (`dp-user`).

// An enum that grows is to be answered for in every place that looks at it.
#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

mod credits;
mod datapaths;
mod limits;
mod revalidate;
mod slow;
mod sync;
mod tracked;
mod upcall;

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, OfPort, Timestamp};
use dp::{Datapath, DpId};
use flow::FlowKey;
use pipeline::{BridgeId, SharedNetwork};

use crate::sync::{AtomicU64, Condvar, Mutex, MutexGuard, Ordering};

pub use datapaths::{Below, Datapaths, Kind, OpenError, Purpose};
pub use limits::{Bounds, DEFAULT_FLOW_LIMIT, DEFAULT_MAX_IDLE, REVALIDATION_INTERVAL};
pub use revalidate::Round;

/// A packet for the controllers.
#[derive(Clone, Debug)]
pub struct PacketIn {
    pub bridge: BridgeId,
    pub controller_id: u16,
    pub reason: ofp::PacketInReason,
    pub table: u8,
    pub cookie: u64,
    pub userdata: Vec<u8>,
    /// Registers, tunnel, the OpenFlow in_port.
    pub metadata: FlowKey,
    /// The whole frame, its checksums complete.
    pub packet: Vec<u8>,
    /// Where the packet goes on if the controller says so.
    pub paused: Option<Paused>,
}

/// A packet that waits for a controller.
#[derive(Clone, Debug)]
pub struct Paused {
    pub state: Arc<pipeline::FrozenId>,
    /// The datapath port that it came in by.
    pub port: base::DpPort,
}

/// A packet from a controller, translated and ready to go.
#[derive(Debug)]
pub struct Prepared {
    packet: dp::Packet,
    translation: pipeline::Translation,
    credit: pipeline::Credit,
}

impl Prepared {
    /// Takes out the rules that the packet teaches, for a caller who adds them before it is sent.
    pub fn take_learned(&mut self) -> Vec<pipeline::Effect> {
        let effects = &mut self.translation.effects;
        effects.extract_if(.., |effect| matches!(effect, pipeline::Effect::LearnRule { .. })).collect()
    }
}

/// Why a packet from a controller was not sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InjectError {
    #[error("{0}")]
    Translation(#[from] pipeline::Error),
    #[error("{0}")]
    Datapath(#[from] dp::DpError),
}

/// A packet-out whose translation came to its end.
fn checked(prepared: Prepared) -> Result<Prepared, pipeline::Error> {
    match prepared.translation.error {
        Some(error) => Err(error),
        None => Ok(prepared),
    }
}

/// A packet that was sampled for an export.
#[derive(Clone, Debug)]
pub struct Sample {
    pub bridge: BridgeId,
    /// The packet's key as it was sampled; `in_port` is a datapath port.
    pub key: FlowKey,
    pub packet: Vec<u8>,
    /// By which the export identifies it, with what the export reports of its way.
    pub cookie: dp::Cookie,
    /// The tunnel's fields with which it is about to leave, if it leaves by one.
    pub egress_tunnel: Option<Box<flow::SparseKey>>,
    /// What was done to it after the sample.
    pub actions: Vec<dp::Action>,
    /// How many samples of the datapath had been lost when it was taken, for want of room; the number wraps.
    pub lost: u32,
}

/// Who takes packets to the control thread. Called by workers: must not block.
pub trait Sink: Send + Sync {
    fn packet_in(&self, packet: PacketIn);
    /// False when there is no room for it.
    fn sample(&self, sample: Sample) -> bool;
    /// Whether a sample would be taken now.
    fn has_room_for_samples(&self) -> bool {
        true
    }
    /// A frame that asks for a neighbour's link address is to be sent, as one that comes in by the port that it names.
    fn ask(&self, asking: pipeline::tunnel::Asking);
    /// A frame that a port received, for a protocol that the switch speaks there.
    fn take(&self, bridge: BridgeId, port: OfPort, protocol: pipeline::Protocol, frame: &[u8]);
}

/// The keeper of one datapath's flows.
pub struct FlowSync {
    network: Arc<dyn SharedNetwork>,
    /// By which the bridges know the datapath.
    id: DpId,
    datapath: Arc<dyn Datapath>,
    sink: Arc<dyn Sink>,
    clock: Clock,
    limits: limits::Limits,
    flows: tracked::Flows,
    /// The epoch that all installed flows are of.
    settled: AtomicU64,
    rounds: Mutex<Rounds>,
    wake: Condvar,
    /// When the way of a packet was last written to the log.
    explained: Pace,
    /// Samples that found no room.
    lost_samples: AtomicU64,
}

base::coverage!(static SAMPLE_OVERFLOW = "sample_overflow");

/// When something that may not happen often happened last.
#[derive(Debug, Default)]
struct Pace(Mutex<Option<Timestamp>>);

impl Pace {
    /// Whether it may happen now, being `interval` past the last time; if so, this is the last time.
    fn admits(&self, now: Timestamp, interval: Duration) -> bool {
        let mut last = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let admits = last.is_none_or(|last| now - last >= interval);
        if admits {
            *last = Some(now);
        }
        admits
    }
}

/// What the revalidator is asked for and has done.
#[derive(Debug, Default)]
struct Rounds {
    wanted: u64,
    done: u64,
    ending: bool,
    /// None begins for now ([`FlowSync::hold`]).
    held: bool,
    running: bool,
    last: Option<Timestamp>,
    /// When counters were last brought up to date because somebody asked.
    credited: Option<Timestamp>,
}

impl std::fmt::Debug for FlowSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlowSync").field("datapath", &self.datapath.name()).finish_non_exhaustive()
    }
}

impl FlowSync {
    /// Starts to serve the misses of `datapath`, which bridges know by `id`.
    pub fn new(
        network: Arc<dyn SharedNetwork>,
        id: DpId,
        datapath: Arc<dyn Datapath>,
        sink: Arc<dyn Sink>,
        clock: Clock,
    ) -> Arc<FlowSync> {
        if let Some(watcher) = datapath.fence_watcher() {
            network.watch_fence(watcher);
        }
        let sync = Arc::new(FlowSync {
            network,
            id,
            datapath: Arc::clone(&datapath),
            sink,
            clock,
            limits: limits::Limits::default(),
            flows: tracked::Flows::default(),
            settled: AtomicU64::new(0),
            rounds: Mutex::default(),
            wake: Condvar::new(),
            explained: Pace::default(),
            lost_samples: AtomicU64::new(0),
        });
        datapath.set_upcall(Some(Arc::clone(&sync) as Arc<dyn dp::Upcall>));
        sync
    }

    /// Whether packets without a megaflow are translated. While they are not, they are dropped.
    pub fn serve(self: &Arc<FlowSync>, is_serving: bool) {
        let door = is_serving.then(|| Arc::clone(self) as Arc<dyn dp::Upcall>);
        self.datapath.set_upcall(door);
    }

    pub fn set_limits(&self, bounds: Bounds) {
        self.limits.set(bounds);
    }

    /// Whether flows match as widely as translation allows (`upcall/enable-megaflows`), or exactly.
    pub fn set_megaflows(&self, enabled: bool) {
        self.limits.exact.store(!enabled, Ordering::Relaxed);
        self.purge();
    }

    /// How many megaflows there may be now: fewer than configured while it takes long to look them through.
    pub fn flow_limit(&self) -> usize {
        self.limits.flows()
    }

    /// How long it took to look all flows through, in milliseconds.
    pub fn round_ms(&self) -> u64 {
        self.limits.duration_ms()
    }

    /// About how many megaflows the last rounds found in the datapath, and the most that any did.
    pub fn census(&self) -> (usize, usize) {
        self.limits.census()
    }

    /// How many megaflows are kept.
    pub fn flow_count(&self) -> usize {
        self.flows.len()
    }

    /// What the packets of a worker's megaflow are credited to, if it is there.
    pub fn effects_of(&self, worker: dp::WorkerId, ufid: dp::Ufid) -> Option<Arc<[pipeline::Effect]>> {
        self.flows.effects_of((worker, ufid))
    }

    /// Sends a packet as a controller asks: `actions` are run on it as if it had come in by `in_port`.
    /// A packet that cannot be translated to its end goes nowhere and is not counted.
    pub fn packet_out(
        &self,
        bridge: BridgeId,
        packet: dp::Packet,
        metadata: &FlowKey,
        actions: &[ofp::Action],
    ) -> Result<(), InjectError> {
        let start = pipeline::Start::Actions(actions);
        Ok(self.send(checked(self.inject(bridge, packet, metadata, None, start)?)?)?)
    }

    /// Lets a packet go on where a controller paused it.
    pub fn resume(
        &self,
        bridge: BridgeId,
        packet: dp::Packet,
        metadata: &FlowKey,
        port: base::DpPort,
        state: &pipeline::Frozen,
    ) -> Result<(), InjectError> {
        let start = pipeline::Start::Resume(state);
        let prepared = self.inject(bridge, packet, metadata, Some(port), start)?;
        let error = prepared.translation.error;
        self.send(prepared)?;
        error.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Translates a packet that came from a controller.
    fn inject(
        &self,
        bridge: BridgeId,
        packet: dp::Packet,
        metadata: &FlowKey,
        in_port: Option<base::DpPort>,
        start: pipeline::Start<'_>,
    ) -> Result<Prepared, pipeline::Error> {
        let mut prepared = None;
        let mut packet = Some(packet);
        self.network.read(&mut |network| {
            if let Some(packet) = packet.take() {
                prepared = Some(self.translate_out(network, bridge, packet, metadata, in_port, start));
            }
        });
        prepared.ok_or_else(|| {
            base::broken!("the bridges were not shown to who asked to read them");
            pipeline::Error::BridgeNotFound
        })
    }

    /// Translates a packet-out with the bridges as they are now. Nothing happens until [`FlowSync::send`].
    pub fn prepare(
        &self,
        network: &dyn pipeline::Network,
        bridge: BridgeId,
        request: &ofp::PacketOut,
    ) -> Result<Prepared, pipeline::Error> {
        let metadata = &request.metadata.key;
        let packet = dp::Packet::from_bytes(&request.packet);
        let start = pipeline::Start::Actions(&request.actions);
        checked(self.translate_out(network, bridge, packet, metadata, None, start))
    }

    fn translate_out(
        &self,
        network: &dyn pipeline::Network,
        bridge: BridgeId,
        mut packet: dp::Packet,
        metadata: &FlowKey,
        in_port: Option<base::DpPort>,
        start: pipeline::Start<'_>,
    ) -> Prepared {
        packet.metadata = flow::Metadata::from_key(metadata);
        let mut key = packet.key(self.datapath.max_vlans());
        // A controller may say what the datapath does not carry with a packet.
        pipeline::restore_metadata(&mut key, &flow::SparseKey::from(metadata));
        let (purpose, trace) = (pipeline::Purpose::Packet, pipeline::Trace::Off);
        let request =
            pipeline::Request { bridge, key: &key, start, purpose, trace, packet: Some(packet.bytes()) };
        let translation = pipeline::translate(network, &request);
        upcall::warn_of(&translation.faults);
        let credit = pipeline::Credit {
            packets: 1,
            bytes: packet.len() as u64,
            tcp_flags: key.tcp_flags(),
            used: self.clock.now(),
        };
        let mut datapath_metadata = match network.bridge(bridge) {
            Some(bridge) => bridge.option_places().to_datapath(metadata),
            None => metadata.clone(),
        };
        // Who does not know the datapath's number of the port means that of the bridge's.
        let in_port = in_port.or_else(|| network.bridge(bridge)?.port(OfPort(metadata.in_port()))?.datapath);
        datapath_metadata.set_in_port(in_port.unwrap_or(base::DpPort::NONE).0);
        packet.metadata = flow::Metadata::from_key(&datapath_metadata);
        Prepared { packet, translation, credit }
    }

    /// Applies the effects of a translated packet and executes its actions.
    pub fn send(&self, prepared: Prepared) -> Result<(), dp::DpError> {
        let Prepared { packet, translation, credit } = prepared;
        self.network.read(&mut |network| network.apply(&translation.effects, credit));
        self.hand_over(&translation.effects, &packet, credit.used);
        self.datapath.execute(dp::Execute { packet, actions: &translation.actions, now: credit.used })
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
