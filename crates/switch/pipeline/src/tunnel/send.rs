//! What a tunnel port makes of the tunnel fields before its headers are built from them.

use flow::{FlowKey, FlowMask, slot, tunnel_flags};

use crate::tunnel_config::{Checksum, DEFAULT_TTL, Endpoint, Key, TunnelConfig, unmapped};

const DSCP: u8 = 0xfc;
const ECN: u8 = 0x03;
const ECT_0: u8 = 0x02;

impl TunnelConfig {
    /// Sets the tunnel fields of `key` to what the port sends; adds to `mask` what of the packet inside it depends on.
    pub(crate) fn address(&self, key: &mut FlowKey, mask: &mut FlowMask) {
        if self.local != Endpoint::Flow {
            let (v4, v6) = parts(self.local);
            key.set_tun_src(v4);
            key.set_tun_ipv6_src(v6);
        }
        if self.remote != Endpoint::Flow {
            let (v4, v6) = parts(self.remote);
            key.set_tun_dst(v4);
            key.set_tun_ipv6_dst(v6);
        }
        key.set_tun_tp_src(0);
        key.set_tun_tp_dst(self.port);
        match self.out_key {
            Key::Flow => {}
            Key::Is(number) => key.set_tun_id(number),
            Key::Absent => key.set_tun_id(0),
        }
        self.inherit(key, mask);
        let mut flags = key.tun_flags() & tunnel_flags::OAM;
        if self.dont_fragment {
            flags |= tunnel_flags::DONT_FRAGMENT;
        }
        if self.out_key != Key::Absent {
            flags |= tunnel_flags::KEY;
        }
        let is_v6 = key.tun_dst() == 0;
        if self.checksum == Checksum::On || self.checksum == Checksum::Default && is_v6 {
            flags |= tunnel_flags::CSUM;
        }
        key.set_tun_flags(flags);
        if let Some(mark) = self.mark {
            mask.add_all(slot::PKT_MARK);
            key.set_pkt_mark(mark);
        }
        if let Some(version) = self.erspan.version {
            key.set_tun_erspan_ver(version);
        }
        if let Some(index) = self.erspan.index {
            key.set_tun_erspan_idx(index);
        }
        if let Some(direction) = self.erspan.direction {
            key.set_tun_erspan_dir(direction);
        }
        if let Some(hardware) = self.erspan.hardware {
            key.set_tun_erspan_hwid(hardware);
        }
    }

    /// TTL and TOS of the outer header; of the packet inside where the port says so, and its ECN always (RFC 6040).
    fn inherit(&self, key: &mut FlowKey, mask: &mut FlowMask) {
        let is_ip = key.is_ip();
        match self.ttl {
            None if is_ip => {
                mask.add_all(slot::NW_TTL);
                key.set_tun_ttl(key.nw_ttl());
            }
            ttl => key.set_tun_ttl(ttl.unwrap_or(DEFAULT_TTL)),
        }
        let mut tos = match self.tos {
            None if is_ip => {
                mask.add(slot::NW_TOS, DSCP.into());
                key.nw_tos() & DSCP
            }
            tos => tos.unwrap_or(0),
        };
        if is_ip {
            mask.add(slot::NW_TOS, ECN.into());
            let inner = key.nw_tos() & ECN;
            tos |= if inner == ECN { ECT_0 } else { inner };
        }
        key.set_tun_tos(tos);
    }
}

fn parts(endpoint: Endpoint) -> (u32, u128) {
    match endpoint {
        Endpoint::Any | Endpoint::Flow => (0, 0),
        Endpoint::Is(address) => unmapped(address).map_or((0, address), |v4| (v4, 0)),
    }
}

#[cfg(test)]
mod tests {
    use dp::TunnelKind;

    use super::*;
    use crate::tunnel::mapped_v4;

    fn packet() -> FlowKey {
        let mut key = FlowKey::new();
        key.set_dl_type(0x0800);
        key.set_nw_ttl(9);
        key.set_nw_tos(0x2f);
        key.set_tun_id(5);
        key.set_tun_dst(1);
        key.set_tun_flags(tunnel_flags::OAM | tunnel_flags::CSUM);
        key
    }

    #[test]
    fn a_port_sends_what_it_is_configured_to() {
        let config = TunnelConfig {
            remote: Endpoint::Is(mapped_v4(2)),
            out_key: Key::Is(7),
            port: 4789,
            mark: Some(3),
            ..TunnelConfig::new(TunnelKind::Vxlan)
        };
        let (mut key, mut mask) = (packet(), FlowMask::new());
        config.address(&mut key, &mut mask);
        assert_eq!((key.tun_dst(), key.tun_id(), key.tun_ttl(), key.pkt_mark()), (2, 7, 64, 3));
        let flags = tunnel_flags::OAM | tunnel_flags::DONT_FRAGMENT | tunnel_flags::KEY;
        assert_eq!(key.tun_flags(), flags);
        // Congestion that was experienced inside is not said to have been outside.
        assert_eq!(key.tun_tos(), 0x02);
        assert_eq!((mask.bits(slot::NW_TOS), mask.bits(slot::NW_TTL)), (0x03, 0));
    }

    #[test]
    fn ttl_and_tos_are_inherited_and_rules_say_the_rest() {
        let config = TunnelConfig {
            remote: Endpoint::Flow,
            out_key: Key::Flow,
            ttl: None,
            tos: None,
            ..TunnelConfig::new(TunnelKind::Geneve)
        };
        let (mut key, mut mask) = (packet(), FlowMask::new());
        config.address(&mut key, &mut mask);
        assert_eq!((key.tun_dst(), key.tun_id(), key.tun_ttl(), key.tun_tos()), (1, 5, 9, 0x2e));
        assert_eq!((mask.bits(slot::NW_TOS), mask.bits(slot::NW_TTL)), (0xff, 0xff));
        // A packet that is not of IP has neither.
        let mut key = FlowKey::new();
        config.address(&mut key, &mut FlowMask::new());
        assert_eq!((key.tun_ttl(), key.tun_tos(), key.tun_flags() & tunnel_flags::CSUM), (64, 0, 4));
    }
}
