//! Actions that write fields: `set_field`, `load`, `move`, `push`, `pop`, and the header setters of old.

use fields::Subfield;
use flow::{FlowMask, Slot, slot};

use crate::context::{Outcome, PacketState};

impl PacketState {
    pub(super) fn set_field(&mut self, out: &mut Outcome, set: &ofp::SetField) {
        let info = set.field.info();
        if !info.prereq.met_by(&self.key, Some(&mut out.mask)) {
            let name = info.name;
            return out.warning(|| format!("unmet prerequisites for {name}, set_field ignored"));
        }
        self.mask_protocol_of(&mut out.mask, set.field);
        if !set.field.is_tunnel() {
            set.field.add_bits_to_mask(&mut out.mask, set.mask);
        }
        set.field.write_masked(&mut self.key, set.value, set.mask);
    }

    /// Changing a network or transport header is possible only as long as the protocol is what it is.
    pub(super) fn mask_protocol_of(&self, mask: &mut FlowMask, field: fields::Field) {
        if field.is_l3_or_higher() && self.key.is_ip() {
            mask.add_all(slot::NW_PROTO);
        }
    }

    pub(super) fn move_field(&mut self, out: &mut Outcome, copy: &ofp::RegMove) {
        let (source, destination) = (copy.source, copy.destination);
        let from = source.field.info();
        let to = destination.field.info();
        if !from.prereq.met_by(&self.key, Some(&mut out.mask)) {
            return out.warning(|| format!("unmet prerequisites for {}, reg_move ignored", from.name));
        }
        if !to.prereq.met_by(&self.key, Some(&mut out.mask)) {
            return out.warning(|| format!("unmet prerequisites for {}, reg_move ignored", to.name));
        }
        source.add_to_mask(&mut out.mask);
        destination.add_to_mask(&mut out.mask);
        let value = source.read(&self.key);
        destination.write(&mut self.key, value);
        self.record_subfield(out, destination);
    }

    pub(super) fn record_subfield(&self, out: &mut Outcome, subfield: Subfield) {
        let value = subfield.read(&self.key);
        out.detail(|| {
            let mut text = String::new();
            subfield.format(&mut text);
            format!("{text} is now {value:#x}")
        });
    }

    pub(super) fn push_stack(&mut self, mask: &mut FlowMask, source: Subfield) {
        source.add_to_mask(mask);
        let value = source.read(&self.key);
        let width = usize::from(source.n_bits).div_ceil(8).clamp(1, 16);
        self.stack.extend(&value.to_be_bytes()[16 - width..]);
        self.stack.push(width as u8);
    }

    /// False when there is nothing on the stack.
    pub(super) fn pop_stack(&mut self, out: &mut Outcome, destination: Subfield) -> bool {
        let Some(width) = self.stack.pop().map(usize::from) else { return false };
        let start = self.stack.len().saturating_sub(width);
        let value = self.stack.drain(start..).fold(0u128, |value, byte| value << 8 | u128::from(byte));
        destination.add_to_mask(&mut out.mask);
        destination.write(&mut self.key, value & destination.ones());
        self.record_subfield(out, destination);
        true
    }

    /// Sets a header value that every packet has.
    pub(super) fn set_slot(&mut self, mask: &mut FlowMask, place: Slot, value: u128) {
        mask.add_all(place);
        self.key.write(place, value);
    }

    /// Sets bits of a network or transport header that the packet is known to have.
    pub(crate) fn set_network(&mut self, mask: &mut FlowMask, place: Slot, value: u128, bits: u128) {
        mask.add_all(slot::NW_PROTO);
        mask.add(place, bits);
        self.key.write_masked(place, value, bits);
    }

    pub(super) fn has_transport(&self) -> bool {
        self.key.is_ip() && self.key.nw_frag() & flow::frag::LATER == 0
    }
}
