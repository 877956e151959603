use proptest::prelude::*;

use super::*;

fn v4(text: &str) -> u128 {
    pipeline::tunnel::mapped(text.parse().unwrap())
}

fn route(network: &str, len: u8, device: &str, gateway: u128) -> Route {
    Route {
        table: MAIN,
        mark: 0,
        network: v4(network),
        prefix_len: len + 96,
        origin: Origin::User,
        device: device.into(),
        gateway,
        source: 0,
    }
}

fn with_devices() -> Routes {
    let mut routes = Routes::default();
    routes.add_test_address("br0", Address { address: v4("10.0.0.1"), prefix_len: 96 + 24 });
    routes.add_test_address("br1", Address { address: v4("10.1.0.1"), prefix_len: 96 + 24 });
    routes
}

#[test]
fn packets_leave_by_the_narrowest_route() {
    let mut routes = with_devices();
    let to = |routes: &Routes, address: &str| {
        routes.find(0, v4(address), 0).map(|way| (way.device.to_string(), way.gateway, way.source))
    };
    assert_eq!(to(&routes, "10.0.0.9"), Some(("br0".into(), None, v4("10.0.0.1"))));
    assert_eq!(to(&routes, "192.0.2.1"), None);
    routes.add(route("0.0.0.0", 0, "br1", v4("10.1.0.254"))).unwrap();
    assert_eq!(to(&routes, "192.0.2.1"), Some(("br1".into(), Some(v4("10.1.0.254")), v4("10.1.0.1"))));
    assert_eq!(routes.add(route("192.0.2.0", 24, "br7", 0)), Err(NoSource));
    assert_eq!(routes.remove(MAIN, 0, v4("0.0.0.0"), 96), Some(true));
    assert_eq!(routes.remove(MAIN, 0, v4("0.0.0.0"), 96), Some(false));
    assert_eq!(routes.remove(7, 0, v4("0.0.0.0"), 96), None);
    assert_eq!(to(&routes, "192.0.2.1"), None);
}

#[test]
fn a_source_must_be_the_machines_own_and_rules_choose_by_it() {
    let mut routes = with_devices();
    let far = v4("192.0.2.1");
    routes.add(Route { table: 100, ..route("0.0.0.0", 0, "br1", v4("10.1.0.254")) }).unwrap();
    assert_eq!(routes.find(0, far, v4("10.1.0.1")), None);
    let rule = Rule {
        priority: 5,
        origin: Origin::User,
        source: v4("10.1.0.0"),
        prefix_len: 24,
        table: 100,
        ..Rule::standard(0, 0, true)
    };
    routes.add_rule(rule.clone());
    assert_eq!(&*routes.find(0, far, v4("10.1.0.1")).unwrap().device, "br1");
    assert_eq!(routes.find(0, far, v4("10.0.0.1")), None);
    assert_eq!(routes.find(0, far, v4("10.1.0.7")), None, "not an own address");
    assert_eq!(rule.show(), "User: 5: from 10.1.0.0/24  lookup 100\n");
    assert!(routes.remove_rule(&Rule { priority: 0, ..rule.clone() }));
    assert!(!routes.remove_rule(&rule));
}

#[test]
fn routes_with_a_mark_are_for_packets_with_it() {
    let mut routes = with_devices();
    assert!(!routes.has_marks());
    let marked = Route { mark: 7, ..route("192.0.2.0", 24, "br0", v4("10.0.0.254")) };
    routes.add(marked).unwrap();
    assert!(routes.has_marks());
    assert_eq!(routes.find(0, v4("192.0.2.1"), 0), None);
    assert!(routes.find(7, v4("192.0.2.1"), 0).is_some());
    let shown = routes.show(None).unwrap();
    assert!(shown.contains("User: 192.0.2.0/24 MARK 7 dev br0 GW 10.0.0.254 SRC 10.0.0.1\n"), "{shown}");
    assert!(shown.contains("Cached: 10.0.0.0/24 dev br0 SRC 10.0.0.1\n"), "{shown}");
    assert!(shown.contains("Cached: 10.0.0.1/32 dev br0 SRC 10.0.0.1 local\n"), "{shown}");
    assert_eq!(routes.show(Some(Some(9))), None);
}

#[test]
fn what_is_the_kernels_is_replaced_and_the_rest_stays() {
    let mut routes = with_devices();
    routes.add(route("192.0.2.0", 24, "br0", v4("10.0.0.254"))).unwrap();
    let own = Address { address: v4("10.5.0.1"), prefix_len: 96 + 24 };
    let addresses = BTreeMap::from([("eth0".into(), BTreeSet::from([own]))]);
    let kernel = Route { origin: Origin::Kernel, ..route("10.5.0.0", 24, "eth0", 0) };
    assert!(routes.replace(vec![kernel.clone()], Vec::new(), addresses.clone()));
    assert!(!routes.replace(vec![kernel], Vec::new(), addresses));
    assert_eq!(routes.find(0, v4("10.5.0.9"), 0).unwrap().source, v4("10.5.0.1"));
    assert!(routes.replace(Vec::new(), Vec::new(), BTreeMap::new()));
    assert_eq!(routes.find(0, v4("10.5.0.9"), 0), None);
    assert!(routes.find(0, v4("192.0.2.9"), 0).is_some());
}

#[test]
fn ipv4_goes_by_routers_of_ipv6() {
    let mut routes = with_devices();
    let link_local = u128::from("fe80::1".parse::<std::net::Ipv6Addr>().unwrap());
    let router = u128::from("fe80::7".parse::<std::net::Ipv6Addr>().unwrap());
    routes.add_test_address("br0", Address { address: link_local, prefix_len: 64 });
    routes.add(route("192.0.2.0", 24, "br0", router)).unwrap();
    let way = routes.find(0, v4("192.0.2.9"), 0).unwrap();
    assert_eq!((way.gateway, way.source), (Some(router), v4("10.0.0.1")), "packets have an address of IPv4");
    let shown = routes.show(None).unwrap();
    assert!(shown.contains("User: 192.0.2.0/24 dev br0 GW fe80::7 SRC fe80::1\n"), "{shown}");
}

#[test]
fn those_that_are_asked_for_by_multicast_are_addressed() {
    let mut routes = with_devices();
    let own = 0x2001_0db8_0000_0000_0000_0000_0012_3456;
    routes.add_test_address("br0", Address { address: own, prefix_len: 64 });
    assert!(routes.is_addressed("br0", own));
    assert!(
        routes.is_addressed("br0", u128::from("ff02::1:ff12:3456".parse::<std::net::Ipv6Addr>().unwrap()))
    );
    assert!(
        !routes.is_addressed("br0", u128::from("ff02::1:ff12:3457".parse::<std::net::Ipv6Addr>().unwrap()))
    );
    assert!(!routes.is_addressed("br1", own));
}

#[test]
fn listings_have_older_routes_before_newer_ones() {
    let mut routes = with_devices();
    for (network, len) in [("192.0.2.0", 24), ("192.0.1.0", 24), ("198.51.100.7", 32)] {
        routes.add(route(network, len, "br0", v4("10.0.0.254"))).unwrap();
    }
    let listed = |routes: &Routes| -> Vec<String> {
        routes
            .of_table(Some(MAIN))
            .map(|route| shown(route.network))
            .filter(|to| !to.starts_with("10."))
            .collect()
    };
    assert_eq!(listed(&routes), ["198.51.100.7", "192.0.2.0", "192.0.1.0"]);
    routes.remove(MAIN, 0, v4("192.0.2.0"), 96 + 24).unwrap();
    routes.add(route("192.0.2.0", 24, "br0", v4("10.0.0.254"))).unwrap();
    assert_eq!(listed(&routes), ["198.51.100.7", "192.0.1.0", "192.0.2.0"]);
}

proptest! {
    /// Against looking at all routes one by one.
    #[test]
    fn the_narrowest_wins(networks in prop::collection::vec((any::<u32>(), 0u8..=32), 1..20), to in any::<u32>()) {
        let mut routes = with_devices();
        let mut best: Option<u8> = None;
        for (network, len) in &networks {
            let text = std::net::Ipv4Addr::from(*network).to_string();
            routes.add(Route { gateway: v4("10.0.0.254"), ..route(&text, *len, "br0", 0) }).unwrap();
            let mask = u32::MAX.checked_shl(32 - u32::from(*len)).unwrap_or(0);
            if network & mask == to & mask {
                best = Some(best.map_or(*len, |best| best.max(*len)));
            }
        }
        let found = super::best(&routes.tables[&MAIN], 0, 0xffff_0000_0000 | u128::from(to));
        let found = found.filter(|route| route.origin == Origin::User).map(|route| route.prefix_len - 96);
        prop_assert_eq!(found, best);
    }
}
