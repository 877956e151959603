//! The kinds of actions: their names, and sets of them.

use super::Action;

use super::check::Instruction;

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

macro_rules! kinds {
    ($($kind:ident $name:literal $pattern:pat, $place:expr, $instruction:ident;)*) => {
        /// An action without its arguments. The number is its bit in sets of kinds.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum ActionKind { $($kind),* }

        const ALL: &[ActionKind] = &[$(ActionKind::$kind),*];

        impl Action {
            pub fn kind(&self) -> ActionKind {
                match self { $($pattern => ActionKind::$kind),* }
            }
        }

        impl ActionKind {
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

// The table of actions: kind, name, what has it; the place in an action set; the instruction.
kinds! {
    Output "output" Action::Output(_), End(1), Apply;
    Group "group" Action::Group(_), End(0), Apply;
    Controller "controller" Action::Controller(_), Never, Apply;
    Enqueue "enqueue" Action::Enqueue(_), Never, Apply;
    OutputReg "output_reg" Action::OutputReg(_), Never, Apply;
    Bundle "bundle" Action::Bundle(_), Never, Apply;
    SetField "set_field" Action::SetField(_), Change, Apply;
    SetVlanVid "set_vlan_vid" Action::SetVlanVid(_), Change, Apply;
    SetVlanPcp "set_vlan_pcp" Action::SetVlanPcp(_), Change, Apply;
    StripVlan "strip_vlan" Action::StripVlan { .. }, First(0), Apply;
    PushVlan "push_vlan" Action::PushVlan(_), First(5), Apply;
    SetEthSrc "mod_dl_src" Action::SetEthSrc(_), Change, Apply;
    SetEthDst "mod_dl_dst" Action::SetEthDst(_), Change, Apply;
    SetIpv4Src "mod_nw_src" Action::SetIpv4Src(_), Change, Apply;
    SetIpv4Dst "mod_nw_dst" Action::SetIpv4Dst(_), Change, Apply;
    SetIpDscp "mod_nw_tos" Action::SetIpDscp(_), Change, Apply;
    SetIpEcn "mod_nw_ecn" Action::SetIpEcn(_), Change, Apply;
    SetIpTtl "mod_nw_ttl" Action::SetIpTtl(_), Change, Apply;
    SetL4Src "mod_tp_src" Action::SetL4Src(_), Change, Apply;
    SetL4Dst "mod_tp_dst" Action::SetL4Dst(_), Change, Apply;
    RegMove "move" Action::RegMove(_), Change, Apply;
    StackPush "push" Action::StackPush(_), Never, Apply;
    StackPop "pop" Action::StackPop(_), Never, Apply;
    DecTtl "dec_ttl" Action::DecTtl(_), First(6), Apply;
    SetMplsLabel "set_mpls_label" Action::SetMplsLabel(_), Change, Apply;
    SetMplsTc "set_mpls_tc" Action::SetMplsTc(_), Change, Apply;
    SetMplsTtl "set_mpls_ttl" Action::SetMplsTtl(_), Change, Apply;
    DecMplsTtl "dec_mpls_ttl" Action::DecMplsTtl, First(7), Apply;
    PushMpls "push_mpls" Action::PushMpls(_), First(4), Apply;
    PopMpls "pop_mpls" Action::PopMpls(_), First(1), Apply;
    DecNshTtl "dec_nsh_ttl" Action::DecNshTtl, First(8), Apply;
    DeleteField "delete_field" Action::DeleteField(_), Never, Apply;
    Encap "encap" Action::Encap(_), First(3), Apply;
    Decap "decap" Action::Decap(_), First(2), Apply;
    SetTunnel "set_tunnel" Action::SetTunnel { .. }, Change, Apply;
    SetQueue "set_queue" Action::SetQueue(_), Change, Apply;
    PopQueue "pop_queue" Action::PopQueue, Never, Apply;
    FinTimeout "fin_timeout" Action::FinTimeout(_), Never, Apply;
    Resubmit "resubmit" Action::Resubmit(_), End(2), Apply;
    Learn "learn" Action::Learn(_), Never, Apply;
    Conjunction "conjunction" Action::Conjunction(_), Never, Apply;
    Multipath "multipath" Action::Multipath(_), Never, Apply;
    Note "note" Action::Note(_), Never, Apply;
    Exit "exit" Action::Exit, Never, Apply;
    Sample "sample" Action::Sample(_), Never, Apply;
    Ct "ct" Action::Ct(_), End(4), Apply;
    CtClear "ct_clear" Action::CtClear, End(3), Apply;
    Nat "nat" Action::Nat(_), Never, Apply;
    OutputTrunc "output_trunc" Action::OutputTrunc(_), Never, Apply;
    Clone "clone" Action::Clone(_), Never, Apply;
    CheckPktLarger "check_pkt_larger" Action::CheckPktLarger(_), Never, Apply;
    DebugRecirc "debug_recirc" Action::DebugRecirc, Never, Apply;
    DebugSlow "debug_slow" Action::DebugSlow, Never, Apply;
    Meter "meter" Action::Meter(_), Never, Meter;
    ClearActions "clear_actions" Action::ClearActions, Never, Clear;
    WriteActions "write_actions" Action::WriteActions(_), Never, Write;
    WriteMetadata "write_metadata" Action::WriteMetadata { .. }, Never, WriteMetadata;
    GotoTable "goto_table" Action::GotoTable(_), Never, GotoTable;
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
