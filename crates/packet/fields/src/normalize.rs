//! Dropping from a match what no packet of it could have.

use flow::{Slot, slot};

use crate::Match;
use crate::prereqs::{ether, is_mpls, proto};

/// What each kind of packet may be asked for.
#[derive(Default)]
struct Allowed {
    ethernet: bool,
    nw_address: bool,
    ports: bool,
    protocol: bool,
    ip: bool,
    arp_sha: bool,
    arp_tha: bool,
    ipv6: bool,
    nd_target: bool,
    mpls: bool,
}

fn allowed(m: &Match) -> Allowed {
    let type_mask = m.mask.bits(slot::PACKET_TYPE) as u32;
    let packet_type = m.key.packet_type();
    let mut may = Allowed::default();
    let dl_type = if type_mask == 0 || m.has_default_packet_type() {
        may.ethernet = true;
        m.key.dl_type()
    } else if type_mask == u32::MAX && packet_type >> 16 == 1 {
        packet_type as u16
    } else {
        0
    };
    let protocol = m.key.nw_proto();
    let has_ports = matches!(protocol, proto::TCP | proto::UDP | proto::SCTP);
    match dl_type {
        ether::IP => {
            (may.protocol, may.ip, may.nw_address) = (true, true, true);
            may.ports = has_ports || protocol == proto::ICMP;
        }
        ether::IPV6 => {
            (may.protocol, may.ip, may.ipv6) = (true, true, true);
            may.ports = has_ports || protocol == proto::ICMPV6;
            if protocol == proto::ICMPV6 {
                may.arp_sha = m.key.tp_src() == 135;
                may.arp_tha = m.key.tp_src() == 136;
                may.nd_target = may.arp_sha || may.arp_tha;
            }
        }
        ether::ARP | ether::RARP => {
            (may.protocol, may.nw_address, may.arp_sha, may.arp_tha) = (true, true, true, true)
        }
        other => may.mpls = is_mpls(other),
    }
    may
}

impl Match {
    /// Drops the conditions that no packet of the match could be asked for.
    /// Returns whether anything was dropped.
    pub fn normalize_quiet(&mut self) -> bool {
        let may = allowed(self);
        let groups: [(bool, &[Slot]); 10] = [
            (may.ethernet, &[slot::DL_SRC, slot::DL_DST]),
            (may.nw_address, &[slot::NW_SRC, slot::NW_DST]),
            (may.ports, &[slot::TP_SRC, slot::TP_DST]),
            (may.protocol, &[slot::NW_PROTO]),
            (may.ip, &[slot::NW_TOS, slot::NW_TTL]),
            (may.arp_sha, &[slot::ARP_SHA]),
            (may.arp_tha, &[slot::ARP_THA]),
            (may.ipv6, &[slot::IPV6_SRC, slot::IPV6_DST, slot::IPV6_LABEL]),
            (may.nd_target, &[slot::ND_TARGET]),
            (may.mpls, &[slot::MPLS0, slot::MPLS1, slot::MPLS2]),
        ];
        let mut changed = false;
        for place in groups.iter().filter(|(may, _)| !may).flat_map(|(_, places)| *places) {
            if self.mask.bits(*place) != 0 {
                self.mask.set_bits(*place, 0);
                self.key.write(*place, 0);
                changed = true;
            }
        }
        changed
    }

    /// [`Match::normalize_quiet`], with a note in the log when something was dropped.
    pub fn normalize(&mut self) {
        let before = self.clone();
        if self.normalize_quiet() {
            log::info!(target: "ofp_match", "normalization changed ofp_match, details:");
            log::info!(target: "ofp_match", " pre: {}", before.to_text());
            log::info!(target: "ofp_match", "post: {}", self.to_text());
        }
    }
}
