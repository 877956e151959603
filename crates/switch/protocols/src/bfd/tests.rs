//! Two sessions that exchange frames over a wire that a test can cut.

use proptest::prelude::*;

use super::*;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// Two sessions, the time, and which directions are cut.
struct Pair {
    sides: [Session; 2],
    now: i64,
    cut: [bool; 2],
    /// Frames that each side has sent.
    sent: [Vec<Vec<u8>>; 2],
    /// Other traffic that each side has received.
    traffic: [u64; 2],
}

impl Pair {
    fn new(settings: [Settings; 2]) -> Pair {
        let mut number = 0;
        let sides = settings.map(|settings| {
            number += 1;
            let identity = Identity { discriminator: number, source_port: 49_152 };
            Session::new("p", settings, identity, 0, 1)
        });
        Pair { sides, now: 1, cut: [false; 2], sent: Default::default(), traffic: [0; 2] }
    }

    /// Lets time pass, waking each side when it asks for that.
    fn run(&mut self, ms: i64) {
        let end = self.now + ms;
        while self.now < end {
            for side in 0..2 {
                if self.sides[side].wakes_at() > self.now {
                    continue;
                }
                let received = self.traffic[side];
                self.sides[side].run(|| received, self.now);
                if let Some(frame) = self.sides[side].frame(MAC, self.now) {
                    if !self.cut[side] {
                        let other = 1 - side;
                        self.traffic[other] += 1;
                        let received = self.traffic[other];
                        self.sides[other].receive(&frame, || received, self.now);
                    }
                    self.sent[side].push(frame);
                }
            }
            self.now += 1;
        }
    }

    fn states(&self) -> [State; 2] {
        [self.sides[0].local.state, self.sides[1].local.state]
    }

    fn forwards(&mut self) -> [bool; 2] {
        let now = self.now;
        [self.sides[0].is_forwarding(now), self.sides[1].is_forwarding(now)]
    }

    fn diagnostics(&self) -> [&'static str; 2] {
        [self.sides[0].local.diagnostic.text(), self.sides[1].local.diagnostic.text()]
    }
}

fn usual() -> [Settings; 2] {
    [Settings::default(), Settings::default()]
}

fn quick() -> Settings {
    Settings { min_rx: 100, ..Settings::default() }
}

/// The control packet of a frame.
fn packet(frame: &[u8]) -> Header {
    Header::parse(udp_payload(frame).unwrap().1).unwrap()
}

#[test]
fn two_sides_that_hear_each_other_come_up() {
    let mut pair = Pair::new(usual());
    assert_eq!((pair.states(), pair.forwards()), ([State::Down; 2], [false; 2]));
    pair.run(3000);
    assert_eq!((pair.states(), pair.forwards()), ([State::Up; 2], [true; 2]));
    assert_eq!(pair.diagnostics(), ["No Diagnostic"; 2]);
}

#[test]
fn a_silent_neighbour_is_noticed_within_three_intervals() {
    let mut pair = Pair::new([quick(), quick()]);
    pair.run(3000);
    pair.cut = [true; 2];
    // The last packet before the cut may have come a whole interval ago.
    pair.run(200);
    assert_eq!(pair.forwards(), [true; 2]);
    pair.run(101);
    assert_eq!((pair.states(), pair.forwards()), ([State::Down; 2], [false; 2]));
    assert_eq!(pair.diagnostics(), ["Control Detection Time Expired"; 2]);
    pair.cut = [false; 2];
    pair.run(3000);
    assert_eq!(pair.states(), [State::Up; 2]);
}

#[test]
fn who_stood_still_gives_the_neighbour_as_long_again() {
    let mut pair = Pair::new([quick(), quick()]);
    pair.run(3000);
    // The whole machine stands still for half a second.
    pair.now += 500;
    pair.sides.iter_mut().for_each(|side| side.stood_still(500));
    pair.run(1000);
    assert_eq!((pair.states(), pair.diagnostics()), ([State::Up; 2], ["No Diagnostic"; 2]));
    // A neighbour that is silent is noticed all the same.
    pair.cut = [true; 2];
    pair.run(301);
    assert_eq!(pair.states(), [State::Down; 2]);
}

#[test]
fn who_hears_but_is_not_heard_learns_it_from_the_neighbour() {
    let mut pair = Pair::new([quick(), quick()]);
    pair.run(3000);
    pair.cut[0] = true;
    pair.run(2000);
    assert_eq!(pair.forwards(), [false; 2]);
    assert_eq!(pair.states(), [State::Init, State::Down]);
    assert_eq!(pair.diagnostics(), ["Neighbor Signaled Session Down", "Control Detection Time Expired"]);
}

#[test]
fn packets_are_sent_at_the_interval_that_both_admit_and_never_later() {
    let settings = |min_tx, min_rx| Settings { min_tx, min_rx, ..Settings::default() };
    let mut pair = Pair::new([settings(100, 400), settings(300, 200)]);
    pair.run(5000);
    pair.sent = Default::default();
    pair.run(10_000);
    // The first sends each 200 ms less up to a quarter, the second each 400 ms.
    let counts = [pair.sent[0].len(), pair.sent[1].len()];
    assert!((50..=67).contains(&counts[0]) && (25..=34).contains(&counts[1]), "{counts:?}");
}

#[test]
fn a_session_that_is_not_up_sends_once_a_second_at_most() {
    let mut pair = Pair::new([quick(), quick()]);
    pair.cut = [true; 2];
    pair.run(10_000);
    let count = pair.sent[0].len();
    assert!((10..=15).contains(&count), "{count}");
    assert!(pair.sent[0].iter().all(|frame| packet(frame).min_tx == 1_000_000));
}

#[test]
fn other_intervals_are_polled_for_without_going_down() {
    let mut pair = Pair::new(usual());
    pair.run(3000);
    let flaps = pair.sides[0].forwarding.flaps;
    let now = pair.now;
    pair.sides[0].configure(Settings { min_tx: 500, min_rx: 300, ..Settings::default() }, 0, now);
    pair.sent = Default::default();
    pair.run(2000);
    let flags: Vec<u8> = pair.sent[0].iter().map(|frame| packet(frame).flags).collect();
    assert_eq!(flags[0], flag::POLL);
    assert!(pair.sent[1].iter().any(|frame| packet(frame).flags == flag::FINAL));
    assert!(!pair.sides[0].is_polling());
    let intervals = (pair.sides[1].remote.min_tx, pair.sides[1].remote.min_rx);
    assert_eq!((intervals, pair.sides[0].forwarding.flaps), ((500, 300), flaps));
    assert_eq!(pair.states(), [State::Up; 2]);
}

#[test]
fn a_concatenated_path_that_is_down_stops_the_neighbour_from_forwarding() {
    let mut pair = Pair::new(usual());
    pair.run(3000);
    let now = pair.now;
    pair.sides[0].configure(Settings { concatenated_path_down: true, ..Settings::default() }, 0, now);
    pair.run(2000);
    assert_eq!((pair.states(), pair.forwards()), ([State::Up; 2], [true, false]));
    let now = pair.now;
    pair.sides[0].configure(Settings::default(), 0, now);
    pair.run(2000);
    assert_eq!(pair.forwards(), [true; 2]);
}

#[test]
fn traffic_stands_for_packets_where_that_is_asked_for() {
    let by_traffic = Settings { forwarding_if_rx: true, ..quick() };
    let mut pair = Pair::new([by_traffic, quick()]);
    pair.run(3000);
    pair.cut = [false, true];
    for _ in 0..50 {
        pair.traffic[0] += 1;
        pair.run(100);
    }
    assert_eq!((pair.states()[0], pair.forwards()[0]), (State::Down, true));
    // A packet has to come once in a hundred intervals nevertheless.
    for _ in 0..60 {
        pair.traffic[0] += 1;
        pair.run(100);
    }
    assert!(!pair.forwards()[0]);
}

#[test]
fn traffic_that_ends_stands_for_nothing() {
    let mut pair = Pair::new([Settings { forwarding_if_rx: true, ..quick() }, quick()]);
    pair.run(3000);
    pair.cut = [true; 2];
    pair.run(1500);
    assert!(pair.forwards()[0]);
    pair.run(1500);
    assert!(!pair.forwards()[0]);
}

#[test]
fn a_quiet_link_decays_and_traffic_ends_that() {
    let decaying = Settings { decay_min_rx: 3000, min_rx: 500, ..Settings::default() };
    let mut pair = Pair::new([decaying, Settings { min_tx: 100, ..quick() }]);
    pair.run(2000);
    pair.run(8000);
    assert_eq!((pair.sides[0].local.min_rx, pair.states()), (3000, [State::Up; 2]));
    for _ in 0..100 {
        pair.traffic[0] += 10;
        pair.run(100);
    }
    assert_eq!((pair.sides[0].local.min_rx, pair.states()), (500, [State::Up; 2]));
}

#[test]
fn an_operator_may_force_a_session() {
    let mut pair = Pair::new(usual());
    pair.sides[0].force(Some(true));
    assert_eq!(pair.forwards(), [true, false]);
    pair.run(3000);
    pair.sides[0].force(Some(false));
    assert_eq!(pair.forwards(), [false, true]);
    pair.sides[0].force(None);
    assert_eq!(pair.forwards(), [true; 2]);
}

#[test]
fn a_frame_is_what_the_rfcs_and_the_settings_ask_for() {
    let mac = |last| MacAddr([2, 0, 0, 0, 0, last]);
    let settings = Settings {
        multiplier: 7,
        local_source_mac: Some(mac(7)),
        local_destination_mac: Some(mac(8)),
        source: "10.0.0.1".parse().unwrap(),
        destination: "10.0.0.2".parse().unwrap(),
        ..quick()
    };
    let identity = Identity { discriminator: 0x1234, source_port: 50_000 };
    let mut session = Session::new("p", settings, identity, 0, 5);
    let frame = session.frame(MAC, 5).unwrap();
    let ethernet = wire::ethernet::Ethernet::parse(&frame).unwrap();
    assert_eq!((ethernet.dst(), ethernet.src()), (mac(8), mac(7)));
    let ip = wire::ipv4::Ipv4::parse(ethernet.payload()).unwrap();
    assert_eq!((ip.ttl(), ip.tos(), ip.src(), ip.dst()), (255, 0xc0, 0x0a00_0001, 0x0a00_0002));
    let udp = wire::udp::Udp::parse(ip.payload()).unwrap();
    assert_eq!((udp.src(), udp.dst(), udp.len()), (50_000, 3784, 32));
    let expected = Header {
        version: 1,
        state: 1,
        multiplier: 7,
        length: 24,
        my_discriminator: 0x1234,
        min_tx: 1_000_000,
        min_rx: 100_000,
        ..Header::default()
    };
    assert_eq!(packet(&frame), expected);
    assert_eq!(session.frame(MAC, 6), None, "the next one is due later");
}

#[test]
fn packets_that_are_not_the_neighbours_change_nothing() {
    let mut pair = Pair::new(usual());
    pair.run(3000);
    let good = pair.sent[0].last().unwrap().clone();
    let at = good.len() - LEN;
    let changed = |change: &dyn Fn(&mut Header)| {
        let mut header = packet(&good);
        header.state = State::Down as u8;
        change(&mut header);
        let mut frame = good.clone();
        frame.truncate(at);
        header.append(&mut frame);
        frame
    };
    let with_ttl = |ttl| {
        let mut frame = changed(&|_| ());
        wire::ipv4::Ipv4Mut::parse(&mut frame[14..]).unwrap().set_ttl(ttl);
        frame
    };
    let wrong = [
        ("version", changed(&|p| p.version = 2)),
        ("authenticated", changed(&|p| p.flags = flag::AUTHENTICATED)),
        ("multipoint", changed(&|p| p.flags = flag::MULTIPOINT)),
        ("short", changed(&|p| p.length = 23)),
        ("multiplier", changed(&|p| p.multiplier = 0)),
        ("no discriminator", changed(&|p| p.my_discriminator = 0)),
        ("another session's", changed(&|p| p.your_discriminator = 99)),
        ("up, and to nobody", changed(&|p| (p.state, p.your_discriminator) = (State::Up as u8, 0))),
        ("cut off", good[..good.len() - 1].to_vec()),
        ("from afar", with_ttl(254)),
    ];
    for (what, frame) in wrong {
        let now = pair.now;
        pair.sides[1].receive(&frame, || 0, now);
        assert_eq!((pair.states()[1], pair.sides[1].remote.state), (State::Up, State::Up), "{what}");
    }
    let now = pair.now;
    pair.sides[1].receive(&with_ttl(255), || 0, now);
    assert_eq!(pair.states()[1], State::Down, "the packet that all these were made of counts");
}

#[test]
fn what_is_shown_is_worded_as_operators_know_it() {
    let identity = Identity { discriminator: 0xab, source_port: 49_152 };
    let mut session = Session::new("p", Settings::default(), identity, 0, 1000);
    session.frame(MAC, 1000);
    let shown = session.details(1000);
    let next = session.times.next_tx - 1000;
    let expected = format!(
        "  Forwarding: false\n  Detect Multiplier: 3\n  Concatenated Path Down: false\n  \
         TX Interval: Approx 1000ms\n  RX Interval: Approx 1000ms\n  Detect Time: now -1000ms\n  \
         Next TX Time: now {next:+}ms\n  Last TX Time: now +0ms\n\n  Local Flags: none\n  \
         Local Session State: down\n  Local Diagnostic: No Diagnostic\n  Local Discriminator: 0xab\n  \
         Local Minimum TX Interval: 1000ms\n  Local Minimum RX Interval: 1000ms\n\n  Remote Flags: none\n  \
         Remote Session State: down\n  Remote Diagnostic: No Diagnostic\n  Remote Discriminator: 0x0\n  \
         Remote Minimum TX Interval: 0ms\n  Remote Minimum RX Interval: 1ms\n  Remote Detect Multiplier: 0\n"
    );
    assert_eq!(shown, expected);
    let status: Vec<String> =
        session.status(1000).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        status,
        [
            "diagnostic=No Diagnostic",
            "flap_count=0",
            "forwarding=false",
            "remote_diagnostic=No Diagnostic",
            "remote_state=down",
            "state=down"
        ]
    );
}

proptest! {
    /// Whatever comes, a session stays in order: it asks to be woken at a time that passes, and a packet has one of poll and
    /// final at most.
    #[test]
    fn a_session_survives_whatever_comes(
        events in proptest::collection::vec((0..3000_i64, proptest::collection::vec(any::<u8>(), LEN)), 1..60),
        mult in 1..=255_u8,
    ) {
        let settings = Settings { multiplier: mult, decay_min_rx: 3000, forwarding_if_rx: true, ..Settings::default() };
        let identity = Identity { discriminator: 7, source_port: 49_152 };
        let mut session = Session::new("p", settings, identity, 0, 1);
        let template = session.frame(MAC, 1).unwrap();
        let mut now = 1;
        for (ms, mut bytes) in events {
            now += ms;
            // Most of what a check would stop at is right, so that the rest is reached.
            bytes[0] = bytes[0] & 0x1f | 1 << 5;
            bytes[1] &= 0xf2;
            bytes[3] = 24;
            bytes[8..12].copy_from_slice(&7_u32.to_be_bytes());
            let mut frame = template[..template.len() - LEN].to_vec();
            frame.extend(bytes);
            session.receive(&frame, || 0, now);
            session.run(|| 0, now);
            if let Some(frame) = session.frame(MAC, now) {
                let flags = packet(&frame).flags;
                prop_assert_ne!(flags & (flag::POLL | flag::FINAL), flag::POLL | flag::FINAL);
            }
            session.run(|| 0, now);
            while session.wakes_at() <= now {
                session.run(|| 0, now);
                prop_assert!(session.frame(MAC, now).is_some() || session.wakes_at() > now);
            }
            session.details(now);
        }
    }
}
