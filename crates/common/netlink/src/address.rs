//! The addresses of links.

use std::io;
use std::net::IpAddr;

use netlink_bindings::rt_addr::{AddrAttrs, Ifaddrmsg, IterableAddrAttrs, Request};

use crate::ask::{Reading, ask_as};
use crate::link::link;

/// The addresses of the link of this name, in this thread's network namespace; IPv4 before IPv6. None when there is no such
/// link. Errors are the kernel's.
pub fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    let Some(link) = link(name)? else { return Ok(Vec::new()) };
    addresses_of(link.index)
}

/// The same of a link by its index.
pub fn addresses_of(index: u32) -> io::Result<Vec<IpAddr>> {
    let all = dump(index)?;
    let mut own: Vec<IpAddr> =
        all.into_iter().filter(|(of, _)| *of == index).map(|(_, address)| address).collect();
    own.sort_by_key(IpAddr::is_ipv6);
    Ok(own)
}

/// The addresses of a link, by its index; old kernels add those of the others.
fn dump(index: u32) -> io::Result<Vec<(u32, IpAddr)>> {
    let request = Request::new().op_getaddr_dump(&Ifaddrmsg { ifa_index: index, ..Ifaddrmsg::default() });
    let found = ask_as(Reading::Strict, &request, |kind, (header, attributes)| {
        (kind == libc::RTM_NEWADDR).then(|| Some((header.ifa_index, address(attributes)?))).flatten()
    });
    match found {
        // It went meanwhile.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(Vec::new()),
        found => found,
    }
}

/// The address that a message is about.
pub(crate) fn address(attributes: IterableAddrAttrs<'_>) -> Option<IpAddr> {
    let (mut address, mut local) = (None, None);
    for attribute in attributes.flatten() {
        match attribute {
            AddrAttrs::Address(found) => address = Some(found),
            // The address itself where the other one is that of the other end of a point-to-point link.
            AddrAttrs::Local(found) => local = Some(found),
            _ => {}
        }
    }
    local.or(address)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::testing::{in_own_namespace, ip};

    #[test]
    fn the_loopback_address_is_known() {
        assert!(addresses("lo").unwrap().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(addresses("no-such-link").unwrap().is_empty());
    }

    #[test]
    fn the_kernel_is_asked_for_the_addresses_of_one_link_alone() {
        if !in_own_namespace() {
            return;
        }
        ip("link add one type veth peer name other");
        ip("addr add fc00::1/64 dev one nodad");
        ip("addr add 10.1.0.1/24 dev one");
        ip("addr add 10.2.0.1 peer 10.2.0.2 dev one");
        ip("addr add 10.3.0.1/24 dev other");
        let expected = ["10.1.0.1", "10.2.0.1", "fc00::1"].map(|text| text.parse::<IpAddr>().unwrap());
        assert_eq!(addresses("one").unwrap(), expected);
        let index = link("one").unwrap().unwrap().index;
        let asked = dump(index).unwrap();
        assert!(asked.len() == 3 && asked.iter().all(|(of, _)| *of == index), "{asked:?}");
    }
}
