//! Which flows the kernel can forward itself.

use dp::{Action, Flow as Megaflow};
use netdev::shortcut::{Tagging, Way};
use wire::ethernet;

use crate::ports::Ports;

/// How the kernel is to forward a flow's packets: where they have one way out, with no more than a change of the tag.
pub(crate) fn way(ports: &Ports, megaflow: &Megaflow) -> Option<Way> {
    let (tag, number) = match &*megaflow.actions {
        [Action::Output(number)] => (Tagging::Keep, *number),
        [Action::PopVlan, Action::Output(number)] => (Tagging::Pop, *number),
        [Action::PushVlan { tpid: ethernet::TYPE_VLAN, tci }, Action::Output(number)] => {
            (Tagging::Push { tci: *tci & !flow::VLAN_CFI }, *number)
        }
        _ => return None,
    };
    let (from, to) = (ports.get(base::DpPort(megaflow.key.in_port()))?, ports.get(number)?);
    let (source, target) = (from.device.shortcut_from()?, to.device.shortcut_to()?);
    let (came_by, goes_by) = (from.info(), to.info());
    // Frames of one flow may come by several queues, each with a worker.
    if from.queues.len() > 1 {
        return None;
    }
    // One that went to another network namespace is another one's there.
    if !came_by.is_present || !goes_by.is_present {
        return None;
    }
    // What the kernel forwards goes past netfilter's hook at the device that sends.
    if !matches!(netlink::has_egress_chains(), Ok(false)) || !from.device.as_packet()?.begin_lookups() {
        return None;
    }
    let max_len = goes_by.mtu.saturating_add(ethernet::HEADER_LEN as u32);
    Some(Way { from: source, to: target, tag, max_len })
}
