//! `cfm/*`: connectivity checks.

use std::sync::Arc;

use protocols::Monitor;
use rpc::unixctl::Registry;

const NO_SESSION: &str = "no such CFM object";

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, monitor: Arc<Monitor>) {
    let mut group = registry.group(monitor);
    group.add("cfm/show", "[interface]", 0, 1, |monitor, args| {
        monitor.show_cfm(args.first().map(String::as_str)).ok_or_else(|| NO_SESSION.to_owned())
    });
    group.add("cfm/set-fault", "[interface] normal|false|true", 1, 2, |monitor, args| {
        let (interface, fault) = super::of_interface(args)?;
        if monitor.force_cfm(interface, fault) { Ok("OK".to_owned()) } else { Err(NO_SESSION.to_owned()) }
    });
}
