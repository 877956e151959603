//! Messages: headers, which are written and read here, around payloads, which `netlink-bindings` encodes and decodes.

use netlink_bindings::traits::NetlinkRequest;

/// Length of `struct nlmsghdr`.
const HEADER_LEN: usize = 16;

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_ne_bytes(*b))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_ne_bytes(*b))
}

/// A message that was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Message<'a> {
    /// `RTM_*`, `NLMSG_*`, or what the family has.
    pub(crate) kind: u16,
    /// `NLM_F_*`.
    pub(crate) flags: u16,
    pub(crate) payload: &'a [u8],
}

/// The messages in a datagram, up to the first one that is cut off.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let len = u32_at(bytes, 0) as usize;
        let payload = bytes.get(HEADER_LEN..len)?;
        let message = Message { kind: u16_at(bytes, 4), flags: u16_at(bytes, 6), payload };
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some(message)
    })
}

/// The message of a request, the only one on its socket; `kind` is that of the request.
pub(crate) fn frame(kind: u16, request: &impl NetlinkRequest) -> Vec<u8> {
    let mut flags = request.flags() | libc::NLM_F_REQUEST as u16;
    if !is_dump(request) {
        flags |= libc::NLM_F_ACK as u16;
    }
    let payload = request.payload();
    let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len());
    bytes.extend(((HEADER_LEN + payload.len()) as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // A sequence number, and the kernel's own port.
    bytes.extend(1u32.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(payload);
    bytes
}

/// Whether the answers to a request end with a message of their own, and not with an acknowledgement.
fn is_dump(request: &impl NetlinkRequest) -> bool {
    let dump = libc::NLM_F_DUMP as u16;
    request.flags() & dump == dump
}

#[cfg(test)]
mod tests {
    use netlink_bindings::rt_link::{Ifinfomsg, Request};

    use super::*;

    #[test]
    fn a_request_has_its_header() {
        let request = Request::new().op_getlink_dump(&Ifinfomsg::default());
        let bytes = frame(18, &request);
        let message = messages(&bytes).next().unwrap();
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
        assert_eq!(message, Message { kind: 18, flags, payload: &[0; 16] });
        let request = Request::new().op_getlink_do(&Ifinfomsg::default());
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        assert_eq!(messages(&frame(18, &request)).next().unwrap().flags, flags);
    }

    #[test]
    fn messages_end_where_one_is_cut_off() {
        let header = |len: u32, kind: u16| [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10]].concat();
        // The second begins where the first, of 17 bytes, is filled up to a multiple of four.
        let bytes = [header(17, 1), vec![9, 0, 0, 0], header(16, 2), header(99, 3)].concat();
        let kinds: Vec<_> = messages(&bytes).map(|message| (message.kind, message.payload)).collect();
        assert_eq!(kinds, [(1, &[9u8][..]), (2, &[])]);
        assert_eq!(messages(&header(3, 1)).count(), 0, "shorter than its header");
        assert_eq!(messages(&[]).count(), 0);
    }
}
