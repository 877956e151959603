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

use options::{Options, PROGRAM, Stop};
use service::{Exit, Service};

/// The program. `args` are the words after its name.
pub fn ovs_brcompatd(args: Vec<String>) -> ExitCode {
    base::vlog::init(PROGRAM);
    let options = match options::parse(args) {
        Ok(options) => options,
        Err(Stop::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(Stop::Fail(text)) => {
            eprintln!("{text}");
            return ExitCode::FAILURE;
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            log::error!(target: "brcompatd", "{text}");
            eprintln!("{PROGRAM}: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    let mut daemon = rpc::daemon::start(options.daemon.clone()).map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| rpc::error_text(&e))?;
    let exit = runtime.block_on(async {
        let mut signals = rpc::daemon::Signals::new().map_err(|e| rpc::error_text(&e))?;
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
