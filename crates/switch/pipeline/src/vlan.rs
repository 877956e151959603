//! VLAN modes of ports: which VLAN a frame is in, and how it leaves.

use flow::{FlowKey, MAX_VLANS, VLAN_CFI};

/// The TPID of an 802.1Q tag.
pub const TPID_8021Q: u16 = 0x8100;
/// The TPID of an 802.1ad service tag.
pub const TPID_8021AD: u16 = 0x88a8;

const VID_MASK: u16 = 0x0fff;
const PCP_MASK: u16 = 0xe000;

/// How a port carries VLANs (column `vlan_mode`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum VlanMode {
    /// One VLAN, never tagged on the wire.
    Access,
    /// Tagged frames of the trunked VLANs; an untagged frame is in VLAN 0.
    #[default]
    Trunk,
    /// Like trunk; untagged frames belong to the port's VLAN and leave tagged.
    NativeTagged,
    /// Like trunk; frames of the port's VLAN enter and leave untagged.
    NativeUntagged,
    /// Whatever comes in is wrapped in the port's VLAN (802.1ad).
    Dot1qTunnel,
}

/// When a frame in VLAN 0 keeps an 802.1Q header for its priority (`other_config:priority-tags`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PriorityTags {
    #[default]
    Never,
    IfNonzero,
    Always,
}

/// A set of VLAN ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VlanSet(Box<[u64; 64]>);

impl VlanSet {
    pub fn contains(&self, vid: u16) -> bool {
        self.0.get(usize::from(vid / 64)).is_some_and(|word| word >> (vid % 64) & 1 != 0)
    }
}

impl FromIterator<u16> for VlanSet {
    /// Ids above 4095 are left out.
    fn from_iter<I: IntoIterator<Item = u16>>(vids: I) -> VlanSet {
        let mut words = Box::new([0u64; 64]);
        for vid in vids {
            if let Some(word) = words.get_mut(usize::from(vid / 64)) {
                *word |= 1 << (vid % 64);
            }
        }
        VlanSet(words)
    }
}

/// The VLAN configuration of a port (a bundle of interfaces).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VlanConfig {
    pub mode: VlanMode,
    /// The access, native or service VLAN.
    pub tag: u16,
    /// The VLANs that a trunk carries; `None` for all.
    pub trunks: Option<VlanSet>,
    /// The customer VLANs that a dot1q-tunnel port admits; `None` for all.
    pub cvlans: Option<VlanSet>,
    /// The TPID that a dot1q-tunnel port pushes.
    pub qinq_tpid: u16,
    pub priority_tags: PriorityTags,
}

impl VlanConfig {
    /// Whether it carries the VLAN as a trunk. A native VLAN is always
    /// carried, and takes the place of VLAN 0.
    fn trunks_vlan(&self, vid: u16) -> bool {
        let has_native =
            matches!(self.mode, VlanMode::NativeTagged | VlanMode::NativeUntagged) && self.tag != 0;
        match vid {
            0 if has_native => false,
            vid if has_native && vid == self.tag => true,
            vid => self.trunks.as_ref().is_none_or(|set| set.contains(vid)),
        }
    }

    fn admits_customer(&self, vid: u16) -> bool {
        self.cvlans.as_ref().is_none_or(|set| set.contains(vid))
    }

    /// Why a frame of `vid` may not enter the port `name`, or nothing if it may.
    pub(crate) fn check_input(&self, vid: u16, name: &str) -> Result<(), String> {
        match self.mode {
            VlanMode::Access if vid != 0 => Err(format!(
                "dropping VLAN {vid} tagged packet received on port {name} configured as VLAN {} access port",
                self.tag
            )),
            VlanMode::Access => Ok(()),
            VlanMode::NativeTagged | VlanMode::NativeUntagged if vid == 0 => Ok(()),
            VlanMode::NativeTagged | VlanMode::NativeUntagged | VlanMode::Trunk if !self.trunks_vlan(vid) => {
                Err(format!(
                    "dropping VLAN {vid} packet received on port {name} not configured for trunking VLAN {vid}"
                ))
            }
            VlanMode::Dot1qTunnel if !self.admits_customer(vid) => Err(format!(
                "dropping VLAN {vid} packet received on dot1q-tunnel port {name} that excludes this VLAN"
            )),
            VlanMode::NativeTagged | VlanMode::NativeUntagged | VlanMode::Trunk | VlanMode::Dot1qTunnel => {
                Ok(())
            }
        }
    }

    /// The tags inside the bridge of a frame that came in with `tags`.
    pub(crate) fn input(&self, tags: Tags) -> Tags {
        let outer = tags.0[0];
        let own = Tag {
            tpid: if outer.tpid != 0 { outer.tpid } else { TPID_8021Q },
            vid: self.tag,
            pcp: outer.pcp,
        };
        match self.mode {
            VlanMode::Access => Tags([own, Tag::default()]),
            VlanMode::Trunk => tags,
            VlanMode::NativeTagged | VlanMode::NativeUntagged if outer.vid != 0 => tags,
            VlanMode::NativeTagged | VlanMode::NativeUntagged => Tags([own, tags.0[1]]),
            VlanMode::Dot1qTunnel => Tags([Tag { tpid: self.qinq_tpid, vid: self.tag, pcp: 0 }, tags.0[0]]),
        }
    }

    /// Whether the tags inside the bridge are others than those that a frame came in with, the inner one too.
    pub(crate) fn replaces_tags(&self) -> bool {
        match self.mode {
            VlanMode::Access | VlanMode::Dot1qTunnel => true,
            VlanMode::Trunk | VlanMode::NativeTagged | VlanMode::NativeUntagged => false,
        }
    }

    /// The tags on the wire of a frame that leaves with `tags` inside the bridge.
    pub(crate) fn output(&self, tags: Tags) -> Tags {
        match self.mode {
            VlanMode::Access => Tags::default(),
            VlanMode::Trunk | VlanMode::NativeTagged => tags,
            VlanMode::NativeUntagged if tags.0[0].vid != self.tag => tags,
            VlanMode::NativeUntagged | VlanMode::Dot1qTunnel => tags.popped(),
        }
    }

    /// Whether frames leave without their outer tag, so that it matters what is inside.
    pub(crate) fn pops(&self, tags: Tags) -> bool {
        match self.mode {
            VlanMode::Access | VlanMode::Dot1qTunnel => true,
            VlanMode::NativeUntagged => tags.0[0].vid == self.tag,
            VlanMode::Trunk | VlanMode::NativeTagged => false,
        }
    }

    /// Whether a frame with `tags` inside the bridge leaves through this port.
    pub(crate) fn includes(&self, tags: Tags) -> bool {
        let vid = tags.0[0].vid;
        match self.mode {
            VlanMode::Access => vid == self.tag && tags.0[1].vid == 0,
            VlanMode::Trunk | VlanMode::NativeTagged | VlanMode::NativeUntagged => self.trunks_vlan(vid),
            VlanMode::Dot1qTunnel => vid == self.tag && self.admits_customer(tags.0[1].vid),
        }
    }

    /// Whether packets pass otherwise than as they are.
    pub(crate) fn heeds_tags(&self) -> bool {
        self.mode != VlanMode::Trunk || self.trunks.is_some() || self.priority_tags != PriorityTags::Never
    }

    /// Whether it depends on the inner tag if a frame with the outer one of `tags` leaves through this port.
    pub(crate) fn looks_at_inner_tag(&self, tags: Tags) -> bool {
        tags.0[0].vid == self.tag
            && match self.mode {
                VlanMode::Access => true,
                VlanMode::Dot1qTunnel => self.cvlans.is_some(),
                VlanMode::Trunk | VlanMode::NativeTagged | VlanMode::NativeUntagged => false,
            }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tag {
    pub tpid: u16,
    pub vid: u16,
    /// Priority, in its place in the TCI.
    pub pcp: u16,
}

/// The tags of a frame, outer first; absent ones are zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tags(pub [Tag; MAX_VLANS]);

impl Tags {
    pub(crate) fn of(key: &FlowKey) -> Tags {
        let mut tags = Tags::default();
        for (index, tag) in tags.0.iter_mut().enumerate() {
            let (tpid, tci) = (key.vlan_tpid(index), key.vlan_tci(index));
            if !is_vlan(tpid) || tci & VLAN_CFI == 0 {
                break;
            }
            *tag = Tag { tpid, vid: tci & VID_MASK, pcp: tci & PCP_MASK };
        }
        tags
    }

    fn popped(self) -> Tags {
        Tags([self.0[1], Tag::default()])
    }

    /// Writes the tags into `key`. A tag of VLAN 0 goes, unless it stays
    /// inside of another, where nobody looked at it.
    pub(crate) fn put(self, key: &mut FlowKey, priority_tags: PriorityTags) {
        let before = Tags::of(key);
        for (index, tag) in self.0.into_iter().enumerate() {
            if index > 0 && tag == before.0[index] {
                continue;
            }
            let tci = tag.vid | tag.pcp;
            if tci != 0 || priority_tags == PriorityTags::Always && tag.tpid != 0 {
                let tpid = if tag.tpid != 0 { tag.tpid } else { TPID_8021Q };
                key.set_vlan(index, tpid, tci | VLAN_CFI);
            } else {
                key.set_vlan(index, 0, 0);
            }
        }
    }
}

/// Whether `tpid` starts a VLAN tag.
pub(crate) fn is_vlan(tpid: u16) -> bool {
    matches!(tpid, TPID_8021Q | TPID_8021AD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(vid: u16) -> Tags {
        Tags([Tag { tpid: TPID_8021Q, vid, pcp: 0 }, Tag::default()])
    }

    fn port(mode: VlanMode, tag: u16, trunks: Option<&[u16]>) -> VlanConfig {
        VlanConfig {
            mode,
            tag,
            trunks: trunks.map(|t| t.iter().copied().collect()),
            qinq_tpid: TPID_8021AD,
            ..VlanConfig::default()
        }
    }

    #[test]
    fn an_access_port_wraps_and_unwraps() {
        let p = port(VlanMode::Access, 7, None);
        assert_eq!(p.input(Tags::default()), tagged(7));
        assert_eq!(p.output(tagged(7)), Tags::default());
        assert!(p.includes(tagged(7)) && !p.includes(tagged(8)) && !p.includes(Tags::default()));
        assert!(p.check_input(7, "p").is_err() && p.check_input(0, "p").is_ok());
    }

    #[test]
    fn native_modes_differ_on_the_way_out() {
        let tagged_port = port(VlanMode::NativeTagged, 7, Some(&[8]));
        let untagged_port = port(VlanMode::NativeUntagged, 7, Some(&[8]));
        for p in [&tagged_port, &untagged_port] {
            assert_eq!(p.input(Tags::default()), tagged(7));
            assert_eq!(p.input(tagged(8)), tagged(8));
            assert!(p.includes(tagged(7)) && p.includes(tagged(8)) && !p.includes(tagged(9)));
            assert!(p.check_input(9, "p").is_err());
        }
        assert_eq!(tagged_port.output(tagged(7)), tagged(7));
        assert_eq!(untagged_port.output(tagged(7)), Tags::default());
        assert_eq!(untagged_port.output(tagged(8)), tagged(8));
    }

    #[test]
    fn a_tunnel_port_keeps_the_customer_tag_inside() {
        let p = port(VlanMode::Dot1qTunnel, 100, None);
        let inside = p.input(tagged(5));
        assert_eq!(inside.0[0], Tag { tpid: TPID_8021AD, vid: 100, pcp: 0 });
        assert_eq!(p.output(inside), tagged(5));
    }

    #[test]
    fn tags_survive_the_key_and_priority_tags_are_kept_on_request() {
        let mut key = FlowKey::new();
        tagged(9).put(&mut key, PriorityTags::Never);
        assert_eq!(Tags::of(&key), tagged(9));
        let zero = Tags([Tag { tpid: TPID_8021Q, vid: 0, pcp: 0 }, Tag::default()]);
        zero.put(&mut key, PriorityTags::Never);
        assert_eq!(key.vlan_count(), 0);
        zero.put(&mut key, PriorityTags::Always);
        assert_eq!(key.vlan_count(), 1);
    }

    #[test]
    fn the_set_holds_every_vlan_id() {
        let set: VlanSet = [0, 63, 64, 4095, 4096].into_iter().collect();
        assert!(set.contains(0) && set.contains(63) && set.contains(64) && set.contains(4095));
        assert!(!set.contains(1) && !set.contains(4096));
    }
}
