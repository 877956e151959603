//! Queues: the datapath's priority, and the DSCP with which packets of some leave.

use base::OfPort;
use pipeline::QueueDscp;

use super::*;

fn icmp(tos: u8) -> FlowKey {
    let mut key = frame(1, 0xa, 0xb, None);
    key.set_dl_type(0x0800);
    key.set_nw_proto(1);
    key.set_nw_tos(tos);
    key
}

#[test]
fn packets_leave_by_the_queue_that_is_set_until_it_is_popped() {
    let (mut switch, id) = switch_with(&vec![VlanConfig::default(); 3]);
    add_flow(&mut switch, id, 0, "", "set_queue:5,output:2,pop_queue,output:3,enqueue:2:7,output:2");
    assert_eq!(
        forward(&switch, id, &icmp(0)),
        "set(skb_priority(0x5)),12,set(skb_priority(0)),13,set(skb_priority(0x7)),12,set(skb_priority(0)),12"
    );
}

#[test]
fn a_queue_marks_ip_packets_and_other_outputs_do_not_see_it() {
    let (mut switch, id) = switch_with(&vec![VlanConfig::default(); 3]);
    add_flow(&mut switch, id, 0, "", "enqueue:2:1,enqueue:2:2,output:2,enqueue:3:1");
    let epoch = switch.epoch();
    let marks: QueueDscp = [(1, 46), (2, 0)].into();
    switch.get_mut(id).unwrap().set_queue_dscp(OfPort(2), &marks);
    assert!(switch.epoch() != epoch, "cached flows are to be looked at again");
    let translation = run(&switch, id, &icmp(0x23));
    assert_eq!(
        text(&translation),
        "set(ipv4(tos=0xb8/0xfc)),set(skb_priority(0x1)),12,set(ipv4(tos=0/0xfc)),set(skb_priority(0x2)),12,\
         set(ipv4(tos=0x20/0xfc)),set(skb_priority(0)),12,set(skb_priority(0x1)),13"
    );
    assert_eq!(translation.mask.bits(slot::NW_TOS), 0xfc);
    let epoch = switch.epoch();
    switch.get_mut(id).unwrap().set_queue_dscp(OfPort(2), &marks);
    assert_eq!(switch.epoch(), epoch, "nothing changed");
    // What is no IP has nothing to mark.
    assert!(!text(&run(&switch, id, &frame(1, 0xa, 0xb, None))).contains("tos"));
    switch.get_mut(id).unwrap().set_queue_dscp(OfPort(2), &QueueDscp::new());
    assert!(!text(&run(&switch, id, &icmp(0x23))).contains("tos"));
}
