//! Where a packet went.

use base::OfPort;

/// Where a packet went, as flow export tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Output {
    #[default]
    Drop,
    Port(OfPort),
    Multiple,
    Flood,
}

impl Output {
    /// The sum of what happened before and of what an action did.
    pub(crate) fn then(self, next: Output) -> Output {
        match (self, next) {
            (Output::Flood, _) | (_, Output::Flood) => Output::Flood,
            (before, Output::Drop) => before,
            (Output::Drop, next) => next,
            _ => Output::Multiple,
        }
    }
}
