//! What `ovs up` prints to type next: lines that work unchanged, on this machine, in this shell.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use base::shell::quoted;
use rpc::hint;

/// The variables that say where files are.
const DIRECTORIES: [&str; 4] = ["OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"];

/// What the text depends on.
struct Surroundings {
    log: PathBuf,
    /// The variables that are set.
    directories: Vec<(&'static str, String)>,
    programs: Found,
    port: Port,
    /// What the process lacks to use network devices.
    missing: Vec<&'static str>,
}

/// How the shell finds our programs.
enum Found {
    /// By their names, as things are.
    OnPath,
    /// When this directory is searched.
    In(PathBuf),
    /// Only as commands of this executable.
    OnlyAs(PathBuf),
}

/// A device to become a port.
enum Port {
    /// One that is there and idle.
    Idle(String),
    /// One end of a pair that is to be made, and the other.
    Pair(String, String),
}

/// The text that `ovs up` ends with.
pub(crate) fn text(log: &Path) -> String {
    let set = |name: &'static str| Some((name, std::env::var(name).ok().filter(|value| !value.is_empty())?));
    compose(&Surroundings {
        log: log.to_owned(),
        directories: DIRECTORIES.into_iter().filter_map(set).collect(),
        programs: find_programs(),
        port: choose_port(),
        missing: netdev::rights::missing(),
    })
}

fn compose(around: &Surroundings) -> String {
    let (mut lines, mut program): (Vec<String>, Box<dyn Fn(&str) -> String>) =
        (Vec::new(), Box::new(|name| name.to_owned()));
    match &around.programs {
        Found::OnPath => {}
        Found::In(dir) => lines.push(format!("export PATH={}:$PATH", quoted(&dir.display().to_string()))),
        Found::OnlyAs(executable) => {
            let ovs = quoted(&executable.display().to_string());
            program = Box::new(move |name| match name.strip_prefix("ovs-") {
                Some(short) => format!("{ovs} {short}"),
                None => ovs.clone(),
            });
        }
    }
    if !around.directories.is_empty() {
        let set: Vec<String> =
            around.directories.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
        lines.push(format!("export {}", set.join(" ")));
    }
    let (vsctl, appctl) = (program("ovs-vsctl"), program("ovs-appctl"));
    lines.push(format!("{vsctl} --may-exist add-br br0"));
    let port = match &around.port {
        Port::Idle(name) => name,
        Port::Pair(one, other) => {
            lines.push(format!("ip link add {one} type veth peer name {other}"));
            one
        }
    };
    lines.push(format!("{vsctl} --may-exist add-port br0 {port}"));
    lines.push(format!("{vsctl} show"));
    lines.push(format!("{appctl} ofproto/trace br0 in_port={port},tcp"));
    let steps: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    let note = match around.missing.as_slice() {
        [] => String::new(),
        names => format!(
            "It lacks {}: it cannot use network devices until it is started with that.\n",
            names.join(" and ")
        ),
    };
    let log = around.log.display();
    let down = format!("{} down", program("ovs"));
    format!("The switch is up. Its log is {log}.\n{note}Next:\n\n{steps}\nand to stop it:\n\n    {down}\n")
}

fn find_programs() -> Found {
    let ours = std::env::current_exe().and_then(std::fs::canonicalize).unwrap_or_default();
    let is_ours = |file: &Path| std::fs::canonicalize(file).is_ok_and(|file| file == ours);
    let has_links =
        |dir: &Path| ["ovs", "ovs-vsctl", "ovs-appctl"].iter().all(|name| is_ours(&dir.join(name)));
    let on_path = |name: &&str| hint::on_path(name).is_some_and(|file| is_ours(&file));
    if ["ovs", "ovs-vsctl", "ovs-appctl"].iter().all(on_path) {
        return Found::OnPath;
    }
    // The link that it was called by stands among the others.
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let called = std::path::absolute(called).unwrap_or_default();
    match called.parent().filter(|dir| has_links(dir)).or_else(|| ours.parent().filter(|dir| has_links(dir)))
    {
        Some(dir) => Found::In(dir.to_owned()),
        None => Found::OnlyAs(ours),
    }
}

/// An idle device where there is one: hardware without addresses that nothing is built on, so that nobody is cut off
/// who gives it to the switch.
fn choose_port() -> Port {
    let mut links = netlink::links().unwrap_or_default();
    links.sort_by_key(|link| link.index);
    let idle = |link: &&netlink::Link| {
        let files = Path::new("/sys/class/net").join(&link.name);
        let addresses = netlink::addresses(&link.name).unwrap_or_default();
        files.join("device").exists() && !is_used(&files) && addresses.iter().all(is_link_local)
    };
    if let Some(link) = links.iter().find(idle) {
        return Port::Idle(link.name.clone());
    }
    let is_free = |name: &str| links.iter().all(|link| link.name != name);
    let pair = |number: usize| (format!("port{number}"), format!("guest{number}"));
    // Among so many pairs and one more, one has no name that is taken.
    let free = (1..=links.len() * 2 + 1).map(pair).find(|(one, other)| is_free(one) && is_free(other));
    let (one, other) = free.unwrap_or_else(|| pair(0));
    Port::Pair(one, other)
}

/// Whether a bridge, bond, VLAN device or the like stands on a device.
fn is_used(files: &Path) -> bool {
    let entries = std::fs::read_dir(files).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let name = entry.file_name();
        name == "master" || name.to_string_lossy().starts_with("upper_")
    })
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(programs: Found, port: Port) -> Surroundings {
        let log = PathBuf::from("/var/log/openvswitch/ovs-vswitchd.log");
        Surroundings { log, directories: Vec::new(), programs, port, missing: Vec::new() }
    }

    #[test]
    fn lines_fit_the_shell_that_reads_them() {
        let text = compose(&around(Found::OnPath, Port::Idle("enp3s0".to_owned())));
        assert_eq!(
            text,
            "The switch is up. Its log is /var/log/openvswitch/ovs-vswitchd.log.\nNext:\n\n    \
             ovs-vsctl --may-exist add-br br0\n    ovs-vsctl --may-exist add-port br0 enp3s0\n    \
             ovs-vsctl show\n    ovs-appctl ofproto/trace br0 in_port=enp3s0,tcp\n\nand to stop it:\n\n    \
             ovs down\n"
        );
    }

    #[test]
    fn what_is_missing_is_made_or_named() {
        let port = Port::Pair("port1".to_owned(), "guest1".to_owned());
        let mut surroundings = around(Found::In(PathBuf::from("/src/a b/bin")), port);
        surroundings.directories =
            vec![("OVS_RUNDIR", "/tmp/x".to_owned()), ("OVS_DBDIR", "/tmp/y".to_owned())];
        surroundings.missing = vec!["CAP_NET_ADMIN", "/dev/net/tun"];
        let text = compose(&surroundings);
        for part in [
            "    export PATH='/src/a b/bin':$PATH\n",
            "    export OVS_RUNDIR=/tmp/x OVS_DBDIR=/tmp/y\n",
            "    ip link add port1 type veth peer name guest1\n    ovs-vsctl --may-exist add-port br0 port1\n",
            "It lacks CAP_NET_ADMIN and /dev/net/tun: ",
        ] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
    }

    #[test]
    fn without_links_the_commands_are_those_of_the_executable() {
        let text = compose(&around(Found::OnlyAs(PathBuf::from("/opt/ovs")), Port::Idle("eth1".to_owned())));
        assert!(text.contains("    /opt/ovs vsctl show\n    /opt/ovs appctl ofproto/trace"), "{text}");
        assert!(text.ends_with("    /opt/ovs down\n"), "{text}");
    }
}
