//! The fields of records: the information elements of IPFIX (IANA's registry, RFC 7012) that are written, with their
//! numbers and lengths.

/// How a field stands in a template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Spec {
    /// The number of the information element.
    pub id: u16,
    /// Bytes of the value; [`VARIABLE`] where each value states its length.
    pub length: u16,
    /// Whose number it is; none of IANA's own.
    pub enterprise: Option<u32>,
}

/// The length of fields whose values have lengths of their own (RFC 7011 §7).
pub(crate) const VARIABLE: u16 = 0xffff;
/// The enterprise whose numbers the reference uses for what IANA has none for.
const VMWARE: u32 = 6876;

const fn iana(id: u16, length: u16) -> Spec {
    Spec { id, length, enterprise: None }
}

const fn vmware(id: u16, length: u16) -> Spec {
    Spec { id, length, enterprise: Some(VMWARE) }
}

macro_rules! fields {
    ($(#[$doc:meta])* $name:ident { $($field:ident = $spec:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum $name { $($field,)* }

        impl $name {
            pub(crate) const fn spec(self) -> Spec {
                match self { $($name::$field => $spec,)* }
            }
        }
    };
}

fields! {
    /// What tells flows apart.
    KeyField {
        ObservationPoint = iana(138, 4),
        Direction = iana(61, 1),
        SrcMac = iana(56, 6),
        DstMac = iana(80, 6),
        EtherType = iana(256, 2),
        EthernetHeaderLength = iana(240, 1),
        IngressIndex = iana(10, 4),
        IngressType = iana(368, 4),
        IngressName = iana(82, VARIABLE),
        IngressDescription = iana(83, VARIABLE),
        EgressIndex = iana(14, 4),
        EgressType = iana(369, 4),
        EgressName = iana(82, VARIABLE),
        EgressDescription = iana(83, VARIABLE),
        Vlan = iana(58, 2),
        Dot1qVlan = iana(243, 2),
        Dot1qPriority = iana(244, 1),
        IpVersion = iana(60, 1),
        Ttl = iana(192, 1),
        Protocol = iana(4, 1),
        Dscp = iana(195, 1),
        Precedence = iana(196, 1),
        ClassOfService = iana(5, 1),
        SrcIpv4 = iana(8, 4),
        DstIpv4 = iana(12, 4),
        SrcIpv6 = iana(27, 16),
        DstIpv6 = iana(28, 16),
        FlowLabel = iana(31, 4),
        SrcPort = iana(7, 2),
        DstPort = iana(11, 2),
        Icmpv4Type = iana(176, 1),
        Icmpv4Code = iana(177, 1),
        Icmpv6Type = iana(178, 1),
        Icmpv6Code = iana(179, 1),
        TunnelSrc = vmware(893, 4),
        TunnelDst = vmware(894, 4),
        TunnelProtocol = vmware(895, 1),
        TunnelSrcPort = vmware(896, 2),
        TunnelDstPort = vmware(897, 2),
        TunnelType = vmware(891, 1),
        TunnelKey = vmware(892, VARIABLE),
    }
}

fields! {
    /// What is counted of a flow.
    CountField {
        StartDelta = iana(158, 4),
        EndDelta = iana(159, 4),
        DroppedPackets = iana(133, 8),
        DroppedPacketsTotal = iana(135, 8),
        Packets = iana(2, 8),
        PacketsTotal = iana(86, 8),
        IngressUnicastTotal = iana(354, 8),
        IngressMulticastTotal = iana(355, 8),
        IngressBroadcastTotal = iana(356, 8),
        EgressUnicastTotal = iana(357, 8),
        EgressBroadcastTotal = iana(358, 8),
        EgressMulticast = iana(19, 8),
        EgressMulticastTotal = iana(174, 8),
        Layer2Octets = iana(352, 8),
        Layer2OctetsTotal = iana(353, 8),
        EndReason = iana(136, 1),
        DroppedOctets = iana(132, 8),
        DroppedOctetsTotal = iana(134, 8),
        Octets = iana(1, 8),
        OctetsTotal = iana(85, 8),
        OctetSquares = iana(198, 8),
        OctetSquaresTotal = iana(199, 8),
        LeastLength = iana(25, 8),
        GreatestLength = iana(26, 8),
        EgressMulticastOctets = iana(20, 8),
        EgressMulticastOctetsTotal = iana(175, 8),
        AckTotal = iana(222, 8),
        FinTotal = iana(219, 8),
        PshTotal = iana(221, 8),
        RstTotal = iana(220, 8),
        SynTotal = iana(218, 8),
        UrgTotal = iana(223, 8),
    }
}

/// What operators have the exporter be known by, in each record.
pub(crate) const VIRTUAL_OBSERVATION_ID: Spec = vmware(898, VARIABLE);
/// The exporter, of which statistics are.
pub(crate) const EXPORTING_PROCESS: Spec = iana(144, 4);
/// Datagrams that could not be sent.
pub(crate) const NOT_SENT_PACKETS: Spec = iana(167, 8);
