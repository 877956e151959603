//! Actions that write fields: `set_field`, `load`, `move`, `push`, `pop`, and the header setters of old.

use fields::Subfield;
use flow::{Slot, slot};

use crate::translate::Context;

impl Context<'_> {
    pub(super) fn set_field(&mut self, set: &ofp::SetField) {
        let info = set.field.info();
        if !info.prereq.met_by(&self.key, Some(&mut self.mask)) {
            let name = info.name;
            return self.warning(|| format!("unmet prerequisites for {name}, set_field ignored"));
        }
        self.mask_protocol_of(set.field);
        if !set.field.is_tunnel() {
            set.field.add_bits_to_mask(&mut self.mask, set.mask);
        }
        set.field.write_masked(&mut self.key, set.value, set.mask);
    }

    /// Changing a network or transport header is possible only as long as the protocol is what it is.
    pub(super) fn mask_protocol_of(&mut self, field: fields::Field) {
        if field.is_l3_or_higher() && self.key.is_ip() {
            self.mask.add_all(slot::NW_PROTO);
        }
    }

    pub(super) fn move_field(&mut self, copy: &ofp::RegMove) {
        let (source, destination) = (copy.source, copy.destination);
        let from = source.field.info();
        let to = destination.field.info();
        if !from.prereq.met_by(&self.key, Some(&mut self.mask)) {
            return self.warning(|| format!("unmet prerequisites for {}, reg_move ignored", from.name));
        }
        if !to.prereq.met_by(&self.key, Some(&mut self.mask)) {
            return self.warning(|| format!("unmet prerequisites for {}, reg_move ignored", to.name));
        }
        source.add_to_mask(&mut self.mask);
        destination.add_to_mask(&mut self.mask);
        let value = source.read(&self.key);
        destination.write(&mut self.key, value);
        self.record_subfield(destination);
    }

    pub(super) fn record_subfield(&mut self, subfield: Subfield) {
        let value = subfield.read(&self.key);
        self.detail(|| {
            let mut text = String::new();
            subfield.format(&mut text);
            format!("{text} is now {value:#x}")
        });
    }

    pub(super) fn push_stack(&mut self, source: Subfield) {
        source.add_to_mask(&mut self.mask);
        let value = source.read(&self.key);
        let width = usize::from(source.n_bits).div_ceil(8).clamp(1, 16);
        self.stack.extend(&value.to_be_bytes()[16 - width..]);
        self.stack.push(width as u8);
    }

    pub(super) fn pop_stack(&mut self, destination: Subfield) {
        let Some(width) = self.stack.pop().map(usize::from) else {
            return self.fault(|| "stack underflow".to_owned());
        };
        let start = self.stack.len().saturating_sub(width);
        let value = self.stack.drain(start..).fold(0u128, |value, byte| value << 8 | u128::from(byte));
        destination.add_to_mask(&mut self.mask);
        destination.write(&mut self.key, value & destination.ones());
        self.record_subfield(destination);
    }

    /// Sets a header value that every packet has.
    pub(super) fn set_slot(&mut self, place: Slot, value: u128) {
        self.mask.add_all(place);
        self.key.write(place, value);
    }

    /// Sets bits of a network or transport header that the packet is known to have.
    pub(super) fn set_network(&mut self, place: Slot, value: u128, bits: u128) {
        self.mask.add_all(slot::NW_PROTO);
        self.mask.add(place, bits);
        self.key.write_masked(place, value, bits);
    }

    pub(super) fn has_transport(&self) -> bool {
        self.key.is_ip() && self.key.nw_frag() & flow::frag::LATER == 0
    }
}
