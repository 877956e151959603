//! Which worker each queue is for. Pure.
//!
//! Pinned queues come first. The others go to workers of the memory node of their device, in turn or by what they have to
//! do, and only where there is none to those of other nodes.

use std::collections::{BTreeMap, BTreeSet};

use dp::Assignment;
use log::Level;

use crate::processors::Processor;
use crate::seat::Core;

/// A queue that is to be assigned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    /// The name of its port, and its number among the queues of that one.
    pub(crate) port: String,
    pub(crate) queue: u32,
    /// The node of the device, where that is known.
    pub(crate) numa: Option<u32>,
    /// The processor that it is pinned to.
    pub(crate) pinned: Option<Core>,
    /// What its packets have cost lately.
    pub(crate) load: u64,
}

/// A worker that queues are assigned to, with what it has already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) processor: Processor,
    pub(crate) is_isolated: bool,
    pub(crate) queues: usize,
    pub(crate) load: u64,
}

impl From<Processor> for Member {
    /// One that has none.
    fn from(processor: Processor) -> Member {
        Member { processor, is_isolated: false, queues: 0, load: 0 }
    }
}

/// What comes of it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Assigned {
    /// By the places of the queues; `None`: there is no worker for it.
    pub(crate) workers: Vec<Option<Core>>,
    /// The workers that have pinned queues only.
    pub(crate) isolated: BTreeSet<Core>,
}

/// How queues are assigned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) assignment: Assignment,
    /// A worker to which a queue is pinned has no others.
    pub(crate) isolates: bool,
}

/// The workers of a node.
#[derive(Default)]
struct Node {
    places: Vec<Member>,
    /// Whose turn it is, and whether the next one is the one behind it.
    turn: usize,
    is_falling: bool,
}

/// Assigns the queues, which are in the order of their ports. `say` is given what operators may want to know.
pub(crate) fn assign(
    workers: &[Member],
    queues: &[Waiting],
    rules: Rules,
    say: &mut dyn FnMut(Level, String),
) -> Assigned {
    let mut nodes: BTreeMap<u32, Node> = BTreeMap::new();
    for worker in workers {
        nodes.entry(worker.processor.numa).or_default().places.push(*worker);
    }
    let mut assigned = Assigned { workers: vec![None; queues.len()], isolated: BTreeSet::new() };
    let rest = pin(&mut nodes, queues, rules, &mut assigned, say);
    share(&mut nodes, queues, rest, rules, &mut assigned, say);
    let isolated = nodes.values().flat_map(|node| &node.places).filter(|place| place.is_isolated);
    assigned.isolated = isolated.map(|place| place.processor.core).collect();
    assigned
}

/// What the log says of the load of a queue.
fn cost(rules: Rules, queue: &Waiting) -> String {
    match rules.assignment {
        Assignment::RoundRobin => String::new(),
        Assignment::Cycles | Assignment::Group => format!(" (measured processing cycles {})", queue.load),
    }
}

/// Gives pinned queues to their workers. The places of those that remain.
fn pin(
    nodes: &mut BTreeMap<u32, Node>,
    queues: &[Waiting],
    rules: Rules,
    assigned: &mut Assigned,
    say: &mut dyn FnMut(Level, String),
) -> Vec<usize> {
    let mut rest = Vec::new();
    for (at, queue) in queues.iter().enumerate() {
        let Some(core) = queue.pinned else {
            rest.push(at);
            continue;
        };
        let Waiting { port, queue: number, load, .. } = queue;
        let found = nodes.iter_mut().find_map(|(numa, node)| {
            node.places.iter_mut().find(|place| place.processor.core == core).map(|place| (*numa, place))
        });
        let Some((numa, place)) = found else {
            say(
                Level::Warn,
                format!(
                    "Core {core:2} cannot be pinned with port '{port}' rx queue {number}. Use pmd-cpu-mask to \
                     enable a pmd on core {core}. An alternative core will be assigned."
                ),
            );
            rest.push(at);
            continue;
        };
        place.is_isolated |= rules.isolates;
        place.load += load;
        place.queues += 1;
        if let Some(worker) = assigned.workers.get_mut(at) {
            *worker = Some(core);
        }
        say(
            Level::Info,
            format!(
                "Core {core:2} on numa node {numa} is pinned with port '{port}' rx queue {number}{}",
                cost(rules, queue)
            ),
        );
    }
    rest
}

/// Shares the queues at the places `rest` among workers that are not isolated.
fn share(
    nodes: &mut BTreeMap<u32, Node>,
    queues: &[Waiting],
    mut rest: Vec<usize>,
    rules: Rules,
    assigned: &mut Assigned,
    say: &mut dyn FnMut(Level, String),
) {
    if rules.assignment != Assignment::RoundRobin {
        // Those with the same load stay in order.
        rest.sort_by_key(|&at| std::cmp::Reverse(queues.get(at).map_or(0, |queue| queue.load)));
    }
    if !rest.is_empty() {
        let name = rules.assignment.name();
        say(Level::Info, format!("Performing pmd to rx queue assignment using {name} algorithm."));
    }
    let mut last = None;
    for at in rest {
        let Some(queue) = queues.get(at) else { continue };
        let Waiting { port, queue: number, .. } = queue;
        let Some(numa) = choose_node(nodes, queue.numa, &mut last) else {
            say(
                Level::Warn,
                format!(
                    "No non-isolated pmd on any numa available for port '{port}' rx queue {number}{}. This rx \
                     queue will not be polled.",
                    cost(rules, queue)
                ),
            );
            continue;
        };
        let chosen = nodes.get_mut(&numa).and_then(|node| node.choose(rules.assignment, queue.load > 0));
        let Some(place) = chosen else { continue };
        place.load += queue.load;
        place.queues += 1;
        let core = place.processor.core;
        if let Some(worker) = assigned.workers.get_mut(at) {
            *worker = Some(core);
        }
        if let Some(local) = queue.numa.filter(|local| *local != numa) {
            say(
                Level::Info,
                format!(
                    "There's no available (non-isolated) pmd thread on numa node {local}. Port '{port}' rx queue \
                     {number} will be assigned to a pmd on numa node {numa}. This may lead to reduced performance."
                ),
            );
        }
        say(
            Level::Info,
            format!(
                "Core {core:2} on numa node {numa} assigned port '{port}' rx queue {number}{}.",
                cost(rules, queue)
            ),
        );
    }
}

/// The node whose workers take a queue: its own, or else the next one in turn.
fn choose_node(nodes: &BTreeMap<u32, Node>, own: Option<u32>, last: &mut Option<u32>) -> Option<u32> {
    let has_room = |numa: &u32| nodes.get(numa).is_some_and(Node::has_room);
    if let Some(own) = own.filter(has_room) {
        return Some(own);
    }
    let after = last.and_then(|last| nodes.keys().copied().filter(|numa| *numa > last).find(has_room));
    *last = after.or_else(|| nodes.keys().copied().find(has_room));
    *last
}

impl Node {
    fn has_room(&self) -> bool {
        self.places.iter().any(|place| !place.is_isolated)
    }

    fn choose(&mut self, assignment: Assignment, has_load: bool) -> Option<&mut Member> {
        if assignment == Assignment::Group {
            let free = self.places.iter_mut().filter(|place| !place.is_isolated);
            return free.min_by_key(|place| if has_load { place.load } else { place.queues as u64 });
        }
        // Up and down, the workers at the ends come twice in a row.
        for _ in 0..2 * self.places.len() {
            let turn = self.step(assignment == Assignment::Cycles);
            if self.places.get(turn).is_some_and(|place| !place.is_isolated) {
                return self.places.get_mut(turn);
            }
        }
        None
    }

    /// Whose turn it is; the turn goes on.
    fn step(&mut self, goes_back: bool) -> usize {
        let (turn, last) = (self.turn, self.places.len().saturating_sub(1));
        match (self.is_falling, turn) {
            (false, at) if at == last && goes_back => self.is_falling = true,
            (false, at) if at == last => self.turn = 0,
            (false, _) => self.turn += 1,
            (true, 0) => self.is_falling = false,
            (true, _) => self.turn -= 1,
        }
        turn
    }
}

/// How unevenly the workers are loaded: the variance of the loads in percent of `time`.
pub(crate) fn variance(loads: &[u64], time: u64) -> u64 {
    let percents: Vec<u64> = loads.iter().map(|load| (load * 100).checked_div(time).unwrap_or(0)).collect();
    let count = percents.len().max(1) as u64;
    let mean = percents.iter().sum::<u64>() / count;
    percents.iter().map(|percent| percent.abs_diff(mean).pow(2)).sum::<u64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(nodes: &[u32]) -> Vec<Member> {
        (0..).zip(nodes).map(|(core, &numa)| Processor { core, numa }.into()).collect()
    }

    fn queues(loads: &[u64]) -> Vec<Waiting> {
        let queue = |(queue, &load)| Waiting { port: "p".into(), queue, numa: Some(0), pinned: None, load };
        (0..).zip(loads).map(queue).collect()
    }

    fn of(
        workers: &[Member],
        queues: &[Waiting],
        assignment: Assignment,
        isolates: bool,
    ) -> Vec<Option<Core>> {
        assign(workers, queues, Rules { assignment, isolates }, &mut |_, _| {}).workers
    }

    #[test]
    fn queues_go_round_or_up_and_down_or_to_the_idlest() {
        let workers = workers(&[0, 0]);
        let idle = queues(&[0; 8]);
        let cores = |how| of(&workers, &idle, how, true).into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(cores(Assignment::RoundRobin), [0, 1, 0, 1, 0, 1, 0, 1]);
        assert_eq!(cores(Assignment::Cycles), [0, 1, 1, 0, 0, 1, 1, 0]);
        assert_eq!(cores(Assignment::Group), [0, 1, 0, 1, 0, 1, 0, 1]);
        let busy = queues(&[1, 10, 5, 4]);
        let cores = |how| of(&workers, &busy, how, true).into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(cores(Assignment::Cycles), [0, 0, 1, 1], "the busiest first");
        assert_eq!(cores(Assignment::Group), [1, 0, 1, 1], "10 against 5, 4 and 1");
    }

    #[test]
    fn a_pinned_queue_isolates_its_worker_unless_that_is_turned_off() {
        let workers = workers(&[0, 0, 0]);
        let mut queues = queues(&[0; 4]);
        queues[0].pinned = Some(1);
        let rules = |isolates| Rules { assignment: Assignment::Group, isolates };
        let assigned = assign(&workers, &queues, rules(true), &mut |_, _| {});
        assert_eq!(assigned.workers, [Some(1), Some(0), Some(2), Some(0)]);
        assert_eq!(assigned.isolated, BTreeSet::from([1]));
        let assigned = assign(&workers, &queues, rules(false), &mut |_, _| {});
        assert_eq!(assigned.workers, [Some(1), Some(0), Some(2), Some(0)]);
        assert!(assigned.isolated.is_empty());
    }

    #[test]
    fn what_cannot_be_pinned_or_assigned_is_told() {
        let mut queues = queues(&[0, 0]);
        queues[0].pinned = Some(7);
        queues[1].pinned = Some(0);
        let mut told = Vec::new();
        let rules = Rules { assignment: Assignment::RoundRobin, isolates: true };
        let assigned = assign(&workers(&[0]), &queues, rules, &mut |level, text| told.push((level, text)));
        assert_eq!(assigned.workers, [None, Some(0)]);
        let warned: Vec<&str> =
            told.iter().filter(|(level, _)| *level == Level::Warn).map(|(_, text)| text.as_str()).collect();
        assert_eq!(
            warned,
            [
                "Core  7 cannot be pinned with port 'p' rx queue 0. Use pmd-cpu-mask to enable a pmd on core 7. An \
                 alternative core will be assigned.",
                "No non-isolated pmd on any numa available for port 'p' rx queue 0. This rx queue will not be polled.",
            ]
        );
    }

    #[test]
    fn queues_go_to_workers_of_their_node_while_there_are_some() {
        let mut waiting = queues(&[0; 4]);
        let nodes = workers(&[1, 0, 1]);
        assert_eq!(of(&nodes, &waiting, Assignment::Cycles, true), [Some(1); 4]);
        waiting.iter_mut().for_each(|queue| queue.numa = Some(5));
        assert_eq!(
            of(&nodes, &waiting, Assignment::RoundRobin, true),
            [Some(1), Some(0), Some(1), Some(2)],
            "the nodes take turns"
        );
    }

    #[test]
    fn even_loads_do_not_vary() {
        assert_eq!(variance(&[50, 50], 100), 0);
        assert_eq!(variance(&[100, 0], 100), 2500);
        assert_eq!(variance(&[], 0), 0);
    }
}
