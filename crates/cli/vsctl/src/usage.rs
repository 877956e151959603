//! What `--help` and `--commands` print.

use crate::profile::Profile;
use rpc::dirs;

pub(crate) const SWITCH: &[(&str, &[&str])] = &[
    ("Open vSwitch commands", &["init", "show", "emer-reset"]),
    (
        "Bridge commands",
        &[
            "add-br",
            "del-br",
            "list-br",
            "br-exists",
            "br-to-vlan",
            "br-to-parent",
            "br-set-external-id",
            "br-get-external-id",
        ],
    ),
    (
        "Port and bond commands",
        &["list-ports", "add-port", "del-port", "port-to-br", "add-bond", "add-bond-iface", "del-bond-iface"],
    ),
    ("Interface commands", &["list-ifaces", "iface-to-br"]),
    (
        "Controller commands",
        &[
            "get-controller",
            "del-controller",
            "set-controller",
            "get-fail-mode",
            "del-fail-mode",
            "set-fail-mode",
        ],
    ),
    ("Manager commands", &["get-manager", "del-manager", "set-manager"]),
    ("SSL/TLS commands", &["get-ssl", "del-ssl", "set-ssl"]),
    ("Auto Attach commands", &["add-aa-mapping", "del-aa-mapping", "get-aa-mapping"]),
    (
        "Zone and datapath commands",
        &[
            "add-zone-tp",
            "del-zone-tp",
            "list-zone-tp",
            "set-zone-limit",
            "del-zone-limit",
            "list-zone-limits",
            "list-dp-cap",
        ],
    ),
];

const DATABASE: (&str, &[&str]) = (
    "Database commands",
    &["list", "find", "get", "set", "add", "remove", "clear", "create", "destroy", "wait-until", "comment"],
);

pub(crate) fn text(profile: &Profile) -> String {
    let mut text =
        format!("{0}: {1}\nusage: {0} [OPTIONS] COMMAND [ARG...]\n", profile.program, profile.purpose);
    for (title, names) in profile.groups.iter().chain(&[DATABASE]) {
        text.push_str(&format!("\n{title}:\n"));
        for command in names.iter().filter_map(|name| profile.syntaxes().find(|c| c.name == *name)) {
            let options: String =
                command.options.split(',').filter(|o| !o.is_empty()).map(|o| format!("[{o}] ")).collect();
            text.push_str(&format!("  {options}{} {}\n", command.name, command.arguments));
        }
    }
    let rundir = dirs::rundir();
    let rundir = rundir.display();
    let wait = match profile.has_daemon {
        true => "  --no-wait                   do not wait for ovs-vswitchd to reconfigure\n",
        false => "",
    };
    text.push_str(&format!(
        "
Options:
  --db=DATABASE               connect to DATABASE
                              (default: unix:{rundir}/db.sock)
{wait}  --retry                     keep trying to connect to server forever
  -t, --timeout=SECS          wait at most SECS seconds
  --dry-run                   do not commit changes to database
  --oneline                   print exactly one line of output per command

Output formatting options:
  -f, --format=FORMAT         set output formatting to FORMAT
                              (\"table\", \"html\", \"csv\", or \"json\")
  -d, --data=FORMAT           set table cell output formatting to
                              FORMAT (\"string\", \"bare\", or \"json\")
  --no-headings               omit table heading row
  --pretty                    pretty-print JSON in output
  --bare                      equivalent to \"--format=list --data=bare --no-headings\"

Other options:
  -v, --verbose=[SPEC]        set logging levels
  -h, --help                  display this help message
  -V, --version               display version information
"
    ));
    text
}

/// For shells that complete command lines: options, name, arguments.
pub(crate) fn commands(profile: &Profile) -> String {
    let mut text = String::new();
    for command in profile.syntaxes() {
        for option in command.options.split(',').filter(|o| !o.is_empty()) {
            text.push_str(&format!("[{option}] "));
        }
        let arguments: Vec<String> = command.arguments.split_whitespace().map(for_shells).collect();
        text.push_str(&format!(",{},{}\n", command.name, arguments.join(" ")));
    }
    text
}

/// An argument as the completion of shells reads it: "!" before one that must be, "?" before one that may
/// be, "+" and "*" the same of many; inside, "?" before what may be.
fn for_shells(argument: &str) -> String {
    let (one, is_many) = match argument.strip_suffix("...") {
        Some(one) => (one, true),
        None => (argument, false),
    };
    let whole = one.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    // Brackets that open and close apart, as in "[A]B[C]", hold parts and not the whole.
    let whole = whole.filter(|inner| inner.find('[').unwrap_or(0) <= inner.find(']').unwrap_or(0));
    let mark = match (whole.is_some(), is_many) {
        (false, false) => '!',
        (true, false) => '?',
        (false, true) => '+',
        (true, true) => '*',
    };
    let inner = whole.unwrap_or(one).replace('[', "?").replace(']', "");
    format!("{mark}{inner}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_marked_for_shells() {
        for (argument, marked) in [
            ("BRIDGE", "!BRIDGE"),
            ("[PARENT]", "?PARENT"),
            ("TARGET...", "+TARGET"),
            ("[RECORD]...", "*RECORD"),
            ("[COLUMN[:KEY]=VALUE]...", "*COLUMN?:KEY=VALUE"),
            ("COLUMN[:KEY]=VALUE...", "+COLUMN?:KEY=VALUE"),
            ("[KEY=]VALUE...", "+?KEY=VALUE"),
            ("PORT|IFACE", "!PORT|IFACE"),
        ] {
            assert_eq!(for_shells(argument), marked);
        }
    }
}
