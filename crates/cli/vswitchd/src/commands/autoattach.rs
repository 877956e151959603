//! `autoattach/*`: link layer discovery with auto-attach.

use std::sync::Arc;

use ofproto::SharedSwitch;
use pipeline::BridgeId;
use protocols::Monitor;
use rpc::unixctl::Registry;

/// What the commands look at.
pub(super) struct AutoAttach {
    pub(super) switch: Arc<SharedSwitch>,
    pub(super) monitor: Arc<Monitor>,
}

/// What a command shows, of a bridge or of all.
type Shown = fn(&Monitor, Option<BridgeId>) -> String;

pub(super) fn register<C: 'static>(registry: &mut Registry<C>, auto_attach: AutoAttach) {
    let mut group = registry.group(auto_attach);
    let commands: [(&str, Shown); 3] = [
        ("autoattach/status", Monitor::show_servers),
        ("autoattach/show-isid", Monitor::show_services),
        ("autoattach/statistics", Monitor::show_discovery_statistics),
    ];
    for (name, show) in commands {
        group.add(name, "[bridge]", 0, 1, move |auto_attach, args| {
            let switch = auto_attach.switch.read();
            let bridge = args.first().map(|name| super::bridge_named(&switch, name)).transpose()?;
            let bridge = bridge.map(ofproto::Bridge::id);
            drop(switch);
            Ok(show(&auto_attach.monitor, bridge))
        });
    }
}
