//! Commands about rules.

use std::collections::BTreeMap;
use std::io::Read;

use fields::{Field, Match, Protocols};
use ofp::*;

use crate::switch::{Maps, maps_to_accept, maps_to_show};
use crate::vconn::{Vconn, next_xid, open_for_flow_mods};
use crate::{Context, Done, Fatal, fatal};

/// A connection whose protocol shows all there is of rules.
fn open_for_dump(cx: &Context, target: &str, usable: Protocols) -> Result<Vconn, Fatal> {
    let allowed = cx.options.protocols;
    let mut vconn = Vconn::open(cx, target)?;
    for want in Protocols::DUMP_ORDER {
        if (usable & allowed).intersects(want) && vconn.try_protocol(want)? {
            return Ok(vconn);
        }
    }
    if (usable & allowed).is_empty() {
        return fatal!(
            "none of the usable flow formats ({usable}) is among the allowed flow formats ({allowed})"
        );
    }
    fatal!("switch does not support any of the usable flow formats ({usable})")
}

/// The lines of a file, or of standard input, without comments, with their numbers.
pub(crate) fn read_lines(path: &str) -> Result<Vec<(usize, String)>, Fatal> {
    let mut bytes = Vec::new();
    let read = if path == "-" {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    if let Err(error) = read {
        return fatal!("{path}: open failed ({})", rpc::error_text(&error));
    }
    let text = match base::text::decode(&bytes) {
        Ok(text) => text,
        Err(error) => return fatal!("{path}: {error}"),
    };
    let lines = text.lines().enumerate().map(|(index, line)| {
        let line = line.split('#').next().unwrap_or_default();
        (index + 1, line.trim_end_matches('\r').to_owned())
    });
    Ok(lines.filter(|(_, line)| !line.trim().is_empty()).collect())
}

/// The rules of a file, and what can express them all.
pub(crate) fn read_flow_mods(
    path: &str,
    kind: FlowTextKind,
    names: Names<'_>,
) -> Result<(Vec<FlowMod>, Protocols), Fatal> {
    let mut usable = Protocols::ANY;
    let mut all = Vec::new();
    for (number, line) in read_lines(path)? {
        match parse_flow_mod(&line, kind, names) {
            Ok((fm, of_line)) => {
                usable &= of_line;
                all.push(fm);
            }
            Err(error) => return fatal!("{path}:{number}: {error}"),
        }
    }
    Ok((all, usable))
}

fn send(cx: &Context, flow_mods: Vec<FlowMod>, usable: Protocols) -> Done {
    let messages: Vec<Message> = flow_mods.into_iter().map(|one| Message::FlowMod(Box::new(one))).collect();
    if cx.options.bundle {
        let mut vconn = open_for_flow_mods(cx, cx.arg(1), usable & Protocols::OF13_UP)?;
        return send_bundle(cx, &mut vconn, &messages);
    }
    let mut vconn = open_for_flow_mods(cx, cx.arg(1), usable)?;
    let mut shown = String::new();
    for message in &messages {
        let mut bytes = Vec::new();
        encode(message, &vconn.encoder(), &mut bytes)?;
        if cx.options.verbosity == 5 {
            put_hex_dump(&mut shown, &bytes, 0, true);
        } else if cx.options.verbosity > 5 {
            shown.extend(bytes.iter().map(|byte| format!("{byte:02x}")));
            shown.push('\n');
        }
        vconn.must_bytes(cx, &bytes)?;
    }
    show!("{shown}");
    Ok(())
}

fn encode(message: &Message, encoder: &Encoder, bytes: &mut Vec<u8>) -> Done {
    match message.encode(encoder, bytes) {
        Ok(()) => Ok(()),
        Err(unsendable) => fatal!("{unsendable}"),
    }
}

/// Sends messages that take effect together or not at all.
pub(crate) fn send_bundle(cx: &Context, vconn: &mut Vconn, messages: &[Message]) -> Done {
    const BUNDLE: u32 = 0;
    let flags = bundle_flag::ATOMIC | bundle_flag::ORDERED;
    let control = |kind: BundleControlType| {
        Message::BundleControl(BundleControl { bundle: BUNDLE, kind: kind as u16, flags })
    };
    let is_error = |reply: &[u8], vconn: &Vconn| {
        !matches!(decode(reply, &vconn.decoding()), Ok(Decoded { message: Message::BundleControl(_), .. }))
    };
    let opened = vconn.transact(&control(BundleControlType::OpenRequest))?;
    if is_error(&opened, vconn) {
        show_bundle_error(cx, vconn, &opened, &[]);
        return fatal!("talking to {} (Protocol error)", vconn.name);
    }
    // The switch forgets a bundle that nothing comes for in some seconds, so it is sent as it is encoded.
    const PART: usize = 1 << 16;
    let gone = |vconn: &Vconn| fatal!("talking to {} (Broken pipe)", vconn.name);
    let mut bytes = Vec::new();
    let mut inner = Vec::new();
    for message in messages {
        let xid = next_xid();
        let encoder = Encoder { xid, ..vconn.encoder() };
        let raw = message.to_bytes(&encoder);
        let add =
            BundleAdd { bundle: BUNDLE, flags, xid, message: Box::new(message.clone()), raw: raw.clone() };
        encode(&Message::BundleAdd(add), &encoder, &mut bytes)?;
        inner.push((xid, raw));
        if bytes.len() >= PART {
            if vconn.send_bytes(&bytes).is_err() {
                return gone(vconn);
            }
            bytes.clear();
        }
    }
    let barrier = Message::BarrierRequest.to_bytes(&vconn.encoder());
    let barrier_xid = message_xid(&barrier);
    bytes.extend_from_slice(&barrier);
    if vconn.send_bytes(&bytes).is_err() {
        return gone(vconn);
    }
    let mut failed = false;
    loop {
        let reply = match vconn.receive() {
            Ok(reply) => reply,
            Err(error) => return fatal!("talking to {} ({})", vconn.name, rpc::error_text(&error)),
        };
        if message_xid(&reply) == barrier_xid {
            break;
        }
        if matches!(decode(&reply, &vconn.decoding()), Ok(Decoded { message: Message::Error { .. }, .. })) {
            failed = true;
            show_bundle_error(cx, vconn, &reply, &inner);
        }
    }
    if failed {
        vconn.transact(&control(BundleControlType::DiscardRequest))?;
        return fatal!("talking to {} (Protocol error)", vconn.name);
    }
    let bytes = control(BundleControlType::CommitRequest).to_bytes(&vconn.encoder());
    let xid = message_xid(&bytes);
    if vconn.send_bytes(&bytes).is_err() {
        return fatal!("talking to {} (Broken pipe)", vconn.name);
    }
    loop {
        let reply = match vconn.receive() {
            Ok(reply) => reply,
            Err(error) => return fatal!("talking to {} ({})", vconn.name, rpc::error_text(&error)),
        };
        let of_commit = message_xid(&reply) == xid;
        if matches!(decode(&reply, &vconn.decoding()), Ok(Decoded { message: Message::Error { .. }, .. })) {
            show_bundle_error(cx, vconn, &reply, &inner);
            if of_commit {
                return fatal!("talking to {} (Protocol error)", vconn.name);
            }
        } else if of_commit {
            return Ok(());
        }
    }
}

fn show_bundle_error(cx: &Context, vconn: &Vconn, reply: &[u8], inner: &[(u32, Vec<u8>)]) {
    let Ok(Decoded { message: Message::Error { error, payload }, xid, .. }) =
        decode(reply, &vconn.decoding())
    else {
        eprint!("***decode error***");
        return;
    };
    let failing = inner.iter().find(|(of, _)| *of == xid).map_or(&payload, |(_, raw)| raw);
    eprint!(
        "Error {} for: {}",
        error.name(),
        message_to_text(failing, Names::default(), cx.options.verbosity + 1)
    );
}

fn strict_or(cx: &Context, strict: FlowModCommand, loose: FlowModCommand) -> FlowTextKind {
    FlowTextKind::Mod(if cx.options.strict { strict } else { loose })
}

fn flow_mod(cx: &Context, kind: FlowTextKind) -> Done {
    let text = cx.arg(2);
    let mut maps = if text.is_empty() { Maps::default() } else { maps_to_accept(cx, cx.arg(1))? };
    maps.normalizes = cx.options.log_has_pattern;
    let (fm, usable) = parse_flow_mod(text, kind, maps.names())?;
    send(cx, vec![fm], usable)
}

fn flow_mod_file(cx: &Context, path: &str, kind: FlowTextKind) -> Done {
    let maps = maps_to_accept(cx, cx.arg(1))?;
    let (all, usable) = read_flow_mods(path, kind, maps.names())?;
    send(cx, all, usable)
}

pub(crate) fn add_flow(cx: &Context) -> Done {
    flow_mod(cx, FlowTextKind::Mod(FlowModCommand::Add))
}

pub(crate) fn add_flows(cx: &Context) -> Done {
    flow_mod_file(cx, cx.arg(2), FlowTextKind::AnyMod)
}

pub(crate) fn mod_flows(cx: &Context) -> Done {
    flow_mod(cx, strict_or(cx, FlowModCommand::ModifyStrict, FlowModCommand::Modify))
}

pub(crate) fn del_flows(cx: &Context) -> Done {
    let kind = strict_or(cx, FlowModCommand::DeleteStrict, FlowModCommand::Delete);
    if cx.arg(2) == "-" {
        return flow_mod_file(cx, "-", kind);
    }
    flow_mod(cx, kind)
}

/// The request that the arguments make, and a connection for it.
fn prepare_dump(cx: &Context) -> Result<(Vconn, FlowStatsRequest), Fatal> {
    let text = cx.arg(2);
    let maps = if text.is_empty() { Maps::default() } else { maps_to_accept(cx, cx.arg(1))? };
    let (request, usable) = parse_flow_stats_request(text, maps.names())?;
    Ok((open_for_dump(cx, cx.arg(1), usable)?, request))
}

fn fetch(vconn: &mut Vconn, request: &FlowStatsRequest) -> Result<Vec<FlowStats>, Fatal> {
    let mut all = Vec::new();
    let mut failure = None;
    let decoding = vconn.decoding();
    vconn.each_reply(&Message::FlowStatsRequest(Box::new(request.clone())), |reply| {
        match decode(reply, &decoding) {
            Ok(Decoded { message: Message::FlowStatsReply(part), .. }) => all.extend(part),
            Ok(Decoded { message: Message::Error { error, .. }, .. }) | Err(error) => failure = Some(error),
            Ok(_) => {}
        }
    })?;
    match failure {
        None => Ok(all),
        Some(error) => fatal!("dump flows ({})", error.name()),
    }
}

pub(crate) fn dump_flows(cx: &Context) -> Done {
    if cx.options.sort.is_empty() && !cx.options.shows_names() && cx.options.stats {
        let (mut vconn, request) = prepare_dump(cx)?;
        return vconn.dump(cx, &Message::FlowStatsRequest(Box::new(request)), Names::default());
    }
    let (mut vconn, request) = prepare_dump(cx)?;
    let mut all = fetch(&mut vconn, &request)?;
    if !cx.options.sort.is_empty() {
        all.sort_by(|a, b| compare(cx, a, b));
    }
    let maps = maps_to_show(cx, cx.arg(1))?;
    let names = maps.as_ref().map_or_else(Names::default, Maps::names);
    let mut out = String::new();
    for stats in &all {
        out.push(' ');
        put_flow_stats(&mut out, stats, names, cx.options.stats);
        out.push('\n');
    }
    show!("{out}");
    Ok(())
}

fn compare(cx: &Context, a: &FlowStats, b: &FlowStats) -> std::cmp::Ordering {
    for key in &cx.options.sort {
        let ordering = match key.field {
            None => a.priority.cmp(&b.priority),
            Some(field) => {
                let has = |stats: &FlowStats| {
                    field.info().prereq.met_by_match(&stats.m) && !field.is_wild(&stats.m.mask)
                };
                match (has(a), has(b)) {
                    (true, false) => return std::cmp::Ordering::Less,
                    (false, true) => return std::cmp::Ordering::Greater,
                    _ => value(field, &a.m).cmp(&value(field, &b.m)),
                }
            }
        };
        if ordering.is_ne() {
            return if key.descending { ordering.reverse() } else { ordering };
        }
    }
    std::cmp::Ordering::Equal
}

fn value(field: Field, m: &Match) -> u128 {
    field.read(&m.key)
}

pub(crate) fn dump_aggregate(cx: &Context) -> Done {
    let (mut vconn, request) = prepare_dump(cx)?;
    vconn.dump(cx, &Message::AggregateRequest(Box::new(request)), Names::default())
}

/// What tells rules apart: table, priority, match text.
type RuleKey = (u8, u16, String);

/// What is compared of rules.
#[derive(Clone)]
struct Rule {
    m: Match,
    cookie: u64,
    idle_timeout: u16,
    hard_timeout: u16,
    importance: u16,
    flags: FlowFlags,
    actions: Vec<Action>,
}

impl Rule {
    /// Whether replacing one by the other would change nothing that matters.
    fn is_same(&self, other: &Rule) -> bool {
        let numbers = |rule: &Rule| (rule.cookie, rule.idle_timeout, rule.hard_timeout, rule.importance);
        let actions = |rule: &Rule| {
            let mut text = String::new();
            format_actions(&rule.actions, &mut text, Names::default());
            text
        };
        numbers(self) == numbers(other) && actions(self) == actions(other)
    }
}

type Rules = BTreeMap<RuleKey, Rule>;

fn rule_key(table: u8, priority: u16, m: &Match) -> RuleKey {
    let mut normal = m.clone();
    normal.normalize_quiet();
    (table, priority, normal.to_text())
}

fn rules_of_file(path: &str, names: Names<'_>) -> Result<(Rules, Protocols), Fatal> {
    let mut rules = Rules::new();
    let mut usable = Protocols::ANY;
    let (all, of_file) = read_flow_mods(path, FlowTextKind::Mod(FlowModCommand::Add), names)?;
    usable &= of_file;
    for fm in all {
        let table = if fm.table == 0xff { 0 } else { fm.table };
        let version = Rule {
            cookie: if fm.new_cookie == u64::MAX { 0 } else { fm.new_cookie },
            idle_timeout: fm.idle_timeout,
            hard_timeout: fm.hard_timeout,
            importance: fm.importance,
            flags: FlowFlags(
                fm.flags.0 & FlowFlags::STATE.0 & !FlowFlags::CHECK_OVERLAP.0 & !FlowFlags::RESET_COUNTS.0,
            ),
            actions: fm.actions,
            m: fm.m.clone(),
        };
        rules.insert(rule_key(table, fm.priority, &fm.m), version);
    }
    Ok((rules, usable))
}

fn rules_of_switch(vconn: &mut Vconn) -> Result<Rules, Fatal> {
    let mut rules = Rules::new();
    for fs in fetch(vconn, &FlowStatsRequest::default())? {
        let key = rule_key(fs.table, fs.priority, &fs.m);
        let version = Rule {
            cookie: fs.cookie,
            idle_timeout: fs.idle_timeout,
            hard_timeout: fs.hard_timeout,
            importance: fs.importance,
            flags: FlowFlags::default(),
            actions: fs.actions,
            m: fs.m,
        };
        rules.insert(key, version);
    }
    Ok(rules)
}

pub(crate) fn replace_flows(cx: &Context) -> Done {
    let maps = maps_to_accept(cx, cx.arg(1))?;
    let (wanted, usable) = rules_of_file(cx.arg(2), maps.names())?;
    let mut vconn = open_for_dump(cx, cx.arg(1), usable)?;
    let present = rules_of_switch(&mut vconn)?;
    let mut changes = Vec::new();
    for ((table, priority, _), version) in present.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
        let mut fm = FlowMod::new(FlowModCommand::DeleteStrict);
        (fm.m, fm.priority, fm.table) = (version.m.clone(), *priority, *table);
        changes.push(fm);
    }
    for (key, version) in &wanted {
        let same = present.get(key).is_some_and(|old| old.is_same(version));
        if same && !cx.options.readd {
            continue;
        }
        let mut fm = FlowMod::new(FlowModCommand::Add);
        (fm.m, fm.priority, fm.table) = (version.m.clone(), key.1, key.0);
        (fm.new_cookie, fm.idle_timeout, fm.hard_timeout) =
            (version.cookie, version.idle_timeout, version.hard_timeout);
        (fm.importance, fm.flags, fm.actions) = (version.importance, version.flags, version.actions.clone());
        changes.push(fm);
    }
    // Table by table, in each first what goes and then what comes (the sort is stable).
    changes.sort_by_key(|fm| fm.table);
    let messages: Vec<_> = changes.into_iter().map(|one| Message::FlowMod(Box::new(one))).collect();
    if cx.options.bundle {
        return send_bundle(cx, &mut vconn, &messages);
    }
    let mut bytes = Vec::new();
    for message in &messages {
        encode(message, &vconn.encoder(), &mut bytes)?;
    }
    vconn.must_bytes(cx, &bytes)
}

fn rules_of(cx: &Context, source: &str) -> Result<Rules, Fatal> {
    if source == "-" || std::fs::metadata(source).is_ok_and(|m| m.is_file()) {
        return Ok(rules_of_file(source, Names::default())?.0);
    }
    rules_of_switch(&mut open_for_dump(cx, source, Protocols::ANY)?)
}

fn put_rule(out: &mut String, sign: char, key: &RuleKey, version: &Rule) {
    use std::fmt::Write;
    let (table, priority, _) = key;
    let _ = write!(out, "{sign}");
    if *table != 0 {
        let _ = write!(out, "table={table} ");
    }
    version.m.format(out, None, i32::from(*priority));
    if version.cookie != 0 {
        let _ = write!(out, " cookie=0x{:x}", version.cookie);
    }
    for (name, value) in [("idle_timeout", version.idle_timeout), ("hard_timeout", version.hard_timeout)] {
        if value != 0 {
            let _ = write!(out, " {name}={value}");
        }
    }
    if version.importance != 0 {
        let _ = write!(out, " importance={}", version.importance);
    }
    if !out.ends_with(' ') {
        out.push(' ');
    }
    put_flow_flags(out, version.flags);
    out.push_str("actions=");
    format_actions(&version.actions, out, Names::default());
    out.push('\n');
}

pub(crate) fn diff_flows(cx: &Context) -> Done {
    let (a, b) = (rules_of(cx, cx.arg(1))?, rules_of(cx, cx.arg(2))?);
    let mut out = String::new();
    let keys: std::collections::BTreeSet<&RuleKey> = a.keys().chain(b.keys()).collect();
    for key in keys {
        let (old, new) = (a.get(key), b.get(key));
        if let (Some(old), Some(new)) = (old, new)
            && old.is_same(new)
        {
            continue;
        }
        if let Some(version) = old {
            put_rule(&mut out, '-', key, version);
        }
        if let Some(version) = new {
            put_rule(&mut out, '+', key, version);
        }
    }
    show!("{out}");
    // As `diff`: 2 says that there are differences.
    if out.is_empty() { Ok(()) } else { std::process::exit(2) }
}
