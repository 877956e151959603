//! Networks of bridges, of random shapes, with wires that lose frames and come and go: loops are kept out, and what can be
//! reached is reached.

use proptest::prelude::*;

use base::MacAddr;

use super::*;
use crate::rstp::PointToPoint;

/// Where a bridge's port is.
type End = (usize, OfPort);

/// What frames go through: a wire with two ends, or more, as a hub has.
#[derive(Clone, Debug)]
struct Lan {
    ends: Vec<End>,
    is_up: bool,
}

/// What a root with a better identifier says.
pub(crate) fn better_root() -> wire::stp::Config {
    wire::stp::Config {
        root: 0x1000_0200_0000_0001,
        bridge: 0x1000_0200_0000_0001,
        port: 0x8001,
        max_age: 20 << 8,
        hello_time: 2 << 8,
        forward_delay: 15 << 8,
        ..Default::default()
    }
}

/// The units among what is to be done, with the ports that send them.
pub(crate) fn units_of(out: Outcome) -> Vec<(OfPort, wire::stp::Bpdu)> {
    let unit = |frame: &[u8]| wire::stp::Bpdu::read(wire::stp::payload(frame).unwrap()).unwrap();
    out.frames.iter().map(|(port, frame)| (*port, unit(frame))).collect()
}

/// How long a frame is on its way at most.
const SLOWEST_MS: i64 = 4;

/// Bridges and what joins them.
pub(crate) struct Net {
    pub trees: Vec<Tree>,
    lans: Vec<Lan>,
    in_flight: Vec<(i64, usize, End, Vec<u8>)>,
    pub now: i64,
    /// One frame of so many is lost; 0 for none.
    loss: u32,
    seed: u32,
    /// Since when there is a loop.
    loop_since: Option<i64>,
    longest_loop: i64,
    pub flushes: Vec<(usize, Flush)>,
}

impl Net {
    /// `lans`: the bridges at each of them.
    pub(crate) fn new(kind: SpanningTree, bridges: usize, lans: &[Vec<usize>], loss: u32) -> Net {
        let mut next = vec![1; bridges];
        let mut joined = Vec::new();
        for lan in lans {
            let ends = lan.iter().map(|bridge| {
                next[*bridge] += 1;
                (*bridge, OfPort(next[*bridge] - 1))
            });
            joined.push(Lan { ends: ends.collect(), is_up: true });
        }
        let is_shared =
            |end: End| joined.iter().any(|lan: &Lan| lan.ends.contains(&end) && lan.ends.len() > 2);
        let trees = (0..bridges).map(|bridge| {
            let ports = (1..next[bridge]).map(OfPort);
            let settings = settings(kind, bridge, ports, |port| is_shared((bridge, port)));
            Tree::new(&format!("br{bridge}"), &settings, 0)
        });
        let trees = trees.collect();
        let mut net = Net {
            trees,
            lans: joined,
            in_flight: Vec::new(),
            now: 0,
            loss,
            seed: 1,
            loop_since: None,
            longest_loop: 0,
            flushes: Vec::new(),
        };
        (0..net.lans.len()).for_each(|lan| net.set_link(lan, true));
        net
    }

    pub(crate) fn set_link(&mut self, lan: usize, is_up: bool) {
        self.lans[lan].is_up = is_up;
        for (bridge, port) in self.lans[lan].ends.clone() {
            self.trees[bridge].set_link(port, is_up, self.now);
        }
        self.in_flight.retain(|(_, of, ..)| *of != lan || is_up);
        self.settle();
    }

    fn random(&mut self) -> u32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.seed >> 8
    }

    /// Has each bridge do what it is time for, and sends what it says.
    pub(crate) fn settle(&mut self) {
        for bridge in 0..self.trees.len() {
            let out = self.trees[bridge].run(self.now);
            self.flushes.extend(out.flushes.into_iter().map(|flush| (bridge, flush)));
            for (port, frame) in out.frames {
                self.send((bridge, port), &frame);
            }
        }
        let has_loop = self.has_loop();
        self.loop_since = self.loop_since.filter(|_| has_loop).or_else(|| has_loop.then_some(self.now));
        let lasts = self.loop_since.map_or(0, |since| self.now - since);
        self.longest_loop = self.longest_loop.max(lasts);
    }

    fn send(&mut self, from: End, frame: &[u8]) {
        let Some(lan) = self.lans.iter().position(|lan| lan.ends.contains(&from)) else { return };
        if !self.lans[lan].is_up {
            return;
        }
        for end in self.lans[lan].ends.clone() {
            let is_lost = self.loss != 0 && self.random().is_multiple_of(self.loss);
            if end != from && !is_lost {
                // A wire may be slow, but frames do not overtake one another.
                let earlier = self.in_flight.iter().filter(|one| one.2 == end).map(|one| one.0).max();
                let at = (self.now + 1 + i64::from(self.random()) % SLOWEST_MS).max(earlier.unwrap_or(0));
                self.in_flight.push((at, lan, end, frame.to_vec()));
            }
        }
    }

    pub(crate) fn run(&mut self, ms: i64) {
        let end = self.now + ms;
        loop {
            let wakes = self.trees.iter().map(Tree::wakes_at).chain(self.in_flight.iter().map(|one| one.0));
            let next = wakes.min().unwrap_or(i64::MAX).max(self.now + 1);
            if next > end {
                self.now = end;
                return self.settle();
            }
            self.now = next;
            let (due, later) = std::mem::take(&mut self.in_flight).into_iter().partition(|one| one.0 <= next);
            self.in_flight = later;
            for (_, _, (bridge, port), frame) in due {
                self.trees[bridge].receive(port, &frame, next);
            }
            self.settle();
        }
    }

    pub(crate) fn state(&self, (bridge, port): End) -> SpanningState {
        self.trees[bridge].ports()[&port].state()
    }

    /// Bridges and LANs in one numbering, each with those that frames reach from it; and whether there is a loop.
    fn reached(&self, passes: impl Fn(End) -> bool) -> (Vec<usize>, bool) {
        let mut group: Vec<usize> = (0..self.trees.len() + self.lans.len()).collect();
        let mut has_loop = false;
        for (index, lan) in self.lans.iter().enumerate().filter(|(_, lan)| lan.is_up) {
            for end in lan.ends.iter().filter(|end| passes(**end)) {
                let (a, b) = (group[self.trees.len() + index], group[end.0]);
                has_loop |= a == b;
                group.iter_mut().filter(|one| **one == b).for_each(|one| *one = a);
            }
        }
        (group, has_loop)
    }

    pub(crate) fn has_loop(&self) -> bool {
        self.reached(|end| self.state(end).forwards()).1
    }

    /// There is no loop, all that is joined reaches all of its part, and agrees on the root.
    pub(crate) fn is_whole(&self) -> bool {
        let (reached, has_loop) = self.reached(|end| self.state(end).forwards());
        let (joined, _) = self.reached(|_| true);
        let root = |bridge: usize| match self.trees[bridge].status() {
            Status::Stp(status) => status.root,
            Status::Rstp(status) => status.root,
        };
        let bridges = 0..self.trees.len();
        let pairs = bridges.clone().flat_map(|a| bridges.clone().map(move |b| (a, b)));
        let mut together = pairs.filter(|(a, b)| joined[*a] == joined[*b]);
        !has_loop && together.all(|(a, b)| reached[a] == reached[b] && root(a) == root(b))
    }

    pub(crate) fn shown(&self) -> String {
        self.trees.iter().map(Tree::details).collect()
    }
}

fn settings(
    kind: SpanningTree,
    bridge: usize,
    ports: impl Iterator<Item = OfPort>,
    is_shared: impl Fn(OfPort) -> bool,
) -> Settings {
    let system = MacAddr([2, 0, 0, 0, 0, bridge as u8]);
    let mac = |port: OfPort| MacAddr([2, 0, 0, 0, bridge as u8 + 1, port.0 as u8]);
    match kind {
        SpanningTree::Stp => {
            let bridge = stp::Settings {
                system,
                priority: 0x8000,
                hello_ms: 2000,
                max_age_ms: 20_000,
                forward_delay_ms: 15_000,
            };
            let port = |port: OfPort| stp::PortSettings {
                name: format!("p{}", port.0),
                mac: mac(port),
                number: port.0 as u16,
                priority: 128,
                cost: 2,
            };
            Settings::Stp(bridge, ports.map(|number| (number, port(number))).collect())
        }
        SpanningTree::Rstp => {
            let bridge = rstp::Settings {
                address: system,
                priority: 0x8000,
                is_rapid: true,
                max_age: 20,
                forward_delay: 15,
                hold_count: 6,
            };
            let port = |port: OfPort| rstp::PortSettings {
                name: format!("p{}", port.0),
                mac: mac(port),
                number: None,
                priority: 128,
                cost: 2000,
                is_edge: false,
                finds_edge: true,
                point_to_point: if is_shared(port) { PointToPoint::No } else { PointToPoint::Yes },
                is_enabled: true,
                checks_migration: false,
            };
            Settings::Rstp(bridge, ports.map(|number| (number, port(number))).collect())
        }
    }
}

/// A LAN, by its bridges, at least one.
fn lan(bridges: usize) -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        4 => proptest::collection::vec(0..bridges, 2),
        1 => proptest::collection::vec(0..bridges, 1..4),
    ]
}

fn network() -> impl Strategy<Value = (usize, Vec<Vec<usize>>)> {
    (1..7_usize).prop_flat_map(|bridges| (Just(bridges), proptest::collection::vec(lan(bridges), 1..10)))
}

/// The same of wires alone.
fn wires() -> impl Strategy<Value = (usize, Vec<Vec<usize>>)> {
    let wire = |bridges| proptest::collection::vec(0..bridges, 1..3);
    (1..7_usize)
        .prop_flat_map(move |bridges| (Just(bridges), proptest::collection::vec(wire(bridges), 1..10)))
}

/// What happens: after so many milliseconds, a LAN comes up or goes down.
fn flaps() -> impl Strategy<Value = Vec<(i64, usize, bool)>> {
    proptest::collection::vec((0..15_000_i64, any::<usize>(), any::<bool>()), 0..12)
}

/// The longest time to agree: what was heard has to become old, and ports have to listen and learn.
const STP_BOUND: i64 = 20_000 + 2 * 15_000 + 5000;
/// Where neighbours cannot agree at once, ports wait as the old protocol has it.
const RSTP_BOUND: i64 = 3 * 2000 + 2 * 15_000 + 20_000;

/// A network after its wires have gone up and down, and some time.
fn after(
    kind: SpanningTree,
    (bridges, lans): (usize, &[Vec<usize>]),
    loss: u32,
    flaps: &[(i64, usize, bool)],
    rest_ms: i64,
) -> Net {
    let mut net = Net::new(kind, bridges, lans, loss);
    for (wait_ms, lan, is_up) in flaps {
        net.run(*wait_ms);
        net.set_link(lan % net.lans.len(), *is_up);
    }
    net.run(rest_ms);
    net
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// Whatever wires do, the old protocol never lets a loop be, for it waits until all have heard.
    #[test]
    fn stp_never_forwards_in_a_loop_and_joins_what_can_be((bridges, lans) in network(), flaps in flaps()) {
        let net = after(SpanningTree::Stp, (bridges, &lans), 0, &flaps, STP_BOUND);
        prop_assert_eq!(net.longest_loop, 0);
        prop_assert!(!net.has_loop());
        prop_assert!(net.is_whole(), "{}", net.shown());
    }

    #[test]
    fn stp_stands_losses((bridges, lans) in network(), flaps in flaps()) {
        let net = after(SpanningTree::Stp, (bridges, &lans), 8, &flaps, 2 * STP_BOUND);
        prop_assert_eq!(net.longest_loop, 0);
        prop_assert!(net.is_whole(), "{}", net.shown());
    }

    /// Neighbours agree before a wire forwards: there is no moment with a loop, even while what is said of a root that is gone
    /// circles until it is too old.
    #[test]
    fn rstp_never_forwards_in_a_loop_and_joins_what_can_be((bridges, lans) in wires(), flaps in flaps()) {
        let net = after(SpanningTree::Rstp, (bridges, &lans), 0, &flaps, RSTP_BOUND);
        prop_assert_eq!(net.longest_loop, 0);
        prop_assert!(!net.has_loop());
        prop_assert!(net.is_whole(), "{}", net.shown());
    }

    /// Where several bridges share a LAN, neighbours cannot agree, and ports wait for no longer than a hello time: a loop may
    /// be there until units are heard.
    #[test]
    fn rstp_ends_loops_through_shared_lans((bridges, lans) in network(), flaps in flaps()) {
        let net = after(SpanningTree::Rstp, (bridges, &lans), 0, &flaps, RSTP_BOUND);
        prop_assert!(net.longest_loop <= 2000 + 2 * SLOWEST_MS, "{} ms", net.longest_loop);
        prop_assert!(net.is_whole(), "{}", net.shown());
    }

    /// A port that has lost three units in a row knows nothing of its neighbour; it learns better with the next one that is
    /// not lost.
    #[test]
    fn rstp_ends_loops_that_losses_make((bridges, lans) in network(), flaps in flaps()) {
        let net = after(SpanningTree::Rstp, (bridges, &lans), 8, &flaps, 2 * RSTP_BOUND);
        prop_assert!(net.longest_loop <= 12_000, "{} ms", net.longest_loop);
    }
}

/// Three bridges in a ring.
pub(crate) fn ring(kind: SpanningTree) -> Net {
    Net::new(kind, 3, &[vec![0, 1], vec![1, 2], vec![2, 0]], 0)
}

#[test]
fn a_ring_of_the_old_protocol_opens_in_thirty_seconds_and_heals_in_fifty() {
    let mut net = ring(SpanningTree::Stp);
    net.run(29_000);
    assert!(!net.state((0, OfPort(1))).forwards());
    net.run(4000);
    assert!(net.is_whole(), "{}", net.shown());
    assert_eq!(
        net.state((2, OfPort(1))),
        SpanningState::Blocking,
        "of two equal ways, that by the lesser bridge"
    );
    // The wire between the root and the last bridge is cut, and that is seen at once: only listening and learning are left.
    net.set_link(2, false);
    net.run(29_000);
    assert!(!net.is_whole());
    net.run(4000);
    assert!(net.is_whole(), "{}", net.shown());
}

#[test]
fn a_ring_of_the_rapid_protocol_opens_and_heals_within_a_second() {
    let mut net = ring(SpanningTree::Rstp);
    net.run(1000);
    assert!(net.is_whole(), "{}", net.shown());
    assert_eq!(net.state((2, OfPort(1))), SpanningState::Discarding);
    for is_up in [false, true] {
        net.set_link(2, is_up);
        net.run(1000);
        assert!(net.is_whole(), "{}", net.shown());
    }
    // A neighbour that is silent while its link is up is missed after three units.
    net.run(10_000);
    net.loss = 1;
    net.run(9000);
    net.loss = 0;
    net.run(3000);
    assert!(net.is_whole(), "{}", net.shown());
}

#[test]
fn addresses_are_forgotten_when_ways_change() {
    for kind in [SpanningTree::Stp, SpanningTree::Rstp] {
        let mut net = Net::new(kind, 4, &[vec![0, 1], vec![1, 2], vec![2, 3], vec![3, 0]], 0);
        net.run(100_000);
        net.flushes.clear();
        net.run(30_000);
        assert_eq!(net.flushes, [], "nothing happens");
        net.set_link(0, false);
        net.run(60_000);
        for bridge in 0..4 {
            assert!(net.flushes.iter().any(|(of, _)| *of == bridge), "{kind:?}: br{bridge} forgets nothing");
        }
    }
}

#[test]
fn a_port_of_a_tree_that_ends_holds_nothing_back() {
    let mut net = ring(SpanningTree::Rstp);
    net.run(5000);
    let ports = net.trees[2].ports();
    let out = net.trees[2].end();
    assert!(out.has_changed && out.frames.is_empty());
    assert!(ports.values().all(|port| port.state() == SpanningState::Disabled));
    assert!(net.trees[2].ports().is_empty());
}

/// Networks in which a neighbour's agreement was to something else than what it was taken for, and a loop was made of it.
#[test]
fn an_agreement_holds_for_one_way_to_one_root() {
    let parallel = vec![vec![5, 2], vec![2, 4], vec![2], vec![5, 4], vec![5, 4], vec![1, 1]];
    let flaps = [
        (4859, 2, false),
        (9811, 1, false),
        (6477, 1, false),
        (4298, 0, false),
        (5201, 2, true),
        (8931, 1, true),
        (12_921, 3, false),
        (4448, 1, true),
        (4311, 3, false),
    ];
    let net = after(SpanningTree::Rstp, (6, &parallel), 0, &flaps, RSTP_BOUND);
    assert_eq!(net.longest_loop, 0, "better news of another root");

    let own_wire = vec![vec![2], vec![2, 2], vec![2, 1], vec![2, 1], vec![0, 2]];
    let flaps = [(6576, 0, false), (11_379, 0, false), (11_227, 0, false), (4818, 4, false)];
    let net = after(SpanningTree::Rstp, (3, &own_wire), 0, &flaps, RSTP_BOUND);
    assert_eq!(net.longest_loop, 0, "an agreement that was on its way");

    let parallel =
        vec![vec![0], vec![1, 2], vec![3, 0], vec![1, 3], vec![1, 2], vec![3, 2], vec![0], vec![0], vec![0]];
    let net = after(SpanningTree::Rstp, (4, &parallel), 0, &[(10_989, 2, false)], RSTP_BOUND);
    assert_eq!(net.longest_loop, 0, "two bridges that take one another for the way to the root");

    let own_wire =
        vec![vec![2, 3], vec![3, 0], vec![2, 1], vec![3, 1], vec![0], vec![0], vec![0], vec![3, 3]];
    let net = after(SpanningTree::Rstp, (4, &own_wire), 0, &[(10_000, 1, false)], RSTP_BOUND);
    assert_eq!(net.longest_loop, 0, "what a bridge's other port agreed to");
}
