//! Actions and instructions.
//!
//! A rule's actions are a `Vec<Action>`. Instructions of OpenFlow 1.1+ are
//! actions here too: `apply_actions` is the plain list, and the others stand
//! in the order meter, (the list), clear_actions, write_actions,
//! write_metadata, goto_table.
//!
//! Here is the list of actions with their names; `forms` has, side by side, what
//! each is as bytes and as text, and what it requires. Arguments that are more
//! than a number have one file per family, each of one shape: what the action
//! says, its bytes, its text, its check.

#[macro_use]
mod kind;
mod bundle;
mod check;
pub(crate) mod codec;
mod conntrack;
mod encap;
mod forms;
mod header;
mod learn;
mod misc;
mod output;
mod raw;
mod set_field;
mod text;

pub use check::Check;
pub use codec::{actions_from_wire, actions_to_wire};
pub use kind::SetPlace;
pub use text::{format_actions, outputs_to_group, outputs_to_port, parse_actions, parse_instructions};

pub use bundle::{Bundle, BundleAlgorithm, HashFields, Multipath, MultipathAlgorithm};
pub use conntrack::{Ct, Nat, NatRange, ZoneSource};
pub use encap::{Encap, EncapProperty};
pub use header::{DecTtl, PushVlan, SetL4Port, SetVlanPcp, SetVlanVid};
pub use learn::{Learn, LearnDestination, LearnSource, LearnSpec};
pub use misc::{CheckPktLarger, Conjunction, FinTimeout, Resubmit, Sample, SampleDirection, SampleSource};
pub(crate) use output::port_from_of11;
pub use output::{Controller, Enqueue, Output, OutputReg, OutputTrunc, check_output_port};
pub use set_field::{RegMove, SetField, SetFieldForm};

use base::MacAddr;
use fields::{Field, Match, PortNames, Subfield, SubfieldError, TableNames};

pub(crate) use check::{Instruction, Outer};
pub(crate) use text::Parser;

use crate::OfError;

/// What a rule does to a packet.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    // Output.
    Output(Output),
    Group(u32),
    Controller(Box<Controller>),
    Enqueue(Enqueue),
    OutputReg(OutputReg),
    OutputTrunc(OutputTrunc),
    Bundle(Box<Bundle>),

    // Header changes.
    SetField(Box<SetField>),
    SetVlanVid(SetVlanVid),
    SetVlanPcp(SetVlanPcp),
    StripVlan {
        /// Whether it is written `pop_vlan`.
        pop: bool,
    },
    PushVlan(PushVlan),
    SetEthSrc(MacAddr),
    SetEthDst(MacAddr),
    SetIpv4Src(u32),
    SetIpv4Dst(u32),
    /// In the upper six bits.
    SetIpDscp(u8),
    SetIpEcn(u8),
    SetIpTtl(u8),
    SetL4Src(SetL4Port),
    SetL4Dst(SetL4Port),
    RegMove(RegMove),
    StackPush(Subfield),
    StackPop(Subfield),
    DecTtl(DecTtl),
    SetMplsLabel(u32),
    SetMplsTc(u8),
    SetMplsTtl(u8),
    DecMplsTtl,
    PushMpls(u16),
    PopMpls(u16),
    DecNshTtl,
    DeleteField(Field),
    Encap(Box<Encap>),
    /// The new packet type; [`Action::DECAP_NEXT`] means what the header says.
    Decap(u32),

    // Metadata.
    SetTunnel {
        id: u64,
        /// Whether it is written as `set_tunnel64`.
        wide: bool,
    },
    SetQueue(u32),
    PopQueue,
    FinTimeout(FinTimeout),

    // Flow tables.
    Resubmit(Resubmit),
    Learn(Box<Learn>),
    Conjunction(Conjunction),
    Multipath(Multipath),

    // Others.
    Note(Box<[u8]>),
    Exit,
    Sample(Box<Sample>),
    Ct(Box<Ct>),
    CtClear,
    /// Only inside `ct`.
    Nat(Box<Nat>),
    Clone(Vec<Action>),
    CheckPktLarger(CheckPktLarger),
    DebugRecirc,
    DebugSlow,

    // Instructions.
    Meter(u32),
    ClearActions,
    WriteActions(Vec<Action>),
    WriteMetadata {
        metadata: u64,
        mask: u64,
    },
    GotoTable(u8),
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

/// A list of actions as one value, for signatures.
pub type Actions = Vec<Action>;

impl Action {
    /// [`Action::Decap`]'s "whatever the header says": (0, 0xfffe).
    pub const DECAP_NEXT: u32 = 0xfffe;

    /// Whether it is an instruction of its own in OpenFlow 1.1 to 1.4.
    pub fn is_instruction(&self) -> bool {
        self.kind().instruction() != Instruction::Apply
    }

    /// The actions nested in this one.
    // house: long because it is a table, a line for each kind without any.
    pub fn nested(&self) -> &[Action] {
        match self {
            Action::Clone(actions) | Action::WriteActions(actions) => actions,
            Action::Ct(ct) => &ct.actions,
            Action::Output(_)
            | Action::Group(_)
            | Action::Controller(_)
            | Action::Enqueue(_)
            | Action::OutputReg(_)
            | Action::Bundle(_)
            | Action::SetField(_)
            | Action::SetVlanVid(_)
            | Action::SetVlanPcp(_)
            | Action::StripVlan { .. }
            | Action::PushVlan(_)
            | Action::SetEthSrc(_)
            | Action::SetEthDst(_)
            | Action::SetIpv4Src(_)
            | Action::SetIpv4Dst(_)
            | Action::SetIpDscp(_)
            | Action::SetIpEcn(_)
            | Action::SetIpTtl(_)
            | Action::SetL4Src(_)
            | Action::SetL4Dst(_)
            | Action::RegMove(_)
            | Action::StackPush(_)
            | Action::StackPop(_)
            | Action::DecTtl(_)
            | Action::SetMplsLabel(_)
            | Action::SetMplsTc(_)
            | Action::SetMplsTtl(_)
            | Action::DecMplsTtl
            | Action::PushMpls(_)
            | Action::PopMpls(_)
            | Action::DecNshTtl
            | Action::DeleteField(_)
            | Action::Encap(_)
            | Action::Decap(_)
            | Action::SetTunnel { .. }
            | Action::SetQueue(_)
            | Action::PopQueue
            | Action::FinTimeout(_)
            | Action::Resubmit(_)
            | Action::Learn(_)
            | Action::Conjunction(_)
            | Action::Multipath(_)
            | Action::Note(_)
            | Action::Exit
            | Action::Sample(_)
            | Action::CtClear
            | Action::Nat(_)
            | Action::OutputTrunc(_)
            | Action::CheckPktLarger(_)
            | Action::DebugRecirc
            | Action::DebugSlow
            | Action::Meter(_)
            | Action::ClearActions
            | Action::WriteMetadata { .. }
            | Action::GotoTable(_) => &[],
        }
    }
}

/// Names of ports and tables, for reading and writing text.
#[derive(Clone, Copy, Default, Debug)]
pub struct Names<'a> {
    pub ports: Option<&'a PortNames>,
    pub tables: Option<&'a TableNames>,
    /// A match that leaves out what its fields need is cut down to what it has of effect, with a note in the log,
    /// as the reference does, instead of being refused.
    pub normalizes: bool,
}

/// `(start << 6) | (n_bits - 1)`, the form of subfields in older actions. It has no room for more than 64 bits:
/// what is wider spills into the start, as from the reference.
pub(crate) fn ofs_nbits(subfield: &Subfield) -> u16 {
    subfield.start << 6 | subfield.n_bits.wrapping_sub(1)
}

/// Undoes [`ofs_nbits`].
pub(crate) fn subfield_of(field: Field, ofs_nbits: u16) -> Subfield {
    Subfield { field, start: ofs_nbits >> 6, n_bits: (ofs_nbits & 0x3f) + 1 }
}

fn subfield_error(error: SubfieldError) -> OfError {
    match error {
        SubfieldError::BadLength => OfError::OfpbacBadSetLen,
        SubfieldError::PrereqsNotMet => OfError::OfpbacMatchInconsistent,
        SubfieldError::NotWritable => OfError::OfpbacBadSetArgument,
    }
}

/// Whether the subfield can be read.
pub(crate) fn subfield_source(subfield: &Subfield, m: Option<&Match>) -> Result<(), OfError> {
    subfield.check_source(m).map_err(subfield_error)
}

/// Whether the subfield can be written.
pub(crate) fn subfield_destination(subfield: &Subfield, m: Option<&Match>) -> Result<(), OfError> {
    subfield.check_destination(m).map_err(subfield_error)
}

/// Takes a comma off the end.
fn chomp(out: &mut String) {
    if out.ends_with(',') {
        out.pop();
    }
}
