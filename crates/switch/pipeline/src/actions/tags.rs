//! VLAN tags: pushing, popping, changing.

use flow::{FlowMask, MAX_VLANS, Slot, VLAN_CFI, slot};

use crate::context::PacketState;

impl PacketState {
    pub(super) fn set_vlan_bits(&mut self, mask: &mut FlowMask, bits: u16, value: u16, push_if_needed: bool) {
        mask.add(slot::VLAN0_TCI, u128::from(bits | VLAN_CFI));
        let tci = self.key.vlan0_tci();
        if tci & VLAN_CFI == 0 && !push_if_needed {
            return;
        }
        let tpid = if self.key.vlan0_tpid() == 0 { crate::vlan::TPID_8021Q } else { self.key.vlan0_tpid() };
        self.key.set_vlan(0, tpid, tci & !bits | value | VLAN_CFI);
    }

    pub(super) fn pop_vlan(&mut self, mask: &mut FlowMask) {
        let count = self.read_inner_tags(mask);
        for index in 1..count {
            let (tpid, tci) = (self.key.vlan_tpid(index), self.key.vlan_tci(index));
            self.key.set_vlan(index - 1, tpid, tci);
        }
        if count > 0 {
            self.key.set_vlan(count - 1, 0, 0);
        }
    }

    pub(super) fn push_vlan(&mut self, mask: &mut FlowMask, tpid: u16) {
        for index in (0..self.read_inner_tags(mask)).rev() {
            if index + 1 < MAX_VLANS {
                let (old_tpid, tci) = (self.key.vlan_tpid(index), self.key.vlan_tci(index));
                self.key.set_vlan(index + 1, old_tpid, tci);
            }
        }
        self.key.set_vlan(0, tpid, VLAN_CFI);
    }

    /// How many tags there are, which what follows depends on if there are
    /// any: they are about to change their places.
    fn read_inner_tags(&self, mask: &mut FlowMask) -> usize {
        let count = self.key.vlan_count();
        if count > 0 {
            mask_tags(mask);
        }
        count
    }
}

/// Makes what follows depend on all of the tags.
pub(crate) fn mask_tags(mask: &mut FlowMask) {
    for index in 0..MAX_VLANS {
        mask.add_all(Slot::vlan_tci(index));
        mask.add_all(Slot::vlan_tpid(index));
    }
}
