//! `ovsdb-server`: the daemon that serves databases.

mod commands;
mod config;
mod databases;
mod options;
mod sync_commands;

use base::coverage::SAMPLE_INTERVAL;
use base::{Clock, Timestamp};
use config::{Config, REPLICATION_PROBE_MS};
use databases::Served;
use options::{Options, PROGRAM};
use rpc::Tls;
use rpc::daemon::{self, Termination};
use rpc::program;
use rpc::unixctl;
use server::{Listeners, Remote, Server, SharedServer};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How often the status columns of remotes are brought up to date.
const STATUS_INTERVAL: Duration = Duration::from_millis(2500);
/// How often logs are looked at for compaction.
const COMPACTION_INTERVAL: Duration = Duration::from_secs(10);

/// The state that control commands work on.
pub(crate) struct Program {
    options: Options,
    config: Config,
    /// By name.
    served: BTreeMap<String, Served>,
    /// What control commands set for databases that are to be replicated.
    replication_probe_ms: i64,
    /// Told when replication fails.
    wake: Rc<tokio::sync::Notify>,
    server: SharedServer,
    clock: Clock,
    exiting: bool,
    memory: Option<Memory>,
    /// What is wrong with remotes or keys, so that it is reported once.
    last_error: Option<String>,
    /// The remotes that could not be opened.
    unopened: BTreeMap<String, String>,
    coverage: base::coverage::History,
    /// Somebody waits for the configuration file to be read again.
    asked: Option<(Asked, unixctl::Responder)>,
}

/// Remotes and databases in a nameless file, which outlives a crash of the daemon under `--monitor`.
struct Memory(std::fs::File);

impl Memory {
    fn new(options: &Options, config: &Config) -> Option<Memory> {
        if !options.daemon.monitor || options.config_file.is_some() {
            return None;
        }
        let path = std::env::temp_dir().join(format!("{PROGRAM}.{}", std::process::id()));
        let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path).ok()?;
        // Only the descriptor is needed; a name left behind harms nobody.
        let _ = std::fs::remove_file(&path);
        let memory = Memory(file);
        memory.write(config);
        Some(memory)
    }

    fn write(&self, config: &Config) {
        let json = config.to_json().to_string();
        let written = self.0.set_len(0).and_then(|()| self.0.write_all_at(json.as_bytes(), 0));
        if let Err(e) = written {
            log::warn!(target: "ovsdb_server", "failed to write temporary file ({})", rpc::error_text(&e));
        }
    }

    fn read(&self) -> Option<Config> {
        let mut bytes = vec![0; usize::try_from(self.0.metadata().ok()?.len()).ok()?];
        self.0.read_exact_at(&mut bytes, 0).ok()?;
        Config::from_text(&bytes)
    }
}

/// What a control command asks for that takes the listeners.
enum Asked {
    Reload,
    /// To add this remote.
    Remote(String),
}

/// How the program ended.
enum End {
    /// By command, or with the process that `--run` started.
    Exit(ExitCode),
    Signal(Termination),
}

/// The program. `args` are the words after its name.
pub fn ovsdb_server(args: Vec<String>) -> ExitCode {
    base::vlog::init(PROGRAM);
    program::start(options::parse(args), |(options, config)| {
        let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        // What follows the first line is advice for who typed the command.
        let done =
            run(options, config).inspect_err(|text| log::error!(target: "ovsdb_server", "{}", first(text)));
        program::end(
            PROGRAM,
            done.map(|end| match end {
                End::Exit(code) => code,
                End::Signal(termination) => termination.die(),
            }),
        )
    })
}

fn run(options: Options, config: Config) -> Result<End, String> {
    // Made before any fork, so that a daemon that is started again finds what the one before it kept.
    let memory = Memory::new(&options, &config);
    let daemon = daemon::start(options.daemon.clone()).map_err(|e| e.to_string())?;
    let runtime = rpc::runtime()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, serve(options, config, daemon, memory))
}

async fn serve(
    options: Options,
    config: Config,
    mut daemon: daemon::Daemon,
    memory: Option<Memory>,
) -> Result<End, String> {
    let config = memory.as_ref().and_then(Memory::read).unwrap_or(config);
    let clock = Clock::new();
    let mut signals = daemon.signals().map_err(|e| rpc::error_text(&e))?;
    let server: SharedServer = Rc::new(RefCell::new(Server::new(clock.clone()).map_err(|e| e.to_string())?));
    let mut listeners = Listeners::new(server.clone(), clock.clone());
    let wake = Rc::new(tokio::sync::Notify::new());
    let mut program = Program {
        options,
        config,
        served: BTreeMap::new(),
        replication_probe_ms: REPLICATION_PROBE_MS,
        wake: wake.clone(),
        server,
        clock,
        exiting: false,
        memory,
        last_error: None,
        unopened: BTreeMap::new(),
        coverage: base::coverage::History::default(),
        asked: None,
    };
    let configured = program.reconfigure(&mut listeners).await;
    configured.map_err(|text| text + &program.advice())?;
    let unixctl_path = program.options.unixctl.clone();
    let mut unixctl = unixctl::Server::new(unixctl_path.as_deref(), PROGRAM)
        .await
        .map_err(|e| rpc::unixctl::not_listening(unixctl_path.as_deref(), &e))?;
    let mut child = program.options.run.as_deref().map(start_child).transpose()?;
    daemon.complete().map_err(|e| e.to_string())?;
    if child.is_none() {
        log::info!(target: "ovsdb_server", "{}", rpc::version_text(PROGRAM));
    }
    let registry = commands::registry();
    let mut status_due = program.clock.now() + STATUS_INTERVAL;
    let mut compaction_due = Instant::now() + COMPACTION_INTERVAL;
    let mut sample_due = Instant::now() + SAMPLE_INTERVAL;
    while !program.exiting {
        let generation = program.server.borrow().generation();
        let deadline = program.server.borrow().deadline();
        let transactions = program.instant_of(deadline);
        let until_status = Instant::now() + status_due.since(program.clock.now());
        tokio::select! {
            request = unixctl.next() => registry.dispatch(&mut program, request),
            termination = signals.next() => return Ok(End::Signal(termination)),
            status = wait_for_child(&mut child) => return child_ended(&program, status),
            () = program.wait_for_commit(generation), if program.depends_on_rows() => {}
            () = tokio::time::sleep_until(transactions) => program.server.borrow_mut().run_timeouts(),
            () = program.wait_for_deadline_before(deadline) => {}
            () = tokio::time::sleep_until(until_status), if program.depends_on_rows() => {}
            () = wake.notified() => program.end_failed_replication(),
            () = tokio::time::sleep_until(sample_due) => {
                sample_due = Instant::now() + SAMPLE_INTERVAL;
                program.coverage.sample(program.clock.now());
            }
            () = tokio::time::sleep_until(compaction_due) => {
                compaction_due = Instant::now() + COMPACTION_INTERVAL;
                program.server.borrow_mut().compact_what_grew();
            }
        }
        program.do_what_was_asked(&mut listeners).await;
        let error = program.configure(&mut listeners).await.err();
        if let Some(e) = error.as_ref().filter(|e| program.last_error.as_ref() != Some(*e)) {
            log::warn!(target: "ovsdb_server", "{e}");
        }
        program.last_error = error;
        // By the program's own clock, which control commands may have moved.
        if program.clock.now() >= status_due {
            status_due = program.clock.now() + STATUS_INTERVAL;
            program.write_status(&listeners);
        }
    }
    unixctl.flush().await;
    Ok(End::Exit(ExitCode::SUCCESS))
}

/// Starts the process of `--run`; its status comes when it ends.
fn start_child(
    command: &str,
) -> Result<oneshot::Receiver<std::io::Result<std::process::ExitStatus>>, String> {
    let child = std::process::Command::new("/bin/sh").arg("-c").arg(command).spawn();
    let mut child =
        child.map_err(|e| format!("{command}: process failed to start ({})", rpc::error_text(&e)))?;
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        // Nobody listens when the server is ending anyway.
        let _ = sender.send(child.wait());
    });
    Ok(receiver)
}

type ChildStatus = Result<std::io::Result<std::process::ExitStatus>, oneshot::error::RecvError>;

async fn wait_for_child(
    child: &mut Option<oneshot::Receiver<std::io::Result<std::process::ExitStatus>>>,
) -> ChildStatus {
    match child {
        Some(receiver) => receiver.await,
        None => std::future::pending().await,
    }
}

fn child_ended(program: &Program, status: ChildStatus) -> Result<End, String> {
    let command = program.options.run.as_deref().unwrap_or_default();
    match status {
        Ok(Ok(status)) if status.success() => Ok(End::Exit(ExitCode::SUCCESS)),
        Ok(Ok(status)) => {
            let how = match status.code() {
                Some(code) => format!("exit status {code}"),
                None => "killed".to_owned(),
            };
            Err(format!("{command}: child exited, {how}"))
        }
        _ => Err(format!("{command}: child was lost")),
    }
}

impl Program {
    /// Remembers remotes and databases for a daemon that is started again.
    fn save(&mut self) {
        if let Some(memory) = &self.memory {
            self.config.databases = self
                .served
                .values()
                .map(|served| (served.file_name.clone(), served.config.clone()))
                .collect();
            memory.write(&self.config);
        }
    }

    /// Reads the configuration file, where there is one, and does what the configuration says.
    async fn reconfigure(&mut self, listeners: &mut Listeners) -> Result<(), String> {
        let failed = || "server configuration failed".to_owned();
        if let Some(path) = &self.options.config_file {
            let text = std::fs::read(path).map_err(|e| {
                let e = rpc::error_text(&e);
                log::error!(target: "ovsdb_server", "failed to open configuration file '{path}': {e}");
                failed()
            })?;
            log::info!(target: "ovsdb_server", "loading configuration from '{path}'");
            self.config = Config::from_text(&text).ok_or_else(|| {
                log::warn!(target: "ovsdb_server", "failed to load configuration from {path}");
                failed()
            })?;
        }
        let all_open = self.configure_databases();
        if !all_open {
            log::warn!(target: "ovsdb_server", "failed to configure databases");
        }
        if let Err(e) = self.configure(listeners).await {
            log::warn!(target: "ovsdb_server", "{e}");
            return Err(failed());
        }
        // What rows name may be mended there by clients, who need the other remotes for it.
        if self.unopened.keys().any(|target| self.config.remotes.contains_key(target)) {
            return Err(failed());
        }
        if all_open { Ok(()) } else { Err(failed()) }
    }

    /// What whoever starts the server may do about what could not be opened: lines that follow the error.
    fn advice(&self) -> String {
        let mut advice = String::new();
        for name in self.config.databases.keys() {
            let path = std::path::Path::new(name);
            if path.exists() || self.served.values().any(|served| served.file_name == *name) {
                continue;
            }
            advice += &match rpc::hint::missing_directory(path) {
                hint if hint.is_empty() => {
                    format!("\nThe database {name} does not exist: 'ovsdb-tool create {name}' makes it.")
                }
                hint => hint,
            };
        }
        for path in self.unopened.keys().filter_map(|target| target.strip_prefix("punix:")) {
            let hint = rpc::hint::missing_directory(std::path::Path::new(path));
            if !advice.contains(&hint) {
                advice += &hint;
            }
        }
        advice
    }

    async fn do_what_was_asked(&mut self, listeners: &mut Listeners) {
        let Some((asked, responder)) = self.asked.take() else { return };
        let result = match asked {
            Asked::Reload => {
                let failed = |_| "Configuration failed.  See the log file for details.".to_owned();
                self.reconfigure(listeners).await.map_err(failed)
            }
            Asked::Remote(target) => self.add_remote(listeners, &target).await,
        };
        responder.reply(result.map(|()| String::new()));
    }

    /// Adds a remote, unless it cannot be opened.
    async fn add_remote(&mut self, listeners: &mut Listeners, target: &str) -> Result<(), String> {
        let is_new = !self.config.remotes.contains_key(target);
        self.config.add_remote(target);
        // What is wrong with other remotes is reported after this.
        let _ = self.configure(listeners).await;
        if let Some(error) = self.unopened.get(target).cloned() {
            if is_new {
                self.config.remotes.shift_remove(target);
            }
            return Err(error);
        }
        self.save();
        Ok(())
    }

    /// Whether remotes or keys are named by rows, which may change at any commit.
    fn depends_on_rows(&self) -> bool {
        let tls = &self.options.tls;
        let paths = [&tls.private_key, &tls.certificate, &tls.ca_cert];
        let texts = [&tls.protocols, &tls.ciphers, &tls.ciphersuites, &tls.server_name];
        self.config.remotes.keys().any(|remote| remote.starts_with("db:"))
            || paths.into_iter().flatten().any(|path| path.to_string_lossy().starts_with("db:"))
            || texts.into_iter().flatten().any(|text| text.starts_with("db:"))
    }

    async fn wait_for_commit(&self, generation: u64) {
        std::future::poll_fn(|cx| {
            let mut server = self.server.borrow_mut();
            if server.generation() != generation {
                return std::task::Poll::Ready(());
            }
            server.wake_on_commit(cx.waker());
            std::task::Poll::Pending
        })
        .await;
    }

    /// Waits until a transaction has begun to wait that is to be answered before `deadline`.
    async fn wait_for_deadline_before(&self, deadline: Option<Timestamp>) {
        std::future::poll_fn(|cx| {
            let mut server = self.server.borrow_mut();
            if server.deadline().is_some_and(|new| deadline.is_none_or(|old| new < old)) {
                return std::task::Poll::Ready(());
            }
            server.wake_on_deadline(cx.waker());
            std::task::Poll::Pending
        })
        .await;
    }

    fn instant_of(&self, deadline: Option<Timestamp>) -> Instant {
        let now = Instant::now();
        match deadline {
            Some(deadline) => now + deadline.since(self.clock.now()),
            None => now + Duration::from_secs(3600),
        }
    }

    /// Brings remotes and keys to what the configuration and the rows say.
    async fn configure(&mut self, listeners: &mut Listeners) -> Result<(), String> {
        let mut wanted: Vec<Remote> = Vec::new();
        let mut errors = Vec::new();
        listeners.set_tls(self.tls(&mut errors));
        for (target, options) in &self.config.remotes {
            if target.starts_with("db:") {
                match server::database_remotes(&self.server.borrow(), target) {
                    Ok(remotes) => wanted.extend(remotes),
                    Err(e) => errors.push(format!("failed to configure remotes: {e}")),
                }
            } else {
                wanted.push(options.remote(target));
            }
        }
        let before = std::mem::take(&mut self.unopened);
        for (target, e) in listeners.set_remotes(&wanted).await {
            // What goes on failing is tried again at each event, and logged once.
            let text = format!("{target}: listen failed: {}", rpc::error_text(&e));
            if !before.contains_key(&target) {
                log::error!(target: "ovsdb_jsonrpc_server", "{text}");
            }
            self.unopened.insert(target, text);
        }
        errors.into_iter().next().map_or(Ok(()), Err)
    }

    /// The keys and settings, some of which may be in a database.
    fn tls(&self, errors: &mut Vec<String>) -> Tls {
        let server = self.server.borrow();
        let mut resolve = |text: &str| match server.string_of(text) {
            Ok(found) => found,
            Err(e) => {
                errors.push(format!("failed to configure SSL/TLS: {e}"));
                None
            }
        };
        let tls = &self.options.tls;
        let mut path = |path: &Option<PathBuf>| resolve(&path.as_ref()?.to_string_lossy()).map(PathBuf::from);
        let (private_key, certificate) = (path(&tls.private_key), path(&tls.certificate));
        let ca_cert = path(&tls.ca_cert);
        let mut text = |text: &Option<String>| resolve(text.as_ref()?);
        Tls {
            private_key,
            certificate,
            ca_cert,
            peer_ca_cert: tls.peer_ca_cert.clone(),
            bootstrap_ca_cert: tls.bootstrap_ca_cert,
            protocols: text(&tls.protocols),
            ciphers: text(&tls.ciphers),
            ciphersuites: text(&tls.ciphersuites),
            server_name: text(&tls.server_name),
        }
    }

    fn write_status(&self, listeners: &Listeners) {
        for remote in self.config.remotes.keys().filter(|remote| remote.starts_with("db:")) {
            let targets = server::database_remotes(&self.server.borrow(), remote).unwrap_or_default();
            let statuses: Vec<_> =
                targets.iter().map(|r| (r.target.clone(), listeners.status(&r.target))).collect();
            let status_of = |target: &str| {
                let found = statuses.iter().find(|(t, _)| t == target);
                found.and_then(|(_, status)| status.clone())
            };
            server::write_status(&mut self.server.borrow_mut(), remote, &status_of);
        }
    }
}
