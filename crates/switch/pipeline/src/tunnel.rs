//! Tunnels: ports whose packets travel inside others.
//!
//! A tunnel port has a datapath port in common with others of its kind (`vxlan_sys_4789`). Output to it asks the
//! [`Underlay`] for the way to the other end, has the datapath put headers before the packet
//! ([`dp::Action::TunnelPush`]), and goes on with the packet so made in the bridge by which it leaves ([`native`]). A
//! packet that a bridge would output to an address of the machine's own, and that a tunnel listens for, is not output:
//! its headers are taken off ([`receive`]), and it comes in again by the datapath port, where [`TunnelTable`] finds
//! which tunnel it is of.

mod header;
mod native;
mod receive;
mod send;

pub use crate::option_places::OptionPlaces;
pub use crate::tunnel_config::{
    Checksum, DEFAULT_TTL, Endpoint, Erspan, FlowLabel, Key, PacketTypes, TunnelConfig, mapped, mapped_v4,
    shown, unmapped,
};
pub use crate::underlay::{Asking, Neighbour, NoUnderlay, Taken, TunnelMatch, TunnelTable, Underlay, Way};
