//! Quality of service of one device: what was asked for, and what is in force.
//!
//! What the kernel does ([`shaping`]) is set up by netlink, and applies to frames that take the kernel's queueing layer. What
//! the switch does itself ([`crate::policer`]) is done to each batch, by whoever receives it or is about to send it; a device
//! without policers costs that one load each.

mod shaping;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::Timestamp;
use dp::{Packet, Policing, Qos, QosKind, QosState, QueueStats};
use netlink::{Class, Link};

use crate::policer::{Egress, Ingress};
use shaping::{ALL_QUEUES, LinkFacts, Shape, class_of, queue_of, shape};

/// The quality of service of one device.
#[derive(Debug, Default)]
pub(crate) struct PortQos {
    shaping: Mutex<Shaping>,
    egress: Gate<Egress>,
    ingress: Gate<Ingress>,
    limits: Mutex<Policing>,
}

/// What the kernel says of links for which it queues nothing.
const NO_DISCIPLINE: &str = "noqueue";

/// Frames of this queue go to its class of the device, if it has one: the priority (`SO_PRIORITY`) that says so.
pub(crate) fn priority_of(queue: u32) -> u32 {
    match class_of(queue) {
        Some(class) if queue != 0 => 1 << 16 | u32::from(class),
        _ => 0,
    }
}

/// A policer that is there or not, which is seen without a lock.
#[derive(Debug)]
struct Gate<P> {
    is_there: AtomicBool,
    policer: Mutex<Option<P>>,
}

impl<P> Default for Gate<P> {
    fn default() -> Gate<P> {
        Gate { is_there: AtomicBool::new(false), policer: Mutex::new(None) }
    }
}

impl<P> Gate<P> {
    fn get(&self) -> MutexGuard<'_, Option<P>> {
        self.policer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, policer: Option<P>) {
        let mut place = self.get();
        self.is_there.store(policer.is_some(), Ordering::Relaxed);
        *place = policer;
    }

    /// Moves the packets that are too many to `out`.
    fn filter(
        &self,
        packets: &mut Vec<Packet>,
        out: &mut Vec<Packet>,
        mut admits: impl FnMut(&mut P, &Packet) -> bool,
    ) {
        if !self.is_there.load(Ordering::Relaxed) {
            return;
        }
        if let Some(policer) = self.get().as_mut() {
            out.extend(packets.extract_if(.., |packet| !admits(policer, packet)));
        }
    }
}

/// What the device was asked for, and what came of it.
#[derive(Debug, Default)]
struct Shaping {
    /// The last request, `None` before the first one.
    asked: Option<Option<Qos>>,
    /// Not all of it could be done.
    has_failed: bool,
    /// What was known of the link then.
    facts: Option<LinkFacts>,
    /// What the kernel has of it.
    in_force: Option<Shape>,
    /// Since when there are the queues that the kernel has.
    created: BTreeMap<u32, Timestamp>,
}

impl PortQos {
    fn shaping(&self) -> MutexGuard<'_, Shaping> {
        self.shaping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a link that has been opened: one that the kernel queues nothing for is as it is by itself.
    pub(crate) fn begin(&self, link: &Link) {
        if link.discipline == NO_DISCIPLINE {
            self.shaping().asked = Some(None);
        }
    }

    /// Whether this was asked for last and is in force, so that nothing is to be done unless the link has changed.
    pub(crate) fn has(&self, wanted: Option<&Qos>) -> bool {
        let shaping = self.shaping();
        !shaping.has_failed && shaping.asked.as_ref().is_some_and(|asked| asked.as_ref() == wanted)
    }

    /// Sets the device up. Errors are for the log.
    pub(crate) fn set(
        &self,
        link: &Link,
        speed_mbps: Option<u32>,
        wanted: Option<&Qos>,
        now: Timestamp,
    ) -> Result<(), Vec<String>> {
        let facts = LinkFacts { mtu: link.mtu, speed_mbps };
        let has = self.has(wanted);
        let mut shaping = self.shaping();
        if shaping.facts.replace(facts) == Some(facts) && has {
            return Ok(());
        }
        let mut troubles = Vec::new();
        let policer = match wanted.filter(|wanted| is_policer(wanted.kind)) {
            None => None,
            Some(wanted) => Egress::new(wanted, now).map_err(|why| troubles.push(why)).ok(),
        };
        let policer = policer.map(|mut policer| {
            self.egress.get().iter().for_each(|before| policer.keep_counts(before));
            policer
        });
        self.egress.set(policer);
        match wanted {
            Some(wanted) if wanted.kind == QosKind::Noop => shaping.in_force = None,
            wanted => match wanted.map_or(Ok(None), |wanted| shape(wanted, facts)) {
                Ok(Some(shape)) => shaping.bring(link, shape, now, &mut troubles),
                Ok(None) => shaping.remove(link, &mut troubles),
                Err(why) => troubles.push(why),
            },
        }
        shaping.asked = Some(wanted.cloned());
        shaping.has_failed = !troubles.is_empty();
        if troubles.is_empty() { Ok(()) } else { Err(troubles) }
    }

    /// What is in force.
    pub(crate) fn state(&self) -> Option<QosState> {
        let shaping = self.shaping();
        if let Some(shape) = &shaping.in_force {
            return Some(shape.state());
        }
        let kind = shaping.asked.as_ref()?.as_ref()?.kind;
        let policer = self.egress.get();
        let policer = policer.as_ref()?;
        Some(QosState { kind, details: policer.details(), queues: policer.queues() })
    }

    /// What the queues have counted.
    pub(crate) fn queue_stats(&self, ifindex: u32) -> io::Result<BTreeMap<u32, QueueStats>> {
        let shaping = self.shaping();
        if shaping.in_force.as_ref().is_none_or(|shape| shape.all.is_none()) {
            return Ok(self.egress.get().as_ref().map(Egress::stats).unwrap_or_default());
        }
        let found = netlink::classes(ifindex)?.into_iter().filter_map(|(class, counters)| {
            let queue = queue_of(class)?;
            let stats = QueueStats {
                bytes: Some(counters.bytes),
                packets: Some(counters.packets),
                errors: Some(counters.drops),
                created: shaping.created.get(&queue).copied(),
            };
            Some((queue, stats))
        });
        Ok(found.collect())
    }

    /// Limits what comes in.
    pub(crate) fn set_policing(&self, limits: Policing, now: Timestamp) {
        let mut known = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        // A bucket that stays is not filled anew.
        if std::mem::replace(&mut *known, limits) != limits {
            self.ingress.set(Ingress::new(limits, now));
        }
    }

    /// Whether it may drop what has come in.
    pub(crate) fn polices_received(&self) -> bool {
        self.ingress.is_there.load(Ordering::Relaxed)
    }

    /// Whether it may drop what is about to be sent.
    pub(crate) fn polices_sent(&self) -> bool {
        self.egress.is_there.load(Ordering::Relaxed)
    }

    /// Moves what may not come in to `out`.
    #[inline]
    pub(crate) fn police_received(&self, packets: &mut Vec<Packet>, out: &mut Vec<Packet>, now: Timestamp) {
        self.ingress.filter(packets, out, |policer, packet| policer.admits(packet, now));
    }

    /// Moves what may not leave to `out`.
    #[inline]
    pub(crate) fn police_sent(&self, packets: &mut Vec<Packet>, out: &mut Vec<Packet>, now: Timestamp) {
        self.egress.filter(packets, out, |policer, packet| policer.admits(packet, now));
    }
}

/// Whether the switch itself drops what is too much, and the kernel queues nothing.
pub(crate) fn is_policer(kind: QosKind) -> bool {
    matches!(kind, QosKind::EgressPolicer | QosKind::TrtcmPolicer)
}

impl Shaping {
    /// Takes away whatever shapes what the link sends, also what another program has set up.
    fn remove(&mut self, link: &Link, troubles: &mut Vec<String>) {
        let is_first = self.asked.is_none();
        let foreign = if is_first { netlink::discipline(link.index).ok() } else { None };
        if let Some(Some(found)) = &foreign {
            log::info!(
                target: "netdev_linux",
                "{}: the queueing discipline {} is removed, as the port is asked for none",
                link.name,
                found.kind
            );
        }
        let has_none = foreign == Some(None);
        if !has_none && let Err(error) = netlink::remove_discipline(link.index) {
            troubles.push(format!(
                "{}: Failed to delete existing qdisc: {}",
                link.name,
                base::error_text(&error)
            ));
            return;
        }
        self.in_force = None;
        self.created.clear();
    }

    /// Makes the link have `shape`. What it has of that stays: frames that are queued, and counters.
    fn bring(&mut self, link: &Link, shape: Shape, now: Timestamp, troubles: &mut Vec<String>) {
        let before = self.in_force.take();
        let adopted = before.as_ref().map(|before| before.kind) == Some(shape.kind)
            || before.is_none() && has_kind(link, &shape);
        let before = before.filter(|_| adopted);
        if !self.bring_discipline(link, &shape, before.as_ref(), adopted, troubles) {
            return;
        }
        if !adopted {
            self.created.clear();
        }
        let mut done = Shape { queues: BTreeMap::new(), ..shape.clone() };
        if let Some(all) = &shape.all
            && !(before.as_ref().is_some_and(|before| before.all.as_ref() == Some(all))
                || set_class(link, ALL_QUEUES, 0, all, troubles))
        {
            self.in_force = Some(done);
            return;
        }
        let old = match &before {
            Some(before) => before.queues.keys().copied().collect(),
            None if adopted && shape.all.is_some() => queues_in_kernel(link),
            None => Vec::new(),
        };
        for queue in old.into_iter().filter(|queue| !shape.queues.contains_key(queue)) {
            if delete_class(link, queue, troubles) {
                self.created.remove(&queue);
            } else if let Some(class) = before.as_ref().and_then(|before| before.queues.get(&queue)) {
                done.queues.insert(queue, *class);
            }
        }
        for (&queue, class) in &shape.queues {
            let is_known = before.as_ref().is_some_and(|before| before.queues.get(&queue) == Some(class));
            let Some(minor) = class_of(queue) else {
                troubles.push(format!(
                    "{}: queue {queue} is beyond what {} has",
                    link.name,
                    shape.kind.name()
                ));
                continue;
            };
            if is_known || set_class(link, minor, ALL_QUEUES, class, troubles) {
                done.queues.insert(queue, *class);
                self.created.entry(queue).or_insert(now);
            }
        }
        self.in_force = Some(done);
    }

    /// The discipline alone; whether the link has it now.
    fn bring_discipline(
        &self,
        link: &Link,
        shape: &Shape,
        before: Option<&Shape>,
        adopted: bool,
        troubles: &mut Vec<String>,
    ) -> bool {
        let is_same = before.is_some_and(|before| before.discipline == shape.discipline);
        // Those with classes have no settings of their own.
        if is_same || adopted && shape.all.is_some() {
            return true;
        }
        // Some settings can only be chosen at the beginning.
        let is_changed = adopted && netlink::change_discipline(link.index, &shape.discipline).is_ok();
        if is_changed {
            return true;
        }
        let installed = netlink::install_discipline(link.index, &shape.discipline);
        if let Err(error) = &installed {
            let text = base::error_text(error);
            troubles.push(format!("{}: Failed to install new qdisc: {text}", link.name));
        }
        installed.is_ok()
    }
}

/// Whether the link has the discipline from an earlier process.
fn has_kind(link: &Link, shape: &Shape) -> bool {
    link.discipline == shape.discipline.kind()
        && matches!(netlink::discipline(link.index), Ok(Some(found)) if found.is_ours && found.kind == shape.discipline.kind())
}

fn queues_in_kernel(link: &Link) -> Vec<u32> {
    let classes = netlink::classes(link.index).unwrap_or_default();
    classes.into_iter().filter_map(|(class, _)| queue_of(class)).collect()
}

fn set_class(link: &Link, minor: u16, parent: u16, class: &Class, troubles: &mut Vec<String>) -> bool {
    let Err(error) = netlink::set_class(link.index, minor, parent, class, link.mtu) else { return true };
    let rates = match class {
        Class::Htb(class) => format!(
            "min_rate={} max_rate={} burst={} prio={}",
            class.min_rate, class.max_rate, class.burst, class.priority
        ),
        Class::Hfsc(class) => format!("min-rate {}bps, max-rate {}bps", class.min_rate, class.max_rate),
    };
    let text = base::error_text(&error);
    troubles.push(format!(
        "failed to replace {} class 1:{minor}, parent 1:{parent}, {rates} ({text})",
        link.name
    ));
    false
}

/// Whether the queue has no class now.
fn delete_class(link: &Link, queue: u32, troubles: &mut Vec<String>) -> bool {
    let Some(minor) = class_of(queue) else { return true };
    match netlink::delete_class(link.index, minor) {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => {
            let text = base::error_text(&error);
            troubles.push(format!("delete {} class 1:{minor} failed ({text})", link.name));
            false
        }
        Err(_) | Ok(()) => true,
    }
}

#[cfg(test)]
mod tests;
