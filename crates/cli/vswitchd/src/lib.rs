//! `ovs-vswitchd`: the switch daemon.
//!
//! One thread runs everything but forwarding: it follows the database,
//! serves OpenFlow connections and control commands, and keeps time. Workers
//! forward (`dp-user`), a revalidator keeps their flows true (`flowsync`).
//!
//! [`ovs_vswitchd`] is the program; [`Switchd`] is its main loop, which
//! `ovs up` runs beside a database in one process.

mod commands;
mod datapaths;
mod options;
mod share;
mod sink;
mod state;
mod succession;
mod switchd;

use std::process::ExitCode;

pub use options::Options;
pub use switchd::{Exit, Switchd};

use bridge::Dummies;
use options::PROGRAM;
use rpc::program;

/// The program. `args` are the words after its name.
pub fn ovs_vswitchd(args: Vec<String>) -> ExitCode {
    base::vlog::init(PROGRAM);
    program::start(options::parse(args), |options| {
        let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        // What follows the first line is advice for who typed the command.
        let done = run(options).inspect_err(|text| log::error!(target: "vswitchd", "{}", first(text)));
        program::end(PROGRAM, done.map(|()| ExitCode::SUCCESS))
    })
}

fn run(options: Options) -> Result<(), String> {
    let mut daemon = rpc::daemon::start(options.daemon.clone()).map_err(|e| e.to_string())?;
    if options.locks_memory
        && let Err(error) =
            rustix::mm::mlockall(rustix::mm::MlockAllFlags::CURRENT | rustix::mm::MlockAllFlags::FUTURE)
    {
        log::error!(target: "vswitchd", "mlockall failed: {}", rpc::error_text(&error.into()));
    }
    if options.dummies == Dummies::None
        && let Err(error) = rpc::holder::start()
    {
        log::warn!(target: "vswitchd", "no second process: should this one be killed, its ports are closed one by one ({})", rpc::error_text(&error));
    }
    let runtime = rpc::runtime()?;
    let local = tokio::task::LocalSet::new();
    let exit = local.block_on(&runtime, async {
        let mut signals = daemon.signals().map_err(|e| rpc::error_text(&e))?;
        let mut switchd = Switchd::new(&options).await?;
        tell_what_is_missing(options.dummies);
        let exit = tokio::select! {
            exit = serve(&mut switchd, &mut daemon) => exit?,
            signal = signals.next() => Exit::Signal(signal),
        };
        switchd.shut_down(&exit).await;
        Ok::<Exit, String>(exit)
    })?;
    drop(local);
    drop(runtime);
    drop(daemon);
    match exit {
        Exit::Asked => Ok(()),
        Exit::Signal(signal) => signal.die(),
    }
}

/// Says by name what this process lacks to use network devices, as each port's error will say.
fn tell_what_is_missing(dummies: Dummies) {
    let missing = netdev::rights::missing();
    // Who asks for dummies tests the switch, and may do without devices.
    if dummies == Dummies::None && !missing.is_empty() {
        let missing = missing.join(" and ");
        log::warn!(target: "vswitchd", "{PROGRAM} lacks {missing}: not all types of ports can be used");
    }
}

/// Runs the switch. Who started it may go on when its configuration is in force, and use its bridges.
async fn serve(switchd: &mut Switchd, daemon: &mut rpc::daemon::Daemon) -> Result<Exit, String> {
    if let Some(exit) = switchd.configured().await {
        return Ok(exit);
    }
    daemon.complete().map_err(|e| e.to_string())?;
    Ok(switchd.run().await)
}
