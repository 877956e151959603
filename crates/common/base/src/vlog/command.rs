//! The `vlog/*` commands and the level specifications of `-v`.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use super::{Destination, Level, Module, VLOG, Vlog, set_module_level, update_max_level};

/// A command of the control socket: name, usage, fewest and most arguments, what it does.
pub struct Command {
    /// The command, such as `vlog/set`.
    pub name: &'static str,
    /// The arguments as `list-commands` shows them.
    pub usage: &'static str,
    /// The least number of arguments.
    pub min_args: usize,
    /// The greatest number of arguments.
    pub max_args: usize,
    /// Executes it: the reply, or why not.
    pub run: fn(&[String]) -> Result<String, String>,
}

/// The commands with which a running program's log is controlled.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "vlog/set",
        usage: "{spec | PATTERN:destination:pattern}",
        min_args: 0,
        max_args: usize::MAX,
        run: set,
    },
    Command { name: "vlog/list", usage: "", min_args: 0, max_args: 0, run: |_| Ok(with(list)) },
    Command {
        name: "vlog/list-pattern",
        usage: "",
        min_args: 0,
        max_args: 0,
        run: |_| Ok(with(list_patterns)),
    },
    Command {
        name: "vlog/enable-rate-limit",
        usage: "[module]...",
        min_args: 0,
        max_args: usize::MAX,
        run: |modules| set_rate_limits(modules, true),
    },
    Command {
        name: "vlog/disable-rate-limit",
        usage: "[module]...",
        min_args: 0,
        max_args: usize::MAX,
        run: |modules| set_rate_limits(modules, false),
    },
    Command { name: "vlog/reopen", usage: "", min_args: 0, max_args: 0, run: |_| reopen() },
    Command { name: "vlog/close", usage: "", min_args: 0, max_args: 0, run: |_| close() },
];

fn with(make: fn(&Vlog) -> String) -> String {
    VLOG.get().map(make).unwrap_or_default()
}

fn set(specs: &[String]) -> Result<String, String> {
    if specs.is_empty() {
        super::set_all_levels(None, Level::Debug);
    }
    for spec in specs {
        set_levels(spec)?;
    }
    Ok(String::new())
}

/// Applies one specification: words for a module, a destination and a level in
/// any order, or `PATTERN:destination:pattern`. What is not named means all.
pub fn set_levels(spec: &str) -> Result<(), String> {
    let Some(vlog) = VLOG.get() else { return Ok(()) };
    let separator = |c: char| " ,:\t".contains(c);
    let mut rest = spec.trim_start_matches(separator);
    let mut next = || {
        let end = rest.find(separator).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        rest = tail.strip_prefix(separator).unwrap_or("");
        (!word.is_empty()).then_some((word, rest))
    };
    let first = next();
    match first {
        Some((word, rest)) if word.eq_ignore_ascii_case("PATTERN") => set_pattern(vlog, rest),
        Some((word, rest)) if word.eq_ignore_ascii_case("FACILITY") => set_facility(vlog, rest),
        _ => set_words(vlog, spec.split(separator).filter(|word| !word.is_empty())),
    }
}

fn set_pattern(vlog: &Vlog, rest: &str) -> Result<(), String> {
    let (name, pattern) = rest.split_once([' ', ',', ':', '\t']).unwrap_or((rest, ""));
    if name.is_empty() {
        return Err("missing destination".into());
    }
    let destination = if name.eq_ignore_ascii_case("ANY") {
        None
    } else {
        Some(Destination::from_name(name).ok_or_else(|| format!("unknown destination \"{name}\""))?)
    };
    if let Ok(mut patterns) = vlog.patterns.write() {
        for d in Destination::ALL {
            if destination.is_none_or(|only| only == d) {
                pattern.clone_into(&mut patterns[d as usize]);
            }
        }
    }
    Ok(())
}

/// The facilities of syslog (RFC 5424), in the order of their numbers; the tenth has no name here.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "clock", "", "ftp", "ntp",
    "audit", "alert", "clock2", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

fn set_facility(vlog: &Vlog, name: &str) -> Result<(), String> {
    let known = FACILITIES.iter().position(|f| !f.is_empty() && f.eq_ignore_ascii_case(name));
    let number = known.ok_or("invalid facility")?;
    vlog.facility.store(number as u8, Ordering::Relaxed);
    Ok(())
}

fn set_words<'a>(vlog: &Vlog, words: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let (mut module, mut destination, mut level) = (None::<&Module>, None, None);
    for word in words {
        if word.eq_ignore_ascii_case("ANY") {
            continue;
        }
        if let Some(d) = Destination::from_name(word) {
            if destination.replace(d).is_some() {
                return Err("cannot specify multiple destinations".into());
            }
        } else if let Some(l) = Level::from_name(word) {
            if level.replace(l).is_some() {
                return Err("cannot specify multiple levels".into());
            }
        } else if let Some(m) = module_named(vlog, word) {
            if module.replace(m).is_some() {
                return Err("cannot specify multiple modules".into());
            }
        } else {
            return Err(format!("no destination, level, or module \"{word}\""));
        }
    }
    let level = level.unwrap_or(Level::Debug);
    match module {
        Some(module) => set_module_level(module, destination, level),
        None => vlog.modules.iter().for_each(|m| set_module_level(m, destination, level)),
    }
    update_max_level();
    Ok(())
}

/// A module by its name, in which `-` may stand for `_`.
fn module_named<'a>(vlog: &'a Vlog, name: &str) -> Option<&'a Module> {
    vlog.modules.iter().find(|m| m.name.eq_ignore_ascii_case(&name.replace('-', "_")))
}

fn list(vlog: &Vlog) -> String {
    let mut out = String::from(
        "                 console    syslog    file\n                 -------    ------    ------\n",
    );
    let mut lines: Vec<String> = vlog
        .modules
        .iter()
        .map(|m| {
            let level = |d| Level::ALL[usize::from(m.level(d))].name();
            let limit =
                if m.rate_limited.load(Ordering::Relaxed) { "" } else { "    (rate limiting disabled)" };
            format!(
                "{:<16}  {:>4}       {:>4}       {:>4}{limit}\n",
                m.name,
                level(Destination::Console),
                level(Destination::Syslog),
                level(Destination::File)
            )
        })
        .collect();
    lines.sort();
    out.extend(lines);
    out
}

fn list_patterns(vlog: &Vlog) -> String {
    let mut out = String::from(
        "         prefix                            format\n         ------                            ------\n",
    );
    if let Ok(patterns) = vlog.patterns.read() {
        for d in Destination::ALL {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{:<7}  {:<32}  {}", d.name(), "none", patterns[d as usize]);
        }
    }
    out
}

fn set_rate_limits(modules: &[String], enabled: bool) -> Result<String, String> {
    let Some(vlog) = VLOG.get() else { return Ok(String::new()) };
    let all = || vlog.modules.iter().for_each(|m| m.rate_limited.store(enabled, Ordering::Relaxed));
    if modules.is_empty() {
        all();
    }
    for name in modules {
        if name.eq_ignore_ascii_case("ANY") {
            all();
        } else {
            let module = module_named(vlog, name).ok_or("unknown module")?;
            module.rate_limited.store(enabled, Ordering::Relaxed);
        }
    }
    Ok(String::new())
}

fn reopen() -> Result<String, String> {
    match super::reopen_log_file() {
        Some(Ok(())) => Ok(String::new()),
        Some(Err(e)) => Err(e.to_string()),
        None => Err("Logging to file not configured".into()),
    }
}

fn close() -> Result<String, String> {
    if let Some(vlog) = VLOG.get() {
        vlog.outputs.close_file();
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, because the levels belong to the process.
    #[test]
    fn specifications_set_levels_and_are_refused_when_they_contradict() {
        super::super::init("test");
        set_levels("bridge:console:dbg").unwrap();
        set_levels("file,ofproto-dpif,off").unwrap();
        let text = list(VLOG.get().unwrap());
        assert!(text.contains("bridge             DBG       INFO       INFO\n"), "{text}");
        assert!(text.contains("ofproto_dpif      INFO       INFO        OFF\n"), "{text}");
        for (spec, error) in [
            ("console:file", "cannot specify multiple destinations"),
            ("dbg:info", "cannot specify multiple levels"),
            ("bridge:ofproto", "cannot specify multiple modules"),
            ("nothing", "no destination, level, or module \"nothing\""),
            ("PATTERN", "missing destination"),
            ("PATTERN:disk:x", "unknown destination \"disk\""),
            ("FACILITY:none", "invalid facility"),
        ] {
            assert_eq!(set_levels(spec), Err(error.to_owned()), "{spec}");
        }
        set_levels("PATTERN:file:%p: %m").unwrap();
        assert!(
            list_patterns(VLOG.get().unwrap())
                .contains("file     none                              %p: %m\n")
        );
        assert_eq!(reopen(), Err("Logging to file not configured".to_owned()));
        assert_eq!(set_rate_limits(&["x".into()], false), Err("unknown module".to_owned()));
    }
}
