//! Further collectors, which are sent datagrams or flows.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{SystemTime, UNIX_EPOCH};

use telemetry::netflow_v5::{self, Header, Record};

use crate::flow::Flow;
use crate::input;

/// A collector that is sent something. Errors of sending are printed and forgotten.
pub(crate) struct Target {
    program: String,
    socket: UdpSocket,
    address: SocketAddr,
}

impl Target {
    pub(crate) fn open(program: &str, address: SocketAddr) -> Result<Target, String> {
        let socket = input::sender(address).map_err(|e| format!("{address}: {}", rpc::error_text(&e)))?;
        Ok(Target { program: program.to_owned(), socket, address })
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        if let Err(e) = self.socket.send_to(bytes, self.address) {
            eprintln!("{}: {}: {}", self.program, self.address, rpc::error_text(&e));
        }
    }
}

/// A collector that is sent flows as NetFlow v5.
pub(crate) struct NetflowTarget {
    target: Target,
    /// Flows that were sent.
    sequence: u32,
}

impl NetflowTarget {
    pub(crate) fn open(program: &str, address: SocketAddr) -> Result<NetflowTarget, String> {
        Ok(NetflowTarget { target: Target::open(program, address)?, sequence: 0 })
    }

    /// Sends what `make` makes of the number of flows that were sent before, if anything.
    pub(crate) fn send(&mut self, make: impl FnOnce(u32) -> Option<Vec<u8>>) {
        if let Some(datagram) = make(self.sequence) {
            self.sequence = self.sequence.wrapping_add(1);
            self.target.send(&datagram);
        }
    }
}

/// A flow as a datagram of NetFlow v5, or `None` for what that cannot tell: anything but IPv4. It ends `now`.
pub(crate) fn netflow(flow: &Flow, sequence: u32, now: SystemTime) -> Option<Vec<u8>> {
    let (Some(IpAddr::V4(src)), Some(IpAddr::V4(dst))) = (flow.src, flow.dst) else { return None };
    let most = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as u32;
    // Times count from midnight of yesterday, as if the exporter had started then, so that long flows have a beginning.
    let uptime_ms = (seconds % 86_400 + 86_400) * 1000;
    let header = Header { uptime_ms, seconds, sequence, ..Header::default() };
    let record = Record {
        src,
        dst,
        input: flow.input as u16,
        output: flow.output as u16,
        packets: most(flow.packets),
        bytes: most(flow.bytes),
        first_ms: uptime_ms.saturating_sub(most(flow.duration_ms)),
        last_ms: uptime_ms,
        src_port: flow.src_port,
        dst_port: flow.dst_port,
        tcp_flags: flow.tcp_flags,
        protocol: flow.protocol,
        tos: flow.tos,
    };
    Some(netflow_v5::datagram(&header, &[record]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flow_of_ipv4_is_told_and_no_other() {
        let (src, dst) = (Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
        let flow = Flow { src, dst, packets: 3, bytes: 1 << 40, duration_ms: 500, ..Flow::default() };
        let now = UNIX_EPOCH + Duration::from_secs(86_400 + 5);
        let bytes = netflow(&flow, 9, now).unwrap();
        assert_eq!(bytes.len(), 72);
        assert_eq!(bytes[16..20], 9u32.to_be_bytes());
        assert_eq!(bytes[40..48], [3u32.to_be_bytes(), u32::MAX.to_be_bytes()].concat());
        let ends = 86_405_000u32;
        assert_eq!(bytes[48..56], [(ends - 500).to_be_bytes(), ends.to_be_bytes()].concat());
        assert_eq!(netflow(&Flow { src: Some("::1".parse().unwrap()), ..flow }, 0, now), None);
    }
}
