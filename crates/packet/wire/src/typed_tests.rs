//! Every header's typed form keeps the contract of [`TypedForm`], and no setter fails.
//!
//! house: long because each header has its values, its bytes and its setters here once.

use std::fmt::Debug;

use base::MacAddr;
use proptest::prelude::*;

use crate::*;

/// Values for headers: such as fit their fields, or any.
struct Values<'a> {
    numbers: std::iter::Cycle<std::slice::Iter<'a, u128>>,
    fit: bool,
}

impl Values<'_> {
    /// A number, of at most `bits` bits when values shall fit.
    fn number(&mut self, bits: u32) -> u128 {
        let value = self.numbers.next().copied().unwrap_or(0);
        if self.fit { value & ((1 << bits) - 1) } else { value }
    }

    fn u8(&mut self, bits: u32) -> u8 {
        self.number(bits) as u8
    }

    fn u16(&mut self, bits: u32) -> u16 {
        self.number(bits) as u16
    }

    fn u32(&mut self, bits: u32) -> u32 {
        self.number(bits) as u32
    }

    fn u128(&mut self) -> u128 {
        self.number(127)
    }

    fn mac(&mut self) -> MacAddr {
        MacAddr::from_u64(self.number(48) as u64 & 0xffff_ffff_ffff)
    }

    fn lacp_info(&mut self) -> lacp::Info {
        lacp::Info {
            system_priority: self.u16(16),
            system: self.mac(),
            key: self.u16(16),
            port_priority: self.u16(16),
            port: self.u16(16),
            state: self.u8(8),
        }
    }

    fn lldp_identifier(&mut self) -> lldp::Identifier {
        let subtype = if self.fit { 1 + self.u8(8) % lldp::subtype::LAST } else { self.u8(8) };
        let mut bytes = self.bytes(1, 0, lldp::MAX_NAME_LEN - 1);
        bytes.push(0);
        lldp::Identifier { subtype, bytes }
    }

    fn bpdu(&mut self) -> stp::Config {
        stp::Config {
            flags: self.u8(8),
            root: u64::from(self.u32(32)) << 32 | u64::from(self.u32(32)),
            cost: self.u32(32),
            bridge: u64::from(self.u32(32)) << 32 | u64::from(self.u32(32)),
            port: self.u16(16),
            message_age: self.u16(16),
            max_age: self.u16(16),
            hello_time: self.u16(16),
            forward_delay: self.u16(16),
        }
    }

    fn flag(&mut self) -> bool {
        self.number(1) & 1 == 1
    }

    fn some<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| make(self))
    }

    /// Bytes which with `before` more make a multiple of `unit`, at most `most`; or any number of them.
    fn bytes(&mut self, unit: usize, before: usize, most: usize) -> Vec<u8> {
        let value = self.number(100) as usize;
        let len = if self.fit {
            let units = value % ((most + before) / unit + 1);
            (units * unit).saturating_sub(before)
        } else {
            value % 3000
        };
        let len = if self.fit && !(len + before).is_multiple_of(unit) { unit - before } else { len };
        (0..len).map(|index| (value >> 8).wrapping_mul(index + 1) as u8).collect()
    }

    fn list<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.number(64) as usize % (most + 1);
        (0..count).map(|_| make(self)).collect()
    }
}

/// A header made of such values.
trait Made: TypedForm + PartialEq + Debug {
    fn make(v: &mut Values<'_>) -> Self;
    /// Whether the header ends by itself, and not with the bytes.
    const ENDS: bool = true;
}

macro_rules! made {
    ($($kind:ty: $v:ident => $make:expr;)*) => {
        $(impl Made for $kind {
            fn make($v: &mut Values<'_>) -> Self {
                $make
            }
        })*

        /// Checks on each kind of header.
        fn each_kind(check: &mut impl Check) -> Result<(), TestCaseError> {
            $(check.run::<$kind>()?;)*
            check.run::<nd::Message>()
        }
    };
}

trait Check {
    fn run<H: Made>(&mut self) -> Result<(), TestCaseError>;
}

made! {
    ethernet::Header: v => ethernet::Header { dst: v.mac(), src: v.mac(), ether_type: v.u16(16) };
    ethernet::Tag: v => ethernet::Tag {
        tpid: if v.flag() { ethernet::TYPE_VLAN } else { ethernet::TYPE_VLAN_AD },
        tci: v.u16(16),
    };
    ethernet::Snap: v => ethernet::Snap { ether_type: v.u16(16) };
    mpls::Entry: v => mpls::Entry {
        label: v.u32(20), traffic_class: v.u8(3), is_bottom: v.flag(), ttl: v.u8(8),
    };
    arp::Packet: v => arp::Packet {
        op: v.u16(16),
        sender_mac: v.mac(),
        sender_ip: v.u32(32),
        target_mac: v.mac(),
        target_ip: v.u32(32),
    };
    ipv4::Header: v => ipv4::Header {
        tos: v.u8(8),
        total_len: v.u16(16),
        id: v.u16(16),
        fragment_word: v.u16(16),
        ttl: v.u8(8),
        protocol: v.u8(8),
        src: v.u32(32),
        dst: v.u32(32),
        options: v.bytes(4, 0, ipv4::MAX_OPTIONS_LEN),
    };
    ipv6::Header: v => ipv6::Header {
        traffic_class: v.u8(8),
        label: v.u32(20),
        payload_len: v.u16(16),
        next_header: v.u8(8),
        hop_limit: v.u8(8),
        src: v.u128(),
        dst: v.u128(),
    };
    extension::Extension: v => extension::Extension { next_header: v.u8(8), body: v.bytes(8, 2, 2046) };
    extension::Fragment: v => extension::Fragment {
        next_header: v.u8(8), offset: v.u16(13), has_more: v.flag(), id: v.u32(32),
    };
    extension::Authentication: v => extension::Authentication {
        next_header: v.u8(8), spi: v.u32(32), sequence: v.u32(32), check: v.bytes(4, 0, 1016),
    };
    extension::SegmentRouting: v => extension::SegmentRouting {
        next_header: v.u8(8),
        segments_left: v.u8(8),
        flags: v.u8(8),
        tag: v.u16(16),
        segments: {
            let mut segments = v.list(200, |v| v.u128());
            if v.fit {
                segments.truncate(100);
                segments.push(7);
            }
            segments
        },
        tlvs: v.bytes(8, 0, 400),
    };
    tcp::Header: v => tcp::Header {
        src: v.u16(16),
        dst: v.u16(16),
        sequence: v.u32(32),
        acknowledgment: v.u32(32),
        flags: v.u16(12),
        window: v.u16(16),
        check: v.u16(16),
        urgent: v.u16(16),
        options: v.bytes(4, 0, tcp::MAX_OPTIONS_LEN),
    };
    udp::Header: v => udp::Header { src: v.u16(16), dst: v.u16(16), len: v.u16(16), check: v.u16(16) };
    sctp::Header: v => sctp::Header {
        src: v.u16(16), dst: v.u16(16), verification_tag: v.u32(32), check: v.u32(32),
    };
    transport::Ports: v => transport::Ports { src: v.u16(16), dst: v.u16(16) };
    icmp::Header: v => icmp::Header { kind: v.u8(8), code: v.u8(8), check: v.u16(16), rest: v.u32(32) };
    nd::NdOption: v => nd::NdOption { kind: v.u8(8), body: v.bytes(8, 2, 2038) };
    nsh::Header: v => nsh::Header {
        flags: v.u8(2),
        ttl: v.u8(6),
        next: v.u8(8),
        service_path: v.u32(24),
        service_index: v.u8(8),
        metadata: match v.u8(8) % 3 {
            0 => nsh::Metadata::Context([v.u32(32), v.u32(32), v.u32(32), v.u32(32)]),
            1 => nsh::Metadata::Variable(v.bytes(4, 0, nsh::MAX_METADATA_LEN)),
            _ => nsh::Metadata::Other(v.u8(8).max(3), v.bytes(4, 0, nsh::MAX_METADATA_LEN)),
        },
    };
    vxlan::Header: v => vxlan::Header { flags: v.u32(32), vni: v.u32(24) };
    geneve::GeneveOption: v => geneve::GeneveOption {
        class: v.u16(16), kind: v.u8(8), data: v.bytes(4, 0, geneve::MAX_OPTION_DATA_LEN),
    };
    geneve::Header: v => geneve::Header {
        is_oam: v.flag(),
        has_critical: v.flag(),
        protocol: v.u16(16),
        vni: v.u32(24),
        options: {
            let most = if v.fit { 1 } else { 80 };
            v.list(most, |v| geneve::GeneveOption::make(v))
        },
    };
    gre::Header: v => gre::Header {
        protocol: v.u16(16),
        checksum: v.some(|v| v.u16(16)),
        key: v.some(|v| v.u32(32)),
        sequence: v.some(|v| v.u32(32)),
    };
    erspan::Header: v => erspan::Header {
        vlan: v.u16(12),
        class: v.u8(3),
        frame: v.u8(2),
        is_truncated: v.flag(),
        session: v.u16(10),
        kind: if v.flag() {
            erspan::Kind::Ii { index: v.u32(32) }
        } else {
            erspan::Kind::Iii(erspan::TypeIii {
                timestamp: v.u32(32),
                group: v.u16(16),
                is_protocol: v.flag(),
                frame_type: v.u8(5),
                hardware: v.u8(6),
                is_egress: v.flag(),
                granularity: v.u8(2),
                has_platform_part: v.flag(),
            })
        },
    };
    bfd::Header: v => bfd::Header {
        version: v.u8(3),
        diagnostic: v.u8(5),
        state: v.u8(2),
        flags: v.u8(6),
        multiplier: v.u8(8),
        length: v.u8(8),
        my_discriminator: v.u32(32),
        your_discriminator: v.u32(32),
        min_tx: v.u32(32),
        min_rx: v.u32(32),
        min_echo_rx: v.u32(32),
    };
    cfm::Header: v => cfm::Header {
        opcode: v.u8(8),
        flags: v.u8(8),
        sequence: v.u32(32),
        mpid: v.u16(16),
        maid: std::array::from_fn(|_| v.u8(8)),
        interval_ms: v.u16(16),
        extended_mpid: u64::from(v.u32(32)) << 32 | u64::from(v.u32(32)),
        is_down: v.flag(),
    };
    lldp::Unit: v => lldp::Unit {
        chassis: v.lldp_identifier(),
        port: v.lldp_identifier(),
        ttl: v.u16(16),
        system_name: v.bytes(1, 0, lldp::MAX_VALUE_LEN),
        system_description: v.bytes(1, 0, lldp::MAX_VALUE_LEN),
        port_description: v.bytes(1, 0, lldp::MAX_VALUE_LEN),
        capabilities: lldp::Capabilities { available: v.u16(16), enabled: v.u16(16) },
        element: v.some(|v| lldp::Element {
            kind: v.u8(6),
            is_tagged: v.flag(),
            provisioning: v.u8(2),
            management_vlan: v.u16(12),
            system: lldp::SystemId {
                mac: v.mac(),
                connection: v.u8(3),
                reserved: v.u16(10),
                rest: [v.u8(8), v.u8(8)],
            },
        }),
        assignments: v.list(200, |v| lldp::Assignment { status: v.u8(4), vlan: v.u16(12), isid: v.u32(24) }),
    };
    lacp::Header: v => lacp::Header { actor: v.lacp_info(), partner: v.lacp_info() };
    stp::Bpdu: v => match v.u8(2) % 3 {
        0 => stp::Bpdu::Config(v.bpdu()),
        1 => stp::Bpdu::Rapid(v.bpdu()),
        _ => stp::Bpdu::Notification,
    };
    gtpu::Base: v => gtpu::Base { flags: v.u8(8), message: v.u8(8), len: v.u16(16), endpoint: v.u32(32) };
    gtpu::Header: v => gtpu::Header {
        message: v.u8(8),
        len: v.u16(16),
        endpoint: v.u32(32),
        sequence: v.some(|v| v.u16(16)),
        n_pdu: v.some(|v| v.u8(8)),
        extensions: v.list(3, |v| gtpu::Extension { kind: v.u8(8).max(1), body: v.bytes(4, 2, 1018) }),
    };
}

impl Made for nd::Message {
    fn make(v: &mut Values<'_>) -> Self {
        nd::Message {
            kind: if v.flag() { icmp::V6_NEIGHBOR_SOLICITATION } else { icmp::V6_NEIGHBOR_ADVERTISEMENT },
            code: v.u8(8),
            check: v.u16(16),
            flags: v.u32(32),
            target: v.u128(),
            options: v.list(3, |v| nd::NdOption::make(v)),
        }
    }

    const ENDS: bool = false;
}

/// What is emitted is read again, whatever follows, and not when it is cut.
struct ReadsBack<'a>(Values<'a>);

impl Check for ReadsBack<'_> {
    fn run<H: Made>(&mut self) -> Result<(), TestCaseError> {
        let header = H::make(&mut self.0);
        let mut bytes = header.to_bytes();
        prop_assert_eq!(bytes.len(), header.header_len());
        prop_assert!(H::parse(&bytes).as_ref() == Some(&header), "{:?}", header);
        if H::ENDS {
            for len in 0..bytes.len() {
                prop_assert_eq!(H::parse(&bytes[..len]), None, "cut at {} of {:?}", len, header);
            }
            bytes.extend([0xa5; 9]);
            prop_assert_eq!(H::parse(&bytes), Some(header));
        }
        Ok(())
    }
}

/// Whatever the values are: every byte is written where there is room, and none where there is not.
struct IsEmitted<'a>(Values<'a>, usize);

impl Check for IsEmitted<'_> {
    fn run<H: Made>(&mut self) -> Result<(), TestCaseError> {
        let header = H::make(&mut self.0);
        let (needed, room) = (header.header_len(), self.1);
        let (mut zeros, mut ones) = (vec![0; room], vec![0xff; room]);
        if needed > room {
            prop_assert_eq!(header.emit(&mut zeros), Err(TooShort { needed, room }));
            prop_assert!(zeros.iter().all(|&byte| byte == 0));
        } else {
            prop_assert_eq!((header.emit(&mut zeros), header.emit(&mut ones)), (Ok(()), Ok(())));
            prop_assert_eq!(&zeros[..needed], &ones[..needed]);
            prop_assert!(ones[needed..].iter().all(|&byte| byte == 0xff), "{:?}", header);
        }
        Ok(())
    }
}

/// Any bytes give a header that reads back, or none.
struct IsHarmless<'a>(&'a [u8]);

impl Check for IsHarmless<'_> {
    fn run<H: Made>(&mut self) -> Result<(), TestCaseError> {
        if let Some(header) = H::parse(self.0) {
            prop_assert!(header.header_len() <= self.0.len());
            prop_assert_eq!(H::parse(&header.to_bytes()), Some(header));
        }
        Ok(())
    }
}

/// Bytes that many kinds of headers begin with, and any.
fn likely_bytes() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(vec![
        vec![0x45u8],
        vec![0x46],
        vec![0x60],
        vec![0x81, 0],
        vec![0x88, 0xa8],
        vec![0xaa, 0xaa, 3, 0, 0, 0],
        vec![0, 1, 8, 0, 6, 4],
        vec![6, 4, 4, 1, 1],
        vec![0x20, 0],
        vec![0xb0, 0],
        vec![0x10, 0],
        vec![0x34, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x85, 1],
        vec![2, 0, 0x65, 0x58, 0, 0, 0, 0, 0, 1, 2, 1],
        vec![135, 0],
        vec![0, 6, 1, 3],
        vec![],
    ]);
    (first, prop::collection::vec(any::<u8>(), 0..120)).prop_map(|(first, rest)| [first, rest].concat())
}

proptest! {
    #[test]
    fn what_is_emitted_reads_back(numbers in prop::collection::vec(any::<u128>(), 8..40)) {
        each_kind(&mut ReadsBack(Values { numbers: numbers.iter().cycle(), fit: true }))?;
    }

    #[test]
    fn any_value_is_emitted_as_long_as_it_states(numbers in prop::collection::vec(any::<u128>(), 8..40), room in 0usize..4000) {
        each_kind(&mut IsEmitted(Values { numbers: numbers.iter().cycle(), fit: false }, room % 60))?;
        each_kind(&mut IsEmitted(Values { numbers: numbers.iter().cycle(), fit: false }, room))?;
    }

    #[test]
    fn any_bytes_are_a_header_that_reads_back_or_none(bytes in likely_bytes()) {
        each_kind(&mut IsHarmless(&bytes))?;
    }

    /// A header whose checksum was right has a right one after any change.
    #[test]
    fn setters_of_ipv4_keep_the_checksum_right(numbers in prop::collection::vec(any::<u128>(), 8..40), tos: u8, len: u16, id: u16, ttl: u8, src: u32, dst: u32) {
        let mut bytes = ipv4::Header::make(&mut Values { numbers: numbers.iter().cycle(), fit: true }).to_bytes();
        let Some(mut ip) = ipv4::Ipv4Mut::parse_header(&mut bytes) else { panic!("a header") };
        ip.set_tos(tos);
        ip.set_total_len(len);
        ip.set_id(id);
        ip.set_ttl(ttl);
        ip.set_src(src);
        ip.set_dst(dst);
        let view = ip.view();
        prop_assert_eq!((view.tos(), view.total_len(), view.id(), view.ttl()), (tos, usize::from(len), id, ttl));
        prop_assert_eq!((view.src(), view.dst()), (src, dst));
        prop_assert_eq!(checksum(&bytes), 0);
    }

    /// A message whose checksum was right has a right one after any change.
    #[test]
    fn setters_of_neighbour_discovery_keep_the_checksum_right(numbers in prop::collection::vec(any::<u128>(), 8..40), flags: u32, target: u128, kind in 1u8..3, mac: u64) {
        let mut message = nd::Message::make(&mut Values { numbers: numbers.iter().cycle(), fit: true });
        message.options.truncate(1);
        message.options.push(nd::NdOption::address(nd::SOURCE_ADDRESS, MacAddr::ZERO));
        message.check = 0;
        message.check = checksum(&message.to_bytes());
        let mut bytes = message.to_bytes();
        let address = MacAddr::from_u64(mac & 0xffff_ffff_ffff);
        let mut place = nd::MessageMut::parse(&mut bytes).expect("a message");
        place.set_flags(flags);
        place.set_target(target);
        place.change_addresses(|option, mac| (*option, *mac) = (kind, address));
        prop_assert_eq!((place.flags(), place.target()), (flags, target));
        prop_assert_eq!(checksum(&bytes), 0);
        let read = nd::Message::parse(&bytes).expect("a message");
        prop_assert_eq!(read.options.last(), Some(&nd::NdOption::address(kind, address)));
    }

    /// No setter fails on any bytes, and what was set is read.
    #[test]
    fn setters_are_harmless(bytes in likely_bytes(), number: u128, index in 0usize..6) {
        set_all(bytes.clone(), number, index);
        for len in 0..bytes.len().min(41) {
            set_all(bytes[..len].to_vec(), number, index);
        }
    }
}

// house: long because it is a list, a line for each setter.
fn set_all(mut bytes: Vec<u8>, number: u128, index: usize) {
    let (mac, half, byte) = (MacAddr::from_u64(number as u64 >> 16), number as u16, number as u8);
    let before = bytes.len();
    if let Some(mut eth) = ethernet::EthernetMut::parse(&mut bytes) {
        eth.set_dst(mac);
        eth.set_src(mac);
        eth.set_ether_type(half);
        assert_eq!((eth.view().dst(), eth.view().src(), eth.view().ether_type()), (mac, mac, half));
    }
    if let Some(mut arp) = arp::ArpMut::parse(&mut bytes) {
        arp.set_op(half);
        arp.set_sender_mac(mac);
        arp.set_sender_ip(1);
        arp.set_target_mac(mac);
        arp.set_target_ip(number as u32);
        let view = arp.view();
        assert_eq!((view.op(), view.sender_mac(), view.sender_ip()), (half, mac, 1));
        assert_eq!((view.target_mac(), view.target_ip()), (mac, number as u32));
    }
    if let Some(mut ip) = ipv6::Ipv6Mut::parse_header(&mut bytes) {
        ip.set_traffic_class(byte);
        ip.set_label(number as u32);
        ip.set_payload_len(half);
        ip.set_next_header(byte);
        ip.set_hop_limit(byte);
        ip.set_src(number);
        ip.set_dst(!number);
        let view = ip.view();
        assert_eq!((view.traffic_class(), view.label()), (byte, number as u32 & ipv6::LABEL_MASK));
        assert_eq!((view.src(), view.dst(), view.hop_limit()), (number, !number, byte));
    }
    if let Some(mut tcp) = tcp::TcpMut::parse(&mut bytes) {
        let header_len = tcp.view().header_len();
        tcp.set_src(half);
        tcp.set_dst(half);
        tcp.set_sequence(number as u32);
        tcp.set_flags(half);
        tcp.set_check(half);
        let view = tcp.view();
        assert_eq!((view.flags(), view.check(), view.header_len()), (half & 0xfff, half, header_len));
    }
    if let Some(mut udp) = udp::UdpMut::parse(&mut bytes) {
        udp.set_src(half);
        udp.set_dst(half);
        udp.set_len(half);
        udp.set_check(half);
        assert_eq!((udp.view().src(), udp.view().len()), (half, usize::from(half)));
    }
    if let Some(mut sctp) = sctp::SctpMut::parse(&mut bytes) {
        sctp.set_src(half);
        sctp.set_dst(half);
        sctp.set_check(number as u32);
        assert_eq!((sctp.view().dst(), sctp.view().check()), (half, number as u32));
    }
    if let Some(mut icmp) = icmp::IcmpMut::parse(&mut bytes) {
        icmp.set_kind(byte);
        icmp.set_code(byte);
        icmp.set_check(half);
        icmp.set_rest(number as u32);
        assert_eq!((icmp.view().kind(), icmp.view().rest()), (byte, number as u32));
    }
    let mut nsh_bytes = bytes.clone();
    if nsh_bytes.len() >= nsh::MD1_LEN {
        (nsh_bytes[0], nsh_bytes[1], nsh_bytes[2]) = (0, 6, nsh::MD_TYPE_1);
    }
    if let Some(mut nsh) = nsh::NshMut::parse(&mut nsh_bytes) {
        nsh.set_flags(byte);
        nsh.set_ttl(byte);
        nsh.set_service_path(number as u32);
        nsh.set_service_index(byte);
        nsh.set_context(index, number as u32);
        let view = nsh.view();
        assert_eq!((view.flags(), view.ttl()), (byte & 3, byte & 0x3f));
        assert_eq!((view.service_path(), view.service_index()), (number as u32 & 0xff_ffff, byte));
        let is_context = view.md_type() == nsh::MD_TYPE_1 && index < 4;
        assert_eq!(view.context(index), if is_context { number as u32 } else { 0 });
    }
    if let Some(mut message) = nd::MessageMut::parse(&mut bytes) {
        message.set_flags(1);
        message.set_target(number);
        message.change_addresses(|kind, _| *kind = 7);
        assert_eq!(message.flags(), 1);
    }
    ipv4::write_checksum(&mut bytes);
    sctp::write_checksum(&mut bytes);
    if let Some(mut ip) = ipv4::Ipv4Mut::parse(&mut bytes) {
        ip.set_ttl(byte);
        assert_eq!(ip.view().ttl(), byte);
    }
    assert_eq!(bytes.len(), before);
}

/// The bytes of headers as their specifications draw them.
// house: long because it is a list, an entry for each header.
#[test]
fn tunnel_headers_are_as_specified() {
    let policy = vxlan::GroupPolicy { group: 0x1234, is_not_learned: true, is_applied: true };
    let with_policy = vxlan::Header::new(0x1c7).with_group_policy(policy);
    assert_eq!(with_policy.group_policy(), Some(policy));
    let generic = vxlan::Header::new(7).with_next_protocol(vxlan::NEXT_NSH);
    assert_eq!((generic.next_protocol(), vxlan::Header::new(7).next_protocol()), (Some(4), None));
    let nvgre = gre::Header::nvgre(0x12_3456, 0x78);
    assert_eq!(nvgre.virtual_subnet(), Some((0x12_3456, 0x78)));
    assert_eq!(gre::Header { sequence: Some(1), ..nvgre }.virtual_subnet(), None);
    let option = geneve::GeneveOption { class: 0x102, kind: 0x80, data: vec![1, 2, 3] };
    let kind = erspan::Kind::Iii(erspan::TypeIii {
        timestamp: 1,
        group: 2,
        is_protocol: true,
        hardware: 0x3f,
        is_egress: true,
        ..Default::default()
    });
    let container = gtpu::Extension { kind: gtpu::EXTENSION_PDU_SESSION, body: vec![0, 9] };
    for (name, bytes, expected) in [
        ("VXLAN", vxlan::Header::new(0x1c7).to_bytes(), "0800000000 01c700"),
        ("VXLAN with group policy", with_policy.to_bytes(), "8848123400 01c700"),
        ("VXLAN with next protocol", generic.to_bytes(), "0c00000400 000700"),
        ("NVGRE", nvgre.to_bytes(), "20006558 12345678"),
        (
            "GRE with all",
            gre::Header { protocol: 0x800, checksum: Some(1), key: Some(2), sequence: Some(3) }.to_bytes(),
            "b0000800 00010000 00000002 00000003",
        ),
        (
            "Geneve",
            geneve::Header {
                is_oam: true,
                has_critical: true,
                protocol: ethernet::TYPE_TEB,
                vni: 5,
                options: vec![option],
            }
            .to_bytes(),
            "02c06558 00000500 01028001 01020300",
        ),
        (
            "ERSPAN II",
            erspan::Header {
                vlan: 0x123,
                session: 0x3ff,
                kind: erspan::Kind::Ii { index: 3 },
                ..Default::default()
            }
            .to_bytes(),
            "112303ff 00000003",
        ),
        (
            "ERSPAN III",
            erspan::Header { is_truncated: true, class: 7, kind, ..Default::default() }.to_bytes(),
            "2000e400 00000001 000283f8",
        ),
        (
            "GTP-U",
            gtpu::Header { message: 255, endpoint: 9, ..Default::default() }.to_bytes(),
            "30ff0000 00000009",
        ),
        (
            "GTP-U with a PDU session",
            gtpu::Header {
                message: 255,
                len: 8,
                endpoint: 9,
                extensions: vec![container],
                ..Default::default()
            }
            .to_bytes(),
            "34ff0008 00000009 00000085 01000900",
        ),
        (
            "segment routing",
            extension::SegmentRouting {
                next_header: 41,
                segments_left: 1,
                segments: vec![2, 1],
                ..Default::default()
            }
            .to_bytes(),
            "29040401 01000000 00000000000000000000000000000002 00000000000000000000000000000001",
        ),
        (
            "authentication",
            extension::Authentication { next_header: 6, spi: 1, sequence: 2, check: vec![3; 4] }.to_bytes(),
            "06020000 00000001 00000002 03030303",
        ),
    ] {
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, expected.replace(' ', ""), "{name}");
    }
}

#[test]
fn a_checksum_that_was_written_is_right_and_never_zero_in_udp() {
    for protocol in [protocol::TCP, protocol::UDP, protocol::ICMP, protocol::ICMPV6, protocol::IGMP] {
        let mut bytes: Vec<u8> = (0..33).collect();
        let pseudo = checksum::pseudo_ipv4(1, 2, protocol, bytes.len());
        transport::write_checksum(protocol, &mut bytes, pseudo);
        assert_eq!(pseudo.bytes(&bytes).sum(), 0xffff, "{protocol}");
        assert!(transport::check(protocol, &bytes).is_some_and(|check| check != 0x0607));
    }
    // All that the sum covers is zero but the length, so that its complement is zero.
    let mut zeros = [0u8; 8];
    transport::write_checksum(protocol::UDP, &mut zeros, Checksum::new().word(0xffff));
    assert_eq!(transport::check(protocol::UDP, &zeros), Some(0xffff));
    transport::write_checksum(protocol::SCTP, &mut zeros, Checksum::new());
    assert_eq!(zeros, [0, 0, 0, 0, 0, 0, 0xff, 0xff]);
}

#[test]
fn the_type_behind_tags_is_found_and_set() {
    let tag = ethernet::Tag { tpid: ethernet::TYPE_VLAN, tci: 5 };
    let plain = ethernet::header(MacAddr::ZERO, MacAddr::ZERO, 0x800).to_vec();
    let mut tagged = plain.clone();
    tagged.splice(ethernet::TAG_OFFSET..ethernet::TAG_OFFSET, tag.to_bytes());
    assert_eq!(ethernet::type_behind_tags(&plain), Some((12, 0x800)));
    assert_eq!(ethernet::type_behind_tags(&tagged), Some((16, 0x800)));
    assert_eq!(ethernet::type_behind_tags(&tagged[..16]), Some((12, 0x8100)));
    assert_eq!(ethernet::type_behind_tags(&tagged[..13]), None);
    assert!(ethernet::set_type_behind_tags(&mut tagged, 0x86dd));
    assert!(!ethernet::set_type_behind_tags(&mut tagged[..13], 0x800));
    assert_eq!(
        (ethernet::type_behind_tags(&tagged), ethernet::Tag::parse(&tagged[12..])),
        (Some((16, 0x86dd)), Some(tag))
    );
}

#[test]
fn a_header_of_another_version_or_with_a_wrong_length_is_none() {
    assert_eq!(geneve::Header::parse(&[0x40, 0, 0x65, 0x58, 0, 0, 0, 0]), None, "version 1");
    assert_eq!(
        geneve::Header::parse(&[1, 0, 0x65, 0x58, 0, 0, 0, 0, 0, 0, 0, 1]),
        None,
        "an option that is cut"
    );
    assert_eq!(gre::Header::parse(&[0x40, 0, 8, 0, 0, 0, 0, 0]), None, "routing");
    assert_eq!(gre::Header::parse(&[0, 1, 8, 0, 0, 0, 0, 0]), None, "version 1");
    assert_eq!(gtpu::Header::parse(&[0x20, 255, 0, 0, 0, 0, 0, 0]), None, "GTP'");
    assert_eq!(
        gtpu::Header::parse(&[0x34, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x85, 0, 0, 0, 0]),
        None,
        "an extension of length zero"
    );
    assert_eq!(erspan::Header::parse(&[0x30; 12]), None, "version 3");
    assert_eq!(nd::NdOption::parse(&[1, 0, 0, 0, 0, 0, 0, 0]), None, "length zero");
    let mut routing = extension::SegmentRouting { segments: vec![1, 2], ..Default::default() }.to_bytes();
    routing[4] = 2;
    assert_eq!(extension::SegmentRouting::parse(&routing), None, "more segments than bytes");
    routing[2] = 0;
    assert_eq!(extension::SegmentRouting::parse(&routing), None, "another type of routing");
}
