//! What `--help` and `--commands` print.

use crate::profile::Profile;
use rpc::dirs;

/// The commands of `ovs-vsctl`, but for those about any database.
pub(crate) const SWITCH: &str = "
Open vSwitch commands:
  init                        make the database ready for use, if it is not yet
  [--filter=TEXT] show [BRIDGE]  an overview of what is configured
  emer-reset                  drop what may keep the switch from working:
                              controllers, managers, mirrors, collectors

Bridge commands:
  [--may-exist] add-br BRIDGE  create a bridge
  [--may-exist] add-br BRIDGE PARENT VLAN
                              create a fake bridge: VLAN of the bridge PARENT
  [--if-exists] del-br BRIDGE  delete a bridge with all its ports
  [--real|--fake] list-br     the names of the bridges
  br-exists BRIDGE            exit with 2 if there is no such bridge
  br-to-vlan BRIDGE           the VLAN that a bridge is on
  br-to-parent BRIDGE         the parent of a bridge
  br-set-external-id BRIDGE KEY [VALUE]
                              give KEY of a bridge a value, or take KEY away
  br-get-external-id BRIDGE [KEY]  the value of KEY, or all keys and values

Port and bond commands (a bond counts as one port):
  list-ports BRIDGE           the names of a bridge's ports
  [--may-exist] add-port BRIDGE PORT [COLUMN[:KEY]=VALUE]...
                              add a network device to a bridge
  [--if-exists] [--with-iface] del-port [BRIDGE] PORT
                              delete a port, which may be a bond
  port-to-br PORT             the name of the bridge that has a port
  [--may-exist] [--fake-iface] add-bond BRIDGE PORT IFACE IFACE... [COLUMN[:KEY]=VALUE]...
                              add a bond of interfaces to a bridge
  [--may-exist] add-bond-iface BOND IFACE  add an interface to a bond
  [--if-exists] del-bond-iface [BOND] IFACE  take an interface out of a bond

Interface commands (a bond consists of several):
  list-ifaces BRIDGE          the names of a bridge's interfaces
  iface-to-br IFACE           the name of the bridge that has an interface

Controller commands:
  get-controller BRIDGE       the controllers of a bridge
  del-controller BRIDGE       delete them
  [--inactivity-probe=MSECS] set-controller BRIDGE TARGET...
                              replace them
  get-fail-mode BRIDGE        what a bridge does without its controllers
  del-fail-mode BRIDGE        set that to its default
  set-fail-mode BRIDGE MODE   set it to \"standalone\" or \"secure\"

Manager commands:
  get-manager                 who manages the database
  del-manager                 delete the managers
  [--inactivity-probe=MSECS] set-manager TARGET...  replace them

SSL/TLS commands:
  get-ssl                     the keys and certificates of the daemons
  del-ssl                     delete them
  [--bootstrap] set-ssl PRIVATE-KEY CERTIFICATE CA-CERT  replace them

Auto Attach commands:
  add-aa-mapping BRIDGE I-SID VLAN  carry VLAN in the service I-SID
  del-aa-mapping BRIDGE I-SID VLAN  no longer
  get-aa-mapping BRIDGE       the VLANs and services of a bridge

Connection tracking and datapath commands:
  [--may-exist] add-zone-tp DATAPATH zone=ID POLICY=SECONDS...
                              give a zone timeouts
  [--if-exists] del-zone-tp DATAPATH zone=ID  take them away
  list-zone-tp DATAPATH       the zones that have timeouts
  set-zone-limit DATAPATH ID|default LIMIT
                              limit the connections of a zone
  [--if-exists] del-zone-limit DATAPATH ID|default  no longer
  list-zone-limits DATAPATH   the zones that have limits
  list-dp-cap DATAPATH        what a datapath can do
";

/// The commands of `vtep-ctl`, but for those about any database.
pub(crate) const VTEP: &str = "
VTEP commands:
  [--filter=TEXT] show        an overview of what is configured

Manager commands:
  get-manager                 who manages the database
  del-manager                 delete the managers
  [--inactivity-probe=MSECS] set-manager TARGET...  replace them

Physical switch commands:
  [--may-exist] add-ps PS     create a physical switch
  [--if-exists] del-ps PS     delete it with all its ports
  list-ps                     the names of the physical switches
  ps-exists PS                exit with 2 if there is none of that name

Port commands:
  list-ports PS               the names of a physical switch's ports
  [--may-exist] add-port PS PORT  add a port to a physical switch
  [--if-exists] del-port PS PORT  delete it

Logical switch commands:
  [--may-exist] add-ls LS     create a logical switch
  [--if-exists] del-ls LS     delete it with all its addresses
  list-ls                     the names of the logical switches
  ls-exists LS                exit with 2 if there is none of that name
  bind-ls PS PORT VLAN LS     VLAN of a port belongs to a logical switch
  unbind-ls PS PORT VLAN      no longer
  list-bindings PS PORT       the VLANs of a port and their logical switches
  set-replication-mode LS MODE  who copies what goes to many:
                              \"service_node\" or \"source_node\"
  get-replication-mode LS     who does

Logical router commands:
  [--may-exist] add-lr LR     create a logical router
  [--if-exists] del-lr LR     delete it
  list-lr                     the names of the logical routers
  lr-exists LR                exit with 2 if there is none of that name

MAC binding commands (local: behind this VTEP; ENCAP is vxlan_over_ipv4
unless given):
  add-ucast-local LS MAC [ENCAP] IP   where a MAC is
  del-ucast-local LS MAC              forget where it is
  add-mcast-local LS MAC [ENCAP] IP   one of the places where a group is
  del-mcast-local LS MAC [ENCAP] IP   forget that place
  clear-local-macs LS                 forget all local MACs
  list-local-macs LS                  all local MACs
  add-ucast-remote LS MAC [ENCAP] IP  the same of remote MACs
  del-ucast-remote LS MAC
  add-mcast-remote LS MAC [ENCAP] IP
  del-mcast-remote LS MAC [ENCAP] IP
  clear-remote-macs LS
  list-remote-macs LS
";

const DATABASE: &str = "
Database commands (TABLE and COLUMN may be shortened):
  [--if-exists] [--columns=COLUMNS] list TABLE [RECORD]...
                              records of a table, or all
  [--columns=COLUMNS] find TABLE [COLUMN[:KEY]=VALUE]...
                              the records that fulfil all conditions; for =
                              also !=, <, >, <=, >=, and with {} before them
  [--if-exists] [--id=@NAME] get TABLE RECORD [COLUMN[:KEY]]...
                              values of a record
  [--if-exists] set TABLE RECORD COLUMN[:KEY]=VALUE...  set them
  [--if-exists] add TABLE RECORD COLUMN [KEY=]VALUE...
                              add to a column that holds several
  [--if-exists] remove TABLE RECORD COLUMN KEY|VALUE|KEY=VALUE...
                              take out of it
  [--if-exists] clear TABLE RECORD COLUMN...  set columns to nothing
  [--id=@NAME] create TABLE COLUMN[:KEY]=VALUE...
                              a new record; prints its UUID
  [--if-exists] [--all] destroy TABLE [RECORD]...  delete records
  wait-until TABLE RECORD [COLUMN[:KEY]=VALUE]...
                              wait until a record exists and has these values
  comment [TEXT]...           say why, in the database's log

A RECORD is named by its UUID or the beginning of it, that of a table with one
record by \".\", and in these tables:
";

pub(crate) fn text(profile: &Profile) -> String {
    let program = profile.program;
    let mut text = format!("{program}: {}\nusage: {program} [OPTIONS] COMMAND [ARG...]\n", profile.purpose);
    text.push_str("Several commands, with -- between them, are one transaction.\n");
    text.push_str(profile.help);
    text.push_str(DATABASE);
    for name in profile.row_names {
        text.push_str(&format!("  {name}\n"));
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
  --no-syslog                 do not log what is changed to the system's log

Output formatting options:
  -f, --format=FORMAT         set output formatting to FORMAT
                              (\"table\", \"html\", \"csv\", or \"json\")
  -d, --data=FORMAT           set table cell output formatting to
                              FORMAT (\"string\", \"bare\", or \"json\")
  --no-headings               omit table heading row
  --pretty                    pretty-print JSON in output
  --bare                      equivalent to \"--format=list --data=bare --no-headings\"
"
    ));
    text.push_str(&rpc::options::log_usage(program));
    text.push_str(&rpc::options::stream_usage("DATABASE", true, true, true));
    text.push_str(
        "
Other options:
  -h, --help                  display this help message
  -V, --version               display version information
",
    );
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

    /// The commands that help lists: words that follow the blanks and options a line begins with.
    fn listed(text: &str) -> Vec<&str> {
        let commands =
            text.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
        commands.filter_map(|line| line.split_whitespace().find(|word| !word.starts_with('['))).collect()
    }

    #[test]
    fn help_lists_every_command_and_no_other() {
        for profile in [&crate::switch::OVS_VSCTL, &crate::vtep::VTEP_CTL] {
            let (help, database) = (listed(profile.help), listed(DATABASE));
            let listed = || help.iter().chain(&database);
            for syntax in profile.syntaxes() {
                assert!(listed().any(|name| *name == syntax.name), "{}", syntax.name);
            }
            for name in listed() {
                assert!(profile.syntaxes().any(|syntax| syntax.name == *name), "{name}");
            }
            let whole = text(profile);
            assert!(whole.lines().all(|line| line.len() <= 100), "{whole}");
        }
    }

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
