//! Completion for shells: the words typed so far enter, what the last may become leaves.
//!
//! `ovs-vsctl --complete WORD...` prints candidates; `ovs-vsctl --completion SHELL` prints the script that
//! asks so. Names of rows come from the database, where it answers soon.

use crate::names;
use crate::options;
use crate::switch::OVS_VSCTL;
use crate::syntax::{self, Syntax};
use base::Clock;
use model::Uuid;
use replica::{Event, Replica, Subscription};
use rpc::{Tls, dirs};
use std::collections::BTreeSet;
use std::time::Duration;

/// A database that does not answer within this time adds nothing.
const PATIENCE: Duration = Duration::from_secs(1);

const SCRIPTS: [(&str, &str); 3] = [
    ("bash", include_str!("../completion/ovs-vsctl.bash")),
    ("zsh", include_str!("../completion/_ovs-vsctl")),
    ("fish", include_str!("../completion/ovs-vsctl.fish")),
];

/// What the program prints when it is called for completion; `None` when it is not.
pub(crate) fn run(args: &[String]) -> Option<Result<String, String>> {
    match args {
        [first, words @ ..] if first == "--complete" => {
            let mut rows = |remote: &str, table: &str| rows_of(remote, table);
            let candidates = candidates(words, &mut rows);
            Some(Ok(candidates.into_iter().map(|candidate| candidate + "\n").collect()))
        }
        [first, shell] if first == "--completion" => {
            let script = SCRIPTS.iter().find(|(name, _)| name == shell);
            let unknown = || format!("no completion for \"{shell}\": bash, zsh and fish are known");
            Some(script.map(|(_, script)| (*script).to_owned()).ok_or_else(unknown))
        }
        _ => None,
    }
}

/// What the last word may become. `rows` gives the names and UUIDs of a table's rows.
fn candidates(words: &[String], rows: &mut dyn FnMut(&str, &str) -> Vec<String>) -> Vec<String> {
    let Some((partial, before)) = words.split_last() else { return Vec::new() };
    let db = before.iter().rev().find_map(|word| word.strip_prefix("--db="));
    let remote = db.map_or_else(|| format!("unix:{}/db.sock", dirs::rundir().display()), str::to_owned);
    let start = before.iter().rposition(|word| word == "--").map_or(0, |at| at + 1);
    let command = before.get(start..).unwrap_or_default();
    let n = command.iter().position(|word| !word.starts_with('-')).unwrap_or(command.len());
    let typed = command.get(n..).unwrap_or_default();
    let mut found: BTreeSet<String> = BTreeSet::new();
    match typed.split_first() {
        None if partial.starts_with('-') => {
            let local = syntax::command_options(&OVS_VSCTL).into_iter();
            found.extend(local.map(|(name, value)| format!("--{name}{}", if value { "=" } else { "" })));
            if start == 0 {
                found.extend(options::long_options(&OVS_VSCTL));
            }
        }
        None => found.extend(OVS_VSCTL.syntaxes().map(|syntax| syntax.name.to_owned())),
        Some((name, arguments)) => {
            let Some(syntax) = OVS_VSCTL.syntaxes().find(|syntax| syntax.name == name) else {
                return Vec::new();
            };
            if arguments.len() < syntax.max {
                found.extend(argument(syntax, arguments, &mut |table| rows(&remote, table)));
            }
            if arguments.len() >= syntax.min {
                found.insert("--".to_owned());
            }
        }
    }
    found.into_iter().filter(|candidate| candidate.starts_with(partial.as_str())).collect()
}

/// What the next argument of a command may be.
fn argument(syntax: &Syntax, arguments: &[String], rows: &mut dyn FnMut(&str) -> Vec<String>) -> Vec<String> {
    let places: Vec<&str> = syntax.arguments.split(' ').collect();
    let repeats = |place: &str| place.ends_with("...");
    let at = arguments.len();
    let mut possible: Vec<&str> = Vec::new();
    match places.get(at) {
        Some(place) => possible.push(place),
        None => possible.extend(places.last().filter(|place| repeats(place))),
    }
    // What repeats may go on, and what is optional may have been left out.
    let before = places.iter().take(at);
    possible.extend(before.filter(|place| repeats(place)));
    if let Some(next) = places.get(at + 1)
        && places.get(at).is_some_and(|place| place.starts_with('['))
    {
        possible.push(next);
    }
    let mut found = Vec::new();
    for place in possible {
        let plain = place.trim_end_matches("...");
        let plain = plain.strip_prefix('[').and_then(|p| p.strip_suffix(']')).unwrap_or(plain);
        match plain {
            "BRIDGE" | "PARENT" => found.extend(rows("Bridge")),
            "PORT" | "BOND" => found.extend(rows("Port")),
            "IFACE" => found.extend(rows("Interface")),
            "PORT|IFACE" => found.extend(rows("Port").into_iter().chain(rows("Interface"))),
            "MODE" => found.extend(["secure", "standalone"].map(str::to_owned)),
            "TABLE" => found.extend(tables()),
            "RECORD" => found.extend(arguments.first().map(|table| rows(table)).unwrap_or_default()),
            "COLUMN" | "COLUMN[:KEY]" => found.extend(columns(arguments, "")),
            "COLUMN[:KEY]=VALUE" if syntax.arguments.starts_with("TABLE") => {
                found.extend(columns(arguments, "="));
            }
            _ => {}
        }
    }
    found
}

fn tables() -> Vec<String> {
    names::table_names(&OVS_VSCTL).map(str::to_owned).collect()
}

/// The columns of the table that the first argument names.
fn columns(arguments: &[String], end: &str) -> Vec<String> {
    let table = arguments.first().and_then(|name| names::table(&OVS_VSCTL, name).ok());
    let columns = table.into_iter().flat_map(|table| table.declared_columns());
    columns.map(|column| format!("{}{end}", column.name)).collect()
}

/// How the rows of a table can be named.
fn rows_of(remote: &str, table: &str) -> Vec<String> {
    let Ok(table) = names::table(&OVS_VSCTL, table) else { return Vec::new() };
    let Ok(runtime) = rpc::runtime() else {
        return Vec::new();
    };
    let name_column = table.column("name").map(|column| column.name.as_str());
    let columns = name_column.map(|name| vec![name.to_owned()]).unwrap_or_default();
    let subscription =
        Subscription { tables: Some(vec![(table.name.clone(), Some(columns))]), ..Subscription::default() };
    let rows = async {
        let remotes = [remote.to_owned()];
        let mut replica =
            Replica::open(&remotes, "Open_vSwitch", subscription, false, Tls::default(), Clock::new());
        loop {
            match replica.next().await {
                Event::Updated => break,
                Event::Ended(_) | Event::NoDatabase(_) => return Vec::new(),
                _ => {}
            }
        }
        let name = |uuid: Uuid, text: Option<&str>| match text {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ => uuid.to_string(),
        };
        let rows = replica.tables().rows(&table.name);
        rows.map(|row| name(row.uuid, name_column.and_then(|column| row.text(column)))).collect()
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, rows).await.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut rows = |_: &str, table: &str| match table {
            "Bridge" => vec!["br0".to_owned(), "br1".to_owned()],
            "Port" => vec!["br0".to_owned(), "p1".to_owned()],
            "Interface" => vec!["p1".to_owned(), "i2".to_owned()],
            _ => Vec::new(),
        };
        candidates(&words, &mut rows)
    }

    #[test]
    fn each_word_becomes_what_the_command_takes_there() {
        assert_eq!(complete("del-b"), ["del-bond-iface", "del-br"]);
        assert_eq!(complete("--no-wait --if-"), ["--if-exists"]);
        assert_eq!(complete("--db"), ["--db="]);
        assert_eq!(complete("del-br "), ["br0", "br1"]);
        assert_eq!(complete("add-port br"), ["br0", "br1"]);
        assert!(complete("add-port br0 ").is_empty());
        assert_eq!(complete("del-port p"), ["p1"]);
        assert_eq!(complete("del-port br0 "), ["--", "br0", "i2", "p1"]);
        assert_eq!(complete("set Interf"), ["Interface"]);
        assert_eq!(complete("set Interface "), ["i2", "p1"]);
        assert_eq!(complete("set Interface p1 ofport_"), ["ofport_request="]);
        assert_eq!(complete("get Interface p1 type ofport_"), ["ofport_request"]);
        assert_eq!(complete("add-br x -- set-fail-mode br0 s"), ["secure", "standalone"]);
        assert_eq!(complete("add-br x -- --may"), ["--may-exist"]);
        assert!(complete("nonsense ").is_empty());
    }

    #[test]
    fn every_shell_has_its_script() {
        for shell in ["bash", "zsh", "fish"] {
            let script = run(&["--completion".to_owned(), shell.to_owned()]).unwrap().unwrap();
            assert!(script.contains("ovs-vsctl --complete"), "{shell}");
        }
        assert!(run(&["--completion".to_owned(), "csh".to_owned()]).unwrap().is_err());
        assert!(run(&["show".to_owned()]).is_none());
    }
}
