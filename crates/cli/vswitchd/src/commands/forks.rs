//! What a trace says between two passes of a packet: that connection tracking has it, and what came of it.

use std::collections::VecDeque;
use std::fmt::Write;
use std::net::Ipv4Addr;

use fields::text::{CT_STATES, put_flags, put_ipv6};
use flow::{FlowKey, ct_state};
use ofp::{Nat, NatRange};
use pipeline::Fork;

/// How often packets of one trace come back.
pub(super) const LIMIT: usize = 4096;

const RULER: &str = "===============================================================================";

/// Reads the argument of `--ct-next`: names of bits of `ct_state`, with commas or blanks between them.
pub(super) fn parse_state(text: &str) -> Result<u32, String> {
    let mut state = 0;
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        let known = CT_STATES.iter().find(|(_, name)| *name == word);
        let (bit, _) = known.ok_or_else(|| format!("{word}: unknown connection tracking state flag"))?;
        state |= bit;
    }
    let faults = contradictions(state);
    if faults.is_empty() { Ok(state) } else { Err(faults) }
}

/// Why no packet is in `state`: a line for each reason.
fn contradictions(state: u32) -> String {
    use ct_state::{ESTABLISHED, INVALID, NEW, REPLY, TRACKED};
    let has = |bits: u32| state & bits == bits;
    let mut out = String::new();
    let mut refuse = |is_wrong: bool, why: &str| {
        if is_wrong {
            let _ = writeln!(out, "{}: invalid connection state: {why}", states(state));
        }
    };
    refuse(state != 0 && !has(TRACKED), "If \"trk\" is unset, no other flags are set");
    refuse(
        has(INVALID) && state & !(TRACKED | INVALID) != 0,
        "when \"inv\" is set, only \"trk\" may also be set",
    );
    refuse(has(NEW | ESTABLISHED), "\"new\" and \"est\" are mutually exclusive");
    refuse(has(NEW | REPLY), "\"new\" and \"rpy\" are mutually exclusive");
    out
}

fn states(state: u32) -> String {
    let mut out = String::new();
    put_flags(&mut out, CT_STATES, state, '|');
    out
}

/// The packet as it comes back: in the next of `states`, or as the first one of a connection. Appends what says so.
pub(super) fn go_on(fork: Fork, states_to_come: &mut VecDeque<u32>, out: &mut String) -> FlowKey {
    let mut key = fork.key;
    let _ = write!(out, "\n\n{RULER}\nrecirc({:#x})", key.recirc_id());
    let state = match states_to_come.pop_front() {
        Some(state) => {
            let _ = writeln!(out, " - resume conntrack with ct_state={}", states(state));
            state
        }
        None => {
            out.push_str(" - resume conntrack with default ct_state=trk|new (use --ct-next to customize)\n");
            ct_state::TRACKED | ct_state::NEW
        }
    };
    key.set_ct_state(state);
    if let Some(nat) = &fork.nat {
        out.push_str("Replacing src/dst IP/ports to simulate NAT:\n Initial flow: ");
        put_addresses(out, &key, nat.range);
        translate(&mut key, nat);
        out.push_str(" Modified flow: ");
        put_addresses(out, &key, nat.range);
    }
    let _ = write!(out, "{RULER}\n\n");
    key
}

/// Gives the packet the first address and port of those that it may be given.
fn translate(key: &mut FlowKey, nat: &Nat) {
    match nat.range {
        NatRange::None => {}
        NatRange::V4 { min, .. } if nat.source => key.set_nw_src(min.into()),
        NatRange::V4 { min, .. } if nat.destination => key.set_nw_dst(min.into()),
        NatRange::V6 { min, .. } if nat.source => key.set_ipv6_src(min.into()),
        NatRange::V6 { min, .. } if nat.destination => key.set_ipv6_dst(min.into()),
        NatRange::V4 { .. } | NatRange::V6 { .. } => {}
    }
    let port = nat.min_port.filter(|_| nat.range != NatRange::None);
    match port {
        Some(port) if nat.source => key.set_tp_src(port),
        Some(port) if nat.destination => key.set_tp_dst(port),
        Some(_) | None => {}
    }
}

fn put_addresses(out: &mut String, key: &FlowKey, range: NatRange) {
    let (source, destination) = (key.tp_src(), key.tp_dst());
    let _ = match range {
        NatRange::None => Ok(()),
        NatRange::V4 { .. } => {
            let (src, dst) = (Ipv4Addr::from(key.nw_src()), Ipv4Addr::from(key.nw_dst()));
            write!(out, "nw_src={src},tp_src={source},nw_dst={dst},tp_dst={destination}")
        }
        NatRange::V6 { .. } => {
            let text = |address: u128| {
                let mut text = String::new();
                put_ipv6(&mut text, address);
                text
            };
            let (src, dst) = (text(key.ipv6_src()), text(key.ipv6_dst()));
            write!(out, "ipv6_src=[{src}],tp_src={source},ipv6_dst=[{dst}],tp_dst={destination}")
        }
    };
    out.push('\n');
}

/// That packets came back too often; `waiting` of them were not followed.
pub(super) fn too_many(waiting: usize) -> String {
    format!(
        "\n\n{RULER}\nTrace reached the recirculation limit.  Sopping the trace here.\n\
         Queued but not processed: {waiting} recirculations."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_by_name() {
        assert_eq!(parse_state("trk,new"), Ok(ct_state::TRACKED | ct_state::NEW));
        assert_eq!(
            parse_state("trk, est rpl"),
            Ok(ct_state::TRACKED | ct_state::ESTABLISHED | ct_state::REPLY)
        );
        assert_eq!(parse_state(""), Ok(0));
    }

    #[test]
    fn states_that_no_packet_has_are_refused() {
        assert_eq!(parse_state("trk,old"), Err("old: unknown connection tracking state flag".to_owned()));
        for (text, why) in [
            ("new", "new: invalid connection state: If \"trk\" is unset, no other flags are set\n"),
            (
                "trk,inv,est",
                "est|inv|trk: invalid connection state: when \"inv\" is set, only \"trk\" may also be set\n",
            ),
            (
                "trk,new,est",
                "new|est|trk: invalid connection state: \"new\" and \"est\" are mutually exclusive\n",
            ),
            (
                "trk,new,rpl",
                "new|rpl|trk: invalid connection state: \"new\" and \"rpy\" are mutually exclusive\n",
            ),
        ] {
            assert_eq!(parse_state(text), Err(why.to_owned()));
        }
    }
}
