//! Messages of IPFIX (RFC 7011 §3): templates, records of flows, statistics of the exporter.

use super::cache::{EndReason, Flow};
use super::field::{CountField, EXPORTING_PROCESS, NOT_SENT_PACKETS, Spec, VIRTUAL_OBSERVATION_ID};
use super::observed::put_variable;
use super::shape::{STATISTICS_TEMPLATE, Shape};

const VERSION: u16 = 10;
pub(crate) const HEADER_LEN: usize = 16;
/// The numbers of sets of templates.
const TEMPLATES: u16 = 2;
const OPTIONS_TEMPLATES: u16 = 3;
/// A message of templates is sent when it has so many bytes.
const ENOUGH: usize = 1024;

/// What the header of a message says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    /// Seconds since 1970.
    pub export_time: u32,
    pub sequence: u32,
    pub domain: u32,
}

impl Header {
    /// A message of one set, whose body `put` writes.
    fn message(self, set: u16, put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        [VERSION, 0].iter().for_each(|half| out.extend(half.to_be_bytes()));
        [self.export_time, self.sequence, self.domain].iter().for_each(|word| out.extend(word.to_be_bytes()));
        [set, 0].iter().for_each(|half| out.extend(half.to_be_bytes()));
        put(&mut out);
        let length = out.len() as u16;
        write_half(&mut out, 2, length);
        write_half(&mut out, HEADER_LEN + 2, length - HEADER_LEN as u16);
        out
    }
}

fn write_half(out: &mut [u8], at: usize, value: u16) {
    if let Some(place) = out.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// The templates of all records, and that of statistics.
pub(crate) fn templates(header: Header, has_virtual_id: bool) -> Vec<Vec<u8>> {
    let mut shapes = Shape::all().peekable();
    let mut messages = Vec::new();
    while shapes.peek().is_some() {
        messages.push(header.message(TEMPLATES, |out| {
            while out.len() < ENOUGH
                && let Some(shape) = shapes.next()
            {
                put_template(shape, has_virtual_id, out);
            }
        }));
    }
    // What is said of the exporter is of no domain.
    messages.push(Header { domain: 0, ..header }.message(OPTIONS_TEMPLATES, |out| {
        // Two fields, of which the first says of whom the other is.
        [STATISTICS_TEMPLATE, 2, 1].iter().for_each(|half| out.extend(half.to_be_bytes()));
        put_spec(EXPORTING_PROCESS, out);
        put_spec(NOT_SENT_PACKETS, out);
    }));
    messages
}

fn put_template(shape: Shape, has_virtual_id: bool, out: &mut Vec<u8>) {
    let key = shape.key_fields().into_iter().map(|field| field.spec());
    let virtual_id = has_virtual_id.then_some(VIRTUAL_OBSERVATION_ID);
    let counts = shape.count_fields().into_iter().map(|field| field.spec());
    let specs: Vec<Spec> = key.chain(virtual_id).chain(counts).collect();
    [shape.template(), specs.len() as u16].iter().for_each(|half| out.extend(half.to_be_bytes()));
    specs.into_iter().for_each(|spec| put_spec(spec, out));
}

fn put_spec(spec: Spec, out: &mut Vec<u8>) {
    let id = if spec.enterprise.is_some() { spec.id | 0x8000 } else { spec.id };
    [id, spec.length].iter().for_each(|half| out.extend(half.to_be_bytes()));
    spec.enterprise.into_iter().for_each(|number| out.extend(number.to_be_bytes()));
}

/// A record of a flow.
pub(crate) fn record(
    header: Header,
    shape: Shape,
    key: &[u8],
    virtual_id: Option<&str>,
    flow: &Flow,
    reason: EndReason,
) -> Vec<u8> {
    header.message(shape.template(), |out| {
        out.extend(key);
        virtual_id.into_iter().for_each(|id| put_variable(id.as_bytes(), out));
        for field in shape.count_fields() {
            put_count(field, header.export_time, flow, reason, out);
        }
    })
}

// house: long because it is a table, an arm for each field.
fn put_count(field: CountField, export_time: u32, flow: &Flow, reason: EndReason, out: &mut Vec<u8>) {
    // Times are written as how long before the header's they were.
    let before =
        |us: u64| (u64::from(export_time) * 1_000_000).saturating_sub(us).min(u32::MAX.into()) as u32;
    let (some, all) = (&flow.counts, &flow.totals);
    let count = match field {
        CountField::StartDelta => return out.extend(before(flow.start_us).to_be_bytes()),
        CountField::EndDelta => return out.extend(before(flow.end_us).to_be_bytes()),
        CountField::EndReason => return out.push(reason as u8),
        CountField::DroppedPackets => some.dropped_packets,
        CountField::DroppedPacketsTotal => all.dropped_packets,
        CountField::Packets => some.packets,
        CountField::PacketsTotal => all.packets,
        CountField::IngressUnicastTotal => all.ingress_unicast,
        CountField::IngressMulticastTotal => all.ingress_multicast,
        CountField::IngressBroadcastTotal => all.ingress_broadcast,
        CountField::EgressUnicastTotal => all.egress_unicast,
        CountField::EgressBroadcastTotal => all.egress_broadcast,
        CountField::EgressMulticast => some.egress_multicast,
        CountField::EgressMulticastTotal => all.egress_multicast,
        CountField::Layer2Octets => some.layer2_octets,
        CountField::Layer2OctetsTotal => all.layer2_octets,
        CountField::DroppedOctets => some.dropped_octets,
        CountField::DroppedOctetsTotal => all.dropped_octets,
        CountField::Octets => some.octets,
        CountField::OctetsTotal => all.octets,
        CountField::OctetSquares => some.octet_squares,
        CountField::OctetSquaresTotal => all.octet_squares,
        CountField::LeastLength => flow.least_length,
        CountField::GreatestLength => flow.greatest_length,
        CountField::EgressMulticastOctets => some.egress_multicast_octets,
        CountField::EgressMulticastOctetsTotal => all.egress_multicast_octets,
        CountField::AckTotal => all.ack,
        CountField::FinTotal => all.fin,
        CountField::PshTotal => all.psh,
        CountField::RstTotal => all.rst,
        CountField::SynTotal => all.syn,
        CountField::UrgTotal => all.urg,
    };
    out.extend(count.to_be_bytes());
}

/// The exporter's statistics: of datagrams that could not be sent.
pub(crate) fn statistics(header: Header, exporter: u32, not_sent: u64) -> Vec<u8> {
    Header { domain: 0, ..header }.message(STATISTICS_TEMPLATE, |out| {
        out.extend(exporter.to_be_bytes());
        out.extend(not_sent.to_be_bytes());
    })
}
