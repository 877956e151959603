//! Reading and writing fields of keys and matches by [`Field`].
//!
//! Values and masks are numbers as wide as the field on the wire
//! (`n_bytes`), whatever part of a slot they come from.

use base::OfPort;
use flow::{FlowKey, FlowMask, Slot, VLAN_CFI, slot};

use crate::{Field, Maskable, Match, Protocols, TextError, TextForm, refuse};

const VID: u16 = 0x0fff;
const PCP: u16 = 0xe000;

impl Field {
    /// The value in `key`. Whether the packet has the field is the caller's to know.
    #[inline]
    pub fn read(self, key: &FlowKey) -> u128 {
        let raw = key.read(self.slot());
        match self {
            Field::InPort => u128::from(raw as u16),
            Field::IpDscp => raw << 2,
            _ => raw & self.exact(),
        }
    }

    /// The mask in `mask`, as wide as the field: an exact one is all ones.
    pub fn read_mask(self, mask: &FlowMask) -> u128 {
        let place = self.slot();
        let bits = mask.bits(place);
        match self {
            Field::VlanVid | Field::DlVlan | Field::IpFrag => bits,
            Field::CtState => bits,
            Field::InPort => u128::from(bits as u16),
            Field::IpDscp => bits << 2,
            _ if bits == place.ones() => self.exact(),
            _ => bits & self.exact(),
        }
    }

    /// Writes `value` into `key`.
    pub fn write(self, key: &mut FlowKey, value: u128) {
        match self {
            Field::InPort => key.set_in_port(OfPort::from_u16(value as u16).0),
            Field::InPortOxm => key.set_in_port(value as u32),
            Field::IpDscp => key.write(self.slot(), value >> 2),
            Field::DlVlan if value == 0xffff => key.set_vlan0_tci(0),
            Field::DlVlan => {
                key.set_vlan0_tci(key.vlan0_tci() & !VID | VLAN_CFI | value as u16 & VID);
                fix_tpid(key);
            }
            Field::DlVlanPcp | Field::VlanPcp => {
                key.set_vlan0_tci(key.vlan0_tci() & !PCP | VLAN_CFI | (value as u16 & 7) << 13);
                fix_tpid(key);
            }
            Field::VlanTci | Field::VlanVid => {
                key.write(self.slot(), value);
                fix_tpid(key);
            }
            _ => {
                key.write(self.slot(), value);
                if let Some(index) = self.tunnel_option() {
                    key.write(Slot::tun_metadata(index), 1);
                }
            }
        }
    }

    /// Writes those bits of `value` that `mask` names.
    pub fn write_masked(self, key: &mut FlowKey, value: u128, mask: u128) {
        let merged = self.read(key) & !mask | value & mask;
        self.write(key, merged);
    }

    /// Adds the whole field to `mask`.
    pub fn add_to_mask(self, mask: &mut FlowMask) {
        self.add_bits_to_mask(mask, self.exact());
    }

    /// Adds `bits` of the field to `mask`.
    pub fn add_bits_to_mask(self, mask: &mut FlowMask, bits: u128) {
        if bits == 0 {
            return;
        }
        if let Some(index) = self.tunnel_option() {
            mask.add_all(Slot::tun_metadata(index));
        }
        match self {
            Field::IpDscp => mask.add(self.slot(), bits >> 2),
            Field::DlVlan | Field::DlVlanPcp | Field::VlanPcp => {
                mask.add(self.slot(), bits);
                mask.add(slot::VLAN0_TCI, u128::from(VLAN_CFI));
            }
            _ if bits & self.exact() == self.exact() => mask.add_all(self.slot()),
            _ => mask.add(self.slot(), bits),
        }
    }

    /// Whether `mask` names no bit of the field.
    pub fn is_wild(self, mask: &FlowMask) -> bool {
        mask.bits(self.slot()) == 0
            && self.tunnel_option().is_none_or(|index| mask.bits(Slot::tun_metadata(index)) == 0)
    }

    /// Whether the field may be matched with `mask`.
    pub fn is_mask_valid(self, mask: u128) -> bool {
        match self.info().maskable {
            Maskable::Whole => mask == 0 || mask == self.exact(),
            Maskable::Full => true,
        }
    }

    /// Checks that a match can hold `value` and `mask` as they are written in `text`: no bit of either is lost.
    pub fn check_fit(self, text: &str, value: u128, mask: u128) -> Result<(), TextError> {
        let most = self.largest();
        let all = u128::MAX >> (128 - 8 * self.n_bytes() as u32);
        // OpenFlow 1.0's way to ask for packets without a tag, and all bits of OpenFlow 1.2's VLAN ID, which scripts
        // have for VLAN 4095.
        let all_ones = self == Field::DlVlan && matches!(value, 0xffff | 0x1fff);
        if value > most && !all_ones {
            return refuse!(
                "{text}: value too large for field {}, at most {}",
                self.name(),
                self.shown(most)
            );
        }
        if self == Field::IpDscp && value & 3 != 0 {
            return refuse!("{text}: the two lowest bits of field {} must be 0", self.name());
        }
        if mask > most && mask != self.exact() && mask != all {
            return refuse!("{text}: mask too large for field {}, at most {most:#x}", self.name());
        }
        Ok(())
    }

    /// The largest value that a match on the field can hold.
    fn largest(self) -> u128 {
        match self {
            Field::ArpOp | Field::IpDscp | Field::IpFrag => 0xff,
            Field::NshTtl => 63,
            Field::VlanVid => u128::from(VID | VLAN_CFI),
            Field::InPort | Field::InPortOxm | Field::ActsetOutput | Field::CtState => u32::MAX.into(),
            _ => u128::MAX >> (128 - self.n_bits()),
        }
    }

    fn shown(self, value: u128) -> String {
        match self.info().form {
            TextForm::Hexadecimal => format!("{value:#x}"),
            _ => value.to_string(),
        }
    }

    /// Whether a match on bits of `value` makes sense. Not a check of whether packets can have it.
    pub fn is_value_valid(self, value: u128) -> bool {
        match self {
            Field::InPortOxm | Field::ActsetOutput => OfPort(value as u32).to_u16().is_some(),
            Field::IpDscp => value & !0xfc == 0,
            Field::IpDscpShifted => value & !0x3f == 0,
            Field::IpEcn | Field::IpFrag => value & !3 == 0,
            Field::TcpFlags | Field::DlVlan => value & !0xfff == 0,
            Field::ArpOp => value & 0xff00 == 0,
            Field::VlanVid => value & 0xe000 == 0,
            Field::DlVlanPcp | Field::VlanPcp | Field::MplsTc => value & !7 == 0,
            Field::Ipv6Label | Field::MplsLabel => value & !0xf_ffff == 0,
            Field::MplsBos | Field::TunFlags => value & !1 == 0,
            Field::CtState => value & !0xff == 0,
            Field::NshTtl => value <= 63,
            Field::NshMdtype => matches!(value, 1 | 2),
            Field::NshSpi => value & 0xff00_0000 == 0,
            _ => true,
        }
    }
}

/// A packet with a tag has a TPID; one without has none.
fn fix_tpid(key: &mut FlowKey) {
    if key.vlan0_tci() & VLAN_CFI != 0 {
        if key.vlan0_tpid() == 0 {
            key.set_vlan0_tpid(0x8100);
        }
    } else {
        key.set_vlan0_tpid(0);
    }
}

impl Match {
    /// The value and mask of `field`.
    pub fn get(&self, field: Field) -> (u128, u128) {
        (field.read(&self.key), field.read_mask(&self.mask))
    }

    /// Makes the match ask for `value` in the bits that `mask` names. An
    /// exact or zero mask sets or wildcards the field. Returns the protocols
    /// that can express it.
    pub fn set(&mut self, field: Field, value: u128, mask: u128) -> Protocols {
        if let Some(index) = field.tunnel_option() {
            // Who asks for no bit of an option asks for the option.
            self.key.write(Slot::tun_metadata(index), 1);
            self.mask.add_all(Slot::tun_metadata(index));
            self.key.write(field.slot(), value & mask);
            self.mask.set_bits(field.slot(), mask);
            return field.protocols_bitwise();
        }
        if mask & field.exact() == field.exact() {
            self.set_exact(field, value);
            return field.protocols_exact();
        }
        if mask == 0 {
            self.set_wild(field);
            return Protocols::ANY;
        }
        if field.info().maskable == Maskable::Whole {
            return Protocols::NONE;
        }
        self.set_masked(field, value, mask);
        let cidr = field.protocols_cidr();
        let word = (mask << (128 - 8 * field.n_bytes() as u32) >> 96) as u32;
        let is_cidr = word.leading_ones() + word.trailing_zeros() >= 32;
        if cidr == field.protocols_bitwise() || is_cidr { cidr } else { field.protocols_bitwise() }
    }

    fn set_masked(&mut self, field: Field, value: u128, mask: u128) {
        let place = field.slot();
        match field {
            Field::VlanVid => {
                let mask = mask as u16 & (VID | VLAN_CFI);
                let key_tci = self.key.vlan0_tci() & PCP | value as u16 & mask;
                let mask_tci = self.mask.bits(slot::VLAN0_TCI) as u16 & PCP | mask;
                self.key.set_vlan0_tci(key_tci);
                self.mask.set_bits(slot::VLAN0_TCI, u128::from(mask_tci));
            }
            Field::Ipv6Label if mask & 0xf_ffff == 0xf_ffff => self.set_exact(field, value),
            Field::NshSpi => {
                self.mask.add(place, mask);
                self.key.write(place, value & mask);
            }
            _ => {
                self.key.write(place, value & mask);
                self.mask.set_bits(place, mask);
            }
        }
    }

    /// Makes the match ask for exactly `value`.
    pub fn set_exact(&mut self, field: Field, value: u128) {
        let place = field.slot();
        if let Some(index) = field.tunnel_option() {
            self.key.write(Slot::tun_metadata(index), 1);
            self.mask.add_all(Slot::tun_metadata(index));
        }
        match field {
            Field::InPort => {
                self.key.set_in_port(OfPort::from_u16(value as u16).0);
                self.mask.add_all(place);
            }
            Field::IpDscp => {
                self.key.write(place, value >> 2);
                self.mask.add_all(place);
            }
            Field::DlVlan => self.set_dl_vlan(0, value as u16),
            Field::VlanVid => self.set_masked(field, value, 0x1fff),
            Field::DlVlanPcp | Field::VlanPcp => self.set_dl_vlan_pcp(0, value as u8),
            _ => {
                self.key.write(place, value);
                self.mask.add_all(place);
            }
        }
    }

    /// Asks for the VLAN id of tag `index`; 0xffff asks for no tag.
    pub fn set_dl_vlan(&mut self, index: usize, vid: u16) {
        let place = flow::Slot::vlan_tci(index);
        if vid == 0xffff {
            self.key.write(place, 0);
            self.mask.add_all(place);
        } else {
            let tci = self.key.vlan_tci(index) & !VID | VLAN_CFI | vid & VID;
            self.key.write(place, u128::from(tci));
            self.mask.add(place, u128::from(VID | VLAN_CFI));
        }
    }

    /// Matches packets whose tag `index`, counted from the outermost, has this priority.
    pub fn set_dl_vlan_pcp(&mut self, index: usize, pcp: u8) {
        let place = flow::Slot::vlan_tci(index);
        let tci = self.key.vlan_tci(index) & !PCP | VLAN_CFI | u16::from(pcp & 7) << 13;
        self.key.write(place, u128::from(tci));
        self.mask.add(place, u128::from(PCP | VLAN_CFI));
    }

    /// Asks nothing of `field`.
    pub fn set_wild(&mut self, field: Field) {
        if let Some(index) = field.tunnel_option() {
            self.key.write(Slot::tun_metadata(index), 0);
            self.mask.set_bits(Slot::tun_metadata(index), 0);
        }
        let tci = slot::VLAN0_TCI;
        let have = self.mask.bits(tci) as u16;
        let place = match field {
            Field::DlVlan | Field::VlanVid if have & PCP != 0 => flow::Slot { bits: 12, ..tci },
            Field::DlVlanPcp | Field::VlanPcp if have & VID != 0 => {
                flow::Slot { shift: tci.shift + 13, bits: 3, ..tci }
            }
            Field::DlVlan | Field::VlanVid | Field::DlVlanPcp | Field::VlanPcp => tci,
            _ => field.slot(),
        };
        self.key.write(place, 0);
        self.mask.set_bits(place, 0);
    }
}
