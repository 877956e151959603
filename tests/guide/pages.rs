//! Pages of `docs/` whose commands are typed here as they stand there.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use end_to_end::{Host, Programs, Switch, holds_within, run};

/// How long what a page shows may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The lines that a page sets off for typing, in order, with what it shows beneath them.
fn blocks(page: &str) -> Vec<(Vec<String>, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let whole = std::fs::read_to_string(path).unwrap();
    let mut typed: Vec<(Vec<String>, String)> = Vec::new();
    for (number, part) in whole.split("```").enumerate().filter(|(number, _)| number % 2 == 1) {
        match (part.strip_prefix("sh\n"), part.strip_prefix("text\n"), typed.last_mut()) {
            (Some(lines), ..) => typed.push((lines.lines().map(str::to_owned).collect(), String::new())),
            (None, Some(text), Some((_, shown))) => shown.push_str(text),
            _ => panic!("block {number} of {page} is neither 'sh' nor 'text'"),
        }
    }
    typed
}

/// Types all of a page's commands on the host of a switch. Each succeeds, and the last one of a block shows each line that
/// the page has beneath it, at once or after some time.
pub(super) fn type_all(page: &str, host: &Host, switch: &Switch) {
    let programs = Programs::Ours.path("ovs").parent().unwrap().display().to_string();
    for (lines, shown) in blocks(page) {
        for line in &lines {
            let environment = switch.command("ovs-appctl");
            let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
            let mut typed = Command::new("ip");
            typed.args(["netns", "exec", &host.namespace, "sh", "-c", line]).env("PATH", path);
            for (name, value) in environment.get_envs() {
                typed.env(name, value.unwrap_or_default());
            }
            let mut last = run(&mut typed);
            assert_eq!(last.status, 0, "{line}: {last:?}");
            let has_all =
                |out: &str| shown.lines().all(|line| line.is_empty() || out.contains(line.trim_end()));
            if Some(line) == lines.last() && !shown.is_empty() {
                let is_shown = has_all(&last.out)
                    || holds_within(PATIENCE, || {
                        last = run(&mut typed);
                        has_all(&last.out)
                    });
                assert!(is_shown, "{line}: the page shows\n{shown}\nand it was\n{}", last.out);
            }
        }
    }
}
