//! Messages to bytes: the list of what writes each.

use super::raw::{self, Raw};
use super::{
    Encoder, conntrack, flow, flow_removed, flow_stats, group, ipfix, monitor, notice, packet, port, queue,
    switch, table, table_features,
};
use crate::wire::Put;
use crate::*;

/// What a length of sixteen bits can say.
const MAX_LENGTH: usize = u16::MAX as usize;

impl Message {
    /// Appends the message as the encoder's protocol writes it; a multipart
    /// becomes several messages when it must. What cannot be sent appends nothing.
    pub fn encode(&self, e: &Encoder, out: &mut Vec<u8>) -> Result<(), Unsendable> {
        let start = out.len();
        self.write(e, out);
        let written = out.get(start..).unwrap_or(&[]);
        let whole: usize = super::split_messages(written).map(<[u8]>::len).sum();
        if whole == written.len() {
            return Ok(());
        }
        let length = written.len() - whole;
        let reason = match length {
            0..=MAX_LENGTH => "it lacks what a receiver needs".to_owned(),
            _ => format!("it takes {length} bytes, and OpenFlow has room for {MAX_LENGTH}"),
        };
        let message = raw::name_of(written.get(whole..).unwrap_or(&[]));
        out.truncate(start);
        super::UNSENDABLE_MESSAGES.count();
        let unsendable = Unsendable { message, reason };
        log::warn!(target: "ofp_msgs", "{unsendable}");
        Err(unsendable)
    }

    /// [`Message::encode`] without the check, also for messages inside of others.
    // house: long because it is the one list of messages, an arm each.
    pub(super) fn write(&self, e: &Encoder, out: &mut Vec<u8>) {
        let version = e.version;
        let of10 = version == Version::Of10;
        let onf = version == Version::Of13;
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
            Message::FlowRemoved(f) => flow_removed::encode_removed(f, e, out),
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
                    b.message.write(&Encoder { xid: b.xid, ..*e }, out);
                });
            }
            Message::RequestForward(inner) => notice::encode_forward(inner, e, out),
            Message::TableStatus(status) => notice::encode_table_status(status, e, out),

            Message::DescRequest => empty(Raw::OfpstDescRequest, e, out),
            Message::DescReply(d) => simple(Raw::OfpstDescReply, e, out, |out| switch::put_desc(d, out)),
            Message::FlowStatsRequest(q) => flow_stats::encode_stats_request(q, false, e, out),
            Message::FlowStatsReply(flows) => flow_stats::encode_stats_reply(flows, e, out),
            Message::AggregateRequest(q) => flow_stats::encode_stats_request(q, true, e, out),
            Message::AggregateReply(s) => flow_stats::encode_aggregate(s, e, out),
            Message::TableStatsRequest => empty(Raw::OfpstTableRequest, e, out),
            Message::TableStatsReply(tables) => table::encode_stats(tables, e, out),
            Message::PortStatsRequest(port) => {
                simple(pick(Raw::Ofpst10PortRequest, Raw::Ofpst11PortRequest), e, out, |out| {
                    port::put_padded_number(*port, version, out);
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
                Version::Of11 | Version::Of12 | Version::Of13 | Version::Of14 => {
                    empty(Raw::Ofpst11GroupDescRequest, e, out)
                }
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
            Message::CtFlush(flush) => conntrack::encode(flush, e, out),
            Message::IpfixBridgeStatsRequest => empty(Raw::NxstIpfixBridgeRequest, e, out),
            Message::IpfixFlowStatsRequest => empty(Raw::NxstIpfixFlowRequest, e, out),
            Message::IpfixBridgeStatsReply(stats) => {
                ipfix::encode(Raw::NxstIpfixBridgeReply, std::slice::from_ref(stats), e, out)
            }
            Message::IpfixFlowStatsReply(all) => ipfix::encode(Raw::NxstIpfixFlowReply, all, e, out),
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
        }
    }

    /// The message as bytes; none of what cannot be sent, as [`Message::encode`] counts and logs.
    pub fn to_bytes(&self, e: &Encoder) -> Vec<u8> {
        let mut out = Vec::new();
        // Whoever needs to know encodes by itself.
        let _ = self.encode(e, &mut out);
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
