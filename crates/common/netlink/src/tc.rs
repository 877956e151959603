//! Traffic control: queueing disciplines and filters of links, as tc(8) shows them.

use std::io;

use crate::link::ask;
use crate::message::Builder;

const TCMSG_LEN: usize = 20;

/// The two hooks that the discipline `clsact` has.
pub(crate) const INGRESS: u32 = 0xffff_fff2;
pub(crate) const EGRESS: u32 = 0xffff_fff3;

/// A message about traffic control of one link.
pub(crate) fn message(kind: u16, flags: i32, ifindex: u32, handle: u32, parent: u32, info: u32) -> Builder {
    let mut body = [0; TCMSG_LEN];
    for (at, value) in [(4, ifindex), (8, handle), (12, parent), (16, info)] {
        body[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    Builder::new(kind, (libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags) as u16).raw(&body)
}

/// Whether the link has filters at one of the hooks.
pub(crate) fn has_filters(ifindex: u32, hook: u32) -> io::Result<bool> {
    let mut is_empty = true;
    let request = message(libc::RTM_GETTFILTER, libc::NLM_F_DUMP, ifindex, 0, hook, 0).finish();
    // Those of a block that links share name no link.
    ask(request, true, |kind, _| is_empty &= kind != libc::RTM_NEWTFILTER)?;
    Ok(!is_empty)
}
