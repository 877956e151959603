//! JSON-RPC messages over one [`Stream`]: a bounded queue out, framed values in.

use crate::framing::Scanner;
use crate::message::Message;
use crate::stream::Stream;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One message may have this many bytes unless the owner says otherwise.
const DEFAULT_MAX_MESSAGE: usize = 1 << 30;
/// The queue's bounds are looked at from this many messages on.
const BACKLOG_CHECK_MESSAGES: usize = 50;

/// What waits to be written: one message's own bytes, or bytes shared with other connections.
#[derive(Clone, Debug)]
pub enum Chunk {
    Own(Vec<u8>),
    Shared(Arc<Vec<u8>>),
    /// The beginning of a message, which the next chunk goes on with.
    Part(Arc<Vec<u8>>),
}

impl Chunk {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Own(bytes) => bytes,
            Chunk::Shared(bytes) | Chunk::Part(bytes) => bytes,
        }
    }

    fn ends_message(&self) -> bool {
        !matches!(self, Chunk::Part(_))
    }
}

/// How much may wait to be written before the peer is given up; 0 is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    pub messages: usize,
    pub bytes: usize,
}

/// A JSON-RPC connection. Any error is final.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    scanner: Scanner,
    output: VecDeque<Chunk>,
    /// How many messages end in `output`.
    messages: usize,
    /// Bytes of the first chunk that are written already.
    written: usize,
    backlog: usize,
    limit: Backlog,
    overrun: bool,
    /// Whether refusals of what is no request are among what waits to be written.
    has_refused: bool,
    received_bytes: u64,
    sent_bytes: u64,
}

impl Connection {
    pub fn new(stream: Stream) -> Connection {
        Connection {
            stream,
            scanner: Scanner::new(DEFAULT_MAX_MESSAGE),
            output: VecDeque::new(),
            messages: 0,
            written: 0,
            backlog: 0,
            limit: Backlog::default(),
            overrun: false,
            has_refused: false,
            received_bytes: 0,
            sent_bytes: 0,
        }
    }

    pub fn name(&self) -> &str {
        self.stream.name()
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Longer messages end the connection.
    pub fn set_max_message(&mut self, bytes: usize) {
        self.scanner.set_max_size(bytes);
    }

    pub fn set_backlog_limit(&mut self, limit: Backlog) {
        self.limit = limit;
    }

    /// Bytes that wait to be written.
    pub fn backlog(&self) -> usize {
        self.backlog
    }

    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Bytes that were queued and then written: the sign that the peer reads.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// Queues a message. A queue beyond its bound makes the next poll fail.
    pub fn send(&mut self, message: &Message) {
        log::debug!(target: "jsonrpc", "{}: send {message}", self.name());
        self.send_encoded(Chunk::Own(message.encode()));
    }

    /// Queues the bytes of one message.
    pub fn send_encoded(&mut self, chunk: Chunk) {
        if self.overrun {
            return;
        }
        self.backlog += chunk.bytes().len();
        let ends_message = chunk.ends_message();
        self.output.push_back(chunk);
        if ends_message {
            self.messages += 1;
            if self.messages >= BACKLOG_CHECK_MESSAGES {
                self.check_backlog(self.messages);
            }
        }
    }

    fn check_backlog(&mut self, messages: usize) {
        let name = self.stream.name();
        log::info!(target: base::bounded!("jsonrpc"),
            "excessive sending backlog, jsonrpc: {name}, num of msgs: {messages}, backlog: {}.", self.backlog);
        if self.limit.messages > 0 && messages > self.limit.messages {
            log::warn!(target: base::bounded!("jsonrpc"),
                "sending backlog exceeded maximum number of messages ({messages} > {}), disconnecting, jsonrpc: {name}.",
                self.limit.messages);
            self.overrun = true;
        } else if self.limit.bytes > 0 && self.backlog > self.limit.bytes {
            log::warn!(target: base::bounded!("jsonrpc"),
                "sending backlog exceeded maximum size ({} > {} bytes), disconnecting, jsonrpc: {name}.",
                self.backlog, self.limit.bytes);
            self.overrun = true;
        }
    }

    /// Writes what is queued; ready when nothing is left.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.overrun {
            return Poll::Ready(Err(io::Error::from_raw_os_error(libc::E2BIG)));
        }
        while !self.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); 16];
            let mut used = 0;
            for (i, chunk) in self.output.iter().take(slices.len()).enumerate() {
                let skip = if i == 0 { self.written } else { 0 };
                if let (Some(slot), Some(rest)) = (slices.get_mut(i), chunk.bytes().get(skip..)) {
                    *slot = IoSlice::new(rest);
                    used = i + 1;
                }
            }
            let slices = slices.get(..used).unwrap_or_default();
            let n = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.wrote(n);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn wrote(&mut self, n: usize) {
        self.backlog -= n;
        self.sent_bytes += n as u64;
        self.written += n;
        while let Some(first) = self.output.front() {
            let length = first.bytes().len();
            if self.written < length {
                break;
            }
            self.written -= length;
            self.messages -= usize::from(first.ends_message());
            self.output.pop_front();
        }
    }

    /// The next message; end of input is [`io::ErrorKind::UnexpectedEof`]. Writes only what it refuses itself.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Message>> {
        loop {
            // A peer that does not take what it is refused is not read from: refusals would pile up.
            if self.has_refused {
                ready!(self.poll_flush(cx))?;
                self.has_refused = false;
            }
            if let Some(message) = self.buffered()? {
                return Poll::Ready(Ok(message));
            }
            if self.has_refused {
                continue;
            }
            let mut space = [const { std::mem::MaybeUninit::uninit() }; 16384];
            let mut buffer = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let bytes = buffer.filled();
            if bytes.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.received_bytes += bytes.len() as u64;
            self.scanner.push(bytes);
        }
    }

    /// The next message among the bytes that were read already. A request that is no text is answered here.
    fn buffered(&mut self) -> io::Result<Option<Message>> {
        loop {
            let name = self.stream.name();
            let (refusal, error) = match self.scanner.next_value() {
                Ok(None) => return Ok(None),
                Ok(Some(bytes)) => match Message::decode(bytes) {
                    Ok(message) => {
                        log::debug!(target: "jsonrpc", "{name}: received {message}");
                        return Ok(Some(message));
                    }
                    Err(e) => (Message::refusal_of_bytes(bytes, &e), e),
                },
                Err(e) => {
                    log::warn!(target: base::bounded!("jsonrpc"), "{name}: error parsing stream: {e}");
                    return Err(io::Error::from_raw_os_error(libc::EPROTO));
                }
            };
            log::warn!(target: base::bounded!("jsonrpc"), "{name}: received bad JSON-RPC message: {error}");
            match refusal {
                Some(refusal) => {
                    self.has_refused = true;
                    self.send(&refusal);
                }
                None => return Err(io::Error::from_raw_os_error(libc::EPROTO)),
            }
        }
    }

    /// Writes what is queued and waits for a message. Dropping the future loses nothing.
    pub async fn receive(&mut self) -> io::Result<Message> {
        poll_fn(|cx| {
            if let Poll::Ready(Err(e)) = self.poll_flush(cx) {
                return Poll::Ready(Err(e));
            }
            self.poll_receive(cx)
        })
        .await
    }

    /// Waits until all that is queued is written.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Sends a request and waits for its reply; other messages are dropped, but echo requests answered.
    pub async fn transact(&mut self, request: &Message) -> io::Result<Message> {
        self.send(request);
        let Message::Request { id: expected, .. } = request else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        loop {
            let message = self.receive().await?;
            match &message {
                Message::Reply { id, .. } | Message::Error { id, .. } if id == expected => {
                    return Ok(message);
                }
                Message::Request { method, params, id } if method == "echo" => {
                    let reply = Message::Reply { result: params.clone().into(), id: id.clone() };
                    self.send(&reply);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Tls;
    use std::io::Write;

    #[test]
    fn refusals_do_not_pile_up_for_a_peer_that_does_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::UnixListener::bind(&path).unwrap();
            let stream =
                Stream::connect(&format!("unix:{}", path.display()), 0, &Tls::default()).await.unwrap();
            let mut peer = listener.accept().await.unwrap().0.into_std().unwrap();
            let mut connection = Connection::new(stream);
            let bad = b"{\"method\":\"x\",\"params\":[\"\xff\"],\"id\":7}".repeat(1000);
            // It sends as long as it is read from.
            let (mut sent, mut refused) = (0, 0);
            while sent < 16 << 20 && refused < 1000 {
                poll_fn(|cx| {
                    assert!(!matches!(connection.poll_flush(cx), Poll::Ready(Err(_))));
                    assert!(connection.poll_receive(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
                match peer.write(&bad[sent % bad.len()..]) {
                    Ok(count) => (sent, refused) = (sent + count, 0),
                    Err(_) => refused += 1,
                }
                tokio::task::yield_now().await;
            }
            assert!(connection.backlog() < 4 << 20, "{} bytes", connection.backlog());
        });
    }
}
