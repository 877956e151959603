//! Reading a match that leaves no field half open, as mirrors have for their filters, and traces for what they trace.

use super::{Match, protocol_shorthand};
use crate::text_pairs::next_pair;
use crate::{Field, PortNames, Prereq, other_prereqs};

impl Match {
    /// Reads `icmp,nw_dst=10.0.0.1,…`: shorthands and fields with values, without masks. Each field may stand once,
    /// and behind what it needs. The error tells the whole text.
    pub fn parse_exact(text: &str, names: Option<&PortNames>) -> Result<Match, String> {
        let mut exact = Match::default();
        let mut rest = text;
        while let Some((key, value, after)) = next_pair(rest) {
            rest = after;
            if let Some((dl_type, protocol)) = protocol_shorthand(key) {
                if exact.is_set(Field::EthType) {
                    return Err(format!("{text}: Ethernet type set multiple times"));
                }
                exact.set_dl_type(dl_type);
                if let Some(protocol) = protocol {
                    exact.set_nw_proto(protocol);
                }
                exact.set_default_packet_type();
                continue;
            }
            let Some(field) = Field::from_name(key) else {
                return Err(format!("{text}: unknown field {key}{}", super::did_you_mean(key, &[])));
            };
            let is_met = |prereq: Prereq| prereq == Prereq::None || prereq.met_by(&exact.key, None);
            if !is_met(field.info().prereq) && !other_prereqs(key).iter().any(|other| is_met(*other)) {
                return Err(format!("{text}: prerequisites not met for setting {key}"));
            }
            if exact.is_set(field) {
                return Err(format!("{text}: field {key} set multiple times"));
            }
            let value = field
                .parse_value(value, names)
                .and_then(|number| field.check_fit(value, number, field.exact()).map(|()| number))
                .map_err(|why| format!("{text}: bad value for {key} ({why})"))?;
            exact.set(field, value, field.exact());
            exact.add_ethernet_prereq(field);
        }
        Ok(exact)
    }

    fn is_set(&self, field: Field) -> bool {
        self.get(field).1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Match::parse_exact(text, None).unwrap_err()
    }

    #[test]
    fn values_are_taken_whole_and_once() {
        let found = Match::parse_exact("tcp,nw_dst=10.0.0.1,tp_dst=80", None).unwrap();
        let (same, _) = Match::parse("tcp,nw_dst=10.0.0.1,tp_dst=80", None).unwrap();
        assert_eq!(found, same);
        assert_eq!(refusal("wrong"), "wrong: unknown field wrong");
        assert_eq!(refusal("tp_dst=80,tcp"), "tp_dst=80,tcp: prerequisites not met for setting tp_dst");
        assert_eq!(
            refusal("sctp,icmp_type=8"),
            "sctp,icmp_type=8: prerequisites not met for setting icmp_type"
        );
        for text in ["udp,tp_dst=53", "icmp6,icmp_type=128", "arp,nw_src=10.0.0.1"] {
            assert!(Match::parse_exact(text, None).is_ok(), "{text}");
        }
        assert_eq!(refusal("ip,arp"), "ip,arp: Ethernet type set multiple times");
        assert!(refusal("dl_vlan=4097").contains("at most 4095"));
        let twice = "dl_vlan=1,dl_vlan=2";
        assert_eq!(refusal(twice), format!("{twice}: field dl_vlan set multiple times"));
        assert!(refusal("ip,nw_dst=10.0.0.0/8").starts_with("ip,nw_dst=10.0.0.0/8: bad value for nw_dst ("));
    }

    #[test]
    fn ports_may_have_names() {
        let mut names = PortNames::new();
        names.insert(3, "p3");
        let found = Match::parse_exact("in_port=p3", Some(&names)).unwrap();
        assert_eq!(found.key.in_port(), 3);
    }
}
