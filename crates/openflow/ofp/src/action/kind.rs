//! The kinds of actions: their names, and sets of them.

use super::{ALL, Action, ActionKind};

/// Where an action stands when an action set is run (OpenFlow 1.5.1 §5.6), whatever the order it was written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetPlace {
    /// No action set has it.
    Never,
    /// Before all changes of fields, in the order of these numbers; of each kind the one written last counts.
    First(u8),
    /// A change of a field; all are made, in the order in which they were written.
    Change,
    /// The end: of the kinds that the set has, the one with the lowest number, as it was written last.
    End(u8),
}

/// Makes of the table of actions the enum of their kinds, and what is known of each.
macro_rules! kinds {
    ($($kind:ident $name:literal $pattern:pat, $place:expr, $instruction:ident;)*) => {
        /// An action without its arguments. The number is its bit in sets of kinds.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum ActionKind {
            $(
                #[doc = concat!("[`Action::", stringify!($kind), "`].")]
                $kind
            ),*
        }

        const ALL: &[ActionKind] = &[$(ActionKind::$kind),*];

        impl Action {
            /// Its kind, without the arguments.
            pub fn kind(&self) -> ActionKind {
                match self { $($pattern => ActionKind::$kind),* }
            }
        }

        impl ActionKind {
            /// As in the text of actions, or close to it: `output`, `mod_dl_src`.
            pub fn name(self) -> &'static str {
                match self { $(ActionKind::$kind => $name),* }
            }

            /// Where it stands in an action set.
            pub fn set_place(self) -> SetPlace {
                use SetPlace::*;
                match self { $(ActionKind::$kind => $place),* }
            }

            /// The instruction that it is, or that it is an action of, where instructions are apart from actions.
            pub(crate) fn instruction(self) -> Instruction {
                match self { $(ActionKind::$kind => Instruction::$instruction),* }
            }
        }
    };
}

impl ActionKind {
    /// Its bit in a set of kinds.
    pub const fn bit(self) -> u64 {
        1 << self as u8
    }

    /// The kinds of a set.
    pub fn in_set(set: u64) -> impl Iterator<Item = ActionKind> {
        ALL.iter().copied().filter(move |kind| set & kind.bit() != 0)
    }
}

impl Action {
    /// Whether an action set may contain it.
    pub fn is_allowed_in_set(&self) -> bool {
        self.kind().set_place() != SetPlace::Never
    }
}
