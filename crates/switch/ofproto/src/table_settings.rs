//! What is set of a table.

use fields::Subfield;
use flow::Slot;

/// What the database says of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableSettings {
    pub name: Option<String>,
    pub max_rules: Option<usize>,
    /// Whether a rule goes when there are too many, or the new one is refused.
    pub evicts: bool,
    /// Rules that agree in these are a group; room is made in the largest group.
    pub groups: Vec<Subfield>,
    /// The fields whose prefixes lookups track; the usual ones where nothing is said.
    pub prefixes: Option<Vec<Slot>>,
}

/// At which fill levels of a table its controller is notified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VacancyWatch {
    pub(crate) down: u8,
    pub(crate) up: u8,
    /// Which of the two is reported next.
    pub(crate) next: u8,
}
