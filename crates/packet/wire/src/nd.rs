//! Messages of neighbour discovery with a target (RFC 4861): solicitations and advertisements.
//!
//! What the switch reads of them is [`crate::icmp::NeighborDiscovery`].

use base::MacAddr;

use crate::bytes::{be16, be32, be128, byte, put, put8, put16, put32, put128};
use crate::checksum::{replace32, replace128};
use crate::cursor::{Reader, Writer};
use crate::form::TypedForm;
use crate::icmp::{self, CHECK_OFFSET};

/// Bytes of a message before its options.
pub const LEN: usize = icmp::LEN + 16;
/// Kind of option: the sender's link-layer address.
pub const SOURCE_ADDRESS: u8 = 1;
/// Kind of option: the target's link-layer address.
pub const TARGET_ADDRESS: u8 = 2;
/// Bytes of an option with an Ethernet address.
const ADDRESS_LEN: usize = 8;

/// An option.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NdOption {
    /// What it is: [`SOURCE_ADDRESS`], [`TARGET_ADDRESS`] or another.
    pub kind: u8,
    /// What follows kind and length; emitted so that the option takes eights of bytes, at most 2040.
    pub body: Vec<u8>,
}

impl NdOption {
    /// An option with an Ethernet address.
    pub fn address(kind: u8, address: MacAddr) -> NdOption {
        NdOption { kind, body: address.0.to_vec() }
    }
}

impl TypedForm for NdOption {
    /// `None` also when it states to have no length.
    fn parse(bytes: &[u8]) -> Option<NdOption> {
        let mut input = Reader::new(bytes);
        let (kind, eights) = (input.u8()?, input.u8()?);
        let body = input.take((usize::from(eights) * 8).checked_sub(2)?)?;
        Some(NdOption { kind, body: body.to_vec() })
    }

    fn header_len(&self) -> usize {
        (self.body.len() + 2).next_multiple_of(8).min(255 * 8)
    }

    fn write(&self, out: &mut Writer<'_>) {
        let len = self.header_len();
        out.u8(self.kind);
        out.u8((len / 8) as u8);
        out.padded(&self.body, len - 2);
    }
}

/// A solicitation or an advertisement.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Message {
    /// [`icmp::V6_NEIGHBOR_SOLICITATION`] or [`icmp::V6_NEIGHBOR_ADVERTISEMENT`].
    pub kind: u8,
    /// The code, which is 0.
    pub code: u8,
    /// The checksum.
    pub check: u16,
    /// Flags and reserved bits.
    pub flags: u32,
    /// The address that is asked for.
    pub target: u128,
    /// The options, in order.
    pub options: Vec<NdOption>,
}

impl TypedForm for Message {
    /// `None` also for other kinds of messages, and when an option is malformed; all of `bytes` is the message.
    fn parse(bytes: &[u8]) -> Option<Message> {
        let mut input = Reader::new(bytes);
        let (kind, code, check) = (input.u8()?, input.u8()?, input.u16()?);
        if !matches!(kind, icmp::V6_NEIGHBOR_SOLICITATION | icmp::V6_NEIGHBOR_ADVERTISEMENT) {
            return None;
        }
        let (flags, target) = (input.u32()?, input.u128()?);
        let mut options = Vec::new();
        while !input.rest().is_empty() {
            let option = NdOption::parse(input.rest())?;
            input.take(option.header_len())?;
            options.push(option);
        }
        Some(Message { kind, code, check, flags, target, options })
    }

    fn header_len(&self) -> usize {
        LEN + self.options.iter().map(TypedForm::header_len).sum::<usize>()
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.u8(self.kind);
        out.u8(self.code);
        out.u16(self.check);
        out.u32(self.flags);
        out.u128(self.target);
        self.options.iter().for_each(|option| option.write(out));
    }
}

/// A message whose fields can be set in place as far as it has them; each setter corrects the checksum.
#[derive(Debug)]
pub struct MessageMut<'a>(&'a mut [u8]);

impl<'a> MessageMut<'a> {
    /// The message, if there are enough bytes for its header; all of `bytes` is the message.
    pub fn parse(bytes: &'a mut [u8]) -> Option<MessageMut<'a>> {
        (bytes.len() >= icmp::LEN).then_some(MessageMut(bytes))
    }

    /// Flags and reserved bits.
    pub fn flags(&self) -> u32 {
        be32(self.0, 4)
    }

    /// Sets flags and reserved bits.
    pub fn set_flags(&mut self, flags: u32) {
        self.correcting(4, |bytes| put32(bytes, 4, flags));
    }

    /// The address that is asked for; zero when it is cut off.
    pub fn target(&self) -> u128 {
        be128(self.0, icmp::LEN)
    }

    /// Sets the address that is asked for.
    pub fn set_target(&mut self, target: u128) {
        if self.0.len() >= LEN {
            let check = replace128(be16(self.0, CHECK_OFFSET), self.target(), target);
            put128(self.0, icmp::LEN, target);
            put16(self.0, CHECK_OFFSET, check);
        }
    }

    /// Runs `change` on kind and address of each option that holds an Ethernet address, up to an option of a wrong
    /// length.
    pub fn change_addresses(&mut self, mut change: impl FnMut(&mut u8, &mut MacAddr)) {
        let mut at = LEN;
        while self.0.len() >= at + ADDRESS_LEN {
            let len = usize::from(byte(self.0, at + 1)) * 8;
            if len == 0 || at + len > self.0.len() {
                return;
            }
            let mut kind = byte(self.0, at);
            if len == ADDRESS_LEN && matches!(kind, SOURCE_ADDRESS | TARGET_ADDRESS) {
                let mut address = MacAddr::from_u64(crate::bytes::be48(self.0, at + 2));
                change(&mut kind, &mut address);
                self.correcting(at, |bytes| put8(bytes, at, kind));
                self.correcting(at, |bytes| put(bytes, at + 2, [address.0[0], address.0[1]]));
                self.correcting(at + 4, |bytes| put(bytes, at + 2, address.0));
            }
            at += len;
        }
    }

    /// Runs `change`, which changes the 32-bit word at `at` alone.
    fn correcting(&mut self, at: usize, change: impl FnOnce(&mut [u8])) {
        let old = be32(self.0, at);
        change(self.0);
        let check = replace32(be16(self.0, CHECK_OFFSET), old, be32(self.0, at));
        put16(self.0, CHECK_OFFSET, check);
    }
}
