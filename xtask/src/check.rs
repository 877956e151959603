//! The house rules, checked by a program.
//!
//! * A crate depends only on crates of a strictly lower floor.
//! * `unsafe` is forbidden but in the crates that say `unsafe = true` in
//!   their house table, which are listed here too.
//! * A file over 600 lines or a function over 80 has its reason noted in
//!   place: a comment `house: long because …` in the file, or above the
//!   function.
//! * A crate uses what it depends on, and a crate depends on what the workspace lists.
//! * Every input kept for a fuzz target has a sentence on what it is.
//! * Formatting, lints, licences and where crates come from.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The only crates in which `unsafe` may stand.
/// `models` has it for tests alone.
const UNSAFE_CRATES: &[&str] = &["rpc", "netlink", "netdev", "dp-user", "dp-ebpf", "models"];

const MAX_FILE: usize = 600;
const MAX_FUNCTION: usize = 80;

/// What excuses a long file or function.
const REASON: &str = "house: long because";

/// Everything.
pub(crate) fn all() -> Result<(), String> {
    let metadata = crate::programs::metadata()?;
    let packages: Vec<&Value> = metadata["packages"].as_array().into_iter().flatten().collect();
    let mut faults = String::new();
    floors(&packages, &mut faults);
    fences(&packages, &mut faults);
    for package in &packages {
        sizes(package, &mut faults);
        unused(package, &mut faults);
    }
    unused_by_all(&packages, &mut faults)?;
    for input in crate::fuzz::undescribed()? {
        fault(&mut faults, format_args!("{input}"));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    println!("house rules: {} crates in order", packages.len());
    circles(&packages);
    crate::run(crate::cargo().args(["fmt", "--all", "--check"]))?;
    crate::run(crate::cargo().args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    crate::run(crate::cargo().args(["deny", "--log-level", "error", "check", "licenses", "bans", "sources"]))
}

/// Prints the circles between files of one crate.
fn circles(packages: &[&Value]) {
    let mut count = 0;
    for package in packages {
        let Some(directory) = directory(package) else { continue };
        for circle in crate::circles::of_crate(directory, &sources(package)) {
            println!("circle in {}: {} (by {})", name(package), circle.name, circle.names.join(", "));
            count += 1;
        }
    }
    println!("{count} circles between files");
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap_or("?")
}

/// The floor of a crate; xtask stands outside the house.
fn floor(package: &Value) -> Option<i64> {
    package["metadata"]["house"]["floor"].as_i64()
}

fn floors(packages: &[&Value], faults: &mut String) {
    let floors: BTreeMap<&str, i64> = packages.iter().filter_map(|p| Some((name(p), floor(p)?))).collect();
    for package in packages {
        let Some(own) = floor(package) else {
            if name(package) != "xtask" {
                fault(faults, format_args!("{}: no floor in [package.metadata.house]", name(package)));
            }
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // A test may use whatever it tests with.
            if dependency["kind"] == "dev" {
                continue;
            }
            let on = dependency["name"].as_str().unwrap_or("?");
            if let Some(&other) = floors.get(on)
                && dependency["path"].is_string()
                && other >= own
            {
                let own_name = name(package);
                fault(
                    faults,
                    format_args!(
                        "{own_name} (floor {own}) depends on {on} (floor {other}): only lower floors"
                    ),
                );
            }
        }
    }
}

fn fences(packages: &[&Value], faults: &mut String) {
    for package in packages {
        let crate_name = name(package);
        let allowed = UNSAFE_CRATES.contains(&crate_name);
        for file in sources(package) {
            let Ok(text) = std::fs::read_to_string(&file) else { continue };
            for (index, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or("");
                let is_unsafe =
                    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
                if is_unsafe && !allowed && crate_name != "xtask" && !code.contains('"') {
                    fault(faults, format_args!("{}:{}: unsafe in {crate_name}", file.display(), index + 1));
                }
            }
        }
    }
}

/// Dependencies that no file of the crate names.
fn unused(package: &Value, faults: &mut String) {
    let texts: Vec<String> =
        sources(package).iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect();
    for dependency in dependencies(package) {
        let word = dependency.replace('-', "_");
        if !texts.iter().any(|text| names_in_code(text, &word)) {
            fault(faults, format_args!("{}: depends on {dependency} and does not use it", name(package)));
        }
    }
}

/// Entries of `[workspace.dependencies]` that no crate has.
fn unused_by_all(packages: &[&Value], faults: &mut String) -> Result<(), String> {
    let path = crate::root().join("Cargo.toml");
    let manifest = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let used: Vec<&str> = packages.iter().flat_map(|package| dependencies(package)).collect();
    let table = manifest.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    for line in table.take_while(|line| !line.starts_with('[')) {
        if let Some((entry, _)) = line.split_once(" = ")
            && !used.contains(&entry)
        {
            fault(faults, format_args!("Cargo.toml: no crate depends on {entry}"));
        }
    }
    Ok(())
}

fn dependencies(package: &Value) -> impl Iterator<Item = &str> {
    package["dependencies"].as_array().into_iter().flatten().filter_map(|on| on["name"].as_str())
}

fn names_in_code(text: &str, word: &str) -> bool {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_'))
        .any(|found| found == word)
}

fn sizes(package: &Value, faults: &mut String) {
    for file in sources(package) {
        if file.ends_with("tests.rs")
            || file.components().any(|c| matches!(c.as_os_str().to_str(), Some("tests" | "benches")))
        {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(&text);
        let lines: Vec<&str> = code.lines().collect();
        if lines.len() > MAX_FILE && !lines.iter().take(40).any(|line| line.contains(REASON)) {
            fault(faults, format_args!("{}: {} lines (at most {MAX_FILE})", file.display(), lines.len()));
        }
        for function in long_functions(&lines) {
            fault(faults, format_args!("{}:{}", file.display(), function));
        }
    }
}

/// Functions over the limit that give no reason. Formatted code closes a
/// function with a brace as deep as its first line.
fn long_functions(lines: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        // A field of function type has `fn` right before its parenthesis; a function has its name there.
        let head: Vec<&str> = trimmed.split('(').next().unwrap_or_default().split_whitespace().collect();
        let is_function = head.contains(&"fn") && head.last() != Some(&"fn");
        if !is_function || trimmed.starts_with("//") || trimmed.ends_with(';') {
            continue;
        }
        let closing = format!("{}}}", &line[..line.len() - trimmed.len()]);
        let Some(length) = lines[start..].iter().position(|l| *l == closing) else { continue };
        let excused = lines[start.saturating_sub(12)..=start].iter().any(|l| l.contains(REASON));
        if length + 1 > MAX_FUNCTION && !excused {
            found.push(format!(
                "{}: {} lines (at most {MAX_FUNCTION}): {}",
                start + 1,
                length + 1,
                trimmed.trim_end_matches(" {")
            ));
        }
    }
    found
}

fn directory(package: &Value) -> Option<&Path> {
    package["manifest_path"].as_str().and_then(|path| Path::new(path).parent())
}

/// The crate's .rs files.
fn sources(package: &Value) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if let Some(directory) = directory(package) {
        collect(directory, &mut files);
    }
    files.sort();
    files
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            // A package within a package has its own turn.
            if !path.ends_with("target") && !path.join("Cargo.toml").exists() {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn fault(faults: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(faults, "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_is_used_where_code_names_it() {
        assert!(names_in_code("use serde_json::Value;", "serde_json"));
        assert!(names_in_code("let _ = a(tokio::spawn(f));", "tokio"));
        for text in ["// tokio", "let tokio_like = 1;", "//! [`tokio::spawn`]"] {
            assert!(!names_in_code(text, "tokio"), "{text}");
        }
    }

    #[test]
    fn a_long_function_is_found_unless_it_says_why() {
        let body = "    x();\n".repeat(90);
        let text = format!(
            "impl A {{\n    fn short() {{\n    }}\n    pub fn long(\n        a: u8,\n    ) {{\n{body}    }}\n}}\n"
        );
        let lines: Vec<&str> = text.lines().collect();
        let found = long_functions(&lines);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("4: 94 lines"), "{found:?}");
        let excused =
            text.replace("    pub fn long", "    // house: long because it is one table\n    pub fn long");
        assert!(long_functions(&excused.lines().collect::<Vec<_>>()).is_empty());
    }
}
