//! Commands about schemas, and waiting for databases.

use super::connect::{ask, fetch_schema, open, send_change_aware};
use super::options::Options;
use super::{Invocation, Needs};
use crate::ovsdb_tool::same;
use crate::shared::{Result, read_schema};
use base::Clock;
use model::Json;
use model::json::Style as JsonStyle;
use model::listing::{Cell, Listing};
use replica::{Event, Replica, Subscription};
use rpc::{Connection, dirs};

pub(crate) fn print_json(json: &Json, options: &Options) {
    println!("{}", model::json::text(json, JsonStyle { sort: true, pretty: options.style.pretty }));
}

pub(crate) async fn print(connection: &mut Connection, database: &str, options: &Options) -> Result<()> {
    let schema = fetch_schema(connection, database).await?;
    print_json(&schema.to_json(), options);
    Ok(())
}

pub(crate) async fn list_tables(
    connection: &mut Connection,
    database: &str,
    options: &Options,
) -> Result<()> {
    let schema = fetch_schema(connection, database).await?;
    let mut names: Vec<&String> = schema.tables.keys().collect();
    names.sort();
    let listing = Listing {
        headings: vec!["Table".to_owned()],
        rows: names.into_iter().map(|name| vec![Cell::Text(name.clone())]).collect(),
        ..Listing::default()
    };
    print!("{}", listing.print(&options.style, true));
    Ok(())
}

pub(crate) async fn list_columns(
    connection: &mut Connection,
    database: &str,
    words: &[String],
    options: &Options,
) -> Result<()> {
    let schema = fetch_schema(connection, database).await?;
    let only = words.first();
    let mut listing = Listing::default();
    let headings: &[&str] = if only.is_some() { &["Column", "Type"] } else { &["Table", "Column", "Type"] };
    listing.headings = headings.iter().map(|h| (*h).to_owned()).collect();
    for (name, table) in schema.tables.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        for column in &table.columns {
            let mut row = Vec::new();
            if only.is_none() {
                row.push(Cell::Text(name.clone()));
            }
            row.push(Cell::Text(column.name.clone()));
            row.push(Cell::Json(column.r#type.to_json()));
            listing.rows.push(row);
        }
    }
    print!("{}", listing.print(&options.style, true));
    Ok(())
}

pub(crate) async fn convert(invocation: &Invocation) -> Result<()> {
    let schema = read_schema(invocation.words.last().map_or("", String::as_str))?;
    let words = invocation.words.clone();
    let mut connected = open(invocation, words, 1, Needs::Database, Some(&schema.name)).await?;
    send_change_aware(&mut connected.connection, invocation.options.change_aware).await?;
    let params = vec![Json::from(schema.name.as_str()), schema.to_json()];
    ask(&mut connected.connection, "convert", params).await.map(drop)
}

pub(crate) async fn needs_conversion(invocation: &Invocation) -> Result<()> {
    let schema = read_schema(invocation.words.last().map_or("", String::as_str))?;
    let words = invocation.words.clone();
    let mut connected = open(invocation, words, 1, Needs::Database, Some(&schema.name)).await?;
    let served = fetch_schema(&mut connected.connection, &schema.name).await?;
    println!("{}", if same(&schema, &served) { "no" } else { "yes" });
    Ok(())
}

/// Waits until a database is there, is connected, or is gone.
pub(crate) async fn wait(invocation: &Invocation, mut daemon: rpc::daemon::Daemon) -> Result<()> {
    let words = &invocation.words;
    let (server, database, state) = match words.as_slice() {
        [database, state] => (format!("unix:{}/db.sock", dirs::rundir().display()), database, state),
        [server, database, state] => (server.clone(), database, state),
        _ => return Err("invalid syntax for 'wait' (use --help for help)".to_owned().into()),
    };
    if !matches!(state.as_str(), "added" | "connected" | "removed") {
        return Err(format!("{state}: unknown state").into());
    }
    daemon.complete().map_err(|e| e.to_string())?;
    let remotes: Vec<String> = server.split(',').map(str::to_owned).collect();
    let tls = invocation.options.tls.clone();
    let mut replica =
        Replica::open(&remotes, server::SERVER_DATABASE, Subscription::default(), true, tls, Clock::new());
    replica.session_mut().set_max_backoff(std::time::Duration::from_secs(1));
    loop {
        let event = replica.next().await;
        if let Event::Ended(_) | Event::NoDatabase(_) = event {
            return Err(format!("{server}: database connection failed").into());
        }
        if !replica.is_live() {
            continue;
        }
        let row = replica.tables().rows("Database").find(|row| row.text("name") == Some(database));
        let reached = match state.as_str() {
            "added" => row.is_some(),
            "connected" => row.is_some_and(|row| row.boolean("connected") == Some(true)),
            _ => row.is_none(),
        };
        if reached {
            return Ok(());
        }
    }
}
