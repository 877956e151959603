//! Following the kernel's routes, rules and addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use netlink::{LinkAddress, RouteMonitor, RouteRule};
use pipeline::tunnel::mapped;

use crate::routes::{Address, Origin, Route, Routes, Rule};

base::coverage!(static READ = "route_table_dump");

/// The kernel as a source of routes.
#[derive(Debug, Default)]
pub struct Machine {
    monitor: Option<RouteMonitor>,
    has_failed: bool,
}

/// A prefix of whichever family as one of 128 bits.
fn long(address: IpAddr, len: u8) -> u8 {
    if address.is_ipv4() { len.saturating_add(96) } else { len }
}

impl Machine {
    /// All that the kernel says, when it is asked for the first time and after changes. What it refuses is logged once.
    pub fn news(&mut self) -> Option<Read> {
        let is_due = match &mut self.monitor {
            Some(monitor) => monitor.has_changed(),
            None if self.has_failed => return None,
            None => {
                self.monitor = RouteMonitor::open().inspect_err(complain).ok();
                self.has_failed = self.monitor.is_none();
                self.monitor.is_some()
            }
        };
        if !is_due {
            return None;
        }
        READ.count();
        Read::now().inspect_err(complain).ok()
    }
}

fn complain(error: &io::Error) {
    log::warn!(
        target: base::bounded!("route_table"),
        "routes cannot be read, so tunnels use those that were added by ovs/route/add alone: {error}"
    );
}

/// All that the kernel says, read at one time.
#[derive(Clone, Debug)]
pub struct Read {
    routes: Vec<netlink::Route>,
    rules: Vec<RouteRule>,
    addresses: Vec<LinkAddress>,
    names: HashMap<u32, Arc<str>>,
}

impl Read {
    fn now() -> io::Result<Read> {
        let links = netlink::links()?;
        Ok(Read {
            routes: netlink::routes()?,
            rules: netlink::route_rules()?,
            addresses: netlink::all_addresses()?,
            names: links.into_iter().map(|link| (link.index, link.name.into())).collect(),
        })
    }

    /// Replaces what `routes` has of the kernel; whether anything is otherwise now.
    pub fn put_into(mut self, routes: &mut Routes) -> bool {
        let mut addresses: BTreeMap<Arc<str>, BTreeSet<Address>> = BTreeMap::new();
        for LinkAddress { link, address, prefix_len } in self.addresses {
            // What loops back leads to no neighbour.
            let Some(name) = self.names.get(&link).filter(|name| &***name != "lo") else { continue };
            let own = Address { address: mapped(address), prefix_len: long(address, prefix_len) };
            addresses.entry(Arc::clone(name)).or_default().insert(own);
        }
        let rules = self.rules.iter().map(|rule| Rule {
            priority: rule.priority,
            is_inverted: rule.is_inverted,
            origin: Origin::Kernel,
            source: mapped(rule.source),
            prefix_len: rule.prefix_len,
            table: rule.table,
            is_v4: rule.source.is_ipv4(),
        });
        // Tables that no rule leads to are not looked at.
        let asked: HashSet<u32> = self.rules.iter().map(|rule| rule.table).collect();
        self.routes.retain(|route| asked.is_empty() || asked.contains(&route.table));
        // Of several to one network the first by priority is taken; one that is added later replaces another.
        self.routes.sort_by_key(|route| std::cmp::Reverse(route.priority));
        let kept = self.routes.into_iter().filter_map(|route| {
            let device = self.names.get(&route.link).filter(|name| &***name != "lo")?;
            Some(Route {
                table: route.table,
                mark: 0,
                network: mapped(route.destination),
                prefix_len: long(route.destination, route.prefix_len),
                origin: Origin::Kernel,
                device: Arc::clone(device),
                gateway: route.gateway.map_or(0, mapped),
                source: route.source.map_or(0, mapped),
            })
        });
        routes.replace(kept.collect(), rules.collect(), addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_no_rule_leads_to_are_left_out() {
        let route = |table| netlink::Route {
            table,
            destination: IpAddr::from([10, 0, 0, 0]),
            prefix_len: 24,
            link: 1,
            gateway: None,
            source: None,
            priority: 0,
        };
        let source = IpAddr::from([0; 4]);
        let rule = |table| RouteRule { priority: 7, is_inverted: false, source, prefix_len: 0, table };
        let address = LinkAddress { link: 1, address: IpAddr::from([10, 0, 0, 1]), prefix_len: 24 };
        let mut read = Read {
            routes: vec![route(254), route(42), route(43)],
            rules: vec![rule(254), rule(42)],
            addresses: vec![address],
            names: HashMap::from([(1, "eth0".into())]),
        };
        let mut routes = Routes::default();
        assert!(read.clone().put_into(&mut routes));
        let has = |routes: &Routes, table| routes.of_table(Some(table)).next().is_some();
        assert!(has(&routes, 254) && has(&routes, 42) && !has(&routes, 43));
        read.rules.pop();
        assert!(read.put_into(&mut routes));
        assert!(has(&routes, 254) && !has(&routes, 42));
    }
}
