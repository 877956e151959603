//! From workers to the control thread: a bounded queue that never blocks a worker.

use std::sync::Arc;

use base::OfPort;
use flowsync::{PacketIn, Sample, Sink};
use pipeline::tunnel::Asking;
use pipeline::{BridgeId, Protocol};
use protocols::{Monitor, PortId};
use tokio::sync::mpsc;

/// What workers hand over.
#[derive(Debug)]
pub(crate) enum Handed {
    PacketIn(Box<PacketIn>),
    Sample(Box<Sample>),
    Ask(Asking),
}

/// How much may wait; what comes beyond that is dropped and counted.
const WAITING: usize = 4096;

base::coverage!(static PACKET_IN_OVERFLOW = "packet_in_overflow");
base::coverage!(static SAMPLE_OVERFLOW = "sample_overflow");
base::coverage!(static ASK_OVERFLOW = "tunnel_ask_overflow");

#[derive(Debug)]
pub(crate) struct Handover {
    queue: mpsc::Sender<Handed>,
    /// What does not wait for the control thread.
    monitor: Arc<Monitor>,
}

/// The two ends of the queue. Frames of protocols go to `monitor`.
pub(crate) fn handover(monitor: &Arc<Monitor>) -> (Handover, mpsc::Receiver<Handed>) {
    let (queue, receiver) = mpsc::channel(WAITING);
    (Handover { queue, monitor: Arc::clone(monitor) }, receiver)
}

impl Handover {
    fn hand(&self, what: Handed) {
        let overflow = match &what {
            Handed::PacketIn(_) => &PACKET_IN_OVERFLOW,
            Handed::Sample(_) => &SAMPLE_OVERFLOW,
            Handed::Ask(_) => &ASK_OVERFLOW,
        };
        if self.queue.try_send(what).is_err() {
            overflow.count();
        }
    }
}

impl Sink for Handover {
    fn packet_in(&self, packet: PacketIn) {
        self.hand(Handed::PacketIn(Box::new(packet)));
    }

    fn sample(&self, sample: Sample) {
        self.hand(Handed::Sample(Box::new(sample)));
    }

    fn ask(&self, asking: Asking) {
        self.hand(Handed::Ask(asking));
    }

    fn take(&self, bridge: BridgeId, port: OfPort, protocol: Protocol, frame: &[u8]) {
        self.monitor.take(PortId { bridge, port }, protocol, frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_by_what_it_is() {
        let (handover, _receiver) = handover(&Monitor::new(base::Clock::new()));
        let sample = || Sample {
            bridge: pipeline::BridgeId(1),
            key: flow::FlowKey::new(),
            packet: Vec::new(),
            cookie: dp::Cookie::None,
            actions: Vec::new(),
        };
        let packet = || PacketIn {
            bridge: pipeline::BridgeId(1),
            controller_id: 0,
            reason: ofp::PacketInReason::NoMatch,
            table: 0,
            cookie: 0,
            userdata: Vec::new(),
            metadata: flow::FlowKey::new(),
            packet: Vec::new(),
            paused: None,
        };
        (0..WAITING).for_each(|_| handover.sample(sample()));
        assert_eq!((SAMPLE_OVERFLOW.total(), PACKET_IN_OVERFLOW.total()), (0, 0));
        handover.sample(sample());
        handover.packet_in(packet());
        handover.packet_in(packet());
        assert_eq!((SAMPLE_OVERFLOW.total(), PACKET_IN_OVERFLOW.total()), (1, 2));
    }
}
