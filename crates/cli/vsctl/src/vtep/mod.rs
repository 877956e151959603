//! `vtep-ctl`: physical switches with their ports, logical switches and
//! routers, and who is behind which tunnel.
//!
//! [`switches`] has what has a name, [`macs`] the addresses.

mod macs;
mod switches;

use crate::controllers;
use crate::names::by;
use crate::profile::{Profile, RowName, Shown};
use crate::show;
use crate::syntax::{self, MANY, Reads, Syntax, syntax};
use crate::usage;
use std::sync::OnceLock;

/// The table of the gateway's one row.
pub(crate) const ROOT: &str = "Global";

const COMMANDS: &[Syntax] = syntax![
    "add-ps" 1..1 "PS" "--may-exist" Reads::Things, rw switches::add_ps;
    "del-ps" 1..1 "PS" "--if-exists" Reads::Things, rw switches::del_ps;
    "list-ps" 0..0 "" "" Reads::Things, ro switches::list_ps;
    "ps-exists" 1..1 "PS" "" Reads::Things, ro switches::ps_exists;
    "list-ports" 1..1 "PS" "" Reads::Things, ro switches::list_ports;
    "add-port" 2..2 "PS PORT" "--may-exist" Reads::Things, rw switches::add_port;
    "del-port" 2..2 "PS PORT" "--if-exists" Reads::Things, rw switches::del_port;
    "add-ls" 1..1 "LS" "--may-exist" Reads::Things, rw switches::add_ls;
    "del-ls" 1..1 "LS" "--if-exists" Reads::Things, rw switches::del_ls;
    "list-ls" 0..0 "" "" Reads::Things, ro switches::list_ls;
    "ls-exists" 1..1 "LS" "" Reads::Things, ro switches::ls_exists;
    "list-bindings" 2..2 "PS PORT" "" Reads::Things, ro switches::list_bindings;
    "bind-ls" 4..4 "PS PORT VLAN LS" "" Reads::Things, rw switches::bind_ls;
    "unbind-ls" 3..3 "PS PORT VLAN" "" Reads::Things, rw switches::unbind_ls;
    "set-replication-mode" 2..2 "LS MODE" "" Reads::Things, rw switches::set_replication_mode;
    "get-replication-mode" 1..1 "LS" "" Reads::Things, ro switches::get_replication_mode;
    "add-lr" 1..1 "LR" "--may-exist" Reads::Things, rw switches::add_lr;
    "del-lr" 1..1 "LR" "--if-exists" Reads::Things, rw switches::del_lr;
    "list-lr" 0..0 "" "" Reads::Things, ro switches::list_lr;
    "lr-exists" 1..1 "LR" "" Reads::Things, ro switches::lr_exists;
    "add-ucast-local" 3..4 "LS MAC [ENCAP] IP" "" Reads::Things, rw macs::add_ucast_local;
    "del-ucast-local" 2..2 "LS MAC" "" Reads::Things, rw macs::del_ucast_local;
    "add-mcast-local" 3..4 "LS MAC [ENCAP] IP" "" Reads::Things, rw macs::add_mcast_local;
    "del-mcast-local" 3..4 "LS MAC [ENCAP] IP" "" Reads::Things, rw macs::del_mcast_local;
    "clear-local-macs" 1..1 "LS" "" Reads::Things, rw macs::clear_local;
    "list-local-macs" 1..1 "LS" "" Reads::Things, ro macs::list_local;
    "add-ucast-remote" 3..4 "LS MAC [ENCAP] IP" "" Reads::Things, rw macs::add_ucast_remote;
    "del-ucast-remote" 2..2 "LS MAC" "" Reads::Things, rw macs::del_ucast_remote;
    "add-mcast-remote" 3..4 "LS MAC [ENCAP] IP" "" Reads::Things, rw macs::add_mcast_remote;
    "del-mcast-remote" 3..4 "LS MAC [ENCAP] IP" "" Reads::Things, rw macs::del_mcast_remote;
    "clear-remote-macs" 1..1 "LS" "" Reads::Things, rw macs::clear_remote;
    "list-remote-macs" 1..1 "LS" "" Reads::Things, ro macs::list_remote;
    "get-manager" 0..0 "" "" Reads::Tables(&["Manager"]), ro controllers::get_manager;
    "del-manager" 0..0 "" "" Reads::Tables(&["Manager"]), rw controllers::del_manager;
    "set-manager" 1..MANY "TARGET..." "--inactivity-probe=" Reads::Tables(&["Manager"]), rw controllers::set_manager;
    "show" 0..0 "" "--filter=" Reads::Show, ro show::show;
];

const ROW_NAMES: &[RowName] = &[
    by("Logical_Switch", "name"),
    by("Manager", "target"),
    by("Physical_Port", "name"),
    by("Physical_Switch", "name"),
    by("Logical_Router", "name"),
];

const SHOWN: &[Shown] = &[
    Shown { table: ROOT, name: None, columns: &["managers", "switches"] },
    Shown { table: "Manager", name: Some("target"), columns: &["is_connected"] },
    Shown {
        table: "Physical_Switch",
        name: Some("name"),
        columns: &["management_ips", "tunnel_ips", "ports"],
    },
    Shown { table: "Physical_Port", name: Some("name"), columns: &["vlan_bindings"] },
    Shown { table: "Logical_Switch", name: Some("name"), columns: &[] },
];

pub(crate) static VTEP_CTL: Profile = Profile {
    program: "vtep-ctl",
    purpose: "VTEP configuration utility",
    declared: &schema::HARDWARE_VTEP,
    known: OnceLock::new(),
    root: ROOT,
    managers: "managers",
    always: &[(ROOT, Some(&["switches", "managers"]))],
    things: &[
        ("Physical_Switch", Some(&["name", "ports", "tunnels"])),
        ("Physical_Port", Some(&["name", "vlan_bindings"])),
        ("Logical_Switch", Some(&["name", "replication_mode"])),
        ("Logical_Router", Some(&["name"])),
        ("Ucast_Macs_Local", Some(&["MAC", "locator", "logical_switch"])),
        ("Ucast_Macs_Remote", Some(&["MAC", "locator", "logical_switch"])),
        ("Mcast_Macs_Local", Some(&["MAC", "locator_set", "logical_switch"])),
        ("Mcast_Macs_Remote", Some(&["MAC", "locator_set", "logical_switch"])),
        ("Physical_Locator_Set", Some(&["locators"])),
        ("Physical_Locator", Some(&["dst_ip", "encapsulation_type"])),
    ],
    row_names: ROW_NAMES,
    shown: SHOWN,
    commands: &[COMMANDS, syntax::DATABASE],
    help: usage::VTEP,
    has_daemon: false,
};
