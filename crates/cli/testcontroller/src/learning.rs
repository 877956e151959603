//! What to answer to one switch: the learning switch of a textbook, in
//! messages. No I/O and no clock: messages and the time enter, messages leave.

use std::rc::Rc;

use base::{OfPort, Timestamp};
use fields::{Match, Protocols};
use flow::{FlowMask, Metadata, slot};
use ofp::{
    Action, Enqueue, FlowMod, FlowModCommand, FragHandling, Message, NO_BUFFER, Output, PacketIn,
    PacketInReason, PacketOut, PortDesc, SwitchConfig, Version,
};

use crate::macs::Macs;
use crate::options::{Mode, Options};

/// How much of a packet a switch is to send: all of it, as many keep nothing of what they sent up.
const MISS_SEND_LEN: u16 = u16::MAX;

/// One switch that is connected.
#[derive(Debug)]
pub(crate) struct LearningSwitch {
    options: Rc<Options>,
    version: Version,
    datapath_id: u64,
    /// The switch has reported its features.
    is_known: bool,
    macs: Macs,
    /// The queues of ports that `--port-queue` names.
    queues: Vec<(OfPort, u32)>,
    /// What a rule depends on.
    mask: FlowMask,
}

/// Messages to be sent in a protocol.
pub(crate) type Outgoing = Vec<(Protocols, Message)>;

impl LearningSwitch {
    /// A switch with which `version` was agreed on, and what to tell it first.
    pub(crate) fn new(options: Rc<Options>, version: Version) -> (LearningSwitch, Outgoing) {
        let mask = mask_of_wildcards(options.wildcards);
        let switch = LearningSwitch {
            options,
            version,
            datapath_id: 0,
            is_known: false,
            macs: Macs::default(),
            queues: Vec::new(),
            mask,
        };
        let hello = switch.greeting();
        (switch, hello)
    }

    fn protocol(&self) -> Protocols {
        Protocols::initial(self.version.byte())
    }

    fn greeting(&self) -> Outgoing {
        let config = SwitchConfig {
            frag: FragHandling::Normal,
            invalid_ttl_to_controller: None,
            miss_send_len: MISS_SEND_LEN,
        };
        let mut messages = vec![Message::FeaturesRequest, Message::SetConfig(config)];
        if self.version >= Version::Of13 {
            // Ports are reported apart, and what no rule is for is dropped unless a rule says otherwise.
            if !self.options.port_queues.is_empty() {
                messages.push(Message::PortDescRequest(OfPort::ANY));
            }
            let to_controller = Output { port: OfPort::CONTROLLER, max_len: MISS_SEND_LEN };
            messages.push(Message::FlowMod(Box::new(FlowMod {
                priority: 0,
                table: 0,
                actions: vec![Action::Output(to_controller)],
                ..FlowMod::new(FlowModCommand::Add)
            })));
        }
        let mut outgoing: Outgoing = messages.into_iter().map(|message| (self.protocol(), message)).collect();
        self.add_default_flows(&mut outgoing);
        outgoing
    }

    /// The rules of `--with-flows`, in a protocol that can say them all.
    fn add_default_flows(&self, outgoing: &mut Outgoing) {
        let (flows, usable) = &self.options.flows;
        if flows.is_empty() {
            return;
        }
        let possible = *usable & Protocols::from_version(self.version.byte());
        let mut protocol = self.protocol();
        if !possible.intersects(protocol) {
            let want = possible.lowest();
            if want.is_empty() {
                log::info!(target: "learning_switch", "failed to set usable protocol");
                return;
            }
            if want.base() != protocol.base() {
                outgoing.push((protocol, Message::SetFlowFormat { nxm: want.is_nxm10() }));
                protocol = protocol.set_base(want.base());
            }
            if want != protocol {
                outgoing.push((protocol, Message::FlowModTableId(want.intersects(Protocols::TID))));
                protocol = want;
            }
        }
        outgoing.extend(flows.iter().map(|flow| (protocol, Message::FlowMod(Box::new(flow.clone())))));
    }

    /// Takes in a message; what to answer.
    pub(crate) fn receive(&mut self, message: Message, now: Timestamp) -> Outgoing {
        let answers = match message {
            Message::EchoRequest(payload) => vec![Message::EchoReply(payload)],
            Message::FeaturesReply(features) if !self.is_known => {
                self.datapath_id = features.datapath_id;
                self.is_known = true;
                self.note_ports(&features.ports);
                Vec::new()
            }
            Message::PortDescReply(ports) => {
                self.note_ports(&ports);
                Vec::new()
            }
            Message::PacketIn(packet) if self.is_known => self.packet(&packet, now),
            Message::Error { error, .. } => {
                log::info!(target: base::bounded!("learning_switch"), "{:016x}: the switch refused: {error}", self.datapath_id);
                Vec::new()
            }
            _ => Vec::new(),
        };
        answers.into_iter().map(|message| (self.protocol(), message)).collect()
    }

    fn note_ports(&mut self, ports: &[PortDesc]) {
        for port in ports {
            if let Some((_, queue)) = self.options.port_queues.iter().find(|(name, _)| *name == port.name) {
                self.queues.push((port.port, *queue));
            }
        }
    }

    fn packet(&mut self, packet: &PacketIn, now: Timestamp) -> Vec<Message> {
        use PacketInReason::{ExplicitMiss, ImplicitMiss, NoMatch};
        // What a rule of somebody else's sent here is his experiment.
        if !matches!(packet.reason, NoMatch | ExplicitMiss | ImplicitMiss) {
            return Vec::new();
        }
        let mut key = flow::extract(&Metadata::default(), &packet.packet, 1);
        let in_port = OfPort(packet.metadata.key.in_port());
        key.set_in_port(in_port.0);
        key.set_tun_id(packet.metadata.key.tun_id());
        let destination = self.destination(key.dl_src(), key.dl_dst(), in_port, now);
        let actions = self.actions(destination, in_port);
        let mut from = Match::catch_all();
        from.set_in_port(in_port);
        let forward = |buffer_id: u32| {
            let bytes = if buffer_id == NO_BUFFER { packet.packet.clone() } else { Vec::new() };
            Message::PacketOut(Box::new(PacketOut {
                packet: bytes,
                buffer_id,
                metadata: from.clone(),
                actions: actions.clone(),
            }))
        };
        let is_sent = packet.buffer_id == NO_BUFFER && destination.is_some();
        let is_certain = self.options.mode != Mode::Learn || destination != Some(OfPort::FLOOD);
        match self.options.max_idle {
            Some(idle_timeout) if is_certain => {
                let mut m = Match::new(&key, self.mask.clone());
                m.normalize_quiet();
                let add = FlowMod {
                    m,
                    // Above the rule that sends here what no rule is for.
                    priority: 1,
                    table: if self.version == Version::Of10 { 0xff } else { 0 },
                    idle_timeout,
                    buffer_id: packet.buffer_id,
                    actions: actions.clone(),
                    ..FlowMod::new(FlowModCommand::Add)
                };
                let mut messages = vec![Message::FlowMod(Box::new(add))];
                if is_sent {
                    messages.push(forward(NO_BUFFER));
                }
                messages
            }
            _ if is_sent || packet.buffer_id != NO_BUFFER => vec![forward(packet.buffer_id)],
            _ => Vec::new(),
        }
    }

    /// Where a frame goes; `None`: nowhere.
    fn destination(
        &mut self,
        from: base::MacAddr,
        to: base::MacAddr,
        in_port: OfPort,
        now: Timestamp,
    ) -> Option<OfPort> {
        let learns = self.options.mode == Mode::Learn;
        if learns && self.macs.learn(from, in_port, now) {
            log::debug!(target: "learning_switch",
                "{:016x}: learned that {from} is on port {}", self.datapath_id, in_port.0);
        }
        if to.is_reserved() {
            return None;
        }
        let known = if learns { self.macs.port(to, now) } else { None };
        match known {
            Some(port) if port == in_port => None,
            Some(port) => Some(port),
            None if self.options.mode == Mode::Normal => Some(OfPort::NORMAL),
            None => Some(OfPort::FLOOD),
        }
    }

    fn actions(&self, destination: Option<OfPort>, in_port: OfPort) -> Vec<Action> {
        let Some(port) = destination else { return Vec::new() };
        let of_port = self.queues.iter().find(|(port, _)| *port == in_port).map(|(_, queue)| *queue);
        match of_port.or(self.options.queue) {
            Some(queue) if port < OfPort::MAX => vec![Action::Enqueue(Enqueue { port, queue })],
            _ => vec![Action::Output(Output { port, max_len: 0 })],
        }
    }
}

/// The bits of a key that a rule depends on, when OpenFlow 1.0's `wildcards` do not count.
fn mask_of_wildcards(wildcards: u32) -> FlowMask {
    let mut mask = FlowMask::new();
    let counts = |bit: u32| wildcards >> bit & 1 == 0;
    for (bit, slot) in [
        (0, slot::IN_PORT),
        (2, slot::DL_SRC),
        (3, slot::DL_DST),
        (4, slot::DL_TYPE),
        (5, slot::NW_PROTO),
        (6, slot::TP_SRC),
        (7, slot::TP_DST),
    ] {
        if counts(bit) {
            mask.add_all(slot);
        }
    }
    if counts(21) {
        mask.add(slot::NW_TOS, 0xfc);
    }
    // Six bits say how many of the address, from its end, do not count.
    for (shift, slot) in [(8, slot::NW_SRC), (14, slot::NW_DST)] {
        let ignored = wildcards >> shift & 0x3f;
        mask.add(slot, u128::from(u32::MAX.checked_shl(ignored).unwrap_or(0)));
    }
    if counts(1) {
        mask.add(slot::VLAN0_TCI, 0x1fff);
    }
    if counts(20) {
        mask.add(slot::VLAN0_TCI, 0xf000);
    }
    mask
}

#[cfg(test)]
mod tests;
