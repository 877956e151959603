//! From workers to the control thread: a bounded queue that never blocks a worker.

use flowsync::{PacketIn, Sample, Sink};
use tokio::sync::mpsc;

/// What workers hand over.
#[derive(Debug)]
pub(crate) enum Handed {
    PacketIn(Box<PacketIn>),
    Sample(Box<Sample>),
}

/// How much may wait; what comes beyond that is dropped and counted.
const WAITING: usize = 4096;

base::coverage!(static OVERFLOW = "handover_overflow");

#[derive(Debug)]
pub(crate) struct Handover(mpsc::Sender<Handed>);

/// The two ends of the queue.
pub(crate) fn handover() -> (Handover, mpsc::Receiver<Handed>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Handover(sender), receiver)
}

impl Handover {
    fn hand(&self, what: Handed) {
        if self.0.try_send(what).is_err() {
            OVERFLOW.count();
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
}
