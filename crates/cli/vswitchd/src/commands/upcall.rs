//! Misses and the flows that they install: `upcall/*`, `revalidator/*`. What is set holds for all datapaths.

use std::fmt::Write;
use std::sync::Arc;

use flowsync::{Bounds, Datapaths};
use ofproto::SharedSwitch;
use rpc::unixctl::Registry;

use super::in_use::datapaths_in_use;

/// What these commands use.
pub(super) struct Upcalls {
    pub(super) switch: Arc<SharedSwitch>,
    pub(super) datapaths: Arc<Datapaths>,
}

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, upcalls: Upcalls) {
    let mut group = registry.group(upcalls);
    group.add("upcall/show", "", 0, 0, |upcalls, _| Ok(show(upcalls)));
    group.add("upcall/set-flow-limit", "flow-limit-number", 1, 1, |upcalls, args| {
        let limit = args[0].parse().map_err(|_| format!("{}: not a number", args[0]))?;
        upcalls.datapaths.set_limits(Bounds { flow_limit: limit, ..Bounds::default() });
        Ok(format!("set flow_limit to {limit}\n"))
    });
    // Flows always have UFIDs here, and dumps always tell all.
    group.add("upcall/disable-ufid", "", 0, 0, |_, _| {
        Ok("Datapath dumping tersely using UFID disabled\n".to_owned())
    });
    group.add("upcall/enable-ufid", "", 0, 0, |_, _| {
        Ok("Datapath dumping tersely using UFID enabled\n".to_owned())
    });
    group.add("upcall/disable-megaflows", "", 0, 0, |upcalls, _| {
        upcalls.datapaths.set_megaflows(false);
        Ok("megaflows disabled\n".to_owned())
    });
    group.add("upcall/enable-megaflows", "", 0, 0, |upcalls, _| {
        upcalls.datapaths.set_megaflows(true);
        Ok("megaflows enabled\n".to_owned())
    });
    group.add("revalidator/wait", "", 0, 0, |upcalls, _| {
        upcalls.datapaths.shared().iter().for_each(|below| below.flows.wait_round());
        Ok(String::new())
    });
    // The reference knows these two without listing them.
    group.add_hidden("revalidator/pause", 0, 0, |upcalls, _| {
        upcalls.datapaths.shared().iter().for_each(|below| below.flows.hold());
        Ok(String::new())
    });
    group.add_hidden("revalidator/resume", 0, 0, |upcalls, _| {
        upcalls.datapaths.shared().iter().for_each(|below| below.flows.release());
        Ok(String::new())
    });
    group.add("revalidator/purge", "", 0, 0, |upcalls, _| {
        upcalls.datapaths.shared().iter().for_each(|below| below.flows.purge());
        Ok(String::new())
    });
}

fn show(upcalls: &Upcalls) -> String {
    let mut out = String::new();
    for below in datapaths_in_use(&upcalls.datapaths, &upcalls.switch) {
        let (keys, count) = (below.flows.flow_count(), below.datapath.stats().flows);
        let (average, most) = below.flows.census();
        // As long as any round takes in the reference.
        let duration = below.flows.round_ms().max(1);
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "{}:\n  flows         : (current {count}) (avg {average}) (max {most}) (limit {})\n  dump duration : {duration}ms\n  ufid enabled : true\n\n  1: (keys {keys})\n",
            below.full_name(),
            below.flows.flow_limit()
        );
    }
    out
}
