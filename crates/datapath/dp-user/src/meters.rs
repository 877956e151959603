//! Meters: token buckets that drop.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};

use base::Timestamp;
use dp::{Meter, MeterStats};

/// All meters of a datapath.
#[derive(Debug, Default)]
pub(crate) struct Meters(RwLock<HashMap<u32, Mutex<State>>>);

#[derive(Debug)]
struct State {
    config: Meter,
    /// Thousandths of a packet or of a kilobit, per band.
    buckets: Vec<u64>,
    updated: Timestamp,
    stats: MeterStats,
}

impl Meters {
    /// Sets the meter up, or removes it.
    pub(crate) fn set(&self, id: u32, config: Option<Meter>, now: Timestamp) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match config {
            None => {
                all.remove(&id);
            }
            Some(mut config) => {
                for band in &mut config.bands {
                    // Without a burst, one second's worth.
                    if band.burst == 0 {
                        band.burst = band.rate;
                    }
                }
                let buckets = config.bands.iter().map(|band| u64::from(band.burst) * 1000).collect();
                let stats = MeterStats { bands: vec![(0, 0); config.bands.len()], ..MeterStats::default() };
                all.insert(id, Mutex::new(State { config, buckets, updated: now, stats }));
            }
        }
    }

    pub(crate) fn stats(&self, id: u32) -> Option<MeterStats> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&id).map(|state| state.lock().unwrap_or_else(PoisonError::into_inner).stats.clone())
    }

    /// Whether a packet of `bytes` passes. A meter that does not exist lets all pass.
    pub(crate) fn admit(&self, id: u32, bytes: usize, now: Timestamp) -> bool {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = all.get(&id) else { return true };
        state.lock().unwrap_or_else(PoisonError::into_inner).admit(bytes, now)
    }
}

impl State {
    fn admit(&mut self, bytes: usize, now: Timestamp) -> bool {
        self.stats.packets_in += 1;
        self.stats.bytes_in += bytes as u64;
        let elapsed_ms = u64::try_from(now.since(self.updated).as_millis()).unwrap_or(u64::MAX);
        if elapsed_ms > 0 {
            self.updated = now;
        }
        let cost = if self.config.is_pktps { 1000 } else { bytes as u64 * 8 };
        let mut exceeded: Option<usize> = None;
        for (index, (band, bucket)) in self.config.bands.iter().zip(&mut self.buckets).enumerate() {
            let refill = elapsed_ms.saturating_mul(u64::from(band.rate));
            *bucket = bucket.saturating_add(refill).min(u64::from(band.burst) * 1000);
            if *bucket >= cost {
                *bucket -= cost;
            } else if exceeded
                .and_then(|i| self.config.bands.get(i))
                .is_none_or(|worst| band.rate > worst.rate)
            {
                exceeded = Some(index);
            }
        }
        if let Some((packets, dropped)) = exceeded.and_then(|index| self.stats.bands.get_mut(index)) {
            *packets += 1;
            *dropped += bytes as u64;
        }
        exceeded.is_none()
    }
}

#[cfg(test)]
mod tests {
    use dp::MeterBand;

    use super::*;

    #[test]
    fn a_meter_lets_its_rate_pass() {
        let meters = Meters::default();
        let band = MeterBand { rate: 1, burst: 2 };
        let at = Timestamp::from_millis;
        meters.set(1, Some(Meter { is_pktps: true, bands: vec![band] }), at(0));
        let passed = |ms| meters.admit(1, 100, at(ms));
        assert_eq!(
            [passed(0), passed(0), passed(0), passed(1000), passed(1000)],
            [true, true, false, true, false]
        );
        let stats = meters.stats(1).unwrap();
        assert_eq!((stats.packets_in, stats.bands), (5, vec![(2, 200)]));
        assert!(meters.admit(2, 1, at(0)));
    }
}
