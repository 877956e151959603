//! Control packets of bidirectional forwarding detection (RFC 5880, section 4.1), over UDP (RFC 5881).

use crate::cursor::{Reader, Writer};
use crate::form::TypedForm;

/// Bytes of a packet without authentication.
pub const LEN: usize = 24;
/// The UDP port of one hop.
pub const PORT: u16 = 3784;
/// The version.
pub const VERSION: u8 = 1;

/// Bits of [`Header::flags`].
pub mod flag {
    /// For multipoint sessions, which do not exist yet.
    pub const MULTIPOINT: u8 = 1;
    /// The sender asks for silence.
    pub const DEMAND: u8 = 2;
    /// Authentication follows.
    pub const AUTHENTICATED: u8 = 4;
    /// The sender survives its control plane.
    pub const CONTROL_INDEPENDENT: u8 = 8;
    /// The answer to a poll.
    pub const FINAL: u8 = 16;
    /// An answer is asked for.
    pub const POLL: u8 = 32;
}

/// A packet without authentication, each field as it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Three bits.
    pub version: u8,
    /// Why the sender's session went down last; five bits.
    pub diagnostic: u8,
    /// The sender's state; two bits.
    pub state: u8,
    /// See [`flag`]; six bits.
    pub flags: u8,
    /// How many packets may be missing.
    pub multiplier: u8,
    /// Bytes of the packet.
    pub length: u8,
    /// The number of the sender's session.
    pub my_discriminator: u32,
    /// The number of the receiver's session, zero while that is not known.
    pub your_discriminator: u32,
    /// The shortest interval at which the sender wants to send, in microseconds.
    pub min_tx: u32,
    /// The shortest interval at which the sender can receive, in microseconds.
    pub min_rx: u32,
    /// The same of echoes; zero where the sender does not answer them.
    pub min_echo_rx: u32,
}

impl TypedForm for Header {
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut input = Reader::new(bytes);
        let (first, second) = (input.u8()?, input.u8()?);
        Some(Header {
            version: first >> 5,
            diagnostic: first & 0x1f,
            state: second >> 6,
            flags: second & 0x3f,
            multiplier: input.u8()?,
            length: input.u8()?,
            my_discriminator: input.u32()?,
            your_discriminator: input.u32()?,
            min_tx: input.u32()?,
            min_rx: input.u32()?,
            min_echo_rx: input.u32()?,
        })
    }

    fn header_len(&self) -> usize {
        LEN
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u8(self.version << 5 | self.diagnostic & 0x1f);
        out.u8(self.state << 6 | self.flags & 0x3f);
        out.u8(self.multiplier);
        out.u8(self.length);
        for word in
            [self.my_discriminator, self.your_discriminator, self.min_tx, self.min_rx, self.min_echo_rx]
        {
            out.u32(word);
        }
    }
}
