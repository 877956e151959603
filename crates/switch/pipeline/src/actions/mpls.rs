//! MPLS labels: pushing, popping, changing.

use flow::{FlowMask, MAX_MPLS, Slot, slot};
use ofp::PacketInReason;

use super::Next;
use crate::commit::{commit, is_mpls};
use crate::context::{Context, PacketState, Walk};
use crate::request::Error;

/// The bit that says that no label is below.
const BOTTOM: u32 = 0x100;
/// The bits of a label stack entry.
const LABEL: u32 = 0xffff_f000;
const TRAFFIC_CLASS: u32 = 0x0000_0e00;
const TTL: u32 = 0x0000_00ff;
/// "The payload is IPv6"; for IPv4 it is 0.
const IPV6_EXPLICIT_NULL: u32 = 2;
const DEFAULT_TTL: u32 = 64;

impl Context<'_> {
    pub(super) fn push_mpls(&mut self, ether_type: u16) {
        let count = self.packet.mpls_count(&mut self.out.mask, self.walk.max_mpls());
        if count >= self.walk.max_mpls() {
            return self.too_many_labels("an MPLS push action", "would have");
        }
        self.push_label(count, ether_type);
    }

    /// Puts a label on those that there are, which are `count`; there is room for it.
    pub(super) fn push_label(&mut self, count: usize, ether_type: u16) {
        if count == 0 {
            commit(&mut self.packet, &mut self.out);
            let entry = self.packet.first_label(&mut self.out.mask);
            self.packet.begin_stack(entry);
        } else {
            for index in (0..count).rev() {
                self.out.mask.add_all(Slot::mpls(index));
                let entry = self.packet.key.read(Slot::mpls(index));
                self.packet.key.write(Slot::mpls(index + 1), entry);
            }
            let entry = self.packet.key.mpls0() & !BOTTOM;
            self.packet.key.set_mpls0(entry);
        }
        self.packet.key.set_dl_type(ether_type);
    }

    pub(super) fn pop_mpls(&mut self, ether_type: u16) {
        self.pop_label(ether_type, "an MPLS pop action");
    }

    /// The same, by an action of this name.
    pub(super) fn pop_label(&mut self, ether_type: u16, what: &str) {
        let most = self.walk.max_mpls();
        let count = self.packet.mpls_count(&mut self.out.mask, most);
        if count == 0 {
            return;
        }
        if count == most && self.packet.key.read(Slot::mpls(count - 1)) as u32 & BOTTOM == 0 {
            // What would come up from below is not known.
            return self.too_many_labels(what, "has");
        }
        for index in 1..count {
            self.out.mask.add_all(Slot::mpls(index));
            let entry = self.packet.key.read(Slot::mpls(index));
            self.packet.key.write(Slot::mpls(index - 1), entry);
        }
        self.packet.key.write(Slot::mpls(count - 1), 0);
        self.packet.key.set_dl_type(ether_type);
        self.packet.was_mpls |= !is_mpls(ether_type);
    }

    pub(super) fn decrement_mpls_ttl(&mut self) -> Next {
        if is_mpls(self.packet.key.dl_type()) {
            self.out.mask.add(slot::MPLS0, TTL.into());
            let entry = self.packet.key.mpls0();
            if entry & TTL > 1 {
                self.packet.key.set_mpls0(entry - 1);
                return Next::Go;
            }
            self.send_to_controller(u16::MAX, PacketInReason::InvalidTtl, 0, &[], 0);
        }
        self.warning(|| "MPLS decrement TTL exception".to_owned());
        Next::Leave
    }

    pub(super) fn too_many_labels(&mut self, what: &str, has: &str) {
        let most = self.walk.max_mpls();
        self.fault(|| {
            format!(
                "dropping packet on which {what} can't be performed as it {has} more MPLS LSEs than the {most} supported."
            )
        });
        self.out.error = Some(Error::TooManyMplsLabels);
    }
}

impl Walk<'_> {
    /// How many labels the datapath's keys hold.
    pub(super) fn max_mpls(&self) -> usize {
        self.bridge.capabilities().max_mpls.min(MAX_MPLS)
    }
}

impl PacketState {
    pub(super) fn set_mpls_label(&mut self, mask: &mut FlowMask, label: u32) {
        self.set_mpls_bits(mask, LABEL, label << 12);
    }

    pub(super) fn set_mpls_tc(&mut self, mask: &mut FlowMask, class: u8) {
        self.set_mpls_bits(mask, TRAFFIC_CLASS, u32::from(class) << 9);
    }

    pub(super) fn set_mpls_ttl(&mut self, mask: &mut FlowMask, ttl: u8) {
        self.set_mpls_bits(mask, TTL, ttl.into());
    }

    fn set_mpls_bits(&mut self, mask: &mut FlowMask, bits: u32, value: u32) {
        if is_mpls(self.key.dl_type()) {
            mask.add(slot::MPLS0, bits.into());
            self.key.write_masked(slot::MPLS0, value.into(), bits.into());
        }
    }

    /// How many labels the packet has, as far as the key knows, which holds `most`.
    pub(super) fn mpls_count(&self, mask: &mut FlowMask, most: usize) -> usize {
        if !is_mpls(self.key.dl_type()) {
            return 0;
        }
        for index in 0..most {
            mask.add(Slot::mpls(index), BOTTOM.into());
            if self.key.read(Slot::mpls(index)) as u32 & BOTTOM != 0 {
                return index + 1;
            }
        }
        most
    }

    /// The label that a packet without labels gets.
    fn first_label(&self, mask: &mut FlowMask) -> u32 {
        let label = if self.key.dl_type() == 0x86dd { IPV6_EXPLICIT_NULL } else { 0 };
        let (mut class, mut ttl) = (0, DEFAULT_TTL);
        if self.key.is_ip() {
            mask.add(slot::NW_TOS, 0xfc);
            mask.add_all(slot::NW_TTL);
            class = u32::from(self.key.nw_tos() & 0xfc) >> 2;
            if self.key.nw_ttl() != 0 {
                ttl = self.key.nw_ttl().into();
            }
        }
        label << 12 | (class << 9) & TRAFFIC_CLASS | BOTTOM | ttl
    }

    /// The label that `encap` puts before a packet, which has nothing of the packet but whether it is of IPv6.
    pub(super) fn outer_label(&self) -> u32 {
        let label = if self.key.dl_type() == 0x86dd { IPV6_EXPLICIT_NULL } else { 0 };
        label << 12 | BOTTOM | DEFAULT_TTL
    }

    /// The packet gets its first label.
    pub(super) fn begin_stack(&mut self, entry: u32) {
        self.forget_payload();
        self.key.set_mpls0(entry);
    }

    /// Under a label, nothing of the network layer is seen any more.
    fn forget_payload(&mut self) {
        for word in &mut self.key.core_mut()[flow::STAGES[2]..] {
            *word = 0;
        }
        self.key.set_dp_hash(0);
    }
}
