//! When memory is to be given back, because many rules have gone, whatever way they went.

use ofproto::MANY;

/// How many rules there are, as far as their memory is concerned.
#[derive(Debug, Default)]
pub(crate) struct RuleMemory {
    /// The most there have been since memory was given back last.
    most: usize,
    latest: usize,
}

impl RuleMemory {
    /// Takes note of how many there are now; whether it is time to give memory back: when many have gone, and no more are
    /// going.
    pub(crate) fn is_due(&mut self, rules: usize) -> bool {
        let is_settled = rules == self.latest;
        self.latest = rules;
        self.most = self.most.max(rules);
        let is_due = is_settled && self.most - rules >= MANY;
        if is_due {
            self.most = rules;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_when_many_rules_have_gone() {
        let mut memory = RuleMemory::default();
        let mut is_due = |rules| memory.is_due(rules);
        assert!(!is_due(3 * MANY) && !is_due(3 * MANY), "none has gone");
        assert!(!is_due(2 * MANY + 1) && !is_due(2 * MANY + 1), "few have gone");
        assert!(!is_due(MANY), "more may be going");
        assert!(is_due(MANY) && !is_due(MANY));
        assert!(!is_due(5 * MANY) && !is_due(0) && is_due(0));
    }
}
