//! One connection: the handshake, then messages both ways until it ends.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use base::Clock;
use fields::Protocols;
use ofp::{Context, Decoded, Encoder, Message, OfError, Version, message_len};
use rpc::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::learning::{LearningSwitch, Outgoing};
use crate::options::Options;

const HEADER: usize = 8;
/// How long the peer's hello may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a switch may be silent before it is asked whether it lives, and again before it is given up.
const PROBE: Duration = Duration::from_secs(60);

/// Serves a switch until the connection ends.
pub(crate) async fn serve(stream: Stream, options: Rc<Options>) {
    let name = stream.name().to_owned();
    log::info!(target: base::bounded!("rconn"), "{name}: connected");
    let mut connection = Connection { stream, input: Vec::new(), xid: 1 };
    match connection.run(options).await {
        Ok(()) => log::info!(target: base::bounded!("rconn"), "{name}: connection closed by peer"),
        Err(e) => {
            let reason = rpc::error_text(&e);
            log::warn!(target: base::bounded!("rconn"), "{name}: connection dropped ({reason})");
        }
    }
}

struct Connection {
    stream: Stream,
    /// Bytes that are no whole message yet.
    input: Vec<u8>,
    xid: u32,
}

impl Connection {
    async fn run(&mut self, options: Rc<Options>) -> io::Result<()> {
        let clock = Clock::new();
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no hello in time");
        let version =
            tokio::time::timeout(HANDSHAKE, self.shake_hands(options.versions)).await.map_err(late)??;
        let is_mute = options.is_mute;
        let (mut switch, greeting) = LearningSwitch::new(options, version);
        self.send(greeting).await?;
        let context = Context {
            protocol: Protocols::initial(version.byte()),
            n_tables: 255,
            flow_age: false,
            loose: true,
        };
        let mut probed = false;
        loop {
            while let Some(bytes) = self.take()? {
                match ofp::decode(&bytes, &context) {
                    _ if is_mute => {}
                    Ok(Decoded { message: Message::EchoRequest(payload), xid, .. }) => {
                        let encoder = Encoder { xid, ..Encoder::new(context.protocol, xid) };
                        self.stream.write_all(&Message::EchoReply(payload).to_bytes(&encoder)).await?;
                    }
                    Ok(decoded) => {
                        let answers = switch.receive(decoded.message, clock.now());
                        self.send(answers).await?;
                    }
                    Err(error) => {
                        log::warn!(target: base::bounded!("learning_switch"), "{}: {error}", self.stream.name());
                    }
                }
            }
            match tokio::time::timeout(PROBE, self.stream.read_buf(&mut self.input)).await {
                Ok(Ok(0)) => return Ok(()),
                Ok(Ok(_)) => probed = false,
                Ok(Err(e)) => return Err(e),
                Err(_) if probed => {
                    let text = format!(
                        "no response to inactivity probe after {} seconds, disconnecting",
                        PROBE.as_secs()
                    );
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                Err(_) => {
                    probed = true;
                    self.send(vec![(context.protocol, Message::EchoRequest(Vec::new()))]).await?;
                }
            }
        }
    }

    /// Says hello, and settles on the greatest version that both sides know.
    async fn shake_hands(&mut self, versions: u32) -> io::Result<Version> {
        let highest = Version::greatest_common(versions, versions).unwrap_or(Version::Of10);
        let encoder = Encoder::new(Protocols::initial(highest.byte()), self.next_xid());
        self.stream.write_all(&Message::Hello { versions }.to_bytes(&encoder)).await?;
        loop {
            if let Some(bytes) = self.take()? {
                let decoded = ofp::decode(&bytes, &Context::default());
                let Ok(Decoded { message: Message::Hello { versions: theirs }, .. }) = decoded else {
                    return Err(io::Error::other("the first message is not a hello"));
                };
                if let Some(version) = Version::greatest_common(versions, theirs) {
                    return Ok(version);
                }
                let (ours, theirs) = (ofp::versions_to_text(versions), ofp::versions_to_text(theirs));
                log::warn!(
                    target: base::bounded!("vconn"),
                    "{}: version negotiation failed (we support {ours}, peer supports {theirs})",
                    self.stream.name()
                );
                let text = format!("We support {ours}, you support {theirs}, no common versions.");
                let error = Message::Error { error: OfError::OfphfcIncompatible, payload: text.into() };
                self.stream.write_all(&error.to_bytes(&encoder)).await?;
                return Err(io::Error::other("no common OpenFlow version"));
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before hello"));
            }
        }
    }

    fn next_xid(&mut self) -> u32 {
        self.xid = self.xid.wrapping_add(1);
        self.xid
    }

    /// Takes the first whole message off the input.
    fn take(&mut self) -> io::Result<Option<Vec<u8>>> {
        match message_len(&self.input) {
            Some(length) if length < HEADER => {
                Err(io::Error::other(format!("received too-short ofp_header ({length} bytes)")))
            }
            Some(length) if self.input.len() >= length => Ok(Some(self.input.drain(..length).collect())),
            _ => Ok(None),
        }
    }

    async fn send(&mut self, messages: Outgoing) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (protocol, message) in messages {
            let xid = self.next_xid();
            // What cannot be sent is counted and logged; the connection goes on.
            let _ = message.encode(&Encoder::new(protocol, xid), &mut bytes);
        }
        self.stream.write_all(&bytes).await
    }
}
