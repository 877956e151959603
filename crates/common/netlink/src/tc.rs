//! Traffic control: queueing disciplines and filters of links, as tc(8) shows them.

use std::io;

use netlink_bindings::tc::{Request, Tcmsg};

use crate::ask::ask;

/// The two hooks that the discipline `clsact` has.
pub(crate) const INGRESS: u32 = 0xffff_fff2;
pub(crate) const EGRESS: u32 = 0xffff_fff3;

/// Where the settings of a discipline or class are.
pub(crate) const OPTIONS: u16 = 2;

/// The header of a message about traffic control of one link.
pub(crate) fn header(ifindex: u32, handle: u32, parent: u32, info: u32) -> Tcmsg {
    Tcmsg { ifindex: ifindex.cast_signed(), handle, parent, info, ..Tcmsg::default() }
}

/// Whether the link has filters at one of the hooks.
pub(crate) fn has_filters(ifindex: u32, hook: u32) -> io::Result<bool> {
    Ok(!filters(ifindex, hook)?.is_empty())
}

/// Priority and protocol, in one word, of each filter that the link has at one of the hooks.
pub(crate) fn filters(ifindex: u32, hook: u32) -> io::Result<Vec<u32>> {
    let request = Request::new().op_gettfilter_dump(&header(ifindex, 0, hook, 0));
    // Those of a block that links share name no link.
    ask(&request, |kind, (header, _)| (kind == libc::RTM_NEWTFILTER).then_some(header.info))
}
