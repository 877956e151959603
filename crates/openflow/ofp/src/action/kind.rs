//! The kinds of actions: their names, and sets of them.

use super::Action;

macro_rules! kinds {
    ($($kind:ident $name:literal $pattern:pat,)*) => {
        /// An action without its arguments. The number is its bit in sets of kinds.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum ActionKind { $($kind),* }

        const ALL: &[(ActionKind, &str)] = &[$((ActionKind::$kind, $name)),*];

        impl Action {
            pub fn kind(&self) -> ActionKind {
                match self { $($pattern => ActionKind::$kind),* }
            }
        }
    };
}

kinds! {
    Output "output" Action::Output(_),
    Group "group" Action::Group(_),
    Controller "controller" Action::Controller(_),
    Enqueue "enqueue" Action::Enqueue(_),
    OutputReg "output_reg" Action::OutputReg(_),
    Bundle "bundle" Action::Bundle(_),
    SetField "set_field" Action::SetField(_),
    SetVlanVid "set_vlan_vid" Action::SetVlanVid(_),
    SetVlanPcp "set_vlan_pcp" Action::SetVlanPcp(_),
    StripVlan "strip_vlan" Action::StripVlan { .. },
    PushVlan "push_vlan" Action::PushVlan(_),
    SetEthSrc "mod_dl_src" Action::SetEthSrc(_),
    SetEthDst "mod_dl_dst" Action::SetEthDst(_),
    SetIpv4Src "mod_nw_src" Action::SetIpv4Src(_),
    SetIpv4Dst "mod_nw_dst" Action::SetIpv4Dst(_),
    SetIpDscp "mod_nw_tos" Action::SetIpDscp(_),
    SetIpEcn "mod_nw_ecn" Action::SetIpEcn(_),
    SetIpTtl "mod_nw_ttl" Action::SetIpTtl(_),
    SetL4Src "mod_tp_src" Action::SetL4Src(_),
    SetL4Dst "mod_tp_dst" Action::SetL4Dst(_),
    RegMove "move" Action::RegMove(_),
    StackPush "push" Action::StackPush(_),
    StackPop "pop" Action::StackPop(_),
    DecTtl "dec_ttl" Action::DecTtl(_),
    SetMplsLabel "set_mpls_label" Action::SetMplsLabel(_),
    SetMplsTc "set_mpls_tc" Action::SetMplsTc(_),
    SetMplsTtl "set_mpls_ttl" Action::SetMplsTtl(_),
    DecMplsTtl "dec_mpls_ttl" Action::DecMplsTtl,
    PushMpls "push_mpls" Action::PushMpls(_),
    PopMpls "pop_mpls" Action::PopMpls(_),
    DecNshTtl "dec_nsh_ttl" Action::DecNshTtl,
    DeleteField "delete_field" Action::DeleteField(_),
    Encap "encap" Action::Encap(_),
    Decap "decap" Action::Decap(_),
    SetTunnel "set_tunnel" Action::SetTunnel { .. },
    SetQueue "set_queue" Action::SetQueue(_),
    PopQueue "pop_queue" Action::PopQueue,
    FinTimeout "fin_timeout" Action::FinTimeout(_),
    Resubmit "resubmit" Action::Resubmit(_),
    Learn "learn" Action::Learn(_),
    Conjunction "conjunction" Action::Conjunction(_),
    Multipath "multipath" Action::Multipath(_),
    Note "note" Action::Note(_),
    Exit "exit" Action::Exit,
    Sample "sample" Action::Sample(_),
    Ct "ct" Action::Ct(_),
    CtClear "ct_clear" Action::CtClear,
    Nat "nat" Action::Nat(_),
    OutputTrunc "output_trunc" Action::OutputTrunc(_),
    Clone "clone" Action::Clone(_),
    CheckPktLarger "check_pkt_larger" Action::CheckPktLarger(_),
    DebugRecirc "debug_recirc" Action::DebugRecirc,
    DebugSlow "debug_slow" Action::DebugSlow,
    Meter "meter" Action::Meter(_),
    ClearActions "clear_actions" Action::ClearActions,
    WriteActions "write_actions" Action::WriteActions(_),
    WriteMetadata "write_metadata" Action::WriteMetadata { .. },
    GotoTable "goto_table" Action::GotoTable(_),
}

impl ActionKind {
    pub fn name(self) -> &'static str {
        ALL[self as usize].1
    }

    /// Its bit in a set of kinds.
    pub const fn bit(self) -> u64 {
        1 << self as u8
    }

    /// The kinds of a set.
    pub fn in_set(set: u64) -> impl Iterator<Item = ActionKind> {
        ALL.iter().map(|(kind, _)| *kind).filter(move |kind| set & kind.bit() != 0)
    }
}

impl Action {
    /// Whether an action set may contain it.
    pub fn is_allowed_in_set(&self) -> bool {
        use ActionKind::*;
        !matches!(
            self.kind(),
            Bundle
                | ClearActions
                | Conjunction
                | Enqueue
                | Exit
                | FinTimeout
                | GotoTable
                | Learn
                | Meter
                | Multipath
                | Note
                | OutputReg
                | PopQueue
                | Sample
                | StackPop
                | StackPush
                | WriteActions
                | WriteMetadata
                | Clone
                | OutputTrunc
                | DebugRecirc
                | DebugSlow
                | CheckPktLarger
                | Nat
                | DeleteField
                | Controller
        )
    }
}
