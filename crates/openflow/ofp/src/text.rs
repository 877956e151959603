//! Numbers and bytes in the texts of users.

use std::fmt::Write;

use fields::text::{IntError, parse_u64_prefix};
use fields::{TextError, refuse};

/// Reads a whole number of up to `most`. A refusal of one that does not fit names the limit.
fn bounded(text: &str, most: u64, bad: impl FnOnce() -> String) -> Result<u64, TextError> {
    let number = parse_u64_prefix(text);
    let is_number = matches!(number, Ok((_, "")) | Err(IntError::Range));
    match number {
        Ok((value, "")) if value <= most => Ok(value),
        _ if is_number && text.trim_start().starts_with('-') => {
            refuse!("{} (at least 0)", bad())
        }
        _ if is_number => refuse!("{} (at most {most})", bad()),
        _ => Err(TextError(bad())),
    }
}

pub(crate) fn u8_of(text: &str, name: &str) -> Result<u8, TextError> {
    bounded(text, u8::MAX.into(), || format!("invalid {name} \"{text}\"")).map(|v| v as u8)
}

pub(crate) fn u16_of(text: &str, name: &str) -> Result<u16, TextError> {
    bounded(text, u16::MAX.into(), || format!("invalid {name} \"{text}\"")).map(|v| v as u16)
}

pub(crate) fn u32_of(text: &str) -> Result<u32, TextError> {
    if text.is_empty() {
        return refuse!("missing required numeric argument");
    }
    bounded(text, u32::MAX.into(), || format!("invalid numeric format {text}")).map(|v| v as u32)
}

/// Reads a number of 64 bits; negative ones count down from the largest, as in masks of `-1`.
pub(crate) fn u64_of(text: &str) -> Result<u64, TextError> {
    if text.is_empty() {
        return refuse!("missing required numeric argument");
    }
    match parse_u64_prefix(text) {
        Ok((value, "")) => Ok(value),
        Err(IntError::Range) => refuse!("invalid numeric format {text} (at most {})", u64::MAX),
        _ => refuse!("invalid numeric format {text}"),
    }
}

/// `DecTtlCntIds` as `DEC_TTL_CNT_IDS`.
pub(crate) fn upper_snake(camel: &str) -> String {
    let mut out = String::with_capacity(camel.len() + 8);
    for (index, c) in camel.char_indices() {
        if index > 0 && c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

/// Reads pairs of hex digits, blanks, dots and tabs between them, and returns
/// what follows; `None` when a pair is cut in half.
pub fn hex_bytes(text: &str) -> Option<(Vec<u8>, &str)> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '.', '\t', '\r', '\n']);
        let bytes = rest.as_bytes();
        let digit = |i: usize| bytes.get(i).and_then(|c| (*c as char).to_digit(16));
        match (digit(0), digit(1)) {
            (Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                rest = &rest[2..];
            }
            _ => return Some((out, rest)),
        }
    }
}

/// Writes bytes as hex with `delimiter` between them.
pub(crate) fn put_hex_bytes(out: &mut String, bytes: &[u8], delimiter: &str) {
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            out.push_str(delimiter);
        }
        let _ = write!(out, "{byte:02x}");
    }
}

/// `printf("%#x")`: zero has no prefix.
pub(crate) struct Hex(pub(crate) u64);

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 { f.write_str("0") } else { write!(f, "{:#x}", self.0) }
    }
}

/// Bytes as lines of 16 with offset and, if asked, characters.
pub fn put_hex_dump(out: &mut String, bytes: &[u8], offset: usize, ascii: bool) {
    let mut at = offset;
    let mut rest = bytes;
    while !rest.is_empty() {
        let start = at % 16;
        let n = (16 - start).min(rest.len());
        let (line, tail) = rest.split_at(n);
        let _ = write!(out, "{:08x}  ", at - start);
        for _ in 0..start {
            out.push_str("   ");
        }
        for (index, byte) in line.iter().enumerate() {
            let _ = write!(out, "{byte:02x}{}", if start + index == 7 { '-' } else { ' ' });
        }
        if ascii {
            for _ in start + n..16 {
                out.push_str("   ");
            }
            out.push('|');
            for _ in 0..start {
                out.push(' ');
            }
            for &byte in line {
                out.push(if (32..127).contains(&byte) { byte as char } else { '.' });
            }
            for _ in start + n..16 {
                out.push(' ');
            }
            out.push('|');
        } else if out.ends_with(' ') {
            out.pop();
        }
        out.push('\n');
        at += n;
        rest = tail;
    }
}
