//! Actions to text.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use base::DpPort;
use flow::{FlowKey, FlowMask, slot};

use super::PortNames;
use super::key_format::{format_attr, label_entry, nsh, port_name, vlan_tci};
use super::tunnel_format::{self, bytes_as_number};
use super::values::{chomp, flags, hex, ip6};
use crate::{
    Action, Attr, Conntrack, Cookie, HashAlgorithm, Nat, NatKind, NatRange, SampleDirection, Set, SlowPath,
    Userspace,
};

/// The text of a list of actions; `drop` for the empty one.
pub fn format_actions(actions: &[Action], ports: Option<&PortNames>) -> String {
    let mut out = String::new();
    list(&mut out, actions, ports);
    out
}

fn list(out: &mut String, actions: &[Action], ports: Option<&PortNames>) {
    if actions.is_empty() {
        out.push_str("drop");
    }
    for (index, one) in actions.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        action(out, one, ports);
    }
}

// house: long because it is the one list of actions, an arm each.
fn action(out: &mut String, action: &Action, ports: Option<&PortNames>) {
    let _ = match action {
        Action::Output(port) => {
            port_name(out, *port, ports);
            Ok(())
        }
        Action::LbOutput(bond) => write!(out, "lb_output({bond})"),
        Action::Trunc(max) => write!(out, "trunc({max})"),
        Action::Userspace(up) => {
            userspace(out, up, ports);
            Ok(())
        }
        Action::Set(set) => {
            set_text(out, set, ports);
            Ok(())
        }
        Action::PushVlan { tpid, tci } => {
            out.push_str("push_vlan(");
            if *tpid != 0x8100 {
                let _ = write!(out, "tpid={tpid:#06x},");
            }
            vlan_tci(out, *tci, u16::MAX, false);
            out.push(')');
            Ok(())
        }
        Action::PopVlan => write!(out, "pop_vlan"),
        Action::PushMpls { entry, ether_type } => {
            out.push_str("push_mpls(");
            label_entry(out, *entry);
            write!(out, ",eth_type=0x{ether_type:x})")
        }
        Action::AddMpls { entry, ether_type, .. } => {
            out.push_str("add_mpls(");
            label_entry(out, *entry);
            write!(out, ",eth_type=0x{ether_type:x})")
        }
        Action::PopMpls { ether_type } => write!(out, "pop_mpls(eth_type=0x{ether_type:x})"),
        Action::PushEth { src, dst } => write!(out, "push_eth(src={src},dst={dst})"),
        Action::PopEth => write!(out, "pop_eth"),
        Action::PushNsh { key, metadata } => {
            push_nsh(out, &FlowKey::from(&**key), metadata);
            Ok(())
        }
        Action::PopNsh => write!(out, "pop_nsh()"),
        Action::Recirc(id) => write!(out, "recirc({})", hex(u128::from(*id))),
        Action::Hash { algorithm, basis } => match algorithm {
            HashAlgorithm::L4 => write!(out, "hash(l4({basis}))"),
            HashAlgorithm::SymL4 => write!(out, "hash(sym_l4({basis}))"),
        },
        Action::Sample { probability, actions } => {
            let percent = 100.0 * f64::from(*probability) / f64::from(u32::MAX);
            let _ = write!(out, "sample(sample={percent:.1}%,actions(");
            list(out, actions, ports);
            write!(out, "))")
        }
        Action::Clone(actions) => {
            out.push_str("clone(");
            list(out, actions, ports);
            write!(out, ")")
        }
        Action::CheckPktLen { size, greater, less_equal } => {
            let _ = write!(out, "check_pkt_len(size={size},gt(");
            list(out, greater, ports);
            out.push_str("),le(");
            list(out, less_equal, ports);
            write!(out, "))")
        }
        Action::Ct(ct) => {
            conntrack(out, ct);
            Ok(())
        }
        Action::CtClear => write!(out, "ct_clear"),
        Action::Meter(meter) => write!(out, "meter({meter})"),
        Action::TunnelPush(push) => {
            tunnel_format::push(out, push, ports);
            Ok(())
        }
        Action::TunnelPop(port) => {
            out.push_str("tnl_pop(");
            port_name(out, *port, ports);
            write!(out, ")")
        }
        Action::DecTtl(actions) => {
            out.push_str("dec_ttl(le_1(");
            list(out, actions, ports);
            write!(out, "))")
        }
        Action::Psample { group, cookie } => {
            let _ = write!(out, "psample(group={group}");
            if !cookie.is_empty() {
                out.push_str(",cookie=");
                bytes_as_number(out, cookie);
            }
            write!(out, ")")
        }
        Action::Drop(_) => write!(out, "drop"),
    };
}

fn set_text(out: &mut String, set: &Set, ports: Option<&PortNames>) {
    let key = FlowKey::from(&set.key);
    let mask = FlowMask::from(&set.mask);
    let is_whole = set.is_whole();
    out.push_str("set(");
    if set.attr == Attr::Nsh {
        out.push_str("nsh(");
        nsh(out, &key, Some(&mask));
        out.push(')');
    } else {
        out.push_str(&format_attr(set.attr, &key, (!is_whole).then_some(&mask), is_whole, ports));
    }
    out.push(')');
}

fn push_nsh(out: &mut String, key: &FlowKey, metadata: &[u8]) {
    let _ = write!(
        out,
        "push_nsh(flags={},ttl={},mdtype={},np={},spi=0x{:x},si={}",
        key.nsh_flags(),
        key.nsh_ttl(),
        key.nsh_mdtype(),
        key.nsh_np(),
        key.nsh_spi(),
        key.nsh_si()
    );
    match key.nsh_mdtype() {
        1 => {
            for (name, place) in
                [("c1", slot::NSH_C1), ("c2", slot::NSH_C2), ("c3", slot::NSH_C3), ("c4", slot::NSH_C4)]
            {
                let _ = write!(out, ",{name}=0x{:x}", key.read(place));
            }
        }
        2 => {
            out.push_str(",md2=");
            bytes_as_number(out, metadata);
        }
        _ => out.push_str(",<error: unknown mdtype>"),
    }
    out.push(')');
}

fn userspace(out: &mut String, up: &Userspace, ports: Option<&PortNames>) {
    let _ = write!(out, "userspace(pid={}", up.pid);
    cookie(out, &up.cookie, ports);
    if up.include_actions {
        out.push_str(",actions");
    }
    if let Some(port) = up.tunnel_out_port {
        out.push_str(",tunnel_out_port=");
        port_name(out, port, ports);
    }
    out.push(')');
}

fn cookie(out: &mut String, cookie: &Cookie, ports: Option<&PortNames>) {
    let output = |out: &mut String, port: DpPort| port_name(out, port, ports);
    match cookie {
        Cookie::None => {}
        Cookie::Sflow { vlan_tci, output } => {
            let _ = write!(out, ",sFlow(vid={},pcp={},output={output})", vlan_tci & 0xfff, vlan_tci >> 13);
        }
        Cookie::SlowPath(SlowPath(reasons)) => {
            out.push_str(",slow_path(");
            flags(out, &SlowPath::NAMES, *reasons, ',');
            out.push(')');
        }
        Cookie::FlowSample {
            probability,
            collector_set_id,
            obs_domain_id,
            obs_point_id,
            output_port,
            direction,
            is_forwarded: _,
        } => {
            let _ = write!(
                out,
                ",flow_sample(probability={probability},collector_set_id={collector_set_id},\
                 obs_domain_id={obs_domain_id},obs_point_id={obs_point_id},output_port="
            );
            output(out, *output_port);
            out.push_str(match direction {
                SampleDirection::Default => ")",
                SampleDirection::Ingress => ",ingress)",
                SampleDirection::Egress => ",egress)",
            });
        }
        Cookie::Ipfix { output_port, is_forwarded: _ } => {
            out.push_str(",ipfix(output_port=");
            output(out, *output_port);
            out.push(')');
        }
        Cookie::Controller {
            reason,
            dont_send,
            continuation,
            recirc_id,
            rule_cookie,
            controller_id,
            max_len,
        } => {
            let _ = write!(
                out,
                ",controller(reason={reason},dont_send={},continuation={},recirc_id={recirc_id},\
                 rule_cookie={},controller_id={controller_id},max_len={max_len})",
                u8::from(*dont_send),
                u8::from(*continuation),
                hex(u128::from(*rule_cookie))
            );
        }
        Cookie::Raw(bytes) => {
            out.push_str(",userdata(");
            for b in bytes {
                let _ = write!(out, "{b:02x}");
            }
            out.push(')');
        }
    }
}

fn conntrack(out: &mut String, ct: &Conntrack) {
    out.push_str("ct");
    if *ct == Conntrack::default() {
        return;
    }
    out.push('(');
    if ct.commit {
        out.push_str("commit,");
    }
    if ct.force {
        out.push_str("force_commit,");
    }
    if ct.zone != 0 {
        let _ = write!(out, "zone={},", ct.zone);
    }
    if let Some((value, mask)) = ct.mark {
        let _ = write!(out, "mark={}/{},", hex(value.into()), hex(mask.into()));
    }
    if let Some((value, mask)) = ct.label {
        out.push_str("label=");
        out.push_str(&hex(value));
        if mask != u128::MAX {
            let _ = write!(out, "/{}", hex(mask));
        }
        out.push(',');
    }
    if let Some(helper) = &ct.helper {
        let _ = write!(out, "helper={helper},");
    }
    if let Some(timeout) = &ct.timeout {
        let _ = write!(out, "timeout={timeout},");
    }
    if let Some(nat) = &ct.nat {
        nat_text(out, nat);
    }
    chomp(out);
    out.push(')');
}

fn nat_text(out: &mut String, nat: &Nat) {
    out.push_str("nat");
    let Some(kind) = nat.kind else { return };
    out.push_str(match kind {
        NatKind::Source => "(src",
        NatKind::Destination => "(dst",
    });
    let (port, last_port) = nat.ports;
    let bracket = |address: u128| if port != 0 { format!("[{}]", ip6(address)) } else { ip6(address) };
    match nat.range {
        None => {}
        Some(NatRange::V4(first, last)) => {
            let _ = write!(out, "={}", Ipv4Addr::from(first));
            if last != 0 && last != first {
                let _ = write!(out, "-{}", Ipv4Addr::from(last));
            }
        }
        Some(NatRange::V6(first, last)) => {
            let _ = write!(out, "={}", bracket(first));
            if last != 0 && last != first {
                let _ = write!(out, "-{}", bracket(last));
            }
        }
    }
    if nat.range.is_some() && port != 0 {
        let _ = write!(out, ":{port}");
        if last_port != 0 && last_port != port {
            let _ = write!(out, "-{last_port}");
        }
    }
    out.push(',');
    for (is_set, name) in [(nat.persistent, "persistent,"), (nat.hash, "hash,"), (nat.random, "random,")] {
        if is_set {
            out.push_str(name);
        }
    }
    chomp(out);
    out.push(')');
}
