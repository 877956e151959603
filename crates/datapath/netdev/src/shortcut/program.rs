//! The programs, as instructions for the kernel's machine.
//!
//! One looks frames up, and is the filter of a packet socket: a frame that a flow is known for it stamps and keeps from the
//! socket; all others the socket gets, as without it. The kernel then shows the frame to the other one, a classifier at the
//! device's ingress hook: that one does what the flow says with a frame that has a stamp, and takes all others away from the
//! host's own stack. So a frame is looked up once, and goes exactly one of the two ways.
//!
//! No frame overtakes one of its flow that goes by the worker: those the classifier counts when they stand in the socket's queue,
//! and while the worker has not said that it has sent as many, more go that way.
//!
//! While one socket takes over from another, both are shown each frame, the newer one first, and nothing comes between on that
//! processor. There its filter leaves word what it has done with the frame: the older one's takes those that were left to it, and
//! stamps others as they were, because the kernel clears the stamp before.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use netlink::TC_ACT_STOLEN;
use netlink::bpf::{Assembler, Condition, Label, Operation, ProgramKind, Size, load};
use wire::{ethernet, protocol};

use super::board::{self, Layout};
use super::key;

/// Functions of the kernel (`enum bpf_func_id`).
const LOOKUP: i32 = 1;
const THIS_PROCESSOR: i32 = 8;
const PUSH_TAG: i32 = 18;
const POP_TAG: i32 = 19;
const REDIRECT: i32 = 23;
const READ_FRAME: i32 = 26;

/// Places in `struct __sk_buff`.
const FRAME_LEN: i16 = 0;
const FRAME_KIND: i16 = 4;
const MARK: i16 = 8;
const HAS_TAG: i16 = 20;
const TAG: i16 = 24;
const TAG_KIND: i16 = 28;
const PRIORITY: i16 = 32;
const DEVICE: i16 = 40;
const SEGMENTS: i16 = 164;
/// Words that programs leave for each other, of which the stamp has four.
const STAMP: i16 = 48;
const STAMP_PROCESS: i16 = 52;
const STAMP_FLOW: i16 = 56;
const STAMP_FLAGS: i16 = 60;

/// In place of TCP flags: the socket has the frame.
const PASSED: i32 = 1 << 16;

/// What a stamp begins with.
const STAMPED: i32 = 0x4962_7267;

const OUTGOING: i32 = libc::PACKET_OUTGOING as i32;

/// The verdict of a classifier that others may look.
const NO_VERDICT: i32 = -1;

/// Registers: the frame, the flow's record, its place and generation, TCP flags. The first three of arguments, a result.
const FRAME: u8 = 6;
const FLOW: u8 = 7;
const WHICH: u8 = 8;
const FLAGS: u8 = 9;
const RESULT: u8 = 0;
const A: u8 = 1;
const B: u8 = 2;
const C: u8 = 3;
const D: u8 = 4;
const STACK: u8 = 10;

/// Places on the stack: the key, the same under a mask, bytes of a header.
const KEY: i16 = -64;
const MASKED: i16 = -128;
const HEADER: i16 = -160;

/// Bits of a number in the table that say the place; those above are the generation.
const PLACE_BITS: i32 = 16;

/// What the programs refer to.
pub(super) struct Parts<'a> {
    pub(super) board: BorrowedFd<'a>,
    pub(super) layout: Layout,
    /// Flows' numbers by keys.
    pub(super) table: BorrowedFd<'a>,
    /// Tells this process's stamps from others'; below 2^31.
    pub(super) process: i32,
}

/// The number of a flow in the table and in stamps.
pub(super) fn number(place: u32, generation: u32) -> u32 {
    generation << PLACE_BITS | place
}

/// The programs.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) filter: OwnedFd,
    pub(super) ingress: OwnedFd,
    /// Of a socket that is to take over, and takes no frame yet.
    pub(super) waiting: OwnedFd,
    /// Of the same when it takes all.
    pub(super) taking: OwnedFd,
    /// Of the one before it, which takes all others.
    pub(super) yielding: OwnedFd,
}

/// What a filter has to do with a change from one socket to another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Taking,
    Yielding,
}

impl Programs {
    pub(super) fn load(parts: &Parts<'_>) -> io::Result<Programs> {
        Ok(Programs {
            filter: load(ProgramKind::SocketFilter, parts.filter(Change::None))?,
            ingress: load(ProgramKind::Classifier, parts.ingress())?,
            waiting: load(ProgramKind::SocketFilter, parts.waiting())?,
            taking: load(ProgramKind::SocketFilter, parts.filter(Change::Taking))?,
            yielding: load(ProgramKind::SocketFilter, parts.filter(Change::Yielding))?,
        })
    }
}

impl Parts<'_> {
    /// A socket's filter.
    fn filter(&self, change: Change) -> Assembler {
        let mut code = Assembler::new();
        let (miss, nothing, pass) = (code.label(), code.label(), code.label());
        code.copy(FRAME, A);
        match change {
            Change::None => {}
            Change::Taking => self.leave_word(&mut code, board::TAKEN),
            Change::Yielding => self.yield_frame(&mut code, nothing),
        }
        code.load(Size::Word, A, FRAME, FRAME_KIND).jump_if(Condition::Equal, A, OUTGOING, nothing);
        self.look_up(&mut code, miss);
        self.check(&mut code, pass);
        self.stamp(&mut code, change);
        code.place(nothing).set(RESULT, 0).exit();
        code.place(pass).set(FLAGS, PASSED);
        self.stamp(&mut code, change);
        code.place(miss).set(RESULT, -1).exit();
        code
    }

    /// The filter of a socket that takes no frame, and says so.
    fn waiting(&self) -> Assembler {
        let mut code = Assembler::new();
        self.leave_word(&mut code, board::LEFT);
        code.set(RESULT, 0).exit();
        code
    }

    fn leave_word(&self, code: &mut Assembler, word: i32) {
        self.load_word(code);
        code.store_value(Size::Word, A, 0, word);
    }

    /// The older socket has `nothing` of a frame that the newer one has not left to it.
    fn yield_frame(&self, code: &mut Assembler, nothing: Label) {
        let is_left = code.label();
        self.load_word(code);
        code.load(Size::Word, B, A, 0).jump_if(Condition::Equal, B, board::LEFT, is_left);
        code.jump_if(Condition::NotEqual, B, board::WITH_STAMP, nothing);
        code.load(Size::Word, WHICH, A, board::WORD_FLOW).load(Size::Word, FLAGS, A, board::WORD_FLAGS);
        self.stamp(code, Change::Yielding);
        code.jump(nothing).place(is_left);
    }

    /// Where the filters of two sockets have a word for each other on this processor, in [`A`].
    fn load_word(&self, code: &mut Assembler) {
        self.load_processor(code);
        code.with(Operation::ShiftLeft, RESULT, board::WORD_SHIFT);
        code.load_value(A, self.board, self.layout.word_place() as i32).with_register(
            Operation::Add,
            A,
            RESULT,
        );
    }

    /// The processor's number, in [`RESULT`].
    fn load_processor(&self, code: &mut Assembler) {
        code.call(THIS_PROCESSOR).with(Operation::And, RESULT, self.layout.processors as i32 - 1);
    }

    fn stamp(&self, code: &mut Assembler, change: Change) {
        for (place, value) in [(STAMP, STAMPED), (STAMP_PROCESS, self.process)] {
            code.set(A, value).store(Size::Word, FRAME, place, A);
        }
        code.store(Size::Word, FRAME, STAMP_FLOW, WHICH).store(Size::Word, FRAME, STAMP_FLAGS, FLAGS);
        if change == Change::Taking {
            self.leave_word(code, board::WITH_STAMP);
            code.store(Size::Word, A, board::WORD_FLOW, WHICH).store(Size::Word, A, board::WORD_FLAGS, FLAGS);
        }
    }

    /// A classifier behind a socket with that filter.
    fn ingress(&self) -> Assembler {
        let mut code = Assembler::new();
        let (steal, others, passed) = (code.label(), code.label(), code.label());
        code.copy(FRAME, A);
        code.load(Size::Word, A, FRAME, STAMP).jump_if(Condition::NotEqual, A, STAMPED, steal);
        code.load(Size::Word, A, FRAME, STAMP_PROCESS).jump_if(Condition::NotEqual, A, self.process, others);
        code.load(Size::Word, WHICH, FRAME, STAMP_FLOW).load(Size::Word, FLAGS, FRAME, STAMP_FLAGS);
        // A frame of a flow that has ended since still goes the way that it began.
        self.load_record(&mut code);
        code.with(Operation::And, A, !board::ENDED).jump_if_register(Condition::NotEqual, A, B, steal);
        code.jump_if(Condition::Equal, FLAGS, PASSED, passed);
        self.act(&mut code, steal);
        // It stands in the socket's queue by now.
        code.place(passed).set(A, 1).add_atomically(FLOW, board::RECEIVED, A);
        code.place(steal).set(RESULT, TC_ACT_STOLEN).exit();
        // The process before or after this one has a classifier here, too.
        code.place(others).set(RESULT, NO_VERDICT).exit();
        code
    }

    /// Finds the flow of a frame, which it goes on with in [`FLOW`] and [`WHICH`], and the frame's TCP flags in [`FLAGS`].
    fn look_up(&self, code: &mut Assembler, miss: Label) {
        self.load_gate(code);
        code.jump_if(Condition::Equal, A, 0, miss);
        read_frame(code, miss);
        // The frame's length is not needed any more.
        self.load_gate(code);
        code.copy(FLOW, A);
        let found = code.label();
        for mask in 0..board::MASKS {
            let next = code.label();
            let begin = (board::MASK_PLACE + mask * key::LEN) as i32;
            code.copy(A, FLOW).with(Operation::And, A, 1 << mask).jump_if(Condition::Equal, A, 0, next);
            code.load_value(A, self.board, begin);
            for at in (0..key::LEN as i16).step_by(8) {
                code.load(Size::Double, B, A, at).load(Size::Double, C, STACK, KEY + at);
                code.with_register(Operation::And, C, B).store(Size::Double, STACK, MASKED + at, C);
            }
            code.store_value(Size::Word, STACK, MASKED + key::MASK_NUMBER as i16, mask as i32);
            code.load_map(A, self.table)
                .copy(B, STACK)
                .with(Operation::Add, B, i32::from(MASKED))
                .call(LOOKUP);
            code.jump_if(Condition::NotEqual, RESULT, 0, found).place(next);
        }
        code.jump(miss).place(found).load(Size::Word, WHICH, RESULT, 0);
        self.load_record(code);
        code.jump_if_register(Condition::NotEqual, A, B, miss);
    }

    /// Whether the flow may be used for the frame: else the frame, and all behind it, go by the worker until that has sent them.
    fn check(&self, code: &mut Assembler, pass: Label) {
        code.load(Size::Double, A, FLOW, board::VERSION);
        code.load_value(B, self.board, board::FENCE as i32).load(Size::Double, B, B, 0);
        code.jump_if_register(Condition::Less, A, B, pass);
        code.load(Size::Double, A, FLOW, board::RECEIVED).load(Size::Double, B, FLOW, board::SENT);
        code.jump_if_register(Condition::NotEqual, A, B, pass);
        // What is too long for the device, and is not to be cut, this process counts.
        let fits = code.label();
        code.load(Size::Word, A, FRAME, FRAME_LEN).load(Size::Word, B, FLOW, board::MAX_LEN);
        code.jump_if_register(Condition::AtMost, A, B, fits);
        code.load(Size::Word, A, FRAME, SEGMENTS).jump_if(Condition::Equal, A, 0, pass);
        code.place(fits);
    }

    /// The masks of the frame's device, in [`A`].
    fn load_gate(&self, code: &mut Assembler) {
        code.load(Size::Word, B, FRAME, DEVICE).with(Operation::And, B, board::GATES as i32 - 1);
        code.load_value(A, self.board, board::GATE_PLACE as i32).with_register(Operation::Add, A, B);
        code.load(Size::Byte, A, A, 0);
    }

    /// From [`WHICH`] to [`FLOW`], with the generation that is at the place in [`A`] and the one that is meant in [`B`].
    fn load_record(&self, code: &mut Assembler) {
        code.copy(A, WHICH).with(Operation::And, A, self.layout.flows as i32 - 1);
        code.with(Operation::ShiftLeft, A, board::FLOW_SHIFT);
        code.load_value(FLOW, self.board, board::FLOW_PLACE as i32).with_register(Operation::Add, FLOW, A);
        code.load(Size::Word, A, FLOW, board::GENERATION);
        code.copy(B, WHICH).with(Operation::ShiftRight, B, PLACE_BITS);
    }

    /// Counts the frame, and does with it what the flow says.
    fn act(&self, code: &mut Assembler, steal: Label) {
        let (is_untagged, no_pop, no_push) = (code.label(), code.label(), code.label());
        self.load_processor(code);
        code.copy(A, WHICH).with(Operation::And, A, self.layout.flows as i32 - 1);
        code.with(Operation::Mul, A, self.layout.processors as i32);
        code.with_register(Operation::Add, A, RESULT).with(Operation::ShiftLeft, A, board::COUNTER_SHIFT);
        code.load_value(B, self.board, self.layout.counter_place() as i32).with_register(
            Operation::Add,
            B,
            A,
        );
        code.load(Size::Double, A, B, board::PACKETS).with(Operation::Add, A, 1).store(
            Size::Double,
            B,
            board::PACKETS,
            A,
        );
        code.load(Size::Word, C, FRAME, FRAME_LEN);
        code.load(Size::Word, D, FRAME, HAS_TAG).jump_if(Condition::Equal, D, 0, is_untagged);
        code.with(Operation::Add, C, ethernet::VLAN_HEADER_LEN as i32);
        code.place(is_untagged);
        code.load(Size::Double, A, B, board::BYTES).with_register(Operation::Add, A, C);
        code.store(Size::Double, B, board::BYTES, A);
        code.load(Size::Word, A, B, board::TCP_FLAGS).with_register(Operation::Or, A, FLAGS);
        code.store(Size::Word, B, board::TCP_FLAGS, A);
        // As of frames that this process sends; and the frame may come in again, by a device without the other program.
        code.set(A, 0);
        for place in [PRIORITY, MARK, STAMP] {
            code.store(Size::Word, FRAME, place, A);
        }
        code.load(Size::Word, FLAGS, FLOW, board::STEPS);
        code.copy(A, FLAGS).with(Operation::And, A, board::POP as i32).jump_if(
            Condition::Equal,
            A,
            0,
            no_pop,
        );
        code.copy(A, FRAME).call(POP_TAG).jump_if(Condition::NotEqual, RESULT, 0, steal);
        code.place(no_pop);
        code.copy(A, FLAGS).with(Operation::And, A, board::PUSH as i32).jump_if(
            Condition::Equal,
            A,
            0,
            no_push,
        );
        code.copy(A, FRAME).set(B, i32::from(ethernet::TYPE_VLAN.to_be())).load(
            Size::Word,
            C,
            FLOW,
            board::TCI,
        );
        code.call(PUSH_TAG).jump_if(Condition::NotEqual, RESULT, 0, steal);
        code.place(no_push);
        code.load(Size::Word, A, FLOW, board::IFINDEX).set(B, 0).call(REDIRECT).exit();
    }
}

/// Reads bytes of the frame to a place on the stack; what is too short misses.
fn read(code: &mut Assembler, from: i32, to: i16, len: usize, miss: Label) {
    code.copy(A, FRAME).set(B, from).copy(C, STACK).with(Operation::Add, C, i32::from(to)).set(D, len as i32);
    code.call(READ_FRAME).jump_if(Condition::NotEqual, RESULT, 0, miss);
}

/// A byte of the key.
const fn key_place(at: usize) -> i16 {
    KEY + at as i16
}

/// An Ethernet type as it is read.
fn raw(ether_type: u16) -> i32 {
    i32::from(ether_type.to_be())
}

/// Makes the key of a frame at [`KEY`], which misses where a key of this process might have more.
fn read_frame(code: &mut Assembler, miss: Label) {
    let (is_untagged, look, v4, v6) = (code.label(), code.label(), code.label(), code.label());
    for at in (0..key::LEN as i16).step_by(8) {
        code.store_value(Size::Double, STACK, KEY + at, 0);
    }
    code.set(FLAGS, 0);
    code.load(Size::Word, A, FRAME, DEVICE).store(Size::Word, STACK, key_place(key::DEVICE), A);
    read(code, 0, KEY, ethernet::HEADER_LEN, miss);
    code.load(Size::Word, A, FRAME, HAS_TAG).jump_if(Condition::Equal, A, 0, is_untagged);
    code.load(Size::Word, A, FRAME, TAG_KIND).jump_if(Condition::NotEqual, A, raw(ethernet::TYPE_VLAN), miss);
    code.load(Size::Word, A, FRAME, TAG).with(Operation::Or, A, i32::from(flow::VLAN_CFI));
    code.store(Size::Half, STACK, key_place(key::TAG), A);
    code.place(is_untagged).load(Size::Half, A, STACK, key_place(key::TYPE));
    code.jump_if(Condition::Equal, A, raw(ethernet::TYPE_IPV4), v4);
    code.jump_if(Condition::Equal, A, raw(ethernet::TYPE_IPV6), v6);
    for tag in [ethernet::TYPE_VLAN, ethernet::TYPE_VLAN_AD] {
        code.jump_if(Condition::Equal, A, raw(tag), miss);
    }
    code.half_from_big_endian(A).jump_if(Condition::Less, A, i32::from(ethernet::TYPE_MIN), miss);
    code.jump(look);
    code.place(v4);
    read_ipv4(code, look, miss);
    code.place(v6);
    read_ipv6(code, look, miss);
    code.place(look);
}

/// Where L3 begins: tags stand elsewhere.
const L3: i32 = ethernet::HEADER_LEN as i32;

/// Misses unless the packet, of which [`A`] is the length from L3 on, is all there.
fn check_len(code: &mut Assembler, miss: Label) {
    code.with(Operation::Add, A, L3).load(Size::Word, B, FRAME, FRAME_LEN);
    code.jump_if_register(Condition::Greater, A, B, miss);
}

/// Copies bytes of the header to the key.
fn copy_parts(code: &mut Assembler, parts: &[(Size, i16, usize)]) {
    for &(size, from, to) in parts {
        code.load(size, A, STACK, HEADER + from).store(size, STACK, key_place(to), A);
    }
}

fn read_ipv4(code: &mut Assembler, look: Label, miss: Label) {
    const LEN: i32 = wire::ipv4::MIN_LEN as i32;
    let fragment = i32::from((wire::ipv4::MORE_FRAGMENTS | wire::ipv4::FRAGMENT_OFFSET).to_be());
    read(code, L3, HEADER, LEN as usize, miss);
    // Without options.
    code.load(Size::Byte, A, STACK, HEADER).jump_if(Condition::NotEqual, A, 0x45, miss);
    code.load(Size::Half, A, STACK, HEADER + 6).jump_if(Condition::AnyBit, A, fragment, miss);
    code.load(Size::Half, FLOW, STACK, HEADER + 2).half_from_big_endian(FLOW);
    code.jump_if(Condition::Less, FLOW, LEN, miss).copy(A, FLOW);
    check_len(code, miss);
    code.with(Operation::Sub, FLOW, LEN);
    copy_parts(
        code,
        &[
            (Size::Byte, 1, key::TOS),
            (Size::Byte, 8, key::TTL),
            (Size::Byte, 9, key::PROTOCOL),
            (Size::Word, 12, key::ADDRESSES),
            (Size::Word, 16, key::ADDRESSES + 4),
        ],
    );
    code.load(Size::Byte, WHICH, STACK, HEADER + 9);
    read_l4(code, L3 + LEN, protocol::ICMP, look, miss);
    for other in [protocol::SCTP, protocol::IGMP, protocol::ICMPV6] {
        code.jump_if(Condition::Equal, WHICH, i32::from(other), miss);
    }
    code.jump(look);
}

fn read_ipv6(code: &mut Assembler, look: Label, miss: Label) {
    const LEN: i32 = wire::ipv6::LEN as i32;
    read(code, L3, HEADER, 8, miss);
    code.load(Size::Byte, B, STACK, HEADER).copy(A, B).with(Operation::ShiftRight, A, 4);
    code.jump_if(Condition::NotEqual, A, 6, miss);
    code.load(Size::Byte, C, STACK, HEADER + 1).with(Operation::ShiftRight, C, 4);
    code.with(Operation::And, B, 0xf).with(Operation::ShiftLeft, B, 4).with_register(Operation::Or, B, C);
    code.store(Size::Byte, STACK, key_place(key::TOS), B);
    code.load(Size::Half, FLOW, STACK, HEADER + 4).half_from_big_endian(FLOW);
    code.copy(A, FLOW).with(Operation::Add, A, LEN);
    check_len(code, miss);
    copy_parts(code, &[(Size::Byte, 6, key::PROTOCOL), (Size::Byte, 7, key::TTL)]);
    code.load(Size::Byte, WHICH, STACK, HEADER + 6);
    read(code, L3 + 8, key_place(key::ADDRESSES), 32, miss);
    read_l4(code, L3 + LEN, protocol::ICMPV6, look, miss);
    // It may be an extension.
    code.jump(miss);
}

/// Reads the ports of TCP, UDP and ICMP, [`FLOW`] being the bytes that are there and [`WHICH`] the protocol, and goes on with
/// those; others go on behind this.
fn read_l4(code: &mut Assembler, at: i32, icmp: u8, look: Label, miss: Label) {
    let (tcp, udp, messages, others) = (code.label(), code.label(), code.label(), code.label());
    for (number, label) in [(protocol::TCP, tcp), (protocol::UDP, udp), (icmp, messages)] {
        code.jump_if(Condition::Equal, WHICH, i32::from(number), label);
    }
    code.jump(others);

    let tcp_len = wire::tcp::MIN_LEN as i32;
    code.place(tcp).jump_if(Condition::Less, FLOW, tcp_len, miss);
    read(code, at, HEADER, 14, miss);
    code.load(Size::Byte, A, STACK, HEADER + 12).with(Operation::ShiftRight, A, 4).with(
        Operation::ShiftLeft,
        A,
        2,
    );
    code.jump_if(Condition::Less, A, tcp_len, miss).jump_if_register(Condition::Greater, A, FLOW, miss);
    code.load(Size::Half, FLAGS, STACK, HEADER + 12).half_from_big_endian(FLAGS).with(
        Operation::And,
        FLAGS,
        0xfff,
    );
    copy_parts(code, &[(Size::Word, 0, key::PORTS)]);
    code.jump(look);

    code.place(udp).jump_if(Condition::Less, FLOW, wire::udp::LEN as i32, miss);
    read(code, at, key_place(key::PORTS), 4, miss);
    code.jump(look);

    code.place(messages).jump_if(Condition::Less, FLOW, wire::icmp::LEN as i32, miss);
    read(code, at, HEADER, 2, miss);
    copy_parts(code, &[(Size::Byte, 0, key::PORTS + 1), (Size::Byte, 1, key::PORTS + 3)]);
    code.jump(look);

    code.place(others);
}
