//! Token buckets that let a rate through and drop what exceeds it. Pure: packets and time in, verdicts out.
//!
//! [`Ingress`] limits what comes in by a port, [`Egress`] what leaves. Lengths of frames count as the reference counts them:
//! whole coming in, as in the kernel's policer; without the Ethernet header going out, as in DPDK's.

use std::collections::BTreeMap;

use base::Timestamp;
use dp::{Detail, Packet, Policing, Qos, QosKind, QueueStats, Settings};
use wire::ethernet;

/// Where nothing is said, so much at once: kilobits, and thousands of packets.
const DEFAULT_KBITS_BURST: u32 = 8000;
const DEFAULT_KPKTS_BURST: u32 = 16;

const NANOS: i128 = 1_000_000_000;

/// A token bucket.
#[derive(Clone, Debug)]
struct Bucket {
    /// Tokens per second.
    rate: u64,
    /// Tokens that it holds at most.
    size: u64,
    /// Billionths of tokens that are there. Fewer than none after a train of segments that the bucket had not room for.
    level: i128,
    updated: Timestamp,
}

impl Bucket {
    /// It is full.
    fn new(rate: u64, size: u64, now: Timestamp) -> Bucket {
        Bucket { rate, size, level: i128::from(size) * NANOS, updated: now }
    }

    /// Adds what has come since the last time.
    fn refill(&mut self, now: Timestamp) {
        let elapsed = now.since(self.updated).as_nanos() as u64;
        if elapsed > 0 {
            let more = i128::from(self.rate) * i128::from(elapsed);
            self.level = self.level.saturating_add(more).min(i128::from(self.size) * NANOS);
            self.updated = now;
        }
    }

    /// Whether there are enough. A full bucket is enough for a train of segments, however long: what follows has to wait.
    fn has(&self, cost: Cost) -> bool {
        let enough = if cost.is_train { cost.tokens.min(self.size) } else { cost.tokens };
        self.level >= i128::from(enough) * NANOS
    }

    fn take(&mut self, cost: Cost) {
        self.level -= i128::from(cost.tokens) * NANOS;
    }

    /// Takes them if they are there.
    fn try_take(&mut self, cost: Cost) -> bool {
        let has = self.has(cost);
        if has {
            self.take(cost);
        }
        has
    }
}

/// What a packet costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cost {
    tokens: u64,
    /// The packet is a train of segments, which is still to be cut.
    is_train: bool,
}

impl Cost {
    fn of(packet: &Packet, tokens: u64) -> Cost {
        Cost { tokens, is_train: packet.offload.segmentation.is_some() }
    }
}

/// The policer of what comes in by a port.
#[derive(Debug)]
pub(crate) struct Ingress {
    /// Of bytes, and of packets.
    buckets: [Option<Bucket>; 2],
}

impl Ingress {
    /// `None` without limits.
    pub(crate) fn new(limits: Policing, now: Timestamp) -> Option<Ingress> {
        let or = |burst: u32, default: u32| u64::from(if burst == 0 { default } else { burst });
        let bucket = |rate: u32, unit: u64, size: u64| {
            (rate != 0).then(|| Bucket::new(u64::from(rate) * unit, size, now))
        };
        // The reference's bursts are in units of 1024 bits.
        let burst = or(limits.kbits_burst, DEFAULT_KBITS_BURST) * 1024 / 8;
        let bytes = bucket(limits.kbits_rate, 125, burst);
        let packets = bucket(limits.kpkts_rate, 1000, or(limits.kpkts_burst, DEFAULT_KPKTS_BURST) * 1000);
        (bytes.is_some() || packets.is_some()).then_some(Ingress { buckets: [bytes, packets] })
    }

    /// Whether the packet may come in.
    pub(crate) fn admits(&mut self, packet: &Packet, now: Timestamp) -> bool {
        let costs = [packet.len() as u64, 1].map(|tokens| Cost::of(packet, tokens));
        self.buckets.iter_mut().flatten().for_each(|bucket| bucket.refill(now));
        let mut pairs = self.buckets.iter().zip(costs);
        let has_all = pairs.all(|(bucket, cost)| bucket.as_ref().is_none_or(|bucket| bucket.has(cost)));
        if has_all {
            for (bucket, cost) in self.buckets.iter_mut().zip(costs) {
                bucket.iter_mut().for_each(|bucket| bucket.take(cost));
            }
        }
        has_all
    }
}

/// The policer of what leaves by a port.
#[derive(Debug)]
pub(crate) enum Egress {
    /// One rate for all.
    Single(Single),
    /// RFC 4115, twice: for each queue by itself, and for all together with the colours that came of that.
    Hierarchy(Hierarchy),
}

impl Egress {
    /// What `wanted` describes; an error says what is wrong with it.
    pub(crate) fn new(wanted: &Qos, now: Timestamp) -> Result<Egress, String> {
        if wanted.kind == QosKind::TrtcmPolicer {
            Hierarchy::new(wanted, now).map(Egress::Hierarchy)
        } else {
            Single::new(&wanted.settings, now).map(Egress::Single)
        }
    }

    /// Whether the packet may leave.
    pub(crate) fn admits(&mut self, packet: &Packet, now: Timestamp) -> bool {
        let cost = Cost::of(packet, packet.len().saturating_sub(ethernet::HEADER_LEN) as u64);
        match self {
            Egress::Single(single) => single.admits(cost, now),
            Egress::Hierarchy(hierarchy) => hierarchy.admits(packet.metadata.skb_priority, cost, now),
        }
    }

    /// The settings in force.
    pub(crate) fn details(&self) -> Vec<Detail> {
        match self {
            Egress::Single(single) => {
                vec![("cir", single.bucket.rate.to_string()), ("cbs", single.bucket.size.to_string())]
            }
            Egress::Hierarchy(hierarchy) => hierarchy.all.details(),
        }
    }

    /// The same of each queue.
    pub(crate) fn queues(&self) -> BTreeMap<u32, Vec<Detail>> {
        match self {
            Egress::Single(_) => BTreeMap::new(),
            Egress::Hierarchy(hierarchy) => {
                hierarchy.queues.iter().map(|(number, queue)| (*number, queue.marker.details())).collect()
            }
        }
    }

    /// What each queue has counted.
    pub(crate) fn stats(&self) -> BTreeMap<u32, QueueStats> {
        match self {
            Egress::Single(_) => BTreeMap::new(),
            Egress::Hierarchy(hierarchy) => {
                hierarchy.queues.iter().map(|(number, queue)| (*number, queue.stats())).collect()
            }
        }
    }
}

/// A number of the settings; 0 where there is none.
pub(crate) fn number(settings: &Settings, key: &str) -> u64 {
    settings.get(key).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// One rate and one burst, in bytes.
#[derive(Debug)]
pub(crate) struct Single {
    bucket: Bucket,
}

impl Single {
    fn new(settings: &Settings, now: Timestamp) -> Result<Single, String> {
        let (rate, size) = (number(settings, "cir"), number(settings, "cbs"));
        if rate == 0 || size == 0 {
            return Err("egress-policer needs cir and cbs, each more than 0".to_owned());
        }
        Ok(Single { bucket: Bucket::new(rate, size, now) })
    }

    fn admits(&mut self, cost: Cost, now: Timestamp) -> bool {
        self.bucket.refill(now);
        self.bucket.try_take(cost)
    }
}

/// How a packet is marked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Colour {
    Green,
    Yellow,
    Red,
}

/// RFC 4115's marker: two buckets, neither of which overflows into the other.
#[derive(Clone, Debug)]
struct Marker {
    committed: Bucket,
    excess: Bucket,
}

impl Marker {
    fn new(settings: &Settings, now: Timestamp) -> Result<Marker, String> {
        let bucket = |rate_key: &str, size_key: &str| {
            let (rate, size) = (number(settings, rate_key), number(settings, size_key));
            if rate != 0 && size == 0 {
                return Err(format!("{rate_key} needs {size_key}, more than 0"));
            }
            Ok(Bucket::new(rate, size, now))
        };
        Ok(Marker { committed: bucket("cir", "cbs")?, excess: bucket("eir", "ebs")? })
    }

    /// RFC 4115 §3; who does not know a colour yet says green.
    fn mark(&mut self, cost: Cost, colour: Colour, now: Timestamp) -> Colour {
        self.committed.refill(now);
        self.excess.refill(now);
        if colour == Colour::Green && self.committed.try_take(cost) {
            Colour::Green
        } else if colour != Colour::Red && self.excess.try_take(cost) {
            Colour::Yellow
        } else {
            Colour::Red
        }
    }

    fn details(&self) -> Vec<Detail> {
        vec![
            ("cir", self.committed.rate.to_string()),
            ("eir", self.excess.rate.to_string()),
            ("cbs", self.committed.size.to_string()),
            ("ebs", self.excess.size.to_string()),
        ]
    }
}

/// A marker, with what it counted.
#[derive(Debug)]
struct Queue {
    marker: Marker,
    bytes: u64,
    packets: u64,
    errors: u64,
    created: Timestamp,
}

impl Queue {
    fn stats(&self) -> QueueStats {
        QueueStats {
            bytes: Some(self.bytes),
            packets: Some(self.packets),
            errors: Some(self.errors),
            created: Some(self.created),
        }
    }
}

/// Markers of queues below one of the port.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    all: Marker,
    queues: BTreeMap<u32, Queue>,
}

impl Hierarchy {
    fn new(wanted: &Qos, now: Timestamp) -> Result<Hierarchy, String> {
        let marker =
            |settings: &Settings| Marker::new(settings, now).map_err(|why| format!("trtcm-policer: {why}"));
        let all = marker(&wanted.settings)?;
        let queue = |marker| Queue { marker, bytes: 0, packets: 0, errors: 0, created: now };
        let mut queues = BTreeMap::new();
        for (number, settings) in &wanted.queues {
            queues.insert(*number, queue(marker(settings)?));
        }
        // The one for packets of no other queue gets what the port gets, unless it is asked for something else.
        if wanted.queues.get(&0).is_none_or(Settings::is_empty) {
            queues.insert(0, queue(all.clone()));
        }
        Ok(Hierarchy { all, queues })
    }

    fn admits(&mut self, number: u32, cost: Cost, now: Timestamp) -> bool {
        let number = if self.queues.contains_key(&number) { number } else { 0 };
        let Some(queue) = self.queues.get_mut(&number) else { return false };
        let colour = queue.marker.mark(cost, Colour::Green, now);
        if colour == Colour::Red {
            queue.errors += 1;
        } else {
            queue.bytes += cost.tokens;
            queue.packets += 1;
        }
        self.all.mark(cost, colour, now) != Colour::Red
    }

    /// Takes over what queues have counted that stay.
    fn keep_counts(&mut self, before: &Hierarchy) {
        for (number, queue) in &mut self.queues {
            if let Some(old) = before.queues.get(number) {
                (queue.bytes, queue.packets, queue.errors) = (old.bytes, old.packets, old.errors);
                queue.created = old.created;
            }
        }
    }
}

impl Egress {
    /// Takes over what queues of the policer before have counted that stay.
    pub(crate) fn keep_counts(&mut self, before: &Egress) {
        if let (Egress::Hierarchy(new), Egress::Hierarchy(old)) = (self, before) {
            new.keep_counts(old);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings(words: &[(&str, &str)]) -> Settings {
        words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn qos(kind: QosKind, all: &[(&str, &str)], queues: &[(u32, &[(&str, &str)])]) -> Qos {
        let queues = queues.iter().map(|(number, words)| (*number, settings(words))).collect();
        Qos { kind, settings: settings(all), queues }
    }

    fn packet(len: usize, queue: u32) -> Packet {
        let mut packet = Packet::from_bytes(&vec![0; len]);
        packet.metadata.skb_priority = queue;
        packet
    }

    const AT: fn(u64) -> Timestamp = Timestamp::from_millis;

    #[test]
    fn what_comes_in_is_limited_by_bytes_and_by_packets() {
        let limits = Policing { kbits_rate: 8, kbits_burst: 8, ..Policing::default() };
        let mut bytes = Ingress::new(limits, AT(0)).unwrap();
        let passed: Vec<bool> =
            [0, 0, 0, 99, 500, 501].map(|ms| bytes.admits(&packet(500, 0), AT(ms))).into();
        assert_eq!(
            passed,
            [true, true, false, false, true, false],
            "1,024 bytes at once, then 1,000 a second"
        );
        let limits = Policing { kpkts_rate: 1, kpkts_burst: 1, ..Policing::default() };
        let mut packets = Ingress::new(limits, AT(0)).unwrap();
        let passed = (0..2000).filter(|_| packets.admits(&packet(60, 0), AT(0))).count();
        assert_eq!((passed, packets.admits(&packet(60, 0), AT(1))), (1000, true));
        assert!(Ingress::new(Policing { kbits_burst: 9, ..Policing::default() }, AT(0)).is_none());
    }

    #[test]
    fn a_train_longer_than_the_burst_passes_when_the_bucket_is_full() {
        let limits = Policing { kbits_rate: 8, kbits_burst: 8, ..Policing::default() };
        let mut bytes = Ingress::new(limits, AT(0)).unwrap();
        assert!(!bytes.admits(&packet(3000, 0), AT(0)));
        let mut train = packet(3000, 0);
        train.offload.segmentation = Some(dp::Segmentation { kind: 1, size: 1000, header_len: 54 });
        assert!(bytes.admits(&train, AT(0)));
        assert!(!bytes.admits(&packet(60, 0), AT(1900)) && bytes.admits(&packet(60, 0), AT(2100)));
        let wanted = qos(QosKind::EgressPolicer, &[("cir", "1000"), ("cbs", "1000")], &[]);
        let mut policer = Egress::new(&wanted, AT(0)).unwrap();
        assert!(policer.admits(&train, AT(0)) && !policer.admits(&train, AT(2900)));
        assert!(
            policer.admits(&train, AT(3000)),
            "a rate of 1,000 is kept: 2,986 behind the Ethernet header"
        );
    }

    #[test]
    fn a_single_rate_counts_what_is_behind_the_ethernet_header() {
        let wanted = qos(QosKind::EgressPolicer, &[("cir", "46"), ("cbs", "92")], &[]);
        let mut policer = Egress::new(&wanted, AT(0)).unwrap();
        let passed = [0, 0, 0, 999, 1000].map(|ms| policer.admits(&packet(60, 0), AT(ms)));
        assert_eq!(passed, [true, true, false, false, true]);
        assert_eq!(policer.details(), [("cir", "46".to_owned()), ("cbs", "92".to_owned())]);
        for wrong in [&[("cir", "46")][..], &[("cbs", "92")], &[("cir", "x"), ("cbs", "1")]] {
            assert!(Egress::new(&qos(QosKind::EgressPolicer, wrong, &[]), AT(0)).is_err());
        }
    }

    #[test]
    fn queues_are_marked_by_themselves_and_then_together() {
        let queue: &[_] = &[("cir", "100"), ("cbs", "100"), ("eir", "100"), ("ebs", "100")];
        let all = [("cir", "300"), ("cbs", "100"), ("eir", "300"), ("ebs", "200")];
        let wanted = qos(QosKind::TrtcmPolicer, &all, &[(1, queue), (2, queue)]);
        let mut policer = Egress::new(&wanted, AT(0)).unwrap();
        let mut passes = |queue| policer.admits(&packet(114, queue), AT(0));
        // Green; yellow, as the queue's committed burst is over; red.
        assert_eq!([passes(1), passes(1), passes(1)], [true, true, false]);
        // Green in its queue, which the port has no green for any more, but yellow; then nothing is left.
        assert_eq!([passes(2), passes(2)], [true, false]);
        let stats = policer.stats();
        let counted = |number| (stats[&number].packets, stats[&number].bytes, stats[&number].errors);
        assert_eq!(counted(1), (Some(2), Some(200), Some(1)));
        assert_eq!(counted(2), (Some(2), Some(200), Some(0)), "what the port drops it does not know");
        assert_eq!(policer.queues().keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(policer.queues()[&0], policer.details());
        let mut next = Egress::new(&wanted, AT(9)).unwrap();
        next.keep_counts(&policer);
        assert_eq!(next.stats(), policer.stats());
    }

    #[test]
    fn packets_of_unknown_queues_are_in_queue_0() {
        let none: &[_] = &[("cir", "0")];
        let all = [("cir", "1000"), ("cbs", "1000")];
        let mut policer = Egress::new(&qos(QosKind::TrtcmPolicer, &all, &[(0, none)]), AT(0)).unwrap();
        assert!(!policer.admits(&packet(114, 7), AT(0)), "it was asked to let nothing pass");
        let mut policer = Egress::new(&qos(QosKind::TrtcmPolicer, &all, &[]), AT(0)).unwrap();
        assert!(policer.admits(&packet(114, 7), AT(0)));
        assert_eq!(policer.stats()[&0].packets, Some(1));
        assert!(Egress::new(&qos(QosKind::TrtcmPolicer, &[("eir", "5")], &[]), AT(0)).is_err());
    }

    proptest! {
        /// Never more passes than the burst and what the rate gives, and what may pass does.
        #[test]
        fn the_rate_is_kept(
            rate in 1u64..1 << 40,
            size in 1u64..1 << 40,
            steps in proptest::collection::vec((0u64..1 << 34, 1u64..1 << 30), 1..50),
        ) {
            let mut bucket = Bucket::new(rate, size, AT(0));
            let (mut now, mut passed) = (0u64, 0i128);
            for (wait, tokens) in steps {
                now += wait;
                bucket.refill(Timestamp::from_nanos(now));
                let cost = Cost { tokens, is_train: false };
                let had = bucket.has(cost);
                prop_assert_eq!(bucket.try_take(cost), had);
                passed += if had { i128::from(tokens) } else { 0 };
                prop_assert!(passed * NANOS <= i128::from(size) * NANOS + i128::from(rate) * i128::from(now));
                prop_assert!(bucket.level >= 0 && bucket.level <= i128::from(size) * NANOS);
            }
        }

        #[test]
        fn settings_of_any_text_make_no_panic(text in ".{0,20}", len in 0usize..70000) {
            let words = ["cir", "cbs", "eir", "ebs"].map(|key| (key, &*text));
            for kind in [QosKind::EgressPolicer, QosKind::TrtcmPolicer] {
                if let Ok(mut policer) = Egress::new(&qos(kind, &words, &[(1, &words)]), AT(0)) {
                    policer.admits(&packet(len, 1), Timestamp::MAX);
                }
            }
        }
    }
}
