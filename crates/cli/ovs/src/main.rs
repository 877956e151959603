//! The one executable. It acts by the name it is called with, a link per
//! program, or by its first word: `ovs vsctl …` is `ovs-vsctl …`.

mod demo;
mod first_steps;
mod up;

use std::process::ExitCode;

/// What a program is for; the listing keeps this order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Start,
    Operate,
    Daemons,
    Database,
    Others,
}

const GROUPS: [(Group, &str); 5] = [
    (Group::Start, "Start here"),
    (Group::Operate, "Configure and look at the switch"),
    (Group::Daemons, "Daemons"),
    (Group::Database, "Work on the database"),
    (Group::Others, "Beside the switch"),
];

/// A program: its name, what it is for in a line, and what it does with the words after its name.
struct Program {
    name: &'static str,
    group: Group,
    about: &'static str,
    run: fn(Vec<String>) -> ExitCode,
}

impl Program {
    /// Runs it as a process of its own name, by which operators and scripts look for daemons.
    fn start(&self, args: Vec<String>) -> ExitCode {
        if let Ok(name) = std::ffi::CString::new(self.name) {
            // The name is for people; without it everything works the same.
            let _ = rustix::thread::set_name(&name);
        }
        (self.run)(args)
    }
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "up",
        group: Group::Start,
        about: "start database and switch, and say what to type next",
        run: up::up,
    },
    Program { name: "down", group: Group::Start, about: "stop what \"up\" started", run: up::down },
    Program {
        name: "demo",
        group: Group::Start,
        about: "two hosts with four VMs and their VLANs, in namespaces of their own",
        run: demo::demo,
    },
    Program {
        name: "ovs-vsctl",
        group: Group::Operate,
        about: "bridges, ports and all other configuration",
        run: vsctl::ovs_vsctl,
    },
    Program {
        name: "ovs-ofctl",
        group: Group::Operate,
        about: "rules, groups and meters of a bridge, by OpenFlow",
        run: ofctl::ovs_ofctl,
    },
    Program {
        name: "ovs-appctl",
        group: Group::Operate,
        about: "ask a running daemon: traces, addresses learned, log levels",
        run: appctl::ovs_appctl,
    },
    Program {
        name: "lint",
        group: Group::Operate,
        about: "settings that contradict each other or do less than they seem to",
        run: lint::lint,
    },
    Program {
        name: "ovs-dpctl",
        group: Group::Operate,
        about: "datapaths and the flows that are cached in them",
        run: dpctl::ovs_dpctl,
    },
    Program {
        name: "ovs-ctl",
        group: Group::Daemons,
        about: "start, stop and restart the daemons, as at boot",
        run: ctl::ovs_ctl,
    },
    Program {
        name: "ovsdb-server",
        group: Group::Daemons,
        about: "serve the configuration database",
        run: ovsdb_tools::ovsdb_server,
    },
    Program {
        name: "ovs-vswitchd",
        group: Group::Daemons,
        about: "switch packets as the database says",
        run: vswitchd::ovs_vswitchd,
    },
    Program {
        name: "ovsdb-tool",
        group: Group::Database,
        about: "create, convert, compact and show database files",
        run: ovsdb_tools::ovsdb_tool,
    },
    Program {
        name: "ovsdb-client",
        group: Group::Database,
        about: "query, change and watch a database that is served",
        run: ovsdb_tools::ovsdb_client,
    },
    Program {
        name: "schema",
        group: Group::Database,
        about: "print a database schema: Open_vSwitch or hardware_vtep",
        run: print_schema,
    },
    Program {
        name: "ovs-pki",
        group: Group::Others,
        about: "make keys and certificates for TLS",
        run: pki::ovs_pki,
    },
    Program {
        name: "ovs-testcontroller",
        group: Group::Others,
        about: "a simple OpenFlow controller, for tests",
        run: testcontroller::ovs_testcontroller,
    },
    Program {
        name: "ovs-controller",
        group: Group::Others,
        about: "the same under its older name",
        run: testcontroller::ovs_controller,
    },
    Program {
        name: "collect",
        group: Group::Others,
        about: "receive and print sFlow, NetFlow and IPFIX",
        run: collect::collect,
    },
    Program {
        name: "sflowtool",
        group: Group::Others,
        about: "the same under the name that people know",
        run: collect::sflowtool,
    },
    Program {
        name: "vtep-ctl",
        group: Group::Others,
        about: "the database of a VXLAN gateway",
        run: vsctl::vtep_ctl,
    },
    Program {
        name: "brctl",
        group: Group::Others,
        about: "Linux bridges by their old command, ours among them",
        run: brcompat::brctl,
    },
    Program {
        name: "ovs-brcompatd",
        group: Group::Others,
        about: "the daemon that lets \"brctl\" change our bridges",
        run: brcompat::ovs_brcompatd,
    },
];

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    let called = std::path::Path::new(&called).file_name().unwrap_or_default();
    let name = called.to_string_lossy().into_owned();
    let checked = base::text::check_environment(std::env::vars_os());
    let mut args = match checked.and_then(|()| base::text::arguments(words, 1)) {
        Ok(args) => args.into_iter(),
        Err(why) => {
            eprintln!("{name}: {why}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(program) = find(&name) {
        return program.start(args.collect());
    }
    let Some(word) = args.next() else {
        print!("{}", usage());
        return ExitCode::FAILURE;
    };
    match find_command(&word) {
        Some(program) => program.start(args.collect()),
        None if matches!(word.as_str(), "help" | "--help" | "-h") => match args.next() {
            None => {
                print!("{}", usage());
                ExitCode::SUCCESS
            }
            Some(word) => match find_command(&word) {
                Some(program) => program.start(vec!["--help".to_owned()]),
                None => unknown(&word),
            },
        },
        None if matches!(word.as_str(), "version" | "--version" | "-V") => {
            println!("{}\nIronbridge {}", rpc::version_text("ovs"), env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        None => unknown(&word),
    }
}

fn unknown(word: &str) -> ExitCode {
    let known = PROGRAMS.iter().flat_map(|program| [program.name, short(program.name)]);
    let hint = base::hint::did_you_mean(word, known);
    eprintln!("ovs: unknown command '{word}'; use --help for help{hint}");
    ExitCode::FAILURE
}

fn find(name: &str) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| program.name == name)
}

/// A program by its name, which may lack its "ovs-".
fn find_command(word: &str) -> Option<&'static Program> {
    find(word).or_else(|| PROGRAMS.iter().find(|program| short(program.name) == word))
}

/// How a program is called as a command of `ovs`.
fn short(name: &'static str) -> &'static str {
    name.strip_prefix("ovs-").unwrap_or(name)
}

fn usage() -> String {
    let mut text = String::from(
        "usage: ovs COMMAND [ARG...]\n       ovs COMMAND --help   what a command takes\n       ovs --version\n",
    );
    for (group, title) in GROUPS {
        text.push_str(&format!("\n{title}:\n"));
        for program in PROGRAMS.iter().filter(|program| program.group == group) {
            text.push_str(&format!("  {:<16}{}\n", short(program.name), program.about));
        }
    }
    text.push_str("\nA link to this program acts by its name: ovs-vsctl does what 'ovs vsctl' does.\n");
    text
}

const SCHEMA_USAGE: &str = "\
usage: ovs schema [NAME]
Prints the schema of a database as JSON: Open_vSwitch, which is the default, or hardware_vtep.
";

/// `ovs schema [NAME]`: a schema as JSON.
fn print_schema(args: Vec<String>) -> ExitCode {
    let name = args.first().map_or("Open_vSwitch", String::as_str);
    if matches!(name, "-h" | "--help") {
        print!("{SCHEMA_USAGE}");
        return ExitCode::SUCCESS;
    }
    match [&schema::OPEN_VSWITCH, &schema::HARDWARE_VTEP].into_iter().find(|schema| schema.name == name) {
        Some(schema) => {
            let json = schema.to_json();
            println!("{}", serde_json::to_string_pretty(&json).unwrap_or_else(|_| json.to_string()));
            ExitCode::SUCCESS
        }
        None => {
            let hint = base::hint::did_you_mean(name, ["Open_vSwitch", "hardware_vtep"]);
            eprintln!("ovs: schema: no schema named {name}; there are Open_vSwitch and hardware_vtep{hint}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_a_line_under_its_group() {
        let text = usage();
        for program in PROGRAMS {
            let line = format!("\n  {:<16}{}\n", short(program.name), program.about);
            assert!(text.contains(&line), "{} is missing: {text}", program.name);
            assert!(!program.about.is_empty() && line.len() < 90, "{line}");
        }
        for (_, title) in GROUPS {
            assert!(text.contains(&format!("\n{title}:\n  ")), "{title}: {text}");
        }
    }

    #[test]
    fn programs_are_found_with_and_without_their_prefix() {
        for (word, name) in
            [("vsctl", "ovs-vsctl"), ("ovs-vsctl", "ovs-vsctl"), ("up", "up"), ("ctl", "ovs-ctl")]
        {
            assert_eq!(find_command(word).map(|program| program.name), Some(name));
        }
        assert!(find_command("ofclt").is_none());
    }
}
