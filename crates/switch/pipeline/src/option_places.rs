//! Where the datapath keeps the options of tunnels that a bridge has as fields of tunnel metadata.
//!
//! Each bridge maps options to fields by itself, but the datapath reads options into keys before any bridge sees the packet. It
//! gives each option that some bridge maps a place, and a key of the datapath becomes one that the bridge's rules see, and back.

use flow::{FlowKey, FlowMask, Slot, TUN_METADATA_FIELDS};

/// By field of the bridge, the place that the datapath has for its option; both count up to [`TUN_METADATA_FIELDS`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OptionPlaces(Vec<(u8, u8)>);

/// Of a bridge that maps nothing.
pub(crate) static NO_OPTIONS: OptionPlaces = OptionPlaces(Vec::new());

impl OptionPlaces {
    /// Of pairs of field and place.
    pub fn new(pairs: impl IntoIterator<Item = (u8, u8)>) -> OptionPlaces {
        let is_known = |number: u8| usize::from(number) < TUN_METADATA_FIELDS;
        OptionPlaces(pairs.into_iter().filter(|&(field, place)| is_known(field) && is_known(place)).collect())
    }

    /// A key of the datapath as rules see it: options that the bridge does not map are not there.
    pub fn to_bridge(&self, key: &FlowKey) -> FlowKey {
        renamed(key, self.0.iter().map(|&(field, place)| (place, field)))
    }

    /// A key as rules see it as the datapath has it.
    pub fn to_datapath(&self, key: &FlowKey) -> FlowKey {
        renamed(key, self.0.iter().copied())
    }

    /// The same of a mask; what it says of fields that the bridge does not map depends on no packet.
    pub fn mask_to_datapath(&self, mask: &FlowMask) -> FlowMask {
        if !mask.has_tun_options() {
            return mask.clone();
        }
        let mut named = mask.clone();
        for number in 0..TUN_METADATA_FIELDS {
            named.set_bits(Slot::tun_metadata(number), 0);
            named.set_bits(Slot::tun_metadata_value(number), 0);
        }
        for &(field, place) in &self.0 {
            let (field, place) = (usize::from(field), usize::from(place));
            named.set_bits(Slot::tun_metadata(place), mask.bits(Slot::tun_metadata(field)));
            named.set_bits(Slot::tun_metadata_value(place), mask.bits(Slot::tun_metadata_value(field)));
        }
        named
    }
}

fn renamed(key: &FlowKey, pairs: impl Iterator<Item = (u8, u8)>) -> FlowKey {
    let mut named = key.clone();
    if !key.has_tun_options() {
        return named;
    }
    named.clear_tun_options();
    for (from, to) in pairs {
        if let Some(value) = key.tun_metadata(from.into()) {
            named.set_tun_metadata(to.into(), value);
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn options_that_are_not_mapped_are_not_seen() {
        let places = OptionPlaces::new([(0, 5), (1, 0), (64, 2), (3, 200)]);
        let mut key = FlowKey::new();
        key.set_tun_id(9);
        (0..6).for_each(|place| key.set_tun_metadata(place, 100 + place as u128));
        let seen = places.to_bridge(&key);
        let values: Vec<_> = (0..6).map(|field| seen.tun_metadata(field)).collect();
        assert_eq!(values, [Some(105), Some(100), None, None, None, None]);
        assert_eq!(seen.tun_id(), 9);
        let back = places.to_datapath(&seen);
        assert_eq!(
            (back.tun_metadata(5), back.tun_metadata(0), back.tun_metadata(1)),
            (Some(105), Some(100), None)
        );
    }

    proptest! {
        /// Keys that agree in the datapath's mask agree, as rules see them, in theirs.
        #[test]
        fn masks_name_the_same(
            pairs in Just((0u8..64).collect::<Vec<_>>()).prop_shuffle(),
            count in 0usize..64,
            fields in prop::collection::vec((0usize..64, any::<u8>()), 0..8),
            others in prop::collection::vec((0usize..64, any::<u8>()), 0..8),
            named in prop::collection::vec(0usize..64, 0..4),
        ) {
            let places = OptionPlaces::new((0u8..).zip(pairs).take(count));
            let made = |of: &[(usize, u8)]| {
                let mut key = FlowKey::new();
                of.iter().for_each(|&(place, value)| key.set_tun_metadata(place, value.into()));
                key
            };
            let (one, two) = (made(&fields), made(&others));
            let mut mask = FlowMask::new();
            named.iter().for_each(|&field| mask.add_tun_metadata(field));
            let below = places.mask_to_datapath(&mask);
            prop_assert_eq!(
                one.equal_under(&two, &below),
                places.to_bridge(&one).equal_under(&places.to_bridge(&two), &mask)
            );
        }
    }
}
