use std::net::Ipv4Addr;

use telemetry::flow_reader::Element;

use super::*;

fn shown(is_json: bool) -> String {
    let iana = |id| Element { enterprise: 0, id };
    let record = FlowRecord {
        template: 285,
        values: vec![
            (iana(8), &[10, 0, 0, 1][..]),
            (iana(2), &[0, 3]),
            (iana(210), &[0]),
            (iana(82), b"eth 1"),
            (iana(82), b"eth\"2"),
            (iana(56), &[2, 0, 0, 0, 0, 1]),
            (iana(9999), &[1, 0xff]),
            (Element { enterprise: 6876, id: 898 }, b"here"),
            (iana(83), b""),
        ],
    };
    let datagram = FlowDatagram {
        version: 10,
        domain: 7,
        sequence: 1,
        time: 2,
        sampling: 1,
        records: Vec::new(),
        unknown_sets: 0,
    };
    line(&datagram, &record, Ipv4Addr::LOCALHOST.into(), is_json)
}

#[test]
fn a_record_is_a_line() {
    assert_eq!(
        shown(false),
        "exporter=127.0.0.1 version=10 domain=7 template=285 sourceIPv4Address=10.0.0.1 packetDeltaCount=3 \
         interfaceName=\"eth 1\" interfaceName_2=\"eth\\\"2\" sourceMacAddress=02:00:00:00:00:01 element9999=0x01ff \
         virtualObsID=here interfaceDescription=\"\"\n"
    );
}

#[test]
fn a_record_is_an_object() {
    let value: serde_json::Value = serde_json::from_str(&shown(true)).unwrap();
    assert_eq!(value["interfaceName_2"], "eth\"2");
    assert_eq!((&value["packetDeltaCount"], &value["domain"]), (&"3".into(), &"7".into()));
}

#[test]
fn mistakes_on_the_command_line_are_told() {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    let options = parse("ovs collect flows", words("-p 2055 -j")).unwrap();
    assert_eq!(options.source, Source::Socket { port: 2055, address: None, family: Family::Any });
    assert_eq!(options.format, Some(Format::Json));
    assert_eq!(parse("ovs collect flows", words("-f 127.0.0.1/9")).unwrap().format, None);
    for line in ["-p x", "-d 5", "-f nonsense", "-b nonsense", "word"] {
        assert!(matches!(parse("ovs collect flows", words(line)), Err(Stop::Fail(_))), "{line}");
    }
}

#[test]
fn a_flow_is_a_line_of_csv() {
    let flow = Flow {
        src: Some(Ipv4Addr::LOCALHOST.into()),
        protocol: 6,
        dst_port: 80,
        packets: 3,
        bytes: 180,
        ..Flow::default()
    };
    assert_eq!(
        flow_line(&flow, Ipv4Addr::LOCALHOST.into()),
        "127.0.0.1,127.0.0.1,-,6,0,80,0x00,0x00,0,0,0,3,180,0\n"
    );
    assert_eq!(COLUMNS.split(',').count(), 14);
}

#[test]
fn chosen_values_stand_in_their_order() {
    let iana = |id| Element { enterprise: 0, id };
    let values = vec![(iana(8), &[10, 0, 0, 1][..]), (iana(82), b"eth,1")];
    let record = FlowRecord { template: 285, values };
    let names = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let row = chosen(&record, &names("interfaceName,vlanId,sourceIPv4Address"));
    assert_eq!(row, Some("\"eth,1\",,10.0.0.1\n".to_owned()));
    assert_eq!(chosen(&record, &names("vlanId")), None);
}
