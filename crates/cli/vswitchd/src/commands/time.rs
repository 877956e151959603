//! Stopping and warping time, for tests: `time/*`.

use std::time::Duration;

use rpc::unixctl::Registry;

use crate::switchd::State;

pub(super) fn register(registry: &mut Registry<State>) {
    registry.add("time/stop", "", 0, 0, |state, _| {
        state.clock.stop();
        Ok(String::new())
    });
    registry.add("time/warp", "[large_msecs] msecs", 1, 2, warp);
}

/// `time/warp STEP`, or `time/warp TOTAL STEP`: as many steps as the total
/// takes, and all timers run after each.
fn warp(state: &mut State, args: &[String]) -> Result<String, String> {
    let number = |text: &String| text.parse::<u64>().map_err(|_| "invalid MSECS".to_owned());
    let (total, step) = match args {
        [total, step] => (number(total)?, number(step)?),
        [step, ..] => (number(step)?, number(step)?),
        [] => (0, 0),
    };
    if step == 0 {
        return Err("invalid MSECS".to_owned());
    }
    let mut left = total.max(step);
    while left > 0 {
        let now = left.min(step);
        state.clock.warp(Duration::from_millis(now));
        left -= now;
        state.flows.wait_round();
        state.tick();
    }
    Ok("warped".to_owned())
}
