//! The answering side of a control socket: connections, one request of each at a time.

use crate::connection::Connection;
use crate::dirs;
use crate::message::Message;
use crate::stream::{Listener, Tls};
use base::getopt::{Opt, Order, Parser, Takes};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a program that ends waits for peers to read their answers.
const FLUSH: Duration = Duration::from_secs(1);

/// The listening control socket; dropping it removes its file.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    listener: Option<Listener>,
    connections: BTreeMap<u64, Peer>,
    next_id: u64,
    /// Whose command was returned last.
    last_served: u64,
    replies: mpsc::UnboundedReceiver<Answer>,
    reply_sender: mpsc::UnboundedSender<Answer>,
}

#[derive(Debug)]
struct Peer {
    connection: Connection,
    /// The request that is not answered yet.
    pending: Option<Value>,
    format: Format,
    broken: bool,
}

#[derive(Debug)]
struct Answer {
    peer: u64,
    result: Result<Reply, String>,
}

/// How a peer wants its answers (`ovs-appctl --format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    /// As JSON; text is wrapped in an object.
    Json,
}

/// What a command says when it succeeded.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Text(String),
    /// For peers that asked for [`Format::Json`].
    Json(Value),
}

/// A command that waits to be run.
#[derive(Debug)]
pub struct Request {
    pub command: String,
    /// The words after the command's name.
    pub arguments: Vec<String>,
    /// How the peer wants the answer.
    pub format: Format,
    pub responder: Responder,
}

/// The text with a newline at its end, which older clients do not add themselves.
fn whole_line(text: String) -> String {
    if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
}

/// The right, and the duty, to answer one request. It may be kept, and sent to another thread.
#[derive(Debug)]
pub struct Responder {
    peer: u64,
    sender: mpsc::UnboundedSender<Answer>,
    answered: bool,
}

impl Responder {
    /// Answers with text: what the command prints, or why it failed.
    pub fn reply(self, result: Result<String, String>) {
        self.reply_formatted(result.map(Reply::Text));
    }

    /// Answers in the [`Format`] that the request asked for.
    pub fn reply_formatted(mut self, result: Result<Reply, String>) {
        self.answer(result);
    }

    fn answer(&mut self, result: Result<Reply, String>) {
        self.answered = true;
        // A server that is gone has no peers to answer.
        let _ = self.sender.send(Answer { peer: self.peer, result });
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.answered {
            self.answer(Err("the command was given up".to_owned()));
        }
    }
}

/// Why a program cannot listen for commands at `path`, as it says when it starts.
pub fn not_listening(path: Option<&str>, error: &io::Error) -> String {
    let socket = dirs::absolute(&dirs::rundir(), path.unwrap_or("x.ctl"));
    let hint = crate::hint::missing_directory(&socket) + &crate::hint::not_permitted(error);
    // Only a path that was asked for is known here by its whole name.
    let named = path.map(|_| format!("{}: ", socket.display())).unwrap_or_default();
    format!("{named}could not initialize control socket ({}){hint}", crate::error_text(error))
}

impl Server {
    /// Listens at `path`, by default `RUNDIR/PROGRAM.PID.ctl`; "none" listens nowhere. Needs a runtime.
    pub async fn new(path: Option<&str>, program: &str) -> io::Result<Server> {
        let rundir = dirs::rundir();
        let default = format!("{program}.{}.ctl", std::process::id());
        let absolute = dirs::absolute(&rundir, path.unwrap_or(&default));
        let listener = if path == Some("none") {
            None
        } else {
            let name = format!("punix:{}", absolute.display());
            Some(Listener::bind(&name, 0, &Tls::default()).await?)
        };
        let (reply_sender, replies) = mpsc::unbounded_channel();
        Ok(Server {
            path: absolute,
            listener,
            connections: BTreeMap::new(),
            next_id: 1,
            last_served: 0,
            replies,
            reply_sender,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next command that somebody wants to be run. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Request {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Writes out the answers given so far, for a program that is about to end. It does not wait long for peers that do
    /// not read theirs.
    pub async fn flush(&mut self) {
        self.take_answers(None);
        let connections = &mut self.connections;
        let flushed = std::future::poll_fn(|cx| {
            // A peer that went away does not need its answer.
            let is_done = |peer: &mut Peer| peer.connection.poll_flush(cx).is_ready();
            let waiting = connections.values_mut().map(is_done).filter(|done| !done).count();
            if waiting == 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        // The program ends, whether or not it took so long.
        let _ = tokio::time::timeout(FLUSH, flushed).await;
    }

    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Request> {
        self.accept(cx);
        loop {
            self.take_answers(Some(cx));
            let Some((id, command, arguments)) = self.poll_peers(cx) else {
                return Poll::Pending;
            };
            let Some(peer) = self.connections.get_mut(&id) else { continue };
            if command == "set-options" {
                let result = set_options(peer, arguments).map(Reply::Text);
                // The receiver is ours and alive.
                let _ = self.reply_sender.send(Answer { peer: id, result });
                continue;
            }
            let responder = Responder { peer: id, sender: self.reply_sender.clone(), answered: false };
            return Poll::Ready(Request { command, arguments, format: peer.format, responder });
        }
    }

    fn accept(&mut self, cx: &mut Context<'_>) {
        while let Some(listener) = &self.listener {
            let Poll::Ready(accepted) = listener.poll_accept(cx) else { return };
            let incoming = match accepted {
                Ok(incoming) => incoming,
                Err(e) => {
                    log::warn!(target: base::bounded!("unixctl"), "{}: accept: {}", self.path.display(), crate::error_text(&e));
                    return;
                }
            };
            // A unix stream is complete as it is accepted.
            let mut finish = Box::pin(incoming.finish());
            if let Poll::Ready(Ok(stream)) = finish.as_mut().poll(cx) {
                let connection = Connection::new(stream);
                let peer = Peer { connection, pending: None, format: Format::Text, broken: false };
                self.connections.insert(self.next_id, peer);
                self.next_id += 1;
            }
        }
    }

    fn take_answers(&mut self, mut cx: Option<&mut Context<'_>>) {
        loop {
            let answer = match &mut cx {
                Some(cx) => match self.replies.poll_recv(cx) {
                    Poll::Ready(Some(answer)) => answer,
                    _ => return,
                },
                None => match self.replies.try_recv() {
                    Ok(answer) => answer,
                    Err(_) => return,
                },
            };
            if let Some(peer) = self.connections.get_mut(&answer.peer) {
                peer.answer(answer.result);
            }
        }
    }

    /// Moves bytes; the first whole command is returned. Peers have their turns one after the other.
    fn poll_peers(&mut self, cx: &mut Context<'_>) -> Option<(u64, String, Vec<String>)> {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        let (before, after) = ids.split_at(ids.partition_point(|id| *id <= self.last_served));
        let mut found = None;
        for &id in after.iter().chain(before) {
            if let Some((command, arguments)) = self.connections.get_mut(&id).and_then(|peer| peer.poll(cx)) {
                self.last_served = id;
                found = Some((id, command, arguments));
                break;
            }
        }
        self.connections.retain(|_, peer| !peer.broken);
        found
    }
}

impl Peer {
    /// The next command. Nothing is read while answers wait: a peer that does not take them has to wait, too.
    fn poll(&mut self, cx: &mut Context<'_>) -> Option<(String, Vec<String>)> {
        loop {
            match self.connection.poll_flush(cx) {
                Poll::Pending => return None,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.broken = true;
                    return None;
                }
            }
            if self.pending.is_some() {
                return None;
            }
            let Poll::Ready(received) = self.connection.poll_receive(cx) else { return None };
            match received {
                Ok(Message::Request { method, params, id }) => {
                    self.pending = Some(id);
                    let words: Option<Vec<String>> =
                        params.iter().map(|p| p.as_str().map(str::to_owned)).collect();
                    if let Some(words) = words {
                        return Some((method, words));
                    }
                    self.answer(Err(format!("\"{method}\" command has non-string argument")));
                }
                Ok(other) => {
                    log::warn!(target: base::bounded!("unixctl"),
                        "{}: received unexpected {} message", self.connection.name(), other.kind());
                    self.broken = true;
                    return None;
                }
                Err(_) => {
                    self.broken = true;
                    return None;
                }
            }
        }
    }

    fn answer(&mut self, result: Result<Reply, String>) {
        let Some(id) = self.pending.take() else { return };
        let message = match (result, self.format) {
            (Err(error), Format::Json) => Message::Error { error: error.into(), id },
            (Err(error), Format::Text) => Message::Error { error: whole_line(error).into(), id },
            (Ok(Reply::Json(result)), _) => Message::Reply { result, id },
            (Ok(Reply::Text(text)), Format::Json) => {
                Message::Reply { result: json!({"reply": text, "reply-format": "plain"}), id }
            }
            (Ok(Reply::Text(text)), Format::Text) => Message::Reply { result: whole_line(text).into(), id },
        };
        self.connection.send(&message);
    }
}

fn set_options(peer: &mut Peer, arguments: Vec<String>) -> Result<String, String> {
    const OPTIONS: &[Opt<()>] = &[Opt::long("format", Takes::Argument, ())];
    if arguments.is_empty() {
        return Err("\"set-options\" command requires at least 1 arguments".to_owned());
    }
    let mut parser = Parser::new("", OPTIONS, Order::Permute, arguments);
    while let Some(item) = parser.next() {
        let format = item.map_err(|e| e.to_string())?.argument.unwrap_or_default();
        peer.format = match format.to_ascii_lowercase().as_str() {
            "json" => Format::Json,
            "text" => Format::Text,
            _ => return Err(format!("option format has invalid value {format}")),
        };
    }
    Ok(String::new())
}
