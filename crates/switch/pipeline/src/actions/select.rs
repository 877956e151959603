//! `multipath` and `bundle`: choosing a link or a port by hash.

use base::OfPort;
use ofp::{BundleAlgorithm, Multipath, MultipathAlgorithm};

use crate::context::{Context, Outcome, PacketState};
use crate::hash;
use crate::state::Port;
use crate::translate::OnMiss;

/// Up to so many links, the highest of all their hashes is looked for.
const MAX_HIGHEST_RANDOM_WEIGHT: u32 = 64;

impl PacketState {
    pub(super) fn multipath(&mut self, out: &mut Outcome, action: &Multipath) {
        let hash = hash::of_fields(&self.key, &mut out.mask, action.fields, action.basis);
        let links = u32::from(action.max_link) + 1;
        let link = choose(hash, action.algorithm, links, action.arg);
        action.destination.add_to_mask(&mut out.mask);
        action.destination.write(&mut self.key, link.into());
        self.record_subfield(out, action.destination);
    }
}

impl Context<'_> {
    pub(super) fn bundle(&mut self, action: &ofp::Bundle, last: bool) {
        let port = match action.algorithm {
            BundleAlgorithm::ActiveBackup => {
                action.members.iter().copied().find(|&member| self.is_member_live(member))
            }
            BundleAlgorithm::Hrw => self.highest_member(action),
        };
        let port = port.unwrap_or(OfPort::NONE);
        match action.destination {
            Some(destination) => {
                destination.add_to_mask(&mut self.out.mask);
                let number = port.to_u16().unwrap_or(u16::MAX);
                destination.write(&mut self.packet.key, number.into());
                self.packet.record_subfield(&mut self.out, destination);
            }
            None => self.output_action(port, 0, OnMiss::AsConfiguredButController, last),
        }
    }

    /// The live member whose hash is highest, so that a member that goes away moves only its own packets.
    fn highest_member(&mut self, action: &ofp::Bundle) -> Option<OfPort> {
        let hash = match action.members.len() {
            0 | 1 => 0,
            _ => hash::of_fields(&self.packet.key, &mut self.out.mask, action.fields, action.basis),
        };
        let live = action.members.iter().enumerate().filter(|(_, member)| self.is_member_live(**member));
        live.max_by_key(|(index, _)| (hash::of_pair(*index as u32, hash), std::cmp::Reverse(*index)))
            .map(|(_, member)| *member)
    }

    fn is_member_live(&self, member: OfPort) -> bool {
        match member {
            OfPort::CONTROLLER => false,
            OfPort::IN_PORT | OfPort::TABLE | OfPort::NORMAL | OfPort::FLOOD | OfPort::ALL | OfPort::NONE => {
                true
            }
            number => self.walk.bridge.port(number).is_some_and(Port::is_live),
        }
    }
}

fn choose(hash: u32, algorithm: MultipathAlgorithm, links: u32, arg: u32) -> u32 {
    match algorithm {
        MultipathAlgorithm::ModuloN => hash % links,
        MultipathAlgorithm::HashThreshold if links == 1 => 0,
        MultipathAlgorithm::HashThreshold => hash / (u32::MAX / links + 1),
        MultipathAlgorithm::Hrw if links <= MAX_HIGHEST_RANDOM_WEIGHT => {
            let weight = |link: &u32| (hash::of_pair(hash, *link), std::cmp::Reverse(*link));
            (0..links).max_by_key(weight).unwrap_or(0)
        }
        MultipathAlgorithm::Hrw => iterate(hash, links, 0),
        MultipathAlgorithm::IterHash => iterate(hash, links, arg),
    }
}

/// Hashes again and again until the value is a link: fewer links than values lets links come without moving all.
fn iterate(mut hash: u32, links: u32, modulo: u32) -> u32 {
    let modulo = match modulo {
        0 => links.checked_next_power_of_two().unwrap_or(u32::MAX),
        wanted if wanted < links || wanted > links.saturating_mul(4) => {
            links.checked_next_power_of_two().unwrap_or(u32::MAX)
        }
        wanted => wanted,
    };
    for round in 0..u32::MAX {
        let link = hash % modulo;
        if link < links {
            return link;
        }
        hash = hash::of_pair(hash, round);
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_algorithm_chooses_a_link(hash: u32, links in 1u32..300, arg in 0u32..2000) {
            for algorithm in [
                MultipathAlgorithm::ModuloN,
                MultipathAlgorithm::HashThreshold,
                MultipathAlgorithm::Hrw,
                MultipathAlgorithm::IterHash,
            ] {
                prop_assert!(choose(hash, algorithm, links, arg) < links);
            }
        }

        #[test]
        fn a_link_that_comes_takes_but_does_not_shuffle(hash: u32, links in 1u32..63) {
            let (before, after) = (
                choose(hash, MultipathAlgorithm::Hrw, links, 0),
                choose(hash, MultipathAlgorithm::Hrw, links + 1, 0),
            );
            prop_assert!(after == before || after == links);
        }
    }
}
