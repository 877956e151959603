//! `ovs lint`: looks through the configuration database for settings that contradict each other, or do less than they
//! seem to, and says what mends each of them.
//!
//! What is looked for is in `bridge::lint`; here is the program around it.

use std::process::ExitCode;
use std::time::Duration;

use base::Clock;
use base::getopt::{Opt, Order, Parser, Takes};
use bridge::Finding;
use replica::{Event, Replica, Subscription};
use rpc::options::TlsOption;
use rpc::program::{self, Stop};
use rpc::{Tls, dirs};

const PROGRAM: &str = "ovs lint";
/// The exit status when something was found, as of `grep` when nothing was.
const FOUND: u8 = 1;
/// The exit status when the database could not be read.
const TROUBLE: u8 = 2;

struct Options {
    remote: String,
    tls: Tls,
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Db,
    Timeout,
    Tls(TlsOption),
    Help,
    Version,
}

/// The program. `args` are the words after `lint`.
pub fn lint(args: Vec<String>) -> ExitCode {
    let stopped = |stop| match stop {
        Stop::Print(text) => program::start::<()>(Err(Stop::Print(text)), |()| ExitCode::SUCCESS),
        Stop::Fail(text) => trouble(&text),
    };
    match parse(args) {
        Err(stop) => stopped(stop),
        Ok(options) => match look(&options) {
            Ok(findings) => report(&findings),
            Err(why) => trouble(&format!("{PROGRAM}: {why}")),
        },
    }
}

fn trouble(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::from(TROUBLE)
}

fn parse(args: Vec<String>) -> Result<Options, Stop> {
    let fail = |text: String| Stop::Fail(format!("{PROGRAM}: {text}"));
    let mut table = vec![
        Opt::long("db", Takes::Argument, Choice::Db),
        Opt::both('t', "timeout", Takes::Argument, Choice::Timeout),
        Opt::both('h', "help", Takes::Nothing, Choice::Help),
        Opt::both('V', "version", Takes::Nothing, Choice::Version),
    ];
    table.extend(TlsOption::table(Choice::Tls));
    let mut options = Options {
        remote: format!("unix:{}/db.sock", dirs::rundir().display()),
        tls: Tls::default(),
        timeout: None,
    };
    let mut parser = Parser::new(PROGRAM, &table, Order::Permute, args);
    while let Some(item) = parser.next() {
        let item = item.map_err(|e| Stop::Fail(e.to_string()))?;
        let argument = item.argument.as_deref();
        match item.id {
            Choice::Db => argument.unwrap_or_default().clone_into(&mut options.remote),
            Choice::Timeout => {
                let text = argument.unwrap_or_default();
                let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
                let seconds =
                    seconds.ok_or_else(|| fail(format!("{text}: a timeout is a number of seconds")))?;
                options.timeout = Some(Duration::from_secs(seconds));
            }
            Choice::Tls(option) => option.apply(argument, &mut options.tls),
            Choice::Help => return Err(Stop::Print(usage())),
            Choice::Version => return Err(Stop::Print(format!("{}\n", rpc::version_text(PROGRAM)))),
        }
    }
    match parser.rest().first() {
        Some(word) => Err(fail(format!("{word}: no arguments are expected"))),
        None => Ok(options),
    }
}

fn usage() -> String {
    format!(
        "\
usage: ovs lint [OPTION...]
Looks for settings that contradict each other, or do less than they seem to, and says what mends each.
The exit status is 0 when there are none, 1 when there are some, and 2 when it could not look.

  --db=DATABASE      connect to DATABASE (default: unix:{}/db.sock)
  -t, --timeout=SECS give up after SECS seconds
  -p, -c, -C FILE    private key, certificate, certificate authority, for TLS
  -h, --help         print this
  -V, --version      print the version
",
        dirs::rundir().display()
    )
}

/// Reads the database once.
fn look(options: &Options) -> Result<Vec<Finding>, String> {
    let runtime = rpc::runtime()?;
    runtime.block_on(async {
        let reading = read(options);
        match options.timeout {
            None => reading.await,
            Some(timeout) => tokio::time::timeout(timeout, reading).await.unwrap_or_else(|_| {
                Err(format!("{} did not answer within {} seconds", options.remote, timeout.as_secs()))
            }),
        }
    })
}

async fn read(options: &Options) -> Result<Vec<Finding>, String> {
    let remote = &options.remote;
    let remotes = [remote.clone()];
    let tables = bridge::followed_tables().map(|table| (table.to_owned(), None)).collect();
    let subscription = Subscription { tables: Some(tables), ..Subscription::default() };
    let mut replica =
        Replica::open(&remotes, "Open_vSwitch", subscription, false, options.tls.clone(), Clock::new());
    loop {
        match replica.next().await {
            Event::Updated => return Ok(bridge::lint(replica.tables())),
            Event::Ended(error) => {
                let error = error.unwrap_or_else(|| "End of file".to_owned());
                let hint = rpc::hint::no_database(remote);
                return Err(format!("{remote}: database connection failed ({error}){hint}"));
            }
            Event::NoDatabase(why) => return Err(format!("{remote}: {why}")),
            Event::Connected | Event::Disconnected | Event::Lock(_) | Event::Committed(..) => {}
        }
    }
}

fn report(findings: &[Finding]) -> ExitCode {
    let text: String = findings.iter().map(|finding| format!("{finding}\n    {}\n", finding.mend)).collect();
    print!("{text}");
    match findings {
        [] => {
            println!("Nothing found.");
            ExitCode::SUCCESS
        }
        _ => ExitCode::from(FOUND),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &[&str]) -> String {
        match parse(words.iter().map(|word| (*word).to_owned()).collect()) {
            Err(Stop::Fail(text) | Stop::Print(text)) => text,
            Ok(options) => panic!("{} is taken", options.remote),
        }
    }

    #[test]
    fn a_command_line_that_makes_no_sense_is_refused() {
        assert_eq!(refused(&["br0"]), "ovs lint: br0: no arguments are expected");
        assert_eq!(refused(&["-t", "0"]), "ovs lint: 0: a timeout is a number of seconds");
        assert!(refused(&["--help"]).starts_with("usage: ovs lint"));
    }

    #[test]
    fn a_database_that_is_not_there_is_named() {
        let options = Options { remote: "unix:/nowhere/db.sock".into(), tls: Tls::default(), timeout: None };
        let why = look(&options).unwrap_err();
        assert!(why.starts_with("unix:/nowhere/db.sock: database connection failed"), "{why}");
    }
}
