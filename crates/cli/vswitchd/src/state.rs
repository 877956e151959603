//! What the control thread has, and what it does when something happens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::coverage::{History, SAMPLE_INTERVAL};
use base::{Clock, Timestamp};
use bridge::{Extent, Report, Running, Told};
use flowsync::{Datapaths, PacketIn, Sample};
use ofproto::SharedSwitch;
use replica::{Outcome, Replica};
use tokio::sync::Notify;

use crate::succession::Keeper;

/// Most messages of controllers that are taken before a command that came after them.
const MAX_CATCH_UP: usize = 100;

/// How often counters are written to the database unless `other_config:stats-update-interval` says more.
const STATISTICS_INTERVAL: Duration = Duration::from_secs(5);

/// So many ports added between two rounds of statistics leave memory that is worth giving back.
const MANY_PORTS: u64 = 50;
/// The configuration is looked through for mistakes for so small a part of the time at most.
const LINT_REST: u32 = 20;
/// Changes of ports are followed at once, but for a twentieth of the time at most; what comes sooner waits for the tick.
const PORTS_REST: u32 = 20;

/// How many ports forward already while the others of a switch that begins are opened, step by step.
const BEGINNINGS: [usize; 3] = [32, 128, 512];

/// All state of the control thread: what commands work on.
pub(crate) struct State {
    pub clock: Clock,
    pub switch: Arc<SharedSwitch>,
    pub datapaths: Arc<Datapaths>,
    pub running: Running,
    pub replica: Replica,
    pub coverage: History,
    pub exit_asked: bool,
    /// Another process will go on with the devices of this one.
    pub is_followed: bool,
    /// The process before, which forwards until this one is ready.
    pub(crate) keeper: Option<Keeper>,
    /// The configuration has to be looked at.
    is_stale: bool,
    owns_lock: bool,
    /// It was said that another process has the lock.
    is_rival_told: bool,
    /// The first configuration is in force, and the database knows.
    pub(crate) is_configured: bool,
    known_rows: bridge::KnownRows,
    linter: bridge::Linter,
    /// The configuration has changed since it was looked through for mistakes.
    is_unlinted: bool,
    /// The `next_cfg` that comes into force when the ports that had to go are closed.
    settling: Option<i64>,
    /// The `next_cfg` that is in force.
    applied: i64,
    /// Notified when ports of the datapath came, changed or went.
    pub(crate) ports_changed: Arc<Notify>,
    /// The transaction about status that is under way, and what the database will have been told by it.
    writing: Option<(replica::TransactionId, Told)>,
    /// What is to be written when it is over.
    write_again: Option<Extent>,
    /// What the database has been told once and for all.
    told: Told,
    timers: Timers,
}

/// When things were done last.
#[derive(Debug, Default)]
struct Timers {
    statistics: Timestamp,
    coverage: Timestamp,
    port_epoch: u64,
    /// Until when the configuration is not looked through again.
    lint_rest: Option<Instant>,
    /// Until when changes of ports wait for the next tick.
    ports_rest: Option<Instant>,
    /// How many ports had ever been added.
    ports_added: u64,
}

impl State {
    /// Nothing is configured yet.
    pub(crate) fn new(
        clock: Clock,
        switch: Arc<SharedSwitch>,
        datapaths: Arc<Datapaths>,
        running: Running,
        replica: Replica,
        ports_changed: Arc<Notify>,
    ) -> State {
        State {
            clock,
            switch,
            datapaths,
            running,
            replica,
            coverage: History::default(),
            exit_asked: false,
            is_followed: false,
            keeper: None,
            is_stale: true,
            owns_lock: false,
            is_rival_told: false,
            is_configured: false,
            known_rows: Default::default(),
            linter: Default::default(),
            is_unlinted: true,
            settling: None,
            applied: 0,
            ports_changed,
            writing: None,
            write_again: None,
            told: Told::default(),
            timers: Timers::default(),
        }
    }

    pub(crate) fn database_event(&mut self, event: replica::Event) {
        match event {
            replica::Event::Updated => {
                let changes = self.replica.take_changes();
                let configures = |((table, _), change): (&(String, _), _)| bridge::configures(table, change);
                let is_changed = changes.iter().any(configures);
                self.is_stale |= is_changed;
                self.is_unlinted |= is_changed;
            }
            replica::Event::Lock(owned) => {
                self.owns_lock = owned;
                self.is_rival_told &= !owned;
                self.is_stale = true;
            }
            replica::Event::NoDatabase(reason) => {
                log::error!(target: "ovsdb_cs", "the server does not have the database: {reason}");
            }
            replica::Event::Committed(id, outcome)
                if self.writing.as_ref().is_some_and(|(writing, _)| *writing == id) =>
            {
                let telling = self.writing.take().map(|(_, told)| told);
                self.is_configured = true;
                match outcome {
                    Outcome::Success { .. } | Outcome::Unchanged => self.told = telling.unwrap_or_default(),
                    Outcome::TryAgain | Outcome::NotLocked => self.is_stale = true,
                    Outcome::Error(reason) => {
                        log::warn!(target: "bridge", "status could not be written: {reason}");
                    }
                }
                if let Some(extent) = self.write_again.take() {
                    self.write_status(extent);
                }
            }
            replica::Event::Committed(..)
            | replica::Event::Connected
            | replica::Event::Disconnected
            | replica::Event::Ended(_) => {}
        }
    }

    pub(crate) fn controller_event(&mut self, event: controller::Event) {
        let shows =
            matches!(event, controller::Event::Connected { .. } | controller::Event::Disconnected { .. });
        self.running.take_controller_event(event);
        if shows {
            self.write_status(Extent::CONTROLLERS);
        }
    }

    /// Takes what controllers have sent before now: whoever sends a message and
    /// then a command expects them to be carried out in this order.
    pub(crate) async fn catch_up_with_controllers(&mut self) {
        let mut heard = false;
        for _ in 0..MAX_CATCH_UP {
            // The tasks that read from controllers have their turn.
            tokio::task::yield_now().await;
            tokio::select! {
                biased;
                event = self.running.manager.next_event() => self.controller_event(event),
                () = std::future::ready(()) => break,
            }
            heard = true;
        }
        if heard {
            self.settle().await;
        }
    }

    /// Takes in what the kernel has said of routes before now: whoever changes one and then gives a command expects the command
    /// to know of it.
    pub(crate) fn catch_up_with_routes(&mut self) {
        let news = self.running.follow_routes();
        if news != Extent::default() {
            self.write_status(news);
        }
    }

    pub(crate) fn take_packet_in(&mut self, packet: &PacketIn) {
        self.running.manager.send_packet_in(packet);
    }

    /// Takes sampled packets.
    pub(crate) fn take_samples(&mut self, samples: impl Iterator<Item = Box<Sample>>) {
        samples.for_each(|sample| self.running.take_sample(&sample));
    }

    pub(crate) fn ask_neighbour(&mut self, asking: &pipeline::tunnel::Asking) {
        self.running.ask_neighbour(asking);
    }

    /// Timers.
    pub(crate) fn tick(&mut self) {
        let now = self.clock.now();
        self.datapaths.poll_dummies();
        let manager = &mut self.running.manager;
        manager.expire_rules();
        manager.expire_bundles();
        manager.log_changed_rules();
        manager.give_back_memory();
        manager.send_waiting_packet_ins();
        manager.run_fail_open();
        for bridge in self.switch.read().bridges() {
            let is_forgotten = bridge.snooped().is_some_and(|mut table| table.expire(now));
            if bridge.macs().expire(now) | is_forgotten {
                bridge.changed();
            }
        }
        self.datapaths.tick();
        self.watch_ports();
        self.lint();
        let news = self.running.tick(now);
        if news != Extent::default() {
            self.write_status(news);
        }
        if now - self.timers.coverage >= SAMPLE_INTERVAL {
            self.timers.coverage = now;
            self.coverage.sample(now);
            self.switch.read().sweep_frozen();
        }
        if now - self.timers.statistics >= self.statistics_interval() {
            self.timers.statistics = now;
            self.give_back_memory();
            self.write_status(Extent::ROUND);
        }
    }

    /// Says in the log what is wrong with the configuration, if that has changed and is in force.
    fn lint(&mut self) {
        let begun = Instant::now();
        let rests = self.timers.lint_rest.is_some_and(|rest| begun < rest);
        if self.is_configured && !rests && std::mem::take(&mut self.is_unlinted) {
            self.linter.log(self.replica.tables());
            self.timers.lint_rest = Some(begun + begun.elapsed() * LINT_REST);
        }
    }

    /// What opening many ports took and left is given back to the system.
    fn give_back_memory(&mut self) {
        let added = self.running.added();
        if added >= self.timers.ports_added + MANY_PORTS {
            rpc::memory::give_back();
        }
        self.timers.ports_added = added;
    }

    /// `other_config:stats-update-interval`, in milliseconds.
    fn statistics_interval(&self) -> Duration {
        let key = "stats-update-interval";
        let millis = self.other_config(key).and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        STATISTICS_INTERVAL.max(Duration::from_millis(millis))
    }

    /// A value of `Open_vSwitch.other_config`.
    fn other_config(&self, key: &str) -> Option<&str> {
        use schema::open_vswitch::{NAME_OF_TABLE, OTHER_CONFIG};
        self.replica.tables().rows(NAME_OF_TABLE).next()?.map_text(OTHER_CONFIG, key)
    }

    /// Devices that changed, went, or came. The kernel tells of each.
    fn watch_ports(&mut self) {
        let epoch = self.datapaths.port_epoch();
        if epoch == self.timers.port_epoch {
            return;
        }
        let begun = Instant::now();
        self.timers.port_epoch = epoch;
        if self.running.follow() {
            self.running.drop_vanished();
            self.is_stale = true;
        }
        self.write_status(Extent::STATE);
        self.timers.ports_rest = Some(begun + begun.elapsed() * PORTS_REST);
    }

    /// Brings into force what has changed since the last event.
    pub(crate) async fn settle(&mut self) {
        // What one dummy port sent, its peer may have by now.
        self.datapaths.poll_dummies();
        if self.owns_lock && self.replica.is_live() {
            let is_awaited = self.is_configured && self.settling.is_none() && self.next_cfg() != self.applied;
            // Whoever waits may have made the device that was missing.
            if std::mem::take(&mut self.is_stale) || is_awaited && self.running.lacks_devices() {
                self.reconfigure().await;
            } else if is_awaited {
                // Nothing has to be done for what somebody waits for.
                self.settling = Some(self.next_cfg());
                self.confirm_configuration();
            }
        }
        if self.replica.is_lock_contended() && !self.is_rival_told {
            self.is_rival_told = true;
            let pid = std::process::id();
            log::error!(
                target: "bridge",
                "another ovs-vswitchd process is running, disabling this process (pid {pid}) until it goes away"
            );
        }
        self.running.tell().await;
        self.running.manager.tell_untold();
        self.datapaths.tick();
        let awaits_rules = self.other_config("flow-restore-wait").is_some_and(|text| text == "true");
        if self.is_configured
            && !awaits_rules
            && let Some(keeper) = self.keeper.take()
        {
            keeper.take_over(&self.datapaths);
        }
    }

    async fn reconfigure(&mut self) {
        let Some(desired) = bridge::desire(self.replica.tables(), &mut self.known_rows) else {
            // An empty database is a configuration, too.
            self.is_configured = true;
            return;
        };
        if !self.is_configured && self.keeper.is_none() {
            for beginning in BEGINNINGS.iter().filter_map(|ports| desired.beginning(*ports)) {
                self.running.apply(beginning);
                // With their rules, if they have no controllers to get them from.
                self.running.tell().await;
            }
        }
        self.running.apply(desired);
        self.running.tell().await;
        self.settling = Some(self.next_cfg());
        self.confirm_configuration();
    }

    /// What somebody waits for: the number of the configuration that the database has.
    fn next_cfg(&self) -> i64 {
        use schema::open_vswitch::{NAME_OF_TABLE, NEXT_CFG};
        self.replica.tables().rows(NAME_OF_TABLE).next().and_then(|row| row.integer(NEXT_CFG)).unwrap_or(0)
    }

    /// Tells the database that the configuration is in force, once the ports that had to go are closed: whoever waits for
    /// that finds the devices gone, or free for others.
    pub(crate) fn confirm_configuration(&mut self) {
        if let Some(config) = self.settling.take_if(|_| self.datapaths.is_settled()) {
            self.applied = config;
            self.write_status(Extent::STATE);
        }
    }

    /// Ports changed or are closed, or what protocols say of them has changed.
    pub(crate) fn ports_have_changed(&mut self) {
        self.confirm_configuration();
        if self.timers.ports_rest.is_none_or(|rest| rest <= Instant::now()) {
            self.watch_ports();
        }
        let news = self.running.follow_protocols();
        if news != Extent::default() {
            self.write_status(news);
        }
    }

    /// Writes the status columns that differ; later, while an earlier write is under way.
    fn write_status(&mut self, extent: Extent) {
        if !self.owns_lock || !self.replica.is_live() {
            return;
        }
        if self.writing.is_some() {
            self.write_again = Some(self.write_again.unwrap_or_default() | extent);
            return;
        }
        let (transaction, told) = bridge::status(&Report {
            rows: self.replica.tables(),
            running: &self.running,
            applied: self.applied,
            extent,
            told: &self.told,
        });
        self.writing = Some((self.replica.commit(transaction), told));
    }
}
