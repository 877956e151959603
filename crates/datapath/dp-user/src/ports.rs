//! The ports of a datapath.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base::DpPort;
use dp::PortInfo;
use netdev::Device;

/// A port.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: DpPort,
    pub(crate) device: Arc<Device>,
    known: Mutex<Option<(u64, PortInfo)>>,
}

impl Port {
    pub(crate) fn new(number: DpPort, device: Arc<Device>) -> Port {
        Port { number, device, known: Mutex::new(None) }
    }

    /// What the device says of itself; asked anew only when `epoch` has moved since, which every change of a link does.
    pub(crate) fn info(&self, epoch: u64) -> PortInfo {
        if !self.device.is_watched_by_kernel() {
            return self.device.info(self.number);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((at, info)) if *at == epoch => info.clone(),
            _ => known.insert((epoch, self.device.info(self.number))).1.clone(),
        }
    }
}

/// All ports; a value that is replaced when one changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ports {
    by_number: Vec<Option<Arc<Port>>>,
    by_name: HashMap<String, DpPort>,
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
        DpPort((1..).find(|n| !taken(n)).unwrap_or(u32::MAX))
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
        Some(port)
    }
}
