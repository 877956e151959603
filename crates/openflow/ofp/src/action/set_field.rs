//! `set_field`, `load`, `move`: writing fields by number.

use fields::{Field, Subfield};

/// The form in which a field was set, which decides how it is written back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SetFieldForm {
    /// `set_field:VALUE[/MASK]->FIELD`.
    SetField,
    /// `load:VALUE->SUBFIELD`.
    Load,
}

/// Sets `value` in the bits of `field` that `mask` names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SetField {
    pub field: Field,
    /// As wide as the field on the wire; zero outside `mask`.
    pub value: u128,
    /// [`Field::exact`] for the whole field.
    pub mask: u128,
    pub form: SetFieldForm,
    /// Whether the match said that there is a VLAN tag; found by the check.
    pub flow_has_vlan: bool,
}

impl SetField {
    pub fn whole(field: Field, value: u128) -> SetField {
        SetField { field, value, mask: field.exact(), form: SetFieldForm::SetField, flow_has_vlan: false }
    }
}

/// `move:SOURCE->DESTINATION`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RegMove {
    pub source: Subfield,
    pub destination: Subfield,
}
