//! Driving dummy ports: `netdev-dummy/*`.

use std::sync::Arc;

use base::DpPort;
use bridge::Running;
use dp::{Datapath, PortInfo};
use flowsync::Datapaths;
use ofproto::SharedSwitch;
use rpc::unixctl::Registry;

use super::in_use::{datapaths_in_use, is_named};

/// `netdev-dummy/*`.
pub(super) fn register<C: 'static>(registry: &mut Registry<C>, datapaths: Arc<Datapaths>) {
    let mut group = registry.group(datapaths);
    group.add(
        "netdev-dummy/receive",
        "name [--qid queue_id] packet|flow [--len packet_len]",
        2,
        usize::MAX,
        |datapaths, args| receive(datapaths, args),
    );
    group.add("netdev-dummy/set-admin-state", "[netdev] up|down", 1, 2, |datapaths, args| {
        set_admin_state(datapaths, args)
    });
}

/// All dummy ports, with the datapath that each is in.
fn dummies(datapaths: &Datapaths) -> Vec<(Arc<dyn Datapath>, Arc<PortInfo>)> {
    let shared = datapaths.shared().into_iter().map(|below| below.datapath);
    let all = shared.chain(datapaths.by_hand().into_iter().map(|(_, datapath)| datapath));
    let with_dummies = all.filter(|datapath| datapath.dummies().is_some());
    let ports = with_dummies.flat_map(|datapath| {
        let ports = datapath.ports();
        ports.into_iter().map(move |info| (Arc::clone(&datapath), info))
    });
    ports.filter(|(_, info)| info.kind.is_dummy()).collect()
}

fn receive(datapaths: &Datapaths, args: &[String]) -> Result<String, String> {
    let found = dummies(datapaths).into_iter().find(|(_, info)| info.name == args[0]);
    let (datapath, info) = found.ok_or("no such dummy netdev")?;
    let mut words = args[1..].iter();
    let mut packets: Vec<Vec<u8>> = Vec::new();
    let mut composed = None;
    let mut queue = 0;
    while let Some(word) = words.next() {
        match word.as_str() {
            "--qid" => queue = words.next().and_then(|text| text.parse().ok()).ok_or("bad rx queue id.")?,
            "--len" => {
                let length: usize = words.next().and_then(|text| text.parse().ok()).unwrap_or(0);
                let key: flow::FlowKey = composed.take().ok_or("bad packet or flow syntax")?;
                if length < 60 {
                    return Err("too small packet len".to_owned());
                }
                let packet = flow::compose_sized(&key, length.min(65_535));
                packets.pop();
                packets.push(packet.ok_or("too small packet len")?);
            }
            text => {
                composed = None;
                packets.push(match parse_bytes(text) {
                    Some(bytes) => bytes,
                    None => {
                        let (key, _) = dp::text::parse_key(text, None).map_err(|e| e.to_string())?;
                        flow::compose(composed.insert(key), None)
                    }
                });
            }
        }
    }
    let control = datapath.dummies().ok_or("no such dummy netdev")?;
    for bytes in packets {
        control.receive_on(info.number, queue, dp::Packet::from_bytes(&bytes)).map_err(|e| e.to_string())?;
    }
    Ok(String::new())
}

/// A packet as hexadecimal digits.
fn parse_bytes(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.chars().all(|c| c.is_ascii_hexdigit())
    {
        return None;
    }
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(digits.get(i..i + 2)?, 16).ok()).collect()
}

fn set_admin_state(datapaths: &Datapaths, args: &[String]) -> Result<String, String> {
    let up = match args.last().map(String::as_str) {
        Some("up") => true,
        Some("down") => false,
        _ => return Err("Invalid Admin State".to_owned()),
    };
    let mut chosen = dummies(datapaths);
    if let [name, _] = args {
        chosen.retain(|(_, info)| info.name == *name);
        if chosen.is_empty() {
            return Err("Unknown Dummy Interface".to_owned());
        }
    }
    for (datapath, info) in chosen {
        datapath.configure_port(info.number, None, None, Some(up)).map_err(|e| e.to_string())?;
    }
    Ok("OK".to_owned())
}

/// `dpif-dummy/change-port-number`.
pub(super) fn change_port_number(
    datapaths: &Datapaths,
    switch: &SharedSwitch,
    running: &mut Running,
    args: &[String],
) -> Result<String, String> {
    let [word, name, number] = args else { return Err("three words are expected".to_owned()) };
    let in_use = datapaths_in_use(datapaths, switch);
    let below = in_use.iter().find(|below| is_named(below, word) && below.datapath.kind() == "dummy");
    let (below, control) = below
        .and_then(|below| Some((below, below.datapath.dummies()?)))
        .ok_or("unknown datapath or not a dummy")?;
    let old = below.datapath.port_by_name(name).ok_or("unknown port")?.number;
    let new = number.parse().ok().filter(|number| (1..1 << 16).contains(number)).map(DpPort);
    let new = new.ok_or("bad port number")?;
    control.renumber(old, new).map_err(|_| "port number already in use".to_owned())?;
    running.renumber_port(below.id, old, new).map_err(|error| error.to_string())?;
    below.flows.tick();
    Ok(String::new())
}
