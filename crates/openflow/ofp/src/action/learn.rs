//! `learn`: adding a rule made from the packet.

use fields::Subfield;

/// Adds or changes a rule when it is executed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Learn {
    pub idle_timeout: u16,
    pub hard_timeout: u16,
    pub priority: u16,
    pub table: u8,
    pub cookie: u64,
    pub send_flow_rem: bool,
    /// Delete the learned rules with the rule that holds this action.
    pub delete_learned: bool,
    pub fin_idle_timeout: u16,
    pub fin_hard_timeout: u16,
    /// Most rules to learn; 0 means no limit.
    pub limit: u32,
    /// Where to say whether a rule was learned.
    pub result: Option<Subfield>,
    pub specs: Vec<LearnSpec>,
}

/// One part of the learned rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LearnSpec {
    pub n_bits: u16,
    pub source: LearnSource,
    pub destination: LearnDestination,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LearnSource {
    /// Bits of the packet.
    Field(Subfield),
    /// A value, right-aligned.
    Immediate(u128),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LearnDestination {
    /// The rule matches it.
    Match(Subfield),
    /// The rule loads it.
    Load(Subfield),
    /// The rule sends to the port that it is.
    Output,
}
