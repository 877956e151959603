//! What the typed form of every header offers.

use crate::cursor::Writer;

/// A header as a value: parsed from bytes, and emitted as bytes.
///
/// The contract: no function here panics, whatever the bytes, the values or
/// the length of the buffer are. Parsing what was emitted gives the same
/// value, as long as each field's value fits the field (a label of MPLS has
/// 20 bits); bits that do not fit are dropped. Reserved bits are ignored when
/// parsing and emitted as zero, unless the type says otherwise.
///
/// The views ([`crate::ipv4::Ipv4`] and the others) read single fields in
/// place, and their `…Mut` change single fields in place; the typed form is
/// for whoever makes a header or needs the whole of one.
pub trait TypedForm: Sized {
    /// The header at the start of `bytes`; `None` when it is cut off, or is none of this kind.
    fn parse(bytes: &[u8]) -> Option<Self>;

    /// Bytes that the header takes when emitted.
    fn header_len(&self) -> usize;

    /// Writes [`TypedForm::header_len`] bytes.
    fn write(&self, out: &mut Writer<'_>);

    /// Emits the header at the start of `out`. An error leaves `out` as it was.
    #[inline]
    fn emit(&self, out: &mut [u8]) -> Result<(), TooShort> {
        let (needed, room) = (self.header_len(), out.len());
        let place = out.get_mut(..needed).ok_or(TooShort { needed, room })?;
        self.write(&mut Writer::new(place));
        Ok(())
    }

    /// Emits the header behind the bytes of `out`.
    fn append(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + self.header_len(), 0);
        self.write(&mut Writer::new(out.get_mut(start..).unwrap_or(&mut [])));
    }

    /// The header alone.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.append(&mut out);
        out
    }
}

/// A header does not fit the buffer that it was to be emitted into.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the header takes {needed} bytes, and there is room for {room}")]
pub struct TooShort {
    /// Bytes that the header takes.
    pub needed: usize,
    /// Bytes that the buffer has.
    pub room: usize,
}

/// The bytes of a header whose length is fixed.
#[inline]
pub(crate) fn array<const N: usize>(header: &impl TypedForm) -> [u8; N] {
    let mut out = [0; N];
    header.write(&mut Writer::new(&mut out));
    out
}

/// Setters of fields that take whole bytes of a fixed array, each by its offset: they cannot fail.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $put:ident($kind:ty) = $at:expr;)*) => {
        $(
            $(#[$doc])*
            #[inline]
            pub fn $name(&mut self, value: $kind) {
                crate::bytes::$put(self.0, $at, value);
            }
        )*
    };
}

pub(crate) use setters;
