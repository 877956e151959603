//! One worker more for a while, where one has more than it can take and nobody has said which workers there are.
//!
//! A worker that several ports flood at once loses frames of all of them, while another processor might take some of the
//! ports. One port is never shared: a second worker would only take time from whoever sends to it. So a worker comes when
//! queues of [`TOGETHER`] ports of one worker overflow, gets every other one of them, and goes when all workers together
//! have had little to do for a while. All other queues stay where they are.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base::{DpPort, Timestamp};

use crate::ports::Ports;
use crate::seat::Core;

/// How often it is looked.
const INTERVAL: Duration = Duration::from_millis(100);
/// A port is flooded when it loses so many frames in an interval.
const LOST: u64 = 100;
/// So many flooded ports of one worker ask for another one.
const TOGETHER: usize = 2;
/// In so many intervals in a row.
const INSISTING: u32 = 2;
/// Workers that are busy for less than this part of the time of all but one are one too many.
const LITTLE_PERCENT: u32 = 60;
/// For so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a port is like at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    port: DpPort,
    /// The worker that has its first queue.
    core: Core,
    /// Frames that found no room, ever.
    lost: u64,
    /// What its packets took, ever.
    busy: Duration,
}

/// What is to be done.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Advice {
    Nothing,
    /// Another worker is to take these ports.
    Reinforce(Vec<DpPort>),
    /// There is one worker too many.
    Release,
}

/// What was seen before.
#[derive(Debug, Default)]
pub(crate) struct Reinforcing {
    looked: Option<Timestamp>,
    /// What each port had lost, and taken.
    before: HashMap<DpPort, (u64, Duration)>,
    /// For how many intervals each worker had more than it could take.
    pressed: BTreeMap<Core, u32>,
    /// Since when there was little to do.
    idle_since: Option<Timestamp>,
}

impl Reinforcing {
    /// Whether it is time to look.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.looked.is_none_or(|looked| now.since(looked) >= INTERVAL)
    }

    /// Looks at ports, each of which has an entry in `ports`; there are `workers`, of which `extra` came by this.
    pub(crate) fn look(
        &mut self,
        ports: impl Iterator<Item = Seen>,
        workers: usize,
        extra: usize,
        now: Timestamp,
    ) -> Advice {
        let Some(elapsed) = self.looked.map(|looked| now.since(looked)) else {
            self.looked = Some(now);
            self.before = ports.map(|seen| (seen.port, (seen.lost, seen.busy))).collect();
            return Advice::Nothing;
        };
        self.looked = Some(now);
        let mut flooded: BTreeMap<Core, Vec<(u64, DpPort)>> = BTreeMap::new();
        let (mut busy, mut then) = (Duration::ZERO, HashMap::new());
        for seen in ports {
            then.insert(seen.port, (seen.lost, seen.busy));
            let Some((lost_before, busy_before)) = self.before.get(&seen.port) else { continue };
            let lost = seen.lost.saturating_sub(*lost_before);
            busy += seen.busy.saturating_sub(*busy_before);
            if lost >= LOST {
                flooded.entry(seen.core).or_default().push((lost, seen.port));
            }
        }
        self.before = then;
        flooded.retain(|_, ports| ports.len() >= TOGETHER);
        self.pressed.retain(|core, _| flooded.contains_key(core));
        flooded.keys().for_each(|core| *self.pressed.entry(*core).or_default() += 1);
        let insisting = self.pressed.iter().find(|(_, count)| **count >= INSISTING).map(|(core, _)| *core);
        if let Some(mut ports) = insisting.and_then(|core| flooded.remove(&core)) {
            (self.pressed, self.idle_since) = (BTreeMap::new(), None);
            // Those that lose most go to different workers.
            ports.sort_unstable_by_key(|(lost, port)| (std::cmp::Reverse(*lost), *port));
            return Advice::Reinforce(ports.into_iter().skip(1).step_by(2).map(|(_, port)| port).collect());
        }
        let others = workers.saturating_sub(1) as u32;
        if extra == 0 || busy * 100 >= elapsed * others * LITTLE_PERCENT {
            self.idle_since = None;
        } else if now.since(*self.idle_since.get_or_insert(now)) >= PATIENCE {
            self.idle_since = None;
            return Advice::Release;
        }
        Advice::Nothing
    }
}

/// What ports are like now whose queues may pass from one worker to another.
pub(crate) fn seen(ports: &Ports) -> impl Iterator<Item = Seen> {
    ports.iter().filter_map(|port| {
        let (device, queue) = (port.device.as_packet()?, port.queues.first()?);
        // Who has several queues, or is pinned, has been told how to share.
        let is_free = port.queues.len() == 1 && queue.pinned().is_none();
        let core = is_free.then(|| queue.seat.wanted()).flatten()?;
        let busy = Duration::from_nanos(queue.busy.get());
        Some(Seen { port: port.number, core, lost: device.overflowed(), busy })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Flood {
        reinforcing: Reinforcing,
        now: Timestamp,
        ports: Vec<Seen>,
    }

    impl Flood {
        fn of(cores: &[Core]) -> Flood {
            let seen = |(port, &core)| Seen { port: DpPort(port), core, lost: 0, busy: Duration::ZERO };
            let ports = (1..).zip(cores).map(seen).collect();
            let mut flood = Flood { reinforcing: Reinforcing::default(), now: Timestamp::ZERO, ports };
            flood.pass(&[], 0, 1, 0);
            flood
        }

        /// An interval, in which ports lose so many frames, and their packets take so much of a worker.
        fn pass(&mut self, lost: &[u64], percent: u32, workers: usize, extra: usize) -> Advice {
            self.now = self.now + INTERVAL;
            self.ports.iter_mut().zip(lost).for_each(|(port, lost)| port.lost += lost);
            if let Some(port) = self.ports.first_mut() {
                port.busy += INTERVAL * percent / 100;
            }
            self.reinforcing.look(self.ports.iter().copied(), workers, extra, self.now)
        }
    }

    #[test]
    fn ports_of_one_worker_that_overflow_together_are_shared() {
        let mut flood = Flood::of(&[0, 0, 0, 0]);
        assert_eq!(flood.pass(&[500, 900, 0, 700], 100, 1, 0), Advice::Nothing, "it may be a burst");
        let shared = flood.pass(&[500, 900, 0, 700], 100, 1, 0);
        assert_eq!(shared, Advice::Reinforce(vec![DpPort(4)]), "of 2, 4 and 1 the second");
        assert_eq!(flood.pass(&[500, 900, 0, 700], 100, 1, 0), Advice::Nothing, "it begins anew");
    }

    #[test]
    fn one_port_alone_is_not_worth_a_worker_nor_are_those_of_several() {
        let mut flood = Flood::of(&[0, 0, 1]);
        for _ in 0..10 {
            assert_eq!(flood.pass(&[5000, LOST - 1, 5000], 100, 2, 0), Advice::Nothing);
        }
        let mut flood = Flood::of(&[0, 0]);
        for _ in 0..10 {
            assert_eq!(flood.pass(&[5000, 5000], 100, 1, 0), Advice::Nothing);
            assert_eq!(flood.pass(&[0, 0], 100, 1, 0), Advice::Nothing);
        }
    }

    #[test]
    fn a_worker_too_many_goes_when_there_was_little_to_do_for_a_while() {
        let mut flood = Flood::of(&[0, 1]);
        let intervals = PATIENCE.as_millis() / INTERVAL.as_millis();
        for _ in 0..2 * intervals {
            assert_eq!(flood.pass(&[], LITTLE_PERCENT, 2, 1), Advice::Nothing, "one alone would be busy");
            assert_eq!(flood.pass(&[], 0, 2, 0), Advice::Nothing, "it did not come by this");
        }
        for _ in 0..intervals {
            assert_eq!(flood.pass(&[], LITTLE_PERCENT - 1, 2, 1), Advice::Nothing);
        }
        assert_eq!(flood.pass(&[], LITTLE_PERCENT - 1, 2, 1), Advice::Release);
    }
}
