//! What a datapath can do.

/// What a datapath can do. Each kind of datapath reports its own; translation reads those of the datapath below the bridge
/// (`pipeline::BridgeView::capabilities`), and the database shows them (`Datapath.capabilities`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// How many VLAN tags its flow keys hold.
    pub max_vlans: usize,
    /// How many MPLS labels its flow keys hold.
    pub max_mpls: usize,
    /// The highest number of an algorithm by which it hashes packets.
    pub max_hash_algorithm: usize,
    /// [`crate::Action::Recirc`], and keys with its number.
    pub recirc: bool,
    /// What its connection tracking does.
    pub conntrack: Tracking,
    /// [`crate::Action::Set`] of some bits of a field.
    pub masked_set: bool,
    /// [`crate::Action::Drop`] with a reason.
    pub explicit_drop: bool,
    /// [`crate::Action::CheckPktLen`].
    pub check_pkt_len: bool,
    /// [`crate::Action::Clone`].
    pub clone: bool,
    /// [`crate::Action::Trunc`].
    pub trunc: bool,
    /// [`crate::Action::AddMpls`]: labels in front of the Ethernet header.
    pub add_mpls: bool,
    /// How deep samples may stand inside of samples.
    pub sample_nesting: usize,
    /// Keys with the options and reserved bits of neighbour discovery.
    pub nd_extensions: bool,
    /// Flows are known by an id of their own.
    pub ufid: bool,
    /// [`crate::Action::LbOutput`]: it balances bonds itself.
    pub lb_output: bool,
    /// It hands samples to psample groups.
    pub psample: bool,
    /// It adds and removes tunnel headers itself.
    pub tunnels: bool,
}

/// What the connection tracking of a datapath does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tracking {
    /// [`crate::Action::Ct`], and keys with a connection's state.
    pub state: bool,
    /// Zones, in the action and in keys.
    pub zone: bool,
    /// Marks of connections, to be set and in keys.
    pub mark: bool,
    /// Labels of connections, to be set and in keys.
    pub label: bool,
    /// Translation of addresses, and what keys say of it.
    pub nat: bool,
    /// Translation without a change of addresses of what collides (`nat(src=0.0.0.0)`).
    pub zero_snat: bool,
    /// Keys with the addresses of IPv4 by which a connection began; commits that replace a connection.
    pub tuple: bool,
    /// Keys with those of IPv6.
    pub tuple6: bool,
    /// Events of connections, chosen by their kind.
    pub event_mask: bool,
    /// [`crate::Action::CtClear`].
    pub clear: bool,
    /// Timeouts by zone.
    pub timeout: bool,
}

impl Tracking {
    /// All of it.
    pub const ALL: Tracking = Tracking {
        state: true,
        zone: true,
        mark: true,
        label: true,
        nat: true,
        zero_snat: true,
        tuple: true,
        tuple6: true,
        event_mask: true,
        clear: true,
        timeout: true,
    };
}

impl Capabilities {
    /// All that the contract has words for.
    pub const ALL: Capabilities = Capabilities {
        max_vlans: flow::MAX_VLANS,
        max_mpls: flow::MAX_MPLS,
        max_hash_algorithm: 1,
        recirc: true,
        conntrack: Tracking::ALL,
        masked_set: true,
        explicit_drop: true,
        check_pkt_len: true,
        clone: true,
        trunc: true,
        add_mpls: true,
        sample_nesting: 10,
        nd_extensions: true,
        ufid: true,
        lb_output: true,
        psample: true,
        tunnels: true,
    };
}
