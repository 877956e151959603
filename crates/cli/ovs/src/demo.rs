//! `ovs demo`: two hosts with a switch each, four VMs, and the VLANs that part
//! and join them; all in network namespaces of its own, which go at the end.
//!
//! Network namespaces take root. Who is not becomes root of a user namespace
//! first, where the kernel lets people have one: the program runs itself there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The four cases: what they are, the tag of each VM, the pairs that reach each other.
const CASES: [(&str, [u16; 4], &[(usize, usize)]); 4] = [
    ("VM1 and VM2 in one VLAN", [1, 1, 3, 4], &[(1, 2)]),
    ("VM1 and VM2 in two VLANs", [1, 2, 3, 4], &[]),
    ("all four in one VLAN, on two hosts", [1, 1, 1, 1], &[(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]),
    ("two VLANs across one wire", [1, 2, 1, 2], &[(1, 3), (2, 4)]),
];

/// The word by which the program knows that it runs in a user namespace of its own.
const INSIDE: &str = "--in-user-namespace";

const USAGE: &str = "\
usage: ovs demo
Makes two hosts with four VMs in network namespaces, shows who reaches whom as VLAN tags change, and removes
everything again. It needs root, or a kernel that lets users have namespaces, and the programs ip and ping.
";

/// The program. Returns failure when a case did not come out as it should.
pub(crate) fn demo(args: Vec<String>) -> ExitCode {
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] if rustix::process::geteuid().is_root() => walk(),
        [] => in_user_namespace(),
        ["-h" | "--help"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        [INSIDE] => own_run_directory().and_then(|()| walk()),
        [word, ..] => Err(format!("unknown option '{word}'")),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("ovs: demo: {text}");
            ExitCode::FAILURE
        }
    }
}

fn walk() -> Result<bool> {
    Demo::new().and_then(|mut demo| demo.run())
}

/// Runs the demo in a user namespace, whose root may make network namespaces.
fn in_user_namespace() -> Result<bool> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--mount"]);
        command
    };
    run(unshare().arg("true")).map_err(|text| {
        format!(
            "it makes network namespaces, which takes root, or a kernel that lets users have namespaces of \
             their own (the sysctls user.max_user_namespaces and kernel.unprivileged_userns_clone): {text}"
        )
    })?;
    let program = std::env::current_exe().map_err(|e| rpc::error_text(&e))?;
    let status = unshare().arg(program).args(["demo", INSIDE]).status();
    status.map(|status| status.success()).map_err(|e| format!("unshare: {}", rpc::error_text(&e)))
}

/// In a mount namespace of its own: a place for what "ip netns" keeps, where the user may write.
fn own_run_directory() -> Result<()> {
    run(Command::new("mount").args(["-t", "tmpfs", "ovs-demo", "/run"])).map(drop)
}

/// What was made; dropping it removes it.
struct Demo {
    program: PathBuf,
    dir: PathBuf,
    prefix: String,
    namespaces: Vec<String>,
    daemons: Vec<Child>,
}

type Result<T> = std::result::Result<T, String>;

impl Demo {
    fn new() -> Result<Demo> {
        let prefix = format!("ovsdemo{}", std::process::id());
        let dir = std::env::temp_dir().join(&prefix);
        std::fs::create_dir(&dir).map_err(|e| format!("{}: {}", dir.display(), rpc::error_text(&e)))?;
        let program = std::env::current_exe().map_err(|e| rpc::error_text(&e))?;
        Ok(Demo { program, dir, prefix, namespaces: Vec::new(), daemons: Vec::new() })
    }

    fn run(&mut self) -> Result<bool> {
        println!("Host A with VM3 and VM4, host B with VM1 and VM2, one wire between them.\n");
        for host in ["A", "B"] {
            self.namespace(host)?;
        }
        self.wire("A", "eth0", "B", "eth0")?;
        for vm in 1..=4 {
            let name = format!("vm{vm}");
            self.namespace(&name)?;
            self.wire(host_of(vm), &format!("tap{vm}.0"), &name, "eth0")?;
            self.inside(&name, &format!("ip addr add 10.4.0.{vm}/24 dev eth0"))?;
        }
        for host in ["A", "B"] {
            self.start_switch(host)?;
        }
        self.start_collector("A")?;
        let mut all_right = true;
        for (number, (what, tags, pairs)) in CASES.into_iter().enumerate() {
            all_right &= self.case(number + 1, what, tags, pairs)?;
        }
        println!("The rules of host A:\n{}", self.ovs("A", "ofctl", &["dump-flows", "ovsbr0"])?);
        println!("Its megaflows:\n{}", self.ovs("A", "appctl", &["dpctl/dump-flows", "--names"])?);
        println!("What sFlow reported of host A:\n{}", self.sampled());
        println!(
            "{}",
            if all_right {
                "Every case came out as it should."
            } else {
                "A case did not come out as it should."
            }
        );
        Ok(all_right)
    }

    fn case(&self, number: usize, what: &str, tags: [u16; 4], pairs: &[(usize, usize)]) -> Result<bool> {
        for (vm, tag) in (1..).zip(tags) {
            self.ovs(host_of(vm), "vsctl", &["set", "port", &format!("tap{vm}.0"), &format!("tag={tag}")])?;
        }
        let listed = tags.map(|tag| tag.to_string()).join(", ");
        println!("{number}. {what} (tags {listed})");
        let mut right = true;
        for (from, to, expected, reached) in self.ping_all(pairs) {
            right &= reached == expected;
            let verdict = if reached == expected { "" } else { "   <- it should not be so" };
            println!("     VM{from} {} VM{to}{verdict}", if reached { "reaches" } else { "does not reach" });
        }
        println!();
        Ok(right)
    }

    /// All pairs at once, since who is not reached is waited for: from, to, whether it should be, whether it is.
    fn ping_all(&self, pairs: &[(usize, usize)]) -> Vec<(usize, usize, bool, bool)> {
        let all = (1..=4).flat_map(|from| (from + 1..=4).map(move |to| (from, to)));
        std::thread::scope(|scope| {
            let running: Vec<_> = all
                .map(|(from, to)| {
                    let expected = pairs.contains(&(from, to));
                    let tries = if expected { 5 } else { 1 };
                    (from, to, expected, scope.spawn(move || self.reaches(from, to, tries)))
                })
                .collect();
            running
                .into_iter()
                // A ping that panicked reached nobody.
                .map(|(from, to, expected, ping)| (from, to, expected, ping.join().unwrap_or(false)))
                .collect()
        })
    }

    fn reaches(&self, from: usize, to: usize, tries: u32) -> bool {
        let ping = format!("ping -c 1 -W 1 10.4.0.{to}");
        (0..tries).any(|_| self.inside(&format!("vm{from}"), &ping).is_ok())
    }

    fn name(&self, host: &str) -> String {
        format!("{}-{host}", self.prefix)
    }

    fn namespace(&mut self, host: &str) -> Result<()> {
        let name = self.name(host);
        run(Command::new("ip").args(["netns", "add", &name]))?;
        self.namespaces.push(name);
        self.inside(host, "ip link set lo up").map(drop)
    }

    fn wire(&self, one: &str, a: &str, other: &str, b: &str) -> Result<()> {
        let (x, y) = (self.name(one), self.name(other));
        // Asked from within the one host: from outside, older kernels refuse a name that the caller's own host has.
        run(Command::new("ip")
            .args(["-n", &x, "link", "add", a, "type", "veth", "peer", "name", b, "netns", &y]))?;
        self.inside(one, &format!("ip link set {a} up"))?;
        self.inside(other, &format!("ip link set {b} up")).map(drop)
    }

    /// Runs a command line on a host.
    fn inside(&self, host: &str, line: &str) -> Result<String> {
        run(Command::new("ip").args(["netns", "exec", &self.name(host)]).args(line.split_whitespace()))
    }

    /// A command of our own with the directories of `host`.
    fn command(&self, host: &str, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(host)]).arg(&self.program).args(words);
        for variable in ["OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"] {
            command.env(variable, self.dir.join(host));
        }
        command
    }

    fn ovs(&self, host: &str, program: &str, words: &[&str]) -> Result<String> {
        run(self.command(host, &[program]).args(words))
    }

    fn start_switch(&mut self, host: &str) -> Result<()> {
        let dir = self.dir.join(host);
        std::fs::create_dir(&dir).map_err(|e| rpc::error_text(&e))?;
        let database = dir.join("conf.db").display().to_string();
        run(&mut self.command(host, &["ovsdb-tool", "create", &database]))?;
        let mut command = self.command(host, &["up", "--foreground"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.daemons.push(command.spawn().map_err(|e| rpc::error_text(&e))?);
        wait_for(&dir.join("ovs-vswitchd.pid"))?;
        let taps = (1..=4).filter(|vm| host_of(*vm) == host).map(|vm| format!("tap{vm}.0"));
        self.ovs(host, "vsctl", &["--no-wait", "init"])?;
        self.ovs(host, "vsctl", &["--no-wait", "add-br", "ovsbr0"])?;
        let mut words = vec!["--timeout=20".to_owned()];
        for port in std::iter::once("eth0".to_owned()).chain(taps) {
            words.extend(["--", "add-port", "ovsbr0"].map(str::to_owned));
            words.push(port);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.ovs(host, "vsctl", &words)?;
        let error = self.ovs(host, "vsctl", &["get", "interface", "ovsbr0", "error"])?;
        if !matches!(error.trim(), "[]" | "\"\"") {
            // The VMs do without it.
            println!("Host {host}'s own port is missing: {}", error.trim().trim_matches('"'));
        }
        Ok(())
    }
}

/// sFlow from a host to a collector on it.
impl Demo {
    fn samples_file(&self) -> PathBuf {
        self.dir.join("sflow")
    }

    fn start_collector(&mut self, host: &str) -> Result<()> {
        let file = std::fs::File::create(self.samples_file()).map_err(|e| rpc::error_text(&e))?;
        let mut command = self.command(host, &["collect", "sflow", "-4", "-p", "6343", "-l"]);
        command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null());
        self.daemons.push(command.spawn().map_err(|e| rpc::error_text(&e))?);
        // Port 6343 in hexadecimal.
        until("a collector", || Ok(self.inside(host, "cat /proc/net/udp")?.contains(":18C7 ")))?;
        let sflow = [
            "--id=@s",
            "create",
            "sflow",
            "agent=lo",
            "target=\"127.0.0.1:6343\"",
            "sampling=1",
            "polling=1",
        ];
        let bridge = ["--", "set", "bridge", "ovsbr0", "sflow=@s"];
        self.ovs(host, "vsctl", &[&["--timeout=20", "--"], &sflow[..], &bridge[..]].concat()).map(drop)
    }

    /// Who sent how many packets to whom, as the samples so far tell.
    fn sampled(&self) -> String {
        let mut pairs: BTreeMap<(String, String), usize> = BTreeMap::new();
        // Samples are sent each second; without any there is nothing to tell.
        let _ = until("samples", || Ok(self.count_samples(&mut pairs)));
        let name = |address: &str| address.replace("10.4.0.", "VM");
        let line = |((from, to), count): (&(String, String), &usize)| {
            format!("     {} to {}: {count} packets\n", name(from), name(to))
        };
        pairs.iter().map(line).collect()
    }

    /// Takes in the samples of pings between VMs; whether there are any.
    fn count_samples(&self, pairs: &mut BTreeMap<(String, String), usize>) -> bool {
        pairs.clear();
        for line in std::fs::read_to_string(self.samples_file()).unwrap_or_default().lines() {
            let fields: Vec<&str> = line.split(',').collect();
            if let ["FLOW", _, _, _, _, _, "0x0800", _, _, from, to, ..] = fields.as_slice() {
                *pairs.entry(((*from).to_owned(), (*to).to_owned())).or_default() += 1;
            }
        }
        !pairs.is_empty()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            // It may have ended by itself; what matters is that it is gone.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        for name in &self.namespaces {
            let _ = run(Command::new("ip").args(["netns", "del", name]));
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn host_of(vm: usize) -> &'static str {
    if vm <= 2 { "B" } else { "A" }
}

/// Waits until something is there.
fn until(what: &str, mut is_there: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_there()? {
        if start.elapsed() > Duration::from_secs(20) {
            return Err(format!("{what} did not appear"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Waits until a daemon has made its pidfile and its database listens.
fn wait_for(file: &Path) -> Result<()> {
    let socket = file.with_file_name("db.sock");
    let connects = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
    until(&file.display().to_string(), || Ok(file.exists() && connects()))
}

/// Runs a command; what it printed, or what went wrong.
fn run(command: &mut Command) -> Result<String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let shown = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let done =
        command.stdin(Stdio::null()).output().map_err(|e| format!("{shown}: {}", rpc::error_text(&e)))?;
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    } else {
        Err(format!("{shown}: {}", String::from_utf8_lossy(&done.stderr).trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vms_reach_each_other_where_their_tags_are_equal() {
        for (case, tags, reaching) in CASES {
            for a in 1..=4 {
                for b in a + 1..=4 {
                    let expected = tags[a - 1] == tags[b - 1];
                    assert_eq!(reaching.contains(&(a, b)), expected, "{case}: VM{a} and VM{b}");
                }
            }
        }
    }

    #[test]
    fn a_command_that_fails_is_named_with_what_it_said() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo why >&2; exit 3"]);
        assert_eq!(run(&mut command), Err("sh -c echo out; echo why >&2; exit 3: why".to_owned()));
        assert_eq!(run(Command::new("echo").arg("out")), Ok("out\n".to_owned()));
    }
}
