//! Bundles with rules, groups, ports and packets in them: all of a bundle comes into force, or nothing.

use base::OfPort;
use end_to_end::{can_run, until};
use ofp::{
    Bucket, FlowMod, FlowModCommand, GroupCommand, GroupMod, GroupProperties, GroupType, Message, OfError,
    PacketInFormat, PortMod, Version, port_config, port_state,
};

use crate::openflow_peers::{Bridge, Peer, actions, bundle, frame, packet_out, port};

fn add_rule(table: u8, text: &str) -> Message {
    let mut request = FlowMod::new(FlowModCommand::Add);
    (request.table, request.actions) = (table, actions(text));
    Message::FlowMod(Box::new(request))
}

fn add_group(group: u32) -> Message {
    let bucket = Bucket {
        weight: 0,
        watch_port: OfPort::ANY,
        watch_group: ofp::GROUP_ANY,
        id: 0,
        actions: actions("output:1"),
    };
    Message::GroupMod(GroupMod {
        command: GroupCommand::Add,
        kind: GroupType::All,
        group,
        command_bucket: ofp::bucket_id::ALL,
        buckets: vec![bucket],
        properties: GroupProperties::default(),
    })
}

/// Rules and groups of the bridge, as text.
fn listing(bridge: &Bridge) -> String {
    let rules = bridge.switch.ofctl("-O OpenFlow14 --no-stats dump-flows br0");
    rules + &bridge.switch.ofctl("-O OpenFlow14 dump-groups br0")
}

#[test]
fn a_port_that_cannot_be_changed_takes_the_rest_of_its_bundle_with_it() {
    if !can_run() {
        return;
    }
    let bridge = Bridge::new();
    let (mut peer, mut other) =
        (Peer::connect(&bridge.switch, Version::Of14), Peer::connect(&bridge.switch, Version::Of14));
    let hw_addr = port(&mut peer).hw_addr;
    let (down, no_forward) = (port_config::PORT_DOWN, port_config::NO_FWD);
    let port_mod = |port: u32, hw_addr, mask| {
        Message::PortMod(PortMod { port: OfPort(port), hw_addr, config: mask, mask, advertise: 0 })
    };
    let empty = listing(&bridge);
    let good = [
        add_group(5),
        port_mod(1, hw_addr, no_forward),
        add_rule(0, "group:5"),
        packet_out(frame(100), "output:1"),
        port_mod(1, hw_addr, down),
    ];
    let bad = [
        (port_mod(1, base::MacAddr([9; 6]), no_forward), OfError::OfppmfcBadHwAddr),
        (port_mod(77, hw_addr, no_forward), OfError::OfppmfcBadPort),
        (add_rule(0, "group:77"), OfError::OfpbacBadOutGroup),
        (add_group(5), OfError::OfpgmfcGroupExists),
        (packet_out(frame(100), "group:77"), OfError::OfpbacBadOutGroup),
    ];
    for (message, error) in bad {
        let mut messages = good.to_vec();
        messages.push(message);
        assert_eq!(bundle(&mut peer, messages), [error, OfError::OfpbfcMsgFailed]);
        assert_eq!(listing(&bridge), empty, "{error}");
        let now = port(&mut peer);
        assert_eq!((now.config, now.state & port_state::LINK_DOWN), (0, 0), "{error}");
    }
    other.settle();
    assert_eq!((other.ports.len(), peer.ports.len()), (0, 0), "nobody hears of what did not happen");
    // The same without the bad one.
    assert_eq!(bundle(&mut peer, good.to_vec()), []);
    let text = listing(&bridge);
    assert!(text.contains("actions=group:5") && text.contains("group_id=5"), "{text}");
    until("the link is down", || {
        let now = port(&mut peer);
        now.config == down | no_forward && now.state & port_state::LINK_DOWN != 0
    });
    other.settle();
    assert_eq!(other.ports.last(), Some(&(down | no_forward, true)));
}

#[test]
fn packets_of_a_bundle_meet_what_is_before_them_in_it() {
    if !can_run() {
        return;
    }
    let bridge = Bridge::new();
    let mut peer = Peer::connect(&bridge.switch, Version::Of14);
    peer.send(&Message::SetPacketInFormat(PacketInFormat::Nxt2));
    let from_table = |table: u8| packet_out(frame(100), &format!("resubmit(,{table})"));
    let learn = "load:1->NXM_NX_REG0[],learn(table=2,output:NXM_NX_REG0[])";
    let errors = bundle(
        &mut peer,
        vec![
            from_table(1),
            add_rule(1, "controller(userdata=01)"),
            from_table(1),
            add_rule(1, "controller(userdata=02)"),
            from_table(2),
            packet_out(frame(100), learn),
            from_table(2),
        ],
    );
    assert_eq!(errors, []);
    until("the packet is there", || {
        peer.settle();
        !peer.packets.is_empty()
    });
    // By the rule of table 1 as it was by then.
    assert_eq!(peer.packets, [(1, vec![1])]);
    assert!(bridge.switch.ofctl("dump-flows br0 table=1").contains("userdata=02"));
    // The last packet met the rule that the one before it has taught.
    let taught = bridge.switch.ofctl("dump-flows br0 table=2");
    assert!(taught.contains("n_packets=1") && taught.contains("actions=output:1"), "{taught}");
}
