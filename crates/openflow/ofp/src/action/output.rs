//! Actions that send the packet somewhere.

use base::OfPort;
use fields::Subfield;

use crate::PacketInReason;

/// `output:PORT`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Output {
    pub port: OfPort,
    /// Bytes to send, when `port` is the controller.
    pub max_len: u16,
}

/// `controller(...)`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Controller {
    pub max_len: u16,
    pub reason: PacketInReason,
    pub controller_id: u16,
    pub userdata: Vec<u8>,
    /// Freeze the packet's way; the controller may resume it.
    pub pause: bool,
    /// 0: none.
    pub meter_id: u32,
    /// Whether it came in the extensible form, and is so written back.
    pub extensible: bool,
}

impl Default for Controller {
    fn default() -> Self {
        Controller {
            max_len: u16::MAX,
            reason: PacketInReason::Action,
            controller_id: 0,
            userdata: Vec::new(),
            pause: false,
            meter_id: 0,
            extensible: false,
        }
    }
}

/// `enqueue:PORT:QUEUE`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Enqueue {
    pub port: OfPort,
    pub queue: u32,
}

/// `output:NXM_NX_REG0[]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OutputReg {
    pub source: Subfield,
    pub max_len: u16,
    /// Whether it came in the newer form, and is so written back.
    pub newer: bool,
}

/// `output(port=PORT,max_len=N)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OutputTrunc {
    pub port: OfPort,
    pub max_len: u32,
}
