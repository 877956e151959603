//! The addresses of links.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::link::{ask, link};
use crate::message::{Builder, attributes, u32_at};

const IFA_ADDRESS: u16 = 1;
/// The address itself where `IFA_ADDRESS` is the other end of a point-to-point link.
const IFA_LOCAL: u16 = 2;
const IFADDRMSG_LEN: usize = 8;

/// The addresses of the link of this name, in this thread's network namespace;
/// IPv4 before IPv6. None when there is no such link.
pub fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    let Some(link) = link(name)? else { return Ok(Vec::new()) };
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let request = Builder::new(libc::RTM_GETADDR, flags).raw(&[0; IFADDRMSG_LEN]).finish();
    let mut out = Vec::new();
    ask(request, true, |kind, payload| {
        if kind == libc::RTM_NEWADDR && u32_at(payload, 4) == link.index {
            out.extend(parse(payload));
        }
    })?;
    out.sort_by_key(IpAddr::is_ipv6);
    Ok(out)
}

fn parse(payload: &[u8]) -> Option<IpAddr> {
    let (mut address, mut local) = (None, None);
    for (kind, value) in attributes(payload.get(IFADDRMSG_LEN..)?) {
        match kind {
            IFA_ADDRESS => address = ip(value),
            IFA_LOCAL => local = ip(value),
            _ => {}
        }
    }
    local.or(address)
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_is_known() {
        assert!(addresses("lo").unwrap().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(addresses("no-such-link").unwrap().is_empty());
    }
}
