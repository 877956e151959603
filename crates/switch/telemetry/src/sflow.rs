//! sFlow as an export of a bridge.

use base::{DpPort, Timestamp};
use dp::Cookie;

use crate::agent::{Agent, Config};
use crate::datagram::{CounterRecord, Source};
use crate::export::{ExportedBridge, ExportedPort, Exporter, SampledPacket};
use crate::switch::{Sampled, bridge_records, port_records, tunnel_port};

/// An agent, and how much of each packet it sends.
#[derive(Debug)]
pub struct Sflow {
    agent: Agent,
    header_len: usize,
}

impl Sflow {
    /// `header_len` are the bytes of a packet that a sample has, at most.
    pub fn new(config: Config, header_len: usize, now: Timestamp) -> Sflow {
        Sflow { agent: Agent::new(config, now), header_len }
    }
}

impl Exporter for Sflow {
    fn sample(&mut self, sampled: &SampledPacket<'_>, bridge: &dyn ExportedBridge) -> Vec<Vec<u8>> {
        let &Cookie::Sflow { vlan_tci, output } = sampled.cookie else { return Vec::new() };
        let in_port = DpPort(sampled.key.in_port());
        // The kind of the port is reported only of packets that came out of a tunnel.
        let info = if sampled.key.tun_dst() == 0 { None } else { bridge.port(in_port) };
        let out_port = tunnel_port(sampled.actions).and_then(|port| bridge.port(port));
        self.agent.note_lost(sampled.lost);
        let full = self.agent.sample_packet(&Sampled {
            key: sampled.key,
            packet: sampled.packet,
            header_len: self.header_len,
            ifindex: bridge.ifindex(in_port).unwrap_or(0),
            tunnel: info.and_then(|info| info.kind.tunnel()),
            out_tunnel: out_port.and_then(|info| info.kind.tunnel()),
            vlan_tci,
            output,
            actions: sampled.actions,
        });
        full.into_iter().collect()
    }

    fn tick(&mut self, now: Timestamp, bridge: &dyn ExportedBridge) -> Vec<Vec<u8>> {
        let ports = bridge.ports();
        let indices: Vec<u32> = ports.iter().map(|port| port.ifindex).collect();
        let this_bridge = self.agent.source();
        self.agent.tick(now, &indices, |source| {
            if source == this_bridge {
                let resources = bridge.resources();
                return resources.map_or(Vec::new(), |used| bridge_records(&bridge.datapath_stats(), used));
            }
            port_counters(source, &ports, bridge)
        })
    }
}

fn port_counters(source: Source, ports: &[ExportedPort], bridge: &dyn ExportedBridge) -> Vec<CounterRecord> {
    let Some(port) = ports.iter().find(|port| port.ifindex == source.index) else { return Vec::new() };
    let (Some(info), Some(stats)) = (bridge.port(port.datapath), bridge.port_stats(port.datapath)) else {
        return Vec::new();
    };
    // As OpenFlow 1.0 numbers it, like all of the reference's numbers outside OpenFlow.
    let number = port.number.to_u16().unwrap_or(u16::MAX).into();
    port_records(&info, &stats, bridge.datapath_id(), number, bridge.lag(port.number))
}
