//! Connectivity fault management (IEEE 802.1ag): continuity checks among all that share a link.
//!
//! Times are milliseconds on the switch's clock.

mod settings;
mod show;

use std::collections::BTreeMap;

use base::MacAddr;
use wire::TypedForm;
use wire::cfm::{
    DESTINATION, DESTINATION_EXTENDED, ETHER_TYPE, FLAG_RDI, Header, LEAST_LEN, MAID_LEN, OPCODE,
};

pub use settings::{Settings, Vlan};

/// The most neighbours of a port.
const MOST_REMOTES: usize = 256;
/// Over so many looks for faults, health is measured.
const HEALTH_LOOKS: u32 = 6;
/// With other traffic, a message is still to come in so many intervals.
const DEMANDED: i64 = 100;
/// In demand mode faults are not looked for more often than with this interval: counters of traffic come late.
const LEAST_DEMAND_INTERVAL: i64 = 500;

/// Why a port is not to be used, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults(u8);

#[allow(missing_docs)]
impl Faults {
    pub const RECV: Faults = Faults(1);
    pub const RDI: Faults = Faults(2);
    pub const MAID: Faults = Faults(4);
    pub const LOOPBACK: Faults = Faults(8);
    pub const OVERFLOW: Faults = Faults(16);
    pub const OVERRIDE: Faults = Faults(32);

    const NAMES: [(Faults, &str); 6] = [
        (Faults::RECV, "recv"),
        (Faults::RDI, "rdi"),
        (Faults::MAID, "maid"),
        (Faults::LOOPBACK, "loopback"),
        (Faults::OVERFLOW, "overflow"),
        (Faults::OVERRIDE, "override"),
    ];

    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    fn add(&mut self, other: Faults) {
        self.0 |= other.0;
    }

    /// The names, as operators know them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Faults::NAMES.into_iter().filter(move |(fault, _)| self.0 & fault.0 != 0).map(|(_, name)| name)
    }
}

/// A neighbour.
#[derive(Debug)]
struct Remote {
    /// A message has come since the last look.
    is_heard: bool,
    is_up: bool,
    sequence: u32,
    /// Good messages since health was measured last.
    good: u32,
    last_rx: i64,
}

/// The health of a port: how many messages of the one neighbour have come, in percent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// That.
    Percent(i64),
    /// There are several neighbours.
    Undefined,
}

/// What the database shows of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Why the port is not to be used.
    pub faults: Faults,
    /// How often there came to be a fault, or none.
    pub flaps: u64,
    /// How many messages come.
    pub health: Health,
    /// Whether neighbours' ports are to be used; `None` where they do not say.
    pub is_remote_up: Option<bool>,
    /// The neighbours.
    pub remotes: Vec<u64>,
}

/// The checks of a port.
#[derive(Debug)]
pub struct Session {
    name: String,
    settings: Settings,
    /// The interval, by its number in messages; zero: none of the standard's.
    interval: u8,
    interval_ms: i64,
    sequence: u32,
    last_tx: Option<i64>,
    next_tx: i64,
    next_look: i64,
    /// Faults were looked for once.
    has_looked: bool,
    faults: Faults,
    /// What will be faults at the next look.
    seen: Faults,
    forced: Option<bool>,
    flaps: u64,
    health: Health,
    looks: u32,
    remotes: BTreeMap<u64, Remote>,
    /// Those that were heard at the last look.
    shown: Vec<u64>,
    is_remote_up: bool,
    /// What the port had received at the last look.
    received: u64,
    demanded_until: i64,
    has_news: bool,
    random: u32,
}

impl Session {
    /// A session that hears nobody yet, for interface `name`. `received` is the number of packets that the port has received.
    pub fn new(name: &str, settings: Settings, received: u64, now: i64) -> Session {
        let mut session = Session {
            name: name.to_owned(),
            interval: 0,
            interval_ms: 0,
            sequence: 0,
            last_tx: None,
            next_tx: now,
            next_look: now,
            has_looked: false,
            faults: Faults::default(),
            seen: Faults::default(),
            forced: None,
            flaps: 0,
            health: Health::Undefined,
            looks: 0,
            remotes: BTreeMap::new(),
            shown: Vec::new(),
            is_remote_up: true,
            received,
            demanded_until: 0,
            has_news: true,
            random: settings.mpid as u32,
            settings: settings.clone(),
        };
        session.configure(settings, received, now);
        session
    }

    /// Takes over other settings.
    pub fn configure(&mut self, settings: Settings, received: u64, now: i64) {
        let (interval, interval_ms) = settings.interval();
        if settings.is_demanding() && !self.settings.is_demanding() {
            self.received = received;
        }
        self.settings = settings;
        if (interval, interval_ms) != (self.interval, self.interval_ms) {
            (self.interval, self.interval_ms) = (interval, interval_ms);
            self.next_tx = now;
            self.next_look = now + self.look_interval();
        }
    }

    /// Three intervals and a half: every neighbour is taken to have the same.
    fn look_interval(&self) -> i64 {
        let least = if self.settings.is_demanding() { LEAST_DEMAND_INTERVAL } else { 0 };
        self.interval_ms.max(least) * 7 / 2
    }

    /// When [`Session::run`] or [`Session::frame`] has something to do next.
    pub fn wakes_at(&self) -> i64 {
        self.next_tx.min(self.next_look)
    }

    /// Looks for faults, if it is time; `received` as in [`Session::new`], asked where it is needed.
    pub fn run(&mut self, received: impl Fn() -> u64, now: i64) {
        if now < self.next_look {
            return;
        }
        let before = self.status();
        self.faults = std::mem::take(&mut self.seen);
        if self.looks == HEALTH_LOOKS {
            self.measure();
            self.looks = 0;
        }
        self.looks += 1;
        let mut is_excused = false;
        if self.settings.is_demanding() {
            let received = received();
            is_excused = self.remotes.len() == 1 && received > self.received && now < self.demanded_until;
            self.received = received;
        }
        self.forget_silent(is_excused, now);
        if self.remotes.is_empty() {
            self.faults.add(Faults::RECV);
        }
        if before.faults != self.faults {
            let list = |faults: Faults| faults.names().collect::<Vec<_>>().join(" ");
            log::info!(
                target: base::bounded!("cfm", 20),
                "{}: CFM faults changed from [{}] to [{}].", self.name, list(before.faults), list(self.faults)
            );
            if before.faults.is_none() || self.faults.is_none() {
                self.flaps += 1;
            }
        }
        self.has_news |= self.status() != before;
        self.has_looked = true;
        self.next_look = now + self.look_interval();
    }

    fn forget_silent(&mut self, is_excused: bool, now: i64) {
        self.shown.clear();
        let (mut some_up, mut some_down) = (false, false);
        let (name, shown) = (&self.name, &mut self.shown);
        self.remotes.retain(|mpid, remote| {
            if !remote.is_heard {
                let silent = now - remote.last_rx;
                log::info!(
                    target: base::bounded!("cfm", 20),
                    "{name}: Received no CCM from RMP {mpid} in the last {silent}ms"
                );
                return is_excused;
            }
            remote.is_heard = false;
            some_up |= remote.is_up;
            some_down |= !remote.is_up;
            shown.push(*mpid);
            true
        });
        if some_down {
            self.is_remote_up = false;
        } else if some_up {
            self.is_remote_up = true;
        }
    }

    fn measure(&mut self) {
        let is_alone = self.remotes.len() == 1;
        self.health = match self.remotes.values_mut().next() {
            None => Health::Percent(0),
            Some(_) if !is_alone => Health::Undefined,
            Some(remote) => {
                let expected = HEALTH_LOOKS * 7 / 2;
                let percent = std::mem::take(&mut remote.good) * 100 / expected;
                Health::Percent(i64::from(percent.min(100)))
            }
        };
    }

    /// The frame that is to be sent at `now`, if one is, from a port with address `mac`.
    pub fn frame(&mut self, mac: MacAddr, now: i64) -> Option<Vec<u8>> {
        if now < self.next_tx {
            return None;
        }
        self.next_tx = now + self.interval_ms;
        self.sequence = self.sequence.wrapping_add(1);
        if let Some(delay) =
            self.last_tx.map(|last| now - last).filter(|delay| *delay > self.interval_ms * 3 / 2)
        {
            let (expected, sequence) = (self.interval_ms, self.sequence);
            log::info!(
                target: "cfm",
                "{}: long delay of {delay}ms (expected {expected}ms) sending CCM seq {sequence}", self.name
            );
        }
        self.last_tx = Some(now);
        let settings = &self.settings;
        let hears_nobody = self.has_looked && self.remotes.is_empty();
        let message = Header {
            flags: self.interval | if hears_nobody { FLAG_RDI } else { 0 },
            sequence: self.sequence,
            mpid: settings.mpid as u16,
            maid: maid(),
            interval_ms: if self.interval == 0 {
                u16::try_from(self.interval_ms).unwrap_or(u16::MAX)
            } else {
                0
            },
            extended_mpid: if settings.is_extended { settings.mpid } else { 0 },
            is_down: settings.is_extended && !settings.is_up,
            ..Header::default()
        };
        let destination = self.destination();
        let vlan = match settings.vlan {
            Vlan::Id(vlan) => vlan,
            Vlan::Random => self.next_random(),
        };
        let tci = vlan & 0xfff | u16::from(self.settings.pcp) << 13;
        let mut frame = wire::ethernet::tagged_header(destination, mac, tci, ETHER_TYPE);
        message.append(&mut frame);
        Some(frame)
    }

    fn next_random(&mut self) -> u16 {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.random >> 16) as u16
    }

    fn destination(&self) -> MacAddr {
        if self.settings.is_extended { DESTINATION_EXTENDED } else { DESTINATION }
    }

    /// Takes a frame that translation has recognised.
    pub fn receive(&mut self, frame: &[u8], now: i64) {
        let Some((source, bytes)) = content(frame) else { return };
        let name = &self.name;
        let mut padded = bytes.to_vec();
        if padded.len() == LEAST_LEN {
            padded.push(0);
        }
        let Some(message) = Header::parse(&padded) else {
            log::info!(
                target: base::bounded!("cfm", 20),
                "{name}: Received an unparseable 802.1ag CCM heartbeat."
            );
            return;
        };
        if message.opcode != OPCODE {
            log::info!(
                target: base::bounded!("cfm", 20),
                "{name}: Received an unsupported 802.1ag message. (opcode {})", message.opcode
            );
            return;
        }
        if message.maid != maid() {
            self.seen.add(Faults::MAID);
            log::warn!(
                target: base::bounded!("cfm", 20),
                "{name}: Received unexpected remote MAID from MAC {source}"
            );
            return;
        }
        self.hear(&message, source, now);
    }

    /// Takes in a message of the same association.
    fn hear(&mut self, message: &Header, source: MacAddr, now: i64) {
        let settings = &self.settings;
        let mpid = if settings.is_extended { message.extended_mpid } else { message.mpid.into() };
        let name = &self.name;
        let interval = message.flags & 7;
        if interval != self.interval {
            log::warn!(
                target: base::bounded!("cfm", 20),
                "{name}: received a CCM with an unexpected interval ({interval}) from RMP {mpid}"
            );
        }
        if settings.is_extended && interval == 0 && i64::from(message.interval_ms) != self.interval_ms {
            let ms = message.interval_ms;
            log::warn!(
                target: base::bounded!("cfm", 20),
                "{name}: received a CCM with an unexpected extended interval ({ms}ms) from RMP {mpid}"
            );
        }
        let mut faults = Faults::default();
        if message.flags & FLAG_RDI != 0 {
            faults.add(Faults::RDI);
        }
        if mpid == settings.mpid {
            faults.add(Faults::LOOPBACK);
            log::warn!(target: base::bounded!("cfm", 20), "{name}: received CCM with local MPID {mpid}");
        }
        if !self.remotes.contains_key(&mpid) && self.remotes.len() >= MOST_REMOTES {
            self.seen.add(Faults::OVERFLOW);
            log::warn!(
                target: base::bounded!("cfm", 20),
                "{name}: dropped CCM with MPID {mpid} from MAC {source}"
            );
            return;
        }
        let fresh = Remote { is_heard: false, is_up: true, sequence: 0, good: 0, last_rx: now };
        let remote = self.remotes.entry(mpid).or_insert(fresh);
        let (previous, current) = (remote.sequence, message.sequence);
        if previous != 0 && current != previous.wrapping_add(1) {
            log::warn!(
                target: base::bounded!("cfm", 20),
                "{name}: (mpid {mpid}) detected sequence numbers which indicate possible connectivity problems \
                 (previous {previous}) (current {current})"
            );
        }
        if faults.is_none() {
            remote.good += 1;
            if settings.is_demanding() {
                self.demanded_until = now + DEMANDED * self.interval_ms;
            }
        }
        remote.is_heard = true;
        remote.sequence = current;
        remote.is_up = !(settings.is_extended && message.is_down);
        remote.last_rx = now;
        self.seen.add(faults);
    }

    /// Has it be at fault, or not, whatever it finds; `None` has it follow what it finds again.
    pub fn force(&mut self, is_faulty: Option<bool>) {
        self.forced = is_faulty;
        self.has_news = true;
    }

    /// Why the port is not to be used.
    pub fn faults(&self) -> Faults {
        match self.forced {
            Some(true) => Faults::OVERRIDE,
            Some(false) => Faults::default(),
            None => self.faults,
        }
    }

    /// Whether the port may be forwarded through.
    pub fn is_up(&self) -> bool {
        self.faults().is_none() && (self.is_remote_up || !self.settings.is_extended)
    }

    /// What the database shows.
    pub fn status(&self) -> Status {
        Status {
            faults: self.faults(),
            flaps: self.flaps,
            health: self.health,
            is_remote_up: self.settings.is_extended.then_some(self.is_remote_up),
            remotes: self.shown.clone(),
        }
    }

    /// Whether what operators see has changed since this was asked last.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }
}

/// The name of the association of all such ports: domain and association are "ovs".
fn maid() -> [u8; MAID_LEN] {
    const NAMES: [u8; 10] = [4, 3, b'o', b'v', b's', 2, 3, b'o', b'v', b's'];
    let mut maid = [0; MAID_LEN];
    maid[..NAMES.len()].copy_from_slice(&NAMES);
    maid
}

/// The source of a frame, and what is behind its Ethernet header and tags.
fn content(frame: &[u8]) -> Option<(MacAddr, &[u8])> {
    let source = wire::ethernet::Ethernet::parse(frame)?.src();
    let (at, ether_type) = wire::ethernet::type_behind_tags(frame)?;
    (ether_type == ETHER_TYPE).then(|| Some((source, frame.get(at + 2..)?)))?
}

#[cfg(test)]
mod tests;
