//! Messages, independent of version.

mod connection;
mod flow;
mod group;
mod meter;
mod monitor;
mod packet;
mod port;
mod switch;
mod table;

pub use connection::*;
pub use flow::*;
pub use group::*;
pub use meter::*;
pub use monitor::*;
pub use packet::*;
pub use port::*;
pub use switch::*;
pub use table::*;

use base::OfPort;

use crate::{OfError, Version};

/// A decoded message with what its header said.
#[derive(Clone, PartialEq, Debug)]
pub struct Decoded {
    pub version: Version,
    pub xid: u32,
    /// Whether further parts of the same multipart message follow.
    pub more: bool,
    pub message: Message,
}

/// Any message.
#[derive(Clone, PartialEq, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Message {
    /// Bit `v` for each version byte `v` that the sender speaks.
    Hello {
        versions: u32,
    },
    Error {
        error: OfError,
        payload: Vec<u8>,
    },
    EchoRequest(Vec<u8>),
    EchoReply(Vec<u8>),
    FeaturesRequest,
    FeaturesReply(SwitchFeatures),
    GetConfigRequest,
    GetConfigReply(SwitchConfig),
    SetConfig(SwitchConfig),
    PacketIn(PacketIn),
    FlowRemoved(FlowRemoved),
    PortStatus(PortStatus),
    PacketOut(PacketOut),
    FlowMod(FlowMod),
    GroupMod(GroupMod),
    PortMod(PortMod),
    TableMod(TableMod),
    MeterMod(MeterMod),
    BarrierRequest,
    BarrierReply,
    RoleRequest(Role),
    RoleReply(Role),
    RoleStatus(RoleStatus),
    TableStatus(TableStatus),
    /// What another controller did.
    RequestForward(Box<Decoded>),
    GetAsyncRequest,
    GetAsyncReply(AsyncConfig),
    /// `None` in a place leaves it as it is.
    SetAsync(AsyncUpdate),
    BundleControl(BundleControl),
    BundleAdd(BundleAdd),

    DescRequest,
    DescReply(Box<SwitchDesc>),
    FlowStatsRequest(FlowStatsRequest),
    FlowStatsReply(Vec<FlowStats>),
    AggregateRequest(FlowStatsRequest),
    AggregateReply(AggregateStats),
    TableStatsRequest,
    TableStatsReply(Vec<TableStats>),
    PortStatsRequest(OfPort),
    PortStatsReply(Vec<PortStats>),
    QueueStatsRequest {
        port: OfPort,
        queue: u32,
    },
    QueueStatsReply(Vec<QueueStats>),
    PortDescRequest(OfPort),
    PortDescReply(Vec<PortDesc>),
    QueueDescRequest {
        port: OfPort,
        queue: u32,
    },
    QueueDescReply {
        port: OfPort,
        queues: Vec<QueueConfig>,
    },
    GroupStatsRequest(u32),
    GroupStatsReply(Vec<GroupStats>),
    GroupDescRequest(u32),
    GroupDescReply(Vec<GroupDesc>),
    GroupFeaturesRequest,
    GroupFeaturesReply(GroupFeatures),
    MeterStatsRequest(u32),
    MeterStatsReply(Vec<MeterStats>),
    MeterConfigRequest(u32),
    MeterConfigReply(Vec<MeterConfig>),
    MeterFeaturesRequest,
    MeterFeaturesReply(MeterFeatures),
    TableFeaturesRequest(Vec<TableFeatures>),
    TableFeaturesReply(Vec<TableFeatures>),
    TableDescRequest,
    TableDescReply(Vec<TableDesc>),
    FlowMonitorRequest(Vec<FlowMonitorRequest>),
    FlowMonitorReply(Vec<FlowUpdate>),
    FlowMonitorCancel(u32),
    FlowMonitorPaused,
    FlowMonitorResumed,

    // Nicira extensions of which OpenFlow has none of its own.
    SetFlowFormat {
        nxm: bool,
    },
    FlowModTableId(bool),
    SetPacketInFormat(PacketInFormat),
    FlowAge,
    SetControllerId(u16),
    Resume(PacketIn),
    TlvTableMod(TlvTableMod),
    TlvTableRequest,
    TlvTableReply(TlvTable),
    IpfixBridgeStatsRequest,
    IpfixFlowStatsRequest,
    CtFlushZone(u16),
}
