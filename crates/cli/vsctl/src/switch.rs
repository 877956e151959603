//! `ovs-vsctl` itself: what the engine needs to know of the switch's database.

use crate::cache::ROOT;
use crate::profile::Profile;
use crate::{names, show, syntax, usage};
use std::sync::OnceLock;

pub(crate) static OVS_VSCTL: Profile = Profile {
    program: "ovs-vsctl",
    purpose: "ovs-vswitchd management utility",
    declared: &schema::OPEN_VSWITCH,
    known: OnceLock::new(),
    root: ROOT,
    managers: "manager_options",
    always: &[(ROOT, Some(&["cur_cfg", "next_cfg", "bridges", "manager_options", "ssl", "datapaths"]))],
    things: &[
        ("Bridge", Some(&["name", "controller", "fail_mode", "ports", "external_ids", "auto_attach"])),
        ("Port", Some(&["name", "fake_bridge", "tag", "interfaces", "external_ids"])),
        ("Interface", Some(&["name", "ofport", "error"])),
    ],
    row_names: names::SWITCH,
    shown: show::SWITCH,
    commands: &[syntax::SWITCH, syntax::DATABASE, syntax::SHOW],
    help: usage::SWITCH,
    has_daemon: true,
};
