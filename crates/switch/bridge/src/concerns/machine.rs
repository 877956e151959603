//! `Open_vSwitch.statistics`: what the machine has and uses, in the form of ovs-vswitchd.conf.db(5), while
//! `other_config:enable-statistics` asks for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use base::Timestamp;
use replica::Row;
use schema::open_vswitch;

use super::Concern;
use crate::desired::Desired;
use crate::extent::Extent;
use crate::running::Running;
use crate::status::{Report, Reporting};
use crate::writer::texts;

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// Ticks of a processor's time in a second, as /proc counts them on Linux.
const TICKS_PER_SECOND: u64 = 100;

type Statistics = BTreeMap<String, String>;

pub(crate) struct Machine;

impl Concern for Machine {
    fn finish(&self, running: &mut Running, desired: &Desired) {
        running.machine.set_enabled(desired.wants_machine_statistics);
    }

    fn tick(&self, running: &mut Running, now: Timestamp) -> Extent {
        if running.machine.collect(now) { Extent::MACHINE } else { Extent::default() }
    }

    /// Writes what is new, once.
    fn report_switch(&self, out: &mut Reporting, report: &Report<'_>, root: &Row) {
        let machine = &report.running.machine;
        out.told.machine = machine.serial;
        if report.told.machine != machine.serial {
            let columns = vec![(open_vswitch::STATISTICS, texts(machine.latest.clone()))];
            out.writer.write(open_vswitch::NAME_OF_TABLE, root, columns);
        }
    }
}

/// What is to be written, and when it was collected.
#[derive(Debug, Default)]
pub(crate) struct MachineStatistics {
    is_enabled: bool,
    collected: Option<Timestamp>,
    latest: Statistics,
    /// Moves with everything new.
    serial: u64,
}

impl MachineStatistics {
    /// Starts or stops collecting. Who does not collect shows nothing.
    pub(crate) fn set_enabled(&mut self, is_enabled: bool) {
        if !is_enabled {
            self.latest.clear();
            self.serial += 1;
            self.collected = None;
        }
        self.is_enabled = is_enabled;
    }

    /// Collects, if it is time. Returns whether there is something new to write.
    pub(crate) fn collect(&mut self, now: Timestamp) -> bool {
        let is_due = self.is_enabled && self.collected.is_none_or(|last| now - last >= INTERVAL);
        if is_due {
            self.collected = Some(now);
            self.latest = collect(&rpc::dirs::rundir());
            self.serial += 1;
        }
        is_due
    }
}

fn collect(rundir: &Path) -> Statistics {
    let mut all = Statistics::new();
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            all.insert(key.to_owned(), value);
        }
    };
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    put("cpu", std::thread::available_parallelism().ok().map(|cores| cores.to_string()));
    put("load_average", load_average(&read("/proc/loadavg")));
    put("memory", memory(&read("/proc/meminfo")));
    put("file_systems", file_systems(&read("/proc/self/mounts"), space));
    all.extend(processes(rundir, &read("/proc/uptime")));
    all
}

/// The three averages, joined by commas.
fn load_average(text: &str) -> Option<String> {
    let averages: Vec<&str> = text.split_whitespace().take(3).collect();
    (averages.len() == 3).then(|| averages.join(","))
}

/// Kilobytes of memory: all, used, caches; of swap: all, used.
fn memory(text: &str) -> Option<String> {
    let of = |key: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    let total = of("MemTotal");
    let (cache, swap) = (of("Buffers") + of("Cached"), of("SwapTotal"));
    let (used, swap_used) = (total.saturating_sub(of("MemFree")), swap.saturating_sub(of("SwapFree")));
    (total > 0).then(|| format!("{total},{used},{cache},{swap},{swap_used}"))
}

/// Kilobytes of the file systems on disks that may be written to: place, all, used; `space` tells the last two.
fn file_systems(mounts: &str, space: impl Fn(&str) -> Option<(u64, u64)>) -> Option<String> {
    let entries = mounts.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (device, place, _, options) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let is_local = device.starts_with("/dev") && options.split(',').any(|option| option == "rw");
        let place = place.replace("\\040", " ");
        let (total, used) = is_local.then(|| space(&place)).flatten()?;
        Some(format!("{},{total},{used}", place.replace([' ', ','], "_")))
    });
    let all = entries.collect::<Vec<_>>().join(" ");
    (!all.is_empty()).then_some(all)
}

/// Kilobytes of a file system, and how many of them are used.
fn space(place: &str) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(place).ok()?;
    let kilobytes = |blocks: u64| blocks.saturating_mul(found.f_frsize) / 1024;
    let (total, free) = (kilobytes(found.f_blocks), kilobytes(found.f_bfree));
    Some((total, total.saturating_sub(free)))
}

/// The daemons that have left a pidfile: size and resident size in kilobytes, processor time in milliseconds, crashes,
/// milliseconds since the program and since its process began, the processor it was on.
fn processes(rundir: &Path, uptime: &str) -> Statistics {
    let mut all = Statistics::new();
    let Ok(entries) = fs::read_dir(rundir) else { return all };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "pid") {
            continue;
        }
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u32>().ok());
        let Some(pid) = pid else { continue };
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let shown = process(&read("stat"), &read("status"), uptime).unwrap_or_default();
        all.insert(format!("process_{name}"), shown);
    }
    all
}

fn process(stat: &str, status: &str, uptime: &str) -> Option<String> {
    // The name in parentheses may hold anything; the fields after it are counted from the third.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| -> Option<u64> { fields.get(number.checked_sub(3)?)?.parse().ok() };
    let (user, system, began) = (field(14)?, field(15)?, field(22)?);
    let (size, core) = (field(23)? / 1024, field(39)?);
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
    let resident = resident.unwrap_or("0");
    let millis = |ticks: u64| ticks * 1000 / TICKS_PER_SECOND;
    let since_boot: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let age = ((since_boot * 1000.0) as u64).saturating_sub(millis(began));
    let busy = millis(user + system);
    Some(format!("{size},{resident},{busy},0,{age},{age},{core}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_into_the_documented_form() {
        assert_eq!(load_average("3.05 3.07 3.10 1/200 7\n").as_deref(), Some("3.05,3.07,3.10"));
        assert_eq!(load_average(""), None);
        let meminfo = "MemTotal: 100 kB\nMemFree: 30 kB\nMemAvailable: 60 kB\nBuffers: 5 kB\nCached: 20 kB\n\
                       SwapCached: 9 kB\nSwapTotal: 50 kB\nSwapFree: 40 kB\n";
        assert_eq!(memory(meminfo).as_deref(), Some("100,70,25,50,10"));
        assert_eq!(memory(""), None);
        let mounts = "/dev/vda / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\n/dev/vdb /mnt\\040a ext4 rw 0 0\n\
                      /dev/vdc /cd iso9660 ro 0 0\n";
        let spaces = file_systems(mounts, |place| Some((if place == "/mnt a" { 8 } else { 9 }, 1)));
        assert_eq!(spaces.as_deref(), Some("/,9,1 /mnt_a,8,1"));
    }

    #[test]
    fn a_process_is_told_by_its_stat() {
        let mut fields: Vec<String> = (3..=52).map(|number: u32| number.to_string()).collect();
        for (number, value) in [(14, "7"), (15, "3"), (22, "500"), (23, "20480"), (39, "1")] {
            fields[number - 3] = value.to_owned();
        }
        let stat = format!("77 (a) b) {}", fields.join(" "));
        let status = "Name:\ta) b\nVmRSS:\t       8 kB\n";
        assert_eq!(process(&stat, status, "15.5 9").as_deref(), Some("20,8,100,0,10500,10500,1"));
        assert_eq!(process("", "", "15.5 9"), None);
    }

    #[test]
    fn they_are_collected_at_intervals_and_only_on_request() {
        let mut machine = MachineStatistics::default();
        let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
        assert!(!machine.collect(at(1)));
        machine.set_enabled(true);
        assert!(machine.collect(at(2)) && !machine.collect(at(6)));
        assert!(machine.latest.contains_key("memory"));
        let first = machine.serial;
        assert!(machine.collect(at(7)) && machine.serial != first);
        machine.set_enabled(false);
        assert!(machine.latest.is_empty() && !machine.collect(at(20)));
    }
}
