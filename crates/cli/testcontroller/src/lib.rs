//! `ovs-testcontroller`: a simple OpenFlow controller that makes of every
//! switch that connects a learning switch, or a hub.
//!
//! [`options`] reads the command line. Each connection is a task with a
//! [`learning::LearningSwitch`], which says what to send for what came and
//! does no I/O; [`connection`] moves the bytes. Switches share nothing.

mod connection;
mod learning;
mod macs;
mod options;

use std::cell::Cell;
use std::process::ExitCode;
use std::rc::Rc;

use options::Options;
use rpc::unixctl::Registry;
use rpc::{Listener, OPENFLOW_PORT, Stream, program, stream};
use tokio::task::JoinSet;

/// The program. `args` are the words after its name.
pub fn ovs_testcontroller(args: Vec<String>) -> ExitCode {
    called("ovs-testcontroller", args)
}

/// The same by the name that old scripts have, and with that name's pid file.
pub fn ovs_controller(args: Vec<String>) -> ExitCode {
    called("ovs-controller", args)
}

fn called(name: &'static str, args: Vec<String>) -> ExitCode {
    base::vlog::init(name);
    program::start(options::parse(name, args), |options| {
        let done = run(options);
        program::end(name, done.map(|()| ExitCode::SUCCESS))
    })
}

/// What commands of the control socket change.
#[derive(Default)]
struct State {
    exit_asked: bool,
}

fn run(options: Options) -> Result<(), String> {
    let mut daemon = rpc::daemon::start(options.daemon.clone()).map_err(|e| e.to_string())?;
    let runtime = rpc::runtime()?;
    let local = tokio::task::LocalSet::new();
    let signal = local.block_on(&runtime, async {
        let mut signals = daemon.signals().map_err(|e| rpc::error_text(&e))?;
        let mut tasks = JoinSet::new();
        open_all(Rc::new(options.clone()), &mut tasks).await?;
        let mut control = rpc::unixctl::Server::new(options.unixctl.as_deref(), options.program)
            .await
            .map_err(|e| rpc::unixctl::not_listening(options.unixctl.as_deref(), &e))?;
        let commands = registry(options.program);
        daemon.complete().map_err(|e| e.to_string())?;
        let mut state = State::default();
        while !state.exit_asked {
            tokio::select! {
                request = control.next() => commands.dispatch(&mut state, request),
                signal = signals.next() => return Ok(Some(signal)),
                ended = tasks.join_next() => if ended.is_none() {
                    // All connections are gone, and no other will come.
                    break;
                },
            }
        }
        control.flush().await;
        Ok::<_, String>(None)
    })?;
    drop(local);
    drop(runtime);
    drop(daemon);
    match signal {
        Some(signal) => signal.die(),
        None => Ok(()),
    }
}

fn registry(program: &str) -> Registry<State> {
    let mut registry: Registry<State> = Registry::new(&rpc::version_text(program));
    registry.add_log_commands();
    registry.add("exit", "", 0, 0, |state: &mut State, _| {
        state.exit_asked = true;
        Ok(String::new())
    });
    registry
}

/// Opens every method of the command line; each that is open is a task.
async fn open_all(options: Rc<Options>, tasks: &mut JoinSet<()>) -> Result<(), String> {
    for name in &options.methods {
        let opened = if stream::is_passive_name(name) {
            Listener::bind(name, OPENFLOW_PORT, &options.tls).await.map(|listener| {
                tasks.spawn_local(listen(listener, Rc::clone(&options)));
            })
        } else {
            Stream::connect(name, OPENFLOW_PORT, &options.tls).await.map(|stream| {
                tasks.spawn_local(connection::serve(stream, Rc::clone(&options)));
            })
        };
        if let Err(e) = opened {
            log::error!(target: "controller", "{name}: connect: {}", rpc::error_text(&e));
        }
    }
    if tasks.is_empty() {
        return Err("no active or passive switch connections".to_owned());
    }
    Ok(())
}

/// Takes connections until the listener breaks.
async fn listen(listener: Listener, options: Rc<Options>) {
    /// Connections at one time, so that a peer who opens many does no harm to others.
    const MOST: usize = 256;
    let open = Rc::new(Cell::new(0));
    loop {
        match listener.accept().await {
            Err(e) => {
                log::warn!(target: base::bounded!("controller"), "{}: accept: {}", listener.name(), rpc::error_text(&e));
                // What is wrong now, such as too many open files, may pass.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            Ok(_) if open.get() >= MOST => {
                log::warn!(target: base::bounded!("controller"), "{}: more than {MOST} connections", listener.name());
            }
            Ok(incoming) => {
                let (options, open) = (Rc::clone(&options), Rc::clone(&open));
                open.set(open.get() + 1);
                tokio::task::spawn_local(async move {
                    match incoming.finish().await {
                        Ok(stream) => connection::serve(stream, options).await,
                        Err(e) => log::warn!(target: base::bounded!("controller"), "{}", rpc::error_text(&e)),
                    }
                    open.set(open.get() - 1);
                });
            }
        }
    }
}
