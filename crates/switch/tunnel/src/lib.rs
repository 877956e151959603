//! The network that tunnels go through.
//!
//! Enters: routes, rules and addresses, from the kernel ([`Machine`]) or from who runs commands; what packets say of
//! neighbours. Leaves: [`pipeline::tunnel::Underlay`], which translation asks, and the texts of `ovs/route/*`,
//! `tnl/neigh/*` and `tnl/ports/*`.
//!
//! Whoever changes something here is told whether translation may differ now, and then moves the bridges' epoch: this crate
//! does not know of bridges. Time is an argument.
//!
//! Not here: which packet is sent into a tunnel, and how its headers look (`pipeline`).

#![warn(missing_docs)]

mod listeners;
mod machine;
mod neighbours;
mod routes;

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use base::{DpPort, MacAddr, Timestamp};
use dp::DpId;
use pipeline::tunnel::{Neighbour, Underlay, Way};

pub use listeners::{Listener, Listeners};
pub use machine::{Machine, Read};
pub use neighbours::Neighbours;
pub use routes::{Address, DEFAULT, LOCAL, MAIN, NoSource, Origin, Route, Routes, Rule};

/// Routes, neighbours and listening tunnels, as threads share them. A translation holds each lock for one question.
#[derive(Debug, Default)]
pub struct Network {
    routes: RwLock<Routes>,
    neighbours: Mutex<Neighbours>,
    listeners: RwLock<Listeners>,
}

impl Network {
    /// The routes, to look at.
    pub fn routes(&self) -> RwLockReadGuard<'_, Routes> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The routes, to change them.
    pub fn routes_mut(&self) -> RwLockWriteGuard<'_, Routes> {
        self.routes.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The neighbours.
    pub fn neighbours(&self) -> MutexGuard<'_, Neighbours> {
        self.neighbours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tunnels' datapath ports, to look at.
    pub fn listeners(&self) -> RwLockReadGuard<'_, Listeners> {
        self.listeners.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tunnels' datapath ports, to change them.
    pub fn listeners_mut(&self) -> RwLockWriteGuard<'_, Listeners> {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Underlay for Network {
    fn has_tunnels(&self, datapath: DpId) -> bool {
        self.listeners().has_any(datapath)
    }

    fn way(&self, mark: u32, destination: u128, source: u128) -> Option<Way> {
        self.routes().find(mark, destination, source)
    }

    fn has_marks(&self) -> bool {
        self.routes().has_marks()
    }

    fn source(&self, device: &str, destination: u128) -> Option<u128> {
        self.routes().source_for(device, destination)
    }

    fn neighbour(&self, bridge: &str, address: u128) -> Neighbour {
        self.neighbours().find(bridge, address)
    }

    fn has_addresses(&self, device: &str) -> bool {
        self.routes().has_addresses(device)
    }

    fn is_own(&self, device: &str, address: u128) -> bool {
        self.routes().is_own(device, address)
    }

    fn is_addressed(&self, device: &str, address: u128) -> bool {
        self.routes().is_addressed(device, address)
    }

    fn listener(&self, datapath: DpId, protocol: u8, port: u16) -> Option<DpPort> {
        self.listeners().find(datapath, protocol, port)
    }

    fn listens(&self, datapath: DpId, protocol: u8) -> Option<bool> {
        self.listeners().listens(datapath, protocol)
    }

    fn learn(&self, bridge: &str, address: u128, mac: MacAddr, now: Timestamp) -> bool {
        self.neighbours().set(bridge, address, mac, now)
    }

    fn ask(&self, bridge: &str, address: u128, now: Timestamp) -> bool {
        self.neighbours().ask(bridge, address, now)
    }
}
