//! The loop: events of the database, commands, and answers that wait until
//! the switch has done what was asked.

use std::time::Duration;

use base::{Clock, Timestamp};
use replica::{Event, Outcome, Replica, Subscription, TransactionId};
use rpc::unixctl::{self, Registry};
use schema::{bridge, interface, open_vswitch, port};

use super::change::Request;
use super::options::{Options, PROGRAM};
use super::view;
use crate::protocol::{self, Errno};

/// How long an answer waits for the switch; the database has it in any case.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often waiting answers are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Why the daemon ends.
#[derive(Debug)]
pub(crate) enum Exit {
    /// Somebody said `exit`.
    Asked,
    Signal(rpc::daemon::Termination),
}

pub(crate) struct Service {
    state: State,
    control: unixctl::Server,
    commands: Registry<State>,
}

/// What commands work on.
struct State {
    replica: Replica,
    clock: Clock,
    waiting: Vec<Waiting>,
    exit_asked: bool,
}

/// A request that is not answered yet.
struct Waiting {
    request: Request,
    responder: unixctl::Responder,
    since: Timestamp,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    /// The copy of the database is not whole, or has changed meanwhile.
    ToSend,
    Sent(TransactionId),
    /// The switch is to come to this configuration.
    Committed(i64),
}

impl Service {
    pub(crate) async fn new(options: &Options) -> Result<Service, String> {
        let clock = Clock::new();
        let replica = Replica::open(
            &options.remotes,
            "Open_vSwitch",
            watched(),
            true,
            options.tls.clone(),
            clock.clone(),
        );
        let control = unixctl::Server::new(options.unixctl.as_deref(), PROGRAM)
            .await
            .map_err(|e| rpc::unixctl::not_listening(options.unixctl.as_deref(), &e))?;
        let state = State { replica, clock, waiting: Vec::new(), exit_asked: false };
        log::info!(target: "brcompatd", "{}", rpc::version_text(PROGRAM));
        Ok(Service { state, control, commands: registry() })
    }

    /// Runs until somebody says `exit`.
    pub(crate) async fn run(&mut self) {
        let mut tick = tokio::time::interval(TICK);
        while !self.state.exit_asked {
            tokio::select! {
                event = self.state.replica.next() => self.state.database_event(event),
                request = self.control.next() => self.commands.dispatch(&mut self.state, request),
                _ = tick.tick() => {}
            }
            self.state.advance();
        }
        self.control.flush().await;
    }
}

fn watched() -> Subscription {
    let columns = |list: &[&str]| Some(list.iter().map(|&column| column.to_owned()).collect());
    let tables = vec![
        (
            open_vswitch::NAME_OF_TABLE.to_owned(),
            columns(&[open_vswitch::BRIDGES, open_vswitch::NEXT_CFG, open_vswitch::CUR_CFG]),
        ),
        (
            bridge::NAME_OF_TABLE.to_owned(),
            columns(&[bridge::NAME, bridge::PORTS, bridge::STP_ENABLE, bridge::OTHER_CONFIG]),
        ),
        (
            port::NAME_OF_TABLE.to_owned(),
            columns(&[port::NAME, port::INTERFACES, port::TAG, port::FAKE_BRIDGE, port::OTHER_CONFIG]),
        ),
        (
            interface::NAME_OF_TABLE.to_owned(),
            columns(&[interface::NAME, interface::MAC_IN_USE, interface::OFPORT, interface::EXTERNAL_IDS]),
        ),
    ];
    Subscription { tables: Some(tables), ..Subscription::default() }
}

fn registry() -> Registry<State> {
    let mut registry: Registry<State> = Registry::new(&rpc::version_text(PROGRAM));
    registry.add_log_commands();
    registry.add("exit", "", 0, 0, |state: &mut State, _| {
        state.exit_asked = true;
        Ok(String::new())
    });
    registry.add(protocol::SHOW, "", 0, 0, |state: &mut State, _| {
        let tables = state.replica.tables();
        let bridges: Vec<_> = view::places(tables).iter().map(|place| view::shown(tables, place)).collect();
        Ok(protocol::to_json(&bridges).to_string())
    });
    let mut on =
        |name, usage, count, read: fn(&[String]) -> Option<Request>| {
            registry.add_deferred(name, usage, count, count, move |state: &mut State, args, responder| {
                match read(args) {
                    Some(request) => state.take(request, responder),
                    None => responder.reply(Err(Errno(libc::EINVAL).to_text())),
                }
            });
        };
    on(protocol::ADD_BRIDGE, "bridge", 1, |args| Some(Request::AddBridge { bridge: args.first()?.clone() }));
    on(protocol::DELETE_BRIDGE, "bridge", 1, |args| {
        Some(Request::DeleteBridge { bridge: args.first()?.clone() })
    });
    on(protocol::ADD_PORT, "bridge device ifindex", 3, |args| {
        let [bridge, device, index] = args else { return None };
        Some(Request::AddPort { bridge: bridge.clone(), device: device.clone(), index: index.parse().ok()? })
    });
    on(protocol::DELETE_PORT, "bridge device", 2, |args| {
        let [bridge, device] = args else { return None };
        Some(Request::DeletePort { bridge: bridge.clone(), device: device.clone() })
    });
    on(protocol::SET_BRIDGE, "bridge key value", 3, |args| {
        let [bridge, key, value] = args else { return None };
        Some(Request::SetBridge { bridge: bridge.clone(), key: key.clone(), value: value.clone() })
    });
    on(protocol::SET_PORT, "bridge device key value", 4, |args| {
        let [bridge, device, key, value] = args.to_vec().try_into().ok()?;
        Some(Request::SetPort { bridge, device, key, value })
    });
    registry
}

impl State {
    fn take(&mut self, request: Request, responder: unixctl::Responder) {
        log::debug!(target: "brcompatd", "asked for \"{request}\"");
        let since = self.clock.now();
        self.waiting.push(Waiting { request, responder, since, stage: Stage::ToSend });
    }

    fn database_event(&mut self, event: Event) {
        match event {
            Event::Committed(id, outcome) => self.committed(id, outcome),
            Event::NoDatabase(reason) => {
                log::error!(target: "brcompatd", "the server does not have the database: {reason}");
            }
            _ => {}
        }
    }

    fn committed(&mut self, id: TransactionId, outcome: Outcome) {
        let is_it = |waiting: &Waiting| matches!(waiting.stage, Stage::Sent(sent) if sent == id);
        let Some(at) = self.waiting.iter().position(is_it) else { return };
        match outcome {
            Outcome::TryAgain | Outcome::NotLocked => self.waiting[at].stage = Stage::ToSend,
            Outcome::Success { incremented: Some(number), .. } => {
                self.waiting[at].stage = Stage::Committed(number);
            }
            Outcome::Success { .. } | Outcome::Unchanged => {
                self.waiting.swap_remove(at).responder.reply(Ok(String::new()));
            }
            Outcome::Error(reason) => {
                let waiting = self.waiting.swap_remove(at);
                log::warn!(target: "brcompatd", "{}: the database refused: {reason}", waiting.request);
                waiting.responder.reply(Err(Errno(libc::EIO).to_text()));
            }
        }
    }

    /// Takes every waiting request as far as it goes now.
    fn advance(&mut self) {
        let now = self.clock.now();
        for mut waiting in std::mem::take(&mut self.waiting) {
            let is_late = now - waiting.since >= PATIENCE;
            match waiting.stage {
                Stage::ToSend if self.replica.is_live() => {
                    let mut transaction = self.replica.transaction();
                    transaction.comment(&format!("{PROGRAM}: {}", waiting.request));
                    match waiting.request.apply(&mut transaction) {
                        Err(errno) => waiting.responder.reply(Err(errno.to_text())),
                        Ok(()) => {
                            waiting.stage = Stage::Sent(self.replica.commit(transaction));
                            self.waiting.push(waiting);
                        }
                    }
                }
                Stage::Committed(number) if self.current() >= number || is_late => {
                    waiting.responder.reply(Ok(String::new()));
                }
                Stage::ToSend | Stage::Sent(_) if is_late => {
                    waiting.responder.reply(Err(Errno(libc::EAGAIN).to_text()));
                }
                _ => self.waiting.push(waiting),
            }
        }
    }

    /// The configuration that the switch has come to.
    fn current(&self) -> i64 {
        let mut rows = self.replica.tables().rows(open_vswitch::NAME_OF_TABLE);
        rows.next().and_then(|row| row.integer(open_vswitch::CUR_CFG)).unwrap_or(0)
    }
}
