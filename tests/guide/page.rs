//! Pages of `docs/` whose commands are run.

use std::time::Duration;

use end_to_end::{Programs, Switch, holds_within};

/// How long it may take until a command shows what the page says.
const LIMIT: Duration = Duration::from_secs(60);

/// The lines that a page sets off for typing, in order, with what it shows beneath them.
fn blocks(name: &str) -> Vec<(Vec<String>, String)> {
    let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    let whole = std::fs::read_to_string(path).unwrap();
    let mut typed: Vec<(Vec<String>, String)> = Vec::new();
    for (number, part) in whole.split("```").enumerate().filter(|(number, _)| number % 2 == 1) {
        match (part.strip_prefix("sh\n"), part.strip_prefix("text\n"), typed.last_mut()) {
            (Some(lines), ..) => typed.push((lines.lines().map(str::to_owned).collect(), String::new())),
            (None, Some(text), Some((_, shown))) => shown.push_str(text),
            _ => panic!("block {number} is neither 'sh' nor 'text'"),
        }
    }
    typed
}

/// Types the lines of a page on the host of `switch`. Each must succeed, and the last of a block show what the page shows.
pub(crate) fn type_page(name: &str, switch: &Switch) {
    let programs = Programs::Ours.path("ovs").parent().unwrap().display().to_string();
    for (lines, shown) in blocks(name) {
        for line in &lines {
            let environment = switch.command("ovs-appctl");
            let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
            let mut typed = std::process::Command::new("ip");
            typed.args(["netns", "exec", &switch.host.namespace, "sh", "-c", line]).env("PATH", path);
            for (name, value) in environment.get_envs() {
                typed.env(name, value.unwrap_or_default());
            }
            let mut last = end_to_end::run(&mut typed);
            assert_eq!(last.status, 0, "{line}: {last:?}");
            let has_all =
                |out: &str| shown.lines().all(|line| line.is_empty() || out.contains(line.trim_end()));
            if Some(line) == lines.last() && !shown.is_empty() {
                let is_shown = holds_within(LIMIT, || {
                    last = end_to_end::run(&mut typed);
                    has_all(&last.out)
                });
                assert!(is_shown, "{line}: the page shows\n{shown}\nand it was\n{}", last.out);
            }
        }
    }
}
