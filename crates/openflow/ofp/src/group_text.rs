//! Groups as users write them: `group_id=1,type=select,bucket=weight:2,output:1`.
//!
//! Enters: the text of one request. Leaves: a [`GroupMod`], and the protocols that can express it.

use base::OfPort;
use fields::text_pairs::next_pair;
use fields::{Field, Protocols, TextError, parse_port, refuse};

use crate::text::{u16_of, u32_of, u64_of};
use crate::*;

/// The longest name of a way to choose.
const MAX_METHOD: usize = 16;

/// Only these know single buckets and ways to choose.
fn extended() -> Protocols {
    Protocols::OF10_ANY | Protocols::OF15_UP
}

/// The parts that a command allows.
struct Allowed {
    kind: bool,
    buckets: bool,
    command_bucket: bool,
    all_buckets: bool,
}

impl Allowed {
    fn of(command: GroupCommand) -> Allowed {
        let whole = matches!(command, GroupCommand::Add | GroupCommand::Modify | GroupCommand::AddOrMod);
        let insert = command == GroupCommand::InsertBucket;
        let remove = command == GroupCommand::RemoveBucket;
        Allowed {
            kind: whole,
            buckets: whole || insert,
            command_bucket: insert || remove,
            all_buckets: remove,
        }
    }
}

/// Reads a request about a group. Without a command the text may begin with
/// one, and adds when it does not.
pub fn parse_group_mod(
    text: &str,
    command: Option<GroupCommand>,
    names: Names<'_>,
) -> Result<(GroupMod, Protocols), TextError> {
    let (command, text) = match command {
        Some(command) => (command, text),
        None => leading_command(text),
    };
    let allowed = Allowed::of(command);
    let mut usable = if allowed.command_bucket { extended() } else { Protocols::ANY };
    let mut of_actions = Protocols::ANY;
    let mut request = GroupMod {
        command,
        kind: GroupType::All,
        group: GROUP_ANY,
        command_bucket: bucket_id::ALL,
        buckets: Vec::new(),
        properties: GroupProperties::default(),
    };
    if command == GroupCommand::Delete && text.is_empty() {
        request.group = GROUP_ALL;
        return Ok((request, usable));
    }
    // Buckets come last, because the group's type says what their parts mean.
    let (mut rest, buckets) = match text.find("bucket=").filter(|&at| !text[..at].ends_with("command_")) {
        Some(_) if !allowed.buckets => return refuse!("bucket is not needed"),
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    };
    let mut seen = Seen::default();
    while let Some((key, value, after)) = next_pair(rest) {
        rest = after;
        parse_part(&mut request, key, value, &allowed, &mut seen, &mut usable)?;
    }
    check(&request, &allowed, &seen)?;
    for bucket in buckets.into_iter().flat_map(split_buckets) {
        let bucket = parse_bucket(bucket?, request.kind, names, &mut usable, &mut of_actions)?;
        if command != GroupCommand::InsertBucket && request.kind != GroupType::Select && bucket.weight != 0 {
            return refuse!("Only select groups can have bucket weights.");
        }
        request.buckets.push(bucket);
    }
    if request.kind == GroupType::Indirect && request.buckets.len() > 1 {
        return refuse!("Indirect groups can have at most one bucket.");
    }
    number_buckets(&mut request.buckets);
    if allowed.command_bucket && !request.buckets.is_empty() {
        // That versions between cannot say it, whoever sends it finds out and says so.
        usable = of_actions;
    }
    Ok((request, usable))
}

/// What has been said so far.
#[derive(Default)]
struct Seen {
    kind: bool,
    command_bucket: bool,
}

/// The command that a text begins with, abbreviated or not, and the rest.
fn leading_command(text: &str) -> (GroupCommand, &str) {
    const COMMANDS: [(&str, GroupCommand); 6] = [
        ("add", GroupCommand::Add),
        ("delete", GroupCommand::Delete),
        ("modify", GroupCommand::Modify),
        ("add_or_mod", GroupCommand::AddOrMod),
        ("insert_bucket", GroupCommand::InsertBucket),
        ("remove_bucket", GroupCommand::RemoveBucket),
    ];
    let text = text.trim_start_matches([' ', '\t', '\r', '\n']);
    let end = text.find([',', ' ', '\t', '\r', '\n']).unwrap_or(text.len());
    match COMMANDS.iter().find(|(name, _)| name.starts_with(&text[..end])) {
        Some((_, command)) => (*command, &text[end..]),
        None => (GroupCommand::Add, text),
    }
}

fn parse_part(
    request: &mut GroupMod,
    key: &str,
    value: &str,
    allowed: &Allowed,
    seen: &mut Seen,
    usable: &mut Protocols,
) -> Result<(), TextError> {
    match key {
        "command_bucket_id" => {
            if !allowed.command_bucket {
                return refuse!("command bucket id is not needed");
            }
            request.command_bucket = parse_command_bucket(value)?;
            if request.command_bucket == bucket_id::ALL && !allowed.all_buckets {
                return refuse!("command_bucket_id=all is not permitted");
            }
            seen.command_bucket = true;
        }
        "group_id" if value == "all" => request.group = GROUP_ALL,
        "group_id" => {
            request.group = u32_of(value)?;
            if request.group != GROUP_ALL && request.group > GROUP_MAX {
                return refuse!("invalid group id {}", request.group);
            }
        }
        "type" => {
            if !allowed.kind {
                return refuse!("type is not needed");
            }
            request.kind = match value {
                "all" => GroupType::All,
                "select" => GroupType::Select,
                "indirect" => GroupType::Indirect,
                "ff" | "fast_failover" => GroupType::FastFailover,
                _ => return refuse!("invalid group type {value}"),
            };
            seen.kind = true;
        }
        "selection_method" => {
            if !allowed.kind {
                return refuse!("selection method is not needed");
            }
            if value.len() >= MAX_METHOD {
                return refuse!("selection method is longer than {} bytes long", MAX_METHOD - 1);
            }
            request.properties.selection_method = value.to_owned();
            *usable &= extended();
        }
        "selection_method_param" => {
            if !allowed.kind {
                return refuse!("selection method param is not needed");
            }
            request.properties.selection_method_param = u64_of(value)?;
            *usable &= extended();
        }
        "fields" => {
            if !allowed.kind {
                return refuse!("fields are not needed");
            }
            parse_fields(&mut request.properties.fields, value, usable)?;
            *usable &= extended();
        }
        _ => return refuse!("unknown keyword {key}"),
    }
    Ok(())
}

fn parse_command_bucket(text: &str) -> Result<u32, TextError> {
    Ok(match text {
        "all" => bucket_id::ALL,
        "first" => bucket_id::FIRST,
        "last" => bucket_id::LAST,
        number => match u32_of(number)? {
            id if id > bucket_id::MAX && id < bucket_id::FIRST => {
                return refuse!("invalid command bucket id {id}");
            }
            id => id,
        },
    })
}

/// `ip_dst=255.255.255.0,nw_src`: fields, with masks where not all bits count.
fn parse_fields(
    fields: &mut Vec<(Field, u128)>,
    text: &str,
    usable: &mut Protocols,
) -> Result<(), TextError> {
    let mut rest = text;
    while let Some((name, value, after)) = next_pair(rest) {
        rest = after;
        let Some(field) = Field::from_name(name) else {
            return refuse!("{rest}: unknown field {name}");
        };
        if fields.iter().any(|(known, _)| *known == field) {
            return refuse!("{name}: duplicate field");
        }
        let mask = if value.is_empty() { field.exact() } else { field.parse_value(value, None)? };
        if mask == 0 {
            return refuse!("{rest}: values are wildcards here and must not be all-zeros");
        }
        if !field.is_mask_valid(mask) {
            return refuse!("{value}: invalid mask for field {}", field.name());
        }
        *usable &= if mask == field.exact() {
            field.protocols_exact()
        } else if field.protocols_bitwise() == field.protocols_cidr() || is_prefix(mask) {
            field.protocols_cidr()
        } else {
            field.protocols_bitwise()
        };
        fields.push((field, mask));
    }
    // As the registry orders them, so that the same fields are the same request.
    fields.sort_by_key(|(field, _)| *field);
    Ok(())
}

/// Whether the ones of a 32-bit mask are all in front.
fn is_prefix(mask: u128) -> bool {
    let inverted = !(mask as u32);
    inverted & inverted.wrapping_add(1) == 0
}

fn check(request: &GroupMod, allowed: &Allowed, seen: &Seen) -> Result<(), TextError> {
    if request.group == GROUP_ANY {
        return refuse!("must specify a group_id");
    }
    if allowed.kind && !seen.kind {
        return refuse!("must specify a type");
    }
    let properties = &request.properties;
    if properties.selection_method != "hash" && !properties.fields.is_empty() {
        return refuse!("fields may only be specified with \"selection_method=hash\"");
    }
    if properties.selection_method.is_empty() && properties.selection_method_param != 0 {
        return refuse!("selection_method_param is only allowed with \"selection_method\"");
    }
    if allowed.command_bucket && !allowed.all_buckets && !seen.command_bucket {
        return refuse!("must specify a command bucket id");
    }
    Ok(())
}

/// The contents of each `bucket=`.
fn split_buckets(text: &str) -> impl Iterator<Item = Result<&str, TextError>> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let here = rest?;
        let Some(start) = here[1..].find('=').map(|at| at + 2) else {
            rest = None;
            return Some(refuse!("must specify bucket content"));
        };
        let content = &here[start..];
        let end = content.find("bucket=");
        rest = end.map(|at| &content[at..]);
        Some(Ok(&content[..end.unwrap_or(content.len())]))
    })
}

fn parse_bucket(
    text: &str,
    kind: GroupType,
    names: Names<'_>,
    usable: &mut Protocols,
    of_actions: &mut Protocols,
) -> Result<Bucket, TextError> {
    let mut bucket = Bucket {
        weight: u16::from(kind == GroupType::Select),
        watch_port: OfPort::ANY,
        watch_group: GROUP_ANY,
        id: bucket_id::ALL,
        actions: Vec::new(),
    };
    let mut actions = String::new();
    let mut rest = text;
    while let Some((key, value, after)) = next_pair(rest) {
        rest = after;
        match key.to_ascii_lowercase().as_str() {
            "weight" => bucket.weight = u16_of(value, "weight")?,
            "watch_port" => {
                let port = parse_port(value, names.ports)
                    .filter(|port| *port < OfPort::MAX || matches!(*port, OfPort::ANY | OfPort::CONTROLLER));
                let Some(port) = port else { return refuse!("{value}: invalid watch_port") };
                bucket.watch_port = port;
            }
            "watch_group" => {
                bucket.watch_group = u32_of(value)?;
                if bucket.watch_group > GROUP_MAX {
                    return refuse!("invalid watch_group id {}", bucket.watch_group);
                }
            }
            "bucket_id" => {
                bucket.id = u32_of(value)?;
                if bucket.id > bucket_id::MAX {
                    return refuse!("invalid bucket_id id {}", bucket.id);
                }
                *usable &= extended();
            }
            "action" | "actions" => actions.push_str(&format!("{value},")),
            _ => actions.push_str(&format!("{key}({value}),")),
        }
    }
    if actions.is_empty() {
        return refuse!("bucket must specify actions");
    }
    let watches = bucket.watch_port != OfPort::ANY || bucket.watch_group != GROUP_ANY;
    if kind == GroupType::FastFailover && !watches {
        return refuse!("fast failover bucket requires watch_port or watch_group");
    }
    let (list, of_list) = parse_actions(actions.trim_end_matches(','), names)?;
    *usable &= of_list;
    *of_actions &= of_list;
    bucket.actions = list;
    Ok(bucket)
}

/// Buckets of which nothing is said get the least numbers that are free.
fn number_buckets(buckets: &mut [Bucket]) {
    let mut next = 0;
    for index in 0..buckets.len() {
        if buckets[index].id != bucket_id::ALL {
            continue;
        }
        while buckets.iter().any(|bucket| bucket.id == next) {
            next += 1;
        }
        buckets[index].id = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(GroupMod, Protocols), TextError> {
        parse_group_mod(text, Some(GroupCommand::Add), Names::default())
    }

    #[test]
    fn buckets_are_numbered_around_the_numbers_that_are_given() {
        let (request, _) =
            parse("group_id=7,type=all,bucket=output:1,bucket=bucket_id=0,output:2,bucket=drop").unwrap();
        let ids: Vec<u32> = request.buckets.iter().map(|bucket| bucket.id).collect();
        assert_eq!(ids, [1, 0, 2]);
        assert!(request.buckets[2].actions.is_empty());
    }

    #[test]
    fn what_is_missing_or_too_much_is_said() {
        let text = |result: Result<(GroupMod, Protocols), TextError>| result.unwrap_err().0;
        assert_eq!(text(parse("type=all")), "must specify a group_id");
        assert_eq!(text(parse("group_id=1")), "must specify a type");
        assert_eq!(
            text(parse("group_id=1,type=indirect,bucket=1,bucket=2")),
            "Indirect groups can have at most one bucket."
        );
        assert_eq!(
            text(parse("group_id=1,type=all,bucket=weight=3,1")),
            "Only select groups can have bucket weights."
        );
        assert_eq!(
            text(parse("group_id=1,type=ff,bucket=output:1")),
            "fast failover bucket requires watch_port or watch_group"
        );
        assert_eq!(
            text(parse("group_id=1,type=all,bucket=actions=clear_actions")),
            "clear_actions instruction not allowed here"
        );
        let insert =
            parse_group_mod("group_id=1,bucket=output:1", Some(GroupCommand::InsertBucket), Names::default());
        assert_eq!(text(insert), "must specify a command bucket id");
    }

    #[test]
    fn a_line_may_begin_with_its_command() {
        let (request, _) =
            parse_group_mod("remove_bucket group_id=1,command_bucket_id=last", None, Names::default())
                .unwrap();
        assert_eq!((request.command, request.command_bucket), (GroupCommand::RemoveBucket, bucket_id::LAST));
    }
}
