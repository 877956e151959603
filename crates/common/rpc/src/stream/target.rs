//! The grammar of stream names.

use crate::dirs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Active {
    Unix(PathBuf),
    Tcp { host: String, port: u16 },
    Tls { host: String, port: u16 },
}

/// Where to listen. An empty host is every address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passive {
    Unix(PathBuf),
    Tcp {
        host: String,
        port: u16,
    },
    Tls {
        host: String,
        port: u16,
    },
    /// A descriptor that listens already.
    Fd(i32),
}

/// Whether `name` begins as a name of [`Active`] does.
pub fn is_active_name(name: &str) -> bool {
    matches!(name.split_once(':'), Some(("unix" | "tcp" | "ssl", _)))
}

/// Whether `name` begins as a name of [`Passive`] does.
pub fn is_passive_name(name: &str) -> bool {
    matches!(name.split_once(':'), Some(("punix" | "ptcp" | "pssl" | "pfd", _)))
}

/// Whether `name` begins as that of a connection over TLS does, of either kind.
pub fn is_tls_name(name: &str) -> bool {
    matches!(name.split_once(':'), Some(("ssl" | "pssl", _)))
}

fn unsupported() -> io::Error {
    io::Error::from_raw_os_error(libc::EAFNOSUPPORT)
}

impl Active {
    pub fn parse(name: &str, default_port: u16) -> io::Result<Active> {
        let (kind, rest) = name.split_once(':').ok_or_else(unsupported)?;
        match kind {
            "unix" => Ok(Active::Unix(dirs::absolute(&dirs::rundir(), rest))),
            "tcp" | "ssl" => {
                let (host, port) = tokens(rest);
                if host.is_empty() {
                    log::error!(target: "socket_util", "{rest}: host must be specified");
                    return Err(unsupported());
                }
                let port = parse_port(rest, port, default_port)?;
                let host = host.to_owned();
                Ok(if kind == "tcp" { Active::Tcp { host, port } } else { Active::Tls { host, port } })
            }
            _ => Err(unsupported()),
        }
    }
}

impl Passive {
    pub fn parse(name: &str, default_port: u16) -> io::Result<Passive> {
        let (kind, rest) = name.split_once(':').ok_or_else(unsupported)?;
        match kind {
            "punix" => Ok(Passive::Unix(dirs::absolute(&dirs::rundir(), rest))),
            "pfd" => match rest.parse() {
                Ok(fd @ 0..) => Ok(Passive::Fd(fd)),
                _ => {
                    log::error!(target: "stream_unix", "{name}: bad file descriptor");
                    Err(io::Error::from_raw_os_error(libc::EINVAL))
                }
            },
            "ptcp" | "pssl" => {
                let (port, host) = tokens(rest);
                let port = parse_port(rest, port, default_port)?;
                let host = host.to_owned();
                Ok(if kind == "ptcp" { Passive::Tcp { host, port } } else { Passive::Tls { host, port } })
            }
            _ => Err(unsupported()),
        }
    }
}

/// `A[:B]`, where either may be in square brackets.
fn tokens(text: &str) -> (&str, &str) {
    let (first, rest) = token(text);
    (first, token(rest.strip_prefix(':').unwrap_or(rest)).0)
}

fn token(text: &str) -> (&str, &str) {
    if let Some(inside) = text.strip_prefix('[')
        && let Some((token, rest)) = inside.split_once(']')
    {
        return (token, rest);
    }
    text.split_at(text.find(':').unwrap_or(text.len()))
}

fn parse_port(target: &str, port: &str, default_port: u16) -> io::Result<u16> {
    if port.is_empty() {
        return Ok(default_port);
    }
    port.parse().map_err(|_| {
        log::error!(target: "socket_util", "{target}: bad port number \"{port}\"");
        unsupported()
    })
}

/// The socket address of a host that is an address (with `%SCOPE` perhaps), a name, or empty for any.
pub(super) async fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    if host.is_empty() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    if let Some((address, scope)) = host.split_once('%')
        && let Ok(address) = address.parse::<Ipv6Addr>()
    {
        let scope = scope_id(scope)?;
        return Ok(SocketAddr::V6(SocketAddrV6::new(address, port, 0, scope)));
    }
    let mut addresses = tokio::net::lookup_host((host, port)).await.map_err(|_| unsupported())?;
    addresses.next().ok_or_else(unsupported)
}

fn scope_id(scope: &str) -> io::Result<u32> {
    if let Ok(number) = scope.parse() {
        return Ok(number);
    }
    let text = std::fs::read_to_string(format!("/sys/class/net/{scope}/ifindex"))?;
    text.trim().parse().map_err(|_| unsupported())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_kinds_are_read() {
        let tcp = |host: &str, port| Active::Tcp { host: host.into(), port };
        assert_eq!(Active::parse("tcp:1.2.3.4", 6640).unwrap(), tcp("1.2.3.4", 6640));
        assert_eq!(Active::parse("tcp:[::1]:99", 6640).unwrap(), tcp("::1", 99));
        assert_eq!(Active::parse("unix:/a/b", 0).unwrap(), Active::Unix("/a/b".into()));
        let ptcp = |host: &str, port| Passive::Tcp { host: host.into(), port };
        assert_eq!(Passive::parse("ptcp:", 6640).unwrap(), ptcp("", 6640));
        assert_eq!(Passive::parse("ptcp:0:[::1]", 6640).unwrap(), ptcp("::1", 0));
        assert_eq!(Passive::parse("pfd:3", 0).unwrap(), Passive::Fd(3));
        assert_eq!(Passive::parse("ptcp::127.0.0.1", 6640).unwrap(), ptcp("127.0.0.1", 6640));
    }

    #[test]
    fn other_names_are_refused() {
        for bad in ["", "unix", "xyz:1", "tcp:", "tcp:a:b", "tcp:a:70000", "ptcp:1"] {
            assert!(Active::parse(bad, 1).is_err(), "{bad}");
        }
        for bad in ["", "pfd:", "pfd:-1", "pfd:x", "ptcp:70000"] {
            assert!(Passive::parse(bad, 1).is_err(), "{bad}");
        }
    }
}
