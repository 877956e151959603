//! Showing what a switch sends of its own accord, in the background if asked:
//! a control socket then says what to send, where to write, and when to end.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::mpsc as std_mpsc;

use ofp::*;
use rpc::unixctl::{Registry, Responder, Server};
use tokio::sync::mpsc;

use crate::switch::{Maps, fetch_config, maps_to_accept, maps_to_show};
use crate::vconn::{Vconn, next_xid};
use crate::{Context, Done, Fatal, fatal};

const PROGRAM: &str = "ovs-ofctl";

pub(crate) fn monitor(cx: &Context) -> Done {
    let mut vconn = open(cx)?;
    let mut resumes = false;
    for (index, argument) in cx.args[2..].iter().enumerate() {
        if argument.starts_with(|c: char| c.is_ascii_digit()) {
            let Ok(len) = argument.parse() else {
                return fatal!("{argument}: miss_send_len must be a number between 0 and {}", u16::MAX);
            };
            crate::switch::set_miss_send_len(cx, &mut vconn, len)?;
        } else if argument == "invalid_ttl" {
            want_invalid_ttl(cx, &mut vconn)?;
        } else if let Some(text) = argument.strip_prefix("watch:") {
            watch(cx, &mut vconn, text, index as u32)?;
        } else if argument == "resume" {
            resumes = true;
            crate::switch::set_miss_send_len(cx, &mut vconn, u16::MAX)?;
        } else {
            return fatal!("{argument}: unsupported \"monitor\" argument");
        }
    }
    match cx.options.packet_in_format {
        Some(format) => {
            if !set_packet_in_format(&mut vconn, format)? {
                return fatal!("{}: failed to set packet in format", vconn.name);
            }
        }
        None => {
            let done = set_packet_in_format(&mut vconn, PacketInFormat::Nxt2)?;
            if !done && vconn.version == Version::Of10 {
                set_packet_in_format(&mut vconn, PacketInFormat::Nxt)?;
            }
        }
    }
    let names = maps_to_show(cx, cx.arg(1))?;
    follow(cx, vconn, names, Answers { echo: true, resume: resumes })
}

pub(crate) fn snoop(cx: &Context) -> Done {
    let vconn = Vconn::open_suffix(cx, cx.arg(1), "snoop")?;
    follow(cx, vconn, None, Answers { echo: false, resume: false })
}

/// A connection; of a version with the flag about time-to-live if that is wanted.
fn open(cx: &Context) -> Result<Vconn, Fatal> {
    const WITH_FLAG: u32 = 0b1110;
    if !cx.args[2..].iter().any(|argument| argument == "invalid_ttl") {
        return Vconn::open(cx, cx.arg(1));
    }
    let versions = cx.options.versions & WITH_FLAG;
    if versions == 0 {
        return fatal!(
            "invalid_ttl requires one of the OpenFlow versions OpenFlow10, OpenFlow11, OpenFlow12 but none is enabled (use -O)"
        );
    }
    Vconn::open_versions(cx, cx.arg(1), "mgmt", versions)
}

fn want_invalid_ttl(cx: &Context, vconn: &mut Vconn) -> Done {
    let config = fetch_config(vconn)?;
    if config.invalid_ttl_to_controller == Some(true) {
        return Ok(());
    }
    vconn.must(cx, &Message::SetConfig(SwitchConfig { invalid_ttl_to_controller: Some(true), ..config }))?;
    if fetch_config(vconn)?.invalid_ttl_to_controller == Some(true) {
        return Ok(());
    }
    fatal!("setting invalid_ttl_to_controller failed (this switch probably doesn't support this flag)")
}

fn watch(cx: &Context, vconn: &mut Vconn, text: &str, id: u32) -> Done {
    let maps = maps_to_accept(cx, cx.arg(1))?;
    let (request, usable) = parse_flow_monitor_request(text, id, maps.names())?;
    let allowed = cx.options.protocols;
    if (usable & allowed).is_empty() {
        return fatal!(
            "none of the usable flow formats ({usable}) is among the allowed flow formats ({allowed})"
        );
    }
    let message = Message::FlowMonitorRequest(vec![request]);
    if cx.options.verbosity > 0 {
        let bytes = message.to_bytes(&vconn.encoder());
        show!("{}", message_to_text(&bytes, Names::default(), cx.options.verbosity + 2));
    }
    vconn.dump(cx, &message, Names::default())
}

fn set_packet_in_format(vconn: &mut Vconn, format: PacketInFormat) -> Result<bool, Fatal> {
    let bytes = Message::SetPacketInFormat(format).to_bytes(&vconn.encoder());
    Ok(vconn.transact_noreply(&bytes)?.is_none())
}

/// What is answered without being told.
#[derive(Clone, Copy)]
struct Answers {
    echo: bool,
    resume: bool,
}

/// What the commands of the control socket work on.
struct Following {
    vconn: Vconn,
    names: Option<Maps>,
    accepted: Option<Maps>,
    /// Standard error, or the file that replaced it.
    output: File,
    verbosity: i32,
    timestamp: bool,
    barrier: Option<Responder>,
    is_blocked: bool,
    is_exiting: bool,
}

impl Following {
    fn show(&mut self, prefix: &str, message: &[u8], verbosity: i32) {
        let names = self.names.as_ref().map_or_else(Names::default, Maps::names);
        let text = message_to_text(message, names, verbosity);
        // Nobody is left to tell that nothing can be shown.
        let _ = write!(self.output, "{prefix}{text}");
        let _ = self.output.flush();
    }

    fn take(&mut self, message: &[u8], answers: Answers) -> Done {
        let stamp = if self.timestamp { wall_stamp() } else { String::new() };
        self.show(&stamp, message, self.verbosity + 2);
        let Ok(decoded) = decode(message, &self.vconn.decoding()) else { return Ok(()) };
        match decoded.message {
            Message::BarrierReply => {
                if let Some(responder) = self.barrier.take() {
                    responder.reply(Ok(String::new()));
                }
            }
            Message::EchoRequest(payload) if answers.echo => {
                let reply =
                    Message::EchoReply(payload).to_bytes(&Encoder::new(self.vconn.protocol, decoded.xid));
                if let Err(error) = self.vconn.send_bytes(&reply) {
                    return fatal!("failed to send echo reply ({})", rpc::error_text(&error));
                }
            }
            Message::PacketIn(packet) if answers.resume && packet.continuation.is_some() => {
                let reply = Message::Resume(packet).to_bytes(&Encoder::new(self.vconn.protocol, next_xid()));
                self.show("send: ", &reply, self.verbosity + 2);
                if let Err(error) = self.vconn.send_bytes(&reply) {
                    return fatal!("failed to send NXT_RESUME ({})", rpc::error_text(&error));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn send(&mut self, messages: &[String]) -> Result<String, String> {
        let mut reply = String::new();
        let mut is_ok = true;
        for text in messages {
            let outcome = message_from_hex(text).and_then(|bytes| {
                self.show("send: ", &bytes, self.verbosity);
                self.vconn.send_bytes(&bytes).map_err(|error| rpc::error_text(&error))
            });
            is_ok &= outcome.is_ok();
            reply += &outcome.map_or_else(|error| error, |()| "sent".to_owned());
            reply.push('\n');
        }
        if is_ok { Ok(reply) } else { Err(reply) }
    }

    fn packet_out(&mut self, text: &str) -> Result<String, String> {
        let names = self.accepted.as_ref().map_or_else(Names::default, Maps::names);
        let (request, usable) = parse_packet_out(text, names).map_err(|error| format!("{error}\n"))?;
        if !usable.intersects(self.vconn.protocol) {
            return Err("PACKET_OUT actions are incompatible with the OpenFlow connection.\n".to_owned());
        }
        let bytes = Message::PacketOut(Box::new(request)).to_bytes(&self.vconn.encoder());
        self.show("", &bytes, self.verbosity);
        self.vconn.send_bytes(&bytes).map_err(|error| format!("{}\n", rpc::error_text(&error)))?;
        Ok(String::new())
    }

    fn barrier(&mut self, responder: Responder) {
        if self.barrier.is_some() {
            return responder.reply(Err("already waiting for barrier reply".to_owned()));
        }
        let bytes = Message::BarrierRequest.to_bytes(&self.vconn.encoder());
        match self.vconn.send_bytes(&bytes) {
            Ok(()) => self.barrier = Some(responder),
            Err(error) => responder.reply(Err(rpc::error_text(&error))),
        }
    }

    fn block(&mut self, blocked: bool) -> Result<String, String> {
        let was = std::mem::replace(&mut self.is_blocked, blocked);
        Ok(match (was, blocked) {
            (true, true) => "already blocking".to_owned(),
            (false, false) => "already unblocked".to_owned(),
            _ => String::new(),
        })
    }
}

/// The bytes of a message that is written in hexadecimal digits.
fn message_from_hex(text: &str) -> Result<Vec<u8>, String> {
    let Some((bytes, "")) = hex_bytes(text) else { return Err("Trailing garbage in hex data".to_owned()) };
    match message_len(&bytes) {
        None => Err("Message too short for OpenFlow".to_owned()),
        Some(length) if length != bytes.len() => {
            Err(format!("Message length {length} in header does not match actual length {}", bytes.len()))
        }
        Some(_) => Ok(bytes),
    }
}

fn commands() -> Registry<Following> {
    let mut registry: Registry<Following> = Registry::new(&rpc::version_text(PROGRAM));
    registry.add_log_commands();
    registry.add("exit", "", 0, 0, |state, _| {
        state.is_exiting = true;
        Ok(String::new())
    });
    registry.add("ofctl/send", "OFMSG...", 1, usize::MAX, |state, args| state.send(args));
    let usage = "\"in_port=<port> packet=<hex data> actions=...\"";
    registry.add("ofctl/packet-out", usage, 1, 1, |state, args| state.packet_out(&args[0]));
    registry.add_deferred("ofctl/barrier", "", 0, 0, |state, _, responder| state.barrier(responder));
    registry.add("ofctl/set-output-file", "FILE", 1, 1, |state, args| {
        state.output = File::create(&args[0]).map_err(|error| rpc::error_text(&error))?;
        Ok(String::new())
    });
    registry.add("ofctl/block", "", 0, 0, |state, _| state.block(true));
    registry.add("ofctl/unblock", "", 0, 0, |state, _| state.block(false));
    registry
}

fn follow(cx: &Context, mut vconn: Vconn, names: Option<Maps>, answers: Answers) -> Done {
    let broken =
        |what: &str, error: &std::io::Error| Fatal::Said(format!("{what} ({})", rpc::error_text(error)));
    let output = std::io::stderr().as_fd().try_clone_to_owned().map_err(|e| broken("standard error", &e))?;
    let accepted = if answers.echo { maps_to_accept(cx, cx.arg(1)).ok() } else { None };
    let mut daemon = rpc::daemon::start(cx.options.daemon.clone()).map_err(|e| Fatal::Said(e.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| broken("failed to create unixctl server", &e))?;
    runtime.block_on(async {
        let mut server = Server::new(cx.options.unixctl.as_deref(), PROGRAM)
            .await
            .map_err(|e| broken("failed to create unixctl server", &e))?;
        let mut signals = daemon.signals().map_err(|e| broken("signals", &e))?;
        let receiver = vconn.split_receiver().map_err(|e| broken("vconn_recv", &e))?;
        let (mut received, more) = receive_elsewhere(receiver);
        let mut state = Following {
            vconn,
            names,
            accepted,
            output: File::from(output),
            verbosity: cx.options.verbosity,
            timestamp: cx.options.timestamp,
            barrier: None,
            is_blocked: false,
            is_exiting: false,
        };
        let commands = commands();
        daemon.complete().map_err(|e| Fatal::Said(e.to_string()))?;
        while !state.is_exiting {
            tokio::select! {
                biased;
                message = received.recv(), if !state.is_blocked => match message {
                    Some(Ok(message)) => {
                        state.take(&message, answers)?;
                        // A receiver that has ended said why, or will.
                        let _ = more.send(());
                    }
                    Some(Err(error)) => return Err(broken("vconn_recv", &error)),
                    None => return Ok(()),
                },
                request = server.next() => commands.dispatch(&mut state, request),
                signal = signals.next() => {
                    drop(server);
                    drop(daemon);
                    signal.die();
                }
            }
        }
        server.flush().await;
        drop(daemon);
        Ok(())
    })
}

type Received = mpsc::Receiver<std::io::Result<Vec<u8>>>;

/// Receives in a thread of its own, one message at a time: while nobody asks
/// for more, the switch has to keep its messages.
fn receive_elsewhere(mut vconn: Vconn) -> (Received, std_mpsc::Sender<()>) {
    let (sender, received) = mpsc::channel(1);
    let (more, wanted) = std_mpsc::channel();
    std::thread::spawn(move || {
        loop {
            let message = vconn.receive();
            let is_over = message.is_err();
            if sender.blocking_send(message).is_err() || is_over || wanted.recv().is_err() {
                return;
            }
        }
    });
    (received, more)
}

fn wall_stamp() -> String {
    base::time::wall_text("%Y-%m-%d %H:%M:%S.###: ", std::time::SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_in_digits_must_have_the_length_that_it_states() {
        for (text, expected) in [
            ("0102000800000001", Ok(8)),
            ("01 02 00 0a 00 00 00 01 aa bb", Ok(10)),
            ("01020008000000", Err("Message too short for OpenFlow")),
            ("0102000900000001", Err("Message length 9 in header does not match actual length 8")),
            ("0102000800000001 zz", Err("Trailing garbage in hex data")),
            ("", Err("Message too short for OpenFlow")),
        ] {
            let read = message_from_hex(text).map(|bytes| bytes.len());
            assert_eq!(read, expected.map_err(str::to_owned), "{text}");
        }
    }
}
