//! Fields of a match that need others which the match does not have.
//!
//! `tp_dst=22` alone would match every packet, since only TCP and its like have ports: such a text is refused, with
//! the fields that are missing and the line that was probably meant. Enters: the fields as they were written.

use fields::text_pairs::next_pair;
use fields::{Field, Match, Prereq, TextError, protocol_shorthand, refuse};
use flow::slot;

/// A field of a text.
#[derive(Clone, Copy)]
pub(super) struct Named<'t> {
    pub(super) name: &'t str,
    pub(super) field: Field,
}

impl<'t> Named<'t> {
    /// The field or subfield that `name` names.
    pub(super) fn of(name: &'t str) -> Option<Named<'t>> {
        let stem = name.split('[').next().unwrap_or(name);
        Field::from_name(stem).map(|field| Named { name, field })
    }

    fn is_met(self, m: &Match) -> bool {
        if m.get(self.field).1 == 0 {
            return true;
        }
        self.field.info().prereq.met_by_match(m)
            || fields::other_prereqs(self.name).iter().any(|p| p.met_by_match(m))
    }
}

/// How much a condition asks for: the field with the highest decides which line is offered.
fn depth(prereq: Prereq) -> u8 {
    match prereq {
        Prereq::None | Prereq::Ethernet | Prereq::VlanVid | Prereq::CtValid => 0,
        Prereq::Arp | Prereq::Ipv4 | Prereq::Ipv6 | Prereq::IpAny | Prereq::Nsh | Prereq::Mpls => 1,
        Prereq::Tcp | Prereq::Udp | Prereq::Sctp | Prereq::Icmpv4 | Prereq::Icmpv6 => 2,
        Prereq::Nd | Prereq::NdSolicit | Prereq::NdAdvert => 3,
    }
}

/// Refuses the match of `text` when a packet that it matches need not have one of `named`.
pub(super) fn check(text: &str, m: &Match, named: &[Named<'_>]) -> Result<(), TextError> {
    // Whether a packet is a fragment is another condition of the rule, not one of its fields.
    let mut whole = m.clone();
    whole.key.set_nw_frag(0);
    let unmet = named.iter().filter(|field| !field.is_met(&whole));
    let Some(worst) = unmet.max_by_key(|named| depth(named.field.info().prereq)) else { return Ok(()) };
    let missing = missing_fields(worst.field.info().prereq, &whole);
    let name = worst.name;
    if missing.is_empty() {
        return refuse!("{name} cannot be matched together with {}", lower_layers(&whole));
    }
    let meant = meant_line(text, *worst, &whole);
    refuse!("{name} can be matched only together with {}: use \"{meant}\"", missing.join(" and "))
}

/// The fields that a condition needs and that the match leaves open.
fn missing_fields(prereq: Prereq, m: &Match) -> Vec<&'static str> {
    let open = |place| m.mask.bits(place) == 0;
    let mut missing = Vec::new();
    match prereq {
        Prereq::CtValid => missing.push("ct_state"),
        Prereq::VlanVid => missing.push("vlan_tci"),
        Prereq::None | Prereq::Ethernet => {}
        Prereq::Arp
        | Prereq::Ipv4
        | Prereq::Ipv6
        | Prereq::IpAny
        | Prereq::Nsh
        | Prereq::Mpls
        | Prereq::Tcp
        | Prereq::Udp
        | Prereq::Sctp
        | Prereq::Icmpv4
        | Prereq::Icmpv6
        | Prereq::Nd
        | Prereq::NdSolicit
        | Prereq::NdAdvert => {
            let depth = depth(prereq);
            missing.extend(open(slot::DL_TYPE).then_some("dl_type"));
            missing.extend((depth >= 2 && open(slot::NW_PROTO)).then_some("nw_proto"));
            missing.extend((depth >= 3 && open(slot::TP_SRC)).then_some("icmp_type"));
        }
    }
    missing
}

/// The lower layers of a match as text, to say what a field does not go with.
fn lower_layers(m: &Match) -> String {
    let mut layers = Match::default();
    for place in [slot::PACKET_TYPE, slot::DL_TYPE, slot::NW_PROTO] {
        layers.key.write(place, m.key.read(place));
        layers.mask.set_bits(place, m.mask.bits(place));
    }
    if matches!(m.key.nw_proto(), 1 | 58) {
        layers.key.write(slot::TP_SRC, m.key.read(slot::TP_SRC));
        layers.mask.set_bits(slot::TP_SRC, m.mask.bits(slot::TP_SRC));
    }
    layers.to_text()
}

/// The words that meet the condition of a field, chosen by what else the match has.
fn words_for(named: Named<'_>, m: &Match) -> &'static str {
    let v6 = m.key.dl_type() == 0x86dd
        || [slot::IPV6_SRC, slot::IPV6_DST, slot::IPV6_LABEL].iter().any(|place| m.mask.bits(*place) != 0);
    let pick = |v4: &'static str, of_v6: &'static str| if v6 { of_v6 } else { v4 };
    let by_protocol = |default: &'static str| match m.key.nw_proto() {
        1 => "icmp",
        6 => pick("tcp", "tcp6"),
        17 => pick("udp", "udp6"),
        58 => "icmp6",
        132 => pick("sctp", "sctp6"),
        _ => default,
    };
    match named.field.info().prereq {
        Prereq::None => "",
        Prereq::Ethernet => "eth",
        Prereq::VlanVid => "vlan_tci=0x1000/0x1000",
        Prereq::CtValid => "ct_state=+trk+est",
        Prereq::Arp => "arp",
        Prereq::Ipv4 => "ip",
        Prereq::Ipv6 => "ipv6",
        Prereq::IpAny => pick("ip", "ipv6"),
        Prereq::Nsh => "dl_type=0x894f",
        Prereq::Mpls => "mpls",
        Prereq::Tcp if matches!(named.name, "tp_src" | "tp_dst") => by_protocol(pick("tcp", "tcp6")),
        Prereq::Tcp => pick("tcp", "tcp6"),
        Prereq::Udp => pick("udp", "udp6"),
        Prereq::Sctp => pick("sctp", "sctp6"),
        Prereq::Icmpv4 => pick("icmp", "icmp6"),
        Prereq::Icmpv6 => "icmp6",
        Prereq::Nd | Prereq::NdSolicit => "icmp6,icmp_type=135,icmp_code=0",
        Prereq::NdAdvert => "icmp6,icmp_type=136,icmp_code=0",
    }
}

/// The condition of `text` with the words that `named` needs in front, in place of those that say less.
fn meant_line(text: &str, named: Named<'_>, m: &Match) -> String {
    let words = words_for(named, m);
    let needs_protocol = depth(named.field.info().prereq) >= 2;
    let mut line = words.to_owned();
    let mut rest = text;
    while let Some((key, value, after)) = next_pair(rest) {
        rest = after;
        let said = protocol_shorthand(key).is_some()
            || matches!(key, "dl_type" | "eth_type")
            || needs_protocol && matches!(key, "nw_proto" | "ip_proto")
            || words.contains("icmp_type") && matches!(key, "icmp_type" | "icmp_code" | "tp_src" | "tp_dst");
        if said && depth(named.field.info().prereq) > 0 {
            continue;
        }
        line.push(',');
        line.push_str(key);
        if !value.is_empty() {
            line.push('=');
            line.push_str(value);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use crate::{
        FlowModCommand, FlowTextKind, Names, parse_flow_mod, parse_flow_monitor_request,
        parse_flow_stats_request,
    };

    fn add(text: &str, names: Names<'_>) -> Result<String, String> {
        let done = parse_flow_mod(text, FlowTextKind::Mod(FlowModCommand::Add), names);
        done.map(|(flow, _)| flow.m.to_text()).map_err(|e| e.to_string())
    }

    #[test]
    fn an_upper_layer_without_its_lower_one_is_refused_with_the_line_that_was_meant() {
        for (text, missing, meant) in [
            ("tp_dst=22", "dl_type and nw_proto", "tcp,tp_dst=22"),
            ("in_port=3,tp_src=53,nw_proto=17", "dl_type", "udp,in_port=3,tp_src=53"),
            ("ip,tcp_dst=22", "nw_proto", "tcp,tcp_dst=22"),
            ("ipv6,tp_dst=22", "nw_proto", "tcp6,tp_dst=22"),
            ("ipv6_src=::1,udp_dst=53", "dl_type and nw_proto", "udp6,ipv6_src=::1,udp_dst=53"),
            ("sctp_src=9", "dl_type and nw_proto", "sctp,sctp_src=9"),
            ("tcp_flags=+syn", "dl_type and nw_proto", "tcp,tcp_flags=+syn"),
            ("nw_src=10.0.0.1", "dl_type", "ip,nw_src=10.0.0.1"),
            ("ip_dst=10.0.0.0/8", "dl_type", "ip,ip_dst=10.0.0.0/8"),
            ("nw_proto=6", "dl_type", "ip,nw_proto=6"),
            ("nw_tos=32", "dl_type", "ip,nw_tos=32"),
            ("nw_ttl=1", "dl_type", "ip,nw_ttl=1"),
            ("ip_frag=first", "dl_type", "ip,ip_frag=first"),
            ("ipv6_label=5", "dl_type", "ipv6,ipv6_label=5"),
            ("icmp_type=8", "dl_type and nw_proto", "icmp,icmp_type=8"),
            ("arp_spa=10.0.0.1", "dl_type", "arp,arp_spa=10.0.0.1"),
            ("arp_op=1", "dl_type", "arp,arp_op=1"),
            ("mpls_label=5", "dl_type", "mpls,mpls_label=5"),
            ("nd_target=::1,icmp6", "icmp_type", "icmp6,icmp_type=135,icmp_code=0,nd_target=::1"),
            ("nsh_si=5", "dl_type", "dl_type=0x894f,nsh_si=5"),
            ("ct_nw_src=10.0.0.1", "ct_state", "ct_state=+trk+est,ct_nw_src=10.0.0.1"),
            ("tcp_dst[0..3]=1", "dl_type and nw_proto", "tcp,tcp_dst[0..3]=1"),
        ] {
            let error = add(&format!("{text},actions=drop"), Names::default()).expect_err(text);
            let tail = format!(" can be matched only together with {missing}: use \"{meant}\"");
            assert!(error.ends_with(&tail), "{text}: {error}");
            // The line that is offered is one that is taken.
            assert!(add(&format!("{meant},actions=drop"), Names::default()).is_ok(), "{meant}");
        }
    }

    #[test]
    fn a_field_of_another_protocol_is_refused_with_the_layers_that_contradict_it() {
        for (text, layers) in [
            ("arp,nw_tos=4", "arp"),
            ("tcp,udp_dst=4", "tcp"),
            ("dl_type=0x1234,nw_src=10.0.0.1", "dl_type=0x1234"),
            ("ip,nw_proto=21,tp_src=443", "ip,nw_proto=21"),
        ] {
            let error = add(&format!("{text},actions=drop"), Names::default()).unwrap_err();
            assert!(error.ends_with(&format!(" cannot be matched together with {layers}")), "{error}");
        }
    }

    #[test]
    fn what_needs_nothing_more_and_wildcards_are_taken() {
        for text in [
            "dl_type=*,nw_src=ANY",
            "dl_vlan_pcp=3",
            "arp,nw_src=10.0.0.1",
            "arp,nw_proto=1",
            "icmp6,icmp_type=135",
            "icmp,tp_src=8",
            "udp,tp_dst=53",
            "tcp,nw_frag=later,tp_dst=0",
        ] {
            add(&format!("{text},actions=drop"), Names::default()).expect(text);
        }
    }

    #[test]
    fn deleting_listing_and_monitoring_refuse_too() {
        let delete = FlowTextKind::Mod(FlowModCommand::Delete);
        assert!(parse_flow_mod("tp_dst=22", delete, Names::default()).is_err());
        assert!(parse_flow_stats_request("tp_dst=22", Names::default()).is_err());
        assert!(parse_flow_monitor_request("tp_dst=22", 1, Names::default()).is_err());
        assert!(parse_flow_stats_request("tcp,tp_dst=22", Names::default()).is_ok());
    }

    #[test]
    fn a_caller_may_ask_for_the_cut_instead() {
        let names = Names { normalizes: true, ..Names::default() };
        assert_eq!(add("nw_src=1.2.3.4,actions=5", names).as_deref(), Ok("nw_src=1.2.3.4"));
    }
}
