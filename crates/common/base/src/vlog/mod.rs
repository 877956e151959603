//! Logging as operators know it: a level per module and destination, changed
//! while running (`vlog/set`), with a pattern per destination.
//!
//! Rooms log with the `log` macros and the module's name as target:
//! `log::warn!(target: "bridge", "…")`. A program calls [`init`] once; from
//! then on the records arrive here, are formatted and written to the console
//! (stderr), the system log and the log file.
//!
//! Not here: the transport of the `vlog/*` commands. [`COMMANDS`] lists them
//! for whoever serves a control socket.

mod command;
mod limit;
mod output;
mod pattern;

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

pub use command::{COMMANDS, Command, set_levels};
pub use output::OpenLogError;

use output::Outputs;

/// How bad it is. Each destination shows its level and all above it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Level {
    /// Nothing is logged.
    Off,
    /// The program cannot go on.
    Emergency,
    /// Something failed.
    Error,
    /// Something is not as it should be, and work goes on.
    Warning,
    /// What operators want to know.
    Info,
    /// What developers want to know.
    Debug,
}

impl Level {
    const ALL: [Level; 6] =
        [Level::Off, Level::Emergency, Level::Error, Level::Warning, Level::Info, Level::Debug];

    /// The name in log lines and in `vlog/set`.
    pub const fn name(self) -> &'static str {
        ["OFF", "EMER", "ERR", "WARN", "INFO", "DBG"][self as usize]
    }

    fn from_name(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    fn from_log(level: log::Level) -> Level {
        match level {
            log::Level::Error => Level::Error,
            log::Level::Warn => Level::Warning,
            log::Level::Info => Level::Info,
            log::Level::Debug | log::Level::Trace => Level::Debug,
        }
    }

    /// The severity of RFC 5424.
    const fn syslog_severity(self) -> u8 {
        match self {
            Level::Off | Level::Emergency => 1,
            Level::Error => 3,
            Level::Warning => 4,
            Level::Info => 5,
            Level::Debug => 7,
        }
    }
}

/// Where messages go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Destination {
    /// The system's log.
    Syslog,
    /// Standard error.
    Console,
    /// The file of `--log-file`.
    File,
}

impl Destination {
    /// Every destination, in the order of `vlog/list`.
    pub const ALL: [Destination; 3] = [Destination::Syslog, Destination::Console, Destination::File];

    /// As `vlog/set` names it.
    pub const fn name(self) -> &'static str {
        ["syslog", "console", "file"][self as usize]
    }

    fn from_name(name: &str) -> Option<Destination> {
        Destination::ALL.into_iter().find(|d| d.name().eq_ignore_ascii_case(name))
    }
}

/// A named source of messages with its level at each destination.
struct Module {
    name: &'static str,
    levels: [AtomicU8; 3],
    rate_limited: std::sync::atomic::AtomicBool,
}

impl Module {
    fn level(&self, destination: Destination) -> u8 {
        self.levels[destination as usize].load(Ordering::Relaxed)
    }

    /// Whether any destination shows messages of this level.
    fn shows(&self, level: Level) -> bool {
        Destination::ALL.iter().any(|&d| level as u8 <= self.level(d))
    }
}

/// The log of this process.
struct Vlog {
    /// Sorted by name.
    modules: Vec<Module>,
    /// Where in `modules` each name is.
    places: HashMap<&'static str, usize>,
    /// The place of the module that stands for targets without one of their own.
    fallback: usize,
    patterns: RwLock<[String; 3]>,
    outputs: Outputs,
    limits: limit::Limits,
    sequence: AtomicU32,
    /// The facility for syslog and `%B`, or [`NO_FACILITY`] for the default of each.
    facility: AtomicU8,
    program: String,
    started: std::time::Instant,
}

static VLOG: OnceLock<Vlog> = OnceLock::new();

/// "kern", which nobody but the kernel may use, stands for "not set".
const NO_FACILITY: u8 = 0;

/// Facilities of RFC 5424 where none is set: "daemon" in syslog, "local0" elsewhere.
const FACILITY_DAEMON: u8 = 3;
const FACILITY_LOCAL0: u8 = 16;

/// The modules whose levels can be set, by the names that operators know.
const MODULES: &[&str] = &[
    "bfd",
    "bond",
    "bridge",
    "bundle",
    "bundles",
    "cfm",
    "classifier",
    "collectors",
    "command_line",
    "connmgr",
    "conntrack",
    "controller",
    "coverage",
    "ct_dpif",
    "daemon",
    "daemon_unix",
    "db_ctl_base",
    "dpif",
    "dpif_netdev",
    "dpif_netlink",
    "dpif_ebpf",
    "fail_open",
    "fatal_signal",
    "flow",
    "in_band",
    "ipf",
    "ipfix",
    "jsonrpc",
    "lacp",
    "learning_switch",
    "lldp",
    "lockfile",
    "memory",
    "meta_flow",
    "native_tnl",
    "netdev",
    "netdev_afxdp",
    "netdev_dummy",
    "netdev_linux",
    "netdev_vport",
    "netflow",
    "netlink",
    "netlink_notifier",
    "netlink_socket",
    "nx_match",
    "odp_execute",
    "odp_util",
    "ofctl",
    "ofp_actions",
    "ofp_bundle",
    "ofp_connection",
    "ofp_errors",
    "ofp_flow",
    "ofp_group",
    "ofp_match",
    "ofp_meter",
    "ofp_monitor",
    "ofp_msgs",
    "ofp_packet",
    "ofp_port",
    "ofp_protocol",
    "ofp_queue",
    "ofp_table",
    "ofp_util",
    "ofproto",
    "ofproto_dpif",
    "ofproto_dpif_mirror",
    "ofproto_dpif_monitor",
    "ofproto_dpif_rid",
    "ofproto_dpif_upcall",
    "ofproto_dpif_xlate",
    "ofproto_xlate_cache",
    "ovs_lldp",
    "ovs_router",
    "ovs_thread",
    "ovsdb",
    "ovsdb_client",
    "ovsdb_cs",
    "ovsdb_error",
    "ovsdb_file",
    "ovsdb_idl",
    "ovsdb_jsonrpc_server",
    "ovsdb_log",
    "ovsdb_monitor",
    "ovsdb_rbac",
    "ovsdb_server",
    "ovsdb_util",
    "pcap",
    "pmd_perf",
    "poll_loop",
    "process",
    "raft",
    "rconn",
    "reconnect",
    "relay",
    "replication",
    "route_table",
    "rstp",
    "rstp_sm",
    "sflow",
    "socket_util",
    "stopwatch",
    "storage",
    "stp",
    "stream",
    "stream_fd",
    "stream_ssl",
    "stream_tcp",
    "stream_unix",
    "system_stats",
    "tc",
    "timeval",
    "transaction",
    "transaction_forward",
    "trigger",
    "tunnel",
    "unixctl",
    "userspace_tso",
    "util",
    "vconn",
    "vconn_stream",
    "vlog",
    "vsctl",
    "vswitchd",
    "vtep_ctl",
];

/// Starts logging for `program`, console and file at INFO. Later calls change nothing.
pub fn init(program: &str) {
    VLOG.get_or_init(|| Vlog {
        modules: MODULES
            .iter()
            .map(|name| Module {
                name,
                levels: [const { AtomicU8::new(Level::Info as u8) }; 3],
                rate_limited: true.into(),
            })
            .collect(),
        places: MODULES.iter().enumerate().map(|(place, name)| (*name, place)).collect(),
        fallback: MODULES.iter().position(|name| *name == "util").unwrap_or(0),
        patterns: RwLock::new(pattern::DEFAULTS.map(str::to_owned)),
        outputs: Outputs::default(),
        limits: limit::Limits::default(),
        sequence: AtomicU32::new(0),
        facility: AtomicU8::new(NO_FACILITY),
        program: program.to_owned(),
        started: std::time::Instant::now(),
    });
    if log::set_logger(&Logger).is_ok() {
        update_max_level();
    }
}

/// Sets the level of every module at `destination`, or at all of them.
pub fn set_all_levels(destination: Option<Destination>, level: Level) {
    if let Some(vlog) = VLOG.get() {
        for module in &vlog.modules {
            set_module_level(module, destination, level);
        }
        update_max_level();
    }
}

/// Opens the log file, or `LOGDIR/PROGRAM.log` where `path` is an already resolved default.
pub fn set_log_file(path: &std::path::Path) -> Result<(), OpenLogError> {
    match VLOG.get() {
        Some(vlog) => vlog.outputs.open_file(path),
        None => Ok(()),
    }
}

/// Opens the log file anew under its name, after somebody moved it away. `None` when there is no log file.
pub fn reopen_log_file() -> Option<Result<(), OpenLogError>> {
    VLOG.get().and_then(|vlog| vlog.outputs.reopen_file())
}

/// Gives the log file, if there is one, to a user by number.
pub fn give_log_file(user: u32, group: u32) -> Result<(), OpenLogError> {
    match VLOG.get() {
        Some(vlog) => vlog.outputs.give_file(user, group),
        None => Ok(()),
    }
}

/// Sets how the system log is reached: "libc" (/dev/log), "null", "unix:PATH" or "udp:HOST:PORT".
pub fn set_syslog_method(method: &str) -> Result<(), String> {
    match VLOG.get() {
        Some(vlog) => vlog.outputs.set_syslog_method(method),
        None => Ok(()),
    }
}

/// Sends what goes to the system log also to `HOST:PORT` over UDP, in the form of RFC 5424.
pub fn set_syslog_target(address: &str) -> Result<(), OpenLogError> {
    match VLOG.get() {
        Some(vlog) => vlog.outputs.set_syslog_target(address),
        None => Ok(()),
    }
}

fn set_module_level(module: &Module, destination: Option<Destination>, level: Level) {
    for d in Destination::ALL {
        if destination.is_none_or(|only| only == d) {
            module.levels[d as usize].store(level as u8, Ordering::Relaxed);
        }
    }
}

/// Tells the `log` crate the most detailed level that anybody wants, so that the rest costs one comparison.
fn update_max_level() {
    let Some(vlog) = VLOG.get() else { return };
    let most = vlog.modules.iter().flat_map(|m| Destination::ALL.map(|d| m.level(d))).max().unwrap_or(0);
    log::set_max_level(match Level::ALL[usize::from(most)] {
        Level::Off | Level::Emergency => log::LevelFilter::Off,
        Level::Error => log::LevelFilter::Error,
        Level::Warning => log::LevelFilter::Warn,
        Level::Info => log::LevelFilter::Info,
        Level::Debug => log::LevelFilter::Trace,
    });
}

impl Vlog {
    /// The module of a target, or the one that stands for those without: one step, whatever the destination.
    fn module(&self, target: &str) -> Option<&Module> {
        self.modules.get(self.places.get(target).copied().unwrap_or(self.fallback))
    }

    /// The facility, `default` unless one was set, and the severity, as syslog writes them.
    fn priority(&self, default: u8, level: Level) -> u8 {
        let facility = match self.facility.load(Ordering::Relaxed) {
            NO_FACILITY => default,
            set => set,
        };
        facility << 3 | level.syslog_severity()
    }

    fn write(&self, module: &Module, target: &str, level: Level, message: &str) {
        let line = pattern::Line {
            program: &self.program,
            module: target,
            level,
            message: message.trim_end_matches('\n'),
            priority: self.priority(FACILITY_LOCAL0, level),
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed) + 1,
            uptime: self.started.elapsed(),
            wall: std::time::SystemTime::now(),
        };
        let Ok(patterns) = self.patterns.read() else { return };
        for d in Destination::ALL {
            if level as u8 <= module.level(d) && self.outputs.wants(d) {
                let priority = self.priority(FACILITY_DAEMON, level);
                self.outputs.write(d, priority, &line.format(&patterns[d as usize]));
                if d == Destination::Syslog {
                    self.outputs.collect(|| line.format(pattern::RFC_5424));
                }
            }
        }
    }
}

/// The bridge from the `log` crate.
struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        let (target, _) = limit::parse_target(metadata.target());
        let module = VLOG.get().and_then(|vlog| vlog.module(target));
        module.is_some_and(|module| module.shows(Level::from_log(metadata.level())))
    }

    fn log(&self, record: &log::Record<'_>) {
        let level = Level::from_log(record.level());
        let (target, rate) = limit::parse_target(record.target());
        if let Some(vlog) = VLOG.get()
            && let Some(module) = vlog.module(target).filter(|module| module.shows(level))
        {
            if let Some(rate) = rate
                && module.rate_limited.load(Ordering::Relaxed)
            {
                match vlog.limits.judge(record, rate, std::time::Instant::now()) {
                    limit::Verdict::Write => {}
                    limit::Verdict::WriteAfter(note) => vlog.write(module, target, level, &note),
                    limit::Verdict::Drop => return,
                }
            }
            vlog.write(module, target, level, &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_its_own_module_or_the_one_that_stands_for_the_rest() {
        init("x");
        let vlog = VLOG.get().unwrap();
        let name = |target| vlog.module(target).map(|module| module.name);
        assert!(MODULES.iter().all(|module| name(module) == Some(*module)));
        assert_eq!(name("mio::poll"), Some("util"));
    }
}
