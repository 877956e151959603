//! Which fields of tunnel metadata actions use, and how many bits of each.
//!
//! Whether there is such a field, and how long it is, is known by the bridge that the actions are for: it maps options of
//! tunnels to fields.

use fields::Subfield;

use super::{Action, LearnDestination, LearnSource, SampleSource, ZoneSource};

impl Action {
    /// Calls `visit` for each field of tunnel metadata that the action reads or writes, with its number from 0 on and the
    /// number of its low bits that matter; 0 where only the field itself does.
    #[expect(clippy::wildcard_enum_match_arm, reason = "others name no fields")]
    pub fn tunnel_options(&self, visit: &mut impl FnMut(usize, u32)) {
        let mut visit_subfield = |subfield: &Subfield| {
            if let Some(index) = subfield.field.tunnel_option() {
                // All of a field is as much as there is.
                let end = u32::from(subfield.start) + u32::from(subfield.n_bits);
                visit(index, if subfield.is_whole() { 0 } else { end });
            }
        };
        match self {
            Action::OutputReg(a) => visit_subfield(&a.source),
            Action::Bundle(a) => a.destination.iter().for_each(&mut visit_subfield),
            Action::RegMove(a) => [a.source, a.destination].iter().for_each(&mut visit_subfield),
            Action::StackPush(subfield) | Action::StackPop(subfield) => visit_subfield(subfield),
            Action::Multipath(a) => visit_subfield(&a.destination),
            Action::CheckPktLarger(a) => visit_subfield(&a.destination),
            Action::DeleteField(field) => visit_subfield(&Subfield::whole(*field)),
            Action::Learn(a) => {
                a.result.iter().for_each(&mut visit_subfield);
                for spec in &a.specs {
                    if let LearnSource::Field(source) = &spec.source {
                        visit_subfield(source);
                    }
                    match &spec.destination {
                        LearnDestination::Match(field) | LearnDestination::Load(field) => {
                            visit_subfield(field);
                        }
                        LearnDestination::Output => {}
                    }
                }
            }
            Action::Ct(a) => {
                if let ZoneSource::Field(zone) = &a.zone {
                    visit_subfield(zone);
                }
            }
            Action::Sample(a) => {
                for source in [&a.obs_domain, &a.obs_point] {
                    if let SampleSource::Field(point) = source {
                        visit_subfield(point);
                    }
                }
            }
            Action::SetField(a) => {
                if let Some(index) = a.field.tunnel_option() {
                    let bits = if a.mask == a.field.exact() { a.value } else { a.mask };
                    visit(index, u128::BITS - bits.leading_zeros());
                }
            }
            _ => {}
        }
        self.nested().iter().for_each(|action| action.tunnel_options(visit));
    }
}
