//! How the kernel counts time in traffic control (`/proc/net/psched`), and what follows from it for rates.
//!
//! Rates are bytes per second. A tick is the unit of all times and bursts in messages about queueing disciplines.

use std::sync::OnceLock;

use netlink_bindings::tc::TcRatespec;

/// Entries of a table of the time that packets of each length take.
const TABLE_LEN: usize = 256;
/// The shortest frame.
const LEAST_FRAME: u16 = 60;
/// What Ethernet puts before a packet: its header and one tag.
const HEADER_LEN: u32 = 18;
/// The MTU of links that have none.
const DEFAULT_MTU: u32 = 1500;

/// The kernel's units.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Psched {
    ticks_per_second: f64,
    /// How often a discipline gets to send at least.
    hertz: u32,
}

/// What a kernel without the file would be taken for.
const UNKNOWN: Psched = Psched { ticks_per_second: 1.0, hertz: 100 };

impl Psched {
    /// This kernel's.
    pub(crate) fn of_kernel() -> Psched {
        static KNOWN: OnceLock<Psched> = OnceLock::new();
        *KNOWN.get_or_init(|| {
            let text = std::fs::read_to_string("/proc/net/psched").unwrap_or_default();
            Psched::parse(&text).unwrap_or_else(|| {
                log::warn!(target: "netdev_linux", "/proc/net/psched: the units of traffic control are not known");
                UNKNOWN
            })
        })
    }

    /// Four hexadecimal numbers: nanoseconds and ticks in a unit of time, units in a second, and hertz.
    fn parse(text: &str) -> Option<Psched> {
        let mut numbers = text.split_whitespace().map(|word| u32::from_str_radix(word, 16).ok());
        let mut next = || numbers.next().flatten();
        let (ticks, per, units, hertz) = (next()?, next()?, next()?, next()?);
        let ticks_per_second = f64::from(ticks) * f64::from(units) / f64::from(per);
        (ticks_per_second >= 1.0 && ticks_per_second.is_finite() && hertz != 0)
            .then_some(Psched { ticks_per_second, hertz })
    }

    /// The ticks that `bytes` take at `rate`; 0 for no rate.
    pub(crate) fn ticks(&self, rate: u64, bytes: u64) -> u32 {
        let ticks = u128::from(self.ticks_per_second as u64) * u128::from(bytes);
        ticks.checked_div(rate.into()).map_or(0, saturate)
    }

    /// The ticks in a time.
    pub(crate) fn ticks_of(&self, microseconds: u32) -> u32 {
        (f64::from(microseconds) * (self.ticks_per_second / 1_000_000.0)) as u32
    }

    /// The burst, in ticks at `rate`, that a class needs at least: what is sent between two chances to send, and a packet.
    pub(crate) fn burst(&self, rate: u64, mtu: u32, bytes: u64) -> u32 {
        let least = rate / u64::from(self.hertz) + u64::from(mtu);
        self.ticks(rate, bytes.max(least))
    }

    /// The ticks of packets of all lengths, as the kernel wants to be told beside a rate.
    pub(crate) fn table(&self, spec: &TcRatespec, rate: u64) -> Vec<u8> {
        let entry = |index: usize| {
            let bytes = ((index as u64 + 1) << spec.cell_log).max(LEAST_FRAME.into());
            self.ticks(rate, bytes).to_ne_bytes()
        };
        (0..TABLE_LEN).flat_map(entry).collect()
    }
}

/// A rate as the kernel has it; one that does not fit in 32 bits has an attribute of its own beside this.
pub(crate) fn rate_spec(rate: u64, mtu: u32) -> TcRatespec {
    let longest = if mtu == 0 { DEFAULT_MTU } else { mtu }.saturating_add(HEADER_LEN);
    // So far are lengths shifted that the longest falls into the table.
    let cell_log = (u32::BITS - longest.leading_zeros()).saturating_sub(8) as u8;
    let mut spec = TcRatespec { cell_log, rate: saturate(rate.into()), ..TcRatespec::default() };
    // The library has bytes where the kernel has numbers of 16 bits; this is where the last one, the least length, is.
    let [first, second] = LEAST_FRAME.to_ne_bytes();
    spec._pad_5 = [0, first, second];
    spec
}

fn saturate(number: u128) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str = "000003e8 00000040 000f4240 3b9aca00\n";

    #[test]
    fn the_kernels_file_is_read() {
        let known = Psched::parse(USUAL).unwrap();
        assert_eq!(known, Psched { ticks_per_second: 15_625_000.0, hertz: 1_000_000_000 });
        for wrong in ["", "3e8 40 f4240", "0 40 f4240 64", "3e8 0 f4240 64", "3e8 40 f4240 0", "x y z w"] {
            assert_eq!(Psched::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_and_bursts_are_counted_in_ticks() {
        let known = Psched::parse(USUAL).unwrap();
        assert_eq!(known.ticks(1_250_000, 1564), 19_550);
        assert_eq!(known.ticks(0, 1564), 0);
        assert_eq!(known.ticks(1, u64::MAX), u32::MAX);
        assert_eq!(known.ticks_of(100_000), 1_562_500);
        assert_eq!(known.burst(1_250_000, 1500, 0), known.ticks(1_250_000, 1500));
        let coarse = Psched { hertz: 100, ..known };
        assert_eq!(coarse.burst(1_250_000, 1500, 0), known.ticks(1_250_000, 14_000));
    }

    #[test]
    fn a_table_reaches_to_the_longest_packet() {
        for (mtu, cell_log) in [(0, 3), (68, 0), (238, 1), (1500, 3), (9000, 6), (65535, 9)] {
            assert_eq!(rate_spec(1, mtu).cell_log, cell_log, "{mtu}");
        }
        assert_eq!(rate_spec(1 << 40, 1500).rate, u32::MAX);
        let known = Psched::parse(USUAL).unwrap();
        let table = known.table(&rate_spec(15_625_000, 1500), 15_625_000);
        let at = |index: usize| u32::from_ne_bytes(table[4 * index..][..4].try_into().unwrap());
        assert_eq!((table.len(), at(0), at(6), at(7), at(255)), (1024, 60, 60, 64, 2048));
    }
}
