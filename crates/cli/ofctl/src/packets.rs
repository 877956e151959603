//! Packets and texts about them: `parse-pcap` and `compose-packet`.

use std::io::{IsTerminal, Write};

use base::{DpPort, OfPort};
use flow::{FlowKey, Metadata};
use ofp::*;
use wire::{ethernet, ipv4};

use crate::testing::hex;
use crate::{Context, Done, Fatal, fatal};

const MAGIC: u32 = 0xa1b2_c3d4;
/// The same with nanoseconds where microseconds are.
const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
const FILE_HEADER_LEN: usize = 24;
const RECORD_HEADER_LEN: usize = 16;

/// The frames of a capture, as far as they are whole.
fn frames(capture: &[u8]) -> Option<Vec<&[u8]>> {
    let magic = u32::from_ne_bytes(*capture.first_chunk()?);
    let is_swapped = ![MAGIC, MAGIC_NANOS].contains(&magic);
    if is_swapped && ![MAGIC, MAGIC_NANOS].contains(&magic.swap_bytes()) {
        return None;
    }
    let mut rest = capture.get(FILE_HEADER_LEN..)?;
    let mut frames = Vec::new();
    while let Some((header, after)) = rest.split_at_checked(RECORD_HEADER_LEN) {
        let len = header.get(8..12).and_then(|word| word.first_chunk().copied()).map(u32::from_ne_bytes)?;
        let len = if is_swapped { len.swap_bytes() } else { len };
        let Some((frame, after)) = after.split_at_checked(len as usize) else { break };
        frames.push(frame);
        rest = after;
    }
    Some(frames)
}

/// A packet's key as if it came in nowhere.
fn key_of(frame: &[u8]) -> FlowKey {
    let mut key = flow::extract(&Metadata::new(DpPort(0)), frame, flow::MAX_VLANS);
    key.set_in_port(OfPort::ANY.0);
    key
}

/// `parse-pcap FILE…`: the keys of the packets in capture files.
pub(crate) fn parse_pcap(cx: &Context) -> Done {
    let mut failed = false;
    for name in &cx.args[1..] {
        match std::fs::read(name) {
            Err(error) => {
                eprintln!("ovs-ofctl: {name}: open failed ({})", rpc::error_text(&error));
                failed = true;
            }
            Ok(capture) => match frames(&capture) {
                Some(frames) => {
                    frames.iter().for_each(|frame| show_line!("{}", packet_key_to_text(&key_of(frame))));
                }
                None => {
                    eprintln!("ovs-ofctl: {name}: read failed (Protocol error)");
                    failed = true;
                }
            },
        }
    }
    if failed { Err(Fatal::Silent) } else { Ok(()) }
}

/// `compose-packet FLOW [PAYLOAD]`: a packet that has this key.
pub(crate) fn compose_packet(cx: &Context) -> Done {
    if cx.options.pcap && cx.options.bare {
        return fatal!("--bare and --pcap are mutually exclusive");
    }
    if cx.options.pcap && std::io::stdout().is_terminal() {
        return fatal!("not writing pcap data to stdout; redirect to a file or pipe to tcpdump instead");
    }
    let (wanted, _) = parse_flow_text(cx.arg(1), FlowTextKind::Request, Names::default())?;
    let mut wanted = wanted.m.key;
    wanted.set_in_port(OfPort::ANY.0);
    let payload = if cx.args.len() > 2 { Some(hex(cx.arg(2))?) } else { None };
    let mut frame = flow::compose(&wanted, payload.as_deref());
    if cx.options.has_bad_checksum {
        spoil_checksum(&mut frame);
    }
    if cx.options.pcap {
        let _ = std::io::stdout().write_all(&capture_of(&frame));
    } else if cx.options.bare {
        frame.iter().for_each(|byte| show!("{byte:02x}"));
    } else {
        crate::testing::print_hex(&frame);
    }
    let got = key_of(&frame);
    if got != wanted {
        eprintln!("specified and extracted flows differ:");
        eprintln!("specified: {}", packet_key_to_text(&wanted));
        eprint!("extracted: {}", packet_key_to_text(&got));
        return Err(Fatal::Silent);
    }
    Ok(())
}

/// Makes the checksum of IPv4's header a wrong one, where there is that header: one bit of it is another.
fn spoil_checksum(frame: &mut [u8]) {
    if let Some((at, ethernet::TYPE_IPV4)) = ethernet::type_behind_tags(frame)
        && let Some(byte) = frame.get_mut(at + 2 + ipv4::CHECK_OFFSET)
    {
        *byte ^= 1;
    }
}

/// A capture file with one frame, taken at no time.
fn capture_of(frame: &[u8]) -> Vec<u8> {
    const VERSION: [u16; 2] = [2, 4];
    const LIMIT_AND_ETHERNET: [u32; 2] = [1518, 1];
    let len = frame.len() as u32;
    let mut out = MAGIC.to_ne_bytes().to_vec();
    out.extend(VERSION.into_iter().flat_map(u16::to_ne_bytes));
    out.extend([0; 8]);
    out.extend(LIMIT_AND_ETHERNET.into_iter().flat_map(u32::to_ne_bytes));
    out.extend([0, 0, len, len].into_iter().flat_map(u32::to_ne_bytes));
    out.extend(frame);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_spoiled_where_there_is_one() {
        let mut key = flow::FlowKey::new();
        key.set_dl_type(ethernet::TYPE_IPV4);
        let right = flow::compose(&key, None);
        let mut wrong = right.clone();
        spoil_checksum(&mut wrong);
        assert!(wire::checksum(&right[14..34]) == 0 && wire::checksum(&wrong[14..34]) != 0);
        spoil_checksum(&mut wrong);
        assert_eq!(wrong, right);
        spoil_checksum(&mut [0; 20]);
    }

    #[test]
    fn captures_of_either_byte_order_are_read() {
        let frame = [7u8; 60];
        let capture = capture_of(&frame);
        assert_eq!(frames(&capture), Some(vec![&frame[..]]));
        let (headers, data) = capture.split_at(FILE_HEADER_LEN + RECORD_HEADER_LEN);
        let swapped: Vec<u8> =
            headers.chunks(4).flat_map(|word| word.iter().rev().copied()).chain(data.to_vec()).collect();
        assert_eq!(frames(&swapped), Some(vec![&frame[..]]));
    }

    #[test]
    fn a_capture_that_was_cut_yields_its_whole_frames() {
        let capture = capture_of(&[7; 60]);
        assert_eq!(frames(&capture[..capture.len() - 1]), Some(vec![]));
        assert_eq!(frames(&capture[..10]), None);
        assert_eq!(frames(b"no capture, but a text"), None);
    }
}
