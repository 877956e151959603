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
    pub max_hash_algorithm: u32,
    /// [`crate::Action::Recirc`], and keys with its number.
    pub recirc: bool,
    /// Connection tracking: [`crate::Action::Ct`], and keys with its state, zone, mark, label and tuples.
    pub conntrack: bool,
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
    /// Samples inside of samples.
    pub sample_nesting: bool,
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

impl Capabilities {
    /// All that the contract has words for.
    pub const ALL: Capabilities = Capabilities {
        max_vlans: flow::MAX_VLANS,
        max_mpls: flow::MAX_MPLS,
        max_hash_algorithm: 1,
        recirc: true,
        conntrack: true,
        masked_set: true,
        explicit_drop: true,
        check_pkt_len: true,
        clone: true,
        trunc: true,
        add_mpls: true,
        sample_nesting: true,
        nd_extensions: true,
        ufid: true,
        lb_output: true,
        psample: true,
        tunnels: true,
    };
}
