//! The main loop: the one place where the control thread waits.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Clock;
use bridge::{Dummies, Running};
use flowsync::Datapaths;
use ofproto::SharedSwitch;
use protocols::Monitor;
use replica::{Replica, Subscription};
use rpc::unixctl;
use tokio::sync::Notify;

use crate::options::{Options, PROGRAM};
use crate::share::Share;
use crate::sink::{Handed, handover};
use crate::state::State;
use crate::succession::{self, Keeper};

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

/// The switch daemon.
pub struct Switchd {
    pub(crate) state: State,
    control: unixctl::Server,
    commands: unixctl::Registry<State>,
    handed: Handed,
    exports: Share,
    /// Where the next process looks for this one's keeper.
    keeper_path: Option<PathBuf>,
}

impl Switchd {
    pub async fn new(options: &Options) -> Result<Switchd, String> {
        let clock = Clock::new();
        let keeper_path = options.daemon.pidfile.as_deref().map(succession::socket_path);
        let keeper = keeper_path.as_deref().and_then(Keeper::find);
        succession::send_others_away();
        let switch = Arc::new(SharedSwitch::default());
        let monitor = Monitor::new(clock.clone());
        let (sink, handed) = handover(&monitor);
        let ports_changed = Arc::new(Notify::new());
        let datapaths = Arc::new(Datapaths::new(
            crate::datapaths::kinds(options, &clock, keeper.as_ref().map(|keeper| &keeper.predecessor)),
            Arc::clone(&switch) as Arc<dyn pipeline::SharedNetwork>,
            Arc::new(sink),
            watcher(&ports_changed),
            clock.clone(),
        ));
        let mut running = Running::new(
            Arc::clone(&switch),
            Arc::clone(&datapaths),
            monitor,
            clock.clone(),
            options.dummies,
            !options.daemon.is_unconfined,
            options.ignores_routes,
        );
        running.tls = options.tls.clone();
        running.start_protocols(watcher(&ports_changed)).map_err(|e| rpc::error_text(&e))?;
        let replica = follow_database(options, &clock);
        let mut state = State::new(clock, switch, datapaths, running, replica, ports_changed);
        state.keeper = keeper;
        log::info!(target: "vswitchd", "{}", rpc::version_text(PROGRAM));
        introduce(&mut state).await;
        let control = unixctl::Server::new(options.unixctl.as_deref(), PROGRAM)
            .await
            .map_err(|e| rpc::unixctl::not_listening(options.unixctl.as_deref(), &e))?;
        let commands = crate::commands::registry(&state, options.dummies != Dummies::None);
        Ok(Switchd { state, control, commands, handed, exports: exports_share(), keeper_path })
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
        let mut samples = Vec::new();
        let mut rest = None;
        while !is_enough(&self.state) {
            tokio::select! {
                event = self.state.replica.next() => self.state.database_event(event),
                event = self.state.running.manager.next_event() => self.state.controller_event(event),
                request = self.control.next() => {
                    self.state.catch_up_with_controllers().await;
                    self.state.catch_up_with_routes();
                    self.commands.dispatch(&mut self.state, request);
                }
                Some(packet) = self.handed.packets.recv() => self.state.take_packet_in(&packet),
                Some(asking) = self.handed.questions.recv() => self.state.ask_neighbour(&asking),
                _ = self.handed.samples.recv_many(&mut samples, SAMPLES), if rest.is_none() => {
                    let begun = Instant::now();
                    self.state.take_samples(samples.drain(..));
                    rest = self.exports.spend(begun, Instant::now());
                    // Nothing has to be settled because of them.
                    continue;
                }
                () = until(rest), if rest.is_some() => {
                    rest = None;
                    continue;
                }
                () = self.state.ports_changed.notified() => self.state.ports_have_changed(),
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

    /// Ends the switch. Where another process may go on with its devices, it forwards until that one is ready; else devices
    /// are left as they were found.
    pub async fn shut_down(&mut self, exit: &Exit) {
        self.control.flush().await;
        self.state.running.monitor.end();
        let is_followed = match exit {
            Exit::Asked => self.state.is_followed,
            Exit::Signal(signal) => signal.is_term(),
        };
        let is_ready = self.state.is_configured && self.state.keeper.is_none();
        if let Some(path) = self.keeper_path.as_deref().filter(|_| is_followed && is_ready)
            && succession::leave_keeper(&self.state.datapaths, path, self.state.is_followed)
        {
            return;
        }
        self.state.datapaths.end();
    }
}

/// How long the database may take for its next word before the control socket is there.
const FIRST_WORDS: Duration = Duration::from_millis(100);

/// Configures the switch, and writes into the database what it is, as far as that answers without delay: whoever waits for the
/// control socket takes the switch for running, and may ask for the types of ports that it knows.
async fn introduce(state: &mut State) {
    while !state.is_configured
        && let Ok(event) = tokio::time::timeout(FIRST_WORDS, state.replica.next()).await
    {
        state.database_event(event);
        state.settle().await;
    }
}

/// Samples that are taken one after the other.
const SAMPLES: usize = 128;

/// Exports may take a twelfth of the time, so that a switch that samples all packets still forwards and obeys; what comes
/// beyond that waits, and is lost and counted when it finds no room.
fn exports_share() -> Share {
    Share::new(12, Duration::from_millis(1), Instant::now())
}

/// Waits until then.
async fn until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
}

/// What datapaths call when their ports came, changed or went.
fn watcher(ports_changed: &Arc<Notify>) -> dp::PortWatcher {
    let ports_changed = Arc::clone(ports_changed);
    Arc::new(move || ports_changed.notify_one())
}

/// The switch's copy of the database, and its claim to be the one that acts on it.
fn follow_database(options: &Options, clock: &Clock) -> Replica {
    let mut replica =
        Replica::open(&options.remotes, "Open_vSwitch", watched(), true, options.tls.clone(), clock.clone());
    match model::Schema::from_json(&schema::OPEN_VSWITCH.to_json()) {
        Ok(schema) => replica.written_for(schema),
        Err(e) => base::broken!("the schema that is declared cannot be read: {e}"),
    }
    replica.set_lock(Some(LOCK));
    replica
}

/// The tables that the switch follows, all columns of each.
fn watched() -> Subscription {
    let tables = bridge::followed_tables().map(|table| (table.to_owned(), None)).collect();
    Subscription { tables: Some(tables), ..Subscription::default() }
}
