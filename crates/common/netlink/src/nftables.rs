//! What nftables does to frames on their way out.

use std::io;

use crate::link::ask_at;
use crate::message::{Builder, attributes};
use crate::socket::Socket;

const SUBSYSTEM: u16 = 10;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const GET_CHAIN: u16 = SUBSYSTEM << 8 | 4;
const CHAIN_HOOK: u16 = 4;
const HOOK_NUMBER: u16 = 1;
/// Chains of single links.
const FAMILY_NETDEV: u8 = 5;
const HOOK_EGRESS: u32 = 1;

/// Whether any chain of this network namespace sees frames that a link sends, whichever link.
pub(crate) fn has_egress_chains() -> io::Result<bool> {
    let is_absent = |error: &io::Error| {
        let errno = error.raw_os_error();
        let known = [libc::EPROTONOSUPPORT, libc::EAFNOSUPPORT, libc::EOPNOTSUPP, libc::EINVAL, libc::ENOENT];
        errno.is_some_and(|errno| known.contains(&errno))
    };
    match look() {
        // The kernel has no nftables, or none of this family.
        Err(error) if is_absent(&error) => Ok(false),
        other => other,
    }
}

fn look() -> io::Result<bool> {
    let socket = Socket::of_family(libc::NETLINK_NETFILTER, 0, false)?;
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let request = Builder::new(GET_CHAIN, flags).raw(&[FAMILY_NETDEV, 0, 0, 0]).finish();
    let mut found = false;
    ask_at(&socket, request, true, |kind, payload| {
        found |= kind == NEW_CHAIN && is_egress(payload.get(4..).unwrap_or(&[]));
    })?;
    Ok(found)
}

fn is_egress(chain: &[u8]) -> bool {
    let hooks = attributes(chain).filter(|(kind, _)| *kind == CHAIN_HOOK);
    hooks
        .flat_map(|(_, hook)| attributes(hook))
        .any(|(kind, value)| kind == HOOK_NUMBER && value == HOOK_EGRESS.to_be_bytes())
}
