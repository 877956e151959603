//! What is wrong with the configuration, logged when it becomes so and not again at every pass.

use std::collections::BTreeSet;

use log::Level;

/// What stands, and what was found in the pass that is under way.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    standing: BTreeSet<String>,
    found: BTreeSet<String>,
}

impl Complaints {
    /// Logs `text` unless the last pass found the same.
    pub(crate) fn say(&mut self, level: Level, text: String) {
        if !self.standing.contains(&text) && !self.found.contains(&text) {
            log::log!(target: "bridge", level, "{text}");
        }
        self.found.insert(text);
    }

    /// Ends a pass: what it did not find is mended, and logged anew if it comes back.
    pub(crate) fn end_pass(&mut self) {
        self.standing = std::mem::take(&mut self.found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_stands_until_a_pass_does_not_find_it() {
        let mut complaints = Complaints::default();
        let is_new = |complaints: &Complaints| !complaints.standing.contains("a");
        complaints.say(Level::Warn, "a".into());
        complaints.end_pass();
        assert!(!is_new(&complaints));
        complaints.end_pass();
        assert!(is_new(&complaints));
    }
}
