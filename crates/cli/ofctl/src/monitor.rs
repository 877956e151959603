//! Showing what a switch sends of its own accord.

use fields::Protocols;
use ofp::*;

use crate::vconn::Vconn;
use crate::{Context, Done, fatal};

pub(crate) fn monitor(cx: &Context) -> Done {
    let mut vconn = Vconn::open(cx, cx.arg(1))?;
    for argument in &cx.args[2..] {
        if argument.starts_with(|c: char| c.is_ascii_digit()) {
            crate::switch::set_miss_send_len(cx, &mut vconn, argument.parse().unwrap_or(0))?;
        } else if argument != "resume" {
            return fatal!("{argument}: unsupported \"monitor\" argument");
        }
    }
    let format = cx
        .options
        .packet_in_format
        .or_else(|| (vconn.version == Version::Of10).then_some(PacketInFormat::Nxt));
    if let Some(format) = format {
        let bytes = Message::SetPacketInFormat(format).to_bytes(&vconn.encoder());
        if vconn.transact_noreply(&bytes)?.is_some() && cx.options.packet_in_format.is_some() {
            return fatal!("{}: failed to set packet in format", vconn.name);
        }
    }
    follow(cx, &mut vconn, true, cx.args[2..].iter().any(|a| a == "resume"))
}

pub(crate) fn snoop(cx: &Context) -> Done {
    let mut vconn = Vconn::open_suffix(cx, cx.arg(1), "snoop")?;
    follow(cx, &mut vconn, false, false)
}

fn follow(cx: &Context, vconn: &mut Vconn, answers: bool, resumes: bool) -> Done {
    loop {
        let message = match vconn.receive() {
            Ok(message) => message,
            Err(error) => return fatal!("vconn_recv ({})", rpc::error_text(&error)),
        };
        eprint!("{}", message_to_text(&message, Names::default(), cx.options.verbosity + 2));
        let Ok(decoded) = decode(&message, &vconn.decoding()) else { continue };
        let reply = match decoded.message {
            Message::EchoRequest(payload) if answers => Message::EchoReply(payload),
            Message::PacketIn(packet) if resumes && packet.continuation.is_some() => Message::Resume(packet),
            _ => continue,
        };
        let is_echo = matches!(reply, Message::EchoReply(_));
        let xid = if is_echo { decoded.xid } else { crate::vconn::next_xid() };
        let protocol: Protocols = vconn.protocol;
        let bytes = reply.to_bytes(&Encoder::new(protocol, xid));
        if !is_echo {
            eprint!("send: {}", message_to_text(&bytes, Names::default(), cx.options.verbosity + 2));
        }
        if let Err(error) = vconn.send_bytes(&bytes) {
            let what = if is_echo { "echo reply" } else { "NXT_RESUME" };
            return fatal!("failed to send {what} ({})", rpc::error_text(&error));
        }
    }
}
