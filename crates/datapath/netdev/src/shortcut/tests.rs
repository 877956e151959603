use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};

use base::DpPort;
use dp::Packet;
use flow::{Metadata, Slot, compose, extract, slot};
use proptest::prelude::*;
use wire::{TypedForm, ethernet};

use super::*;
use crate::packet::PacketDevice;
use crate::testing::{LIMIT, Wire, add_pair, frame, has_pair, open_shortcuts, until};
use crate::{BATCH, Pool};

/// The port that all frames come in by.
const PORT: DpPort = DpPort(1);

/// Two devices of the switch with a wire at each, what one receives being forwarded by the other.
struct World {
    shortcuts: Arc<Shortcuts>,
    source: PacketDevice,
    target: PacketDevice,
    near: Wire,
    /// The other end of the target's wire.
    far: PacketDevice,
}

impl World {
    /// `None` where the process may not do that, and the test is to be skipped.
    fn new() -> Option<World> {
        if !has_pair("p", "w") {
            return None;
        }
        add_pair("q", "x");
        World::between_pairs()
    }

    fn between_pairs() -> Option<World> {
        let shortcuts = open_shortcuts()?;
        let open = |name, sequence, shortcuts| {
            let index = netlink::link(name).unwrap().unwrap().index;
            PacketDevice::open(name, index, sequence, false, 1, shortcuts).unwrap()
        };
        let (source, target) = (open("p", 0, &shortcuts), open("q", 1, &shortcuts));
        let far = open("x", 2, &Arc::new(Shortcuts::none()));
        assert!(source.begin_lookups());
        Some(World { source, target, near: Wire::open("w"), far, shortcuts })
    }

    fn way(&self) -> Way {
        let (from, to) = (self.source.ifindex(), self.target.ifindex());
        Way { from, to, tag: Tagging::Keep, max_len: 1514 }
    }

    /// Has the kernel forward what a flow of the frame's key and this mask matches.
    fn add(&self, frame: &[u8], mask: &FlowMask, version: u64) -> Handing {
        self.add_way(frame, mask, &self.way(), version)
    }

    fn add_way(&self, frame: &[u8], mask: &FlowMask, way: &Way, version: u64) -> Handing {
        let handing = self.shortcuts.add(&key_of(frame), mask, way, version);
        if let Handing::Done(shortcut) = handing {
            self.shortcuts.sent(shortcut, 0);
        }
        handing
    }

    /// Sends a frame, behind which one comes that no flow is for: what the switch receives before that, and what leaves.
    fn pass(&self, sent: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        self.near.send(sent);
        self.near.send(&frame(60));
        let (mut received, mut pool) = (Vec::new(), Pool::new());
        until("the frame behind it arrives", || {
            let mut some = Vec::new();
            self.source.receive(0, &mut pool, &mut some, BATCH).unwrap();
            received.extend(some.iter().map(|packet| packet.bytes().to_vec()));
            received.last().is_some_and(|last| *last == frame(60))
        });
        received.pop();
        let mut left = Vec::new();
        while self.far.receive(0, &mut pool, &mut left, BATCH).unwrap() > 0 {}
        (received, left.iter().map(|packet| packet.bytes().to_vec()).collect())
    }

    #[track_caller]
    fn assert_forwarded(&self, sent: &[u8], expected: &[u8]) {
        assert_eq!(self.pass(sent), (vec![], vec![expected.to_vec()]));
    }

    #[track_caller]
    fn assert_received(&self, sent: &[u8]) {
        assert_eq!(self.pass(sent), (vec![sent.to_vec()], vec![]));
    }
}

fn key_of(frame: &[u8]) -> FlowKey {
    extract(&Metadata::new(PORT), frame, 1)
}

/// What all flows match.
fn least_mask() -> FlowMask {
    let mut mask = FlowMask::new();
    for place in [slot::RECIRC_ID, slot::IN_PORT, slot::DL_TYPE, slot::PACKET_TYPE, slot::VLAN0_TCI] {
        mask.add_all(place);
    }
    mask
}

fn mask_of(places: &[Slot]) -> FlowMask {
    let mut mask = least_mask();
    places.iter().for_each(|&place| mask.add_all(place));
    mask
}

/// A frame of UDP over IPv4 from this port.
fn udp(port: u16) -> Vec<u8> {
    let mut key = FlowKey::new();
    key.set_dl_src(base::MacAddr([2, 0, 0, 0, 0, 1]));
    key.set_dl_dst(base::MacAddr([2, 0, 0, 0, 0, 2]));
    key.set_dl_type(ethernet::TYPE_IPV4);
    key.set_nw_src(0x0a00_0001);
    key.set_nw_dst(0x0a00_0002);
    key.set_nw_proto(17);
    key.set_nw_ttl(64);
    key.set_tp_src(port);
    key.set_tp_dst(9);
    compose(&key, None)
}

fn tagged(frame: &[u8], tci: u16) -> Vec<u8> {
    let tag = ethernet::Tag { tpid: ethernet::TYPE_VLAN, tci }.to_bytes();
    [&frame[..12], &tag, &frame[12..]].concat()
}

/// A frame of UDP with bytes behind it, this long in all.
fn udp_of_len(port: u16, len: usize) -> Vec<u8> {
    let mut frame = udp(port);
    frame.resize(len, 0);
    frame
}

#[track_caller]
fn done(handing: Handing) -> Shortcut {
    match handing {
        Handing::Done(shortcut) => shortcut,
        Handing::NotNow | Handing::Never => panic!("{handing:?}"),
    }
}

#[test]
fn what_a_flow_matches_goes_past_the_switch_and_is_counted() {
    let Some(world) = World::new() else { return };
    world.assert_received(&udp(1));
    let shortcut = done(world.add(&udp(1), &mask_of(&[slot::TP_SRC]), 1));
    world.assert_forwarded(&udp(1), &udp(1));
    world.assert_received(&udp(2));
    world.assert_received(&tagged(&udp(1), 5));
    world.assert_forwarded(&udp(1), &udp(1));
    let bytes = 2 * udp(1).len() as u64;
    assert_eq!(world.shortcuts.take(shortcut), (Counted { packets: 2, bytes, tcp_flags: 0 }, None));
    assert_eq!(world.shortcuts.take(shortcut), (Counted::default(), None));
    world.assert_forwarded(&udp(1), &udp(1));
    assert_eq!(world.shortcuts.remove(shortcut).packets, 1);
    assert!(world.shortcuts.is_empty());
    world.assert_received(&udp(1));
}

#[test]
fn tags_are_put_on_and_taken_off() {
    let Some(world) = World::new() else { return };
    let tci = 3 << 13 | 7;
    let add = |frame: &[u8], tag| {
        let way = Way { tag, ..world.way() };
        done(world.add_way(frame, &mask_of(&[slot::DL_DST]), &way, 1))
    };
    let push = add(&udp(1), Tagging::Push { tci });
    let pop = add(&tagged(&udp(1), tci), Tagging::Pop);
    world.assert_forwarded(&udp(1), &tagged(&udp(1), tci));
    world.assert_forwarded(&tagged(&udp(1), tci), &udp(1));
    world.assert_received(&tagged(&udp(1), tci + 1));
    let len = udp(1).len() as u64;
    // As they come in.
    assert_eq!(world.shortcuts.take(push).0.bytes, len);
    assert_eq!(world.shortcuts.take(pop).0.bytes, len + 4);
}

#[test]
fn flows_behind_the_fence_are_not_used_until_they_are_confirmed() {
    let Some(world) = World::new() else { return };
    let shortcut = done(world.add(&udp(1), &mask_of(&[]), 5));
    world.shortcuts.raise_fence(5);
    world.assert_forwarded(&udp(1), &udp(1));
    world.shortcuts.raise_fence(6);
    world.assert_received(&udp(1));
    world.shortcuts.raise_fence(4);
    world.assert_received(&udp(1));
    world.shortcuts.confirm(shortcut, 6);
    // Before two that have come to the worker it must not leave.
    world.assert_received(&udp(1));
    assert_eq!(world.shortcuts.received(shortcut), Some(3));
    world.shortcuts.sent(shortcut, 2);
    world.assert_received(&udp(1));
    world.shortcuts.sent(shortcut, 4);
    world.assert_forwarded(&udp(1), &udp(1));
}

#[test]
fn packets_that_come_before_the_worker_has_sent_others_go_behind_them() {
    let Some(world) = World::new() else { return };
    let mask = mask_of(&[]);
    let shortcut = done(world.shortcuts.add(&key_of(&udp(1)), &mask, &world.way(), 1));
    assert_eq!(world.shortcuts.received(shortcut), Some(0));
    world.assert_received(&udp(1));
    assert_eq!(world.shortcuts.received(shortcut), Some(1));
    world.shortcuts.sent(shortcut, 1);
    world.assert_forwarded(&udp(1), &udp(1));
    world.shortcuts.end(shortcut);
    assert_eq!(world.shortcuts.received(shortcut), None);
}

#[test]
fn a_flow_that_has_ended_is_not_confirmed() {
    let Some(world) = World::new() else { return };
    let ends: [&dyn Fn(&World, Shortcut); 4] = [
        &|world, _| world.shortcuts.end_device(world.source.ifindex()),
        &|world, _| world.shortcuts.end_device(world.target.ifindex()),
        &|world, shortcut| world.shortcuts.end(shortcut),
        &|world, _| world.shortcuts.close(),
    ];
    for end in ends {
        let shortcut = done(world.add(&udp(1), &mask_of(&[]), 1));
        world.assert_forwarded(&udp(1), &udp(1));
        end(&world, shortcut);
        world.shortcuts.confirm(shortcut, 2);
        world.assert_received(&udp(1));
        let counted = Counted { packets: 1, bytes: udp(1).len() as u64, tcp_flags: 0 };
        assert_eq!(world.shortcuts.take(shortcut), (counted, Some(Ending::Again)));
        world.shortcuts.remove(shortcut);
    }
    assert_eq!(world.add(&udp(1), &mask_of(&[]), 1), Handing::NotNow, "it is closed");
}

#[test]
fn no_frame_is_lost_where_flows_end() {
    const FRAMES: u16 = 30_000;
    /// That are on their way at most, so that no queue overflows.
    const WINDOW: u16 = 64;
    let Some(world) = World::new() else { return };
    let World { shortcuts, source, near, far, .. } = &world;
    let arrived = AtomicU16::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..FRAMES {
                while number - arrived.load(Ordering::Relaxed) >= WINDOW {
                    std::thread::yield_now();
                }
                near.send(&udp(number));
            }
        });
        let (mut pool, mut packets) = (Pool::new(), Vec::new());
        let mut receive = || {
            let by_worker = source.receive(0, &mut pool, &mut packets, BATCH).unwrap();
            let count = by_worker + far.receive(0, &mut pool, &mut packets, BATCH).unwrap();
            packets.clear();
            arrived.fetch_add(count as u16, Ordering::Relaxed) + count as u16
        };
        let (mut flow, mut forwarded) = (None, 0);
        until("all frames arrive", || {
            forwarded += flow.take().map_or(0, |flow| shortcuts.remove(flow).packets);
            flow = if let Handing::Done(flow) = world.add(&udp(0), &mask_of(&[]), 1) {
                Some(flow)
            } else {
                None
            };
            (0..8).any(|_| receive() == FRAMES)
        });
        assert!(forwarded > 0, "the kernel has forwarded none");
    });
}

#[test]
fn no_frame_is_lost_or_overtaken_where_a_port_gets_a_ring() {
    const CHANGES: usize = 30;
    /// That are on their way at most, so that no queue overflows.
    const WINDOW: usize = 200;
    let Some(world) = World::new() else { return };
    let World { shortcuts, source, near, far, .. } = &world;
    done(world.add(&udp(1), &mask_of(&[slot::TP_SRC]), 1));
    let (arrived, is_ending) = (AtomicUsize::new(0), AtomicBool::new(false));
    let len = |number: usize| 200 + number % 1000;
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut number = 0;
            let begin = Instant::now();
            while !is_ending.load(Ordering::Relaxed) && begin.elapsed() < LIMIT {
                if number - arrived.load(Ordering::Relaxed) < WINDOW {
                    near.send(&udp_of_len(1 + number as u16 % 2, len(number)));
                    number += 1;
                }
            }
            number
        });
        let changer = scope.spawn(|| {
            let mut now = Instant::now();
            for _ in 0..CHANGES {
                until("a ring comes", || {
                    now += Duration::from_millis(1);
                    source.review_ring(now, true)
                });
                until("it goes", || {
                    now += Duration::from_secs(3600);
                    source.review_ring(now, true);
                    !source.has_ring()
                });
            }
            is_ending.store(true, Ordering::Relaxed);
        });
        let (mut pool, mut packets) = (Pool::new(), Vec::new());
        let (mut next, mut wrong) = ([1, 0], Vec::new());
        let mut take = || {
            far.receive(0, &mut pool, &mut packets, BATCH).unwrap();
            let forwarded = packets.len();
            source.receive(0, &mut pool, &mut packets, BATCH).unwrap();
            for (at, packet) in packets.iter().enumerate() {
                let which = usize::from(at < forwarded);
                if packet.len() != len(next[which]) {
                    wrong.push((which, next[which], packet.len()));
                }
                next[which] += 2;
            }
            arrived.fetch_add(packets.len(), Ordering::Relaxed);
            packets.drain(..).for_each(|packet| pool.give_back(packet));
            arrived.load(Ordering::Relaxed)
        };
        while !sender.is_finished() {
            take();
        }
        let sent = sender.join().unwrap();
        until("all frames arrive", || take() == sent);
        changer.join().unwrap();
        assert_eq!(wrong, []);
    });
    assert_eq!(shortcuts.sources(), HashSet::from([source.ifindex()]));
}

#[test]
fn frames_that_are_too_long_come_to_the_switch() {
    let Some(world) = World::new() else { return };
    let len = udp(1).len() as u32;
    let add = |max_len| {
        let way = Way { max_len, ..world.way() };
        done(world.add_way(&udp(1), &mask_of(&[]), &way, 1))
    };
    let shortcut = add(len - 1);
    world.assert_received(&udp(1));
    assert_eq!(world.shortcuts.received(shortcut), Some(1));
    world.shortcuts.remove(shortcut);
    add(len);
    world.assert_forwarded(&udp(1), &udp(1));
}

#[test]
fn flows_that_the_programs_cannot_tell_stay_with_the_worker() {
    let Some(world) = World::new() else { return };
    for place in [slot::TCP_FLAGS, slot::IPV6_LABEL, slot::ARP_SHA, slot::MPLS0] {
        assert_eq!(world.add(&udp(1), &mask_of(&[place]), 1), Handing::Never, "{place:?}");
    }
    // Whether there is a tag is open, or not of which port it comes.
    for (place, bits) in [(slot::VLAN0_TCI, 0xfff), (slot::IN_PORT, 0)] {
        let mut mask = least_mask();
        mask.set_bits(place, bits);
        assert_eq!(world.add(&udp(1), &mask, 1), Handing::Never, "{place:?}");
    }
    let service_tag = [&udp(1)[..12], &[0x88, 0xa8, 0, 5], &udp(1)[12..]].concat();
    assert_eq!(world.add(&service_tag, &mask_of(&[]), 1), Handing::Never);
    // What comes with a packet is 0 when it arrives.
    assert!(matches!(world.add(&udp(1), &mask_of(&[slot::CT_STATE, slot::NW_FRAG]), 1), Handing::Done(_)));
    let mut key = key_of(&udp(1));
    key.set_ct_mark(1);
    assert_eq!(world.shortcuts.add(&key, &mask_of(&[slot::CT_MARK]), &world.way(), 1), Handing::Never);
}

#[test]
fn where_others_decide_about_frames_the_kernel_forwards_none() {
    let Some(world) = World::new() else { return };
    let tc = |words: &str| {
        // "matches nothing"
        let words = words.split(' ').chain(words.contains("bytecode").then_some("1,6 0 0 0,"));
        assert!(std::process::Command::new("tc").args(words).status().unwrap().success());
    };
    world.source.end_lookups();
    tc("filter add dev p ingress pref 5 bpf bytecode");
    assert!(!world.source.begin_lookups());
    tc("filter del dev p ingress pref 5");
    assert!(world.source.begin_lookups());
}

#[test]
fn of_two_flows_with_one_match_the_first_is_the_kernels() {
    let Some(world) = World::new() else { return };
    done(world.add(&udp(1), &mask_of(&[]), 1));
    assert_eq!(world.add(&udp(2), &mask_of(&[]), 1), Handing::NotNow);
    done(world.add(&udp(2), &mask_of(&[slot::TP_SRC]), 1));
}

#[test]
fn masks_are_few() {
    let Some(world) = World::new() else { return };
    let mask = |bit: usize| {
        let mut mask = least_mask();
        mask.add(slot::TP_SRC, 1 << bit);
        mask
    };
    let added: Vec<Shortcut> = (0..MASKS).map(|bit| done(world.add(&udp(0), &mask(bit), 1))).collect();
    assert_eq!(world.add(&udp(0), &mask(MASKS), 1), Handing::NotNow);
    added.into_iter().for_each(|shortcut| _ = world.shortcuts.remove(shortcut));
    assert_eq!(world.add(&udp(0), &mask(MASKS), 1), Handing::NotNow, "programs may be at the ones before");
    until("a mask has rested", || matches!(world.add(&udp(0), &mask(MASKS), 1), Handing::Done(_)));
}

#[test]
fn idle_flows_and_floods_are_the_workers_again() {
    let Some(world) = World::new() else { return };
    let shortcut = done(world.add(&udp(1), &mask_of(&[]), 1));
    let (begin, interval) = (Instant::now(), Duration::from_millis(100));
    for review in 0..IDLE_REVIEWS {
        assert_eq!(world.shortcuts.take(shortcut).1, None, "{review}");
        world.shortcuts.review(begin + interval * review, false);
    }
    assert_eq!(world.shortcuts.take(shortcut).1, Some(Ending::Again));
    world.shortcuts.remove(shortcut);

    let shortcut = done(world.add(&udp(2), &mask_of(&[slot::NW_TTL]), 1));
    let later = begin + Duration::from_secs(10);
    world.shortcuts.review(later, true);
    let flood = || (0..100).for_each(|_| world.near.send(&udp(2)));
    flood();
    world.shortcuts.review(later + Duration::from_millis(1), true);
    assert_eq!(world.shortcuts.take(shortcut).1, None, "the kernel takes it");
    flood();
    world.shortcuts.review(later + Duration::from_millis(2), false);
    assert_eq!(world.shortcuts.take(shortcut).1, Some(Ending::Later));
}

#[test]
fn a_flood_is_many_short_packets() {
    let second = Duration::from_secs(1);
    assert!(is_flood(1_000_000, 64_000_000, second));
    assert!(!is_flood(1_000, 64_000, second) && !is_flood(1_000_000, 1_500_000_000, second));
}

/// The shortest frame that the kernel takes with a tag.
const LEAST: usize = 20;

/// What frames of the property below are made from.
#[derive(Clone, Debug)]
struct Case {
    frame: Vec<u8>,
    mask: FlowMask,
    /// Places where other frames differ, with the bits, and by how much they are shorter.
    others: Vec<(Vec<(usize, u8)>, usize)>,
}

/// Parts of frames that flows match.
const PLACES: [Slot; 13] = [
    slot::DL_DST,
    slot::DL_SRC,
    slot::NW_SRC,
    slot::NW_DST,
    slot::IPV6_SRC,
    slot::IPV6_DST,
    slot::NW_PROTO,
    slot::NW_TOS,
    slot::NW_TTL,
    slot::TP_SRC,
    slot::TP_DST,
    slot::NW_FRAG,
    slot::VLAN0_TCI,
];

fn case() -> impl Strategy<Value = Case> {
    let ether_type = prop_oneof![
        4 => Just(ethernet::TYPE_IPV4),
        4 => Just(ethernet::TYPE_IPV6),
        1 => Just(ethernet::TYPE_ARP),
        1 => Just(0x1234),
    ];
    let protocol = prop_oneof![Just(1u8), Just(2), Just(6), Just(17), Just(47), Just(58), Just(132)];
    let tag = prop_oneof![2 => Just(None), 1 => any::<u16>().prop_map(Some)];
    let key = (ether_type, protocol, tag, any::<[u64; 4]>());
    let bits = prop_oneof![2 => Just(0u128), 1 => Just(u128::MAX), 1 => any::<u128>()];
    let flips = prop::collection::vec((0usize..70, any::<u8>()), 0..3);
    let others = prop::collection::vec((flips, prop_oneof![4 => Just(0usize), 1 => 0usize..80]), 1..30);
    (key, prop::collection::vec(bits, PLACES.len()), others).prop_map(|(key, bits, others)| {
        let (ether_type, protocol, tag, values) = key;
        let mut key = FlowKey::new();
        key.set_dl_src(base::MacAddr::from_u64(values[0] & !(1 << 40)));
        key.set_dl_dst(base::MacAddr::from_u64(values[1]));
        key.set_dl_type(ether_type);
        key.set_nw_proto(protocol);
        key.set_nw_src(values[2] as u32);
        key.set_nw_dst(values[3] as u32);
        let long = u128::from(values[2]) << 64 | u128::from(values[3]);
        key.set_ipv6_src(long);
        key.set_ipv6_dst(!long);
        key.set_nw_tos(values[0] as u8);
        key.set_nw_ttl(values[1] as u8);
        key.set_tp_src(values[2] as u16 & 0xff);
        key.set_tp_dst(values[3] as u16 & 0xff);
        let mut frame = compose(&key, None);
        if let Some(tci) = tag {
            frame = tagged(&frame, tci);
        }
        let mut mask = least_mask();
        mask.set_bits(slot::VLAN0_TCI, u128::from(flow::VLAN_CFI));
        for (place, bits) in PLACES.into_iter().zip(bits) {
            mask.add(place, bits & place.ones());
        }
        Case { frame, mask, others }
    })
}

/// What the kernel forwards by a flow, this process would have forwarded by it; and each frame goes one way.
#[test]
fn the_kernel_forwards_by_a_flow_only_what_it_matches() {
    let Some(first) = World::new() else { return };
    drop(first);
    let forwarded = std::cell::Cell::new(0);
    proptest!(ProptestConfig { max_shrink_iters: 100, ..ProptestConfig::with_cases(200) }, |(case in case())| {
        let world = World::between_pairs().unwrap();
        let key = key_of(&case.frame);
        let is_added = matches!(world.add(&case.frame, &case.mask, 1), Handing::Done(_));
        for (flips, shorter) in &case.others {
            let mut sent = case.frame.clone();
            for &(at, bits) in flips {
                if let Some(byte) = sent.get_mut(at) {
                    *byte ^= bits;
                }
            }
            // The source stays one of a single station, and the frame one that the kernel takes.
            sent[6] &= !1;
            sent.resize(sent.len().saturating_sub(*shorter).max(LEAST), 0);
            let (received, left) = world.pass(&sent);
            prop_assert_eq!(received.len() + left.len(), 1, "{:?}", sent);
            if let Some(out) = left.first() {
                prop_assert!(is_added);
                prop_assert_eq!(out, &sent);
                prop_assert!(key_of(&sent).equal_under(&key, &case.mask), "{:?}", sent);
                forwarded.set(forwarded.get() + 1);
            }
        }
    });
    assert!(forwarded.get() > 100, "{}", forwarded.get());
}

#[test]
fn packets_of_tcp_leave_their_flags() {
    let Some(world) = World::new() else { return };
    let mut key = key_of(&udp(1));
    key.set_nw_proto(6);
    let syn = |flags| {
        let mut key = key.clone();
        key.set_tcp_flags(flags);
        compose(&key, None)
    };
    let shortcut = done(world.add(&syn(2), &mask_of(&[slot::NW_PROTO]), 1));
    for flags in [2, 0x10, 0x18] {
        world.assert_forwarded(&syn(flags), &syn(flags));
    }
    assert_eq!(world.shortcuts.take(shortcut).0.tcp_flags, 0x1a);
    assert_eq!(world.shortcuts.take(shortcut).0.tcp_flags, 0);
}

#[test]
fn trains_of_segments_pass_whole() {
    let Some(world) = World::new() else { return };
    let mut key = key_of(&udp(1));
    key.set_nw_proto(6);
    let mut train = Packet::from_bytes(&compose(&key, Some(&[0; 4000])));
    train.offload.checksum = Some((34, 16));
    train.offload.segmentation =
        Some(dp::Segmentation { kind: dp::Segmentation::TCP_V4, size: 1000, header_len: 54 });
    let shortcut = done(world.add(train.bytes(), &mask_of(&[]), 1));
    world.near.send_packet(&train);
    let (mut out, mut pool) = (Vec::new(), Pool::new());
    until("it arrives", || world.far.receive(0, &mut pool, &mut out, BATCH).unwrap() > 0);
    assert_eq!(out[0].len(), train.len());
    assert_eq!(world.shortcuts.take(shortcut).0.packets, 1);
}
