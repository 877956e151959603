//! The command line: one command, and options whose names are settings.
//!
//! `--NAME=VALUE` sets a text, `--NAME` and `--no-NAME` switch something on and
//! off. An unknown option is reported and ignored, as scripts for
//! other versions rely on.

use std::path::PathBuf;

use rpc::dirs;
use rpc::program::Stop;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Request {
    pub command: String,
    pub settings: Settings,
}

/// How to start and stop.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub system_id: Option<String>,
    pub system_type: Option<String>,
    pub system_version: Option<String>,
    /// `key=value`.
    pub external_ids: Vec<String>,
    pub full_hostname: bool,
    pub record_hostname: bool,
    pub delete_bridges: bool,
    pub delete_transient_ports: bool,
    pub daemon_cwd: PathBuf,
    pub force_corefiles: bool,
    pub dump_hugepages: bool,
    pub mlockall: bool,
    pub self_confinement: bool,
    pub monitor: bool,
    pub brcompat: bool,
    pub ovs_user: Option<String>,
    pub ovsdb_server: bool,
    pub ovs_vswitchd: bool,
    pub ovsdb_server_priority: Option<i32>,
    pub ovs_vswitchd_priority: Option<i32>,
    pub ovsdb_server_wrapper: Option<String>,
    pub ovs_vswitchd_wrapper: Option<String>,
    pub ovsdb_server_options: String,
    pub ovs_vswitchd_options: String,
    pub ovsdb_server_umask: Option<u32>,
    pub ovs_vswitchd_umask: Option<u32>,
    pub oom_score: Option<i32>,
    /// In blocks of 1024 bytes; `None` is no limit.
    pub ulimit_core: Option<u64>,
    pub db_file: PathBuf,
    pub db_sock: PathBuf,
    /// Without one, the schema that is built in.
    pub db_schema: Option<PathBuf>,
    pub extra_dbs: String,
    pub add_bridge: Option<String>,
    pub protocol: String,
    pub dport: Option<String>,
    pub sport: Option<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            system_id: None,
            system_type: None,
            system_version: None,
            external_ids: Vec::new(),
            full_hostname: true,
            record_hostname: true,
            delete_bridges: false,
            delete_transient_ports: false,
            daemon_cwd: PathBuf::from("/"),
            force_corefiles: true,
            dump_hugepages: false,
            mlockall: true,
            self_confinement: true,
            monitor: true,
            brcompat: false,
            ovs_user: None,
            ovsdb_server: true,
            ovs_vswitchd: true,
            ovsdb_server_priority: Some(-10),
            ovs_vswitchd_priority: Some(-10),
            ovsdb_server_wrapper: None,
            ovs_vswitchd_wrapper: None,
            ovsdb_server_options: String::new(),
            ovs_vswitchd_options: String::new(),
            ovsdb_server_umask: None,
            ovs_vswitchd_umask: None,
            oom_score: None,
            ulimit_core: Some(67_108_864),
            db_file: dirs::dbdir().join("conf.db"),
            db_sock: dirs::rundir().join("db.sock"),
            db_schema: None,
            extra_dbs: String::new(),
            add_bridge: None,
            protocol: "gre".to_owned(),
            dport: None,
            sport: None,
        }
    }
}

impl Settings {
    fn flag(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "full-hostname" => &mut self.full_hostname,
            "record-hostname" => &mut self.record_hostname,
            "delete-bridges" => &mut self.delete_bridges,
            "delete-transient-ports" => &mut self.delete_transient_ports,
            "force-corefiles" => &mut self.force_corefiles,
            "dump-hugepages" => &mut self.dump_hugepages,
            "mlockall" => &mut self.mlockall,
            "self-confinement" => &mut self.self_confinement,
            "monitor" => &mut self.monitor,
            "brcompat" => &mut self.brcompat,
            "ovsdb-server" => &mut self.ovsdb_server,
            "ovs-vswitchd" => &mut self.ovs_vswitchd,
            _ => return None,
        })
    }

    /// Takes in `--name=value`; outer `None` when there is no such setting.
    fn set(&mut self, name: &str, value: &str) -> Option<Result<(), String>> {
        let text = || (!value.is_empty()).then(|| value.to_owned());
        let wrong = |what: &str| format!("--{name}={value}: {what} expected");
        match name {
            "system-id" => self.system_id = text(),
            "system-type" => self.system_type = text(),
            "system-version" => self.system_version = text(),
            "daemon-cwd" => self.daemon_cwd = value.into(),
            "ovs-user" => self.ovs_user = text(),
            "ovsdb-server-wrapper" => self.ovsdb_server_wrapper = text(),
            "ovs-vswitchd-wrapper" => self.ovs_vswitchd_wrapper = text(),
            "ovsdb-server-options" => value.clone_into(&mut self.ovsdb_server_options),
            "ovs-vswitchd-options" => value.clone_into(&mut self.ovs_vswitchd_options),
            "db-file" => self.db_file = value.into(),
            "db-sock" => self.db_sock = value.into(),
            "db-schema" => self.db_schema = text().map(PathBuf::from),
            "extra-dbs" => value.clone_into(&mut self.extra_dbs),
            "add-bridge" => self.add_bridge = text(),
            "protocol" => value.clone_into(&mut self.protocol),
            "dport" => self.dport = text(),
            "sport" => self.sport = text(),
            "ovsdb-server-priority" | "ovs-vswitchd-priority" | "oom-score" => {
                let number = match text().map(|text| text.parse::<i32>()).transpose() {
                    Ok(number) => number,
                    Err(_) => return Some(Err(wrong("a number"))),
                };
                match name {
                    "oom-score" => self.oom_score = number,
                    "ovsdb-server-priority" => self.ovsdb_server_priority = number,
                    _ => self.ovs_vswitchd_priority = number,
                }
            }
            "ovsdb-server-umask" | "ovs-vswitchd-umask" => {
                let Ok(mask) = u32::from_str_radix(value, 8) else {
                    return Some(Err(wrong("an octal number")));
                };
                let field = match name {
                    "ovsdb-server-umask" => &mut self.ovsdb_server_umask,
                    _ => &mut self.ovs_vswitchd_umask,
                };
                *field = Some(mask);
            }
            "ulimit-core" => match value {
                "unlimited" => self.ulimit_core = None,
                _ => match value.parse() {
                    Ok(blocks) => self.ulimit_core = Some(blocks),
                    Err(_) => return Some(Err(wrong("a number"))),
                },
            },
            "ike-daemon" | "ovs-monitor-ipsec-options" => {}
            _ => match (self.flag(name)?, value) {
                (flag, "yes") => *flag = true,
                (flag, "no") => *flag = false,
                _ => return Some(Err(wrong("yes or no"))),
            },
        }
        Some(Ok(()))
    }
}

/// A refusal under the program's name.
fn fail(text: impl std::fmt::Display) -> Stop {
    Stop::Fail(format!("{}: {text}", crate::PROGRAM))
}

/// Reads the command line. What is not known and ignored is reported at once.
pub(crate) fn parse(args: Vec<String>) -> Result<Request, Stop> {
    let mut settings = Settings::default();
    let mut command: Option<String> = None;
    for arg in args {
        let known = match arg.strip_prefix("--") {
            None if arg == "-h" => return Err(Stop::Print(usage())),
            None if arg == "-V" => return Err(version()),
            None if arg.starts_with('-') => false,
            None => {
                if command.replace(arg).is_some() {
                    let text = "exactly one non-option argument required (use --help for help)";
                    return Err(fail(text));
                }
                continue;
            }
            Some("help") => return Err(Stop::Print(usage())),
            Some("version") => return Err(version()),
            Some(option) => apply(&mut settings, option)?,
        };
        if !known {
            let text = format!("unknown option \"{arg}\" (use --help for help)");
            if !arg.starts_with("--") {
                return Err(fail(text));
            }
            eprintln!("{}: {text}", crate::PROGRAM);
        }
    }
    match command.as_deref() {
        None => Err(fail("missing command name (use --help for help)")),
        Some("help") => Err(Stop::Print(usage())),
        Some(command) => Ok(Request { command: command.to_owned(), settings }),
    }
}

fn version() -> Stop {
    Stop::Print(format!("{}\n", rpc::version_text(crate::PROGRAM)))
}

/// Takes in an option without its dashes; whether it is known.
fn apply(settings: &mut Settings, option: &str) -> Result<bool, Stop> {
    match option.split_once('=') {
        Some(("external-id", pair)) => {
            if !pair.contains('=') {
                let text = "--external-id argument not in the form \"key=value\"";
                return Err(fail(text));
            }
            settings.external_ids.push(pair.to_owned());
            Ok(true)
        }
        Some((name, value)) => match settings.set(name, value) {
            Some(result) => result.map(|()| true).map_err(fail),
            None => Ok(false),
        },
        None => {
            let (name, value) = match option.strip_prefix("no-") {
                Some(name) => (name, false),
                None => (option, true),
            };
            let flag = settings.flag(name);
            Ok(flag.map(|flag| *flag = value).is_some() || name == "restart-ike-daemon")
        }
    }
}

fn usage() -> String {
    let defaults = Settings::default();
    format!(
        "\
ovs-ctl: controls Open vSwitch daemons
usage: ovs-ctl [OPTIONS] COMMAND

Commands:
  start                       start the daemons that do not run
  stop                        stop the daemons that have a pid file
  restart                     stop and start them, keeping the rules of bridges
  status                      tell which daemons run
  version                     print versions of the daemons
  load-kmod                   does nothing: no kernel module is needed
  force-reload-kmod           the same as restart: there is no kernel module
  enable-protocol             let a protocol in with iptables
  delete-transient-ports      delete ports with other_config:transient=true
  record-hostname-if-not-set  record the system's name in the database
  help                        display this help message

Options for \"start\" and \"restart\":
  --system-id=UUID            the ID that identifies this system
  --system-id=random          an ID drawn once and kept
  --system-type=TYPE          the type of this system
  --system-version=VERSION    the version of this system
  --external-id=KEY=VALUE     a pair for external-ids of Open_vSwitch
  --add-bridge=BRIDGE         make sure that this bridge is there
  --brcompat                  start ovs-brcompatd as well
  --delete-bridges            delete all bridges before ovs-vswitchd starts
  --delete-transient-ports    delete transient ports before it starts
  --ovs-user=USER[:GROUP]     run the daemons as this user
  --no-ovsdb-server           leave ovsdb-server alone
  --no-ovs-vswitchd           leave ovs-vswitchd alone
  --no-monitor                do not watch the daemons and restart them
  --no-mlockall               do not lock ovs-vswitchd into memory
  --no-self-confinement       daemons may open files anywhere
  --no-force-corefiles        leave the limit on core files alone
  --dump-hugepages            include hugepages in core dumps
  --ulimit-core=LIMIT         limit on core files, in KiB
  --oom-score=SCORE           the daemons' oom_score_adj
  --daemon-cwd=DIR            where the daemons work (default: {cwd})
  --no-full-hostname          record the short hostname
  --no-record-hostname        do not record the hostname
  --ovsdb-server-priority=NICE, --ovs-vswitchd-priority=NICE
                              niceness (default: -10)
  --ovsdb-server-options=OPTIONS, --ovs-vswitchd-options=OPTIONS
                              further options for the daemon
  --ovsdb-server-umask=MODE, --ovs-vswitchd-umask=MODE
                              umask of the daemon
  --ovsdb-server-wrapper=WRAPPER, --ovs-vswitchd-wrapper=WRAPPER
                              run the daemon under valgrind or strace

Where files are:
  --db-file=FILE              the database (default: {db})
  --db-sock=SOCKET            its socket (default: {sock})
  --db-schema=FILE            its schema (default: built in)
  --extra-dbs=FILES           further databases to serve

Options for \"enable-protocol\":
  --protocol=PROTOCOL         what to let in (default: gre)
  --sport=PORT, --dport=PORT  from and to which port

Other options:
  -h, --help                  display this help message
  -V, --version               display version information

OVS_LOGDIR, OVS_RUNDIR, OVS_DBDIR and OVS_SYSCONFDIR move the directories.
",
        cwd = defaults.daemon_cwd.display(),
        db = defaults.db_file.display(),
        sock = defaults.db_sock.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, Stop> {
        parse(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn options_are_settings_by_name() {
        let line = "--system-id=random --no-monitor --db-file=/x/conf.db start --external-id=a=b=c \
                    --ovs-vswitchd-priority= --ovsdb-server-umask=0027 --monitor=no";
        let request = parsed(line).unwrap();
        let settings = request.settings;
        assert_eq!(request.command, "start");
        assert_eq!(settings.system_id.as_deref(), Some("random"));
        assert!(!settings.monitor && settings.mlockall);
        assert_eq!(settings.db_file, PathBuf::from("/x/conf.db"));
        assert_eq!(settings.external_ids, ["a=b=c"]);
        assert_eq!((settings.ovs_vswitchd_priority, settings.ovsdb_server_priority), (None, Some(-10)));
        assert_eq!(settings.ovsdb_server_umask, Some(0o027));
    }

    #[test]
    fn what_is_not_known_is_passed_over_in_long_form_only() {
        assert_eq!(parsed("--from-another-version --no-such --x=y status").unwrap().command, "status");
        assert_eq!(
            parsed("-x status").unwrap_err(),
            Stop::Fail("ovs-ctl: unknown option \"-x\" (use --help for help)".to_owned())
        );
    }

    #[test]
    fn mistakes_are_one_line_each() {
        let refused = |line: &str| match parsed(line).unwrap_err() {
            Stop::Fail(text) => text.replace("ovs-ctl: ", ""),
            Stop::Print(_) => "printed".to_owned(),
        };
        assert_eq!(refused(""), "missing command name (use --help for help)");
        assert_eq!(refused("start stop"), "exactly one non-option argument required (use --help for help)");
        assert_eq!(refused("--external-id=a start"), "--external-id argument not in the form \"key=value\"");
        assert_eq!(refused("--oom-score=x start"), "--oom-score=x: a number expected");
        assert_eq!(refused("--monitor=maybe start"), "--monitor=maybe: yes or no expected");
        assert_eq!(refused("--help"), "printed");
    }
}
