//! The database server among strangers: the reference's Python replica and its `ovs-vsctl` read and write at
//! random while the server is killed and compacts. In the end every copy must be what the server holds.
//!
//! `PEERS_SECONDS` says for how long; a few seconds by default.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use end_to_end::{Programs, until};

const SCRIPT: &str = include_str!("ovsdb_peers.py");
pub(crate) const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
/// Debian's Python, which has Debian's modules.
const PYTHON: &str = "/usr/bin/python3";
/// Debian's `ovs-vsctl`, whose replica is the one in C.
const REFERENCE_VSCTL: &str = "/usr/bin/ovs-vsctl";

fn can_run() -> bool {
    let imported = Command::new(PYTHON).args(["-c", "import ovs"]).stderr(Stdio::null()).status();
    let ready = imported.is_ok_and(|status| status.success()) && Path::new(SCHEMA).exists();
    if !ready {
        eprintln!("skipped: Debian's python3-openvswitch and openvswitch-common are wanted");
    }
    ready
}

/// A process that ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A database server of ours with the switch's schema, by itself.
pub(crate) struct Server {
    directory: PathBuf,
    running: Option<Running>,
}

impl Server {
    pub(crate) fn start(directory: &Path) -> Server {
        let mut server = Server { directory: directory.to_owned(), running: None };
        let created = Command::new(Programs::Ours.path("ovsdb-tool"))
            .args(["create", &server.path("d.db"), SCHEMA])
            .status()
            .unwrap();
        assert!(created.success());
        server.restart();
        let init = Command::new(Programs::Ours.path("ovs-vsctl"))
            .arg(format!("--db=unix:{}", server.path("s")))
            .args(["--no-wait", "init"])
            .status()
            .unwrap();
        assert!(init.success());
        server
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// Kills the server without warning, where there is one, and starts it again.
    pub(crate) fn restart(&mut self) {
        self.running = None;
        let child = Command::new(Programs::Ours.path("ovsdb-server"))
            .arg(self.path("d.db"))
            .arg(format!("--remote=punix:{}", self.path("s")))
            .arg(format!("--unixctl={}", self.path("ctl")))
            .arg("-vconsole:off")
            .spawn()
            .unwrap();
        self.running = Some(Running(child));
        until("the server listens", || std::os::unix::net::UnixStream::connect(self.path("s")).is_ok());
    }

    /// The number of the server's process.
    pub(crate) fn process(&self) -> u32 {
        self.running.as_ref().map(|running| running.0.id()).unwrap()
    }

    pub(crate) fn compact(&self) {
        let done = Command::new(Programs::Ours.path("ovs-appctl"))
            .args(["-t", &self.path("ctl"), "ovsdb-server/compact"])
            .status()
            .unwrap();
        assert!(done.success());
    }

    fn truth(&self) -> String {
        let output = Command::new(PYTHON)
            .args([&self.path("peer.py"), "truth", &self.path("s")])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

struct Peer {
    _running: Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start(server: &Server, seed: u32) -> Peer {
        let mut child = Command::new(PYTHON)
            .args([&server.path("peer.py"), "peer", &format!("unix:{}", server.path("s")), SCHEMA])
            .arg(seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Peer { _running: Running(child), input, output: BufReader::new(output) }
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
    }

    /// How many transactions it has committed, and its copy.
    fn dump(&mut self) -> (u64, String) {
        self.tell("dump");
        let mut line = || {
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            line.trim().to_owned()
        };
        (line().parse().unwrap(), line())
    }
}

#[test]
fn copies_of_strangers_are_what_the_server_holds() {
    if !can_run() {
        return;
    }
    let seconds = std::env::var("PEERS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("peer.py"), SCRIPT).unwrap();
    let mut server = Server::start(directory.path());
    let mut peers: Vec<Peer> = (0..3).map(|seed| Peer::start(&server, seed)).collect();
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut round, mut written) = (0u32, 0u32);
    while Instant::now() < end {
        round += 1;
        let vsctl = Command::new(REFERENCE_VSCTL)
            .arg(format!("--db=unix:{}", server.path("s")))
            .args(["--no-wait", "--timeout=5", "set", "Open_vSwitch", "."])
            .arg(format!("external_ids:vsctl={round}"))
            .stderr(Stdio::null())
            .status();
        written += u32::from(vsctl.is_ok_and(|status| status.success()));
        if round.is_multiple_of(40) {
            server.compact();
        }
        if round.is_multiple_of(150) {
            server.restart();
        }
    }
    // One of each at the end, so that the last state has gone through both.
    server.compact();
    peers.iter_mut().for_each(|peer| peer.tell("stop"));
    server.restart();
    let mut truth = String::new();
    until("all copies are what the server holds", || {
        truth = server.truth();
        peers.iter_mut().all(|peer| peer.dump().1 == truth)
    });
    let committed: Vec<u64> = peers.iter_mut().map(|peer| peer.dump().0).collect();
    eprintln!("{committed:?} and {written} transactions, {} bytes in the end", truth.len());
    assert!(written > 0 && committed[1..].iter().all(|n| *n > 10), "{committed:?}, {written}");
}
