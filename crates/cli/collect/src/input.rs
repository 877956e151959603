//! The sockets that a collector listens on and sends by.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::options::Family;

/// Listens. A socket for IPv6 takes IPv4 too; where there is no IPv6, IPv4 has to do.
pub(crate) fn listen(port: u16, address: Option<IpAddr>, family: Family) -> Result<UdpSocket, String> {
    bind(port, address, family)
        .map_err(|e| format!("cannot listen on UDP port {port}: {}", rpc::error_text(&e)))
}

fn bind(port: u16, address: Option<IpAddr>, family: Family) -> io::Result<UdpSocket> {
    if let Some(address) = address {
        return UdpSocket::bind((address, port));
    }
    let any4 = (Ipv4Addr::UNSPECIFIED, port);
    let any6 = (Ipv6Addr::UNSPECIFIED, port);
    match family {
        Family::V4 => UdpSocket::bind(any4),
        Family::V6 => UdpSocket::bind(any6),
        Family::Any => match UdpSocket::bind(any6) {
            Err(e) if e.kind() != io::ErrorKind::AddrInUse => UdpSocket::bind(any4),
            bound => bound,
        },
    }
}

/// A socket that sends to `target`.
pub(crate) fn sender(target: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0))
}
