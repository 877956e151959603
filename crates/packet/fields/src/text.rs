//! Values and masks of fields as text.
//!
//! Numbers are as wide as the field on the wire; see [`crate::Field::exact`].

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use base::{MacAddr, OfPort};

use crate::{Field, PortNames, TextError, TextForm, format_port, parse_port, refuse};

/// Why a number was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IntError {
    /// There is no number.
    Syntax,
    /// It does not fit.
    Range,
}

/// Reads a number as C's `strtoull` with base 0 does, and returns what follows it.
pub fn parse_u64_prefix(text: &str) -> Result<(u64, &str), IntError> {
    let trimmed = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (negative, body) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let bytes = body.as_bytes();
    let hex = bytes.len() > 2 && bytes[0] == b'0' && bytes[1] | 0x20 == b'x' && bytes[2].is_ascii_hexdigit();
    let (radix, skip) = match bytes {
        _ if hex => (16, 2),
        [b'0', ..] => (8, 0),
        _ => (10, 0),
    };
    let digits = &body[skip..];
    let len = digits.bytes().position(|c| !(c as char).is_digit(radix)).unwrap_or(digits.len());
    if len == 0 {
        return Err(IntError::Syntax);
    }
    let value = u64::from_str_radix(&digits[..len], radix).map_err(|_| IntError::Range)?;
    Ok((if negative { value.wrapping_neg() } else { value }, &digits[len..]))
}

/// Reads a whole text as a number of C's base 0.
pub fn parse_u64(text: &str) -> Option<u64> {
    parse_u64_prefix(text).ok().filter(|(_, rest)| rest.is_empty()).map(|(v, _)| v)
}

/// Reads a whole text as a signed C `int` of base 0.
pub fn parse_int(text: &str) -> Option<i32> {
    let value = parse_u64(text)? as i64;
    i32::try_from(value).ok()
}

/// Reads a number of up to `n_bytes` bytes: any length after `0x` (blanks
/// between digits allowed), else up to 64 bits.
pub fn parse_wide_prefix(text: &str, n_bytes: usize) -> Result<(u128, &str), IntError> {
    let bits = n_bytes * 8;
    let fits = |v: u128| bits >= 128 || v >> bits == 0;
    let Some(mut rest) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) else {
        let (value, rest) = parse_u64_prefix(text)?;
        return if fits(u128::from(value)) { Ok((u128::from(value), rest)) } else { Err(IntError::Range) };
    };
    let mut value: u128 = 0;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(digit) = rest.chars().next().and_then(|c| c.to_digit(16)) else { break };
        if value >> 124 != 0 {
            return Err(IntError::Range);
        }
        value = value << 4 | u128::from(digit);
        if !fits(value) {
            return Err(IntError::Range);
        }
        rest = &rest[1..];
    }
    Ok((value, rest))
}

/// `0` or `0x…` without leading zeros.
pub fn put_hex(out: &mut String, value: u128) {
    let _ = if value == 0 { out.write_str("0") } else { write!(out, "{value:#x}") };
}

/// An IPv6 address as `inet_ntop` writes it.
pub fn put_ipv6(out: &mut String, address: u128) {
    let ip = Ipv6Addr::from(address);
    let word6 = (address >> 16) as u16;
    let _ = if address >> 32 == 0 && word6 != 0 {
        write!(out, "::{}", Ipv4Addr::from(address as u32))
    } else {
        write!(out, "{ip}")
    };
}

/// Appends an address with its mask, as a number of bits where it is a prefix.
pub fn put_ipv4_masked(out: &mut String, ip: u32, mask: u32) {
    let _ = write!(out, "{}", Ipv4Addr::from(ip));
    if mask != u32::MAX {
        let _ = if mask.leading_ones() + mask.trailing_zeros() >= 32 {
            write!(out, "/{}", mask.leading_ones())
        } else {
            write!(out, "/{}", Ipv4Addr::from(mask))
        };
    }
}

/// Appends an address with its mask, as a number of bits where it is a prefix.
pub fn put_ipv6_masked(out: &mut String, ip: u128, mask: u128) {
    put_ipv6(out, ip);
    if mask != u128::MAX {
        out.push('/');
        if mask.leading_ones() + mask.trailing_zeros() >= 128 {
            let _ = write!(out, "{}", mask.leading_ones());
        } else {
            put_ipv6(out, mask);
        }
    }
}

/// Appends an address with its mask, unless that is exact.
pub fn put_mac_masked(out: &mut String, mac: u64, mask: u64) {
    let _ = write!(out, "{}", MacAddr::from_u64(mac));
    if mask != 0xffff_ffff_ffff {
        let _ = write!(out, "/{}", MacAddr::from_u64(mask));
    }
}

/// Names of the bits of a flag word, lowest first.
pub type FlagNames = &'static [(u32, &'static str)];

/// Of [`TextForm::TcpFlags`].
pub const TCP_FLAGS: FlagNames = &[
    (0x001, "fin"),
    (0x002, "syn"),
    (0x004, "rst"),
    (0x008, "psh"),
    (0x010, "ack"),
    (0x020, "urg"),
    (0x040, "ece"),
    (0x080, "cwr"),
    (0x100, "ns"),
    (0x200, "[200]"),
    (0x400, "[400]"),
    (0x800, "[800]"),
];
/// Of [`TextForm::TunnelFlags`].
pub const TUNNEL_FLAGS: FlagNames = &[(1, "oam"), (2, "df"), (4, "csum"), (8, "key")];
/// Of [`TextForm::CtState`].
pub const CT_STATES: FlagNames = &[
    (0x01, "new"),
    (0x02, "est"),
    (0x04, "rel"),
    (0x08, "rpl"),
    (0x10, "inv"),
    (0x20, "trk"),
    (0x40, "snat"),
    (0x80, "dnat"),
];

fn bits(word: u32) -> impl Iterator<Item = u32> {
    (0..32).map(|i| 1 << i).filter(move |bit| word & bit != 0)
}

fn flag_name(names: FlagNames, bit: u32) -> Option<&'static str> {
    names.iter().find(|(b, _)| *b == bit).map(|(_, name)| *name)
}

/// `a|b|0x100`, or `0`.
pub fn put_flags(out: &mut String, names: FlagNames, flags: u32, delimiter: char) {
    if flags == 0 {
        out.push('0');
        return;
    }
    let mut unknown = 0;
    let mut first = true;
    for bit in bits(flags) {
        let Some(name) = flag_name(names, bit) else {
            unknown |= bit;
            continue;
        };
        if !std::mem::take(&mut first) {
            out.push(delimiter);
        }
        out.push_str(name);
    }
    if unknown != 0 {
        if !first {
            out.push(delimiter);
        }
        let _ = write!(out, "{unknown:#x}");
    }
}

/// `+a-b`, or the unmasked form when `mask` is `full`.
pub fn put_flags_masked(out: &mut String, names: FlagNames, flags: u32, mask: u32, full: u32) {
    if mask == full {
        return put_flags(out, names, flags, '|');
    }
    if mask == 0 {
        return out.push_str("0/0");
    }
    for bit in bits(mask) {
        out.push(if flags & bit != 0 { '+' } else { '-' });
        out.push_str(flag_name(names, bit).unwrap_or("[Unknown]"));
    }
}

/// Reads flags: `+a-b`, `a|b`, `0x12/0x3f`. The mask of the unmasked forms is `u32::MAX`.
pub fn parse_flags(text: &str, names: FlagNames, what: &str, allowed: u32) -> Result<(u32, u32), TextError> {
    let unknown = || TextError(format!("{text}: unknown {what} flag(s)"));
    if let Some((flags, mask)) = parse_flags_numeric(text) {
        return if (flags | mask) & !allowed == 0 { Ok((flags, mask)) } else { Err(unknown()) };
    }
    if text.starts_with(['+', '-']) {
        return parse_flags_signed(text, names, what, allowed);
    }
    let mut result = 0;
    let mut rest = text;
    while !rest.is_empty() {
        if let Ok((value, after)) = parse_u64_prefix(rest) {
            if value & !u64::from(allowed) != 0 {
                return Err(unknown());
            }
            result |= value as u32;
            rest = after.strip_prefix('|').unwrap_or(after);
            continue;
        }
        let (name, after) = rest.split_once('|').unwrap_or((rest, ""));
        let bit = names
            .iter()
            .find(|(_, n)| *n == name)
            .map(|(b, _)| *b)
            .filter(|b| b & allowed != 0)
            .ok_or_else(unknown)?;
        result |= bit;
        rest = after;
    }
    Ok((result, u32::MAX))
}

fn parse_flags_numeric(text: &str) -> Option<(u32, u32)> {
    let (flags, rest) = parse_u64_prefix(text).ok()?;
    let (mask, rest) = parse_u64_prefix(rest.strip_prefix('/')?).ok()?;
    // What is too large for 32 bits stays too large for every field.
    let word = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    rest.is_empty().then_some((word(flags), word(mask)))
}

fn parse_flags_signed(
    text: &str,
    names: FlagNames,
    what: &str,
    allowed: u32,
) -> Result<(u32, u32), TextError> {
    let (mut flags, mut mask) = (0, 0);
    let mut rest = text;
    while !rest.is_empty() {
        let set = match rest.as_bytes()[0] {
            b'+' => true,
            b'-' => false,
            _ => return refuse!("{rest}: {what} must be preceded by '+' (for SET) or '-' (NOT SET)"),
        };
        rest = &rest[1..];
        let len = rest.find(['+', '-']).unwrap_or(rest.len());
        let known = names.iter().find(|(_, name)| *name == &rest[..len]);
        let Some((bit, _)) = known else {
            return refuse!("{rest}: unknown {what} flag(s)");
        };
        if mask & bit != 0 {
            return refuse!("{rest}: Each {what} flag can be specified only once");
        }
        if bit & allowed == 0 {
            return refuse!("{rest}: unknown {what} flag(s)");
        }
        flags |= if set { *bit } else { 0 };
        mask |= bit;
        rest = &rest[len..];
    }
    Ok((flags, mask))
}

/// name, mask, value of the forms of `ip_frag`.
const FRAGS: &[(&str, u8, u8)] = &[
    ("no", 3, 0),
    ("first", 3, 1),
    ("later", 3, 3),
    ("no", 1, 0),
    ("yes", 1, 1),
    ("not_later", 2, 0),
    ("later", 2, 2),
];

fn parse_integer(field: Field, text: &str) -> Result<(u128, u128), TextError> {
    let refuse_as = |error, what| match error {
        IntError::Range => {
            TextError(format!("{text}: {what} too large for {}-byte field {}", field.n_bytes(), field.name()))
        }
        IntError::Syntax => TextError(format!("{text}: bad syntax for {} {what}", field.name())),
    };
    let (value, rest) = parse_wide_prefix(text, field.n_bytes()).map_err(|e| refuse_as(e, "value"))?;
    match rest.strip_prefix('/') {
        None if rest.is_empty() => Ok((value, field.exact())),
        None => Err(refuse_as(IntError::Syntax, "value")),
        Some(mask) => match parse_wide_prefix(mask, field.n_bytes()) {
            Ok((mask, "")) => Ok((value, mask)),
            Ok(_) => Err(refuse_as(IntError::Syntax, "mask")),
            Err(e) => Err(refuse_as(e, "mask")),
        },
    }
}

/// Reads an Ethernet address: each part one or more hexadecimal digits.
pub fn parse_mac(text: &str) -> Option<u64> {
    let mut parts = text.split(':');
    let mut value = 0;
    for _ in 0..6 {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        value = value << 8 | u64::from(u8::from_str_radix(part, 16).ok()?);
    }
    parts.next().is_none().then_some(value)
}

/// Names the first part of an address that is larger than a byte, for the end of a refusal.
fn part_too_large(address: &str, delimiter: char, radix: u32) -> String {
    let too_large = |part: &&str| u64::from_str_radix(part, radix).is_ok_and(|value| value > 0xff);
    let most = if radix == 16 { "ff" } else { "255" };
    match address.split(delimiter).find(too_large) {
        Some(part) => format!(" ({part} is larger than {most})"),
        None => String::new(),
    }
}

fn parse_ethernet(text: &str) -> Result<(u128, u128), TextError> {
    let (mac, mask) = match text.split_once('/') {
        Some((mac, mask)) => (parse_mac(mac), parse_mac(mask)),
        None => (parse_mac(text), Some(0xffff_ffff_ffff)),
    };
    match (mac, mask) {
        (Some(mac), Some(mask)) => Ok((u128::from(mac), u128::from(mask))),
        _ => {
            let flaw =
                text.split('/').map(|part| part_too_large(part, ':', 16)).find(|flaw| !flaw.is_empty());
            refuse!("{text}: invalid Ethernet address{}", flaw.unwrap_or_default())
        }
    }
}

/// Reads a dotted IPv4 address; leading zeros are decimal.
pub fn parse_ipv4(text: &str) -> Option<u32> {
    let mut parts = text.split('.');
    let mut value = 0;
    for _ in 0..4 {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|c| c.is_ascii_digit()) {
            return None;
        }
        value = value << 8 | u32::from(part.parse::<u8>().ok()?);
    }
    parts.next().is_none().then_some(value)
}

/// Reads `a.b.c.d`, `a.b.c.d/len` or `a.b.c.d/mask`.
pub fn parse_ipv4_masked(text: &str) -> Result<(u32, u32), TextError> {
    let bad = || {
        let flaw = text.split('/').map(|part| part_too_large(part, '.', 10)).find(|flaw| !flaw.is_empty());
        TextError(format!("{text}: invalid IP address{}", flaw.unwrap_or_default()))
    };
    let Some((ip, mask)) = text.split_once('/') else {
        return Ok((parse_ipv4(text).ok_or_else(bad)?, u32::MAX));
    };
    let ip = parse_ipv4(ip).ok_or_else(bad)?;
    if let Some(mask) = parse_ipv4(mask) {
        return Ok((ip, mask));
    }
    match mask.parse::<i32>() {
        Ok(len @ 0..=32) => Ok((ip, u32::MAX.checked_shl(32 - len as u32).unwrap_or(0))),
        Ok(_) => refuse!("{text}: IPv4 network prefix bits not between 0 and 32, inclusive"),
        Err(_) => Err(bad()),
    }
}

/// Reads an IPv6 address with an optional `/len` or `/mask`.
pub fn parse_ipv6_masked(text: &str) -> Result<(u128, u128), TextError> {
    let bad = || TextError(format!("{text}: invalid IPv6 address"));
    let address = |t: &str| t.parse::<Ipv6Addr>().ok().map(u128::from);
    let trimmed = text.trim_start();
    let Some((ip, mask)) = trimmed.split_once('/') else {
        return Ok((address(trimmed).ok_or_else(bad)?, u128::MAX));
    };
    let ip = address(ip).ok_or_else(bad)?;
    match mask.parse::<i32>() {
        Ok(len @ 0..=128) => Ok((ip, u128::MAX.checked_shl(128 - len as u32).unwrap_or(0))),
        Ok(_) => refuse!("{text}: IPv6 network prefix bits not between 0 and 128, inclusive"),
        Err(_) => match address(mask) {
            Some(mask) => Ok((ip, mask)),
            None => refuse!("{text}: Invalid IPv6 mask"),
        },
    }
}

fn parse_packet_type(text: &str) -> Result<(u128, u128), TextError> {
    let bad = |rest: &str, what: &str| TextError(format!("{rest}: bad syntax for packet type {what}"));
    let rest = text.strip_prefix('(').ok_or_else(|| bad(text, "missing '('"))?;
    let (ns, after) = parse_wide_prefix(rest, 2).map_err(|_| bad(rest, "ns"))?;
    let rest2 = after.strip_prefix(',').ok_or_else(|| bad(rest, "missing ','"))?;
    let (ns_type, after) = parse_wide_prefix(rest2, 2).map_err(|_| bad(rest2, "ns_type"))?;
    if !after.starts_with(')') {
        return Err(bad(rest2, "missing ')'"));
    }
    Ok((ns << 16 | ns_type, 0xffff_ffff))
}

impl Field {
    /// Reads a value and mask. `*` is the wildcard; so is `ANY`, which old scripts have, but where it names a port.
    pub fn parse(self, text: &str, names: Option<&PortNames>) -> Result<(u128, u128), TextError> {
        let is_port = matches!(self.info().form, TextForm::Port16 | TextForm::Port32);
        if text == "*" || text == "ANY" && !is_port {
            return Ok((0, 0));
        }
        let widen = |(flags, mask): (u32, u32)| (u128::from(flags), u128::from(mask) & self.exact());
        let (value, mask) = match self.info().form {
            TextForm::Decimal | TextForm::Hexadecimal => parse_integer(self, text)?,
            TextForm::CtState => widen(parse_flags(text, CT_STATES, "ct_state", 0xff)?),
            TextForm::Ethernet => parse_ethernet(text)?,
            TextForm::Ipv4 => parse_ipv4_masked(text).map(|(ip, mask)| (u128::from(ip), u128::from(mask)))?,
            TextForm::Ipv6 => parse_ipv6_masked(text)?,
            TextForm::Port16 => match parse_port(text, names) {
                Some(port) => (u128::from(port.0 as u16), 0xffff),
                None => return refuse!("{text}: invalid or unknown port for {}", self.name()),
            },
            TextForm::Port32 => match parse_port(text, names) {
                Some(port) => (u128::from(port.0), 0xffff_ffff),
                None => return refuse!("{text}: port value out of range for {}", self.name()),
            },
            TextForm::Frag => match FRAGS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(text)) {
                Some(&(_, mask, value)) => (u128::from(value), u128::from(mask | !3)),
                None => {
                    return refuse!(
                        "{text}: unknown fragment type (valid types are \"no\", \"yes\", \"first\", \"later\", \"not_later\""
                    );
                }
            },
            TextForm::TunnelFlags => widen(parse_flags(text, TUNNEL_FLAGS, "tunnel", 1)?),
            TextForm::TcpFlags => widen(parse_flags(text, TCP_FLAGS, "TCP", 0xfff)?),
            TextForm::PacketType => parse_packet_type(text)?,
        };
        if !self.is_mask_valid(mask) {
            return refuse!("{text}: invalid mask for field {}", self.name());
        }
        Ok((value, mask))
    }

    /// Reads a value without mask.
    pub fn parse_value(self, text: &str, names: Option<&PortNames>) -> Result<u128, TextError> {
        match self.parse(text, names)? {
            (value, mask) if mask == self.exact() => Ok(value),
            _ => refuse!("{text}: wildcards not allowed here"),
        }
    }

    /// Writes a value and mask.
    pub fn format(self, out: &mut String, value: u128, mask: u128, names: Option<&PortNames>) {
        if mask == 0 {
            return out.push_str("ANY");
        }
        let exact = mask == self.exact();
        let info = self.info();
        match info.form {
            TextForm::Port32 if exact => format_port(out, OfPort(value as u32), names),
            TextForm::Port16 if exact => format_port(out, OfPort::from_u16(value as u16), names),
            TextForm::Port16 | TextForm::Port32 | TextForm::Decimal | TextForm::Hexadecimal => {
                if info.form == TextForm::Hexadecimal {
                    put_hex(out, value);
                } else {
                    let _ = write!(out, "{value}");
                }
                if !exact {
                    out.push('/');
                    put_hex(out, mask);
                }
            }
            TextForm::CtState => put_flags_masked(out, CT_STATES, value as u32, mask as u32, 0xffff),
            TextForm::Ethernet => put_mac_masked(out, value as u64, mask as u64),
            TextForm::Ipv4 => put_ipv4_masked(out, value as u32, mask as u32),
            TextForm::Ipv6 => put_ipv6_masked(out, value, mask),
            TextForm::Frag => {
                let mask = mask as u8 & 3;
                let known = FRAGS.iter().find(|f| f.1 == mask && f.2 == value as u8 & mask);
                out.push_str(known.map_or("<error>", |f| f.0));
            }
            TextForm::TunnelFlags => put_flags_masked(out, TUNNEL_FLAGS, value as u32, mask as u32 & 1, 1),
            TextForm::TcpFlags => put_flags_masked(out, TCP_FLAGS, value as u32, mask as u32 & 0xfff, 0xfff),
            TextForm::PacketType => format_packet_type(out, value as u32, mask as u32),
        }
    }
}

/// `packet_type=(1,0x800)`, or `eth`.
pub fn format_packet_type(out: &mut String, value: u32, mask: u32) {
    if value == 0 && mask == u32::MAX {
        return out.push_str("eth");
    }
    let half = |out: &mut String, value: u16, mask: u16| {
        if mask == 0 {
            return out.push('*');
        }
        let _ = if value > 9 { write!(out, "{value:#x}") } else { write!(out, "{value}") };
        if mask != u16::MAX {
            let _ = write!(out, "/{mask:#x}");
        }
    };
    out.push_str("packet_type=(");
    half(out, (value >> 16) as u16, (mask >> 16) as u16);
    out.push(',');
    half(out, value as u16, mask as u16);
    out.push(')');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(field: Field, text: &str) -> String {
        let (value, mask) = field.parse(text, None).unwrap();
        let mut out = String::new();
        field.format(&mut out, value, mask, None);
        out
    }

    #[test]
    fn values_are_written_as_they_are_read() {
        for (field, text) in [
            (Field::Reg0, "0x12/0xff"),
            (Field::EthSrc, "00:11:22:33:44:55/ff:ff:ff:00:00:00"),
            (Field::Ipv4Src, "10.0.0.0/8"),
            (Field::Ipv4Src, "10.0.0.1/255.0.255.0"),
            (Field::Ipv6Dst, "fe80::1/64"),
            (Field::InPort, "LOCAL"),
            (Field::TcpFlags, "+syn-ack"),
            (Field::TcpFlags, "syn|ack"),
            (Field::CtState, "+new-est"),
            (Field::IpFrag, "not_later"),
            (Field::CtLabel, "0x1234567890123456789012345678"),
        ] {
            assert_eq!(round(field, text), text);
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let error = |f: Field, t: &str| f.parse(t, None).unwrap_err().0;
        assert_eq!(error(Field::VlanPcp, "256"), "256: value too large for 1-byte field vlan_pcp");
        assert_eq!(error(Field::Reg1, "x"), "x: bad syntax for reg1 value");
        assert_eq!(error(Field::Ipv4Src, "1.2.3"), "1.2.3: invalid IP address");
        assert_eq!(error(Field::EthType, "1/2"), "1/2: invalid mask for field eth_type");
    }
}
