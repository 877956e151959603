//! OpenFlow errors and their numbers in each version.
//!
//! Each row: the error, its name, and where it is encoded: `domain, from
//! version byte, to version byte, type, code`. Errors of the `NX` and `ONF`
//! domains are vendor errors. Facts from the OpenFlow specifications and
//! ovs-fields(7).

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use crate::Version;

/// Nicira's vendor number.
pub const NX_VENDOR: u32 = 0x0000_2320;
/// The ONF's vendor number.
pub const ONF_VENDOR: u32 = 0x4f4e_4600;

/// Where an error is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ErrorCode {
    /// 0 for errors of the standard.
    pub vendor: u32,
    /// `OFPET_*`, or the experimenter's type in vendor errors.
    pub kind: u16,
    /// Its meaning depends on `kind`.
    pub code: u16,
}

struct Row {
    error: OfError,
    name: &'static str,
    places: &'static [(u32, u8, u8, u16, u16)],
}

macro_rules! vendor {
    (OF) => {
        0
    };
    (NX) => {
        NX_VENDOR
    };
    (ONF) => {
        ONF_VENDOR
    };
}

macro_rules! errors {
    ($($(#[$doc:meta])* $error:ident $name:literal [$($vendor:ident $from:literal $to:literal $kind:literal $code:literal),*];)*) => {
        /// An error that one side of an OpenFlow connection reports to the other.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum OfError { $($(#[$doc])* $error),* }

        static ROWS: &[Row] = &[$(Row {
            error: OfError::$error,
            name: $name,
            places: &[$((vendor!($vendor), $from, $to, $kind, $code)),*],
        }),*];
    };
}

errors! {
    /// The two sides share no version.
    OfphfcIncompatible "OFPHFC_INCOMPATIBLE" [OF 1 6 0 0];
    /// The connection is not permitted.
    OfphfcEperm "OFPHFC_EPERM" [OF 1 6 0 1];
    /// The header's version is not the negotiated one.
    OfpbrcBadVersion "OFPBRC_BAD_VERSION" [OF 1 6 1 0];
    /// The header's message type is unknown or not supported.
    OfpbrcBadType "OFPBRC_BAD_TYPE" [OF 1 6 1 1];
    /// The multipart type is unknown or not supported.
    OfpbrcBadStat "OFPBRC_BAD_STAT" [OF 1 6 1 2];
    /// The vendor of a vendor message is not supported.
    OfpbrcBadVendor "OFPBRC_BAD_VENDOR" [OF 1 6 1 3];
    /// The vendor's message or multipart type is not supported.
    OfpbrcBadSubtype "OFPBRC_BAD_SUBTYPE" [OF 1 6 1 4];
    /// The request is not permitted.
    OfpbrcEperm "OFPBRC_EPERM" [OF 1 6 1 5];
    /// The message's length does not fit its type.
    OfpbrcBadLen "OFPBRC_BAD_LEN" [OF 1 6 1 6];
    /// The packet that was buffered has been used already.
    OfpbrcBufferEmpty "OFPBRC_BUFFER_EMPTY" [OF 1 6 1 7];
    /// No packet is buffered under this id.
    OfpbrcBufferUnknown "OFPBRC_BUFFER_UNKNOWN" [OF 1 6 1 8];
    /// There is no such table; a Nicira error in OpenFlow 1.0.
    OfpbrcBadTableId "OFPBRC_BAD_TABLE_ID" [NX 1 1 1 512, OF 2 6 1 9];
    /// The request changes state, and the controller's role is secondary.
    OfpbrcIsSecondary "OFPBRC_IS_SECONDARY" [OF 1 2 1 5, OF 3 6 1 10];
    /// A port is missing or not allowed here; a Nicira error in OpenFlow 1.0 and 1.1.
    OfpbrcBadPort "OFPBRC_BAD_PORT" [NX 1 2 1 514, OF 3 6 1 11];
    /// The packet in a packet-out is not valid.
    OfpbrcBadPacket "OFPBRC_BAD_PACKET" [OF 3 6 1 12];
    /// The parts of a multipart request are more than the switch can hold.
    OfpbrcMultipartBufferOverflow "OFPBRC_MULTIPART_BUFFER_OVERFLOW" [OF 4 6 1 13];
    /// The rest of a multipart request did not come in time.
    OfpbrcMultipartRequestTimeout "OFPBRC_MULTIPART_REQUEST_TIMEOUT" [ONF 4 4 2640 0, OF 5 6 1 14];
    /// The rest of a multipart reply did not come in time.
    OfpbrcMultipartReplyTimeout "OFPBRC_MULTIPART_REPLY_TIMEOUT" [ONF 4 4 2641 0, OF 5 6 1 15];
    /// The scheduling tolerance in a bundle features request could not be set.
    OfpbrcMultipartBadSched "OFPBRC_MULTIPART_BAD_SCHED" [OF 6 6 1 16];
    /// A match may have only pipeline fields here: no fields of packet headers.
    OfpbrcPipelineFieldsOnly "OFPBRC_PIPELINE_FIELDS_ONLY" [OF 6 6 1 17];
    /// The reason is not specified.
    OfpbrcUnknown "OFPBRC_UNKNOWN" [OF 6 6 1 18];
    /// An NXM or OXM match is malformed.
    NxbrcNxmInvalid "NXBRC_NXM_INVALID" [NX 1 2 1 256, NX 3 6 2 0];
    /// An NXM or OXM header is unknown, or its length or mask bit does not fit.
    NxbrcNxmBadType "NXBRC_NXM_BAD_TYPE" [NX 1 2 1 257, NX 3 6 3 0];
    /// A part of a request that must be zero is not.
    NxbrcMustBeZero "NXBRC_MUST_BE_ZERO" [NX 1 2 1 515, NX 3 6 4 0];
    /// A port status has an unknown reason.
    NxbrcBadReason "NXBRC_BAD_REASON" [NX 1 2 1 516, NX 3 6 5 0];
    /// A flow monitor's report has an unknown event.
    NxbrcFmBadEvent "NXBRC_FM_BAD_EVENT" [NX 1 2 1 520, NX 3 6 9 0];
    /// Stands for an error that the version has no numbers for.
    NxbrcUnencodableError "NXBRC_UNENCODABLE_ERROR" [NX 1 2 1 521, NX 3 6 10 0];
    /// The action type is unknown or not supported.
    OfpbacBadType "OFPBAC_BAD_TYPE" [OF 1 6 2 0];
    /// The length of an action, or of the list, is wrong.
    OfpbacBadLen "OFPBAC_BAD_LEN" [OF 1 6 2 1];
    /// The vendor of an action is unknown.
    OfpbacBadVendor "OFPBAC_BAD_VENDOR" [OF 1 6 2 2];
    /// The vendor's action type is unknown.
    OfpbacBadVendorType "OFPBAC_BAD_VENDOR_TYPE" [OF 1 6 2 3];
    /// The port to send to does not exist or is not allowed.
    OfpbacBadOutPort "OFPBAC_BAD_OUT_PORT" [OF 1 6 2 4];
    /// An argument of an action is out of range.
    OfpbacBadArgument "OFPBAC_BAD_ARGUMENT" [OF 1 6 2 5];
    /// The action is not permitted.
    OfpbacEperm "OFPBAC_EPERM" [OF 1 6 2 6];
    /// There are more actions, or more nesting, than can be handled.
    OfpbacTooMany "OFPBAC_TOO_MANY" [OF 1 6 2 7];
    /// The queue to send to does not exist.
    OfpbacBadQueue "OFPBAC_BAD_QUEUE" [OF 1 6 2 8];
    /// The group to send to does not exist; a Nicira error in OpenFlow 1.0.
    OfpbacBadOutGroup "OFPBAC_BAD_OUT_GROUP" [NX 1 1 2 9, OF 2 6 2 9];
    /// The match does not imply what the action requires; a Nicira error in OpenFlow 1.0.
    OfpbacMatchInconsistent "OFPBAC_MATCH_INCONSISTENT" [NX 1 1 1 522, OF 2 6 2 10];
    /// The order of the actions is not supported.
    OfpbacUnsupportedOrder "OFPBAC_UNSUPPORTED_ORDER" [OF 2 6 2 11];
    /// The action uses a tag or encapsulation that is not supported.
    OfpbacBadTag "OFPBAC_BAD_TAG" [OF 2 6 2 12];
    /// The action uses a field that is unknown or not supported.
    OfpbacBadSetType "OFPBAC_BAD_SET_TYPE" [NX 1 2 1 523, OF 3 6 2 13];
    /// The action uses bits beyond the field's end, or none.
    OfpbacBadSetLen "OFPBAC_BAD_SET_LEN" [NX 1 2 1 524, OF 3 6 2 14];
    /// The value does not fit the field, or the field is read-only.
    OfpbacBadSetArgument "OFPBAC_BAD_SET_ARGUMENT" [NX 1 2 1 525, OF 3 6 2 15];
    /// A `set_field` has a mask where the version allows none.
    OfpbacBadSetMask "OFPBAC_BAD_SET_MASK" [ONF 4 5 4250 0, OF 6 6 2 16];
    /// The meter in a meter action is not valid.
    OfpbacBadMeter "OFPBAC_BAD_METER" [OF 6 6 2 17];
    /// A part of an action that must be zero is not.
    NxbacMustBeZero "NXBAC_MUST_BE_ZERO" [NX 1 2 2 256, NX 3 6 11 0];
    /// A `conjunction` stands beside other actions, or its numbers are out of range.
    NxbacBadConjunction "NXBAC_BAD_CONJUNCTION" [NX 1 2 2 526, NX 3 6 15 0];
    /// The packet type of `encap` or `decap` is not supported.
    NxbacBadHeaderType "NXBAC_BAD_HEADER_TYPE" [NX 4 6 39 0];
    /// A property of `encap` or `decap` is unknown.
    NxbacUnknownEdProp "NXBAC_UNKNOWN_ED_PROP" [NX 4 6 40 0];
    /// A property of `encap` or `decap` is malformed.
    NxbacBadEdProp "NXBAC_BAD_ED_PROP" [NX 4 6 41 0];
    /// The action needs connection tracking that the datapath does not have.
    NxbacCtDatapathSupport "NXBAC_CT_DATAPATH_SUPPORT" [NX 1 2 1 265, NX 3 6 42 0];
    /// The instruction type is unknown.
    OfpbicUnknownInst "OFPBIC_UNKNOWN_INST" [OF 2 6 3 0];
    /// The instruction is not supported by the switch or the table.
    OfpbicUnsupInst "OFPBIC_UNSUP_INST" [NX 1 1 2 257, OF 2 6 3 1];
    /// The table of an instruction is not valid, or does not come later.
    OfpbicBadTableId "OFPBIC_BAD_TABLE_ID" [OF 2 6 3 2];
    /// The metadata value is not supported.
    OfpbicUnsupMetadata "OFPBIC_UNSUP_METADATA" [OF 2 6 3 3];
    /// The metadata mask is not supported.
    OfpbicUnsupMetadataMask "OFPBIC_UNSUP_METADATA_MASK" [OF 2 6 3 4];
    /// The vendor of an instruction is unknown.
    OfpbicBadExperimenter "OFPBIC_BAD_EXPERIMENTER" [OF 2 6 3 5];
    /// The vendor's instruction type is unknown.
    OfpbicBadExpType "OFPBIC_BAD_EXP_TYPE" [OF 2 2 3 5, OF 3 6 3 6];
    /// The length of an instruction, or of the list, is wrong.
    OfpbicBadLen "OFPBIC_BAD_LEN" [OF 3 6 3 7];
    /// The instruction is not permitted.
    OfpbicEperm "OFPBIC_EPERM" [OF 3 6 3 8];
    /// An instruction is given twice.
    OfpbicDupInst "OFPBIC_DUP_INST" [NX 2 2 3 256, ONF 3 4 2600 0, OF 5 6 3 9];
    /// The type of the match structure is not supported.
    OfpbmcBadType "OFPBMC_BAD_TYPE" [OF 2 6 4 0];
    /// The length of the match is wrong.
    OfpbmcBadLen "OFPBMC_BAD_LEN" [OF 2 6 4 1];
    /// The match uses a tag or encapsulation that is not supported.
    OfpbmcBadTag "OFPBMC_BAD_TAG" [OF 2 6 4 2];
    /// The mask of an Ethernet address is not supported.
    OfpbmcBadDlAddrMask "OFPBMC_BAD_DL_ADDR_MASK" [OF 2 6 4 3];
    /// The mask of an IP address is not supported.
    OfpbmcBadNwAddrMask "OFPBMC_BAD_NW_ADDR_MASK" [OF 2 6 4 4];
    /// The combination of fields left out is not supported.
    OfpbmcBadWildcards "OFPBMC_BAD_WILDCARDS" [NX 1 1 1 262, OF 2 6 4 5];
    /// A field of the match is unknown or not supported.
    OfpbmcBadField "OFPBMC_BAD_FIELD" [NX 1 1 0 263, OF 2 6 4 6];
    /// A value of the match is not possible or not supported.
    OfpbmcBadValue "OFPBMC_BAD_VALUE" [NX 1 1 1 258, OF 2 6 4 7];
    /// A mask of the match is not supported, or the value has bits outside it.
    OfpbmcBadMask "OFPBMC_BAD_MASK" [NX 1 2 1 259, OF 3 6 4 8];
    /// A field is matched without what it requires, such as TCP ports without TCP.
    OfpbmcBadPrereq "OFPBMC_BAD_PREREQ" [NX 1 2 1 260, OF 3 6 4 9];
    /// A field is matched twice.
    OfpbmcDupField "OFPBMC_DUP_FIELD" [NX 1 2 1 261, OF 3 6 4 10];
    /// The match is not permitted.
    OfpbmcEperm "OFPBMC_EPERM" [OF 3 6 4 11];
    /// The match needs connection tracking that the datapath does not have.
    NxbmcCtDatapathSupport "NXBMC_CT_DATAPATH_SUPPORT" [NX 1 2 1 264, NX 3 6 43 0];
    /// The reason is not specified.
    OfpfmfcUnknown "OFPFMFC_UNKNOWN" [OF 2 6 5 0];
    /// The table is full.
    OfpfmfcTableFull "OFPFMFC_TABLE_FULL" [OF 1 1 3 0, OF 2 6 5 1];
    /// There is no such table.
    OfpfmfcBadTableId "OFPFMFC_BAD_TABLE_ID" [OF 2 6 5 2];
    /// `CHECK_OVERLAP` is set and a rule of the same priority overlaps.
    OfpfmfcOverlap "OFPFMFC_OVERLAP" [OF 1 1 3 1, OF 2 6 5 3];
    /// The change is not permitted.
    OfpfmfcEperm "OFPFMFC_EPERM" [OF 1 1 3 2, OF 2 6 5 4];
    /// The timeout is not supported.
    OfpfmfcBadTimeout "OFPFMFC_BAD_TIMEOUT" [OF 2 6 5 5];
    /// An emergency rule has a timeout (OpenFlow 1.0).
    OfpfmfcBadEmergTimeout "OFPFMFC_BAD_EMERG_TIMEOUT" [OF 1 1 3 3];
    /// The command is unknown.
    OfpfmfcBadCommand "OFPFMFC_BAD_COMMAND" [OF 1 1 3 4, OF 2 6 5 6];
    /// The flags are unknown or not supported; a Nicira error in OpenFlow 1.0 and 1.1.
    OfpfmfcBadFlags "OFPFMFC_BAD_FLAGS" [NX 1 1 3 258, NX 2 2 5 258, OF 3 6 5 7];
    /// Rules of synchronized tables could not be kept equal.
    OfpfmfcCantSync "OFPFMFC_CANT_SYNC" [OF 5 6 5 8];
    /// The priority is not supported.
    OfpfmfcBadPriority "OFPFMFC_BAD_PRIORITY" [ONF 4 4 2360 0, OF 5 6 5 9];
    /// The rule is a copy in a synchronized table and cannot be changed.
    OfpfmfcIsSync "OFPFMFC_IS_SYNC" [OF 5 6 5 10];
    /// The order of the actions is not supported (OpenFlow 1.0).
    OfpfmfcUnsupported "OFPFMFC_UNSUPPORTED" [OF 1 1 3 5];
    /// The hardware failed.
    NxfmfcHardware "NXFMFC_HARDWARE" [NX 1 2 5 256, NX 3 6 12 0];
    /// The table in the command's upper byte does not exist; see [`crate::Message::FlowModTableId`].
    NxfmfcBadTableId "NXFMFC_BAD_TABLE_ID" [NX 1 2 5 257, NX 3 6 13 0];
    /// A rule uses a tunnel option field that is not mapped.
    NxfmfcInvalidTlvField "NXFMFC_INVALID_TLV_FIELD" [NX 1 2 1 536, NX 3 6 37 0];
    /// The group to add exists already.
    OfpgmfcGroupExists "OFPGMFC_GROUP_EXISTS" [NX 1 1 6 0, OF 2 6 6 0];
    /// The group's id or configuration is not valid.
    OfpgmfcInvalidGroup "OFPGMFC_INVALID_GROUP" [NX 1 1 6 1, OF 2 6 6 1];
    /// Unequal weights are not supported.
    OfpgmfcWeightUnsupported "OFPGMFC_WEIGHT_UNSUPPORTED" [NX 1 1 6 2, OF 2 6 6 2];
    /// There are as many groups as the switch can hold.
    OfpgmfcOutOfGroups "OFPGMFC_OUT_OF_GROUPS" [NX 1 1 6 3, OF 2 6 6 3];
    /// The group has more buckets than the switch can hold.
    OfpgmfcOutOfBuckets "OFPGMFC_OUT_OF_BUCKETS" [NX 1 1 6 4, OF 2 6 6 4];
    /// Groups that send to groups are not supported.
    OfpgmfcChainingUnsupported "OFPGMFC_CHAINING_UNSUPPORTED" [NX 1 1 6 5, OF 2 6 6 5];
    /// Watching the port or group is not supported.
    OfpgmfcWatchUnsupported "OFPGMFC_WATCH_UNSUPPORTED" [NX 1 1 6 6, OF 2 6 6 6];
    /// The group would send to itself by way of others.
    OfpgmfcLoop "OFPGMFC_LOOP" [NX 1 1 6 7, OF 2 6 6 7];
    /// The group to modify does not exist.
    OfpgmfcUnknownGroup "OFPGMFC_UNKNOWN_GROUP" [NX 1 1 6 8, OF 2 6 6 8];
    /// The group to delete is used by another one.
    OfpgmfcChainedGroup "OFPGMFC_CHAINED_GROUP" [NX 1 1 6 9, OF 3 6 6 9];
    /// The group type is unknown or not supported.
    OfpgmfcBadType "OFPGMFC_BAD_TYPE" [NX 1 1 6 10, OF 3 6 6 10];
    /// The command is unknown.
    OfpgmfcBadCommand "OFPGMFC_BAD_COMMAND" [NX 1 1 6 11, OF 3 6 6 11];
    /// A bucket is malformed.
    OfpgmfcBadBucket "OFPGMFC_BAD_BUCKET" [NX 1 1 6 12, OF 3 6 6 12];
    /// The port or group to watch is not valid.
    OfpgmfcBadWatch "OFPGMFC_BAD_WATCH" [NX 1 1 6 13, OF 3 6 6 13];
    /// The change is not permitted.
    OfpgmfcEperm "OFPGMFC_EPERM" [NX 1 1 6 14, OF 3 6 6 14];
    /// The bucket that an insert or remove names does not exist.
    OfpgmfcUnknownBucket "OFPGMFC_UNKNOWN_BUCKET" [NX 1 1 6 15, OF 6 6 6 15];
    /// The id of the bucket to insert is in use, or is given twice.
    OfpgmfcBucketExists "OFPGMFC_BUCKET_EXISTS" [NX 1 1 6 16, OF 6 6 6 16];
    /// There is no such port.
    OfppmfcBadPort "OFPPMFC_BAD_PORT" [OF 1 1 4 0, OF 2 6 7 0];
    /// The Ethernet address is not that of the port.
    OfppmfcBadHwAddr "OFPPMFC_BAD_HW_ADDR" [OF 1 1 4 1, OF 2 6 7 1];
    /// The configuration is not valid.
    OfppmfcBadConfig "OFPPMFC_BAD_CONFIG" [OF 2 6 7 2];
    /// The features to advertise are not valid.
    OfppmfcBadAdvertise "OFPPMFC_BAD_ADVERTISE" [OF 2 6 7 3];
    /// The change is not permitted.
    OfppmfcEperm "OFPPMFC_EPERM" [OF 3 6 7 4];
    /// There is no such table.
    OfptmfcBadTable "OFPTMFC_BAD_TABLE" [OF 2 6 8 0];
    /// The configuration is not valid.
    OfptmfcBadConfig "OFPTMFC_BAD_CONFIG" [OF 2 6 8 1];
    /// The change is not permitted.
    OfptmfcEperm "OFPTMFC_EPERM" [OF 3 6 8 2];
    /// There is no such port.
    OfpqofcBadPort "OFPQOFC_BAD_PORT" [OF 1 1 5 0, OF 2 6 9 0];
    /// There is no such queue.
    OfpqofcBadQueue "OFPQOFC_BAD_QUEUE" [OF 1 1 5 1, OF 2 6 9 1];
    /// The request is not permitted.
    OfpqofcEperm "OFPQOFC_EPERM" [OF 1 1 5 2, OF 2 6 9 2];
    /// The system could not report the queue.
    NxqofcQueueError "NXQOFC_QUEUE_ERROR" [NX 5 6 23 0];
    /// The flags of the switch's configuration are not valid.
    OfpscfcBadFlags "OFPSCFC_BAD_FLAGS" [OF 2 6 10 0];
    /// The length in the switch's configuration is not valid.
    OfpscfcBadLen "OFPSCFC_BAD_LEN" [OF 2 6 10 1];
    /// The change is not permitted.
    OfpscfcEperm "OFPSCFC_EPERM" [OF 3 6 10 2];
    /// The generation id is older than one seen before.
    OfprrfcStale "OFPRRFC_STALE" [OF 3 6 11 0];
    /// Changes of role are not supported.
    OfprrfcUnsup "OFPRRFC_UNSUP" [OF 3 6 11 1];
    /// The role is unknown; a Nicira error in OpenFlow 1.0 and 1.1.
    OfprrfcBadRole "OFPRRFC_BAD_ROLE" [NX 1 2 1 513, OF 3 6 11 2];
    /// Changes of the controller's id are not supported.
    OfprrfcIdUnsup "OFPRRFC_ID_UNSUP" [OF 6 6 11 3];
    /// The controller's id is in use by another.
    OfprrfcIdInUse "OFPRRFC_ID_IN_USE" [OF 6 6 11 4];
    /// The reason is not specified.
    OfpmmfcUnknown "OFPMMFC_UNKNOWN" [OF 4 6 12 0];
    /// The meter to add exists already.
    OfpmmfcMeterExists "OFPMMFC_METER_EXISTS" [OF 4 6 12 1];
    /// The meter's id is not valid.
    OfpmmfcInvalidMeter "OFPMMFC_INVALID_METER" [OF 4 6 12 2];
    /// There is no such meter.
    OfpmmfcUnknownMeter "OFPMMFC_UNKNOWN_METER" [OF 4 6 12 3];
    /// The command is unknown.
    OfpmmfcBadCommand "OFPMMFC_BAD_COMMAND" [OF 4 6 12 4];
    /// The combination of flags is not supported.
    OfpmmfcBadFlags "OFPMMFC_BAD_FLAGS" [OF 4 6 12 5];
    /// The rate is not supported.
    OfpmmfcBadRate "OFPMMFC_BAD_RATE" [OF 4 6 12 6];
    /// The burst size is not supported.
    OfpmmfcBadBurst "OFPMMFC_BAD_BURST" [OF 4 6 12 7];
    /// The band type is not supported.
    OfpmmfcBadBand "OFPMMFC_BAD_BAND" [OF 4 6 12 8];
    /// A value of the band is not supported.
    OfpmmfcBadBandValue "OFPMMFC_BAD_BAND_VALUE" [OF 4 6 12 9];
    /// There are as many meters as the switch can hold.
    OfpmmfcOutOfMeters "OFPMMFC_OUT_OF_METERS" [OF 4 6 12 10];
    /// The meter has more bands than the switch supports.
    OfpmmfcOutOfBands "OFPMMFC_OUT_OF_BANDS" [OF 4 6 12 11];
    /// There is no such table.
    OfptffcBadTable "OFPTFFC_BAD_TABLE" [OF 4 6 13 0];
    /// The metadata mask is not supported.
    OfptffcBadMetadata "OFPTFFC_BAD_METADATA" [OF 4 6 13 1];
    /// The change is not permitted.
    OfptffcEperm "OFPTFFC_EPERM" [OF 4 6 13 5];
    /// The capabilities are not valid.
    OfptffcBadCapa "OFPTFFC_BAD_CAPA" [OF 6 6 13 6];
    /// The number of entries is not possible.
    OfptffcBadMaxEnt "OFPTFFC_BAD_MAX_ENT" [OF 6 6 13 7];
    /// The features are inconsistent, or a required property is missing.
    OfptffcBadFeatures "OFPTFFC_BAD_FEATURES" [OF 6 6 13 8];
    /// The command is unknown.
    OfptffcBadCommand "OFPTFFC_BAD_COMMAND" [OF 6 6 13 9];
    /// There are more tables in the request than the switch can have.
    OfptffcTooMany "OFPTFFC_TOO_MANY" [OF 6 6 13 10];
    /// A table is named twice.
    NxtffcDupTable "NXTFFC_DUP_TABLE" [NX 4 6 44 0];
    /// The property type is unknown; `OFPTFFC_BAD_TYPE` in OpenFlow 1.3.
    OfpbpcBadType "OFPBPC_BAD_TYPE" [NX 1 2 13 2, NX 3 3 25 0, OF 4 4 13 2, OF 5 6 14 0];
    /// The length of a property is wrong; `OFPTFFC_BAD_LEN` in OpenFlow 1.3.
    OfpbpcBadLen "OFPBPC_BAD_LEN" [NX 1 2 13 3, NX 3 3 26 0, OF 4 4 13 3, OF 5 6 14 1];
    /// The value of a property is not supported; `OFPTFFC_BAD_ARGUMENT` in OpenFlow 1.3.
    OfpbpcBadValue "OFPBPC_BAD_VALUE" [NX 1 2 13 4, NX 3 3 27 0, OF 4 4 13 4, OF 5 6 14 2];
    /// There are more properties than can be handled.
    OfpbpcTooMany "OFPBPC_TOO_MANY" [NX 1 2 14 3, NX 3 3 28 0, ONF 4 4 4443 0, OF 5 6 14 3];
    /// A property is given twice.
    OfpbpcDupType "OFPBPC_DUP_TYPE" [NX 1 2 14 4, NX 3 3 29 0, ONF 4 4 4444 0, OF 5 6 14 4];
    /// The vendor of a property is unknown.
    OfpbpcBadExperimenter "OFPBPC_BAD_EXPERIMENTER" [NX 1 2 14 5, NX 3 3 30 0, ONF 4 4 4445 0, OF 5 6 14 5];
    /// The vendor's property type is unknown.
    OfpbpcBadExpType "OFPBPC_BAD_EXP_TYPE" [NX 1 2 14 6, NX 3 3 31 0, ONF 4 4 4446 0, OF 5 6 14 6];
    /// The value of a vendor's property is not supported.
    OfpbpcBadExpValue "OFPBPC_BAD_EXP_VALUE" [NX 1 2 14 7, NX 3 3 32 0, ONF 4 4 4447 0, OF 5 6 14 7];
    /// The property is not permitted.
    OfpbpcEperm "OFPBPC_EPERM" [NX 1 2 14 8, NX 3 3 33 0, ONF 4 4 4448 0, OF 5 6 14 8];
    /// A mask of the asynchronous configuration is not valid.
    OfpacfcInvalid "OFPACFC_INVALID" [ONF 4 4 2370 0, OF 5 6 15 0];
    /// The asynchronous configuration is not supported.
    OfpacfcUnsupported "OFPACFC_UNSUPPORTED" [ONF 4 4 2371 0, OF 5 6 15 1];
    /// The change is not permitted.
    OfpacfcEperm "OFPACFC_EPERM" [ONF 4 4 2372 0, OF 5 6 15 2];
    /// The reason is not specified.
    OfpbfcUnknown "OFPBFC_UNKNOWN" [ONF 4 4 2300 0, OF 5 6 17 0];
    /// The bundle is not permitted.
    OfpbfcEperm "OFPBFC_EPERM" [ONF 4 4 2301 0, OF 5 6 17 1];
    /// There is no such bundle.
    OfpbfcBadId "OFPBFC_BAD_ID" [ONF 4 4 2302 0, OF 5 6 17 2];
    /// The bundle to open exists already.
    OfpbfcBundleExist "OFPBFC_BUNDLE_EXIST" [ONF 4 4 2303 0, OF 5 6 17 3];
    /// The bundle is closed to further messages.
    OfpbfcBundleClosed "OFPBFC_BUNDLE_CLOSED" [ONF 4 4 2304 0, OF 5 6 17 4];
    /// There are as many bundles as the switch can hold.
    OfpbfcOutOfBundles "OFPBFC_OUT_OF_BUNDLES" [ONF 4 4 2305 0, OF 5 6 17 5];
    /// The type of a bundle control message is unknown.
    OfpbfcBadType "OFPBFC_BAD_TYPE" [ONF 4 4 2306 0, OF 5 6 17 6];
    /// The flags are unknown, or differ from those that the bundle was opened with.
    OfpbfcBadFlags "OFPBFC_BAD_FLAGS" [ONF 4 4 2307 0, OF 5 6 17 7];
    /// The length of the message inside is wrong.
    OfpbfcMsgBadLen "OFPBFC_MSG_BAD_LEN" [ONF 4 4 2308 0, OF 5 6 17 8];
    /// The xids inside and outside differ, or one is used twice.
    OfpbfcMsgBadXid "OFPBFC_MSG_BAD_XID" [ONF 4 4 2309 0, OF 5 6 17 9];
    /// A message of this kind cannot be in a bundle.
    OfpbfcMsgUnsup "OFPBFC_MSG_UNSUP" [ONF 4 4 2310 0, OF 5 6 17 10];
    /// The messages cannot be in one bundle together.
    OfpbfcMsgConflict "OFPBFC_MSG_CONFLICT" [ONF 4 4 2311 0, OF 5 6 17 11];
    /// The bundle has more messages than can be handled.
    OfpbfcMsgTooMany "OFPBFC_MSG_TOO_MANY" [ONF 4 4 2312 0, OF 5 6 17 12];
    /// A message failed on commit, so none is applied.
    OfpbfcMsgFailed "OFPBFC_MSG_FAILED" [ONF 4 4 2313 0, OF 5 6 17 13];
    /// The bundle was open for too long.
    OfpbfcTimeout "OFPBFC_TIMEOUT" [ONF 4 4 2314 0, OF 5 6 17 14];
    /// Another bundle holds what this request needs.
    OfpbfcBundleInProgress "OFPBFC_BUNDLE_IN_PROGRESS" [ONF 4 4 2315 0, OF 5 6 17 15];
    /// Commits at a set time are not supported.
    OfpbfcSchedNotSupported "OFPBFC_SCHED_NOT_SUPPORTED" [OF 6 6 17 16];
    /// The commit's time is too far in the future.
    OfpbfcSchedFuture "OFPBFC_SCHED_FUTURE" [OF 6 6 17 17];
    /// The commit's time is too far in the past.
    OfpbfcSchedPast "OFPBFC_SCHED_PAST" [OF 6 6 17 18];
    /// The message inside has another version than the one around it.
    OfpbfcBadVersion "OFPBFC_BAD_VERSION" [NX 5 6 22 0];
    /// The reason is not specified.
    OfpmofcUnknown "OFPMOFC_UNKNOWN" [OF 5 6 16 0];
    /// The monitor to add exists already; a Nicira error before OpenFlow 1.4.
    OfpmofcMonitorExists "OFPMOFC_MONITOR_EXISTS" [NX 1 2 1 517, NX 3 4 6 0, OF 5 6 16 1];
    /// The monitor is not valid.
    OfpmofcInvalidMonitor "OFPMOFC_INVALID_MONITOR" [OF 5 6 16 2];
    /// There is no such monitor; a Nicira error before OpenFlow 1.4.
    OfpmofcUnknownMonitor "OFPMOFC_UNKNOWN_MONITOR" [NX 1 2 1 519, NX 3 4 8 0, OF 5 6 16 3];
    /// The command is unknown.
    OfpmofcBadCommand "OFPMOFC_BAD_COMMAND" [OF 5 6 16 4];
    /// The combination of flags is not supported; a Nicira error before OpenFlow 1.4.
    OfpmofcBadFlags "OFPMOFC_BAD_FLAGS" [NX 1 2 1 518, NX 3 4 7 0, OF 5 6 16 5];
    /// There is no such table.
    OfpmofcBadTableId "OFPMOFC_BAD_TABLE_ID" [OF 5 6 16 6];
    /// The port or group to filter by is not valid.
    OfpmofcBadOut "OFPMOFC_BAD_OUT" [OF 5 6 16 7];
    /// The command is unknown.
    NxttmfcBadCommand "NXTTMFC_BAD_COMMAND" [NX 1 2 1 527, NX 3 6 16 0];
    /// The option's length is not a multiple of 4 from 4 to 124.
    NxttmfcBadOptLen "NXTTMFC_BAD_OPT_LEN" [NX 1 2 1 528, NX 3 6 17 0];
    /// There is no `tun_metadataN` of this index.
    NxttmfcBadFieldIdx "NXTTMFC_BAD_FIELD_IDX" [NX 1 2 1 529, NX 3 6 18 0];
    /// The options together are longer than the switch supports.
    NxttmfcTableFull "NXTTMFC_TABLE_FULL" [NX 1 2 1 530, NX 3 6 19 0];
    /// The field to map is mapped already.
    NxttmfcAlreadyMapped "NXTTMFC_ALREADY_MAPPED" [NX 1 2 1 531, NX 3 6 20 0];
    /// The option to map belongs to another field already.
    NxttmfcDupEntry "NXTTMFC_DUP_ENTRY" [NX 1 2 1 532, NX 3 6 21 0];
    /// The mapping to delete is used by a rule.
    NxttmfcInvalidTlvDel "NXTTMFC_INVALID_TLV_DEL" [NX 1 2 1 537, NX 3 6 38 0];
    /// The datapath does not support resuming.
    NxrNotSupported "NXR_NOT_SUPPORTED" [NX 1 2 1 533, NX 3 6 34 0];
    /// The continuation is of another bridge, or of before a restart.
    NxrStale "NXR_STALE" [NX 1 2 1 534, NX 3 6 35 0];
    /// The protocol whose statistics are requested is not configured.
    NxstNotConfigured "NXST_NOT_CONFIGURED" [NX 1 2 1 535, NX 3 6 36 0];
}

type ByCode = HashMap<(Version, ErrorCode), OfError>;

/// Of several errors with one number the first row wins.
static BY_CODE: LazyLock<ByCode> = LazyLock::new(|| {
    let mut map = HashMap::new();
    for row in ROWS {
        for version in Version::ALL {
            if let Some(code) = row.error.code(version) {
                map.entry((version, code)).or_insert(row.error);
            }
        }
    }
    map
});

impl OfError {
    /// `OFPBMC_BAD_PREREQ`.
    pub fn name(self) -> &'static str {
        ROWS[self as usize].name
    }

    /// The error called `name`.
    pub fn from_name(name: &str) -> Option<OfError> {
        ROWS.iter().find(|row| row.name == name).map(|row| row.error)
    }

    /// Its numbers in `version`, if it can be expressed there.
    pub fn code(self, version: Version) -> Option<ErrorCode> {
        let places = ROWS[self as usize].places;
        places
            .iter()
            .find(|(_, from, to, ..)| (*from..=*to).contains(&version.byte()))
            .map(|&(vendor, _, _, kind, code)| ErrorCode { vendor, kind, code })
    }

    /// The error with the numbers `code` in `version`.
    pub fn from_code(version: Version, code: ErrorCode) -> Option<OfError> {
        BY_CODE.get(&(version, code)).copied()
    }
}

impl fmt::Display for OfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for OfError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_unique_name_and_is_found_by_its_numbers() {
        for row in ROWS {
            assert_eq!(OfError::from_name(row.name), Some(row.error));
            for version in Version::ALL {
                if let Some(code) = row.error.code(version) {
                    let found = OfError::from_code(version, code).unwrap();
                    assert_eq!(found.code(version), Some(code));
                }
            }
        }
        assert_eq!(
            OfError::OfpbrcBadType.code(Version::Of10),
            Some(ErrorCode { vendor: 0, kind: 1, code: 1 })
        );
    }
}
