//! The record of a translation, for people: `ofproto/trace`.

use std::fmt::Write;

use ofp::Action;

/// What a line of the record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Processing entered a bridge.
    Bridge,
    /// A rule matched in a table.
    Table,
    /// Translation went on after a recirculation.
    Thaw,
    Action,
    Bucket,
    Detail,
    Warning,
    Error,
}

impl Kind {
    /// Whether lines below it belong to it however many siblings follow.
    fn is_terminal(self) -> bool {
        !matches!(self, Kind::Bridge | Kind::Table | Kind::Thaw)
    }
}

/// One line and what happened because of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    pub kind: Kind,
    pub text: String,
    pub children: Vec<Node>,
}

/// A record under construction. When it is off, nothing is formatted or kept.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// The open nodes, outermost first; the first one is a root that is never shown.
    open: Vec<Node>,
}

impl Recorder {
    pub(crate) fn new(on: bool) -> Recorder {
        let root = Node { kind: Kind::Thaw, text: String::new(), children: Vec::new() };
        Recorder { open: if on { vec![root] } else { Vec::new() } }
    }

    pub(crate) fn is_on(&self) -> bool {
        !self.open.is_empty()
    }

    /// Adds a line at the present place.
    pub(crate) fn line(&mut self, kind: Kind, text: impl FnOnce() -> String) {
        if let Some(parent) = self.open.last_mut() {
            parent.children.push(Node { kind, text: text(), children: Vec::new() });
        }
    }

    /// Adds a line; what follows is below it until [`Recorder::close`].
    pub(crate) fn open(&mut self, kind: Kind, text: impl FnOnce() -> String) {
        if self.is_on() {
            self.open.push(Node { kind, text: text(), children: Vec::new() });
        }
    }

    /// Ends the line that was opened last.
    pub(crate) fn close(&mut self) {
        if self.open.len() > 1
            && let Some(node) = self.open.pop()
            && let Some(parent) = self.open.last_mut()
        {
            parent.children.push(node);
        }
    }

    /// All lines, with every open one closed.
    pub(crate) fn finish(mut self) -> Vec<Node> {
        while self.open.len() > 1 {
            self.close();
        }
        self.open.pop().map(|root| root.children).unwrap_or_default()
    }
}

/// The text of `nodes`, as `ofproto/trace` prints it.
pub fn format(nodes: &[Node]) -> String {
    let mut out = String::new();
    format_level(&mut out, nodes, 0);
    out
}

/// Actions as the trace shows them.
pub(crate) fn action_text(actions: &[Action]) -> String {
    let mut text = String::new();
    ofp::format_actions(actions, &mut text, ofp::Names::default());
    text
}

/// A node that stays the only one of its list does not indent what is below
/// it, so that a long chain of resubmits stays readable.
fn format_level(out: &mut String, nodes: &[Node], level: usize) {
    for (index, node) in nodes.iter().enumerate() {
        if node.kind == Kind::Bridge {
            out.push('\n');
        }
        let more = usize::from(index + 1 < nodes.len() || node.kind.is_terminal());
        let indent = " ".repeat((level + more) * 4);
        let text = &node.text;
        // Writing to a String cannot fail.
        let _ = match node.kind {
            Kind::Detail => writeln!(out, "{indent} -> {text}"),
            Kind::Warning => writeln!(out, "{indent} >> {text}"),
            Kind::Error => writeln!(out, "{indent} >>>> {text} <<<<"),
            Kind::Bridge => writeln!(out, "{indent}{text}\n{indent}{}", "-".repeat(text.len())),
            Kind::Thaw | Kind::Table | Kind::Bucket | Kind::Action => writeln!(out, "{indent}{text}"),
        };
        format_level(out, &node.children, level + more + more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_flat_and_a_detail_is_indented() {
        let mut record = Recorder::new(true);
        record.open(Kind::Bridge, || "bridge(\"br0\")".into());
        record.open(Kind::Table, || " 0. priority 0".into());
        record.line(Kind::Action, || "NORMAL".into());
        record.line(Kind::Detail, || "no learned MAC for destination, flooding".into());
        assert_eq!(
            format(&record.finish()),
            "\nbridge(\"br0\")\n-------------\n 0. priority 0\n    NORMAL\n     -> no learned MAC for destination, flooding\n"
        );
    }

    #[test]
    fn a_recorder_that_is_off_keeps_nothing() {
        let mut record = Recorder::new(false);
        record.open(Kind::Table, || unreachable!());
        record.line(Kind::Detail, || unreachable!());
        record.close();
        assert!(record.finish().is_empty());
    }
}
