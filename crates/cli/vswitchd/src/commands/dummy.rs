//! Driving dummy ports: `netdev-dummy/*`.

use base::DpPort;
use dp::Datapath;
use rpc::unixctl::Registry;

use super::dpif::is_datapath;
use crate::switchd::State;

pub(super) fn register(registry: &mut Registry<State>) {
    registry.add(
        "netdev-dummy/receive",
        "name [--qid queue_id] packet|flow [--len packet_len]",
        2,
        usize::MAX,
        receive,
    );
    registry.add("netdev-dummy/set-admin-state", "[netdev] up|down", 1, 2, set_admin_state);
    registry.add("dpif-dummy/change-port-number", "dp port new-number", 3, 3, change_port_number);
}

fn receive(state: &mut State, args: &[String]) -> Result<String, String> {
    let info = state
        .datapath
        .port_by_name(&args[0])
        .filter(|info| info.kind.starts_with("dummy"))
        .ok_or("no such dummy netdev")?;
    let mut words = args[1..].iter();
    let mut packets: Vec<Vec<u8>> = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--qid" => drop(words.next()),
            "--len" => {
                let length: usize = words.next().and_then(|text| text.parse().ok()).unwrap_or(0);
                match packets.last_mut() {
                    Some(packet) if length >= 60 => packet.resize(length.min(65_535), 0),
                    _ => return Err("too small packet len".to_owned()),
                }
            }
            text => packets.push(parse_packet(text)?),
        }
    }
    for bytes in packets {
        let packet = dp::Packet::from_bytes(&bytes);
        let now = state.clock.now();
        state.datapath.receive(info.number, packet, now).map_err(|e| e.to_string())?;
    }
    Ok(String::new())
}

/// A packet as hexadecimal digits, or as a datapath flow that it is composed from.
fn parse_packet(text: &str) -> Result<Vec<u8>, String> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if !digits.is_empty() && digits.len().is_multiple_of(2) && digits.chars().all(|c| c.is_ascii_hexdigit()) {
        let bytes =
            (0..digits.len()).step_by(2).filter_map(|i| u8::from_str_radix(&digits[i..i + 2], 16).ok());
        return Ok(bytes.collect());
    }
    let (key, _) = dp::text::parse_key(text, None).map_err(|e| e.to_string())?;
    Ok(flow::compose(&key, None))
}

fn set_admin_state(state: &mut State, args: &[String]) -> Result<String, String> {
    let up = match args.last().map(String::as_str) {
        Some("up") => true,
        Some("down") => false,
        _ => return Err("Invalid Admin State".to_owned()),
    };
    let ports = state.datapath.ports();
    let dummies = ports.iter().filter(|info| info.kind.starts_with("dummy"));
    let chosen: Vec<_> = match args {
        [name, _] => dummies.filter(|info| info.name == *name).collect(),
        _ => dummies.collect(),
    };
    if args.len() == 2 && chosen.is_empty() {
        return Err("Unknown Dummy Interface".to_owned());
    }
    for info in chosen {
        state.datapath.configure_port(info.number, None, None, Some(up)).map_err(|e| e.to_string())?;
    }
    Ok("OK".to_owned())
}

fn change_port_number(state: &mut State, args: &[String]) -> Result<String, String> {
    let [datapath, name, number] = args else { return Err("three words are expected".to_owned()) };
    if state.datapath.kind() != "dummy" || !is_datapath(state, datapath) {
        return Err("unknown datapath or not a dummy".to_owned());
    }
    let old = state.datapath.port_by_name(name).ok_or("unknown port")?.number;
    let new = number.parse().ok().filter(|number| (1..1 << 16).contains(number)).map(DpPort);
    let new = new.ok_or("bad port number")?;
    state.datapath.renumber_port(old, new).map_err(|_| "port number already in use".to_owned())?;
    state.running.renumber_port(old, new).map_err(|error| error.to_string())?;
    state.flows.tick();
    Ok(String::new())
}
