//! Headers of fields whose length is not the same for all bridges: options of tunnels.

use fields::{Field, Subfield};

use crate::oxm;

/// Appends the NXM header of a field, with the length that an option of a tunnel has at most.
pub(super) fn put_longest_header(out: &mut Vec<u8>, field: Field) {
    let width = if field.tunnel_option().is_some() { fields::oxm::MAX_OPTION_LEN } else { field.n_bytes() };
    oxm::put_header_of(out, field, 0, width, false);
}

/// Appends the header of a subfield's field. That of a tunnel's option is as wide as the subfield needs, since how wide the
/// field is, is the bridge's to know.
pub(super) fn put_subfield_header(out: &mut Vec<u8>, subfield: &Subfield, version: u8) {
    let end = usize::from(subfield.start) + usize::from(subfield.n_bits);
    let width = match subfield.field.tunnel_option() {
        Some(_) => (end.div_ceil(32) * 4).clamp(4, subfield.field.n_bytes()),
        None => subfield.field.n_bytes(),
    };
    oxm::put_header_of(out, subfield.field, version, width, false);
}
