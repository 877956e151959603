//! Random connections, with losses, repetitions and translation.

use proptest::prelude::*;
use wire::bytes::be32;
use wire::tcp::{ACK, FIN, RST, SYN};

use super::literal::{Expected, Literal, Sent};
use super::packets::{A, B, Bytes, tcp, udp};
use super::*;
use crate::state::State;
use crate::tcp::TcpState;

/// Two hosts that speak TCP: what they send, each segment once, or twice where the first one is lost behind the tracker. One that is
/// lost before it is as one that was never sent: the other host does not hear of it, and its bytes come again.
fn conversation() -> impl Strategy<Value = Vec<Sent>> {
    let step = (any::<bool>(), 0u64..900, 0u8..12, any::<bool>());
    prop::collection::vec(step, 0..40).prop_map(|steps| {
        let syn =
            |is_reply, flags, acknowledgment| Sent { is_reply, flags, sequence: 0, acknowledgment, len: 0 };
        let mut all = vec![syn(false, SYN, 0), syn(true, SYN | ACK, 1)];
        // Behind the last byte that each has sent, and that the other has said to have.
        let (mut ends, mut heard, mut is_closed) = ([1u64, 1], [1u64, 1], [false, false]);
        all.push(Sent { is_reply: false, flags: ACK, sequence: 1, acknowledgment: 1, len: 0 });
        for (is_reply, len, kind, twice) in steps {
            let (me, other) = (usize::from(is_reply), usize::from(!is_reply));
            // The window of these hosts is 1024 bytes, and they keep to it.
            let room = 1024 - (ends[me] - heard[me]).min(1024);
            let len = if is_closed[me] { 0 } else { len.min(room) };
            let ends_here = kind == 0 && !is_closed[me] && len < room;
            let flags = ACK | if ends_here { FIN } else { 0 };
            let sent = Sent { is_reply, flags, sequence: ends[me], acknowledgment: ends[other], len };
            heard[other] = ends[other];
            ends[me] += len + u64::from(ends_here);
            is_closed[me] |= ends_here;
            all.extend(std::iter::repeat_n(sent, 1 + usize::from(twice)));
        }
        all
    })
}

fn packet(sent: &Sent, first: [u32; 2], outside: u32) -> Bytes {
    let (me, other) = (usize::from(sent.is_reply), usize::from(!sent.is_reply));
    let number = |base: u32, at: u64| base.wrapping_add(at as u32);
    let ack = if sent.flags & ACK == 0 { 0 } else { number(first[other], sent.acknowledgment) };
    let sequence = number(first[me], sent.sequence);
    let text = vec![7; sent.len as usize];
    if sent.is_reply {
        tcp(B, outside, 80, 1000, sent.flags, sequence, ack, &text)
    } else {
        tcp(A, B, 1000, 80, sent.flags, sequence, ack, &text)
    }
}

proptest! {
    /// What hosts send that keep to the standard is valid, whatever is lost or repeated behind the handshake, wherever numbers
    /// begin, with and without translation; and the end is noticed.
    #[test]
    fn what_proper_hosts_send_is_valid(sent in conversation(), first: [u32; 2], translates: bool) {
        let tracker = tracker();
        let outside = if translates { 0x0a01_01f0 } else { A };
        let nat = translates.then(|| NatAction::New(source_nat(outside, outside, None)));
        let commit = Action { nat, ..COMMIT };
        let look = Action { nat: nat.map(|_| NatAction::Existing), ..LOOK };
        let mut literal = Literal::default();
        for one in &sent {
            let mut bytes = packet(one, first, outside);
            let before = bytes.clone();
            let ct = track(&tracker, &mut bytes, if one.is_reply { &look } else { &commit }, 0);
            let state = ct.state & !(SRC_NAT | DST_NAT);
            let direction = if one.is_reply { REPLY } else { 0 };
            match literal.see(one) {
                Expected::New => prop_assert_eq!(state, TRACKED | NEW),
                Expected::Established => prop_assert_eq!(state, TRACKED | ESTABLISHED | direction, "{:?}", one),
            }
            // Translated or not, the packet is as whole as before.
            let (place, inside) = if one.is_reply { (16, A) } else { (12, outside) };
            prop_assert_eq!(be32(&bytes.0, place), if translates { inside } else { be32(&before.0, place) });
            prop_assert!(crate::datagram::Seen::read(&bytes, 0).is_some(), "its checksums are right");
        }
        let mut states = Vec::new();
        tracker.visit(None, at(0), |entry| states.push(entry.state));
        let [State::Tcp(tcp)] = states[..] else { panic!("one connection: {states:?}") };
        if literal.is_open() && !literal.is_over() {
            prop_assert!(tcp.original.state >= TcpState::Established && tcp.reply.state >= TcpState::Established);
        }
        if literal.is_over() {
            prop_assert!(tcp.original.state >= TcpState::Closing && tcp.reply.state >= TcpState::Closing);
        }
    }

    /// A third party that does not see the connection and guesses numbers far from the windows changes nothing.
    #[test]
    fn what_is_far_outside_of_the_windows_is_invalid(sent in conversation(), first: [u32; 2], far in 70_000_000u32..2_000_000_000, resets: bool) {
        let tracker = tracker();
        for one in &sent {
            track(&tracker, &mut packet(one, first, A), &COMMIT, 0);
        }
        let mut before = dump(&tracker, 0);
        let is_over = before.iter().any(|line| line.contains("TIME_WAIT"));
        let flags = if resets { RST | ACK } else { ACK };
        let forged = tcp(A, B, 1000, 80, flags, first[0].wrapping_add(far), first[1], b"x");
        prop_assert_eq!(state(&tracker, forged, &LOOK, 0), TRACKED | INVALID);
        if !is_over {
            let after = dump(&tracker, 0);
            prop_assert_eq!(std::mem::take(&mut before), after);
        }
    }

    /// Of any bytes, none panic, and what is invalid leaves nothing behind.
    #[test]
    fn any_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..120), header: bool, commit: bool, nat: bool) {
        let mut bytes = Bytes(bytes);
        if header && bytes.0.len() > 20 {
            // As far as to the header behind IP.
            bytes.0[0] = 0x45;
            bytes.0[2..4].copy_from_slice(&120u16.to_be_bytes());
            let len = bytes.0.len() as u16;
            bytes.0[2..4].copy_from_slice(&len.to_be_bytes());
            bytes.0[6..8].copy_from_slice(&[0, 0]);
            bytes.0[9] = [1, 6, 17, 132, 58][usize::from(bytes.0[9]) % 5];
            wire::ipv4::write_checksum(&mut bytes.0);
        }
        let tracker = tracker();
        let nat = nat.then(|| NatAction::New(source_nat(1, 9, Some((7, 9)))));
        let action = Action { commit, nat, helper: Some(Helper::Ftp), ..COMMIT };
        let mut ct = Metadata::default();
        tracker.track(&mut bytes, &mut ct, &action, at(0));
        if ct.state & INVALID != 0 {
            prop_assert_eq!(tracker.count(), 0);
        }
    }

    /// Every connection that is translated has replies of its own, and these find it.
    #[test]
    fn translated_connections_do_not_meet(hosts in prop::collection::btree_set((0u32..6, 1u16..40), 1..60), ports in prop::option::of((1u16..60, 0u16..30))) {
        let tracker = tracker();
        let ports = ports.map(|(first, more)| (first, first + more));
        let nat = Action { nat: Some(NatAction::New(source_nat(0x0a01_01f0, 0x0a01_01f1, ports))), ..COMMIT };
        let mut seen = std::collections::BTreeSet::new();
        for (host, port) in hosts {
            let mut packet = udp(A + host * 256, B, port, 53, b"");
            let ct = track(&tracker, &mut packet, &nat, 0);
            if ct.state & SRC_NAT == 0 {
                continue;
            }
            prop_assert!(seen.insert((be32(&packet.0, 12), be32(&packet.0, 20))), "two are the same outside");
            let mut back = reversed(&packet);
            let ct = track(&tracker, &mut back, &Action { nat: Some(NatAction::Existing), ..LOOK }, 0);
            prop_assert_eq!(ct.state, TRACKED | ESTABLISHED | REPLY | DST_NAT);
            prop_assert_eq!(back, udp(B, A + host * 256, 53, port, b""));
        }
    }
}
