//! Whether actions make sense: their order, their nesting, and with a match.

use fields::{Field, Match, Protocols, effective_dl_type};
use flow::slot;

use super::*;
use crate::{OfError, Version};

/// What is checked against, and what is found. `m`'s key follows the actions
/// while they are checked, and is restored after.
pub struct Check<'a> {
    /// The rule's match.
    pub m: &'a mut Match,
    /// The rule's table; 255 when not known.
    pub table: u8,
    /// How many tables there are; 255 when not known.
    pub n_tables: u8,
    /// Protocols that tolerate what was found.
    pub usable: Protocols,
}

/// What of the match's key follows the actions.
const FOLLOWED: [flow::Slot; 7] = [
    slot::PACKET_TYPE,
    slot::DL_TYPE,
    slot::NW_PROTO,
    slot::VLAN0_TCI,
    slot::VLAN0_TPID,
    slot::VLAN1_TCI,
    slot::VLAN1_TPID,
];

impl<'a> Check<'a> {
    /// Checks against `m`; any protocol is usable at first.
    pub fn new(m: &'a mut Match, table: u8, n_tables: u8) -> Check<'a> {
        Check { m, table, n_tables, usable: Protocols::ANY }
    }

    /// OpenFlow 1.0 tolerates actions that do not fit the match.
    pub(super) fn inconsistent(&mut self) {
        self.usable &= Protocols::OF10_ANY;
    }

    /// Checks actions inside an action.
    pub(super) fn nested(&mut self, actions: &mut [Action]) -> Result<(), OfError> {
        let usable = self.usable;
        let result = self.actions(actions);
        self.usable &= usable;
        result
    }

    /// Checks all of `actions`, and notes in them what their encoding needs to know.
    pub fn actions(&mut self, actions: &mut [Action]) -> Result<(), OfError> {
        let saved = FOLLOWED.map(|place| self.m.key.read(place));
        self.usable = Protocols::ANY;
        let result = actions.iter_mut().try_for_each(|a| self.one(a));
        for (place, value) in FOLLOWED.into_iter().zip(saved) {
            self.m.key.write(place, value);
        }
        result
    }

    /// Like [`Check::actions`], but what `needed` does not tolerate is an error.
    pub fn actions_for(&mut self, actions: &mut [Action], needed: Protocols) -> Result<(), OfError> {
        self.actions(actions)?;
        if needed.without(self.usable).is_empty() { Ok(()) } else { Err(OfError::OfpbacMatchInconsistent) }
    }

    /// Checks one action, and follows what it makes of the packet.
    // house: long because it is the one list of actions and what each requires; each arm is a call or a line.
    fn one(&mut self, action: &mut Action) -> Result<(), OfError> {
        match action {
            Action::Output(a) => output::check_output_port(a.port)?,
            Action::OutputTrunc(a) => output::check_output_port(a.port)?,
            Action::Enqueue(a) => {
                if !output::is_usable_enqueue_port(a.port) {
                    return Err(OfError::OfpbacBadOutPort);
                }
            }
            Action::OutputReg(a) => a.check(self)?,
            Action::Bundle(a) => a.check(Some(self))?,
            Action::SetField(a) => a.check(self)?,
            Action::SetVlanVid(a) => header::check_set_vlan(&mut a.flow_has_vlan, a.push_if_needed, self),
            Action::SetVlanPcp(a) => header::check_set_vlan(&mut a.flow_has_vlan, a.push_if_needed, self),
            Action::StripVlan { .. } => header::check_strip_vlan(self),
            Action::PushVlan(a) => a.check(self)?,
            Action::SetIpv4Src(_) | Action::SetIpv4Dst(_) => {
                let fits = effective_dl_type(&self.m.key) == 0x0800;
                self.require(fits);
            }
            Action::SetIpDscp(_) | Action::SetIpEcn(_) | Action::SetIpTtl(_) | Action::DecTtl(_) => {
                let fits = self.is_ip();
                self.require(fits);
            }
            Action::SetL4Src(a) | Action::SetL4Dst(a) => a.check(self),
            Action::RegMove(a) => {
                subfield_source(&a.source, Some(self.m))?;
                subfield_destination(&a.destination, Some(self.m))?;
            }
            Action::StackPush(s) => header::check_stack_source(s, self)?,
            Action::StackPop(s) => subfield_destination(s, Some(self.m))?,
            Action::SetMplsLabel(_) | Action::SetMplsTc(_) | Action::SetMplsTtl(_) | Action::DecMplsTtl => {
                let fits = self.is_mpls();
                self.require(fits);
            }
            Action::PushMpls(ethertype) => {
                let fits = self.m.key.packet_type() == 0;
                self.require(fits);
                self.m.key.set_dl_type(*ethertype);
                self.m.key.set_nw_proto(0);
            }
            Action::PopMpls(ethertype) => {
                let fits = self.m.key.packet_type() == 0 && self.is_mpls();
                self.require(fits);
                self.m.key.set_dl_type(*ethertype);
            }
            Action::DecNshTtl => {
                let fits = self.m.key.packet_type() == 0x1_894f || self.m.key.dl_type() == 0x894f;
                self.require(fits);
            }
            Action::DeleteField(field) if field.tunnel_option().is_some() => {}
            Action::DeleteField(_) => return Err(OfError::OfpbacBadArgument),
            Action::Encap(a) => a.check(self),
            Action::Decap(_) => encap::check_decap(self),
            Action::FinTimeout(_) => {
                let fits = self.m.key.nw_proto() == 6;
                self.require(fits);
            }
            Action::Resubmit(a) => a.check(self)?,
            Action::Learn(a) => a.check(self)?,
            Action::Multipath(a) => subfield_destination(&a.destination, Some(self.m))?,
            Action::Ct(a) => a.check(self)?,
            Action::Nat(a) => a.check(self)?,
            Action::Clone(actions) => self.nested(actions)?,
            Action::Meter(id) => {
                if *id == 0 || *id > crate::meter_id::MAX {
                    return Err(OfError::OfpmmfcInvalidMeter);
                }
            }
            Action::WriteActions(actions) => {
                let usable = self.usable;
                let result = self.actions(actions);
                self.usable = usable;
                result?;
            }
            Action::GotoTable(table) => {
                let backwards = self.table != 255 && *table <= self.table;
                if backwards || (self.n_tables != 255 && *table >= self.n_tables) {
                    return Err(OfError::OfpbicBadTableId);
                }
            }
            // Right whatever the packet, and in any place.
            Action::Group(_)
            | Action::Controller(_)
            | Action::SetEthSrc(_)
            | Action::SetEthDst(_)
            | Action::SetTunnel { .. }
            | Action::SetQueue(_)
            | Action::PopQueue
            | Action::Conjunction(_)
            | Action::Note(_)
            | Action::Exit
            | Action::Sample(_)
            | Action::CtClear
            | Action::CheckPktLarger(_)
            | Action::DebugRecirc
            | Action::DebugSlow
            | Action::ClearActions
            | Action::WriteMetadata { .. } => {}
        }
        Ok(())
    }

    pub(super) fn is_ip(&self) -> bool {
        matches!(effective_dl_type(&self.m.key), 0x0800 | 0x86dd)
    }

    pub(super) fn is_mpls(&self) -> bool {
        matches!(effective_dl_type(&self.m.key), 0x8847 | 0x8848)
    }

    /// Notes an inconsistency unless `fits`.
    pub(super) fn require(&mut self, fits: bool) {
        if !fits {
            self.inconsistent();
        }
    }
}

/// What an action is inside of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outer {
    None,
    Ct,
    Clone,
    WriteActions,
}

impl Outer {
    fn name(self) -> &'static str {
        match self {
            Outer::None => "",
            Outer::Ct => "ct",
            Outer::Clone => "clone",
            Outer::WriteActions => "write_actions",
        }
    }
}

/// Instructions in the order in which they are executed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Instruction {
    Meter,
    Apply,
    Clear,
    Write,
    WriteMetadata,
    GotoTable,
}

impl Instruction {
    pub(crate) fn of(action: &Action, version: Version) -> Instruction {
        match action.kind().instruction() {
            // An action since then.
            Instruction::Meter if version >= Version::Of15 => Instruction::Apply,
            instruction @ (Instruction::Meter
            | Instruction::Apply
            | Instruction::Clear
            | Instruction::Write
            | Instruction::WriteMetadata
            | Instruction::GotoTable) => instruction,
        }
    }

    fn name(self) -> &'static str {
        ["meter", "apply_actions", "clear_actions", "write_actions", "write_metadata", "goto_table"]
            [self as usize]
    }
}

/// The field that the action writes.
#[expect(clippy::wildcard_enum_match_arm, reason = "all others write no field by name")]
fn destination_field(action: &Action) -> Option<Field> {
    match action {
        Action::SetField(a) => Some(a.field),
        Action::RegMove(a) => Some(a.destination.field),
        _ => None,
    }
}

fn verify_nested(action: &Action, outer: Outer) -> Result<(), (OfError, String)> {
    let field = destination_field(action);
    let of_ct = field.is_some_and(|f| matches!(f, Field::CtMark | Field::CtLabel));
    let nesting = || {
        let text = format!("{} action doesn't support nested action {}", outer.name(), action.kind().name());
        Err((OfError::OfpbacBadArgument, text))
    };
    if of_ct && outer != Outer::Ct {
        return Err((OfError::OfpbacBadSetArgument, "cannot set CT fields outside of ct action".into()));
    }
    if matches!(action, Action::Nat(_)) {
        if outer != Outer::Ct {
            return Err((
                OfError::OfpbacBadSetArgument,
                "Cannot have NAT action outside of \"ct\" action".into(),
            ));
        }
        return Ok(());
    }
    if outer == Outer::Ct {
        match field {
            None => return nesting(),
            Some(field) if !of_ct => {
                let text = format!("ct action doesn't support nested modification of {}", field.name());
                return Err((OfError::OfpbacBadArgument, text));
            }
            Some(_) => {}
        }
    }
    if outer != Outer::None && matches!(action, Action::Meter(_)) {
        return nesting();
    }
    Ok(())
}

/// Whether actions stand in an order that OpenFlow 1.1 allows, and may be
/// where they are. `instructions`: whether instructions besides the list are allowed.
pub(super) fn verify(
    actions: &[Action],
    version: Version,
    instructions: bool,
    outer: Outer,
) -> Result<(), (OfError, String)> {
    let mut current = Instruction::Meter;
    for (index, action) in actions.iter().enumerate() {
        if matches!(action, Action::Conjunction(_)) {
            return verify_conjunctions(actions);
        }
        verify_nested(action, outer)?;
        let next = Instruction::of(action, version);
        let misplaced = if current == Instruction::Apply { next < current } else { next <= current };
        if index > 0 && misplaced {
            let text = if next == current {
                format!(
                    "duplicate {} instruction not allowed, for OpenFlow 1.1+ compatibility",
                    current.name()
                )
            } else {
                format!(
                    "invalid instruction ordering: {} must appear before {}, for OpenFlow 1.1+ compatibility",
                    next.name(),
                    current.name()
                )
            };
            return Err((OfError::OfpbacUnsupportedOrder, text));
        }
        if !instructions && !matches!(next, Instruction::Apply | Instruction::Meter) {
            return Err((OfError::OfpbicUnsupInst, format!("{} instruction not allowed here", next.name())));
        }
        current = next;
    }
    Ok(())
}

fn verify_conjunctions(actions: &[Action]) -> Result<(), (OfError, String)> {
    match actions.iter().find(|a| !matches!(a, Action::Conjunction(_) | Action::Note(_))) {
        None => Ok(()),
        Some(other) => Err((
            OfError::NxbacBadConjunction,
            format!(
                "\"conjunction\" actions may be used along with \"note\" but not any other kind of action (such as the \"{}\" action used here)",
                other.kind().name()
            ),
        )),
    }
}

/// [`verify`], with the reason in the log.
pub(super) fn verify_logged(
    actions: &[Action],
    version: Version,
    instructions: bool,
    outer: Outer,
) -> Result<(), OfError> {
    verify(actions, version, instructions, outer).map_err(|(error, text)| {
        log::warn!(target: "ofp_actions", "{text}");
        error
    })
}
