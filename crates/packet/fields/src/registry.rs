//! The one table of fields.
//!
//! Each row has the variant, its name, an alternative name, where its value
//! lies in the key, how many bytes it takes on the wire, how many of their
//! bits may be set, whether parts of it may be matched, its text form, what
//! must be matched first, whether actions may write it, how OpenFlow 1.0 and
//! 1.1 can match it, and its OXM/NXM numbers with the least OpenFlow version
//! (0 means "any") of each. Facts from ovs-fields(7).

use flow::{FlowKey, Slot, slot};

use crate::{Prereq, Protocols};

/// Whether parts of the field may be matched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Maskable {
    /// The whole field or nothing.
    Whole,
    /// Any set of bits.
    Full,
}

/// How values are written and read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextForm {
    /// A decimal number.
    Decimal,
    /// A hexadecimal number with `0x`.
    Hexadecimal,
    /// Names of connection tracking bits with `+` and `-`.
    CtState,
    /// Six pairs of hexadecimal digits with colons.
    Ethernet,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address (RFC 4291).
    Ipv6,
    /// The 16-bit port number of OpenFlow 1.0, or a name.
    Port16,
    /// The 32-bit port number of OpenFlow 1.1, or a name.
    Port32,
    /// `no`, `yes`, `first`, `later`, `not_later`.
    Frag,
    /// Names of tunnel flags with `+` and `-`.
    TunnelFlags,
    /// Names of TCP flags with `+` and `-`.
    TcpFlags,
    /// `(name space,type)`.
    PacketType,
}

/// How the fixed match structures of OpenFlow 1.0 and 1.1 can match a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Legacy {
    /// Not at all.
    No,
    /// As a whole.
    Exact,
    /// An address prefix.
    Cidr,
    /// By any set of bits.
    Bitwise,
}

/// An OXM or NXM number of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OxmId {
    /// `OXM class`; 0xffff says that `experimenter` counts.
    pub class: u16,
    /// The experimenter, else 0.
    pub experimenter: u32,
    /// Its number within the class.
    pub number: u8,
    /// The least OpenFlow version byte that knows it; 0 for the extensions.
    pub version: u8,
    /// Its name: "OXM_OF_IN_PORT".
    pub name: &'static str,
}

/// All that is known of one field.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Which field.
    pub field: Field,
    /// Its name: "nw_src".
    pub name: &'static str,
    /// Another name by which it may be called; empty when there is none.
    pub extra_name: &'static str,
    /// Where its value lies.
    pub slot: Slot,
    /// How many bytes it takes on the wire.
    pub n_bytes: u8,
    /// How many of their bits count.
    pub n_bits: u8,
    /// Whether parts of it may be matched.
    pub maskable: Maskable,
    /// How its values are written.
    pub form: TextForm,
    /// What packets have it.
    pub prereq: Prereq,
    /// Whether actions may change it.
    pub writable: bool,
    /// How OpenFlow 1.0 can match it.
    pub of10: Legacy,
    /// How OpenFlow 1.1 can match it.
    pub of11: Legacy,
    /// Ascending by version.
    pub oxm: &'static [OxmId],
}

/// `bits` bits of `of` from its bit `shift` up.
const fn part(of: Slot, shift: u8, bits: u8) -> Slot {
    Slot { word: of.word, shift: of.shift + shift, bits }
}

macro_rules! class {
    (NXM0) => {
        (0x0000, 0)
    };
    (NXM1) => {
        (0x0001, 0)
    };
    (OXM) => {
        (0x8000, 0)
    };
    (PKT_REG) => {
        (0x8001, 0)
    };
    (ERIC) => {
        (0x1000, 0)
    };
    (NICIRA) => {
        (0xffff, 0x0000_2320)
    };
    (NSH) => {
        (0xffff, 0x005a_d650)
    };
    (ONF) => {
        (0xffff, 0x4f4e_4600)
    };
}
macro_rules! access {
    (Ro) => {
        false
    };
    (Rw) => {
        true
    };
}

macro_rules! registry {
    ($($field:ident $name:literal $extra:literal $slot:expr, $bytes:literal $bits:literal $mask:ident $form:ident
       $prereq:ident $access:ident $of10:ident $of11:ident [$($class:ident $number:literal $version:literal $oxm:literal),*];)*) => {
        /// A field. Everything about it is in [`Field::info`].
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Field {
            $(
                #[doc = concat!(" `", $name, "`")]
                $field
            ),*
        }

        static INFO: &[Info] = &[$(Info {
            field: Field::$field,
            name: $name,
            extra_name: $extra,
            slot: $slot,
            n_bytes: $bytes,
            n_bits: $bits,
            maskable: Maskable::$mask,
            form: TextForm::$form,
            prereq: Prereq::$prereq,
            writable: access!($access),
            of10: Legacy::$of10,
            of11: Legacy::$of11,
            oxm: &[$({
                const ID: (u16, u32) = class!($class);
                OxmId { class: ID.0, experimenter: ID.1, number: $number, version: $version, name: $oxm }
            }),*],
        }),*];
    };
}

registry! {
    DpHash "dp_hash" "" slot::DP_HASH, 4 32 Full Hexadecimal None Ro No No [NICIRA 0 0 "NXOXM_ET_DP_HASH", NXM1 35 0 "NXM_NX_DP_HASH"];
    RecircId "recirc_id" "" slot::RECIRC_ID, 4 32 Whole Decimal None Ro No No [NXM1 36 0 "NXM_NX_RECIRC_ID"];
    PacketType "packet_type" "" slot::PACKET_TYPE, 4 32 Whole PacketType None Ro No No [OXM 44 6 "OXM_OF_PACKET_TYPE"];
    ConjId "conj_id" "" slot::CONJ_ID, 4 32 Whole Decimal None Ro No No [NXM1 37 0 "NXM_NX_CONJ_ID"];
    TunId "tun_id" "tunnel_id" slot::TUN_ID, 8 64 Full Hexadecimal None Rw No No [NXM1 16 0 "NXM_NX_TUN_ID", OXM 38 4 "OXM_OF_TUNNEL_ID"];
    TunSrc "tun_src" "" slot::TUN_SRC, 4 32 Full Ipv4 None Rw No No [NXM1 31 0 "NXM_NX_TUN_IPV4_SRC"];
    TunDst "tun_dst" "" slot::TUN_DST, 4 32 Full Ipv4 None Rw No No [NXM1 32 0 "NXM_NX_TUN_IPV4_DST"];
    TunIpv6Src "tun_ipv6_src" "" slot::TUN_IPV6_SRC, 16 128 Full Ipv6 None Rw No No [NXM1 109 0 "NXM_NX_TUN_IPV6_SRC"];
    TunIpv6Dst "tun_ipv6_dst" "" slot::TUN_IPV6_DST, 16 128 Full Ipv6 None Rw No No [NXM1 110 0 "NXM_NX_TUN_IPV6_DST"];
    TunFlags "tun_flags" "" part(slot::TUN_FLAGS, 0, 1), 2 1 Full TunnelFlags None Rw No No [NXM1 104 0 "NXM_NX_TUN_FLAGS"];
    TunTtl "tun_ttl" "" slot::TUN_TTL, 1 8 Whole Decimal None Ro No No [];
    TunTos "tun_tos" "" slot::TUN_TOS, 1 8 Whole Decimal None Ro No No [];
    TunGbpId "tun_gbp_id" "" slot::TUN_GBP_ID, 2 16 Full Decimal None Rw No No [NXM1 38 0 "NXM_NX_TUN_GBP_ID"];
    TunGbpFlags "tun_gbp_flags" "" slot::TUN_GBP_FLAGS, 1 8 Full Hexadecimal None Rw No No [NXM1 39 0 "NXM_NX_TUN_GBP_FLAGS"];
    TunErspanIdx "tun_erspan_idx" "" slot::TUN_ERSPAN_IDX, 4 20 Full Hexadecimal None Rw No No [NICIRA 11 0 "NXOXM_ET_ERSPAN_IDX"];
    TunErspanVer "tun_erspan_ver" "" slot::TUN_ERSPAN_VER, 1 4 Full Decimal None Rw No No [NICIRA 12 0 "NXOXM_ET_ERSPAN_VER"];
    TunErspanDir "tun_erspan_dir" "" slot::TUN_ERSPAN_DIR, 1 1 Full Decimal None Rw No No [NICIRA 13 0 "NXOXM_ET_ERSPAN_DIR"];
    TunErspanHwid "tun_erspan_hwid" "" slot::TUN_ERSPAN_HWID, 1 6 Full Hexadecimal None Rw No No [NICIRA 14 0 "NXOXM_ET_ERSPAN_HWID"];
    TunGtpuFlags "tun_gtpu_flags" "" slot::TUN_GTPU_FLAGS, 1 8 Full Hexadecimal None Ro No No [NICIRA 15 0 "NXOXM_ET_GTPU_FLAGS"];
    TunGtpuMsgtype "tun_gtpu_msgtype" "" slot::TUN_GTPU_MSGTYPE, 1 8 Full Decimal None Ro No No [NICIRA 16 0 "NXOXM_ET_GTPU_MSGTYPE"];
    TunMetadata0 "tun_metadata0" "" Slot::tun_metadata_value(0), 16 128 Full Hexadecimal None Rw No No [NXM1 40 0 "NXM_NX_TUN_METADATA0"];
    TunMetadata1 "tun_metadata1" "" Slot::tun_metadata_value(1), 16 128 Full Hexadecimal None Rw No No [NXM1 41 0 "NXM_NX_TUN_METADATA1"];
    TunMetadata2 "tun_metadata2" "" Slot::tun_metadata_value(2), 16 128 Full Hexadecimal None Rw No No [NXM1 42 0 "NXM_NX_TUN_METADATA2"];
    TunMetadata3 "tun_metadata3" "" Slot::tun_metadata_value(3), 16 128 Full Hexadecimal None Rw No No [NXM1 43 0 "NXM_NX_TUN_METADATA3"];
    TunMetadata4 "tun_metadata4" "" Slot::tun_metadata_value(4), 16 128 Full Hexadecimal None Rw No No [NXM1 44 0 "NXM_NX_TUN_METADATA4"];
    TunMetadata5 "tun_metadata5" "" Slot::tun_metadata_value(5), 16 128 Full Hexadecimal None Rw No No [NXM1 45 0 "NXM_NX_TUN_METADATA5"];
    TunMetadata6 "tun_metadata6" "" Slot::tun_metadata_value(6), 16 128 Full Hexadecimal None Rw No No [NXM1 46 0 "NXM_NX_TUN_METADATA6"];
    TunMetadata7 "tun_metadata7" "" Slot::tun_metadata_value(7), 16 128 Full Hexadecimal None Rw No No [NXM1 47 0 "NXM_NX_TUN_METADATA7"];
    TunMetadata8 "tun_metadata8" "" Slot::tun_metadata_value(8), 16 128 Full Hexadecimal None Rw No No [NXM1 48 0 "NXM_NX_TUN_METADATA8"];
    TunMetadata9 "tun_metadata9" "" Slot::tun_metadata_value(9), 16 128 Full Hexadecimal None Rw No No [NXM1 49 0 "NXM_NX_TUN_METADATA9"];
    TunMetadata10 "tun_metadata10" "" Slot::tun_metadata_value(10), 16 128 Full Hexadecimal None Rw No No [NXM1 50 0 "NXM_NX_TUN_METADATA10"];
    TunMetadata11 "tun_metadata11" "" Slot::tun_metadata_value(11), 16 128 Full Hexadecimal None Rw No No [NXM1 51 0 "NXM_NX_TUN_METADATA11"];
    TunMetadata12 "tun_metadata12" "" Slot::tun_metadata_value(12), 16 128 Full Hexadecimal None Rw No No [NXM1 52 0 "NXM_NX_TUN_METADATA12"];
    TunMetadata13 "tun_metadata13" "" Slot::tun_metadata_value(13), 16 128 Full Hexadecimal None Rw No No [NXM1 53 0 "NXM_NX_TUN_METADATA13"];
    TunMetadata14 "tun_metadata14" "" Slot::tun_metadata_value(14), 16 128 Full Hexadecimal None Rw No No [NXM1 54 0 "NXM_NX_TUN_METADATA14"];
    TunMetadata15 "tun_metadata15" "" Slot::tun_metadata_value(15), 16 128 Full Hexadecimal None Rw No No [NXM1 55 0 "NXM_NX_TUN_METADATA15"];
    TunMetadata16 "tun_metadata16" "" Slot::tun_metadata_value(16), 16 128 Full Hexadecimal None Rw No No [NXM1 56 0 "NXM_NX_TUN_METADATA16"];
    TunMetadata17 "tun_metadata17" "" Slot::tun_metadata_value(17), 16 128 Full Hexadecimal None Rw No No [NXM1 57 0 "NXM_NX_TUN_METADATA17"];
    TunMetadata18 "tun_metadata18" "" Slot::tun_metadata_value(18), 16 128 Full Hexadecimal None Rw No No [NXM1 58 0 "NXM_NX_TUN_METADATA18"];
    TunMetadata19 "tun_metadata19" "" Slot::tun_metadata_value(19), 16 128 Full Hexadecimal None Rw No No [NXM1 59 0 "NXM_NX_TUN_METADATA19"];
    TunMetadata20 "tun_metadata20" "" Slot::tun_metadata_value(20), 16 128 Full Hexadecimal None Rw No No [NXM1 60 0 "NXM_NX_TUN_METADATA20"];
    TunMetadata21 "tun_metadata21" "" Slot::tun_metadata_value(21), 16 128 Full Hexadecimal None Rw No No [NXM1 61 0 "NXM_NX_TUN_METADATA21"];
    TunMetadata22 "tun_metadata22" "" Slot::tun_metadata_value(22), 16 128 Full Hexadecimal None Rw No No [NXM1 62 0 "NXM_NX_TUN_METADATA22"];
    TunMetadata23 "tun_metadata23" "" Slot::tun_metadata_value(23), 16 128 Full Hexadecimal None Rw No No [NXM1 63 0 "NXM_NX_TUN_METADATA23"];
    TunMetadata24 "tun_metadata24" "" Slot::tun_metadata_value(24), 16 128 Full Hexadecimal None Rw No No [NXM1 64 0 "NXM_NX_TUN_METADATA24"];
    TunMetadata25 "tun_metadata25" "" Slot::tun_metadata_value(25), 16 128 Full Hexadecimal None Rw No No [NXM1 65 0 "NXM_NX_TUN_METADATA25"];
    TunMetadata26 "tun_metadata26" "" Slot::tun_metadata_value(26), 16 128 Full Hexadecimal None Rw No No [NXM1 66 0 "NXM_NX_TUN_METADATA26"];
    TunMetadata27 "tun_metadata27" "" Slot::tun_metadata_value(27), 16 128 Full Hexadecimal None Rw No No [NXM1 67 0 "NXM_NX_TUN_METADATA27"];
    TunMetadata28 "tun_metadata28" "" Slot::tun_metadata_value(28), 16 128 Full Hexadecimal None Rw No No [NXM1 68 0 "NXM_NX_TUN_METADATA28"];
    TunMetadata29 "tun_metadata29" "" Slot::tun_metadata_value(29), 16 128 Full Hexadecimal None Rw No No [NXM1 69 0 "NXM_NX_TUN_METADATA29"];
    TunMetadata30 "tun_metadata30" "" Slot::tun_metadata_value(30), 16 128 Full Hexadecimal None Rw No No [NXM1 70 0 "NXM_NX_TUN_METADATA30"];
    TunMetadata31 "tun_metadata31" "" Slot::tun_metadata_value(31), 16 128 Full Hexadecimal None Rw No No [NXM1 71 0 "NXM_NX_TUN_METADATA31"];
    TunMetadata32 "tun_metadata32" "" Slot::tun_metadata_value(32), 16 128 Full Hexadecimal None Rw No No [NXM1 72 0 "NXM_NX_TUN_METADATA32"];
    TunMetadata33 "tun_metadata33" "" Slot::tun_metadata_value(33), 16 128 Full Hexadecimal None Rw No No [NXM1 73 0 "NXM_NX_TUN_METADATA33"];
    TunMetadata34 "tun_metadata34" "" Slot::tun_metadata_value(34), 16 128 Full Hexadecimal None Rw No No [NXM1 74 0 "NXM_NX_TUN_METADATA34"];
    TunMetadata35 "tun_metadata35" "" Slot::tun_metadata_value(35), 16 128 Full Hexadecimal None Rw No No [NXM1 75 0 "NXM_NX_TUN_METADATA35"];
    TunMetadata36 "tun_metadata36" "" Slot::tun_metadata_value(36), 16 128 Full Hexadecimal None Rw No No [NXM1 76 0 "NXM_NX_TUN_METADATA36"];
    TunMetadata37 "tun_metadata37" "" Slot::tun_metadata_value(37), 16 128 Full Hexadecimal None Rw No No [NXM1 77 0 "NXM_NX_TUN_METADATA37"];
    TunMetadata38 "tun_metadata38" "" Slot::tun_metadata_value(38), 16 128 Full Hexadecimal None Rw No No [NXM1 78 0 "NXM_NX_TUN_METADATA38"];
    TunMetadata39 "tun_metadata39" "" Slot::tun_metadata_value(39), 16 128 Full Hexadecimal None Rw No No [NXM1 79 0 "NXM_NX_TUN_METADATA39"];
    TunMetadata40 "tun_metadata40" "" Slot::tun_metadata_value(40), 16 128 Full Hexadecimal None Rw No No [NXM1 80 0 "NXM_NX_TUN_METADATA40"];
    TunMetadata41 "tun_metadata41" "" Slot::tun_metadata_value(41), 16 128 Full Hexadecimal None Rw No No [NXM1 81 0 "NXM_NX_TUN_METADATA41"];
    TunMetadata42 "tun_metadata42" "" Slot::tun_metadata_value(42), 16 128 Full Hexadecimal None Rw No No [NXM1 82 0 "NXM_NX_TUN_METADATA42"];
    TunMetadata43 "tun_metadata43" "" Slot::tun_metadata_value(43), 16 128 Full Hexadecimal None Rw No No [NXM1 83 0 "NXM_NX_TUN_METADATA43"];
    TunMetadata44 "tun_metadata44" "" Slot::tun_metadata_value(44), 16 128 Full Hexadecimal None Rw No No [NXM1 84 0 "NXM_NX_TUN_METADATA44"];
    TunMetadata45 "tun_metadata45" "" Slot::tun_metadata_value(45), 16 128 Full Hexadecimal None Rw No No [NXM1 85 0 "NXM_NX_TUN_METADATA45"];
    TunMetadata46 "tun_metadata46" "" Slot::tun_metadata_value(46), 16 128 Full Hexadecimal None Rw No No [NXM1 86 0 "NXM_NX_TUN_METADATA46"];
    TunMetadata47 "tun_metadata47" "" Slot::tun_metadata_value(47), 16 128 Full Hexadecimal None Rw No No [NXM1 87 0 "NXM_NX_TUN_METADATA47"];
    TunMetadata48 "tun_metadata48" "" Slot::tun_metadata_value(48), 16 128 Full Hexadecimal None Rw No No [NXM1 88 0 "NXM_NX_TUN_METADATA48"];
    TunMetadata49 "tun_metadata49" "" Slot::tun_metadata_value(49), 16 128 Full Hexadecimal None Rw No No [NXM1 89 0 "NXM_NX_TUN_METADATA49"];
    TunMetadata50 "tun_metadata50" "" Slot::tun_metadata_value(50), 16 128 Full Hexadecimal None Rw No No [NXM1 90 0 "NXM_NX_TUN_METADATA50"];
    TunMetadata51 "tun_metadata51" "" Slot::tun_metadata_value(51), 16 128 Full Hexadecimal None Rw No No [NXM1 91 0 "NXM_NX_TUN_METADATA51"];
    TunMetadata52 "tun_metadata52" "" Slot::tun_metadata_value(52), 16 128 Full Hexadecimal None Rw No No [NXM1 92 0 "NXM_NX_TUN_METADATA52"];
    TunMetadata53 "tun_metadata53" "" Slot::tun_metadata_value(53), 16 128 Full Hexadecimal None Rw No No [NXM1 93 0 "NXM_NX_TUN_METADATA53"];
    TunMetadata54 "tun_metadata54" "" Slot::tun_metadata_value(54), 16 128 Full Hexadecimal None Rw No No [NXM1 94 0 "NXM_NX_TUN_METADATA54"];
    TunMetadata55 "tun_metadata55" "" Slot::tun_metadata_value(55), 16 128 Full Hexadecimal None Rw No No [NXM1 95 0 "NXM_NX_TUN_METADATA55"];
    TunMetadata56 "tun_metadata56" "" Slot::tun_metadata_value(56), 16 128 Full Hexadecimal None Rw No No [NXM1 96 0 "NXM_NX_TUN_METADATA56"];
    TunMetadata57 "tun_metadata57" "" Slot::tun_metadata_value(57), 16 128 Full Hexadecimal None Rw No No [NXM1 97 0 "NXM_NX_TUN_METADATA57"];
    TunMetadata58 "tun_metadata58" "" Slot::tun_metadata_value(58), 16 128 Full Hexadecimal None Rw No No [NXM1 98 0 "NXM_NX_TUN_METADATA58"];
    TunMetadata59 "tun_metadata59" "" Slot::tun_metadata_value(59), 16 128 Full Hexadecimal None Rw No No [NXM1 99 0 "NXM_NX_TUN_METADATA59"];
    TunMetadata60 "tun_metadata60" "" Slot::tun_metadata_value(60), 16 128 Full Hexadecimal None Rw No No [NXM1 100 0 "NXM_NX_TUN_METADATA60"];
    TunMetadata61 "tun_metadata61" "" Slot::tun_metadata_value(61), 16 128 Full Hexadecimal None Rw No No [NXM1 101 0 "NXM_NX_TUN_METADATA61"];
    TunMetadata62 "tun_metadata62" "" Slot::tun_metadata_value(62), 16 128 Full Hexadecimal None Rw No No [NXM1 102 0 "NXM_NX_TUN_METADATA62"];
    TunMetadata63 "tun_metadata63" "" Slot::tun_metadata_value(63), 16 128 Full Hexadecimal None Rw No No [NXM1 103 0 "NXM_NX_TUN_METADATA63"];
    Metadata "metadata" "" slot::METADATA, 8 64 Full Hexadecimal None Rw No Bitwise [OXM 2 3 "OXM_OF_METADATA"];
    InPort "in_port" "" slot::IN_PORT, 2 16 Whole Port16 None Rw Exact Exact [NXM0 0 0 "NXM_OF_IN_PORT"];
    InPortOxm "in_port_oxm" "" slot::IN_PORT, 4 32 Whole Port32 None Rw No Exact [OXM 0 3 "OXM_OF_IN_PORT"];
    ActsetOutput "actset_output" "" slot::ACTSET_OUTPUT, 4 32 Whole Port32 None Ro No No [ONF 43 4 "ONFOXM_ET_ACTSET_OUTPUT", OXM 43 6 "OXM_OF_ACTSET_OUTPUT"];
    SkbPriority "skb_priority" "" slot::SKB_PRIORITY, 4 32 Whole Hexadecimal None Ro No No [];
    PktMark "pkt_mark" "" slot::PKT_MARK, 4 32 Full Hexadecimal None Rw No No [NXM1 33 0 "NXM_NX_PKT_MARK"];
    CtState "ct_state" "" slot::CT_STATE, 4 32 Full CtState None Ro No No [NXM1 105 0 "NXM_NX_CT_STATE"];
    CtZone "ct_zone" "" slot::CT_ZONE, 2 16 Whole Hexadecimal None Ro No No [NXM1 106 0 "NXM_NX_CT_ZONE"];
    CtMark "ct_mark" "" slot::CT_MARK, 4 32 Full Hexadecimal None Rw No No [NXM1 107 0 "NXM_NX_CT_MARK"];
    CtLabel "ct_label" "" slot::CT_LABEL, 16 128 Full Hexadecimal None Rw No No [NXM1 108 0 "NXM_NX_CT_LABEL"];
    CtNwProto "ct_nw_proto" "" slot::CT_NW_PROTO, 1 8 Whole Decimal CtValid Ro No No [NXM1 119 0 "NXM_NX_CT_NW_PROTO"];
    CtNwSrc "ct_nw_src" "" slot::CT_NW_SRC, 4 32 Full Ipv4 CtValid Ro No No [NXM1 120 0 "NXM_NX_CT_NW_SRC"];
    CtNwDst "ct_nw_dst" "" slot::CT_NW_DST, 4 32 Full Ipv4 CtValid Ro No No [NXM1 121 0 "NXM_NX_CT_NW_DST"];
    CtIpv6Src "ct_ipv6_src" "" slot::CT_IPV6_SRC, 16 128 Full Ipv6 CtValid Ro No No [NXM1 122 0 "NXM_NX_CT_IPV6_SRC"];
    CtIpv6Dst "ct_ipv6_dst" "" slot::CT_IPV6_DST, 16 128 Full Ipv6 CtValid Ro No No [NXM1 123 0 "NXM_NX_CT_IPV6_DST"];
    CtTpSrc "ct_tp_src" "" slot::CT_TP_SRC, 2 16 Full Decimal CtValid Ro No No [NXM1 124 0 "NXM_NX_CT_TP_SRC"];
    CtTpDst "ct_tp_dst" "" slot::CT_TP_DST, 2 16 Full Decimal CtValid Ro No No [NXM1 125 0 "NXM_NX_CT_TP_DST"];
    Reg0 "reg0" "" Slot::register(0), 4 32 Full Hexadecimal None Rw No No [NXM1 0 0 "NXM_NX_REG0"];
    Reg1 "reg1" "" Slot::register(1), 4 32 Full Hexadecimal None Rw No No [NXM1 1 0 "NXM_NX_REG1"];
    Reg2 "reg2" "" Slot::register(2), 4 32 Full Hexadecimal None Rw No No [NXM1 2 0 "NXM_NX_REG2"];
    Reg3 "reg3" "" Slot::register(3), 4 32 Full Hexadecimal None Rw No No [NXM1 3 0 "NXM_NX_REG3"];
    Reg4 "reg4" "" Slot::register(4), 4 32 Full Hexadecimal None Rw No No [NXM1 4 0 "NXM_NX_REG4"];
    Reg5 "reg5" "" Slot::register(5), 4 32 Full Hexadecimal None Rw No No [NXM1 5 0 "NXM_NX_REG5"];
    Reg6 "reg6" "" Slot::register(6), 4 32 Full Hexadecimal None Rw No No [NXM1 6 0 "NXM_NX_REG6"];
    Reg7 "reg7" "" Slot::register(7), 4 32 Full Hexadecimal None Rw No No [NXM1 7 0 "NXM_NX_REG7"];
    Reg8 "reg8" "" Slot::register(8), 4 32 Full Hexadecimal None Rw No No [NXM1 8 0 "NXM_NX_REG8"];
    Reg9 "reg9" "" Slot::register(9), 4 32 Full Hexadecimal None Rw No No [NXM1 9 0 "NXM_NX_REG9"];
    Reg10 "reg10" "" Slot::register(10), 4 32 Full Hexadecimal None Rw No No [NXM1 10 0 "NXM_NX_REG10"];
    Reg11 "reg11" "" Slot::register(11), 4 32 Full Hexadecimal None Rw No No [NXM1 11 0 "NXM_NX_REG11"];
    Reg12 "reg12" "" Slot::register(12), 4 32 Full Hexadecimal None Rw No No [NXM1 12 0 "NXM_NX_REG12"];
    Reg13 "reg13" "" Slot::register(13), 4 32 Full Hexadecimal None Rw No No [NXM1 13 0 "NXM_NX_REG13"];
    Reg14 "reg14" "" Slot::register(14), 4 32 Full Hexadecimal None Rw No No [NXM1 14 0 "NXM_NX_REG14"];
    Reg15 "reg15" "" Slot::register(15), 4 32 Full Hexadecimal None Rw No No [NXM1 15 0 "NXM_NX_REG15"];
    Reg16 "reg16" "" Slot::register(16), 4 32 Full Hexadecimal None Rw No No [NICIRA 17 0 "NXOXM_ET_REG16"];
    Reg17 "reg17" "" Slot::register(17), 4 32 Full Hexadecimal None Rw No No [NICIRA 18 0 "NXOXM_ET_REG17"];
    Reg18 "reg18" "" Slot::register(18), 4 32 Full Hexadecimal None Rw No No [NICIRA 19 0 "NXOXM_ET_REG18"];
    Reg19 "reg19" "" Slot::register(19), 4 32 Full Hexadecimal None Rw No No [NICIRA 20 0 "NXOXM_ET_REG19"];
    Reg20 "reg20" "" Slot::register(20), 4 32 Full Hexadecimal None Rw No No [NICIRA 21 0 "NXOXM_ET_REG20"];
    Reg21 "reg21" "" Slot::register(21), 4 32 Full Hexadecimal None Rw No No [NICIRA 22 0 "NXOXM_ET_REG21"];
    Reg22 "reg22" "" Slot::register(22), 4 32 Full Hexadecimal None Rw No No [NICIRA 23 0 "NXOXM_ET_REG22"];
    Reg23 "reg23" "" Slot::register(23), 4 32 Full Hexadecimal None Rw No No [NICIRA 24 0 "NXOXM_ET_REG23"];
    Reg24 "reg24" "" Slot::register(24), 4 32 Full Hexadecimal None Rw No No [NICIRA 25 0 "NXOXM_ET_REG24"];
    Reg25 "reg25" "" Slot::register(25), 4 32 Full Hexadecimal None Rw No No [NICIRA 26 0 "NXOXM_ET_REG25"];
    Reg26 "reg26" "" Slot::register(26), 4 32 Full Hexadecimal None Rw No No [NICIRA 27 0 "NXOXM_ET_REG26"];
    Reg27 "reg27" "" Slot::register(27), 4 32 Full Hexadecimal None Rw No No [NICIRA 28 0 "NXOXM_ET_REG27"];
    Reg28 "reg28" "" Slot::register(28), 4 32 Full Hexadecimal None Rw No No [NICIRA 29 0 "NXOXM_ET_REG28"];
    Reg29 "reg29" "" Slot::register(29), 4 32 Full Hexadecimal None Rw No No [NICIRA 30 0 "NXOXM_ET_REG29"];
    Reg30 "reg30" "" Slot::register(30), 4 32 Full Hexadecimal None Rw No No [NICIRA 31 0 "NXOXM_ET_REG30"];
    Reg31 "reg31" "" Slot::register(31), 4 32 Full Hexadecimal None Rw No No [NICIRA 32 0 "NXOXM_ET_REG31"];
    Xreg0 "xreg0" "" Slot::xregister(0), 8 64 Full Hexadecimal None Rw No No [PKT_REG 0 4 "OXM_OF_PKT_REG0"];
    Xreg1 "xreg1" "" Slot::xregister(1), 8 64 Full Hexadecimal None Rw No No [PKT_REG 1 4 "OXM_OF_PKT_REG1"];
    Xreg2 "xreg2" "" Slot::xregister(2), 8 64 Full Hexadecimal None Rw No No [PKT_REG 2 4 "OXM_OF_PKT_REG2"];
    Xreg3 "xreg3" "" Slot::xregister(3), 8 64 Full Hexadecimal None Rw No No [PKT_REG 3 4 "OXM_OF_PKT_REG3"];
    Xreg4 "xreg4" "" Slot::xregister(4), 8 64 Full Hexadecimal None Rw No No [PKT_REG 4 4 "OXM_OF_PKT_REG4"];
    Xreg5 "xreg5" "" Slot::xregister(5), 8 64 Full Hexadecimal None Rw No No [PKT_REG 5 4 "OXM_OF_PKT_REG5"];
    Xreg6 "xreg6" "" Slot::xregister(6), 8 64 Full Hexadecimal None Rw No No [PKT_REG 6 4 "OXM_OF_PKT_REG6"];
    Xreg7 "xreg7" "" Slot::xregister(7), 8 64 Full Hexadecimal None Rw No No [PKT_REG 7 4 "OXM_OF_PKT_REG7"];
    Xreg8 "xreg8" "" Slot::xregister(8), 8 64 Full Hexadecimal None Rw No No [PKT_REG 8 4 "OXM_OF_PKT_REG8"];
    Xreg9 "xreg9" "" Slot::xregister(9), 8 64 Full Hexadecimal None Rw No No [PKT_REG 9 4 "OXM_OF_PKT_REG9"];
    Xreg10 "xreg10" "" Slot::xregister(10), 8 64 Full Hexadecimal None Rw No No [PKT_REG 10 4 "OXM_OF_PKT_REG10"];
    Xreg11 "xreg11" "" Slot::xregister(11), 8 64 Full Hexadecimal None Rw No No [PKT_REG 11 4 "OXM_OF_PKT_REG11"];
    Xreg12 "xreg12" "" Slot::xregister(12), 8 64 Full Hexadecimal None Rw No No [PKT_REG 12 4 "OXM_OF_PKT_REG12"];
    Xreg13 "xreg13" "" Slot::xregister(13), 8 64 Full Hexadecimal None Rw No No [PKT_REG 13 4 "OXM_OF_PKT_REG13"];
    Xreg14 "xreg14" "" Slot::xregister(14), 8 64 Full Hexadecimal None Rw No No [PKT_REG 14 4 "OXM_OF_PKT_REG14"];
    Xreg15 "xreg15" "" Slot::xregister(15), 8 64 Full Hexadecimal None Rw No No [PKT_REG 15 4 "OXM_OF_PKT_REG15"];
    Xxreg0 "xxreg0" "" Slot::xxregister(0), 16 128 Full Hexadecimal None Rw No No [NXM1 111 0 "NXM_NX_XXREG0"];
    Xxreg1 "xxreg1" "" Slot::xxregister(1), 16 128 Full Hexadecimal None Rw No No [NXM1 112 0 "NXM_NX_XXREG1"];
    Xxreg2 "xxreg2" "" Slot::xxregister(2), 16 128 Full Hexadecimal None Rw No No [NXM1 113 0 "NXM_NX_XXREG2"];
    Xxreg3 "xxreg3" "" Slot::xxregister(3), 16 128 Full Hexadecimal None Rw No No [NXM1 114 0 "NXM_NX_XXREG3"];
    Xxreg4 "xxreg4" "" Slot::xxregister(4), 16 128 Full Hexadecimal None Rw No No [NICIRA 33 0 "NXOXM_ET_XXREG4"];
    Xxreg5 "xxreg5" "" Slot::xxregister(5), 16 128 Full Hexadecimal None Rw No No [NICIRA 34 0 "NXOXM_ET_XXREG5"];
    Xxreg6 "xxreg6" "" Slot::xxregister(6), 16 128 Full Hexadecimal None Rw No No [NICIRA 35 0 "NXOXM_ET_XXREG6"];
    Xxreg7 "xxreg7" "" Slot::xxregister(7), 16 128 Full Hexadecimal None Rw No No [NICIRA 36 0 "NXOXM_ET_XXREG7"];
    EthSrc "eth_src" "dl_src" slot::DL_SRC, 6 48 Full Ethernet Ethernet Rw Exact Bitwise [NXM0 2 0 "NXM_OF_ETH_SRC", OXM 4 3 "OXM_OF_ETH_SRC"];
    EthDst "eth_dst" "dl_dst" slot::DL_DST, 6 48 Full Ethernet Ethernet Rw Exact Bitwise [NXM0 1 0 "NXM_OF_ETH_DST", OXM 3 3 "OXM_OF_ETH_DST"];
    EthType "eth_type" "dl_type" slot::DL_TYPE, 2 16 Whole Hexadecimal Ethernet Ro Exact Exact [NXM0 3 0 "NXM_OF_ETH_TYPE", OXM 5 3 "OXM_OF_ETH_TYPE"];
    VlanTci "vlan_tci" "" slot::VLAN0_TCI, 2 16 Full Hexadecimal Ethernet Rw Exact Exact [NXM0 4 0 "NXM_OF_VLAN_TCI"];
    DlVlan "dl_vlan" "" part(slot::VLAN0_TCI, 0, 12), 2 12 Whole Decimal Ethernet Rw Exact Exact [];
    VlanVid "vlan_vid" "" part(slot::VLAN0_TCI, 0, 13), 2 12 Full Decimal Ethernet Rw Exact Exact [OXM 6 3 "OXM_OF_VLAN_VID"];
    DlVlanPcp "dl_vlan_pcp" "" part(slot::VLAN0_TCI, 13, 3), 1 3 Whole Decimal Ethernet Rw Exact Exact [];
    VlanPcp "vlan_pcp" "" part(slot::VLAN0_TCI, 13, 3), 1 3 Whole Decimal VlanVid Rw Exact Exact [OXM 7 3 "OXM_OF_VLAN_PCP"];
    MplsLabel "mpls_label" "" part(slot::MPLS0, 12, 20), 4 20 Whole Decimal Mpls Rw No Exact [OXM 34 3 "OXM_OF_MPLS_LABEL"];
    MplsTc "mpls_tc" "" part(slot::MPLS0, 9, 3), 1 3 Whole Decimal Mpls Rw No Exact [OXM 35 3 "OXM_OF_MPLS_TC"];
    MplsBos "mpls_bos" "" part(slot::MPLS0, 8, 1), 1 1 Whole Decimal Mpls Ro No No [OXM 36 4 "OXM_OF_MPLS_BOS"];
    MplsTtl "mpls_ttl" "" part(slot::MPLS0, 0, 8), 1 8 Whole Decimal Mpls Rw No No [NXM1 30 0 "NXM_NX_MPLS_TTL"];
    Ipv4Src "ip_src" "nw_src" slot::NW_SRC, 4 32 Full Ipv4 Ipv4 Rw Cidr Bitwise [NXM0 7 0 "NXM_OF_IP_SRC", OXM 11 3 "OXM_OF_IPV4_SRC"];
    Ipv4Dst "ip_dst" "nw_dst" slot::NW_DST, 4 32 Full Ipv4 Ipv4 Rw Cidr Bitwise [NXM0 8 0 "NXM_OF_IP_DST", OXM 12 3 "OXM_OF_IPV4_DST"];
    Ipv6Src "ipv6_src" "" slot::IPV6_SRC, 16 128 Full Ipv6 Ipv6 Rw No No [NXM1 19 0 "NXM_NX_IPV6_SRC", OXM 26 3 "OXM_OF_IPV6_SRC"];
    Ipv6Dst "ipv6_dst" "" slot::IPV6_DST, 16 128 Full Ipv6 Ipv6 Rw No No [NXM1 20 0 "NXM_NX_IPV6_DST", OXM 27 3 "OXM_OF_IPV6_DST"];
    Ipv6Label "ipv6_label" "" slot::IPV6_LABEL, 4 20 Full Hexadecimal Ipv6 Rw No No [NXM1 27 0 "NXM_NX_IPV6_LABEL", OXM 28 3 "OXM_OF_IPV6_FLABEL"];
    IpProto "nw_proto" "ip_proto" slot::NW_PROTO, 1 8 Whole Decimal IpAny Ro Exact Exact [NXM0 6 0 "NXM_OF_IP_PROTO", OXM 10 3 "OXM_OF_IP_PROTO"];
    IpDscp "nw_tos" "" part(slot::NW_TOS, 2, 6), 1 8 Whole Decimal IpAny Rw Exact Exact [NXM0 5 0 "NXM_OF_IP_TOS"];
    IpDscpShifted "ip_dscp" "" part(slot::NW_TOS, 2, 6), 1 6 Whole Decimal IpAny Rw Exact Exact [OXM 8 3 "OXM_OF_IP_DSCP"];
    IpEcn "nw_ecn" "ip_ecn" part(slot::NW_TOS, 0, 2), 1 2 Whole Decimal IpAny Rw No Exact [NXM1 28 0 "NXM_NX_IP_ECN", OXM 9 3 "OXM_OF_IP_ECN"];
    IpTtl "nw_ttl" "" slot::NW_TTL, 1 8 Whole Decimal IpAny Rw No No [NXM1 29 0 "NXM_NX_IP_TTL"];
    IpFrag "ip_frag" "nw_frag" part(slot::NW_FRAG, 0, 2), 1 2 Full Frag IpAny Ro No No [NXM1 26 0 "NXM_NX_IP_FRAG"];
    ArpOp "arp_op" "" slot::NW_PROTO, 2 16 Whole Decimal Arp Rw Exact Exact [NXM0 15 0 "NXM_OF_ARP_OP", OXM 21 3 "OXM_OF_ARP_OP"];
    ArpSpa "arp_spa" "" slot::NW_SRC, 4 32 Full Ipv4 Arp Rw Cidr Bitwise [NXM0 16 0 "NXM_OF_ARP_SPA", OXM 22 3 "OXM_OF_ARP_SPA"];
    ArpTpa "arp_tpa" "" slot::NW_DST, 4 32 Full Ipv4 Arp Rw Cidr Bitwise [NXM0 17 0 "NXM_OF_ARP_TPA", OXM 23 3 "OXM_OF_ARP_TPA"];
    ArpSha "arp_sha" "" slot::ARP_SHA, 6 48 Full Ethernet Arp Rw No No [NXM1 17 0 "NXM_NX_ARP_SHA", OXM 24 3 "OXM_OF_ARP_SHA"];
    ArpTha "arp_tha" "" slot::ARP_THA, 6 48 Full Ethernet Arp Rw No No [NXM1 18 0 "NXM_NX_ARP_THA", OXM 25 3 "OXM_OF_ARP_THA"];
    TcpSrc "tcp_src" "tp_src" slot::TP_SRC, 2 16 Full Decimal Tcp Rw Exact Exact [NXM0 9 0 "NXM_OF_TCP_SRC", OXM 13 3 "OXM_OF_TCP_SRC"];
    TcpDst "tcp_dst" "tp_dst" slot::TP_DST, 2 16 Full Decimal Tcp Rw Exact Exact [NXM0 10 0 "NXM_OF_TCP_DST", OXM 14 3 "OXM_OF_TCP_DST"];
    TcpFlags "tcp_flags" "" slot::TCP_FLAGS, 2 12 Full TcpFlags Tcp Ro No No [NXM1 34 0 "NXM_NX_TCP_FLAGS", ONF 42 4 "ONFOXM_ET_TCP_FLAGS", OXM 42 6 "OXM_OF_TCP_FLAGS"];
    UdpSrc "udp_src" "" slot::TP_SRC, 2 16 Full Decimal Udp Rw Exact Exact [NXM0 11 0 "NXM_OF_UDP_SRC", OXM 15 3 "OXM_OF_UDP_SRC"];
    UdpDst "udp_dst" "" slot::TP_DST, 2 16 Full Decimal Udp Rw Exact Exact [NXM0 12 0 "NXM_OF_UDP_DST", OXM 16 3 "OXM_OF_UDP_DST"];
    SctpSrc "sctp_src" "" slot::TP_SRC, 2 16 Full Decimal Sctp Rw No Exact [OXM 17 3 "OXM_OF_SCTP_SRC"];
    SctpDst "sctp_dst" "" slot::TP_DST, 2 16 Full Decimal Sctp Rw No Exact [OXM 18 3 "OXM_OF_SCTP_DST"];
    Icmpv4Type "icmp_type" "" slot::TP_SRC, 1 8 Whole Decimal Icmpv4 Rw Exact Exact [NXM0 13 0 "NXM_OF_ICMP_TYPE", OXM 19 3 "OXM_OF_ICMPV4_TYPE"];
    Icmpv4Code "icmp_code" "" slot::TP_DST, 1 8 Whole Decimal Icmpv4 Rw Exact Exact [NXM0 14 0 "NXM_OF_ICMP_CODE", OXM 20 3 "OXM_OF_ICMPV4_CODE"];
    Icmpv6Type "icmpv6_type" "" slot::TP_SRC, 1 8 Whole Decimal Icmpv6 Rw No No [NXM1 21 0 "NXM_NX_ICMPV6_TYPE", OXM 29 3 "OXM_OF_ICMPV6_TYPE"];
    Icmpv6Code "icmpv6_code" "" slot::TP_DST, 1 8 Whole Decimal Icmpv6 Rw No No [NXM1 22 0 "NXM_NX_ICMPV6_CODE", OXM 30 3 "OXM_OF_ICMPV6_CODE"];
    NdTarget "nd_target" "" slot::ND_TARGET, 16 128 Full Ipv6 Nd Rw No No [NXM1 23 0 "NXM_NX_ND_TARGET", OXM 31 3 "OXM_OF_IPV6_ND_TARGET"];
    NdSll "nd_sll" "" slot::ARP_SHA, 6 48 Full Ethernet NdSolicit Rw No No [NXM1 24 0 "NXM_NX_ND_SLL", OXM 32 3 "OXM_OF_IPV6_ND_SLL"];
    NdTll "nd_tll" "" slot::ARP_THA, 6 48 Full Ethernet NdAdvert Rw No No [NXM1 25 0 "NXM_NX_ND_TLL", OXM 33 3 "OXM_OF_IPV6_ND_TLL"];
    NdReserved "nd_reserved" "" slot::ND_RESERVED, 4 32 Whole Decimal Nd Rw No No [ERIC 1 0 "ERICOXM_OF_ICMPV6_ND_RESERVED"];
    NdOptionsType "nd_options_type" "" slot::ND_OPTIONS_TYPE, 1 8 Whole Decimal Nd Rw No No [ERIC 2 0 "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE"];
    NshFlags "nsh_flags" "" slot::NSH_FLAGS, 1 8 Full Decimal Nsh Rw No No [NSH 1 0 "NXOXM_NSH_FLAGS"];
    NshMdtype "nsh_mdtype" "" slot::NSH_MDTYPE, 1 8 Whole Decimal Nsh Ro No No [NSH 2 0 "NXOXM_NSH_MDTYPE"];
    NshNp "nsh_np" "" slot::NSH_NP, 1 8 Whole Decimal Nsh Ro No No [NSH 3 0 "NXOXM_NSH_NP"];
    NshSpi "nsh_spi" "nsp" slot::NSH_SPI, 4 24 Whole Hexadecimal Nsh Rw No No [NSH 4 0 "NXOXM_NSH_SPI"];
    NshSi "nsh_si" "nsi" slot::NSH_SI, 1 8 Whole Decimal Nsh Rw No No [NSH 5 0 "NXOXM_NSH_SI"];
    NshC1 "nsh_c1" "nshc1" slot::NSH_C1, 4 32 Full Hexadecimal Nsh Rw No No [NSH 6 0 "NXOXM_NSH_C1"];
    NshC2 "nsh_c2" "nshc2" slot::NSH_C2, 4 32 Full Hexadecimal Nsh Rw No No [NSH 7 0 "NXOXM_NSH_C2"];
    NshC3 "nsh_c3" "nshc3" slot::NSH_C3, 4 32 Full Hexadecimal Nsh Rw No No [NSH 8 0 "NXOXM_NSH_C3"];
    NshC4 "nsh_c4" "nshc4" slot::NSH_C4, 4 32 Full Hexadecimal Nsh Rw No No [NSH 9 0 "NXOXM_NSH_C4"];
    NshTtl "nsh_ttl" "" slot::NSH_TTL, 1 8 Whole Decimal Nsh Rw No No [NSH 10 0 "NXOXM_NSH_TTL"];
}

/// How many fields hold options of tunnels.
pub const TUNNEL_OPTIONS: usize = flow::TUN_METADATA_FIELDS;

impl Field {
    /// How many fields there are.
    pub const COUNT: usize = INFO.len();

    /// All fields, in the table's order.
    pub fn all() -> impl ExactSizeIterator<Item = Field> + Clone {
        INFO.iter().map(|info| info.field)
    }

    /// All that is known of the field.
    #[inline]
    pub fn info(self) -> &'static Info {
        &INFO[self as usize]
    }

    /// The field at `index` of the table.
    pub fn from_index(index: usize) -> Option<Field> {
        INFO.get(index).map(|info| info.field)
    }

    /// Its name: "nw_src".
    #[inline]
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// How many bytes it takes on the wire.
    #[inline]
    pub fn n_bytes(self) -> usize {
        usize::from(self.info().n_bytes)
    }

    /// How many of their bits count.
    #[inline]
    pub fn n_bits(self) -> u32 {
        u32::from(self.info().n_bits)
    }

    /// Where its value lies in the key.
    #[inline]
    pub fn slot(self) -> Slot {
        self.info().slot
    }

    /// Whether actions may change it.
    pub fn is_writable(self) -> bool {
        self.info().writable
    }

    /// The mask that says "every bit": all the bytes of the field, unused bits too.
    #[inline]
    pub fn exact(self) -> u128 {
        let bits = u32::from(self.info().n_bytes) * 8;
        if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
    }

    /// The field called `name`, by its name or its other name (not an OXM name).
    pub fn from_name(name: &str) -> Option<Field> {
        INFO.iter()
            .find(|info| info.name == name || (!info.extra_name.is_empty() && info.extra_name == name))
            .map(|info| info.field)
    }

    /// The names of all fields, and their other names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let names = INFO.iter().flat_map(|info| [info.name, info.extra_name]);
        names.filter(|name| !name.is_empty())
    }

    /// Register `index` (0 to 31).
    pub fn register(index: usize) -> Option<Field> {
        (index < flow::REGISTERS).then(|| Field::from_index(Field::Reg0 as usize + index)).flatten()
    }

    /// Whether this is a register, simple, double or fourfold.
    pub fn is_register(self) -> bool {
        (Field::Reg0..Field::EthSrc).contains(&self)
    }

    /// Its number among the fields that hold options of tunnels, if it is one. They have the length that the mapping of the
    /// option has.
    pub fn tunnel_option(self) -> Option<usize> {
        let is_one = (Field::TunMetadata0..=Field::TunMetadata63).contains(&self);
        is_one.then(|| self as usize - Field::TunMetadata0 as usize)
    }

    /// The field that holds the option of a tunnel of this number.
    pub fn of_tunnel_option(index: usize) -> Option<Field> {
        (index < TUNNEL_OPTIONS).then(|| Field::from_index(Field::TunMetadata0 as usize + index)).flatten()
    }

    /// Whether it is of a tunnel.
    pub fn is_tunnel(self) -> bool {
        (Field::TunId..=Field::TunMetadata63).contains(&self)
    }

    /// Layer 3 and above.
    pub fn is_l3_or_higher(self) -> bool {
        self >= Field::Ipv4Src
    }

    /// The fields that a packet keeps across recirculation, outside its headers.
    pub fn is_frozen_metadata(self) -> bool {
        (Field::TunId..=Field::InPortOxm).contains(&self) || self.is_register()
    }

    /// The "pipeline fields" of OpenFlow 1.5, which packet-in and packet-out carry.
    pub fn is_pipeline(self) -> bool {
        (self.is_tunnel() && !matches!(self, Field::TunTtl | Field::TunTos))
            || self.is_register()
            || matches!(self, Field::Metadata | Field::InPort | Field::InPortOxm | Field::PacketType)
    }

    /// The protocols that can match or set the whole field.
    pub fn protocols_exact(self) -> Protocols {
        let info = self.info();
        if matches!(self, Field::DlVlan | Field::DlVlanPcp) {
            return Protocols::ANY;
        }
        protocols(info.of10 != Legacy::No, info.of11 != Legacy::No, !info.oxm.is_empty())
    }

    /// The protocols that can match a prefix of the field.
    pub fn protocols_cidr(self) -> Protocols {
        let info = self.info();
        if info.maskable == Maskable::Whole {
            return Protocols::NONE;
        }
        protocols(info.of10 == Legacy::Cidr, info.of11 == Legacy::Bitwise, !info.oxm.is_empty())
    }

    /// The protocols that can match any bits of the field.
    pub fn protocols_bitwise(self) -> Protocols {
        let info = self.info();
        if info.maskable == Maskable::Whole {
            return Protocols::NONE;
        }
        protocols(false, info.of11 == Legacy::Bitwise, !info.oxm.is_empty())
    }
}

fn protocols(of10: bool, of11: bool, oxm: bool) -> Protocols {
    match (of10, of11, oxm) {
        (true, ..) => Protocols::ANY,
        (false, true, _) => Protocols::NXM_OF11_UP,
        (false, false, true) => Protocols::NXM_OXM_ANY,
        (false, false, false) => Protocols::NONE,
    }
}

impl Field {
    /// Whether a packet with `key` has this field.
    pub fn prereqs_met(self, key: &FlowKey) -> bool {
        self.info().prereq.met_by(key, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_variants() {
        for (index, field) in Field::all().enumerate() {
            assert_eq!(field as usize, index);
            assert!(
                field.info().slot.bits as usize <= 8 * field.n_bytes()
                    || field.slot().bits == 16
                    || field == Field::InPort
            );
        }
    }

    #[test]
    fn names_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for field in Field::all() {
            let info = field.info();
            assert!(seen.insert(info.name), "{}", info.name);
            assert!(info.extra_name.is_empty() || seen.insert(info.extra_name));
        }
    }
}
