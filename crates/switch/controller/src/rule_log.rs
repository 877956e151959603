//! How many rules a peer changed, reported in the log now and then: ten seconds
//! after the first of some changes, at most once a minute, and when the peer
//! goes.

use std::fmt::Write;
use std::time::Duration;

use base::Timestamp;
use ofp::FlowModCommand;

const DELAY: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(60);

/// What a peer did since that was logged last.
#[derive(Debug, Default)]
pub(crate) struct RuleLog {
    adds: u32,
    deletes: u32,
    modifications: u32,
    /// When the first and the last of them were.
    range: Option<(Timestamp, Timestamp)>,
    due: Option<Timestamp>,
    may_tell_from: Option<Timestamp>,
}

impl RuleLog {
    pub(crate) fn note(&mut self, command: FlowModCommand, now: Timestamp) {
        if command.is_delete() {
            self.deletes += 1;
        } else if command.is_modify() {
            self.modifications += 1;
        } else {
            self.adds += 1;
        }
        self.range = Some((self.range.map_or(now, |(first, _)| first), now));
        if self.due.is_none() {
            let due = (now + DELAY).max(self.may_tell_from.unwrap_or(now));
            self.due = Some(due);
            self.may_tell_from = Some(due + REST);
        }
    }

    /// What is to be logged now, if it is time.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<String> {
        if self.due.is_none_or(|due| now < due) {
            return None;
        }
        self.take(now)
    }

    /// What was not reported yet.
    pub(crate) fn take(&mut self, now: Timestamp) -> Option<String> {
        let (first, last) = self.range?;
        let (ago, interval) = ((now - first).as_secs(), (last - first).as_secs());
        let mut text = format!("{} flow_mods ", self.adds + self.deletes + self.modifications);
        let _ = match interval {
            interval if interval == ago => write!(text, "in the last {ago} s"),
            0 => write!(text, "{ago} s ago"),
            interval => write!(text, "in the {interval} s starting {ago} s ago"),
        };
        let kinds = [(self.adds, "adds"), (self.deletes, "deletes"), (self.modifications, "modifications")];
        let kinds =
            kinds.into_iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}"));
        let _ = write!(text, " ({})", kinds.collect::<Vec<_>>().join(", "));
        *self = RuleLog { may_tell_from: self.may_tell_from, ..RuleLog::default() };
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn changes_are_told_after_a_while_and_then_rarely() {
        let mut log = RuleLog::default();
        assert_eq!(log.take(at(1)), None);
        log.note(FlowModCommand::Add, at(1));
        log.note(FlowModCommand::DeleteStrict, at(3));
        assert_eq!(log.take_due(at(10)), None);
        let text = "2 flow_mods in the 2 s starting 10 s ago (1 adds, 1 deletes)";
        assert_eq!(log.take_due(at(11)).as_deref(), Some(text));
        log.note(FlowModCommand::Modify, at(12));
        assert_eq!(log.take_due(at(70)), None);
        assert_eq!(log.take_due(at(71)).as_deref(), Some("1 flow_mods 59 s ago (1 modifications)"));
    }

    #[test]
    fn what_is_left_is_told_at_the_end() {
        let mut log = RuleLog::default();
        log.note(FlowModCommand::Add, at(5));
        assert_eq!(log.take(at(5)).as_deref(), Some("1 flow_mods in the last 0 s (1 adds)"));
        assert_eq!(log.take(at(5)), None);
    }
}
