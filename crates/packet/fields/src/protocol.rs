//! Sets of OpenFlow protocols: a version and, for 1.0, how flows are written.

use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign};

/// A set of protocols. A single bit is one protocol.
///
/// Used for "which protocols can express this flow": the less powerful a
/// protocol, the lower its bit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Protocols(pub u16);

impl Protocols {
    /// No protocol.
    pub const NONE: Protocols = Protocols(0);
    /// OpenFlow 1.0 with its own match structure.
    pub const OF10_STD: Protocols = Protocols(1);
    /// The same, with table numbers in flow-mods (a Nicira extension).
    pub const OF10_STD_TID: Protocols = Protocols(1 << 1);
    /// OpenFlow 1.0 with Nicira's extensible match.
    pub const OF10_NXM: Protocols = Protocols(1 << 2);
    /// The same, with table numbers in flow-mods.
    pub const OF10_NXM_TID: Protocols = Protocols(1 << 3);
    /// OpenFlow 1.1.
    pub const OF11_STD: Protocols = Protocols(1 << 4);
    /// OpenFlow 1.2.
    pub const OF12_OXM: Protocols = Protocols(1 << 5);
    /// OpenFlow 1.3.
    pub const OF13_OXM: Protocols = Protocols(1 << 6);
    /// OpenFlow 1.4.
    pub const OF14_OXM: Protocols = Protocols(1 << 7);
    /// OpenFlow 1.5.
    pub const OF15_OXM: Protocols = Protocols(1 << 8);

    /// OpenFlow 1.0 with its own match structure, with table numbers or without.
    pub const OF10_STD_ANY: Protocols = Protocols(0x003);
    /// OpenFlow 1.0 with Nicira's extensible match, with table numbers or without.
    pub const OF10_NXM_ANY: Protocols = Protocols(0x00c);
    /// OpenFlow 1.0 in all forms.
    pub const OF10_ANY: Protocols = Protocols(0x00f);
    /// Those with the extensible match of the standard.
    pub const ANY_OXM: Protocols = Protocols(0x1e0);
    /// All but OpenFlow 1.0 with its own match structure.
    pub const NXM_OF11_UP: Protocols = Protocols(0x1fc);
    /// Those with an extensible match.
    pub const NXM_OXM_ANY: Protocols = Protocols(0x1ec);
    /// OpenFlow 1.1 and later.
    pub const OF11_UP: Protocols = Protocols(0x1f0);
    /// OpenFlow 1.2 and later.
    pub const OF12_UP: Protocols = Protocols(0x1e0);
    /// OpenFlow 1.3 and later.
    pub const OF13_UP: Protocols = Protocols(0x1c0);
    /// OpenFlow 1.4 and later.
    pub const OF14_UP: Protocols = Protocols(0x180);
    /// OpenFlow 1.5 and later.
    pub const OF15_UP: Protocols = Protocols(0x100);
    /// All protocols.
    pub const ANY: Protocols = Protocols(0x1ff);
    /// Those whose flow-mods name a table.
    pub const TID: Protocols = Protocols(0x1fa);

    /// Those to try for dumping flows, best first.
    pub const DUMP_ORDER: [Protocols; 7] = [
        Protocols::OF15_OXM,
        Protocols::OF14_OXM,
        Protocols::OF13_OXM,
        Protocols::OF12_OXM,
        Protocols::OF11_STD,
        Protocols::OF10_NXM,
        Protocols::OF10_STD,
    ];

    /// Whether there is no protocol.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` are in the set.
    pub const fn contains(self, other: Protocols) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether some of `other` are in the set.
    pub const fn intersects(self, other: Protocols) -> bool {
        self.0 & other.0 != 0
    }

    /// The set without `other`.
    pub const fn without(self, other: Protocols) -> Protocols {
        Protocols(self.0 & !other.0)
    }

    /// The least powerful protocol of the set.
    pub const fn lowest(self) -> Protocols {
        Protocols(self.0 & self.0.wrapping_neg())
    }

    /// The protocols of an OpenFlow version byte.
    pub const fn from_version(version: u8) -> Protocols {
        match version {
            1 => Protocols::OF10_ANY,
            2 => Protocols::OF11_STD,
            3 => Protocols::OF12_OXM,
            4 => Protocols::OF13_OXM,
            5 => Protocols::OF14_OXM,
            6 => Protocols::OF15_OXM,
            _ => Protocols::NONE,
        }
    }

    /// The protocol that is in effect on a fresh connection of `version`.
    pub const fn initial(version: u8) -> Protocols {
        Protocols::from_version(version).lowest()
    }

    /// The version byte of a single protocol.
    pub const fn version(self) -> u8 {
        match self.lowest().0 {
            0x001..=0x008 => 1,
            0x010 => 2,
            0x020 => 3,
            0x040 => 4,
            0x080 => 5,
            _ => 6,
        }
    }

    /// Bit `v` set for each version byte `v` of the set.
    pub fn version_bitmap(self) -> u32 {
        (1..=6u8).filter(|&v| self.intersects(Protocols::from_version(v))).fold(0, |bits, v| bits | 1 << v)
    }

    /// The protocols of the versions whose bits are set; see [`Protocols::version_bitmap`].
    pub fn from_version_bitmap(bitmap: u32) -> Protocols {
        (1..=6u8)
            .filter(|v| bitmap >> v & 1 != 0)
            .fold(Protocols::NONE, |all, v| all | Protocols::from_version(v))
    }

    /// A single protocol with the table-number extension on or off, where it has one.
    pub const fn set_tid(self, on: bool) -> Protocols {
        match self.0 {
            1 | 2 => {
                if on {
                    Protocols::OF10_STD_TID
                } else {
                    Protocols::OF10_STD
                }
            }
            4 | 8 => {
                if on {
                    Protocols::OF10_NXM_TID
                } else {
                    Protocols::OF10_NXM
                }
            }
            _ => self,
        }
    }

    /// A single protocol without extensions.
    pub const fn base(self) -> Protocols {
        self.set_tid(false)
    }

    /// `base` with the extensions that `self` has.
    pub const fn set_base(self, base: Protocols) -> Protocols {
        base.set_tid(self.intersects(Protocols::TID))
    }

    /// Whether OpenFlow 1.0 with Nicira's extensible match is in the set.
    pub const fn is_nxm10(self) -> bool {
        self.intersects(Protocols::OF10_NXM_ANY)
    }

    /// The name of a single protocol.
    fn single_name(self) -> Option<&'static str> {
        SINGLE.iter().find(|(p, _)| *p == self).map(|(_, name)| *name)
    }

    /// The name of the set when it has one: a single protocol or a well-known group.
    pub fn name(self) -> Option<&'static str> {
        self.single_name().or_else(|| GROUPS.iter().find(|(p, _)| *p == self).map(|(_, name)| *name))
    }

    /// Reads `any`, `NXM`, `OXM-OpenFlow13`, `OpenFlow10+table_id`, … joined by commas.
    pub fn parse(text: &str) -> Option<Protocols> {
        let mut all = Protocols::NONE;
        for part in text.split(',').filter(|p| !p.is_empty()) {
            let known = SINGLE.iter().chain(GROUPS).find(|(_, name)| name.eq_ignore_ascii_case(part));
            all |= known.map(|(p, _)| *p)?;
        }
        Some(all)
    }
}

const SINGLE: &[(Protocols, &str)] = &[
    (Protocols::OF10_STD, "OpenFlow10-table_id"),
    (Protocols::OF10_STD_TID, "OpenFlow10+table_id"),
    (Protocols::OF10_NXM, "NXM-table_id"),
    (Protocols::OF10_NXM_TID, "NXM+table_id"),
    (Protocols::OF11_STD, "OpenFlow11"),
    (Protocols::OF12_OXM, "OXM-OpenFlow12"),
    (Protocols::OF13_OXM, "OXM-OpenFlow13"),
    (Protocols::OF14_OXM, "OXM-OpenFlow14"),
    (Protocols::OF15_OXM, "OXM-OpenFlow15"),
];

const GROUPS: &[(Protocols, &str)] = &[
    (Protocols::ANY, "any"),
    (Protocols::OF10_STD_ANY, "OpenFlow10"),
    (Protocols::OF10_NXM_ANY, "NXM"),
    (Protocols::ANY_OXM, "OXM"),
];

/// Groups first, then the single protocols that remain, joined by commas; `none` for the empty set.
impl std::fmt::Display for Protocols {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = *self;
        if rest.is_empty() {
            return f.write_str("none");
        }
        let mut first = true;
        while !rest.is_empty() {
            if !std::mem::take(&mut first) {
                f.write_str(",")?;
            }
            let (part, name) = GROUPS
                .iter()
                .find(|(p, _)| rest.contains(*p))
                .copied()
                .unwrap_or((rest.lowest(), rest.lowest().single_name().unwrap_or("?")));
            f.write_str(name)?;
            rest = rest.without(part);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Protocols {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl BitOr for Protocols {
    type Output = Protocols;
    fn bitor(self, other: Protocols) -> Protocols {
        Protocols(self.0 | other.0)
    }
}
impl BitOrAssign for Protocols {
    fn bitor_assign(&mut self, other: Protocols) {
        self.0 |= other.0;
    }
}
impl BitAnd for Protocols {
    type Output = Protocols;
    fn bitand(self, other: Protocols) -> Protocols {
        Protocols(self.0 & other.0)
    }
}
impl BitAndAssign for Protocols {
    fn bitand_assign(&mut self, other: Protocols) {
        self.0 &= other.0;
    }
}
