//! The datapath with dummy ports and no thread: packets in by calls, out into counters and captures.
#![allow(clippy::unwrap_used)] // tests say what they expect by unwrapping

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Clock, DpPort, MacAddr, Timestamp};
use dp::{
    Action, Datapath, DpError, DummyControl, Execute, FlowPut, Meter, MeterBand, Packet, PortKind, PortSpec,
    PutMode, TunnelKind, Ufid, UnknownPortKind, Upcall, UpcallOutcome, UpcallPacket, Userspace, WorkerId,
    text,
};
use dp_user::{Config, DpUser};
use flow::{FlowMask, slot};

/// Answers every miss with the same actions.
struct Fixed {
    actions: Mutex<Arc<[Action]>>,
    install: bool,
    misses: AtomicUsize,
    sent_up: AtomicUsize,
}

impl Fixed {
    fn new(actions: &str, install: bool) -> Arc<Fixed> {
        let actions = text::parse_actions(actions, None).unwrap();
        Arc::new(Fixed {
            actions: Mutex::new(actions.into()),
            install,
            misses: AtomicUsize::new(0),
            sent_up: AtomicUsize::new(0),
        })
    }
}

impl Upcall for Fixed {
    fn miss(&self, upcall: &mut UpcallPacket<'_>) -> UpcallOutcome {
        self.misses.fetch_add(1, Ordering::Relaxed);
        let mut mask = FlowMask::new();
        mask.add_all(slot::DL_DST);
        mask.add_all(slot::RECIRC_ID);
        // After a recirculation the packet is done.
        let is_first = upcall.key.recirc_id() == 0;
        let actions = if is_first {
            self.actions.lock().unwrap().clone()
        } else {
            Arc::new([Action::Output(DpPort(3))])
        };
        UpcallOutcome { actions, mask, install: self.install, install_actions: None, version: 0 }
    }

    fn userspace(&self, _: &mut UpcallPacket<'_>, _: &Userspace, _: &[Action]) -> Option<Arc<[Action]>> {
        self.sent_up.fetch_add(1, Ordering::Relaxed);
        Some(Arc::new([Action::Output(DpPort(2))]))
    }
}

/// Three ports, up.
fn datapath(clock: &Clock, upcall: Option<Arc<Fixed>>) -> DpUser {
    let config = Config { is_dummy: true, processors: None, ..Config::default() };
    let datapath = DpUser::new(config, clock.clone()).unwrap();
    for name in ["p1", "p2", "p3"] {
        let port = datapath.add_port(&PortSpec::new(name, PortKind::Dummy)).unwrap();
        datapath.configure_port(port, None, None, Some(true)).unwrap();
    }
    datapath.set_upcall(upcall.map(|upcall| upcall as Arc<dyn Upcall>));
    datapath
}

fn frame(dst: u8) -> Packet {
    let mut bytes =
        wire::ethernet::header(MacAddr([2, 0, 0, 0, 0, dst]), MacAddr([2, 0, 0, 0, 0, 1]), 0x0800).to_vec();
    bytes.extend(wire::ipv4::header(1, 2, 17, 0, 64, 0, 12));
    bytes.extend(wire::udp::header(1, 2, 4));
    bytes.extend([0; 4]);
    Packet::from_bytes(&bytes)
}

fn send(datapath: &DpUser, port: u32, packet: Packet) {
    datapath.receive(DpPort(port), packet).unwrap();
}

fn sent(datapath: &DpUser, port: u32) -> u64 {
    datapath.port_stats(DpPort(port)).unwrap().tx_packets.unwrap()
}

#[test]
fn the_first_packet_goes_up_and_the_rest_follow_the_flow() {
    let upcall = Fixed::new("2,3", true);
    let clock = Clock::new();
    let datapath = datapath(&clock, Some(upcall.clone()));
    for _ in 0..5 {
        send(&datapath, 1, frame(9));
    }
    send(&datapath, 1, frame(8));
    assert_eq!(upcall.misses.load(Ordering::Relaxed), 2);
    assert_eq!((sent(&datapath, 1), sent(&datapath, 2), sent(&datapath, 3)), (0, 6, 6));
    let stats = datapath.stats();
    assert_eq!((stats.hits, stats.missed, stats.flows, stats.masks), (4, 2, 2, 1));

    let mut lines = Vec::new();
    datapath.flow_dump(&mut |flow| {
        let key = text::format_key(&flow.key, Some(&flow.mask), false, None);
        lines.push(format!(
            "{key} packets:{} {}",
            flow.stats.packets,
            text::format_actions(&flow.actions, None)
        ));
    });
    lines.sort();
    assert_eq!(
        lines,
        [
            "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(dst=02:00:00:00:00:08),eth_type(0x0800) packets:0 2,3",
            "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(dst=02:00:00:00:00:09),eth_type(0x0800) packets:4 2,3",
        ]
    );
    datapath.flow_flush();
    assert_eq!(datapath.stats().flows, 0);
    send(&datapath, 1, frame(9));
    assert_eq!(upcall.misses.load(Ordering::Relaxed), 3);
}

#[test]
fn recirculated_packets_are_looked_up_anew_and_not_without_end() {
    let upcall = Fixed::new("hash(l4(0)),recirc(0x5)", true);
    let datapath = datapath(&Clock::new(), Some(upcall.clone()));
    send(&datapath, 1, frame(9));
    send(&datapath, 1, frame(9));
    assert_eq!((sent(&datapath, 3), upcall.misses.load(Ordering::Relaxed)), (2, 2));
    assert_eq!(datapath.stats().recirculated, 2);

    // A flow that sends its packets to itself.
    let (key, mask) =
        text::parse_key("recirc_id(0x7),in_port(1),packet_type(ns=0,id=0),eth_type(0x0800)", None).unwrap();
    let put = FlowPut {
        ufid: None,
        worker: None,
        key,
        mask,
        actions: Arc::new([Action::Recirc(7)]),
        mode: PutMode::Create,
        zero_stats: false,
        version: None,
    };
    datapath.flow_put(&put).unwrap();
    let mut packet = frame(1);
    packet.metadata.in_port = DpPort(1);
    datapath.execute(Execute { packet, actions: &[Action::Recirc(7)], now: Timestamp::ZERO }).unwrap();
    assert!(datapath.stats().recirculated < 20);
}

#[test]
fn a_port_can_be_given_another_number() {
    let clock = Clock::new();
    let datapath = datapath(&clock, Some(Fixed::new("7", true)));
    assert_eq!(datapath.renumber(DpPort(2), DpPort(3)), Err(DpError::NumberTaken(DpPort(3))));
    assert_eq!(datapath.renumber(DpPort(9), DpPort(7)), Err(DpError::NoPort(DpPort(9))));
    datapath.renumber(DpPort(2), DpPort(7)).unwrap();
    assert_eq!(datapath.port_by_name("p2").unwrap().number, DpPort(7));
    assert!(datapath.port(DpPort(2)).is_none());
    send(&datapath, 1, frame(9));
    assert_eq!(sent(&datapath, 7), 1, "the same device");
}

#[test]
fn a_capture_has_what_came_and_what_went() {
    let path = std::env::temp_dir().join(format!("capture-{}.pcap", std::process::id()));
    let datapath = datapath(&Clock::new(), Some(Fixed::new("4", true)));
    let mut spec = PortSpec::new("p4", PortKind::Dummy);
    spec.options.push(("pcap".to_owned(), path.to_str().unwrap().to_owned()));
    assert_eq!(datapath.add_port(&spec).unwrap(), DpPort(4));
    // What comes by the port goes back, and is in it twice.
    send(&datapath, 4, frame(1));
    send(&datapath, 1, frame(2));
    let len = std::fs::read(&path).unwrap().len();
    std::fs::remove_file(&path).unwrap();
    // The file's header, and three packets with theirs.
    assert_eq!(len, 24 + 3 * (16 + frame(1).len()));
}

#[test]
fn flows_can_be_put_changed_and_deleted() {
    let datapath = datapath(&Clock::new(), None);
    let (key, mask) = text::parse_key("in_port(1),packet_type(ns=0,id=0),eth_type(0x0800)", None).unwrap();
    let ufid = Ufid(0x1234);
    let mut put = FlowPut {
        ufid: Some(ufid),
        worker: None,
        key,
        mask,
        actions: Arc::new([Action::Output(DpPort(2))]),
        mode: PutMode::Modify,
        zero_stats: false,
        version: None,
    };
    assert_eq!(datapath.flow_put(&put), Err(DpError::NoFlow));
    put.mode = PutMode::Create;
    datapath.flow_put(&put).unwrap();
    assert_eq!(datapath.flow_put(&put), Err(DpError::FlowExists));
    send(&datapath, 1, frame(1));
    put.mode = PutMode::Modify;
    put.actions = Arc::new([Action::Output(DpPort(3))]);
    datapath.flow_put(&put).unwrap();
    send(&datapath, 1, frame(1));
    assert_eq!((sent(&datapath, 2), sent(&datapath, 3)), (1, 1));
    assert_eq!(datapath.flow_get(ufid, Some(WorkerId::Main)).unwrap().stats.packets, 2);
    assert_eq!(datapath.flow_del(ufid, None).unwrap().packets, 2);
    assert_eq!(datapath.flow_del(ufid, None), Err(DpError::NoFlow));
    assert_eq!(ufid.to_string(), "ufid:00000000-0000-0000-0000-000000001234");
}

#[test]
fn what_comes_up_from_a_flow_is_answered() {
    let upcall = Fixed::new("userspace(pid=0,slow_path(lacp)),3", true);
    let datapath = datapath(&Clock::new(), Some(upcall.clone()));
    send(&datapath, 1, frame(1));
    send(&datapath, 1, frame(1));
    assert_eq!((upcall.sent_up.load(Ordering::Relaxed), sent(&datapath, 2), sent(&datapath, 3)), (2, 2, 2));
}

#[test]
fn meters_drop_what_is_too_much() {
    let upcall = Fixed::new("meter(1),2", true);
    let clock = Clock::new();
    clock.stop();
    let datapath = datapath(&clock, Some(upcall));
    let config = Meter { is_pktps: true, bands: vec![MeterBand { rate: 1, burst: 2 }] };
    datapath.set_meter(1, Some(config)).unwrap();
    for _ in 0..5 {
        send(&datapath, 1, frame(1));
    }
    assert_eq!(sent(&datapath, 2), 2);
    clock.warp(Duration::from_secs(1));
    send(&datapath, 1, frame(1));
    assert_eq!(sent(&datapath, 2), 3);
    assert_eq!(datapath.meter_stats(1).unwrap().bands, [(3, 3 * 46)]);
}

#[test]
fn ports_come_and_go() {
    let datapath = datapath(&Clock::new(), None);
    let epoch = datapath.port_epoch();
    assert_eq!(
        datapath.add_port(&PortSpec::new("p1", PortKind::Dummy)),
        Err(DpError::PortExists("p1".into()))
    );
    assert_eq!(
        datapath.add_port(&PortSpec::new("x", TunnelKind::Stt.into())),
        Err(DpError::UnknownKind(UnknownPortKind("stt".into())))
    );
    let mut spec = PortSpec::new("p9", PortKind::Dummy);
    spec.number = Some(DpPort(9));
    assert_eq!(datapath.add_port(&spec), Ok(DpPort(9)));
    assert_eq!(datapath.port_by_name("p9").unwrap().number, DpPort(9));
    datapath.del_port(DpPort(2)).unwrap();
    assert_eq!(datapath.del_port(DpPort(2)), Err(DpError::NoPort(DpPort(2))));
    let names: Vec<_> = datapath.ports().into_iter().map(|port| port.name.clone()).collect();
    assert_eq!(names, ["p1", "p3", "p9"]);
    assert!(datapath.port_epoch() > epoch);
}

#[test]
fn of_ports_that_are_added_together_each_has_its_own_result() {
    let datapath = datapath(&Clock::new(), None);
    let mut nine = PortSpec::new("p9", PortKind::Dummy);
    nine.number = Some(DpPort(9));
    let mut taken = PortSpec::new("x", PortKind::Dummy);
    taken.number = Some(DpPort(1));
    let mut specs: Vec<PortSpec> =
        (20..150).map(|n| PortSpec::new(&format!("p{n}"), PortKind::Dummy)).collect();
    let mut expected: Vec<Result<DpPort, DpError>> = (20..150).map(|n| Ok(DpPort(n))).collect();
    for (spec, result) in [
        (nine, Ok(DpPort(9))),
        (PortSpec::new("p9", PortKind::Dummy), Err(DpError::PortExists("p9".into()))),
        (taken, Err(DpError::NumberTaken(DpPort(1)))),
        (
            PortSpec::new("y", TunnelKind::Stt.into()),
            Err(DpError::UnknownKind(UnknownPortKind("stt".into()))),
        ),
        (PortSpec::new("p1", PortKind::Dummy), Err(DpError::PortExists("p1".into()))),
        (PortSpec::new("p4", PortKind::Dummy), Ok(DpPort(4))),
    ] {
        specs.push(spec);
        expected.push(result);
    }
    assert_eq!(datapath.add_ports(&specs), expected);
    for (spec, result) in specs.iter().zip(expected).filter(|(_, result)| result.is_ok()) {
        assert_eq!(datapath.port_by_name(&spec.name).map(|port| port.number).ok_or(DpError::NoFlow), result);
    }
    assert_eq!(datapath.add_ports(&[]), []);
}

#[test]
fn captures_hold_what_was_sent() {
    let upcall = Fixed::new("push_vlan(vid=5,pcp=0),4", true);
    let datapath = datapath(&Clock::new(), Some(upcall));
    let path = std::env::temp_dir().join(format!("dp-user-capture-{}.pcap", std::process::id()));
    let mut spec = PortSpec::new("p4", PortKind::Dummy);
    spec.options.push(("tx_pcap".into(), path.to_str().unwrap().into()));
    let port = datapath.add_port(&spec).unwrap();
    datapath.configure_port(port, None, None, Some(true)).unwrap();
    send(&datapath, 1, frame(1));
    let capture = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(capture.len(), 24 + 16 + 50);
    assert_eq!(capture[24 + 16 + 12..24 + 16 + 16], [0x81, 0, 0, 5]);
}

#[test]
fn a_dummy_has_the_index_that_it_is_given_and_counters_of_its_own() {
    let datapath = datapath(&Clock::new(), Some(Fixed::new("4", false)));
    let mut spec = PortSpec::new("p4", PortKind::Dummy);
    spec.options.push(("ifindex".to_owned(), "1004".to_owned()));
    let port = datapath.add_port(&spec).unwrap();
    assert_eq!(port, DpPort(4));
    assert_eq!(datapath.port(port).unwrap().ifindex, Some(1004));
    assert_eq!(datapath.port(DpPort(1)).unwrap().ifindex, None);
    send(&datapath, 1, frame(9));
    let stats = datapath.port_stats(port).unwrap();
    assert_eq!((stats.tx_packets, stats.rx_packets), (Some(1), Some(0)));
    assert_eq!((stats.rx_dropped, stats.collisions), (None, None));
    let custom = datapath.custom_port_stats(port);
    let value = |name: &str| custom.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
    assert_eq!((value("tx_q0_packets"), value("rx_q0_packets")), (Some(1), Some(0)));
    assert_eq!(value("tx_q0_bytes"), stats.tx_bytes);
    assert!(datapath.custom_port_stats(DpPort(99)).is_empty());
}
