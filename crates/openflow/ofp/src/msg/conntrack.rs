//! Forgetting connections (`NXT_CT_FLUSH`).

/// Which connections are to be forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CtFlush {
    /// The zone; `None`: all, or zone 0 where `filter` names one connection.
    pub zone: Option<u16>,
    /// What else is known of them.
    pub filter: conntrack::Filter,
}
