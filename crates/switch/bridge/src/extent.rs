//! How much of the status columns is to be written.

use std::ops::BitOr;

/// How much is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extent {
    /// What follows from the configuration and the links.
    pub state: bool,
    /// Counters of interfaces and mirrors.
    pub counters: bool,
    /// Connections of controllers.
    pub controllers: bool,
    /// `Open_vSwitch.statistics`.
    pub machine: bool,
}

impl Extent {
    const NOTHING: Extent = Extent { state: false, counters: false, controllers: false, machine: false };
    pub const STATE: Extent = Extent { state: true, controllers: true, ..Extent::NOTHING };
    pub const CONTROLLERS: Extent = Extent { controllers: true, ..Extent::NOTHING };
    pub const ROUND: Extent = Extent { counters: true, controllers: true, ..Extent::NOTHING };
    pub const MACHINE: Extent = Extent { machine: true, ..Extent::NOTHING };
}

impl BitOr for Extent {
    type Output = Extent;

    fn bitor(self, other: Extent) -> Extent {
        Extent {
            state: self.state | other.state,
            counters: self.counters | other.counters,
            controllers: self.controllers | other.controllers,
            machine: self.machine | other.machine,
        }
    }
}
