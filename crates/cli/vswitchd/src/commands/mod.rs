//! The commands of the control socket (`ovs-appctl`).

mod absent;
mod all_rules;
mod autoattach;
mod bfd;
mod bond;
mod cfm;
mod detrace;
mod dpctl;
mod dpif;
mod dummy;
mod fdb;
mod flow_lines;
mod forks;
mod in_use;
mod mdb;
mod memory;
mod qos;
mod saved;
mod spanning;
mod time;
mod trace;
mod tunnels;
mod upcall;
mod workers;

use std::sync::Arc;

use base::Clock;
use flowsync::Datapaths;
use ofproto::SharedSwitch;
use rpc::unixctl::Registry;

use crate::options::PROGRAM;
use crate::state::State;

/// Those that only tests use.
const OF_TESTS: [&str; 3] = ["time/", "netdev-dummy/", "dpif-dummy/"];

/// All commands. Most belong to a group that shares what it uses; the others are given here what they change. Those of
/// tests are listed where there are dummies.
pub(crate) fn registry(state: &State, has_dummies: bool) -> Registry<State> {
    let mut registry: Registry<State> = Registry::new(&rpc::version_text(PROGRAM));
    registry.add_log_commands();
    absent::register(&mut registry);
    let switch = || Arc::clone(&state.switch);
    let datapaths = || Arc::clone(&state.datapaths);
    let clock = || state.clock.clone();
    bfd::register(&mut registry, Arc::clone(&state.running.monitor));
    cfm::register(&mut registry, Arc::clone(&state.running.monitor));
    let monitor = Arc::clone(&state.running.monitor);
    autoattach::register(&mut registry, autoattach::AutoAttach { switch: switch(), monitor });
    spanning::register(&mut registry, &state.running.monitor);
    bond::register(&mut registry, Arc::clone(&state.running.monitor));
    fdb::register(&mut registry, fdb::Fdb { switch: switch(), clock: clock() });
    mdb::register(&mut registry, fdb::Fdb { switch: switch(), clock: clock() });
    dpif::register(&mut registry, dpif::Dpif { switch: switch(), datapaths: datapaths(), clock: clock() });
    upcall::register(&mut registry, upcall::Upcalls { switch: switch(), datapaths: datapaths() });
    let dpctl = dpctl::Dpctl { switch: switch(), datapaths: datapaths(), clock: clock() };
    dpctl::register(&mut registry, dpctl.clone());
    registry.add("dpctl/del-if", "dp iface...", 2, usize::MAX, move |state, args| {
        let done = dpctl::del_if(&dpctl, args);
        state.running.drop_vanished();
        done
    });
    trace::register(
        &mut registry,
        trace::Tracing { switch: switch(), datapaths: datapaths(), clock: clock() },
    );
    let network = Arc::clone(&state.running.below_tunnels.network);
    tunnels::register(
        &mut registry,
        tunnels::Tunnels { switch: switch(), datapaths: datapaths(), network, clock: clock() },
    );
    dummy::register(&mut registry, datapaths());
    qos::register(&mut registry, qos::Devices { switch: switch(), datapaths: datapaths() });
    workers::register(&mut registry, workers::Teams { switch: switch(), datapaths: datapaths() });
    register_rules(&mut registry, Rules { switch: switch(), datapaths: datapaths(), clock: clock() });
    register_changes(&mut registry);
    if !has_dummies {
        OF_TESTS.iter().for_each(|prefix| registry.hide(prefix));
    }
    let of_datapaths = registry.listing("dpctl/");
    registry.add("dpctl/list-commands", "", 0, usize::MAX, move |_, _| Ok(of_datapaths.clone()));
    registry
}

/// Those that look at, or change, what the control thread alone has.
fn register_changes(registry: &mut Registry<State>) {
    registry.add("memory/show", "", 0, 0, |state, _| {
        Ok(memory::show(&state.switch, &state.datapaths, state.replica.tables(), &state.running.manager))
    });
    registry.add("coverage/show", "", 0, 0, |state, _| Ok(state.coverage.show()));
    registry.add("coverage/read-counter", "counter", 1, 1, |_, args| read_counter(&args[0]));
    registry.add("exit", "[--cleanup]", 0, 1, |state, args| exit(&mut state.exit_asked, args));
    registry.add("bridge/reconnect", "[bridge]", 0, 1, |state, args| {
        let bridge = match args.first() {
            Some(name) => Some(state.switch.read().named(name).ok_or("Unknown bridge")?.id()),
            None => None,
        };
        state.running.manager.reconnect(bridge);
        Ok(String::new())
    });
    registry.add("bridge/save", "bridge", 1, 1, |state, args| {
        saved::save(&state.running.manager, &state.switch, &args[0])
    });
    registry.add("bridge/restore", "bridge file", 2, 2, |state, args| {
        saved::restore(&mut state.running.manager, &state.switch, &args[0], &args[1])
    });
    registry.add("bridge/clear", "bridge", 1, 1, |state, args| {
        saved::clear(&mut state.running.manager, &state.switch, &args[0])
    });
    registry.add("netdev/keep", "", 0, 0, |state, _| {
        state.is_followed = true;
        Ok(saved::keep_devices(&state.datapaths))
    });
    registry.add("netdev/release", "name...", 1, usize::MAX, |state, args| {
        saved::release_devices(&state.datapaths, args)
    });
    registry.add("dpif/show-dp-features", "bridge", 1, 1, |state, arguments| {
        state.running.show_features(&arguments[0])
    });
    registry.add("dpif/set-dp-features", "[--force] bridge [feature [value]]", 1, 4, |state, arguments| {
        dpif::set_feature(&mut state.running, arguments)
    });
    registry.add("dpif/dump-dps", "", 0, 0, |state, _| Ok(dpif::dump_bridges(&state.running)));
    registry.add("dpif-dummy/change-port-number", "dp port new-number", 3, 3, |state, args| {
        dummy::change_port_number(&state.datapaths, &state.switch, &mut state.running, args)
    });
    registry.add("time/stop", "", 0, 0, |state, _| {
        state.clock.stop();
        Ok(String::new())
    });
    registry.add("time/warp", "[large_msecs] msecs", 1, 2, |state, args| {
        time::warp(args, |step| {
            state.clock.warp(step);
            state.running.manager.leap(step);
            state.datapaths.shared().iter().for_each(|below| below.flows.wait_round());
            state.running.monitor.run();
            state.tick();
            // What neighbours answer is heard before the time goes on.
            state.datapaths.poll_dummies();
            state.running.monitor.run();
            // Who is answered finds that controllers were told.
            state.running.tell_ports();
        })
    });
}

/// What commands about the rules of bridges use.
struct Rules {
    switch: Arc<SharedSwitch>,
    datapaths: Arc<Datapaths>,
    clock: Clock,
}

fn register_rules<C: 'static>(registry: &mut Registry<C>, rules: Rules) {
    let mut group = registry.group(rules);
    group.add("ofproto/list", "", 0, 0, |rules, _| {
        let switch = rules.switch.read();
        let mut names: Vec<&str> = switch.bridges().map(|bridge| bridge.name()).collect();
        names.sort_unstable();
        Ok(names.iter().map(|name| format!("{name}\n")).collect())
    });
    group.add("ofproto/detrace", "UFID [pmd=PMD-ID]", 1, 2, |rules, args| {
        detrace::detrace(&rules.datapaths, &rules.switch, rules.clock.now(), args)
    });
    group.add("bridge/dump-flows", "[--offload-stats] bridge", 1, 2, |rules, args| {
        all_rules::dump(&rules.datapaths, &rules.switch, rules.clock.now(), args)
    });
}

/// Counters that the reference has and that nothing here makes count.
const NEVER_COUNT: [&str; 4] =
    ["dp_packet_batch_grow", "dpif_flow_put_error", "handler_duplicate_upcall", "revalidate_missed_dp_flow"];

fn read_counter(name: &str) -> Result<String, String> {
    base::coverage::read(name)
        .or_else(|error| if NEVER_COUNT.contains(&name) { Ok("0\n".to_owned()) } else { Err(error) })
}

fn exit(is_asked: &mut bool, args: &[String]) -> Result<String, String> {
    match args.first().map(String::as_str) {
        // What the switch made goes with the process; there is nothing left to clean up.
        None | Some("--cleanup") => {
            *is_asked = true;
            Ok(String::new())
        }
        Some(other) => Err(format!("{other}: the only option is --cleanup")),
    }
}

/// An interface, if one is named before the last word, and whether the last word is true or false; `None` for "normal".
fn of_interface(args: &[String]) -> Result<(Option<&str>, Option<bool>), String> {
    let wrong = || "unknown fault string".to_owned();
    let (word, before) = args.split_last().ok_or_else(wrong)?;
    let forced = match word.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        "normal" => None,
        _ => return Err(wrong()),
    };
    Ok((before.first().map(String::as_str), forced))
}

/// The bridge of this name, or the refusal.
fn bridge_named<'a>(switch: &'a ofproto::Switch, name: &str) -> Result<&'a ofproto::Bridge, String> {
    switch.named(name).ok_or_else(|| "no such bridge".to_owned())
}
