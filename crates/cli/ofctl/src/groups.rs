//! Commands about groups, and bundles of several requests.

use fields::Protocols;
use ofp::*;

use crate::flows::{read_lines, send_bundle};
use crate::switch::{Maps, maps_to_accept};
use crate::vconn::Vconn;
use crate::vconn::open_for_flow_mods;
use crate::{Context, Done, Fatal, fatal};

/// Refuses what the connection's version has no message for.
fn check_version(vconn: &Vconn, requests: &[Message]) -> Done {
    let knows_buckets = vconn.version == Version::Of10 || vconn.version >= Version::Of15;
    let of_bucket = requests.iter().find_map(|message| match message {
        Message::GroupMod(request) if request.command == GroupCommand::InsertBucket => Some("insert-bucket"),
        Message::GroupMod(request) if request.command == GroupCommand::RemoveBucket => Some("remove-bucket"),
        _ => None,
    });
    match of_bucket {
        Some(command) if !knows_buckets => {
            fatal!("{command} needs OpenFlow 1.5 or later ('-O OpenFlow15')")
        }
        _ => Ok(()),
    }
}

fn send(cx: &Context, requests: Vec<GroupMod>, usable: Protocols) -> Done {
    let messages: Vec<Message> = requests.into_iter().map(Message::GroupMod).collect();
    if cx.options.bundle {
        let mut vconn = open_for_flow_mods(cx, cx.arg(1), usable & Protocols::OF13_UP)?;
        check_version(&vconn, &messages)?;
        return send_bundle(cx, &mut vconn, &messages);
    }
    let mut vconn = open_for_flow_mods(cx, cx.arg(1), usable)?;
    check_version(&vconn, &messages)?;
    messages.iter().try_for_each(|message| vconn.must(cx, message))
}

/// One request of the command line, or those of standard input.
fn group_mod(cx: &Context, command: GroupCommand) -> Done {
    if cx.arg(2) == "-" {
        // A file of additions may mix commands.
        return group_mod_file(cx, Some(command).filter(|c| *c != GroupCommand::Add));
    }
    let maps = maps_to_accept(cx, cx.arg(1))?;
    let (request, usable) = parse_group_mod(cx.arg(2), Some(command), maps.names())?;
    send(cx, vec![request], usable)
}

fn group_mod_file(cx: &Context, command: Option<GroupCommand>) -> Done {
    let maps = maps_to_accept(cx, cx.arg(1))?;
    let mut usable = Protocols::ANY;
    let mut requests = Vec::new();
    let path = cx.arg(2);
    for (number, line) in read_lines(path)? {
        match parse_group_mod(&line, command, maps.names()) {
            Ok((request, of_line)) => {
                usable &= of_line;
                requests.push(request);
            }
            Err(error) => return fatal!("{path}:{number}: {error}"),
        }
    }
    send(cx, requests, usable)
}

pub(crate) fn add_group(cx: &Context) -> Done {
    group_mod(cx, GroupCommand::Add)
}

pub(crate) fn add_groups(cx: &Context) -> Done {
    group_mod_file(cx, None)
}

pub(crate) fn mod_group(cx: &Context) -> Done {
    group_mod(cx, if cx.options.may_create { GroupCommand::AddOrMod } else { GroupCommand::Modify })
}

pub(crate) fn del_groups(cx: &Context) -> Done {
    group_mod(cx, GroupCommand::Delete)
}

pub(crate) fn insert_buckets(cx: &Context) -> Done {
    group_mod(cx, GroupCommand::InsertBucket)
}

pub(crate) fn remove_buckets(cx: &Context) -> Done {
    group_mod(cx, GroupCommand::RemoveBucket)
}

pub(crate) fn dump_groups(cx: &Context) -> Done {
    let group = parse_group(cx.arg(2)).unwrap_or(GROUP_ALL);
    dump(cx, &Message::GroupDescRequest(group))
}

pub(crate) fn dump_group_stats(cx: &Context) -> Done {
    let (request, _) = parse_group_mod(cx.arg(2), Some(GroupCommand::Delete), Names::default())?;
    dump(cx, &Message::GroupStatsRequest(request.group))
}

pub(crate) fn dump_group_features(cx: &Context) -> Done {
    dump(cx, &Message::GroupFeaturesRequest)
}

fn dump(cx: &Context, request: &Message) -> Done {
    Vconn::open(cx, cx.arg(1))?.dump(cx, request, Names::default())
}

/// A file of requests of several kinds, all of which come into force or none.
pub(crate) fn bundle(cx: &Context) -> Done {
    let maps = maps_to_accept(cx, cx.arg(1))?;
    let mut usable = Protocols::ANY;
    let mut messages = Vec::new();
    let path = cx.arg(2);
    for (number, line) in read_lines(path)? {
        match parse_line(&line, &maps) {
            Ok((message, of_line)) => {
                usable &= of_line;
                messages.push(message);
            }
            Err(Fatal::Said(error)) => return fatal!("{path}:{number}: {error}"),
            Err(silent) => return Err(silent),
        }
    }
    let mut vconn = open_for_bundle(cx, usable & Protocols::OF13_UP)?;
    check_version(&vconn, &messages)?;
    send_bundle(cx, &mut vconn, &messages)
}

fn parse_line(line: &str, maps: &Maps) -> Result<(Message, Protocols), Fatal> {
    let line = line.trim_start();
    let end = line.find([',', ' ', '\t', '\r', '\n']).unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    Ok(match keyword {
        "flow" => {
            let (request, usable) = parse_flow_mod(rest, FlowTextKind::AnyMod, maps.names())?;
            (Message::FlowMod(Box::new(request)), usable)
        }
        "group" => {
            let (request, usable) = parse_group_mod(rest, None, maps.names())?;
            (Message::GroupMod(request), usable)
        }
        "packet-out" => {
            let (request, usable) = parse_packet_out(rest, maps.names())?;
            (Message::PacketOut(Box::new(request)), usable)
        }
        _ => return fatal!("Unsupported bundle message type: {keyword}"),
    })
}

/// Bundles need OpenFlow 1.3; where the options allow only older versions, 1.4 is meant.
fn open_for_bundle(cx: &Context, usable: Protocols) -> Result<Vconn, Fatal> {
    let allowed = cx.options.protocols;
    if (allowed & Protocols::OF13_UP).is_empty() {
        return Vconn::open_versions(cx, cx.arg(1), "mgmt", 1 << Version::Of14.byte());
    }
    open_for_flow_mods(cx, cx.arg(1), usable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_bundle_begins_with_its_kind() {
        let maps = Maps::default();
        let kind = |line: &str| match parse_line(line, &maps) {
            Ok((Message::FlowMod(request), _)) => format!("flow {:?}", request.command),
            Ok((Message::GroupMod(request), _)) => format!("group {:?}", request.command),
            Ok((Message::PacketOut(_), _)) => "packet".to_owned(),
            Ok((other, _)) => format!("{other:?}"),
            Err(error) => error.to_string(),
        };
        for (line, expected) in [
            ("flow add tcp,actions=drop", "flow Add"),
            ("  flow tcp,actions=drop", "flow Add"),
            ("flow delete_strict tcp", "flow DeleteStrict"),
            ("group add group_id=1,type=all", "group Add"),
            ("packet-out in_port=1,packet=ffffffffffff0a00000000010800,actions=2", "packet"),
            ("meter add meter=1", "Unsupported bundle message type: meter"),
            ("", "Unsupported bundle message type: "),
        ] {
            assert_eq!(kind(line), expected, "{line}");
        }
    }
}
