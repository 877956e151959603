//! Carrying out bundles.

use std::collections::BTreeMap;

use base::{DpPort, OfPort};
use ofp::{BundleControl, FlowModCommand, GroupCommand, Message, OfError};
use ofproto::{Done, Part};
use pipeline::BridgeId;

use crate::bundles::{Bundle, Entry, Outcome};
use crate::channel::PeerId;
use crate::groups::GroupForms;
use crate::handle::{Answer, check_packet_out, not_sent};
use crate::manager::Manager;
use crate::received::Received;

/// What messages of a bundle have done.
type Step = ofproto::Step<flowsync::Prepared>;

/// The message that could not be carried out, its number, and why.
type Failed = (Option<Received>, usize, OfError);

/// What is to be known of a message when it is carried out.
struct Asked {
    xid: u32,
    /// What it was to do to rules.
    command: Option<FlowModCommand>,
}

impl Asked {
    fn of(entry: &Entry) -> Asked {
        let command = match &entry.part {
            Part::Flow(request) => Some(request.command),
            Part::Group(_) | Part::Port(_) | Part::Packet(_) => None,
        };
        Asked { xid: entry.received.xid(), command }
    }
}

/// A device that a bundle sets up (`true`) or down, the port of it, and which message asks for it.
struct Turned {
    device: DpPort,
    port: OfPort,
    is_up: bool,
    by: usize,
}

impl Manager {
    pub(crate) fn bundle_control(
        &mut self,
        id: PeerId,
        request: BundleControl,
        received: &Received,
    ) -> Answer {
        let now = self.clock.now();
        let Some(peer) = self.peers.get_mut(&id) else { return Ok(Vec::new()) };
        match peer.bundles.control(&request, received, now)? {
            Outcome::Reply(reply) => Ok(vec![Message::BundleControl(reply)]),
            Outcome::Commit(bundle, reply) => {
                self.commit(id, bundle)?;
                Ok(vec![Message::BundleControl(reply)])
            }
        }
    }

    /// Carries out a bundle: all of it is in force at once, or nothing.
    fn commit(&mut self, id: PeerId, bundle: Bundle) -> Result<(), OfError> {
        let Some(bridge) = self.peers.get(&id).map(|peer| peer.bridge) else { return Ok(()) };
        let entries = bundle.entries;
        if entries.iter().any(|entry| ends_rules(&entry.part)) {
            // Counters that a message about the end of a rule tells must be whole.
            self.credit(bridge);
        }
        let asked: Vec<Asked> = entries.iter().map(Asked::of).collect();
        let (done, turned) = match self.transact(bridge, entries) {
            Ok(committed) => committed,
            Err((message, _, error)) => {
                if let Some(message) = message {
                    self.send_error(id, message.xid(), error, message.quoted());
                }
                return Err(OfError::OfpbfcMsgFailed);
            }
        };
        self.tell_of_bundle(id, bridge, &asked, done);
        for Turned { device, port, .. } in turned {
            // What the device makes of it is news to all: nobody asked for a state.
            if let Some(news) = self.refresh_link(bridge, port, device) {
                self.tell_port(bridge, &news, None);
            }
        }
        Ok(())
    }

    /// Carries out all messages, and sets devices up or down. On an error, of this message and of this
    /// number, nothing has changed.
    ///
    /// Devices are slow and may refuse. They are asked when all else has succeeded and is not in force yet, and packets are
    /// translated meanwhile.
    fn transact(&self, bridge: BridgeId, entries: Vec<Entry>) -> Result<(Vec<Step>, Vec<Turned>), Failed> {
        let now = self.clock.now();
        let Some(below) = self.below(bridge) else { return Ok(Default::default()) };
        let mut change = self.switch.begin(bridge);
        let mut prepare = |switch: &ofproto::Switch, request: &ofp::PacketOut| {
            if let Some(state) = switch.get(bridge) {
                check_packet_out(state, request)?;
            }
            let prepared = below.flows.prepare(switch, bridge, request);
            let mut prepared = prepared.map_err(|error| not_sent(&error.into()))?;
            let learned = prepared.take_learned();
            Ok((prepared, learned))
        };
        // Of a million messages only those about ports may still fail when all are carried out.
        let mut of_ports = BTreeMap::new();
        let parts = entries.into_iter().enumerate().map(|(by, Entry { part, received })| {
            if matches!(part, Part::Port(_)) {
                of_ports.insert(by, received.clone());
            }
            (received, part)
        });
        let done = change.carry_out(parts, now, &mut prepare);
        let done = done.map_err(|(message, by, error)| (Some(message), by, error))?;
        let turned = change.look(|state| turned(state, &done));
        if let Err((by, error)) = self.turn_devices(bridge, &turned) {
            change.take_back(done);
            return Err((of_ports.remove(&by), by, error));
        }
        Ok((done, turned))
    }

    /// Sets devices up or down: all of them, or none.
    fn turn_devices(&self, bridge: BridgeId, devices: &[Turned]) -> Result<(), (usize, OfError)> {
        for (count, turned) in devices.iter().enumerate() {
            if let Err(error) = self.turn_device(bridge, turned.device, turned.is_up) {
                self.turn_back(bridge, &devices[..count]);
                return Err((turned.by, error));
            }
        }
        Ok(())
    }

    fn turn_back(&self, bridge: BridgeId, devices: &[Turned]) {
        for turned in devices.iter().rev() {
            // It has said why it cannot; nothing else can be done about it.
            let _ = self.turn_device(bridge, turned.device, !turned.is_up);
        }
    }

    /// Sets a device up or down.
    pub(crate) fn turn_device(&self, bridge: BridgeId, device: DpPort, is_up: bool) -> Result<(), OfError> {
        let Some(below) = self.below(bridge) else { return Ok(()) };
        below.datapath.configure_port(device, None, None, Some(is_up)).map_err(|e| {
            log::warn!(target: base::bounded!("ofproto"), "cannot change the state of port {device}: {e}");
            OfError::OfppmfcEperm
        })
    }

    /// Tells of what a bundle did, and sends its packets.
    fn tell_of_bundle(&mut self, id: PeerId, bridge: BridgeId, asked: &[Asked], done: Vec<Step>) {
        let now = self.clock.now();
        let below = self.below(bridge);
        let mut rules = Vec::new();
        // Who changes what it watches is notified in short, with the first message that changed something.
        let mut first = None;
        if let Some(peer) = self.peers.get_mut(&id) {
            for command in asked.iter().filter_map(|asked| asked.command) {
                peer.rule_log.note(command, now);
            }
        }
        for ofproto::Step { by, done } in done {
            let xid = asked.get(by).map_or(0, |asked| asked.xid);
            match done {
                Done::Rules(changes) => {
                    first = first.or((!changes.is_empty()).then_some((id, xid)));
                    match rules.is_empty() {
                        true => rules = changes,
                        false => rules.extend(changes),
                    }
                }
                Done::Group(change, request) => {
                    first = first.or((!change.rules.is_empty()).then_some((id, xid)));
                    rules.extend(change.rules.iter().cloned());
                    let forms = GroupForms::of(&request, &change);
                    self.forward_request(id, xid, &Message::GroupMod(*request), &forms);
                }
                Done::Port(news) => {
                    if let Some(news) = news {
                        self.tell_port(bridge, &news, Some(id));
                    }
                }
                Done::Packet(prepared, learned) => {
                    for (bridge, changes) in learned.changes {
                        self.tell_rule_changes(bridge, &changes, None, now);
                    }
                    if let Some(below) = &below
                        && let Err(e) = below.flows.send(*prepared)
                    {
                        // What a device does with a packet does not touch the bundle.
                        not_sent(&e.into());
                    }
                }
            }
        }
        self.tell_rule_changes(bridge, &rules, first, now);
        self.free_later(bridge, rules);
    }

    /// Gives up bundles with which nothing was done for too long.
    pub fn expire_bundles(&mut self) {
        let now = self.clock.now();
        let mut expired = Vec::new();
        for (&id, peer) in &mut self.peers {
            expired.extend(peer.bundles.expire(self.bundle_idle, now).into_iter().map(|bundle| (id, bundle)));
        }
        for (id, (xid, head)) in expired {
            self.send_error(id, xid, OfError::OfpbfcTimeout, head);
        }
    }
}

/// Whether rules may end by it.
fn ends_rules(part: &Part) -> bool {
    match part {
        Part::Flow(request) => request.command.is_delete(),
        Part::Group(request) => request.command == GroupCommand::Delete,
        Part::Port(_) | Part::Packet(_) => false,
    }
}

/// The devices that are to be set up or down when all of `done` is in force.
fn turned(state: &ofproto::Bridge, steps: &[Step]) -> Vec<Turned> {
    let down = |desc: &ofp::PortDesc| desc.config & ofp::port_config::PORT_DOWN != 0;
    let mut ports: BTreeMap<OfPort, (bool, usize)> = BTreeMap::new();
    for ofproto::Step { by, done } in steps {
        if let Done::Port(Some(news)) = done
            && let Some(old) = &news.old
            && down(old) != down(&news.status.desc)
        {
            let was_down = ports.get(&old.port).map_or_else(|| down(old), |(was_down, _)| *was_down);
            ports.insert(old.port, (was_down, *by));
        }
    }
    let turned = ports.into_iter().filter_map(|(port, (was_down, by))| {
        let entry = state.port_entry(port)?;
        let is_up = !down(&entry.desc);
        (is_up == was_down).then_some(Turned { device: entry.port.datapath?, port, is_up, by })
    });
    turned.collect()
}
