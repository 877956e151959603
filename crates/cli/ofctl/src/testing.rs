//! Commands that need no switch: texts and bytes to each other.

use std::io::Read;

use fields::text_pairs::next_pair;
use fields::{Match, Protocols};
use ofp::*;

use crate::vconn::next_xid;
use crate::{Context, Done, Fatal, fatal};

/// The lines of standard input without comments and empty ones.
fn stdin_lines() -> Result<Vec<String>, Fatal> {
    Ok(crate::flows::read_lines("-")?.into_iter().map(|(_, line)| line).collect())
}

pub(crate) fn hex(text: &str) -> Result<Vec<u8>, Fatal> {
    match hex_bytes(text) {
        Some((bytes, "")) => Ok(bytes),
        _ => fatal!("Trailing garbage in hex data"),
    }
}

/// A dump whose dash stands between the halves of a line, not after a half.
pub(crate) fn print_hex(bytes: &[u8]) {
    let mut dump = String::new();
    put_hex_dump(&mut dump, bytes, 0, false);
    show!("{}", dump.replace("-\n", "\n"));
}

fn show_flow_mods(cx: &Context, all: Vec<FlowMod>, usable: Protocols) -> Done {
    show_line!("usable protocols: {usable}");
    let chosen = (usable & cx.options.protocols).lowest();
    if chosen.is_empty() {
        return fatal!("no usable protocol");
    }
    show_line!("chosen protocol: {}", chosen.name().unwrap_or_default());
    for fm in all {
        let bytes = Message::FlowMod(Box::new(fm)).to_bytes(&Encoder::new(chosen, next_xid()));
        for message in split_messages(&bytes) {
            show!("{}", message_to_text(message, Names::default(), cx.options.verbosity));
        }
    }
    Ok(())
}

pub(crate) fn parse_flow(cx: &Context) -> Done {
    let (fm, usable) = parse_flow_mod(cx.arg(1), FlowTextKind::Mod(FlowModCommand::Add), Names::default())?;
    show_flow_mods(cx, vec![fm], usable)
}

pub(crate) fn parse_flows(cx: &Context) -> Done {
    let kind = FlowTextKind::Mod(FlowModCommand::Add);
    let (all, usable) = crate::flows::read_flow_mods(cx.arg(1), kind, Names::default())?;
    show_flow_mods(cx, all, usable)
}

pub(crate) fn parse_group(cx: &Context) -> Done {
    let (request, usable) = parse_group_mod(cx.arg(1), Some(GroupCommand::Add), Names::default())?;
    show_line!("usable protocols: {usable}");
    let chosen = (usable & cx.options.protocols).lowest();
    let Some(version) = Version::ALL.into_iter().find(|version| version.protocols().intersects(chosen))
    else {
        return fatal!("no usable protocol");
    };
    show_line!("chosen version: {}", version.name());
    let bytes = Message::GroupMod(request).to_bytes(&Encoder::new(chosen, next_xid()));
    show!("{}", message_to_text(&bytes, Names::default(), cx.options.verbosity));
    Ok(())
}

/// Lines of standard input; of a comment alone, an empty line.
pub(crate) fn test_lines() -> Result<Vec<String>, Fatal> {
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        return fatal!("-: open failed ({})", rpc::error_text(&error));
    }
    Ok(text.lines().map(str::to_owned).collect())
}

/// What the bytes `b` have other than `a`, a line each that begins with `prefix`.
pub(crate) fn show_differences(prefix: &str, a: &[u8], b: &[u8]) {
    for index in 0..a.len().max(b.len()) {
        match (a.get(index), b.get(index)) {
            (Some(x), Some(y)) if x != y => show_line!("{prefix}{index:2}: {x:02x} -> {y:02x}"),
            (None, Some(y)) => show_line!("{prefix}{index:2}: (none) -> {y:02x}"),
            (Some(x), None) => show_line!("{prefix}{index:2}: {x:02x} -> (none)"),
            _ => {}
        }
    }
}

fn parse_wire_actions(cx: &Context, instructions: bool) -> Done {
    let Some(version) = Version::from_name(cx.arg(1)) else {
        return fatal!("{}: not a valid OpenFlow version", cx.arg(1));
    };
    for line in stdin_lines()? {
        let (table, text) = match line.split_once(',') {
            Some((table, text)) => (table.trim().parse().unwrap_or(0), text),
            None => (0, line.as_str()),
        };
        let bytes = hex(text)?;
        let mut decoded = actions_from_wire(&bytes, version, instructions);
        if let Ok(actions) = &mut decoded
            && instructions
        {
            let mut m = Match::default();
            let checked = Check::new(&mut m, table, 255).actions_for(actions, version.protocols());
            if let Err(error) = checked {
                decoded = Err(error);
            }
        }
        match decoded {
            Ok(actions) => {
                let mut shown = String::from("actions=");
                format_actions(&actions, &mut shown, Names::default());
                show_line!("{shown}");
                show_differences("", &bytes, &actions_to_wire(&actions, version, instructions));
                show_line!();
            }
            Err(error) => {
                let what = if instructions { "instructions" } else { "actions" };
                show_line!("bad {} {what}: {}\n", cx.arg(1), error.name());
            }
        }
    }
    Ok(())
}

pub(crate) fn parse_actions(cx: &Context) -> Done {
    parse_wire_actions(cx, false)
}

pub(crate) fn parse_instructions(cx: &Context) -> Done {
    parse_wire_actions(cx, true)
}

fn error_of(name: &str) -> Result<OfError, Fatal> {
    match OfError::from_name(name) {
        Some(error) => Ok(error),
        None => fatal!("unknown error \"{name}\""),
    }
}

pub(crate) fn print_error(cx: &Context) -> Done {
    let error = error_of(cx.arg(1))?;
    for version in Version::ALL {
        let number = |n: u16| if n == u16::MAX { -1 } else { i32::from(n) };
        if let Some(code) = error.code(version) {
            let vendor = if code.vendor == 0 { "0".to_owned() } else { format!("{:#x}", code.vendor) };
            let name = version.short().replace("OF", "OpenFlow ");
            show_line!("{name}: vendor {vendor}, type {}, code {}", number(code.kind), number(code.code));
        }
    }
    Ok(())
}

pub(crate) fn encode_error_reply(cx: &Context) -> Done {
    let error = error_of(cx.arg(1))?;
    let request = hex(cx.arg(2))?;
    let Some(version) = request.first().and_then(|byte| Version::from_byte(*byte)) else {
        return fatal!("Request has no OpenFlow version");
    };
    let xid = message_xid(&request).unwrap_or(0);
    let payload = request[..request.len().min(64)].to_vec();
    let bytes =
        Message::Error { error, payload }.to_bytes(&Encoder::new(Protocols::initial(version.byte()), xid));
    print_hex(&bytes);
    Ok(())
}

pub(crate) fn ofp_print(cx: &Context) -> Done {
    let verbosity = if cx.args.len() > 2 { cx.arg(2).parse().unwrap_or(0) } else { 2 };
    let bytes = if cx.arg(1) == "-" && cx.options.raw {
        let mut bytes = Vec::new();
        if std::io::stdin().read_to_end(&mut bytes).is_err() {
            return fatal!("Failed to read stdin");
        }
        bytes
    } else {
        let mut line = cx.arg(1).to_owned();
        if line == "-" {
            line.clear();
            if std::io::stdin().read_line(&mut line).is_err() {
                return fatal!("Failed to read stdin");
            }
        }
        match hex_bytes(&line) {
            Some((bytes, "")) => bytes,
            _ => return fatal!("trailing garbage following hex bytes"),
        }
    };
    show!("{}", message_to_text(&bytes, Names::default(), verbosity));
    Ok(())
}

pub(crate) fn encode_hello(cx: &Context) -> Done {
    let versions = fields::text::parse_u64(cx.arg(1)).unwrap_or(0) as u32;
    let highest = Version::greatest_common(versions, versions).unwrap_or(Version::Of10);
    let bytes =
        Message::Hello { versions }.to_bytes(&Encoder::new(Protocols::initial(highest.byte()), next_xid()));
    print_hex(&bytes);
    show!("{}", message_to_text(&bytes, Names::default(), cx.options.verbosity));
    Ok(())
}

pub(crate) fn parse_key_value(cx: &Context) -> Done {
    for text in &cx.args[1..] {
        let mut rest = text.as_str();
        let mut shown = Vec::new();
        while let Some((key, value, after)) = next_pair(rest) {
            rest = after;
            shown.push(if value.is_empty() { key.to_owned() } else { format!("{key}={value}") });
        }
        show_line!("{}", shown.join(", "));
    }
    Ok(())
}

pub(crate) fn parse_packet(_: &Context) -> Done {
    for line in stdin_lines()? {
        show!("{}", packet_to_text(&hex(&line)?, 0));
    }
    Ok(())
}

pub(crate) fn ofp_parse(cx: &Context) -> Done {
    let mut bytes = Vec::new();
    let read = match cx.arg(1) {
        "-" => std::io::stdin().read_to_end(&mut bytes),
        path => std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
    };
    if let Err(error) = read {
        return fatal!("{}: open ({})", cx.arg(1), rpc::error_text(&error));
    }
    let mut at = 0;
    for message in split_messages(&bytes) {
        show!("{}", message_to_text(message, Names::default(), cx.options.verbosity + 2));
        at += message.len();
    }
    match bytes.len() - at {
        0 => Ok(()),
        left => fatal!("{}: {left} bytes of trailing garbage", cx.arg(1)),
    }
}
