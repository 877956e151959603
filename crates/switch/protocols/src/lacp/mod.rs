//! Link aggregation (IEEE 802.1AX): which members of a port are joined with the same neighbour's.
//!
//! Times are milliseconds on the switch's clock.

mod show;

use std::collections::BTreeMap;

use base::{MacAddr, OfPort};
use wire::TypedForm;
use wire::lacp::{DESTINATION, ETHER_TYPE, Header, Info, SUBTYPE_MARKER, state};

/// How often frames are sent to a neighbour that asks for them.
const FAST_TX: i64 = 1000;
/// How often to one that does not.
const SLOW_TX: i64 = 30_000;
/// So many messages of a neighbour may be missing.
const MISSING: i64 = 3;

/// What the port's row asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Messages are sent before any is received.
    pub is_active: bool,
    /// The neighbour is to send each second.
    pub is_fast: bool,
    /// Without a neighbour, the port works as if there were no such protocol.
    pub falls_back: bool,
    /// By which the neighbour knows this switch; while it is zero, nothing is sent and no link joined.
    pub system: MacAddr,
    /// The smaller, the more this side decides.
    pub system_priority: u16,
}

/// What a member's row asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberSettings {
    /// The interface's name.
    pub name: String,
    /// Its number in messages.
    pub port_id: u16,
    /// The smaller, the higher.
    pub port_priority: u16,
    /// Members of one key may be joined; zero: all of the port.
    pub key: u16,
}

/// Whether the neighbour of a member is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Status {
    /// It was heard in time.
    Current,
    /// It was heard, but not in time.
    Expired,
    /// It was not heard.
    Defaulted,
}

/// What a member has counted.
#[derive(Debug, Default)]
struct Counts {
    sent: u32,
    received: u32,
    bad: u32,
    markers: u32,
    expired: u32,
    defaulted: u32,
    link_changes: u32,
}

#[derive(Debug)]
struct Member {
    settings: MemberSettings,
    status: Status,
    /// It is part of the aggregate.
    is_attached: bool,
    has_link: bool,
    partner: Info,
    /// This end, as the neighbour knows it.
    known: Info,
    next_tx: i64,
    /// When the neighbour's state gets worse.
    expires: i64,
    counts: Counts,
}

/// What is known and counted of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberStatus {
    /// This end.
    pub actor: Info,
    /// What its state is configured to be.
    pub configured: u8,
    /// The other end.
    pub partner: Info,
    /// Frames sent.
    pub sent: u32,
    /// Frames received.
    pub received: u32,
    /// Of the frames received, those that could not be read.
    pub bad: u32,
}

/// The aggregate of a port's members.
#[derive(Debug)]
pub struct Lacp {
    name: String,
    settings: Settings,
    members: BTreeMap<OfPort, Member>,
    /// Whose key is the aggregate's.
    key_member: Option<OfPort>,
    /// A neighbour joins at least one of the links.
    is_negotiated: bool,
    is_stale: bool,
    has_news: bool,
}

impl Lacp {
    /// Without members.
    pub fn new(name: &str, settings: Settings) -> Lacp {
        Lacp {
            name: name.to_owned(),
            settings,
            members: BTreeMap::new(),
            key_member: None,
            is_negotiated: false,
            is_stale: true,
            has_news: true,
        }
    }

    /// Takes over other settings.
    pub fn configure(&mut self, settings: Settings) {
        let keeps = |s: &Settings| (s.system, s.system_priority, s.falls_back);
        self.is_stale |= keeps(&self.settings) != keeps(&settings);
        self.settings = settings;
    }

    /// Makes these the members.
    pub fn set_members(&mut self, members: &BTreeMap<OfPort, MemberSettings>, now: i64) {
        let before = self.members.len();
        self.members.retain(|port, _| members.contains_key(port));
        self.is_stale |= self.members.len() != before;
        for (port, settings) in members {
            self.set_member(*port, settings.clone(), now);
        }
        if self.key_member.is_none_or(|port| !self.members.contains_key(&port)) {
            self.key_member = self.members.keys().next().copied();
        }
    }

    fn set_member(&mut self, port: OfPort, settings: MemberSettings, now: i64) {
        let numbers = |s: &MemberSettings| (s.port_id, s.port_priority, s.key);
        let is_new = !self.members.contains_key(&port);
        let member = self.members.entry(port).or_insert_with(|| Member::new(settings.clone()));
        let is_changed = is_new || numbers(&member.settings) != numbers(&settings);
        member.settings = settings;
        if is_changed {
            self.is_stale = true;
            if self.settings.is_active || self.is_negotiated {
                member.expire(now);
            }
        }
    }

    /// A member's link has come up or gone down, or is seen for the first time.
    pub fn set_link(&mut self, port: OfPort, has_link: bool, now: i64) {
        let is_active = self.settings.is_active;
        let Some(member) = self.members.get_mut(&port) else { return };
        if member.has_link == has_link {
            return;
        }
        member.has_link = has_link;
        member.counts.link_changes += 1;
        if member.status == Status::Current || is_active {
            member.expire(now);
            self.is_stale = true;
        }
    }

    /// Whether some neighbour has agreed.
    pub fn is_negotiated(&self) -> bool {
        self.is_negotiated
    }

    /// Whether a member may carry frames.
    pub fn may_enable(&self, port: OfPort) -> bool {
        self.members.get(&port).is_some_and(|member| member.may_enable(self.settings.falls_back))
    }

    /// Whether the neighbour of a member is known; `None` for who is no member.
    pub fn is_current(&self, port: OfPort) -> Option<bool> {
        self.members.get(&port).map(|member| member.status != Status::Defaulted)
    }

    /// What is known and counted of a member.
    pub fn member_status(&self, port: OfPort) -> Option<MemberStatus> {
        let member = self.members.get(&port)?;
        let mut configured = state::AGGREGATION;
        configured |= if self.settings.is_active { state::ACTIVITY } else { 0 };
        configured |= if self.settings.is_fast { state::TIMEOUT } else { 0 };
        let Counts { sent, received, bad, .. } = member.counts;
        let (actor, partner) = (self.actor_of(member), member.partner);
        Some(MemberStatus { actor, partner, configured, sent, received, bad })
    }

    /// When [`Lacp::run`] has something to do next.
    pub fn wakes_at(&self) -> i64 {
        if self.settings.system.is_zero() {
            return i64::MAX;
        }
        if self.is_stale {
            return 0;
        }
        let of = |member: &Member| {
            let tx = if self.may_send(member) { member.next_tx } else { i64::MAX };
            let rx = if member.status == Status::Defaulted { i64::MAX } else { member.expires };
            tx.min(rx)
        };
        self.members.values().map(of).min().unwrap_or(i64::MAX)
    }

    /// Does what time asks for; the messages to send, each with its member.
    pub fn run(&mut self, now: i64) -> Vec<(OfPort, Header)> {
        if self.settings.system.is_zero() {
            return Vec::new();
        }
        for member in self.members.values_mut().filter(|member| now >= member.expires) {
            match member.status {
                Status::Current => {
                    member.expire(now);
                    member.counts.expired += 1;
                    self.has_news = true;
                    self.is_stale = true;
                }
                Status::Expired => {
                    member.status = Status::Defaulted;
                    member.partner = Info::default();
                    member.counts.defaulted += 1;
                    self.has_news = true;
                    self.is_stale = true;
                }
                Status::Defaulted => {}
            }
        }
        if std::mem::take(&mut self.is_stale) {
            self.attach();
            self.has_news = true;
        }
        let mut messages = Vec::new();
        let ports: Vec<OfPort> = self.members.keys().copied().collect();
        for port in ports {
            let Some(actor) = self.actor(port) else { continue };
            let Some(member) = self.members.get(&port).filter(|member| self.may_send(member)) else {
                continue;
            };
            if now < member.next_tx && is_known(&actor, &member.known) {
                continue;
            }
            messages.push((port, Header { actor, partner: member.partner }));
            if let Some(member) = self.members.get_mut(&port) {
                member.known = actor;
                member.counts.sent += 1;
                let is_fast = member.partner.state & state::TIMEOUT != 0;
                member.next_tx = now + if is_fast { FAST_TX } else { SLOW_TX };
            }
        }
        messages
    }

    /// Takes a frame of the slow protocols.
    pub fn receive(&mut self, port: OfPort, frame: &[u8], now: i64) {
        let name = self.name.clone();
        let Some(member) = self.members.get_mut(&port) else { return };
        member.counts.received += 1;
        let message = match slow_protocol(frame) {
            Some([SUBTYPE_MARKER, ..]) => {
                member.counts.markers += 1;
                log::debug!(target: "lacp", "{name}: received a LACP marker PDU.");
                return;
            }
            Some(bytes) => Header::parse(bytes),
            None => None,
        };
        let Some(message) = message else {
            member.counts.bad += 1;
            log::warn!(target: base::bounded!("lacp"), "{name}: received an unparsable LACP PDU.");
            return;
        };
        if !member.has_link {
            log::info!(
                target: base::bounded!("lacp"),
                "{}: carrier state is DOWN, dropping received LACP PDU.", member.settings.name
            );
            return;
        }
        self.has_news |= member.status != Status::Current;
        self.is_stale |= member.status != Status::Current;
        member.status = Status::Current;
        member.expires = now + MISSING * if self.settings.is_fast { FAST_TX } else { SLOW_TX };
        member.known = message.partner;
        if member.partner != message.actor {
            member.partner = message.actor;
            self.is_stale = true;
        }
    }

    /// Finds out which members are joined: those that have the same neighbour, and the same key there, as the leading one.
    fn attach(&mut self) {
        let falls_back = self.settings.falls_back;
        let working = self.members.iter().filter(|(_, m)| m.status == Status::Current && m.is_attached);
        let working = working.min_by_key(|(_, member)| self.priority(member));
        // A member that works leads on; the others have to have its neighbour.
        let mut lead = working.map(|(port, member)| (*port, true, self.priority(member)));
        let system = working.map(|(_, member)| member.partner.system);
        let mut attached = BTreeMap::new();
        for (port, member) in &self.members {
            if member.partner.system == self.settings.system {
                log::warn!(
                    target: base::bounded!("lacp"),
                    "member {}: Loopback detected. Interface is connected to its own bond", member.settings.name
                );
                continue;
            }
            if member.status == Status::Defaulted {
                attached.insert(*port, falls_back);
                continue;
            }
            let is_attached = system.is_none_or(|system| member.partner.system == system);
            attached.insert(*port, is_attached);
            let is_ready = is_attached && member.partner.state & state::SYNCHRONIZED != 0;
            let better = |(_, ready, priority): &(OfPort, bool, Priority)| {
                (!is_ready, self.priority(member)) < (!ready, *priority)
            };
            if is_attached && lead.as_ref().is_none_or(better) {
                lead = Some((*port, is_ready, self.priority(member)));
            }
        }
        self.is_negotiated = lead.is_some();
        let lead =
            lead.and_then(|(port, ..)| self.members.get(&port)).map(|m| (m.partner.system, m.partner.key));
        for (port, member) in &mut self.members {
            let is_attached = attached.get(port).copied().unwrap_or(false);
            let is_with_lead = |(system, key)| {
                let stands_alone = falls_back && member.status == Status::Defaulted;
                !stands_alone && member.partner.system == system && member.partner.key == key
            };
            member.is_attached = is_attached && lead.is_none_or(is_with_lead);
        }
    }

    fn may_send(&self, member: &Member) -> bool {
        member.has_link && (self.settings.is_active || member.status != Status::Defaulted)
    }

    /// The key of the aggregate.
    fn key(&self) -> Option<u16> {
        let settings = &self.members.get(&self.key_member?)?.settings;
        Some(if settings.key == 0 { settings.port_id } else { settings.key })
    }

    /// What a member says of this end.
    fn actor(&self, port: OfPort) -> Option<Info> {
        Some(self.actor_of(self.members.get(&port)?))
    }

    fn actor_of(&self, member: &Member) -> Info {
        let mut bits = 0;
        let mut set = |bit, is_set| bits |= if is_set { bit } else { 0 };
        set(state::ACTIVITY, self.settings.is_active);
        set(state::TIMEOUT, self.settings.is_fast);
        set(state::SYNCHRONIZED, member.is_attached);
        set(state::DEFAULTED, member.status == Status::Defaulted);
        set(state::EXPIRED, member.status == Status::Expired);
        set(state::AGGREGATION, self.members.len() > 1);
        set(state::COLLECTING | state::DISTRIBUTING, member.is_attached || !self.is_negotiated);
        Info {
            system_priority: self.settings.system_priority,
            system: self.settings.system,
            key: self.key().unwrap_or(0),
            port_priority: member.settings.port_priority,
            port: member.settings.port_id,
            state: bits,
        }
    }

    /// The smaller, the higher: that of the end whose system decides.
    fn priority(&self, member: &Member) -> Priority {
        let (ours, theirs) = (self.actor_of(member), member.partner);
        let system = |info: &Info| (info.system_priority, info.system);
        let decides = if system(&ours) < system(&theirs) { ours } else { theirs };
        (decides.system_priority, decides.system, decides.port_priority, decides.port)
    }

    /// Whether what operators see has changed since this was asked last.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }
}

type Priority = (u16, MacAddr, u16, u16);

impl Member {
    fn new(settings: MemberSettings) -> Member {
        Member {
            settings,
            status: Status::Defaulted,
            is_attached: false,
            has_link: false,
            partner: Info::default(),
            known: Info::default(),
            next_tx: 0,
            expires: 0,
            counts: Counts::default(),
        }
    }

    /// The neighbour is asked for a sign of life soon.
    fn expire(&mut self, now: i64) {
        self.status = Status::Expired;
        self.partner.state = self.partner.state & !state::SYNCHRONIZED | state::TIMEOUT;
        self.expires = now + MISSING * FAST_TX;
    }

    fn may_enable(&self, falls_back: bool) -> bool {
        let is_agreed = self.partner.state & state::SYNCHRONIZED != 0;
        self.is_attached && (is_agreed || falls_back && self.status == Status::Defaulted)
    }
}

/// Whether the neighbour knows of this end what it has to (802.1AX, "update NTT").
fn is_known(actor: &Info, known: &Info) -> bool {
    let bits = state::ACTIVITY | state::TIMEOUT | state::SYNCHRONIZED | state::AGGREGATION;
    let told = |info: &Info| Info { state: info.state & bits, ..*info };
    told(actor) == told(known)
}

/// What is behind the Ethernet header of a frame of the slow protocols.
fn slow_protocol(frame: &[u8]) -> Option<&[u8]> {
    let ethernet = wire::ethernet::Ethernet::parse(frame)?;
    (ethernet.ether_type() == ETHER_TYPE).then(|| ethernet.payload())
}

/// The frame of a message, from a port with address `mac`.
pub(crate) fn frame(message: &Header, mac: MacAddr) -> Vec<u8> {
    let mut frame = wire::ethernet::header(DESTINATION, mac, ETHER_TYPE).to_vec();
    message.append(&mut frame);
    frame
}

#[cfg(test)]
mod tests;
