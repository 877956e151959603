//! What a datapath can do, by the names that operators know, and having translation believe that it can do more or less:
//! `dpif/show-dp-features`, `dpif/set-dp-features`.

use std::collections::BTreeMap;
use std::fmt::Write;

use dp::Capabilities;

use super::Running;
use crate::running::RunningBridge;

/// What a datapath can do of one thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Extent {
    Flag(bool),
    Number(usize),
}

/// Where [`Capabilities`] have a feature.
#[derive(Clone, Copy)]
enum Place {
    Flag(fn(&mut Capabilities) -> &mut bool),
    Number(fn(&mut Capabilities) -> &mut usize),
}

/// A feature.
struct Feature {
    /// As operators name it.
    name: &'static str,
    title: &'static str,
    /// As the log names it when the datapath is opened; scripts look for that.
    logged: Option<&'static str>,
    place: Place,
    /// Why it does not matter here what translation believes of it, if so.
    idle: Option<&'static str>,
}

const fn flag_of(
    name: &'static str,
    title: &'static str,
    place: fn(&mut Capabilities) -> &mut bool,
) -> Feature {
    Feature { name, title, logged: None, place: Place::Flag(place), idle: None }
}

const fn number_of(
    name: &'static str,
    title: &'static str,
    place: fn(&mut Capabilities) -> &mut usize,
) -> Feature {
    Feature { name, title, logged: None, place: Place::Number(place), idle: None }
}

impl Feature {
    const fn logged(self, name: &'static str) -> Feature {
        Feature { logged: Some(name), ..self }
    }

    const fn idle(self, why: &'static str) -> Feature {
        Feature { idle: Some(why), ..self }
    }

    fn extent(&self, can: &Capabilities) -> Extent {
        let mut can = *can;
        match self.place {
            Place::Flag(place) => Extent::Flag(*place(&mut can)),
            Place::Number(place) => Extent::Number(*place(&mut can)),
        }
    }
}

/// All features, in the reference's order.
static FEATURES: [Feature; 27] = [
    flag_of("masked_set_action", "Masked set action", |can| &mut can.masked_set),
    flag_of("tnl_push_pop", "Tunnel push pop", |can| &mut can.tunnels),
    flag_of("ufid", "Ufid", |can| &mut can.ufid).logged("unique flow ids").idle("flows always have an id"),
    flag_of("trunc", "Truncate action", |can| &mut can.trunc).logged("truncate action"),
    flag_of("clone", "Clone action", |can| &mut can.clone).logged("clone action"),
    number_of("sample_nesting", "Sample nesting", |can| &mut can.sample_nesting)
        .logged("Max sample nesting level probed as"),
    flag_of("ct_eventmask", "Conntrack eventmask", |can| &mut can.conntrack.event_mask)
        .logged("eventmask in conntrack action")
        .idle("this switch reports no events of connections"),
    flag_of("ct_clear", "Conntrack clear", |can| &mut can.conntrack.clear).logged("ct_clear action"),
    number_of("max_hash_alg", "Max dp_hash algorithm", |can| &mut can.max_hash_algorithm)
        .logged("Max dp_hash algorithm probed to be"),
    flag_of("check_pkt_len", "Check pkt length action", |can| &mut can.check_pkt_len)
        .logged("check_pkt_len action"),
    flag_of("ct_timeout", "Conntrack timeout policy", |can| &mut can.conntrack.timeout)
        .logged("timeout policy in conntrack action"),
    flag_of("explicit_drop_action", "Explicit Drop action", |can| &mut can.explicit_drop)
        .logged("explicit drop action"),
    flag_of("lb_output_action", "Optimized Balance TCP mode", |can| &mut can.lb_output),
    flag_of("ct_zero_snat", "Conntrack all-zero IP SNAT", |can| &mut can.conntrack.zero_snat)
        .logged("ct_zero_snat")
        .idle("translation does not ask for it"),
    flag_of("add_mpls", "MPLS Label add", |can| &mut can.add_mpls).logged("add_mpls action"),
    flag_of("psample", "psample action", |can| &mut can.psample).logged("psample action"),
    number_of("max_vlan_headers", "Max VLAN headers", |can| &mut can.max_vlans)
        .logged("VLAN header stack length probed as")
        .idle("other_config:vlan-limit says how many there are"),
    number_of("max_mpls_depth", "Max MPLS depth", |can| &mut can.max_mpls)
        .logged("MPLS label stack length probed as"),
    flag_of("recirc", "Recirc", |can| &mut can.recirc).logged("recirculation"),
    flag_of("ct_state", "CT state", |can| &mut can.conntrack.state).logged("ct_state"),
    flag_of("ct_zone", "CT zone", |can| &mut can.conntrack.zone).logged("ct_zone"),
    flag_of("ct_mark", "CT mark", |can| &mut can.conntrack.mark).logged("ct_mark"),
    flag_of("ct_label", "CT label", |can| &mut can.conntrack.label).logged("ct_label"),
    flag_of("ct_state_nat", "CT state NAT", |can| &mut can.conntrack.nat).logged("ct_state_nat"),
    flag_of("ct_orig_tuple", "CT orig tuple", |can| &mut can.conntrack.tuple).logged("ct_orig_tuple"),
    flag_of("ct_orig_tuple6", "CT orig tuple for IPv6", |can| &mut can.conntrack.tuple6)
        .logged("ct_orig_tuple6"),
    flag_of("nd_ext", "IPv6 ND Extension", |can| &mut can.nd_extensions).logged("IPv6 ND Extensions"),
];

/// The same with their values as the database shows them.
pub(super) fn named(can: &Capabilities) -> impl Iterator<Item = (String, String)> {
    // No probe finds it, so it has no title.
    let flush = ("ct_flush", Extent::Flag(can.conntrack.state));
    let can = *can;
    FEATURES.iter().map(move |feature| (feature.name, feature.extent(&can))).chain([flush]).map(
        |(name, extent)| {
            let value = match extent {
                Extent::Flag(has) => has.to_string(),
                // A number elsewhere; the reference has the database show it as a flag.
                Extent::Number(depth) if name == "sample_nesting" => (depth > 0).to_string(),
                Extent::Number(most) => most.to_string(),
            };
            (name.to_owned(), value)
        },
    )
}

/// What translation is to believe of a datapath instead of what it says of itself, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides(BTreeMap<&'static str, Extent>);

impl Overrides {
    fn apply(&self, can: Capabilities) -> Capabilities {
        let mut believed = can;
        for feature in &FEATURES {
            match (feature.place, self.0.get(feature.name)) {
                (Place::Flag(place), Some(&Extent::Flag(value))) => *place(&mut believed) = value,
                (Place::Number(place), Some(&Extent::Number(value))) => *place(&mut believed) = value,
                _ => {}
            }
        }
        believed
    }

    /// Notes a value as operators write it, where `can` is what the datapath says of itself. The error is what they are
    /// shown.
    fn set(
        &mut self,
        feature: &Feature,
        value: &str,
        is_forced: bool,
        can: &Capabilities,
    ) -> Result<(), &'static str> {
        let value = match feature.extent(can) {
            Extent::Flag(has) => Extent::Flag(flag(value, has || is_forced)?),
            Extent::Number(most) => Extent::Number(depth(value, most)?),
        };
        self.0.insert(feature.name, value);
        if is_forced && value == Extent::Flag(true) {
            log::warn!(target: "ofproto_dpif", "Enabling an unsupported feature is very dangerous");
        }
        if let Some(why) = feature.idle {
            let name = feature.name;
            log::info!(target: "ofproto_dpif", "{name} is without effect on this switch: {why}");
        }
        Ok(())
    }
}

fn flag(value: &str, may_be: bool) -> Result<bool, &'static str> {
    if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else if !value.eq_ignore_ascii_case("true") {
        Err("Boolean value expected")
    } else if may_be {
        Ok(true)
    } else {
        Err("Can not enable features not supported by the datapath")
    }
}

fn depth(value: &str, most: usize) -> Result<usize, &'static str> {
    match value.parse::<i32>().map(usize::try_from) {
        Err(_) => Err("Integer number expected"),
        Ok(Err(_)) => Err("Negative number not expected"),
        Ok(Ok(depth)) if depth > most => Err("Can not set value beyond the datapath capability"),
        Ok(Ok(depth)) => Ok(depth),
    }
}

/// Says in the log what a datapath can do that has just been opened.
pub(crate) fn log_all(datapath: &str, can: &Capabilities) {
    for feature in &FEATURES {
        let Some(name) = feature.logged else { continue };
        match feature.extent(can) {
            Extent::Flag(true) => log::info!(target: "ofproto_dpif", "{datapath}: Datapath supports {name}"),
            Extent::Flag(false) => {
                log::info!(target: "ofproto_dpif", "{datapath}: Datapath does not support {name}");
            }
            Extent::Number(most) => log::info!(target: "ofproto_dpif", "{datapath}: {name} {most}"),
        }
    }
}

impl Running {
    /// What translation is to believe that a bridge's datapath can do.
    pub(crate) fn capabilities_of(&self, bridge: &RunningBridge) -> Capabilities {
        let can = bridge.below.datapath.capabilities();
        self.overrides.get(&bridge.below.id).map_or(can, |overrides| overrides.apply(can))
    }

    /// What the datapath of a bridge says that it can do, a feature a line. An error names what is wrong.
    pub fn show_features(&self, bridge: &str) -> Result<String, String> {
        let bridge = self.bridges().get(bridge).ok_or("no such bridge")?;
        let mut out = String::new();
        let can = bridge.below.datapath.capabilities();
        for feature in &FEATURES {
            let title = feature.title;
            // Writing to a String cannot fail.
            let _ = match feature.extent(&can) {
                Extent::Flag(has) => writeln!(out, "{title}: {}", if has { "Yes" } else { "No" }),
                Extent::Number(most) => writeln!(out, "{title}: {most}"),
            };
        }
        Ok(out)
    }

    /// Shows all features of a bridge's datapath, or the one that is named, or has translation believe of it what `value`
    /// says; beyond what the datapath says only if that is forced. Returns what operators are to see.
    pub fn set_feature(
        &mut self,
        bridge: &str,
        name: Option<&str>,
        value: Option<&str>,
        is_forced: bool,
    ) -> Result<String, String> {
        let known = self.bridges().get(bridge).ok_or("no such bridge")?;
        let (datapath, can) = (known.below.id, known.below.datapath.capabilities());
        let flows = std::sync::Arc::clone(&known.below.flows);
        let believed = self.capabilities_of(known);
        let shown: Vec<&Feature> =
            FEATURES.iter().filter(|feature| name.is_none_or(|name| name == feature.name)).collect();
        let (Some(_), Some(value), [feature]) = (name, value, &*shown) else {
            if shown.is_empty() {
                return Ok("Unexpected support field".to_owned());
            }
            let line = |feature: &&Feature| {
                let (now, at_first) = (text(feature.extent(&believed)), text(feature.extent(&can)));
                format!("{} ({}) : [run time]:{now}, [boot time]:{at_first}\n", feature.name, feature.title)
            };
            return Ok(shown.iter().map(line).collect());
        };
        let overrides = self.overrides.entry(datapath).or_default();
        if let Err(text) = overrides.set(feature, value, is_forced, &can) {
            // The reference shows this as if it were no error.
            return Ok(text.to_owned());
        }
        let believed = overrides.apply(can);
        let bridges =
            self.bridges().values().filter(|bridge| bridge.below.id == datapath).map(|bridge| bridge.id);
        let bridges: Vec<_> = bridges.collect();
        let mut switch = self.switch.write();
        for id in bridges {
            if let Some(state) = switch.get_mut(id) {
                state.set_capabilities(believed);
            }
        }
        drop(switch);
        // As in the reference, flows begin anew.
        flows.purge();
        Ok(String::new())
    }
}

fn text(extent: Extent) -> String {
    match extent {
        Extent::Flag(has) => has.to_string(),
        Extent::Number(most) => most.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(name: &str) -> &'static Feature {
        FEATURES.iter().find(|feature| feature.name == name).unwrap()
    }

    #[test]
    fn the_database_shows_what_operators_see_and_whether_connections_can_be_flushed() {
        let shown: Vec<(String, String)> = named(&Capabilities::ALL).collect();
        assert_eq!(shown.len(), FEATURES.len() + 1);
        assert!(shown.contains(&("ct_flush".to_owned(), "true".to_owned())));
        assert!(shown.contains(&("sample_nesting".to_owned(), "true".to_owned())));
    }

    #[test]
    fn nothing_is_believed_beyond_what_is_there_unless_it_is_forced() {
        let can = Capabilities { psample: false, max_mpls: 3, ..Capabilities::ALL };
        let mut overrides = Overrides::default();
        let mut set = |name: &str, value: &str, is_forced: bool| {
            overrides.set(feature(name), value, is_forced, &can).map(|()| overrides.apply(can))
        };
        assert!(set("psample", "true", false).is_err());
        assert!(set("psample", "TRUE", true).unwrap().psample);
        assert!(set("max_mpls_depth", "4", true).is_err());
        assert!(set("max_mpls_depth", "-1", false).is_err());
        assert_eq!(set("max_mpls_depth", "2", false).unwrap().max_mpls, 2);
        let believed = set("ct_clear", "false", false).unwrap();
        assert!(!believed.conntrack.clear && believed.conntrack.state && believed.psample);
    }

    #[test]
    fn each_feature_has_a_place_of_its_own() {
        for one in &FEATURES {
            let mut overrides = Overrides::default();
            let value = match one.place {
                Place::Flag(_) => "false",
                Place::Number(_) => "0",
            };
            overrides.set(one, value, false, &Capabilities::ALL).unwrap();
            let believed = overrides.apply(Capabilities::ALL);
            let differ = |other: &&Feature| other.extent(&believed) != other.extent(&Capabilities::ALL);
            let names: Vec<&str> = FEATURES.iter().filter(differ).map(|other| other.name).collect();
            assert_eq!(names, [one.name]);
        }
    }
}
