//! The workers together: which there are, which queues each has, and by what rules.
//!
//! Whoever changes ports or rules holds the team meanwhile. No thread is waited for then but one that was told to end
//! before and is to begin anew.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::{DpPort, Timestamp};
use dp::{
    Assignment, AutoBalance, LOAD_INTERVAL, LOAD_INTERVALS, Performance, QueueInfo, SleepLimits, WorkerId,
    WorkerInfo, WorkerSettings, Workers,
};
use log::Level;

use crate::assignment::{self, Member, Rules, Waiting};
use crate::datapath::DpUser;
use crate::part::Part;
use crate::ports::{Port, Ports};
use crate::processors::{Processor, Processors};
use crate::reinforcing::{self, Advice};
use crate::seat::Core;
use crate::shared::Shared;
use crate::team::Team;
use crate::{tuning, worker};

pub(crate) fn say(level: Level, text: String) {
    log::log!(target: "dpif_netdev", level, "{text}");
}

/// The worker that is made for a processor, as the log names it.
fn thread_of(processor: Processor) -> String {
    format!("PMD thread on numa_id: {}, core id: {:2}", processor.numa, processor.core)
}

fn log_sleep(part: &Part) {
    let limit = part.max_sleep_us().unwrap_or(0);
    log::info!(target: "dpif_netdev", "{}, max sleep: {limit:4} us.", thread_of(part.processor()));
}

/// The threads.
impl DpUser {
    /// Starts the threads again that were ended.
    pub(crate) fn start_threads(&self) -> io::Result<()> {
        let _team = self.shared.team();
        for part in self.shared.workers.load().iter().filter(|part| part.is_active()) {
            self.start(part)?;
        }
        if self.has_devices() { self.start_office() } else { Ok(()) }
    }

    /// Ends all threads, and waits for that.
    pub(crate) fn end_threads(&self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        self.shared.call_workers();
        self.shared.tuning.wake();
        self.shared.workers.load_full().iter().for_each(|part| part.join());
        if let Some(office) = self.office().take() {
            let _ = office.join();
        }
    }

    fn start(&self, part: &Arc<Part>) -> io::Result<()> {
        // Where one was told to end it does so soon.
        part.join();
        part.set_active(true);
        let (shared, own) = (Arc::clone(&self.shared), Arc::clone(part));
        // Short: the kernel shows fifteen characters.
        let thread = std::thread::Builder::new().name(format!("worker{}", part.core()));
        let thread =
            thread.spawn(move || worker::run(&shared, &own)).inspect_err(|_| part.set_active(false))?;
        *part.thread() = Some(thread);
        Ok(())
    }

    fn start_office(&self) -> io::Result<()> {
        let mut office = self.office();
        if office.is_none() {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("tuning".into());
            *office = Some(thread.spawn(move || tuning::run(&shared))?);
        }
        Ok(())
    }

    fn has_queues(&self) -> bool {
        self.shared.ports.load().iter().any(|port| !port.queues.is_empty())
    }

    fn has_devices(&self) -> bool {
        self.shared.ports.load().iter().any(|port| is_real(port))
    }
}

/// Whether the kernel has the device.
fn is_real(port: &Port) -> bool {
    port.device.as_packet().is_some() || port.device.as_tap().is_some()
}

/// Who works on what.
impl DpUser {
    /// Gives the queues of ports that came to workers.
    pub(crate) fn welcome(&self, team: &mut Team, new: &[DpPort]) {
        let Some(processors) = self.shared.config.processors.as_ref().filter(|_| !new.is_empty()) else {
            return;
        };
        if self.has_devices()
            && let Err(error) = self.start_office()
        {
            log::error!(target: "dpif_netdev", "no thread helps busy devices: {}", base::error_text(&error));
        }
        if self.shared.active_workers().next().is_none() {
            self.man(team, processors);
            self.assign(team, None);
        } else {
            self.assign(team, Some(&new.iter().copied().collect()));
        }
    }

    /// Ends the workers when ports went and those that remain have no queues.
    pub(crate) fn dismiss_idle(&self) {
        if !self.has_queues() {
            self.shared.active_workers().for_each(|part| dismiss(&part));
        }
    }

    /// Makes workers for the processors that shall have one, and ends the others. Queues are to be assigned afterwards.
    fn man(&self, team: &Team, processors: &Processors) {
        let wanted = team.wanted(processors);
        let is_wanted = |part: &Arc<Part>| wanted.iter().any(|processor| processor.core == part.core());
        let mut has_changed = false;
        for part in self.shared.active_workers().filter(|part| !is_wanted(part)) {
            dismiss(&part);
            has_changed = true;
        }
        for processor in &wanted {
            let known = self.shared.part(WorkerId::Worker(processor.core));
            if known.as_ref().is_some_and(|part| part.is_active()) {
                continue;
            }
            match known.map_or_else(|| self.add_part(*processor), Ok).and_then(|part| self.hire(team, &part))
            {
                Ok(()) => has_changed = true,
                Err(error) => log::error!(
                    target: "dpif_netdev",
                    "{} could not be created: {}",
                    thread_of(*processor),
                    base::error_text(&error)
                ),
            }
        }
        let wanders = team.mask().is_none() && processors.are_real();
        self.shared.active_workers().for_each(|part| part.set_wanders(wanders));
        if has_changed {
            let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
            wanted.iter().for_each(|processor| *counts.entry(processor.numa).or_default() += 1);
            for (numa, count) in counts {
                log::info!(target: "dpif_netdev", "There are {count} pmd threads on numa node {numa}");
            }
        }
    }

    fn add_part(&self, processor: Processor) -> io::Result<Arc<Part>> {
        let part = Arc::new(Part::worker(processor, &self.shared.shortcuts, &self.shared.clock)?);
        part.set_active(false);
        self.shared.workers.rcu(|workers| {
            let mut workers = Vec::clone(workers);
            workers.push(Arc::clone(&part));
            workers.sort_unstable_by_key(|part| part.core());
            workers
        });
        Ok(part)
    }

    fn hire(&self, team: &Team, part: &Arc<Part>) -> io::Result<()> {
        part.set_max_sleep_us(team.settings.sleep.of_core(part.core()));
        log_sleep(part);
        self.start(part)?;
        log::info!(target: "dpif_netdev", "{} created.", thread_of(part.processor()));
        Ok(())
    }

    /// Assigns the queues of all ports, or of those that came.
    fn assign(&self, team: &mut Team, new: Option<&HashSet<DpPort>>) {
        let ports = self.shared.ports.load_full();
        let mut members: BTreeMap<Core, Member> = BTreeMap::new();
        for part in self.shared.active_workers() {
            let mut member = Member::from(part.processor());
            member.is_isolated = new.is_some() && team.isolated.contains(&part.core());
            members.insert(part.core(), member);
        }
        let (mut waiting, mut places) = (Vec::new(), Vec::new());
        for port in ports.iter() {
            let stays = new.is_some_and(|new| !new.contains(&port.number));
            if stays && members.len() > 1 {
                count(&mut members, port);
            }
            if !stays {
                waiting.extend(queues_of(port));
                places.extend(&port.queues);
            }
        }
        // Ports that come one by one go where there are the fewest, whoever had the last one.
        let assignment = if new.is_some() { Assignment::Group } else { team.settings.assignment };
        let rules = Rules { assignment, ..team.rules() };
        let members: Vec<Member> = members.into_values().collect();
        let assigned = assignment::assign(&members, &waiting, rules, &mut say);
        for (queue, worker) in places.into_iter().zip(assigned.workers) {
            queue.seat.want(worker);
        }
        team.isolated = assigned.isolated;
        team.is_worth_a_trial = None;
        self.shared.call_workers();
    }

    /// Makes what is wanted of workers true, and assigns all queues anew.
    fn rearrange(&self, team: &mut Team) {
        let Some(processors) = &self.shared.config.processors else { return };
        if self.has_queues() {
            self.man(team, processors);
            self.assign(team, None);
        }
    }
}

/// One worker more for a while.
impl DpUser {
    /// Adds a worker, or ends one that was added.
    fn reinforce(&self, team: &mut Team, now: Timestamp) {
        let processors = self.shared.config.processors.as_ref().filter(|all| all.are_real());
        let Some(processors) = processors.filter(|_| team.mask().is_none()) else { return };
        if !team.reinforcing.is_due(now) {
            return;
        }
        let ports = self.shared.ports.load_full();
        let workers = self.shared.active_workers().count();
        match team.reinforcing.look(reinforcing::seen(&ports), workers, team.extra, now) {
            Advice::Nothing => {}
            Advice::Reinforce(_) if workers >= processors.count() => {}
            Advice::Reinforce(flooded) => self.add_worker(team, processors, &ports, &flooded),
            Advice::Release => self.end_worker(team, processors, &ports),
        }
    }

    fn add_worker(&self, team: &mut Team, processors: &Processors, ports: &Ports, flooded: &[DpPort]) {
        let before: Vec<Arc<Part>> = self.shared.active_workers().collect();
        team.extra += 1;
        log::info!(target: "dpif_netdev", "several ports have more packets than one thread can take");
        self.man(team, processors);
        let is_new = |part: &Arc<Part>| !before.iter().any(|other| other.core() == part.core());
        let Some(new) = self.shared.active_workers().find(is_new) else {
            // It could not be made, as the log says.
            team.extra -= 1;
            return;
        };
        // A worker that wandered may be where this one was made for.
        let is_free = |core: &Core| !before.iter().any(|part| part.place() == *core);
        if let Some(free) = processors.cores().find(is_free) {
            new.go_to(free);
        }
        for queue in flooded.iter().filter_map(|port| ports.get(*port)?.queues.first()) {
            queue.seat.want(Some(new.core()));
        }
        self.shared.call_workers();
    }

    fn end_worker(&self, team: &mut Team, processors: &Processors, ports: &Ports) {
        team.extra = team.extra.saturating_sub(1);
        self.man(team, processors);
        let is_left = |core: Core| self.shared.active_workers().any(|part| part.core() == core);
        let left = ports.iter().filter(|port| {
            port.queues.iter().any(|queue| queue.seat.wanted().is_some_and(|core| !is_left(core)))
        });
        let left = left.map(|port| port.number).collect();
        self.assign(team, Some(&left));
    }
}

fn dismiss(part: &Part) {
    part.set_active(false);
    part.call();
    log::info!(target: "dpif_netdev", "{} destroyed.", thread_of(part.processor()));
}

/// Adds the queues of a port to what workers have.
fn count(members: &mut BTreeMap<Core, Member>, port: &Port) {
    for queue in &port.queues {
        if let Some(member) = queue.seat.wanted().and_then(|core| members.get_mut(&core)) {
            member.queues += 1;
            member.load += queue.history().sum(LOAD_INTERVALS);
        }
    }
}

pub(crate) fn queues_of(port: &Port) -> impl Iterator<Item = Waiting> {
    (0..).zip(&port.queues).map(|(number, queue)| Waiting {
        port: port.device.name().to_owned(),
        queue: number,
        numa: port.numa,
        pinned: queue.pinned(),
        load: queue.history().sum(LOAD_INTERVALS),
    })
}

impl Shared {
    /// The parts of workers that have not ended.
    pub(crate) fn active_workers(&self) -> impl Iterator<Item = Arc<Part>> {
        let workers = Vec::clone(&self.workers.load());
        workers.into_iter().filter(|part| part.is_active())
    }

    /// An interval has ended.
    fn sample(&self) {
        for part in self.workers.load().iter() {
            part.history().sample(part.counters.busy_ns.get());
        }
        for queue in self.ports.load().iter().flat_map(|port| &port.queues) {
            queue.history().sample(queue.busy.get());
        }
    }
}

/// Says what has changed.
fn log_settings(old: &WorkerSettings, new: &WorkerSettings) {
    if old.assignment != new.assignment {
        let name = new.assignment.name();
        log::info!(target: "dpif_netdev", "Rxq to PMD assignment mode changed to: '{name}'.");
    }
    if old.isolates != new.isolates {
        let does = if new.isolates { "isolates" } else { "does not isolate" };
        log::info!(target: "dpif_netdev", "pmd-rxq-affinity {does} PMD core");
    }
}

/// The same of balancing. `old` is none before anybody has said anything.
fn log_balance(old: Option<&AutoBalance>, new: &AutoBalance) {
    let minutes = new.interval.as_secs() / 60;
    let (improvement, load) = (new.improvement_threshold, new.load_threshold);
    if old.is_none_or(|old| old.interval != new.interval) {
        log::info!(target: "dpif_netdev", "PMD auto load balance interval set to {minutes} mins\n");
    }
    if old.is_none_or(|old| old.improvement_threshold != improvement) {
        log::info!(target: "dpif_netdev", "PMD auto load balance improvement threshold set to {improvement}%");
    }
    if old.is_none_or(|old| old.load_threshold != load) {
        log::info!(target: "dpif_netdev", "PMD auto load balance load threshold set to {load}%");
    }
    if old == Some(new) {
        return;
    }
    if new.is_on {
        log::info!(
            target: "dpif_netdev",
            "PMD auto load balance is enabled, interval {minutes} mins, pmd load threshold {load}%, improvement \
             threshold {improvement}%."
        );
    } else {
        log::info!(target: "dpif_netdev", "PMD auto load balance is disabled.");
    }
}

impl DpUser {
    fn set_sleep(&self, sleep: &SleepLimits, is_new: bool) {
        let mut has_changed = is_new;
        for part in self.shared.active_workers() {
            let limit = sleep.of_core(part.core());
            has_changed |= part.max_sleep_us().unwrap_or(0) != limit.unwrap_or(0);
            part.set_max_sleep_us(limit);
            // One that sleeps may have to poll from now on.
            part.waker.wake();
        }
        if has_changed {
            let default = sleep.default_us.unwrap_or(0);
            log::info!(target: "dpif_netdev", "Default PMD thread max sleep: {default:4} us.");
            self.shared.active_workers().for_each(|part| log_sleep(&part));
        }
    }
}

impl Workers for DpUser {
    fn set_up(&self, settings: &WorkerSettings) {
        let mut team = self.shared.team();
        let old = std::mem::replace(&mut team.settings, settings.clone());
        let is_first = !std::mem::replace(&mut team.is_set_up, true);
        if old == *settings && !is_first {
            return;
        }
        base::held::about_to_wait("workers");
        log_settings(&old, settings);
        if old.cpu_mask != settings.cpu_mask {
            team.extra = 0;
        }
        if old.cpu_mask != settings.cpu_mask
            || old.assignment != settings.assignment
            || old.isolates != settings.isolates
        {
            self.rearrange(&mut team);
        }
        log_balance((!is_first).then_some(&old.balance), &settings.balance);
        if !old.balance.is_on {
            team.balanced = self.shared.clock.now();
        }
        let defaults = |sleep: &SleepLimits| sleep.default_us.unwrap_or(0);
        let has_new_default = defaults(&old.sleep) != defaults(&settings.sleep);
        self.set_sleep(&settings.sleep, is_first || has_new_default);
    }

    fn pin(&self, port: DpPort, queues: &[(u32, u32)]) {
        let mut team = self.shared.team();
        let Some(port) = self.shared.ports.load().get(port).cloned() else { return };
        let mut has_changed = false;
        for (number, queue) in (0..).zip(&port.queues) {
            // The last one counts.
            let core = queues.iter().rev().find(|(queue, _)| *queue == number).map(|(_, core)| *core);
            has_changed |= queue.pin(core);
        }
        if has_changed {
            self.assign(&mut team, None);
        }
    }

    fn rebalance(&self) {
        self.rearrange(&mut self.shared.team());
    }

    fn tick(&self) {
        let now = self.shared.clock.now();
        let mut team = self.shared.team();
        if now.since(team.sampled) >= LOAD_INTERVAL {
            self.shared.sample();
            (team.sampled, team.has_samples) = (now, true);
        }
        self.reinforce(&mut team, now);
        let balance = team.settings.balance;
        if balance.is_on && now.since(team.balanced) >= balance.interval {
            team.balanced = now;
            if self.would_help(&mut team) {
                log::info!(
                    target: "dpif_netdev",
                    "PMD auto load balance dry run. Requesting datapath reconfigure."
                );
                self.assign(&mut team, None);
            }
        }
    }

    fn workers(&self, intervals: usize) -> Vec<WorkerInfo> {
        let team = self.shared.team();
        let of_part = |part: Arc<Part>| WorkerInfo {
            core: part.core(),
            numa: part.numa,
            is_isolated: team.isolated.contains(&part.core()),
            max_sleep_us: part.max_sleep_us().unwrap_or(0),
            queues: Vec::new(),
            time: team.has_samples.then(|| LOAD_INTERVAL * intervals as u32),
            busy: part.history().time(intervals),
        };
        let mut workers: BTreeMap<Core, WorkerInfo> =
            self.shared.active_workers().map(|part| (part.core(), of_part(part))).collect();
        for port in self.shared.ports.load().iter() {
            for (number, queue) in (0..).zip(&port.queues) {
                let Some(worker) = queue.seat.wanted().and_then(|core| workers.get_mut(&core)) else {
                    continue;
                };
                worker.queues.push(QueueInfo {
                    port: port.device.name().to_owned(),
                    queue: number,
                    busy: queue.history().time(intervals),
                });
            }
        }
        let mut workers: Vec<WorkerInfo> = workers.into_values().collect();
        for worker in &mut workers {
            worker.queues.sort_by(|a, b| (&a.port, a.queue).cmp(&(&b.port, b.queue)));
        }
        workers
    }

    fn performance(&self, core: Option<u32>) -> Option<Performance> {
        let part = self.shared.part(core.map_or(WorkerId::Main, WorkerId::Worker))?;
        Some(part.performance(self.shared.clock.now()))
    }

    fn clear_performance(&self, core: Option<u32>) {
        if let Some(part) = self.shared.part(core.map_or(WorkerId::Main, WorkerId::Worker)) {
            part.forget(self.shared.clock.now());
        }
    }

    fn default_max_sleep_us(&self) -> u64 {
        self.shared.team().settings.sleep.default_us.unwrap_or(0)
    }
}
