//! Why a packet goes where it goes: `ofproto/trace`.

use std::collections::VecDeque;
use std::sync::Arc;

use base::{Clock, DpPort, OfPort};
use fields::Match;
use flow::{FlowKey, Metadata, slot};
use flowsync::{Below, Datapaths};
use ofproto::{SharedSwitch, Switch};
use pipeline::{
    BridgeId, BridgeView, Credit, Effect, Network, Purpose, Request, SharedNetwork, Start, Trace,
    Translation, View,
};
use rpc::unixctl::Registry;

use super::flow_lines::port_names;
use super::forks;
use super::in_use::{datapaths_in_use, is_named};

/// What these commands use.
pub(super) struct Tracing {
    pub(super) switch: Arc<SharedSwitch>,
    pub(super) datapaths: Arc<Datapaths>,
    pub(super) clock: Clock,
}

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, tracing: Tracing) {
    let mut group = registry.group(tracing);
    group.add(
        "ofproto/trace",
        "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]",
        1,
        usize::MAX,
        |tracing, args| run(tracing, args, None),
    );
    group.add(
        "ofproto/trace-packet-out",
        "[-consistent] {[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet] actions",
        2,
        usize::MAX,
        |tracing, args| {
            let (actions, args) = args.split_last().ok_or("Syntax error")?;
            let words: Vec<String> =
                args.iter().filter(|arg| !arg.ends_with("-consistent")).cloned().collect();
            run(tracing, &words, Some(actions))
        },
    );
}

/// What is to be traced.
struct Subject {
    bridge: BridgeId,
    /// `in_port` is an OpenFlow port.
    key: FlowKey,
    names: bool,
    /// Where there is a packet, not only a flow, what it would teach is learned.
    packet: Option<Vec<u8>>,
}

/// The command line, taken apart.
#[derive(Default)]
struct Words<'a> {
    generate: bool,
    names: bool,
    /// What connection tracking shall say of the packet, one time after the other.
    next_states: VecDeque<u32>,
    words: Vec<&'a str>,
}

fn split(args: &[String]) -> Result<Words<'_>, String> {
    let mut found = Words::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "-generate" | "--generate" => found.generate = true,
            "-names" | "--names" => found.names = true,
            "-consistent" | "--consistent" => {}
            "--ct-next" => {
                let states = rest.next().ok_or_else(|| format!("Missing argument for option {arg}"))?;
                found.next_states.push_back(forks::parse_state(states)?);
            }
            "--l7" | "--l7-len" => {
                rest.next().ok_or_else(|| format!("Missing argument for option {arg}"))?;
            }
            option if option.starts_with('-') => return Err(format!("{option}: unknown option")),
            _ if found.words.len() == 3 => return Err("too many arguments".to_owned()),
            word => found.words.push(word),
        }
    }
    Ok(found)
}

/// The datapath that a flow is of: the one that the first word names, or the only one that bridges are on.
fn datapath_of(tracing: &Tracing, words: &[&str]) -> Option<Below> {
    let in_use = datapaths_in_use(&tracing.datapaths, &tracing.switch);
    let first = words.first().filter(|_| words.len() > 1);
    let named = first.and_then(|word| in_use.iter().find(|below| is_named(below, word)));
    match in_use.as_slice() {
        [only] => Some(only.clone()),
        _ => named.cloned(),
    }
}

fn parse(
    tracing: &Tracing,
    switch: &Switch,
    below: Option<&Below>,
    ports: &dp::text::PortNames,
    mut found: Words<'_>,
) -> Result<Subject, String> {
    let mut packet = None;
    if !found.generate && found.words.len() > 1 {
        let last = found.words.last().copied().unwrap_or_default();
        match from_hex(last) {
            Some(bytes) => {
                packet = Some(bytes);
                found.words.pop();
            }
            None if found.words.len() > 2 => return Err("Trailing garbage in packet data".to_owned()),
            None => {}
        }
    }
    let flow_text = found.words.last().copied().unwrap_or_default();
    let first = found.words.first().copied().unwrap_or_default();
    let mut subject = match dp::text::parse_key(flow_text, Some(ports)) {
        Ok((key, _)) if found.words.len() == 1 || below.is_some_and(|below| is_named(below, first)) => {
            let below = below.ok_or("Cannot find the datapath")?;
            if key.recirc_id() != 0 && switch.thaw(key.recirc_id()).is_none() {
                return Err(format!("no recirculation data for recirc_id {:#x}", key.recirc_id()));
            }
            let port = DpPort(key.in_port());
            let (bridge, number) =
                switch.arrival(below.id, &key).ok_or_else(|| match (key.tun_dst(), key.tun_ipv6_dst()) {
                    (0, 0) => format!("no OpenFlow port for datapath port {port}"),
                    _ => "no OpenFlow tunnel port for this packet".to_owned(),
                })?;
            let places = switch.get(bridge).map(BridgeView::option_places);
            let mut key = places.map_or_else(|| key.clone(), |places| places.to_bridge(&key));
            key.set_in_port(number.0);
            key.limit_vlans(below.datapath.max_vlans());
            Subject { bridge, key, names: found.names, packet: None }
        }
        Ok(_) => return Err("Cannot find the datapath".to_owned()),
        Err(error) if found.words.len() != 2 => {
            return Err(format!("{error} (or the bridge name was omitted)"));
        }
        Err(_) => {
            let bridge = switch.named(first).ok_or_else(|| format!("{first}: unknown bridge"))?;
            let names = bridge.port_names();
            let exact = Match::parse_exact(flow_text, Some(&names))
                .map_err(|e| format!("Bad openflow flow syntax: {e}"))?;
            let mut key = exact.key;
            if exact.mask.bits(slot::IN_PORT) == 0 {
                key.set_in_port(OfPort::NONE.0);
            }
            Subject { bridge: bridge.id(), key, names: found.names, packet: None }
        }
    };
    if found.generate {
        packet = Some(flow::compose(&subject.key, None));
    }
    if let Some(bytes) = &packet {
        let datapath = switch.get(subject.bridge).and_then(|bridge| tracing.datapaths.get(bridge.datapath()));
        let max_vlans = datapath.map_or(flow::MAX_VLANS, |below| below.datapath.max_vlans());
        subject.key = flow::extract::extract(&Metadata::from_key(&subject.key), bytes, max_vlans);
    }
    subject.packet = packet;
    Ok(subject)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    (pairs.remainder().is_empty() && digits.len() >= 28)
        .then(|| pairs.map(|p| (p[0] << 4 | p[1]) as u8).collect())
}

fn run(tracing: &Tracing, args: &[String], actions: Option<&String>) -> Result<String, String> {
    let mut words = split(args)?;
    let mut next_states = std::mem::take(&mut words.next_states);
    let below = datapath_of(tracing, &words.words);
    // Devices are asked without the lock.
    let ports = below.as_ref().map(|below| port_names(&*below.datapath)).unwrap_or_default();
    let subject = parse(tracing, &tracing.switch.read(), below.as_ref(), &ports, words)?;
    let parsed = match actions {
        None => None,
        Some(text) => {
            let names = ofp::Names::default();
            let (list, _) = ofp::parse_actions(text, names).map_err(|e| e.to_string())?;
            Some(list)
        }
    };
    let start = parsed.as_deref().map_or(Start::Lookup, Start::Actions);
    // States that packets come back with live as long as the translations that made them.
    let mut kept = Vec::new();
    let mut queue = VecDeque::new();
    let mut out = String::new();
    let mut key = Some(subject.key.clone());
    while let Some(now) = key.take() {
        let translation = translate(tracing, &subject, &now, start)?;
        out.push_str(&describe(tracing, &subject, &now, &translation, &ports)?);
        queue.extend(translation.forks.iter().cloned());
        kept.push(translation);
        if let Some(fork) = queue.pop_front() {
            if kept.len() > forks::LIMIT {
                out.push_str(&forks::too_many(queue.len() + 1));
                break;
            }
            key = Some(forks::go_on(fork, &mut next_states, &mut out));
        }
    }
    Ok(out)
}

fn translate(
    tracing: &Tracing,
    subject: &Subject,
    key: &FlowKey,
    start: Start<'_>,
) -> Result<Translation, String> {
    let request = Request {
        bridge: subject.bridge,
        key,
        start,
        purpose: if subject.packet.is_some() { Purpose::Packet } else { Purpose::Question },
        trace: if subject.names { Trace::Names } else { Trace::Numbers },
        packet: subject.packet.as_deref(),
    };
    let mut made = None;
    let now = tracing.clock.now();
    let network: &dyn SharedNetwork = &*tracing.switch;
    network.read(&mut |network| {
        let translation = pipeline::translate(network, &request);
        if let Some(packet) = &subject.packet {
            let taught: Vec<Effect> = translation.effects.iter().filter(|e| e.teaches()).cloned().collect();
            network.apply(&taught, Credit { packets: 0, bytes: 0, tcp_flags: 0, used: now });
            for effect in &translation.effects {
                if let Effect::Snoop(snooped) = effect {
                    network.snoop(*snooped, packet, now);
                }
            }
        }
        made = Some(translation);
    });
    let translation = made.ok_or("Cannot find the bridge")?;
    let datapath = tracing.switch.read().get(subject.bridge).map(ofproto::Bridge::datapath);
    if let Some(below) = datapath.and_then(|id| tracing.datapaths.get(id)) {
        // As in the reference, who looks for a tunnel's way has its neighbours asked for.
        below.flows.ask_neighbours(&translation.effects, now);
    }
    Ok(translation)
}

fn describe(
    tracing: &Tracing,
    subject: &Subject,
    key: &FlowKey,
    translation: &Translation,
    ports: &dp::text::PortNames,
) -> Result<String, String> {
    let switch = tracing.switch.read();
    let bridge = switch.get(subject.bridge).ok_or("Cannot find the bridge")?;
    let names = subject.names.then(|| bridge.port_names());
    let ports = if subject.names {
        ports.clone()
    } else {
        let below = tracing.datapaths.get(bridge.datapath());
        let settings = below.map(|below| below.datapath.tunnel_settings());
        let options = settings.as_ref().map_or(&[][..], |settings| &settings.options);
        dp::text::PortNames::new().with_options(options)
    };
    Ok(pipeline::report(key, translation, names.as_ref(), Some(&ports)))
}
