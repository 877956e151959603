//! Groups and meters as text.

use std::fmt::Write;

use super::switch::put_action_kinds;
use super::{Printer, bit_name, put_bits, put_duration};
use crate::flow_text::put_group;
use crate::text::Hex;
use crate::*;

/// `meter=5`, `meter:all`.
pub fn put_meter_id(out: &mut String, meter: u32, separator: char) {
    let _ = write!(out, "meter{separator}");
    let _ = match meter {
        meter_id::SLOWPATH => write!(out, "slowpath"),
        meter_id::CONTROLLER => write!(out, "controller"),
        meter_id::ALL => write!(out, "all"),
        0..=meter_id::MAX => write!(out, "{meter}"),
        _ => write!(out, "unknown"),
    };
}

/// How a select group chooses, each part after a comma.
pub fn put_group_properties(out: &mut String, properties: &GroupProperties) {
    if properties.selection_method.is_empty() {
        return;
    }
    let _ = write!(out, ",selection_method={}", properties.selection_method);
    if properties.selection_method_param != 0 {
        let _ = write!(out, ",selection_method_param={}", properties.selection_method_param);
    }
    let n = properties.fields.len();
    if n == 0 {
        return;
    }
    out.push_str(if n == 1 { ",fields=" } else { ",fields(" });
    for (index, (field, mask)) in properties.fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(field.name());
        if *mask != field.exact() {
            out.push('=');
            field.format(out, *mask, field.exact(), None);
        }
    }
    if n > 1 {
        out.push(')');
    }
}

fn put_meter_flags(out: &mut String, flags: u16) {
    let names = [
        (meter_flag::KBPS, "kbps "),
        (meter_flag::PKTPS, "pktps "),
        (meter_flag::BURST, "burst "),
        (meter_flag::STATS, "stats "),
    ];
    for (flag, name) in names {
        if flags & flag != 0 {
            out.push_str(name);
        }
    }
    if flags & !15 != 0 {
        let _ = write!(out, "flags:0x{:x} ", flags & !15);
    }
}

/// A meter and its bands, a line each.
pub fn put_meter_config(out: &mut String, config: &MeterConfig) {
    put_meter_id(out, config.meter, '=');
    out.push(' ');
    put_meter_flags(out, config.flags);
    out.push_str("bands=");
    for band in &config.bands {
        out.push_str("\ntype=");
        let _ = match band.kind {
            1 => write!(out, "drop"),
            2 => write!(out, "dscp_remark"),
            other => write!(out, "{other}"),
        };
        let _ = write!(out, " rate={}", band.rate);
        if config.flags & meter_flag::BURST != 0 {
            let _ = write!(out, " burst_size={}", band.burst_size);
        }
        if band.kind == 2 {
            let _ = write!(out, " prec_level={}", band.prec_level);
        }
    }
    out.push('\n');
}

fn put_meter_stats(out: &mut String, stats: &MeterStats) {
    put_meter_id(out, stats.meter, ':');
    let _ = write!(
        out,
        " flow_count:{} packet_in_count:{} byte_in_count:{} duration:",
        stats.flow_count, stats.packet_in_count, stats.byte_in_count
    );
    put_duration(out, stats.duration_sec, stats.duration_nsec);
    out.push_str(" bands:\n");
    for (index, (packets, bytes)) in stats.bands.iter().enumerate() {
        let _ = writeln!(out, "{index}: packet_count:{packets} byte_count:{bytes}");
    }
}

fn put_group_stats(out: &mut String, stats: &GroupStats) {
    let _ = write!(out, "\n group_id={},", stats.group);
    if stats.duration_sec != u32::MAX {
        out.push_str("duration=");
        put_duration(out, stats.duration_sec, stats.duration_nsec);
        out.push(',');
    }
    let _ = write!(
        out,
        "ref_count={},packet_count={},byte_count={}",
        stats.ref_count, stats.packet_count, stats.byte_count
    );
    for (index, (packets, bytes)) in stats.buckets.iter().enumerate() {
        if *packets != u64::MAX {
            let _ = write!(out, ",bucket{index}:packet_count={packets},byte_count={bytes}");
        }
    }
}

fn put_group_features(out: &mut String, features: &GroupFeatures) {
    let _ = write!(
        out,
        "\n Group table:\n    Types:  0x{:x}\n    Capabilities:  0x{:x}\n",
        features.types, features.capabilities
    );
    for (index, name) in ["all", "select", "indirect", "fast failover"].iter().enumerate() {
        if features.types >> index & 1 != 0 {
            let _ = write!(
                out,
                "    {name} group:\n       max_groups={}\n       actions: ",
                Hex(u64::from(features.max_groups[index]))
            );
            put_action_kinds(out, features.actions[index]);
            out.push('\n');
        }
    }
}

/// A group with all that belongs to it, as `add-group` reads it.
pub fn put_group_desc(out: &mut String, desc: &GroupDesc, names: Names<'_>) {
    let printer = Printer { names, verbosity: 0, version: Version::Of15, bytes: &[] };
    let select = desc.kind == GroupType::Select;
    printer.group(out, desc.group, Some(desc.kind), &desc.buckets, &desc.properties, select);
}

impl Printer<'_> {
    fn bucket_id(&self, out: &mut String, label: &str, id: u32) {
        if self.version > Version::Of10 && self.version < Version::Of15 {
            return;
        }
        out.push_str(label);
        let _ = match id {
            bucket_id::FIRST => write!(out, "first,"),
            bucket_id::LAST => write!(out, "last,"),
            bucket_id::ALL => write!(out, "all,"),
            _ => write!(out, "{id},"),
        };
    }

    fn group(
        &self,
        out: &mut String,
        group: u32,
        kind: Option<GroupType>,
        buckets: &[Bucket],
        properties: &GroupProperties,
        select: bool,
    ) {
        let _ = write!(out, "group_id={group}");
        if let Some(kind) = kind {
            let _ = write!(out, ",type={}", ["all", "select", "indirect", "ff"][kind as usize]);
        }
        put_group_properties(out, properties);
        out.push(',');
        for bucket in buckets {
            out.push_str("bucket=");
            self.bucket_id(out, "bucket_id:", bucket.id);
            if bucket.weight != u16::from(select) {
                let _ = write!(out, "weight:{},", bucket.weight);
            }
            if bucket.watch_port != base::OfPort::NONE {
                out.push_str("watch_port:");
                self.port(out, bucket.watch_port);
                out.push(',');
            }
            if bucket.watch_group != GROUP_ANY {
                let _ = write!(out, "watch_group:{},", bucket.watch_group);
            }
            out.push_str("actions=");
            format_actions(&bucket.actions, out, self.names);
            out.push(',');
        }
        if out.ends_with(',') {
            out.pop();
        }
    }

    fn group_mod(&self, out: &mut String, change: &GroupMod) {
        out.push_str(match change.command {
            GroupCommand::Add => "\n ADD ",
            GroupCommand::Modify => "\n MOD ",
            GroupCommand::AddOrMod => "\n ADD_OR_MOD ",
            GroupCommand::Delete => "\n DEL ",
            GroupCommand::InsertBucket => "\n INSERT_BUCKET ",
            GroupCommand::RemoveBucket => "\n REMOVE_BUCKET ",
        });
        let of_buckets = matches!(change.command, GroupCommand::InsertBucket | GroupCommand::RemoveBucket);
        if of_buckets {
            self.bucket_id(out, "command_bucket_id:", change.command_bucket);
        }
        let select = change.kind == GroupType::Select;
        let kind = (!of_buckets).then_some(change.kind);
        self.group(out, change.group, kind, &change.buckets, &change.properties, select);
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "called by a list of all; another one is reported")]
    pub(super) fn group_or_meter(&self, out: &mut String, message: &Message) {
        match message {
            Message::GroupMod(change) => self.group_mod(out, change),
            Message::GroupStatsRequest(group) | Message::GroupDescRequest(group) => {
                out.push_str(" group_id=");
                put_group(out, *group);
            }
            Message::GroupStatsReply(all) => all.iter().for_each(|stats| put_group_stats(out, stats)),
            Message::GroupDescReply(all) => {
                for desc in all {
                    out.push_str("\n ");
                    let select = desc.kind == GroupType::Select;
                    self.group(out, desc.group, Some(desc.kind), &desc.buckets, &desc.properties, select);
                }
            }
            Message::GroupFeaturesReply(features) => put_group_features(out, features),
            Message::MeterMod(change) => {
                out.push_str(match change.command {
                    MeterCommand::Add => " ADD ",
                    MeterCommand::Modify => " MOD ",
                    MeterCommand::Delete => " DEL ",
                });
                put_meter_config(out, &change.config);
            }
            Message::MeterStatsRequest(meter) | Message::MeterConfigRequest(meter) => {
                out.push(' ');
                put_meter_id(out, *meter, '=');
            }
            Message::MeterStatsReply(all) => {
                for stats in all {
                    out.push('\n');
                    put_meter_stats(out, stats);
                }
            }
            Message::MeterConfigReply(all) => {
                for config in all {
                    out.push('\n');
                    put_meter_config(out, config);
                }
            }
            Message::MeterFeaturesReply(f) => {
                let _ = write!(
                    out,
                    "\nmax_meter:{} max_bands:{} max_color:{}\nband_types: ",
                    f.max_meters, f.max_bands, f.max_color
                );
                put_bits(out, f.band_types, bit_name(&["", "drop", "dscp_remark"]), ' ');
                out.push_str("\ncapabilities: ");
                put_bits(out, f.capabilities, bit_name(&["kbps", "pktps", "burst", "stats"]), ' ');
                out.push('\n');
            }
            _ => base::broken!("{message:?} is neither of groups nor of meters"),
        }
    }
}
