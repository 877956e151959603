//! The options of tunnels, as the database has them, to what translation reads. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dp::TunnelKind;
use pipeline::tunnel::{
    Checksum, DEFAULT_TTL, Endpoint, Erspan, FlowLabel, Key, PacketTypes, TunnelConfig, mapped, shown,
};
use wire::{geneve, gtpu, vxlan};

/// What an interface's options say, and what of them is wrong but costs nothing else.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Parsed {
    /// The error is worded for the interface's `error` column.
    pub config: Result<TunnelConfig, String>,
    pub warnings: Vec<String>,
}

/// Keys that the reference's other programs read.
fn is_of_others(key: &str) -> bool {
    matches!(key, "remote_cert" | "remote_name" | "psk") || key.starts_with("ipsec_")
}

/// Reads the options of a tunnel of this name.
pub(crate) fn parse(name: &str, kind: TunnelKind, options: &BTreeMap<String, String>) -> Parsed {
    let mut reader = Reader { name, kind, config: TunnelConfig::new(kind), errors: Vec::new() };
    match reader.read(options) {
        Ok(()) => Parsed { config: Ok(reader.config), warnings: reader.errors },
        Err(fatal) => {
            let mut errors = reader.errors;
            errors.push(fatal);
            Parsed { config: Err(errors.join("\n")), warnings: Vec::new() }
        }
    }
}

struct Reader<'a> {
    name: &'a str,
    kind: TunnelKind,
    config: TunnelConfig,
    errors: Vec<String>,
}

/// Whether the kind has a checksum that can be chosen.
fn has_checksum(kind: TunnelKind) -> bool {
    is_gre(kind) || matches!(kind, TunnelKind::Geneve | TunnelKind::Vxlan)
}

fn is_gre(kind: TunnelKind) -> bool {
    matches!(kind, TunnelKind::Gre | TunnelKind::Ip6Gre)
}

fn has_port(kind: TunnelKind) -> bool {
    default_port(kind).is_some()
}

/// The UDP port where nothing else is said; `None` for kinds without one.
fn default_port(kind: TunnelKind) -> Option<u16> {
    match kind {
        TunnelKind::Geneve => Some(geneve::PORT),
        TunnelKind::Vxlan => Some(vxlan::PORT),
        TunnelKind::Gtpu => Some(gtpu::PORT),
        TunnelKind::Bareudp => Some(0),
        TunnelKind::Gre
        | TunnelKind::Ip6Gre
        | TunnelKind::Erspan
        | TunnelKind::Ip6Erspan
        | TunnelKind::Srv6
        | TunnelKind::Lisp
        | TunnelKind::Stt => None,
    }
}

/// The number that a text begins with; 0 for none.
fn leading(text: &str) -> i64 {
    let text = text.trim_start();
    let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let number: i64 = digits[..end].parse().unwrap_or(0);
    if is_negative { -number } else { number }
}

/// A whole number as C writes it: hexadecimal with 0x, octal with 0.
fn c_number(text: &str) -> Option<u64> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(hex, 16).ok();
    }
    match text.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => u64::from_str_radix(octal, 8).ok(),
        Some(_) | None => text.parse().ok(),
    }
}

impl Reader<'_> {
    fn read(&mut self, options: &BTreeMap<String, String>) -> Result<(), String> {
        let (name, kind) = (self.name, self.kind);
        self.config.port = default_port(kind).unwrap_or(0);
        for (key, value) in options {
            self.option(key, value)?;
        }
        if self.config.checksum == Checksum::Default && (!has_checksum(kind) || is_gre(kind)) {
            self.config.checksum = Checksum::DefaultNone;
        }
        self.packet_types(options.get("packet_type").map(String::as_str))?;
        let config = &mut self.config;
        if config.remote == Endpoint::Any {
            return Err(format!("{name}: {kind} type requires valid 'remote_ip' argument"));
        }
        if config.local == Endpoint::Flow && config.remote != Endpoint::Flow {
            return Err(format!("{name}: {kind} type requires 'remote_ip=flow' with 'local_ip=flow'"));
        }
        if let (Endpoint::Is(remote), Endpoint::Is(local)) = (config.remote, config.local)
            && (remote >> 32 == 0xffff) != (local >> 32 == 0xffff)
        {
            return Err(format!("{name}: 'remote_ip' and 'local_ip' has to be of the same address family"));
        }
        if config.ttl == Some(0) {
            config.ttl = Some(DEFAULT_TTL);
        }
        config.in_key = number(options, "in_key");
        config.out_key = number(options, "out_key");
        Ok(())
    }

    fn option(&mut self, key: &str, value: &str) -> Result<(), String> {
        let (name, kind) = (self.name, self.kind);
        let config = &mut self.config;
        match key {
            "remote_ip" => match endpoint(value) {
                Some(Endpoint::Is(address)) if is_multicast(address) => {
                    return Err(format!("{name}: multicast remote_ip={value} not allowed"));
                }
                Some(end) => config.remote = end,
                None => self.errors.push(format!("{name}: bad {kind} 'remote_ip'")),
            },
            "local_ip" => match endpoint(value) {
                Some(end) => config.local = end,
                None => self.errors.push(format!("{name}: bad {kind} 'local_ip'")),
            },
            "tos" if value == "inherit" => config.tos = None,
            "tos" => match c_number(value).and_then(|tos| u8::try_from(tos).ok()) {
                Some(tos) if tos & 0x03 == 0 => config.tos = Some(tos),
                Some(_) | None => self.errors.push(format!("{name}: invalid TOS {value}")),
            },
            "ttl" if value == "inherit" => config.ttl = None,
            "ttl" => config.ttl = Some(leading(value) as u8),
            "dst_port" if has_port(kind) => config.port = leading(value) as u16,
            "csum" if has_checksum(kind) => match value {
                "true" => config.checksum = Checksum::On,
                "false" => config.checksum = Checksum::Off,
                _ => {}
            },
            "seq" if is_gre(kind) => config.has_sequence = value == "true",
            "df_default" => config.dont_fragment = value != "false",
            "key" | "in_key" | "out_key" | "packet_type" => {}
            "exts" if kind == TunnelKind::Vxlan => {
                for extension in value.split(',').filter(|extension| !extension.is_empty()) {
                    match extension {
                        "gbp" => config.has_group_policy = true,
                        "gpe" => config.has_next_protocol = true,
                        _ => self.errors.push(format!("{name}: unknown extension '{extension}'")),
                    }
                }
            }
            "egress_pkt_mark" => config.mark = Some(leading(value) as u32),
            "erspan_idx" | "erspan_ver" | "erspan_dir" | "erspan_hwid" => {
                erspan(name, &mut config.erspan, key, value)?
            }
            "srv6_segs" if kind == TunnelKind::Srv6 => match segments(value) {
                Some(segments) => config.segments = segments,
                None => self.errors.push(format!("{name}: bad {value} 'srv6_segs'")),
            },
            "srv6_flowlabel" if kind == TunnelKind::Srv6 => {
                config.flow_label = match value {
                    "zero" => FlowLabel::Zero,
                    "compute" => FlowLabel::Compute,
                    _ => FlowLabel::Copy,
                };
            }
            key if is_of_others(key) => {}
            _ => self.errors.push(format!("{name}: unknown {kind} argument '{key}'")),
        }
        Ok(())
    }

    fn packet_types(&mut self, asked: Option<&str>) -> Result<(), String> {
        let (name, kind) = (self.name, self.kind);
        let has_next = self.config.has_next_protocol;
        let (l2, l3) = match kind {
            TunnelKind::Gre => (true, true),
            TunnelKind::Vxlan => (true, has_next),
            TunnelKind::Gtpu | TunnelKind::Bareudp | TunnelKind::Srv6 => (false, true),
            TunnelKind::Geneve
            | TunnelKind::Erspan
            | TunnelKind::Ip6Erspan
            | TunnelKind::Ip6Gre
            | TunnelKind::Lisp
            | TunnelKind::Stt => (true, false),
        };
        let shown = match kind {
            TunnelKind::Vxlan if has_next => "VXLAN-GPE",
            TunnelKind::Vxlan => "VXLAN (without GPE)",
            kind => kind.name(),
        };
        let cannot = |what: &str, layer: &str| {
            Err(format!("{name}: {what} configured on {shown} tunnel that cannot carry {layer} traffic"))
        };
        self.config.packet_types = match asked {
            None if l2 => PacketTypes::LegacyL2,
            None => PacketTypes::LegacyL3,
            Some("legacy_l2") if l2 => PacketTypes::LegacyL2,
            Some("legacy_l2") => return cannot("legacy_l2", "L2"),
            Some("legacy_l3") if l3 => PacketTypes::LegacyL3,
            Some("legacy_l3") => return cannot("legacy_l3", "L3"),
            Some("ptap") => PacketTypes::Aware,
            Some(other) => return Err(format!("{name}: unknown packet_type '{other}'")),
        };
        Ok(())
    }
}

/// The most segments that a tunnel visits.
const MAX_SEGMENTS: usize = 6;

/// Addresses of IPv6 with commas between them.
fn segments(text: &str) -> Option<Vec<u128>> {
    let address = |part: &str| part.trim().parse::<std::net::Ipv6Addr>().ok().map(u128::from);
    let all: Vec<u128> =
        text.split(',').filter(|part| !part.is_empty()).map(address).collect::<Option<_>>()?;
    (all.len() <= MAX_SEGMENTS).then_some(all)
}

fn endpoint(text: &str) -> Option<Endpoint> {
    if text == "flow" {
        return Some(Endpoint::Flow);
    }
    text.parse::<IpAddr>().ok().map(|address| match mapped(address) {
        // No address.
        0 => Endpoint::Any,
        address => Endpoint::Is(address),
    })
}

fn is_multicast(address: u128) -> bool {
    let v4 = pipeline::tunnel::unmapped(address);
    v4.map_or(address >> 120 == 0xff, |v4| v4 >> 28 == 0xe)
}

fn number(options: &BTreeMap<String, String>, name: &str) -> Key {
    match options.get(name).or_else(|| options.get("key")).map(String::as_str) {
        None => Key::Absent,
        Some("flow") => Key::Flow,
        Some(text) => Key::Is(c_number(text).unwrap_or(0)),
    }
}

fn erspan(name: &str, erspan: &mut Erspan, key: &str, value: &str) -> Result<(), String> {
    let hex = || {
        let digits = value.strip_prefix("0x").unwrap_or(value);
        u32::from_str_radix(digits, 16).unwrap_or(0)
    };
    let is_flow = value == "flow";
    match key {
        "erspan_idx" if is_flow => erspan.index = None,
        "erspan_idx" if hex() & !0xf_ffff != 0 => {
            return Err(format!("{name}: invalid erspan index: {value}"));
        }
        "erspan_idx" => erspan.index = Some(hex()),
        "erspan_ver" if is_flow => {
            *erspan = Erspan { version: None, index: None, direction: None, hardware: None };
        }
        "erspan_ver" => match leading(value) {
            version @ (1 | 2) => erspan.version = Some(version as u8),
            _ => return Err(format!("{name}: invalid erspan version: {value}")),
        },
        "erspan_dir" if is_flow => erspan.direction = None,
        "erspan_dir" => match leading(value) {
            direction @ (0 | 1) => erspan.direction = Some(direction as u8),
            _ => return Err(format!("{name}: invalid erspan direction: {value}")),
        },
        "erspan_hwid" if is_flow => erspan.hardware = None,
        "erspan_hwid" if hex() & !0x3f != 0 => {
            return Err(format!("{name}: invalid erspan hardware ID: {value}"));
        }
        _ => erspan.hardware = Some(hex() as u8),
    }
    Ok(())
}

/// What is not as it would be by itself, as `dpif/show` has it.
pub fn shown_options(config: &TunnelConfig) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut put = |key: &str, value: String| _ = out.insert(key.to_owned(), value);
    for (key, end) in [("remote_ip", config.remote), ("local_ip", config.local)] {
        match end {
            Endpoint::Any => {}
            Endpoint::Is(address) => put(key, shown(address)),
            Endpoint::Flow => put(key, "flow".to_owned()),
        }
    }
    let number = |key: Key| match key {
        Key::Absent => None,
        Key::Is(number) => Some(number.to_string()),
        Key::Flow => Some("flow".to_owned()),
    };
    if config.in_key == config.out_key {
        number(config.in_key).into_iter().for_each(|key| put("key", key));
    } else {
        number(config.in_key).into_iter().for_each(|key| put("in_key", key));
        number(config.out_key).into_iter().for_each(|key| put("out_key", key));
    }
    match config.ttl {
        None => put("ttl", "inherit".to_owned()),
        Some(DEFAULT_TTL) => {}
        Some(ttl) => put("ttl", ttl.to_string()),
    }
    match config.tos {
        None => put("tos", "inherit".to_owned()),
        Some(0) => {}
        Some(tos) => put("tos", format!("{tos:#x}")),
    }
    if config.port != 0 && default_port(config.kind) != Some(config.port) {
        put("dst_port", config.port.to_string());
    }
    match config.checksum {
        Checksum::On => put("csum", "true".to_owned()),
        Checksum::Off => put("csum", "false".to_owned()),
        Checksum::Default | Checksum::DefaultNone => {}
    }
    if config.has_sequence {
        put("seq", "true".to_owned());
    }
    let by_itself = match config.kind {
        TunnelKind::Gtpu | TunnelKind::Bareudp | TunnelKind::Srv6 => PacketTypes::LegacyL3,
        _ => PacketTypes::LegacyL2,
    };
    if config.packet_types != by_itself {
        let name = match config.packet_types {
            PacketTypes::LegacyL2 => "legacy_l2",
            PacketTypes::LegacyL3 => "legacy_l3",
            PacketTypes::Aware => "ptap",
        };
        put("packet_type", name.to_owned());
    }
    if !config.dont_fragment {
        put("df_default", "false".to_owned());
    }
    if !config.segments.is_empty() {
        let all: Vec<String> = config.segments.iter().map(|&segment| shown(segment)).collect();
        put("srv6_segs", all.join(","));
    }
    match config.flow_label {
        FlowLabel::Copy => {}
        FlowLabel::Zero => put("srv6_flowlabel", "zero".to_owned()),
        FlowLabel::Compute => put("srv6_flowlabel", "compute".to_owned()),
    }
    if let Some(mark) = config.mark {
        put("egress_pkt_mark", mark.to_string());
    }
    if matches!(config.kind, TunnelKind::Erspan | TunnelKind::Ip6Erspan) {
        show_erspan(&config.erspan, &mut put);
    }
    out
}

fn show_erspan(erspan: &Erspan, put: &mut impl FnMut(&str, String)) {
    let flow = || "flow".to_owned();
    let hex = |number: Option<u32>| number.map_or_else(flow, |number| format!("{number:#x}"));
    let direction = erspan.direction.map_or_else(flow, |direction| direction.to_string());
    put("erspan_ver", erspan.version.map_or_else(flow, |version| version.to_string()));
    if erspan.version.is_none_or(|version| version == 1) {
        put("erspan_idx", hex(erspan.index));
    }
    if erspan.version.is_none_or(|version| version == 2) {
        put("erspan_dir", direction);
        put("erspan_hwid", hex(erspan.hardware.map(u32::from)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(kind: TunnelKind, options: &[(&str, &str)]) -> Parsed {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        parse("t0", kind, &options)
    }

    fn error(kind: TunnelKind, options: &[(&str, &str)]) -> String {
        parsed(kind, options).config.unwrap_err()
    }

    const REMOTE: (&str, &str) = ("remote_ip", "192.0.2.3");

    #[test]
    fn what_a_tunnel_cannot_do_without_is_asked_for() {
        let vxlan = TunnelKind::Vxlan;
        let missing = "t0: vxlan type requires valid 'remote_ip' argument";
        assert_eq!(error(vxlan, &[]), missing);
        assert_eq!(
            error(vxlan, &[("remote_ip", "192.0.2.300")]),
            format!("t0: bad vxlan 'remote_ip'\n{missing}")
        );
        let multicast = "t0: multicast remote_ip=224.0.0.5 not allowed";
        assert_eq!(error(vxlan, &[("remote_ip", "224.0.0.5")]), multicast);
        let both = "t0: vxlan type requires 'remote_ip=flow' with 'local_ip=flow'";
        assert_eq!(error(vxlan, &[REMOTE, ("local_ip", "flow")]), both);
        let family = "t0: 'remote_ip' and 'local_ip' has to be of the same address family";
        assert_eq!(error(vxlan, &[REMOTE, ("local_ip", "fc00::1")]), family);
        let l3 = "t0: legacy_l3 configured on VXLAN (without GPE) tunnel that cannot carry L3 traffic";
        assert_eq!(error(vxlan, &[REMOTE, ("packet_type", "legacy_l3")]), l3);
        let version = "t0: invalid erspan version: 3";
        assert_eq!(error(TunnelKind::Erspan, &[REMOTE, ("erspan_ver", "3")]), version);
    }

    #[test]
    fn what_is_wrong_but_harmless_is_a_warning() {
        let options = [REMOTE, ("seq", "true"), ("tos", "1"), ("exts", "gbp,x"), ("ipsec_x", "1")];
        let found = parsed(TunnelKind::Vxlan, &options);
        let expected = ["t0: unknown extension 'x'", "t0: unknown vxlan argument 'seq'", "t0: invalid TOS 1"];
        assert_eq!(found.warnings, expected);
        assert!(found.config.unwrap().has_group_policy);
    }

    #[test]
    fn options_are_shown_as_they_were_read() {
        let options = [
            REMOTE,
            ("csum", "true"),
            ("df_default", "false"),
            ("dst_port", "8472"),
            ("egress_pkt_mark", "12"),
            ("in_key", "flow"),
            ("local_ip", "192.0.2.1"),
            ("out_key", "7"),
            ("tos", "0x8"),
            ("ttl", "inherit"),
        ];
        let config = parsed(TunnelKind::Vxlan, &options).config.unwrap();
        assert_eq!((config.in_key, config.out_key, config.port), (Key::Flow, Key::Is(7), 8472));
        let shown = shown_options(&config);
        let shown: Vec<(&str, &str)> = shown.iter().map(|(key, value)| (&**key, &**value)).collect();
        let mut sorted = options.to_vec();
        sorted.sort_unstable();
        assert_eq!(shown, sorted);
        let config = parsed(TunnelKind::Erspan, &[REMOTE, ("erspan_ver", "flow"), ("key", "0x7")]);
        let shown = shown_options(&config.config.unwrap());
        assert_eq!((&*shown["erspan_hwid"], &*shown["key"]), ("flow", "7"));
    }
}
