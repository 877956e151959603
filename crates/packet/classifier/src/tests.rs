use base::DpPort;
use flow::{EXTENSION_WORDS, Metadata, PacketKey, Slot, WORDS, slot};
use proptest::prelude::*;

use super::*;

/// A few slots of every stage with few values, so that keys collide.
const SLOTS: [Slot; 7] = [
    slot::IN_PORT,
    Slot::tun_metadata(3),
    Slot::tun_option(255),
    slot::DL_DST,
    slot::VLAN0_TCI,
    slot::NW_SRC,
    slot::TP_DST,
];

fn small_key() -> impl Strategy<Value = FlowKey> {
    prop::collection::vec(0u128..4, SLOTS.len()).prop_map(|values| {
        let mut key = FlowKey::new();
        for (place, value) in SLOTS.into_iter().zip(values) {
            key.write(place, value);
        }
        key
    })
}

/// Keys and masks that have prefixes of addresses and ports.
fn prefix_rule() -> impl Strategy<Value = (FlowKey, FlowMask)> {
    (
        any::<u32>(),
        0u32..=32,
        any::<u32>(),
        0u32..=32,
        any::<u16>(),
        prop::sample::select(vec![0u128, 0xffff, 0xff00, 0xf]),
    )
        .prop_map(|(src, src_len, dst, dst_len, port, port_mask)| {
            let mut key = FlowKey::new();
            // Few values, that differ early and late.
            key.set_nw_src(src & 0xc0c0_0003);
            key.set_nw_dst(dst & 0x8000_00c1);
            key.set_tp_dst(port & 0x8081);
            key.write(Slot::tun_option(0), u128::from(port & 1));
            let prefix = |len: u32| u128::from(u32::MAX.checked_shl(32 - len).unwrap_or(0));
            let mut mask = FlowMask::new();
            mask.set_bits(slot::NW_SRC, prefix(src_len));
            mask.set_bits(slot::NW_DST, prefix(dst_len));
            mask.set_bits(slot::TP_DST, port_mask);
            mask.set_bits(Slot::tun_option(0), port_mask & 1);
            (key, mask)
        })
}

fn small_mask() -> impl Strategy<Value = FlowMask> {
    let bits = prop::sample::select(vec![0u128, 0, 1, 2, 3, u128::MAX]);
    prop::collection::vec(bits, SLOTS.len()).prop_map(|values| {
        let mut mask = FlowMask::new();
        for (place, value) in SLOTS.into_iter().zip(values) {
            mask.set_bits(place, value);
        }
        mask
    })
}

type Spec = (FlowKey, FlowMask, i32);

fn best<'a>(rules: &'a [Spec], key: &FlowKey) -> Option<&'a Spec> {
    rules.iter().filter(|(k, m, _)| k.equal_under(key, m)).max_by_key(|(_, _, priority)| *priority)
}

proptest! {
    #[test]
    fn it_finds_what_a_linear_search_finds(
        rules in prop::collection::vec((small_key(), small_mask(), 0i32..4), 0..40),
        removals in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        keys in prop::collection::vec(small_key(), 30),
    ) {
        let mut table = Classifier::new();
        let mut linear: Vec<Spec> = Vec::new();
        for (key, mask, priority) in rules {
            let same = linear.iter().position(|(k, m, p)| *p == priority && *m == mask && k.equal_under(&key, &mask));
            let replaced = table.insert(Rule::new(&key, &mask, priority, (key.clone(), priority)));
            prop_assert_eq!(replaced.is_some(), same.is_some());
            if let Some(at) = same {
                linear.remove(at);
            }
            linear.push((key, mask, priority));
        }
        for index in removals {
            if linear.is_empty() { break; }
            let (key, mask, priority) = linear.remove(index.index(linear.len()));
            prop_assert!(table.find(&SparseMatch::new(&key, &mask), priority).is_some());
            prop_assert!(table.remove(&SparseMatch::new(&key, &mask), priority).is_some());
            prop_assert!(table.remove(&SparseMatch::new(&key, &mask), priority).is_none());
        }
        prop_assert_eq!(table.len(), linear.len());
        prop_assert_eq!(table.iter().count(), linear.len());

        let mut answers = Vec::new();
        for key in &keys {
            let mut depends = FlowMask::new();
            let found = table.lookup(key, Some(&mut depends)).map(|rule| rule.priority);
            prop_assert_eq!(found, best(&linear, key).map(|(_, _, priority)| *priority));
            answers.push((key, depends, found));
            let all = table.matches(key, None).len();
            prop_assert_eq!(all, linear.iter().filter(|(k, m, _)| k.equal_under(key, m)).count());
        }
        // Soundness: equal in the bits depended on, equal in the answer.
        for (key, depends, found) in &answers {
            for (other, _, other_found) in &answers {
                if key.equal_under(other, depends) {
                    prop_assert_eq!(found, other_found);
                }
            }
        }
    }

    /// Tracked prefixes change what an answer depends on, and no answer.
    #[test]
    fn prefixes_are_sound(
        rules in prop::collection::vec((prefix_rule(), 0i32..4), 0..25),
        removals in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        keys in prop::collection::vec(prefix_rule(), 20),
        noise in prop::collection::vec(any::<u64>(), WORDS + EXTENSION_WORDS),
    ) {
        let mut table = Classifier::new();
        let mut linear: Vec<Spec> = Vec::new();
        for ((key, mask), priority) in rules {
            linear.retain(|(k, m, p)| !(*p == priority && *m == mask && k.equal_under(&key, &mask)));
            table.insert(Rule::new(&key, &mask, priority, ()));
            linear.push((key, mask, priority));
        }
        for index in removals {
            if linear.is_empty() { break; }
            let (key, mask, priority) = linear.remove(index.index(linear.len()));
            prop_assert!(table.remove(&SparseMatch::new(&key, &mask), priority).is_some());
        }
        let mut noisy = FlowKey::new();
        for (index, word) in noise.into_iter().enumerate() {
            noisy.set_word(index, word);
        }
        for (key, _) in &keys {
            let mut depends = FlowMask::new();
            let found = table.lookup(key, Some(&mut depends)).map(|rule| rule.priority);
            prop_assert_eq!(found, best(&linear, key).map(|(_, _, priority)| *priority));
            prop_assert_eq!(found, table.lookup(key, None).map(|rule| rule.priority));
            // Whatever else the key has, and whatever other keys have there.
            for other in keys.iter().map(|(key, _)| key).chain([&noisy]) {
                let mut mixed = other.clone();
                for (index, bits) in depends.present() {
                    mixed.set_word(index, mixed.word(index) & !bits | key.word(index) & bits);
                }
                prop_assert_eq!(found, best(&linear, &mixed).map(|(_, _, priority)| *priority));
            }
        }
    }

    /// Rules beside others of the same match and priority, some of which go again, leave what is tracked as it was.
    #[test]
    fn rules_beside_others_are_no_others_for_lookups(
        rules in prop::collection::vec((prefix_rule(), 0i32..3), 1..20),
        beside in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        keys in prop::collection::vec(prefix_rule(), 20),
        retracks in any::<bool>(),
    ) {
        let mut table = Classifier::new();
        for ((key, mask), priority) in &rules {
            table.insert(Rule::new(key, mask, *priority, 0));
        }
        let answers = |table: &Classifier<Rule<usize>>| -> Vec<_> {
            let answer = |key: &FlowKey| {
                let mut depends = FlowMask::new();
                (table.lookup(key, Some(&mut depends)).map(|rule| rule.priority), depends)
            };
            keys.iter().map(|(key, _)| answer(key)).collect()
        };
        let (before, len) = (answers(&table), table.len());
        let of = |index: &prop::sample::Index| &rules[index.index(rules.len())];
        for (number, index) in beside.iter().enumerate() {
            let ((key, mask), priority) = of(index);
            table.add(Rule::new(key, mask, *priority, 1 + number));
        }
        prop_assert_eq!(table.len(), len + beside.len());
        if retracks {
            table.set_prefixes(&DEFAULT_PREFIXES);
        }
        prop_assert_eq!(answers(&table), before.clone());
        for (number, index) in beside.iter().enumerate() {
            let ((key, mask), priority) = of(index);
            let matching = SparseMatch::new(key, mask);
            prop_assert!(table.remove_where(&matching, *priority, |rule| rule.value == 1 + number).is_some());
        }
        prop_assert_eq!(answers(&table), before);
        prop_assert_eq!(table.len(), len);
        for ((key, mask), priority) in &rules {
            table.remove(&SparseMatch::new(key, mask), *priority);
        }
        prop_assert!(table.is_empty() && table.mask_count() == 0);
    }

    /// A subtable that is left out would have found nothing, and the answer depends on the same bits without it.
    #[test]
    fn leaving_subtables_out_changes_nothing(
        rules in prop::collection::vec((prefix_rule(), 0i32..4), 0..40),
        removals in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        keys in prop::collection::vec(prefix_rule(), 20),
        tracked in prop::sample::subsequence(vec![slot::NW_DST, slot::NW_SRC, slot::IPV6_DST, slot::TP_DST], 0..=4),
        is_late in any::<bool>(),
    ) {
        let mut table = Classifier::new();
        if !is_late {
            table.set_prefixes(&tracked);
        }
        for ((key, mask), priority) in &rules {
            table.insert(Rule::new(key, mask, *priority, ()));
        }
        for index in removals {
            if rules.is_empty() { break; }
            let ((key, mask), priority) = &rules[index.index(rules.len())];
            table.remove(&SparseMatch::new(key, mask), *priority);
        }
        if is_late {
            table.set_prefixes(&tracked);
        }
        for (key, _) in &keys {
            let mut depends = FlowMask::new();
            let found = table.lookup(key, Some(&mut depends)).map(|rule| rule.priority);
            let mut slow_depends = FlowMask::new();
            let mut asked = Asked::new(&table.prefixes);
            let mut best = None;
            for subtable in table.in_order() {
                if best >= subtable.max_priority() { break; }
                let rules = subtable.lookup(key, &mut asked, Some(&mut slow_depends));
                best = best.max(rules.first().map(|rule| rule.priority));
            }
            prop_assert_eq!(found, best);
            prop_assert_eq!(depends, slow_depends);
        }
    }

    #[test]
    fn megaflows_are_found_by_table_and_by_cache(
        flows in prop::collection::vec((small_key(), small_mask()), 1..40),
        removals in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        keys in prop::collection::vec(small_key(), 30),
    ) {
        let mut table = Megaflows::new();
        let mut linear = Vec::new();
        for (key, mask) in flows {
            if linear.iter().any(|(k, m, _): &(FlowKey, FlowMask, u32)| *m == mask && k.equal_under(&key, &mask)) {
                continue;
            }
            let place = table.insert(&key, &mask, linear.len());
            linear.push((key, mask, place));
        }
        for round in 0..2 {
            for key in &keys {
                let mut packet = PacketKey::new();
                // Tunnel options come with a tunnel's addresses alone.
                let mut in_tunnel = key.clone();
                in_tunnel.set_tun_dst(1);
                packet.refill(&Metadata::from_key(&in_tunnel), &[], 1);
                // Only metadata survives without bytes: compare on what the packet has.
                let key = packet.key().clone();
                for _ in 0..2 {
                    let found = table.lookup(&packet, packet.hash()).map(|(place, _)| place);
                    let fits: Vec<u32> = linear.iter().filter(|(k, m, _)| k.equal_under(&key, m)).map(|f| f.2).collect();
                    match found {
                        Some(place) => prop_assert!(fits.contains(&place)),
                        None => prop_assert!(fits.is_empty()),
                    }
                }
            }
            if round == 0 {
                for index in &removals {
                    if linear.is_empty() { break; }
                    let (.., place) = linear.remove(index.index(linear.len()));
                    prop_assert!(table.remove(place).is_some());
                }
                prop_assert_eq!(table.len(), linear.len());
            }
        }
    }
}

#[test]
fn later_stages_are_not_depended_on_when_an_earlier_one_misses() {
    let mut table = Classifier::new();
    let mut key = FlowKey::new();
    key.set_in_port(5);
    key.set_tp_dst(80);
    let mut mask = FlowMask::new();
    mask.add_all(slot::IN_PORT);
    mask.add_all(slot::TP_DST);
    table.insert(Rule::new(&key, &mask, 1, ()));
    let mut other = key.clone();
    other.set_in_port(6);
    let mut depends = FlowMask::new();
    assert!(table.lookup(&other, Some(&mut depends)).is_none());
    assert_eq!((depends.bits(slot::IN_PORT), depends.bits(slot::TP_DST)), (0xffff_ffff, 0));
    assert!(table.lookup(&key, Some(&mut depends)).is_some());
    assert_eq!(depends.bits(slot::TP_DST), 0xffff);
}

#[test]
fn an_address_is_depended_on_only_as_far_as_prefixes_reach() {
    let mut table = Classifier::new();
    let mut rule = |address: u32, len: u32, priority: i32| {
        let mut key = FlowKey::new();
        key.set_nw_dst(address);
        let mut mask = FlowMask::new();
        mask.set_bits(slot::NW_DST, u128::from(u32::MAX << (32 - len)));
        table.insert(Rule::new(&key, &mask, priority, len));
    };
    rule(0x0a010203, 32, 10);
    rule(0x0a000000, 8, 5);
    let depends_on = |table: &Classifier<Rule<u32>>, address: u32| {
        let mut key = FlowKey::new();
        key.set_nw_dst(address);
        let mut depends = FlowMask::new();
        let found = table.lookup(&key, Some(&mut depends)).map(|rule| rule.value);
        (found, depends.bits(slot::NW_DST))
    };
    assert_eq!(depends_on(&table, 0x0a010203), (Some(32), 0xffff_ffff));
    // 10.128.0.0 differs from 10.1.2.3 in the ninth bit.
    assert_eq!(depends_on(&table, 0x0a800000), (Some(8), 0xff80_0000));
    assert_eq!(depends_on(&table, 0xc0000000), (None, 0x8000_0000));
    table.set_prefixes(&[]);
    assert_eq!(depends_on(&table, 0x0a800000), (Some(8), 0xffff_ffff));
}

#[test]
fn ports_are_depended_on_as_far_as_they_differ_and_their_stage_as_a_whole() {
    const PUSH: u128 = 8;
    let (mut key, mut mask) = (FlowKey::new(), FlowMask::new());
    key.set_tp_dst(80);
    key.set_tcp_flags(PUSH as u16);
    mask.set_bits(slot::TP_DST, 0xffff);
    mask.set_bits(slot::TCP_FLAGS, PUSH);
    let mut table = Classifier::new();
    table.insert(Rule::new(&key, &mask, 1, ()));
    key.set_tp_dst(79);
    let mut depends = FlowMask::new();
    assert!(table.lookup(&key, Some(&mut depends)).is_none());
    // 79 and 80 differ in the bit of 16.
    assert_eq!((depends.bits(slot::TP_DST), depends.bits(slot::TCP_FLAGS)), (0xfff0, PUSH));
}

#[test]
fn overlap_and_loose_selection() {
    let mut table = Classifier::new();
    let mut key = FlowKey::new();
    key.set_in_port(1);
    let mut mask = FlowMask::new();
    mask.add_all(slot::IN_PORT);
    table.insert(Rule::new(&key, &mask, 7, "in port 1"));
    let mut other_mask = FlowMask::new();
    other_mask.add_all(slot::DL_TYPE);
    assert!(table.overlapping(&SparseMatch::new(&FlowKey::new(), &other_mask), 7).next().is_some());
    assert!(table.overlapping(&SparseMatch::new(&FlowKey::new(), &other_mask), 8).next().is_none());
    other_mask.add_all(slot::IN_PORT);
    assert!(table.overlapping(&SparseMatch::new(&FlowKey::new(), &other_mask), 7).next().is_none());
    assert_eq!(table.iter_within(&SparseMatch::new(&key, &FlowMask::new())).count(), 1);
    assert_eq!(table.iter_within(&SparseMatch::new(&key, &other_mask)).count(), 0);
}

#[test]
fn a_hundred_thousand_rules_go_in_fast() {
    let mut table = Classifier::new();
    let mut mask = FlowMask::new();
    mask.add_all(slot::NW_DST);
    mask.add_all(slot::TP_DST);
    let mut key = FlowKey::new();
    for i in 0..100_000u32 {
        key.set_nw_dst(i);
        key.set_tp_dst((i % 1000) as u16);
        table.insert(Rule::new(&key, &mask, (i % 50) as i32, i));
    }
    assert_eq!((table.len(), table.mask_count()), (100_000, 1));
    let mut md = PacketKey::new();
    md.refill(&Metadata::new(DpPort(1)), &[0; WORDS], 1);
    assert_eq!(table.lookup(&key, None).map(|rule| rule.value), Some(99_999));
}

#[test]
fn a_packet_that_differs_in_l3_does_not_depend_on_neighbour_discovery() {
    let mut table: Classifier<Rule<u32>> = Classifier::new();
    let (mut key, mut mask) = (FlowKey::new(), FlowMask::new());
    for (slot, value) in [
        (slot::DL_TYPE, 0x86dd),
        (slot::NW_PROTO, 58),
        (slot::NW_TTL, 255),
        (slot::ND_TARGET, 1),
        (slot::TP_SRC, 135),
    ] {
        key.write(slot, value);
        mask.add_all(slot);
    }
    table.insert(Rule::new(&key, &mask, 1, 7));
    let mut echo = key.clone();
    echo.set_nw_ttl(64);
    echo.set_nd_target(0);
    echo.set_tp_src(128);
    let mut depends = FlowMask::new();
    assert!(table.lookup(&echo, Some(&mut depends)).is_none());
    assert_eq!(depends.bits(slot::NW_TTL), 0xff);
    assert_eq!((depends.bits(slot::ND_TARGET), depends.bits(slot::TP_SRC)), (0, 0));
}
