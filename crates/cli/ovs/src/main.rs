//! The one executable. It acts by the name it is called with, a link per
//! program, or by its first word: `ovs vsctl …` is `ovs-vsctl …`.

mod demo;
mod up;

use std::process::ExitCode;

/// A program: its names, and what it does with the words after its name.
struct Program {
    names: &'static [&'static str],
    run: fn(Vec<String>) -> ExitCode,
}

impl Program {
    /// Runs it as a process of its own name, by which operators and scripts look for daemons.
    fn start(&self, args: Vec<String>) -> ExitCode {
        if let Some(name) = self.names.first().and_then(|name| std::ffi::CString::new(*name).ok()) {
            // The name is for people; without it everything works the same.
            let _ = rustix::thread::set_name(&name);
        }
        (self.run)(args)
    }
}

const PROGRAMS: &[Program] = &[
    Program { names: &["ovs-appctl"], run: appctl::ovs_appctl },
    Program { names: &["ovs-ofctl"], run: ofctl::ovs_ofctl },
    Program { names: &["ovs-vswitchd"], run: vswitchd::ovs_vswitchd },
    Program { names: &["ovsdb-tool"], run: ovsdb_tools::ovsdb_tool },
    Program { names: &["ovsdb-client"], run: ovsdb_tools::ovsdb_client },
    Program { names: &["ovsdb-server"], run: ovsdb_tools::ovsdb_server },
    Program { names: &["ovs-vsctl"], run: vsctl::ovs_vsctl },
    Program { names: &["vtep-ctl"], run: vsctl::vtep_ctl },
    Program { names: &["ovs-brcompatd"], run: brcompat::ovs_brcompatd },
    Program { names: &["brctl"], run: brcompat::brctl },
    Program { names: &["ovs-testcontroller"], run: testcontroller::ovs_testcontroller },
    Program { names: &["ovs-controller"], run: testcontroller::ovs_controller },
    Program { names: &["ovs-dpctl"], run: dpctl::ovs_dpctl },
    Program { names: &["ovs-pki"], run: pki::ovs_pki },
    Program { names: &["ovs-ctl"], run: ctl::ovs_ctl },
    Program { names: &["collect"], run: collect::collect },
    Program { names: &["sflowtool"], run: collect::sflowtool },
    Program { names: &["up"], run: up::up },
    Program { names: &["down"], run: up::down },
    Program { names: &["demo"], run: demo::demo },
    Program { names: &["schema"], run: print_schema },
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
    match find(&word).or_else(|| find(&format!("ovs-{word}"))) {
        Some(program) => program.start(args.collect()),
        None if matches!(word.as_str(), "help" | "--help" | "-h") => {
            print!("{}", usage());
            ExitCode::SUCCESS
        }
        None if matches!(word.as_str(), "version" | "--version" | "-V") => {
            println!("{}\nIronbridge {}", rpc::version_text("ovs"), env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("ovs: unknown command '{word}'; use --help for help");
            ExitCode::FAILURE
        }
    }
}

fn find(name: &str) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| program.names.contains(&name))
}

fn usage() -> String {
    let mut text =
        String::from("usage: ovs COMMAND [ARG...]\n\nThe commands, each also a program of its own name:\n");
    for program in PROGRAMS {
        text.push_str(&format!("  {}\n", program.names.join(", ")));
    }
    text
}

/// `ovs schema [NAME]`: a schema as JSON.
fn print_schema(args: Vec<String>) -> ExitCode {
    let name = args.first().map_or("Open_vSwitch", String::as_str);
    match [&schema::OPEN_VSWITCH, &schema::HARDWARE_VTEP].into_iter().find(|schema| schema.name == name) {
        Some(schema) => {
            let json = schema.to_json();
            println!("{}", serde_json::to_string_pretty(&json).unwrap_or_else(|_| json.to_string()));
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("ovs: schema: no schema named {name}; there are Open_vSwitch and hardware_vtep");
            ExitCode::FAILURE
        }
    }
}
