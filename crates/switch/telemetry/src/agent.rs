//! One bridge's sFlow agent: numbers samples, gathers them into datagrams,
//! and knows when counters are due.
//!
//! A sample is sent when its datagram is full, and at the next tick at the
//! latest. Ticks come once a second.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base::Timestamp;

use crate::datagram::{
    CounterRecord, CounterSample, Datagram, FlowRecord, FlowSample, PortRef, Sample, Source,
};

/// Bytes of a datagram, at most: it fits an Ethernet frame whatever tunnels lie before the collector.
pub const MAX_DATAGRAM: usize = 1400;

/// What is configured of an agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The address by which collectors know it.
    pub address: IpAddr,
    /// Tells bridges of one switch apart.
    pub sub_agent: u32,
    /// One packet in so many.
    pub rate: u32,
    /// Seconds between counter samples; 0 for none.
    pub polling_s: u32,
}

/// An agent.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    started: Timestamp,
    now: Timestamp,
    flow_sequence: u32,
    pool: u32,
    /// Packets that would have been sampled, but were lost: as they were counted when the agent began, and now.
    lost: Option<(u32, u32)>,
    pollers: BTreeMap<Source, Poller>,
    sequence: u32,
    waiting: Vec<Vec<u8>>,
    waiting_len: usize,
}

/// When a source's counters are due.
#[derive(Debug)]
struct Poller {
    ticks_left: u32,
    sequence: u32,
}

impl Agent {
    pub fn new(config: Config, now: Timestamp) -> Agent {
        Agent {
            config,
            started: now,
            now,
            flow_sequence: 0,
            pool: 0,
            lost: None,
            pollers: BTreeMap::new(),
            sequence: 0,
            waiting: Vec::new(),
            waiting_len: 0,
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The bridge as a source of samples.
    pub fn source(&self) -> Source {
        Source::entity(1000 + self.config.sub_agent)
    }

    /// Notes how many samples had been lost when the next one was taken. They count as sampled, so that a collector finds the
    /// same rate.
    pub fn note_lost(&mut self, total: u32) {
        let (_, last) = self.lost.get_or_insert((total, total));
        let newly = total.wrapping_sub(std::mem::replace(last, total));
        self.pool = self.pool.wrapping_add(self.config.rate.wrapping_mul(newly));
    }

    /// Takes a sampled packet. Returns a datagram that became full by it.
    pub fn sample(&mut self, input: PortRef, output: PortRef, records: Vec<FlowRecord>) -> Option<Vec<u8>> {
        // The draw is random with the configured mean, so that many packets passed for each sample.
        self.pool = self.pool.wrapping_add(self.config.rate);
        self.flow_sequence = self.flow_sequence.wrapping_add(1);
        self.push(&Sample::Flow(FlowSample {
            is_expanded: false,
            sequence: self.flow_sequence,
            source: self.source(),
            rate: self.config.rate,
            pool: self.pool,
            drops: self.lost.map_or(0, |(first, last)| last.wrapping_sub(first)),
            input,
            output,
            records,
        }))
    }

    /// A second has passed. `interfaces` are the bridge's ports that have an
    /// index; `read` gives the counters of a source that is due. Returns all
    /// datagrams that are to go now.
    pub fn tick(
        &mut self,
        now: Timestamp,
        interfaces: &[u32],
        mut read: impl FnMut(Source) -> Vec<CounterRecord>,
    ) -> Vec<Vec<u8>> {
        self.now = now;
        let mut out = Vec::new();
        for source in self.due(interfaces) {
            let records = read(source);
            if records.is_empty() {
                continue;
            }
            let Some(poller) = self.pollers.get_mut(&source) else { continue };
            poller.sequence = poller.sequence.wrapping_add(1);
            let sequence = poller.sequence;
            let sample = CounterSample { is_expanded: false, sequence, source, records };
            out.extend(self.push(&Sample::Counters(sample)));
        }
        out.extend(self.flush());
        out
    }

    /// The sources whose counters are due at this tick.
    fn due(&mut self, interfaces: &[u32]) -> Vec<Source> {
        let interval = self.config.polling_s;
        let wanted: Vec<Source> =
            interfaces.iter().map(|&index| Source::interface(index)).chain([self.source()]).collect();
        self.pollers.retain(|source, _| wanted.contains(source));
        if interval == 0 {
            return Vec::new();
        }
        for (place, source) in wanted.into_iter().enumerate() {
            // Spread over the interval, so that not all ports are read at one tick.
            let ticks_left = 1 + place as u32 % interval;
            self.pollers.entry(source).or_insert(Poller { ticks_left, sequence: 0 });
        }
        let mut due = Vec::new();
        // The bridge comes first, then interfaces from the greatest index down.
        for (source, poller) in self.pollers.iter_mut().rev() {
            poller.ticks_left = poller.ticks_left.saturating_sub(1);
            if poller.ticks_left == 0 {
                poller.ticks_left = interval;
                due.push(*source);
            }
        }
        due
    }

    fn push(&mut self, sample: &Sample) -> Option<Vec<u8>> {
        let bytes = sample.encode();
        if bytes.len() > MAX_DATAGRAM / 2 {
            log::warn!(target: base::bounded!("ofproto_dpif_sflow"), "sFlow agent error: receiver: flow sample too big for datagram");
            return None;
        }
        let header = if self.config.address.is_ipv4() { 28 } else { 40 };
        let full = if header + self.waiting_len + bytes.len() >= MAX_DATAGRAM { self.flush() } else { None };
        self.waiting_len += bytes.len();
        self.waiting.push(bytes);
        full
    }

    /// The datagram of all samples that wait, if any do.
    fn flush(&mut self) -> Option<Vec<u8>> {
        if self.waiting.is_empty() {
            return None;
        }
        self.waiting_len = 0;
        self.sequence = self.sequence.wrapping_add(1);
        let samples = std::mem::take(&mut self.waiting);
        let datagram = Datagram {
            agent: self.config.address,
            sub_agent: self.config.sub_agent,
            sequence: self.sequence,
            uptime_ms: (self.now - self.started).as_millis() as u32,
            samples: Vec::new(),
        };
        Some(datagram.encode_around(&samples))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn agent(polling_s: u32) -> Agent {
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        Agent::new(Config { address, sub_agent: 3, rate: 64, polling_s }, Timestamp::ZERO)
    }

    fn header(len: usize) -> Vec<FlowRecord> {
        vec![FlowRecord::Header { protocol: 1, frame_length: 1000, stripped: 4, bytes: vec![7; len] }]
    }

    fn second(n: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(n)
    }

    #[test]
    fn samples_are_numbered_and_gathered() {
        let mut agent = agent(0);
        let mut datagrams = Vec::new();
        for _ in 0..20 {
            datagrams.extend(agent.sample(PortRef::from_word(1), PortRef::from_word(2), header(128)));
        }
        datagrams.extend(agent.tick(second(1), &[1, 2], |_| unreachable!("polling is off")));
        assert!(datagrams.len() > 1 && datagrams.iter().all(|bytes| bytes.len() <= MAX_DATAGRAM));
        let mut expected = 0;
        for (number, bytes) in datagrams.iter().enumerate() {
            let datagram = Datagram::decode(bytes).unwrap();
            assert_eq!((datagram.sequence, datagram.sub_agent), (number as u32 + 1, 3));
            for sample in datagram.samples {
                let Sample::Flow(flow) = sample else { panic!("{sample:?}") };
                expected += 1;
                assert_eq!((flow.sequence, flow.pool), (expected, expected * 64));
                assert_eq!(flow.source, Source { class: 2, index: 1003 });
            }
        }
        assert_eq!(expected, 20);
        assert!(agent.tick(second(2), &[], |_| Vec::new()).is_empty());
    }

    #[test]
    fn counters_come_at_the_interval() {
        let mut agent = agent(3);
        let mut seen: BTreeMap<Source, Vec<u64>> = BTreeMap::new();
        for now in 1..=12 {
            for bytes in agent.tick(second(now), &[4, 5], |source| {
                seen.entry(source).or_default().push(now);
                vec![CounterRecord::PortName("pa".to_owned())]
            }) {
                assert_eq!(Datagram::decode(&bytes).unwrap().uptime_ms as u64, now * 1000);
            }
        }
        assert_eq!(seen.len(), 3);
        for times in seen.values() {
            assert_eq!(times.len(), 4);
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 3));
        }
        assert!(agent.tick(second(13), &[], |source| unreachable!("{source:?}")).is_empty());
    }

    #[test]
    fn the_bridge_is_polled_first_and_then_the_greatest_index() {
        let mut agent = agent(1);
        let mut polled = Vec::new();
        agent.tick(second(1), &[4, 9, 5], |source| {
            polled.push(source);
            Vec::new()
        });
        let [a, b, c] = [9, 5, 4].map(Source::interface);
        assert_eq!(polled, [agent.source(), a, b, c]);
    }

    #[test]
    fn a_sample_that_is_too_big_is_left_out() {
        let mut agent = agent(0);
        assert_eq!(agent.sample(PortRef::default(), PortRef::default(), header(1200)), None);
        assert!(agent.tick(second(1), &[], |_| Vec::new()).is_empty());
    }
}
