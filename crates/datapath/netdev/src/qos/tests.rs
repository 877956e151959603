//! Against the kernel of this machine, which may lack disciplines: htb is what most have.

use base::DpPort;
use dp::{PortKind, PortSpec, Settings};

use super::*;
use crate::testing::{Wire, frame, has_pair};
use crate::{Device, Pool};

const NOW: Timestamp = Timestamp::from_millis(5);

fn device() -> Option<Device> {
    has_pair("p", "w").then(|| Device::open(&PortSpec::new("p", PortKind::System), 0, false).unwrap())
}

fn settings(words: &[(&str, &str)]) -> Settings {
    words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn htb(queues: &[(u32, &[(&str, &str)])]) -> Qos {
    let queues = queues.iter().map(|(number, words)| (*number, settings(words))).collect();
    Qos { kind: QosKind::Htb, settings: settings(&[("max-rate", "80000000")]), queues }
}

fn tc(words: &str) -> String {
    let output = std::process::Command::new("tc").args(words.split(' ')).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Whether this kernel has htb.
fn set(device: &Device, wanted: &Qos) -> bool {
    let result = device.set_qos(Some(wanted), NOW);
    let lacks = matches!(&result, Err(troubles) if troubles[0].contains("No such file"));
    if lacks {
        eprintln!("skipped: the kernel has no htb");
    } else {
        result.unwrap();
    }
    !lacks
}

fn classes() -> Vec<String> {
    let text = tc("class show dev p");
    let mut names: Vec<String> =
        text.lines().filter_map(|line| Some(line.split(' ').nth(2)?.to_owned())).collect();
    names.sort();
    names
}

#[test]
fn queues_come_change_and_go_in_place() {
    let Some(device) = device() else { return };
    if !set(&device, &htb(&[(1, &[("min-rate", "8000000")]), (5, &[])])) {
        return;
    }
    assert_eq!(classes(), ["1:1", "1:2", "1:6", "1:fffe"]);
    let discipline = || tc("-s qdisc show dev p root");
    // A frame that is counted tells whether the discipline is still the same.
    device.send(&mut vec![Packet::from_bytes(&frame(60))], &mut Pool::new());
    set(&device, &htb(&[(1, &[("min-rate", "16000000")]), (2, &[])]));
    assert_eq!(classes(), ["1:1", "1:2", "1:3", "1:fffe"]);
    assert!(tc("class show dev p").contains("rate 16Mbit"));
    assert!(discipline().contains("Sent 60 bytes 1 pkt"), "{}", discipline());
    let state = device.qos().unwrap();
    assert_eq!((state.kind, state.queues.len()), (QosKind::Htb, 3));
    device.set_qos(None, NOW).unwrap();
    assert!(discipline().contains("noqueue") && device.qos().is_none());
}

#[test]
fn a_link_with_another_mtu_is_set_up_for_it() {
    let Some(device) = device() else { return };
    if !set(&device, &htb(&[(1, &[])])) {
        return;
    }
    let quantum = || tc("-d class show dev p classid 1:2").contains("quantum 1400");
    assert!(!quantum());
    device.configure(Some(1400), None, None).unwrap();
    set(&device, &htb(&[(1, &[])]));
    assert!(quantum());
}

#[test]
fn frames_of_a_queue_are_counted_by_its_class() {
    let Some(device) = device() else { return };
    if !set(&device, &htb(&[(1, &[]), (5, &[])])) {
        return;
    }
    let wire = Wire::open("w");
    let of_queue = |queue| {
        let mut packet = Packet::from_bytes(&frame(60));
        packet.metadata.skb_priority = queue;
        packet
    };
    device.send(&mut [0, 1, 1, 5, 5, 5, 7].map(of_queue).to_vec(), &mut Pool::new());
    (0..7).for_each(|_| assert_eq!(wire.receive(), frame(60)));
    let stats = device.queue_stats().unwrap();
    let counted = [0, 1, 5].map(|queue| (stats[&queue].packets, stats[&queue].bytes));
    // Those of a queue that is not there are in the default one.
    assert_eq!(counted, [(2, 120), (2, 120), (3, 180)].map(|(n, bytes)| (Some(n), Some(bytes))));
    assert_eq!(stats[&1].created, Some(NOW));
}

#[test]
fn what_an_earlier_process_left_is_adopted() {
    let Some(device) = device() else { return };
    if !set(&device, &htb(&[(1, &[]), (5, &[])])) {
        return;
    }
    device.send(&mut vec![Packet::from_bytes(&frame(60))], &mut Pool::new());
    drop(device);
    let device = Device::open(&PortSpec::new("p", PortKind::System), 1, false).unwrap();
    set(&device, &htb(&[(1, &[])]));
    assert_eq!(classes(), ["1:1", "1:2", "1:fffe"]);
    assert!(tc("-s qdisc show dev p root").contains("Sent 60 bytes 1 pkt"));
}

#[test]
fn other_disciplines_are_removed_unless_the_port_is_to_be_left_alone() {
    let Some(device) = device() else { return };
    let foreign = "qdisc add dev p root tbf rate 1mbit burst 10k latency 1s";
    let noop = Qos { kind: QosKind::Noop, settings: Settings::new(), queues: BTreeMap::new() };
    tc(foreign);
    let has_foreign = || tc("qdisc show dev p root").contains("tbf");
    if !has_foreign() {
        return eprintln!("skipped: the kernel has no tbf");
    }
    device.set_qos(Some(&noop), NOW).unwrap();
    assert!(has_foreign() && device.qos().is_none());
    device.set_qos(None, NOW).unwrap();
    assert!(!has_foreign());
    tc(foreign);
    device.set_qos(None, NOW).unwrap();
    assert!(has_foreign(), "what is as it was asked for is left alone");
}

#[test]
fn what_the_kernel_refuses_is_told_and_tried_again() {
    let Some(device) = device() else { return };
    let wrong = Qos { settings: settings(&[("loss", "101")]), ..htb(&[]) };
    let wrong = Qos { kind: QosKind::Netem, ..wrong };
    for _ in 0..2 {
        assert_eq!(device.set_qos(Some(&wrong), NOW).unwrap_err().len(), 1);
    }
    assert!(!set(&device, &htb(&[])) || device.set_qos(Some(&htb(&[(0xf000, &[])])), NOW).is_err());
}

#[test]
fn policers_drop_and_count_what_is_too_much() {
    let Some(device) = device() else { return };
    let (mut pool, batch) = (Pool::new(), || vec![Packet::from_bytes(&frame(1014)); 4]);
    let settings = settings(&[("cir", "1000"), ("cbs", "2000")]);
    let wanted = Qos { kind: QosKind::EgressPolicer, settings, queues: BTreeMap::new() };
    device.set_qos(Some(&wanted), NOW).unwrap();
    let mut packets = batch();
    device.police_sent(&mut packets, &mut pool, NOW);
    assert_eq!(packets.len(), 2);
    let limits = Policing { kbits_rate: 8, kbits_burst: 9, ..Policing::default() };
    device.set_policing(limits, NOW).unwrap();
    let mut packets = batch();
    device.police_received(&mut packets, &mut pool, NOW);
    assert_eq!(packets.len(), 1);
    let lost = [("ovs_rx_qos_drops", 3), ("ovs_tx_qos_drops", 2)];
    assert_eq!(device.custom_stats(), lost.map(|(name, count)| (name.to_owned(), count)));
    let stats = device.stats();
    assert_eq!((stats.rx_dropped, stats.tx_dropped), (Some(3), Some(2)));
    device.set_qos(None, NOW).unwrap();
    device.set_policing(Policing::default(), NOW).unwrap();
    let mut packets = batch();
    device.police_sent(&mut packets, &mut pool, NOW);
    device.police_received(&mut packets, &mut pool, NOW);
    assert_eq!(packets.len(), 4);
}

#[test]
fn dummies_have_none() {
    let device = Device::open(&PortSpec::new("d", PortKind::Dummy), 0, false).unwrap();
    assert!(device.qos_kinds().is_empty() && device.info(DpPort(1)).is_present);
    assert!(device.set_qos(None, NOW).is_ok());
    assert!(device.set_qos(Some(&htb(&[])), NOW).is_err());
    assert!(device.set_policing(Policing { kbits_rate: 1, ..Policing::default() }, NOW).is_err());
    assert_eq!(device.queue_stats().unwrap(), BTreeMap::from([(0, QueueStats::default())]));
}
