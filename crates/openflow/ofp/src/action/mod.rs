//! Actions and instructions.
//!
//! A rule's actions are a `Vec<Action>`. Instructions of OpenFlow 1.1+ are
//! actions here too: `apply_actions` is the plain list, and the others stand
//! in the order meter, (the list), clear_actions, write_actions,
//! write_metadata, goto_table.
//!
//! Here is the list of actions with their names; `forms` has, side by side, what
//! each is as bytes and as text, `check` what it requires. Arguments that are more
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
mod options;
mod output;
mod raw;
mod set_field;
mod text;
mod widths;

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
    /// `output:PORT` (`OFPAT_OUTPUT`).
    Output(Output),
    /// `group:ID`: sends through a group (OpenFlow 1.1+; Nicira extension in 1.0).
    Group(u32),
    /// `controller(...)`: sends to controllers, with options (Nicira extension).
    Controller(Box<Controller>),
    /// `enqueue:PORT:QUEUE`: sends through a queue of the port (OpenFlow 1.0; elsewhere `set_queue`, output
    /// and `pop_queue`).
    Enqueue(Enqueue),
    /// `output:SUBFIELD`: sends to the port whose number a field holds (Nicira extension).
    OutputReg(OutputReg),
    /// `output(port=PORT,max_len=N)`: sends the beginning of the packet (Nicira extension).
    OutputTrunc(OutputTrunc),
    /// `bundle(...)` and `bundle_load(...)` (Nicira extension).
    Bundle(Box<Bundle>),

    // Header changes.
    /// `set_field` and `load` (OpenFlow 1.2+; Nicira extension before).
    SetField(Box<SetField>),
    /// `mod_vlan_vid`, `set_vlan_vid` (OpenFlow 1.0 and 1.1; `set_field` in later versions).
    SetVlanVid(SetVlanVid),
    /// `mod_vlan_pcp`, `set_vlan_pcp` (OpenFlow 1.0 and 1.1; `set_field` in later versions).
    SetVlanPcp(SetVlanPcp),
    /// `strip_vlan`, `pop_vlan`: removes the outermost tag; no effect when there is none.
    StripVlan {
        /// Whether it is written `pop_vlan`.
        pop: bool,
    },
    /// `push_vlan`: adds an outermost tag (OpenFlow 1.1+).
    PushVlan(PushVlan),
    /// `mod_dl_src:MAC` (OpenFlow 1.0 and 1.1; `set_field` in later versions).
    SetEthSrc(MacAddr),
    /// `mod_dl_dst:MAC` (OpenFlow 1.0 and 1.1; `set_field` in later versions).
    SetEthDst(MacAddr),
    /// `mod_nw_src:IP`, in host byte order; no effect but on IPv4.
    SetIpv4Src(u32),
    /// `mod_nw_dst:IP`, in host byte order; no effect but on IPv4.
    SetIpv4Dst(u32),
    /// In the upper six bits.
    SetIpDscp(u8),
    /// `mod_nw_ecn`: 0 to 3 (OpenFlow 1.1+).
    SetIpEcn(u8),
    /// `mod_nw_ttl`: 0 to 255, of IPv4 and IPv6 (OpenFlow 1.1+).
    SetIpTtl(u8),
    /// `mod_tp_src`: of TCP, UDP and SCTP.
    SetL4Src(SetL4Port),
    /// `mod_tp_dst`: of TCP, UDP and SCTP.
    SetL4Dst(SetL4Port),
    /// `move:SOURCE->DESTINATION` (Nicira extension; `copy_field` in OpenFlow 1.5 and of the ONF).
    RegMove(RegMove),
    /// `push:SUBFIELD`: onto the packet's stack of values (Nicira extension).
    StackPush(Subfield),
    /// `pop:SUBFIELD`: from the packet's stack of values; no effect when it is empty (Nicira extension).
    StackPop(Subfield),
    /// `dec_ttl`: of IPv4 and IPv6; a packet whose TTL runs out goes to controllers.
    DecTtl(DecTtl),
    /// `set_mpls_label`: of the outermost entry, 20 bits.
    SetMplsLabel(u32),
    /// `set_mpls_tc`: of the outermost entry, 0 to 7.
    SetMplsTc(u8),
    /// `set_mpls_ttl`: of the outermost entry, 0 to 255.
    SetMplsTtl(u8),
    /// `dec_mpls_ttl`: of the outermost entry; a packet whose TTL runs out goes to controllers.
    DecMplsTtl,
    /// `push_mpls:ETHERTYPE`: 0x8847 or 0x8848.
    PushMpls(u16),
    /// `pop_mpls:ETHERTYPE`: the type of the payload, when the last entry is removed.
    PopMpls(u16),
    /// `dec_nsh_ttl` (Nicira extension).
    DecNshTtl,
    /// `delete_field:FIELD`: removes a tunnel option (Nicira extension).
    DeleteField(Field),
    /// `encap(...)` (OpenFlow 1.3+, Nicira extension).
    Encap(Box<Encap>),
    /// The new packet type; [`Action::DECAP_NEXT`] means what the header says.
    Decap(u32),

    // Metadata.
    /// `set_tunnel:ID` and `set_tunnel64:ID` (Nicira extension; `set_field` in OpenFlow 1.2+).
    SetTunnel {
        /// The tunnel's key; 32 bits unless `wide`.
        id: u64,
        /// Whether it is written as `set_tunnel64`.
        wide: bool,
    },
    /// `set_queue:QUEUE`: for the outputs that follow.
    SetQueue(u32),
    /// `pop_queue`: undoes `set_queue` (Nicira extension).
    PopQueue,
    /// `fin_timeout(...)`: lowers the rule's timeouts when a TCP FIN or RST passes (Nicira extension).
    FinTimeout(FinTimeout),

    // Flow tables.
    /// `resubmit(...)`: looks up in a table and comes back (Nicira extension).
    Resubmit(Resubmit),
    /// `learn(...)`: adds a rule made from the packet (Nicira extension).
    Learn(Box<Learn>),
    /// `conjunction(ID,K/N)`: makes the rule a part of a conjunctive match (Nicira extension).
    Conjunction(Conjunction),
    /// `multipath(...)`: stores the number of a link, chosen by hash (Nicira extension).
    Multipath(Multipath),

    // Others.
    /// `note:HEX`: no effect; on the wire padded with zeros to a multiple of 8 (Nicira extension).
    Note(Box<[u8]>),
    /// `exit`: ends the list and those around it; the action set still runs (Nicira extension).
    Exit,
    /// `sample(...)`: IPFIX sampling (Nicira extension).
    Sample(Box<Sample>),
    /// `ct(...)`: connection tracking (Nicira extension).
    Ct(Box<Ct>),
    /// `ct_clear`: forgets the packet's connection tracking state (Nicira extension).
    CtClear,
    /// Only inside `ct`.
    Nat(Box<Nat>),
    /// `clone(...)`: actions on a copy of the packet (Nicira extension).
    Clone(Vec<Action>),
    /// `check_pkt_larger(LEN)->SUBFIELD` (Nicira extension).
    CheckPktLarger(CheckPktLarger),
    /// `debug_recirc`: forces recirculation, for tests.
    DebugRecirc,
    /// `debug_slow`: forces the slow path, for tests.
    DebugSlow,

    // Instructions.
    /// `meter:ID` (OpenFlow 1.3+): an instruction up to 1.4, an action in 1.5.
    Meter(u32),
    /// `clear_actions`: empties the action set (OpenFlow 1.1+).
    ClearActions,
    /// `write_actions(...)`: adds to the action set (OpenFlow 1.1+).
    WriteActions(Vec<Action>),
    /// `write_metadata:VALUE[/MASK]` (OpenFlow 1.1+; Nicira extension in 1.0).
    WriteMetadata {
        /// Only the bits in `mask` count.
        metadata: u64,
        /// Bits to write; all ones for the whole field.
        mask: u64,
    },
    /// `goto_table:TABLE`: the next table, greater than the current one (OpenFlow 1.1+).
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
    /// `None`: ports are numbers.
    pub ports: Option<&'a PortNames>,
    /// `None`: tables are numbers.
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
