//! The `Open_vSwitch` database: what every column holds.
//!
//! Facts: ovs-vswitchd.conf.db(5), schema version 8.8.0.

use crate::{Schema, table};

table! {
    /// The one row that holds the switch together.
    open_vswitch: "Open_vSwitch" root max_rows(1) {
        DATAPATHS "datapaths": map(TEXT, strong("Datapath")),
        BRIDGES "bridges": set(strong("Bridge")),
        MANAGER_OPTIONS "manager_options": set(strong("Manager")),
        SSL "ssl": optional(strong("SSL")),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
        NEXT_CFG "next_cfg": one(INTEGER),
        CUR_CFG "cur_cfg": one(INTEGER),
        STATISTICS "statistics": map(TEXT, TEXT).ephemeral(),
        OVS_VERSION "ovs_version": optional(TEXT),
        DB_VERSION "db_version": optional(TEXT),
        SYSTEM_TYPE "system_type": optional(TEXT),
        SYSTEM_VERSION "system_version": optional(TEXT),
        DATAPATH_TYPES "datapath_types": set(TEXT),
        IFACE_TYPES "iface_types": set(TEXT),
        DPDK_INITIALIZED "dpdk_initialized": one(BOOLEAN),
        DPDK_VERSION "dpdk_version": optional(TEXT),
    }
}

table! {
    /// A bridge.
    bridge: "Bridge" index(["name"]) {
        NAME "name": one(TEXT).immutable(),
        DATAPATH_TYPE "datapath_type": one(TEXT),
        DATAPATH_VERSION "datapath_version": one(TEXT),
        DATAPATH_ID "datapath_id": optional(TEXT).ephemeral(),
        STP_ENABLE "stp_enable": one(BOOLEAN),
        RSTP_ENABLE "rstp_enable": one(BOOLEAN),
        MCAST_SNOOPING_ENABLE "mcast_snooping_enable": one(BOOLEAN),
        PORTS "ports": set(strong("Port")),
        MIRRORS "mirrors": set(strong("Mirror")),
        NETFLOW "netflow": optional(strong("NetFlow")),
        SFLOW "sflow": optional(strong("sFlow")),
        IPFIX "ipfix": optional(strong("IPFIX")),
        CONTROLLER "controller": set(strong("Controller")),
        PROTOCOLS "protocols": set(one_of(&["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"])),
        FAIL_MODE "fail_mode": optional(one_of(&["standalone", "secure"])),
        STATUS "status": map(TEXT, TEXT).ephemeral(),
        RSTP_STATUS "rstp_status": map(TEXT, TEXT).ephemeral(),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
        FLOOD_VLANS "flood_vlans": sized(0, 4096, between(0, 4095)),
        FLOW_TABLES "flow_tables": map(between(0, 254), strong("Flow_Table")),
        AUTO_ATTACH "auto_attach": optional(strong("AutoAttach")),
    }
}

table! {
    /// A port of a bridge: one interface, or several bonded.
    port: "Port" index(["name"]) {
        NAME "name": one(TEXT).immutable(),
        INTERFACES "interfaces": at_least_of(1, strong("Interface")),
        TRUNKS "trunks": sized(0, 4096, between(0, 4095)),
        CVLANS "cvlans": sized(0, 4096, between(0, 4095)),
        TAG "tag": optional(between(0, 4095)),
        VLAN_MODE "vlan_mode": optional(one_of(&["trunk", "access", "native-tagged", "native-untagged", "dot1q-tunnel"])),
        QOS "qos": optional(strong("QoS")),
        MAC "mac": optional(TEXT),
        BOND_MODE "bond_mode": optional(one_of(&["balance-tcp", "balance-slb", "active-backup"])),
        LACP "lacp": optional(one_of(&["active", "passive", "off"])),
        BOND_UPDELAY "bond_updelay": one(INTEGER),
        BOND_DOWNDELAY "bond_downdelay": one(INTEGER),
        BOND_ACTIVE_SLAVE "bond_active_slave": optional(TEXT),
        BOND_FAKE_IFACE "bond_fake_iface": one(BOOLEAN),
        FAKE_BRIDGE "fake_bridge": one(BOOLEAN),
        STATUS "status": map(TEXT, TEXT).ephemeral(),
        RSTP_STATUS "rstp_status": map(TEXT, TEXT).ephemeral(),
        RSTP_STATISTICS "rstp_statistics": map(TEXT, INTEGER).ephemeral(),
        STATISTICS "statistics": map(TEXT, INTEGER).ephemeral(),
        PROTECTED "protected": one(BOOLEAN),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
    }
}

table! {
    /// A network device of a port.
    interface: "Interface" index(["name"]) {
        NAME "name": one(TEXT).immutable(),
        TYPE "type": one(TEXT),
        OPTIONS "options": map(TEXT, TEXT),
        INGRESS_POLICING_RATE "ingress_policing_rate": one(at_least(0)),
        INGRESS_POLICING_BURST "ingress_policing_burst": one(at_least(0)),
        INGRESS_POLICING_KPKTS_RATE "ingress_policing_kpkts_rate": one(at_least(0)),
        INGRESS_POLICING_KPKTS_BURST "ingress_policing_kpkts_burst": one(at_least(0)),
        MAC_IN_USE "mac_in_use": optional(TEXT).ephemeral(),
        MAC "mac": optional(TEXT),
        IFINDEX "ifindex": optional(between(0, 4_294_967_295)).ephemeral(),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
        OFPORT "ofport": optional(INTEGER),
        OFPORT_REQUEST "ofport_request": optional(between(1, 65_279)),
        BFD "bfd": map(TEXT, TEXT),
        BFD_STATUS "bfd_status": map(TEXT, TEXT).ephemeral(),
        CFM_MPID "cfm_mpid": optional(INTEGER),
        CFM_REMOTE_MPIDS "cfm_remote_mpids": set(INTEGER).ephemeral(),
        CFM_FLAP_COUNT "cfm_flap_count": optional(INTEGER),
        CFM_FAULT "cfm_fault": optional(BOOLEAN).ephemeral(),
        CFM_FAULT_STATUS "cfm_fault_status": set(TEXT).ephemeral(),
        CFM_REMOTE_OPSTATE "cfm_remote_opstate": optional(one_of(&["up", "down"])).ephemeral(),
        CFM_HEALTH "cfm_health": optional(between(0, 100)).ephemeral(),
        LACP_CURRENT "lacp_current": optional(BOOLEAN).ephemeral(),
        LLDP "lldp": map(TEXT, TEXT),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
        STATISTICS "statistics": map(TEXT, INTEGER).ephemeral(),
        STATUS "status": map(TEXT, TEXT).ephemeral(),
        ADMIN_STATE "admin_state": optional(one_of(&["up", "down"])).ephemeral(),
        LINK_STATE "link_state": optional(one_of(&["up", "down"])).ephemeral(),
        LINK_RESETS "link_resets": optional(INTEGER).ephemeral(),
        LINK_SPEED "link_speed": optional(INTEGER).ephemeral(),
        DUPLEX "duplex": optional(one_of(&["half", "full"])).ephemeral(),
        MTU "mtu": optional(INTEGER).ephemeral(),
        MTU_REQUEST "mtu_request": optional(at_least(1)),
        ERROR "error": optional(TEXT),
    }
}

table! {
    /// Configuration of one OpenFlow table.
    flow_table: "Flow_Table" {
        NAME "name": optional(TEXT),
        FLOW_LIMIT "flow_limit": optional(at_least(0)),
        OVERFLOW_POLICY "overflow_policy": optional(one_of(&["refuse", "evict"])),
        GROUPS "groups": set(TEXT),
        PREFIXES "prefixes": sized(0, 4, TEXT),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
    }
}

table! {
    /// Quality of service of a port.
    qos: "QoS" root {
        TYPE "type": one(TEXT),
        QUEUES "queues": map(between(0, 4_294_967_295), strong("Queue")),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
    }
}

table! {
    /// A queue of a QoS.
    queue: "Queue" root {
        DSCP "dscp": optional(between(0, 63)),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
    }
}

table! {
    /// A port mirror.
    mirror: "Mirror" {
        NAME "name": one(TEXT),
        SELECT_ALL "select_all": one(BOOLEAN),
        SELECT_SRC_PORT "select_src_port": set(weak("Port")),
        SELECT_DST_PORT "select_dst_port": set(weak("Port")),
        SELECT_VLAN "select_vlan": sized(0, 4096, between(0, 4095)),
        OUTPUT_PORT "output_port": optional(weak("Port")),
        OUTPUT_VLAN "output_vlan": optional(between(1, 4095)),
        SNAPLEN "snaplen": optional(between(14, 65_535)),
        STATISTICS "statistics": map(TEXT, INTEGER).ephemeral(),
        FILTER "filter": optional(TEXT),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
    }
}

table! {
    /// NetFlow export.
    netflow: "NetFlow" {
        TARGETS "targets": at_least_of(1, TEXT),
        ENGINE_TYPE "engine_type": optional(between(0, 255)),
        ENGINE_ID "engine_id": optional(between(0, 255)),
        ADD_ID_TO_INTERFACE "add_id_to_interface": one(BOOLEAN),
        ACTIVE_TIMEOUT "active_timeout": one(at_least(-1)),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
    }
}

table! {
    /// sFlow export.
    sflow: "sFlow" {
        TARGETS "targets": at_least_of(1, TEXT),
        SAMPLING "sampling": optional(INTEGER),
        POLLING "polling": optional(INTEGER),
        HEADER "header": optional(INTEGER),
        AGENT "agent": optional(TEXT),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
    }
}

table! {
    /// IPFIX export.
    ipfix: "IPFIX" {
        TARGETS "targets": set(TEXT),
        SAMPLING "sampling": optional(between(1, 4_294_967_295)),
        OBS_DOMAIN_ID "obs_domain_id": optional(between(0, 4_294_967_295)),
        OBS_POINT_ID "obs_point_id": optional(between(0, 4_294_967_295)),
        CACHE_ACTIVE_TIMEOUT "cache_active_timeout": optional(between(0, 4200)),
        CACHE_MAX_FLOWS "cache_max_flows": optional(between(0, 4_294_967_295)),
        STATS_INTERVAL "stats_interval": optional(between(1, 3600)),
        TEMPLATE_INTERVAL "template_interval": optional(between(1, 3600)),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
    }
}

table! {
    /// Where `sample` actions report.
    flow_sample_collector_set: "Flow_Sample_Collector_Set" root index(["id", "bridge"]) {
        ID "id": one(between(0, 4_294_967_295)),
        BRIDGE "bridge": one(strong("Bridge")),
        IPFIX "ipfix": optional(strong("IPFIX")),
        LOCAL_GROUP_ID "local_group_id": optional(between(0, 4_294_967_295)),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
    }
}

table! {
    /// An OpenFlow controller.
    controller: "Controller" {
        TYPE "type": optional(one_of(&["primary", "service"])),
        TARGET "target": one(TEXT),
        MAX_BACKOFF "max_backoff": optional(at_least(1000)),
        INACTIVITY_PROBE "inactivity_probe": optional(INTEGER),
        CONNECTION_MODE "connection_mode": optional(one_of(&["in-band", "out-of-band"])),
        LOCAL_IP "local_ip": optional(TEXT),
        LOCAL_NETMASK "local_netmask": optional(TEXT),
        LOCAL_GATEWAY "local_gateway": optional(TEXT),
        ENABLE_ASYNC_MESSAGES "enable_async_messages": optional(BOOLEAN),
        CONTROLLER_QUEUE_SIZE "controller_queue_size": optional(between(1, 512)),
        CONTROLLER_RATE_LIMIT "controller_rate_limit": optional(at_least(100)),
        CONTROLLER_BURST_LIMIT "controller_burst_limit": optional(at_least(25)),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
        IS_CONNECTED "is_connected": one(BOOLEAN).ephemeral(),
        ROLE "role": optional(one_of(&["other", "master", "slave"])).ephemeral(),
        STATUS "status": map(TEXT, TEXT).ephemeral(),
    }
}

table! {
    /// An OVSDB manager.
    manager: "Manager" index(["target"]) {
        TARGET "target": one(TEXT),
        MAX_BACKOFF "max_backoff": optional(at_least(1000)),
        INACTIVITY_PROBE "inactivity_probe": optional(INTEGER),
        CONNECTION_MODE "connection_mode": optional(one_of(&["in-band", "out-of-band"])),
        OTHER_CONFIG "other_config": map(TEXT, TEXT),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
        IS_CONNECTED "is_connected": one(BOOLEAN).ephemeral(),
        STATUS "status": map(TEXT, TEXT).ephemeral(),
    }
}

table! {
    /// A kind of datapath.
    datapath: "Datapath" {
        DATAPATH_VERSION "datapath_version": one(TEXT),
        CT_ZONES "ct_zones": map(between(0, 65_535), strong("CT_Zone")),
        CAPABILITIES "capabilities": map(TEXT, TEXT),
        CT_ZONE_DEFAULT_LIMIT "ct_zone_default_limit": optional(between(0, 4_294_967_295)),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
    }
}

table! {
    /// A connection tracking zone.
    ct_zone: "CT_Zone" {
        TIMEOUT_POLICY "timeout_policy": optional(strong("CT_Timeout_Policy")),
        LIMIT "limit": optional(between(0, 4_294_967_295)),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
    }
}

table! {
    /// Connection timeouts.
    ct_timeout_policy: "CT_Timeout_Policy" {
        TIMEOUTS "timeouts": map(one_of(&["tcp_syn_sent", "tcp_syn_recv", "tcp_established", "tcp_fin_wait", "tcp_close_wait", "tcp_last_ack", "tcp_time_wait", "tcp_close", "tcp_syn_sent2", "tcp_retransmit", "tcp_unack", "udp_first", "udp_single", "udp_multiple", "icmp_first", "icmp_reply"]), between(0, 4_294_967_295)),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
    }
}

table! {
    /// TLS files.
    ssl: "SSL" max_rows(1) {
        PRIVATE_KEY "private_key": one(TEXT),
        CERTIFICATE "certificate": one(TEXT),
        CA_CERT "ca_cert": one(TEXT),
        BOOTSTRAP_CA_CERT "bootstrap_ca_cert": one(BOOLEAN),
        EXTERNAL_IDS "external_ids": map(TEXT, TEXT),
    }
}

table! {
    /// Auto-attach (802.1Qcj).
    autoattach: "AutoAttach" {
        SYSTEM_NAME "system_name": one(TEXT),
        SYSTEM_DESCRIPTION "system_description": one(TEXT),
        MAPPINGS "mappings": map(between(0, 16_777_215), between(0, 4095)),
    }
}

/// The schema of the switch's configuration.
pub static OPEN_VSWITCH: Schema = Schema {
    name: "Open_vSwitch",
    version: "8.8.0",
    cksum: "2823623553 27869",
    tables: &[
        open_vswitch::TABLE,
        bridge::TABLE,
        port::TABLE,
        interface::TABLE,
        flow_table::TABLE,
        qos::TABLE,
        queue::TABLE,
        mirror::TABLE,
        netflow::TABLE,
        sflow::TABLE,
        ipfix::TABLE,
        flow_sample_collector_set::TABLE,
        controller::TABLE,
        manager::TABLE,
        datapath::TABLE,
        ct_zone::TABLE,
        ct_timeout_policy::TABLE,
        ssl::TABLE,
        autoattach::TABLE,
    ],
};
