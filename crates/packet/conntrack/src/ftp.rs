//! Which connections the messages of FTP announce (RFC 959 §4.1.2, RFC 2428).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// How much of a segment is looked at.
const MAX_LEN: usize = 128;

/// What a message says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Announced {
    /// Who listens: the client (active mode), else the server.
    pub(crate) is_active: bool,
    /// The address, where one is said, and the bytes of the payload that say it.
    pub(crate) address: Option<(u128, Range<usize>)>,
    pub(crate) port: u16,
    /// The parts of an IPv4 address are divided by commas.
    pub(crate) has_commas: bool,
}

/// What a segment is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Message {
    /// It announces nothing.
    Other,
    /// It announces a connection.
    Announces(Announced),
    /// It begins as if it did, but does not make sense.
    Malformed,
}

/// Reads the payload of a segment.
pub(crate) fn read(payload: &[u8], is_v6: bool) -> Message {
    let payload = payload.get(..MAX_LEN).unwrap_or(payload);
    // What is not ASCII ends the message.
    let len = payload.iter().position(|byte| !byte.is_ascii() || *byte == 0).unwrap_or(payload.len());
    let Some(text) = payload.get(..len).and_then(|text| std::str::from_utf8(text).ok()) else {
        return Message::Other;
    };
    let begins = |word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let read = if begins("EPRT") {
        extended_port(text, is_v6)
    } else if is_v6 {
        if !text.to_ascii_uppercase().contains("EXTENDED PASSIVE") {
            return Message::Other;
        }
        extended_passive(text)
    } else if begins("PORT") {
        host_port(text, "PORT".len(), true)
    } else if begins("227") {
        host_port(text, "227".len(), false)
    } else if begins("229") {
        extended_passive(text)
    } else {
        return Message::Other;
    };
    read.map_or(Message::Malformed, Message::Announces)
}

/// A text that is read from its start.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_to_digit(&mut self) {
        self.at += self.rest().find(|c: char| c.is_ascii_digit()).unwrap_or(self.rest().len());
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> (&'a str, Range<usize>) {
        let rest = self.rest();
        let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let taken = (rest.get(..len).unwrap_or(""), self.at..self.at + len);
        self.at += len;
        taken
    }

    fn number<N: std::str::FromStr>(&mut self) -> Option<N> {
        self.take_while(|c| c.is_ascii_digit()).0.parse().ok()
    }

    fn skip(&mut self, c: char) -> Option<()> {
        self.at += self.rest().strip_prefix(c).map(|_| c.len_utf8())?;
        Some(())
    }
}

/// `h1,h2,h3,h4,p1,p2` behind the first blank.
fn host_port(text: &str, from: usize, is_active: bool) -> Option<Announced> {
    let mut cursor = Cursor { text, at: from + text.get(from..)?.find(' ')? };
    cursor.skip_to_digit();
    let begin = cursor.at;
    let mut numbers = [0u8; 6];
    let mut end = begin;
    for (index, number) in numbers.iter_mut().enumerate() {
        if index > 0 {
            cursor.skip(',')?;
        }
        *number = cursor.number()?;
        if index == 3 {
            end = cursor.at;
        }
    }
    let [a, b, c, d, high, low] = numbers;
    let address = u32::from_be_bytes([a, b, c, d]);
    Some(Announced {
        is_active,
        address: Some((address.into(), begin..end)),
        port: u16::from_be_bytes([high, low]),
        has_commas: true,
    })
}

/// `|protocol|address|port|`.
fn extended_port(text: &str, is_v6: bool) -> Option<Announced> {
    let mut cursor = Cursor { text, at: text.find(' ')? };
    cursor.skip_to_digit();
    let family: u8 = cursor.number()?;
    let divider = cursor.rest().chars().next()?;
    cursor.skip(divider)?;
    let (address, place) = cursor.take_while(|c| c != divider);
    let address = match (family, is_v6) {
        (1, false) => u128::from(u32::from(address.parse::<Ipv4Addr>().ok()?)),
        (2, true) => u128::from(address.parse::<Ipv6Addr>().ok()?),
        _ => return None,
    };
    cursor.skip(divider)?;
    let port = cursor.number()?;
    Some(Announced { is_active: true, address: Some((address, place)), port, has_commas: false })
}

/// `(|||port|)`.
fn extended_passive(text: &str) -> Option<Announced> {
    let mut cursor = Cursor { text, at: text.find('(')? };
    cursor.skip_to_digit();
    Some(Announced { is_active: false, address: None, port: cursor.number()?, has_commas: false })
}

/// An address as such messages write it.
pub(crate) fn write_address(address: u128, is_v6: bool, has_commas: bool) -> String {
    if is_v6 {
        return Ipv6Addr::from(address).to_string();
    }
    let text = Ipv4Addr::from(address as u32).to_string();
    if has_commas { text.replace('.', ",") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(text: &str, is_v6: bool) -> Announced {
        match read(text.as_bytes(), is_v6) {
            Message::Announces(announced) => announced,
            Message::Other | Message::Malformed => panic!("{text} announces nothing"),
        }
    }

    #[test]
    fn each_message_says_who_listens_where() {
        let port = announced("PORT 10,1,1,1,4,1\r\n", false);
        assert_eq!((port.is_active, port.port), (true, 1025));
        assert_eq!(port.address, Some((0x0a01_0101, 5..13)));
        let passive = announced("227 Entering Passive Mode (10,1,1,2,16,146).\r\n", false);
        assert_eq!((passive.is_active, passive.port), (false, 4242));
        assert_eq!(passive.address, Some((0x0a01_0102, 27..35)));
        let eprt = announced("EPRT |1|10.1.1.1|6275|\r\n", false);
        assert_eq!((eprt.port, eprt.address), (6275, Some((0x0a01_0101, 8..16))));
        let eprt = announced("eprt |2|fc00::1|6275|\r\n", true);
        assert_eq!(eprt.address.unwrap().0, 0xfc00 << 112 | 1);
        for is_v6 in [false, true] {
            let epsv = announced("229 Entering Extended Passive Mode (|||6446|)\r\n", is_v6);
            assert_eq!((epsv.is_active, epsv.port, epsv.address), (false, 6446, None));
        }
    }

    #[test]
    fn what_makes_no_sense_is_malformed_and_the_rest_is_other() {
        for text in [
            "PORT 1,2,3",
            "PORT 1,2,3,4,5,600",
            "EPRT |2|::1|5|",
            "EPRT |1|1.2.3.4|70000|",
            "227 x",
            "229 (|||",
        ] {
            assert_eq!(read(text.as_bytes(), false), Message::Malformed, "{text}");
        }
        for text in ["", "USER x", "226 done", "POR"] {
            assert_eq!(read(text.as_bytes(), false), Message::Other, "{text}");
        }
    }
}
