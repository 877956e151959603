//! Finding the server and the database, and asking the first questions.

use super::{Invocation, Needs};
use crate::shared::{Result, Stop};
use model::{Json, Schema};
use rpc::stream::is_passive_name;
use rpc::{Connection, Listener, Message, OVSDB_PORT, Stream, Tls, dirs, error_text};
use serde_json::{Value, json};

/// A server, perhaps a database, and the words that neither named.
pub(crate) struct Connected {
    pub(crate) connection: Connection,
    /// Empty when none is needed.
    pub(crate) database: String,
    pub(crate) words: Vec<String>,
}

async fn open_stream(server: &str, tls: &Tls) -> Result<Stream> {
    if is_passive_name(server) {
        let failed = |e: std::io::Error| {
            Stop::Fail(format!("failed to connect or listen to \"{server}\" ({})", error_text(&e)))
        };
        let listener = Listener::bind(server, OVSDB_PORT, tls).await.map_err(failed)?;
        log::info!(target: "ovsdb_client", "{server}: waiting for connection...");
        return listener.accept().await.map_err(failed)?.finish().await.map_err(failed);
    }
    Stream::connect(server, OVSDB_PORT, tls).await.map_err(|e| {
        let hint = rpc::hint::no_database(server);
        Stop::Fail(format!("failed to connect to \"{server}\" ({}){hint}", error_text(&e)))
    })
}

/// Takes the server and the database from the words in front, where they are named.
pub(crate) async fn open(
    invocation: &Invocation,
    words: Vec<String>,
    min: usize,
    needs: Needs,
    database: Option<&str>,
) -> Result<Connected> {
    let mut words = std::collections::VecDeque::from(words);
    let is_remote = |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.contains(':');
    let server = match words.front() {
        Some(word) if words.len() > min && is_remote(word) => words.pop_front(),
        _ => None,
    };
    let server = server.unwrap_or_else(|| format!("unix:{}/db.sock", dirs::rundir().display()));
    invocation.options.run_time.waits_for(format!("a connection with {server}"));
    let mut connection = None;
    let remotes: Vec<&str> = server.split(',').collect();
    for remote in &remotes {
        match open_stream(remote, &invocation.options.tls).await {
            Ok(stream) => {
                connection = Some(Connection::new(stream));
                break;
            }
            Err(e) if remotes.len() == 1 => return Err(e),
            Err(_) => {}
        }
    }
    let Some(mut connection) = connection else { return Err("no servers were available".to_owned().into()) };
    let command = invocation.command.name;
    invocation.options.run_time.waits_for(match command {
        "monitor" | "monitor-cond" | "monitor-cond-since" => format!("changes at {server}"),
        "wait" => format!("the database at {server} to come to that state"),
        "lock" | "steal" => format!("news of the lock from {server}"),
        _ => format!("{server} to answer \"{command}\""),
    });
    let database = match (needs, database) {
        (_, Some(database)) => database.to_owned(),
        (Needs::Database, None) => {
            let known = list_databases(&mut connection).await?;
            match words.front() {
                Some(word) if words.len() > min && known.contains(word) => {
                    words.pop_front().unwrap_or_default()
                }
                _ => default_database(known)?,
            }
        }
        _ => String::new(),
    };
    Ok(Connected { connection, database, words: words.into() })
}

fn default_database(known: Vec<String>) -> Result<String> {
    if known.iter().any(|name| name == "Open_vSwitch") {
        return Ok("Open_vSwitch".to_owned());
    }
    let mut own = known.into_iter().filter(|name| !name.starts_with('_'));
    match (own.next(), own.next()) {
        (Some(name), None) => Ok(name),
        _ => Err("could not find a default database, please specify a database name".to_owned().into()),
    }
}

/// One request and its result; the server's error ends the program.
pub(crate) async fn ask(connection: &mut Connection, method: &str, params: Vec<Json>) -> Result<Json> {
    let request = Message::request(method, params, 0);
    match connection.transact(&request).await {
        Err(e) => Err(format!("transaction failed ({})", error_text(&e)).into()),
        Ok(Message::Error { error, .. }) => {
            Err(format!("transaction returned error: {}", model::json::sorted(&error)).into())
        }
        Ok(Message::Reply { result, .. }) => Ok(result),
        Ok(_) => Err("transaction failed".to_owned().into()),
    }
}

pub(crate) async fn list_databases(connection: &mut Connection) -> Result<Vec<String>> {
    let result = ask(connection, "list_dbs", Vec::new()).await?;
    let Some(names) = result.as_array() else {
        return Err("list_dbs response is not array".to_owned().into());
    };
    let mut names: Vec<String> = names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

pub(crate) async fn fetch_schema(connection: &mut Connection, database: &str) -> Result<Schema> {
    let json = ask(connection, "get_schema", vec![Json::from(database)]).await?;
    Ok(Schema::from_json(&json)?)
}

/// Tells the server whether we stay when databases come, go and change; an old server need not know.
pub(crate) async fn send_change_aware(connection: &mut Connection, wanted: Option<bool>) -> Result<()> {
    if wanted == Some(false) {
        return Ok(());
    }
    let request = Message::request("set_db_change_aware", vec![json!(true)], "aware");
    match connection.transact(&request).await {
        Err(e) => {
            Err(format!("{}: error setting db_change_aware ({})", connection.name(), error_text(&e)).into())
        }
        Ok(Message::Error { error, .. }) if wanted == Some(true) => {
            Err(format!("{}: set_db_change_aware failed ({error})", connection.name()).into())
        }
        Ok(_) => Ok(()),
    }
}
