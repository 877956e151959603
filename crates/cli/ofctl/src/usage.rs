//! What `--help` prints.

use rpc::options::{log_usage, stream_usage};

/// The commands by what they are about. Those for tests of the programs themselves are not here:
/// `list-commands` has all.
const COMMANDS: &str = "
SWITCH is the name of a bridge, or how to connect to it (see below).

For OpenFlow switches:
  show SWITCH                 what a switch can do, and its ports
  dump-desc SWITCH            who made a switch, and of what kind it is
  dump-tables SWITCH          the statistics of its tables
  dump-table-features SWITCH  what its tables can do
  dump-table-desc SWITCH      how its tables are set (OpenFlow 1.4 and later)
  mod-table SWITCH TABLE MODE  set a table: controller, continue, drop,
                              evict, noevict, vacancy:LOW,HIGH, novacancy
  get-frags SWITCH            how IP fragments are handled
  set-frags SWITCH MODE       set that: normal, drop, reassemble, nx-match
  dump-ports SWITCH [PORT]    the statistics of ports
  dump-ports-desc SWITCH [PORT]  the descriptions of ports
  mod-port SWITCH PORT ACTION  up, down, stp, no-stp, receive, no-receive,
                              forward, no-forward, flood, no-flood,
                              packet-in, no-packet-in and more
  dump-flows SWITCH [FLOW]    the flows, or those that FLOW matches
  dump-aggregate SWITCH [FLOW]  how many these are, and their traffic
  queue-stats SWITCH [PORT [QUEUE]]  the statistics of queues
  queue-get-config SWITCH [PORT [QUEUE]]  how queues are set
  add-flow SWITCH FLOW        add a flow
  add-flows SWITCH FILE       add flows from a file
  mod-flows SWITCH FLOW       change the actions of the flows that FLOW matches
  del-flows SWITCH [FLOW]     delete flows
  replace-flows SWITCH FILE   make the flows those of a file
  diff-flows A B              compare flows; A and B are switches or files
  packet-out SWITCH PACKET_OUT  send a packet
  monitor SWITCH [MISSLEN] [invalid_ttl] [watch:...]
                              print what the switch sends by itself
  snoop SWITCH                watch what a bridge and its controllers say

For groups, meters and connection tracking:
  add-group SWITCH GROUP      add a group
  add-groups SWITCH FILE      add groups from a file
  [--may-create] mod-group SWITCH GROUP  change a group
  del-groups SWITCH [GROUP]   delete groups
  insert-buckets SWITCH GROUP  add buckets to a group
  remove-buckets SWITCH GROUP  take buckets out of it
  dump-groups SWITCH [GROUP]  the groups
  dump-group-stats SWITCH [GROUP]  their statistics
  dump-group-features SWITCH  what groups can do
  bundle SWITCH FILE          do all changes of a file, or none
  add-meter SWITCH METER      add a meter
  mod-meter SWITCH METER      change a meter
  del-meters SWITCH [METER]   delete meters
  dump-meters SWITCH [METER]  the meters
  meter-stats SWITCH [METER]  their statistics
  meter-features SWITCH       what meters can do
  dump-ipfix-bridge SWITCH    what IPFIX samples of a bridge
  dump-ipfix-flow SWITCH      what IPFIX samples of flows
  ct-flush-zone SWITCH ZONE   forget the connections of a zone
  ct-flush SWITCH [zone=Z] [mark=X[/M]] [labels=Y[/N]] [ORIGINAL [REPLY]]
                              forget the connections that are meant

For switches and controllers:
  probe TARGET                whether TARGET is up
  ping TARGET [N]             the time that N-byte echos take

Without a switch:
  ofp-parse FILE              print the messages in a file
  parse-flow FLOW             print a flow as it was understood
  parse-flows FILE            the same of a file of flows
  parse-pcap FILE...          print the flows of captured packets
  compose-packet FLOW [LENGTH]  make a packet of a flow

OpenFlow options:
  -O, --protocols=VERSIONS    speak only these: OpenFlow10 to OpenFlow15
  -F, --flow-format=FORMAT    the forms of flows that are allowed
  -P, --packet-in-format=FORMAT  the form of packets that come in
  -m, --more                  print more of each packet
  --strict                    change only flows that match exactly
  --bundle                    do all changes of a command, or none
  --readd                     replace flows that did not change as well
  --timestamp                 print when messages came
  --sort[=FIELD], --rsort[=FIELD]  sort flows by priority, or by a field
  --names, --no-names         print names of ports and tables, or numbers
  --stats, --no-stats         print the statistics of flows, or do not
  --read-only                 refuse commands that change something
";

pub(crate) fn text(program: &str) -> String {
    let mut text = format!(
        "{program}: OpenFlow switch management utility\nusage: {program} [OPTIONS] COMMAND [ARG...]\n{COMMANDS}"
    );
    text.push_str(&stream_usage("OpenFlow", true, true, true));
    text.push_str(&rpc::daemon::usage(program));
    text.push_str(&log_usage(program));
    text.push_str(
        "
Other options:
  -t, --timeout=SECS          give up after SECS seconds
  --unixctl=SOCKET            name the control socket of monitor and snoop
  -h, --help                  display this help message
  -V, --version               display version information
",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_help_tells_of_is_there() {
        let lines = COMMANDS.lines().filter_map(|line| line.strip_prefix("  "));
        let lines = lines.filter(|line| !line.starts_with(' ') && !line.starts_with('-'));
        let told: Vec<&str> =
            lines.filter_map(|line| line.split_whitespace().find(|word| !word.starts_with('['))).collect();
        assert!(told.len() > 40);
        for name in told {
            assert!(crate::COMMANDS.iter().any(|command| command.name == name), "{name}");
        }
        assert!(text("ovs-ofctl").lines().all(|line| line.len() <= 90));
    }
}
