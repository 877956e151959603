//! The threads that forward, and their queues: `dpif-netdev/pmd-*`; what they share among members of bonds.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dp::{Datapath, LOAD_INTERVAL, LOAD_INTERVALS, Performance, WorkerInfo, Workers};
use flowsync::Datapaths;
use ofproto::SharedSwitch;
use rpc::unixctl::Registry;

use super::in_use::datapaths_in_use;

/// What these commands use.
pub(super) struct Teams {
    pub(super) switch: Arc<SharedSwitch>,
    pub(super) datapaths: Arc<Datapaths>,
}

const NO_DATAPATH: &str = "please specify an existing datapath";

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, teams: Teams) {
    let mut group = registry.group(teams);
    group.add("dpif-netdev/pmd-rxq-show", "[-pmd core] [-secs secs] [dp]", 0, 5, show_queues);
    group.add(
        "dpif-netdev/pmd-perf-show",
        "[-nh] [-it iter-history-len] [-ms ms-history-len] [-pmd core] [dp]",
        0,
        8,
        show_performance,
    );
    // Its older name.
    group.add("dpif-netdev/pmd-stats-show", "", 0, 8, show_performance);
    group.add("dpif-netdev/pmd-stats-clear", "[-pmd core] [dp]", 0, 3, clear);
    group.add("dpif-netdev/pmd-sleep-show", "[dp]", 0, 1, show_sleep);
    group.add("dpif-netdev/bond-show", "[dp]", 0, 1, |teams, args| {
        let datapath = teams.find(args.first().map(String::as_str)).ok_or(NO_DATAPATH)?;
        Ok(show_bonds(&*datapath))
    });
    group.add("dpif-netdev/pmd-rxq-rebalance", "[dp]", 0, 1, |teams, args| {
        let datapath = teams.find(args.first().map(String::as_str)).ok_or(NO_DATAPATH)?;
        workers(&*datapath)?.rebalance();
        Ok("pmd rxq rebalance requested.\n".to_owned())
    });
}

/// The bonds that a datapath balances, with the port of each part.
fn show_bonds(datapath: &dyn Datapath) -> String {
    let mut out = String::new();
    for (index, (bond, members)) in datapath.bonds().into_iter().enumerate() {
        if index == 0 {
            out.push_str("Bonds:\n");
        }
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  bond-id {bond}:");
        for (bucket, member) in members.iter().enumerate() {
            let _ = writeln!(out, "    bucket {bucket} - member {}", member.0);
        }
    }
    out
}

/// What the words of a command ask for.
struct Asked {
    datapath: Arc<dyn Datapath>,
    core: Option<u32>,
    seconds: u64,
}

impl Asked {
    /// Whether a worker is to be shown.
    fn wants(&self, core: u32) -> bool {
        self.core.is_none_or(|wanted| wanted == core)
    }

    /// Whether the threads that are no workers are.
    fn wants_main(&self) -> bool {
        self.core.is_none()
    }
}

fn workers(datapath: &dyn Datapath) -> Result<&dyn Workers, String> {
    datapath.workers().ok_or_else(|| NO_DATAPATH.to_owned())
}

impl Teams {
    /// The datapath of this name; without one, the only one that there is.
    fn find(&self, name: Option<&str>) -> Option<Arc<dyn Datapath>> {
        let in_use = datapaths_in_use(&self.datapaths, &self.switch).into_iter().map(|below| below.datapath);
        let by_hand = self.datapaths.by_hand().into_iter().map(|(_, datapath)| datapath);
        let mut all: Vec<Arc<dyn Datapath>> = in_use.chain(by_hand).collect();
        if let Some(found) = name.and_then(|name| all.iter().find(|datapath| datapath.name() == name)) {
            return Some(Arc::clone(found));
        }
        if all.len() == 1 { all.pop() } else { None }
    }

    fn parse(&self, words: &[String], has_seconds: bool) -> Result<Asked, String> {
        let most = LOAD_INTERVAL.as_secs() * LOAD_INTERVALS as u64;
        let (mut name, mut core, mut seconds) = (None, None, most);
        let mut words = words.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            match word {
                "-pmd" if words.peek().is_some() => {
                    core = words.next().and_then(|text| text.parse().ok()).or(core);
                }
                "-secs" if has_seconds && words.peek().is_some() => {
                    let asked: Option<u64> = words.next().and_then(|text| text.parse().ok());
                    seconds = asked.filter(|asked| (1..=most).contains(asked)).unwrap_or(most);
                }
                other => name = Some(other),
            }
        }
        let datapath = self.find(name).ok_or(NO_DATAPATH)?;
        Ok(Asked { datapath, core, seconds })
    }
}

/// Parts of a whole as the reference rounds them.
fn percent(part: Duration, whole: Duration) -> f64 {
    part.as_secs_f64() * 100.0 / whole.as_secs_f64()
}

fn show_queues(teams: &Teams, words: &[String]) -> Result<String, String> {
    let asked = teams.parse(words, true)?;
    let intervals = asked.seconds.div_ceil(LOAD_INTERVAL.as_secs());
    let seconds = intervals * LOAD_INTERVAL.as_secs();
    let mut out = format!("Displaying last {seconds} seconds pmd usage %\n");
    for worker in workers(&*asked.datapath)?.workers(intervals as usize) {
        if asked.wants(worker.core) {
            format_queues(&mut out, &worker);
        }
    }
    Ok(out)
}

fn format_queues(out: &mut String, worker: &WorkerInfo) {
    let usage = |busy: Duration| match worker.time {
        Some(time) => format!("{:2.0} %", percent(busy, time)),
        None => "NOT AVAIL".to_owned(),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "pmd thread numa_id {} core_id {}:\n  isolated : {}",
        worker.numa, worker.core, worker.is_isolated
    );
    for queue in &worker.queues {
        let _ = writeln!(
            out,
            "  port: {:<16}  queue-id: {:2} (enabled)   pmd usage: {}",
            queue.port,
            queue.queue,
            usage(queue.busy)
        );
    }
    if !worker.queues.is_empty() {
        let queues: Duration = worker.queues.iter().map(|queue| queue.busy).sum();
        let busy = worker.time.map_or(worker.busy, |time| worker.busy.min(time));
        let _ = writeln!(out, "  overhead: {}", usage(busy.saturating_sub(queues)));
    }
}

fn show_sleep(teams: &Teams, words: &[String]) -> Result<String, String> {
    let asked = teams.parse(words, false)?;
    let workers = workers(&*asked.datapath)?;
    let mut out = format!("Default max sleep: {:4} us\n", workers.default_max_sleep_us());
    for worker in workers.workers(0) {
        let WorkerInfo { core, numa, max_sleep_us, .. } = worker;
        let _ = writeln!(out, "pmd thread numa_id {numa} core_id {core}:\n  max sleep: {max_sleep_us:4} us");
    }
    Ok(out)
}

fn clear(teams: &Teams, words: &[String]) -> Result<String, String> {
    let asked = teams.parse(words, false)?;
    let workers = workers(&*asked.datapath)?;
    for worker in workers.workers(0).iter().filter(|worker| asked.wants(worker.core)) {
        workers.clear_performance(Some(worker.core));
    }
    if asked.wants_main() {
        workers.clear_performance(None);
    }
    Ok(String::new())
}

fn show_performance(teams: &Teams, words: &[String]) -> Result<String, String> {
    let mut rest = words;
    loop {
        rest = match rest {
            [word, rest @ ..] if word == "-nh" => rest,
            // There is no history of single iterations.
            [word, _, rest @ ..] if word == "-it" || word == "-ms" => rest,
            _ => break,
        };
    }
    let asked = teams.parse(rest, false)?;
    let workers = workers(&*asked.datapath)?;
    let time = base::time::wall_text("%H:%M:%S.###", SystemTime::now());
    let mut out = String::new();
    for worker in workers.workers(0).iter().filter(|worker| asked.wants(worker.core)) {
        let heading = format!("pmd thread numa_id {} core_id {}", worker.numa, worker.core);
        if let Some(performance) = workers.performance(Some(worker.core)) {
            format_performance(&mut out, &time, &heading, &performance, true);
        }
    }
    if asked.wants_main()
        && let Some(performance) = workers.performance(None)
    {
        format_performance(&mut out, &time, "main thread", &performance, false);
    }
    Ok(out)
}

/// `part` of `whole`, and nothing of nothing.
fn ratio(part: f64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part / whole as f64 }
}

fn format_performance(out: &mut String, time: &str, heading: &str, done: &Performance, has_iterations: bool) {
    let duration = done.duration.as_secs_f64();
    let _ = write!(out, "\nTime: {time}\nMeasurement duration: {duration:.3} s\n\n{heading}:\n\n");
    if done.duration.is_zero() {
        return;
    }
    let iterations = done.idle_iterations + done.busy_iterations;
    let used = done.idle_ns + done.busy_ns;
    if has_iterations {
        let all = (used + done.sleep_ns) as f64 / 1000.0;
        let share = |part: u64| ratio(100.0 * part as f64, used);
        let _ = write!(
            out,
            "  Iterations:         {iterations:12}  ({:.2} us/it)\n  - Used TSC cycles:  {used:12}  ({:5.1} % of total \
             cycles)\n  - idle iterations:  {:12}  ({:5.1} % of used cycles)\n  - busy iterations:  {:12}  ({:5.1} % of \
             used cycles)\n  - sleep iterations: {:12}  ({:5.1} % of iterations)\n  Sleep time (us):    {:12.0}  \
             ({:3.0} us/iteration avg.)\n",
            ratio(all, iterations),
            100.0 * used as f64 / 1e9 / duration,
            done.idle_iterations,
            share(done.idle_ns),
            done.busy_iterations,
            share(done.busy_ns),
            done.sleeps,
            ratio(100.0 * done.sleeps as f64, iterations),
            done.sleep_ns as f64 / 1000.0,
            ratio(done.sleep_ns as f64 / 1000.0, done.sleeps),
        );
    }
    format_packets(out, done, iterations > 0);
}

fn format_packets(out: &mut String, done: &Performance, has_iterations: bool) {
    let duration = done.duration.as_secs_f64();
    let rate = |packets: u64| packets as f64 / duration / 1000.0;
    if done.received == 0 {
        let _ = writeln!(out, "  Rx packets:         {:12}", 0);
    } else {
        let passes = done.received + done.recirculated;
        let share = |part: u64| ratio(100.0 * part as f64, passes);
        let _ = write!(out, "  Rx packets:         {:12}  ({:.0} Kpps", done.received, rate(done.received));
        if has_iterations {
            let _ = write!(out, ", {:.0} cycles/pkt", ratio(done.busy_ns as f64, done.received));
        }
        let _ = write!(
            out,
            ")\n  Datapath passes:    {passes:12}  ({:.2} passes/pkt)\n  - PHWOL hits:       {:12}  ({:5.1} %)\n  - \
             Simple Match hits:{:12}  ({:5.1} %)\n  - EMC hits:         {:12}  ({:5.1} %)\n  - SMC hits:         {:12}  \
             ({:5.1} %)\n  - Megaflow hits:    {:12}  ({:5.1} %, {:.2} subtbl lookups/hit)\n  - Upcalls:          {:12}  \
             ({:5.1} %",
            ratio(passes as f64, done.received),
            0,
            0.0,
            0,
            0.0,
            done.cache_hits,
            share(done.cache_hits),
            0,
            0.0,
            done.table_hits,
            share(done.table_hits),
            ratio(done.subtables as f64, done.table_hits),
            done.missed,
            share(done.missed),
        );
        if has_iterations {
            let _ = write!(out, ", {:.1} us/upcall", ratio(done.miss_ns as f64 / 1000.0, done.missed));
        }
        let _ = write!(out, ")\n  - Lost upcalls:     {:12}  ({:5.1} %)\n", done.lost, share(done.lost));
    }
    if done.sent == 0 {
        let _ = writeln!(out, "  Tx packets:         {:12}\n", 0);
    } else {
        let _ = write!(
            out,
            "  Tx packets:         {:12}  ({:.0} Kpps)\n  Tx batches:         {:12}  ({:.2} pkts/batch)\n",
            done.sent,
            rate(done.sent),
            done.batches,
            ratio(done.sent as f64, done.batches),
        );
    }
}
