//! Actions from text.

use std::sync::Arc;

use base::{DpPort, MacAddr};
use flow::{FlowKey, SparseKey};

use super::key_parse::KeyParser;
use super::scan::{Result, Scan};
use super::tunnel_parse::{self, number_as_bytes};
use super::{ParseError, PortNames};
use crate::{
    Action, Attr, Conntrack, Cookie, DropReason, HashAlgorithm, Nat, NatKind, NatRange, SampleDirection, Set,
    SlowPath, Userspace,
};

/// How deep lists may stand in each other.
const MAX_DEPTH: u32 = 32;

/// The actions that `text` tells of, separated by commas or white space; `drop` alone is the empty list.
pub fn parse_actions(text: &str, ports: Option<&PortNames>) -> std::result::Result<Vec<Action>, ParseError> {
    if text.eq_ignore_ascii_case("drop") {
        return Ok(vec![]);
    }
    let mut scan = Scan::new(text);
    let mut out = Vec::new();
    loop {
        scan.skip_delimiters();
        if scan.is_end() {
            return Ok(out);
        }
        let before = scan;
        match action(&mut scan, ports, 1) {
            Ok(action) => out.push(action),
            Err(_) => return before.error(),
        }
    }
}

/// Actions up to a closing parenthesis, which is taken too.
fn list(scan: &mut Scan<'_>, ports: Option<&PortNames>, depth: u32) -> Result<Arc<[Action]>> {
    let mut out = Vec::new();
    if depth >= MAX_DEPTH {
        return scan.error();
    }
    loop {
        scan.skip_delimiters();
        if scan.take(")") {
            return Ok(out.into());
        }
        let before = *scan;
        if scan.take("drop") && scan.rest().starts_with(')') {
            continue;
        }
        *scan = before;
        out.push(action(scan, ports, depth)?);
    }
}

fn action(scan: &mut Scan<'_>, ports: Option<&PortNames>, depth: u32) -> Result<Action> {
    let before = *scan;
    if scan.rest().starts_with(|c: char| c.is_ascii_digit())
        && let Ok(port) = scan.u32()
    {
        return Ok(Action::Output(DpPort(port)));
    }
    *scan = before;
    if let Some(port) = ports.and_then(|ports| ports.number(scan.word())) {
        return Ok(Action::Output(port));
    }
    *scan = before;
    let name = scan.span(|c| c.is_ascii_alphanumeric() || c == '_');
    match name {
        "pop_vlan" => return Ok(Action::PopVlan),
        "pop_eth" => return Ok(Action::PopEth),
        "ct_clear" => return Ok(Action::CtClear),
        "drop" => return Ok(Action::Drop(DropReason::Pipeline)),
        "ct" if !scan.rest().starts_with('(') => return Ok(Action::Ct(Box::default())),
        "tnl_push" => {
            *scan = before;
            return tunnel_parse::push(scan).map(|push| Action::TunnelPush(Box::new(push)));
        }
        _ => {}
    }
    scan.expect("(")?;
    let parsed = match name {
        "lb_output" => Action::LbOutput(scan.u32()?),
        "trunc" => Action::Trunc(scan.u32()?),
        "recirc" => Action::Recirc(scan.u32()?),
        "meter" => Action::Meter(scan.u32()?),
        "tnl_pop" => Action::TunnelPop(port(scan, ports)?),
        "pop_nsh" => Action::PopNsh,
        "set" => set(scan, ports)?,
        "push_vlan" => push_vlan(scan)?,
        "push_mpls" | "add_mpls" => push_mpls(scan, name == "add_mpls")?,
        "pop_mpls" => {
            scan.expect("eth_type=")?;
            Action::PopMpls { ether_type: scan.hex(0xffff)? as u16 }
        }
        "push_eth" => push_eth(scan)?,
        "push_nsh" => push_nsh(scan)?,
        "hash" => hash(scan)?,
        "sample" => sample(scan, ports, depth)?,
        "clone" => return list(scan, ports, depth + 1).map(Action::Clone),
        "dec_ttl" => {
            scan.expect("le_1(")?;
            Action::DecTtl(list(scan, ports, depth + 1)?)
        }
        "check_pkt_len" => check_pkt_len(scan, ports, depth)?,
        "ct" => Action::Ct(Box::new(conntrack(scan)?)),
        "userspace" => Action::Userspace(Box::new(userspace(scan, ports)?)),
        "psample" => psample(scan)?,
        _ => return before.error(),
    };
    scan.expect(")")?;
    Ok(parsed)
}

fn port(scan: &mut Scan<'_>, ports: Option<&PortNames>) -> Result<DpPort> {
    let before = *scan;
    if let Ok(number) = scan.u32() {
        return Ok(DpPort(number));
    }
    ports.and_then(|ports| ports.number(scan.word())).map_or_else(|| before.error(), Ok)
}

fn set(scan: &mut Scan<'_>, ports: Option<&PortNames>) -> Result<Action> {
    let mut parser = KeyParser::new(ports);
    parser.attr(scan, 0)?;
    let attr = parser.attr.unwrap_or(Attr::Priority);
    let mut set = Set::new(attr, &parser.key, &parser.mask);
    // What the text says is kept, though only bits of the mask count.
    set.key = SparseKey::from(&parser.key);
    Ok(Action::Set(Box::new(set)))
}

fn push_vlan(scan: &mut Scan<'_>) -> Result<Action> {
    let tpid = if scan.take("tpid=") {
        let tpid = scan.u16()?;
        scan.expect(",")?;
        tpid
    } else {
        0x8100
    };
    scan.expect("vid=")?;
    let vid = scan.number(0xfff)? as u16;
    scan.expect(",pcp=")?;
    let pcp = scan.number(7)? as u16;
    let cfi = if scan.take(",cfi=") { scan.number(1)? as u16 } else { 1 };
    Ok(Action::PushVlan { tpid, tci: vid | pcp << 13 | cfi << 12 })
}

fn push_mpls(scan: &mut Scan<'_>, is_add: bool) -> Result<Action> {
    scan.expect("label=")?;
    let label = scan.number(0xfffff)? as u32;
    scan.expect(",tc=")?;
    let tc = scan.number(7)? as u8;
    scan.expect(",ttl=")?;
    let ttl = scan.u8()?;
    scan.expect(",bos=")?;
    let is_bottom = scan.number(1)? != 0;
    scan.expect(",eth_type=")?;
    let ether_type = scan.hex(0xffff)? as u16;
    let entry = wire::mpls::entry(label, tc, is_bottom, ttl);
    Ok(if is_add {
        Action::AddMpls { entry, ether_type, is_l3: false }
    } else {
        Action::PushMpls { entry, ether_type }
    })
}

fn push_eth(scan: &mut Scan<'_>) -> Result<Action> {
    scan.expect("src=")?;
    let src = MacAddr::from_u64(scan.mac()? as u64);
    scan.expect(",dst=")?;
    let dst = MacAddr::from_u64(scan.mac()? as u64);
    Ok(Action::PushEth { src, dst })
}

fn push_nsh(scan: &mut Scan<'_>) -> Result<Action> {
    let mut key = FlowKey::new();
    key.set_nsh_ttl(63);
    key.set_nsh_mdtype(wire::nsh::MD_TYPE_1);
    key.set_nsh_np(wire::nsh::NEXT_ETHERNET);
    key.set_nsh_si(255);
    let mut metadata = Vec::new();
    while !scan.rest().starts_with(')') {
        if scan.take("flags=") {
            key.set_nsh_flags(scan.u8()?);
        } else if scan.take("ttl=") {
            key.set_nsh_ttl(scan.u8()?);
        } else if scan.take("mdtype=") {
            key.set_nsh_mdtype(scan.u8()?);
            if !matches!(key.nsh_mdtype(), 1 | 2) {
                return scan.error();
            }
        } else if scan.take("np=") {
            key.set_nsh_np(scan.u8()?);
        } else if scan.take("spi=") {
            key.set_nsh_spi(scan.hex(0xff_ffff)? as u32);
        } else if scan.take("si=") {
            key.set_nsh_si(scan.u8()?);
        } else if scan.take("c1=") {
            key.set_nsh_c1(scan.hex(u32::MAX.into())? as u32);
        } else if scan.take("c2=") {
            key.set_nsh_c2(scan.hex(u32::MAX.into())? as u32);
        } else if scan.take("c3=") {
            key.set_nsh_c3(scan.hex(u32::MAX.into())? as u32);
        } else if scan.take("c4=") {
            key.set_nsh_c4(scan.hex(u32::MAX.into())? as u32);
        } else if scan.take("md2=0x") {
            let digits = scan.span(|c| c.is_ascii_hexdigit());
            metadata =
                hex_bytes(digits).filter(|bytes| bytes.len() <= 248).map_or_else(|| scan.error(), Ok)?;
            metadata.resize(metadata.len().next_multiple_of(4), 0);
        } else {
            return scan.error();
        }
        let _ = scan.take(",");
    }
    Ok(Action::PushNsh { key: Box::new(SparseKey::from(&key)), metadata: metadata.into() })
}

fn hex_bytes(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs.remainder().is_empty().then(|| {
        pairs
            .map(|pair| pair.iter().fold(0, |v, &d| v << 4 | (d as char).to_digit(16).unwrap_or(0) as u8))
            .collect()
    })
}

fn hash(scan: &mut Scan<'_>) -> Result<Action> {
    let algorithm = if scan.take("l4(") {
        HashAlgorithm::L4
    } else {
        scan.expect("sym_l4(")?;
        HashAlgorithm::SymL4
    };
    let basis = scan.u32()?;
    scan.expect(")")?;
    Ok(Action::Hash { algorithm, basis })
}

fn sample(scan: &mut Scan<'_>, ports: Option<&PortNames>, depth: u32) -> Result<Action> {
    scan.expect("sample=")?;
    let before = *scan;
    let percent: f64 = scan.span(|c| c.is_ascii_digit() || c == '.').parse().or_else(|_| before.error())?;
    scan.expect("%,actions(")?;
    if !(0.0..=100.0).contains(&percent) {
        return before.error();
    }
    let probability = (f64::from(u32::MAX) * (percent / 100.0) + 0.5).floor() as u32;
    Ok(Action::Sample { probability, actions: list(scan, ports, depth + 1)? })
}

fn check_pkt_len(scan: &mut Scan<'_>, ports: Option<&PortNames>, depth: u32) -> Result<Action> {
    scan.expect("size=")?;
    let size = scan.u16()?;
    scan.expect(",gt(")?;
    let greater = list(scan, ports, depth + 1)?;
    scan.expect(",le(")?;
    let less_equal = list(scan, ports, depth + 1)?;
    Ok(Action::CheckPktLen { size, greater, less_equal })
}

fn psample(scan: &mut Scan<'_>) -> Result<Action> {
    scan.expect("group=")?;
    let group = scan.u32()?;
    let mut cookie = Vec::new();
    if scan.take(",cookie=0x") {
        let digits = scan.span(|c| c.is_ascii_hexdigit());
        cookie = vec![0; digits.len().div_ceil(2).min(16)];
        number_as_bytes(&mut Scan::new(digits), &mut cookie)?;
    }
    Ok(Action::Psample { group, cookie: cookie.into() })
}

fn conntrack(scan: &mut Scan<'_>) -> Result<Conntrack> {
    let mut ct = Conntrack::default();
    loop {
        scan.skip_delimiters();
        if scan.rest().starts_with(')') {
            break;
        }
        if scan.take("commit") {
            ct.commit = true;
        } else if scan.take("force_commit") {
            ct.force = true;
        } else if scan.take("zone=") {
            ct.zone = scan.u16()?;
        } else if scan.take("mark=") {
            let value = scan.hex(u32::MAX.into())? as u32;
            let mask = if scan.take("/") { scan.hex(u32::MAX.into())? as u32 } else { u32::MAX };
            ct.mark = (mask != 0).then_some((value, mask));
        } else if scan.take("label=") {
            let value = scan.number(u128::MAX)?;
            let mask = if scan.take("/") { scan.number(u128::MAX)? } else { u128::MAX };
            ct.label = (mask != 0).then_some((value, mask));
        } else if scan.take("helper=") {
            ct.helper = Some(bounded_word(scan, 15)?);
        } else if scan.take("timeout=") {
            ct.timeout = Some(bounded_word(scan, 31)?);
        } else if scan.take("nat") {
            ct.nat = Some(nat(scan)?);
        } else {
            return scan.error();
        }
    }
    if ct.commit && ct.force { scan.error() } else { Ok(ct) }
}

fn bounded_word(scan: &mut Scan<'_>, max: usize) -> Result<Box<str>> {
    let before = *scan;
    let word = scan.word();
    if word.is_empty() || word.len() > max { before.error() } else { Ok(word.into()) }
}

fn nat(scan: &mut Scan<'_>) -> Result<Nat> {
    let mut nat = Nat::default();
    if !scan.take("(") {
        return Ok(nat);
    }
    loop {
        scan.skip_delimiters();
        if scan.take(")") {
            break;
        }
        let kind = if scan.take("src") {
            Some(NatKind::Source)
        } else if scan.take("dst") {
            Some(NatKind::Destination)
        } else {
            None
        };
        if let Some(kind) = kind {
            if nat.kind.is_some() {
                return scan.error();
            }
            nat.kind = Some(kind);
            if scan.take("=") {
                nat_range(scan, &mut nat)?;
            }
        } else if scan.take("persistent") {
            nat.persistent = true;
        } else if scan.take("hash") {
            nat.hash = true;
        } else if scan.take("random") {
            nat.random = true;
        } else {
            return scan.error();
        }
    }
    if nat.hash && nat.random { scan.error() } else { Ok(nat) }
}

fn nat_range(scan: &mut Scan<'_>, nat: &mut Nat) -> Result<()> {
    let before = *scan;
    let is_v4 = scan.span(|c| c.is_ascii_hexdigit()).len() < 4 && scan.rest().starts_with('.');
    *scan = before;
    if is_v4 {
        let first = scan.ip4()? as u32;
        let last = if scan.take("-") { scan.ip4()? as u32 } else { 0 };
        if last != 0 && last < first {
            return before.error();
        }
        nat.range = Some(NatRange::V4(first, last));
    } else {
        let address = |scan: &mut Scan<'_>| {
            let is_bracketed = scan.take("[");
            let address = scan.ip6()?;
            if is_bracketed {
                scan.expect("]")?;
            }
            Ok(address)
        };
        let first = address(scan)?;
        let last = if scan.take("-") { address(scan)? } else { 0 };
        if last != 0 && last < first {
            return before.error();
        }
        nat.range = Some(NatRange::V6(first, last));
    }
    if scan.take(":") {
        nat.ports.0 = scan.u16()?;
        if scan.take("-") {
            nat.ports.1 = scan.u16()?;
        }
        if nat.ports.1 != 0 && nat.ports.1 < nat.ports.0 {
            return before.error();
        }
    }
    Ok(())
}

fn userspace(scan: &mut Scan<'_>, ports: Option<&PortNames>) -> Result<Userspace> {
    scan.expect("pid=")?;
    let mut up = Userspace::new(Cookie::None);
    up.pid = scan.u32()?;
    up.cookie = cookie(scan, ports)?;
    up.include_actions = scan.take(",actions");
    if scan.take(",tunnel_out_port=") {
        up.tunnel_out_port = Some(port(scan, ports)?);
    }
    Ok(up)
}

fn cookie(scan: &mut Scan<'_>, ports: Option<&PortNames>) -> Result<Cookie> {
    let cookie = if scan.take(",sFlow(vid=") {
        let vid = scan.number(0xfff)? as u16;
        scan.expect(",pcp=")?;
        let mut tci = vid | (scan.number(7)? as u16) << 13;
        if tci != 0 {
            tci |= flow::VLAN_CFI;
        }
        scan.expect(",output=")?;
        Cookie::Sflow { vlan_tci: tci, output: scan.u32()? }
    } else if scan.take(",slow_path(") {
        Cookie::SlowPath(SlowPath(scan.flags(&SlowPath::NAMES, 0x7f)?.0))
    } else if scan.take(",flow_sample(probability=") {
        flow_sample(scan, ports)?
    } else if scan.take(",ipfix(output_port=") {
        Cookie::Ipfix { output_port: port(scan, ports)?, is_forwarded: false }
    } else if scan.take(",controller(reason=") {
        controller(scan)?
    } else if scan.take(",userdata(") {
        let digits = scan.span(|c| c.is_ascii_hexdigit());
        Cookie::Raw(hex_bytes(digits).map_or_else(|| scan.error(), Ok)?.into())
    } else {
        return Ok(Cookie::None);
    };
    scan.expect(")")?;
    Ok(cookie)
}

fn flow_sample(scan: &mut Scan<'_>, ports: Option<&PortNames>) -> Result<Cookie> {
    let probability = scan.u16()?;
    scan.expect(",collector_set_id=")?;
    let collector_set_id = scan.u32()?;
    scan.expect(",obs_domain_id=")?;
    let obs_domain_id = scan.u32()?;
    scan.expect(",obs_point_id=")?;
    let obs_point_id = scan.u32()?;
    scan.expect(",output_port=")?;
    let output_port = port(scan, ports)?;
    let direction = if scan.take(",ingress") {
        SampleDirection::Ingress
    } else if scan.take(",egress") {
        SampleDirection::Egress
    } else {
        SampleDirection::Default
    };
    Ok(Cookie::FlowSample {
        probability,
        collector_set_id,
        obs_domain_id,
        obs_point_id,
        output_port,
        direction,
        is_forwarded: false,
    })
}

fn controller(scan: &mut Scan<'_>) -> Result<Cookie> {
    let reason = scan.u16()?;
    scan.expect(",dont_send=")?;
    let dont_send = scan.u8()? != 0;
    scan.expect(",continuation=")?;
    let continuation = scan.u8()? != 0;
    scan.expect(",recirc_id=")?;
    let recirc_id = scan.u32()?;
    scan.expect(",rule_cookie=")?;
    let rule_cookie = scan.hex(u64::MAX.into())? as u64;
    scan.expect(",controller_id=")?;
    let controller_id = scan.u16()?;
    scan.expect(",max_len=")?;
    let max_len = scan.u16()?;
    Ok(Cookie::Controller { reason, dont_send, continuation, recirc_id, rule_cookie, controller_id, max_len })
}
