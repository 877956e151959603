//! What the kernel is to do with the frames of a link, for each kind of QoS that it does. Pure: settings of the database and
//! facts of the link in, a [`Shape`] out.
//!
//! Rates are bits per second in the database, and bytes per second in the kernel. Queue N is the class `1:(N+1)`, all queues
//! are below `1:fffe`.

use std::collections::BTreeMap;

use dp::{Detail, Qos, QosKind, QosState, Settings};
use netlink::{Class, Discipline, HfscClass, HtbClass};

use crate::policer::number;

/// The class that all queues share.
pub(crate) const ALL_QUEUES: u16 = 0xfffe;
/// Where neither settings nor the link say it: 10 Gbit/s.
const DEFAULT_RATE: u64 = 10_000_000_000 / 8;
/// More than any header that is put before a packet.
const HEADERS: u64 = 64;

/// The class of a queue.
pub(crate) fn class_of(queue: u32) -> Option<u16> {
    if queue < QosKind::Htb.queue_limit() { u16::try_from(queue + 1).ok() } else { None }
}

/// The queue of a class.
pub(crate) fn queue_of(class: u16) -> Option<u32> {
    let queue = u32::from(class).checked_sub(1)?;
    (queue < QosKind::Htb.queue_limit()).then_some(queue)
}

/// What is known of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LinkFacts {
    pub(crate) mtu: u32,
    pub(crate) speed_mbps: Option<u32>,
}

/// A discipline with its classes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub(crate) kind: QosKind,
    pub(crate) discipline: Discipline,
    /// That of [`ALL_QUEUES`].
    pub(crate) all: Option<Class>,
    /// By the numbers of queues, with 0 in any case; none where `all` is none.
    pub(crate) queues: BTreeMap<u32, Class>,
}

/// What is asked for as the kernel has it. `None` for kinds that the kernel has nothing to do with. An error is about a value
/// that cannot be.
pub(crate) fn shape(wanted: &Qos, link: LinkFacts) -> Result<Option<Shape>, String> {
    let settings = &wanted.settings;
    let or = |key: &str, default: u32| match clamp(number(settings, key)) {
        0 => default,
        value => value,
    };
    let plain = |discipline| Shape { kind: wanted.kind, discipline, all: None, queues: BTreeMap::new() };
    Ok(Some(match wanted.kind {
        QosKind::Codel => plain(Discipline::Codel {
            target: or("target", 5000),
            limit: or("limit", 10240),
            interval: or("interval", 100_000),
        }),
        QosKind::FqCodel => plain(Discipline::FqCodel {
            target: or("target", 5000),
            limit: or("limit", 10240),
            // Ten times that of CoDel, as in the reference.
            interval: or("interval", 1_000_000),
            flows: or("flows", 1024),
            quantum: or("quantum", 1514),
        }),
        QosKind::Sfq => {
            plain(Discipline::Sfq { quantum: or("quantum", link.mtu), perturb: or("perturb", 10) })
        }
        QosKind::Netem => {
            let loss = clamp(number(settings, "loss"));
            if loss > 100 {
                return Err(format!("loss should be a percentage value between 0 to 100, loss was {loss}"));
            }
            plain(Discipline::Netem {
                latency: or("latency", 0),
                limit: or("limit", 1000),
                loss,
                jitter: or("jitter", 0),
            })
        }
        QosKind::Htb => with_classes(wanted, Discipline::Htb, link, htb_all, htb_queue),
        QosKind::Hfsc => with_classes(wanted, Discipline::Hfsc, link, hfsc_all, hfsc_queue),
        QosKind::Noop | QosKind::EgressPolicer | QosKind::TrtcmPolicer => return Ok(None),
    }))
}

fn with_classes(
    wanted: &Qos,
    discipline: Discipline,
    link: LinkFacts,
    all: fn(u64) -> Class,
    queue: fn(&Settings, u64, LinkFacts) -> Class,
) -> Shape {
    let rate = match number(&wanted.settings, "max-rate") / 8 {
        0 => link_rate(link),
        rate => rate,
    };
    let class = |settings: &Settings| queue(settings, rate, link);
    let mut queues: BTreeMap<u32, Class> =
        wanted.queues.iter().map(|(number, settings)| (*number, class(settings))).collect();
    queues.entry(0).or_insert_with(|| class(&Settings::new()));
    Shape { kind: wanted.kind, discipline, all: Some(all(rate)), queues }
}

/// What the link can do. A speed is rounded down to a multiple of 8 Mbit/s, as in the reference.
fn link_rate(link: LinkFacts) -> u64 {
    match link.speed_mbps.filter(|&speed| speed != 0) {
        Some(speed) => u64::from(speed / 8) * 1_000_000,
        None => DEFAULT_RATE,
    }
}

fn htb_all(rate: u64) -> Class {
    Class::Htb(HtbClass { min_rate: rate, max_rate: rate, burst: 0, priority: 0 })
}

fn htb_queue(settings: &Settings, all: u64, link: LinkFacts) -> Class {
    let mtu = u64::from(link.mtu);
    // A class that may send less than a packet per second would never send one.
    let min_rate = (number(settings, "min-rate") / 8).max(mtu).min(all);
    let max_rate = match number(settings, "max-rate") {
        0 => all,
        rate => (rate / 8).max(min_rate).min(all),
    };
    Class::Htb(HtbClass {
        min_rate,
        max_rate,
        burst: clamp((number(settings, "burst") / 8).max(mtu + HEADERS)),
        priority: clamp(number(settings, "priority")),
    })
}

fn hfsc_all(rate: u64) -> Class {
    Class::Hfsc(HfscClass { min_rate: clamp(rate), max_rate: clamp(rate) })
}

fn hfsc_queue(settings: &Settings, all: u64, _link: LinkFacts) -> Class {
    let all = clamp(all);
    let min_rate = clamp(number(settings, "min-rate") / 8).max(1).min(all);
    let max_rate = match settings.get("max-rate") {
        None => all,
        Some(_) => clamp(number(settings, "max-rate") / 8).max(min_rate).min(all),
    };
    Class::Hfsc(HfscClass { min_rate, max_rate })
}

fn clamp(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Shape {
    /// What operators see of it, in the reference's order.
    pub(crate) fn state(&self) -> QosState {
        QosState {
            kind: self.kind,
            details: match self.discipline {
                Discipline::Htb | Discipline::Hfsc => {
                    vec![("max-rate", bits(self.all.as_ref().map_or(0, max_rate)))]
                }
                Discipline::Codel { target, limit, interval } => {
                    texts(&[("limit", limit), ("interval", interval), ("target", target)])
                }
                Discipline::FqCodel { target, limit, interval, flows, quantum } => texts(&[
                    ("limit", limit),
                    ("quantum", quantum),
                    ("flows", flows),
                    ("interval", interval),
                    ("target", target),
                ]),
                Discipline::Sfq { quantum, perturb } => texts(&[("quantum", quantum), ("perturb", perturb)]),
                Discipline::Netem { latency, limit, loss, jitter } => {
                    texts(&[("limit", limit), ("loss", loss), ("latency", latency), ("jitter", jitter)])
                }
            },
            queues: self.queues.iter().map(|(number, class)| (*number, class_details(class))).collect(),
        }
    }
}

fn texts(numbers: &[(&'static str, u32)]) -> Vec<Detail> {
    numbers.iter().map(|(key, number)| (*key, number.to_string())).collect()
}

fn bits(bytes: u64) -> String {
    (u128::from(bytes) * 8).to_string()
}

fn max_rate(class: &Class) -> u64 {
    match class {
        Class::Htb(class) => class.max_rate,
        Class::Hfsc(class) => class.max_rate.into(),
    }
}

/// A rate that is the least one too is not told twice, nor a priority that is the usual one.
fn class_details(class: &Class) -> Vec<Detail> {
    let mut details = Vec::new();
    let (min_rate, max_rate) = match class {
        Class::Htb(class) => {
            details.push(("burst", bits(class.burst.into())));
            if class.priority != 0 {
                details.push(("priority", class.priority.to_string()));
            }
            (class.min_rate, class.max_rate)
        }
        Class::Hfsc(class) => (class.min_rate.into(), class.max_rate.into()),
    };
    details.push(("min-rate", bits(min_rate)));
    if min_rate != max_rate {
        details.push(("max-rate", bits(max_rate)));
    }
    details
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINK: LinkFacts = LinkFacts { mtu: 1500, speed_mbps: None };

    fn settings(words: &[(&str, &str)]) -> Settings {
        words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn made(kind: QosKind, all: &[(&str, &str)], queues: &[(u32, &[(&str, &str)])]) -> Shape {
        let queues = queues.iter().map(|(number, words)| (*number, settings(words))).collect();
        shape(&Qos { kind, settings: settings(all), queues }, LINK).unwrap().unwrap()
    }

    fn htb(min_rate: u64, max_rate: u64, burst: u32, priority: u32) -> Class {
        Class::Htb(HtbClass { min_rate, max_rate, burst, priority })
    }

    #[test]
    fn queues_of_htb_share_the_rate_of_all() {
        let words: &[_] = &[("min-rate", "1000000"), ("burst", "80000"), ("priority", "4")];
        let made = made(
            QosKind::Htb,
            &[("max-rate", "10000000")],
            &[(1, words), (5, &[("max-rate", "2000000")]), (6, &[("min-rate", "99000000")])],
        );
        assert_eq!(made.all, Some(htb(1_250_000, 1_250_000, 0, 0)));
        let queues: Vec<_> = made.queues.iter().collect();
        assert_eq!(
            queues,
            [
                (&0, &htb(1500, 1_250_000, 1564, 0)),
                (&1, &htb(125_000, 1_250_000, 10_000, 4)),
                (&5, &htb(1500, 250_000, 1564, 0)),
                (&6, &htb(1_250_000, 1_250_000, 1564, 0)),
            ]
        );
        let state = made.state();
        let shown = |details: &[Detail]| details.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
        assert_eq!(shown(&state.details), ["max-rate=10000000"]);
        assert_eq!(
            shown(&state.queues[&1]),
            ["burst=80000", "priority=4", "min-rate=1000000", "max-rate=10000000"]
        );
        assert_eq!(shown(&state.queues[&6]), ["burst=12512", "min-rate=10000000"]);
    }

    #[test]
    fn queues_of_hfsc_have_straight_curves() {
        let hfsc = |min_rate, max_rate| Class::Hfsc(HfscClass { min_rate, max_rate });
        let words: &[_] = &[("min-rate", "8000"), ("max-rate", "4000")];
        let made = made(QosKind::Hfsc, &[("max-rate", "80000")], &[(3, words)]);
        assert_eq!(made.all, Some(hfsc(10_000, 10_000)));
        assert_eq!(made.queues, BTreeMap::from([(0, hfsc(1, 10_000)), (3, hfsc(1000, 1000))]));
    }

    #[test]
    fn without_a_rate_the_link_says_it() {
        let rate = |speed_mbps| link_rate(LinkFacts { mtu: 1500, speed_mbps });
        assert_eq!(
            [None, Some(0), Some(1000), Some(10)].map(rate),
            [1_250_000_000, 1_250_000_000, 125_000_000, 1_000_000]
        );
    }

    #[test]
    fn what_is_not_said_is_usual() {
        let default = |kind| made(kind, &[], &[]).discipline;
        let (target, limit) = (5000, 10240);
        assert_eq!(default(QosKind::Codel), Discipline::Codel { target, limit, interval: 100_000 });
        let (interval, flows, quantum) = (1_000_000, 1024, 1514);
        assert_eq!(
            default(QosKind::FqCodel),
            Discipline::FqCodel { target, limit, interval, flows, quantum }
        );
        assert_eq!(default(QosKind::Sfq), Discipline::Sfq { quantum: 1500, perturb: 10 });
        let netem = Discipline::Netem { latency: 0, limit: 1000, loss: 0, jitter: 0 };
        assert_eq!(default(QosKind::Netem), netem);
        let words = [("latency", "1"), ("limit", "2"), ("loss", "3"), ("jitter", "4")];
        let netem = Discipline::Netem { latency: 1, limit: 2, loss: 3, jitter: 4 };
        assert_eq!(made(QosKind::Netem, &words, &[]).discipline, netem);
        let too_lossy =
            Qos { kind: QosKind::Netem, settings: settings(&[("loss", "101")]), queues: BTreeMap::new() };
        assert!(shape(&too_lossy, LINK).unwrap_err().ends_with("loss was 101"));
    }

    #[test]
    fn classes_and_queues_have_each_others_numbers() {
        assert_eq!([0, 1, 0xefff].map(class_of), [1, 2, 0xf000].map(Some));
        assert_eq!([0xf000, u32::MAX - 1].map(class_of), [None, None]);
        assert_eq!([1, 0xf000].map(queue_of), [Some(0), Some(0xefff)]);
        assert_eq!([0, 0xf001, ALL_QUEUES].map(queue_of), [None; 3]);
    }

    proptest! {
        /// Whatever the database has, no queue is asked for that the kernel would refuse.
        #[test]
        fn rates_are_in_order(all in ".{0,12}", min in "[0-9]{0,20}", max in "[0-9]{0,20}", mtu in 0u32..70000) {
            let queue = settings(&[("min-rate", &min), ("max-rate", &max), ("burst", &max), ("priority", &min)]);
            for kind in QosKind::ALL {
                let wanted =
                    Qos { kind, settings: settings(&[("max-rate", &all)]), queues: [(1, queue.clone())].into() };
                let Ok(Some(shape)) = shape(&wanted, LinkFacts { mtu, speed_mbps: None }) else { continue };
                for class in shape.queues.values() {
                    let (min, max) = match class {
                        Class::Htb(class) => (class.min_rate, class.max_rate),
                        Class::Hfsc(class) => (class.min_rate.into(), class.max_rate.into()),
                    };
                    prop_assert!(min <= max && Some(max) <= shape.all.as_ref().map(max_rate));
                }
                shape.state();
            }
        }
    }
}
