//! Ids of flows.

use std::fmt;

use flow::{FlowKey, FlowMask};

/// A flow's unique id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ufid(pub u128);

impl fmt::Display for Ufid {
    /// As `ufid:xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = self.0;
        write!(
            f,
            "ufid:{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            (v >> 96) as u32,
            (v >> 80) as u16,
            (v >> 64) as u16,
            (v >> 48) as u16,
            v & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for Ufid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no flow's id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a flow's id is ufid: and 32 hexadecimal digits in groups")]
pub struct UfidError;

impl std::str::FromStr for Ufid {
    type Err = UfidError;

    /// The form that is displayed.
    fn from_str(text: &str) -> Result<Ufid, UfidError> {
        let digits = text.strip_prefix("ufid:").ok_or(UfidError)?;
        let is_dash = |index: usize| matches!(index, 8 | 13 | 18 | 23);
        let is_well_formed = digits.len() == 36
            && digits
                .bytes()
                .enumerate()
                .all(|(index, byte)| if is_dash(index) { byte == b'-' } else { byte.is_ascii_hexdigit() });
        if !is_well_formed {
            return Err(UfidError);
        }
        u128::from_str_radix(&digits.replace('-', ""), 16).map(Ufid).map_err(|_| UfidError)
    }
}

impl Ufid {
    /// The id of the megaflow that a packet with `key` makes.
    pub fn of(key: &FlowKey) -> Ufid {
        let (mut a, mut b) = (0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344);
        for (index, word) in key.present() {
            a = flow::extract::mix(a, word.wrapping_add(index as u64));
            b = flow::extract::mix(b, word ^ (index as u64) << 56);
        }
        Ufid(u128::from(a) << 64 | u128::from(b))
    }

    /// The id of a megaflow, which tells flows apart that differ in their masks alone.
    pub fn of_megaflow(key: &FlowKey, mask: &FlowMask) -> Ufid {
        Ufid(Ufid::of(&key.masked(mask)).0 ^ Ufid::of(&mask.as_key()).0.rotate_left(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_shown() {
        let id = Ufid(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        let text = id.to_string();
        assert_eq!(text, "ufid:01234567-89ab-cdef-0011-223344556677");
        assert_eq!(text.parse(), Ok(id));
        for wrong in ["", "ufid:", &text[5..], &text[..40], "ufid:+1234567-89ab-cdef-0011-223344556677"] {
            assert_eq!(wrong.parse::<Ufid>(), Err(UfidError), "{wrong}");
        }
    }
}
