//! The door for exports: which packets of a bridge are sampled, and what is reported of the packets' ways.
//!
//! A sample is a datapath action (`sampling.rs`). It carries a cookie ([`dp::Cookie`]) by which the exporter knows it again;
//! where the packet went is filled in at the end. The sampled packet goes up with the cookie, and `flowsync` hands both over
//! to whoever exports. Another export is another arm here, and another cookie. What counts flows has an effect instead
//! ([`crate::flow_log`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use base::DpPort;
use dp::{Action, Cookie};
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
    /// IPFIX, of the bridge or of rules.
    pub ipfix: Option<IpfixSampling>,
    /// The kernel's group that gets what rules sample, by the set of collectors that they name.
    pub groups: BTreeMap<u32, u32>,
    /// The sets of collectors that learn of the tunnels by which sampled packets leave.
    pub tunnel_sets: BTreeSet<u32>,
    /// A packet of which nothing but samples are left is dropped by an action of its own, so that it is counted.
    pub explicit_drops: bool,
}

impl PartialEq for Exports {
    fn eq(&self, other: &Exports) -> bool {
        let log = |exports: &Exports| exports.netflow.as_ref().map(Arc::as_ptr);
        self.sflow == other.sflow
            && log(self) == log(other)
            && self.ipfix == other.ipfix
            && self.groups == other.groups
            && self.tunnel_sets == other.tunnel_sets
            && self.explicit_drops == other.explicit_drops
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

/// How IPFIX samples a bridge. Where there is one, rules sample too, whichever sets of collectors they name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpfixSampling {
    /// All packets of the bridge; none where only rules sample.
    pub bridge: Option<BridgeSampling>,
}

/// IPFIX of all packets of a bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BridgeSampling {
    /// The probability, of 2^32.
    pub probability: u32,
    /// Packets are sampled where they come in.
    pub input: bool,
    /// Packets are sampled where they leave.
    pub output: bool,
    /// Collectors learn of the tunnels by which packets leave.
    pub tunnels: bool,
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

    /// Notes where sFlow's sampling is going to stand.
    pub(crate) fn begin(&mut self, position: usize) {
        self.sflow = Some(position);
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

fn set_cookie(action: &mut Action, cookie: &Cookie) {
    // The slow path's.
    if matches!(action, Action::Meter(_)) {
        return;
    }
    let Action::Userspace(userspace) = action else {
        return base::broken!("{action:?} stands in the place of a sampling");
    };
    userspace.cookie = cookie.clone();
}
