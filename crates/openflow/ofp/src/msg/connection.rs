//! Messages about the connection itself.

use super::Message;

/// A controller's role.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum ControllerRole {
    NoChange = 0,
    Equal = 1,
    Primary = 2,
    Secondary = 3,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Role {
    pub role: ControllerRole,
    pub generation_id: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoleStatus {
    pub role: ControllerRole,
    /// 0 another became primary, 1 configuration, 2 experimenter.
    pub reason: u8,
    pub generation_id: u64,
}

/// Kinds of asynchronous messages; index into [`AsyncConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum AsyncKind {
    PacketIn = 0,
    PortStatus = 1,
    FlowRemoved = 2,
    RoleStatus = 3,
    TableStatus = 4,
    RequestForward = 5,
}

/// The names of [`AsyncKind`]s, in their order.
pub(crate) const ASYNC_KINDS: [&str; 6] =
    ["PACKET_IN", "PORT_STATUS", "FLOW_REMOVED", "ROLE_STATUS", "TABLE_STATUS", "REQUESTFORWARD"];

/// Which asynchronous messages a controller gets: a bit per reason, by [`AsyncKind`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AsyncConfig {
    /// As primary or equal.
    pub primary: [u32; 6],
    pub secondary: [u32; 6],
}

/// A change of [`AsyncConfig`]; `None` keeps what was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AsyncUpdate {
    pub primary: [Option<u32>; 6],
    pub secondary: [Option<u32>; 6],
}

/// What a bundle control message asks for or confirms.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum BundleControlType {
    OpenRequest = 0,
    OpenReply = 1,
    CloseRequest = 2,
    CloseReply = 3,
    CommitRequest = 4,
    CommitReply = 5,
    DiscardRequest = 6,
    DiscardReply = 7,
}

/// Flags of bundles.
pub mod bundle_flag {
    pub const ATOMIC: u16 = 1;
    pub const ORDERED: u16 = 2;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BundleControl {
    pub bundle: u32,
    /// The number, for types that are not known; see [`BundleControlType`].
    pub kind: u16,
    pub flags: u16,
}

#[derive(Clone, PartialEq, Debug)]
pub struct BundleAdd {
    pub bundle: u32,
    pub flags: u16,
    /// Of the message inside.
    pub xid: u32,
    pub message: Box<Message>,
    /// The message inside, as bytes, for errors about it.
    pub raw: Vec<u8>,
}

/// One mapping of a tunnel option to `tun_metadataN`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TlvMap {
    pub class: u16,
    pub kind: u8,
    pub length: u8,
    pub index: u16,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlvTableMod {
    /// 0 add, 1 delete, 2 clear.
    pub command: u16,
    pub mappings: Vec<TlvMap>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlvTable {
    pub max_space: u32,
    pub max_fields: u16,
    pub mappings: Vec<TlvMap>,
}
