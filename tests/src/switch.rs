//! A database server and a switch daemon with a run directory of their own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::programs::{Output, Programs, run};
use crate::until;
use crate::world::{Host, World};

/// A running switch.
pub struct Switch {
    pub host: Host,
    pub dir: PathBuf,
    programs: Programs,
    /// What the switch daemon is told beside where the database is.
    daemon_args: Vec<String>,
    database: Option<Child>,
    daemon: Option<Child>,
}

impl Switch {
    /// Makes a database and starts both daemons in `host`.
    pub fn start(world: &World, host: &Host, name: &str, programs: Programs) -> Switch {
        Switch::start_with(world, host, name, programs, &[])
    }

    /// The same, with more arguments for the switch daemon.
    pub fn start_with(
        world: &World,
        host: &Host,
        name: &str,
        programs: Programs,
        daemon_args: &[&str],
    ) -> Switch {
        let dir = world.dir.path().join(name);
        std::fs::create_dir(&dir).expect("a run directory");
        let daemon_args = daemon_args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut switch =
            Switch { host: host.clone(), dir, programs, daemon_args, database: None, daemon: None };
        let database = switch.database_file();
        let mut create = switch.command("ovsdb-tool");
        create.arg("create").arg(&database);
        if programs == Programs::Reference {
            create.arg("/usr/share/openvswitch/vswitch.ovsschema");
        }
        run(&mut create).ok();
        switch.start_database();
        switch.ctl("ovs-vsctl", "--no-wait init").ok();
        switch.start_daemon();
        switch
    }

    pub fn database_file(&self) -> PathBuf {
        self.dir.join("conf.db")
    }

    /// A command with this switch's directories.
    pub fn command(&self, program: &str) -> Command {
        self.command_of(self.programs, program)
    }

    /// A command of anybody's programs with this switch's directories.
    pub fn command_of(&self, programs: Programs, program: &str) -> Command {
        let mut command = self.host.command(programs.path(program));
        for name in ["RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR"] {
            for family in ["OVS", "OVN"] {
                command.env(format!("{family}_{name}"), &self.dir);
            }
        }
        command
    }

    /// Runs a client program, its words split at blanks.
    #[track_caller]
    pub fn ctl(&self, program: &str, line: &str) -> Output {
        run(self.command(program).args(line.split_whitespace()))
    }

    /// The same with anybody's client.
    #[track_caller]
    pub fn ctl_of(&self, programs: Programs, program: &str, words: &[&str]) -> Output {
        run(self.command_of(programs, program).args(words))
    }

    #[track_caller]
    pub fn vsctl(&self, line: &str) -> String {
        self.ctl("ovs-vsctl", &format!("--timeout=60 {line}")).ok()
    }

    #[track_caller]
    pub fn ofctl(&self, line: &str) -> String {
        self.ctl("ovs-ofctl", line).ok()
    }

    #[track_caller]
    pub fn appctl(&self, line: &str) -> String {
        self.ctl("ovs-appctl", line).ok()
    }

    fn spawn(&self, program: &str, args: &[String]) -> Child {
        let log = std::fs::File::create(self.dir.join(format!("{program}.out"))).expect("a log file");
        let errors = log.try_clone().expect("a log file");
        let mut command = self.command(program);
        command.args(args).stdin(Stdio::null()).stdout(log).stderr(errors);
        command.spawn().unwrap_or_else(|e| panic!("{program}: {e}"))
    }

    pub fn start_database(&mut self) {
        let dir = self.dir.display();
        let args = [
            format!("{dir}/conf.db"),
            format!("--remote=punix:{dir}/db.sock"),
            "--remote=db:Open_vSwitch,Open_vSwitch,manager_options".to_owned(),
            "--pidfile".to_owned(),
            "--log-file".to_owned(),
            "-vconsole:off".to_owned(),
        ];
        self.database = Some(self.spawn("ovsdb-server", &args));
        let socket = self.dir.join("db.sock");
        until("the database listens", || connects(&socket));
    }

    pub fn start_daemon(&mut self) {
        let dir = self.dir.display();
        let mut args = vec![
            format!("unix:{dir}/db.sock"),
            "--pidfile".to_owned(),
            "--log-file".to_owned(),
            "-vconsole:off".to_owned(),
        ];
        args.extend(self.daemon_args.iter().cloned());
        self.daemon = Some(self.spawn("ovs-vswitchd", &args));
        until("the switch answers", || self.ctl("ovs-appctl", "version").status == 0);
    }

    /// Kills the database server as a crash would.
    pub fn kill_database(&mut self) {
        kill(self.database.take());
    }

    /// Kills the switch daemon as a crash would.
    pub fn kill_daemon(&mut self) {
        kill(self.daemon.take());
    }

    /// Ends the switch daemon by SIGTERM, as who is about to start it again does.
    pub fn end_daemon(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            run(Command::new("kill").arg(child.id().to_string())).ok();
            child.wait().expect("an end");
        }
    }

    /// The switch daemon's process.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("a daemon").id()
    }

    /// How much memory the switch daemon has, in bytes.
    pub fn memory(&self) -> usize {
        let pid = self.daemon.as_ref().expect("a daemon").id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
    }

    /// How many files and sockets the switch daemon has open.
    pub fn open_files(&self) -> usize {
        let pid = self.daemon.as_ref().expect("a daemon").id();
        std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a process").count()
    }

    /// Whether both daemons run.
    pub fn is_alive(&mut self) -> bool {
        [&mut self.database, &mut self.daemon]
            .into_iter()
            .all(|child| child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))))
    }
}

/// `ip netns exec` replaces itself by the program, so the child is the program.
fn kill(child: Option<Child>) {
    if let Some(mut child) = child {
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in ["ovs-vswitchd.log", "ovsdb-server.log", "ovs-vswitchd.out", "ovsdb-server.out"] {
                if let Ok(text) = std::fs::read_to_string(self.dir.join(log)) {
                    eprintln!("--- {log}\n{text}");
                }
            }
        }
        self.kill_daemon();
        self.kill_database();
    }
}

fn connects(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}
