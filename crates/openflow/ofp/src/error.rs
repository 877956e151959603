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
    pub kind: u16,
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
    ($($error:ident $name:literal [$($vendor:ident $from:literal $to:literal $kind:literal $code:literal),*];)*) => {
        /// An error that one side of an OpenFlow connection reports to the other.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum OfError { $($error),* }

        static ROWS: &[Row] = &[$(Row {
            error: OfError::$error,
            name: $name,
            places: &[$((vendor!($vendor), $from, $to, $kind, $code)),*],
        }),*];
    };
}

errors! {
    OfphfcIncompatible "OFPHFC_INCOMPATIBLE" [OF 1 6 0 0];
    OfphfcEperm "OFPHFC_EPERM" [OF 1 6 0 1];
    OfpbrcBadVersion "OFPBRC_BAD_VERSION" [OF 1 6 1 0];
    OfpbrcBadType "OFPBRC_BAD_TYPE" [OF 1 6 1 1];
    OfpbrcBadStat "OFPBRC_BAD_STAT" [OF 1 6 1 2];
    OfpbrcBadVendor "OFPBRC_BAD_VENDOR" [OF 1 6 1 3];
    OfpbrcBadSubtype "OFPBRC_BAD_SUBTYPE" [OF 1 6 1 4];
    OfpbrcEperm "OFPBRC_EPERM" [OF 1 6 1 5];
    OfpbrcBadLen "OFPBRC_BAD_LEN" [OF 1 6 1 6];
    OfpbrcBufferEmpty "OFPBRC_BUFFER_EMPTY" [OF 1 6 1 7];
    OfpbrcBufferUnknown "OFPBRC_BUFFER_UNKNOWN" [OF 1 6 1 8];
    OfpbrcBadTableId "OFPBRC_BAD_TABLE_ID" [NX 1 1 1 512, OF 2 6 1 9];
    OfpbrcIsSecondary "OFPBRC_IS_SECONDARY" [OF 1 2 1 5, OF 3 6 1 10];
    OfpbrcBadPort "OFPBRC_BAD_PORT" [NX 1 2 1 514, OF 3 6 1 11];
    OfpbrcBadPacket "OFPBRC_BAD_PACKET" [OF 3 6 1 12];
    OfpbrcMultipartBufferOverflow "OFPBRC_MULTIPART_BUFFER_OVERFLOW" [OF 4 6 1 13];
    OfpbrcMultipartRequestTimeout "OFPBRC_MULTIPART_REQUEST_TIMEOUT" [ONF 4 4 2640 0, OF 5 6 1 14];
    OfpbrcMultipartReplyTimeout "OFPBRC_MULTIPART_REPLY_TIMEOUT" [ONF 4 4 2641 0, OF 5 6 1 15];
    OfpbrcMultipartBadSched "OFPBRC_MULTIPART_BAD_SCHED" [OF 6 6 1 16];
    OfpbrcPipelineFieldsOnly "OFPBRC_PIPELINE_FIELDS_ONLY" [OF 6 6 1 17];
    OfpbrcUnknown "OFPBRC_UNKNOWN" [OF 6 6 1 18];
    NxbrcNxmInvalid "NXBRC_NXM_INVALID" [NX 1 2 1 256, NX 3 6 2 0];
    NxbrcNxmBadType "NXBRC_NXM_BAD_TYPE" [NX 1 2 1 257, NX 3 6 3 0];
    NxbrcMustBeZero "NXBRC_MUST_BE_ZERO" [NX 1 2 1 515, NX 3 6 4 0];
    NxbrcBadReason "NXBRC_BAD_REASON" [NX 1 2 1 516, NX 3 6 5 0];
    NxbrcFmBadEvent "NXBRC_FM_BAD_EVENT" [NX 1 2 1 520, NX 3 6 9 0];
    NxbrcUnencodableError "NXBRC_UNENCODABLE_ERROR" [NX 1 2 1 521, NX 3 6 10 0];
    OfpbacBadType "OFPBAC_BAD_TYPE" [OF 1 6 2 0];
    OfpbacBadLen "OFPBAC_BAD_LEN" [OF 1 6 2 1];
    OfpbacBadVendor "OFPBAC_BAD_VENDOR" [OF 1 6 2 2];
    OfpbacBadVendorType "OFPBAC_BAD_VENDOR_TYPE" [OF 1 6 2 3];
    OfpbacBadOutPort "OFPBAC_BAD_OUT_PORT" [OF 1 6 2 4];
    OfpbacBadArgument "OFPBAC_BAD_ARGUMENT" [OF 1 6 2 5];
    OfpbacEperm "OFPBAC_EPERM" [OF 1 6 2 6];
    OfpbacTooMany "OFPBAC_TOO_MANY" [OF 1 6 2 7];
    OfpbacBadQueue "OFPBAC_BAD_QUEUE" [OF 1 6 2 8];
    OfpbacBadOutGroup "OFPBAC_BAD_OUT_GROUP" [NX 1 1 2 9, OF 2 6 2 9];
    OfpbacMatchInconsistent "OFPBAC_MATCH_INCONSISTENT" [NX 1 1 1 522, OF 2 6 2 10];
    OfpbacUnsupportedOrder "OFPBAC_UNSUPPORTED_ORDER" [OF 2 6 2 11];
    OfpbacBadTag "OFPBAC_BAD_TAG" [OF 2 6 2 12];
    OfpbacBadSetType "OFPBAC_BAD_SET_TYPE" [NX 1 2 1 523, OF 3 6 2 13];
    OfpbacBadSetLen "OFPBAC_BAD_SET_LEN" [NX 1 2 1 524, OF 3 6 2 14];
    OfpbacBadSetArgument "OFPBAC_BAD_SET_ARGUMENT" [NX 1 2 1 525, OF 3 6 2 15];
    OfpbacBadSetMask "OFPBAC_BAD_SET_MASK" [ONF 4 5 4250 0, OF 6 6 2 16];
    OfpbacBadMeter "OFPBAC_BAD_METER" [OF 6 6 2 17];
    NxbacMustBeZero "NXBAC_MUST_BE_ZERO" [NX 1 2 2 256, NX 3 6 11 0];
    NxbacBadConjunction "NXBAC_BAD_CONJUNCTION" [NX 1 2 2 526, NX 3 6 15 0];
    NxbacBadHeaderType "NXBAC_BAD_HEADER_TYPE" [NX 4 6 39 0];
    NxbacUnknownEdProp "NXBAC_UNKNOWN_ED_PROP" [NX 4 6 40 0];
    NxbacBadEdProp "NXBAC_BAD_ED_PROP" [NX 4 6 41 0];
    NxbacCtDatapathSupport "NXBAC_CT_DATAPATH_SUPPORT" [NX 1 2 1 265, NX 3 6 42 0];
    OfpbicUnknownInst "OFPBIC_UNKNOWN_INST" [OF 2 6 3 0];
    OfpbicUnsupInst "OFPBIC_UNSUP_INST" [NX 1 1 2 257, OF 2 6 3 1];
    OfpbicBadTableId "OFPBIC_BAD_TABLE_ID" [OF 2 6 3 2];
    OfpbicUnsupMetadata "OFPBIC_UNSUP_METADATA" [OF 2 6 3 3];
    OfpbicUnsupMetadataMask "OFPBIC_UNSUP_METADATA_MASK" [OF 2 6 3 4];
    OfpbicBadExperimenter "OFPBIC_BAD_EXPERIMENTER" [OF 2 6 3 5];
    OfpbicBadExpType "OFPBIC_BAD_EXP_TYPE" [OF 2 2 3 5, OF 3 6 3 6];
    OfpbicBadLen "OFPBIC_BAD_LEN" [OF 3 6 3 7];
    OfpbicEperm "OFPBIC_EPERM" [OF 3 6 3 8];
    OfpbicDupInst "OFPBIC_DUP_INST" [NX 2 2 3 256, ONF 3 4 2600 0, OF 5 6 3 9];
    OfpbmcBadType "OFPBMC_BAD_TYPE" [OF 2 6 4 0];
    OfpbmcBadLen "OFPBMC_BAD_LEN" [OF 2 6 4 1];
    OfpbmcBadTag "OFPBMC_BAD_TAG" [OF 2 6 4 2];
    OfpbmcBadDlAddrMask "OFPBMC_BAD_DL_ADDR_MASK" [OF 2 6 4 3];
    OfpbmcBadNwAddrMask "OFPBMC_BAD_NW_ADDR_MASK" [OF 2 6 4 4];
    OfpbmcBadWildcards "OFPBMC_BAD_WILDCARDS" [NX 1 1 1 262, OF 2 6 4 5];
    OfpbmcBadField "OFPBMC_BAD_FIELD" [NX 1 1 0 263, OF 2 6 4 6];
    OfpbmcBadValue "OFPBMC_BAD_VALUE" [NX 1 1 1 258, OF 2 6 4 7];
    OfpbmcBadMask "OFPBMC_BAD_MASK" [NX 1 2 1 259, OF 3 6 4 8];
    OfpbmcBadPrereq "OFPBMC_BAD_PREREQ" [NX 1 2 1 260, OF 3 6 4 9];
    OfpbmcDupField "OFPBMC_DUP_FIELD" [NX 1 2 1 261, OF 3 6 4 10];
    OfpbmcEperm "OFPBMC_EPERM" [OF 3 6 4 11];
    NxbmcCtDatapathSupport "NXBMC_CT_DATAPATH_SUPPORT" [NX 1 2 1 264, NX 3 6 43 0];
    OfpfmfcUnknown "OFPFMFC_UNKNOWN" [OF 2 6 5 0];
    OfpfmfcTableFull "OFPFMFC_TABLE_FULL" [OF 1 1 3 0, OF 2 6 5 1];
    OfpfmfcBadTableId "OFPFMFC_BAD_TABLE_ID" [OF 2 6 5 2];
    OfpfmfcOverlap "OFPFMFC_OVERLAP" [OF 1 1 3 1, OF 2 6 5 3];
    OfpfmfcEperm "OFPFMFC_EPERM" [OF 1 1 3 2, OF 2 6 5 4];
    OfpfmfcBadTimeout "OFPFMFC_BAD_TIMEOUT" [OF 2 6 5 5];
    OfpfmfcBadEmergTimeout "OFPFMFC_BAD_EMERG_TIMEOUT" [OF 1 1 3 3];
    OfpfmfcBadCommand "OFPFMFC_BAD_COMMAND" [OF 1 1 3 4, OF 2 6 5 6];
    OfpfmfcBadFlags "OFPFMFC_BAD_FLAGS" [NX 1 1 3 258, NX 2 2 5 258, OF 3 6 5 7];
    OfpfmfcCantSync "OFPFMFC_CANT_SYNC" [OF 5 6 5 8];
    OfpfmfcBadPriority "OFPFMFC_BAD_PRIORITY" [ONF 4 4 2360 0, OF 5 6 5 9];
    OfpfmfcIsSync "OFPFMFC_IS_SYNC" [OF 5 6 5 10];
    OfpfmfcUnsupported "OFPFMFC_UNSUPPORTED" [OF 1 1 3 5];
    NxfmfcHardware "NXFMFC_HARDWARE" [NX 1 2 5 256, NX 3 6 12 0];
    NxfmfcBadTableId "NXFMFC_BAD_TABLE_ID" [NX 1 2 5 257, NX 3 6 13 0];
    NxfmfcInvalidTlvField "NXFMFC_INVALID_TLV_FIELD" [NX 1 2 1 536, NX 3 6 37 0];
    OfpgmfcGroupExists "OFPGMFC_GROUP_EXISTS" [NX 1 1 6 0, OF 2 6 6 0];
    OfpgmfcInvalidGroup "OFPGMFC_INVALID_GROUP" [NX 1 1 6 1, OF 2 6 6 1];
    OfpgmfcWeightUnsupported "OFPGMFC_WEIGHT_UNSUPPORTED" [NX 1 1 6 2, OF 2 6 6 2];
    OfpgmfcOutOfGroups "OFPGMFC_OUT_OF_GROUPS" [NX 1 1 6 3, OF 2 6 6 3];
    OfpgmfcOutOfBuckets "OFPGMFC_OUT_OF_BUCKETS" [NX 1 1 6 4, OF 2 6 6 4];
    OfpgmfcChainingUnsupported "OFPGMFC_CHAINING_UNSUPPORTED" [NX 1 1 6 5, OF 2 6 6 5];
    OfpgmfcWatchUnsupported "OFPGMFC_WATCH_UNSUPPORTED" [NX 1 1 6 6, OF 2 6 6 6];
    OfpgmfcLoop "OFPGMFC_LOOP" [NX 1 1 6 7, OF 2 6 6 7];
    OfpgmfcUnknownGroup "OFPGMFC_UNKNOWN_GROUP" [NX 1 1 6 8, OF 2 6 6 8];
    OfpgmfcChainedGroup "OFPGMFC_CHAINED_GROUP" [NX 1 1 6 9, OF 3 6 6 9];
    OfpgmfcBadType "OFPGMFC_BAD_TYPE" [NX 1 1 6 10, OF 3 6 6 10];
    OfpgmfcBadCommand "OFPGMFC_BAD_COMMAND" [NX 1 1 6 11, OF 3 6 6 11];
    OfpgmfcBadBucket "OFPGMFC_BAD_BUCKET" [NX 1 1 6 12, OF 3 6 6 12];
    OfpgmfcBadWatch "OFPGMFC_BAD_WATCH" [NX 1 1 6 13, OF 3 6 6 13];
    OfpgmfcEperm "OFPGMFC_EPERM" [NX 1 1 6 14, OF 3 6 6 14];
    OfpgmfcUnknownBucket "OFPGMFC_UNKNOWN_BUCKET" [NX 1 1 6 15, OF 6 6 6 15];
    OfpgmfcBucketExists "OFPGMFC_BUCKET_EXISTS" [NX 1 1 6 16, OF 6 6 6 16];
    OfppmfcBadPort "OFPPMFC_BAD_PORT" [OF 1 1 4 0, OF 2 6 7 0];
    OfppmfcBadHwAddr "OFPPMFC_BAD_HW_ADDR" [OF 1 1 4 1, OF 2 6 7 1];
    OfppmfcBadConfig "OFPPMFC_BAD_CONFIG" [OF 2 6 7 2];
    OfppmfcBadAdvertise "OFPPMFC_BAD_ADVERTISE" [OF 2 6 7 3];
    OfppmfcEperm "OFPPMFC_EPERM" [OF 3 6 7 4];
    OfptmfcBadTable "OFPTMFC_BAD_TABLE" [OF 2 6 8 0];
    OfptmfcBadConfig "OFPTMFC_BAD_CONFIG" [OF 2 6 8 1];
    OfptmfcEperm "OFPTMFC_EPERM" [OF 3 6 8 2];
    OfpqofcBadPort "OFPQOFC_BAD_PORT" [OF 1 1 5 0, OF 2 6 9 0];
    OfpqofcBadQueue "OFPQOFC_BAD_QUEUE" [OF 1 1 5 1, OF 2 6 9 1];
    OfpqofcEperm "OFPQOFC_EPERM" [OF 1 1 5 2, OF 2 6 9 2];
    NxqofcQueueError "NXQOFC_QUEUE_ERROR" [NX 5 6 23 0];
    OfpscfcBadFlags "OFPSCFC_BAD_FLAGS" [OF 2 6 10 0];
    OfpscfcBadLen "OFPSCFC_BAD_LEN" [OF 2 6 10 1];
    OfpscfcEperm "OFPSCFC_EPERM" [OF 3 6 10 2];
    OfprrfcStale "OFPRRFC_STALE" [OF 3 6 11 0];
    OfprrfcUnsup "OFPRRFC_UNSUP" [OF 3 6 11 1];
    OfprrfcBadRole "OFPRRFC_BAD_ROLE" [NX 1 2 1 513, OF 3 6 11 2];
    OfprrfcIdUnsup "OFPRRFC_ID_UNSUP" [OF 6 6 11 3];
    OfprrfcIdInUse "OFPRRFC_ID_IN_USE" [OF 6 6 11 4];
    OfpmmfcUnknown "OFPMMFC_UNKNOWN" [OF 4 6 12 0];
    OfpmmfcMeterExists "OFPMMFC_METER_EXISTS" [OF 4 6 12 1];
    OfpmmfcInvalidMeter "OFPMMFC_INVALID_METER" [OF 4 6 12 2];
    OfpmmfcUnknownMeter "OFPMMFC_UNKNOWN_METER" [OF 4 6 12 3];
    OfpmmfcBadCommand "OFPMMFC_BAD_COMMAND" [OF 4 6 12 4];
    OfpmmfcBadFlags "OFPMMFC_BAD_FLAGS" [OF 4 6 12 5];
    OfpmmfcBadRate "OFPMMFC_BAD_RATE" [OF 4 6 12 6];
    OfpmmfcBadBurst "OFPMMFC_BAD_BURST" [OF 4 6 12 7];
    OfpmmfcBadBand "OFPMMFC_BAD_BAND" [OF 4 6 12 8];
    OfpmmfcBadBandValue "OFPMMFC_BAD_BAND_VALUE" [OF 4 6 12 9];
    OfpmmfcOutOfMeters "OFPMMFC_OUT_OF_METERS" [OF 4 6 12 10];
    OfpmmfcOutOfBands "OFPMMFC_OUT_OF_BANDS" [OF 4 6 12 11];
    OfptffcBadTable "OFPTFFC_BAD_TABLE" [OF 4 6 13 0];
    OfptffcBadMetadata "OFPTFFC_BAD_METADATA" [OF 4 6 13 1];
    OfptffcEperm "OFPTFFC_EPERM" [OF 4 6 13 5];
    OfptffcBadCapa "OFPTFFC_BAD_CAPA" [OF 6 6 13 6];
    OfptffcBadMaxEnt "OFPTFFC_BAD_MAX_ENT" [OF 6 6 13 7];
    OfptffcBadFeatures "OFPTFFC_BAD_FEATURES" [OF 6 6 13 8];
    OfptffcBadCommand "OFPTFFC_BAD_COMMAND" [OF 6 6 13 9];
    OfptffcTooMany "OFPTFFC_TOO_MANY" [OF 6 6 13 10];
    NxtffcDupTable "NXTFFC_DUP_TABLE" [NX 4 6 44 0];
    OfpbpcBadType "OFPBPC_BAD_TYPE" [NX 1 2 13 2, NX 3 3 25 0, OF 4 4 13 2, OF 5 6 14 0];
    OfpbpcBadLen "OFPBPC_BAD_LEN" [NX 1 2 13 3, NX 3 3 26 0, OF 4 4 13 3, OF 5 6 14 1];
    OfpbpcBadValue "OFPBPC_BAD_VALUE" [NX 1 2 13 4, NX 3 3 27 0, OF 4 4 13 4, OF 5 6 14 2];
    OfpbpcTooMany "OFPBPC_TOO_MANY" [NX 1 2 14 3, NX 3 3 28 0, ONF 4 4 4443 0, OF 5 6 14 3];
    OfpbpcDupType "OFPBPC_DUP_TYPE" [NX 1 2 14 4, NX 3 3 29 0, ONF 4 4 4444 0, OF 5 6 14 4];
    OfpbpcBadExperimenter "OFPBPC_BAD_EXPERIMENTER" [NX 1 2 14 5, NX 3 3 30 0, ONF 4 4 4445 0, OF 5 6 14 5];
    OfpbpcBadExpType "OFPBPC_BAD_EXP_TYPE" [NX 1 2 14 6, NX 3 3 31 0, ONF 4 4 4446 0, OF 5 6 14 6];
    OfpbpcBadExpValue "OFPBPC_BAD_EXP_VALUE" [NX 1 2 14 7, NX 3 3 32 0, ONF 4 4 4447 0, OF 5 6 14 7];
    OfpbpcEperm "OFPBPC_EPERM" [NX 1 2 14 8, NX 3 3 33 0, ONF 4 4 4448 0, OF 5 6 14 8];
    OfpacfcInvalid "OFPACFC_INVALID" [ONF 4 4 2370 0, OF 5 6 15 0];
    OfpacfcUnsupported "OFPACFC_UNSUPPORTED" [ONF 4 4 2371 0, OF 5 6 15 1];
    OfpacfcEperm "OFPACFC_EPERM" [ONF 4 4 2372 0, OF 5 6 15 2];
    OfpbfcUnknown "OFPBFC_UNKNOWN" [ONF 4 4 2300 0, OF 5 6 17 0];
    OfpbfcEperm "OFPBFC_EPERM" [ONF 4 4 2301 0, OF 5 6 17 1];
    OfpbfcBadId "OFPBFC_BAD_ID" [ONF 4 4 2302 0, OF 5 6 17 2];
    OfpbfcBundleExist "OFPBFC_BUNDLE_EXIST" [ONF 4 4 2303 0, OF 5 6 17 3];
    OfpbfcBundleClosed "OFPBFC_BUNDLE_CLOSED" [ONF 4 4 2304 0, OF 5 6 17 4];
    OfpbfcOutOfBundles "OFPBFC_OUT_OF_BUNDLES" [ONF 4 4 2305 0, OF 5 6 17 5];
    OfpbfcBadType "OFPBFC_BAD_TYPE" [ONF 4 4 2306 0, OF 5 6 17 6];
    OfpbfcBadFlags "OFPBFC_BAD_FLAGS" [ONF 4 4 2307 0, OF 5 6 17 7];
    OfpbfcMsgBadLen "OFPBFC_MSG_BAD_LEN" [ONF 4 4 2308 0, OF 5 6 17 8];
    OfpbfcMsgBadXid "OFPBFC_MSG_BAD_XID" [ONF 4 4 2309 0, OF 5 6 17 9];
    OfpbfcMsgUnsup "OFPBFC_MSG_UNSUP" [ONF 4 4 2310 0, OF 5 6 17 10];
    OfpbfcMsgConflict "OFPBFC_MSG_CONFLICT" [ONF 4 4 2311 0, OF 5 6 17 11];
    OfpbfcMsgTooMany "OFPBFC_MSG_TOO_MANY" [ONF 4 4 2312 0, OF 5 6 17 12];
    OfpbfcMsgFailed "OFPBFC_MSG_FAILED" [ONF 4 4 2313 0, OF 5 6 17 13];
    OfpbfcTimeout "OFPBFC_TIMEOUT" [ONF 4 4 2314 0, OF 5 6 17 14];
    OfpbfcBundleInProgress "OFPBFC_BUNDLE_IN_PROGRESS" [ONF 4 4 2315 0, OF 5 6 17 15];
    OfpbfcSchedNotSupported "OFPBFC_SCHED_NOT_SUPPORTED" [OF 6 6 17 16];
    OfpbfcSchedFuture "OFPBFC_SCHED_FUTURE" [OF 6 6 17 17];
    OfpbfcSchedPast "OFPBFC_SCHED_PAST" [OF 6 6 17 18];
    OfpbfcBadVersion "OFPBFC_BAD_VERSION" [NX 5 6 22 0];
    OfpmofcUnknown "OFPMOFC_UNKNOWN" [OF 5 6 16 0];
    OfpmofcMonitorExists "OFPMOFC_MONITOR_EXISTS" [NX 1 2 1 517, NX 3 4 6 0, OF 5 6 16 1];
    OfpmofcInvalidMonitor "OFPMOFC_INVALID_MONITOR" [OF 5 6 16 2];
    OfpmofcUnknownMonitor "OFPMOFC_UNKNOWN_MONITOR" [NX 1 2 1 519, NX 3 4 8 0, OF 5 6 16 3];
    OfpmofcBadCommand "OFPMOFC_BAD_COMMAND" [OF 5 6 16 4];
    OfpmofcBadFlags "OFPMOFC_BAD_FLAGS" [NX 1 2 1 518, NX 3 4 7 0, OF 5 6 16 5];
    OfpmofcBadTableId "OFPMOFC_BAD_TABLE_ID" [OF 5 6 16 6];
    OfpmofcBadOut "OFPMOFC_BAD_OUT" [OF 5 6 16 7];
    NxttmfcBadCommand "NXTTMFC_BAD_COMMAND" [NX 1 2 1 527, NX 3 6 16 0];
    NxttmfcBadOptLen "NXTTMFC_BAD_OPT_LEN" [NX 1 2 1 528, NX 3 6 17 0];
    NxttmfcBadFieldIdx "NXTTMFC_BAD_FIELD_IDX" [NX 1 2 1 529, NX 3 6 18 0];
    NxttmfcTableFull "NXTTMFC_TABLE_FULL" [NX 1 2 1 530, NX 3 6 19 0];
    NxttmfcAlreadyMapped "NXTTMFC_ALREADY_MAPPED" [NX 1 2 1 531, NX 3 6 20 0];
    NxttmfcDupEntry "NXTTMFC_DUP_ENTRY" [NX 1 2 1 532, NX 3 6 21 0];
    NxttmfcInvalidTlvDel "NXTTMFC_INVALID_TLV_DEL" [NX 1 2 1 537, NX 3 6 38 0];
    NxrNotSupported "NXR_NOT_SUPPORTED" [NX 1 2 1 533, NX 3 6 34 0];
    NxrStale "NXR_STALE" [NX 1 2 1 534, NX 3 6 35 0];
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
