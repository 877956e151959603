//! Switches, ports and queues as text.

use std::fmt::Write;

use base::OfPort;
use fields::PortNames;

use super::{Printer, bit_name, put_bits, put_duration};
use crate::*;

const PORT_CONFIG: &[&str] =
    &["PORT_DOWN", "NO_STP", "NO_RECV", "NO_RECV_STP", "NO_FLOOD", "NO_FWD", "NO_PACKET_IN"];
const PORT_STATE: &[&str] = &["LINK_DOWN", "BLOCKED", "LIVE"];
const FEATURES: &[&str] = &[
    "10MB-HD",
    "10MB-FD",
    "100MB-HD",
    "100MB-FD",
    "1GB-HD",
    "1GB-FD",
    "10GB-FD",
    "40GB-FD",
    "100GB-FD",
    "1TB-FD",
    "OTHER",
    "COPPER",
    "FIBER",
    "AUTO_NEG",
    "AUTO_PAUSE",
    "AUTO_PAUSE_ASYM",
];
const CAPABILITIES: &[&str] = &[
    "FLOW_STATS",
    "TABLE_STATS",
    "PORT_STATS",
    "STP",
    "GROUP_STATS",
    "IP_REASM",
    "QUEUE_STATS",
    "ARP_MATCH_IP",
    "PORT_BLOCKED",
    "BUNDLES",
    "FLOW_MONITORING",
];
/// Wire bits: the order in which capabilities are named.
const CAPABILITY_ORDER: [u32; 11] = [
    capability::FLOW_STATS,
    capability::TABLE_STATS,
    capability::PORT_STATS,
    capability::GROUP_STATS,
    capability::STP,
    capability::IP_REASM,
    capability::QUEUE_STATS,
    capability::ARP_MATCH_IP,
    capability::PORT_BLOCKED,
    capability::BUNDLES,
    capability::FLOW_MONITORING,
];

/// The configuration's bits by name, and a newline.
pub fn put_port_config(out: &mut String, config: u32) {
    put_bits(out, config, bit_name(PORT_CONFIG), ' ');
    out.push('\n');
}

/// The state's bits by name, and a newline.
pub fn put_port_state(out: &mut String, state: u32) {
    let stp = state & port_state::STP_MASK;
    if stp != 0 {
        out.push_str(match stp {
            port_state::STP_LEARN => "STP_LEARN",
            port_state::STP_FORWARD => "STP_FORWARD",
            _ => "STP_BLOCK",
        });
    }
    if stp == 0 || state != stp {
        put_bits(out, state & !port_state::STP_MASK, bit_name(PORT_STATE), ' ');
    }
    out.push('\n');
}

fn put_features(out: &mut String, features: u32) {
    put_bits(out, features, bit_name(FEATURES), ' ');
    out.push('\n');
}

/// One port in several lines.
pub fn put_port_desc(out: &mut String, port: &PortDesc) {
    out.push(' ');
    fields::format_port(out, port.port, None);
    let printable = port.name.bytes().take_while(|c| (32..127).contains(c)).count();
    let _ = writeln!(out, "({}): addr:{}", &port.name[..printable], port.hw_addr);
    out.push_str("     config:     ");
    put_port_config(out, port.config);
    out.push_str("     state:      ");
    put_port_state(out, port.state);
    let features = [
        ("     current:    ", port.current),
        ("     advertised: ", port.advertised),
        ("     supported:  ", port.supported),
        ("     peer:       ", port.peer),
    ];
    for (leader, bits) in features {
        if bits != 0 {
            out.push_str(leader);
            put_features(out, bits);
        }
    }
    let _ = writeln!(
        out,
        "     speed: {} Mbps now, {} Mbps max",
        port.current_speed / 1000,
        port.max_speed / 1000
    );
}

fn put_stat(out: &mut String, leader: &str, value: u64, end: &str) {
    let _ = match value {
        u64::MAX => write!(out, "{leader}=?{end}"),
        _ => write!(out, "{leader}={value}{end}"),
    };
}

/// Counters of a port, in two lines or more.
pub fn put_port_stats(out: &mut String, ps: &PortStats, names: Option<&PortNames>) {
    out.push_str("  port ");
    if ps.port.0 < 10 {
        out.push(' ');
    }
    fields::format_port(out, ps.port, names);
    out.push_str(": rx ");
    put_stat(out, "pkts", ps.rx_packets, ", ");
    put_stat(out, "bytes", ps.rx_bytes, ", ");
    put_stat(out, "drop", ps.rx_dropped, ", ");
    put_stat(out, "errs", ps.rx_errors, ", ");
    put_stat(out, "frame", ps.rx_frame_errors, ", ");
    put_stat(out, "over", ps.rx_over_errors, ", ");
    put_stat(out, "crc", ps.rx_crc_errors, "\n");
    out.push_str("           tx ");
    put_stat(out, "pkts", ps.tx_packets, ", ");
    put_stat(out, "bytes", ps.tx_bytes, ", ");
    put_stat(out, "drop", ps.tx_dropped, ", ");
    put_stat(out, "errs", ps.tx_errors, ", ");
    put_stat(out, "coll", ps.collisions, "\n");
    if ps.duration_sec != u32::MAX {
        out.push_str("           duration=");
        put_duration(out, ps.duration_sec, ps.duration_nsec);
        out.push('\n');
    }
    let rfc2819 = |prefix: &str, out: &mut String| {
        let known: Vec<(&str, u64)> = RFC2819
            .iter()
            .zip(ps.rfc2819)
            .filter(|(name, value)| name.starts_with(prefix) && *value != u64::MAX)
            .map(|(name, value)| {
                let keeps_prefix = name.ends_with("fragmented_errors") || name.ends_with("jabber_errors");
                (if keeps_prefix { *name } else { &name[3..] }, value)
            })
            .collect();
        if !known.is_empty() {
            let _ = write!(out, "           {}rfc2819 ", prefix.replace('_', " "));
            for (name, value) in known {
                let _ = write!(out, "{name}={value}, ");
            }
            out.push('\n');
        }
    };
    rfc2819("rx_", out);
    rfc2819("tx_", out);
    if !ps.custom.is_empty() {
        out.push_str("           CUSTOM Statistics");
        for (index, (name, value)) in ps.custom.iter().enumerate().filter(|(_, (name, _))| !name.is_empty()) {
            out.push_str(if index % 3 == 0 { "\n                      " } else { " " });
            let _ = write!(out, "{name}={value},");
        }
        out.push('\n');
    }
}

pub(crate) fn put_action_kinds(out: &mut String, kinds: u64) {
    if kinds == 0 {
        out.push_str("<none>");
    }
    for (index, kind) in ActionKind::in_set(kinds).enumerate() {
        if index > 0 {
            out.push(' ');
        }
        out.push_str(kind.name());
    }
}

fn put_queue(out: &mut String, queue: u32) {
    let _ = match queue {
        QUEUE_ALL => write!(out, "ALL"),
        _ => write!(out, "{queue}"),
    };
}

impl Printer<'_> {
    pub(super) fn features(&self, out: &mut String, features: &SwitchFeatures) {
        let _ = writeln!(out, " dpid:{:016x}", features.datapath_id);
        let _ = write!(out, "n_tables:{}, n_buffers:{}", features.n_tables, features.n_buffers);
        if features.auxiliary_id != 0 {
            let _ = write!(out, ", auxiliary_id:{}", features.auxiliary_id);
        }
        out.push_str("\ncapabilities: ");
        let mut any = false;
        for bit in CAPABILITY_ORDER.into_iter().filter(|bit| features.capabilities & bit != 0) {
            if any {
                out.push(' ');
            }
            any = true;
            out.push_str(CAPABILITIES[bit.trailing_zeros() as usize]);
        }
        if !any {
            out.push('0');
        }
        out.push('\n');
        if features.actions != 0 {
            out.push_str("actions: ");
            put_action_kinds(out, features.actions);
            out.push('\n');
        }
        self.ports(out, &features.ports);
    }

    pub(super) fn ports(&self, out: &mut String, ports: &[PortDesc]) {
        let mut sorted: Vec<&PortDesc> = ports.iter().collect();
        sorted.sort_by_key(|port| port.port.0 & 0xffff);
        sorted.into_iter().for_each(|port| put_port_desc(out, port));
    }

    pub(super) fn config(&self, out: &mut String, config: &SwitchConfig) {
        let _ = write!(out, " frags={}", config.frag.name());
        if config.invalid_ttl_to_controller == Some(true) {
            out.push_str(" invalid_ttl_to_controller");
        }
        let _ = writeln!(out, " miss_send_len={}", config.miss_send_len);
    }

    pub(super) fn port_status(&self, out: &mut String, status: &PortStatus) {
        out.push_str(match status.reason {
            PortReason::Add => " ADD:",
            PortReason::Delete => " DEL:",
            PortReason::Modify => " MOD:",
        });
        put_port_desc(out, &status.desc);
    }

    pub(super) fn port_mod(&self, out: &mut String, change: &PortMod) {
        out.push_str(" port: ");
        self.port(out, change.port);
        let _ = writeln!(out, ": addr:{}", change.hw_addr);
        out.push_str("     config: ");
        put_port_config(out, change.config);
        out.push_str("     mask:   ");
        put_port_config(out, change.mask);
        out.push_str("     advertise: ");
        if change.advertise != 0 {
            put_features(out, change.advertise);
        } else {
            out.push_str("UNCHANGED\n");
        }
    }

    pub(super) fn queue_request(&self, out: &mut String, port: OfPort, queue: u32) {
        out.push_str(" port=");
        self.port(out, port);
        out.push_str(" queue=");
        put_queue(out, queue);
    }

    pub(super) fn queue_configs(&self, out: &mut String, queues: &[QueueConfig]) {
        let mut sorted: Vec<&QueueConfig> = queues.iter().collect();
        sorted.sort_by_key(|queue| (queue.port, queue.queue));
        let mut port = base::OfPort(0);
        out.push(' ');
        for queue in sorted {
            if queue.port != port {
                port = queue.port;
                out.push_str("port=");
                self.port(out, port);
                out.push('\n');
            }
            let _ = write!(out, "queue {}:", queue.queue);
            for (name, rate) in [("min_rate", queue.min_rate), ("max_rate", queue.max_rate)] {
                if rate <= 1000 {
                    let _ = write!(out, " {name}:{}.{}%", rate / 10, rate % 10);
                } else if rate < u16::MAX {
                    let _ = write!(out, " {name}:(disabled)");
                }
            }
            out.push('\n');
        }
    }

    pub(super) fn queues(&self, out: &mut String, all: &[QueueStats]) {
        let _ = writeln!(out, " {} queues", all.len());
        if self.verbosity < 1 {
            return;
        }
        for qs in all {
            out.push_str("  port ");
            self.port(out, qs.port);
            out.push_str(" queue ");
            put_queue(out, qs.queue);
            out.push_str(": ");
            put_stat(out, "bytes", qs.tx_bytes, ", ");
            put_stat(out, "pkts", qs.tx_packets, ", ");
            put_stat(out, "errors", qs.tx_errors, ", ");
            out.push_str("duration=");
            if qs.duration_sec != u32::MAX {
                put_duration(out, qs.duration_sec, qs.duration_nsec);
            } else {
                out.push('?');
            }
            out.push('\n');
        }
    }

    pub(super) fn desc(&self, out: &mut String, desc: &SwitchDesc) {
        let _ = write!(
            out,
            "\nManufacturer: {}\nHardware: {}\nSoftware: {}\nSerial Num: {}\nDP Description: {}\n",
            desc.manufacturer, desc.hardware, desc.software, desc.serial, desc.datapath
        );
    }
}

impl FragHandling {
    /// As in `ovs-ofctl set-frags`: `normal`, `drop`, `reassemble`, `nx-match`.
    pub const fn name(self) -> &'static str {
        match self {
            FragHandling::Normal => "normal",
            FragHandling::Drop => "drop",
            FragHandling::Reassemble => "reassemble",
            FragHandling::NxMatch => "nx-match",
        }
    }

    /// The handling called `name`.
    pub fn from_name(name: &str) -> Option<FragHandling> {
        [FragHandling::Normal, FragHandling::Drop, FragHandling::Reassemble, FragHandling::NxMatch]
            .into_iter()
            .find(|handling| handling.name() == name)
    }
}
