//! `ovs-brcompatd`: does in the configuration database what `brctl` asks for.
//!
//! It keeps a replica of bridges and ports, and takes commands over its control
//! socket. [`options`] reads the command line, [`service`] is the loop,
//! [`view`] reads the replica as bridges, and [`change`] turns a request into a
//! transaction.

mod change;
mod options;
mod service;
mod view;

use std::process::ExitCode;

use options::{Options, PROGRAM};
use rpc::program;
use service::{Exit, Service};

/// The program. `args` are the words after its name.
pub fn ovs_brcompatd(args: Vec<String>) -> ExitCode {
    base::vlog::init(PROGRAM);
    program::start(options::parse(args), |options| {
        let done = run(options).inspect_err(|text| log::error!(target: "brcompatd", "{text}"));
        program::end(PROGRAM, done.map(|()| ExitCode::SUCCESS))
    })
}

fn run(options: Options) -> Result<(), String> {
    let mut daemon = rpc::daemon::start(options.daemon.clone()).map_err(|e| e.to_string())?;
    let runtime = rpc::runtime()?;
    let exit = runtime.block_on(async {
        let mut signals = daemon.signals().map_err(|e| rpc::error_text(&e))?;
        let mut service = Service::new(&options).await?;
        daemon.complete().map_err(|e| e.to_string())?;
        Ok::<Exit, String>(tokio::select! {
            () = service.run() => Exit::Asked,
            signal = signals.next() => Exit::Signal(signal),
        })
    })?;
    drop(runtime);
    drop(daemon);
    match exit {
        Exit::Asked => Ok(()),
        Exit::Signal(signal) => signal.die(),
    }
}
