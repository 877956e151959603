//! Flow keys and actions as operators see them.
//!
//! `recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(src=…),…` and
//! `push_vlan(vid=1,pcp=0),2`: the forms of `ovs-appctl dpctl/dump-flows`,
//! `ofproto/trace` and `netdev-dummy/receive`, byte for byte those of the
//! reference. [`format_key`] and [`parse_key`] are for keys,
//! [`format_actions`] and [`parse_actions`] for actions.

use std::collections::HashMap;

use base::DpPort;

use crate::TunnelOption;

mod action_format;
mod action_parse;
mod flow_format;
mod key_format;
mod key_parse;
mod normalize;
mod scan;
mod tunnel_format;
mod tunnel_parse;
mod values;

pub use action_format::format_actions;
pub use action_parse::parse_actions;
pub use flow_format::format_flow;
pub use key_format::{format_attr, format_key};
pub use key_parse::parse_key;
pub use normalize::{NotNormal, normalize_actions};

/// What a datapath's keys and actions are shown and read with: names of ports in place of numbers, and which fields are
/// which options of Geneve. Without the latter, options are neither shown nor read.
#[derive(Clone, Debug, Default)]
pub struct PortNames {
    names: HashMap<u32, String>,
    numbers: HashMap<String, u32>,
    options: Vec<TunnelOption>,
}

impl PortNames {
    /// No port has a name.
    pub fn new() -> PortNames {
        PortNames::default()
    }

    /// Those of `options` that a key has are shown, and read.
    #[must_use]
    pub fn with_options(mut self, options: &[TunnelOption]) -> PortNames {
        self.options = options.to_vec();
        self
    }

    /// The options that are shown and read.
    fn options_of(names: Option<&PortNames>) -> &[TunnelOption] {
        names.map_or(&[], |names| &names.options)
    }

    /// Names a port.
    pub fn insert(&mut self, port: DpPort, name: &str) {
        self.names.insert(port.0, name.to_owned());
        self.numbers.insert(name.to_owned(), port.0);
    }

    /// The name of a port.
    pub fn name(&self, port: DpPort) -> Option<&str> {
        self.names.get(&port.0).map(String::as_str)
    }

    /// The port of this name.
    pub fn number(&self, name: &str) -> Option<DpPort> {
        self.numbers.get(name).copied().map(DpPort)
    }
}

impl FromIterator<(DpPort, String)> for PortNames {
    fn from_iter<T: IntoIterator<Item = (DpPort, String)>>(iter: T) -> Self {
        let mut out = PortNames::new();
        for (port, name) in iter {
            out.insert(port, &name);
        }
        out
    }
}

/// The text is no flow key, or no list of actions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error at {at}")]
pub struct ParseError {
    /// The text from the word on that was not understood.
    pub at: String,
    /// It was understood, but there is more of it than one attribute of a datapath flow can hold.
    pub is_too_long: bool,
}

#[cfg(test)]
mod tests;
