//! Changing addresses and ports of a packet, and the checksums that cover them.
//!
//! A checksum that the device completes holds the sum of the pseudo header only: changes of addresses are brought into that
//! sum, changes of ports are left to the device.

use wire::bytes::{be16, put16};
use wire::checksum::{pseudo_ipv6, replace16, replace32, replace128};
use wire::icmp;
use wire::ipv4::Ipv4Mut;
use wire::ipv6::{Ipv6, Ipv6Mut};
use wire::transport::{self, Ports};
use wire::{TypedForm, protocol, sctp};

use crate::connection::Translated;
use crate::datagram::{Datagram, KnownChecksum, Places, quoted};
use crate::key::Key;

/// Makes a packet one of `target`: the address that `translated` names, and the ports.
pub(crate) fn translate(datagram: &mut impl Datagram, places: &Places, target: &Key, translated: Translated) {
    let (is_v6, checksum) = (datagram.is_v6(), datagram.checksum());
    let mut header = Header { bytes: datagram.bytes_mut(), places: *places, is_v6, checksum };
    header.set_address(target, translated);
    header.set_ports(target);
}

/// The same for an error of ICMP about a connection whose packets of the error's direction are to become `target`. The packet
/// that it quotes goes the other way.
pub(crate) fn translate_error(
    datagram: &mut impl Datagram,
    places: &Places,
    target: &Key,
    translated: Translated,
) {
    let (is_v6, checksum) = (datagram.is_v6(), datagram.checksum());
    let inner = quoted(datagram, places);
    let mut outer = Header { bytes: datagram.bytes_mut(), places: *places, is_v6, checksum };
    outer.set_address(target, translated);
    if let Some((at, places)) = inner {
        let bytes = outer.bytes.get_mut(at..outer.places.end).unwrap_or(&mut []);
        let mut inner = Header { bytes, places, is_v6, checksum: KnownChecksum::Unknown };
        inner.set_address(&target.reversed(), translated.reversed());
        inner.set_ports(&target.reversed());
    }
    outer.write_icmp_checksum();
}

/// Computes the checksum of TCP anew after its payload was changed.
pub(crate) fn renew_tcp_checksum(datagram: &mut impl Datagram, places: &Places) {
    let (is_v6, is_partial) = (datagram.is_v6(), datagram.checksum() == KnownChecksum::Partial);
    let bytes = datagram.bytes_mut();
    let len = places.end.saturating_sub(places.l4);
    let pseudo = if is_v6 {
        let Some(ip) = Ipv6::parse_header(bytes) else { return };
        pseudo_ipv6(ip.src(), ip.dst(), protocol::TCP, len)
    } else {
        let Some(ip) = wire::ipv4::Ipv4::parse_header(bytes) else { return };
        wire::checksum::pseudo_ipv4(ip.src(), ip.dst(), protocol::TCP, len)
    };
    let l4 = bytes.get_mut(places.l4..places.end).unwrap_or(&mut []);
    if is_partial {
        transport::set_check(protocol::TCP, l4, pseudo.sum());
    } else {
        transport::write_checksum(protocol::TCP, l4, pseudo);
    }
}

/// A packet's headers.
struct Header<'a> {
    bytes: &'a mut [u8],
    places: Places,
    is_v6: bool,
    checksum: KnownChecksum,
}

impl Header<'_> {
    fn l4(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.places.l4..self.places.end).unwrap_or(&mut [])
    }

    fn set_address(&mut self, target: &Key, translated: Translated) {
        let new = match translated {
            Translated::Source => target.src.address.number(),
            Translated::Destination => target.dst.address.number(),
        };
        if self.is_v6 {
            let Some(mut ip) = Ipv6Mut::parse_header(self.bytes) else { return };
            let old = match translated {
                Translated::Source => {
                    let old = ip.view().src();
                    ip.set_src(new);
                    old
                }
                Translated::Destination => {
                    let old = ip.view().dst();
                    ip.set_dst(new);
                    old
                }
            };
            self.fix_check(|check| replace128(check, old, new));
        } else {
            let Some(mut ip) = Ipv4Mut::parse_header(self.bytes) else { return };
            let new = new as u32;
            let old = match translated {
                Translated::Source => {
                    let old = ip.view().src();
                    ip.set_src(new);
                    old
                }
                Translated::Destination => {
                    let old = ip.view().dst();
                    ip.set_dst(new);
                    old
                }
            };
            self.fix_check(|check| replace32(check, old, new));
        }
    }

    /// Corrects the checksum that covers addresses, if there is one in use; `fix` makes the new one of the old.
    fn fix_check(&mut self, fix: impl Fn(u16) -> u16) {
        let (protocol, is_partial) = (self.places.protocol, self.checksum == KnownChecksum::Partial);
        if !self.places.covers_addresses {
            return;
        }
        let l4 = self.l4();
        let Some(old) = transport::check(protocol, l4) else { return };
        let new = match protocol {
            protocol::TCP | protocol::UDP | protocol::ICMPV6 if is_partial => !fix(!old),
            // The sender computed none.
            protocol::UDP if old == 0 => return,
            protocol::TCP | protocol::UDP | protocol::ICMPV6 => transport::usable(protocol, fix(old)),
            _ => return,
        };
        transport::set_check(protocol, l4, new);
    }

    fn set_ports(&mut self, target: &Key) {
        let new = Ports { src: target.src.port, dst: target.dst.port };
        let is_partial = self.checksum == KnownChecksum::Partial;
        match self.places.protocol {
            protocol::TCP | protocol::UDP => {
                let Some(old) = Ports::parse(self.l4()) else { return };
                if old == new {
                    return;
                }
                if !is_partial {
                    self.fix_ports_check(old, new);
                }
                put_ports(self.l4(), new);
            }
            protocol::SCTP => {
                let l4 = self.l4();
                if Ports::parse(l4).is_none_or(|old| old == new) {
                    return;
                }
                put_ports(l4, new);
                if !is_partial && l4.len() >= sctp::LEN {
                    sctp::write_checksum(l4);
                }
            }
            protocol::ICMP if !self.is_v6 => {
                let l4 = self.l4();
                let old = be16(l4, ICMP_ID);
                if let Some(check) = transport::check(protocol::ICMP, l4).filter(|_| l4.len() >= icmp::LEN) {
                    put16(l4, ICMP_ID, new.src);
                    transport::set_check(protocol::ICMP, l4, replace16(check, old, new.src));
                }
            }
            _ => {}
        }
    }

    fn fix_ports_check(&mut self, old: Ports, new: Ports) {
        let protocol = self.places.protocol;
        let l4 = self.l4();
        let Some(check) = transport::check(protocol, l4) else { return };
        if protocol == protocol::UDP && check == 0 {
            return;
        }
        let check = replace32(check, old.word(), new.word());
        transport::set_check(protocol, l4, transport::usable(protocol, check));
    }

    fn write_icmp_checksum(&mut self) {
        let (is_v6, len) = (self.is_v6, self.places.end.saturating_sub(self.places.l4));
        if is_v6 {
            let Some(ip) = Ipv6::parse_header(self.bytes) else { return };
            let pseudo = pseudo_ipv6(ip.src(), ip.dst(), protocol::ICMPV6, len);
            transport::write_checksum(protocol::ICMPV6, self.l4(), pseudo);
        } else {
            transport::write_checksum(protocol::ICMP, self.l4(), wire::Checksum::new());
        }
    }
}

/// Where the identifier stands.
const ICMP_ID: usize = 4;

fn put_ports(l4: &mut [u8], ports: Ports) {
    put16(l4, 0, ports.src);
    put16(l4, 2, ports.dst);
}
