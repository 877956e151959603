//! Section 8, control, message by message: what a controller gets, what it
//! does not get, and what the switch's log keeps of it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use base::OfPort;
use end_to_end::{Programs, Switch, World, can_run, until};
use ofp::{
    Action, AsyncKind, AsyncUpdate, BundleAdd, BundleControl, BundleControlType, Context, Encoder, FlowMod,
    FlowModCommand, FlowUpdate, Message, NO_BUFFER, Names, OfError, PacketIn, PacketInFormat, PacketOut,
    PortMod, SwitchConfig, Version, bundle_flag, monitor_flag, port_config, port_state,
};

const VERSIONS: [Version; 6] =
    [Version::Of10, Version::Of11, Version::Of12, Version::Of13, Version::Of14, Version::Of15];

/// A controller on a bridge's management socket.
pub(crate) struct Peer {
    pub(crate) stream: UnixStream,
    input: Vec<u8>,
    pub(crate) encoder: Encoder,
    /// What it was told of ports: their configuration, and whether the link is down.
    pub(crate) ports: Vec<(u32, bool)>,
    /// The table and the user data of each packet that it got.
    pub(crate) packets: Vec<(u8, Vec<u8>)>,
    /// What its flow monitors told.
    pub(crate) updates: Vec<FlowUpdate>,
}

impl Peer {
    /// Shakes hands in one version, and asks for messages that nobody asks for.
    pub(crate) fn connect(switch: &Switch, version: Version) -> Peer {
        Peer::over(UnixStream::connect(switch.dir.join("br0.mgmt")).unwrap(), version)
    }

    /// The same over a stream that is there.
    pub(crate) fn over(stream: UnixStream, version: Version) -> Peer {
        stream.set_read_timeout(Some(end_to_end::LIMIT)).unwrap();
        let encoder = Encoder::new(fields::Protocols::initial(version.byte()), 1);
        let mut peer = Peer {
            stream,
            input: Vec::new(),
            encoder,
            ports: Vec::new(),
            packets: Vec::new(),
            updates: Vec::new(),
        };
        peer.send(&Message::Hello { versions: 1 << version.byte() });
        assert!(matches!(peer.receive(), Message::Hello { .. }));
        peer.send(&Message::SetConfig(SwitchConfig {
            frag: ofp::FragHandling::Normal,
            invalid_ttl_to_controller: (version < Version::Of13).then_some(true),
            miss_send_len: 20,
        }));
        peer.settle();
        peer
    }

    pub(crate) fn send(&mut self, message: &Message) {
        self.encoder.xid += 1;
        self.stream.write_all(&message.to_bytes(&self.encoder)).unwrap();
    }

    pub(crate) fn receive(&mut self) -> Message {
        self.receive_part().0
    }

    /// The next message, and whether others of the same reply follow.
    pub(crate) fn receive_part(&mut self) -> (Message, bool) {
        loop {
            if let Some(len) = ofp::message_len(&self.input).filter(|len| *len <= self.input.len()) {
                let bytes: Vec<u8> = self.input.drain(..len).collect();
                let context =
                    Context { protocol: self.encoder.protocol, n_tables: 255, flow_age: true, loose: false };
                let decoded = ofp::decode(&bytes, &context);
                let ofp::Decoded { message, more, .. } =
                    decoded.unwrap_or_else(|e| panic!("{e} in {bytes:02x?}"));
                if let Message::PortStatus(status) = &message {
                    let is_down = status.desc.state & port_state::LINK_DOWN != 0;
                    self.ports.push((status.desc.config, is_down));
                }
                if let Message::PacketIn(packet) = &message {
                    self.packets.push((packet.table, packet.userdata.clone()));
                }
                if let Message::FlowMonitorReply(updates) = &message {
                    self.updates.extend(updates.iter().cloned());
                }
                return (message, more);
            }
            let mut buffer = [0; 65536];
            let count = self.stream.read(&mut buffer).expect("a message in time");
            assert!(count > 0, "the switch closed the connection");
            self.input.extend_from_slice(&buffer[..count]);
        }
    }

    /// The next message and its xid, of a client that may leave.
    fn next_request(&mut self) -> Option<(Message, u32)> {
        let mut header = [0; 8];
        self.stream.read_exact(&mut header).ok()?;
        let mut bytes = header.to_vec();
        bytes.resize(ofp::message_len(&header)?, 0);
        self.stream.read_exact(&mut bytes[8..]).ok()?;
        let decoded = ofp::decode(&bytes, &Context::default()).unwrap_or_else(|e| panic!("{e}"));
        Some((decoded.message, decoded.xid))
    }

    /// All that comes before the answer to a barrier.
    pub(crate) fn settle(&mut self) -> Vec<Message> {
        self.send(&Message::BarrierRequest);
        let mut before = Vec::new();
        loop {
            match self.receive() {
                Message::BarrierReply => return before,
                other => before.push(other),
            }
        }
    }

    /// The answer to `message`: the error, or nothing.
    fn error_of(&mut self, message: &Message) -> Option<OfError> {
        self.send(message);
        self.settle().into_iter().find_map(|message| match message {
            Message::Error { error, .. } => Some(error),
            _ => None,
        })
    }

    /// Sends a message, and takes the packet that comes of it.
    #[track_caller]
    fn packet_after(&mut self, message: &Message, what: &str) -> PacketIn {
        self.send(message);
        match self.receive() {
            Message::PacketIn(packet) => *packet,
            other => panic!("{what}: {other:?}"),
        }
    }
}

pub(crate) fn actions(text: &str) -> Vec<Action> {
    ofp::parse_actions(text, Names::default()).unwrap().0
}

/// A bridge without rules, with a wire on port 1.
pub(crate) struct Bridge {
    pub(crate) switch: Switch,
    _world: World,
}

impl Bridge {
    pub(crate) fn new() -> Bridge {
        let world = World::new();
        let (host, middle) = (world.host("a"), world.host("sw"));
        world.wire(&middle, "p1", &host, "eth0");
        let switch = Switch::start(&world, &middle, "sw", Programs::Ours);
        switch.vsctl(
            "add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure -- add-port br0 p1 \
             -- set interface p1 ofport_request=1",
        );
        Bridge { switch, _world: world }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.switch.dir.join("ovs-vswitchd.log")).unwrap()
    }
}

/// A UDP packet of `len` bytes whose TTL is 1.
pub(crate) fn frame(len: usize) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let [high, low] = ((len - 14) as u16).to_be_bytes();
    bytes.extend([0x45, 0, high, low, 0, 0, 0, 0, 1, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([0, 7, 0, 8, 0, 0, 0, 0]);
    bytes.extend((bytes.len()..len).map(|at| at as u8));
    bytes
}

pub(crate) fn packet_out(packet: Vec<u8>, text: &str) -> Message {
    let mut metadata = fields::Match::default();
    metadata.set_in_port(OfPort(1));
    Message::PacketOut(Box::new(PacketOut { packet, buffer_id: NO_BUFFER, metadata, actions: actions(text) }))
}

#[test]
fn packets_to_a_controller_are_whole_in_every_version_and_form() {
    if !can_run() {
        return;
    }
    let bridge = Bridge::new();
    let rules = [
        "table=1,actions=controller:20",
        "table=2,actions=group:1",
        "table=3,actions=meter:1,controller:20",
        "table=4,actions=write_actions(output:CONTROLLER)",
        "table=5,ip,actions=dec_ttl,output:1",
        "table=6,actions=controller(max_len=0,userdata=01)",
        "table=7,actions=controller(pause,max_len=20),controller:20",
        "table=8,actions=clone(controller:20)",
    ];
    let ofctl = |line: &str| bridge.switch.ofctl(&format!("-O OpenFlow15 {line}"));
    ofctl("add-group br0 group_id=1,type=all,bucket=actions=controller:20");
    ofctl("add-meter br0 meter=1,pktps,bands=type=drop,rate=100000");
    for rule in rules {
        ofctl(&format!("add-flow br0 {rule}"));
    }
    for version in VERSIONS {
        for format in [PacketInFormat::Standard, PacketInFormat::Nxt, PacketInFormat::Nxt2] {
            let mut peer = Peer::connect(&bridge.switch, version);
            peer.send(&Message::SetPacketInFormat(format));
            if version >= Version::Of13 {
                let mut update = AsyncUpdate::default();
                update.primary[AsyncKind::PacketIn as usize] = Some(0b11_1111);
                peer.send(&Message::SetAsync(update));
            }
            // The first table has no rule: old versions get what misses.
            let tables = if version < Version::Of13 { 0..=8 } else { 1..=8 };
            for table in tables {
                for len in [100, 1500] {
                    let sent = frame(len);
                    let what = format!("{version:?} {format:?}, table {table}");
                    let way = if table == 0 { "table".to_owned() } else { format!("resubmit(,{table})") };
                    let request = packet_out(sent.clone(), &way);
                    let packet = peer.packet_after(&request, &what);
                    assert_eq!((packet.packet.len(), packet.total_len), (len, len), "{what}");
                    assert!(packet.packet == sent, "{what}: other bytes");
                    if table == 7 && format == PacketInFormat::Nxt2 {
                        assert!(packet.continuation.is_some(), "{what}");
                        let resumed = peer.packet_after(&Message::Resume(Box::new(packet)), &what);
                        assert!(resumed.packet == sent, "{what}: resumed");
                    }
                }
            }
            assert_eq!(peer.settle(), []);
        }
    }
}

#[test]
fn the_asker_of_a_port_mod_hears_of_what_it_did_to_the_link() {
    if !can_run() {
        return;
    }
    let bridge = Bridge::new();
    for version in [Version::Of10, Version::Of13, Version::Of15] {
        let mut asker = Peer::connect(&bridge.switch, version);
        let mut other = Peer::connect(&bridge.switch, version);
        let hw_addr = port(&mut asker).hw_addr;
        for config in [port_config::PORT_DOWN, 0] {
            let request =
                PortMod { port: OfPort(1), hw_addr, config, mask: port_config::PORT_DOWN, advertise: 0 };
            assert_eq!(asker.error_of(&Message::PortMod(request)), None);
            let is_up = config == 0;
            until("the link follows", || {
                let port = port(&mut asker);
                port.config == config && (port.state & port_state::LINK_DOWN == 0) == is_up
            });
        }
        asker.settle();
        other.settle();
        let down = port_config::PORT_DOWN;
        assert_eq!(other.ports, [(down, false), (down, true), (0, true), (0, false)], "{version:?}");
        match version {
            // From OpenFlow 1.5 on nobody is left out.
            Version::Of15 => assert_eq!(asker.ports, other.ports),
            _ => assert_eq!(asker.ports, [(down, true), (0, false)], "{version:?}"),
        }
    }
}

/// Port 1 as the switch describes it.
pub(crate) fn port(peer: &mut Peer) -> ofp::PortDesc {
    peer.send(&Message::PortDescRequest(OfPort::ANY));
    loop {
        if let Message::PortDescReply(ports) = peer.receive() {
            return ports.into_iter().find(|port| port.port == OfPort(1)).unwrap();
        }
    }
}

#[test]
fn what_cannot_be_executed_is_answered_by_an_error() {
    if !can_run() {
        return;
    }
    let bridge = Bridge::new();
    bridge.switch.ofctl("add-flow br0 table=1,actions=resubmit(,1),resubmit(,1)");
    for version in [Version::Of11, Version::Of13, Version::Of14, Version::Of15] {
        let mut peer = Peer::connect(&bridge.switch, version);
        let endless = packet_out(frame(100), "resubmit(,1)");
        assert_eq!(peer.error_of(&endless), Some(OfError::OfpfmfcUnknown), "{version:?}");
        assert_eq!(peer.error_of(&packet_out(frame(100), "output:1")), None, "{version:?}");
        if version < Version::Of14 {
            continue;
        }
        // In a bundle it takes the rest with it.
        let mut request = FlowMod::new(FlowModCommand::Add);
        (request.table, request.actions) = (3, actions("output:1"));
        let refused = bundle(&mut peer, vec![Message::FlowMod(Box::new(request)), endless]);
        assert_eq!(refused, [OfError::OfpfmfcUnknown, OfError::OfpbfcMsgFailed], "{version:?}");
        assert!(!bridge.switch.ofctl("dump-flows br0 table=3").contains("actions"));
    }
}

/// Carries out messages in a bundle; the errors that come back.
pub(crate) fn bundle(peer: &mut Peer, messages: Vec<Message>) -> Vec<OfError> {
    let flags = bundle_flag::ATOMIC | bundle_flag::ORDERED;
    let control = |kind: BundleControlType| {
        Message::BundleControl(BundleControl { bundle: 1, kind: kind as u16, flags })
    };
    peer.send(&control(BundleControlType::OpenRequest));
    for message in messages {
        let xid = peer.encoder.xid + 1;
        let raw = message.to_bytes(&Encoder { xid, ..peer.encoder });
        peer.send(&Message::BundleAdd(BundleAdd { bundle: 1, flags, xid, message: Box::new(message), raw }));
    }
    peer.send(&control(BundleControlType::CommitRequest));
    let errors = peer.settle().into_iter().filter_map(|message| match message {
        Message::Error { error, .. } => Some(error),
        _ => None,
    });
    errors.collect()
}

#[test]
fn a_monitor_tells_a_controller_of_its_own_bundle_in_short() {
    if !can_run() {
        return;
    }
    let bridge = Bridge::new();
    let (mut asker, mut other) =
        (Peer::connect(&bridge.switch, Version::Of14), Peer::connect(&bridge.switch, Version::Of14));
    for peer in [&mut asker, &mut other] {
        let request = ofp::FlowMonitorRequest {
            id: 1,
            command: 0,
            flags: monitor_flag::ADD | monitor_flag::INSTRUCTIONS,
            out_port: OfPort::ANY,
            out_group: ofp::GROUP_ANY,
            table: 0xff,
            m: fields::Match::default(),
        };
        peer.send(&Message::FlowMonitorRequest(vec![request]));
        peer.settle();
    }
    let mut request = FlowMod::new(FlowModCommand::Add);
    request.actions = actions("output:1");
    // Opening the bundle takes one message, this is the second.
    let xid = asker.encoder.xid + 2;
    assert_eq!(bundle(&mut asker, vec![Message::FlowMod(Box::new(request))]), []);
    other.settle();
    assert_eq!(asker.updates, [FlowUpdate::Abbreviated { xid }]);
    assert!(matches!(other.updates[..], [FlowUpdate::Added(_)]), "{:?}", other.updates);
}

#[test]
fn wrong_requests_fill_no_log() {
    if !can_run() {
        return;
    }
    let bridge = Bridge::new();
    let mut peer = Peer::connect(&bridge.switch, Version::Of13);
    let mut request = FlowMod::new(FlowModCommand::Add);
    request.actions = actions("group:77");
    for _ in 0..3000 {
        peer.send(&Message::FlowMod(Box::new(request.clone())));
    }
    let errors = peer.settle().len();
    assert_eq!(errors, 3000);
    let log = bridge.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("error reply")).collect();
    assert!((1..=15).contains(&lines.len()), "{} lines", lines.len());
    let expected = "sending OFPBAC_BAD_OUT_GROUP error reply to OFPT_FLOW_MOD message";
    assert!(lines[0].contains("|connmgr|INFO|br0<->unix#") && lines[0].contains(expected), "{}", lines[0]);
}

#[test]
fn strangers_fill_no_log() {
    if !can_run() {
        return;
    }
    let bridge = Bridge::new();
    let before = bridge.log().lines().count();
    // Another protocol, a length that is none, a request before the hello, and a version that nobody knows.
    let unknown = [9, 0, 0, 16, 0, 0, 0, 0, 0, 1, 0, 8, 0, 0, 2, 0];
    let nonsense: [&[u8]; 4] =
        [b"GET / HTTP/1.0\r\n\r\n", &[1, 0, 0, 4, 0, 0, 0, 0], &[1, 5, 0, 8, 0, 0, 0, 0], &unknown];
    for bytes in nonsense {
        for _ in 0..200 {
            let mut stream = UnixStream::connect(bridge.switch.dir.join("br0.mgmt")).unwrap();
            // The switch may have closed it already.
            let _ = stream.write_all(bytes);
        }
    }
    let _ = Peer::connect(&bridge.switch, Version::Of13).settle();
    let log = bridge.log();
    let added: Vec<&str> = log.lines().skip(before).collect();
    assert!(added.len() <= 60, "{} lines: {added:#?}", added.len());
}

#[test]
fn the_life_of_a_connection_is_in_the_log() {
    if !can_run() {
        return;
    }
    let bridge = Bridge::new();
    let dir = bridge.switch.dir.display().to_string();
    let target = format!("unix:{dir}/nobody");
    bridge.switch.vsctl(&format!("set-controller br0 {target}"));
    until("the switch waits for its controller", || {
        bridge.log().contains("waiting 2 seconds before reconnect")
    });
    bridge.switch.vsctl("del-controller br0");
    let log = bridge.log();
    let connections = log.lines().filter(|line| line.contains("|connmgr|") || line.contains("|rconn|"));
    let told: Vec<&str> = connections.filter_map(|line| line.splitn(4, '|').nth(3)).collect();
    let name = format!("br0<->{target}");
    let expected = [
        format!("INFO|br0: added service controller \"punix:{dir}/br0.mgmt\""),
        format!("INFO|br0: added primary controller \"{target}\""),
        format!("INFO|{name}: connecting..."),
        format!("INFO|{name}: connection failed (No such file or directory)"),
        format!("INFO|{name}: waiting 1 seconds before reconnect"),
        format!("INFO|{name}: connecting..."),
        format!("INFO|{name}: connection failed (No such file or directory)"),
        format!("INFO|{name}: waiting 2 seconds before reconnect"),
        format!("INFO|br0: removed primary controller \"{target}\""),
    ];
    assert_eq!(told, expected);
}

#[test]
fn ten_thousand_of_each_are_dumped_once() {
    if !can_run() {
        return;
    }
    let bridge = Bridge::new();
    let count = 10_000;
    let write = |name: &str, line: &dyn Fn(u32) -> String| {
        let path = bridge.switch.dir.join(name);
        std::fs::write(&path, (1..=count).map(line).collect::<String>()).unwrap();
        path.display().to_string()
    };
    let groups = write("groups", &|n| format!("group_id={n},type=all,bucket=output:1,bucket=output:2\n"));
    let rules =
        write("rules", &|n| format!("priority=7,dl_vlan={},tcp,tp_dst={n},actions=output:1\n", n % 4000));
    bridge.switch.ofctl(&format!("-O OpenFlow13 add-groups br0 {groups}"));
    bridge.switch.ofctl(&format!("add-flows br0 {rules}"));
    let lines = |text: &str, what: &str| text.lines().filter(|line| line.contains(what)).count();
    for version in ["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"] {
        let ofctl = |line: &str| bridge.switch.ofctl(&format!("-O {version} {line}"));
        let flows = ofctl("dump-flows br0");
        assert_eq!(lines(&flows, "actions=output:1"), count as usize, "{version}");
        let mut ports: Vec<&str> =
            flows.lines().filter_map(|l| l.split("tp_dst=").nth(1)?.split_whitespace().next()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), count as usize, "{version}: each rule once");
        assert!(ofctl("dump-aggregate br0").contains("flow_count=10000"), "{version}");
        assert_eq!(lines(&ofctl("dump-groups br0"), "group_id="), count as usize, "{version}");
        assert_eq!(lines(&ofctl("dump-group-stats br0"), "group_id="), count as usize, "{version}");
    }
    assert_eq!(lines(&bridge.switch.ofctl("diff-flows br0 br0"), "tcp"), 0);
}

/// Answers one `ovs-ofctl` as a switch with `count` ports would.
fn play_switch(stream: UnixStream, version: Version, count: u32) {
    let encoder = Encoder::new(fields::Protocols::initial(version.byte()), 1);
    let mut peer = Peer {
        stream,
        input: Vec::new(),
        encoder,
        ports: Vec::new(),
        packets: Vec::new(),
        updates: Vec::new(),
    };
    peer.send(&Message::Hello { versions: 1 << version.byte() });
    let ports: Vec<ofp::PortDesc> = (1..=count)
        .map(|n| ofp::PortDesc { port: OfPort(n), name: format!("p{n}"), ..ofp::PortDesc::default() })
        .collect();
    loop {
        let Some((message, xid)) = peer.next_request() else { return };
        let answer = match message {
            Message::FeaturesRequest => Message::FeaturesReply(ofp::SwitchFeatures {
                datapath_id: 1,
                n_buffers: 0,
                n_tables: 254,
                auxiliary_id: 0,
                capabilities: 0,
                actions: 0,
                ports: ports.clone(),
            }),
            Message::PortDescRequest(_) => Message::PortDescReply(ports.clone()),
            Message::PortStatsRequest(_) => Message::PortStatsReply(
                ports.iter().map(|p| ofp::PortStats { port: p.port, ..ofp::PortStats::default() }).collect(),
            ),
            Message::GetConfigRequest => Message::GetConfigReply(SwitchConfig {
                frag: ofp::FragHandling::Normal,
                invalid_ttl_to_controller: Some(false),
                miss_send_len: 0,
            }),
            _ => continue,
        };
        peer.stream.write_all(&answer.to_bytes(&Encoder { xid, ..peer.encoder })).unwrap();
    }
}

#[test]
fn each_of_many_ports_is_shown_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switch");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    // One that fits into an old version's features, and many that do not.
    for count in [1, 10_000] {
        for version in VERSIONS {
            for command in ["show", "dump-ports"] {
                let listener = listener.try_clone().unwrap();
                let switch = std::thread::spawn(move || {
                    play_switch(listener.accept().unwrap().0, version, count);
                });
                let mut ofctl = std::process::Command::new(Programs::Ours.path("ovs-ofctl"));
                let spoken = format!("OpenFlow1{}", version.byte() - 1);
                ofctl.args(["-O", &spoken, command, &format!("unix:{}", path.display())]);
                let shown = end_to_end::run(&mut ofctl).ok();
                switch.join().unwrap();
                let mut numbers: Vec<u32> = shown.lines().filter_map(port_number).collect();
                numbers.sort_unstable();
                assert!(numbers.iter().copied().eq(1..=count), "{version:?} {command}: {}", numbers.len());
            }
        }
    }
}

/// The port that a line of `show` or `dump-ports` begins with.
fn port_number(line: &str) -> Option<u32> {
    let line = line.trim_start();
    let text = match line.strip_prefix("port ") {
        Some(rest) => rest.split(':').next()?,
        None => line.split("(p").next()?,
    };
    text.trim().parse().ok()
}
