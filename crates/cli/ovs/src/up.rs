//! `ovs up` and `ovs down`: database and switch in one process, with the same
//! files and sockets as two, so that every program works on it.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rpc::dirs;

/// How long the switch may take to answer.
const LIMIT: Duration = Duration::from_secs(20);

const UP_USAGE: &str = "\
usage: ovs up [--foreground]
Starts database and switch in one process. OVS_RUNDIR, OVS_DBDIR and OVS_LOGDIR say where.
";

/// `ovs up`.
pub(crate) fn up(args: Vec<String>) -> ExitCode {
    let mut foreground = false;
    for arg in &args {
        match arg.as_str() {
            "--foreground" => foreground = true,
            "-h" | "--help" => {
                print!("{UP_USAGE}");
                return ExitCode::SUCCESS;
            }
            other => return fail(&format!("unknown option '{other}'\n{UP_USAGE}")),
        }
    }
    match start(foreground) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    }
}

fn fail(text: &str) -> ExitCode {
    eprintln!("ovs: up: {}", text.trim_end());
    ExitCode::FAILURE
}

fn start(foreground: bool) -> Result<(), String> {
    let (rundir, dbdir, logdir) = (dirs::rundir(), dirs::dbdir(), dirs::logdir());
    for dir in [&rundir, &dbdir, &logdir] {
        std::fs::create_dir_all(dir).map_err(|e| {
            format!(
                "{}: {} (run it as root, or set OVS_RUNDIR, OVS_DBDIR and OVS_LOGDIR to directories of yours)",
                dir.display(),
                rpc::error_text(&e)
            )
        })?;
    }
    if control_socket("ovs-vswitchd").is_some() {
        return Err(format!("a switch is already running in {}; 'ovs down' stops it", rundir.display()));
    }
    let database = dbdir.join("conf.db");
    if !database.exists() {
        let done = ovsdb_tools::ovsdb_tool(vec!["create".to_owned(), database.display().to_string()]);
        if done != ExitCode::SUCCESS {
            return Err(format!("cannot create {}", database.display()));
        }
        println!("created {}", database.display());
    }
    if !foreground {
        let child = spawn_detached()?;
        return wait_until_up(&rundir, child);
    }
    serve(&rundir, &database)
}

/// The same program again, in the background; its id.
fn spawn_detached() -> Result<std::process::Child, String> {
    use std::os::unix::process::CommandExt;
    let program = std::env::current_exe().map_err(|e| rpc::error_text(&e))?;
    let mut command = Command::new(program);
    command.arg0("ovs").args(["up", "--foreground"]);
    let null = std::process::Stdio::null;
    command.stdin(null()).stdout(null()).stderr(null()).process_group(0);
    command.spawn().map_err(|e| rpc::error_text(&e))
}

fn wait_until_up(rundir: &Path, mut child: std::process::Child) -> Result<(), String> {
    let start = Instant::now();
    let log = dirs::logdir();
    loop {
        if answers("ovs-vswitchd") && answers("ovsdb-server") {
            let init = vsctl::ovs_vsctl(vec!["--no-wait".to_owned(), "init".to_owned()]);
            if init != ExitCode::SUCCESS {
                return Err("the database did not take its first row".to_owned());
            }
            println!("{}", next_steps(rundir));
            return Ok(());
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("the switch ended at once ({status}); its logs are in {}", log.display()));
        }
        if start.elapsed() > LIMIT {
            return Err(format!("no answer in {LIMIT:?}; the logs are in {}", log.display()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn answers(target: &str) -> bool {
    control_socket(target)
        .is_some_and(|socket| matches!(rpc::unixctl::transact(&socket, "version", &[]), Ok(Ok(_))))
}

/// Where a running daemon takes commands; `None` when it does not run.
fn control_socket(target: &str) -> Option<String> {
    // Looked for first, because reading a missing one is logged as a mistake.
    let is_there = dirs::rundir().join(format!("{target}.pid")).exists();
    is_there.then(|| rpc::unixctl::socket_of(target).ok())?
}

fn next_steps(rundir: &Path) -> String {
    let bin = std::env::current_exe().ok();
    let ovs = bin.as_deref().map_or_else(|| "ovs".to_owned(), |path| path.display().to_string());
    let environment = match std::env::var_os("OVS_RUNDIR") {
        Some(_) => format!("    export OVS_RUNDIR={}\n", rundir.display()),
        None => String::new(),
    };
    format!(
        "The switch is up. Next:\n\n{environment}    {ovs} vsctl add-br br0\n    {ovs} vsctl add-port br0 eth1\n    {ovs} vsctl show\n    {ovs} appctl ofproto/trace br0 in_port=1,tcp\n\nand to stop it:\n\n    {ovs} down"
    )
}

/// Runs both daemons, each with its own thread and event loop, until both end.
fn serve(rundir: &Path, database: &Path) -> Result<(), String> {
    let socket = rundir.join("db.sock").display().to_string();
    let server_args = vec![
        database.display().to_string(),
        format!("--remote=punix:{socket}"),
        "--remote=db:Open_vSwitch,Open_vSwitch,manager_options".to_owned(),
        "--pidfile".to_owned(),
        "--log-file".to_owned(),
    ];
    let switch_args = vec![format!("unix:{socket}"), "--pidfile".to_owned()];
    let spawn = |name: &str, run: fn(Vec<String>) -> ExitCode, args: Vec<String>| {
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || run(args)).map_err(|e| rpc::error_text(&e))
    };
    let server = spawn("database", ovsdb_tools::ovsdb_server, server_args)?;
    let switch = spawn("switch", vswitchd::ovs_vswitchd, switch_args)?;
    for (name, thread) in [("switch", switch), ("database", server)] {
        match thread.join() {
            Ok(status) if status == ExitCode::SUCCESS => {}
            Ok(_) => return Err(format!("the {name} failed")),
            Err(_) => return Err(format!("the {name} panicked")),
        }
    }
    Ok(())
}

/// `ovs down`: ends the switch, then the database.
pub(crate) fn down(args: Vec<String>) -> ExitCode {
    if let Some(word) = args.first() {
        eprintln!("ovs: down: unknown option '{word}'");
        return ExitCode::FAILURE;
    }
    let rundir = dirs::rundir();
    let mut stopped = false;
    for target in ["ovs-vswitchd", "ovsdb-server"] {
        let Some(socket) = control_socket(target) else { continue };
        match rpc::unixctl::transact(&socket, "exit", &[]) {
            Ok(Ok(_)) => stopped = true,
            Ok(Err(refusal)) => {
                eprintln!("ovs: down: {target}: {refusal}");
                return ExitCode::FAILURE;
            }
            Err(e) => {
                eprintln!("ovs: down: {target}: {}", rpc::error_text(&e));
                return ExitCode::FAILURE;
            }
        }
        let start = Instant::now();
        while control_socket(target).is_some() && start.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    if stopped {
        println!("The switch is down.");
    } else {
        println!("No switch is running in {}.", rundir.display());
    }
    ExitCode::SUCCESS
}
