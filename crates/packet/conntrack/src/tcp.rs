//! The state of a TCP connection, and whether a segment fits in.
//!
//! Which sequence numbers a side may send follows from what the other one has acknowledged and from its window (Guido van
//! Rooij, "Real Stateful TCP Packet Filtering in IP Filter"). A connection whose beginning was not seen is followed
//! with the widest windows.

use wire::tcp::{ACK, FIN, PSH, RST, SYN, URG};

use crate::stage::{Stage, Verdict};

/// Where one side stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum TcpState {
    /// Nothing was sent.
    #[default]
    Closed,
    /// Not in use here.
    Listen,
    /// Something was sent.
    SynSent,
    /// Not in use here.
    SynRecv,
    /// What it sent was acknowledged.
    Established,
    /// Not in use here.
    CloseWait,
    /// Not in use here.
    FinWait1,
    /// It has no more to send.
    Closing,
    /// Not in use here.
    LastAck,
    /// That it has no more to send was acknowledged.
    FinWait2,
    /// The connection was reset.
    TimeWait,
}

impl TcpState {
    /// All, in their order.
    pub const ALL: [TcpState; 11] = [
        TcpState::Closed,
        TcpState::Listen,
        TcpState::SynSent,
        TcpState::SynRecv,
        TcpState::Established,
        TcpState::CloseWait,
        TcpState::FinWait1,
        TcpState::Closing,
        TcpState::LastAck,
        TcpState::FinWait2,
        TcpState::TimeWait,
    ];

    /// The name that operators see.
    pub const fn name(self) -> &'static str {
        match self {
            TcpState::Closed => "CLOSED",
            TcpState::Listen => "LISTEN",
            TcpState::SynSent => "SYN_SENT",
            TcpState::SynRecv => "SYN_RECV",
            TcpState::Established => "ESTABLISHED",
            TcpState::CloseWait => "CLOSE_WAIT",
            TcpState::FinWait1 => "FIN_WAIT_1",
            TcpState::Closing => "CLOSING",
            TcpState::LastAck => "LAST_ACK",
            TcpState::FinWait2 => "FIN_WAIT_2",
            TcpState::TimeWait => "TIME_WAIT",
        }
    }
}

/// The greatest shift of a window (RFC 7323 §2.3).
const MAX_SCALE: u8 = 14;
/// How far acknowledgements may lie from what was sent: a window without scaling, and some tolerance.
const MAX_ACK_DISTANCE: i32 = 0xffff + 1500;

/// What a side said of the scale of its windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Scale {
    /// Nothing: its windows are not scaled.
    #[default]
    Absent,
    /// To shift its windows by this.
    By(u8),
    /// The beginning was not seen.
    Unknown,
}

impl Scale {
    /// The shift that was said.
    pub const fn shift(self) -> u8 {
        match self {
            Scale::By(shift) => shift,
            Scale::Absent | Scale::Unknown => 0,
        }
    }
}

/// What the tracker reads of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Segment {
    /// The flags (see [`wire::tcp`]).
    pub flags: u16,
    /// The number of its first byte.
    pub sequence: u32,
    /// The number of the next byte that is expected.
    pub acknowledgment: u32,
    /// The window as it stands.
    pub window: u16,
    /// Bytes of payload.
    pub len: u32,
    /// The option of window scaling.
    pub scale: Option<u8>,
}

impl Segment {
    const fn has(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    /// Whether the flags never stand together.
    pub const fn is_malformed(&self) -> bool {
        let is_begin_and_end = self.has(SYN) && self.has(RST | FIN);
        let is_empty = !self.has(SYN | ACK | RST);
        let needs_ack = !self.has(ACK) && self.has(FIN | PSH | URG);
        is_begin_and_end || is_empty || needs_ack
    }

    /// Whether it may be the first one that is seen of a connection: of a new one or of one in use, not of a half-open one.
    pub const fn may_begin(&self) -> bool {
        !(self.is_malformed() || self.has(SYN) && self.has(ACK))
    }

    fn said_scale(&self) -> Scale {
        self.scale.map_or(Scale::Absent, |shift| Scale::By(shift.min(MAX_SCALE)))
    }

    /// The number behind its last byte; SYN and FIN count as one each.
    fn end(&self) -> u32 {
        let counted = u32::from(self.has(SYN)) + u32::from(self.has(FIN));
        self.sequence.wrapping_add(self.len).wrapping_add(counted)
    }
}

/// One side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Peer {
    /// The highest number that it has sent.
    low: u32,
    /// What the other side allows it to send up to; 1 while that is not known.
    high: u32,
    /// Its largest window, before scaling.
    window: u16,
    /// What it said of scaling.
    pub scale: Scale,
    /// Where it stands.
    pub state: TcpState,
}

/// Both sides: who sent the first segment, and the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tcp {
    /// The side that sent the first segment.
    pub original: Peer,
    /// The other one.
    pub reply: Peer,
}

const fn is_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 > 0
}

const fn is_not_before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 >= 0
}

fn unscaled(window: u16, shift: u8) -> u16 {
    u32::from(window).div_ceil(1 << shift) as u16
}

impl Tcp {
    /// A connection of which `segment` is the first that is seen.
    pub fn begin(segment: &Segment) -> Tcp {
        let mut original = Peer {
            low: segment.sequence,
            high: segment.end().wrapping_add(1),
            window: segment.window.max(1),
            scale: Scale::Unknown,
            state: TcpState::SynSent,
        };
        let mut reply = Peer { high: 1, window: 1, scale: Scale::Unknown, ..Peer::default() };
        if segment.has(SYN) {
            original.scale = segment.said_scale();
            reply.scale = Scale::Absent;
            // The window of a SYN is not scaled yet.
            original.window = unscaled(original.window, original.scale.shift());
        }
        Tcp { original, reply }
    }

    /// Takes a segment into account. A stage comes with those that keep the connection alive.
    pub fn update(&mut self, segment: &Segment, is_reply: bool, checks: bool) -> (Verdict, Option<Stage>) {
        if segment.is_malformed() {
            return (Verdict::Invalid, None);
        }
        let Tcp { original, reply } = self;
        let (src, dst) = if is_reply { (reply, original) } else { (original, reply) };
        if segment.has(SYN) && !segment.has(ACK) {
            if src.state >= TcpState::FinWait2 && dst.state >= TcpState::FinWait2 {
                src.state = TcpState::Closed;
                dst.state = TcpState::Closed;
                return (Verdict::Replaced, None);
            }
            if src.state <= TcpState::SynSent {
                src.state = TcpState::SynSent;
                return (Verdict::StillNew, Some(Stage::TcpSynSent));
            }
        }
        let mut seen = Seen::new(segment, src, dst);
        seen.begin(segment, src, dst);
        seen.correct(segment, src, dst);
        if seen.fits(segment, src, dst) || !checks {
            seen.slide(src, dst);
            advance(segment, src, dst);
            (Verdict::Valid, Some(stage(src.state, dst.state)))
        } else if seen.is_tolerable(src, dst) {
            // Peers that send before they were answered, connections picked up in their middle, and stragglers behind the end.
            // They do not keep the connection alive: floods come here, too.
            seen.slide(src, dst);
            end(segment, src, dst);
            (Verdict::Valid, None)
        } else {
            (Verdict::Invalid, None)
        }
    }
}

/// A segment as it is compared with the sides' windows.
struct Seen {
    sequence: u32,
    end: u32,
    acknowledgment: u32,
    window: u16,
    /// By how much windows of the sender and of the receiver are to be shifted.
    src_shift: u8,
    dst_shift: u8,
    checks_ack: bool,
}

impl Seen {
    fn new(segment: &Segment, src: &Peer, dst: &Peer) -> Seen {
        let (src_shift, dst_shift) = match (src.scale, dst.scale) {
            (Scale::By(a), Scale::By(b)) if !segment.has(SYN) => (a, b),
            (Scale::Unknown, Scale::Unknown) if !segment.has(SYN) => (MAX_SCALE, MAX_SCALE),
            _ => (0, 0),
        };
        Seen {
            sequence: segment.sequence,
            end: segment.end(),
            acknowledgment: segment.acknowledgment,
            window: segment.window,
            src_shift,
            dst_shift,
            checks_ack: true,
        }
    }

    /// The first segment from this side.
    fn begin(&mut self, segment: &Segment, src: &mut Peer, dst: &mut Peer) {
        if src.state >= TcpState::SynSent {
            return;
        }
        if segment.has(SYN) && matches!(dst.scale, Scale::By(_)) {
            src.scale = segment.said_scale();
            if let Scale::By(shift) = src.scale {
                self.src_shift = shift;
                self.window = unscaled(self.window, shift);
                self.dst_shift = dst.scale.shift();
            } else {
                // Both scale, or none does.
                let window = u32::from(dst.window) << dst.scale.shift();
                dst.window = window.min(u32::from(u16::MAX)) as u16;
                dst.scale = Scale::Absent;
            }
        }
        src.low = self.sequence;
        src.state = TcpState::SynSent;
        let allowed = self.end.wrapping_add(self.allowed(dst).max(1));
        if src.high == 1 || is_not_before(allowed, src.high) {
            src.high = allowed;
            self.checks_ack = false;
        }
        src.window = src.window.max(self.window);
    }

    /// Replaces what does not count.
    fn correct(&mut self, segment: &Segment, src: &Peer, dst: &Peer) {
        // Some set no number when they reset what was never answered.
        if !segment.has(ACK) || self.acknowledgment == 0 && segment.has(RST) {
            self.acknowledgment = dst.low;
        }
        if self.sequence == self.end {
            self.sequence = src.low;
            self.end = src.low;
        }
    }

    /// How much the receiver lets the sender send.
    fn allowed(&self, dst: &Peer) -> u32 {
        u32::from(dst.window) << self.dst_shift
    }

    fn fits(&self, segment: &Segment, src: &Peer, dst: &Peer) -> bool {
        let skew = if self.checks_ack { dst.low.wrapping_sub(self.acknowledgment) as i32 } else { 0 };
        let reset = segment.sequence.wrapping_sub(src.low) as i32;
        is_not_before(src.high, self.end)
            && is_not_before(self.sequence, src.low.wrapping_sub(self.allowed(dst)))
            && skew >= -MAX_ACK_DISTANCE
            && skew <= MAX_ACK_DISTANCE << self.src_shift
            && (!segment.has(RST) || (-1..=1).contains(&reset))
    }

    fn is_tolerable(&self, src: &Peer, dst: &Peer) -> bool {
        let far = MAX_ACK_DISTANCE as u32;
        (dst.state < TcpState::SynSent || dst.state >= TcpState::FinWait2 || src.state >= TcpState::FinWait2)
            && is_not_before(src.high.wrapping_add(far), self.end)
            && is_not_before(self.sequence, src.low.wrapping_sub(far))
    }

    /// Notes what was sent and what may be sent.
    fn slide(&self, src: &mut Peer, dst: &mut Peer) {
        src.window = src.window.max(self.window);
        if is_after(self.end, src.low) {
            src.low = self.end;
        }
        let window = u32::from(self.window) << self.src_shift;
        if is_not_before(self.acknowledgment.wrapping_add(window), dst.high) {
            dst.high = self.acknowledgment.wrapping_add(window.max(1));
        }
    }
}

fn advance(segment: &Segment, src: &mut Peer, dst: &mut Peer) {
    if segment.has(FIN) && src.state < TcpState::Closing {
        src.state = TcpState::Closing;
    }
    if segment.has(ACK) {
        if dst.state == TcpState::SynSent {
            dst.state = TcpState::Established;
        } else if dst.state == TcpState::Closing {
            dst.state = TcpState::FinWait2;
        }
    }
    end(segment, src, dst);
}

/// What ends a side or both.
fn end(segment: &Segment, src: &mut Peer, dst: &mut Peer) {
    if segment.has(FIN) && src.state < TcpState::Closing {
        src.state = TcpState::Closing;
    }
    if segment.has(RST) {
        src.state = TcpState::TimeWait;
        dst.state = TcpState::TimeWait;
    }
}

/// How long the connection lives on.
fn stage(a: TcpState, b: TcpState) -> Stage {
    let (less, more) = if a < b { (a, b) } else { (b, a) };
    if less >= TcpState::FinWait2 {
        Stage::TcpClose
    } else if less >= TcpState::Closing {
        Stage::TcpTimeWait
    } else if less < TcpState::Established {
        Stage::TcpSynRecv
    } else if more >= TcpState::Closing {
        Stage::TcpFinWait
    } else {
        Stage::TcpEstablished
    }
}
