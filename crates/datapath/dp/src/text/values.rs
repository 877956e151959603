//! Writing single values, with and without masks.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use base::MacAddr;

use crate::attr::Style;

/// C's `%#x`.
pub(super) fn hex(value: u128) -> String {
    if value == 0 { "0".into() } else { format!("{value:#x}") }
}

fn value_text(style: Style, value: u128) -> String {
    match style {
        // A fragment by its bits: its words are the key's affair, and a group's own form is its own.
        Style::Decimal | Style::Fragment | Style::Own => value.to_string(),
        Style::Hex => hex(value),
        Style::Prefixed => format!("{value:#x}"),
        Style::Ip4 => Ipv4Addr::from(value as u32).to_string(),
        Style::Ip6 => ip6(value),
        Style::Mac => MacAddr::from_u64(value as u64).to_string(),
    }
}

/// As inet_ntop(3) writes it.
pub(super) fn ip6(value: u128) -> String {
    let address = Ipv6Addr::from(value);
    // C shows ::a.b.c.d for compatible addresses, which std does not.
    let high = value >> 32;
    if high == 0 && value >> 16 != 0 {
        format!("::{}", Ipv4Addr::from(value as u32))
    } else {
        address.to_string()
    }
}

/// Appends `name=value[/mask],` to `out`, as the mask and `verbose` ask for.
///
/// `mask` is `None` where there are no masks; `ones` is a whole mask.
pub(super) fn field(
    out: &mut String,
    name: &str,
    style: Style,
    value: u128,
    mask: Option<u128>,
    ones: u128,
    verbose: bool,
) {
    if !verbose && mask == Some(0) {
        return;
    }
    let _ = write!(out, "{name}={}", value_text(style, value));
    if let Some(mask) = mask
        && mask & ones != ones
    {
        let shown = match style {
            Style::Decimal | Style::Hex | Style::Prefixed | Style::Fragment | Style::Own => hex(mask),
            Style::Ip4 | Style::Ip6 | Style::Mac => value_text(style, mask),
        };
        let _ = write!(out, "/{shown}");
    }
    out.push(',');
}

/// Takes one trailing comma off.
pub(super) fn chomp(out: &mut String) {
    if out.ends_with(',') {
        out.pop();
    }
}

/// `a|b|c` of the set bits, `0` for none; bits without a name as one number.
pub(super) fn flags(out: &mut String, names: &[&str], value: u32, separator: char) {
    if value == 0 {
        out.push('0');
        return;
    }
    let mut parts = Vec::new();
    let mut unnamed = 0;
    for bit in 0..32 {
        if value >> bit & 1 != 0 {
            match names.get(bit as usize).filter(|name| !name.is_empty()) {
                Some(name) => parts.push((*name).to_owned()),
                None => unnamed |= 1u32 << bit,
            }
        }
    }
    if unnamed != 0 {
        parts.push(format!("{unnamed:#x}"));
    }
    out.push_str(&parts.join(&separator.to_string()));
}

/// `+set-unset` of the bits in `mask`; like [`flags`] when the mask is `whole`.
pub(super) fn flags_masked(out: &mut String, names: &[&str], value: u32, mask: u32, whole: u32) {
    if mask == whole {
        flags(out, names, value, '|');
        return;
    }
    if mask == 0 {
        out.push_str("0/0");
        return;
    }
    for bit in 0..32 {
        if mask >> bit & 1 != 0 {
            out.push(if value >> bit & 1 != 0 { '+' } else { '-' });
            out.push_str(names.get(bit as usize).filter(|name| !name.is_empty()).unwrap_or(&"[Unknown]"));
        }
    }
}

/// Names of the `ct_state` bits, from the lowest up.
pub(super) const CT_STATE: [&str; 8] = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];
/// Names of the TCP flags.
pub(super) const TCP_FLAGS: [&str; 12] =
    ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"];
/// Names of the tunnel flags.
pub(super) const TUNNEL_FLAGS: [&str; 4] = ["oam", "df", "csum", "key"];
