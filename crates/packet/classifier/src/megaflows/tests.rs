use std::collections::HashSet;

use flow::{EXTENSION_WORDS, Slot, WORDS};
use proptest::prelude::*;

use super::*;
use crate::rounding::round;

/// Any bits of some fields that datapaths know.
fn any_mask() -> impl Strategy<Value = FlowMask> {
    let is_known = |field: &Slot| !(3..20).contains(&field.word) && !(37..39).contains(&field.word);
    let options = (0..4).map(Slot::tun_option);
    let fields: Vec<Slot> =
        slot::ALL.iter().map(|&(_, field)| field).filter(is_known).chain(options).collect();
    prop::collection::vec((prop::sample::select(fields), any::<u128>(), any::<u128>()), 0..8).prop_map(
        |fields| {
            let mut mask = FlowMask::new();
            for (field, a, b) in fields {
                mask.add(field, a & b);
            }
            mask
        },
    )
}

fn any_key() -> impl Strategy<Value = FlowKey> {
    let kinds = prop::sample::select(vec![(0x0800, 1), (0x0800, 6), (0x86dd, 58), (0x86dd, 17), (0x0806, 1)]);
    (any::<u64>(), any::<bool>(), kinds).prop_map(|(seed, is_far, (dl_type, proto))| {
        let mut key = FlowKey::new();
        for index in 0..if is_far { WORDS + EXTENSION_WORDS } else { WORDS } {
            key.set_word(index, mix(seed, index as u64));
        }
        key.set_dl_type(dl_type);
        key.set_nw_proto(proto);
        key
    })
}

/// A flow of port 1 whose mask has these prefixes of addresses and of L4 ports.
fn of_prefixes(key: &mut FlowKey, lens: [u32; 4]) -> FlowMask {
    let mut mask = FlowMask::new();
    mask.add_all(slot::IN_PORT);
    mask.add_all(slot::DL_TYPE);
    key.set_in_port(1);
    key.set_dl_type(0x0800);
    let fields = [slot::NW_SRC, slot::NW_DST, slot::TP_SRC, slot::TP_DST];
    for (field, len) in fields.into_iter().zip(lens) {
        let len = len.min(u32::from(field.bits));
        mask.set_bits(field, field.ones() & !(field.ones() >> len));
    }
    mask
}

/// Which options of tunnels there are: never rounded.
const PRESENT: [Slot; 2] = [slot::TUN_PRESENT_LOW, slot::TUN_PRESENT_HIGH];

proptest! {
    /// Rounding adds bits and takes none, and of each field there are few forms.
    #[test]
    fn a_rounded_mask_has_all_bits_and_few_forms(mask in any_mask(), key in any_key()) {
        let mut rounded = mask.clone();
        round(&mut rounded, &key);
        prop_assert!(rounded.covers(&mask));
        let mut again = rounded.clone();
        round(&mut again, &key);
        prop_assert_eq!(&again, &rounded);
        for &(name, field) in slot::ALL.iter().filter(|(_, field)| !PRESENT.contains(field)) {

            let (before, after) = (mask.bits(field), rounded.bits(field));
            prop_assert_eq!(before == 0, after == 0, "{}", name);
            let is_whole = after == field.ones();
            let is_icmp = matches!((key.dl_type(), key.nw_proto()), (0x0800, 1) | (0x86dd, 58));
            let is_short = match field {
                slot::NW_SRC | slot::NW_DST | slot::TUN_SRC | slot::TUN_DST => after == 0xffff_0000,
                slot::IPV6_SRC | slot::IPV6_DST | slot::TUN_IPV6_SRC | slot::TUN_IPV6_DST => after == u128::MAX << 64,
                slot::TP_SRC | slot::TP_DST if is_icmp => after == 0xff | before,
                _ => false,
            };
            prop_assert!(before == 0 || is_whole || is_short, "{}: {:#x} became {:#x}", name, before, after);
        }
        for index in WORDS..WORDS + EXTENSION_WORDS {
            prop_assert_eq!(mask.word(index), rounded.word(index));
        }
        rounding::make_whole(&mut rounded);
        prop_assert!(rounded.covers(&mask));
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever the masks are that translation asks for, a port has no more than its budget, and every flow's mask has
    /// all the bits that were asked for.
    #[test]
    fn nobody_can_make_more_masks_than_the_budget(
        flows in prop::collection::vec((any_key(), any_mask()), 150..200),
        removals in prop::collection::vec(any::<prop::sample::Index>(), 60),
    ) {
        let mut table = Megaflows::new();
        let mut places = Vec::new();
        for (index, (mut key, mask)) in flows.into_iter().enumerate() {
            key.set_in_port(1);
            let mut fitted = mask.clone();
            fitted.add_all(slot::IN_PORT);
            let width = table.fit(&key, &mut fitted);
            prop_assert!(fitted.covers(&mask), "{:?}", width);
            prop_assert_eq!(index < EXACT_MASKS && width != Width::Exact, false);
            let place = table.insert(&key, &fitted, index);
            prop_assert!(table.is_match(place, &key));
            prop_assert_eq!(table.mask(place), Some(&SparseKey::from(&fitted)));
            places.push(place);
            prop_assert!(table.masks_of_port(1) <= UNITED_MASKS + 2, "{} masks", table.masks_of_port(1));
            if let Some(removal) = removals.get(index) && index % 3 == 0 {
                table.remove(places.swap_remove(removal.index(places.len())));
            }
        }
        prop_assert!(table.masks_of_port(1) > EXACT_MASKS);
        for place in places {
            table.remove(place);
        }
        prop_assert_eq!((table.len(), table.masks_of_port(1), table.mask_count()), (0, 0, 0));
    }
}

#[test]
fn masks_of_prefixes_converge_to_few() {
    let mut table = Megaflows::new();
    let mut random = 1u64;
    let mut next = || {
        random = mix(random, 7);
        random >> 8
    };
    let mut asked = HashSet::new();
    for _ in 0..6_000 {
        let mut key = FlowKey::new();
        key.set_nw_src(next() as u32);
        key.set_nw_dst(next() as u32);
        let lens = [next() % 20, next() % 33, next() % 17, next() % 9].map(|len| len as u32);
        let mut mask = of_prefixes(&mut key, lens);
        asked.insert(SparseKey::from(&mask));
        assert!(table.fit(&key, &mut mask) <= Width::United);
        table.insert(&key, &mask, ());
    }
    assert!(asked.len() > 3000);
    assert!(table.masks_of_port(1) <= UNITED_MASKS, "{}", table.masks_of_port(1));
}

#[test]
fn the_budget_of_one_port_is_not_anothers() {
    let mut table = Megaflows::new();
    for len in 0..1000 {
        let mut key = FlowKey::new();
        key.set_nw_src(len);
        let mut mask = of_prefixes(&mut key, [len % 33, len / 33, 0, 0]);
        table.fit(&key, &mut mask);
        table.insert(&key, &mask, ());
    }
    for port in [2, LISTED_PORTS + 5] {
        let mut key = FlowKey::new();
        let wanted = of_prefixes(&mut key, [3, 3, 3, 3]);
        key.set_in_port(port);
        let mut mask = wanted.clone();
        assert_eq!(table.fit(&key, &mut mask), Width::Exact);
        assert_eq!(mask, wanted);
        let place = table.insert(&key, &mask, ());
        assert_eq!(table.lookup_table(&key), Some((place, 1)), "no mask of the other port was asked");
        assert_eq!(table.masks_of_port(port), 1);
    }
}

#[test]
fn subtables_that_are_hit_most_are_asked_first() {
    for port in [Some(1), Some(LISTED_PORTS + 5), None] {
        let mut table = Megaflows::new();
        let keys = [8, 16, 24].map(|len| {
            let mut key = FlowKey::new();
            let mut mask = of_prefixes(&mut key, [len, 0, 0, 0]);
            key.set_nw_src(len << 24);
            match port {
                Some(port) => key.set_in_port(port),
                None => mask.set_bits(slot::IN_PORT, 0),
            }
            table.insert(&key, &mask, len);
            key
        });
        let asked_for = |table: &mut Megaflows<u32>, key| table.lookup_table(key).map(|(_, asked)| asked);
        assert_eq!([0, 1, 2].map(|at| asked_for(&mut table, &keys[at])), [Some(1), Some(2), Some(3)]);
        for _ in 0..SORT_EVERY {
            table.lookup_table(&keys[2]);
        }
        assert_eq!([0, 1, 2].map(|at| asked_for(&mut table, &keys[at])), [Some(2), Some(3), Some(1)]);
    }
}

#[test]
fn an_exact_mask_that_is_there_is_used_beyond_the_budget_too() {
    let mut table = Megaflows::new();
    let mut key = FlowKey::new();
    for len in 0..100 {
        let mut mask = of_prefixes(&mut key, [len % 33, len / 33, 0, 0]);
        key.set_nw_src(len);
        table.fit(&key, &mut mask);
        table.insert(&key, &mask, ());
    }
    let wanted = of_prefixes(&mut key, [5, 0, 0, 0]);
    let mut mask = wanted.clone();
    assert_eq!(table.fit(&key, &mut mask), Width::Exact);
    assert_eq!(mask, wanted);
    let mut mask = of_prefixes(&mut key, [0, 3, 0, 0]);
    assert_eq!(table.fit(&key, &mut mask), Width::Rounded);
}

#[test]
fn flows_of_any_port_are_found_too() {
    let mut table = Megaflows::new();
    let (mut key, mut mask) = (FlowKey::new(), FlowMask::new());
    mask.add_all(slot::DL_TYPE);
    key.set_dl_type(0x0800);
    let place = table.insert(&key, &mask, ());
    for port in [0, 7, u32::MAX] {
        key.set_in_port(port);
        assert_eq!(table.lookup_table(&key), Some((place, 1)));
    }
}

#[test]
fn the_cache_grows_with_the_flows_and_shrinks_again() {
    let mut table = Megaflows::new();
    let mut key = FlowKey::new();
    let mask = of_prefixes(&mut key, [32, 0, 0, 0]);
    let places: Vec<u32> = (0..70_000)
        .map(|address| {
            key.set_nw_src(address);
            table.insert(&key, &mask, address)
        })
        .collect();
    assert_eq!(table.cache.len(), 2 * MIN_SETS);
    for (address, &place) in places.iter().enumerate() {
        key.set_nw_src(address as u32);
        assert_eq!(table.lookup_table(&key), Some((place, 1)));
    }
    for place in places {
        table.remove(place);
    }
    assert_eq!((table.cache.len(), table.len()), (MIN_SETS, 0));
}
