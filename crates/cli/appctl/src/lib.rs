//! `ovs-appctl`: one command to a running daemon, its answer to the terminal.
//!
//! Exit status: 0 when the daemon did it, 2 when it refused, 1 when it could
//! not be asked.

use std::process::ExitCode;

use base::getopt::{Opt, Order, Parser, Takes};
use rpc::daemon::RunTime;
use rpc::options::LogOption;
use rpc::program::{self, Stop};
use serde_json::Value;

/// The options of the command line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Target,
    Execute,
    Format,
    Help,
    Options,
    Pretty,
    Version,
    Timeout,
    Log(LogOption),
}

fn table() -> Vec<Opt<Choice>> {
    let mut table = vec![
        Opt::both('t', "target", Takes::Argument, Choice::Target),
        Opt::both('e', "execute", Takes::Nothing, Choice::Execute),
        Opt::both('f', "format", Takes::Argument, Choice::Format),
        Opt::both('h', "help", Takes::Nothing, Choice::Help),
        Opt::both('o', "option", Takes::Nothing, Choice::Options),
        Opt::long("pretty", Takes::Nothing, Choice::Pretty),
        Opt::both('V', "version", Takes::Nothing, Choice::Version),
        Opt::both('T', "timeout", Takes::Argument, Choice::Timeout),
    ];
    table.extend(LogOption::table(Choice::Log));
    table
}

/// What the command line asks for.
struct Request {
    target: String,
    json: bool,
    pretty: bool,
    command: String,
    arguments: Vec<String>,
    run_time: RunTime,
}

/// The program. `args` are the words after its name.
pub fn ovs_appctl(args: Vec<String>) -> ExitCode {
    const PROGRAM: &str = "ovs-appctl";
    base::vlog::init(PROGRAM);
    base::vlog::set_all_levels(None, base::vlog::Level::Warning);
    program::start(parse(PROGRAM, args), |request| match ask(&request) {
        Ok(Ok(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Err(refusal)) => {
            eprint!("{refusal}");
            eprintln!("{PROGRAM}: {}: server returned an error", request.target);
            ExitCode::from(2)
        }
        Err(text) => {
            eprintln!("{PROGRAM}: {text}");
            ExitCode::FAILURE
        }
    })
}

fn parse(program: &'static str, args: Vec<String>) -> Result<Request, Stop> {
    let fail = |text: String| Stop::Fail(format!("{program}: {text}"));
    let table = table();
    let mut parser = Parser::new(program, &table, Order::StopAtWord, args);
    let (mut target, mut json, mut pretty) = (None, false, false);
    let run_time = RunTime::default();
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| Stop::Fail(e.to_string()))?;
        let argument = item.argument.clone().unwrap_or_default();
        match item.id {
            Choice::Target if target.is_some() => {
                return Err(fail("-t or --target may be specified only once".to_owned()));
            }
            Choice::Target => target = Some(argument),
            // Older versions took the command as its argument; now it does nothing.
            Choice::Execute => {}
            Choice::Format => match argument.as_str() {
                "json" => json = true,
                "text" => json = false,
                _ => return Err(fail(format!("value {argument} on -f or --format is invalid"))),
            },
            Choice::Pretty => pretty = true,
            Choice::Help => return Err(Stop::Print(usage(program))),
            Choice::Options => return Err(Stop::Print(rpc::options::list(&table))),
            Choice::Version => return Err(Stop::Print(format!("{}\n", rpc::version_text(program)))),
            Choice::Timeout => run_time
                .limit(program, &argument)
                .map_err(|_| fail(format!("value {argument} on -T or --timeout is invalid")))?,
            Choice::Log(option) => option.apply(item.argument.as_deref(), program).map_err(fail)?,
        }
    }
    let mut words = parser.rest().into_iter();
    let Some(command) = words.next() else {
        return Err(fail("at least one non-option argument is required (use --help for help)".to_owned()));
    };
    if pretty && !json {
        return Err(fail("--pretty is supported with --format json only".to_owned()));
    }
    let target = target.unwrap_or_else(|| "ovs-vswitchd".to_owned());
    Ok(Request { target, json, pretty, command, arguments: words.collect(), run_time })
}

/// The daemon's answer: outer error, it could not be asked; inner error, it refused.
fn ask(request: &Request) -> Result<Result<String, String>, String> {
    request.run_time.waits_for(format!("the answer of {} to \"{}\"", request.target, request.command));
    let hint = || rpc::hint::not_running(&request.target);
    let socket = rpc::unixctl::socket_of(&request.target).map_err(|text| text + &hint())?;
    let runtime = rpc::runtime()?;
    runtime.block_on(async {
        let mut client = rpc::unixctl::Client::connect(&socket).await.map_err(|e| {
            let hint = rpc::hint::not_permitted(&e) + &hint();
            format!("cannot connect to \"{socket}\" ({}){hint}", rpc::error_text(&e))
        })?;
        let broken =
            |e: std::io::Error| format!("{}: transaction error ({})", request.target, rpc::error_text(&e));
        if request.json {
            let options = ["--format".to_owned(), "json".to_owned()];
            if let Err(error) = client.transact("set-options", &options).await.map_err(broken)? {
                return Ok(Err(show(&error, false, false)));
            }
        }
        let answer = client.transact(&request.command, &request.arguments).await.map_err(broken)?;
        Ok(answer
            .map(|result| show(&result, request.json, request.pretty))
            .map_err(|error| show(&error, false, false)))
    })
}

/// An answer as text: strings as they are, with a newline at the end.
fn show(answer: &Value, json: bool, pretty: bool) -> String {
    let mut text = match answer {
        Value::String(text) if !json => text.clone(),
        other => model::json::text(other, model::json::Style { sort: true, pretty }),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn usage(program: &str) -> String {
    format!(
        "\
{program}, for querying and controlling Open vSwitch daemon
usage: {program} [TARGET] COMMAND [ARG...]
Targets:
  -t, --target=TARGET  pidfile or socket to contact
Common commands:
  list-commands      List commands supported by the target
  version            Print version of the target
  vlog/list          List current logging levels
  vlog/list-pattern  List logging patterns for each destination.
  vlog/set [SPEC]
      Set log levels as detailed in SPEC, which may include:
      A valid module name (all modules, by default)
      'syslog', 'console', 'file' (all destinations, by default))
      'off', 'emer', 'err', 'warn', 'info', or 'dbg' ('dbg', bydefault)
  vlog/reopen        Make the program reopen its log file
Other options:
  --timeout=SECS     wait at most SECS seconds for a response
  -f, --format=FMT   Output format. One of: 'json', or 'text'
                     (default: text)
  --pretty           Format the output in a more readable fashion.
                     Requires: --format=json.
  -h, --help         Print this helpful information
  -V, --version      Display ovs-appctl version information
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn refusal(text: &str) -> String {
        match parse("ovs-appctl", words(text)) {
            Err(Stop::Fail(text)) => text,
            Err(Stop::Print(text)) => format!("printed {text}"),
            Ok(request) => format!("accepted {}", request.command),
        }
    }

    #[test]
    fn options_end_at_the_command() {
        let request = parse("ovs-appctl", words("-t x exit --cleanup")).ok().unwrap();
        assert_eq!((request.target.as_str(), request.command.as_str()), ("x", "exit"));
        assert_eq!(request.arguments, ["--cleanup"]);
    }

    #[test]
    fn mistakes_are_one_line_each() {
        assert_eq!(refusal("-t a -t b c"), "ovs-appctl: -t or --target may be specified only once");
        assert_eq!(refusal("-T 0 c"), "ovs-appctl: value 0 on -T or --timeout is invalid");
        assert_eq!(refusal("-f xml c"), "ovs-appctl: value xml on -f or --format is invalid");
        assert_eq!(refusal("--pretty c"), "ovs-appctl: --pretty is supported with --format json only");
        assert_eq!(
            refusal(""),
            "ovs-appctl: at least one non-option argument is required (use --help for help)"
        );
    }
}
