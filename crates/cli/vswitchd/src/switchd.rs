//! The main loop: the one place where the control thread waits.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use base::coverage::{History, SAMPLE_INTERVAL};
use base::{Clock, Timestamp};
use bridge::{Dummies, Extent, FailMode, Identity, Notice, Report, Running, Told};
use controller::{ControllerSpec, Manager};
use dp::Datapath;
use dp_user::DpUser;
use flowsync::FlowSync;
use ofproto::SharedSwitch;
use replica::{Outcome, Replica, Subscription};
use rpc::unixctl;
use tokio::sync::{Notify, mpsc};

use crate::exports::Exports;
use crate::machine::MachineStatistics;
use crate::options::{Options, PROGRAM};
use crate::sink::{Handed, handover};

/// Why the loop ended.
#[derive(Debug)]
pub enum Exit {
    /// Somebody said `exit`.
    Asked,
    Signal(rpc::daemon::Termination),
}

/// The lock in the database that says who the switch is.
const LOCK: &str = "ovs_vswitchd";

/// How often timers are looked at. Everything that must be quicker has an event of its own.
const TICK: Duration = Duration::from_millis(100);

/// Most messages of controllers that are taken before a command that came after them.
const MAX_CATCH_UP: usize = 100;

/// How often counters are written to the database unless `other_config:stats-update-interval` says more.
const STATISTICS_INTERVAL: Duration = Duration::from_secs(5);

/// The switch daemon.
pub struct Switchd {
    pub(crate) state: State,
    control: unixctl::Server,
    commands: unixctl::Registry<State>,
    handed: mpsc::Receiver<Handed>,
    revalidator: Option<JoinHandle<()>>,
}

/// All state of the control thread: what commands work on.
pub(crate) struct State {
    pub clock: Clock,
    pub switch: Arc<SharedSwitch>,
    pub datapath: Arc<DpUser>,
    /// Others beside it.
    pub made: crate::commands::dpctl::Made,
    pub flows: Arc<FlowSync>,
    pub running: Running,
    pub manager: Manager,
    pub replica: Replica,
    pub coverage: History,
    pub exports: Exports,
    pub exit_asked: bool,
    identity: Identity,
    /// The configuration has to be looked at.
    is_stale: bool,
    owns_lock: bool,
    /// It was said that another process has the lock.
    is_rival_told: bool,
    /// Controllers that were refused, each told once.
    refused: std::collections::HashSet<String>,
    /// Sockets outside the run directory are refused.
    is_confined: bool,
    /// The first configuration is in force, and the database knows.
    is_configured: bool,
    /// Somebody is about to give the bridges their rules back; nothing passes before that.
    awaits_rules: bool,
    known_rows: bridge::KnownRows,
    /// The `next_cfg` that comes into force when the ports that had to go are closed.
    settling: Option<i64>,
    /// The `next_cfg` that is in force.
    applied: i64,
    /// Notified when ports of the datapath came, changed or went.
    ports_changed: Arc<Notify>,
    /// The transaction about status that is under way, and what the database will have been told by it.
    writing: Option<(replica::TransactionId, Told)>,
    /// What is to be written when it is over.
    write_again: Option<Extent>,
    /// What the database has been told once and for all.
    told: Told,
    machine: MachineStatistics,
    timers: Timers,
}

/// When things were done last.
#[derive(Debug, Default)]
struct Timers {
    statistics: Timestamp,
    coverage: Timestamp,
    port_epoch: u64,
}

impl Switchd {
    pub async fn new(options: &Options) -> Result<Switchd, String> {
        let clock = Clock::new();
        let (datapath, ports_changed) = open_datapath(options.dummies, &clock)?;
        let switch = Arc::new(SharedSwitch::default());
        let (sink, handed) = handover();
        let door: Arc<dyn Datapath> = Arc::clone(&datapath) as Arc<dyn Datapath>;
        let flows = FlowSync::new(
            Arc::clone(&switch) as Arc<dyn pipeline::SharedNetwork>,
            Arc::clone(&door),
            Arc::new(sink),
            clock.clone(),
        );
        let running = Running::new(
            Arc::clone(&switch),
            Arc::clone(&door),
            Arc::clone(&flows),
            clock.clone(),
            options.dummies,
        );
        let manager = Manager::new(Arc::clone(&switch), Arc::clone(&flows), door, clock.clone());
        let replica = follow_database(options, &clock);
        let control = unixctl::Server::new(options.unixctl.as_deref(), PROGRAM)
            .await
            .map_err(|e| rpc::unixctl::not_listening(options.unixctl.as_deref(), &e))?;
        let revalidator = {
            let flows = Arc::clone(&flows);
            std::thread::Builder::new()
                .name("revalidator".to_owned())
                .spawn(move || flows.run())
                .map_err(|e| rpc::error_text(&e))?
        };
        let state = State {
            clock,
            switch,
            datapath,
            made: Default::default(),
            flows,
            running,
            manager,
            replica,
            coverage: History::default(),
            exports: Exports::default(),
            exit_asked: false,
            identity: identity(options.dummies != Dummies::None),
            is_stale: true,
            owns_lock: false,
            is_rival_told: false,
            refused: Default::default(),
            is_confined: !options.daemon.is_unconfined,
            is_configured: false,
            awaits_rules: false,
            known_rows: Default::default(),
            settling: None,
            applied: 0,
            ports_changed,
            writing: None,
            write_again: None,
            told: Told::default(),
            machine: MachineStatistics::default(),
            timers: Timers::default(),
        };
        log::info!(target: "vswitchd", "{}", rpc::version_text(PROGRAM));
        let commands = crate::commands::registry();
        Ok(Switchd { state, control, commands, handed, revalidator: Some(revalidator) })
    }

    /// Runs until the configuration is in force for the first time; `Some` when somebody says `exit` before.
    pub async fn configured(&mut self) -> Option<Exit> {
        self.run_until(|state| state.is_configured).await
    }

    /// Runs until somebody says `exit`.
    pub async fn run(&mut self) -> Exit {
        self.run_until(|_| false).await.unwrap_or(Exit::Asked)
    }

    /// Runs until `is_enough` of the state; `Some` when somebody says `exit` before.
    async fn run_until(&mut self, is_enough: impl Fn(&State) -> bool) -> Option<Exit> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !is_enough(&self.state) {
            tokio::select! {
                event = self.state.replica.next() => self.state.database_event(event),
                event = self.state.manager.next_event() => self.state.controller_event(event),
                request = self.control.next() => {
                    self.state.catch_up_with_controllers().await;
                    self.commands.dispatch(&mut self.state, request);
                }
                Some(handed) = self.handed.recv() => self.state.take_handed(handed),
                () = self.state.ports_changed.notified() => self.state.confirm_configuration(),
                _ = tick.tick() => self.state.tick(),
            }
            self.state.settle().await;
            if self.state.exit_asked {
                self.control.flush().await;
                return Some(Exit::Asked);
            }
        }
        None
    }

    /// Stops forwarding, so that devices are left as they were found.
    pub async fn shut_down(&mut self) {
        self.control.flush().await;
        self.state.flows.end();
        if let Some(thread) = self.revalidator.take() {
            // A revalidator that panicked has been reported where it did.
            let _ = thread.join();
        }
    }
}

impl State {
    fn database_event(&mut self, event: replica::Event) {
        match event {
            replica::Event::Updated => {
                let changes = self.replica.take_changes();
                let configures = |((table, _), change): (&(String, _), _)| bridge::configures(table, change);
                self.is_stale |= changes.iter().any(configures);
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

    fn controller_event(&mut self, event: controller::Event) {
        let shows =
            matches!(event, controller::Event::Connected { .. } | controller::Event::Disconnected { .. });
        self.manager.handle(event);
        if shows {
            self.write_status(Extent::CONTROLLERS);
        }
    }

    /// Takes what controllers have sent before now: whoever sends a message and
    /// then a command expects them to be heeded in this order.
    async fn catch_up_with_controllers(&mut self) {
        let mut heard = false;
        for _ in 0..MAX_CATCH_UP {
            // The tasks that read from controllers have their turn.
            tokio::task::yield_now().await;
            tokio::select! {
                biased;
                event = self.manager.next_event() => self.controller_event(event),
                () = std::future::ready(()) => break,
            }
            heard = true;
        }
        if heard {
            self.settle().await;
        }
    }

    fn take_handed(&mut self, handed: Handed) {
        match handed {
            Handed::PacketIn(packet) => self.manager.send_packet_in(&packet),
            Handed::Sample(sample) => self.exports.take(&sample, &self.running),
        }
    }

    /// Timers.
    pub(crate) fn tick(&mut self) {
        let now = self.clock.now();
        self.datapath.poll_dummies();
        self.manager.expire_rules();
        self.manager.expire_bundles();
        self.manager.log_changed_rules();
        self.manager.send_waiting_packet_ins();
        self.manager.run_fail_open();
        for bridge in self.switch.read().bridges() {
            if bridge.macs().expire(now) {
                bridge.changed();
            }
        }
        self.flows.tick();
        self.watch_ports();
        self.exports.run(now, &self.running);
        if now - self.timers.coverage >= SAMPLE_INTERVAL {
            self.timers.coverage = now;
            self.coverage.sample(now);
            self.switch.read().sweep_frozen();
        }
        if now - self.timers.statistics >= self.statistics_interval() {
            self.timers.statistics = now;
            self.write_status(Extent::ROUND);
        }
        if self.machine.collect(now) {
            self.write_status(Extent::default());
        }
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
        let epoch = self.datapath.port_epoch();
        if epoch == self.timers.port_epoch {
            return;
        }
        self.timers.port_epoch = epoch;
        if self.running.refresh_ports() {
            self.running.drop_vanished();
            self.is_stale = true;
        }
        self.write_status(Extent::STATE);
    }

    /// Brings into force what has changed since the last event.
    pub(crate) async fn settle(&mut self) {
        // What one dummy port sent, its peer may have by now.
        self.datapath.poll_dummies();
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
        self.tell().await;
        self.manager.tell_untold();
        self.flows.tick();
    }

    /// Tells the controllers of ports and bridges that came, changed or went.
    async fn tell(&mut self) {
        for notice in self.running.take_notices() {
            match notice {
                Notice::Port { bridge, news } => self.manager.tell_port(bridge, &news, None),
                Notice::BridgeRemoved(bridge) => self.manager.remove_bridge(bridge).await,
            }
        }
    }

    /// Stops or starts serving packets, as `other_config:flow-restore-wait` says.
    fn await_rules(&mut self) {
        let waits = self.other_config("flow-restore-wait") == Some("true");
        if std::mem::replace(&mut self.awaits_rules, waits) != waits {
            log::info!(target: "bridge", "flow-restore-wait {}", if waits { "begins" } else { "ends" });
            self.flows.serve(!waits);
        }
    }

    async fn reconfigure(&mut self) {
        let Some(desired) = bridge::desire(self.replica.tables(), &mut self.known_rows) else {
            // An empty database is a configuration, too.
            self.is_configured = true;
            return;
        };
        // Before there are ports, so that no packet comes before the rules.
        self.await_rules();
        self.manager.set_bundle_idle(desired.bundle_idle);
        self.running.apply(desired);
        self.exports.follow(self.clock.now(), &self.running);
        // Before new bridges get their sockets: an old one may have had the same name.
        self.tell().await;
        let bridges = self.running.bridges().values();
        let bridges: Vec<_> = bridges.map(|one| (one.id, one.datapath_id, Arc::clone(&one.config))).collect();
        for (id, datapath_id, config) in bridges {
            let mut wanted = config.controllers.clone();
            wanted.retain(|controller| self.may_use(&controller.target, &config.name));
            let controllers: Vec<ControllerSpec> = wanted
                .iter()
                .map(|controller| ControllerSpec {
                    target: controller.target.clone(),
                    max_backoff: controller.max_backoff,
                    probe: controller.inactivity_probe,
                    rate_limit: controller
                        .rate_limit
                        .map(|(rate, burst)| controller::RateLimit { rate, burst }),
                })
                .collect();
            let settings = controller::BridgeSettings {
                name: config.name.clone(),
                datapath_id,
                dp_desc: config.dp_desc.clone(),
                versions: config.versions.clone(),
                is_secure: config.fail_mode == FailMode::Secure,
                controllers,
                awaits_rules: self.awaits_rules,
            };
            self.manager.configure(id, settings).await;
        }
        self.settling = Some(self.next_cfg());
        self.machine.set_enabled(self.other_config("enable-statistics") == Some("true"));
        self.confirm_configuration();
    }

    /// What somebody waits for: the number of the configuration that the database has.
    fn next_cfg(&self) -> i64 {
        use schema::open_vswitch::{NAME_OF_TABLE, NEXT_CFG};
        self.replica.tables().rows(NAME_OF_TABLE).next().and_then(|row| row.integer(NEXT_CFG)).unwrap_or(0)
    }

    /// Tells the database that the configuration is in force, once the ports that had to go are closed: whoever waits for
    /// that finds the devices gone, or free for others.
    fn confirm_configuration(&mut self) {
        if let Some(config) = self.settling.take_if(|_| self.datapath.is_settled()) {
            self.applied = config;
            self.write_status(Extent::STATE);
        }
    }

    /// Whether the database may name this controller; tells why not.
    fn may_use(&mut self, target: &str, bridge: &str) -> bool {
        if !self.is_confined {
            return true;
        }
        let Some(why) = crate::confine::refusal(target, bridge, &rpc::dirs::rundir()) else { return true };
        if self.refused.insert(why.clone()) {
            log::error!(target: "bridge", "{why}");
        }
        false
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
            manager: &self.manager,
            identity: &self.identity,
            applied: self.applied,
            extent,
            told: &self.told,
            machine: self.machine.take(),
        });
        self.writing = Some((self.replica.commit(transaction), told));
    }
}

/// The datapath of all bridges, and who is notified when its ports came, changed or went.
fn open_datapath(dummies: Dummies, clock: &Clock) -> Result<(Arc<DpUser>, Arc<Notify>), String> {
    let dummy = dummies != Dummies::None;
    let overridden = matches!(dummies, Dummies::Override | Dummies::System);
    let config = dp_user::Config {
        name: if dummy { "ovs-dummy" } else { "ovs-netdev" }.to_owned(),
        kind: if dummy { "dummy" } else { "netdev" }.to_owned(),
        is_dummy: overridden,
        workers: if overridden { 0 } else { 1 },
        ..dp_user::Config::default()
    };
    let datapath = DpUser::new(config, clock.clone()).map_err(|e| rpc::error_text(&e))?;
    let ports_changed = Arc::new(Notify::new());
    datapath.watch_ports({
        let ports_changed = Arc::clone(&ports_changed);
        Arc::new(move || ports_changed.notify_one())
    });
    Ok((Arc::new(datapath), ports_changed))
}

/// The switch's copy of the database, and its claim to be the one that acts on it.
fn follow_database(options: &Options, clock: &Clock) -> Replica {
    let mut replica =
        Replica::open(&options.remotes, "Open_vSwitch", watched(), true, options.tls.clone(), clock.clone());
    replica.set_lock(Some(LOCK));
    replica
}

fn identity(dummy: bool) -> Identity {
    let mut datapath_types: Vec<String> = bridge::DATAPATH_TYPES.iter().map(|t| (*t).to_owned()).collect();
    let mut interface_types: Vec<String> = bridge::INTERFACE_TYPES.iter().map(|t| (*t).to_owned()).collect();
    if dummy {
        datapath_types.push("dummy".to_owned());
        interface_types.extend(["dummy", "dummy-internal", "dummy-pmd"].map(str::to_owned));
    }
    Identity { datapath_types, interface_types }
}

/// The tables that the switch follows, all columns of each.
fn watched() -> Subscription {
    use schema::{
        bridge, controller, datapath, flow_sample_collector_set, flow_table, interface, mirror, open_vswitch,
        port, sflow,
    };
    let tables = [
        open_vswitch::NAME_OF_TABLE,
        bridge::NAME_OF_TABLE,
        port::NAME_OF_TABLE,
        interface::NAME_OF_TABLE,
        controller::NAME_OF_TABLE,
        sflow::NAME_OF_TABLE,
        flow_table::NAME_OF_TABLE,
        mirror::NAME_OF_TABLE,
        datapath::NAME_OF_TABLE,
        flow_sample_collector_set::NAME_OF_TABLE,
    ];
    let tables = tables.map(|table| (table.to_owned(), None)).into();
    Subscription { tables: Some(tables), ..Subscription::default() }
}
