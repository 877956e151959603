//! Raw matches (`NXM_OF_IN_PORT(fffe), …`) to bytes, and through the decoder and back.

use fields::oxm::{self, Header};
use fields::{Match, TextError, refuse};

use crate::codec::legacy;
use crate::oxm::{Rules, decode, put_match, put_nx_match, put_oxm_match};
use crate::text::hex_bytes;
use crate::wire::Reader;
use crate::{OfError, Version};

/// A match as it is written again.
pub struct RawMatch {
    /// The entries alone.
    pub unpadded: Vec<u8>,
    /// As in messages.
    pub padded: Vec<u8>,
}

/// The header that a name or number stands for.
fn header_of(name: &str) -> Option<Header> {
    let cookie = |has_mask| Header {
        class: oxm::COOKIE_CLASS,
        number: oxm::COOKIE_NUMBER,
        has_mask,
        length: if has_mask { 16 } else { 8 },
        experimenter: 0,
    };
    let (stem, has_mask) = name.strip_suffix("_W").map_or((name, false), |stem| (stem, true));
    if stem == "NXM_NX_COOKIE" {
        return Some(cookie(has_mask));
    }
    if let Some((field, id)) = oxm::by_name(stem) {
        return Some(Header::of(id, field.n_bytes(), has_mask));
    }
    // A header by its number, short or with an experimenter.
    let (bytes, "") = hex_bytes(name)? else { return None };
    let header = Header::read(&bytes).filter(|_| bytes.iter().any(|byte| *byte != 0))?;
    (header.header_len() == bytes.len()).then_some(header)
}

/// Reads the text of entries. Values are not judged.
pub fn nx_match_from_text(text: &str, _oxm: bool) -> Result<Vec<u8>, TextError> {
    let mut out = Vec::new();
    if text == "<any>" {
        return Ok(out);
    }
    let mut rest = text.trim_start_matches([',', ' ']);
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('(') else {
            return refuse!("{text}: missing ( at end of nx_match");
        };
        let Some(header) = header_of(name) else {
            return refuse!("{text}: unknown field `{name}'");
        };
        header.write(&mut out);
        let width = header.width();
        let (value, mut after) = hex_bytes(after).unwrap_or_default();
        if value.len() != width {
            return refuse!("expected to read {width} bytes but got {}", value.len());
        }
        out.extend_from_slice(&value);
        if header.has_mask {
            after = after.trim_start_matches(' ');
            let Some(of_mask) = after.strip_prefix('/') else {
                return refuse!("{text}: missing / in masked field {name}");
            };
            let (mask, tail) = hex_bytes(of_mask).unwrap_or_default();
            if mask.len() != width {
                return refuse!("{}: hex digits expected", tail.chars().take(2).collect::<String>());
            }
            out.extend_from_slice(&mask);
            after = tail;
        }
        let Some(after) = after.trim_start_matches(' ').strip_prefix(')') else {
            return refuse!("{text}: missing ) following field {name}");
        };
        rest = after.trim_start_matches([',', ' ']);
    }
    Ok(out)
}

/// How a match alone is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MatchForm {
    /// The fixed structure of OpenFlow 1.0.
    Of10,
    /// The fixed structure of OpenFlow 1.1.
    Of11,
    /// Nicira's extensible match, for OpenFlow 1.0.
    Nxm,
    /// OXM as this version has it.
    Oxm(Version),
}

/// Reads the bytes of a match: of NXM and OXM the entries alone.
pub fn match_from_bytes(bytes: &[u8], form: MatchForm) -> Result<Match, OfError> {
    match form {
        MatchForm::Of10 => legacy::pull10(&mut Reader::new(bytes)).map(|(m, _)| m),
        MatchForm::Of11 => legacy::pull11(&mut Reader::new(bytes), Rules::default()),
        MatchForm::Nxm | MatchForm::Oxm(_) => decode(bytes, Rules::default()).map(|(m, ..)| m),
    }
}

/// The bytes of a match: of NXM and OXM the entries alone.
pub fn match_to_bytes(m: &Match, form: MatchForm) -> Vec<u8> {
    let mut out = Vec::new();
    match form {
        MatchForm::Of10 => legacy::put10(&mut out, m),
        MatchForm::Of11 => legacy::put_match(&mut out, m, Version::Of11),
        MatchForm::Nxm => {
            put_match(&mut out, m, 0, 0, 0);
        }
        MatchForm::Oxm(version) => {
            put_match(&mut out, m, version.byte(), 0, 0);
        }
    }
    out
}

/// Decodes entries, strictly or not, and writes them again: as OXM of a
/// version, or as NXM.
pub fn nx_match_round_trip(
    entries: &[u8],
    version: Option<Version>,
    strict: bool,
) -> Result<RawMatch, OfError> {
    let rules = Rules { loose: !strict, allow_cookie: version.is_none(), ..Rules::default() };
    let (m, cookie, cookie_mask) = decode(entries, rules)?;
    let mut unpadded = Vec::new();
    let mut padded = Vec::new();
    match version {
        Some(version) => {
            put_match(&mut unpadded, &m, version.byte(), 0, 0);
            put_oxm_match(&mut padded, &m, version);
        }
        None => {
            put_match(&mut unpadded, &m, 0, cookie, cookie_mask);
            put_nx_match(&mut padded, &m, cookie, cookie_mask);
        }
    }
    Ok(RawMatch { unpadded, padded })
}
