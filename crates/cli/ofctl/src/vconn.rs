//! A blocking OpenFlow connection to a switch.
//!
//! Enters: a bridge's name or a connection's. Leaves: requests, and the
//! replies to them, as bytes. The version is agreed on by hello messages.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use fields::Protocols;
use ofp::{Context as Decoding, Encoder, Message, Names, Version, decode, message_to_text, message_xid};

use rpc::Tls;

use crate::{Context, Done, Fatal, fatal};

trait Channel: Read + Write + Send {
    /// Another handle of the same connection.
    fn share(&self) -> io::Result<Box<dyn Channel>>;
}

impl Channel for UnixStream {
    fn share(&self) -> io::Result<Box<dyn Channel>> {
        Ok(Box::new(self.try_clone()?))
    }
}

impl Channel for TcpStream {
    fn share(&self) -> io::Result<Box<dyn Channel>> {
        Ok(Box::new(self.try_clone()?))
    }
}

/// A connection on which the version is settled.
pub(crate) struct Vconn {
    channel: Box<dyn Channel>,
    /// As shown in messages.
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) protocol: Protocols,
    /// What was received and not yet returned.
    backlog: Vec<u8>,
}

thread_local! {
    /// The last xid used; each request of the program has its own.
    static XID: Cell<u32> = const { Cell::new(0) };
}

pub(crate) fn next_xid() -> u32 {
    XID.with(|xid| {
        xid.set(xid.get() + 1);
        xid.get()
    })
}

fn open_channel(name: &str, tls: &Tls) -> io::Result<Box<dyn Channel>> {
    let unsupported = || io::Error::from_raw_os_error(97);
    let (kind, rest) = name.split_once(':').ok_or_else(unsupported)?;
    match kind {
        "unix" => {
            let path = rpc::dirs::absolute(&rpc::dirs::rundir(), rest);
            Ok(Box::new(UnixStream::connect(path)?))
        }
        "tcp" => {
            let (host, port) = split_host(rest);
            Ok(Box::new(TcpStream::connect((host, port))?))
        }
        "ssl" => Ok(Box::new(rpc::stream::connect_blocking(name, rpc::OPENFLOW_PORT, tls)?)),
        _ => Err(unsupported()),
    }
}

/// Host and port of `HOST[:PORT]`; an IPv6 address is in brackets.
fn split_host(text: &str) -> (&str, u16) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        return (host, rest.trim_start_matches(':').parse().unwrap_or(rpc::OPENFLOW_PORT));
    }
    match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().unwrap_or(rpc::OPENFLOW_PORT)),
        None => (text, rpc::OPENFLOW_PORT),
    }
}

/// The name of a bridge without its `type@`.
fn bridge_of(name: &str) -> &str {
    name.split_once('@').map_or(name, |(_, bridge)| bridge)
}

impl Vconn {
    pub(crate) fn open(cx: &Context, target: &str) -> Result<Vconn, Fatal> {
        Vconn::open_suffix(cx, target, "mgmt")
    }

    /// To the socket that repeats what others say, or whatever `target` names.
    pub(crate) fn open_suffix(cx: &Context, target: &str, suffix: &str) -> Result<Vconn, Fatal> {
        cx.options.run_time.waits_for(format!("a connection to {target}"));
        let vconn = Vconn::open_versions(cx, target, suffix, cx.options.versions)?;
        cx.options.run_time.waits_for(format!("{target} to answer \"{}\"", cx.arg(0)));
        Ok(vconn)
    }

    /// With one of these versions.
    pub(crate) fn open_versions(
        cx: &Context,
        target: &str,
        suffix: &str,
        versions: u32,
    ) -> Result<Vconn, Fatal> {
        let (channel, name) = connect(target, suffix, &cx.options.tls)?;
        let mut vconn = Vconn {
            channel,
            name,
            version: Version::Of10,
            protocol: Protocols::OF10_STD,
            backlog: Vec::new(),
        };
        if let Err(error) = vconn.agree(versions, suffix == "snoop") {
            return fatal!("{target}: failed to connect to socket ({})", rpc::error_text(&error));
        }
        vconn.protocol = Protocols::initial(vconn.version.byte());
        Ok(vconn)
    }

    fn agree(&mut self, ours: u32, any: bool) -> io::Result<()> {
        let highest = Version::greatest_common(ours, ours).unwrap_or(Version::Of10);
        let encoder = Encoder::new(Protocols::initial(highest.byte()), next_xid());
        self.send_bytes(&Message::Hello { versions: ours }.to_bytes(&encoder))?;
        let hello = self.receive()?;
        let Ok(decoded) = decode(&hello, &Decoding::default()) else {
            return Err(io::Error::from_raw_os_error(71));
        };
        let Message::Hello { versions: theirs } = decoded.message else {
            return Err(io::Error::from_raw_os_error(71));
        };
        if any {
            self.version = decoded.version;
            return Ok(());
        }
        match Version::greatest_common(ours, theirs) {
            Some(version) => {
                self.version = version;
                log::debug!(
                    target: "vconn",
                    "{}: negotiated OpenFlow version 0x{:02x} (we support {}, peer supports {})",
                    self.name,
                    version.byte(),
                    ofp::versions_to_text(ours),
                    ofp::versions_to_text(theirs)
                );
                Ok(())
            }
            None => {
                log::warn!(
                    target: "vconn",
                    "{}: version negotiation failed (we support {}, peer supports {})",
                    self.name,
                    ofp::versions_to_text(ours),
                    ofp::versions_to_text(theirs)
                );
                let payload = format!(
                    "We support {}, you support {}, no common versions.",
                    ofp::versions_to_text(ours),
                    ofp::versions_to_text(theirs)
                );
                let error =
                    Message::Error { error: ofp::OfError::OfphfcIncompatible, payload: payload.into_bytes() };
                let bytes = error.to_bytes(&Encoder::new(Protocols::initial(highest.byte()), decoded.xid));
                let _ = self.send_bytes(&bytes);
                Err(io::Error::from_raw_os_error(71))
            }
        }
    }

    /// The receiving half; this one is for sending only from now on.
    pub(crate) fn split_receiver(&mut self) -> io::Result<Vconn> {
        Ok(Vconn {
            channel: self.channel.share()?,
            name: self.name.clone(),
            version: self.version,
            protocol: self.protocol,
            backlog: std::mem::take(&mut self.backlog),
        })
    }

    pub(crate) fn encoder(&self) -> Encoder {
        Encoder::new(self.protocol, next_xid())
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        for message in ofp::split_messages(bytes) {
            self.log("sent (Success)", message);
        }
        self.channel.write_all(bytes)?;
        self.channel.flush()
    }

    fn log(&self, what: &str, message: &[u8]) {
        log::debug!(target: "vconn", "{}: {what}: {}", self.name, message_to_text(message, Names::default(), 1));
    }

    /// The next message, whole.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(len) = ofp::message_len(&self.backlog) {
                if len < 8 {
                    return Err(io::Error::from_raw_os_error(71));
                }
                if self.backlog.len() >= len {
                    let rest = self.backlog.split_off(len);
                    let message = std::mem::replace(&mut self.backlog, rest);
                    self.log("received", &message);
                    return Ok(message);
                }
            }
            let mut buffer = [0; 65536];
            let n = self.channel.read(&mut buffer)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.backlog.extend_from_slice(&buffer[..n]);
        }
    }

    fn talking<T>(&self, result: io::Result<T>) -> Result<T, Fatal> {
        result.map_err(|error| Fatal::Said(format!("talking to {} ({})", self.name, rpc::error_text(&error))))
    }

    /// The message as bytes, or why it cannot be sent.
    fn encode(&self, message: &Message) -> Result<Vec<u8>, Fatal> {
        let mut bytes = Vec::new();
        match message.encode(&self.encoder(), &mut bytes) {
            Ok(()) => Ok(bytes),
            Err(unsendable) => fatal!("{unsendable}"),
        }
    }

    /// Sends and waits for the reply with the same xid, answering echoes meanwhile.
    pub(crate) fn transact(&mut self, message: &Message) -> Result<Vec<u8>, Fatal> {
        let bytes = self.encode(message)?;
        let sent = self.send_bytes(&bytes);
        self.talking(sent)?;
        let xid = message_xid(&bytes);
        self.receive_xid(xid)
    }

    pub(crate) fn receive_xid(&mut self, xid: Option<u32>) -> Result<Vec<u8>, Fatal> {
        loop {
            let received = self.receive();
            let reply = self.talking(received)?;
            if message_xid(&reply) == xid {
                return Ok(reply);
            }
        }
    }

    /// Sends what has no reply unless it fails, and a barrier; the first error, if any, is returned.
    pub(crate) fn transact_noreply(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Fatal> {
        let mut all = bytes.to_vec();
        let xids: Vec<Option<u32>> = ofp::split_messages(bytes).map(message_xid).collect();
        let barrier = Message::BarrierRequest.to_bytes(&self.encoder());
        let barrier_xid = message_xid(&barrier);
        all.extend_from_slice(&barrier);
        let sent = self.send_bytes(&all);
        self.talking(sent)?;
        let mut error = None;
        loop {
            let received = self.receive();
            let reply = self.talking(received)?;
            let xid = message_xid(&reply);
            if xid == barrier_xid {
                return Ok(error);
            }
            if error.is_none() && xids.contains(&xid) {
                error = Some(reply);
            }
        }
    }

    /// As [`Vconn::transact_noreply`]; an error is shown and ends the program.
    pub(crate) fn must(&mut self, cx: &Context, message: &Message) -> Done {
        let bytes = self.encode(message)?;
        self.must_bytes(cx, &bytes)
    }

    pub(crate) fn must_bytes(&mut self, cx: &Context, bytes: &[u8]) -> Done {
        match self.transact_noreply(bytes)? {
            None => Ok(()),
            Some(error) => {
                eprint!("{}", message_to_text(&error, Names::default(), cx.options.verbosity + 2));
                Err(Fatal::Silent)
            }
        }
    }

    /// Sends a request and shows all parts of the reply.
    pub(crate) fn dump(&mut self, cx: &Context, message: &Message, names: Names<'_>) -> Done {
        self.each_reply(message, |reply| show!("{}", message_to_text(reply, names, cx.options.verbosity + 1)))
    }

    /// Sends a request and hands all parts of the reply on.
    pub(crate) fn each_reply(&mut self, message: &Message, mut each: impl FnMut(&[u8])) -> Done {
        let bytes = self.encode(message)?;
        if self.send_bytes(&bytes).is_err() {
            return fatal!("failed to send packet to switch");
        }
        let xid = message_xid(&bytes);
        loop {
            let reply = match self.receive() {
                Ok(reply) => reply,
                Err(error) => return fatal!("OpenFlow packet receive failed ({})", rpc::error_text(&error)),
            };
            if message_xid(&reply) != xid {
                continue;
            }
            each(&reply);
            if !decode(&reply, &self.decoding()).is_ok_and(|decoded| decoded.more) {
                return Ok(());
            }
        }
    }

    pub(crate) fn decoding(&self) -> Decoding {
        Decoding { protocol: self.protocol.set_tid(true), ..Decoding::default() }
    }

    /// Moves the connection to the protocol `want`, where the switch lets it.
    pub(crate) fn try_protocol(&mut self, want: Protocols) -> Result<bool, Fatal> {
        while self.protocol != want {
            if Version::of(self.protocol) != Version::of(want) {
                return Ok(false);
            }
            let (request, next) = if self.protocol.base() != want.base() {
                let next = self.protocol.set_base(want.base());
                (Message::SetFlowFormat { nxm: want.is_nxm10() }, next)
            } else {
                let on = want.intersects(Protocols::OF10_STD_TID | Protocols::OF10_NXM_TID);
                (Message::FlowModTableId(on), want)
            };
            let bytes = request.to_bytes(&self.encoder());
            if self.transact_noreply(&bytes)?.is_some() {
                return Ok(false);
            }
            self.protocol = next;
        }
        Ok(true)
    }
}

fn connect(target: &str, suffix: &str, tls: &Tls) -> Result<(Box<dyn Channel>, String), Fatal> {
    if target.contains(':') {
        return match open_channel(target, tls) {
            Ok(channel) => Ok((channel, target.to_owned())),
            Err(error) => {
                fatal!("connecting to {target} ({}){}", rpc::error_text(&error), hint_about(target, &error))
            }
        };
    }
    let rundir = rpc::dirs::rundir();
    let sockets = [
        rpc::dirs::absolute(&rundir, target),
        rundir.join(format!("{target}.{suffix}")),
        rundir.join(format!("{}.{suffix}", bridge_of(target))),
    ];
    for path in sockets {
        match UnixStream::connect(&path) {
            Ok(stream) => return Ok((Box::new(stream), format!("unix:{}", shown(&path)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let hint = rpc::hint::not_permitted(&error) + &rpc::hint::not_running("ovs-vswitchd");
                let (path, error) = (shown(&path), rpc::error_text(&error));
                return fatal!("{path}: failed to open socket ({error}){hint}");
            }
        }
    }
    fatal!("{target} is not a bridge or a socket{}", hint_about_bridge(&rundir, bridge_of(target)))
}

/// What may be the matter with a connection that was named in full.
fn hint_about(target: &str, error: &io::Error) -> String {
    let is_here = target.strip_prefix("unix:").is_some_and(|path| {
        rpc::dirs::absolute(&rpc::dirs::rundir(), path).parent() == Some(&rpc::dirs::rundir())
    });
    match is_here {
        true => rpc::hint::not_permitted(error) + &rpc::hint::not_running("ovs-vswitchd"),
        false => String::new(),
    }
}

/// What may be the matter with a bridge that has no socket in the run directory.
fn hint_about_bridge(rundir: &Path, bridge: &str) -> String {
    let why = rpc::hint::not_running("ovs-vswitchd");
    if !why.is_empty() {
        return why;
    }
    let bridges: Vec<String> = std::fs::read_dir(rundir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".mgmt")?.to_owned()))
        .collect();
    // Who wrote another number meant another bridge.
    let numbers = |name: &str| name.chars().filter(char::is_ascii_digit).collect::<String>();
    let alike = bridges.iter().filter(|name| numbers(name) == numbers(bridge));
    base::hint::did_you_mean(bridge, alike.map(String::as_str))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A connection on which one of the `usable` protocols is in effect.
pub(crate) fn open_for_flow_mods(cx: &Context, target: &str, usable: Protocols) -> Result<Vconn, Fatal> {
    let allowed = cx.options.protocols;
    let both = usable & allowed;
    if both.is_empty() {
        return fatal!(
            "none of the usable flow formats ({usable}) is among the allowed flow formats ({allowed})"
        );
    }
    let mut vconn = Vconn::open(cx, target)?;
    if both.intersects(vconn.protocol) {
        return Ok(vconn);
    }
    for bit in 0..16 {
        let want = Protocols(1 << bit);
        if want != vconn.protocol && both.contains(want) && vconn.try_protocol(want)? {
            return Ok(vconn);
        }
    }
    fatal!("switch does not support any of the usable flow formats ({usable})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_parted_from_ports() {
        for (text, host, port) in [
            ("127.0.0.1", "127.0.0.1", 6653),
            ("127.0.0.1:6633", "127.0.0.1", 6633),
            ("[::1]", "::1", 6653),
            ("[fe80::1]:16653", "fe80::1", 16653),
            ("switch.example:1", "switch.example", 1),
        ] {
            assert_eq!(split_host(text), (host, port), "{text}");
        }
    }

    #[test]
    fn the_type_before_a_bridge_is_no_part_of_its_name() {
        for (name, bridge) in [("br0", "br0"), ("netdev@br0", "br0"), ("system@a@b", "a@b")] {
            assert_eq!(bridge_of(name), bridge);
        }
    }

    #[test]
    fn a_way_that_is_not_supported_has_its_error() {
        for name in ["sctp:127.0.0.1:6653", "br0"] {
            let failed = open_channel(name, &Tls::default()).err().and_then(|error| error.raw_os_error());
            // EAFNOSUPPORT, as the reference has it.
            assert_eq!(failed, Some(97), "{name}");
        }
    }

    #[test]
    fn transaction_ids_are_not_used_again() {
        let first = next_xid();
        assert_eq!([next_xid(), next_xid()], [first + 1, first + 2]);
    }
}
