//! UDP, SCTP and echo between random hosts, errors of ICMP about any of it, long pauses; with and without translation.

use proptest::prelude::*;

use super::literal::{Datagrams, Met};
use super::packets::{A, B, Bytes, echo, icmp_error, sctp, udp};
use super::*;

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Udp,
    Sctp,
    Echo,
}

/// The hosts behind the tracker, each with a port of its own; the first of each kind of protocol.
const PAIRS: [(Protocol, u16); 6] = [
    (Protocol::Udp, 1000),
    (Protocol::Sctp, 1001),
    (Protocol::Echo, 1002),
    (Protocol::Udp, 1003),
    (Protocol::Sctp, 1004),
    (Protocol::Echo, 1005),
];
/// The address that hosts have outside, where they are translated.
const OUTSIDE: u32 = 0x0a01_01f0;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A pair of hosts speaks.
    Send { pair: usize, is_reply: bool, words: usize },
    /// Whoever would get that packet says that it is not wanted.
    Refuse { pair: usize, is_reply: bool },
    /// Nobody speaks until all connections are over.
    Pause,
}

fn step() -> impl Strategy<Value = Step> {
    let pair = 0..PAIRS.len();
    prop_oneof![
        8 => (pair.clone(), any::<bool>(), 0usize..9)
            .prop_map(|(pair, is_reply, words)| Step::Send { pair, is_reply, words }),
        4 => (pair, any::<bool>()).prop_map(|(pair, is_reply)| Step::Refuse { pair, is_reply }),
        1 => Just(Step::Pause),
    ]
}

/// A packet of a pair, where the host behind the tracker has the address `host`.
fn packet(pair: usize, is_reply: bool, host: u32, words: usize) -> Bytes {
    let (protocol, port) = PAIRS[pair];
    let text = vec![7; words * 4];
    let (src, dst, from, to) = if is_reply { (B, host, 53, port) } else { (host, B, port, 53) };
    match protocol {
        Protocol::Udp => udp(src, dst, from, to, &text),
        Protocol::Sctp => sctp(src, dst, from, to, &text),
        Protocol::Echo => echo(src, dst, port, is_reply, &text),
    }
}

fn host(pair: usize) -> u32 {
    A + pair as u32 * 256
}

proptest! {
    #[test]
    fn datagrams_and_errors_about_them_are_what_a_plain_tracker_says(steps in prop::collection::vec(step(), 1..80), translates: bool) {
        let tracker = tracker();
        let nat = translates.then(|| NatAction::New(source_nat(OUTSIDE, OUTSIDE, None)));
        let commit = Action { nat, ..COMMIT };
        let look = Action { nat: nat.map(|_| NatAction::Existing), ..LOOK };
        let outside = |pair| if translates { OUTSIDE } else { host(pair) };
        let [there, back] = if translates { [SRC_NAT, DST_NAT] } else { [0, 0] };
        let mut literal = Datagrams::between(PAIRS.len());
        let mut now = 0;
        for one in steps {
            match one {
                Step::Send { pair, is_reply: false, words } => {
                    let mut sent = packet(pair, false, host(pair), words);
                    let ct = track(&tracker, &mut sent, &commit, now);
                    let expected = if literal.see(pair, false) == Met::New { NEW } else { ESTABLISHED };
                    prop_assert_eq!(ct.state, TRACKED | expected | there);
                    prop_assert_eq!(sent, packet(pair, false, outside(pair), words));
                }
                Step::Send { pair, is_reply: true, words } => {
                    let mut sent = packet(pair, true, outside(pair), words);
                    let ct = track(&tracker, &mut sent, &look, now);
                    let is_echo = matches!(PAIRS[pair].0, Protocol::Echo);
                    let (expected, host) = match literal.see(pair, true) {
                        Met::Unasked if is_echo => (INVALID, outside(pair)),
                        Met::Unasked => (NEW, outside(pair)),
                        Met::New | Met::Established => (ESTABLISHED | REPLY | back, host(pair)),
                    };
                    prop_assert_eq!(ct.state, TRACKED | expected);
                    prop_assert_eq!(sent, packet(pair, true, host, words));
                }
                Step::Refuse { pair, is_reply } => {
                    // A packet as its receiver got it, and as its sender sent it.
                    let (got, sent) = if is_reply { (host(pair), outside(pair)) } else { (outside(pair), host(pair)) };
                    let mut error = icmp_error(&packet(pair, is_reply, got, 2));
                    let ct = track(&tracker, &mut error, &look, now);
                    let (expected, seen) = match (literal.is_known(pair), is_reply) {
                        (false, _) => (INVALID, got),
                        (true, false) => (RELATED | REPLY | back, sent),
                        (true, true) => (RELATED | there, sent),
                    };
                    prop_assert_eq!(ct.state, TRACKED | expected);
                    prop_assert_eq!(error, icmp_error(&packet(pair, is_reply, seen, 2)));
                }
                Step::Pause => {
                    now += 1000;
                    literal.forget();
                    while !tracker.sweep(at(now)) {}
                }
            }
            prop_assert_eq!(tracker.count() as usize, literal.count(), "errors leave nothing behind");
        }
    }
}
