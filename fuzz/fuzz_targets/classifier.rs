#![no_main]
//! Any bytes are rules and packets: the classifier finds what a search of all rules finds, and what it says that
//! the answer depends on is enough.

use classifier::{Classifier, Rule};
use flow::{FlowKey, FlowMask, Slot, SparseMatch, slot};
use libfuzzer_sys::fuzz_target;

const SLOTS: [Slot; 6] =
    [slot::IN_PORT, Slot::tun_option(5), slot::VLAN0_TCI, slot::NW_SRC, slot::NW_DST, slot::TP_DST];

/// Two bytes for each slot, so that values collide and prefixes matter.
fn key(bytes: &[u8]) -> FlowKey {
    let mut key = FlowKey::new();
    for (place, pair) in SLOTS.into_iter().zip(bytes.chunks_exact(2)) {
        key.write(place, u128::from(pair[0] & 3) << 14 | u128::from(pair[1] & 3));
    }
    key
}

fn mask(bytes: &[u8]) -> FlowMask {
    let mut mask = FlowMask::new();
    for (place, byte) in SLOTS.into_iter().zip(bytes) {
        let bits = [0, 0, u128::MAX, 3, 0xc000, 0xc003, 0x8000, 1][usize::from(byte & 7)];
        mask.set_bits(place, bits);
    }
    mask
}

fuzz_target!(|bytes: &[u8]| {
    let (mut table, mut linear) = (Classifier::new(), Vec::<(FlowKey, FlowMask, i32)>::new());
    let mut answers = Vec::new();
    for step in bytes.chunks_exact(20) {
        let (key, mask, priority) = (key(&step[..12]), mask(&step[12..18]), i32::from(step[18] & 3));
        let same =
            linear.iter().position(|(k, m, p)| *p == priority && *m == mask && k.equal_under(&key, &mask));
        match step[19] % 4 {
            0 | 1 => {
                let replaced = table.insert(Rule::new(&key, &mask, priority, ()));
                assert_eq!(replaced.is_some(), same.is_some());
                if same.is_none() {
                    linear.push((key, mask, priority));
                }
                answers.clear();
            }
            2 => {
                assert_eq!(table.remove(&SparseMatch::new(&key, &mask), priority).is_some(), same.is_some());
                if let Some(at) = same {
                    linear.swap_remove(at);
                }
                answers.clear();
            }
            _ => {
                let mut depends = FlowMask::new();
                let found = table.lookup(&key, Some(&mut depends)).map(|rule| rule.priority);
                let best = linear.iter().filter(|(k, m, _)| k.equal_under(&key, m)).map(|rule| rule.2).max();
                assert_eq!(found, best);
                answers.push((key, depends, found));
                for (key, depends, found) in &answers {
                    for (other, _, theirs) in &answers {
                        assert!(!key.equal_under(other, depends) || found == theirs);
                    }
                }
            }
        }
    }
});
