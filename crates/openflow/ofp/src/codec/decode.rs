//! Bytes to messages: which one it is, and the list of what reads each.

use fields::Protocols;

use super::raw::{self, Raw};
use super::{
    Context, conntrack, flow, flow_removed, flow_stats, group, ipfix, monitor, notice, packet, port, queue,
    switch, table, table_features,
};
use crate::wire::Reader;
use crate::*;

/// Reads one message. With another version than [`Context::protocol`]'s, the
/// version's own initial protocol counts.
pub fn decode(bytes: &[u8], cx: &Context) -> Result<Decoded, OfError> {
    let header = raw::Header::read(bytes).ok_or(OfError::OfpbrcBadLen)?;
    if usize::from(header.length) != bytes.len() {
        return Err(OfError::OfpbrcBadLen);
    }
    if header.kind == 0 {
        let (versions, _) =
            switch::decode_hello(&mut Reader::new(&bytes[8..]), header.version, switch::log_hello);
        let version = Version::from_byte(header.version).unwrap_or(Version::Of10);
        return Ok(Decoded { version, xid: header.xid, more: false, message: Message::Hello { versions } });
    }
    let version = Version::from_byte(header.version).ok_or(OfError::OfpbrcBadVersion)?;
    let (raw, more, body) = raw::identify(bytes, &header)?;
    let mut cx = *cx;
    if Version::of(cx.protocol) != version {
        cx.protocol = Protocols::initial(version.byte());
        if version == Version::Of10 {
            cx.protocol = Protocols::OF10_STD_TID;
        }
    }
    let message = decode_body(raw, &mut Reader::new(&bytes[body..]), version, &cx, bytes)?;
    Ok(Decoded { version, xid: header.xid, more, message })
}

// house: long because it is the one list of messages; each arm is a call or a line.
fn decode_body(
    raw: Raw,
    r: &mut Reader<'_>,
    version: Version,
    cx: &Context,
    bytes: &[u8],
) -> Result<Message, OfError> {
    use Raw::*;
    Ok(match raw {
        OfptHello => {
            Message::Hello { versions: switch::decode_hello(r, version.byte(), switch::log_hello).0 }
        }
        OfptError => return switch::decode_error(r, version),
        OfptEchoRequest => Message::EchoRequest(r.rest().to_vec()),
        OfptEchoReply => Message::EchoReply(r.rest().to_vec()),
        OfptFeaturesRequest => Message::FeaturesRequest,
        Ofpt10FeaturesReply | Ofpt11FeaturesReply | Ofpt13FeaturesReply => {
            Message::FeaturesReply(switch::decode_features(r, version)?)
        }
        OfptGetConfigRequest => Message::GetConfigRequest,
        OfptGetConfigReply => Message::GetConfigReply(switch::decode_config(r, version, false)?),
        OfptSetConfig => Message::SetConfig(switch::decode_config(r, version, true)?),
        Ofpt10PacketIn | Ofpt11PacketIn | Ofpt12PacketIn | Ofpt13PacketIn | NxtPacketIn | NxtPacketIn2 => {
            Message::PacketIn(Box::new(packet::decode_in(raw, r, version)?))
        }
        NxtResume => Message::Resume(Box::new(packet::decode_in(raw, r, version)?)),
        Ofpt10FlowRemoved | Ofpt11FlowRemoved | Ofpt15FlowRemoved | NxtFlowRemoved => {
            Message::FlowRemoved(Box::new(flow_removed::decode_removed(raw, r, version)?))
        }
        Ofpt10PortStatus | Ofpt11PortStatus | Ofpt14PortStatus => {
            Message::PortStatus(port::decode_status(r, version)?)
        }
        Ofpt10PacketOut | Ofpt11PacketOut | Ofpt15PacketOut => {
            Message::PacketOut(Box::new(packet::decode_out(raw, r, version)?))
        }
        Ofpt10FlowMod | Ofpt11FlowMod | NxtFlowMod => {
            Message::FlowMod(flow::decode_flow_mod(raw, r, version, cx)?)
        }
        NxtGroupMod | Ofpt11GroupMod | Ofpt15GroupMod => {
            Message::GroupMod(group::decode_mod(raw, r, version)?)
        }
        Ofpt10PortMod | Ofpt11PortMod | Ofpt14PortMod => Message::PortMod(port::decode_mod(raw, r)?),
        Ofpt11TableMod | Ofpt14TableMod => Message::TableMod(table::decode_mod(raw, r, version)?),
        Ofpt13MeterMod => Message::MeterMod(group::decode_meter_mod(r)?),
        Ofpt10BarrierRequest | Ofpt11BarrierRequest => Message::BarrierRequest,
        Ofpt10BarrierReply | Ofpt11BarrierReply => Message::BarrierReply,
        Ofpt12RoleRequest | NxtRoleRequest => Message::RoleRequest(switch::decode_role(raw, r)?),
        Ofpt12RoleReply | NxtRoleReply => Message::RoleReply(switch::decode_role(raw, r)?),
        Ofpt13GetAsyncRequest | Ofpt14GetAsyncRequest => Message::GetAsyncRequest,
        Ofpt13GetAsyncReply | Ofpt14GetAsyncReply => {
            let update = switch::decode_async(raw, r)?;
            Message::GetAsyncReply(AsyncConfig {
                primary: update.primary.map(|v| v.unwrap_or(0)),
                secondary: update.secondary.map(|v| v.unwrap_or(0)),
            })
        }
        Ofpt13SetAsync | NxtSetAsyncConfig | NxtSetAsyncConfig2 | Ofpt14SetAsync => {
            Message::SetAsync(switch::decode_async(raw, r)?)
        }
        Ofpt14BundleControl | Onft13BundleControl => {
            Message::BundleControl(BundleControl { bundle: r.u32()?, kind: r.u16()?, flags: r.u16()? })
        }
        Ofpt14BundleAddMessage | Onft13BundleAddMessage => {
            return decode_bundle_add(r, version, cx, message_xid(bytes));
        }
        Ofpt14RoleStatus | Onft13RoleStatus => {
            let role = match r.u32()? {
                1 => ControllerRole::Equal,
                2 => ControllerRole::Primary,
                3 => ControllerRole::Secondary,
                _ => return Err(OfError::OfprrfcBadRole),
            };
            let reason = r.u8()?;
            r.skip(3)?;
            Message::RoleStatus(RoleStatus { role, reason, generation_id: r.u64()? })
        }
        NxtRequestforward | Onft13Requestforward | Ofpt14Requestforward => {
            return notice::decode_forward(r, cx);
        }
        Ofpt14TableStatus => return notice::decode_table_status(r),
        OfpstDescRequest => Message::DescRequest,
        OfpstDescReply => Message::DescReply(Box::new(switch::decode_desc(r)?)),
        Ofpst10FlowRequest | Ofpst11FlowRequest | NxstFlowRequest => {
            Message::FlowStatsRequest(Box::new(flow_stats::decode_stats_request(raw, r)?))
        }
        Ofpst10FlowReply | Ofpst11FlowReply | Ofpst13FlowReply | Ofpst15FlowReply | NxstFlowReply => {
            Message::FlowStatsReply(flow_stats::decode_stats_reply(raw, r, version, cx)?)
        }
        Ofpst10AggregateRequest
        | Ofpst11AggregateRequest
        | Ofpst15AggregateRequest
        | NxstAggregateRequest => {
            Message::AggregateRequest(Box::new(flow_stats::decode_stats_request(raw, r)?))
        }
        OfpstAggregateReply | Ofpst15AggregateReply | NxstAggregateReply => {
            Message::AggregateReply(flow_stats::decode_aggregate(raw, r)?)
        }
        OfpstTableRequest => Message::TableStatsRequest,
        Ofpst10TableReply | Ofpst11TableReply | Ofpst12TableReply | Ofpst13TableReply => {
            Message::TableStatsReply(table::decode_stats(raw, r)?)
        }
        Ofpst10PortRequest | Ofpst11PortRequest => {
            Message::PortStatsRequest(port::decode_port_request(r, version)?)
        }
        Ofpst10PortReply | Ofpst11PortReply | Ofpst13PortReply | Ofpst14PortReply => {
            Message::PortStatsReply(port::decode_stats(raw, r)?)
        }
        Ofpst10QueueRequest | Ofpst11QueueRequest => {
            let (port, queue) = port::decode_queue_request(r, version)?;
            let port =
                if version == Version::Of10 && port == base::OfPort::ALL { base::OfPort::ANY } else { port };
            Message::QueueStatsRequest { port, queue }
        }
        Ofpst10QueueReply | Ofpst11QueueReply | Ofpst13QueueReply | Ofpst14QueueReply => {
            Message::QueueStatsReply(port::decode_queues(raw, r)?)
        }
        Ofpt10QueueGetConfigRequest | Ofpt11QueueGetConfigRequest | Ofpst14QueueDescRequest => {
            return queue::decode_request(raw, r);
        }
        Ofpt10QueueGetConfigReply | Ofpt11QueueGetConfigReply | Ofpst14QueueDescReply => {
            return queue::decode_reply(raw, r, version);
        }
        Ofpst10PortDescRequest => Message::PortDescRequest(base::OfPort::ANY),
        Ofpst15PortDescRequest => Message::PortDescRequest(port::decode_port_request(r, version)?),
        Ofpst10PortDescReply | Ofpst11PortDescReply | Ofpst14PortDescReply => {
            Message::PortDescReply(port::decode_descs(r, version)?)
        }
        NxstGroupRequest | Ofpst11GroupRequest => Message::GroupStatsRequest(r.u32()?),
        NxstGroupReply | Ofpst11GroupReply | Ofpst13GroupReply => {
            Message::GroupStatsReply(group::decode_stats(raw, r)?)
        }
        NxstGroupDescRequest | Ofpst15GroupDescRequest => Message::GroupDescRequest(r.u32()?),
        Ofpst11GroupDescRequest => Message::GroupDescRequest(GROUP_ALL),
        NxstGroupDescReply | Ofpst11GroupDescReply => {
            Message::GroupDescReply(group::decode_descs(raw, r, version)?)
        }
        NxstGroupFeaturesRequest | Ofpst12GroupFeaturesRequest => Message::GroupFeaturesRequest,
        NxstGroupFeaturesReply | Ofpst12GroupFeaturesReply => {
            Message::GroupFeaturesReply(group::decode_features(r, version)?)
        }
        Ofpst13MeterRequest => Message::MeterStatsRequest(r.u32()?),
        Ofpst13MeterReply => Message::MeterStatsReply(group::decode_meter_stats(r)?),
        Ofpst13MeterConfigRequest => Message::MeterConfigRequest(r.u32()?),
        Ofpst13MeterConfigReply => Message::MeterConfigReply(group::decode_meter_configs(r)?),
        Ofpst13MeterFeaturesRequest => Message::MeterFeaturesRequest,
        Ofpst13MeterFeaturesReply => Message::MeterFeaturesReply(MeterFeatures {
            max_meters: r.u32()?,
            band_types: r.u32()?,
            capabilities: r.u32()?,
            max_bands: r.u8()?,
            max_color: r.u8()?,
        }),
        Ofpst13TableFeaturesRequest => {
            Message::TableFeaturesRequest(table_features::decode(r, version, cx.loose)?)
        }
        Ofpst13TableFeaturesReply => Message::TableFeaturesReply(table_features::decode(r, version, true)?),
        Ofpst14TableDescRequest => Message::TableDescRequest,
        Ofpst14TableDescReply => Message::TableDescReply(table::decode_descs(r)?),
        Ofpst14FlowMonitorRequest | Onfst13FlowMonitorRequest | NxstFlowMonitorRequest => {
            Message::FlowMonitorRequest(monitor::decode_requests(raw, r)?)
        }
        Ofpst14FlowMonitorReply | Onfst13FlowMonitorReply | NxstFlowMonitorReply => {
            Message::FlowMonitorReply(monitor::decode_updates(raw, r, version)?)
        }
        Onft13FlowMonitorCancel | NxtFlowMonitorCancel => Message::FlowMonitorCancel(r.u32()?),
        Onft13FlowMonitorPaused | NxtFlowMonitorPaused => Message::FlowMonitorPaused,
        Onft13FlowMonitorResumed | NxtFlowMonitorResumed => Message::FlowMonitorResumed,
        NxtSetFlowFormat => match r.u32()? {
            0 => Message::SetFlowFormat { nxm: false },
            2 => Message::SetFlowFormat { nxm: true },
            other => {
                log::warn!(target: "ofp_protocol", "NXT_SET_FLOW_FORMAT message specified invalid flow format {other}");
                return Err(OfError::OfpbrcEperm);
            }
        },
        NxtFlowModTableId => Message::FlowModTableId(r.u8()? != 0),
        NxtSetPacketInFormat => Message::SetPacketInFormat(match r.u32()? {
            0 => PacketInFormat::Standard,
            1 => PacketInFormat::Nxt,
            2 => PacketInFormat::Nxt2,
            _ => return Err(OfError::OfpbrcEperm),
        }),
        NxtFlowAge => Message::FlowAge,
        NxtSetControllerId => {
            if !wire::all_zeros(r.take(6)?) {
                return Err(OfError::NxbrcMustBeZero);
            }
            Message::SetControllerId(r.u16()?)
        }
        NxtTlvTableMod => {
            let command = r.u16()?;
            r.skip(6)?;
            Message::TlvTableMod(TlvTableMod { command, mappings: decode_tlv_maps(r)? })
        }
        NxtTlvTableRequest => Message::TlvTableRequest,
        NxtTlvTableReply => {
            let (max_space, max_fields) = (r.u32()?, r.u16()?);
            r.skip(10)?;
            Message::TlvTableReply(TlvTable { max_space, max_fields, mappings: decode_tlv_maps(r)? })
        }
        NxstIpfixBridgeRequest => Message::IpfixBridgeStatsRequest,
        NxstIpfixFlowRequest => Message::IpfixFlowStatsRequest,
        NxstIpfixBridgeReply => {
            Message::IpfixBridgeStatsReply(ipfix::decode(r)?.pop().ok_or(OfError::OfpbrcBadLen)?)
        }
        NxstIpfixFlowReply => Message::IpfixFlowStatsReply(ipfix::decode(r)?),
        NxtCtFlushZone => {
            if !wire::all_zeros(r.take(6)?) {
                return Err(OfError::NxbrcMustBeZero);
            }
            Message::CtFlushZone(r.u16()?)
        }
        NxtCtFlush => Message::CtFlush(Box::new(conntrack::decode(r)?)),
    })
}

fn decode_tlv_maps(r: &mut Reader<'_>) -> Result<Vec<TlvMap>, OfError> {
    let mut maps = Vec::new();
    while !r.is_empty() {
        let map = TlvMap { class: r.u16()?, kind: r.u8()?, length: r.u8()?, index: r.u16()? };
        r.skip(2)?;
        maps.push(map);
    }
    Ok(maps)
}

/// Whether a hello message holds nothing but a bitmap of versions.
pub(crate) fn hello_is_plain(bytes: &[u8]) -> bool {
    match bytes {
        [version, _, _, _, _, _, _, _, body @ ..] => {
            switch::decode_hello(&mut Reader::new(body), *version, |_| ()).1
        }
        _ => false,
    }
}

fn decode_bundle_add(
    r: &mut Reader<'_>,
    version: Version,
    cx: &Context,
    xid: Option<u32>,
) -> Result<Message, OfError> {
    let bundle = r.u32()?;
    r.skip(2)?;
    let flags = r.u16()?;
    let inner = r.rest();
    let header = raw::Header::read(inner).ok_or(OfError::OfpbfcMsgBadLen)?;
    let len = usize::from(header.length);
    if len < 8 || len > inner.len() {
        return Err(OfError::OfpbfcMsgBadLen);
    }
    if header.version != version.byte() {
        return Err(OfError::OfpbfcBadVersion);
    }
    if Some(header.xid) != xid {
        return Err(OfError::OfpbfcMsgBadXid);
    }
    let inner = &inner[..len];
    // What it is comes before whether it is right.
    let (kind, _, _) = raw::identify(inner, &header).map_err(|error| {
        log::warn!(target: "ofp_bundle", "OFPT14_BUNDLE_ADD_MESSAGE contained message is unparsable ({})", error.name());
        OfError::OfpbfcMsgUnsup
    })?;
    let decoded = decode(inner, cx);
    if !matches!(
        decoded.as_ref().map(|decoded| &decoded.message),
        Err(_) | Ok(Message::FlowMod(_) | Message::GroupMod(_) | Message::PortMod(_) | Message::PacketOut(_))
    ) {
        let name = raw::wire_name(kind);
        log::warn!(target: "ofp_bundle", "{name} message not allowed inside OFPT14_BUNDLE_ADD_MESSAGE");
        return Err(OfError::OfpbfcMsgUnsup);
    }
    let decoded = decoded?;
    Ok(Message::BundleAdd(BundleAdd {
        bundle,
        flags,
        xid: header.xid,
        message: Box::new(decoded.message),
        raw: inner.to_vec(),
    }))
}
