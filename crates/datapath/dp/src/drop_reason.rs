//! Why packets are dropped.
//!
//! One table: the reason, its counter in `coverage/show`, and what it means.
//! Names are the reference's (`drop_action_*` for what rules or their
//! translation decide, `datapath_drop_*` for what happens to a packet
//! afterwards); what the reference counts together or not at all has names of
//! the same form. `drop_rules_*` tell apart what `drop_action_of_pipeline` counts.

use base::coverage::Counter;

macro_rules! reasons {
    (@port) => { None };
    (@port $port:literal) => { Some($port) };
    ($($reason:ident $name:literal $meaning:literal $(port $port:literal)?,)*) => {
        /// Why a packet was dropped.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum DropReason { $(#[doc = $meaning] $reason),* }

        impl DropReason {
            /// All reasons, in the order of their numbers.
            pub const ALL: &[DropReason] = &[$(DropReason::$reason),*];

            /// What it means, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(DropReason::$reason => $meaning),* }
            }

            /// The counter of `statistics` of the port that causes the drop, named as the reference's ports do.
            pub const fn port_counter(self) -> Option<&'static str> {
                match self { $(DropReason::$reason => reasons!(@port $($port)?)),* }
            }
        }

        static COUNTERS: [Counter; DropReason::COUNT] = [$(Counter::new($name)),*];
    };
}

reasons! {
    Pipeline "drop_action_of_pipeline" "The rules drop the packet, or send it nowhere.",
    TableMiss "drop_rules_table_miss" "No rule of the table matches, and the table drops what it does not know.",
    Fragment "drop_rules_fragment" "The packet is an IP fragment, and the bridge drops fragments.",
    PortNoReceive "drop_rules_port_no_receive" "The port's configuration lets no packets in.",
    PortNoForward "drop_rules_port_no_forward" "The output port's configuration lets no packets out.",
    MirrorOnly "drop_rules_mirror_only" "The port that the packet came in by, or was learned on, is the output of a mirror.",
    NoBundle "drop_rules_no_bundle" "The port that the packet came in by, or was learned on, belongs to no port of the bridge.",
    PartialTag "drop_rules_partial_vlan_tag" "The packet ends within its VLAN tag.",
    VlanNotAllowed "drop_rules_vlan_not_allowed" "The VLAN is not one of those that the input port takes.",
    ReservedMac "drop_rules_reserved_mac" "The destination is an address that bridges do not forward.",
    BondRefused "drop_rules_bond_refused" "The packet came in by a member of a bond that does not receive at the moment.",
    SpanningTree "drop_rules_spanning_tree" "Spanning tree lets the port that the packet came in by, or was to leave by, not forward.",
    SamePort "drop_rules_same_port" "The destination is on the port that the packet came in by.",
    NoOutputPort "drop_rules_no_output_port" "The output port does not exist, or has no device.",
    ProtectedPorts "drop_rules_protected_ports" "Input and output are protected ports.",
    NotEthernet "drop_rules_not_ethernet" "The packet has no Ethernet header, which the output port needs.",
    NoListener "drop_rules_no_listener" "The packet is multicast, and nobody behind another port of its VLAN is known to listen.",
    NoGroup "drop_rules_no_group" "The group does not exist, or none of its buckets is live.",
    BridgeNotFound "drop_action_bridge_not_found" "The bridge at which translation was to go on is gone.",
    RecursionTooDeep "drop_action_recursion_too_deep" "Resubmits and patch ports nest too deep.",
    TooManyResubmits "drop_action_too_many_resubmit" "The packet causes too many lookups.",
    StackTooDeep "drop_action_stack_too_deep" "Rules push too much on the stack.",
    NoRecirculationContext "drop_action_no_recirculation_context" "What was to be done after a recirculation is not known any more.",
    TooManyMplsLabels "drop_action_too_many_mpls_labels" "The packet has, or would get, more MPLS labels than are supported.",
    UnsupportedPacketType "drop_action_unsupported_packet_type" "A rule was to put on, or take off, a header that packets of this type cannot have, or do not begin with.",
    TunnelRouting "drop_action_tunnel_routing_failed" "No route leads to the tunnel's other end by a port of a bridge.",
    TunnelNeighbour "drop_action_tunnel_neigh_cache_miss" "The link address of the tunnel's other end, or of the router before it, is not known yet; it is asked for.",
    TunnelHeader "drop_action_tunnel_header_build_failed" "The tunnel cannot say what the rules ask it to.",
    TunnelCongestion "drop_action_congestion" "The packet met congestion in the tunnel, and cannot tell its receiver.",
    Upcall "datapath_drop_upcall_error" "No flow matches the packet, and nobody could say what to do with it.",
    UserspaceAction "datapath_drop_userspace_action_error" "A flow sends the packet, or a copy of it, up, and nobody could take it there.",
    InvalidPort "datapath_drop_invalid_port" "The output port does not exist, or takes no packets.",
    InvalidBond "datapath_drop_invalid_bond" "The bond that is to balance the packet does not exist.",
    InvalidTunnelPort "datapath_drop_invalid_tnl_port" "The tunnel port that is to take the tunnel's headers off does not exist.",
    TunnelPush "datapath_drop_tunnel_push_error" "A tunnel's headers could not be put before the packet.",
    TunnelPop "datapath_drop_tunnel_pop_error" "The packet does not begin with the headers of the tunnel.",
    NshDecap "datapath_drop_nsh_decap_error" "The packet has no NSH header that could be taken off.",
    Recirculation "datapath_drop_recirc_error" "The packet was recirculated too often.",
    ActionDepth "datapath_drop_action_depth" "Lists of actions nest too deep.",
    Sample "datapath_drop_sample_error" "The packet was to go to a sample only, and was not chosen.",
    Meter "datapath_drop_meter" "A meter's rate was exceeded.",
    DatapathTtl "datapath_drop_ttl_expired" "A flow decrements the time to live of a packet whose time is over.",
    Conntrack "datapath_drop_conntrack" "Connection tracking refused the packet.",
    RxInvalid "datapath_drop_rx_invalid_packet" "The received packet is shorter than an Ethernet header." port "ovs_rx_invalid_packet_drops",
    RxQueueFull "datapath_drop_rx_queue_full" "The port's receive queue was full, so the kernel dropped frames for it." port "ovs_rx_queue_full_drops",
    RxPolicing "datapath_drop_rx_policing" "More came in by the port than its ingress policing lets in." port "ovs_rx_qos_drops",
    TxPolicing "datapath_drop_tx_policing" "More was to leave by the port than its policer lets out." port "ovs_tx_qos_drops",
    TxFailure "datapath_drop_tx_failure" "The device did not take the frame: its queue is full, or it is down or gone." port "ovs_tx_failure_drops",
    TxMtuExceeded "datapath_drop_tx_mtu_exceeded" "The frame is longer than the device's MTU allows, or no frame at all." port "ovs_tx_mtu_exceeded_drops",
    TxInvalidOffload "datapath_drop_tx_invalid_offload" "What was left for the device to do to the frame, it cannot do." port "ovs_tx_invalid_hwol_drops",
    Internal "datapath_drop_internal_error" "A worker gave its batch up after an internal error.",
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = DropReason::ALL.len();

    /// The name of its counter.
    pub fn name(self) -> &'static str {
        self.counter().name()
    }

    /// The reason that counts it too: [`DropReason::Pipeline`] for all that rules decide without a fault.
    pub const fn includes(self) -> Option<DropReason> {
        let is_of_rules =
            self as u8 > DropReason::Pipeline as u8 && (self as u8) < DropReason::BridgeNotFound as u8;
        if is_of_rules { Some(DropReason::Pipeline) } else { None }
    }

    /// Counts `packets` that were dropped for it. Costs an atomic addition; who drops many counts in [`Drops`].
    pub fn count(self, packets: u64) {
        self.counter().add(packets);
        if let Some(sum) = self.includes() {
            sum.counter().add(packets);
        }
    }

    /// Packets that were dropped for it since the process started.
    pub fn total(self) -> u64 {
        self.counter().total()
    }

    /// Makes all counters known, so that reading one that never moved gives 0.
    pub fn list_all() {
        COUNTERS.iter().for_each(Counter::list);
    }

    fn counter(self) -> &'static Counter {
        &COUNTERS[self as usize]
    }
}

/// Drops that one thread has counted and not yet made known.
#[derive(Debug)]
pub struct Drops {
    counts: [u32; DropReason::COUNT],
    /// The reasons with a count, by bit.
    touched: u64,
}

// Each reason has its bit.
const _: () = assert!(DropReason::COUNT <= u64::BITS as usize);

impl Default for Drops {
    fn default() -> Drops {
        Drops { counts: [0; DropReason::COUNT], touched: 0 }
    }
}

impl Drops {
    #[inline]
    /// Counts one packet.
    pub fn add(&mut self, reason: DropReason) {
        let count = &mut self.counts[reason as usize];
        *count = count.saturating_add(1);
        self.touched |= 1 << reason as u8;
    }

    /// Adds what was counted to the counters that everybody sees.
    #[inline]
    pub fn publish(&mut self) {
        while self.touched != 0 {
            let index = self.touched.trailing_zeros() as usize;
            self.touched &= self.touched - 1;
            if let (Some(reason), Some(count)) = (DropReason::ALL.get(index), self.counts.get_mut(index)) {
                reason.count(u64::from(std::mem::take(count)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own_and_a_meaning() {
        let names: std::collections::HashSet<&str> =
            DropReason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), DropReason::COUNT);
        for reason in DropReason::ALL {
            assert_eq!(reason.includes().is_some(), reason.name().starts_with("drop_rules_"), "{reason:?}");
            assert!(reason.meaning().ends_with('.'), "{reason:?}");
        }
    }

    #[test]
    fn every_reason_is_explained_to_operators() {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/DROPS.md")).unwrap();
        for reason in DropReason::ALL {
            let row = format!("| `{}` | {} |", reason.name(), reason.meaning());
            assert!(page.contains(&row), "docs/DROPS.md lacks\n{row}");
            if let Some(counter) = reason.port_counter() {
                assert!(page.contains(&format!("`{counter}`")), "docs/DROPS.md lacks {counter}");
            }
        }
    }

    #[test]
    fn what_a_thread_counts_is_seen_once_it_is_published() {
        let (fine, sum) = (DropReason::NoGroup, DropReason::Pipeline);
        let (fine_before, sum_before) = (fine.total(), sum.total());
        let mut drops = Drops::default();
        drops.add(fine);
        drops.add(fine);
        assert_eq!(fine.total(), fine_before);
        drops.publish();
        drops.publish();
        assert_eq!(fine.total(), fine_before + 2);
        assert!(sum.total() >= sum_before + 2, "it is counted as what the reference knows, too");
    }

    #[test]
    fn all_counters_can_be_read_before_they_move() {
        DropReason::list_all();
        for reason in DropReason::ALL {
            assert!(base::coverage::read(reason.name()).is_ok(), "{reason:?}");
        }
    }
}
