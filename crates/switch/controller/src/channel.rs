//! The task of one connection: bytes to messages and back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fields::Protocols;
use ofp::{Decoded, Encoder, Message, OfError, Version};
use rpc::{Stream, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

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
    Disconnected {
        peer: PeerId,
        target: Target,
        reason: String,
    },
}

/// One message, or why it is none.
#[derive(Debug)]
pub struct Received {
    pub decoded: Result<Decoded, Undecodable>,
    /// The beginning of the message, which error replies quote.
    pub head: Vec<u8>,
}

#[derive(Debug)]
pub struct Undecodable {
    pub error: OfError,
    pub xid: u32,
}

/// Which of the manager's endpoints the connection belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Target(pub u64);

/// The way to a peer.
#[derive(Clone, Debug)]
pub struct Link {
    sender: mpsc::UnboundedSender<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
    pub name: String,
}

impl Link {
    /// Queues encoded messages. A peer that is gone gets nothing.
    pub fn send(&self, bytes: Vec<u8>) {
        self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        let _ = self.sender.send(bytes);
    }

    /// Bytes that the peer has not taken so far.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// The least length of a message, and how much of one an error can quote.
const HEADER: usize = 8;
const QUOTED: usize = 65_535 - 24;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a task needs to know.
#[derive(Clone)]
pub(crate) struct Setup {
    /// The bridge's name, for the log.
    pub bridge: String,
    pub target: Target,
    pub versions: Vec<Version>,
    pub events: mpsc::Sender<Event>,
    /// `None`: the peer is never probed.
    pub probe: Option<Duration>,
    /// Where what is said can be watched, on connections to controllers.
    pub snoop: Option<Said>,
}

/// Serves one stream until it ends.
pub(crate) async fn serve(setup: &Setup, peer: PeerId, stream: Stream) -> String {
    let name = stream.name().to_owned();
    let reason = match tokio::time::timeout(HANDSHAKE, Handshake::run(&setup.versions, stream)).await {
        Err(_) => "no hello in time".to_owned(),
        Ok(Err(e)) => rpc::error_text(&e),
        Ok(Ok(done)) => {
            let (sender, outgoing) = mpsc::unbounded_channel();
            let waiting = Arc::new(AtomicUsize::new(0));
            let link = Link { sender, waiting: Arc::clone(&waiting), name: name.clone() };
            let connected = Event::Connected { peer, target: setup.target, version: done.version, link };
            if setup.events.send(connected).await.is_err() {
                return "shut down".to_owned();
            }
            let context = ofp::Context {
                protocol: initial_protocol(done.version),
                n_tables: crate::statistics::TABLES,
                flow_age: true,
                loose: false,
            };
            let mut channel =
                Channel { setup, peer, name, stream: done.stream, input: done.input, waiting, context };
            let reason = match channel.run(outgoing, done.version).await {
                Ok(()) => "connection closed by peer".to_owned(),
                Err(e) => rpc::error_text(&e),
            };
            let ended = Event::Disconnected { peer, target: setup.target, reason: reason.clone() };
            // A manager that is gone needs no events.
            let _ = setup.events.send(ended).await;
            reason
        }
    };
    log::debug!(target: "rconn", "connection ended: {reason}");
    reason
}

/// Connects again and again, with growing pauses.
pub(crate) async fn keep_connected(
    setup: Setup,
    target: String,
    max_backoff: Duration,
    mut new_peer: impl FnMut() -> PeerId,
) {
    let mut backoff = Duration::from_secs(1);
    let name = format!("{}<->{target}", setup.bridge);
    loop {
        log::info!(target: "rconn", "{name}: connecting...");
        match Stream::connect(&target, rpc::OPENFLOW_PORT, &Tls::default()).await {
            Ok(stream) => {
                log::info!(target: "rconn", "{name}: connected");
                let started = tokio::time::Instant::now();
                let reason = serve(&setup, new_peer(), stream).await;
                log::info!(target: "rconn", "{name}: {reason}");
                if started.elapsed() > backoff {
                    backoff = Duration::from_secs(1);
                }
            }
            Err(e) => {
                log::warn!(target: "rconn", "{name}: connection failed ({})", rpc::error_text(&e));
            }
        }
        tokio::time::sleep(backoff.min(max_backoff)).await;
        backoff = (backoff * 2).min(max_backoff);
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
                    return Err(io::Error::other("the first message is not a hello"));
                };
                let common = versions.iter().copied().filter(|v| theirs >> v.byte() & 1 != 0).max();
                let Some(version) = common else {
                    let (ours, theirs) = (ofp::versions_to_text(bitmap), ofp::versions_to_text(theirs));
                    log::warn!(
                        target: "vconn",
                        "{}: version negotiation failed (we support {ours}, peer supports {theirs})",
                        stream.name()
                    );
                    let text = format!("We support {ours}, you support {theirs}, no common versions.");
                    let error = Message::Error { error: OfError::OfphfcIncompatible, payload: text.into() };
                    stream.write_all(&error.to_bytes(&encoder)).await?;
                    return Err(io::Error::from_raw_os_error(71));
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
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before hello"));
            }
        }
    }
}

/// A connection in use.
struct Channel<'a> {
    setup: &'a Setup,
    peer: PeerId,
    name: String,
    stream: Stream,
    input: Vec<u8>,
    waiting: Arc<AtomicUsize>,
    context: ofp::Context,
}

impl Channel<'_> {
    async fn run(
        &mut self,
        mut outgoing: mpsc::UnboundedReceiver<Vec<u8>>,
        version: Version,
    ) -> io::Result<()> {
        let mut output: Vec<u8> = Vec::new();
        let mut written = 0;
        let mut probed = false;
        loop {
            if written == output.len() {
                output.clear();
                written = 0;
                while output.len() < 1 << 16
                    && let Ok(bytes) = outgoing.try_recv()
                {
                    self.note("sent (Success)", &bytes);
                    output.extend_from_slice(&bytes);
                }
            }
            self.deliver(version, &mut output).await?;
            let probe_after = self.setup.probe.unwrap_or(Duration::from_secs(1 << 30));
            let (mut reader, mut writer) = tokio::io::split(&mut self.stream);
            tokio::select! {
                biased;
                count = writer.write(&output[written..]), if written < output.len() => {
                    let count = count?;
                    written += count;
                    self.waiting.fetch_sub(count.min(self.waiting.load(Ordering::Relaxed)), Ordering::Relaxed);
                }
                count = reader.read_buf(&mut self.input) => {
                    if count? == 0 {
                        return Ok(());
                    }
                    probed = false;
                }
                bytes = outgoing.recv(), if written == output.len() => match bytes {
                    Some(bytes) => {
                        self.note("sent (Success)", &bytes);
                        output.clear();
                        written = 0;
                        output.extend_from_slice(&bytes);
                    }
                    // The manager let go of it.
                    None => return Ok(()),
                },
                () = tokio::time::sleep(probe_after) => {
                    if probed {
                        let text = format!("no response to inactivity probe after {} seconds, disconnecting", probe_after.as_secs());
                        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                    }
                    probed = true;
                    let idle = probe_after.as_secs();
                    let (bridge, name) = (&self.setup.bridge, &self.name);
                    log::debug!(target: "rconn", "{bridge}<->{name}: idle {idle} seconds, sending inactivity probe");
                    Message::EchoRequest(Vec::new()).encode(&encoder(version, 0), &mut output);
                }
            }
        }
    }

    /// Hands over the messages that have arrived; waits while the manager is busy.
    async fn deliver(&mut self, version: Version, output: &mut Vec<u8>) -> io::Result<()> {
        let mut messages = Vec::new();
        let mut done = 0;
        while let Some(length) = message_len(&self.input[done..])? {
            let bytes = &self.input[done..done + length];
            done += length;
            self.note("received", bytes);
            let head = bytes[..bytes.len().min(QUOTED)].to_vec();
            if bytes[0] != version.byte() {
                let reply = self.refuse_version(bytes[0], version, head);
                self.note("sent (Success)", &reply);
                output.extend_from_slice(&reply);
                continue;
            }
            match ofp::decode(bytes, &self.context) {
                Ok(Decoded { message: Message::EchoRequest(payload), xid, .. }) => {
                    let reply = Message::EchoReply(payload).to_bytes(&encoder(version, xid));
                    self.note("sent (Success)", &reply);
                    output.extend_from_slice(&reply);
                }
                Ok(Decoded { message: Message::EchoReply(_) | Message::Hello { .. }, .. }) => {}
                Ok(decoded) => {
                    self.context.protocol = protocol_after(self.context.protocol, &decoded.message);
                    messages.push(Received { decoded: Ok(decoded), head });
                }
                Err(error) => {
                    let xid = bytes.get(4..8).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
                    messages.push(Received { decoded: Err(Undecodable { error, xid }), head });
                }
            }
        }
        self.input.drain(..done);
        if !messages.is_empty() {
            let event = Event::Received { peer: self.peer, messages };
            self.setup.events.send(event).await.map_err(|_| io::Error::other("shut down"))?;
        }
        Ok(())
    }

    /// The answer to a message of another version than was agreed on.
    fn refuse_version(&self, received: u8, expected: Version, head: Vec<u8>) -> Vec<u8> {
        log::warn!(
            target: "vconn",
            "{}: received OpenFlow version 0x{received:02x} != expected {:02x}",
            self.name,
            expected.byte()
        );
        let xid = ofp::message_xid(&head).unwrap_or(0);
        let version = Version::from_byte(received).unwrap_or(expected);
        Message::Error { error: OfError::OfpbrcBadVersion, payload: head }.to_bytes(&encoder(version, xid))
    }

    /// Logs a message, and shows it to whoever snoops.
    fn note(&self, what: &str, bytes: &[u8]) {
        for message in ofp::split_messages(bytes) {
            log_message(&self.name, what, message);
        }
        if let Some(snoop) = &self.setup.snoop {
            // Nobody may be watching.
            let _ = snoop.send(bytes.into());
        }
    }
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
        let text = format!("received too-short ofp_header ({length} bytes)");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok((input.len() >= length).then_some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_where_their_length_says() {
        let input = [1, 2, 0, 8, 0, 0, 0, 1, 1, 2, 0, 9, 0, 0, 0, 2];
        assert_eq!(message_len(&input).unwrap(), Some(8));
        assert_eq!(message_len(&input[8..]).unwrap(), None);
        assert!(message_len(&[1, 0, 0, 7, 0, 0, 0, 0]).is_err());
    }
}
