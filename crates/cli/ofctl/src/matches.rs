//! Commands that turn matches alone between their text and wire forms: what
//! a bug report about a match begins with.

use fields::{DEFAULT_PRIORITY, Match};
use flow::slot;
use ofp::*;

use crate::testing::{hex, print_hex, show_differences, test_lines};
use crate::{Context, Done, Fatal, fatal};

/// A line without its comment, or nothing when it says nothing.
fn content(line: &str) -> Option<&str> {
    Some(line.split('#').next().unwrap_or_default().trim()).filter(|text| !text.is_empty())
}

fn parse_match(cx: &Context, version: Option<Version>) -> Done {
    for line in test_lines()? {
        let Some(content) = content(&line) else {
            show_line!("{line}");
            continue;
        };
        let converted = nx_match_from_text(content, version.is_some())
            .map_err(Fatal::from)
            .map(|bytes| nx_match_round_trip(&bytes, version, cx.options.strict));
        match converted? {
            Ok(bytes) => {
                let text = nx_match_to_text(&bytes.unpadded);
                show_line!("{text}");
                if cx.options.verbosity > 0 {
                    print_hex(&bytes.padded);
                }
            }
            Err(error) => show_line!("nx_pull_match() returned error {}", error.name()),
        }
    }
    Ok(())
}

pub(crate) fn parse_nxm(cx: &Context) -> Done {
    parse_match(cx, None)
}

pub(crate) fn parse_oxm(cx: &Context) -> Done {
    match Version::from_name(cx.arg(1)) {
        Some(version) if version >= Version::Of12 => parse_match(cx, Some(version)),
        _ => fatal!("{}: not a valid version for OXM", cx.arg(1)),
    }
}

fn sized(bytes: Vec<u8>, size: usize) -> Result<Vec<u8>, Fatal> {
    match bytes.len() {
        n if n == size => Ok(bytes),
        n => fatal!("Input is {n} bytes, expected {size}"),
    }
}

/// A match with its mask as people write it.
fn text_of(m: &Match) -> String {
    let mut out = String::new();
    m.format(&mut out, None, DEFAULT_PRIORITY);
    out
}

/// Reads OpenFlow 1.0 matches in hex, shows them, and what differs when they are
/// written again. An `x` is a digit of any value, which must come back as 0.
pub(crate) fn parse_ofp10_match(_: &Context) -> Done {
    const SIZE: usize = 40;
    for line in test_lines()? {
        let Some(content) = content(&line) else { continue };
        let expected = sized(hex(&content.replace('x', "0"))?, SIZE)?;
        let mut digits = "5af0369cb".chars().cycle();
        let given: String =
            content.chars().map(|c| if c == 'x' { digits.next().unwrap_or('7') } else { c }).collect();
        let given = sized(hex(&given)?, SIZE)?;
        let mut m = match match_from_bytes(&given, MatchForm::Of10) {
            Ok(m) => m,
            Err(error) => {
                show_line!("bad ofp10_match: {}\n", error.name());
                continue;
            }
        };
        show_line!("{}", text_of(&m));
        let again = match_to_bytes(&m, MatchForm::Of10);
        show_differences("", &expected, &again);
        m.normalize();
        show_differences("normal: ", &again, &match_to_bytes(&m, MatchForm::Of10));
        show_line!();
    }
    Ok(())
}

/// The same for OpenFlow 1.1.
pub(crate) fn parse_ofp11_match(_: &Context) -> Done {
    for line in test_lines()? {
        let Some(content) = content(&line) else { continue };
        let given = sized(hex(content)?, 88)?;
        match match_from_bytes(&given, MatchForm::Of11) {
            Ok(m) => {
                show_line!("{}", text_of(&m));
                show_differences("", &given, &match_to_bytes(&m, MatchForm::Of11));
                show_line!();
            }
            Err(error) => show_line!("bad ofp11_match: {}\n", error.name()),
        }
    }
    Ok(())
}

fn tci_of(m: &Match) -> (u16, u16) {
    (m.key.vlan0_tci(), m.mask.bits(slot::VLAN0_TCI) as u16)
}

/// `check-vlan TCI MASK`: how each form of a match keeps a condition on the outer tag.
pub(crate) fn check_vlan(cx: &Context) -> Done {
    let number = |text: &str| u128::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0) & 0xffff;
    let mut m = Match::default();
    m.mask.set_bits(slot::VLAN0_TCI, number(cx.arg(2)));
    m.key.write(slot::VLAN0_TCI, number(cx.arg(1)));

    let text = text_of(&m);
    let (fm, _) = parse_flow_mod(&text, FlowTextKind::Request, Names::default())?;
    let (tci, mask) = tci_of(&fm.m);
    show_line!("{text} -> {tci:04x}/{mask:04x}");

    for (name, form) in [("NXM", MatchForm::Nxm), ("OXM", MatchForm::Oxm(Version::Of12))] {
        let bytes = match_to_bytes(&m, form);
        show!("{name}: {} -> ", nx_match_to_text(&bytes));
        match match_from_bytes(&bytes, form) {
            Err(error) => show_line!("{}", error.name()),
            Ok(back) if form == MatchForm::Nxm => {
                let (tci, mask) = tci_of(&back);
                show_line!("{tci:04x}/{mask:04x}");
            }
            Ok(back) => {
                let (tci, mask) = tci_of(&back);
                show!("{:04x}/{:04x},", tci & 0x1fff, mask & 0x1fff);
                match tci & 0x1fff != 0 && mask & 0xe000 != 0 {
                    true => show_line!("{:02}", tci >> 13),
                    false => show_line!("--"),
                }
            }
        }
    }
    // The places of wildcards, dl_vlan and dl_vlan_pcp in the fixed structures.
    let fixed = [("OF1.0", MatchForm::Of10, 0, 18, 1, 20), ("OF1.1", MatchForm::Of11, 8, 36, 1, 2)];
    for (name, form, wildcards_at, vlan_at, vlan_bit, pcp_bit) in fixed {
        let bytes = match_to_bytes(&m, form);
        let wildcards =
            bytes[wildcards_at..][..4].iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        let vlan = u16::from_be_bytes([bytes[vlan_at], bytes[vlan_at + 1]]);
        let wild = |bit: u32| wildcards >> bit & 1;
        show!("{name}: {vlan:04x}/{},{:02x}/{} -> ", wild(vlan_bit), bytes[vlan_at + 2], wild(pcp_bit));
        match match_from_bytes(&bytes, form) {
            Ok(back) => {
                let (tci, mask) = tci_of(&back);
                show_line!("{tci:04x}/{mask:04x}");
            }
            Err(error) => show_line!("{}", error.name()),
        }
    }
    Ok(())
}
