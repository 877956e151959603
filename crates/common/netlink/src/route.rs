//! Routes, the rules by which the kernel chooses a table of them, and the addresses of all links.
//!
//! What the switch needs of them: where a packet of a tunnel leaves. Routes that discard, and rules with conditions other
//! than the source address, are left out.

use std::io;
use std::net::IpAddr;

use netlink_bindings::rt_addr::{Ifaddrmsg, Request as AddressRequest};
use netlink_bindings::rt_route::{IterableRouteAttrs, Request as RouteRequest, RouteAttrs, Rtmsg};
use netlink_bindings::rt_rule::{FibRuleAttrs, FibRuleHdr, IterableFibRuleAttrs, Request as RuleRequest};

use crate::address::address;
use crate::ask::ask;
use crate::socket::Socket;

/// A route of the kernel's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The number of its table; 255 holds the machine's own addresses, 254 is "main".
    pub table: u32,
    /// The network; unspecified for a default route.
    pub destination: IpAddr,
    /// Bits of the network's prefix.
    pub prefix_len: u8,
    /// The index of the link by which packets leave.
    pub link: u32,
    /// The next router, unless the network is behind the link itself. That of a route of IPv4 may have an address of IPv6.
    pub gateway: Option<IpAddr>,
    /// The source address that the route asks for.
    pub source: Option<IpAddr>,
    /// Of routes to one network, that with the lowest is taken.
    pub priority: u32,
}

/// A rule that says in which table to look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteRule {
    /// Rules are asked from the lowest up.
    pub priority: u32,
    /// It is for packets whose source is not in the network.
    pub is_inverted: bool,
    /// The network that the source is in; of no bits for any.
    pub source: IpAddr,
    /// Bits of that network's prefix.
    pub prefix_len: u8,
    /// Where to look.
    pub table: u32,
}

/// An address of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkAddress {
    /// The index of the link.
    pub link: u32,
    /// The address itself.
    pub address: IpAddr,
    /// Bits of the prefix of the network that it is in.
    pub prefix_len: u8,
}

const UNICAST: u8 = 1;
const LOCAL: u8 = 2;
const NOWHERE: u8 = 255;
/// `FR_ACT_TO_TBL`.
const TO_TABLE: u8 = 1;
/// `FIB_RULE_INVERT`.
const INVERT: u32 = 2;

fn unspecified(family: u8) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Some(IpAddr::from([0u8; 4])),
        libc::AF_INET6 => Some(IpAddr::from([0u8; 16])),
        _ => None,
    }
}

/// All routes of this thread's network namespace, in all tables. Errors are the kernel's.
pub fn routes() -> io::Result<Vec<Route>> {
    let request = RouteRequest::new().op_getroute_dump(&Rtmsg::default());
    ask(&request, |kind, (header, attributes)| {
        (kind == libc::RTM_NEWROUTE).then(|| route(&header, attributes)).flatten()
    })
}

fn route(header: &Rtmsg, attributes: IterableRouteAttrs<'_>) -> Option<Route> {
    if header.rtm_scope == NOWHERE || !matches!(header.rtm_type, UNICAST | LOCAL) {
        return None;
    }
    let mut route = Route {
        table: header.rtm_table.into(),
        destination: unspecified(header.rtm_family)?,
        prefix_len: header.rtm_dst_len,
        link: 0,
        gateway: None,
        source: None,
        priority: 0,
    };
    route.gateway = via(attributes.get_buf());
    for attribute in attributes.flatten() {
        match attribute {
            RouteAttrs::Table(table) => route.table = table,
            RouteAttrs::Dst(address) => route.destination = address,
            RouteAttrs::Oif(link) => route.link = link,
            RouteAttrs::Gateway(address) => route.gateway = Some(address),
            RouteAttrs::Prefsrc(address) => route.source = Some(address),
            RouteAttrs::Priority(priority) => route.priority = priority,
            // The first of several ways; struct rtnexthop begins with its length, flags and hops.
            RouteAttrs::Multipath(hops) => {
                route.link = hops.get(4..8).map_or(0, |bytes| crate::message::u32_at(bytes, 0));
                let len = hops.first_chunk().map_or(0, |len: &[u8; 2]| u16::from_ne_bytes(*len));
                let inner = hops.get(8..usize::from(len)).unwrap_or(&[]);
                let found = RouteAttrs::new(inner).flatten().find_map(|attribute| match attribute {
                    RouteAttrs::Gateway(address) => Some(address),
                    _ => None,
                });
                route.gateway = found.or_else(|| via(inner));
            }
            _ => {}
        }
    }
    (route.link != 0).then_some(route)
}

/// The router of another family than the route's own (`RTA_VIA`): struct rtvia begins with the family. The bindings take the
/// attribute for an address alone.
fn via(mut attributes: &[u8]) -> Option<IpAddr> {
    while let Some(&[l0, l1, k0, k1]) = attributes.first_chunk() {
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = attributes.get(4..len)?;
        if u16::from_ne_bytes([k0, k1]) == libc::RTA_VIA {
            let (family, address) = value.split_first_chunk()?;
            return match i32::from(u16::from_ne_bytes(*family)) {
                libc::AF_INET => address.first_chunk::<4>().map(|address| IpAddr::from(*address)),
                libc::AF_INET6 => address.first_chunk::<16>().map(|address| IpAddr::from(*address)),
                _ => None,
            };
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
    None
}

/// All rules of this thread's network namespace that depend on nothing but the source. Errors are the kernel's.
pub fn route_rules() -> io::Result<Vec<RouteRule>> {
    let request = RuleRequest::new().op_getrule_dump(&FibRuleHdr::default());
    ask(&request, |kind, (header, attributes)| {
        (kind == libc::RTM_NEWRULE).then(|| rule(&header, attributes)).flatten()
    })
}

fn rule(header: &FibRuleHdr, attributes: IterableFibRuleAttrs<'_>) -> Option<RouteRule> {
    if header.action != TO_TABLE || header.tos != 0 || header.dst_len != 0 {
        return None;
    }
    let mut rule = RouteRule {
        priority: 0,
        is_inverted: header.flags & INVERT != 0,
        source: unspecified(header.family)?,
        prefix_len: header.src_len,
        table: header.table.into(),
    };
    for attribute in attributes {
        match attribute {
            Ok(FibRuleAttrs::Src(address)) => rule.source = address,
            Ok(FibRuleAttrs::Priority(priority)) => rule.priority = priority,
            Ok(FibRuleAttrs::Table(table)) => rule.table = table,
            Ok(FibRuleAttrs::Protocol(_) | FibRuleAttrs::SuppressPrefixlen(_) | FibRuleAttrs::Pad(_)) => {}
            _ => return None,
        }
    }
    let is_never = rule.is_inverted && rule.prefix_len == 0;
    (!is_never).then_some(rule)
}

/// The addresses of all links of this thread's network namespace. Errors are the kernel's.
pub fn all_addresses() -> io::Result<Vec<LinkAddress>> {
    let request = AddressRequest::new().op_getaddr_dump(&Ifaddrmsg::default());
    ask(&request, |kind, (header, attributes)| {
        let address = (kind == libc::RTM_NEWADDR).then(|| address(attributes)).flatten()?;
        Some(LinkAddress { link: header.ifa_index, address, prefix_len: header.ifa_prefixlen })
    })
}

/// A listener for changes of routes, rules, addresses and links.
#[derive(Debug)]
pub struct RouteMonitor {
    socket: Socket,
    buffer: Vec<u8>,
}

impl RouteMonitor {
    /// Starts to listen in this thread's network namespace. Errors are the system's.
    pub fn open() -> io::Result<RouteMonitor> {
        let groups = libc::RTMGRP_LINK
            | libc::RTMGRP_IPV4_IFADDR
            | libc::RTMGRP_IPV6_IFADDR
            | libc::RTMGRP_IPV4_ROUTE
            | libc::RTMGRP_IPV6_ROUTE
            | RTMGRP_IPV4_RULE
            | RTMGRP_IPV6_RULE;
        Ok(RouteMonitor { socket: Socket::for_listening(groups as u32)?, buffer: vec![0; 64 * 1024] })
    }

    /// Whether anything changed since the last call; never blocks.
    pub fn has_changed(&mut self) -> bool {
        let mut has_changed = false;
        self.socket.drain(&mut self.buffer, |_| has_changed = true);
        has_changed
    }
}

const RTMGRP_IPV4_RULE: i32 = 0x80;
/// `RTNLGRP_IPV6_RULE` is group 19.
const RTMGRP_IPV6_RULE: i32 = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link;
    use crate::testing::{in_own_namespace, ip};

    #[test]
    fn a_router_of_the_other_family_is_read_or_there_is_none() {
        let [l0, l1] = 10u16.to_ne_bytes();
        let [k0, k1] = libc::RTA_VIA.to_ne_bytes();
        let [f0, f1] = (libc::AF_INET as u16).to_ne_bytes();
        let whole = [5, 0, 1, 0, 9, 0, 0, 0, l0, l1, k0, k1, f0, f1, 10, 1, 0, 7];
        assert_eq!(via(&whole), Some(IpAddr::from([10, 1, 0, 7])));
        for len in 0..whole.len() {
            assert_eq!(via(&whole[..len]), None, "{len} bytes of it");
        }
        for (at, value) in [(0, 0), (0, 3), (8, 4), (8, 200), (12, 77)] {
            let mut wrong = whole;
            wrong[at] = value;
            assert_eq!(via(&wrong), None, "byte {at} is {value}");
        }
    }

    #[test]
    fn the_kernel_says_where_packets_go() {
        if !in_own_namespace() {
            return;
        }
        let mut monitor = RouteMonitor::open().unwrap();
        ip("link add one type veth peer name other");
        ip("link set one up");
        ip("addr add 10.1.0.1/24 dev one");
        ip("route add 10.9.0.0/16 via 10.1.0.7 src 10.1.0.1 metric 5");
        ip("rule add from 10.1.0.0/24 table 100 priority 77");
        ip("route add 10.8.0.0/16 via inet6 fe80::7 dev one");
        ip("route add 10.7.0.0/16 nexthop via inet6 fe80::8 dev one nexthop via 10.1.0.9 dev one");
        assert!(monitor.has_changed());
        assert!(!monitor.has_changed());
        ip("-6 rule add from 2001:db8::/32 table 100 priority 78");
        assert!(monitor.has_changed(), "rules of IPv6 alone");
        let index = link("one").unwrap().unwrap().index;
        let found = routes().unwrap();
        let routed = found.iter().find(|route| route.destination == IpAddr::from([10, 9, 0, 0])).unwrap();
        assert_eq!((routed.table, routed.prefix_len, routed.link, routed.priority), (254, 16, index, 5));
        assert_eq!(routed.gateway, Some(IpAddr::from([10, 1, 0, 7])));
        assert_eq!(routed.source, Some(IpAddr::from([10, 1, 0, 1])));
        for (network, router) in [(8, "fe80::7"), (7, "fe80::8")] {
            let through = |route: &&Route| route.destination == IpAddr::from([10, network, 0, 0]);
            let found = found.iter().find(through).unwrap();
            assert_eq!((found.gateway, found.link), (Some(router.parse().unwrap()), index));
        }
        assert!(found.iter().any(|r| r.table == 255 && r.destination == IpAddr::from([10, 1, 0, 1])));
        let rules = route_rules().unwrap();
        let own = rules.iter().find(|rule| rule.priority == 77).unwrap();
        assert_eq!((own.source, own.prefix_len, own.table), (IpAddr::from([10, 1, 0, 0]), 24, 100));
        let address = LinkAddress { link: index, address: IpAddr::from([10, 1, 0, 1]), prefix_len: 24 };
        assert!(all_addresses().unwrap().contains(&address));
    }
}
