//! What a restart carries over: `bridge/save`, `bridge/restore` and `bridge/clear` for what bridges have, `netdev/keep`
//! and `netdev/release` for the devices of internal ports.

use controller::Manager;
use flowsync::Datapaths;
use ofproto::SharedSwitch;

use super::bridge_named;

pub(super) fn save(manager: &Manager, switch: &SharedSwitch, name: &str) -> Result<String, String> {
    let id = bridge_named(&switch.read(), name)?.id();
    manager.save(id).ok_or_else(|| "no such bridge".to_owned())
}

pub(super) fn clear(manager: &mut Manager, switch: &SharedSwitch, name: &str) -> Result<String, String> {
    let id = bridge_named(&switch.read(), name)?.id();
    manager.clear(id);
    Ok(String::new())
}

/// Lets devices of internal ports outlive the process; their names.
pub(super) fn keep_devices(datapaths: &Datapaths) -> String {
    let kept = datapaths.shared().into_iter().flat_map(|below| below.datapath.keep_internal_devices());
    kept.map(|name| format!("{name}\n")).collect()
}

/// Takes that back, of those whose ports have gone too.
pub(super) fn release_devices(datapaths: &Datapaths, names: &[String]) -> Result<String, String> {
    let netdev = datapaths.below("netdev").map_err(|error| error.to_string())?;
    let shared = datapaths.shared();
    let release = |name: &String| {
        let owner = shared.iter().find(|below| below.datapath.port_by_name(name).is_some());
        let done = owner.unwrap_or(&netdev).datapath.release_internal_device(name);
        done.map_err(|e| format!("{name}: {}", rpc::error_text(&e)))
    };
    names.iter().try_for_each(release).map(|()| String::new())
}

/// Makes a bridge what a file says. On an error it forwards nothing.
pub(super) fn restore(
    manager: &mut Manager,
    switch: &SharedSwitch,
    name: &str,
    path: &str,
) -> Result<String, String> {
    let id = bridge_named(&switch.read(), name)?.id();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) => {
            manager.clear(id);
            let why = format!("{path}: {}", rpc::error_text(&e));
            log::error!(target: "ofproto", "{name}: nothing is forwarded, since its rules cannot be restored: {why}");
            return Err(why);
        }
    };
    manager.restore(id, &text).map_err(|e| format!("{path}: {e}"))?;
    Ok(String::new())
}
