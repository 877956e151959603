//! Peers that ask and do not read the answers: whatever they ask for, the
//! switch does not grow, serves the others, and loses nothing of what was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use base::OfPort;
use end_to_end::{LIMIT, can_run, holds_within, until};
use ofp::{
    AsyncKind, AsyncUpdate, Bucket, FlowMod, FlowModCommand, FlowUpdate, GroupCommand, GroupMod, GroupType,
    Message, Version, monitor_flag,
};

use crate::openflow_peers::{Bridge, Peer, actions};

/// How much the switch may grow for peers that do not read.
const MARGIN: usize = 48 << 20;

const MB: usize = 1 << 20;

/// A bridge with `count` rules, each with a note of `length` bytes.
fn bridge_with_rules(count: u32, length: usize) -> Bridge {
    let bridge = Bridge::new();
    add_rules(&bridge, count, length);
    bridge
}

fn add_rules(bridge: &Bridge, count: u32, length: usize) {
    let note = "07.".repeat(length);
    let note = note.trim_end_matches('.');
    let line = |n: u32| format!("table={},cookie={n},reg1={n},actions=output:1,note:{note}\n", n % 3);
    let path = bridge.switch.dir.join("rules");
    std::fs::write(&path, (1..=count).map(line).collect::<String>()).unwrap();
    bridge.switch.ofctl(&format!("add-flows br0 {}", path.display()));
}

/// Sends messages until the switch reads no more of them; how many bytes it did read.
fn write_until_unread(stream: &UnixStream, bytes: &[u8], others: &mut dyn FnMut()) -> usize {
    let mut stream = stream.try_clone().unwrap();
    stream.set_nonblocking(true).unwrap();
    let (mut written, mut refused) = (0, 0);
    while written < bytes.len() && refused < 20 {
        match stream.write(&bytes[written..]) {
            Ok(count) => (written, refused) = (written + count, 0),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                refused += 1;
                others();
            }
            Err(e) => panic!("{e}"),
        }
    }
    stream.set_nonblocking(false).unwrap();
    written
}

fn dump() -> Message {
    Message::FlowStatsRequest(Box::default())
}

/// `count` messages with growing xids.
fn many(peer: &Peer, message: &Message, count: u32) -> Vec<u8> {
    let mut encoder = peer.encoder;
    let mut bytes = Vec::new();
    for xid in 1..=count {
        encoder.xid = xid;
        bytes.extend(message.to_bytes(&encoder));
    }
    bytes
}

#[test]
fn a_hundred_thousand_dumps_that_nobody_reads_cost_little() {
    if !can_run() {
        return;
    }
    let bridge = bridge_with_rules(5_000, 8);
    let before = bridge.switch.memory();
    let greedy: Vec<Peer> = (0..2).map(|_| Peer::connect(&bridge.switch, Version::Of13)).collect();
    let mut other = Peer::connect(&bridge.switch, Version::Of10);
    for peer in &greedy {
        let requests = many(peer, &dump(), 100_000);
        let mut serve_the_other = || {
            other.send(&Message::AggregateRequest(Box::default()));
            let answers = other.settle();
            assert!(
                matches!(answers[..], [Message::AggregateReply(sum)] if sum.flow_count == 5_000),
                "{answers:?}"
            );
        };
        let read = write_until_unread(&peer.stream, &requests, &mut serve_the_other);
        assert!(read < requests.len(), "all requests were read");
        let grown = bridge.switch.memory().saturating_sub(before);
        assert!(grown < MARGIN, "{} MB", grown / MB);
    }
    // The switch is as good as before, for everybody.
    bridge.switch.ofctl("add-flow br0 priority=9,actions=drop");
    drop(greedy);
    assert_eq!(
        bridge.switch.ofctl("dump-flows br0").lines().filter(|line| line.contains("reg1")).count(),
        5_000
    );
}

#[test]
fn who_reads_at_last_gets_all_replies_whole() {
    if !can_run() {
        return;
    }
    const DUMPS: u32 = 30;
    let bridge = bridge_with_rules(1_000, 500);
    let mut peer = Peer::connect(&bridge.switch, Version::Of13);
    let before = bridge.switch.memory();
    let requests = many(&peer, &dump(), DUMPS);
    peer.stream.write_all(&requests).unwrap();
    // Meanwhile a rule goes and another one comes; those that stay are in each dump once.
    bridge.switch.ofctl("--strict del-flows br0 table=0,reg1=999,priority=32768");
    bridge.switch.ofctl("add-flow br0 table=1,cookie=5000,reg1=5000,actions=drop");
    let grown = bridge.switch.memory().saturating_sub(before);
    assert!(grown < 10 * MB, "{} MB", grown / MB);
    for dump in 1..=DUMPS {
        let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
        while let (Message::FlowStatsReply(flows), more) = peer.receive_part() {
            for flow in flows {
                *seen.entry(flow.cookie).or_default() += 1;
            }
            if !more {
                break;
            }
        }
        assert!(seen.values().all(|count| *count == 1), "dump {dump}");
        assert!(
            (1..=1000).filter(|cookie| *cookie != 999).all(|cookie| seen.contains_key(&cookie)),
            "dump {dump}"
        );
        assert!(dump == 1 || !seen.contains_key(&999), "dump {dump}");
    }
    assert_eq!(peer.settle(), []);
}

#[test]
fn what_the_other_listings_hold_is_not_kept_for_who_does_not_read() {
    if !can_run() {
        return;
    }
    let bridge = bridge_with_rules(10, 8);
    let groups: String =
        (1..=1500).map(|n| format!("group_id={n},type=all{}\n", ",bucket=output:1".repeat(20))).collect();
    std::fs::write(bridge.switch.dir.join("groups"), groups).unwrap();
    bridge
        .switch
        .ofctl(&format!("-O OpenFlow13 add-groups br0 {}", bridge.switch.dir.join("groups").display()));
    let before = bridge.switch.memory();
    let requests = [
        Message::GroupStatsRequest(ofp::GROUP_ALL),
        Message::GroupDescRequest(ofp::GROUP_ALL),
        Message::TableFeaturesRequest(Vec::new()),
        Message::TableStatsRequest,
        Message::PortStatsRequest(OfPort::ANY),
        Message::PortDescRequest(OfPort::ANY),
        Message::EchoRequest(vec![7; 30_000]),
    ];
    for request in requests {
        let peer = Peer::connect(&bridge.switch, Version::Of13);
        let mut other = Peer::connect(&bridge.switch, Version::Of10);
        let bytes = many(&peer, &request, 2_000);
        let mut served = 0;
        let mut serve_the_other = || {
            served += usize::from(other.settle().is_empty());
        };
        write_until_unread(&peer.stream, &bytes, &mut serve_the_other);
        while served < 20 {
            served += usize::from(other.settle().is_empty());
        }
        let grown = bridge.switch.memory().saturating_sub(before);
        assert!(grown < MARGIN, "{} MB after {request:?}", grown / MB);
    }
}

#[test]
fn a_controller_that_asks_and_does_not_read_is_given_up_when_probes_fail() {
    if !can_run() {
        return;
    }
    let bridge = Bridge::new();
    let path = bridge.switch.dir.join("controller");
    let listener = UnixListener::bind(&path).unwrap();
    bridge.switch.vsctl(&format!(
        "set-controller br0 unix:{} -- set controller br0 inactivity_probe=5000",
        path.display()
    ));
    let peer = Peer::over(listener.accept().unwrap().0, Version::Of13);
    add_rules(&bridge, 1_000, 100);
    let requests = many(&peer, &dump(), 20_000);
    let mut left = &requests[..];
    peer.stream.set_nonblocking(true).unwrap();
    let given_up = "no response to inactivity probe after 5 seconds, disconnecting";
    // It goes on asking all the time.
    let is_given_up = holds_within(LIMIT, || {
        if let Ok(count) = (&peer.stream).write(left) {
            left = &left[count..];
        }
        bridge.log().contains(given_up)
    });
    assert!(is_given_up, "{}", bridge.log());
}

#[test]
fn watchers_that_do_not_read_cost_little() {
    if !can_run() {
        return;
    }
    let bridge = Bridge::new();
    let path = bridge.switch.dir.join("controller");
    let listener = UnixListener::bind(&path).unwrap();
    // This controller does not answer probes while others are busy.
    bridge.switch.vsctl(&format!(
        "set-controller br0 unix:{} -- set controller br0 inactivity_probe=0",
        path.display()
    ));
    let mut controller = Peer::over(listener.accept().unwrap().0, Version::Of13);
    let watchers: Vec<UnixStream> = (0..4)
        .map(|_| {
            let mut watcher = UnixStream::connect(bridge.switch.dir.join("br0.snoop")).unwrap();
            watcher.write_all(&[4, 0, 0, 8, 0, 0, 0, 1]).unwrap();
            watcher
        })
        .collect();
    add_rules(&bridge, 500, 1_000);
    controller.settle();
    let before = bridge.switch.memory();
    for _ in 0..100 {
        controller.send(&dump());
        let flows: usize = controller
            .settle()
            .iter()
            .map(|message| if let Message::FlowStatsReply(flows) = message { flows.len() } else { 0 })
            .sum();
        assert_eq!(flows, 500);
    }
    let grown = bridge.switch.memory().saturating_sub(before);
    assert!(grown < MARGIN / 2, "{} MB", grown / MB);
    // A watcher that reads again gets whole messages, of what is said then.
    let mut watcher = BufReader::new(&watchers[0]);
    watchers[0].set_read_timeout(Some(LIMIT)).unwrap();
    let mut kinds = Vec::new();
    let mut has_asked = false;
    loop {
        if !has_asked && watcher.buffer().is_empty() {
            controller.settle();
            has_asked = true;
        }
        let mut header = [0; 8];
        watcher.read_exact(&mut header).unwrap();
        let length = ofp::message_len(&header).unwrap();
        assert!((1..=6).contains(&header[0]) && length >= 8, "{header:?}");
        let mut rest = vec![0; length - 8];
        watcher.read_exact(&mut rest).unwrap();
        kinds.push(header[1]);
        if has_asked && kinds.ends_with(&[21]) {
            break;
        }
    }
}

/// The cookie of each rule by table and priority, of those that the test of monitors changes.
fn cookies(peer: &mut Peer) -> BTreeMap<(u8, u16), u64> {
    peer.send(&dump());
    let mut there = BTreeMap::new();
    for message in peer.settle() {
        if let Message::FlowStatsReply(flows) = message {
            let flows = flows.iter().filter(|flow| flow.priority <= 2_000);
            there.extend(flows.map(|flow| ((flow.table, flow.priority), flow.cookie)));
        }
    }
    there
}

#[test]
fn monitors_of_who_does_not_read_pause_and_then_tell_how_things_are() {
    if !can_run() {
        return;
    }
    for version in [Version::Of10, Version::Of13, Version::Of14] {
        let bridge = bridge_with_rules(100, 8);
        let mut peer = Peer::connect(&bridge.switch, version);
        let mut other = Peer::connect(&bridge.switch, Version::Of14);
        let flags = monitor_flag::INITIAL | monitor_flag::ADD | monitor_flag::REMOVED | monitor_flag::MODIFY;
        let (out_port, out_group) = (OfPort::ANY, ofp::GROUP_ANY);
        let m = fields::Match::default();
        let request =
            ofp::FlowMonitorRequest { id: 1, command: 0, flags, out_port, out_group, table: 0xff, m };
        peer.send(&Message::FlowMonitorRequest(vec![request]));
        peer.settle();
        assert_eq!(peer.updates.len(), 100, "{version:?}");
        let before = bridge.switch.memory();
        let mut change = |command: FlowModCommand, priority: u16, cookie: u64| {
            let mut request = FlowMod::new(command);
            (request.priority, request.new_cookie, request.table) = (priority, cookie, (priority % 4) as u8);
            request.actions = actions("drop");
            other.send(&Message::FlowMod(Box::new(request)));
        };
        for round in 1..=8 {
            for priority in 1..=2_000 {
                change(FlowModCommand::Add, priority, round);
            }
            for priority in (1..=2_000).filter(|priority| u64::from(*priority) % 8 == round % 8) {
                change(FlowModCommand::DeleteStrict, priority, 0);
            }
        }
        other.settle();
        let grown = bridge.switch.memory().saturating_sub(before);
        assert!(grown < 20 * MB, "{} MB", grown / MB);
        // It reads again, and knows what there is from what it was told.
        let mut is_paused = false;
        loop {
            let first = peer.updates.len();
            let message = peer.receive();
            let updates = &peer.updates[first..];
            if message == Message::FlowMonitorPaused || updates == [FlowUpdate::Paused] {
                assert!(!is_paused);
                is_paused = true;
            }
            if message == Message::FlowMonitorResumed || updates == [FlowUpdate::Resumed] {
                assert!(is_paused);
                break;
            }
        }
        let mut told: BTreeMap<(u8, u16), u64> = BTreeMap::new();
        for update in &peer.updates {
            match update {
                FlowUpdate::Initial(rule) | FlowUpdate::Added(rule) | FlowUpdate::Modified(rule)
                    if rule.priority <= 2_000 =>
                {
                    told.insert((rule.table, rule.priority), rule.cookie);
                }
                FlowUpdate::Removed { update: rule, .. } => {
                    told.remove(&(rule.table, rule.priority));
                }
                _ => {}
            }
        }
        let there = cookies(&mut other);
        assert_eq!(there.len(), 1_750);
        assert!(told == there, "{version:?}: {} told, {} there", told.len(), there.len());
        // From now on it is told of each change again.
        let first = peer.updates.len();
        bridge.switch.ofctl("add-flow br0 priority=40000,cookie=77,actions=drop");
        peer.receive();
        assert!(
            matches!(&peer.updates[first..], [FlowUpdate::Added(rule)] if rule.cookie == 77),
            "{version:?}"
        );
    }
}

#[test]
fn who_does_not_take_what_others_do_is_disconnected() {
    if !can_run() {
        return;
    }
    let bridge = Bridge::new();
    let mut deaf = Peer::connect(&bridge.switch, Version::Of14);
    let mut update = AsyncUpdate::default();
    update.primary[AsyncKind::RequestForward as usize] = Some(0b11);
    deaf.send(&Message::SetAsync(update));
    deaf.settle();
    let before = bridge.switch.memory();
    let mut busy = Peer::connect(&bridge.switch, Version::Of14);
    let bucket = Bucket {
        weight: 0,
        watch_port: OfPort::ANY,
        watch_group: ofp::GROUP_ANY,
        id: 0,
        actions: actions(&"output:1,".repeat(3_000)),
    };
    let mut request = GroupMod {
        command: GroupCommand::AddOrMod,
        kind: GroupType::All,
        group: 1,
        command_bucket: ofp::bucket_id::ALL,
        buckets: vec![bucket],
        properties: ofp::GroupProperties::default(),
    };
    let ended =
        |log: &str| log.contains(": disconnecting, ") && log.contains("bytes of messages wait to be read");
    let mut most = 0;
    let is_ended = holds_within(LIMIT, || {
        for group in 1..=20 {
            request.group = group;
            busy.send(&Message::GroupMod(request.clone()));
        }
        assert_eq!(busy.settle(), []);
        most = most.max(bridge.switch.memory().saturating_sub(before));
        ended(&bridge.log())
    });
    assert!(is_ended, "{} MB", most / MB);
    assert!(most < 2 * MARGIN, "{} MB", most / MB);
    // What it got is whole, and then there is an end.
    let mut taken = Vec::new();
    deaf.stream.read_to_end(&mut taken).unwrap();
    assert!(ofp::split_messages(&taken).count() > 1);
    assert_eq!(busy.settle(), []);
}

#[test]
fn a_control_socket_does_not_gather_answers() {
    if !can_run() {
        return;
    }
    let bridge = bridge_with_rules(2_000, 100);
    let before = bridge.switch.memory();
    let pid = std::fs::read_to_string(bridge.switch.dir.join("ovs-vswitchd.pid")).unwrap();
    let socket = bridge.switch.dir.join(format!("ovs-vswitchd.{}.ctl", pid.trim()));
    let stream = UnixStream::connect(&socket).unwrap();
    let request = |id: u32| format!("{{\"id\":{id},\"method\":\"bridge/dump-flows\",\"params\":[\"br0\"]}}");
    let requests: String = (0..20_000).map(request).collect();
    let mut served = 0;
    let mut serve_others = || {
        bridge.switch.appctl("version");
        served += 1;
    };
    let read = write_until_unread(&stream, requests.as_bytes(), &mut serve_others);
    assert!(read < requests.len() && served >= 20);
    let grown = bridge.switch.memory().saturating_sub(before);
    assert!(grown < MARGIN, "{} MB", grown / MB);
    // Its answers come one after the other, each whole.
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut answers = BufReader::new(&stream);
    for id in 0..20 {
        let mut answer = Vec::new();
        let end = format!("\"id\":{id},");
        // Objects hold no other closing brace.
        answers.read_until(b'}', &mut answer).unwrap();
        let text = String::from_utf8(answer).unwrap();
        assert!(text.starts_with('{') && text.contains(&end), "answer {id}: {} ...", &text[..60]);
        assert_eq!(text.matches("reg1=").count(), 2_000, "answer {id}");
    }
    // Nor does it keep the daemon from ending.
    bridge.switch.appctl("exit");
    until("the daemon ends", || !socket.exists());
}
