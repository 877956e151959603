//! Properties: the type-length-value lists of OpenFlow 1.3 and later.

use crate::OfError;
use crate::wire::{Put, Reader, round8};

/// A property. `length` on the wire covers the header, not the padding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Property<'a> {
    pub(crate) kind: u16,
    /// Vendor and vendor's type, of experimenter properties.
    pub(crate) experimenter: Option<(u32, u32)>,
    pub(crate) data: &'a [u8],
}

/// The type of experimenter properties.
pub(crate) const EXPERIMENTER: u16 = 0xffff;

impl<'a> Property<'a> {
    /// Takes the next property, aligned to eight bytes.
    pub(crate) fn pull(r: &mut Reader<'a>) -> Result<Property<'a>, OfError> {
        Property::pull_aligned(r, true)
    }

    /// Like [`Property::pull`], without alignment when `aligned` is false.
    pub(crate) fn pull_aligned(r: &mut Reader<'a>, aligned: bool) -> Result<Property<'a>, OfError> {
        let bad = |_| OfError::OfpbpcBadLen;
        let mut head = Reader::new(r.rest());
        let kind = head.u16().map_err(bad)?;
        let len = usize::from(head.u16().map_err(bad)?);
        let padded = if aligned { round8(len) } else { len };
        if len < 4 || padded > r.len() {
            return Err(OfError::OfpbpcBadLen);
        }
        let raw = &r.take(padded)?[..len];
        let mut body = Reader::new(&raw[4..]);
        let experimenter = if kind == EXPERIMENTER {
            let vendor = body.u32().map_err(bad)?;
            let number = body.u32().map_err(bad)?;
            if number > 0xffff {
                return Err(OfError::OfpbpcBadExpType);
            }
            Some((vendor, number))
        } else {
            None
        };
        Ok(Property { kind, experimenter, data: body.rest() })
    }

    /// The data as one number of exactly `n` bytes, after padding of `pad`.
    fn number(&self, pad: usize, n: usize) -> Result<u64, OfError> {
        if self.data.len() != pad + n {
            log::debug!(target: "ofp_prop", "property {} has {}-byte data instead of {}", self.kind, self.data.len(), pad + n);
            return Err(OfError::OfpbpcBadLen);
        }
        Ok(self.data[pad..].iter().fold(0, |v, &b| v << 8 | u64::from(b)))
    }

    /// A number of `bytes` bytes at the front. OpenFlow pads some short values inside the property, so what follows is not judged.
    fn short(&self, bytes: usize) -> Result<u64, OfError> {
        let value = self.data.get(..bytes).ok_or(OfError::OfpbpcBadLen)?;
        Ok(value.iter().fold(0, |v, &b| v << 8 | u64::from(b)))
    }

    pub(crate) fn u8(&self) -> Result<u8, OfError> {
        self.short(1).map(|v| v as u8)
    }

    pub(crate) fn u16(&self) -> Result<u16, OfError> {
        self.short(2).map(|v| v as u16)
    }

    pub(crate) fn u32(&self) -> Result<u32, OfError> {
        self.number(0, 4).map(|v| v as u32)
    }

    /// A 64-bit number follows four bytes of padding in standard properties.
    pub(crate) fn u64(&self) -> Result<u64, OfError> {
        self.number(if self.experimenter.is_some() { 0 } else { 4 }, 8)
    }

    /// The error for a property that is not known; `Ok` never.
    pub(crate) fn unknown(&self, what: &str, loose: bool) -> OfError {
        let level = if loose { log::Level::Debug } else { log::Level::Warn };
        match self.experimenter {
            Some((vendor, number)) => {
                log::log!(target: "ofp_prop", level, "unknown {what} property type for exp_id {vendor:#x}, exp_type {number}");
                OfError::OfpbpcBadExpType
            }
            None => {
                log::log!(target: "ofp_prop", level, "unknown {what} property type {}", self.kind);
                OfError::OfpbpcBadType
            }
        }
    }
}

/// Begins a property and returns its place for [`end`].
pub(crate) fn start(out: &mut Vec<u8>, kind: u16) -> usize {
    let start = out.len();
    out.put_u16(kind);
    out.put_u16(4);
    start
}

/// Begins an experimenter property.
pub(crate) fn start_experimenter(out: &mut Vec<u8>, vendor: u32, number: u32) -> usize {
    let start = start(out, EXPERIMENTER);
    out.put_u32(vendor);
    out.put_u32(number);
    start
}

/// Writes the length of the property that began at `start`, and pads it.
pub(crate) fn end(out: &mut Vec<u8>, start: usize) {
    let len = out.len() - start;
    out.patch_u16(start + 2, len as u16);
    out.pad8_from(start);
}

pub(crate) fn put(out: &mut Vec<u8>, kind: u16, data: &[u8]) {
    let start = start(out, kind);
    out.extend_from_slice(data);
    end(out, start);
}

pub(crate) fn put_u8(out: &mut Vec<u8>, kind: u16, v: u8) {
    put(out, kind, &[v]);
}

pub(crate) fn put_u16(out: &mut Vec<u8>, kind: u16, v: u16) {
    // OpenFlow gives these a length of eight, with two bytes of padding inside.
    put(out, kind, &(u32::from(v) << 16).to_be_bytes());
}

pub(crate) fn put_u32(out: &mut Vec<u8>, kind: u16, v: u32) {
    put(out, kind, &v.to_be_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, kind: u16, v: u64) {
    let start = start(out, kind);
    out.put_u32(0);
    out.put_u64(v);
    end(out, start);
}
