//! Hosts and the wires between them.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::programs::{Output, run};
use crate::{LIMIT, holds_within};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Namespaces and a directory, all of one test.
pub struct World {
    prefix: String,
    hosts: std::cell::RefCell<Vec<String>>,
    pub dir: tempfile::TempDir,
}

/// A host: a network namespace.
#[derive(Clone, Debug)]
pub struct Host {
    pub namespace: String,
}

impl Default for World {
    fn default() -> Self {
        World::new()
    }
}

impl World {
    pub fn new() -> World {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        World {
            prefix: format!("ib{}-{number}", std::process::id()),
            hosts: Default::default(),
            dir: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    /// A new host.
    pub fn host(&self, name: &str) -> Host {
        let namespace = format!("{}-{name}", self.prefix);
        run(Command::new("ip").args(["netns", "add", &namespace])).ok();
        self.hosts.borrow_mut().push(namespace.clone());
        let host = Host { namespace };
        host.ok("ip link set lo up");
        // Unasked router solicitations would disturb counters.
        host.run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1");
        host
    }

    /// A wire from device `a` of host `one` to device `b` of host `other`, both ends up.
    pub fn wire(&self, one: &Host, a: &str, other: &Host, b: &str) {
        let (x, y) = (&one.namespace, &other.namespace);
        // Asked from within the one host: from outside, older kernels refuse a name that the caller's own host has.
        run(Command::new("ip")
            .args(["-n", x, "link", "add", a, "type", "veth", "peer", "name", b, "netns", y]))
        .ok();
        one.ok(&format!("ip link set {a} up"));
        other.ok(&format!("ip link set {b} up"));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for namespace in self.hosts.borrow().iter() {
            // What cannot be removed is left to the machine's owner; the test's verdict stands.
            let _ = Command::new("ip").args(["netns", "del", namespace]).output();
        }
    }
}

impl Host {
    /// A command in this host.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }

    /// Runs a command line, split at blanks.
    #[track_caller]
    pub fn run(&self, line: &str) -> Output {
        let mut words = line.split_whitespace();
        run(self.command(words.next().unwrap_or_default()).args(words))
    }

    /// Runs a command line that must succeed; its output.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        self.run(line).ok()
    }

    /// Gives a device an address.
    pub fn address(&self, device: &str, address: &str) {
        self.ok(&format!("ip addr add {address} dev {device}"));
    }

    /// Adds a pair of devices that a wire joins, both up.
    pub fn wire(&self, one: &str, other: &str) {
        self.ok(&format!("ip link add {one} type veth peer name {other}"));
        self.ok(&format!("ip link set {one} up"));
        self.ok(&format!("ip link set {other} up"));
    }

    /// Whether pings are answered, sooner or later.
    pub fn reaches(&self, address: &str) -> bool {
        holds_within(LIMIT, || self.is_answered(address))
    }

    /// Whether a single ping is answered within a second. That it is not can be expected, that it is cannot: the first packet
    /// on a way waits for addresses, and on a busy machine for a processor.
    pub fn is_answered(&self, address: &str) -> bool {
        self.run(&format!("ping -c 1 -W 1 {address}")).status == 0
    }
}
