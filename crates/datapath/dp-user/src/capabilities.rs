//! What this datapath can do, by the names that `Datapath.capabilities` has for it (ovs-vswitchd.conf.db(5)).

/// Actions and fields that work.
const HAS: [&str; 9] = [
    "add_mpls",
    "check_pkt_len",
    "clone",
    "explicit_drop_action",
    "masked_set_action",
    "nd_ext",
    "recirc",
    "trunc",
    "ufid",
];

/// Those of connection tracking, which work when there is a tracker.
const OF_TRACKING: [&str; 12] = [
    "ct_clear",
    "ct_eventmask",
    "ct_flush",
    "ct_label",
    "ct_mark",
    "ct_orig_tuple",
    "ct_orig_tuple6",
    "ct_state",
    "ct_state_nat",
    "ct_timeout",
    "ct_zero_snat",
    "ct_zone",
];

/// Those that nothing above asks for yet: bonds that the datapath balances, tunnels, samples for psample groups.
const LACKS: [&str; 3] = ["lb_output_action", "psample", "tnl_push_pop"];

pub(crate) fn of(max_vlans: usize, has_tracker: bool) -> Vec<(&'static str, String)> {
    let flags = HAS.map(|name| (name, true)).into_iter().chain(LACKS.map(|name| (name, false)));
    let flags = flags.chain(OF_TRACKING.map(|name| (name, has_tracker)));
    let mut all: Vec<(&'static str, String)> = flags.map(|(name, has)| (name, has.to_string())).collect();
    all.extend([
        ("max_vlan_headers", max_vlans.to_string()),
        ("max_mpls_depth", flow::MAX_MPLS.to_string()),
        ("max_hash_alg", "1".to_owned()),
        // A number elsewhere; the reference shows it as a flag.
        ("sample_nesting", "true".to_owned()),
    ]);
    all
}
