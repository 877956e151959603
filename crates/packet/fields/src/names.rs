//! Names of ports and tables, and the text form of port numbers.

use std::collections::HashMap;
use std::fmt::Write;

use base::OfPort;

/// Names ↔ numbers. A name or number that occurs twice with different
/// partners names nothing, so that text never means another port than shown.
#[derive(Clone, Debug, Default)]
pub struct NameMap {
    by_name: HashMap<String, u32>,
    by_number: HashMap<u32, (String, bool)>,
}

/// Names of a bridge's ports.
pub type PortNames = NameMap;
/// Names of a bridge's tables.
pub type TableNames = NameMap;

impl NameMap {
    /// No names.
    pub fn new() -> NameMap {
        NameMap::default()
    }

    /// Adds a pair. A number with two names, or a name of two numbers, stands for neither.
    pub fn insert(&mut self, number: u32, name: &str) {
        if let Some(&known) = self.by_name.get(name) {
            if known != number
                && let Some(entry) = self.by_number.get_mut(&known)
            {
                entry.1 = true;
            }
            return;
        }
        if let Some(entry) = self.by_number.get_mut(&number) {
            entry.1 = true;
            return;
        }
        self.by_name.insert(name.to_owned(), number);
        self.by_number.insert(number, (name.to_owned(), false));
    }

    /// The name of a number.
    pub fn name(&self, number: u32) -> Option<&str> {
        self.by_number.get(&number).filter(|e| !e.1).map(|e| e.0.as_str())
    }

    /// The number of a name.
    pub fn number(&self, name: &str) -> Option<u32> {
        let number = *self.by_name.get(name)?;
        self.by_number.get(&number).filter(|e| !e.1).map(|_| number)
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The number of the name in `text`, which may be in JSON quotes.
    fn lookup(map: Option<&NameMap>, text: &str) -> Option<u32> {
        let map = map?;
        match text.strip_prefix('"') {
            None => map.number(text),
            Some(rest) => map.number(&json_unescape(rest.strip_suffix('"')?)?),
        }
    }
}

/// Undoes JSON string escapes; `None` when they are malformed.
fn json_unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            c @ ('"' | '\\' | '/') => out.push(c),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'u' => {
                let hex: String = chars.by_ref().take(4).collect();
                out.push(char::from_u32(u32::from_str_radix(&hex, 16).ok()?)?);
            }
            _ => return None,
        }
    }
    Some(out)
}

/// Writes `name`, in JSON quotes unless it is plainly alphanumeric.
fn put_name(out: &mut String, name: &str) {
    let plain = name.bytes().next().is_some_and(|c| c.is_ascii_alphabetic())
        && name.bytes().all(|c| c.is_ascii_alphanumeric());
    if plain {
        out.push_str(name);
        return;
    }
    out.push('"');
    for c in name.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

const RESERVED: &[(OfPort, &str)] = &[
    (OfPort::IN_PORT, "IN_PORT"),
    (OfPort::TABLE, "TABLE"),
    (OfPort::NORMAL, "NORMAL"),
    (OfPort::FLOOD, "FLOOD"),
    (OfPort::ALL, "ALL"),
    (OfPort::CONTROLLER, "CONTROLLER"),
    (OfPort::LOCAL, "LOCAL"),
    (OfPort::ANY, "ANY"),
    (OfPort::UNSET, "UNSET"),
];

/// The name of a reserved port number.
pub fn reserved_port_name(port: OfPort) -> Option<&'static str> {
    RESERVED.iter().find(|(p, _)| *p == port).map(|(_, name)| *name)
}

/// Writes a port: reserved name, then the port's name, else its number.
pub fn format_port(out: &mut String, port: OfPort, names: Option<&PortNames>) {
    if let Some(name) = reserved_port_name(port) {
        out.push_str(name);
    } else if let Some(name) = names.and_then(|n| n.name(port.0)) {
        put_name(out, name);
    } else {
        let _ = write!(out, "{}", port.to_u16().map_or(port.0, u32::from));
    }
}

/// [`format_port`] without names.
pub fn format_port_plain(port: OfPort) -> String {
    let mut out = String::new();
    format_port(&mut out, port, None);
    out
}

/// Reads a port: a number (16- or 32-bit), a reserved name in any case, or a port's name.
pub fn parse_port(text: &str, names: Option<&PortNames>) -> Option<OfPort> {
    if text.starts_with('-') {
        log::warn!(target: "ofp_port", "Negative value {text} is not a valid port number.");
        return None;
    }
    if let Some(number) = decimal_u32(text) {
        return port_from_number(number);
    }
    if let Some((port, _)) = RESERVED.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
        return Some(*port);
    }
    if text.eq_ignore_ascii_case("NONE") {
        return Some(OfPort::NONE);
    }
    NameMap::lookup(names, text).map(OfPort)
}

/// A number as C's `strtoul` with base 10 takes it, to the end of the text.
fn decimal_u32(text: &str) -> Option<u32> {
    let digits = text.trim_start();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    (!digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

fn port_from_number(number: u32) -> Option<OfPort> {
    match number {
        0..0xff00 => Some(OfPort(number)),
        0xff00..0xfff7 => {
            let later = number.wrapping_add(0xffff_0000);
            log::warn!(target: "ofp_port", "port {number} is a reserved OF1.0 port number that will be translated to {later} when talking to an OF1.1 or later controller");
            Some(OfPort(later))
        }
        0xfff7..=0xffff => {
            let port = OfPort::from_u16(number as u16);
            log::warn!(target: "ofp_port", "referring to port {} as {number} is deprecated for compatibility with OpenFlow 1.1 and later", format_port_plain(port));
            Some(port)
        }
        0x1_0000..0xffff_ff00 => {
            log::warn!(target: "ofp_port", "port {number} is outside the supported range 0 through ffff or 0xffffff00 through 0xffffffff");
            None
        }
        _ => Some(OfPort(number)),
    }
}

/// Writes a table by its name, else its number.
pub fn format_table(out: &mut String, table: u8, names: Option<&TableNames>) {
    match names.and_then(|n| n.name(u32::from(table))) {
        Some(name) => put_name(out, name),
        None => {
            let _ = write!(out, "{table}");
        }
    }
}

/// Reads a table: a number up to 255 or a name.
pub fn parse_table(text: &str, names: Option<&TableNames>) -> Option<u8> {
    if text.starts_with('-') {
        log::warn!(target: "ofp_table", "Negative value {text} is not a valid table number.");
        return None;
    }
    if let Some(number) = decimal_u32(text) {
        if number > 255 {
            log::warn!(target: "ofp_table", "table {number} is outside the supported range 0 through 255");
        }
        return u8::try_from(number).ok();
    }
    NameMap::lookup(names, text).and_then(|n| u8::try_from(n).ok()).filter(|&n| n != 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_in_all_their_forms() {
        let mut names = PortNames::new();
        names.insert(3, "eth0");
        names.insert(4, "we-ird");
        assert_eq!(parse_port("local", None), Some(OfPort::LOCAL));
        assert_eq!(parse_port("65534", None), Some(OfPort::LOCAL));
        assert_eq!(parse_port("4294967294", None), Some(OfPort::LOCAL));
        assert_eq!(parse_port("eth0", Some(&names)), Some(OfPort(3)));
        assert_eq!(parse_port("\"we-ird\"", Some(&names)), Some(OfPort(4)));
        assert_eq!(parse_port("70000", None), None);
        assert_eq!(parse_port("nope", Some(&names)), None);
        let mut out = String::new();
        format_port(&mut out, OfPort(4), Some(&names));
        assert_eq!(out, "\"we-ird\"");
    }

    #[test]
    fn ambiguous_names_name_nothing() {
        let mut names = PortNames::new();
        names.insert(1, "a");
        names.insert(2, "a");
        assert_eq!(names.number("a"), None);
        assert_eq!(names.name(1), None);
    }
}
