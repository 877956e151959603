use base::Timestamp;
use dp::{PortKind, Qos, QosKind};
use flow::FlowKey;
use wire::bytes::put16;
use wire::checksum::{pseudo_ipv4, pseudo_ipv6};
use wire::{ethernet, protocol, tcp, udp};

use super::*;
use crate::packet::PacketDevice;
use crate::testing::{Wire, frame, has_pair, in_own_namespace, ip, is_of_test, receive_all, until};
use crate::{BATCH, Device};

fn spec(options: &[(&str, &str)]) -> PortSpec {
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    PortSpec { options, ..PortSpec::new("p", PortKind::AfxdpNonPmd) }
}

/// Port `p`, of which `w` is the other end.
fn open(options: &[(&str, &str)]) -> (PacketDevice, Wire) {
    let index = netlink::link("p").unwrap().unwrap().index;
    let wish = Wish::of(&spec(options)).unwrap();
    (PacketDevice::open_xdp("p", index, 0, false, wish).unwrap(), Wire::open("w"))
}

fn mode(device: &PacketDevice) -> Option<&'static str> {
    device.xdp().unwrap().mode().map(Mode::name)
}

/// Sends a frame from the other end, until the device has it.
fn pass(device: &PacketDevice, wire: &Wire, len: usize) {
    wire.send(&frame(len));
    let received = receive_all(1, |pool, out| device.receive(0, pool, out, BATCH));
    assert_eq!(received[0].bytes(), frame(len));
}

#[test]
fn frames_pass_in_both_directions_however_many() {
    if !has_pair("p", "w") {
        return;
    }
    for how in ["best-effort", "native", "generic"] {
        let (device, wire) = open(&[("xdp-mode", how)]);
        assert_eq!(mode(&device), Some(if how == "generic" { how } else { "native" }));
        // More than there are places for, so that each is used again.
        for round in 0..3 {
            (0..1000).for_each(|n| wire.send(&frame(60 + round + n % 64)));
            let received = receive_all(1000, |pool, out| device.receive(0, pool, out, BATCH));
            for (n, packet) in received.iter().enumerate() {
                assert_eq!(packet.bytes(), frame(60 + round + n % 64));
            }
        }
        for round in 0..40 {
            let mut packets: Vec<Packet> = (0..BATCH).map(|n| Packet::from_bytes(&frame(60 + n))).collect();
            device.send(&mut packets, &mut Pool::new());
            for n in 0..BATCH {
                assert_eq!(wire.receive(), frame(60 + n), "round {round}");
            }
        }
        device.count_overflow();
        assert_eq!(device.losses().counters(), []);
    }
}

#[test]
fn tags_that_stand_in_the_frame_stay_there() {
    if !has_pair("p", "w") {
        return;
    }
    let (device, wire) = open(&[]);
    let mut tagged = frame(60);
    tagged.splice(12..12, [0x81, 0, 0x60, 7]);
    wire.send(&tagged);
    let mut received = receive_all(1, |pool, out| device.receive(0, pool, out, BATCH));
    assert_eq!(received[0].bytes(), tagged);
    device.send(&mut received, &mut Pool::new());
    // The kernel may keep the tag beside the frame, where this end does not look.
    let sent = wire.receive();
    assert!(sent == tagged || sent == frame(60), "{sent:x?}");
}

#[test]
fn a_checksum_that_was_left_to_the_device_is_found() {
    if !has_pair("p", "w") {
        return;
    }
    let (device, wire) = open(&[]);
    for (is_v6, proto) in
        [(false, protocol::UDP), (false, protocol::TCP), (true, protocol::UDP), (true, protocol::TCP)]
    {
        let mut key = FlowKey::new();
        key.set_dl_type(if is_v6 { ethernet::TYPE_IPV6 } else { ethernet::TYPE_IPV4 });
        key.set_nw_src(0x0a00_0001);
        key.set_nw_dst(0x0a00_0002);
        key.set_ipv6_src(1);
        key.set_ipv6_dst(2);
        key.set_nw_proto(proto);
        key.set_tp_src(1000);
        key.set_tp_dst(2000);
        let whole = flow::compose(&key, Some(b"what it carries"));
        // As the kernel leaves it.
        let mut packet = Packet::from_bytes(&whole);
        let at = if is_v6 { 54 } else { 34 };
        let offset = if proto == protocol::UDP { udp::CHECK_OFFSET } else { tcp::CHECK_OFFSET };
        let len = whole.len() - at;
        let pseudo = if is_v6 {
            pseudo_ipv6(1, 2, proto, len)
        } else {
            pseudo_ipv4(0x0a00_0001, 0x0a00_0002, proto, len)
        };
        put16(packet.bytes_mut(), at + offset, pseudo.sum());
        packet.offload.checksum = Some((at as u16, offset as u16));
        assert_ne!(packet.bytes(), whole);
        wire.send_packet(&packet);
        let (mut pool, mut received) = (Pool::new(), Vec::new());
        until("it arrives", || {
            device.receive(0, &mut pool, &mut received, BATCH).unwrap();
            received.retain(|one: &Packet| one.bytes().ends_with(b"what it carries"));
            !received.is_empty()
        });
        assert_eq!(received[0].offload.checksum, packet.offload.checksum);
        device.send(&mut received, &mut pool);
        let mut back = pool.large();
        until("it comes back", || wire.receive_into(&mut back) && back.bytes().ends_with(b"what it carries"));
        assert_eq!(back.bytes(), whole);
        assert!(back.offload.checksum.is_none());
    }
}

#[test]
fn what_arrives_at_queues_without_sockets_is_not_lost() {
    if !in_own_namespace() {
        return;
    }
    ip("link add p numrxqueues 2 numtxqueues 2 type veth peer name w numrxqueues 2 numtxqueues 2");
    ip("link set p up");
    ip("link set w up");
    let is_of_test = |packet: &Packet| packet.bytes().ends_with(b"of the test");
    let datagram = |port: u16| {
        let mut key = FlowKey::new();
        key.set_dl_type(ethernet::TYPE_IPV4);
        key.set_nw_proto(protocol::UDP);
        key.set_tp_src(port);
        Packet::from_bytes(&flow::compose(&key, Some(b"of the test")))
    };
    for queues in ["1", "2"] {
        let (device, wire) = open(&[("n_rxq", queues)]);
        (0..64).for_each(|port| wire.send_packet(&datagram(port)));
        let (mut pool, mut all) = (Pool::new(), Vec::new());
        until("all arrive", || {
            for queue in 0..device.queue_count() {
                device.receive(queue, &mut pool, &mut all, BATCH).unwrap();
            }
            all.iter().filter(|packet| is_of_test(packet)).count() == 64
        });
        let counters: Vec<(String, u64)> = device.xdp().unwrap().counters().collect();
        assert_eq!(counters.len(), 3 * device.queue_count());
        assert!(counters.iter().all(|(_, count)| *count == 0), "{counters:?}");
    }
}

#[test]
fn without_sockets_frames_come_by_the_packet_socket() {
    if !has_pair("p", "w") {
        return;
    }
    let (device, wire) = open(&[]);
    pass(&device, &wire, 60);
    device.end_directness();
    assert_eq!((mode(&device), device.review_sockets()), (None, false));
    pass(&device, &wire, 61);
    device.send(&mut vec![Packet::from_bytes(&frame(62))], &mut Pool::new());
    assert_eq!(wire.receive(), frame(62));
    device.hear(&[]);
    assert!(device.waits_for_sockets());
    until("there are sockets again", || device.review_sockets());
    assert_eq!((mode(&device), device.waits_for_sockets()), (Some("native"), false));
    pass(&device, &wire, 63);
    // Another one waits until it hears.
    let wish = Wish::of(&spec(&[])).unwrap();
    let next = PacketDevice::open_xdp("p", device.ifindex(), 1, true, wish).unwrap();
    assert!(!next.waits_for_sockets() && !next.review_sockets());
    device.end_directness();
    next.hear(&device.share().unwrap());
    until("it has the sockets", || next.review_sockets());
    pass(&next, &wire, 64);
}

#[test]
fn a_device_that_is_down_takes_nothing_and_serves_again() {
    if !has_pair("p", "w") {
        return;
    }
    let (device, wire) = open(&[]);
    ip("link set p down");
    assert!(!device.needs_help_sending());
    device.send(&mut vec![Packet::from_bytes(&frame(60)); 3], &mut Pool::new());
    assert_eq!(device.losses().counters(), [("ovs_tx_failure_drops".to_owned(), 3)]);
    assert!(device.needs_help_sending() && !device.needs_help_sending());
    ip("link set p up");
    until("there are sockets again", || device.review_sockets());
    device.clear_error();
    device.send(&mut vec![Packet::from_bytes(&frame(61))], &mut Pool::new());
    assert_eq!(wire.receive(), frame(61));
    pass(&device, &wire, 62);
}

#[test]
fn what_finds_no_room_is_counted() {
    if !has_pair("p", "w") {
        return;
    }
    let (device, wire) = open(&[]);
    (0..RECEIVED + 500).for_each(|_| wire.send(&frame(60)));
    until("the overflow is counted", || {
        device.count_overflow();
        device.overflowed() >= 500
    });
    let lost = device.overflowed() as usize;
    let received = receive_all(RECEIVED + 500 - lost, |pool, out| device.receive(0, pool, out, BATCH));
    assert!(received.iter().all(|packet| is_of_test(packet.bytes())));
}

#[test]
fn frames_that_do_not_fit_go_out_all_the_same() {
    if !has_pair("p", "w") {
        return;
    }
    ip("link set p mtu 9000");
    ip("link set w mtu 9000");
    // The driver runs no program with frames of this length.
    let (device, wire) = open(&[]);
    assert_eq!(mode(&device), Some("generic"));
    let lens = [60, ROOM, ROOM + 1, 9000, 61];
    let mut packets = lens.map(|len| Packet::from_bytes(&frame(len))).to_vec();
    device.send(&mut packets, &mut Pool::new());
    for len in lens {
        assert_eq!(wire.receive(), frame(len));
    }
}

#[test]
fn a_port_says_what_it_was_set_up_as() {
    if !has_pair("p", "w") {
        return;
    }
    let device =
        Device::open(&spec(&[("xdp-mode", "Generic"), ("use-need-wakeup", "false")]), 0, false).unwrap();
    let info = device.info(base::DpPort(1));
    let config: Vec<String> = info.config.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(config, ["n_rxq=1", "use-need-wakeup=false", "xdp-mode=generic", "xdp-mode-in-use=generic"]);
    assert_eq!(info.status.get("xdp-mode").map(String::as_str), Some("generic"));
    assert_eq!(device.custom_stats().len(), 3);
    assert_eq!(device.configure(Some(MAX_MTU + 1), None, None).unwrap_err().errno(), Errno::INVAL);
    device.configure(Some(MAX_MTU), None, None).unwrap();
}

#[test]
fn a_port_that_shapes_sends_through_the_queueing_layer() {
    if !has_pair("p", "w") {
        return;
    }
    let device = Device::open(&spec(&[]), 0, false).unwrap();
    let queued = || {
        device.send(&mut vec![Packet::from_bytes(&frame(60))], &mut Pool::new());
        device.queue_stats().unwrap().values().filter_map(|queue| queue.packets).sum::<u64>()
    };
    let settings = [("max-rate".to_owned(), "1000000".to_owned())].into();
    let wanted = Qos { kind: QosKind::Htb, settings, queues: BTreeMap::new() };
    device.set_qos(Some(&wanted), Timestamp::ZERO).unwrap();
    assert!(queued() > 0);
    device.set_qos(None, Timestamp::ZERO).unwrap();
    let wire = Wire::open("w");
    queued();
    assert_eq!(wire.receive(), frame(60));
}

#[test]
fn what_cannot_be_is_refused() {
    for options in [[("n_rxq", "17")], [("xdp-mode", "fast")]] {
        let error = Wish::of(&spec(&options)).unwrap_err();
        assert_eq!(error.to_string(), "p: could not set configuration (Invalid argument)");
    }
    if !has_pair("p", "w") {
        return;
    }
    for (option, errno) in
        [(("xdp-mode", "native-with-zerocopy"), Errno::OPNOTSUPP), (("n_rxq", "2"), Errno::INVAL)]
    {
        let error = Device::open(&spec(&[option]), 0, false).unwrap_err();
        assert_eq!(error.errno(), errno, "{error}");
    }
    // Nothing is left behind.
    let (device, wire) = open(&[]);
    pass(&device, &wire, 60);
}
