//! Automatic load balancing: whether overloaded workers would have much less to do if the queues were assigned anew. It is
//! tried out first, as every queue that passes to another worker has its flows set up again there.

use std::collections::{BTreeMap, BTreeSet};

use dp::{Assignment, LOAD_INTERVAL, LOAD_INTERVALS};
use log::Level;

use crate::assignment::{self, Assigned, Member, Waiting};
use crate::datapath::DpUser;
use crate::seat::Core;
use crate::staff::{queues_of, say};
use crate::team::Team;

fn debug(text: String) {
    say(Level::Debug, text);
}

impl DpUser {
    /// Whether assigning the queues anew would help overloaded workers much.
    pub(crate) fn would_help(&self, team: &mut Team) -> bool {
        let time = LOAD_INTERVAL * LOAD_INTERVALS as u32;
        let threshold = u32::from(team.settings.balance.load_threshold);
        let mut workers = self.shared.active_workers().filter(|part| !team.isolated.contains(&part.core()));
        let is_overloaded = workers.any(|part| part.history().time(LOAD_INTERVALS) * 100 >= time * threshold);
        is_overloaded && self.is_worth_a_trial(team) && self.try_out(team)
    }

    /// Whether there is anything to share, by the rules and the queues; found out once after each assignment.
    fn is_worth_a_trial(&self, team: &mut Team) -> bool {
        if let Some(is_worth) = team.is_worth_a_trial {
            if !is_worth {
                debug(
                    "PMD auto load balance nothing to do, no configuration changes since last check."
                        .to_owned(),
                );
            }
            return is_worth;
        }
        let why_not = if team.settings.assignment == Assignment::RoundRobin {
            Some("pmd-rxq-assign=roundrobin assignment type configured.")
        } else if !self.has_much_to_share(team) {
            Some("not enough non-isolated PMDs or RxQs.")
        } else {
            None
        };
        if let Some(why_not) = why_not {
            debug(format!("PMD auto load balance nothing to do, {why_not}"));
        }
        team.is_worth_a_trial = Some(why_not.is_none());
        why_not.is_none()
    }

    /// Whether two workers take queues from each other, and one has several.
    fn has_much_to_share(&self, team: &Team) -> bool {
        let mut queues: BTreeMap<Core, usize> = BTreeMap::new();
        for part in self.shared.active_workers().filter(|part| !team.isolated.contains(&part.core())) {
            queues.insert(part.core(), 0);
        }
        for queue in self.shared.ports.load().iter().flat_map(|port| &port.queues) {
            if let Some(count) = queue.seat.wanted().and_then(|core| queues.get_mut(&core)) {
                *count += 1;
            }
        }
        queues.len() > 1 && queues.values().any(|count| *count > 1)
    }

    /// Assigns the queues on paper. Whether that makes loads as much more even as is asked for.
    fn try_out(&self, team: &Team) -> bool {
        debug("PMD auto load balance performing dry run.".to_owned());
        let ports = self.shared.ports.load_full();
        let all = ports.iter().flat_map(|port| port.queues.iter().zip(queues_of(port)));
        let (now, queues): (Vec<Option<Core>>, Vec<Waiting>) =
            all.map(|(queue, waiting)| (queue.seat.wanted(), waiting)).unzip();
        let members: Vec<Member> = self.shared.active_workers().map(|part| part.processor().into()).collect();
        let then = assignment::assign(&members, &queues, team.rules(), &mut |_, text| debug(text));
        let nodes: BTreeSet<u32> = members.iter().map(|member| member.processor.numa).collect();
        if nodes.len() > 1 && crosses_nodes(&members, &queues, &then) {
            debug(
                "PMD auto load balance detected cross-numa polling with multiple numa nodes. Unable to \
                 accurately estimate."
                    .to_owned(),
            );
            return false;
        }
        let threshold = u64::from(team.settings.balance.improvement_threshold);
        let mut is_met = false;
        for numa in nodes {
            let of_node = |isolated: &BTreeSet<Core>| {
                let cores = members.iter().map(|member| member.processor).filter(|one| one.numa == numa);
                cores.map(|one| one.core).filter(|core| !isolated.contains(core)).collect::<Vec<_>>()
            };
            let now = variance(&of_node(&team.isolated), &now, &queues);
            let then = variance(&of_node(&then.isolated), &then.workers, &queues);
            let improvement = (now.saturating_sub(then) * 100).checked_div(now).unwrap_or(0);
            debug(format!(
                "Numa node {numa}. Current variance {now} Estimated variance {then}. Variance improvement \
                 {improvement}%."
            ));
            is_met |= improvement > 0 && improvement >= threshold;
        }
        let met = if is_met { "met" } else { "not met" };
        debug(format!("PMD load variance improvement threshold {threshold}% is {met}."));
        is_met
    }
}

/// Whether a queue that nobody pinned goes to a worker of another memory node than its device's, where its packets cost
/// more than they did.
fn crosses_nodes(members: &[Member], queues: &[Waiting], assigned: &Assigned) -> bool {
    let node = |core: Core| members.iter().map(|member| member.processor).find(|one| one.core == core);
    queues.iter().zip(&assigned.workers).any(|(queue, worker)| {
        let Some(worker) = worker.filter(|core| !assigned.isolated.contains(core)).and_then(node) else {
            return false;
        };
        queue.pinned.is_none() && queue.numa != Some(worker.numa)
    })
}

/// How unevenly these workers are loaded by the queues that they are assigned.
fn variance(workers: &[Core], assigned: &[Option<Core>], queues: &[Waiting]) -> u64 {
    let load = |core: &Core| {
        let own = assigned.iter().zip(queues).filter(|(at, _)| **at == Some(*core));
        own.map(|(_, queue)| queue.load).sum()
    };
    let loads: Vec<u64> = workers.iter().map(load).collect();
    let time = LOAD_INTERVAL * LOAD_INTERVALS as u32;
    assignment::variance(&loads, time.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processors::Processor;

    fn members(nodes: &[u32]) -> Vec<Member> {
        (0..).zip(nodes).map(|(core, &numa)| Processor { core, numa }.into()).collect()
    }

    fn queue(numa: Option<u32>, pinned: Option<Core>) -> Waiting {
        Waiting { numa, pinned, ..Waiting::default() }
    }

    #[test]
    fn queues_cross_nodes_by_themselves_and_where_nobody_pinned_them() {
        let crosses = |queue: Waiting, isolated: &[Core]| {
            let assigned = Assigned { workers: vec![Some(1)], isolated: isolated.iter().copied().collect() };
            crosses_nodes(&members(&[0, 1]), &[queue], &assigned)
        };
        assert!(crosses(queue(Some(0), None), &[]));
        assert!(crosses(queue(None, None), &[]), "it is not known where the device is");
        assert!(!crosses(queue(Some(1), None), &[]));
        assert!(!crosses(queue(Some(0), Some(1)), &[]));
        assert!(!crosses(queue(Some(0), None), &[1]));
    }

    #[test]
    fn loads_are_compared_among_the_workers_of_a_node() {
        let second = LOAD_INTERVAL.as_nanos() as u64 * LOAD_INTERVALS as u64;
        let queues: Vec<Waiting> =
            [second, 0].into_iter().map(|load| Waiting { load, ..Waiting::default() }).collect();
        assert_eq!(variance(&[0, 1], &[Some(0), Some(1)], &queues), 2500);
        assert_eq!(variance(&[1], &[Some(0), Some(1)], &queues), 0);
    }
}
