//! The door for exports: which packets of a bridge are sampled, and what exporters are told of the packets' ways.
//!
//! A sample is a datapath action at the head of a translation. It carries a cookie ([`dp::Cookie`]) by which the exporter
//! knows it again; where the packet went is filled in at the end. The sampled packet goes up with the cookie, and
//! `flowsync` hands both over to whoever exports. Another export is another arm here, and another cookie.

use std::collections::HashMap;
use std::sync::Arc;

use base::DpPort;
use dp::Cookie;

use crate::context::Context;

/// What samples the packets of a bridge.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Exports {
    pub sflow: Option<SflowSampling>,
}

/// How sFlow samples a bridge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SflowSampling {
    /// The probability, of 2^32.
    pub probability: u32,
    /// The numbers by which sFlow knows the ports that it knows.
    pub ifindexes: HashMap<DpPort, u32>,
}

/// Where a packet goes, and what is to be told of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Export {
    /// To so many ports.
    outputs: u32,
    last: Option<DpPort>,
    /// The place of sFlow's sampling in the list of actions.
    sflow: Option<usize>,
}

/// sFlow v5: "packet dropped for unknown reason", and "number of output ports".
const SFLOW_DROPPED: u32 = 0x4000_0000 | 256;
const SFLOW_MULTIPLE: u32 = 0x8000_0000;

impl Export {
    /// Notes that the packet goes out by `port`.
    pub(crate) fn sent(&mut self, port: DpPort) {
        self.outputs += 1;
        self.last = Some(port);
    }

    /// The way of the packet as sFlow writes it.
    fn sflow_output(&self, sampling: &SflowSampling) -> u32 {
        match self.outputs {
            0 => SFLOW_DROPPED,
            1 => {
                let index = self.last.and_then(|port| sampling.ifindexes.get(&port));
                index.copied().unwrap_or(SFLOW_MULTIPLE | 1)
            }
            many => SFLOW_MULTIPLE | many,
        }
    }
}

impl Context<'_> {
    /// Puts the samplings of the bridge before everything else.
    pub(crate) fn begin_exports(&mut self) {
        let Some(sampling) = &self.walk.bridge.exports().sflow else { return };
        let mut userspace = dp::Userspace::new(Cookie::Sflow { vlan_tci: 0, output: 0 });
        userspace.include_actions = true;
        self.out.export.sflow = Some(self.out.actions.len());
        self.out.actions.push(sampled(sampling.probability, dp::Action::Userspace(Box::new(userspace))));
    }

    /// Fills in where the sampled packet went, which is known only now.
    pub(crate) fn finish_exports(&mut self) {
        let Some(position) = self.out.export.sflow else { return };
        let Some(sampling) = &self.walk.bridge.exports().sflow else { return };
        let output = self.out.export.sflow_output(sampling);
        let cookie = Cookie::Sflow { vlan_tci: self.out.base.vlan_tci(0), output };
        match self.out.actions.get_mut(position) {
            Some(dp::Action::Sample { actions, .. }) => {
                let mut inner = actions.to_vec();
                inner.iter_mut().for_each(|action| set_cookie(action, &cookie));
                *actions = inner.into();
            }
            Some(action) => set_cookie(action, &cookie),
            None => base::broken!("a sampling is gone from the actions"),
        }
    }
}

/// `action` with a probability of 2^32.
fn sampled(probability: u32, action: dp::Action) -> dp::Action {
    if probability == u32::MAX {
        return action;
    }
    dp::Action::Sample { probability, actions: Arc::new([action]) }
}

fn set_cookie(action: &mut dp::Action, cookie: &Cookie) {
    let dp::Action::Userspace(userspace) = action else {
        return base::broken!("{action:?} stands in the place of a sampling");
    };
    userspace.cookie = cookie.clone();
}
