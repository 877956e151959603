//! Messages as bytes.
//!
//! house: long because it holds the two lists of all messages, one for each way; what they list is elsewhere.
//!
//! Enters: one message's bytes, whole. Leaves: [`Decoded`], or the error to
//! answer with. The other way round, [`Message::encode`] appends one message,
//! or as many as a multipart takes.

mod flow;
mod group;
pub(crate) mod legacy;
mod monitor;
mod notice;
mod packet;
mod port;
mod queue;
pub(crate) mod raw;
mod switch;
mod table;
mod table_features;

use fields::Protocols;

use crate::wire::{Put, Reader};
use crate::*;
use raw::Raw;

/// What decoding needs to know of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The protocol in effect.
    pub protocol: Protocols,
    /// How many tables there are; 255 when not known.
    pub n_tables: u8,
    /// Whether flow ages are to be read (NXT_FLOW_AGE).
    pub flow_age: bool,
    /// Skip what is not known where the standard lets one.
    pub loose: bool,
}

impl Default for Context {
    /// For showing messages: tolerant.
    fn default() -> Context {
        Context { protocol: Protocols::OF10_STD_TID, n_tables: 255, flow_age: true, loose: true }
    }
}

/// How messages are written.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    pub version: Version,
    pub protocol: Protocols,
    pub packet_in_format: PacketInFormat,
    pub xid: u32,
}

impl Encoder {
    pub fn new(protocol: Protocols, xid: u32) -> Encoder {
        Encoder { version: Version::of(protocol), protocol, packet_in_format: PacketInFormat::Standard, xid }
    }
}

/// The length that a message's header gives, once the header is there.
pub fn message_len(bytes: &[u8]) -> Option<usize> {
    raw::Header::read(bytes).map(|h| usize::from(h.length))
}

/// The xid in a message's header.
pub fn message_xid(bytes: &[u8]) -> Option<u32> {
    raw::Header::read(bytes).map(|h| h.xid)
}

/// Cuts bytes into messages; stops at what is not a whole one.
pub fn split_messages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = message_len(rest).filter(|len| (8..=rest.len()).contains(len))?;
        let (message, tail) = rest.split_at(len);
        rest = tail;
        Some(message)
    })
}

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
            Message::PacketIn(packet::decode_in(raw, r, version)?)
        }
        NxtResume => Message::Resume(packet::decode_in(raw, r, version)?),
        Ofpt10FlowRemoved | Ofpt11FlowRemoved | Ofpt15FlowRemoved | NxtFlowRemoved => {
            Message::FlowRemoved(flow::decode_removed(raw, r, version)?)
        }
        Ofpt10PortStatus | Ofpt11PortStatus | Ofpt14PortStatus => {
            Message::PortStatus(port::decode_status(r, version)?)
        }
        Ofpt10PacketOut | Ofpt11PacketOut | Ofpt15PacketOut => {
            Message::PacketOut(packet::decode_out(raw, r, version)?)
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
            let update = switch::decode_async(raw, r, cx)?;
            Message::GetAsyncReply(AsyncConfig {
                primary: update.primary.map(|v| v.unwrap_or(0)),
                secondary: update.secondary.map(|v| v.unwrap_or(0)),
            })
        }
        Ofpt13SetAsync | NxtSetAsyncConfig | NxtSetAsyncConfig2 | Ofpt14SetAsync => {
            Message::SetAsync(switch::decode_async(raw, r, cx)?)
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
        _ => return decode_stats(raw, r, version, cx),
    })
}

// house: long because it is the one list of multipart messages; each arm is a call or a line.
fn decode_stats(raw: Raw, r: &mut Reader<'_>, version: Version, cx: &Context) -> Result<Message, OfError> {
    use Raw::*;
    Ok(match raw {
        Ofpst10FlowRequest | Ofpst11FlowRequest | NxstFlowRequest => {
            Message::FlowStatsRequest(flow::decode_stats_request(raw, r)?)
        }
        Ofpst10FlowReply | Ofpst11FlowReply | Ofpst13FlowReply | Ofpst15FlowReply | NxstFlowReply => {
            Message::FlowStatsReply(flow::decode_stats_reply(raw, r, version, cx)?)
        }
        Ofpst10AggregateRequest
        | Ofpst11AggregateRequest
        | Ofpst15AggregateRequest
        | NxstAggregateRequest => Message::AggregateRequest(flow::decode_stats_request(raw, r)?),
        OfpstAggregateReply | Ofpst15AggregateReply | NxstAggregateReply => {
            Message::AggregateReply(flow::decode_aggregate(raw, r)?)
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
        NxtCtFlushZone => {
            if !wire::all_zeros(r.take(6)?) {
                return Err(OfError::NxbrcMustBeZero);
            }
            Message::CtFlushZone(r.u16()?)
        }
        _ => return Err(OfError::OfpbrcBadType),
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
    let decoded = decode(inner, cx)?;
    if !matches!(
        decoded.message,
        Message::FlowMod(_) | Message::GroupMod(_) | Message::PortMod(_) | Message::PacketOut(_)
    ) {
        return Err(OfError::OfpbfcMsgUnsup);
    }
    Ok(Message::BundleAdd(BundleAdd {
        bundle,
        flags,
        xid: header.xid,
        message: Box::new(decoded.message),
        raw: inner.to_vec(),
    }))
}

impl Message {
    /// Appends the message as the encoder's protocol writes it; a multipart
    /// becomes several messages when it must.
    // house: long because it is the one list of messages, an arm each.
    pub fn encode(&self, e: &Encoder, out: &mut Vec<u8>) {
        let version = e.version;
        let of10 = version == Version::Of10;
        let pick = |a, b| if of10 { a } else { b };
        match self {
            Message::Hello { versions } => switch::encode_hello(*versions, e, out),
            Message::Error { error, payload } => switch::encode_error(*error, payload, e, out),
            Message::EchoRequest(data) => {
                simple(Raw::OfptEchoRequest, e, out, |out| out.extend_from_slice(data))
            }
            Message::EchoReply(data) => simple(Raw::OfptEchoReply, e, out, |out| out.extend_from_slice(data)),
            Message::FeaturesRequest => empty(Raw::OfptFeaturesRequest, e, out),
            Message::FeaturesReply(f) => switch::encode_features(f, e, out),
            Message::GetConfigRequest => empty(Raw::OfptGetConfigRequest, e, out),
            Message::GetConfigReply(c) => switch::encode_config(c, Raw::OfptGetConfigReply, e, out),
            Message::SetConfig(c) => switch::encode_config(c, Raw::OfptSetConfig, e, out),
            Message::PacketIn(p) => packet::encode_in(p, false, e, out),
            Message::Resume(p) => packet::encode_in(p, true, e, out),
            Message::FlowRemoved(f) => flow::encode_removed(f, e, out),
            Message::PortStatus(s) => port::encode_status(s, e, out),
            Message::PacketOut(p) => packet::encode_out(p, e, out),
            Message::FlowMod(fm) => flow::encode_flow_mod(fm, e, out),
            Message::GroupMod(m) => group::encode_mod(m, e, out),
            Message::PortMod(m) => port::encode_mod(m, e, out),
            Message::TableMod(m) => {
                let raw = if version >= Version::Of14 { Raw::Ofpt14TableMod } else { Raw::Ofpt11TableMod };
                simple(raw, e, out, |out| table::put_mod(m, e, out));
            }
            Message::MeterMod(m) => simple(Raw::Ofpt13MeterMod, e, out, |out| group::put_meter_mod(m, out)),
            Message::BarrierRequest => {
                empty(pick(Raw::Ofpt10BarrierRequest, Raw::Ofpt11BarrierRequest), e, out)
            }
            Message::BarrierReply => empty(pick(Raw::Ofpt10BarrierReply, Raw::Ofpt11BarrierReply), e, out),
            Message::RoleRequest(role) => switch::encode_role(role, true, e, out),
            Message::RoleReply(role) => switch::encode_role(role, false, e, out),
            Message::RoleStatus(s) => {
                let raw =
                    if version == Version::Of13 { Raw::Onft13RoleStatus } else { Raw::Ofpt14RoleStatus };
                simple(raw, e, out, |out| {
                    out.put_u32(s.role as u32);
                    out.put_u8(s.reason);
                    out.put_zeros(3);
                    out.put_u64(s.generation_id);
                });
            }
            Message::GetAsyncRequest => {
                empty(
                    if version == Version::Of13 {
                        Raw::Ofpt13GetAsyncRequest
                    } else {
                        Raw::Ofpt14GetAsyncRequest
                    },
                    e,
                    out,
                );
            }
            Message::GetAsyncReply(c) => {
                let update = AsyncUpdate { primary: c.primary.map(Some), secondary: c.secondary.map(Some) };
                switch::encode_async(&update, false, e, out);
            }
            Message::SetAsync(update) => switch::encode_async(update, true, e, out),
            Message::BundleControl(b) => {
                let raw = if version == Version::Of13 {
                    Raw::Onft13BundleControl
                } else {
                    Raw::Ofpt14BundleControl
                };
                simple(raw, e, out, |out| {
                    out.put_u32(b.bundle);
                    out.put_u16(b.kind);
                    out.put_u16(b.flags);
                });
            }
            Message::BundleAdd(b) => {
                let raw = if version == Version::Of13 {
                    Raw::Onft13BundleAddMessage
                } else {
                    Raw::Ofpt14BundleAddMessage
                };
                simple(raw, e, out, |out| {
                    out.put_u32(b.bundle);
                    out.put_u16(0);
                    out.put_u16(b.flags);
                    b.message.encode(&Encoder { xid: b.xid, ..*e }, out);
                });
            }
            Message::RequestForward(inner) => notice::encode_forward(inner, e, out),
            Message::TableStatus(status) => notice::encode_table_status(status, e, out),
            _ => self.encode_stats(e, out),
        }
    }

    // house: long because it is the one list of multipart messages, an arm each.
    fn encode_stats(&self, e: &Encoder, out: &mut Vec<u8>) {
        let version = e.version;
        let of10 = version == Version::Of10;
        let pick = |a, b| if of10 { a } else { b };
        match self {
            Message::DescRequest => empty(Raw::OfpstDescRequest, e, out),
            Message::DescReply(d) => simple(Raw::OfpstDescReply, e, out, |out| switch::put_desc(d, out)),
            Message::FlowStatsRequest(q) => flow::encode_stats_request(q, false, e, out),
            Message::FlowStatsReply(flows) => flow::encode_stats_reply(flows, e, out),
            Message::AggregateRequest(q) => flow::encode_stats_request(q, true, e, out),
            Message::AggregateReply(s) => flow::encode_aggregate(s, e, out),
            Message::TableStatsRequest => empty(Raw::OfpstTableRequest, e, out),
            Message::TableStatsReply(tables) => table::encode_stats(tables, e, out),
            Message::PortStatsRequest(port) => {
                simple(pick(Raw::Ofpst10PortRequest, Raw::Ofpst11PortRequest), e, out, |out| {
                    if of10 {
                        out.put_u16(port.0 as u16);
                        out.put_zeros(6);
                    } else {
                        out.put_u32(port.0);
                        out.put_u32(0);
                    }
                })
            }
            Message::PortStatsReply(stats) => port::encode_stats(stats, e, out),
            Message::QueueStatsRequest { port, queue } => {
                simple(pick(Raw::Ofpst10QueueRequest, Raw::Ofpst11QueueRequest), e, out, |out| {
                    port::put_queue_request(*port, *queue, version, out)
                });
            }
            Message::QueueStatsReply(queues) => port::encode_queues(queues, e, out),
            Message::QueueDescRequest { port, queue } => queue::encode_request(*port, *queue, e, out),
            Message::QueueDescReply { port, queues } => queue::encode_reply(*port, queues, e, out),
            Message::PortDescRequest(port) if version >= Version::Of15 => {
                simple(Raw::Ofpst15PortDescRequest, e, out, |out| {
                    out.put_u32(port.0);
                    out.put_u32(0);
                })
            }
            Message::PortDescRequest(_) => empty(Raw::Ofpst10PortDescRequest, e, out),
            Message::PortDescReply(ports) => port::encode_descs(ports, e, out),
            Message::GroupStatsRequest(group) => {
                simple(pick(Raw::NxstGroupRequest, Raw::Ofpst11GroupRequest), e, out, |out| {
                    out.put_u32(*group);
                    out.put_u32(0);
                })
            }
            Message::GroupStatsReply(groups) => group::encode_stats(groups, e, out),
            Message::GroupDescRequest(group) => match version {
                Version::Of10 | Version::Of15 => {
                    simple(pick(Raw::NxstGroupDescRequest, Raw::Ofpst15GroupDescRequest), e, out, |out| {
                        out.put_u32(*group);
                        out.put_u32(0);
                    })
                }
                _ => empty(Raw::Ofpst11GroupDescRequest, e, out),
            },
            Message::GroupDescReply(groups) => group::encode_descs(groups, e, out),
            Message::GroupFeaturesRequest => {
                empty(
                    if version < Version::Of12 {
                        Raw::NxstGroupFeaturesRequest
                    } else {
                        Raw::Ofpst12GroupFeaturesRequest
                    },
                    e,
                    out,
                );
            }
            Message::GroupFeaturesReply(f) => group::encode_features(f, e, out),
            Message::MeterStatsRequest(id) => meter_request(Raw::Ofpst13MeterRequest, *id, e, out),
            Message::MeterStatsReply(meters) => group::encode_meter_stats(meters, e, out),
            Message::MeterConfigRequest(id) => meter_request(Raw::Ofpst13MeterConfigRequest, *id, e, out),
            Message::MeterConfigReply(meters) => group::encode_meter_configs(meters, e, out),
            Message::MeterFeaturesRequest => empty(Raw::Ofpst13MeterFeaturesRequest, e, out),
            Message::MeterFeaturesReply(f) => simple(Raw::Ofpst13MeterFeaturesReply, e, out, |out| {
                out.put_u32(f.max_meters);
                out.put_u32(f.band_types);
                out.put_u32(f.capabilities);
                out.put_u8(f.max_bands);
                out.put_u8(f.max_color);
                out.put_u16(0);
            }),
            Message::TableFeaturesRequest(all) => {
                table_features::encode(Raw::Ofpst13TableFeaturesRequest, all, e, out)
            }
            Message::TableFeaturesReply(all) => {
                table_features::encode(Raw::Ofpst13TableFeaturesReply, all, e, out)
            }
            Message::TableDescRequest => empty(Raw::Ofpst14TableDescRequest, e, out),
            Message::TableDescReply(descs) => table::encode_descs(descs, e, out),
            Message::FlowMonitorRequest(requests) => monitor::encode_requests(requests, e, out),
            Message::FlowMonitorReply(updates) => monitor::encode_updates(updates, e, out),
            _ => self.encode_extension(e, out),
        }
    }

    fn encode_extension(&self, e: &Encoder, out: &mut Vec<u8>) {
        let onf = e.version == Version::Of13;
        match self {
            Message::FlowMonitorCancel(id) => {
                let raw = if onf { Raw::Onft13FlowMonitorCancel } else { Raw::NxtFlowMonitorCancel };
                simple(raw, e, out, |out| out.put_u32(*id));
            }
            Message::FlowMonitorPaused => {
                empty(if onf { Raw::Onft13FlowMonitorPaused } else { Raw::NxtFlowMonitorPaused }, e, out)
            }
            Message::FlowMonitorResumed => {
                empty(if onf { Raw::Onft13FlowMonitorResumed } else { Raw::NxtFlowMonitorResumed }, e, out)
            }
            Message::SetFlowFormat { nxm } => {
                simple(Raw::NxtSetFlowFormat, e, out, |out| out.put_u32(if *nxm { 2 } else { 0 }))
            }
            Message::FlowModTableId(on) => {
                simple(Raw::NxtFlowModTableId, e, out, |out| out.put_u64(u64::from(*on) << 56))
            }
            Message::SetPacketInFormat(format) => {
                simple(Raw::NxtSetPacketInFormat, e, out, |out| out.put_u32(*format as u32))
            }
            Message::FlowAge => empty(Raw::NxtFlowAge, e, out),
            Message::SetControllerId(id) => {
                simple(Raw::NxtSetControllerId, e, out, |out| out.put_u64(u64::from(*id)))
            }
            Message::CtFlushZone(zone) => {
                simple(Raw::NxtCtFlushZone, e, out, |out| out.put_u64(u64::from(*zone)))
            }
            Message::IpfixBridgeStatsRequest => empty(Raw::NxstIpfixBridgeRequest, e, out),
            Message::IpfixFlowStatsRequest => empty(Raw::NxstIpfixFlowRequest, e, out),
            Message::TlvTableRequest => empty(Raw::NxtTlvTableRequest, e, out),
            Message::TlvTableMod(m) => simple(Raw::NxtTlvTableMod, e, out, |out| {
                out.put_u16(m.command);
                out.put_zeros(6);
                put_tlv_maps(&m.mappings, out);
            }),
            Message::TlvTableReply(t) => simple(Raw::NxtTlvTableReply, e, out, |out| {
                out.put_u32(t.max_space);
                out.put_u16(t.max_fields);
                out.put_zeros(10);
                put_tlv_maps(&t.mappings, out);
            }),
            other => log::error!(target: "ofp_msgs", "message cannot be encoded: {other:?}"),
        }
    }

    /// The message as bytes.
    pub fn to_bytes(&self, e: &Encoder) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(e, &mut out);
        out
    }
}

fn put_tlv_maps(maps: &[TlvMap], out: &mut Vec<u8>) {
    for map in maps {
        out.put_u16(map.class);
        out.put_u8(map.kind);
        out.put_u8(map.length);
        out.put_u16(map.index);
        out.put_u16(0);
    }
}

fn simple(raw: Raw, e: &Encoder, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = raw::start(out, raw, e.version.byte(), e.xid);
    body(out);
    raw::finish(out, start);
}

fn empty(raw: Raw, e: &Encoder, out: &mut Vec<u8>) {
    simple(raw, e, out, |_| {});
}

fn meter_request(raw: Raw, id: u32, e: &Encoder, out: &mut Vec<u8>) {
    simple(raw, e, out, |out| {
        out.put_u32(id);
        out.put_u32(0);
    });
}
