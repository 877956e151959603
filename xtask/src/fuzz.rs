//! The fuzz targets: built on the stable compiler, and each run for a short time on what is kept for it.
//!
//! `fuzz/seeds/TARGET` holds inputs to start from, `fuzz/findings/TARGET` inputs that a target once failed on, and
//! `fuzz/README.md` a sentence on each of both. New inputs go to the target directory, not into the checkout.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What libFuzzer needs from the compiler: counters at every edge, and the operands of comparisons. It is what
/// `cargo fuzz --sanitizer none` passes.
const INSTRUMENTATION: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
    // The modules' tables of counters must not be split further than the linker's sections.
    "-Ccodegen-units=1",
];

/// The directories of inputs, under fuzz/.
const KEPT: [&str; 2] = ["seeds", "findings"];

/// Seconds for each target unless the command line gives another number.
const SECONDS: u32 = 5;

/// Builds all targets, then runs those named in `args`, or all, for the number of seconds that `args` may begin with.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let (seconds, names) = match args.split_first().map(|(first, rest)| (first.parse(), rest)) {
        Some((Ok(seconds), rest)) => (seconds, rest),
        _ => (SECONDS, args),
    };
    let all = targets()?;
    if let Some(unknown) = names.iter().find(|name| !all.contains(name)) {
        return Err(format!("no fuzz target {unknown}; there are {}", all.join(", ")));
    }
    let built = build()?;
    for target in if names.is_empty() { &all } else { names } {
        let runs = run_one(target, &built, seconds)?;
        println!("fuzz {target}: {runs} inputs in {seconds} s");
    }
    Ok(())
}

/// Inputs that fuzz/README.md says nothing about, and those that it describes and that are not there.
pub(crate) fn undescribed() -> Result<Vec<String>, String> {
    let root = directory();
    let readme = root.join("README.md");
    let text = std::fs::read_to_string(&readme).map_err(|e| format!("{}: {e}", readme.display()))?;
    let described: Vec<&str> = text.lines().filter_map(described_input).collect();
    let mut inputs = Vec::new();
    for kept in KEPT {
        for target in entries(&root.join(kept)) {
            inputs.extend(
                entries(&target).into_iter().filter_map(|input| {
                    input.strip_prefix(&root).ok().map(|input| input.display().to_string())
                }),
            );
        }
    }
    let missing = inputs.iter().filter(|input| !described.contains(&input.as_str()));
    let gone = described.iter().filter(|name| !inputs.iter().any(|input| input == *name));
    Ok(missing
        .map(|input| format!("fuzz/{input}: no sentence in fuzz/README.md says what it is"))
        .chain(gone.map(|name| format!("fuzz/README.md: {name}: no such file")))
        .collect())
}

/// The input that a line of the README describes: "- `seeds/packet/arp`: A sentence."
fn described_input(line: &str) -> Option<&str> {
    let (name, sentence) = line.strip_prefix("- `")?.split_once("`: ")?;
    let is_input = KEPT.iter().any(|kept| name.starts_with(&format!("{kept}/")));
    (is_input && sentence.ends_with('.')).then_some(name)
}

fn directory() -> PathBuf {
    crate::root().join("fuzz")
}

/// The names of the targets: the files in fuzz/fuzz_targets.
fn targets() -> Result<Vec<String>, String> {
    let sources = directory().join("fuzz_targets");
    let names: Vec<String> =
        entries(&sources).iter().filter_map(|file| file.file_stem()?.to_str().map(str::to_owned)).collect();
    if names.is_empty() { Err(format!("no fuzz targets in {}", sources.display())) } else { Ok(names) }
}

/// What is in a directory, in order; nothing when it is not there.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Builds all targets; returns the directory with their programs.
fn build() -> Result<PathBuf, String> {
    let (target_dir, host) = (crate::programs::target_dir()?.join("fuzz"), host()?);
    // Naming the host keeps the flags away from build scripts and macros, which run without libFuzzer.
    crate::run(
        crate::cargo()
            .args(["build", "--quiet", "--bins", "--target", &host])
            .arg("--manifest-path")
            .arg(directory().join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target_dir)
            .env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTATION.join("\x1f")),
    )?;
    Ok(target_dir.join(host).join("debug"))
}

/// The triple of this machine.
fn host() -> Result<String, String> {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .arg("-vV")
        .output()
        .map_err(|e| format!("rustc -vV: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "rustc -vV names no host".into())
}

/// Runs one target; returns how many inputs it was run on.
fn run_one(target: &str, built: &Path, seconds: u32) -> Result<u64, String> {
    let (corpus, artifacts) = (built.join("corpus").join(target), built.join("artifacts").join(target));
    for directory in [&corpus, &artifacts] {
        std::fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    }
    let kept = KEPT.map(|kept| directory().join(kept).join(target));
    let output = Command::new(built.join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-timeout=20", "-print_final_stats=1"])
        // libFuzzer writes what it finds to the first directory, and reads all.
        .arg(&corpus)
        .args(kept.iter().filter(|directory| directory.exists()))
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{}: {e}", built.join(target).display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!(
            "{said}\nfuzz target {target} failed: mend what it found, and keep the input as fuzz/findings/{target}/NAME \
             with a sentence on it in fuzz/README.md"
        ));
    }
    runs(&said)
        .ok_or_else(|| format!("{said}\nfuzz target {target} was built without coverage, or ran on nothing"))
}

/// How many inputs libFuzzer says that it ran, if it saw where they lead.
fn runs(said: &str) -> Option<u64> {
    said.contains("inline 8-bit counters").then_some(())?;
    let count = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    count.trim().parse().ok().filter(|runs| *runs > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_counts_only_with_coverage_and_inputs() {
        let said = |modules: &str, units: &str| {
            format!("INFO: Loaded 1 modules   (9 {modules}): 9\nstat::number_of_executed_units: {units}\n")
        };
        assert_eq!(runs(&said("inline 8-bit counters", "17")), Some(17));
        assert_eq!(runs(&said("inline 8-bit counters", "0")), None);
        assert_eq!(runs(&said("guards", "17")), None);
        assert_eq!(runs("INFO: Loaded 1 modules   (9 inline 8-bit counters)"), None);
    }

    #[test]
    fn a_description_is_a_sentence_on_a_kept_input() {
        assert_eq!(described_input("- `seeds/packet/arp`: An ARP request."), Some("seeds/packet/arp"));
        assert_eq!(described_input("- `findings/packet/short`: It was cut."), Some("findings/packet/short"));
        for line in
            ["- `seeds/packet/arp`", "- `seeds/packet/arp`: ", "- `other/arp`: An ARP request.", "seeds/x"]
        {
            assert_eq!(described_input(line), None, "{line}");
        }
    }

    #[test]
    fn every_target_has_seeds_and_every_input_a_sentence() {
        for target in targets().expect("targets") {
            assert!(!entries(&directory().join("seeds").join(&target)).is_empty(), "{target} has no seeds");
        }
        assert_eq!(undescribed(), Ok(Vec::new()));
    }
}
