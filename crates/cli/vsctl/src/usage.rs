//! What `--help` and `--commands` print.

use crate::syntax::COMMANDS;
use rpc::dirs;

const GROUPS: &[(&str, &[&str])] = &[
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
    (
        "Database commands",
        &[
            "list",
            "find",
            "get",
            "set",
            "add",
            "remove",
            "clear",
            "create",
            "destroy",
            "wait-until",
            "comment",
        ],
    ),
];

pub(crate) fn text() -> String {
    let mut text = format!(
        "{0}: ovs-vswitchd management utility\nusage: {0} [OPTIONS] COMMAND [ARG...]\n",
        crate::PROGRAM
    );
    for (title, names) in GROUPS {
        text.push_str(&format!("\n{title}:\n"));
        for command in names.iter().filter_map(|name| COMMANDS.iter().find(|c| c.name == *name)) {
            let options: String =
                command.options.split(',').filter(|o| !o.is_empty()).map(|o| format!("[{o}] ")).collect();
            text.push_str(&format!("  {options}{} {}\n", command.name, command.arguments));
        }
    }
    text.push_str(&format!(
        "
Options:
  --db=DATABASE               connect to DATABASE
                              (default: unix:{}/db.sock)
  --no-wait                   do not wait for ovs-vswitchd to reconfigure
  --retry                     keep trying to connect to server forever
  -t, --timeout=SECS          wait at most SECS seconds for ovs-vswitchd
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
",
        dirs::rundir().display()
    ));
    text
}

/// For shells that complete command lines: options, name, arguments. Each argument says first how often it
/// comes: "!" once, "?" perhaps, "+" once or more, "*" any number of times.
pub(crate) fn commands() -> String {
    let mut text = String::new();
    for command in COMMANDS {
        for option in command.options.split(',').filter(|o| !o.is_empty()) {
            text.push_str(&format!("[{option}] "));
        }
        let arguments: Vec<String> =
            command.arguments.split(' ').filter(|place| !place.is_empty()).map(marked).collect();
        text.push_str(&format!(",{},{}\n", command.name, arguments.join(" ")));
    }
    text
}

/// `[COLUMN[:KEY]=VALUE]...` as `*COLUMN?:KEY=VALUE`.
fn marked(place: &str) -> String {
    let (place, repeats) = place.strip_suffix("...").map_or((place, false), |place| (place, true));
    let inner = place.strip_prefix('[').and_then(|place| place.strip_suffix(']'));
    let mark = match (inner.is_some(), repeats) {
        (false, false) => '!',
        (true, false) => '?',
        (false, true) => '+',
        (true, true) => '*',
    };
    format!("{mark}{}", inner.unwrap_or(place).replace('[', "?").replace(']', ""))
}

#[cfg(test)]
mod tests {
    #[test]
    fn arguments_are_marked_by_how_often_they_come() {
        let commands = super::commands();
        for line in [
            "[--may-exist] [--fake-iface] ,add-bond,!BRIDGE !BOND +IFACE *COLUMN?:KEY=VALUE",
            "[--if-exists] [--with-iface] ,del-port,?BRIDGE !PORT|IFACE",
            "[--if-exists] ,add,!TABLE !RECORD !COLUMN +?KEY=VALUE",
            ",init,",
        ] {
            assert!(commands.lines().any(|known| known == line), "{line}");
        }
    }
}
