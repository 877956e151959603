//! The commands of the control socket (`ovs-appctl`).

mod absent;
pub(crate) mod dpctl;
mod dpif;
mod dummy;
mod fdb;
mod flow_lines;
mod memory;
mod saved;
mod time;
mod trace;

use rpc::unixctl::Registry;

use crate::options::PROGRAM;
use crate::switchd::State;

/// All commands.
pub(crate) fn registry() -> Registry<State> {
    let mut registry = Registry::new(&rpc::version_text(PROGRAM));
    registry.add_log_commands();
    absent::register(&mut registry);
    registry.add("memory/show", "", 0, 0, |state: &mut State, _| Ok(memory::show(state)));
    registry.add("coverage/show", "", 0, 0, |state: &mut State, _| Ok(state.coverage.show()));
    registry.add("coverage/read-counter", "counter", 1, 1, |_, args| read_counter(&args[0]));
    registry.add("exit", "[--cleanup]", 0, 1, exit);
    registry.add("ofproto/list", "", 0, 0, |state, _| {
        let switch = state.switch.read();
        let mut names: Vec<&str> = switch.bridges().map(|bridge| bridge.name()).collect();
        names.sort_unstable();
        Ok(names.iter().map(|name| format!("{name}\n")).collect())
    });
    registry.add("bridge/dump-flows", "[--offload-stats] bridge", 1, 2, dump_rules);
    registry.add("bridge/reconnect", "[bridge]", 0, 1, |state, args| {
        let bridge = match args.first() {
            Some(name) => Some(state.switch.read().named(name).ok_or("Unknown bridge")?.id()),
            None => None,
        };
        state.manager.reconnect(bridge);
        Ok(String::new())
    });
    saved::register(&mut registry);
    fdb::register(&mut registry);
    dpif::register(&mut registry);
    dpctl::register(&mut registry);
    trace::register(&mut registry);
    time::register(&mut registry);
    dummy::register(&mut registry);
    registry
}

/// All rules of a bridge, hidden ones too.
fn dump_rules(state: &mut State, args: &[String]) -> Result<String, String> {
    use std::fmt::Write;
    let offload = args[0] == "--offload-stats";
    let name = args.last().filter(|_| !offload || args.len() == 2).ok_or("No bridge specified")?;
    state.flows.credit();
    let now = state.clock.now();
    let switch = state.switch.read();
    let bridge = switch.named(name).ok_or("Unknown bridge")?;
    let mut out = String::new();
    for entry in bridge.tables().flat_map(ofproto::Table::entries) {
        let rule = &entry.rule;
        if rule.cookie != 0 {
            let _ = write!(out, "cookie=0x{:x}, ", rule.cookie);
        }
        if rule.table.0 != 0 {
            let _ = write!(out, "table_id={}, ", rule.table.0);
        }
        let _ = write!(out, "duration={}s, ", (now - entry.created).as_secs());
        let _ = write!(out, "n_packets={}, n_bytes={}, ", rule.counters.packets(), rule.counters.bytes());
        if offload {
            out.push_str("n_offload_packets=0, n_offload_bytes=0, ");
        }
        rule.matching.format(&mut out, None, rule.priority);
        out.push_str(",actions=");
        ofp::format_actions(&rule.actions, &mut out, ofp::Names::default());
        out.push('\n');
    }
    Ok(out)
}

/// Counters that the reference has and that nothing here makes count.
const NEVER_COUNT: [&str; 4] =
    ["dp_packet_batch_grow", "dpif_flow_put_error", "handler_duplicate_upcall", "revalidate_missed_dp_flow"];

fn read_counter(name: &str) -> Result<String, String> {
    base::coverage::read(name)
        .or_else(|error| if NEVER_COUNT.contains(&name) { Ok("0\n".to_owned()) } else { Err(error) })
}

fn exit(state: &mut State, args: &[String]) -> Result<String, String> {
    match args.first().map(String::as_str) {
        // What the switch made goes with the process; there is nothing left to clean up.
        None | Some("--cleanup") => {
            state.exit_asked = true;
            Ok(String::new())
        }
        Some(other) => Err(format!("{other}: the only option is --cleanup")),
    }
}

/// The bridge of this name, or the refusal.
fn bridge_named<'a>(switch: &'a ofproto::Switch, name: &str) -> Result<&'a ofproto::Bridge, String> {
    switch.named(name).ok_or_else(|| "no such bridge".to_owned())
}
