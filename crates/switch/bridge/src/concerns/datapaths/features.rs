//! What a datapath can do, by the names that operators know, and having translation believe that it can do more or less:
//! `dpif/show-dp-features`, `dpif/set-dp-features`.

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

/// How deep samples may nest.
const SAMPLE_NESTING: usize = 10;

/// A feature as operators name it, its title, and its extent.
type Feature = (&'static str, &'static str, Extent);

/// All features, in the reference's order.
fn features(can: &Capabilities) -> [Feature; 27] {
    use Extent::{Flag, Number};
    let tracking = Flag(can.conntrack);
    [
        ("masked_set_action", "Masked set action", Flag(can.masked_set)),
        ("tnl_push_pop", "Tunnel push pop", Flag(can.tunnels)),
        ("ufid", "Ufid", Flag(can.ufid)),
        ("trunc", "Truncate action", Flag(can.trunc)),
        ("clone", "Clone action", Flag(can.clone)),
        ("sample_nesting", "Sample nesting", Number(if can.sample_nesting { SAMPLE_NESTING } else { 0 })),
        ("ct_eventmask", "Conntrack eventmask", tracking),
        ("ct_clear", "Conntrack clear", tracking),
        ("max_hash_alg", "Max dp_hash algorithm", Number(can.max_hash_algorithm as usize)),
        ("check_pkt_len", "Check pkt length action", Flag(can.check_pkt_len)),
        ("ct_timeout", "Conntrack timeout policy", tracking),
        ("explicit_drop_action", "Explicit Drop action", Flag(can.explicit_drop)),
        ("lb_output_action", "Optimized Balance TCP mode", Flag(can.lb_output)),
        ("ct_zero_snat", "Conntrack all-zero IP SNAT", tracking),
        ("add_mpls", "MPLS Label add", Flag(can.add_mpls)),
        ("psample", "psample action", Flag(can.psample)),
        ("max_vlan_headers", "Max VLAN headers", Number(can.max_vlans)),
        ("max_mpls_depth", "Max MPLS depth", Number(can.max_mpls)),
        ("recirc", "Recirc", Flag(can.recirc)),
        ("ct_state", "CT state", tracking),
        ("ct_zone", "CT zone", tracking),
        ("ct_mark", "CT mark", tracking),
        ("ct_label", "CT label", tracking),
        ("ct_state_nat", "CT state NAT", tracking),
        ("ct_orig_tuple", "CT orig tuple", tracking),
        ("ct_orig_tuple6", "CT orig tuple for IPv6", tracking),
        ("nd_ext", "IPv6 ND Extension", Flag(can.nd_extensions)),
    ]
}

/// The same with their values as the database shows them.
pub(super) fn named(can: &Capabilities) -> impl Iterator<Item = (String, String)> {
    // No probe finds it, so it has no title.
    let flush = ("ct_flush", "", Extent::Flag(can.conntrack));
    features(can).into_iter().chain([flush]).map(|(name, _, extent)| {
        let value = match extent {
            Extent::Flag(has) => has.to_string(),
            // A number elsewhere; the reference has the database show it as a flag.
            Extent::Number(depth) if name == "sample_nesting" => (depth > 0).to_string(),
            Extent::Number(most) => most.to_string(),
        };
        (name.to_owned(), value)
    })
}

/// What translation is to believe of a datapath instead of what it says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overrides {
    psample: Option<bool>,
    max_mpls: Option<usize>,
    tunnels: Option<bool>,
}

impl Overrides {
    fn apply(self, can: Capabilities) -> Capabilities {
        Capabilities {
            psample: self.psample.unwrap_or(can.psample),
            max_mpls: self.max_mpls.unwrap_or(can.max_mpls),
            tunnels: self.tunnels.unwrap_or(can.tunnels),
            ..can
        }
    }

    /// Notes a value as operators write it, where `can` is what the datapath says of itself.
    fn set(&mut self, name: &str, value: &str, is_forced: bool, can: &Capabilities) -> Result<(), Refusal> {
        match name {
            "psample" => self.psample = Some(flag(value, can.psample || is_forced)?),
            "tnl_push_pop" => self.tunnels = Some(flag(value, can.tunnels || is_forced)?),
            "max_mpls_depth" => self.max_mpls = Some(depth(value, can.max_mpls)?),
            _ => return Err(Refusal::WithoutEffect(format!("{name} cannot be changed on this switch"))),
        }
        if is_forced && value.eq_ignore_ascii_case("true") {
            log::warn!(target: "ofproto_dpif", "Enabling an unsupported feature is very dangerous");
        }
        Ok(())
    }
}

/// Why a feature is not changed.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Refusal {
    /// The value is wrong. The reference shows this, as if it were no error.
    Value(&'static str),
    /// The change would do nothing.
    WithoutEffect(String),
}

fn flag(value: &str, may_be: bool) -> Result<bool, Refusal> {
    if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else if !value.eq_ignore_ascii_case("true") {
        Err(Refusal::Value("Boolean value expected"))
    } else if may_be {
        Ok(true)
    } else {
        Err(Refusal::Value("Can not enable features not supported by the datapath"))
    }
}

fn depth(value: &str, most: usize) -> Result<usize, Refusal> {
    match value.parse::<i32>().map(usize::try_from) {
        Err(_) => Err(Refusal::Value("Integer number expected")),
        Ok(Err(_)) => Err(Refusal::Value("Negative number not expected")),
        Ok(Ok(depth)) if depth > most => {
            Err(Refusal::Value("Can not set value beyond the datapath capability"))
        }
        Ok(Ok(depth)) => Ok(depth),
    }
}

impl Running {
    /// What translation is to believe that a bridge's datapath can do.
    pub(crate) fn capabilities_of(&self, bridge: &RunningBridge) -> Capabilities {
        let overrides = self.overrides.get(&bridge.below.id).copied().unwrap_or_default();
        overrides.apply(bridge.below.datapath.capabilities())
    }

    /// What the datapath of a bridge says that it can do, a feature a line. An error names what is wrong.
    pub fn show_features(&self, bridge: &str) -> Result<String, String> {
        let bridge = self.bridges().get(bridge).ok_or("no such bridge")?;
        let mut out = String::new();
        for (_, title, extent) in features(&bridge.below.datapath.capabilities()) {
            // Writing to a String cannot fail.
            let _ = match extent {
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
        let believed = self.capabilities_of(known);
        let mut shown = features(&believed).into_iter().zip(features(&can)).collect::<Vec<_>>();
        if let Some(name) = name {
            shown.retain(|((of, ..), _)| *of == name);
            if shown.is_empty() {
                return Ok("Unexpected support field".to_owned());
            }
        }
        let (Some(name), Some(value)) = (name, value) else {
            return Ok(shown
                .iter()
                .map(|((name, title, now), (.., at_first))| {
                    format!("{name} ({title}) : [run time]:{}, [boot time]:{}\n", text(*now), text(*at_first))
                })
                .collect());
        };
        let overrides = self.overrides.entry(datapath).or_default();
        match overrides.set(name, value, is_forced, &can) {
            Ok(()) => {}
            Err(Refusal::Value(text)) => return Ok(text.to_owned()),
            Err(Refusal::WithoutEffect(text)) => return Err(text),
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

    #[test]
    fn the_database_shows_what_operators_see_and_whether_connections_can_be_flushed() {
        let shown: Vec<(String, String)> = named(&Capabilities::ALL).collect();
        assert_eq!(shown.len(), features(&Capabilities::ALL).len() + 1);
        assert!(shown.contains(&("ct_flush".to_owned(), "true".to_owned())));
        assert!(shown.contains(&("sample_nesting".to_owned(), "true".to_owned())));
    }

    #[test]
    fn nothing_is_believed_beyond_what_is_there_unless_it_is_forced() {
        let can = Capabilities { psample: false, max_mpls: 3, ..Capabilities::ALL };
        let mut overrides = Overrides::default();
        assert!(overrides.set("psample", "true", false, &can).is_err());
        assert!(!overrides.apply(can).psample);
        overrides.set("psample", "TRUE", true, &can).unwrap();
        assert!(overrides.apply(can).psample);
        assert!(overrides.set("max_mpls_depth", "4", true, &can).is_err());
        assert!(overrides.set("max_mpls_depth", "-1", false, &can).is_err());
        overrides.set("max_mpls_depth", "2", false, &can).unwrap();
        assert_eq!(overrides.apply(can).max_mpls, 2);
        assert!(overrides.set("clone", "false", false, &can).is_err(), "it would have no effect");
    }
}
