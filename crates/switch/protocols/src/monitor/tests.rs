//! Two ports that are joined by a wire.

use std::sync::atomic::AtomicU64;
use std::sync::{Condvar, OnceLock, Weak};
use std::time::Instant;

use super::*;

const P1: PortId = PortId { bridge: BridgeId(1), port: OfPort(1) };
const P2: PortId = PortId { bridge: BridgeId(1), port: OfPort(2) };

/// Gives what one port sends to the other one.
#[derive(Default)]
struct Wire {
    monitor: OnceLock<Weak<Monitor>>,
    is_cut: AtomicBool,
    changes: Mutex<u64>,
    changed: Condvar,
    sent: AtomicU64,
}

impl Link for Wire {
    fn send(&self, port: PortId, frame: Vec<u8>, _: bool) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let other = if port == P1 { P2 } else { P1 };
        if let Some(monitor) = self.monitor.get().and_then(Weak::upgrade)
            && !self.is_cut.load(Ordering::Relaxed)
        {
            monitor.take(other, Protocol::Bfd, &frame);
        }
    }

    fn received(&self, _: PortId) -> u64 {
        0
    }

    fn news(&self) {}

    fn flush(&self, _: BridgeId, _: Flush) {}

    fn balance(&self, _: BridgeId, _: u32, _: &[Option<OfPort>]) {}

    fn balanced(&self, _: u32) -> Vec<u64> {
        Vec::new()
    }

    fn announce(&self, _: BridgeId, _: &str, _: &pipeline::Bond) {}

    fn changed(&self) {
        *self.changes.lock().unwrap() += 1;
        self.changed.notify_all();
    }
}

impl Wire {
    fn joining(monitor: &Arc<Monitor>) -> Arc<Wire> {
        let wire = Arc::new(Wire::default());
        wire.monitor.set(Arc::downgrade(monitor)).unwrap();
        wire
    }

    /// Waits until both ports are up, or both are down.
    fn wait(&self, ports: &[Arc<Watched>; 2], is_up: bool) {
        let limit = Instant::now() + Duration::from_secs(60);
        let mut changes = self.changes.lock().unwrap();
        while ports.iter().any(|port| port.is_up() != is_up) {
            let left = limit.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the ports are not {is_up}");
            changes = self.changed.wait_timeout(changes, left).unwrap().0;
        }
    }
}

fn quick(name: &str) -> Watch {
    let bfd = bfd::Settings { min_tx: 50, min_rx: 50, ..bfd::Settings::default() };
    Watch { name: name.to_owned(), mac: MacAddr::ZERO, bfd: Some(bfd), cfm: None, lldp: None }
}

fn watch(monitor: &Monitor, port: PortId, asked: Watch) -> Option<Arc<Watched>> {
    monitor.watch(port, asked);
    monitor.watched(port)
}

fn watch_both(monitor: &Monitor) -> [Arc<Watched>; 2] {
    [(P1, "p1"), (P2, "p2")].map(|(port, name)| watch(monitor, port, quick(name)).unwrap())
}

#[test]
fn the_thread_brings_sessions_up_and_notices_a_cut() {
    let monitor = Monitor::new(Clock::new());
    let wire = Wire::joining(&monitor);
    monitor.start(Arc::clone(&wire) as Arc<dyn Link>).unwrap();
    let ports = watch_both(&monitor);
    wire.wait(&ports, true);
    wire.is_cut.store(true, Ordering::Relaxed);
    wire.wait(&ports, false);
    assert!(monitor.take_news());
    monitor.end();
}

#[test]
fn a_clock_that_is_warped_is_followed_by_whoever_warps_it() {
    let clock = Clock::new();
    clock.stop();
    let monitor = Monitor::new(clock.clone());
    let wire = Wire::joining(&monitor);
    *lock(&monitor.link) = Some(Arc::clone(&wire) as Arc<dyn Link>);
    let ports = watch_both(&monitor);
    for _ in 0..30 {
        clock.warp(Duration::from_millis(100));
        monitor.run();
    }
    assert!(ports.iter().all(|port| port.is_up()));
    let sent = wire.sent.load(Ordering::Relaxed);
    monitor.run();
    assert_eq!(wire.sent.load(Ordering::Relaxed), sent, "time stands still");
}

#[test]
fn a_port_that_is_watched_no_more_has_no_session() {
    let monitor = Monitor::new(Clock::new());
    assert!(watch(&monitor, P1, quick("p1")).is_some());
    assert!(monitor.show_bfd(Some("p1")).is_some());
    assert!(watch(&monitor, P1, Watch { bfd: None, ..quick("p1") }).is_none());
    assert_eq!(monitor.show_bfd(Some("p1")), None);
    assert_eq!((monitor.show_bfd(None).unwrap(), monitor.bfd_status(P1)), (String::new(), Vec::new()));
    assert_eq!(lock(&monitor.ports).wakes_at(), None);
}

#[test]
fn what_is_said_again_changes_nothing_for_translation() {
    let monitor = Monitor::new(Clock::new());
    let first = watch(&monitor, P1, quick("p1")).unwrap();
    let again = watch(&monitor, P1, quick("p1")).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    let mac = Some(MacAddr([2, 0, 0, 0, 0, 1]));
    let other = bfd::Settings { remote_destination_mac: mac, ..bfd::Settings::default() };
    let other = watch(&monitor, P1, Watch { bfd: Some(other), ..quick("p1") }).unwrap();
    assert_eq!(other.own.bfd.as_ref().unwrap().destination_mac, mac);
}

#[test]
fn frames_beyond_what_may_wait_are_dropped() {
    let monitor = Monitor::new(Clock::new());
    let before = OVERFLOW.total();
    (0..WAITING + 2).for_each(|_| monitor.take(P1, Protocol::Bfd, &[]));
    assert_eq!((lock(&monitor.inbox).frames.len(), OVERFLOW.total() - before), (WAITING, 2));
}

#[test]
fn an_operator_forces_one_session_or_all() {
    let monitor = Monitor::new(Clock::new());
    let wire = Wire::joining(&monitor);
    *lock(&monitor.link) = Some(Arc::clone(&wire) as Arc<dyn Link>);
    let ports = watch_both(&monitor);
    let up = || [ports[0].is_up(), ports[1].is_up()];
    assert!(monitor.force_bfd(Some("p2"), Some(true)));
    assert_eq!((up(), *wire.changes.lock().unwrap()), ([false, true], 1));
    assert!(monitor.force_bfd(None, Some(true)));
    assert_eq!(up(), [true; 2]);
    assert!(!monitor.force_bfd(Some("p3"), None));
}

fn joined(mode: pipeline::BondMode) -> Joined {
    let member = |name: &str| JoinedMember {
        interface: bond::MemberSettings { name: name.to_owned(), mac: MacAddr::ZERO, has_link: true },
        lacp: lacp::MemberSettings { name: name.to_owned(), port_id: 1, port_priority: 1, key: 0 },
    };
    Joined {
        name: "bond".to_owned(),
        lacp: None,
        bond: Some(bond::Settings {
            mode,
            up_delay: 0,
            down_delay: 0,
            rebalance_interval: 10_000,
            basis: 0,
            primary: None,
            all_members_active: false,
            falls_back: false,
            is_balanced_below: false,
            last_active: MacAddr::ZERO,
        }),
        members: [(P1.port, member("p1")), (P2.port, member("p2"))].into(),
    }
}

#[test]
fn a_member_whose_neighbour_is_silent_leaves_its_bond() {
    let clock = Clock::new();
    clock.stop();
    let monitor = Monitor::new(clock.clone());
    let wire = Wire::joining(&monitor);
    *lock(&monitor.link) = Some(Arc::clone(&wire) as Arc<dyn Link>);
    let bond = monitor.join(BridgeId(1), joined(pipeline::BondMode::ActiveBackup)).unwrap();
    assert_eq!(bond.state().active, Some(P1.port));
    // The first member speaks to nobody, the second is not watched.
    wire.is_cut.store(true, Ordering::Relaxed);
    monitor.watch(P1, quick("p1"));
    monitor.run();
    assert_eq!(bond.state().active, Some(P2.port));
    monitor.force_bfd(Some("p1"), Some(true));
    monitor.run();
    assert_eq!(bond.state().enabled, [P1.port, P2.port]);
    monitor.part(BridgeId(1), "bond");
    assert_eq!(monitor.show_bond(Some("bond")), None);
}

#[test]
fn links_are_followed_and_bonds_are_shown() {
    let monitor = Monitor::new(Clock::new());
    let wire = Wire::joining(&monitor);
    *lock(&monitor.link) = Some(Arc::clone(&wire) as Arc<dyn Link>);
    let bond = monitor.join(BridgeId(1), joined(pipeline::BondMode::BalanceSlb)).unwrap();
    let again = monitor.join(BridgeId(1), joined(pipeline::BondMode::BalanceSlb)).unwrap();
    assert!(Arc::ptr_eq(&bond, &again));
    monitor.set_link(P1, false);
    monitor.run();
    assert_eq!(bond.state().enabled, [P2.port]);
    assert!(*wire.changes.lock().unwrap() > 0);
    assert_eq!(monitor.list_bonds(), "bond\tbalance-slb\t0\tp1, p2\n");
    assert_eq!(monitor.active_mac(BridgeId(1), "bond"), Some(Some(MacAddr::ZERO)));
    assert_eq!(monitor.active_mac(BridgeId(1), "other"), None);
    assert_eq!(monitor.with_bond("other", |_| Ok(String::new())), Err("no such bond".to_owned()));
    monitor.leave(BridgeId(1));
    assert_eq!(monitor.list_bonds(), "");
}
