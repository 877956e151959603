//! The door for exports: which packets of a bridge are sampled, and what is reported of the packets' ways.
//!
//! A sample is a datapath action at the head of a translation. It carries a cookie ([`dp::Cookie`]) by which the exporter
//! knows it again; where the packet went is filled in at the end. The sampled packet goes up with the cookie, and
//! `flowsync` hands both over to whoever exports. Another export is another arm here, and another cookie. What counts flows
//! has an effect instead ([`crate::flow_log`]).

use std::collections::HashMap;
use std::sync::Arc;

use base::DpPort;
use dp::{Action, Cookie, Userspace};
use flow::{FlowKey, FlowMask};

use crate::effects::Effect;
use crate::flow_log::{FlowId, FlowLog, LiveFlow};
use crate::way::Output;

/// What samples the packets of a bridge.
#[derive(Clone, Debug, Default)]
pub struct Exports {
    pub sflow: Option<SflowSampling>,
    /// Where the packets of flows are counted for NetFlow.
    pub netflow: Option<Arc<FlowLog>>,
}

impl PartialEq for Exports {
    fn eq(&self, other: &Exports) -> bool {
        let log = |exports: &Exports| exports.netflow.as_ref().map(Arc::as_ptr);
        self.sflow == other.sflow && log(self) == log(other)
    }
}

impl Eq for Exports {}

/// How sFlow samples a bridge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SflowSampling {
    /// The probability, of 2^32.
    pub probability: u32,
    /// The numbers by which sFlow knows the ports that it knows.
    pub ifindexes: HashMap<DpPort, u32>,
}

/// Where a packet goes, and where its samplings stand.
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

    /// Puts the samplings before everything else.
    pub(crate) fn begin(&mut self, exports: &Exports, actions: &mut Vec<Action>) {
        let Some(sampling) = &exports.sflow else { return };
        let mut userspace = Userspace::new(Cookie::Sflow { vlan_tci: 0, output: 0 });
        userspace.include_actions = true;
        self.sflow = Some(actions.len());
        actions.push(sampled(sampling.probability, Action::Userspace(Box::new(userspace))));
    }

    /// Fills in where the sampled packet went, which is known only now; it left with the tag `vlan_tci`.
    pub(crate) fn finish(&self, exports: &Exports, vlan_tci: u16, actions: &mut [Action]) {
        let (Some(position), Some(sampling)) = (self.sflow, &exports.sflow) else { return };
        let cookie = Cookie::Sflow { vlan_tci, output: self.sflow_output(sampling) };
        match actions.get_mut(position) {
            Some(Action::Sample { actions, .. }) => {
                let mut inner = actions.to_vec();
                inner.iter_mut().for_each(|action| set_cookie(action, &cookie));
                *actions = inner.into();
            }
            Some(action) => set_cookie(action, &cookie),
            None => base::broken!("a sampling is gone from the actions"),
        }
    }

    /// What counts the packets for NetFlow, which went to `output`; `mask` then has what tells their flow from others.
    pub(crate) fn record(
        exports: &Exports,
        key: &FlowKey,
        mask: &mut FlowMask,
        output: Output,
    ) -> Option<Effect> {
        let log = exports.netflow.as_ref()?;
        FlowId::examine(key, mask);
        Some(Effect::FlowRecord(Arc::new(LiveFlow::new(Arc::clone(log), FlowId::of(key)?, output))))
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

/// `action` with a probability of 2^32.
fn sampled(probability: u32, action: Action) -> Action {
    if probability == u32::MAX {
        return action;
    }
    Action::Sample { probability, actions: Arc::new([action]) }
}

fn set_cookie(action: &mut Action, cookie: &Cookie) {
    let Action::Userspace(userspace) = action else {
        return base::broken!("{action:?} stands in the place of a sampling");
    };
    userspace.cookie = cookie.clone();
}
