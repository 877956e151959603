//! A translation in words: what `ofproto/trace` prints, and what the log keeps of a packet that was dropped for
//! a fault.

use base::OfPort;
use fields::{Field, Match, PortNames};
use flow::{FlowKey, FlowMask, Slot, slot};

use crate::request::Translation;

/// The packet, the way that it took, and what is to be done with it. `key` is the packet as it came, in the bridge
/// where it came in; `names` are those of that bridge's ports.
pub fn report(
    key: &FlowKey,
    translation: &Translation,
    names: Option<&PortNames>,
    datapath_names: Option<&dp::text::PortNames>,
) -> String {
    let mut initial = key.clone();
    initial.set_actset_output(OfPort::UNSET.0);
    let mut out = format!("Flow: {}\n", describe(&initial, names));
    out.push_str(&crate::trace::format(&translation.trace));
    let unchanged = translation.final_key == initial;
    let last = if unchanged { "unchanged".to_owned() } else { describe(&translation.final_key, names) };
    out.push_str(&format!("\nFinal flow: {last}\n"));
    let mut megaflow = String::new();
    Match::new(key, shown_mask(key, translation.matched.as_deref().unwrap_or(&translation.mask))).format(
        &mut megaflow,
        names,
        0x8000,
    );
    let actions = dp::text::format_actions(&translation.actions, datapath_names);
    out.push_str(&format!("Megaflow: {megaflow}\nDatapath actions: {actions}"));
    if let Some(error) = translation.error {
        out.push_str(&format!("\nTranslation failed ({error}), packet is dropped.\n"));
    } else if !translation.slow.is_empty() {
        out.push_str(&explain_slow(translation.slow));
    }
    out
}

/// The mask without what the packet's type says already, that it has no tag and no label, and without what has no name in
/// rules: the type of an IGMP message. The installed megaflow keeps those bits.
fn shown_mask(key: &FlowKey, mask: &FlowMask) -> FlowMask {
    let mut shown = mask.clone();
    for index in key.vlan_count()..flow::MAX_VLANS {
        shown.set_bits(Slot::vlan_tci(index), 0);
        shown.set_bits(Slot::vlan_tpid(index), 0);
    }
    if !matches!(key.dl_type(), 0x8847 | 0x8848) {
        for index in 0..flow::MAX_MPLS {
            shown.set_bits(Slot::mpls(index), 0);
        }
    }
    if is_igmp(key) {
        shown.set_bits(slot::TP_SRC, 0);
    }
    shown
}

fn is_igmp(key: &FlowKey) -> bool {
    key.dl_type() == 0x0800 && key.nw_proto() == wire::protocol::IGMP
}

/// Why a flow cannot be cached.
fn explain_slow(slow: dp::SlowPath) -> String {
    const REASONS: [&str; 7] = [
        "Consists of CFM packets.",
        "Consists of BFD packets.",
        "Consists of LACP packets.",
        "Consists of STP packets.",
        "Consists of LLDP packets.",
        "Uses action(s) not supported by datapath.",
        "Datapath can't match specifically enough.",
    ];
    let mut out = String::from("\nThis flow is handled by the userspace slow path because it:");
    for (bit, reason) in REASONS.iter().enumerate() {
        if slow.0 >> bit & 1 != 0 {
            out.push_str(&format!("\n  - {reason}"));
        }
    }
    out
}

/// A packet as the match of exactly it; metadata that is zero is left out.
pub fn describe(key: &FlowKey, names: Option<&PortNames>) -> String {
    let mut mask = FlowMask::new();
    mask.add_all(slot::PACKET_TYPE);
    // Wide registers are pairs and quadruples of the plain ones, each of which is shown by itself.
    let fields = Field::all().filter(|f| !f.name().starts_with("xreg") && !f.name().starts_with("xxreg"));
    for field in fields {
        let is_metadata = field.info().prereq == fields::Prereq::None;
        let is_no_port = matches!(field, Field::InPort | Field::InPortOxm) && key.in_port() == OfPort::NONE.0;
        if is_metadata && field.read(key) == 0 || field == Field::ActsetOutput || is_no_port {
            continue;
        }
        if field.info().prereq.met_by(key, None) {
            field.add_to_mask(&mut mask);
        }
    }
    if is_igmp(key) {
        mask.add_all(slot::TP_SRC);
        mask.add_all(slot::TP_DST);
    }
    if key.is_ethernet() {
        for always in [slot::DL_SRC, slot::DL_DST, slot::DL_TYPE, slot::VLAN0_TCI] {
            mask.add_all(always);
        }
    }
    if matches!(key.dl_type(), 0x8847 | 0x8848) {
        // Down to the last label.
        let labels = (1..flow::MAX_MPLS).map(Slot::mpls);
        let above = (0..).map(Slot::mpls);
        let there = labels.zip(above).take_while(|&(_, above)| key.read(above) & 0x100 == 0);
        there.for_each(|(place, _)| mask.add_all(place));
    }
    if key.is_ethernet() && key.dl_type() == wire::ethernet::TYPE_NSH {
        for network in [slot::NW_PROTO, slot::NW_TOS, slot::NW_TTL, slot::NW_FRAG] {
            mask.add_all(network);
        }
    }
    let mut out = String::new();
    Match::new(key, mask).format(&mut out, names, 0x8000);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registers_that_are_set_are_shown() {
        for register in [0, 11, 31] {
            let mut key = FlowKey::default();
            key.write(Slot::register(register), 7);
            let text = describe(&key, None);
            let shown: Vec<&str> = text.split(',').filter(|part| part.contains("reg")).collect();
            assert_eq!(shown, [format!("reg{register}=0x7")], "{text}");
        }
    }
}
