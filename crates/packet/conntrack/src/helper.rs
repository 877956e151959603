//! What control connections announce, and messages in which addresses are translated.

use wire::bytes::{be16, be32, put16, put32};
use wire::ipv4::Ipv4Mut;
use wire::{protocol, tcp, udp};

use crate::connection::{Connection, Helper, Skew};
use crate::datagram::{Datagram, Seen};
use crate::expectations::{Announcing, Expectation, Expectations};
use crate::ftp::{self, Announced, Message};
use crate::key::Direction;
use crate::rewrite;
use crate::state::Upper;

const FTP_PORT: u16 = 21;
const TFTP_PORT: u16 = 69;

/// Whose messages a packet is to be read as: by what the rule or the connection says, else by its ports.
pub(crate) fn of_packet(said: Option<Helper>, seen: &Seen, datagram: &impl Datagram) -> Option<Helper> {
    if seen.is_related {
        return None;
    }
    let l4 = seen.places.l4(datagram.bytes());
    match (seen.places.protocol, said) {
        (protocol::TCP, Some(Helper::Ftp)) => Some(Helper::Ftp),
        (protocol::UDP, Some(Helper::Tftp)) => Some(Helper::Tftp),
        (protocol::UDP, _) if be16(l4, 2) == TFTP_PORT && l4.len() >= udp::LEN => Some(Helper::Tftp),
        (protocol::TCP, _) if be16(l4, 0) == FTP_PORT || be16(l4, 2) == FTP_PORT => Some(Helper::Ftp),
        _ => None,
    }
}

/// A packet that makes no sense to the connection's helper.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed;

/// A control packet and its connection.
pub(crate) struct Control<'a, D> {
    pub(crate) datagram: &'a mut D,
    pub(crate) seen: &'a mut Seen,
    pub(crate) direction: Direction,
    /// Addresses are translated.
    pub(crate) translates: bool,
}

impl<D: Datagram> Control<'_, D> {
    fn message(&self) -> Message {
        let l4 = self.seen.places.l4(self.datagram.bytes());
        match tcp::Tcp::parse(l4) {
            Some(header) => ftp::read(header.payload(), self.datagram.is_v6()),
            None => Message::Other,
        }
    }

    /// Shifts the numbers of a packet that announces nothing. `before`: before the connection takes it into account, which
    /// counts as the sender of the shifted numbers does; else behind it.
    pub(crate) fn shift(&mut self, connection: &Connection, before: bool) {
        let is_before = connection.skew.is_some_and(|skew| skew.of != self.direction);
        if is_before == before && self.message() == Message::Other {
            self.apply(connection.skew);
        }
    }

    fn apply(&mut self, skew: Option<Skew>) {
        let Some(skew) = skew.filter(|skew| self.translates && skew.by != 0) else { return };
        let l4 = self.seen.places.l4;
        let bytes = self.datagram.bytes_mut();
        let number = if skew.of == self.direction { l4 + 4 } else { l4 + 8 };
        let by = if skew.of == self.direction { skew.by } else { -skew.by };
        let shifted = be32(bytes, number).wrapping_add_signed(by);
        put32(bytes, number, shifted);
        if let Upper::Tcp(segment) = &mut self.seen.upper
            && skew.of != self.direction
        {
            segment.acknowledgment = shifted;
        }
        rewrite::renew_tcp_checksum(self.datagram, &self.seen.places);
    }

    /// Notes what the packet announces, and translates the address in it.
    pub(crate) fn announce(
        &mut self,
        helper: Helper,
        connection: &mut Connection,
        expectations: &Expectations,
    ) -> Result<(), Malformed> {
        match helper {
            Helper::Tftp => {
                self.expect(connection, expectations, connection.original.src.port);
                Ok(())
            }
            Helper::Ftp => match self.message() {
                Message::Other => Ok(()),
                Message::Malformed => Err(Malformed),
                Message::Announces(announced) => self.announce_ftp(&announced, connection, expectations),
            },
        }
    }

    fn expect(&self, connection: &Connection, expectations: &Expectations, port: u16) {
        let by = Announcing {
            original: &connection.original,
            reply: &connection.reply,
            translated: connection.translated,
            mark: connection.mark,
            label: connection.label,
        };
        expectations.add(Expectation::new(&by, self.direction, port));
    }

    fn announce_ftp(
        &mut self,
        announced: &Announced,
        connection: &mut Connection,
        expectations: &Expectations,
    ) -> Result<(), Malformed> {
        let (outside, own) = if announced.is_active {
            (connection.reply.dst.address, connection.original.src.address)
        } else {
            (connection.original.dst.address, connection.reply.src.address)
        };
        // Nobody lets a connection to a third party in.
        if let Some((address, _)) = &announced.address
            && *address != own.number()
            && *address != outside.number()
        {
            return Err(Malformed);
        }
        self.expect(connection, expectations, announced.port);
        let mut longer = 0;
        if self.translates
            && let Some((_, place)) = &announced.address
        {
            let is_v6 = self.datagram.is_v6();
            let text = ftp::write_address(outside.number(), is_v6, announced.has_commas);
            longer = self.replace(place.clone(), text.as_bytes());
        }
        self.apply(connection.skew);
        if longer != 0 {
            let before = connection.skew.map_or(0, |skew| skew.by);
            connection.skew = Some(Skew { by: before.wrapping_add(longer), of: self.direction });
        }
        rewrite::renew_tcp_checksum(self.datagram, &self.seen.places);
        Ok(())
    }

    /// Replaces a part of the payload; by how much it became longer.
    fn replace(&mut self, place: std::ops::Range<usize>, text: &[u8]) -> i32 {
        let l4 = self.seen.places.l4(self.datagram.bytes());
        let Some(header) = tcp::Tcp::parse(l4) else { return 0 };
        let at = self.seen.places.l4 + header.header_len() + place.start;
        let longer = text.len() as i32 - place.len() as i32;
        let Some(end) = self.seen.places.end.checked_add_signed(longer as isize) else { return 0 };
        self.datagram.splice(at, place.len(), text);
        self.seen.places.end = end;
        let is_v6 = self.datagram.is_v6();
        let bytes = self.datagram.bytes_mut();
        if is_v6 {
            put16(bytes, 4, end.saturating_sub(wire::ipv6::LEN) as u16);
        } else if let Some(mut ip) = Ipv4Mut::parse_header(bytes) {
            ip.set_total_len(end as u16);
        }
        longer
    }
}
