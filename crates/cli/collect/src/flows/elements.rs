//! Values of flow records as text: the names of information elements and how their values are shown.

use std::net::{Ipv4Addr, Ipv6Addr};

use telemetry::flow_reader::Element;

/// How a value is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Number,
    Address,
    Mac,
    Text,
    Bytes,
}

use Kind::{Address, Bytes, Mac, Number, Text};

/// The enterprise whose elements switches use for tunnels.
const VMWARE: u32 = 6876;

/// The elements that are known by name: the enterprise, the number, IANA's name or that which the enterprise gave.
const KNOWN: &[(u32, u16, &str, Kind)] = &[
    (0, 1, "octetDeltaCount", Number),
    (0, 2, "packetDeltaCount", Number),
    (0, 3, "deltaFlowCount", Number),
    (0, 4, "protocolIdentifier", Number),
    (0, 5, "ipClassOfService", Number),
    (0, 6, "tcpControlBits", Number),
    (0, 7, "sourceTransportPort", Number),
    (0, 8, "sourceIPv4Address", Address),
    (0, 9, "sourceIPv4PrefixLength", Number),
    (0, 10, "ingressInterface", Number),
    (0, 11, "destinationTransportPort", Number),
    (0, 12, "destinationIPv4Address", Address),
    (0, 13, "destinationIPv4PrefixLength", Number),
    (0, 14, "egressInterface", Number),
    (0, 15, "ipNextHopIPv4Address", Address),
    (0, 16, "bgpSourceAsNumber", Number),
    (0, 17, "bgpDestinationAsNumber", Number),
    (0, 19, "postMCastPacketDeltaCount", Number),
    (0, 20, "postMCastOctetDeltaCount", Number),
    (0, 21, "flowEndSysUpTime", Number),
    (0, 22, "flowStartSysUpTime", Number),
    (0, 25, "minimumIpTotalLength", Number),
    (0, 26, "maximumIpTotalLength", Number),
    (0, 27, "sourceIPv6Address", Address),
    (0, 28, "destinationIPv6Address", Address),
    (0, 31, "flowLabelIPv6", Number),
    (0, 32, "icmpTypeCodeIPv4", Number),
    (0, 52, "minimumTTL", Number),
    (0, 53, "maximumTTL", Number),
    (0, 56, "sourceMacAddress", Mac),
    (0, 58, "vlanId", Number),
    (0, 60, "ipVersion", Number),
    (0, 61, "flowDirection", Number),
    (0, 80, "destinationMacAddress", Mac),
    (0, 82, "interfaceName", Text),
    (0, 83, "interfaceDescription", Text),
    (0, 85, "octetTotalCount", Number),
    (0, 86, "packetTotalCount", Number),
    (0, 132, "droppedOctetDeltaCount", Number),
    (0, 133, "droppedPacketDeltaCount", Number),
    (0, 134, "droppedOctetTotalCount", Number),
    (0, 135, "droppedPacketTotalCount", Number),
    (0, 136, "flowEndReason", Number),
    (0, 138, "observationPointId", Number),
    (0, 144, "exportingProcessId", Number),
    (0, 149, "observationDomainId", Number),
    (0, 150, "flowStartSeconds", Number),
    (0, 151, "flowEndSeconds", Number),
    (0, 152, "flowStartMilliseconds", Number),
    (0, 153, "flowEndMilliseconds", Number),
    (0, 158, "flowStartDeltaMicroseconds", Number),
    (0, 159, "flowEndDeltaMicroseconds", Number),
    (0, 167, "notSentPacketTotalCount", Number),
    (0, 174, "postMCastPacketTotalCount", Number),
    (0, 175, "postMCastOctetTotalCount", Number),
    (0, 176, "icmpTypeIPv4", Number),
    (0, 177, "icmpCodeIPv4", Number),
    (0, 178, "icmpTypeIPv6", Number),
    (0, 179, "icmpCodeIPv6", Number),
    (0, 192, "ipTTL", Number),
    (0, 195, "ipDiffServCodePoint", Number),
    (0, 196, "ipPrecedence", Number),
    (0, 198, "octetDeltaSumOfSquares", Number),
    (0, 199, "octetTotalSumOfSquares", Number),
    (0, 210, "paddingOctets", Bytes),
    (0, 218, "tcpSynTotalCount", Number),
    (0, 219, "tcpFinTotalCount", Number),
    (0, 220, "tcpRstTotalCount", Number),
    (0, 221, "tcpPshTotalCount", Number),
    (0, 222, "tcpAckTotalCount", Number),
    (0, 223, "tcpUrgTotalCount", Number),
    (0, 240, "ethernetHeaderLength", Number),
    (0, 243, "dot1qVlanId", Number),
    (0, 244, "dot1qPriority", Number),
    (0, 256, "ethernetType", Number),
    (0, 352, "layer2OctetDeltaCount", Number),
    (0, 353, "layer2OctetTotalCount", Number),
    (0, 354, "ingressUnicastPacketTotalCount", Number),
    (0, 355, "ingressMulticastPacketTotalCount", Number),
    (0, 356, "ingressBroadcastPacketTotalCount", Number),
    (0, 357, "egressUnicastPacketTotalCount", Number),
    (0, 358, "egressBroadcastPacketTotalCount", Number),
    (0, 368, "ingressInterfaceType", Number),
    (0, 369, "egressInterfaceType", Number),
    (VMWARE, 891, "tunnelType", Number),
    (VMWARE, 892, "tunnelKey", Number),
    (VMWARE, 893, "tunnelSourceIPv4Address", Address),
    (VMWARE, 894, "tunnelDestinationIPv4Address", Address),
    (VMWARE, 895, "tunnelProtocolIdentifier", Number),
    (VMWARE, 896, "tunnelSourceTransportPort", Number),
    (VMWARE, 897, "tunnelDestinationTransportPort", Number),
    (VMWARE, 898, "virtualObsID", Text),
];

/// Padding, which says nothing.
const PADDING: Element = Element { enterprise: 0, id: 210 };

/// The name of an element and its value as text; none of padding. What is not known has its numbers for a name, and its
/// bytes in hexadecimal for a value.
pub(super) fn shown(element: Element, value: &[u8]) -> Option<(String, String)> {
    if element == PADDING {
        return None;
    }
    let known =
        KNOWN.iter().find(|(enterprise, id, ..)| (*enterprise, *id) == (element.enterprise, element.id));
    let Some((_, _, name, kind)) = known else {
        let name = match element.enterprise {
            0 => format!("element{}", element.id),
            enterprise => format!("enterprise{enterprise}element{}", element.id),
        };
        return Some((name, hex(value)));
    };
    let text = match kind {
        Number => number(value),
        Address => address(value),
        Mac => mac(value),
        Text => Some(String::from_utf8_lossy(value).into_owned()),
        Bytes => None,
    };
    Some(((*name).to_owned(), text.unwrap_or_else(|| hex(value))))
}

fn number(value: &[u8]) -> Option<String> {
    (value.len() <= 8).then(|| value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)).to_string())
}

fn address(value: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(value).map(|bytes| Ipv4Addr::from(bytes).to_string());
    let sixteen = <[u8; 16]>::try_from(value).map(|bytes| Ipv6Addr::from(bytes).to_string());
    four.or(sixteen).ok()
}

fn mac(value: &[u8]) -> Option<String> {
    let parts = value.iter().map(|byte| format!("{byte:02x}"));
    (value.len() == 6).then(|| parts.collect::<Vec<_>>().join(":"))
}

fn hex(value: &[u8]) -> String {
    value.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
