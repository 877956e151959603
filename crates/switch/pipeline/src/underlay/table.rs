//! Which tunnel port a packet of a tunnel came in by.

use std::collections::HashMap;
use std::fmt;

use base::{DpPort, OfPort};
use dp::DpId;
use flow::FlowKey;

use crate::state::BridgeId;
use crate::tunnel_config::{Endpoint, Key, PacketTypes, TunnelConfig, either, shown};

/// What of a tunnel its packets are found by. Two tunnels must not have the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TunnelMatch {
    pub datapath: DpId,
    /// The port that it has in common with others.
    pub port: DpPort,
    /// [`Key::Absent`] is number 0.
    pub key: Key,
    pub remote: Endpoint,
    pub local: Endpoint,
    pub packet_types: PacketTypes,
}

/// Another tunnel has the same match: the port that has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken(pub BridgeId, pub OfPort);

impl TunnelMatch {
    pub fn new(datapath: DpId, port: DpPort, config: &TunnelConfig) -> TunnelMatch {
        let key = match config.in_key {
            Key::Absent => Key::Is(0),
            key @ (Key::Is(_) | Key::Flow) => key,
        };
        let (remote, local, packet_types) = (config.remote, config.local, config.packet_types);
        TunnelMatch { datapath, port, key, remote, local, packet_types }
    }
}

impl fmt::Display for TunnelMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |end: Endpoint| match end {
            Endpoint::Any => "::".to_owned(),
            Endpoint::Is(address) => shown(address),
            Endpoint::Flow => "flow".to_owned(),
        };
        write!(f, "{}->{}", end(self.local), end(self.remote))?;
        match self.key {
            Key::Flow => f.write_str(", key=flow")?,
            Key::Absent => f.write_str(", key=0")?,
            Key::Is(0) => f.write_str(", key=0")?,
            Key::Is(number) => write!(f, ", key={number:#x}")?,
        }
        let types = match self.packet_types {
            PacketTypes::LegacyL2 => "legacy_l2",
            PacketTypes::LegacyL3 => "legacy_l3",
            PacketTypes::Aware => "ptap",
        };
        write!(f, ", {types}, dp port={}", self.port)
    }
}

/// The tunnels of all bridges.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TunnelTable(HashMap<TunnelMatch, (BridgeId, OfPort)>);

impl TunnelTable {
    /// Adds a tunnel, unless another one has the same match.
    pub fn insert(&mut self, matching: TunnelMatch, port: (BridgeId, OfPort)) -> Result<(), Taken> {
        match self.0.get(&matching) {
            Some(&(bridge, number)) => Err(Taken(bridge, number)),
            None => {
                self.0.insert(matching, port);
                Ok(())
            }
        }
    }

    /// The bridge and port of a packet that came in by the datapath port in `key`: what says more of packets is found
    /// before what says less.
    pub fn find(&self, datapath: DpId, key: &FlowKey) -> Option<(BridgeId, OfPort)> {
        if self.0.is_empty() {
            return None;
        }
        // Tunnels are described by what they send.
        let remote = either(key.tun_src(), key.tun_ipv6_src());
        let local = either(key.tun_dst(), key.tun_ipv6_dst());
        let of_l3 = key.packet_type() >> 16 == 1;
        let legacy = if of_l3 { PacketTypes::LegacyL3 } else { PacketTypes::LegacyL2 };
        let port = DpPort(key.in_port());
        for tunnel_key in [Key::Is(key.tun_id()), Key::Flow] {
            for remote in [Endpoint::Is(remote), Endpoint::Flow] {
                for local in [Endpoint::Is(local), Endpoint::Any, Endpoint::Flow] {
                    for packet_types in [legacy, PacketTypes::Aware] {
                        let wanted =
                            TunnelMatch { datapath, port, key: tunnel_key, remote, local, packet_types };
                        if let Some(found) = self.0.get(&wanted) {
                            return Some(*found);
                        }
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use dp::TunnelKind;

    use super::*;
    use crate::tunnel_config::mapped_v4;

    fn tunnel(remote: Endpoint, local: Endpoint, in_key: Key) -> TunnelMatch {
        let config = TunnelConfig { remote, local, in_key, ..TunnelConfig::new(TunnelKind::Vxlan) };
        TunnelMatch::new(DpId(0), DpPort(4789), &config)
    }

    #[test]
    fn the_tunnel_that_says_most_is_found() {
        let (far, near) = (mapped_v4(0x0a00_0002), mapped_v4(0x0a00_0001));
        let mut table = TunnelTable::default();
        let at = |number: u32| (BridgeId(1), OfPort(number));
        let all = [
            tunnel(Endpoint::Flow, Endpoint::Any, Key::Flow),
            tunnel(Endpoint::Is(far), Endpoint::Any, Key::Flow),
            tunnel(Endpoint::Is(far), Endpoint::Any, Key::Is(7)),
            tunnel(Endpoint::Is(far), Endpoint::Is(near), Key::Is(7)),
        ];
        let mut key = FlowKey::new();
        key.set_in_port(4789);
        key.set_tun_src(0x0a00_0002);
        key.set_tun_dst(0x0a00_0001);
        key.set_tun_id(7);
        assert_eq!(table.find(DpId(0), &key), None);
        for (number, matching) in (1..).zip(all) {
            table.insert(matching, at(number)).unwrap();
            assert_eq!(table.find(DpId(0), &key), Some(at(number)));
        }
        assert_eq!(table.insert(all[2], at(9)), Err(Taken(BridgeId(1), OfPort(3))));
        key.set_tun_id(8);
        assert_eq!(table.find(DpId(0), &key), Some(at(2)));
        key.set_tun_src(5);
        assert_eq!(table.find(DpId(0), &key), Some(at(1)));
        assert_eq!(table.find(DpId(1), &key), None, "another datapath");
        // A tunnel without a key is one of key 0.
        let config = TunnelConfig { remote: Endpoint::Flow, ..TunnelConfig::new(TunnelKind::Gre) };
        assert_eq!(TunnelMatch::new(DpId(0), DpPort(3), &config).key, Key::Is(0));
    }
}
