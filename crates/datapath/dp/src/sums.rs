//! What a device says of the checksums of a packet, and which of them are left to the device that sends it.
//!
//! Devices that compute checksums themselves say what they found in what they receive. A checksum that is known to be right is
//! not corrected when the packet is changed: it is *due*, and is computed once, whole, by whoever sends the packet: the
//! device if it can ([`Abilities`]), or [`complete`] before. What stands in the packet meanwhile counts for nothing.
//!
//! Packet sockets and taps know nothing of this ([`crate::Offload`] is what they know), so packets of theirs have no [`Sums`]
//! and pay nothing for them; dummies have them.

use wire::bytes::{be16, put16};
use wire::checksum::{Checksum, pseudo_ipv4, pseudo_ipv6};
use wire::{ethernet, ipv4, ipv6, protocol, transport};

use crate::Packet;

/// What is known of one checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Known {
    /// Nothing: who wants to know computes it.
    #[default]
    Nothing,
    /// It was found right.
    Good,
    /// It was found wrong.
    Bad,
    /// Whoever sends the packet is to compute it.
    Due,
}

impl Known {
    /// Whether it was found right, or will be when the packet is sent.
    pub fn is_trusted(self) -> bool {
        match self {
            Known::Good | Known::Due => true,
            Known::Nothing | Known::Bad => false,
        }
    }
}

/// What is known of the checksums of one packet's headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Layers {
    /// That of the header of IPv4.
    pub network: Known,
    /// That of TCP or UDP.
    pub transport: Known,
}

impl Layers {
    fn has_due(self) -> bool {
        self.network == Known::Due || self.transport == Known::Due
    }
}

/// What is known of a packet's checksums.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    /// Those of its first headers.
    pub outer: Layers,
    /// Those of the packet inside a tunnel over UDP whose headers the switch has put on.
    pub inner: Option<Inner>,
}

/// A packet inside a tunnel over UDP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inner {
    /// Bytes before it.
    pub at: usize,
    /// Whether it begins with an Ethernet header, or with its network header.
    pub is_ethernet: bool,
    /// What is known of it.
    pub layers: Layers,
}

/// The checksums that a device computes when it sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Abilities {
    /// Those of IPv4 headers, of packets inside tunnels too.
    pub network: bool,
    /// Those of TCP and UDP, of packets inside tunnels too.
    pub transport: bool,
    /// Those of the IPv4 headers of tunnels.
    pub tunnel_network: bool,
    /// Those of the UDP headers of tunnels.
    pub tunnel_transport: bool,
}

/// Where the checksums of a packet are.
struct Places {
    /// The network header's beginning and end.
    network: (usize, usize),
    is_v6: bool,
    transport: Option<Transport>,
}

struct Transport {
    /// Where its header begins, and where the packet ends.
    at: usize,
    end: usize,
    protocol: u8,
    pseudo: Checksum,
}

/// Changes headers of the packet, which stay where they are. Of the checksums that are known to be right those that the
/// change would correct are due from here on, and stand as they stood.
pub fn leave_to_sender<T>(packet: &mut Packet, change: impl FnOnce(&mut Packet) -> T) -> T {
    let Some(mut sums) = packet.sums.as_deref().copied() else { return change(packet) };
    let is_ethernet = packet.metadata.packet_type == 0;
    let Some(places) = Places::of(packet, 0, is_ethernet) else { return change(packet) };
    let (network, transport) = (places.network_check(packet), places.transport_check(packet));
    let len = packet.len();
    let result = change(packet);
    if packet.len() == len && packet.sums.is_some() {
        let Layers { network: known, transport: known_transport } = &mut sums.outer;
        if known.is_trusted() && places.network_check(packet) != network {
            places.set_network_check(packet, network);
            *known = Known::Due;
        }
        if known_transport.is_trusted() && places.transport_check(packet) != transport {
            places.set_transport_check(packet, transport);
            *known_transport = Known::Due;
        }
        packet.sums = Some(Box::new(sums));
    }
    result
}

/// Computes the checksums that are due and that a device with these abilities does not compute. What is left is its own.
pub fn complete(packet: &mut Packet, device: Abilities) {
    let Some(sums) = packet.sums.as_deref().copied() else { return };
    let tunnel = sums.inner.filter(|inner| inner.layers.has_due());
    let left = match tunnel {
        Some(inner) => complete_tunnel(packet, inner, device),
        // A tunnel whose packet is as it should be is a packet like others.
        None => {
            let (mut outer, is_ethernet) = (sums.outer, packet.metadata.packet_type == 0);
            complete_layers(packet, 0, is_ethernet, &mut outer, device.network, device.transport);
            Sums { outer, inner: sums.inner }
        }
    };
    packet.sums = Some(Box::new(left));
}

fn complete_tunnel(packet: &mut Packet, mut inner: Inner, device: Abilities) -> Sums {
    let mut outer = packet.sums.as_deref().copied().unwrap_or_default().outer;
    let mut is_left_inside = true;
    if outer.transport == Known::Due && !device.tunnel_transport {
        // The device would change what the sum covers.
        is_left_inside = sum_around(packet, &inner);
        if is_left_inside {
            outer.transport = Known::Good;
        }
    }
    let (network, transport) = (device.network && is_left_inside, device.transport && is_left_inside);
    complete_layers(packet, inner.at, inner.is_ethernet, &mut inner.layers, network, transport);
    complete_layers(packet, 0, true, &mut outer, device.tunnel_network, device.tunnel_transport);
    Sums { outer, inner: Some(inner) }
}

fn complete_layers(
    packet: &mut Packet,
    at: usize,
    is_ethernet: bool,
    layers: &mut Layers,
    leaves_network: bool,
    leaves_transport: bool,
) {
    if !layers.has_due() {
        return;
    }
    let Some(places) = Places::of(packet, at, is_ethernet) else { return };
    if layers.network == Known::Due && !leaves_network {
        let (from, to) = places.network;
        if !places.is_v6 {
            ipv4::write_checksum(packet.bytes_mut().get_mut(from..to).unwrap_or(&mut []));
        }
        layers.network = Known::Good;
    }
    if layers.transport == Known::Due && !leaves_transport {
        // UDP whose sender computed none has none.
        let has_none = |transport: &&Transport| {
            transport.protocol == protocol::UDP && places.transport_check(packet) == Some(0)
        };
        if let Some(transport) = places.transport.as_ref().filter(|transport| !has_none(transport)) {
            let bytes = packet.bytes_mut().get_mut(transport.at..transport.end).unwrap_or(&mut []);
            transport::write_checksum(transport.protocol, bytes, transport.pseudo);
        }
        layers.transport = Known::Good;
    }
}

/// Finds out whether the sender of a packet left its checksum to the device, where nothing beside the packet says so: the
/// checksum is then the sum of the pseudo header alone, and is to be completed.
///
/// One of 65,536 packets that are whole has that sum, too. Completed it comes out the same.
#[inline]
pub fn find_partial(packet: &mut Packet) {
    let Some(Places { transport: Some(transport), .. }) = Places::of(packet, 0, true) else { return };
    let header = packet.bytes().get(transport.at..);
    let check = header.and_then(|header| transport::check(transport.protocol, header));
    // What stands behind the packet is not to be summed.
    if check != Some(transport.pseudo.sum()) || transport.end != packet.len() {
        return;
    }
    let place = |at: usize| u16::try_from(at).ok();
    let offset = match transport.protocol {
        protocol::UDP => wire::udp::CHECK_OFFSET,
        _ => wire::tcp::CHECK_OFFSET,
    };
    packet.offload.checksum = place(transport.at).zip(place(offset));
}

/// Computes the checksum of a tunnel's UDP header without a look at the data of the packet inside, which add up to what its own
/// checksum says; false when nobody knows that to be right.
fn sum_around(packet: &mut Packet, inner: &Inner) -> bool {
    let Some(outer) = Places::of(packet, 0, true).and_then(|places| places.transport) else { return false };
    let Some(inside) = Places::of(packet, inner.at, inner.is_ethernet) else { return false };
    let check = inside.transport_check(packet);
    let Some(transport) = &inside.transport else { return false };
    let has_sum = check.is_some() && !(transport.protocol == protocol::UDP && check == Some(0));
    if !inner.layers.transport.is_trusted() || !has_sum {
        return false;
    }
    let bytes = packet.bytes_mut();
    put16(bytes, outer.at + wire::udp::CHECK_OFFSET, 0);
    let (from, to) = inside.network;
    let part = |from: usize, to: usize| bytes.get(from..to).unwrap_or(&[]);
    let mut sum = outer.pseudo.bytes(part(outer.at, from));
    // A right header of IPv4 adds nothing.
    if inside.is_v6 || !inner.layers.network.is_trusted() {
        sum = sum.bytes(part(from, to));
    }
    let check = transport::usable(protocol::UDP, sum.word(!transport.pseudo.sum()).finish());
    put16(bytes, outer.at + wire::udp::CHECK_OFFSET, check);
    true
}

impl Places {
    /// Those of the packet that begins at `at`; `None` when it is no IP. Fragments have no transport header.
    fn of(packet: &Packet, at: usize, is_ethernet: bool) -> Option<Places> {
        let bytes = packet.bytes().get(at..)?;
        let (l3, ether_type) = if is_ethernet {
            let (at, ether_type) = ethernet::type_behind_tags(bytes)?;
            (at + 2, ether_type)
        } else {
            (
                0,
                match bytes.first()? >> 4 {
                    4 => ethernet::TYPE_IPV4,
                    6 => ethernet::TYPE_IPV6,
                    _ => return None,
                },
            )
        };
        let rest = bytes.get(l3..)?;
        match ether_type {
            ethernet::TYPE_IPV4 => Places::of_v4(rest, at + l3),
            ethernet::TYPE_IPV6 => Places::of_v6(rest, at + l3),
            _ => None,
        }
    }

    fn of_v4(bytes: &[u8], at: usize) -> Option<Places> {
        let ip = ipv4::Ipv4::parse(bytes)?;
        let (end, len) = (at + ip.header_len(), ip.payload().len());
        let transport = (!ip.is_fragment()).then(|| Transport {
            at: end,
            end: end + len,
            protocol: ip.protocol(),
            pseudo: pseudo_ipv4(ip.src(), ip.dst(), ip.protocol(), len),
        });
        Some(Places { network: (at, end), is_v6: false, transport: transport.filter(Transport::is_known) })
    }

    fn of_v6(bytes: &[u8], at: usize) -> Option<Places> {
        let ip = ipv6::Ipv6::parse(bytes)?;
        let end = at + ipv6::LEN + ip.payload().len();
        let upper = ipv6::upper(ip.next_header(), ip.payload())
            .filter(|upper| !upper.is_later_fragment && !upper.has_routing);
        let transport = upper.map(|upper| {
            let len = upper.payload.len();
            let pseudo = pseudo_ipv6(ip.src(), ip.dst(), upper.protocol, len);
            Transport { at: end - len, end, protocol: upper.protocol, pseudo }
        });
        let header_end = transport.as_ref().map_or(at + ipv6::LEN, |transport| transport.at);
        Some(Places {
            network: (at, header_end),
            is_v6: true,
            transport: transport.filter(Transport::is_known),
        })
    }

    fn network_check(&self, packet: &Packet) -> Option<u16> {
        (!self.is_v6).then(|| be16(packet.bytes(), self.network.0 + ipv4::CHECK_OFFSET))
    }

    fn set_network_check(&self, packet: &mut Packet, check: Option<u16>) {
        if let Some(check) = check {
            put16(packet.bytes_mut(), self.network.0 + ipv4::CHECK_OFFSET, check);
        }
    }

    fn transport_check(&self, packet: &Packet) -> Option<u16> {
        let transport = self.transport.as_ref()?;
        transport::check(transport.protocol, packet.bytes().get(transport.at..transport.end)?)
    }

    fn set_transport_check(&self, packet: &mut Packet, check: Option<u16>) {
        if let (Some(transport), Some(check)) = (&self.transport, check) {
            let bytes = packet.bytes_mut().get_mut(transport.at..transport.end).unwrap_or(&mut []);
            transport::set_check(transport.protocol, bytes, check);
        }
    }
}

impl Transport {
    /// Whether devices know its checksum.
    fn is_known(&self) -> bool {
        matches!(self.protocol, protocol::TCP | protocol::UDP)
    }
}

#[cfg(test)]
mod tests;
