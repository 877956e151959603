//! Messages about the connection itself.

use super::Message;

/// A controller's role.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum ControllerRole {
    /// Only asks for the current role; valid in requests alone.
    NoChange = 0,
    /// Full access, beside other controllers: the role of a new connection.
    Equal = 1,
    /// Full access; at most one controller has it, and a new one makes the former secondary.
    Primary = 2,
    /// Read-only access; by default of asynchronous messages only port status.
    Secondary = 3,
}

/// `OFPT_ROLE_REQUEST` or its reply (OpenFlow 1.2+); `NXT_ROLE_REQUEST` in 1.0 and 1.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Role {
    /// The role requested, or the one in effect.
    pub role: ControllerRole,
    /// Orders elections of primaries: a lower one than before is stale. `None`: not given, as in Nicira's
    /// form.
    pub generation_id: Option<u64>,
}

/// `OFPT_ROLE_STATUS` (OpenFlow 1.4+; ONF extension in 1.3): the switch changed the controller's role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoleStatus {
    /// The new role.
    pub role: ControllerRole,
    /// 0 another became primary, 1 configuration, 2 experimenter.
    pub reason: u8,
    /// That of the role request behind the change; `u64::MAX`: none was ever given.
    pub generation_id: u64,
}

/// Kinds of asynchronous messages; index into [`AsyncConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum AsyncKind {
    /// `OFPT_PACKET_IN`; its bits are [`super::PacketInReason`] numbers.
    PacketIn = 0,
    /// `OFPT_PORT_STATUS`; its bits are [`super::PortReason`] numbers.
    PortStatus = 1,
    /// `OFPT_FLOW_REMOVED`; its bits are [`super::FlowRemovedReason`] numbers.
    FlowRemoved = 2,
    /// `OFPT_ROLE_STATUS` (OpenFlow 1.4+); its bits are [`RoleStatus::reason`] numbers.
    RoleStatus = 3,
    /// `OFPT_TABLE_STATUS` (OpenFlow 1.4+); its bits are [`super::TableStatus::reason`] numbers.
    TableStatus = 4,
    /// `OFPT_REQUESTFORWARD` (OpenFlow 1.4+); bit 0 group mods, bit 1 meter mods.
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
    /// As secondary.
    pub secondary: [u32; 6],
}

/// A change of [`AsyncConfig`]; `None` keeps what was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AsyncUpdate {
    /// For the roles primary and equal, by [`AsyncKind`].
    pub primary: [Option<u32>; 6],
    /// For the role secondary, by [`AsyncKind`].
    pub secondary: [Option<u32>; 6],
}

/// What a bundle control message asks for or confirms.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum BundleControlType {
    /// Creates an empty bundle (`OFPBCT_OPEN_REQUEST`).
    OpenRequest = 0,
    /// The bundle is open.
    OpenReply = 1,
    /// Ends the adding of messages; a commit may follow without it.
    CloseRequest = 2,
    /// The bundle is closed.
    CloseReply = 3,
    /// Applies the messages of the bundle, all or none, and frees it.
    CommitRequest = 4,
    /// All messages are applied; a failure is answered by an error instead.
    CommitReply = 5,
    /// Frees the bundle without applying it.
    DiscardRequest = 6,
    /// The bundle is freed.
    DiscardReply = 7,
}

/// Flags of bundles.
pub mod bundle_flag {
    /// No packet sees a part of the changes (`OFPBF_ATOMIC`).
    pub const ATOMIC: u16 = 1;
    /// Messages are applied in the order in which they were added (`OFPBF_ORDERED`).
    pub const ORDERED: u16 = 2;
}

/// `OFPT_BUNDLE_CONTROL` (OpenFlow 1.4+; ONF extension in 1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BundleControl {
    /// Its id, chosen by the controller; one space of ids per connection.
    pub bundle: u32,
    /// The number, for types that are not known; see [`BundleControlType`].
    pub kind: u16,
    /// [`bundle_flag`] bits; the same in all messages about one bundle.
    pub flags: u16,
}

/// `OFPT_BUNDLE_ADD_MESSAGE` (OpenFlow 1.4+; ONF extension in 1.3): one message for a bundle.
#[derive(Clone, PartialEq, Debug)]
pub struct BundleAdd {
    /// The bundle's id; one that does not exist is opened.
    pub bundle: u32,
    /// [`bundle_flag`] bits.
    pub flags: u16,
    /// Of the message inside.
    pub xid: u32,
    /// The message inside, of the same version as the one around it.
    pub message: Box<Message>,
    /// The message inside, as bytes, for errors about it.
    pub raw: Vec<u8>,
}

/// One mapping of a tunnel option to `tun_metadataN`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TlvMap {
    /// The class of the option: Geneve's option class.
    pub class: u16,
    /// The type within the class; Geneve's critical bit is its highest.
    pub kind: u8,
    /// Bytes of the option's data: a multiple of 4 from 4 to 124.
    pub length: u8,
    /// The `N` of `tun_metadataN`, 0 to 63.
    pub index: u16,
}

/// `NXT_TLV_TABLE_MOD`: changes the mappings of tunnel options (Nicira extension, any version).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlvTableMod {
    /// 0 add, 1 delete, 2 clear.
    pub command: u16,
    /// What to add or delete; empty to clear.
    pub mappings: Vec<TlvMap>,
}

/// `NXT_TLV_TABLE_REPLY`: the mappings of tunnel options (Nicira extension, any version).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlvTable {
    /// The most bytes of option data that all mappings together may have.
    pub max_space: u32,
    /// How many fields `tun_metadataN` there are.
    pub max_fields: u16,
    /// The mappings in effect.
    pub mappings: Vec<TlvMap>,
}
