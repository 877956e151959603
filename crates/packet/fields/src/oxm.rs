//! OXM/NXM numbers of fields (OpenFlow 1.5.1 §7.2.3, nicira-ext.h).
//!
//! A header is 32 bits, `class:16 field:7 hasmask:1 length:8`; with class
//! 0xffff a 32-bit experimenter follows, which `length` includes.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::Field;
pub use crate::registry::OxmId;

/// A decoded header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The class, 0xffff for experimenters.
    pub class: u16,
    /// The field within the class, 7 bits.
    pub number: u8,
    /// A mask follows the value.
    pub has_mask: bool,
    /// As on the wire: with the experimenter, and twice the width when masked.
    pub length: u8,
    /// 0 unless `class` is 0xffff.
    pub experimenter: u32,
}

/// The pseudo-field by which NXM flow messages restrict the cookie.
pub const COOKIE_CLASS: u16 = 1;
/// Its number in [`COOKIE_CLASS`].
pub const COOKIE_NUMBER: u8 = 30;

impl Header {
    /// Reads a header from the start of `bytes`; `None` when they are too few.
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let &[a, b, c, length, ref rest @ ..] = bytes else { return None };
        let class = u16::from_be_bytes([a, b]);
        let experimenter = if class == 0xffff {
            let &[e0, e1, e2, e3, ..] = rest else { return None };
            u32::from_be_bytes([e0, e1, e2, e3])
        } else {
            0
        };
        Some(Header { class, number: c >> 1, has_mask: c & 1 != 0, length, experimenter })
    }

    /// The header of a field of `width` bytes.
    pub fn of(id: &OxmId, width: usize, has_mask: bool) -> Header {
        let extra = if id.class == 0xffff { 4 } else { 0 };
        let payload = if has_mask { 2 * width } else { width };
        Header {
            class: id.class,
            number: id.number,
            has_mask,
            length: (payload + extra) as u8,
            experimenter: id.experimenter,
        }
    }

    /// Appends its four bytes, or eight with an experimenter.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.class.to_be_bytes());
        out.push(self.number << 1 | u8::from(self.has_mask));
        out.push(self.length);
        if self.class == 0xffff {
            out.extend_from_slice(&self.experimenter.to_be_bytes());
        }
    }

    /// Bytes that the experimenter takes.
    pub fn experimenter_len(&self) -> usize {
        if self.class == 0xffff { 4 } else { 0 }
    }

    /// Bytes of the header itself.
    pub fn header_len(&self) -> usize {
        4 + self.experimenter_len()
    }

    /// Bytes that follow the header, or `None` when `length` is too small for the experimenter.
    pub fn payload_len(&self) -> Option<usize> {
        usize::from(self.length).checked_sub(self.experimenter_len())
    }

    /// The width of the value.
    pub fn width(&self) -> usize {
        let payload = self.payload_len().unwrap_or(0);
        if self.has_mask { payload / 2 } else { payload }
    }

    /// Whether it is that of the cookie.
    pub fn is_cookie(&self) -> bool {
        self.class == COOKIE_CLASS && self.number == COOKIE_NUMBER && self.width() == 8
    }
}

/// `experimenter:class:field:hasmask:length`, as logs show headers.
impl std::fmt::Display for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.experimenter == 0 {
            write!(f, "0")?;
        } else {
            write!(f, "{:#x}", self.experimenter)?;
        }
        write!(f, ":{}:{}:{}:{}", self.class, self.number, u8::from(self.has_mask), self.length)
    }
}

/// The most bytes of an option of Geneve.
pub const MAX_OPTION_LEN: usize = 124;

type Known = (Field, &'static OxmId);
static BY_NUMBER: LazyLock<HashMap<(u16, u32, u8), Known>> = LazyLock::new(|| {
    each().map(|(field, id)| ((id.class, id.experimenter, id.number), (field, id))).collect()
});

/// The classes of nearly all entries: NXM's two, and that of the standard. Numbers have seven bits.
const COMMON_CLASSES: [u16; 3] = [0, 1, 0x8000];
static BY_COMMON_NUMBER: LazyLock<Vec<Option<Known>>> = LazyLock::new(|| {
    let all =
        COMMON_CLASSES.into_iter().flat_map(|class| (0..=u8::MAX >> 1).map(move |number| (class, number)));
    all.map(|(class, number)| BY_NUMBER.get(&(class, 0, number)).copied()).collect()
});
static BY_NAME: LazyLock<HashMap<&'static str, (Field, &'static OxmId)>> =
    LazyLock::new(|| each().map(|(field, id)| (id.name, (field, id))).collect());

fn each() -> impl Iterator<Item = (Field, &'static OxmId)> {
    Field::all().flat_map(|field| field.info().oxm.iter().map(move |id| (field, id)))
}

/// The field that `header` names, whatever its length says.
pub fn by_number(header: &Header) -> Option<(Field, &'static OxmId)> {
    if let Some(class) = COMMON_CLASSES.iter().position(|&class| class == header.class) {
        return BY_COMMON_NUMBER.get(class << 7 | usize::from(header.number)).copied().flatten();
    }
    BY_NUMBER.get(&(header.class, header.experimenter, header.number)).copied()
}

/// The field that `header` names, if its length is right.
pub fn by_header(header: &Header) -> Option<(Field, &'static OxmId)> {
    let fits = |field: Field| match field.tunnel_option() {
        Some(_) => (1..=MAX_OPTION_LEN).contains(&header.width()),
        None => field.n_bytes() == header.width(),
    };
    by_number(header).filter(|(field, _)| fits(*field))
}

/// The field with the OXM or NXM name `name`.
pub fn by_name(name: &str) -> Option<(Field, &'static OxmId)> {
    BY_NAME.get(name).copied()
}

/// The number to use for `field` in OpenFlow `version`; version 0 prefers the NXM ones.
pub fn preferred(field: Field, version: u8) -> Option<&'static OxmId> {
    let mut best = None;
    for id in field.info().oxm {
        if best.is_none() || version >= id.version {
            best = Some(id);
        }
    }
    best
}
