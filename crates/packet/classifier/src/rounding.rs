//! Widening of masks, so that megaflows share few of them.
//!
//! A lookup in [`crate::Megaflows`] that finds nothing has asked every mask,
//! so masks are what a miss costs. Translation returns as few bits as the
//! answer depended on; where rules have prefixes and L4 ports, that is some
//! other number of bits for almost every packet, and whoever sends packets
//! chooses which. A mask with more bits is as right: the flow then stands for
//! fewer packets, and all of them have the answer. So masks are rounded up,
//! by what [`Width`] says.
//!
//! Not here: when that is done (`crate::megaflows`).

use std::sync::LazyLock;

use flow::{FlowKey, FlowMask, Slot, slot};

/// How far the mask of a megaflow was widened beyond what its translation depended on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Width {
    /// Not at all.
    Exact,
    /// Each field that it has bits of was rounded up to one of few lengths; see [`round`].
    Rounded,
    /// To the bits of all rounded masks of its port together.
    United,
    /// To all that a packet has.
    Whole,
}

/// Which options of tunnels there are.
const PRESENT: [Slot; 2] = [slot::TUN_PRESENT_LOW, slot::TUN_PRESENT_HIGH];

/// Rounds each field that the mask has bits of up to one of few lengths.
///
/// An IPv4 address is rounded to a prefix of 16 or 32 bits, an IPv6 address to
/// one of 64 or 128, and any other field to the whole of it. Fields without
/// bits and the options of tunnels stay as they are. `key` is that of the
/// flow: in ICMP, type and code are narrower than the ports in whose place
/// they are.
pub fn round(mask: &mut FlowMask, key: &FlowKey) {
    let is_icmp = matches!((key.dl_type(), key.nw_proto()), (0x0800, 1) | (0x86dd, 58));
    for &(_, field) in slot::ALL {
        if mask.word(usize::from(field.word)) == 0 && field.bits != 128 {
            continue;
        }
        let bits = mask.bits(field);
        if bits == 0 || bits == field.ones() || PRESENT.contains(&field) {
            continue;
        }
        let rounded = match field {
            slot::NW_SRC | slot::NW_DST | slot::TUN_SRC | slot::TUN_DST => prefix(field, bits, 16),
            slot::IPV6_SRC | slot::IPV6_DST | slot::TUN_IPV6_SRC | slot::TUN_IPV6_DST => {
                prefix(field, bits, 64)
            }
            slot::TP_SRC | slot::TP_DST if is_icmp => 0xff | bits,
            _ => field.ones(),
        };
        mask.set_bits(field, rounded);
    }
}

/// The shorter prefix of `field`, `short` bits long, where `bits` lie within it, else all of it.
fn prefix(field: Slot, bits: u128, short: u32) -> u128 {
    let rest = field.ones() >> short;
    if bits & rest == 0 { field.ones() & !rest } else { field.ones() }
}

/// Widens the mask to all that a datapath knows of any packet. What only rules know, as registers, is zero in its keys.
pub(crate) fn make_whole(mask: &mut FlowMask) {
    static WHOLE: LazyLock<FlowMask> = LazyLock::new(|| {
        let registers = slot::REG0.word..=slot::REG31.word;
        let is_of_rules = |field: Slot| {
            registers.contains(&field.word)
                || [slot::METADATA, slot::CONJ_ID, slot::ACTSET_OUTPUT].contains(&field)
                || PRESENT.contains(&field)
        };
        let mut whole = FlowMask::new();
        slot::ALL
            .iter()
            .map(|&(_, field)| field)
            .filter(|&field| !is_of_rules(field))
            .for_each(|f| whole.add_all(f));
        whole
    });
    mask.unite(&WHOLE);
    if mask.has_tun_options() {
        PRESENT.iter().for_each(|&place| mask.add_all(place));
        (0..flow::OPTION_WORDS).for_each(|index| mask.add_all(Slot::tun_option(index)));
    }
}
