//! From workers to the control thread: bounded queues that never block a worker.

use std::sync::Arc;

use base::OfPort;
use flowsync::{PacketIn, Sample, Sink};
use pipeline::tunnel::Asking;
use pipeline::{BridgeId, Protocol};
use protocols::{Monitor, PortId};
use tokio::sync::mpsc;

/// How many packets, samples and questions may wait; what comes beyond that is dropped and counted.
const WAITING: usize = 4096;

base::coverage!(static PACKET_IN_OVERFLOW = "packet_in_overflow");
base::coverage!(static ASK_OVERFLOW = "tunnel_ask_overflow");

#[derive(Debug)]
pub(crate) struct Handover {
    packets: mpsc::Sender<Box<PacketIn>>,
    /// They have a queue of their own: there may be many, and they have time.
    samples: mpsc::Sender<Box<Sample>>,
    /// Neighbours of tunnels that are to be asked for.
    questions: mpsc::Sender<Asking>,
    /// What does not wait for the control thread.
    monitor: Arc<Monitor>,
}

/// What the control thread is handed.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) packets: mpsc::Receiver<Box<PacketIn>>,
    pub(crate) samples: mpsc::Receiver<Box<Sample>>,
    pub(crate) questions: mpsc::Receiver<Asking>,
}

/// The two ends of the queues. Frames of protocols go to `monitor`.
pub(crate) fn handover(monitor: &Arc<Monitor>) -> (Handover, Handed) {
    let (to_packets, packets) = mpsc::channel(WAITING);
    let (to_samples, samples) = mpsc::channel(WAITING);
    let (to_questions, questions) = mpsc::channel(WAITING);
    let monitor = Arc::clone(monitor);
    let handover = Handover { packets: to_packets, samples: to_samples, questions: to_questions, monitor };
    (handover, Handed { packets, samples, questions })
}

impl Sink for Handover {
    fn packet_in(&self, packet: PacketIn) {
        if self.packets.try_send(Box::new(packet)).is_err() {
            PACKET_IN_OVERFLOW.count();
        }
    }

    fn sample(&self, sample: Sample) -> bool {
        self.samples.try_send(Box::new(sample)).is_ok()
    }

    fn has_room_for_samples(&self) -> bool {
        self.samples.capacity() > 0
    }

    fn ask(&self, asking: Asking) {
        if self.questions.try_send(asking).is_err() {
            ASK_OVERFLOW.count();
        }
    }

    fn take(&self, bridge: BridgeId, port: OfPort, protocol: Protocol, frame: &[u8]) {
        self.monitor.take(PortId { bridge, port }, protocol, frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let (handover, _handed) = handover(&Monitor::new(base::Clock::new()));
        let sample = || Sample {
            bridge: pipeline::BridgeId(1),
            key: flow::FlowKey::new(),
            packet: Vec::new(),
            cookie: dp::Cookie::None,
            egress_tunnel: None,
            actions: Vec::new(),
            lost: 0,
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
        assert!((0..WAITING).all(|_| handover.has_room_for_samples() && handover.sample(sample())));
        assert!(!handover.has_room_for_samples() && !handover.sample(sample()));
        // Packets for controllers have room nevertheless.
        (0..WAITING).for_each(|_| handover.packet_in(packet()));
        assert_eq!(PACKET_IN_OVERFLOW.total(), 0);
        handover.packet_in(packet());
        assert_eq!(PACKET_IN_OVERFLOW.total(), 1);
    }
}
