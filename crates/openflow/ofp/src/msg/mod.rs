//! Messages, independent of version.

mod connection;
mod conntrack;
mod flow;
mod group;
mod ipfix;
mod meter;
mod monitor;
mod packet;
mod port;
mod switch;
mod table;

pub use connection::*;
pub use conntrack::*;
pub use flow::*;
pub use group::*;
pub use ipfix::*;
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
    /// Of the header.
    pub version: Version,
    /// Of the header: a reply repeats that of its request.
    pub xid: u32,
    /// Whether further parts of the same multipart message follow.
    pub more: bool,
    /// The body, in terms that are the same in all versions.
    pub message: Message,
}

/// Any message.
#[derive(Clone, PartialEq, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Message {
    /// `OFPT_HELLO`: the first message of each side.
    Hello {
        /// Bit `v` for each version byte `v` that the sender speaks.
        versions: u32,
    },
    /// `OFPT_ERROR`, or a vendor's error.
    Error {
        /// What was wrong.
        error: OfError,
        /// The beginning of the refused message, 64 bytes or all of it; of `OFPHFC_*` errors ASCII text.
        payload: Vec<u8>,
    },
    /// `OFPT_ECHO_REQUEST`: any bytes, to be sent back.
    EchoRequest(Vec<u8>),
    /// `OFPT_ECHO_REPLY`: the bytes of the request.
    EchoReply(Vec<u8>),
    /// `OFPT_FEATURES_REQUEST`.
    FeaturesRequest,
    /// `OFPT_FEATURES_REPLY`.
    FeaturesReply(SwitchFeatures),
    /// `OFPT_GET_CONFIG_REQUEST`.
    GetConfigRequest,
    /// `OFPT_GET_CONFIG_REPLY`.
    GetConfigReply(SwitchConfig),
    /// `OFPT_SET_CONFIG`; has no reply.
    SetConfig(SwitchConfig),
    /// `OFPT_PACKET_IN`, `NXT_PACKET_IN` or `NXT_PACKET_IN2`, by [`PacketInFormat`].
    PacketIn(Box<PacketIn>),
    /// `OFPT_FLOW_REMOVED`, or `NXT_FLOW_REMOVED` with NXM in OpenFlow 1.0.
    FlowRemoved(Box<FlowRemoved>),
    /// `OFPT_PORT_STATUS`: a port was added, deleted or changed.
    PortStatus(PortStatus),
    /// `OFPT_PACKET_OUT`: a packet for the switch to send.
    PacketOut(Box<PacketOut>),
    /// `OFPT_FLOW_MOD`, or `NXT_FLOW_MOD` with NXM in OpenFlow 1.0.
    FlowMod(Box<FlowMod>),
    /// `OFPT_GROUP_MOD` (OpenFlow 1.1+; `NXT_GROUP_MOD` in 1.0).
    GroupMod(GroupMod),
    /// `OFPT_PORT_MOD`: changes a port's configuration.
    PortMod(PortMod),
    /// `OFPT_TABLE_MOD` (OpenFlow 1.1+).
    TableMod(TableMod),
    /// `OFPT_METER_MOD` (OpenFlow 1.3+).
    MeterMod(MeterMod),
    /// `OFPT_BARRIER_REQUEST`: answered once all messages before it are processed.
    BarrierRequest,
    /// `OFPT_BARRIER_REPLY`.
    BarrierReply,
    /// `OFPT_ROLE_REQUEST` (OpenFlow 1.2+; `NXT_ROLE_REQUEST` before).
    RoleRequest(Role),
    /// `OFPT_ROLE_REPLY` (OpenFlow 1.2+; `NXT_ROLE_REPLY` before).
    RoleReply(Role),
    /// `OFPT_ROLE_STATUS` (OpenFlow 1.4+; ONF extension in 1.3).
    RoleStatus(RoleStatus),
    /// `OFPT_TABLE_STATUS` (OpenFlow 1.4+).
    TableStatus(TableStatus),
    /// What another controller did.
    RequestForward(Box<Decoded>),
    /// `OFPT_GET_ASYNC_REQUEST` (OpenFlow 1.3+).
    GetAsyncRequest,
    /// `OFPT_GET_ASYNC_REPLY` (OpenFlow 1.3+).
    GetAsyncReply(AsyncConfig),
    /// `None` in a place leaves it as it is.
    SetAsync(AsyncUpdate),
    /// `OFPT_BUNDLE_CONTROL` (OpenFlow 1.4+; ONF extension in 1.3).
    BundleControl(BundleControl),
    /// `OFPT_BUNDLE_ADD_MESSAGE` (OpenFlow 1.4+; ONF extension in 1.3).
    BundleAdd(BundleAdd),

    /// `OFPMP_DESC` request.
    DescRequest,
    /// `OFPMP_DESC` reply.
    DescReply(Box<SwitchDesc>),
    /// `OFPMP_FLOW` request (`OFPMP_FLOW_DESC` in OpenFlow 1.5; `NXST_FLOW` with NXM).
    FlowStatsRequest(Box<FlowStatsRequest>),
    /// `OFPMP_FLOW` reply, one entry per rule.
    FlowStatsReply(Vec<FlowStats>),
    /// `OFPMP_AGGREGATE` request (`NXST_AGGREGATE` with NXM).
    AggregateRequest(Box<FlowStatsRequest>),
    /// `OFPMP_AGGREGATE` reply.
    AggregateReply(AggregateStats),
    /// `OFPMP_TABLE` request, for all tables.
    TableStatsRequest,
    /// `OFPMP_TABLE` reply, one entry per table.
    TableStatsReply(Vec<TableStats>),
    /// `OFPMP_PORT_STATS` request; `OfPort::ANY`: all ports.
    PortStatsRequest(OfPort),
    /// `OFPMP_PORT_STATS` reply, one entry per port.
    PortStatsReply(Vec<PortStats>),
    /// `OFPMP_QUEUE` request.
    QueueStatsRequest {
        /// `OfPort::ANY`: all ports.
        port: OfPort,
        /// [`QUEUE_ALL`]: all queues.
        queue: u32,
    },
    /// `OFPMP_QUEUE` reply, one entry per queue.
    QueueStatsReply(Vec<QueueStats>),
    /// `OFPMP_PORT_DESC` request; `OfPort::ANY`: all ports, and the only choice before OpenFlow 1.5.
    PortDescRequest(OfPort),
    /// `OFPMP_PORT_DESC` reply, one entry per port.
    PortDescReply(Vec<PortDesc>),
    /// `OFPMP_QUEUE_DESC` request (`OFPT_QUEUE_GET_CONFIG_REQUEST` before OpenFlow 1.4).
    QueueDescRequest {
        /// `OfPort::ANY`: all ports (OpenFlow 1.1+).
        port: OfPort,
        /// [`QUEUE_ALL`]: all queues, and the only choice before OpenFlow 1.4.
        queue: u32,
    },
    /// `OFPMP_QUEUE_DESC` reply (`OFPT_QUEUE_GET_CONFIG_REPLY` before OpenFlow 1.4).
    QueueDescReply {
        /// The port of the request.
        port: OfPort,
        /// One entry per queue.
        queues: Vec<QueueConfig>,
    },
    /// `OFPMP_GROUP` request; [`GROUP_ALL`]: all groups.
    GroupStatsRequest(u32),
    /// `OFPMP_GROUP` reply, one entry per group.
    GroupStatsReply(Vec<GroupStats>),
    /// `OFPMP_GROUP_DESC` request; [`GROUP_ALL`]: all groups, and the only choice in OpenFlow 1.1 to 1.4.
    GroupDescRequest(u32),
    /// `OFPMP_GROUP_DESC` reply, one entry per group.
    GroupDescReply(Vec<GroupDesc>),
    /// `OFPMP_GROUP_FEATURES` request (OpenFlow 1.2+; Nicira extension before).
    GroupFeaturesRequest,
    /// `OFPMP_GROUP_FEATURES` reply.
    GroupFeaturesReply(GroupFeatures),
    /// `OFPMP_METER` request (OpenFlow 1.3+); [`meter_id::ALL`]: all meters.
    MeterStatsRequest(u32),
    /// `OFPMP_METER` reply, one entry per meter.
    MeterStatsReply(Vec<MeterStats>),
    /// `OFPMP_METER_CONFIG` request (OpenFlow 1.3+); [`meter_id::ALL`]: all meters.
    MeterConfigRequest(u32),
    /// `OFPMP_METER_CONFIG` reply, one entry per meter.
    MeterConfigReply(Vec<MeterConfig>),
    /// `OFPMP_METER_FEATURES` request (OpenFlow 1.3+).
    MeterFeaturesRequest,
    /// `OFPMP_METER_FEATURES` reply.
    MeterFeaturesReply(MeterFeatures),
    /// `OFPMP_TABLE_FEATURES` request (OpenFlow 1.3+): empty to read, otherwise what to change.
    TableFeaturesRequest(Vec<TableFeatures>),
    /// `OFPMP_TABLE_FEATURES` reply, one entry per table.
    TableFeaturesReply(Vec<TableFeatures>),
    /// `OFPMP_TABLE_DESC` request (OpenFlow 1.4+), for all tables.
    TableDescRequest,
    /// `OFPMP_TABLE_DESC` reply, one entry per table.
    TableDescReply(Vec<TableDesc>),
    /// `OFPMP_FLOW_MONITOR` request (OpenFlow 1.4+; ONF extension in 1.3, `NXST_FLOW_MONITOR` before).
    FlowMonitorRequest(Vec<FlowMonitorRequest>),
    /// `OFPMP_FLOW_MONITOR` reply: the initial rules with the request's xid, later changes with xid 0.
    FlowMonitorReply(Vec<FlowUpdate>),
    /// Ends the monitor with this id (`NXT_FLOW_MONITOR_CANCEL`, ONF extension in OpenFlow 1.3).
    FlowMonitorCancel(u32),
    /// No reports until [`Message::FlowMonitorResumed`] (Nicira extension, ONF extension in OpenFlow 1.3).
    FlowMonitorPaused,
    /// Reports go on (Nicira extension, ONF extension in OpenFlow 1.3).
    FlowMonitorResumed,

    // Nicira extensions of which OpenFlow has none of its own.
    /// `NXT_SET_FLOW_FORMAT`: the form of messages about rules (OpenFlow 1.0).
    SetFlowFormat {
        /// NXM and `NXT_*`, or the fixed structures of OpenFlow 1.0.
        nxm: bool,
    },
    /// `NXT_FLOW_MOD_TABLE_ID`: whether the upper byte of a flow mod's command is a table (OpenFlow 1.0).
    FlowModTableId(bool),
    /// `NXT_SET_PACKET_IN_FORMAT`.
    SetPacketInFormat(PacketInFormat),
    /// `NXT_FLOW_AGE`: `NXST_FLOW` replies are to have the ages of rules.
    FlowAge,
    /// `NXT_SET_CONTROLLER_ID`: the id by which `controller` actions choose this connection; 0 by default.
    SetControllerId(u16),
    /// `NXT_RESUME`: a packet-in with continuation, sent back to go on.
    Resume(Box<PacketIn>),
    /// `NXT_TLV_TABLE_MOD`.
    TlvTableMod(TlvTableMod),
    /// `NXT_TLV_TABLE_REQUEST`.
    TlvTableRequest,
    /// `NXT_TLV_TABLE_REPLY`.
    TlvTableReply(TlvTable),
    /// `NXST_IPFIX_BRIDGE` request: counters of IPFIX per bridge.
    IpfixBridgeStatsRequest,
    /// `NXST_IPFIX_BRIDGE` reply.
    IpfixBridgeStatsReply(IpfixStats),
    /// `NXST_IPFIX_FLOW` request: counters of IPFIX per collector set.
    IpfixFlowStatsRequest,
    /// `NXST_IPFIX_FLOW` reply, one entry per collector set.
    IpfixFlowStatsReply(Vec<IpfixStats>),
    /// `NXT_CT_FLUSH_ZONE`: forgets the connections of one zone.
    CtFlushZone(u16),
    /// `NXT_CT_FLUSH`: forgets some connections.
    CtFlush(Box<CtFlush>),
}
