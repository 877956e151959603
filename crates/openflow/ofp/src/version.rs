//! OpenFlow versions.

use std::fmt::{self, Write};

use fields::Protocols;

/// An OpenFlow version that is supported.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Version {
    /// OpenFlow 1.0, byte 0x01.
    Of10 = 1,
    /// OpenFlow 1.1, byte 0x02.
    Of11 = 2,
    /// OpenFlow 1.2, byte 0x03.
    Of12 = 3,
    /// OpenFlow 1.3, byte 0x04.
    Of13 = 4,
    /// OpenFlow 1.4, byte 0x05.
    Of14 = 5,
    /// OpenFlow 1.5, byte 0x06.
    Of15 = 6,
}

impl Version {
    /// Oldest first.
    pub const ALL: [Version; 6] =
        [Version::Of10, Version::Of11, Version::Of12, Version::Of13, Version::Of14, Version::Of15];

    /// Bit `v` for each supported version byte `v`.
    pub const SUPPORTED: u32 = 0x7e;

    /// The version with the header byte `byte`.
    pub const fn from_byte(byte: u8) -> Option<Version> {
        Some(match byte {
            1 => Version::Of10,
            2 => Version::Of11,
            3 => Version::Of12,
            4 => Version::Of13,
            5 => Version::Of14,
            6 => Version::Of15,
            _ => return None,
        })
    }

    /// As in message headers, 1 to 6.
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// `OF1.3`.
    pub const fn short(self) -> &'static str {
        ["OF1.0", "OF1.1", "OF1.2", "OF1.3", "OF1.4", "OF1.5"][self as usize - 1]
    }

    /// `OpenFlow13`.
    pub const fn name(self) -> &'static str {
        ["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"]
            [self as usize - 1]
    }

    /// Reads `OpenFlow13`, in any case.
    pub fn from_name(name: &str) -> Option<Version> {
        Version::ALL.into_iter().find(|v| v.name().eq_ignore_ascii_case(name))
    }

    /// Reads names joined by commas or blanks into bits; an unknown name is returned as the error.
    pub fn parse_bitmap(text: &str) -> Result<u32, &str> {
        let mut bits = 0;
        for name in text.split([',', ' ', '\t', '\r', '\n']).filter(|n| !n.is_empty()) {
            bits |= 1 << Version::from_name(name).ok_or(name)?.byte();
        }
        Ok(bits)
    }

    /// The protocols of the version.
    pub const fn protocols(self) -> Protocols {
        Protocols::from_version(self as u8)
    }

    /// The version of a single protocol.
    pub fn of(protocol: Protocols) -> Version {
        Version::from_byte(protocol.version()).unwrap_or(Version::Of10)
    }

    /// The greatest version whose bit is set in both bitmaps.
    pub fn greatest_common(a: u32, b: u32) -> Option<Version> {
        Version::ALL.into_iter().rev().find(|v| (a & b) >> v.byte() & 1 != 0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

/// The names of the versions whose bits are set.
pub fn version_names(bitmap: u32) -> String {
    let names = Version::ALL.iter().filter(|version| bitmap >> version.byte() & 1 != 0).map(|v| v.name());
    names.collect::<Vec<_>>().join(", ")
}

/// Bits of versions as `0x01, 0x04`.
pub fn put_version_bitmap(out: &mut String, bitmap: u32) {
    let mut first = true;
    for version in 0..32 {
        if bitmap >> version & 1 != 0 {
            if !first {
                out.push_str(", ");
            }
            first = false;
            let _ = write!(out, "0x{version:02x}");
        }
    }
}

/// Versions, a bit each, as logs about negotiation show them.
pub fn versions_to_text(bitmap: u32) -> String {
    let mut text = String::new();
    let highest = bitmap.checked_ilog2().map_or(0, |bit| 1 << bit);
    match bitmap.count_ones() {
        0 => return "no versions".to_owned(),
        1 => {}
        _ if ((bitmap >> 1) + 1).is_power_of_two() => {
            put_version_bitmap(&mut text, highest);
            return format!("version {text} and earlier");
        }
        _ => {
            put_version_bitmap(&mut text, bitmap);
            return format!("versions {text}");
        }
    }
    put_version_bitmap(&mut text, highest);
    format!("version {text}")
}
