//! What a datapath offers.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use base::{DpPort, MacAddr, PortStats, Timestamp};
use flow::{FlowKey, FlowMask};
use rustix::io::Errno;

use crate::{
    Action, Capabilities, FenceWatcher, Packet, PortKind, QualityOfService, Ufid, UnknownPortKind, Upcall,
    Workers,
};

/// A datapath of this process; never used again for another one while the process lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct DpId(pub u32);

/// How headers of tunnels are put on and read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TunnelSettings {
    /// The first and the last UDP port that tunnels send from.
    pub udp_ports: (u16, u16),
    /// The options of Geneve that are read into keys.
    pub options: Vec<TunnelOption>,
}

/// An option of Geneve, and the field of tunnel metadata that keys of the datapath have for it. Bridges have fields of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TunnelOption {
    /// The option's class.
    pub class: u16,
    /// The option's type within the class.
    pub kind: u8,
    /// Bytes of its data: a multiple of 4, at most 16.
    pub len: u8,
    /// The number of the field, at most 63.
    pub field: u8,
}

impl Default for TunnelSettings {
    fn default() -> TunnelSettings {
        TunnelSettings { udp_ports: (32768, 61000), options: Vec::new() }
    }
}

/// Who forwards: the threads that share no table. The control thread is one too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WorkerId {
    /// Whoever calls [`Datapath::execute`] or feeds a dummy port.
    Main,
    /// A worker, by the number of the processor that it was made for.
    Worker(u32),
}

/// The port that shall be made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortSpec {
    pub name: String,
    pub kind: PortKind,
    /// The number wished for.
    pub number: Option<DpPort>,
    /// The `options` column.
    pub options: Vec<(String, String)>,
}

impl PortSpec {
    pub fn new(name: &str, kind: PortKind) -> PortSpec {
        PortSpec { name: name.into(), kind, ..PortSpec::default() }
    }

    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

/// A port as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortInfo {
    pub number: DpPort,
    pub name: String,
    pub kind: PortKind,
    pub mac: MacAddr,
    pub mtu: u32,
    /// The kernel's index of the device, where it has one.
    pub ifindex: Option<u32>,
    /// Administratively up.
    pub is_up: bool,
    /// Carrier.
    pub has_link: bool,
    pub link_resets: u64,
    /// `None` when the link does not know.
    pub speed_mbps: Option<u32>,
    pub is_full_duplex: bool,
    /// What the link does now, what it offers its peer, and what it could do: OpenFlow 1.1's `OFPPF_*` bits.
    pub current_features: u32,
    pub advertised_features: u32,
    pub supported_features: u32,
    /// What the kernel calls this kind of link ("veth", "tun", "vlan"); empty for hardware, and for what is no link.
    pub link_kind: String,
    /// What the device says of itself, as `Interface.status` shows it: its driver, with version and firmware.
    pub status: BTreeMap<String, String>,
    /// The device is there; false after it vanished from under the port.
    pub is_present: bool,
    /// What the device was set up with and operators may want to see, by name.
    pub config: BTreeMap<String, String>,
}

impl PortInfo {
    /// Whether packets can pass: a device that is down has no carrier, whatever it says.
    pub fn is_running(&self) -> bool {
        self.is_up && self.has_link
    }
}

/// A flow's counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlowStats {
    pub packets: u64,
    pub bytes: u64,
    /// The last packet's time, or `None` when there was none.
    pub used: Option<Timestamp>,
    /// All TCP flags seen, or-ed.
    pub tcp_flags: u16,
}

/// A megaflow as it is.
#[derive(Clone, Debug)]
pub struct Flow {
    pub ufid: Ufid,
    pub worker: WorkerId,
    /// The key that made the flow, of which only the bits in `mask` count.
    pub key: Arc<FlowKey>,
    pub mask: Arc<FlowMask>,
    pub actions: Arc<[Action]>,
    pub stats: FlowStats,
    /// Its packets do not come to this process: the kernel forwards them.
    pub is_offloaded: bool,
    /// The version of the rules by which it is known to be right; see [`Upcall::fence`]. `None` when it follows from no
    /// rules: somebody put it by hand.
    pub version: Option<u64>,
}

/// What is seen of a megaflow without looking at its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowGlance {
    /// As in [`Flow::ufid`].
    pub ufid: Ufid,
    /// As in [`Flow::worker`].
    pub worker: WorkerId,
    /// Its counters.
    pub stats: FlowStats,
    /// As in [`Flow::version`].
    pub version: Option<u64>,
}

impl From<&Flow> for FlowGlance {
    fn from(flow: &Flow) -> FlowGlance {
        FlowGlance { ufid: flow.ufid, worker: flow.worker, stats: flow.stats, version: flow.version }
    }
}

/// May the flow be new, may it exist?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PutMode {
    Create,
    Modify,
    CreateOrModify,
}

/// A megaflow to install or change.
#[derive(Clone, Debug)]
pub struct FlowPut {
    /// `None`: derived from the key.
    pub ufid: Option<Ufid>,
    /// `None`: every worker that has it, or all of them for a new one.
    pub worker: Option<WorkerId>,
    pub key: FlowKey,
    pub mask: FlowMask,
    pub actions: Arc<[Action]>,
    pub mode: PutMode,
    /// Start the counters anew.
    pub zero_stats: bool,
    /// As in [`Flow::version`].
    pub version: Option<u64>,
}

/// A packet to act upon as if it had been received.
#[derive(Debug)]
pub struct Execute<'a> {
    /// With its metadata; consumed by the actions.
    pub packet: Packet,
    pub actions: &'a [Action],
    pub now: Timestamp,
}

/// A datapath's counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DpStats {
    /// Packets that a flow matched.
    pub hits: u64,
    /// Packets that went up.
    pub missed: u64,
    /// Packets lost on their way up.
    pub lost: u64,
    pub flows: u64,
    pub masks: u64,
    /// Hits of the exact-match cache, the signature cache and the megaflow table.
    pub exact_hits: u64,
    pub signature_hits: u64,
    pub megaflow_hits: u64,
    /// Subtables searched by all megaflow hits.
    pub subtable_lookups: u64,
    pub recirculated: u64,
    pub lost_upcalls: u64,
    pub successful_upcalls: u64,
}

/// Why a datapath refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DpError {
    #[error("no port {0}")]
    NoPort(DpPort),
    #[error("no port named {0}")]
    NoPortName(String),
    #[error("port {0} already exists")]
    PortExists(String),
    #[error("port number {0} is taken")]
    NumberTaken(DpPort),
    #[error("could not open network device {name} ({reason})")]
    Open { name: String, reason: String, errno: Errno },
    #[error(transparent)]
    UnknownKind(#[from] UnknownPortKind),
    #[error("flow exists")]
    FlowExists,
    #[error("no such flow")]
    NoFlow,
    #[error("the flow table is full")]
    TableFull,
    #[error("{0}")]
    Unsupported(String),
    #[error("{what}: {reason}")]
    Device { what: String, reason: String, errno: Errno },
}

impl DpError {
    /// The error number by which programs tell it (`ovs_strerror`).
    pub fn errno(&self) -> Errno {
        match self {
            DpError::NoPort(_) | DpError::NoPortName(_) => Errno::NODEV,
            DpError::PortExists(_) | DpError::FlowExists => Errno::EXIST,
            DpError::NumberTaken(_) => Errno::BUSY,
            DpError::Open { errno, .. } | DpError::Device { errno, .. } => *errno,
            DpError::UnknownKind(_) => Errno::AFNOSUPPORT,
            DpError::NoFlow => Errno::NOENT,
            DpError::TableFull => Errno::NOSPC,
            DpError::Unsupported(_) => Errno::OPNOTSUPP,
        }
    }
}

/// What is flushed, as the log says it.
struct Flushed<'a> {
    zone: Option<u16>,
    filter: &'a conntrack::Filter,
}

impl fmt::Display for Flushed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.zone {
            _ if !self.filter.is_empty() => {
                let mut text = String::new();
                conntrack::format_filter(&mut text, self.filter);
                write!(f, "ct_flush: zone={} {text}", self.zone.unwrap_or_default())
            }
            Some(zone) => write!(f, "ct_flush: zone {zone}"),
            None => f.write_str("ct_flush: <all>"),
        }
    }
}

/// Who wants to know of ports that came, went or changed. Must not block, nor call the datapath.
pub type PortWatcher = Arc<dyn Fn() + Send + Sync>;

/// A datapath. Shared by all threads; every call may block for a batch of packets.
pub trait Datapath: Send + Sync {
    /// "netdev" or "system".
    fn kind(&self) -> &str;
    fn name(&self) -> &str;

    /// Makes ports and their devices, all at once, and starts to receive on them. The results are in the order of `specs`;
    /// a port that cannot be made keeps no other from being made.
    fn add_ports(&self, specs: &[PortSpec]) -> Vec<Result<DpPort, DpError>>;
    fn add_port(&self, spec: &PortSpec) -> Result<DpPort, DpError> {
        let result = self.add_ports(std::slice::from_ref(spec)).pop();
        result.unwrap_or_else(|| Err(DpError::NoPortName(spec.name.clone())))
    }
    /// Takes the port out: no packet enters or leaves by it from now on. Its device is closed soon after; see
    /// [`Datapath::is_settled`].
    fn del_port(&self, port: DpPort) -> Result<(), DpError>;
    /// Whether the devices of all ports that were deleted are closed.
    fn is_settled(&self) -> bool {
        true
    }
    /// Waits until they are.
    fn settle(&self) {}
    /// From here on `watcher` is called, by whichever thread, after the port epoch has moved and whenever the datapath is
    /// settled. To be called once.
    fn watch_ports(&self, watcher: PortWatcher);
    fn port(&self, port: DpPort) -> Option<Arc<PortInfo>>;
    fn port_by_name(&self, name: &str) -> Option<Arc<PortInfo>>;
    /// In the order of their numbers.
    fn ports(&self) -> Vec<Arc<PortInfo>>;
    fn port_stats(&self, port: DpPort) -> Result<PortStats, DpError>;
    /// Those of all ports, which costs less than asking for each.
    fn all_port_stats(&self) -> HashMap<DpPort, PortStats> {
        let stats = |info: &Arc<PortInfo>| Some((info.number, self.port_stats(info.number).ok()?));
        self.ports().iter().filter_map(stats).collect()
    }
    /// Counters that only devices of its kind have, by their names.
    fn custom_port_stats(&self, _port: DpPort) -> Vec<(String, u64)> {
        Vec::new()
    }
    /// Changes MTU, MAC or administrative state where `Some`.
    fn configure_port(
        &self,
        port: DpPort,
        mtu: Option<u32>,
        mac: Option<MacAddr>,
        up: Option<bool>,
    ) -> Result<(), DpError>;
    /// Gives a port other options; it stays, with its number, its counters and its flows.
    ///
    /// # Errors
    /// There is no such port, or its device cannot have these.
    fn change_port(&self, port: DpPort, spec: &PortSpec) -> Result<(), DpError>;
    /// A number that changes whenever a port came, went or changed its state.
    fn port_epoch(&self) -> u64;

    /// What it can do now; the number of VLAN tags follows [`Datapath::set_max_vlans`].
    fn capabilities(&self) -> Capabilities;

    /// The connections that it tracks, where it does.
    fn connections(&self) -> Option<&conntrack::Tracker> {
        None
    }

    /// Forgets connections; see [`conntrack::Tracker::flush`]. `None` when it tracks none.
    fn flush_connections(
        &self,
        zone: Option<u16>,
        filter: &conntrack::Filter,
        now: Timestamp,
    ) -> Option<bool> {
        let tracker = self.connections()?;
        log::debug!(target: "ct_dpif", "{}@{}: {}", self.kind(), self.name(), Flushed { zone, filter });
        Some(tracker.flush(zone, filter, now))
    }

    /// The fragments that wait for others to be tracked with them, a line for each packet.
    fn waiting_fragments(&self) -> String {
        String::new()
    }

    /// How many VLAN tags keys hold (`other_config:vlan-limit`).
    fn max_vlans(&self) -> usize;
    /// Flows that are installed stay as they are.
    fn set_max_vlans(&self, max: usize);

    /// Whether the kernel may forward packets of some flows itself, where it can; it may before this is called.
    fn set_offload(&self, _is_allowed: bool) {}
    /// What has to be told when the fence moves, before anybody else is, if something has.
    fn fence_watcher(&self) -> Option<FenceWatcher> {
        None
    }
    /// From here on misses go through this door; before, they are dropped.
    fn set_upcall(&self, upcall: Option<Arc<dyn Upcall>>);

    fn flow_put(&self, put: &FlowPut) -> Result<(), DpError>;
    /// Notes that `flow`, as it was dumped, is right by the rules of this version. Nothing happens when its actions were
    /// replaced meanwhile.
    fn flow_confirm(&self, flow: &Flow, version: u64);
    /// `worker` `None`: from every worker. The counters at the end, summed up.
    fn flow_del(&self, ufid: Ufid, worker: Option<WorkerId>) -> Result<FlowStats, DpError>;
    fn flow_get(&self, ufid: Ufid, worker: Option<WorkerId>) -> Option<Flow>;
    /// Calls `visit` with every flow, in chunks that let packets through in
    /// between; a flow that comes or goes meanwhile may or may not be seen.
    /// No lock is held during the call.
    fn flow_dump(&self, visit: &mut dyn FnMut(Flow));
    /// The same where keys, masks and actions are of no interest, which is much cheaper.
    fn flow_glance(&self, visit: &mut dyn FnMut(FlowGlance)) {
        self.flow_dump(&mut |flow| visit(FlowGlance::from(&flow)));
    }
    fn flow_flush(&self);

    /// Runs the actions on the calling thread; packets have left when it returns.
    fn execute(&self, execute: Execute<'_>) -> Result<(), DpError>;

    fn stats(&self) -> DpStats;
    /// Lines for `dpif-netdev/pmd-stats-show`.
    fn worker_stats(&self) -> Vec<(WorkerId, DpStats)>;

    /// Meters: rates in `kbps` or packets per second with bursts; see OpenFlow 1.3 §5.7.
    fn set_meter(&self, meter: u32, config: Option<Meter>) -> Result<(), DpError>;
    fn meter_stats(&self, meter: u32) -> Option<MeterStats>;

    /// Members of bond `bond`, one datapath port per hash bucket ([`DpPort::NONE`] where there is none); empty removes it.
    fn set_bond(&self, bond: u32, buckets: Vec<DpPort>);
    /// The bonds, in the order of their numbers, with their members.
    fn bonds(&self) -> Vec<(u32, Vec<DpPort>)>;
    /// The bytes that left by each bucket of a bond since this was asked last.
    fn take_bond_bytes(&self, bond: u32) -> Vec<u64>;

    /// Lets the devices of internal ports outlive the process, with their addresses and routes. Returns the names of
    /// those that would have gone with it.
    fn keep_internal_devices(&self) -> Vec<String> {
        Vec::new()
    }
    /// Takes that back: the device goes when nobody has it open.
    fn release_internal_device(&self, _name: &str) -> std::io::Result<()> {
        Ok(())
    }

    /// How headers of tunnels are put on and read.
    fn tunnel_settings(&self) -> Arc<TunnelSettings> {
        Arc::default()
    }
    /// Sets that. A datapath without tunnels has no use for it.
    fn set_tunnel_settings(&self, _settings: TunnelSettings) {}
    /// How another process goes on with its devices, where that is possible.
    fn succession(&self) -> Option<&dyn Succession> {
        None
    }

    /// Its workers, where it has some.
    fn workers(&self) -> Option<&dyn Workers> {
        None
    }

    /// How its ports queue, shape and police, where they can.
    fn quality_of_service(&self) -> Option<&dyn QualityOfService> {
        None
    }

    /// How its dummy ports are driven, where it can have some.
    fn dummies(&self) -> Option<&dyn DummyControl> {
        None
    }
}

/// A datapath that forwards on in a copy of this process while the next one starts, and lets that one go on.
///
/// The old process pauses, forks, and forgets its ports; the copy resumes. The next process opens the same devices deaf.
/// When it is ready, it hears, and the copy hands over what is left.
pub trait Succession {
    /// Whether it has devices of the machine.
    fn has_devices(&self) -> bool;

    /// Ends all its threads. Nothing is forwarded, and no port is closed, until [`Succession::resume`].
    fn pause(&self);

    /// Starts its threads again, which may be in another process.
    ///
    /// # Errors
    /// The system refuses threads.
    fn resume(&self) -> std::io::Result<()>;

    /// From here on its ports are another process's: they are not closed when it ends.
    fn forget_ports(&self);

    /// Forwards what was received, ends all its threads, and takes back what the next process does not know of.
    fn hand_over(&self);

    /// Begins to receive, where that had to wait for the process before, which only takes what it has received from here on.
    fn hear(&self);

    /// Descriptors of its devices for the next process, by their names.
    fn devices(&self) -> Vec<(String, OwnedFd)>;
}

/// A datapath that may have dummy ports. Nothing else of it needs to be known to drive them.
pub trait DummyControl {
    /// Hands a packet to a queue of a dummy port as received; it is processed when the call returns.
    ///
    /// # Errors
    /// There is no such port, it is not a dummy, or it has no such queue.
    fn receive_on(&self, port: DpPort, queue: u32, packet: Packet) -> Result<(), DpError>;
    /// The same for the first queue.
    fn receive(&self, port: DpPort, packet: Packet) -> Result<(), DpError> {
        self.receive_on(port, 0, packet)
    }
    /// Takes packets from the peers of all dummy ports, as workers do from devices.
    fn poll(&self);
    /// Gives a port another number, as if it had been removed and added again. The flows of the old number match nothing
    /// from then on.
    ///
    /// # Errors
    /// There is no such port, or the number is taken.
    fn renumber(&self, port: DpPort, number: DpPort) -> Result<(), DpError>;
}

/// A meter's configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Meter {
    /// Count packets, else kilobits.
    pub is_pktps: bool,
    pub bands: Vec<MeterBand>,
}

/// A drop band: over `rate` (kbit/s or packets/s) with `burst` (kbit or packets), drop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MeterBand {
    pub rate: u32,
    pub burst: u32,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MeterStats {
    pub packets_in: u64,
    pub bytes_in: u64,
    /// Packets and bytes each band dropped.
    pub bands: Vec<(u64, u64)>,
}
