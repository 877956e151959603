use proptest::prelude::*;

use super::*;

fn source() -> impl Strategy<Value = Source> {
    (0..256u32, 0..1u32 << 24).prop_map(|(class, index)| Source { class, index })
}

fn port() -> impl Strategy<Value = PortRef> {
    any::<u32>().prop_map(PortRef::from_word)
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..70)
}

/// Formats that nothing here knows.
fn unknown_format() -> impl Strategy<Value = u32> {
    (1..100u32, 0..4096u32).prop_map(|(enterprise, number)| enterprise << 12 | number)
}

fn tunnel() -> impl Strategy<Value = Ipv4Tunnel> {
    any::<[u32; 8]>().prop_map(|w| Ipv4Tunnel {
        length: w[0],
        protocol: w[1],
        src: w[2],
        dst: w[3],
        src_port: w[4],
        dst_port: w[5],
        tcp_flags: w[6],
        tos: w[7],
    })
}

fn flow_record() -> impl Strategy<Value = FlowRecord> {
    prop_oneof![
        (any::<[u32; 3]>(), body()).prop_map(|([protocol, frame_length, stripped], bytes)| {
            FlowRecord::Header { protocol, frame_length, stripped, bytes }
        }),
        any::<[u32; 4]>().prop_map(|[in_vlan, in_priority, out_vlan, out_priority]| {
            FlowRecord::Switch(SwitchTags { in_vlan, in_priority, out_vlan, out_priority })
        }),
        tunnel().prop_map(FlowRecord::TunnelEgress),
        tunnel().prop_map(FlowRecord::TunnelIngress),
        any::<u32>().prop_map(FlowRecord::VniEgress),
        any::<u32>().prop_map(FlowRecord::VniIngress),
        (any::<IpAddr>(), any::<Vec<u32>>(), any::<Vec<u32>>())
            .prop_map(|(next_hop, came, left)| FlowRecord::Mpls(MplsStacks { next_hop, came, left })),
        (unknown_format(), body()).prop_map(|(format, body)| FlowRecord::Other { format, body }),
    ]
}

fn interface_counters() -> impl Strategy<Value = InterfaceCounters> {
    (any::<[u64; 3]>(), any::<[u32; 16]>()).prop_map(|(long, w)| InterfaceCounters {
        index: w[0],
        kind: w[1],
        speed: long[0],
        direction: w[2],
        status: w[3],
        in_octets: long[1],
        in_unicast: w[4],
        in_multicast: w[5],
        in_broadcast: w[6],
        in_discards: w[7],
        in_errors: w[8],
        in_unknown_protocols: w[9],
        out_octets: long[2],
        out_unicast: w[10],
        out_multicast: w[11],
        out_broadcast: w[12],
        out_discards: w[13],
        out_errors: w[14],
        promiscuous: w[15],
    })
}

fn counter_record() -> impl Strategy<Value = CounterRecord> {
    prop_oneof![
        interface_counters().prop_map(CounterRecord::Interface),
        any::<[u32; 13]>().prop_map(CounterRecord::Ethernet),
        any::<(u64, u32)>().prop_map(|(datapath_id, port)| CounterRecord::OpenFlowPort { datapath_id, port }),
        "[a-zé0-9.-]{0,20}".prop_map(CounterRecord::PortName),
        (any::<[[u8; 6]; 2]>(), any::<[u8; 4]>(), any::<[u32; 9]>()).prop_map(|(macs, states, w)| {
            CounterRecord::Lag(LagCounters {
                actor_system: MacAddr(macs[0]),
                partner_system: MacAddr(macs[1]),
                aggregate: w[0],
                states,
                received: w[1],
                markers_received: w[2],
                marker_responses_received: w[3],
                unknown_received: w[4],
                illegal_received: w[5],
                sent: w[6],
                markers_sent: w[7],
                marker_responses_sent: w[8],
            })
        }),
        (any::<[u64; 2]>(), any::<[u32; 6]>()).prop_map(|(memory, w)| {
            CounterRecord::AppResources(AppResources {
                user_time_ms: w[0],
                system_time_ms: w[1],
                memory_used: memory[0],
                memory_max: memory[1],
                open_files: w[2],
                max_files: w[3],
                connections: w[4],
                max_connections: w[5],
            })
        }),
        any::<[u32; 6]>().prop_map(|w| {
            CounterRecord::Datapath(DatapathCounters {
                hits: w[0],
                misses: w[1],
                lost: w[2],
                mask_hits: w[3],
                flows: w[4],
                masks: w[5],
            })
        }),
        (unknown_format(), body()).prop_map(|(format, body)| CounterRecord::Other { format, body }),
    ]
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let flow = (
        any::<bool>(),
        any::<[u32; 4]>(),
        source(),
        port(),
        port(),
        prop::collection::vec(flow_record(), 0..4),
    )
        .prop_map(|(is_expanded, [sequence, rate, pool, drops], source, input, output, records)| {
            Sample::Flow(FlowSample {
                is_expanded,
                sequence,
                source,
                rate,
                pool,
                drops,
                input,
                output,
                records,
            })
        });
    let counters = (any::<bool>(), any::<u32>(), source(), prop::collection::vec(counter_record(), 0..4))
        .prop_map(|(is_expanded, sequence, source, records)| {
            Sample::Counters(CounterSample { is_expanded, sequence, source, records })
        });
    let other = (unknown_format(), body()).prop_map(|(format, body)| Sample::Other { format, body });
    prop_oneof![flow, counters, other]
}

fn any_datagram() -> impl Strategy<Value = Datagram> {
    (any::<IpAddr>(), any::<[u32; 3]>(), prop::collection::vec(any_sample(), 0..6)).prop_map(
        |(agent, [sub_agent, sequence, uptime_ms], samples)| Datagram {
            agent,
            sub_agent,
            sequence,
            uptime_ms,
            samples,
        },
    )
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(datagram in any_datagram()) {
        prop_assert_eq!(Datagram::decode(&datagram.encode()), Ok(datagram));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Datagram::decode(&bytes);
    }

    #[test]
    fn damaged_datagrams_are_read_or_refused(
        datagram in any_datagram(),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut bytes = datagram.encode();
        let place = at.index(bytes.len());
        bytes[place] = value;
        bytes.truncate(keep.index(bytes.len()) + 1);
        let _ = Datagram::decode(&bytes);
    }
}

#[test]
fn an_error_names_the_place() {
    let datagram =
        Datagram { agent: [10, 0, 0, 1].into(), sub_agent: 0, sequence: 1, uptime_ms: 0, samples: vec![] };
    let mut bytes = datagram.encode();
    bytes[27] = 1;
    let error = Datagram::decode(&bytes).unwrap_err();
    assert_eq!(error, DecodeError::Short { what: "sample format", at: 28 });
    bytes[3] = 4;
    assert_eq!(Datagram::decode(&bytes).unwrap_err(), DecodeError::Version(4));
}
