//! The thread that helps devices that have much to do.
//!
//! A device that sends much may send past the kernel's queueing layer
//! ([`netdev::Lease`]) while that layer has nothing to do for it: no queueing
//! discipline, no filter, and nobody who captures. Of most changes the kernel
//! tells: disciplines, filters, links, and captures that make a link
//! promiscuous, as tcpdump does. For the others, such as a capture on all
//! links, it is asked every [`INTERVAL`]. So what such a capture misses is what
//! was sent in the first tenth of a second.
//!
//! Devices of the type `afxdp` get their sockets here, where they could not have them at once, or lost them.
//!
//! A device that receives much gets a ring ([`PacketDevice::review_ring`]), and one that receives many TCP segments is made
//! to merge them ([`netdev::Merging`]), while they come.
//!
//! Flows that the kernel forwards itself ([`netdev::Shortcuts`]) are reviewed here while there are some.
//!
//! It also listens for changes of links, tells workers that wait for a processor where another one idles, and whether there
//! is none ([`crate::wandering`]).
//!
//! While no device has much to do, the thread sleeps.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use netdev::shortcut::Segments;
use netdev::{LeaseState, Listeners, packet::PacketDevice};
use netlink::{EgressMonitor, LinkChange, Monitor};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::ports::Ports;
use crate::shared::Shared;
use crate::wandering::Wandering;

/// How often busy devices are reviewed, where that takes no more than a thousandth of a processor.
const INTERVAL: Duration = Duration::from_millis(100);
const COST_FACTOR: u32 = 1000;

/// What this thread has used of a processor.
fn time_used() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// The thread's whole life.
pub(crate) fn run(shared: &Shared) {
    let links = Monitor::open().inspect_err(|error| {
        log::error!(target: "dpif_netdev", "changes of links will not be noticed: {}", base::error_text(error));
    });
    let egress = EgressMonitor::open().inspect_err(|error| {
        log::warn!(
            target: "dpif_netdev",
            "all frames are queued: changes of traffic control would not be noticed ({})",
            base::error_text(error)
        );
    });
    // Ports may have changed before it was listened.
    shared.links_changed(&[LinkChange::Lost]);
    let due = Some(Instant::now());
    if egress.is_err() {
        shared.shortcuts.close();
    }
    let mut office =
        Office { shared, egress: egress.ok(), links: links.ok(), due, wandering: Wandering::default() };
    while !shared.is_stopping.load(Ordering::Acquire) {
        office.wait();
        office.turn();
    }
}

struct Office<'a> {
    shared: &'a Shared,
    /// Without it, no frame is sent directly.
    egress: Option<EgressMonitor>,
    links: Option<Monitor>,
    /// When devices are reviewed next; never while none is helped.
    due: Option<Instant>,
    wandering: Wandering,
}

impl Office<'_> {
    fn wait(&mut self) {
        let limit =
            self.due.and_then(|due| Timespec::try_from(due.saturating_duration_since(Instant::now())).ok());
        let mut fds = vec![PollFd::new(&self.shared.tuning.0, PollFlags::IN)];
        fds.extend(self.egress.iter().map(|egress| PollFd::from_borrowed_fd(egress.as_fd(), PollFlags::IN)));
        fds.extend(self.links.iter().map(|links| PollFd::from_borrowed_fd(links.as_fd(), PollFlags::IN)));
        // An interruption is one more turn.
        let _ = poll(&mut fds, limit.as_ref());
        self.shared.tuning.clear();
        if let Some(links) = &mut self.links {
            self.shared.links_changed(&links.changes());
        }
    }

    fn turn(&mut self) {
        let ports = self.shared.ports.load_full();
        self.end_changed(&ports);
        let now = Instant::now();
        let is_due = self.due.is_some_and(|due| due <= now);
        let segments = if is_due { self.review_shortcuts(&ports, now) } else { Segments::default() };
        for device in devices(&ports) {
            merge(device, is_due, &segments);
        }
        self.review_sockets(&ports, now, is_due);
        if is_due {
            for device in devices(&ports) {
                match device.lease.state() {
                    LeaseState::Refused => device.lease.end(),
                    LeaseState::Granted if device.lease.is_idle() => end(device, "it sends little"),
                    LeaseState::Granted | LeaseState::Quiet | LeaseState::Asking | LeaseState::Barred => {}
                }
            }
        }
        if is_due {
            let lost = devices(&ports).map(PacketDevice::overflowed).sum();
            self.wandering.look(&self.shared.workers.load(), lost, now);
        }
        let can_lend = self.egress.is_some();
        let concerned = |device: &&PacketDevice| match device.lease.state() {
            LeaseState::Asking => can_lend,
            LeaseState::Granted => is_due,
            LeaseState::Quiet | LeaseState::Refused | LeaseState::Barred => false,
        };
        let concerned: Vec<&PacketDevice> = devices(&ports).filter(concerned).collect();
        let used = time_used();
        if !concerned.is_empty() {
            review(&ports, &concerned);
        }
        let cost = time_used().saturating_sub(used);
        let is_watching = |device: &PacketDevice| {
            matches!(device.lease.state(), LeaseState::Granted | LeaseState::Refused)
                || device.merging.is_on()
                || device.has_ring()
                || device.waits_for_sockets()
                || device.is_filtered()
        };
        if !devices(&ports).any(is_watching) && self.shared.shortcuts.is_empty() {
            self.due = None;
            self.wandering.rest();
        } else if is_due || self.due.is_none() {
            self.due = Some(Instant::now() + INTERVAL.max(cost * COST_FACTOR));
        }
        self.shared.are_crowded.store(self.wandering.are_crowded(), Ordering::Relaxed);
    }

    /// Ends flows that workers have to serve, or serve better, and the look for those of devices that have none.
    fn review_shortcuts(&self, ports: &Ports, now: Instant) -> Segments {
        let shortcuts = &self.shared.shortcuts;
        if !shortcuts.is_empty() && !matches!(netlink::has_egress_chains(), Ok(false)) {
            shortcuts.end_all();
        }
        let segments = shortcuts.review(now, self.wandering.are_crowded());
        let sources = shortcuts.sources();
        devices(ports)
            .filter(|device| !sources.contains(&device.ifindex()))
            .for_each(PacketDevice::end_lookups);
        segments
    }

    /// Gives rings to devices that receive much, and takes them from those that do not; opens sockets that are missing.
    fn review_sockets(&self, ports: &Ports, now: Instant, is_due: bool) {
        for port in ports.iter() {
            let Some(device) = port.device.as_packet() else { continue };
            let has_ring = device.review_ring(now, is_due);
            let has_sockets = device.review_sockets();
            if has_sockets {
                port.changed();
                self.shared.changes.note();
            }
            // At once: other ports may have to wait for the kernel, and frames come by what nobody waits for yet.
            if has_ring || has_sockets {
                self.shared.call_workers();
            }
        }
    }

    /// Ends the leases of devices of which the kernel has told something.
    fn end_changed(&mut self, ports: &Arc<Ports>) {
        let mut changed = HashSet::new();
        let mut all = false;
        let Some(egress) = &mut self.egress else { return };
        egress.changes(|link| match link {
            Some(link) => _ = changed.insert(link),
            None => all = true,
        });
        if !all && changed.is_empty() {
            return;
        }
        for device in devices(ports).filter(|device| all || changed.contains(&device.ifindex())) {
            match device.lease.state() {
                LeaseState::Refused => device.lease.end(),
                LeaseState::Granted => end(device, "the link or its traffic control changed"),
                LeaseState::Quiet | LeaseState::Asking | LeaseState::Barred => {}
            }
            // Filters of others may decide about what it receives.
            device.end_lookups();
            self.shared.shortcuts.end_device(device.ifindex());
        }
    }
}

/// Lets the device merge what it receives, or ends that. `segments` are those that do not come this way.
fn merge(device: &PacketDevice, is_due: bool, segments: &Segments) {
    let is_single = segments.single.contains(&device.ifindex());
    if is_single {
        device.merging.ask();
    }
    let has_segments = is_single || segments.merged.contains(&device.ifindex());
    if device.merging.is_asking() && device.begin_merging() {
        log::debug!(target: "dpif_netdev", "{}: received segments are merged", device.name());
    } else if is_due && device.merging.is_on() && !has_segments && device.merging.is_idle() {
        device.end_merging();
        log::debug!(target: "dpif_netdev", "{}: received segments are no longer merged", device.name());
    }
}

fn end(device: &PacketDevice, why: &str) {
    device.lease.end();
    log::debug!(target: "dpif_netdev", "{}: frames are queued ({why})", device.name());
}

fn devices(ports: &Ports) -> impl Iterator<Item = &PacketDevice> {
    ports.iter().filter_map(|port| port.device.as_packet())
}

/// Grants, keeps or ends the leases of these devices.
fn review(ports: &Ports, concerned: &[&PacketDevice]) {
    let listeners = listeners(ports);
    for device in concerned {
        let obstacle = match &listeners {
            Ok(listeners) => obstacle(device, listeners),
            Err(error) => Some(base::error_text(error)),
        };
        let is_asking = device.lease.state() == LeaseState::Asking;
        match obstacle {
            None if is_asking => match device.lease.grant() {
                Ok(()) => log::debug!(target: "dpif_netdev", "{}: frames are sent directly", device.name()),
                Err(error) => log::debug!(
                    target: "dpif_netdev",
                    "{}: frames cannot be sent directly ({})",
                    device.name(),
                    base::error_text(&error)
                ),
            },
            None => {}
            Some(why) if is_asking => {
                log::debug!(target: "dpif_netdev", "{}: frames are queued ({why})", device.name());
                device.lease.refuse();
            }
            Some(why) => end(device, &why),
        }
    }
}

/// Who listens; an error also where nftables sees what is sent, by whichever link.
fn listeners(ports: &Ports) -> io::Result<Listeners> {
    if netlink::has_egress_chains()? {
        return Err(io::Error::other("a chain of nftables has the hook egress"));
    }
    let own: io::Result<Vec<Vec<u64>>> = devices(ports).map(PacketDevice::own_sockets).collect();
    Listeners::read(&own?.into_iter().flatten().collect())
}

/// Why the device's frames must be queued.
fn obstacle(device: &PacketDevice, listeners: &Listeners) -> Option<String> {
    if listeners.hear(device.ifindex()) {
        return Some("somebody captures them".into());
    }
    // Of changes of these the kernel tells, and they end the lease.
    if device.lease.state() == LeaseState::Asking {
        match netlink::is_queued_or_filtered(device.ifindex()) {
            Ok(true) => return Some("it has a queueing discipline or a filter".into()),
            Ok(false) => {}
            Err(error) => return Some(base::error_text(&error)),
        }
    }
    match netlink::has_egress_programs(device.ifindex()) {
        Ok(true) => Some("a BPF program is attached".into()),
        Ok(false) => None,
        Err(error) => Some(base::error_text(&error)),
    }
}
