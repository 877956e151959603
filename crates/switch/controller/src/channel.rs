//! The task of one connection: bytes to messages and back.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fields::Protocols;
use ofp::{Decoded, Encoder, Message, OfError, Version};
use rpc::{Stream, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::life::{Backoff, END_OF_FILE, End};
use crate::outbox::{Class, Link, Outbox};
use crate::probe::Probe;
use crate::received::Received;
use crate::snoop::Said;

/// A connection, never used again for another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerId(pub u64);

/// What a connection's task reports.
#[derive(Debug)]
pub enum Event {
    /// The handshake is done.
    Connected {
        peer: PeerId,
        target: Target,
        version: Version,
        link: Link,
    },
    /// Messages in their order.
    Received {
        peer: PeerId,
        messages: Vec<Received>,
    },
    /// The peer has taken what waited for it, or enough of that.
    Taken {
        peer: PeerId,
    },
    /// Of [`crate::Manager::next_event`] itself: it is this peer's turn to be served.
    Turn {
        peer: PeerId,
    },
    Disconnected {
        peer: PeerId,
        target: Target,
        reason: String,
    },
}

/// Which of the manager's endpoints the connection belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Target(pub u64);

/// The least length of a message.
const HEADER: usize = 8;
/// The types of messages that connections are kept by, the same in all versions (OpenFlow 1.5.1 §A.1).
const HELLO: u8 = 0;
const ECHO_REQUEST: u8 = 2;
const ECHO_REPLY: u8 = 3;
/// Bytes that are read before the manager takes them: room for the longest message.
const READ_AHEAD: usize = 1 << 17;
/// Room for what is read at once from a peer that has not sent much so far.
const READ_AT_FIRST: usize = 1 << 12;

/// How long the handshake of somebody who connected to us may take.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a task needs to know.
#[derive(Clone)]
pub(crate) struct Setup {
    /// The bridge's name, for the log.
    pub bridge: String,
    pub target: Target,
    pub versions: Vec<Version>,
    pub events: mpsc::Sender<Event>,
    /// The DSCP of what it is sent.
    pub dscp: u8,
    /// `None`: the peer is never probed.
    pub probe: Option<Duration>,
    /// Where what is said can be watched, on connections to controllers.
    pub snoop: Option<Said>,
}

/// Serves one stream until it ends. `name` is what the log calls the connection.
pub(crate) async fn serve(
    setup: &Setup,
    peer: PeerId,
    name: &str,
    stream: Stream,
    patience: Duration,
    on_connected: impl FnOnce(),
) -> End {
    if let Err(e) = stream.set_dscp(setup.dscp) {
        log::warn!(target: "rconn", "{name}: setting the DSCP failed: {}", rpc::error_text(&e));
    }
    let done = match tokio::time::timeout(patience, Handshake::run(&setup.versions, stream)).await {
        Err(_) => return End::TimedOut,
        Ok(Err(e)) => return End::Failed(rpc::error_text(&e)),
        Ok(Ok(done)) => done,
    };
    on_connected();
    let outbox = Arc::new(Outbox::default());
    let link = Link::new(Arc::clone(&outbox), name);
    let connected = Event::Connected { peer, target: setup.target, version: done.version, link };
    if setup.events.send(connected).await.is_err() {
        return End::Released;
    }
    let vconn = done.stream.name().to_owned();
    let (stream, mut input, name) = (done.stream, done.input, name.to_owned());
    input.reserve(READ_AT_FIRST);
    let mut channel = Channel { setup, peer, vconn, name, stream, input, outbox };
    let end = channel.run(done.version).await;
    let reason = end.error().unwrap_or_default();
    // A manager that is gone needs no events.
    let _ = setup.events.send(Event::Disconnected { peer, target: setup.target, reason }).await;
    end
}

/// Connects again and again, with growing pauses.
pub(crate) async fn keep_connected(
    setup: Setup,
    target: String,
    tls: Tls,
    max_backoff: Duration,
    mut new_peer: impl FnMut() -> PeerId,
) {
    let mut backoff = Backoff::new(max_backoff);
    let name = format!("{}<->{target}", setup.bridge);
    loop {
        if backoff.is_worth_a_line() {
            log::info!(target: "rconn", "{name}: connecting...");
        }
        let peer = new_peer();
        let mut since = None;
        let end = match Stream::connect(&target, rpc::OPENFLOW_PORT, &tls).await {
            Ok(stream) => {
                let connected = || {
                    log::info!(target: "rconn", "{name}: connected");
                    since = Some(tokio::time::Instant::now());
                };
                serve(&setup, peer, &name, stream, backoff.patience(), connected).await
            }
            Err(e) => End::Failed(rpc::error_text(&e)),
        };
        if since.is_some() || backoff.is_worth_a_line() {
            end.log(&name, log::Level::Info);
        }
        if since.is_none() {
            let reason = end.error().unwrap_or_default();
            // A manager that is gone needs no events.
            let _ = setup.events.send(Event::Disconnected { peer, target: setup.target, reason }).await;
        }
        let lasted = since.map(|since| since.elapsed());
        if let Some(text) = backoff.after(lasted) {
            log::info!(target: "rconn", "{name}: {text}");
        }
        tokio::time::sleep(backoff.wait).await;
    }
}

/// A finished handshake.
pub(crate) struct Handshake {
    pub(crate) stream: Stream,
    version: Version,
    /// Bytes that came behind the hello.
    input: Vec<u8>,
}

impl Handshake {
    /// Says hello with all versions, and settles on the greatest that both sides know.
    pub(crate) async fn run(versions: &[Version], mut stream: Stream) -> io::Result<Handshake> {
        let highest = versions.iter().copied().max().unwrap_or(Version::Of10);
        let bitmap = versions.iter().fold(0u32, |bits, version| bits | 1 << version.byte());
        let encoder = encoder(highest, 1);
        let hello = Message::Hello { versions: bitmap }.to_bytes(&encoder);
        stream.write_all(&hello).await?;
        log_message(stream.name(), "sent (Success)", &hello);
        let mut input = Vec::new();
        loop {
            if let Some(length) = message_len(&input)? {
                let message: Vec<u8> = input.drain(..length).collect();
                log_message(stream.name(), "received", &message);
                let decoded = ofp::decode(&message, &ofp::Context::default());
                let Ok(Decoded { message: Message::Hello { versions: theirs }, .. }) = decoded else {
                    let text = ofp::message_to_text(&message, ofp::Names::default(), 1);
                    log::warn!(
                        target: base::bounded!("vconn"),
                        "{}: received message while expecting hello: {text}",
                        stream.name()
                    );
                    return Err(protocol_error());
                };
                let common = versions.iter().copied().filter(|v| theirs >> v.byte() & 1 != 0).max();
                let Some(version) = common else {
                    let (ours, theirs) = (ofp::versions_to_text(bitmap), ofp::versions_to_text(theirs));
                    log::warn!(
                        target: base::bounded!("vconn"),
                        "{}: version negotiation failed (we support {ours}, peer supports {theirs})",
                        stream.name()
                    );
                    let text = format!("We support {ours}, you support {theirs}, no common versions.");
                    let error = Message::Error { error: OfError::OfphfcIncompatible, payload: text.into() };
                    stream.write_all(&error.to_bytes(&encoder)).await?;
                    return Err(protocol_error());
                };
                log::debug!(
                    target: "vconn",
                    "{}: negotiated OpenFlow version 0x{:02x} (we support {}, peer supports {})",
                    stream.name(),
                    version.byte(),
                    ofp::versions_to_text(bitmap),
                    ofp::versions_to_text(theirs)
                );
                return Ok(Handshake { stream, version, input });
            }
            if stream.read_buf(&mut input).await? == 0 {
                return Err(dropped_mid_packet(&input).unwrap_or_else(end_of_file));
            }
        }
    }
}

/// A connection in use.
struct Channel<'a> {
    setup: &'a Setup,
    peer: PeerId,
    /// What the log calls the stream.
    vconn: String,
    /// What the log calls the connection.
    name: String,
    stream: Stream,
    input: Vec<u8>,
    outbox: Arc<Outbox>,
}

/// What a connection waits for.
enum Happened {
    Wrote(usize),
    /// So many bytes have arrived; none: the peer has closed the connection.
    Read(usize),
    /// The manager has sent or changed something.
    Changed,
    /// Nothing has been heard of the peer for long.
    Quiet,
}

/// Requests that are not further apart than this follow each other closely.
const CLOSE: Duration = Duration::from_micros(200);

/// As long is the next request waited for awake.
const PATIENCE: Duration = Duration::from_micros(60);

/// When requests come. Who sends the next one as soon as it has an answer finds a thread that is asleep again, and to wake
/// it costs more than most requests: so between requests that follow each other closely the socket is looked at again and
/// again for a short while.
#[derive(Default)]
struct Rhythm {
    latest: Option<Instant>,
    /// The latest request came closely after the one before it.
    is_quick: bool,
}

impl Rhythm {
    fn asked(&mut self, now: Instant) {
        self.is_quick = self.latest.is_some_and(|before| now - before < CLOSE);
        self.latest = Some(now);
    }

    /// Whether the next request is to be expected soon.
    fn lingers(&self, now: Instant) -> bool {
        self.is_quick && self.latest.is_some_and(|latest| now - latest < PATIENCE)
    }
}

/// Returns when the sockets were looked at.
async fn look_again() {
    // Who was just answered may wait for this very processor.
    std::thread::yield_now();
    tokio::task::yield_now().await;
}

/// Messages that are being written.
struct Writing {
    class: Class,
    bytes: Vec<u8>,
    written: usize,
}

impl Channel<'_> {
    async fn run(&mut self, version: Version) -> End {
        match self.exchange(version).await {
            Ok(end) => end,
            Err(e) => End::Dropped(rpc::error_text(&e)),
        }
    }

    /// Sends and receives until there is an end.
    async fn exchange(&mut self, version: Version) -> io::Result<End> {
        let mut writing = None;
        let mut probe = self.setup.probe.map(Probe::new);
        let mut rhythm = Rhythm::default();
        let mut turn = 0;
        loop {
            if self.outbox.is_cut() {
                return Ok(End::Overrun);
            }
            probe.iter_mut().for_each(|probe| probe.leap(self.outbox.take_leap()));
            if self.outbox.takes_batch(!self.input.is_empty()) && self.deliver(version).await? {
                // The manager may have been busy for long, while nobody listened to the peer.
                probe.iter_mut().for_each(Probe::put_off);
                rhythm.asked(Instant::now());
            }
            if writing.is_none() {
                writing = self.next_to_write();
            }
            if writing.is_none() && self.outbox.is_closed() {
                return Ok(End::Released);
            }
            if self.outbox.take_room() {
                let event = Event::Taken { peer: self.peer };
                self.setup.events.send(event).await.map_err(|_| io::Error::other("shut down"))?;
            }
            // Nothing is read while the peer does not take its replies, nor while the manager has not come to what it
            // has sent already.
            let reads = self.input.len() < READ_AHEAD;
            turn += 1;
            let lingers = writing.is_none() && rhythm.is_quick && self.outbox.is_answered();
            let happened = if lingers && rhythm.lingers(Instant::now()) {
                tokio::select! {
                    biased;
                    happened = self.wait(&writing, reads, &mut probe, turn) => happened?,
                    () = look_again() => continue,
                }
            } else {
                self.wait(&writing, reads, &mut probe, turn).await?
            };
            match happened {
                Happened::Wrote(count) => {
                    if wrote(&self.outbox, &mut writing, count) && !reads {
                        // We do not listen, but it takes what we send: it is alive.
                        probe.iter_mut().for_each(Probe::heard);
                    }
                }
                Happened::Read(0) => return dropped_mid_packet(&self.input).map_or(Ok(End::Closed), Err),
                Happened::Read(_) => {
                    probe.iter_mut().for_each(Probe::heard);
                    self.make_room();
                }
                Happened::Changed => {}
                Happened::Quiet => {
                    // What has arrived but was not read so far counts.
                    if reads {
                        let read = self.stream.read_buf(&mut self.input);
                        if let Ok(count) = tokio::time::timeout(Duration::ZERO, read).await {
                            if count? == 0 {
                                return dropped_mid_packet(&self.input).map_or(Ok(End::Closed), Err);
                            }
                            probe.iter_mut().for_each(Probe::heard);
                            continue;
                        }
                    }
                    let Some(probe) = &mut probe else { continue };
                    if probe.is_sent {
                        return Ok(End::Unresponsive(probe.after));
                    }
                    probe.is_sent = true;
                    probe.put_off();
                    let idle = probe.after.as_secs();
                    log::debug!(target: "rconn", "{}: idle {idle} seconds, sending inactivity probe", self.name);
                    let probe = Message::EchoRequest(Vec::new()).to_bytes(&encoder(version, 0));
                    self.outbox.push(Class::Reply, probe);
                }
            }
        }
    }

    /// Makes room for more where a peer sends as much as there is room for, so that it is read in large parts.
    fn make_room(&mut self) {
        let (len, capacity) = (self.input.len(), self.input.capacity());
        if len == capacity && capacity < READ_AHEAD {
            self.input.reserve(capacity);
        }
    }

    /// Waits until something can be done. What is looked at first differs from `turn` to `turn`: a peer that always takes
    /// more must not keep the others from theirs.
    async fn wait(
        &mut self,
        writing: &Option<Writing>,
        reads: bool,
        probe: &mut Option<Probe>,
        turn: usize,
    ) -> io::Result<Happened> {
        let Channel { stream, input, outbox, .. } = self;
        let rest = writing.as_ref().and_then(|one| one.bytes.get(one.written..)).unwrap_or_default();
        let mut changed = pin!(outbox.changed());
        poll_fn(|cx| {
            for place in (0..4).map(|step| (turn + step) % 4) {
                let happened = match place {
                    0 if !rest.is_empty() => pin!(stream.write(rest)).poll(cx).map_ok(Happened::Wrote),
                    1 if reads => pin!(stream.read_buf(&mut *input)).poll(cx).map_ok(Happened::Read),
                    2 => changed.as_mut().poll(cx).map(|()| Ok(Happened::Changed)),
                    3 => match probe.as_mut() {
                        Some(probe) => probe.timer.as_mut().poll(cx).map(|()| Ok(Happened::Quiet)),
                        None => Poll::Pending,
                    },
                    _ => Poll::Pending,
                };
                if happened.is_ready() {
                    return happened;
                }
            }
            Poll::Pending
        })
        .await
    }

    fn next_to_write(&self) -> Option<Writing> {
        let (class, bytes) = self.outbox.pop()?;
        self.note("sent (Success)", &bytes);
        Some(Writing { class, bytes, written: 0 })
    }

    /// Hands over the messages that have arrived, and says if there were any.
    async fn deliver(&mut self, version: Version) -> io::Result<bool> {
        let mut done = 0;
        let mut places = Vec::new();
        let wrong = loop {
            match message_len(&self.input[done..]) {
                Ok(Some(length)) => {
                    places.push((done, length));
                    done += length;
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        if done == 0 && wrong.is_none() {
            return Ok(false);
        }
        let together: Arc<[u8]> = self.input.drain(..done).as_slice().into();
        self.note("received", &together);
        let mut messages = Vec::with_capacity(places.len());
        for (start, length) in places {
            let message = Received::of(&together, start, length);
            if !self.answers(&message, version) {
                messages.push(message);
            }
        }
        if let Some(error) = wrong {
            return Err(error);
        }
        let any = !messages.is_empty();
        if any {
            self.outbox.begin_batch();
            let event = Event::Received { peer: self.peer, messages };
            self.setup.events.send(event).await.map_err(|_| io::Error::other("shut down"))?;
        }
        Ok(any)
    }

    /// Whether a message is not for the manager. It is answered here, if it wants an answer.
    fn answers(&self, message: &Received, version: Version) -> bool {
        let &[theirs, kind, ..] = message.bytes() else { return true };
        if theirs != version.byte() {
            self.outbox.push(Class::Reply, self.refuse_version(theirs, version, message.quoted()));
            return true;
        }
        if !matches!(kind, HELLO | ECHO_REQUEST | ECHO_REPLY) {
            return false;
        }
        let Ok(Decoded { message, xid, .. }) = ofp::decode(message.bytes(), &ofp::Context::default()) else {
            return false;
        };
        if let Message::EchoRequest(payload) = message {
            let reply = Message::EchoReply(payload).to_bytes(&encoder(version, xid));
            self.outbox.push(Class::Reply, reply);
        }
        true
    }

    /// The answer to a message of another version than was agreed on.
    fn refuse_version(&self, received: u8, expected: Version, head: Vec<u8>) -> Vec<u8> {
        log::error!(
            target: base::bounded!("vconn"),
            "{}: received OpenFlow version 0x{received:02x} != expected {:02x}",
            self.vconn,
            expected.byte()
        );
        let xid = ofp::message_xid(&head).unwrap_or(0);
        let version = Version::from_byte(received).unwrap_or(expected);
        Message::Error { error: OfError::OfpbrcBadVersion, payload: head }.to_bytes(&encoder(version, xid))
    }

    /// Logs a message, and shows it to whoever snoops.
    fn note(&self, what: &str, bytes: &[u8]) {
        for message in ofp::split_messages(bytes) {
            log_message(&self.vconn, what, message);
        }
        if let Some(snoop) = self.setup.snoop.as_ref().filter(|snoop| snoop.receiver_count() > 0) {
            // The last watcher may just have left.
            let _ = snoop.send(bytes.into());
        }
    }
}

/// Notes that `count` bytes are written, and says if there were any.
fn wrote(outbox: &Outbox, writing: &mut Option<Writing>, count: usize) -> bool {
    if let Some(one) = writing {
        outbox.wrote(one.class, count);
        one.written += count;
        if one.written >= one.bytes.len() {
            *writing = None;
        }
    }
    count > 0
}

fn log_message(name: &str, what: &str, message: &[u8]) {
    log::debug!(target: "vconn", "{name}: {what}: {}", ofp::message_to_text(message, ofp::Names::default(), 1));
}

/// How messages of a fresh connection are written.
fn encoder(version: Version, xid: u32) -> Encoder {
    Encoder::new(initial_protocol(version), xid)
}

/// The protocol of a fresh connection.
pub(crate) fn initial_protocol(version: Version) -> Protocols {
    Protocols::initial(version.byte())
}

/// The protocol after `message`, with which controllers of OpenFlow 1.0 choose extensions.
#[expect(clippy::wildcard_enum_match_arm, reason = "all others leave it")]
pub(crate) fn protocol_after(protocol: Protocols, message: &Message) -> Protocols {
    match message {
        Message::SetFlowFormat { nxm: true } => protocol.set_base(Protocols::OF10_NXM),
        Message::SetFlowFormat { nxm: false } => protocol.set_base(Protocols::OF10_STD),
        Message::FlowModTableId(on) => protocol.set_tid(*on),
        _ => protocol,
    }
}

/// The length of the first message of `input`, if it is all there.
fn message_len(input: &[u8]) -> io::Result<Option<usize>> {
    let Some(header) = input.get(..HEADER) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if length < HEADER {
        log::error!(target: base::bounded!("vconn_stream"), "received too-short ofp_header ({length} bytes)");
        return Err(protocol_error());
    }
    Ok((input.len() >= length).then_some(length))
}

/// What a stream that ends within a message ends with.
fn dropped_mid_packet(rest: &[u8]) -> Option<io::Error> {
    if rest.is_empty() {
        return None;
    }
    log::error!(target: base::bounded!("vconn_stream"), "connection dropped mid-packet");
    Some(protocol_error())
}

fn protocol_error() -> io::Error {
    io::Error::from_raw_os_error(71)
}

fn end_of_file() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, END_OF_FILE)
}

#[cfg(test)]
mod tests;
