//! The `hardware_vtep` database: what a VXLAN gateway and its controller say
//! to each other.
//!
//! Facts: vtep(5), schema version 1.7.0.

use crate::{Schema, table};

table! {
    /// The one row that holds the gateway together.
    global: "Global" root max_rows(1) {
        MANAGERS "managers": set(strong("Manager")),
        SWITCHES "switches": set(strong("Physical_Switch")),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
    }
}

table! {
    /// A switch that can tunnel.
    physical_switch: "Physical_Switch" index(["name"]) {
        PORTS "ports": set(strong("Physical_Port")),
        NAME "name": one(TEXT),
        DESCRIPTION "description": one(TEXT),
        MANAGEMENT_IPS "management_ips": set(TEXT),
        TUNNEL_IPS "tunnel_ips": set(TEXT),
        TUNNELS "tunnels": set(strong("Tunnel")),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
        SWITCH_FAULT_STATUS "switch_fault_status": set(TEXT).ephemeral(),
    }
}

table! {
    /// A port of a switch, with the logical switches of its VLANs.
    physical_port: "Physical_Port" {
        NAME "name": one(TEXT),
        DESCRIPTION "description": one(TEXT),
        VLAN_BINDINGS "vlan_bindings": map(between(0, 4095), strong("Logical_Switch")),
        ACL_BINDINGS "acl_bindings": map(between(0, 4095), strong("ACL")),
        VLAN_STATS "vlan_stats": map(between(0, 4095), strong("Logical_Binding_Stats")).ephemeral(),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
        PORT_FAULT_STATUS "port_fault_status": set(TEXT).ephemeral(),
    }
}

table! {
    /// A tunnel between two locators.
    tunnel: "Tunnel" {
        LOCAL "local": one(strong("Physical_Locator")),
        REMOTE "remote": one(strong("Physical_Locator")),
        BFD_CONFIG_LOCAL "bfd_config_local": map(TEXT, TEXT),
        BFD_CONFIG_REMOTE "bfd_config_remote": map(TEXT, TEXT),
        BFD_PARAMS "bfd_params": map(TEXT, TEXT),
        BFD_STATUS "bfd_status": map(TEXT, TEXT).ephemeral(),
    }
}

table! {
    /// What passed between a VLAN of a port and its logical switch.
    logical_binding_stats: "Logical_Binding_Stats" {
        BYTES_FROM_LOCAL "bytes_from_local": one(INTEGER).ephemeral(),
        PACKETS_FROM_LOCAL "packets_from_local": one(INTEGER).ephemeral(),
        BYTES_TO_LOCAL "bytes_to_local": one(INTEGER).ephemeral(),
        PACKETS_TO_LOCAL "packets_to_local": one(INTEGER).ephemeral(),
    }
}

table! {
    /// A network that spans gateways.
    logical_switch: "Logical_Switch" root index(["name"]) {
        NAME "name": one(TEXT),
        DESCRIPTION "description": one(TEXT),
        TUNNEL_KEY "tunnel_key": optional(INTEGER),
        REPLICATION_MODE "replication_mode": optional(one_of(&["service_node", "source_node"])),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
    }
}

table! {
    /// Addresses behind this gateway.
    ucast_macs_local: "Ucast_Macs_Local" root {
        MAC "MAC": one(TEXT),
        LOGICAL_SWITCH "logical_switch": one(strong("Logical_Switch")),
        LOCATOR "locator": one(strong("Physical_Locator")),
        IPADDR "ipaddr": one(TEXT),
    }
}

table! {
    /// Addresses behind other gateways.
    ucast_macs_remote: "Ucast_Macs_Remote" root {
        MAC "MAC": one(TEXT),
        LOGICAL_SWITCH "logical_switch": one(strong("Logical_Switch")),
        LOCATOR "locator": one(strong("Physical_Locator")),
        IPADDR "ipaddr": one(TEXT),
    }
}

table! {
    /// Groups with members behind this gateway.
    mcast_macs_local: "Mcast_Macs_Local" root {
        MAC "MAC": one(TEXT),
        LOGICAL_SWITCH "logical_switch": one(strong("Logical_Switch")),
        LOCATOR_SET "locator_set": one(strong("Physical_Locator_Set")),
        IPADDR "ipaddr": one(TEXT),
    }
}

table! {
    /// Groups with members behind other gateways.
    mcast_macs_remote: "Mcast_Macs_Remote" root {
        MAC "MAC": one(TEXT),
        LOGICAL_SWITCH "logical_switch": one(strong("Logical_Switch")),
        LOCATOR_SET "locator_set": one(strong("Physical_Locator_Set")),
        IPADDR "ipaddr": one(TEXT),
    }
}

table! {
    /// A router between logical switches.
    logical_router: "Logical_Router" root index(["name"]) {
        NAME "name": one(TEXT),
        DESCRIPTION "description": one(TEXT),
        SWITCH_BINDING "switch_binding": map(TEXT, strong("Logical_Switch")),
        STATIC_ROUTES "static_routes": map(TEXT, TEXT),
        ACL_BINDING "acl_binding": map(TEXT, strong("ACL")),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
        LR_FAULT_STATUS "LR_fault_status": set(TEXT).ephemeral(),
    }
}

table! {
    /// The address from which this gateway asks by ARP.
    arp_sources_local: "Arp_Sources_Local" root {
        SRC_MAC "src_mac": one(TEXT),
        LOCATOR "locator": one(strong("Physical_Locator")),
    }
}

table! {
    /// The addresses from which other gateways ask by ARP.
    arp_sources_remote: "Arp_Sources_Remote" root {
        SRC_MAC "src_mac": one(TEXT),
        LOCATOR "locator": one(strong("Physical_Locator")),
    }
}

table! {
    /// The locators of a group.
    physical_locator_set: "Physical_Locator_Set" {
        LOCATORS "locators": at_least_of(1, strong("Physical_Locator")).immutable(),
    }
}

table! {
    /// An end of tunnels.
    physical_locator: "Physical_Locator" index(["encapsulation_type", "dst_ip", "tunnel_key"]) {
        ENCAPSULATION_TYPE "encapsulation_type": one(one_of(&["vxlan_over_ipv4"])).immutable(),
        DST_IP "dst_ip": one(TEXT).immutable(),
        TUNNEL_KEY "tunnel_key": optional(INTEGER),
    }
}

table! {
    /// A rule of an access list.
    acl_entry: "ACL_entry" root {
        SEQUENCE "sequence": one(INTEGER),
        SOURCE_MAC "source_mac": optional(TEXT),
        DEST_MAC "dest_mac": optional(TEXT),
        ETHERTYPE "ethertype": optional(TEXT),
        SOURCE_IP "source_ip": optional(TEXT),
        SOURCE_MASK "source_mask": optional(TEXT),
        DEST_IP "dest_ip": optional(TEXT),
        DEST_MASK "dest_mask": optional(TEXT),
        PROTOCOL "protocol": optional(INTEGER),
        SOURCE_PORT_MIN "source_port_min": optional(INTEGER),
        SOURCE_PORT_MAX "source_port_max": optional(INTEGER),
        DEST_PORT_MIN "dest_port_min": optional(INTEGER),
        DEST_PORT_MAX "dest_port_max": optional(INTEGER),
        TCP_FLAGS "tcp_flags": optional(INTEGER),
        TCP_FLAGS_MASK "tcp_flags_mask": optional(INTEGER),
        ICMP_CODE "icmp_code": optional(INTEGER),
        ICMP_TYPE "icmp_type": optional(INTEGER),
        DIRECTION "direction": one(one_of(&["ingress", "egress"])),
        ACTION "action": one(one_of(&["permit", "deny"])),
        ACLE_FAULT_STATUS "acle_fault_status": set(TEXT).ephemeral(),
    }
}

table! {
    /// An access list.
    acl: "ACL" root index(["acl_name"]) {
        ACL_ENTRIES "acl_entries": at_least_of(1, strong("ACL_entry")),
        ACL_NAME "acl_name": one(TEXT),
        ACL_FAULT_STATUS "acl_fault_status": set(TEXT).ephemeral(),
    }
}

table! {
    /// A client that the database server connects to, or listens for.
    manager: "Manager" index(["target"]) {
        TARGET "target": one(TEXT),
        MAX_BACKOFF "max_backoff": optional(at_least(1000)),
        INACTIVITY_PROBE "inactivity_probe": optional(INTEGER),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
        IS_CONNECTED "is_connected": one(BOOLEAN).ephemeral(),
        STATUS "status": map(TEXT, TEXT).ephemeral(),
    }
}

/// The schema of a VXLAN gateway.
pub static HARDWARE_VTEP: Schema = Schema {
    name: "hardware_vtep",
    version: "1.7.0",
    cksum: "353943336 11434",
    tables: &[
        global::TABLE,
        physical_switch::TABLE,
        physical_port::TABLE,
        tunnel::TABLE,
        logical_binding_stats::TABLE,
        logical_switch::TABLE,
        ucast_macs_local::TABLE,
        ucast_macs_remote::TABLE,
        mcast_macs_local::TABLE,
        mcast_macs_remote::TABLE,
        logical_router::TABLE,
        arp_sources_local::TABLE,
        arp_sources_remote::TABLE,
        physical_locator_set::TABLE,
        physical_locator::TABLE,
        acl_entry::TABLE,
        acl::TABLE,
        manager::TABLE,
    ],
};
