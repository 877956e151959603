//! A cursor over text.

use std::net::{Ipv4Addr, Ipv6Addr};

use base::MacAddr;

use super::ParseError;

pub(super) type Result<T> = std::result::Result<T, ParseError>;

/// What separates attributes and actions.
const DELIMITERS: &[char] = &[' ', ',', '\t', '\r', '\n'];

#[derive(Clone, Copy)]
pub(super) struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Scan<'a> {
        Scan { rest: text }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn is_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn error<T>(&self) -> Result<T> {
        Err(ParseError { at: self.rest.to_owned(), is_too_long: false })
    }

    /// What begins here is more than one attribute can hold.
    pub(super) fn too_long<T>(&self) -> Result<T> {
        Err(ParseError { at: self.rest.to_owned(), is_too_long: true })
    }

    pub(super) fn skip_delimiters(&mut self) {
        self.rest = self.rest.trim_start_matches(DELIMITERS);
    }

    /// Takes `word` off when the text begins with it.
    pub(super) fn take(&mut self, word: &str) -> bool {
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<()> {
        if self.take(word) { Ok(()) } else { self.error() }
    }

    /// Takes all characters off that satisfy `is_part`.
    pub(super) fn span(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (head, rest) = self.rest.split_at(end);
        self.rest = rest;
        head
    }

    /// Up to the next delimiter or closing parenthesis.
    pub(super) fn word(&mut self) -> &'a str {
        self.span(|c| !DELIMITERS.contains(&c) && c != ')')
    }

    /// A number in C's notation (`%i`): 0x for hexadecimal, 0 for octal, behind white space.
    pub(super) fn number(&mut self, max: u128) -> Result<u128> {
        let before = *self;
        self.span(char::is_whitespace);
        let is_negative = self.take("-");
        let value = if self.take("0x") || self.take("0X") {
            let digits = self.span(|c| c.is_ascii_hexdigit());
            u128::from_str_radix(digits, 16).ok()
        } else {
            let digits = self.span(|c| c.is_ascii_digit());
            if digits.len() > 1 && digits.starts_with('0') {
                u128::from_str_radix(digits, 8).ok()
            } else {
                digits.parse().ok()
            }
        };
        let value = value.map(|v| if is_negative { v.wrapping_neg() & max } else { v });
        match value {
            Some(value) if value <= max => Ok(value),
            _ => {
                *self = before;
                self.error()
            }
        }
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.number(u32::MAX.into()).map(|v| v as u32)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.number(u16::MAX.into()).map(|v| v as u16)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.number(u8::MAX.into()).map(|v| v as u8)
    }

    /// Hexadecimal digits, with or without 0x (`%x`).
    pub(super) fn hex(&mut self, max: u128) -> Result<u128> {
        let before = *self;
        let _ = self.take("0x");
        match u128::from_str_radix(self.span(|c| c.is_ascii_hexdigit()), 16) {
            Ok(value) if value <= max => Ok(value),
            _ => {
                *self = before;
                self.error()
            }
        }
    }

    pub(super) fn mac(&mut self) -> Result<u128> {
        let before = *self;
        match self.span(|c| c.is_ascii_hexdigit() || c == ':').parse::<MacAddr>() {
            Ok(mac) => Ok(mac.to_u64().into()),
            Err(_) => {
                *self = before;
                self.error()
            }
        }
    }

    pub(super) fn ip4(&mut self) -> Result<u128> {
        let before = *self;
        match self.span(|c| c.is_ascii_digit() || c == '.').parse::<Ipv4Addr>() {
            Ok(ip) => Ok(u32::from(ip).into()),
            Err(_) => {
                *self = before;
                self.error()
            }
        }
    }

    pub(super) fn ip6(&mut self) -> Result<u128> {
        let before = *self;
        match self.span(|c| c.is_ascii_hexdigit() || c == ':' || c == '.').parse::<Ipv6Addr>() {
            Ok(ip) => Ok(u128::from(ip)),
            Err(_) => {
                *self = before;
                self.error()
            }
        }
    }

    /// Flags: `+a-b` with a mask, `a|b`, a number, or number/number; up to a closing parenthesis.
    /// The mask is all ones when the text gives none.
    pub(super) fn flags(&mut self, names: &[&str], allowed: u32) -> Result<(u32, u32)> {
        let before = *self;
        if self.rest.starts_with(['+', '-']) {
            return self.signed_flags(names, allowed);
        }
        if let Ok(value) = self.u32()
            && self.take("/")
        {
            let mask = self.u32()?;
            if (value | mask) & !allowed != 0 {
                return before.error();
            }
            return Ok((value, mask));
        }
        *self = before;
        let mut value = 0;
        while !self.rest.starts_with(')') {
            let at = *self;
            let bits = match self.u32() {
                Ok(bits) => bits,
                Err(_) => {
                    let word = self.span(|c| !matches!(c, '|' | ')' | ','));
                    bit_of(names, word).map_or_else(|| at.error(), Ok)?
                }
            };
            if bits & !allowed != 0 {
                return at.error();
            }
            value |= bits;
            if !self.take("|") && !self.take(",") && !self.rest.starts_with(')') {
                return self.error();
            }
        }
        Ok((value, u32::MAX))
    }

    fn signed_flags(&mut self, names: &[&str], allowed: u32) -> Result<(u32, u32)> {
        let (mut value, mut mask) = (0, 0);
        while !self.rest.starts_with(')') {
            let is_set = self.take("+");
            if !is_set {
                self.expect("-")?;
            }
            let at = *self;
            let word = self.span(|c| !matches!(c, '+' | '-' | ')'));
            let bit = bit_of(names, word).filter(|bit| bit & allowed != 0 && mask & bit == 0);
            let Some(bit) = bit else { return at.error() };
            mask |= bit;
            if is_set {
                value |= bit;
            }
        }
        Ok((value, mask))
    }
}

fn bit_of(names: &[&str], word: &str) -> Option<u32> {
    names.iter().position(|name| !name.is_empty() && *name == word).map(|index| 1 << index)
}
