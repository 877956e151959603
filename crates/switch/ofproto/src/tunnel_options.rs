//! Which options of tunnels are which fields of tunnel metadata.
//!
//! Each bridge has its mappings, as controllers ask for them. The datapath reads options into keys before any bridge sees
//! the packet: it has a place for each option that some bridge maps ([`in_datapath`]).

use dp::TunnelOption;
use fields::TUNNEL_OPTIONS;
use flow::{FlowKey, MAX_OPTION_LEN};
use ofp::{OfError, TlvMap, TlvTable, TlvTableMod};
use pipeline::tunnel::OptionPlaces;
use wire::geneve::{GeneveOption, MAX_OPTION_DATA_LEN};

/// The most bytes of all fields together.
const SPACE: u32 = 256;

const ADD: u16 = 0;
const DELETE: u16 = 1;
const CLEAR: u16 = 2;

/// The mappings of a bridge.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TunnelOptions(Vec<TunnelOption>);

impl TunnelOptions {
    /// What the mappings are after a request. The error is of the first that cannot be.
    pub fn changed(&self, request: &TlvTableMod) -> Result<TunnelOptions, OfError> {
        let mut after = self.clone();
        match request.command {
            ADD => {
                for mapping in &request.mappings {
                    after.add(mapping)?;
                }
            }
            DELETE => {
                let is_named =
                    |known: &TunnelOption| request.mappings.iter().any(|m| m.index == u16::from(known.field));
                after.0.retain(|known| !is_named(known));
            }
            CLEAR => after.0.clear(),
            _ => return Err(OfError::NxttmfcBadCommand),
        }
        Ok(after)
    }

    fn add(&mut self, mapping: &TlvMap) -> Result<(), OfError> {
        let field = u8::try_from(mapping.index).ok().filter(|field| usize::from(*field) < TUNNEL_OPTIONS);
        let Some(field) = field else { return Err(OfError::NxttmfcBadFieldIdx) };
        if !mapping.length.is_multiple_of(4) || usize::from(mapping.length) > MAX_OPTION_DATA_LEN {
            return Err(OfError::NxttmfcBadOptLen);
        }
        let new = TunnelOption { class: mapping.class, kind: mapping.kind, len: mapping.length, field };
        if let Some(error) = self.0.iter().find_map(|known| overlap(known, &new)) {
            return Err(error);
        }
        if self.0.iter().map(|known| u32::from(known.len)).sum::<u32>() + u32::from(new.len) > SPACE {
            return Err(OfError::NxttmfcTableFull);
        }
        if !is_read(&new) {
            log::warn!(target: "tun_metadata", "tun_metadata{field} is without effect: options of more than {MAX_OPTION_LEN} bytes are not read, and rules cannot use the field");
        }
        self.0.push(new);
        self.0.sort_by_key(|known| known.field);
        Ok(())
    }

    /// How many bytes field `tun_metadata<field>` has, if rules may use it.
    pub(crate) fn len_of(&self, field: usize) -> Option<u8> {
        let mut usable = self.iter_read().filter(|known| usize::from(known.field) == field);
        usable.next().map(|known| known.len)
    }

    /// Those that are read from packets, by field.
    pub fn iter_read(&self) -> impl Iterator<Item = &TunnelOption> {
        self.0.iter().filter(|known| is_read(known))
    }

    /// All of them, by field.
    pub fn iter(&self) -> impl Iterator<Item = &TunnelOption> {
        self.0.iter()
    }

    /// The fields that are mapped, a bit each.
    pub fn fields(&self) -> u64 {
        self.0.iter().fold(0, |fields, known| fields | 1u64.checked_shl(known.field.into()).unwrap_or(0))
    }

    /// Where a datapath that reads `options` has them.
    pub fn places(&self, options: &[TunnelOption]) -> OptionPlaces {
        let place = |own: &TunnelOption| {
            let found = options.iter().find(|known| is_same(known, own))?;
            Some((own.field, found.field))
        };
        OptionPlaces::new(self.iter_read().filter_map(place))
    }

    /// What controllers are shown.
    pub fn shown(&self) -> TlvTable {
        let mapping = |known: &TunnelOption| TlvMap {
            class: known.class,
            kind: known.kind,
            length: known.len,
            index: known.field.into(),
        };
        TlvTable {
            max_space: SPACE,
            max_fields: TUNNEL_OPTIONS as u16,
            mappings: self.0.iter().map(mapping).collect(),
        }
    }

    /// The options that a packet with `key` goes out with.
    pub(crate) fn of_key(&self, key: &FlowKey) -> Vec<GeneveOption> {
        if !key.has_tun_options() {
            return Vec::new();
        }
        let option = |known: &TunnelOption| {
            let value = key.tun_metadata(known.field.into())?.to_be_bytes();
            let data = value.get(MAX_OPTION_LEN.saturating_sub(known.len.into())..)?.to_vec();
            Some(GeneveOption { class: known.class, kind: known.kind, data })
        };
        self.iter_read().filter_map(option).collect()
    }
}

/// The options that a datapath is to read, each with the place that its keys have for it, so that all bridges see what they map.
/// `known` are those that it reads now, which keep their places. The error: there are more than a key has room for.
pub fn in_datapath<'a>(
    known: &[TunnelOption],
    bridges: impl Iterator<Item = &'a TunnelOptions>,
) -> Result<Vec<TunnelOption>, OfError> {
    let mut wanted: Vec<TunnelOption> = Vec::new();
    for option in bridges.flat_map(TunnelOptions::iter_read) {
        if !wanted.iter().any(|other| is_same(other, option)) {
            wanted.push(*option);
        }
    }
    let mut read: Vec<TunnelOption> =
        known.iter().copied().filter(|old| wanted.iter().any(|option| is_same(old, option))).collect();
    for new in wanted {
        if read.iter().any(|old| is_same(old, &new)) {
            continue;
        }
        let is_free = |place: &u8| read.iter().all(|other| other.field != *place);
        // That of the field itself, which makes listings easy to read.
        let place = std::iter::once(new.field).chain(0..TUNNEL_OPTIONS as u8).find(is_free);
        let Some(place) = place else {
            log::warn!(target: "tun_metadata", "bridges of one datapath map more than {TUNNEL_OPTIONS} options");
            return Err(OfError::NxttmfcTableFull);
        };
        read.push(TunnelOption { field: place, ..new });
    }
    Ok(read)
}

/// Whether both are the same option, whichever field it is.
fn is_same(one: &TunnelOption, other: &TunnelOption) -> bool {
    (one.class, one.kind, one.len) == (other.class, other.kind, other.len)
}

/// Whether keys have room for its data.
fn is_read(option: &TunnelOption) -> bool {
    usize::from(option.len) <= MAX_OPTION_LEN
}

/// Why both cannot be.
fn overlap(known: &TunnelOption, new: &TunnelOption) -> Option<OfError> {
    if known.field == new.field {
        Some(OfError::NxttmfcAlreadyMapped)
    } else if (known.class, known.kind) == (new.class, new.kind) {
        Some(OfError::NxttmfcDupEntry)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(command: u16, mappings: &[(u16, u8, u8, u16)]) -> TlvTableMod {
        let mapping = |&(class, kind, length, index)| TlvMap { class, kind, length, index };
        TlvTableMod { command, mappings: mappings.iter().map(mapping).collect() }
    }

    #[test]
    fn mappings_are_checked_and_become_options() {
        let none = TunnelOptions::default();
        let ovn = none.changed(&request(ADD, &[(0x102, 0x80, 4, 0)])).unwrap();
        let refused = |wanted: (u16, u8, u8, u16)| ovn.changed(&request(ADD, &[wanted])).unwrap_err();
        assert_eq!(refused((1, 1, 4, 0)), OfError::NxttmfcAlreadyMapped);
        assert_eq!(refused((0x102, 0x80, 4, 1)), OfError::NxttmfcDupEntry);
        assert_eq!(refused((1, 1, 4, 64)), OfError::NxttmfcBadFieldIdx);
        assert_eq!(refused((1, 1, 5, 1)), OfError::NxttmfcBadOptLen);
        assert_eq!(refused((1, 1, 128, 1)), OfError::NxttmfcBadOptLen);
        let full = ovn.changed(&request(ADD, &[(1, 1, 124, 1), (1, 2, 124, 2), (1, 3, 4, 3)]));
        let full = full.unwrap();
        assert_eq!(full.changed(&request(ADD, &[(1, 4, 4, 4)])), Err(OfError::NxttmfcTableFull));
        assert_eq!((full.fields(), full.len_of(1), full.len_of(3)), (15, None, Some(4)));
        assert_eq!(none.changed(&request(9, &[])), Err(OfError::NxttmfcBadCommand));
        let mut key = FlowKey::new();
        assert!(ovn.of_key(&key).is_empty());
        fields::Field::TunMetadata0.write(&mut key, 0x1_0002);
        let option = GeneveOption { class: 0x102, kind: 0x80, data: vec![0, 1, 0, 2] };
        assert_eq!(ovn.of_key(&key), [option]);
        assert_eq!(ovn.changed(&request(DELETE, &[(0, 0, 0, 0)])).unwrap(), none);
        assert_eq!(ovn.changed(&request(CLEAR, &[])).unwrap(), none);
        assert_eq!(ovn.shown().mappings.len(), 1);
    }

    #[test]
    fn bridges_map_as_they_like_and_places_stay() {
        let of = |mappings: &[(u16, u8, u8, u16)]| {
            TunnelOptions::default().changed(&request(ADD, mappings)).unwrap()
        };
        let (one, two) =
            (of(&[(1, 1, 4, 0), (1, 2, 4, 1)]), of(&[(9, 9, 8, 0), (1, 1, 4, 3), (7, 7, 120, 4)]));
        let first = in_datapath(&[], [&one].into_iter()).unwrap();
        assert_eq!(one.places(&first), OptionPlaces::new([(0, 0), (1, 1)]));
        let both = in_datapath(&first, [&two, &one].into_iter()).unwrap();
        assert_eq!(both.len(), 3, "{both:?}");
        assert_eq!(one.places(&both), one.places(&first));
        assert_eq!(two.places(&both), OptionPlaces::new([(0, 2), (3, 0)]), "one too long is not read");
        let rest = in_datapath(&both, [&two].into_iter()).unwrap();
        assert_eq!(two.places(&rest), two.places(&both));
        let many = |class: u16| {
            let all: Vec<_> = (0..40).map(|n| (class, n as u8, 4, n)).collect();
            of(&all)
        };
        let full = in_datapath(&[], [&many(1), &many(2)].into_iter());
        assert_eq!(full, Err(OfError::NxttmfcTableFull));
    }
}
