//! Requests of controllers.

use base::OfPort;
use flowsync::InjectError;
use ofp::{ControllerRole, Decoded, FlowMod, Message, OfError, PacketOut, PortMod, SwitchConfig};
use pipeline::{BridgeId, Fragments};

use crate::channel::PeerId;
use crate::listings::{GroupRows, MeterRows, PortRows};
use crate::manager::Manager;
use crate::received::Received;
use crate::replies::{Aggregate, Flows, Rows};
use crate::statistics;

/// A request's answers, or the error that answers it.
pub(crate) type Answer = Result<Vec<Message>, OfError>;

impl Manager {
    pub(crate) fn handle_message(&mut self, peer: PeerId, received: Received) {
        let Some(protocol) = self.peers.get(&peer).map(|peer| peer.protocol) else { return };
        let context = ofp::Context { protocol, n_tables: crate::TABLES, flow_age: true, loose: false };
        let (xid, answer) = match ofp::decode(received.bytes(), &context) {
            // A long request is answered when its last part is there: who sends it need not read before.
            Ok(Decoded { xid, more: true, message: Message::TableFeaturesRequest(changes), .. }) => {
                (xid, self.collect_features(peer, xid, changes).map(|()| Vec::new()))
            }
            Ok(decoded) => (decoded.xid, self.answer(peer, decoded.xid, decoded.message, &received)),
            Err(error) => (received.xid(), Err(error)),
        };
        match answer {
            Ok(messages) => self.send_all(peer, xid, messages),
            Err(error) => self.send_error(peer, xid, error, received.quoted()),
        }
    }

    fn send_all(&self, peer: PeerId, xid: u32, messages: Vec<Message>) {
        let Some(peer) = self.peers.get(&peer) else { return };
        for message in &messages {
            peer.send(xid, message);
        }
    }

    pub(crate) fn send_error(&self, peer: PeerId, xid: u32, error: OfError, head: Vec<u8>) {
        if let Some(known) = self.peers.get(&peer) {
            let (name, request) = (&known.link.name, ofp::message_name(&head));
            log::info!(target: base::bounded!("connmgr", 10), "{name}: sending {error} error reply to {request} message");
        }
        self.send(peer, xid, &Message::Error { error, payload: head });
    }

    // house: long because it is the one list of requests; each arm is a call or a line.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all others are refused, with an error for their sender"
    )]
    fn answer(&mut self, id: PeerId, xid: u32, message: Message, received: &Received) -> Answer {
        let Some(peer) = self.peers.get(&id) else { return Ok(Vec::new()) };
        let (bridge, version) = (peer.bridge, peer.version);
        if peer.role == ControllerRole::Secondary && changes_state(&message) {
            return Err(OfError::OfpbrcIsSecondary);
        }
        let now = self.clock.now();
        match message {
            Message::FeaturesRequest => {
                let Some(control) = self.bridges.get(&bridge) else { return Ok(Vec::new()) };
                self.with_bridge(bridge, |state| {
                    vec![Message::FeaturesReply(statistics::features(state, control, version))]
                })
            }
            Message::GetConfigRequest => self.config(id),
            Message::SetConfig(config) => self.set_config(id, config),
            Message::BarrierRequest => Ok(vec![Message::BarrierReply]),
            Message::FlowMod(request) => self.flow_mod(id, &request, xid).map(|()| Vec::new()),
            Message::PacketOut(request) => self.packet_out(id, &request),
            Message::PortMod(request) => self.port_mod(id, &request).map(|()| Vec::new()),
            Message::GroupMod(request) => self.group_mod(id, xid, &request).map(|()| Vec::new()),
            Message::MeterMod(request) => self.meter_mod(id, xid, &request).map(|()| Vec::new()),
            Message::TableMod(request) => self.table_mod(id, &request),
            Message::TableFeaturesRequest(changes) => self.table_features(id, xid, changes),
            Message::RoleRequest(request) => self.role(id, request),
            Message::Resume(packet) => self.resume(*packet).map(|()| Vec::new()),
            Message::GetAsyncRequest => Ok(vec![Message::GetAsyncReply(peer.shown_async())]),
            Message::SetAsync(update) => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.set_async(&update);
                }
                Ok(Vec::new())
            }
            Message::BundleControl(request) => self.bundle_control(id, request, received),
            Message::BundleAdd(add) => {
                let Some(peer) = self.peers.get_mut(&id) else { return Ok(Vec::new()) };
                let switch = self.switch.read();
                let Some(state) = switch.get(bridge) else { return Ok(Vec::new()) };
                peer.bundles.add(add, received, state, now).map(|()| Vec::new())
            }
            Message::SetPacketInFormat(format) => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.packet_in_format = format;
                }
                Ok(Vec::new())
            }
            Message::SetControllerId(controller) => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.controller_id = controller;
                }
                self.update_misses(bridge);
                Ok(Vec::new())
            }
            message @ (Message::SetFlowFormat { .. } | Message::FlowModTableId(_)) => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.protocol = crate::channel::protocol_after(peer.protocol, &message);
                }
                Ok(Vec::new())
            }
            Message::FlowAge => Ok(Vec::new()),
            Message::CtFlushZone(zone) => self.flush_connections(bridge, Some(zone), &Default::default()),
            Message::CtFlush(flush) => self.flush_connections(bridge, flush.zone, &flush.filter),
            Message::Error { error, .. } => {
                log::info!(target: base::bounded!("connmgr"), "{}: received {error} error", peer.link.name);
                Ok(Vec::new())
            }
            Message::TlvTableMod(request) => self.change_tunnel_options(bridge, &request),
            Message::TlvTableRequest => {
                self.with_bridge(bridge, |state| vec![Message::TlvTableReply(state.tunnel_options().shown())])
            }
            Message::FlowMonitorRequest(requests) => self.add_monitors(id, xid, requests),
            Message::FlowMonitorCancel(monitor) => {
                let Some(peer) = self.peers.get_mut(&id) else { return Ok(Vec::new()) };
                peer.monitors.cancel(monitor).map(|()| Vec::new())
            }
            other => self.answer_statistics(id, xid, other),
        }
    }

    /// Has the datapath forget connections. One that is not there is no error.
    fn flush_connections(&self, bridge: BridgeId, zone: Option<u16>, filter: &conntrack::Filter) -> Answer {
        let Some(below) = self.below(bridge) else { return Ok(Vec::new()) };
        let now = self.clock.now();
        below.datapath.flush_connections(zone, filter, now).ok_or(OfError::OfpbrcBadType)?;
        Ok(Vec::new())
    }

    /// Answers requests for statistics. Where the answer may be long it is only begun here.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all others are refused, with an error for their sender"
    )]
    fn answer_statistics(&mut self, id: PeerId, xid: u32, message: Message) -> Answer {
        let Some(peer) = self.peers.get(&id) else { return Ok(Vec::new()) };
        let (bridge, version) = (peer.bridge, peer.version);
        let rows: Box<dyn Rows> = match message {
            Message::DescRequest => {
                let desc = self.bridges.get(&bridge).map(statistics::description).unwrap_or_default();
                return Ok(vec![Message::DescReply(Box::new(desc))]);
            }
            Message::TableStatsRequest => {
                self.credit(bridge);
                return self.with_bridge(bridge, |state| {
                    vec![Message::TableStatsReply(statistics::table_stats(state, version))]
                });
            }
            Message::TableDescRequest => {
                return self.with_bridge(bridge, |state| vec![Message::TableDescReply(state.table_descs())]);
            }
            Message::QueueStatsRequest { port, queue } => {
                let queues = self.queues(bridge, port, queue, OfError::OfpqofcBadQueue)?;
                let now = self.clock.now();
                let queues = queues.into_iter().map(|queue| statistics::queue_stats(queue, now));
                return Ok(vec![Message::QueueStatsReply(queues.collect())]);
            }
            Message::QueueDescRequest { port, queue } => {
                let queues = self.queues(bridge, port, queue, OfError::NxqofcQueueError)?;
                let queues = queues.into_iter().map(statistics::queue_config).collect();
                return Ok(vec![Message::QueueDescReply { port, queues }]);
            }
            Message::GroupFeaturesRequest => {
                return Ok(vec![Message::GroupFeaturesReply(ofproto::group_features())]);
            }
            Message::MeterFeaturesRequest => {
                return Ok(vec![Message::MeterFeaturesReply(ofproto::meter_features())]);
            }
            Message::IpfixBridgeStatsRequest => {
                let stats = self.ipfix.get(&bridge).and_then(|counters| counters.bridge);
                return Ok(vec![Message::IpfixBridgeStatsReply(stats.ok_or(OfError::NxstNotConfigured)?)]);
            }
            Message::IpfixFlowStatsRequest => {
                let sets = self.ipfix.get(&bridge).map(|counters| counters.sets.clone());
                let sets = sets.filter(|sets| !sets.is_empty()).ok_or(OfError::NxstNotConfigured)?;
                return Ok(vec![Message::IpfixFlowStatsReply(sets)]);
            }
            Message::FlowStatsRequest(request) => {
                self.credit(bridge);
                Box::new(Flows::new(*request))
            }
            Message::AggregateRequest(request) => {
                self.credit(bridge);
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.reply = Some(Box::new(Aggregate::new(xid, *request)));
                }
                return Ok(Vec::new());
            }
            Message::PortStatsRequest(which) => Box::new(PortRows::statistics(which)),
            Message::PortDescRequest(which) => Box::new(PortRows::descriptions(which)),
            Message::GroupStatsRequest(which) => {
                self.credit(bridge);
                Box::new(GroupRows::statistics(which))
            }
            Message::GroupDescRequest(which) => Box::new(GroupRows::descriptions(which)),
            Message::MeterStatsRequest(which) => Box::new(MeterRows::statistics(which)),
            Message::MeterConfigRequest(which) => Box::new(MeterRows::configurations(which)),
            _ => return Err(OfError::OfpbrcBadType),
        };
        self.begin_listing(id, xid, rows);
        Ok(Vec::new())
    }

    /// What `look` makes of the bridge; nothing when it is gone.
    pub(crate) fn with_bridge(
        &self,
        bridge: pipeline::BridgeId,
        look: impl FnOnce(&ofproto::Bridge) -> Vec<Message>,
    ) -> Answer {
        Ok(self.switch.read().get(bridge).map(look).unwrap_or_default())
    }

    fn config(&self, id: PeerId) -> Answer {
        let Some(peer) = self.peers.get(&id) else { return Ok(Vec::new()) };
        let fragments =
            self.switch.read().get(peer.bridge).map(|b| b.settings().fragments).unwrap_or_default();
        let frag = match fragments {
            Fragments::Normal => ofp::FragHandling::Normal,
            Fragments::Drop => ofp::FragHandling::Drop,
            Fragments::NxMatch => ofp::FragHandling::NxMatch,
        };
        let config = SwitchConfig {
            frag,
            invalid_ttl_to_controller: Some(peer.async_config.primary[0] >> 2 & 1 != 0),
            miss_send_len: peer.miss_send_len,
        };
        Ok(vec![Message::GetConfigReply(config)])
    }

    fn set_config(&mut self, id: PeerId, config: SwitchConfig) -> Answer {
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(Vec::new()) };
        let bridge = peer.bridge;
        peer.miss_send_len = config.miss_send_len;
        if let Some(wanted) = config.invalid_ttl_to_controller {
            let bit = 1 << 2;
            let mask = &mut peer.async_config.primary[0];
            *mask = if wanted { *mask | bit } else { *mask & !bit };
        }
        // A secondary may say how much it wants to see, but not how the switch treats packets.
        let fragments = match config.frag {
            ofp::FragHandling::Normal => Fragments::Normal,
            ofp::FragHandling::Drop => Fragments::Drop,
            ofp::FragHandling::NxMatch => Fragments::NxMatch,
            ofp::FragHandling::Reassemble => return Err(OfError::OfpscfcBadFlags),
        };
        if peer.role != ControllerRole::Secondary
            && let Some(state) = self.switch.write().get_mut(bridge)
        {
            let settings = ofproto::Settings { fragments, ..state.settings().clone() };
            state.set_settings(settings);
        }
        self.update_misses(bridge);
        Ok(Vec::new())
    }

    fn flow_mod(&mut self, id: PeerId, request: &FlowMod, xid: u32) -> Result<(), OfError> {
        let now = self.clock.now();
        let Some(peer) = self.peers.get(&id) else { return Ok(()) };
        let bridge = peer.bridge;
        if request.command.is_delete() {
            // Counters that a message about the end of a rule tells must be whole.
            self.credit(bridge);
        }
        let changes = self.switch.flow_mod(bridge, request, now)?;
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.rule_log.note(request.command, now);
        }
        self.tell_rule_changes(bridge, &changes, Some((id, xid)), now);
        self.free_later(bridge, changes);
        if request.buffer_id != ofp::NO_BUFFER {
            return Err(OfError::OfpbrcBufferUnknown);
        }
        Ok(())
    }

    fn packet_out(&mut self, id: PeerId, request: &PacketOut) -> Answer {
        let Some(peer) = self.peers.get(&id) else { return Ok(Vec::new()) };
        let bridge = peer.bridge;
        if let Some(state) = self.switch.read().get(bridge) {
            check_packet_out(state, request)?;
        }
        let packet = dp::Packet::from_bytes(&request.packet);
        let Some(below) = self.below(bridge) else { return Ok(Vec::new()) };
        below
            .flows
            .packet_out(bridge, packet, &request.metadata.key, &request.actions)
            .map(|()| Vec::new())
            .map_err(|error| not_sent(&error))
    }

    fn port_mod(&mut self, id: PeerId, request: &PortMod) -> Result<(), OfError> {
        let Some(peer) = self.peers.get(&id) else { return Ok(()) };
        let bridge = peer.bridge;
        match self.switch.read().get(bridge) {
            Some(state) => state.check_port_mod(request)?,
            None => return Ok(()),
        }
        self.configure_port(bridge, request, Some(id))
    }

    /// Sets the bits of the mask in a port's configuration, for the peer `by`.
    pub(crate) fn configure_port(
        &mut self,
        bridge: pipeline::BridgeId,
        request: &PortMod,
        by: Option<PeerId>,
    ) -> Result<(), OfError> {
        let number = request.port;
        let (datapath_port, changed) = {
            let switch = self.switch.read();
            let Some(state) = switch.get(bridge) else { return Ok(()) };
            let Some(entry) = state.port_entry(number) else { return Err(OfError::OfppmfcBadPort) };
            (entry.port.datapath, (entry.desc.config ^ request.config) & request.mask)
        };
        let down = ofp::port_config::PORT_DOWN;
        let moved = datapath_port.filter(|_| changed & down != 0);
        if let Some(port) = moved {
            self.turn_device(bridge, port, request.config & down == 0)?;
        }
        let news = self.switch.write().get_mut(bridge).and_then(|state| state.configure_port(request));
        if let Some(news) = news {
            self.tell_port(bridge, &news, by);
        }
        // What the device makes of it is news to all: nobody asked for a state.
        if let Some(news) = moved.and_then(|port| self.refresh_link(bridge, number, port)) {
            self.tell_port(bridge, &news, None);
        }
        Ok(())
    }

    /// Takes over what a device says of its link.
    pub(crate) fn refresh_link(
        &self,
        bridge: pipeline::BridgeId,
        number: OfPort,
        port: base::DpPort,
    ) -> Option<ofproto::PortNews> {
        let info = self.below(bridge)?.datapath.port(port)?;
        self.switch.write().get_mut(bridge)?.update_port(number, |entry| {
            entry.desc.state = ofp::port_state::with_link(entry.desc.state, info.is_running());
        })
    }
}

/// Whether a controller in the secondary role may not send it.
fn changes_state(message: &Message) -> bool {
    matches!(
        message,
        Message::PacketOut(_)
            | Message::FlowMod(_)
            | Message::GroupMod(_)
            | Message::PortMod(_)
            | Message::TableMod(_)
            | Message::MeterMod(_)
            | Message::TlvTableMod(_)
            | Message::BundleControl(_)
            | Message::BundleAdd(_)
    )
}

/// The answer to a request whose packet was not sent.
pub(crate) fn not_sent(error: &InjectError) -> OfError {
    log::warn!(target: base::bounded!("ofproto_dpif"), "a packet from a controller was not sent: {error}");
    OfError::OfpfmfcUnknown
}

/// Whether a packet-out asks for what can be done.
pub(crate) fn check_packet_out(bridge: &ofproto::Bridge, request: &PacketOut) -> Result<(), OfError> {
    if request.buffer_id != ofp::NO_BUFFER {
        return Err(OfError::OfpbrcBufferUnknown);
    }
    let in_port = request.in_port();
    let valid = in_port < OfPort::MAX || in_port.is_reserved();
    if !valid || matches!(in_port, OfPort::TABLE | OfPort::NORMAL | OfPort::FLOOD | OfPort::ALL) {
        return Err(OfError::OfpbrcBadPort);
    }
    bridge.check_references(&request.actions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_not_sent_by_actions_that_the_datapath_cannot_do() {
        let mut switch = ofproto::Switch::new();
        let mut can = dp::Capabilities::ALL;
        can.conntrack.state = false;
        let id = switch.add_bridge("br0", dp::DpId(1), can);
        let bridge = switch.get(id).unwrap();
        let check = |actions: &str| {
            let mut metadata = fields::Match::default();
            metadata.key.set_in_port(OfPort::CONTROLLER.0);
            let actions = ofp::parse_actions(actions, ofp::Names::default()).unwrap().0;
            let request = PacketOut { packet: Vec::new(), buffer_id: ofp::NO_BUFFER, metadata, actions };
            check_packet_out(bridge, &request)
        };
        assert_eq!(check("output:1"), Ok(()));
        assert_eq!(check("ct(commit)"), Err(OfError::NxbacCtDatapathSupport));
        assert_eq!(check("clone(ct(commit))"), Err(OfError::NxbacCtDatapathSupport));
    }
}
