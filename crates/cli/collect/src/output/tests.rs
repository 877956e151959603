use std::time::{Duration, UNIX_EPOCH};

use telemetry::{
    CounterRecord, CounterSample, Datagram, FlowRecord, FlowSample, InterfaceCounters, PortRef, Sample,
    Source, SwitchTags,
};

use super::*;
use crate::packet::tests::ping;
use crate::report::report;

pub(crate) fn example() -> Report {
    let flow = FlowSample {
        is_expanded: false,
        sequence: 7,
        source: Source::entity(1000),
        rate: 64,
        pool: 448,
        drops: 0,
        input: PortRef::from_word(4),
        output: PortRef::from_word(0x8000_0002),
        records: vec![
            FlowRecord::Switch(SwitchTags { in_vlan: 10, ..SwitchTags::default() }),
            FlowRecord::Header { protocol: 1, frame_length: 106, stripped: 4, bytes: ping() },
            FlowRecord::Other { format: 1006, body: vec![0; 12] },
        ],
    };
    let interface = InterfaceCounters { index: 4, kind: 6, in_octets: 1 << 40, ..Default::default() };
    let counters = CounterSample {
        is_expanded: false,
        sequence: 3,
        source: Source::interface(4),
        records: vec![CounterRecord::PortName("pa\"".to_owned()), CounterRecord::Interface(interface)],
    };
    let datagram = Datagram {
        agent: [10, 0, 0, 1].into(),
        sub_agent: 0,
        sequence: 9,
        uptime_ms: 2000,
        samples: vec![
            Sample::Flow(flow),
            Sample::Counters(counters),
            Sample::Other { format: 5, body: vec![1] },
        ],
    };
    report(&datagram, 300, [10, 0, 0, 2].into(), UNIX_EPOCH + Duration::new(1_700_000_000, 5000))
}

fn text(format: &Format) -> String {
    String::from_utf8(render(format, &example())).unwrap()
}

#[test]
fn a_sample_is_a_line() {
    let expected = "\
FLOW,10.0.0.1,4,2,020000000001,020000000002,0x0800,10,0,10.1.0.1,10.1.0.2,1,0x00,64,8,0,0x00,106,84,64
CNTR,10.0.0.1,4,6,0,0,0,1099511627776,0,0,0,0,0,0,0,0,0,0,0,0,0
";
    assert_eq!(text(&Format::Lines), expected);
}

#[test]
fn a_field_is_a_line() {
    let text = text(&Format::Full);
    let expected = "\
startSample ----------------------
sampleType_tag 0:1
sampleType FLOWSAMPLE
sampleSequenceNo 7
sourceId 2:1000
meanSkipCount 64
samplePool 448
dropEvents 0
inputPort 4
outputPort multiple 2
flowBlock_tag 0:1001
extendedType SWITCH
in_vlan 10
in_priority 0
out_vlan 0
out_priority 0
flowBlock_tag 0:1
flowSampleType HEADER
headerProtocol 1
sampledPacketSize 106
strippedBytes 4
headerLen 102
headerBytes 02-00-00-00-00-02-02-";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("skipping unknown flow_sample_element: 0:1006 len=12\n"));
    assert!(text.contains("skipping unknown sample: 0:5 len=1\nendSample"));
    assert!(
        text.starts_with("startDatagram =")
            && text.ends_with("endDatagram   =================================\n")
    );
}

#[test]
fn grep_finds_the_source_on_each_line() {
    let expected = "2023-11-14T22:13:20+0000 10.0.0.1 0 9 0:4 0:2 0:1 ifInOctets 1099511627776\n";
    assert!(text(&Format::Grep).contains(expected));
}

#[test]
fn chosen_fields_are_a_line() {
    let names = ["srcIP", "agent", "ifIndex"].map(str::to_owned).to_vec();
    assert_eq!(text(&Format::Fields(names)), "10.1.0.1,10.0.0.1,\n,10.0.0.1,4\n");
}

#[test]
fn json_is_json() {
    for is_pretty in [false, true] {
        let text = text(&Format::Json { is_pretty });
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["samples"][0]["elements"][1]["srcIP"], "10.1.0.1");
        assert_eq!(value["samples"][1]["elements"][0]["ifName"], "pa\"");
        assert_eq!(text.trim_end().contains('\n'), is_pretty);
    }
}

#[test]
fn pcap_holds_the_packet() {
    let bytes = render(&Format::Pcap, &example());
    assert_eq!(bytes.len(), 16 + ping().len());
    assert_eq!(bytes[16..], ping());
    assert_eq!(u32::from_ne_bytes(bytes[12..16].try_into().unwrap()), 106);
}
