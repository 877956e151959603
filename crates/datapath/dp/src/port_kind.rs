//! The kinds of ports, and their names at the edges: database, commands, logs.

use std::fmt;
use std::str::FromStr;

/// What stands behind a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum PortKind {
    /// A network device of the machine.
    #[default]
    System,
    /// A device of the switch's own, by which its machine takes part.
    Internal,
    /// The same, as userspace datapaths make it.
    Tap,
    /// A network device of the machine, by sockets past its network stack (AF_XDP), asked for packets all the time.
    Afxdp,
    /// The same, waited for.
    AfxdpNonPmd,
    /// A port for tests, which is no device.
    Dummy,
    /// The same in the place of an internal port.
    DummyInternal,
    /// The same with queues of its own.
    DummyPmd,
    /// A tunnel: packets come out of and go into it by actions alone.
    Tunnel(TunnelKind),
}

/// What carries the packets of a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)] // each is the protocol of its name
pub enum TunnelKind {
    Geneve,
    Gre,
    Vxlan,
    Erspan,
    Ip6Erspan,
    Ip6Gre,
    Gtpu,
    Bareudp,
    Srv6,
    Lisp,
    Stt,
}

/// No kind of port has this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown port type {0}")]
pub struct UnknownPortKind(pub String);

impl PortKind {
    /// Those that are no tunnels.
    pub const DEVICES: [PortKind; 8] = [
        PortKind::System,
        PortKind::Internal,
        PortKind::Tap,
        PortKind::Afxdp,
        PortKind::AfxdpNonPmd,
        PortKind::Dummy,
        PortKind::DummyInternal,
        PortKind::DummyPmd,
    ];

    /// Its name in the database and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            PortKind::System => "system",
            PortKind::Internal => "internal",
            PortKind::Tap => "tap",
            PortKind::Afxdp => "afxdp",
            PortKind::AfxdpNonPmd => "afxdp-nonpmd",
            PortKind::Dummy => "dummy",
            PortKind::DummyInternal => "dummy-internal",
            PortKind::DummyPmd => "dummy-pmd",
            PortKind::Tunnel(tunnel) => tunnel.name(),
        }
    }

    /// Whether it is for tests.
    pub const fn is_dummy(self) -> bool {
        match self {
            PortKind::Dummy | PortKind::DummyInternal | PortKind::DummyPmd => true,
            PortKind::System
            | PortKind::Internal
            | PortKind::Tap
            | PortKind::Afxdp
            | PortKind::AfxdpNonPmd
            | PortKind::Tunnel(_) => false,
        }
    }

    /// Whether it is a port of the switch's machine itself.
    pub const fn is_internal(self) -> bool {
        match self {
            PortKind::Internal | PortKind::Tap | PortKind::DummyInternal => true,
            PortKind::System
            | PortKind::Afxdp
            | PortKind::AfxdpNonPmd
            | PortKind::Dummy
            | PortKind::DummyPmd
            | PortKind::Tunnel(_) => false,
        }
    }

    /// Whether it is a device by sockets past the network stack.
    pub const fn is_afxdp(self) -> bool {
        match self {
            PortKind::Afxdp | PortKind::AfxdpNonPmd => true,
            PortKind::System
            | PortKind::Internal
            | PortKind::Tap
            | PortKind::Dummy
            | PortKind::DummyInternal
            | PortKind::DummyPmd
            | PortKind::Tunnel(_) => false,
        }
    }

    /// What carries its packets, where it is a tunnel.
    pub const fn tunnel(self) -> Option<TunnelKind> {
        match self {
            PortKind::Tunnel(tunnel) => Some(tunnel),
            PortKind::System
            | PortKind::Internal
            | PortKind::Tap
            | PortKind::Afxdp
            | PortKind::AfxdpNonPmd
            | PortKind::Dummy
            | PortKind::DummyInternal
            | PortKind::DummyPmd => None,
        }
    }
}

impl TunnelKind {
    /// All of them.
    pub const ALL: [TunnelKind; 11] = [
        TunnelKind::Geneve,
        TunnelKind::Gre,
        TunnelKind::Vxlan,
        TunnelKind::Erspan,
        TunnelKind::Ip6Erspan,
        TunnelKind::Ip6Gre,
        TunnelKind::Gtpu,
        TunnelKind::Bareudp,
        TunnelKind::Srv6,
        TunnelKind::Lisp,
        TunnelKind::Stt,
    ];

    /// Its name in the database and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            TunnelKind::Geneve => "geneve",
            TunnelKind::Gre => "gre",
            TunnelKind::Vxlan => "vxlan",
            TunnelKind::Erspan => "erspan",
            TunnelKind::Ip6Erspan => "ip6erspan",
            TunnelKind::Ip6Gre => "ip6gre",
            TunnelKind::Gtpu => "gtpu",
            TunnelKind::Bareudp => "bareudp",
            TunnelKind::Srv6 => "srv6",
            TunnelKind::Lisp => "lisp",
            TunnelKind::Stt => "stt",
        }
    }
}

impl From<TunnelKind> for PortKind {
    fn from(tunnel: TunnelKind) -> PortKind {
        PortKind::Tunnel(tunnel)
    }
}

impl FromStr for PortKind {
    type Err = UnknownPortKind;

    /// By its name; the empty name is "system".
    fn from_str(name: &str) -> Result<PortKind, UnknownPortKind> {
        if name.is_empty() {
            return Ok(PortKind::System);
        }
        let mut all = PortKind::DEVICES.into_iter().chain(TunnelKind::ALL.map(PortKind::Tunnel));
        all.find(|kind| kind.name() == name).ok_or_else(|| UnknownPortKind(name.to_owned()))
    }
}

impl fmt::Display for PortKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for TunnelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_read_by_the_name_that_it_shows() {
        for kind in PortKind::DEVICES.into_iter().chain(TunnelKind::ALL.map(PortKind::Tunnel)) {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!("".parse(), Ok(PortKind::System));
        for unknown in ["Internal", "dummy-", "patch", "vxlan "] {
            let error = unknown.parse::<PortKind>().unwrap_err();
            assert_eq!(error.to_string(), format!("unknown port type {unknown}"));
        }
    }
}
