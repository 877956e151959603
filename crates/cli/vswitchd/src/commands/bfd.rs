//! `bfd/*`: sessions with neighbours.

use std::sync::Arc;

use protocols::Monitor;
use rpc::unixctl::Registry;

const NO_SESSION: &str = "no such bfd object";

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, monitor: Arc<Monitor>) {
    let mut group = registry.group(monitor);
    group.add("bfd/show", "[interface]", 0, 1, |monitor, args| {
        monitor.show_bfd(args.first().map(String::as_str)).ok_or_else(|| NO_SESSION.to_owned())
    });
    group.add("bfd/set-forwarding", "[interface] normal|false|true", 1, 2, |monitor, args| {
        let (interface, forwarding) = match args {
            [interface, forwarding] => (Some(interface.as_str()), forwarding),
            [forwarding, ..] => (None, forwarding),
            [] => return Err("unknown fault string".to_owned()),
        };
        let forwarding = match forwarding.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            "normal" => None,
            _ => return Err("unknown fault string".to_owned()),
        };
        if monitor.force_bfd(interface, forwarding) {
            Ok("OK".to_owned())
        } else {
            Err("no such BFD object".to_owned())
        }
    });
}
