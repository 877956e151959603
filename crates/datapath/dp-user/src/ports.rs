//! The ports of a datapath.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base::DpPort;
use dp::{DpError, PortInfo, PortSpec, PortWatcher};
use netdev::Device;

/// A port.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: DpPort,
    pub(crate) device: Arc<Device>,
    /// How often its device has changed.
    changes: AtomicU64,
    known: Mutex<Option<(u64, Arc<PortInfo>)>>,
}

impl Port {
    pub(crate) fn new(number: DpPort, device: Arc<Device>) -> Port {
        Port { number, device, changes: AtomicU64::new(0), known: Mutex::new(None) }
    }

    /// Takes note that the device may say something else of itself now.
    pub(crate) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// What the device says of itself; it is asked again only when it has changed.
    pub(crate) fn info(&self) -> Arc<PortInfo> {
        if !self.device.is_watched_by_kernel() {
            return Arc::new(self.device.info(self.number));
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = self.changes.load(Ordering::Acquire);
        match &*known {
            Some((at, info)) if *at == changes => Arc::clone(info),
            _ => Arc::clone(&known.insert((changes, Arc::new(self.device.info(self.number)))).1),
        }
    }
}

/// That ports came, went or changed, for whoever wants to know.
#[derive(Default)]
pub(crate) struct PortChanges {
    epoch: AtomicU64,
    watcher: OnceLock<PortWatcher>,
}

impl PortChanges {
    /// How many there were.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(crate) fn note(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        if let Some(watcher) = self.watcher.get() {
            watcher();
        }
    }

    /// The first one to ask is called after every change.
    pub(crate) fn watch(&self, watcher: PortWatcher) {
        // A second one would be a mistake of the program, which is seen in tests.
        let is_first = self.watcher.set(watcher).is_ok();
        debug_assert!(is_first, "ports are watched already");
    }
}

/// All ports; a value that is replaced when one changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ports {
    by_number: Vec<Option<Arc<Port>>>,
    by_name: HashMap<String, DpPort>,
    /// All lower numbers, but 0, are taken.
    free_from: u32,
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

    /// Gives the device the number that `spec` wishes for, or a free one.
    pub(crate) fn add(&mut self, spec: &PortSpec, device: Device) -> Result<DpPort, DpError> {
        if self.by_name(&spec.name).is_some() {
            return Err(DpError::PortExists(spec.name.clone()));
        }
        let number = match spec.number {
            Some(number) if self.get(number).is_some() => return Err(DpError::NumberTaken(number)),
            Some(number) if number.0 < 1 << 16 => number,
            _ if spec.kind.starts_with("dummy") => self.named_number(&spec.name),
            _ => {
                let free = self.free_number();
                self.free_from = free.0;
                free
            }
        };
        self.insert(Arc::new(Port::new(number, Arc::new(device))));
        Ok(number)
    }

    pub(crate) fn insert(&mut self, port: Arc<Port>) {
        let index = port.number.0 as usize;
        if self.by_number.len() <= index {
            self.by_number.resize(index + 1, None);
        }
        self.by_name.insert(port.device.name().to_owned(), port.number);
        if let Some(place) = self.by_number.get_mut(index) {
            *place = Some(port);
        }
    }

    pub(crate) fn remove(&mut self, number: DpPort) -> Option<Arc<Port>> {
        let port = self.by_number.get_mut(number.0 as usize)?.take()?;
        self.by_name.remove(port.device.name());
        self.free_from = self.free_from.min(number.0);
        Some(port)
    }
}
