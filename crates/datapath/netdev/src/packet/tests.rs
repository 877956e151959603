use super::*;
use crate::testing::{Wire, frame, has_pair, ip, receive_all, until};

/// Port `p`, of which `w` is the other end.
fn none() -> Arc<Shortcuts> {
    Arc::new(Shortcuts::none())
}

fn pair() -> Option<(PacketDevice, Wire)> {
    if !has_pair("p", "w") {
        return None;
    }
    let index = netlink::link("p").unwrap().unwrap().index;
    Some((PacketDevice::open("p", index, 0, false, 1, &none()).unwrap(), Wire::open("w")))
}

fn tagged(len: usize) -> Vec<u8> {
    let mut bytes = frame(len);
    bytes.splice(12..12, [0x81, 0, 0x60, 7]);
    bytes
}

#[test]
fn frames_pass_in_both_directions() {
    let Some((device, wire)) = pair() else { return };
    let mut packets: Vec<Packet> = (0..40).map(|n| Packet::from_bytes(&frame(60 + n))).collect();
    device.send(&mut packets, &mut Pool::new());
    assert!(packets.is_empty());
    for n in 0..40 {
        assert_eq!(wire.receive(), frame(60 + n));
    }
    (0..40).for_each(|n| wire.send(&frame(100 + n)));
    let received = receive_all(40, |pool, out| device.receive(0, pool, out, BATCH));
    for (n, packet) in received.iter().enumerate() {
        assert_eq!(packet.bytes(), frame(100 + n));
    }
}

#[test]
fn tags_stand_in_the_frame() {
    let Some((device, wire)) = pair() else { return };
    wire.send(&tagged(60));
    let received = receive_all(1, |pool, out| device.receive(0, pool, out, BATCH));
    assert_eq!(received[0].bytes(), tagged(60));
    device.send(&mut vec![Packet::from_bytes(&tagged(64))], &mut Pool::new());
    let sent = wire.receive();
    // The kernel may keep the tag beside the frame, where this end does not look.
    assert!(sent == tagged(64) || sent == frame(64), "{sent:x?}");
}

#[test]
fn a_frame_that_is_longer_than_a_slot_is_whole() {
    let Some((device, wire)) = pair() else { return };
    ip("link set p mtu 9000");
    ip("link set w mtu 9000");
    wire.send(&frame(9000));
    let received = receive_all(1, |pool, out| device.receive(0, pool, out, BATCH));
    assert_eq!(received[0].bytes(), frame(9000));
}

#[test]
fn queues_share_frames_and_all_of_a_flow_come_by_the_same_one_in_order() {
    if !has_pair("p", "w") {
        return;
    }
    let index = netlink::link("p").unwrap().unwrap().index;
    let device = PacketDevice::open("p", index, 0, false, 4, &none()).unwrap();
    let wire = Wire::open("w");
    // UDP over IPv4; the length says which frame it is.
    let datagram = |flow: u8, number: usize| {
        let mut bytes = frame(200 + number);
        bytes[12..14].copy_from_slice(&[8, 0]);
        let len = (bytes.len() - 14) as u16;
        bytes[14..34].copy_from_slice(&[
            0x45,
            0,
            (len >> 8) as u8,
            len as u8,
            0,
            0,
            0,
            0,
            64,
            17,
            0,
            0,
            10,
            0,
            0,
            1,
            10,
            0,
            0,
            2,
        ]);
        bytes[34..42].copy_from_slice(&[0x10, flow, 0, 7, ((len - 20) >> 8) as u8, (len - 20) as u8, 0, 0]);
        bytes
    };
    for number in 0..10 {
        (0..64).for_each(|flow| wire.send(&datagram(flow, number)));
    }
    let (mut pool, mut seen) = (Pool::new(), vec![Vec::new(); 64]);
    let mut busy = [0; 4];
    until("all frames arrive", || {
        for (queue, busy) in busy.iter_mut().enumerate() {
            let mut out = Vec::new();
            *busy += device.receive(queue, &mut pool, &mut out, BATCH).unwrap();
            out.iter().for_each(|p| seen[usize::from(p.bytes()[35])].push((queue, p.len() - 200)));
        }
        busy.iter().sum::<usize>() == 640
    });
    for of_flow in &seen {
        let queue = of_flow[0].0;
        assert!(of_flow.iter().copied().eq((0..10).map(|number| (queue, number))), "{of_flow:?}");
    }
    assert!(busy.iter().filter(|&&count| count > 0).count() > 1, "{busy:?}");
    // What it sends does not come back.
    device.send(&mut vec![Packet::from_bytes(&frame(60))], &mut pool);
    assert_eq!(wire.receive(), frame(60));
    let mut out = Vec::new();
    (0..4).for_each(|queue| _ = device.receive(queue, &mut pool, &mut out, BATCH).unwrap());
    assert!(out.is_empty());
}

#[test]
fn the_ring_goes_round_and_what_it_has_no_room_for_is_counted() {
    let Some((device, wire)) = pair() else { return };
    // As if 2,000 had come at once.
    (0..1100).for_each(|_| wire.send(&frame(60)));
    receive_all(1100, |pool, out| device.receive(0, pool, out, BATCH));
    assert!(device.review_ring(Instant::now(), false) && device.has_ring());
    for _ in 0..3 {
        (0..1000).for_each(|n| wire.send(&frame(60 + n)));
        receive_all(1000, |pool, out| device.receive(0, pool, out, BATCH));
    }
    device.count_overflow();
    assert_eq!(device.losses().received(), 0);
    (0..2100).for_each(|_| wire.send(&frame(60)));
    until("the overflow is counted", || {
        device.count_overflow();
        device.losses().received() >= 50
    });
    receive_all(2046, |pool, out| device.receive(0, pool, out, BATCH));
}

#[test]
fn a_deaf_device_hears_what_comes_from_when_it_is_to() {
    let Some((first, wire)) = pair() else { return };
    let second = PacketDevice::open("p", first.ifindex(), 1, true, 1, &none()).unwrap();
    (0..3).for_each(|n| wire.send(&frame(60 + n)));
    receive_all(3, |pool, out| first.receive(0, pool, out, BATCH));
    wire.send(&frame(69));
    second.hear(&first.share().unwrap());
    wire.send(&frame(70));
    let received = receive_all(1, |pool, out| second.receive(0, pool, out, BATCH));
    assert_eq!(received[0].bytes(), frame(70));
    let received = receive_all(1, |pool, out| first.receive(0, pool, out, BATCH));
    assert_eq!(received[0].bytes(), frame(69));
    assert_eq!(first.receive(0, &mut Pool::new(), &mut Vec::new(), BATCH).unwrap(), 0);
}

#[test]
fn a_device_that_is_down_takes_nothing_and_serves_again() {
    let Some((device, wire)) = pair() else { return };
    ip("link set p down");
    device.send(&mut vec![Packet::from_bytes(&frame(60)); 3], &mut Pool::new());
    assert_eq!(device.losses().counters(), [("ovs_tx_failure_drops".to_owned(), 3)]);
    // The socket reports once that the device went down.
    device.clear_error();
    ip("link set p up");
    device.send(&mut vec![Packet::from_bytes(&frame(60))], &mut Pool::new());
    assert_eq!(wire.receive(), frame(60));
}

#[test]
fn the_hosts_stack_is_kept_out_while_the_device_is_open() {
    let Some((device, _)) = pair() else { return };
    let filters = || {
        let shown = std::process::Command::new("tc").args(["filter", "show", "dev", "p", "ingress"]).output();
        String::from_utf8(shown.unwrap().stdout).unwrap()
    };
    assert!(!filters().is_empty());
    drop(device);
    assert!(filters().is_empty());
}

#[test]
fn two_sockets_have_different_numbers() {
    let Some((device, _)) = pair() else { return };
    let [number] = device.own_sockets().unwrap()[..] else { panic!("there is one socket") };
    assert!(std::fs::read_to_string("/proc/thread-self/net/packet").unwrap().contains(&format!(" {number}")));
}
