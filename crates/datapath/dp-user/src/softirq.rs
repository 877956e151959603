//! Frames that the kernel has taken from this process and has not delivered yet.
//!
//! A frame to a virtual device waits in a queue of the processor on which it was sent. A thread that goes on sending on
//! another processor would overtake it.

use std::time::{Duration, Instant};

/// How long frames are waited for at most, and how often it is looked.
const PATIENCE: Duration = Duration::from_millis(20);
const STEP: Duration = Duration::from_micros(50);

/// Places of a processor's queue and number in a line of /proc/net/softnet_stat.
const QUEUED: usize = 11;
const PROCESSOR: usize = 12;

/// Waits until no frame waits that was sent on the processor of this thread, but not for long; whether none does then, as far as
/// the kernel says.
pub(crate) fn wait_for_sent() -> bool {
    let core = rustix::thread::sched_getcpu();
    let begin = Instant::now();
    loop {
        match queued_on(core) {
            Some(0) => return true,
            // Kernels before 5.10 do not say: a frame waits as long as others of a turn take.
            None => {
                std::thread::sleep(PATIENCE / 20);
                return true;
            }
            Some(_) if begin.elapsed() >= PATIENCE => return false,
            Some(_) => std::thread::sleep(STEP),
        }
    }
}

/// Whether frames wait that were sent on the processor of this thread, as far as the kernel says.
pub(crate) fn has_queued() -> bool {
    queued_on(rustix::thread::sched_getcpu()).is_some_and(|count| count > 0)
}

/// How many frames wait on a processor now.
fn queued_on(core: usize) -> Option<u64> {
    queued(&std::fs::read_to_string("/proc/net/softnet_stat").unwrap_or_default(), core)
}

/// The same, as the kernel's table says.
fn queued(table: &str, core: usize) -> Option<u64> {
    table.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().map(|word| u64::from_str_radix(word, 16).ok());
        let queued = words.nth(QUEUED)??;
        let number = words.nth(PROCESSOR - QUEUED - 1)??;
        (number == core as u64).then_some(queued)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_processor_is_read() {
        let line =
            |queued: &str, core: &str| format!("{} {queued} {core} 00 00\n", ["0000ffff"; 11].join(" "));
        let table = line("0000001f", "00000000") + &line("00000000", "0000000a");
        assert_eq!([0, 10, 1].map(|core| queued(&table, core)), [Some(31), Some(0), None]);
        assert_eq!(queued("00000001 00000002\n", 0), None);
    }

    #[test]
    fn nothing_is_waited_for_long() {
        let begin = Instant::now();
        wait_for_sent();
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
}
