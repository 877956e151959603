//! What NetFlow counts: packets by the 5-tuple of their IPv4 header, by where they came in and went.
//!
//! Translation has megaflows match all that tells such flows apart, and gives each an effect that counts here
//! ([`crate::Effect::FlowRecord`]). Whoever exports takes what was counted, once a second.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{OfPort, Timestamp};
use flow::{FlowKey, FlowMask, slot};

use crate::state::Credit;
use crate::way::Output;

base::coverage!(static NOT_LOGGED = "netflow_not_logged");

const IPV4: u16 = 0x0800;
/// The bits of the type of service that tell flows apart (RFC 2474).
const DSCP: u128 = 0xfc;

/// Flows that wait to be taken, at most: packets of others are not exported.
const MAX_COUNTED: usize = 1 << 20;

/// What tells flows apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowId {
    /// The port by which packets come in.
    pub in_port: OfPort,
    /// The source's address.
    pub src: Ipv4Addr,
    /// The destination's address.
    pub dst: Ipv4Addr,
    /// The type of service, of which the upper six bits count.
    pub tos: u8,
    /// The protocol over IP.
    pub protocol: u8,
    /// The source's port; the type of an ICMP message.
    pub tp_src: u16,
    /// The destination's port; the code of an ICMP message.
    pub tp_dst: u16,
}

impl FlowId {
    /// The flow of a packet with this key; none of one that is not IPv4.
    pub fn of(key: &FlowKey) -> Option<FlowId> {
        (key.dl_type() == IPV4).then(|| FlowId {
            in_port: OfPort(key.in_port()),
            src: Ipv4Addr::from(key.nw_src()),
            dst: Ipv4Addr::from(key.nw_dst()),
            tos: key.nw_tos() & DSCP as u8,
            protocol: key.nw_proto(),
            tp_src: key.tp_src(),
            tp_dst: key.tp_dst(),
        })
    }

    /// Adds to `mask` what [`FlowId::of`] looks at.
    pub(crate) fn examine(key: &FlowKey, mask: &mut FlowMask) {
        if key.dl_type() != IPV4 {
            return;
        }
        for examined in [slot::NW_PROTO, slot::NW_SRC, slot::NW_DST, slot::TP_SRC, slot::TP_DST] {
            mask.add_all(examined);
        }
        mask.add(slot::NW_TOS, DSCP);
    }
}

/// Packets of one flow that went the same way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counted {
    /// Their way.
    pub output: Output,
    /// How many there were.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// All TCP flags that were seen.
    pub tcp_flags: u16,
    /// When the first ones were.
    pub first: Timestamp,
    /// When the last ones were.
    pub last: Timestamp,
}

/// What was counted of one flow since it was taken last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// By the ways that its packets went, in turn.
    pub counted: Vec<Counted>,
    /// No megaflow counts for it any more.
    pub is_over: bool,
}

/// The counters of one bridge.
#[derive(Debug, Default)]
pub struct FlowLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How many effects count for a flow.
    live: HashMap<FlowId, u32>,
    taken: HashMap<FlowId, Taken>,
}

impl FlowLog {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted since this was called last.
    pub fn take(&self) -> HashMap<FlowId, Taken> {
        std::mem::take(&mut self.lock().taken)
    }
}

/// What counts for one flow, as long as it is there.
#[derive(Debug)]
pub struct LiveFlow {
    log: Arc<FlowLog>,
    id: FlowId,
    output: Output,
}

impl LiveFlow {
    pub(crate) fn new(log: Arc<FlowLog>, id: FlowId, output: Output) -> LiveFlow {
        *log.lock().live.entry(id).or_default() += 1;
        LiveFlow { log, id, output }
    }

    /// Counts packets.
    pub fn count(&self, credit: Credit) {
        if credit.packets == 0 {
            return;
        }
        let mut state = self.log.lock();
        if state.taken.len() >= MAX_COUNTED && !state.taken.contains_key(&self.id) {
            NOT_LOGGED.count();
            return;
        }
        let counted = &mut state.taken.entry(self.id).or_default().counted;
        let Credit { packets, bytes, tcp_flags, used } = credit;
        match counted.last_mut() {
            Some(last) if last.output == self.output => {
                last.packets += packets;
                last.bytes += bytes;
                last.tcp_flags |= tcp_flags;
                last.last = last.last.max(used);
            }
            _ => counted.push(Counted {
                output: self.output,
                packets,
                bytes,
                tcp_flags,
                first: used,
                last: used,
            }),
        }
    }

    /// Whether both count for the same flow, going the same way.
    pub(crate) fn is_same(&self, other: &LiveFlow) -> bool {
        Arc::ptr_eq(&self.log, &other.log) && (self.id, self.output) == (other.id, other.output)
    }

    /// A number that the same flows have in common and most others do not.
    pub(crate) fn mark(&self) -> u64 {
        let FlowId { src, dst, tp_src, tp_dst, .. } = self.id;
        let addresses = u64::from(u32::from(src)) << 32 | u64::from(u32::from(dst));
        flow::extract::mix(addresses, u64::from(tp_src) << 16 | u64::from(tp_dst))
    }
}

impl Drop for LiveFlow {
    fn drop(&mut self) {
        let mut state = self.log.lock();
        let Some(live) = state.live.get_mut(&self.id) else { return };
        *live -= 1;
        if *live == 0 {
            state.live.remove(&self.id);
            if state.taken.len() < MAX_COUNTED || state.taken.contains_key(&self.id) {
                state.taken.entry(self.id).or_default().is_over = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDIT: Credit = Credit { packets: 2, bytes: 200, tcp_flags: 1, used: Timestamp::from_millis(5) };

    fn id(tp_src: u16) -> FlowId {
        let [src, dst] = [1, 2].map(|n| Ipv4Addr::new(10, 0, 0, n));
        FlowId { in_port: OfPort(1), src, dst, tos: 0, protocol: 17, tp_src, tp_dst: 53 }
    }

    #[test]
    fn packets_are_counted_by_flow_and_way_until_they_are_taken() {
        let log = Arc::<FlowLog>::default();
        let flood = LiveFlow::new(Arc::clone(&log), id(1), Output::Flood);
        flood.count(CREDIT);
        flood.count(Credit { tcp_flags: 2, used: Timestamp::from_millis(9), ..CREDIT });
        let port = LiveFlow::new(Arc::clone(&log), id(1), Output::Port(OfPort(2)));
        port.count(CREDIT);
        let counted = |output, packets, tcp_flags, last| Counted {
            output,
            packets,
            bytes: packets * 100,
            tcp_flags,
            first: Timestamp::from_millis(5),
            last: Timestamp::from_millis(last),
        };
        let expected = vec![counted(Output::Flood, 4, 3, 9), counted(Output::Port(OfPort(2)), 2, 1, 5)];
        assert_eq!(log.take(), HashMap::from([(id(1), Taken { counted: expected, is_over: false })]));
        assert_eq!(log.take(), HashMap::new());
    }

    #[test]
    fn a_flow_is_over_when_nothing_counts_for_it() {
        let log = Arc::<FlowLog>::default();
        let new = || LiveFlow::new(Arc::clone(&log), id(1), Output::Drop);
        let (one, two) = (new(), new());
        drop(one);
        assert_eq!(log.take(), HashMap::new());
        drop(two);
        assert_eq!(log.take(), HashMap::from([(id(1), Taken { counted: Vec::new(), is_over: true })]));
        assert!(log.lock().live.is_empty());
    }
}
