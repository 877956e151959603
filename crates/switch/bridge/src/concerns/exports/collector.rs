//! Where exports are sent to: UDP sockets that never wait.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};

/// Where datagrams go.
#[derive(Debug)]
pub(crate) struct Collector {
    target: String,
    address: SocketAddr,
    /// None while there is no way to it.
    socket: Option<UdpSocket>,
    /// Its last error has been reported.
    is_complained: bool,
}

impl Collector {
    /// `port` is that of collectors whose target names none; without it, targets have to name one.
    pub(crate) fn new(target: &str, port: Option<u16>) -> Option<Collector> {
        match resolve(target, port) {
            Ok(address) => {
                Some(Collector { target: target.to_owned(), address, socket: None, is_complained: false })
            }
            Err(e) => {
                complain_open(target, &e);
                None
            }
        }
    }

    /// The socket, opened if need be: connected, so that the system chooses our address by its routes.
    fn socket(&mut self) -> io::Result<&UdpSocket> {
        if self.socket.is_none() {
            let any: IpAddr = match self.address {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind((any, 0))?;
            socket.connect(self.address)?;
            socket.set_nonblocking(true)?;
            self.socket = Some(socket);
        }
        self.socket.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
    }

    /// The address from which it is reached, if there is a way to it.
    pub(crate) fn local_address(&mut self) -> Option<IpAddr> {
        let local = self.socket().ok()?.local_addr().ok()?.ip();
        (!local.is_unspecified()).then_some(local)
    }

    /// Sends a datagram, or drops it: collectors see the gap in its number. Returns whether it was sent.
    pub(crate) fn send(&mut self, datagram: &[u8]) -> bool {
        let socket = match self.socket() {
            Ok(socket) => socket,
            Err(e) => {
                if !std::mem::replace(&mut self.is_complained, true) {
                    complain_open(&self.target, &e);
                }
                return false;
            }
        };
        let mut sent = socket.send(datagram);
        if sent.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            // That was the answer to an earlier datagram; this one has not gone yet.
            sent = socket.send(datagram);
        }
        match &sent {
            Ok(_) => self.is_complained = false,
            Err(e) if !self.is_complained => {
                self.is_complained = true;
                let (target, reason) = (&self.target, rpc::error_text(e));
                log::warn!(target: base::bounded!("collectors"), "{target}: sending to collector failed ({reason})");
            }
            Err(_) => {}
        }
        sent.is_ok()
    }
}

fn complain_open(target: &str, error: &io::Error) {
    let reason = rpc::error_text(error);
    log::warn!(target: base::bounded!("collectors"), "couldn't open connection to collector {target} ({reason})");
}

/// `HOST[:PORT]`, where an IPv6 address stands in brackets if a port follows.
fn resolve(target: &str, default_port: Option<u16>) -> io::Result<SocketAddr> {
    let missing = || io::Error::from(io::ErrorKind::InvalidInput);
    if let Ok(address) = target.parse::<IpAddr>() {
        return Ok((address, default_port.ok_or_else(missing)?).into());
    }
    if let Ok(address) = target.parse::<SocketAddr>() {
        return Ok(address);
    }
    if let Some(address) = target.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        return Ok((address, default_port.ok_or_else(missing)?).into());
    }
    let (host, port) = target.rsplit_once(':').unwrap_or((target, ""));
    let port = match port {
        "" => default_port.ok_or_else(missing)?,
        port => port.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
    };
    let mut addresses = (host, port).to_socket_addrs()?;
    addresses.next().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_with_and_without_port() {
        let read = |target| resolve(target, Some(6343)).unwrap().to_string();
        assert_eq!(read("172.16.18.18:6344"), "172.16.18.18:6344");
        assert_eq!(read("172.16.18.18"), "172.16.18.18:6343");
        assert_eq!(read("[::1]:7"), "[::1]:7");
        assert_eq!(read("[::1]"), "[::1]:6343");
        assert_eq!(read("::1"), "[::1]:6343");
        assert!(resolve("10.0.0.1:port", Some(6343)).is_err());
        assert!(["10.0.0.1", "::1", "[::1]", "host"].iter().all(|target| resolve(target, None).is_err()));
    }

    #[test]
    fn datagrams_reach_a_collector() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut collector = Collector::new(&receiver.local_addr().unwrap().to_string(), Some(6343)).unwrap();
        collector.send(b"datagram");
        let mut buffer = [0; 100];
        let len = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"datagram");
    }
}
