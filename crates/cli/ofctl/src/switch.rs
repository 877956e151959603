//! Commands about the switch itself, its ports and tables.

use std::time::Instant;

use base::OfPort;
use fields::{PortNames, TableNames, parse_port};
use ofp::*;

use crate::vconn::Vconn;
use crate::{Context, Done, Fatal, fatal};

/// The names of a switch's ports and tables.
#[derive(Default)]
pub(crate) struct Maps {
    ports: PortNames,
    tables: TableNames,
    /// See [`Names::normalizes`].
    pub(crate) normalizes: bool,
}

impl Maps {
    fn add_ports(&mut self, ports: Vec<PortDesc>) {
        for port in ports {
            self.ports.insert(port.port.0, &port.name);
        }
    }

    pub(crate) fn names(&self) -> Names<'_> {
        Names { ports: Some(&self.ports), tables: Some(&self.tables), normalizes: self.normalizes }
    }
}

/// Every port of the switch, from whichever message of the version has them.
pub(crate) fn ports(cx: &Context, target: &str) -> Result<Vec<PortDesc>, Fatal> {
    let mut vconn = Vconn::open(cx, target)?;
    if vconn.version < Version::Of13 {
        let reply = vconn.transact(&Message::FeaturesRequest)?;
        if !may_lack_ports(&reply, vconn.version)
            && let Ok(Decoded { message: Message::FeaturesReply(features), .. }) =
                decode(&reply, &vconn.decoding())
        {
            return Ok(features.ports);
        }
    }
    let mut all = Vec::new();
    let decoding = vconn.decoding();
    vconn.each_reply(&Message::PortDescRequest(OfPort::ANY), |reply| {
        if let Ok(Decoded { message: Message::PortDescReply(ports), .. }) = decode(reply, &decoding) {
            all.extend(ports);
        }
    })?;
    Ok(all)
}

/// Whether features of these old versions hold so many ports that there may be others, which only descriptions tell.
fn may_lack_ports(reply: &[u8], version: Version) -> bool {
    let port_len = if version == Version::Of10 { 48 } else { 64 };
    reply.len() + port_len > usize::from(u16::MAX)
}

fn fetch_maps(cx: &Context, target: &str) -> Result<Maps, Fatal> {
    let mut maps = Maps::default();
    maps.add_ports(ports(cx, target)?);
    fetch_tables(cx, target, &mut maps)?;
    Ok(maps)
}

fn fetch_tables(cx: &Context, target: &str, maps: &mut Maps) -> Done {
    let mut vconn = Vconn::open(cx, target)?;
    let decoding = vconn.decoding();
    if vconn.version >= Version::Of13 {
        // Later versions tell the names of tables among their features.
        vconn.each_reply(&Message::TableFeaturesRequest(Vec::new()), |reply| {
            if let Ok(Decoded { message: Message::TableFeaturesReply(all), .. }) = decode(reply, &decoding) {
                for features in all.iter().filter(|features| !features.name.is_empty()) {
                    maps.tables.insert(u32::from(features.table), &features.name);
                }
            }
        })?;
        return Ok(());
    }
    vconn.each_reply(&Message::TableStatsRequest, |reply| {
        if let Ok(Decoded { message: Message::TableStatsReply(all), .. }) = decode(reply, &decoding) {
            for stats in all {
                if let Some(features) = stats.features.filter(|f| !f.name.is_empty()) {
                    maps.tables.insert(u32::from(stats.table), &features.name);
                }
            }
        }
    })?;
    Ok(())
}

/// Names to understand in the input, if the options want them.
pub(crate) fn maps_to_accept(cx: &Context, target: &str) -> Result<Maps, Fatal> {
    if cx.options.accepts_names() { fetch_maps(cx, target) } else { Ok(Maps::default()) }
}

/// The same of tables alone.
pub(crate) fn tables_to_accept(cx: &Context, target: &str) -> Result<Maps, Fatal> {
    let mut maps = Maps::default();
    if cx.options.accepts_names() {
        fetch_tables(cx, target, &mut maps)?;
    }
    Ok(maps)
}

/// Names to put into the output, if the options want them.
pub(crate) fn maps_to_show(cx: &Context, target: &str) -> Result<Option<Maps>, Fatal> {
    if cx.options.shows_names() { fetch_maps(cx, target).map(Some) } else { Ok(None) }
}

fn dump(cx: &Context, message: &Message) -> Done {
    let maps = maps_to_show(cx, cx.arg(1))?;
    let names = maps.as_ref().map_or_else(Names::default, Maps::names);
    Vconn::open(cx, cx.arg(1))?.dump(cx, message, names)
}

pub(crate) fn show(cx: &Context) -> Done {
    let mut vconn = Vconn::open(cx, cx.arg(1))?;
    let mut reply = vconn.transact(&Message::FeaturesRequest)?;
    let mut has_ports = vconn.version < Version::Of13;
    if has_ports
        && may_lack_ports(&reply, vconn.version)
        && let Ok(Decoded { message: Message::FeaturesReply(mut features), xid, .. }) =
            decode(&reply, &vconn.decoding())
    {
        // No port is shown twice.
        features.ports.clear();
        reply = Message::FeaturesReply(features).to_bytes(&Encoder::new(vconn.protocol, xid));
        has_ports = false;
    }
    show!("{}", message_to_text(&reply, Names::default(), cx.options.verbosity + 1));
    if !has_ports {
        vconn.dump(cx, &Message::PortDescRequest(OfPort::ANY), Names::default())?;
    }
    let reply = vconn.transact(&Message::GetConfigRequest)?;
    show!("{}", message_to_text(&reply, Names::default(), cx.options.verbosity + 1));
    Ok(())
}

pub(crate) fn dump_desc(cx: &Context) -> Done {
    dump(cx, &Message::DescRequest)
}

pub(crate) fn dump_tables(cx: &Context) -> Done {
    dump(cx, &Message::TableStatsRequest)
}

pub(crate) fn dump_table_features(cx: &Context) -> Done {
    let mut vconn = Vconn::open(cx, cx.arg(1))?;
    if vconn.version < Version::Of13 {
        return fatal!("dump-table-features needs OpenFlow 1.3 or later ('-O OpenFlow13')");
    }
    // All parts at once: what tables have in common is printed only once.
    let (mut all, mut others) = (Vec::new(), String::new());
    let decoding = vconn.decoding();
    vconn.each_reply(&Message::TableFeaturesRequest(Vec::new()), |reply| match decode(reply, &decoding) {
        Ok(Decoded { message: Message::TableFeaturesReply(part), .. }) => all.extend(part),
        _ => others += &message_to_text(reply, Names::default(), cx.options.verbosity + 1),
    })?;
    show!("{others}{}", table_features_to_text(&all));
    Ok(())
}

pub(crate) fn dump_table_desc(cx: &Context) -> Done {
    let mut vconn = Vconn::open(cx, cx.arg(1))?;
    if vconn.version < Version::Of14 {
        return fatal!("dump-table-desc needs OpenFlow 1.4 or later ('-O OpenFlow14')");
    }
    vconn.dump(cx, &Message::TableDescRequest, Names::default())
}

pub(crate) fn port_of(cx: &Context, text: &str) -> Result<OfPort, Fatal> {
    if let Some(port) = parse_port(text, None) {
        return Ok(port);
    }
    let mut maps = Maps::default();
    if cx.options.accepts_names() {
        maps.add_ports(ports(cx, cx.arg(1))?);
    }
    match parse_port(text, maps.names().ports) {
        Some(port) => Ok(port),
        None => fatal!("{}: unknown port `{text}'", cx.arg(1)),
    }
}

pub(crate) fn is_all(text: &str) -> bool {
    text.is_empty() || text.eq_ignore_ascii_case("all")
}

/// A queue's number, or all.
pub(crate) fn queue_of(text: &str) -> Result<u32, Fatal> {
    if is_all(text) {
        return Ok(QUEUE_ALL);
    }
    match text.parse() {
        Ok(queue) => Ok(queue),
        Err(_) => fatal!("{text}: not a queue number (0 to {}) or ALL", u32::MAX),
    }
}

pub(crate) fn queue_stats(cx: &Context) -> Done {
    let port = if is_all(cx.arg(2)) { OfPort::ANY } else { port_of(cx, cx.arg(2))? };
    let queue = queue_of(cx.arg(3))?;
    dump(cx, &Message::QueueStatsRequest { port, queue })
}

pub(crate) fn dump_ipfix_bridge(cx: &Context) -> Done {
    dump(cx, &Message::IpfixBridgeStatsRequest)
}

pub(crate) fn dump_ipfix_flow(cx: &Context) -> Done {
    dump(cx, &Message::IpfixFlowStatsRequest)
}

pub(crate) fn dump_ports(cx: &Context) -> Done {
    let port = if cx.args.len() > 2 { port_of(cx, cx.arg(2))? } else { OfPort::ANY };
    dump(cx, &Message::PortStatsRequest(port))
}

pub(crate) fn dump_ports_desc(cx: &Context) -> Done {
    let port = if cx.args.len() > 2 { port_of(cx, cx.arg(2))? } else { OfPort::ANY };
    dump(cx, &Message::PortDescRequest(port))
}

pub(crate) fn mod_port(cx: &Context) -> Done {
    let wanted = cx.arg(2);
    let number = fields::text::parse_u64(wanted).and_then(|n| u32::try_from(n).ok());
    let found = ports(cx, cx.arg(1))?.into_iter().find(|port| match number {
        Some(number) => port.port.0 == number,
        None => port.name == wanted,
    });
    let Some(port) = found else {
        return fatal!("{}: couldn't find port `{wanted}'", cx.arg(1));
    };
    let lower = cx.arg(3).to_ascii_lowercase();
    let (command, not) = match lower.strip_prefix("no-").or_else(|| lower.strip_prefix("no")) {
        Some(command) => (command, true),
        None => (lower.as_str(), false),
    };
    let (bit, on) = match command {
        "up" => (port_config::PORT_DOWN, false),
        "down" => (port_config::PORT_DOWN, true),
        "stp" => (port_config::NO_STP, false),
        "receive" => (port_config::NO_RECV, false),
        "receive-stp" => (port_config::NO_RECV_STP, false),
        "flood" => (port_config::NO_FLOOD, false),
        "forward" => (port_config::NO_FWD, false),
        "packet-in" => (port_config::NO_PACKET_IN, false),
        _ => return fatal!("unknown mod-port command '{}'", cx.arg(3)),
    };
    let change = PortMod {
        port: port.port,
        hw_addr: port.hw_addr,
        config: if on != not { bit } else { 0 },
        mask: bit,
        advertise: 0,
    };
    Vconn::open(cx, cx.arg(1))?.must(cx, &Message::PortMod(change))
}

pub(crate) fn fetch_config(vconn: &mut Vconn) -> Result<SwitchConfig, Fatal> {
    let reply = vconn.transact(&Message::GetConfigRequest)?;
    match decode(&reply, &vconn.decoding()) {
        Ok(Decoded { message: Message::GetConfigReply(config), .. }) => Ok(config),
        _ => fatal!("{}: bad reply to config request", vconn.name),
    }
}

pub(crate) fn set_miss_send_len(cx: &Context, vconn: &mut Vconn, len: u16) -> Done {
    let config = SwitchConfig { miss_send_len: len, ..fetch_config(vconn)? };
    vconn.must(cx, &Message::SetConfig(config))
}

pub(crate) fn get_frags(cx: &Context) -> Done {
    let mut vconn = Vconn::open(cx, cx.arg(1))?;
    show_line!("{}", fetch_config(&mut vconn)?.frag.name());
    Ok(())
}

pub(crate) fn set_frags(cx: &Context) -> Done {
    let Some(frag) = FragHandling::from_name(cx.arg(2)) else {
        return fatal!("{}: unknown fragment handling mode", cx.arg(2));
    };
    let mut vconn = Vconn::open(cx, cx.arg(1))?;
    let config = fetch_config(&mut vconn)?;
    if config.frag == frag {
        return Ok(());
    }
    vconn.must(cx, &Message::SetConfig(SwitchConfig { frag, ..config }))?;
    if fetch_config(&mut vconn)?.frag != frag {
        return fatal!(
            "{}: setting fragment handling mode failed (this switch probably doesn't support mode \"{}\")",
            cx.arg(1),
            frag.name()
        );
    }
    Ok(())
}

pub(crate) fn probe(cx: &Context) -> Done {
    let reply = Vconn::open(cx, cx.arg(1))?.transact(&Message::EchoRequest(Vec::new()))?;
    if reply.len() != 8 {
        return fatal!("reply does not match request");
    }
    Ok(())
}

pub(crate) fn ping(cx: &Context) -> Done {
    let payload = if cx.args.len() > 2 { cx.arg(2).parse().ok() } else { Some(64usize) };
    let Some(payload) = payload.filter(|payload| *payload <= 65527) else {
        return fatal!("payload must be between 0 and 65527 bytes");
    };
    let mut vconn = Vconn::open(cx, cx.arg(1))?;
    for round in 0..10u8 {
        let bytes: Vec<u8> = (0..payload).map(|i| (i as u8).wrapping_mul(31) ^ round).collect();
        let start = Instant::now();
        let reply = vconn.transact(&Message::EchoRequest(bytes.clone()))?;
        let elapsed = start.elapsed();
        if !matches!(decode(&reply, &vconn.decoding()), Ok(Decoded { message: Message::EchoReply(back), .. }) if back == bytes)
        {
            show_line!("Reply does not match request.  Request:");
            show_line!("Reply:");
            show!("{}", message_to_text(&reply, Names::default(), cx.options.verbosity + 2));
        }
        show_line!(
            "{} bytes from {}: xid={:08x} time={:.1} ms",
            reply.len().saturating_sub(8),
            cx.arg(1),
            message_xid(&reply).unwrap_or(0),
            elapsed.as_secs_f64() * 1000.0
        );
    }
    Ok(())
}

pub(crate) fn dump_tlv_map(cx: &Context) -> Done {
    let mut vconn = Vconn::open(cx, cx.arg(1))?;
    let reply = vconn.transact(&Message::TlvTableRequest)?;
    show!("{}", message_to_text(&reply, Names::default(), cx.options.verbosity + 1));
    Ok(())
}

pub(crate) fn ct_flush_zone(cx: &Context) -> Done {
    let Ok(zone) = cx.arg(2).parse::<u16>() else {
        return fatal!("Invalid zone `{}'", cx.arg(2));
    };
    Vconn::open(cx, cx.arg(1))?.must(cx, &Message::CtFlushZone(zone))
}

pub(crate) fn ct_flush(cx: &Context) -> Done {
    let words: Vec<&str> = cx.args.iter().skip(2).map(String::as_str).collect();
    let (zone, filter) = match conntrack::parse_filter(&words) {
        Ok(parsed) => parsed,
        Err(wrong) => return fatal!("Failed to parse CT match: {wrong}"),
    };
    Vconn::open(cx, cx.arg(1))?.must(cx, &Message::CtFlush(Box::new(CtFlush { zone, filter })))
}

pub(crate) fn packet_out(cx: &Context) -> Done {
    let maps = maps_to_accept(cx, cx.arg(1))?;
    // Five words or more are the old form: port, actions, packets.
    if cx.args.len() > 4 {
        let (actions, usable) = parse_actions(cx.arg(3), maps.names())?;
        let port = port_of(cx, cx.arg(2))?;
        let mut vconn = crate::vconn::open_for_flow_mods(cx, cx.arg(1), usable)?;
        for text in &cx.args[4..] {
            let packet = match hex_bytes(text) {
                Some((packet, "")) if packet.len() >= 14 => packet,
                Some((_, "")) => return fatal!("Packet data too short for Ethernet"),
                _ => return fatal!("Trailing garbage in packet data"),
            };
            let mut metadata = fields::Match::default();
            metadata.set_in_port(port);
            let message = PacketOut { packet, buffer_id: NO_BUFFER, metadata, actions: actions.clone() };
            vconn.must(cx, &Message::PacketOut(Box::new(message)))?;
        }
        return Ok(());
    }
    if cx.args.len() != 3 {
        return fatal!("Too few arguments");
    }
    let (message, usable) = parse_packet_out(cx.arg(2), maps.names())?;
    crate::vconn::open_for_flow_mods(cx, cx.arg(1), usable)?.must(cx, &Message::PacketOut(Box::new(message)))
}
