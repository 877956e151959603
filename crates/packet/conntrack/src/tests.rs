//! The tracker as a whole.
#![allow(clippy::unwrap_used)] // tests say what they expect by unwrapping

mod datagrams;
mod fragments;
mod literal;
mod packets;
mod properties;

use base::Timestamp;
use flow::ct_state::{DST_NAT, ESTABLISHED, INVALID, NEW, RELATED, REPLY, SRC_NAT, TRACKED};
use wire::tcp::{ACK, FIN, RST, SYN};

use self::packets::{A, B, Bytes, icmp_error, reversed, tcp, udp};
use crate::{
    Action, Address, Detail, Filter, Helper, Metadata, Nat, NatAction, Stage, Tracker, Translated,
    format_entry,
};

fn tracker() -> Tracker {
    Tracker::new(0x5eed)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

const COMMIT: Action<'static> = Action {
    commit: true,
    force: false,
    zone: 1,
    mark: None,
    label: None,
    helper: None,
    policy: None,
    nat: None,
};
const LOOK: Action<'static> = Action { commit: false, ..COMMIT };

fn source_nat(first: u32, last: u32, ports: Option<(u16, u16)>) -> Nat {
    Nat {
        translated: Translated::Source,
        addresses: (Address::v4(first), Address::v4(last)),
        ports,
        is_persistent: false,
        is_random: false,
    }
}

/// Tracks a packet that was not tracked before.
fn track(tracker: &Tracker, packet: &mut Bytes, action: &Action<'_>, now: u64) -> Metadata {
    let mut ct = Metadata::default();
    tracker.track(packet, &mut ct, action, at(now));
    ct
}

fn state(tracker: &Tracker, mut packet: Bytes, action: &Action<'_>, now: u64) -> u32 {
    track(tracker, &mut packet, action, now).state
}

fn dump(tracker: &Tracker, now: u64) -> Vec<String> {
    let mut lines = Vec::new();
    tracker.visit(None, at(now), |entry| {
        let mut line = String::new();
        format_entry(&mut line, &entry, Detail::default());
        lines.push(line);
    });
    lines.sort();
    lines
}

#[test]
fn a_tcp_connection_is_new_established_and_over() {
    let tracker = tracker();
    let there = |flags, sequence, ack| tcp(A, B, 1000, 80, flags, sequence, ack, b"");
    let back = |flags, sequence, ack| tcp(B, A, 80, 1000, flags, sequence, ack, b"");
    assert_eq!(state(&tracker, there(SYN, 1, 0), &LOOK, 0), TRACKED | NEW);
    assert_eq!(dump(&tracker, 0), [""; 0], "nothing is kept that is not committed");
    assert_eq!(state(&tracker, there(SYN, 1, 0), &COMMIT, 0), TRACKED | NEW);
    assert_eq!(state(&tracker, back(SYN | ACK, 100, 2), &LOOK, 0), TRACKED | ESTABLISHED | REPLY);
    assert_eq!(state(&tracker, there(ACK, 2, 101), &LOOK, 0), TRACKED | ESTABLISHED);
    let line = "tcp,orig=(src=10.1.1.1,dst=10.1.1.2,sport=1000,dport=80),\
                reply=(src=10.1.1.2,dst=10.1.1.1,sport=80,dport=1000),zone=1,protoinfo=(state=ESTABLISHED)";
    assert_eq!(dump(&tracker, 0), [line]);
    // Far outside of the window.
    assert_eq!(
        state(&tracker, there(ACK, 900_000, 101), &LOOK, 0),
        TRACKED | ESTABLISHED,
        "no data, no number"
    );
    let far = tcp(A, B, 1000, 80, ACK, 900_000, 101, b"x");
    assert_eq!(state(&tracker, far.clone(), &LOOK, 0), TRACKED | INVALID);
    tracker.set_checks_sequences(false);
    assert_eq!(state(&tracker, far, &LOOK, 0), TRACKED | ESTABLISHED);
    // One that begins anew replaces one that is over.
    assert_eq!(state(&tracker, there(RST, 900_001, 101), &LOOK, 1), TRACKED | ESTABLISHED);
    assert_eq!(state(&tracker, there(SYN, 7, 0), &COMMIT, 2), TRACKED | NEW);
    assert_eq!(tracker.count(), 1);
    assert!(dump(&tracker, 2)[0].ends_with("(state=SYN_SENT)"));
}

#[test]
fn what_cannot_belong_to_a_connection_is_invalid() {
    let tracker = tracker();
    let invalid = TRACKED | INVALID;
    assert_eq!(state(&tracker, tcp(A, B, 1, 2, SYN | ACK, 1, 1, b""), &COMMIT, 0), invalid, "half open");
    assert_eq!(state(&tracker, tcp(A, B, 1, 2, SYN | FIN, 1, 1, b""), &COMMIT, 0), invalid, "flags");
    assert_eq!(state(&tracker, tcp(A, B, 0, 2, SYN, 1, 1, b""), &COMMIT, 0), invalid, "no port");
    let mut wrong = udp(A, B, 1, 2, b"text");
    wrong.0[30] ^= 1;
    assert_eq!(state(&tracker, wrong, &COMMIT, 0), invalid, "checksum");
    let mut cut = udp(A, B, 1, 2, b"text");
    cut.0.truncate(25);
    assert_eq!(state(&tracker, cut, &COMMIT, 0), invalid, "cut off");
    let error = icmp_error(&udp(A, B, 1, 2, b"text"));
    assert_eq!(state(&tracker, error, &COMMIT, 0), invalid, "an error about nothing");
    assert_eq!(tracker.count(), 0);
}

#[test]
fn sources_are_translated_there_and_back_and_in_errors() {
    let tracker = tracker();
    let nat = Action { nat: Some(NatAction::New(source_nat(0x0a01_01f0, 0x0a01_01f0, None))), ..COMMIT };
    let again = Action { nat: Some(NatAction::Existing), ..LOOK };
    let mut there = udp(A, B, 1000, 53, b"ask");
    assert_eq!(track(&tracker, &mut there, &nat, 0).state, TRACKED | NEW | SRC_NAT);
    assert_eq!(there, udp(0x0a01_01f0, B, 1000, 53, b"ask"), "and all checksums are right");
    let mut back = udp(B, 0x0a01_01f0, 53, 1000, b"answer");
    let ct = track(&tracker, &mut back, &again, 0);
    assert_eq!(ct.state, TRACKED | ESTABLISHED | REPLY | DST_NAT);
    assert_eq!(ct.original.unwrap().src.address, Address::v4(A));
    assert_eq!(back, udp(B, A, 53, 1000, b"answer"));
    let mut error = icmp_error(&there);
    let ct = track(&tracker, &mut error, &again, 0);
    assert_eq!(ct.state, TRACKED | RELATED | REPLY | DST_NAT);
    assert_eq!(error, icmp_error(&udp(A, B, 1000, 53, b"ask")));
}

#[test]
fn ports_are_chosen_where_one_is_taken() {
    let tracker = tracker();
    let nat = Action {
        nat: Some(NatAction::New(source_nat(0x0a01_01f0, 0x0a01_01f0, Some((500, 501))))),
        ..COMMIT
    };
    let mut seen = Vec::new();
    for host in 1..=2 {
        let mut packet = udp(A + host * 256, B, 1000, 53, b"");
        assert_eq!(track(&tracker, &mut packet, &nat, 0).state, TRACKED | NEW | SRC_NAT);
        seen.push(u16::from_be_bytes([packet.0[20], packet.0[21]]));
    }
    seen.sort_unstable();
    assert_eq!(seen, [500, 501]);
    let full = state(&tracker, udp(A + 3 * 256, B, 1000, 53, b""), &nat, 0);
    assert_eq!(full, TRACKED | NEW, "none is left");
    assert_eq!(tracker.count(), 2);
    // Those that are over take no place, swept away or not.
    assert_eq!(state(&tracker, udp(A + 3 * 256, B, 1000, 53, b""), &nat, 100), TRACKED | NEW | SRC_NAT);
    // Without a range, the packet's own port is the first choice.
    let any = Action { nat: Some(NatAction::New(source_nat(0x0a01_01f1, 0x0a01_01f1, None))), ..COMMIT };
    let mut packet = udp(A, B, 2000, 53, b"");
    track(&tracker, &mut packet, &any, 0);
    assert_eq!(packet, udp(0x0a01_01f1, B, 2000, 53, b""));
}

#[test]
fn a_server_that_ftp_announces_is_related_and_its_address_translated() {
    let tracker = tracker();
    let nat = Action {
        helper: Some(Helper::Ftp),
        nat: Some(NatAction::New(source_nat(0x0a01_0109, 0x0a01_0109, None))),
        ..COMMIT
    };
    let again = Action { nat: Some(NatAction::Existing), ..LOOK };
    let outside = 0x0a01_0109;
    track(&tracker, &mut tcp(A, B, 1000, 21, SYN, 1, 0, b""), &nat, 0);
    track(&tracker, &mut tcp(B, outside, 21, 1000, SYN | ACK, 100, 2, b""), &again, 0);
    let mut port = tcp(A, B, 1000, 21, ACK, 2, 101, b"PORT 10,1,1,1,4,1\r\n");
    track(&tracker, &mut port, &again, 0);
    assert_eq!(port, tcp(outside, B, 1000, 21, ACK, 2, 101, b"PORT 10,1,1,9,4,1\r\n"));
    assert_eq!(tracker.expectations(None).len(), 1);
    let mut data = tcp(B, outside, 20, 1025, SYN, 5, 0, b"");
    let ct = track(&tracker, &mut data, &Action { nat: Some(NatAction::Existing), ..COMMIT }, 0);
    assert_eq!(ct.state, TRACKED | NEW | RELATED | DST_NAT);
    assert_eq!(data, tcp(B, A, 20, 1025, SYN, 5, 0, b""));
    assert!(tracker.flush(Some(1), &Filter::default(), at(0)));
    assert_eq!((tracker.count(), tracker.expectations(None).len()), (0, 0));
}

#[test]
fn numbers_shift_with_the_length_of_messages() {
    let tracker = tracker();
    let outside = 0xc0a8_6464; // 192.168.100.100, five characters longer
    let nat = Action {
        helper: Some(Helper::Ftp),
        nat: Some(NatAction::New(source_nat(outside, outside, None))),
        ..COMMIT
    };
    let again = Action { nat: Some(NatAction::Existing), ..LOOK };
    let back = |ack| tcp(B, outside, 21, 1000, ACK, 101, ack, b"");
    track(&tracker, &mut tcp(A, B, 1000, 21, SYN, 1, 0, b""), &nat, 0);
    track(&tracker, &mut tcp(B, outside, 21, 1000, SYN | ACK, 100, 2, b""), &again, 0);
    let mut port = tcp(A, B, 1000, 21, ACK, 2, 101, b"PORT 10,1,1,1,4,1\r\n");
    track(&tracker, &mut port, &again, 0);
    assert_eq!(port, tcp(outside, B, 1000, 21, ACK, 2, 101, b"PORT 192,168,100,100,4,1\r\n"));
    let mut answer = back(28);
    assert_eq!(track(&tracker, &mut answer, &again, 0).state, TRACKED | ESTABLISHED | REPLY | DST_NAT);
    assert_eq!(answer, tcp(B, A, 21, 1000, ACK, 101, 21, b""));
    let mut next = tcp(A, B, 1000, 21, ACK, 21, 101, b"LIST\r\n");
    track(&tracker, &mut next, &again, 0);
    assert_eq!(next, tcp(outside, B, 1000, 21, ACK, 28, 101, b"LIST\r\n"));
}

#[test]
fn zones_marks_labels_and_directions_are_as_rules_say() {
    let tracker = tracker();
    let marked = Action { mark: Some((0x12, 0xff)), label: Some((1 << 100, 1 << 100)), ..COMMIT };
    let ct = track(&tracker, &mut udp(A, B, 1, 2, b""), &marked, 0);
    assert_eq!((ct.mark, ct.label, ct.zone), (0x12, 1 << 100, 1));
    let more = Action { mark: Some((0x300, 0xf00)), ..COMMIT };
    assert_eq!(track(&tracker, &mut udp(A, B, 1, 2, b""), &more, 0).mark, 0x312);
    assert_eq!(state(&tracker, udp(A, B, 1, 2, b""), &Action { zone: 2, ..LOOK }, 0), TRACKED | NEW);
    assert_eq!(state(&tracker, udp(B, A, 2, 1, b""), &LOOK, 0), TRACKED | ESTABLISHED | REPLY);
    let forced = Action { force: true, ..COMMIT };
    assert_eq!(state(&tracker, udp(B, A, 2, 1, b""), &forced, 0), TRACKED | NEW);
    assert_eq!(state(&tracker, udp(A, B, 1, 2, b""), &LOOK, 0), TRACKED | ESTABLISHED | REPLY);
    assert_eq!(tracker.count(), 1);
}

#[test]
fn limits_and_policies_hold_and_what_is_over_goes() {
    let tracker = tracker();
    tracker.set_limit(Some(1), 2);
    let packet = |port| udp(A, B, port, 53, b"");
    for port in 1..=3 {
        state(&tracker, packet(port), &COMMIT, 0);
    }
    assert_eq!(tracker.count(), 2);
    assert_eq!(tracker.limits(&[]).last().map(|limit| (limit.limit, limit.count)), Some((2, 2)));
    while !tracker.sweep(at(61)) {}
    assert_eq!((tracker.count(), tracker.limits(&[1])[1].count), (0, 0));
    tracker.set_policy("short", Some(&[(Stage::UdpFirst, 5)]));
    state(&tracker, packet(1), &Action { policy: Some("short"), ..COMMIT }, 61);
    assert_eq!((dump(&tracker, 65).len(), dump(&tracker, 66).len()), (1, 0));
    tracker.set_max(0);
    tracker.remove_limit(Some(1));
    assert_eq!(state(&tracker, packet(9), &COMMIT, 61), TRACKED | NEW);
    assert_eq!(dump(&tracker, 61).len(), 1);
}

#[test]
fn connections_are_flushed_by_what_they_are() {
    let tracker = tracker();
    let fill = || {
        for port in 1..=4 {
            let mark = Action { mark: Some((port.into(), u32::MAX)), ..COMMIT };
            state(&tracker, udp(A, B, port, 53, b""), &mark, 0);
        }
    };
    let flushed = |words: &[&str]| {
        fill();
        let (zone, filter) = crate::parse_filter(words).unwrap();
        let was_there = tracker.flush(zone, &filter, at(0));
        (was_there, tracker.count())
    };
    assert_eq!(flushed(&["zone=2"]), (true, 4));
    assert_eq!(flushed(&["zone=1"]), (true, 0));
    assert_eq!(flushed(&["mark=2"]), (true, 3));
    assert_eq!(flushed(&["mark=0/1"]), (true, 2));
    assert_eq!(flushed(&["ct_nw_src=10.1.1.1,ct_nw_proto=17,ct_tp_src=3"]), (true, 3));
    let exact = "ct_nw_src=10.1.1.1,ct_nw_dst=10.1.1.2,ct_nw_proto=17,ct_tp_src=3,ct_tp_dst=53";
    assert_eq!(flushed(&["zone=1", exact]), (true, 3));
    assert_eq!(flushed(&[exact]), (false, 4), "in zone 0");
    assert_eq!(flushed(&["zone=1", "", "ct_nw_src=10.1.1.2,ct_nw_proto=17,ct_tp_dst=1"]), (true, 3));
    for (words, wrong) in [
        (["zone=x"], "failed to parse zone"),
        (["ct_tp_src=1"], "port is set without protocol"),
        (["foo=1"], "invalid conntrack tuple field: foo"),
        (["ct_nw_src="], "field ct_nw_src missing value"),
    ] {
        assert_eq!(crate::parse_filter(&words), Err(wrong.to_owned()));
    }
}

#[test]
fn a_connection_takes_little_memory() {
    let fixed = size_of::<Option<crate::connection::Connection>>();
    // Tables are at least seven sixteenths full; a place takes 16 bytes and a tag, an alias 24 and a tag.
    let tables = (17 + 25) * 16 / 7;
    assert!(fixed + tables <= 400, "{fixed} + {tables}");
}

#[test]
fn a_packet_that_comes_again_is_counted_once() {
    let tracker = tracker();
    let mut packet = udp(A, B, 1, 2, b"");
    let mut ct = track(&tracker, &mut packet, &COMMIT, 0);
    state(&tracker, reversed(&packet), &LOOK, 0);
    tracker.track(&mut packet, &mut ct, &Action { mark: Some((7, 7)), ..COMMIT }, at(0));
    assert_eq!((ct.state, ct.mark), (TRACKED | NEW, 7), "it stays what it was");
}
