//! What is known of one connection.

use fields::Protocols;
use ofp::{AsyncConfig, AsyncKind, ControllerRole, Encoder, Message, PacketInFormat, Version};
use pipeline::BridgeId;

use crate::bundles::Bundles;
use crate::channel::{Link, Target, initial_protocol};

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A configured controller.
    Primary,
    /// Whoever connected to a listening socket: `ovs-ofctl`, mostly.
    Service,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub bridge: BridgeId,
    pub kind: Kind,
    pub version: Version,
    pub protocol: Protocols,
    pub target: Target,
    pub link: Link,
    pub role: ControllerRole,
    pub async_config: AsyncConfig,
    pub packet_in_format: PacketInFormat,
    /// Bytes of a packet without a rule that it wants to see.
    pub miss_send_len: u16,
    pub controller_id: u16,
    pub bundles: Bundles,
    pub monitors: Vec<ofp::FlowMonitorRequest>,
    next_xid: u32,
}

/// `OFP_DEFAULT_MISS_SEND_LEN`.
const DEFAULT_MISS_SEND_LEN: u16 = 128;

impl Peer {
    pub(crate) fn new(bridge: BridgeId, kind: Kind, version: Version, target: Target, link: Link) -> Peer {
        Peer {
            bridge,
            kind,
            version,
            protocol: initial_protocol(version),
            target,
            link,
            role: ControllerRole::Equal,
            async_config: default_async(version),
            packet_in_format: PacketInFormat::Standard,
            miss_send_len: match kind {
                Kind::Primary => DEFAULT_MISS_SEND_LEN,
                Kind::Service => 0,
            },
            controller_id: 0,
            bundles: Bundles::default(),
            monitors: Vec::new(),
            next_xid: 1,
        }
    }

    /// Whether it wants messages of `kind` with this reason, as its role and its configuration say.
    pub(crate) fn wants(&self, kind: AsyncKind, reason: u8) -> bool {
        // A listening socket's peers get nothing unasked until they say how much of packets they want.
        if self.kind == Kind::Service && self.miss_send_len == 0 {
            return false;
        }
        let masks = match self.role {
            ControllerRole::Secondary => self.async_config.secondary,
            _ => self.async_config.primary,
        };
        reason < 32 && masks[kind as usize] >> reason & 1 != 0
    }

    /// Sends an answer, or part of one.
    pub(crate) fn send(&self, xid: u32, message: &Message) {
        let encoder = Encoder {
            version: self.version,
            protocol: self.protocol,
            packet_in_format: self.packet_in_format,
            xid,
        };
        self.link.send(message.to_bytes(&encoder));
    }

    /// Sends a message that nobody asked for.
    pub(crate) fn tell(&mut self, message: &Message) {
        self.next_xid = self.next_xid.wrapping_add(1);
        self.send(self.next_xid, message);
    }
}

/// What a controller gets until it asks for something else.
fn default_async(version: Version) -> AsyncConfig {
    let mut config = AsyncConfig::default();
    let bits = |reasons: &[u8]| reasons.iter().fold(0, |bits, reason| bits | 1u32 << reason);
    // No match, action, action set, group, packet-out, explicit and implicit miss; a TTL that ran out is not wanted.
    config.primary[AsyncKind::PacketIn as usize] = bits(&[0, 1, 3, 4, 5, 6, 7]);
    config.primary[AsyncKind::FlowRemoved as usize] = bits(&[0, 1, 2, 3, 4, 5]);
    config.primary[AsyncKind::PortStatus as usize] = bits(&[0, 1, 2]);
    config.secondary[AsyncKind::PortStatus as usize] = bits(&[0, 1, 2]);
    if version >= Version::Of14 {
        config.primary[AsyncKind::RoleStatus as usize] = bits(&[0, 1, 2]);
        config.secondary[AsyncKind::RoleStatus as usize] = bits(&[0, 1, 2]);
    }
    config
}
