//! sFlow export: an agent per bridge that asks for one, and the sockets to its collectors.
//!
//! Samples come from workers by way of the control thread; counters are read
//! once a second at most. What is sent, and when, is `telemetry`'s.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use base::{DpPort, OfPort, Timestamp};
use bridge::{DesiredSflow, Running};
use flowsync::Sample;
use pipeline::BridgeId;
use telemetry::{Agent, AppResources, COLLECTOR_PORT, CounterRecord, SampledPacket, Source};

const MODULE: &str = "ofproto_dpif_sflow";

/// How often agents look whether counters are due.
const TICK: Duration = Duration::from_secs(1);

/// The export of all bridges.
#[derive(Debug, Default)]
pub(crate) struct Sflow {
    exports: BTreeMap<String, Export>,
}

/// One bridge's.
#[derive(Debug)]
struct Export {
    bridge: BridgeId,
    datapath_id: u64,
    ticked: Timestamp,
    config: DesiredSflow,
    sub_agent: u32,
    collectors: Vec<Collector>,
    /// None while no address for it is known.
    agent: Option<Agent>,
}

/// Where datagrams go.
#[derive(Debug)]
struct Collector {
    target: String,
    address: SocketAddr,
    /// None while there is no way to it.
    socket: Option<UdpSocket>,
    /// Its last error has been told.
    is_complained: bool,
}

impl Sflow {
    /// Once a second, sends what is due.
    pub(crate) fn run(&mut self, now: Timestamp, running: &Running) {
        for (place, export) in self.exports.values_mut().enumerate() {
            if now - export.ticked < TICK {
                continue;
            }
            export.ticked = now;
            // What concerns the whole switch is told by one bridge for all.
            export.tick(now, running, place == 0);
        }
    }

    /// Takes a sampled packet.
    pub(crate) fn take(&mut self, sample: &Sample, running: &Running) {
        let Some(export) = self.exports.values_mut().find(|export| export.bridge == sample.bridge) else {
            return;
        };
        let Some(agent) = &mut export.agent else { return };
        let in_port = DpPort(sample.key.in_port());
        let ifindex = ifindex(sample.bridge, in_port, running);
        // Only what came out of a tunnel needs to be told by which kind.
        let kind = if sample.key.tun_dst() == 0 { None } else { running.datapath.port(in_port) };
        let kind = kind.map(|info| info.kind.clone()).unwrap_or_default();
        let full = agent.sample_packet(&SampledPacket {
            key: &sample.key,
            packet: &sample.packet,
            header_len: export.config.header as usize,
            ifindex,
            kind: &kind,
            vlan_tci: sample.vlan_tci,
            output: sample.output,
            actions: &sample.actions,
        });
        if let Some(datagram) = full {
            export.send(&datagram);
        }
    }

    /// Brings the configuration into force. Called before anybody is told that
    /// it is, so that no packet after that goes unsampled.
    pub(crate) fn follow(&mut self, now: Timestamp, running: &Running) {
        let asked = running.bridges().iter().filter_map(|(name, bridge)| {
            let config = bridge.config.sflow.as_ref().filter(|config| !config.targets.is_empty())?;
            Some((name, bridge, config))
        });
        let mut kept = BTreeMap::new();
        for (sub_agent, (name, bridge, config)) in (0..).zip(asked) {
            let old = self.exports.remove(name).filter(|old| {
                old.bridge == bridge.id
                    && old.datapath_id == bridge.datapath_id
                    && old.config == *config
                    && old.sub_agent == sub_agent
            });
            let export = old.unwrap_or_else(|| {
                let mut export = Export {
                    bridge: bridge.id,
                    datapath_id: bridge.datapath_id,
                    ticked: now,
                    config: config.clone(),
                    sub_agent,
                    collectors: config.targets.iter().filter_map(|target| Collector::new(target)).collect(),
                    agent: None,
                };
                if !export.start(now) {
                    log::error!(target: MODULE, "could not determine IP address for sFlow agent");
                }
                export
            });
            kept.insert(name.clone(), export);
        }
        self.exports = kept;
    }
}

impl Export {
    /// Makes the agent, if an address for it is known by now.
    fn start(&mut self, now: Timestamp) -> bool {
        let Some(address) = self.agent_address() else { return false };
        log::info!(target: MODULE, "creating sFlow agent {}", self.sub_agent);
        let config = telemetry::Config {
            address,
            sub_agent: self.sub_agent,
            rate: self.config.sampling,
            polling_s: self.config.polling,
        };
        self.agent = Some(Agent::new(config, now));
        true
    }

    /// The address of the interface that the configuration names, the address
    /// that it gives, or the one from which a collector is reached.
    fn agent_address(&mut self) -> Option<IpAddr> {
        if let Some(name) = &self.config.agent {
            let of_interface = netlink::addresses(name).unwrap_or_default();
            let of_interface = of_interface.into_iter().find(|address| !is_link_local(address));
            if let Some(address) = of_interface.or_else(|| name.parse().ok()) {
                return Some(address);
            }
        }
        self.collectors.iter_mut().find_map(|collector| {
            let local = collector.socket().ok()?.local_addr().ok()?.ip();
            (!local.is_unspecified()).then_some(local)
        })
    }

    fn tick(&mut self, now: Timestamp, running: &Running, tells_switch: bool) {
        if self.agent.is_none() && !self.start(now) {
            return;
        }
        let Some(agent) = &mut self.agent else { return };
        let ports = interfaces(self.bridge, running);
        let indices: Vec<u32> = ports.keys().copied().collect();
        let bridge = agent.source();
        let datapath_id = self.datapath_id;
        let datagrams = agent.tick(now, &indices, |source| {
            if source != bridge {
                return port_counters(source, &ports, datapath_id, running);
            }
            if tells_switch {
                telemetry::bridge_records(&running.datapath.stats(), resources())
            } else {
                Vec::new()
            }
        });
        for datagram in datagrams {
            self.send(&datagram);
        }
    }

    fn send(&mut self, datagram: &[u8]) {
        for collector in &mut self.collectors {
            collector.send(datagram);
        }
    }
}

/// Unicast addresses that mean nothing beyond their link (RFC 4291 §2.5.6).
fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// The index of a port's interface as translation knows it, 0 when it has none. Asks no device.
fn ifindex(bridge: BridgeId, port: DpPort, running: &Running) -> u32 {
    let switch = running.switch.read();
    let settings = switch.get(bridge).and_then(|bridge| bridge.settings().sflow.as_ref());
    settings.and_then(|sflow| sflow.ifindexes.get(&port)).copied().unwrap_or(0)
}

/// The bridge's ports that have an index: their OpenFlow and datapath numbers.
fn interfaces(bridge: BridgeId, running: &Running) -> BTreeMap<u32, (OfPort, DpPort)> {
    let numbers: Vec<(OfPort, DpPort)> = {
        let switch = running.switch.read();
        let entries = switch.get(bridge).into_iter().flat_map(|bridge| bridge.port_entries());
        entries.filter_map(|entry| Some((entry.port.number, entry.port.datapath?))).collect()
    };
    let with_index = numbers.into_iter().filter_map(|(number, port)| {
        let index = running.datapath.port(port)?.ifindex;
        (index != 0).then_some((index, (number, port)))
    });
    with_index.collect()
}

fn port_counters(
    source: Source,
    ports: &BTreeMap<u32, (OfPort, DpPort)>,
    datapath_id: u64,
    running: &Running,
) -> Vec<CounterRecord> {
    let Some((number, port)) = ports.get(&source.index) else { return Vec::new() };
    // A device that has just gone has no counters.
    let (Some(info), Ok(stats)) = (running.datapath.port(*port), running.datapath.port_stats(*port)) else {
        return Vec::new();
    };
    // As OpenFlow 1.0 numbers it, like all of the reference's numbers outside OpenFlow.
    telemetry::port_records(&info, &stats, datapath_id, number.to_u16().unwrap_or(u16::MAX).into())
}

/// What this process uses, as far as the kernel tells.
fn resources() -> AppResources {
    /// Milliseconds of the ticks in `/proc`, of which Linux has 100 a second.
    const TICK_MS: u32 = 10;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name in parentheses, which may hold blanks; utime and stime are fields 14 and 15.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut times = after_name.split_whitespace().skip(11).map(|word| word.parse().unwrap_or(0u32));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak_kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    AppResources {
        user_time_ms: times.next().unwrap_or(0).wrapping_mul(TICK_MS),
        system_time_ms: times.next().unwrap_or(0).wrapping_mul(TICK_MS),
        memory_used: peak_kib.unwrap_or(0) * 1024,
        ..AppResources::default()
    }
}

impl Collector {
    fn new(target: &str) -> Option<Collector> {
        match resolve(target) {
            Ok(address) => {
                Some(Collector { target: target.to_owned(), address, socket: None, is_complained: false })
            }
            Err(e) => {
                complain_open(target, &e);
                None
            }
        }
    }

    /// The socket, opened if need be: connected, so that the system chooses our address by its routes.
    fn socket(&mut self) -> io::Result<&UdpSocket> {
        if self.socket.is_none() {
            let any: IpAddr = match self.address {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind((any, 0))?;
            socket.connect(self.address)?;
            socket.set_nonblocking(true)?;
            self.socket = Some(socket);
        }
        self.socket.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
    }

    /// Sends a datagram, or drops it: collectors see the gap in its number.
    fn send(&mut self, datagram: &[u8]) {
        let socket = match self.socket() {
            Ok(socket) => socket,
            Err(e) => {
                if !std::mem::replace(&mut self.is_complained, true) {
                    complain_open(&self.target, &e);
                }
                return;
            }
        };
        let mut sent = socket.send(datagram);
        if sent.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            // That was the answer to an earlier datagram; this one has not gone yet.
            sent = socket.send(datagram);
        }
        match sent {
            Ok(_) => self.is_complained = false,
            Err(e) if !self.is_complained => {
                self.is_complained = true;
                let (target, reason) = (&self.target, rpc::error_text(&e));
                log::warn!(target: base::bounded!("collectors"), "{target}: sending to collector failed ({reason})");
            }
            Err(_) => {}
        }
    }
}

fn complain_open(target: &str, error: &io::Error) {
    let reason = rpc::error_text(error);
    log::warn!(target: base::bounded!("collectors"), "couldn't open connection to collector {target} ({reason})");
}

/// `HOST[:PORT]`, where an IPv6 address stands in brackets if a port follows.
fn resolve(target: &str) -> io::Result<SocketAddr> {
    if let Ok(address) = target.parse::<IpAddr>() {
        return Ok((address, COLLECTOR_PORT).into());
    }
    if let Ok(address) = target.parse::<SocketAddr>() {
        return Ok(address);
    }
    if let Some(address) = target.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        return Ok((address, COLLECTOR_PORT).into());
    }
    let (host, port) = target.rsplit_once(':').unwrap_or((target, ""));
    let port = match port {
        "" => COLLECTOR_PORT,
        port => port.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
    };
    let mut addresses = (host, port).to_socket_addrs()?;
    addresses.next().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_with_and_without_port() {
        let read = |target| resolve(target).unwrap().to_string();
        assert_eq!(read("172.16.18.18:6344"), "172.16.18.18:6344");
        assert_eq!(read("172.16.18.18"), "172.16.18.18:6343");
        assert_eq!(read("[::1]:7"), "[::1]:7");
        assert_eq!(read("[::1]"), "[::1]:6343");
        assert_eq!(read("::1"), "[::1]:6343");
        assert!(resolve("10.0.0.1:port").is_err());
    }

    #[test]
    fn datagrams_reach_a_collector() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut collector = Collector::new(&receiver.local_addr().unwrap().to_string()).unwrap();
        collector.send(b"datagram");
        let mut buffer = [0; 100];
        let len = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"datagram");
    }

    #[test]
    fn the_process_uses_memory() {
        assert!(resources().memory_used > 0);
    }
}
