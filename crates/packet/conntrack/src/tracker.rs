//! What becomes of a packet.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use base::Timestamp;
use flow::ct_state::{DST_NAT, ESTABLISHED, INVALID, NEW, RELATED, REPLY, SRC_NAT, TRACKED};
use flow::extract::mix;

use crate::connection::{Connection, Helper, Translated};
use crate::datagram::{Datagram, Seen};
use crate::expectations::{Expectation, Expectations};
use crate::fragments::FragmentSettings;
use crate::helper::{self, Control};
use crate::key::{Direction, Key};
use crate::metadata::Metadata;
use crate::nat::{self, Nat};
use crate::policy::Policies;
use crate::rewrite;
use crate::stage::Verdict;
use crate::state::State;
use crate::sweep::Sweep;
use crate::table::Table;
use crate::zones::Zones;

/// Connections that are kept at most, unless told otherwise.
pub(crate) const DEFAULT_MAX: u32 = 3_000_000;

/// Either address is translated already.
const TRANSLATED: u32 = SRC_NAT | DST_NAT;

base::coverage! {
    /// The datapath has as many connections as it may have.
    static FULL = "conntrack_full"
}
base::coverage! {
    /// A zone has as many connections as it may have.
    static ZONE_FULL = "conntrack_zone_full"
}

/// What a rule asks of the tracker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Action<'a> {
    /// Keep the connection.
    pub commit: bool,
    /// Take this packet's direction for the connection's own.
    pub force: bool,
    /// Where the connection is kept.
    pub zone: u16,
    /// Value and mask.
    pub mark: Option<(u32, u32)>,
    /// Value and mask.
    pub label: Option<(u128, u128)>,
    /// Whose messages the connection's are.
    pub helper: Option<Helper>,
    /// The name of the policy by which the connection expires.
    pub policy: Option<&'a str>,
    /// Translate addresses.
    pub nat: Option<NatAction>,
}

/// Which translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NatAction {
    /// The one that the connection has.
    Existing,
    /// This one for a connection that is new, else that which it has.
    New(Nat),
}

/// All connections, and what holds for them. Shared by all threads.
#[derive(Debug)]
pub struct Tracker {
    pub(crate) table: Table,
    pub(crate) zones: Zones,
    pub(crate) policies: Policies,
    pub(crate) expectations: Expectations,
    pub(crate) max: AtomicU32,
    pub(crate) checks_sequences: AtomicBool,
    pub(crate) sweep: Sweep,
    /// How fragments are treated.
    pub fragments: FragmentSettings,
    random: AtomicU64,
}

impl Tracker {
    /// A tracker without connections. `secret` decides where connections lie and which ports are chosen; nobody outside is to
    /// know it.
    pub fn new(secret: u64) -> Tracker {
        crate::datagram::list_counters();
        Tracker {
            table: Table::new(secret),
            zones: Zones::default(),
            policies: Policies::default(),
            expectations: Expectations::default(),
            max: AtomicU32::new(DEFAULT_MAX),
            checks_sequences: AtomicBool::new(true),
            sweep: Sweep::default(),
            fragments: FragmentSettings::default(),
            random: AtomicU64::new(mix(secret, 1)),
        }
    }

    /// Tracks a whole packet: sets what is known of its connection, and translates its addresses.
    pub fn track<D: Datagram>(
        &self,
        datagram: &mut D,
        ct: &mut Metadata,
        action: &Action<'_>,
        now: Timestamp,
    ) {
        let Some(seen) = Seen::read(datagram, action.zone) else {
            *ct = Metadata::invalid(action.zone);
            return;
        };
        if ct.zone != action.zone {
            ct.state = 0;
        }
        Pass { tracker: self, datagram, ct, action, seen, now }.run();
    }

    fn random(&self) -> u64 {
        let count = self.random.fetch_add(1, Ordering::Relaxed);
        mix(mix(self.table.basis(), count), count)
    }
}

/// One packet on its way through the tracker.
struct Pass<'a, D> {
    tracker: &'a Tracker,
    datagram: &'a mut D,
    ct: &'a mut Metadata,
    action: &'a Action<'a>,
    seen: Seen,
    now: Timestamp,
}

/// What comes after a connection was looked at.
enum Next {
    Done,
    /// Another one begins, by packets with this key.
    Begin(Key),
}

impl<D: Datagram> Pass<'_, D> {
    fn run(mut self) {
        if self.is_known() && self.again() {
            return;
        }
        let next = self.find().unwrap_or_else(|| self.unknown());
        if let Next::Begin(key) = next {
            self.begin(key);
        }
    }

    /// Whether the packet has gone through this zone and nothing has changed since.
    fn is_known(&self) -> bool {
        self.ct.state & (TRACKED | INVALID | TRANSLATED) == TRACKED
            && !self.action.force
            && helper::of_packet(self.action.helper, &self.seen, self.datagram).is_none()
    }

    /// The packet is counted already: only what the action asks for is done. False when there is no connection.
    fn again(&mut self) -> bool {
        let Pass { tracker, datagram, ct, action, seen, now } = self;
        let found = tracker.table.with(&seen.key, *now, |connection, direction| {
            if connection.helper.is_some() {
                return false;
            }
            if action.nat.is_some() {
                translate(*datagram, seen, ct, connection, direction);
            }
            ct.mark = connection.mark;
            ct.label = connection.label;
            set_values(ct, action, connection);
            true
        });
        found.unwrap_or(false)
    }

    /// Looks for the connection; `None` when there is none.
    fn find(&mut self) -> Option<Next> {
        let is_translated = self.ct.state & TRANSLATED != 0;
        let key = if is_translated { self.seen.key.reversed() } else { self.seen.key };
        let (now, table) = (self.now, &self.tracker.table);
        let next = table.with(&key, now, |connection, direction| {
            let direction = if is_translated { direction.reversed() } else { direction };
            let key = *connection.key(direction);
            if self.action.force && direction == Direction::Reply {
                return Next::Begin(key);
            }
            self.belongs(connection, direction, key)
        })?;
        if let Next::Begin(key) = next {
            // It is over.
            self.tracker.remove(&key, now);
        }
        Some(next)
    }

    /// The packet belongs to a connection.
    fn belongs(&mut self, connection: &mut Connection, direction: Direction, key: Key) -> Next {
        let (tracker, now, is_related) = (self.tracker, self.now, self.seen.is_related);
        let said = self.action.helper.or(connection.helper);
        let helper = helper::of_packet(said, &self.seen, self.datagram);
        let translates = self.action.nat.is_some();
        let is_reply = direction == Direction::Reply;
        if helper == Some(Helper::Ftp) {
            let seen = &mut self.seen;
            Control { datagram: self.datagram, seen, direction, translates }.shift(connection, true);
        }
        if is_related {
            self.ct.state |= RELATED | if is_reply { REPLY } else { 0 };
        } else {
            if connection.parent.is_some() {
                self.ct.state |= RELATED;
            }
            let checks = tracker.checks_sequences.load(Ordering::Relaxed);
            let (verdict, stage) = connection.state.update(&self.seen.upper, is_reply, checks);
            if let Some(stage) = stage {
                connection.live_on(stage, now);
            }
            match verdict {
                Verdict::Valid => {
                    self.ct.state &= !NEW;
                    self.ct.state |= ESTABLISHED | if is_reply { REPLY } else { 0 };
                }
                Verdict::StillNew => self.ct.state |= NEW,
                Verdict::Invalid => self.ct.state = INVALID,
                Verdict::Replaced => return Next::Begin(key),
            }
        }
        if helper == Some(Helper::Ftp) {
            let seen = &mut self.seen;
            Control { datagram: self.datagram, seen, direction, translates }.shift(connection, false);
        }
        if translates {
            translate(self.datagram, &self.seen, self.ct, connection, direction);
        }
        self.finish(connection, direction, helper);
        Next::Done
    }

    /// Tells the packet what is known of its connection, and the connection what the action and the packet's message say.
    fn finish(&mut self, connection: &mut Connection, direction: Direction, helper: Option<Helper>) {
        let ct = &mut *self.ct;
        ct.state |= TRACKED;
        ct.zone = self.action.zone;
        ct.mark = connection.mark;
        ct.label = connection.label;
        ct.original = Some(connection.parent.as_deref().copied().unwrap_or(connection.original));
        set_values(ct, self.action, connection);
        let Some(helper) = helper.filter(|_| connection.helper.is_some()) else { return };
        let translates = self.action.nat.is_some();
        let mut control = Control { datagram: self.datagram, seen: &mut self.seen, direction, translates };
        if control.announce(helper, connection, &self.tracker.expectations).is_err() {
            log::warn!(target: base::bounded!("conntrack"), "Invalid FTP control packet format");
            self.ct.state |= INVALID;
        }
    }

    /// There is no connection with this key.
    fn unknown(&mut self) -> Next {
        if let Some(key) = self.key_before_translation() {
            let (now, table) = (self.now, &self.tracker.table);
            let next =
                table.with(&key, now, |connection, _| self.belongs(connection, Direction::Original, key));
            if let Some(next) = next {
                if let Next::Begin(key) = next {
                    self.tracker.remove(&key, now);
                }
                return next;
            }
        }
        if self.seen.is_related {
            self.ct.state = INVALID;
            self.unkept(Some(self.seen.key), None);
            return Next::Done;
        }
        Next::Begin(self.seen.key)
    }

    /// What an earlier pass knew of a packet that it translated.
    fn key_before_translation(&self) -> Option<Key> {
        let is_meant = self.ct.state & TRANSLATED != 0 && self.action.nat.is_none();
        let original =
            self.ct.original.filter(|original| is_meant && original.is_v6 == self.seen.key.is_v6)?;
        let mut key = Key { zone: self.action.zone, ..original };
        if key.is_icmp() {
            key.src.port = self.seen.key.src.port;
            key.dst.port = self.seen.key.dst.port;
        }
        Some(key)
    }

    /// No connection is kept of this packet.
    fn unkept(&mut self, key: Option<Key>, expected: Option<&Expectation>) {
        let ct = &mut *self.ct;
        ct.state |= TRACKED;
        ct.zone = self.action.zone;
        (ct.mark, ct.label) = expected.map_or((0, 0), |expected| (expected.mark, expected.label));
        ct.original = expected.map(|expected| expected.parent).or(key);
    }

    /// The packet begins a connection.
    fn begin(&mut self, key: Key) {
        let Some(state) = State::begin(&self.seen.upper, key.is_v6) else {
            self.ct.state = INVALID;
            return self.unkept(Some(key), None);
        };
        let expected = self.tracker.expectations.find(&key);
        self.ct.state = NEW | if expected.is_some() { RELATED } else { 0 };
        if !self.action.commit || self.commit(key, state, expected.as_ref()).is_none() {
            self.unkept(Some(key), expected.as_ref());
        }
    }

    /// Keeps the connection; `None` when there is no room for it.
    fn commit(&mut self, key: Key, state: State, expected: Option<&Expectation>) -> Option<()> {
        let tracker = self.tracker;
        if tracker.table.count() >= tracker.max.load(Ordering::Relaxed) as usize {
            FULL.add(1);
            return None;
        }
        let Ok(admission) = tracker.zones.admit(key.zone) else {
            ZONE_FULL.add(1);
            return None;
        };
        let helper = helper::of_packet(self.action.helper, &self.seen, self.datagram);
        let mut connection = Connection {
            original: key,
            reply: key.reversed(),
            label: expected.map_or(0, |expected| expected.label),
            mark: expected.map_or(0, |expected| expected.mark),
            expires: Timestamp::ZERO,
            state,
            translated: None,
            alias: 0,
            // One that the ports only suggest has to be asked for.
            helper: self.action.helper.filter(|asked| helper.is_none_or(|fits| fits == *asked)),
            skew: None,
            parent: expected.map(|expected| Box::new(expected.parent)),
            policy: self.action.policy.and_then(|name| tracker.policies.find(name)),
            _admission: admission,
        };
        connection.live_on(state.first_stage(), self.now);
        self.choose(&mut connection, expected)?;
        if connection.translated.is_some() {
            translate(self.datagram, &self.seen, self.ct, &connection, Direction::Original);
        }
        self.finish(&mut connection, Direction::Original, helper);
        let (reply, alias) = (connection.reply, connection.alias);
        if tracker.table.insert(connection, self.now).is_err() && alias != 0 {
            // Another thread was faster with a packet of the same connection; both are known by that one.
            tracker.table.release(&reply, alias);
        }
        Some(())
    }

    /// Chooses the translation of a new connection; `None` when all that may be chosen is taken.
    fn choose(&self, connection: &mut Connection, expected: Option<&Expectation>) -> Option<()> {
        let table = &self.tracker.table;
        let chosen = match (self.action.nat, expected) {
            (None, _) | (Some(NatAction::Existing), None) => return Some(()),
            (Some(_), Some(expected)) => {
                let mut reply = connection.reply;
                match expected.translated {
                    Translated::Source => reply.dst.address = expected.address,
                    Translated::Destination => reply.src.address = expected.address,
                }
                connection.translated = Some(expected.translated);
                table.reserve(&reply, &connection.original, self.now).map(|alias| (reply, alias))
            }
            (Some(NatAction::New(nat)), None) => {
                connection.translated = Some(nat.translated);
                nat::choose(table, &connection.original, &nat, self.tracker.random(), self.now)
            }
        };
        let Some((reply, alias)) = chosen else {
            log::warn!(
                target: base::bounded!("conntrack"),
                "Unable to NAT due to tuple space exhaustion - if DoS attack, use firewalling and/or zone partitioning."
            );
            return None;
        };
        (connection.reply, connection.alias) = (reply, alias);
        Some(())
    }
}

/// Translates a packet as its connection is translated, once.
fn translate(
    datagram: &mut impl Datagram,
    seen: &Seen,
    ct: &mut Metadata,
    connection: &Connection,
    direction: Direction,
) {
    let Some(translated) = connection.translated.filter(|_| ct.state & TRANSLATED == 0) else { return };
    let translated = match direction {
        Direction::Original => translated,
        Direction::Reply => translated.reversed(),
    };
    ct.state |= match translated {
        Translated::Source => SRC_NAT,
        Translated::Destination => DST_NAT,
    };
    let target = connection.key(direction.reversed()).reversed();
    if seen.is_related {
        rewrite::translate_error(datagram, &seen.places, &target, translated);
    } else {
        rewrite::translate(datagram, &seen.places, &target, translated);
    }
}

/// Sets mark and label of the connection and of the packet. One that was announced has those of its parent.
fn set_values(ct: &mut Metadata, action: &Action<'_>, connection: &mut Connection) {
    if connection.parent.is_some() {
        return;
    }
    if let Some((value, mask)) = action.mark {
        ct.mark = value | ct.mark & !mask;
        connection.mark = ct.mark;
    }
    if let Some((value, mask)) = action.label {
        ct.label = value | ct.label & !mask;
        connection.label = ct.label;
    }
}
