//! "start" and "restart": each daemon where it does not run, the database first.

use rpc::dirs;

use crate::carried::{self, Restored};
use crate::console;
use crate::daemon::{remove_stale_sockets, running, wait_for_end};
use crate::database;
use crate::identity;
use crate::launch::{Launch, raise_descriptors, start_daemon};
use crate::options::Settings;
use crate::ours::{self, succeeds, vsctl};
use crate::stop::{stop, stop_daemon};

/// What daemons say where: little to the terminal, all that counts to the log file.
const LOG_LEVELS: [&str; 3] = ["-vconsole:emer", "-vsyslog:err", "-vfile:info"];

pub(crate) fn start(settings: &Settings) -> bool {
    for name in ["ovsdb-server", "ovs-vswitchd"] {
        wait_for_end(name);
    }
    remove_stale_sockets(&dirs::rundir());
    start_database(settings)
        && start_forwarding(settings)
        && start_companion(settings)
        && add_managers(settings)
        && add_bridge(settings)
}

/// The database restarts first: a large one takes its time to load, and the old switch forwards on meanwhile.
pub(crate) fn restart(settings: &Settings) -> bool {
    let both_run = running("ovsdb-server").is_some() && running("ovs-vswitchd").is_some();
    let is_carried = both_run && settings.ovs_vswitchd && !settings.delete_bridges;
    let saved = match is_carried {
        true => carried::save(settings),
        false => Some(carried::Saved::default()),
    };
    let Some(mut saved) = saved else { return false };
    if settings.ovsdb_server {
        stop_daemon("ovsdb-server");
    }
    remove_stale_sockets(&dirs::rundir());
    if !start_database(settings) {
        return false;
    }
    // Little that controllers have done meanwhile is to be lost.
    saved.refresh(settings);
    // Whoever else has a pid file ends here too; it found a new database meanwhile.
    let brcompat = running("ovs-brcompatd").is_some();
    stop(&Settings { ovsdb_server: false, ..settings.clone() });
    let is_waiting = settings.ovs_vswitchd
        && succeeds(&mut vsctl(&["set", "open_vswitch", ".", "other_config:flow-restore-wait=true"]));
    remove_stale_sockets(&dirs::rundir());
    if !start_forwarding(settings) {
        return false;
    }
    let restored = saved.restore();
    // A bridge of which nobody knows how it is stays shut, and the others with it.
    if is_waiting && restored != Restored::Unknown {
        let words = ["--if-exists", "remove", "open_vswitch", ".", "other_config", "flow-restore-wait=true"];
        succeeds(&mut vsctl(&words));
    }
    let settings = Settings { brcompat: settings.brcompat || brcompat, ..settings.clone() };
    start_companion(&settings)
        && add_managers(&settings)
        && add_bridge(&settings)
        && restored == Restored::All
}

fn start_database(settings: &Settings) -> bool {
    if !settings.ovsdb_server {
        return true;
    }
    if running("ovsdb-server").is_some() {
        console::success("ovsdb-server is already running");
        return true;
    }
    let version = match database::prepare(settings) {
        Ok(version) => version,
        Err(text) => {
            eprintln!("{}: {text}", crate::PROGRAM);
            return false;
        }
    };
    let mut args = vec![settings.db_file.display().to_string()];
    args.extend(database::extra(settings).iter().map(|path| path.display().to_string()));
    args.extend(common_args(settings));
    args.push(format!("--remote=punix:{}", settings.db_sock.display()));
    args.push("--private-key=db:Open_vSwitch,SSL,private_key".to_owned());
    args.push("--certificate=db:Open_vSwitch,SSL,certificate".to_owned());
    args.push("--bootstrap-ca-cert=db:Open_vSwitch,SSL,ca_cert".to_owned());
    args.extend(settings.ovsdb_server_options.split_whitespace().map(str::to_owned));
    let launch = Launch {
        name: "ovsdb-server",
        args,
        priority: settings.ovsdb_server_priority,
        wrapper: settings.ovsdb_server_wrapper.as_deref(),
        umask: settings.ovsdb_server_umask,
    };
    let database_version = format!("db-version={version}");
    start_daemon(settings, launch)
        && succeeds(&mut vsctl(&["--", "init", "--", "set", "Open_vSwitch", ".", &database_version]))
        && identity::configure(settings)
        && (!settings.delete_bridges || delete_bridges())
        && (!settings.delete_transient_ports || delete_transient_ports())
}

/// The words that every daemon gets.
fn common_args(settings: &Settings) -> Vec<String> {
    let mut args: Vec<String> = LOG_LEVELS.iter().map(|&word| word.to_owned()).collect();
    if !settings.self_confinement {
        args.push("--no-self-confinement".to_owned());
    }
    if let Some(user) = &settings.ovs_user {
        args.push(format!("--user={user}"));
    }
    args
}

fn start_forwarding(settings: &Settings) -> bool {
    if settings.ovs_vswitchd && running("ovs-vswitchd").is_some() {
        console::success("ovs-vswitchd is already running");
    } else if settings.ovs_vswitchd {
        raise_descriptors();
        let mut args = vec![format!("unix:{}", settings.db_sock.display())];
        args.extend(common_args(settings));
        if settings.mlockall {
            args.push("--mlockall".to_owned());
        }
        args.extend(settings.ovs_vswitchd_options.split_whitespace().map(str::to_owned));
        let launch = Launch {
            name: "ovs-vswitchd",
            args,
            priority: settings.ovs_vswitchd_priority,
            wrapper: settings.ovs_vswitchd_wrapper.as_deref(),
            umask: settings.ovs_vswitchd_umask,
        };
        if !start_daemon(settings, launch) {
            return false;
        }
    }
    if settings.record_hostname {
        identity::record_hostname_later(settings);
    }
    true
}

/// The Linux-bridge compatibility daemon, where it is asked for.
fn start_companion(settings: &Settings) -> bool {
    if !settings.brcompat {
        return true;
    }
    if running("ovs-brcompatd").is_some() {
        console::success("ovs-brcompatd is already running");
        return true;
    }
    let mut args = vec![format!("unix:{}", settings.db_sock.display())];
    args.extend(common_args(settings));
    start_daemon(settings, Launch { name: "ovs-brcompatd", args, ..Launch::default() })
}

/// Remote managers come last: before, they would see a switch that is half configured.
fn add_managers(settings: &Settings) -> bool {
    if !(settings.ovsdb_server || settings.ovs_vswitchd) || running("ovsdb-server").is_none() {
        return true;
    }
    let mut command = ours::program("ovs-appctl");
    command.args([
        "-t",
        "ovsdb-server",
        "ovsdb-server/add-remote",
        "db:Open_vSwitch,Open_vSwitch,manager_options",
    ]);
    let added = succeeds(&mut command);
    console::step("Enabling remote OVSDB managers", added);
    true
}

/// `--add-bridge`: the bridge that is to be there after a start. Where the switch runs its device is there
/// as well, for the next line of a script.
fn add_bridge(settings: &Settings) -> bool {
    let Some(name) = &settings.add_bridge else { return true };
    let words = ["--", "--may-exist", "add-br", name];
    if running("ovs-vswitchd").is_none() {
        return succeeds(&mut vsctl(&words));
    }
    succeeds(ours::program("ovs-vsctl").arg("--timeout=10").args(words))
}

fn delete_bridges() -> bool {
    let listed = ours::output(&mut vsctl(&["list-br"])).unwrap_or_default();
    let is_left = |bridge: &&str| !succeeds(&mut vsctl(&["--if-exists", "del-br", bridge]));
    listed.lines().filter(is_left).count() == 0
}

/// Deletes the ports that somebody marked as not to outlive a start.
pub(crate) fn delete_transient_ports() -> bool {
    let words = ["--bare", "--", "--columns=name", "find", "port", "other_config:transient=true"];
    let listed = ours::output(&mut vsctl(&words)).unwrap_or_default();
    let is_left = |port: &&str| !succeeds(&mut vsctl(&["--", "--if-exists", "del-port", port]));
    listed.split_whitespace().filter(is_left).count() == 0
}
