//! Where each value lies in the key: the one layout table.

use base::MacAddr;

use crate::FlowKey;

/// How many words of four bytes hold the data of all options of a tunnel: four for each of the fields.
pub const OPTION_WORDS: usize = 4 * TUN_METADATA_FIELDS;

/// Fields of tunnel metadata.
pub const TUN_METADATA_FIELDS: usize = 64;

/// The first word of the extension.
const FAR: u8 = 64;

/// The place of one value: `bits` bits of word `word` from bit `shift` up.
///
/// A 128-bit value has `bits == 128`, `shift == 0` and takes `word` (high
/// half) and `word + 1` (low half).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slot {
    /// The word of the key, or the first of two.
    pub word: u8,
    /// The lowest bit of the value within the word.
    pub shift: u8,
    /// How wide the value is.
    pub bits: u8,
}

impl Slot {
    const fn new(word: u8, shift: u8, bits: u8) -> Slot {
        Slot { word, shift, bits }
    }

    /// All ones, as wide as the value.
    pub const fn ones(self) -> u128 {
        if self.bits == 128 { u128::MAX } else { (1 << self.bits) - 1 }
    }

    /// The value, `word` giving the words of a key by number.
    #[inline]
    pub(crate) fn value(self, word: impl Fn(usize) -> u64) -> u128 {
        let first = usize::from(self.word);
        if self.bits == 128 {
            u128::from(word(first)) << 64 | u128::from(word(first + 1))
        } else {
            u128::from(word(first) >> self.shift) & self.ones()
        }
    }
}

macro_rules! layout {
    ($($(#[$doc:meta])* $place:ident $read:ident $write:ident: $kind:ident = $word:literal, $shift:literal, $bits:literal;)*) => {
        /// The slots by name.
        pub mod slot {
            use super::Slot;
            $($(#[$doc])* #[doc = concat!(" `", stringify!($read), "`: word ", $word, " from bit ", $shift, ", ", $bits, " bits.")]
            pub const $place: Slot = Slot::new($word, $shift, $bits);)*
            /// Every slot with its name, in the order of the words.
            pub const ALL: &[(&str, Slot)] = &[$((stringify!($read), $place)),*];
        }
        impl FlowKey {
            $(
                $(#[$doc])*
                #[doc = concat!(" The value of [`slot::", stringify!($place), "`].")]
                #[inline]
                pub fn $read(&self) -> $kind {
                    <$kind as Value>::from_raw(self.read(slot::$place))
                }
                #[doc = concat!(" Sets the value of [`slot::", stringify!($place), "`].")]
                #[inline]
                pub fn $write(&mut self, value: $kind) {
                    self.write(slot::$place, Value::to_raw(value));
                }
            )*
        }
    };
}

/// How a typed value is stored.
trait Value {
    fn from_raw(raw: u128) -> Self;
    fn to_raw(self) -> u128;
}

macro_rules! number {
    ($($kind:ident)*) => {$(
        impl Value for $kind {
            #[inline]
            fn from_raw(raw: u128) -> Self { raw as $kind }
            #[inline]
            fn to_raw(self) -> u128 { self as u128 }
        }
    )*};
}
number!(u8 u16 u32 u64 u128);

impl Value for MacAddr {
    #[inline]
    fn from_raw(raw: u128) -> Self {
        MacAddr::from_u64(raw as u64)
    }
    #[inline]
    fn to_raw(self) -> u128 {
        u128::from(self.to_u64())
    }
}

layout! {
    /// 0, or the number under which translation goes on after a recirculation.
    RECIRC_ID recirc_id set_recirc_id: u32 = 0, 32, 32;
    DP_HASH dp_hash set_dp_hash: u32 = 0, 0, 32;
    /// In a bridge's key the 32-bit OpenFlow port, in a datapath's key the datapath port.
    IN_PORT in_port set_in_port: u32 = 1, 32, 32;
    SKB_PRIORITY skb_priority set_skb_priority: u32 = 1, 0, 32;
    PKT_MARK pkt_mark set_pkt_mark: u32 = 2, 32, 32;
    /// Name space and type (OpenFlow 1.5 OXM_OF_PACKET_TYPE); 0 is Ethernet.
    PACKET_TYPE packet_type set_packet_type: u32 = 2, 0, 32;
    METADATA metadata set_metadata: u64 = 3, 0, 64;
    REG0 reg0 set_reg0: u32 = 4, 32, 32;
    REG1 reg1 set_reg1: u32 = 4, 0, 32;
    REG2 reg2 set_reg2: u32 = 5, 32, 32;
    REG3 reg3 set_reg3: u32 = 5, 0, 32;
    REG4 reg4 set_reg4: u32 = 6, 32, 32;
    REG5 reg5 set_reg5: u32 = 6, 0, 32;
    REG6 reg6 set_reg6: u32 = 7, 32, 32;
    REG7 reg7 set_reg7: u32 = 7, 0, 32;
    REG8 reg8 set_reg8: u32 = 8, 32, 32;
    REG9 reg9 set_reg9: u32 = 8, 0, 32;
    REG10 reg10 set_reg10: u32 = 9, 32, 32;
    REG11 reg11 set_reg11: u32 = 9, 0, 32;
    REG12 reg12 set_reg12: u32 = 10, 32, 32;
    REG13 reg13 set_reg13: u32 = 10, 0, 32;
    REG14 reg14 set_reg14: u32 = 11, 32, 32;
    REG15 reg15 set_reg15: u32 = 11, 0, 32;
    REG16 reg16 set_reg16: u32 = 12, 32, 32;
    REG17 reg17 set_reg17: u32 = 12, 0, 32;
    REG18 reg18 set_reg18: u32 = 13, 32, 32;
    REG19 reg19 set_reg19: u32 = 13, 0, 32;
    REG20 reg20 set_reg20: u32 = 14, 32, 32;
    REG21 reg21 set_reg21: u32 = 14, 0, 32;
    REG22 reg22 set_reg22: u32 = 15, 32, 32;
    REG23 reg23 set_reg23: u32 = 15, 0, 32;
    REG24 reg24 set_reg24: u32 = 16, 32, 32;
    REG25 reg25 set_reg25: u32 = 16, 0, 32;
    REG26 reg26 set_reg26: u32 = 17, 32, 32;
    REG27 reg27 set_reg27: u32 = 17, 0, 32;
    REG28 reg28 set_reg28: u32 = 18, 32, 32;
    REG29 reg29 set_reg29: u32 = 18, 0, 32;
    REG30 reg30 set_reg30: u32 = 19, 32, 32;
    REG31 reg31 set_reg31: u32 = 19, 0, 32;
    TUN_ID tun_id set_tun_id: u64 = 20, 0, 64;
    TUN_SRC tun_src set_tun_src: u32 = 21, 32, 32;
    TUN_DST tun_dst set_tun_dst: u32 = 21, 0, 32;
    TUN_IPV6_SRC tun_ipv6_src set_tun_ipv6_src: u128 = 22, 0, 128;
    TUN_IPV6_DST tun_ipv6_dst set_tun_ipv6_dst: u128 = 24, 0, 128;
    TUN_FLAGS tun_flags set_tun_flags: u16 = 26, 48, 16;
    TUN_TOS tun_tos set_tun_tos: u8 = 26, 40, 8;
    TUN_TTL tun_ttl set_tun_ttl: u8 = 26, 32, 8;
    TUN_TP_SRC tun_tp_src set_tun_tp_src: u16 = 26, 16, 16;
    TUN_TP_DST tun_tp_dst set_tun_tp_dst: u16 = 26, 0, 16;
    TUN_GBP_ID tun_gbp_id set_tun_gbp_id: u16 = 27, 48, 16;
    TUN_GBP_FLAGS tun_gbp_flags set_tun_gbp_flags: u8 = 27, 40, 8;
    TUN_ERSPAN_VER tun_erspan_ver set_tun_erspan_ver: u8 = 27, 32, 8;
    TUN_ERSPAN_DIR tun_erspan_dir set_tun_erspan_dir: u8 = 27, 24, 8;
    TUN_ERSPAN_HWID tun_erspan_hwid set_tun_erspan_hwid: u8 = 27, 16, 8;
    TUN_GTPU_FLAGS tun_gtpu_flags set_tun_gtpu_flags: u8 = 27, 8, 8;
    TUN_GTPU_MSGTYPE tun_gtpu_msgtype set_tun_gtpu_msgtype: u8 = 27, 0, 8;
    TUN_ERSPAN_IDX tun_erspan_idx set_tun_erspan_idx: u32 = 28, 32, 32;
    /// Which of the fields `tun_metadata0` to `tun_metadata31` the packet has, a bit each.
    TUN_PRESENT_LOW tun_present_low set_tun_present_low: u32 = 28, 0, 32;
    CT_STATE ct_state set_ct_state: u32 = 29, 56, 8;
    CT_NW_PROTO ct_nw_proto set_ct_nw_proto: u8 = 29, 48, 8;
    CT_ZONE ct_zone set_ct_zone: u16 = 29, 32, 16;
    CT_MARK ct_mark set_ct_mark: u32 = 29, 0, 32;
    CT_LABEL ct_label set_ct_label: u128 = 30, 0, 128;
    CT_NW_SRC ct_nw_src set_ct_nw_src: u32 = 32, 32, 32;
    CT_NW_DST ct_nw_dst set_ct_nw_dst: u32 = 32, 0, 32;
    CT_IPV6_SRC ct_ipv6_src set_ct_ipv6_src: u128 = 33, 0, 128;
    CT_IPV6_DST ct_ipv6_dst set_ct_ipv6_dst: u128 = 35, 0, 128;
    CT_TP_SRC ct_tp_src set_ct_tp_src: u16 = 37, 48, 16;
    CT_TP_DST ct_tp_dst set_ct_tp_dst: u16 = 37, 32, 16;
    /// The conjunction that a rule's match asks for.
    CONJ_ID conj_id set_conj_id: u32 = 37, 0, 32;
    /// Output port in the action set (32-bit OpenFlow port).
    ACTSET_OUTPUT actset_output set_actset_output: u32 = 38, 32, 32;
    /// Which of the fields `tun_metadata32` to `tun_metadata63` the packet has, a bit each.
    TUN_PRESENT_HIGH tun_present_high set_tun_present_high: u32 = 38, 0, 32;

    DL_DST dl_dst set_dl_dst: MacAddr = 39, 16, 48;
    DL_TYPE dl_type set_dl_type: u16 = 39, 0, 16;
    DL_SRC dl_src set_dl_src: MacAddr = 40, 16, 48;
    VLAN0_TPID vlan0_tpid set_vlan0_tpid: u16 = 41, 48, 16;
    /// Outer tag; bit 0x1000 set means that there is one.
    VLAN0_TCI vlan0_tci set_vlan0_tci: u16 = 41, 32, 16;
    VLAN1_TPID vlan1_tpid set_vlan1_tpid: u16 = 41, 16, 16;
    VLAN1_TCI vlan1_tci set_vlan1_tci: u16 = 41, 0, 16;
    MPLS0 mpls0 set_mpls0: u32 = 42, 32, 32;
    MPLS1 mpls1 set_mpls1: u32 = 42, 0, 32;
    MPLS2 mpls2 set_mpls2: u32 = 43, 32, 32;

    /// IPv4 source, or the sender of an ARP packet.
    NW_SRC nw_src set_nw_src: u32 = 44, 32, 32;
    /// IPv4 destination, or the target of an ARP packet.
    NW_DST nw_dst set_nw_dst: u32 = 44, 0, 32;
    IPV6_SRC ipv6_src set_ipv6_src: u128 = 45, 0, 128;
    IPV6_DST ipv6_dst set_ipv6_dst: u128 = 47, 0, 128;
    IPV6_LABEL ipv6_label set_ipv6_label: u32 = 49, 32, 32;
    NW_FRAG nw_frag set_nw_frag: u8 = 49, 24, 8;
    NW_TOS nw_tos set_nw_tos: u8 = 49, 16, 8;
    NW_TTL nw_ttl set_nw_ttl: u8 = 49, 8, 8;
    /// IP protocol, or the low byte of the ARP opcode.
    NW_PROTO nw_proto set_nw_proto: u8 = 49, 0, 8;
    ND_TARGET nd_target set_nd_target: u128 = 50, 0, 128;
    /// ARP sender, or the ND source link-layer option.
    ARP_SHA arp_sha set_arp_sha: MacAddr = 52, 16, 48;
    /// ARP target, or the ND target link-layer option.
    ARP_THA arp_tha set_arp_tha: MacAddr = 53, 16, 48;
    ND_OPTIONS_TYPE nd_options_type set_nd_options_type: u8 = 53, 8, 8;
    NSH_FLAGS nsh_flags set_nsh_flags: u8 = 54, 56, 8;
    NSH_TTL nsh_ttl set_nsh_ttl: u8 = 54, 48, 8;
    NSH_MDTYPE nsh_mdtype set_nsh_mdtype: u8 = 54, 40, 8;
    NSH_NP nsh_np set_nsh_np: u8 = 54, 32, 8;
    NSH_SPI nsh_spi set_nsh_spi: u32 = 54, 8, 24;
    NSH_SI nsh_si set_nsh_si: u8 = 54, 0, 8;
    NSH_C1 nsh_c1 set_nsh_c1: u32 = 55, 32, 32;
    NSH_C2 nsh_c2 set_nsh_c2: u32 = 55, 0, 32;
    NSH_C3 nsh_c3 set_nsh_c3: u32 = 56, 32, 32;
    NSH_C4 nsh_c4 set_nsh_c4: u32 = 56, 0, 32;

    /// L4 source port, or the ICMP type.
    TP_SRC tp_src set_tp_src: u16 = 57, 48, 16;
    /// L4 destination port, or the ICMP code.
    TP_DST tp_dst set_tp_dst: u16 = 57, 32, 16;
    /// Twelve bits.
    TCP_FLAGS tcp_flags set_tcp_flags: u16 = 57, 16, 16;
    ND_RESERVED nd_reserved set_nd_reserved: u32 = 58, 32, 32;
    IGMP_GROUP igmp_group set_igmp_group: u32 = 58, 0, 32;
}

impl Slot {
    /// The bit that says that the packet has field `tun_metadata<index>`; only the low six bits of `index` count.
    pub const fn tun_metadata(index: usize) -> Slot {
        let of = if index & 32 == 0 { slot::TUN_PRESENT_LOW } else { slot::TUN_PRESENT_HIGH };
        Slot { word: of.word, shift: of.shift + (index & 31) as u8, bits: 1 }
    }

    /// The data of field `tun_metadata<index>`, a number of up to 16 bytes, each of the fields having a place of its own; only
    /// the low six bits of `index` count.
    pub const fn tun_metadata_value(index: usize) -> Slot {
        Slot { word: FAR + 2 * (index & 63) as u8, shift: 0, bits: 128 }
    }

    /// Four bytes of the data of tunnel options, `index` counting from 0 to [`OPTION_WORDS`] - 1; for a larger one the last.
    pub const fn tun_option(index: usize) -> Slot {
        let index = if index < OPTION_WORDS { index } else { OPTION_WORDS - 1 };
        Slot { word: FAR + (index / 2) as u8, shift: if index & 1 == 0 { 32 } else { 0 }, bits: 32 }
    }

    /// The slot of register `index`; only its low five bits count.
    pub const fn register(index: usize) -> Slot {
        let index = index & 31;
        Slot { word: 4 + (index / 2) as u8, shift: if index & 1 == 0 { 32 } else { 0 }, bits: 32 }
    }

    /// The 64-bit register `xreg<index>` (two registers).
    pub const fn xregister(index: usize) -> Slot {
        Slot { word: 4 + (index & 15) as u8, shift: 0, bits: 64 }
    }

    /// The 128-bit register `xxreg<index>` (four registers).
    pub const fn xxregister(index: usize) -> Slot {
        Slot { word: 4 + 2 * (index & 7) as u8, shift: 0, bits: 128 }
    }

    /// The TCI of VLAN tag `index`, 0 the outer one.
    pub const fn vlan_tci(index: usize) -> Slot {
        if index == 0 { slot::VLAN0_TCI } else { slot::VLAN1_TCI }
    }

    /// The TPID of VLAN tag `index`, 0 the outer one.
    pub const fn vlan_tpid(index: usize) -> Slot {
        if index == 0 { slot::VLAN0_TPID } else { slot::VLAN1_TPID }
    }

    /// MPLS label stack entry `index`, 0 the outer one.
    pub const fn mpls(index: usize) -> Slot {
        match index {
            0 => slot::MPLS0,
            1 => slot::MPLS1,
            _ => slot::MPLS2,
        }
    }
}
