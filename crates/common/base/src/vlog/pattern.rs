//! Log patterns (`%D{…}|%05N|%c%T|%p|%m`) and the line they make.

use std::time::{Duration, SystemTime};

use super::Level;
use crate::time::wall_text;

/// The patterns of syslog, console and file until somebody sets others.
pub(super) const DEFAULTS: [&str; 3] = [
    "ovs|%05N|%c%T|%p|%m",
    "%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m",
    "%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m",
];

/// What a collector of system logs gets over the network: a mark of byte order says that the text is UTF-8.
pub(super) const RFC_5424: &str = "<%B>1 %D{%Y-%m-%dT%H:%M:%S.###Z} %E %A %P %c - \u{feff}%m";

/// One message with all that a pattern can ask for.
pub(super) struct Line<'a> {
    pub program: &'a str,
    pub module: &'a str,
    pub level: Level,
    /// Facility and severity.
    pub priority: u8,
    pub message: &'a str,
    pub sequence: u32,
    pub uptime: Duration,
    pub wall: SystemTime,
}

impl Line<'_> {
    pub(super) fn format(&self, pattern: &str) -> String {
        let mut out = String::with_capacity(self.message.len() + 64);
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let left = rest.next_if_eq(&'-').is_some();
            let pad = if rest.next_if_eq(&'0').is_some() { '0' } else { ' ' };
            let mut width = 0usize;
            while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
                width = (width * 10 + digit as usize).min(1000);
                rest.next();
            }
            let Some(kind) = rest.next() else { break };
            let braces = if matches!(kind, 'c' | 'd' | 'D') { braces(&mut rest) } else { None };
            let field = self.field(kind, braces.as_deref());
            let missing = width.saturating_sub(field.len());
            let padding = std::iter::repeat_n(pad, missing);
            if left {
                out.push_str(&field);
                out.extend(padding);
            } else {
                out.extend(padding);
                out.push_str(&field);
            }
        }
        out
    }

    fn field(&self, kind: char, braces: Option<&str>) -> String {
        match kind {
            'A' => self.program.to_owned(),
            'B' => self.priority.to_string(),
            'c' => self.module.to_owned(),
            'd' | 'D' => wall_text(braces.unwrap_or("%Y-%m-%d %H:%M:%S.###"), self.wall),
            'E' => rustix::system::uname().nodename().to_string_lossy().into_owned(),
            'm' => self.message.to_owned(),
            'N' => self.sequence.to_string(),
            'n' => "\n".to_owned(),
            'p' => self.level.name().to_owned(),
            'P' => std::process::id().to_string(),
            'r' => self.uptime.as_millis().to_string(),
            't' => thread_name().unwrap_or_else(|| "main".to_owned()),
            'T' => thread_name().map(|name| format!("({name})")).unwrap_or_default(),
            other => other.to_string(),
        }
    }
}

/// The text between `{` and `}` if that is what comes next.
fn braces(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    rest.next_if_eq(&'{')?;
    Some(rest.by_ref().take_while(|&c| c != '}').collect())
}

/// The name of a thread that is not the main one.
fn thread_name() -> Option<String> {
    std::thread::current().name().filter(|&name| name != "main").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn line(message: &str) -> Line<'_> {
        Line {
            program: "ovs-vswitchd",
            module: "bridge",
            level: Level::Warning,
            priority: 16 << 3 | 4,
            message,
            sequence: 7,
            uptime: Duration::from_millis(42),
            wall: UNIX_EPOCH + Duration::from_millis(1_709_210_096_789),
        }
    }

    #[test]
    fn the_default_patterns_make_the_known_lines() {
        let on_main = std::thread::Builder::new()
            .name("main".into())
            .spawn(|| DEFAULTS.map(|pattern| line("port up").format(pattern)));
        assert_eq!(
            on_main.unwrap().join().unwrap(),
            [
                "ovs|00007|bridge|WARN|port up",
                "2024-02-29T12:34:56Z|00007|bridge|WARN|port up",
                "2024-02-29T12:34:56.789Z|00007|bridge|WARN|port up",
            ]
        );
    }

    #[test]
    fn fields_are_padded_on_either_side() {
        assert_eq!(line("x").format("%-6p|%6p|%r ms|%%|%A"), "WARN  |  WARN|42 ms|%|ovs-vswitchd");
    }

    #[test]
    fn odd_patterns_end_quietly() {
        for pattern in ["%", "%-", "%05", "%D{", "%D{%", "%99999999999m"] {
            line("x").format(pattern);
        }
    }
}
