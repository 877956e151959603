//! Lists of actions as text.

use base::OfPort;
use fields::text_pairs::next_pair;
use fields::{Protocols, TextError, refuse};

use super::*;
use crate::Version;

/// How deep actions may contain actions.
const MAX_DEPTH: u32 = 100;

/// Most bytes that a list may take, in the form of OpenFlow 1.1.
const MAX_LIST: usize = u16::MAX as usize;

/// Shorter texts stand for lists that are not too long: the densest action, a
/// port and its comma, is 2 letters for 16 bytes.
const LONG_TEXT: usize = MAX_LIST / 16;

/// What reading actions needs to know, and what it finds out.
pub(crate) struct Parser<'a> {
    pub(crate) names: Names<'a>,
    /// Protocols that can express what was read.
    pub(crate) usable: Protocols,
    depth: u32,
}

/// Reads a rule's actions and instructions.
pub fn parse_instructions(text: &str, names: Names<'_>) -> Result<(Vec<Action>, Protocols), TextError> {
    parse_top(text, names, true)
}

/// Reads actions only.
pub fn parse_actions(text: &str, names: Names<'_>) -> Result<(Vec<Action>, Protocols), TextError> {
    parse_top(text, names, false)
}

fn parse_top(
    text: &str,
    names: Names<'_>,
    instructions: bool,
) -> Result<(Vec<Action>, Protocols), TextError> {
    let mut parser = Parser { names, usable: Protocols::ANY, depth: 0 };
    let actions = parse_list(text, &mut parser, instructions, Outer::None)?;
    Ok((actions, parser.usable))
}

/// Reads the actions inside an action.
pub(super) fn parse_nested(text: &str, p: &mut Parser<'_>, outer: Outer) -> Result<Vec<Action>, TextError> {
    parse_list(text, p, false, outer)
}

fn parse_list(
    text: &str,
    p: &mut Parser<'_>,
    instructions: bool,
    outer: Outer,
) -> Result<Vec<Action>, TextError> {
    if p.depth >= MAX_DEPTH {
        return refuse!("Action nested too deeply");
    }
    p.depth += 1;
    let result = parse_list_inner(text, p, instructions, outer);
    p.depth -= 1;
    result
}

fn parse_list_inner(
    text: &str,
    p: &mut Parser<'_>,
    instructions: bool,
    outer: Outer,
) -> Result<Vec<Action>, TextError> {
    let mut actions = Vec::new();
    let mut drop = false;
    let mut rest = text;
    while let Some((key, value, after)) = next_pair(rest) {
        rest = after;
        if key.eq_ignore_ascii_case("drop") {
            drop = true;
            continue;
        }
        let action = forms::parse(key, value, p)?;
        if matches!(action, Action::Meter(_)) && !instructions {
            p.usable &= Protocols::OF15_UP;
        }
        actions.push(action);
    }
    if text.len() >= LONG_TEXT && actions_to_wire(&actions, Version::Of11, instructions).len() > MAX_LIST {
        return refuse!("input too big");
    }
    if drop && !actions.is_empty() {
        return refuse!("\"drop\" must not be accompanied by any other action or instruction");
    }
    check::verify(&actions, Version::Of11, instructions, outer).map_err(|(_, text)| TextError(text))?;
    Ok(actions)
}

/// Writes actions joined by commas, `drop` for none.
pub fn format_actions(actions: &[Action], out: &mut String, names: Names<'_>) {
    if actions.is_empty() {
        return out.push_str("drop");
    }
    for (index, action) in actions.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        action.format(out, names);
    }
}

/// Whether the list sends to `port`, nested actions included.
#[expect(clippy::wildcard_enum_match_arm, reason = "of all others, what they nest is looked at")]
pub fn outputs_to_port(actions: &[Action], port: OfPort) -> bool {
    actions.iter().any(|action| match action {
        Action::Output(a) => a.port == port,
        Action::OutputTrunc(a) => a.port == port,
        Action::Enqueue(a) => a.port == port,
        Action::Controller(_) => port == OfPort::CONTROLLER,
        _ => outputs_to_port(action.nested(), port),
    })
}

/// Whether the list sends to `group`, nested actions included.
#[expect(clippy::wildcard_enum_match_arm, reason = "of all others, what they nest is looked at")]
pub fn outputs_to_group(actions: &[Action], group: u32) -> bool {
    actions.iter().any(|action| match action {
        Action::Group(id) => *id == group,
        other => outputs_to_group(other.nested(), group),
    })
}
