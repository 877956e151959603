//! What nftables does to frames on their way out.

use std::io;

use netlink_bindings::nftables::{Nfgenmsg, Request};

use crate::ask::ask;

/// `NFT_MSG_NEWCHAIN` of `NFNL_SUBSYS_NFTABLES`.
const NEW_CHAIN: u16 = 10 << 8 | 3;
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
    let header = Nfgenmsg { nfgen_family: FAMILY_NETDEV, ..Nfgenmsg::default() };
    let request = Request::new().op_getchain_dump(&header);
    let hooks = ask(&request, |kind, (_, chain)| {
        let hook = (kind == NEW_CHAIN).then(|| chain.get_hook().ok()?.get_num().ok());
        hook.flatten()
    })?;
    Ok(hooks.contains(&HOOK_EGRESS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_own_namespace;

    #[test]
    fn a_namespace_begins_without_chains() {
        if in_own_namespace() {
            assert!(!has_egress_chains().unwrap());
        }
    }
}
