//! What rules teach that shall go with them.

use base::TableId;
use ofp::Action;

/// Where learned rules of one teacher are: their table and cookie.
pub(crate) type Lesson = (TableId, u64);

/// Whether a rule with these actions teaches what shall go with it.
pub(crate) fn teaches(actions: &[Action]) -> bool {
    !lessons(actions).is_empty()
}

/// What a rule teaches that shall go with it.
#[expect(clippy::wildcard_enum_match_arm, reason = "of all others, what they nest is looked at")]
pub(crate) fn lessons(actions: &[Action]) -> Vec<Lesson> {
    let mut found = Vec::new();
    for action in actions {
        match action {
            Action::Learn(learn) if learn.delete_learned => found.push((TableId(learn.table), learn.cookie)),
            other => found.extend(lessons(other.nested())),
        }
    }
    found
}
