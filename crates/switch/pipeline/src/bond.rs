//! Bonds: which member a packet leaves by, and which may come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use base::{MacAddr, OfPort, Timestamp};
use flow::{FlowKey, FlowMask, slot};
use ofp::HashFields;

use crate::hash;

/// Into how many parts the packets of a bond are divided, each of which leaves by one member.
pub const BUCKETS: usize = 256;

/// How members share the packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BondMode {
    /// One has all.
    #[default]
    ActiveBackup,
    /// By Ethernet source and VLAN.
    BalanceSlb,
    /// By addresses and ports.
    BalanceTcp,
}

impl BondMode {
    /// As the database has it.
    pub const ALL: [BondMode; 3] = [BondMode::ActiveBackup, BondMode::BalanceSlb, BondMode::BalanceTcp];

    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            BondMode::ActiveBackup => "active-backup",
            BondMode::BalanceSlb => "balance-slb",
            BondMode::BalanceTcp => "balance-tcp",
        }
    }
}

/// What LACP says of a bond.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LacpStatus {
    /// It is not asked for.
    #[default]
    Off,
    /// It is asked for, and no neighbour has agreed.
    Configured,
    /// A neighbour has agreed.
    Negotiated,
}

impl LacpStatus {
    /// Its name, as operators know it.
    pub fn name(self) -> &'static str {
        match self {
            LacpStatus::Off => "off",
            LacpStatus::Configured => "configured",
            LacpStatus::Negotiated => "negotiated",
        }
    }
}

/// A bond, shared by translation and the protocol that decides.
#[derive(Debug)]
pub struct Bond {
    state: ArcSwap<BondState>,
    parts: Box<[Part]>,
    created: Timestamp,
    /// By what packets come back whose hash the datapath computes; zero while there was none.
    recirc_id: AtomicU32,
}

/// What left of a part of a bond's packets.
#[derive(Debug, Default)]
struct Part {
    packets: AtomicU64,
    bytes: AtomicU64,
    /// The bytes when they were last asked for ([`Bond::take_sent`]).
    taken: AtomicU64,
}

/// How a bond forwards now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BondState {
    pub mode: BondMode,
    /// What hashes begin with.
    pub basis: u32,
    /// The members that work.
    pub enabled: Vec<OfPort>,
    /// The one that is preferred.
    pub active: Option<OfPort>,
    pub lacp: LacpStatus,
    /// While no neighbour agrees to LACP, one member has all.
    pub falls_back: bool,
    /// Flooded frames are taken from all members.
    pub all_members_active: bool,
    /// The member of each part, where packets are shared; else empty.
    pub buckets: Vec<Option<OfPort>>,
    /// The datapath knows these parts, by this number, and chooses the member itself.
    pub balancer: Option<u32>,
}

/// Whether a packet that a member received goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    /// Unless its source is known to be elsewhere: then the switch sent it itself.
    DropIfMoved,
}

impl Default for Bond {
    fn default() -> Bond {
        Bond {
            state: ArcSwap::default(),
            parts: (0..BUCKETS).map(|_| Part::default()).collect(),
            created: Timestamp::ZERO,
            recirc_id: AtomicU32::new(0),
        }
    }
}

impl Bond {
    /// One that came at this time.
    pub fn since(created: Timestamp) -> Bond {
        Bond { created, ..Bond::default() }
    }

    /// When it came.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// How it forwards now.
    pub fn state(&self) -> Arc<BondState> {
        self.state.load_full()
    }

    /// From now on it forwards so. The bridges' epoch is to be moved afterwards.
    pub fn set_state(&self, state: BondState) {
        self.state.store(Arc::new(state));
    }

    /// By what packets come back whose hash the datapath computes, as operators see it.
    pub fn recirc_id(&self) -> u32 {
        self.recirc_id.load(Ordering::Relaxed)
    }

    pub(crate) fn set_recirc_id(&self, id: u32) {
        self.recirc_id.store(id, Ordering::Relaxed);
    }

    /// Packets of a part have left.
    pub fn count(&self, bucket: u8, packets: u64, bytes: u64) {
        let part = &self.parts[usize::from(bucket)];
        part.packets.fetch_add(packets, Ordering::Relaxed);
        part.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The packets and bytes of a part that have left.
    pub fn counted(&self, bucket: u8) -> (u64, u64) {
        let part = &self.parts[usize::from(bucket)];
        (part.packets.load(Ordering::Relaxed), part.bytes.load(Ordering::Relaxed))
    }

    /// The bytes of a part since this was asked last.
    pub fn take_sent(&self, bucket: u8) -> u64 {
        let part = &self.parts[usize::from(bucket)];
        let bytes = part.bytes.load(Ordering::Relaxed);
        bytes.wrapping_sub(part.taken.swap(bytes, Ordering::Relaxed))
    }
}

impl BondState {
    /// Whether packets are shared by their hash.
    pub fn is_balanced(&self) -> bool {
        self.mode != BondMode::ActiveBackup && !(self.falls_back && self.lacp == LacpStatus::Configured)
    }

    /// Whether the datapath computes the hash by which packets are shared.
    pub fn is_chosen_by_hash(&self) -> bool {
        self.mode == BondMode::BalanceTcp && self.lacp == LacpStatus::Negotiated
    }

    /// The member that a packet of `key` leaves by, in `vlan` on the wire, and its part if packets are shared; adds to
    /// `mask` what it depended on.
    pub(crate) fn choose(
        &self,
        key: &FlowKey,
        vlan: u16,
        mask: &mut FlowMask,
    ) -> Option<(OfPort, Option<u8>)> {
        match self.lacp {
            LacpStatus::Configured if !self.falls_back => return None,
            LacpStatus::Configured => return Some((self.active?, None)),
            LacpStatus::Off if self.mode == BondMode::BalanceTcp => return None,
            LacpStatus::Off | LacpStatus::Negotiated => {}
        }
        let hash = match self.mode {
            BondMode::ActiveBackup => return Some((self.active?, None)),
            BondMode::BalanceSlb => {
                mask.add_all(slot::DL_SRC);
                mac_hash(key.dl_src(), vlan, self.basis)
            }
            BondMode::BalanceTcp => hash::of_fields_from(key, mask, HashFields::SymmetricL3L4Udp, self.basis),
        };
        let bucket = hash as u8;
        let member = self.buckets.get(usize::from(bucket)).copied().flatten()?;
        Some((member, Some(bucket)))
    }

    /// The member that a frame of the switch's own leaves by, with `source` in `vlan`.
    pub fn member_for(&self, source: MacAddr, vlan: u16) -> Option<OfPort> {
        let mut key = FlowKey::new();
        key.set_dl_src(source);
        self.choose(&key, vlan, &mut FlowMask::new()).map(|(member, _)| member)
    }

    /// Whether a frame to `destination` that `member` received goes on.
    pub(crate) fn admit(&self, member: OfPort, destination: MacAddr) -> Verdict {
        match self.lacp {
            // The neighbour knows which links are joined.
            LacpStatus::Negotiated => {
                return if self.enabled.contains(&member) { Verdict::Accept } else { Verdict::Drop };
            }
            LacpStatus::Configured if !self.falls_back => return Verdict::Drop,
            LacpStatus::Off if self.mode == BondMode::BalanceTcp => return Verdict::Drop,
            LacpStatus::Configured | LacpStatus::Off => {}
        }
        let is_active = self.active == Some(member);
        if destination.is_multicast() && !is_active && !self.all_members_active {
            return Verdict::Drop;
        }
        match self.mode {
            BondMode::BalanceSlb => Verdict::DropIfMoved,
            BondMode::ActiveBackup | BondMode::BalanceTcp if is_active => Verdict::Accept,
            BondMode::ActiveBackup | BondMode::BalanceTcp => Verdict::Drop,
        }
    }
}

/// The hash of an Ethernet source in a VLAN, of which the lowest byte is the part (`bond/hash`): the reference's.
pub fn mac_hash(mac: MacAddr, vlan: u16, basis: u32) -> u32 {
    let value = mac.to_u64() | u64::from(vlan) << 48;
    base::murmur::hash_bytes(&value.to_le_bytes(), basis)
}

#[cfg(test)]
mod tests;
