//! Settings that contradict each other, or do less than they seem to: what `ovs lint` prints.
//!
//! Rows enter, findings leave, each with the command that mends it. Whether the switch could do what the rows ask for
//! is not looked at here: the columns `error` and `status` say that.

mod bonds;
mod bridges;
mod keys;
mod links;
mod mirrors;
mod shaping;
mod vlans;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use replica::{Row, Tables};
use schema::{bridge, interface, port};

use crate::columns::Columns;
use crate::complaints::Complaints;
use crate::desired::root;
use crate::settings;

/// A setting that does not do what it seems to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Finding {
    /// The table and the row, as people know them: `Port p1`.
    pub row: String,
    /// What is wrong.
    pub what: String,
    /// The command that mends it.
    pub mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.row, self.what)
    }
}

/// What is wrong with the configuration; by row, each finding once.
pub fn lint(rows: &Tables) -> Vec<Finding> {
    let mut findings = mistakes(rows);
    keys::check_support(rows, &mut findings);
    findings.sorted()
}

/// The same without what the switch cannot do yet.
fn mistakes(rows: &Tables) -> Findings {
    let mut findings = Findings::default();
    let configured = Configured::read(rows);
    for bridge in &configured.bridges {
        bridges::check(&configured, bridge, &mut findings);
        links::check_tunnels(&configured, bridge, &mut findings);
        mirrors::check(&configured, bridge, &mut findings);
        for port in &bridge.ports {
            vlans::check(port, &mut findings);
            bonds::check(port, &mut findings);
            shaping::check_port(&configured, port, &mut findings);
            links::check(&configured, port, &mut findings);
        }
    }
    shaping::check_rows(rows, &mut findings);
    keys::check(rows, &mut findings);
    findings
}

/// What the log knows of findings: each is logged when it comes up, and again only if it comes back.
#[derive(Debug, Default)]
pub struct Linter(Complaints);

impl Linter {
    /// Looks through the rows and logs what is new. Of what the switch cannot do yet, the log and the status of rows tell
    /// otherwise.
    pub fn log(&mut self, rows: &Tables) {
        for finding in mistakes(rows).sorted() {
            self.0.say(log::Level::Info, format!("{finding}; mended by \"{}\"", finding.mend));
        }
        self.0.end_pass();
    }
}

/// The rows that say something, each with those that it is made of.
struct Configured<'a> {
    rows: &'a Tables,
    bridges: Vec<BridgeRows<'a>>,
    /// All of them, by name.
    interfaces: HashMap<&'a str, &'a Row>,
}

struct BridgeRows<'a> {
    row: &'a Row,
    ports: Vec<PortRows<'a>>,
}

struct PortRows<'a> {
    row: &'a Row,
    interfaces: Vec<&'a Row>,
}

impl<'a> Configured<'a> {
    fn read(rows: &'a Tables) -> Configured<'a> {
        let find = |table, of: &'a Row, column| {
            of.references(column).filter_map(move |uuid| rows.row(table, &uuid).map(Arc::as_ref))
        };
        let port = |row| PortRows {
            row,
            interfaces: find(interface::NAME_OF_TABLE, row, port::INTERFACES).collect(),
        };
        let bridge = |row| BridgeRows {
            row,
            ports: find(port::NAME_OF_TABLE, row, bridge::PORTS).map(port).collect(),
        };
        let bridges = root(rows).into_iter();
        let bridges = bridges
            .flat_map(|root| find(bridge::NAME_OF_TABLE, root, schema::open_vswitch::BRIDGES).map(bridge));
        let bridges: Vec<BridgeRows<'_>> = bridges.collect();
        let all = bridges.iter().flat_map(BridgeRows::interfaces);
        let interfaces = all.map(|row| (row.string(interface::NAME), row)).collect();
        Configured { rows, bridges, interfaces }
    }
}

impl<'a> BridgeRows<'a> {
    /// Those of all ports.
    fn interfaces(&self) -> impl Iterator<Item = &'a Row> {
        self.ports.iter().flat_map(|ported| ported.interfaces.iter().copied())
    }
}

impl PortRows<'_> {
    fn subject(&self) -> Subject<'_> {
        Subject { table: port::NAME_OF_TABLE, row: self.row }
    }

    fn is_bond(&self) -> bool {
        self.interfaces.len() > 1
    }
}

/// A row that a finding is about, and the commands that change it.
#[derive(Clone, Copy)]
struct Subject<'a> {
    table: &'static str,
    row: &'a Row,
}

impl<'a> Subject<'a> {
    fn interface(row: &'a Row) -> Subject<'a> {
        Subject { table: interface::NAME_OF_TABLE, row }
    }

    /// By what people know the row.
    fn name(&self) -> String {
        settings::name_of(self.table, self.row)
    }

    /// By what a command finds it, as a word of the shell.
    fn id(&self) -> String {
        base::shell::quoted(&settings::id_of(self.table, self.row))
    }

    fn clear(&self, column: &str) -> String {
        format!("ovs-vsctl clear {} {} {column}", self.table, self.id())
    }

    fn remove(&self, column: &str, key: &str) -> String {
        let key = base::shell::quoted(key);
        format!("ovs-vsctl remove {} {} {column} {key}", self.table, self.id())
    }

    fn set(&self, column: &str, value: impl fmt::Display) -> String {
        format!("ovs-vsctl set {} {} {column}={value}", self.table, self.id())
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, subject: Subject<'_>, what: impl Into<String>, mend: String) {
        let row = format!("{} {}", subject.table, subject.name());
        self.0.push(Finding { row, what: what.into(), mend });
    }

    /// By row, each once.
    fn sorted(mut self) -> Vec<Finding> {
        self.0.sort();
        self.0.dedup();
        self.0
    }

    /// Keys of a map that do nothing for this reason.
    fn add_idle_keys(
        &mut self,
        subject: Subject<'_>,
        column: &str,
        is_idle: impl Fn(&str) -> bool,
        why: &str,
    ) {
        for key in subject.row.map(column).into_keys().filter(|key| is_idle(key)) {
            self.add(subject, format!("{column}:{key} has no effect: {why}"), subject.remove(column, &key));
        }
    }
}

/// What kind of device an interface is. Empty is "system".
fn kind(interface: &Row) -> &str {
    match interface.string(interface::TYPE) {
        "" => "system",
        kind => kind,
    }
}

fn is_tunnel(interface: &Row) -> bool {
    kind(interface).parse::<dp::PortKind>().is_ok_and(|kind| kind.tunnel().is_some())
}
