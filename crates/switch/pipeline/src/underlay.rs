//! What translation asks of the network that tunnels go through.

use std::sync::Arc;

use base::{DpPort, MacAddr, OfPort, Timestamp};
use dp::DpId;

use crate::state::BridgeId;

mod table;

pub use table::{Taken, TunnelMatch, TunnelTable};

/// Where packets to an address leave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    /// The name of the device by which they leave.
    pub device: Arc<str>,
    /// The next router, if the address is not behind the device itself. Addresses of IPv4 are mapped.
    pub gateway: Option<u128>,
    /// The source address.
    pub source: u128,
}

/// What is known of a neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Neighbour {
    Known(MacAddr),
    /// It was asked for, and has not answered.
    Asked,
    Unknown,
}

/// A question for a neighbour's link address: what [`crate::Effect::AskNeighbour`] asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asking {
    /// The bridge behind which the neighbour is, and its port that is the device.
    pub bridge: BridgeId,
    pub port: OfPort,
    /// Who is asked for; an address of IPv4 is mapped.
    pub address: u128,
    /// The frame that asks.
    pub frame: Arc<[u8]>,
}

/// Routes, neighbours and addresses of the machine. What changes in it moves the epoch of the bridges.
pub trait Underlay: Send + Sync + std::fmt::Debug {
    /// Whether there are tunnels in the datapath.
    fn has_tunnels(&self, datapath: DpId) -> bool;
    /// The way to `destination`, from `source` unless that is 0. Addresses of IPv4 are mapped.
    fn way(&self, mark: u32, destination: u128, source: u128) -> Option<Way>;
    /// Whether ways depend on marks.
    fn has_marks(&self) -> bool;
    /// The device's own address in the network of `destination`.
    fn source(&self, device: &str, destination: u128) -> Option<u128>;
    fn neighbour(&self, bridge: &str, address: u128) -> Neighbour;
    /// Whether the device has addresses.
    fn has_addresses(&self, device: &str) -> bool;
    /// Whether the device has this address.
    fn is_own(&self, device: &str, address: u128) -> bool;
    /// Whether packets to this address are for the device: it has the address, or one of those that are asked for by it (the
    /// solicited-node multicast address of RFC 4291 §2.7.1).
    fn is_addressed(&self, device: &str, address: u128) -> bool;
    /// The datapath port of tunnels that listen for packets of this IP protocol; with the UDP port, if it has one,
    /// what of it must be equal.
    fn listener(&self, datapath: DpId, protocol: u8, port: u16) -> Option<DpPort>;
    /// Whether tunnels listen for packets of this IP protocol at all, and whether its ports tell them apart.
    fn listens(&self, datapath: DpId, protocol: u8) -> Option<bool>;

    /// Takes in what a neighbour said of itself, or that it is in use; whether that is news.
    fn learn(&self, bridge: &str, address: u128, mac: MacAddr, now: Timestamp) -> bool;
    /// Takes note that a neighbour is asked for; whether it was not before.
    fn ask(&self, bridge: &str, address: u128, now: Timestamp) -> bool;
}

/// None: there are no tunnels.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoUnderlay;

impl Underlay for NoUnderlay {
    fn has_tunnels(&self, _datapath: DpId) -> bool {
        false
    }

    fn way(&self, _mark: u32, _destination: u128, _source: u128) -> Option<Way> {
        None
    }

    fn has_marks(&self) -> bool {
        false
    }

    fn source(&self, _device: &str, _destination: u128) -> Option<u128> {
        None
    }

    fn neighbour(&self, _bridge: &str, _address: u128) -> Neighbour {
        Neighbour::Unknown
    }

    fn has_addresses(&self, _device: &str) -> bool {
        false
    }

    fn is_own(&self, _device: &str, _address: u128) -> bool {
        false
    }

    fn is_addressed(&self, _device: &str, _address: u128) -> bool {
        false
    }

    fn listener(&self, _datapath: DpId, _protocol: u8, _port: u16) -> Option<DpPort> {
        None
    }

    fn listens(&self, _datapath: DpId, _protocol: u8) -> Option<bool> {
        None
    }

    fn learn(&self, _bridge: &str, _address: u128, _mac: MacAddr, _now: Timestamp) -> bool {
        false
    }

    fn ask(&self, _bridge: &str, _address: u128, _now: Timestamp) -> bool {
        false
    }
}
