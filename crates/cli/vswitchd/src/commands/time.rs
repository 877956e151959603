//! Warping time, for tests.

use std::time::Duration;

/// `time/warp STEP`, or `time/warp TOTAL STEP`: as many steps as the total
/// takes.
pub(super) fn warp(args: &[String], mut step_by: impl FnMut(Duration)) -> Result<String, String> {
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
        left -= now;
        step_by(Duration::from_millis(now));
    }
    Ok("warped".to_owned())
}
