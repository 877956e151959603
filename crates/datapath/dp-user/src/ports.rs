//! The ports of a datapath.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base::DpPort;
use dp::{DpError, PortInfo, PortSpec, PortWatcher};
use netdev::Device;

use crate::counters::Tally;
use crate::known::{Known, Moves};
use crate::load::History;
use crate::seat::{Core, Seat};

/// A port.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: DpPort,
    pub(crate) device: Arc<Device>,
    /// From which workers take packets.
    pub(crate) queues: Box<[Queue]>,
    /// The memory node that the device is next to, where that is known.
    pub(crate) numa: Option<u32>,
    info: Known<PortInfo>,
}

/// A queue of a port.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) seat: Seat,
    /// Nanoseconds that its packets took, counted by the worker that sits there.
    pub(crate) busy: Tally,
    /// The same over the last intervals.
    history: Mutex<History>,
    /// The processor that it is pinned to.
    pinned: Mutex<Option<Core>>,
}

impl Queue {
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pinned(&self) -> Option<Core> {
        *self.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pins it, or not; whether it was otherwise before.
    pub(crate) fn pin(&self, core: Option<Core>) -> bool {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *pinned, core) != core
    }
}

impl Port {
    pub(crate) fn new(number: DpPort, device: Arc<Device>) -> Port {
        let queues = (0..device.queue_count()).map(|_| Queue::default()).collect();
        let numa = device.numa();
        Port { number, device, queues, numa, info: Known::default() }
    }

    /// Whether it has as many queues as the device, on the device's memory node.
    pub(crate) fn is_up_to_date(&self) -> bool {
        self.queues.len() == self.device.queue_count() && self.numa == self.device.numa()
    }

    /// Takes note that the device may say something else of itself now.
    pub(crate) fn changed(&self) {
        self.info.changed();
    }

    /// What the device says of itself; it is asked again only when it has changed.
    pub(crate) fn info(&self) -> Arc<PortInfo> {
        let ask = || self.device.info(self.number);
        if self.device.is_watched_by_kernel() { self.info.get(ask) } else { Arc::new(ask()) }
    }
}

/// That ports came, went or changed, for whoever wants to know.
#[derive(Default)]
pub(crate) struct PortChanges {
    changes: Moves,
    watcher: OnceLock<PortWatcher>,
}

impl PortChanges {
    /// How many there were.
    pub(crate) fn epoch(&self) -> u64 {
        self.changes.count()
    }

    pub(crate) fn note(&self) {
        self.changes.note();
        if let Some(watcher) = self.watcher.get() {
            watcher();
        }
    }

    /// The first one to ask is called after every change.
    pub(crate) fn watch(&self, watcher: PortWatcher) {
        if self.watcher.set(watcher).is_err() {
            base::broken!("ports are watched already");
        }
    }
}

/// All ports; a value that is replaced when one changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ports {
    by_number: Vec<Option<Arc<Port>>>,
    by_name: HashMap<String, DpPort>,
    /// All lower numbers, but 0, are taken.
    free_from: u32,
    /// Those that came, and whose queues have no workers yet.
    unassigned: Vec<DpPort>,
}

impl Ports {
    #[inline]
    pub(crate) fn get(&self, number: DpPort) -> Option<&Arc<Port>> {
        self.by_number.get(number.0 as usize)?.as_ref()
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&Arc<Port>> {
        self.get(*self.by_name.get(name)?)
    }

    /// In the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Port>> {
        self.by_number.iter().flatten()
    }

    /// The lowest free number; 0 is the datapath's own port.
    pub(crate) fn free_number(&self) -> DpPort {
        let taken = |n: &u32| self.get(DpPort(*n)).is_some();
        DpPort((self.free_from.max(1)..).find(|n| !taken(n)).unwrap_or(u32::MAX))
    }

    /// The number in the name, above 100 for bridges, if it is free: tests that make dummy ports count on it.
    pub(crate) fn named_number(&self, name: &str) -> DpPort {
        let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let above = if name.starts_with("br") { 100 } else { 0 };
        let number = digits[..end].parse::<u32>().map_or(0, |number| number.saturating_add(above));
        let is_free = (1..1 << 16).contains(&number) && self.get(DpPort(number)).is_none();
        if is_free { DpPort(number) } else { self.free_number() }
    }

    /// Refuses a name or a number that a port has.
    pub(crate) fn check(&self, spec: &PortSpec) -> Result<(), DpError> {
        if self.by_name(&spec.name).is_some() {
            return Err(DpError::PortExists(spec.name.clone()));
        }
        match spec.number {
            Some(number) if self.get(number).is_some() => Err(DpError::NumberTaken(number)),
            Some(_) | None => Ok(()),
        }
    }

    /// Gives the device the number that `spec` wishes for, or a free one.
    /// In a datapath for tests the numbers of tunnels' ports follow from their names, too.
    pub(crate) fn add(
        &mut self,
        spec: &PortSpec,
        device: Device,
        is_for_tests: bool,
    ) -> Result<DpPort, DpError> {
        self.check(spec)?;
        let number = match spec.number {
            Some(number) if number.0 < 1 << 16 => number,
            _ if is_for_tests && spec.kind.tunnel().is_some() || spec.kind.is_dummy() => {
                self.named_number(&spec.name)
            }
            _ => {
                let free = self.free_number();
                self.free_from = free.0;
                free
            }
        };
        self.insert(Arc::new(Port::new(number, Arc::new(device))));
        Ok(number)
    }

    /// Adds a port, or puts it in the place of the one with its number and name.
    pub(crate) fn insert(&mut self, port: Arc<Port>) {
        let index = port.number.0 as usize;
        if self.by_number.len() <= index {
            self.by_number.resize(index + 1, None);
        }
        self.by_name.insert(port.device.name().to_owned(), port.number);
        if !port.queues.is_empty() {
            self.unassigned.push(port.number);
        }
        if let Some(place) = self.by_number.get_mut(index) {
            *place = Some(port);
        }
    }

    /// The ports that came since this was asked last.
    pub(crate) fn take_unassigned(&mut self) -> Vec<DpPort> {
        std::mem::take(&mut self.unassigned)
    }

    pub(crate) fn remove(&mut self, number: DpPort) -> Option<Arc<Port>> {
        let port = self.by_number.get_mut(number.0 as usize)?.take()?;
        self.by_name.remove(port.device.name());
        self.free_from = self.free_from.min(number.0);
        Some(port)
    }
}
