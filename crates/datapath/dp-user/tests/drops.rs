//! For each reason that the datapath itself drops packets for: a packet that it drops, and the counter that shows it.
#![allow(clippy::unwrap_used)] // tests say what they expect by unwrapping

use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{Clock, DpPort, MacAddr, Timestamp};
use dp::{
    Action, Datapath, DropReason, DummyControl, Execute, FlowPut, Meter, MeterBand, Packet, PortKind,
    PortSpec, PutMode, Segmentation, TunnelKind, Upcall, UpcallOutcome, UpcallPacket, Userspace, text,
};
use dp_user::{Config, DpUser};
use rustix::thread::UnshareFlags;

/// Three dummy ports, nobody above.
fn datapath() -> DpUser {
    let config = Config { is_dummy: true, processors: None, ..Config::default() };
    let datapath = DpUser::new(config, Clock::new()).unwrap();
    for name in ["p1", "p2", "p3"] {
        datapath.add_port(&PortSpec::new(name, PortKind::Dummy)).unwrap();
    }
    datapath
}

fn frame(payload: usize) -> Packet {
    let mut bytes = wire::ethernet::header(MacAddr([2; 6]), MacAddr([4; 6]), 0x0800).to_vec();
    bytes.extend(wire::ipv4::header(1, 2, 17, 0, 1, 0, 8 + payload));
    bytes.extend(wire::udp::header(1, 2, payload));
    bytes.resize(bytes.len() + payload, 0);
    Packet::from_bytes(&bytes)
}

/// What `act` drops for `reason`, and that it drops nothing else; drops of rules are counted twice.
fn drops(act: impl FnOnce()) -> Vec<(DropReason, u64)> {
    let before: Vec<u64> = DropReason::ALL.iter().map(|reason| reason.total()).collect();
    act();
    let moved = DropReason::ALL.iter().zip(before).map(|(reason, before)| (*reason, reason.total() - before));
    moved.filter(|(_, count)| *count != 0).collect()
}

/// What running `actions` on `packet` drops.
fn dropped_by(datapath: &DpUser, packet: Packet, actions: &[Action]) -> Vec<(DropReason, u64)> {
    drops(|| datapath.execute(Execute { packet, actions, now: Timestamp::ZERO }).unwrap())
}

fn dropped_by_text(datapath: &DpUser, actions: &str) -> Vec<(DropReason, u64)> {
    dropped_by(datapath, frame(4), &text::parse_actions(actions, None).unwrap())
}

fn port_counter(datapath: &DpUser, port: u32, name: &str) -> Option<u64> {
    let counters = datapath.custom_port_stats(DpPort(port));
    counters.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

#[test]
fn each_action_that_fails_has_a_reason() {
    let datapath = datapath();
    let meter = Meter { is_pktps: true, bands: vec![MeterBand { rate: 1, burst: 1 }] };
    datapath.set_meter(1, Some(meter)).unwrap();
    assert_eq!(dropped_by_text(&datapath, "meter(1),2"), []);
    for (actions, reason) in [
        ("drop", DropReason::Pipeline),
        ("9", DropReason::InvalidPort),
        ("lb_output(9)", DropReason::InvalidBond),
        ("tnl_pop(9)", DropReason::InvalidTunnelPort),
        ("pop_nsh()", DropReason::NshDecap),
        ("meter(1),2", DropReason::Meter),
        ("sample(sample=0.0%,actions(2))", DropReason::Sample),
        ("userspace(pid=0)", DropReason::UserspaceAction),
    ] {
        assert_eq!(dropped_by_text(&datapath, actions), [(reason, 1)], "{actions}");
    }
    let over: Arc<[Action]> = Arc::new([]);
    let decrement = [Action::DecTtl(over), Action::Output(DpPort(2))];
    assert_eq!(dropped_by(&datapath, frame(4), &decrement), [(DropReason::DatapathTtl, 1)]);
    let mut nested: Arc<[Action]> = Arc::new([Action::Output(DpPort(2))]);
    for _ in 0..40 {
        nested = Arc::new([Action::Clone(nested)]);
    }
    assert_eq!(dropped_by(&datapath, frame(4), &nested), [(DropReason::ActionDepth, 1)]);
}

#[test]
fn each_tunnel_that_fails_has_a_reason() {
    let datapath = datapath();
    let tunnel = datapath.add_port(&PortSpec::new("vxlan_sys", TunnelKind::Vxlan.into())).unwrap();
    assert_eq!(dropped_by(&datapath, frame(4), &[Action::TunnelPop(tunnel)]), [(DropReason::TunnelPop, 1)]);
    let mut runt = frame(8);
    runt.bytes_mut()[42] = 8;
    runt.append(&[0; 13]);
    assert_eq!(dropped_by(&datapath, runt, &[Action::TunnelPop(tunnel)]), [(DropReason::RxInvalid, 1)]);
    assert_eq!(dropped_by(&datapath, frame(4), &[Action::Output(tunnel)]), [(DropReason::InvalidPort, 1)]);
    let push = "tnl_push(tnl_port(4),header(size=50,type=4,eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0,dl_type=0x0800),\
                ipv4(src=1.1.2.88,dst=1.1.2.92,proto=17,tos=0,ttl=64,frag=0x4000),udp(src=0,dst=4789,csum=0x0),\
                vxlan(flags=0x8000000,vni=0x1c7)),out_port(1)),2";
    let push = text::parse_actions(push, None).unwrap();
    assert_eq!(dropped_by(&datapath, frame(4), &push), []);
    let mut train = frame(4);
    train.offload.segmentation = Some(Segmentation { kind: Segmentation::TCP_V6, size: 10, header_len: 54 });
    assert_eq!(dropped_by(&datapath, train, &push), [(DropReason::TunnelPush, 1)]);
}

#[test]
fn a_packet_that_nobody_answers_for_is_counted() {
    let datapath = datapath();
    let lost = drops(|| datapath.receive(DpPort(1), frame(4)).unwrap());
    assert_eq!(lost, [(DropReason::Upcall, 1)]);
    assert_eq!(datapath.stats().lost, 1);
}

#[test]
fn a_packet_that_goes_in_circles_is_counted() {
    let datapath = datapath();
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
    let mut packet = frame(4);
    packet.metadata.in_port = DpPort(1);
    assert_eq!(dropped_by(&datapath, packet, &[Action::Recirc(7)]), [(DropReason::Recirculation, 1)]);
}

#[test]
fn what_a_port_cannot_take_or_give_is_counted_there_too() {
    let datapath = datapath();
    assert_eq!(dropped_by(&datapath, frame(1472), &[Action::Output(DpPort(2))]), []);
    assert_eq!(
        dropped_by(&datapath, frame(1473), &[Action::Output(DpPort(2))]),
        [(DropReason::TxMtuExceeded, 1)]
    );
    assert_eq!(port_counter(&datapath, 2, "ovs_tx_mtu_exceeded_drops"), Some(1));
    assert_eq!(port_counter(&datapath, 3, "ovs_tx_mtu_exceeded_drops"), None, "nothing was lost there");

    let mut train = frame(4);
    train.offload.segmentation = Some(Segmentation { kind: Segmentation::TCP_V6, size: 10, header_len: 54 });
    assert_eq!(
        dropped_by(&datapath, train, &[Action::Output(DpPort(2))]),
        [(DropReason::TxInvalidOffload, 1)]
    );
    assert_eq!(port_counter(&datapath, 2, "ovs_tx_invalid_hwol_drops"), Some(1));

    let runt = Packet::from_bytes(&[0; 13]);
    let lost = drops(|| datapath.receive(DpPort(1), runt).unwrap());
    assert_eq!(lost, [(DropReason::RxInvalid, 1)]);
    assert_eq!(port_counter(&datapath, 1, "ovs_rx_invalid_packet_drops"), Some(1));
    assert_eq!(datapath.stats().missed, 0, "nobody is asked about it");
}

#[test]
fn a_frame_for_a_peer_that_is_gone_is_counted() {
    let datapath = datapath();
    let path = std::env::temp_dir().join(format!("drops-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let mut spec = PortSpec::new("p4", PortKind::Dummy);
    spec.options.push(("stream".to_owned(), format!("unix:{}", path.display())));
    let port = datapath.add_port(&spec).unwrap();
    drop(listener);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(dropped_by(&datapath, frame(4), &[Action::Output(port)]), [(DropReason::TxFailure, 1)]);
    assert_eq!(port_counter(&datapath, port.0, "ovs_tx_failure_drops"), Some(1));
}

/// Breaks down over every packet.
struct Broken;

impl Upcall for Broken {
    fn miss(&self, _: &mut UpcallPacket<'_>) -> UpcallOutcome {
        std::panic::resume_unwind(Box::new("a mistake"))
    }

    fn userspace(&self, _: &mut UpcallPacket<'_>, _: &Userspace, _: &[Action]) -> Option<Arc<[Action]>> {
        None
    }
}

#[test]
fn what_a_worker_loses_by_a_mistake_is_counted() {
    // SAFETY: only this test's thread moves, and it shares no file descriptors by namespace.
    if unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.is_err() {
        eprintln!("skipped: no right to make network namespaces");
        return;
    }
    let datapath = DpUser::new(Config::default(), Clock::new()).unwrap();
    datapath.set_upcall(Some(Arc::new(Broken)));
    datapath.add_port(&PortSpec::new("tap0", PortKind::Internal)).unwrap();
    let before = DropReason::Internal.total();
    // The kernel itself says hello by IPv6 on a link that comes up.
    assert!(Command::new("ip").args(["link", "set", "tap0", "up"]).status().unwrap().success());
    let end = Instant::now() + Duration::from_secs(60);
    while DropReason::Internal.total() == before {
        assert!(Instant::now() < end, "no loss was counted");
        std::thread::yield_now();
    }
}
