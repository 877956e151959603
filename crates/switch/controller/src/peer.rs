//! What is known of one connection.

use std::collections::VecDeque;

use base::Timestamp;
use fields::Protocols;
use ofp::{
    AsyncConfig, AsyncKind, AsyncUpdate, ControllerRole, Encoder, Message, PacketInFormat, PacketInReason,
    TableFeatures, Version,
};
use pipeline::BridgeId;

use crate::bundles::Bundles;
use crate::channel::{Target, initial_protocol};
use crate::monitors::Monitors;
use crate::outbox::{Class, Link};
use crate::received::Received;
use crate::replies::LongReply;
use crate::rule_log::RuleLog;
use crate::schedule::Scheduler;

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A configured controller.
    Primary,
    /// Whoever connected to a listening socket: `ovs-ofctl`, mostly.
    Service,
    /// Whoever watches what the bridge and its controllers say.
    Watcher,
}

impl Kind {
    /// How the log calls it; watchers are not worth a line.
    pub(crate) fn text(self) -> Option<&'static str> {
        match self {
            Kind::Primary => Some("primary"),
            Kind::Service => Some("service"),
            Kind::Watcher => None,
        }
    }
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
    /// How much of a packet it said that it wants. Packets are sent whole; what counts is whether this is zero.
    pub miss_send_len: u16,
    pub controller_id: u16,
    pub bundles: Bundles,
    pub rule_log: RuleLog,
    pub monitors: Monitors,
    pub packet_ins: Scheduler,
    /// Messages that are not answered yet.
    pub inbox: VecDeque<Received>,
    /// A long request about features of tables, by its number, until its last part is there.
    pub features: (u32, Vec<TableFeatures>),
    /// The answer that is being given.
    pub reply: Option<Box<dyn LongReply>>,
    next_xid: u32,
}

base::coverage!(
    /// Connections that were ended because the peer did not take what it was sent.
    static OVERRUN = "connmgr_overrun"
);

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
                Kind::Service | Kind::Watcher => 0,
            },
            controller_id: 0,
            bundles: Bundles::default(),
            rule_log: RuleLog::default(),
            monitors: Monitors::default(),
            packet_ins: Scheduler::default(),
            inbox: VecDeque::new(),
            features: (0, Vec::new()),
            reply: None,
            next_xid: 1,
        }
    }

    /// Whether it wants messages of `kind` with this reason, as its role and its configuration say.
    pub(crate) fn wants(&self, kind: AsyncKind, reason: u8) -> bool {
        reason < 32 && self.wanted(kind) >> reason & 1 != 0
    }

    /// Whether it wants messages of `kind` at all.
    pub(crate) fn wants_any(&self, kind: AsyncKind) -> bool {
        self.wanted(kind) != 0
    }

    /// The reasons for which it wants messages of `kind`, a bit each.
    fn wanted(&self, kind: AsyncKind) -> u32 {
        // A listening socket's peers get nothing unasked until they say how much of packets they want.
        if self.kind != Kind::Primary && self.miss_send_len == 0 {
            return 0;
        }
        let masks = match self.role {
            ControllerRole::Secondary => &self.async_config.secondary,
            ControllerRole::NoChange | ControllerRole::Equal | ControllerRole::Primary => {
                &self.async_config.primary
            }
        };
        masks[kind as usize]
    }

    /// Takes over what the peer wants to be notified of.
    pub(crate) fn set_async(&mut self, update: &AsyncUpdate) {
        // Whoever says what it wants to be notified of wants to be notified.
        if self.miss_send_len == 0 {
            self.miss_send_len = DEFAULT_MISS_SEND_LEN;
        }
        let has_rule_for_misses = self.version >= Version::Of13;
        let knows_only_action = self.version < Version::Of14;
        let sides = [
            (&mut self.async_config.primary, &update.primary),
            (&mut self.async_config.secondary, &update.secondary),
        ];
        for (masks, update) in sides {
            for (mask, new) in masks.iter_mut().zip(update) {
                *mask = new.unwrap_or(*mask);
            }
            // What the standard calls one reason is several here.
            let packet_in = &mut masks[AsyncKind::PacketIn as usize];
            if update[AsyncKind::PacketIn as usize].is_some()
                && *packet_in & bit(PacketInReason::NoMatch) != 0
            {
                *packet_in |= bit(PacketInReason::ExplicitMiss);
                if !has_rule_for_misses {
                    *packet_in |= bit(PacketInReason::ImplicitMiss);
                }
            }
            if knows_only_action && *packet_in & bit(PacketInReason::Action) != 0 {
                *packet_in |= bit(PacketInReason::ActionSet)
                    | bit(PacketInReason::Group)
                    | bit(PacketInReason::PacketOut);
            }
        }
    }

    /// What it is notified of, in the reasons that its version has.
    pub(crate) fn shown_async(&self) -> AsyncConfig {
        let mut config = self.async_config;
        let old = self.version < Version::Of14;
        for masks in [&mut config.primary, &mut config.secondary] {
            masks[AsyncKind::PacketIn as usize] &=
                if old { OLD_PACKET_IN_REASONS } else { PACKET_IN_REASONS };
            masks[AsyncKind::FlowRemoved as usize] &= flow_removed_reasons(self.version);
        }
        config
    }

    /// Sends an answer, or part of one.
    pub(crate) fn send(&self, xid: u32, message: &Message) {
        self.link.send(Class::Reply, self.bytes(xid, message));
    }

    /// Sends a packet.
    pub(crate) fn send_packet(&self, packet: ofp::PacketIn) {
        self.link.send(Class::Packet, self.bytes(0, &Message::PacketIn(Box::new(packet))));
    }

    /// A message as this peer is to get it.
    pub(crate) fn bytes(&self, xid: u32, message: &Message) -> Vec<u8> {
        message.to_bytes(&self.encoder(xid))
    }

    pub(crate) fn encoder(&self, xid: u32) -> Encoder {
        Encoder {
            version: self.version,
            protocol: self.protocol,
            packet_in_format: self.packet_in_format,
            xid,
        }
    }

    /// Sends a message that nobody asked for.
    pub(crate) fn tell(&mut self, class: Class, message: &Message, now: Timestamp) {
        if self.give_up_stuck(now) {
            return;
        }
        self.next_xid = self.next_xid.wrapping_add(1);
        self.link.send(class, self.bytes(self.next_xid, message));
    }

    /// Ends the connection, and says so, when the peer takes too little of what it is sent: whoever lacks messages
    /// that nobody repeats has to begin anew.
    pub(crate) fn give_up_stuck(&mut self, now: Timestamp) -> bool {
        if !self.link.is_stuck(now) {
            return false;
        }
        let waiting = self.link.cut();
        OVERRUN.count();
        log::warn!(
            target: base::bounded!("connmgr"),
            "{}: disconnecting, {waiting} bytes of messages wait to be read by the peer",
            self.link.name
        );
        true
    }
}

/// What a controller gets until it asks for something else.
fn default_async(version: Version) -> AsyncConfig {
    let mut config = AsyncConfig::default();
    // A TTL that ran out is not wanted; a packet without any rule is only by
    // versions that do not say by a rule that they want it.
    let mut packet_in =
        PACKET_IN_REASONS & !bit(PacketInReason::InvalidTtl) | bit(PacketInReason::ExplicitMiss);
    if version < Version::Of13 {
        packet_in |= bit(PacketInReason::ImplicitMiss);
    }
    config.primary[AsyncKind::PacketIn as usize] = packet_in;
    config.primary[AsyncKind::PortStatus as usize] = PORT_REASONS;
    config.secondary[AsyncKind::PortStatus as usize] = PORT_REASONS;
    config.primary[AsyncKind::FlowRemoved as usize] = flow_removed_reasons(version);
    config
}

fn bit(reason: PacketInReason) -> u32 {
    1 << reason.number()
}

/// The reasons that the standard has.
const PACKET_IN_REASONS: u32 = 0b11_1111;
const OLD_PACKET_IN_REASONS: u32 = 0b111;
const PORT_REASONS: u32 = 0b111;

fn flow_removed_reasons(version: Version) -> u32 {
    match version {
        Version::Of10 | Version::Of11 | Version::Of12 => 0b111,
        Version::Of13 => 0b1111,
        Version::Of14 | Version::Of15 => 0b11_1111,
    }
}
