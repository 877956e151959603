//! The processors of the machine, and masks that choose among them.

use std::collections::BTreeMap;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A processor, by the kernel's number, and the memory node that it is next to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Processor {
    /// The kernel's number.
    pub core: u32,
    /// The number of the node.
    pub numa: u32,
}

/// The processors that workers may be made for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Processors {
    all: Vec<Processor>,
    /// They are those of the machine, and threads can be kept on them.
    are_real: bool,
}

/// Workers that are made at most unless somebody says which.
const MOST: usize = 4;

impl Processors {
    /// Those that this process may use.
    pub fn of_machine() -> Processors {
        let allowed = allowed();
        let nodes = nodes();
        let all =
            allowed.into_iter().map(|core| Processor { core, numa: nodes.get(&core).copied().unwrap_or(0) });
        Processors { all: all.collect(), are_real: true }
    }

    /// Processors that there are not, for tests: their nodes in the order of their numbers, separated by commas.
    pub fn dummies(nodes: &str) -> Processors {
        let nodes = nodes.split(',').map(|node| node.trim().parse().unwrap_or(0));
        let all = (0..).zip(nodes).map(|(core, numa)| Processor { core, numa });
        Processors { all: all.collect(), are_real: false }
    }

    /// Whether threads can be kept on them.
    pub(crate) fn are_real(&self) -> bool {
        self.are_real
    }

    /// Says in the log which there are.
    pub fn log(&self) {
        let mut nodes: BTreeMap<u32, usize> = BTreeMap::new();
        self.all.iter().for_each(|processor| *nodes.entry(processor.numa).or_default() += 1);
        for (node, count) in &nodes {
            log::info!(target: "ovs_numa", "Discovered {count} CPU cores on NUMA node {node}");
        }
        let (nodes, count) = (nodes.len(), self.all.len());
        log::info!(target: "ovs_numa", "Discovered {nodes} NUMA nodes and {count} CPU cores");
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// The kernel's numbers of all.
    pub(crate) fn cores(&self) -> impl Iterator<Item = u32> {
        self.all.iter().map(|processor| processor.core)
    }

    /// Those that have a worker each unless somebody says which: of the machine's, every other one, but no more than four,
    /// and `extra` of the others; of dummies, the first one of each node.
    pub(crate) fn by_default(&self, extra: usize) -> Vec<Processor> {
        if self.are_real {
            let count = (self.all.len() / 2).clamp(1, MOST);
            let usual = (0..count).filter_map(|at| self.all.get(at * self.all.len() / count));
            let mut chosen: Vec<Processor> = usual.copied().collect();
            let others = self.all.iter().filter(|processor| !chosen.contains(processor)).take(extra);
            let others: Vec<Processor> = others.copied().collect();
            chosen.extend(others);
            chosen.sort_unstable();
            return chosen;
        }
        let mut first: BTreeMap<u32, Processor> = BTreeMap::new();
        for processor in &self.all {
            first.entry(processor.numa).or_insert(*processor);
        }
        let mut first: Vec<Processor> = first.into_values().collect();
        first.sort_unstable();
        first
    }

    /// Those in a hexadecimal mask, of which the lowest bit is processor 0.
    pub(crate) fn in_mask(&self, mask: &str) -> Vec<Processor> {
        let digits = mask.strip_prefix("0x").or_else(|| mask.strip_prefix("0X")).unwrap_or(mask);
        let mut chosen = Vec::new();
        for (place, digit) in (0u32..).zip(digits.chars().rev()) {
            let Some(bits) = digit.to_digit(16) else {
                log::warn!(target: "ovs_numa", "Invalid cpu mask: {digit}");
                continue;
            };
            let is_in =
                |processor: &&Processor| processor.core / 4 == place && bits >> (processor.core % 4) & 1 == 1;
            chosen.extend(self.all.iter().filter(is_in));
        }
        chosen.sort_unstable();
        chosen
    }
}

/// The processors that this thread may use.
pub(crate) fn allowed() -> Vec<u32> {
    let Ok(set) = sched_getaffinity(None) else { return vec![0] };
    (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).map(|cpu| cpu as u32).collect()
}

/// Keeps this thread on one processor.
pub(crate) fn stay_on(core: u32) -> std::io::Result<()> {
    let mut one = CpuSet::new();
    one.set(core as usize);
    Ok(sched_setaffinity(None, &one)?)
}

/// The node of each processor, where the machine has nodes.
fn nodes() -> BTreeMap<u32, u32> {
    let mut found = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir("/sys/devices/system/node") else { return found };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("node")?.parse::<u32>().ok());
        let Some(node) = number else { continue };
        let list = std::fs::read_to_string(entry.path().join("cpulist")).unwrap_or_default();
        found.extend(ranges(list.trim()).map(|core| (core, node)));
    }
    found
}

/// The numbers in a list such as `0-3,8`.
fn ranges(list: &str) -> impl Iterator<Item = u32> {
    list.split(',').flat_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse::<u32>(), last.parse::<u32>()) {
            (Ok(first), Ok(last)) => first..last.saturating_add(1),
            _ => 0..0,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(processors: &[Processor]) -> Vec<u32> {
        processors.iter().map(|processor| processor.core).collect()
    }

    #[test]
    fn masks_choose_among_the_processors_that_there_are() {
        let processors = Processors::dummies("0,0,0,0,1,1,8,8,8");
        let chosen = |mask| cores(&processors.in_mask(mask));
        assert_eq!(chosen("0x3"), [0, 1]);
        assert_eq!(chosen("1fe"), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(chosen("0xF00000"), [] as [u32; 0]);
        assert_eq!(chosen("1z1"), [0, 8], "a digit that is none chooses nothing");
    }

    #[test]
    fn by_default_there_is_one_worker_for_each_dummy_node_or_for_two_processors() {
        assert_eq!(cores(&Processors::dummies("1,0,1,8").by_default(1)), [0, 1, 3]);
        let of = |count: u32, extra| {
            let all = (0..count).map(|core| Processor { core, numa: 0 }).collect();
            cores(&Processors { all, are_real: true }.by_default(extra))
        };
        assert_eq!([of(1, 0), of(2, 0), of(3, 0)], [[0], [0], [0]]);
        assert_eq!([of(4, 0), of(2, 1), of(2, 2)], [[0, 2], [0, 1], [0, 1]]);
        assert_eq!(of(16, 0), [0, 4, 8, 12]);
        assert_eq!(of(16, 2), [0, 1, 2, 4, 8, 12]);
    }

    #[test]
    fn lists_have_ranges() {
        assert!(ranges("0-2,7").eq([0, 1, 2, 7]));
        assert_eq!(ranges("").count(), 0);
    }

    #[test]
    fn the_machine_has_processors() {
        let processors = Processors::of_machine();
        assert!(!processors.all.is_empty() && processors.are_real());
        assert_eq!(cores(&processors.all), allowed());
    }
}
