//! `bfd/*`: sessions with neighbours.

use std::sync::Arc;

use protocols::Monitor;
use rpc::unixctl::Registry;

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, monitor: Arc<Monitor>) {
    let mut group = registry.group(monitor);
    group.add("bfd/show", "[interface]", 0, 1, |monitor, args| {
        monitor.show_bfd(args.first().map(String::as_str)).ok_or_else(|| "no such bfd object".to_owned())
    });
    group.add("bfd/set-forwarding", "[interface] normal|false|true", 1, 2, |monitor, args| {
        let (interface, forwarding) = super::of_interface(args)?;
        let is_found = monitor.force_bfd(interface, forwarding);
        if is_found { Ok("OK".to_owned()) } else { Err("no such BFD object".to_owned()) }
    });
}
