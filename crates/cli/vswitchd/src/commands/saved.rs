//! What a restart carries over: `bridge/save`, `bridge/restore` and `bridge/clear` for what bridges have, `netdev/keep`
//! and `netdev/release` for the devices of internal ports.

use rpc::unixctl::Registry;

use super::bridge_named;
use crate::switchd::State;

pub(super) fn register(registry: &mut Registry<State>) {
    registry.add("bridge/save", "bridge", 1, 1, |state, args| {
        let id = bridge_named(&state.switch.read(), &args[0])?.id();
        state.manager.save(id).ok_or_else(|| "no such bridge".to_owned())
    });
    registry.add("bridge/restore", "bridge file", 2, 2, restore);
    registry.add("netdev/keep", "", 0, 0, |state, _| {
        Ok(state.datapath.keep_internal_devices().iter().map(|name| format!("{name}\n")).collect())
    });
    registry.add("netdev/release", "name...", 1, usize::MAX, |state, args| {
        let release = |name: &String| {
            let done = state.datapath.release_internal_device(name);
            done.map_err(|e| format!("{name}: {}", rpc::error_text(&e)))
        };
        args.iter().try_for_each(release).map(|()| String::new())
    });
    registry.add("bridge/clear", "bridge", 1, 1, |state, args| {
        let id = bridge_named(&state.switch.read(), &args[0])?.id();
        state.manager.clear(id);
        Ok(String::new())
    });
}

/// Makes a bridge what a file says. On an error it forwards nothing.
fn restore(state: &mut State, args: &[String]) -> Result<String, String> {
    let (name, path) = (&args[0], &args[1]);
    let id = bridge_named(&state.switch.read(), name)?.id();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) => {
            state.manager.clear(id);
            let why = format!("{path}: {}", rpc::error_text(&e));
            log::error!(target: "ofproto", "{name}: nothing is forwarded, since its rules cannot be restored: {why}");
            return Err(why);
        }
    };
    state.manager.restore(id, &text).map_err(|e| format!("{path}: {e}"))?;
    Ok(String::new())
}
