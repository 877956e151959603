//! The datapath ports of tunnels: what arrives for them.

use std::fmt::Write as _;

use base::DpPort;
use dp::{DpId, TunnelKind};
use wire::protocol;

/// A datapath port that tunnels of one kind, and one UDP port, have in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Of which datapath.
    pub datapath: DpId,
    /// Its number there.
    pub port: DpPort,
    /// Its name, `vxlan_sys_4789`.
    pub name: String,
    /// The IP protocol of what arrives.
    pub protocol: u8,
    /// The UDP port; 0 where the protocol has none.
    pub udp_port: u16,
    /// How many tunnels it is for.
    pub uses: u32,
}

/// All of them, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Listeners(Vec<Listener>);

fn protocols(kind: TunnelKind) -> &'static [u8] {
    match kind {
        TunnelKind::Vxlan | TunnelKind::Geneve | TunnelKind::Gtpu => &[protocol::UDP],
        TunnelKind::Gre | TunnelKind::Ip6Gre | TunnelKind::Erspan | TunnelKind::Ip6Erspan => &[protocol::GRE],
        TunnelKind::Srv6 => &[protocol::IPIP, protocol::IPV6],
        TunnelKind::Bareudp | TunnelKind::Lisp | TunnelKind::Stt => &[],
    }
}

impl Listeners {
    /// One more tunnel has this port.
    pub fn add(&mut self, datapath: DpId, port: DpPort, name: &str, kind: TunnelKind, udp_port: u16) {
        for &protocol in protocols(kind) {
            let is_same = |known: &&mut Listener| {
                (known.datapath, known.port, known.protocol) == (datapath, port, protocol)
            };
            match self.0.iter_mut().find(is_same) {
                Some(known) => known.uses += 1,
                None => {
                    let name = name.to_owned();
                    self.0.push(Listener { datapath, port, name, protocol, udp_port, uses: 1 });
                }
            }
        }
    }

    /// One tunnel less has this port; whether it was the last one.
    pub fn remove(&mut self, datapath: DpId, port: DpPort) -> bool {
        for known in self.0.iter_mut().filter(|known| (known.datapath, known.port) == (datapath, port)) {
            known.uses = known.uses.saturating_sub(1);
        }
        self.0.retain(|known| known.uses > 0);
        !self.0.iter().any(|known| (known.datapath, known.port) == (datapath, port))
    }

    /// Whether there are tunnels in the datapath.
    pub fn has_any(&self, datapath: DpId) -> bool {
        self.0.iter().any(|known| known.datapath == datapath)
    }

    /// The port that packets of this protocol, to this UDP port, are for.
    pub fn find(&self, datapath: DpId, protocol: u8, udp_port: u16) -> Option<DpPort> {
        let is_for = |known: &&Listener| {
            (known.datapath, known.protocol) == (datapath, protocol)
                && (known.udp_port == 0 || known.udp_port == udp_port)
        };
        self.0.iter().find(is_for).map(|known| known.port)
    }

    /// Whether packets of this protocol are for tunnels by their UDP port, or all; `None` when none are.
    pub fn listens(&self, datapath: DpId, protocol: u8) -> Option<bool> {
        let mut of_protocol =
            self.0.iter().filter(|known| (known.datapath, known.protocol) == (datapath, protocol));
        of_protocol.next().map(|known| known.udp_port != 0)
    }

    /// What `tnl/ports/show` says.
    pub fn show(&self) -> String {
        let mut text = String::from("Listening ports:\n");
        for known in &self.0 {
            let _ = writeln!(text, "{} ({}) ref_cnt={}", known.name, known.port, known.uses);
        }
        text
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_have_a_port_in_common_as_long_as_there_is_one() {
        let mut listeners = Listeners::default();
        let (datapath, port) = (DpId(1), DpPort(5));
        listeners.add(datapath, port, "vxlan_sys_4789", TunnelKind::Vxlan, 4789);
        listeners.add(datapath, port, "vxlan_sys_4789", TunnelKind::Vxlan, 4789);
        listeners.add(datapath, DpPort(6), "gre_sys", TunnelKind::Gre, 0);
        assert_eq!(listeners.find(datapath, protocol::UDP, 4789), Some(port));
        assert_eq!(listeners.find(datapath, protocol::UDP, 4790), None);
        assert_eq!(listeners.find(datapath, protocol::GRE, 0), Some(DpPort(6)));
        assert_eq!(listeners.find(DpId(2), protocol::GRE, 0), None);
        assert_eq!(listeners.listens(datapath, protocol::UDP), Some(true));
        assert_eq!(listeners.listens(datapath, protocol::GRE), Some(false));
        assert_eq!(listeners.listens(datapath, protocol::TCP), None);
        let shown = "Listening ports:\nvxlan_sys_4789 (5) ref_cnt=2\ngre_sys (6) ref_cnt=1\n";
        assert_eq!(listeners.show(), shown);
        assert!(!listeners.remove(datapath, port));
        assert!(listeners.remove(datapath, port));
        assert_eq!(listeners.listens(datapath, protocol::UDP), None);
        assert!(listeners.has_any(datapath));
    }
}
